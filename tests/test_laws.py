"""Laws of ES and VaR on random samples (hypothesis), to the bit wherever rounding allows it.

Levels whose tail mass is a short binary fraction make the tail count exact, so that two samples that
describe the same distribution reach the same roundings.
"""

import math
from fractions import Fraction

import datasets
import numpy as np
import pytest
import textbook
from bits import assert_same_bits
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cshortfall import es, es_var, var

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")

law = settings(deadline=None, max_examples=150, derandomize=True, database=None)

anything = st.floats(allow_nan=False, width=64)
finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
moderate = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda value: 0.0 if abs(value) < 1e-200 else value)
tied = st.sampled_from([-2.0, -0.5, -0.1, -0.0, 0.0, 0.1, 0.3, 1.0])
whole = st.integers(-(2**20), 2**20).map(float)
levels = st.one_of(st.floats(0, 1, exclude_max=True), st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.975, 0.99, 1 - 2**-53]))
binary_levels = st.sampled_from([0.0, 0.25, 0.5, 0.625, 0.75, 0.875, 0.9375, 0.96875, 0.99609375])
tails = st.sampled_from(["lower", "upper"])
masses = st.one_of(
    st.floats(0, 1e6, allow_subnormal=False), st.floats(0, 1e300), st.integers(0, 5).map(float), st.just(1.0)
)


def samples(elements, max_size=80):
    return st.lists(elements, min_size=1, max_size=max_size).map(np.array)


def weighted_samples(elements, weights, max_size=60):
    pairs = st.lists(st.tuples(elements, weights), min_size=1, max_size=max_size)
    positive = pairs.filter(lambda rows: any(weight > 0 for _, weight in rows))
    return positive.map(lambda rows: (np.array([row[0] for row in rows]), np.array([row[1] for row in rows])))


@law
@given(samples(st.one_of(anything, tied)), levels, tails)
def test_results_are_the_bits_of_the_textbook(sample, level, tail):
    expected = textbook.es_var(sample, level, tail=tail)
    assert_same_bits(es_var(sample, level, tail=tail), expected[:2])


@law
@given(samples(finite), levels, tails)
def test_the_error_is_at_most_half_an_ulp(sample, level, tail):
    exact = textbook.es_var(sample, level, tail=tail).exact
    assert textbook.ulps_between(es(sample, level, tail=tail), exact) <= 0.5


@law
@given(weighted_samples(st.one_of(anything, tied), masses), levels, tails)
def test_weighted_results_are_the_bits_of_the_textbook(pair, level, tail):
    sample, weights = pair
    expected = textbook.es_var(sample, level, weights, tail)
    assert_same_bits(es_var(sample, level, weights=weights, tail=tail), expected[:2])
    if isinstance(expected.exact, Fraction):
        assert textbook.ulps_between(es(sample, level, weights=weights, tail=tail), expected.exact) <= 0.5


@law
@given(samples(st.one_of(anything, tied)), levels)
def test_tails_mirror_to_the_bit(sample, level):
    lower, upper = es_var(sample, level), es_var(-sample, level, tail="upper")
    assert_same_bits(lower, upper)


@law
@given(samples(st.one_of(anything, tied)), levels, tails, st.randoms(use_true_random=False))
def test_order_does_not_change_a_bit(sample, level, tail, random):
    shuffled = sample.tolist()
    random.shuffle(shuffled)
    assert_same_bits(es_var(shuffled, level, tail=tail), es_var(sample, level, tail=tail))


@law
@given(weighted_samples(st.one_of(anything, tied), masses), levels, tails, st.randoms(use_true_random=False))
def test_order_of_weighted_outcomes_does_not_change_a_bit(pair, level, tail, random):
    sample, weights = pair
    order = list(range(sample.size))
    random.shuffle(order)
    assert_same_bits(
        es_var(sample[order], level, weights=weights[order], tail=tail),
        es_var(sample, level, weights=weights, tail=tail),
    )


@law
@given(samples(moderate), levels, st.integers(-60, 60))
def test_scaling_by_a_power_of_two_is_exact(sample, level, exponent):
    assert_same_bits(es_var(np.ldexp(sample, exponent), level), np.ldexp(es_var(sample, level), exponent))


@law
@given(samples(moderate), levels, st.floats(0.01, 100))
def test_es_is_positively_homogeneous(sample, level, factor):
    scaled = sample * factor
    assert var(scaled, level) == pytest.approx(var(sample, level) * factor, rel=1e-15)
    spread = np.abs(scaled).max()
    assert es(scaled, level) == pytest.approx(es(sample, level) * factor, rel=1e-14, abs=1e-15 * spread)


@law
@given(samples(whole), binary_levels, st.integers(-(2**20), 2**20))
def test_es_is_translation_equivariant(sample, level, shift):
    before, after = es_var(sample, level), es_var(sample + shift, level)
    assert after.var == before.var - shift
    assert after.es == textbook.to_double(textbook.es_var(sample, level).exact - shift)


@law
@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=60), levels)
def test_better_outcomes_never_raise_es_or_var(pairs, level):
    better = [max(pair) for pair in pairs]
    worse = [min(pair) for pair in pairs]
    assert es(worse, level) >= es(better, level)
    assert var(worse, level) >= var(better, level)


@law
@given(st.lists(st.tuples(finite, finite, masses), min_size=1, max_size=40), levels)
def test_better_outcomes_never_raise_weighted_var(rows, level):
    weights = np.array([row[2] for row in rows])
    if not weights.any():
        weights[0] = 1.0
    better = [max(row[:2]) for row in rows]
    worse = [min(row[:2]) for row in rows]
    assert var(worse, level, weights=weights) >= var(better, level, weights=weights)


