"""The solver of continuous programs against the full program, and its certificate in rational arithmetic."""

import itertools
import threading
import time
from _thread import interrupt_main
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import textbook_optimize as textbook
from portfolio_instances import heavy_tailed
from random_programs import BOUNDS, LEVELS, PROBABILITIES, RETURNS, random_program
from scipy.optimize import linprog

import cshortfall
from cshortfall.optimize import _cuts as cutting
from cshortfall.optimize import _smoothing as smoothing
from cshortfall.optimize import _solver as solver
from cshortfall.optimize import minimize_es
from cshortfall.optimize._blocks import BlockScenarios
from cshortfall.optimize._errors import (
    InfeasibleError,
    IterationLimitError,
    OptimizationError,
    TimeLimitError,
    UnboundedError,
)
from cshortfall.optimize._program import RiskTerm
from cshortfall.optimize._scenarios import row_losses

TOL = 1e-8


@pytest.fixture(params=["direct", "cuts"])
def way(request, monkeypatch):
    """All scenarios in one master program, or the way of large programs: samples first, then cuts."""
    if request.param == "cuts":
        monkeypatch.setattr(solver, "DIRECT", 0)
        monkeypatch.setattr(solver, "DIRECT_PER_VARIABLE", 0)
        monkeypatch.setattr(smoothing, "LEAST_SAMPLE", 100)
        monkeypatch.setattr(smoothing, "LEAST_SAMPLE_PER_ASSET", 5)
    return request.param


def unit(solution):
    """Return what a gap is relative to."""
    return max(abs(solution.objective), 1e-3 * solution.scale, np.finfo(float).tiny)


def violation(program, v):
    """Return the largest violation of bounds and rows in units of their terms."""
    size = float(np.abs(v).max(initial=np.finfo(float).tiny))
    worst = [0.0, float((program.lower - v).max() / size), float((v - program.upper).max() / size)]
    for rows, sides, excess in (
        (program.A_eq, program.b_eq, np.abs),
        (program.A_ub, program.b_ub, lambda surplus: surplus),
    ):
        terms = np.abs(rows) @ np.abs(v) + np.abs(sides) + np.finfo(float).tiny
        worst.append(float((excess(rows @ v - sides) / terms).max(initial=0.0)))
    return max(worst)


def excess_of_limits(program, solution):
    """Return what ES limits are exceeded by, in units of their size or of the assets' deviation."""
    v = solution.v
    return max(
        (
            (textbook.term_es(limit.term, v) + float(limit.slope @ v) - limit.limit)
            / max(abs(limit.limit), 1e-3 * solution.scale)
            for limit in program.limits
        ),
        default=0.0,
    )


def assert_agrees(program, tol=TOL):
    """The solver ends as the full program does: with the same value, or the same kind of error."""
    try:
        expected = textbook.solve(program)
    except OptimizationError as error:
        if type(error) is OptimizationError:
            return None  # HiGHS could tell nothing
        with pytest.raises(type(error)):
            solver.solve(program, tol=tol)
        return None
    solution = solver.solve(program, tol=tol)
    size = unit(solution)
    # HiGHS meets its own rows to 1e-10 of the largest loss.
    rounding = 1e-9 * size
    assert abs(solution.objective - expected.objective) <= 2 * tol * size + rounding
    assert solution.lower_bound <= expected.objective + rounding
    assert solution.gap <= tol
    assert violation(program, solution.v) <= 1e-12
    assert excess_of_limits(program, solution) <= 1e-9
    assert solution.objective == pytest.approx(textbook.objective(program, solution.v), rel=1e-15, abs=0.0)
    if not program.limits:
        assert solution.gap >= -1e-15
    return solution


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("returns", [kind for kind in RETURNS if kind != "mixed"])
def test_every_kind_of_scenarios_gives_the_optimum_of_the_full_program(way, returns, seed):
    assert_agrees(random_program(1000 + seed, returns=returns, budget=1.0, probabilities="equal").program)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("probabilities", PROBABILITIES)
@pytest.mark.parametrize("returns", ["normal", "integer"])
def test_every_kind_of_probabilities_gives_the_optimum_of_the_full_program(way, probabilities, returns, seed):
    program = random_program(
        2000 + seed, returns=returns, probabilities=probabilities, question="es", bounds="long", budget=1.0
    ).program
    assert_agrees(program)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", LEVELS)
