"""The kernel of moving windows against the textbook on every window, to the bit."""

import hashlib
import sys

import datasets
import numpy as np
import pytest
import textbook
from bits import assert_same_bits
from processes import run_python

from cshortfall._core.rolling import rolling_bounds_rows, rolling_rows
from cshortfall._core.tail import available_isas, tail_rows

SAMPLES = datasets.NAMED | datasets.ADVERSARIAL


def rolling(values, window, levels, *, lead=1, step=1, tail="lower", min_count=1, threads=1):
    """Return (es, var) of one series, a row for each level."""
    levels = np.array(levels, dtype=np.float64)
    es, var = rolling_rows(values[None], window, lead, step, levels, tail == "upper", min_count, threads)
    return es[:, 0], var[:, 0]


def of_bounds(values, bounds, levels, *, tail="lower", min_count=1):
    """Return (es, var) of general windows of one series, a row for each level."""
    starts, stops = np.array(bounds, dtype=np.int64).reshape(-1, 2).T.copy()
    levels = np.array(levels, dtype=np.float64)
    es, var = rolling_bounds_rows(values[None], starts, stops, levels, tail == "upper", min_count, 1)
    return es[:, 0], var[:, 0]


def assert_textbook(results, values, bounds, levels, tail="lower", min_count=1):
    """Compare every window and level with the definition."""
    for i, level in enumerate(levels):
        es, var = textbook.es_var_of_windows(values, bounds, level, tail, min_count)
        assert_same_bits(results[0][i], es, f"es at level {level}")
        assert_same_bits(results[1][i], var, f"var at level {level}")


def assert_selected(results, values, bounds, levels, every=1):
    """Compare every n-th window with the kernel that selects from it anew."""
    for j in range(0, len(bounds), every):
        window = values[slice(*bounds[j])]
        window = np.ascontiguousarray(window[~np.isnan(window)], dtype=np.float64)
        if window.size:
            es, var, _, _ = tail_rows(window[None], np.array(levels), False, False, None, 1)
            assert_same_bits(results[0][:, j], es[0], f"es of window {j}")
            assert_same_bits(results[1][:, j], var[0], f"var of window {j}")


@pytest.mark.parametrize("name", SAMPLES)
def test_every_window_is_the_textbook(name):
    values = SAMPLES[name](211)
    for window in (1, 2, 20, 211):
        results = rolling(values, window, [0.9])
        assert_textbook(results, values, textbook.rolling_bounds(211, window), [0.9])


@pytest.mark.parametrize("name", SAMPLES)
def test_windows_that_move_give_what_each_gives_alone(name):
    levels = [0.975, 0.0, 0.5]
    values = SAMPLES[name](2500)
    for window, every in ((50, 7), (250, 11), (1000, 29)):
        results = rolling(values, window, levels)
        assert_selected(results, values, textbook.rolling_bounds(2500, window), levels, every)


@pytest.mark.parametrize("name", ["heavy tails", "sorted", "reversed", "few distinct", "saw-tooth", "wide exponents"])
def test_windows_of_many_blocks_of_candidates(name):
    levels = [0.975, 0.3]
    values = SAMPLES[name](30_000)
    results = rolling(values, 9000, levels)
    assert_selected(results, values, textbook.rolling_bounds(values.size, 9000), levels, 733)


def waves(n, period):
    """Return a level that rises and falls, with noise: candidates run out and pile up in turn."""
    return np.abs(np.arange(n) % period - period / 2) + datasets.bells(n)


@pytest.mark.parametrize("period", [30, 100, 250, 700, 4000])
def test_the_tail_follows_a_level_that_rises_and_falls(period):
    levels = [0.975, 0.9]
    values = waves(6000, period)
    for window in (100, 250, 1000):
        results = rolling(values, window, levels)
        assert_selected(results, values, textbook.rolling_bounds(6000, window), levels, 13)


