"""Optimisations that end without an optimum, and what they tell before and at their end."""

import doctest
import inspect
import io
import pickle
import sys
import time

import numpy as np
import pytest
from portfolio_instances import heavy_tailed

import cshortfall
from cshortfall.optimize import (
    Constraints,
    ESLimit,
    InfeasibleError,
    IterationLimitError,
    OptimizationError,
    Progress,
    TimeLimitError,
    UnboundedError,
    frontier,
    maximize_ratio,
    maximize_return,
    minimize_es,
)
from cshortfall.optimize._progress import Reporter

RETURNS = heavy_tailed(0, 60, 4)
LEVEL = 0.9

CONFLICTS = {
    "bounds": ({"bounds": (0, 0.2)}, {"budget", *(f"upper bound of {i}" for i in range(4))}),
    "lower_bounds": ({"bounds": (0.3, 1)}, {"budget", *(f"lower bound of {i}" for i in range(4))}),
    "gross": ({"bounds": (-1, 1), "gross": 0.5}, {"budget", "gross"}),
    "turnover": ({"current": [1, 0, 0, 0], "turnover": 0.1, "bounds": (0, 0.5)}, {"turnover", "upper bound of 0"}),
    "groups": (
        {"groups": {"a": ([0, 1], None, 0.3), "b": ([2, 3], None, 0.4), "c": ([0], 0.0, 1.0)}},
        {"budget", "group a upper", "group b upper"},
    ),
    "rows": (
        {"A_ub": [[0, 0, 0, 1], [0, 0, 0, -1]], "b_ub": [0.1, -0.2]},
        {"A_ub[0]", "A_ub[1]"},
    ),
    "equalities": ({"A_eq": [[1, 1, 1, 1]], "b_eq": [2.0]}, {"budget", "A_eq[0]"}),
    "cardinality": ({"cardinality": 2, "bounds": (0, 0.4)}, {"budget", "cardinality"}),
    "lots": ({"lot_size": 0.3}, {"budget"}),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_constraints_that_contradict_each_other_are_named(name):
    keywords, conflict = CONFLICTS[name]
    with pytest.raises(InfeasibleError, match="no weights satisfy the constraints") as caught:
        minimize_es(RETURNS, LEVEL, **keywords)
    assert conflict <= set(caught.value.conflict)
    assert caught.value.violation > 0
    for one in caught.value.conflict[:3]:
        assert one in str(caught.value)


@pytest.mark.parametrize("name", [name for name in CONFLICTS if name not in ("cardinality", "lots")])
def test_no_constraint_of_a_conflict_can_be_spared(name):
    keywords, conflict = CONFLICTS[name]
    with pytest.raises(InfeasibleError) as caught:
        minimize_es(RETURNS, LEVEL, **keywords)
    assert set(caught.value.conflict) == conflict


def test_the_violation_is_the_least_sum_over_scaled_rows():
    with pytest.raises(InfeasibleError) as caught:
        minimize_es(RETURNS, LEVEL, bounds=(0, 0.2))
    assert caught.value.violation == pytest.approx(0.2)
    with pytest.raises(InfeasibleError) as caught:
        minimize_es(RETURNS, LEVEL, A_eq=[[10, 10, 10, 10]], b_eq=[20.0])
    assert caught.value.violation == pytest.approx(1.0)


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e2])
def test_a_target_out_of_reach(scale):
    returns = scale * RETURNS
    best = returns.mean(axis=0).max()
    with pytest.raises(InfeasibleError) as caught:
        minimize_es(returns, LEVEL, return_target=1.5 * best)
    assert {"return_target", "budget"} <= set(caught.value.conflict)
    assert minimize_es(returns, LEVEL, return_target=best).mean == pytest.approx(best, rel=1e-9)


def test_names_in_conflicts_are_the_columns():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(RETURNS, columns=["AAPL", "MSFT", "XOM", "CVX"])
    with pytest.raises(InfeasibleError, match="upper bound of AAPL") as caught:
        minimize_es(frame, LEVEL, bounds=(0, 0.2))
    assert "upper bound of CVX" in caught.value.conflict