def test_every_kind_of_level_gives_the_optimum_of_the_full_program(way, level, seed):
    assert_agrees(random_program(3000 + seed, level=level, probabilities="equal", returns="heavy", budget=1.0).program)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("rows", ["none", "target", "most", "too much", "many"])
def test_every_kind_of_constraints_gives_the_optimum_of_the_full_program(way, bounds, rows, seed):
    program = random_program(
        4000 + seed, bounds=bounds, rows=rows, returns="normal", probabilities="equal", budget=1.0
    ).program
    assert_agrees(program)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("question", ["es", "mean", "mixture", "base", "part", "limit", "limit and es", "worst"])
@pytest.mark.parametrize("budget", [1e6, 1e-3])
def test_positions_of_any_size_have_the_optimum_of_the_full_program(way, question, budget, seed):
    program = random_program(
        5000 + seed, question=question, budget=budget, bounds="long", returns="heavy", probabilities="equal"
    ).program
    assert_agrees(program)


def test_fewer_scenarios_than_assets_have_the_optimum_of_the_full_program(way):
    for seed in range(20):
        assert_agrees(random_program(seed, scenarios=4, assets=30, returns="heavy", budget=1.0, question="es").program)


def test_constraints_that_contradict_each_other_and_objectives_without_end_are_told_apart(way):
    program = textbook.plain_program(heavy_tailed(0, 60, 3), 0.9)
    with pytest.raises(InfeasibleError):
        solver.solve(replace(program, upper=np.full(3, 0.3)))
    gain = -np.array([1.0, 2.0, 3.0])
    with pytest.raises(UnboundedError) as caught:
        solver.solve(replace(program, cost=gain, lower=np.full(3, -np.inf)))
    ray = caught.value.ray
    assert ray.sum() == pytest.approx(0.0, abs=1e-12)
    assert gain @ ray + textbook.term_es(program.terms[0], ray) < 0


# The certificate


class Rebuilt:
    """The bound of a search in rational arithmetic: from its multipliers and its densities, scenario by scenario."""

    def __init__(self, program, monkeypatch, tol=TOL):
        self.search = solver._Search(program, tol, solver._Clock(None), None)
        known, repaired = {}, []
        solve_master, repair = solver.solve_master, cutting._repaired

        def repaired_and_kept(*parts):
            repaired.append(repair(*parts))
            return repaired[-1]

        def recorded(scaled, minorants, *rest):
            repaired.clear()
            end = solve_master(scaled, minorants, *rest)
            if end.attested is not None:
                cuts = [list(model.cuts) for model in self.search.models]
                densities = [(by_cut, by_scenario) for by_cut, by_scenario, _ in repaired]
                known[id(end.attested.limits)] = (end.attested, minorants, cuts, densities)
            return end

        with monkeypatch.context() as patch:
            patch.setattr(solver, "solve_master", recorded)
            patch.setattr(cutting, "_repaired", repaired_and_kept)
            self.search.begin(None)
            self.search.run(100)
        self.certificate = self.search.certificate
        self.attested, self.minorants, self.cuts, self.repaired = known[id(self.certificate.limits)]

    def densities(self):
        """Yield the term, its multiplier and its density times the multiplier, by scenario."""
        s = self.search.s
        for number, (term, known, cuts) in enumerate(zip(s.terms, self.minorants, self.cuts, strict=True)):
            limit = number - len(s.weights)
            multiplier = s.weights[number] if limit < 0 else float(self.attested.limits[limit])
            by_cut, by_scenario = self.repaired[number]
            caps = self._caps(term)
            density = [Fraction(0)] * term.n_scenarios
            for cut, weight in zip(cuts, by_cut.tolist(), strict=True):
                loss = solver_losses(term, cut.quantities)
                for scenario, own in enumerate(loss):
                    share = 1.0 if own > cut.var else cut.share if own == cut.var else 0.0
                    density[scenario] += Fraction(weight) * Fraction(share) * caps[scenario]
            for scenario, weight in zip(known.band.index.tolist(), by_scenario.tolist(), strict=True):
                density[scenario] = Fraction(weight)
            yield term, limit, Fraction(multiplier), density, caps

    @staticmethod
    def _caps(term):
        p = term.scenarios.probabilities
        own = [1.0 / term.n_scenarios] * term.n_scenarios if p is None else p.tolist()
        return [Fraction(one) / Fraction(term.mass) for one in own]

    def bound(self):
        """Return the bound of the scaled objective and the size of the numbers that make it up."""
        s = self.search.s
        cost = list(map(Fraction, s.cost.tolist()))
        constant = Fraction(0)
        for term, limit, multiplier, density, caps in self.densities():
            assert all(
                0 <= own <= multiplier * cap * (1 + Fraction(1, 10**12)) for own, cap in zip(density, caps, strict=True)
            )
            assert abs(sum(density) - multiplier) <= multiplier / 10**12
            rows = np.asarray(term.scenarios.rows, float) * term.scale
            rows = term.exposed(rows).tolist()
            base = np.zeros(term.n_scenarios) if term.base is None else term.base * term.scale
            for own, row, fixed in zip(density, rows, base.tolist(), strict=True):
                if own:
                    constant -= own * Fraction(fixed)
                    for place, value in enumerate(row):
                        cost[place] -= own * Fraction(value)
            if limit >= 0:
                row = s.limits[limit]
                constant -= multiplier * Fraction(float(row.limit))
                for place, value in enumerate(row.slope.tolist()):
                    cost[place] += multiplier * Fraction(value)
        pi, nu = self.certificate.pi, self.certificate.nu
        assert (nu >= 0).all()
        for multipliers, rows, sides, sign in ((pi, s.A_eq, s.b_eq, 1), (nu, s.A_ub, s.b_ub, -1)):
            for own, row, side in zip(multipliers.tolist(), rows.tolist(), sides.tolist(), strict=True):
                constant += sign * Fraction(own) * Fraction(side)
                for place, value in enumerate(row):
                    cost[place] -= sign * Fraction(own) * Fraction(value)
        poly = self.certificate._polyhedron
        for own, low, high in zip(cost, poly.lower.tolist(), poly.upper.tolist(), strict=True):
            constant += min(own * Fraction(low), own * Fraction(high))
        return float(constant)


