"""What a sketch keeps of a sample, what that leaves open, and its bytes, written down slowly from docs/sketch.md.

Everything is integers and rational numbers. Bounds of ES are not computed by formulas here: the outcomes of each bucket
are replaced by those of the same number, sum and range that are as equal, or as far apart, as doubles can be, and ES
of these samples is taken from the textbook.
"""

from __future__ import annotations

import bisect
import functools
import math
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import textbook

OCTAVES = 2098
LOWEST_EXPONENT = -1074


class Group(NamedTuple):
    """Outcomes of one bucket: their magnitudes are whole numbers of 2^unit, from ``low`` to ``high``."""

    sign: int
    key: int
    coarse: bool
    magnitudes: list[int]
    unit: int
    low: int
    high: int


@functools.cache
def edges(accuracy: float) -> tuple[int, list[int]]:
    """Return the number of cells of an octave and the edges of its buckets, from that many cells to twice."""
    bits = 4
    while bits < 16 and Fraction(1, 2**bits) > Fraction(accuracy) / 4:
        bits += 1
    cells = 2**bits
    found = [cells]
    while found[-1] < 2 * cells:
        edge = found[-1]
        # (next - edge) <= accuracy (next + edge)
        furthest = math.floor(edge * (1 + Fraction(accuracy)) / (1 - Fraction(accuracy)))
        found.append(min(max(furthest, edge + 1), 2 * cells))
    return cells, found


def octave_of(magnitude: float) -> int:
    """Return the number of the power of two, 1 for the smallest double."""
    return math.frexp(magnitude)[1] - LOWEST_EXPONENT


def unit_of(octave: int) -> int:
    return max(octave - 53, 0) + LOWEST_EXPONENT


def integer_at(value: float, unit: int) -> int:
    return int(Fraction(value) / Fraction(2) ** unit)


def first_from(octave: int, cells: int, edge: int) -> int:
    """Return the first significand at or behind an edge."""
    return math.ceil(Fraction(edge, cells) * Fraction(2) ** (octave - 1 + LOWEST_EXPONENT - unit_of(octave)))


def bucket_of(magnitude: float, accuracy: float) -> int:
    cells, found = edges(accuracy)
    octave = octave_of(magnitude)
    place = Fraction(magnitude) / Fraction(2) ** (octave - 1 + LOWEST_EXPONENT) * cells
    return bisect.bisect_right(found, place) - 1


def groups_of(values: Sequence[float], accuracy: float, max_buckets: int) -> list[Group]:
    """Return the groups of the finite outcomes that are not zero, ascending."""
    cells, found = edges(accuracy)
    buckets = len(found) - 1
    result = []
    for sign in (-1, 1):
        own = [abs(value) for value in values if math.isfinite(value) and value * sign > 0]
        keys = [octave_of(value) * buckets + bucket_of(value, accuracy) for value in own]
        kept = sorted(set(keys))[-max_buckets:]
        members: dict[tuple[bool, int], list[float]] = {}
        for value, key in zip(own, keys, strict=True):
            fine = key in kept
            members.setdefault((fine, key if fine else octave_of(value)), []).append(value)
        for (fine, key), magnitudes in members.items():
            octave = key // buckets if fine else key
            unit = unit_of(octave)
            low = first_from(octave, cells, found[key % buckets] if fine else cells)
            high = first_from(octave, cells, found[key % buckets + 1] if fine else 2 * cells) - 1
            if not fine and kept[0] // buckets == octave:
                high = first_from(octave, cells, found[kept[0] % buckets]) - 1
            whole = sorted(integer_at(value, unit) for value in magnitudes)
            result.append(Group(sign, key, not fine, whole, unit, low, high))
    return sorted(result, key=lambda group: group.sign * group.magnitudes[0] * Fraction(2) ** group.unit)


