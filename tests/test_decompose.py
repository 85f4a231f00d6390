"""The parts of ES and VaR: against rational arithmetic, their laws, labels, estimators, errors of estimation."""

import doctest
import inspect
import math
import pickle
import subprocess
import sys
from fractions import Fraction

import datasets
import numpy as np
import pytest
import textbook
import textbook_decompose
import textbook_scenarios
from asset_scenarios import PROBABILITIES, scenarios, tied_scenarios
from bits import assert_same_bits

import cshortfall
from cshortfall import decompose as module
from cshortfall.decompose import (
    component_es,
    component_var,
    decompose,
    explain,
    incremental_es,
    incremental_var,
    marginal_es,
    marginal_var,
)

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")

TAILS = ["lower", "upper"]
UNIT = 2.0**-53
FUNCTIONS = [name for name in module.__all__ if inspect.isfunction(getattr(module, name))]


HOLDINGS = ([1.0, 2.0, -1.0, 0.5], [0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0], [0.0, -3.0, 1.0, 1.0])


def assert_parts(result, expected, quantities):
    """Compare all parts with exact ones, to a few units of rounding of what they are made of."""

    def close(actual, exact):
        exact = [[float(x) for x in pair] if isinstance(pair, tuple) else float(pair) for pair in exact]
        np.testing.assert_allclose(actual, exact, rtol=1e-13, atol=2e-14)

    close([result.es, result.var], [expected.es, expected.var])
    close(result.marginal, expected.marginal)
    close(result.component, [Fraction(w) * m for w, m in zip(quantities, expected.marginal, strict=True)])
    close(result.marginal_range, list(zip(expected.low, expected.high, strict=True)))
    close(result.marginal_var, expected.marginal_var)
    close(result.incremental, expected.incremental)
    close(result.incremental_var, expected.incremental_var)


# Against rational arithmetic


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("probabilities", PROBABILITIES)
@pytest.mark.parametrize("holdings", HOLDINGS)
def test_parts_of_tied_scenarios_are_those_of_rational_arithmetic(holdings, probabilities, tail):
    for rows in (1, 2, 7, 30):
        returns = tied_scenarios(rows, 4, rows)
        own = PROBABILITIES[probabilities](rows)
        if own is not None and not own.any():
            continue
        for level in (0.0, 0.3, 0.5, 0.8, 0.9, 0.975):
            result = decompose(returns, holdings, level, probabilities=own, tail=tail)
            assert_parts(result, textbook_decompose.parts(returns, holdings, None, level, own, tail), holdings)


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("probabilities", PROBABILITIES)
def test_parts_of_continuous_scenarios_are_those_of_rational_arithmetic(probabilities, tail):
    returns = scenarios(83, 5)
    holdings = datasets.bells(5, 3)
    own = PROBABILITIES[probabilities](83)
    for level in (0.0, 0.6, 0.9, 0.975, 0.999):
        result = decompose(returns, holdings, level, probabilities=own, tail=tail)
        assert_parts(result, textbook_decompose.parts(returns, holdings, None, level, own, tail), holdings)


@pytest.mark.parametrize("probabilities", PROBABILITIES)
def test_parts_of_groups_and_accounts_are_those_of_rational_arithmetic(probabilities):
    returns = tied_scenarios(40, 4)
    own = PROBABILITIES[probabilities](40)
    accounts = np.array([[1.0, 0.5, 0.0], [0.0, 2.0, -1.0], [3.0, -1.0, 0.0], [0.0, 0.0, 0.25]])
    holdings = accounts.sum(axis=1)
    groups = [0, 1, 0, 1]
    split = np.array([[1.5, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 0.25]])
    for level in (0.0, 0.5, 0.8, 0.9):
        expected = textbook_decompose.parts(returns, holdings, accounts, level, own)
        assert_parts(decompose(returns, accounts, level, probabilities=own), expected, [1] * 3)
        expected = textbook_decompose.parts(returns, holdings, split, level, own)
        assert_parts(decompose(returns, holdings, level, probabilities=own, groups=groups), expected, [1] * 2)


