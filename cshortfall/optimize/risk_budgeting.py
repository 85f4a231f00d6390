"""Portfolios whose assets contribute given parts of the Expected Shortfall."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from cshortfall._results import TailWeights
from cshortfall.optimize._budget_window import VANISHED, Window, least_es, perfect_hedge, solve_window
from cshortfall.optimize._errors import IterationLimitError, OptimizationError, TimeLimitError, UnboundedError
from cshortfall.optimize._inputs import read_level, read_positive, read_scenarios
from cshortfall.optimize._progress import Progress, Reporter
from cshortfall.optimize._question import Options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.optimize._inputs import Assets
    from cshortfall.optimize._progress import Callback
    from cshortfall.optimize._scenarios import Scenarios, TailRows

# Scenarios kept on either side of the tail's edge, for each asset; more where nothing is known of the optimum yet,
# after an optimum that lay outside them, and in large tails: where the optimum of a subset misses that of all by a
# share sqrt(n_assets / tail count of the subset), about this share of the tail changes sides.
KEPT_PER_ASSET = 10
FIRST_PER_ASSET = 40
# Subsets grow by this factor up to all scenarios.
GROWTH = 6
# The gap at which a subset has said what it can.
WARM = 1e-3
# The gap over a window of all scenarios: errors of weights are about its square root, and the last digits cost little.
PRECISE = 1e-13


@dataclass(frozen=True, eq=False)
class RiskBudget:
    """Weights with given contributions to the ES, as `risk_budget` returns them.

    Arrays of one value for each asset have the labels of the returns.
    """

    weights: Any
    """Weights of the signs asked for."""
    es: float
    """Expected Shortfall of the weights, that of `cshortfall.es`."""
    var: float
    """Value at Risk of the weights."""
    budgets: Any
    """Shares of the ES asked for, of sum one."""
    contributions: Any
    """Weight times mean loss of the asset under `density`; they sum to `es` up to `gap`."""
    deviation: float
    """Largest difference between a contribution over their sum and its budget."""
    density: TailWeights
    """Scenarios and their shares under which the budgets are met: at ties of losses one of many that make up ES."""
    objective: float
    """``log(es) - sum of budget * log(abs(weight))``: what is minimised, whatever the scale of the weights."""
    lower_bound: float
    """What no weights of these signs can fall below: ``sum of budget * log(mean loss / budget)`` under `density`."""
    gap: float
    """``objective - lower_bound``; no unit, about a relative error of the ES."""
    iterations: int
    passes: int
    """Passes over all scenarios."""
    seconds: float

    @property
    def tail_indices(self) -> Any:
        """Numbers of the scenarios of `density`."""
        return self.density.indices

    @property
    def tail_weights(self) -> Any:
        """Shares of the scenarios of `density`."""
        return self.density.weights


RiskBudget.__module__ = "cshortfall.optimize"


def risk_budget(
    returns: Any,
    level: float = 0.975,
    budgets: Any = None,
    *,
    signs: Any = None,
    probabilities: Any = None,
    budget: float = 1.0,
    tol: float = 1e-8,
    max_iterations: int = 100,
    time_limit: float | None = None,
    callback: Callback | None = None,
    progress: bool | None = None,
) -> RiskBudget:
    r"""Return the portfolio whose assets contribute given parts of its Expected Shortfall; equal ones by default.

    Parameters
    ----------
    returns : array_like, shape (n_scenarios, n_assets)
        Return or P&L of one unit of each asset in each scenario, gains positive; a data frame has one column for each
        asset.
    level : float
        Confidence, ``0 <= level < 1``; one level.
    budgets : array_like, shape (n_assets,), or mapping by asset, optional
        Parts of the ES, positive, of any sum. None gives every asset the same (equal risk contributions, risk parity).
    signs : array_like of 1 and -1, shape (n_assets,), or mapping by asset, optional
        Signs of the weights, 1 for assets that a mapping leaves out; None is long-only.
    probabilities : array_like, shape (n_scenarios,), optional
        Probabilities of the scenarios, not negative, of any scale.
    budget : float
        Sum of the absolute values of the weights, positive; without short positions this is their sum.
    tol : float
        Largest `gap` allowed.
    max_iterations : int
        Most problems over the edge of the tail, the small ones of the warm start included.
    time_limit : float, optional
        Seconds after which it ends, within a pass over the scenarios.
    callback : callable, optional
        Called with a `Progress` at each iteration; it ends the search by returning True.
    progress : bool, optional
        Whether to show progress on the terminal; None does after two seconds if there is a terminal.

    Returns
    -------
    RiskBudget
        Weights, their ES and contributions, the density that realises them, and the certified gap.

    Raises
    ------
    UnboundedError
        Weights of these signs have an ES that is not positive; `ray` holds them. There is no portfolio with positive
        contributions to look for then.
    IterationLimitError, TimeLimitError
        The gap was still above `tol`; `weights` are the best ones.
    OptimizationError
        The callback ended the search, or rounding keeps the gap above `tol`.
    ValueError, TypeError
        Budgets that are not positive, signs other than 1 and -1, returns that are not finite and the like.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.

    See Also
    --------
    cshortfall.es_gradient : the gradient of the ES; at ties one of many.

    Notes
    -----
    With signs :math:`s` and budgets :math:`b` of sum one, the weights are the multiple of the only solution of

    .. math:: \min_{y:\ s_i y_i > 0}\ ES(y) - \sum_i b_i \log(s_i y_i),

    a convex problem whose condition of optimality reads :math:`y_i\, \partial ES / \partial y_i = b_i` [1]_ [2]_. For a
    density :math:`p` of the tail (:math:`0 \le p_j \le \pi_j / (1 - level)`, :math:`\sum p_j = 1`) with
    :math:`c_i = -s_i \sum_j p_j R_{ji} > 0` the minimum is at least :math:`\sum_i b_i (1 - \log b_i + \log c_i)`: that
    is the minimum over y of the problem with :math:`c^\top (s y)` for the ES, which is nowhere greater. Such a density
    exists if and only if no weights of these signs but zero have an ES of at most zero, and the best one attains the
    minimum. `objective` and `lower_bound` are the two at the best scale of y, less one; they are computed from the
    weights and the density returned and depend on no solver's tolerance.

    The ES of a sample has kinks, and the optimum lies on some of them as a rule. The plain contributions of
    `es_gradient`, which share tied scenarios equally, are not the budgets there; those under `density` are.

    References
    ----------
    .. [1] Maillard, S., Roncalli, T. and Teiletche, J. (2010). The properties of equally weighted risk contribution
       portfolios. Journal of Portfolio Management 36(4), 60-70.
    .. [2] Bruder, B. and Roncalli, T. (2012). Managing risk exposures using the risk budgeting approach. SSRN 2009778.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.optimize import risk_budget
    >>> returns = np.array([[0.01, -0.02], [-0.03, 0.01], [0.02, 0.03], [-0.01, -0.04]])
    >>> result = risk_budget(returns, 0.5)
    >>> result.weights.round(6)
    array([0.428571, 0.571429])
    >>> result.contributions / result.es
    array([0.5, 0.5])
    """
    options = Options(tol, max_iterations, time_limit, callback, progress)
    level = read_level(level)
    scenarios, assets, mean = read_scenarios("returns", returns, probabilities)
    shares = _read_budgets(assets, budgets)
    sides = _read_signs(assets, signs)
    total = read_positive("budget", budget, "the sum of the absolute weights; see signs")
    limits = _Limits(
        options.tol,
        options.max_iterations,
        math.inf if options.time_limit is None else options.time_limit,
        options.begun,
        total,
    )
    with Reporter(callback, progress, options.begun) as reporter:
        return _Search(assets, level, shares, sides, limits, reporter).run(scenarios, mean)


class _Limits(NamedTuple):
    """What is asked of a search besides the portfolio."""

    tol: float
    max_iterations: int
    time_limit: float
    started: float
    total: float
    """Sum of the absolute weights."""


def _read_budgets(assets: Assets, budgets: Any) -> Floats:
    if budgets is None:
        return np.full(assets.count, 1.0 / assets.count)
    values = assets.vector("budgets", budgets, 0.0)
    if not (values > 0).all():
        position = int((values <= 0).argmax())
        raise ValueError(
            f"budgets must be positive, got {float(values[position])!r} for {assets.describe(position)}; leave an "
            "asset without risk out of the returns, and give short positions by signs"
        )
    values = np.ldexp(values, -math.frexp(float(values.max()))[1])
    return values / math.fsum(values.tolist())


def _read_signs(assets: Assets, signs: Any) -> Floats:
    if signs is None:
        return np.ones(assets.count)
    values = assets.vector("signs", signs, 1.0)
    wrong = np.abs(values) != 1
    if wrong.any():
        position = int(wrong.argmax())
        raise ValueError(
            f"signs must be 1 or -1, got {float(values[position])!r} for {assets.describe(position)}; use np.sign"
        )
    return values


class _Candidate(NamedTuple):
    """Exposures that have their budgets under a density."""

    y: Floats
    excess: float
    """ES of the exposures over the mean loss under the density, which is one."""
    shares: Floats
    """The density of the scenarios of a window."""
    numbers: NDArray[np.int64]
    """Which scenarios these are."""
    gradient: Floats
    centre: Floats | None
    """Weights beyond whose tail's edge the density is full; None where the window holds that, too."""

    @property
    def gap(self) -> float:
        """Objective less bound: both are of exposures that the density gives their budgets."""
        return max(math.log(self.excess), 0.0)


