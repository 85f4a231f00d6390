"""Tables for a terminal or a plain text file, drawn with rich: the page that they stand on, and the risk report."""

import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cshortfall.report import Estimate, RiskReport, SeriesRisk, WorstOutcome

__all__ = ["MAIN_LEVEL", "Headings", "Page", "bar", "number_format", "percent", "print_report"]

MAIN_LEVEL = 0.975
TITLES = {"student_t": "Student t", "cornish_fisher": "Cornish\u2013Fisher"}
SHORT_TITLES = {"student_t": "t", "cornish_fisher": "C\u2013F"}
NAME_WIDTH = 24
PLOT_WIDTH = 29
BAR_WIDTH = 24
TEXT_WIDTH = 100
UNLIMITED = 10_000
LARGEST_SHARE = 10.0
OFF_SCALE = 1e4
FAR_AWAY = 3.0
LONGEST_AXIS = sys.float_info.max / 2
FIGURE = re.compile(r"-?\d[\d.,]*(e[+-]?\d+)?")


@dataclass(frozen=True)
class Headings:
    """What the report cannot know about its data."""

    source: str
    subject: str
    """What the outcomes are of: "the portfolio", or the only asset."""
    portfolio: str
    """Title of the estimates of the portfolio."""
    percent: bool
    row: str
    """What one row is: "day" or "row"."""
    left_out: dict[str, str]
    """Columns not reported on, with the reason."""


@dataclass(frozen=True)
class Symbols:
    """Characters that the output's encoding can carry."""

    dash: str = "\u2014"
    to: str = "\u2013"
    infinity: str = "\u221e"
    point: str = "\u25cf"
    line: str = "\u2500"
    left: str = "\u251c"
    right: str = "\u2524"
    beyond: str = "\u25b6"
    bar: str = "\u2588"
    frame: box.Box = field(default_factory=lambda: box.SIMPLE_HEAD)
    steps: str = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
    footnotes: str = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"

    def footnote(self, number: int) -> str:
        """Write a footnote mark."""
        return "".join(self.footnotes[int(digit)] for digit in str(number)) if self.footnotes else f"[{number}]"


ASCII = Symbols(
    "-",
    "-",
    "inf",
    "o",
    "-",
    "|",
    "|",
    ">",
    "#",
    box.Box("    \n    \n -- \n" + "    \n" * 5, ascii=True),
    "_.:-=+*#",
    "",
)


