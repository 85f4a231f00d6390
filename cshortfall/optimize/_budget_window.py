"""Risk budgets over the scenarios around the edge of a tail, by an interior-point method, with a certified bound.

With y > 0 the exposures (weights times the signs wanted), L the losses of the scenarios of the window and G the sum of
those beyond it, all of which are in the tail, the problem is

    minimise    G @ y + m t + sum cap u - sum b log y      subject to  u >= L y - t,  u >= 0,

where `cap` are probabilities over the tail's mass and m is what of the density's mass one is left for the window. In
terms of the fractions f in [0, 1] that scenarios have of their cap, the conditions of optimality are linear but for
products of pairs, all positive:

    y z = b,  w f = 0,  u (1 - f) = 0,     z = G + L'(cap f),  sum cap f = m,  w = t + u - L y.

So the optimum is the end of a path of a linear program whose first products stay b while the others go to zero, and
Mehrotra's predictor and corrector follow it. Every f, repaired to have the mass m exactly, is a density of the whole
problem and bounds it from below, whatever the window leaves out.

Mehrotra, S. (1992). On the implementation of a primal-dual interior point method. SIAM Journal on Optimization 2(4),
575-601.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh, lstsq  # type: ignore[import-untyped]
from scipy.sparse import csr_array, eye_array, hstack  # type: ignore[import-untyped]

from cshortfall.optimize._errors import OptimizationError
from cshortfall.optimize._linear import Status, solve_linear

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._arguments import Floats

MOST_STEPS = 60
MOST_RESTARTS = 12
MOST_SETTLED = 4
# By what the path is begun anew farther from its end.
WIDER = 10.0
# How near the path its following begins: residuals over budgets.
NEAR = 0.1
# How near it the small steps are.
NEARER = 1e-7
# Steps in a row that bring nothing.
PATIENCE = 4
# The largest product of a pair over that of a typical scenario.
WIDEST = 1e8
# Of the smallest diagonal element of a Newton matrix: what all scenarios left out of it may add.
NEGLIGIBLE = 1e-4
# A mean loss, in units of an asset's deviation, that may be rounding.
FAINT = 1e-13
# An ES, in units of the assets' deviations, of which no digit is right.
VANISHED = 1e-12
# A gap that further restarts will not improve.
ROUNDING = 1e-11
# An iterate this far out has no interior to converge to: contributions per unit below rounding.
FARTHEST = 1e14


class Window(NamedTuple):
    """The scenarios around the edge of a tail, and the sum of those beyond it."""

    losses: Floats
    """Shape (n_kept, n_assets)."""
    cap: Floats
    beyond: Floats
    """Sum of the losses beyond the window times their caps, shape (n_assets,)."""
    mass: float
    """What the shares of the window sum to."""

    @property
    def spread(self) -> Floats:
        """Products w f of the scenarios on the path of width one: in inverse proportion to their caps.

        That is, products of w and of shares are equal. With equal w f those of small probability would block steps
        which they hardly matter to.
        """
        typical = float(self.cap @ self.cap) / float(self.cap.sum())
        spread: Floats = np.minimum(typical / self.cap, WIDEST)
        return spread


class WindowOptimum(NamedTuple):
    """Exposures and the density that realises their budgets."""

    y: Floats
    """Exposures whose contributions under the density are the budgets."""
    shares: Floats
    """Of the scenarios of the window."""
    gradient: Floats
    """Mean losses of the assets under the density, all positive."""
    gap: float
    """ES of y over the window, less the sum of the budgets."""


class _Iterate(NamedTuple):
    """A point of the path, or a direction."""

    y: Floats
    t: float
    u: Floats
    w: Floats
    f: Floats
    g: Floats
    """One minus f, kept apart for its leading digits."""
    z: Floats

    def moved(self, step: _Iterate, primal: float, dual: float) -> _Iterate:
        """Return the point behind steps of given lengths."""
        return _Iterate(
            self.y + primal * step.y,
            self.t + primal * step.t,
            self.u + primal * step.u,
            self.w + primal * step.w,
            self.f + dual * step.f,
            self.g + dual * step.g,
            self.z + dual * step.z,
        )


def solve_window(window: Window, budgets: Floats, start: Floats, tol: float) -> tuple[WindowOptimum | None, Floats]:
    """Return the optimum over a window, None where no density of it has positive means, and the last exposures.

    The gap is at most `tol` unless rounding forbids.
    """
    if float(window.cap.sum()) <= window.mass * (1 + 1e-14):
        # All is tail: there is one density only.
        only = _dual_point(window, budgets, window.cap)
        gradient = window.beyond + window.cap @ window.losses
        return only, start if only is not None else np.where(gradient == gradient.min(), 1.0, 0.0)
    loss = window.losses @ start
    t = _edge(loss, window)
    y, best = start, None
    mu = max(0.05 * float(np.median(np.abs(loss - t))), 1e-8 * float(np.abs(loss).max()), 1e-300)
    for _ in range(MOST_RESTARTS):
        point = _centre(window, budgets, y, t, mu, NEAR)
        if float(np.max(point.y / budgets)) > FARTHEST:
            return best and _tidied(window, budgets, best, tol), point.y
        found, point = _follow(window, budgets, point, tol)
        better = found is not None and (best is None or found.gap < 0.5 * best.gap)
        if found is not None and (best is None or found.gap < best.gap):
            best = found
        if best is not None and best.gap <= max(tol, ROUNDING):
            break
        # Products have grown apart and block the way; begin again where they are equal, and farther from the path's end
        # if that was no help.
        y, t = point.y, point.t
        mu = _width(window, point) if better else WIDER * mu
    best = best and _tidied(window, budgets, best, tol)
    if best is None or best.gap > max(tol, ROUNDING):
        best = _descend(window, budgets, start, best, tol)
    return best, y


def _descend(
    window: Window, budgets: Floats, y: Floats, best: WindowOptimum | None, tol: float
) -> WindowOptimum | None:
    """Return the optimum by small steps along the path, on it at each: slower, and nothing blocks the way."""
    loss = window.losses @ y
    t, mu = _edge(loss, window), float(np.abs(loss).max())
    while mu > FAINT:
        point = _centre(window, budgets, y, t, mu, NEARER)
        y, t = point.y, point.t
        if float(np.max(y / budgets)) > FARTHEST:
            break
        found = _dual_point(window, budgets, _repaired(window, point.f))
        found = found and _tidied(window, budgets, found, tol)
        if found is not None and (best is None or found.gap < best.gap):
            best = found
            if best.gap <= tol:
                break
        mu *= 0.3
    return best


def _tidied(window: Window, budgets: Floats, best: WindowOptimum, tol: float) -> WindowOptimum:
    """Return an optimum with as many shares nil or full as the gap allows, and the others exact."""
    f = best.shares / window.cap
    for near in (1e-2, 1e-4, 1e-6, 1e-8, 1e-10):
        inner = (f > near) & (f < 1.0 - near)
        shares = np.where(inner, best.shares, np.where(f < 0.5, 0.0, window.cap))
        room = np.where(shares.sum() > window.mass, shares, window.cap - shares)[inner]
        if not room.size:
            continue
        shares[inner] += room * ((window.mass - float(shares.sum())) / float(room.sum()))
        for tidy in (_settled(window, budgets, shares, inner), shares):
            allowed = ((tidy >= 0) & (tidy <= window.cap)).all() and abs(tidy.sum() - window.mass) <= 1e-13
            found = _dual_point(window, budgets, tidy) if allowed else None
            if found is not None and found.gap <= max(tol, best.gap):
                return found
    return best


def _settled(window: Window, budgets: Floats, shares: Floats, inner: NDArray[np.bool_]) -> Floats:
    """Return polished shares; those that leave their bounds are full or nil, and the others are polished again."""
    for _ in range(MOST_SETTLED):
        shares = _polished(window, budgets, shares, inner)
        low, high = shares <= 1e-12 * window.cap, shares >= (1 - 1e-12) * window.cap
        shares = np.where(low, 0.0, np.where(high, window.cap, shares))
        if not (inner & (low | high)).any():
            break
        inner = inner & ~(low | high)
    return shares


def _polished(window: Window, budgets: Floats, shares: Floats, inner: NDArray[np.bool_]) -> Floats:
    """Return shares after Newton's steps on the equations of the optimum, given which scenarios have partial shares.

    The gap is quadratic in the error of the weights: where it is down to rounding they have half of their digits.
    """
    losses, held = window.losses[inner], shares[inner]
    n, count = losses.shape[1], held.size
    beyond = window.beyond + shares[~inner] @ window.losses[~inner]
    left = window.mass - float(shares[~inner].sum())
    polished: Floats = shares.copy()
    gradient = beyond + held @ losses
    if not 0 < count <= n + 1 or not (gradient > FAINT).all():
        return shares
    y = budgets / gradient
    t = float((losses @ y).mean())
    matrix = np.zeros((n + 1 + count, n + 1 + count))
    matrix[:n, n + 1 :] = losses.T
    matrix[n, n + 1 :] = -1.0
    matrix[n + 1 :, : n + 1] = np.column_stack([losses, np.full(count, -1.0)])
    for _ in range(3):
        matrix[np.arange(n), np.arange(n)] = budgets / y**2
        right = np.concatenate([budgets / y - beyond - held @ losses, [held.sum() - left], t - losses @ y])
        step = lstsq(matrix, right, check_finite=False)[0]
        y, t, held = y + step[:n], t + step[n], held + step[n + 1 :]
        if not (y > 0).all():
            return shares
    polished[inner] = held
    return polished


def least_es(window: Window, start: Floats) -> Floats:
    """Return exposures of sum one with the least ES over a window, or with none above `VANISHED`.

    Linear programs over the scenarios around the edges of the tails met so far: their ES is nowhere greater than that
    over the window, and equal at its optimum in the end.
    """
    y, best, lowest = start / start.sum(), start, math.inf
    part = np.zeros(window.cap.size, dtype=bool)
    reach = 5 * y.size + 50
    for _ in range(MOST_STEPS):
        loss = window.losses @ y
        order = np.argsort(-loss)
        filled = np.minimum(np.cumsum(window.cap[order]), window.mass)
        es = float(window.beyond @ y) + float(np.diff(filled, prepend=0.0) @ loss[order])
        if es < lowest:
            best, lowest = y, es
        edge = int(np.searchsorted(filled, window.mass * (1 - 1e-12)))
        added = order[max(edge - reach, 0) : edge + reach]
        if es <= VANISHED or part[added].all():
            break
        part[added] = True
        y = _least_es_over(window, part, order[:edge][~part[order[:edge]]])
    return best


def perfect_hedge(window: Window, near: Floats) -> Floats:
    """Return the exposures with the smallest losses and gains among assets that have any at `near`.

    A linear program's tolerance does not tell a hedge that is perfect from one that is nearly so.
    """
    held = np.flatnonzero(near > 1e-6 * near.max())
    losses = window.losses[:, held]
    hedge = np.zeros(near.size)
    hedge[held] = np.abs(eigh(losses.T @ losses, subset_by_index=[0, 0])[1][:, 0])
    return hedge


def _least_es_over(window: Window, part: NDArray[np.bool_], full: NDArray[np.int64]) -> Floats:
    """Return the optimum where the density is free over a part of the scenarios and at its cap over others."""
    n, count = window.losses.shape[1], int(np.count_nonzero(part))
    cap = window.cap[full]
    left = window.mass - float(cap.sum())
    cost = np.concatenate([window.beyond + cap @ window.losses[full], [left], window.cap[part]])
    excess = hstack(
        [csr_array(window.losses[part]), csr_array(np.full((count, 1), -1.0)), -eye_array(count)], format="csr"
    )
    whole = np.concatenate([np.ones(n), np.zeros(1 + count)])
    lower = np.concatenate([np.zeros(n), [-np.inf], np.zeros(count)])
    open_above = np.full(lower.size, np.inf)
    solved = solve_linear(cost, excess, np.zeros(count), whole[np.newaxis], np.ones(1), lower, open_above)
    if solved.status is not Status.OPTIMAL:
        status = solved.status.name.lower()
        raise OptimizationError(f"HiGHS could not solve the linear program of the least ES ({status})")
    exposures: Floats = np.maximum(solved.x[:n], 0.0)
    return exposures


def _width(window: Window, point: _Iterate) -> float:
    """Return the mean of the products over what they are on the path of width one."""
    return float(window.cap @ (point.w * point.f + point.u * point.g)) / (2 * float(window.cap @ window.spread))


def _follow(window: Window, budgets: Floats, point: _Iterate, tol: float) -> tuple[WindowOptimum | None, _Iterate]:
    """Return the optimum at the end of the path from a point near it, or as near as it comes, and the last point."""
    best, stalled, narrowest = None, 0, math.inf
    for _ in range(MOST_STEPS):
        found = _dual_point(window, budgets, _repaired(window, point.f))
        width = _width(window, point)
        nearer = FAINT < width < 0.8 * narrowest
        better = found is not None and (best is None or found.gap < 0.9 * best.gap)
        stalled = 0 if nearer or better else stalled + 1
        narrowest = min(narrowest, width)
        if found is not None and (best is None or found.gap < best.gap):
            best = found
        if stalled == PATIENCE or (best is not None and best.gap <= tol):
            break
        try:
            point = _step(window, budgets, point)
        except LinAlgError:
            break
    return best, point


def _centre(window: Window, budgets: Floats, y: Floats, t: float, mu: float, near: float) -> _Iterate:
    """Return a point near the path where its products are mu, by Newton's method on the smoothed problem.

    On the path itself w, u, f and z are functions of y and t, whose smoothed excess is convex: a line search suffices
    from anywhere, which the longer steps along the path need a start for.
    """
    point = _at(window, budgets, y, t, mu)
    value = _smoothed(window, budgets, point, mu)
    for _ in range(MOST_STEPS):
        residual = window.beyond + (window.cap * point.f) @ window.losses - point.z
        missing = window.mass - float(window.cap @ point.f)
        reached_path = float(np.max(np.abs(residual) / point.z)) < near and abs(missing) < near * window.mass
        if reached_path or float(np.max(point.y / budgets)) > FARTHEST:
            break
        try:
            system = _Newton(window, point)
        except LinAlgError:
            break
        dy, dt = system.solve(-residual, missing)
        slope = float((residual @ dy) + missing * dt)
        length = 0.95 / max(float(np.max(-dy / point.y)), 0.95)
        while length > 1e-10:
            ahead = _at(window, budgets, point.y + length * dy, point.t + length * dt, mu)
            reached = _smoothed(window, budgets, ahead, mu)
            if reached <= value + 0.1 * length * slope:
                break
            length *= 0.5
        else:
            break
        point, value = ahead, reached
    return point


def _at(window: Window, budgets: Floats, y: Floats, t: float, mu: float) -> _Iterate:
    """Return the point with w f = u (1 - f) = mu and y z = b; only z and the mass of f may differ from the path's."""
    distance, product = window.losses @ y - t, mu * window.spread
    # w - u = -distance with w = product / f and u = product / g; the smaller of f and g has all its digits.
    ratio = np.abs(distance) / product
    less = 2.0 / (2.0 + ratio + np.hypot(ratio, 2.0))
    f, g = np.where(distance < 0, less, 1.0 - less), np.where(distance < 0, 1.0 - less, less)
    return _Iterate(y, t, product / g, product / f, f, g, budgets / y)


