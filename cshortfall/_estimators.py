"""Estimators of VaR and ES other than the historical one, with their influence functions.

Every estimator works on losses. It fits a sample once and then answers for any level. All take weights, which are
probabilities: only their ratios matter. All need finite values. Of a constant sample ES and VaR are that value.

========================  ===================================================================================
name                      distribution of the losses
========================  ===================================================================================
``normal``                normal, mean and standard deviation of the sample (divisor n)
``student_t``             Student t, maximum likelihood of location, scale and degrees of freedom above 1
``cornish_fisher``        Cornish-Fisher expansion about the sample's first four moments
``kernel``                the sample smoothed by a Gaussian kernel
========================  ===================================================================================

The influence function of an estimate at the sample says what each observation adds to it, to first order. Its mean
is 0, its standard deviation divided by the square root of n the standard error, also where the distribution is not
the assumed one: then of the value the estimator tends to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cshortfall._arguments import warn
from cshortfall._core import resample, tail
from cshortfall._sample import EstimationError, Sample
from cshortfall._student_t import StudentT, fit_student_t, normalising_term

if TYPE_CHECKING:
    from cshortfall._sample import Estimator, Fit, Floats

LOG_ROOT_TWO_PI = 0.9189385332046728

# Of the kernel estimator's root finding; bisection alone needs about 60.
MOST_STEPS = 200


def estimate(method: str, row: Floats, levels: Floats, upper: bool, weights: Floats | None) -> tuple[Floats, Floats]:
    """Return ES and VaR of one row by a named estimator.

    Parameters
    ----------
    method : str
        A key of `ESTIMATORS`.
    row : ndarray, shape (n,), n >= 1
        Values without NaN: losses if `upper`, else profit and loss.
    levels : ndarray, shape (L,)
        Confidence levels in [0, 1).
    upper : bool
        Whether the row holds losses.
    weights : ndarray, shape (n,), or None
        Non-negative, not all zero.

    Returns
    -------
    es, var : ndarray, shape (L,)
        In the unit of the data, positive when money is lost. At level 0 ES is the mean (the location of Student's t)
        and VaR, the distribution's lower end, minus infinity.

    Raises
    ------
    EstimationError
        A `ValueError`: infinite values, or see the estimator.

    Warns
    -----
    RuntimeWarning
        If ``cornish_fisher`` is outside its domain and the historical estimate is returned.
    """
    sample = Sample.of_row(row, upper, weights)
    es, var = np.empty(len(levels)), np.empty(len(levels))
    if sample.is_constant:
        es[:] = var[:] = sample.losses[0] / sample.factor + 0.0
        return es, var
    fit = fitted(method, sample)
    for position, level in enumerate(levels.tolist()):
        if usable(fit, method, level):
            es[position], var[position] = fit.es_var(level)
        else:
            es[position], var[position] = historical(sample, level)
    return es / sample.factor + 0.0, var / sample.factor + 0.0


def fitted(method: str, sample: Sample) -> Fit:
    """Return the named estimator fitted to a sample whose values are not all equal."""
    infinite = len(sample.losses) - int(np.isfinite(sample.losses).sum())
    if infinite:
        raise EstimationError(
            f"method={method!r} needs finite values, got {infinite} infinite of {len(sample.losses)}; "
            "use method='historical'"
        )
    return ESTIMATORS[method].fit(sample)


def usable(fit: Fit, method: str, level: float) -> bool:
    """Return whether the estimate at a level can be used; if not, warn that the historical one replaces it."""
    objection = fit.objection(level)
    if objection is not None:
        warn(
            f"method={method!r} at level {level:g}: {objection}; the historical estimate is returned instead",
            RuntimeWarning,
        )
    return objection is None


def historical(sample: Sample, level: float) -> tuple[float, float]:
    """Return the historical ES and VaR."""
    weights = None if sample.weights is None else sample.weights[np.newaxis]
    es, var, _, _ = tail.tail_rows(sample.losses[np.newaxis], np.array([level]), True, False, weights, 1)
    return float(es[0, 0]), float(var[0, 0])


def normal_quantile(mass: float) -> float:
    """Return the quantile of the standard normal distribution with this probability beyond it."""
    from scipy.special import ndtri  # type: ignore[import-untyped]

    return -float(ndtri(mass))


def normal_density(x: float) -> float:
    """Return the density of the standard normal distribution."""
    return resample.exponential(-0.5 * x * x - LOG_ROOT_TWO_PI)


@dataclass(frozen=True)
class NormalFit:
    """Normal distribution of losses: ``ES = mean + deviation density(z)/(1 - level)``."""

    losses: Floats
    mean: float
    deviation: float

    def objection(self, level: float) -> str | None:
        """Return None: there is always an estimate."""
        return None

    def es_var(self, level: float) -> tuple[float, float]:
        """Return Expected Shortfall and Value at Risk."""
        z = normal_quantile(1.0 - level)
        return self.mean + self.deviation * (normal_density(z) / (1.0 - level)), self.mean + self.deviation * z

    def influence(self, level: float) -> tuple[Floats, Floats]:
        """Return each observation's influence on ES and on VaR, from those on mean and deviation."""
        centred = self.losses - self.mean
        if level == 0.0:
            return centred, np.full(len(centred), math.nan)
        z = normal_quantile(1.0 - level)
        spread = 0.5 * (centred * (centred / self.deviation) - self.deviation)
        return centred + (normal_density(z) / (1.0 - level)) * spread, centred + z * spread


class Normal:
    """Normal distribution with the sample's mean and standard deviation (divisor n). Takes weights.

    References
    ----------
    McNeil, Frey and Embrechts (2015), Quantitative Risk Management, section 2.3.
    """

    takes_weights = True

    def fit(self, sample: Sample) -> Fit:
        """Return the fit."""
        mean, deviation, _, _ = resample.moments(sample.losses, sample.weights)
        return NormalFit(sample.losses, mean, deviation)


@dataclass(frozen=True)
class StudentTFit:
    """Student t distribution of losses with a finite number of degrees of freedom."""

    sample: Sample
    distribution: StudentT

    def objection(self, level: float) -> str | None:
        """Return None: there is always an estimate."""
        return None

    def es_var(self, level: float) -> tuple[float, float]:
        """Return Expected Shortfall and Value at Risk."""
        fitted = self.distribution
        es, var = student_t_tail(level, fitted.inverse_dof)
        return fitted.location + fitted.scale * es, fitted.location + fitted.scale * var

    def influence(self, level: float) -> tuple[Floats, Floats]:
        """Return each observation's influence: its score through the inverse of the observed information."""
        fitted, losses = self.distribution, self.sample.losses
        inverse_dof = fitted.inverse_dof
        sums = resample.student_sums(losses, self.sample.weights, fitted.location, fitted.scale, inverse_dof)
        _, _, _, _, mm, ms, ss, md, sd, _, dd = sums
        _, slope, curvature = normalising_term(inverse_dof)
        information = np.array([[mm, 2.0 * ms, -md], [2.0 * ms, 2.0 * ss, -sd], [-md, -sd, -(dd + curvature)]])
        step = 1e-4 * min(inverse_dof, 1.0 - inverse_dof)
        es, var = student_t_tail(level, inverse_dof)
        es_above, var_above = student_t_tail(level, inverse_dof + step)
        es_below, var_below = student_t_tail(level, inverse_dof - step)
        gradients = np.array(
            [[1.0, 1.0], [es, var], [(es_above - es_below) / (2.0 * step), (var_above - var_below) / (2.0 * step)]]
        )
        to_es, to_var = fitted.scale * np.linalg.solve(information, gradients).T

        z = (losses - fitted.location) / fitted.scale
        location_score = (1.0 + inverse_dof) * z / (1.0 + inverse_dof * z * z)
        scores = (
            location_score,
            location_score * z - 1.0,
            resample.student_dof_scores(losses, fitted.location, fitted.scale, inverse_dof) + slope,
        )
        return (
            to_es[0] * scores[0] + to_es[1] * scores[1] + to_es[2] * scores[2],
            to_var[0] * scores[0] + to_var[1] * scores[1] + to_var[2] * scores[2],
        )


class StudentTEstimator:
    """Student t distribution, maximum likelihood of location, scale and degrees of freedom above 1. Takes weights.

    Where the likelihood is greatest for infinitely many degrees of freedom (no excess kurtosis) the fit is the normal
    distribution and the estimates are those of ``normal`` to the bit. Where it grows down to one degree of freedom,
    where ES is infinite, where half of the sample is one value, or without convergence: `EstimationError`.

    References
    ----------
    McNeil, Frey and Embrechts (2015), Quantitative Risk Management, section 2.3.
    """

    takes_weights = True

    def fit(self, sample: Sample) -> Fit:
        """Return the fit."""
        distribution = fit_student_t(sample.losses, sample.weights)
        if distribution.inverse_dof == 0.0:
            return ESTIMATORS["normal"].fit(sample)
        return StudentTFit(sample, distribution)


def student_t_tail(level: float, inverse_dof: float) -> tuple[float, float]:
    """Return ES and VaR of the standard Student t distribution of losses, 0 < inverse_dof < 1."""
    from scipy.special import stdtrit

    if level == 0.0:
        return 0.0, -math.inf
    quantile = -float(stdtrit(1.0 / inverse_dof, 1.0 - level))
    square = inverse_dof * quantile * quantile
    power = 0.5 * (1.0 + 1.0 / inverse_dof) * math.log1p(square)
    density = resample.exponential(normalising_term(inverse_dof)[0] - LOG_ROOT_TWO_PI - power)
    return density * (1.0 + square) / ((1.0 - inverse_dof) * (1.0 - level)), quantile


@dataclass(frozen=True)
class CornishFisherFit:
    """Cornish-Fisher quantile and Edgeworth tail mean about the moments of profit and loss.

    `skewness` is that of profit and loss, minus that of the losses.
    """

    losses: Floats
    mean: float
    deviation: float
    skewness: float
    kurtosis: float

    def objection(self, level: float) -> str | None:
        """Say so if the quantile function decreases near the tail or the centre, or the tail's mean is below VaR."""
        if level == 0.0:
            return None
        s, k = self.skewness, self.kurtosis
        reach = normal_quantile(0.01 * (1.0 - level))
        bend, tilt, base = k / 8.0 - s * s / 6.0, s / 3.0, 1.0 - k / 8.0 + 5.0 * s * s / 36.0
        turning = -tilt / (2.0 * bend) if bend > 0.0 else math.inf
        points = [-reach, reach] + ([turning] if abs(turning) < reach else [])
        numbers = f"skewness {s:.4g} and excess kurtosis {k:.4g} of profit and loss are outside the expansion's domain"
        if not min((bend * z + tilt) * z + base for z in points) > 0.0:
            return (
                f"{numbers}: its quantile function decreases between the normal quantiles -{reach:.3g} and {reach:.3g}"
            )
        es, var, _, _ = self._standard(level)
        if not es >= var:
            return f"{numbers}: its tail mean, {es:.4g} standard deviations, is below its VaR, {var:.4g}"
        return None

    def es_var(self, level: float) -> tuple[float, float]:
        """Return Expected Shortfall and Value at Risk."""
        if level == 0.0:
            return self.mean, -math.inf
        es, var, _, _ = self._standard(level)
        return self.mean + self.deviation * es, self.mean + self.deviation * var

    def influence(self, level: float) -> tuple[Floats, Floats]:
        """Return each observation's influence, from those on the four moments."""
        if level == 0.0:
            return self.losses - self.mean, np.full(len(self.losses), math.nan)
        es, var, es_slopes, var_slopes = self._standard(level)
        s, k = self.skewness, self.kurtosis
        u = (self.mean - self.losses) / self.deviation
        square = u * u
        spread = 0.5 * (square - 1.0)
        skewness = u * (square - 3.0) - s - 3.0 * s * spread
        kurtosis = square * square - (k + 3.0) - 4.0 * s * u - 4.0 * (k + 3.0) * spread
        return (
            self.deviation * (es * spread - u + es_slopes[0] * skewness + es_slopes[1] * kurtosis),
            self.deviation * (var * spread - u + var_slopes[0] * skewness + var_slopes[1] * kurtosis),
        )

    def _standard(self, level: float) -> tuple[float, float, tuple[float, float], tuple[float, float]]:
        """Return ES and VaR for mean 0 and deviation 1, and their derivatives in skewness and kurtosis."""
        s, k = self.skewness, self.kurtosis
        mass = 1.0 - level
        z = -normal_quantile(mass)
        square = z * z
        g = z + (square - 1.0) * s / 6.0 + z * (square - 3.0) * k / 24.0 - z * (2.0 * square - 5.0) * s * s / 36.0
        slope_s = (square - 1.0) / 6.0 - z * (2.0 * square - 5.0) * s / 18.0
        slope_k = z * (square - 3.0) / 24.0
        var_slopes = -slope_s, -slope_k

        g2 = g * g
        cubic, quartic, sextic = g * g2, g2 * (g2 - 2.0) - 1.0, g2 * (g2 * (g2 - 9.0) + 9.0) + 3.0
        bracket = 1.0 + s * cubic / 6.0 + k * quartic / 24.0 + s * s * sextic / 72.0
        density = normal_density(g) / mass
        es = density * bracket
        slope_g = density * (
            s * g2 / 2.0 + k * g * (g2 - 1.0) / 6.0 + s * s * g * (g2 * (g2 - 6.0) + 3.0) / 12.0 - g * bracket
        )
        es_slopes = (
            slope_g * slope_s + density * (cubic / 6.0 + s * sextic / 36.0),
            slope_g * slope_k + density * quartic / 24.0,
        )
        return es, -g, es_slopes, var_slopes


class CornishFisher:
    """Modified VaR and modified ES. Takes weights.

    With z the normal quantile of 1 - level, S and K the skewness and excess kurtosis of profit and loss (divisor n),
    VaR is ``-(mean + sd g)``, ``g = z + (z^2-1)S/6 + (z^3-3z)K/24 - (2z^3-5z)S^2/36``. ES is ``-mean + sd E``, the mean
    below g under the Edgeworth density,
    ``E = phi(g)/(1-level) (1 + S g^3/6 + K (g^4-2g^2-1)/24 + S^2 (g^6-9g^4+9g^2+3)/72)``.

    Domain: the quantile function must increase between the probabilities (1 - level)/100 and 1 - (1 - level)/100, and E
    must not be below -g. (Maillard asks for an increase over all probabilities, which half of all normal samples miss,
    far outside the data.) Outside it a `RuntimeWarning` gives the numbers and the **historical** estimate is returned.
    The density has mass 1 - level below g only to first order: for kurtosis above 2 ES is inaccurate at 99 % and more,
    and may fall as the level rises.

    References
    ----------
    Boudt, Peterson and Croux (2008), Estimation and decomposition of downside risk for portfolios with non-normal
    returns. Journal of Risk 11(2). Maillard (2012), A user's guide to the Cornish Fisher expansion.
    """

    takes_weights = True

    def fit(self, sample: Sample) -> Fit:
        """Return the fit."""
        mean, deviation, skewness, kurtosis = resample.moments(sample.losses, sample.weights)
        return CornishFisherFit(sample.losses, mean, deviation, -skewness, kurtosis)


@dataclass(frozen=True)
class KernelFit:
    """Mixture of normal distributions about the losses."""

    sample: Sample
    bandwidth: float

    def objection(self, level: float) -> str | None:
        """Return None: there is always an estimate."""
        return None

    def es_var(self, level: float) -> tuple[float, float]:
        """Return Expected Shortfall and Value at Risk."""
        if level == 0.0:
            return resample.moments(self.sample.losses, self.sample.weights)[0], -math.inf
        var = self._quantile(1.0 - level)
        return var + self._mean(self._excess(var)) / (1.0 - level), var

    def influence(self, level: float) -> tuple[Floats, Floats]:
        """Return each observation's influence, the bandwidth taken as given."""
        mass = 1.0 - level
        es, var = self.es_var(level)
        if level == 0.0:
            return self.sample.losses - es, np.full(len(self.sample.losses), math.nan)
        survival, density = self._survival(var)
        return self._excess(var) / mass - (es - var), (survival - mass) / self._mean(density)

    def _mean(self, values: Floats) -> float:
        return float(np.average(values, weights=self.sample.weights))

    def _survival(self, threshold: float) -> tuple[Floats, Floats]:
        """Return the probability beyond a threshold and the density there, of each part of the mixture."""
        from scipy.special import ndtr

        d = (self.sample.losses - threshold) / self.bandwidth
        return ndtr(d), np.exp(-0.5 * d * d - LOG_ROOT_TWO_PI) / self.bandwidth

    def _excess(self, threshold: float) -> Floats:
        """Return the mean excess over a threshold of each part of the mixture."""
        survival, density = self._survival(threshold)
        return (self.sample.losses - threshold) * survival + self.bandwidth * (self.bandwidth * density)

    def _quantile(self, mass: float) -> float:
        """Return the threshold with this probability beyond it: Newton's steps, kept in a shrinking bracket."""
        losses, reach = self.sample.losses, self.bandwidth * normal_quantile(mass)
        low, high = float(losses.min()) + reach, float(losses.max()) + reach
        threshold = 0.5 * (low + high)
        for _ in range(MOST_STEPS):
            survival, density = self._survival(threshold)
            excess, slope = self._mean(survival) - mass, self._mean(density)
            low, high = (threshold, high) if excess > 0.0 else (low, threshold)
            step = excess / slope if slope > 0.0 else math.inf
            following = threshold + step
            if not low <= following <= high:
                following = 0.5 * (low + high)
            if abs(following - threshold) <= 4e-16 * max(abs(low), abs(high)) or following in (low, high):
                return following
            threshold = following
        raise EstimationError(
            f"method='kernel' did not converge: the quantile of probability {1.0 - mass:.6g} lies between {low:.17g} "
            f"and {high:.17g}"
        )


class Kernel:
    """The sample convolved with a normal distribution. Takes weights.

    The bandwidth is Silverman's rule of thumb ``0.9 min(sd, IQR/1.34) n^(-1/5)`` (sd with divisor n - 1, quartiles by
    linear interpolation; sd alone if the interquartile range is 0), n being Kish's effective number with weights. VaR
    is the quantile of the mixture, ES its tail mean in closed form.

    References
    ----------
    Silverman (1986), Density Estimation, equation (3.31). Scaillet (2004), Nonparametric estimation and sensitivity
    analysis of expected shortfall. Mathematical Finance 14.
    """

    takes_weights = True

    def fit(self, sample: Sample) -> KernelFit:
        """Return the fit."""
        losses, weights = sample.losses, sample.weights
        _, deviation, _, _ = resample.moments(losses, weights)
        _, _, effective = resample.excess(losses, weights, float(losses[0]))
        deviation *= math.sqrt(effective / (effective - 1.0))
        low, high = _quartiles(losses, weights)
        spread = min(deviation, (high - low) / 1.34) if high > low else deviation
        return KernelFit(sample, 0.9 * spread * effective**-0.2)


def _quartiles(losses: Floats, weights: Floats | None) -> tuple[float, float]:
    """Return the quartiles by linear interpolation; the i-th weighted outcome lies in the middle of its weight."""
    if weights is None:
        low, high = np.quantile(losses, (0.25, 0.75))
    else:
        order = np.argsort(losses, kind="stable")
        cumulative = np.cumsum(weights[order])
        middles = (cumulative - 0.5 * weights[order]) / cumulative[-1]
        low, high = np.interp((0.25, 0.75), middles, losses[order])
    return float(low), float(high)


ESTIMATORS: dict[str, Estimator] = {
    "normal": Normal(),
    "student_t": StudentTEstimator(),
    "cornish_fisher": CornishFisher(),
    "kernel": Kernel(),
}
