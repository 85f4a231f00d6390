"""Standard errors of ES and VaR, and intervals that cover.

Everything takes the outcomes as independent, except the block forms. Weights are probabilities: standard errors use
Kish's effective number of outcomes, ``sum(w)^2 / sum(w^2)``, and a resample draws that many (rounded) outcomes with the
weights' probabilities. On returns whose volatility clusters, intervals that assume independence cover the unconditional
ES in 50 to 70 % of the samples where 95 % are promised, blocks in 65 to 80 %.

Standard errors
    ES: standard deviation of its influence function, for the historical estimate ``(L - VaR)+ / (1 - level)``, over
    sqrt(n - 1). VaR, historical: ``sqrt(level (1 - level) / n)`` over the density there, the inverse of the difference
    quotient of the quantile function over m order statistics on either side, ``m = min(c, n - c)^(4/5)`` rounded up, c
    the tail count: about what Bofinger (1975) finds best for an exponential tail. Both are undefined (NaN) where the
    tail holds one outcome or less, of two outcomes, and where the estimate is infinite.
    Block form (``interval="block_bootstrap"``, or ``"asymptotic"`` or None with a block length): the long-run standard
    deviation of the influence function, Bartlett weights up to the block length, circular autocovariances (Newey and
    West 1987).

Intervals of ES
    ``studentized`` (default): bootstrap of ``log(ES*/ES)`` over its standard error (Efron and Tibshirani 1993, chapter
    12; Hall 1992), of ``ES* - ES`` where ES or a replicate is not positive. ``asymptotic``: normal quantiles times the
    standard error. ``percentile``: quantiles of the replicates. ``block_bootstrap``: as ``studentized``, with circular
    blocks (Politis and Romano 1992) of consecutive outcomes and the standard errors of block sums (Götze and Künsch
    1996); default length: the integer nearest to the cube root of n.
    Historical, tail count below 5: a warning, for none of them covers well; the studentised ones are not on the log
    scale, leave replicates without spread in their tail out of the upper end, and are bounded below by VaR's lower end.
    At 1 or less, and of two outcomes, nothing bounds ES from above and every interval is (lower end of VaR, inf).

Intervals of VaR
    Historical: the two order statistics that enclose the quantile with at least the wanted probability by the binomial
    distribution, infinite where the sample has none. In block form quantiles of the replicates, or normal quantiles.

Estimators other than ``historical`` have the ES intervals for both, from their influence functions: a replicate is the
estimate plus the mean influence in the resample. Where ``cornish_fisher`` falls back, all is as for ``historical``.

A constant sample has standard errors 0 and intervals of width 0; those of a single outcome are NaN and infinite.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cshortfall._arguments import warn
from cshortfall._core import openmp, resample, tail
from cshortfall._estimators import fitted, normal_quantile, usable
from cshortfall._sample import Sample
from cshortfall._tail_count import tail_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._sample import Fit, Floats

    Key = NDArray[np.uint64]
    Pair = tuple[float, float]

INTERVALS = ("studentized", "asymptotic", "percentile", "block_bootstrap")

# Below it the upper end of the studentised bootstrap on the log scale is infinite for many samples.
SMALL_TAIL = 5.0


class Settings(NamedTuple):
    """What the user asked of the intervals; `block_length` 0 stands for independent outcomes."""

    interval: str | None
    confidence_level: float
    n_resamples: int
    block_length: int


class Replicates(NamedTuple):
    """Estimates in every resample."""

    es: Floats
    var: Floats
    es_error: Floats


class Risk(NamedTuple):
    """Estimates at one level, with standard errors and intervals."""

    es: float
    var: float
    es_standard_error: float
    var_standard_error: float
    es_interval: Pair
    var_interval: Pair


def tail_risk_row(
    row: Floats,
    levels: Floats,
    upper: bool,
    weights: Floats | None,
    method: str,
    interval: str | None,
    confidence_level: float,
    n_resamples: int,
    block_length: int | None,
    generator: np.random.Generator | None,
) -> dict[str, Floats]:
    """Return estimates, standard errors and intervals of one row.

    Parameters
    ----------
    row : ndarray, shape (n,), n >= 1
        Values without NaN, in the order of time for the block forms: losses if `upper`, else profit and loss.
    levels : ndarray, shape (L,)
        Confidence levels in [0, 1).
    upper : bool
        Whether the row holds losses.
    weights : ndarray, shape (n,), or None
        Non-negative, not all zero.
    method : str
        ``"historical"`` or a key of `cshortfall._estimators.ESTIMATORS`.
    interval : str or None
        One of `INTERVALS`; None for none.
    confidence_level : float
        In (0, 1).
    n_resamples : int
        Number of replicates, at least ``2/(1 - confidence_level) - 1``.
    block_length : int or None
        Number of outcomes in a block, for the block forms only.
    generator : Generator or None
        Gives the 256 bits of which all resamples of the row are a function; untouched where nothing is resampled. The
        interval at one level does not depend on what other levels there are.

    Returns
    -------
    dict
        ``es``, ``var``, ``es_standard_error``, ``var_standard_error``, shape (L,); ``es_interval``, ``var_interval``,
        shape (L, 2), NaN if `interval` is None.

    Raises
    ------
    ValueError
        If `n_resamples` or `block_length` does not fit the other arguments or the row, or the estimator has no value.

    Warns
    -----
    RuntimeWarning
        If the tail holds fewer than 5 outcomes, or ``cornish_fisher`` falls back.
    """
    sample = Sample.of_row(row, upper, weights)
    settings = _settings(interval, confidence_level, n_resamples, block_length, len(sample.losses))
    key = _key(generator) if interval in ("studentized", "percentile", "block_bootstrap") else None
    if method == "historical" or sample.is_constant:
        risks = _historical_risks(_Tails(row, upper, weights, sample), levels, settings, key)
    else:
        fit = fitted(method, sample)
        risks = []
        for level in levels:
            if usable(fit, method, float(level)):
                risks.append(_fitted_risk(fit, sample, float(level), settings, key))
            else:
                tails = _Tails(row, upper, weights, sample)
                risks += _historical_risks(tails, np.array([level]), settings, key)
    names = Risk._fields
    return {name: np.array([risk[position] for risk in risks]) for position, name in enumerate(names)}


class _Tails:
    """The losses from the worst down, in the scale of the sample."""

    def __init__(self, row: Floats, upper: bool, weights: Floats | None, sample: Sample) -> None:
        self.row, self.upper, self.row_weights, self.sample = row, upper, weights, sample
        self.effective, self.draws = _effective(sample)
        if sample.weights is None:
            self.losses = np.sort(sample.losses)[::-1].copy()
            self.weights = self.cumulative = None
        else:
            order = np.argsort(-sample.losses, kind="stable")
            self.losses, self.weights = sample.losses[order], sample.weights[order]
            self.cumulative = np.cumsum(self.weights)
            self.cumulative /= self.cumulative[-1]

    def estimates(self, levels: Floats) -> tuple[list[float], list[float]]:
        """Return ES and VaR in the unit of the data."""
        weights = None if self.row_weights is None else self.row_weights[np.newaxis]
        es, var, _, _ = tail.tail_rows(self.row[np.newaxis], levels, self.upper, False, weights, 1)
        return es[0].tolist(), var[0].tolist()

    def tail_count(self, level: float) -> float:
        """Return the number of outcomes in the tail of a resample."""
        count = self.draws * (1.0 - level)
        nearest = round(count)
        return float(nearest) if abs(count - nearest) <= self.draws * 2.0**-52 else count

    def worst_at(self, rank: int) -> float:
        """Return the loss at this rank, 1 being the worst, of as many outcomes as a resample has."""
        if not 1 <= rank <= self.draws:
            return math.inf if rank < 1 else -math.inf
        if self.cumulative is None:
            return float(self.losses[rank - 1])
        position = np.searchsorted(self.cumulative, rank / self.draws * (1.0 - 2.0**-50))
        return float(self.losses[min(int(position), len(self.losses) - 1)])

    def sparsity(self, tail_count: float) -> float:
        """Return the derivative of the quantile function at VaR, NaN where there is nothing on one side."""
        inner = min(tail_count, self.draws - tail_count)
        rank = math.ceil(tail_count)
        reach = 1
        while reach**5 < inner**4:
            reach += 1
        reach = min(reach, rank - 1, self.draws - rank)
        if reach < 1:
            return math.nan
        return (self.worst_at(rank - reach) - self.worst_at(rank + reach)) * self.draws / (2.0 * reach)

    def var_interval(self, level: float, settings: Settings) -> Pair:
        """Return the order statistics that enclose VaR."""
        first, last = resample.binomial_ranks(self.draws, 1.0 - level, _each_side(settings))
        return self.worst_at(last), self.worst_at(first)


def _settings(
    interval: str | None, confidence_level: float, n_resamples: int, block_length: int | None, n: int
) -> Settings:
    fewest = math.ceil(2.0 / (1.0 - confidence_level) - 1.0 - 1e-9)
    if interval not in (None, "asymptotic") and n_resamples < fewest:
        raise ValueError(
            f"n_resamples must be at least {fewest} for confidence_level={confidence_level:g}, got {n_resamples}; "
            "1000 or more make the ends steady"
        )
    if block_length is None:
        block_length = round(n ** (1.0 / 3.0)) if interval == "block_bootstrap" else 0
    elif interval in ("studentized", "percentile"):
        raise ValueError(
            f"block_length={block_length} does not go with interval={interval!r}, which takes the outcomes as "
            "independent; use interval='block_bootstrap'"
        )
    elif not 1 <= block_length <= max(n // 2, 1):
        raise ValueError(f"block_length must be between 1 and half of the {n} outcomes, got {block_length}")
    return Settings(interval, confidence_level, n_resamples, block_length)


def _key(generator: np.random.Generator | None) -> Key:
    return np.random.default_rng(generator).integers(0, 2**64, size=4, dtype=np.uint64)


def _effective(sample: Sample) -> tuple[float, int]:
    """Return Kish's effective number of outcomes, and that rounded."""
    if sample.weights is None:
        return float(len(sample.losses)), len(sample.losses)
    effective = resample.excess(sample.weights, sample.weights, 0.0)[2]
    return effective, max(1, round(effective))


