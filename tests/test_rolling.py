"""Rolling and expanding ES and VaR of arrays: the bits of `es` and `var` on every window."""

import datetime
import inspect
from itertools import product

import datasets
import numpy as np
import pytest
import textbook
from bits import assert_same_bits
from hypothesis import given
from hypothesis import strategies as st

import cshortfall
from cshortfall import rolling
from cshortfall.rolling import (
    expanding_es,
    expanding_es_var,
    expanding_var,
    rolling_es,
    rolling_es_var,
    rolling_var,
)

CLOSED = ["right", "left", "both", "neither"]
LEVELS = [0.9, 0.5, 0.975]


def with_missing(values, share=0.2):
    """Return values of which some are missing, runs among them."""
    gone = datasets.uniforms(len(values), 5) < share
    gone[len(values) // 2 : len(values) // 2 + 4] = True
    return np.where(gone, np.nan, values)


SAMPLES = {
    "heavy tails": datasets.heavy_tails(41),
    "few values": datasets.integers(41, 3, 2),
    "constant": np.full(41, 0.1),
    "rising": np.arange(41.0),
    "falling": -np.arange(41.0) / 3,
    "missing": with_missing(datasets.heavy_tails(41, 2)),
    "nothing but missing": np.full(41, np.nan),
    "infinite": np.where(datasets.uniforms(41, 8) < 0.1, -np.inf, np.where(datasets.uniforms(41) < 0.1, np.inf, 0.1)),
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("window", [1, 2, 3, 10, 40, 41, 42, 1000])
def test_windows_have_the_bits_of_single_samples(name, window):
    values = SAMPLES[name]
    for center, closed, level in product([False, True], [None, *CLOSED], [0.5, 0.9]):
        windows = textbook.windows_by_position(len(values), window, center, closed or "right")
        for least in {1, min(3, window), window}:
            both = rolling_es_var(values, window, level, center=center, closed=closed, min_periods=least)
            assert_same_bits(both.es, textbook.of_windows("es", values, windows, level, least), (center, closed, least))
            assert_same_bits(both.var, textbook.of_windows("var", values, windows, level, least), (center, closed))


@given(
    values=st.lists(st.floats(width=64) | st.sampled_from([np.nan, 0.0, -1.0]), max_size=30),
    window=st.integers(1, 35),
    level=st.floats(0.2, 1, exclude_max=True, exclude_min=True),
    center=st.booleans(),
    closed=st.sampled_from(CLOSED),
    least=st.integers(0, 4),
    tail=st.sampled_from(["lower", "upper"]),
)
def test_any_windows_of_any_outcomes_have_the_bits_of_single_samples(
    values, window, level, center, closed, least, tail
):
    least = min(least, window)
    both = rolling_es_var(values, window, level, min_periods=least, center=center, closed=closed, tail=tail)
    windows = textbook.windows_by_position(len(values), window, center, closed)
    assert_same_bits(both.es, textbook.of_windows("es", values, windows, level, least, tail))
    assert_same_bits(both.var, textbook.of_windows("var", values, windows, level, least, tail))


@pytest.mark.parametrize("tail", ["lower", "upper"])
@pytest.mark.parametrize("step", [1, 2, 5, 41, 100])
def test_a_step_leaves_out_results(step, tail):
    values = SAMPLES["missing"]
    windows = textbook.windows_by_position(len(values), 8, step=step)
    expected = textbook.of_windows("es", values, windows, 0.75, 4, tail)
    assert_same_bits(rolling_es(values, 8, 0.75, min_periods=4, step=step, tail=tail), expected)
    every = rolling_es(values, 8, 0.75, min_periods=4, tail=tail)
    assert_same_bits(every[::step], expected)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("least", [None, 0, 1, 5])
def test_expanding_windows_have_the_bits_of_single_samples(name, least):
    values = SAMPLES[name]
    windows = [list(range(i + 1)) for i in range(len(values))]
    both = expanding_es_var(values, 0.9, min_periods=least)
    assert_same_bits(both.es, textbook.of_windows("es", values, windows, 0.9, least or 1))
    assert_same_bits(both.var, textbook.of_windows("var", values, windows, 0.9, least or 1))
    assert_same_bits(expanding_es(values, 0.9, min_periods=least), both.es)
    assert_same_bits(expanding_var(values, 0.9, min_periods=least), both.var)


@pytest.mark.parametrize("window", [7, 50, 250])
def test_windows_of_long_samples_have_the_bits_of_es(window):
    values = datasets.heavy_tails(1500, 4)
    result = rolling_es_var(values, window, LEVELS)
    expected = [cshortfall.es_var(values[i - window + 1 : i + 1], LEVELS) for i in range(window - 1, len(values))]
    assert_same_bits(result.es[window - 1 :], [one.es for one in expected])
    assert_same_bits(result.var[window - 1 :], [one.var for one in expected])
    assert np.isnan(result.es[: window - 1]).all()


def test_levels_are_the_last_axis():
    values = SAMPLES["heavy tails"]
    matrix = np.column_stack([values, values[::-1]])
    for data in (values, matrix):
        result = rolling_es(data, 5, LEVELS)
        assert result.shape == (*data.shape, 3)
        for position, level in enumerate(LEVELS):
            assert_same_bits(result[..., position], rolling_es(data, 5, level))
        assert rolling_es(data, 5, [0.9]).shape == (*data.shape, 1)
        assert expanding_var(data, LEVELS).shape == (*data.shape, 3)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_time_runs_along_an_axis(axis):
    values = datasets.heavy_tails(11 * 4 * 9).reshape(11, 4, 9)
    for step in (1, 3):
        expected = np.apply_along_axis(rolling_es, axis, values, 4, 0.8, step=step)
        assert_same_bits(rolling_es(values, 4, 0.8, step=step, axis=axis), expected)
        assert_same_bits(rolling_es(np.asfortranarray(values), 4, 0.8, step=step, axis=axis), expected)
    assert_same_bits(expanding_es(values, 0.8, axis=axis), np.apply_along_axis(expanding_es, axis, values, 0.8))


def test_columns_by_default():
    values = datasets.heavy_tails(60).reshape(20, 3)
    assert_same_bits(rolling_es(values, 6), np.column_stack([rolling_es(column, 6) for column in values.T]))


@pytest.mark.parametrize("dtype", ["f4", "i2", "u1", "f2", ">f8"])
def test_dtypes_are_read_as_doubles(dtype):
    values = datasets.integers(50, 2, 60).astype("i2").clip(0, 60).astype(dtype)
    assert_same_bits(rolling_es(values, 7, 0.8), rolling_es(values.astype(float), 7, 0.8))


def test_layouts_lists_and_masks():
    values = datasets.heavy_tails(64)
    expected = rolling_es(values, 9)
    wide = np.zeros((64, 3))
    wide[:, 1] = values
    for same in (wide[:, 1], np.ascontiguousarray(values[::-1])[::-1], values.tolist(), tuple(values.tolist())):
        assert_same_bits(rolling_es(same, 9), expected)
    masked = np.ma.masked_array(values, mask=values > 1)
    assert_same_bits(rolling_es(masked, 9, min_periods=2), rolling_es(masked.filled(np.nan), 9, min_periods=2))


def test_input_is_not_modified():
    values = datasets.read_only(SAMPLES["missing"])
    before = values.copy()
    rolling_es(values, 5, tail="upper")
    expanding_es(values)
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (0, 0)])
def test_nothing_gives_nothing(shape):
    for function in (rolling_es, rolling_var):
        assert function(np.empty(shape), 3).shape == shape
        assert function(np.empty(shape), 3, [0.5, 0.9]).shape == (*shape, 2)
    assert expanding_es(np.empty(shape)).shape == shape
    assert rolling_es(np.empty((0, 2)), 3, step=2).shape == (0, 2)
    assert rolling_es(np.empty((5, 0)), 3, step=2).shape == (3, 0)
    assert rolling_es([], 3).shape == (0,)


