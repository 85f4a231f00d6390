"""The command `report`: the risk report on a file or on the embedded returns."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Annotated

import typer
from rich.console import Console

import cshortfall
from cshortfall._arguments import METHODS
from cshortfall._commands.app import app
from cshortfall._commands.options import (
    Columns,
    File,
    Header,
    Json,
    Missing,
    Percent,
    Prices,
    Tail,
    TailOption,
    naming,
    page,
    parse_holdings,
    parse_levels,
    warnings_as_lines,
)
from cshortfall._commands.sample import Sample, read_sample, source_of, unit_of_rows
from cshortfall._terminal import Headings, print_report
from cshortfall.cli import InputError, complain
from cshortfall.report import LEVELS, RiskReport, as_dict, risk_report

SECONDS_BEFORE_PROGRESS = 1.0
LARGEST_LEVERAGE = 10.0


Method = Enum("Method", {name: name for name in METHODS}, type=str)  # type: ignore[misc]


@app.command()
def report(
    file: File = None,
    column: Columns = None,
    level: Annotated[
        list[str] | None,
        typer.Option(
            "--level", "-l", metavar="LEVEL", help="Confidence level; repeatable. Default: 0.95, 0.975, 0.99."
        ),
    ] = None,
    tail: TailOption = Tail.LOWER,
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
    prices: Prices = False,
    nan: Annotated[
        Missing,
        typer.Option(
            help="Missing values: refuse them, or leave them out of each asset and whole rows of the portfolio."
        ),
    ] = Missing.RAISE,
    header: Header = None,
    percent: Percent = False,
    full: Annotated[bool, typer.Option("--full", help="Print every estimate of every asset.")] = False,
    as_json: Json = False,
) -> None:
    """Report VaR and ES by every estimator, the worst days and what each asset contributes to ES.

    Losses are positive. Rows are counted from 1 below the header in messages.
    """
    levels = LEVELS if level is None else parse_levels(level)
    holdings = None if portfolio is None else parse_holdings(portfolio, "--portfolio")
    if holdings is not None and not any(holdings.values()):
        raise InputError("--portfolio: every holding is zero")
    assets = list(dict.fromkeys([*(column or []), *(holdings or {})]))
    source = source_of(file)
    with naming(source, or_command=True):
        sample = read_sample(file, assets, weights, prices=prices, nan_policy=nan.value, header=header)

    with naming(source), warnings_as_lines(), _progress() as progress:
        result = risk_report(
            sample.returns,
            sample.names,
            labels=sample.labels,
            first_row=sample.first_row,
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


def _print_tables(
    result: RiskReport, source: str, sample: Sample, holdings: dict[str, float] | None, *, percent: bool, full: bool
) -> None:
    total = sum((holdings or {}).values())
    if percent and abs(total) > LARGEST_LEVERAGE:
        complain("warning", f"the holdings sum to {total:g}; 60 % is written 0.6")
    row = unit_of_rows(sample.labels)
    subject = "the portfolio"
    if holdings is not None:
        shares = [f"{name} {holding:g}" for name, holding in holdings.items()]
        title = "Portfolio: " + ", ".join(shares[:5]) + (", ..." if len(shares) > 5 else "")
    elif len(sample.names) > 1:
        title = f"Portfolio: equal weights of {len(sample.names)} assets, rebalanced every {row}"
    else:
        subject = title = sample.names[0]
    headings = Headings(source, subject, title, percent, row, sample.left_out)
    with page() as console:
        print_report(result, console, headings, full=full)


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
