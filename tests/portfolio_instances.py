"""Small markets, each with something that an optimiser may stumble over; the same on every machine."""

import numpy as np


def heavy_tailed(seed, scenarios, assets):
    """Return returns of a market with two factors and Student t noise."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(0.5, 0.5, (2, assets))
    common = rng.standard_t(4, (scenarios, 2))
    return 0.01 * (common @ loadings + rng.standard_t(3, (scenarios, assets))) + rng.normal(0, 0.001, assets)


def instances():
    """Yield name, returns, level and probabilities."""
    rng = np.random.default_rng(20)
    plain = heavy_tailed(0, 60, 4)
    yield "plain", plain, 0.9, None
    yield "whole_tail_count", heavy_tailed(1, 100, 5), 0.95, None
    yield "one_asset", plain[:, :1], 0.9, None
    yield "one_scenario", plain[:1], 0.9, None
    yield "two_scenarios", plain[:2], 0.5, None
    yield "tail_count_below_one", heavy_tailed(2, 30, 4), 0.99, None
    yield "level_zero", plain, 0.0, None
    yield "low_level", plain, 0.5, None
    yield "high_level", plain, 0.999, None
    yield "fewer_scenarios_than_assets", heavy_tailed(3, 12, 25), 0.8, None
    yield "duplicated_scenarios", np.repeat(heavy_tailed(4, 15, 4), 6, axis=0), 0.93, None
    yield "identical_assets", plain[:, [0, 0, 1, 1, 2]], 0.9, None
    yield "collinear_assets", np.column_stack([plain, plain @ [0.5, 0.5, 0.0, 0.0]]), 0.9, None
    yield "integer_valued", rng.integers(-3, 4, (50, 5)).astype(float), 0.85, None
    yield "integer_valued_few", rng.integers(-1, 2, (40, 6)).astype(float), 0.9, None
    yield "small", 1e-7 * heavy_tailed(5, 80, 5), 0.9, None
    yield "large", 1e2 * heavy_tailed(5, 80, 5), 0.9, None
    yield "unequal_scales", heavy_tailed(6, 80, 4) * [1.0, 10.0, 0.1, 3.0], 0.9, None
    yield "constant_asset", np.column_stack([plain, np.full(60, 0.0001)]), 0.9, None
    yield "all_constant", np.full((10, 3), 0.01), 0.9, None
    yield "zeros", np.zeros((10, 3)), 0.9, None
    yield "hedged", np.column_stack([plain[:, 0], -plain[:, 0], plain[:, 1]]), 0.9, None
    yield "all_gain", np.abs(plain), 0.9, None
    yield "skewed_probabilities", plain, 0.9, rng.exponential(1.0, 60) ** 4
    yield "zero_probabilities", plain, 0.9, np.where(np.arange(60) % 3, rng.random(60), 0.0)
    yield "near_zero_probabilities", plain, 0.95, np.where(np.arange(60) % 2, 1.0, 1e-14)
    yield "one_certain_scenario", plain, 0.9, np.where(np.arange(60) == 7, 1.0, 1e-6)
    yield "equal_probabilities", plain, 0.9, np.full(60, 3.0)
    yield "float32", plain.astype(np.float32), 0.9, None
    yield "fortran_order", np.asfortranarray(plain), 0.9, None
    for seed in range(12):
        scenarios, assets = int(rng.integers(5, 120)), int(rng.integers(2, 9))
        probabilities = rng.dirichlet(np.full(scenarios, 0.5)) if seed % 3 == 0 else None
        yield (
            f"random_{seed}",
            heavy_tailed(100 + seed, scenarios, assets),
            float(rng.uniform(0.3, 0.99)),
            probabilities,
        )


INSTANCES = {name: (returns, level, probabilities) for name, returns, level, probabilities in instances()}
