"""The vocabulary of constraints: what each word means, and how mistakes are answered."""

from itertools import combinations

import numpy as np
import pytest
import textbook_optimize as textbook
from portfolio_instances import heavy_tailed
from scipy.optimize import Bounds

import cshortfall
from cshortfall.optimize import Constraints, ESLimit, maximize_ratio, maximize_return, minimize_es, track

RETURNS = heavy_tailed(0, 60, 4)
LEVEL = 0.9
# Feasibility tolerance of weights of size one.
ROOM = 1e-9


def solved(**keywords):
    result = minimize_es(RETURNS, LEVEL, **keywords)
    assert 0 <= result.gap <= 1e-8
    return result


def least(A_ub=(), b_ub=(), A_eq=((1, 1, 1, 1),), b_eq=(1,), lower=0.0, upper=np.inf):
    """Return the least ES by the slow twin."""
    program = textbook.plain_program(
        RETURNS,
        LEVEL,
        lower=np.broadcast_to(np.asarray(lower, dtype=float), 4),
        upper=np.broadcast_to(np.asarray(upper, dtype=float), 4),
        A_ub=np.array(A_ub, dtype=float).reshape(-1, 4),
        b_ub=np.array(b_ub, dtype=float),
        A_eq=np.array(A_eq, dtype=float).reshape(-1, 4),
        b_eq=np.array(b_eq, dtype=float),
    )
    return textbook.solve(program).objective


def test_weights_are_long_only_and_sum_to_one_by_default():
    result = solved()
    assert result.weights.min() >= 0
    assert result.weights.sum() == pytest.approx(1.0, abs=ROOM)


@pytest.mark.parametrize("budget", [0.5, 2.0, -1.0, 0.0])
def test_budget_is_the_sum_of_the_weights(budget):
    result = solved(budget=budget, bounds=(-1, 2))
    assert result.weights.sum() == pytest.approx(budget, abs=ROOM)
    assert result.es == pytest.approx(least(b_eq=(budget,), lower=-1, upper=2), rel=1e-7, abs=1e-12)


def test_budget_may_be_a_range_or_absent():
    ranged = solved(budget=(0.9, 1.0), return_target=0.0005)
    assert 0.9 - ROOM <= ranged.weights.sum() <= 1.0 + ROOM
    assert ranged.es < solved(budget=1.0, return_target=0.0005).es
    assert ranged.duals["budget lower"] > 0
    free = solved(budget=None)
    assert free.es == pytest.approx(0.0, abs=1e-12)
    assert "budget" not in free.duals


@pytest.mark.parametrize(
    "bounds",
    [
        (0.1, 0.3),
        [(0.1, 0.3)] * 4,
        np.array([[0.1, 0.3]] * 4),
        ([0.1] * 4, 0.3),
        (np.full(4, 0.1), np.full(4, 0.3)),
        dict.fromkeys(range(4), (0.1, 0.3)),
        (dict.fromkeys(range(4), 0.1), dict.fromkeys(range(4), 0.3)),
        Bounds(0.1, 0.3),
        Bounds(np.full(4, 0.1), np.full(4, 0.3)),
    ],
)
def test_bounds_may_be_written_in_many_ways(bounds):
    assert solved(bounds=bounds).es == pytest.approx(least(lower=0.1, upper=0.3), rel=1e-7)


def test_open_bounds():
    free = least(lower=-np.inf)
    for bounds in [None, (None, None), (-np.inf, np.inf), [(None, None)] * 4]:
        assert solved(bounds=bounds).es == pytest.approx(free, rel=1e-7)
    assert solved(bounds=(None, 0.5)).es == pytest.approx(least(lower=-np.inf, upper=0.5), rel=1e-7)


def test_assets_that_bounds_leave_out_are_long_only():
    result = solved(bounds={1: (0.3, 0.4)})
    assert result.es == pytest.approx(least(lower=[0, 0.3, 0, 0], upper=[np.inf, 0.4, np.inf, np.inf]), rel=1e-7)


