"""What `decompose` and `explain` return."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall._frames import some_rows
from cshortfall.decompose import _expected_shortfall, _value_at_risk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.decompose._expected_shortfall import Tail
    from cshortfall.decompose._portfolio import Portfolio

# What is left is at least halved each time.
CLOSING_ROUNDS = 64


@dataclass(frozen=True, eq=False)
class TailScenarios:
    """The scenarios behind an ES, as `explain` returns them: one entry or row for each, by ascending position.

    For returns in a pandas frame, `weights` and `outcomes` are series and `parts` a frame under the scenarios' labels;
    for other frames `parts` is a frame of the same library; otherwise they are arrays.
    """

    indices: NDArray[np.int64]
    """Positions of the scenarios."""
    weights: Any
    """Share of each in the ES; they sum to one."""
    outcomes: Any
    """P&L of the portfolio (its loss with ``tail="upper"``)."""
    parts: Any
    """What each position adds to it, shape (n_tail_scenarios, n_positions)."""


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The parts of ES and VaR of a portfolio, as `decompose` returns them.

    A position is an asset, a group or a sub-account. Numbers per position are arrays, or labelled as the returns (the
    weights of sub-accounts) are. Those that need more than the tail are computed when they are first asked for, from
    the returns as they are then: `incremental` and `incremental_var`, which read all returns once more, the parts of
    VaR, ranges and standard errors.
    """

    es: float
    """Expected Shortfall: the sum of `component`, exact but for its one rounding (``math.fsum``); see `decompose`."""
    var: float
    """Value at Risk: the sum of `component_var` up to rounding."""
    weights: Any
    """The holdings; groups and sub-accounts are held once."""
    component: Any
    """Part of each position in the ES: its holding times its marginal ES (Euler)."""
    marginal: Any
    """Derivative of ES in the holding of each position; where ES has a kink the symmetric subgradient."""
    percent: Any
    """`component` in percent of the ES; NaN where that is 0."""
    level: float
    tail: str
    estimator: str
    """How the parts of VaR are estimated."""
    n: int
    """Scenarios that count: not left out, and of positive probability."""
    tail_count: float
    """n (1 - level); with probabilities, Kish's effective number for n."""
    _portfolio: Portfolio = field(repr=False)
    _tail: Tail = field(repr=False)
    _marginals: Floats = field(repr=False)
    _bandwidth: float | None = field(repr=False)

    @cached_property
    def incremental(self) -> Any:
        """ES of the portfolio less its ES without each position, each from its own tail."""
        return self._portfolio.label(self._incremental[0], "incremental_es")

    @cached_property
    def incremental_var(self) -> Any:
        """VaR of the portfolio less its VaR without each position."""
        return self._portfolio.label(self._incremental[1], "incremental_var")

    @cached_property
    def component_var(self) -> Any:
        """Part of each position in the VaR: its holding times its marginal VaR."""
        return self._portfolio.label(self._var_parts[1], "component_var")

    @cached_property
    def marginal_var(self) -> Any:
        """Derivative of VaR in the holding of each position, as the estimator finds it."""
        return self._portfolio.label(self._var_parts[0], "marginal_var")

    @cached_property
    def percent_var(self) -> Any:
        """`component_var` in percent of the VaR; NaN where that is 0."""
        return self._portfolio.label(percent_of(self._var_parts[1], self.var), "percent_var")

    @cached_property
    def marginal_range(self) -> Any:
        """Least and largest marginal ES of each position over the subdifferential: a last axis of (low, high)."""
        return self._portfolio.label(self._range, "marginal_range", bounds=True)

    @cached_property
    def component_range(self) -> Any:
        """Least and largest part of each position in the ES over the subdifferential: a last axis of (low, high)."""
        bounds = np.sort(self._portfolio.quantities[:, np.newaxis] * self._range, axis=1)
        return self._portfolio.label(bounds, "component_range", bounds=True)

    @cached_property
    def marginal_standard_error(self) -> Any:
        """Standard error of each marginal ES over independent scenarios."""
        return self._portfolio.label(self._errors, "marginal_standard_error")

    @cached_property
    def component_standard_error(self) -> Any:
        """Standard error of each part of the ES over independent scenarios."""
        errors = np.abs(self._portfolio.quantities) * self._errors
        return self._portfolio.label(errors, "component_standard_error")

    def explain(self) -> TailScenarios:
        """Return the scenarios behind the ES and what each position does in them."""
        indices = self._tail.indices
        losses = self._portfolio.position_losses(indices) * self._portfolio.quantities
        parts = losses if self._portfolio.upper else 0.0 - losses
        profit = self._portfolio.profit[indices]
        outcomes = 0.0 - profit if self._portfolio.upper else profit
        labels = self._portfolio.labels
        if labels is None:
            return TailScenarios(indices, self._tail.shares, outcomes, parts)
        names = self._portfolio.question.labels
        columns = None if names is None or names.columns is None else list(names.columns)
        return TailScenarios(
            indices,
            some_rows(labels, self._tail.shares, indices, None),
            some_rows(labels, outcomes, indices, None),
            some_rows(labels, parts, indices, columns),
        )

    @cached_property
    def _incremental(self) -> tuple[Floats, Floats]:
        return _expected_shortfall.incremental(self._portfolio)

    @cached_property
    def _var_parts(self) -> tuple[Floats, Floats]:
        return _value_at_risk.var_parts(self._portfolio, self.estimator, self._bandwidth)

    @cached_property
    def _range(self) -> Floats:
        return _expected_shortfall.marginal_range(self._portfolio, self._tail, self._marginals)

    @cached_property
    def _errors(self) -> Floats:
        return _expected_shortfall.marginal_standard_errors(self._portfolio, self._tail, self._marginals)


def percent_of(parts: Floats, whole: float) -> Floats:
    """Return parts in percent of the whole, NaN of nothing and of what is infinite."""
    if whole == 0.0 or not math.isfinite(whole):
        return np.full(parts.size, np.nan)
    return 100.0 * (parts / whole)


def summing_to(parts: Floats, whole: float) -> Floats:
    """Return parts whose exact sum rounds to the whole: what rounding left goes to the largest that can take it."""
    parts = parts.copy()
    for _ in range(CLOSING_ROUNDS):
        if math.fsum(parts.tolist()) == whole:
            break
        left = math.fsum([whole, *(-parts).tolist()])
        size = np.abs(parts)
        able = np.spacing(size) <= abs(left)
        parts[int(np.where(able, size, -1.0).argmax()) if able.any() else int(size.argmin())] += left
    return parts


def decomposition(portfolio: Portfolio, estimator: str, bandwidth: float | None) -> Decomposition:
    """Return the parts of the ES of a portfolio and what the others are found from."""
    tail = _expected_shortfall.tail_of(portfolio)
    of_assets = _expected_shortfall.asset_marginals(portfolio, tail)
    marginals, components = portfolio.of_positions(of_assets)
    if np.isfinite(np.abs(components).sum()):
        components = summing_to(components, portfolio.es)
    return Decomposition(
        es=portfolio.es,
        var=portfolio.var,
        weights=portfolio.label(portfolio.quantities, "weights"),
        component=portfolio.label(components, "component_es"),
        marginal=portfolio.label(marginals, "marginal_es"),
        percent=portfolio.label(percent_of(components, portfolio.es), "percent"),
        level=portfolio.level,
        tail="upper" if portfolio.upper else "lower",
        estimator=estimator,
        n=portfolio.n,
        tail_count=portfolio.effective_count(portfolio.level),
        _portfolio=portfolio,
        _tail=tail,
        _marginals=marginals,
        _bandwidth=bandwidth,
    )
