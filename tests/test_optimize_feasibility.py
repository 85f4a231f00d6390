"""What the rows of a program say by themselves."""

from dataclasses import replace

import numpy as np
import pytest
import textbook_optimize as textbook
from scipy.optimize import linprog

from cshortfall.optimize._feasibility import explain, implied_bounds, listed

RETURNS = np.random.default_rng(0).normal(size=(20, 4))


def program(**changes):
    plain = textbook.plain_program(RETURNS, 0.9)
    rows = np.asarray(changes.get("A_ub", plain.A_ub), dtype=float)
    names = changes.pop("names_ub", tuple(f"row {i}" for i in range(len(rows))))
    return replace(plain, **{name: np.asarray(value, dtype=float) for name, value in changes.items()}, names_ub=names)


def test_a_budget_of_weights_that_are_not_negative_bounds_them():
    lower, upper = implied_bounds(program())
    assert lower == pytest.approx(np.zeros(4), abs=1e-12)
    assert upper == pytest.approx(np.ones(4), abs=1e-12)


def test_bounds_do_not_follow_from_a_budget_alone():
    lower, upper = implied_bounds(program(lower=np.full(4, -np.inf)))
    assert np.isinf(lower).all()
    assert np.isinf(upper).all()


def test_bounds_follow_in_several_steps():
    # x0 <= 1, x1 <= x0, x2 <= x1 and x3 >= -x2.
    rows = [[1, 0, 0, 0], [-1, 1, 0, 0], [0, -1, 1, 0], [0, 0, -1, -1]]
    lower, upper = implied_bounds(
        program(A_ub=rows, b_ub=[1, 0, 0, 0], A_eq=np.zeros((0, 4)), b_eq=[], lower=[0, 0, 0, -np.inf])
    )
    assert upper[:3] == pytest.approx(np.ones(3))
    assert lower[3] == pytest.approx(-1.0)
    assert upper[3] == np.inf


@pytest.mark.parametrize("seed", range(30))
def test_implied_bounds_hold_for_every_feasible_point(seed):
    rng = np.random.default_rng(seed)
    rows = np.where(rng.random((4, 4)) < 0.6, rng.normal(size=(4, 4)), 0.0)
    inside = rng.normal(size=4)
    given = program(
        A_ub=rows,
        b_ub=rows @ inside + rng.exponential(size=4),
        A_eq=rng.normal(size=(1, 4)),
        b_eq=np.zeros(1),
        lower=np.where(rng.random(4) < 0.7, inside - rng.exponential(size=4), -np.inf),
        upper=np.where(rng.random(4) < 0.7, inside + rng.exponential(size=4), np.inf),
    )
    given = replace(given, b_eq=given.A_eq @ inside)
    lower, upper = implied_bounds(given)
    assert (lower >= given.lower).all()
    assert (upper <= given.upper).all()
    for variable in range(4):
        for sign, bound in ((1.0, lower), (-1.0, -upper)):
            extreme = linprog(
                sign * np.eye(4)[variable],
                A_ub=given.A_ub,
                b_ub=given.b_ub,
                A_eq=given.A_eq,
                b_eq=given.b_eq,
                bounds=np.column_stack([given.lower, given.upper]),
            )
            if extreme.status == 0:
                assert bound[variable] <= extreme.fun + 1e-7
            else:
                assert bound[variable] == -np.inf


def test_a_program_that_can_be_satisfied_needs_no_explanation():
    assert explain(program()) is None


def test_rows_without_a_name_are_never_blamed():
    # x0 is tied to x1 by definition; the budget asks for more than their limits allow.
    given = program(
        A_ub=[[1, -1, 0, 0], [-1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]],
        b_ub=[0, 0, 0.2, 0.1],
        names_ub=("", "", "cap", "rest"),
    )
    error = explain(given)
    assert set(error.conflict) == {"budget", "cap", "rest"}
    # The cap counts twice: one unit more of it is one more of x0 as well.
    assert error.violation == pytest.approx(0.5 / 2)


def test_whole_numbers_may_be_all_that_stands_in_the_way():
    given = replace(
        program(A_eq=[[3, 3, 0, 0]], b_eq=[2.0], upper=np.ones(4)), integers=np.array([True, True, False, False])
    )
    error = explain(given)
    assert error.conflict == ("budget",)
    assert error.violation == pytest.approx(1 / 3)


def test_long_lists_of_names_are_abridged():
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed([str(i) for i in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 4 more"
    bounds = [f"upper bound of {i}" for i in range(9)]
    assert listed(["budget", *bounds]) == "budget and the upper bounds of 9 assets"
