"""Expected Shortfall and Value at Risk through time: of moving windows, of all so far, of all with weights that decay.

Windows are those of pandas: ``window`` counts positions or is a length of time, and ``min_periods``, ``center``,
``closed`` and ``step`` mean what they mean there. Missing values (NaN, null) are left out and do not count towards
``min_periods``. Every result has the bits of `cshortfall.es` or `cshortfall.var` of the outcomes of its window.

>>> from cshortfall.rolling import rolling_es
>>> rolling_es([1.0, -2.0, 3.0, -4.0, 5.0], 3, level=0.5)
array([       nan,        nan, 1.        , 3.33333333, 1.66666667])
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cshortfall import _arguments
from cshortfall._core.decay import decayed_rows
from cshortfall._core.openmp import effective_threads
from cshortfall._core.rolling import rolling_bounds_rows, rolling_rows
from cshortfall._decay import read_decay
from cshortfall._results import ESVaR
from cshortfall._windows import read_min_periods, read_windows

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from numpy.typing import NDArray

    from cshortfall._arguments import Floats, Samples
    from cshortfall._frames import Labels, TimesColumn

    Window = int | str | timedelta | np.timedelta64

__all__ = [
    "ewm_es",
    "expanding_es",
    "expanding_es_var",
    "expanding_var",
    "rolling_es",
    "rolling_es_var",
    "rolling_var",
]

# A result with weights that decay takes the time in which so many values of short rows are read.
_DECAY_COST = 256


class _Course(NamedTuple):
    """Outcomes in the order of time along ``axis``, and what is asked of them."""

    x: Samples
    axis: int
    levels: Floats
    scalar_level: bool
    upper: bool
    labels: Labels | None
    column: TimesColumn | None

    @property
    def rows(self) -> Samples:
        """The courses as rows of a matrix, without a copy where strides allow."""
        n = self.x.shape[self.axis]
        moved = np.moveaxis(self.x, self.axis, -1)
        return moved.reshape(math.prod(moved.shape[:-1]), n)

    @property
    def has_nulls(self) -> bool:
        """Whether missing results are null instead of NaN. VaR tells which they are: it is a number else."""
        return self.labels is not None and not self.labels.has_index

    def result(self, values: Floats, title: str, missing: Callable[[], NDArray[np.bool_]], step: int = 1) -> Any:
        """Return values of shape (levels, rows, results) in the form promised; ``missing`` tells which are none."""
        kept = self.x.shape[: self.axis] + self.x.shape[self.axis + 1 :]
        shape = (self.levels.size, *kept, values.shape[2])

        def arranged(array: NDArray[Any]) -> NDArray[Any]:
            moved = np.moveaxis(array.reshape(shape), -1, self.axis + 1)
            return moved[0] if self.scalar_level else np.moveaxis(moved, 0, -1)

        if self.labels is None:
            return arranged(values)
        levels = None if self.scalar_level else self.levels
        return self.labels.label_rows(arranged(values), lambda: arranged(missing()), levels, step, title, self.column)


def _read_course(x: Any, level: Any, axis: Any, tail: Any, column: TimesColumn | None = None) -> _Course:
    levels, scalar_level = _arguments.read_levels(level)
    upper = _arguments.read_tail(tail)
    sample, labels = _arguments.read_samples("x", x)
    if sample.ndim == 0:
        raise ValueError("x is a single number; it needs a dimension along which time runs")
    if axis is None or isinstance(axis, tuple):
        raise TypeError(f"axis must be an int, the dimension along which time runs, got {_arguments.shown(axis)}")
    along = _arguments.read_axes(axis, sample.shape)[0]
    if along and labels is not None:
        raise ValueError(f"axis={axis!r} of a data frame is not supported: time runs down its rows; transpose x")
    return _Course(sample, along, levels, scalar_level, upper, labels, column)


def rolling_es(
    x: Any,
    window: Window,
    level: Any = 0.975,
    *,
    min_periods: int | None = None,
    center: bool = False,
    closed: str | None = None,
    step: int | None = None,
    on: Any = None,
    axis: int = 0,
    tail: str = "lower",
) -> Any:
    """Return the Expected Shortfall of every window of outcomes.

    Parameters
    ----------
    x : array_like, series or data frame
        Profit and loss or returns, gains positive, in the order of time; real numbers. Missing are NaN, masked
        entries and nulls; they are left out of their windows. Infinities are data (pandas takes them as missing).
    window : int, str, timedelta or offset
        Number of positions, or a length of time: "90D", "36h", "1D12h" (units W, D, h, min, s, ms, us, ns), a timedelta
        of Python, NumPy or pandas, a fixed offset of pandas. A length of time needs times: the datetime, timedelta or
        period index of a pandas `x`, or `on`. They must be monotonic, rising or falling.
    level : float or sequence of float
        Confidence, ``0 <= level < 1``: 0.975 takes the worst 2.5 %. Several levels add a last axis.
    min_periods : int, optional
        Fewest outcomes for a result; with fewer it is NaN. Default: `window`, or 1 if that is a length of time. With 0
        an empty window is still NaN.
    center : bool
        Whether the window lies around its position instead of ending there.
    closed : {"right", "left", "both", "neither"}, optional
        Which ends of the window belong to it; default "right".
    step : int, optional
        Results for every so many positions only, from the first on. Other than in pandas also for lengths of time.
    on : column name or array_like, optional
        Times of the outcomes: the name of a column of a data frame, which then holds no outcomes and comes back with
        the results, or times as an array, series or index. Used by lengths of time.
    axis : int
        Dimension along which time runs: 0, down the columns, by default; 0 for data frames.
    tail : {"lower", "upper"}
        Where the losses are: "upper" reads `x` as losses.

    Returns
    -------
    ndarray of float64, series or data frame
        Of the shape and with the labels of `x`; several levels add a last axis. Of a pandas series they make a frame
        with one column for each level, of a frame columns (column, level); in polars columns named ``name_level``.
        NaN, in polars null, where there are too few outcomes.

    Raises
    ------
    ValueError
        A window of no length or no fixed length, `min_periods` above it, a level outside [0, 1), times that are missing
        or not monotonic, an unknown name.
    TypeError
        Data, levels or times of another kind; a window that is no whole number and no length of time.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.

    See Also
    --------
    rolling_var : the Value at Risk.
    rolling_es_var : both in one pass.
    expanding_es : of all outcomes so far.
    ewm_es : of all outcomes so far, weights decaying with age.
    cshortfall.es : of one sample; the definition.

    Notes
    -----
    With w the window and t the time of a result the window is (t - w, t], centred (t - w/2, t + w/2], with the ends
    that `closed` says; by positions, centred, it is those from i - w//2 to i + (w - 1)//2. Of equal times the later
    positions are not yet in the window, as in pandas. A length of time that is no whole number of the units of the
    times is taken as it is, where pandas cuts it to one. Falling times mirror their windows.

    Examples
    --------
    >>> from cshortfall.rolling import rolling_es
    >>> pnl = [1.0, -2.0, 3.0, float("nan"), 5.0, -6.0]
    >>> rolling_es(pnl, 3, level=0.5, min_periods=2)
    array([nan,  2.,  1.,  2., -3.,  6.])

    Thirty days of a pandas series:

    >>> import pandas as pd
    >>> days = pd.to_datetime(["2024-01-02", "2024-01-30", "2024-02-20", "2024-03-29"])
    >>> rolling_es(pd.Series([0.3, -2.0, 0.5, -1.0], days), "30D", level=0.5)
    2024-01-02   -0.3
    2024-01-30    2.0
    2024-02-20    2.0
    2024-03-29    1.0
    dtype: float64
    """
    course, shortfall, worst, every = _rolling(
        x, window, level, min_periods, center, closed, step, on, axis, tail, want_var=False
    )
    return course.result(shortfall, "es", lambda: np.isnan(worst), every)


def rolling_var(
    x: Any,
    window: Window,
    level: Any = 0.975,
    *,
    min_periods: int | None = None,
    center: bool = False,
    closed: str | None = None,
    step: int | None = None,
    on: Any = None,
    axis: int = 0,
    tail: str = "lower",
) -> Any:
    """Return the Value at Risk of every window of outcomes.

    Parameters
    ----------
    x, window, level, min_periods, center, closed, step, on, axis, tail
        As for `rolling_es`.

    Returns
    -------
    ndarray of float64, series or data frame
        As from `rolling_es`.

    Raises
    ------
    ValueError, TypeError
        As from `rolling_es`.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.

    Examples
    --------
    >>> from cshortfall.rolling import rolling_var
    >>> rolling_var([1.0, -2.0, 3.0, -4.0, 5.0], 3, level=0.5)
    array([nan, nan, -1.,  2., -3.])
    """
    course, _, worst, every = _rolling(
        x, window, level, min_periods, center, closed, step, on, axis, tail, want_es=False
    )
    return course.result(worst, "var", lambda: np.isnan(worst), every)


def rolling_es_var(
    x: Any,
    window: Window,
    level: Any = 0.975,
    *,
    min_periods: int | None = None,
    center: bool = False,
    closed: str | None = None,
    step: int | None = None,
    on: Any = None,
    axis: int = 0,
    tail: str = "lower",
) -> ESVaR:
    """Return Expected Shortfall and Value at Risk of every window of outcomes, in one pass.

    Parameters
    ----------
    x, window, level, min_periods, center, closed, step, on, axis, tail
        As for `rolling_es`.

    Returns
    -------
    ESVaR
        Named tuple ``(es, var)``; each as from `rolling_es`.

    Raises
    ------
    ValueError, TypeError
        As from `rolling_es`.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.

    Examples
    --------
    >>> from cshortfall.rolling import rolling_es_var
    >>> rolling_es_var([1.0, -2.0, 3.0, -4.0, 5.0], 4, level=0.5, step=3)
    ESVaR(es=array([nan,  3.]), var=array([nan,  2.]))
    """
    course, shortfall, worst, every = _rolling(x, window, level, min_periods, center, closed, step, on, axis, tail)
    return _both(course, shortfall, worst, every)


def expanding_es(x: Any, level: Any = 0.975, *, min_periods: int | None = 1, axis: int = 0, tail: str = "lower") -> Any:
    """Return the Expected Shortfall of all outcomes so far, at each of them.

    Parameters
    ----------
    x, level, axis, tail
        As for `rolling_es`.
    min_periods : int
        Fewest outcomes for a result; with fewer it is NaN.

    Returns
    -------
    ndarray of float64, series or data frame
        As from `rolling_es`.

    Raises
    ------
    ValueError, TypeError
        As from `rolling_es`.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.

    Examples
    --------
    >>> from cshortfall.rolling import expanding_es
    >>> expanding_es([1.0, -2.0, 3.0, -4.0], level=0.5)
    array([-1.,  2.,  1.,  3.])
    """
    course, shortfall, worst = _expanding(x, level, min_periods, axis, tail, want_var=False)
    return course.result(shortfall, "es", lambda: np.isnan(worst))


def expanding_var(
    x: Any, level: Any = 0.975, *, min_periods: int | None = 1, axis: int = 0, tail: str = "lower"
) -> Any:
    """Return the Value at Risk of all outcomes so far, at each of them.

    Parameters
    ----------
    x, level, min_periods, axis, tail
        As for `expanding_es`.

    Returns
    -------
    ndarray of float64, series or data frame
        As from `rolling_es`.

    Raises
    ------
    ValueError, TypeError
        As from `rolling_es`.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.

    Examples
    --------
    >>> from cshortfall.rolling import expanding_var
    >>> expanding_var([1.0, -2.0, 3.0, -4.0], level=0.5)
    array([-1.,  2., -1.,  2.])
    """
    course, _, worst = _expanding(x, level, min_periods, axis, tail, want_es=False)
    return course.result(worst, "var", lambda: np.isnan(worst))


def expanding_es_var(
    x: Any, level: Any = 0.975, *, min_periods: int | None = 1, axis: int = 0, tail: str = "lower"
) -> ESVaR:
    """Return Expected Shortfall and Value at Risk of all outcomes so far, at each of them.

    Parameters
    ----------
    x, level, min_periods, axis, tail
        As for `expanding_es`.

    Returns
    -------
    ESVaR
        Named tuple ``(es, var)``; each as from `rolling_es`.

    Raises
    ------
    ValueError, TypeError
        As from `rolling_es`.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.

    Examples
    --------
    >>> from cshortfall.rolling import expanding_es_var
    >>> expanding_es_var([1.0, -2.0, 3.0, -4.0], level=0.5, min_periods=3)
    ESVaR(es=array([nan, nan,  1.,  3.]), var=array([nan, nan, -1.,  2.]))
    """
    course, shortfall, worst = _expanding(x, level, min_periods, axis, tail)
    return _both(course, shortfall, worst, 1)


def ewm_es(
    x: Any,
    level: Any = 0.975,
    *,
    com: float | None = None,
    span: float | None = None,
    halflife: float | None = None,
    alpha: float | None = None,
    decay: float | None = None,
    min_periods: int | None = 0,
    ignore_na: bool = False,
    axis: int = 0,
    tail: str = "lower",
) -> Any:
    r"""Return the Expected Shortfall of all outcomes so far, the weights decaying exponentially with age.

    This is age-weighted historical simulation [1]_: the newest outcome has weight 1, the one before it `decay`, the
    next ``decay ** 2``. One of `com`, `span`, `halflife`, `alpha` and `decay` must be given.

    Parameters
    ----------
    x, level, axis, tail
        As for `rolling_es`.
    com : float, optional
        Centre of mass, at least 0: ``decay = com / (1 + com)``.
    span : float, optional
        At least 1: ``decay = (span - 1) / (span + 1)``.
    halflife : float, optional
        Number of positions, above 0, after which a weight is half: ``decay = exp(-log(2) / halflife)``.
    alpha : float, optional
        Smoothing factor, ``0 < alpha <= 1``: ``decay = 1 - alpha``.
    decay : float, optional
        The factor itself, ``0 <= decay < 1``.
    min_periods : int
        Fewest outcomes for a result; with fewer it is NaN. At least one is needed in any case.
    ignore_na : bool
        What ages the weights: every position (False), or outcomes only, so that missing ones leave no gap (True).

    Returns
    -------
    ndarray of float64, series or data frame
        As from `rolling_es`. A missing outcome repeats the result before it, as in pandas.

    Raises
    ------
    ValueError
        None or several of the five, or one outside its domain; a level outside [0, 1), an unknown name.
    TypeError
        Data, levels or factors of another kind; a `halflife` in units of time, which would need times.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.

    See Also
    --------
    expanding_es : with equal weights.
    cshortfall.es : of one sample with any weights; the definition.

    Notes
    -----
    The weighted Expected Shortfall is that of `cshortfall.es`: with W the sum of the weights and
    :math:`C = W (1 - level)` the mean of the worst outcomes of weight C, the last of them taken in part. Equal outcomes
    share their weight. One result takes time of the order of log n: the outcomes are ranked once, and a tree over the
    ranks holds sums of weights and of products.

    The weights are those of the double `decay`; the result lies within 2\ :sup:`-52` \|ES\| and
    :math:`40 (n + 64) 2^{-106} M / (1 - level)` of the exact value, with M the largest \|x\| in the tail: far below
    1e-13 of it unless gains and losses cancel. An outcome whose weight has fallen below 2\ :sup:`-896` of the newest
    one's may count as absent.

    References
    ----------
    .. [1] Boudoukh, J., Richardson, M. and Whitelaw, R. (1998). The best of both worlds. Risk 11(5), 64-67.

    Examples
    --------
    >>> from cshortfall.rolling import ewm_es
    >>> ewm_es([1.0, -2.0, 3.0, 4.0], level=0.5, decay=0.5)
    array([-1.        ,  2.        ,  0.42857143, -1.46666667])
    """
    factor = read_decay(com=com, span=span, halflife=halflife, alpha=alpha, decay=decay)
    if not isinstance(ignore_na, (bool, np.bool_)):
        raise TypeError(f"ignore_na must be True or False, got {_arguments.shown(ignore_na)}")
    least = read_min_periods(min_periods, 0)
    course = _read_course(x, level, axis, tail)
    rows = np.asarray(course.rows, dtype=np.float64, order="C")
    if course.upper:
        rows = -rows
    threads = effective_threads(rows.size * course.levels.size * _DECAY_COST)
    values = decayed_rows(rows, factor, bool(ignore_na), course.levels, least, threads).swapaxes(0, 1)

    def missing() -> NDArray[np.bool_]:
        # An ES that is NaN because infinities of both signs meet is there.
        return np.broadcast_to(np.cumsum(~np.isnan(rows), axis=1) < max(least, 1), values.shape)

    return course.result(values, "es", missing)


def _both(course: _Course, shortfall: Floats, worst: Floats, step: int) -> ESVaR:
    def missing() -> NDArray[np.bool_]:
        return np.isnan(worst)

    return ESVaR(course.result(shortfall, "es", missing, step), course.result(worst, "var", missing, step))


def _rolling(
    x: Any,
    window: Any,
    level: Any,
    min_periods: Any,
    center: Any,
    closed: Any,
    step: Any,
    on: Any,
    axis: Any,
    tail: Any,
    want_es: bool = True,
    want_var: bool = True,
) -> tuple[_Course, Floats, Floats, int]:
    """Return ES and VaR of every window, of shape (levels, rows, windows), and the step."""
    times = column = None
    name = "the index of x" if on is None else "on"
    if on is not None or not isinstance(x, (np.ndarray, list, tuple)):
        from cshortfall._frames import split_times

        x, times, column = split_times(x, on)
    windows = read_windows(window, min_periods, center, closed, step, times, name)
    course = _read_course(x, level, axis, tail, column)
    n = course.x.shape[course.axis]
    if windows.times is not None and windows.times.values.size != n:
        raise ValueError(
            f"{name} must hold one time for each of the {n} positions of x, got {windows.times.values.size}"
        )
    if windows.times is None:
        lead, length = windows.lead_and_length()
        arguments = (length, lead, windows.step)
        pair = _run(rolling_rows, course, arguments, windows.min_periods, windows.count(n), want_es, want_var)
    else:
        pair = _run(
            rolling_bounds_rows, course, windows.bounds(), windows.min_periods, windows.count(n), want_es, want_var
        )
    return course, *pair, windows.step


def _expanding(
    x: Any, level: Any, min_periods: Any, axis: Any, tail: Any, want_es: bool = True, want_var: bool = True
) -> tuple[_Course, Floats, Floats]:
    """Return ES and VaR of all outcomes up to each position, of shape (levels, rows, positions)."""
    least = read_min_periods(min_periods, 1)
    course = _read_course(x, level, axis, tail)
    n = course.x.shape[course.axis]
    bounds = np.zeros(n, dtype=np.int64), np.arange(1, n + 1, dtype=np.int64)
    return course, *_run(rolling_bounds_rows, course, bounds, least, n, want_es, want_var)


def _run(
    kernel: Callable[..., tuple[Floats, Floats]],
    course: _Course,
    windows: tuple[Any, ...],
    min_periods: int,
    count: int,
    want_es: bool,
    want_var: bool,
) -> tuple[Floats, Floats]:
    """Return what is wanted of ES and VaR of ``count`` windows, and of the other what the labels need."""
    rows = course.rows
    if not rows.size:
        nothing = np.full((course.levels.size, rows.shape[0], count), np.nan)
        return nothing, nothing
    threads = effective_threads(rows.size)
    want_var = want_var or course.has_nulls
    return kernel(rows, *windows, course.levels, course.upper, min_periods, threads, want_es, want_var)
