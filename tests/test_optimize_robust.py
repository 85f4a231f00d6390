"""Frontiers, several sets of scenarios, and Wasserstein balls."""

from dataclasses import replace

import numpy as np
import pytest
import textbook_optimize as textbook
from portfolio_instances import INSTANCES, heavy_tailed
from scipy.optimize import minimize

import cshortfall
from cshortfall.optimize import (
    Frontier,
    InfeasibleError,
    IterationLimitError,
    UnboundedError,
    frontier,
    maximize_ratio,
    minimize_es,
    minimize_robust_es,
    minimize_worst_es,
)

RETURNS = heavy_tailed(0, 60, 4)
LEVEL = 0.9


def least(target):
    program = textbook.plain_program(RETURNS, LEVEL)
    return textbook.solve(
        replace(program, A_ub=-RETURNS.mean(axis=0)[None], b_ub=np.array([-target]), names_ub=("return_target",))
    ).objective


@pytest.mark.parametrize("n_points", [1, 2, 7])
def test_every_point_of_a_frontier_is_the_least_es_of_its_mean(n_points):
    curve = frontier(RETURNS, LEVEL, n_points)
    assert isinstance(curve, Frontier)
    assert len(curve) == len(curve.points) == n_points
    for point, target in zip(curve, curve.targets, strict=True):
        assert 0 <= point.gap <= 1e-8
        assert point.mean >= target - 1e-12
        assert point.es == pytest.approx(least(target), rel=1e-7)


def test_a_frontier_goes_from_the_least_es_to_the_largest_mean():
    curve = frontier(RETURNS, LEVEL, 5)
    assert curve.es[0] == pytest.approx(minimize_es(RETURNS, LEVEL).es, rel=1e-8)
    assert curve.mean[-1] == pytest.approx(RETURNS.mean(axis=0).max(), rel=1e-9)
    assert np.diff(curve.targets) == pytest.approx(np.full(4, np.diff(curve.targets)[0]))
    assert (np.diff(curve.es) >= -1e-8).all()
    # ES is convex in the mean.
    assert (np.diff(curve.es, 2) >= -1e-8).all()
    assert curve.ratio == pytest.approx(curve.mean / curve.es)
    assert curve[-1].es == curve.es[-1]
    assert repr(curve).startswith("Frontier of 5 points, level 0.9")
    assert len(repr(curve).splitlines()) == 7


def test_the_best_ratio_lies_on_the_frontier():
    best = maximize_ratio(RETURNS, LEVEL)
    on_curve = frontier(RETURNS, LEVEL, targets=[best.mean])[0]
    assert on_curve.es == pytest.approx(best.es, rel=1e-6)
    assert frontier(RETURNS, LEVEL, 9).ratio.max() <= best.ratio * (1 + 1e-7)


def test_a_frontier_of_given_means():
    means = [0.001, 0.0, 0.0005]
    curve = frontier(RETURNS, LEVEL, targets=means)
    assert curve.targets.tolist() == sorted(means)
    assert curve.es == pytest.approx([least(mean) for mean in sorted(means)], rel=1e-7)
    with pytest.raises(InfeasibleError, match="return_target"):
        frontier(RETURNS, LEVEL, targets=[1.0])
    with pytest.raises(ValueError, match="targets is empty"):
        frontier(RETURNS, LEVEL, targets=[])


def test_a_frontier_keeps_its_constraints():
    curve = frontier(RETURNS, LEVEL, 4, bounds=(-0.2, 0.6), gross=1.3, current=0.25, costs=0.0002, return_target=0.0002)
    weights = np.asarray(curve.weights)
    assert weights.min() >= -0.2 - 1e-9
    assert weights.max() <= 0.6 + 1e-9
    assert (np.abs(weights).sum(axis=1) <= 1.3 + 1e-9).all()
    costs = np.array([point.costs for point in curve])
    assert (curve.mean - costs >= curve.targets - 1e-12).all()
    assert costs == pytest.approx(0.0002 * np.abs(weights - 0.25).sum(axis=1))


@pytest.mark.parametrize("name", ["integer_valued", "identical_assets", "all_constant", "zeros", "small", "large"])
def test_frontiers_of_awkward_markets(name):
    returns, level, probabilities = INSTANCES[name]
    curve = frontier(returns, level, 3, probabilities=probabilities)
    assert (curve.gap <= 1e-8).all()
    assert (curve.mean >= curve.targets - 1e-9 * np.abs(returns).max()).all()


