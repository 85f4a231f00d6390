"""Parts of VaR by each estimator, and the standard errors of parts of ES."""

import math

import datasets
import numpy as np
import pytest
from asset_scenarios import PROBABILITIES, scenarios, tied_scenarios
from scipy import stats

import cshortfall
from cshortfall.decompose import component_var, decompose, elliptical_components, marginal_var

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")

# VaR


def kernel_regression(returns, outcomes, edge, width, probabilities):
    weights = probabilities * np.exp(-0.5 * ((outcomes - edge) / width) ** 2)
    return -(weights @ returns) / weights.sum()


@pytest.mark.parametrize("probabilities", ["equal", "skewed"])
def test_kernel_parts_are_a_regression_scaled_to_sum_to_var(probabilities):
    returns = scenarios(3000, 4) - 0.001
    weights = np.array([1.0, 2.0, -0.5, 1.0])
    own = PROBABILITIES[probabilities](3000)
    masses = np.ones(3000) if own is None else own
    outcomes = returns @ weights
    var = cshortfall.var(outcomes, 0.9, weights=own)
    for bandwidth in (None, 0.002, 1.0):
        found = marginal_var(returns, weights, 0.9, probabilities=own, estimator="kernel", bandwidth=bandwidth)
        width = bandwidth
        if width is None:
            effective = masses.sum() ** 2 / (masses**2).sum()
            order = np.argsort(outcomes)
            deviation = math.sqrt(np.cov(outcomes, aweights=masses, ddof=0) * effective / (effective - 1))
            if own is None:
                low, high = np.quantile(outcomes, (0.25, 0.75))
            else:
                middles = (np.cumsum(masses[order]) - masses[order] / 2) / masses.sum()
                low, high = np.interp((0.25, 0.75), middles, outcomes[order])
            width = 0.9 * min(deviation, (high - low) / 1.34) * effective**-0.2
        raw = kernel_regression(returns, outcomes, -var, width, masses)
        np.testing.assert_allclose(found, raw * (var / (weights @ raw)), rtol=1e-10)
        assert weights @ found == pytest.approx(var, rel=1e-13)


def test_harrell_davis_parts_have_the_weights_of_the_quantile_estimator():
    returns = scenarios(500, 4) - 0.001
    weights = np.ones(4)
    losses = -(returns @ weights)
    for level in (0.5, 0.9, 0.975):
        found = component_var(returns, weights, level, estimator="harrell_davis")
        smooth = stats.mstats.hdquantiles(losses, level)[0]
        order = np.argsort(losses)
        a, b = 501 * level, 501 * (1 - level)
        density = np.diff(stats.beta.cdf(np.arange(501) / 500, a, b))
        raw = -(density @ returns[order])
        assert raw.sum() == pytest.approx(smooth, rel=1e-9)
        np.testing.assert_allclose(found, raw * cshortfall.var(losses, level, tail="upper") / smooth, rtol=1e-9)


@pytest.mark.parametrize("estimator", ["order_statistic", "kernel", "harrell_davis"])
@pytest.mark.parametrize("level", [0.0, 0.5, 0.9, 0.999])
def test_parts_of_var_sum_to_it_by_every_estimator(estimator, level):
    returns = tied_scenarios(200, 3) - 0.5
    for tail in ("lower", "upper"):
        parts = decompose(returns, [1.0, 2.0, 4.0], level, estimator=estimator, tail=tail)
        assert parts.estimator == estimator
        assert parts.component_var.sum() == pytest.approx(parts.var, rel=1e-12)


def test_smoothed_parts_do_not_depend_on_the_order_of_tied_scenarios():
    returns = tied_scenarios(200, 3)
    order = datasets.permutation(200, 3)
    for estimator in ("kernel", "harrell_davis"):
        one = component_var(returns, [1.0, 1.0, 1.0], 0.9, estimator=estimator)
        other = component_var(returns[order], [1.0, 1.0, 1.0], 0.9, estimator=estimator)
        np.testing.assert_allclose(other, one, rtol=1e-12)


