"""Published numbers of the historical estimator, and what it must not be confused with."""

import math

import numpy as np
import pytest
import textbook
from bits import assert_same_bits

from cshortfall import es, es_var, var
from cshortfall.datasets import load_equity_returns
from cshortfall.optimize import minimize_es

# Hull, Risk Management and Financial Institutions, 5th edition, tables 13.4 and 13.5: losses of scenarios, $1000.
HULL_WORST = {494: 477.841, 339: 345.435, 349: 282.204, 329: 277.041, 487: 253.385, 227: 217.974}
HULL_WEIGHTS = {494: 0.00528, 339: 0.00243, 349: 0.00255, 329: 0.00231, 487: 0.00510, 227: 0.00139}


@pytest.fixture(params=[-1e9, 0.0, 217.0, "varied"])
def hull_losses(request):
    """Return the 500 losses; those not printed lie anywhere below the sixth worst."""
    scenarios = np.arange(1, 501)
    losses = 217.0 * np.sin(scenarios) if request.param == "varied" else np.full(500, request.param)
    for scenario, loss in HULL_WORST.items():
        losses[scenario - 1] = loss
    return losses


@pytest.fixture
def hull_weights():
    """Return the weights of table 13.5, which fall by 0.995 a day."""
    decay = 0.995
    return decay ** (500.0 - np.arange(1, 501)) * (1 - decay) / (1 - decay**500)


def test_hull_equal_weights(hull_losses):
    assert es(hull_losses, 0.99, tail="upper") == pytest.approx(327.1812, abs=1e-10)
    assert var(hull_losses, 0.99, tail="upper") == 253.385
    assert es_var(-hull_losses, 0.99) == es_var(hull_losses, 0.99, tail="upper")
    four_worst = sorted(HULL_WORST.values())[-4:]
    assert es(hull_losses, 0.992, tail="upper") == pytest.approx(sum(four_worst) / 4, rel=1e-15)


def test_hull_exponential_weights(hull_losses, hull_weights):
    for scenario, printed in HULL_WEIGHTS.items():
        assert hull_weights[scenario - 1] == pytest.approx(printed, abs=5e-6)
    result = es_var(hull_losses, 0.99, weights=hull_weights, tail="upper")
    assert result.var == 282.204
    assert result.es == pytest.approx(400.91418993, abs=1e-8)
    assert round(result.es, 3) == 400.914
    assert result == textbook.es_var(hull_losses, 0.99, hull_weights, "upper")[:2]


def test_hull_weights_need_no_normalisation(hull_losses, hull_weights):
    expected = es_var(hull_losses, 0.99, weights=hull_weights, tail="upper")
    scaled = es_var(hull_losses, 0.99, weights=hull_weights * 1024, tail="upper")
    assert scaled == expected


def test_skfolio_missing_values():
    """Numbers of skfolio's tests of measures (value_at_risk, cvar) at beta 0.95."""
    sample = [math.nan, 0.1, -0.5, math.nan, math.nan, -0.3, 0.8]
    assert es_var(sample, 0.95, nan_policy="omit") == (0.5, 0.5)
    with pytest.warns(RuntimeWarning):
        assert math.isnan(es([math.nan] * 5, 0.95, nan_policy="omit"))


def test_empyrical_samples_by_the_exact_estimator():
    """empyrical averages the int((n - 1) cutoff) + 1 smallest; the exact tail takes the fraction 0.2 of the second."""
    sample = [1.0, 81.0, 82.0, 83.0, 84.0, 85.0]
    assert es(sample, 0.8) == pytest.approx(-(1 + 0.2 * 81) / 1.2, rel=1e-14)
    assert var(sample, 0.8) == -81.0
    for value in (-0.3, 0.0, 0.7):
        for level in (0.0, 0.5, 0.999):
            assert es([value], level) == -value


@pytest.mark.parametrize(("cutoff", "expected"), [(0.1, 41.0), (0.2, 81.0), (0.3, 81.5)])
def test_empyrical_value_at_risk_is_the_linear_quantile(cutoff, expected):
    sample = [1.0, 81.0, 82.0, 83.0, 84.0, 85.0]
    assert var(sample, 1 - cutoff, quantile_method="linear") == pytest.approx(-expected, rel=1e-14)
    assert var([1.0, 2.0], 0.7, quantile_method="linear") == pytest.approx(-1.3, rel=1e-14)


def test_acerbi_tasche_the_quantile_of_the_mean_beyond_var_is_not_es():
    """Acerbi and Tasche (2002): with an atom at VaR the mean beyond VaR is not subadditive, ES is.

    Two bonds, each loses 100 with probability 0.04, together never in the same of 25 scenarios.
    """
    one, other = np.zeros(25), np.zeros(25)
    one[3], other[17] = -100.0, -100.0
    level = 0.95
    assert var(one, level) == var(other, level) == 0.0
    assert var(one + other, level) == 100.0 > var(one, level) + var(other, level)
    assert es(one, level) == pytest.approx(80.0, rel=1e-14)
    assert es(one + other, level) == 100.0 <= es(one, level) + es(other, level)


def test_daily_returns_of_shares_have_the_bits_of_the_textbook():
    returns = load_equity_returns().returns
    for level in (0.95, 0.975, 0.99):
        expected = [textbook.es_var(column, level)[:2] for column in returns.T]
        assert_same_bits(np.transpose(es_var(returns, level, axis=0)), expected)


@pytest.mark.parametrize(("level", "published"), [(0.90, 0.096975), (0.95, 0.115908), (0.99, 0.152977)])
def test_rockafellar_and_uryasev_portfolio_of_three_instruments(level, published):
    """The tables 1 to 4 of Rockafellar and Uryasev (2000), whose normal scenarios are drawn anew."""
    mean = np.array([0.0101110, 0.0043532, 0.0137058])
    covariance = np.array(
        [
            [0.00324625, 0.00022983, 0.00420395],
            [0.00022983, 0.00049937, 0.00019247],
            [0.00420395, 0.00019247, 0.00764097],
        ]
    )
    n = 200_000
    drawn = np.random.default_rng(0).standard_normal((n, 3))
    drawn -= drawn.mean(axis=0)
    # The sample has the moments exactly, so that only its tail is random.
    drawn = drawn @ np.linalg.inv(np.linalg.cholesky(drawn.T @ drawn / n)).T
    returns = mean + drawn @ np.linalg.cholesky(covariance).T
    result = minimize_es(returns, level, return_target=0.011)
    assert result.gap <= 1e-8
    assert result.mean == pytest.approx(0.011, rel=1e-9)
    # Three standard errors of the ES of a normal sample: below 1.5 times its deviation over the root of the tail.
    deviation = math.sqrt(0.00378529)
    assert result.es == pytest.approx(published, abs=3 * 1.5 * deviation / math.sqrt(n * (1 - level)))
    assert result.weights == pytest.approx([0.452013, 0.115573, 0.432414], abs=0.03)
