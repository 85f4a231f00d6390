"""The functions of decompositions by scenarios: all parts at once, and one kind alone."""

from __future__ import annotations

from typing import Any

from cshortfall.decompose._expected_shortfall import incremental
from cshortfall.decompose._portfolio import read_portfolio
from cshortfall.decompose._result import Decomposition, TailScenarios, decomposition
from cshortfall.decompose._value_at_risk import read_estimator, var_parts


def decompose(
    returns: Any,
    weights: Any,
    level: float = 0.975,
    *,
    probabilities: Any = None,
    groups: Any = None,
    tail: str = "lower",
    nan_policy: str = "propagate",
    estimator: str = "order_statistic",
    bandwidth: float | None = None,
) -> Decomposition:
    r"""Decompose the Expected Shortfall and Value at Risk of a portfolio into the parts of its positions.

    Parameters
    ----------
    returns : array_like, shape (n_scenarios, n_assets)
        Profit and loss or return of each asset in each scenario, gains positive; float64 and float32, C or Fortran
        order, are read in place. A data frame has one column for each asset, whose labels the results keep.
    weights : array_like, shape (n_assets,) or (n_assets, n_accounts)
        Holdings, of any sign: the outcome of the portfolio is ``returns @ weights``. A pandas series is aligned on the
        columns of a pandas `returns`. With a second axis each column is a sub-account, their sum is the portfolio, and
        the parts are those of the sub-accounts, under the column labels of `weights`.
    level : float
        Confidence, ``0 <= level < 1``; one level.
    probabilities : array_like, shape (n_scenarios,), optional
        Of the scenarios, not negative, of any scale; equal if None.
    groups : mapping or sequence, optional
        Positions to decompose into instead of assets: a mapping from names to the columns (or, of arrays, positions)
        in each group, or one name for each asset. Every asset belongs to one group.
    tail : {"lower", "upper"}
        ``"upper"`` reads `returns` as losses.
    nan_policy : {"propagate", "omit", "raise"}
        Scenarios in which a return is missing make all results NaN, are left out, or are an error.
    estimator : {"order_statistic", "kernel", "harrell_davis"}
        How the parts of VaR are estimated: from the scenario at VaR (exactly tied ones averaged), from those around it
        under a Gaussian kernel, or from all under the weights of Harrell and Davis. Parts of the last two are scaled
        to sum to the VaR.
    bandwidth : float, optional
        Of the kernel, in the unit of the outcomes. Default: Silverman's rule of thumb,
        ``0.9 min(sd, IQR/1.34) n^(-1/5)``.

    Returns
    -------
    Decomposition
        Frozen dataclass; see there. What needs more than the tail is computed when it is asked for.

    Raises
    ------
    ValueError
        Shapes, labels or groups that do not fit, holdings that are all zero, NaN or infinite, probabilities that are
        negative or all zero, a level outside [0, 1), missing returns if ``nan_policy="raise"``; asked for parts of VaR:
        an estimator other than "order_statistic" whose parts cannot be scaled to sum to a VaR near zero.
    TypeError
        Data that are no real numbers.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.
    RuntimeWarning
        All scenarios are left out; the results are NaN.

    See Also
    --------
    component_es, marginal_es, incremental_es, component_var, marginal_var, incremental_var : one of the results alone.
    explain : the tail scenarios behind them.

    Notes
    -----
    With the shares :math:`p` of `cshortfall.tail_weights` the marginal ES is :math:`-R^\top p` [1]_.

    The P&L of a scenario is summed as doubles, in one order of the assets whatever the layout, type or place of its
    row: it differs from ``returns @ weights`` by rounding, and equal rows have equal P&L. ES and VaR are
    `cshortfall.es_var` of these P&L, to the bit. A marginal ES is found from sums over the tail in twice the precision
    of a double, and wrong by a few units in the last place of the asset's mean absolute loss in the tail; a component
    is the rounded product with its holding. These products would sum to the ES up to rounding, for N assets to about
    N 2^-53 of the mean over the tail of :math:`\sum_i |w_i R_i|`, and usually much less; what is left is added to the
    largest component that can take it, so that ``math.fsum(component) == es``,
    but for a last place of the least component where all are large compared with their sum.

    Where several scenarios are tied at the edge of the tail and only a part of them fits into it, ES has a kink.
    The tied share that part in proportion to their probabilities: the symmetric subgradient, which does not depend on
    the order of scenarios. `Decomposition.marginal_range` gives each position's extremes over all shares that attain
    the ES. Tied are scenarios of equal P&L as it is summed here: those of equal rows always.

    The standard errors of the marginals are those of the influence function [2]_

    .. math:: m_i - C_i + (L_i - m_i) 1\{L \ge VaR\} / (1 - level)

    with :math:`L_i` the loss of a unit of position i, :math:`C_i` its mean over the tail and
    :math:`m_i = E[L_i \mid L = VaR]` (by the kernel), its standard deviation over :math:`\sqrt{n - 1}`; with
    probabilities Kish's effective number takes the place of n. Scenarios are taken as independent; NaN where the tail
    holds one scenario or less.

    References
    ----------
    .. [1] Tasche, D. (2002). Expected shortfall and beyond. Journal of Banking & Finance 26(7), 1519-1533.
    .. [2] Scaillet, O. (2004). Nonparametric estimation and sensitivity analysis of expected shortfall. Mathematical
       Finance 14(1), 115-129.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.decompose import decompose
    >>> returns = np.array([[1.0, -2.0], [-3.0, 1.0], [2.0, 0.0], [-1.0, -1.0]])
    >>> parts = decompose(returns, [1.0, 1.0], 0.5)
    >>> parts.es, parts.component, parts.percent
    (2.0, array([2., 0.]), array([100.,   0.]))
    >>> parts.incremental
    array([0.5, 0. ])

    Of the two scenarios in which this portfolio loses 2 only one fits into the worst quarter: a kink.

    >>> decompose(returns, [1.0, 1.0], 0.75).marginal_range
    array([[ 1.,  3.],
           [-1.,  1.]])
    """
    read_estimator(estimator, bandwidth)
    portfolio = read_portfolio(returns, weights, level, probabilities, groups, tail, nan_policy)
    return decomposition(portfolio, estimator, bandwidth)


