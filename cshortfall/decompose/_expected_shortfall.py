"""The tail of a portfolio, and what its scenarios say of each position: parts of ES, their kinks and their errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from cshortfall._core.openmp import effective_threads
from cshortfall._core.tail import tail_rows
from cshortfall._scenarios import _shares
from cshortfall._tail_count import tail_count
from cshortfall.decompose._value_at_risk import smoothed_scenarios
from cshortfall.estimate import es_var

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.decompose._portfolio import Portfolio

# Profits without a position that are stored at a time, and the scenarios in which they are found at a time: their
# returns stay in the second-level cache while they are transposed.
STORED = 1 << 22
TILE = 1024

# Returns of the tail copied at a time where they are summed exactly.
COPIED = 1 << 20


@dataclass(frozen=True, eq=False)
class Tail:
    """The scenarios that make up an ES, ascending, and their shares in it, which sum to one."""

    indices: NDArray[np.int64]
    shares: Floats


def tail_of(portfolio: Portfolio) -> Tail:
    """Return the scenarios behind the ES of a portfolio; none of one without a tail."""
    if math.isnan(portfolio.var):
        return Tail(np.empty(0, dtype=np.int64), np.empty(0))
    return Tail(*_shares(portfolio.profit, portfolio.masses, portfolio.level, False, portfolio.var))


def asset_marginals(portfolio: Portfolio, tail: Tail) -> Floats:
    """Return the mean loss of a unit of each asset over the tail.

    From the sums over the scenarios beyond VaR and at it: in each, every scenario has the same share for its mass.
    """
    if not tail.indices.size:
        return np.full(portfolio.holdings.size, np.nan)
    at_edge = portfolio.profit[tail.indices] == -portfolio.var
    means: Floats = portfolio.sums[1] * _share_of_unit(portfolio, tail, at_edge)
    if not at_edge.all():
        means += portfolio.sums[0] * _share_of_unit(portfolio, tail, ~at_edge)
    if not np.isfinite(means).all():
        return _exact_means(portfolio, tail)
    return means if portfolio.upper else 0.0 - means


def _share_of_unit(portfolio: Portfolio, tail: Tail, chosen: NDArray[np.bool_]) -> float:
    """Return the share in the ES that some scenarios of the tail have for a unit of mass, rounded as of the largest."""
    largest = 1.0 if portfolio.masses is None else float(portfolio.masses[tail.indices[chosen]].max())
    return float(tail.shares[chosen].max()) / largest


def _exact_means(portfolio: Portfolio, tail: Tail) -> Floats:
    """Return the mean loss of a unit of each asset, where losses are infinite or their sums overflow.

    A weighted mean is the ES at level zero, which the kernel sums exactly.
    """
    means = np.empty(portfolio.holdings.size)
    width = max(COPIED // tail.indices.size, 1)
    for start in range(0, means.size, width):
        assets = slice(start, start + width)
        losses = portfolio.asset_losses(tail.indices, assets).T
        shares = np.broadcast_to(tail.shares, losses.shape)
        threads = effective_threads(losses.size)
        means[assets] = tail_rows(losses, np.zeros(1), True, False, shares, threads)[0][:, 0]
    return means


def marginal_range(portfolio: Portfolio, tail: Tail, marginals: Floats) -> Floats:
    """Return the least and the largest marginal ES of each position over all densities that attain the ES.

    Shape (n_positions, 2). Scenarios tied at the edge of the tail may share what the others leave in any proportion,
    each up to its own mass: for each position a continuous knapsack, filled in the order of its losses.
    """
    bounds = np.stack([marginals, marginals], axis=1)
    tied = portfolio.profit[tail.indices] == -portfolio.var
    if tied.sum() < 2 or not math.isfinite(portfolio.var):
        return bounds
    scenarios, shares = tail.indices[tied], tail.shares[tied]
    capacities = _capacities(portfolio, scenarios)
    left = float(shares.sum())
    if left >= float(capacities.sum()) * (1 - 2.0**-40):
        return bounds
    for position in range(marginals.size):
        losses = portfolio.losses_of(position, scenarios)
        # Differences from one scenario: where tied scenarios agree, the range is exactly one number.
        losses -= losses[0]
        order = np.argsort(losses, kind="stable")
        shared = float(shares @ losses)
        least = _filled(losses[order], capacities[order], left)
        largest = _filled(losses[order[::-1]], capacities[order[::-1]], left)
        bounds[position] += min(least - shared, 0.0), max(largest - shared, 0.0)
    return bounds


def _filled(losses: Floats, capacities: Floats, left: float) -> float:
    """Return the sum of losses times what each takes of what is left, the first ones all they can."""
    taken = np.clip(left - (np.cumsum(capacities) - capacities), 0.0, capacities)
    return float(taken @ losses)


def _capacities(portfolio: Portfolio, scenarios: NDArray[np.int64]) -> Floats:
    """Return the largest shares that scenarios may have in the ES."""
    present = portfolio.present
    masses = None if portfolio.masses is None else portfolio.masses[present]
    if portfolio.masses is None or masses is None or masses.min() == masses.max():
        count = max(tail_count(portfolio.n, portfolio.level), Fraction(1))
        return np.full(scenarios.size, float(1 / count))
    capacities: Floats = portfolio.masses[scenarios] / (math.fsum(masses.tolist()) * (1.0 - portfolio.level))
    return np.minimum(capacities, 1.0)


def marginal_standard_errors(portfolio: Portfolio, tail: Tail, marginals: Floats) -> Floats:
    """Return the standard errors of the marginal ES of the positions, from their influence functions."""
    effective = portfolio.effective_count(0.0)
    few = effective <= 2.0 or portfolio.effective_count(portfolio.level) <= 1.0
    if few or not tail.indices.size or np.isinf(portfolio.profit[portfolio.present]).any():
        return np.full(marginals.size, np.nan)
    indices, density = smoothed_scenarios(portfolio, "kernel", None)
    at_edge = portfolio.mean_losses(indices, density)

    def deviations() -> Iterator[tuple[Floats, Floats]]:
        for block in portfolio.blocks(tail.indices):
            yield tail.shares[block], portfolio.position_losses(tail.indices[block]) - at_edge

    # In units of the largest deviation no square overflows.
    unit = np.max([np.abs(losses).max(axis=0) for _, losses in deviations()], axis=0)
    unit[unit == 0.0] = 1.0
    second = sum(shares @ np.square(losses / unit) for shares, losses in deviations())
    variance = second / (1.0 - portfolio.level) - np.square((marginals - at_edge) / unit)
    errors: Floats = unit * np.sqrt(np.maximum(variance, 0.0) / (effective - 1.0))
    return errors


def incremental(portfolio: Portfolio) -> tuple[Floats, Floats]:
    """Return ES and VaR of the portfolio less those of the portfolio without each position."""
    count = portfolio.quantities.size
    if math.isnan(portfolio.var):
        return np.full(count, np.nan), np.full(count, np.nan)
    es, var = np.empty(count), np.empty(count)
    width = min(max(STORED // portfolio.profit.size, 8), 64)
    infinite = np.flatnonzero(np.isinf(portfolio.profit) & portfolio.present)
    for start in range(0, count, width):
        block = slice(start, min(start + width, count))
        rest = _without(portfolio, block)
        if infinite.size:
            rest[:, infinite] = _without_infinities(portfolio, block, infinite)
        policy = "omit" if portfolio.omit else "propagate"
        es[block], var[block] = es_var(rest, portfolio.level, axis=1, weights=portfolio.masses, nan_policy=policy)
    with np.errstate(invalid="ignore"):
        return portfolio.es - es, portfolio.var - var


def _without(portfolio: Portfolio, block: slice) -> Floats:
    """Return the profits without each of some positions, one row for each."""
    profit = portfolio.profit
    rest = np.empty((block.stop - block.start, profit.size))
    for start in range(0, profit.size, TILE):
        tile = slice(start, start + TILE)
        with np.errstate(invalid="ignore", over="ignore"):
            if portfolio.split is None:
                parts = portfolio.returns[tile, block] * portfolio.quantities[block]
            else:
                parts = portfolio.returns[tile] @ portfolio.split[:, block]
            combine = np.add if portfolio.upper else np.subtract
            rest[:, tile] = combine(profit[tile, np.newaxis], parts, out=parts).T
    return rest


def _without_infinities(portfolio: Portfolio, block: slice, scenarios: NDArray[np.int64]) -> Floats:
    """Return the same in scenarios of infinite profits, which may be finite without a position."""
    losses = portfolio.asset_losses(scenarios)
    profits = []
    for position in range(block.start, block.stop):
        held = portfolio.holdings.copy()
        if portfolio.split is None:
            held[position] = 0.0
        else:
            held -= portfolio.split[:, position]
        profits.append(0.0 - losses[:, held != 0] @ held[held != 0])
    return np.array(profits)
