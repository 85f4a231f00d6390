"""What the commands share: options, their checks, pages of tables, and one line for what is wrong."""

import contextlib
import difflib
import math
import os
import warnings
from collections.abc import Iterator
from enum import Enum
from typing import Annotated

import typer
from rich.console import Console

import cshortfall
from cshortfall._commands.app import command_names
from cshortfall.cli import InputError, complain

__all__ = [
    "Columns",
    "File",
    "Header",
    "Json",
    "Levels",
    "Missing",
    "Percent",
    "Prices",
    "Tail",
    "TailOption",
    "naming",
    "page",
    "parse_holdings",
    "parse_levels",
    "plain_number",
    "warnings_as_lines",
    "without_doubt",
]

PLAIN_WIDTH = 100


class Tail(str, Enum):
    """The tail that holds the losses."""

    LOWER = "lower"
    UPPER = "upper"


class Missing(str, Enum):
    """What to do about missing values."""

    RAISE = "raise"
    OMIT = "omit"


File = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE",
        help="CSV (also compressed) or Parquet file with one row for each day and one column for each asset; "
        "- is standard input. Default: the embedded daily returns of 20 US shares.",
        show_default=False,
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", "-c", metavar="NAME", help="Asset column; repeatable. Default: all that hold numbers."),
]
Levels = Annotated[
    list[str] | None,
    typer.Option("--level", "-l", metavar="LEVEL", help="Confidence level; repeatable. Default: 0.975."),
]
TailOption = Annotated[Tail, typer.Option(help="Where the losses are; upper reads the numbers as losses.")]
Prices = Annotated[bool, typer.Option("--prices", help="The file holds prices: turn them into returns.")]
Header = Annotated[
    bool | None,
    typer.Option("--header/--no-header", help="Whether the first line of a CSV file holds names.", show_default=False),
]
Percent = Annotated[bool, typer.Option("--percent", help="Show a file's numbers as per cent (prices always are).")]
Json = Annotated[bool, typer.Option("--json", help="Print strict JSON with everything.")]


def parse_levels(texts: list[str] | None, option: str = "--level") -> list[float]:
    """Read the levels given as options and check them; what is doubtful about them is for those who use them to say."""
    if texts is None:
        return [0.975]
    try:
        levels = [float(text) for text in texts]
    except ValueError:
        raise InputError(f"{option}: {' or '.join(map(repr, texts))} is not a number such as 0.975") from None
    with naming(option), without_doubt():
        for level in levels:
            cshortfall.es([0.0, 0.0], level)
    return levels


def parse_holdings(text: str, option: str) -> dict[str, float]:
    """Read holdings such as A=.6,B=.4; `option` is the name in messages."""
    holdings: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = (item.strip() for item in part.rpartition("="))
        if not equals or not name:
            raise InputError(f"{option}: {part.strip()!r} is not of the form NAME=NUMBER, as in A=.6,B=.4")
        try:
            holding = float(number)
        except ValueError:
            raise InputError(f"{option}: {number!r}, the holding of {name}, is not a number") from None
        if name in holdings:
            raise InputError(f"{option}: {name} is named twice")
        if not math.isfinite(holding):
            raise InputError(f"{option}: the holding {number} of {name} is not finite")
        holdings[name] = holding
    return holdings


@contextlib.contextmanager
def without_doubt() -> Iterator[None]:
    """Keep quiet about levels that look like a tail mass."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cshortfall.LevelWarning)
        yield


@contextlib.contextmanager
def naming(source: str, *, or_command: bool = False) -> Iterator[None]:
    """Turn what is wrong with the data into one line that names the file; or it may have been meant for a command."""
    try:
        yield
    except OSError as error:
        hint = _command_hint(source, error) if or_command else ""
        raise InputError(f"{source}: {error.strerror or error}{hint}") from error
    except (ValueError, TypeError) as error:
        reason = str(error).replace("nan_policy='omit'", "--nan omit")
        raise InputError(f"{source}: {reason}") from error


def _command_hint(source: str, error: OSError) -> str:
    """Say which commands there are to someone who may have mistyped one."""
    if not isinstance(error, FileNotFoundError) or not source.isidentifier():
        return ""
    close = difflib.get_close_matches(source, command_names(), n=1)
    return f", nor a command; did you mean {close[0]}?" if close else f", nor a command ({', '.join(command_names())})"


def plain_number(value: float) -> float | str | None:
    """Return a number for strict JSON: null for NaN, "Infinity" and "-Infinity" for what is infinite."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


@contextlib.contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print each warning as one line on standard error, once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        complain("warning", message)


@contextlib.contextmanager
def page() -> Iterator[Console]:
    """Give a console for tables; what is not for a terminal is printed at the end, without spaces at ends of lines."""
    console = Console(markup=False, highlight=False, emoji=False)
    if console.is_terminal:
        yield console
        return
    if "COLUMNS" not in os.environ:
        console.width = PLAIN_WIDTH
    with console.capture() as captured:
        yield console
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
