r"""The optimum, proved: cutting planes over the edge of the tail, and the density that attests a bound.

For weights v let W be the scenarios near VaR. These are modelled one by one; what a cut says about the rest of the
tail is one linear function, the sum over the tail's scenarios outside W. So with t free,

    ES(x) >= t + max(0, g_j x + h_j - m_j t) + sum over W of q_s (L_s(x) - t)+     for every cut j,

because each term of the Rockafellar-Uryasev function that is left out is not negative. The linear program over these
is solved in its dual, which has a row for each asset only: weights of the cuts, at most one in sum, and y_s in
[0, q_s] for the scenarios of W, of total mass one. These make up a density that is admissible for ES whatever cuts
were dropped and however W was chosen, and hence a bound on the whole program (`_bounds`).

Cuts give full weight to losses above VaR, the same share to all that equal it: scenarios tied at the edge never make a
program infeasible. A box around the best weights keeps steps short; bounds do not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array, hstack, vstack  # type: ignore[import-untyped]

from cshortfall.optimize._linear import Status, solve_linear
from cshortfall.optimize._scenarios import row_losses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.optimize._scaling import ScaledProgram, ScaledTerm
    from cshortfall.optimize._scenarios import TailRows

KEPT_CUTS = 12
KEPT_BANDS = 4
# A bound on relative rounding errors of a sum of products, and the error of a density's mass that is one of rounding.
ROUNDING = 4e-16
MASS_ERROR = 1e-12
SMALLEST = 1e-300
# A step this near to an end of the box goes to the end, in units of the box.
BESIDE = 1e-9


@dataclass(frozen=True, eq=False)
class _Cut:
    """The tail at some weights, in sums over 1 - level."""

    quantities: Floats
    var: float
    share: float
    """Of the scenarios whose loss equals `var`."""
    rows: Floats
    base: float
    mass: float


@dataclass(frozen=True, eq=False)
class _Band:
    """Scenarios modelled one by one."""

    index: NDArray[np.int64]
    rows: Floats
    base: Floats
    cap: Floats


class Minorants(NamedTuple):
    """What a master program knows of one term: ``g @ v + h - m t`` for each cut, and the scenarios of W."""

    slope: Floats
    offset: Floats
    mass: Floats
    band: _Band
    rows: Floats
    """Of the band, as coefficients of the assets."""


@dataclass(eq=False)
class TermModel:
    """Cuts and bands of one risk term."""

    term: ScaledTerm
    cuts: list[_Cut] = field(default_factory=list)
    bands: list[_Band] = field(default_factory=list)

    def add(self, v: Floats, tail: TailRows) -> None:
        """Learn from the tail at v."""
        alpha = self.term.mass
        share = min(1.0, max(0.0, (alpha - tail.above.mass) / tail.at.mass)) if tail.at.mass > 0 else 0.0
        cut = _Cut(
            self.term.quantities(v),
            tail.var,
            share,
            (tail.above.rows + share * tail.at.rows) / alpha,
            (tail.above.base + share * tail.at.base) / alpha,
            (tail.above.mass + share * tail.at.mass) / alpha,
        )
        self.cuts = [*self.cuts, cut][-KEPT_CUTS:]
        band = _Band(tail.index, tail.rows, tail.base, tail.probability / alpha)
        self.bands = [*self.bands, band][-KEPT_BANDS:]

    def forget_first(self) -> None:
        """Leave out the oldest cut and the scenarios that came with it."""
        self.cuts, self.bands = self.cuts[1:], self.bands[1:]

    def minorants(self) -> Minorants:
        """Take the scenarios of W, the union of the bands, out of the cuts."""
        index, first = np.unique(np.concatenate([band.index for band in self.bands]), return_index=True)
        band = _Band(
            index,
            np.concatenate([band.rows for band in self.bands])[first],
            np.concatenate([band.base for band in self.bands])[first],
            np.concatenate([band.cap for band in self.bands])[first],
        )
        slope, offset, mass = [], [], []
        for cut in self.cuts:
            loss = row_losses(band.rows, cut.quantities, band.base)
            weight = band.cap * np.where(loss > cut.var, 1.0, np.where(loss == cut.var, cut.share, 0.0))
            slope.append(weight @ band.rows - cut.rows)
            offset.append(float(weight @ band.base) - cut.base)
            mass.append(max(0.0, cut.mass - float(weight.sum())))
        return Minorants(
            self.term.exposed(np.array(slope)), np.array(offset), np.array(mass), band, self.term.exposed(band.rows)
        )


@dataclass(frozen=True, eq=False)
class Attested:
    """Multipliers of a master program, repaired: a linear function below the objective wherever v is feasible."""

    cost: Floats
    rounding: Floats
    """A bound on the rounding errors of `cost`."""
    constant: float
    pi: Floats
    nu: Floats
    limits: Floats
    """Multipliers of the risk limits."""
    complete: bool
    """Whether each density has mass one; if not there is no bound."""


@dataclass(frozen=True, eq=False)
class MasterSolution:
    """The end of a master program."""

    status: Status
    v: Floats | None = None
    attested: Attested | None = None


class Frame(NamedTuple):
    """What a master program is written about: steps from a point, in units of a size, within a box.

    Tolerances are absolute, so that the smaller the box the more exact the step.
    """

    v: Floats
    edges: Floats
    """VaR of each term at v."""
    size: float
    lower: Floats
    upper: Floats
    active: NDArray[np.bool_]
    """Variables that may move; the others stay."""


def solve_master(
    program: ScaledProgram, minorants: list[Minorants], frame: Frame, time_limit: float | None
) -> MasterSolution:
    """Solve the dual of the cutting-plane program."""
    master = _Master(program, minorants, frame)
    end = solve_linear(
        -master.objective,
        master.A_ub,
        master.b_ub,
        master.A_eq,
        master.b_eq,
        master.low,
        master.high,
        time_limit=time_limit,
        presolve=False,
    )
    if end.status is not Status.OPTIMAL:
        return MasterSolution(end.status)
    v = frame.v.copy()
    v[frame.active] += frame.size * end.duals_eq[: int(frame.active.sum())]
    # What a tolerance or rounding leaves beside a bound is at the bound.
    near = BESIDE * frame.size
    v = np.where(v - frame.lower <= near, frame.lower, np.where(frame.upper - v <= near, frame.upper, v))
    return MasterSolution(end.status, v, master.attested(master.sharpened(end.x)))


class _Master:
    """The dual of the cutting-plane program.

    Columns: multipliers of the equalities, of the inequalities, of the lower and upper ends of the box; then for each
    term its multiplier (risk limits only), weights of its cuts, weights of its scenarios, the last in units of the
    largest allowed one. Rows: one for each variable, whose multiplier it is, and the mass of each term's density.
    """

    def __init__(self, program: ScaledProgram, minorants: list[Minorants], frame: Frame) -> None:
        self.program = program
        self.minorants = minorants
        self._frame = frame
        active = frame.active
        self._unbounded = ~(np.isfinite(program.lower[active]) & np.isfinite(program.upper[active]))
        blocks = [self._linear_block()]
        blocks += [self._term_block(number, known) for number, known in enumerate(minorants)]
        widths = [block.gain.size for block in blocks]
        self.width = sum(widths)
        self._begins = np.cumsum(widths)[:-1].tolist()
        self.objective = np.concatenate([block.gain for block in blocks])
        self.low = np.concatenate([block.low for block in blocks])
        self.high = np.concatenate([block.high for block in blocks])
        terms = list(zip(self._begins, blocks[1:], strict=True))
        self.A_eq = np.vstack(
            [
                np.hstack([block.columns for block in blocks]),
                *(_at(begin, block.mass, self.width) for begin, block in terms),
            ]
        )
        self.b_eq = np.concatenate((-program.cost[active], [block.mass_side for _, block in terms]))
        several = [(begin, block) for begin, block in terms if block.total.size]
        rows = [csr_array(_at(begin, block.total, self.width)) for begin, block in several]
        sides = [np.array([block.total_side]) for _, block in several]
        for number, (begin, _) in enumerate(terms):
            if number >= len(program.weights):
                rows.append(self._cap_rows(begin, minorants[number]))
                sides.append(np.zeros(minorants[number].band.cap.size))
        self.A_ub = vstack(rows).tocsr() if rows else None
        self.b_ub = np.concatenate(sides) if rows else np.zeros(0)

    def _linear_block(self) -> _Block:
        """Return the columns of rows and box."""
        program, frame = self.program, self._frame
        active = frame.active
        lower, upper = (frame.lower - frame.v)[active], (frame.upper - frame.v)[active]
        identity = np.eye(lower.size)
        below, above = np.isfinite(lower), np.isfinite(upper)
        n_eq, n_signed = program.b_eq.size, program.b_ub.size + int(below.sum() + above.sum())
        equal, most = program.b_eq - program.A_eq @ frame.v, program.b_ub - program.A_ub @ frame.v
        return _Block(
            np.hstack((-program.A_eq[:, active].T, program.A_ub[:, active].T, -identity[:, below], identity[:, above])),
            np.concatenate((equal, -most, lower[below], -upper[above])) / frame.size,
            np.concatenate((np.full(n_eq, -np.inf), np.zeros(n_signed))),
            np.full(n_eq + n_signed, np.inf),
        )

    def _term_block(self, number: int, known: Minorants) -> _Block:
        """Return the columns of a term, its mass row and the row of the sum of its cuts' weights, if it needs one."""
        program, frame = self.program, self._frame
        assets, x, edge = frame.active[: program.n_assets], frame.v[: program.n_assets], frame.edges[number]
        top, n_cuts, n_band = _unit(known), known.offset.size, known.band.cap.size
        columns = np.hstack((known.slope[:, assets].T, -top * known.rows[:, assets].T))
        columns = np.vstack((columns, np.zeros((int(frame.active.sum()) - columns.shape[0], n_cuts + n_band))))
        over = known.offset + known.slope @ x - known.mass * edge
        loss = -(known.band.base + known.rows @ x)
        gain = np.concatenate((over, top * (loss - edge))) / frame.size
        mass = np.concatenate((known.mass / top, np.ones(n_band)))
        total = np.concatenate((np.ones(n_cuts), np.zeros(n_band)))
        if number < len(program.weights):
            weight = program.weights[number]
            # The weight of a single cut has a bound instead of a row.
            alone = n_cuts == 1
            high = weight * np.concatenate((np.full(n_cuts, 1.0 if alone else np.inf), known.band.cap / top))
            total = np.zeros(0) if alone else total
            return _Block(columns, gain, np.zeros(high.size), high, mass, weight / top, total, weight)
        limit = program.limits[number - len(program.weights)]
        excess = (float(limit.slope @ frame.v) + edge - limit.limit) / frame.size
        return _Block(
            np.hstack((limit.slope[frame.active][:, None], columns)),
            np.concatenate(([excess], gain)),
            np.zeros(1 + gain.size),
            np.full(1 + gain.size, np.inf),
            np.concatenate(([-1.0 / top], mass)),
            0.0,
            np.concatenate(([-1.0], total)),
            0.0,
        )

    def _cap_rows(self, begin: int, known: Minorants) -> Any:
        """Return the rows that hold a limit's scenario weights to their caps times its multiplier.

        They are scaled: HiGHS leaves out coefficients below 1e-9, and caps may be smaller.
        """
        n_cuts, n_band = known.offset.size, known.band.cap.size
        root = np.sqrt(known.band.cap / _unit(known))
        return hstack(
            [
                csr_array((n_band, begin)),
                csr_array(-root[:, None]),
                csr_array((n_band, n_cuts)),
                csr_array(np.diag(1 / root)),
                csr_array((n_band, self.width - begin - 1 - n_cuts - n_band)),
            ]
        )

    def _term_parts(self, number: int, x: Floats) -> tuple[float, slice, slice]:
        """Return the multiplier of a term, the places of its cuts and of its scenarios."""
        begin, known = self._begins[number], self.minorants[number]
        if number < len(self.program.weights):
            weight = self.program.weights[number]
        else:
            weight, begin = max(0.0, float(x[begin])), begin + 1
        middle = begin + known.offset.size
        return weight, slice(begin, middle), slice(middle, middle + known.band.cap.size)

    def sharpened(self, x: Floats) -> Floats:
        """Meet the equations of variables without bounds, and the masses, to rounding.

        Tolerances times infinity would leave no bound. Multipliers at an end of their range stay.
        """
        if not self._unbounded.any():
            return x
        rows = np.concatenate((np.flatnonzero(self._unbounded), np.arange(self._unbounded.size, self.b_eq.size)))
        high = self.high.copy()
        for number in range(len(self.program.weights), len(self.minorants)):
            weight, _, band = self._term_parts(number, x)
            high[band] = weight * self.minorants[number].band.cap / _unit(self.minorants[number])
        margin = 1e-7 * np.where(np.isfinite(high), high, 1.0)
        moving = (x > self.low + margin) & (x < high - margin)
        matrix = self.A_eq[np.ix_(rows, moving)]
        for _ in range(2):
            x = x.copy()
            x[moving] += np.linalg.lstsq(matrix, self.b_eq[rows] - self.A_eq[rows] @ x, rcond=1e-12)[0]
        return x

    def attested(self, x: Floats) -> Attested:
        """Repair the multipliers: nothing negative, no density above its cap, masses of exactly one."""
        program = self.program
        cost, size = program.cost.copy(), np.abs(program.cost)
        constant, complete = 0.0, True
        multipliers = []
        for number, known in enumerate(self.minorants):
            weight, cuts_at, band_at = self._term_parts(number, x)
            cuts, band, whole = _repaired(weight, x[cuts_at], x[band_at] * _unit(known), known)
            complete &= whole
            cost[: program.n_assets] += cuts @ known.slope - band @ known.rows
            size[: program.n_assets] += cuts @ np.abs(known.slope) + band @ np.abs(known.rows)
            constant += float(cuts @ known.offset - band @ known.band.base)
            if number >= len(program.weights):
                limit = program.limits[number - len(program.weights)]
                cost += weight * limit.slope
                size += weight * np.abs(limit.slope)
                constant -= weight * limit.limit
                multipliers.append(weight)
        n_eq, n_ub = program.b_eq.size, program.b_ub.size
        nu = np.maximum(x[n_eq : n_eq + n_ub], 0.0)
        return Attested(cost, ROUNDING * size, constant, x[:n_eq], nu, np.array(multipliers), complete)