KINDS = {
    "small whole numbers": lambda n, k, g: g.integers(-2, 3, (n, k)).astype(float),
    "heavy tails": lambda n, k, g: g.standard_t(1.1, (n, k)),
    "quarters": lambda n, k, g: np.round(4 * g.standard_normal((n, k))) / 4,
    "nearly collinear": lambda n, k, g: g.standard_normal((n, 1)) + 1e-12 * g.integers(-3, 3, (n, k)),
    "mostly zero": lambda n, k, g: np.where(g.random((n, k)) < 0.1, -g.random((n, k)), 0.0),
}


@pytest.mark.parametrize("scale", [1.0, 1e-7, 100.0, 1e200, 1e-200])
@pytest.mark.parametrize("kind", KINDS)
def test_small_instances_are_those_of_rational_arithmetic(kind, scale):
    generator = np.random.default_rng(4)
    for _ in range(12):
        rows, assets = int(generator.integers(1, 40)), int(generator.integers(1, 6))
        returns = scale * KINDS[kind](rows, assets, generator)
        holdings = (
            generator.standard_normal(assets),
            np.full(assets, 1 / assets),
            10.0 ** generator.integers(-8, 8, assets),
        )[generator.integers(3)]
        own = (None, generator.random(rows), 10.0 ** generator.integers(-12, 1, rows))[generator.integers(3)]
        level = float(generator.choice([0.0, 0.1, 0.5, 0.75, 0.9, 0.975, 0.999]))
        tail = TAILS[generator.integers(2)]
        expected = textbook_decompose.parts(returns, holdings, None, level, own, tail)
        result = decompose(returns, holdings, level, probabilities=own, tail=tail)
        unit = np.abs(returns).max() or 1.0
        whole = unit * np.abs(holdings).sum()
        for actual, exact, size in (
            ([result.es, result.var], [expected.es, expected.var], whole),
            (result.marginal, expected.marginal, unit),
            (result.marginal_range, list(zip(expected.low, expected.high, strict=True)), unit),
            (result.marginal_var, expected.marginal_var, unit),
            (result.incremental, expected.incremental, whole),
            (result.incremental_var, expected.incremental_var, whole),
        ):
            exact = [Fraction(x) / Fraction(size) for x in np.ravel(np.array(exact, dtype=object))]
            np.testing.assert_allclose(np.ravel(actual) / size, [float(x) for x in exact], rtol=0, atol=1e-14 * assets)
        errors = result.marginal_standard_error
        assert (np.isnan(errors) | ((errors >= 0) & (errors <= 1e3 * unit))).all()


# Laws


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("probabilities", PROBABILITIES)
def test_es_and_var_are_those_of_the_profits(probabilities, tail):
    for returns in (scenarios(403, 9), tied_scenarios(403, 9)):
        own = PROBABILITIES[probabilities](403)
        weights = datasets.bells(9, 70)
        profit = -textbook_scenarios.losses(returns, weights)
        for level in (0.0, 0.5, 0.9, 0.975, 0.999):
            parts = decompose(returns, weights, level, probabilities=own, tail=tail)
            assert (parts.es, parts.var) == cshortfall.es_var(profit, level, weights=own, tail=tail)
            found = parts.explain()
            assert_same_bits(found.outcomes, profit[found.indices])
            expected = cshortfall.tail_weights(profit, level, weights=own, tail=tail)
            assert_same_bits(found.indices, expected.indices)
            np.testing.assert_allclose(found.weights, expected.weights, rtol=4 * UNIT, atol=0)


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("level", [0.0, 0.5, 0.9, 0.975, 0.999])
def test_components_sum_to_es(level, tail):
    for seed in range(6):
        returns = scenarios(400, 9, seed + 1)
        weights = datasets.bells(9, 70 + seed)
        parts = decompose(returns, weights, level, tail=tail)
        # Exactly, unless all components are large compared with their sum: then to a last place of the least.
        assert abs(math.fsum(parts.component) - parts.es) <= np.spacing(np.abs(parts.component).min()) / 2
        size = np.abs(parts.component_var).sum()
        assert abs(math.fsum(parts.component_var) - parts.var) <= 9 * UNIT * size
        assert parts.percent.sum() == pytest.approx(100.0)
        assert parts.percent_var.sum() == pytest.approx(100.0)