def explain(
    returns: Any,
    weights: Any,
    level: float = 0.975,
    *,
    probabilities: Any = None,
    groups: Any = None,
    tail: str = "lower",
    nan_policy: str = "propagate",
) -> TailScenarios:
    """Return the scenarios behind the Expected Shortfall of a portfolio, and each position's part of them.

    Parameters
    ----------
    returns, weights, level, probabilities, groups, tail, nan_policy
        As for `decompose`.

    Returns
    -------
    TailScenarios
        Frozen dataclass: ``indices``, positions of the scenarios, ascending; ``weights``, the share of each in the ES;
        ``outcomes``, the P&L of the portfolio; ``parts``, what each position adds to it. Empty without a tail.

    Raises
    ------
    ValueError, TypeError
        As for `decompose`.

    Warns
    -----
    LevelWarning, RuntimeWarning
        As for `decompose`.

    Notes
    -----
    ``-(weights @ parts)`` are the components of the ES up to rounding. The shares are those of
    `cshortfall.tail_weights`.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.decompose import explain
    >>> returns = np.array([[1.0, -2.0], [-3.0, 1.0], [2.0, 0.0], [-1.0, -1.0]])
    >>> scenarios = explain(returns, [0.5, 0.5], 0.5)
    >>> scenarios.indices, scenarios.weights
    (array([1, 3]), array([0.5, 0.5]))
    >>> scenarios.parts
    array([[-1.5,  0.5],
           [-0.5, -0.5]])
    """
    portfolio = read_portfolio(returns, weights, level, probabilities, groups, tail, nan_policy)
    return decomposition(portfolio, "order_statistic", None).explain()


