"""The commands `sketch merge` and `sketch show`, for the files that `stream --save` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

import cshortfall
from cshortfall._commands.app import CONTEXT, app
from cshortfall._commands.options import (
    Json,
    Levels,
    Tail,
    TailOption,
    naming,
    page,
    parse_levels,
    plain_number,
    warnings_as_lines,
)
from cshortfall._sketch_files import read_sketch, write_sketch
from cshortfall._terminal import Page, percent
from cshortfall.stream import TailSketch

Row = dict[str, float]

commands = typer.Typer(context_settings=CONTEXT, help="Merge and show the sketches that `stream --save` writes.")
app.add_typer(commands, name="sketch")


def sketch_risk(sketch: TailSketch, level: float, tail: str) -> Row:
    """Return what a sketch says about one level."""
    low, high = sketch.es_bounds(level, tail=tail)
    es, var = sketch.es(level, tail=tail), sketch.var(level, tail=tail)
    return {"level": level, "es": es, "es_low": low, "es_high": high, "var": var}


@commands.command()
def merge(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Sketches of the same relative accuracy.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the merged sketch instead of showing it."),
    ] = None,
) -> None:
    """Merge sketches into the one of all their values, and show or write it; their order does not matter."""
    first, *others = files
    with naming(str(first)):
        whole = read_sketch(first)
    for file in others:
        with naming(str(file)):
            whole.merge(read_sketch(file))
    if output is None:
        _present(" + ".join(map(str, files)), whole, parse_levels(None), Tail.LOWER)
        return
    write_sketch(output, whole)
    typer.echo(f"{output}: {whole.count:,} values of {len(files)} sketches")


@commands.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sketch.")],
    level: Levels = None,
    tail: TailOption = Tail.LOWER,
    as_json: Json = False,
) -> None:
    """Show what a sketch says: ES with the bounds that the exact one lies between, and VaR."""
    levels = parse_levels(level)
    with naming(str(file)):
        sketch = read_sketch(file)
    _present(str(file), sketch, levels, tail, as_json=as_json)


def _present(source: str, sketch: TailSketch, levels: list[float], tail: Tail, *, as_json: bool = False) -> None:
    facts = {
        "count": sketch.count,
        "missing": sketch.missing,
        "sum": sketch.sum,
        "min": sketch.min,
        "max": sketch.max,
        "relative_accuracy": sketch.relative_accuracy,
        "max_buckets": sketch.max_buckets,
        "bytes": len(sketch.to_bytes()),
    }
    with warnings_as_lines():
        risks = [
            {**sketch_risk(sketch, item, tail.value), "resolved": sketch.resolves(item, tail=tail.value)}
            for item in (levels if sketch.count else [])
        ]
    if as_json:
        plain = [{name: plain_number(value) for name, value in risk.items()} for risk in risks]
        numbers = {name: plain_number(value) for name, value in facts.items()}
        head = {"cshortfall": cshortfall.__version__, "source": source, **numbers, "tail": tail.value}
        typer.echo(json.dumps({**head, "risk": plain}, indent=2, allow_nan=False))
        return
    with page() as console:
        _show_sketch(Page(console), source, facts, risks)


def _show_sketch(page: Page, source: str, facts: Row, risks: list[Row]) -> None:
    page.say(f"Sketch {source}", style="bold")
    missing = f", {facts['missing']:,} missing" if facts["missing"] else ""
    period = f" from {facts['min']:.6g} to {facts['max']:.6g}, sum {facts['sum']:.6g}" if risks else ""
    page.say(f"{facts['count']:,} values{period}{missing}", style="dim")
    page.say(f"relative accuracy {facts['relative_accuracy']:g}, {facts['bytes']:,} bytes", style="dim")
    page.console.print()
    if not risks:
        return
    table = page.table()
    table.add_column("Level")
    for heading in ("VaR", "ES", "at least", "at most"):
        table.add_column(heading, justify="right")
    for risk in risks:
        figures = [f"{risk[name]:.6g}" for name in ("var", "es", "es_low", "es_high")]
        table.add_row(percent(risk["level"]), figures[0], Text(figures[1], style="bold"), *figures[2:])
    page.console.print(table)
    if not all(risk["resolved"] for risk in risks):
        page.say(
            f"A tail ends among values nearer to zero than the {facts['max_buckets']:,} buckets of its side reach: "
            "its bounds are wider.",
            style="yellow",
        )
