"""ES with weights that decay, against rational arithmetic with the exact powers of the decay factor."""

import datetime
import math
from fractions import Fraction
from itertools import product

import datasets
import numpy as np
import pytest
import textbook
from bits import assert_same_bits

import cshortfall
from cshortfall import _decay
from cshortfall._core.decay import decayed_rows
from cshortfall.rolling import ewm_es, expanding_es

N = 36
DECAYS = [0.5, 0.94, 0.99, 1 - 2**-53, 0.1, 1e-4]
LEVELS = [0.0, 0.5, 0.9, 0.975, 0.9999, 1 - 2**-53]


def with_missing(values):
    """Return values of which some are missing, the first and a run among them."""
    gone = datasets.uniforms(len(values), 5) < 0.2
    gone[0] = gone[9:13] = True
    return np.where(gone, np.nan, values)


SAMPLES = {
    "heavy tails": datasets.heavy_tails(N),
    "losses": -1 / datasets.uniforms(N, 4),
    "few values": datasets.integers(N, 3, 2),
    "constant": np.full(N, -0.1),
    "rising": np.arange(float(N)),
    "falling": -np.arange(float(N)) / 3,
    "missing": with_missing(datasets.heavy_tails(N, 2)),
    "few values, missing": with_missing(datasets.integers(N, 4, 1)),
    "many magnitudes": datasets.heavy_tails(N, 6) * 10.0 ** (datasets.integers(N, 2, 200)),
    "huge": datasets.heavy_tails(N, 7).clip(-9, 9) * 1e307,
    "tiny": datasets.heavy_tails(N, 8) * 1e-310,
}


def assert_close(results, exact, values, level):
    """Assert the error bound that cs_decay_es states."""
    unit, largest = Fraction(1, 2**53), Fraction(float(np.nanmax(np.abs(values))))
    for position, (result, expected) in enumerate(zip(results.tolist(), exact, strict=True)):
        if isinstance(expected, float):
            assert result == expected or (math.isnan(result) and math.isnan(expected)), position
            continue
        cancelled = 40 * (len(values) + 64) * unit**2 * largest / (1 - Fraction(level))
        allowed = 2 * unit * abs(expected) + cancelled + Fraction(5e-324)
        assert abs(Fraction(result) - expected) <= allowed, (position, result, float(expected))


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("decay", DECAYS)
def test_results_lie_within_the_stated_bound_of_the_exact_ones(name, decay):
    values = SAMPLES[name]
    for level, ignore_na in product(LEVELS, [False, True] if "missing" in name else [False]):
        exact = textbook.ewm_es(values, level, decay, ignore_na=ignore_na)
        assert_close(ewm_es(values, level, decay=decay, ignore_na=ignore_na), exact, values, level)


@pytest.mark.parametrize("name", ["heavy tails", "losses", "few values", "missing"])
@pytest.mark.parametrize("decay", [0.5, 0.94, 0.99])
def test_results_are_exact_to_thirteen_digits(name, decay):
    values = SAMPLES[name]
    for level in LEVELS[1:]:
        results = ewm_es(values, level, decay=decay).tolist()
        for result, expected in zip(results, textbook.ewm_es(values, level, decay), strict=True):
            if isinstance(expected, Fraction):
                assert abs(Fraction(result) - expected) <= abs(expected) * Fraction(1, 10**13)


@pytest.mark.parametrize("decay", [0.94, 0.997])
def test_long_samples_stay_exact(decay):
    values = datasets.heavy_tails(1200, 3)
    results = ewm_es(values, [0.9, 0.99], decay=decay)
    for t in (400, 1199):
        ages = range(t, -1, -1)
        for result, level in zip(results[t].tolist(), (0.9, 0.99), strict=True):
            exact = textbook.es_of_decayed_outcomes(values[: t + 1].tolist(), ages, level, decay)
            assert abs(Fraction(result) - exact) <= abs(exact) * Fraction(1, 2**52)


@pytest.mark.parametrize("level", [0.5, 0.99])
def test_errors_do_not_pile_up(level):
    values = datasets.heavy_tails(200_000, 3)
    recent = ewm_es(values[-20_000:], level, decay=0.99)
    assert_same_bits(ewm_es(values, level, decay=0.99)[-1], recent[-1])


