r"""Where the optimum is: Newton's method on a smoothed program, first for few scenarios, then for more.

In the form of Rockafellar and Uryasev the ES of a term is the least value over t of

    t + sum of q_s (L_s - t)+,    q_s = p_s / (1 - level).

Here the kink of (u)+ is replaced by a parabola over ``|u| <= width``. What a risk limit is exceeded by is penalised,
its kink smoothed alike. Bounds and rows get logarithmic barriers with multipliers of their own (primal-dual steps);
equalities stay in the Newton system. The Hessian is a sum over the scenarios within the width of t, a few times the
number of assets, however many scenarios there are. Widths and barriers shrink from stage to stage.

Two things make it fast. Random samples come first, each of eight times the size of the one before, so that at full
size little is left to do; from where a related program ended there is no need of them. And a stage works on a copy of
the rows around the edge of the tail (`_kept`). Both only decide where the search for the optimum begins: what is
returned is weights, and nothing about them is believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.linalg import LinAlgError  # type: ignore[import-untyped]
from scipy.linalg.blas import dsyrk  # type: ignore[import-untyped]
from scipy.linalg.lapack import dpotrf, dpotrs  # type: ignore[import-untyped]

from cshortfall.optimize._kept import KeptTail
from cshortfall.optimize._warm import Central

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cshortfall._arguments import Floats
    from cshortfall.optimize._scaling import ScaledProgram, ScaledTerm

# Ratio of the sizes of samples that follow each other, and the least size: that many, or times the number of assets.
RATIO = 8
LEAST_SAMPLE = 2000
LEAST_SAMPLE_PER_ASSET = 60
# Rows kept on either side of the edge of the tail: a share of the tail, at least so many for each asset. The first
# sample is kept whole: its weights move so far that any row may come into the tail.
KEPT_PER_ASSET = 20
WARM_PER_ASSET = 15
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
SHORTEST_STEP = 1e-6
# Share of the way to the nearest bound that a step may go.
BOUNDARY = 0.95
# How far a multiplier may be from that of the central path.
OFF_CENTER = 100.0
# Decrement of a step, in units of the barriers' share in the objective, after which a stage is done.
CLOSE = 1e-3
# Likewise, after which there is no use in going on from there.
FAR = 100.0


class Stage(NamedTuple):
    """How much is smoothed: the width holds this many losses for each asset; the barrier is relative."""

    per_asset: float
    barrier: float
    steps: int = 4


# Below one it is a share of all scenarios.
FIRST_STAGES = (Stage(0.4, 1e-1), Stage(0.1, 1e-2), Stage(5, 1e-3))
NEXT_STAGES = (Stage(6, 1e-3),)
LAST_STAGES = (Stage(2, 1e-4, 8), Stage(1.2, 1e-5, 8), Stage(1, 1e-6, 12))
WARM_STAGES = (Stage(4, 1e-3, 6), Stage(2, 1e-4, 8), Stage(1, 1e-6, 8))
# Where a related program left the end of its last stage with this barrier or a larger one: nearer to the optimum,
# variables at a bound would take many steps to leave it.
CENTRAL_BARRIER = 1e-4
CENTRAL_STAGES = (Stage(2, 1e-4, 6), Stage(1, 1e-6, 8))
# A stage is gone through at most so many times until its rows tell enough.
REPEATS = 4


class Located(NamedTuple):
    """Weights near the optimum."""

    v: Floats
    kept: tuple[KeptTail, ...] = ()
    """What was kept of each term's tail over all scenarios; nothing where the search ended before."""
    central: Central | None = None
    """Where a related program may begin."""


