"""Passes over scenarios against sorts and masks: the same tail from every layout, type, thread count and division."""

import doctest
import hashlib
import itertools

import datasets
import numpy as np
import pytest
import textbook_scenarios
from bits import assert_same_bits
from processes import run_python
from test_threads import calls_that_let_others_run

import cshortfall
from cshortfall._core import scenarios as passes
from cshortfall._core.tail import available_isas
from cshortfall.optimize import _blocks
from cshortfall.optimize._blocks import BlockScenarios
from cshortfall.optimize._scenarios import ArrayScenarios, row_losses

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")

LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "rows apart": lambda a: np.repeat(a, 3, axis=0)[::3],
    "both apart": lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3],
    "rows reversed": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "columns reversed": lambda a: np.ascontiguousarray(a[:, ::-1])[:, ::-1],
    "Fortran, reversed": lambda a: np.asfortranarray(a[::-1, ::-1])[::-1, ::-1],
    "part of a wider one": lambda a: np.pad(a, ((0, 0), (3, 5)))[:, 3:-5],
    "part of a longer one": lambda a: np.asfortranarray(np.pad(a, ((1, 2), (0, 0))))[1:-2],
}


def bells(n, n_assets, seed=1):
    return datasets.bells(n * n_assets, seed).reshape(n, n_assets)


def whole(n, n_assets, seed=1):
    """Return small whole numbers: many ties, and every sum exact."""
    return datasets.integers(n * n_assets, seed, 3).reshape(n, n_assets).astype(float)


def portfolio(n_assets):
    return datasets.uniforms(n_assets, 7) - 0.3


def kinds_of_probabilities(n):
    some = datasets.uniforms(n, 3)
    dead = np.where(datasets.uniforms(n, 4) < 0.4, 0.0, some)
    dead[0] = 1.0
    return {"none": None, "unequal": some, "skewed": some**40, "some zero": dead, "zero or one": np.sign(dead)}


def assert_same_tail(tail, twin, mass_digits=1e-13):
    """Assert equal bits of all but sums, whose order of additions is their own."""
    for name in ("es", "var"):
        assert_same_bits(getattr(tail, name), getattr(twin, name), name)
    np.testing.assert_array_equal(tail.index, twin.index)
    for name in ("loss", "rows", "base", "probability"):
        np.testing.assert_array_equal(getattr(tail, name), getattr(twin, name), name)
    for part, expected in (tail.above, twin.above), (tail.at, twin.at):
        size = max(np.abs(twin.above.rows).max(), np.abs(twin.at.rows).max(), 1.0)
        assert part.mass == pytest.approx(expected.mass, rel=mass_digits, abs=1e-300)
        np.testing.assert_allclose(part.rows, expected.rows, rtol=1e-13, atol=1e-13 * size)
        assert part.base == pytest.approx(expected.base, rel=1e-13, abs=1e-13)


def digest(tail):
    parts = [tail.es, tail.var, tail.index, tail.loss, tail.rows, tail.base, tail.probability]
    parts += [value for part in (tail.above, tail.at) for value in (part.mass, part.rows, part.base)]
    return hashlib.sha256(b"".join(np.asarray(part).tobytes() for part in parts)).hexdigest()


# losses


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_losses_have_one_order_of_additions(layout, dtype):
    for n, n_assets in [(1, 1), (3, 2), (7, 8), (8, 7), (9, 9), (31, 16), (70, 17), (513, 33), (600, 100), (2050, 5)]:
        rows = LAYOUTS[layout](bells(n, n_assets).astype(dtype))
        x = portfolio(n_assets)
        base = datasets.bells(n, 5)
        assert_same_bits(row_losses(rows, x), textbook_scenarios.losses(rows, x), f"{n} x {n_assets}")
        assert_same_bits(row_losses(rows, x, base), textbook_scenarios.losses(rows, x, base))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_gathered_row_gives_the_loss_of_the_row_in_place(layout):
    rows = LAYOUTS[layout](bells(1500, 37).astype(np.float32))
    x, base = portfolio(37), datasets.bells(1500, 5)
    tail = ArrayScenarios(rows).tail_rows(x, 0.9, base, 40, 60)
    assert_same_bits(row_losses(tail.rows, x, tail.base), tail.loss)
    assert_same_bits(row_losses(tail.rows[::-1], x, tail.base[::-1]), tail.loss[::-1])


