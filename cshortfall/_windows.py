"""From window, min_periods, center, closed, step and times to the bounds of every window, by the rules of pandas.

The window of position i spans positions or times around i. With w its length, ``closed`` says which of its ends belong
to it:

- by count, ``(i - w, i]``, centred ``(i - w + (w - 1) // 2, i + (w - 1) // 2]``;
- by time, ``(t - w, t]`` and no position after i, centred ``(t - w/2, t + w/2]``; never a start after i.
"""

from __future__ import annotations

import datetime
import math
import re
from fractions import Fraction
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from cshortfall import _arguments, _frames
from cshortfall._core.rolling import MOST_POSITION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Positions = NDArray[np.int64]

CLOSED = ("right", "left", "both", "neither")

# Nanoseconds in the units that have a fixed length, under the names of NumPy.
_UNITS = {
    "W": Fraction(604_800_000_000_000),
    "D": Fraction(86_400_000_000_000),
    "h": Fraction(3_600_000_000_000),
    "m": Fraction(60_000_000_000),
    "s": Fraction(1_000_000_000),
    "ms": Fraction(1_000_000),
    "us": Fraction(1_000),
    "ns": Fraction(1),
    "ps": Fraction(1, 1_000),
    "fs": Fraction(1, 1_000_000),
    "as": Fraction(1, 1_000_000_000),
}
# A single m may be a minute or a month: left out, for a reader may take it for either.
_UNITS_IN_TEXT = {
    **{name: _UNITS[unit] for name, unit in zip("WwDdHhSs", "WWDDhhss", strict=True)},
    **{name: _UNITS[name] for name in ("ms", "us", "ns")},
    "min": _UNITS["m"],
}
_PART = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)?\s*([A-Za-z]+)")

# The time after the last one, counted from the first, is an int64.
_LONGEST = 2**63 - 2


class Times(NamedTuple):
    """Times in whole units from 0 on, never falling; ``unit`` in nanoseconds."""

    values: Positions
    unit: Fraction


