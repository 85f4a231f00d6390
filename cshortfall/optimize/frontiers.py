"""The efficient frontier: the least Expected Shortfall for each mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall.optimize._curve import Curve
from cshortfall.optimize._errors import UnboundedError
from cshortfall.optimize._inputs import read_level, read_number
from cshortfall.optimize._program import RiskTerm
from cshortfall.optimize._question import cost_of, linear_part, read_question
from cshortfall.optimize._result import OptimizationResult, finish, trading_costs
from cshortfall.optimize._warm import ahead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Unpack

    from cshortfall._arguments import Floats
    from cshortfall.optimize._builder import Builder
    from cshortfall.optimize._program import Program
    from cshortfall.optimize._question import Keywords, Question

# The last target is this much below the largest mean, relative to it: at the edge itself rounding leaves nothing.
_EDGE = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class Frontier(Curve[OptimizationResult]):
    """Portfolios of least Expected Shortfall, by ascending mean; each has its own certificate."""

    points: tuple[OptimizationResult, ...]
    targets: Floats
    """Least mean that each had to have, net of costs; the first of a frontier that begins at the least ES has none, and
    here the mean that it came to."""
    level: float
    weights: Any
    """One row for each point under the labels of the returns: an array, or a frame of the library of these."""

    @property
    def ratio(self) -> Floats:
        """Mean over ES of each point, both net of costs."""
        return self._each("ratio")

    def __repr__(self) -> str:
        seconds = sum(point.seconds for point in self.points)
        lines = [
            f"Frontier of {len(self)} points, level {self.level:g}, largest gap {self.gap.max():.1e}, {seconds:.3g} s",
            f"  {'mean':>12} {'ES':>12} {'mean/ES':>10}",
        ]
        lines += [
            f"  {mean:>12.6g} {es:>12.6g} {ratio:>10.4g}"
            for mean, es, ratio in zip(self.mean, self.es, self.ratio, strict=True)
        ]
        return "\n".join(lines)


Frontier.__module__ = "cshortfall.optimize"


def frontier(
    returns: Any,
    level: float = 0.975,
    n_points: int = 20,
    *,
    targets: Sequence[float] | None = None,
    **keywords: Unpack[Keywords],
) -> Frontier:
    r"""Return the efficient frontier of mean and Expected Shortfall.

    Parameters
    ----------
    returns : array_like, shape (n_scenarios, n_assets)
        As for `minimize_es`.
    level : float
        Confidence, ``0 <= level < 1``.
    n_points : int
        Number of points, at equal distances of the mean net of costs: from that of the least ES to the largest one.
    targets : sequence of float, optional
        Least means of the points instead, in any order.
    **keywords
        As for `minimize_es`. A `return_target` is the least mean at which the frontier begins.

    Returns
    -------
    Frontier
        Its ``points`` are results as of `minimize_es`, each certified to `tol`.

    Raises
    ------
    UnboundedError
        The mean has no largest value; bound the weights, or give `targets`.
    InfeasibleError, IterationLimitError, TimeLimitError, ValueError, TypeError
        As for `minimize_es`; `time_limit` is for the whole frontier.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.optimize import frontier
    >>> returns = np.array([[0.05, -0.02], [-0.03, 0.01], [0.02, 0.00], [0.01, 0.02]])
    >>> curve = frontier(returns, 0.75, 3)
    >>> curve.mean.round(6), curve.es.round(6)
    (array([0.005227, 0.008864, 0.0125  ]), array([0.000909, 0.015455, 0.03    ]))
    """
    question = read_question("frontier", returns, keywords)
    count = _arguments.read_count("n_points", n_points)
    term = RiskTerm(question.scenarios, read_level(level))
    # A target that says nothing makes the row that all points share.
    builder = replace(question.constraints, return_target=0.0).build(question.assets, question.mean)
    limits = question.constraints.limits(builder, question.scenarios)
    cost = cost_of(builder, np.zeros(question.assets.count), 1.0)
    program = builder.program(cost, [(1.0, term)], limits)
    own = question.constraints.return_target
    if targets is not None:
        wanted = np.array([read_number(f"targets[{i}]", one) for i, one in enumerate(targets)])
        if not wanted.size:
            raise ValueError("targets is empty; give at least one mean")
        wanted = np.sort(wanted if own is None else np.maximum(wanted, own))
        points: list[OptimizationResult] = []
    else:
        first = _point(question, builder, program, term, -np.inf if own is None else own, None)
        points = [first]
        lowest = first.mean - first.costs
        largest = _largest_mean(question, builder, program) if count > 1 else lowest
        wanted = np.linspace(min(lowest, largest), largest, count)
    for place in range(len(points), wanted.size):
        target = float(wanted[place])
        points.append(_point(question, builder, program, term, target, _state(program, points, wanted)))
    matrix = np.stack([np.asarray(point.weights, dtype=np.float64).ravel() for point in points])
    return Frontier(tuple(points), wanted, term.level, _label_rows(question, points, matrix))


def _state(program: Program, points: Sequence[OptimizationResult], targets: Floats) -> object:
    """Return where the next point probably is: on the line through the two before, if there are as many."""
    place = len(points)
    if place < 2:
        return points[0].state if points else None
    first, second, third = targets[place - 2 : place + 1].tolist()
    share = (third - second) / (second - first) if second > first else 0.0
    return ahead(program, points[-2].state, points[-1].state, share)


def _with_target(program: Program, target: float) -> Program:
    """Return the program with another return target; -inf leaves it out."""
    row = program.names_ub.index("return_target")
    if np.isfinite(target):
        limits = program.b_ub.copy()
        limits[row] = -target
        return replace(program, b_ub=limits)
    names = (*program.names_ub[:row], *program.names_ub[row + 1 :])
    return replace(
        program, A_ub=np.delete(program.A_ub, row, axis=0), b_ub=np.delete(program.b_ub, row), names_ub=names
    )


def _point(
    question: Question, builder: Builder, program: Program, term: RiskTerm, target: float, state: object
) -> OptimizationResult:
    """Return the least ES for a mean; its time is its own."""
    before = question.seconds
    own = _with_target(program, target)
    solution = question.solve(own, state)
    point = finish(question, builder, own, solution, [(1.0, term)], term.level)
    return replace(point, seconds=question.seconds - before)


def _largest_mean(question: Question, builder: Builder, program: Program) -> float:
    """Return the largest mean net of costs that the constraints allow."""
    cost = cost_of(builder, -question.mean, 1.0)
    try:
        solution = question.solve(linear_part(_with_target(program, -np.inf), cost))
    except UnboundedError as error:
        raise UnboundedError(
            "the mean has no largest value under these constraints; bound the weights, or give targets=...",
            ray=error.ray,
        ) from None
    weights = solution.v[: question.assets.count]
    largest = float(question.mean @ weights) - trading_costs(builder, weights)
    return largest - _EDGE * abs(largest)


def _label_rows(question: Question, points: Sequence[OptimizationResult], matrix: Floats) -> Any:
    """Return the weights of all points in one frame where a single one comes in a series or a frame."""
    labels = question.assets.labels
    if labels is None:
        return matrix
    if labels.has_index:
        first = points[0].weights
        return type(first.to_frame())(matrix, columns=first.index)
    import narwhals as nw

    frames = [nw.from_native(point.weights, eager_only=True) for point in points]
    return nw.concat(frames).to_native()
