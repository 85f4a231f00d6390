"""Sketches as bytes: one encoding for each state, the one of docs/sketch.md, and errors for all other bytes."""

import math
import struct
import zlib
from pathlib import Path

import datasets
import numpy as np
import pytest
import textbook_sketch
from hypothesis import given, settings
from hypothesis import strategies as st

from cshortfall.stream import TailSketch

SHAPES = [(0.001, 2048), (0.25, 1), (0.25, 3), (0.01, 7)]

# Format version 1, for good: every later release must read these.
RECORDED = {
    "6373545301000000fca9f1d24d62503f000800001d00000000716d1514": TailSketch(),
    (
        "63735453010000007b14ae47e17a843f030000007700000012e3ff8ff2f1ffdffaffffffffdf8fb5fefffffffff7ef4c05ac1c5a64cb"
        "f8ff837afcffff8f000000000000000000000000000000100000000040fe0212000000000037ebffffffff7f000000000000e0ff0100"
        "00000000408000ba564bfb"
    ): TailSketch(0.01, max_buckets=3).update([1.0, -2.0, -2.5, 1e-3, 8.0, -30.0, 0.0, -math.inf]),
    (
        "6373545301030000000000000000d03f01000000e6000000000000000000004000000000000000000000000000000000000000000000"
        "000000000000000000000000000000000000000000000000000000000000000000009a9999999999f93f00000000000098bcf93f0000"
        "000000000080ff0000000000000000000000000000800c0100000000000000c8fff607000000000080ff010000000000000000000000"
        "0000f0190200000000000000c87fff353333333333737f0000000000000000343333333333f38500000000000000000000000000003c"
        "80010000000000e07f00924e198b"
    ): TailSketch(0.25, max_buckets=1, nan_policy="omit").update([1.0, -2.0, -7.5, math.nan], [0.5, 0.1, 1, 2]),
}

law = settings(deadline=None, max_examples=200, derandomize=True, database=None)


def sketches():
    """Return sketches of all kinds, small enough to try every byte of them."""
    tail = datasets.heavy_tails(60)
    return {
        "empty": TailSketch(),
        "one": TailSketch().update(-2.0),
        "fine": TailSketch(0.01).update(tail),
        "collapsed": TailSketch(0.05, max_buckets=5).update(tail * 100).update(tail / 1000),
        "infinities": TailSketch(nan_policy="omit").update([-math.inf, 0.0, math.inf, math.nan, 1.0, -1e-310]),
        "many": TailSketch(0.25, max_buckets=2).update(tail, weights=2**40),
        "weighted": TailSketch(0.1, max_buckets=3).update(tail, datasets.uniforms(60)),
    }


NAMES = tuple(sketches())


def sealed(data):
    """Return bytes with the size and the checksum that they should have."""
    data = bytearray(data)
    struct.pack_into("<I", data, 20, len(data))
    struct.pack_into("<I", data, len(data) - 4, zlib.crc32(data[:-4]))
    return bytes(data)


def is_refused(data):
    """Whether bytes are refused; if not, they must be the one encoding of what they gave."""
    try:
        sketch = TailSketch.from_bytes(data)
    except ValueError as error:
        return str(error).startswith("data must be the bytes of a sketch as to_bytes gives them: ")
    assert sketch.to_bytes() == data
    # Whatever the state, its answers must come, and in order.
    for level in (0.0, 0.5, 0.975):
        for tail in ("lower", "upper"):
            low, high = sketch.es_bounds(level, tail=tail)
            assert not low > high
    if max(sketch.count, sketch.missing) <= 2**52:
        assert sketch.copy().merge(sketch).count == 2 * sketch.count
    return False


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", datasets.NAMED)
def test_bytes_are_those_of_the_specification(name, shape):
    for n in (0, 1, 2, 23, 300):
        values = datasets.NAMED[name](n)
        expected = textbook_sketch.encode(values.tolist(), *shape)
        assert TailSketch(shape[0], max_buckets=shape[1]).update(values).to_bytes() == expected


