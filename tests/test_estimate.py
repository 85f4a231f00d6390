"""The historical estimator against the textbook, to the bit, and its arguments."""

import math

import datasets
import numpy as np
import pytest
import textbook
from bits import assert_same_bits

from cshortfall import es, es_var, var

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")

TAILS = ["lower", "upper"]
LEVELS = [0.0, 1e-17, 0.1, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.999, 1 - 2**-52, 1 - 2**-53]
BLOCK_BORDERS = [
    size + shift
    for size in (96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192, 16384, 32768, 65536)
    for shift in (-1, 0, 1)
]


def assert_is_the_textbook(sample, levels, tail, weights=None, context=""):
    """Compare every entry, one level at a time and all levels at once, with the textbook."""
    expected = [textbook.es_var(sample, level, weights, tail) for level in levels]
    expected_es = [value.es for value in expected]
    expected_var = [value.var for value in expected]
    assert_same_bits(es(sample, levels, weights=weights, tail=tail), expected_es, f"es {context}")
    assert_same_bits(var(sample, levels, weights=weights, tail=tail), expected_var, f"var {context}")
    both = es_var(sample, levels, weights=weights, tail=tail)
    assert_same_bits(both.es, expected_es, f"es_var {context}")
    assert_same_bits(both.var, expected_var, f"es_var {context}")
    for level, (one_es, one_var, _) in zip(levels, expected, strict=True):
        here = f"{context} level={level!r}"
        assert_same_bits(es(sample, level, weights=weights, tail=tail), one_es, f"es {here}")
        assert_same_bits(var(sample, level, weights=weights, tail=tail), one_var, f"var {here}")
        assert_same_bits(es_var(sample, level, weights=weights, tail=tail), (one_es, one_var), f"es_var {here}")


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("name", datasets.NAMED)
def test_every_small_size_has_the_bits_of_the_textbook(name, tail):
    for n in range(1, 71):
        assert_is_the_textbook(datasets.NAMED[name](n), LEVELS, tail, context=f"n={n}")


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("name", ["bells", "few distinct", "cancelling", "wide exponents", "midpoints nudged"])
def test_every_whole_tail_count_has_the_bits_of_the_textbook(name, tail):
    for n in (1, 2, 3, 7, 8, 10, 16, 31, 50):
        levels = [1 - count / n for count in range(n, 0, -1)]
        levels += [np.nextafter(level, -1) for level in levels if level > 0]
        levels += [np.nextafter(level, 2) for level in levels if level > 0]
        assert_is_the_textbook(datasets.NAMED[name](n), levels, tail, context=f"n={n}")


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("form", [list, tuple, np.array])
@pytest.mark.parametrize("count", [1, 5, 16, 17])
def test_the_form_of_the_levels_does_not_matter(count, form, tail):
    sample = datasets.NAMED["bells"](200)
    levels = form(np.linspace(0.99, 0.25, count).tolist())
    assert_is_the_textbook(sample, levels, tail)
    assert_is_the_textbook(sample.astype(np.float32), levels, tail)
    sample[100] = np.nan
    assert np.isnan(es(sample, levels, tail=tail)).tolist() == [True] * count


@pytest.mark.parametrize("name", datasets.FINITE)
def test_sizes_around_block_borders_have_the_bits_of_the_textbook(name):
    sizes = BLOCK_BORDERS if name in ("bells", "few distinct", "returns") else BLOCK_BORDERS[:30:2]
    for n in sizes:
        sample = datasets.FINITE[name](n)
        assert_is_the_textbook(sample, [0.5, 0.975], "lower", context=f"n={n}")
        assert_is_the_textbook(sample, [0.99], "upper", context=f"n={n}")


@pytest.mark.parametrize("name", ["bells", "returns", "few distinct", "some of both infinities"])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_size_up_to_several_blocks_has_the_bits_of_the_textbook(name, weighted):
    for n in range(71, 460):
        sample = datasets.NAMED[name](n)
        weights = datasets.unequal_weights(n, n) if weighted else None
        expected = textbook.es_var(sample, 0.9, weights)[:2]
        assert_same_bits(es_var(sample, 0.9, weights=weights), expected, f"n={n}")


@pytest.mark.parametrize("n", [3001, 100_003])
@pytest.mark.parametrize("name", datasets.ADVERSARIAL)
def test_inputs_against_the_sampler_have_the_bits_of_the_textbook(name, n):
    assert_is_the_textbook(datasets.ADVERSARIAL[name](n), [0.5, 0.95, 0.975, 0.999], "lower", context=f"n={n}")
    assert_is_the_textbook(datasets.ADVERSARIAL[name](n), [0.975], "upper", context=f"n={n}")


MILLION = ["bells", "heavy tails", "returns", "two values", "sorted", "cancelling", "low wherever the kernels sample"]


@pytest.mark.parametrize("name", MILLION)
def test_a_million_values_have_the_bits_of_the_textbook(name):
    sample = (datasets.FINITE | datasets.ADVERSARIAL)[name](1_000_000)
    assert_is_the_textbook(sample, [0.0, 0.975], "lower", context=name)
    assert_is_the_textbook(sample, [0.9999], "upper", context=name)


