"""The one form every question takes before it is solved: a linear program with Expected Shortfalls in it.

    minimise    cost @ v + sum of weight * ES(term, v)
    subject to  lower <= v <= upper,  A_eq @ v == b_eq,  A_ub @ v <= b_ub,
                ES(term, v) + slope @ v <= limit   for each risk limit,
                v whole where `integers` says so.

The first `n_assets` of the variables v are quantities of assets, one for each column of the scenarios; those behind
them (trades, absolute values, binary choices, the scale of a homogeneous program) are in no scenario. A `RiskTerm` is
the ES of the P&L ``base + scenarios @ (exposure * v[:n_assets])``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.optimize._scenarios import Scenarios


@dataclass(frozen=True, eq=False)
class RiskTerm:
    """The ES at one level of a portfolio's P&L."""

    scenarios: Scenarios
    level: float
    base: Floats | None = None
    """P&L of each scenario that no variable changes, shape (n_scenarios,): a book to hedge, minus a benchmark."""
    exposure: Floats | None = None
    """Multiplies the quantities, shape (n_assets,): a sub-portfolio has zeros; None is ones."""


@dataclass(frozen=True, eq=False)
class RiskLimit:
    """The constraint ``ES(term, v) + slope @ v <= limit``."""

    term: RiskTerm
    slope: Floats
    limit: float
    name: str


@dataclass(frozen=True, eq=False)
class Program:
    """A linear program with Expected Shortfalls; see the module's first lines. All arrays are float64."""

    n_assets: int
    cost: Floats
    risks: tuple[tuple[float, RiskTerm], ...]
    """Pairs (weight > 0, term) of the objective."""
    lower: Floats
    upper: Floats
    A_eq: Floats
    b_eq: Floats
    A_ub: Floats
    b_ub: Floats
    names_eq: tuple[str, ...]
    names_ub: tuple[str, ...]
    limits: tuple[RiskLimit, ...] = ()
    integers: NDArray[np.bool_] | None = None
    assets: Sequence[object] | None = None
    """What messages call the assets; by default their positions."""

    @property
    def n_variables(self) -> int:
        """Number of variables: of the assets and of the others."""
        return int(self.cost.size)

    @property
    def terms(self) -> tuple[RiskTerm, ...]:
        """The terms of the objective, then those of the limits."""
        return (*(term for _, term in self.risks), *(limit.term for limit in self.limits))

    def recession(self) -> Program:
        """Return the program of directions: without constants, without whole numbers, no step longer than one.

        A direction that lowers its objective can be followed for ever.
        """
        return replace(
            self,
            risks=tuple((weight, replace(term, base=None)) for weight, term in self.risks),
            lower=np.where(np.isfinite(self.lower), 0.0, -1.0),
            upper=np.where(np.isfinite(self.upper), 0.0, 1.0),
            b_eq=np.zeros_like(self.b_eq),
            b_ub=np.zeros_like(self.b_ub),
            limits=tuple(replace(limit, term=replace(limit.term, base=None), limit=0.0) for limit in self.limits),
            integers=None,
        )


@dataclass(frozen=True, eq=False)
class Solution:
    """Values of the variables with their certificate."""

    v: Floats
    objective: float
    """``cost @ v + sum of weight * ES``, each ES that of `cshortfall.es`."""
    lower_bound: float
    """What no feasible v can fall below, found from densities and multipliers and not from a solver's objective."""
    gap: float
    """(objective - lower_bound) / max(|objective|, 1e-3 * scale)."""
    scale: float
    """Median standard deviation of the assets' P&L, times the size of the positions: a power of two, 1 for budget 1."""
    duals_eq: Floats
    """Change of the optimum per unit of b_eq; the same for b_ub (at most 0), bounds and limits below."""
    duals_ub: Floats
    duals_bounds: Floats
    """Change of the optimum per unit of the bound that holds v: positive at a lower bound, negative at an upper one."""
    duals_limits: Floats
    iterations: int
    passes: int
    """Passes over all scenarios."""
    seconds: float
    state: object = field(default=None, repr=False)
    """What a solver keeps to begin a related program from."""
