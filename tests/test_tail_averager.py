"""TailAverager: the tail of a stream whose length is known, equal to the bit to the estimator on all its values."""

import copy
import math
import pickle

import datasets
import numpy as np
import pytest
import textbook
from bits import assert_same_bits

import cshortfall
from cshortfall._core.window import TailAverager

SAMPLES = datasets.NAMED | datasets.ADVERSARIAL

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")


def results(averager):
    """Return ES and VaR."""
    return averager.es(), averager.var()


def pieces(values):
    """Cut values into scalars and arrays of growing length."""
    start = 0
    for size in (1, 1, 2, 3, 5, 8, 13, 100, 1000, 5000, 20_000, 100_000):
        part = values[start : start + size]
        start += size
        if part.size:
            yield part[0] if size == 1 else part


@pytest.mark.parametrize("name", SAMPLES)
def test_at_any_count_it_is_the_textbook(name):
    values = SAMPLES[name](60)
    averager = TailAverager(0.8, 60)
    for count, value in enumerate(values.tolist(), 1):
        assert_same_bits(results(averager.update(value)), textbook.es_var(values[:count], 0.8)[:2], f"{count}")


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("level", [0.975, 0.3])
def test_in_pieces_it_is_what_es_var_gives(name, level):
    values = SAMPLES[name](20_000)
    averager = TailAverager(level, 25_000)
    count = 0
    for piece in pieces(values):
        averager.update(piece)
        count += np.size(piece)
        assert averager.count == count
        assert_same_bits(results(averager), cshortfall.es_var(values[:count], level), f"{count}")


