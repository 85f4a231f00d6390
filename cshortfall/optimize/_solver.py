"""Continuous programs with Expected Shortfalls, solved to a certified gap.

`_smoothing` finds weights near the optimum, `_cuts` and `_bounds` prove how good they are and improve them until the
gap is at most what was asked for. Small programs, all of whose scenarios fit a master program, need no search.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cshortfall.optimize._blas import one_thread
from cshortfall.optimize._bounds import Certificate, Polyhedron
from cshortfall.optimize._cuts import Attested, Frame, TermModel, solve_master
from cshortfall.optimize._errors import (
    IterationLimitError,
    OptimizationError,
    TimeLimitError,
    UnboundedError,
)
from cshortfall.optimize._feasibility import explain, explain_limits, implied_bounds
from cshortfall.optimize._interior import ALLOWED, feasible, inside_bounds, interior, violation
from cshortfall.optimize._linear import OutOfTimeError, Status
from cshortfall.optimize._program import Program, Solution
from cshortfall.optimize._progress import Progress
from cshortfall.optimize._scaling import asset_sizes, position_size, scaled, typical_size
from cshortfall.optimize._smoothing import locate
from cshortfall.optimize._warm import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cshortfall._arguments import Floats
    from cshortfall.optimize._kept import KeptTail
    from cshortfall.optimize._scenarios import TailRows
    from cshortfall.optimize._warm import Central

# Up to this many scenarios, or times the number of variables, all are in the master program at once.
DIRECT = 400
DIRECT_PER_VARIABLE = 4
# Scenarios around VaR in the master program, for each asset that is off its bounds.
BAND_PER_ASSET = 4
BAND_SPARE = 64
# First half-width of the box around the weights that the smoothed program gave, in units of the largest position.
FIRST_RADIUS = 0.02
# A variable this near to a bound, in units of its range or one, waits outside the master program at first.
AT_BOUND = 1e-4
# A risk limit may be exceeded by this, in units of its size or of the assets' deviation.
LIMIT_TOLERANCE = 1e-9
PRICING_ROUNDS = 6
# Iterations without weights that keep all risk limits after which a point inside them is looked for.
PATIENCE = 2
# Iterations without a bound after which a direction is looked for that lowers the objective for ever.
UNBOUNDED_PATIENCE = 4
# Share of the way from a point inside all constraints to the weights that a related program gave.
WARM = 0.99


def solve(
    program: Program,
    *,
    tol: float = 1e-8,
    max_iterations: int = 100,
    time_limit: float | None = None,
    callback: Callable[[Progress], Any] | None = None,
    state: object = None,
) -> Solution:
    """Minimise a program without integers.

    Parameters
    ----------
    program : Program
    tol : float
        Largest certified gap to return with.
    max_iterations : int
        Master programs.
    time_limit : float, optional
        Seconds.
    callback : callable, optional
        Called with a `Progress` after each iteration; returns True to stop.
    state : object, optional
        ``Solution.state`` of a program over the same scenarios: a point to begin with.

    Raises
    ------
    InfeasibleError, UnboundedError, IterationLimitError, TimeLimitError
        With weights, value and bound as far as they are known; weights are values of all variables.
    """
    search = _Search(program, tol, _Clock(time_limit), callback)
    try:
        with one_thread:
            search.begin(state)
            return search.run(max_iterations)
    except OutOfTimeError:
        raise search.limit(TimeLimitError, f"the time limit of {time_limit:g} seconds") from None


class _Clock:
    def __init__(self, limit: float | None) -> None:
        self.start = time.perf_counter()
        self.limit = limit

    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def left(self) -> float | None:
        return None if self.limit is None else max(0.0, self.limit - self.seconds())

    def check(self) -> None:
        if self.limit is not None and self.seconds() > self.limit:
            raise OutOfTimeError


class _Point(NamedTuple):
    """Weights that a pass was made at."""

    v: Floats
    risks: Floats
    """ES of each term."""
    edges: Floats
    """VaR of each term."""
    objective: float
    excess: Floats
    """What each risk limit is exceeded by."""


class _Search:
    """The state of one optimisation. Everything but `program` and what is returned is scaled."""

    def __init__(self, program: Program, tol: float, clock: _Clock, callback: Callable[[Progress], Any] | None) -> None:
        self.program = program
        self.tol = tol
        self.clock = clock
        self.callback = callback
        self.passes_before = _passes(program)
        self.sizes = asset_sizes(program)
        self.scale = typical_size(self.sizes)
        self.best = float("inf")
        self.best_v: Floats | None = None
        self.best_risks = np.zeros(0)
        self.start = np.zeros(0)
        self.kept: tuple[KeptTail, ...] = ()
        self.central: Central | None = None
        # Of the points inside all risk limits the best and the deepest, and their slacks.
        self.inside: list[tuple[_Point, Floats]] = []
        self.looked = False
        self.iteration = 0
        self.widen = 1

    # Beginning

    def begin(self, state: object) -> None:
        """Scale, find a point inside all constraints and, from it, weights near the optimum."""
        program = self.program
        lower, upper = implied_bounds(program)
        if (lower > upper + 1e-9 * np.maximum(1.0, np.abs(upper))).any():
            raise self._infeasible()
        self.s = s = scaled(program, position_size(program), self.scale, self.sizes)
        self.scale *= s.position
        self.gap_floor = 1e-3 * self.scale / (s.unit * s.position)
        ends = np.minimum(lower / s.columns, s.upper), np.maximum(upper / s.columns, s.lower)
        self.certificate = Certificate(Polyhedron(s, *ends))
        self.models = [TermModel(term) for term in s.terms]
        most = max((term.n_scenarios for term in s.terms), default=0)
        self.direct = most <= max(DIRECT, DIRECT_PER_VARIABLE * s.n_variables)
        self.bounded = bool(np.isfinite(lower).all() and np.isfinite(upper).all())
        self.radius = np.inf if self.direct else 1.0
        self.located = False
        if isinstance(state, State) and not self.direct and self._resumed(state):
            return
        begun = interior(s, self.clock.left())
        if begun is None:
            raise self._infeasible()
        self.start, room = begun
        self.v = self.start
        if not self.direct and room > ALLOWED:
            self._locate(self.start)

    def _resumed(self, state: State) -> bool:
        """Begin where a related program ended, if that is inside the bounds and leads to an optimum."""
        s = self.s
        if state.v.shape != s.lower.shape or not inside_bounds(s, state.interior / s.columns):
            return False
        # The steps of the smoothed program make up for rows that the start violates.
        self.v = self.start = state.interior / s.columns
        central = None if state.central is None else state.central.scaled(s)
        return self._locate(self.start + WARM * (state.v / s.columns - self.start), True, central)

    def _locate(self, start: Floats, near: bool = False, central: Central | None = None) -> bool:
        """Go from a start to weights near the optimum; whether that is over, be it for want of time."""
        try:
            found = locate(self.s, start, self.clock.check, near, central)
        except OutOfTimeError:
            return True
        if found is None:
            return False
        self.v, self.kept, self.central = feasible(self.s, found.v), found.kept, found.central
        self.located = True
        self.radius = FIRST_RADIUS * max(1.0, float(np.abs(found.v).max()))
        return True

    def _infeasible(self) -> OptimizationError:
        found = explain(self.program)
        return found or OptimizationError("the constraints could be neither met nor refuted within rounding errors")

    def _refuse_unbounded(self) -> None:
        """Raise if some direction lowers the objective for ever; there is none where all variables have bounds."""
        program = self.program
        if self.bounded:
            return
        self.bounded = True
        end = self._inner(program.recession(), 1e-6)
        if end is not None and end.objective < -1e-7 * max(end.scale, float(np.abs(program.cost).max(initial=0.0))):
            raise UnboundedError(
                f"the objective falls without end: by {-end.objective:.6g} for each repetition of a change of weights "
                "that all constraints allow; bound the weights or their gross exposure",
                ray=end.v,
            )

    # Running

    def run(self, max_iterations: int) -> Solution:
        """Improve weights and bound in turn until they meet."""
        center: _Point | None = None
        active = None
        foreseen = self._foreseen() if max_iterations else None
        for self.iteration in range(max_iterations + 1):
            point = foreseen if foreseen is not None and self.iteration == 0 else self._evaluate(self.v)
            self.clock.check()
            if not self._done():
                self.certificate.refine(max(1.0, float(np.abs(point.v).max())), self.clock.left())
            if foreseen is not None and self.iteration == 1 and not self._done():
                # The first master program was made of what was foreseen, and that was not enough.
                center = self._seen(foreseen)
                self._retreat(point)
            serious = center is None or self._merit(point) < self._merit(center)
            if center is None or serious:
                center = point
            if self.iteration >= PATIENCE and point.excess.any() and not (self.inside or self.looked or self.s.lifts):
                self._look_inside()
            if self.iteration == UNBOUNDED_PATIENCE and self.certificate.bound == -np.inf:
                self._refuse_unbounded()
            self._report("cuts" if self.located or self.iteration else "start")
            if self._done():
                return self._solution()
            if self.iteration == max_iterations:
                break
            if active is None:
                active = self._off_bounds(center.v)
            self.v, active, on_box = self._master(center, active)
            if self._done():
                return self._solution()
            if self.iteration:
                if serious and on_box:
                    self.radius *= 2
                elif not serious:
                    self.radius /= 2
                    self.widen *= 2
        if self.certificate.bound == -np.inf:
            self._refuse_unbounded()
        raise self.limit(IterationLimitError, f"max_iterations={max_iterations}")

    def _done(self) -> bool:
        return self.best_v is not None and self.best - self.certificate.bound <= self._allowance()

    def _allowance(self) -> float:
        """Return the largest difference of value and bound to end with."""
        return self.tol * max(abs(self.best), self.gap_floor)

    def _gap(self) -> float:
        if self.best_v is None:
            return float("inf")
        return (self.best - self.certificate.bound) / max(abs(self.best), self.gap_floor)

    def _off_bounds(self, v: Floats) -> Any:
        s = self.s
        if not self.located:
            return np.ones(s.n_variables, dtype=bool)
        near = AT_BOUND * np.minimum(s.upper - s.lower, 1.0)
        active = (v > s.lower + near) & (v < s.upper - near)
        active[s.n_assets :] = True
        return active

    def _merit(self, point: _Point) -> float:
        """Return the objective and a penalty on violated limits, of twice the multipliers that are known."""
        prices = np.maximum(self.certificate.limits, 1e-3 * self.s.objective_scale)
        return point.objective + float((2 * prices * point.excess).sum())

    def _evaluate(self, v: Floats) -> _Point:
        """Pass over the scenarios at v and keep what is learned."""
        point = self._pass(v)
        self._retreat(point)
        return point

    def _retreat(self, point: _Point) -> None:
        """Where a point exceeds risk limits, look at one between it and a point inside them."""
        v = point.v
        if point.excess.any() and self.inside:
            # On the way to a point inside all limits, ES is at most what lies on the chord.
            ways = [(float((point.excess / (point.excess + slack)).max()), inside) for inside, slack in self.inside]
            share, inside = min(ways, key=lambda way: (1 - way[0]) * point.objective + way[0] * way[1].objective)
            if (1 - share) * point.objective + share * inside.objective < self.best:
                self._pass(v + min(1.0, share * (1 + 1e-12)) * (inside.v - v))

    def _foreseen(self) -> _Point | None:
        """Learn at the weights that the search ended with what its rows tell, without a pass; None if it is not enough.

        For a first master program: the pass at its weights shows whether the rows did.
        """
        width = self._band_width(self.v)
        tails = [kept.tail_rows(self.v, width // 2, width // 2) for kept in self.kept]
        self.kept = ()
        known = [tail for tail in tails if tail is not None]
        return self._learned(self.v, known)[0] if known and len(known) == len(tails) else None

    def _seen(self, foreseen: _Point) -> _Point:
        """Learn the same from a pass instead: rows that were not kept may be on the other side of the edge."""
        for model in self.models:
            model.forget_first()
        return self._pass(foreseen.v)

    def _band_width(self, v: Floats) -> int:
        """Return how many scenarios are modelled one by one at v."""
        assets = self._off_bounds(v)[: self.s.n_assets]
        return self.widen * (BAND_PER_ASSET * (int(assets.sum()) + 1) + BAND_SPARE)

    def _learned(self, v: Floats, tails: Sequence[TailRows]) -> tuple[_Point, Floats]:
        """Keep what tails say of each term at v; return the point and its slacks to the risk limits."""
        s, n_objective = self.s, len(self.s.weights)
        for model, tail in zip(self.models, tails, strict=True):
            model.add(v, tail)
        values = np.array([tail.es for tail in tails])
        risks = values[n_objective:]
        v = s.lifted(v, risks)
        slack = np.array([limit.limit - float(limit.slope @ v) for limit in s.limits]) - risks
        objective = float(s.cost @ v) + float(np.dot(s.weights, values[:n_objective]))
        edges = np.array([tail.var for tail in tails])
        return _Point(v, values, edges, objective, np.maximum(-slack, 0.0)), slack

    def _pass(self, v: Floats) -> _Point:
        s, width = self.s, self._band_width(v)
        counts = [term.n_scenarios if self.direct else width // 2 for term in s.terms]
        tails = [term.tail_rows(v, count, count) for term, count in zip(s.terms, counts, strict=True)]
        point, slack = self._learned(v, tails)
        v, objective = point.v, point.objective
        if s.limits and slack.min() > 0:
            inside = [*self.inside, (point, slack)]
            best = min(inside, key=lambda one: one[0].objective)
            self.inside = [best, max(inside, key=lambda one: float(one[1].min()))]
        allowed = LIMIT_TOLERANCE * np.array([max(abs(limit.limit), self.gap_floor) for limit in s.limits])
        if objective < self.best and (point.excess <= allowed).all() and violation(s, v) <= ALLOWED:
            self.best, self.best_v, self.best_risks = objective, v, point.risks
        return point

    def _look_inside(self) -> None:
        """Find a point that keeps all risk limits with some slack, if there is one: the least largest excess."""
        self.looked = True
        program = self.program
        n = program.n_variables
        excess = np.append(np.zeros(n), 1.0)
        end = self._inner(
            replace(
                program,
                cost=excess,
                risks=(),
                lower=np.append(program.lower, -np.inf),
                upper=np.append(program.upper, np.inf),
                A_eq=np.pad(program.A_eq, ((0, 0), (0, 1))),
                A_ub=np.pad(program.A_ub, ((0, 0), (0, 1))),
                limits=tuple(replace(limit, slope=np.append(limit.slope, 0.0) - excess) for limit in program.limits),
            ),
            1e-2,
        )
        if end is None:
            return
        if end.lower_bound > 0:
            found = explain_limits(program, self._solve_inner)
            if found is not None:
                raise found
        self._pass(end.v[:n] / self.s.columns)

    def _solve_inner(self, program: Program) -> Solution:
        return solve(program, time_limit=self.clock.left())

    def _inner(self, program: Program, tol: float) -> Solution | None:
        """Solve a program that tells something about this one; None if it could not be solved."""
        try:
            return solve(program, tol=tol, time_limit=self.clock.left())
        except TimeLimitError:
            raise OutOfTimeError from None
        except OptimizationError:
            return None

    def _master(self, center: _Point, active: Any) -> tuple[Floats, Any, bool]:
        """Solve the master program, price the variables left out of it, improve the bound."""
        s = self.s
        minorants = [model.minorants() for model in self.models]
        for _ in range(PRICING_ROUNDS):
            frame = self._frame(center, active)
            end = solve_master(s, minorants, frame, self.clock.left())
            if end.status is not Status.OPTIMAL:
                self.clock.check()
                if not active.all():
                    active = np.ones_like(active)
                    continue
                if end.status is Status.UNBOUNDED and self.radius < 1e4 * max(1.0, float(np.abs(center.v).max())):
                    self.radius *= 8
                    continue
                raise self._master_failed(end.status)
            assert end.attested is not None
            reach = max(1.0, float(np.abs(center.v).max()))
            self.certificate.improve(end.attested, reach)
            if active.all() or self._done():
                break
            wanted = self._wanted(end.attested, frame)
            if not wanted.any():
                break
            active = active | wanted
        if end.v is None:
            raise self._master_failed(end.status)
        v = feasible(s, end.v)
        edge = 1e-7 * frame.size
        on_box = ((v <= frame.lower + edge) & (frame.lower > s.lower)) | (
            (v >= frame.upper - edge) & (frame.upper < s.upper)
        )
        if self.direct:
            # The first master has no box; what is left to do is to step again, more exactly.
            self.radius = min(self.radius, FIRST_RADIUS * max(1.0, float(np.abs(v).max())))
        return v, active, bool(on_box.any())

    def _frame(self, center: _Point, active: Any) -> Frame:
        """Return the box around a point; variables that are not active go to their nearer bound."""
        s, v = self.s, center.v
        nearer = np.where(np.abs(v - s.lower) <= np.abs(s.upper - v), s.lower, s.upper)
        still = np.where(active | ~np.isfinite(nearer), v, nearer)
        size = self.radius if np.isfinite(self.radius) else 1.0
        low, high = np.maximum(s.lower, v - self.radius), np.minimum(s.upper, v + self.radius)
        return Frame(still, center.edges, size, low, high, active)

    def _wanted(self, attested: Attested, frame: Frame) -> Any:
        """Return the variables left out whose reduced cost says that they would move."""
        reduced = self.s.reduced_costs(attested.cost, attested.pi, attested.nu)
        moves = ((reduced < -1e-9) & (frame.v < frame.upper)) | ((reduced > 1e-9) & (frame.v > frame.lower))
        return moves & ~frame.active

    # Ends

    def _report(self, phase: str) -> None:
        if self.callback is None:
            return
        unit = self.s.unit * self.s.position
        bound = self.certificate.bound * unit
        progress = Progress(self.iteration, phase, self.best * unit, bound, self._gap(), self.clock.seconds())
        if self.callback(progress):
            raise self.limit(OptimizationError, "the callback")

    def limit(self, kind: type[OptimizationError], what: str) -> OptimizationError:
        unit = self.s.unit * self.s.position
        if self.best_v is None and self.located:
            # A search that ended without a pass at its weights.
            self._pass(self.v)
        known = "no feasible weights are known"
        if self.best_v is not None:
            known = f"the best weights have objective {self.best * unit:.9g} at a certified gap of {self._gap():.3g}"
        return kind(
            f"stopped by {what} before the gap was at most tol={self.tol:g}: {known}",
            weights=None if self.best_v is None else self.best_v * self.s.columns,
            value=None if self.best_v is None else self.best * unit,
            lower_bound=self.certificate.bound * unit,
            gap=self._gap(),
        )

    def _master_failed(self, status: Status) -> OptimizationError:
        # The master is solved in its dual: that is infeasible where the program is unbounded.
        if status in (Status.UNBOUNDED, Status.INFEASIBLE):
            self._refuse_unbounded()
        if status in (Status.UNBOUNDED, Status.INFEASIBLE) and self.s.limits and not self.s.lifts:
            found = explain_limits(self.program, self._solve_inner)
            if found is not None:
                return found
        return self.limit(OptimizationError, f"a master program that HiGHS could not solve ({status.name.lower()})")

    def _solution(self) -> Solution:
        s, program = self.s, self.program
        assert self.best_v is not None
        unit = s.unit * s.position
        v = self.best_v * s.columns
        # Scales are powers of two: these are the bits of ES at v.
        risks = self.best_risks[: len(s.weights)] * unit
        objective = float(program.cost @ v) + float(np.dot(s.weights, risks))
        certificate = self.certificate
        certificate.explain(self.best_v, self.clock.left())
        # Limits are kept to within a tolerance, rounding aside: weights may do better than they could exactly.
        bound = min(certificate.bound * unit, objective)
        return Solution(
            v=v,
            objective=objective,
            lower_bound=bound,
            gap=(objective - bound) / max(abs(objective), 1e-3 * self.scale),
            scale=self.scale,
            duals_eq=certificate.pi * s.unit / s.scale_eq,
            duals_ub=-certificate.nu * s.unit / s.scale_ub,
            duals_bounds=certificate.reduced * unit / s.columns,
            duals_limits=-certificate.limits,
            iterations=self.iteration,
            passes=_passes(program) - self.passes_before,
            seconds=self.clock.seconds(),
            state=State(v, self.start * s.columns, None if self.central is None else self.central.unscaled(s)),
        )


def _passes(program: Program) -> int:
    return sum(one.passes for one in {id(term.scenarios): term.scenarios for term in program.terms}.values())
