"""Rolling VaR and ES as tables for a terminal: where each asset stands, how it got there, the last rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.text import Text

from cshortfall._terminal import MAIN_LEVEL, Page, number_format, percent

__all__ = ["RollingRisk", "print_rolling"]

LAST_ROWS = 10
PATH_WIDTH = 24


@dataclass(frozen=True)
class RollingRisk:
    """VaR and ES at every row, with what the tables need to know about them."""

    source: str
    windows: str
    """What the windows are, as in "windows of 250 days"."""
    row: str
    """What one row is: "day" or "row"."""
    percent: bool
    left_out: dict[str, str]
    """Columns not reported on, with the reason."""
    missing: int
    """Number of outcomes that were missing."""
    names: Sequence[str]
    levels: Sequence[float]
    labels: Sequence[str]
    """Of the rows."""
    es: npt.NDArray[np.float64]
    """Shape (rows, names, levels); NaN where the window holds too few outcomes."""
    var: npt.NDArray[np.float64] | None

    @property
    def measures(self) -> dict[str, npt.NDArray[np.float64]]:
        """The results by name."""
        return {"es": self.es} if self.var is None else {"es": self.es, "var": self.var}


def print_rolling(risk: RollingRisk, console: Console) -> None:
    """Print the tables; the width of the console decides how many columns the last one has."""
    page = _RollingPage(risk, console)
    page.heading()
    page.paths()
    page.last_rows()


class _RollingPage(Page):
    """The tables of one call on one console."""

    def __init__(self, risk: RollingRisk, console: Console) -> None:
        super().__init__(console)
        self.risk = risk
        levels = sorted(risk.levels)
        self.main = risk.levels.index(MAIN_LEVEL if MAIN_LEVEL in levels else levels[len(levels) // 2])
        self.number = number_format(risk.es[:, :, self.main].ravel(), risk.percent, self.symbols.infinity)
        self.unit = ", in %" if risk.percent else ""

    def heading(self) -> None:
        """Print what was computed from what."""
        risk = self.risk
        full = int(np.count_nonzero(~np.isnan(risk.es).all(axis=(1, 2))))
        self.say(f"Rolling ES of {risk.source}, {risk.windows}", style="bold")
        text = f"{risk.labels[0]} to {risk.labels[-1]}, {full:,} of {len(risk.labels):,} {risk.row}s have a result"
        if risk.missing:
            text += f"; {risk.missing:,} missing values skipped"
        self.say(text, style="dim")
        if risk.left_out:
            left_out = ", ".join(f"{name} ({reason})" for name, reason in risk.left_out.items())
            self.say(f"Columns left out: {left_out}", style="dim")
        self.console.print()

    def paths(self) -> None:
        """Print for each level and asset the latest ES, the highest and the lowest with their rows, and a drawing."""
        risk = self.risk
        table = self.table()
        table.add_column("Level")
        table.add_column("Asset", min_width=5)
        if risk.var is not None:
            table.add_column("VaR", justify="right")
        table.add_column("ES", justify="right")
        for extreme in ("highest", "lowest"):
            table.add_column(f"{extreme} ES", justify="right")
            table.add_column(f"on {risk.row}")
        table.add_column("path")
        for column, level in sorted(enumerate(risk.levels), key=lambda item: item[1]):
            for position, name in enumerate(risk.names):
                path = risk.es[:, position, column]
                table.add_row(
                    Text(percent(level) if position == 0 else "", style="bold"),
                    self.name(name),
                    *([] if risk.var is None else [Text(self._figure(risk.var[-1, position, column]))]),
                    Text(self._figure(path[-1]), style="bold"),
                    *self._extremes(path),
                    Text(_drawn(path, self.symbols.steps), style="cyan"),
                )
            table.add_section()
        self.show(f"The latest ES and its past{self.unit}", table, spare=1)

    def _extremes(self, path: npt.NDArray[np.float64]) -> list[Text]:
        if np.isnan(path).all():
            return [Text(self.symbols.dash), Text("")] * 2
        highest, lowest = int(np.nanargmax(path)), int(np.nanargmin(path))
        return [
            Text(self._figure(path[highest]), style="red"),
            Text(self.risk.labels[highest], style="dim"),
            Text(self._figure(path[lowest])),
            Text(self.risk.labels[lowest], style="dim"),
        ]

    def last_rows(self) -> None:
        """Print the last rows at the main level, with as many of the assets as fit."""
        risk = self.risk
        table = self.table()
        table.add_column(risk.row)
        for name in risk.names:
            table.add_column(self.name(name), justify="right")
        for row in range(max(len(risk.labels) - LAST_ROWS, 0), len(risk.labels)):
            table.add_row(
                Text(risk.labels[row], style="dim"),
                *(Text(self._figure(figure)) for figure in risk.es[row, :, self.main]),
            )
        self.show(
            f"ES on the last {risk.row}s, {percent(risk.levels[self.main])}{self.unit}",
            table,
            spare=len(risk.names) - 1,
        )
        hidden = len(risk.names) + 1 - len(table.columns)
        more = "" if not hidden else "1 more asset and " if hidden == 1 else f"{hidden:,} more assets and "
        rest = f"{more}all rows: --csv or --json."
        self.say(f"ES is a loss: positive when money is lost. {rest[0].upper()}{rest[1:]}", style="dim")

    def _figure(self, value: float) -> str:
        return self.symbols.dash if np.isnan(value) else self.number(float(value))


def _drawn(path: npt.NDArray[np.float64], steps: str) -> str:
    """Draw a path from its lowest to its highest value, of each part of it the highest; blank where there is none."""
    finite = path[np.isfinite(path)]
    if not finite.size:
        return ""
    low, high = float(finite.min()), float(finite.max())
    drawn = ""
    for part in np.array_split(path, min(PATH_WIDTH, path.size)):
        top = float(np.max(part, where=~np.isnan(part), initial=-np.inf))
        if top == -np.inf:
            drawn += " "
        else:
            share = (min(top, high) - low) / (high - low) if high > low else 0.5
            drawn += steps[min(int(share * len(steps)), len(steps) - 1)]
    return drawn
