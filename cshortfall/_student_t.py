"""Maximum likelihood for the location, scale and degrees of freedom of Student's t distribution.

The likelihood is maximised over ``1/dof`` in [0, 1]: there it is smooth, 0 is the normal distribution, and a maximum at
either end is an ordinary case. For a fixed ``1/dof`` the maximum over location and scale is unique (Kent and Tyler
1991) and is found by Newton steps, with a step of the expectation-maximisation algorithm, which never lowers the
likelihood, where Newton's fails. The profile is searched on a grid first, because it may have several maxima; then the
root of its derivative is bracketed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cshortfall._core import resample
from cshortfall._sample import EstimationError

if TYPE_CHECKING:
    from cshortfall._sample import Floats

GRID = (0.0, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 1.0)
MOST_STEPS = 200
STEP_TOLERANCE = 1e-11
COARSE_TOLERANCE = 1e-4

# log Gamma((v+1)/2) - log Gamma(v/2) - log(v/2)/2 ~ c_1/v + c_2/v^3 + ..., c_j = -(4^j - 1) B_2j / (2j (2j - 1)).
NORMALISING_SERIES = (-1 / 4, 1 / 24, -1 / 20, 17 / 112, -31 / 36, 691 / 88, -5461 / 52)


class _Sums(NamedTuple):
    """Weighted means over the sample, as the enumeration in moments.h has them."""

    likelihood: float
    omega: float
    omega_z: float
    omega_u: float
    location_location: float
    location_scale: float
    scale_scale: float
    location_dof: float
    scale_dof: float
    dof: float
    dof_dof: float


@dataclass(frozen=True)
class StudentT:
    """A fitted distribution of losses; ``inverse_dof == 0`` is the normal distribution."""

    location: float
    scale: float
    inverse_dof: float


@dataclass(frozen=True)
class _Point:
    """The maximum over location and scale for one value of 1/dof, likelihoods per observation."""

    location: float
    scale: float
    inverse_dof: float
    likelihood: float
    sums: _Sums

    @property
    def score(self) -> float:
        """Derivative of the profile likelihood in 1/dof."""
        return self.sums.dof + normalising_term(self.inverse_dof)[1]

    @property
    def curvature(self) -> float:
        """Second derivative of the profile likelihood in 1/dof."""
        sums = self.sums
        mm, ms, ss = sums.location_location, 2.0 * sums.location_scale, 2.0 * sums.scale_scale
        m, s = sums.location_dof, sums.scale_dof
        return (
            sums.dof_dof
            + normalising_term(self.inverse_dof)[2]
            + (m * m * ss - 2.0 * m * s * ms + s * s * mm) / (mm * ss - ms * ms)
        )


def fit_student_t(losses: Floats, weights: Floats | None) -> StudentT:
    """Return the maximum likelihood fit with more than one degree of freedom.

    Parameters
    ----------
    losses : ndarray, shape (n,)
        Finite, at least two different values.
    weights : ndarray, shape (n,), or None
        Positive; the likelihood of an observation counts that often.

    Raises
    ------
    EstimationError
        If half of the weight or more lies on one value (the likelihood is unbounded), if the likelihood still grows at
        one degree of freedom, where ES is infinite, or if the iteration does not converge.

    References
    ----------
    Kent and Tyler (1991), Redescending M-estimates of multivariate location and scatter. Annals of Statistics 19.
    Liu, Rubin and Wu (1998), Parameter expansion to accelerate EM: the PX-EM algorithm. Biometrika 85.
    """
    centre, scale = _robust_start(losses, weights)
    # Near 0 the location keeps its digits when the scale is small against it.
    losses, location = losses - centre, 0.0
    points: list[_Point] = []
    for inverse_dof in reversed(GRID):
        points.append(_climb(losses, weights, inverse_dof, location, scale, COARSE_TOLERANCE)[0])
        location, scale = points[-1].location, points[-1].scale
    points.reverse()
    best = max(range(len(points)), key=lambda position: points[position].likelihood)
    start = points[best]
    point = _maximise(losses, weights, start.inverse_dof, start.location, start.scale)
    if point.score > 0.0:
        if best == len(points) - 1:
            raise EstimationError(
                f"method='student_t': the likelihood of these {len(losses)} values grows down to one degree of freedom "
                f"(location {centre + point.location:.6g}, scale {point.scale:.6g}), where ES is infinite; "
                "use method='historical'"
            )
        point = _solve(losses, weights, point, points[best + 1])
    elif best > 0:
        point = _solve(losses, weights, points[best - 1], point)
    if point.likelihood < points[best].likelihood - 1e-9:
        raise EstimationError(
            f"method='student_t' did not converge: log-likelihood {point.likelihood:.12g} per observation at "
            f"1/dof = {point.inverse_dof:.6g} is below {points[best].likelihood:.12g} at "
            f"1/dof = {points[best].inverse_dof:.6g}"
        )
    return StudentT(centre + point.location, point.scale, point.inverse_dof)


def normalising_term(inverse_dof: float) -> tuple[float, float, float]:
    """Return log Gamma((v+1)/2) - log Gamma(v/2) - log(v/2)/2 and two derivatives in inverse_dof, v = 1/inverse_dof.

    Exact at 0 and without cancellation for many degrees of freedom: an asymptotic series, after steps up to v >= 32.
    """
    if inverse_dof <= 1 / 32:
        return _normalising_series(inverse_dof)
    half = 0.5 / inverse_dof
    steps = math.ceil(16.0 - half)
    shifted = half + steps
    near = 0.5 / shifted
    value, first, second = _normalising_series(near)
    # The series' derivatives in half the degrees of freedom; near = 1/(2 shifted).
    second = 4.0 * near**4 * second + 8.0 * near**3 * first
    first = -2.0 * near * near * first
    value += 0.5 * math.log(shifted / half)
    first += 0.5 * (1.0 / shifted - 1.0 / half)
    second += 0.5 * (1.0 / half**2 - 1.0 / shifted**2)
    for step in range(steps):
        low, high = half + step, half + step + 0.5
        value -= math.log1p(0.5 / low)
        first += 1.0 / low - 1.0 / high
        second += 1.0 / high**2 - 1.0 / low**2
    return value, -2.0 * half * half * first, 4.0 * half**4 * second + 8.0 * half**3 * first


def _normalising_series(inverse_dof: float) -> tuple[float, float, float]:
    square = inverse_dof * inverse_dof
    value = first = second = 0.0
    for position in reversed(range(len(NORMALISING_SERIES))):
        power = 2 * position + 1
        coefficient = NORMALISING_SERIES[position]
        value = value * square + coefficient
        first = first * square + power * coefficient
        if position:
            second = second * square + power * (power - 1) * coefficient
    return inverse_dof * value, first, inverse_dof * second


def _robust_start(losses: Floats, weights: Floats | None) -> tuple[float, float]:
    """Return median and a scale, after a check that no value holds half of the weight."""
    order = np.argsort(losses, kind="stable")
    ordered = losses[order]
    if weights is None:
        cumulative = np.arange(1, len(losses) + 1) / len(losses)
    else:
        cumulative = np.cumsum(weights[order])
        cumulative /= cumulative[-1]
    low, median, high = ordered[np.minimum(np.searchsorted(cumulative, (0.25, 0.5, 0.75)), len(losses) - 1)]
    first, last = np.searchsorted(ordered, median), np.searchsorted(ordered, median, side="right")
    share = cumulative[last - 1] - (cumulative[first - 1] if first else 0.0)
    if share >= 0.5 - 1e-12:
        raise EstimationError(
            f"method='student_t': {100.0 * share:.3g}% of the weight of these {len(losses)} values lies on one of them "
            "and makes the likelihood unbounded; it needs less than half; use method='historical'"
        )
    scale = 0.7 * (high - low)
    return float(median), float(scale) if scale > 0.0 else resample.moments(losses, weights)[1]


def _evaluate(losses: Floats, weights: Floats | None, inverse_dof: float, location: float, scale: float) -> _Point:
    sums = _Sums(*resample.student_sums(losses, weights, location, scale, inverse_dof))
    likelihood = sums.likelihood + normalising_term(inverse_dof)[0] - math.log(scale)
    return _Point(location, scale, inverse_dof, likelihood, sums)


def _maximise(losses: Floats, weights: Floats | None, inverse_dof: float, location: float, scale: float) -> _Point:
    """Return the maximum over location and scale for a fixed 1/dof."""
    point, step = _climb(losses, weights, inverse_dof, location, scale, STEP_TOLERANCE)
    if step > STEP_TOLERANCE:
        raise EstimationError(
            f"method='student_t' did not converge in {MOST_STEPS} steps at 1/dof = {inverse_dof:.6g}: scale "
            f"{point.scale:.9g}, last step {step:.3g} scales (limit {STEP_TOLERANCE:g})"
        )
    return point


def _climb(
    losses: Floats, weights: Floats | None, inverse_dof: float, location: float, scale: float, tolerance: float
) -> tuple[_Point, float]:
    """Return a point of no smaller likelihood, after steps down to a tolerance or `MOST_STEPS`, and the last step."""
    point = _evaluate(losses, weights, inverse_dof, location, scale)
    for _ in range(MOST_STEPS):
        shift, stretch = _newton_step(point)
        candidate = _moved(losses, weights, point, shift, stretch)
        if not candidate.likelihood >= point.likelihood - 1e-14 * (1.0 + abs(point.likelihood)):
            shift, stretch = _expectation_step(point)
            candidate = _moved(losses, weights, point, shift, stretch)
        point = candidate
        step = max(abs(shift), abs(stretch))
        if step <= tolerance:
            break
    return point, step


def _moved(losses: Floats, weights: Floats | None, point: _Point, shift: float, stretch: float) -> _Point:
    """Return the point with the location moved by so many scales and this much added to the logarithm of the scale."""
    location, scale = point.location + point.scale * shift, point.scale * resample.exponential(stretch)
    return _evaluate(losses, weights, point.inverse_dof, location, scale)


def _newton_step(point: _Point) -> tuple[float, float]:
    """Return Newton's step, of bounded length; the expectation step where the likelihood is not concave."""
    sums = point.sums
    mm, ms, ss = sums.location_location, 2.0 * sums.location_scale, 2.0 * sums.scale_scale
    determinant = mm * ss - ms * ms
    if mm <= 0.0 or determinant <= 1e-12 * mm * ss:
        return _expectation_step(point)
    gradient_m, gradient_s = sums.omega_z, sums.omega_u - 1.0
    shift = (ss * gradient_m - ms * gradient_s) / determinant
    stretch = (mm * gradient_s - ms * gradient_m) / determinant
    shorten = min(1.0, 1.0 / max(abs(shift), abs(stretch), 1e-300))
    return shift * shorten, stretch * shorten


