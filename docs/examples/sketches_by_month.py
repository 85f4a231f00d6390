"""A sketch for each day and asset, merged into months: Expected Shortfall of minute returns without keeping them.

    pip install "cshortfall[examples]"
    python docs/examples/sketches_by_month.py sketches

A trading system that sees every minute of every asset keeps one `TailSketch` for each day and asset, a file of a few
kilobytes. The sketch of a month, or of any other set of days, is the merged sketch of its days, to the bit the same as
if it had seen all minutes itself, in whatever order the days come in.

The daily returns are the real ones of four shares in 2020 that come with the package. Minutes are not published with
them, so those are made up: heavy-tailed noise of the size of the past month's volatility, bridged so that the 390
minutes of a day compound to its real return. Everything said about sketches is checked against these minutes.

In the folder given it leaves

    days/2020-03-16/JPM.tail ...    a sketch for each day and asset
    months/2020-03/JPM.tail ...     the merged sketches
    es_by_month.csv                 ES of each month and asset with its bounds, and the exact value
    es_by_month.png                 the same as plots
"""

import csv
import sys
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

import cshortfall
from cshortfall.datasets import load_equity_returns
from cshortfall.stream import TailSketch

ASSETS = ("AAPL", "JPM", "PG", "XOM")
YEAR = "2020"
MINUTES = 390
LEVEL = 0.99
RELATIVE_ACCURACY = 0.001
PAST_DAYS = 21


class Row(NamedTuple):
    """What is known about one asset in one month."""

    month: str
    asset: str
    count: int
    es: float
    es_low: float
    es_high: float
    exact: float


def trading_days():
    """Return the days of the year with, for each asset, its return and its volatility in the month before."""
    dates, names, returns = load_equity_returns()
    columns = [names.index(asset) for asset in ASSETS]
    days = []
    for row, date in enumerate(map(str, dates)):
        if date.startswith(YEAR):
            past = returns[row - PAST_DAYS : row, columns]
            days.append((date, returns[row, columns], past.std(axis=0)))
    return days


def minute_returns(date, asset, daily_return, volatility):
    """Make up the minute returns of one day; they compound to its real return."""
    seed = [int(date.replace("-", "")), ASSETS.index(asset)]
    noise = np.random.default_rng(seed).standard_t(4, MINUTES) / np.sqrt(2)
    noise *= volatility / np.sqrt(MINUTES)
    return np.expm1(noise - noise.mean() + np.log1p(daily_return) / MINUTES)


def write_days(folder):
    """Write a sketch for each day and asset, as a system does at the end of a day; return the minutes, to check."""
    minutes = {}
    for date, daily_returns, volatilities in trading_days():
        day = folder / "days" / date
        day.mkdir(parents=True, exist_ok=True)
        for asset, daily_return, volatility in zip(ASSETS, daily_returns, volatilities, strict=True):
            seen = minute_returns(date, asset, daily_return, volatility)
            sketch = TailSketch(RELATIVE_ACCURACY).update(seen)
            (day / f"{asset}.tail").write_bytes(sketch.to_bytes())
            minutes[date, asset] = seen
    return minutes


def read_sketch(path):
    """Return the sketch in a file."""
    return TailSketch.from_bytes(path.read_bytes())


def merge_months(folder):
    """Merge the sketches on disk into months; return the months."""
    months = []
    dates = sorted(path.name for path in (folder / "days").iterdir())
    for month, days in groupby(dates, key=lambda date: date[:7]):
        days = list(days)
        target = folder / "months" / month
        target.mkdir(parents=True, exist_ok=True)
        for asset in ASSETS:
            whole = TailSketch(RELATIVE_ACCURACY)
            for day in days:
                whole.merge(read_sketch(folder / "days" / day / f"{asset}.tail"))
            (target / f"{asset}.tail").write_bytes(whole.to_bytes())
        months.append(month)
    return months


def assess(folder, months, minutes):
    """Return a row for each month and asset; raise AssertionError if a sketch claims what is not so."""
    rows = []
    for month in months:
        for asset in ASSETS:
            sketch = read_sketch(folder / "months" / month / f"{asset}.tail")
            days = [seen for (date, name), seen in minutes.items() if date.startswith(month) and name == asset]
            exact = cshortfall.es(np.concatenate(days), LEVEL)
            low, high = sketch.es_bounds(LEVEL)
            assert low <= exact <= high, f"{asset} in {month}: {exact} is not within {low} to {high}"
            # The last day first, and all minutes in one sketch: the same bytes.
            assert TailSketch(RELATIVE_ACCURACY).update(np.concatenate(days[::-1])).to_bytes() == sketch.to_bytes()
            rows.append(Row(month, asset, sketch.count, sketch.es(LEVEL), low, high, exact))
    return rows


def write_table(path, rows):
    """Write the rows as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Row._fields)
        writer.writerows(rows)


def print_table(rows):
    """Print ES by month and asset, in basis points."""
    print(f"ES of minute returns at level {LEVEL:g}, in basis points")
    print("month  ", *(f"{asset:>7}" for asset in ASSETS))
    for month, of_month in groupby(rows, key=lambda row: row.month):
        print(month, *(f"{1e4 * row.es:7.2f}" for row in of_month))
    widest = max((row.es_high - row.es_low) / row.es for row in rows)
    farthest = max(abs(row.es / row.exact - 1) for row in rows)
    print(f"bounds at most {widest:.1e} of ES apart; ES at most {farthest:.1e} off the exact value, always within them")


def plot(path, folder, rows):
    """Draw ES by month, and how the tails of the calmest and the worst month of an asset differ."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for asset in ASSETS:
        own = [row for row in rows if row.asset == asset]
        (line,) = left.plot([row.month[5:] for row in own], [1e4 * row.es for row in own], label=asset)
        left.plot([row.month[5:] for row in own], [1e4 * row.exact for row in own], "o", color=line.get_color(), ms=3)
    left.set(title=f"ES of minute returns, level {LEVEL:g}", xlabel=f"month of {YEAR}", ylabel="basis points")
    left.legend(title="lines: sketches\ndots: exact")

    asset = ASSETS[0]
    own = sorted((row for row in rows if row.asset == asset), key=lambda row: row.es)
    masses = np.logspace(-1, -3, 60)
    for row, colour in ((own[-1], "C3"), (own[0], "C0")):
        sketch = read_sketch(folder / "months" / row.month / f"{asset}.tail")
        low, high = sketch.es_bounds(1 - masses)
        right.fill_between(masses, 1e4 * low, 1e4 * high, color=colour, alpha=0.3)
        right.plot(masses, 1e4 * sketch.es(1 - masses), color=colour, label=f"ES, {row.month}")
        right.plot(masses, 1e4 * sketch.var(1 - masses), "--", color=colour, lw=1, label=f"VaR, {row.month}")
    right.set(title=f"{asset}: every level from one sketch", xlabel="tail mass, 1 - level", xscale="log", yscale="log")
    right.invert_xaxis()
    right.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(folder):
    """Run everything within `folder`."""
    minutes = write_days(folder)
    months = merge_months(folder)
    rows = assess(folder, months, minutes)
    write_table(folder / "es_by_month.csv", rows)
    plot(folder / "es_by_month.png", folder, rows)
    print_table(rows)
    size = sum(path.stat().st_size for path in (folder / "months").rglob("*.tail"))
    print(f"{len(minutes):,} sketches of days; those of months take {size / len(rows):,.0f} bytes each")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "sketches"))