@pytest.mark.parametrize("probabilities", PROBABILITIES)
def test_marginal_es_is_the_exact_mean_over_the_tail_to_a_few_units(probabilities):
    for returns in (scenarios(803, 5), 1e8 + scenarios(803, 5), tied_scenarios(803, 5)):
        own = PROBABILITIES[probabilities](803)
        parts = decompose(returns, np.array([1.0, -1.0, 1.0, 2.0, -2.0]), 0.9, probabilities=own)
        profit = -textbook_scenarios.losses(returns, parts.weights)
        indices, shares = textbook.tail_shares([Fraction(x) for x in profit.tolist()], 0.9, own)
        for asset, marginal in enumerate(parts.marginal.tolist()):
            terms = [share * Fraction(x) for share, x in zip(shares, returns[indices, asset].tolist(), strict=True)]
            assert abs(Fraction(marginal) + sum(terms)) <= 8 * Fraction(UNIT) * sum(map(abs, terms))


def test_groups_and_accounts_sum_to_the_es_of_the_assets():
    returns = scenarios(500, 12)
    weights = datasets.bells(12, 5)
    whole = decompose(returns, weights)
    for parts in (
        decompose(returns, weights, groups=np.arange(12) % 5),
        decompose(returns, np.stack([weights - 1.0, np.ones(12)], axis=1)),
    ):
        assert parts.es == pytest.approx(whole.es, rel=1e-15)
        assert math.fsum(parts.component) == parts.es
        np.testing.assert_allclose(parts.component, parts.marginal, rtol=1e-14)
    by_group = decompose(returns, weights, groups=np.arange(12) % 5).component
    np.testing.assert_allclose(by_group, [whole.component[g::5].sum() for g in range(5)], rtol=1e-14)


def test_marginal_es_is_the_gradient():
    returns = scenarios(1000, 6)
    weights = datasets.bells(6, 4)
    for tail in TAILS:
        for level in (0.0, 0.9, 0.975):
            expected = cshortfall.es_gradient(returns, weights, level, tail=tail)
            np.testing.assert_allclose(marginal_es(returns, weights, level, tail=tail), expected, rtol=1e-14)


@pytest.mark.parametrize("tail", TAILS)
def test_order_of_scenarios_does_not_change_a_bit(tail):
    for returns in (scenarios(3001, 5), tied_scenarios(601, 5)):
        own = datasets.unequal_weights(len(returns))
        for weights in (datasets.uniforms(5), np.array([1.0, 1.0, -1.0, 0.0, 2.0])):
            for probabilities in (None, own):
                first = decompose(returns, weights, 0.9, probabilities=probabilities, tail=tail)
                for seed in range(3):
                    order = datasets.permutation(len(returns), seed)
                    moved = None if probabilities is None else probabilities[order]
                    other = decompose(returns[order], weights, 0.9, probabilities=moved, tail=tail)
                    assert (other.es, other.var) == (first.es, first.var)
                    assert_same_bits(other.marginal, first.marginal)
                    assert_same_bits(other.component, first.component)
                    np.testing.assert_allclose(other.marginal_range, first.marginal_range, rtol=1e-13, atol=1e-15)


def test_order_of_assets_is_the_order_of_the_parts():
    returns = scenarios(3001, 9)
    weights = datasets.bells(9, 3)
    order = datasets.permutation(9, 2)
    one, other = decompose(returns, weights, 0.9), decompose(returns[:, order], weights[order], 0.9)
    np.testing.assert_allclose([other.es, other.var], [one.es, one.var], rtol=1e-14)
    for name in ("component", "marginal", "component_var", "marginal_var", "marginal_range"):
        assert_same_bits(getattr(other, name), getattr(one, name)[order])


def test_equal_rows_are_tied_wherever_they_stand():
    row = scenarios(1, 7)[0] - 0.05
    for count in (1, 2, 3, 5, 8, 64, 100):
        returns = scenarios(4001, 7)
        places = np.sort(datasets.permutation(4001, count)[:count])
        returns[places] = row
        weights = datasets.uniforms(7)
        assert set(places) <= set(explain(returns, weights, 0.97).indices) or count > 120
        level = 1 - (np.sum(returns @ weights < row @ weights - 1e-12) + 0.5 * count) / 4001
        shares = explain(returns, weights, level)
        assert len(set(shares.weights[np.isin(shares.indices, places)])) == 1
        assert np.isin(places, shares.indices).all()


