"""Rolling results of pandas objects: its own windows, to the position, and its labels."""

from itertools import product

import datasets
import numpy as np
import pytest
from bits import assert_same_bits

import cshortfall
from cshortfall import _windows
from cshortfall.rolling import (
    ewm_es,
    expanding_es,
    expanding_es_var,
    rolling_es,
    rolling_es_var,
    rolling_var,
)

pd = pytest.importorskip("pandas")
window_indexers = pytest.importorskip("pandas.core.indexers.objects")

CLOSED = [None, "right", "left", "both", "neither"]
LEVELS = [0.9, 0.5]
DAYS = pd.DatetimeIndex(np.sort(datasets.random_words(50, 3) % np.uint64(90)).astype("M8[D]"), name="day")
NUMBERS = np.where(datasets.uniforms(150) < 0.15, np.nan, datasets.heavy_tails(150)).reshape(50, 3)
FRAME = pd.DataFrame(NUMBERS, index=DAYS, columns=["A", "B", "C"])
SERIES = FRAME["B"]


def es_of(level):
    """Return a function of a window, NaN included, for pandas' apply."""
    return lambda window: cshortfall.es(window, level, nan_policy="omit") if len(window) else np.nan


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("window", [1, 2, 7, 50, 70, "3D", "10D", "36h", "1000D"])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("closed", CLOSED)
def test_results_are_those_of_pandas_apply(window, center, closed):
    for least, step in product([None, 0, 1, 2], [None, 3]):
        options = {"min_periods": least, "center": center, "closed": closed}
        if isinstance(window, int):
            options["step"] = step
            if least is not None and least > window:
                continue
        expected = SERIES.rolling(window, **options).apply(es_of(0.8), raw=True)
        result = rolling_es(SERIES, window, 0.8, **options)
        pd.testing.assert_series_equal(result, expected, check_exact=True)


@pytest.mark.parametrize("window", [1, 4, 50, "1D", "12D"])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("closed", CLOSED)
def test_the_worst_outcome_is_the_minimum_of_pandas(window, center, closed):
    for least in (None, 1):
        options = {"min_periods": least, "center": center, "closed": closed}
        expected = -FRAME.rolling(window, **options).min()
        pd.testing.assert_frame_equal(rolling_es(FRAME, window, 0.999, **options), expected)
        pd.testing.assert_frame_equal(rolling_var(FRAME, window, 0.999, **options), expected)
        expected = FRAME.rolling(window, **options).max()
        pd.testing.assert_frame_equal(rolling_es(FRAME, window, 0.999, tail="upper", **options), expected)


@pytest.mark.parametrize("window", [1, 4, 9, "4D", "20D"])
def test_the_mean_is_that_of_pandas(window):
    pd.testing.assert_frame_equal(rolling_es(FRAME, window, 0.0), -FRAME.rolling(window).mean())
    pd.testing.assert_frame_equal(expanding_es(FRAME, 0.0), -FRAME.expanding().mean())


@pytest.mark.parametrize("window", [1, 2, 5, 12])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("closed", CLOSED)
def test_bounds_by_position_are_those_of_pandas(window, center, closed):
    for n, step in product([0, 1, 3, 12, 30], [None, 1, 2, 7]):
        windows = _windows.read_windows(window, 0, center, closed, step, None, "on")
        lead, length = windows.lead_and_length()
        stops = np.arange(windows.count(n)) * windows.step + lead
        starts = np.clip(stops - length, 0, n)
        indexer = window_indexers.FixedWindowIndexer(window_size=window)
        expected = indexer.get_window_bounds(n, None, center, closed, step)
        np.testing.assert_array_equal(starts, expected[0])
        np.testing.assert_array_equal(np.clip(stops, 0, n), expected[1])


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("first", [0, -10, -1000, 1_700_000_000_000_000_000])
def test_bounds_by_time_are_those_of_pandas(center, closed, first):
    for seed, n, window in product(range(12), [1, 2, 5, 12], [1, 2, 3, 8, 40]):
        times = first + np.sort(datasets.random_words(n, seed) % np.uint64(20)).astype(np.int64)
        for order in (times, times[::-1]):
            on = order.copy().view("M8[ns]")
            windows = _windows.read_windows(np.timedelta64(window, "ns"), None, center, closed, None, on, "on")
            indexer = window_indexers.VariableWindowIndexer(index_array=order.copy(), window_size=window)
            expected = indexer.get_window_bounds(n, 1, center, closed, None)
            for found, wanted in zip(windows.bounds(), expected, strict=True):
                assert (np.diff(found) >= 0).all()
                np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Vienna"])
def test_any_index_of_times_gives_the_windows_of_pandas(unit, zone):
    for index in (DAYS.as_unit(unit).tz_localize(zone), DAYS.as_unit(unit) - DAYS[0], DAYS.to_period("D")):
        for window in ("5D", "120h", pd.Timedelta(days=5), pd.offsets.Day(5), pd.offsets.Hour(120)):
            series = SERIES.set_axis(index)
            expected = -series.rolling(window).min()
            pd.testing.assert_series_equal(rolling_es(series, window, 0.999), expected)
        falling = SERIES.set_axis(index[::-1])
        pd.testing.assert_series_equal(rolling_es(falling, "5D", 0.999), -falling.rolling("5D").min())


