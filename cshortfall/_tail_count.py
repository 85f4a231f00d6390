"""The tail count n (1 - level): how many of n outcomes make up the tail, a real number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fractions import Fraction

    from cshortfall._arguments import Floats


def tail_count(n: int, level: float) -> Fraction:
    """Return n (1 - level), moved to the whole number that it nearly is."""
    from fractions import Fraction

    count = n * (1 - Fraction(level))
    nearest = round(count)
    return Fraction(nearest) if abs(count - nearest) <= Fraction(n, 1 << 53) else count


def tail_mass(n: int, level: float) -> float:
    """Return 1 - level such that n times it, as a double, is whole where the tail count is."""
    count = tail_count(n, level)
    if count.denominator > 1:
        return 1.0 - level
    mass = float(count / n)
    neighbours = (mass, math.nextafter(mass, 0.0), math.nextafter(mass, 1.0))
    return next((one for one in neighbours if one * n == count), mass)


def effective_tail_count(n: int, weights: Floats | None, level: float) -> float:
    """Return the tail count, with weights that of Kish's effective number of outcomes."""
    if weights is None or weights.min() == weights.max():
        return float(tail_count(n, level))
    scaled = weights / weights.max()
    return float(scaled.sum() ** 2 / np.square(scaled).sum()) * (1.0 - level)
