"""Entry points of `cshortfall.optimize` against the slow twin: values, certificates, duals."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import textbook_optimize as textbook
from portfolio_instances import INSTANCES, heavy_tailed

import cshortfall
from cshortfall.optimize import (
    Constraints,
    ESLimit,
    OptimizationError,
    maximize_ratio,
    maximize_return,
    minimize_es,
    minimize_spectral,
    rebalance,
    track,
)
from cshortfall.optimize._program import RiskLimit, RiskTerm

TOL = 1e-8
RETURNS = heavy_tailed(0, 60, 4)
LEVEL = 0.9


def unit(returns):
    """Return the size below which a gap is not relative any more."""
    return 1e-3 * float(np.median(np.std(np.asarray(returns, dtype=float), axis=0)))


def assert_optimal(result, best, returns):
    """The objective is within the tolerance of the twin's, and the bound is not above it."""
    room = 2 * TOL * max(abs(best), unit(returns)) + 1e-15 * float(np.abs(returns).max())
    assert abs(result.objective - best) <= room
    assert result.lower_bound <= best + room
    assert 0.0 <= result.gap <= TOL


def weights_of(result):
    return np.asarray(result.weights, dtype=float).ravel()


@pytest.mark.parametrize("name", INSTANCES)
def test_least_es_is_that_of_the_full_program(name):
    returns, level, probabilities = INSTANCES[name]
    result = minimize_es(returns, level, probabilities=probabilities)
    best = textbook.solve(textbook.plain_program(returns, level, probabilities)).objective
    assert_optimal(result, best, returns)
    assert result.es == result.objective
    assert weights_of(result).min() >= 0
    assert weights_of(result).sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("name", INSTANCES)
def test_es_and_var_are_those_of_the_portfolio(name):
    returns, level, probabilities = INSTANCES[name]
    result = minimize_es(returns, level, probabilities=probabilities)
    outcomes = np.asarray(returns, dtype=float) @ weights_of(result)
    size = 1e-12 * float(np.abs(returns).max())
    assert result.es == pytest.approx(cshortfall.es(outcomes, level, weights=probabilities), rel=1e-12, abs=size)
    assert result.var == pytest.approx(cshortfall.var(outcomes, level, weights=probabilities), rel=1e-9, abs=1e3 * size)
    mean = np.average(outcomes, weights=probabilities)
    assert result.mean == pytest.approx(mean, rel=1e-9, abs=size)


@pytest.mark.parametrize("name", INSTANCES)
def test_tail_scenarios_make_up_the_es(name):
    returns, level, probabilities = INSTANCES[name]
    result = minimize_es(returns, level, probabilities=probabilities)
    outcomes = np.asarray(returns, dtype=float) @ weights_of(result)
    assert result.tail_weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert (np.diff(result.tail_indices) > 0).all()
    worst = -result.tail_weights @ outcomes[result.tail_indices]
    assert worst == pytest.approx(result.es, rel=1e-9, abs=1e-12 * float(np.abs(returns).max()))


@pytest.mark.parametrize("name", INSTANCES)
@pytest.mark.parametrize("mean_weight", [0.1, 3.0])
def test_mean_weight_is_a_linear_objective(name, mean_weight):
    returns, level, probabilities = INSTANCES[name]
    result = minimize_es(returns, level, probabilities=probabilities, mean_weight=mean_weight)
    program = textbook.plain_program(returns, level, probabilities)
    mean = program.terms[0].scenarios.mean()
    best = textbook.solve(replace(program, cost=-mean_weight * mean)).objective
    assert_optimal(result, best, returns)
    size = 1e-12 * float(np.abs(returns).max())
    assert result.objective == pytest.approx(result.es - mean_weight * result.mean, rel=1e-9, abs=size)


