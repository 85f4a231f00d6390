"""The slow twin itself: it must agree with NumPy, `math.fsum` and plain fractions where these are sure."""

import math
from fractions import Fraction

import datasets
import numpy as np
import pytest
import textbook


@pytest.mark.parametrize("name", datasets.FINITE)
@pytest.mark.parametrize("n", [67, 700])
def test_exact_sum_is_the_sum_of_fractions(name, n):
    values = datasets.FINITE[name](n)
    assert textbook.exact_sum(values) == sum(map(Fraction, values.tolist()))


@pytest.mark.parametrize("name", datasets.ORDINARY)
def test_exact_sum_rounds_to_fsum(name):
    values = datasets.ORDINARY[name](20_000)
    assert float(textbook.exact_sum(values)) == math.fsum(values)


def test_rounding_is_to_the_nearest_double_ties_to_even():
    assert textbook.to_double(Fraction(2**53 + 1)) == 2.0**53
    assert textbook.to_double(Fraction(2**53 + 3)) == 2.0**53 + 4
    assert textbook.to_double(Fraction(2**53 + 1) + Fraction(1, 2**1000)) == 2.0**53 + 2
    assert textbook.to_double(Fraction(3, 2**1075)) == 2 * 5e-324
    assert math.copysign(1, textbook.to_double(-Fraction(1, 2**1080))) == 1


@pytest.mark.parametrize(
    ("n", "level", "count"),
    [(10, 0.9, 1), (1000, 0.975, 25), (20, 0.95, 1), (100, 0.99, 1), (3, 0.0, 3), (3, 1e-17, 3), (7, 1 - 2**-53, 0)],
)
def test_tail_count_of_decimal_levels_is_whole(n, level, count):
    assert textbook.tail_count(n, level) == count


def test_tail_count_between_whole_numbers_is_exact():
    assert textbook.tail_count(250, 0.975) == 250 * (1 - Fraction(0.975)) != Fraction(25, 4)


@pytest.mark.parametrize("name", datasets.ORDINARY)
@pytest.mark.parametrize("count", [1, 2, 5, 64])
def test_whole_tail_counts_are_the_mean_of_the_worst(name, count):
    values = datasets.ORDINARY[name](128)
    worst = np.sort(values)[:count]
    es, var, _ = textbook.es_var(values, 1 - count / 128)
    assert es == pytest.approx(-worst.mean(), rel=1e-13, abs=1e-15)
    assert var == -np.quantile(values, count / 128, method="inverted_cdf")


@pytest.mark.parametrize("level", [0.1, 0.8, 0.9, 0.95, 0.975])
def test_fractional_tail_counts_are_the_rockafellar_uryasev_minimum(level):
    values = datasets.integers(37)
    assert textbook.es_var(values, level).exact == textbook.minimum_of_rockafellar_uryasev(values, level)


def test_the_upper_tail_reads_the_sample_as_losses():
    assert textbook.es_var([1, 2, 3, 4], 0.5, tail="upper")[:2] == (3.5, 3.0)


def test_whole_weights_repeat_outcomes():
    values, repeats = datasets.integers(31), datasets.random_words(31, 9) % np.uint64(4)
    repeated = np.repeat(values, repeats.astype(int))
    assert textbook.es_var(values, 0.875, repeats) == textbook.es_var(repeated, 0.875)


def test_shares_of_the_tail_make_up_es():
    values = datasets.TIED["few distinct"](60)
    indices, shares = textbook.tail_shares(values, 0.8)
    assert sum(shares) == 1
    total = sum(share * Fraction(float(values[i])) for i, share in zip(indices, shares, strict=True))
    assert textbook.es_var(values, 0.8).exact == -total


def test_distance_in_ulps_uses_the_binade_of_the_exact_value():
    assert textbook.ulps_between(1.0, Fraction(1) - Fraction(1, 2**54)) == Fraction(1, 2)
    assert textbook.ulps_between(1.0 + 2**-52, Fraction(1)) == 1
    assert textbook.ulps_between(1e-323, Fraction(5e-324)) == 1
