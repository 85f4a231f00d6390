"""ES of portfolios, its gradient, and the scenario weights that make up ES."""

import math
from fractions import Fraction

import datasets
import numpy as np
import pytest
import textbook
from bits import assert_same_bits

from cshortfall import es, es_gradient, es_of_portfolios, es_var, tail_weights

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")

TAILS = ["lower", "upper"]


def scenarios(rows, columns, seed=1):
    """Return correlated returns of ``columns`` assets."""
    market = datasets.heavy_tails(rows, seed)[:, None]
    own = datasets.bells(rows * columns, seed + 1).reshape(rows, columns)
    return (0.6 * market + 0.8 * own) * 0.01


def whole_scenarios(rows, columns, seed=1):
    """Return whole numbers: every product and sum with whole weights is exact."""
    return datasets.integers(rows * columns, seed).reshape(rows, columns)


# es_of_portfolios


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize(
    ("rows", "columns", "portfolios"), [(1, 1, 1), (7, 3, 2), (64, 1, 5), (250, 8, 17), (1000, 20, 3)]
)
def test_exact_profits_give_the_bits_of_es(rows, columns, portfolios, tail):
    returns = whole_scenarios(rows, columns)
    weights = datasets.integers(columns * portfolios, 5, 20).reshape(columns, portfolios)
    for level in (0.0, 0.5, 0.9, 0.975):
        result = es_of_portfolios(returns, weights, level, tail=tail)
        assert_same_bits(result, [textbook.es(profit, level, tail=tail) for profit in (returns @ weights).T])
        assert_same_bits(result, es(returns @ weights, level, axis=0, tail=tail))


@pytest.mark.parametrize("tail", TAILS)
def test_es_of_portfolios_is_es_of_their_profits(tail):
    returns = scenarios(400, 9)
    weights = datasets.uniforms(9 * 6).reshape(9, 6)
    result = es_of_portfolios(returns, weights, 0.95, tail=tail)
    for value, portfolio in zip(result, weights.T, strict=True):
        shares = textbook.tail_shares(textbook.portfolio_outcomes(returns, portfolio), 0.95, tail=tail)
        profits = textbook.portfolio_outcomes(returns, portfolio)
        exact = sum(share * profits[i] for i, share in zip(*shares, strict=True))
        assert value == pytest.approx(float(exact if tail == "upper" else -exact), rel=1e-14)


def test_one_portfolio_is_a_float_and_many_are_an_array():
    returns = scenarios(100, 4)
    weights = datasets.uniforms(12).reshape(4, 3)
    assert type(es_of_portfolios(returns, weights[:, 0])) is float
    several = es_of_portfolios(returns, weights)
    assert several.shape == (3,)
    assert several.dtype == np.float64
    assert es_of_portfolios(returns, weights[:, :1]).shape == (1,)
    for j in range(3):
        assert es_of_portfolios(returns, weights[:, j]) == several[j]


def test_levels_add_a_last_axis():
    returns = scenarios(300, 4)
    weights = datasets.uniforms(12).reshape(4, 3)
    levels = [0.975, 0.5, 0.9]
    both = es_of_portfolios(returns, weights, levels)
    assert both.shape == (3, 3)
    for k, level in enumerate(levels):
        assert_same_bits(both[:, k], es_of_portfolios(returns, weights, level))
    assert_same_bits(es_of_portfolios(returns, weights[:, 1], levels), both[1])
    assert es_of_portfolios(returns, weights, [0.9]).shape == (3, 1)


def test_layout_of_returns_and_weights_does_not_change_a_bit():
    returns = scenarios(5000, 7)
    weights = datasets.uniforms(7 * 5).reshape(7, 5)
    expected = es_of_portfolios(returns, weights)
    spread = np.zeros((10_000, 21))
    spread[::2, ::3] = returns
    for given in (np.asfortranarray(returns), spread[::2, ::3], returns.astype(">f8"), returns[::-1], returns.tolist()):
        assert_same_bits(es_of_portfolios(given, weights), expected)
        assert_same_bits(es_of_portfolios(given, np.asfortranarray(weights)), expected)