def solver_losses(term, quantities):
    """Return the losses of a scaled term, the bits of a pass."""
    rows = np.asarray(term.scenarios.rows, float) * term.scale
    return row_losses(rows, quantities, None if term.base is None else term.base * term.scale).tolist()


@pytest.mark.parametrize("returns", RETURNS)
@pytest.mark.parametrize("question", ["es", "mixture", "base", "part", "mean", "limit"])
def test_the_bound_is_that_of_admissible_densities_in_rational_arithmetic(way, monkeypatch, returns, question):
    program = random_program(
        7, scenarios=150, assets=4, returns=returns, question=question, bounds="capped", rows="none", level="0.9",
        probabilities="random", budget=1.0,
    ).program  # fmt: skip
    # Limits that some weights keep: near the ES of equal weights there may be none.
    program = replace(
        program, limits=tuple(replace(limit, limit=limit.limit + 0.3 * abs(limit.limit)) for limit in program.limits)
    )
    rebuilt = Rebuilt(program, monkeypatch)
    attested = rebuilt.attested
    size = max(1.0, float(np.abs(attested.cost).max()), abs(attested.constant))
    assert rebuilt.certificate.bound <= rebuilt.bound() + 1e-13 * size


def stationarity(program, solution):
    """Return how far the least stationary point of the Lagrangian is from zero, over the densities of each tail."""
    v, n = solution.v, program.n_variables
    constant = program.cost - program.A_eq.T @ solution.duals_eq - program.A_ub.T @ solution.duals_ub
    constant = constant - solution.duals_bounds
    columns, caps, masses = [], [], []
    multipliers = [weight for weight, _ in program.risks] + [-dual for dual in solution.duals_limits]
    for limit, dual in zip(program.limits, solution.duals_limits, strict=True):
        constant = constant - dual * limit.slope
    for multiplier, term in zip(multipliers, program.terms, strict=True):
        rows, base, cap = textbook.outcomes(term)
        loss = -(rows @ v[: program.n_assets] + base)
        var = term.scenarios.es_var(
            v[: program.n_assets] * (1.0 if term.exposure is None else term.exposure), term.level, term.base
        )[1]
        edge = np.abs(loss - var) <= 1e-7 * max(np.abs(loss).max(), 1e-300)
        constant[: program.n_assets] -= multiplier * (cap[(loss > var) & ~edge] @ rows[(loss > var) & ~edge])
        columns.append(np.vstack([-multiplier * rows[edge].T, np.zeros((n - program.n_assets, edge.sum()))]))
        caps.append(cap[edge])
        masses.append(1.0 - cap[(loss > var) & ~edge].sum())
    size = max(1e-300, float(np.abs(solution.duals_eq).max(initial=0.0)), solution.scale)
    matrix = np.hstack(columns) / size
    count = matrix.shape[1]
    blocks = np.zeros((len(caps), count + 1))
    start = 0
    for row, own in zip(blocks, caps, strict=True):
        row[start : start + own.size] = 1.0
        start += own.size
    ones = np.ones((n, 1))
    answer = linprog(
        np.append(np.zeros(count), 1.0),
        A_ub=np.vstack([np.hstack([matrix, -ones]), np.hstack([-matrix, -ones])]),
        b_ub=np.concatenate([-constant / size, constant / size]),
        A_eq=blocks,
        b_eq=np.array(masses),
        bounds=[*((0.0, own) for own in np.concatenate(caps)), (0.0, None)],
        method="highs",
    )
    assert answer.status == 0
    return float(answer.fun)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("question", ["es", "mean", "limit", "two limits", "worst"])
