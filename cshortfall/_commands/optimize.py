"""The command `optimize`: the portfolio of least ES under constraints, with its certificate, and the frontier."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

import cshortfall
from cshortfall._commands.app import app
from cshortfall._commands.options import (
    Columns,
    File,
    Header,
    Json,
    Missing,
    Percent,
    Prices,
    naming,
    page,
    parse_holdings,
    parse_levels,
    warnings_as_lines,
    without_doubt,
)
from cshortfall._commands.sample import Sample, read_sample, source_of, unit_of_rows
from cshortfall._observations import Observations
from cshortfall.cli import InputError, OptimumError, complain

if TYPE_CHECKING:
    from cshortfall._arguments import Floats
    from cshortfall._portfolio_report import PortfolioReport
    from cshortfall.optimize import ESLimit, Frontier, OptimizationResult, RiskBudget

GROUP = re.compile(r"(?P<name>[^=]+)=(?P<members>.+):(?P<lower>[^:]*):(?P<upper>[^:]*)")


class Objective(str, Enum):
    """What the best portfolio has."""

    MIN_ES = "min-es"
    MAX_RETURN = "max-return"
    MAX_RATIO = "max-ratio"
    RISK_PARITY = "risk-parity"


@app.command()
def optimize(
    file: File = None,
    objective: Annotated[
        Objective,
        typer.Option(
            "--objective",
            "-o",
            help="Least ES, largest mean (with --es-limit), largest mean/ES, or equal contributions to ES.",
        ),
    ] = Objective.MIN_ES,
    level: Annotated[
        str | None, typer.Option("--level", "-l", metavar="LEVEL", help="Confidence level. Default: 0.975.")
    ] = None,
    column: Columns = None,
    prices: Prices = False,
    nan: Annotated[
        Missing, typer.Option(help="Missing values: refuse them, or leave out the rows that hold one.")
    ] = Missing.RAISE,
    weights: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of observation weights (not negative, any scale).")
    ] = None,
    long_only: Annotated[
        bool | None,
        typer.Option("--long-only/--long-short", help="Whether weights below zero are refused. Default: they are."),
    ] = None,
    max_weight: Annotated[
        float | None, typer.Option(metavar="WEIGHT", help="Largest weight; with --long-short of short positions too.")
    ] = None,
    min_weight: Annotated[float | None, typer.Option(metavar="WEIGHT", help="Least weight of every asset.")] = None,
    budget: Annotated[float, typer.Option(metavar="SUM", help="Sum of the weights.")] = 1.0,
    gross: Annotated[
        float | None, typer.Option(metavar="SUM", help="Largest sum of the absolute values of the weights.")
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=A,B:LOW:HIGH",
            help="Least and largest weight of some assets together, as in tech=AAPL,MSFT:0:.4; either may be left out. "
            "Repeatable.",
        ),
    ] = None,
    return_target: Annotated[
        float | None, typer.Option(metavar="MEAN", help="Least mean of a row, in the unit of the returns.")
    ] = None,
    mean_weight: Annotated[
        float, typer.Option(metavar="NUMBER", help="Minimise ES minus so many times the mean.")
    ] = 0.0,
    es_limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ES[@LEVEL]", help="Largest ES, as in 0.03 or 0.05@0.99. Default: at --level. Repeatable."
        ),
    ] = None,
    current: Annotated[
        str | None, typer.Option(metavar="A=.6,B=.4", help="Holdings now, for --turnover and --costs; or cash.")
    ] = None,
    turnover: Annotated[
        float | None, typer.Option(metavar="SUM", help="Largest sum of what is bought and sold.")
    ] = None,
    costs: Annotated[
        float | None, typer.Option(metavar="RATE", help="Cost of trading a weight of one, taken off every outcome.")
    ] = None,
    cardinality: Annotated[int | None, typer.Option(metavar="COUNT", help="Largest number of assets held.")] = None,
    min_position: Annotated[
        float | None, typer.Option(metavar="WEIGHT", help="A weight is zero or at least so large.")
    ] = None,
    lot_size: Annotated[float | None, typer.Option(metavar="WEIGHT", help="Weights are whole multiples of it.")] = None,
    frontier: Annotated[
        int | None,
        typer.Option(min=2, metavar="COUNT", help="So many portfolios from the least ES to the largest mean, too."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with charts, whole in one file.")
    ] = None,
    header: Header = None,
    percent: Percent = False,
    time_limit: Annotated[float | None, typer.Option(metavar="SECONDS", help="Give up after so long.")] = None,
    tol: Annotated[float, typer.Option(metavar="GAP", help="Largest relative gap to the certified bound.")] = 1e-8,
    as_json: Json = False,
) -> None:
    """Find the portfolio of least ES under constraints, certified, and the efficient frontier.

    Weights sum to one (--budget) and are not negative unless --long-short is given. ES is a loss: positive when money
    is lost. Exit code 3 says that there is no optimum: the constraints contradict each other, or a limit was reached
    first.
    """
    if html is not None:
        from cshortfall import _page
        from cshortfall._sketch_files import check_writable

        check_writable(html)
    (only_level,) = parse_levels(None if level is None else [level])
    constraints = {
        "budget": budget,
        "bounds": _bounds(long_only, min_weight, max_weight),
        "gross": gross,
        "groups": _groups(group),
        "return_target": return_target,
        "es_limits": _es_limits(es_limit, only_level),
        "current": _holdings_now(current),
        "turnover": turnover,
        "costs": costs,
        "cardinality": cardinality,
        "min_position": min_position,
        "lot_size": lot_size,
    }
    for name in ("turnover", "costs"):
        if constraints[name] is not None and current is None:
            raise InputError(f"{_option(name)} needs the holdings now: --current A=.6,B=.4, or --current cash")
    source = source_of(file)
    with naming(source, or_command=True):
        sample = read_sample(
            file, list(dict.fromkeys(column or [])), weights, prices=prices, nan_policy=nan.value, header=header
        )
        table, probabilities, missing = _complete(sample, weights, nan.value)
    if not prices and (table.values > 0).all():
        complain("warning", f"{source}: all numbers are positive; if they are prices, say --prices")
    options = {"probabilities": probabilities, "tol": tol, "time_limit": time_limit}
    with _optimising(source), warnings_as_lines():
        result, points = _solve(
            table, objective, only_level, constraints, options, mean_weight=mean_weight, n_points=frontier
        )
    from cshortfall._portfolio_report import portfolio_report

    with without_doubt():
        report = portfolio_report(
            table,
            probabilities,
            result,
            points,
            objective.value,
            source=source,
            level=only_level,
            row=unit_of_rows(table.labels),
            missing=missing,
            left_out=sample.left_out,
            percent=percent or prices or file is None,
        )
    if html is not None:
        _page.write_page(html, report)
    _show(report, as_json=as_json)


def _bounds(long_only: bool | None, least: float | None, most: float | None) -> tuple[float | None, float | None]:
    """Return the least and the largest weight."""
    for option, value in (("--min-weight", least), ("--max-weight", most)):
        if value is not None and math.isnan(value):
            raise InputError(f"{option}: nan is no weight")
    if least is not None:
        if long_only and least < 0:
            raise InputError(f"--min-weight {least:g} does not go with --long-only")
    elif long_only is not False:
        least = 0.0
    elif most is not None:
        least = -abs(most)
    if least is not None and most is not None and most < least:
        raise InputError(f"--max-weight {most:g} is below the least weight, {least:g}")
    return least, most


def _groups(texts: list[str] | None) -> dict[str, tuple[list[str], float | None, float | None]] | None:
    """Read groups such as tech=AAPL,MSFT:0:.4."""
    groups: dict[str, tuple[list[str], float | None, float | None]] = {}
    for text in texts or []:
        match = GROUP.fullmatch(text)
        if match is None:
            raise InputError(f"--group: {text!r} is not of the form NAME=A,B:LOW:HIGH, as in tech=AAPL,MSFT:0:.4")
        name = match["name"].strip()
        if name in groups:
            raise InputError(f"--group: {name} is named twice")
        members = [member.strip() for member in match["members"].split(",")]
        groups[name] = (members, _limit(name, match["lower"]), _limit(name, match["upper"]))
    return groups or None


def _limit(name: str, text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise InputError(f"--group: {text!r}, a limit of {name}, is not a number") from None


def _es_limits(texts: list[str] | None, level: float) -> list[ESLimit]:
    """Read limits such as 0.05@0.99."""
    from cshortfall.optimize import ESLimit

    limits = []
    for text in texts or []:
        limit, at, own = text.partition("@")
        try:
            number = float(limit)
        except ValueError:
            raise InputError(f"--es-limit: {text!r} is not of the form ES or ES@LEVEL, as in 0.05@0.99") from None
        own_level = parse_levels([own], "--es-limit")[0] if at else level
        limits.append(ESLimit(number, own_level, name=f"--es-limit {text}"))
    return limits


def _holdings_now(text: str | None) -> dict[str, float] | float | None:
    if text is None:
        return None
    return 0.0 if text.strip() == "cash" else parse_holdings(text, "--current")


def _complete(sample: Sample, weights: str | None, nan_policy: str) -> tuple[Observations, Floats | None, int]:
    """Return the rows that hold all numbers, their weights, and how many are left out."""
    values, labels, row_weights = sample.returns, sample.labels, sample.weights
    gaps = np.isnan(values).any(axis=1) if nan_policy == "omit" else np.zeros(len(values), dtype=bool)
    if gaps.any():
        kept = np.flatnonzero(~gaps).tolist()
        values = values[kept]
        labels = [str(row + sample.first_row) if labels is None else labels[row] for row in kept]
        row_weights = None if row_weights is None else row_weights[kept]
    table = Observations.checked(values, sample.names, labels, first_row=sample.first_row, nan_policy=nan_policy)
    table.refuse(np.isinf(table.values), "{value} is not finite")
    return table, table.weights(row_weights, f"column {weights}"), int(gaps.sum())


def _solve(
    table: Observations,
    objective: Objective,
    level: float,
    constraints: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    mean_weight: float,
    n_points: int | None,
) -> tuple[OptimizationResult | RiskBudget, Frontier | None]:
    """Return the portfolio, and the frontier if one is wanted; the assets have the names of the columns."""
    import pyarrow

    from cshortfall.optimize import TimeLimitError, frontier, maximize_ratio, maximize_return, minimize_es

    returns = pyarrow.table(dict(zip(table.names, table.values.T, strict=True)))
    if mean_weight and objective is not Objective.MIN_ES:
        raise InputError(f"--mean-weight does not go with --objective {objective.value}")
    whole = [name for name in ("cardinality", "min_position", "lot_size") if constraints[name] is not None]
    if whole and objective is Objective.MAX_RATIO:
        raise InputError(
            f"{_option(whole[0])} does not go with --objective {objective.value}; see mean/ES of --objective min-es "
            "--frontier 20"
        )
    result: OptimizationResult | RiskBudget
    if objective is Objective.RISK_PARITY:
        result = _risk_parity(returns, level, constraints, options)
    elif objective is Objective.MAX_RETURN:
        own = {name: value for name, value in constraints.items() if name != "es_limits"}
        if not constraints["es_limits"]:
            raise InputError("--objective max-return needs --es-limit")
        result = maximize_return(returns, constraints["es_limits"], level, **own, **options)
    elif objective is Objective.MAX_RATIO:
        result = maximize_ratio(returns, level, **constraints, **options)
    else:
        result = minimize_es(returns, level, mean_weight=mean_weight, **constraints, **options)
    if n_points is None:
        return result, None
    limit = options["time_limit"]
    if limit is not None and result.seconds >= limit:
        raise TimeLimitError(f"the time limit of {limit:g} s was reached before the frontier")
    rest = {**options, "time_limit": None if limit is None else limit - result.seconds}
    return result, frontier(returns, level, n_points, **constraints, **rest)


def _risk_parity(returns: Any, level: float, constraints: Mapping[str, Any], options: Mapping[str, Any]) -> RiskBudget:
    from cshortfall.optimize import risk_budget

    for name, value in constraints.items():
        if name == "budget" or value in (None, []) or (name == "bounds" and value == (0.0, None)):
            continue
        option = "--long-short, --min-weight or --max-weight" if name == "bounds" else _option(name)
        raise InputError(f"--objective risk-parity has weights of its own; it does not take {option}")
    return risk_budget(returns, level, budget=constraints["budget"], **options)


def _option(name: str) -> str:
    """Return the option for a keyword of the library."""
    return "--" + {"groups": "group", "es_limits": "es-limit"}.get(name, name).replace("_", "-")


@contextlib.contextmanager
def _optimising(source: str) -> Iterator[None]:
    """Turn what the optimiser says into one line that names the option, or the file if it is about the returns."""
    from cshortfall.optimize import Constraints, OptimizationError

    keywords = {*(one.name for one in dataclasses.fields(Constraints)), "level", "mean_weight", "tol", "time_limit"}

    try:
        yield
    except OptimizationError as error:
        text = str(error)
        if error.value is not None and math.isfinite(error.lower_bound):
            text += f" (the best so far is {error.value:.6g}, the bound {error.lower_bound:.6g})"
        raise OptimumError(text) from error
    except (ValueError, TypeError) as error:
        keyword, _, reason = str(error).partition(" ")
        group = re.fullmatch(r"(\w+)\[(.+)\]", keyword)
        if group is not None:
            keyword, reason = group[1], f"{group[2]} {reason}"
        raise InputError(f"{_option(keyword)} {reason}" if keyword in keywords else f"{source}: {error}") from error


def _show(report: PortfolioReport, *, as_json: bool) -> None:
    if as_json:
        from cshortfall._portfolio_report import as_dict

        content = {"cshortfall": cshortfall.__version__, **as_dict(report)}
        typer.echo(json.dumps(content, indent=2, allow_nan=False))
        return
    from cshortfall._terminal_optimize import print_portfolio

    with page() as console:
        print_portfolio(report, console)