def _fewest_outcomes(level: float) -> int:
    """Return how many outcomes have a tail that is not small."""
    count = math.ceil(SMALL_TAIL / (1.0 - level))
    return count - (tail_count(count - 1, level) >= SMALL_TAIL)


def _each_side(settings: Settings) -> float:
    return 0.5 * (1.0 - settings.confidence_level)


def _ends(values: Floats, settings: Settings) -> Pair:
    """Return the order statistics that leave the wanted probability outside, half of it on either side."""
    rank = max(1, int((len(values) + 1) * _each_side(settings) + 1e-9))
    if len(values) < 2 * rank:
        return -math.inf, math.inf
    # Faster than a partition around two ranks.
    ordered = np.sort(values)
    return float(ordered[rank - 1]), float(ordered[-rank])


def _normal_interval(estimate: float, error: float, settings: Settings) -> Pair:
    reach = normal_quantile(_each_side(settings)) * error
    return estimate - reach, estimate + reach


def _studentized(estimate: float, error: float, values: Floats, errors: Floats, settings: Settings) -> Pair:
    """Return the studentised interval, on the log scale where all is positive."""
    if error == 0.0:
        return estimate, estimate
    logarithmic = estimate > 0.0 and float(values.min()) > 0.0
    low, high = _ends(resample.studentized(values, errors, estimate, logarithmic), settings)
    if logarithmic:
        ratio = error / estimate
        return estimate * resample.exponential(-high * ratio), estimate * resample.exponential(-low * ratio)
    return estimate - high * error, estimate - low * error


