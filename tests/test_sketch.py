"""TailSketch: what it keeps, what it guarantees, and that no order of updating or merging shows."""

import copy
import doctest
import inspect
import math
import pickle
import threading
from fractions import Fraction
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
import textbook
import textbook_sketch
from bits import assert_same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import run_python

import cshortfall
from cshortfall._core.tail import available_isas
from cshortfall.stream import TailSketch

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")

law = settings(deadline=None, max_examples=60, derandomize=True, database=None)

LEVELS = (0.0, 0.3, 0.5, 0.81, 0.9, 0.975, 0.999)
# Full resolution; buckets of half an octave, of which one or three of each sign are kept; few narrow ones.
SHAPES = [(0.001, 2048), (0.25, 1), (0.25, 3), (0.01, 7)]

numbers = st.one_of(
    st.floats(allow_nan=False, width=64),
    st.floats(-100, 100),
    st.sampled_from([-2.0, -1.0, -0.0, 0.0, 0.1, 5e-324, 1.5, math.inf, -math.inf]),
)


def sketch_of(values, weights=None, shape=(0.001, 2048), nan_policy="propagate"):
    return TailSketch(shape[0], max_buckets=shape[1], nan_policy=nan_policy).update(values, weights)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", datasets.NAMED)
def test_bounds_are_those_of_the_most_equal_and_the_most_spread_outcomes(name, shape):
    for n in (1, 2, 23):
        values = datasets.NAMED[name](n)
        sketch = sketch_of(values, shape=shape)
        for tail in ("lower", "upper"):
            for level in LEVELS:
                where = f"n={n}, level={level}, tail={tail}"
                expected = textbook_sketch.es_bounds(values.tolist(), level, tail, *shape)
                assert_same_bits(sketch.es_bounds(level, tail=tail), expected, where)
                expected = textbook_sketch.var_bounds(values.tolist(), level, tail, *shape)
                assert_same_bits(sketch.var_bounds(level, tail=tail), expected, where)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", datasets.NAMED)
def test_bounds_hold(name, shape):
    values = datasets.NAMED[name](700)
    sketch = sketch_of(values, shape=shape)
    for tail in ("lower", "upper"):
        assert_bounds_hold(sketch, values, None, tail)


def assert_bounds_hold(sketch, values, weights, tail):
    exact_es, exact_var = cshortfall.es_var(values, LEVELS, weights=weights, tail=tail)
    low, high = sketch.es_bounds(LEVELS, tail=tail)
    least, most = sketch.var_bounds(LEVELS, tail=tail)
    es, var = sketch.es(LEVELS, tail=tail), sketch.var(LEVELS, tail=tail)
    undefined = np.isnan(exact_es)
    assert (undefined | ((low <= exact_es) & (exact_es <= high) & (low <= es) & (es <= high))).all()
    assert (np.isnan(es) == undefined).all()
    assert ((least <= exact_var) & (exact_var <= most) & (least <= var) & (var <= most)).all()
    finite = sketch.resolves(LEVELS, tail=tail) & np.isfinite(exact_var)
    for estimate, exact in zip(var[finite].tolist(), exact_var[finite].tolist(), strict=True):
        assert abs(Fraction(estimate) - Fraction(exact)) <= Fraction(sketch.relative_accuracy) * abs(Fraction(exact))


def test_bounds_hold_over_a_thousand_heavy_tailed_streams():
    rng = np.random.default_rng(1)
    for stream in range(1000):
        n = int(rng.integers(1, 3000))
        values = rng.standard_t(rng.uniform(0.3, 6), n) * rng.choice([1.0, 1e-300, 1e290]) + rng.choice([0.0, 0.3])
        accuracy, buckets = rng.choice([0.0001, 0.001, 0.02, 0.25]), int(rng.integers(1, 500))
        sketch = TailSketch(accuracy, max_buckets=buckets)
        for part in np.array_split(values, 3):
            sketch.update(part)
        tail = ("lower", "upper")[stream % 2]
        assert_bounds_hold(sketch, values, None, tail)


