"""Frames and series of pandas, polars, Arrow and narwhals: numbers read, labels kept, missing values missing."""

import datetime
import decimal

import numpy as np
import pytest

from cshortfall import es, es_gradient, es_of_portfolios, es_var, tail_risk, tail_weights, var

nw = pytest.importorskip("narwhals")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

DAYS = pd.date_range("2024-01-01", periods=40, freq="B", name="day")
NUMBERS = np.random.default_rng(11).standard_normal((40, 3))
NAMES = ["A", "B", "C"]
LEVELS = [0.9, 0.5]
FRAME = pd.DataFrame(NUMBERS, index=DAYS, columns=NAMES)
POLARS = pl.DataFrame({name: NUMBERS[:, k] for k, name in enumerate(NAMES)})
ARROW = pa.table({name: NUMBERS[:, k] for k, name in enumerate(NAMES)})
UNINDEXED = {"polars": POLARS, "arrow": ARROW, "batch": ARROW.to_batches()[0]}


def rows_of(frame):
    """Return the numbers of a frame without an index, rows first."""
    return nw.from_native(frame).to_numpy()


@pytest.mark.parametrize("function", [es, var])
def test_a_pandas_frame_gives_a_series_per_column(function):
    result = function(FRAME, 0.9)
    pd.testing.assert_series_equal(result, pd.Series(function(NUMBERS, 0.9, axis=0), index=FRAME.columns))
    for axis in (0, -2, (0,)):
        pd.testing.assert_series_equal(function(FRAME, 0.9, axis=axis), result)


@pytest.mark.parametrize("function", [es, var])
def test_several_levels_of_a_pandas_frame_are_columns(function):
    for levels in (LEVELS, [0.9]):
        result = function(FRAME, levels)
        expected = pd.DataFrame(function(NUMBERS, levels, axis=0), index=FRAME.columns, columns=levels)
        pd.testing.assert_frame_equal(result, expected)


def test_rows_of_a_pandas_frame_keep_their_index():
    result = es(FRAME, 0.9, axis=1)
    pd.testing.assert_series_equal(result, pd.Series(es(NUMBERS, 0.9, axis=1), index=DAYS))
    result = es(FRAME, LEVELS, axis=1)
    pd.testing.assert_frame_equal(result, pd.DataFrame(es(NUMBERS, LEVELS, axis=1), index=DAYS, columns=LEVELS))


def test_all_values_of_a_frame_by_both_axes():
    for frame in (FRAME, POLARS, ARROW):
        result = es(frame, 0.9, axis=(0, 1))
        assert type(result) is float
        assert result == es(NUMBERS, 0.9)
    pd.testing.assert_series_equal(es(FRAME, LEVELS, axis=(0, 1)), pd.Series(es(NUMBERS, LEVELS), index=LEVELS))
    assert es(POLARS, LEVELS, axis=(0, 1)).to_list() == es(NUMBERS, LEVELS).tolist()


def test_a_pandas_series_gives_a_float():
    for axis in (None, 0, -1, (0,)):
        result = es(FRAME["A"], 0.9, axis=axis)
        assert type(result) is float
        assert result == es(NUMBERS[:, 0], 0.9)
    expected = pd.Series(es(NUMBERS[:, 0], LEVELS), index=LEVELS, name="A")
    pd.testing.assert_series_equal(es(FRAME["A"], LEVELS), expected)


def test_es_var_labels_both():
    both = es_var(FRAME, LEVELS)
    pd.testing.assert_frame_equal(both.es, es(FRAME, LEVELS))
    pd.testing.assert_frame_equal(both.var, var(FRAME, LEVELS))
    both = es_var(POLARS)
    assert both.es.equals(es(POLARS))
    assert both.var.equals(var(POLARS))


@pytest.mark.parametrize(
    "columns",
    [
        ["A", "A", "B"],
        [0, 1, 2],
        pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)], names=["desk", "book"]),
        pd.Index([1.5, "two", None], dtype=object),
    ],
    ids=["repeated", "integers", "two levels", "mixed"],
)
def test_any_column_labels_are_kept(columns):
    frame = pd.DataFrame(NUMBERS, columns=columns)
    pd.testing.assert_series_equal(es(frame), pd.Series(es(NUMBERS, axis=0), index=frame.columns))
    pd.testing.assert_frame_equal(es(frame, LEVELS), pd.DataFrame(es(NUMBERS, LEVELS, axis=0), frame.columns, LEVELS))
    mixed = frame.copy()
    mixed.isetitem(1, np.arange(40))
    assert es(mixed).tolist() == [es(NUMBERS[:, 0]), es(np.arange(40)), es(NUMBERS[:, 2])]