class _Search:
    """One call: exposures y > 0 in units of each asset's deviation, windows of scenarios around the edge of the tail.

    An optimum over a window brings a density, which bounds the whole problem, and exposures. The next pass over the
    scenarios gives their ES, hence the gap, and the window around their own tail.
    """

    def __init__(
        self, assets: Assets, level: float, budgets: Floats, signs: Floats, limits: _Limits, reporter: Reporter
    ) -> None:
        self.assets, self.level, self.budgets, self.unit = assets, level, budgets, signs
        self.limits, self.reporter = limits, reporter
        self.iterations = 0
        self.per_asset = FIRST_PER_ASSET
        self.best: _Candidate | None = None
        self.reference: Floats | None = None
        """Exposures of ES one with the least objective."""
        self.certifying = False
        """Whether all scenarios are looked at: what a subset says of objective and bound is no certificate."""

    def run(self, scenarios: Scenarios, mean: Floats) -> RiskBudget:
        """Return the certified optimum."""
        self.unit = self.unit / self._scale(scenarios, mean)
        y = self.budgets.copy()
        for count in self._subsets(scenarios.n_scenarios):
            y = self._warm(scenarios.sample(count, None)[0], y)
            self.per_asset = KEPT_PER_ASSET
        self.certifying = True
        return self._result(scenarios, self._minimise(scenarios, y, self.limits.tol))

    def _scale(self, scenarios: Scenarios, mean: Floats) -> Floats:
        """Return the size of each asset's outcomes."""
        scale: Floats = np.hypot(scenarios.deviation(), mean)
        for position in np.flatnonzero(scale == 0).tolist():
            alone = np.zeros(self.assets.count)
            alone[position] = self.unit[position]
            scale[position], _ = scenarios.es_var(alone, self.level, None)
            if scale[position] <= 0:
                self._fail_unbounded(alone, float(scale[position]))
        return scale

    def _subsets(self, count: int) -> list[int]:
        """Return the sizes of subsets to begin with: enough for a tail of several scenarios for each asset."""
        smallest = int(max(2000, FIRST_PER_ASSET * self.assets.count, self.assets.count / (1 - self.level)))
        sizes = [count]
        while sizes[-1] >= 2 * smallest:
            sizes.append(max(sizes[-1] // GROWTH, smallest))
        return sizes[:0:-1]

    def _warm(self, sample: Scenarios, y: Floats) -> Floats:
        """Return exposures near the optimum of a subset, or those given where it has none."""
        try:
            return self._minimise(sample, y, WARM).y
        except UnboundedError:
            return y
        finally:
            self.best = self.reference = None

    def _minimise(self, scenarios: Scenarios, y: Floats, tol: float) -> _Candidate:
        """Return exposures and a density whose gap is at most `tol`."""
        n, tail_count = self.assets.count, scenarios.n_scenarios * (1 - self.level)
        kept = int(max(self.per_asset * n, 1.5 * math.sqrt(GROWTH * n * tail_count))) + 50
        value = math.inf
        pending: _Candidate | None = None
        complete = False
        while True:
            tail, kept = self._tail(scenarios, y, kept)
            if pending is not None:
                self._note(pending._replace(excess=tail.es))
                if self.best is not None and self.best.gap <= tol:
                    return self.best
                if complete:
                    raise OptimizationError(
                        f"rounding keeps the gap at {self._best_gap():.3g}, above tol={tol:.3g}; raise tol",
                        **self._known(),
                    )
            window, complete, whole = self._window(tail, kept)
            y = y / tail.es
            reached = -float(self.budgets @ np.log(y))
            if reached > value and self.reference is not None:
                # The optimum over the window lay outside of what the window knows.
                kept *= 2
                if reached > value + 1.0:
                    y, pending = 0.5 * (y + self.reference), None
                    continue
            else:
                self.reference, value = y, reached
            if self.iterations == self.limits.max_iterations:
                raise IterationLimitError(f"the gap is above tol after {self.iterations} iterations", **self._known())
            found, last = solve_window(window, self.budgets, y, min(tol, PRECISE) if self.certifying else tol)
            self.iterations += 1
            if found is None:
                self._look_for_ray(scenarios, window, last, complete)
                kept, pending = 2 * kept, None
                continue
            pending = _Candidate(
                found.y, math.inf, found.shares, tail.index, found.gradient, None if whole else y * self.unit
            )
            y = found.y

    def _tail(self, scenarios: Scenarios, y: Floats, kept: int) -> tuple[TailRows, int]:
        """Return the tail at y with all scenarios at its edge, and how many had to be kept for that."""
        while True:
            if time.perf_counter() - self.limits.started > self.limits.time_limit:
                raise TimeLimitError(f"the gap is above tol after {self.limits.time_limit:g} seconds", **self._known())
            kept = min(kept, scenarios.n_scenarios)
            tail = scenarios.tail_rows(y * self.unit, self.level, None, kept, kept)
            if not tail.es > 0:
                self._fail_unbounded(y * self.unit, tail.es)
            tied = float(tail.probability[tail.loss == tail.var].sum())
            if tied >= tail.at.mass * (1 - 1e-9) or kept == scenarios.n_scenarios:
                return tail, kept
            kept *= 4

    def _window(self, tail: TailRows, kept: int) -> tuple[Window, bool, bool]:
        """Return the problem over the scenarios kept, whether these are all, and whether they hold all of the tail."""
        above = tail.loss > tail.var
        mass = 1.0 - self.level
        whole = int(np.count_nonzero(above)) < kept
        complete = whole and int(np.count_nonzero(~above)) <= kept
        beyond, left = np.zeros(self.assets.count), 1.0
        if not whole:
            inside = tail.probability[above]
            beyond = (tail.above.rows - inside @ tail.rows[above]) * (-self.unit / mass)
            left -= (tail.above.mass - float(inside.sum())) / mass
        return Window(tail.rows * -self.unit, tail.probability / mass, beyond, left), complete, whole

    def _note(self, candidate: _Candidate) -> None:
        """Keep a candidate if it is the best one, and report."""
        if self.best is None or candidate.excess < self.best.excess:
            self.best = candidate
        if not self.reporter.needed:
            return
        seconds = time.perf_counter() - self.limits.started
        if self.certifying:
            report = Progress(self.iterations, "all scenarios", *self._bounds(self.best), self.best.gap, seconds)
        else:
            report = Progress(self.iterations, "a subset", math.inf, -math.inf, math.inf, seconds)
        if self.reporter(report):
            raise OptimizationError("the callback ended the search", **self._known())

    def _bounds(self, candidate: _Candidate) -> tuple[float, float]:
        """Return objective and bound of a candidate."""
        bound = -float(self.budgets @ np.log(candidate.y * np.abs(self.unit)))
        return bound + candidate.gap, bound

    def _best_gap(self) -> float:
        return math.inf if self.best is None else self.best.gap

    def _known(self) -> dict[str, Any]:
        """Return what an error carries."""
        value, bound = None, -math.inf
        if self.best is not None:
            y = self.best.y
            if self.certifying:
                value, bound = self._bounds(self.best)
        elif self.reference is not None:
            y = self.reference
            if self.certifying:
                value = -float(self.budgets @ np.log(y * np.abs(self.unit)))
        else:
            return {}
        weights = y * self.unit
        labelled = self.assets.label(weights * (self.limits.total / np.abs(weights).sum()))
        return {"weights": labelled, "value": value, "lower_bound": bound}

    def _look_for_ray(self, scenarios: Scenarios, window: Window, y: Floats, complete: bool) -> None:
        """Raise where weights have no risk: those that ran off, or the least ES if the window holds all scenarios."""
        candidates = [np.where(y > 1e-6 * y.max(), y, 0.0)]
        if complete:
            least = least_es(window, y)
            candidates += [least, perfect_hedge(window, least)]
        for exposures in candidates:
            ray = exposures / exposures.sum() * self.unit
            es, _ = scenarios.es_var(ray, self.level, None)
            if es <= (VANISHED if complete else 0.0):
                self._fail_unbounded(ray, es)
        if complete:
            raise OptimizationError(
                "rounding hides whether all weights of these signs have a positive ES; returns of very different sizes "
                "are the usual reason",
                **self._known(),
            )

    def _fail_unbounded(self, weights: Floats, es: float) -> NoReturn:
        if math.isnan(es):
            raise ValueError("returns must be finite")
        largest = np.abs(weights).sum()
        labelled = self.assets.label(weights / largest)
        raise UnboundedError(
            f"weights of the given signs (see ray) have an ES of {es / largest:.3g}: where that is not positive, none "
            "have contributions in the given parts. Leave out what never loses or hedges the rest, or change signs",
            ray=labelled,
            weights=labelled,
        )

    def _result(self, scenarios: Scenarios, candidate: _Candidate) -> RiskBudget:
        exposures = candidate.y * self.unit
        gross = float(np.abs(exposures).sum())
        factor = self.limits.total / gross
        weights = exposures / gross * self.limits.total
        es, var = scenarios.es_var(weights, self.level, None)
        contributions = candidate.y * candidate.gradient * factor
        objective, bound = self._bounds(candidate)
        return RiskBudget(
            weights=self.assets.label(weights),
            es=es,
            var=var,
            budgets=self.assets.label(self.budgets),
            contributions=self.assets.label(contributions),
            deviation=float(np.abs(contributions / contributions.sum() - self.budgets).max()),
            density=self._density(scenarios, candidate),
            objective=objective,
            lower_bound=bound,
            gap=candidate.gap,
            iterations=self.iterations,
            passes=scenarios.passes,
            seconds=time.perf_counter() - self.limits.started,
        )

    def _density(self, scenarios: Scenarios, candidate: _Candidate) -> TailWeights:
        """Return the density over all scenarios: that of the window, and full shares of those beyond it."""
        kept = candidate.shares > 0
        index, shares = candidate.numbers[kept], candidate.shares[kept]
        if candidate.centre is not None:
            tail, full = scenarios.tail(candidate.centre, self.level, None)[2:]
            beyond = ~np.isin(tail, candidate.numbers)
            index, shares = np.concatenate([index, tail[beyond]]), np.concatenate([shares, full[beyond]])
            order = np.argsort(index)
            index, shares = index[order], shares[order]
        return TailWeights(index, shares / math.fsum(shares.tolist()))
