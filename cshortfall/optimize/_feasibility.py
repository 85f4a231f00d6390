"""What the linear part of a program says by itself: bounds that follow from its rows, and why nothing satisfies it.

A row without a name defines an auxiliary variable (an absolute value, a binary choice) and so does a bound of a
variable that is no asset: neither can be violated, and neither is ever part of a conflict.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linprog  # type: ignore[import-untyped]
from scipy.sparse import csr_array, eye_array, hstack  # type: ignore[import-untyped]

from cshortfall.optimize._errors import InfeasibleError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.optimize._program import Program, Solution

_ROUNDS = 20
_FEASIBLE = 1e-9
"""Violation of scaled rows that rounding explains."""
_HOLDS = 1e-7
"""Multiplier from which on a constraint is part of a contradiction."""
_CHECKS = 200
"""Programs solved at most to find out which constraints of a conflict can be spared."""
_PATIENCE = 10.0
"""Seconds for each of them."""
_OUT_OF_TIME = 1
_EPSILON = float(np.finfo(float).eps)


def implied_bounds(program: Program) -> tuple[Floats, Floats]:
    """Return bounds of the variables that follow from their own bounds and one row at a time.

    They are never wider than those of the program, hold for every feasible point in spite of rounding, and need not be
    the tightest; where none follows they stay infinite. Of a program without feasible points a lower bound may lie
    above the upper one.
    """
    rows = _Entries(
        np.concatenate([program.A_ub, program.A_eq, -program.A_eq]),
        np.concatenate([program.b_ub, program.b_eq, -program.b_eq]),
    )
    lower, upper = program.lower.astype(float), program.upper.astype(float)
    for _ in range(_ROUNDS):
        tighter_lower, tighter_upper = rows.propagate(lower, upper)
        moved = _clearly_above(tighter_lower, lower) | _clearly_above(-tighter_upper, -upper)
        lower, upper = np.maximum(lower, tighter_lower), np.minimum(upper, tighter_upper)
        if not moved.any() or (lower > upper).any():
            break
    return lower, upper


def _clearly_above(one: Floats, other: Floats) -> NDArray[np.bool_]:
    """Whether lower bounds moved by more than rounding, or from infinity."""
    with np.errstate(invalid="ignore"):
        above: NDArray[np.bool_] = one - other > 1e-9 * np.maximum(1.0, np.abs(one))
    return above


class _Entries:
    """The coefficients of rows ``a @ v <= limit`` that are not zero."""

    def __init__(self, rows: Floats, limits: Floats) -> None:
        self._limits = limits
        self._row, self._column = np.nonzero(rows)
        self._coefficient = rows[self._row, self._column]
        self._rises = self._coefficient > 0

    def propagate(self, lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
        """Return the bounds that each row leaves a variable when all others are where they help it most."""
        count = self._limits.size
        # Where a term is least, and whether it falls for ever.
        at = np.where(self._rises, lower[self._column], upper[self._column])
        endless = np.isinf(at)
        least = self._coefficient * np.where(endless, 0.0, at)
        falling = np.bincount(self._row, endless, count)
        size = np.bincount(self._row, np.abs(least), count) + np.abs(self._limits)
        rounding = 4 * (lower.size + 2) * _EPSILON * size
        slack = self._limits - np.bincount(self._row, least, count) + rounding
        # A row with a term that falls for ever tells about that term alone, and with two of them about none.
        told = falling[self._row] == endless
        row, column = self._row[told], self._column[told]
        with np.errstate(over="ignore"):
            reach = (slack[row] + least[told]) / self._coefficient[told]
        up = self._rises[told]
        tighter_lower, tighter_upper = np.full(lower.size, -np.inf), np.full(lower.size, np.inf)
        np.minimum.at(tighter_upper, column[up], reach[up])
        np.maximum.at(tighter_lower, column[~up], reach[~up])
        return tighter_lower, tighter_upper


def explain(program: Program) -> InfeasibleError | None:
    """Say why no variables satisfy the linear part of a program; None where some do.

    Limits of ES are left out.
    """
    part = _LinearPart(program)
    violation = part.least_violation()
    if violation <= _FEASIBLE:
        return None
    conflict = part.conflict()
    together = "together" if len(conflict) > 1 else "by whole numbers" if part.whole.any() else "by itself"
    return InfeasibleError(
        f"no weights satisfy the constraints: {listed(conflict)} cannot hold {together} (the least violation is "
        f"{violation:.3g}); loosen or drop one of them",
        violation=violation,
        conflict=conflict,
    )


def explain_limits(program: Program, solve: Callable[[Program], Solution]) -> InfeasibleError | None:
    """Say why no variables satisfy the limits of ES along with the linear part, which can be satisfied by itself.

    None where some do. `solve` minimises programs; the violation is the least sum of what the ESs exceed their limits
    by, in the unit of the ES.
    """
    relaxed = solve(_relaxed_limits(program))
    violation = float(relaxed.v[program.n_variables :].sum())
    if relaxed.lower_bound <= 1e-9 * max(relaxed.scale, np.finfo(float).tiny):
        return None
    holding = [limit for limit, dual in zip(program.limits, relaxed.duals_limits, strict=True) if abs(dual) > _HOLDS]
    conflict = (*(limit.name for limit in holding), *_linear_conflict(program, relaxed))
    for limit in holding if len(program.limits) > 1 else ():
        fewer = explain_limits(
            replace(program, limits=tuple(other for other in program.limits if other is not limit)), solve
        )
        if fewer is not None:
            conflict = fewer.conflict
            break
    return InfeasibleError(
        f"no weights satisfy the constraints: {listed(conflict)} cannot hold together (ES exceeds its limits by at "
        f"least {violation:.3g}); loosen or drop one of them",
        violation=violation,
        conflict=conflict,
    )


def _linear_conflict(program: Program, relaxed: Solution) -> list[str]:
    """Return the names of the rows and bounds that keep the excess of the ES limits where it is."""
    part = _LinearPart(program)
    if program.integers is not None:
        # The multipliers are those of one branch only.
        return [name for name in part.names if name]
    size = np.concatenate([part.sizes[: part.n_ub] * relaxed.duals_ub, part.sizes[part.n_ub :] * relaxed.duals_eq])
    duals = np.abs(np.concatenate([size, relaxed.duals_bounds[: program.n_assets]]))
    holding = duals > _HOLDS * max(float(duals.max(initial=0.0)), np.finfo(float).tiny)
    rows = [part.names[i] for i in np.flatnonzero(holding[: len(part.names)]) if part.names[i]]
    bounds = np.flatnonzero(holding[len(part.names) :]).tolist()
    return [*rows, *(part.bound_name(j, relaxed.duals_bounds[j] > 0) for j in bounds)]


def _relaxed_limits(program: Program) -> Program:
    """Return the program of the least sum of violations of the ES limits, one more variable for each."""
    n, count = program.n_variables, len(program.limits)
    limits = tuple(
        replace(limit, slope=np.concatenate([limit.slope, -(np.arange(count) == position).astype(float)]))
        for position, limit in enumerate(program.limits)
    )
    return replace(
        program,
        cost=np.concatenate([np.zeros(n), np.ones(count)]),
        risks=(),
        lower=np.concatenate([program.lower, np.zeros(count)]),
        upper=np.concatenate([program.upper, np.full(count, np.inf)]),
        A_eq=np.pad(program.A_eq, ((0, 0), (0, count))),
        A_ub=np.pad(program.A_ub, ((0, 0), (0, count))),
        limits=limits,
        integers=None if program.integers is None else np.pad(program.integers, (0, count)),
    )


def listed(names: Sequence[str], most: int = 8) -> str:
    """Write names as a phrase, abridged where they are many."""
    shown = list(names)
    for side in ("lower", "upper"):
        own = [name for name in shown if name.startswith(f"{side} bound of ")]
        if len(shown) > most and len(own) > 2:
            shown = [name for name in shown if name not in own]
            shown.append(f"the {side} bounds of {len(own)} assets")
    if len(shown) > most:
        return ", ".join(shown[:most]) + f" and {len(shown) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


class _LinearPart:
    """Rows and bounds of a program, each row divided by its largest coefficient; constraints are switched by number.

    Constraint i is row i of A_ub, then of A_eq; then come the lower bounds of the assets and their upper ones.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.n_ub = len(program.b_ub)
        self.names = (*program.names_ub, *program.names_eq)
        rows = np.concatenate([program.A_ub, program.A_eq])
        sizes = np.abs(rows).max(axis=1, initial=0.0)
        self.sizes = np.where(sizes > 0, sizes, 1.0)
        self._rows = csr_array(rows / self.sizes[:, np.newaxis])
        self._limits = np.concatenate([program.b_ub, program.b_eq]) / self.sizes
        self._named = np.array([bool(name) for name in self.names], dtype=bool)
        n = program.n_variables
        self.whole = np.zeros(n, dtype=bool) if program.integers is None else program.integers
        self._duals: Floats = np.zeros(0)
        self._checks = 0

    def bound_name(self, asset: int, lower: bool) -> str:
        """Return the name of a bound of an asset."""
        return bound_name(asset if self.program.assets is None else self.program.assets[asset], lower)

    def least_violation(self, kept: NDArray[np.bool_] | None = None) -> float:
        """Return the least sum of violations of the named rows among those kept."""
        program, m, n = self.program, len(self.names), self.program.n_variables
        keep = np.ones(m + 2 * program.n_assets, dtype=bool) if kept is None else kept
        chosen = np.flatnonzero(keep[:m])
        parts = [chosen[chosen < self.n_ub], chosen[chosen >= self.n_ub]]
        slack_ub, slack_eq = (eye_array(part.size, format="csc")[:, self._named[part]] for part in parts)
        extra = slack_ub.shape[1] + 2 * slack_eq.shape[1]
        none_eq = csr_array((parts[1].size, slack_ub.shape[1]))
        none_ub = csr_array((parts[0].size, 2 * slack_eq.shape[1]))
        lower, upper = program.lower.copy(), program.upper.copy()
        own = keep[m:].reshape(2, program.n_assets)
        lower[: program.n_assets][~own[0]] = -np.inf
        upper[: program.n_assets][~own[1]] = np.inf
        answer = linprog(
            np.concatenate([np.zeros(n), np.ones(extra)]),
            A_ub=hstack([self._rows[parts[0]], -slack_ub, none_ub]),
            b_ub=self._limits[parts[0]],
            A_eq=hstack([self._rows[parts[1]], none_eq, slack_eq, -slack_eq]),
            b_eq=self._limits[parts[1]],
            bounds=np.column_stack([np.pad(lower, (0, extra)), np.pad(upper, (0, extra), constant_values=np.inf)]),
            integrality=np.pad(self.whole, (0, extra)) if self.whole.any() else None,
            method="highs",
            options={"time_limit": _PATIENCE},
        )
        self._duals = np.zeros(0)
        if answer.status == _OUT_OF_TIME:
            return 0.0
        if answer.status != 0:
            # The definitions alone contradict each other: no slack of a constraint helps.
            return np.inf
        if not self.whole.any():
            self._duals = np.zeros(keep.size)
            self._duals[parts[0]], self._duals[parts[1]] = answer.ineqlin.marginals, answer.eqlin.marginals
            self._duals[m:] = np.concatenate(
                [answer.lower.marginals[: program.n_assets], answer.upper.marginals[: program.n_assets]]
            )
        return float(answer.fun)

    def conflict(self) -> tuple[str, ...]:
        """Return the names of a set of constraints that cannot hold together, after `least_violation` of them all.

        Multipliers that prove the violation give a set that is small already. Of it none can be spared, unless it is so
        large that finding out would take long.
        """
        m = len(self.names)
        candidates = np.ones(m + 2 * self.program.n_assets, dtype=bool)
        if self._duals.size:
            proven = np.abs(self._duals) > _HOLDS
            if self._contradict(np.flatnonzero(proven)):
                candidates = proven
        candidates[:m] &= self._named
        self._checks = 0
        kept = self._minimal(np.zeros(0, dtype=np.int64), False, np.flatnonzero(candidates))
        return tuple(
            self.names[position]
            if position < m
            else self.bound_name((position - m) % self.program.n_assets, position - m < self.program.n_assets)
            for position in sorted(kept.tolist())
        )

    def _contradict(self, constraints: NDArray[np.int64]) -> bool:
        """Whether these constraints, along with the definitions, cannot hold together."""
        kept = np.zeros(len(self.names) + 2 * self.program.n_assets, dtype=bool)
        kept[: len(self.names)] = ~self._named
        kept[constraints] = True
        return self.least_violation(kept) > _FEASIBLE

    def _minimal(self, given: NDArray[np.int64], grown: bool, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return candidates that contradict each other along with those given, none to spare (Junker's QuickXplain).

        Later ones are spared first. After too many checks the candidates are returned as they are.
        """
        self._checks += grown
        if grown and self._checks <= _CHECKS and self._contradict(given):
            return candidates[:0]
        if candidates.size == 1 or self._checks > _CHECKS:
            return candidates
        first, second = np.array_split(candidates, 2)
        of_second = self._minimal(np.concatenate([given, first]), True, second)
        of_first = self._minimal(np.concatenate([given, of_second]), of_second.size > 0, first)
        return np.concatenate([of_first, of_second])


def bound_name(asset: object, lower: bool) -> str:
    """Return the name of a bound of an asset."""
    return f"{'lower' if lower else 'upper'} bound of {asset}"
