"""The slow twin of the optimiser: the whole program of Rockafellar and Uryasev (2000), one row per scenario, by HiGHS.

ES(term, v) is the least value of ``t + sum of q * u`` over t and u >= 0 with ``u + t >= loss``, where q is the
probability over the mass of the tail. Everything is divided by the size of the losses and each row by its largest
coefficient first, because the tolerances of HiGHS are absolute.
"""

import time
from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from cshortfall._tail_count import tail_mass
from cshortfall.optimize._errors import InfeasibleError, OptimizationError, TimeLimitError, UnboundedError
from cshortfall.optimize._program import Program, RiskTerm, Solution
from cshortfall.optimize._scenarios import ArrayScenarios

OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


class FullProgram:
    """The linear program over v, then t and u of each term, scaled; its rows are limits, rows of A_ub, tails."""

    def __init__(self, program):
        self.program = program
        self.scale = loss_scale(program)
        n = program.n_variables
        # Each term takes its own t and u, also where two of them are the same.
        self.spans, columns = [], n
        for term in program.terms:
            count = outcomes(term)[0].shape[0]
            self.spans.append((columns, columns + 1, columns + 1 + count))
            columns += 1 + count
        self.columns = columns
        self.cost = np.zeros(columns)
        self.cost[:n] = program.cost / self.scale
        self.lower = np.full(columns, -np.inf)
        self.upper = np.full(columns, np.inf)
        self.lower[:n], self.upper[:n] = program.lower, program.upper
        tails, losses = [], []
        for (t, u, end), term in zip(self.spans, program.terms, strict=True):
            rows, base, _ = outcomes(term)
            self.lower[u:end] = 0.0
            block = sparse.lil_matrix((end - u, columns))
            block[:, : program.n_assets] = -rows / self.scale
            block[:, t] = -1.0
            block[:, u:end] = -sparse.eye(end - u)
            tails.append(block.tocsr())
            losses.append(base / self.scale)
        for position, (weight, _) in enumerate(program.risks):
            self._add_es(self.cost, weight, position)
        limits = np.zeros((len(program.limits), columns))
        for position, (row, limit) in enumerate(zip(limits, program.limits, strict=True), len(program.risks)):
            row[:n] = limit.slope / self.scale
            self._add_es(row, 1.0, position)
        self.size_eq, self.size_ub = row_sizes(program.A_eq), row_sizes(program.A_ub)
        self.A_eq = padded(program.A_eq / self.size_eq[:, None], columns)
        self.b_eq = program.b_eq / self.size_eq
        self.A_ub = sparse.vstack(
            [sparse.csr_matrix(limits), padded(program.A_ub / self.size_ub[:, None], columns), *tails], format="csr"
        )
        bounds_of_limits = np.array([limit.limit for limit in program.limits]) / self.scale
        self.b_ub = np.concatenate([bounds_of_limits, program.b_ub / self.size_ub, *losses])
        self.soft = len(program.limits) + len(program.b_ub)

    def _add_es(self, row, weight, position):
        t, u, end = self.spans[position]
        row[t] += weight
        row[u:end] += weight * outcomes(self.program.terms[position])[2]

    def minimize(self):
        """Return status, values of all columns, bound on the scaled objective, and the duals as linprog gives them."""
        if self.program.integers is not None and self.program.integers.any():
            return self._minimize_whole()
        answer = linprog(
            self.cost,
            A_ub=self.A_ub,
            b_ub=self.b_ub,
            A_eq=self.A_eq,
            b_eq=self.b_eq,
            bounds=np.column_stack([self.lower, self.upper]),
            method="highs",
            options=OPTIONS,
        )
        if answer.status != 0:
            return answer.status, None, -np.inf, None
        duals = (answer.eqlin.marginals, answer.ineqlin.marginals, answer.lower.marginals + answer.upper.marginals)
        return 0, answer.x, answer.fun, duals

    def _minimize_whole(self):
        rows = [LinearConstraint(self.A_ub, -np.inf, self.b_ub)]
        if len(self.b_eq):
            rows.append(LinearConstraint(self.A_eq, self.b_eq, self.b_eq))
        whole = np.zeros(self.columns)
        whole[: self.program.n_variables] = self.program.integers
        answer = milp(
            self.cost,
            integrality=whole,
            bounds=Bounds(self.lower, self.upper),
            constraints=rows,
            options={"mip_rel_gap": 0.0, "time_limit": 60.0},
        )
        if answer.status != 0:
            return answer.status, None, -np.inf, None
        duals = (np.zeros(len(self.b_eq)), np.zeros(len(self.b_ub)), np.zeros(self.columns))
        return 0, answer.x, answer.mip_dual_bound, duals

    def least_violation(self):
        """Return the least sum of violations of the scaled equalities, limits and rows."""
        equal = len(self.b_eq)
        slack_eq = sparse.hstack([sparse.eye(equal), -sparse.eye(equal), sparse.csr_matrix((equal, self.soft))])
        slack_ub = sparse.lil_matrix((len(self.b_ub), 2 * equal + self.soft))
        slack_ub[: self.soft, 2 * equal :] = -sparse.eye(self.soft)
        extra = 2 * equal + self.soft
        answer = linprog(
            np.concatenate([np.zeros(self.columns), np.ones(extra)]),
            A_ub=sparse.hstack([self.A_ub, slack_ub]),
            b_ub=self.b_ub,
            A_eq=sparse.hstack([self.A_eq, slack_eq]),
            b_eq=self.b_eq,
            bounds=np.column_stack(
                [np.append(self.lower, np.zeros(extra)), np.append(self.upper, np.full(extra, np.inf))]
            ),
            method="highs",
            options=OPTIONS,
        )
        return answer.fun if answer.status == 0 else np.inf


