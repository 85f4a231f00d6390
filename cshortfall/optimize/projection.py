"""The nearest sample whose Expected Shortfall keeps a limit: Euclidean projection in closed form behind one sort."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall._tail_count import tail_count
from cshortfall.estimate import es_var
from cshortfall.optimize._inputs import read_number

if TYPE_CHECKING:
    from cshortfall._arguments import Floats
    from cshortfall._frames import Labels


def project_es_ball(x: Any, level: float, limit: float, *, weights: Any = None, tail: str = "lower") -> Any:
    r"""Return the sample nearest to `x` whose Expected Shortfall is at most `limit`.

    Parameters
    ----------
    x : array_like, shape (n,)
        Profit and loss or returns, gains positive; finite.
    level : float
        Confidence, ``0 <= level < 1``; one level.
    limit : float
        What the Expected Shortfall may be at most: a loss, in the unit of `x`. A negative limit asks for a gain.
    weights : array_like, shape (n,), optional
        Weights of the outcomes, not negative, of any scale. They weight the distance as well, see the notes.
    tail : {"lower", "upper"}
        ``"upper"`` reads `x` as losses; so is the result then.

    Returns
    -------
    ndarray, shape (n,), or a series labelled as `x`
        The projection, float64, always a new array; the numbers of `x` if these keep the limit. `cshortfall.es` of it
        does not exceed `limit`.

    Raises
    ------
    ValueError
        `x` is empty, has more than one dimension or holds NaN or an infinity; a level outside [0, 1) or several;
        weights of another length, negative or all zero; a limit that is not finite.
    TypeError
        Arguments that are no real numbers.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.

    Notes
    -----
    With the losses :math:`\ell`, probabilities :math:`p` and :math:`\alpha` for `level` it solves

    .. math:: \min_z \tfrac12 \sum_i p_i (z_i - \ell_i)^2 \quad\text{subject to}\quad ES_\alpha(z) \le limit.

    Without weights this is the Euclidean projection; with weights it is the projection of the random variable, so that
    an outcome of weight two is projected as two equal outcomes are, and one of weight zero stays where it is. At the
    optimum :math:`z = \ell - \delta g` with :math:`\delta \ge 0` and :math:`g`, between 0 and 1, the shares of the
    outcomes in the tail of :math:`z`. Hence the largest losses fall by :math:`\delta`, those between :math:`\nu` and
    :math:`\nu + \delta` fall to :math:`\nu`, the VaR of the result, and the others stay [1]_. The numbers :math:`\nu`
    and :math:`\delta` are the root of a monotone, piecewise linear function: behind one sort of the losses above a
    bound on :math:`\nu` it takes O(log n) steps and one linear equation, without iteration to a tolerance. It is the
    projection onto a sublevel set of a sum of largest elements, whose structure Overton and Womersley describe [2]_.

    References
    ----------
    .. [1] Rockafellar, R. T. and Uryasev, S. (2002). Conditional value-at-risk for general loss distributions.
       Journal of Banking & Finance 26(7), 1443-1471.
    .. [2] Overton, M. L. and Womersley, R. S. (1993). Optimality conditions and duality theory for minimizing sums of
       the largest eigenvalues of symmetric matrices. Mathematical Programming 62, 321-357.

    Examples
    --------
    >>> from cshortfall import es
    >>> from cshortfall.optimize import project_es_ball
    >>> nearest = project_es_ball([0.5, -4.0, 1.0, -1.0], 0.5, 1.5)
    >>> nearest
    array([ 0.5, -3. ,  1. ,  0. ])
    >>> es(nearest, 0.5)
    1.5
    """
    sample, labels = _arguments.read_samples("x", x)
    levels, scalar_level = _arguments.read_levels(level)
    upper = _arguments.read_tail(tail)
    if not scalar_level:
        raise ValueError(f"level must be one number, got {levels.size} in a sequence; call once for each")
    if sample.ndim != 1:
        raise ValueError(f"x must have one dimension, got shape {sample.shape}; take one column or x.ravel()")
    if sample.size == 0:
        raise ValueError("x is empty; it needs at least one outcome")
    _arguments.check_finite("x", sample)
    bound = read_number("limit", limit)
    mass = None if weights is None else _arguments.read_weights(weights, sample.shape, (0,), labels)
    loss = sample.astype(np.float64) if upper else -sample.astype(np.float64)
    projected = _project(loss, mass, float(levels[0]), bound)
    # A loss of zero is a gain of zero, not of minus zero.
    return _labelled(projected if upper else 0.0 - projected, labels)


def _labelled(values: Floats, labels: Labels | None) -> Any:
    if labels is None:
        return values
    return labels.label_rows(values, lambda: np.zeros(values.shape, dtype=bool), None, 1, "project_es_ball", None)


def _project(loss: Floats, mass: Floats | None, level: float, limit: float) -> Floats:
    """Return the projection of losses."""
    es, var = es_var(loss, level, weights=mass, tail="upper")
    if es <= limit:
        return loss
    # The floor is at least VaR minus what ES has to fall: no loss below can change.
    touched = loss > var - (es - limit)
    if mass is not None:
        touched &= mass > 0
    if mass is None or mass[mass > 0].min() == mass.max():
        largest = np.sort(loss[touched])[::-1]
        weight = np.ones(largest.size)
        wanted = float(tail_count(loss.size if mass is None else int(np.count_nonzero(mass)), level))
    else:
        where = np.flatnonzero(touched)
        where = where[np.argsort(-loss[where])]
        largest, weight = loss[where], mass[where] / mass.max()
        wanted = float((mass / mass.max()).sum()) * (1.0 - level)
    # Scaled by a power of two, sums of the largest doubles stay finite and those of the smallest exact.
    scale = -math.frexp(max(abs(es), abs(limit), float(np.abs(largest).max())))[1]
    es, var, bound = (math.ldexp(value, scale) for value in (es, var, limit))
    tail = _Tail(np.ldexp(largest, scale) - var, weight)
    cut = tail.cut(wanted, bound - var)
    if cut is None:
        # A whole tail moves together; the floor lies anywhere between it and the next loss.
        cut = bound - es, es - bound
    floor, drop = (math.ldexp(value, -scale) for value in (var + cut[0], cut[1]))
    return _settle(loss, mass, level, limit, floor, drop)


class _Tail:
    """The largest losses above VaR and below it, in descending order, and the mean excess as a function of a threshold.

    With F(u), the sum of weight times excess over u, and the tail's mass C, the floor v and the top u = v + drop obey
    ``v C + F(u) == C limit`` (ES of what is left) and ``F(v) - F(u) == C (u - v)`` (shares of total mass one). The
    first gives v for each u; what remains of the second falls as u grows.
    """

    def __init__(self, excess: Floats, weight: Floats) -> None:
        self.excess = excess
        self.mass = np.concatenate([[0.0], np.cumsum(weight)])
        self.sums = np.concatenate([[0.0], np.cumsum(weight * excess)])
        self._weight = weight

    def over(self, threshold: Floats) -> Floats:
        """Return F at thresholds."""
        count = np.searchsorted(-self.excess, -threshold, side="left")
        over: Floats = self.sums[count] - self.mass[count] * threshold
        return over

    def _exact_sums(self, count: int) -> tuple[float, float]:
        """Return mass and sum of the first losses, correctly rounded: cumulative sums carry the errors of all steps."""
        weight = self._weight[:count]
        return math.fsum(weight.tolist()), math.fsum((weight * self.excess[:count]).tolist())

    def cut(self, wanted: float, limit: float) -> tuple[float, float] | None:
        """Return the floor and the drop; None where a whole tail moves and no loss lies on the floor."""
        # How many losses lie above the top: the first loss at which the remainder is no longer negative is not one.
        tops = self.excess[: int(np.searchsorted(self.mass, wanted * (1 + 1e-12), side="right"))]
        over = self.over(tops)
        floors = limit - over / wanted
        fits = self.over(floors) - over - wanted * (tops - floors) >= 0
        whole = int(fits.argmax()) if fits.any() else tops.size
        above_mass, above = self._exact_sums(whole)
        # How many lie above the floor. With none above the top the floor is the limit itself.
        if whole == 0:
            reached = int(np.searchsorted(-self.excess, -limit, side="left"))
        else:
            floors = self.excess[whole:]
            tops = (wanted * (floors - limit) + above) / above_mass
            ends = self.over(floors) - (above - above_mass * tops) - wanted * (tops - floors) >= 0
            reached = whole + (int(ends.argmax()) if ends.any() else floors.size)
        if reached == whole:
            return None
        block_mass, block = self._exact_sums(reached)
        if whole == 0:
            return limit, (block - block_mass * limit) / wanted
        determinant = -((wanted - above_mass) ** 2) - above_mass * (block_mass - above_mass)
        floor = (wanted * (above - wanted * limit) - above_mass * (block - wanted * limit)) / determinant
        return floor, (wanted * (floor - limit) + above) / above_mass - floor


def _settle(loss: Floats, mass: Floats | None, level: float, limit: float, floor: float, drop: float) -> Floats:
    """Return the losses cut, with the last units of rounding taken off until the ES keeps the limit."""
    step = 0.0
    while True:
        projected = np.minimum(loss, np.maximum(floor, loss - drop))
        if mass is not None:
            projected[mass == 0] = loss[mass == 0]
        es, _ = es_var(projected, level, weights=mass, tail="upper")
        if es <= limit:
            return projected
        step = max(2 * step, es - limit)
        floor -= step
        drop += step