@pytest.mark.parametrize("tail", ["lower", "upper"])
def test_ties_share_their_weight_and_cannot_matter(tail):
    values = SAMPLES["few values"]
    expected = [
        cshortfall.es(values[: t + 1], 0.75, weights=0.5 ** np.arange(t, -1, -1.0), tail=tail) for t in range(N)
    ]
    np.testing.assert_allclose(ewm_es(values, 0.75, decay=0.5, tail=tail), expected, rtol=1e-15)
    assert_same_bits(ewm_es(np.full(N, 0.1), 0.9, decay=0.7), np.full(N, -0.1))
    assert_same_bits(ewm_es(np.where(values == 0, -0.0, 0.0), 0.9, decay=0.7), np.zeros(N))


def test_a_cumulative_weight_near_the_tail_snaps():
    # Weights 1, 1/2, 1/4 of 7/4: the tail of 0.2 is a little more than the double 0.8 leaves.
    values = np.array([-4.0, 1.0, 2.0, -3.0])
    assert_same_bits(ewm_es(values, 1 - 9 / 15, decay=0.5)[-1], cshortfall.es(values, 1 - 9 / 15, weights=[1, 2, 4, 8]))


def test_levels_are_the_last_axis_and_columns_the_default():
    values = datasets.heavy_tails(3 * N).reshape(N, 3)
    result = ewm_es(values, LEVELS, span=9)
    assert result.shape == (N, 3, len(LEVELS))
    for column, (position, level) in product(range(3), enumerate(LEVELS)):
        assert_same_bits(result[:, column, position], ewm_es(values[:, column].copy(), level, span=9))
    assert_same_bits(ewm_es(values.T, 0.9, span=9, axis=1), ewm_es(values, 0.9, span=9).T)
    assert_same_bits(ewm_es(np.asfortranarray(values), 0.9, span=9), ewm_es(values, 0.9, span=9))
    assert_same_bits(ewm_es(values.astype("f4"), 0.9, span=9), ewm_es(values.astype("f4").astype(float), 0.9, span=9))


def test_the_upper_tail_reads_losses():
    values = SAMPLES["missing"]
    assert_same_bits(ewm_es(values, 0.9, com=3, tail="upper"), ewm_es(-values, 0.9, com=3))


@pytest.mark.parametrize("least", [None, 0, 1, 2, 7, 1000])
@pytest.mark.parametrize("ignore_na", [False, True])
def test_too_few_outcomes_give_nan_and_missing_ones_repeat(least, ignore_na):
    values = SAMPLES["missing"]
    result = ewm_es(values, 0.8, decay=0.9, min_periods=least, ignore_na=ignore_na)
    present = ~np.isnan(values)
    assert (np.isnan(result) == (np.cumsum(present) < max(least or 0, 1))).all()
    for t in range(1, N):
        if not present[t]:
            assert_same_bits(result[t], result[t - 1])
    every = ewm_es(values, 0.8, decay=0.9, ignore_na=ignore_na)
    assert_same_bits(result, np.where(np.isnan(result), np.nan, every))


def test_ignoring_missing_outcomes_is_leaving_them_out():
    values = SAMPLES["missing"]
    present = ~np.isnan(values)
    result = ewm_es(values, 0.8, decay=0.9, ignore_na=True)
    assert_same_bits(result[present], ewm_es(values[present], 0.8, decay=0.9))
    assert (ewm_es(values, 0.8, decay=0.9) != result)[present].any()


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_infinities_are_data(decay):
    inf = math.inf
    for values in (
        [1.0, -inf, 2.0, 3.0],
        [inf, 1.0, 2.0],
        [inf, -inf, 1.0],
        [-inf, inf],
        [inf, inf],
        [-inf, -inf, 0.0],
    ):
        for level in (0.0, 0.6, 0.9):
            exact = textbook.ewm_es(values, level, decay)
            np.testing.assert_allclose(ewm_es(values, level, decay=decay), np.array(exact, dtype=float), rtol=1e-15)


def test_what_has_decayed_away_is_forgotten():
    values = np.concatenate([[-1e300, -math.inf], np.zeros(2000)])
    result = ewm_es(values, 0.9, decay=0.5)
    assert result[1] == math.inf
    assert result[800] == math.inf
    assert (result[1100:] == 0).all()
    for decay in (0.0, 5e-324, 1e-300):
        assert_same_bits(ewm_es(SAMPLES["missing"], 0.9, decay=decay), _last_outcome(SAMPLES["missing"]))