def test_order_of_scenarios_does_not_change_a_bit():
    returns = scenarios(3000, 5)
    weights = datasets.uniforms(5 * 4).reshape(5, 4)
    for seed in range(4):
        order = datasets.permutation(3000, seed)
        assert_same_bits(es_of_portfolios(returns[order], weights), es_of_portfolios(returns, weights))
        assert_same_bits(es_gradient(returns[order], weights[:, 0]), es_gradient(returns, weights[:, 0]))


def test_a_portfolio_does_not_depend_on_its_company():
    returns = scenarios(700, 6)
    weights = datasets.bells(6 * 40).reshape(6, 40)
    expected = [es_of_portfolios(returns, portfolio) for portfolio in weights.T]
    for count in (1, 2, 3, 7, 8, 9, 16, 17, 40):
        assert_same_bits(es_of_portfolios(returns, weights[:, :count]), expected[:count])


def test_float32_returns_are_read_as_doubles():
    returns = scenarios(500, 6).astype(np.float32)
    weights = datasets.uniforms(6 * 3).reshape(6, 3)
    assert_same_bits(es_of_portfolios(returns, weights), es_of_portfolios(returns.astype(float), weights))


def test_portfolio_tails_mirror():
    returns = scenarios(500, 6)
    weights = datasets.bells(6 * 3).reshape(6, 3)
    assert_same_bits(es_of_portfolios(returns, weights, 0.9), es_of_portfolios(returns, -weights, 0.9, tail="upper"))


def test_missing_returns_propagate():
    returns = scenarios(50, 3)
    returns[17, 1] = np.nan
    assert math.isnan(es_of_portfolios(returns, [0.5, 0.5, 0.0]))
    assert np.isnan(es_of_portfolios(returns, np.ones((3, 2)))).all()


@pytest.mark.parametrize("function", [es_of_portfolios, es_gradient])
def test_wrong_shapes_of_portfolios_are_value_errors(function):
    with pytest.raises(ValueError, match="returns"):
        function(np.ones(5), np.ones(5))
    with pytest.raises(ValueError, match="returns"):
        function(np.ones((2, 5, 3)), np.ones(5))
    with pytest.raises(ValueError, match="weights"):
        function(np.ones((5, 3)), np.ones(4))
    with pytest.raises(ValueError, match="weights"):
        function(np.ones((5, 3)), np.ones((5, 3, 2)))
    with pytest.raises(ValueError, match="returns"):
        function(np.ones((0, 3)), np.ones(3))
    with pytest.raises(ValueError, match="level"):
        function(np.ones((5, 3)), np.ones(3), 95)
    with pytest.raises(ValueError, match="tail"):
        function(np.ones((5, 3)), np.ones(3), 0.95, tail="left")


@pytest.mark.parametrize("function", [es_of_portfolios, es_gradient])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_portfolio_weights_must_be_finite(function, bad):
    with pytest.raises(ValueError, match="weights"):
        function(np.ones((5, 3)), [0.5, bad, 0.1])


def test_a_portfolio_may_be_short():
    returns = whole_scenarios(40, 2)
    weights = [1.0, -2.0]
    assert es_of_portfolios(returns, weights, 0.75) == textbook.es(returns @ weights, 0.75)


# es_gradient


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("level", [0.0, 0.5, 0.9, 0.95, 0.975])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (9, 4), (250, 6), (1000, 3)])
def test_gradient_is_the_mean_of_the_tail(rows, columns, level, tail):
    returns = scenarios(rows, columns)
    weights = datasets.uniforms(columns, 9)
    expected = [float(value) for value in textbook.es_gradient(returns, weights, level, tail)]
    np.testing.assert_allclose(es_gradient(returns, weights, level, tail=tail), expected, rtol=1e-13, atol=1e-17)


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("level", [0.0, 0.9, 0.95, 0.975, 0.999])
def test_weights_times_gradient_is_es(level, tail):
    returns = scenarios(333, 8)
    for seed in range(5):
        weights = datasets.bells(8, 70 + seed)
        total = weights @ es_gradient(returns, weights, level, tail=tail)
        assert total == pytest.approx(es_of_portfolios(returns, weights, level, tail=tail), rel=1e-12)


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("level", [0.5, 0.9, 0.975])
def test_gradient_is_the_slope_of_es(level, tail):
    returns = scenarios(301, 5, 3)
    weights = datasets.uniforms(5, 80) + 0.2
    gradient = es_gradient(returns, weights, level, tail=tail)
    step = 2.0**-24
    for j in range(5):
        up, down = weights.copy(), weights.copy()
        up[j] += step
        down[j] -= step
        rise = es_of_portfolios(returns, up, level, tail=tail) - es_of_portfolios(returns, down, level, tail=tail)
        assert rise / (2 * step) == pytest.approx(gradient[j], rel=1e-7, abs=1e-9)