@pytest.mark.parametrize("rows", [5000, 40_000])
def test_layout_does_not_change_a_bit(rows):
    returns = scenarios(rows, 7).astype(np.float32).astype(float)
    weights = datasets.uniforms(7)
    expected = decompose(returns, weights)
    spread = np.zeros((2 * rows, 21))
    spread[::2, ::3] = returns
    for given in (
        np.asfortranarray(returns),
        spread[::2, ::3],
        returns.astype(">f8"),
        returns.astype(np.float32),
        np.asfortranarray(returns, dtype=np.float32),
        returns.tolist(),
    ):
        parts = decompose(given, weights)
        assert (parts.es, parts.var) == (expected.es, expected.var)
        assert_same_bits(parts.component, expected.component)
        np.testing.assert_allclose(parts.incremental, expected.incremental, rtol=1e-12)


def test_parts_scale_with_the_holdings():
    returns = scenarios(777, 6)
    weights = datasets.bells(6, 3)
    one, four = decompose(returns, weights), decompose(returns, 4 * weights)
    assert four.es == 4 * one.es
    assert_same_bits(four.component, 4 * one.component)
    assert_same_bits(four.marginal, one.marginal)
    assert_same_bits(four.marginal_standard_error, one.marginal_standard_error)


def test_tails_mirror():
    returns = scenarios(500, 6)
    weights = datasets.bells(6)
    lower, upper = decompose(returns, weights, 0.9), decompose(-returns, weights, 0.9, tail="upper")
    for name in ("es", "var", "component", "marginal", "component_var", "marginal_range", "incremental"):
        assert_same_bits(getattr(lower, name), getattr(upper, name))


def test_equal_probabilities_of_any_scale_are_none_at_all():
    returns = tied_scenarios(60, 4)
    for value in (1.0, 1 / 60, 1e-300):
        parts = decompose(returns, [1.0, 2.0, -1.0, 0.5], 0.9, probabilities=np.full(60, value))
        expected = decompose(returns, [1.0, 2.0, -1.0, 0.5], 0.9)
        assert parts.n == 60
        assert parts.tail_count == expected.tail_count == 6.0
        for name in ("component", "marginal", "marginal_range", "component_var", "marginal_standard_error"):
            np.testing.assert_allclose(getattr(parts, name), getattr(expected, name), rtol=1e-14, atol=1e-15)


def test_a_scenario_of_probability_zero_is_absent():
    returns = scenarios(90, 3)
    own = datasets.unequal_weights(90)
    own[::4] = 0.0
    returns[::4] *= 1000
    returns[4] = np.nan
    kept = own > 0
    one, other = (
        decompose(returns, np.ones(3), 0.9, probabilities=own),
        decompose(returns[kept], np.ones(3), 0.9, probabilities=own[kept]),
    )
    assert one.n == other.n == kept.sum()
    for name in ("es", "var", "component", "component_var", "incremental", "marginal_standard_error"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-13)


def test_range_holds_the_marginals_and_the_gradients_of_shifted_holdings():
    returns = tied_scenarios(50, 3)
    weights = np.array([1.0, 1.0, -1.0])
    for level in (0.5, 0.8, 0.9, 0.95):
        parts = decompose(returns, weights, level)
        low, high = parts.marginal_range.T
        assert (low <= parts.marginal).all()
        assert (parts.marginal <= high).all()
        for seed in range(20):
            shifted = marginal_es(returns, weights + 1e-7 * datasets.bells(3, seed + 1), level)
            assert (low - 1e-12 <= shifted).all()
            assert (shifted <= high + 1e-12).all()
        np.testing.assert_array_equal(parts.component_range[2], -parts.marginal_range[2, ::-1])


def test_without_a_kink_the_range_is_the_marginal():
    parts = decompose(scenarios(333, 4), np.ones(4), 0.9)
    assert_same_bits(parts.marginal_range, np.stack([parts.marginal] * 2, axis=1))
    whole = decompose([[-1.0, -3.0], [-3.0, -1.0], [1.0, 1.0], [2.0, 2.0]], [1.0, 1.0], 0.5)
    assert_same_bits(whole.marginal_range, [[2.0, 2.0], [2.0, 2.0]])


# Incremental