def component_es(
    returns: Any,
    weights: Any,
    level: float = 0.975,
    *,
    probabilities: Any = None,
    groups: Any = None,
    tail: str = "lower",
    nan_policy: str = "propagate",
) -> Any:
    """Return the part of each position in the Expected Shortfall of a portfolio.

    Parameters
    ----------
    returns, weights, level, probabilities, groups, tail, nan_policy
        As for `decompose`.

    Returns
    -------
    ndarray, shape (n_positions,), or labelled as the returns are
        Holding times marginal ES; they sum to the ES up to rounding.

    Raises
    ------
    ValueError, TypeError
        As for `decompose`.

    Warns
    -----
    LevelWarning, RuntimeWarning
        As for `decompose`.

    See Also
    --------
    decompose : all parts at once, with notes and references.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.decompose import component_es
    >>> returns = np.array([[1.0, -2.0], [-3.0, 1.0], [2.0, 0.0], [-1.0, -1.0]])
    >>> component_es(returns, [1.0, 1.0], 0.5)
    array([2., 0.])
    """
    portfolio = read_portfolio(returns, weights, level, probabilities, groups, tail, nan_policy)
    return decomposition(portfolio, "order_statistic", None).component


def marginal_es(
    returns: Any,
    weights: Any,
    level: float = 0.975,
    *,
    probabilities: Any = None,
    groups: Any = None,
    tail: str = "lower",
    nan_policy: str = "propagate",
) -> Any:
    """Return the derivative of the Expected Shortfall of a portfolio in each of its holdings.

    Parameters
    ----------
    returns, weights, level, probabilities, groups, tail, nan_policy
        As for `decompose`.

    Returns
    -------
    ndarray, shape (n_positions,), or labelled as the returns are
        Mean loss of a unit of the position over the tail scenarios of the portfolio.

    Raises
    ------
    ValueError, TypeError
        As for `decompose`.

    Warns
    -----
    LevelWarning, RuntimeWarning
        As for `decompose`.

    See Also
    --------
    decompose : all parts at once, with notes and references.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.decompose import marginal_es
    >>> returns = np.array([[1.0, -2.0], [-3.0, 1.0], [2.0, 0.0], [-1.0, -1.0]])
    >>> marginal_es(returns, [1.0, 1.0], 0.75)
    array([2., 0.])
    """
    portfolio = read_portfolio(returns, weights, level, probabilities, groups, tail, nan_policy)
    return decomposition(portfolio, "order_statistic", None).marginal


def incremental_es(
    returns: Any,
    weights: Any,
    level: float = 0.975,
    *,
    probabilities: Any = None,
    groups: Any = None,
    tail: str = "lower",
    nan_policy: str = "propagate",
) -> Any:
    """Return what the Expected Shortfall of a portfolio changes by with each of its positions.

    Parameters
    ----------
    returns, weights, level, probabilities, groups, tail, nan_policy
        As for `decompose`.

    Returns
    -------
    ndarray, shape (n_positions,), or labelled as the returns are
        ES of the portfolio less its ES without the position.

    Raises
    ------
    ValueError, TypeError
        As for `decompose`.

    Warns
    -----
    LevelWarning, RuntimeWarning
        As for `decompose`.

    See Also
    --------
    decompose : all parts at once, with notes and references.

    Notes
    -----
    Each portfolio has a tail of its own: one more pass over the returns, and one selection for each position. The
    P&L without a position is that of the portfolio less the position's: as exact as ``returns @ weights``.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.decompose import incremental_es
    >>> returns = np.array([[1.0, -2.0], [-3.0, 1.0], [2.0, 0.0], [-1.0, -1.0]])
    >>> incremental_es(returns, [1.0, 1.0], 0.5)
    array([0.5, 0. ])
    """
    portfolio = read_portfolio(returns, weights, level, probabilities, groups, tail, nan_policy)
    return portfolio.label(incremental(portfolio)[0], "incremental_es")