def _expectation_step(point: _Point) -> tuple[float, float]:
    """Return the step of the parameter-expanded algorithm, which never lowers the likelihood."""
    sums = point.sums
    shift = sums.omega_z / sums.omega
    return shift, 0.5 * math.log(max((sums.omega_u - shift * sums.omega_z) / sums.omega, 1e-300))


def _solve(losses: Floats, weights: Floats | None, low: _Point, high: _Point) -> _Point:
    """Return the profile's stationary point between two of its points, one of them the best on the grid."""
    point = low if low.likelihood >= high.likelihood else high
    for _ in range(MOST_STEPS):
        score, curvature = point.score, point.curvature
        target = point.inverse_dof - score / curvature if curvature < 0.0 else -1.0
        if abs(target - point.inverse_dof) <= STEP_TOLERANCE * max(point.inverse_dof, 1e-3):
            return point
        if not low.inverse_dof < target < high.inverse_dof:
            target = 0.5 * (low.inverse_dof + high.inverse_dof)
        if high.inverse_dof - low.inverse_dof <= STEP_TOLERANCE * high.inverse_dof:
            return point
        point = _maximise(losses, weights, target, point.location, point.scale)
        if point.score > 0.0:
            low = point
        else:
            high = point
    raise EstimationError(
        f"method='student_t' did not converge in {MOST_STEPS} steps: 1/dof lies between {low.inverse_dof:.9g} and "
        f"{high.inverse_dof:.9g}, derivatives {low.score:.3g} and {high.score:.3g}"
    )