def test_names_in_conflicts_with_limits_of_es_are_the_columns():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(RETURNS, columns=["AAPL", "MSFT", "XOM", "CVX"])
    with pytest.raises(InfeasibleError) as caught:
        minimize_es(frame, LEVEL, bounds=(0, 0.6), mean=[1, 2, 3, 4], return_target=3.6, es_limits=[(0, LEVEL)])
    assert "upper bound of CVX" in caught.value.conflict


@pytest.mark.parametrize("whole", [{}, {"cardinality": 2}])
def test_of_several_limits_of_es_that_nothing_keeps_one_is_enough_for_a_conflict(whole):
    limits = [ESLimit(0, LEVEL, name="usual"), ESLimit(0, 0.5, name="lenient"), ESLimit(0, 0.97, name="rare")]
    with pytest.raises(InfeasibleError) as caught:
        minimize_es(RETURNS, LEVEL, es_limits=limits, **whole)
    assert set(caught.value.conflict) - {"cardinality"} in ({name, "budget"} for name in ("usual", "lenient", "rare"))


def test_a_budget_that_lots_miss_is_a_conflict_of_its_own():
    with pytest.raises(InfeasibleError, match="budget cannot hold by whole numbers"):
        minimize_es(RETURNS, LEVEL, lot_size=0.3)


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e2])
def test_a_limit_of_es_out_of_reach(scale):
    returns = scale * RETURNS
    least = minimize_es(returns, LEVEL).es
    with pytest.raises(InfeasibleError, match="es_limit") as caught:
        maximize_return(returns, 0.9 * least, LEVEL)
    assert {"es_limit", "budget"} <= set(caught.value.conflict)
    assert caught.value.violation == pytest.approx(0.1 * least, rel=1e-5)


def test_limits_of_es_that_contradict_a_target():
    least = minimize_es(RETURNS, LEVEL).es
    target = RETURNS.mean(axis=0).max()
    with pytest.raises(InfeasibleError) as caught:
        minimize_es(RETURNS, LEVEL, return_target=target, es_limits=[ESLimit(1.01 * least, LEVEL, name="cap")])
    assert {"cap", "return_target"} <= set(caught.value.conflict)


def test_a_free_lunch_is_a_ray():
    returns = np.column_stack([RETURNS, RETURNS[:, 0] + 0.001])
    with pytest.raises(UnboundedError) as caught:
        minimize_es(returns, LEVEL, bounds=None)
    ray = np.asarray(caught.value.ray)
    assert ray.sum() == pytest.approx(0.0, abs=1e-7)
    assert cshortfall.es(returns @ ray, LEVEL) < 0


def test_the_mean_of_long_and_short_positions_may_be_unbounded():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(RETURNS, columns=list("abcd"))
    with pytest.raises(UnboundedError) as caught:
        minimize_es(frame, LEVEL, bounds=None, mean_weight=1e4)
    assert list(caught.value.ray.index) == list("abcd")
    with pytest.raises(UnboundedError, match="bound the weights, or give targets"):
        frontier(frame, LEVEL, bounds=None)


def test_a_ratio_needs_a_positive_mean():
    with pytest.raises(InfeasibleError, match="positive mean") as caught:
        maximize_ratio(RETURNS - 1.0, LEVEL)
    assert caught.value.conflict == ("positive mean",)
    with pytest.raises(InfeasibleError, match="upper bound of 0"):
        maximize_ratio(RETURNS, LEVEL, bounds=(0, 0.1))


def test_a_ratio_needs_a_positive_es():
    with pytest.raises(UnboundedError, match="positive mean and no ES") as caught:
        maximize_ratio(RETURNS + 1.0, LEVEL)
    weights = np.asarray(caught.value.weights)
    assert weights.sum() == pytest.approx(1.0)
    assert cshortfall.es((RETURNS + 1.0) @ weights, LEVEL) <= 0 < ((RETURNS + 1.0) @ weights).mean()


def test_errors_are_optimization_errors():
    for kind in (InfeasibleError, UnboundedError, IterationLimitError, TimeLimitError):
        assert issubclass(kind, OptimizationError)
        assert issubclass(kind, RuntimeError)