def _studentized_small_tail(
    estimate: float, error: float, replicates: Replicates, floor: float, settings: Settings
) -> Pair:
    """Return the studentised interval of a tail of few outcomes, at least `floor` at its lower end."""
    if error == 0.0:
        return estimate, estimate
    deviations = resample.studentized(replicates.es, replicates.es_error, estimate, False)
    _, high = _ends(deviations, settings)
    low, _ = _ends(deviations[np.isfinite(deviations)], settings)
    return max(floor, estimate - high * error), estimate - low * error


def _long_run_error(influence: Floats, sample: Sample, block_length: int) -> float:
    """Return the standard error of a mean influence in block form."""
    if sample.weights is None:
        mean = resample.moments(influence)[0]
    else:
        mean = float(np.average(influence, weights=sample.weights))
        influence = (influence - mean) * (sample.weights / sample.weights.mean())
        mean = 0.0
    return math.sqrt(resample.long_run_variance(influence, block_length, mean) / len(influence))


def _historical_risks(tails: _Tails, levels: Floats, settings: Settings, key: Key | None) -> list[Risk]:
    return [
        _historical_risk(tails, level, es, var, settings, key)
        for level, es, var in zip(levels.tolist(), *tails.estimates(levels), strict=True)
    ]


def _historical_risk(
    tails: _Tails,
    level: float,
    es: float,
    var: float,
    settings: Settings,
    key: Key | None,
) -> Risk:
    """Return the estimates with their errors and intervals; the latter are computed in the scale of the sample."""
    factor = tails.sample.factor
    nothing = (math.nan, math.nan)
    if tails.sample.is_constant and tails.draws > 1:
        ends = ((es, es), (var, var)) if settings.interval else (nothing, nothing)
        return Risk(es, var, 0.0, 0.0, *ends)

    tail_count = tails.tail_count(level)
    errors = math.nan, math.nan
    replicates = None
    if tail_count > 1.0 and tails.draws > 2 and math.isfinite(es):
        errors = _historical_errors(tails, level, var * factor, tail_count, settings)
        if key is not None:
            replicates = _historical_replicates(tails, tail_count, settings, key)
    if settings.interval is None:
        return Risk(es, var, errors[0] / factor, errors[1] / factor, nothing, nothing)

    if settings.block_length == 0 or math.isnan(errors[0]):
        var_interval = tails.var_interval(level, settings)
    elif replicates is None:
        var_interval = _normal_interval(var * factor, errors[1], settings)
    else:
        var_interval = _ends(replicates.var, settings)
    if tail_count < SMALL_TAIL:
        warn(
            f"the tail at level {level:g} holds {tail_count:.3g} of {tails.draws} outcomes, too few for an interval of "
            f"ES that covers; {_fewest_outcomes(level)} outcomes are needed at this level",
            RuntimeWarning,
        )
    if not math.isfinite(es):
        es_interval = nothing
    elif math.isnan(errors[0]):
        es_interval = var_interval[0], math.inf
    elif replicates is None:
        es_interval = _normal_interval(es * factor, errors[0], settings)
    elif settings.interval == "percentile":
        es_interval = _ends(replicates.es, settings)
    elif tail_count < SMALL_TAIL:
        es_interval = _studentized_small_tail(es * factor, errors[0], replicates, var_interval[0], settings)
    else:
        es_interval = _studentized(es * factor, errors[0], replicates.es, replicates.es_error, settings)
    return Risk(
        es, var, errors[0] / factor, errors[1] / factor, _unscaled(es_interval, factor), _unscaled(var_interval, factor)
    )


