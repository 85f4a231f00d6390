"""What a call of an entry point asks, checked; how it is solved, and how errors come back under the assets' names."""

from __future__ import annotations

import difflib
import time
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall.optimize._constraints import ConstraintKeywords, Constraints
from cshortfall.optimize._errors import InfeasibleError, OptimizationError, TimeLimitError, UnboundedError
from cshortfall.optimize._feasibility import explain, explain_limits
from cshortfall.optimize._inputs import read_positive, read_scenarios
from cshortfall.optimize._progress import Callback, Reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cshortfall._arguments import Floats
    from cshortfall.optimize._builder import Builder
    from cshortfall.optimize._inputs import Assets
    from cshortfall.optimize._program import Program, Solution
    from cshortfall.optimize._scenarios import Scenarios


class KeywordsButCurrent(ConstraintKeywords, total=False):
    """What every entry point takes by keyword, but the holdings now."""

    probabilities: Any
    mean: Any
    constraints: Constraints | None
    tol: float
    max_iterations: int
    time_limit: float | None
    callback: Callback | None
    progress: bool | None
    start: Any


class Keywords(KeywordsButCurrent, total=False):
    """What every entry point takes by keyword."""

    current: Any


@dataclass(frozen=True)
class Options:
    """How long and how exactly to solve, and who is told."""

    tol: float = 1e-8
    max_iterations: int = 100
    time_limit: float | None = None
    callback: Callback | None = None
    progress: bool | None = None
    start: Any = None
    begun: float = field(default_factory=time.perf_counter, init=False)

    def __post_init__(self) -> None:
        read_positive("tol", self.tol, "the largest relative gap, for example 1e-8")
        _arguments.read_count("max_iterations", self.max_iterations)
        if self.time_limit is not None:
            read_positive("time_limit", self.time_limit, "in seconds; None is no limit")
        if self.callback is not None and not callable(self.callback):
            raise TypeError(f"callback must be callable, got {_arguments.shown(self.callback)}")
        if self.start is not None and not hasattr(self.start, "state"):
            raise TypeError(f"start must be an earlier OptimizationResult, got {_arguments.shown(self.start)}")

    @property
    def seconds(self) -> float:
        """Since the call."""
        return time.perf_counter() - self.begun

    def solve(self, program: Program, state: object = None, tol: float | None = None) -> Solution:
        """Solve a program within what is left of the time, which is that of all programs of a call."""
        left = None if self.time_limit is None else self.time_limit - self.seconds
        if left is not None and left <= 0:
            raise TimeLimitError(f"the time limit of {self.time_limit:g} s was reached")
        with Reporter(self.callback, self.progress, self.begun) as report:
            solution: Solution = _dispatch(program)(
                program,
                tol=self.tol if tol is None else tol,
                max_iterations=self.max_iterations,
                time_limit=left,
                callback=report if report.needed else None,
                state=state,
            )
        return solution


_ALLOWED = 1e-6
"""Violation of a constraint, relative to its terms, that a solver may leave."""
_CONSTRAINTS = tuple(one.name for one in fields(Constraints))
_OPTIONS = tuple(one.name for one in fields(Options) if one.init)


@dataclass(frozen=True, eq=False)
class Question:
    """Scenarios, assets, constraints and options of one call."""

    scenarios: Scenarios
    assets: Assets
    mean: Floats
    constraints: Constraints
    options: Options

    @property
    def seconds(self) -> float:
        """Since the call."""
        return self.options.seconds

    def solve(
        self,
        program: Program,
        state: object = None,
        tol: float | None = None,
        scale: Callable[[Floats], float] | None = None,
    ) -> Solution:
        """Solve a program within what is left of the time; errors carry weights under the assets' names.

        `scale` tells what the variables are divided by to be weights.
        """
        state = state if state is not None else getattr(self.options.start, "state", None)
        try:
            solution = self.options.solve(program, state, tol)
        except InfeasibleError as error:
            raise self._explained(program, error) from None
        except OptimizationError as error:
            if error.weights is not None and scale is not None:
                error.weights = np.asarray(error.weights) / scale(error.weights)
            self._label(error)
            raise
        _check_feasible(program, solution)
        return solution

    def _label(self, error: OptimizationError) -> None:
        """Put the raw variables that an error carries under the names of the assets."""
        if error.weights is not None:
            error.weights = self.assets.label(np.asarray(error.weights)[: self.assets.count])
        if isinstance(error, UnboundedError):
            error.ray = self.assets.label(np.asarray(error.ray)[: self.assets.count])

    def _explained(self, program: Program, error: InfeasibleError) -> InfeasibleError:
        """Return the error with the violation and the conflict, as far as these can be told."""
        if error.conflict:
            return error
        own = explain(program)
        if own is None and program.limits:
            try:
                own = explain_limits(program, _dispatch(program))
            except OptimizationError:
                own = None
        return error if own is None else own


