import json
import math
import warnings

import numpy as np
import pytest
import textbook
from numpy.testing import assert_allclose

import cshortfall
from cshortfall import LevelWarning, report
from cshortfall.datasets import load_equity_returns
from cshortfall.report import as_dict, risk_report, simple_returns

DATES, NAMES, RETURNS = load_equity_returns()
LABELS = [str(date) for date in DATES[:600]]
SMALL = RETURNS[:600, :4]
LEVELS = (0.95, 0.975, 0.99)
HISTORICAL = {"levels": LEVELS, "methods": ["historical"]}
WEIGHTS = 0.99 ** np.arange(600.0)


@pytest.fixture(scope="module")
def whole():
    return risk_report(SMALL, NAMES[:4], labels=LABELS)


def historical_es(series, level):
    return series.estimate("historical", level).es


@pytest.mark.filterwarnings("ignore:.*the historical estimate is returned:RuntimeWarning")
def test_every_estimate_is_that_of_tail_risk(whole):
    for column, asset in enumerate(whole.assets):
        assert asset.name == NAMES[column]
        for estimate in asset.estimates:
            expected = cshortfall.tail_risk(
                SMALL[:, column], estimate.level, method=estimate.method, n_resamples=1000, rng=0
            )
            assert (estimate.es, estimate.var) == pytest.approx((expected.es, expected.var), rel=1e-12)
            assert estimate.es_interval == pytest.approx(expected.es_interval, rel=1e-9)
            assert estimate.var_standard_error == pytest.approx(expected.var_standard_error, rel=1e-9)
            assert estimate.tail_count == pytest.approx(600 * (1 - estimate.level))
            assert estimate.reason is None


def test_every_estimator_and_level_is_there_once_in_the_order_asked_for():
    asked = risk_report(SMALL, NAMES[:4], levels=[0.99, 0.95, 0.99], methods=["kernel", "normal"])
    assert asked.levels == (0.99, 0.95)
    keys = [(estimate.level, estimate.method) for estimate in asked.portfolio.estimates]
    assert keys == [(0.99, "kernel"), (0.99, "normal"), (0.95, "kernel"), (0.95, "normal")]
    with pytest.raises(KeyError):
        asked.portfolio.estimate("historical", 0.95)


def test_historical_figures_are_those_of_the_definition(whole):
    for column, asset in enumerate(whole.assets):
        for level in LEVELS:
            expected = textbook.es_var(SMALL[:, column], level)
            assert asset.estimate("historical", level).es == expected.es
            assert asset.estimate("historical", level).var == expected.var


def test_the_default_portfolio_holds_equal_weights(whole):
    outcomes = SMALL.mean(axis=1)
    assert historical_es(whole.portfolio, 0.975) == pytest.approx(cshortfall.es(outcomes, 0.975), rel=1e-12)
    assert [part.weight for part in whole.contributions] == [0.25] * 4


@pytest.mark.parametrize("tail", ["lower", "upper"])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("portfolio", [None, {"AAPL": 0.6, "BAC": 0.7, "AMD": -0.3}])
def test_contributions_sum_to_the_es_of_the_portfolio(tail, weights, portfolio):
    result = risk_report(SMALL, NAMES[:4], weights=weights, portfolio=portfolio, tail=tail, **HISTORICAL)
    for position, level in enumerate(LEVELS):
        total = math.fsum(part.es[position] for part in result.contributions)
        assert total == pytest.approx(historical_es(result.portfolio, level), rel=1e-12)
        assert math.fsum(part.share[position] for part in result.contributions) == pytest.approx(1)
        assert total <= math.fsum(part.standalone_es[position] for part in result.contributions)


