"""Estimators of the Value at Risk's parts: scenarios around it and the weights in which they stand for it.

The part of a position is its expected loss given that the portfolio loses its VaR [1]_; what estimates this
expectation from scenarios of which hardly two have the same outcome is a choice.

``order_statistic``
    The scenario whose outcome is the VaR; of exactly tied ones the mean under their probabilities. Exact for the
    empirical distribution, and as erratic as a single scenario.
``kernel``
    Weights ``p exp(-u^2/2)``, u the distance of the scenario's outcome from the VaR in bandwidths: the regression of
    Nadaraya and Watson [2]_. Bandwidth: Silverman's rule of thumb, as of ``var(..., method="kernel")``.
``harrell_davis``
    The weights of the order statistics in the quantile estimator of Harrell and Davis [3]_; with probabilities the
    Beta distribution has Kish's effective number of scenarios.

The last two average scenarios off the VaR; the parts are multiplied by one number, so that they sum to it.

.. [1] Tasche, D. (2000). Risk contributions and performance measurement. Working paper, TU München.
.. [2] Gourieroux, C., Laurent, J. P. and Scaillet, O. (2000). Sensitivity analysis of Values at Risk. Journal of
   Empirical Finance 7, 225-245. Epperlein, E. and Smillie, A. (2006). Cracking VaR with kernels. Risk 19(8), 70-74.
.. [3] Harrell, F. E. and Davis, C. E. (1982). A new distribution-free quantile estimator. Biometrika 69, 635-640.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall._estimators import Kernel
from cshortfall._sample import EstimationError, Sample
from cshortfall._tail_count import effective_tail_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.decompose._portfolio import Portfolio

    Weighted = tuple[NDArray[np.int64], Floats]

VAR_ESTIMATORS = ("order_statistic", "kernel", "harrell_davis")

# Bandwidths beyond which the Gaussian density is nothing beside that of the centre.
REACH = 8.5


def read_estimator(estimator: Any, bandwidth: Any) -> None:
    """Check the name of an estimator of VaR's parts and its bandwidth."""
    _arguments.read_choice("estimator", estimator, VAR_ESTIMATORS)
    if bandwidth is None:
        return
    number = _arguments.real_number(bandwidth)
    if number is None:
        raise TypeError(f"bandwidth must be a positive number or None, got {_arguments.shown(bandwidth)}")
    if not 0.0 < number < math.inf:
        raise ValueError(f"bandwidth must be positive and finite, got {number:.15g}; None chooses one")
    if estimator != "kernel":
        raise ValueError(f"bandwidth needs estimator='kernel', got estimator={estimator!r}; leave bandwidth out")


def var_parts(portfolio: Portfolio, estimator: str, bandwidth: float | None) -> tuple[Floats, Floats]:
    """Return the marginal VaR of each position and its part in the VaR; the parts sum to it."""
    marginals = _position_marginals(portfolio, estimator, bandwidth)
    return marginals, portfolio.quantities * marginals


def _position_marginals(portfolio: Portfolio, estimator: str, bandwidth: float | None) -> Floats:
    if math.isnan(portfolio.var):
        return np.full(portfolio.quantities.size, np.nan)
    scenarios, weights = smoothed_scenarios(portfolio, estimator, bandwidth)
    means = portfolio.mean_losses(scenarios, weights)
    if estimator == "order_statistic" or not math.isfinite(portfolio.var):
        return means
    smooth = -float(weights @ portfolio.profit[scenarios])
    if smooth == portfolio.var:
        return means
    if smooth * portfolio.var <= 0.0:
        raise EstimationError(
            f"estimator={estimator!r} finds a mean loss of {smooth:.6g} about a VaR of {portfolio.var:.6g}: no factor "
            "makes the parts sum to it; use estimator='order_statistic'"
        )
    return means * (portfolio.var / smooth)


def smoothed_scenarios(portfolio: Portfolio, estimator: str, bandwidth: float | None) -> Weighted:
    """Return the scenarios of an estimator, ascending, and their weights, which sum to one."""
    if estimator == "harrell_davis" and portfolio.level > 0.0:
        return _normalised(*_harrell_davis(portfolio))
    if estimator == "kernel":
        width = _silverman(portfolio) if bandwidth is None else float(bandwidth)
        if width > 0.0:
            return _normalised(*_gaussian(portfolio, width))
    tied = np.flatnonzero((portfolio.profit == -portfolio.var) & portfolio.present)
    return _normalised(tied, _masses(portfolio, tied))


def _normalised(scenarios: NDArray[np.int64], weights: Floats) -> Weighted:
    return scenarios, weights / math.fsum(weights.tolist())


def _masses(portfolio: Portfolio, scenarios: NDArray[np.int64]) -> Floats:
    return np.ones(scenarios.size) if portfolio.masses is None else portfolio.masses[scenarios]


def _silverman(portfolio: Portfolio) -> float:
    """Return the bandwidth, 0 where the outcomes are all equal."""
    present = portfolio.present
    masses = None if portfolio.masses is None else portfolio.masses[present]
    sample = Sample.of_row(portfolio.profit[present], False, masses)
    if sample.is_constant:
        return 0.0
    if not np.isfinite(sample.losses).all():
        raise EstimationError("estimator='kernel' needs finite outcomes; use estimator='order_statistic'")
    return Kernel().fit(sample).bandwidth / sample.factor


def _gaussian(portfolio: Portfolio, width: float) -> Weighted:
    with np.errstate(over="ignore", invalid="ignore"):
        distance = (portfolio.profit + portfolio.var) / width
    scenarios = np.flatnonzero((np.abs(distance) <= REACH) & portfolio.present)
    return scenarios, _masses(portfolio, scenarios) * np.exp(-0.5 * np.square(distance[scenarios]))


def _harrell_davis(portfolio: Portfolio) -> Weighted:
    """Return the weights of all order statistics; tied outcomes share theirs in proportion to probability."""
    from scipy.special import betainc  # type: ignore[import-untyped]

    scenarios = np.flatnonzero(portfolio.present)
    masses = _masses(portfolio, scenarios)
    number = effective_tail_count(scenarios.size, masses, 0.0)
    _, group = np.unique(-portfolio.profit[scenarios], return_inverse=True)
    group_masses = np.bincount(group, weights=masses)
    ends = np.cumsum(group_masses)
    level = portfolio.level
    reached = betainc((number + 1.0) * level, (number + 1.0) * (1.0 - level), ends / ends[-1])
    weights = (np.diff(reached, prepend=0.0) / group_masses)[group] * masses
    kept = weights > 0.0
    return scenarios[kept], weights[kept]