def _unscaled(interval: Pair, factor: float) -> Pair:
    return interval[0] / factor + 0.0, interval[1] / factor + 0.0


def _historical_errors(tails: _Tails, level: float, var: float, tail_count: float, settings: Settings) -> Pair:
    """Return the standard errors of ES and VaR."""
    sample, mass = tails.sample, 1.0 - level
    if sample.weights is None:
        mass = tail_count / tails.draws
    sparsity = tails.sparsity(tail_count)
    if settings.block_length:
        excess = np.maximum(sample.losses - var, 0.0) / mass
        beyond = (sample.losses > var).astype(np.float64)
        return (
            _long_run_error(excess, sample, settings.block_length),
            _long_run_error(beyond, sample, settings.block_length) * sparsity,
        )
    _, variance, _ = resample.excess(sample.losses, sample.weights, var)
    es_error = math.sqrt(variance / (tails.effective - 1.0)) / mass
    return es_error, math.sqrt(level * mass / tails.effective) * sparsity


def _historical_replicates(tails: _Tails, tail_count: float, settings: Settings, key: Key) -> Replicates:
    sample, count = tails.sample, settings.n_resamples
    if settings.block_length == 0:
        threads = openmp.effective_threads(math.ceil(tail_count) * count)
        return Replicates(
            *resample.tail_replicates(tails.losses, tails.weights, tails.draws, tail_count, key, count, threads)
        )
    order = np.argsort(-sample.losses, kind="stable").astype(np.int64, copy=False)
    threads = openmp.effective_threads(len(order) * count)
    fraction, length = tail_count / tails.draws, settings.block_length
    return Replicates(
        *resample.block_replicates(sample.losses, order, sample.weights, fraction, length, key, count, threads)
    )