SETS = {"calm": RETURNS, "stress": 3.0 * heavy_tailed(11, 25, 4) - 0.01, "flat": heavy_tailed(12, 40, 4)}


@pytest.mark.parametrize("level", [0.9, [0.9, 0.8, 0.95]])
def test_the_worst_of_several_sets_is_least(level):
    result = minimize_worst_es(SETS, level)
    levels = np.broadcast_to(level, 3).tolist()
    losses = [cshortfall.es(rows @ result.weights, own) for rows, own in zip(SETS.values(), levels, strict=True)]
    assert result.es == pytest.approx(max(losses), rel=1e-9)
    assert result.objective == pytest.approx(max(losses), rel=1e-9)
    assert result.lower_bound <= result.objective
    assert result.gap <= 1e-8
    # The duals are a mixture of the sets that no weights do better against.
    mixture = -np.array([result.duals[f"set {name}"] for name in SETS])
    assert mixture.sum() == pytest.approx(1.0, abs=1e-7)
    risks = [
        (share, textbook.plain_program(rows, own).terms[0])
        for share, rows, own in zip(mixture, SETS.values(), levels, strict=True)
        if share > 1e-12
    ]
    best = textbook.solve(replace(textbook.plain_program(RETURNS, LEVEL), risks=tuple(risks))).objective
    assert best == pytest.approx(result.objective, rel=1e-6)


def test_one_set_is_the_plain_problem():
    assert minimize_worst_es([RETURNS], LEVEL).es == pytest.approx(minimize_es(RETURNS, LEVEL).es, rel=1e-7)
    assert minimize_worst_es([RETURNS, RETURNS], LEVEL).es == pytest.approx(minimize_es(RETURNS, LEVEL).es, rel=1e-7)


def test_sets_have_probabilities_of_their_own():
    mass = np.arange(1.0, 61.0)
    one = minimize_worst_es([RETURNS], LEVEL, probabilities=[mass])
    assert one.es == pytest.approx(minimize_es(RETURNS, LEVEL, probabilities=mass).es, rel=1e-7)
    named = minimize_worst_es({"a": RETURNS, "b": RETURNS}, LEVEL, probabilities={"b": mass})
    assert named.es >= one.es * (1 - 1e-7)


def test_sets_must_have_the_same_assets():
    with pytest.raises(ValueError, match=r"sets\[1\] must have the assets of sets\[0\]"):
        minimize_worst_es([RETURNS, RETURNS[:, :3]], LEVEL)
    with pytest.raises(ValueError, match="sets is empty"):
        minimize_worst_es([], LEVEL)
    with pytest.raises(TypeError, match="sets must be a sequence or a mapping"):
        minimize_worst_es(RETURNS[0, 0], LEVEL)
    with pytest.raises(ValueError, match=r"sets\['b'\]\[0, 0\] = nan"):
        minimize_worst_es({"a": RETURNS, "b": np.full((3, 4), np.nan)}, LEVEL)
    with pytest.raises(ValueError, match="level must be one number or one for each of 2 sets"):
        minimize_worst_es([RETURNS, RETURNS], [0.9, 0.8, 0.7])


DUALS = {1: np.inf, 2: 2, np.inf: 1}


@pytest.mark.parametrize("norm", DUALS)
@pytest.mark.parametrize("keywords", [{}, {"bounds": (-1, 1)}, {"bounds": (-1, 1), "return_target": 0.001}])
def test_the_worst_distribution_nearby_adds_a_norm(norm, keywords):
    radius = 0.0005
    result = minimize_robust_es(RETURNS, LEVEL, radius, norm, **keywords)
    penalty = radius / (1 - LEVEL)

    def value(x):
        return cshortfall.es(RETURNS @ x, LEVEL) + penalty * np.linalg.norm(x, DUALS[norm])

    assert result.objective == pytest.approx(value(result.weights), rel=1e-7)
    assert result.es == pytest.approx(cshortfall.es(RETURNS @ result.weights, LEVEL), rel=1e-12)
    assert 0 <= result.gap <= 1e-8
    assert result.lower_bound <= result.objective
    # Nothing on the way to other portfolios that are allowed is better.
    rng = np.random.default_rng(0)
    others = [minimize_es(RETURNS, LEVEL, **keywords).weights, np.full(4, 0.25)]
    others += [frontier(RETURNS, LEVEL, targets=[0.001], **keywords).weights[0], *rng.dirichlet(np.ones(4), 20)]
    for other in others:
        if "return_target" in keywords and RETURNS.mean(axis=0) @ other < 0.001:
            continue
        for step in (1e-4, 1e-2, 1.0):
            assert value(result.weights + step * (other - result.weights)) >= result.lower_bound * (1 - 1e-12)