@pytest.mark.parametrize("years", [80, 150, 290])
def test_a_century_of_nanoseconds_is_no_span_too_long(years):
    times = pd.date_range("1700", periods=12 * years, freq="MS", unit="ns")
    falling = pd.Series(datasets.heavy_tails(times.size), times[::-1])
    for series, center, closed in product((falling, falling[::-1]), (False, True), CLOSED):
        options = {"min_periods": 1, "center": center, "closed": closed}
        for window in ("90D", "100000D"):
            expected = -series.rolling(window, **options).min()
            pd.testing.assert_series_equal(rolling_es(series, window, 0.9999, **options), expected)


def test_arrow_times_are_read():
    pa = pytest.importorskip("pyarrow")
    kinds = [pa.timestamp("ns"), pa.timestamp("ms", "Asia/Tokyo"), pa.timestamp("s", "UTC"), pa.duration("us")]
    for kind in kinds:
        times = DAYS - DAYS[0] if kind == pa.duration("us") else DAYS.tz_localize(kind.tz)
        arrow = pd.Index(times.astype(pd.ArrowDtype(kind)))
        result = rolling_es(SERIES.set_axis(arrow), "5D", 0.8)
        assert_same_bits(result.to_numpy(), rolling_es(SERIES, "5D", 0.8).to_numpy())


def test_a_step_is_also_taken_by_time():
    pd.testing.assert_series_equal(rolling_es(SERIES, "9D", step=4), rolling_es(SERIES, "9D").iloc[::4])


def test_infinities_are_data_though_missing_for_pandas():
    series = pd.Series([1.0, -np.inf, 2.0, 3.0])
    assert rolling_es(series, 2, 0.5).tolist()[1:] == [np.inf, np.inf, -2.0]


@pytest.mark.parametrize("kind", ["series", "frame"])
def test_labels_are_kept(kind):
    data, values = (SERIES, NUMBERS[:, 1]) if kind == "series" else (FRAME, NUMBERS)
    for step in (None, 4):
        both = rolling_es_var(data, 6, 0.9, min_periods=2, step=step)
        plain = rolling_es_var(values, 6, 0.9, min_periods=2, step=step)
        for found, wanted in zip(both, plain, strict=True):
            if kind == "series":
                expected = pd.Series(wanted, index=DAYS[:: step or 1], name="B")
                pd.testing.assert_series_equal(found, expected, check_exact=True)
            else:
                expected = pd.DataFrame(wanted, index=DAYS[:: step or 1], columns=FRAME.columns)
                pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_several_levels_are_columns():
    expected = pd.DataFrame(rolling_es(NUMBERS[:, 1], 6, LEVELS), index=DAYS, columns=LEVELS)
    pd.testing.assert_frame_equal(rolling_es(SERIES, 6, LEVELS), expected)
    result = rolling_es(FRAME, 6, LEVELS, step=2)
    assert result.columns.tolist() == [("A", 0.9), ("A", 0.5), ("B", 0.9), ("B", 0.5), ("C", 0.9), ("C", 0.5)]
    for name, level in result.columns:
        pd.testing.assert_series_equal(
            result[name, level], rolling_es(FRAME[name], 6, level, step=2), check_names=False, check_exact=True
        )
    result = expanding_es_var(FRAME, LEVELS).var
    assert_same_bits(result["C", 0.5].to_numpy(), expanding_es_var(NUMBERS[:, 2], 0.5).var)
    assert ewm_es(FRAME, LEVELS, span=3).columns.equals(result.columns)


@pytest.mark.parametrize(
    "columns",
    [
        ["A", "A", "B"],
        [0, 1, 2],
        pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)], names=["desk", "book"]),
        pd.Index([1.5, "two", None], dtype=object, name="mixed"),
    ],
    ids=["repeated", "integers", "two levels", "mixed"],
)
def test_any_column_labels_are_kept(columns):
    frame = pd.DataFrame(NUMBERS, columns=columns)
    result = rolling_es(frame, 5, min_periods=1)
    pd.testing.assert_frame_equal(result, pd.DataFrame(rolling_es(NUMBERS, 5, min_periods=1), columns=columns))
    result = rolling_es(frame, 5, LEVELS, min_periods=1)
    assert result.columns.nlevels == frame.columns.nlevels + 1
    assert result.columns.names == [*frame.columns.names, None]
    pd.testing.assert_index_equal(result.columns.droplevel(-1), frame.columns.repeat(2))
    flat = rolling_es(NUMBERS, 5, LEVELS, min_periods=1).reshape(50, 6)
    assert_same_bits(result.to_numpy(), flat)