@pytest.mark.parametrize("name", INSTANCES)
def test_long_short_with_bounds_and_target(name):
    returns, level, probabilities = INSTANCES[name]
    count = returns.shape[1]
    program = textbook.plain_program(returns, level, probabilities)
    mean = program.terms[0].scenarios.mean()
    target = float(mean.mean())
    result = minimize_es(returns, level, probabilities=probabilities, bounds=(-0.5, 2.0), return_target=target)
    best = textbook.solve(
        replace(
            program,
            lower=np.full(count, -0.5),
            upper=np.full(count, 2.0),
            A_ub=-mean[np.newaxis].astype(float),
            b_ub=np.array([-target]),
            names_ub=("return_target",),
        )
    ).objective
    assert_optimal(result, best, returns)
    size = 1e-9 * float(np.abs(returns).max())
    assert result.mean >= target - size
    assert weights_of(result).min() >= -0.5


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e2])
@pytest.mark.parametrize("room", [1.01, 1.3])
def test_largest_mean_under_a_limit(scale, room):
    returns = scale * RETURNS
    program = textbook.plain_program(returns, LEVEL)
    limit = room * textbook.solve(program).objective
    result = maximize_return(returns, limit, LEVEL)
    row = RiskLimit(program.terms[0], np.zeros(4), limit, "es_limit")
    best = textbook.solve(replace(program, cost=-returns.mean(axis=0), risks=(), limits=(row,)))
    # A limit is kept to rounding; what that is worth is its dual.
    assert result.objective == pytest.approx(best.objective, rel=1e-7)
    assert result.es <= limit * (1 + 1e-8)
    assert result.mean == pytest.approx(-result.objective, rel=1e-9)
    assert result.duals["es_limit"] == pytest.approx(best.duals_limits[0], rel=1e-5)


def test_a_limit_that_does_not_bind_leaves_the_asset_of_largest_mean():
    result = maximize_return(RETURNS, 10.0, LEVEL)
    assert weights_of(result).round(9).tolist() == np.eye(4)[RETURNS.mean(axis=0).argmax()].tolist()
    assert result.duals["es_limit"] == pytest.approx(0.0, abs=1e-9)


def test_several_limits_at_several_levels_and_of_parts():
    least = minimize_es(RETURNS, LEVEL)
    limits = [ESLimit(1.2 * least.es, LEVEL), ESLimit(1.5 * least.es, 0.97), ESLimit(0.8 * least.es, LEVEL, [0, 1])]
    result = maximize_return(RETURNS, limits, LEVEL)
    program = textbook.plain_program(RETURNS, LEVEL)
    scenarios = program.terms[0].scenarios
    part = RiskTerm(scenarios, LEVEL, None, np.array([1.0, 1.0, 0.0, 0.0]))
    terms = [program.terms[0], RiskTerm(scenarios, 0.97), part]
    rows = tuple(RiskLimit(term, np.zeros(4), limit.limit, "") for term, limit in zip(terms, limits, strict=True))
    best = textbook.solve(replace(program, cost=-RETURNS.mean(axis=0), risks=(), limits=rows))
    assert result.objective == pytest.approx(best.objective, rel=1e-7)
    for term, limit in zip(terms, limits, strict=True):
        assert textbook.term_es(term, weights_of(result)) <= limit.limit * (1 + 1e-8)
    assert [name for name in result.duals if name.startswith("es_limit")] == [f"es_limits[{i}]" for i in range(3)]


def test_a_limit_beside_the_least_es():
    plain = minimize_es(RETURNS, LEVEL)
    part = cshortfall.es(RETURNS[:, :2] @ weights_of(plain)[:2], LEVEL)
    result = minimize_es(RETURNS, LEVEL, es_limits=[ESLimit(0.5 * part, LEVEL, [0, 1], "first two")])
    assert result.es > plain.es
    assert cshortfall.es(RETURNS[:, :2] @ weights_of(result)[:2], LEVEL) <= 0.5 * part * (1 + 1e-8)
    assert result.duals["first two"] < 0


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e2])
def test_best_ratio_is_the_best_of_the_frontier(scale):
    returns = scale * (RETURNS + 0.002)
    result = maximize_ratio(returns, LEVEL, bounds=(0, 0.6))
    assert 0 <= result.gap <= TOL
    assert result.ratio == pytest.approx(-result.objective, rel=1e-9)
    assert result.ratio == pytest.approx(result.mean / result.es, rel=1e-12)
    program = textbook.plain_program(returns, LEVEL, upper=np.full(4, 0.6))
    mean = returns.mean(axis=0)
    # Dinkelbach: at the best ratio, and at no other, ES - mean / ratio has the least value zero.
    least = textbook.solve(replace(program, cost=-mean / result.ratio)).objective
    assert least == pytest.approx(0.0, abs=1e-7 * result.es)
    assert weights_of(result).max() <= 0.6 + 1e-9
    assert weights_of(result).sum() == pytest.approx(1.0, abs=1e-9)


SMALLER_TOO = {
    "bounds": {"budget": 0, "bounds": (-1, 1)},
    "gross": {"budget": None, "bounds": None, "gross": 2},
    "budget": {"budget": (0, 1)},
    "es_limits": {"budget": 0, "bounds": None, "es_limits": [(0.03, 0.9)]},
}


