"""Bounds that trust no solver: a linear function's least value over the polyhedron, from multipliers that are repaired.

Any multipliers give a bound on ``c @ v`` over ``lower <= v <= upper, A_eq @ v == b_eq, A_ub @ v <= b_ub``:

    pi @ b_eq - nu @ b_ub + sum of min(d_i lower_i, d_i upper_i),    d = c - A_eq' pi + A_ub' nu,  nu >= 0,

whatever tolerances they were found with. HiGHS only supplies good ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cshortfall.optimize._linear import Status, solve_linear

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.optimize._cuts import Attested
    from cshortfall.optimize._scaling import ScaledProgram

# A variable without a bound needs d = 0, which rounding misses: bounds hold for variables up to this many times the
# largest of the weights at hand.
REACH = 1e4
# A weight this near to a bound is at it, a multiplier this small is none; relative.
CLOSE = 1e-7


class Polyhedron:
    """The linear constraints of a scaled program, with bounds for every variable."""

    def __init__(self, program: ScaledProgram, lower: Floats, upper: Floats) -> None:
        self.program = program
        self.lower = lower
        self.upper = upper
        single_row = program.b_eq.size == 1 and not program.b_ub.size
        row = program.A_eq[0] if single_row else np.zeros(0)
        self.knapsack = bool(single_row and (row > 0).all() and np.isfinite(lower).all() and np.isfinite(upper).all())
        ends = (program.lower <= 0).all() and (program.upper >= 0).all()
        self._zero = bool(ends and (program.b_eq == 0).all() and (program.b_ub >= 0).all())
        """Whether nothing forbids that all variables are zero."""

    def bound(self, cost: Floats, pi: Floats, nu: Floats, rounding: Floats, reach: float) -> float:
        """Return the bound of any multipliers; `rounding` is that of the cost."""
        program = self.program
        nu = np.maximum(nu, 0.0)
        d = program.reduced_costs(cost, pi, nu)
        far = REACH * reach
        # Rounding of d: products and sums of a few hundred numbers.
        slack = rounding + 4e-16 * (np.abs(program.A_eq.T) @ np.abs(pi) + np.abs(program.A_ub.T) @ nu)
        open_below, open_above = ~np.isfinite(self.lower), ~np.isfinite(self.upper)
        if _falls(d, slack, open_below, open_above):
            return -float("inf")
        low = np.where(open_below, -far, self.lower)
        high = np.where(open_above, far, self.upper)
        bound = float(pi @ program.b_eq - nu @ program.b_ub + np.minimum(d * low, d * high).sum())
        if bound < 0 and self._zero:
            # The cost is nowhere negative if it falls in no direction that the constraints without room at zero leave:
            # as exact a statement, and one without a reach.
            tight = np.where(program.b_ub > 0, 0.0, nu)
            if not _falls(program.reduced_costs(cost, pi, tight), slack, program.lower < 0, program.upper > 0):
                return 0.0
        return bound

    def least(
        self, cost: Floats, pi: Floats, nu: Floats, rounding: Floats, reach: float, time_limit: float | None
    ) -> tuple[float, Floats, Floats]:
        """Return the best bound and its multipliers, no worse than those given."""
        best = self.bound(cost, pi, nu, rounding, reach)
        if self.knapsack:
            better = np.array([self.price(cost)])
            found = self.bound(cost, better, nu, rounding, reach)
            return (found, better, nu) if found > best else (best, pi, nu)
        # The program's own bounds first: a multiplier of one that follows from the rows belongs to these.
        solved = self.multipliers(cost, self.program.lower, self.program.upper, time_limit)
        solved = solved or self.multipliers(cost, self.lower, self.upper, time_limit)
        if solved is None:
            return best, pi, nu
        found = self.bound(cost, *solved, rounding, reach)
        return (found, *solved) if found > best else (best, pi, nu)

    def multipliers(
        self, cost: Floats, lower: Floats, upper: Floats, time_limit: float | None
    ) -> tuple[Floats, Floats] | None:
        """Return the multipliers with which HiGHS minimises a cost between these bounds, None if it does not."""
        program = self.program
        end = solve_linear(
            cost, program.A_ub, program.b_ub, program.A_eq, program.b_eq, lower, upper, time_limit=time_limit
        )
        return (end.duals_eq, np.maximum(-end.duals_ub, 0.0)) if end.status is Status.OPTIMAL else None

    def price(self, cost: Floats) -> float:
        """Return the best multiplier of the one row of a knapsack: of the asset on which the budget runs out."""
        row = self.program.A_eq[0]
        ratio = cost / row
        order = np.argsort(ratio, kind="stable")
        room = (row * (self.upper - self.lower))[order].cumsum()
        left = float(self.program.b_eq[0] - row @ self.lower)
        place = min(int(np.searchsorted(room, left)), order.size - 1)
        return float(ratio[order[place]])


def _falls(d: Floats, slack: Floats, down: NDArray[np.bool_], up: NDArray[np.bool_]) -> bool:
    """Whether some variable lowers the cost where it may go down, or up, by more than rounding explains."""
    return bool(((down & (d > 100 * slack)) | (up & (d < -100 * slack))).any())


class Certificate:
    """The best bound so far and what attests it."""

    def __init__(self, polyhedron: Polyhedron) -> None:
        self.bound = -float("inf")
        self._polyhedron = polyhedron
        self._last: Attested | None = None
        self._source: Attested | None = None
        program = polyhedron.program
        self.limits = np.zeros(len(program.limits))
        """Multipliers of the risk limits."""
        self.pi = np.zeros(program.b_eq.size)
        self.nu = np.zeros(program.b_ub.size)
        self.reduced = np.zeros(program.n_variables)
        """Reduced costs."""

    def improve(self, attested: Attested, reach: float) -> None:
        """Take over a linear function below the objective with its own multipliers, if its bound is better."""
        if attested.complete:
            self._last = attested
            bound = self._polyhedron.bound(attested.cost, attested.pi, attested.nu, attested.rounding, reach)
            self._take(attested, bound, attested.pi, attested.nu)

    def refine(self, reach: float, time_limit: float | None) -> None:
        """Look for the best multipliers of the latest function; those of a master count its box among the bounds."""
        if self._last is not None:
            last, self._last = self._last, None
            self._take(last, *self._polyhedron.least(last.cost, last.pi, last.nu, last.rounding, reach, time_limit))

    def explain(self, v: Floats, time_limit: float | None) -> None:
        """Have the multipliers belong to bounds and rows that hold v.

        Those of a master may belong to its box or to bounds that follow from rows; the bound is the same.
        """
        program = self._polyhedron.program
        near = CLOSE * np.maximum(1.0, np.abs(v))
        held = np.where(self.reduced > 0, v - program.lower <= near, program.upper - v <= near)
        loose = np.abs(self.reduced) > CLOSE * max(1.0, float(np.abs(self.pi).max(initial=0.0)))
        if self._source is None or not (loose & ~held).any():
            return
        cost = self._source.cost
        solved = self._polyhedron.multipliers(cost, program.lower, program.upper, time_limit)
        if solved is not None:
            self.pi, self.nu = solved
            self.reduced = program.reduced_costs(cost, *solved)

    def _take(self, attested: Attested, bound: float, pi: Floats, nu: Floats) -> None:
        bound += attested.constant
        if bound > self.bound:
            self.bound, self.limits, self.pi, self.nu, self._source = bound, attested.limits, pi, nu, attested
            self.reduced = self._polyhedron.program.reduced_costs(attested.cost, pi, nu)