TIMES = np.sort(datasets.random_words(41, 6) % np.uint64(60)).astype(np.int64)


@pytest.mark.parametrize("window", [1, 2, 5, 8, 59, 60, 1000])
def test_windows_by_time_have_the_bits_of_single_samples(window):
    values = SAMPLES["missing"]
    for times, center, closed in product([TIMES, TIMES[::-1], TIMES - 1000], [False, True], [None, *CLOSED]):
        windows = textbook.windows_by_time(times.tolist(), window, center, closed or "right")
        for least, step in ((None, None), (3, 4)):
            result = rolling_es(
                values,
                np.timedelta64(window, "s"),
                0.75,
                center=center,
                closed=closed,
                min_periods=least,
                step=step,
                on=times.view("M8[s]"),
            )
            expected = textbook.of_windows("es", values, windows[:: step or 1], 0.75, least or 1)
            assert_same_bits(result, expected, (center, closed))


@pytest.mark.parametrize("window", ["1500ms", "500ms", "2700ms", "1ns"])
def test_windows_by_time_need_not_fit_the_unit_of_the_times(window):
    values = SAMPLES["heavy tails"]
    length = {"1500ms": textbook.Fraction(3, 2), "500ms": textbook.Fraction(1, 2)}.get(window)
    length = length or {"2700ms": textbook.Fraction(27, 10), "1ns": textbook.Fraction(1, 10**9)}[window]
    for center, closed in product([False, True], CLOSED):
        windows = textbook.windows_by_time(TIMES.tolist(), length, center, closed)
        expected = textbook.of_windows("var", values, windows, 0.75, 1)
        result = rolling_var(values, window, 0.75, center=center, closed=closed, on=TIMES.view("m8[s]"))
        assert_same_bits(result, expected, (center, closed))


