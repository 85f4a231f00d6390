"""Rolling results of polars (and Arrow) objects: series and frames in and out, expressions, lazily and in groups."""

import datetime

import datasets
import numpy as np
import pytest
from bits import assert_same_bits

import cshortfall
from cshortfall.rolling import ewm_es, expanding_es, rolling_es, rolling_es_var, rolling_var

pl = pytest.importorskip("polars")
pytest.importorskip("cshortfall.polars")

LEVELS = [0.9, 0.5]
DAYS = np.sort(datasets.random_words(40, 3) % np.uint64(70)).astype("M8[D]")
NUMBERS = np.where(datasets.uniforms(80) < 0.15, np.nan, datasets.heavy_tails(80)).reshape(40, 2)
FRAME = pl.DataFrame(
    {
        "A": pl.Series(NUMBERS[:, 0]).fill_nan(None),
        "day": DAYS,
        "B": NUMBERS[:, 1],
        "desk": ["x", "y", "x", "z"] * 10,
    }
)
NUMERIC = FRAME.select("A", "B")


def numbers_of(result):
    """Return the numbers of a series, null as NaN, after checking that nothing but null is missing."""
    assert result.dtype == pl.Float64
    assert not result.is_nan().any()
    return result.to_numpy()


def test_a_series_gives_a_series():
    for name, position in (("A", 0), ("B", 1)):
        for function in (rolling_es, rolling_var):
            result = function(FRAME[name], 5, 0.8, min_periods=3, step=2)
            assert result.name == name
            assert_same_bits(numbers_of(result), function(NUMBERS[:, position], 5, 0.8, min_periods=3, step=2))
        assert_same_bits(numbers_of(expanding_es(FRAME[name])), expanding_es(NUMBERS[:, position]))
        assert_same_bits(numbers_of(ewm_es(FRAME[name], com=2)), ewm_es(NUMBERS[:, position], com=2))


def test_a_frame_gives_a_frame():
    both = rolling_es_var(NUMERIC, 6, 0.8, min_periods=2)
    for found, wanted in zip(both, rolling_es_var(NUMBERS, 6, 0.8, min_periods=2), strict=True):
        assert found.columns == ["A", "B"]
        for position, name in enumerate(found.columns):
            assert_same_bits(numbers_of(found[name]), wanted[:, position])