def test_time_and_iteration_limits_carry_what_is_known():
    returns = heavy_tailed(8, 3000, 20)
    with pytest.raises(TimeLimitError) as caught:
        minimize_es(returns, 0.95, time_limit=1e-9)
    assert caught.value.lower_bound <= minimize_es(returns, 0.95).es


def test_the_example_of_a_time_limit_runs():
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(TimeLimitError), {}, "TimeLimitError", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0


def test_a_callback_sees_progress_and_may_stop():
    seen = []
    returns = heavy_tailed(8, 3000, 20)
    result = minimize_es(returns, 0.95, callback=seen.append)
    for progress in seen:
        assert isinstance(progress, Progress)
        assert progress.lower_bound <= result.objective * (1 + 1e-9) + 1e-15
        assert progress.value >= result.objective * (1 - 1e-7)
        assert progress.gap >= 0
        assert isinstance(progress.phase, str)
    assert [one.iteration for one in seen] == sorted(one.iteration for one in seen)


def reporter(callback, progress, seconds=0.0):
    """Return a reporter of a run that began some time ago, and what it is given."""
    return Reporter(callback, progress, time.perf_counter() - seconds), Progress(3, "cuts", 1.5, 1.25, 0.125, 0.0)


def test_only_true_and_stop_iteration_stop():
    def raising(progress):
        raise StopIteration

    for callback, stops in [(lambda p: None, False), (lambda p: 1, False), (lambda p: True, True), (raising, True)]:
        report, progress = reporter(callback, False)
        assert report(progress) is stops


def test_seconds_count_from_the_call():
    seen = []
    report, progress = reporter(seen.append, False, 5.0)
    report(progress)
    assert seen[0].seconds >= 5.0
    assert seen[0].value == progress.value


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, False), (2.1, True)])
def test_a_terminal_shows_progress_after_two_seconds(monkeypatch, plain_terminal, seconds, shown):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    report, progress = reporter(None, None, seconds)
    with report:
        assert report.needed
        report(progress)
        assert bool(terminal.getvalue()) is shown


def test_no_terminal_no_progress(monkeypatch):
    lines = io.StringIO()
    monkeypatch.setattr(sys, "stderr", lines)
    report, progress = reporter(None, None, 10.0)
    with report:
        assert not report.needed
        report(progress)
    assert lines.getvalue() == ""


def test_progress_without_rich(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for module in ("rich.console", "rich.status"):
        monkeypatch.setitem(sys.modules, module, None)
    report, progress = reporter(None, True)
    with report:
        report(progress)
        assert "iteration 3, cuts: value 1.5, bound 1.25, gap 1.2e-01, 0 s" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")


def test_errors_come_back_from_a_worker_process_as_they_were():
    calls = {
        InfeasibleError: lambda: minimize_es(RETURNS, LEVEL, bounds=(0, 0.2)),
        UnboundedError: lambda: minimize_es(RETURNS + 1.0, LEVEL, budget=None, bounds=None),
        TimeLimitError: lambda: minimize_es(heavy_tailed(0, 5000, 20), LEVEL, time_limit=1e-6),
    }
    for kind, call in calls.items():
        with pytest.raises(kind) as caught:
            call()
        again = pickle.loads(pickle.dumps(caught.value))
        assert type(again) is kind
        assert str(again) == str(caught.value)
        np.testing.assert_equal(vars(again), vars(caught.value))


def test_constraints_from_elsewhere_show_what_differs_from_the_default():
    assert repr(pickle.loads(pickle.dumps(Constraints(gross=2)))) == "Constraints(gross=2)"


def test_lots_that_a_solver_cannot_see_are_refused_and_not_called_infeasible():
    with pytest.raises(ValueError, match=r"lot_size must be 0 or at least 1e-08, got 1e-09 for asset 0"):
        minimize_es(RETURNS, LEVEL, lot_size=1e-9)


def test_returns_at_the_end_of_the_doubles_are_refused():
    with pytest.raises(ValueError, match=r"returns are near .* rescale the returns"):
        minimize_es(RETURNS * 1e-308, LEVEL)
    ordinary = minimize_es(RETURNS, LEVEL).weights
    np.testing.assert_allclose(minimize_es(RETURNS * 2.0**-1000, LEVEL).weights, ordinary, atol=1e-6)