def component_var(
    returns: Any,
    weights: Any,
    level: float = 0.975,
    *,
    probabilities: Any = None,
    groups: Any = None,
    tail: str = "lower",
    nan_policy: str = "propagate",
    estimator: str = "order_statistic",
    bandwidth: float | None = None,
) -> Any:
    """Return the part of each position in the Value at Risk of a portfolio.

    Parameters
    ----------
    returns, weights, level, probabilities, groups, tail, nan_policy, estimator, bandwidth
        As for `decompose`.

    Returns
    -------
    ndarray, shape (n_positions,), or labelled as the returns are
        Holding times marginal VaR; they sum to the VaR up to rounding.

    Raises
    ------
    ValueError, TypeError
        As for `decompose`.

    Warns
    -----
    LevelWarning, RuntimeWarning
        As for `decompose`.

    See Also
    --------
    decompose : all parts at once, with notes and references.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.decompose import component_var
    >>> returns = np.array([[1.0, -2.0], [-3.0, 1.0], [2.0, 0.0], [-1.0, -1.0]])
    >>> component_var(returns, [1.0, 1.0], 0.75)
    array([2., 0.])
    """
    read_estimator(estimator, bandwidth)
    portfolio = read_portfolio(returns, weights, level, probabilities, groups, tail, nan_policy)
    return portfolio.label(var_parts(portfolio, estimator, bandwidth)[1], "component_var")


def marginal_var(
    returns: Any,
    weights: Any,
    level: float = 0.975,
    *,
    probabilities: Any = None,
    groups: Any = None,
    tail: str = "lower",
    nan_policy: str = "propagate",
    estimator: str = "order_statistic",
    bandwidth: float | None = None,
) -> Any:
    """Return the derivative of the Value at Risk of a portfolio in each of its holdings.

    Parameters
    ----------
    returns, weights, level, probabilities, groups, tail, nan_policy, estimator, bandwidth
        As for `decompose`.

    Returns
    -------
    ndarray, shape (n_positions,), or labelled as the returns are
        Expected loss of a unit of the position given that the portfolio loses its VaR, as the estimator finds it.

    Raises
    ------
    ValueError, TypeError
        As for `decompose`.

    Warns
    -----
    LevelWarning, RuntimeWarning
        As for `decompose`.

    See Also
    --------
    decompose : all parts at once, with notes and references.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.decompose import marginal_var
    >>> returns = np.array([[1.0, -2.0], [-3.0, 1.0], [2.0, 0.0], [-1.0, -1.0]])
    >>> marginal_var(returns, [1.0, 1.0], 0.75)
    array([2., 0.])
    """
    read_estimator(estimator, bandwidth)
    portfolio = read_portfolio(returns, weights, level, probabilities, groups, tail, nan_policy)
    return portfolio.label(var_parts(portfolio, estimator, bandwidth)[0], "marginal_var")


def incremental_var(
    returns: Any,
    weights: Any,
    level: float = 0.975,
    *,
    probabilities: Any = None,
    groups: Any = None,
    tail: str = "lower",
    nan_policy: str = "propagate",
) -> Any:
    """Return what the Value at Risk of a portfolio changes by with each of its positions.

    Parameters
    ----------
    returns, weights, level, probabilities, groups, tail, nan_policy
        As for `decompose`.

    Returns
    -------
    ndarray, shape (n_positions,), or labelled as the returns are
        VaR of the portfolio less its VaR without the position.

    Raises
    ------
    ValueError, TypeError
        As for `decompose`.

    Warns
    -----
    LevelWarning, RuntimeWarning
        As for `decompose`.

    See Also
    --------
    decompose : all parts at once, with notes and references.

    Notes
    -----
    Each portfolio has a tail of its own: one more pass over the returns, and one selection for each position. The
    P&L without a position is that of the portfolio less the position's: as exact as ``returns @ weights``.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.decompose import incremental_var
    >>> returns = np.array([[1.0, -2.0], [-3.0, 1.0], [2.0, 0.0], [-1.0, -1.0]])
    >>> incremental_var(returns, [1.0, 1.0], 0.5)
    array([1., 1.])
    """
    portfolio = read_portfolio(returns, weights, level, probabilities, groups, tail, nan_policy)
    return portfolio.label(incremental(portfolio)[1], "incremental_var")
