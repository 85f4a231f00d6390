"""The rows of an integer program: which tie quantities to choices, how tightly, and what they leave the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cshortfall.optimize._feasibility import implied_bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.optimize._program import Program

# How far from a whole number HiGHS may leave an integer variable.
WHOLE = 1e-6


class Links(NamedTuple):
    """Rows ``sign * v[quantity] <= coefficient * v[choice]``, choice a variable of 0 and 1."""

    row: NDArray[np.int64]
    quantity: NDArray[np.int64]
    choice: NDArray[np.int64]
    sign: Floats


def whole(program: Program) -> NDArray[np.bool_]:
    """Which variables are integers."""
    return np.zeros(program.n_variables, bool) if program.integers is None else program.integers


def choices(program: Program) -> NDArray[np.bool_]:
    """Which variables are 0 or 1."""
    return whole(program) & (program.lower >= 0) & (program.upper <= 1)


def links(program: Program) -> Links:
    """Find the rows that allow a quantity only if its choice is 1."""
    binary = choices(program)
    row, quantity, choice, sign = [], [], [], []
    used = program.A_ub != 0
    for number in np.flatnonzero((used.sum(axis=1) == 2) & (program.b_ub == 0)):
        columns = np.flatnonzero(used[number])
        for first, second in (columns, columns[::-1]):
            a, b = program.A_ub[number, first], program.A_ub[number, second]
            if binary[second] and not binary[first] and b < 0:
                row.append(number)
                quantity.append(first)
                choice.append(second)
                sign.append(float(np.sign(a)))
    return Links(np.array(row, int), np.array(quantity, int), np.array(choice, int), np.array(sign))


def permits(program: Program) -> NDArray[np.bool_]:
    """Which choices do nothing but allow a quantity: they cost nothing and are in no scenario."""
    idle: NDArray[np.bool_] = (program.cost == 0) & (np.arange(program.n_variables) >= program.n_assets)
    for limit in program.limits:
        idle &= limit.slope == 0
    linked = np.zeros(program.n_variables, bool)
    linked[links(program).choice] = True
    idle &= linked & choices(program)
    return idle


def tightened(program: Program) -> Program:
    """Return the program with the bounds that its rows imply, and with ties to choices no looser than these bounds.

    Its integer solutions are the same; those of its continuous relaxation may be fewer.
    """
    lower, upper = implied_bounds(program)
    integer = whole(program)
    lower[integer] = np.ceil(lower[integer] - WHOLE)
    upper[integer] = np.floor(upper[integer] + WHOLE)
    # Empty bounds are left to the solver, which says so properly.
    crossed = lower > upper
    lower[crossed], upper[crossed] = program.lower[crossed], program.upper[crossed]
    program = replace(program, lower=lower, upper=upper)
    return replace(program, A_ub=tied(program, lower, upper))


def tied(program: Program, lower: Floats, upper: Floats) -> Floats:
    """Return A_ub with the ties of quantities to choices no looser than these bounds."""
    A_ub: Floats = program.A_ub.copy()
    found = links(program)
    for number, quantity, choice, sign in zip(*found, strict=True):
        reach = upper[quantity] if sign > 0 else -lower[quantity]
        coefficient = abs(A_ub[number, quantity])
        if 0 <= reach < -A_ub[number, choice] / coefficient:
            A_ub[number, choice] = -reach * coefficient
    return A_ub


def held(program: Program, values: Floats) -> tuple[Floats, Floats]:
    """Bounds of all variables once the integers have these values, rows with one other variable taken into account."""
    integer = whole(program)
    lower, upper = program.lower.copy(), program.upper.copy()
    lower[integer] = upper[integer] = values[integer]
    for rows, sides, equal in ((program.A_ub, program.b_ub, False), (program.A_eq, program.b_eq, True)):
        loose = rows[:, ~integer] != 0
        for number in np.flatnonzero(loose.sum(axis=1) == 1):
            column = int(np.flatnonzero(~integer)[loose[number].argmax()])
            a = rows[number, column]
            end = (sides[number] - float(rows[number, integer] @ values[integer])) / a + 0.0
            if equal or a > 0:
                upper[column] = min(upper[column], max(end, lower[column]))
            if equal or a < 0:
                lower[column] = max(lower[column], min(end, upper[column]))
    return lower, upper