@pytest.mark.parametrize("name", ["an infinite loss", "both infinities", "infinite gains but one"])
@pytest.mark.parametrize("n", [1000, 4097, 40_000])
def test_infinities_in_large_samples_have_the_bits_of_the_textbook(name, n):
    assert_is_the_textbook(datasets.INFINITE[name](n), [0.0, 0.3, 0.975, 1 - 1 / n], "lower")


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("name", datasets.NAMED)
def test_weighted_results_have_the_bits_of_the_textbook(name, tail):
    for n in (1, 2, 3, 5, 8, 9, 16, 17, 33, 64, 70):
        weights = datasets.unequal_weights(n, n)
        assert_is_the_textbook(datasets.NAMED[name](n), LEVELS, tail, weights, context=f"n={n}")


@pytest.mark.parametrize("n", [127, 1000, 1025, 4097, 20_011])
@pytest.mark.parametrize("name", ["bells", "returns", "two values", "cancelling", "organ pipe", "zeros", "one outlier"])
def test_larger_weighted_results_have_the_bits_of_the_textbook(name, n):
    sample = datasets.NAMED[name](n)
    assert_is_the_textbook(sample, [0.8, 0.975, 0.999], "lower", datasets.unequal_weights(n, 2), f"n={n}")
    whole = (datasets.random_words(n, 50) % np.uint64(5)).astype(np.float64)
    assert_is_the_textbook(sample, [0.875, 0.96875], "upper", whole, f"whole weights, n={n}")


AGAINST_WEIGHTS = ["low at every 64th", "high blocks of 512", "tail in one block", "rising scale"]
AGAINST_WEIGHTS += ["low wherever the kernels sample", "high wherever the kernels sample"]


@pytest.mark.parametrize("name", AGAINST_WEIGHTS)
def test_weights_against_the_sampler_have_the_bits_of_the_textbook(name):
    n = 30_011
    sample, weights = datasets.ADVERSARIAL[name](n), datasets.unequal_weights(n, 5)
    assert_is_the_textbook(sample, [0.95, 0.99], "lower", weights)
    weights[::64] *= 1e6
    assert_is_the_textbook(sample, [0.95, 0.99], "lower", weights, "heavy weights at every 64th")
    lone = np.full(n, 1e-9)
    lone[n // 3] = 1.0
    assert_is_the_textbook(sample, [0.5, 0.99], "lower", lone, "one outcome holds the mass")


@pytest.mark.parametrize("spread", [10, 60, 300, 1000])
def test_weights_of_many_magnitudes_have_the_bits_of_the_textbook(spread):
    """Most of W cancels in W (1 - level), and in what remains of it at the boundary."""
    for n in (2, 3, 7, 16, 40, 150):
        for seed in range(12):
            exponents = (datasets.random_words(n, 90 + seed) % np.uint64(2 * spread)).astype(np.int64) - spread
            weights = np.ldexp(datasets.uniforms(n, 91 + seed), exponents)
            levels = [1 - 2.0 ** -(2 + 4 * step) for step in range(13)] + [*datasets.uniforms(3, seed)]
            expected = [textbook.es_var(datasets.bells(n, seed), level, weights)[:2] for level in levels]
            result = es_var(datasets.bells(n, seed), levels, weights=weights)
            assert_same_bits(np.transpose(result), expected, f"n={n} seed={seed}")


@pytest.mark.parametrize("n", [2, 3, 17, 64, 793])
def test_nearly_equal_weights_have_the_bits_of_the_textbook(n):
    for seed in range(30):
        weights = np.full(n, datasets.uniforms(1, seed)[0])
        weights[seed % n] *= 1 + 2.0**-51
        levels = datasets.uniforms(4, seed + 100)
        for name in ("few distinct", "bells", "midpoints"):
            sample = datasets.FINITE[name](n)
            expected = [textbook.es_var(sample, level, weights)[:2] for level in levels]
            assert_same_bits(np.transpose(es_var(sample, levels, weights=weights)), expected, f"{name} seed={seed}")


def test_a_million_weighted_values_have_the_bits_of_the_textbook():
    n = 1_000_000
    assert_is_the_textbook(datasets.returns(n), [0.975], "lower", datasets.uniforms(n, 77))


@pytest.mark.parametrize("weight", [1.0, 0.1, 3.0, 1e300, datasets.LARGEST, 5e-324, 1e-310])
@pytest.mark.parametrize("level", [0.0, 0.9, 0.95, 0.975, 0.3])
def test_equal_weights_of_any_scale_give_the_unweighted_bits(weight, level):
    for n in (1, 10, 40, 1000):
        sample = datasets.heavy_tails(n)
        assert_same_bits(es_var(sample, level, weights=np.full(n, weight)), es_var(sample, level))


@pytest.mark.parametrize("name", ["few distinct", "returns", "signed zeros", "saw-tooth", "midpoints", "constant"])
def test_equal_weights_snap_to_whole_counts_inside_ties(name):
    """The unweighted tail count moves to a whole number even where that lies among equal outcomes."""
    for n in (7, 14, 37, 66, 150, 220, 700):
        sample = datasets.FINITE[name](n)
        for count in range(1, n, 1 + n // 40):
            near = 1 - count / n
            levels = [near, np.nextafter(near, -1), np.nextafter(near, 2)]
            expected = es_var(sample, levels)
            for weight in (0.7627621346360541, 1e-310):
                result = es_var(sample, levels, weights=np.full(n, weight))
                assert_same_bits(np.array(result), np.array(expected), f"n={n} count={count}")
            with_absent = es_var(np.append(sample, -1e6), levels, weights=np.append(np.full(n, 0.3), 0.0))
            assert_same_bits(np.array(with_absent), np.array(expected), f"n={n} count={count}")


@pytest.mark.parametrize(
    "weights",
    [[1e308] * 3 + [2e307] * 3, [5e-324, 1e-323, 5e-324, 5e-324, 2e-323, 5e-324], [1e-300, 1e300, 1.0, 2.0, 3.0, 4.0]],
)
@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_extreme_weights_neither_overflow_nor_vanish(weights, scale):
    sample = np.array([-0.3, 0.7, -1.1, 0.2, 0.9, -0.6]) * scale
    assert_is_the_textbook(sample, [0.0, 0.3, 0.5, 0.9], "lower", weights)


@pytest.mark.parametrize("n", [1, 2, 9, 10, 64, 1000])
def test_level_zero_is_minus_the_mean(n):
    sample = datasets.integers(n)
    assert es(sample, 0) == -sample.sum() / n
    assert es(sample, 0, tail="upper") == sample.sum() / n


@pytest.mark.parametrize(("n", "level", "count"), [(10, 0.9, 1), (1000, 0.975, 25), (100, 0.95, 5), (500, 0.99, 5)])
def test_decimal_levels_take_whole_outcomes_only(n, level, count):
    sample = -np.arange(1.0, n + 1)
    expected = textbook.es_var(sample, level)
    assert es_var(sample, level) == expected[:2] == (n - (count - 1) / 2, n - count + 1)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.999, 1 - 2**-53])