def _fitted_risk(
    fit: Fit,
    sample: Sample,
    level: float,
    settings: Settings,
    key: Key | None,
) -> Risk:
    """Return the estimates of a fit, with errors and intervals from its influence functions."""
    estimates = fit.es_var(level)
    effective, draws = _effective(sample)
    influences = fit.influence(level)
    errors = [math.nan, math.nan]
    intervals = [(math.nan, math.nan), (math.nan, math.nan)]
    defined = [draws > 1 and math.isfinite(estimate) for estimate in estimates]
    for position in range(2):
        if defined[position] and settings.block_length:
            errors[position] = _long_run_error(influences[position], sample, settings.block_length)
        elif defined[position]:
            deviation = resample.moments(influences[position], sample.weights)[1]
            errors[position] = deviation / math.sqrt(effective - 1.0)
    if key is not None and draws > 1:
        means, spreads = _influence_replicates(influences, sample, draws, settings, key)
    for position in range(2):
        estimate, error = estimates[position], errors[position]
        if settings.interval is None or not defined[position]:
            continue
        if key is None:
            intervals[position] = _normal_interval(estimate, error, settings)
            continue
        values = estimate + means[:, position]
        if settings.interval == "percentile":
            intervals[position] = _ends(values, settings)
        else:
            intervals[position] = _studentized(estimate, error, values, spreads[:, position].copy(), settings)
    factor = sample.factor
    return Risk(
        estimates[0] / factor + 0.0,
        estimates[1] / factor + 0.0,
        errors[0] / factor,
        errors[1] / factor,
        _unscaled(intervals[0], factor),
        _unscaled(intervals[1], factor),
    )


def _influence_replicates(
    influences: tuple[Floats, Floats],
    sample: Sample,
    draws: int,
    settings: Settings,
    key: Key,
) -> tuple[Floats, Floats]:
    """Return the mean influences (replicates, 2) in every resample and their standard errors."""
    columns, weights = np.column_stack(influences), sample.weights
    if settings.block_length and weights is not None:
        columns, weights = columns * (weights / weights.mean())[:, np.newaxis], None
    threads = openmp.effective_threads(draws * settings.n_resamples)
    return resample.mean_replicates(columns, weights, draws, settings.block_length, key, settings.n_resamples, threads)
