r"""Portfolios at the nodes of an integer search without linear programs: Newton's method on a smoothed ES.

Most nodes need a bound that closes them or tells where to split, and no better one. Where bounds and a budget are all
that stands between a node and the least ES, a few steps from the weights of the node above give it. As in `_smoothing`
the kink of (u)+ in Rockafellar and Uryasev's form becomes a parabola over ``|u| <= width``; variables at a bound stay
there until their price says that they would leave. The slopes of the parabolas, their mass brought to one, are a
density that is admissible for ES: that is the bound, whatever weights it was found at.

The scenarios are a copy of those that are worst at some weights, and of these a node takes the worst at its first
weights. A density on some of the scenarios is one on all of them: leaving out costs sharpness, and no bound is wrong.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.linalg.lapack import dposv  # type: ignore[import-untyped]

from cshortfall.optimize._bounds import Polyhedron
from cshortfall.optimize._kept import KeptTail, smoothed, width_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.optimize._scaling import ScaledProgram

# Scenarios that are copied: so many tails of them, for each asset at least so many, on either side of VaR at most so
# many; and what a node takes of these.
KEPT_TAILS, KEPT_PER_ASSET = 10.0, 40
MOST_KEPT = 8192
NODE_TAILS, NODE_PER_ASSET = 3.0, 20
# Losses within the width, for each variable off its bounds.
WIDTHS = (8.0, 3.0, 1.2)
STEPS = 15
# Shares of what is missing: variables at bounds are priced where a step promises no more than this, freed where they
# cost more than that, and a width is done with where a step promises less than the last.
SETTLED, PRICED, CONVERGED = 0.1, 0.1, 1e-3
# Variables whose price is this share of the best are freed along with that.
FREED = 0.5
SHORTEST_STEP = 1e-4
DECREASE = 1e-4
# A variable this near to a bound, in units of its range or one, is at it.
AT_BOUND = 1e-9
# Keeps the Newton system regular where scenarios are too few or alike, in units of its largest coefficient.
RIDGE = 1e-10
SMALLEST = 1e-300


class SmoothedEnd(NamedTuple):
    """What is known of a node."""

    bound: float
    v: Floats
    value: float
    """Of the smoothed objective at v: no less than the ES of the node's scenarios."""
    reduced: Floats
    """What the bound rises by, per unit that a variable leaves the end of its range that it is best at."""


def is_plain(program: ScaledProgram) -> bool:
    """Whether finite bounds of the assets and a budget of positive prices are all that the least ES is subject to."""
    n = program.n_assets
    return (
        len(program.weights) == 1
        and not program.limits
        and not program.b_ub.size
        and program.b_eq.size == 1
        and bool((program.A_eq[0, :n] > 0).all())
        and not program.A_eq[0, n:].any()
        and not program.cost[n:].any()
        and bool(np.isfinite(program.lower[:n]).all() and np.isfinite(program.upper[:n]).all())
    )


class SmoothedNodes:
    """Least ES between bounds of the assets, within a budget.

    Parameters
    ----------
    program : ScaledProgram
        One that `is_plain`. Variables behind the assets play no part.
    v : array
        Weights near which the nodes are.
    """

    def __init__(self, program: ScaledProgram, v: Floats) -> None:
        n = program.n_assets
        self.program = replace(
            program,
            cost=program.cost[:n],
            lower=program.lower[:n],
            upper=program.upper[:n],
            A_eq=program.A_eq[:, :n],
            A_ub=program.A_ub[:, :n],
        )
        term = program.terms[0]
        most = max(int(KEPT_TAILS * term.mass * term.n_scenarios), KEPT_PER_ASSET * n)
        # The worst of all, if they are too many to be kept, count in full.
        self.kept = KeptTail.around(term, v, MOST_KEPT, min(most, MOST_KEPT))

    def solve(
        self, low: Floats, high: Floats, start: Floats, cutoff: float, rough: float, least: float
    ) -> SmoothedEnd | None:
        """Bound the program between finite bounds, from weights near its optimum; None where there is nothing.

        The end is where the bound passes `cutoff`, where what is missing to the smoothed objective is `least` or
        `rough` times the distance from the bound to `cutoff`, or after the last width.
        """
        begun = _budgeted(self.program, low, high, start)
        if begun is None:
            return None
        search = _Descent(self, low, high, begun)
        for per_variable in WIDTHS:
            search.narrow(per_variable)
            for _ in range(STEPS):
                going_on = search.step()
                allowed = allowance(search.bound, search.value, cutoff, rough, least)
                if search.bound >= cutoff or search.missing <= allowed:
                    return search.end()
                if not going_on:
                    break
        return search.end()