@dataclass(frozen=True, eq=False)
class _Block:
    """Columns of a master program, their gain in the objective and their range; for a term its two rows as well."""

    columns: Floats
    gain: Floats
    low: Floats
    high: Floats
    mass: Floats = field(default_factory=lambda: np.zeros(0))
    mass_side: float = 0.0
    total: Floats = field(default_factory=lambda: np.zeros(0))
    total_side: float = 0.0


def _unit(known: Minorants) -> float:
    """Return the unit of the scenarios' weights."""
    return float(known.band.cap.max(initial=0.0)) or 1.0


def _repaired(weight: float, cuts: Floats, band: Floats, known: Minorants) -> tuple[Floats, Floats, bool]:
    """Return weights of cuts and scenarios of mass `weight`, within their limits, and whether that was possible."""
    cuts = np.maximum(cuts, 0.0)
    band = np.clip(band, 0.0, weight * known.band.cap)
    total = float(cuts.sum())
    if total > weight:
        cuts = cuts * (weight / total)
    mass = float(known.mass @ cuts + band.sum())
    if mass > weight > 0:
        cuts, band = cuts * (weight / mass), band * (weight / mass)
    elif mass < weight:
        room = weight * known.band.cap - band
        band = band + room * min(1.0, (weight - mass) / max(float(room.sum()), SMALLEST))
    missing = abs(float(known.mass @ cuts + band.sum()) - weight)
    return cuts, band, missing <= MASS_ERROR * max(weight, SMALLEST)


def _at(begin: int, row: Floats, width: int) -> Floats:
    """Return a row of a matrix that is zero but for these coefficients."""
    line = np.zeros((1, width))
    line[0, begin : begin + row.size] = row
    return line
