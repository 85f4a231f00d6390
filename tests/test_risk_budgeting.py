"""Portfolios with given contributions to the ES."""

import datasets
import numpy as np
import pytest
import textbook_budgets

from cshortfall import es, es_var
from cshortfall.optimize._errors import IterationLimitError, OptimizationError, TimeLimitError, UnboundedError
from cshortfall.optimize.risk_budgeting import risk_budget

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")


def market(scenarios, assets, seed=1):
    """Return heavy-tailed returns with a common factor, of assets of different risk."""
    factor = datasets.heavy_tails(scenarios, seed)[:, np.newaxis]
    own = datasets.heavy_tails(scenarios * assets, seed + 1).reshape(scenarios, assets)
    return (0.5 * factor + own) * np.linspace(0.005, 0.02, assets) - 0.001


def parts(assets, seed=3):
    return datasets.uniforms(assets, seed) + 0.05


def skewed(scenarios, seed=4):
    """Return probabilities of fourteen orders of magnitude."""
    return 10.0 ** (-14 * datasets.uniforms(scenarios, seed))


CASES = {
    "plain": lambda: (market(300, 6), {}),
    "given budgets": lambda: (market(300, 6), {"budgets": parts(6)}),
    "very unequal budgets": lambda: (market(300, 4), {"budgets": [1.0, 1e-3, 1e-5, 1e-7]}),
    "one asset": lambda: (market(50, 1), {}),
    "one scenario": lambda: (-np.array([[1.0, 2.0, 4.0]]), {}),
    "fewer scenarios than assets": lambda: (-np.abs(market(5, 9)), {}),
    "short positions": lambda: (market(400, 4) * [1, -1, 1, -1], {"signs": [1, -1, 1, -1]}),
    "whole numbers": lambda: (datasets.integers(240, 5, 3).reshape(80, 3) - 1, {}),
    "two decimals": lambda: (np.round(market(500, 5), 2) - 0.01, {}),
    "scenarios three times": lambda: (np.repeat(market(100, 5), 3, axis=0), {}),
    "equal assets": lambda: (market(300, 3)[:, [0, 0, 1, 2, 2]], {}),
    "collinear assets": lambda: (market(300, 3) @ [[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]], {}),
    "tiny": lambda: (market(300, 5) * 1e-7, {}),
    "large": lambda: (market(300, 5) * 100, {}),
    "assets of different size": lambda: (market(300, 5) * [1e-7, 1e-3, 1, 1e3, 1e7], {}),
    "probabilities": lambda: (market(300, 5), {"probabilities": datasets.uniforms(300, 6)}),
    "skewed probabilities": lambda: (market(300, 5), {"probabilities": skewed(300)}),
    "probabilities of zero": lambda: (market(300, 5), {"probabilities": np.arange(300) % 3.0}),
    "few assets, many scenarios": lambda: (market(9000, 3), {}),
    "a constant loss": lambda: (np.column_stack([market(300, 2), np.full(300, -0.01)]), {}),
}


@pytest.mark.parametrize("level", [0.0, 0.01, 0.5, 0.9, 0.975, 0.999])
@pytest.mark.parametrize("case", CASES)
def test_density_proves_the_weights_optimal_and_meets_the_budgets(case, level):
    returns, options = CASES[case]()
    probabilities = options.get("probabilities")
    try:
        result = risk_budget(returns, level, **options)
    except UnboundedError as error:
        ray = error.ray
    else:
        ray = None
    if ray is not None:
        assert level < 0.5 or case == "whole numbers"
        assert es(returns @ ray, level, weights=probabilities) <= 1e-12 * np.abs(returns * ray).max()
        assert (ray * options.get("signs", 1) >= 0).all()
        return
    gap, error = textbook_budgets.budget_certificate(returns, level, result, probabilities)
    assert -1e-12 <= gap <= 1.01e-8
    assert gap == pytest.approx(result.gap, abs=1e-11)
    assert error <= 1e-10
    assert result.deviation <= 1e-10
    assert np.abs(result.weights).sum() == pytest.approx(1.0, rel=1e-14)
    assert result.es == pytest.approx(es(returns @ result.weights, level, weights=probabilities), rel=1e-12)
    assert result.objective - result.lower_bound == pytest.approx(result.gap, abs=1e-12)


