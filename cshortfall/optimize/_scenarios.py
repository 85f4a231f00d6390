"""Scenarios as an optimiser sees them: passes over the rows, each giving the tail at one set of weights.

A pass moves little: sums over the tail, one vector of the width of a row for each, and the rows around the edge of the
tail. That is all the solvers ever ask, so that scenarios may lie in memory, in a file or on other machines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol

import numpy as np

from cshortfall import _arguments
from cshortfall._core import scenarios as passes
from cshortfall._core.openmp import effective_threads
from cshortfall._core.tail import tail_rows
from cshortfall._scenarios import _shares
from cshortfall._tail_count import tail_count, tail_mass

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cshortfall._arguments import Floats, Samples

    # Counts, masses, sums of base and of rows: of the scenarios above VaR, and of those at it.
    PartSums = tuple[NDArray[np.int64], Floats, Floats, Floats]

# Scenarios that a deviation is taken from.
DEVIATION_SCENARIOS = 4096
# Scenarios gathered at a time.
GATHERED = 1024


@dataclass(frozen=True, eq=False)
class Part:
    """Sums over some scenarios, each times its probability."""

    mass: float
    rows: Floats
    base: float


@dataclass(frozen=True, eq=False)
class TailRows:
    """The tail at one set of weights; losses, rows and base times `scale` of the request, a power of two."""

    es: float
    var: float
    above: Part
    """Over all scenarios with a loss above `var`."""
    at: Part
    """Over all with a loss equal to `var`."""
    index: NDArray[np.int64]
    """Numbers of the scenarios around the edge, ascending."""
    loss: Floats
    rows: Floats
    """Shape (index.size, n_assets), float64, in C order."""
    base: Floats
    probability: Floats


class Tail(NamedTuple):
    """The tail at one set of weights: the scenarios that make up ES and their shares."""

    es: float
    var: float
    indices: NDArray[np.int64]
    weights: Floats


class Scenarios(Protocol):
    """What the solvers need of scenarios. `n_scenarios` counts all, those of probability zero too."""

    n_scenarios: int
    n_assets: int
    passes: int
    """How often all scenarios have been read."""

    def tail_rows(
        self, x: Floats, level: float, base: Floats | None, above: int, below: int, scale: float = 1.0
    ) -> TailRows:
        """Return the tail of the P&L ``base + rows @ x`` and the rows around its edge.

        Kept are scenarios of positive probability whose rank by loss is at most `above` before or `below` behind that
        of VaR; of equal losses those of lower numbers.
        """

    def es_var(self, x: Floats, level: float, base: Floats | None) -> tuple[float, float]:
        """Return ES and VaR, the bits of `cshortfall.es_var` of the P&L."""

    def tail(self, x: Floats, level: float, base: Floats | None) -> Tail:
        """Return ES and VaR as `es_var` does, and the scenarios that make up ES as `cshortfall.tail_weights` does."""

    def tail_mass(self, level: float) -> float:
        """Return the probability of the tail: 1 - level, but for a tail count moved to a whole number."""

    def mean(self) -> Floats:
        """Return the mean of each column under the probabilities."""

    def deviation(self) -> Floats:
        """Return the standard deviation of each column, of a sample if there are many scenarios."""

    def sample(self, count: int, base: Floats | None) -> tuple[Scenarios, Floats | None]:
        """Return `count` scenarios drawn without replacement, always the same, in memory, and their base."""


def row_losses(rows: Samples, x: Floats, base: Floats | None = None) -> Floats:
    """Return ``-(base + rows @ x)`` with the bits of a pass: the same for a row in place and one that was gathered."""
    profit, _ = passes.profits(rows, contiguous(x), None if base is None else contiguous(base), None)
    return np.negative(profit, out=profit)


class OwnScenarios:
    """What scenarios have in common whose P&L is held by this process: 8 bytes a scenario, and the probabilities."""

    n_scenarios: int
    n_assets: int
    passes: int
    probabilities: Floats | None

    def _profit(self, x: Floats, base: Floats | None) -> Floats:
        """Return the P&L of each scenario, inf where the probability is zero."""
        raise NotImplementedError

    @cached_property
    def n_live(self) -> int:
        """Number of scenarios of positive probability."""
        return self.n_scenarios if self.probabilities is None else int(np.count_nonzero(self.probabilities))

    def tail_mass(self, level: float) -> float:
        """Return the probability of the tail."""
        return 1.0 - level if self.probabilities is not None else tail_mass(self.n_scenarios, level)

    def es_var(self, x: Floats, level: float, base: Floats | None) -> tuple[float, float]:
        """Return ES and VaR."""
        es, var = tail_of(self._profit(x, base), [level], self.probabilities)
        return float(es[0]), float(var[0])

    def tail(self, x: Floats, level: float, base: Floats | None) -> Tail:
        """Return ES, VaR and the scenarios that make up ES."""
        profit = self._profit(x, base)
        es, var = (float(value[0]) for value in tail_of(profit, [level], self.probabilities))
        return Tail(es, var, *_shares(profit, self.probabilities, level, False, var))

    def _tail_rows(
        self, edge: Edge, sums: PartSums, index: NDArray[np.int64], rows: Floats, base: Floats | None, scale: float
    ) -> TailRows:
        """Return the parts of the answer, `rows` scaled already, in its form."""
        if self.probabilities is None:
            unit, probability = float(self.n_scenarios), np.full(index.size, 1.0 / self.n_scenarios)
        else:
            unit, probability = 1.0, self.probabilities[index]
        _, masses, bases, totals = sums
        above, at = (
            Part(float(mass) / unit, total / unit * scale, float(own) / unit * scale)
            for mass, total, own in zip(masses, totals, bases, strict=True)
        )
        own_base = np.zeros(index.size) if base is None else base[index] * scale
        loss = edge.profit[index] * -scale
        return TailRows(edge.es * scale, edge.var * scale, above, at, index, loss, rows, own_base, probability)

    def _spread(self, count: int) -> NDArray[np.int64]:
        """Return at most so many scenarios of positive probability, one at a random place of each of as many stretches.

        The same ones in every call.
        """
        n_live = self.n_live
        if count >= n_live:
            chosen = np.arange(n_live)
        else:
            bounds = np.arange(count + 1) * n_live // count
            chosen = np.random.default_rng(0).integers(bounds[:-1], bounds[1:])
        return chosen if self.probabilities is None else np.flatnonzero(self.probabilities)[chosen]


class ArrayScenarios(OwnScenarios):
    """Scenarios in memory or in a memory-mapped file: one row each.

    Parameters
    ----------
    rows : array_like, shape (n_scenarios, n_assets)
        P&L or returns. float64 and float32 of any layout are read in place, other numbers are copied to float64.
    probabilities : array_like, shape (n_scenarios,), optional
        Not negative, of any scale; None for equal ones. A scenario of probability zero is absent, whatever it holds.
    """

    def __init__(self, rows: Any, probabilities: Any = None) -> None:
        self.rows, _ = _arguments.read_samples("returns", rows)
        if self.rows.ndim != 2 or self.rows.size == 0:
            raise ValueError(
                f"returns must have shape (n_scenarios, n_assets), at least one of each, got shape {self.rows.shape}"
            )
        self.n_scenarios, self.n_assets = self.rows.shape
        self.probabilities = read_probabilities(probabilities, self.n_scenarios)
        self.passes = 0
        self._latest: tuple[bytes, Floats] | None = None

    def _profit(self, x: Floats, base: Floats | None) -> Floats:
        """Return the P&L of each scenario, inf where the probability is zero."""
        if base is None and self._latest is not None and self._latest[0] == contiguous(x).tobytes():
            return self._latest[1]
        return self._pass(x, None if base is None else contiguous(base), None)[0]

    def _pass(self, x: Floats, base: Floats | None, level: float | None) -> tuple[Floats, passes.TailSums | None]:
        """Return the P&L of each scenario and, with a level, sums over most of the tail."""
        self.passes += 1
        # Only one is ever in memory. Who asks for the tail at the end of a search asks for the latest.
        self._latest = None
        x = contiguous(x)
        profit, bad, begun = passes.profits_and_tail(self.rows, x, base, self.probabilities, level)
        if bad:
            refuse_profit(self.rows, x, base, self.probabilities, profit)
        if base is None:
            self._latest = x.tobytes(), profit
        return profit, begun

    def tail_rows(
        self, x: Floats, level: float, base: Floats | None, above: int, below: int, scale: float = 1.0
    ) -> TailRows:
        """Return the tail and the rows around its edge."""
        base = None if base is None else contiguous(base)
        profit, begun = self._pass(x, base, level)
        edge = Edge(profit, self.probabilities, self.n_live, level, above, below)
        sums = passes.tail_sums(self.rows, profit, -edge.var, base, self.probabilities, begun)
        index = edge.scenarios(int(sums[0][0]))
        return self._tail_rows(edge, sums, index, passes.gather(self.rows, index, scale), base, scale)

    def mean(self) -> Floats:
        """Return the mean of each column."""
        self.passes += 1
        _, (mass, _), _, (total, _) = passes.tail_sums(self.rows, None, 0.0, None, self.probabilities)
        mean: Floats = total / mass
        refuse_sums(self.rows, self.probabilities, mean)
        return mean

    def deviation(self) -> Floats:
        """Return the standard deviation of each column, of evenly spread scenarios if there are many."""
        return self._deviation

    @cached_property
    def _deviation(self) -> Floats:
        index = self._spread(DEVIATION_SCENARIOS)
        own = np.ones(index.size) if self.probabilities is None else self.probabilities[index]
        mean = self._mean_of(index, own, lambda rows: rows)
        deviation: Floats = np.sqrt(self._mean_of(index, own, lambda rows: np.square(rows - mean)))
        return deviation

    def _mean_of(self, index: NDArray[np.int64], own: Floats, function: Callable[[Floats], Floats]) -> Floats:
        """Return the mean of a function of rows, a few of them in memory at a time."""
        total = np.zeros(self.n_assets)
        for start in range(0, index.size, GATHERED):
            part = slice(start, start + GATHERED)
            rows = function(passes.gather(self.rows, index[part]))
            total += passes.tail_sums(rows, None, 0.0, None, own[part])[3][0]
        refuse_sums(self.rows, self.probabilities, total)
        mean: Floats = total / own.sum()
        return mean

    def sample(self, count: int, base: Floats | None) -> tuple[Scenarios, Floats | None]:
        """Return scenarios drawn without replacement."""
        chosen = self._spread(count)
        p = None if self.probabilities is None else self.probabilities[chosen]
        rows = np.empty((chosen.size, self.n_assets), self.rows.dtype)
        gather_into(rows, self.rows, chosen)
        return ArrayScenarios(rows, p), None if base is None else base[chosen]


class Edge:
    """ES and VaR of outcomes, and the scenarios around the edge of the tail."""

    def __init__(
        self, profit: Floats, probabilities: Floats | None, n_live: int, level: float, above: int, below: int
    ) -> None:
        self.profit, self._n_live, self._above, self._below = profit, n_live, above, below
        if probabilities is None:
            # Without ties the rank of VaR, and so the ranks around it, are known before it is selected.
            self._tail = max(math.ceil(tail_count(n_live, level)), 1) - 1
            es, var = tail_of(profit, [level, *map(self._level_of_rank, self._ranks())], None)
            self._ends = -var[1:]
        else:
            es, var = tail_of(profit, [level], probabilities)
            self._tail = -1
        self.es, self.var = float(es[0]), float(var[0])

    def _ranks(self) -> tuple[int, int]:
        """Return the first and last rank by loss, from zero, that are kept."""
        return max(self._tail - self._above, 0), min(self._tail + self._below, self._n_live - 1)

    def _level_of_rank(self, rank: int) -> float:
        """Return a level at which VaR is the outcome of this rank."""
        return 1.0 - (rank + 0.5) / self.profit.size

    def scenarios(self, tail: int) -> NDArray[np.int64]:
        """Return the scenarios around the edge, given the number of losses above VaR."""
        first_guess, self._tail = self._tail, tail
        first, last = self._ranks()
        if first_guess != tail:
            self._ends = -tail_of(self.profit, [*map(self._level_of_rank, (first, last))], None)[1]
        low, high = self._ends.tolist()
        index, less = passes.scenarios_between(self.profit, low, high)
        near = self.profit[index]
        kept = np.ones(index.size, bool)
        kept[np.flatnonzero(near == low)[: first - less]] = False
        less += int(np.count_nonzero(near < high))
        kept[np.flatnonzero(near == high)[last + 1 - less :]] = False
        return index[kept]


def tail_of(profit: Floats, levels: list[float], probabilities: Floats | None) -> tuple[Floats, Floats]:
    """Return ES and VaR of outcomes at each level; those of probability zero are absent."""
    own = None if probabilities is None else probabilities[np.newaxis]
    threads = effective_threads(profit.size)
    es, var, _, _ = tail_rows(profit[np.newaxis], np.array(levels), False, False, own, threads)
    return es[0], var[0]


def read_probabilities(probabilities: Any, n_scenarios: int) -> Floats | None:
    """Return probabilities of sum one, None if they are equal."""
    if probabilities is None:
        return None
    own = _arguments.read_probabilities(probabilities, n_scenarios)
    if own.min() == own.max():
        return None
    # A power of two keeps the sum finite and changes no digit.
    own = np.ldexp(own, -int(np.frexp(own.max())[1]))
    normalized: Floats = own / own.sum()
    return normalized


def refuse_profit(
    rows: Samples, x: Floats, base: Floats | None, probabilities: Floats | None, profit: Floats, first: int = 0
) -> NoReturn:
    """Name what made the P&L of a scenario NaN or infinite; `first` is the number of the first of these scenarios."""
    bad = ~np.isfinite(profit)
    if probabilities is not None:
        bad &= probabilities > 0
    scenario = int(bad.argmax())
    _arguments.check_finite("x", x)
    if base is not None and not np.isfinite(base[scenario]):
        raise ValueError(f"base must be finite, got base[{first + scenario}] = {float(base[scenario])!r}")
    _refuse_row(rows[scenario], first + scenario)
    raise ValueError(
        f"the P&L of scenario {first + scenario} is {float(profit[scenario])!r}: it overflows; rescale the returns"
    )


def refuse_sums(rows: Samples, probabilities: Floats | None, sums: Floats, first: int = 0) -> None:
    """Refuse sums over scenarios that are NaN or infinite, naming the return that made them so."""
    if np.isfinite(sums).all():
        return
    column = int(np.isfinite(sums).argmin())
    bad = ~np.isfinite(rows[:, column])
    if probabilities is not None:
        bad &= probabilities > 0
    if bad.any():
        scenario = int(bad.argmax())
        _refuse_row(rows[scenario], first + scenario)
    raise ValueError(f"the returns of column {column} add up to {float(sums[column])!r}; rescale the returns")


def _refuse_row(row: Samples, scenario: int) -> None:
    """Refuse a return that is NaN or infinite, naming it."""
    finite = np.isfinite(row)
    if not finite.all():
        asset = int(finite.argmin())
        raise ValueError(f"returns must be finite, got returns[{scenario}, {asset}] = {float(row[asset])!r}")


def gather_into(out: Samples, rows: Samples, index: NDArray[np.int64]) -> None:
    """Copy rows by their numbers, a few at a time, into an array of any type."""
    for start in range(0, index.size, GATHERED):
        out[start : start + GATHERED] = passes.gather(rows, index[start : start + GATHERED])


def contiguous(values: Any) -> Floats:
    """Return a vector of doubles side by side."""
    return np.ascontiguousarray(values, np.float64)
