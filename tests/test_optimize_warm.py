"""Rows that are kept from one pass to the next, and programs that begin where others ended."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import textbook_optimize as textbook
from bits import assert_same_bits
from portfolio_instances import heavy_tailed

from cshortfall.optimize import _solver as solver
from cshortfall.optimize import frontier, minimize_es
from cshortfall.optimize._cuts import TermModel
from cshortfall.optimize._interior import ALLOWED, interior, violation
from cshortfall.optimize._kept import KeptTail
from cshortfall.optimize._scaling import ScaledTerm, asset_sizes, position_size, scaled, typical_size
from cshortfall.optimize._scenarios import ArrayScenarios
from cshortfall.optimize._warm import ahead

SCENARIOS, ASSETS, LEVEL = 4000, 8, 0.95
PROBABILITIES = {"equal": None, "random": np.random.default_rng(3).exponential(1.0, SCENARIOS) ** 2}


def tail_of(probabilities, exposure=None):
    """Return a term with the rows that are kept at equal weights."""
    scenarios = ArrayScenarios(heavy_tailed(1, SCENARIOS, ASSETS), probabilities)
    term = ScaledTerm(scenarios, LEVEL, None, exposure, 64.0)
    return term, KeptTail.at(term, np.full(ASSETS, 1 / ASSETS), 0.5, 10)


def least_of_minorants(known, x):
    """Return the least value over t of what a master program knows at x."""
    loss = -(known.rows @ x) - known.band.base
    over = known.slope @ x + known.offset
    candidates = np.concatenate((loss, over[known.mass > 0] / known.mass[known.mass > 0]))
    return min(
        t + max(0.0, float((over - known.mass * t).max())) + float(known.band.cap @ np.maximum(loss - t, 0.0))
        for t in candidates.tolist()
    )


@pytest.mark.parametrize("exposure", [None, np.linspace(0.5, 2.0, ASSETS)], ids=["all", "part"])
@pytest.mark.parametrize("probabilities", PROBABILITIES)
def test_a_tail_told_by_kept_rows_is_at_most_the_es_of_any_weights(probabilities, exposure, monkeypatch):
    # Whether or not others should have been kept.
    monkeypatch.setattr(KeptTail, "_were_inside", lambda kept, places: True)
    term, kept = tail_of(PROBABILITIES[probabilities], exposure)
    rng = np.random.default_rng(0)
    v = 1 / ASSETS + 0.02 * rng.standard_normal(ASSETS)
    model = TermModel(term)
    model.add(v, kept.tail_rows(v, 20, 20))
    known = model.minorants()
    for spread in (0.0, 0.01, 0.1, 1.0):
        for _ in range(20):
            x = v + spread * rng.standard_normal(ASSETS)
            es = term.tail_rows(x, 0, 0).es
            assert least_of_minorants(known, x) <= es + 1e-12 * abs(es)


@pytest.mark.parametrize("probabilities", PROBABILITIES)
def test_kept_rows_tell_the_tail_of_weights_nearby(probabilities):
    term, kept = tail_of(PROBABILITIES[probabilities])
    v = 1 / ASSETS + 1e-3 * np.random.default_rng(1).standard_normal(ASSETS)
    told, seen = kept.tail_rows(v, 30, 30), term.tail_rows(v, 30, 30)
    assert told.es == pytest.approx(seen.es, rel=1e-12)
    assert_same_bits(told.var, seen.var)
    np.testing.assert_array_equal(told.index, seen.index)
    assert_same_bits(told.loss, seen.loss)
    for part in ("above", "at"):
        ours, theirs = getattr(told, part), getattr(seen, part)
        assert ours.mass == pytest.approx(theirs.mass, rel=1e-12)
        np.testing.assert_allclose(ours.rows, theirs.rows, rtol=1e-9, atol=1e-12)


def test_kept_rows_tell_nothing_where_the_edge_has_left_them():
    term, kept = tail_of(None)
    assert kept.tail_rows(np.eye(ASSETS)[0] - np.eye(ASSETS)[1], 20, 20) is None
    assert kept.tail_rows(np.full(ASSETS, 1 / ASSETS), term.n_scenarios, 20) is None


def test_what_is_foreseen_wrongly_changes_no_answer(monkeypatch):
    program = textbook.plain_program(heavy_tailed(7, 3000, 20), 0.95)
    plain = solver.solve(program, tol=1e-10)
    foresee = KeptTail.tail_rows

    def tail_of_weights_elsewhere(kept, v, above, below):
        return foresee(kept, v + 0.05 * np.cos(np.arange(v.size)), above, below)

    monkeypatch.setattr(KeptTail, "_were_inside", lambda kept, places: True)
    monkeypatch.setattr(KeptTail, "tail_rows", tail_of_weights_elsewhere)
    misled = solver.solve(program, tol=1e-10)
    assert misled.objective == pytest.approx(plain.objective, rel=1e-9)
    assert misled.lower_bound <= plain.objective * (1 + 1e-12)


def test_the_tail_of_the_latest_weights_is_told_without_a_pass():
    returns = heavy_tailed(2, 500, 5)
    x = np.linspace(0.1, 0.3, 5)
    scenarios, fresh = ArrayScenarios(returns), ArrayScenarios(returns)
    scenarios.tail_rows(x, LEVEL, None, 10, 10)
    before = scenarios.passes
    for told, seen in zip(scenarios.tail(x, LEVEL, None), fresh.tail(x, LEVEL, None), strict=True):
        assert_same_bits(told, seen)
    assert scenarios.passes == before
    assert_same_bits(scenarios.es_var(-x, LEVEL, None), fresh.es_var(-x, LEVEL, None))
    assert scenarios.passes == before + 1


@pytest.mark.parametrize("upper", [np.inf, 1.0, 0.1], ids=str)
@pytest.mark.parametrize("lower", [0.0, -0.3])
def test_a_search_begins_inside_bounds_and_budget(lower, upper):
    program = textbook.plain_program(
        heavy_tailed(3, 600, 30), 0.95, lower=np.full(30, lower), upper=np.full(30, upper)
    )  # fmt: skip
    sizes = asset_sizes(program)
    s = scaled(program, position_size(program), typical_size(sizes), sizes)
    v, slack = interior(s, None)
    assert np.minimum(v - s.lower, s.upper - v).min() >= slack * (1 - 1e-9) > 0
    assert np.abs(s.A_eq @ v - s.b_eq).max() <= 1e-14


def test_what_rounding_leaves_of_a_variable_violates_no_row():
    program = textbook.plain_program(
        heavy_tailed(3, 600, 3), 0.95, A_ub=np.array([[1.0, -1.0, 0.0]]), b_ub=np.zeros(1), names_ub=("",)
    )  # fmt: skip
    s = scaled(program, position_size(program), 1.0)
    # Of the row's terms it is all.
    assert violation(s, np.array([1e-30, 0.0, 1.0])) <= ALLOWED
    assert violation(s, np.array([1e-12, 0.0, 1.0])) > ALLOWED


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (0.0, 0.2), (-0.5, 0.5)], ids=str)
def test_points_of_a_frontier_are_the_optima_of_their_targets(bounds):
    returns = heavy_tailed(4, 6000, 12)
    curve = frontier(returns, 0.95, 9, bounds=bounds)
    assert curve.gap.max() <= 1e-8
    for point, target in zip(curve, curve.targets.tolist(), strict=True):
        alone = minimize_es(returns, 0.95, return_target=target, bounds=bounds)
        assert point.objective == pytest.approx(alone.objective, rel=2e-8)
        assert point.lower_bound <= alone.objective * (1 + 1e-12)
        assert point.mean >= target - 1e-9 * abs(target)


def test_targets_at_any_distances_make_a_frontier():
    returns = heavy_tailed(5, 5000, 10)
    low, high = minimize_es(returns, 0.95).mean, returns.mean(axis=0).max()
    targets = low + (high - low) * np.array([0.0, 1e-9, 0.3, 0.3, 0.31, 0.9, 0.999999])
    curve = frontier(returns, 0.95, targets=targets)
    assert curve.gap.max() <= 1e-8
    assert (np.diff(curve.es) >= -1e-8 * curve.es[1:]).all()


def test_a_curve_is_followed_inside_the_bounds():
    returns = heavy_tailed(6, 5000, 10)
    program = textbook.plain_program(returns, 0.95)
    row = -returns.mean(axis=0)[np.newaxis]
    low, high = -float(row[0] @ solver.solve(program).v), -float(row.min())
    program = replace(program, A_ub=row, b_ub=np.zeros(1), names_ub=("return_target",))
    before, last = (
        solver.solve(replace(program, b_ub=np.array([-(low + share * (high - low))]))).state for share in (0.3, 0.5)
    )
    for share in (1e-3, 1.0, 2.0):
        central = ahead(program, before, last, share).central
        assert (central.v > 0).all()
        for part in (central.below, central.rows, central.slack):
            assert (part > 0).all()
    assert ahead(program, before, last, 0.0) is last
    assert ahead(program, None, last, 1.0) is last


def test_a_search_needs_a_fifth_of_the_memory_of_its_scenarios_at_most():
    returns = heavy_tailed(7, 60_000, 100)
    minimize_es(returns[:3000], 0.95)  # what is loaded once
    tracemalloc.start()
    try:
        minimize_es(returns, 0.95)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 0.2 * returns.nbytes
