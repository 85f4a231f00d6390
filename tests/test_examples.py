"""The examples of the README, and the scripts of docs/examples, run as their first lines say."""

import csv
import doctest
import math
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cshortfall
from cshortfall.stream import TailSketch

CHECKOUT = Path(__file__).parents[1]
EXAMPLES = CHECKOUT / "docs" / "examples"

pytest.importorskip("matplotlib")
if not EXAMPLES.is_dir():
    pytest.skip("the examples are in the checkout only", allow_module_level=True)


def test_the_examples_of_the_readme_give_what_they_say():
    result = doctest.testfile(str(CHECKOUT / "README.md"), module_relative=False, encoding="utf-8")
    assert result.attempted >= 17
    assert result.failed == 0


def run(script, folder):
    """Run an example; return its folder and what it printed."""
    process = subprocess.run(
        [sys.executable, str(EXAMPLES / script), str(folder)],
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return folder, process.stdout


@pytest.fixture(scope="module")
def sketches(tmp_path_factory):
    return run("sketches_by_month.py", tmp_path_factory.mktemp("sketches"))


@pytest.fixture(scope="module")
def hedges(tmp_path_factory):
    return run("hedge_with_puts.py", tmp_path_factory.mktemp("hedges"))


def read(path):
    return TailSketch.from_bytes(path.read_bytes())


def test_there_is_a_sketch_for_each_day_and_asset_and_one_for_each_month(sketches):
    folder, _ = sketches
    assert len(list((folder / "days").glob("2020-*-*/*.tail"))) == 253 * 4
    assert len(list((folder / "months").glob("2020-*/*.tail"))) == 12 * 4
    for month in (folder / "months").iterdir():
        for path in month.iterdir():
            days = [read(day) for day in (folder / "days").glob(f"{month.name}-*/{path.name}")]
            assert read(path).count == sum(day.count for day in days) == 390 * len(days)


def test_the_month_of_a_share_is_the_sketch_of_all_its_minutes(sketches, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    folder, _ = sketches
    example = runpy.run_path(str(EXAMPLES / "sketches_by_month.py"))
    asset = example["ASSETS"].index("JPM")
    minutes = []
    for date, returns, volatilities in example["trading_days"]():
        if date.startswith("2020-03"):
            minutes.append(example["minute_returns"](date, "JPM", returns[asset], volatilities[asset]))
            assert math.isclose(np.prod(1 + minutes[-1]), 1 + returns[asset], rel_tol=1e-12)
    month = read(folder / "months" / "2020-03" / "JPM.tail")
    assert month == TailSketch(0.001).update(np.concatenate(minutes))
    for level in (0.5, 0.9, 0.975, 0.999):
        low, high = month.es_bounds(level)
        assert low <= cshortfall.es(np.concatenate(minutes), level) <= high


def test_the_table_holds_the_exact_values_within_the_bounds(sketches):
    folder, output = sketches
    with (folder / "es_by_month.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 * 4
    for row in rows:
        assert float(row["es_low"]) <= float(row["exact"]) <= float(row["es_high"])
        assert float(row["es_low"]) <= float(row["es"]) <= float(row["es_high"])
        assert f"{1e4 * float(row['es']):.2f}" in output


def test_the_plots_are_drawn(sketches):
    import matplotlib.image

    folder, _ = sketches
    image = matplotlib.image.imread(folder / "es_by_month.png")
    assert image.shape[0] > 400
    assert image.shape[1] > 1000
    assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 100


def test_es_falls_as_hedges_cost_more(hedges):
    folder, output = hedges
    with (folder / "hedges.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    cost, shortfall = ([float(row[name]) for row in rows] for name in ("cost", "es"))
    assert len(rows) > 4
    assert rows[0]["hedge"] == "nothing"
    assert (np.diff(cost) > 0).all()
    assert (np.diff(shortfall) < 0).all()
    assert "put 85" in output
    assert all(float(word.split(" x ")[0]).is_integer() for row in rows[1:] for word in row["hedge"].split("; "))


def test_the_cheapest_hedge_of_the_example_halves_es(hedges):
    _, output = hedges
    after, before = re.search(r"ES ([\d,]+) \(unhedged ([\d,]+)\)", output).groups()
    assert float(after.replace(",", "")) <= 0.5 * float(before.replace(",", "")) + 0.5
    assert f"ES of at most {0.5 * float(before.replace(',', '')):,.0f}"[:-2] in output


def test_the_frontier_of_the_example_is_drawn(hedges):
    import matplotlib.image

    folder, _ = hedges
    image = matplotlib.image.imread(folder / "hedges.png")
    assert image.shape[1] > 1000
    assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 100
