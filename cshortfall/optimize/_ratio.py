"""The largest ratio of mean to Expected Shortfall: a homogeneous program, and the way back from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cshortfall.optimize._errors import InfeasibleError, OptimizationError, UnboundedError
from cshortfall.optimize._question import cost_of, linear_part
from cshortfall.optimize._result import OptimizationResult, finish

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.optimize._builder import Builder
    from cshortfall.optimize._program import Program, RiskTerm, Solution
    from cshortfall.optimize._question import Question

_NOTHING = 1e-9
"""Scale or ES of a homogeneous program that is none, relative to its weights or its mean."""
_ROUNDING = 1e-12
"""Mean that is none, relative to the standard deviation."""


def best_ratio(question: Question, builder: Builder, program: Program, term: RiskTerm) -> OptimizationResult:
    """Return the weights of the largest ratio, both net of costs, that the constraints of a program allow."""
    gain = -cost_of(builder, -question.mean, 1.0)
    unit = float(np.median(question.scenarios.deviation())) or 1.0
    _check_positive_mean(question, program, gain, unit)
    shrinks = _allows_nothing(program)
    kept, rows = _of_any_size(program) if shrinks else (program, np.ones(len(program.b_ub), dtype=bool))

    def size(y: Floats) -> float:
        return _least_size(program, builder, y[:-1]) if shrinks else float(y[-1])

    try:
        solution = question.solve(_homogeneous(kept, gain, unit), scale=size)
    except OptimizationError as error:
        if error.value is not None:
            error.value, error.lower_bound = -_ratio(unit, error.value), -_ratio(unit, error.lower_bound)
        raise
    kappa = size(solution.v)
    _check_ratio(question, solution, unit, kappa)
    ratio = unit / solution.objective
    bound = _ratio(unit, solution.lower_bound)
    return finish(
        question,
        builder,
        program,
        _unscaled(program, kept, rows, solution, kappa, ratio**2 / unit),
        [(1.0, term)],
        term.level,
        objective=-ratio,
        lower_bound=-bound,
        gap=max(bound / ratio - 1.0, 0.0),
    )


def _ratio(unit: float, es: float) -> float:
    """Return the ratio of a mean of one unit to an ES; where that may be zero there is no end to it."""
    return unit / es if es > 0 else np.inf


def _allows_nothing(program: Program) -> bool:
    """Whether no position at all satisfies the constraints, and with any positions smaller ones in proportion."""
    limits = np.array([limit.limit for limit in program.limits])
    return bool(
        (program.lower <= 0).all()
        and (program.upper >= 0).all()
        and (program.b_ub >= 0).all()
        and not program.b_eq.any()
        and (limits >= 0).all()
    )


def _of_any_size(program: Program) -> tuple[Program, NDArray[np.bool_]]:
    """Return the program without the constraints that every portfolio satisfies if only it is small enough.

    And which rows are left. Auxiliary variables that nothing else looks at go with them: they could take any value.
    """
    rows = program.b_ub == 0
    named = np.array([bool(name) for name in program.names_ub], dtype=bool)
    limits = tuple(limit for limit in program.limits if limit.limit == 0)
    seen = program.A_eq.any(axis=0) | program.A_ub[rows & named].any(axis=0) | (program.cost != 0)
    for limit in limits:
        seen |= limit.slope != 0
    idle = ~seen & (np.arange(program.n_variables) >= program.n_assets)
    rows &= ~program.A_ub[:, idle].any(axis=1)
    lower, upper = (
        np.where(program.lower < 0, -np.inf, program.lower),
        np.where(program.upper > 0, np.inf, program.upper),
    )
    left = replace(
        program,
        lower=np.where(idle, 0.0, lower),
        upper=np.where(idle, 0.0, upper),
        A_ub=program.A_ub[rows],
        b_ub=program.b_ub[rows],
        names_ub=tuple(name for name, kept in zip(program.names_ub, rows.tolist(), strict=True) if kept),
        limits=limits,
    )
    return left, rows


def _least_size(program: Program, builder: Builder, v: Floats) -> float:
    """Return what weights of any size are divided by to be the largest that the constraints allow; 1 if all are."""
    v = builder.with_distances(v)
    used, allowed = [program.A_ub @ v, v, -v], [program.b_ub, program.upper, -program.lower]
    for limit in program.limits:
        term, n = limit.term, program.n_assets
        x = v[:n] if term.exposure is None else v[:n] * term.exposure
        used.append(np.array([term.scenarios.es_var(x, term.level, None)[0] + float(limit.slope @ v)]))
        allowed.append(np.array([limit.limit]))
    share, room = np.concatenate(used), np.concatenate(allowed)
    sized = (room > 0) & np.isfinite(room)
    return float((share[sized] / room[sized]).max(initial=0.0)) or 1.0


def _homogeneous(program: Program, gain: Floats, unit: float) -> Program:
    """Return the program of y = kappa v and, last, kappa, in which the gain of y is one unit."""
    n = program.n_variables
    finite_lower = np.flatnonzero(np.isfinite(program.lower) & (program.lower != 0))
    finite_upper = np.flatnonzero(np.isfinite(program.upper) & (program.upper != 0))
    eye = np.eye(n)
    rows = np.concatenate([program.A_ub, -eye[finite_lower], eye[finite_upper]])
    limits = np.concatenate([program.b_ub, -program.lower[finite_lower], program.upper[finite_upper]])
    kappa = np.concatenate([limits, program.b_eq, [limit.limit for limit in program.limits]])
    # Where no constraint has a size, neither has the portfolio: kappa is then one.
    free = not kappa.any()
    return replace(
        program,
        cost=np.append(program.cost, 0.0),
        lower=np.append(np.where(program.lower == 0, 0.0, -np.inf), 1.0 if free else 0.0),
        upper=np.append(np.where(program.upper == 0, 0.0, np.inf), 1.0 if free else np.inf),
        A_eq=np.concatenate([np.column_stack([program.A_eq, -program.b_eq]), [np.append(gain, 0.0)]]),
        b_eq=np.append(np.zeros_like(program.b_eq), unit),
        A_ub=np.column_stack([rows, -limits]),
        b_ub=np.zeros(len(limits)),
        names_eq=(*program.names_eq, "positive mean"),
        names_ub=(*program.names_ub, *("" for _ in range(len(limits) - len(program.b_ub)))),
        limits=tuple(replace(limit, slope=np.append(limit.slope, -limit.limit), limit=0.0) for limit in program.limits),
    )


def _check_positive_mean(question: Question, program: Program, gain: Floats, unit: float) -> None:
    """Refuse constraints that nothing satisfies, and those that leave no positive mean."""
    try:
        best = question.solve(linear_part(program, -gain))
    except UnboundedError:
        return
    largest = float(gain @ best.v)
    if largest > _ROUNDING * unit:
        return
    raise InfeasibleError(
        f"no weights that satisfy the constraints have a positive mean net of costs (the largest is "
        f"{largest:.6g}), so no ratio of mean to ES is worth having",
        violation=max(-largest, 0.0) / unit,
        conflict=("positive mean",),
        weights=question.assets.label(best.v[: question.assets.count]),
    )


def _check_ratio(question: Question, solution: Solution, unit: float, kappa: float) -> None:
    """Say why there is no best ratio, if there is none."""
    n, label = question.assets.count, question.assets.label
    y = solution.v[:-1]
    if kappa <= _NOTHING * float(np.abs(y).max(initial=0.0)):
        raise UnboundedError(
            "mean/ES grows towards weights of any size; bound the weights or give a budget", ray=label(y[:n])
        )
    if solution.objective <= _NOTHING * unit:
        weights = label(y[:n] / kappa)
        raise UnboundedError(
            "some weights have a positive mean and no ES, so that mean/ES has no maximum; raise the level or use "
            "minimize_es",
            ray=weights,
            weights=weights,
        )


def _unscaled(
    program: Program, kept: Program, rows: NDArray[np.bool_], solution: Solution, kappa: float, factor: float
) -> Solution:
    """Return the solution of a homogeneous program in terms of the program that it was made from.

    `kept` are the constraints of that program in the homogeneous one, `rows` which rows these are.
    """
    n, m = kept.n_variables, len(kept.b_ub)
    bounds = solution.duals_bounds[:n].copy()
    # Bounds other than zero had become rows, in this order.
    lower = np.flatnonzero(np.isfinite(kept.lower) & (kept.lower != 0))
    upper = np.flatnonzero(np.isfinite(kept.upper) & (kept.upper != 0))
    bounds[lower] -= solution.duals_ub[m : m + lower.size]
    bounds[upper] += solution.duals_ub[m + lower.size :]
    duals_ub, duals_limits = np.zeros(len(program.b_ub)), np.zeros(len(program.limits))
    duals_ub[rows] = solution.duals_ub[:m]
    duals_limits[[limit in kept.limits for limit in program.limits]] = solution.duals_limits
    return replace(
        solution,
        v=solution.v[:-1] / kappa,
        duals_eq=factor * kappa * solution.duals_eq[:-1],
        duals_ub=factor * kappa * duals_ub,
        duals_bounds=factor * kappa * bounds,
        duals_limits=factor * kappa * duals_limits,
    )
