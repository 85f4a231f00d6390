r"""Where the optimum is: Newton's method on a smoothed program, first for few scenarios, then for more.

In the form of Rockafellar and Uryasev the ES of a term is the least value over t of

    t + sum of q_s (L_s - t)+,    q_s = p_s / (1 - level).

Here the kink of (u)+ is replaced by a parabola over ``|u| <= width``. What a risk limit is exceeded by is penalised,
its kink smoothed alike. Bounds and rows get logarithmic barriers with multipliers of their own (primal-dual steps);
equalities stay in the Newton system. The Hessian is a sum over the scenarios within the width of t, a few times the
number of assets, however many scenarios there are. Widths and barriers shrink from stage to stage.

Two things make it fast. Random samples come first, each of eight times the size of the one before, so that at full
size little is left to do. And a stage works on a copy of the rows around the edge of the tail; the rest of the tail,
which is far from the edge, enters as one linear function. Both only decide where the search for the optimum begins:
what is returned is weights, and nothing about them is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve  # type: ignore[import-untyped]
from scipy.linalg.blas import dsyrk  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cshortfall._arguments import Floats
    from cshortfall.optimize._scaling import ScaledProgram, ScaledTerm

# Ratio of the sizes of samples that follow each other, and the least size: that many, or times the number of assets.
RATIO = 8
LEAST_SAMPLE = 2000
LEAST_SAMPLE_PER_ASSET = 60
# Rows kept on either side of the edge of the tail: a share of the tail, at least this many for each asset. The first
# sample is kept whole: its weights move so far that any row may come into the tail.
KEPT_PER_ASSET = 15
FIRST_SHARE = 0.5
WARM_SHARE = 0.15
NEXT_SHARE = 0.25
# Penalty on what a risk limit is exceeded by, in units of the objective's scale; raised while it stays exceeded.
PENALTY = 10.0
PENALTY_FACTOR = 4.0
PENALTY_RAISES = 3
LIFT = 0.01
LEAST_SHARE, MOST_SHARE = 1e-6, 0.9
# Slack of a row that a warm start violates, in units of its largest coefficient times a position.
LEAST_SLACK = 1e-3
LEAST_DISTANCE = 1e-15
# Variables move by at most so many times the largest of them in a step.
LONGEST_STEP = 10.0
# Losses are of size one.
LEAST_WIDTH = 1e-9
SHORTEST_STEP = 1e-6
# Share of the way to the nearest bound that a step may go.
BOUNDARY = 0.95
# How far a multiplier may be from that of the central path.
OFF_CENTER = 100.0


class Stage(NamedTuple):
    """How much is smoothed: the width holds this many losses for each asset; the barrier is relative."""

    per_asset: float
    barrier: float
    steps: int = 4


# Below one it is a share of all scenarios.
FIRST_STAGES = (Stage(0.4, 1e-1), Stage(0.1, 1e-2), Stage(5, 1e-3))
NEXT_STAGES = (Stage(6, 1e-3),)
LAST_STAGES = (Stage(2, 1e-4, 8), Stage(1.2, 1e-5, 8), Stage(1, 1e-6, 12))
WARM_STAGES = ((Stage(4, 1e-3, 6),), (Stage(1.5, 1e-5, 8), Stage(1, 1e-6, 8)))


@dataclass(eq=False)
class _Model:
    """One risk term near some weights: rows around the edge of its tail, and the rest of the tail as a linear one."""

    rows: Floats
    base: Floats
    cap: Floats  # q of each row
    rest_rows: Floats  # sums over the rest of the tail, times 1 / (1 - level)
    rest_base: float
    rest_mass: float
    loss: Floats
    edge: float  # the smoothed program's t
    es: float  # where the model was made
    width: float = 0.0
    surplus: float = 0.0
    """What the smoothed function was above ES when the width was chosen: risk limits are given as much more."""

    def measure_surplus(self, x: Floats) -> None:
        """Compare with the ES of the rows and the rest at x."""
        order = np.argsort(-self.loss)
        mass = self.rest_mass + np.cumsum(self.cap[order])
        # The edge of the tail at x, where the function without a width is least.
        edge = float(self.loss[order[min(int(np.searchsorted(mass, 1.0)), order.size - 1)]])
        rest = -float(self.rest_rows @ x) - self.rest_base - self.rest_mass * edge
        es = edge + rest + float(self.cap @ np.maximum(self.loss - edge, 0.0))
        self.surplus = max(0.0, self.value(x, self.loss, self.edge) - es)

    def loss_change(self, direction: Floats) -> Floats:
        change: Floats = -(self.rows @ direction)
        return change

    def value(self, x: Floats, loss: Floats, edge: float) -> float:
        """Return the smoothed Rockafellar-Uryasev function."""
        over = loss - edge
        near = np.minimum(over + self.width, 2 * self.width)
        np.maximum(near, 0.0, out=near)
        smooth = near * near / (4 * self.width) + np.maximum(over - self.width, 0.0)
        rest = -float(self.rest_rows @ x) - self.rest_base - self.rest_mass * edge
        return edge + rest + float(self.cap @ smooth)

    def derivatives(self) -> tuple[Floats, float, Floats, Floats, float]:
        """Gradient in x and t; Hessian: xx, xt, tt."""
        over = self.loss - self.edge
        slope = np.clip((over + self.width) / (2 * self.width), 0.0, 1.0) * self.cap
        near = np.flatnonzero(np.abs(over) <= self.width)
        curvature = self.cap[near] / (2 * self.width)
        band = self.rows[near]
        band *= np.sqrt(curvature)[:, None]
        hessian = dsyrk(1.0, band.T, lower=1)
        gradient = -self.rest_rows - slope @ self.rows
        return (
            gradient,
            1.0 - self.rest_mass - float(slope.sum()),
            hessian,
            np.sqrt(curvature) @ band,
            float(curvature.sum()),
        )


def locate(program: ScaledProgram, start: Floats, check: Callable[[], None], near: bool = False) -> Floats | None:
    """Return weights near the optimum, None if the smoothed program could not be solved.

    Parameters
    ----------
    program : ScaledProgram
        Scaled to numbers of size one.
    start : array, shape (n_variables,)
        Strictly inside all bounds and inequality rows but those of fixed variables.
    check : callable
        Called once per Newton step; raises where time is up.
    near : bool
        Whether the start is near the optimum already: samples are left out then.
    """
    most = max(term.n_scenarios for term in program.terms)
    least = max(LEAST_SAMPLE, LEAST_SAMPLE_PER_ASSET * program.n_assets)
    sizes = [most]
    while sizes[-1] > least and not near:
        sizes.append(sizes[-1] // RATIO)
    v = start
    newton = _Newton(program, check)
    try:
        if near:
            for warm in WARM_STAGES:
                v = _solve_size(newton, program.terms, v, warm, WARM_SHARE, refresh=False)
            return v
        for number, size in enumerate(reversed(sizes)):
            terms = [term.sample(size) for term in program.terms]
            stages: tuple[Stage, ...] = NEXT_STAGES if number else FIRST_STAGES
            if size == most:
                stages = (*stages, *LAST_STAGES)
            v = _solve_size(newton, terms, v, stages, FIRST_SHARE if number else 1.0, refresh=size == most)
    except LinAlgError:
        # What the samples before gave is a beginning, too.
        return v if v is not start else None
    return v


def _solve_size(
    newton: _Newton, terms: Sequence[ScaledTerm], v: Floats, stages: Sequence[Stage], share: float, refresh: bool
) -> Floats:
    """Go through the stages of one of the samples; with `refresh` every stage sees all scenarios once."""
    n_assets = max(1, newton.program.n_assets)
    models: list[_Model] = []
    best, least = v, np.inf
    for stage in stages:
        if refresh or not models:
            models = [_model(term, v, share) for term in terms]
            value = newton.value(v, models)
            if value > least:
                # The weights went where the rows that were kept say too little.
                share = min(1.0, share / NEXT_SHARE**2)
                v, models = best, [_model(term, best, share) for term in terms]
            else:
                best, least = v, value
            share *= NEXT_SHARE
        for model in models:
            count = stage.per_asset * (n_assets if stage.per_asset >= 1 else model.loss.size)
            model.width = _width(model, int(count))
            if newton.program.limits:
                model.measure_surplus(v[: newton.program.n_assets])
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            moved = newton.minimise(models, v, stage)
        if not np.isfinite(moved).all():
            raise LinAlgError("the smoothed program has no minimum")
        v = moved
    return v


def _model(term: ScaledTerm, v: Floats, share: float) -> _Model:
    """Copy the rows around the edge of the tail at v, a share of the tail on either side; all if the share is one."""
    n = term.n_scenarios
    kept_rows = n if share >= 1 else max(int(share * term.mass * n), KEPT_PER_ASSET * term.n_assets)
    tail = term.tail_rows(v, kept_rows, kept_rows)
    alpha = term.mass
    kept = tail.loss > tail.var
    weight = tail.probability[kept]
    return _Model(
        rows=term.exposed(tail.rows),
        base=tail.base,
        cap=tail.probability / alpha,
        rest_rows=term.exposed(tail.above.rows - weight @ tail.rows[kept]) / alpha,
        rest_base=(tail.above.base - float(weight @ tail.base[kept])) / alpha,
        rest_mass=max(0.0, tail.above.mass - float(weight.sum())) / alpha,
        loss=tail.loss,
        edge=tail.var,
        es=tail.es,
    )


def _width(model: _Model, count: int) -> float:
    distance = np.abs(model.loss - model.edge)
    place = min(distance.size - 1, count)
    return max(float(np.partition(distance, place)[place]), LEAST_WIDTH)


def _longest(slack: Floats, loss: Floats) -> float:
    """How far a step may go until some slack is gone."""
    shrinks = loss > 0
    return float((slack[shrinks] / loss[shrinks]).min(initial=np.inf))


class _Excess(NamedTuple):
    """A penalty on the excess of a risk limit: its value and derivatives."""

    value: float
    slope: float
    curvature: float


def _penalised(excess: float, width: float, penalty: float, share: float, held: bool) -> _Excess:
    """Penalise an excess with slope `penalty`, its kink smoothed so that the slope at zero is `share` of that.

    If `held`, the parabola goes on beyond its width: the limit is taken to bind.
    """
    excess += width * (2 * share - 1)
    half = penalty / (2 * width)
    if held or abs(excess) < width:
        return _Excess(0.5 * half * (excess + width) ** 2, half * (excess + width), half)
    return _Excess(penalty * excess, penalty, 0.0) if excess > 0 else _Excess(0.0, 0.0, 0.0)


class _Newton:
    """Newton's method for one smoothed program with barriers, in the variables and the edge of each tail."""

    def __init__(self, program: ScaledProgram, check: Callable[[], None]) -> None:
        self.program = program
        self.check = check
        self.free = np.flatnonzero(program.upper > program.lower)
        self.below = np.flatnonzero(np.isfinite(program.lower) & (program.upper > program.lower))
        self.above = np.flatnonzero(np.isfinite(program.upper) & (program.upper > program.lower))
        self.n_barriers = max(1, self.below.size + self.above.size + program.b_ub.size)
        self.penalties = np.full(len(program.limits), PENALTY * program.objective_scale)
        # Multipliers of the risk limits over their penalties, from the stage before.
        self.shares = np.full(len(program.limits), 0.5)
        # Multipliers of bounds and rows: their products with the slacks tend to mu.
        self.multipliers: Floats | None = None
        # Slacks of the rows: those of the weights but where a warm start violates a row. Steps then close the gap.
        self.row_slack: Floats | None = None
        self.gap = np.zeros(program.b_ub.size)

    def value(self, v: Floats, models: Sequence[_Model]) -> float:
        """Return the objective where the models were made, with penalties on what risk limits are exceeded by."""
        weights = self.program.weights
        risks = [model.es for model in models]
        value = float(self.program.cost @ v) + float(np.dot(weights, risks[: len(weights)]))
        return value + float(self.penalties @ np.maximum(self._excess(v, risks), 0.0))

    def minimise(self, models: Sequence[_Model], v: Floats, stage: Stage) -> Floats:
        """Minimise the smoothed program from v; the models' losses and edges move along."""
        mu = 2 * stage.barrier * self.program.objective_scale / self.n_barriers
        v = self._lift(models, v)
        if self.row_slack is None:
            slack = self.program.b_ub - self.program.A_ub @ v
            self.row_slack = np.maximum(slack, LEAST_SLACK)
            self.gap = slack - self.row_slack
        if self.multipliers is None:
            self.multipliers = mu / np.concatenate(self._slacks(v))
        for _ in range(PENALTY_RAISES):
            v = self._descend(models, v, mu, stage.steps)
            values = [model.value(v[: self.program.n_assets], model.loss, model.edge) for model in models]
            excess = self._smooth_excess(models, v, values)
            widths = np.array([self._limit_width(model) for model in models])
            stuck = excess > widths[len(self.program.weights) :]
            slopes = np.array([penalty.slope for penalty in self._penalty(models, v, values)])
            self.shares = np.minimum(slopes / self.penalties, MOST_SHARE)
            if not stuck.any():
                break
            self.penalties[stuck] *= PENALTY_FACTOR
            self.shares[stuck] /= PENALTY_FACTOR
        return v

    def _lift(self, models: Sequence[_Model], v: Floats) -> Floats:
        """Begin with no limit exceeded that a variable of its own can raise, and that variable inside its bounds."""
        lifts = self.program.lifts
        if lifts:
            x = v[: self.program.n_assets]
            risks = [model.value(x, model.loss, model.edge) - model.surplus for model in models]
            least = np.where(np.isfinite(self.program.lower), (1 - LIFT) * self.program.lower + LIFT * v, v)[lifts]
            v = self.program.lifted(v, np.array(risks[len(self.program.weights) :]))
            v[lifts] = np.where(np.isfinite(self.program.lower[lifts]), np.maximum(v[lifts], least), v[lifts])
        return v

    def _limit_width(self, model: _Model) -> float:
        return 0.5 * model.width

    def _excess(self, v: Floats, values: Sequence[float]) -> Floats:
        program = self.program
        risks = values[len(program.weights) :]
        return np.array(
            [risk + float(limit.slope @ v) - limit.limit for limit, risk in zip(program.limits, risks, strict=True)]
        )

    def _smooth_excess(self, models: Sequence[_Model], v: Floats, values: Sequence[float]) -> Floats:
        """Return the excess of smoothed risks over limits that allow for their surplus."""
        return self._excess(v, [value - model.surplus for value, model in zip(values, models, strict=True)])

    def _penalty(
        self, models: Sequence[_Model], v: Floats, values: Sequence[float], held: bool = False
    ) -> list[_Excess]:
        widths = [self._limit_width(model) for model in models[len(self.program.weights) :]]
        excess, binding = self._smooth_excess(models, v, values), self.shares > LEAST_SHARE
        return [
            _penalised(*parts)
            for parts in zip(
                excess.tolist(), widths, self.penalties.tolist(), self.shares.tolist(), held & binding, strict=True
            )
        ]

    def _objective(
        self, models: Sequence[_Model], v: Floats, losses: list[Floats], edges: Floats, slack: Floats, mu: float
    ) -> float:
        program = self.program
        if slack.size and slack.min() <= 0:
            return float("inf")
        x = v[: program.n_assets]
        values = [model.value(x, loss, edge) for model, loss, edge in zip(models, losses, edges, strict=True)]
        value = float(program.cost @ v) - mu * float(np.log(slack).sum())
        value += float(np.dot(program.weights, values[: len(program.weights)]))
        return value + sum(excess.value for excess in self._penalty(models, v, values))

    def _slacks(self, v: Floats) -> tuple[Floats, Floats, Floats]:
        """Distances to lower bounds and upper bounds, slacks of rows."""
        program = self.program
        assert self.row_slack is not None
        # Rounding may put a variable onto its bound.
        return (
            np.maximum(v[self.below] - program.lower[self.below], LEAST_DISTANCE),
            np.maximum(program.upper[self.above] - v[self.above], LEAST_DISTANCE),
            self.row_slack,
        )

    def _descend(self, models: Sequence[_Model], v: Floats, mu: float, steps: int) -> Floats:
        n = self.program.n_variables
        # Limits that bound in the stage before are taken to bind: a narrower kink would leave them without curvature.
        held = bool(self.program.limits)
        for _ in range(steps):
            self.check()
            step, decrement = self._step(models, v, mu, held)
            dv, dt = step[:n], step[n:]
            edges = np.array([model.edge for model in models])
            losses = [model.loss for model in models]
            changes = [model.loss_change(dv[: self.program.n_assets]) for model in models]
            slack, loss = np.concatenate(self._slacks(v)), self._slack_loss(dv)
            here = self._objective(models, v, losses, edges, slack, mu)
            reach = LONGEST_STEP * max(1.0, float(np.abs(v).max())) / max(float(np.abs(dv).max()), SHORTEST_STEP)
            size = min(1.0, BOUNDARY * _longest(slack, loss), reach)
            while size > SHORTEST_STEP:
                moved = [loss + size * change for loss, change in zip(losses, changes, strict=True)]
                there = self._objective(models, v + size * dv, moved, edges + size * dt, slack - size * loss, mu)
                if self.gap.any() or there <= here - (0.0 if held else 1e-4 * size * decrement):
                    break
                size *= 0.5
            else:
                return v
            self._move_multipliers(slack, loss, mu, size)
            v = v + size * dv
            self._move_rows(v, slack - size * loss, size)
            for model, loss, edge in zip(models, moved, edges + size * dt, strict=True):
                model.loss, model.edge = loss, float(edge)
            if decrement < 1e-3 * mu * self.n_barriers or decrement < 1e-14 * self.program.objective_scale:
                break
        return v

    def _slack_loss(self, dv: Floats) -> Floats:
        """Return what a step takes from the distances to bounds and rows."""
        return np.concatenate((-dv[self.below], dv[self.above], self.program.A_ub @ dv - self.gap))

    def _move_rows(self, v: Floats, slack: Floats, size: float) -> None:
        """Take over the rows' slacks after a step; without a gap they are recomputed, lest rounding errors add up."""
        ends = self.below.size + self.above.size
        if self.gap.any() and size < 1:
            self.row_slack = slack[ends:]
            self.gap = self.gap * (1 - size)
            return
        own = self.program.b_ub - self.program.A_ub @ v
        self.row_slack = np.where(own > 0, own, slack[ends:])
        self.gap = np.zeros(own.size)

    def _move_multipliers(self, slack: Floats, loss: Floats, mu: float, size: float) -> None:
        """Move as of a whole step, after which (slack - loss) times the multiplier is mu to first order."""
        assert self.multipliers is not None
        old = self.multipliers
        change = (mu + old * loss) / slack - old
        size = min(size, BOUNDARY * _longest(old, -change))
        central = mu / (slack - size * loss)
        self.multipliers = np.clip(old + size * change, central / OFF_CENTER, central * OFF_CENTER)

    def _step(self, models: Sequence[_Model], v: Floats, mu: float, held: bool) -> tuple[Floats, float]:
        """Return the Newton step, variables then edges, and its decrement."""
        program = self.program
        n, a = program.n_variables, program.n_assets
        size = n + len(models)
        hessian = np.zeros((size, size), order="F")
        gradient = np.zeros(size)
        gradient[:n] = program.cost
        values = [model.value(v[:a], model.loss, model.edge) for model in models]
        penalties = self._penalty(models, v, values, held)
        for place, model in enumerate(models):
            dx, dt, xx, xt, tt = model.derivatives()
            limit = place - len(program.weights)
            own = np.zeros(size)
            own[:a] = dx
            own[n + place] = dt
            if limit < 0:
                weight = program.weights[place]
            else:
                weight = penalties[limit].slope
                own[:n] += program.limits[limit].slope
                hessian += penalties[limit].curvature * np.outer(own, own)
            gradient += weight * own
            if held and limit >= 0:
                weight = max(weight, float(self.shares[limit] * self.penalties[limit]))
            hessian[:a, :a] += weight * xx
            hessian[n + place, :a] += weight * xt
            hessian[n + place, n + place] += weight * tt
        below, above, rows = (1 / slack for slack in self._slacks(v))
        gradient[self.below] -= mu * below
        gradient[self.above] += mu * above
        assert self.multipliers is not None
        ends = (self.below.size, self.below.size + self.above.size)
        by_below, by_above, by_rows = np.split(self.multipliers, ends)
        diagonal = np.zeros(size)
        diagonal[self.below] += by_below * below
        diagonal[self.above] += by_above * above
        places = np.arange(size)
        hessian[places, places] += diagonal
        if rows.size:
            gradient[:n] += (mu * rows - by_rows * rows * self.gap) @ program.A_ub
            hessian[:n, :n] += dsyrk(1.0, (program.A_ub * np.sqrt(by_rows * rows)[:, None]).T, lower=1)
        step = self._solve(hessian, gradient, program.b_eq - program.A_eq @ v)
        return step, -float(gradient @ step)

    def _solve(self, hessian: Floats, gradient: Floats, residual: Floats) -> Floats:
        """Solve the Newton system with equality rows, fixed variables left out."""
        program = self.program
        size = gradient.size
        chosen = np.concatenate((self.free, np.arange(program.n_variables, size)))
        if chosen.size < size:
            hessian = hessian[np.ix_(chosen, chosen)]
        places = np.arange(chosen.size)
        # Far below what the kept scenarios add; only variables that nothing else holds feel it.
        hessian[places, places] += 1e-13 * max(float(hessian[places, places].max()), 1e-300)
        if not (np.isfinite(hessian).all() and np.isfinite(gradient).all()):
            raise LinAlgError("the Newton system is not finite")
        factor = cho_factor(hessian, lower=True, overwrite_a=True, check_finite=False)
        rows = np.zeros((program.b_eq.size, chosen.size))
        rows[:, : self.free.size] = program.A_eq[:, self.free]
        right = np.column_stack((-gradient[chosen], rows.T))
        solved = cho_solve(factor, right, check_finite=False)
        move = solved[:, 0]
        if program.b_eq.size:
            schur = rows @ solved[:, 1:]
            if not np.isfinite(schur).all():
                raise LinAlgError("the Newton system is singular")
            multipliers = np.linalg.lstsq(schur, rows @ move - residual, rcond=1e-13)[0]
            move = move - solved[:, 1:] @ multipliers
        step = np.zeros(size)
        step[chosen] = move
        return step