def _smoothed(window: Window, budgets: Floats, point: _Iterate, mu: float) -> float:
    product = mu * window.spread
    excess = point.u - product * (np.log(point.u / product) + np.log(point.w / product))
    return (
        float(window.beyond @ point.y)
        + window.mass * point.t
        + float(window.cap @ excess)
        - float(budgets @ np.log(point.y))
    )


def _edge(loss: Floats, window: Window) -> float:
    """Return the VaR over the window."""
    order = np.argsort(-loss)
    last = int(np.searchsorted(np.cumsum(window.cap[order]), window.mass * (1 - 1e-12)))
    return float(loss[order[min(last, loss.size - 1)]])


def _repaired(window: Window, f: Floats) -> Floats:
    """Return shares of exactly the window's mass, each within its cap."""
    shares: Floats = window.cap * np.clip(f, 0.0, 1.0)
    total = float(shares.sum())
    if total > window.mass:
        return shares * (window.mass / total)
    room = window.cap - shares
    return shares + room * ((window.mass - total) / float(room.sum()))


def _dual_point(window: Window, budgets: Floats, shares: Floats) -> WindowOptimum | None:
    gradient = window.beyond + shares @ window.losses
    if not (gradient > FAINT).all():
        return None
    y = budgets / gradient
    loss = window.losses @ y
    order = np.argsort(-loss)
    filled = np.minimum(np.cumsum(window.cap[order]), window.mass)
    es = float(window.beyond @ y) + float(np.diff(filled, prepend=0.0) @ loss[order])
    return WindowOptimum(y, shares, gradient, es - float(budgets.sum()))


