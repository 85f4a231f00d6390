"""The argument gate: levels, axes, samples and weights are read here, once, before anything is allocated.

Every message names the argument, what it was given and what it needs. ``TypeError`` is for the wrong kind of thing,
``ValueError`` for the wrong value. Missing values are not looked for here: the kernels meet them in the pass they make
anyway and report a status; `refuse_missing` and `raise_bad_weight` then find the position for the message.
"""

from __future__ import annotations

import math
import numbers
import operator
import sys
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._frames import Labels

    Floats = NDArray[np.float64]
    Samples = NDArray[np.float64] | NDArray[np.float32]

TAILS = ("lower", "upper")
NAN_POLICIES = ("propagate", "omit", "raise")
METHODS = ("historical", "normal", "student_t", "cornish_fisher", "kernel")
QUANTILE_METHODS = (
    "inverted_cdf",
    "averaged_inverted_cdf",
    "closest_observation",
    "interpolated_inverted_cdf",
    "hazen",
    "weibull",
    "linear",
    "median_unbiased",
    "normal_unbiased",
    "lower",
    "higher",
    "midpoint",
    "nearest",
)

# At or below it a level is nearly always the mass of the tail, 1 - level, by mistake.
DOUBTFUL_LEVEL = 0.2


class LevelWarning(UserWarning):
    """A level that is nearly always a tail mass by mistake: ``0 < level <= 0.2``."""


LevelWarning.__module__ = "cshortfall"


class Levels(NamedTuple):
    """Levels that were read: checked, and doubted where that is due, which is not done again."""

    values: Floats
    scalar: bool


