r"""Whole numbers to try: the integer program over what cuts and the scenarios at the edge of the tails say.

It has a few rows for each term where the full program has one for each scenario (`_cuts` has the inequality), so that
HiGHS solves it in no time. Its solutions are worth trying; nothing is concluded from its bound, which is no better
than the tolerances of HiGHS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp  # type: ignore[import-untyped]
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from cshortfall.optimize._linear import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.optimize._cuts import Minorants, TermModel
    from cshortfall.optimize._scaling import ScaledProgram

# A rough answer to a rough question.
RELATIVE_GAP = 1e-4


def choose(
    program: ScaledProgram,
    models: Sequence[TermModel],
    lower: Floats,
    upper: Floats,
    integer: NDArray[np.bool_],
    time_limit: float,
) -> Floats | None:
    """Return the best variables, by the models, between bounds; None where none were found in time.

    Variables and bounds are in the units of the original program.
    """
    n = program.n_variables
    known = [model.minorants() for model in models]
    parts = [_rows(one, n) for one in known]
    width = n + sum(own.shape[1] for _, own, *_ in parts)
    # HiGHS takes variables for whole that are so in its own units.
    units = np.where(integer, program.columns, 1.0)
    cost = np.zeros(width)
    cost[:n] = program.cost / units
    low, high = np.full(width, 0.0), np.full(width, np.inf)
    low[:n], high[:n] = lower / program.columns * units, upper / program.columns * units
    rows, sides = [np.pad(program.A_ub / units, ((0, 0), (0, width - n)))], [program.b_ub]
    begin = n
    for number, (of_variables, own, side, es) in enumerate(parts):
        columns = slice(begin, begin + own.shape[1])
        block = np.zeros((side.size, width))
        block[:, :n], block[:, columns] = of_variables / units, own
        rows.append(block)
        sides.append(side)
        low[begin] = -np.inf
        place = number - len(program.weights)
        if place < 0:
            cost[columns] = program.weights[number] * es
        else:
            row = np.zeros((1, width))
            row[0, :n], row[0, columns] = program.limits[place].slope / units, es
            rows.append(row)
            sides.append(np.array([program.limits[place].limit]))
        begin += own.shape[1]
    constraints = [LinearConstraint(csr_array(np.vstack(rows)), -np.inf, np.concatenate(sides))]
    if program.b_eq.size:
        A_eq = np.pad(program.A_eq / units, ((0, 0), (0, width - n)))
        constraints.append(LinearConstraint(csr_array(A_eq), program.b_eq, program.b_eq))
    end = milp(
        cost,
        integrality=np.concatenate((integer, np.zeros(width - n))),
        bounds=Bounds(low, high),
        constraints=constraints,
        options={"time_limit": max(time_limit, 1e-2), "mip_rel_gap": RELATIVE_GAP},
    )
    if Status(end.status) not in (Status.OPTIMAL, Status.LIMIT) or end.x is None:
        return None
    found: Floats = end.x[:n] / units * program.columns
    return found


def _rows(known: Minorants, n_variables: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Rows ``of_variables @ v + own @ (t, a, u) <= side`` and the coefficients of ES in t, a and u.

    a is the excess of the largest cut over t, u that of each scenario of the band.
    """
    n_cuts, n_band = known.offset.size, known.band.cap.size
    of_variables = np.zeros((n_cuts + n_band, n_variables))
    of_variables[:, : known.slope.shape[1]] = np.vstack((known.slope, -known.rows))
    own = np.zeros((n_cuts + n_band, 2 + n_band))
    own[:n_cuts, 0], own[:n_cuts, 1] = -known.mass, -1.0
    own[n_cuts:, 0] = -1.0
    own[n_cuts:, 2:] = -np.eye(n_band)
    return (
        of_variables,
        own,
        np.concatenate((-known.offset, known.band.base)),
        np.concatenate((np.ones(2), known.band.cap)),
    )
