"""Linear programs, solved by HiGHS through SciPy; the status is read before the solution."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.optimize import linprog  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from cshortfall._arguments import Floats

# HiGHS's least tolerances, absolute: programs are scaled to numbers of size one before they come here.
TOLERANCE = 1e-10


class OutOfTimeError(Exception):
    """A time limit was reached; solvers turn it into an error that carries what they know."""


class Status(Enum):
    """How a linear program ended."""

    OPTIMAL = 0
    LIMIT = 1
    INFEASIBLE = 2
    UNBOUNDED = 3
    FAILED = 4


class LinearSolution(NamedTuple):
    """The end of a linear program; what follows the status is None unless that is OPTIMAL."""

    status: Status
    x: Any = None
    value: Any = None
    duals_eq: Any = None
    """Change of the minimum per unit of b_eq."""
    duals_ub: Any = None
    """Change of the minimum per unit of b_ub, at most zero."""


def solve_linear(
    cost: Floats,
    A_ub: Any,
    b_ub: Floats,
    A_eq: Any,
    b_eq: Floats,
    lower: Floats,
    upper: Floats,
    *,
    time_limit: float | None = None,
    presolve: bool = True,
) -> LinearSolution:
    """Minimise ``cost @ x``; matrices may be sparse, bounds infinite."""
    options: dict[str, Any] = {
        "primal_feasibility_tolerance": TOLERANCE,
        "dual_feasibility_tolerance": TOLERANCE,
        "presolve": presolve,
    }
    if time_limit is not None:
        options["time_limit"] = max(time_limit, 1e-3)
    program = {
        "A_ub": A_ub if b_ub.size else None,
        "b_ub": b_ub if b_ub.size else None,
        "A_eq": A_eq if b_eq.size else None,
        "b_eq": b_eq if b_eq.size else None,
        "bounds": np.column_stack((lower, upper)),
    }
    # The dual simplex method warm starts nothing here, but ends at a vertex with clean multipliers. Where it stops for
    # numerical reasons the other settings nearly always get through.
    for attempt in ({}, {"presolve": not presolve}, {"presolve": True, "loose": True}):
        chosen = {**options, **attempt}
        if chosen.pop("loose", False):
            chosen["primal_feasibility_tolerance"] = chosen["dual_feasibility_tolerance"] = 1e-7
        end = linprog(cost, method="highs-ds", options=chosen, **program)
        if end.status == Status.OPTIMAL.value:
            return LinearSolution(Status.OPTIMAL, end.x, end.fun, end.eqlin.marginals, end.ineqlin.marginals)
        if end.status != Status.FAILED.value:
            break
    return LinearSolution(Status(end.status))
