"""Frames, labels and other forms of scenarios in and out of the optimiser."""

import numpy as np
import pytest
from portfolio_instances import heavy_tailed

import cshortfall
from cshortfall.optimize import ESLimit, frontier, minimize_es, rebalance, track
from cshortfall.optimize._scenarios import ArrayScenarios

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

RETURNS = heavy_tailed(0, 60, 4)
LEVEL = 0.9
NAMES = ["AAPL", "MSFT", "XOM", "CVX"]
DATES = pandas.date_range("2020-01-01", periods=60)
FRAME = pandas.DataFrame(RETURNS, index=DATES, columns=NAMES)


def test_weights_of_a_pandas_frame_are_a_series():
    result = minimize_es(FRAME, LEVEL)
    assert isinstance(result.weights, pandas.Series)
    assert list(result.weights.index) == NAMES
    assert result.es == pytest.approx(cshortfall.es(FRAME @ result.weights, LEVEL), rel=1e-12)
    assert "AAPL" in repr(result)


def test_weights_of_a_polars_frame_are_a_frame_of_one_row():
    frame = polars.DataFrame(dict(zip(NAMES, RETURNS.T, strict=True)))
    result = minimize_es(frame, LEVEL)
    assert isinstance(result.weights, polars.DataFrame)
    assert result.weights.columns == NAMES
    assert result.weights.to_numpy().ravel() == pytest.approx(minimize_es(RETURNS, LEVEL).weights, abs=1e-7)
    # They are holdings again.
    assert rebalance(frame, result.weights, LEVEL, costs=0.1).costs == pytest.approx(0.0, abs=1e-9)
    assert rebalance(frame, result.weights.select(NAMES[::-1]), LEVEL, costs=0.1).costs == pytest.approx(0.0, abs=1e-9)


def test_names_reach_every_constraint():
    result = minimize_es(
        FRAME,
        LEVEL,
        bounds={"AAPL": (0.1, 0.2)},
        groups={"energy": (["XOM", "CVX"], None, 0.4)},
        current={"MSFT": 1.0},
        turnover=1.5,
        costs={"XOM": 0.001},
        es_limits=[ESLimit(1.0, 0.95, ["AAPL", "CVX"])],
    )
    assert 0.1 - 1e-9 <= result.weights["AAPL"] <= 0.2 + 1e-9
    assert result.weights["XOM"] + result.weights["CVX"] <= 0.4 + 1e-9
    assert list(result.trades.index) == NAMES
    assert result.costs == pytest.approx(0.001 * result.weights["XOM"])


def test_series_are_aligned():
    shuffled = ["CVX", "AAPL", "XOM", "MSFT"]
    current = pandas.Series([0.4, 0.1, 0.3, 0.2], index=shuffled)
    one = rebalance(FRAME, current, LEVEL, turnover=0.2)
    other = rebalance(RETURNS, [0.1, 0.2, 0.3, 0.4], LEVEL, turnover=0.2)
    assert one.objective == other.objective
    upper = pandas.Series([1.0, 0.25, 1.0, 1.0], index=shuffled)
    assert minimize_es(FRAME, LEVEL, bounds=(0, upper)).weights["AAPL"] <= 0.25 + 1e-9
    rows = pandas.DataFrame([[1.0, 0.0, 0.0, 0.0]], columns=shuffled)
    assert minimize_es(FRAME, LEVEL, A_ub=rows, b_ub=[0.1]).weights["CVX"] <= 0.1 + 1e-9
    with pytest.raises(ValueError, match="current must have the labels"):
        rebalance(FRAME, current.rename({"CVX": "BP"}), LEVEL)


def test_benchmarks_and_probabilities_are_aligned_on_the_rows():
    backwards = FRAME["AAPL"].iloc[::-1]
    assert track(FRAME, backwards, LEVEL).weights["AAPL"] == pytest.approx(1.0, abs=1e-6)
    mass = pandas.Series(np.arange(1.0, 61.0), index=DATES)
    one = minimize_es(FRAME, LEVEL, probabilities=mass.iloc[::-1])
    assert one.objective == minimize_es(RETURNS, LEVEL, probabilities=np.arange(1.0, 61.0)).objective


def test_a_name_that_is_not_there_is_answered_with_a_near_one():
    with pytest.raises(ValueError, match=r"names 'APPL', which is no column of returns.*did you mean 'AAPL'"):
        minimize_es(FRAME, LEVEL, bounds={"APPL": (0, 1)})