@pytest.mark.parametrize(("rows", "columns"), [(50, 3), (40_000, 30)])
def test_incremental_is_the_risk_less_that_without_the_position(rows, columns):
    returns = scenarios(rows, columns)
    weights = datasets.bells(columns, 7)
    without = np.tile(weights[:, None], (1, columns))
    np.fill_diagonal(without, 0.0)
    es, var = cshortfall.es_var(returns @ weights)
    np.testing.assert_allclose(
        incremental_es(returns, weights), es - cshortfall.es_of_portfolios(returns, without), rtol=1e-9, atol=1e-15
    )
    np.testing.assert_allclose(
        incremental_var(returns, weights), var - cshortfall.var(returns @ without, axis=0), rtol=1e-9, atol=1e-15
    )


def test_incremental_of_what_is_not_held_is_zero():
    parts = decompose(scenarios(100, 3), [1.0, 0.0, 2.0], 0.9)
    assert parts.incremental[1] == parts.incremental_var[1] == parts.component[1] == 0.0


def test_incremental_of_all_that_is_held_is_the_risk():
    returns = scenarios(100, 1)
    parts = decompose(returns, [3.0], 0.9)
    assert parts.incremental[0] == pytest.approx(parts.es, rel=1e-14)
    parts = decompose(scenarios(100, 3), np.ones(3), 0.9, groups=["all"] * 3)
    assert parts.incremental[0] == pytest.approx(parts.es, rel=1e-14)


def test_an_infinite_gain_is_outside_the_tail():
    returns = scenarios(40, 3)
    returns[7, 1] = np.inf
    parts = decompose(returns, [1.0, 2.0, 1.0], 0.9)
    bounded = np.where(np.isinf(returns), 1.0, returns)
    expected = decompose(bounded, [1.0, 2.0, 1.0], 0.9)
    for name in ("es", "var", "component", "component_var", "incremental", "marginal_range"):
        np.testing.assert_allclose(getattr(parts, name), getattr(expected, name), rtol=1e-13)
    assert np.isnan(parts.marginal_standard_error).all()
    with pytest.raises(ValueError, match="finite"):
        component_var(returns, [1.0, 2.0, 1.0], 0.9, estimator="kernel")


def test_an_asset_with_an_infinite_loss_has_an_infinite_part():
    returns = scenarios(40, 3)
    returns[7, 1] = -np.inf
    parts = decompose(returns, [1.0, 2.0, 1.0], 0.9)
    assert (parts.es, parts.component[1], parts.incremental[1]) == (np.inf, np.inf, np.inf)
    assert np.isfinite(parts.component[[0, 2]]).all()
    assert np.isnan(parts.incremental[[0, 2]]).all()
    assert np.isnan(parts.percent).all()
    assert np.isnan(parts.marginal_standard_error).all()


def test_a_mean_whose_sum_overflows_is_finite():
    returns = np.tile([[-1.5e308, 1.0], [-1.0e308, 2.0], [1.0e308, 3.0]], (10, 1))
    for probabilities in (None, np.tile([2.0, 1.0, 1.0], 10)):
        parts = decompose(returns, [1.0, 1.0], 0.5, probabilities=probabilities)
        shares = parts.explain().weights
        expected = [math.fsum(shares * -half) for half in (returns[parts.explain().indices] / 2).T]
        np.testing.assert_allclose(parts.component / 2, expected, rtol=1e-15)
        assert parts.es == pytest.approx(parts.component[0], rel=1e-15)


# Missing values


def test_missing_returns_propagate():
    returns = scenarios(50, 3)
    returns[17, 1] = np.nan
    for weights in ([1.0, 1.0, 1.0], [1.0, 0.0, 1.0]):
        parts = decompose(returns, weights)
        assert math.isnan(parts.es)
        assert math.isnan(parts.var)
        for name in ("component", "marginal", "percent", "incremental", "component_var", "marginal_standard_error"):
            assert np.isnan(getattr(parts, name)).all()
        assert np.isnan(parts.marginal_range).all()
        assert parts.explain().indices.size == 0