def test_several_levels_are_columns_named_after_them():
    expected = rolling_es(NUMBERS, 6, LEVELS, min_periods=2)
    result = rolling_es(NUMERIC, 6, LEVELS, min_periods=2)
    assert result.columns == ["A_0.9", "A_0.5", "B_0.9", "B_0.5"]
    for position, name in enumerate(result.columns):
        assert_same_bits(numbers_of(result[name]), expected[:, position // 2, position % 2])
    result = rolling_es(FRAME["A"], 6, LEVELS, min_periods=2)
    assert result.columns == ["A_0.9", "A_0.5"]
    assert rolling_var(pl.Series([1.0]), 1, LEVELS).columns == ["var_0.9", "var_0.5"]
    assert ewm_es(pl.Series([1.0]), LEVELS, com=1).columns == ["es_0.9", "es_0.5"]


def test_names_of_results_that_clash_are_refused():
    with pytest.raises(ValueError, match=r"'A_0\.5'.*twice.*rename"):
        rolling_es(pl.DataFrame({"A": [1.0]}), 1, [0.5, 0.5])
    assert rolling_es(pl.DataFrame({"A_0.5": [1.0], "A": [1.0]}), 1, [0.5]).columns == ["A_0.5_0.5", "A_0.5"]


def test_too_few_outcomes_are_null_and_infinities_that_meet_are_nan():
    series = pl.Series([np.inf, -np.inf, None, 1.0])
    result = rolling_es(series, 2, 0.0)
    assert result.is_null().to_list() == [True, False, True, True]
    assert np.isnan(result[1])
    assert ewm_es(series, 0.0, com=1, min_periods=2).is_null().to_list() == [True, False, False, False]


def test_windows_by_time_take_a_column_of_times():
    frame = FRAME.select("A", "day", "B")
    expected = rolling_es(NUMBERS, "9D", on=DAYS)
    result = rolling_es(frame, "9D", on="day")
    assert result.columns == ["A", "day", "B"]
    assert result["day"].equals(FRAME["day"])
    assert_same_bits(numbers_of(result["A"]), expected[:, 0])
    assert_same_bits(numbers_of(result["B"]), expected[:, 1])
    result = rolling_es(frame, datetime.timedelta(days=9), LEVELS, on="day", step=3)
    assert result.columns == ["A_0.9", "A_0.5", "day", "B_0.9", "B_0.5"]
    assert result["day"].equals(FRAME["day"].gather_every(3))
    assert_same_bits(numbers_of(result["B_0.5"]), rolling_es(NUMBERS[:, 1], "9D", 0.5, on=DAYS, step=3))


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_times_of_any_kind(unit):
    expected = rolling_es(NUMBERS[:, 0], "9D", on=DAYS)
    moments = FRAME["day"].cast(pl.Datetime(unit))
    for on in (FRAME["day"], moments, moments.dt.replace_time_zone("UTC"), moments - moments[0]):
        assert_same_bits(numbers_of(rolling_es(FRAME["A"], "9D", on=on)), expected)
        assert_same_bits(rolling_es(NUMBERS[:, 0], "9D", on=on), expected)
    with pytest.raises(ValueError, match="on must not be missing"):
        rolling_es(FRAME["A"], "9D", on=pl.Series([None] * 40, dtype=pl.Date))
    with pytest.raises(TypeError, match="on must hold times"):
        rolling_es(FRAME["A"], "9D", on=FRAME["B"])


def test_arrow_tables_give_arrow_tables():
    pa = pytest.importorskip("pyarrow")
    result = rolling_es(FRAME.select("A", "day", "B").to_arrow(), "9D", on="day")
    assert isinstance(result, pa.Table)
    assert pl.from_arrow(result).equals(rolling_es(FRAME.select("A", "day", "B"), "9D", on="day"))
    column = rolling_es(pa.chunked_array([[1.0, None], [2.0]]), 2, 0.5)
    assert column.to_pylist() == [None, None, None]


def test_what_does_not_fit_is_named():
    with pytest.raises(TypeError, match="x is lazy"):
        rolling_es(FRAME.lazy(), 3)
    with pytest.raises(TypeError, match="x is lazy"):
        rolling_es(FRAME.lazy(), 3, on="day")
    with pytest.raises(TypeError, match="column 'day' of x must hold real numbers"):
        rolling_es(FRAME, 3)
    with pytest.raises(TypeError, match=r"on must be an array of times for x of type Series, got 'when'"):
        rolling_es(FRAME["A"], "3D", on="when")
    with pytest.raises(ValueError, match=r"on='when' must be the name of one column of x"):
        rolling_es(FRAME, "3D", on="when")
    with pytest.raises(TypeError, match=r"on must be an array or series of times, got .* of type Expr"):
        rolling_es(FRAME, "3D", on=pl.col("day"))
    with pytest.raises(ValueError, match=r"window='3D' is a length of time, but x has no times"):
        rolling_es(NUMERIC, "3D")


def test_empty_frames_stay_empty():
    assert rolling_es(NUMERIC.clear(), 3).equals(NUMERIC.clear())
    assert rolling_es(FRAME.select("A", "day").clear(), "3D", on="day").equals(FRAME.select("A", "day").clear())
    assert expanding_es(FRAME["A"].clear()).len() == 0


EXPRESSION = pl.col("A").shortfall


def both_ways(*expressions, over=None):
    """Return the frame of expressions, the same from an eager and a lazy frame."""
    eager = FRAME.select(*expressions)
    assert FRAME.lazy().select(*expressions).collect().equals(eager)
    assert FRAME.lazy().select(*expressions).collect_schema() == eager.schema
    return eager


def test_aggregates_of_expressions():
    given = NUMBERS[~np.isnan(NUMBERS[:, 0]), 0]
    result = both_ways(
        EXPRESSION.es(0.8, nan_policy="omit").alias("es"),
        EXPRESSION.var(0.8, nan_policy="omit", tail="upper").alias("var"),
        pl.col("A").drop_nulls().shortfall.es(0.8, method="normal").alias("normal"),
        pl.col("A").drop_nulls().shortfall.var(0.8, quantile_method="linear").alias("linear"),
        EXPRESSION.es().alias("missing"),
    )
    assert result.shape == (1, 5)
    assert result.row(0)[:4] == (
        cshortfall.es(given, 0.8),
        cshortfall.var(given, 0.8, tail="upper"),
        cshortfall.es(given, 0.8, method="normal"),
        cshortfall.var(given, 0.8, quantile_method="linear"),
    )
    assert np.isnan(result["missing"][0])
    weighted = FRAME.with_columns(w=np.arange(40.0)).select(EXPRESSION.es(0.8, weights="w", nan_policy="omit")).item()
    assert weighted == cshortfall.es(NUMBERS[:, 0], 0.8, weights=np.arange(40.0), nan_policy="omit")
    assert FRAME.with_columns(EXPRESSION.es(0.8, nan_policy="omit"))["A"].n_unique() == 1
    both = pl.col("A", "B").fill_nan(0.0).fill_null(0.0).shortfall.es(0.8, weights=pl.col("day").to_physical())
    weights = DAYS.astype(np.int64)
    assert FRAME.select(both).row(0) == tuple(cshortfall.es(np.nan_to_num(NUMBERS), 0.8, axis=0, weights=weights))


def test_results_for_each_row_of_expressions():
    rows = FRAME["A"]
    result = both_ways(
        EXPRESSION.rolling_es(5, 0.8, min_periods=2, center=True, closed="both").alias("es"),
        EXPRESSION.rolling_var(5, 0.8, min_periods=2, tail="upper").alias("var"),
        EXPRESSION.rolling_es("9D", 0.8, on="day").alias("time"),
        EXPRESSION.rolling_es("9D", 0.8, on=pl.col("day").cast(pl.Datetime)).alias("moments"),
        EXPRESSION.expanding_es(0.8, min_periods=4).alias("expanding"),
        EXPRESSION.expanding_var(0.8).alias("expanding var"),
        EXPRESSION.ewm_es(0.8, halflife=3, ignore_na=True).alias("ewm"),
    )
    expected = [
        rolling_es(rows, 5, 0.8, min_periods=2, center=True, closed="both"),
        rolling_var(rows, 5, 0.8, min_periods=2, tail="upper"),
        rolling_es(rows, "9D", 0.8, on=DAYS),
        rolling_es(rows, "9D", 0.8, on=DAYS),
        expanding_es(rows, 0.8, min_periods=4),
        cshortfall.rolling.expanding_var(rows, 0.8),
        ewm_es(rows, 0.8, halflife=3, ignore_na=True),
    ]
    for found, wanted in zip(result.get_columns(), expected, strict=True):
        assert found.equals(wanted, null_equal=True)
    with_all = FRAME.lazy().with_columns(pl.col("A", "B").shortfall.rolling_es(5).name.suffix("_es")).collect()
    assert with_all["B_es"].equals(rolling_es(FRAME["B"], 5), null_equal=True)


def test_expressions_keep_to_their_groups():
    over = FRAME.with_columns(es=EXPRESSION.rolling_es(3, 0.8, min_periods=1).over("desk"))
    time = FRAME.with_columns(es=EXPRESSION.rolling_es("9D", 0.8, on="day").over("desk"))
    grouped = FRAME.group_by("desk").agg(
        es=EXPRESSION.es(0.8, nan_policy="omit"), rolling=EXPRESSION.rolling_es(3, 0.8, min_periods=1)
    )
    for desk in "xyz":
        part = FRAME.filter(pl.col("desk") == desk)
        own = grouped.filter(pl.col("desk") == desk)
        rows = rolling_es(part["A"], 3, 0.8, min_periods=1)
        assert over.filter(pl.col("desk") == desk)["es"].equals(rows)
        assert time.filter(pl.col("desk") == desk)["es"].equals(rolling_es(part["A"], "9D", 0.8, on=part["day"]))
        assert own["es"].item() == cshortfall.es(part["A"], 0.8, nan_policy="omit")
        assert own["rolling"].explode().to_list() == rows.to_list()


def test_several_levels_of_expressions_are_fields():
    result = both_ways(EXPRESSION.rolling_es(5, LEVELS, min_periods=2)).unnest("A")
    assert result.columns == ["0.9", "0.5"]
    assert result["0.5"].equals(rolling_es(FRAME["A"], 5, 0.5, min_periods=2).alias("0.5"))
    result = both_ways(EXPRESSION.es(LEVELS, nan_policy="omit")).unnest("A")
    assert result.row(0) == tuple(cshortfall.es(NUMBERS[:, 0], LEVELS, nan_policy="omit").tolist())
    grouped = FRAME.group_by("desk", maintain_order=True).agg(EXPRESSION.var(LEVELS, nan_policy="omit")).unnest("A")
    assert grouped.columns == ["desk", "0.9", "0.5"]
    assert grouped.height == 3
    with pytest.raises(ValueError, match="level must name each level once"):
        EXPRESSION.es([0.5, 0.5])


def test_no_rows_give_null():
    empty = FRAME.clear()
    assert empty.select(EXPRESSION.es()).item() is None
    assert empty.select(EXPRESSION.es(LEVELS)).height == 1
    assert empty.group_by("desk").agg(EXPRESSION.es()).height == 0
    assert empty.select(EXPRESSION.rolling_es(3)).height == 0


def test_mistakes_in_expressions_are_those_of_the_functions():
    with pytest.raises(ValueError, match=r"level=0\.95"):
        EXPRESSION.es(95)
    with pytest.raises(ValueError, match="window must be at least 1, got 0"):
        FRAME.select(EXPRESSION.rolling_es(0))
    with pytest.raises(ValueError, match="window must be at least 1, got 0"):
        FRAME.lazy().select(EXPRESSION.rolling_es(0)).collect()
    with pytest.raises(TypeError, match="on must be an expression or the name of a column, got 3"):
        EXPRESSION.rolling_es("3D", on=3)


def test_series_have_the_same_methods():
    series = FRAME["A"]
    assert series.shortfall.es(0.8, nan_policy="omit") == cshortfall.es(series, 0.8, nan_policy="omit")
    assert series.shortfall.var(LEVELS, nan_policy="omit").equals(cshortfall.var(series, LEVELS, nan_policy="omit"))
    pairs = [
        (series.shortfall.rolling_es(4, 0.8, closed="left"), rolling_es(series, 4, 0.8, closed="left")),
        (series.shortfall.rolling_var(4, 0.8, step=3), rolling_var(series, 4, 0.8, step=3)),
        (series.shortfall.rolling_es("9D", on=FRAME["day"]), rolling_es(series, "9D", on=FRAME["day"])),
        (series.shortfall.expanding_es(0.8, min_periods=3), expanding_es(series, 0.8, min_periods=3)),
        (series.shortfall.expanding_var(0.8), cshortfall.rolling.expanding_var(series, 0.8)),
        (series.shortfall.ewm_es(0.8, alpha=0.1), ewm_es(series, 0.8, alpha=0.1)),
        (series.shortfall.rolling_es(4, LEVELS), rolling_es(series, 4, LEVELS)),
    ]
    for found, wanted in pairs:
        assert found.equals(wanted)


def test_a_doubtful_level_of_an_expression_is_doubted_once_where_it_is_written():
    for name, arguments in (("es", ()), ("var", ()), ("rolling_es", (5,)), ("expanding_es", ())):
        for level in (0.1, [0.1, 0.9]):
            with pytest.warns(cshortfall.LevelWarning) as doubts:
                expression = getattr(pl.col("B").shortfall, name)(*arguments, level)
            assert [doubt.filename for doubt in doubts] == [__file__]
            FRAME.select(expression)
            FRAME.lazy().group_by("desk").agg(expression).collect()
            FRAME.select(expression.over("desk"))