def test_positions_stand_for_named_columns_but_not_for_numbered_ones():
    assert minimize_es(FRAME, LEVEL, bounds={0: (0, 0.0)}).weights["AAPL"] == 0
    numbered = FRAME.set_axis([10, 20, 30, 40], axis=1)
    assert minimize_es(numbered, LEVEL, bounds={10: (0, 0.0)}).weights[10] == 0
    with pytest.raises(ValueError, match="names 0, which is no column"):
        minimize_es(numbered, LEVEL, bounds={0: (0, 0.0)})


def test_a_column_that_is_there_twice_cannot_be_named():
    doubled = FRAME.set_axis(["a", "a", "b", "c"], axis=1)
    assert minimize_es(doubled, LEVEL).weights.sum() == pytest.approx(1.0)
    with pytest.raises(ValueError, match="names 'a', which several columns"):
        minimize_es(doubled, LEVEL, bounds={"a": (0, 1)})


def test_missing_returns_are_named_by_row_and_column():
    frame = FRAME.copy()
    frame.iloc[7, 2] = np.nan
    with pytest.raises(ValueError, match=r"returns\[7, 2\] = nan \(row 2020-01-08.*column 'XOM'\)"):
        minimize_es(frame, LEVEL)


def test_frontiers_have_a_frame_of_weights():
    curve = frontier(FRAME, LEVEL, 3)
    assert isinstance(curve.weights, pandas.DataFrame)
    assert list(curve.weights.columns) == NAMES
    assert len(curve.weights) == 3
    frame = polars.DataFrame(dict(zip(NAMES, RETURNS.T, strict=True)))
    assert frontier(frame, LEVEL, 3).weights.columns == NAMES
    assert frontier(RETURNS, LEVEL, 3).weights.shape == (3, 4)


@pytest.mark.parametrize("seed", range(5))
def test_duals_name_no_bound_that_was_not_given(seed):
    frame = pandas.DataFrame(heavy_tailed(seed, 400, 4), columns=NAMES)
    limits = [ESLimit(0.8 * cshortfall.es(frame["AAPL"], LEVEL), LEVEL, ["AAPL"])]
    for result in (minimize_es(frame, LEVEL), minimize_es(frame, LEVEL, es_limits=limits)):
        assert not [name for name in result.duals if name.startswith("upper bound of")]
        held = {name.split()[-1] for name in result.duals if name.startswith("lower bound of")}
        assert held == set(frame.columns[result.weights < 1e-9])


def test_duals_are_named_by_column():
    result = minimize_es(FRAME, LEVEL, bounds=(0, 0.3))
    names = {name for name in result.duals if " bound of " in name}
    assert names
    assert names <= {f"{side} bound of {name}" for side in ("lower", "upper") for name in NAMES}


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x.tolist(),
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x.astype(">f8"),
        pandas.DataFrame,
        lambda x: polars.DataFrame(x, schema=list("abcd")),
    ],
)
def test_layout_and_library_do_not_change_the_optimum(convert):
    result = minimize_es(convert(RETURNS), LEVEL)
    assert result.es == pytest.approx(minimize_es(RETURNS, LEVEL).es, rel=1e-8)


def test_float32_is_optimised_as_it_is():
    small = RETURNS.astype(np.float32)
    result = minimize_es(small, LEVEL)
    assert result.es == pytest.approx(minimize_es(small.astype(np.float64), LEVEL).es, rel=2e-8)


def test_a_memory_mapped_file(tmp_path):
    path = tmp_path / "returns.npy"
    np.save(path, RETURNS)
    result = minimize_es(np.load(path, mmap_mode="r"), LEVEL)
    assert result.es == pytest.approx(minimize_es(RETURNS, LEVEL).es, rel=1e-12)


def test_an_object_that_makes_passes_stands_for_returns():
    scenarios = ArrayScenarios(RETURNS)
    result = minimize_es(scenarios, LEVEL, bounds=(0, 0.4))
    assert result.es == minimize_es(RETURNS, LEVEL, bounds=(0, 0.4)).es
    with pytest.raises(ValueError, match="probabilities belong to the scenarios"):
        minimize_es(scenarios, LEVEL, probabilities=np.ones(60))