def test_missing_returns_are_omitted():
    returns = scenarios(80, 3)
    returns[17, 1] = returns[3, 0] = np.nan
    kept = ~np.isnan(returns).any(axis=1)
    own = datasets.unequal_weights(80)
    for probabilities, level in ((None, 0.9), (None, 0.3), (own, 0.9), (own, 0.3)):
        one = decompose(returns, np.ones(3), level, nan_policy="omit", probabilities=probabilities)
        less = None if probabilities is None else own[kept]
        other = decompose(returns[kept], np.ones(3), level, probabilities=less)
        assert one.n == 78
        for name in ("es", "var", "component", "incremental", "marginal_var", "component_standard_error"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-13)


def test_missing_returns_raise():
    returns = scenarios(50, 3)
    returns[17, 1] = np.nan
    with pytest.raises(ValueError, match=r"returns is missing \(NaN\) at returns\[17, 1\]"):
        decompose(returns, np.ones(3), nan_policy="raise")


def test_infinities_of_both_signs_are_not_missing():
    returns = scenarios(50, 2)
    returns[4] = np.inf, -np.inf
    for policy in ("propagate", "omit", "raise"):
        assert math.isnan(decompose(returns, np.ones(2), nan_policy=policy).es)


def test_nothing_but_missing_values_warns():
    with pytest.warns(RuntimeWarning, match="empty"):
        assert np.isnan(component_es(np.full((5, 2), np.nan), np.ones(2), nan_policy="omit")).all()


# Labels


def test_pandas_labels_are_kept():
    pandas = pytest.importorskip("pandas")
    index = pandas.date_range("2020-01-01", periods=200)
    frame = pandas.DataFrame(scenarios(200, 3), index=index, columns=["a", "b", "c"])
    weights = pandas.Series([0.2, 0.3, 0.5], index=["c", "a", "b"])
    plain = decompose(frame.to_numpy(), [0.3, 0.5, 0.2], 0.9)
    parts = decompose(frame, weights, 0.9)
    assert parts.es == plain.es
    for name in ("weights", "component", "marginal", "percent", "incremental", "component_var", "marginal_var"):
        series = getattr(parts, name)
        assert series.index.tolist() == ["a", "b", "c"]
        assert_same_bits(series.to_numpy(), getattr(plain, name))
    assert parts.marginal_range.columns.tolist() == ["low", "high"]
    assert parts.marginal_range.index.tolist() == ["a", "b", "c"]
    found = parts.explain()
    assert found.parts.columns.tolist() == ["a", "b", "c"]
    assert (found.parts.index == index[found.indices]).all()
    assert (found.weights.index == found.outcomes.index).all()
    np.testing.assert_allclose(found.parts.sum(axis=1), found.outcomes, rtol=1e-12)
    np.testing.assert_allclose(-(found.weights @ found.parts), parts.component, rtol=1e-12)


def test_groups_have_labels():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(scenarios(200, 4), columns=["a", "b", "c", "d"])
    plain = decompose(frame.to_numpy(), np.ones(4), 0.9, groups=[0, 1, 1, 0])
    for groups in (
        {"x": ["a", "d"], "y": ("b", "c")},
        ["x", "y", "y", "x"],
        pandas.Series(["y", "x", "y", "x"], index=["c", "d", "b", "a"]),
    ):
        parts = decompose(frame, np.ones(4), 0.9, groups=groups)
        assert parts.component.index.tolist() == ["x", "y"]
        assert_same_bits(parts.component.to_numpy(), plain.component)
        assert parts.explain().parts.columns.tolist() == ["x", "y"]


def test_accounts_have_labels():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(scenarios(200, 2), columns=["a", "b"])
    accounts = pandas.DataFrame({"mine": [1.0, 2.0], "yours": [3.0, 1.0]}, index=["b", "a"])
    parts = decompose(frame, accounts, 0.9)
    assert parts.component.index.tolist() == ["mine", "yours"]
    assert parts.explain().parts.columns.tolist() == ["mine", "yours"]
    plain = decompose(frame.to_numpy(), [[2.0, 1.0], [1.0, 3.0]], 0.9)
    assert_same_bits(parts.component.to_numpy(), plain.component)


def test_polars_frames_stay_polars():
    polars = pytest.importorskip("polars")
    values = scenarios(200, 3)
    frame = polars.DataFrame(dict(zip("abc", values.T, strict=True)))
    parts = decompose(frame, np.ones(3), 0.9)
    assert parts.component.columns == ["a", "b", "c"]
    assert_same_bits(parts.component.row(0), decompose(values, np.ones(3), 0.9).component)
    assert parts.explain().parts.columns == ["a", "b", "c"]
    assert parts.explain().parts.shape == (20, 3)
    assert decompose(frame, np.ones(3), groups={"x": ["a", "b"], "y": ["c"]}).component.columns == ["x", "y"]


