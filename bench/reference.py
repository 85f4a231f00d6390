"""Expected Shortfall by exact and by correctly rounded sums: what every contender is checked against."""

import math
from fractions import Fraction

import numpy as np


def tail_count(n, level):
    """The exact number of outcomes in the tail of `n`, a whole number where `level` means one.

    Parameters
    ----------
    n : int or Fraction
        Number of outcomes, or their total weight.
    level : float
        Confidence level in [0, 1).

    Returns
    -------
    Fraction
        n (1 - level), moved to the nearest whole number if that is within n * 2^-53.
    """
    count = n * (1 - Fraction(level))
    whole = round(count)
    return Fraction(whole) if abs(count - whole) <= Fraction(n) / 2**53 else count


def tail_mean_loss(x, count):
    """Minus the mean of the `count` smallest values of `x`, the last of them by its fraction.

    Parameters
    ----------
    x : ndarray of shape (n,)
        Outcomes, gains positive.
    count : Fraction or int
        Length of the tail; below 1 the answer is minus the smallest value.

    Returns
    -------
    float
        The sum is correctly rounded (`math.fsum`), at a scale at which it cannot overflow.
    """
    whole = math.floor(count)
    if count <= 1:
        return 0.0 - float(x.min())
    worst = np.sort(np.partition(x, min(whole, x.size - 1))[: whole + 1]).astype(np.float64)
    if np.isinf(worst[:whole]).any():
        return 0.0 - float(worst[:whole].sum())
    scale = 2.0**-64 if abs(worst).max() > 1e290 else 1.0
    terms = list(worst[:whole] * scale)
    if whole < count:
        terms.append(float(count - whole) * float(worst[whole] * scale))
    return 0.0 - math.fsum(terms) / float(count) / scale


def exact_expected_shortfall(x, level, weights=None):
    """Expected Shortfall of finite outcomes in rational arithmetic.

    Parameters
    ----------
    x : sequence of float
        Outcomes, gains positive.
    level : float
        Confidence level in [0, 1).
    weights : sequence of float, optional
        Weights of the outcomes.

    Returns
    -------
    Fraction
        The exact value; no step rounds.

    Notes
    -----
    With weights, the boundary is moved to a cumulative weight that lies within W * 2^-53 of it, W the total weight.
    """
    if weights is None:
        mass = [(Fraction(v), Fraction(1)) for v in sorted(map(float, x))]
    else:
        pairs = sorted(zip(map(float, x), map(float, weights), strict=True))
        mass = [(Fraction(v), Fraction(w)) for v, w in pairs if w > 0]
    total = sum(w for _, w in mass)
    count = total * (1 - Fraction(level))
    used = loss = Fraction(0)
    for value, weight in mass:
        if abs(used + weight - count) <= total / 2**53:
            count = used + weight
        part = min(weight, count - used)
        used += part
        loss -= part * value
        if used == count:
            break
    return loss / count


def error_in_ulp(value, exact):
    """Distance of `value` from the Fraction `exact`, in units of the last place of `exact` rounded."""
    if exact == 0:
        return 0.0 if value == 0 else math.inf
    return float(abs(Fraction(value) - exact) / Fraction(math.ulp(float(exact))))