RUNS = {
    "rising": lambda i: i,
    "falling": lambda i: -i,
    "teeth": lambda i: i % 777,
    "falling teeth": lambda i: -i % 777,
    "organ pipe": lambda i: np.abs(i % 3000 - 1500),
    "stairs": lambda i: i // 5,
    "turning": lambda i: np.where(i // 1000 % 2 == 0, i, -i),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", RUNS)
def test_runs_of_outcomes_that_rise_or_fall(name, dtype):
    """They end at outcomes that are missing, infinite, or too large or small for the sum of their neighbours."""
    values = RUNS[name](np.arange(7000)).astype(dtype)
    broken = values.copy()
    broken[1500::300] = np.resize([np.nan, 1e30, -1e30, 1e-30, np.inf, -np.inf, 0.0, -0.0], 19)
    for series in (values, values - 3500, broken):
        for window, levels in ((700, [0.7]), (700, [0.9, 0.5, 0.01]), (1100, [0.95])):
            results = rolling(series, window, levels)
            bounds = textbook.rolling_bounds(series.size, window)
            assert_selected(results, series.astype(np.float64), bounds, levels, 7)


REGIMES = ["bells", "sorted", "wide exponents", "heavy tails", "reversed", "both infinities", "saw-tooth", "constant"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("window", [8, 60, 250, 1000])
def test_windows_cross_from_one_regime_to_the_next(window, dtype):
    """Each asks for another way to move: candidates, stretches, sums of wide exponents, none across missing values."""
    levels = [0.975, 0.9]
    with np.errstate(over="ignore"):
        values = np.concatenate([SAMPLES[name](2500) for name in REGIMES]).astype(dtype)
    values[[6000, 6001, 11_111]] = np.nan
    for chosen in (levels, levels[:1]):
        results = rolling(values, window, chosen)
        assert_selected(results, values.astype(np.float64), textbook.rolling_bounds(values.size, window), chosen, 31)


@pytest.mark.parametrize("n", [*range(250, 282), 313, 377, 378, 2249, 2250, 2251, 4321])
def test_stretches_of_any_number_of_steps(n):
    values = datasets.heavy_tails(n)
    for window, level in ((20, 0.9), (249, 0.975), (250, 0.999)):
        results = rolling(values, window, [level])
        assert_selected(results, values, textbook.rolling_bounds(n, window), [level])


@pytest.mark.parametrize("rank", [1, 2, 4, 5, 6, 7, 8, 9, 11, 13, 16, 17, 24, 25, 33, 41, 49, 57, 64, 65])
def test_tails_of_any_rank(rank):
    """Lists of different lengths; the series changes from random to steep, so that they are moved in every way."""
    i = np.arange(3000)
    values = np.where(i // 1000 % 2 == 0, datasets.bells(3000), np.where(i < 2500, i, -i) / 100.0)
    level = 1 - (rank - 0.25) / 400
    results = rolling(values, 400, [level])
    assert_selected(results, values, textbook.rolling_bounds(3000, 400), [level], 23)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rank", [7, 9, 12, 16, 25, 64])
def test_stretches_that_rise_and_fall_in_turn(rank, dtype):
    """Some lanes rise while others fall, from any place on; some outcomes do neither, or equal the one before."""
    n = 14_000
    turns = np.sort(datasets.random_words(30, rank) % np.uint64(n))
    slope = np.where(np.searchsorted(turns, np.arange(n)) % 2 == 0, 1.0, -1.0)
    slope[::1009] = 0.0
    values = np.cumsum(slope)
    values[::613] += 40.5
    for window in (300, 1000):
        levels = [1 - (rank - 0.5) / window]
        for series in (values, np.where(np.arange(n) % 4096 < 2048, values, -values)):
            results = rolling(series.astype(dtype), window, levels)
            assert_selected(results, series, textbook.rolling_bounds(n, window), levels, 11)


CHANGES = {
    "nothing": lambda part: part,
    "louder": lambda part: 5 * part,
    "quieter": lambda part: part / 50,
    "better": lambda part: part + 10,
    "worse": lambda part: part - 10,
    "ticks": np.round,
    "endless gains": lambda part: np.where(part > 1, np.inf, part),
    "endless losses": lambda part: np.where(part < -3, -np.inf, part),
    "huge gains": lambda part: np.where(part > 1, 1e300, part),
    "tiny": lambda part: np.where(np.abs(part) < 0.1, 1e-300, part),
    "missing": lambda part: np.where(part > 2, np.nan, part),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("window", [100, 250, 251, 1000])
@pytest.mark.parametrize("name", CHANGES)
def test_outcomes_that_are_in_no_tail_are_left_out(name, window, dtype):
    """What is left out follows from the outcomes before; some in the middle change that."""
    values = datasets.bells(12_000)
    values[5000:5600] = CHANGES[name](values[5000:5600])
    with np.errstate(over="ignore", under="ignore"):
        values = values.astype(dtype)
    for levels in ([0.975], [0.97, 0.99, 0.999]):
        results = rolling(values, window, levels)
        assert_selected(results, values.astype(np.float64), textbook.rolling_bounds(values.size, window), levels, 101)


@pytest.mark.parametrize("shape", ["start", "middle", "end", "many"])
@pytest.mark.parametrize("min_count", [0, 1, 5, 20])
def test_missing_values_hold_a_place_and_are_left_out(shape, min_count):
    values = datasets.with_missing(datasets.returns(300), shape)
    results = rolling(values, 20, [0.9, 0.5], min_count=min_count)
    assert_textbook(results, values, textbook.rolling_bounds(300, 20), [0.9, 0.5], min_count=min_count)


@pytest.mark.parametrize("run", [5, 49, 50, 51, 120])
def test_runs_of_missing_values(run):
    values = datasets.heavy_tails(400)
    values[130 : 130 + run] = values[300:303] = np.nan
    results = rolling(values, 50, [0.9], min_count=10)
    assert_textbook(results, values, textbook.rolling_bounds(400, 50), [0.9], min_count=10)


def test_a_series_of_missing_values_has_no_result():
    es, var = rolling(np.full(200, np.nan), 10, [0.9], min_count=0)
    assert np.isnan(es).all()
    assert np.isnan(var).all()


@pytest.mark.parametrize("tail", ["lower", "upper"])
@pytest.mark.parametrize("step", [1, 2, 7, 100])
@pytest.mark.parametrize("lead", [-3, 0, 1, 2, 10, 20, 500])
def test_windows_anywhere_around_their_output(lead, step, tail):
    values = datasets.heavy_tails(257)
    results = rolling(values, 20, [0.9], lead=lead, step=step, tail=tail)
    assert_textbook(results, values, textbook.rolling_bounds(257, 20, lead, step), [0.9], tail)


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 127, 128, 129, 200])
def test_any_length_of_series_and_window(n):
    values = datasets.returns(n)
    for window in (0, 1, 3, n - 1, n, n + 1, 10 * n):
        results = rolling(values, max(window, 0), [0.9])
        assert_textbook(results, values, textbook.rolling_bounds(n, max(window, 0)), [0.9])


def test_an_empty_series_has_no_windows():
    es, var = rolling_rows(np.empty((3, 0)), 5, 1, 1, np.array([0.9, 0.5]), False, 1, 1)
    assert es.shape == var.shape == (2, 3, 0)


@pytest.mark.parametrize("name", ["heavy tails", "sorted", "reversed", "constant", "denormals", "both infinities"])
def test_expanding_windows_are_the_textbook(name):
    values = SAMPLES[name](300)
    bounds = [(0, stop) for stop in range(1, 301)]
    assert_textbook(of_bounds(values, bounds, [0.9, 0.0]), values, bounds, [0.9, 0.0])


@pytest.mark.parametrize("name", ["heavy tails", "sorted", "reversed", "two values"])
def test_long_expanding_windows(name):
    values = SAMPLES[name](20_000)
    bounds = [(0, stop) for stop in range(1, 20_001)]
    assert_selected(of_bounds(values, bounds, [0.975, 0.5]), values, bounds, [0.975, 0.5], 471)


@pytest.mark.parametrize("seed", range(4))
def test_windows_of_varying_length(seed):
    values = datasets.with_missing(datasets.heavy_tails(500, seed + 1), "middle")
    edges = np.sort(datasets.random_words(300, seed) % np.uint64(501)).astype(np.int64)
    widths = (datasets.random_words(300, seed + 50) % np.uint64(80)).astype(np.int64)
    stops = np.maximum.accumulate(np.minimum(edges + widths, 500))
    bounds = list(zip(edges.tolist(), stops.tolist(), strict=True))
    assert_textbook(of_bounds(values, bounds, [0.9]), values, bounds, [0.9])


def test_bounds_that_fall_or_lie_outside_start_anew():
    values = datasets.heavy_tails(100)
    bounds = [(50, 80), (40, 70), (45, 72), (-7, 30), (90, 500), (60, 20), (0, 100), (300, 400), (99, 100), (0, 1)]
    assert_textbook(of_bounds(values, bounds, [0.9]), values, bounds, [0.9])


def test_levels_in_any_order_and_twice():
    values = datasets.returns(300)
    levels = [0.99, 0.0, 0.9, 0.9, 0.5, 0.999999]
    results = rolling(values, 40, levels)
    for i, level in enumerate(levels):
        for got, alone in zip(results, rolling(values, 40, [level]), strict=True):
            assert_same_bits(got[i], alone[0])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_layout_and_threads_do_not_change_a_bit(dtype):
    matrix = datasets.heavy_tails(700 * 37).reshape(700, 37).astype(dtype)
    matrix[::50, 3] = np.nan
    spread = np.zeros((1400, 111), dtype=dtype)
    spread[::2, ::3] = matrix
    levels = np.array([0.9, 0.5])
    expected = rolling_rows(np.ascontiguousarray(matrix.T.astype(np.float64)), 60, 1, 1, levels, False, 30, 1)
    for view in (matrix.T, np.asfortranarray(matrix).T, spread[::2, ::3].T, np.flip(matrix.copy(), 0)[::-1].T):
        for threads in (1, 2, 3):
            results = rolling_rows(view, 60, 1, 1, levels, False, 30, threads)
            assert_same_bits(results[0], expected[0])
            assert_same_bits(results[1], expected[1])


def test_only_what_is_wanted():
    values = datasets.heavy_tails(3000)[None]
    es, var = rolling_rows(values, 100, 1, 1, np.array([0.9]), False, 100, 1)
    alone = rolling_rows(values, 100, 1, 1, np.array([0.9]), False, 100, 1, True, False)
    assert alone[1] is None
    assert_same_bits(alone[0], es)
    alone = rolling_rows(values, 100, 1, 1, np.array([0.9]), False, 100, 1, False, True)
    assert alone[0] is None
    assert_same_bits(alone[1], var)


def test_a_row_leaves_nothing_behind_for_the_next():
    names = ("wide exponents", "sorted", "returns", "infinite losses", "bells")
    rows = np.stack([SAMPLES[name](500) for name in names])
    together = rolling_rows(rows, 100, 1, 1, np.array([0.9]), False, 1, 1)
    for row in range(len(rows)):
        alone = rolling_rows(rows[row : row + 1], 100, 1, 1, np.array([0.9]), False, 1, 1)
        assert_same_bits(together[0][:, row], alone[0][:, 0])
        assert_same_bits(together[1][:, row], alone[1][:, 0])


def test_nothing_drifts():
    """Half the values are so large that plain sums would keep nothing of the others."""
    values = datasets.heavy_tails(20_000)
    values[5000:10_000] *= 1e18
    results = rolling(values, 250, [0.9])
    assert_selected(results, values, textbook.rolling_bounds(values.size, 250), [0.9], 97)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-1, 1, 1), "window"), ((5, 1, 0), "step"), ((5, 2**61, 1), "lead")],
)
def test_impossible_windows_are_value_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        rolling_rows(np.zeros((1, 10)), *arguments, np.array([0.9]), False, 1, 1)


