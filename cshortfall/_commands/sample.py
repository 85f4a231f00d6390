"""The numbers that a command works on: of a file, as they stand or as returns of its prices, or the embedded ones."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cshortfall.cli import InputError
from cshortfall.datasets import load_equity_returns
from cshortfall.report import simple_returns

__all__ = ["Sample", "read_sample", "refuse_reversed_time", "source_of", "times_of", "unit_of_rows"]

EMBEDDED = "20 US shares, daily returns (embedded data)"
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Sample:
    """The numbers to report on, one row for each day and one column for each asset."""

    returns: npt.NDArray[np.float64]
    names: list[str]
    labels: Sequence[str] | None
    label_name: str
    """What the labels are, as the file says."""
    first_row: int
    """Number of the first row; returns of prices begin with the second."""
    weights: npt.NDArray[np.float64] | None
    left_out: dict[str, str]


def source_of(file: str | None) -> str:
    """Name where the numbers come from."""
    return EMBEDDED if file is None else "standard input" if file == "-" else file


def read_sample(
    file: str | None,
    assets: list[str],
    weights: str | None = None,
    *,
    prices: bool,
    nan_policy: str,
    header: bool | None,
) -> Sample:
    """Read the columns named, or all of them.

    Parameters
    ----------
    file : str or None
        File to read, ``-`` for standard input, None for the embedded returns.
    assets : list of str
        Columns to use; none: all that hold numbers.
    weights : str, optional
        Column of observation weights.
    prices : bool
        Whether the file holds prices.
    nan_policy : {"raise", "omit"}
        Whether prices may be missing; missing returns stay NaN.
    header : bool or None
        Whether the first line of a CSV file names the columns; None to find out.
    """
    if file is None:
        return _embedded_sample(assets, weights, prices=prices)
    return _file_sample(Path(file), assets, weights, prices=prices, nan_policy=nan_policy, header=header)


def _embedded_sample(assets: list[str], weights: str | None, *, prices: bool) -> Sample:
    if weights is not None or prices:
        raise InputError(f"{'--prices' if prices else '--weights'} needs a FILE; the embedded data are plain returns")
    dates, names, returns = load_equity_returns()
    unknown = [name for name in assets if name not in names]
    if unknown:
        raise ValueError(f"no column {unknown[0]}; columns: {', '.join(names)}")
    chosen = assets or list(names)
    columns = [names.index(name) for name in chosen]
    return Sample(returns[:, columns], chosen, [str(date) for date in dates], "date", 1, None, {})


def _file_sample(
    file: Path, assets: list[str], weights: str | None, *, prices: bool, nan_policy: str, header: bool | None
) -> Sample:
    from cshortfall._files import read_table

    table = read_table(file, [*assets, *([] if weights is None else [weights])], others=not assets, header=header)
    names = assets or [name for name in table.columns if name != weights]
    if not names:
        found = "; ".join(f"{name} holds {what}" for name, what in table.left_out.items())
        raise ValueError(f"no column of numbers{f' ({found})' if found else ''}")
    values = np.column_stack([table.columns[name] for name in names])
    labels = table.labels
    row_weights = None if weights is None else table.columns[weights]
    if prices:
        if len(values) < 3:
            raise ValueError(f"{len(values)} rows of prices: at least 3 are needed, for 2 returns")
        refuse_reversed_time(labels, "prices")
        values = simple_returns(values, names, labels=labels, nan_policy=nan_policy)
        labels = None if labels is None else labels[1:]
        row_weights = None if row_weights is None else row_weights[1:]
    label_name = "row" if labels is None else table.label_name or "date"
    return Sample(values, names, labels, label_name, 2 if prices else 1, row_weights, table.left_out)


def refuse_reversed_time(labels: Sequence[str] | None, rows: str) -> None:
    """Refuse dates that run backwards: the results would be those of a film played in reverse."""
    if labels is None:
        return
    try:
        times = times_of(labels)
    except ValueError:
        return
    earlier = times[1:] < times[:-1]
    if earlier.any():
        row = int(earlier.argmax()) + 1
        raise ValueError(
            f"row {row + 1} ({labels[row]}) is earlier than the row before: {rows} must be in the order of time"
        )


def times_of(labels: Sequence[str], first_row: int = 1) -> npt.NDArray[np.datetime64]:
    """Read labels as times, of which each gives year, month and day at least; offsets from UTC are taken off."""
    times = []
    with warnings.catch_warnings():
        # NumPy reads an offset as it is meant, and warns that it will not keep it.
        warnings.simplefilter("ignore")
        for row, label in enumerate(labels, start=first_row):
            try:
                # Without separators NumPy takes the digits of a date for a year.
                time = np.datetime64(label if ISO_DATE.match(label) else "")
            except ValueError:
                time = np.datetime64("NaT")
            if np.isnat(time):
                raise ValueError(f"row {row} is labelled {label!r}")
            times.append(time)
    return np.array(times)


def unit_of_rows(labels: Sequence[str] | None) -> str:
    """Tell what one row is: "day" or "row"."""
    if labels is None or not all(ISO_DATE.fullmatch(label) for label in labels):
        return "row"
    try:
        gaps = np.diff(np.array(labels, dtype="datetime64[D]")).astype(np.int64)
    except ValueError:
        return "row"
    return "day" if gaps.size and np.median(np.abs(gaps)) == 1 else "row"
