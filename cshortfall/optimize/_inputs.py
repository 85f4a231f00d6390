"""Scenarios and their columns, the assets, as a call gives them: arrays, frames, or anything that makes passes."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall._frames import align
from cshortfall.optimize._scenarios import ArrayScenarios

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cshortfall._arguments import Floats, Samples
    from cshortfall._frames import Labels
    from cshortfall.optimize._scenarios import Scenarios


class Assets:
    """The columns of the scenarios: their number, their names, and values under these."""

    def __init__(self, count: int, labels: Labels | None = None) -> None:
        self.count = count
        self.labels = labels if labels is not None and labels.columns is not None else None
        self.names: Sequence[Any] = range(count) if self.labels is None else list(self.labels.columns)
        self._positions = {name: position for position, name in enumerate(self.names)}
        self._numbered = self.labels is None or not any(isinstance(one, numbers.Integral) for one in self.names)

    def label(self, values: Floats) -> Any:
        """Return one value for each asset under their names: an array, a pandas series, or a frame of one row."""
        values = np.array(values, dtype=np.float64)
        return values if self.labels is None else self.labels.label(values, (0,), None, "weights")

    def vector(self, name: str, given: Any, default: float, *, finite: bool = True) -> Floats:
        """Return one number for each asset, of a number for all, an array, a series or frame, or a mapping by name.

        An asset that a mapping leaves out has the default.
        """
        number = _arguments.real_number(given)
        if number is not None:
            values: Samples = np.full(self.count, number)
        elif isinstance(given, Mapping):
            values = np.full(self.count, default)
            for key, value in given.items():
                values[self.position(name, key)] = read_number(f"{name}[{key!r}]", value, finite=finite)
        else:
            values = self._by_column(name, given)
        if np.isnan(values).any() or (finite and np.isinf(values).any()):
            position = int((~np.isfinite(values) if finite else np.isnan(values)).argmax())
            what = "finite" if finite else "numbers"
            raise ValueError(f"{name} must be {what}, got {float(values[position])!r} for {self.describe(position)}")
        return values.astype(np.float64, copy=False)

    def _by_column(self, name: str, given: Any) -> Samples:
        values, own = _arguments.read_samples(name, given)
        if own is not None and own.columns is not None and values.ndim == 2 and len(values) == 1:
            listed = dict(zip(own.columns, values[0].tolist(), strict=True))
            if self.labels is None:
                return np.asarray(values[0])
            missing = [one for one in self.names if one not in listed]
            if missing or len(listed) != self.count:
                raise ValueError(
                    f"{name} must have the columns of returns, in any order; got {list(own.columns)} for "
                    f"{list(self.names)}"
                )
            return np.array([listed[one] for one in self.names], dtype=np.float64)
        if own is not None and self.labels is not None:
            values = align(name, values, own, [self.labels.along(1)])
        if values.shape != (self.count,):
            raise ValueError(
                f"{name} must be a number, a mapping by asset, or have shape ({self.count},), one for each column of "
                f"returns; got shape {values.shape}"
            )
        return values

    def rows(self, name: str, given: Any) -> Floats:
        """Return a matrix of one column for each asset."""
        values, own = _arguments.read_samples(name, given)
        if own is not None and self.labels is not None and own.columns is not None and values.ndim == 2:
            values = align(name, values, own, [None, self.labels.along(1)])
        if values.ndim != 2 or values.shape[1] != self.count:
            raise ValueError(
                f"{name} must have shape (n_rows, {self.count}), one column for each column of returns; "
                f"got shape {values.shape}"
            )
        _arguments.check_finite(name, values)
        return values.astype(np.float64, copy=False)

    def position(self, name: str, label: Any) -> int:
        """Return the position of an asset that is named by its label or, where there are none, its number."""
        try:
            found = self._positions.get(label)
        except TypeError:
            found = None
        if found is not None:
            if list(self.names).count(label) > 1:
                raise ValueError(f"{name} names {label!r}, which several columns of returns have; rename them")
            return found
        number = _arguments.whole_number(label)
        if self._numbered and number is not None and -self.count <= number < self.count:
            return number % self.count
        close = difflib.get_close_matches(str(label), [str(one) for one in self.names], 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        known = ", ".join(repr(one) for one in list(self.names)[:8]) + (", ..." if self.count > 8 else "")
        raise ValueError(f"{name} names {label!r}, which is no column of returns ({known}){hint}")

    def exposure(self, name: str, members: Any) -> Floats:
        """Return what multiplies each asset: ones for a list of assets, or numbers by a mapping, array or series."""
        if isinstance(members, Mapping) or (isinstance(members, np.ndarray) and members.dtype.kind == "f"):
            return self.vector(name, members, 0.0)
        if isinstance(members, np.ndarray) and members.dtype == np.bool_:
            if members.shape != (self.count,):
                raise ValueError(f"{name} must have shape ({self.count},) where it is a mask, got {members.shape}")
            return members.astype(np.float64)
        if isinstance(members, (str, bytes)) or not hasattr(members, "__iter__"):
            members = [members]
        chosen = np.zeros(self.count)
        given = list(members)
        if not given:
            raise ValueError(f"{name} is empty; name at least one asset")
        for member in given:
            chosen[self.position(name, member)] = 1.0
        return chosen

    def describe(self, position: int) -> str:
        """Say which asset, for a message."""
        return f"asset {position}" if self.labels is None else f"asset {self.names[position]!r}"


def read_number(name: str, value: Any, *, finite: bool = True) -> float:
    """Check a real number."""
    number = _arguments.real_number(value)
    if number is None:
        raise TypeError(f"{name} must be a number, got {_arguments.shown(value)}")
    if np.isnan(number) or (finite and np.isinf(number)):
        raise ValueError(f"{name} must be {'finite' if finite else 'a number'}, got {number!r}")
    return number


def read_not_negative(name: str, value: Any) -> float:
    """Check a real number that is not negative."""
    number = read_number(name, value)
    if number < 0:
        raise ValueError(f"{name} must not be negative, got {number:.15g}")
    return number


def read_positive(name: str, value: Any, meaning: str) -> float:
    """Check a positive number; `meaning` tells in messages what it is."""
    number = read_number(name, value)
    if number <= 0:
        raise ValueError(f"{name} must be positive, got {number:.15g}: it is {meaning}")
    return number


def read_level(level: Any, name: str = "level") -> float:
    """Return the one level of a call."""
    levels, scalar = _arguments.read_levels(level)
    if not scalar:
        raise ValueError(
            f"{name} must be one number, got {levels.size} in a sequence; see minimize_spectral for several"
        )
    return float(levels[0])


def read_scenarios(name: str, returns: Any, probabilities: Any) -> tuple[Scenarios, Assets, Floats]:
    """Return the scenarios, their assets and the means of these; missing and infinite values are refused."""
    if hasattr(returns, "tail_rows") and hasattr(returns, "n_assets"):
        if probabilities is not None:
            raise ValueError("probabilities belong to the scenarios object; leave them out")
        given: Scenarios = returns
        mean = given.mean()
        if not np.isfinite(mean).all():
            column = int((~np.isfinite(mean)).argmax())
            raise ValueError(f"{name} must be finite; column {column} holds NaN or infinity")
        return given, Assets(given.n_assets), mean
    rows, labels = _arguments.read_samples(name, returns)
    if rows.ndim != 2:
        raise ValueError(
            f"{name} must have shape (n_scenarios, n_assets), got shape {rows.shape}; a single asset is one column"
        )
    if rows.size == 0:
        raise ValueError(f"{name} are empty (shape {rows.shape}); at least one scenario and one asset are needed")
    if probabilities is not None:
        probabilities = _arguments.read_probabilities(probabilities, len(rows), labels)
    scenarios = ArrayScenarios(rows, probabilities)
    try:
        mean = scenarios.mean()
    except ValueError:
        _refuse_missing(name, rows, scenarios.probabilities, labels)
        raise
    return scenarios, Assets(rows.shape[1], labels), mean


def _refuse_missing(name: str, rows: Samples, probabilities: Floats | None, labels: Labels | None) -> None:
    """Refuse returns of possible scenarios that are missing or infinite, naming the first with its labels."""
    bad = ~np.isfinite(rows)
    if probabilities is not None:
        bad[probabilities == 0] = False
    if bad.any():
        row, column = (int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
        where = labels.describe((row, column)) if labels is not None else ""
        raise ValueError(
            f"{name} must be finite, got {name}[{row}, {column}] = {float(rows[row, column])!r}{where}, the first of "
            f"{int(bad.sum())}; drop these rows or fill them in"
        )


def read_benchmark(name: str, benchmark: Any, returns: Any, count: int) -> Floats:
    """Return the P&L of something in each scenario, aligned to the rows of the returns where both have labels."""
    values, own = _arguments.read_samples(name, benchmark)
    if own is not None and hasattr(returns, "index") and own.along(0) is not None and values.ndim == 1:
        from cshortfall._frames import Labels

        values = align(name, values, own, [Labels(returns).along(0)])
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), one value for each scenario; got shape {values.shape}")
    _arguments.check_finite(name, values)
    return values.astype(np.float64)