# explain


@pytest.mark.parametrize("tail", TAILS)
def test_explain_gives_the_tail_and_the_parts_of_its_outcomes(tail):
    returns = scenarios(400, 5)
    weights = datasets.bells(5, 3)
    found = explain(returns, weights, 0.93, tail=tail)
    indices, shares = cshortfall.tail_weights(returns @ weights, 0.93, tail=tail)
    assert_same_bits(found.indices, indices)
    assert_same_bits(found.weights, shares)
    np.testing.assert_allclose(found.outcomes, (returns @ weights)[indices], rtol=1e-12)
    np.testing.assert_allclose(found.parts, returns[indices] * weights, rtol=1e-15)
    sign = 1 if tail == "upper" else -1
    np.testing.assert_allclose(sign * shares @ found.parts, component_es(returns, weights, 0.93, tail=tail), rtol=1e-12)


# Arguments


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "elliptical_components"])
def test_wrong_arguments_are_errors_that_name_them(name):
    function = getattr(module, name)
    returns = scenarios(20, 3)
    for match, arguments, keywords in (
        ("returns must have shape", (np.ones(5), np.ones(5)), {}),
        ("returns are empty", (np.ones((0, 3)), np.ones(3)), {}),
        ("weights must have shape", (returns, np.ones(4)), {}),
        ("weights must have shape", (returns, np.ones((3, 2, 2))), {}),
        ("weights must be finite", (returns, [1.0, math.nan, 1.0]), {}),
        ("weights are all zero", (returns, np.zeros(3)), {}),
        ("weights are all zero", (returns, np.array([[1.0, -1.0]] * 3)), {}),
        ("level must be in", (returns, np.ones(3), 97.5), {}),
        ("level must be one number", (returns, np.ones(3), [0.9, 0.95]), {}),
        ("tail must be one of", (returns, np.ones(3)), {"tail": "left"}),
        ("nan_policy must be one of", (returns, np.ones(3)), {"nan_policy": "drop"}),
        ("probabilities must have shape", (returns, np.ones(3)), {"probabilities": np.ones(19)}),
        (r"probabilities\[2\] = -1.0", (returns, np.ones(3)), {"probabilities": [1.0, 1.0, -1.0] + [1.0] * 17}),
        ("probabilities are all zero", (returns, np.ones(3)), {"probabilities": np.zeros(20)}),
        ("groups must be None", (returns, np.ones((3, 2))), {"groups": [0, 0, 1]}),
        ("one name for each of the 3 assets", (returns, np.ones(3)), {"groups": [0, 1]}),
        ("every asset needs a group", (returns, np.ones(3)), {"groups": [0, None, 1]}),
        ("names 3, which is not a position", (returns, np.ones(3)), {"groups": {"x": [0, 1], "y": [2, 3]}}),
        ("asset 1 is in 2 of them", (returns, np.ones(3)), {"groups": {"x": [0, 1], "y": [1, 2]}}),
        ("asset 2 is in 0 of them", (returns, np.ones(3)), {"groups": {"x": [0], "y": [1]}}),
    ):
        with pytest.raises(ValueError, match=match):
            function(*arguments, **keywords)
    with pytest.raises(TypeError, match="groups"):
        function(returns, np.ones(3), groups=3)
    with pytest.raises(TypeError, match="returns"):
        function(np.ones((3, 3), dtype=complex), np.ones(3))


def test_labels_that_do_not_match_are_errors():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(scenarios(20, 2), columns=["a", "b"])
    with pytest.raises(ValueError, match="weights must have the labels"):
        decompose(frame, pandas.Series([1.0, 1.0], index=["a", "c"]))
    with pytest.raises(ValueError, match="probabilities must have the labels"):
        decompose(frame, [1.0, 1.0], probabilities=pandas.Series(np.ones(20), index=range(1, 21)))
    with pytest.raises(ValueError, match="groups must have the labels"):
        decompose(frame, [1.0, 1.0], groups=pandas.Series(["x", "y"], index=["a", "c"]))
    with pytest.raises(ValueError, match="'c', which is not a column"):
        decompose(frame, [1.0, 1.0], groups={"x": ["a", "c"], "y": ["b"]})


