"""The definitions of ES and VaR written down slowly: sorting, rational arithmetic, no cleverness.

Every finite double is a rational number, so everything is exact here up to one rounding at the end: the historical
ES is the double nearest to the exact one. The fast code must give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

SNAP = Fraction(1, 2**53)
# Every finite double is a whole number of these units.
_UNIT_EXPONENT = 1074
_UNITS_OF_ONE = 2**_UNIT_EXPONENT


class TailValue(NamedTuple):
    """Expected Shortfall and Value-at-Risk as the package must return them, and the exact ES.

    ``exact`` is a `Fraction`, or a float where ES is infinite or not a number.
    """

    es: float
    var: float
    exact: Fraction | float


class _Group(NamedTuple):
    """A value, the mass of the outcomes that have it in units of 2^-1074, and all mass up to and with it."""

    value: float
    mass: int
    cumulative: Fraction


class TailShares(NamedTuple):
    """Positions of the outcomes that make up ES, ascending, and their exact shares (sum one)."""

    indices: list[int]
    weights: list[Fraction]


NOT_A_NUMBER = TailValue(math.nan, math.nan, math.nan)


def exact_sum(values: Iterable[float]) -> Fraction:
    """Sum finite doubles exactly."""
    array = np.asarray(values, dtype=np.float64)
    units = sum(map(_units, array.tolist())) if array.size < 500 else _units_of_many(array)
    return Fraction(units, _UNITS_OF_ONE)


def _units(value: float) -> int:
    numerator, denominator = value.as_integer_ratio()
    return numerator * (_UNITS_OF_ONE // denominator)


def _units_of_many(array: np.ndarray) -> int:
    """Sum whole significands per exponent, in two halves that add up exactly in the doubles of bincount."""
    significand, exponent = np.frexp(array)
    integers = np.ldexp(significand, 53).astype(np.int64)
    distinct, group = np.unique(exponent, return_inverse=True)
    high = np.bincount(group, weights=(integers >> 26).astype(np.float64))
    low = np.bincount(group, weights=(integers & (2**26 - 1)).astype(np.float64))
    total = 0
    for power, upper, lower in zip(distinct.tolist(), high.tolist(), low.tolist(), strict=True):
        total += ((int(upper) << 26) + int(lower)) << (power + _UNIT_EXPONENT)
    return total >> 53


def to_double(value: Fraction | float) -> float:
    """Round to the nearest double, ties to even; zero is +0.0."""
    return float(value) + 0.0


def ulps_between(result: float, exact: Fraction) -> Fraction:
    """Return the distance in units in the last place of the exact value."""
    if exact == 0:
        return Fraction(0) if result == 0 else Fraction(2**1100)
    magnitude = abs(exact)
    exponent = math.frexp(to_double(magnitude))[1] - 1
    if Fraction(2) ** exponent > magnitude:
        exponent -= 1
    unit = Fraction(2) ** max(exponent - 52, -1074)
    return abs(Fraction(result) - exact) / unit


def tail_count(n: int, level: float) -> Fraction:
    """Return c = n(1 - level) of the exact double ``level``, moved to the integer it nearly is."""
    count = n * (1 - Fraction(level))
    nearest = round(count)
    return Fraction(nearest) if abs(count - nearest) <= n * SNAP else count


def es_var(
    values: Sequence[float] | np.ndarray,
    level: float = 0.975,
    weights: Sequence[float] | np.ndarray | None = None,
    tail: str = "lower",
    nan_policy: str = "propagate",
) -> TailValue:
    """Return ES and VaR of a one-dimensional sample.

    Parameters
    ----------
    values
        Outcomes; any numeric dtype, used as doubles.
    level
        Confidence, 0 <= level < 1.
    weights
        One non-negative weight per outcome, or None. An outcome of weight zero is absent.
    tail
        ``"lower"``: small outcomes are bad. ``"upper"``: the same for the mirrored sample.
    nan_policy
        ``"propagate"``, ``"omit"`` or ``"raise"``.
    """
    sample = np.asarray(values).astype(np.float64).ravel()
    if tail == "upper":
        sample = -sample
    level = float(level)
    if weights is not None:
        weight = np.asarray(weights).astype(np.float64).ravel()
        sample, weight = sample[weight != 0], weight[weight != 0]
    missing = np.isnan(sample)
    if missing.any():
        if nan_policy == "raise":
            raise ValueError("the sample holds NaN")
        if nan_policy == "propagate":
            return NOT_A_NUMBER
        sample = sample[~missing]
        if weights is not None:
            weight = weight[~missing]
    if sample.size == 0:
        return NOT_A_NUMBER
    if weights is None or (weight == weight[0]).all():
        return _es_var_of_equal_outcomes(np.sort(sample), level)
    return _es_var_of_weighted_outcomes(sample, weight, level)


def es(values, level=0.975, weights=None, tail="lower", nan_policy="propagate") -> float:
    """Return the Expected Shortfall of a one-dimensional sample; see `es_var`."""
    return es_var(values, level, weights, tail, nan_policy).es


def var(values, level=0.975, weights=None, tail="lower", nan_policy="propagate") -> float:
    """Return the Value-at-Risk of a one-dimensional sample; see `es_var`."""
    return es_var(values, level, weights, tail, nan_policy).var


def es_var_of_windows(
    values: Sequence[float] | np.ndarray,
    bounds: Iterable[tuple[int, int]],
    level: float = 0.975,
    tail: str = "lower",
    min_periods: int = 1,
) -> np.ndarray:
    """Return ES and VaR, of shape (2, windows), of the windows [start, stop) of a series; NaN holds a place.

    A window with fewer than ``min_periods`` values, or none, has NaN. Bounds outside the series are cut.
    """
    series = np.asarray(values).astype(np.float64)
    results = []
    for start, stop in bounds:
        window = series[max(start, 0) : max(stop, 0)]
        enough = np.count_nonzero(~np.isnan(window)) >= max(min_periods, 1)
        results.append(es_var(window, level, tail=tail, nan_policy="omit")[:2] if enough else (math.nan, math.nan))
    return np.array(results, dtype=np.float64).reshape(-1, 2).T


def rolling_bounds(n: int, window: int, lead: int = 1, step: int = 1) -> list[tuple[int, int]]:
    """Return the windows of one length: the j-th covers [j step + lead - window, j step + lead)."""
    return [(max(j + lead - window, 0), max(min(j + lead, n), 0)) for j in range(0, n, step)]


def _es_var_of_equal_outcomes(ascending: np.ndarray, level: float) -> TailValue:
    count = tail_count(ascending.size, level)
    whole = math.floor(count)
    fraction = count - whole
    var = _loss(ascending[max(math.ceil(count), 1) - 1])
    if count <= 1:
        return _tail_value(var, var)
    used = ascending[: whole + (fraction > 0)]
    infinite = _infinite_loss(used)
    if infinite is not None:
        return _tail_value(infinite, var)
    numerator = exact_sum(ascending[:whole])
    if fraction:
        numerator += fraction * Fraction(float(ascending[whole]))
    return _tail_value(-numerator / count, var)


def _es_var_of_weighted_outcomes(sample: np.ndarray, weight: np.ndarray, level: float) -> TailValue:
    total = exact_sum(weight)
    mass = total * (1 - Fraction(level))
    groups = _worst_groups(sample, weight, mass + total * SNAP)
    for group in groups:
        if abs(mass - group.cumulative) <= total * SNAP:
            mass = group.cumulative
            break
    position = next(i for i, group in enumerate(groups) if group.cumulative >= mass)
    boundary = groups[position]
    var = _loss(boundary.value)
    if position == 0:
        return _tail_value(var, var)
    whole = groups[:position]
    infinite = _infinite_loss(np.array([group.value for group in (*whole, boundary)]))
    if infinite is not None:
        return _tail_value(infinite, var)
    numerator = Fraction(sum(group.mass * _units(group.value) for group in whole), _UNITS_OF_ONE**2)
    numerator += (mass - whole[-1].cumulative) * Fraction(boundary.value)
    return _tail_value(-numerator / mass, var)


def _worst_groups(sample: np.ndarray, weight: np.ndarray, enough: Fraction) -> list[_Group]:
    """Return the distinct values, worst first, with their masses, until these pass ``enough``."""
    order = np.argsort(sample)
    values, starts = np.unique(sample[order], return_index=True)
    groups: list[_Group] = []
    cumulative = 0
    for value, tied in zip(values.tolist(), np.split(weight[order], starts[1:]), strict=True):
        mass = sum(map(_units, tied.tolist()))
        cumulative += mass
        groups.append(_Group(value, mass, Fraction(cumulative, _UNITS_OF_ONE)))
        if groups[-1].cumulative > enough:
            break
    return groups


def _tail_value(exact: Fraction | float, var: float) -> TailValue:
    if isinstance(exact, float) and math.isfinite(exact):
        exact = Fraction(exact)
    return TailValue(to_double(exact), var, exact)


def _loss(outcome: float) -> float:
    """Return minus the outcome, never a negative zero."""
    return -float(outcome) + 0.0


def _infinite_loss(used: np.ndarray) -> float | None:
    """Return ES where infinite outcomes decide it: a loss, a gain, or NaN when both occur."""
    losses, gains = bool((used == -math.inf).any()), bool((used == math.inf).any())
    if losses and gains:
        return math.nan
    if losses:
        return math.inf
    return -math.inf if gains else None


def _quotient(numerator: Fraction, denominator: Fraction) -> float:
    return to_double(-numerator / denominator)


def along_axis(function, values: np.ndarray, axis: int | tuple[int, ...] | None, weights=None):
    """Apply ``function(slice, weights of the slice)`` over ``axis`` and return the array of results."""
    array = np.asarray(values)
    axes = tuple(range(array.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(a % array.ndim for a in axes)
    kept = [a for a in range(array.ndim) if a not in axes]
    shape = [array.shape[a] for a in kept]
    rows = array.transpose(*kept, *axes).reshape(math.prod(shape), -1)
    if weights is None:
        results = [function(row, None) for row in rows]
    else:
        weight = np.asarray(weights)
        if weight.shape != array.shape:
            weight = np.broadcast_to(
                weight.reshape([-1 if a == axes[0] else 1 for a in range(array.ndim)]), array.shape
            )
        weight_rows = weight.transpose(*kept, *axes).reshape(math.prod(shape), -1)
        results = [function(row, own) for row, own in zip(rows, weight_rows, strict=True)]
    return np.array(results, dtype=np.float64).reshape(shape)


def of_axis(quantity, values, level, axis, weights=None, tail="lower", nan_policy="propagate") -> np.ndarray:
    """Return ``"es"`` or ``"var"`` of every slice over ``axis``."""
    return along_axis(
        lambda row, own: getattr(es_var(row, level, own, tail, nan_policy), quantity), values, axis, weights
    )


def tail_shares(
    values: Sequence[float] | np.ndarray | Sequence[Fraction],
    level: float,
    weights: Sequence[float] | np.ndarray | None = None,
    tail: str = "lower",
) -> TailShares:
    """Return the shares of the outcomes in ES; outcomes tied at the boundary share what remains.

    Missing outcomes (NaN) and those of weight zero hold no share.
    """
    sample = list(values) if tail == "lower" else [-value for value in values]
    masses = [Fraction(1)] * len(sample) if weights is None else [Fraction(float(w)) for w in weights]
    present = [i for i, value in enumerate(sample) if value == value and masses[i] > 0]
    total = sum(masses[i] for i in present)
    if len({masses[i] for i in present}) == 1:
        unit = masses[present[0]]
        mass = max(tail_count(len(present), level), Fraction(1)) * unit
    else:
        mass = total * (1 - Fraction(level))
        cumulative = Fraction(0)
        ascending = sorted(present, key=lambda i: sample[i])
        for rank, i in enumerate(ascending):
            cumulative += masses[i]
            last_of_its_value = rank + 1 == len(ascending) or sample[ascending[rank + 1]] != sample[i]
            if last_of_its_value and abs(mass - cumulative) <= total * SNAP:
                mass = cumulative
                break
    shares: dict[int, Fraction] = {}
    remaining = mass
    for value in sorted({sample[i] for i in present}):
        tied = [i for i in present if sample[i] == value]
        group = sum(masses[i] for i in tied)
        taken = min(group, remaining)
        for i in tied:
            shares[i] = masses[i] * taken / group / mass
        remaining -= taken
        if remaining == 0:
            break
    indices = sorted(shares)
    return TailShares(indices, [shares[i] for i in indices])


def portfolio_outcomes(returns: np.ndarray, weights: Sequence[float]) -> list[Fraction]:
    """Return the exact profit of one portfolio in every scenario."""
    exposures = [Fraction(float(w)) for w in weights]
    return [
        sum((w * Fraction(float(r)) for w, r in zip(exposures, row, strict=True)), Fraction(0))
        for row in np.asarray(returns)
    ]


def es_gradient(returns: np.ndarray, weights: Sequence[float], level: float, tail: str = "lower") -> list[Fraction]:
    """Return the gradient of ES in the portfolio weights, boundary ties shared."""
    shares = tail_shares(portfolio_outcomes(returns, weights), level, tail=tail)
    sign = -1 if tail == "lower" else 1
    return [
        sign * sum(share * Fraction(float(returns[i, j])) for i, share in zip(*shares, strict=True))
        for j in range(np.asarray(returns).shape[1])
    ]


def minimum_of_rockafellar_uryasev(values: Sequence[float], level: float) -> Fraction:
    """Return min over t of t + E[(-x - t)+]/(1 - level), which is attained at one of the outcomes."""
    losses = [-Fraction(float(value)) for value in values]
    scale = len(losses) * (1 - Fraction(level))
    return min(t + sum(max(loss - t, Fraction(0)) for loss in losses) / scale for t in losses)


def windows_by_position(n, window, center=False, closed="right", step=1) -> list[list[int]]:
    """Return the positions in the window of every ``step``-th of n: one for each position in ``(i - window, i]``.

    A centred window lies ``(window - 1) // 2`` later; ``closed`` says which ends belong to it.
    """
    windows = []
    for i in range(0, n, step):
        end = i + (window - 1) // 2 if center else i
        first = end - window + (0 if closed in ("left", "both") else 1)
        last = end - (0 if closed in ("right", "both") else 1)
        windows.append([p for p in range(n) if first <= p <= last])
    return windows


def windows_by_time(times, window, center=False, closed="right", step=1) -> list[list[int]]:
    """Return the positions in the window of every ``step``-th time: those with a time in ``(t - window, t]``.

    Of equal times the later positions are not yet there, unless the window is ``(t - window/2, t + window/2]``. Times
    that fall are read with their signs turned.
    """
    moments = [Fraction(t) for t in times]
    if moments and moments[-1] < moments[0]:
        moments = [-t for t in moments]
    before = Fraction(window) / 2 if center else Fraction(window)
    after = before if center else Fraction(0)
    windows = []
    for i in range(0, len(moments), step):
        inside = []
        for p, t in enumerate(moments):
            age = moments[i] - t
            enters = age < before or (age == before and closed in ("left", "both"))
            stays = age > -after or (age == -after and closed in ("right", "both"))
            if enters and stays and (center or p <= i):
                inside.append(p)
        windows.append(inside)
    return windows


def of_windows(quantity, values, windows, level, min_periods, tail="lower") -> np.ndarray:
    """Return ``"es"`` or ``"var"`` of the outcomes at the positions of each window; NaN of too few."""
    sample = np.asarray(values, dtype=np.float64)
    results = []
    for positions in windows:
        outcomes = sample[positions]
        outcomes = outcomes[~np.isnan(outcomes)]
        enough = len(outcomes) >= max(min_periods, 1)
        results.append(getattr(es_var(outcomes, level, tail=tail), quantity) if enough else math.nan)
    return np.array(results, dtype=np.float64)


def ewm_es(values, level, decay, min_periods=0, ignore_na=False) -> list[Fraction | float]:
    """Return the ES of all outcomes up to each position under weights ``decay ** age``, exactly.

    The age is the number of positions since, with ``ignore_na`` of outcomes since. NaN of too few outcomes; a float
    also where infinities decide.
    """
    results: list[Fraction | float] = []
    stamps: list[int] = []
    outcomes: list[float] = []
    clock = 0
    for value in np.asarray(values, dtype=np.float64).tolist():
        clock += value == value or not ignore_na
        if value == value:
            outcomes.append(value)
            stamps.append(clock)
        if len(outcomes) < max(min_periods, 1):
            results.append(math.nan)
        else:
            ages = [stamps[-1] - stamp for stamp in stamps]
            results.append(es_of_decayed_outcomes(outcomes, ages, level, decay))
    return results


def es_of_decayed_outcomes(outcomes, ages, level, decay) -> Fraction | float:
    """Return the ES of outcomes with the weights ``decay ** age``; a float where infinities decide."""
    # Whole numbers in the same proportions keep the arithmetic short.
    above, below = Fraction(decay).as_integer_ratio()
    oldest = max(ages)
    masses: dict[float, int] = {}
    for value, age in zip(outcomes, ages, strict=True):
        masses[value] = masses.get(value, 0) + above**age * below ** (oldest - age)
    total = sum(masses.values())
    mass = total * (1 - Fraction(level))
    cumulative, numerator = 0, Fraction(0)
    whole: list[float] = []
    for value in sorted(masses):
        reached = cumulative + masses[value]
        if abs(reached - mass) <= total * SNAP:
            mass = Fraction(reached)
        if reached >= mass:
            break
        whole.append(value)
        if math.isfinite(value):
            numerator += masses[value] * Fraction(value)
        cumulative = reached
    if not whole:
        return -Fraction(value) if math.isfinite(value) else -value
    infinite = _infinite_loss(np.array([*whole, value]))
    return -(numerator + (mass - cumulative) * Fraction(value)) / mass if infinite is None else infinite
