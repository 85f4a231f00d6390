"""Named samples for the tests, each a function of its size, the same bits on every machine.

Random numbers come from SplitMix64 and pass through correctly rounded operations only, because the
streams of `numpy.random.Generator` may change with NumPy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

LARGEST = np.finfo(np.float64).max
SMALLEST = 5e-324

Sample = Callable[[int], np.ndarray]


def random_words(n: int, seed: int) -> np.ndarray:
    """Return ``n`` 64-bit words of SplitMix64."""
    with np.errstate(over="ignore"):
        word = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return word ^ (word >> np.uint64(31))


def uniforms(n: int, seed: int = 1) -> np.ndarray:
    """Return multiples of 2^-53 in (0, 1)."""
    return ((random_words(n, seed) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def bells(n: int, seed: int = 1) -> np.ndarray:
    """Return bell-shaped values: sums of four centred uniforms."""
    total = np.zeros(n)
    for part in range(4):
        total = total + (uniforms(n, seed * 16 + part) - 0.5)
    return total * np.sqrt(3.0)


def heavy_tails(n: int, seed: int = 1) -> np.ndarray:
    """Return symmetric values with a tail exponent of two."""
    return bells(n, seed) / np.sqrt(uniforms(n, seed * 16 + 7))


def permutation(n: int, seed: int = 1) -> np.ndarray:
    """Return the order of random words."""
    return np.argsort(random_words(n, seed), kind="stable")


def integers(n: int, seed: int = 1, bound: int = 1000) -> np.ndarray:
    """Return whole numbers in [-bound, bound]."""
    width = np.uint64(2 * bound + 1)
    return (random_words(n, seed) % width).astype(np.float64) - bound


def _ramp(n: int) -> np.ndarray:
    return np.arange(n) * 0.37 - n * 0.11


def _organ_pipe(n: int) -> np.ndarray:
    rising = np.arange(n)
    return np.minimum(rising, n - 1 - rising) * 0.3 - 1.7


def _with(values: np.ndarray, positions: slice | np.ndarray | int, value: float | np.ndarray) -> np.ndarray:
    if values.size:
        values[positions] = value
    return values


def _alternating(n: int) -> np.ndarray:
    return np.where(np.arange(n) % 2 == 0, -1.0, 1.0) * (1.0 + np.arange(n) * 2.0**-20)


def _cancelling(n: int) -> np.ndarray:
    """Return pairs of opposite numbers in random order: the sum is zero, or one small value."""
    half = heavy_tails(n // 2, 11) * 1e6
    values = np.concatenate([half, -half, np.full(n % 2, 1e-9)])
    return values[permutation(n, 3)]


def _cancelling_to_dust(n: int) -> np.ndarray:
    """Return numbers of sixty magnitudes whose sum is their smallest."""
    half = np.ldexp(uniforms(n // 2, 12) + 0.5, (np.arange(n // 2) * 7) % 1800 - 900)
    values = np.concatenate([half, -half, np.full(n % 2, SMALLEST)])
    return values[permutation(n, 4)]


def _midpoints(n: int) -> np.ndarray:
    """Return values whose sums lie exactly between two doubles (2^53 plus odd halves)."""
    return _with(np.resize([1.0, 2.0**53, 2.0, -(2.0**53) * 0.5, 1.0, 3.0], n), 0, 2.0**54)


def _midpoints_nudged(n: int) -> np.ndarray:
    """Return sums that leave the midpoint by the smallest double, up or down."""
    return _with(_midpoints(n), slice(1, None, 5), np.resize([SMALLEST, -SMALLEST, SMALLEST], -(-(n - 1) // 5)))


def _adjacent(n: int) -> np.ndarray:
    """Return doubles a few units in the last place apart, around a power of two."""
    return 1.0 + (random_words(n, 5) % np.uint64(9)).astype(np.float64) * 2.0**-52 - 2.0**-50


def _wide_exponents(n: int) -> np.ndarray:
    exponent = (random_words(n, 6) % np.uint64(2000)).astype(np.int64) - 1000
    return np.ldexp(bells(n, 7), exponent)


def denormals(n: int) -> np.ndarray:
    return integers(n, 8, 50) * SMALLEST


def _around_the_smallest_normal(n: int) -> np.ndarray:
    return integers(n, 9, 2000) * 2.0**-1032


def _zeros(n: int) -> np.ndarray:
    return np.where(random_words(n, 10) % np.uint64(2) == 0, 0.0, -0.0)


def _signed_zeros(n: int) -> np.ndarray:
    return np.resize([0.0, -0.0, 1.5, -0.0, 0.0, 0.0, -SMALLEST], n)[permutation(n, 2)]


def returns(n: int) -> np.ndarray:
    """Return daily returns of five decimals: many ties, sums that are not exact."""
    return np.round(bells(n, 13) * 2000) / 1e5


ORDINARY: dict[str, Sample] = {
    "bells": bells,
    "heavy tails": heavy_tails,
    "returns": returns,
    "integers": integers,
    "gains only": uniforms,
    "losses only": lambda n: -uniforms(n, 3),
}

ORDERED: dict[str, Sample] = {
    "constant": lambda n: np.full(n, 0.1),
    "sorted": _ramp,
    "reversed": lambda n: _ramp(n)[::-1].copy(),
    "organ pipe": _organ_pipe,
    "inverted organ pipe": lambda n: -_organ_pipe(n),
    "saw-tooth": lambda n: np.arange(n) % 7 - 3.3,
    "alternating": _alternating,
    "largest at the end": lambda n: _with(bells(n, 2), -1, 1e3),
    "smallest at the end": lambda n: _with(bells(n, 2), -1, -1e3),
    "smallest at the start": lambda n: _with(bells(n, 2), 0, -1e3),
    "sorted but for the ends": lambda n: _with(_with(_ramp(n), 0, 1e6), -1, -1e6),
}

TIED: dict[str, Sample] = {
    "two values": lambda n: np.where(random_words(n, 14) % np.uint64(20) == 0, -0.3, 0.1),
    "few distinct": lambda n: (random_words(n, 15) % np.uint64(5)).astype(np.float64) * 0.1 - 0.2,
    "mostly zero": lambda n: np.where(random_words(n, 16) % np.uint64(10) == 0, bells(n, 4), 0.0),
    "one outlier": lambda n: _with(np.full(n, 0.7), n // 2, -7.3),
    "zeros": _zeros,
    "signed zeros": _signed_zeros,
}

NUMERIC: dict[str, Sample] = {
    "cancelling": _cancelling,
    "cancelling to dust": _cancelling_to_dust,
    "midpoints": _midpoints,
    "midpoints nudged": _midpoints_nudged,
    "adjacent doubles": _adjacent,
    "wide exponents": _wide_exponents,
    "denormals": denormals,
    "around the smallest normal": _around_the_smallest_normal,
    "overflowing sum": lambda n: -(uniforms(n, 17) * 0.5 + 0.49) * LARGEST,
    "overflowing sums that cancel": lambda n: bells(n, 18) * (0.25 * LARGEST),
}

INFINITE: dict[str, Sample] = {
    "an infinite loss": lambda n: _with(bells(n, 19), n // 3, -np.inf),
    "an infinite gain": lambda n: _with(bells(n, 19), n // 3, np.inf),
    "infinite gains but one": lambda n: _with(np.full(n, np.inf), n // 2, 1.0),
    "infinite gains": lambda n: np.full(n, np.inf),
    "infinite losses": lambda n: np.full(n, -np.inf),
    "infinite losses but one": lambda n: _with(np.full(n, -np.inf), n // 2, 1.0),
    "both infinities": lambda n: np.where(random_words(n, 20) % np.uint64(2) == 0, np.inf, -np.inf),
    "some of both infinities": lambda n: _with(
        _with(bells(n, 21), slice(0, None, 9), np.inf), slice(4, None, 13), -np.inf
    ),
}

NAMED: dict[str, Sample] = ORDINARY | ORDERED | TIED | NUMERIC | INFINITE
FINITE: dict[str, Sample] = ORDINARY | ORDERED | TIED | NUMERIC


def _poison_stride(stride: int, value: float) -> Sample:
    return lambda n: _with(bells(n, 22), slice(0, None, stride), value + bells(-(-n // stride), 23) * 1e-3)


def _poison_blocks(block: int, period: int, value: float) -> Sample:
    def sample(n: int) -> np.ndarray:
        inside = np.arange(n) // block % period == 0
        return np.where(inside, value + bells(n, 24) * 1e-3, bells(n, 25))

    return sample


def _poison_grid(points: int, value: float) -> Sample:
    """Set the values at ``points`` even positions, at the middles between them, and their neighbours."""

    def sample(n: int) -> np.ndarray:
        values = bells(n, 26)
        grid = (np.arange(2 * points) * n) // (2 * points)
        for shift in (-1, 0, 1):
            values[np.clip(grid + shift, 0, n - 1)] = value
        return values

    return sample


def _poison_the_runs(value: float) -> Sample:
    """Set every value that the kernels read for their first sample, and for one of half as many runs."""

    def sample(n: int) -> np.ndarray:
        values = bells(n, 33)
        runs = 8
        while 16 * runs * runs < n:
            runs *= 2
        for count in (runs, runs // 2):
            stratum = n // count
            for run in range(count):
                place = (scramble(run + 1) >> 32) * max(stratum - 7, 0) >> 32
                values[run * stratum + place : run * stratum + place + 8] = value
        return values

    return sample


def scramble(word: int) -> int:
    """Return the hash by which the kernels place their samples (the finish of SplitMix64)."""
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
    return word ^ (word >> 31)


def _tail_in_one_block(n: int) -> np.ndarray:
    return np.concatenate([bells(n - n // 40, 27), -5.0 - uniforms(n // 40, 28)])


def _rising_scale(n: int) -> np.ndarray:
    return np.ldexp(bells(n, 29), np.arange(n) * 60 // max(n, 1) - 30)


def _one_dense_cluster(n: int) -> np.ndarray:
    """Return values that crowd around the quantile at 97.5 %: any bracket holds most of them."""
    values = -1.0 + (random_words(n, 30) % np.uint64(1000)).astype(np.float64) * 2.0**-52
    count = n // 40
    values[permutation(n, 31)[:count]] = -2.0
    return values


ADVERSARIAL: dict[str, Sample] = {
    **{f"low at every {stride}th": _poison_stride(stride, -9.0) for stride in (2, 3, 7, 8, 16, 61, 64, 256, 1009)},
    **{f"high at every {stride}th": _poison_stride(stride, 9.0) for stride in (2, 3, 7, 8, 16, 64, 256, 1024)},
    **{f"low blocks of {block}": _poison_blocks(block, 16, -9.0) for block in (8, 64, 512, 4096)},
    **{f"high blocks of {block}": _poison_blocks(block, 2, 9.0) for block in (8, 64, 512, 4096)},
    **{f"low at {points} even points": _poison_grid(points, -9.0) for points in (64, 512, 1024, 2048)},
    **{f"high at {points} even points": _poison_grid(points, 9.0) for points in (64, 512, 1024, 2048)},
    "low wherever the kernels sample": _poison_the_runs(-9.0),
    "high wherever the kernels sample": _poison_the_runs(9.0),
    "tail in one block": _tail_in_one_block,
    "rising scale": _rising_scale,
    "falling scale": lambda n: _rising_scale(n)[::-1].copy(),
    "one dense cluster": _one_dense_cluster,
    "slow waves": lambda n: (np.abs(np.arange(n) % 8192 - 4096.0) - 2048.0) / 512.0 + bells(n, 32) * 0.01,
}


def read_only(values: np.ndarray) -> np.ndarray:
    """Return a copy that may not be written."""
    frozen = np.array(values)
    frozen.flags.writeable = False
    return frozen


def with_missing(values: np.ndarray, where: str) -> np.ndarray:
    """Return a copy with NaN at the ``"start"``, ``"middle"``, ``"end"`` or ``"many"`` places."""
    copy = np.array(values, dtype=np.float64)
    places = {"start": 0, "middle": copy.size // 2, "end": -1, "many": slice(0, None, 3)}
    return _with(copy, places[where], np.nan)


def unequal_weights(n: int, seed: int = 1) -> np.ndarray:
    """Return positive weights of six decades."""
    return np.ldexp(uniforms(n, seed + 40), (random_words(n, seed + 41) % np.uint64(20)).astype(np.int64) - 10)
