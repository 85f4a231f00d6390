"""The command `stream`: ES of the numbers on standard input as they arrive."""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from cshortfall._commands.app import app
from cshortfall._commands.options import (
    Levels,
    Tail,
    TailOption,
    naming,
    parse_levels,
    plain_number,
    warnings_as_lines,
    without_doubt,
)
from cshortfall._commands.sketches import Row, sketch_risk
from cshortfall._sketch_files import check_writable, read_sketch, write_sketch
from cshortfall.cli import InputError, complain
from cshortfall.stream import TailSketch, TailWindow

if TYPE_CHECKING:
    from cshortfall._number_lines import NumberLines

RELATIVE_ACCURACY = 0.001
BLOCK = 1 << 20
COLUMN_WIDTH = 14

Values = npt.NDArray[np.float64]


@app.command()
def stream(
    level: Levels = None,
    every: Annotated[
        int, typer.Option(min=0, metavar="COUNT", help="Print after every so many numbers; 0: at the end only.")
    ] = 10_000,
    window: Annotated[
        int | None,
        typer.Option("--window", "-w", min=1, metavar="COUNT", help="Exact ES of the last so many numbers only."),
    ] = None,
    relative_accuracy: Annotated[
        float | None,
        typer.Option(
            metavar="RATIO",
            help=f"How far the VaR of everything so far may be off. Default: {RELATIVE_ACCURACY}; of a file, its own.",
        ),
    ] = None,
    tail: TailOption = Tail.LOWER,
    load: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Begin with the sketch in a file.", show_default=False)
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Save the sketch at the end, after Ctrl-C as well.", show_default=False),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out lines that are no number, and say how many.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each result.")] = False,
) -> None:
    """Follow ES of numbers on standard input, one a line, while they arrive.

    Of everything so far by a sketch in bounded memory, with bounds that the exact ES lies between, or exact of the last
    numbers (--window). Losses are positive. Columns on a terminal, else CSV with full precision. Ctrl-C prints and
    saves what is there.
    """
    from cshortfall._number_lines import NumberLines

    levels = parse_levels(level)
    if window is not None:
        given = {"--relative-accuracy": relative_accuracy, "--load": load, "--save": save}
        for name, value in given.items():
            if value is not None:
                raise InputError(f"{name} does not go with --window, which keeps no sketch")
        sketch = None
        follower: _SoFar | _Last = _last(window, levels, tail.value)
    else:
        sketch = _first_sketch(load, relative_accuracy)
        follower = _SoFar(sketch, levels, tail.value)
    with warnings_as_lines():
        follower.rows()
    if save is not None:
        check_writable(save)
    show = _as_json if as_json else _Columns() if sys.stdout.isatty() else _Csv()
    with _Input() as source, without_doubt():
        lines = NumberLines(source.read, skip_bad=skip_bad)
        try:
            interrupted = _follow(lines, follower, every, show)
        except OSError:
            # Nobody reads the output any more, or there is no room for it: no reason to lose what was read.
            _save(save, sketch)
            raise
        _save(save, sketch)
    if lines.skipped:
        number = "1 line was" if lines.skipped == 1 else f"{lines.skipped:,} lines were"
        complain("warning", f"standard input: {number} skipped, the first for: {lines.first_skipped}")
    if interrupted:
        raise KeyboardInterrupt
    if not follower.count:
        raise InputError("standard input: no numbers")


def _follow(lines: NumberLines, follower: _SoFar | _Last, every: int, show: Callable[[list[Row]], None]) -> bool:
    """Show results until the end of the lines; tell whether it was Ctrl-C that ended them."""
    count, shown, interrupted = 0, -1, False
    try:
        for values in filter(len, _named(lines)):
            for part in _parts(values, count, every):
                follower.update(part)
                count += part.size
                if every and count % every == 0:
                    shown = count
                    show(follower.rows())
            sys.stdout.flush()
    except KeyboardInterrupt:
        interrupted = True
    if shown != count and follower.count:
        show(follower.rows())
        sys.stdout.flush()
    return interrupted