@pytest.mark.parametrize("kind", SMALLER_TOO)
def test_where_smaller_portfolios_are_allowed_too_the_best_ratio_is_that_of_the_largest(kind):
    returns = heavy_tailed(1, 500, 8) + 0.0005
    result = maximize_ratio(returns, 0.95, **SMALLER_TOO[kind])
    assert 0 <= result.gap <= TOL
    used = {
        "bounds": np.abs(result.weights).max(),
        "gross": np.abs(result.weights).sum() / 2,
        "budget": result.weights.sum(),
        "es_limits": cshortfall.es(returns @ result.weights, 0.9) / 0.03,
    }
    assert used[kind] == pytest.approx(1.0, rel=1e-9)
    # Dinkelbach again.
    least = minimize_es(returns, 0.95, mean_weight=1 / result.ratio, **SMALLER_TOO[kind])
    assert least.objective == pytest.approx(0.0, abs=1e-7 * result.es)


def test_what_a_stopped_search_for_the_best_ratio_leaves_are_weights_of_the_budget():
    with pytest.raises(OptimizationError) as stopped:
        maximize_ratio(RETURNS + 0.002, LEVEL, budget=2, callback=lambda progress: True)
    weights = stopped.value.weights
    assert weights.sum() == pytest.approx(2.0)
    outcomes = (RETURNS + 0.002) @ weights
    assert stopped.value.value == pytest.approx(-outcomes.mean() / cshortfall.es(outcomes, LEVEL))


def test_ratio_of_portfolios_without_a_size():
    returns = RETURNS + 0.002
    free = maximize_ratio(returns, LEVEL, budget=None)
    assert free.ratio == pytest.approx(maximize_ratio(returns, LEVEL).ratio, rel=1e-7)


def test_tracking_is_the_least_es_of_the_excess():
    benchmark = RETURNS @ [0.1, 0.2, 0.3, 0.4] + 0.001 * np.sin(np.arange(60.0))
    result = track(RETURNS, benchmark, LEVEL, bounds=(0, 0.35))
    program = textbook.plain_program(RETURNS, LEVEL, upper=np.full(4, 0.35))
    term = RiskTerm(program.terms[0].scenarios, LEVEL, -benchmark)
    best = textbook.solve(replace(program, risks=((1.0, term),))).objective
    assert_optimal(result, best, RETURNS)
    excess = RETURNS @ weights_of(result) - benchmark
    assert result.es == pytest.approx(cshortfall.es(excess, LEVEL), rel=1e-10)
    assert result.mean == pytest.approx(excess.mean(), rel=1e-9)


def test_tracking_with_a_target_and_a_weight_of_the_mean_excess():
    benchmark = RETURNS @ [0.1, 0.2, 0.3, 0.4]
    plain = track(RETURNS, benchmark, LEVEL)
    result = track(RETURNS, benchmark, LEVEL, return_target=0.0005)
    assert plain.es == pytest.approx(0.0, abs=1e-10)
    assert result.mean >= 0.0005 - 1e-12
    weighted = track(RETURNS, benchmark, LEVEL, mean_weight=0.5)
    assert weighted.objective == pytest.approx(weighted.es - 0.5 * weighted.mean, rel=1e-8, abs=1e-12)
    assert weighted.lower_bound <= weighted.objective
    assert weighted.gap <= TOL


@pytest.mark.parametrize("name", ["plain", "tail_count_below_one", "integer_valued", "skewed_probabilities", "small"])
def test_least_spectral_measure_is_that_of_the_full_program(name):
    returns, _, probabilities = INSTANCES[name]
    levels, shares = [0.5, 0.9, 0.97], [0.2, 0.5, 0.3]
    result = minimize_spectral(returns, levels, shares, probabilities=probabilities)
    program = textbook.plain_program(returns, 0.5, probabilities)
    scenarios = program.terms[0].scenarios
    risks = tuple((share, RiskTerm(scenarios, level)) for share, level in zip(shares, levels, strict=True))
    assert_optimal(result, textbook.solve(replace(program, risks=risks)).objective, returns)
    outcomes = returns @ weights_of(result)
    assert result.objective == pytest.approx(float(np.dot(shares, result.es)), rel=1e-9)
    assert result.es == pytest.approx(cshortfall.es(outcomes, levels, weights=probabilities), rel=1e-10)
    assert -result.tail_weights @ outcomes[result.tail_indices] == pytest.approx(result.objective, rel=1e-9)


