"""Cardinality, minimum positions, round lots and whole contracts against all integers, tried one by one."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from textbook_integer import best_of_all_integers

from cshortfall import es
from cshortfall.optimize._errors import (
    InfeasibleError,
    IterationLimitError,
    OptimizationError,
    TimeLimitError,
    UnboundedError,
)
from cshortfall.optimize._integer import solve_integer
from cshortfall.optimize._integer_rows import tightened
from cshortfall.optimize._program import Program, RiskLimit, RiskTerm
from cshortfall.optimize._scenarios import ArrayScenarios


def heavy_returns(n_scenarios, n_assets, seed):
    random = np.random.default_rng(seed)
    factors = random.standard_t(4, (n_scenarios, 2)) @ (random.standard_normal((2, n_assets)) * 0.5 + 0.3)
    return 0.01 * (factors + random.standard_t(4, (n_scenarios, n_assets))) + random.normal(3e-4, 2e-4, n_assets)


def cardinality(
    returns,
    count,
    level=0.9,
    *,
    probabilities=None,
    least=0.0,
    most=1.0,
    budget=1.0,
    low=0.0,
    risks=None,
    limits=(),
    cost=None,
):
    """At most `count` positions, each in [low, most] and not in (0, least)."""
    n = returns.shape[1]
    eye = np.eye(n)
    rows, sides = (
        [np.hstack((eye, -most * eye)), np.concatenate((np.zeros(n), np.ones(n)))[None]],
        [np.zeros(n), [count]],
    )
    if least:
        rows.append(np.hstack((-eye, least * eye)))
        sides.append(np.zeros(n))
    if low < 0:
        rows.append(np.hstack((-eye, low * eye)))
        sides.append(np.zeros(n))
    term = RiskTerm(ArrayScenarios(returns, probabilities), level)
    A_ub, b_ub = np.vstack(rows), np.concatenate(sides)
    return Program(
        n_assets=n,
        cost=np.zeros(2 * n) if cost is None else cost,
        risks=((1.0, term),) if risks is None else risks,
        lower=np.concatenate((np.full(n, low), np.zeros(n))),
        upper=np.concatenate((np.full(n, most), np.ones(n))),
        A_eq=np.concatenate((np.ones(n), np.zeros(n)))[None],
        b_eq=np.array([budget]),
        A_ub=A_ub,
        b_ub=b_ub,
        names_eq=("budget",),
        names_ub=tuple("cardinality" if i == n else "" for i in range(b_ub.size)),
        limits=limits,
        integers=np.arange(2 * n) >= n,
    )


def lots(returns, lot, most, level=0.9, *, base=None, budget=1.0):
    """Positions of whole lots."""
    n = returns.shape[1]
    eye = np.eye(n)
    return Program(
        n_assets=n,
        cost=np.zeros(2 * n),
        risks=((1.0, RiskTerm(ArrayScenarios(returns), level, base)),),
        lower=np.zeros(2 * n),
        upper=np.concatenate((np.full(n, np.inf), np.full(n, float(most)))),
        A_eq=np.vstack((np.hstack((eye, -lot * eye)), np.concatenate((np.ones(n), np.zeros(n))))),
        b_eq=np.concatenate((np.zeros(n), [budget])),
        A_ub=np.zeros((0, 2 * n)),
        b_ub=np.zeros(0),
        names_eq=(*(f"lot {i}" for i in range(n)), "budget"),
        names_ub=(),
        integers=np.arange(2 * n) >= n,
    )


def contracts(payoffs, base, most, premiums, *, limit=None, spend=None, level=0.9):
    """A book hedged by whole contracts: the cheapest within a limit of ES, or the least ES for what may be spent."""
    n = payoffs.shape[1]
    term = RiskTerm(ArrayScenarios(payoffs), level, base)
    return Program(
        n_assets=n,
        cost=premiums if limit is not None else np.zeros(n),
        risks=() if limit is not None else ((1.0, term),),
        lower=np.zeros(n),
        upper=np.full(n, float(most)),
        A_eq=np.zeros((0, n)),
        b_eq=np.zeros(0),
        A_ub=premiums[None] if spend is not None else np.zeros((0, n)),
        b_ub=np.array([spend]) if spend is not None else np.zeros(0),
        names_eq=(),
        names_ub=("spend",) if spend is not None else (),
        limits=() if limit is None else (RiskLimit(term, np.zeros(n), limit, "es"),),
        integers=np.ones(n, bool),
    )


def assert_optimal(program, solution=None, tol=1e-8):
    """The solution is feasible, its objective exact, no integers are better, and the bound is below the optimum."""
    solution = solve_integer(program) if solution is None else solution
    best = best_of_all_integers(program)
    v = solution.v
    size = max(abs(best), 1e-3 * solution.scale)
    assert solution.objective <= best + 2 * tol * size
    assert solution.objective >= best - 2 * tol * size
    assert solution.lower_bound <= best + tol * size
    assert 0 <= solution.gap <= tol
    assert solution.gap == pytest.approx(
        max(0.0, solution.objective - solution.lower_bound) / max(abs(solution.objective), 1e-3 * solution.scale),
        abs=1e-15,
    )
    assert_feasible(program, v, solution.scale)
    assert solution.objective == pytest.approx(objective(program, v), rel=1e-13, abs=1e-13 * solution.scale)
    return solution


def assert_feasible(program, v, scale):
    assert (v[program.integers] == np.round(v[program.integers])).all()
    assert (v >= program.lower).all()
    assert (v <= program.upper).all()
    assert (np.abs(program.A_eq @ v - program.b_eq) <= 1e-9 * (np.abs(program.A_eq) @ np.abs(v))).all()
    assert (program.A_ub @ v - program.b_ub <= 1e-9 * (np.abs(program.A_ub) @ np.abs(v))).all()
    for limit in program.limits:
        assert term_es(limit.term, v) + limit.slope @ v <= limit.limit + 1e-8 * scale


def term_es(term, v):
    x = v[: term.scenarios.n_assets]
    return term.scenarios.es_var(x if term.exposure is None else x * term.exposure, term.level, term.base)[0]


def objective(program, v):
    return program.cost @ v + sum(weight * term_es(term, v) for weight, term in program.risks)


@pytest.mark.parametrize("seed", range(12))
def test_cardinality_finds_the_best_support(seed):
    random = np.random.default_rng(seed)
    n = int(random.integers(3, 8))
    returns = heavy_returns(int(random.integers(5, 80)), n, seed)
    assert_optimal(cardinality(returns, int(random.integers(1, 4)), random.choice([0.5, 0.8, 0.9, 0.975])))


@pytest.mark.parametrize("scale", [1e-7, 100.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_scale_of_returns_does_not_matter(scale, seed):
    returns = heavy_returns(60, 6, seed)
    plain = assert_optimal(cardinality(returns, 2))
    solution = assert_optimal(cardinality(scale * returns, 2))
    assert solution.objective == pytest.approx(scale * plain.objective, rel=1e-7)


@pytest.mark.parametrize("seed", range(6))
def test_whole_numbered_returns_with_many_ties(seed):
    returns = np.random.default_rng(seed).integers(-3, 5, (40, 6)).astype(float)
    assert_optimal(cardinality(returns, 2, 0.8))


@pytest.mark.parametrize("seed", range(4))
def test_duplicated_scenarios_change_nothing(seed):
    returns = heavy_returns(25, 6, seed)
    once = assert_optimal(cardinality(returns, 3, 0.8))
    thrice = assert_optimal(cardinality(np.repeat(returns, 3, axis=0), 3, 0.8))
    assert thrice.objective == pytest.approx(once.objective, rel=1e-7)


def test_identical_assets_and_constant_scenarios():
    returns = np.repeat(heavy_returns(40, 2, 0), 3, axis=1)
    assert_optimal(cardinality(returns, 2))
    assert_optimal(cardinality(np.full((20, 4), 0.01), 2))


@pytest.mark.parametrize("seed", range(6))
def test_unequal_and_zero_probabilities(seed):
    random = np.random.default_rng(seed)
    returns = heavy_returns(50, 6, seed)
    probabilities = random.exponential(size=50) ** 3
    probabilities[random.random(50) < 0.3] = 0.0
    assert_optimal(cardinality(returns, 2, 0.85, probabilities=probabilities))


@pytest.mark.parametrize("seed", range(6))
def test_minimum_positions(seed):
    solution = assert_optimal(cardinality(heavy_returns(60, 6, seed), 6, least=0.22))
    x = solution.v[:6]
    assert ((x == 0) | (x >= 0.22 - 1e-9)).all()


@pytest.mark.parametrize("seed", range(4))
def test_long_short(seed):
    program = cardinality(heavy_returns(60, 5, seed), 3, low=-0.5, most=1.5)
    assert_optimal(program)


@pytest.mark.parametrize("seed", range(6))
def test_round_lots(seed):
    assert_optimal(lots(heavy_returns(50, 4, seed), 0.2, 5))


@pytest.mark.parametrize("seed", range(4))
def test_round_lots_with_a_base(seed):
    returns = heavy_returns(50, 3, seed)
    assert_optimal(lots(returns, 0.25, 8, base=-returns @ np.array([0.3, 0.5, 0.2]), budget=1.0))


@pytest.mark.parametrize("seed", range(6))
def test_whole_contracts_within_a_limit_or_for_a_premium(seed):
    random = np.random.default_rng(seed)
    spot = random.standard_t(4, 60) * 5
    base = 10.0 * spot
    strikes = np.array([-10.0, -5.0, 0.0])
    premiums = np.array([0.3, 0.8, 2.2])
    payoffs = np.maximum(strikes - spot[:, None], 0.0) - premiums
    start = es(base, 0.9)
    assert_optimal(contracts(payoffs, base, 5, premiums, limit=0.7 * start))
    assert_optimal(contracts(payoffs, base, 5, premiums, spend=9.5))


def many_scenarios(seed):
    """More scenarios than are modelled one by one: heavy tails, many ties, unequal weights, short positions."""
    random = np.random.default_rng([seed, 450])
    returns = heavy_returns(450, 6, seed)
    if seed % 4 == 1:
        returns = random.integers(-3, 5, (450, 6)).astype(float)
    if seed % 4 == 2:
        returns = np.repeat(np.repeat(returns[:, :3], 2, axis=1)[:225], 2, axis=0)
    probabilities = random.exponential(size=450) ** 3 * (random.random(450) < 0.7) if seed % 3 == 1 else None
    return cardinality(
        returns,
        int(random.integers(1, 4)),
        random.choice([0.5, 0.9, 0.975]),
        probabilities=probabilities,
        least=random.choice([0.0, 0.2]),
        low=-0.3 if seed % 4 == 3 else 0.0,
        most=0.8,
    )


@pytest.mark.parametrize("seed", range(12))
def test_cardinality_and_minimum_positions_for_many_scenarios(seed):
    program = many_scenarios(seed)
    if math.isfinite(best_of_all_integers(program)):
        assert_optimal(program)
    else:
        with pytest.raises(InfeasibleError):
            solve_integer(program)


def any_menu(seed):
    """Payoffs that may be sold or bought in any whole numbers from -1 to 3, some money of any size, ties, weights."""
    random = np.random.default_rng([seed, 77])
    count, assets = int(random.integers(3, 40)), int(random.integers(1, 5))
    base, payoffs = random.standard_t(3, count), np.maximum(random.standard_t(3, (count, assets)), 0)
    premiums = random.uniform(0.05, 0.6, assets)
    if seed % 4 == 1:
        base, payoffs, premiums = np.round(3 * base), np.round(2 * payoffs), np.round(4 * premiums) / 4 + 0.25
    if seed % 4 == 2:
        base, payoffs = np.repeat(base, 2), np.repeat(payoffs, 2, axis=0)
        payoffs[:, -1] = payoffs[:, 0]
    if seed % 4 == 3:
        size = 10.0 ** random.integers(-7, 6)
        base, payoffs, premiums = size * base, size * payoffs, size * premiums
    probabilities = random.exponential(size=len(base)) ** 4 if seed % 3 == 1 else None
    level = float(random.choice([0.5, 0.75, 0.8, 0.9, 0.975]))
    lower = np.where(np.arange(assets) % 2, -1.0, 0.0)
    program = contracts(payoffs - premiums, base, 3, premiums, spend=float(premiums.sum() * random.uniform(0, 3)))
    term = RiskTerm(ArrayScenarios(payoffs - premiums, probabilities), level, base)
    return replace(program, risks=((1.0, term),), lower=lower, upper=random.integers(1, 4, assets).astype(float))


@pytest.mark.parametrize("seed", range(24))
def test_whole_quantities_of_any_menu_for_a_budget(seed):
    assert_optimal(any_menu(seed))


@pytest.mark.parametrize("seed", range(24))
def test_whole_quantities_of_any_menu_within_a_limit(seed):
    program = any_menu(seed)
    term = program.risks[0][1]
    least, idle = best_of_all_integers(program), term_es(term, np.zeros(program.n_assets))
    limit = RiskLimit(term, np.zeros(program.n_assets), 0.3 * least + 0.7 * idle + 1e-6 * abs(idle), "es")
    assert_optimal(replace(program, cost=program.A_ub[0], risks=(), limits=(limit,)))


def test_a_quantity_that_its_budget_keeps_below_two_is_no_mere_choice():
    payoffs, base = np.array([[0.0], [1.0], [0.0], [0.5]]), np.array([1.0, -1.0, 0.5, -0.5])
    program = contracts(payoffs, base, 2, np.array([0.75]), spend=0.8, level=0.5)
    assert assert_optimal(program).v.tolist() == [1.0]


def test_a_budget_of_little_money_is_kept():
    program = contracts(1e-7 * np.eye(3), np.zeros(3), 5, 1e-7 * np.array([1.0, 2.0, 3.0]), spend=5.999e-7, level=0.5)
    solution = assert_optimal(program)
    assert program.A_ub[0] @ solution.v <= 5.999e-7


def test_quantities_without_bounds_are_found():
    spot = np.linspace(-5.0, 5.0, 11)
    payoffs, base = np.column_stack((-spot, np.maximum(-spot, 0.0) - 1.0)), 700.0 * spot
    program = contracts(payoffs, base, np.inf, np.ones(2))
    solution = solve_integer(replace(program, lower=np.full(2, -np.inf)))
    assert solution.v[0] == 700
    assert solution.objective == 0
    assert solution.gap <= 1e-8


def several_terms(seed, limited):
    returns = heavy_returns(40, 5, seed)
    program = cardinality(returns, 3)
    scenarios = ArrayScenarios(returns)
    part = RiskTerm(scenarios, 0.8, exposure=np.array([1.0, 1.0, 0.0, 0.0, 0.0]))
    other = RiskTerm(ArrayScenarios(heavy_returns(30, 5, seed + 100)), 0.7, base=np.full(30, 0.001))
    if not limited:
        return replace(program, risks=((0.7, program.risks[0][1]), (0.3, other), (0.2, part)))
    means = np.concatenate((-returns.mean(axis=0), np.zeros(5)))
    free = assert_optimal(program)
    limits = (
        RiskLimit(program.risks[0][1], np.zeros(10), 1.05 * free.objective, "es"),
        RiskLimit(other, 0.1 * means, 0.03, "stress"),
    )
    return replace(program, cost=means, risks=(), limits=limits)


@pytest.mark.parametrize("seed", range(4))
def test_several_risk_terms(seed):
    assert_optimal(several_terms(seed, limited=False))


@pytest.mark.parametrize("seed", range(4))
def test_risk_limits(seed):
    program = several_terms(seed, limited=True)
    if math.isfinite(best_of_all_integers(program)):
        assert_optimal(program)
    else:
        with pytest.raises(InfeasibleError):
            solve_integer(program)


def test_more_choices_than_assets_held_is_the_continuous_optimum():
    returns = heavy_returns(60, 4, 1)
    solution = assert_optimal(cardinality(returns, 4))
    assert solution.iterations <= 1


def test_infeasible_choices_are_an_error_with_the_least_violation():
    returns = heavy_returns(40, 4, 0)
    with pytest.raises(InfeasibleError, match="constraints") as caught:
        solve_integer(cardinality(returns, 2, most=0.3))
    assert caught.value.violation == pytest.approx(0.4, abs=1e-9)
    with pytest.raises(InfeasibleError) as caught:
        solve_integer(cardinality(returns, 4, most=0.2))
    assert caught.value.violation == pytest.approx(0.2, abs=1e-9)
    limited = cardinality(returns, 2)
    limit = RiskLimit(limited.risks[0][1], np.zeros(8), -1.0, "es")
    with pytest.raises(InfeasibleError) as caught:
        solve_integer(replace(limited, limits=(limit,)))
    assert caught.value.violation > 0


def test_lots_that_miss_the_budget_are_infeasible():
    with pytest.raises(InfeasibleError):
        solve_integer(lots(heavy_returns(30, 3, 0), 0.3, 5))


def test_an_objective_that_falls_without_end_is_an_error_with_a_ray():
    program = cardinality(heavy_returns(40, 3, 0), 3)
    # One more variable, in no scenario and without an upper bound, that pays.
    wide = replace(
        program,
        cost=np.append(program.cost, -1.0),
        lower=np.append(program.lower, 0.0),
        upper=np.append(program.upper, np.inf),
        A_eq=np.hstack((program.A_eq, [[0.0]])),
        A_ub=np.hstack((program.A_ub, np.zeros((program.b_ub.size, 1)))),
        integers=np.append(program.integers, False),
    )
    with pytest.raises(UnboundedError) as caught:
        solve_integer(wide)
    assert wide.cost @ caught.value.ray < 0


def test_limits_of_time_and_iterations_carry_what_is_known():
    program = cardinality(heavy_returns(400, 25, 3), 5, 0.95)
    with pytest.raises(IterationLimitError) as caught:
        solve_integer(program, max_iterations=0)
    error = caught.value
    assert_feasible(program, error.weights, 0.01)
    assert error.value == pytest.approx(objective(program, error.weights), rel=1e-13)
    assert 0 < error.lower_bound <= error.value
    assert error.gap == pytest.approx((error.value - error.lower_bound) / error.value, rel=1e-12)
    with pytest.raises(TimeLimitError) as caught:
        solve_integer(program, time_limit=0.0)
    assert caught.value.lower_bound <= error.value


def test_callback_sees_bounds_close_and_may_stop():
    program = cardinality(heavy_returns(100, 8, 3), 3)
    rounds = []
    solution = solve_integer(program, callback=rounds.append)
    assert rounds[-1].value == solution.objective
    assert rounds[-1].gap == solution.gap
    assert rounds[0].phase == "relaxation"
    assert all(later.value <= earlier.value for earlier, later in pairwise(rounds))
    assert all(later.lower_bound >= earlier.lower_bound for earlier, later in pairwise(rounds))
    with pytest.raises(OptimizationError, match="callback"):
        solve_integer(program, callback=lambda _: True)


def test_a_state_starts_a_related_program():
    returns = heavy_returns(100, 8, 3)
    program = cardinality(returns, 3)
    first = solve_integer(program)
    again = solve_integer(replace(program, b_ub=np.where(program.b_ub == 3, 2, program.b_ub)), state=first.state)
    cold = solve_integer(cardinality(returns, 2))
    assert again.objective == pytest.approx(cold.objective, rel=1e-7)


def test_duals_are_those_with_the_integers_held():
    returns = heavy_returns(80, 6, 2)
    program = cardinality(returns, 3)
    solution = solve_integer(program)
    step = 1e-4
    more = replace(program, b_eq=program.b_eq + step, upper=program.upper + step)
    assert solve_integer(more).objective - solution.objective == pytest.approx(step * solution.duals_eq[0], rel=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_tightened_bounds_keep_the_optimum(seed):
    program = cardinality(heavy_returns(30, 5, seed), 2, least=0.1, most=3.0)
    tight = tightened(program)
    np.testing.assert_allclose(tight.upper[:5], 1.0, rtol=1e-12)
    np.testing.assert_allclose(-tight.A_ub[range(5), range(5, 10)], 1.0, rtol=1e-12)
    assert best_of_all_integers(tight) == pytest.approx(best_of_all_integers(program), rel=1e-9)