@pytest.mark.parametrize("shape", [(20_000, 10), (60_000, 25)])
def test_large_problems_are_solved_from_subsets(shape):
    returns = market(*shape)
    result = risk_budget(returns, 0.975, parts(shape[1]), tol=1e-9)
    shares = np.zeros(shape[0])
    shares[result.density.indices] = result.density.weights
    assert shares.sum() == pytest.approx(1.0, rel=1e-13)
    assert shares.max() * shape[0] * 0.025 <= 1 + 1e-12
    means = -(shares @ returns)
    np.testing.assert_allclose(result.weights * means, result.contributions, rtol=1e-11)
    np.testing.assert_allclose(result.contributions / result.contributions.sum(), result.budgets, rtol=1e-11)
    bound = result.budgets @ np.log(means / result.budgets)
    value, _ = es_var(returns @ result.weights, 0.975)
    assert np.log(value) - result.budgets @ np.log(result.weights) - bound <= 1.01e-9
    assert result.passes < 12


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_no_other_weights_have_a_lower_objective(level):
    returns, budgets = market(200, 4), parts(4)
    result = risk_budget(returns, level, budgets)
    others = datasets.uniforms(4 * 300, 8).reshape(300, 4) + 0.01
    others = np.vstack([others, result.weights * (1 + 0.01 * (others - 0.5))])
    values = [np.log(es(returns @ x, level)) - result.budgets @ np.log(x) for x in others]
    assert min(values) >= result.objective - result.gap - 1e-12


def test_level_zero_divides_budgets_by_mean_losses():
    returns, budgets = market(200, 4) - 0.01, parts(4)
    expected = budgets / -returns.mean(axis=0)
    np.testing.assert_allclose(risk_budget(returns, 0.0, budgets).weights, expected / expected.sum(), rtol=1e-12)


def test_comonotone_assets_are_held_in_inverse_proportion_to_their_es():
    returns = datasets.heavy_tails(1000)[:, np.newaxis] * [1.0, 2.0, 5.0]
    result = risk_budget(returns, 0.95, [1, 2, 1])
    expected = np.array([1 / 1, 2 / 2, 1 / 5])
    np.testing.assert_allclose(result.weights, expected / expected.sum(), rtol=1e-9)


def test_exchangeable_assets_have_equal_weights():
    base = market(60, 3)
    returns = np.vstack([base[:, order] for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1])])
    np.testing.assert_allclose(risk_budget(returns, 0.9).weights, 1 / 3, rtol=1e-9)


def test_all_of_the_risk_of_one_asset_is_its_own():
    result = risk_budget(market(100, 1), 0.9, budget=3.0)
    assert result.weights.tolist() == [3.0]
    assert result.contributions[0] == pytest.approx(result.es, rel=1e-8)


def test_weights_fall_as_the_size_of_an_asset_grows():
    returns, size = market(300, 5), np.array([1e-7, 1.0, 2.0, 30.0, 1e5])
    plain, scaled = (risk_budget(one, 0.9).weights for one in (returns, returns * size))
    np.testing.assert_allclose(scaled * size / (scaled * size).sum(), plain, rtol=1e-9)


def test_probability_two_is_two_equal_scenarios():
    returns, counts = market(150, 4), datasets.integers(150, 7, 1).astype(int) + 2
    weighted = risk_budget(returns, 0.9, probabilities=counts)
    repeated = risk_budget(np.repeat(returns, counts, axis=0), 0.9)
    assert weighted.objective == pytest.approx(repeated.objective, abs=1e-10)
    np.testing.assert_allclose(weighted.weights, repeated.weights, rtol=1e-9)