class Windows(NamedTuple):
    """How windows are laid: by count, or by time if there are times."""

    length: int | Fraction
    """Positions, or nanoseconds."""
    min_periods: int
    center: bool
    closed: str
    step: int
    times: Times | None

    def count(self, n: int) -> int:
        """Return the number of results for n positions."""
        return -(-n // self.step)

    def lead_and_length(self) -> tuple[int, int]:
        """Return how far beyond its own position a window by count reaches, and how many positions it spans."""
        length = int(self.length)
        lead = 1 + (length - 1) // 2 if self.center else 1
        return lead - (self.closed in ("left", "neither")), length + (self.closed == "both") - (
            self.closed == "neither"
        )

    def bounds(self) -> tuple[Positions, Positions]:
        """Return where the windows by time start and stop; neither ever falls."""
        assert self.times is not None
        times, unit = self.times
        own = np.arange(times.size, dtype=np.int64)
        if not times.size:
            return own, own
        reach = min(Fraction(self.length) / unit / (2 if self.center else 1), Fraction(int(times[-1]) + 1))
        # Times are whole: an end that is part of the window and one that is not lie on either side of a fraction.
        inner, outer = math.floor(reach), math.ceil(reach)
        right, left = self.closed in ("right", "both"), self.closed in ("left", "both")
        starts = self._search(times, -inner, "left") if left else self._search(times, -outer, "right")
        if self.center:
            stops = self._search(times, inner, "right") if right else self._search(times, outer, "left")
        else:
            stops = own + 1 if right else self._search(times, 0, "left")
        return np.minimum(starts, own)[:: self.step].copy(), stops[:: self.step].copy()

    @staticmethod
    def _search(times: Positions, shift: int, side: Literal["left", "right"]) -> Positions:
        # What lies beyond the last time finds the same, and must not overflow.
        past = int(times[-1]) + 1 - max(shift, 0)
        return np.searchsorted(times, np.minimum(times, past) + shift, side).astype(np.int64, copy=False)


def read_windows(window: Any, min_periods: Any, center: Any, closed: Any, step: Any, times: Any, name: str) -> Windows:
    """Check the arguments of a rolling function; ``times`` are those of the positions, if any, and have a name."""
    if not isinstance(center, (bool, np.bool_)):
        raise TypeError(f"center must be True or False, got {_arguments.shown(center)}")
    if closed is not None:
        _arguments.read_choice("closed", closed, CLOSED)
    every = 1 if step is None else min(_arguments.read_count("step", step), MOST_POSITION)
    count = _arguments.whole_number(window)
    if count is not None:
        if count < 1:
            raise ValueError(f"window must be at least 1, got {count}: a number of positions, or a time such as '90D'")
        if count > MOST_POSITION:
            raise ValueError(
                f"window must be at most {MOST_POSITION}, got {count}; expanding_es takes all outcomes so far"
            )
        length: int | Fraction = count
    else:
        length = _read_length_of_time(window)
        if length <= 0:
            raise ValueError(f"window must be longer than no time, got {window!r}")
        if times is None:
            raise ValueError(
                f"window={window!r} is a length of time, but x has no times: name them by on=, or give window as a "
                "number of positions"
            )
    least = read_min_periods(min_periods, count if count is not None else 1)
    if count is not None and least > count:
        raise ValueError(f"min_periods must not exceed window, got min_periods={least} and window={count}")
    own = None if count is not None else read_times(times, name)
    return Windows(length, least, bool(center), closed or "right", every, own)


def read_min_periods(min_periods: Any, default: int) -> int:
    """Return how many outcomes a result needs."""
    if min_periods is None:
        return default
    least = _arguments.whole_number(min_periods)
    if least is None:
        raise TypeError(f"min_periods must be an int or None, got {_arguments.shown(min_periods)}")
    if least < 0:
        raise ValueError(f"min_periods must not be negative, got {least}")
    return least


def _read_length_of_time(window: Any) -> Fraction:
    """Return a length of time in nanoseconds."""
    wrong = "window must be an int or a length of time such as '90D' or timedelta(days=90)"
    if isinstance(window, str):
        return _length_in_text(window, wrong)
    if isinstance(window, np.timedelta64):
        unit, count = np.datetime_data(window.dtype)
        if np.isnat(window) or unit not in _UNITS:
            raise ValueError(f"{wrong}, got {window!r}, which has no fixed length")
        return int(window.astype(np.int64)) * count * _UNITS[unit]
    if isinstance(window, datetime.timedelta):
        whole = (window.days * 86_400 + window.seconds) * 1_000_000 + window.microseconds
        # pandas' own timedelta knows nanoseconds.
        return Fraction(whole * 1_000 + getattr(window, "nanoseconds", 0))
    if hasattr(type(window), "nanos"):
        try:
            return Fraction(int(window.nanos))
        except ValueError:
            raise ValueError(f"{wrong}, got {window!r}, which has no fixed length") from None
    raise TypeError(f"{wrong}, got {_arguments.shown(window)}")


def _length_in_text(text: str, wrong: str) -> Fraction:
    total, position = Fraction(0), 0
    while part := _PART.match(text, position):
        number, unit = part.groups()
        if unit not in _UNITS_IN_TEXT:
            raise ValueError(
                f"{wrong}, got {text!r}: {unit!r} is not one of W, D, h, min, s, ms, us, ns, the units of fixed length"
            )
        total += Fraction(number or 1) * _UNITS_IN_TEXT[unit]
        position = part.end()
    if not position or text[position:].strip():
        raise ValueError(f"{wrong}, got {text!r}")
    return total


def read_times(given: Any, name: str) -> Times:
    """Read an index, series or array of times; those that fall are mirrored, as the windows then are."""
    values, unit = _whole_times(given, name)
    if values.size:
        falling = bool(values[-1] < values[0])
        if abs(int(values[-1]) - int(values[0])) > _LONGEST:
            raise ValueError(f"{name} spans more time than can be counted in its unit; use a coarser one")
        wrong = values[1:] > values[:-1] if falling else values[1:] < values[:-1]
        if wrong.any():
            row = int(wrong.argmax()) + 1
            raise ValueError(
                f"{name} must be monotonic for a window of time, but {'rises' if falling else 'falls'} at position "
                f"{row}; sort x by it first"
            )
        # From nought on, so that times before any window cannot overflow either.
        values = values[0] - values if falling else values - values[0]
    return Times(values, unit)


def _whole_times(given: Any, name: str) -> tuple[Positions, Fraction]:
    array = _as_array(given, name)
    if isinstance(array, tuple):
        return array
    if array.dtype.kind not in "mM":
        raise TypeError(
            f"{name} must hold times for a window of time (datetime64, timedelta64, or a period index), "
            f"got dtype {array.dtype}; convert it, for example with pandas.to_datetime, or give window as a number"
        )
    unit, count = np.datetime_data(array.dtype)
    if unit not in _UNITS:
        raise TypeError(f"{name} holds times in units of no fixed length ({array.dtype}); convert it to datetime64[D]")
    if array.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {array.shape}")
    missing = np.isnat(array)
    if missing.any():
        raise ValueError(f"{name} must not be missing for a window of time, but is at position {int(missing.argmax())}")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(native).view(np.int64), count * _UNITS[unit]


def _as_array(given: Any, name: str) -> NDArray[Any] | tuple[Positions, Fraction]:
    """Return times as a NumPy array, or as whole numbers of a unit where NumPy does not know them."""
    if type(given).__module__.partition(".")[0] == "pandas":
        pandas = import_module("pandas")
        index = given if isinstance(given, pandas.Index) else pandas.Index(given)
        kind = getattr(index.dtype, "kind", "O")
        if isinstance(index, pandas.PeriodIndex):
            try:
                unit = Fraction(int(index.freq.nanos), int(index.freq.n))
            except ValueError:
                raise ValueError(
                    f"{name} has periods of no fixed length ({index.freqstr}); use to_timestamp() for a window of time"
                ) from None
            if index.hasnans:
                raise ValueError(f"{name} must not be missing for a window of time")
            return index.asi8, unit
        if kind in "mM":
            index = (pandas.DatetimeIndex if kind == "M" else pandas.TimedeltaIndex)(index)
            return np.asarray(index.asi8).view(f"{kind}8[{index.unit}]")
        return np.asarray(index)
    if _frames.is_frame_like(given):
        import narwhals as nw

        try:
            series = nw.from_native(given, series_only=True)
        except TypeError:
            raise TypeError(f"{name} must be an array or series of times, got {_arguments.shown(given)}") from None
        return np.asarray(series.to_numpy())
    return np.asarray(given)