def test_a_power_of_two_scales_the_rows_and_not_the_choice():
    rows, x = bells(400, 9), portfolio(9)
    one, scaled = (ArrayScenarios(rows).tail_rows(x, 0.9, None, 5, 5, scale) for scale in (1.0, 2.0**40))
    np.testing.assert_array_equal(scaled.index, one.index)
    for name in ("es", "var", "loss", "rows"):
        assert_same_bits(getattr(scaled, name), getattr(one, name) * 2.0**40)
    assert_same_bits(scaled.above.rows, one.above.rows * 2.0**40)
    assert scaled.above.mass == one.above.mass


# the tail


@pytest.mark.parametrize("probabilities", kinds_of_probabilities(2))
@pytest.mark.parametrize("make", [bells, whole])
def test_a_pass_is_the_textbook(make, probabilities):
    for n, n_assets in [(1, 1), (2, 5), (3, 40), (10, 3), (101, 7), (2049, 12), (5000, 3)]:
        own = kinds_of_probabilities(n)[probabilities]
        rows, x = make(n, n_assets), np.round(4 * portfolio(n_assets))
        if make is bells:
            x = portfolio(n_assets)
        for level in (0.0, 1 / 3, 0.9, 0.975, 0.999):
            for base in (None, np.round(datasets.bells(n, 9))):
                for above, below in ((0, 0), (1, 0), (3, 17), (n, 2 * n)):
                    tail = ArrayScenarios(rows, own).tail_rows(x, level, base, above, below, 2.0)
                    assert_same_tail(tail, textbook_scenarios.tail_rows(rows, own, x, level, base, above, below, 2.0))


def test_of_thousands_of_equal_losses_those_of_lower_numbers_are_kept():
    rows = np.ones((5000, 3))
    rows[[17, 40, 3000, 4999]] = [[-2.0] * 3, [2.0] * 3, [-2.0] * 3, [2.0] * 3]
    tail = ArrayScenarios(rows).tail_rows(np.ones(3), 0.9, None, 1, 3)
    np.testing.assert_array_equal(tail.index, [0, 1, 2, 3, 3000])
    tail = ArrayScenarios(rows).tail_rows(np.ones(3), 0.9, None, 10, 10_000)
    np.testing.assert_array_equal(tail.index, np.arange(5000))
    assert tail.above.mass == pytest.approx(2 / 5000, rel=1e-15)
    assert tail.at.mass == pytest.approx(4996 / 5000, rel=1e-15)


def test_scenarios_of_probability_zero_may_hold_anything():
    rows, own = bells(3000, 6), kinds_of_probabilities(3000)["some zero"]
    x, base = portfolio(6), datasets.bells(3000, 2)
    hostile, hostile_base = rows.copy(), base.copy()
    absent = np.flatnonzero(own == 0)
    hostile[absent[0::4]], hostile[absent[1::4]], hostile[absent[2::4], 3] = np.nan, np.inf, -np.inf
    hostile_base[absent[3::4]] = np.nan
    clean, other = ArrayScenarios(rows, own), ArrayScenarios(hostile, own)
    assert digest(other.tail_rows(x, 0.9, hostile_base, 30, 400)) == digest(clean.tail_rows(x, 0.9, base, 30, 400))
    assert_same_bits(other.mean(), clean.mean())
    assert_same_bits(other.deviation(), clean.deviation())
    assert other.es_var(x, 0.9, hostile_base) == clean.es_var(x, 0.9, base)
    assert np.isfinite(other.sample(50, None)[0].rows).all()


def test_equal_probabilities_are_none():
    rows, x = bells(500, 4), portfolio(4)
    expected = digest(ArrayScenarios(rows).tail_rows(x, 0.95, None, 9, 9))
    assert digest(ArrayScenarios(rows, np.full(500, 0.1)).tail_rows(x, 0.95, None, 9, 9)) == expected


