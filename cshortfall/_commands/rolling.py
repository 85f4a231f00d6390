"""The command `rolling`: VaR and ES of the window that ends at each row."""

from __future__ import annotations

import csv
import functools
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

import cshortfall
from cshortfall._commands.app import app
from cshortfall._commands.options import (
    Columns,
    File,
    Header,
    Json,
    Levels,
    Percent,
    Prices,
    Tail,
    TailOption,
    naming,
    page,
    parse_levels,
    plain_number,
    warnings_as_lines,
)
from cshortfall._commands.sample import (
    Sample,
    read_sample,
    refuse_reversed_time,
    source_of,
    times_of,
    unit_of_rows,
)
from cshortfall._terminal_rolling import RollingRisk, print_rolling
from cshortfall.cli import InputError
from cshortfall.rolling import ewm_es, expanding_es, expanding_es_var, rolling_es, rolling_es_var

WINDOW = 250

Values = npt.NDArray[np.float64]


class Closed(str, Enum):
    """The ends that belong to a window."""

    RIGHT = "right"
    LEFT = "left"
    BOTH = "both"
    NEITHER = "neither"


@app.command()
def rolling(
    file: File = None,
    window: Annotated[
        str | None,
        typer.Option(
            "--window",
            "-w",
            metavar="ROWS|TIME",
            help=f"Length of the window: a number of rows, or of dated rows a time such as 90D. Default: {WINDOW}.",
        ),
    ] = None,
    level: Levels = None,
    column: Columns = None,
    tail: TailOption = Tail.LOWER,
    prices: Prices = False,
    min_periods: Annotated[
        int | None,
        typer.Option(
            metavar="COUNT",
            help="Least number of outcomes for a result. Default: the window's rows; of a window in time, 1.",
        ),
    ] = None,
    center: Annotated[bool, typer.Option("--center", help="The row is in the middle of its window.")] = False,
    closed: Annotated[
        Closed | None, typer.Option(help="Ends that belong to the window. Default: right.", show_default=False)
    ] = None,
    step: Annotated[int | None, typer.Option(metavar="ROWS", help="Only every so many rows.")] = None,
    expanding: Annotated[
        bool, typer.Option("--expanding", help="Everything up to the row instead of a window of fixed length.")
    ] = False,
    decay: Annotated[
        float | None,
        typer.Option(
            metavar="LAMBDA", help="Everything up to the row, an outcome of age k with weight LAMBDA to the power of k."
        ),
    ] = None,
    var: Annotated[bool, typer.Option("--var", help="VaR beside ES.")] = False,
    header: Header = None,
    percent: Percent = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV with every row, as is done where the output is no terminal.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Follow ES along the rows of a file: of the last 250 rows, of the last 90 days, of everything so far.

    Losses are positive. Missing values are skipped and not counted. On a terminal a summary and the last rows, else CSV
    with every row and full precision; a row whose window holds too few outcomes is empty.
    """
    if as_csv and as_json:
        raise InputError("--csv and --json exclude each other")
    windows = _read_windows(window, min_periods, center, closed, step, expanding, decay, var)
    levels = parse_levels(level)
    source = source_of(file)
    with naming(source):
        sample = read_sample(file, list(dict.fromkeys(column or [])), prices=prices, nan_policy="omit", header=header)
        refuse_reversed_time(sample.labels, "rows")
    with naming(source), warnings_as_lines():
        dates = functools.partial(_dates, sample, window)
        es, values_at_risk = windows.risk(sample.returns, dates, levels, tail.value, var=var)
    labels = sample.labels or [str(row + sample.first_row) for row in range(len(sample.returns))]
    result = RollingRisk(
        source=source,
        windows=windows.title(unit_of_rows(sample.labels)),
        row=unit_of_rows(sample.labels),
        percent=percent or prices or file is None,
        left_out=sample.left_out,
        missing=int(np.count_nonzero(np.isnan(sample.returns))),
        names=sample.names,
        levels=levels,
        labels=labels[:: windows.step],
        es=es,
        var=values_at_risk,
    )
    if as_json:
        _print_json(result, windows, tail.value)
    elif as_csv or not sys.stdout.isatty():
        _print_csv(result, sample.label_name)
    else:
        with page() as console:
            print_rolling(result, console)


@dataclass(frozen=True)
class Windows:
    """What belongs to the result of a row."""

    window: int | str | None
    """Rows, or a time; None: everything up to the row."""
    decay: float | None
    options: dict[str, Any]
    """Arguments of the rolling functions."""

    @property
    def step(self) -> int:
        """Distance of the rows that have a result."""
        return self.options.get("step") or 1

    def title(self, row: str) -> str:
        """Say what the windows are."""
        if self.decay is not None:
            return f"weights {self.decay:g} to the power of the age in {row}s"
        if self.window is None:
            return f"everything up to the {row}"
        return f"windows of {self.window} {row}s" if isinstance(self.window, int) else f"windows of {self.window}"

    def risk(
        self,
        values: Values,
        dates: Callable[[], npt.NDArray[np.datetime64]],
        levels: list[float],
        tail: str,
        *,
        var: bool,
    ) -> tuple[Values, Values | None]:
        """Compute ES, and VaR if wanted, of shape (rows, assets, levels); `dates` is asked by windows in time."""
        common = {**self.options, "tail": tail}
        if isinstance(self.window, str):
            common["on"] = dates()
        if self.decay is not None:
            results: Sequence[Any] = (ewm_es(values, levels, decay=self.decay, **common),)
        elif self.window is None:
            results = expanding_es_var(values, levels, **common) if var else (expanding_es(values, levels, **common),)
        elif var:
            results = rolling_es_var(values, self.window, levels, **common)
        else:
            results = (rolling_es(values, self.window, levels, **common),)
        shape = (-1, values.shape[1], len(levels))
        es, *values_at_risk = (np.asarray(result).reshape(shape) for result in results)
        return es, values_at_risk[0] if values_at_risk else None


def _read_windows(
    window: str | None,
    min_periods: int | None,
    center: bool,
    closed: Closed | None,
    step: int | None,
    expanding: bool,
    decay: float | None,
    var: bool,
) -> Windows:
    """Check the options that say what the windows are."""
    if expanding and decay is not None:
        raise InputError("--expanding and --decay exclude each other")
    options: dict[str, Any] = {} if min_periods is None else {"min_periods": min_periods}
    length: int | str | None = None
    if expanding or decay is not None:
        given = {"--window": window, "--center": center or None, "--closed": closed, "--step": step}
        for name, value in given.items():
            if value is not None:
                raise InputError(f"{name} does not go with {'--expanding' if expanding else '--decay'}")
        if decay is not None and var:
            raise InputError("--var does not go with --decay")
    else:
        options.update(center=center, closed=closed and closed.value, step=step)
        text = str(WINDOW) if window is None else window.strip()
        length = int(text) if re.fullmatch(r"[+-]?\d+", text) else text
    windows = Windows(length, decay, options)
    try:
        windows.risk(np.zeros((1, 1)), lambda: np.zeros(1, "datetime64[D]"), [0.5], "lower", var=False)
    except (ValueError, TypeError) as error:
        name, _, reason = str(error).partition(" ")
        raise InputError(f"--{name.replace('_', '-')} {reason}") from error
    return windows


def _dates(sample: Sample, window: str | None) -> npt.NDArray[np.datetime64]:
    """Read the labels of the rows as dates, which a window in time needs."""
    if sample.labels is None:
        raise ValueError(f"--window {window} needs a column of dates, named date or first")
    try:
        return times_of(sample.labels, sample.first_row)
    except ValueError as error:
        raise ValueError(f"--window {window} needs dates such as 2020-01-31; {error}") from None


def _print_csv(result: RollingRisk, label_name: str) -> None:
    header, columns = [label_name], [list(result.labels)]
    for position, name in enumerate(result.names):
        for number, level in enumerate(result.levels):
            for measure, figures in result.measures.items():
                parts = [
                    name,
                    measure if len(result.measures) > 1 else "",
                    str(level) if len(result.levels) > 1 else "",
                ]
                header.append("_".join(filter(None, parts)))
                path = figures[:, position, number]
                columns.append(np.where(np.isnan(path), "", path.astype(object)).tolist())
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))


def _print_json(result: RollingRisk, windows: Windows, tail: str) -> None:
    """Print strict JSON: null where there is no result, the text "Infinity" where a loss is infinite."""
    series = []
    for position, name in enumerate(result.names):
        for number, level in enumerate(result.levels):
            paths = {
                measure: [plain_number(value) for value in figures[:, position, number].tolist()]
                for measure, figures in result.measures.items()
            }
            series.append({"name": name, "level": level, **paths})
    content = {
        "cshortfall": cshortfall.__version__,
        "source": result.source,
        "left_out": result.left_out,
        "window": windows.window,
        "decay": windows.decay,
        **{name: value for name, value in windows.options.items() if value},
        "tail": tail,
        "rows": result.labels,
        "series": series,
    }
    typer.echo(json.dumps(content, allow_nan=False))