@law
@given(samples(finite), levels, levels)
def test_var_rises_with_the_level(sample, one, other):
    low, high = sorted([one, other])
    assert var(sample, high) >= var(sample, low)


@law
@given(samples(moderate), levels, levels)
def test_es_rises_with_the_level(sample, one, other):
    low, high = sorted([one, other])
    assert es(sample, high) >= es(sample, low)


@law
@given(samples(moderate), levels, tails)
@example(np.array([-0.1] * 43), 0.95, "lower")
def test_es_lies_between_var_and_the_worst(sample, level, tail):
    both = es_var(sample, level, tail=tail)
    worst = -sample.min() if tail == "lower" else sample.max()
    assert Fraction(both.var) <= textbook.es_var(sample, level, tail=tail).exact <= Fraction(float(worst))
    assert both.var <= both.es <= worst


@law
@given(finite, st.integers(1, 2000), levels, tails)
@example(-0.1, 43, 0.95, "lower")
@example(0.1, 3, 0.5, "lower")
@example(-datasets.LARGEST, 43, 0.9, "lower")
def test_es_of_equal_outcomes_is_the_outcome(value, n, level, tail):
    expected = (-value if tail == "lower" else value) + 0.0
    assert_same_bits(es_var(np.full(n, value), level, tail=tail), (expected, expected))


@law
@given(samples(st.one_of(anything, tied), 30), binary_levels, st.integers(1, 7))
def test_repeating_a_sample_changes_nothing(sample, level, times):
    assert_same_bits(es_var(np.repeat(sample, times), level), es_var(sample, level))


@law
@given(weighted_samples(st.one_of(anything, tied), st.integers(0, 6)), binary_levels, tails)
def test_whole_weights_repeat_outcomes(pair, level, tail):
    sample, repeats = pair
    repeated = np.repeat(sample, repeats)
    assert_same_bits(es_var(sample, level, weights=repeats, tail=tail), es_var(repeated, level, tail=tail))


@law
@given(weighted_samples(st.one_of(moderate, tied), st.floats(1e-3, 1e3)), levels, st.integers(-80, 80))
def test_weights_scaled_by_a_power_of_two_change_nothing(pair, level, exponent):
    sample, weights = pair
    assert_same_bits(es_var(sample, level, weights=np.ldexp(weights, exponent)), es_var(sample, level, weights=weights))


@law
@given(weighted_samples(st.one_of(anything, tied), st.integers(0, 50)), levels, st.integers(1, 1000))
def test_whole_weights_scaled_by_a_whole_number_change_nothing(pair, level, factor):
    sample, weights = pair
    assert_same_bits(es_var(sample, level, weights=weights * factor), es_var(sample, level, weights=weights))


@law
@given(samples(st.one_of(anything, tied)), levels, st.floats(0, exclude_min=True, allow_infinity=False))
def test_equal_weights_of_any_scale_change_nothing(sample, level, weight):
    assert_same_bits(es_var(sample, level, weights=np.full(sample.size, weight)), es_var(sample, level))


@law
@given(weighted_samples(st.one_of(anything, tied), masses), samples(st.floats(), 10), levels)
def test_outcomes_of_weight_zero_are_absent(pair, absent, level):
    sample, weights = pair
    longer = np.concatenate([absent, sample])
    longer_weights = np.concatenate([np.zeros(absent.size), weights])
    assert_same_bits(es_var(longer, level, weights=longer_weights), es_var(sample, level, weights=weights))


@law
@given(samples(st.one_of(anything, tied)), st.lists(levels, min_size=1, max_size=6), tails)
def test_many_levels_are_the_single_levels(sample, several, tail):
    both = es_var(sample, several, tail=tail)
    single = [es_var(sample, level, tail=tail) for level in several]
    assert_same_bits(both.es, [one.es for one in single])
    assert_same_bits(both.var, [one.var for one in single])


@law
@given(st.integers(0, 6), st.data(), st.integers(0, 6))
def test_es_is_subadditive(exponent, data, tail_exponent):
    n = 2**exponent
    rows = data.draw(st.lists(st.tuples(whole, whole), min_size=n, max_size=n))
    x, y = np.array(rows).T
    level = 1 - 2.0**-tail_exponent
    assert es(x + y, level) <= es(x, level) + es(y, level)


@law
@given(samples(moderate), levels)
def test_es_is_the_rockafellar_uryasev_minimum(sample, level):
    assume(textbook.tail_count(sample.size, level) == sample.size * (1 - Fraction(level)))
    minimum = textbook.minimum_of_rockafellar_uryasev(sample, level)
    assert es(sample, level) == textbook.to_double(minimum)


@law
@given(samples(st.floats(width=32)), levels, tails)
def test_float32_is_read_as_doubles(sample, level, tail):
    narrow = sample.astype(np.float32)
    assert_same_bits(es_var(narrow, level, tail=tail), es_var(narrow.astype(np.float64), level, tail=tail))


@law
@given(samples(st.floats()), levels, tails)
def test_omission_is_the_sample_without_missing_values(sample, level, tail):
    kept = sample[~np.isnan(sample)]
    if kept.size:
        assert_same_bits(es_var(sample, level, tail=tail, nan_policy="omit"), es_var(kept, level, tail=tail))
    if kept.size < sample.size:
        assert_same_bits(es_var(sample, level, tail=tail), (math.nan, math.nan))
