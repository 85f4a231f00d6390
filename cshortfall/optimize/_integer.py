"""Programs with integers: cardinality, minimum positions, round lots, whole contracts.

Branch and bound (`_integer_tree`): each node is a continuous program, bounded by cutting planes of its own and hence
certified (`_integer_node`). No program has a row for each scenario. Whole numbers to try come from four sources: nodes
whose solution is whole already or nearly so, the continuous optimum with its smallest positions dropped, exchanges of
positions of the best, and integer programs over cuts, by HiGHS (`_integer_master`). With the integers held a program
is continuous, and the solver of those (`_solver`) finds the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from cshortfall.optimize._blas import one_thread
from cshortfall.optimize._errors import (
    InfeasibleError,
    IterationLimitError,
    OptimizationError,
    TimeLimitError,
    UnboundedError,
)
from cshortfall.optimize._feasibility import explain, explain_limits
from cshortfall.optimize._integer_master import choose
from cshortfall.optimize._integer_node import Relaxation, Relaxed
from cshortfall.optimize._integer_rows import WHOLE, held, tightened, whole
from cshortfall.optimize._integer_tree import Branching, Node, Tree
from cshortfall.optimize._program import Solution
from cshortfall.optimize._progress import Progress
from cshortfall.optimize._scaling import asset_sizes, position_size, typical_size
from cshortfall.optimize._solver import solve

if TYPE_CHECKING:
    from cshortfall._arguments import Floats
    from cshortfall.optimize._cuts import TermModel
    from cshortfall.optimize._program import Program

# Nodes of a tree for each iteration that is allowed.
NODES_PER_ITERATION = 1000
# A node is bounded well enough to branch when what is missing is this share of what it lacks to be closed.
ROUGH = 0.05
# Nodes are closed a little before the gap is reached, so that rounding does not keep it open.
CLOSED = 0.5
# Programs with some choices open, on the way to whole numbers to try, are solved to this gap, or to this share of what
# they lack to be no better than the best.
TRIAL, ROUGH_TRIAL = 1e-4, 0.02
# Share of the positions that are dropped at a time.
DROPPED = 1 / 12
# The largest positions of a node are tried at one node in so many.
TRY_EVERY = 8
# Integer programs in a row for whole numbers to try, and seconds for each; Ctrl-C waits for the end of one.
PROPOSALS = 8
PROPOSAL_SECONDS = 1.0


def solve_integer(
    program: Program,
    *,
    tol: float = 1e-8,
    max_iterations: int = 100,
    time_limit: float | None = None,
    callback: Callable[[Progress], Any] | None = None,
    state: object = None,
) -> Solution:
    """Minimise a program with integers.

    Parameters
    ----------
    program : Program
        Its `integers` say which variables are whole.
    tol : float
        The largest certified gap to return with.
    max_iterations : int
        Of thousands of nodes.
    time_limit : float, optional
        In seconds, for everything.
    callback : callable, optional
        Called with a `Progress` after each node; the search ends where it returns True.
    state : object, optional
        The `state` of a solution of a related program: values to try first.

    Returns
    -------
    Solution
        Its duals are those of the continuous program with the integers held, its iterations nodes. The lower bound is
        the least one of all nodes that were not split, each from repaired multipliers.

    Raises
    ------
    InfeasibleError, UnboundedError, IterationLimitError, TimeLimitError
        With the best feasible variables and the bound, as far as known.
    """
    with one_thread:
        return _Search(program, tol, max_iterations, time_limit, callback).run(state)


class _Search:
    def __init__(
        self,
        program: Program,
        tol: float,
        max_iterations: int,
        time_limit: float | None,
        callback: Callable[[Progress], Any] | None,
    ) -> None:
        self.began = time.perf_counter()
        self.original = program
        self.program = tightened(program)
        self.tol = tol
        self.max_iterations = max_iterations
        self.time_limit = time_limit
        self.deadline = np.inf if time_limit is None else self.began + time_limit
        self.callback = callback
        self.sources = list({id(term.scenarios): term.scenarios for term in program.terms}.values())
        self.first_pass = self.passes
        self.scale = typical_size(asset_sizes(program))
        self.integer = whole(program)
        self.best_v: Floats | None = None
        self.best = np.inf
        self.finished: Solution | None = None
        """The continuous program with the best integers held."""
        self.beside: Floats | None = None
        """Its reduced costs."""
        self.tried: set[bytes] = set()
        """Integers whose continuous program has been looked at."""
        self.bound = -np.inf
        self.iteration = 0

    @property
    def passes(self) -> int:
        return sum(source.passes for source in self.sources)

    @property
    def left(self) -> float:
        return float(self.deadline - time.perf_counter())

    @property
    def size(self) -> float:
        """What gaps are relative to."""
        value = self.best if self.best_v is not None else self.bound
        return max(abs(value) if np.isfinite(value) else 0.0, 1e-3 * self.scale)

    @property
    def gap(self) -> float:
        if self.best_v is None:
            return np.inf
        return max(0.0, self.best - self.bound) / self.size

    @property
    def cutoff(self) -> float:
        """What is not below this is no better than the best."""
        return self.best - CLOSED * self.tol * self.size if self.best_v is not None else np.inf

    def run(self, state: object) -> Solution:
        """Search until the gap is closed."""
        root = self._root()
        self.relaxation = Relaxation(self.program, root, self._position(root), self.scale, 1e-3 * self.scale)
        self.branching = Branching(self.program, self.relaxation)
        box = self.branching.implied(self.program.lower, self.program.upper)
        if box is None:
            self._infeasible()
        self.models = self.relaxation.models(root)
        self._report("relaxation")
        if isinstance(state, np.ndarray) and state.size == self.program.n_variables:
            self._hold(state)
        made = self.branching.made(root, *box)
        if made is not None:
            self._hold(made)
        if not self._done():
            self._drop_small(root, *box)
            self._report("heuristic")
            self._propose(*box)
            self._exchange(*box)
        self._branch_and_bound(Tree(Node(self.bound, 0, *box, self.models, root)))
        return self._solution()

    def _done(self) -> bool:
        return self.gap <= self.tol

    def _root(self) -> Floats:
        """Solve the continuous relaxation."""
        limit = None if self.time_limit is None else max(self.left, 1e-3)
        try:
            root = solve(
                replace(self.program, integers=None),
                tol=0.1 * self.tol,
                time_limit=limit,
                callback=None if self.callback is None else self._show_root,
            )
        except InfeasibleError:
            self._infeasible()
        except UnboundedError:
            raise
        except OptimizationError as error:
            self.bound = error.lower_bound
            if self.left <= 0:
                self._stop_late()
            if error.weights is None:
                raise
            weights: Floats = np.asarray(error.weights)
            return weights
        self.bound = root.lower_bound
        return root.v

    def _show_root(self, progress: Progress) -> Any:
        """Report on the continuous relaxation, whose weights are no solution."""
        assert self.callback is not None
        return self.callback(replace(progress, iteration=0, phase="relaxation", value=np.inf, gap=np.inf))

    def _position(self, root: Floats) -> float:
        """Size of the positions."""
        size = float(np.abs(root[: self.program.n_assets]).max(initial=0.0))
        return size if size > 0 else position_size(self.program)

    # Branch and bound

    def _branch_and_bound(self, tree: Tree) -> None:
        """Solve nodes, the least bound first, until none can hold anything better."""
        while not self._done():
            if not tree.open:
                if self.best_v is None:
                    self._infeasible()
                break
            node = tree.pop()
            if node.bound >= self.cutoff or not (node.v is not None or self._solve_node(tree, node)):
                tree.close(node.bound)
            else:
                self._branch(tree, node)
            self.bound = max(self.bound, min(tree.bound, self.best))
            self._report("branch and bound")

    def _solve_node(self, tree: Tree, node: Node) -> bool:
        """Bound a node, and return whether it may hold something better than the best."""
        self.iteration += 1
        if self.iteration > NODES_PER_ITERATION * self.max_iterations:
            self._stop(IterationLimitError, f"max_iterations={self.max_iterations}")
        # Branching needs no exact bound, but where the choices are made already their value is worth knowing.
        for rough in (ROUGH, 0.0):
            end = self._relax(node.lower, node.upper, node.models, node.start, rough)
            node.bound, node.models, node.v = max(node.bound, end.bound), end.models, end.v
            if node.bound >= self.cutoff or end.v is None:
                break
            made = self.branching.made(end.v, node.lower, node.upper)
            if made is not None:
                self._hold(made, end.models)
            elif self.iteration % TRY_EVERY == 1:
                self._hold(self.branching.greedy(end.v, node.lower, node.upper), end.models)
            if made is None or node.bound >= self.cutoff:
                break
        if node.split is not None:
            self.branching.learn(node.split, node.bound)
        if node.bound < self.cutoff and node.v is not None and made is not None:
            self._sharpen(node)
        if node.bound >= self.cutoff:
            return False
        if node.v is None:
            node.v = np.clip(0.0, node.lower, node.upper)
        elif np.isfinite(self.cutoff):
            self._keep_better(tree, node, end)
        return True

    def _branch(self, tree: Tree, node: Node) -> None:
        v = node.v
        assert v is not None
        pair = self.branching.split(node, v)
        if pair is None:
            tree.close(node.bound)
            return
        for split in pair:
            box = self.branching.side(node, split)
            if box is None:
                continue
            kept = None
            if split.up and self.branching.permits[split.place]:
                # Often the solution stays one, as allowing what it takes costs nothing.
                moved = v.copy()
                moved[split.place] = 1.0
                if ((moved >= box[0]) & (moved <= box[1])).all() and self.relaxation.keeps_rows(moved):
                    kept = moved
            tree.add(node, *box, kept, split)

    def _sharpen(self, node: Node) -> None:
        """Bound a node whose integers are made to the last digits."""
        held_program = replace(self.program, integers=None, lower=node.lower, upper=node.upper)
        try:
            bound = solve(held_program, tol=0.1 * self.tol, time_limit=self._seconds()).lower_bound
        except InfeasibleError:
            return
        except OptimizationError as error:
            bound = error.lower_bound
        node.bound = max(node.bound, bound)

    def _keep_better(self, tree: Tree, node: Node, end: Relaxed) -> None:
        """Leave of a node what may be better than the best."""
        if end.reduced is not None and np.isfinite(end.bound):
            lower, upper = self.branching.narrowed(node, end.reduced, self.cutoff - end.bound)
            if (lower > node.lower).any() or (upper < node.upper).any():
                tree.close(self.cutoff)
                node.lower, node.upper = lower, upper

    # Whole numbers to try

    def _relax(
        self, lower: Floats, upper: Floats, models: Any, start: Floats, rough: float, tol: float | None = None
    ) -> Relaxed:
        return self.relaxation.solve(
            lower,
            upper,
            models,
            start,
            cutoff=self.cutoff,
            tol=0.1 * self.tol if tol is None else tol,
            rough=rough,
            deadline=self.deadline,
        )

    def _hold(self, v: Floats | None, models: tuple[TermModel, ...] | None = None) -> bool:
        """Round the integers and solve for the rest; whether these integers are new.

        `models` know the tails near v.
        """
        if v is None:
            return False
        program = self.program
        values = np.where(self.integer, np.round(v), 0.0) + 0.0  # no negative zeros
        key = values[self.integer].astype(np.int64).tobytes()
        if key in self.tried:
            return False
        self.tried.add(key)
        if (values < program.lower - WHOLE)[self.integer].any() or (values > program.upper + WHOLE)[self.integer].any():
            return True
        lower, upper = held(program, values)
        end = self._relax(lower, upper, self.models if models is None else models, v, 0.0)
        if end.v is None or end.bound >= self.cutoff:
            return True
        if (lower < upper).any():
            self._finish(lower, upper)
        elif np.isfinite(end.value):
            self._take(end.v)
        if self.best_v is not None and (self.best_v[self.integer] == values[self.integer]).all():
            self.models, self.beside = end.models, end.reduced
        return True

    def _finish(self, lower: Floats, upper: Floats) -> None:
        """Solve a program whose integers are held."""
        rest = replace(self.program, integers=None, lower=lower, upper=upper)
        for tol in (0.1 * self.tol, 1e-6):
            try:
                end = solve(rest, tol=tol, time_limit=self._seconds())
                if self._take(end.v):
                    self.finished = end
            except InfeasibleError:
                return
            except OptimizationError as error:
                if error.weights is not None:
                    self._take(np.asarray(error.weights))
                continue
            return

    def _take(self, v: Floats) -> bool:
        """Keep feasible variables if they are the best."""
        value = float(self.program.cost @ v)
        for weight, term in self.program.risks:
            x = v[: self.program.n_assets]
            x = x if term.exposure is None else x * term.exposure
            value += weight * term.scenarios.es_var(x, term.level, term.base)[0]
        better = value < self.best
        if better:
            self.best, self.best_v, self.finished = value, v, None
        return better

    def _drop_small(self, v: Floats, lower: Floats, upper: Floats) -> None:
        """Forbid the smallest positions of the continuous optimum, few at a time, until the rest is allowed."""
        permits = self.branching.permits
        if not permits.any():
            return
        upper, models = upper.copy(), self.models
        while self.left > 0:
            end = self._relax(lower, upper, models, v, ROUGH_TRIAL, TRIAL)
            if end.v is None or end.bound >= self.cutoff:
                return
            made = self.branching.made(end.v, lower, upper)
            before = self.best
            self._hold(self.branching.greedy(end.v, lower, upper) if made is None else made, end.models)
            positions = self.branching.positions(end.v)
            kept = np.flatnonzero(permits & (positions > 0) & (upper > 0.5) & (lower < 0.5))
            if (made is not None and self.best < before) or not kept.size:
                return
            models, v = end.models, end.v
            order = kept[np.argsort(positions[kept], kind="stable")]
            upper[order[: max(1, int(kept.size * DROPPED))]] = 0.0
            upper[permits & (positions <= 0) & (lower < 0.5)] = 0.0
            box = self.branching.implied(lower, upper)
            if box is None:
                return
            lower, upper = box
            self._report("heuristic")

    def _exchange(self, lower: Floats, upper: Floats) -> None:
        """Allow the best something more, and drop what it then needs least, until that gains nothing."""
        permits = self.branching.permits
        if not permits.any():
            return
        before = np.inf
        while self.left > 0 and self.best_v is not None and self.best < before and not self._done():
            before = self.best
            if self.beside is None:
                return
            for opened in self.branching.entrants(self.best_v, self.beside, upper):
                allowed = upper.copy()
                allowed[permits & (self.best_v < 0.5)] = 0.0
                allowed[opened] = 1.0
                box = self.branching.implied(lower, allowed)
                if box is None:
                    continue
                end = self._relax(*box, self.models, self.best_v, ROUGH_TRIAL, TRIAL)
                if end.v is not None and end.bound < self.cutoff:
                    self._hold(self.branching.greedy(end.v, *box), end.models)
                self._report("heuristic")
                if self.best < before or self.left <= 0:
                    break

    def _propose(self, lower: Floats, upper: Floats) -> None:
        """Try what integer programs over cuts choose; each new choice adds cuts."""
        if not (self.integer & ~self.branching.permits).any():
            return
        models = self.models
        for _ in range(PROPOSALS):
            seconds = min(PROPOSAL_SECONDS, self.left)
            if seconds <= 0 or self._done():
                return
            v = choose(self.relaxation.scaled, models, lower, upper, self.integer, seconds)
            if v is None or not self._hold(v):
                return
            models = self.relaxation.seen(models, np.clip(v, lower, upper))

    # Ends

    def _seconds(self) -> float | None:
        return None if np.isinf(self.deadline) else max(self.left, 1e-3)

    def _report(self, phase: str) -> None:
        if self.callback is not None:
            seconds = time.perf_counter() - self.began
            progress = Progress(self.iteration, phase, self.best, self.bound, self.gap, seconds)
            if self.callback(progress) is True:
                self._stop(OptimizationError, "the callback")
        if self.left <= 0 and not self._done():
            self._stop_late()

    def _stop_late(self) -> NoReturn:
        self._stop(TimeLimitError, f"the time limit of {self.time_limit:g} seconds")

    def _stop(self, kind: type[OptimizationError], what: str) -> NoReturn:
        known, value = "no feasible weights are known", None
        if self.best_v is not None:
            value = self.best
            known = f"the best weights have objective {value:.9g} at a certified gap of {self.gap:.3g}"
        raise kind(
            f"stopped by {what} before the gap was at most tol={self.tol:g}: {known}",
            weights=self.best_v,
            value=value,
            lower_bound=self.bound,
            gap=self.gap,
        )

    def _infeasible(self) -> NoReturn:
        program = self.original
        found = explain(program)
        if found is None and program.limits:
            found = explain_limits(program, solve_integer)
        if found is None:
            found = InfeasibleError("no weights satisfy the constraints in whole numbers", violation=0.0, conflict=())
        raise found

    def _priced(self, v: Floats) -> Solution | None:
        """Solve for the multipliers where only the integers were tried."""
        lower, upper = held(self.program, np.where(self.integer, v, 0.0))
        try:
            return solve(replace(self.program, integers=None, lower=lower, upper=upper), tol=1e-6)
        except OptimizationError:
            return None

    def _solution(self) -> Solution:
        v = self.best_v
        assert v is not None
        end = self._priced(v) if self.finished is None else self.finished
        program = self.program
        return Solution(
            v=v,
            objective=self.best,
            lower_bound=min(self.bound, self.best),
            gap=self.gap,
            scale=self.scale,
            duals_eq=np.full(program.b_eq.size, np.nan) if end is None else end.duals_eq,
            duals_ub=np.full(program.b_ub.size, np.nan) if end is None else end.duals_ub,
            duals_bounds=np.full(v.size, np.nan) if end is None else end.duals_bounds,
            duals_limits=np.full(len(program.limits), np.nan) if end is None else end.duals_limits,
            iterations=self.iteration,
            passes=self.passes - self.first_pass,
            seconds=time.perf_counter() - self.began,
            state=v,
        )
