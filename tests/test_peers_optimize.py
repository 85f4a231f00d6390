"""Other optimisers find what ours find: cvxpy with Clarabel, and skfolio.

Their interior-point solver stops at absolute errors, so that returns are in percent or in units of the largest one.
Weights are not compared, since they need not be unique, but what they are worth is.
"""

import numpy as np
import pytest
from portfolio_instances import INSTANCES, heavy_tailed

import cshortfall
from cshortfall.optimize import ESLimit, maximize_return, minimize_es

cvxpy = pytest.importorskip("cvxpy")
if "CLARABEL" not in cvxpy.installed_solvers():
    pytest.skip("cvxpy has no Clarabel here", allow_module_level=True)

LEVEL = 0.9
ASSETS = 6
MARKETS = {seed: 100 * heavy_tailed(seed, 150, ASSETS) for seed in (40, 41, 42)}
PROBABILITIES = np.random.default_rng(43).dirichlet(np.full(150, 0.3))
TOLERANCES = {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}
# Relative to the largest return.
CLARABEL_ERROR = 1e-7


def loss_terms(returns, weights, level, probabilities=None):
    """Return ES in the form of Rockafellar and Uryasev, and its constraints."""
    count = len(returns)
    p = np.full(count, 1 / count) if probabilities is None else np.asarray(probabilities) / np.sum(probabilities)
    edge = cvxpy.Variable()
    excess = cvxpy.Variable(count, nonneg=True)
    return edge + (p / (1 - level)) @ excess, [excess >= -np.asarray(returns, dtype=float) @ weights - edge]


def mean_of(returns, probabilities=None):
    return np.average(np.asarray(returns, dtype=float), axis=0, weights=probabilities)


def solved(objective, constraints):
    problem = cvxpy.Problem(objective, constraints)
    problem.solve(solver=cvxpy.CLARABEL, **TOLERANCES)
    assert problem.status == "optimal"
    return problem.value


def least_es(returns, level, probabilities=None, extra=lambda weights: ()):
    """Return the least ES of weights that are not negative and sum to one, by Clarabel."""
    weights = cvxpy.Variable(np.shape(returns)[1], nonneg=True)
    es, rows = loss_terms(returns, weights, level, probabilities)
    return solved(cvxpy.Minimize(es), [*rows, cvxpy.sum(weights) == 1, *extra(weights)])


def assert_agree(ours, theirs, returns):
    assert ours == pytest.approx(theirs, rel=0, abs=CLARABEL_ERROR * float(np.abs(returns).max()))


@pytest.fixture(params=MARKETS, ids="market {}".format)
def returns(request):
    return MARKETS[request.param]


probabilities_or_none = pytest.mark.parametrize(
    "probabilities", [None, PROBABILITIES], ids=["equal probabilities", "unequal probabilities"]
)


@pytest.mark.parametrize("name", [name for name in INSTANCES if name != "zeros"])
def test_least_es_is_that_of_clarabel(name):
    returns, level, probabilities = INSTANCES[name]
    size = float(np.abs(returns).max())
    result = minimize_es(returns, level, probabilities=probabilities)
    assert_agree(result.es, size * least_es(returns / size, level, probabilities), returns)


@probabilities_or_none
def test_least_es_for_a_mean_is_that_of_clarabel(returns, probabilities):
    mean = mean_of(returns, probabilities)
    target = float(mean.mean() + mean.max()) / 2
    result = minimize_es(returns, LEVEL, probabilities=probabilities, return_target=target)
    theirs = least_es(returns, LEVEL, probabilities, lambda weights: [mean @ weights >= target])
    assert_agree(result.es, theirs, returns)
    assert result.mean >= target - 1e-10


@probabilities_or_none
def test_least_es_within_groups_is_that_of_clarabel(returns, probabilities):
    groups = {"first": ([0, 1], 0.1, 0.3), "second": ([2, 3, 4], None, 0.5), "third": ([1, 5], 0.25, None)}
    result = minimize_es(returns, LEVEL, probabilities=probabilities, groups=groups, bounds=(0, 0.4))

    def rows(weights):
        return [
            weights <= 0.4,
            weights[0] + weights[1] >= 0.1,
            weights[0] + weights[1] <= 0.3,
            weights[2] + weights[3] + weights[4] <= 0.5,
            weights[1] + weights[5] >= 0.25,
        ]

    assert_agree(result.es, least_es(returns, LEVEL, probabilities, rows), returns)


@probabilities_or_none
def test_least_es_within_a_turnover_is_that_of_clarabel(returns, probabilities):
    current = np.array([0.5, 0.5, 0.0, 0.0, 0.0, 0.0])
    result = minimize_es(returns, LEVEL, probabilities=probabilities, current=current, turnover=0.4)
    theirs = least_es(returns, LEVEL, probabilities, lambda weights: [cvxpy.norm1(weights - current) <= 0.4])
    assert_agree(result.es, theirs, returns)