def _check_feasible(program: Program, solution: Solution) -> None:
    """Refuse variables that are not allowed: no certificate holds for them."""
    v = solution.v
    size = np.maximum(1.0, np.abs(v))
    excess = [np.maximum(program.lower - v, v - program.upper) / size]
    for rows, limits, equal in (
        (program.A_ub, program.b_ub, False),
        (program.A_eq, program.b_eq, True),
    ):
        surplus = rows @ v - limits
        excess.append((np.abs(surplus) if equal else surplus) / (np.abs(rows) @ size + np.finfo(float).tiny))
    worst = max(float(part.max(initial=0.0)) for part in excess)
    if worst > _ALLOWED:
        raise OptimizationError(
            f"the solver ended with weights that violate the constraints by {worst:.1e}; rescale the returns or the "
            "constraints",
            lower_bound=solution.lower_bound,
        )


def _dispatch(program: Program) -> Any:
    """Return the solver that a program is for."""
    if not program.terms:
        from cshortfall.optimize._plain import solve_plain

        return solve_plain
    if program.integers is not None and program.integers.any():
        from cshortfall.optimize._integer import solve_integer

        return solve_integer
    from cshortfall.optimize._solver import solve

    return solve


def read_question(function: str, returns: Any, keywords: Mapping[str, Any], name: str = "returns") -> Question:
    """Check what all entry points take; `function` is the name in messages about keywords."""
    known = (*_CONSTRAINTS, *_OPTIONS, "probabilities", "mean", "constraints")
    for keyword in keywords:
        if keyword not in known:
            close = difflib.get_close_matches(keyword, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; it takes {', '.join(known)}"
            raise TypeError(f"{function}() got an unexpected keyword argument {keyword!r}{hint}")
    constraints = read_constraints(keywords)
    options = Options(**{one: keywords[one] for one in _OPTIONS if one in keywords})
    scenarios, assets, mean = read_scenarios(name, returns, keywords.get("probabilities"))
    if keywords.get("mean") is not None:
        mean = assets.vector("mean", keywords["mean"], 0.0)
    return Question(scenarios, assets, mean, constraints, options)


def read_constraints(keywords: Mapping[str, Any]) -> Constraints:
    """Return the constraints of a call: the object that it was given, with its other keywords in place."""
    own = {one: keywords[one] for one in _CONSTRAINTS if one in keywords}
    given = keywords.get("constraints")
    if given is None:
        return Constraints(**own)
    if not isinstance(given, Constraints):
        raise TypeError(f"constraints must be a Constraints object, got {_arguments.shown(given)}")
    return Constraints(**{**{one: getattr(given, one) for one in _CONSTRAINTS}, **own})


def linear_part(program: Program, cost: Floats) -> Program:
    """Return the program of a linear objective instead, scaled to a largest coefficient of one."""
    size = float(np.abs(cost).max(initial=0.0))
    return replace(program, cost=cost / size if size else cost, risks=())


def cost_of(builder: Builder, of_assets: Floats, of_expense: float) -> Floats:
    """Return the linear objective: something per unit of each asset, and so many times what trading costs."""
    cost = of_expense * builder.expense_of()
    cost[: of_assets.size] += of_assets
    return cost