def test_pairs_of_two_assets_are_not_taken_for_lower_and_upper():
    two = RETURNS[:, :2]
    result = minimize_es(two, LEVEL, bounds=((0.2, 0.3), (0, 1)))
    assert 0.2 - ROOM <= result.weights[0] <= 0.3 + ROOM


def test_a_fixed_weight_stays():
    result = solved(bounds=({0: 0.25}, {0: 0.25}))
    assert result.weights[0] == pytest.approx(0.25, abs=1e-12)


@pytest.mark.parametrize("gross", [1.0, 1.3, 2.5])
def test_gross_is_the_sum_of_absolute_weights(gross):
    result = solved(bounds=(-1, 1), gross=gross)
    signs = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1).T
    assert np.abs(result.weights).sum() <= gross + ROOM
    assert result.es == pytest.approx(least(signs, np.full(16, gross), lower=-1, upper=1), rel=1e-7)


@pytest.mark.parametrize("turnover", [0.0, 0.1, 0.5])
def test_turnover_counts_purchases_and_sales(turnover):
    current = np.array([0.7, 0.1, 0.1, 0.1])
    result = solved(current=current, turnover=turnover)
    signs = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1).T
    assert np.abs(result.weights - current).sum() <= turnover + ROOM
    assert result.es == pytest.approx(least(signs, turnover + signs @ current), rel=1e-7)
    assert result.trades == pytest.approx(result.weights - current, abs=1e-15)


def test_current_holdings_by_name():
    one = solved(current={0: 0.7, 1: 0.3}, turnover=0.2)
    other = solved(current=[0.7, 0.3, 0.0, 0.0], turnover=0.2)
    assert one.objective == other.objective
    assert solved(current=0, turnover=1.0).es == pytest.approx(solved().es, rel=1e-7)


def test_turnover_from_cash_is_gross():
    one = solved(bounds=(-1, 1), current=0, turnover=1.4)
    assert one.es == pytest.approx(solved(bounds=(-1, 1), gross=1.4).es, rel=1e-7)


@pytest.mark.parametrize("members", [[0, 2], (0, 2), np.array([0, 2]), np.array([True, False, True, False])])
def test_groups_limit_sums_of_weights(members):
    result = solved(groups={"pair": (members, 0.3, 0.35)})
    assert result.es == pytest.approx(least([[-1, 0, -1, 0], [1, 0, 1, 0]], [-0.3, 0.35]), rel=1e-7)
    assert {"group pair lower", "group pair upper"} <= set(result.duals)


def test_open_sides_of_groups_are_no_rows():
    result = solved(groups={"pair": ([0, 1], None, 0.3), "other": ([2], 0.1, np.inf)})
    assert [name for name in result.duals if name.startswith("group")] == ["group pair upper", "group other lower"]


def test_rows_as_for_linprog():
    A_ub, b_ub = [[1.0, -1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 2.0]], [-0.1, np.inf]
    A_eq, b_eq = [0.0, 0.0, 1.0, -1.0], 0.05
    result = solved(A_ub=A_ub, b_ub=b_ub, A_eq=[A_eq], b_eq=b_eq)
    best = least(A_ub[:1], b_ub[:1], [[1, 1, 1, 1], A_eq], [1, b_eq])
    assert result.es == pytest.approx(best, rel=1e-7)
    assert "A_ub[0]" in result.duals
    assert "A_ub[1]" not in result.duals
    assert "A_eq[0]" in result.duals


def test_return_target_is_reached():
    for target in [-1.0, 0.0005, RETURNS.mean(axis=0).max()]:
        result = solved(return_target=target)
        assert result.mean >= target - 1e-12
        assert result.es == pytest.approx(least([-RETURNS.mean(axis=0)], [-target]), rel=1e-7)