@probabilities_or_none
@pytest.mark.parametrize("slack", [1.01, 1.3, 3.0])
def test_largest_mean_under_a_limit_is_that_of_clarabel(returns, probabilities, slack):
    mean = mean_of(returns, probabilities)
    limit = slack * minimize_es(returns, LEVEL, probabilities=probabilities).es
    result = maximize_return(returns, limit, LEVEL, probabilities=probabilities)
    weights = cvxpy.Variable(ASSETS, nonneg=True)
    es, rows = loss_terms(returns, weights, LEVEL, probabilities)
    theirs = solved(cvxpy.Maximize(mean @ weights), [*rows, cvxpy.sum(weights) == 1, es <= limit])
    assert_agree(result.mean, theirs, returns)
    assert result.es <= limit * (1 + 1e-9)


@probabilities_or_none
def test_limits_at_several_levels_and_of_parts_are_those_of_clarabel(returns, probabilities):
    least = minimize_es(returns, 0.5, probabilities=probabilities)
    part = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    of_least = cshortfall.es(returns @ (part * least.weights), 0.8, weights=probabilities)
    whole = 1.05 * minimize_es(returns, 0.95, probabilities=probabilities).es
    limits = [ESLimit(whole, 0.95), ESLimit(max(of_least, 1e-2), 0.8, assets=[0, 1, 2])]
    result = minimize_es(returns, 0.5, probabilities=probabilities, es_limits=limits)

    def rows(weights):
        first, rows_of_first = loss_terms(returns, weights, 0.95, probabilities)
        second, rows_of_second = loss_terms(returns * part, weights, 0.8, probabilities)
        return [*rows_of_first, *rows_of_second, first <= limits[0].limit, second <= limits[1].limit]

    assert_agree(result.es, least_es(returns, 0.5, probabilities, rows), returns)


def test_least_es_of_long_and_short_weights_is_that_of_clarabel(returns):
    result = minimize_es(returns, LEVEL, bounds=(-0.3, 1.0), gross=1.4)
    weights = cvxpy.Variable(ASSETS)
    es, rows = loss_terms(returns, weights, LEVEL)
    limits = [weights >= -0.3, weights <= 1.0, cvxpy.norm1(weights) <= 1.4]
    assert_agree(result.es, solved(cvxpy.Minimize(es), [*rows, cvxpy.sum(weights) == 1, *limits]), returns)


class TestSkfolio:
    """`skfolio.optimization.MeanRisk` with its own names for the same constraints."""

    @pytest.fixture
    def fitted(self):
        skfolio = pytest.importorskip("skfolio")
        optimization = pytest.importorskip("skfolio.optimization")

        def fit(returns, **parameters):
            model = optimization.MeanRisk(risk_measure=skfolio.RiskMeasure.CVAR, cvar_beta=LEVEL, **parameters)
            return model.fit(returns).weights_

        return fit

    def test_least_es(self, fitted, returns):
        theirs = cshortfall.es(returns @ fitted(returns), LEVEL)
        assert_agree(minimize_es(returns, LEVEL).es, theirs, returns)

    def test_least_es_of_long_and_short_weights(self, fitted, returns):
        theirs = cshortfall.es(returns @ fitted(returns, min_weights=-0.2, max_weights=0.6), LEVEL)
        assert_agree(minimize_es(returns, LEVEL, bounds=(-0.2, 0.6)).es, theirs, returns)

    def test_least_es_for_a_mean(self, fitted, returns):
        mean = mean_of(returns)
        target = float(mean.mean() + mean.max()) / 2
        theirs = cshortfall.es(returns @ fitted(returns, min_return=target), LEVEL)
        assert_agree(minimize_es(returns, LEVEL, return_target=target).es, theirs, returns)

    def test_least_es_within_groups(self, fitted, returns):
        # Of six assets in two groups of three.
        theirs = fitted(returns, groups=[["a"] * 3 + ["b"] * 3], linear_constraints=["a <= 0.4", "b <= 0.7"])
        groups = {"a": ([0, 1, 2], None, 0.4), "b": ([3, 4, 5], None, 0.7)}
        assert_agree(minimize_es(returns, LEVEL, groups=groups).es, cshortfall.es(returns @ theirs, LEVEL), returns)

    def test_largest_mean_under_a_limit(self, fitted, returns):
        objective = pytest.importorskip("skfolio.optimization").ObjectiveFunction.MAXIMIZE_RETURN
        limit = 1.3 * minimize_es(returns, LEVEL).es
        theirs = fitted(returns, objective_function=objective, max_cvar=limit)
        assert_agree(maximize_return(returns, limit, LEVEL).mean, float(mean_of(returns) @ theirs), returns)