class Question(NamedTuple):
    """What a call asks, checked: the tails of ``x`` over ``axes``, one for each of ``levels``.

    ``x`` is a native, aligned float64 or float32 array; ``axes`` are sorted and not negative; ``weights`` is None, of
    the shape of ``x``, or one-dimensional along the only one of ``axes``.
    """

    x: Samples
    axes: tuple[int, ...]
    levels: Floats
    scalar_level: bool
    upper: bool
    nan_policy: str
    weights: Floats | None
    method: str
    labels: Labels | None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the results: the axes that stay, then one for the levels unless there is but a scalar."""
        kept = tuple(size for axis, size in enumerate(self.x.shape) if axis not in self.axes)
        return kept if self.scalar_level else (*kept, self.levels.size)


def read_question(x: Any, level: Any, axis: Any, weights: Any, tail: Any, nan_policy: Any, method: Any) -> Question:
    """Check what every estimating function takes."""
    levels, scalar_level = read_levels(level)
    upper = read_tail(tail)
    read_choice("nan_policy", nan_policy, NAN_POLICIES)
    read_method(method, weights)
    sample, labels = read_samples("x", x)
    if axis is None and labels is not None and sample.ndim == 2:
        axis = 0
    axes = read_axes(axis, sample.shape)
    if any(sample.shape[one] == 0 for one in axes):
        raise ValueError(f"x is empty along the axis to reduce (shape {sample.shape}); it needs at least one outcome")
    mass = None if weights is None else read_weights(weights, sample.shape, axes, labels)
    return Question(sample, axes, levels, scalar_level, upper, nan_policy, mass, method, labels)


def read_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Check that an argument is one of its names."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {_listed(allowed)}, got {value!r} of type {type(value).__name__}")
    if value not in allowed:
        raise ValueError(f"{name} must be one of {_listed(allowed)}, got {value!r}")


def read_tail(tail: Any) -> bool:
    """Return whether the samples are losses."""
    read_choice("tail", tail, TAILS)
    return bool(tail == "upper")


def read_method(method: Any, weights: Any) -> None:
    """Check the name of the estimator, and that it takes weights if there are any."""
    if isinstance(method, str) and method != "inverted_cdf" and method in QUANTILE_METHODS:
        raise ValueError(
            f"method must be one of {_listed(METHODS)}, got {method!r}: method names the estimator; "
            f"the quantile rule of VaR is var(..., quantile_method={method!r})"
        )
    read_choice("method", method, METHODS)
    if weights is not None and method != "historical":
        from cshortfall._estimators import ESTIMATORS

        if not ESTIMATORS[method].takes_weights:
            weighted = [name for name in METHODS if name == "historical" or ESTIMATORS[name].takes_weights]
            raise ValueError(f"method={method!r} takes no weights; leave them out or use {_listed(weighted)}")


def read_quantile_method(quantile_method: Any, method: str, weights: Any) -> None:
    """Check the quantile rule of VaR: other rules than the inverted distribution are of the plain sample only."""
    read_choice("quantile_method", quantile_method, QUANTILE_METHODS)
    if quantile_method == "inverted_cdf":
        return
    if method != "historical":
        raise ValueError(
            f"quantile_method={quantile_method!r} needs method='historical', got method={method!r}; "
            "leave quantile_method out"
        )
    if weights is not None:
        raise ValueError(f"quantile_method={quantile_method!r} takes no weights; leave them out or use 'inverted_cdf'")


def read_levels(level: Any) -> Levels:
    """Return the levels as an array, and whether there was a single one that is not in a sequence."""
    if isinstance(level, Levels):
        return level
    number = real_number(level)
    values, scalar = _array_of_levels(level) if number is None else (np.array([number]), True)
    for position, value in enumerate(values.tolist()):
        if not 0.0 <= value < 1.0:
            raise ValueError(_level_message("level" if scalar else f"level[{position}]", value))
    doubtful = values[(values > 0.0) & (values <= DOUBTFUL_LEVEL)]
    if doubtful.size:
        value = float(doubtful[0])
        warn(
            f"level={value:.15g} is a confidence: the tail is then the worst {100 - 100 * value:.12g} % of the "
            f"outcomes. For the worst {100 * value:.12g} % use level={min(1 - value, 1 - 1e-12):.12g}",
            LevelWarning,
        )
    return Levels(values, scalar)


def _array_of_levels(level: Any) -> tuple[Floats, bool]:
    """Read what is not a number: a sequence of numbers, or a mistake."""
    wrong = f"level must be a number in [0, 1) or a sequence of them, got {shown(level)}"
    if isinstance(level, (bool, str, bytes)) or level is None:
        raise TypeError(f"{wrong}; use for example level=0.975")
    if isinstance(level, (list, tuple)) and any(isinstance(value, (bool, np.bool_)) for value in level):
        raise TypeError(f"{wrong}; use for example level=[0.95, 0.99]")
    try:
        array = _read_ndarray_subclass("level", level) if _is_subclass(level) else np.asarray(level)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{wrong}; use for example level=[0.95, 0.99]") from error
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{wrong} (dtype {array.dtype}); use for example level=[0.95, 0.99]")
    if array.ndim > 1:
        raise ValueError(f"level must be a number or one-dimensional, got shape {array.shape}; use level.ravel()")
    if array.size == 0:
        raise ValueError("level is empty; give at least one level, for example [0.975]")
    return np.atleast_1d(array.astype(np.float64)), array.ndim == 0


def _level_message(name: str, value: float) -> str:
    what = f"{name} must be in [0, 1), got {value:.15g}: it is the confidence, the tail is the worst 1 - level"
    if 1.0 <= value <= 50.0:
        return f"{what}; for the worst {value:.12g} % use level={1 - value / 100:.12g}"
    if 50.0 < value < 100.0:
        return f"{what}; for {value:.12g} % use level={value / 100:.12g}"
    return f"{what}; use for example level=0.975"


def read_axes(axis: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes to reduce, sorted and not negative."""
    ndim = len(shape)
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple) else (axis,)
    if not given:
        raise ValueError("axis is an empty tuple; name at least one axis, or None for all values")
    axes = set()
    for one in given:
        position = whole_number(one)
        if position is None:
            raise TypeError(f"axis must be an int, a tuple of ints or None, got {shown(axis)}")
        if not -ndim <= position < ndim:
            remedy = f"use {-ndim} to {ndim - 1}, a tuple of these or None" if ndim else "use None"
            raise np.exceptions.AxisError(f"axis={axis!r} is out of range for x of shape {shape}; {remedy}")
        axes.add(position % ndim)
    if len(axes) < len(given):
        raise ValueError(f"axis={axis!r} names an axis of x (shape {shape}) twice; name each once")
    return tuple(sorted(axes))


def read_samples(name: str, x: Any) -> tuple[Samples, Labels | None]:
    """Return the numbers in ``x`` as a native float64 or float32 array, missing values as NaN, and its labels."""
    if type(x) is np.ndarray:
        return as_floats(name, x), None
    if _is_subclass(x):
        return _read_ndarray_subclass(name, x), None
    if not isinstance(x, (list, tuple, float, int)):
        from cshortfall import _frames

        if _frames.is_frame_like(x):
            return _frames.read(name, x)
    return as_floats(name, _read_array_like(name, x)), None