def test_gradient_is_a_float64_vector():
    gradient = es_gradient(scenarios(30, 4).astype(np.float32), [0.25] * 4)
    assert gradient.shape == (4,)
    assert gradient.dtype == np.float64


def test_gradient_of_one_asset_is_es():
    returns = whole_scenarios(64, 1)
    assert_same_bits(es_gradient(returns, [1.0], 0.875), [textbook.es(returns[:, 0], 0.875)])
    assert_same_bits(es_gradient(returns, [3.0], 0.875), [textbook.es(returns[:, 0], 0.875)])


def test_ties_share_the_gradient_in_any_order():
    returns = np.array(
        [[-4.0, 0.0], [-1.0, -3.0], [-3.0, -1.0], [-2.0, -2.0], [5.0, 5.0], [0.0, -4.0], [9.0, 1.0], [1.0, 9.0]]
    )
    expected = np.array([2.0, 2.0])
    for level in (0.5, 0.75, 0.875, 0.9375):
        for seed in range(10):
            order = datasets.permutation(8, seed)
            assert_same_bits(es_gradient(returns[order], [1.0, 1.0], level), expected)


def test_ties_below_the_boundary_are_shared_with_the_fraction_that_remains():
    returns = np.array([[-8.0, 0.0], [-1.0, -3.0], [-3.0, -1.0], [4.0, 1.0]])
    gradient = es_gradient(returns, [1.0, 1.0], 0.5)
    np.testing.assert_array_equal(gradient, [(8.0 + 2.0) / 2, (0.0 + 2.0) / 2])


# tail_weights


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "name", [*datasets.ORDINARY, *datasets.ORDERED, *datasets.TIED, "adjacent doubles", "denormals"]
)
def test_tail_weights_are_the_shares_of_the_textbook(name, weighted, tail):
    for n in (1, 2, 9, 40, 251):
        sample = datasets.FINITE[name](n)
        weights = datasets.unequal_weights(n) if weighted else None
        for level in (0.0, 0.3, 0.5, 0.9, 0.95, 0.975, 1 - 2**-53):
            expected = textbook.tail_shares(sample, level, weights, tail)
            result = tail_weights(sample, level, weights=weights, tail=tail)
            assert result.indices.tolist() == expected.indices, (n, level)
            np.testing.assert_allclose(result.weights, [float(share) for share in expected.weights], rtol=1e-15)


@pytest.mark.parametrize("tail", TAILS)
def test_tail_weights_rebuild_es(tail):
    for name in datasets.ORDINARY:
        sample = datasets.ORDINARY[name](500)
        for level in (0.0, 0.9, 0.975):
            indices, weights = tail_weights(sample, level, tail=tail)
            value = math.fsum(weights * sample[indices])
            assert (value if tail == "upper" else -value) == pytest.approx(es(sample, level, tail=tail), rel=1e-14)
            assert math.fsum(weights) == pytest.approx(1, rel=1e-15)
            assert (weights > 0).all()


def test_tail_weights_are_positions_in_ascending_order():
    result = tail_weights([0.5, -3.0, 0.1, -1.0, -2.0, 0.3], 0.5)
    assert result.indices.dtype.kind == "i"
    assert result.weights.dtype == np.float64
    assert result.indices.tolist() == [1, 3, 4]
    assert_same_bits(result.weights, [1 / 3] * 3)
    assert result._fields == ("indices", "weights")