def _last_outcome(values):
    """Return minus the newest outcome at each position."""
    newest = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))
    return np.where(newest < 0, np.nan, 0.0 - values[newest])


def test_weights_that_hardly_decay_are_equal_weights():
    values = datasets.heavy_tails(N)
    np.testing.assert_allclose(ewm_es(values, 0.9, decay=1 - 2**-53), expanding_es(values, 0.9), rtol=1e-13)


@pytest.mark.parametrize("rows", [1, 2, 5, 40])
def test_threads_do_not_change_a_bit(rows):
    data = datasets.heavy_tails(rows * 200).reshape(rows, 200)
    levels = np.array([0.5, 0.9])
    expected = decayed_rows(data, 0.97, False, levels, 1, 1)
    for threads in (2, 3, 8):
        assert_same_bits(decayed_rows(data, 0.97, False, levels, 1, threads), expected)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_nothing_gives_nothing(shape):
    assert ewm_es(np.empty(shape), decay=0.9).shape == shape
    assert ewm_es(np.empty(shape), [0.5, 0.9], decay=0.9).shape == (*shape, 2)


FACTORS = [
    ({"com": 3}, 0.75),
    ({"com": 0}, 0.0),
    ({"span": 7}, 0.75),
    ({"span": 1}, 0.0),
    ({"halflife": 1}, 0.5),
    ({"halflife": 0.5}, 0.25),
    ({"halflife": 10}, 0.5**0.1),
    ({"alpha": 0.25}, 0.75),
    ({"alpha": 1}, 0.0),
    ({"decay": 0.75}, 0.75),
    ({"decay": np.float32(0.75)}, 0.75),
]


@pytest.mark.parametrize(("given", "factor"), FACTORS)
def test_factors_follow_from_the_parameters_of_pandas(given, factor):
    assert _decay.read_decay(**given) == pytest.approx(factor, rel=1e-15)


@pytest.mark.parametrize("given", [{"com": 3.5}, {"span": 9}, {"halflife": 4}, {"alpha": 0.2}])
@pytest.mark.parametrize("ignore_na", [False, True])
@pytest.mark.parametrize("least", [0, 3])
def test_the_whole_tail_is_minus_the_mean_of_pandas(given, ignore_na, least):
    pd = pytest.importorskip("pandas")
    series = pd.Series(SAMPLES["missing"], name="A")
    expected = -series.ewm(**given, ignore_na=ignore_na, min_periods=least).mean()
    result = ewm_es(series, 0.0, **given, ignore_na=ignore_na, min_periods=least)
    pd.testing.assert_series_equal(result, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, r"give one of com, span, halflife, alpha, decay, got none of them"),
        ({"com": 1, "decay": 0.5}, ValueError, r"give one of .*, got com and decay"),
        ({"com": -1}, ValueError, r"com must be at least 0"),
        ({"span": 0.5}, ValueError, r"span must be at least 1"),
        ({"halflife": 0}, ValueError, r"halflife must be above 0"),
        ({"alpha": 0}, ValueError, r"alpha must be in \(0, 1\]"),
        ({"alpha": 1.5}, ValueError, r"alpha must be in \(0, 1\]"),
        ({"decay": 1.0}, ValueError, r"decay must be in \[0, 1\)"),
        ({"decay": math.nan}, ValueError, r"decay must be in \[0, 1\)"),
        ({"com": math.inf}, ValueError, r"com must be at least 0 and finite"),
        ({"span": 1e300}, ValueError, r"span=1e\+300 makes all weights equal; use expanding_es"),
        ({"com": "1"}, TypeError, r"com must be a number at least 0, got '1'"),
        ({"decay": True}, TypeError, r"decay must be a number"),
        ({"halflife": "3D"}, TypeError, r"halflife must be a number of positions, got '3D'; times are not supported"),
        ({"halflife": datetime.timedelta(3)}, TypeError, r"times are not supported"),
        ({"com": 1, "ignore_na": 1}, TypeError, r"ignore_na must be True or False, got 1"),
        ({"com": 1, "min_periods": -1}, ValueError, r"min_periods must not be negative"),
        ({"com": 1, "level": 99}, ValueError, r"level=0.99"),
        ({"com": 1, "axis": 3}, np.exceptions.AxisError, r"axis=3 is out of range"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        ewm_es([1.0, 2.0], **arguments)