def test_a_pandas_frame_of_one_block_is_not_copied():
    from cshortfall import _frames

    for order in "CF":
        frame = pd.DataFrame(np.array(NUMBERS, order=order), columns=NAMES)
        values, _ = _frames.read("x", frame)
        assert np.shares_memory(values, frame.to_numpy())


@pytest.mark.parametrize("name", UNINDEXED)
def test_a_frame_without_an_index_gives_a_row_under_the_same_names(name):
    frame = UNINDEXED[name]
    kind = pa.Table if name == "batch" else type(frame)
    result = es(frame, 0.9)
    assert isinstance(result, kind)
    assert nw.from_native(result).columns == NAMES
    np.testing.assert_array_equal(rows_of(result), es(NUMBERS, 0.9, axis=0)[np.newaxis])
    result = es(frame, LEVELS)
    assert nw.from_native(result).columns == ["level", *NAMES]
    np.testing.assert_array_equal(rows_of(result), np.column_stack([LEVELS, es(NUMBERS, LEVELS, axis=0).T]))


@pytest.mark.parametrize("name", UNINDEXED)
def test_rows_of_a_frame_without_an_index(name):
    result = nw.from_native(es(UNINDEXED[name], 0.9, axis=1), series_only=True)
    np.testing.assert_array_equal(result.to_numpy(), es(NUMBERS, 0.9, axis=1))
    result = es(UNINDEXED[name], LEVELS, axis=1)
    assert nw.from_native(result).columns == ["0.9", "0.5"]
    np.testing.assert_array_equal(rows_of(result), es(NUMBERS, LEVELS, axis=1))


def test_series_without_an_index():
    for series in (POLARS["B"], ARROW["B"], ARROW["B"].combine_chunks()):
        assert type(es(series, 0.9)) is float
        assert es(series, 0.9) == es(NUMBERS[:, 1], 0.9)
        result = nw.from_native(es(series, LEVELS), series_only=True)
        assert result.to_list() == es(NUMBERS[:, 1], LEVELS).tolist()
    assert es(POLARS["B"], LEVELS).name == "B"


def test_names_of_results_that_clash_are_refused():
    with pytest.raises(ValueError, match=r"'level'.*twice.*rename"):
        es(POLARS.rename({"A": "level"}), LEVELS)
    with pytest.raises(ValueError, match=r"'0\.9'.*twice.*each level once"):
        es(POLARS, [0.9, 0.9], axis=1)
    assert es(POLARS.rename({"A": "level"}), 0.9).columns == ["level", "B", "C"]
    assert es(FRAME, [0.9, 0.9]).columns.tolist() == [0.9, 0.9]


def test_narwhals_objects_come_back_as_such():
    for frame in (POLARS, FRAME):
        wrapped = nw.from_native(frame)
        result = es(wrapped, LEVELS)
        assert isinstance(result, nw.DataFrame)
        assert result.to_native().equals(es(frame, LEVELS))
    assert type(es(nw.from_native(POLARS["A"], series_only=True))) is float


