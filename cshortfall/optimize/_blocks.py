"""Scenarios that come in blocks, as from files or generators: each pass reads every block once, in order.

Held in memory are the P&L of every scenario and its probability (8 bytes each), `SAMPLE` rows, the block being read and
the rows that a pass keeps: at most a sixteenth of all scenarios, or as many as were asked for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cshortfall import _arguments
from cshortfall._core import scenarios as passes
from cshortfall.optimize._scenarios import (
    ArrayScenarios,
    Edge,
    OwnScenarios,
    contiguous,
    gather_into,
    read_probabilities,
    refuse_profit,
    refuse_sums,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from cshortfall._arguments import Floats, Samples
    from cshortfall.optimize._scenarios import PartSums, Scenarios, TailRows

# Rows that predict where the edge of a tail lies.
SAMPLE = 8192
# Standard deviations that a prediction may be wrong by; beyond them another read is made.
CERTAINTY = 4.0
# A pass keeps at most this part of the scenarios.
KEPT = 16


class Block(NamedTuple):
    """Some scenarios in a row."""

    rows: Samples
    probabilities: Floats | None
    place: slice


class BlockScenarios(OwnScenarios):
    """Scenarios that are read again for each pass, block by block.

    Parameters
    ----------
    blocks : callable
        Returns a new iterator over blocks each time, always of the same scenarios in the same order: arrays of shape
        (rows, n_assets), of any numbers of rows, or pairs of such an array and the probabilities of its rows, of any
        scale. float64 and float32 are not copied.

    Raises
    ------
    TypeError
        `blocks` cannot be called, or blocks hold no real numbers.
    ValueError
        No scenario, blocks of different widths, probabilities that are negative or missing for some; a return that is
        not finite.

    Notes
    -----
    The scenarios are read once to count them. A pass predicts from a sample where the edge of the tail will be, sums
    the rows far above it and keeps those near it. Counts are exact: if the edge turns out to lie elsewhere, the blocks
    are read again, with the edge known.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.optimize import BlockScenarios, minimize_es
    >>> returns = np.array([[0.04, -0.02], [-0.03, 0.01], [0.02, 0.00], [-0.01, 0.03]])
    >>> scenarios = BlockScenarios(lambda: np.array_split(returns, 2))
    >>> minimize_es(scenarios, 0.75).weights.round(6)
    array([0.3, 0.7])
    """

    _mean: Floats
    _sample: ArrayScenarios

    def __init__(self, blocks: Callable[[], Iterable[Any]]) -> None:
        if not callable(blocks):
            raise TypeError(
                f"blocks must be a function that returns a new iterator each time, got {_arguments.shown(blocks)}; "
                "they are read once for each pass"
            )
        self._blocks = blocks
        self.passes = 1
        self.n_scenarios = 0
        self.n_assets = 0
        self._survey()

    def _survey(self) -> None:
        """Read all once: number, probabilities, mean, a sample."""
        given: list[Floats] = []
        sums, sample = _Sums(0), _Sample()
        for block in self._read(first=True):
            self.n_scenarios = block.place.stop
            self.n_assets = block.rows.shape[1]
            if block.probabilities is not None:
                given.append(block.probabilities)
            if sum(map(len, given)) not in (0, self.n_scenarios) or (given and block.probabilities is None):
                raise ValueError("blocks must give probabilities with each block, or with none")
            own = passes.tail_sums(block.rows, None, 0.0, None, block.probabilities)
            refuse_sums(block.rows, block.probabilities, own[3][0], block.place.start)
            sums = sums if block.place.start else _Sums(self.n_assets)
            sums.add(own)
            sample.add(block)
        if self.n_scenarios == 0:
            raise ValueError("blocks gave no scenario; at least one is needed")
        self.probabilities = read_probabilities(np.concatenate(given), self.n_scenarios) if given else None
        _, masses, _, totals = sums.total
        self._mean = totals[0] / masses[0]
        index, rows = sample.scenarios()
        self._sample = ArrayScenarios(rows, None if self.probabilities is None else self.probabilities[index])
        self._sample_index = index

    def _read(self, first: bool = False) -> Iterator[Block]:
        """Yield the blocks, checked."""
        start = 0
        for number, given in enumerate(self._blocks()):
            rows, own = given if isinstance(given, tuple) else (given, None)
            rows, _ = _arguments.read_samples(f"block {number}", rows)
            if rows.ndim != 2 or rows.shape[1] != (self.n_assets or rows.shape[1]) or rows.shape[1] == 0:
                columns = self.n_assets or "n_assets"
                raise ValueError(f"block {number} must have shape (rows, {columns}), got shape {rows.shape}")
            place = slice(start, start + len(rows))
            start = place.stop
            if own is not None:
                own = contiguous(own)
                if own.shape != (len(rows),):
                    raise ValueError(f"block {number} of {len(rows)} rows has probabilities of shape {own.shape}")
            if not first:
                own = None if self.probabilities is None else self.probabilities[place]
            if len(rows) and start <= (start if first else self.n_scenarios):
                yield Block(rows, own, place)
        if not first and start != self.n_scenarios:
            raise ValueError(
                f"blocks gave {self.n_scenarios} scenarios at first and {start} now; "
                "pass a function that begins again with each call"
            )

    def _profits(self, x: Floats, base: Floats | None, out: Floats) -> Iterator[tuple[Block, Floats]]:
        """Yield each block and the P&L of its scenarios, which become those of `out`."""
        self.passes += 1
        for block in self._read():
            profit = out[block.place]
            own_base = None if base is None else base[block.place]
            _, bad = passes.profits(block.rows, x, own_base, block.probabilities, profit)
            if bad:
                refuse_profit(block.rows, x, own_base, block.probabilities, profit, block.place.start)
            yield block, profit

    def _profit(self, x: Floats, base: Floats | None) -> Floats:
        profit = np.empty(self.n_scenarios)
        for _ in self._profits(contiguous(x), None if base is None else contiguous(base), profit):
            pass
        return profit

    def tail_rows(
        self, x: Floats, level: float, base: Floats | None, above: int, below: int, scale: float = 1.0
    ) -> TailRows:
        """Return the tail and the rows around its edge."""
        x, base = contiguous(x), None if base is None else contiguous(base)
        low, high = self._predict(x, level, base, above, below)
        most = min(self.n_scenarios, self.n_scenarios // KEPT + above + below + 1)
        beyond, near = _Sums(self.n_assets), _Kept(most)
        profit = np.empty(self.n_scenarios)
        for block, own in self._profits(x, base, profit):
            own_base = None if base is None else base[block.place]
            beyond.add(passes.tail_sums(block.rows, own, low, own_base, block.probabilities))
            near.add(block, passes.scenarios_between(own, low, high)[0])
        edge = Edge(profit, self.probabilities, self.n_live, level, above, below)
        index = edge.scenarios(int(np.count_nonzero(profit < -edge.var)))
        ends = [-edge.var, *profit[index].tolist()]
        if near.overflowed or not low <= min(ends) <= max(ends) <= high:
            return self._tail_rows_at(edge, index, base, scale)
        kept = near.index
        kept_base, mass = (None if values is None else values[kept] for values in (base, self.probabilities))
        # The scenarios at the lower end are among the kept.
        beyond.clear_second()
        beyond.add(passes.tail_sums(near.rows, profit[kept], -edge.var, kept_base, mass))
        rows = passes.gather(near.rows, np.searchsorted(kept, index), scale)
        return self._tail_rows(edge, beyond.total, index, rows, base, scale)

    def _tail_rows_at(self, edge: Edge, index: NDArray[np.int64], base: Floats | None, scale: float) -> TailRows:
        """Read all again for a tail and an edge that are known."""
        self.passes += 1
        sums, near = _Sums(self.n_assets), _Kept(index.size)
        for block in self._read():
            own_base = None if base is None else base[block.place]
            own = edge.profit[block.place]
            sums.add(passes.tail_sums(block.rows, own, -edge.var, own_base, block.probabilities))
            near.add(block, _within(index, block.place))
        return self._tail_rows(
            edge, sums.total, index, passes.gather(near.rows, np.arange(index.size), scale), base, scale
        )

    def _predict(self, x: Floats, level: float, base: Floats | None, above: int, below: int) -> tuple[float, float]:
        """Return P&L between which VaR and the rows around it are expected."""
        sample, m = self._sample, self._sample.n_scenarios
        profit, _ = passes.profits(sample.rows, x, None if base is None else base[self._sample_index], None)
        order = np.argsort(profit)
        mass = np.full(m, 1.0 / m) if sample.probabilities is None else sample.probabilities[order]
        reached = np.cumsum(mass)
        mass_off, share = 0.0, m / self.n_live
        if m < self.n_live:
            mass_off = CERTAINTY * math.sqrt(level * (1.0 - level) * float(np.square(mass).sum()))
        first, last = np.searchsorted(reached, [1.0 - level - mass_off, 1.0 - level + mass_off]).tolist()
        first -= 1 + math.ceil(_most_of(above, share))
        last += 1 + math.ceil(_most_of(below, share))
        largest = float(np.finfo(float).max)
        return (
            -largest if first < 0 else float(profit[order[first]]),
            largest if last >= m else float(profit[order[last]]),
        )

    def mean(self) -> Floats:
        """Return the mean of each column, known from the first read."""
        mean: Floats = self._mean.copy()
        return mean

    def deviation(self) -> Floats:
        """Return the standard deviation of each column of a sample."""
        deviation: Floats = self._sample.deviation()
        return deviation

    def sample(self, count: int, base: Floats | None) -> tuple[Scenarios, Floats | None]:
        """Return scenarios drawn without replacement, those that `ArrayScenarios` would draw."""
        chosen = self._spread(count)
        self.passes += 1
        near = _Kept(chosen.size)
        for block in self._read():
            near.add(block, _within(chosen, block.place))
        p = None if self.probabilities is None else self.probabilities[chosen]
        return ArrayScenarios(near.rows, p), None if base is None else base[chosen]


class _Sums:
    """Sums of two sets of scenarios over blocks, in their order."""

    def __init__(self, n_assets: int) -> None:
        self.total: PartSums = (np.zeros(2, np.int64), np.zeros(2), np.zeros(2), np.zeros((2, n_assets)))

    def add(self, sums: PartSums) -> None:
        for total, own in zip(self.total, sums, strict=True):
            np.add(total, own, out=total)

    def clear_second(self) -> None:
        for total in self.total:
            total[1] = 0


class _Kept:
    """Rows gathered from blocks, with their numbers, ascending; of no use once they are too many."""

    def __init__(self, most: int) -> None:
        self.overflowed = False
        self._most = most
        self._count = 0
        self._index = np.empty(0, np.int64)
        self._rows: Samples = np.empty((0, 0))

    def add(self, block: Block, places: NDArray[np.int64]) -> None:
        """Add rows by their places in the block."""
        last = self._count + places.size
        if self._count == 0:
            # Room that is not used takes no memory.
            self._index = np.empty(self._most, np.int64)
            self._rows = np.empty((self._most, block.rows.shape[1]), block.rows.dtype)
        if self.overflowed or last > self._most:
            self.overflowed = True
            return
        self._index[self._count : last] = places + block.place.start
        gather_into(self._rows[self._count : last], block.rows, places)
        self._count = last

    @property
    def index(self) -> NDArray[np.int64]:
        return self._index[: self._count]

    @property
    def rows(self) -> Samples:
        return self._rows[: self._count]


class _Sample:
    """Rows of positive probability drawn without knowing how many there will be: those of the smallest keys."""

    def __init__(self) -> None:
        self._keys = np.empty(0, np.uint64)
        self._index = np.empty(0, np.int64)
        self._rows: Floats | None = None

    def add(self, block: Block) -> None:
        """Let the rows of a block take part."""
        live = np.arange(len(block.rows)) if block.probabilities is None else np.flatnonzero(block.probabilities > 0)
        keys = _mixed(live + block.place.start)
        if self._keys.size >= SAMPLE:
            chosen = keys < self._keys.max()
            live, keys = live[chosen], keys[chosen]
        if live.size > SAMPLE:
            chosen = np.sort(np.argpartition(keys, SAMPLE)[:SAMPLE])
            live, keys = live[chosen], keys[chosen]
        rows = passes.gather(block.rows, live)
        self._keys = np.concatenate([self._keys, keys])
        self._index = np.concatenate([self._index, live + block.place.start])
        self._rows = rows if self._rows is None else np.concatenate([self._rows, rows])
        if self._keys.size > SAMPLE:
            chosen = np.sort(np.argpartition(self._keys, SAMPLE)[:SAMPLE])
            self._keys, self._index, self._rows = self._keys[chosen], self._index[chosen], self._rows[chosen]

    def scenarios(self) -> tuple[NDArray[np.int64], Floats]:
        """Return numbers, ascending, and rows."""
        assert self._rows is not None
        return self._index, self._rows


def _most_of(count: int, share: float) -> float:
    """Return how many of so many scenarios a sample of this share of all may hold."""
    expected = count * share
    return expected if share == 1.0 else expected + CERTAINTY * math.sqrt(expected)


def _mixed(numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a random-looking key of each number (the finalizer of SplitMix64)."""
    keys = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in (30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    mixed: NDArray[np.uint64] = keys ^ (keys >> np.uint64(31))
    return mixed


def _within(index: NDArray[np.int64], place: slice) -> NDArray[np.int64]:
    """Return those of ascending scenario numbers that lie in a block, as places in it."""
    first, last = np.searchsorted(index, [place.start, place.stop])
    own: NDArray[np.int64] = index[first:last] - place.start
    return own
