"""Forty inputs made to slow down a selection: order, ties, range, and values hidden from samplers.

Each generator takes the number of outcomes and returns float64 outcomes without NaN. The names appear in the table.
"""

import numpy as np

TAIL = 0.025
NAMED = {}


def named(name):
    def add(generator):
        NAMED[name] = generator
        return generator

    return add


def _random(n, seed=0):
    return np.random.default_rng([40, seed]).standard_normal(n)


def _with(x, positions, values):
    x[positions] = values
    return x


@named("ascending")
def ascending(n):
    return np.sort(_random(n))


@named("descending")
def descending(n):
    return -np.sort(_random(n))


@named("organ pipe")
def organ_pipe(n):
    x = np.arange(n, dtype=np.float64)
    return np.minimum(x, n - 1 - x)


@named("valley")
def valley(n):
    return -organ_pipe(n)


@named("saw, 8 teeth wide")
def saw_of_eight(n):
    return np.arange(n) % 8 + 1e-9 * _random(n)


@named("saw, 1,000 wide")
def saw_of_a_thousand(n):
    return (np.arange(n) % 1_000).astype(np.float64)


@named("saw, 4,096 wide")
def saw_of_a_block(n):
    return (np.arange(n) % 4_096).astype(np.float64)


@named("random walk")
def random_walk(n):
    return np.cumsum(_random(n))


@named("volatility in clusters")
def volatility_clusters(n):
    return _random(n) * np.exp(3 * np.sin(np.arange(n) * (20 * np.pi / n)))


@named("sorted blocks, shuffled")
def shuffled_blocks(n):
    blocks = np.array_split(np.sort(_random(n)), 500)
    np.random.default_rng(1).shuffle(blocks)
    return np.concatenate(blocks)


@named("median-of-three killer")
def median_of_three_killer(n):
    x = np.arange(n, dtype=np.float64)
    half = n // 2
    x[:half:2] = np.arange(1, half + 1, 2)
    x[1:half:2] = np.arange(half + 1, half + 1 + x[1:half:2].size)
    x[half : 2 * half] = 2.0 * np.arange(1, half + 1)
    return x


@named("bit-reversed order")
def bit_reversed(n):
    bits = max(n - 1, 1).bit_length()
    i = np.arange(1 << bits, dtype=np.uint64)
    x = np.zeros_like(i)
    for b in range(bits):
        x |= ((i >> np.uint64(b)) & np.uint64(1)) << np.uint64(bits - 1 - b)
    return x[:n].astype(np.float64)


@named("tail in the first values")
def tail_first(n):
    x = np.abs(_random(n))
    return _with(x, slice(0, int(TAIL * n)), -1.0 - x[: int(TAIL * n)])


@named("tail in the last values")
def tail_last(n):
    return tail_first(n)[::-1].copy()


