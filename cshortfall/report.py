"""The risk report as plain data: what the command line prints, for use from Python.

`risk_report` computes; `as_dict` gives dictionaries and lists that strict JSON can carry. Nothing here knows
about terminals or files.
"""

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cshortfall import LevelWarning, es, tail_risk, tail_weights
from cshortfall._arguments import METHODS
from cshortfall._observations import FloatArray, Observations, Portfolio, too_few

__all__ = [
    "Contribution",
    "Driver",
    "Estimate",
    "RiskReport",
    "SeriesRisk",
    "WorstOutcome",
    "as_dict",
    "risk_report",
    "simple_returns",
]

LEVELS = (0.95, 0.975, 0.99)
WORST_OUTCOMES = 10
DRIVERS = 3


@dataclass(frozen=True)
class Estimate:
    """VaR and ES of one series by one estimator at one level; losses are positive.

    Where the estimator gives no number, every figure is NaN and `reason` says why.
    """

    method: str
    level: float
    var: float
    es: float
    var_standard_error: float
    es_standard_error: float
    var_interval: tuple[float, float]
    es_interval: tuple[float, float]
    tail_count: float
    """Number of outcomes in the tail, n(1 - level); with weights, Kish's effective number stands for n."""
    reason: str | None = None
    """Why there is no estimate; None where there is one."""
    notes: tuple[str, ...] = ()
    """What the estimator warned about."""


@dataclass(frozen=True)
class SeriesRisk:
    """The estimates of one asset or portfolio, level by level, in the order asked for."""

    name: str
    n: int
    """Number of outcomes used."""
    missing: int
    """Number of outcomes left out because they, or a member of the portfolio, were missing."""
    estimates: tuple[Estimate, ...]

    def estimate(self, method: str, level: float) -> Estimate:
        """Return the estimate by `method` at `level`."""
        for estimate in self.estimates:
            if (estimate.method, estimate.level) == (method, level):
                return estimate
        raise KeyError((method, level))


@dataclass(frozen=True)
class Contribution:
    """What one asset adds to the historical ES of the portfolio; over the assets it sums to that ES."""

    name: str
    weight: float
    standalone_es: tuple[float, ...]
    """ES of the holding by itself, one for each level; above the contribution by what diversification saves."""
    es: tuple[float, ...]
    """Weight times the derivative of the portfolio's ES in it, one for each level."""
    share: tuple[float, ...]
    """The same as a share of the portfolio's ES."""


@dataclass(frozen=True)
class Driver:
    """The part of one asset (weight times outcome) in one outcome of the portfolio."""

    name: str
    outcome: float


@dataclass(frozen=True)
class WorstOutcome:
    """One of the worst outcomes of the portfolio."""

    row: int
    """Number of the row; the first has the number `first_row` of `risk_report`."""
    label: str | None
    """Date or other label of the row."""
    outcome: float
    drivers: tuple[Driver, ...]
    """The assets that lost most, worst first; gains are left out."""


@dataclass(frozen=True)
class RiskReport:
    """Everything `risk_report` computes."""

    n_rows: int
    first_label: str | None
    last_label: str | None
    tail: str
    weighted: bool
    """Whether the outcomes carry observation weights."""
    levels: tuple[float, ...]
    methods: tuple[str, ...]
    confidence_level: float
    portfolio: SeriesRisk
    contributions: tuple[Contribution, ...]
    worst: tuple[WorstOutcome, ...]
    assets: tuple[SeriesRisk, ...] = field(repr=False)