def test_a_tail_of_one_outcome_or_less_is_the_worst_exactly(level):
    sample = [0.1, -0.7, 0.3]
    assert es_var(sample, level) == (0.7, 0.7)
    assert es_var([1 / 3], level) == (-1 / 3, -1 / 3)


def test_an_outcome_just_outside_a_whole_tail_is_never_touched():
    sample = np.array([np.inf] * 9 + [-2.0])
    assert es_var(sample, 0.9) == (2.0, 2.0)
    assert es_var(np.array([-1.0, -3.0, np.inf, np.inf]), 0.5) == (2.0, 1.0)


def test_a_negative_infinity_in_the_tail_is_an_infinite_loss():
    assert es_var([-np.inf, 1.0, 2.0, 3.0], 0.5) == (np.inf, -1.0)
    assert es_var([np.inf, 1.0, 2.0, 3.0], 0.5, tail="upper") == (np.inf, 3.0)
    assert es_var([np.inf, 1.0, 2.0, 3.0], 0.5) == (-1.5, -2.0)


def test_both_infinities_in_the_tail_are_not_a_number():
    result = es_var([-np.inf, np.inf, np.inf, np.inf], 0.25)
    assert math.isnan(result.es)
    assert result.var == -np.inf
    assert es([-np.inf, np.inf, np.inf, np.inf], 0.75) == np.inf


def test_a_finite_mean_whose_sum_overflows_is_finite():
    largest = datasets.LARGEST
    assert es(np.full(8, -largest), 0.5) == largest
    assert es(np.array([-largest, -largest / 2, 0.0, 0.0]), 0.5) == 0.75 * largest
    assert es(np.array([largest, largest, -largest, -largest] * 3), 0.0) == 0.0


def test_zero_results_are_positive_zeros():
    for sample in ([0.0, 0.0], [-0.0, -0.0], [0.0, -0.0, 1.0]):
        for tail in TAILS:
            worst = sample if tail == "lower" else [-value for value in sample]
            assert_same_bits(es_var(np.array(worst), 0.5, tail=tail), (0.0, 0.0))
    assert_same_bits(es(np.array([1.0, -1.0]), 0.0), 0.0)


def test_results_that_underflow_are_rounded_once():
    smallest = datasets.SMALLEST
    assert_is_the_textbook(np.array([-smallest, -smallest, -2 * smallest, 3 * smallest]), [0.0, 0.1, 0.3, 0.5], "lower")
    assert es(np.array([-smallest, 0.0]), 0.0) == 0.0
    assert es(np.array([-smallest, -smallest, -smallest, 0.0]), 0.0) == smallest


def test_many_levels_at_once():
    levels = datasets.uniforms(100, 60)
    for n in (1, 40, 5000):
        assert_is_the_textbook(datasets.bells(n), levels, "lower", context=f"n={n}")