@pytest.mark.parametrize("tail", ["lower", "upper"])
def test_contributions_are_the_holdings_times_the_gradient_of_es(tail):
    portfolio = {"AAPL": 0.6, "BAC": 0.7, "AMD": -0.3}
    result = risk_report(SMALL, NAMES[:4], portfolio=portfolio, tail=tail, **HISTORICAL)
    holdings = np.array([portfolio.get(name, 0.0) for name in NAMES[:4]])
    held = {part.name: part.es for part in result.contributions}
    assert set(held) == set(portfolio)
    for position, level in enumerate(LEVELS):
        gradient = cshortfall.es_gradient(SMALL, holdings, level, tail=tail)
        expected = holdings * gradient
        assert_allclose([held[name][position] for name in portfolio], expected[[0, 2, 1]], rtol=1e-12)


def test_a_holding_alone_has_the_es_of_its_own_outcomes():
    result = risk_report(SMALL, NAMES[:4], portfolio={"AAPL": -2.0, "AMD": 1.0}, **HISTORICAL)
    short = next(part for part in result.contributions if part.name == "AAPL")
    assert short.standalone_es[0] == pytest.approx(cshortfall.es(-2.0 * SMALL[:, 0], LEVELS[0]), rel=1e-14)


def test_worst_outcomes_are_the_lowest_of_the_portfolio_with_their_dates(whole):
    outcomes = SMALL.mean(axis=1)
    order = np.argsort(outcomes)[:10]
    assert [worst.row for worst in whole.worst] == [position + 1 for position in order]
    assert [worst.label for worst in whole.worst] == [LABELS[position] for position in order]
    assert_allclose([worst.outcome for worst in whole.worst], outcomes[order], rtol=1e-12)


def test_drivers_are_the_largest_losses_and_never_gains(whole):
    for worst in whole.worst:
        outcomes = [driver.outcome for driver in worst.drivers]
        assert outcomes == sorted(outcomes)
        assert all(outcome < 0 for outcome in outcomes)
        lowest = SMALL[worst.row - 1].argmin()
        assert (worst.drivers[0].name, worst.drivers[0].outcome) == (NAMES[lowest], SMALL[worst.row - 1, lowest] / 4)


def test_fewer_than_ten_rows_give_as_many_worst_outcomes():
    result = risk_report(SMALL[:3], NAMES[:4], **HISTORICAL)
    assert [worst.label for worst in result.worst] == [None] * 3


def test_the_upper_tail_is_the_mirror_of_the_lower():
    lower = risk_report(SMALL, NAMES[:4], **HISTORICAL)
    upper = risk_report(-SMALL, NAMES[:4], tail="upper", **HISTORICAL)
    assert upper.portfolio.estimates == lower.portfolio.estimates
    assert [part.es for part in upper.contributions] == [part.es for part in lower.contributions]
    assert [worst.row for worst in upper.worst] == [worst.row for worst in lower.worst]
    assert upper.worst[0].drivers[0].outcome == -lower.worst[0].drivers[0].outcome


def test_weights_of_any_scale_give_the_same_report():
    once, twice = (risk_report(SMALL, NAMES[:4], weights=scale * WEIGHTS, **HISTORICAL) for scale in (1.0, 4.0))
    assert once == twice
    assert once.weighted


def test_rows_without_weight_are_absent():
    weights = np.ones(600)
    weights[400:] = 0.0
    result = risk_report(SMALL, NAMES[:4], weights=weights, **HISTORICAL)
    assert all(worst.row <= 400 for worst in result.worst)
    assert historical_es(result.assets[0], 0.95) == cshortfall.es(SMALL[:400, 0], 0.95)


def test_omission_drops_a_value_from_its_asset_and_its_row_from_the_portfolio():
    gaps = SMALL.copy()
    gaps[5, 1] = gaps[7, 2] = np.nan
    result = risk_report(gaps, NAMES[:4], nan_policy="omit", weights=WEIGHTS, **HISTORICAL)
    assert [asset.missing for asset in result.assets] == [0, 1, 1, 0]
    assert (result.portfolio.n, result.portfolio.missing) == (598, 2)
    rows = np.delete(np.arange(600), [5, 7])
    complete = risk_report(SMALL[rows], NAMES[:4], weights=WEIGHTS[rows], **HISTORICAL)
    assert result.portfolio.estimates == complete.portfolio.estimates
    assert (
        result.assets[0].estimates == risk_report(SMALL, NAMES[:4], weights=WEIGHTS, **HISTORICAL).assets[0].estimates
    )