def risk_report(
    returns: npt.ArrayLike,
    names: Sequence[str],
    *,
    labels: Sequence[str] | None = None,
    first_row: int = 1,
    weights: npt.ArrayLike | None = None,
    weights_name: str = "weights",
    portfolio: Mapping[str, float] | None = None,
    levels: Sequence[float] = LEVELS,
    methods: Sequence[str] = METHODS,
    tail: str = "lower",
    nan_policy: str = "raise",
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    rng: int | np.random.Generator | np.random.SeedSequence | None = 0,
    progress: Callable[[int, int, str], object] | None = None,
) -> RiskReport:
    """Report the tail risk of each asset and of a portfolio of them.

    Parameters
    ----------
    returns : array_like, shape (n_rows, n_assets)
        Returns or profit and loss, gains positive (losses positive with ``tail="upper"``).
    names : sequence of str, length n_assets
        Names of the assets, all different.
    labels : sequence of str, length n_rows, optional
        Dates or other names of the rows.
    first_row : int
        Number of the first row, in messages and in the worst outcomes.
    weights : array_like, shape (n_rows,), optional
        Observation weights: finite, not negative, of positive sum, any scale.
    weights_name : str
        What messages call the weights.
    portfolio : mapping of str to float, optional
        Holding of each asset in the portfolio, constant over the rows; assets not named are not held. Default:
        ``1 / n_assets`` of each.
    levels : sequence of float
        Confidence levels in [0, 1), all different.
    methods : sequence of str
        Estimators, by the names that `cshortfall.tail_risk` takes.
    tail : {"lower", "upper"}
        The tail that holds the losses.
    nan_policy : {"raise", "omit"}
        What to do about missing values: refuse them, or leave them out of each asset and leave rows in which a
        held asset has none out of the portfolio.
    confidence_level : float
        Confidence level of the intervals.
    n_resamples : int
        Bootstrap replicates behind an interval.
    rng : int, Generator, SeedSequence or None
        Source of the resampling; with an integer (default 0) the report is reproducible.
    progress : callable, optional
        Called as ``progress(done, total, name)`` before each series and once at the end.

    Returns
    -------
    RiskReport

    Raises
    ------
    ValueError
        Bad arguments or data; the message names row (counted from `first_row`) and column.

    Warns
    -----
    LevelWarning
        A level of at most 0.2, nearly always a tail mass by mistake.

    Notes
    -----
    An estimator that fails or does not apply leaves NaN and its reason in the `Estimate`; other warnings of the
    estimators are kept as the notes of the estimate. Intervals take the rows to be independent.

    The contribution of asset j is the derivative of ES in the holding w_j times w_j; since ES is homogeneous,
    the contributions sum to the ES of the portfolio (Euler) [1]_.

    References
    ----------
    .. [1] D. Tasche, "Capital allocation to business units and sub-portfolios: the Euler principle", 2008,
       arXiv:0708.2542.

    Examples
    --------
    >>> from cshortfall.report import risk_report
    >>> returns = [[0.01, -0.02], [-0.03, 0.01], [0.02, 0.02], [-0.01, -0.02]]
    >>> report = risk_report(returns, ["A", "B"], levels=[0.5], methods=["historical"])
    >>> round(report.portfolio.estimate("historical", 0.5).es, 4)
    0.0125
    >>> [round(part.es[0], 4) for part in report.contributions]
    [0.01, 0.0025]
    """
    table = Observations.checked(returns, names, labels, first_row=first_row, nan_policy=nan_policy)
    levels = _checked_levels(levels)
    methods = tuple(dict.fromkeys(methods))
    _check_names(methods, tail)
    row_weights = table.weights(weights, weights_name)
    whole = Portfolio.of(table, portfolio, row_weights)
    options = {"tail": tail, "confidence_level": confidence_level, "n_resamples": n_resamples, "rng": rng}

    def assess(done: int, name: str, outcomes: FloatArray, used: FloatArray | None) -> SeriesRisk:
        if progress is not None:
            progress(done, len(table.names) + 1, name)
        estimates = _estimates(outcomes, levels, methods, {"weights": used, **options})
        return SeriesRisk(name, len(outcomes), len(table.values) - len(outcomes), estimates)

    portfolio_risk = assess(0, "portfolio", whole.outcomes, whole.weights)
    assets = []
    for column, name in enumerate(table.names):
        present = ~np.isnan(table.values[:, column])
        used = None if row_weights is None else row_weights[present]
        assets.append(assess(column + 1, name, table.values[present, column], used))
    if progress is not None:
        progress(len(table.names) + 1, len(table.names) + 1, "")

    return RiskReport(
        n_rows=len(table.values),
        first_label=None if labels is None else labels[0],
        last_label=None if labels is None else labels[-1],
        tail=tail,
        weighted=row_weights is not None,
        levels=levels,
        methods=methods,
        confidence_level=confidence_level,
        portfolio=portfolio_risk,
        contributions=_contributions(whole, levels, tail),
        worst=worst_outcomes(whole, table, tail),
        assets=tuple(assets),
    )