@pytest.mark.parametrize("cardinality", [1, 2, 3, 4])
def test_cardinality_is_the_best_of_all_subsets(cardinality):
    result = solved(cardinality=cardinality)
    best = min(
        least(upper=[np.inf if i in chosen else 0.0 for i in range(4)])
        for chosen in combinations(range(4), cardinality)
    )
    assert np.count_nonzero(np.abs(result.weights) > ROOM) <= cardinality
    assert result.es == pytest.approx(best, rel=1e-7)
    assert result.duals == {}


def test_cardinality_of_long_and_short_positions():
    result = solved(cardinality=2, bounds=(-0.5, 1.5))
    best = min(
        least(lower=[-0.5 * (i in pair) for i in range(4)], upper=[1.5 * (i in pair) for i in range(4)])
        for pair in combinations(range(4), 2)
    )
    assert result.es == pytest.approx(best, rel=1e-7)


def test_cardinality_needs_finite_bounds():
    with pytest.raises(ValueError, match=r"cardinality and min_position need finite bounds.*asset 0"):
        solved(cardinality=2, bounds=None)
    # They may follow from other constraints.
    assert np.count_nonzero(solved(cardinality=2, bounds=None, gross=1.5).weights.round(9)) <= 2


def test_min_position_leaves_nothing_in_between():
    result = solved(min_position=0.3)
    held = np.abs(result.weights) > ROOM
    assert (result.weights[held] >= 0.3 - ROOM).all()
    best = min(
        least(lower=[0.3 * (i in chosen) for i in range(4)], upper=[1.0 * (i in chosen) for i in range(4)])
        for count in (1, 2, 3)
        for chosen in combinations(range(4), count)
    )
    assert result.es == pytest.approx(best, rel=1e-7)


def test_min_position_of_long_and_short_positions():
    result = solved(min_position={0: 0.4, 1: 0.4}, bounds=(-0.6, 1))
    for weight in result.weights[:2]:
        assert abs(weight) <= ROOM or abs(weight) >= 0.4 - ROOM
    best = np.inf
    for first in [(0, 0), (0.4, 1), (-0.6, -0.4)]:
        for second in [(0, 0), (0.4, 1), (-0.6, -0.4)]:
            lower, upper = np.transpose([first, second, (-0.6, 1), (-0.6, 1)])
            best = min(best, least(lower=lower, upper=upper))
    assert result.es == pytest.approx(best, rel=1e-7)


def test_lots_are_whole_multiples():
    result = solved(lot_size=0.05)
    assert result.weights / 0.05 == pytest.approx(np.round(result.weights / 0.05), abs=1e-6)
    counts = [(a, b, c, 20 - a - b - c) for a in range(21) for b in range(21 - a) for c in range(21 - a - b)]
    best = min(cshortfall.es_of_portfolios(RETURNS, 0.05 * np.array(counts, dtype=float).T, LEVEL))
    assert result.es == pytest.approx(best, rel=1e-7)


def test_lots_of_some_assets_only():
    result = solved(lot_size={1: 0.25})
    assert 4 * result.weights[1] == pytest.approx(round(4 * result.weights[1]), abs=1e-6)
    best = min(least(lower=[0, w, 0, 0], upper=[1, w, 1, 1]) for w in (0.0, 0.25, 0.5, 0.75, 1.0))
    assert result.es == pytest.approx(best, rel=1e-7)


def test_sub_portfolio_by_mask_labels_or_multiples():
    limit = 0.5 * cshortfall.es(RETURNS[:, :2] @ solved().weights[:2], LEVEL)
    ways = [[0, 1], np.array([True, True, False, False]), {0: 1.0, 1: 1.0}, np.array([1.0, 1.0, 0.0, 0.0])]
    values = [solved(es_limits=[ESLimit(limit, LEVEL, way)]).es for way in ways]
    assert values == pytest.approx([values[0]] * 4, rel=1e-7)
    assert values[0] > solved().es
    assert solved(es_limits=ESLimit(limit, LEVEL, 0)).es >= solved().es * (1 - 1e-8)
    assert solved(es_limits=[(1.0, 0.95)]).es == pytest.approx(solved().es, rel=1e-7)


