"""TailWindow: the tail of the latest values after each, equal to the bit to the estimator on the window."""

import copy
import math
import pickle
import threading

import datasets
import numpy as np
import pytest
import textbook
from bits import assert_same_bits

import cshortfall
from cshortfall._core.window import TailWindow

SAMPLES = datasets.NAMED | datasets.ADVERSARIAL

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")


def windows_of(n, window):
    """Return the bounds of the window after each value."""
    return textbook.rolling_bounds(n, window)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_push_returns_the_textbook(name):
    values = SAMPLES[name](150)
    for window in (1, 7, 40, 200):
        tail = TailWindow(window, 0.9, min_periods=1)
        pushed = [(tail.push(value), tail.var) for value in values.tolist()]
        expected = textbook.es_var_of_windows(values, windows_of(150, window), 0.9)
        assert_same_bits(np.array(pushed).T, expected)


@pytest.mark.parametrize("name", ["heavy tails", "sorted", "reversed", "few distinct", "slow waves", "wide exponents"])
@pytest.mark.parametrize("window", [250, 3000])
def test_long_streams_give_what_es_gives(name, window):
    values = SAMPLES[name](10_000)
    tail = TailWindow(window)
    results = tail.push_many(values)
    assert np.isnan(results[: window - 1]).all()
    for stop in range(window, values.size, 211):
        assert_same_bits(results[stop - 1], cshortfall.es(values[stop - window : stop]))
    assert_same_bits((tail.es, tail.var), cshortfall.es_var(values[-window:]))


@pytest.mark.parametrize("level", [0.0, 0.3, 0.975, 0.9999])
@pytest.mark.parametrize("side", ["lower", "upper"])
def test_levels_and_tails(level, side):
    values = datasets.returns(200)
    tail = TailWindow(30, level, min_periods=5, tail=side)
    results = tail.push_many(values)
    expected, _ = textbook.es_var_of_windows(values, windows_of(200, 30), level, side, 5)
    assert_same_bits(results, expected)


def test_one_at_a_time_or_many_is_the_same():
    values = datasets.with_missing(datasets.heavy_tails(600), "many")
    one, many = TailWindow(50, min_periods=10), TailWindow(50, min_periods=10)
    assert_same_bits([one.push(value) for value in values.tolist()], many.push_many(values))
    assert one == many


def test_missing_values_hold_a_place():
    tail = TailWindow(3, 0.5, min_periods=2)
    assert math.isnan(tail.push(1.0))
    assert math.isnan(tail.push(math.nan))
    assert tail.count == 1
    assert tail.push(-2.0) == 2.0
    assert tail.push(5.0) == 2.0
    assert math.isnan(TailWindow(1, min_periods=0).push(math.nan))


def test_before_the_first_value_there_is_no_result():
    tail = TailWindow(5, min_periods=0)
    assert math.isnan(tail.es)
    assert math.isnan(tail.var)
    assert tail.count == 0


def test_what_it_was_made_with_can_be_read():
    tail = TailWindow(5, 0.9, min_periods=2, tail="upper")
    assert (tail.window, tail.level, tail.min_periods, tail.tail) == (5, 0.9, 2, "upper")
    assert TailWindow(5).min_periods == 5
    assert TailWindow(5).level == 0.975


def test_reset_makes_it_as_new():
    values = datasets.heavy_tails(300)
    tail = TailWindow(50)
    first = tail.push_many(values)
    tail.reset()
    assert tail == TailWindow(50)
    assert math.isnan(tail.es)
    assert_same_bits(tail.push_many(values), first)