def _last(window: int, levels: list[float], tail: str) -> _Last:
    try:
        return _Last(window, levels, tail)
    except (MemoryError, OverflowError):
        raise InputError(f"--window {window}: there is no memory for a window of that length") from None


def _first_sketch(load: Path | None, relative_accuracy: float | None) -> TailSketch:
    if load is None:
        with naming("--relative-accuracy"):
            return TailSketch(RELATIVE_ACCURACY if relative_accuracy is None else relative_accuracy)
    with naming(str(load)):
        sketch = read_sketch(load)
        if relative_accuracy not in (None, sketch.relative_accuracy):
            raise ValueError(f"a sketch of relative accuracy {sketch.relative_accuracy:g}, not {relative_accuracy:g}")
        return sketch


def _save(path: Path | None, sketch: TailSketch | None) -> None:
    if path is not None and sketch is not None and sketch.count:
        write_sketch(path, sketch)


def _named(lines: NumberLines) -> Iterator[Values]:
    with naming("standard input"):
        yield from lines


def _parts(values: Values, count: int, every: int) -> list[Values]:
    """Cut where the count becomes a multiple of `every`."""
    if not every:
        return [values]
    return np.split(values, range(every - count % every, values.size, every))


class _Input:
    """Standard input in blocks. Ctrl-C ends the reading, but only after the work on a block that was read."""

    def __init__(self) -> None:
        self._stream: Any = sys.stdin.buffer
        self._seen = self._waiting = False
        self._previous: Any = None

    def __enter__(self) -> _Input:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._seen = True
        if self._waiting:
            raise KeyboardInterrupt

    def read(self) -> bytes:
        """Return what there is, at most a block; wait if there is nothing."""
        self._waiting = True
        try:
            if self._seen:
                raise KeyboardInterrupt
            block: bytes = self._stream.read1(BLOCK)
            return block
        finally:
            self._waiting = False


class _SoFar:
    """ES of everything so far."""

    def __init__(self, sketch: TailSketch, levels: list[float], tail: str) -> None:
        self._sketch = sketch
        self._levels = levels
        self._tail = tail

    @property
    def count(self) -> int:
        """Number of values so far, those of the file loaded included."""
        return int(self._sketch.count)

    def update(self, values: Values) -> None:
        """Take more values."""
        self._sketch.update(values)

    def rows(self) -> list[Row]:
        """Return the results, one for each level."""
        return [{"count": self.count, **sketch_risk(self._sketch, level, self._tail)} for level in self._levels]


class _Last:
    """ES of the last values."""

    def __init__(self, window: int, levels: list[float], tail: str) -> None:
        self.count = 0
        self._windows = [TailWindow(window, level, tail=tail) for level in levels]

    def update(self, values: Values) -> None:
        """Take more values."""
        self.count += values.size
        for window in self._windows:
            window.push_many(values)

    def rows(self) -> list[Row]:
        """Return the results, one for each level; NaN until there are enough values."""
        return [{"count": self.count, "level": item.level, "es": item.es, "var": item.var} for item in self._windows]


class _Csv:
    """Print rows of CSV, under a header."""

    header = True

    def __call__(self, rows: list[Row]) -> None:
        """Print."""
        if self.header:
            print(",".join(rows[0]))
            self.header = False
        for row in rows:
            print(",".join("" if math.isnan(value) else repr(value) for value in row.values()))


class _Columns:
    """Print columns for people, under a header."""

    header = True

    def __call__(self, rows: list[Row]) -> None:
        """Print."""
        if self.header:
            print("".join(name.replace("_", " ").rjust(COLUMN_WIDTH) for name in rows[0]))
            self.header = False
        for row in rows:
            print("".join(_readable(name, value).rjust(COLUMN_WIDTH) for name, value in row.items()))


def _readable(name: str, value: float) -> str:
    return f"{value:,}" if name == "count" else "" if math.isnan(value) else f"{value:.6g}"


def _as_json(rows: list[Row]) -> None:
    for row in rows:
        print(json.dumps({name: plain_number(value) for name, value in row.items()}, allow_nan=False))