def test_multipliers_prove_that_the_weights_are_optimal(way, question, seed):
    program = random_program(
        6000 + seed, scenarios=150, assets=5, returns="normal", probabilities="equal", level="0.9", question=question,
        bounds=("long", "capped", "short")[seed % 3], rows=("target", "group", "many", "none")[seed % 4], budget=1.0,
    ).program  # fmt: skip
    try:
        solution = solver.solve(program)
    except InfeasibleError:
        return
    v, room = solution.v, 1e-6 * unit(solution)
    assert (solution.duals_ub <= room).all()
    assert (solution.duals_limits <= 1e-9).all()
    assert np.abs(solution.duals_ub * (program.b_ub - program.A_ub @ v)).max(initial=0.0) <= room
    for own, at, lower, upper in zip(solution.duals_bounds, v, program.lower, program.upper, strict=True):
        bound = lower if own > 0 else upper
        assert abs(own) <= room if np.isinf(bound) else abs(own * (at - bound)) <= room
    assert stationarity(program, solution) <= 1e-6


# The ways that scenarios come in


def test_objective_has_the_bits_of_the_es_of_the_profit_and_loss(way):
    returns = heavy_tailed(3, 900, 6)
    result = minimize_es(returns, 0.975)
    assert result.objective == result.es == cshortfall.es(returns @ result.weights, 0.975)


@pytest.mark.parametrize("probabilities", [None, "given"])
def test_blocks_give_the_weights_of_an_array(way, probabilities):
    returns = heavy_tailed(4, 3000, 7)
    p = None if probabilities is None else np.random.default_rng(0).random(3000)
    size = 700

    def blocks():
        for start in range(0, 3000, size):
            rows = returns[start : start + size]
            yield rows if p is None else (rows, p[start : start + size])

    program = textbook.plain_program(returns, 0.95, p)
    outside = BlockScenarios(blocks)
    assert outside.tail_mass(0.95) == program.terms[0].scenarios.tail_mass(0.95)
    in_array = solver.solve(program)
    in_blocks = solver.solve(replace(program, risks=((1.0, RiskTerm(outside, 0.95)),)))
    assert in_blocks.gap <= TOL
    assert in_blocks.objective == pytest.approx(in_array.objective, rel=2 * TOL)
    assert in_blocks.objective == program.terms[0].scenarios.es_var(in_blocks.v, 0.95, None)[0]


@pytest.mark.parametrize("layout", ["fortran", "float32", "float32 fortran", "memmap", "strided", "reversed"])
def test_storage_does_not_matter(way, layout, tmp_path):
    returns = heavy_tailed(5, 1500, 6).astype(np.float32).astype(float)
    if layout == "memmap":
        stored = np.memmap(tmp_path / "returns", dtype=float, mode="w+", shape=returns.shape)
        stored[:] = returns
    else:
        stored = {
            "fortran": np.asfortranarray(returns),
            "float32": returns.astype(np.float32),
            "float32 fortran": np.asfortranarray(returns.astype(np.float32)),
            "strided": np.repeat(returns, 2, axis=1)[:, ::2],
            "reversed": np.ascontiguousarray(returns[::-1])[::-1],
        }[layout]
    best = minimize_es(returns, 0.975)
    result = minimize_es(stored, 0.975)
    assert result.gap <= TOL
    assert result.es == pytest.approx(best.es, rel=2 * TOL)
    np.testing.assert_allclose(result.weights, best.weights, atol=1e-6)