@named("tail in the middle")
def tail_middle(n):
    return np.roll(tail_first(n), n // 2)


@named("all equal")
def all_equal(n):
    return np.full(n, -0.01)


@named("all equal but one, at the end")
def one_worst_at_end(n):
    return _with(np.full(n, -0.01), n - 1, -1.0)


@named("all equal but one, at the start")
def one_best_at_start(n):
    return _with(np.full(n, -0.01), 0, 1.0)


@named("two values, the worse one as long as the tail")
def two_values_exact_tail(n):
    x = _with(np.zeros(n), slice(0, int(TAIL * n)), -1.0)
    return np.random.default_rng(2).permutation(x)


@named("two values, half each")
def two_values_half(n):
    return np.where(_random(n) < 0, -1.0, 1.0)


@named("eight values")
def eight_values(n):
    return np.floor(8 * np.random.default_rng(3).random(n))


@named("whole ticks")
def whole_ticks(n):
    return np.round(20 * _random(n))


@named("half of the values tie at the boundary")
def boundary_tie(n):
    x = _random(n)
    boundary = np.partition(x, int(TAIL * n))[int(TAIL * n)]
    x[np.random.default_rng(4).random(n) < 0.5] = boundary
    return x


@named("zeros of both signs")
def signed_zeros(n):
    return np.where(_random(n) < 0, -0.0, 0.0)


@named("neighbouring doubles")
def neighbouring_doubles(n):
    return 1.0 + np.random.default_rng(5).integers(0, 64, n) * 2.0**-52


@named("subnormal")
def subnormal(n):
    return np.random.default_rng(6).integers(-(2**40), 2**40, n) * 5e-324


@named("sum of the tail overflows")
def overflowing_sum(n):
    return 5e307 * np.clip(_random(n), -3, 3)


@named("exponents from -1000 to 1000")
def all_exponents(n):
    rng = np.random.default_rng(7)
    return np.ldexp(rng.uniform(-1, 1, n), rng.integers(-1_000, 1_000, n))


@named("Cauchy")
def cauchy(n):
    return np.random.default_rng(8).standard_cauchy(n)


@named("tail that cancels")
def cancelling_tail(n):
    rng = np.random.default_rng(9)
    half = int(TAIL * n) // 2
    huge = rng.uniform(1e15, 1e16, half)
    x = np.concatenate([-huge, huge, np.full(n - 2 * half, 1e17)])
    return rng.permutation(x)


@named("infinite losses fill the tail")
def infinite_tail(n):
    x = _random(n)
    return _with(x, np.random.default_rng(10).random(n) < 2 * TAIL, -np.inf)


@named("infinite gains everywhere else")
def infinite_gains(n):
    x = _random(n)
    return _with(x, np.random.default_rng(11).random(n) < 1 - 2 * TAIL, np.inf)


@named("crowd around the quantile")
def crowded_quantile(n):
    x = _random(n)
    crowd = np.random.default_rng(12).random(n) < 0.9
    x[crowd] = -1.96 * (1 + 1e-13 * x[crowd])
    return x


def _hide_tail_at(n, positions):
    """Random outcomes, but only good ones at `positions`: a sampler that looks there sees no tail."""
    x = _random(n)
    return _with(x, positions, 10.0 + np.abs(x[positions]))


@named("every 64th value good")
def stride_of_64(n):
    return _hide_tail_at(n, slice(0, None, 64))


@named("1,024 strided values good")
def strided_1024(n):
    return _hide_tail_at(n, slice(0, None, max(n // 1_024, 1)))


@named("4,096 strided values bad")
def strided_4096_bad(n):
    x = _random(n)
    step = max(n // 4_096, 1)
    return _with(x, slice(step // 2, None, step), -10.0)


@named("golden-ratio positions good")
def golden_positions(n):
    weyl = np.arange(1, 8_193) * ((np.sqrt(5) - 1) / 2) % 1
    return _hide_tail_at(n, (weyl * n).astype(np.intp))


@named("first line of every 4,096 good")
def block_heads(n):
    return _hide_tail_at(n, np.flatnonzero(np.arange(n) % 4_096 < 8))


def _sampled_positions(n):
    """Where cshortfall itself looks, as `outcomes_sample` in src/brackets.h draws it.

    Runs of eight neighbours, one in each of as many strata as there are runs: all numbers of runs, all four attempts.
    """
    places = []
    with np.errstate(over="ignore"):
        for runs in (1 << k for k in range(3, 12)):
            for attempt in range(4):
                r = np.arange(runs, dtype=np.uint64)
                z = r + np.uint64((attempt << 32) + 1)
                z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                bits = (z ^ (z >> np.uint64(31))) >> np.uint64(32)
                start = r * np.uint64(n // runs) + (bits * np.uint64(n // runs - 7) >> np.uint64(32))
                places.append((start[:, None] + np.arange(8, dtype=np.uint64)).ravel())
    return np.concatenate(places).astype(np.intp)


def _parts_read_first(x):
    """The page of every 32 that a pass over a long row reads first, as `part_place` in src/brackets.h draws it."""
    origin, group, part = (-x.ctypes.data & 4095) // 8, 16_384, 512
    g = np.arange((x.size - origin) // group, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = g + np.uint64(1)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    start = np.uint64(origin) + g * np.uint64(group) + z % np.uint64(group // part) * np.uint64(part)
    return (start[:, None] + np.arange(part, dtype=np.uint64)).ravel().astype(np.intp)


def _wherever_it_looks(n, value):
    x = _with(_random(n), _sampled_positions(n), value)
    return _with(x, _parts_read_first(x), value)


@named("own sample positions good")
def own_positions_good(n):
    return _wherever_it_looks(n, 10.0)


@named("own sample positions just better than the tail")
def own_positions_near(n):
    return _wherever_it_looks(n, -1.5)