@pytest.mark.parametrize(
    "missing",
    [
        pd.Series([1.0, None, -3.0, 2.0]),
        pd.Series([1, None, -3, 2], dtype="Int64"),
        pd.Series([1, None, -3, 2], dtype="Float64"),
        pd.Series([1, None, -3, 2], dtype="Float32"),
        pd.Series([1, None, -3, 2], dtype="int64[pyarrow]"),
        pd.Series([1, None, -3, 2], dtype="float64[pyarrow]"),
        pd.Series([1, None, -3, 2], dtype="Sparse[float64]"),
        pd.array([1, None, -3, 2], dtype="Int32"),
        pd.Index([1.0, None, -3.0, 2.0]),
        pl.Series([1, None, -3, 2]),
        pl.Series([1.0, None, -3.0, 2.0]),
        pl.Series([1.0, None, -3.0, 2.0], dtype=pl.Float32),
        pl.Series([1, None, -3, 2], dtype=pl.Int128),
        pl.Series([1.0, float("nan"), -3.0, 2.0]),
        pa.array([1.0, None, -3.0, 2.0]),
        pa.array([1, None, -3, 2], type=pa.int8()),
        pa.chunked_array([[1.0, None], [-3.0, 2.0]]),
    ],
    ids=lambda series: f"{type(series).__module__}.{type(series).__name__}-{getattr(series, 'dtype', '')}",
)
def test_null_and_na_are_missing(missing):
    assert np.isnan(es(missing, 0.5))
    assert es(missing, 0.5, nan_policy="omit") == es([1.0, -3.0, 2.0], 0.5)
    with pytest.raises(ValueError, match=r"x\[1\]"):
        es(missing, nan_policy="raise")


FRAMES_WITH_MISSING = {
    "pandas": pd.DataFrame({"A": [1.0, None, -2.0], "B": [3, 1, 2]}),
    "pandas nullable": pd.DataFrame({"A": [1, None, -2], "B": [3, 1, 2]}, dtype="Int64"),
    "pandas nullable floats": pd.DataFrame({"A": [1, None, -2], "B": [3, 1, 2]}, dtype="Float64"),
    "pandas Arrow": pd.DataFrame({"A": [1, None, -2], "B": [3, 1, 2]}, dtype="float64[pyarrow]"),
    "polars": pl.DataFrame({"A": [1.0, None, -2.0], "B": [3, 1, 2]}),
    "polars float32": pl.DataFrame({"A": [1.0, None, -2.0], "B": [3, 1, 2]}, schema={"A": pl.Float32, "B": pl.Float32}),
    "arrow": pa.table({"A": [1.0, None, -2.0], "B": [3, 1, 2]}),
}


@pytest.mark.parametrize("name", FRAMES_WITH_MISSING)
def test_missing_values_are_omitted_in_each_column(name):
    frame = FRAMES_WITH_MISSING[name]
    result = nw.from_native(es(frame, 0.75, nan_policy="omit"), allow_series=True)
    np.testing.assert_array_equal(np.ravel(result.to_numpy()), [2.0, -1.0])
    result = nw.from_native(es(frame, 0.75), allow_series=True)
    np.testing.assert_array_equal(np.ravel(result.to_numpy()), [np.nan, -1.0])
    with pytest.raises(ValueError, match=r"x\[1, 0\].*column 'A'"):
        es(frame, nan_policy="raise")


def test_a_missing_value_is_named_by_its_labels():
    frame = FRAME.copy()
    frame.loc["2024-01-03", "B"] = np.nan
    with pytest.raises(ValueError, match=r"x\[2, 1\] \(row 2024-01-03.*, column 'B'\), the first of 1"):
        es(frame, nan_policy="raise")
    with pytest.raises(ValueError, match=r"x\[2\] \(row 2024-01-03"):
        es(frame["B"], nan_policy="raise")


@pytest.mark.parametrize(
    "empty", [pl.DataFrame({"A": [1.0, 2.0], "N": [None, None]}), pa.table({"A": [1.0, 2.0], "N": pa.nulls(2)})]
)
def test_a_column_of_nulls_alone_is_missing(empty):
    with pytest.warns(RuntimeWarning, match="1 of 2 slices"):
        result = es(empty, 0.0, nan_policy="omit")
    np.testing.assert_array_equal(rows_of(result), [[-1.5, np.nan]])


WRONG_COLUMNS = {
    "bool": [True, False],
    "string": ["a", "b"],
    "date": [datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)],
    "time": [datetime.datetime(2024, 1, 1), datetime.datetime(2024, 1, 2)],
    "duration": [datetime.timedelta(1), datetime.timedelta(2)],
    "decimal": [decimal.Decimal("0.1"), decimal.Decimal("0.2")],
}