def test_wrong_arrays_are_errors():
    bounds = np.zeros(3, np.int64)
    with pytest.raises(TypeError, match="matrix"):
        rolling_rows(np.zeros(10), 5, 1, 1, np.array([0.9]), False, 1, 1)
    with pytest.raises(TypeError, match="int64"):
        rolling_bounds_rows(np.zeros((1, 10)), bounds.astype(np.int32), bounds, np.array([0.9]), False, 1, 1)
    with pytest.raises(ValueError, match="one length"):
        rolling_bounds_rows(np.zeros((1, 10)), bounds, bounds[:2], np.array([0.9]), False, 1, 1)


def digest():
    """Return a digest of many results, for comparison between instruction sets."""
    hashes = hashlib.sha256()
    for name, sample in SAMPLES.items():
        values = sample(1100)
        values[datasets.random_words(1100, 77) % np.uint64(50) == 0] = np.nan
        for window in (5, 130, 600):
            for array in rolling(values, window, [0.975, 0.5], min_count=3):
                hashes.update(name.encode() + array.tobytes())
        values = sample(700).astype(np.float32)
        hashes.update(of_bounds(values, [(0, stop) for stop in range(700)], [0.9])[0].tobytes())
    return hashes.hexdigest()


def test_instruction_sets_agree():
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
import numpy
numpy.seterr(over="ignore")
import test_rolling_kernel
print(test_rolling_kernel.digest())
"""
    assert len({run_python(code, CSHORTFALL_ISA=isa) for isa in available_isas()}) == 1