def test_a_gap_in_an_asset_that_is_not_held_leaves_the_portfolio_whole():
    gaps = SMALL.copy()
    gaps[5, 1] = np.nan
    result = risk_report(gaps, NAMES[:4], nan_policy="omit", portfolio={"AAPL": 1.0}, **HISTORICAL)
    assert result.portfolio.missing == 0
    assert result.portfolio.estimates == result.assets[0].estimates


def test_the_same_input_gives_the_same_report(whole):
    assert risk_report(SMALL, NAMES[:4], labels=LABELS) == whole


def test_an_estimator_that_fails_leaves_its_reason_and_nothing_else(monkeypatch):
    def failing(data, levels, *, method, **options):
        if method == "student_t":
            raise ValueError("the fit\n  did not converge")
        return cshortfall.tail_risk(data, levels, method=method, **options)

    monkeypatch.setattr(report, "tail_risk", failing)
    result = risk_report(SMALL, NAMES[:4], methods=["historical", "student_t"])
    failed = result.assets[0].estimate("student_t", 0.95)
    assert failed.reason == "the fit did not converge"
    assert math.isnan(failed.es)
    assert math.isnan(failed.var_interval[1])
    assert result.assets[0].estimate("historical", 0.95).reason is None
    plain = as_dict(result)["assets"][0]["estimates"][1]
    assert plain["es"] is None
    assert plain["es_reason"] == plain["reason"] == "the fit did not converge"


def test_a_warning_is_noted_at_the_level_it_is_about(monkeypatch):
    def warning(data, levels, **options):
        if 0.99 in levels:
            warnings.warn("few outcomes in the tail", RuntimeWarning, stacklevel=2)
        return cshortfall.tail_risk(data, levels, **options)

    monkeypatch.setattr(report, "tail_risk", warning)
    result = risk_report(SMALL, NAMES[:4], **HISTORICAL)
    assert [estimate.notes for estimate in result.portfolio.estimates] == [(), (), ("few outcomes in the tail",)]


def test_outcomes_that_are_all_equal_do_not_stop_the_report():
    result = risk_report(np.full((50, 1), 0.25), ["A"])
    assert result.assets[0].estimate("historical", 0.95).es == -0.25
    json.dumps(as_dict(result), allow_nan=False)


def test_an_asset_with_too_few_outcomes_does_not_stop_the_others():
    data = SMALL.copy()
    data[1:, 0] = np.nan
    result = risk_report(data, NAMES[:4], nan_policy="omit", portfolio={"AMD": 1.0}, **HISTORICAL)
    assert result.assets[0].estimates[0].reason == "fewer than 2 outcomes are left"
    assert historical_es(result.assets[1], 0.95) == cshortfall.es(SMALL[:, 1], 0.95)


def test_infinite_losses_become_null_with_a_reason():
    data = SMALL.copy()
    data[3, 0] = -np.inf
    result = risk_report(data, NAMES[:4], **HISTORICAL)
    assert historical_es(result.assets[0], 0.95) == np.inf
    plain = json.loads(json.dumps(as_dict(result), allow_nan=False))
    assert plain["assets"][0]["estimates"][0]["es"] is None
    assert plain["assets"][0]["estimates"][0]["es_reason"] == "infinite"
    assert plain["worst"][0]["outcome_reason"] == "minus infinity"
    assert historical_es(result.assets[1], 0.95) == cshortfall.es(SMALL[:, 1], 0.95)


