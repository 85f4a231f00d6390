"""The outcomes behind an Expected Shortfall, and what they say about portfolios: shares, many portfolios, gradient."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall._arguments import Question
from cshortfall._core.openmp import effective_threads
from cshortfall._core.portfolio import portfolio_tail
from cshortfall._core.tail import tail_rows
from cshortfall._frames import align
from cshortfall._results import TailWeights, result
from cshortfall._rows import historical
from cshortfall._tail_count import tail_count

if TYPE_CHECKING:
    from fractions import Fraction

    from cshortfall._arguments import Floats, Samples
    from cshortfall._frames import Labels


def tail_weights(
    x: Any, level: float = 0.975, *, weights: Any = None, tail: str = "lower", nan_policy: str = "propagate"
) -> TailWeights:
    r"""Return the outcomes that make up the Expected Shortfall, and the share of each.

    Parameters
    ----------
    x : array_like, shape (n,)
        Outcomes, as for `es`; one dimension.
    level : float
        Confidence, ``0 <= level < 1``; one level.
    weights, tail, nan_policy
        As for `es`.

    Returns
    -------
    TailWeights
        Named tuple ``(indices, weights)``: positions in `x`, ascending, int64; and shares, float64, that sum to one.
        With ``nan_policy="propagate"`` and missing values, the positions of these with NaN shares; empty for a sample
        that "omit" leaves empty.

    Raises
    ------
    ValueError, TypeError
        As for `es`; also for more than one dimension or level.

    Notes
    -----
    The shares :math:`p` are scenario probabilities that attain the maximum in the dual form of the tail mean [1]_:
    ``es(x, level) == -(p @ x[indices])`` up to rounding. Outcomes tied at the boundary of the tail share what remains
    in proportion to their weights, so that the result does not depend on their order.

    References
    ----------
    .. [1] Rockafellar, R. T. and Uryasev, S. (2002). Conditional value-at-risk for general loss distributions.
       Journal of Banking & Finance 26(7), 1443-1471, proposition 8.

    Examples
    --------
    >>> import cshortfall
    >>> cshortfall.tail_weights([0.3, -2.0, 0.5, -1.0, -1.0], 0.5)
    TailWeights(indices=array([1, 3, 4]), weights=array([0.4, 0.3, 0.3]))
    """
    question = _arguments.read_question(x, level, None, weights, tail, nan_policy, "historical")
    if question.x.ndim != 1:
        raise ValueError(f"x must have one dimension, got shape {question.x.shape}; take one column or x.ravel()")
    if not question.scalar_level:
        raise ValueError(f"level must be one number, got {question.levels.size} in a sequence; call once for each")
    worst = float(historical(question)[1][0])
    if math.isnan(worst):
        missing = np.isnan(question.x) & (question.nan_policy == "propagate")
        if question.weights is not None:
            missing &= question.weights > 0
        return TailWeights(np.flatnonzero(missing), np.full(int(missing.sum()), np.nan))
    return _shares(question.x, question.weights, float(question.levels[0]), question.upper, worst)


def es_of_portfolios(returns: Any, weights: Any, level: Any = 0.975, *, tail: str = "lower") -> Any:
    r"""Return the Expected Shortfall of many portfolios of the same assets, without storing their outcomes.

    Parameters
    ----------
    returns : array_like, shape (n_scenarios, n_assets)
        Profit and loss or return of each asset in each scenario; float64 and float32 are read in place. A data frame
        has one column for each asset.
    weights : array_like, shape (n_assets,) or (n_assets, n_portfolios)
        Holdings, of any sign: the outcome of a portfolio is ``returns @ weights``. A pandas series or frame is
        aligned on the columns of a pandas `returns`.
    level : float or sequence of float
        Confidence, ``0 <= level < 1``; several add a last axis.
    tail : {"lower", "upper"}
        ``"upper"`` reads `returns` as losses.

    Returns
    -------
    float, ndarray of shape (n_portfolios,), or with the labels of a frame of weights
        Expected Shortfall of each portfolio; a list of levels adds a last axis. NaN where an outcome is NaN.

    Raises
    ------
    ValueError
        The shapes do not fit, something is empty, or a holding is NaN or infinite; also a level outside [0, 1).
    TypeError
        Data that are no real numbers.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.

    See Also
    --------
    es_gradient : its derivative in the holdings.

    Examples
    --------
    >>> import numpy as np
    >>> import cshortfall
    >>> returns = np.array([[1.0, -2.0], [-3.0, 1.0], [2.0, 0.0], [-1.0, -1.0]])
    >>> cshortfall.es_of_portfolios(returns, [0.5, 0.5], 0.5)
    1.0
    >>> cshortfall.es_of_portfolios(returns, np.eye(2), 0.5)
    array([2. , 1.5])
    """
    levels, scalar_level = _arguments.read_levels(level)
    upper = _arguments.read_tail(tail)
    outcomes, assets, labels, _ = _read_portfolios(returns, weights, most_dimensions=2)
    columns = np.ascontiguousarray(assets.reshape(len(assets), -1).T)
    threads = effective_threads(outcomes.size * len(columns))
    values, _, _ = portfolio_tail(outcomes, columns, levels, upper, threads)
    # Labels stand for the portfolios: those of a frame of weights, reduced over its rows.
    question = Question(assets, (0,), levels, scalar_level, upper, "propagate", None, "historical", labels)
    return result(question, values, "es")


def es_gradient(returns: Any, weights: Any, level: Any = 0.975, *, tail: str = "lower") -> Any:
    r"""Return the gradient of the Expected Shortfall of a portfolio in its holdings.

    Parameters
    ----------
    returns : array_like, shape (n_scenarios, n_assets)
        As for `es_of_portfolios`.
    weights : array_like, shape (n_assets,)
        Holdings, aligned as for `es_of_portfolios`.
    level : float or sequence of float
        Confidence, ``0 <= level < 1``; several add a last axis.
    tail : {"lower", "upper"}
        ``"upper"`` reads `returns` as losses.

    Returns
    -------
    ndarray, shape (n_assets,), or labelled by the columns of a frame of returns
        Derivative of ``es(returns @ weights, level)`` in each holding: minus the mean return of the asset over the
        tail scenarios of the portfolio. NaN where an outcome of the portfolio is NaN.

    Raises
    ------
    ValueError, TypeError
        As for `es_of_portfolios`.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.

    Notes
    -----
    With the shares :math:`p` of `tail_weights` the gradient is :math:`-R^\top p` [1]_. Where outcomes of the portfolio
    are tied at the boundary of the tail, ES has a kink; the shares of the tied scenarios are equal then, which gives
    one of its subgradients. ES is homogeneous: holdings times gradient sum to the ES (Euler).

    References
    ----------
    .. [1] Tasche, D. (2002). Expected shortfall and beyond. Journal of Banking & Finance 26(7), 1519-1533.

    Examples
    --------
    >>> import numpy as np
    >>> import cshortfall
    >>> returns = np.array([[1.0, -2.0], [-3.0, 1.0], [2.0, 0.0], [-1.0, -1.0]])
    >>> cshortfall.es_gradient(returns, [0.5, 0.5], 0.75)
    array([2., 0.])
    """
    levels, scalar_level = _arguments.read_levels(level)
    upper = _arguments.read_tail(tail)
    outcomes, assets, _, labels = _read_portfolios(returns, weights, most_dimensions=1)
    total = _portfolio_outcomes(outcomes, assets)
    threads = effective_threads(total.size)
    worst = tail_rows(total[np.newaxis], levels, upper, False, None, threads)[1][0]
    gradient = np.full((len(assets), levels.size), np.nan)
    for k, (one, own) in enumerate(zip(levels.tolist(), worst.tolist(), strict=True)):
        if not math.isnan(own):
            indices, shares = _shares(total, None, one, upper, own)
            rows = outcomes[indices].T
            shares = np.broadcast_to(shares, rows.shape)
            # A weighted mean is the ES at level zero, which the kernel sums exactly.
            gradient[:, k] = tail_rows(rows, np.zeros(1), upper, False, shares, 1)[0][:, 0]
    question = Question(outcomes, (0,), levels, scalar_level, upper, "propagate", None, "historical", labels)
    return result(question, gradient, "es_gradient")


def _shares(x: Samples, weights: Floats | None, level: float, upper: bool, worst: float) -> TailWeights:
    """Return what `tail_weights` does, given the VaR of the present outcomes."""
    from fractions import Fraction

    boundary = worst if upper else -worst
    indices = np.flatnonzero(x >= boundary if upper else x <= boundary)
    if weights is not None:
        present = (weights > 0) & ~np.isnan(x)
        own = weights[present]
        indices = indices[weights[indices] > 0]
        n = own.size
        if own.min() == own.max():
            weights = None
    else:
        n = x.size - int(np.isnan(x).sum())
    tied = x[indices] == boundary
    if weights is None:
        count = max(tail_count(n, level), Fraction(1))
        at = int(tied.sum())
        return TailWeights(indices, np.where(tied, float((count - indices.size + at) / at / count), float(1 / count)))
    # A power of two keeps the sums finite and changes no bit of the shares.
    exponent = -int(np.frexp(own.max())[1])
    mass = np.ldexp(weights[indices], exponent)
    total, beyond_mass, tied_mass = (_exact_sum(part) for part in (np.ldexp(own, exponent), mass[~tied], mass[tied]))
    wanted = total * (1 - Fraction(level))
    taken = min(max(wanted - beyond_mass, Fraction(0)), tied_mass)
    if abs(wanted - beyond_mass - tied_mass) <= total / (1 << 53):
        taken = tied_mass
    return TailWeights(indices, np.where(tied, mass * float(taken / tied_mass), mass) / float(beyond_mass + taken))


def _exact_sum(values: Floats) -> Fraction:
    """Return a sum to twice the precision of a double."""
    from fractions import Fraction

    listed = values.tolist()
    rounded = math.fsum(listed)
    return Fraction(rounded) + Fraction(math.fsum([*listed, -rounded]))


def _read_portfolios(
    returns: Any, weights: Any, most_dimensions: int
) -> tuple[Samples, Floats, Labels | None, Labels | None]:
    """Return the returns, the holdings, and the labels of the holdings and of the returns."""
    outcomes, labels = _arguments.read_samples("returns", returns)
    if outcomes.ndim != 2:
        raise ValueError(f"returns must have shape (n_scenarios, n_assets), got shape {outcomes.shape}")
    if outcomes.size == 0:
        raise ValueError(f"returns are empty (shape {outcomes.shape}); at least one scenario and one asset are needed")
    given, own_labels = _arguments.read_samples("weights", weights)
    if labels is not None and own_labels is not None:
        given = align("weights", given, own_labels, [labels.along(1)])
    if not 1 <= given.ndim <= most_dimensions or len(given) != outcomes.shape[1] or given.size == 0:
        needed = "(n_assets,)" if most_dimensions == 1 else "(n_assets,) or (n_assets, n_portfolios)"
        raise ValueError(
            f"weights must have shape {needed} where n_assets is the number of columns of returns; "
            f"got weights of shape {given.shape} for returns of shape {outcomes.shape}"
        )
    _arguments.check_finite("weights", given)
    return outcomes, given.astype(np.float64, copy=False), own_labels, labels


def _portfolio_outcomes(returns: Samples, weights: Floats) -> Floats:
    """Return the outcome of a portfolio in every scenario, equal for equal rows wherever these stand."""
    total = np.zeros(len(returns))
    with np.errstate(invalid="ignore", over="ignore"):
        for column, holding in zip(returns.T, weights.tolist(), strict=True):
            total += np.multiply(column, holding, dtype=np.float64)
    return total
