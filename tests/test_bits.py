"""The same bits from every instruction set, thread count, order and layout, and as recorded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import recorded_results
import textbook
from bits import assert_same_bits

import cshortfall
from cshortfall import es, es_gradient, es_of_portfolios, es_var, tail_weights
from cshortfall._core.tail import available_isas, tail_rows

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")


@pytest.fixture(scope="module")
def recorded():
    """Return the recorded table."""
    return json.loads(recorded_results.TABLE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def results_of_isas():
    """Return what a fresh process gives on every available instruction set."""
    results = {}
    for isa in available_isas():
        environment = {**os.environ, "CSHORTFALL_ISA": isa}
        script = [sys.executable, recorded_results.__file__]
        process = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
        assert process.returncode == 0, f"{isa}: {process.stderr}"
        results[isa] = json.loads(process.stdout)
    return results


def assert_same_table(actual, expected):
    """Compare two tables and name what differs."""
    assert actual.keys() == expected.keys()
    differing = [name for name in expected if actual[name] != expected[name]]
    assert not differing, [(name, actual[name], expected[name]) for name in differing[:3]]


def test_the_recorded_table_is_the_textbook(recorded):
    assert_same_table(recorded_results.textbook_results(), recorded)


@pytest.mark.parametrize("isa", available_isas())
def test_every_instruction_set_gives_the_recorded_bits(isa, recorded, results_of_isas):
    assert_same_table(results_of_isas[isa]["results"], recorded)


def test_instruction_sets_agree_on_every_layout_and_dtype(results_of_isas):
    first, *others = results_of_isas.values()
    for other in others:
        assert_same_table(other["digests"], first["digests"])


def test_the_baseline_is_always_available():
    assert "baseline" in available_isas()


def test_an_unknown_instruction_set_is_an_import_error():
    environment = {**os.environ, "CSHORTFALL_ISA": "abacus"}
    script = [sys.executable, "-c", "import cshortfall"]
    process = subprocess.run(
        script, env=environment, capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    assert process.returncode != 0
    message = process.stderr.splitlines()[-1]
    assert message.startswith("ImportError")
    assert "abacus" in message
    for isa in available_isas():
        assert isa in message


@pytest.fixture
def threads():
    """Restore the cap on threads after the test."""
    before = cshortfall.get_num_threads()
    yield cshortfall.set_num_threads
    cshortfall.set_num_threads(before)


def results_of_large_calls():
    """Return results of calls large enough for several threads."""
    flat = datasets.heavy_tails(1_600_000)
    sparse = np.where(datasets.uniforms(flat.size, 2) < 0.05, np.nan, flat)
    yield "one sample", es_var(flat, [0.975, 0.5, 0.0])
    yield "one sample, one level", es_var(flat, 0.99, tail="upper")
    yield "one sample of float32", es_var(flat.astype(np.float32), 0.975)
    yield "one weighted sample", es_var(flat, 0.975, weights=datasets.uniforms(flat.size, 3))
    yield "one sample, omitting", es_var(sparse, 0.975, nan_policy="omit")
    for shape in ((1600, 1000), (1000, 1600), (7, 228_571), (200_000, 8)):
        matrix = flat[: shape[0] * shape[1]].reshape(shape)
        for axis in (0, 1):
            yield f"{shape} axis {axis}", es_var(matrix, 0.95, axis=axis)
        yield f"{shape} several levels", es_var(matrix, [0.95, 0.5], axis=1)
        weights = datasets.unequal_weights(shape[1])
        yield f"{shape} weighted", es_var(matrix, 0.95, axis=1, weights=weights)
    yield "omitting", es_var(sparse.reshape(1600, 1000), 0.95, axis=0, nan_policy="omit")
    returns, portfolios = flat[:400_000].reshape(20_000, 20), datasets.uniforms(20 * 33).reshape(20, 33)
    yield "portfolios", (es_of_portfolios(returns, portfolios),)
    yield "gradient", (es_gradient(returns, portfolios[:, 0]),)


def test_the_number_of_threads_does_not_change_a_bit(threads):
    threads(1)
    expected = dict(results_of_large_calls())
    for count in (2, 3, 4):
        threads(count)
        for name, result in results_of_large_calls():
            for got, wanted in zip(result, expected[name], strict=True):
                assert_same_bits(got, wanted, f"{name}, {count} threads")
    assert expected["one sample"].es[0] == textbook.es(datasets.heavy_tails(1_600_000), 0.975)


PARTED = (
    *("heavy tails", "returns", "sorted", "two values", "cancelling", "overflowing sum", "both infinities"),
    *("an infinite loss", "low wherever the kernels sample", "high wherever the kernels sample", "low blocks of 512"),
    *("one dense cluster", "rising scale", "tail in one block"),
)


@pytest.mark.parametrize("name", PARTED)
def test_the_parts_of_a_long_row_do_not_show(name):
    """The kernels are called with numbers of threads that the caller's cap may not allow."""
    sample = (datasets.NAMED | datasets.ADVERSARIAL)[name](20_011)
    weights = datasets.unequal_weights(sample.size)
    sparse = datasets.with_missing(sample, "many")
    for level in (0.3, 0.975, 0.9999):
        expected = textbook.es_var(sample, level)[:2]
        weighted = textbook.es_var(sample, level, weights, "upper")[:2]
        omitted = textbook.es_var(sparse, level, nan_policy="omit")[:2]
        for threads in (1, 2, 3, 4, 7):
            for results, wanted in (
                (tail_rows(sample[None], np.array([level]), False, False, None, threads), expected),
                (tail_rows(sample[None], np.array([level]), True, False, weights[None], threads), weighted),
                (tail_rows(sparse[None], np.array([level]), False, True, None, threads), omitted),
                (tail_rows(sparse[None], np.array([level]), False, False, None, threads), (np.nan, np.nan)),
            ):
                assert_same_bits((results[0][0, 0], results[1][0, 0]), wanted, f"{threads} threads, level {level}")


