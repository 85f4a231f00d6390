"""Tables of outcomes and portfolios of their columns, checked so that what is wrong is named by row and column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Observations:
    """A table of numbers with one column for each asset; missing ones are NaN."""

    values: FloatArray
    names: tuple[str, ...]
    labels: Sequence[str] | None
    first_row: int

    @classmethod
    def checked(
        cls,
        values: npt.ArrayLike,
        names: Sequence[str],
        labels: Sequence[str] | None,
        *,
        first_row: int = 1,
        nan_policy: str,
    ) -> Observations:
        """Make a table of at least two rows, with missing values under ``nan_policy="omit"`` only."""
        table = cls(np.asarray(values, dtype=np.float64), tuple(names), labels, first_row)
        table._check_shape()
        if nan_policy not in ("raise", "omit"):
            raise ValueError(f"nan_policy={nan_policy!r} is not one of 'raise', 'omit': a report has no use for NaN")
        if nan_policy == "raise":
            table.refuse(np.isnan(table.values), "missing value; nan_policy='omit' leaves missing values out")
        return table

    def _check_shape(self) -> None:
        shape = self.values.shape
        if len(shape) != 2 or shape[1] != len(self.names) or not self.names:
            raise ValueError(
                f"data of shape {shape} do not fit {len(self.names)} names: one column for each name is needed"
            )
        twice = [name for position, name in enumerate(self.names) if name in self.names[:position]]
        if twice:
            raise ValueError(f"two columns are named {twice[0]}: the names must differ")
        if self.labels is not None and len(self.labels) != shape[0]:
            raise ValueError(f"{len(self.labels)} labels for {shape[0]} rows: one for each row is needed")
        if shape[0] < 2:
            raise ValueError(f"{shape[0]} row{'' if shape[0] == 1 else 's'} of data: at least 2 are needed")

    def row(self, position: int) -> str:
        """Name a row."""
        return f"row {position + self.first_row}" + ("" if self.labels is None else f" ({self.labels[position]})")

    def refuse(self, bad: npt.NDArray[np.bool_], reason: str) -> None:
        """Raise for the first cell that is bad; ``{value}`` in the reason is its number."""
        if bad.any():
            row, column = np.argwhere(bad)[0]
            shown = reason.format(value=f"{self.values[row, column]:g}")
            raise ValueError(f"{self.row(row)}, column {self.names[column]}: {shown}")

    def weights(self, weights: npt.ArrayLike | None, name: str) -> FloatArray | None:
        """Check the weights of the rows."""
        if weights is None:
            return None
        values = np.asarray(weights, dtype=np.float64)
        if values.shape != (len(self.values),):
            raise ValueError(
                f"{name} of shape {values.shape} do not fit {len(self.values)} rows: one for each row is needed"
            )
        bad = ~((values >= 0) & (values < np.inf))
        if bad.any():
            row = int(bad.argmax())
            what = "is missing" if np.isnan(values[row]) else f"{values[row]:g} must be finite and not negative"
            raise ValueError(f"{self.row(row)}, {name}: weight {what}")
        if not values.any():
            raise ValueError(f"{name}: the weights sum to zero")
        return values


@dataclass(frozen=True)
class Portfolio:
    """Outcomes of a portfolio in the rows in which every asset held has one."""

    names: tuple[str, ...]
    """The assets held."""
    holdings: FloatArray
    rows: npt.NDArray[np.intp]
    parts: FloatArray
    """Holding times outcome, shape (rows, assets held)."""
    outcomes: FloatArray
    weights: FloatArray | None

    @classmethod
    def of(cls, table: Observations, holdings: Mapping[str, float] | None, weights: FloatArray | None) -> Portfolio:
        """Combine the columns of a table; without holdings, equally."""
        if holdings is None:
            holdings = dict.fromkeys(table.names, 1.0 / len(table.names))
        _check_holdings(holdings, table.names)
        names = tuple(name for name in table.names if holdings.get(name, 0.0) != 0.0)
        values = table.values[:, [table.names.index(name) for name in names]]
        missing = np.isnan(values)
        rows = np.flatnonzero(~missing.any(axis=1))
        kept = None if weights is None else weights[rows]
        if too_few(rows, kept):
            raise ValueError(
                f"portfolio: {len(rows)} rows with an outcome of every asset held, at least 2 of positive weight are "
                f"needed; column {names[missing.sum(axis=0).argmax()]} has the most missing values"
            )
        amounts = np.array([holdings[name] for name in names])
        parts = values[rows] * amounts
        with np.errstate(invalid="ignore"):
            outcomes = parts.sum(axis=1)
        if np.isnan(outcomes).any():
            row = table.row(rows[np.isnan(outcomes).argmax()])
            raise ValueError(f"{row}: infinite gains and infinite losses meet in the portfolio")
        return cls(names, amounts, rows, parts, outcomes, kept)


def too_few(outcomes: npt.NDArray[np.generic], weights: FloatArray | None) -> bool:
    """Tell whether fewer than two outcomes count."""
    return len(outcomes) < 2 or (weights is not None and int(np.count_nonzero(weights)) < 2)


def _check_holdings(holdings: Mapping[str, float], names: tuple[str, ...]) -> None:
    for name, holding in holdings.items():
        if name not in names:
            raise ValueError(f"portfolio: no column {name}")
        if not math.isfinite(holding):
            raise ValueError(f"portfolio: holding {holding} of {name} is not a finite number")
    if not any(holdings.values()):
        raise ValueError("portfolio: every holding is zero")