def test_wrong_estimators_of_var_are_errors():
    returns = scenarios(20, 2)
    with pytest.raises(ValueError, match="estimator must be one of"):
        decompose(returns, np.ones(2), estimator="normal")
    with pytest.raises(ValueError, match="bandwidth must be positive"):
        decompose(returns, np.ones(2), estimator="kernel", bandwidth=0.0)
    with pytest.raises(TypeError, match="bandwidth"):
        decompose(returns, np.ones(2), estimator="kernel", bandwidth="wide")
    with pytest.raises(ValueError, match="needs estimator='kernel'"):
        decompose(returns, np.ones(2), bandwidth=0.1)


def test_functions_return_the_fields_of_the_same_names():
    returns = scenarios(100, 3)
    weights = np.array([1.0, 2.0, -1.0])
    parts = decompose(returns, weights, 0.9, tail="upper", groups=[0, 1, 1])
    for function, field in (
        (component_es, "component"),
        (marginal_es, "marginal"),
        (incremental_es, "incremental"),
        (component_var, "component_var"),
        (marginal_var, "marginal_var"),
        (incremental_var, "incremental_var"),
    ):
        found = function(returns, weights, 0.9, tail="upper", groups=[0, 1, 1])
        assert_same_bits(found, getattr(parts, field))


def test_a_result_is_frozen_and_can_be_pickled():
    parts = decompose(scenarios(100, 3), np.ones(3))
    with pytest.raises(AttributeError):
        parts.es = 0.0
    copied = pickle.loads(pickle.dumps(parts))
    assert_same_bits(copied.incremental, parts.incremental)
    assert "component=" in repr(parts)
    assert "_portfolio" not in repr(parts)


def test_a_result_with_pandas_labels_can_be_pickled():
    pandas = pytest.importorskip("pandas")
    parts = decompose(pandas.DataFrame(scenarios(100, 3), columns=list("ABC")), np.ones(3))
    copied = pickle.loads(pickle.dumps(parts))
    pandas.testing.assert_series_equal(copied.component, parts.component)
    pandas.testing.assert_frame_equal(copied.explain().parts, parts.explain().parts)


def test_a_portfolio_that_loses_nothing_in_most_scenarios_has_the_parts_of_its_large_tie():
    returns = np.where(datasets.uniforms(60_000).reshape(20_000, 3) < 0.01, -1.0, 0.0)
    losses = int((returns.sum(axis=1) < 0).sum())
    parts = decompose(returns, np.ones(3), 0.9)
    assert parts.var == 0.0
    assert parts.explain().indices.size == 20_000
    np.testing.assert_allclose(parts.marginal, -returns.sum(axis=0) / 2000, rtol=1e-13)
    assert_same_bits(parts.marginal_range, np.stack([parts.marginal] * 2, axis=1))
    assert losses < 2000


def test_inputs_are_not_modified():
    returns, weights = datasets.read_only(tied_scenarios(50, 3)), datasets.read_only(np.ones(3))
    own = datasets.read_only(datasets.unequal_weights(50))
    parts = decompose(returns, weights, 0.5, probabilities=own)
    for name in ("incremental", "component_var", "marginal_range", "marginal_standard_error"):
        assert np.isfinite(getattr(parts, name)).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_documented_with_an_example_that_runs(name):
    function = getattr(module, name)
    documentation = inspect.getdoc(function)
    for section in ("Parameters", "Returns", "Raises", "Warns", "Examples"):
        assert f"\n{section}\n{'-' * len(section)}\n" in documentation
    for parameter in inspect.signature(function).parameters:
        assert parameter in documentation
    example = doctest.DocTestParser().get_doctest(documentation, {}, name, None, 0)
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0


def test_the_example_of_the_module_runs():
    assert doctest.testmod(module).failed == 0


def test_the_module_is_imported_when_it_is_named():
    code = (
        "import sys, cshortfall; print('cshortfall.decompose' in sys.modules);"
        "cshortfall.decompose.component_es([[1.0, -2.0], [-3.0, 1.0]], [1.0, 1.0], 0.5); print('scipy' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.split() == ["False", "False"]