def _is_subclass(x: Any) -> bool:
    return isinstance(x, np.ndarray) and type(x) is not np.ndarray


def _read_ndarray_subclass(name: str, x: NDArray[Any]) -> Samples:
    values = as_floats(name, np.asarray(x))
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        values = values.copy()
        values[np.ma.getmaskarray(x)] = np.nan
    return values


def _read_array_like(name: str, x: Any) -> NDArray[Any]:
    """Read lists, buffers and whatever speaks one of the array protocols."""
    try:
        array = np.asarray(x)
        if array.ndim > 1 and isinstance(x, (list, tuple)) and any(_is_subclass(row) for row in x):
            # NumPy drops the masks of rows.
            return _read_ndarray_subclass(name, np.ma.stack(x))
        return array
    except Exception as error:
        reason: Exception = error
    if hasattr(x, "__dlpack__"):
        try:
            return np.from_dlpack(x)
        except Exception as error:
            reason = error
    # A ragged list is of the right kind; anything else that cannot become an array is not.
    raise (ValueError if isinstance(reason, ValueError) else TypeError)(
        f"{name} of type {type(x).__name__} cannot be read as an array of numbers ({reason}); "
        "pass a rectangular array of numbers in the memory of this machine"
    ) from reason


_REMEDIES = {
    "b": "a mask holds no outcomes; if 0 and 1 are meant, convert it with astype(float)",
    "m": "divide it by a unit such as np.timedelta64(1, 's')",
    "M": "pass the returns, not their dates",
    "c": "pass its real part or its absolute values",
    "O": "convert it with astype(float); a missing value is nan",
    "V": "pass one of its fields, or convert it with astype(float)",
}


def as_floats(name: str, array: NDArray[Any]) -> Samples:
    """Return real numbers as native, aligned float64 or float32, without a copy where they are."""
    dtype = array.dtype
    if dtype.char in "df":
        if dtype.isnative and array.flags.aligned:
            return array
        return array.astype(dtype.newbyteorder("="))
    if dtype.kind in "iu" or dtype.char == "e":
        return array.astype(np.float64)
    remedy = "round it with astype(float)" if dtype.char == "g" else _REMEDIES.get(dtype.kind)
    raise TypeError(
        f"{name} must hold real numbers (integers, float16, float32 or float64), got dtype {dtype}; "
        f"{remedy or 'convert it with astype(float)'}"
    )


def read_weights(
    weights: Any, shape: tuple[int, ...], axes: tuple[int, ...], labels: Labels | None, data: str = "x"
) -> Floats:
    """Return the weights, aligned to the labels of the data, of their shape or along the only axis that is reduced."""
    from cshortfall import _frames

    given, own_labels = read_samples("weights", weights)
    if labels is not None and own_labels is not None and (given.ndim == len(shape) or len(axes) == 1):
        along_axes = range(given.ndim) if given.ndim == len(shape) else axes
        given = _frames.align("weights", given, own_labels, [labels.along(one) for one in along_axes])
    array = given.astype(np.float64, copy=False)
    along = shape[axes[0]] if len(axes) == 1 else None
    if array.shape == shape or (array.ndim == 1 and array.shape[0] == along):
        return array
    needed = f"the shape of {data}, {shape}"
    if len(shape) > 1:
        needed += f", or ({along},), one for each outcome along axis {axes[0]}" if along is not None else ""
        needed += "; weights of one dimension need an integer axis" if along is None and array.ndim == 1 else ""
    raise ValueError(f"weights must have {needed}; got shape {array.shape}")


