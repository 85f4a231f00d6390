"""The parametric estimators written down slowly, from other formulas or with other tools than the package uses.

All work on losses and probabilities; ``mpmath`` gives the normal and Student t functions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import mpmath
import numpy as np
from scipy import optimize, special, stats

mpmath.mp.dps = 30


class Moments(NamedTuple):
    mean: float
    deviation: float
    skewness: float
    kurtosis: float


def probabilities(losses, weights=None):
    weights = np.ones(len(losses)) if weights is None else np.asarray(weights, dtype=float)
    return weights / math.fsum(weights)


def moments(losses, weights=None) -> Moments:
    """Mean, standard deviation (divisor n), skewness and excess kurtosis."""
    p = probabilities(losses, weights).tolist()
    mean = math.fsum(q * x for q, x in zip(p, losses, strict=True))
    second, third, fourth = (
        math.fsum(q * (x - mean) ** power for q, x in zip(p, losses, strict=True)) for power in (2, 3, 4)
    )
    return Moments(mean, math.sqrt(second), third / second**1.5, fourth / second**2 - 3)


def normal_upper_quantile(mass):
    """The value that a standard normal variable exceeds with this probability."""
    return mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * mpmath.mpf(mass))


def normal_es_var(losses, level, weights=None):
    mean, deviation, _, _ = moments(losses, weights)
    z = normal_upper_quantile(1 - level)
    return float(mean + deviation * mpmath.npdf(z) / (1 - level)), float(mean + deviation * z)


def student_es_var(location, scale, dof, level):
    """Quantile by root finding on the integrated density, ES by integration of the tail."""
    dof = mpmath.mpf(dof)
    constant = mpmath.gamma((dof + 1) / 2) / (mpmath.gamma(dof / 2) * mpmath.sqrt(dof * mpmath.pi))

    def density(t):
        return constant * (1 + t * t / dof) ** (-(dof + 1) / 2)

    mass = 1 - mpmath.mpf(level)

    # x = q / u maps the tail onto (0, 1]; u^(dof - 1) would be the integrand's behaviour at 0.
    def tail(q):
        return mpmath.betainc(dof / 2, 0.5, 0, dof / (dof + q * q), regularized=True) / 2

    quantile = mpmath.findroot(lambda q: tail(q) - mass, special.stdtrit(float(dof), level))
    mean = mpmath.quad(lambda t: t * density(t), [quantile, 4 * quantile, 64 * quantile, mpmath.inf]) / mass
    return location + scale * float(mean), location + scale * float(quantile)


def student_log_likelihood(losses, location, scale, dof, weights=None):
    """Per observation."""
    if math.isinf(dof):
        terms = stats.norm.logpdf(losses, location, scale)
    else:
        terms = stats.t.logpdf(losses, dof, location, scale)
    return float(np.dot(probabilities(losses, weights), terms))


def student_fit(losses, weights=None):
    """The best of several runs of a general optimiser: (location, scale, dof)."""
    centre, width = np.median(losses), np.std(losses)
    z = (np.asarray(losses) - centre) / width

    def cost(theta):
        return -student_log_likelihood(z, theta[0], math.exp(theta[1]), 1 / theta[2], weights)

    bounds = [(-5, 5), (-8, 3), (1e-6, 1.0)]
    runs = [
        optimize.minimize(cost, [0.0, -0.5, start], bounds=bounds, method="L-BFGS-B", options={"gtol": 1e-10})
        for start in (0.02, 0.2, 0.5)
    ]
    best = min(runs, key=lambda run: run.fun)
    return centre + width * best.x[0], width * math.exp(best.x[1]), 1 / best.x[2]


def tail_moment(q, g):
    """The I^q of Boudt, Peterson and Croux (2008), minus the integral of x^(q+1) phi(x) up to g."""
    density, cumulative = float(mpmath.npdf(g)), float(mpmath.ncdf(g))
    if q % 2 == 0:
        whole = math.prod(2 * j for j in range(1, q // 2 + 1))
        terms = [whole / math.prod(2 * j for j in range(1, i + 1)) * g ** (2 * i) for i in range(1, q // 2 + 1)]
        return (math.fsum(terms) + whole) * density
    whole = math.prod(2 * j + 1 for j in range((q - 1) // 2 + 1))
    terms = [whole / math.prod(2 * j + 1 for j in range(i + 1)) * g ** (2 * i + 1) for i in range((q - 1) // 2 + 1)]
    return math.fsum(terms) * density - whole * cumulative


def cornish_fisher_es_var(losses, level, weights=None):
    """Modified ES and VaR as Boudt, Peterson and Croux (2008) and PerformanceAnalytics have them."""
    mean, deviation, skewness, k = moments(losses, weights)
    s = -skewness
    mass = 1 - level
    z = -float(normal_upper_quantile(mass))
    h = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36
    density = float(mpmath.npdf(h))
    total = (
        density
        + (tail_moment(4, h) - 6 * tail_moment(2, h) + 3 * density) * k / 24
        + (tail_moment(3, h) - 3 * tail_moment(1, h)) * s / 6
        + (tail_moment(6, h) - 15 * tail_moment(4, h) + 45 * tail_moment(2, h) - 15 * density) * s**2 / 72
    )
    return mean + deviation * max(total / mass, -h), mean - deviation * h


def silverman_bandwidth(losses):
    quartiles = np.quantile(losses, [0.25, 0.75])
    return 0.9 * min(np.std(losses, ddof=1), (quartiles[1] - quartiles[0]) / 1.34) * len(losses) ** -0.2


def kernel_es_var(losses, level, bandwidth, weights=None):
    """Bisection for the quantile of the mixture, integration for its tail mean."""
    p = probabilities(losses, weights)
    reach = max(abs(np.asarray(losses))) + 40 * bandwidth
    var = optimize.brentq(
        lambda v: float(np.dot(p, stats.norm.sf(v, losses, bandwidth))) - (1 - level), -reach, reach, xtol=1e-14
    )
    # The mean excess of a normal variable over v is the integral of its survival function.
    nodes, masses = np.polynomial.legendre.leggauss(400)
    points = var + (reach - var) * (nodes + 1) / 2
    survival = stats.norm.sf(points[:, np.newaxis], losses, bandwidth) @ p
    return var + float(np.dot(masses, survival)) * (reach - var) / 2 / (1 - level), var
