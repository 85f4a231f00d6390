"""The commands of the command line, with typer; the terminal's side of them is in `cshortfall._terminal`.

A command is a function under ``@app.command()``. What is wrong with its input it raises as `InputError`, one line.
"""

from __future__ import annotations

import contextlib
import difflib
import itertools
import json
import math
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console

import cshortfall
from cshortfall._arguments import METHODS
from cshortfall._terminal import Headings, print_report
from cshortfall.cli import InputError, complain
from cshortfall.datasets import load_equity_returns
from cshortfall.report import LEVELS, RiskReport, as_dict, risk_report, simple_returns

__all__ = ["UsageError", "app", "command_names"]

DEFAULT_COMMAND = "report"
EMBEDDED = "20 US shares, daily returns (embedded data)"
PLAIN_WIDTH = 100
SECONDS_BEFORE_PROGRESS = 1.0
LARGEST_LEVERAGE = 10.0
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")

# Its home has moved between releases of typer, which now carries its own copy of click.
UsageError: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)


def command_names() -> list[str]:
    """Return the names of the commands."""
    return [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]


class Tail(str, Enum):
    """The tail that holds the losses."""

    LOWER = "lower"
    UPPER = "upper"


class Missing(str, Enum):
    """What to do about missing values."""

    RAISE = "raise"
    OMIT = "omit"


Method = Enum("Method", {name: name for name in METHODS}, type=str)  # type: ignore[misc]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cshortfall {cshortfall.__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and stop.")
    ] = False,
) -> None:
    """Estimate Expected Shortfall and Value-at-Risk of returns, of profit and loss, or of prices.

    Without a command it is `report`: `cshortfall` alone reports on embedded real data, `cshortfall FILE` on a file, and
    `cshortfall report --help` lists the options.
    """


@app.command()
def report(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            readable=False,
            help="CSV (also compressed) or Parquet file with one row for each day and one column for each asset; "
            "- is standard input. Default: the embedded daily returns of 20 US shares.",
            show_default=False,
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", "-c", metavar="NAME", help="Asset column; repeatable. Default: all that hold numbers."
        ),
    ] = None,
    level: Annotated[
        list[str] | None,
        typer.Option(
            "--level", "-l", metavar="LEVEL", help="Confidence level; repeatable. Default: 0.95, 0.975, 0.99."
        ),
    ] = None,
    tail: Annotated[Tail, typer.Option(help="Where the losses are; upper reads the numbers as losses.")] = Tail.LOWER,
    method: Annotated[
        list[Method] | None,
        typer.Option(
            "--method",
            "-m",
            metavar="NAME",
            help=f"Estimator: {', '.join(METHODS)}; repeatable. Default: all.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of observation weights (not negative, any scale).")
    ] = None,
    portfolio: Annotated[
        str | None,
        typer.Option(metavar="A=.6,B=.4", help="Holdings of the portfolio. Default: equal weights of all assets."),
    ] = None,
    prices: Annotated[bool, typer.Option("--prices", help="The file holds prices: turn them into returns.")] = False,
    nan: Annotated[
        Missing,
        typer.Option(
            help="Missing values: refuse them, or leave them out of each asset and whole rows of the portfolio."
        ),
    ] = Missing.RAISE,
    header: Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header", help="Whether the first line of a CSV file holds names.", show_default=False
        ),
    ] = None,
    percent: Annotated[
        bool, typer.Option("--percent", help="Show a file's numbers as per cent (prices always are).")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Print every estimate of every asset.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print strict JSON with everything.")] = False,
) -> None:
    """Report VaR and ES by every estimator, the worst days and what each asset contributes to ES.

    Losses are positive. Rows are counted from 1 below the header in messages.
    """
    levels = LEVELS if level is None else _parse_levels(level)
    holdings = None if portfolio is None else _parse_holdings(portfolio)
    assets = list(dict.fromkeys([*(column or []), *(holdings or {})]))
    source = EMBEDDED if file is None else "standard input" if str(file) == "-" else str(file)
    with _naming(source):
        if file is None:
            sample = _embedded_sample(assets, weights, prices=prices)
        else:
            sample = _file_sample(file, assets, weights, prices=prices, nan_policy=nan.value, header=header)

    with _naming(source), _warnings_as_lines(), _progress() as progress:
        result = risk_report(
            sample.returns,
            sample.names,
            labels=sample.labels,
            first_row=2 if prices else 1,
            weights=sample.weights,
            weights_name=f"column {weights}",
            portfolio=holdings,
            levels=levels,
            methods=[item.value for item in method or Method],
            tail=tail.value,
            nan_policy=nan.value,
            progress=progress,
        )
    if as_json:
        head = {"cshortfall": cshortfall.__version__, "source": source, "left_out": sample.left_out}
        typer.echo(json.dumps({**head, **as_dict(result)}, indent=2, allow_nan=False))
    else:
        _print_tables(result, source, sample, holdings, percent=percent or prices or file is None, full=full)


@dataclass(frozen=True)
class Sample:
    """The numbers to report on, as `risk_report` takes them."""

    returns: npt.NDArray[np.float64]
    names: list[str]
    labels: Sequence[str] | None
    weights: npt.NDArray[np.float64] | None
    left_out: dict[str, str]