class _Newton:
    """The factorised system of one point: y and t, all else eliminated."""

    def __init__(self, window: Window, point: _Iterate) -> None:
        _, _, u, w, f, g, _ = point
        self.scaled = 1.0 / (w * g + u * f)
        self.stiffness = f * g * self.scaled
        heavy = window.cap * self.stiffness
        self._total = float(heavy.sum())
        self._mean = (heavy @ window.losses) / self._total
        own = point.z / point.y
        # The others, all together, change the matrix by less than its own diagonal's share; most are, near the end.
        counting = np.flatnonzero(heavy > NEGLIGIBLE * float(own.min()) / heavy.size)
        # Centred rows are the elimination of t without cancellation.
        centred = window.losses[counting] - self._mean
        centred *= np.sqrt(heavy[counting])[:, np.newaxis]
        matrix = centred.T @ centred
        matrix[np.diag_indices_from(matrix)] += own
        self._factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)

    def solve(self, right: Floats, missing: float) -> tuple[Floats, float]:
        """Return the step of y and t for the residuals of the budgets and of the mass."""
        dy: Floats = cho_solve(self._factor, right - self._mean * missing, check_finite=False)
        return dy, float(self._mean @ dy) - missing / self._total


def _step(window: Window, budgets: Floats, point: _Iterate) -> _Iterate:
    """Return the next point: Mehrotra's predictor and corrector on one factorisation."""
    losses, cap = window.losses, window.cap
    y, _, u, w, f, g, z = point
    system = _Newton(window, point)
    residual = window.beyond + (cap * f) @ losses - z
    missing = window.mass - float(cap @ f)

    def direction(first: Floats, second: Floats, third: Floats) -> _Iterate:
        own = (first * g - second * f) * system.scaled
        dy, dt = system.solve(third / y - residual - (cap * own) @ losses, missing - float(cap @ own))
        moved = losses @ dy - dt
        df = own + system.stiffness * moved
        du = (second + u * df) / g
        return _Iterate(dy, dt, du, du - moved, df, -df, residual + (cap * df) @ losses)

    products = w * f, u * g, budgets - y * z
    predictor = direction(-products[0], -products[1], products[2])
    primal, dual = _longest(point, predictor)
    ahead = point.moved(predictor, primal, dual)
    mu = _width(window, point)
    target = mu * min(max(_width(window, ahead) / mu, 0.0), 1.0) ** 3 * window.spread
    corrector = direction(
        target - products[0] - predictor.w * predictor.f,
        target - products[1] - predictor.u * predictor.g,
        products[2] - predictor.y * predictor.z,
    )
    primal, dual = _longest(point, corrector)
    return point.moved(corrector, 0.995 * primal, 0.995 * dual)


def _longest(point: _Iterate, step: _Iterate) -> tuple[float, float]:
    """Return the longest steps, at most one, of the primal and of the dual variables that leave all positive."""
    primal = max(float(np.max(-own / now)) for own, now in ((step.y, point.y), (step.u, point.u), (step.w, point.w)))
    dual = max(float(np.max(-own / now)) for own, now in ((step.f, point.f), (step.g, point.g), (step.z, point.z)))
    return 1.0 / max(primal, 1.0), 1.0 / max(dual, 1.0)
