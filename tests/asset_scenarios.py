"""Scenarios of several assets, and probabilities of scenarios, for the tests of decompositions."""

import datasets
import numpy as np


def scenarios(rows, columns, seed=1):
    """Return correlated returns of ``columns`` assets."""
    market = datasets.heavy_tails(rows, seed)[:, None]
    own = datasets.bells(rows * columns, seed + 1).reshape(rows, columns)
    return (0.6 * market + 0.8 * own) * 0.01


def tied_scenarios(rows, columns, seed=1):
    """Return few distinct whole numbers: many scenarios are tied for any simple holdings."""
    return datasets.integers(rows * columns, seed, 3).reshape(rows, columns)


PROBABILITIES = {
    "equal": lambda n: None,
    "skewed": lambda n: datasets.uniforms(n, 31) ** 6,
    "with zeros": lambda n: np.where(np.arange(n) % 3 == 0, 0.0, 1.0 + np.arange(n) % 2),
    "nearly all on one": lambda n: np.where(np.arange(n) == n // 2, 1.0, 1e-9),
}
