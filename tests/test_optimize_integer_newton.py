"""Bounds of nodes by Newton's method against the continuous solver between the same bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cshortfall.optimize import _integer_newton
from cshortfall.optimize._integer_newton import SmoothedNodes, is_plain
from cshortfall.optimize._program import Program, RiskLimit, RiskTerm
from cshortfall.optimize._scaling import asset_sizes, scaled, typical_size
from cshortfall.optimize._scenarios import ArrayScenarios
from cshortfall.optimize._solver import solve

ASSETS = 12


def heavy_returns(random, n_scenarios):
    factors = random.standard_t(4, (n_scenarios, 2)) @ (random.standard_normal((2, ASSETS)) * 0.5 + 0.3)
    return 0.01 * (factors + random.standard_t(4, (n_scenarios, ASSETS)))


MARKETS = {
    "heavy tails": heavy_returns,
    "whole numbers": lambda random, n: random.integers(-3, 5, (n, ASSETS)).astype(float),
    "identical assets": lambda random, n: np.repeat(heavy_returns(random, n)[:, : ASSETS // 3], 3, axis=1),
    "two scenarios": lambda random, n: np.repeat(random.standard_normal((2, ASSETS)), n // 2, axis=0),
    "constant": lambda random, n: np.full((n, ASSETS), 0.01),
}


def portfolio(returns, level=0.95, *, probabilities=None, base=None, cost=None, prices=None, low=0.0):
    """The least ES within a budget of one."""
    n = returns.shape[1]
    return Program(
        n_assets=n,
        cost=np.zeros(n) if cost is None else cost,
        risks=((1.0, RiskTerm(ArrayScenarios(returns, probabilities), level, base)),),
        lower=np.full(n, low),
        upper=np.ones(n),
        A_eq=np.ones((1, n)) if prices is None else prices[None],
        b_eq=np.ones(1),
        A_ub=np.zeros((0, n)),
        b_ub=np.zeros(0),
        names_eq=("budget",),
        names_ub=(),
    )


def some_bounds(random, program):
    """Bounds of a node: some assets left out, some held down, some held up."""
    lower, upper = program.lower.copy(), program.upper.copy()
    kind = random.integers(0, 5, lower.size)
    upper[kind == 0] = np.maximum(lower, 0.0)[kind == 0]
    upper[kind == 1] = 0.3
    lower[kind == 2] = 0.02
    upper[np.argmax(kind)], lower[np.argmax(kind)] = 1.0, 0.01
    return lower, upper


def bounded(program, lower, upper, start, cutoff=np.inf, least=0.0):
    """The end of Newton's method between bounds, in units of the program, and its problem's unit."""
    s = scaled(program, 0.25, typical_size(asset_sizes(program)))
    nodes = SmoothedNodes(s, np.full(ASSETS, 1 / ASSETS) / s.columns)
    unit = s.unit * s.position
    end = nodes.solve(lower / s.columns, upper / s.columns, start / s.columns, cutoff / unit, 0.0, least / unit)
    return end._replace(bound=end.bound * unit, v=end.v * s.columns, value=end.value * unit)


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("seed", range(6))
def test_no_bound_is_above_the_optimum(market, seed):
    random = np.random.default_rng(seed)
    returns = MARKETS[market](random, 600)
    probabilities = random.exponential(size=600) ** 3 * (random.random(600) < 0.8) if seed % 2 else None
    program = portfolio(
        returns,
        random.choice([0.5, 0.8, 0.95, 0.99]),
        probabilities=probabilities,
        base=0.01 * random.standard_t(4, 600) if seed % 3 == 1 else None,
        cost=0.001 * random.standard_normal(ASSETS) if seed % 3 == 2 else None,
        prices=random.uniform(0.5, 2.0, ASSETS) if seed == 4 else None,
        low=-0.2 if seed == 5 else 0.0,
    )
    lower, upper = some_bounds(random, program)
    optimum = solve(replace(program, lower=lower, upper=upper), tol=1e-10)
    for start in (np.zeros(ASSETS), random.uniform(-1.0, 2.0, ASSETS), optimum.v):
        end = bounded(program, lower, upper, start)
        assert end.bound <= optimum.objective + 1e-9 * optimum.scale
        assert (end.v >= lower).all()
        assert (end.v <= upper).all()
        assert program.A_eq[0] @ end.v == pytest.approx(1.0, abs=1e-11)


@pytest.mark.parametrize("seed", range(6))
def test_bounds_are_near_the_optimum(seed):
    random = np.random.default_rng(seed)
    program = portfolio(heavy_returns(random, 5000), 0.9)
    lower, upper = some_bounds(random, program)
    optimum = solve(replace(program, lower=lower, upper=upper), tol=1e-10)
    end = bounded(program, lower, upper, optimum.v)
    assert end.bound == pytest.approx(optimum.objective, rel=5e-3)
    assert end.value == pytest.approx(optimum.objective, rel=5e-3)


def test_reduced_costs_say_what_the_bound_rises_by():
    random = np.random.default_rng(3)
    program = portfolio(heavy_returns(random, 2000))
    plain = solve(program, tol=1e-10)
    end = bounded(program, program.lower, program.upper, plain.v)
    unit = scaled(program, 0.25, typical_size(asset_sizes(program))).unit
    for asset in np.flatnonzero(plain.v < 1e-9):
        lower = program.lower.copy()
        lower[asset] = 0.1
        held = solve(replace(program, lower=lower), tol=1e-10)
        assert held.objective >= end.bound + 0.1 * unit * end.reduced[asset] - 1e-9 * held.scale


def test_scenarios_left_out_cost_sharpness_only(monkeypatch):
    random = np.random.default_rng(5)
    program = portfolio(heavy_returns(random, 2000), 0.9)
    optimum = solve(program, tol=1e-10)
    whole = bounded(program, program.lower, program.upper, optimum.v)
    for most in (0, 1, 20, 100):
        monkeypatch.setattr(_integer_newton, "MOST_KEPT", most)
        end = bounded(program, program.lower, program.upper, optimum.v)
        assert end.bound <= whole.bound + 5e-3 * abs(whole.bound)
        assert end.bound <= optimum.objective + 1e-9 * optimum.scale


def test_a_node_ends_where_its_bound_passes_the_cutoff_or_little_is_missing():
    program = portfolio(heavy_returns(np.random.default_rng(1), 2000))
    optimum = solve(program, tol=1e-10)
    start = np.full(ASSETS, 1 / ASSETS)
    last = bounded(program, program.lower, program.upper, start)
    closed = bounded(program, program.lower, program.upper, start, cutoff=0.9 * optimum.objective)
    assert 0.9 * optimum.objective <= closed.bound <= last.bound
    rough = bounded(program, program.lower, program.upper, start, least=0.05 * optimum.objective)
    assert rough.bound <= last.bound
    assert rough.value - rough.bound <= 0.05 * optimum.objective


def test_bounds_that_miss_the_budget_leave_nothing():
    program = portfolio(heavy_returns(np.random.default_rng(1), 600))
    s = scaled(program, 0.25, 0.01)
    nodes = SmoothedNodes(s, program.lower)
    low, high = np.zeros(ASSETS), np.full(ASSETS, 0.05) / s.columns
    assert nodes.solve(low, high, low, np.inf, 0.0, 0.0) is None
    assert nodes.solve(np.full(ASSETS, 0.2) / s.columns, np.ones(ASSETS) / s.columns, low, np.inf, 0.0, 0.0) is None


def test_only_a_budget_and_bounds_are_plain():
    program = portfolio(heavy_returns(np.random.default_rng(1), 600))
    limit = RiskLimit(program.risks[0][1], np.zeros(ASSETS), 1.0, "es")
    assert is_plain(scaled(program, 1.0, 0.01))
    for other in (
        replace(program, A_ub=np.ones((1, ASSETS)), b_ub=np.ones(1), names_ub=("group",)),
        replace(program, limits=(limit,)),
        replace(program, risks=program.risks * 2),
        replace(program, A_eq=np.linspace(-1.0, 1.0, ASSETS)[None]),
        replace(program, lower=np.full(ASSETS, -np.inf)),
    ):
        assert not is_plain(scaled(other, 1.0, 0.01))