class Page:
    """Text and tables on one console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.symbols = ASCII if console.options.ascii_only else Symbols()

    def say(self, text: str | Text, *, style: str = "") -> None:
        """Print a line of text, wrapped where it would be too long to read."""
        self.console.print(text, style=style, width=min(self.console.width, TEXT_WIDTH))

    def table(self, *, footer: bool = False) -> Table:
        """Make an empty table in the style of all."""
        return Table(
            box=self.symbols.frame,
            show_edge=False,
            pad_edge=False,
            padding=(0, 0, 0, 1),
            show_footer=footer,
            header_style="",
            border_style="dim",
        )

    def show(self, title: str, table: Table, *, spare: int = 0, spare_title: str = "") -> None:
        """Print a table, without as many of its `spare` last columns as the width does not hold.

        `spare_title` is part of the title while one of them is left.
        """
        for column in table.columns:
            column.no_wrap = True
        while (width := self._width_of(table)) > self.console.width and spare:
            table.columns.pop()
            spare -= 1
        self.say(title + (spare_title if spare else ""), style="bold")
        # A table that is still too wide is better wrapped by the terminal than printed with numbers cut off.
        actual = self.console.width
        self.console.width = max(width, actual)
        self.console.print(table)
        self.console.width = actual
        self.console.print()

    def _width_of(self, table: Table) -> int:
        return self.console.measure(table, options=self.console.options.update(max_width=UNLIMITED)).maximum

    def outcomes(
        self,
        title: str,
        worst: Sequence[WorstOutcome],
        dated: bool,
        number: Callable[[float], str],
        *,
        drivers: bool,
    ) -> None:
        """Print the worst outcomes and the assets behind them; the title says of what."""
        count = "ten" if len(worst) == 10 else str(len(worst))
        table = self.table()
        table.add_column("", justify="right", style="dim")
        table.add_column("date" if dated else "row", justify="left" if dated else "right")
        table.add_column("outcome", justify="right")
        if drivers:
            table.add_column("largest losses within it")
        for rank, outcome in enumerate(worst, start=1):
            behind = ", ".join(f"{driver.name} {number(driver.outcome)}" for driver in outcome.drivers)
            table.add_row(
                str(rank),
                Text(outcome.label or f"{outcome.row:,}"),
                Text(number(outcome.outcome), style="bold red"),
                *([Text(behind, style="dim")] if drivers else []),
            )
        self.show(f"The {count} worst {title}", table)

    def name(self, name: str) -> Text:
        """Write the name of an asset, cut where it is too long."""
        text = Text(name)
        text.truncate(NAME_WIDTH, overflow="crop" if self.symbols is ASCII else "ellipsis")
        return text


def print_report(report: RiskReport, console: Console, headings: Headings, *, full: bool = False) -> None:
    """Print the report.

    Parameters
    ----------
    report : RiskReport
        What to print.
    console : rich.console.Console
        Where; its width decides how much of the tables is shown.
    headings : Headings
        Titles and units.
    full : bool
        Whether every estimate of every asset is printed.
    """
    page = _ReportPage(report, console, headings)
    page.heading()
    page.estimates(report.portfolio, headings.portfolio)
    if len(report.assets) > 1:
        page.contributions()
    page.worst()
    if len(report.assets) > 1:
        page.assets()
        if full:
            for asset in report.assets:
                page.estimates(asset, asset.name)
    page.notes(complete=full or len(report.assets) == 1)


class _ReportPage(Page):
    """One report on one console; keeps the footnotes met on the way."""

    def __init__(self, report: RiskReport, console: Console, headings: Headings) -> None:
        super().__init__(console)
        self.report = report
        self.headings = headings
        self.footnotes: dict[str, dict[str, None]] = {}
        levels = sorted(report.levels)
        self.level = MAIN_LEVEL if MAIN_LEVEL in levels else levels[len(levels) // 2]
        self.method = "historical" if "historical" in report.methods else report.methods[0]
        everything = (report.portfolio, *report.assets)
        self.number = number_format(
            [item.estimate(self.method, self.level).es for item in everything], headings.percent, self.symbols.infinity
        )
        self.shares = all(abs(part.weight) <= LARGEST_SHARE for part in report.contributions)
        self.confidence = f"{100 * report.confidence_level:g} %"

    def heading(self) -> None:
        """Print what the data are and the one sentence to take away."""
        report, headings = self.report, self.headings
        rows = f"{report.n_rows:,} {headings.row}s"
        period = f"{report.first_label} to {report.last_label}, {rows}" if headings.row == "day" else rows
        if report.portfolio.missing:
            period += f" ({report.portfolio.missing:,} left out of {headings.subject} for missing values)"
        self.say(f"Tail risk of {headings.source}", style="bold")
        self.say(period + (", weighted" if report.weighted else ""), style="dim")
        if headings.left_out:
            left_out = ", ".join(f"{name} ({reason})" for name, reason in headings.left_out.items())
            self.say(f"Columns left out: {left_out}", style="dim")
        self.console.print()
        self.say(self._headline())
        self.console.print()

    def _headline(self) -> Text:
        risk = self.report.portfolio.estimate(self.method, self.level)
        if math.isnan(risk.es):
            return Text(
                f"No {self._title(self.method)} estimate of {self.headings.subject}: {risk.reason or 'not defined'}."
            )
        verb = "lost" if risk.es >= 0 else "gained"
        text = Text(
            f"On the worst {100 - 100 * self.level:.4g} % of {self.headings.row}s {self.headings.subject} {verb} "
        )
        text.append(self.number(abs(risk.es)) + (" %" if self.headings.percent else ""), style="bold")
        return text.append(f" on average (ES; {self.confidence} interval {self._interval(risk.es_interval)}).")

    def estimates(self, series: SeriesRisk, title: str) -> None:
        """Print every estimator at every level, with intervals and a drawing of the ES."""
        plot = _Plot(series.estimates, self.symbols)
        table = self.table()
        table.add_column("Level")
        table.add_column("Estimator")
        for risk in ("VaR", "ES"):
            table.add_column(risk, justify="right")
            table.add_column(f"{self.confidence} interval", justify="right")
        table.add_column(plot.axis(self.number))
        room = self._room(series.estimates)
        previous = None
        for estimate in series.estimates:
            if previous not in (None, estimate.level):
                table.add_section()
            table.add_row(
                Text(percent(estimate.level) if previous != estimate.level else "", style="bold"),
                Text(self._title(estimate.method)),
                self._figure(estimate, estimate.var, room),
                Text(self._interval(estimate.var_interval), style="dim"),
                self._figure(estimate, estimate.es, room, style="bold"),
                Text(self._interval(estimate.es_interval), style="dim"),
                plot.draw(estimate),
            )
            previous = estimate.level
        self.show(f"{title}{self._unit(', losses ')}", table, spare=1)

    def contributions(self) -> None:
        """Print what each asset adds to the historical ES of the portfolio, largest first."""
        main = self.report.levels.index(self.level)
        parts = sorted(self.report.contributions, key=lambda part: _descending(part.es[main]))
        apart = sum(part.standalone_es[main] for part in parts)
        whole = sum(part.es[main] for part in parts)
        number = number_format([part.es[main] for part in parts], self.headings.percent, self.symbols.infinity)
        table = self.table(footer=True)
        table.add_column("Asset", "total", min_width=5)
        table.add_column("holding", self._holding(sum(part.weight for part in parts)), justify="right")
        table.add_column("ES alone", number(apart), justify="right")
        table.add_column("contribution", Text(number(whole), style="bold"), justify="right")
        levels = sorted(range(len(self.report.levels)), key=lambda position: position != main)
        for position in levels:
            table.add_column(f"share\n{percent(self.report.levels[position])}", "100.0 %", justify="right")
            if position == main:
                table.add_column("")
        shares = [part.share[main] for part in parts]
        for part in parts:
            cells = [
                f"{100 * part.share[position]:.1f} %" if math.isfinite(part.share[position]) else self.symbols.dash
                for position in levels
            ]
            table.add_row(
                self.name(part.name),
                self._holding(part.weight),
                number(part.standalone_es[main]),
                Text(number(part.es[main]), style="bold"),
                cells[0],
                Text(bar(part.share[main], shares, self.symbols), style="cyan"),
                *(Text(cell, style="dim") for cell in cells[1:]),
            )
        title = f"What adds up to the portfolio's ES ({percent(self.level)}, historical){self._unit(', ')}"
        self.show(title, table, spare=len(levels) - 1)
        if 0 < whole <= apart < math.inf:
            saved = 100 * (1 - whole / apart)
            self.say(f"Diversification takes {saved:.0f} % off the sum of the holdings' own ES.\n")

    def worst(self) -> None:
        """Print the worst outcomes of the portfolio and the assets behind them."""
        title = f"{self.headings.row}s of {self.headings.subject}{self._unit(', ')}"
        self.outcomes(
            title, self.report.worst, self.headings.row == "day", self.number, drivers=len(self.report.assets) > 1
        )

    def assets(self) -> None:
        """Print one line for each asset: VaR and ES by the main estimator, ES by the others; worst first."""
        report = self.report
        others = [method for method in report.methods if method != self.method]
        columns: list[tuple[str, Callable[[SeriesRisk], Text]]] = []
        if any(asset.missing for asset in report.assets):
            columns.append((f"{self.headings.row}s\nused", lambda asset: Text(f"{asset.n:,}")))
        for level in report.levels:
            columns.append((f"VaR\n{percent(level)}", self._asset_figure(self.method, level, "var")))
        for level in report.levels:
            columns.append((f"ES\n{percent(level)}", self._asset_figure(self.method, level, "es")))
            if level == self.level:
                columns.append((f"{self.confidence}\ninterval", self._asset_interval))
        for method in others:
            title = SHORT_TITLES.get(method, method) if self.symbols is not ASCII else method
            columns.append((f"ES\n{title}", self._asset_figure(method, self.level, "es")))
        table = self.table()
        table.add_column("Asset", min_width=5)
        for heading, _ in columns:
            table.add_column(heading, justify="right")
        for asset in sorted(report.assets, key=lambda item: _descending(item.estimate(self.method, self.level).es)):
            table.add_row(self.name(asset.name), *(cell(asset) for _, cell in columns))
        self.show(
            f"The assets{self._unit(', ')}: {self._title(self.method)} VaR and ES",
            table,
            spare=len(others),
            spare_title=f", then ES {percent(self.level)} by the other estimators",
        )

    def notes(self, *, complete: bool) -> None:
        """Print the footnotes and how to read the report."""
        for number, remarks in enumerate(self.footnotes.values(), start=1):
            first, *others = remarks
            like = f" ({len(others)} more of this kind; --json has them all)" if others else ""
            self.say(f"{self.symbols.footnote(number)} {first}{like}", style="yellow")
        if self.footnotes:
            self.console.print()
        text = (
            "VaR and ES are losses: positive when money is lost. Intervals take the "
            f"{self.headings.row}s to be independent; where bad ones come in clusters they are too narrow."
        )
        self.say(text + ("" if complete else " Every estimate of every asset: --full or --json."), style="dim")

    def _asset_figure(self, method: str, level: float, name: str) -> Callable[[SeriesRisk], Text]:
        room = self._room(asset.estimate(method, level) for asset in self.report.assets)

        def cell(asset: SeriesRisk) -> Text:
            estimate = asset.estimate(method, level)
            return self._figure(estimate, getattr(estimate, name), room, style="bold" if level == self.level else "")

        return cell

    def _asset_interval(self, asset: SeriesRisk) -> Text:
        return Text(self._interval(asset.estimate(self.method, self.level).es_interval), style="dim")

    def _figure(self, estimate: Estimate, figure: float, room: int, *, style: str = "") -> Text:
        """Write a figure, its footnote marks to the right of where the digits of the column end."""
        shown = self.symbols.dash if math.isnan(figure) else self.number(figure)
        text = Text(shown, style="dim" if estimate.notes else style)
        return text.append(self._marks(estimate).ljust(room), style="yellow")

    def _room(self, estimates: Iterable[Estimate]) -> int:
        return max(len(self._marks(estimate)) for estimate in estimates)

    def _marks(self, estimate: Estimate) -> str:
        remarks = estimate.notes if estimate.reason is None else (estimate.reason,)
        return ",".join(self.symbols.footnote(self._footnote(remark)) for remark in remarks)

    def _footnote(self, remark: str) -> int:
        """Return the number of the footnote; remarks that differ in figures only share one."""
        kind = FIGURE.sub("", remark)
        self.footnotes.setdefault(kind, {})[remark] = None
        return list(self.footnotes).index(kind) + 1

    def _interval(self, interval: tuple[float, float]) -> str:
        if all(math.isnan(end) for end in interval):
            return self.symbols.dash
        return f"{self.number(interval[0])} {self.symbols.to} {self.number(interval[1])}"

    def _holding(self, weight: float) -> str:
        return f"{100 * weight:.1f} %" if self.shares else f"{weight:,.6g}"

    def _title(self, method: str) -> str:
        title = TITLES.get(method, method)
        return title.replace("\u2013", "-") if self.symbols is ASCII else title

    def _unit(self, joint: str = " ") -> str:
        return f"{joint}in %" if self.headings.percent else ""


class _Plot:
    """Estimates of ES with their intervals, drawn on one common axis, which leaves out what is far away."""

    def __init__(self, estimates: Sequence[Estimate], symbols: Symbols) -> None:
        far = FAR_AWAY * max((abs(item.es) for item in estimates if math.isfinite(item.es)), default=1.0)
        far = min(far, LONGEST_AXIS / 2)
        ends = [min(max(end, -far), far) for item in estimates for end in (item.es, *item.es_interval)]
        ends = [end for end in ends if not math.isnan(end)]
        self.low, self.high = (min(ends), max(ends)) if ends else (0.0, 1.0)
        self.symbols = symbols

    def axis(self, number: Callable[[float], str]) -> Text:
        low, high = number(self.low), number(self.high)
        return Text(low + "ES".center(PLOT_WIDTH - len(low) - len(high)) + high, style="dim")

    def draw(self, estimate: Estimate) -> Text:
        if not math.isfinite(estimate.es):
            return Text("")
        cells = [" "] * PLOT_WIDTH
        low, high = estimate.es_interval
        if not (math.isnan(low) or math.isnan(high)):
            first, last = self._place(low), self._place(high)
            cells[first : last + 1] = self.symbols.line * (last + 1 - first)
            cells[first] = self.symbols.left
            cells[last] = self.symbols.right if high <= self.high else self.symbols.beyond
        point = self._place(estimate.es)
        cells[point] = self.symbols.point
        text = Text("".join(cells), style="dim")
        text.stylize("not dim bold cyan", point, point + 1)
        return text

    def _place(self, value: float) -> int:
        span = self.high - self.low
        position = (value - self.low) / span if span > 0 else 0.5
        return round(min(max(position, 0.0), 1.0) * (PLOT_WIDTH - 1))


def number_format(risks: Iterable[float], in_percent: bool, infinity: str) -> Callable[[float], str]:
    """Choose decimals that give a number as large as the median at least three significant digits."""
    unit = 100.0 if in_percent else 1.0
    sizes = sorted(abs(unit * risk) for risk in risks if math.isfinite(unit * risk) and risk != 0)
    scale = sizes[len(sizes) // 2] if sizes else 1.0
    decimals = min(max(2 - math.floor(math.log10(scale)), 2 if in_percent else 0), 9)
    style = f",.{decimals}f" if 1e-6 <= scale < 1e12 else ".3e"

    def number(value: float) -> str:
        shown = unit * value
        if not math.isfinite(shown):
            return str(shown).replace("inf", infinity)
        text = format(shown, style if abs(shown) < OFF_SCALE * scale else ".2e")
        return text if any(digit in text for digit in "123456789") else text.removeprefix("-")

    return number


def percent(level: float) -> str:
    """Write a level, as in 97.5 %."""
    return f"{100 * level:.6g} %"


def _descending(value: float) -> float:
    return math.inf if math.isnan(value) else -value


def bar(share: float, shares: Sequence[float], symbols: Symbols) -> str:
    """Draw a share on an axis that runs from the lowest negative share, or zero, to the highest."""
    finite = [item for item in shares if math.isfinite(item)]
    if not math.isfinite(share) or not finite:
        return ""
    low, high = min(0.0, *finite), max(0.0, *finite)
    scale = BAR_WIDTH / (high - low) if high > low else 0.0
    zero, end = round(-low * scale), round((share - low) * scale)
    return " " * min(zero, end) + symbols.bar * abs(end - zero)
