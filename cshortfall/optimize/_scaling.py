"""A program in numbers of size one: returns near their deviation, variables near the size of the positions.

All factors are powers of two, so that scaling and back is exact: with returns of 1e-7, or of 100, the tolerances of a
solver, which are absolute, mean the same, and a scaled loss is the loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cshortfall._arguments import Floats
    from cshortfall.optimize._program import Program
    from cshortfall.optimize._scenarios import Scenarios, TailRows

# Deviations of columns within this factor are alike; beyond the other a column is left as it is.
ALIKE = 64.0
EXTREME = 2.0**30
# Below it the reciprocal of a scale may overflow.
SMALLEST = 1e-305
# Scenarios that tell a constant from one that varies.
SCALE_SAMPLE = 100


@dataclass(frozen=True, eq=False)
class ScaledTerm:
    """A risk term of scaled variables: losses are ``-(base + rows @ x)`` with x the scaled quantities of assets."""

    scenarios: Scenarios
    level: float
    base: Floats | None
    exposure: Floats | None
    """What the variables are multiplied by: the term's exposure, and the columns' own scales."""
    scale: float
    """What rows and base are multiplied by."""

    @property
    def n_scenarios(self) -> int:
        return self.scenarios.n_scenarios

    @property
    def n_assets(self) -> int:
        return self.scenarios.n_assets

    @cached_property
    def mass(self) -> float:
        """Probability of the tail."""
        return self.scenarios.tail_mass(self.level)

    def quantities(self, v: Floats) -> Floats:
        """Return what the scenarios are multiplied by."""
        x = v[: self.n_assets]
        return x if self.exposure is None else x * self.exposure

    def exposed(self, rows: Floats) -> Floats:
        """Rows as the coefficients of the variables."""
        return rows if self.exposure is None else rows * self.exposure

    def tail_rows(self, v: Floats, above: int, below: int) -> TailRows:
        """Return the tail at v; its rows are those of the scenarios, without the exposure."""
        return self.scenarios.tail_rows(self.quantities(v), self.level, self.base, above, below, self.scale)

    def sample(self, size: int) -> ScaledTerm:
        """Return the same of a random sample of scenarios; itself where that would be all."""
        if size >= self.n_scenarios:
            return self
        scenarios, base = self.scenarios.sample(size, self.base)
        return ScaledTerm(scenarios, self.level, base, self.exposure, self.scale)


@dataclass(frozen=True, eq=False)
class ScaledLimit:
    """``ES + slope @ v <= limit`` of scaled variables."""

    slope: Floats
    limit: float
    name: str


@dataclass(frozen=True, eq=False)
class ScaledProgram:
    """`Program` for ``v / columns``, its objective over ``unit * position``, rows over their largest coefficient."""

    n_assets: int
    cost: Floats
    weights: tuple[float, ...]
    """Of the first terms, those of the objective; the rest belong to the limits, in order."""
    terms: tuple[ScaledTerm, ...]
    limits: tuple[ScaledLimit, ...]
    lower: Floats
    upper: Floats
    A_eq: Floats
    b_eq: Floats
    A_ub: Floats
    b_ub: Floats
    unit: float
    position: float
    columns: Floats
    """`position` for assets; for the others what makes their coefficients in risk limits near one."""
    scale_eq: Floats
    scale_ub: Floats
    objective_scale: float

    @property
    def n_variables(self) -> int:
        return int(self.cost.size)

    def reduced_costs(self, cost: Floats, pi: Floats, nu: Floats) -> Floats:
        """Return what multipliers of the equalities and inequalities leave of a cost."""
        reduced: Floats = cost - self.A_eq.T @ pi + self.A_ub.T @ nu
        return reduced

    @cached_property
    def lifts(self) -> list[int]:
        """Variables that cost something, stand in no row and only raise risk limits: the largest of several risks."""
        lifts = []
        for place in range(self.n_assets, self.n_variables):
            slopes = np.array([limit.slope[place] for limit in self.limits])
            alone = not self.A_eq[:, place].any() and not self.A_ub[:, place].any()
            if alone and self.cost[place] > 0 and slopes.any() and (slopes <= 0).all():
                lifts.append(place)
        return lifts

    def lifted(self, v: Floats, risks: Floats) -> Floats:
        """Set these variables to what the risks of the limits need."""
        for place in self.lifts:
            needed = [
                (risk + float(limit.slope @ v) - limit.limit) / -limit.slope[place] + v[place]
                for limit, risk in zip(self.limits, risks, strict=True)
                if limit.slope[place]
            ]
            v = v.copy()
            v[place] = min(max([float(self.lower[place]), *needed]), float(self.upper[place]))
        return v


def power_of_two(size: float) -> float:
    """Return the power of two next to a positive size; 1 for anything else."""
    if not (size > 0 and math.isfinite(size)):
        return 1.0
    return math.ldexp(1.0, round(math.log2(size)))


def scaled(program: Program, position: float, deviation: float, sizes: Floats | None = None) -> ScaledProgram:
    """Scale a program.

    Parameters
    ----------
    program : Program
    position : float
        Size of the positions, positive.
    deviation : float
        Size of the assets' P&L, positive.
    sizes : array, shape (n_assets,), optional
        Sizes of the columns; they get scales of their own where these are very different.
    """
    position = power_of_two(position)
    unit = power_of_two(deviation)
    own = _column_scales(sizes, unit)
    terms = tuple(
        ScaledTerm(
            term.scenarios,
            term.level,
            None if term.base is None else term.base / position,
            own if term.exposure is None else term.exposure if own is None else term.exposure * own,
            1 / unit,
        )
        for term in program.terms
    )
    columns = np.full(program.n_variables, position)
    if own is not None:
        columns[: program.n_assets] *= own
    for place in range(program.n_assets, program.n_variables):
        slope = max((abs(float(limit.slope[place])) for limit in program.limits), default=0.0)
        columns[place] *= power_of_two(unit / slope) if slope > 0 else 1.0
    size = unit * position
    A_eq, A_ub = program.A_eq * (columns / position), program.A_ub * (columns / position)
    scale_eq, scale_ub = _row_scales(A_eq), _row_scales(A_ub)
    weights = tuple(weight for weight, _ in program.risks)
    cost = program.cost * columns / size
    risk = sum(weights)
    return ScaledProgram(
        n_assets=program.n_assets,
        cost=cost,
        weights=weights,
        terms=terms,
        limits=tuple(
            ScaledLimit(limit.slope * columns / size, limit.limit / size, limit.name) for limit in program.limits
        ),
        lower=program.lower / columns,
        upper=program.upper / columns,
        A_eq=A_eq / scale_eq[:, None],
        b_eq=program.b_eq / position / scale_eq,
        A_ub=A_ub / scale_ub[:, None],
        b_ub=program.b_ub / position / scale_ub,
        unit=unit,
        position=position,
        columns=columns,
        scale_eq=scale_eq,
        scale_ub=scale_ub,
        objective_scale=risk if risk > 0 else max(float(np.abs(cost).max(initial=0.0)), 1e-300),
    )


def _column_scales(sizes: Floats | None, unit: float) -> Floats | None:
    """Return powers of two that make columns alike, None where they nearly are."""
    if sizes is None or not (sizes > 0).any():
        return None
    sizes = np.where(sizes > 0, sizes, unit) / unit
    if sizes.max() <= ALIKE * sizes.min():
        return None
    return np.array([power_of_two(1 / min(max(size, 1 / EXTREME), EXTREME)) for size in sizes.tolist()])


def _row_scales(rows: Floats) -> Floats:
    return np.array([power_of_two(float(np.abs(row).max(initial=0.0))) for row in rows])


def asset_sizes(program: Program) -> Floats:
    """Return the deviation of each asset's P&L over the first term; the size of a constant one, which may be zero."""
    scenarios = program.terms[0].scenarios
    deviation = scenarios.deviation()
    few, _ = scenarios.sample(min(SCALE_SAMPLE, scenarios.n_scenarios), None)
    size = np.abs(few.mean())
    # A constant column deviates by rounding errors.
    return np.where(deviation > 1e-13 * size, deviation, size)


def typical_size(sizes: Floats) -> float:
    """Return the median of the positive sizes, 1 if there are none."""
    positive = sizes[sizes > 0]
    size = float(np.median(positive)) if positive.size else 1.0
    if size < SMALLEST:
        raise ValueError(f"the returns are near {size:.1g}, where doubles end; rescale the returns")
    return size


def position_size(program: Program) -> float:
    """Return the size of the positions: of budgets, else of bounds, else one."""
    rows = np.abs(program.A_eq).max(axis=1, initial=0.0)
    sides = np.abs(program.b_eq)
    chosen = (rows > 0) & (sides > 0)
    if chosen.any():
        return float((sides[chosen] / rows[chosen]).max())
    bounds = np.abs(np.concatenate((program.lower, program.upper))[: 2 * program.n_assets])
    bounds = bounds[np.isfinite(bounds) & (bounds > 0)]
    return float(np.median(bounds)) if bounds.size else 1.0