def test_ties_at_the_boundary_are_shared():
    sample = [-1.0, 2.0, -1.0, -5.0, -1.0, 3.0, 4.0, 5.0]
    indices, weights = tail_weights(sample, 0.75)
    assert indices.tolist() == [0, 2, 3, 4]
    np.testing.assert_allclose(weights, [1 / 6, 1 / 6, 1 / 2, 1 / 6], rtol=1e-15)
    indices, weights = tail_weights([-1.0, -1.0, 2.0], 0.5, weights=[1.0, 2.0, 3.0])
    assert indices.tolist() == [0, 1]
    np.testing.assert_allclose(weights, [1 / 3, 2 / 3], rtol=1e-15)


def test_equal_outcomes_have_equal_shares_in_any_order():
    sample = datasets.TIED["few distinct"](200)
    by_value = dict(
        zip(*map(list, (sample[tail_weights(sample, 0.7).indices], tail_weights(sample, 0.7).weights)), strict=True)
    )
    for seed in range(5):
        shuffled = sample[datasets.permutation(200, seed)]
        indices, weights = tail_weights(shuffled, 0.7)
        for i, weight in zip(indices, weights, strict=True):
            assert by_value[shuffled[i]] == weight


def test_signed_zeros_are_tied():
    indices, weights = tail_weights([0.0, -0.0, 1.0, 0.0], 0.5)
    assert indices.tolist() == [0, 1, 3]
    assert_same_bits(weights, [1 / 3] * 3)


def test_tail_weights_of_infinities():
    indices, weights = tail_weights([1.0, -np.inf, np.inf, -np.inf], 0.75)
    assert indices.tolist() == [1, 3]
    assert_same_bits(weights, [0.5, 0.5])


def test_tail_weights_omit_missing_values_and_weights_of_zero():
    sample = [np.nan, -3.0, 1.0, np.nan, -2.0, 0.0]
    indices, weights = tail_weights(sample, 0.5, nan_policy="omit")
    assert indices.tolist() == [1, 4]
    assert_same_bits(weights, [0.5, 0.5])
    indices, weights = tail_weights([-9.0, -3.0, 1.0], 0.5, weights=[0.0, 1.0, 1.0])
    assert indices.tolist() == [1]
    assert_same_bits(weights, [1.0])
    with pytest.raises(ValueError, match="NaN"):
        tail_weights(sample, 0.5, nan_policy="raise")


def test_an_outcome_outside_a_whole_tail_has_no_share():
    sample = -np.arange(1000.0)
    indices, weights = tail_weights(sample, 0.975)
    assert indices.tolist() == list(range(975, 1000))
    assert_same_bits(weights, np.full(25, 1 / 25))
    assert tail_weights(np.arange(10.0), 0.9).indices.tolist() == [0]


def test_tail_weights_of_a_large_sample():
    sample = datasets.heavy_tails(100_003)
    indices, weights = tail_weights(sample, 0.975)
    assert (np.diff(indices) > 0).all()
    assert indices.size == math.ceil(textbook.tail_count(100_003, 0.975))
    value = sum(
        (Fraction(w) * Fraction(v) for w, v in zip(weights.tolist(), sample[indices].tolist(), strict=True)),
        Fraction(0),
    )
    assert -float(value) == pytest.approx(es(sample, 0.975), rel=1e-14)


def test_tail_weights_want_one_dimension_and_one_level():
    with pytest.raises(ValueError, match="x"):
        tail_weights(np.ones((3, 2)), 0.9)
    with pytest.raises((TypeError, ValueError), match="level"):
        tail_weights([1.0, 2.0], [0.9, 0.95])
    with pytest.raises(ValueError, match="empty"):
        tail_weights([], 0.9)
    with pytest.raises(ValueError, match="weights"):
        tail_weights([1.0, 2.0], 0.9, weights=[1.0])
    with pytest.raises(ValueError, match="weights"):
        tail_weights([1.0, 2.0], 0.9, weights=[-1.0, 2.0])
    with pytest.raises(ValueError, match="tail"):
        tail_weights([1.0, 2.0], 0.9, tail="both")


def test_gradient_agrees_with_tail_weights():
    returns = whole_scenarios(120, 4)
    weights = np.array([1.0, 2.0, -1.0, 3.0])
    indices, shares = tail_weights(returns @ weights, 0.9)
    np.testing.assert_allclose(es_gradient(returns, weights, 0.9), -shares @ returns[indices], rtol=1e-13)
    assert es_var(returns @ weights, 0.9).es == es_of_portfolios(returns, weights, 0.9)