def test_constant_outcomes_have_parts_by_every_estimator():
    returns = np.stack([np.arange(8.0), -1 - np.arange(8.0)], axis=1)
    for estimator in ("order_statistic", "kernel", "harrell_davis"):
        np.testing.assert_allclose(component_var(returns, [1.0, 1.0], 0.5, estimator=estimator).sum(), 1.0)


def test_parts_that_no_factor_makes_sum_to_var_are_an_error():
    returns = np.array([[-1.0], [0.0], [1.0], [5.0]])
    with pytest.raises(ValueError, match="order_statistic"):
        component_var(returns, [1.0], 0.6, estimator="kernel")


# Standard errors


def test_standard_errors_cover_the_components_of_a_normal_distribution():
    generator = np.random.default_rng(20)
    root = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [-0.3, 0.2, 1.5]])
    weights = np.array([1.0, 2.0, 0.5])
    truth = elliptical_components(weights, 0.0, root @ root.T, 0.95).component
    inside = np.zeros(3)
    replicates = 400
    for _ in range(replicates):
        parts = decompose(generator.standard_normal((1500, 3)) @ root.T, weights, 0.95)
        inside += np.abs(parts.component - truth) <= 1.959964 * parts.component_standard_error
    # Three standard errors of a share of 400 around the nominal 95 %.
    assert (np.abs(inside / replicates - 0.95) < 0.033).all()


def test_standard_error_is_that_of_the_influence_function():
    returns = scenarios(2000, 3)
    weights = np.array([1.0, 0.5, -1.0])
    own = datasets.unequal_weights(2000)
    for probabilities in (None, own):
        parts = decompose(returns, weights, 0.9, probabilities=probabilities)
        p = np.full(2000, 1 / 2000) if probabilities is None else own / own.sum()
        # The conditional loss at VaR: the regression that marginal_var scales, found by undoing its scale.
        scaled = marginal_var(returns, weights, 0.9, probabilities=probabilities, estimator="kernel")
        outcomes = returns @ weights
        at_var = scaled * minimize_distance(returns, outcomes, scaled, p, parts.var)
        beyond = np.zeros(2000)
        indices, shares = cshortfall.tail_weights(outcomes, 0.9, weights=probabilities)
        beyond[indices] = shares * 0.1 / p[indices]
        influence = at_var - parts.marginal + (-returns - at_var) * beyond[:, None] / 0.1
        assert np.abs(p @ influence).max() < 1e-12
        effective = 1 / (p**2).sum()
        errors = np.sqrt(p @ influence**2 / (effective - 1))
        np.testing.assert_allclose(parts.marginal_standard_error, errors, rtol=1e-3)
        np.testing.assert_allclose(parts.component_standard_error, np.abs(weights) * errors, rtol=1e-3)


def minimize_distance(returns, outcomes, scaled, p, var):
    """Return the factor from the scaled marginal VaR back to the plain regression, by Silverman's bandwidth."""
    from cshortfall._estimators import Kernel
    from cshortfall._sample import Sample

    masses = None if (p == p[0]).all() else p
    width = Kernel().fit(Sample.of_row(outcomes, False, masses)).bandwidth
    raw = kernel_regression(returns, outcomes, -var, width, p)
    return raw[0] / scaled[0]


def test_standard_error_of_a_portfolio_of_one_asset_is_that_of_es():
    returns = scenarios(20_000, 1)
    error = decompose(returns, [1.0], 0.95).component_standard_error[0]
    assert error == pytest.approx(cshortfall.tail_risk(returns[:, 0], 0.95, interval=None).es_standard_error, rel=0.01)


def test_a_tail_of_one_scenario_has_no_standard_error():
    assert np.isnan(decompose(scenarios(20, 2), np.ones(2), 0.95).marginal_standard_error).all()
    assert np.isnan(decompose(scenarios(1, 2), np.ones(2), 0.5).marginal_standard_error).all()
    assert np.isfinite(decompose(scenarios(60, 2), np.ones(2), 0.95).marginal_standard_error).all()