def test_impossible_scenarios_may_hold_anything():
    returns, probabilities = market(100, 3), np.ones(100)
    probabilities[::7] = 0
    expected = risk_budget(returns[probabilities > 0], 0.9).weights
    returns[::7] = np.nan
    np.testing.assert_allclose(risk_budget(returns, 0.9, probabilities=probabilities).weights, expected, rtol=1e-9)


def test_short_position_is_a_long_one_in_the_negated_asset():
    returns, signs = market(300, 4), np.array([1, -1, -1, 1])
    short = risk_budget(returns * signs, 0.9, parts(4), signs=signs)
    np.testing.assert_allclose(short.weights * signs, risk_budget(returns, 0.9, parts(4)).weights, rtol=1e-9)
    assert (short.contributions > 0).all()


def test_budget_is_the_sum_of_absolute_weights():
    returns, signs = market(300, 4), np.array([1, -1, -1, 1])
    one, seven = (risk_budget(returns * signs, 0.9, signs=signs, budget=scale) for scale in (1.0, 7.0))
    np.testing.assert_allclose(seven.weights, 7 * one.weights, rtol=1e-13)
    assert seven.es == pytest.approx(7 * one.es, rel=1e-13)
    assert seven.objective == pytest.approx(one.objective, abs=1e-13)


def test_layout_and_width_of_the_returns_do_not_matter():
    returns = market(500, 5).astype(np.float32)
    expected = risk_budget(returns.astype(float), 0.95).weights
    for same in (returns, np.asfortranarray(returns), np.repeat(returns, 2, axis=1)[:, ::2]):
        np.testing.assert_allclose(risk_budget(same, 0.95).weights, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("returns", "signs"),
    [
        (np.column_stack([market(100, 2), np.zeros(100)]), None),
        (np.column_stack([market(100, 2), np.full(100, 0.01)]), None),
        (np.column_stack([market(100, 2), -market(100, 2)[:, 0]]), None),
        (np.column_stack([market(100, 2), market(100, 2)[:, 0]]), [1, 1, -1]),
        (np.column_stack([market(20_000, 2), -market(20_000, 2)[:, 0]]), None),
        (np.zeros((10, 2)), None),
        (datasets.integers(30, 3, 2).reshape(10, 3) + 2, None),
    ],
    ids=["cash", "gains for sure", "hedge", "hedge by a short", "hedge of many scenarios", "nothing", "gains"],
)
def test_weights_without_risk_are_shown(returns, signs):
    with pytest.raises(UnboundedError, match="see ray") as caught:
        risk_budget(returns, 0.9, signs=signs)
    ray = caught.value.ray
    assert es(returns @ ray, 0.9) <= 1e-12 * max(np.abs(returns).max(), 1e-300)
    assert np.abs(ray).sum() == pytest.approx(1.0)
    assert (ray * (1 if signs is None else np.array(signs)) >= 0).all()
    np.testing.assert_array_equal(caught.value.weights, ray)


def test_labels_are_kept_and_aligned():
    pandas = pytest.importorskip("pandas")
    returns = pandas.DataFrame(market(200, 3), columns=["a", "b", "c"])
    budgets = pandas.Series([0.2, 0.5, 0.3], index=["c", "a", "b"])
    result = risk_budget(returns, 0.9, budgets)
    expected = risk_budget(returns.to_numpy(), 0.9, [0.5, 0.3, 0.2])
    assert list(result.weights.index) == ["a", "b", "c"]
    np.testing.assert_array_equal(result.weights, expected.weights)
    np.testing.assert_allclose(result.contributions / result.contributions.sum(), [0.5, 0.3, 0.2])
    np.testing.assert_array_equal(
        risk_budget(returns, 0.9, {"c": 0.2, "a": 0.5, "b": 0.3}, signs={"a": 1}).weights, expected.weights
    )
    with pytest.raises(UnboundedError) as caught:
        risk_budget(returns.assign(cash=0.0), 0.9)
    assert caught.value.ray["cash"] == 1.0