@pytest.mark.parametrize("kind", WRONG_COLUMNS)
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "arrow"])
def test_columns_that_are_no_numbers_are_named(make, kind):
    frame = make({"A": [1.0, 2.0], "wrong": WRONG_COLUMNS[kind]})
    with pytest.raises(TypeError, match=r"column 'wrong' of x must hold real numbers, got dtype .*numeric columns"):
        es(frame)
    with pytest.raises(TypeError, match=r"^x must hold real numbers, got dtype"):
        es(frame["wrong"])


@pytest.mark.parametrize("dtype", ["complex128", "longdouble", "object", "category", "boolean"])
def test_dtypes_of_pandas_that_are_no_numbers(dtype):
    if dtype == "longdouble" and np.dtype(np.longdouble) == np.dtype(np.float64):
        pytest.skip("long double is double here")
    series = pd.Series([1, 0], dtype=dtype)
    with pytest.raises(TypeError, match=r"x must hold real numbers"):
        es(series)
    with pytest.raises(TypeError, match=r"column 'A' of x must hold real numbers"):
        es(pd.DataFrame({"A": series, "B": [1.0, 2.0]}))


@pytest.mark.parametrize("dtype", ["int8", "uint64", "float16", "float32", "float64", ">f8"])
def test_dtypes_of_pandas_that_are_numbers(dtype):
    frame = pd.DataFrame({"A": [1, 5, 3, 2]}, dtype=dtype)
    result = es(frame, 0.5)
    assert result.dtype == np.float64
    assert result["A"] == -1.5
    assert es(frame["A"], 0.5) == -1.5


def test_what_is_not_in_memory_is_refused():
    with pytest.raises(TypeError, match=r"x is lazy \(LazyFrame\).*collect"):
        es(POLARS.lazy())
    with pytest.raises(TypeError, match=r"returns is lazy"):
        es_of_portfolios(POLARS.lazy(), np.ones(3))
    with pytest.raises(TypeError, match=r"x must be an array, a series or a data frame, got Expr"):
        es(pl.col("A"))
    with pytest.raises(TypeError, match=r"x must be .* got DataFrameGroupBy; pass its numbers"):
        es(FRAME.groupby(FRAME.index.month))


def test_frames_without_values_are_refused():
    for frame in (FRAME.iloc[:0], POLARS.head(0), ARROW.slice(0, 0)):
        with pytest.raises(ValueError, match=r"x is empty .*\(0, 3\)"):
            es(frame)
    assert es(FRAME[[]]).shape == (0,)