def test_a_level_like_a_tail_mass_warns_once():
    with pytest.warns(LevelWarning) as caught:
        risk_report(SMALL, NAMES[:4], levels=[0.05], methods=["historical", "normal"])
    assert len(caught) == 1


def test_progress_counts_every_series():
    calls = []
    risk_report(SMALL, NAMES[:4], **HISTORICAL, progress=lambda *call: calls.append(call))
    assert calls == [(0, 5, "portfolio"), *((done, 5, name) for done, name in enumerate(NAMES[:4], 1)), (5, 5, "")]


GAP = np.where(np.arange(12).reshape(6, 2) == 5, np.nan, 0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"returns": GAP, "first_row": 2}, r"row 4, column B: missing value"),
        ({"returns": GAP, "labels": list("uvwxyz")}, r"row 3 \(w\), column B: missing value"),
        ({"returns": [[0.1, 0.2]]}, r"1 row of data: at least 2"),
        ({"returns": [0.1, 0.2]}, r"shape \(2,\) do not fit 2 names"),
        ({"names": ["A"]}, r"do not fit 1 names"),
        ({"names": ["A", "A"]}, r"two columns are named A"),
        ({"labels": ["x"]}, r"1 labels for 6 rows"),
        ({"weights": [1.0]}, r"weights of shape \(1,\) do not fit 6 rows"),
        ({"weights": [1.0, 1.0, -2.0, 1.0, 1.0, 1.0], "weights_name": "column W"}, r"row 3, column W: weight -2"),
        ({"weights": [1.0, np.nan, 1.0, 1.0, 1.0, 1.0]}, r"row 2, weights: weight is missing"),
        ({"weights": np.zeros(6)}, r"weights: the weights sum to zero"),
        ({"portfolio": {"C": 1.0}}, r"portfolio: no column C"),
        ({"portfolio": {"A": 0.0}}, r"every holding is zero"),
        ({"portfolio": {"A": math.inf}}, r"holding inf of A"),
        ({"levels": []}, r"levels is empty"),
        ({"levels": [95]}, r"level.*0\.95"),
        ({"tail": "left"}, r"tail='left'"),
        ({"nan_policy": "propagate"}, r"nan_policy='propagate'"),
        ({"methods": ["magic"]}, r"methods must be some of historical"),
        ({"methods": []}, r"methods must be some of historical"),
        ({"returns": [[np.inf, 1.0], [1.0, -np.inf], [np.inf, -np.inf]]}, r"row 3: infinite gains"),
        ({"returns": GAP[2:4], "nan_policy": "omit"}, r"portfolio: 1 rows with .* column B has the most missing"),
    ],
)
def test_bad_input_is_named(changes, message):
    arguments = {"returns": np.full((6, 2), 0.01), "names": ["A", "B"], **changes}
    with pytest.raises(ValueError, match=message):
        risk_report(arguments.pop("returns"), arguments.pop("names"), **arguments)


def test_simple_returns_are_the_relative_changes():
    assert simple_returns([[100.0, 1.0], [110.0, 2.0], [99.0, 1.0]], ["A", "B"]) == pytest.approx(
        np.array([[0.1, 1.0], [-0.1, -0.5]])
    )


def test_a_missing_price_leaves_two_missing_returns():
    returns = simple_returns([[1.0], [2.0], [np.nan], [4.0], [8.0]], ["A"], nan_policy="omit")
    assert np.isnan(returns[:, 0]).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("price", "message"),
    [
        (0.0, r"row 2 \(b\), column A: price 0 is not a positive number"),
        (-1.5, r"row 2 \(b\), column A: price -1.5"),
        (np.inf, r"row 2 \(b\), column A: price inf"),
        (np.nan, r"row 2 \(b\), column A: missing value"),
    ],
)
def test_prices_must_be_positive(price, message):
    with pytest.raises(ValueError, match=message):
        simple_returns([[1.0], [price], [2.0]], ["A"], labels=["a", "b", "c"])
