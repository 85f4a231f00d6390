"""What an optimisation returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall.optimize._feasibility import bound_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.optimize._builder import Builder
    from cshortfall.optimize._program import Program, RiskTerm, Solution
    from cshortfall.optimize._question import Question
    from cshortfall.optimize._scenarios import Tail

_SHOWN = 10
_ROUNDING = 1e-12
"""Dual of a bound that is none, relative to the largest dual."""


@dataclass(frozen=True, eq=False, repr=False)
class OptimizationResult:
    """Weights with their certificate."""

    weights: Any
    """Weights, under the labels of the returns."""
    es: Any
    """Expected Shortfall of the P&L of these weights, before costs: the value of `cshortfall.es`. One for each level
    where several were given."""
    var: Any
    """Value at Risk, likewise."""
    mean: float
    """Mean of the P&L, before costs."""
    objective: float
    """What was minimised, net of costs; what was maximised counts negative."""
    lower_bound: float
    """What the objective of no allowed weights can fall below."""
    gap: float
    """(objective - lower_bound) / max(|objective|, 1e-3 times the median standard deviation of the assets)."""
    level: Any
    """The level, or an array of the levels."""
    duals: Mapping[str, float]
    """Change of the objective per unit of the number that a constraint was given, by name: each named row, each limit
    of ES, and the bounds that hold a weight. Empty where weights are whole numbers of something."""
    tail_indices: NDArray[np.int64]
    """Scenarios that make up the ES, ascending."""
    tail_weights: Floats
    """Share of each of them."""
    iterations: int
    passes: int
    """Passes over all scenarios."""
    seconds: float
    trades: Any = None
    """Weights minus the holdings before, where these were given."""
    costs: float = 0.0
    """Proportional costs of the trades."""
    state: object = field(default=None, repr=False)
    """From which a related optimisation begins, by ``start=``."""

    @property
    def ratio(self) -> float:
        """Mean over ES, both net of costs."""
        es = float(np.max(self.es)) + self.costs
        return (self.mean - self.costs) / es if es else float("nan")

    def __repr__(self) -> str:
        lines = [
            f"OptimizationResult(es={_figures(self.es)}, var={_figures(self.var)}, mean={self.mean:.6g}, "
            f"level={_figures(self.level)}",
            f"  objective = {self.objective:.10g}, at least {self.lower_bound:.10g} (gap {self.gap:.1e})",
        ]
        if self.trades is not None:
            lines.append(f"  costs     = {self.costs:.6g}, turnover {float(np.abs(_plain(self.trades)).sum()):.6g}")
        lines.append(f"  weights   = {_described(self.weights)}")
        binding = [(name, dual) for name, dual in self.duals.items() if dual != 0 and " bound of " not in name]
        if binding:
            lines.append("  duals     = " + ", ".join(f"{name} {dual:.6g}" for name, dual in binding[:_SHOWN]))
        lines.append(f"  {self.iterations} iterations, {self.passes} passes, {self.seconds:.3g} s")
        return "\n".join(lines) + ")"


OptimizationResult.__module__ = "cshortfall.optimize"


def _figures(value: Any) -> str:
    if np.ndim(value) == 0:
        return f"{float(value):.6g}"
    return "[" + ", ".join(f"{one:.6g}" for one in np.asarray(value).tolist()) + "]"


def _plain(weights: Any) -> Floats:
    """Return labelled weights as an array."""
    array: Floats = np.asarray(weights, dtype=np.float64).ravel()
    return array


def _described(weights: Any) -> str:
    """Write the largest weights with their labels."""
    values = _plain(weights)
    if hasattr(weights, "index"):
        names = list(weights.index)
    else:
        # pyarrow's `columns` are the columns themselves.
        names = list(getattr(weights, "column_names", getattr(weights, "columns", range(values.size))))
    held = [position for position in np.argsort(-np.abs(values), kind="stable").tolist() if values[position] != 0]
    text = ", ".join(f"{names[position]}: {values[position]:.4g}" for position in held[:_SHOWN])
    rest = len(held) - _SHOWN
    return f"{{{text}{f', and {rest} more' if rest > 0 else ''}}} of {values.size}"


def finish(
    question: Question,
    builder: Builder,
    program: Program,
    solution: Solution,
    terms: Sequence[tuple[float, RiskTerm]],
    level: Any,
    **changes: Any,
) -> OptimizationResult:
    """Return the result of a solved program; `terms` are the risks to report, with their shares in the tail."""
    assets, n = question.assets, question.assets.count
    weights = changes.pop("weights", solution.v[:n])
    tails = [term.scenarios.tail(weights, term.level, term.base) for _, term in terms]
    single = np.ndim(level) == 0
    indices, shares = _mixed([share for share, _ in terms], tails)
    base = terms[0][1].base if terms else None
    known: dict[str, Any] = {
        "weights": assets.label(weights),
        "es": tails[0].es if single else np.array([tail.es for tail in tails]),
        "var": tails[0].var if single else np.array([tail.var for tail in tails]),
        "mean": float(question.mean @ weights) + base_mean(question, base),
        "objective": solution.objective,
        "lower_bound": solution.lower_bound,
        "gap": solution.gap,
        "level": level,
        "duals": named_duals(question, builder, program, solution),
        "tail_indices": indices,
        "tail_weights": shares,
        "iterations": solution.iterations,
        "passes": solution.passes,
        "seconds": question.seconds,
        "trades": None if builder.current is None else assets.label(weights - builder.current),
        "costs": trading_costs(builder, weights),
        "state": solution.state,
    }
    return OptimizationResult(**{**known, **changes})


def trading_costs(builder: Builder, weights: Floats) -> float:
    """Return what it costs to come to these weights."""
    if builder.costs is None or builder.current is None:
        return 0.0
    return float(builder.costs @ np.abs(weights - builder.current))


def base_mean(question: Question, base: Floats | None) -> float:
    """Return the mean of a P&L that no weight changes: minus its ES at level zero."""
    if base is None:
        return 0.0
    return -question.scenarios.es_var(np.zeros(question.assets.count), 0.0, base)[0]


def _mixed(weights: Sequence[float], tails: Sequence[Tail]) -> tuple[NDArray[np.int64], Floats]:
    """Return the scenarios behind a mixture of ES and their shares."""
    if not tails:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    if len(tails) == 1:
        return tails[0].indices, tails[0].weights
    total = sum(weights)
    indices, places = np.unique(np.concatenate([tail.indices for tail in tails]), return_inverse=True)
    parts = [weight / total * tail.weights for weight, tail in zip(weights, tails, strict=True)]
    return indices, np.asarray(np.bincount(places, np.concatenate(parts)), dtype=np.float64)


def named_duals(question: Question, builder: Builder, program: Program, solution: Solution) -> dict[str, float]:
    """Return the duals in terms of the numbers that the caller gave."""
    if program.integers is not None and program.integers.any():
        return {}
    duals: dict[str, float] = {}
    for names, values in (
        (program.names_eq, solution.duals_eq),
        (program.names_ub, solution.duals_ub),
        ([limit.name for limit in program.limits], solution.duals_limits),
    ):
        for name, value in zip(names, values.tolist(), strict=True):
            if name:
                duals[name] = builder.signs.get(name, 1.0) * value + 0.0
    return {**duals, **bound_duals(question.assets.names, program, solution)}


def bound_duals(names: Sequence[Any], program: Program, solution: Solution) -> dict[str, float]:
    """Return the duals of the bounds that hold a quantity; what rounding leaves for others is none."""
    n = len(names)
    values = solution.duals_bounds[:n]
    others = (solution.duals_eq, solution.duals_ub, solution.duals_limits, values)
    size = max(float(np.abs(duals).max(initial=0.0)) for duals in others)
    bounds = np.where(values > 0, program.lower[:n], program.upper[:n])
    holding = np.isfinite(bounds) & (np.abs(values) > _ROUNDING * size)
    return {
        bound_name(names[asset], values[asset] > 0): float(values[asset]) for asset in np.flatnonzero(holding).tolist()
    }
