"""Programs without an Expected Shortfall in them: those of the largest mean. HiGHS alone solves them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp  # type: ignore[import-untyped]

from cshortfall.optimize._errors import InfeasibleError, OptimizationError, TimeLimitError, UnboundedError
from cshortfall.optimize._program import Solution

if TYPE_CHECKING:
    from cshortfall.optimize._program import Program

_OPTIMAL, _STOPPED, _INFEASIBLE = 0, 1, 2


def solve_plain(
    program: Program,
    *,
    tol: float = 1e-8,
    max_iterations: int = 100,
    time_limit: float | None = None,
    callback: Any = None,
    state: object = None,
) -> Solution:
    """Minimise a linear objective, with whole numbers or without; the arguments are those of every solver.

    Duals are zero: nobody asks for them.
    """
    begun = time.perf_counter()
    answer = _minimum(program, tol, time_limit)
    if answer.status == _STOPPED:
        raise TimeLimitError("the time limit was reached before the largest mean was found")
    if answer.status != _OPTIMAL:
        raise _failure(program, answer.status, tol, time_limit)
    v = np.clip(answer.x, program.lower, program.upper)
    value = float(program.cost @ v)
    bound = value if program.integers is None else min(float(answer.mip_dual_bound), value)
    size = max(abs(value), float(np.abs(program.cost).max(initial=0.0)), np.finfo(float).tiny)
    return Solution(
        v=v,
        objective=value,
        lower_bound=bound,
        gap=(value - bound) / size,
        scale=0.0,
        duals_eq=np.zeros(len(program.b_eq)),
        duals_ub=np.zeros(len(program.b_ub)),
        duals_bounds=np.zeros(program.n_variables),
        duals_limits=np.zeros(0),
        iterations=1,
        passes=0,
        seconds=time.perf_counter() - begun,
    )


def _minimum(program: Program, tol: float, time_limit: float | None) -> Any:
    """Return what HiGHS says."""
    rows = [
        LinearConstraint(matrix, low, high)
        for matrix, low, high in (
            (program.A_ub, -np.inf, program.b_ub),
            (program.A_eq, program.b_eq, program.b_eq),
        )
        if len(matrix)
    ]
    limit = {} if time_limit is None else {"time_limit": time_limit}
    return milp(
        program.cost,
        integrality=program.integers,
        bounds=Bounds(program.lower, program.upper),
        constraints=rows,
        options={"mip_rel_gap": tol, **limit},
    )


def _failure(program: Program, status: int, tol: float, time_limit: float | None) -> OptimizationError:
    """Return the error of a program without an optimum: HiGHS may leave open whether it is infeasible or unbounded."""
    anything = _minimum(replace(program, cost=np.zeros_like(program.cost)), tol, time_limit)
    if _INFEASIBLE in (status, anything.status):
        return InfeasibleError("no weights satisfy the constraints", violation=float("nan"), conflict=())
    ray = _minimum(program.recession(), tol, time_limit)
    if ray.status == _OPTIMAL and ray.fun < 0:
        return UnboundedError("the mean grows without end; bound the weights", ray=np.asarray(ray.x))
    return OptimizationError("the program of the largest mean was neither solved nor refuted; rescale the constraints")