@pytest.mark.parametrize("level", [0.9, 0.975, 0.99, 0.999])
def test_bounds_are_no_wider_than_the_bucket_at_the_boundary(level):
    values = datasets.heavy_tails(20_000)
    for accuracy in (0.0001, 0.001, 0.01, 0.1):
        sketch = TailSketch(accuracy, max_buckets=20_000).update(values)
        low, high = map(Fraction, sketch.es_bounds(level))
        width = 2 * Fraction(accuracy) / (1 - Fraction(accuracy)) * abs(Fraction(cshortfall.var(values, level)))
        assert high - low <= width * (1 + Fraction(1, 2**50))


def test_es_is_close_and_small_at_the_default_accuracy():
    values = np.random.default_rng(2).standard_t(3, 1_000_000)
    sketch = TailSketch().update(values)
    exact = cshortfall.es(values, 0.99)
    assert abs(sketch.es(0.99) - exact) <= 1e-4 * exact
    assert len(sketch.to_bytes()) <= 32_000


def test_bounds_hold_for_a_hundred_million_outcomes():
    block = np.random.default_rng(3).standard_t(3, 1_000_000)
    sketch = TailSketch()
    tail = []
    for part in range(100):
        values = block * (0.8 + part / 250)
        sketch.update(values)
        tail.append(values[values < -4.0])
    assert sketch.count == 100_000_000
    worst = np.concatenate(tail)
    # The million outcomes that are worst, whichever level says so.
    exact = cshortfall.es(worst, 1 - 1_000_000 / worst.size)
    low, high = sketch.es_bounds(0.99)
    assert worst.size > 1_000_000
    assert low <= exact <= high
    assert high - low <= 2e-6 * exact
    assert abs(sketch.es(0.99) - exact) <= high - low


def test_where_nothing_is_open_the_bits_are_those_of_es():
    values = datasets.bells(1000)
    sketch = TailSketch().update(values)
    assert sketch.es_bounds(0.0) == (cshortfall.es(values, 0.0),) * 2
    assert sketch.es(0.0) == cshortfall.es(values, 0.0)
    exact = [level for level in np.linspace(0.5, 0.999, 300).tolist() if len(set(sketch.es_bounds(level))) == 1]
    assert len(exact) > 30
    for level in exact:
        assert sketch.es(level) == cshortfall.es(values, level)


@pytest.mark.parametrize("value", [0.1, -1e-310, 3e307])
def test_the_sketch_of_a_constant_is_exact(value):
    sketch = TailSketch().update(np.full(9, value))
    for level in LEVELS:
        assert sketch.es(level) == sketch.var(level) == -value
        assert sketch.es(level, tail="upper") == value


@pytest.mark.parametrize("name", datasets.NAMED)
def test_quantiles_are_within_the_accuracy(name):
    values = datasets.NAMED[name](200)
    sketch = TailSketch(0.01).update(values)
    ordered = sorted(values.tolist())
    for q in (0.0, 0.01, 0.1, 0.3, 0.5, 0.55, 0.99, 1.0):
        exact = ordered[textbook_sketch.rank_of_quantile(q, values.size) - 1]
        estimate = sketch.quantile(q)
        if math.isinf(exact):
            assert estimate == exact
        else:
            assert abs(Fraction(estimate) - Fraction(exact)) <= Fraction(0.01) * abs(Fraction(exact))


@pytest.mark.parametrize("name", datasets.FINITE)
def test_sum_and_extremes_are_exact(name):
    for n in (1, 2, 500):
        values = datasets.FINITE[name](n)
        for shape in SHAPES:
            sketch = sketch_of(values, shape=shape)
            exact = textbook.exact_sum(values)
            if abs(exact) < 2**1024:
                assert_same_bits(sketch.sum, textbook.to_double(exact))
            else:
                assert sketch.sum == (math.inf if exact > 0 else -math.inf)
            assert (sketch.min, sketch.max, sketch.count) == (values.min(), values.max(), n)