@pytest.mark.parametrize("size", [0, 3, 50, 120])
def test_copies_and_pickles_go_on_alike(size):
    values = datasets.with_missing(datasets.returns(size), "start") if size else np.empty(0)
    tail = TailWindow(50, 0.9, min_periods=3, tail="upper")
    tail.push_many(values)
    others = [copy.copy(tail), copy.deepcopy(tail)]
    others += [pickle.loads(pickle.dumps(tail, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    more = datasets.heavy_tails(100)
    expected = tail.push_many(more)
    for other in others:
        assert other != tail
        assert_same_bits(other.push_many(more), expected)
        assert other == tail


def test_equality_is_of_values_in_order_and_of_what_it_was_made_with():
    tail = TailWindow(3)
    tail.push_many([1.0, 2.0, 3.0])
    same, order = TailWindow(3), TailWindow(3)
    same.push_many([9.0, 1.0, 2.0, 3.0])
    order.push_many([3.0, 2.0, 1.0])
    assert tail == same
    assert tail != order
    assert TailWindow(3) != TailWindow(4)
    assert TailWindow(3) != TailWindow(3, 0.9)
    assert TailWindow(3) != TailWindow(3, min_periods=1)
    assert TailWindow(3) != TailWindow(3, tail="upper")
    assert TailWindow(3) != 3
    with pytest.raises(TypeError, match="unhashable"):
        hash(tail)


def test_the_representation_tells_what_it_holds():
    tail = TailWindow(2, 0.5)
    tail.push_many([1.0, -3.0])
    assert repr(tail) == "TailWindow(window=2, level=0.5, count=2, es=3.0)"
    assert repr(TailWindow(9, min_periods=2, tail="upper")) == (
        "TailWindow(window=9, level=0.975, min_periods=2, tail='upper', count=0, es=nan)"
    )


@pytest.mark.parametrize("value", [3, np.float32(3), np.int64(3), np.array(3.0)])
def test_any_real_number_is_a_value(value):
    assert TailWindow(1).push(value) == -3.0


@pytest.mark.parametrize("dtype", [np.float32, np.int16, ">f8"])
def test_any_real_numbers_are_values(dtype):
    values = datasets.integers(50).astype(dtype)
    assert_same_bits(TailWindow(5).push_many(values), TailWindow(5).push_many(values.astype(float)))
    assert_same_bits(TailWindow(5).push_many(values[::2]), TailWindow(5).push_many(values[::2].astype(float).tolist()))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0,), {}, ValueError, "window must be at least 1, got 0"),
        ((2.0,), {}, TypeError, "window must be an int"),
        ((2**80,), {}, MemoryError, "window: no memory for"),
        ((2**50,), {}, MemoryError, "no memory for"),
        ((5, 1.0), {}, ValueError, r"level must be in \[0, 1\)"),
        ((5, [0.9, 0.99]), {}, TypeError, "level must be one number"),
        ((5, "0.9"), {}, TypeError, "level"),
        ((5,), {"min_periods": 6}, ValueError, "min_periods must be at most window, 5, got 6"),
        ((5,), {"min_periods": -1}, ValueError, "min_periods"),
        ((5,), {"min_periods": 1.5}, TypeError, "min_periods"),
        ((5,), {"tail": "left"}, ValueError, "tail must be one of 'lower', 'upper', got 'left'"),
    ],
)
def test_bad_arguments_are_errors_that_name_them(arguments, options, error, message):
    with pytest.raises(error, match=message):
        TailWindow(*arguments, **options)


@pytest.mark.parametrize("value", ["1", None, 1j, [1.0, 2.0], True])
def test_what_is_no_number_is_refused_and_changes_nothing(value):
    tail = TailWindow(3)
    with pytest.raises(TypeError, match="value"):
        tail.push(value)
    assert tail.count == 0


def test_values_of_two_dimensions_are_refused():
    with pytest.raises(ValueError, match="one-dimensional"):
        TailWindow(3).push_many(np.zeros((2, 2)))
    with pytest.raises(TypeError, match="values"):
        TailWindow(3).push_many(["a"])


def test_two_threads_at_once_are_an_error_not_a_crash():
    tail = TailWindow(1000)
    values = datasets.bells(200_000)
    errors = []

    def push():
        for _ in range(5):
            try:
                tail.push_many(values)
                tail.push(1.0)
            except RuntimeError as error:
                errors.append(str(error))

    threads = [threading.Thread(target=push) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(errors) <= {"another thread is using this object; give each thread its own"}
    tail.push_many(values)
    assert_same_bits(tail.es, cshortfall.es(values[-1000:]))