def simple_returns(
    prices: npt.ArrayLike, names: Sequence[str], *, labels: Sequence[str] | None = None, nan_policy: str = "raise"
) -> FloatArray:
    """Turn prices into simple returns, p[t] / p[t-1] - 1.

    Parameters
    ----------
    prices : array_like, shape (n_rows, n_assets)
        Positive, finite prices in the order of time.
    names : sequence of str, length n_assets
        Names of the assets, for the messages.
    labels : sequence of str, length n_rows, optional
        Dates, for the messages.
    nan_policy : {"raise", "omit"}
        Whether prices may be missing.

    Returns
    -------
    ndarray, shape (n_rows - 1, n_assets)
        Returns of the rows after the first. A missing price leaves two missing returns: no price is carried
        forward and no return spans a gap.

    Raises
    ------
    ValueError
        A price that is zero, negative, infinite or, under "raise", missing; the message names row (counted from
        1) and column.

    Examples
    --------
    >>> from cshortfall.report import simple_returns
    >>> simple_returns([[100.0], [150.0], [75.0]], ["A"]).tolist()
    [[0.5], [-0.5]]
    """
    table = Observations.checked(prices, names, labels, nan_policy=nan_policy)
    values = table.values
    table.refuse(~(np.isnan(values) | ((values > 0) & (values < np.inf))), "price {value} is not a positive number")
    return np.asarray(values[1:] / values[:-1] - 1.0)


def as_dict(report: RiskReport) -> dict[str, Any]:
    """Return the report as dictionaries, lists, strings, finite numbers and None, ready for strict JSON.

    A figure that is not finite becomes None, and beside it a key with ``_reason`` appended says what it was, so
    that ``json.dumps(as_dict(report), allow_nan=False)`` always works.

    Parameters
    ----------
    report : RiskReport
        Result of `risk_report`.

    Returns
    -------
    dict
        The fields of the dataclasses under their own names.
    """
    plain: dict[str, Any] = _plain(dataclasses.asdict(report))
    return plain


def _plain(item: Any) -> Any:
    if isinstance(item, dict):
        result = {}
        for key, value in item.items():
            result[key] = _plain(value)
            odd = _not_finite(value)
            if odd is not None:
                result[f"{key}_reason"] = item.get("reason") or odd
        return result
    if isinstance(item, (list, tuple)):
        return [_plain(value) for value in item]
    return None if isinstance(item, float) and not math.isfinite(item) else item


def _not_finite(value: Any) -> str | None:
    """Describe the first number in `value` that is not finite; None if there is none."""
    for number in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(number, float) and not math.isfinite(number):
            return "not defined" if math.isnan(number) else "infinite" if number > 0 else "minus infinity"
    return None


def _check_names(methods: tuple[str, ...], tail: str) -> None:
    if not methods or not set(methods) <= set(METHODS):
        raise ValueError(f"methods must be some of {', '.join(METHODS)}, got {methods!r}")
    if tail not in ("lower", "upper"):
        raise ValueError(f"tail={tail!r} is not one of 'lower', 'upper'")