def test_limits_end_the_search_with_the_best_weights():
    returns = market(6000, 40)
    seen = []
    risk_budget(returns, 0.95, tol=1e-9, callback=seen.append)
    assert [one.iteration for one in seen] == sorted(one.iteration for one in seen)
    assert seen[0].gap == np.inf
    assert seen[-1].gap <= 1e-9
    assert seen[-1].value - seen[-1].lower_bound == pytest.approx(seen[-1].gap)
    with pytest.raises(OptimizationError, match="callback") as stopped:
        risk_budget(returns, 0.95, tol=1e-9, callback=lambda progress: progress.gap < np.inf)
    with pytest.raises(IterationLimitError) as early:
        risk_budget(returns, 0.95, max_iterations=1)
    for caught in (stopped, early):
        weights = caught.value.weights
        assert (weights > 0).all()
        assert weights.sum() == pytest.approx(1.0)
        objective = np.log(es(returns @ weights, 0.95)) - np.log(weights).mean()
        assert caught.value.value == pytest.approx(objective, abs=1e-9)
        assert caught.value.lower_bound <= seen[-1].value
    with pytest.raises(TimeLimitError):
        risk_budget(returns, 0.95, time_limit=1e-9)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"budgets": [1, 0, 1]}, ValueError, "budgets must be positive, got 0.0 for asset 1"),
        ({"budgets": [1, -1, 1]}, ValueError, "budgets must be positive, got -1.0 for asset 1"),
        ({"budgets": [1, 1]}, ValueError, "budgets must be"),
        ({"budgets": {0: 1.0}}, ValueError, "budgets must be positive, got 0.0 for asset 1"),
        ({"signs": [1, 0, 1]}, ValueError, "signs must be 1 or -1, got 0.0 for asset 1"),
        ({"budget": 0}, ValueError, "budget must be positive"),
        ({"budget": "1"}, TypeError, "budget must be a number"),
        ({"tol": 0}, ValueError, "tol must be positive"),
        ({"time_limit": -1}, ValueError, "time_limit must be positive"),
        ({"callback": 3}, TypeError, "callback must be callable"),
        ({"max_iterations": 0}, ValueError, "max_iterations must be at least 1"),
        ({"level": 1.0}, ValueError, "level must be in"),
        ({"level": [0.9]}, ValueError, "level must be one number"),
        ({"probabilities": [1.0]}, ValueError, "probabilities must have shape"),
    ],
)
def test_wrong_arguments_are_named(options, error, message):
    with pytest.raises(error, match=message):
        risk_budget(market(20, 3), **options)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_returns_that_are_not_finite_are_refused(value):
    returns = market(20, 3)
    returns[3, 1] = value
    with pytest.raises(ValueError, match=r"returns\[3, 1\]"):
        risk_budget(returns, 0.9)


def test_skfolio_finds_the_same_weights_less_exactly():
    optimization = pytest.importorskip("skfolio.optimization")
    skfolio = pytest.importorskip("skfolio")
    returns, budgets = market(400, 4), parts(4)
    model = optimization.RiskBudgeting(
        risk_measure=skfolio.RiskMeasure.CVAR, cvar_beta=0.95, risk_budget=budgets / budgets.sum()
    )
    theirs = model.fit(returns).weights_
    ours = risk_budget(returns, 0.95, budgets)
    np.testing.assert_allclose(ours.weights, theirs, atol=1e-4)
    objective = np.log(es(returns @ theirs, 0.95)) - ours.budgets @ np.log(theirs)
    assert ours.objective <= objective + ours.gap


def test_budgets_of_any_scale_are_the_same():
    returns, budgets = np.random.default_rng(0).standard_normal((100, 3)), np.array([1.0, 1.0, 1.5])
    expected = risk_budget(returns, 0.9, budgets=budgets).weights
    for power in (1023, -1000):
        found = risk_budget(returns, 0.9, budgets=np.ldexp(budgets, power)).weights
        np.testing.assert_array_equal(found, expected)
