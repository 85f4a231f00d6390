"""`TailWindow`, one value at a time, and `TailSketch` against the sketches of datasketches and ddsketch."""

import collections
import functools
import shutil
import statistics
import subprocess

import numpy as np
import pytest
from inputs import KINDS, sample
from instructions import build_driver
from peers import DD_SKETCH, FINE_KLL, KLL, T_DIGEST
from race import Target, check_agreement
from reference import tail_count, tail_mean_loss
from table import FASTER

from cshortfall.stream import TailSketch, TailWindow

LEVEL = 0.975
SKETCH_LEVEL = 0.99
TEN_MILLION = 10_000_000
WINDOWS = (250, 1_000, 10_000)
PUSHES = 100_000
DRIVER_PUSHES = 1_000_000

kinds = pytest.mark.parametrize("kind", KINDS)
windows = pytest.mark.parametrize("window", WINDOWS, ids="window={}".format)


def exact_shortfall(x, level):
    return tail_mean_loss(x, tail_count(x.size, level))


def push_all(push, values):
    """Call `push` for every value from C, so that next to nothing but the calls is timed."""
    collections.deque(map(push, values), maxlen=0)


@kinds
@windows
def test_push_from_python(race, kind, window):
    x = sample(kind, PUSHES)
    live = TailWindow(window, LEVEL)
    push_all(live.push, x.tolist())
    check_agreement(lambda: live.es, exact_shortfall(x[-window:], LEVEL), 1e-15)
    subject = functools.partial(push_all, live.push, x.tolist())
    race.alone(f"TailWindow.push from Python, window {window:,}", kind, subject, bound=150e-9, scale=1 / PUSHES)


@kinds
@windows
def test_push_from_c(race, tmp_path, kind, window):
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    x = sample(kind, DRIVER_PUSHES)
    x.tofile(tmp_path / "values")
    arguments = [str(build_driver(tmp_path, "push_driver")), str(window), str(x.size), str(tmp_path / "values"), "9"]
    call = functools.partial(subprocess.run, arguments, check=True, capture_output=True, text=True)
    es, *rounds = map(float, call().stdout.split())
    check_agreement(lambda: es, exact_shortfall(x[-window:], LEVEL), 1e-15)
    case = f"cs_window_push from C, window {window:,}"
    race.figure(case, kind, statistics.median(rounds), "ns", call, bound=60)


def filled(values):
    return TailSketch().update(values)


@functools.lru_cache(maxsize=2)
def checked_sketch(kind):
    """Data of one kind and their exact ES, once the sketch of them was found to hold it within its bounds."""
    x = sample(kind, TEN_MILLION)
    exact = exact_shortfall(x, SKETCH_LEVEL)
    sketch = filled(x)
    low, high = sketch.es_bounds(SKETCH_LEVEL)
    assert sketch.count == x.size
    assert low * (1 - 1e-15) <= exact <= high * (1 + 1e-15)
    return x, exact, sketch


@kinds
def test_update_of_a_sketch(race, kind):
    x, *_ = checked_sketch(kind)
    case = f"TailSketch.update(array), n = {x.size:,}, time per value"
    race.alone(case, kind, functools.partial(filled, x), bound=6e-9, scale=1 / x.size)


@kinds
@pytest.mark.parametrize(
    ("peer", "bound", "n"),
    [(KLL, 10, TEN_MILLION), (FINE_KLL, None, TEN_MILLION), (T_DIGEST, 10, TEN_MILLION), (DD_SKETCH, 200, 200_000)],
    ids=lambda value: str(value).replace(" ", "-"),
)
def test_update_against_other_sketches(race, kind, peer, bound, n):
    x, *_ = checked_sketch(kind)
    # datasketches refuses an array that is read-only.
    values = x.copy() if n == x.size else x[:n].tolist()
    call = peer.call(values)
    quantile = peer.quantile(call(), 1 - SKETCH_LEVEL)
    share = np.count_nonzero(x[:n] <= quantile) / n
    assert abs(share - (1 - SKETCH_LEVEL)) <= peer.share, f"{peer.name}: {share} of the values, not {1 - SKETCH_LEVEL}"
    note = "quantiles alone, no mean of a tail" + (
        "" if n == x.size else f"; timed on {n:,} values, times {x.size / n:g}"
    )
    race.against(
        f"TailSketch.update(array), n = {x.size:,}",
        kind,
        functools.partial(filled, x),
        peer.name,
        call,
        target=Target(FASTER, bound),
        note=note,
        scale=x.size / n,
    )


@kinds
def test_error_of_a_sketch(race, kind):
    x, exact, sketch = checked_sketch(kind)
    error = abs(sketch.es(SKETCH_LEVEL) / exact - 1)
    case = f"relative error of TailSketch(0.001).es({SKETCH_LEVEL:g}), n = {x.size:,}"
    bound = 100 if kind == "t(3)" else None
    race.figure(case, kind, 1e6 * error, "in a million", functools.partial(sketch.es, SKETCH_LEVEL), bound=bound)


@kinds
def test_size_of_a_sketch(race, kind):
    x, _, sketch = checked_sketch(kind)
    case = f"bytes of TailSketch(0.001), n = {x.size:,}"
    race.figure(case, kind, len(sketch.to_bytes()) / 1000, "kB", functools.partial(sketch.to_bytes), bound=32)


@kinds
def test_bounds_of_a_hundred_million(race, kind):
    x, *_ = checked_sketch(kind)
    scales = np.linspace(0.9, 1.1, 10)
    sketch = TailSketch()
    for scale in scales:
        sketch.update(scale * x)
    # All that may belong to the tail of all ten, for the exact value.
    worst = np.concatenate([part[part < np.quantile(x[:100_000], 0.03)] for part in (scale * x for scale in scales)])
    exact = tail_mean_loss(worst, tail_count(sketch.count, SKETCH_LEVEL))
    low, high = sketch.es_bounds(SKETCH_LEVEL)
    assert low * (1 - 1e-15) <= exact <= high * (1 + 1e-15)
    case = f"width of TailSketch(0.001).es_bounds({SKETCH_LEVEL:g}) over ES, n = {sketch.count:,}"
    call = functools.partial(sketch.es_bounds, SKETCH_LEVEL)
    race.figure(case, kind, 1e6 * (high - low) / exact, "in a million", call, bound=None)
