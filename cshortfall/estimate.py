"""Expected Shortfall and Value at Risk of samples: estimates, their errors, and the scenarios behind them.

Conventions: the data are profit and loss or returns, gains positive, and ``tail="lower"`` looks at the smallest;
``tail="upper"`` reads the data as losses. Results are losses, positive when money is lost. ``level`` is the
confidence: the tail holds the worst ``1 - level`` of the outcomes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall._arguments import LevelWarning, Question
from cshortfall._core.entry import es, es_var, var
from cshortfall._results import ESVaR, TailRisk, TailWeights, result
from cshortfall._rows import historical, row_by_row
from cshortfall._scenarios import es_gradient, es_of_portfolios, tail_weights
from cshortfall._tail_count import effective_tail_count, tail_mass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._arguments import Floats

    Rng = int | np.random.Generator | np.random.SeedSequence | None

__all__ = [
    "ESVaR",
    "LevelWarning",
    "TailRisk",
    "TailWeights",
    "es",
    "es_gradient",
    "es_of_portfolios",
    "es_var",
    "tail_risk",
    "tail_weights",
    "var",
]


_NUMBERS = ("es", "var", "es_standard_error", "var_standard_error", "tail_count")


def tail_risk(
    x: Any,
    level: Any = 0.975,
    *,
    axis: int | tuple[int, ...] | None = None,
    weights: Any = None,
    tail: str = "lower",
    nan_policy: str = "propagate",
    method: str = "historical",
    interval: str | None = "studentized",
    confidence_level: float = 0.95,
    n_resamples: int = 2000,
    block_length: int | None = None,
    rng: Rng = None,
) -> TailRisk:
    r"""Estimate Expected Shortfall and Value at Risk with standard errors and intervals.

    Parameters
    ----------
    x, level, axis, weights, tail, nan_policy, method
        As for `es`. Outcomes are taken to be independent and identically distributed, in the order given only where
        `block_length` says so. Weights are probabilities, not frequencies: errors go by Kish's effective number
        :math:`(\sum w)^2 / \sum w^2` of outcomes, the same for weights of any scale.
    interval : {"studentized", "asymptotic", "percentile", "block_bootstrap"} or None
        How the intervals are made: studentised bootstrap of log ES, which covers best (default); normal quantiles
        times the influence-function standard error; percentile bootstrap; studentised bootstrap of blocks, for
        dependent outcomes. The interval of the historical VaR comes from order statistics, free of the distribution,
        except in the block form. None: no intervals (NaN).
    confidence_level : float
        Nominal coverage of the intervals, between 0 and 1.
    n_resamples : int
        Bootstrap replicates.
    block_length : int, optional
        Number of consecutive outcomes within which dependence is kept, for the standard errors of the block forms:
        "block_bootstrap", and "asymptotic" or None with a length. Default: the cube root of the number of outcomes.
    rng : int, Generator, SeedSequence or None
        Source of the resampling. The same seed gives the same bits on every machine.

    Returns
    -------
    TailRisk
        Frozen dataclass; see there for the shapes.

    Raises
    ------
    ValueError, TypeError
        As for `es`, and for a name, count or confidence outside its domain.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.
    RuntimeWarning
        A slice that ``nan_policy="omit"`` leaves empty (its results are NaN); a tail of fewer than five outcomes, for
        which no interval of ES covers well; ``method="cornish_fisher"`` outside its domain.

    Notes
    -----
    The influence-function standard error of the historical ES, with :math:`q` = VaR and losses :math:`\ell_i`, is the
    standard deviation of :math:`q + (\ell_i - q)^+ / (1 - level)` over :math:`\sqrt n` [1]_. Financial returns come in
    clusters: intervals that take them as independent are too short, see `block_length`.

    References
    ----------
    .. [1] Chen, S. X. (2008). Nonparametric estimation of expected shortfall. Journal of Financial Econometrics
       6(1), 87-107.

    Examples
    --------
    >>> import numpy as np
    >>> import cshortfall
    >>> pnl = np.cos(np.arange(1.0, 1001.0) ** 2)
    >>> risk = cshortfall.tail_risk(pnl, 0.95, rng=0)
    >>> risk.n, risk.tail_count
    (1000, 50.0)
    >>> risk.es_interval[0] < risk.es < risk.es_interval[1]
    True
    """
    from cshortfall import _intervals

    if interval is not None:
        _arguments.read_choice("interval", interval, _intervals.INTERVALS)
    confidence = _arguments.read_fraction("confidence_level", confidence_level)
    replicates = _arguments.read_count("n_resamples", n_resamples)
    length = None if block_length is None else _arguments.read_count("block_length", block_length)
    generator = _arguments.read_generator(rng)
    question = _arguments.read_question(x, level, axis, weights, tail, nan_policy, method)

    def estimate(row: Floats, own: Floats | None) -> NDArray[np.float64]:
        risk = _intervals.tail_risk_row(
            row, question.levels, question.upper, own, method, interval, confidence, replicates, length, generator
        )
        numbers = [risk["es"], risk["var"], risk["es_standard_error"], risk["var_standard_error"]]
        counts = [effective_tail_count(row.size, own, float(level)) for level in question.levels]
        return np.column_stack([*numbers, counts, risk["es_interval"], risk["var_interval"]])

    results, used = row_by_row(question, 9, estimate)
    return TailRisk(
        **{title: result(question, results[..., k], title) for k, title in enumerate(_NUMBERS)},
        es_interval=result(question, results[..., 5:7], "es_interval", bounds=True),
        var_interval=result(question, results[..., 7:9], "var_interval", bounds=True),
        level=float(question.levels[0]) if question.scalar_level else question.levels,
        tail=tail,
        method=method,
        interval=interval,
        confidence_level=confidence,
        n=result(question._replace(scalar_level=True), used, "n"),
    )


def _es(x: Any, level: Any, axis: Any, weights: Any, tail: Any, nan_policy: Any, method: Any, out: Any) -> Any:
    """`es` of arguments that the compiled entry does not handle itself."""
    question = _arguments.read_question(x, level, axis, weights, tail, nan_policy, method)
    if out is not None:
        _arguments.read_out("out", out, question.shape)
    return result(question, _es_and_var(question)[0], "es", out)


def _var(
    x: Any,
    level: Any,
    axis: Any,
    weights: Any,
    tail: Any,
    nan_policy: Any,
    method: Any,
    quantile_method: Any,
    out: Any,
) -> Any:
    """`var` of arguments that the compiled entry does not handle itself."""
    question = _arguments.read_question(x, level, axis, weights, tail, nan_policy, method)
    _arguments.read_quantile_method(quantile_method, method, weights)
    if out is not None:
        _arguments.read_out("out", out, question.shape)
    if quantile_method == "inverted_cdf":
        values = _es_and_var(question)[1]
    else:
        values = _quantile_losses(question, quantile_method)
    return result(question, values, "var", out)


def _es_var(x: Any, level: Any, axis: Any, weights: Any, tail: Any, nan_policy: Any, method: Any, out: Any) -> ESVaR:
    """`es_var` of arguments that the compiled entry does not handle itself."""
    question = _arguments.read_question(x, level, axis, weights, tail, nan_policy, method)
    if out is not None:
        _arguments.read_out_pair(out, question.shape)
    shortfall, worst = _es_and_var(question)
    first, second = (None, None) if out is None else out
    return ESVaR(result(question, shortfall, "es", first), result(question, worst, "var", second))


def _es_and_var(question: Question) -> tuple[Floats, Floats]:
    """Return both, with a last axis of levels."""
    if question.method == "historical":
        return historical(question)
    from cshortfall import _estimators

    def estimate(row: Floats, own: Floats | None) -> NDArray[np.float64]:
        return np.column_stack(_estimators.estimate(question.method, row, question.levels, question.upper, own))

    results, _ = row_by_row(question, 2, estimate)
    return results[..., 0], results[..., 1]


def _quantile_losses(question: Question, rule: str) -> Floats:
    """Return minus the quantiles of the unweighted sample by another rule, with a last axis of levels."""

    def estimate(row: Floats, _: Floats | None) -> NDArray[np.float64]:
        signed = -row if question.upper else row
        masses = [tail_mass(row.size, float(level)) for level in question.levels]
        with np.errstate(invalid="ignore"):
            return 0.0 - np.quantile(signed, masses, method=rule)[:, np.newaxis]  # type: ignore[call-overload, no-any-return]

    return row_by_row(question, 1, estimate)[0][..., 0]