@pytest.mark.parametrize("level", [0.0, 0.5, 0.999999])
@pytest.mark.parametrize("side", ["lower", "upper"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
def test_levels_tails_and_dtypes(level, side, dtype):
    values = datasets.integers(5000).astype(dtype)
    averager = TailAverager(level, 5000, tail=side)
    averager.update(values[:3000].reshape(60, 50)).update(values[3000::2]).update(values[3001::2])
    assert_same_bits(results(averager), cshortfall.es_var(values, level, tail=side))


def test_the_order_does_not_show():
    values = datasets.heavy_tails(3000)
    one, other = TailAverager(0.9, 3000).update(values), TailAverager(0.9, 3000)
    for block in np.split(values[datasets.permutation(3000)], 30):
        other.update(block)
    assert one == other
    assert results(one) == results(other)


@pytest.mark.parametrize("name", ["heavy tails", "sorted", "reversed", "constant", "infinite gains", "infinite losses"])
def test_merged_parts_are_the_whole(name):
    values = SAMPLES[name](9000)
    whole = TailAverager(0.9, 10_000).update(values)
    parts = [TailAverager(0.9, 10_000).update(part) for part in np.split(values, [10, 4000, 8999])]
    forward, backward = copy.copy(parts[0]), copy.copy(parts[3])
    for part in parts[1:]:
        forward.merge(part)
    for part in parts[2::-1]:
        backward.merge(part)
    assert forward == backward == whole
    assert_same_bits(results(forward), cshortfall.es_var(values, 0.9))
    assert parts[1] == TailAverager(0.9, 10_000).update(values[10:4000])


def test_merging_with_itself_doubles_it():
    values = datasets.bells(50)
    averager = TailAverager(0.9, 100).update(values)
    averager.merge(averager)
    assert_same_bits(results(averager), cshortfall.es_var(np.tile(values, 2), 0.9))


def test_without_values_there_is_no_result():
    averager = TailAverager(0.9, 10)
    assert all(map(math.isnan, results(averager)))
    assert all(map(math.isnan, results(averager.update([]))))


def test_more_than_n_values_are_an_error_and_nothing_changes():
    averager = TailAverager(0.5, 4).update([1.0, -2.0, 3.0])
    before = copy.copy(averager)
    with pytest.raises(ValueError, match=r"2 more than the 3 values so far exceed n, 4"):
        averager.update([5.0, 6.0])
    with pytest.raises(ValueError, match="exceed n"):
        averager.merge(before)
    assert averager == before
    averager.update(-4.0)
    with pytest.raises(ValueError, match="exceed n"):
        averager.update(1.0)
    assert_same_bits(results(averager), cshortfall.es_var([1.0, -2.0, 3.0, -4.0], 0.5))


def test_missing_values_make_the_results_nan():
    averager = TailAverager(0.5, 10).update([1.0, math.nan])
    assert averager.count == 2
    assert all(map(math.isnan, results(averager.update(2.0))))
    clean = TailAverager(0.5, 10).update(1.0)
    assert all(map(math.isnan, results(clean.merge(averager))))


def test_missing_values_are_omitted_and_not_counted():
    values = datasets.with_missing(datasets.heavy_tails(1000), "many")
    present = values[~np.isnan(values)]
    averager = TailAverager(0.9, present.size, nan_policy="omit")
    averager.update(values[:500].astype(np.float32).astype(float)).update(values[500:])
    mixed = np.concatenate([values[:500].astype(np.float32).astype(float), values[500:]])
    assert averager.count == present.size
    assert_same_bits(results(averager), cshortfall.es_var(mixed, 0.9, nan_policy="omit"))


def test_missing_values_are_refused_and_nothing_changes():
    averager = TailAverager(0.5, 10, nan_policy="raise").update([1.0, 2.0])
    with pytest.raises(ValueError, match=r"missing \(NaN\) at 1 place"):
        averager.update([3.0, math.nan])
    assert averager.count == 2


@pytest.mark.parametrize("size", [0, 5, 5000])
def test_copies_and_pickles_go_on_alike(size):
    values, more = datasets.returns(size), datasets.heavy_tails(4000)
    averager = TailAverager(0.9, 10_000, tail="upper", nan_policy="omit").update(values)
    others = [copy.copy(averager), copy.deepcopy(averager)]
    others += [pickle.loads(pickle.dumps(averager, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    averager.update(more)
    for other in others:
        assert other != averager
        assert other.update(more) == averager
        assert_same_bits(results(other), results(averager))


def test_equality_is_of_the_tail_the_count_and_what_it_was_made_with():
    made = TailAverager(0.9, 100)
    assert made == TailAverager(0.9, 100)
    assert made != TailAverager(0.8, 100)
    assert made != TailAverager(0.9, 99)
    assert made != TailAverager(0.9, 100, tail="upper")
    assert made != TailAverager(0.9, 100, nan_policy="omit")
    assert made != TailAverager(0.9, 100).update(1.0)
    assert TailAverager(0.9, 100).update(1.0) != TailAverager(0.9, 100).update(2.0)
    assert made != 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(made)


def test_the_representation_tells_count_and_es():
    assert repr(TailAverager(0.5, 4).update([1.0, -3.0])) == "TailAverager(level=0.5, n=4, count=2, es=3.0)"
    assert repr(TailAverager(0.5, 4, tail="upper", nan_policy="omit")) == (
        "TailAverager(level=0.5, n=4, tail='upper', nan_policy='omit', count=0, es=nan)"
    )


def test_what_it_was_made_with_can_be_read():
    averager = TailAverager(0.9, 7, tail="upper", nan_policy="raise")
    assert (averager.level, averager.n, averager.tail, averager.nan_policy) == (0.9, 7, "upper", "raise")


def test_other_averagers_cannot_be_merged():
    averager = TailAverager(0.9, 100)
    with pytest.raises(ValueError, match="other must be made like this one"):
        averager.merge(TailAverager(0.9, 101))
    with pytest.raises(TypeError, match="other must be a TailAverager"):
        averager.merge([1.0])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((1.0, 5), {}, ValueError, r"level must be in \[0, 1\)"),
        (([0.9], 5), {}, TypeError, "level must be one number"),
        ((0.9, 0), {}, ValueError, "n must be at least 1, got 0"),
        ((0.9, 5.0), {}, TypeError, "n must be an int"),
        ((0.0, 2**80), {}, MemoryError, "n: no memory for"),
        ((0.0, 2**50), {}, MemoryError, "no memory for"),
        ((0.9, 5), {"tail": "x"}, ValueError, "tail"),
        ((0.9, 5), {"nan_policy": "x"}, ValueError, "nan_policy"),
    ],
)
def test_bad_arguments_are_errors_that_name_them(arguments, options, error, message):
    with pytest.raises(error, match=message):
        TailAverager(*arguments, **options)


@pytest.mark.parametrize("value", ["1", None, 1j, [[1.0], [2.0, 3.0]], True])
def test_what_is_no_number_is_refused_and_changes_nothing(value):
    averager = TailAverager(0.9, 5)
    with pytest.raises((TypeError, ValueError), match="value"):
        averager.update(value)
    assert averager.count == 0


def test_a_hundred_million_expected_values_take_memory_for_the_tail_only():
    averager = TailAverager(0.9999, 100_000_000)
    values = datasets.heavy_tails(200_000)
    for _ in range(3):
        averager.update(values)
    assert_same_bits(results(averager), cshortfall.es_var(np.tile(values, 3), 0.9999))
