"""What a running optimisation reports: to a callback, and on a terminal to who waits longer than two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

PATIENCE = 2.0
"""Seconds before a terminal shows anything."""


@dataclass(frozen=True)
class Progress:
    """State of a running optimisation, as a callback receives it."""

    iteration: int
    phase: str
    """What the solver is doing, in a word or two."""
    value: float
    """Objective of the best weights so far, inf where there are none."""
    lower_bound: float
    """Certified bound so far, -inf where there is none."""
    gap: float
    seconds: float
    """Since the optimisation began."""


Progress.__module__ = "cshortfall.optimize"

Callback = Callable[[Progress], Any]
"""Returns True, or raises StopIteration, to end the optimisation with an `OptimizationError`; else is ignored."""


class Reporter:
    """What a solver calls: hands each progress to the callback of the user and to the terminal.

    A call returns True where the callback asks to stop. Seconds are counted from `begun`, a value of
    `time.perf_counter` and by default now, so that many short solutions (of a frontier) are one long run.
    """

    def __init__(self, callback: Callback | None, progress: bool | None, begun: float | None = None) -> None:
        self._callback = callback
        self._wanted = progress
        self._begun = time.perf_counter() if begun is None else begun
        self._line: Any = None

    @property
    def needed(self) -> bool:
        """Whether anybody looks."""
        return self._callback is not None or self._shown()

    def _shown(self) -> bool:
        return bool(self._wanted if self._wanted is not None else _is_terminal())

    def __call__(self, progress: Progress) -> bool:
        """Report, and return whether to stop."""
        progress = replace(progress, seconds=time.perf_counter() - self._begun)
        if self._shown() and (self._wanted or progress.seconds >= PATIENCE):
            if self._line is None:
                self._line = _open_line()
            self._line.update(_described(progress))
        if self._callback is None:
            return False
        try:
            return self._callback(progress) is True
        except StopIteration:
            return True

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is not None:
            self._line.stop()
            self._line = None


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _described(progress: Progress) -> str:
    return (
        f"iteration {progress.iteration}, {progress.phase}: value {progress.value:.6g}, "
        f"bound {progress.lower_bound:.6g}, gap {progress.gap:.1e}, {progress.seconds:.0f} s"
    )


def _open_line() -> Any:
    """Return a line of the terminal that is written over and over, gone at the end."""
    try:
        from rich.console import Console
        from rich.status import Status
    except ImportError:
        return _PlainLine()
    line = Status("", console=Console(stderr=True))
    line.start()
    return line


class _PlainLine:
    """The line without rich."""

    def __init__(self) -> None:
        self._width = 0

    def update(self, text: str) -> None:
        """Write over what was there."""
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)

    def stop(self) -> None:
        """Clear the line."""
        sys.stderr.write("\r" + " " * self._width + "\r")
        sys.stderr.flush()