def test_layout_and_type_do_not_change_a_bit():
    rows = bells(4500, 19).astype(np.float32)
    own, x, base = kinds_of_probabilities(4500)["some zero"], portfolio(19), datasets.bells(4500, 5)
    tails, means = set(), set()
    for given in (rows, rows.astype(float), rows.astype(float).tolist()):
        for layout in LAYOUTS.values():
            scenarios = ArrayScenarios(given if isinstance(given, list) else layout(given), own)
            tails.add(digest(scenarios.tail_rows(x, 0.8, base, 70, 300)))
            means.add(scenarios.mean().tobytes())
    assert len(tails) == len(means) == 1


def test_a_memory_mapped_file_is_read_in_place(tmp_path):
    rows, x = bells(3000, 8), portfolio(8)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    scenarios = ArrayScenarios(mapped)
    assert np.shares_memory(scenarios.rows, mapped)
    assert digest(scenarios.tail_rows(x, 0.9, None, 9, 9)) == digest(ArrayScenarios(rows).tail_rows(x, 0.9, None, 9, 9))


BITS = """
import numpy as np
import cshortfall
import datasets
from test_scenarios import LAYOUTS, bells, digest, kinds_of_probabilities, portfolio
from cshortfall.optimize._scenarios import ArrayScenarios
for n, n_assets in (9_000, 21), (3_000, 64), (300, 1):
    for own in kinds_of_probabilities(n).values():
        for layout in "C", "Fortran", "both apart":
            for dtype in np.float64, np.float32:
                scenarios = ArrayScenarios(LAYOUTS[layout](bells(n, n_assets).astype(dtype)), own)
                print(digest(scenarios.tail_rows(portfolio(n_assets), 0.9, datasets.bells(n), 20, 90)))
                print(scenarios.mean().tobytes().hex(), scenarios.deviation().tobytes().hex())
"""


def test_neither_instruction_set_nor_threads_change_a_bit():
    outputs = set()
    for isa in available_isas():
        for threads in ("1", "3"):
            environment = {"CSHORTFALL_ISA": isa, "CSHORTFALL_NUM_THREADS": threads, "PYTHONPATH": "tests:."}
            outputs.add(run_python(BITS, timeout=120, OPENBLAS_NUM_THREADS="1", **environment))
    assert len(outputs) == 1


# other answers


@pytest.mark.parametrize("probabilities", kinds_of_probabilities(2))
def test_es_var_and_shares_are_those_of_the_library(probabilities):
    rows, x, base = bells(800, 5), portfolio(5), datasets.bells(800, 3)
    own = kinds_of_probabilities(800)[probabilities]
    scenarios = ArrayScenarios(rows, own)
    profit = -textbook_scenarios.losses(rows, x, base)
    weights = None if own is None else own / own.sum()
    for level in (0.1, 0.5, 0.975):
        assert scenarios.es_var(x, level, base) == tuple(cshortfall.es_var(profit, level, weights=weights))
        index, shares = scenarios.tail(x, level, base)[2:]
        expected = cshortfall.tail_weights(profit, level, weights=weights)
        np.testing.assert_array_equal(index, expected.indices)
        assert_same_bits(shares, expected.weights)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_mean_keeps_the_digits_of_what_cancels(layout):
    rows = np.tile([[1e17], [1.0], [-1e17], [1.0]], (5_000, 1)) + np.zeros(37)
    assert_same_bits(ArrayScenarios(LAYOUTS[layout](rows)).mean(), np.full(37, 0.5))


@pytest.mark.parametrize("probabilities", kinds_of_probabilities(2))
def test_order_of_scenarios_does_not_change_a_bit_of_the_sums_over_a_tail(probabilities):
    rows, own = bells(5000, 37) + 1e3, kinds_of_probabilities(5000)[probabilities]
    profit = rows[:, 0].copy()
    expected = passes.tail_sums(rows, profit, 999.0, None, own)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(5000)
        moved = None if own is None else own[order]
        for found, one in zip(passes.tail_sums(rows[order], profit[order], 999.0, None, moved), expected, strict=True):
            assert_same_bits(found, one)