def test_a_column_of_times_comes_back_where_it_was():
    frame = FRAME.reset_index()
    frame.insert(2, "when", frame.pop("day"))
    expected = frame.rolling("9D", on="when").min()
    for name in "ABC":
        expected[name] = -expected[name]
    pd.testing.assert_frame_equal(rolling_es(frame, "9D", 0.999, on="when"), expected)
    result = rolling_es(frame, "9D", LEVELS, on="when", step=3)
    names = [("A", 0.9), ("A", 0.5), ("B", 0.9), ("B", 0.5), ("when", ""), ("C", 0.9), ("C", 0.5)]
    assert result.columns.tolist() == names
    assert result["when", ""].tolist() == frame["when"].tolist()[::3]
    assert_same_bits(result["C", 0.5].to_numpy(), rolling_es(FRAME["C"], "9D", 0.5, step=3).to_numpy())
    result = rolling_es(frame, 9, on="when")
    pd.testing.assert_series_equal(result["when"], frame["when"])


def test_times_may_be_given_beside_the_data():
    expected = rolling_es(SERIES, "9D").to_numpy()
    for on in (DAYS, DAYS.to_series(), DAYS.to_numpy(), DAYS.to_period("D")):
        assert_same_bits(rolling_es(SERIES, "9D", on=on).to_numpy(), expected)
        assert_same_bits(rolling_es(SERIES.to_numpy(), "9D", on=on), expected)
        assert_same_bits(rolling_es(SERIES.tolist(), "9D", on=on), expected)


@pytest.mark.parametrize(
    "data",
    [
        pd.Series([1, None, -3, 2, 5], dtype="Int64"),
        pd.Series([1, None, -3, 2, 5], dtype="Float32"),
        pd.Series([1.0, None, -3, 2, 5]),
        pd.DataFrame({"A": [1, None, -3, 2, 5], "B": [1, 2, 3, 4, 5]}).convert_dtypes(),
    ],
    ids=["Int64", "Float32", "float64", "mixed"],
)
def test_missing_values_of_any_dtype_are_skipped(data):
    result = rolling_es(data, 3, 0.5, min_periods=1)
    column = result if result.ndim == 1 else result["A"]
    assert column.tolist() == rolling_es([1, np.nan, -3, 2, 5], 3, 0.5, min_periods=1).tolist()
    assert set(map(str, np.atleast_1d(result.dtypes))) == {"float64"}


def test_empty_frames_stay_empty():
    for empty in (FRAME.iloc[:0], SERIES.iloc[:0]):
        result = rolling_es(empty, "3D")
        assert result.shape == empty.shape
        assert result.index.equals(empty.index)
    assert rolling_es(FRAME[[]], 3).shape == (50, 0)
    assert expanding_es(FRAME.iloc[:0], LEVELS).shape == (0, 6)


def test_narwhals_objects_come_back_as_such():
    nw = pytest.importorskip("narwhals")
    result = rolling_es(nw.from_native(FRAME), "9D")
    assert isinstance(result, nw.DataFrame)
    pd.testing.assert_frame_equal(result.to_native(), rolling_es(FRAME, "9D"))
    frame = FRAME.reset_index()
    result = rolling_es(nw.from_native(frame), "9D", on="day")
    pd.testing.assert_frame_equal(result.to_native(), rolling_es(frame, "9D", on="day"))


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        (SERIES.reset_index(drop=True), {}, TypeError, r"the index of x must hold times for a window of time"),
        (SERIES.set_axis(DAYS.astype(str)), {}, TypeError, r"the index of x must hold times.*to_datetime"),
        (SERIES.sample(frac=1, random_state=1), {}, ValueError, r"the index of x must be monotonic.*sort x by it"),
        (SERIES.set_axis(DAYS.where(np.arange(50) != 7)), {}, ValueError, r"the index of x must not be missing.*7"),
        (SERIES.set_axis(pd.period_range("1990", periods=50, freq="M")), {}, ValueError, r"no fixed length \(M\)"),
        (SERIES, {"window": pd.offsets.MonthEnd(2)}, ValueError, r"window must be .*no fixed length"),
        (SERIES, {"window": pd.offsets.BDay(2)}, ValueError, r"window must be .*no fixed length"),
        (SERIES, {"window": pd.NaT}, TypeError, r"window must be"),
        (SERIES, {"window": pd.DateOffset(months=1)}, ValueError, r"window must be .*no fixed length"),
        (SERIES, {"on": "A"}, TypeError, r"on must be an array of times for x of type Series"),
        (FRAME, {"on": "D"}, ValueError, r"on='D' must be the name of one column of x.*\['A', 'B', 'C'\]"),
        (FRAME, {"on": "A"}, TypeError, r"on must hold times"),
        (FRAME, {"on": DAYS[:9]}, ValueError, r"on must hold one time for each of the 50 positions of x, got 9"),
        (FRAME, {"axis": 1}, ValueError, r"axis=1 of a data frame is not supported.*transpose x"),
        (FRAME.assign(D="x"), {}, TypeError, r"column 'D' of x must hold real numbers"),
        (FRAME.assign(D=DAYS), {}, TypeError, r"column 'D' of x must hold real numbers"),
    ],
)
def test_what_does_not_fit_is_named(data, options, error, message):
    with pytest.raises(error, match=message):
        rolling_es(data, **{"window": "5D", **options})