def without_extremes(values: Sequence[float], groups: list[Group]) -> tuple[list[float], list[Group]]:
    """Take the least and the greatest outcome, which are known, out of their groups, whose ranges they limit."""
    alone = []
    for extreme, is_least in ((min(values), True), (max(values), False)):
        for position, group in enumerate(groups):
            if not math.isfinite(extreme) or extreme * group.sign <= 0:
                continue
            held = [math.ldexp(group.sign * whole, group.unit) for whole in group.magnitudes]
            if extreme in held:
                whole = group.magnitudes[held.index(extreme)]
                rest = group.magnitudes.copy()
                rest.remove(whole)
                limit = {"low": whole} if is_least == (group.sign > 0) else {"high": whole}
                groups = [*groups[:position], group._replace(magnitudes=rest, **limit), *groups[position + 1 :]]
                alone.append(extreme)
                break
    return alone, [group for group in groups if group.magnitudes]


def as_equal_as_possible(group: Group) -> list[int]:
    quotient, remainder = divmod(sum(group.magnitudes), len(group.magnitudes))
    return [quotient] * (len(group.magnitudes) - remainder) + [quotient + 1] * remainder


def as_far_apart_as_possible(group: Group) -> list[int]:
    left = sum(group.magnitudes) - group.low * len(group.magnitudes)
    width = group.high - group.low
    spread = []
    for _ in group.magnitudes:
        step = min(left, width)
        spread.append(group.low + step)
        left -= step
    assert left == 0
    return spread


def replaced(
    values: Sequence[float], accuracy: float, max_buckets: int, by: Callable[[Group], list[int]]
) -> np.ndarray:
    """Return the sample with the outcomes of each group replaced by others of the same number, sum and range."""
    alone, groups = without_extremes(values, groups_of(values, accuracy, max_buckets))
    others = [value for value in values if value == 0 or math.isinf(value)]
    inside = [math.ldexp(group.sign * whole, group.unit) for group in groups for whole in by(group)]
    return np.array(others + alone + inside)


def es_bounds(
    values: Sequence[float], level: float, tail: str = "lower", accuracy: float = 0.001, max_buckets: int = 2048
) -> tuple[float, float]:
    """Return the smallest and the largest ES that a sample with the same buckets can have."""
    equal = replaced(values, accuracy, max_buckets, as_equal_as_possible)
    spread = replaced(values, accuracy, max_buckets, as_far_apart_as_possible)
    return textbook.es_var(equal, level, tail=tail).es, textbook.es_var(spread, level, tail=tail).es


def var_bounds(
    values: Sequence[float], level: float, tail: str = "lower", accuracy: float = 0.001, max_buckets: int = 2048
) -> tuple[float, float]:
    """Return the smallest and the largest VaR that a sample with the same buckets can have."""
    loss = -1 if tail == "lower" else 1
    rank = math.ceil(textbook.tail_count(len(values), level))
    ordered = sorted((loss * value for value in values), reverse=True)
    exact = ordered[rank - 1] + 0.0
    alone, groups = without_extremes(values, groups_of(values, accuracy, max_buckets))
    if rank in (1, len(values)):
        return exact, exact
    worst_is_alone = ordered[0] in [loss * value for value in alone]
    for group in groups:
        held = [math.ldexp(group.sign * loss * whole, group.unit) for whole in group.magnitudes]
        first = sum(value > max(held) for value in ordered) + (worst_is_alone and ordered[0] == max(held))
        place = rank - first
        if 1 <= place <= len(held):
            ends = feasible_range(group, place if group.sign == loss else len(held) + 1 - place)
            bounds = [math.ldexp(group.sign * loss * whole, group.unit) for whole in ends]
            return min(bounds), max(bounds)
    return exact, exact


def feasible_range(group: Group, place: int) -> tuple[int, int]:
    """Return the least and the greatest value that the place-th largest magnitude can have."""
    count, total = len(group.magnitudes), sum(group.magnitudes)

    def is_too_high(value: int) -> bool:
        return place * value + (count - place) * group.low > total

    def is_too_low(value: int) -> bool:
        return (place - 1) * group.high + (count - place + 1) * value < total

    width = range(group.low, group.high + 1)
    lowest = bisect.bisect_left(width, 1, key=lambda value: not is_too_low(value))
    highest = bisect.bisect_left(width, 1, key=is_too_high) - 1
    return group.low + lowest, group.low + highest