@pytest.mark.parametrize("probabilities", kinds_of_probabilities(2))
def test_mean_and_deviation_are_those_of_the_probabilities(probabilities):
    rows, own = bells(900, 6) + 3.0, kinds_of_probabilities(900)[probabilities]
    scenarios = ArrayScenarios(rows, own)
    mean = np.average(rows, axis=0, weights=own)
    np.testing.assert_allclose(scenarios.mean(), mean, rtol=1e-14)
    expected = np.sqrt(np.average(np.square(rows - mean), axis=0, weights=own))
    np.testing.assert_allclose(scenarios.deviation(), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("probabilities", kinds_of_probabilities(2))
def test_a_sample_is_drawn_without_replacement_and_always_the_same(probabilities, dtype):
    rows = bells(2000, 4).astype(dtype)
    own, base = kinds_of_probabilities(2000)[probabilities], np.arange(2000.0)
    scenarios = ArrayScenarios(np.asfortranarray(rows), own)
    sample, numbers = scenarios.sample(300, base)
    assert sample.n_scenarios == len(set(numbers.tolist())) == 300
    assert sample.rows.dtype == dtype
    np.testing.assert_array_equal(sample.rows, rows[numbers.astype(int)])
    np.testing.assert_array_equal(scenarios.sample(300, base)[1], numbers)
    if sample.probabilities is not None:
        chosen = own[numbers.astype(int)]
        assert chosen.min() > 0
        np.testing.assert_allclose(sample.probabilities, chosen / chosen.sum(), rtol=1e-14)
    everything, _ = scenarios.sample(5000, None)
    assert everything.n_scenarios == (2000 if own is None else np.count_nonzero(own))


def test_passes_count_reads_of_all_scenarios():
    scenarios, x = ArrayScenarios(bells(100, 3)), portfolio(3)
    scenarios.tail_rows(x, 0.9, None, 3, 3)
    scenarios.es_var(2 * x, 0.9, None)
    scenarios.tail(x, 0.9, None)
    assert scenarios.passes == 3
    # The P&L of the latest weights is at hand.
    scenarios.tail(x, 0.95, None)
    assert scenarios.passes == 3


def test_passes_release_the_gil():
    scenarios, x = ArrayScenarios(bells(200_000, 5)), portfolio(5)
    cshortfall.set_num_threads(1)
    try:
        assert calls_that_let_others_run(lambda: scenarios.es_var(x, 0.9, None))
    finally:
        cshortfall.set_num_threads(None)


# blocks


def division(n, kind):
    return {
        "one": [0, n],
        "unequal": [0, n // 7, n // 7, n // 2, n - n // 9, n],
        "single rows": list(range(n + 1)),
    }[kind]


def in_blocks(rows, own, kind):
    bounds = division(len(rows), kind)

    def blocks():
        for start, stop in itertools.pairwise(bounds):
            yield rows[start:stop] if own is None else (rows[start:stop], own[start:stop])

    return BlockScenarios(blocks)


@pytest.mark.parametrize("sample", [7, 100, 8192])
@pytest.mark.parametrize("kind", ["one", "unequal", "single rows"])
@pytest.mark.parametrize("probabilities", kinds_of_probabilities(2))
def test_blocks_give_the_tail_of_the_array(probabilities, kind, sample, monkeypatch):
    monkeypatch.setattr(_blocks, "SAMPLE", sample)
    for make, n, n_assets in (bells, 1, 3), (whole, 40, 2), (bells, 700, 6), (whole, 900, 4):
        rows, x, own = make(n, n_assets), np.round(4 * portfolio(n_assets)), kinds_of_probabilities(n)[probabilities]
        blocks, array = in_blocks(rows, own, kind), ArrayScenarios(rows, own)
        for level, above, below in (0.0, 2, 3), (0.9, 0, 0), (0.975, 20, 30), (0.5, n, n):
            for base in (None, np.round(datasets.bells(n, 9))):
                tail = blocks.tail_rows(x, level, base, above, below, 0.5)
                assert_same_tail(tail, array.tail_rows(x, level, base, above, below, 0.5))
        assert blocks.es_var(x, 0.9, None) == array.es_var(x, 0.9, None)
        assert_same_bits(blocks.tail(x, 0.9, None).weights, array.tail(x, 0.9, None).weights)
        np.testing.assert_allclose(blocks.mean(), array.mean(), rtol=1e-13, atol=1e-15)
        assert_same_bits(blocks.sample(25, None)[0].rows, array.sample(25, None)[0].rows)


def test_rows_of_blocks_that_are_asked_for_in_vain_take_no_memory():
    rows, x = bells(900, 3), portfolio(3)
    tail = in_blocks(rows, None, "unequal").tail_rows(x, 0.9, None, 10**15, 10**15)
    assert_same_tail(tail, ArrayScenarios(rows).tail_rows(x, 0.9, None, 900, 900))


def test_blocks_are_read_once_a_pass_where_the_sample_speaks_for_all():
    blocks, x = in_blocks(bells(40_000, 4), None, "unequal"), portfolio(4)
    assert blocks.passes == 1
    for number, level in enumerate([0.5, 0.9, 0.975, 0.999, 0.0]):
        blocks.tail_rows(x, level, None, 40, 40)
        assert blocks.passes == 2 + number


def test_an_edge_that_was_not_foreseen_costs_another_read():
    rows = np.full((50_000, 2), 1.0)
    blocks = in_blocks(rows, None, "unequal")
    # Nothing of what the sample holds is a loss, and all of what lies outside is.
    rows[np.setdiff1d(np.arange(50_000), blocks._sample_index)] = bells(50_000 - _blocks.SAMPLE, 2) - 9.0
    x = np.ones(2)
    tail = blocks.tail_rows(x, 0.9, None, 10, 10)
    assert blocks.passes == 3
    assert_same_tail(tail, ArrayScenarios(rows).tail_rows(x, 0.9, None, 10, 10))


def test_blocks_of_float32_in_any_layout():
    rows, x = bells(600, 5).astype(np.float32), portfolio(5)
    expected = digest(in_blocks(rows.astype(float), None, "unequal").tail_rows(x, 0.9, None, 9, 9))
    for layout in LAYOUTS.values():
        assert digest(in_blocks(layout(rows), None, "unequal").tail_rows(x, 0.9, None, 9, 9)) == expected
    assert in_blocks(rows, None, "one").sample(10, None)[0].rows.dtype == np.float32


# refusals


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("holding", [0.5, 0.0])
@pytest.mark.parametrize(
    "make", [ArrayScenarios, lambda rows: in_blocks(rows, None, "unequal")], ids=["array", "blocks"]
)
def test_a_return_that_is_not_finite_is_named(make, holding, bad):
    rows, x = bells(900, 4), np.array([0.1, 0.2, holding, 0.3])
    rows[777, 2] = bad
    with pytest.raises(ValueError, match=rf"returns must be finite, got returns\[777, 2\] = {bad}"):
        make(rows).tail_rows(x, 0.9, None, 3, 3)
    for question in ("mean", "deviation"):
        with pytest.raises(ValueError, match=r"returns\[777, 2\]"):
            getattr(make(rows), question)()


def test_what_is_not_finite_beside_the_returns_is_named():
    scenarios, x = ArrayScenarios(bells(50, 2)), np.ones(2)
    base = np.zeros(50)
    base[31] = np.nan
    with pytest.raises(ValueError, match=r"base must be finite, got base\[31\] = nan"):
        scenarios.es_var(x, 0.9, base)
    with pytest.raises(ValueError, match=r"x must be finite, got x\[1\] = inf"):
        scenarios.es_var(np.array([1.0, np.inf]), 0.9, None)
    with pytest.raises(ValueError, match="overflows"):
        ArrayScenarios(np.full((9, 2), 1e308)).es_var(np.full(2, 10.0), 0.9, None)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([0.5, 0.5], "shape"),
        ([0.5, -0.5, 1.0], r"probabilities\[1\] = -0.5"),
        ([0.5, np.nan, 1.0], r"probabilities\[1\] = nan"),
        ([0.0, 0.0, 0.0], "all zero"),
    ],
)
def test_probabilities_that_are_none_are_refused(probabilities, message):
    with pytest.raises(ValueError, match=message):
        ArrayScenarios(np.ones((3, 2)), probabilities)


