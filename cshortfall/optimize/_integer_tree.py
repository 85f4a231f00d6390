"""Branch and bound: open nodes, the least bound first, and which whole number to split on.

A choice (0 or 1) that does nothing but allow a quantity is no fraction to be removed: its quantity counts, and the
solution of a node stays that of the node where the choice is made. What splitting a number raised bounds by is
remembered for the numbers to split on next.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cshortfall.optimize._feasibility import implied_bounds
from cshortfall.optimize._integer_rows import WHOLE, links, permits, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.optimize._cuts import TermModel
    from cshortfall.optimize._integer_node import Relaxation
    from cshortfall.optimize._program import Program

# A position below this share of the largest is none.
DUST = 1e-9
# Choices that might replace others, tried one by one and then together.
EXCHANGES = 8
# Weight of the larger one of what two sides of a split are expected to raise bounds by.
LARGER = 0.2


@dataclass(order=True)
class Node:
    """Bounds of the variables, and what is known of the program between them."""

    bound: float
    number: int
    lower: Floats = field(compare=False)
    upper: Floats = field(compare=False)
    models: tuple[TermModel, ...] = field(compare=False)
    start: Floats = field(compare=False)
    """Variables near its solution."""
    v: Floats | None = field(compare=False, default=None)
    """Its solution, None where it is to be solved."""
    split: Split | None = field(compare=False, default=None)
    """What made it."""


@dataclass(frozen=True)
class Split:
    """The number at `place` at most `below`, or above it."""

    place: int
    below: float
    up: bool
    distance: float
    """What the number had to move by."""
    bound: float
    """Of the node that was split."""


class Tree:
    """Open nodes, the least bound first."""

    def __init__(self, root: Node) -> None:
        self.open = [root]
        self.count = 1
        self.closed = np.inf
        """The least bound of the nodes that were closed."""

    @property
    def bound(self) -> float:
        """Of all nodes that were not split."""
        return min(self.closed, self.open[0].bound) if self.open else self.closed

    def pop(self) -> Node:
        """Take the node of least bound."""
        return heapq.heappop(self.open)

    def close(self, bound: float) -> None:
        """Leave a node for good."""
        self.closed = min(self.closed, bound)

    def add(self, node: Node, lower: Floats, upper: Floats, v: Floats | None, split: Split) -> None:
        """Open a node below another one."""
        start = node.start if node.v is None else node.v
        heapq.heappush(self.open, Node(node.bound, self.count, lower, upper, node.models, start, v, split))
        self.count += 1


class Branching:
    """The whole numbers of a program: which are made already, which to split on."""

    def __init__(self, program: Program, relaxation: Relaxation) -> None:
        self.program = program
        self.relaxation = relaxation
        self.integer = whole(program)
        self.links = links(program)
        self.permits = permits(program)
        pure = ~(program.A_ub[:, ~self.permits] != 0).any(axis=1)
        self._rows, self._sides = program.A_ub[pure], program.b_ub[pure] + 1e-9
        # What a unit of distance raised bounds by, down and up: sums and counts.
        self._gains = np.zeros((2, program.n_variables))
        self._counts = np.zeros((2, program.n_variables))

    def positions(self, v: Floats) -> Floats:
        """Size of what each choice allows, zero for other variables."""
        size = np.zeros(v.size)
        np.maximum.at(size, self.links.choice, np.maximum(self.links.sign * v[self.links.quantity], 0.0))
        return size

    def made(self, v: Floats, lower: Floats, upper: Floats) -> Floats | None:
        """Return v with whole numbers where that takes nothing but making the choices that v needs, else None."""
        positions = self.positions(v)
        taken = (positions > DUST * positions.max(initial=0.0)) | (lower > 0.5)
        nearest = np.clip(np.round(v), lower, upper)
        numbers = np.where(self.permits, (taken & (upper > 0.5)).astype(float), nearest)
        away = np.abs(nearest - v)[self.integer & ~self.permits]
        rounded = np.where(self.integer, numbers, v)
        if (away > WHOLE).any() or not self.relaxation.keeps_rows(rounded):
            return None
        return rounded

    def greedy(self, v: Floats, lower: Floats, upper: Floats) -> Floats | None:
        """Make choices for the largest positions, as far as the rows over choices go; None where more is whole."""
        if not self.permits.any() or (self.integer & ~self.permits).any():
            return None
        positions = self.positions(v)
        chosen = np.where(self.permits, lower, 0.0)
        used = self._rows @ chosen
        for place in np.argsort(-positions, kind="stable"):
            if positions[place] <= 0:
                break
            if chosen[place] < 0.5 < upper[place] and (used + self._rows[:, place] <= self._sides).all():
                chosen[place] = 1.0
                used = used + self._rows[:, place]
        return np.where(self.integer, chosen, v)

    def entrants(self, best: Floats, reduced: Floats, upper: Floats) -> list[NDArray[np.int64]]:
        """Return choices that the best did not make and that promise most, one by one and together."""
        gain = np.zeros(best.size)
        np.maximum.at(gain, self.links.choice, -self.links.sign * reduced[self.links.quantity])
        gain[~self.permits | (best > 0.5) | (upper < 0.5)] = 0.0
        order = np.argsort(-gain, kind="stable")[:EXCHANGES]
        order = order[gain[order] > 0]
        alone = [order[place : place + 1] for place in range(order.size)]
        return [*alone, order[:3], order] if order.size else []

    def narrowed(self, node: Node, reduced: Floats, room: float) -> tuple[Floats, Floats]:
        """Return the bounds of a node between which its bound rises by less than `room`, by reduced costs."""
        low, high = node.lower, node.upper
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = (1 + 1e-6) * room / np.abs(reduced) + 1e-9 * self.relaxation.scaled.columns
            upper = np.where((reduced > 0) & np.isfinite(low), np.minimum(high, low + reach), high)
            lower = np.where((reduced < 0) & np.isfinite(high), np.maximum(low, high - reach), low)
        upper[self.integer] = np.floor(upper[self.integer] + WHOLE)
        lower[self.integer] = np.ceil(lower[self.integer] - WHOLE)
        return lower, upper

    def learn(self, split: Split, bound: float) -> None:
        """Remember what a split raised the bound by."""
        if split.distance > 0 and np.isfinite(bound):
            self._gains[int(split.up), split.place] += max(0.0, bound - split.bound) / split.distance
            self._counts[int(split.up), split.place] += 1

    def split(self, node: Node, v: Floats) -> tuple[Split, Split] | None:
        """Choose a number to split on and where; None where all are made."""
        undecided = np.flatnonzero(self.integer & (node.lower < node.upper))
        if not undecided.size:
            return None
        permits = self.permits[undecided]
        positions = self.positions(v)[undecided]
        number = v[undecided]
        below = np.clip(np.floor(number), node.lower[undecided], node.upper[undecided] - 1)
        down = np.where(permits, positions, np.maximum(number - below, 0.0))
        up = np.where(permits, 0.0, np.maximum(below + 1 - number, 0.0))
        near = ~permits & (np.minimum(down, up) <= WHOLE)
        score = self._score(undecided, down, up)
        score[near] = -1.0
        if score.max() <= 0:
            # All are whole already: between two wholes, the widest range first.
            score = node.upper[undecided] - node.lower[undecided]
            score = np.where(np.isfinite(score), score, 1e300)
        best = int(np.argmax(score))
        place, at = int(undecided[best]), float(below[best])
        return (
            Split(place, at, False, float(down[best]), node.bound),
            Split(place, at, True, float(up[best]), node.bound),
        )

    def _score(self, undecided: NDArray[np.int64], down: Floats, up: Floats) -> Floats:
        """Return what splitting is expected to raise the bound by."""
        counts = self._counts[:, undecided]
        average = self._gains.sum() / max(float(self._counts.sum()), 1.0) or 1.0
        rate = np.where(counts > 0, self._gains[:, undecided] / np.maximum(counts, 1.0), average)
        gains = rate * np.vstack((down, up)) + 1e-3 * average * np.vstack((down, up))
        score: Floats = (1 - LARGER) * gains.min(axis=0) + LARGER * gains.max(axis=0)
        return score

    def side(self, node: Node, split: Split) -> tuple[Floats, Floats] | None:
        """Return the bounds of one side of a split and what the rows make of them; None where nothing is left."""
        lower, upper = node.lower.copy(), node.upper.copy()
        if split.up:
            lower[split.place] = split.below + 1
        else:
            upper[split.place] = split.below
        return self.implied(lower, upper)

    def implied(self, lower: Floats, upper: Floats) -> tuple[Floats, Floats] | None:
        """Return the bounds that the rows imply; None where nothing is left."""
        program = replace(self.program, lower=lower, upper=upper)
        low, high = implied_bounds(program)
        integer = self.integer
        low[integer] = np.ceil(low[integer] - WHOLE)
        high[integer] = np.floor(high[integer] + WHOLE)
        size = np.maximum(self.relaxation.scaled.columns, np.abs(np.where(np.isfinite(high), high, 0.0)))
        if (low > high + 1e-9 * size).any():
            return None
        # Rounding may make them cross.
        high = np.maximum(high, lower)
        return np.minimum(low, high), high
