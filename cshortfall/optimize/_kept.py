"""One risk term near some weights, from rows that are kept: those around the edge of its tail.

The rest of the tail is far from the edge and enters as one linear function. `_smoothing` minimises over it, and where
the weights have not moved far it tells their tail without a pass over the scenarios.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.blas import dsyrk  # type: ignore[import-untyped]

from cshortfall.optimize._scenarios import Part, TailRows, row_losses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.optimize._scaling import ScaledTerm

# Share of the scenarios near the edge that may have come from the outer half of those kept.
FROM_OUTSIDE = 0.05
# Losses are of size one.
LEAST_WIDTH = 1e-9


def width_of(over: Floats, count: int) -> float:
    """Return the width within which so many losses are, by what they are over the edge."""
    distance = np.abs(over)
    place = min(distance.size - 1, count)
    return max(float(np.partition(distance, place)[place]), LEAST_WIDTH)


def smoothed(over: Floats, width: float, cap: Floats) -> float:
    """Return the sum of (u)+ times cap, its kink a parabola over ``|u| <= width``."""
    near = np.minimum(over + width, 2 * width)
    np.maximum(near, 0.0, out=near)
    smooth = near * near / (4 * width) + np.maximum(over - width, 0.0)
    return float(cap @ smooth)


@dataclass(eq=False)
class KeptTail:
    """Rows around the edge of a tail, the rest of it as a linear function; Rockafellar and Uryasev's function of both.

    The kink is smoothed over `width`; losses and edge move with the weights.
    """

    term: ScaledTerm
    tail: TailRows
    """At the weights where the rows were kept."""
    rows: Floats
    cap: Floats  # q of each row
    rest_rows: Floats  # sums over the rest of the tail, times 1 / (1 - level)
    rest_base: float
    rest_mass: float
    loss: Floats
    edge: float  # the smoothed program's t
    width: float = 0.0
    surplus: float = 0.0
    """What the smoothed function was above ES when the width was chosen: risk limits are given as much more."""

    @classmethod
    def at(cls, term: ScaledTerm, v: Floats, share: float, per_asset: int) -> KeptTail:
        """Keep rows on either side of the edge of the tail at v: a share of the tail, at least so many for each asset.

        All if the share is one.
        """
        n = term.n_scenarios
        count = n if share >= 1 else max(int(share * term.mass * n), per_asset * term.n_assets)
        return cls.around(term, v, count, count)

    @classmethod
    def around(cls, term: ScaledTerm, v: Floats, above: int, below: int) -> KeptTail:
        """Keep so many rows above and below the edge of the tail at v."""
        tail = term.tail_rows(v, above, below)
        weight = np.where(tail.loss > tail.var, tail.probability, 0.0)
        return cls(
            term=term,
            tail=tail,
            rows=term.exposed(tail.rows),
            cap=tail.probability / term.mass,
            rest_rows=term.exposed(tail.above.rows - weight @ tail.rows) / term.mass,
            rest_base=(tail.above.base - float(weight @ tail.base)) / term.mass,
            rest_mass=max(0.0, tail.above.mass - float(weight.sum())) / term.mass,
            loss=tail.loss,
            edge=tail.var,
        )

    @property
    def es(self) -> float:
        """ES where the rows were kept."""
        return self.tail.es

    def widen(self, count: int) -> None:
        """Smooth the kink over so many rows."""
        self.width = width_of(self.loss - self.edge, count)

    def measure_surplus(self, x: Floats) -> None:
        """Compare with the ES of the rows and the rest at x."""
        order = np.argsort(-self.loss)
        mass = self.rest_mass + np.cumsum(self.cap[order])
        # The edge of the tail at x, where the function without a width is least.
        edge = float(self.loss[order[min(int(np.searchsorted(mass, 1.0)), order.size - 1)]])
        es = edge + self.rest(x, edge) + float(self.cap @ np.maximum(self.loss - edge, 0.0))
        self.surplus = max(0.0, self.value(x, self.loss, self.edge) - es)

    def covers(self) -> bool:
        """Whether the rows kept are enough still, to judge by those near the edge now."""
        return self._were_inside(np.flatnonzero(np.abs(self.loss - self.edge) <= self.width))

    def _were_inside(self, places: NDArray[np.int64]) -> bool:
        """Whether these were well inside the rows kept, but for a few: others may have come from outside, then."""
        if self.tail.loss.size >= self.term.n_scenarios:
            return True
        quarter = self.tail.loss.size // 4
        low, high = np.partition(self.tail.loss, (quarter, -quarter))[[quarter, -quarter]].tolist()
        loss = self.tail.loss[places]
        return bool(np.count_nonzero((loss < low) | (loss > high)) <= FROM_OUTSIDE * loss.size)

    def loss_change(self, direction: Floats) -> Floats:
        """Return what a change of the assets adds to the losses."""
        change: Floats = -(self.rows @ direction)
        return change

    def value(self, x: Floats, loss: Floats, edge: float) -> float:
        """Return the smoothed Rockafellar-Uryasev function."""
        return edge + self.rest(x, edge) + smoothed(loss - edge, self.width, self.cap)

    def rest(self, x: Floats, edge: float) -> float:
        """Return what the tail that was not kept adds at x."""
        return -float(self.rest_rows @ x) - self.rest_base - self.rest_mass * edge

    def derivatives(self) -> tuple[Floats, float, Floats, Floats, float]:
        """Gradient in x and t; Hessian: xx, xt, tt."""
        over = self.loss - self.edge
        near = np.flatnonzero(np.abs(over) <= self.width)
        slope = (over + self.width) / (2 * self.width)
        np.maximum(np.minimum(slope, 1.0, out=slope), 0.0, out=slope)
        slope *= self.cap
        curvature = self.cap[near] / (2 * self.width)
        band = self.rows[near]
        band *= np.sqrt(curvature)[:, None]
        hessian = dsyrk(1.0, band.T, lower=1)
        gradient = -self.rest_rows - slope @ self.rows
        return (
            gradient,
            1.0 - self.rest_mass - float(slope.sum()),
            hessian,
            np.sqrt(curvature) @ band,
            float(curvature.sum()),
        )

    def tail_rows(self, v: Floats, above: int, below: int) -> TailRows | None:
        """Return the tail at v and the rows around its edge, none but kept ones; None if these are not enough.

        The scenarios that were not kept are taken to be in the tail, or not, as they were: ES is at least this one.
        """
        tail, target = self.tail, self.term.mass
        loss = row_losses(tail.rows, self.term.quantities(v), tail.base)
        order = np.argsort(-loss, kind="stable")
        mass = self.rest_mass * target + np.cumsum(tail.probability[order])
        place = int(np.searchsorted(mass, target))
        chosen = np.sort(order[max(0, place - above) : place + below + 1])
        if place < above or place + below >= order.size or not self._were_inside(chosen):
            return None
        edge = float(loss[order[place]])
        over, at = loss > edge, np.where(loss == edge, tail.probability, 0.0)
        change = tail.probability * (over.astype(np.float64) - (tail.loss > tail.var))
        beyond = Part(
            tail.above.mass + float(change.sum()),
            tail.above.rows + change @ tail.rows,
            tail.above.base + float(change @ tail.base),
        )
        gain = float(beyond.rows @ self.term.quantities(v)) + beyond.base
        return TailRows(
            es=edge - (gain + beyond.mass * edge) / target,
            var=edge,
            above=beyond,
            at=Part(float(at.sum()), at @ tail.rows, float(at @ tail.base)),
            index=tail.index[chosen],
            loss=loss[chosen],
            rows=tail.rows[chosen],
            base=tail.base[chosen],
            probability=tail.probability[chosen],
        )