@law
@given(st.lists(st.lists(numbers, max_size=30), min_size=2, max_size=6), st.randoms(), st.sampled_from(SHAPES))
def test_no_order_of_updating_or_merging_shows(parts, random, shape):
    whole = sketch_of([value for part in parts for value in part], shape=shape)
    sketches = [sketch_of(part, shape=shape) for part in parts]
    while len(sketches) > 1:
        first, second = random.sample(range(len(sketches)), 2)
        merged = sketches[first].merge(sketches[second])
        sketches = [one for place, one in enumerate(sketches) if place not in (first, second)] + [merged]
    assert sketches[0].to_bytes() == whole.to_bytes()


@law
@given(st.lists(st.tuples(numbers, st.integers(0, 5)), max_size=40), st.sampled_from(SHAPES), st.randoms())
def test_whole_weights_are_repetitions(pairs, shape, random):
    values, weights = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    repeated = [value for value, weight in pairs for _ in range(weight)]
    random.shuffle(repeated)
    weighted = sketch_of(np.array(values, dtype=float), np.array(weights), shape=shape)
    assert weighted == sketch_of(repeated, shape=shape)
    assert weighted.count == len(repeated)


@pytest.mark.parametrize("n", [1, 5, 1023, 1024, 1025, 5000, 40_000])
@pytest.mark.parametrize("shape", SHAPES)
def test_scalars_and_arrays_give_equal_bytes(n, shape):
    values = datasets.heavy_tails(n)
    values[:: n // 3 + 1] = 0.0
    one_by_one = TailSketch(shape[0], max_buckets=shape[1])
    for value in values.tolist():
        one_by_one.update(value)
    assert sketch_of(values, shape=shape).to_bytes() == one_by_one.to_bytes()


@pytest.mark.parametrize("name", [*datasets.NAMED, *datasets.ADVERSARIAL])
def test_staged_outcomes_are_those_added_one_by_one(name):
    values = (datasets.NAMED | datasets.ADVERSARIAL)[name](6000)
    for shape in SHAPES:
        staged = sketch_of(values, shape=shape)
        # A weight keeps an array from being staged.
        assert staged.to_bytes() == sketch_of(values, 1, shape=shape).to_bytes()


def test_many_octaves_need_more_pages_than_there_are():
    values = np.ldexp(datasets.uniforms(30_000) + 0.5, np.arange(30_000) * 7 % 2090 - 1070)
    for accuracy in (0.0001, 0.25):
        for buckets in (5, 1_000_000):
            shape = accuracy, buckets
            assert sketch_of(values, shape=shape).to_bytes() == sketch_of(values, 1, shape=shape).to_bytes()


def test_long_arrays_are_folded_before_sums_overflow():
    values = np.full(3_000_000, math.nextafter(-1.0, 0.0))
    assert TailSketch(0.25).update(values).sum == -3_000_000 * (1 - 2.0**-53)
    assert TailSketch(0.001).update(values).es(0.5) == 1 - 2.0**-53


@pytest.mark.parametrize(
    "view",
    [
        lambda values: values.tolist(),
        lambda values: values.reshape(40, 50),
        lambda values: np.asfortranarray(values.reshape(40, 50)),
        lambda values: np.repeat(values, 2)[::2],
        lambda values: values.astype(">f8"),
        lambda values: pd.Series(values),
        lambda values: pd.DataFrame(values.reshape(400, 5)),
        datasets.read_only,
    ],
)
def test_every_form_of_the_outcomes_gives_equal_bytes(view):
    values = datasets.bells(2000)
    assert TailSketch().update(view(values)) == TailSketch().update(values)


def test_single_precision_and_integers_are_widened():
    values = datasets.bells(3000).astype(np.float32)
    assert TailSketch().update(values) == TailSketch().update(values.astype(np.float64))
    assert TailSketch().update(np.arange(5)) == TailSketch().update([0.0, 1.0, 2.0, 3.0, 4.0])
    assert TailSketch().update(3) == TailSketch().update(3.0) == TailSketch().update(np.float32(3.0))


def test_merging_with_itself_doubles():
    values = datasets.heavy_tails(500)
    for shape in SHAPES:
        sketch = sketch_of(values, shape=shape)
        assert sketch.merge(sketch) is sketch
        assert sketch == sketch_of(np.concatenate([values, values]), shape=shape)


def test_merging_leaves_the_other_as_it_was():
    first, second = TailSketch().update([1.0, -2.0]), TailSketch().update([3.0])
    before = second.to_bytes()
    assert first.merge(second) is first
    assert second.to_bytes() == before
    assert first.count == 3


@pytest.mark.parametrize(
    ("parameter", "value"), [("relative_accuracy", 0.01), ("max_buckets", 100), ("nan_policy", "omit")]
)
def test_sketches_of_other_parameters_are_not_merged(parameter, value):
    sketch = TailSketch().update([1.0, 2.0])
    before = sketch.to_bytes()
    with pytest.raises(ValueError, match=f"other must have the same {parameter} .* got {value!r}"):
        sketch.merge(TailSketch(**{parameter: value}))
    with pytest.raises(TypeError):
        sketch.merge(None)
    assert sketch.to_bytes() == before


def test_the_count_is_limited_and_nothing_changes_beyond():
    sketch = TailSketch().update(-1.5, weights=2**53 - 2)
    before = sketch.to_bytes()
    assert (sketch.sum, sketch.es(0.9)) == (-1.5 * (2**53 - 2), 1.5)
    for values, weights in (([1.0, 2.0, 3.0], None), ([1.0, 2.0], [1, 2]), ([4.0], [2**60]), (np.ones(2000), None)):
        with pytest.raises(ValueError, match=r"up to 2\*\*53 outcomes"):
            sketch.update(values, weights)
        assert sketch.to_bytes() == before
    with pytest.raises(ValueError, match=r"up to 2\*\*53 outcomes"):
        sketch.merge(sketch)
    assert sketch.to_bytes() == before
    assert sketch.update([1.0, 2.0]).count == 2**53


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_bad_weights_change_nothing(weight):
    sketch = TailSketch().update([1.0, 2.0])
    before = sketch.to_bytes()
    with pytest.raises(ValueError, match=r"weights must be finite and not negative, got weights\[1\]"):
        sketch.update([1.0, 2.0, 3.0], [0.5, weight, 1.0])
    assert sketch.to_bytes() == before


def test_weights_that_are_not_whole_have_a_range():
    sketch = TailSketch()
    for weight in (1e-130, 1e130):
        with pytest.raises(ValueError, match=r"between 2\*\*-400 and 2\*\*400"):
            sketch.update([1.0, 2.0], [0.5, weight])
    assert sketch.update([1.0, 2.0], [0.5, 1e100]).count == 1e100


def test_the_total_of_real_weights_is_limited():
    sketch = TailSketch().update(-1.5, weights=2.0**-400)
    while sketch.count < 2.0**500:
        sketch.merge(sketch)
    before = sketch.to_bytes()
    with pytest.raises(ValueError, match=r"2\*\*500 in all"):
        sketch.merge(sketch)
    assert sketch.to_bytes() == before
    assert TailSketch.from_bytes(before).es(0.9) == 1.5


def test_weights_must_have_the_shape_of_the_values():
    with pytest.raises(ValueError, match="weights must have the shape of values"):
        TailSketch().update([1.0, 2.0], [1.0])
    with pytest.raises(TypeError, match="weights"):
        TailSketch().update([1.0, 2.0], [True, False])


def test_weights_of_a_series_are_aligned():
    values = pd.Series([1.0, 2.0, 3.0], index=["a", "b", "c"])
    with pytest.raises(ValueError, match="index"):
        TailSketch().update(values, pd.Series([1, 2, 3], index=["c", "b", "d"]))


@pytest.mark.parametrize("name", datasets.NAMED)
@pytest.mark.parametrize("shape", SHAPES)
def test_bounds_hold_with_real_weights(name, shape):
    for n in (1, 3, 300):
        values = datasets.NAMED[name](n)
        weights = datasets.unequal_weights(n)
        sketch = sketch_of(values, weights, shape)
        exact = cshortfall.es(values, LEVELS, weights=weights)
        low, high = sketch.es_bounds(LEVELS)
        undefined = np.isnan(exact)
        assert (undefined | ((low <= exact) & (exact <= high))).all()
        assert math.isclose(sketch.count, weights.sum(), rel_tol=1e-14)


def test_real_weights_agree_in_any_order_within_the_bound():
    values, weights = datasets.heavy_tails(4000), datasets.unequal_weights(4000)
    whole = TailSketch().update(values, weights)
    for seed in range(5):
        order = datasets.permutation(4000, seed)
        parts = [TailSketch().update(values[part], weights[part]) for part in np.array_split(order, 7)]
        while len(parts) > 1:
            parts = [parts[0].merge(parts[-1]), *parts[1:-1]]
        for level in LEVELS:
            tail_mean = cshortfall.es(-np.abs(values), level, weights=weights)
            assert abs(parts[0].es(level) - whole.es(level)) <= 2.0**-51 / (1 - level) * tail_mean
        assert math.isclose(parts[0].sum, whole.sum, rel_tol=1e-14)


def test_a_sketch_with_real_weights_takes_any_other():
    values = datasets.bells(3000)
    weighted = TailSketch().update(values, np.full(3000, 0.5))
    plain = TailSketch().update(values)
    assert weighted.copy().merge(plain).count == plain.copy().merge(weighted).count == 4500.0
    assert weighted.copy().merge(plain) == plain.copy().merge(weighted) == weighted.copy().update(values)


def test_real_weights_one_by_one_and_in_arrays_give_equal_bytes():
    values, weights = datasets.bells(3000), datasets.unequal_weights(3000)
    one_by_one = TailSketch()
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        one_by_one.update(value, weight)
    assert one_by_one == TailSketch().update(values, weights)
    assert one_by_one.update(values) == TailSketch().update(values, weights).update(values.tolist())


def test_nan_propagates():
    sketch = TailSketch().update([1.0, math.nan, -2.0])
    assert (sketch.count, sketch.missing) == (2, 1)
    results = [sketch.es(), sketch.var(), sketch.sum, sketch.min, sketch.max, sketch.quantile(0.5)]
    assert np.isnan([*results, *sketch.es_bounds(), *sketch.var_bounds()]).all()
    assert math.isnan(TailSketch().update(1.0).merge(sketch).es())


def test_nan_is_omitted_and_counted():
    sketch = TailSketch(nan_policy="omit").update([1.0, math.nan, -2.0]).update(np.resize([math.nan, 3.0], 5000))
    assert (sketch.count, sketch.missing) == (2502, 2501)
    assert sketch.es(0.0) == -sketch.sum / 2502 == -7499 / 2502


def test_nan_is_refused_and_nothing_changes():
    sketch = TailSketch(nan_policy="raise").update([1.0])
    for values, where in (([2.0, math.nan], r"values\[1\]"), (math.nan, "values")):
        with pytest.raises(ValueError, match=rf"{where}.*nan_policy='omit'|values is missing \(NaN\) at {where}"):
            sketch.update(values)
    assert sketch == TailSketch(nan_policy="raise").update([1.0])


def test_an_outcome_of_weight_zero_is_absent():
    sketch = TailSketch(nan_policy="raise").update([1.0, math.nan, math.inf], weights=[1, 0, 0])
    assert sketch == TailSketch(nan_policy="raise").update(1.0)
    assert TailSketch().update([5.0, 6.0], weights=0) == TailSketch()


def test_infinities_are_data():
    sketch = TailSketch().update([-math.inf, 1.0, 2.0, math.inf])
    assert (sketch.es(0.5), sketch.es(0.5, tail="upper")) == (math.inf, math.inf)
    assert math.isnan(sketch.es(0.0))
    assert math.isnan(sketch.sum)
    assert (sketch.min, sketch.max) == (-math.inf, math.inf)
    assert (sketch.var(0.5), sketch.var(0.9)) == (-1.0, math.inf)
    assert TailSketch().update([math.inf, 1.0]).sum == math.inf


def test_the_empty_sketch():
    sketch = TailSketch()
    assert (sketch.count, sketch.missing, sketch.sum, sketch.collapsed) == (0, 0, 0.0, False)
    results = [sketch.es(), sketch.var(), sketch.min, sketch.max, sketch.quantile(0.5)]
    assert np.isnan([*results, *sketch.es_bounds(), *sketch.var_bounds()]).all()
    assert sketch.resolves()
    assert sketch.merge(TailSketch()) == TailSketch().update([])
    assert "count=0, es(0.975)=nan" in repr(sketch)


def test_collapsed_buckets_are_flagged_and_bounded():
    values = datasets.heavy_tails(50_000)
    sketch = TailSketch(0.01, max_buckets=40).update(values)
    assert sketch.collapsed
    assert not TailSketch(0.01, max_buckets=40).update(values[:30]).collapsed
    resolved = sketch.resolves([0.6, 0.9, 0.999, 0.99999])
    assert resolved.dtype == np.bool_
    assert not resolved[0]
    assert resolved[-1]
    for level in (0.6, 0.9):
        exact, (low, high) = cshortfall.es(values, level), sketch.es_bounds(level)
        assert low <= exact <= high <= low + abs(cshortfall.var(values, level))
    least, most = sketch.var_bounds(0.6)
    assert least <= cshortfall.var(values, 0.6) <= most <= 2 * least


def test_memory_is_bounded_by_max_buckets():
    sketch = TailSketch(max_buckets=64)
    sizes = []
    for seed in range(20):
        sketch.update(datasets.heavy_tails(20_000, seed + 1))
        sizes.append(len(sketch.to_bytes()))
    assert max(sizes) < 2500


def test_several_levels_give_arrays():
    values = datasets.bells(1000)
    sketch = TailSketch().update(values)
    levels = [0.9, 0.5, 0.99]
    assert_same_bits(sketch.es(levels), [sketch.es(level) for level in levels])
    assert_same_bits(sketch.var(np.array(levels)), [sketch.var(level) for level in levels])
    low, high = sketch.es_bounds(levels)
    assert_same_bits(np.column_stack([low, high]), [sketch.es_bounds(level) for level in levels])
    assert sketch.resolves(levels).tolist() == [True, True, True]
    assert sketch.es([0.9]).shape == (1,)


def test_a_doubtful_level_warns():
    with pytest.warns(cshortfall.LevelWarning, match="is a confidence"):
        TailSketch().update(1.0).es(0.05)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: TailSketch(0.5), ValueError, "relative_accuracy must be from 0.0001 to 0.25, got 0.5"),
        (lambda: TailSketch(0), ValueError, "relative_accuracy must be from"),
        (lambda: TailSketch(math.nan), ValueError, "relative_accuracy must be from"),
        (lambda: TailSketch("0.1"), TypeError, "relative_accuracy must be a number"),
        (lambda: TailSketch(True), TypeError, "relative_accuracy must be a number"),
        (lambda: TailSketch(max_buckets=0), ValueError, "max_buckets must be at least 1, got 0"),
        (lambda: TailSketch(max_buckets=2**21), ValueError, "max_buckets must be at most 1048576"),
        (lambda: TailSketch(max_buckets=2.0), TypeError, "max_buckets must be an int"),
        (lambda: TailSketch(nan_policy="drop"), ValueError, "nan_policy must be one of"),
        (lambda: TailSketch().es(99), ValueError, "level must be in"),
        (lambda: TailSketch().es(0.9, tail="left"), ValueError, "tail must be one of"),
        (lambda: TailSketch().quantile(1.5), ValueError, "q must be from 0 to 1, got 1.5"),
        (lambda: TailSketch().quantile(math.nan), ValueError, "q must be from 0 to 1"),
        (lambda: TailSketch().quantile("median"), TypeError, "q must be a number"),
        (lambda: TailSketch().update("1.0"), TypeError, "values"),
        (lambda: TailSketch().update(True), TypeError, "values"),
        (lambda: TailSketch().update(None), TypeError, "values"),
        (lambda: TailSketch().update([1.0, 2j]), TypeError, "values"),
        (lambda: TailSketch().update(1.0, True), TypeError, "weights"),
    ],
)
def test_mistakes_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_equality_is_that_of_states():
    sketch = TailSketch().update([1.0, 2.0])
    assert sketch == TailSketch().update([2.0, 1.0])
    assert sketch != TailSketch().update([2.0, 1.5])
    assert sketch != TailSketch(0.01).update([2.0, 1.0])
    assert sketch != [1.0, 2.0]
    with pytest.raises(TypeError, match="unhashable"):
        hash(sketch)


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, TailSketch.copy, lambda one: pickle.loads(pickle.dumps(one))]
)
def test_copies_are_independent(duplicate):
    for sketch in (TailSketch().update(datasets.bells(500)), TailSketch(nan_policy="omit").update([1.0], [0.5])):
        twin = duplicate(sketch)
        assert twin == sketch
        assert twin.update(7.0) != sketch
        assert twin.nan_policy == sketch.nan_policy


