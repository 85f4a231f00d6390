"""Scenarios for the optimisers: heavy-tailed returns of assets that share factors, the same on every machine."""

import functools

import numpy as np

FACTORS = 5
BLOCK = 4096
SEED = 9
FACTOR_RETURNS = "factor t(4)"


def fill_market(returns):
    r"""Fill an array, block by block, with returns that have the tails of Student's t with 4 degrees of freedom.

    A longer array of as many assets begins with the same scenarios.

    Parameters
    ----------
    returns : ndarray, shape (n_scenarios, n_assets)
        Float64 or float32; overwritten. Beside it there is only ever one block in memory.

    Notes
    -----
    With five factors :math:`F`, noise :math:`E` (all t(4)) and normal loadings :math:`B` and drifts :math:`d`, the
    returns are :math:`0.01 (F B + E) + d`.
    """
    count, assets = returns.shape
    of_assets = np.random.default_rng([SEED, assets])
    loadings = 0.5 * of_assets.standard_normal((FACTORS, assets)) + 0.3
    drift = of_assets.normal(3e-4, 2e-4, assets)
    for number, first in enumerate(range(0, count, BLOCK)):
        rng = np.random.default_rng([SEED, assets, number])
        block = rng.standard_t(4, (BLOCK, FACTORS)) @ loadings
        block += rng.standard_t(4, (BLOCK, assets))
        block *= 0.01
        block += drift
        returns[first : first + BLOCK] = block[: count - first]
    return returns


@functools.lru_cache(maxsize=1)
def market(scenarios, assets, dtype="float64"):
    """Return C-ordered, read-only scenarios of `fill_market`; only the latest are kept, since they may be large."""
    returns = fill_market(np.empty((scenarios, assets), dtype))
    returns.flags.writeable = False
    return returns