def _checked_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Validate the levels once, so that what the estimators raise later is about the data."""
    distinct = tuple(dict.fromkeys(float(level) for level in levels))
    if not distinct:
        raise ValueError("levels is empty: at least one is needed, such as 0.975")
    es([0.0, 0.0], list(distinct))
    return distinct


def _estimates(
    data: FloatArray, levels: tuple[float, ...], methods: Sequence[str], options: dict[str, Any]
) -> tuple[Estimate, ...]:
    by_method = [_by_method(data, method, levels, options) for method in methods]
    return tuple(estimates[position] for position in range(len(levels)) for estimates in by_method)


def _by_method(data: FloatArray, method: str, levels: tuple[float, ...], options: dict[str, Any]) -> list[Estimate]:
    """Estimate all levels in one call; if that fails or warns, one by one, so that each keeps its own reason."""
    result, reason, notes = _attempt(data, method, levels, options)
    if len(levels) > 1 and (reason or notes):
        return [_by_method(data, method, (level,), options)[0] for level in levels]
    if result is None:
        return [_no_estimate(method, level, reason) for level in levels]
    tail_counts = np.broadcast_to(result.tail_count, len(levels))
    return [
        Estimate(
            method=method,
            level=level,
            var=float(result.var[position]),
            es=float(result.es[position]),
            var_standard_error=float(result.var_standard_error[position]),
            es_standard_error=float(result.es_standard_error[position]),
            var_interval=_pair(result.var_interval[position]),
            es_interval=_pair(result.es_interval[position]),
            tail_count=float(tail_counts[position]),
            notes=notes,
        )
        for position, level in enumerate(levels)
    ]


def _no_estimate(method: str, level: float, reason: str | None) -> Estimate:
    nothing = (math.nan, math.nan)
    return Estimate(method, level, math.nan, math.nan, math.nan, math.nan, nothing, nothing, math.nan, reason)


def _attempt(
    data: FloatArray, method: str, levels: tuple[float, ...], options: dict[str, Any]
) -> tuple[Any, str | None, tuple[str, ...]]:
    if too_few(data, options["weights"]):
        return None, "fewer than 2 outcomes are left", ()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", LevelWarning)
        try:
            result, reason = tail_risk(data, list(levels), method=method, **options), None
        except ValueError as error:
            result, reason = None, _one_line(error)
    return result, reason, tuple(dict.fromkeys(_one_line(warning.message) for warning in caught))


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def _pair(interval: Any) -> tuple[float, float]:
    low, high = interval
    return float(low), float(high)


def _contributions(portfolio: Portfolio, levels: tuple[float, ...], tail: str) -> tuple[Contribution, ...]:
    sign = -1.0 if tail == "lower" else 1.0
    options: dict[str, Any] = {"weights": portfolio.weights, "tail": tail}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LevelWarning)
        scenarios = [tail_weights(portfolio.outcomes, level, **options) for level in levels]
        apart = es(portfolio.parts, list(levels), axis=0, **options)
    parts = np.array([sign * (scenario.weights @ portfolio.parts[scenario.indices]) for scenario in scenarios])
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = parts / parts.sum(axis=1, keepdims=True)
    return tuple(
        Contribution(name, holding, tuple(alone), tuple(part), tuple(share))
        for name, holding, alone, part, share in zip(
            portfolio.names,
            portfolio.holdings.tolist(),
            apart.tolist(),
            parts.T.tolist(),
            shares.T.tolist(),
            strict=True,
        )
    )


def worst_outcomes(portfolio: Portfolio, table: Observations, tail: str) -> tuple[WorstOutcome, ...]:
    """Return the worst outcomes of a portfolio, worst first, with the assets behind them."""
    gain = 1.0 if tail == "lower" else -1.0
    counted = np.arange(len(portfolio.rows)) if portfolio.weights is None else np.flatnonzero(portfolio.weights)
    order = counted[np.argsort(gain * portfolio.outcomes[counted], kind="stable")]
    worst = []
    for position in order[:WORST_OUTCOMES]:
        row = int(portfolio.rows[position])
        parts = portfolio.parts[position].tolist()
        columns = sorted(range(len(parts)), key=lambda column: gain * parts[column])[:DRIVERS]
        drivers = tuple(
            Driver(portfolio.names[column], parts[column]) for column in columns if gain * parts[column] < 0
        )
        label = None if table.labels is None else table.labels[row]
        worst.append(WorstOutcome(row + table.first_row, label, float(portfolio.outcomes[position]), drivers))
    return tuple(worst)