def test_subclasses_stay_subclasses():
    class Named(TailSketch):
        """A sketch with a name."""

    sketch = Named().update([1.0])
    assert type(sketch.copy()) is Named
    assert type(Named.from_bytes(sketch.to_bytes())) is Named


def test_the_representation_shows_count_and_es():
    sketch = TailSketch().update([0.3, -2.0, 0.5, -1.0])
    assert repr(sketch) == "TailSketch(relative_accuracy=0.001, max_buckets=2048, count=4, es(0.975)=2)"
    assert "count=2.5, " in repr(TailSketch().update([1.0, 2.0], [2.0, 0.5]))


@pytest.mark.parametrize("isa", available_isas())
def test_every_instruction_set_gives_equal_bytes(isa):
    code = """
import datasets, zlib
from cshortfall.stream import TailSketch
for n in (1, 1500, 40_000):
    sketch = TailSketch().update(datasets.heavy_tails(n)).update(datasets.bells(n), datasets.uniforms(n))
    print(zlib.crc32(sketch.to_bytes()), sketch.es(0.99).hex(), *map(float.hex, sketch.es_bounds(0.9)))
"""
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r})" + code
    assert run_python(code, CSHORTFALL_ISA=isa) == run_python(code, CSHORTFALL_ISA="baseline")


def test_the_class_and_its_methods_are_documented_with_examples_that_run():
    own = [name for name in vars(TailSketch) if not name.startswith("_")]
    documented = [TailSketch, *(getattr(TailSketch, name) for name in own)]
    for member in documented:
        documentation = inspect.getdoc(member)
        assert documentation.splitlines()[0].endswith(".")
        if callable(member):
            assert "\nExamples\n--------\n>>> " in documentation
            example = doctest.DocTestParser().get_doctest(documentation, {}, str(member), None, 0)
            assert doctest.DocTestRunner(verbose=False).run(example).failed == 0
            for parameter in inspect.signature(member).parameters:
                assert parameter == "self" or parameter in documentation


def test_threads_may_share_a_sketch():
    values = datasets.heavy_tails(200_000)
    parts = np.array_split(values, 8)
    sketch = TailSketch()
    threads = [threading.Thread(target=lambda own=part: sketch.update(own)) for part in parts]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        sketch.es(0.99)
        sketch.to_bytes()
    assert sketch == TailSketch().update(values)