def locate(
    program: ScaledProgram,
    start: Floats,
    check: Callable[[], None],
    near: bool = False,
    central: Central | None = None,
) -> Located | None:
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
    central : Central, optional
        Where a related program was, to begin with instead of the start.
    """
    most = max(term.n_scenarios for term in program.terms)
    least = max(LEAST_SAMPLE, LEAST_SAMPLE_PER_ASSET * program.n_assets)
    sizes = [most]
    while sizes[-1] > least and not near:
        sizes.append(sizes[-1] // RATIO)
    found = Located(start)
    newton = _Newton(program, check)
    try:
        if central is not None:
            newton.begin(central)
            return _follow(newton, program.terms, central.v, CENTRAL_STAGES)
        if near:
            return _follow(newton, program.terms, start, WARM_STAGES)
        for number, size in enumerate(reversed(sizes)):
            terms = [term.sample(size) for term in program.terms]
            stages: tuple[Stage, ...] = NEXT_STAGES if number else FIRST_STAGES
            if size == most:
                stages = (*stages, *LAST_STAGES)
            found = _solve_size(newton, terms, found.v, stages, FIRST_SHARE if number else 1.0, refresh=size == most)
            if size < most:
                found = Located(found.v)  # a sample is an eighth of the memory of the next
    except LinAlgError:
        # What the samples before gave is a beginning, too.
        return Located(found.v) if found.v is not start else None
    return found


def _solve_size(
    newton: _Newton, terms: Sequence[ScaledTerm], v: Floats, stages: Sequence[Stage], share: float, refresh: bool
) -> Located:
    """Go through the stages of one of the samples; with `refresh` every stage sees all scenarios once."""
    models: list[KeptTail] = []
    best, least = v, np.inf
    for stage in stages:
        if refresh or not models:
            models = []  # so that the rows of two stages are never held at a time
            models = [KeptTail.at(term, v, share, KEPT_PER_ASSET) for term in terms]
            value = newton.value(v, models)
            if value > least:
                # The weights went where the rows that were kept say too little.
                share = min(1.0, share / NEXT_SHARE**2)
                v, models = best, []
                models = [KeptTail.at(term, v, share, KEPT_PER_ASSET) for term in terms]
            else:
                best, least = v, value
            share *= NEXT_SHARE
        v = _solve_stage(newton, models, v, stage)
    return Located(v, tuple(models), newton.waypoint)


def _follow(newton: _Newton, terms: Sequence[ScaledTerm], v: Floats, stages: Sequence[Stage]) -> Located:
    """Go through stages at full size from weights near the optimum, with the same rows as long as they tell enough."""
    models: list[KeptTail] = []
    for stage in stages:
        for _ in range(REPEATS):
            models = models or [KeptTail.at(term, v, WARM_SHARE, WARM_PER_ASSET) for term in terms]
            v = _solve_stage(newton, models, v, stage)
            if all(model.covers() for model in models):
                break
            models = []
        if not newton.settled:
            raise LinAlgError("the smoothed program has another solution than one near the start")
    return Located(v, tuple(models), newton.waypoint)


def _solve_stage(newton: _Newton, models: Sequence[KeptTail], v: Floats, stage: Stage) -> Floats:
    n_assets = max(1, newton.program.n_assets)
    for model in models:
        count = stage.per_asset * (n_assets if stage.per_asset >= 1 else model.loss.size)
        model.widen(int(count))
        if newton.program.limits:
            model.measure_surplus(v[: newton.program.n_assets])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        moved = newton.minimise(models, v, stage)
    if not np.isfinite(moved).all():
        raise LinAlgError("the smoothed program has no minimum")
    if stage.barrier >= CENTRAL_BARRIER:
        newton.waypoint = newton.central(moved)
    return moved


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
        self.settled = False
        self.waypoint: Central | None = None

    def begin(self, central: Central) -> None:
        """Take over slacks of rows, and multipliers."""
        self.row_slack = central.slack
        self.gap = self.program.b_ub - self.program.A_ub @ central.v - central.slack
        self.multipliers = np.concatenate((central.below[self.below], central.above[self.above], central.rows))

    def central(self, v: Floats) -> Central:
        """Return where the search is."""
        assert self.multipliers is not None
        assert self.row_slack is not None
        n, middle, end = self.program.n_variables, self.below.size, self.below.size + self.above.size
        below, above = np.zeros(n), np.zeros(n)
        below[self.below], above[self.above] = self.multipliers[:middle], self.multipliers[middle:end]
        return Central(v, below, above, self.multipliers[end:], self.row_slack)

    def value(self, v: Floats, models: Sequence[KeptTail]) -> float:
        """Return the objective where the models were made, with penalties on what risk limits are exceeded by."""
        weights = self.program.weights
        risks = [model.es for model in models]
        value = float(self.program.cost @ v) + float(np.dot(weights, risks[: len(weights)]))
        return value + float(self.penalties @ np.maximum(self._excess(v, risks), 0.0))

    def minimise(self, models: Sequence[KeptTail], v: Floats, stage: Stage) -> Floats:
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

    def _lift(self, models: Sequence[KeptTail], v: Floats) -> Floats:
        """Begin with no limit exceeded that a variable of its own can raise, and that variable inside its bounds."""
        lifts = self.program.lifts
        if lifts:
            x = v[: self.program.n_assets]
            risks = [model.value(x, model.loss, model.edge) - model.surplus for model in models]
            least = np.where(np.isfinite(self.program.lower), (1 - LIFT) * self.program.lower + LIFT * v, v)[lifts]
            v = self.program.lifted(v, np.array(risks[len(self.program.weights) :]))
            v[lifts] = np.where(np.isfinite(self.program.lower[lifts]), np.maximum(v[lifts], least), v[lifts])
        return v

    def _limit_width(self, model: KeptTail) -> float:
        return 0.5 * model.width

    def _excess(self, v: Floats, values: Sequence[float]) -> Floats:
        program = self.program
        risks = values[len(program.weights) :]
        return np.array(
            [risk + float(limit.slope @ v) - limit.limit for limit, risk in zip(program.limits, risks, strict=True)]
        )

    def _smooth_excess(self, models: Sequence[KeptTail], v: Floats, values: Sequence[float]) -> Floats:
        """Return the excess of smoothed risks over limits that allow for their surplus."""
        return self._excess(v, [value - model.surplus for value, model in zip(values, models, strict=True)])

    def _penalty(
        self, models: Sequence[KeptTail], v: Floats, values: Sequence[float], held: bool = False
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
        self, models: Sequence[KeptTail], v: Floats, losses: list[Floats], edges: Floats, slack: Floats, mu: float
    ) -> float:
        program = self.program
        if slack.size and slack.min() <= 0:
            return float("inf")
        x = v[: program.n_assets]
        values = [model.value(x, loss, edge) for model, loss, edge in zip(models, losses, edges, strict=True)]
        value = float(program.cost @ v) - mu * float(np.log(slack).sum())
        value += float(np.dot(program.weights, values[: len(program.weights)]))
        if program.limits:
            value += sum(excess.value for excess in self._penalty(models, v, values))
        return value

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

    def _descend(self, models: Sequence[KeptTail], v: Floats, mu: float, steps: int) -> Floats:
        n = self.program.n_variables
        # Limits that bound in the stage before are taken to bind: a narrower kink would leave them without curvature.
        held = bool(self.program.limits)
        here: float | None = None
        for _ in range(steps):
            self.check()
            step, decrement = self._step(models, v, mu, held)
            dv, dt = step[:n], step[n:]
            edges = np.array([model.edge for model in models])
            losses = [model.loss for model in models]
            changes = [model.loss_change(dv[: self.program.n_assets]) for model in models]
            slack, loss = np.concatenate(self._slacks(v)), self._slack_loss(dv)
            if here is None:
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
            here = there
            self.settled = decrement < FAR * mu * self.n_barriers
            if decrement < CLOSE * mu * self.n_barriers or decrement < 1e-14 * self.program.objective_scale:
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

    def _step(self, models: Sequence[KeptTail], v: Floats, mu: float, held: bool) -> tuple[Floats, float]:
        """Return the Newton step, variables then edges, and its decrement."""
        program = self.program
        n, a = program.n_variables, program.n_assets
        size = n + len(models)
        hessian = np.zeros((size, size), order="F")
        gradient = np.zeros(size)
        gradient[:n] = program.cost
        penalties = []
        if program.limits:
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
        middle, end = self.below.size, self.below.size + self.above.size
        by_rows = self.multipliers[end:]
        diagonal = np.einsum("ii->i", hessian)
        diagonal[self.below] += self.multipliers[:middle] * below
        diagonal[self.above] += self.multipliers[middle:end] * above
        if rows.size:
            gradient[:n] += (mu * rows - by_rows * rows * self.gap) @ program.A_ub
            hessian[:n, :n] += dsyrk(1.0, (program.A_ub * np.sqrt(by_rows * rows)[:, None]).T, lower=1)
        step = self._solve(hessian, gradient, program.b_eq - program.A_eq @ v)
        return step, -float(gradient @ step)

    def _solve(self, hessian: Floats, gradient: Floats, residual: Floats) -> Floats:
        """Solve the Newton system with equality rows, fixed variables left out."""
        program = self.program
        size, n_free = gradient.size, self.free.size
        if n_free < program.n_variables:
            chosen = np.concatenate((self.free, np.arange(program.n_variables, size)))
            hessian, gradient = np.asfortranarray(hessian[np.ix_(chosen, chosen)]), gradient[chosen]
        diagonal = np.einsum("ii->i", hessian)
        # Far below what the kept scenarios add; only variables that nothing else holds feel it.
        diagonal += 1e-13 * max(float(diagonal.max()), 1e-300)
        if not (np.isfinite(hessian).all() and np.isfinite(gradient).all()):
            raise LinAlgError("the Newton system is not finite")
        factor, failed = dpotrf(hessian, lower=1, clean=0, overwrite_a=1)
        if failed:
            raise LinAlgError("the Newton system is not positive definite")
        right = np.zeros((gradient.size, 1 + program.b_eq.size), order="F")
        right[:, 0] = -gradient
        rows = program.A_eq if n_free == program.n_variables else program.A_eq[:, self.free]
        right[:n_free, 1:] = rows.T
        solved, _ = dpotrs(factor, right, lower=1, overwrite_b=1)
        move: Floats = solved[:, 0]
        if program.b_eq.size:
            schur = rows @ solved[:n_free, 1:]
            if not np.isfinite(schur).all():
                raise LinAlgError("the Newton system is singular")
            excess = rows @ move[:n_free] - residual
            if schur.size == 1 and schur[0, 0] > 0:
                multipliers = excess / schur[0]
            else:
                multipliers = np.linalg.lstsq(schur, excess, rcond=1e-13)[0]
            move = move - solved[:, 1:] @ multipliers
        if n_free == program.n_variables:
            return move
        step = np.zeros(size)
        step[chosen] = move
        return step