def read_out(name: str, out: Any, shape: tuple[int, ...]) -> None:
    """Check an array for results: float64, writeable and of their shape."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name} must be a float64 array of shape {shape}, got {shown(out)}")
    if out.dtype != np.float64 or not out.dtype.isnative:
        raise TypeError(f"{name} must be a float64 array, got dtype {out.dtype}; use np.empty({shape})")
    if out.shape != shape:
        raise ValueError(f"{name} must have the shape of the result, {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{name} is read-only; pass an array that can be written, such as np.empty({shape})")


def read_out_pair(out: Any, shape: tuple[int, ...]) -> None:
    """Check the two arrays of `es_var`."""
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise TypeError(f"out must be a pair of float64 arrays (es, var), each of shape {shape}, got {shown(out)}")
    for position, array in enumerate(out):
        read_out(f"out[{position}]", array, shape)
    if np.shares_memory(*out):
        raise ValueError("out[0] and out[1] share memory; pass two arrays, one for ES and one for VaR")


def read_fraction(name: str, value: Any) -> float:
    """Check a number strictly between zero and one."""
    number = real_number(value)
    if number is None:
        raise TypeError(f"{name} must be a number between 0 and 1, got {shown(value)}")
    if not 0.0 < number < 1.0:
        percent = f"; for {number:.12g} % use {number / 100:.12g}" if 1.0 < number < 100.0 else ""
        raise ValueError(f"{name} must lie strictly between 0 and 1, got {number:.15g}{percent}")
    return number


def real_number(value: Any) -> float | None:
    """Return a real number as a float, infinite where it is too large for one; None for anything else."""
    # NumPy registers its lengths of time as integers.
    if not isinstance(value, numbers.Real) or isinstance(value, (bool, np.timedelta64)):
        return None
    try:
        return float(value)
    except OverflowError:
        return -math.inf if value < 0 else math.inf


def read_count(name: str, value: Any) -> int:
    """Check a whole number of at least one."""
    count = whole_number(value)
    if count is None:
        raise TypeError(f"{name} must be an int of at least 1, got {shown(value)}")
    if count < 1:
        raise ValueError(f"{name} must be at least 1, got {count}")
    return count


def read_generator(rng: Any) -> np.random.Generator:
    """Return the random generator that ``rng`` is, or seeds."""
    allowed = (numbers.Integral, np.random.Generator, np.random.SeedSequence, np.random.BitGenerator)
    if isinstance(rng, bool) or not (rng is None or isinstance(rng, allowed)):
        raise TypeError(f"rng must be None, an int, a numpy Generator or a SeedSequence, got {shown(rng)}")
    if isinstance(rng, numbers.Integral) and int(rng) < 0:
        raise ValueError(f"rng must not be negative, got {rng}; any int from 0 on is a seed")
    return np.random.default_rng(rng)  # type: ignore[arg-type]


def check_finite(name: str, values: Samples) -> None:
    """Refuse NaN and infinities, naming the first."""
    finite = np.isfinite(values)
    if not finite.all():
        position = _first(~finite)
        raise ValueError(f"{name} must be finite, got {_indexed(name, position)} = {float(values[position])!r}")


def refuse_missing(name: str, x: Samples, weights: Floats | None, labels: Labels | None) -> None:
    """Refuse missing values of positive weight, naming the first; ``weights`` are of the shape of ``x``."""
    missing = np.isnan(x)
    if weights is not None:
        missing &= weights > 0
    if not missing.any():
        return
    position = _first(missing)
    where = labels.describe(position) if labels is not None else ""
    raise ValueError(
        f"{name} is missing (NaN) at {_indexed(name, position)}{where}, the first of {int(missing.sum())}; "
        "drop it, or use nan_policy='omit'"
    )


def raise_bad_weight(weights: Floats) -> NoReturn:
    """Name the first weight that is negative or not finite."""
    position = _first(~((weights >= 0) & (weights < np.inf)))
    raise ValueError(
        f"weights must be finite and not negative, got {_indexed('weights', position)} = {float(weights[position])!r}; "
        "an outcome that shall not count has weight 0"
    )


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line that called the package."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "cshortfall":
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


def whole_number(value: Any) -> int | None:
    """Return an integer of any type as int; None for anything else, bool included."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _first(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))


def _indexed(name: str, position: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, position))}]"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(map(repr, names))


def shown(value: Any) -> str:
    text = repr(value)
    if len(text) > 60:
        return f"an object of type {type(value).__name__}"
    return f"{text} of type {type(value).__name__}"


def read_probabilities(probabilities: Any, n: int, labels: Labels | None = None) -> Floats:
    """Return the probabilities of n scenarios, of any scale, aligned to the rows of labelled scenarios."""
    given, own_labels = read_samples("probabilities", probabilities)
    if labels is not None and own_labels is not None and given.ndim == 1:
        from cshortfall import _frames

        given = _frames.align("probabilities", given, own_labels, [labels.along(0)])
    if given.shape != (n,):
        raise ValueError(f"probabilities must have shape ({n},), one for each scenario; got shape {given.shape}")
    check_finite("probabilities", given)
    if given.min() < 0:
        position = int(given.argmin())
        raise ValueError(
            f"probabilities must not be negative, got probabilities[{position}] = {float(given[position])!r}; "
            "a scenario that shall not count has probability 0"
        )
    if not given.any():
        raise ValueError("probabilities are all zero; at least one scenario must be possible")
    return given.astype(np.float64, copy=False)