class OnlyArrowStream:
    """A table of a library that is not known by name."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def test_an_arrow_stream_of_any_library_is_read():
    np.testing.assert_array_equal(rows_of(es(OnlyArrowStream(ARROW), 0.9)), es(NUMBERS, 0.9, axis=0)[np.newaxis])
    assert es(OnlyArrowStream(ARROW["A"]), 0.9) == es(NUMBERS[:, 0], 0.9)


WEIGHTS = np.arange(1.0, 41.0)
SHUFFLE = np.random.default_rng(5).permutation(40)


def test_weights_align_on_the_index():
    expected = es(NUMBERS, 0.9, axis=0, weights=WEIGHTS)
    weights = pd.Series(WEIGHTS, index=DAYS)
    for given in (weights, weights.iloc[SHUFFLE], WEIGHTS, WEIGHTS.tolist(), pl.Series(WEIGHTS)):
        np.testing.assert_array_equal(es(FRAME, 0.9, weights=given), expected)
        assert es(FRAME["A"], 0.9, weights=given) == expected[0]
    assert es(FRAME["A"].iloc[SHUFFLE], 0.9, weights=weights) == expected[0]
    assert tail_weights(FRAME["A"], 0.9, weights=weights.iloc[SHUFFLE]).indices.tolist() == (
        tail_weights(NUMBERS[:, 0], 0.9, weights=WEIGHTS).indices.tolist()
    )


def test_weights_align_on_the_columns_along_rows():
    expected = es(NUMBERS, 0.5, axis=1, weights=[1.0, 2.0, 3.0])
    weights = pd.Series({"C": 3.0, "A": 1.0, "B": 2.0})
    np.testing.assert_array_equal(es(FRAME, 0.5, axis=1, weights=weights), expected)


def test_weights_in_a_frame_align_on_both():
    weights = pd.DataFrame(np.random.default_rng(6).random((40, 3)), index=DAYS, columns=NAMES)
    given = weights.iloc[SHUFFLE, [2, 0, 1]]
    for axis in (0, 1, (0, 1)):
        expected = es(NUMBERS, 0.9, axis=axis, weights=weights.to_numpy())
        np.testing.assert_array_equal(es(FRAME, 0.9, axis=axis, weights=given), expected)


def test_weights_without_an_index_go_by_position():
    weights = pd.Series(WEIGHTS, index=DAYS)
    assert es(NUMBERS[:, 0], 0.9, weights=weights) == es(NUMBERS[:, 0], 0.9, weights=WEIGHTS)
    assert es(POLARS["A"], 0.9, weights=weights.iloc[SHUFFLE]) == es(NUMBERS[:, 0], 0.9, weights=WEIGHTS[SHUFFLE])


@pytest.mark.parametrize(
    "index",
    [
        DAYS + pd.Timedelta(days=700),
        range(40),
        [*DAYS[:-1], DAYS[0]],
        [*DAYS[:-1], pd.Timestamp("1999-12-31")],
    ],
    ids=["later", "numbers", "repeated", "one other"],
)
def test_weights_of_another_index_are_refused(index):
    weights = pd.Series(WEIGHTS, index=index)
    for call in (lambda: es(FRAME, weights=weights), lambda: es(FRAME["A"], weights=weights)):
        with pytest.raises(ValueError, match=r"weights must have the labels .*axis 0.*weights\.to_numpy\(\)"):
            call()
    with pytest.raises(ValueError, match=r"weights must have the labels .*1999-12-31"):
        es(FRAME, weights=pd.Series(WEIGHTS, index=[*DAYS[:-1], pd.Timestamp("1999-12-31")]))


def test_weights_that_are_too_few_are_refused():
    with pytest.raises(ValueError, match="weights must have the labels"):
        es(FRAME, weights=pd.Series(WEIGHTS[1:], index=DAYS[1:]))
    with pytest.raises(ValueError, match=r"weights must have the shape of x, \(40, 3\)"):
        es(FRAME, axis=(0, 1), weights=pd.Series(WEIGHTS, index=DAYS))


def test_equal_repeated_labels_are_aligned():
    index = [*DAYS[:-1], DAYS[0]]
    x, weights = FRAME["A"].set_axis(index), pd.Series(WEIGHTS, index=index)
    assert es(x, 0.9, weights=weights) == es(NUMBERS[:, 0], 0.9, weights=WEIGHTS)


def test_holdings_align_on_the_columns():
    holdings = pd.Series({"C": 0.2, "A": 0.5, "B": 0.3})
    expected = es_of_portfolios(NUMBERS, [0.5, 0.3, 0.2], 0.9)
    assert es_of_portfolios(FRAME, holdings, 0.9) == expected
    assert es_of_portfolios(FRAME, [0.5, 0.3, 0.2], 0.9) == expected
    gradient = es_gradient(FRAME, holdings, 0.9)
    pd.testing.assert_series_equal(gradient, pd.Series(es_gradient(NUMBERS, [0.5, 0.3, 0.2], 0.9), index=FRAME.columns))
    assert es_gradient(FRAME, holdings, LEVELS).columns.tolist() == LEVELS
    with pytest.raises(ValueError, match=r"weights must have the labels .*'D'"):
        es_of_portfolios(FRAME, holdings.rename({"C": "D"}), 0.9)
    with pytest.raises(ValueError, match=r"weights must have the labels"):
        es_gradient(FRAME, holdings.iloc[:2], 0.9)


def test_portfolios_in_a_frame_keep_their_names():
    columns = np.array([[0.5, 1.0], [0.3, 0.0], [0.2, 0.0]])
    portfolios = pd.DataFrame(columns, index=NAMES, columns=["mix", "A only"])
    expected = es_of_portfolios(NUMBERS, columns, LEVELS)
    result = es_of_portfolios(FRAME, portfolios.iloc[[2, 0, 1]], LEVELS)
    pd.testing.assert_frame_equal(result, pd.DataFrame(expected, index=portfolios.columns, columns=LEVELS))
    result = es_of_portfolios(FRAME, portfolios, 0.9)
    pd.testing.assert_series_equal(result, pd.Series(expected[:, 0], index=portfolios.columns))
    result = es_of_portfolios(POLARS, pl.DataFrame(columns, schema=["mix", "A only"]), 0.9)
    assert result.columns == ["mix", "A only"]
    assert result.row(0) == tuple(expected[:, 0])


def test_the_gradient_of_a_polars_frame_is_a_row():
    result = es_gradient(POLARS, [0.5, 0.3, 0.2], 0.9)
    assert result.columns == NAMES
    assert list(result.row(0)) == es_gradient(NUMBERS, [0.5, 0.3, 0.2], 0.9).tolist()


# Tails of at least five outcomes, so that the intervals have something to say.
RISK_LEVELS = [0.8, 0.5]


def test_tail_risk_labels_every_number():
    risk = tail_risk(FRAME, 0.8, interval="asymptotic")
    plain = tail_risk(NUMBERS, 0.8, axis=0, interval="asymptotic")
    for name in ("es", "var", "es_standard_error", "var_standard_error", "n", "tail_count"):
        pd.testing.assert_series_equal(getattr(risk, name), pd.Series(getattr(plain, name), index=FRAME.columns))
    for name in ("es_interval", "var_interval"):
        expected = pd.DataFrame(getattr(plain, name), index=FRAME.columns, columns=["low", "high"])
        pd.testing.assert_frame_equal(getattr(risk, name), expected)


def test_tail_risk_of_several_levels_labels_every_number():
    risk = tail_risk(FRAME, RISK_LEVELS, interval="asymptotic")
    plain = tail_risk(NUMBERS, RISK_LEVELS, axis=0, interval="asymptotic")
    pd.testing.assert_frame_equal(risk.es, pd.DataFrame(plain.es, index=FRAME.columns, columns=RISK_LEVELS))
    assert risk.es_interval.shape == (3, 4)
    np.testing.assert_array_equal(risk.es_interval[0.5][["low", "high"]], plain.es_interval[:, 1])
    pd.testing.assert_series_equal(risk.n, pd.Series([40, 40, 40], index=FRAME.columns))
    series = tail_risk(FRAME["A"], RISK_LEVELS, interval="asymptotic")
    assert series.es.index.tolist() == RISK_LEVELS
    assert series.es_interval.columns.tolist() == ["low", "high"]
    np.testing.assert_array_equal(series.es_interval, plain.es_interval[0])
    assert series.n == 40


def test_tail_risk_of_polars_labels_every_number():
    risk = tail_risk(POLARS, RISK_LEVELS, interval="asymptotic")
    plain = tail_risk(NUMBERS, RISK_LEVELS, axis=0, interval="asymptotic")
    assert risk.es_interval.columns == ["level", "bound", *NAMES]
    assert risk.es_interval["bound"].to_list() == ["low", "high"] * 2
    np.testing.assert_array_equal(risk.es_interval.select(NAMES).to_numpy(), plain.es_interval.reshape(3, 4).T)
    one = tail_risk(POLARS, 0.8, interval="asymptotic")
    assert one.es_interval.columns == ["bound", *NAMES]
    assert one.n.row(0) == (40, 40, 40)
    by_row = tail_risk(POLARS, RISK_LEVELS, axis=1, interval=None, method="normal")
    assert by_row.es_interval.columns == ["0.8 low", "0.8 high", "0.5 low", "0.5 high"]
    series = tail_risk(POLARS["A"], RISK_LEVELS, interval="asymptotic")
    assert series.es_interval.columns == ["level", "low", "high"]


def test_out_of_a_frame_is_an_array():
    out = np.empty(3)
    assert es(FRAME, 0.9, out=out) is out
    np.testing.assert_array_equal(out, es(NUMBERS, 0.9, axis=0))


def test_frames_are_never_modified():
    frame, polars = FRAME.copy(), POLARS.clone()
    frame.iloc[3, 1] = np.nan
    before = frame.copy()
    es(frame, LEVELS, nan_policy="omit", weights=pd.Series(WEIGHTS, index=DAYS).iloc[SHUFFLE])
    tail_risk(frame, 0.9, nan_policy="omit", interval=None)
    es(polars, LEVELS, axis=1)
    pd.testing.assert_frame_equal(frame, before)
    assert polars.equals(POLARS)