@pytest.mark.parametrize("name", ["heavy tails", "returns", "cancelling", "wide exponents", "midpoints nudged"])
@pytest.mark.parametrize("n", [50, 1000, 60_000])
def test_permutations_do_not_change_a_bit(name, n):
    sample, weights = datasets.FINITE[name](n), datasets.unequal_weights(n)
    levels = [0.0, 0.7, 0.975]
    expected, weighted = es_var(sample, levels), es_var(sample, levels, weights=weights)
    orders = [np.argsort(sample), np.argsort(-sample), np.arange(n)[::-1], np.roll(np.arange(n), n // 3)]
    orders += [datasets.permutation(n, seed) for seed in range(6)]
    for order in orders:
        for got, wanted in zip(es_var(sample[order], levels), expected, strict=True):
            assert_same_bits(got, wanted)
        for got, wanted in zip(es_var(sample[order], levels, weights=weights[order]), weighted, strict=True):
            assert_same_bits(got, wanted)


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "i2", ">f8", ">f4", ">i4"])
def test_dtypes_and_strides_do_not_change_a_bit(dtype):
    matrix = datasets.integers(90 * 301, 4, 3000).reshape(90, 301).astype(dtype)
    doubles = matrix.astype(np.float64)
    spread = np.zeros((270, 602), dtype=dtype)
    spread[::3, ::2] = matrix
    views = [matrix, np.asfortranarray(matrix), spread[::3, ::2], np.ascontiguousarray(matrix[::-1])[::-1]]
    for axis in (0, 1, None, (1, 0)):
        expected = es_var(doubles, [0.9, 0.975], axis=axis)
        for view in views:
            result = es_var(view, [0.9, 0.975], axis=axis)
            assert_same_bits(result.es, expected.es)
            assert_same_bits(result.var, expected.var)
    assert_same_bits(es(doubles[3], 0.975), textbook.es(matrix[3], 0.975))


@pytest.mark.parametrize("offset", range(8))
def test_alignment_in_memory_does_not_change_a_bit(offset):
    for dtype in (np.float64, np.float32):
        for n in (9, 64, 1001, 5003):
            sample = datasets.heavy_tails(n).astype(dtype)
            whole = np.zeros(n + 16, dtype=dtype)
            whole[offset : offset + n] = sample
            assert_same_bits(es_var(whole[offset : offset + n], 0.9), es_var(sample, 0.9))
            raw = np.zeros(sample.nbytes + 64, dtype=np.uint8)
            raw[offset : offset + sample.nbytes] = sample.view(np.uint8)
            shifted = raw[offset : offset + sample.nbytes].view(dtype)
            assert_same_bits(es_var(shifted, 0.9), es_var(sample, 0.9))


def test_what_lies_around_a_sample_is_not_read_into_it():
    for n in (*range(1, 40), 1000, 4099):
        surroundings = np.full(n + 64, -np.inf)
        surroundings[32 : 32 + n] = datasets.bells(n)
        assert_same_bits(es_var(surroundings[32 : 32 + n], 0.9), es_var(datasets.bells(n), 0.9))
        surroundings[:32] = surroundings[32 + n :] = np.nan
        assert_same_bits(es_var(surroundings[32 : 32 + n], 0.9), es_var(datasets.bells(n), 0.9))


def test_a_call_leaves_nothing_behind_for_the_next():
    sample = datasets.heavy_tails(3000)
    expected = es_var(sample, [0.9, 0.5])
    for disturbance in (np.full(5000, np.nan), np.full(4000, np.inf), datasets.denormals(9000), -sample * 1e300):
        es_var(disturbance, 0.5)
        result = es_var(sample, [0.9, 0.5])
        assert_same_bits(result.es, expected.es)
        assert_same_bits(result.var, expected.var)
    assert tail_weights(sample, 0.9).indices.size == 300