def outcomes(term):
    """Return the rows that a term multiplies with its quantities, its base, and the caps q; live scenarios only."""
    scenarios = term.scenarios
    rows = np.asarray(scenarios.rows, dtype=float)
    base = np.zeros(len(rows)) if term.base is None else np.asarray(term.base, dtype=float)
    p = scenarios.probabilities
    if p is None:
        caps = np.full(len(rows), 1.0 / (len(rows) * tail_mass(len(rows), term.level)))
    else:
        live = np.asarray(p) > 0
        rows, base, p = rows[live], base[live], np.asarray(p, dtype=float)[live]
        caps = p / p.sum() / (1.0 - term.level)
    return (rows if term.exposure is None else rows * term.exposure), base, caps


def padded(matrix, columns):
    """Return rows over v as sparse rows over all columns."""
    return sparse.hstack(
        [sparse.csr_matrix(matrix), sparse.csr_matrix((len(matrix), columns - matrix.shape[1]))]
    ).tocsr()


def row_sizes(matrix):
    """Return the largest absolute coefficient of each row, 1 for a row of zeros."""
    sizes = np.abs(matrix).max(axis=1, initial=0.0)
    return np.where(sizes > 0, sizes, 1.0)


def loss_scale(program):
    """Return the size of what is minimised, 1 where all is zero."""
    sizes = [np.abs(outcomes(term)[0]).max(initial=0.0) for term in program.terms]
    size = max(sizes, default=0.0) or np.abs(program.cost).max(initial=0.0)
    return size or 1.0


def standard_scale(program):
    """Return the median standard deviation of the assets over the first term's scenarios."""
    return float(np.median(program.terms[0].scenarios.deviation())) if program.terms else 0.0


def term_es(term, v):
    """Return the ES of a term at v."""
    x = v[: term.scenarios.n_assets]
    return term.scenarios.es_var(x if term.exposure is None else x * term.exposure, term.level, term.base)[0]


def objective(program, v):
    """Return the value that a program minimises."""
    return float(program.cost @ v) + sum(weight * term_es(term, v) for weight, term in program.risks)


def least_violation(program):
    """Return the least sum of violations of the scaled rows and limits; zero if the program is feasible."""
    return FullProgram(program).least_violation()


def recession(program):
    """Return the program of directions: the constants are gone and every step has at most size one."""
    return replace(
        program,
        risks=tuple((weight, replace(term, base=None)) for weight, term in program.risks),
        lower=np.where(np.isfinite(program.lower), 0.0, -1.0),
        upper=np.where(np.isfinite(program.upper), 0.0, 1.0),
        b_eq=np.zeros_like(program.b_eq),
        b_ub=np.zeros_like(program.b_ub),
        limits=tuple(replace(limit, term=replace(limit.term, base=None), limit=0.0) for limit in program.limits),
        integers=None,
    )


def solve(program, *, tol=1e-8, max_iterations=100, time_limit=None, callback=None, state=None):
    """Solve a program; the lower bound is the value of the linear program."""
    start = time.perf_counter()
    full = FullProgram(program)
    status, columns, bound, duals = full.minimize()
    if status == 1:
        raise TimeLimitError("HiGHS stopped at a limit")
    if status != 0:
        violation = full.least_violation()
        whole = program.integers is not None and program.integers.any()
        if violation > 1e-9 or (status == 2 and whole):
            raise InfeasibleError("no v satisfies all constraints", violation=violation, conflict=())
        _, direction, _, _ = FullProgram(recession(program)).minimize()
        if direction is not None and objective(recession(program), direction[: program.n_variables]) < 0:
            raise UnboundedError("the objective is unbounded below", ray=direction[: program.n_variables])
        raise OptimizationError(f"HiGHS ended with status {status}")
    n = program.n_variables
    v = np.clip(columns[:n], program.lower, program.upper)
    if program.integers is not None:
        v = np.where(program.integers, np.round(v), v)
    value, bound, scale = objective(program, v), float(bound * full.scale), standard_scale(program)
    equalities, rows, bounds = duals
    k = len(program.limits)
    return Solution(
        v=v,
        objective=value,
        lower_bound=min(bound, value),
        gap=max(value - bound, 0.0) / max(abs(value), 1e-3 * scale, np.finfo(float).tiny),
        scale=scale,
        duals_eq=equalities * full.scale / full.size_eq,
        duals_ub=rows[k : full.soft] * full.scale / full.size_ub,
        duals_bounds=bounds[:n] * full.scale,
        duals_limits=rows[:k].copy(),
        iterations=1,
        passes=0,
        seconds=time.perf_counter() - start,
    )


def plain_program(returns, level, probabilities=None, **changes):
    """Return the program of the least ES of weights that are not negative and sum to one, with changes."""
    count = np.shape(returns)[1]
    term = RiskTerm(ArrayScenarios(np.asarray(returns), probabilities), level)
    program = Program(
        n_assets=count,
        cost=np.zeros(count),
        risks=((1.0, term),),
        lower=np.zeros(count),
        upper=np.full(count, np.inf),
        A_eq=np.ones((1, count)),
        b_eq=np.ones(1),
        A_ub=np.zeros((0, count)),
        b_ub=np.zeros(0),
        names_eq=("budget",),
        names_ub=(),
    )
    return replace(program, **changes)
