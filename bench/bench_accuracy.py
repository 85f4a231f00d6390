"""Error of `es` against exact rational arithmetic, in units of the last place."""

import functools

import numpy as np
import pytest
from reference import error_in_ulp, exact_expected_shortfall

import cshortfall

SIZES = (1, 2, 3, 7, 8, 9, 10, 40, 63, 64, 65, 250, 999, 1_000, 4_097)
LEVELS = (0.0, 0.5, 0.9, 0.95, 0.975, 0.99, 0.999)


def cancelling(rng, n):
    """Pairs that cancel but for their last digits, all of it within the tail."""
    half = rng.uniform(1e8, 1e9, (n + 1) // 2)
    return rng.permutation(np.concatenate([half, -half * (1 + 1e-15 * rng.standard_normal(half.size))])[:n])


def all_exponents(rng, n):
    return np.ldexp(rng.uniform(-1, 1, n), rng.integers(-300, 300, n))


KINDS = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "t(3)": lambda rng, n: rng.standard_t(3, n),
    "tails that cancel": cancelling,
    "exponents from -300 to 300": all_exponents,
    "whole numbers": lambda rng, n: rng.integers(-9, 10, n).astype(np.float64),
}
WEIGHTS = {
    "no weights": lambda rng, n: None,
    "equal weights": lambda rng, n: np.full(n, 0.3),
    "random weights": lambda rng, n: rng.exponential(size=n),
    "weights of six decades": lambda rng, n: 10.0 ** rng.uniform(-3, 3, n),
}


@pytest.mark.parametrize("weighting", WEIGHTS)
@pytest.mark.parametrize("kind", KINDS)
def test_error_in_ulp(race, kind, weighting):
    rng = np.random.default_rng([1, len(kind), len(weighting)])
    worst, where = -1.0, None
    for n in SIZES:
        x = KINDS[kind](rng, n)
        weights = WEIGHTS[weighting](rng, n)
        for level in LEVELS:
            value = cshortfall.es(x, level, weights=weights)
            error = error_in_ulp(value, exact_expected_shortfall(x, level, weights))
            if error > worst:
                worst, where = error, (n, level)
                call = functools.partial(cshortfall.es, x, level, weights=weights)
    weighted = "" if weighting == "no weights" else ", weighted"
    race.figure(
        f"error against rational arithmetic{weighted}",
        f"{kind}, {weighting}" if weighted else kind,
        worst,
        "ulp",
        call,
        bound=2,
        note=f"n = {where[0]}, level {where[1]}",
        worst=True,
    )
