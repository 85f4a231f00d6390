"""An optimised portfolio as a page: HTML with its charts in it, which needs nothing else to be read.

Needs the extra ``html`` (jinja2, matplotlib).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

import cshortfall
from cshortfall._portfolio_report import PortfolioReport, held_assets, sorted_duals
from cshortfall._sketch_files import write_whole
from cshortfall._terminal import number_format, percent

__all__ = ["page_of", "write_page"]

# Colours of the charts; the page says what each is on light and on dark ground. What it does not know it shows as is.
INK, FAINT, GROUND = "#010101", "#020202", "#030303"
SERIES = ("#0a0001", "#0a0002", "#0a0003", "#0a0004", "#0a0005", "#0a0006", "#0a0007", "#0a0008")
OTHERS = "#0a0009"
VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    GROUND: "var(--ground)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, start=1)},
    OTHERS: "var(--others)",
}
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
}
WIDTH, HEIGHT, BAR = 5.0, 3.4, 0.27
"""Inches: of the charts, of each pair of bars."""
BARS = 15
DUALS = 10


def write_page(path: Path, report: PortfolioReport) -> None:
    """Write the page of a portfolio to a file."""
    write_whole(path, page_of(report).encode())


def page_of(report: PortfolioReport) -> str:
    """Return the page of a portfolio as HTML."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(files("cshortfall").joinpath("_page.html.jinja").read_text("utf-8"))
    risks = [report.es, *(point.es for point in report.frontier)]
    means = [report.mean, *(point.mean for point in report.frontier)]
    return template.render(
        report=report,
        version=cshortfall.__version__,
        level=percent(report.level),
        number=number_format(risks, report.percent, "∞"),
        part=number_format([one.es for one in report.holdings], report.percent, "∞"),
        mean=number_format(means, report.percent, "∞"),
        unit=" %" if report.percent else "",
        duals=sorted_duals(report),
        shown_duals=DUALS,
        largest=max((abs(one.weight) for one in report.holdings), default=1.0),
        held=held_assets,
        charts=_charts(report),
    )


def _charts(report: PortfolioReport) -> list[dict[str, Any]]:
    """Draw what there is to draw."""
    unit = 100.0 if report.percent else 1.0
    colours = _colours(report)
    charts = []
    if report.frontier:
        charts += [
            _chart("Efficient frontier", lambda axes: _draw_frontier(axes, report, unit)),
            _chart("Weights along the frontier", lambda axes: _draw_weights(axes, report, colours, unit), colours),
        ]
    if report.holdings:
        height = max(HEIGHT, 0.9 + BAR * min(len(report.holdings), BARS))
        charts.append(_chart("Weights and contributions to ES", lambda axes: _draw_parts(axes, report), height=height))
    return charts


def _colours(report: PortfolioReport) -> dict[str, str]:
    """Return a colour for each asset that is large somewhere along the frontier."""
    if not report.frontier:
        return {}
    sizes = np.abs(np.array([point.weights for point in report.frontier])).sum(axis=0)
    order = [int(place) for place in np.argsort(-sizes, kind="stable") if sizes[place] > 0]
    chosen = {report.names[place]: SERIES[rank] for rank, place in enumerate(order[: len(SERIES)])}
    return chosen if len(order) <= len(SERIES) else {**chosen, "others": OTHERS}


def _chart(
    title: str, draw: Callable[[Any], None], legend: dict[str, str] | None = None, height: float = HEIGHT
) -> dict[str, Any]:
    """Draw a chart as SVG that takes its colours from the page."""
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure.add_subplot())
        target = io.StringIO()
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = target.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    # Every chart of a page has ids of its own, and the size that its column gives it.
    prefix = re.sub(r"\W+", "-", title.lower())
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
    entries = [(name, VARIABLES[colour]) for name, colour in (legend or {}).items()]
    return {"title": title, "svg": Markup(svg), "legend": entries}


def _draw_frontier(axes: Any, report: PortfolioReport, unit: float) -> None:
    es = unit * np.array([point.es for point in report.frontier])
    mean = unit * np.array([point.mean for point in report.frontier])
    axes.plot(es, mean, color=SERIES[0], marker="o", markersize=3.5, linewidth=1.5, clip_on=False)
    axes.plot(
        unit * report.es,
        unit * report.mean,
        "o",
        markersize=9,
        markerfacecolor=SERIES[1],
        markeredgecolor=GROUND,
        zorder=3,
    )
    right = unit * report.es < (es[0] + es[-1]) / 2
    axes.annotate(
        "this portfolio",
        (unit * report.es, unit * report.mean),
        (11 if right else -11, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="center",
    )
    unit_name = ", in %" if report.percent else ""
    axes.set_xlabel(f"ES {percent(report.level)}{unit_name}")
    axes.set_ylabel(f"mean per {report.row}{unit_name}")
    axes.grid(True)


def _draw_weights(axes: Any, report: PortfolioReport, colours: dict[str, str], unit: float) -> None:
    """Stack long positions above zero and short ones below."""
    weights = 100 * np.array([point.weights for point in report.frontier])
    mean = unit * np.array([point.mean for point in report.frontier])
    places = [report.names.index(name) for name in colours if name in report.names]
    rest = np.delete(weights, places, axis=1)
    options = {"colors": list(colours.values()), "linewidth": 0.5, "edgecolor": GROUND}
    for side in (np.maximum, np.minimum):
        stack = [side(weights[:, place], 0) for place in places]
        stack += [side(rest, 0).sum(axis=1)] * (len(colours) > len(places))
        if np.any(stack):
            axes.stackplot(mean, stack, **options)
    if (weights < 0).any():
        axes.axhline(0, color=INK, linewidth=0.8)
    axes.margins(x=0)
    axes.set_xlabel(f"mean per {report.row}{', in %' if report.percent else ''}")
    axes.set_ylabel("weight, in %")


def _draw_parts(axes: Any, report: PortfolioReport) -> None:
    """Draw weight and share of ES of the largest holdings, in the order of the table."""
    largest = sorted(report.holdings, key=lambda one: -abs(one.weight))[:BARS]
    shown = [one for one in report.holdings if one in largest]
    places = np.arange(len(shown))[::-1]
    _bars(axes, places + 0.2, [100 * one.weight for one in shown], SERIES[0], "weight")
    _bars(axes, places - 0.2, [100 * one.share for one in shown], SERIES[1], "share of ES")
    axes.set_yticks(places, [one.name.replace("$", r"\$") for one in shown])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("in %")
    axes.grid(True, axis="x")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="lower right")


def _bars(axes: Any, places: Any, widths: Sequence[float], colour: str, label: str) -> None:
    axes.barh(places, widths, 0.38, color=colour, label=label)