def test_order_of_scenarios_and_copies_of_them_do_not_matter(way):
    returns = heavy_tailed(6, 500, 5)
    best = minimize_es(returns, 0.95).es
    assert minimize_es(returns[np.random.default_rng(0).permutation(500)], 0.95).es == pytest.approx(best, rel=2e-8)
    assert minimize_es(np.repeat(returns, 3, axis=0), 0.95).es == pytest.approx(best, rel=2e-8)


# Ends before the optimum


def ended(program, **options):
    """Return the solution or the error that a search ends with."""
    try:
        return solver.solve(program, **options), None
    except OptimizationError as error:
        return None, error


def test_a_time_limit_ends_a_long_search_soon():
    rng = np.random.default_rng(0)
    program = textbook.plain_program(rng.standard_normal((200_000, 50)), 0.975)
    begun = time.perf_counter()
    with pytest.raises(TimeLimitError) as caught:
        solver.solve(program, tol=1e-15, time_limit=0.01)
    # A step between two looks at the clock takes a few hundredths of a second.
    assert time.perf_counter() - begun < 5.0
    assert caught.value.lower_bound <= (np.inf if caught.value.value is None else caught.value.value)


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_an_iteration_limit_leaves_the_best_weights(way, limit):
    program = textbook.plain_program(heavy_tailed(7, 3000, 20), 0.95)
    best = solver.solve(program)
    end, error = ended(program, tol=1e-18, max_iterations=limit)
    if error is None:
        assert end.iterations <= limit
    else:
        assert isinstance(error, IterationLimitError)
        assert error.value == textbook.objective(program, error.weights)
        assert violation(program, error.weights) <= 1e-12
        assert error.lower_bound <= best.objective * (1 + 1e-12)
        assert error.value >= best.lower_bound * (1 - 1e-12)


def test_what_a_callback_sees_gets_better_only(way):
    seen = []
    solution = solver.solve(textbook.plain_program(heavy_tailed(8, 3000, 30), 0.95), callback=seen.append)
    assert [one.iteration for one in seen] == list(range(len(seen)))
    for before, after in itertools.pairwise(seen):
        assert after.value <= before.value
        assert after.lower_bound >= before.lower_bound
        assert after.seconds >= before.seconds
    assert seen[-1].value >= solution.objective >= seen[-1].lower_bound * (1 - 1e-12)


def test_a_callback_that_returns_true_ends_the_search(way):
    program = textbook.plain_program(heavy_tailed(9, 3000, 30), 0.95)
    with pytest.raises(OptimizationError, match="callback") as caught:
        solver.solve(program, tol=1e-18, callback=lambda progress: True)
    assert violation(program, caught.value.weights) <= 1e-12


def test_an_error_of_a_callback_comes_through(way):
    def fail(progress):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        solver.solve(textbook.plain_program(heavy_tailed(9, 3000, 30), 0.95), callback=fail)