def allowance(bound: float, value: float, cutoff: float, rough: float, least: float) -> float:
    """Return what may be missing to a bound: `least`, or a share of what it lacks to close its node.

    Where nothing closes nodes yet it is a share of the value.
    """
    lacking = cutoff - bound if np.isfinite(cutoff) else abs(value)
    return max(least, rough * lacking) if np.isfinite(lacking) else least


def _budgeted(program: ScaledProgram, low: Floats, high: Floats, start: Floats) -> Floats | None:
    """Return weights between bounds that meet the budget, those of the start scaled as far as possible."""
    prices, side = program.A_eq[0], float(program.b_eq[0])
    x = np.clip(start, low, high)
    missing = side - float(prices @ x)
    if missing > 0:
        over = np.where(x < high, x - low, 0.0)
        total = float(prices @ over)
        x = np.minimum(x + over * (missing / total), high) if total > 0 else x
        missing = side - float(prices @ x)
    room = high - x if missing > 0 else x - low
    total = float(prices @ room)
    if total < abs(missing):
        return None
    moved: Floats = x + room * (missing / total) if total > 0 else x
    return moved


class _Descent:
    """Newton's method for one node, in the variables off their bounds and the edge of the tail."""

    def __init__(self, nodes: SmoothedNodes, low: Floats, high: Floats, x: Floats) -> None:
        self.program = nodes.program
        self.low, self.high, self.x = low, high, x
        self.polyhedron = Polyhedron(self.program, low, high)
        self.weight = self.program.weights[0]
        self.reach = max(1.0, float(np.abs(x).max()))
        self.kept = kept = nodes.kept
        loss = -(kept.rows @ x) - kept.tail.base
        order = np.argsort(-loss)
        mass = kept.rest_mass + np.cumsum(kept.cap[order])
        near = order[: max(int(np.searchsorted(mass, NODE_TAILS)) + 1, NODE_PER_ASSET * x.size)]
        self.rows, self.base, self.cap, self.loss = kept.rows[near], kept.tail.base[near], kept.cap[near], loss[near]
        self.all_rows, self.all_base, self.all_mass = self.cap @ self.rows, self.cap @ self.base, self.cap.sum()
        self.edge = float(self.loss[min(int(np.searchsorted(mass, 1.0)), near.size - 1)])
        """Of the tail; it moves along with x."""
        self.at_low = x <= low + AT_BOUND * np.minimum(high - low, 1.0)
        self.free = ~self.at_low & (x < high - AT_BOUND * np.minimum(high - low, 1.0))
        self.blocked = low >= high
        """Variables at a bound that are not to be freed: they were, and went back at once."""
        self.width, self.value, self.bound = 0.0, np.inf, -np.inf
        self.reduced = np.zeros(x.size)

    @property
    def missing(self) -> float:
        return self.value - self.bound

    def end(self) -> SmoothedEnd:
        # Steps of a system that is nearly singular miss the budget by more than rounding.
        x = _budgeted(self.program, self.low, self.high, self.x)
        return SmoothedEnd(self.bound, self.x if x is None else x, self.value, self.reduced)

    def narrow(self, per_variable: float) -> None:
        """Choose the width by the number of losses within it."""
        self.width = width_of(self.loss - self.edge, int(per_variable * (int(self.free.sum()) + 1)))
        self.value = self._objective(self.x, self.loss, self.edge)

    def _objective(self, x: Floats, loss: Floats, edge: float) -> float:
        es = edge + self.kept.rest(x, edge) + smoothed(loss - edge, self.width, self.cap)
        return float(self.program.cost @ x) + self.weight * es

    def step(self) -> bool:
        """Bound the node, and step towards its optimum unless that is no use; return whether it was."""
        over = self.loss - self.edge
        slope = np.minimum(np.maximum((over + self.width) / (2 * self.width), 0.0), 1.0) * self.cap
        rows, mass = slope @ self.rows, float(slope.sum()) + self.kept.rest_mass
        self._attest(slope, rows, mass)
        gradient = np.empty(rows.size + 1)
        gradient[:-1] = self.program.cost - self.weight * (self.kept.rest_rows + rows)
        gradient[-1] = self.weight * (1.0 - mass)
        if not self.free.any():
            self.free = self.low < self.high
        found = self._direction(np.flatnonzero(np.abs(over) <= self.width), gradient)
        if found is None:
            return False
        direction, price = found
        decrement = -float(gradient @ direction)
        if decrement <= SETTLED * self.missing:
            freed = self._freed(gradient[:-1] - price * self.program.A_eq[0])
            if not freed and decrement <= CONVERGED * self.missing:
                return False
        return self._move(direction, decrement)

    def _attest(self, slope: Floats, rows: Floats, mass: float) -> None:
        """Bound the node by the density that these slopes are, its mass brought to one."""
        kept = self.kept
        base = float(slope @ self.base)
        room = self.all_mass + kept.rest_mass - mass
        if mass > 1:
            rows, base = (rows + kept.rest_rows) / mass, (base + kept.rest_base) / mass
        elif 1 - mass <= room:
            share = (1 - mass) / max(room, SMALLEST)
            rows = rows + share * (self.all_rows - rows) + kept.rest_rows
            base = base + share * (self.all_base - base) + kept.rest_base
        else:
            return
        cost = self.program.cost - self.weight * rows
        price, none = np.array([self.polyhedron.price(cost)]), np.zeros(0)
        bound = self.polyhedron.bound(cost, price, none, np.zeros(1), self.reach) - self.weight * base
        if bound > self.bound:
            self.bound, self.reduced = bound, self.program.reduced_costs(cost, price, none)

    def _direction(self, near: NDArray[np.int64], gradient: Floats) -> tuple[Floats, float] | None:
        """Return the Newton step of variables and edge, and the price of the budget."""
        free = np.flatnonzero(np.append(self.free, True))
        prices = np.append(self.program.A_eq[0], 0.0)[free]
        band = np.ones((near.size, free.size))
        band[:, :-1] = self.rows[near[:, None], free[:-1]]
        band *= np.sqrt(self.weight * self.cap[near] / (2 * self.width))[:, None]
        hessian = band.T @ band
        diagonal = np.einsum("ii->i", hessian)
        diagonal += RIDGE * float(diagonal.max()) + SMALLEST
        _, solved, failed = dposv(hessian, np.column_stack((-gradient[free], prices)))
        if failed or not np.isfinite(solved).all():
            return None
        price = -float(prices @ solved[:, 0]) / float(prices @ solved[:, 1])
        direction = np.zeros(gradient.size)
        direction[free] = solved[:, 0] + price * solved[:, 1]
        return direction, price

    def _freed(self, reduced: Floats) -> bool:
        """Free the variables at bounds that would gain most by leaving them; whether any gains enough."""
        gain = np.where(self.free | self.blocked, 0.0, np.where(self.at_low, -reduced, reduced))
        best = float(gain.max())
        if best * self.reach <= PRICED * self.missing:
            return False
        self.free |= gain >= FREED * best
        return True

    def _move(self, direction: Floats, decrement: float) -> bool:
        """Go along a direction as far as bounds and descent allow; whether the search goes on."""
        dx, dt = direction[:-1], float(direction[-1])
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(dx < 0, (self.x - self.low) / -dx, np.where(dx > 0, (self.high - self.x) / dx, np.inf))
        longest = float(reach.min())
        if longest <= SHORTEST_STEP:
            # Too near to a bound, most of them just freed: the others go on without them.
            held = self.free & (reach <= SHORTEST_STEP)
            self.blocked |= held
            self.free &= ~held
            return True
        change = -(self.rows @ dx)
        size = min(1.0, longest)
        while size > SHORTEST_STEP:
            x, loss, edge = self.x + size * dx, self.loss + size * change, self.edge + size * dt
            value = self._objective(x, loss, edge)
            if value <= self.value - DECREASE * size * decrement:
                break
            size *= 0.5
        else:
            return False
        hit = self.free & (reach <= size)
        x = np.clip(np.where(hit, np.where(dx < 0, self.low, self.high), x), self.low, self.high)
        self.at_low = np.where(hit, dx < 0, self.at_low)
        self.free &= ~hit
        self.blocked = self.low >= self.high
        self.x, self.loss, self.edge, self.value = x, loss, edge, value
        return True