@pytest.mark.parametrize("rows", [np.ones(3), np.ones((0, 3)), np.ones((3, 0)), np.ones((2, 2, 2))])
def test_returns_of_another_shape_are_refused(rows):
    with pytest.raises(ValueError, match="returns must have shape"):
        ArrayScenarios(rows)


def test_what_cannot_be_read_again_is_refused():
    with pytest.raises(TypeError, match="blocks must be a function that returns a new iterator each time"):
        BlockScenarios(iter([np.ones((3, 2))]))


def test_the_example_of_blocks_runs():
    failed, attempted = doctest.testmod(_blocks)
    assert (failed, attempted > 0) == (0, True)


def test_blocks_that_do_not_fit_are_refused():
    one = np.ones((4, 2))
    with pytest.raises(ValueError, match=r"block 1 must have shape \(rows, 2\), got shape \(4, 3\)"):
        BlockScenarios(lambda: [one, np.ones((4, 3))])
    with pytest.raises(ValueError, match="no scenario"):
        BlockScenarios(lambda: [])
    with pytest.raises(ValueError, match="with each block, or with none"):
        BlockScenarios(lambda: [(one, np.ones(4)), one])
    with pytest.raises(ValueError, match="with each block, or with none"):
        BlockScenarios(lambda: [one, (one, np.ones(4))])
    with pytest.raises(ValueError, match=r"block 0 of 4 rows has probabilities of shape \(3,\)"):
        BlockScenarios(lambda: [(one, np.ones(3))])
    exhausted = iter([one, one])
    blocks = BlockScenarios(lambda: exhausted)
    with pytest.raises(ValueError, match="8 scenarios at first and 0 now"):
        blocks.es_var(np.ones(2), 0.9, None)