def test_lengths_of_time_have_many_forms():
    values, times = SAMPLES["heavy tails"], TIMES.view("M8[D]")
    expected = rolling_es(values, "21D", 0.8, on=times)
    same = [
        datetime.timedelta(days=21),
        np.timedelta64(3, "W"),
        np.timedelta64(21 * 24, "h"),
        "3W",
        "3w",
        "21 d",
        "504h",
        "20D24h",
        "20.5D 720min",
        "1814400s",
    ]
    for window in same:
        assert_same_bits(rolling_es(values, window, 0.8, on=times), expected, window)
    assert_same_bits(rolling_es(values, "D", 0.8, on=times), rolling_es(values, "1D", 0.8, on=times))
    assert_same_bits(rolling_es(values, 5, 0.8, on=times), rolling_es(values, 5, 0.8))


def test_times_far_apart_do_not_overflow():
    times = np.array([-(2**60), -5, 0, 7, 2**60], dtype="M8[s]")
    values = np.array([1.0, -2.0, 3.0, -4.0, 5.0])
    for window in ("106751991167D", np.timedelta64(2**62, "s")):
        for center in (False, True):
            assert np.isfinite(rolling_es(values, window, 0.5, on=times, center=center)).all()
    with pytest.raises(ValueError, match="on spans more time"):
        rolling_es(values[:2], "1D", on=np.array([-(2**62), 2**62], dtype="M8[s]"))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("function", [rolling_es, rolling_var, rolling_es_var])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"window": 0}, ValueError, r"window must be at least 1, got 0"),
        ({"window": -3}, ValueError, r"window must be at least 1, got -3"),
        ({"window": 10**30}, ValueError, r"window must be at most 1152921504606846976, got 10{30}; expanding_es"),
        ({"window": True}, TypeError, r"window must be an int or a length of time .*, got True of type bool"),
        ({"window": 3.0}, TypeError, r"window must be an int or a length of time .*, got 3.0 of type float"),
        ({"window": None}, TypeError, r"window must be an int .*, got None"),
        ({"window": "90D"}, ValueError, r"window='90D' is a length of time, but x has no times: .*on="),
        ({"window": "3M"}, ValueError, r"window must be .*got '3M': 'M' is not one of W, D, h, min"),
        ({"window": "3m"}, ValueError, r"'m' is not one of"),
        ({"window": "90"}, ValueError, r"window must be .*got '90'"),
        ({"window": ""}, ValueError, r"window must be .*got ''"),
        ({"window": "-3D"}, ValueError, r"window must be .*got '-3D'"),
        ({"window": "0D"}, ValueError, r"window must be longer than no time, got '0D'"),
        ({"window": datetime.timedelta(days=-1)}, ValueError, r"window must be longer than no time"),
        ({"window": np.timedelta64(3, "M")}, ValueError, r"no fixed length"),
        ({"window": np.timedelta64("NaT")}, ValueError, r"no fixed length"),
        ({"min_periods": 6}, ValueError, r"min_periods must not exceed window, got min_periods=6 and window=5"),
        ({"min_periods": -1}, ValueError, r"min_periods must not be negative, got -1"),
        ({"min_periods": 2.0}, TypeError, r"min_periods must be an int or None, got 2.0"),
        ({"min_periods": True}, TypeError, r"min_periods must be an int or None, got True"),
        ({"center": "yes"}, TypeError, r"center must be True or False, got 'yes'"),
        ({"center": 1}, TypeError, r"center must be True or False, got 1"),
        ({"closed": "rihgt"}, ValueError, r"closed must be one of 'right', 'left', 'both', 'neither', got 'rihgt'"),
        ({"closed": 1}, TypeError, r"closed must be one of"),
        ({"step": 0}, ValueError, r"step must be at least 1, got 0"),
        ({"step": 1.5}, TypeError, r"step must be an int of at least 1"),
        ({"level": 95}, ValueError, r"level=0.95"),
        ({"tail": "left"}, ValueError, r"tail must be one of"),
        ({"axis": 1}, np.exceptions.AxisError, r"axis=1 is out of range"),
        ({"axis": None}, TypeError, r"axis must be an int, the dimension along which time runs, got None"),
        ({"axis": (0,)}, TypeError, r"axis must be an int"),
        ({"x": 3.0}, ValueError, r"x is a single number"),
        ({"x": ["a", "b"]}, TypeError, r"x must hold real numbers"),
        ({"x": np.array([1, None], dtype=object)}, TypeError, r"x must hold real numbers.*dtype object"),
        ({"x": [True, False]}, TypeError, r"x must hold real numbers.*bool"),
        ({"on": "day"}, TypeError, r"on must be an array of times for x of type list, got 'day'"),
        ({"window": "2D", "on": np.arange(6)}, TypeError, r"on must hold times.*got dtype int64"),
        ({"window": "2D", "on": np.arange(5).view("M8[D]")}, ValueError, r"on must hold one time for each of the 6"),
        ({"window": "2D", "on": np.array([0, 2, 1, 3, 4, 5], "M8[D]")}, ValueError, r"monotonic.*falls at position 2"),
        ({"window": "2D", "on": np.array([5, 4, 3, 3, 4, 1], "M8[D]")}, ValueError, r"monotonic.*rises at position 4"),
        ({"window": "2D", "on": np.array([0, "NaT", 1, 3, 4, 5], "M8[D]")}, ValueError, r"missing.* at position 1"),
        ({"window": "2D", "on": np.zeros((6, 1), "M8[D]")}, ValueError, r"on must have one dimension"),
        ({"window": "2D", "on": np.arange(6).view("M8[M]")}, TypeError, r"units of no fixed length"),
    ],
)
def test_wrong_arguments_are_named(function, arguments, error, message):
    with pytest.raises(error, match=message):
        function(**{"x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "window": 5, **arguments})


def test_doubtful_levels_warn():
    with pytest.warns(cshortfall.LevelWarning, match="level=0.05 is a confidence"):
        rolling_es([1.0, 2.0], 2, 0.05)


def test_signatures_are_those_promised():
    windows = "min_periods=None, center=False, closed=None, step=None, on=None, axis=0, tail='lower'"
    factors = "com=None, span=None, halflife=None, alpha=None, decay=None"
    for name in rolling.__all__:
        found = inspect.signature(getattr(rolling, name))
        plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in found.parameters.values()]
        expected = f"(x, window, level=0.975, *, {windows})"
        if name.startswith("expanding"):
            expected = "(x, level=0.975, *, min_periods=1, axis=0, tail='lower')"
        elif name.startswith("ewm"):
            expected = f"(x, level=0.975, *, {factors}, min_periods=0, ignore_na=False, axis=0, tail='lower')"
        assert str(inspect.Signature(plain)) == expected


@pytest.mark.parametrize("name", rolling.__all__)
def test_every_parameter_is_documented(name):
    function = getattr(rolling, name)
    for parameter in inspect.signature(function).parameters:
        assert parameter in inspect.getdoc(function)
