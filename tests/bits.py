"""Comparison of doubles as bit patterns: a signed zero or a NaN payload is a difference."""

from __future__ import annotations

import numpy as np

CANONICAL_NAN = 0x7FF8000000000000


def bits(values) -> np.ndarray:
    """Return the bit patterns of doubles."""
    return np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)


def canonical_bits(values) -> np.ndarray:
    """Return the bit patterns with every NaN as the canonical quiet one, as the package returns it."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    return np.where(np.isnan(array), np.uint64(CANONICAL_NAN), bits(array))


def assert_same_bits(actual, expected, context="") -> None:
    """Assert equal shapes and equal bit patterns; NaN of the expected values is the canonical one."""
    assert np.shape(actual) == np.shape(expected), context
    differing = np.atleast_1d(bits(actual) != canonical_bits(expected))
    if differing.any():
        place = tuple(np.argwhere(differing)[0])
        got, wanted = np.atleast_1d(actual)[place], np.atleast_1d(expected)[place]
        raise AssertionError(
            f"{context}: {differing.sum()} of {differing.size} differ, first at {place}: "
            f"got {float(got).hex()} ({got!r}), expected {float(wanted).hex()} ({wanted!r})"
        )