@pytest.mark.parametrize("probabilities", kinds_of_probabilities(2))
@pytest.mark.parametrize("layout", ["C", "Fortran"])
def test_sums_begun_with_the_product_are_those_over_the_tail(layout, probabilities):
    n = 100_000
    rows, own = LAYOUTS[layout](bells(n, 5)), kinds_of_probabilities(n)[probabilities]
    x, base = portfolio(5), bells(n, 1)[:, 0]
    for level in (0.0, 0.5, 0.9, 0.975):
        profit, bad, begun = passes.profits_and_tail(rows, x, base, own, level)
        assert not bad
        assert_same_bits(profit, passes.profits(rows, x, base, own)[0])
        var = cshortfall.var(profit, level, weights=own)
        for boundary in (-var, begun.boundary, np.nextafter(begun.boundary, -np.inf)):
            expected = passes.tail_sums(rows, profit, boundary, base, own)
            for found, one in zip(passes.tail_sums(rows, profit, boundary, base, own, begun), expected, strict=True):
                assert_same_bits(found, one)


def test_no_sums_are_begun_of_few_scenarios_or_a_tail_that_none_foresees():
    for n, level in ((1000, 0.5), (100_000, 0.9999)):
        assert passes.profits_and_tail(bells(n, 3), np.ones(3), None, None, level)[2] is None
    rows = bells(100_000, 3)
    rows[5] = np.nan
    assert passes.profits_and_tail(rows, np.ones(3), None, None, 0.9)[1:] == (True, None)


def test_a_tail_that_lies_where_none_was_foreseen_is_summed():
    rows = bells(100_000, 3)
    rows[2048 * 5 : 2048 * 7] -= 10.0
    for level in (0.95, 0.975):
        profit, _, begun = passes.profits_and_tail(rows, np.ones(3), None, None, level)
        boundary = -cshortfall.var(profit, level)
        assert begun.boundary > boundary
        expected = passes.tail_sums(rows, profit, boundary, None, None)
        for found, one in zip(passes.tail_sums(rows, profit, boundary, None, None, begun), expected, strict=True):
            assert_same_bits(found, one)