def _embedded_sample(assets: list[str], weights: str | None, *, prices: bool) -> Sample:
    if weights is not None or prices:
        raise InputError(f"{'--prices' if prices else '--weights'} needs a FILE; the embedded data are plain returns")
    dates, names, returns = load_equity_returns()
    unknown = [name for name in assets if name not in names]
    if unknown:
        raise ValueError(f"no column {unknown[0]}; columns: {', '.join(names)}")
    chosen = assets or list(names)
    columns = [names.index(name) for name in chosen]
    return Sample(returns[:, columns], chosen, [str(date) for date in dates], None, {})


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
        _refuse_reversed_time(labels)
        values = simple_returns(values, names, labels=labels, nan_policy=nan_policy)
        labels = None if labels is None else labels[1:]
        row_weights = None if row_weights is None else row_weights[1:]
    return Sample(values, names, labels, row_weights, table.left_out)


def _refuse_reversed_time(labels: Sequence[str] | None) -> None:
    """Refuse dates that run backwards: the returns would be those of a film played in reverse."""
    if labels is None or not all(ISO_DATE.match(label) for label in labels):
        return
    for row, (before, after) in enumerate(itertools.pairwise(labels), start=2):
        if after < before:
            raise ValueError(f"row {row} ({after}) is earlier than the row before: prices must be in the order of time")


def _parse_levels(texts: list[str]) -> list[float]:
    try:
        levels = [float(text) for text in texts]
    except ValueError:
        raise InputError(f"--level: {' or '.join(map(repr, texts))} is not a number such as 0.975") from None
    with _naming("--level"), warnings.catch_warnings():
        warnings.simplefilter("ignore", cshortfall.LevelWarning)
        for level in levels:
            cshortfall.es([0.0, 0.0], level)
    return levels


def _parse_holdings(text: str) -> dict[str, float]:
    holdings: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = (item.strip() for item in part.rpartition("="))
        if not equals or not name:
            raise InputError(f"--portfolio: {part.strip()!r} is not of the form NAME=NUMBER, as in A=.6,B=.4")
        try:
            holding = float(number)
        except ValueError:
            raise InputError(f"--portfolio: {number!r}, the holding of {name}, is not a number") from None
        if name in holdings:
            raise InputError(f"--portfolio: {name} is named twice")
        if not math.isfinite(holding):
            raise InputError(f"--portfolio: the holding {number} of {name} is not finite")
        holdings[name] = holding
    if not any(holdings.values()):
        raise InputError("--portfolio: every holding is zero")
    return holdings


def _print_tables(
    result: RiskReport, source: str, sample: Sample, holdings: dict[str, float] | None, *, percent: bool, full: bool
) -> None:
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PLAIN_WIDTH
    total = math.fsum((holdings or {}).values())
    if percent and abs(total) > LARGEST_LEVERAGE:
        complain("warning", f"the holdings sum to {total:g}; 60 % is written 0.6")
    row = "day" if _daily(sample.labels) else "row"
    subject = "the portfolio"
    if holdings is not None:
        shares = [f"{name} {holding:g}" for name, holding in holdings.items()]
        title = "Portfolio: " + ", ".join(shares[:5]) + (", ..." if len(shares) > 5 else "")
    elif len(sample.names) > 1:
        title = f"Portfolio: equal weights of {len(sample.names)} assets, rebalanced every {row}"
    else:
        subject = title = sample.names[0]
    headings = Headings(source, subject, title, percent, row, sample.left_out)
    if console.is_terminal:
        print_report(result, console, headings, full=full)
        return
    with console.capture() as page:
        print_report(result, console, headings, full=full)
    typer.echo("\n".join(line.rstrip() for line in page.get().splitlines()))


def _daily(labels: Sequence[str] | None) -> bool:
    if labels is None or not all(ISO_DATE.fullmatch(label) for label in labels):
        return False
    try:
        gaps = np.diff(np.array(labels, dtype="datetime64[D]")).astype(np.int64)
    except ValueError:
        return False
    return bool(np.median(np.abs(gaps)) == 1)


@contextlib.contextmanager
def _naming(source: str) -> Iterator[None]:
    """Turn what is wrong with the data into one line that names the file."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{source}: {error.strerror or error}{_command_hint(source, error)}") from error
    except (ValueError, TypeError) as error:
        reason = str(error).replace("nan_policy='omit'", "--nan omit")
        raise InputError(f"{source}: {reason}") from error


def _command_hint(source: str, error: OSError) -> str:
    """Say which commands there are to someone who may have mistyped one."""
    if not isinstance(error, FileNotFoundError) or not source.isidentifier():
        return ""
    close = difflib.get_close_matches(source, command_names(), n=1)
    return f", nor a command; did you mean {close[0]}?" if close else f", nor a command ({', '.join(command_names())})"


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        complain("warning", message)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None] | None]:
    """Show a bar on standard error once the work has taken a while, if a person is looking."""
    console = Console(stderr=True, markup=False)
    if not (sys.stderr.isatty() and console.is_interactive):
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True)
    task = bar.add_task("", total=None)
    late = threading.Timer(SECONDS_BEFORE_PROGRESS, bar.start)
    late.daemon = True
    late.start()
    try:
        yield lambda done, total, name: bar.update(task, completed=done, total=total, description=name)
    finally:
        late.cancel()
        late.join()
        if bar.live.is_started:
            bar.stop()