def rank_of_quantile(q: float, n: int) -> int:
    """Return the rank of a quantile: ceil(q n), or the whole number that q n nearly is."""
    exact = n * Fraction(q)
    nearest = round(exact)
    rank = nearest if nearest >= 1 and abs(exact - nearest) <= n * textbook.SNAP else math.ceil(exact)
    return min(max(rank, 1), n)


class _Bits:
    def __init__(self) -> None:
        self.bits: list[int] = []

    def plain(self, value: int, count: int) -> None:
        self.bits.extend(value >> place & 1 for place in range(count))

    def gamma(self, value: int) -> None:
        length = value.bit_length() - 1
        self.bits.extend([1] * length + [0])
        self.plain(value, length)

    def rice(self, value: int, k: int) -> None:
        if value >> k >= 24:
            self.bits.extend([1] * 24)
            self.plain(value, 128)
        else:
            self.bits.extend([1] * (value >> k) + [0])
            self.plain(value, k)

    def double(self, value: float) -> None:
        self.plain(int.from_bytes(struct.pack("<d", value), "little"), 64)

    def to_bytes(self) -> bytes:
        padded = self.bits + [0] * (-len(self.bits) % 8)
        return bytes(
            sum(bit << place for place, bit in enumerate(padded[start : start + 8]))
            for start in range(0, len(padded), 8)
        )


def zigzag(difference: int) -> int:
    return 2 * difference if difference >= 0 else -2 * difference - 1


def _put_list(bits: _Bits, groups: list[Group], coarse: bool, accuracy: float) -> None:
    _, found = edges(accuracy)
    buckets = len(found) - 1
    key = (OCTAVES + 1) * (1 if coarse else buckets)
    last_count = last_width = 1
    bits.gamma(len(groups) + 1)
    for group in sorted(groups, key=lambda group: -group.key):
        bits.gamma(key - group.key)
        key = group.key
        count = len(group.magnitudes)
        width = 1 if coarse else found[key % buckets + 1] - found[key % buckets]
        expected = last_count // last_width * width + last_count % last_width * width // last_width
        bits.rice(zigzag(count - max(expected, 1)), last_count.bit_length() // 2)
        extent = group.high - group.low + 1
        k = extent.bit_length() + (count.bit_length() if coarse else count.bit_length() // 2 - 2)
        middle = count * group.low + count * (extent - 1) // 2
        bits.rice(zigzag(sum(group.magnitudes) - middle), max(k, 0))
        last_count, last_width = count, width


def encode(values: Sequence[float], accuracy: float = 0.001, max_buckets: int = 2048, policy: int = 0) -> bytes:
    """Return the bytes of the sketch of a sample without weights."""
    number = [value for value in values if not math.isnan(value)]
    tally = Counter(
        "zero" if value == 0 else "below" if value < 0 else "above"
        for value in number
        if value == 0 or math.isinf(value)
    )
    bits = _Bits()
    for count in (len(values) - len(number), tally["below"], tally["zero"], tally["above"]):
        bits.gamma(count + 1)
    groups = groups_of(number, accuracy, max_buckets)
    for sign in (1, -1):
        for coarse in (False, True):
            _put_list(bits, [one for one in groups if (one.sign, one.coarse) == (sign, coarse)], coarse, accuracy)
    if number:
        bits.double(min(number) + 0.0)
        bits.double(max(number) + 0.0)
    return sealed(accuracy, max_buckets, policy << 1, bits.to_bytes())


def sealed(accuracy: float, max_buckets: int, flags: int, body: bytes, version: int = 1) -> bytes:
    """Return header, body and checksum."""
    size = 24 + len(body) + 4
    head = b"csTS" + struct.pack("<BBHdII", version, flags, 0, accuracy, max_buckets, size)
    return head + body + struct.pack("<I", zlib.crc32(head + body))
