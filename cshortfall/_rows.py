"""From an array of any shape and layout to the kernels, as matrices whose rows are the slices to reduce, and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall._core.openmp import effective_threads
from cshortfall._core.tail import BAD_WEIGHT, EMPTY, NAN, ZERO_WEIGHT, tail_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cshortfall._arguments import Floats, Question, Samples

# Outcomes copied at a time where a layout cannot be read in place; they fit the second-level cache.
BLOCK = 1 << 16


def spread_weights(weights: Floats, shape: tuple[int, ...], axes: tuple[int, ...]) -> Floats:
    """Return weights of the shape of the data, without a copy."""
    if weights.shape == shape:
        return weights
    along = [-1 if axis == axes[0] else 1 for axis in range(len(shape))]
    return np.broadcast_to(weights.reshape(along), shape)


class Arrangement:
    """Axes that stay first, axes to reduce last, each in the order of memory, so that contiguous data need no copy.

    ``x`` and ``weights``, of one shape, are transposed alike: outcomes within a row may come in any order.
    """

    __slots__ = ("_kept", "_weights", "_x")

    def __init__(self, x: Samples, weights: Floats | None, axes: tuple[int, ...]) -> None:
        in_memory = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
        self._kept = [axis for axis in in_memory if axis not in axes]
        order = self._kept + [axis for axis in in_memory if axis in axes]
        self._x = x.transpose(order)
        self._weights = None if weights is None else weights.transpose(order)

    @property
    def rows(self) -> int:
        """The number of slices."""
        return math.prod(self._x.shape[: len(self._kept)])

    def blocks(self) -> Iterator[tuple[Samples, Floats | None]]:
        """Yield matrices of consecutive rows, and weights of the same shape."""
        return _blocks(self._x, self._weights, len(self._kept))

    def restore(self, results: NDArray[Any]) -> NDArray[Any]:
        """Return results, one for each row or more along further axes, with the axes that stay in their order."""
        kept = len(self._kept)
        shaped = results.reshape(self._x.shape[:kept] + results.shape[1:])
        order = sorted(range(kept), key=self._kept.__getitem__)
        return np.asarray(shaped.transpose([*order, *range(kept, shaped.ndim)]), order="C")


def _blocks(x: Samples, weights: Floats | None, kept: int) -> Iterator[tuple[Samples, Floats | None]]:
    row = math.prod(x.shape[kept:])

    def matrix(part: slice) -> tuple[Samples, Floats | None]:
        return x[part].reshape(-1, row), None if weights is None else weights[part].reshape(-1, row)

    if kept == 0:
        yield x.reshape(1, row), None if weights is None else weights.reshape(1, row)
    elif _is_one_axis(x, 0, kept) and _is_one_axis(x, kept, x.ndim):
        yield matrix(slice(None))
    elif (step := BLOCK // math.prod(x.shape[1:])) > 0:
        for start in range(0, len(x), step):
            yield matrix(slice(start, start + step))
    else:
        for position in range(len(x)):
            yield from _blocks(x[position], None if weights is None else weights[position], kept - 1)


def _is_one_axis(x: Samples, first: int, stop: int) -> bool:
    """Whether the axes from first to stop can be walked with a single stride."""
    outer = None
    for size, stride in zip(x.shape[first:stop], x.strides[first:stop], strict=True):
        if size == 1:
            continue
        if outer is not None and outer != size * stride:
            return False
        outer = stride
    return True


def historical(question: Question) -> tuple[Floats, Floats]:
    """Return ES and VaR with a last axis of levels."""
    x, axes, levels = question.x, question.axes, question.levels
    own = None if question.weights is None else spread_weights(question.weights, x.shape, axes)
    arrangement = Arrangement(x, own, axes)
    parts = []
    for data, mass in arrangement.blocks() if arrangement.rows else ():
        threads = effective_threads(data.size)
        parts.append(tail_rows(data, levels, question.upper, question.nan_policy == "omit", mass, threads))
    if not parts:
        nothing = np.empty((0, levels.size))
        return arrangement.restore(nothing), arrangement.restore(nothing)
    shortfall, worst, _, status = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    if status.any():
        _judge(question, own, status)
    return arrangement.restore(shortfall), arrangement.restore(worst)


def row_by_row(
    question: Question, columns: int, estimate: Callable[[Floats, Floats | None], NDArray[np.float64]]
) -> tuple[Floats, NDArray[np.int64]]:
    """Return ``estimate(row, weights)``, of shape (levels, columns), of every slice, and the outcomes it used.

    A row is contiguous, in the order of the data, without missing values and without outcomes of weight zero.
    """
    x, axes = question.x, question.axes
    own = None if question.weights is None else spread_weights(question.weights, x.shape, axes)
    if own is not None:
        _judge_weights(question, own)
    if question.nan_policy == "raise":
        _arguments.refuse_missing("x", x, own, question.labels)
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    shape = tuple(x.shape[axis] for axis in kept)
    rows = x.transpose(*kept, *axes)
    masses = None if own is None else own.transpose(*kept, *axes)
    results = np.full((*shape, question.levels.size, columns), np.nan)
    used = np.zeros(shape, dtype=np.int64)
    status = np.zeros(shape, dtype=np.int32)
    for place in np.ndindex(*shape):
        row = rows[place].astype(np.float64).ravel()
        mass = None if masses is None else masses[place].ravel()
        if mass is not None:
            row, mass = row[mass > 0], mass[mass > 0]
        missing = np.isnan(row)
        if missing.any() and question.nan_policy == "omit":
            row, mass = row[~missing], None if mass is None else mass[~missing]
        elif missing.any():
            continue
        used[place] = row.size
        if row.size:
            results[place] = estimate(row, mass)
        else:
            status[place] = EMPTY
    _judge(question, own, status)
    # One NaN for all, whatever sign the arithmetic gave it.
    results[np.isnan(results)] = np.nan
    return results, used


def _judge_weights(question: Question, own: Floats) -> None:
    """Refuse weights that are no masses; ``own`` have the shape of the data."""
    if question.weights is not None and not (question.weights >= 0).all() & (question.weights < np.inf).all():
        _arguments.raise_bad_weight(question.weights)
    if not (own > 0).any(axis=question.axes).all():
        raise ValueError("weights are all zero for a slice of x; at least one of its outcomes must have a weight")


def _judge(question: Question, own: Floats | None, status: NDArray[np.int32]) -> None:
    """Turn the statuses of the kernels into errors and warnings."""
    if own is not None and ((status == BAD_WEIGHT) | (status == ZERO_WEIGHT)).any():
        _judge_weights(question, own)
    if question.nan_policy == "raise" and (status == NAN).any():
        _arguments.refuse_missing("x", question.x, own, question.labels)
    empty = int(((status == EMPTY) | (status == ZERO_WEIGHT)).sum())
    if empty:
        _arguments.warn(
            f"{empty} of {status.size} slices of x are empty after missing values were omitted; their results are NaN",
            RuntimeWarning,
        )