WRONG = {
    "buget": (
        {"buget": 1},
        TypeError,
        r"minimize_es\(\) got an unexpected keyword argument 'buget'; did you mean 'budget'",
    ),
    "level": ({"level": 95}, ValueError, "use level=0.95"),
    "levels": ({"level": [0.9, 0.95]}, ValueError, "level must be one number.*minimize_spectral"),
    "budget": ({"budget": "all"}, TypeError, "budget must be a number"),
    "budget_nan": ({"budget": np.nan}, ValueError, "budget must be finite"),
    "budget_range": ({"budget": (1, 0.5)}, ValueError, "budget: the lower limit 1.0 is above the upper one 0.5"),
    "bounds_crossed": ({"bounds": (0.5, 0.2)}, ValueError, "bounds leave nothing for asset 0: lower 0.5, upper 0.2"),
    "bounds_shape": ({"bounds": ([0, 0], 1)}, ValueError, r"bounds \(lower\).*shape \(4,\).*got shape \(2,\)"),
    "bounds_nan": ({"bounds": (np.nan, 1)}, ValueError, r"bounds \(lower\) must be numbers"),
    "bounds_name": ({"bounds": {9: (0, 1)}}, ValueError, r"bounds \(lower\) names 9, which is no column of returns"),
    "bounds_pair": ({"bounds": {0: 1}}, ValueError, r"bounds\[0\] must be a pair"),
    "gross": ({"gross": -1}, ValueError, "gross must not be negative, got -1"),
    "turnover": ({"turnover": 0.1}, ValueError, "turnover needs the holdings now; pass current="),
    "costs": ({"costs": 0.1}, ValueError, "costs needs the holdings now"),
    "costs_negative": ({"costs": [0, -0.1, 0, 0], "current": 0}, ValueError, "costs must not be negative.*asset 1"),
    "current": ({"current": [1, 2]}, ValueError, "current must be.*got shape \\(2,\\)"),
    "rows": ({"A_ub": [[1, 1, 1, 1]]}, ValueError, "A_ub and b_ub belong together"),
    "rows_shape": (
        {"A_ub": [[1, 1]], "b_ub": [1]},
        ValueError,
        r"A_ub must have shape \(n_rows, 4\).*got shape \(1, 2\)",
    ),
    "rows_number": ({"A_eq": [[1, 1, 1, 1]], "b_eq": [1, 2]}, ValueError, r"b_eq must have shape \(1,\)"),
    "rows_nan": ({"A_eq": [[1, 1, 1, np.nan]], "b_eq": [1]}, ValueError, r"A_eq must be finite, got A_eq\[0, 3\]"),
    "groups": ({"groups": [([0], 0, 1)]}, TypeError, "groups must be a mapping"),
    "group_form": ({"groups": {"a": [0, 1]}}, ValueError, r"groups\['a'\] must be \(members, lower, upper\)"),
    "group_empty": ({"groups": {"a": ([], 0, 1)}}, ValueError, r"groups\['a'\] is empty"),
    "group_member": ({"groups": {"a": ([7], 0, 1)}}, ValueError, r"groups\['a'\] names 7"),
    "group_mask": ({"groups": {"a": (np.array([True]), 0, 1)}}, ValueError, r"groups\['a'\] must have shape \(4,\)"),
    "target": ({"return_target": "high"}, TypeError, "return_target must be a number"),
    "cardinality": ({"cardinality": 0}, ValueError, "cardinality must be at least 1"),
    "cardinality_kind": ({"cardinality": 2.5}, TypeError, "cardinality must be an int"),
    "min_position": ({"min_position": -0.1}, ValueError, "min_position must not be negative"),
    "lot_size": ({"lot_size": [-1, 0, 0, 0]}, ValueError, "lot_size must not be negative.*asset 0"),
    "es_limits": ({"es_limits": 0.1}, TypeError, "es_limits must be a sequence of ESLimit"),
    "es_limit_kind": ({"es_limits": ["0.1"]}, TypeError, r"es_limits\[0\] must be an ESLimit"),
    "es_limit_value": ({"es_limits": [ESLimit(np.inf)]}, ValueError, r"es_limits\[0\].limit must be finite"),
    "tol": ({"tol": 0}, ValueError, "tol must be positive"),
    "tol_negative": ({"tol": -1}, ValueError, "tol must be positive"),
    "iterations": ({"max_iterations": 0}, ValueError, "max_iterations must be at least 1"),
    "time": ({"time_limit": 0}, ValueError, "time_limit must be positive"),
    "callback": ({"callback": 3}, TypeError, "callback must be callable"),
    "start": ({"start": [0.25] * 4}, TypeError, "start must be an earlier OptimizationResult"),
    "constraints": ({"constraints": {"budget": 1}}, TypeError, "constraints must be a Constraints object"),
    "mean": ({"mean": [1, 2]}, ValueError, "mean must be"),
    "mean_weight": ({"mean_weight": -1}, ValueError, "mean_weight must not be negative"),
    "probabilities": ({"probabilities": [1, 2]}, ValueError, r"probabilities must have shape \(60,\)"),
    "probabilities_negative": ({"probabilities": [-1.0] * 60}, ValueError, "probabilities must.*not.*negative"),
    "probabilities_zero": ({"probabilities": [0.0] * 60}, ValueError, "probabilities are all zero"),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_named_with_a_remedy(name):
    keywords, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        minimize_es(RETURNS, **{"level": LEVEL, **keywords})


@pytest.mark.parametrize(
    ("returns", "kind", "message"),
    [
        (RETURNS[:, 0], ValueError, "a single asset is one column"),
        (np.zeros((0, 3)), ValueError, "returns are empty"),
        (np.zeros((3, 0)), ValueError, "returns are empty"),
        ([["a", "b"]], TypeError, "returns must hold real numbers"),
        (np.where(np.arange(240).reshape(60, 4) == 9, np.nan, RETURNS), ValueError, r"returns\[2, 1\] = nan"),
        (np.where(np.arange(240).reshape(60, 4) == 9, -np.inf, RETURNS), ValueError, r"returns\[2, 1\] = -inf"),
    ],
)
def test_returns_that_are_no_scenarios(returns, kind, message):
    with pytest.raises(kind, match=message):
        minimize_es(returns, LEVEL)


def test_impossible_scenarios_may_hold_anything():
    returns = RETURNS.copy()
    returns[5] = np.nan
    possible = np.where(np.arange(60) == 5, 0.0, 1.0)
    result = minimize_es(returns, LEVEL, probabilities=possible)
    assert result.es == pytest.approx(minimize_es(np.delete(RETURNS, 5, axis=0), LEVEL).es, rel=1e-7)


def test_a_low_level_is_doubted():
    with pytest.warns(cshortfall.LevelWarning, match="level=0.05 is a confidence"):
        minimize_es(RETURNS, 0.05)


def test_other_entry_points_name_themselves():
    with pytest.raises(TypeError, match=r"track\(\) got an unexpected keyword"):
        track(RETURNS, RETURNS[:, 0], LEVEL, lots=1)
    with pytest.raises(ValueError, match=r"benchmark must have shape \(60,\)"):
        track(RETURNS, RETURNS[:5, 0], LEVEL)
    with pytest.raises(ValueError, match="es_limit must be finite"):
        maximize_return(RETURNS, np.nan, LEVEL)
    with pytest.raises(ValueError, match="whole numbers do not scale"):
        maximize_ratio(RETURNS, LEVEL, cardinality=2)


def test_constraints_show_what_was_given():
    assert repr(Constraints(bounds=(0, 0.5), cardinality=3)) == "Constraints(bounds=(0, 0.5), cardinality=3)"
    assert repr(Constraints()) == "Constraints()"


def test_input_is_never_modified():
    returns, current = RETURNS.copy(), np.full(4, 0.25)
    returns.flags.writeable = current.flags.writeable = False
    minimize_es(returns, LEVEL, current=current, turnover=0.2, costs=np.full(4, 0.001))
    assert (returns == RETURNS).all()