def test_no_radius_no_penalty_and_a_large_one_equal_weights():
    for norm in DUALS:
        assert minimize_robust_es(RETURNS, LEVEL, 0.0, norm).es == pytest.approx(
            minimize_es(RETURNS, LEVEL).es, rel=1e-7
        )
    for norm in (1, 2):
        assert minimize_robust_es(RETURNS, LEVEL, 1e3, norm).weights == pytest.approx(np.full(4, 0.25), abs=1e-3)


def test_the_euclidean_norm_against_a_smooth_solver():
    """At level 0 the ES is minus the mean, and what is left is a smooth convex program."""
    result = minimize_robust_es(RETURNS, 0.0, 0.002, 2)
    mean = RETURNS.mean(axis=0)
    smooth = minimize(
        lambda x: -mean @ x + 0.002 * np.linalg.norm(x),
        np.full(4, 0.25),
        jac=lambda x: -mean + 0.002 * x / np.linalg.norm(x),
        bounds=[(0, None)] * 4,
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1, "jac": lambda x: np.ones(4)},
        options={"ftol": 1e-14},
    )
    assert result.objective == pytest.approx(smooth.fun, rel=1e-7)


def test_robust_rejects_other_norms_and_negative_radii():
    with pytest.raises(ValueError, match="norm must be 1, 2 or inf, got 3"):
        minimize_robust_es(RETURNS, LEVEL, 0.1, 3)
    with pytest.raises(ValueError, match="radius must not be negative"):
        minimize_robust_es(RETURNS, LEVEL, -0.1)


def test_holdings_of_nothing_have_no_norm():
    result = minimize_robust_es(RETURNS, LEVEL, 0.1, 2, budget=None)
    assert result.objective == pytest.approx(0.0, abs=1e-12)
    assert result.weights == pytest.approx(np.zeros(4), abs=1e-9)


def test_rounds_of_tangents_are_counted():
    result = minimize_robust_es(RETURNS, LEVEL, 0.0005, 2)
    assert result.iterations >= 2
    assert IterationLimitError.__module__ == "cshortfall.optimize"


def test_a_frontier_of_few_assets():
    curve = frontier(RETURNS, LEVEL, 3, cardinality=2, bounds=(0, 0.7))
    assert (np.count_nonzero(np.asarray(curve.weights).round(9), axis=1) <= 2).all()
    assert curve.mean[-1] == pytest.approx(np.sort(RETURNS.mean(axis=0))[-2:] @ [0.3, 0.7], rel=1e-9)
    assert (curve.gap <= 1e-8).all()


@pytest.mark.parametrize("bounds", [(None, None), (None, 1), (-1, None)])
@pytest.mark.parametrize("mean_weight", [0.0, 0.5])
def test_an_optimum_of_zero_is_certified_whatever_the_reach_of_the_weights(bounds, mean_weight):
    returns = heavy_tailed(1, 400, 40)
    returns = returns - returns.mean(axis=0)
    keywords = {"budget": None, "bounds": bounds, "mean_weight": mean_weight, "time_limit": 30}
    for result in (
        minimize_es(returns, 0.5, **keywords),
        minimize_robust_es(returns, 0.5, radius=1e-6, norm=1, **keywords),
        minimize_worst_es([returns[:200], returns[200:]], 0.25, **keywords),
    ):
        assert result.lower_bound == 0.0
        assert 0.0 <= result.objective <= 1e-8 * unit_of(returns)


def test_a_fall_without_end_is_no_optimum_of_zero():
    returns = heavy_tailed(1, 400, 40)
    returns[:, 7] = 1e-6
    with pytest.raises(UnboundedError):
        minimize_es(returns, 0.5, budget=None, bounds=None)


def unit_of(returns):
    """Return the size below which a gap is not relative any more."""
    return 1e-3 * float(np.median(returns.std(axis=0)))
