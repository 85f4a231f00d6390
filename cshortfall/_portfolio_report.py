"""What the command line says about an optimised portfolio, as plain data; nothing here knows a terminal or a page."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall._observations import Observations, Portfolio
from cshortfall.decompose import decompose
from cshortfall.estimate import es
from cshortfall.optimize import Frontier, OptimizationResult, RiskBudget
from cshortfall.report import WorstOutcome, worst_outcomes

if TYPE_CHECKING:
    from cshortfall._arguments import Floats

TITLES = {
    "min-es": "Portfolio of least ES",
    "max-return": "Portfolio of largest mean",
    "max-ratio": "Portfolio of largest mean/ES",
    "risk-parity": "Portfolio of equal contributions to ES",
}
NOTHING = 1e-9
"""A weight this small is that of an asset which is not held."""


@dataclass(frozen=True)
class Holding:
    """One asset of the portfolio."""

    name: str
    weight: float
    standalone_es: float
    """ES of the holding by itself."""
    es: float
    """What it contributes to the ES of the portfolio, by `cshortfall.decompose`."""
    share: float
    """The same as a share of that ES."""


@dataclass(frozen=True)
class Certificate:
    """What was optimised, and how far from the optimum it can be."""

    measure: str
    """As in "ES" or "mean"."""
    largest: bool
    """Whether more of it is better."""
    value: float
    bound: float
    """What no allowed weights have less of, or more."""
    gap: float


@dataclass(frozen=True)
class Point:
    """One portfolio of the frontier."""

    mean: float
    es: float
    var: float
    ratio: float
    gap: float
    weights: tuple[float, ...]


@dataclass(frozen=True)
class PortfolioReport:
    """An optimised portfolio with its certificate, its parts, and the frontier if one was asked for."""

    source: str
    objective: str
    """As on the command line: "min-es" and so on."""
    level: float
    n_rows: int
    first_label: str | None
    last_label: str | None
    row: str
    """What one row is: "day" or "row"."""
    missing: int
    """Rows left out for missing values."""
    left_out: dict[str, str]
    """Columns not used, with the reason."""
    percent: bool
    """Whether people see the numbers as per cent."""
    names: tuple[str, ...]
    weights: tuple[float, ...]
    es: float
    var: float
    mean: float
    costs: float
    turnover: float | None
    certificate: Certificate
    duals: dict[str, float]
    """Of the constraints that bind: change of what is optimised for one more unit of the limit."""
    holdings: tuple[Holding, ...]
    """Assets that are held, the largest first."""
    worst: tuple[WorstOutcome, ...]
    frontier: tuple[Point, ...]
    iterations: int
    passes: int
    seconds: float

    @property
    def title(self) -> str:
        """What the portfolio is the best in."""
        return TITLES[self.objective]

    @property
    def ratio(self) -> float:
        """Mean over ES, both net of costs."""
        return _ratio(self.mean - self.costs, self.es + self.costs)


def portfolio_report(
    table: Observations,
    probabilities: Floats | None,
    result: OptimizationResult | RiskBudget,
    frontier: Frontier | None,
    objective: str,
    **headings: Any,
) -> PortfolioReport:
    """Put together what there is to say; `headings` are the fields that only the caller knows."""
    weights = np.asarray(result.weights, dtype=np.float64).ravel()
    held = np.abs(weights) > NOTHING
    chosen = dict(zip(table.names, np.where(held, weights, 0.0).tolist(), strict=True))
    labels = table.labels
    mean = float(np.average(table.values, axis=0, weights=probabilities) @ weights)
    trades = getattr(result, "trades", None)
    return PortfolioReport(
        objective=objective,
        n_rows=len(table.values),
        first_label=None if labels is None else labels[0],
        last_label=None if labels is None else labels[-1],
        names=table.names,
        weights=tuple(weights.tolist()),
        es=float(result.es),
        var=float(result.var),
        mean=mean,
        costs=getattr(result, "costs", 0.0),
        turnover=None if trades is None else float(np.abs(np.asarray(trades, dtype=np.float64)).sum()),
        certificate=_certificate(result, objective),
        duals=_binding(result, objective),
        holdings=_holdings(table, probabilities, weights, held, headings["level"]),
        worst=worst_outcomes(Portfolio.of(table, chosen, probabilities), table, "lower") if held.any() else (),
        frontier=() if frontier is None else tuple(map(_point, frontier)),
        iterations=result.iterations,
        passes=result.passes,
        seconds=result.seconds,
        **headings,
    )


def as_dict(report: PortfolioReport) -> dict[str, Any]:
    """Return everything in built-in types for strict JSON: what is not finite becomes None."""
    content: dict[str, Any] = _plain(dataclasses.asdict(report))
    content["ratio"] = _plain(report.ratio)
    content["weights"] = dict(zip(report.names, content["weights"], strict=True))
    for point in content["frontier"]:
        point["weights"] = dict(zip(report.names, point["weights"], strict=True))
    del content["names"]
    return content


def sorted_duals(report: PortfolioReport) -> list[tuple[str, float]]:
    """Return the duals by size, those of bounds of single assets last."""
    return sorted(report.duals.items(), key=lambda item: (" bound of " in item[0], -abs(item[1])))


def held_assets(report: PortfolioReport, point: Point) -> list[tuple[str, float]]:
    """Return the assets that a portfolio of the frontier holds, with their weights, the largest first."""
    pairs = [(name, weight) for name, weight in zip(report.names, point.weights, strict=True) if abs(weight) > NOTHING]
    return sorted(pairs, key=lambda pair: -abs(pair[1]))


def _plain(item: Any) -> Any:
    if isinstance(item, dict):
        return {name: _plain(value) for name, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [_plain(value) for value in item]
    return None if isinstance(item, float) and not math.isfinite(item) else item


def _certificate(result: OptimizationResult | RiskBudget, objective: str) -> Certificate:
    if isinstance(result, RiskBudget):
        return Certificate("log risk budget", False, result.objective, result.lower_bound, result.gap)
    if objective == "min-es":
        return Certificate("ES", False, result.objective, result.lower_bound, result.gap)
    measure = "mean" if objective == "max-return" else "mean/ES"
    return Certificate(measure, True, -result.objective, -result.lower_bound, result.gap)


def _binding(result: OptimizationResult | RiskBudget, objective: str) -> dict[str, float]:
    """Return the duals that are not zero beyond rounding, in the sense of what is optimised."""
    if isinstance(result, RiskBudget):
        return {}
    sign = 1.0 if objective == "min-es" else -1.0
    least = NOTHING * max(abs(result.objective), max(map(abs, result.duals.values()), default=0.0))
    return {name: sign * dual for name, dual in result.duals.items() if abs(dual) > least}


def _holdings(
    table: Observations, probabilities: Floats | None, weights: Floats, held: Any, level: float
) -> tuple[Holding, ...]:
    places = [int(place) for place in np.argsort(-weights, kind="stable") if held[place]]
    if not places:
        return ()
    components = decompose(table.values, weights, level, probabilities=probabilities).component
    apart = es(table.values[:, places] * weights[places], level, axis=0, weights=probabilities)
    whole = float(components.sum())
    return tuple(
        Holding(
            table.names[place], float(weights[place]), alone, float(components[place]), _ratio(components[place], whole)
        )
        for place, alone in zip(places, apart.tolist(), strict=True)
    )


def _point(result: OptimizationResult) -> Point:
    weights = np.asarray(result.weights, dtype=np.float64).ravel()
    return Point(result.mean, float(result.es), float(result.var), result.ratio, result.gap, tuple(weights.tolist()))


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else math.nan