def test_an_interrupted_search_leaves_nothing_behind():
    program = textbook.plain_program(heavy_tailed(10, 20_000, 30), 0.95)
    best = solver.solve(program)
    timer = threading.Timer(0.1, interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        any(solver.solve(program) is None for _ in itertools.count())
    timer.join()
    again = solver.solve(program)
    np.testing.assert_array_equal(again.v, best.v)
    assert again.lower_bound == best.lower_bound


def test_searches_in_threads_do_not_disturb_each_other():
    program = textbook.plain_program(heavy_tailed(11, 5_000, 20), 0.95)
    best = solver.solve(program)
    found = [None] * 4

    def search(place):
        found[place] = solver.solve(program).v

    threads = [threading.Thread(target=search, args=(place,)) for place in range(len(found))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for v in found:
        np.testing.assert_array_equal(v, best.v)


def test_two_solutions_of_one_program_have_the_same_bits(way):
    program = textbook.plain_program(heavy_tailed(12, 3000, 20), 0.95)
    np.testing.assert_array_equal(solver.solve(program).v, solver.solve(program).v)


# What once went wrong


@pytest.mark.parametrize("seed", [3035, 3066, 3151, 3190, 3597, 3962])
def test_an_objective_without_end_is_told_whatever_the_scenarios(way, seed):
    with pytest.raises(UnboundedError):
        solver.solve(random_program(seed).program)


def test_few_iterations_are_enough_to_tell_an_objective_without_end(way):
    program = textbook.plain_program(heavy_tailed(13, 2000, 5), 0.9, cost=-np.arange(5.0), lower=np.full(5, -np.inf))
    with pytest.raises(UnboundedError):
        solver.solve(program, max_iterations=1)


def test_an_objective_without_end_and_without_rows_is_told(way):
    program = textbook.plain_program(
        heavy_tailed(13, 2000, 5), 0.9, cost=-np.arange(5.0), lower=np.full(5, -np.inf), A_eq=np.zeros((0, 5)),
        b_eq=np.zeros(0), names_eq=(),
    )  # fmt: skip
    with pytest.raises(UnboundedError):
        solver.solve(program)


def test_free_weights_of_rounded_returns_have_an_optimum():
    program = random_program(
        53, scenarios=10_000, assets=3, returns="rounded", probabilities="equal", level="0.975", bounds="free",
        rows="target", question="mean", budget=1.0,
    ).program  # fmt: skip
    assert solver.solve(program).gap <= TOL


def test_free_weights_of_heavy_tails_are_found_before_cuts_are_made():
    returns = 0.01 * np.random.default_rng(0).standard_t(4, (20_000, 20)) + 3e-4
    assert solver.solve(textbook.plain_program(returns, 0.975, lower=np.full(20, -np.inf))).iterations <= 4


@pytest.mark.parametrize("returns", ["constant", "cash", "duplicated"])
def test_one_point_and_the_worst_of_two_es_need_no_search(returns):
    program = random_program(
        0, scenarios=1500, assets=1, returns=returns, probabilities="equal", level="0.975", bounds="all fixed",
        rows="none", question="worst", budget=1.0,
    ).program  # fmt: skip
    assert solver.solve(program).gap <= TOL


@pytest.mark.parametrize("seed", [1003, 3330])
def test_hardly_any_room_between_rows_and_bounds_divides_nothing_by_zero(way, seed):
    kinds = {"returns": "collinear", "budget": 1.0, "probabilities": "equal"} if seed == 1003 else {}
    assert_agrees(random_program(seed, **kinds).program)


def test_rows_that_are_nearly_parallel_are_met():
    returns = [[0.01, -0.02], [-0.03, 0.01], [0.02, 0.03]]
    wedge = {"A_ub": [[1, -1], [-1, 0.999]], "b_ub": [0, -9e-4]}
    np.testing.assert_allclose(minimize_es(returns, 0.5, budget=None, **wedge).weights, 0.9, rtol=1e-6)


@pytest.mark.parametrize("seed", [19, 1571, 3001, 3752])
def test_multipliers_belong_to_bounds_of_the_program_and_not_to_those_that_follow(way, seed):
    program = random_program(seed).program
    solution = solver.solve(program)
    bound = np.where(solution.duals_bounds > 0, program.lower, program.upper)
    size = np.abs(solution.duals_eq).max() + solution.scale
    held = np.isfinite(bound) & (np.abs(solution.v - bound) <= 1e-7 * np.abs(solution.v).max())
    assert np.abs(solution.duals_bounds[~held]).max(initial=0.0) <= 1e-7 * size


@pytest.mark.parametrize("seed", [216, 3019])
def test_a_limit_that_weights_hold_exactly_is_no_obstacle(way, seed):
    assert solver.solve(random_program(seed).program).gap <= TOL


@pytest.mark.parametrize("bounds", ["long", "capped", "short"])
@pytest.mark.parametrize("seed", range(8))
def test_columns_of_every_size_are_solved(way, bounds, seed):
    program = random_program(
        seed, scenarios=400, assets=5, returns="mixed", probabilities="equal", level="half", bounds=bounds, rows="none",
        question="es", budget=1.0,
    ).program  # fmt: skip
    assert solver.solve(program).gap <= TOL


@pytest.mark.parametrize("limit", [1e-6, 0.005, 0.01, 0.02, 0.05])
@pytest.mark.parametrize("lower", [0.0, -np.inf])
def test_what_a_time_limit_leaves_satisfies_the_constraints(limit, lower):
    program = textbook.plain_program(heavy_tailed(14, 20_000, 60), 0.975, lower=np.full(60, lower))
    _, error = ended(program, tol=1e-15, time_limit=limit)
    if error is not None:
        assert isinstance(error, TimeLimitError)
        assert error.weights is None or violation(program, error.weights) <= 1e-12
        assert f"{limit:g} seconds" in str(error)
