"""Points inside the linear constraints of a program, to begin from, and points moved onto them, to end with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array, hstack, vstack  # type: ignore[import-untyped]

from cshortfall.optimize._linear import OutOfTimeError, Status, solve_linear

if TYPE_CHECKING:
    from cshortfall._arguments import Floats
    from cshortfall.optimize._scaling import ScaledProgram

# Weight of small variables against a large slack in the choice of a point, shared among them.
SMALL = 1e-2
# Rows may be violated by this, relative to their terms.
ALLOWED = 1e-9
# What variables count for at least in the terms of a row, in units of the largest: less is lost in rounding.
LEAST_SIZE = 1e-5
ROUNDS = 4
SMALLEST = 1e-300


def interior(s: ScaledProgram, time_limit: float | None) -> tuple[Floats, float] | None:
    """Return a point of large common slack and its least slack to bounds and rows; None if nothing is feasible.

    The slack is about zero where there is no interior.
    """
    known = _inside_box(s)
    if known is not None:
        return known
    n = s.n_variables
    free = s.upper > s.lower
    below, above = free & np.isfinite(s.lower), free & np.isfinite(s.upper)
    identity = csr_array(np.eye(n))
    rows, sides = [], []
    for sign, chosen, bound in ((-1.0, below, -s.lower), (1.0, above, s.upper)):
        if chosen.any():
            # A narrow range takes a share of the common slack, lest it should be all there is.
            share = np.minimum(1.0, (s.upper - s.lower)[chosen])
            rows.append(hstack([sign * identity[chosen], csr_array(share[:, None])]))
            sides.append(bound[chosen])
    if s.b_ub.size:
        rows.append(hstack([csr_array(s.A_ub), csr_array(np.linalg.norm(s.A_ub, axis=1)[:, None])]))
        sides.append(s.b_ub)
    # Of the points with the same slack one near the bounds: a variable that could go far would, otherwise. Between rows
    # that are nearly parallel nearness is worth more than what little slack there is; that is then looked for alone.
    near = np.where(free, SMALL / n * (below.astype(float) - above.astype(float)), 0.0)
    for cost in (near, np.zeros(n)):
        end = solve_linear(
            np.append(cost, -1.0),
            vstack(rows).tocsr() if rows else None,
            np.concatenate(sides) if sides else np.zeros(0),
            hstack([csr_array(s.A_eq), csr_array((s.b_eq.size, 1))]).tocsr() if s.b_eq.size else None,
            s.b_eq,
            np.append(np.where(free, -np.inf, s.lower), -1.0),
            np.append(np.where(free, np.inf, s.upper), 1.0 / n),
            time_limit=time_limit,
        )
        if end.status is Status.LIMIT:
            raise OutOfTimeError
        if end.status is not Status.OPTIMAL or end.x[-1] > ALLOWED:
            break
    if end.status is not Status.OPTIMAL or end.x[-1] < -ALLOWED:
        return None
    v = feasible(s, end.x[:-1])
    slack = np.concatenate((v[below] - s.lower[below], s.upper[above] - v[above], s.b_ub - s.A_ub @ v))
    return v, min(float(end.x[-1]), float(slack.min(initial=np.inf)))


def _inside_box(s: ScaledProgram) -> tuple[Floats, float] | None:
    """Return the point between opposite corners of the bounds that meets the only row, of positive coefficients.

    None if there are other rows, or where that point has hardly any slack.
    """
    if s.b_ub.size or s.b_eq.size != 1 or not (s.A_eq > 0).all() or not np.isfinite(s.lower).all():
        return None
    row = s.A_eq[0]
    room = float(s.b_eq[0] - row @ s.lower)
    widths = np.minimum(s.upper - s.lower, room / row)
    share = room / max(float(row @ widths), SMALLEST)
    slack = min(share, 1 - share) * float(widths[widths > 0].min(initial=np.inf))
    return (feasible(s, s.lower + share * widths), slack) if ALLOWED < slack < np.inf else None


def inside_bounds(s: ScaledProgram, v: Floats) -> bool:
    """Whether a point of a related program meets the equalities of this one, all its bounds with some slack."""
    inside = ((v > s.lower) & (v < s.upper)) | ((v == s.lower) & (v == s.upper))
    return bool(inside.all() and np.abs(s.A_eq @ v - s.b_eq).max(initial=0.0) <= 1e-12)


def feasible(s: ScaledProgram, v: Floats) -> Floats:
    """Move a point onto bounds and rows that a solver's tolerances let it miss; the nearest point if that fails."""
    moved = _moved_onto_rows(s, v)
    if violation(s, moved) <= ALLOWED:
        return moved
    n = s.n_variables
    identity = csr_array(np.eye(n))
    end = solve_linear(
        np.append(np.zeros(n), np.ones(n)),
        vstack(
            [
                hstack([csr_array(s.A_ub), csr_array((s.b_ub.size, n))]),
                hstack([identity, -identity]),
                hstack([-identity, -identity]),
            ]
        ).tocsr(),
        np.concatenate((s.b_ub, v, -v)),
        np.pad(s.A_eq, ((0, 0), (0, n))),
        s.b_eq,
        np.append(s.lower, np.zeros(n)),
        np.append(s.upper, np.full(n, np.inf)),
    )
    return moved if end.status is not Status.OPTIMAL else _moved_onto_rows(s, end.x[:n])


def violation(s: ScaledProgram, v: Floats) -> float:
    """Return the largest violation of a bound or row, relative to the terms that it is made of."""
    size = np.abs(v)
    size = np.maximum(size, LEAST_SIZE * size.max(initial=0.0))
    outside = np.maximum(np.maximum(s.lower - v, v - s.upper), 0.0) / np.maximum(size, 1.0)
    equal = np.abs(s.A_eq @ v - s.b_eq) / (np.abs(s.A_eq) @ size + np.abs(s.b_eq) + SMALLEST)
    above = np.maximum(s.A_ub @ v - s.b_ub, 0.0) / (np.abs(s.A_ub) @ size + np.abs(s.b_ub) + SMALLEST)
    return float(np.concatenate((outside, equal, above)).max(initial=0.0))


def _moved_onto_rows(s: ScaledProgram, v: Floats) -> Floats:
    for _ in range(ROUNDS):
        v = np.clip(v, s.lower, s.upper)
        rows, residual = s.A_eq, s.b_eq - s.A_eq @ v
        if s.b_ub.size:
            slack = s.b_ub - s.A_ub @ v
            short = slack < 0
            rows, residual = np.vstack((rows, s.A_ub[short])), np.concatenate((residual, slack[short]))
        if np.abs(residual).max(initial=0.0) < 1e-15:
            break
        free = (v > s.lower) & (v < s.upper)
        if not free.any():
            free = s.upper > s.lower
        if not free.any():
            break
        v = v.copy()
        v[free] += np.linalg.lstsq(rows[:, free], residual, rcond=None)[0]
    return np.clip(v, s.lower, s.upper)
