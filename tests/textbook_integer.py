"""Integer programs by trying all integers, each in the full Rockafellar-Uryasev program: one row a scenario."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
from scipy.optimize import linprog

from cshortfall.optimize._scenarios import ArrayScenarios


def best_of_all_integers(program):
    """Least objective over all whole numbers between the bounds of the integers; inf if none is feasible."""
    places = np.flatnonzero(program.integers)
    ranges = [range(math.ceil(program.lower[i]), math.floor(program.upper[i]) + 1) for i in places]
    unit, program = _of_size_one(program)
    matrices = _full_program(program)
    best = math.inf
    for numbers in itertools.product(*ranges):
        lower, upper = program.lower.copy(), program.upper.copy()
        lower[places] = upper[places] = numbers
        if _rows_exclude(program, lower, upper):
            continue
        best = min(best, _least(matrices, lower, upper))
    return best / unit


def _of_size_one(program):
    """The program with all P&L and costs times a power of two, so that absolute tolerances mean something."""
    unit = 2.0 ** -round(math.log2(max(float(np.abs(term.scenarios.rows).max()) for term in program.terms)))

    def scaled(term):
        scenarios = ArrayScenarios(unit * term.scenarios.rows, term.scenarios.probabilities)
        return replace(term, scenarios=scenarios, base=None if term.base is None else unit * term.base)

    return unit, replace(
        program,
        cost=unit * program.cost,
        risks=tuple((weight, scaled(term)) for weight, term in program.risks),
        limits=tuple(
            replace(limit, term=scaled(limit.term), slope=unit * limit.slope, limit=unit * limit.limit)
            for limit in program.limits
        ),
    )


def _rows_exclude(program, lower, upper):
    """Whether bounds alone break a row, so that most integers need no program."""
    rows = np.vstack((program.A_ub, program.A_eq, -program.A_eq))
    sides = np.concatenate((program.b_ub, program.b_eq, -program.b_eq))
    ends = np.where(rows > 0, lower, upper)
    least = np.where(rows != 0, rows * np.where(rows != 0, ends, 0.0), 0.0).sum(axis=1)
    return bool((least > sides + 1e-9).any())


def _full_program(program):
    """Objective, rows and sides of the full program, columns (v, then t and the excesses of each term)."""
    n = program.n_variables
    terms = program.terms
    counts = [term.scenarios.n_scenarios for term in terms]
    width = n + sum(1 + count for count in counts)
    cost = np.zeros(width)
    cost[:n] = program.cost
    rows, sides = [_wide(program.A_ub, width)], [program.b_ub]
    begin = n
    for number, (term, count) in enumerate(zip(terms, counts, strict=True)):
        scenarios = np.asarray(term.scenarios.rows, dtype=float)
        p = term.scenarios.probabilities
        q = (np.full(count, 1 / count) if p is None else p) / (1 - term.level)
        exposed = scenarios if term.exposure is None else scenarios * term.exposure
        base = np.zeros(count) if term.base is None else term.base
        excess = np.zeros((count, width))
        excess[:, : program.n_assets] = -exposed
        excess[:, begin] = -1.0
        excess[:, begin + 1 : begin + 1 + count] = -np.eye(count)
        rows.append(excess)
        sides.append(base)
        es = np.zeros(width)
        es[begin] = 1.0
        es[begin + 1 : begin + 1 + count] = q
        if number < len(program.risks):
            cost += program.risks[number][0] * es
        else:
            limit = program.limits[number - len(program.risks)]
            es[:n] += limit.slope
            rows.append(es[None])
            sides.append(np.array([limit.limit]))
        begin += 1 + count
    return cost, np.vstack(rows), np.concatenate(sides), _wide(program.A_eq, width), program.b_eq, terms


def _wide(rows, width):
    return np.hstack((rows, np.zeros((rows.shape[0], width - rows.shape[1]))))


def _least(matrices, lower, upper):
    cost, A_ub, b_ub, A_eq, b_eq, terms = matrices
    n = lower.size
    low, high = [lower], [upper]
    for term in terms:
        count = term.scenarios.n_scenarios
        low.append(np.concatenate(([-np.inf], np.zeros(count))))
        high.append(np.full(1 + count, np.inf))
    assert cost.size >= n
    end = linprog(
        cost,
        A_ub=A_ub,
        b_ub=b_ub,
        A_eq=A_eq if b_eq.size else None,
        b_eq=b_eq if b_eq.size else None,
        bounds=np.column_stack((np.concatenate(low), np.concatenate(high))),
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if end.status == 2:
        return math.inf
    assert end.status == 0, end.message
    return end.fun