def test_spectral_weights_are_equal_by_default():
    assert minimize_spectral(RETURNS, [0.5, 0.9]).objective == pytest.approx(
        minimize_spectral(RETURNS, [0.5, 0.9], [0.5, 0.5]).objective, rel=1e-8
    )
    one = minimize_spectral(RETURNS, [0.9])
    assert one.objective == pytest.approx(minimize_es(RETURNS, 0.9).es, rel=1e-8)
    assert one.es.shape == (1,)


def test_rebalancing_trades_off_risk_and_costs():
    current = np.array([0.4, 0.3, 0.2, 0.1])
    result = rebalance(RETURNS, current, LEVEL, costs=0.001)
    trades = weights_of(result) - current
    assert result.trades == pytest.approx(trades)
    assert result.costs == pytest.approx(0.001 * np.abs(trades).sum())
    assert result.objective == pytest.approx(result.es + result.costs, rel=1e-9)
    # The same with purchases and sales as variables of their own.
    program = textbook.plain_program(RETURNS, LEVEL)
    split = replace(
        program,
        cost=np.concatenate([np.zeros(4), np.full(8, 0.001)]),
        lower=np.zeros(12),
        upper=np.full(12, np.inf),
        A_eq=np.block([[np.ones((1, 4)), np.zeros((1, 8))], [np.eye(4), -np.eye(4), np.eye(4)]]),
        b_eq=np.concatenate([[1.0], current]),
        names_eq=("budget", *"abcd"),
        A_ub=np.zeros((0, 12)),
    )
    assert_optimal(result, textbook.solve(split).objective, RETURNS)
    dear = rebalance(RETURNS, current, LEVEL, costs=1.0)
    assert dear.trades == pytest.approx(np.zeros(4), abs=1e-9)
    assert rebalance(RETURNS, current, LEVEL).es == pytest.approx(minimize_es(RETURNS, LEVEL).es, rel=1e-7)


def test_costs_are_taken_off_every_mean_and_added_to_every_es():
    current = [0.4, 0.3, 0.2, 0.1]
    costs = [0.001, 0.002, 0.0, 0.003]
    keywords = {"current": current, "costs": costs}
    target = 0.0008
    result = minimize_es(RETURNS, LEVEL, return_target=target, **keywords)
    assert result.mean - result.costs >= target - 1e-12
    limit = 1.1 * minimize_es(RETURNS, LEVEL, **keywords).objective
    richest = maximize_return(RETURNS, limit, LEVEL, **keywords)
    assert richest.es + richest.costs <= limit * (1 + 1e-8)
    assert -richest.objective == pytest.approx(richest.mean - richest.costs, rel=1e-8)
    weighted = minimize_es(RETURNS, LEVEL, mean_weight=2.0, **keywords)
    net = weighted.es + weighted.costs - 2.0 * (weighted.mean - weighted.costs)
    assert weighted.objective == pytest.approx(net, rel=1e-8, abs=1e-12)
    ratio = maximize_ratio(RETURNS + 0.002, LEVEL, **keywords)
    net_ratio = (ratio.mean - ratio.costs) / (ratio.es + ratio.costs)
    assert ratio.ratio == pytest.approx(net_ratio, rel=1e-9)
    assert -ratio.objective == pytest.approx(net_ratio, rel=1e-8)


def test_given_means_stand_for_those_of_the_scenarios():
    mean = np.array([0.0, 0.0, 1.0, 0.0])
    result = minimize_es(RETURNS, LEVEL, mean=mean, return_target=0.7)
    assert weights_of(result)[2] == pytest.approx(0.7, abs=1e-6) or weights_of(result)[2] > 0.7
    assert result.mean == pytest.approx(weights_of(result)[2])


