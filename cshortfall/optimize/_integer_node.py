"""The continuous program of one node of an integer search: bounded from below by cutting planes, as far as it matters.

Numbers come and go in the units of the program; inside they are scaled to size one (`_scaling`) by powers of two, so
that bounds of whole numbers stay exact. A bound is that of repaired multipliers over the node's own bounds, never the
objective of a solver.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cshortfall.optimize._bounds import Polyhedron
from cshortfall.optimize._cuts import Frame, Minorants, TermModel, solve_master
from cshortfall.optimize._integer_newton import SmoothedNodes, allowance, is_plain
from cshortfall.optimize._integer_rows import links, permits
from cshortfall.optimize._linear import Status, solve_linear
from cshortfall.optimize._scaling import scaled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cshortfall._arguments import Floats
    from cshortfall.optimize._cuts import Attested
    from cshortfall.optimize._program import Program
    from cshortfall.optimize._scaling import ScaledProgram

# Up to this many scenarios all are modelled one by one, and one program is exact.
DIRECT = 400
# Scenarios on either side of VaR that are modelled, for each asset off its bounds, and as many more.
BAND_PER_ASSET = 3.0
BAND_SPARE = 8
MOST_CUTS = 60
# Newton's method goes on until less is missing than cutting planes may miss, times the first, as long as it finds more:
# a few steps pay for fewer nodes. If it gets no further the second will do, since linear programs cost many steps.
SHARPER, BLUNTER = 0.3, 6.0
# Programs in a row that bring nothing.
PATIENCE = 3
# Variables without bounds are looked for within this many times the size of the positions, then farther.
BOXES = (1e3, 1e6, 1e9)
# Violation of rows that rounding explains, in units of the row's terms; of risk limits, in units of the limit.
ROW_TOLERANCE = 1e-9


class Relaxed(NamedTuple):
    """What is known of a node."""

    bound: float
    """No feasible variables between the bounds are below it; inf where there are none."""
    v: Floats | None
    """The best variables met, those of the last program where none keeps the risk limits."""
    value: float
    """Their objective; inf where they exceed a risk limit, or where nobody asked."""
    models: tuple[TermModel, ...]
    """The terms as seen from v."""
    reduced: Floats | None = None
    """What the bound rises by, per unit that a variable leaves the end of its range that it is best at."""


class Relaxation:
    """Continuous programs between bounds of the variables; all have the same rows and terms."""

    def __init__(self, program: Program, v: Floats, position: float, deviation: float, floor: float) -> None:
        self.program = program
        self.scaled = _without_idle_rows(scaled(program, position, deviation))
        self.unit = self.scaled.unit * self.scaled.position
        self.floor = floor
        """Least size of an objective that gaps are relative to."""
        s = self.scaled
        self.n_risks = len(s.weights)
        self.direct = max((term.n_scenarios for term in s.terms), default=0) <= DIRECT
        allowed = [ROW_TOLERANCE * max(abs(limit.limit), floor / self.unit) for limit in s.limits]
        self.allowed = np.array(allowed)
        self.permits = permits(program)
        self.links = links(program)
        self.rates = (
            -program.A_ub[self.links.row, self.links.quantity] / program.A_ub[self.links.row, self.links.choice]
        )
        """How much of its choice a unit of a quantity needs."""
        kept = ~(s.A_ub[:, self.permits] != 0).any(axis=1)
        self.lean = replace(self.scaled, A_ub=s.A_ub[kept], b_ub=s.b_ub[kept])
        """Without choices that only permit."""
        self.size_ub = ROW_TOLERANCE * np.abs(program.A_ub)
        self.size_eq = ROW_TOLERANCE * np.abs(program.A_eq)
        plain = not self.direct and bool(self.permits[s.n_assets :].all()) and is_plain(self.lean)
        self.smoothed = SmoothedNodes(self.lean, v / s.columns) if plain else None

    def models(self, v: Floats) -> tuple[TermModel, ...]:
        """Return models of all terms with the tails at v."""
        return self.seen([TermModel(term) for term in self.scaled.terms], v)

    def seen(self, models: Sequence[TermModel], v: Floats) -> tuple[TermModel, ...]:
        """Return the models with the tails at v besides."""
        found = tuple(replace(model) for model in models)
        columns = self.scaled.columns
        self._learn(found, v / columns, self.program.lower / columns, self.program.upper / columns)
        return found

    def keeps_rows(self, v: Floats) -> bool:
        """Whether v keeps the rows, but for rounding."""
        program = self.program
        size = np.maximum(np.abs(v), self.scaled.columns)
        return bool(
            (program.A_ub @ v - program.b_ub <= self.size_ub @ size).all()
            and (np.abs(program.A_eq @ v - program.b_eq) <= self.size_eq @ size).all()
        )

    def solve(
        self,
        lower: Floats,
        upper: Floats,
        models: Sequence[TermModel],
        start: Floats,
        *,
        cutoff: float = np.inf,
        tol: float = 1e-9,
        rough: float = 0.0,
        deadline: float = np.inf,
    ) -> Relaxed:
        """Bound the program between bounds, from variables near its solution.

        The end is where the gap is `tol`, where the bound passes `cutoff`, where what is missing is `rough` times the
        distance from the bound to `cutoff` (without one, times the value), or at the deadline.
        """
        if (lower >= upper).all():
            return self._point(lower, tuple(models))
        columns = self.scaled.columns
        low, high = lower / columns, upper / columns
        if self.smoothed is not None:
            enough, models = self._smooth(self.smoothed, low, high, models, start / columns, (cutoff, tol, rough))
            if enough is not None:
                return enough
        for box in BOXES if np.isinf(low).any() or np.isinf(high).any() else BOXES[:1]:
            end = self._cut(low, high, box, models, (cutoff, tol, rough, deadline))
            if np.isfinite(end.bound) and end.v is not None:
                break
        return end

    def _smooth(
        self,
        nodes: SmoothedNodes,
        low: Floats,
        high: Floats,
        models: Sequence[TermModel],
        start: Floats,
        until: tuple[float, float, float],
    ) -> tuple[Relaxed | None, Sequence[TermModel]]:
        """Bound the program by Newton's method; None if more is needed, for which the models know the tails there."""
        cutoff, tol, rough = until[0] / self.unit, *until[1:]
        n = nodes.program.n_assets
        least = tol * max(abs(cutoff) if np.isfinite(cutoff) else 0.0, self.floor / self.unit)
        end = nodes.solve(low[:n], high[:n], start[:n], cutoff, SHARPER * rough, least)
        if end is None:
            return None, models
        columns = self.scaled.columns
        v, reduced = np.clip(0.0, low, high), np.zeros(low.size)
        v[:n], reduced[:n] = end.v, end.reduced
        v *= columns
        allowed = allowance(end.bound, end.value, cutoff, BLUNTER * rough, least)
        if end.bound < cutoff and end.value - end.bound > allowed:
            return None, self.seen(models, v)
        return Relaxed(end.bound * self.unit, v, np.inf, tuple(models), reduced * self.unit / columns), models

    def _point(self, v: Floats, models: tuple[TermModel, ...]) -> Relaxed:
        """Look at the only variables there are."""
        if not self.keeps_rows(v):
            return Relaxed(np.inf, None, np.inf, models)
        terms = self.scaled.terms
        place = v / self.scaled.columns
        values = [term.tail_rows(place, 0, 0).es for term in terms]
        value, kept = self._value(place, values)
        return Relaxed(value * self.unit if kept else np.inf, v, value * self.unit, models)

    def _cut(
        self,
        low: Floats,
        high: Floats,
        box: float,
        models: Sequence[TermModel],
        until: tuple[float, float, float, float],
    ) -> Relaxed:
        cutoff, tol, rough, deadline = until
        models = tuple(replace(model) for model in models)
        active = low < high
        # Choices that only permit follow the quantities, as long as the rows that they are in do not bind.
        lean = bool((active & self.permits).any() and (active & ~self.permits).any())
        s, moving = (self.lean, active & ~self.permits) if lean else (self.scaled, active)
        polyhedron = Polyhedron(s, low, high)
        inner = (
            np.where(np.isinf(low), np.minimum(-box, high), low),
            np.where(np.isinf(high), np.maximum(box, low), high),
        )
        start = np.clip(0.0, *inner)
        best: Floats | None = None
        last: Floats | None = None
        reduced: Floats | None = None
        value, bound, idle = np.inf, -np.inf, 0
        for _ in range(MOST_CUTS):
            left = deadline - time.perf_counter()
            if left <= 0:
                break
            minorants: list[Minorants] = [model.minorants() for model in models]
            frame = Frame(start, np.zeros(len(models)), 1.0, *inner, moving)
            end = solve_master(s, minorants, frame, None if np.isinf(left) else left)
            if end.status is Status.UNBOUNDED and self._refuted(*inner, left):
                return Relaxed(np.inf, None, np.inf, models)
            if end.status is not Status.OPTIMAL or end.v is None or end.attested is None:
                break
            idle += 1
            found, slopes = _attested(end.attested, polyhedron, end.v)
            if found > bound:
                bound, reduced, idle = found, slopes, 0
            last = np.clip(end.v, *inner)
            if bound * self.unit >= cutoff:
                break
            values = self._learn(models, last, low, high)
            here, kept = self._value(last, values)
            if lean:
                last = self._permitted(last, low, high)
                if not self.keeps_rows(last * s.columns):
                    lean, s, moving = False, self.scaled, active
                    polyhedron = Polyhedron(s, low, high)
                    continue
            if kept and here < value:
                best, value, idle = last, here, 0
            least = tol * max(abs(value) * self.unit, self.floor)
            allowed = allowance(bound * self.unit, value * self.unit, cutoff, rough, least)
            if (np.isfinite(value) and (value - bound) * self.unit <= allowed) or idle > PATIENCE:
                break
        v = last if best is None else best
        return Relaxed(
            bound * self.unit,
            None if v is None else v * s.columns,
            value * self.unit,
            models,
            None if reduced is None else reduced * self.unit / s.columns,
        )

    def _refuted(self, low: Floats, high: Floats, left: float) -> bool:
        """Whether nothing between bounds is feasible, now that the dual of a node's program has no end.

        Rows without risk limits are asked once more, by another program.
        """
        s = self.scaled
        if s.limits:
            return True
        limit = None if np.isinf(left) else left
        end = solve_linear(np.zeros(low.size), s.A_ub, s.b_ub, s.A_eq, s.b_eq, low, high, time_limit=limit)
        return end.status is Status.INFEASIBLE

    def _permitted(self, v: Floats, low: Floats, high: Floats) -> Floats:
        """Make choices as far as the quantities need them."""
        columns, found = self.scaled.columns, self.links
        needed = np.where(self.permits, low, v)
        share = self.rates * v[found.quantity] * (columns[found.quantity] / columns[found.choice])
        np.maximum.at(needed, found.choice, share)
        return np.where(self.permits, np.clip(needed, low, high), v)

    def _learn(self, models: Sequence[TermModel], v: Floats, low: Floats, high: Floats) -> list[float]:
        """Pass over the scenarios at v and return the ES of each term."""
        n = self.scaled.n_assets
        free = int(((v > low) & (v < high))[:n].sum())
        width = int(BAND_PER_ASSET * (free + 1)) + BAND_SPARE
        values = []
        for model in models:
            count = model.term.n_scenarios if self.direct else width
            tail = model.term.tail_rows(v, count, count)
            model.add(v, tail)
            values.append(tail.es)
        return values

    def _value(self, v: Floats, values: list[float]) -> tuple[float, bool]:
        """Return the objective, and whether the risk limits are kept."""
        s = self.scaled
        value = float(s.cost @ v) + float(np.dot(s.weights, values[: self.n_risks]))
        excess = [
            es + float(limit.slope @ v) - limit.limit
            for es, limit in zip(values[self.n_risks :], s.limits, strict=True)
        ]
        return value, bool((np.array(excess) <= self.allowed).all())


def _without_idle_rows(program: ScaledProgram) -> ScaledProgram:
    """Leave out inequalities that hold wherever the bounds do."""
    rows = program.A_ub
    with np.errstate(invalid="ignore"):
        most = np.where(rows != 0, np.maximum(rows * program.lower, rows * program.upper), 0.0).sum(axis=1)
    idle = most <= program.b_ub
    return replace(program, A_ub=rows[~idle], b_ub=program.b_ub[~idle], scale_ub=program.scale_ub[~idle])


def _attested(attested: Attested, polyhedron: Polyhedron, v: Floats) -> tuple[float, Floats]:
    """Return the bound that a master program attests, and its reduced costs."""
    reduced = polyhedron.program.reduced_costs(attested.cost, attested.pi, attested.nu)
    if not attested.complete:
        return -np.inf, reduced
    reach = max(1.0, float(np.abs(v).max()))
    bound = polyhedron.bound(attested.cost, attested.pi, attested.nu, attested.rounding, reach)
    return bound + attested.constant, reduced