def test_bytes_of_policies_and_missing_values_are_those_of_the_specification():
    for policy, name in enumerate(("propagate", "omit")):
        values = [1.0, math.nan, -3.0, math.nan, math.inf]
        expected = textbook_sketch.encode(values, policy=policy)
        assert TailSketch(nan_policy=name).update(values).to_bytes() == expected
    assert TailSketch(nan_policy="raise").to_bytes() == textbook_sketch.encode([], policy=2)


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_back_is_what_was_told(name):
    sketch = sketches()[name]
    again = TailSketch.from_bytes(sketch.to_bytes())
    assert again == sketch
    assert again.to_bytes() == sketch.to_bytes()
    for attribute in ("relative_accuracy", "max_buckets", "nan_policy", "count", "missing", "collapsed"):
        assert getattr(again, attribute) == getattr(sketch, attribute)
    assert again.update([0.3, -7.0]) == sketch.update([0.3, -7.0])
    assert again.es(0.9) == sketch.es(0.9) or math.isnan(sketch.es(0.9))


@pytest.mark.parametrize("recorded", RECORDED)
def test_recorded_bytes_are_read_and_written(recorded):
    assert RECORDED[recorded].to_bytes().hex() == recorded
    assert TailSketch.from_bytes(bytes.fromhex(recorded)) == RECORDED[recorded]


@law
@given(
    st.lists(st.one_of(st.floats(width=64), st.floats(-5, 5)), max_size=60),
    st.sampled_from([0.0001, 0.001, 0.05, 0.25]),
    st.integers(1, 60),
)
def test_every_sketch_comes_back(values, accuracy, max_buckets):
    sketch = TailSketch(accuracy, max_buckets=max_buckets).update(values)
    assert TailSketch.from_bytes(sketch.to_bytes()) == sketch


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8)])
def test_any_buffer_may_hold_the_bytes(kind):
    sketch = sketches()["fine"]
    assert TailSketch.from_bytes(kind(sketch.to_bytes())) == sketch


@pytest.mark.parametrize("data", ["csTS", 3, None, [1, 2]])
def test_what_holds_no_bytes_is_a_type_error(data):
    with pytest.raises(TypeError, match="data must be bytes"):
        TailSketch.from_bytes(data)


@pytest.mark.parametrize("name", NAMES)
def test_no_prefix_is_a_sketch(name):
    data = sketches()[name].to_bytes()
    for size in range(len(data)):
        assert is_refused(data[:size])
        if size >= 28:
            assert is_refused(sealed(data[:size]))


@pytest.mark.parametrize("name", NAMES)
def test_no_changed_byte_goes_unnoticed(name):
    data = sketches()[name].to_bytes()
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            assert is_refused(bytes(changed))


@pytest.mark.parametrize("name", NAMES)
def test_changed_bytes_of_the_right_checksum_are_refused_or_another_sketch(name):
    data = sketches()[name].to_bytes()
    refused = tried = 0
    for place in [*range(4, 20), *range(24, len(data) - 4)]:
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            refused += is_refused(sealed(changed))
            tried += 1
    assert refused > tried // 4


@law
@given(st.binary(max_size=80), st.sampled_from([0.0001, 0.001, 0.25]), st.integers(0, 2**32 - 1), st.integers(0, 7))
def test_hostile_contents_are_refused_or_a_sketch(body, accuracy, max_buckets, flags):
    is_refused(textbook_sketch.sealed(accuracy, max_buckets, flags, body))


def test_more_buckets_than_bytes_could_tell_are_refused_at_once():
    bits = textbook_sketch._Bits()
    for value in (1, 1, 1, 1, 2**20):
        bits.gamma(value)
    for flags in (0, 1):
        assert is_refused(textbook_sketch.sealed(0.001, 2**20, flags, bits.to_bytes() + bytes(100)))


def test_every_input_of_the_fuzzers_is_refused_or_a_sketch():
    inputs = sorted((Path(__file__).parent / "fuzz" / "corpus").iterdir())
    assert inputs
    accepted = 0
    for path in inputs:
        data = path.read_bytes()
        is_refused(data)
        accepted += len(data) >= 28 and not is_refused(sealed(data))
    assert accepted > 10


def test_the_messages_tell_what_is_wrong():
    data = TailSketch().update([1.0, -2.0]).to_bytes()
    cases = {
        "do not begin like one": b"PK\x03\x04" + data[4:],
        "format is not version 1; update cshortfall": data[:4] + b"\x02" + data[5:],
        "missing at the end": data[:-1],
        "more than the sketch has": data + b"\0",
        "checksum is wrong": data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
        "no state that a sketch can be in": sealed(data[:16] + bytes(4) + data[20:]),
    }
    for message, wrong in cases.items():
        with pytest.raises(ValueError, match=message):
            TailSketch.from_bytes(wrong)