CHANGES = {
    "budget": ({"budget": 1.0}, lambda d: {"budget": 1.0 + d}),
    "return_target": ({"return_target": 0.0009}, lambda d: {"return_target": 0.0009 + d}),
    "gross": ({"bounds": (-1, 1), "gross": 1.1}, lambda d: {"bounds": (-1, 1), "gross": 1.1 + d}),
    "turnover": (
        {"current": [0.7, 0.1, 0.1, 0.1], "turnover": 0.2},
        lambda d: {"current": [0.7, 0.1, 0.1, 0.1], "turnover": 0.2 + d},
    ),
    "group energy upper": (
        {"groups": {"energy": ([0, 1], None, 0.2)}},
        lambda d: {"groups": {"energy": ([0, 1], None, 0.2 + d)}},
    ),
    "group energy lower": (
        {"groups": {"energy": ([0, 1], 0.8, None)}},
        lambda d: {"groups": {"energy": ([0, 1], 0.8 + d, None)}},
    ),
    "A_ub[0]": ({"A_ub": [[1, -1, 2, 0]], "b_ub": [-0.2]}, lambda d: {"A_ub": [[1, -1, 2, 0]], "b_ub": [-0.2 + d]}),
    "A_eq[0]": ({"A_eq": [[1, 0, 0, -1]], "b_eq": [0.3]}, lambda d: {"A_eq": [[1, 0, 0, -1]], "b_eq": [0.3 + d]}),
    "upper bound of 1": ({"bounds": (0, {1: 0.1})}, lambda d: {"bounds": (0, {1: 0.1 + d})}),
    "lower bound of 0": ({"bounds": ({0: 0.6}, None)}, lambda d: {"bounds": ({0: 0.6 + d}, None)}),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("function", [minimize_es, maximize_ratio])
def test_duals_are_changes_of_the_optimum(name, function):
    """Between the optima a step to either side of a kink the dual at it lies, for the optimum is convex."""
    returns = RETURNS + (0.002 if function is maximize_ratio else 0.0)
    plain, changed = CHANGES[name]
    if function is maximize_ratio:
        # A target of ratios does not bind at the least ES.
        plain, changed = ({**plain, "return_target": 0.0035}, changed) if name == "return_target" else (plain, changed)
        if name == "return_target":
            changed = lambda d: {"return_target": 0.0035 + d}  # noqa: E731
    result = function(returns, LEVEL, **plain)
    assert name in result.duals or " bound of " in name
    step = 1e-5
    below = function(returns, LEVEL, **changed(-step)).objective
    above = function(returns, LEVEL, **changed(step)).objective
    slopes = [(result.objective - below) / step, (above - result.objective) / step]
    room = 1e-3 * max(1e-3, *np.abs(slopes)) + 4 * TOL * abs(result.objective) / step
    assert min(slopes) - room <= result.duals.get(name, 0.0) <= max(slopes) + room


def test_duals_prove_the_optimum():
    """Gradient of the tail minus multipliers of rows and bounds is zero (KKT)."""
    keywords = {"bounds": (0.05, 0.4), "return_target": 0.0009, "groups": {"pair": ([0, 1], None, 0.5)}}
    result = minimize_es(RETURNS, LEVEL, **keywords)
    duals = result.duals
    pull = np.full(4, duals["budget"])
    pull += duals["return_target"] * RETURNS.mean(axis=0)
    pull += duals["group pair upper"] * np.array([1.0, 1.0, 0.0, 0.0])
    for asset in range(4):
        pull[asset] += duals.get(f"lower bound of {asset}", 0.0) + duals.get(f"upper bound of {asset}", 0.0)
    # Any density of the tail will do as a gradient; value and multipliers agree by Euler.
    assert pull @ weights_of(result) == pytest.approx(result.es, rel=1e-6)
    assert duals["return_target"] >= 0 >= duals["group pair upper"]


def test_constraints_object_and_keywords_say_the_same():
    constraints = Constraints(bounds=(0, 0.4), return_target=0.0005)
    one = minimize_es(RETURNS, LEVEL, constraints=constraints)
    other = minimize_es(RETURNS, LEVEL, bounds=(0, 0.4), return_target=0.0005)
    assert one.objective == other.objective
    tighter = minimize_es(RETURNS, LEVEL, constraints=constraints, bounds=(0, 0.3))
    assert weights_of(tighter).max() <= 0.3 + 1e-12


def test_an_earlier_result_is_a_start():
    first = minimize_es(RETURNS, LEVEL)
    second = minimize_es(RETURNS, LEVEL, bounds=(0, 0.5), start=first)
    assert second.objective == pytest.approx(minimize_es(RETURNS, LEVEL, bounds=(0, 0.5)).objective, rel=2 * TOL)


def test_results_are_frozen_and_readable():
    result = rebalance(RETURNS, 0.25, LEVEL, costs=0.001)
    with pytest.raises(FrozenInstanceError):
        result.es = 0.0
    text = repr(result)
    assert text.startswith("OptimizationResult(es=")
    for part in ("objective", "gap", "weights", "turnover", "duals", "budget", "passes"):
        assert part in text


def test_optimize_is_imported_when_it_is_named():
    assert cshortfall.optimize.minimize_es is minimize_es
