"""A portfolio in scenarios, read from the arguments: its P&L, its positions and the labels of these."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall._arguments import Question
from cshortfall._core import scenarios as passes
from cshortfall._frames import is_frame_like
from cshortfall._results import result
from cshortfall._scenarios import _read_portfolios
from cshortfall._tail_count import effective_tail_count
from cshortfall.estimate import es_var

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cshortfall._arguments import Floats, Samples
    from cshortfall._frames import Labels

# Returns copied at a time.
BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class Portfolio:
    """A portfolio in scenarios.

    Its positions, whose parts in the risk are wanted, are the assets (`split` is None, `quantities` are the holdings)
    or bundles of assets, one for each column of `split`, each held once. Where `upper`, the returns are losses.
    """

    returns: Samples
    holdings: Floats
    split: Floats | None
    quantities: Floats
    masses: Floats | None
    """Proportional to the probabilities of the scenarios; None if these are equal."""
    level: float
    upper: bool
    omit: bool
    profit: Floats
    """P&L, gains positive in either tail, shape (n_scenarios,); NaN where a scenario is left out, inf where absent."""
    es: float
    """Expected Shortfall, NaN if the profits have no tail."""
    var: float
    sums: Floats
    """Of the returns in the scenarios beyond VaR, and of those at it, each times its mass, shape (2, n_assets)."""
    question: Question
    """Whose labels are those of the positions."""
    labels: Labels | None
    """Of the returns."""

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """The scenarios that count: of positive probability and not left out."""
        there = ~np.isnan(self.profit)
        return there if self.masses is None else there & (self.masses > 0)

    @cached_property
    def n(self) -> int:
        """The number of scenarios that count."""
        return int(np.count_nonzero(self.present))

    def effective_count(self, level: float) -> float:
        """Return n (1 - level), with probabilities that of Kish's effective number of scenarios."""
        if self.n == 0:
            return 0.0
        return effective_tail_count(self.n, None if self.masses is None else self.masses[self.present], level)

    def label(self, values: NDArray[np.float64], title: str, bounds: bool = False) -> Any:
        """Return numbers, one or a pair for each position, in the form of the data."""
        labelled: Any = result(self.question, values, title, bounds=bounds)
        return labelled

    def asset_losses(self, scenarios: NDArray[np.int64], assets: slice = slice(None)) -> Floats:
        """Return what one unit of each asset loses in some scenarios, one row for each of these."""
        losses = passes.gather(self.returns[:, assets], scenarios, 1.0 if self.upper else -1.0)
        # No loss is -0.0.
        losses += 0.0
        return losses

    def position_losses(self, scenarios: NDArray[np.int64]) -> Floats:
        """Return what one unit of each position loses in some scenarios."""
        losses = self.asset_losses(scenarios)
        return losses if self.split is None else losses @ self.split

    def blocks(self, scenarios: NDArray[np.int64]) -> Iterator[slice]:
        """Yield parts of a list of scenarios whose returns are few enough to copy."""
        step = max(BLOCK // self.holdings.size, 1)
        return (slice(start, start + step) for start in range(0, scenarios.size, step))

    def losses_of(self, position: int, scenarios: NDArray[np.int64]) -> Floats:
        """Return what one unit of one position loses in any number of scenarios."""
        if self.split is None:
            return self.asset_losses(scenarios, slice(position, position + 1))[:, 0]
        units = self.split[:, position]
        return np.concatenate([self.asset_losses(scenarios[block]) @ units for block in self.blocks(scenarios)])

    def mean_losses(self, scenarios: NDArray[np.int64], shares: Floats) -> Floats:
        """Return the mean loss of a unit of each position over scenarios whose shares sum to one."""
        means = np.zeros(self.quantities.size)
        for block in self.blocks(scenarios):
            means += shares[block] @ self.position_losses(scenarios[block])
        return means

    def of_positions(self, marginals: Floats) -> tuple[Floats, Floats]:
        """Return per position the numbers per unit and in all, from those per unit of each asset."""
        if self.split is None:
            return marginals, self.quantities * marginals
        shares = (self.split * marginals[:, np.newaxis]).T
        bundles = np.array([total(row) for row in shares])
        return bundles, bundles


def total(values: Floats) -> float:
    """Return the sum, rounded once where it is finite."""
    try:
        return math.fsum(values.tolist())
    except (OverflowError, ValueError):
        with np.errstate(over="ignore", invalid="ignore"):
            return float(values.sum())


def read_portfolio(
    returns: Any, weights: Any, level: Any, probabilities: Any, groups: Any, tail: Any, nan_policy: Any
) -> Portfolio:
    """Check the arguments and find the P&L of the portfolio, its ES and its VaR."""
    levels, scalar_level = _arguments.read_levels(level)
    if not scalar_level:
        raise ValueError(f"level must be one number, got {levels.size} in a sequence; call once for each")
    upper = _arguments.read_tail(tail)
    _arguments.read_choice("nan_policy", nan_policy, _arguments.NAN_POLICIES)
    samples, given, weight_labels, labels = _read_portfolios(returns, weights, most_dimensions=2)
    masses = _read_masses(probabilities, len(samples), labels)
    holdings, split, position_labels = given, None, labels
    if given.ndim == 2:
        if groups is not None:
            raise ValueError(
                f"groups must be None for weights of sub-accounts (shape {given.shape}); "
                "give the weights of the portfolio, shape (n_assets,), to decompose it by groups"
            )
        holdings, split, position_labels = np.array([total(row) for row in given]), given, weight_labels
    elif groups is not None:
        members, names = _read_groups(groups, given.size, labels)
        split = np.where(members, given[:, np.newaxis], 0.0)
        position_labels = _renamed(labels, names)
    if not holdings.any():
        raise ValueError("weights are all zero; a portfolio needs at least one holding to have a risk to decompose")
    quantities = holdings if split is None else np.ones(split.shape[1])
    held = 0.0 - holdings if upper else holdings
    profit, unusual, begun = passes.profits_and_tail(samples, held, None, masses, float(levels[0]))
    es = var = math.nan
    if not unusual or _settle_missing(samples, profit, masses, nan_policy, labels):
        es, var = es_var(profit, float(levels[0]), weights=masses, nan_policy="omit")
    _, _, _, sums = passes.tail_sums(samples, profit, -var, None, masses, begun)
    # The labels of results are those of something whose first axis was reduced.
    shape = np.broadcast_to(0.0, (1, quantities.size))
    question = Question(shape, (0,), levels, True, upper, nan_policy, None, "historical", position_labels)
    return Portfolio(
        samples,
        holdings,
        split,
        quantities,
        masses,
        float(levels[0]),
        upper,
        nan_policy == "omit",
        profit,
        es,
        var,
        sums,
        question,
        labels,
    )


def _read_masses(probabilities: Any, n: int, labels: Labels | None) -> Floats | None:
    """Return what is proportional to the probabilities: one where the positive ones are equal, None if all are."""
    if probabilities is None:
        return None
    own = _arguments.read_probabilities(probabilities, n, labels)
    largest = own.max()
    positive = own > 0
    if (own[positive] == largest).all():
        return None if positive.all() else positive.astype(np.float64)
    # A power of two keeps sums finite and changes no digit.
    scaled: Floats = np.ldexp(own, -int(np.frexp(largest)[1]))
    return scaled


def _read_groups(groups: Any, n: int, labels: Labels | None) -> tuple[NDArray[np.bool_], list[Any]]:
    """Return which assets belong to each group, shape (n_assets, n_groups), and the names of the groups."""
    columns = None if labels is None else labels.columns
    if isinstance(groups, Mapping):
        return _read_named_groups(groups, n, None if columns is None else list(columns))
    own = getattr(groups, "index", None) if is_frame_like(groups) else None
    if own is not None and labels is not None and labels.has_index and not own.equals(columns):
        if not (own.is_unique and len(own) == n and own.isin(columns).all()):
            raise ValueError("groups must have the labels of the columns of returns, in any order; they differ")
        groups = groups.reindex(columns)
    if isinstance(groups, str) or not hasattr(groups, "__len__"):
        raise TypeError(
            f"groups must map names to their assets or hold one name for each asset, got {_arguments.shown(groups)}"
        )
    names = list(groups)
    if len(names) != n:
        raise ValueError(f"groups must hold one name for each of the {n} assets, got {len(names)}")
    nameless = [position for position, name in enumerate(names) if name is None or name != name]
    if nameless:
        raise ValueError(f"groups[{nameless[0]}] is missing ({names[nameless[0]]!r}); every asset needs a group")
    distinct = list(dict.fromkeys(names))
    return np.array([[name == one for one in distinct] for name in names]), distinct


def _read_named_groups(
    groups: Mapping[Any, Any], n: int, columns: Sequence[Any] | None
) -> tuple[NDArray[np.bool_], list[Any]]:
    places = {name: position for position, name in enumerate(range(n) if columns is None else columns)}
    members = np.zeros((n, len(groups)), dtype=bool)
    for number, (group, names) in enumerate(groups.items()):
        for name in [names] if isinstance(names, str) or not hasattr(names, "__iter__") else names:
            if name not in places:
                known = f"a position from 0 to {n - 1}" if columns is None else "a column of returns"
                raise ValueError(f"groups[{group!r}] names {name!r}, which is not {known}")
            members[places[name], number] = True
    times = members.sum(axis=1)
    if (times != 1).any():
        position = int((times != 1).argmax())
        asset = position if columns is None else columns[position]
        raise ValueError(
            f"groups must hold every asset once, so that the parts sum to the whole; asset {asset!r} is in "
            f"{int(times[position])} of them"
        )
    return members, list(groups)


def _renamed(labels: Labels | None, names: list[Any]) -> Labels | None:
    """Return labels of the same library for groups."""
    if labels is None or labels.columns is None:
        return None
    renamed = copy.copy(labels)
    renamed.columns = names if labels.has_index else [str(name) for name in names]
    return renamed


def _settle_missing(
    returns: Samples, profit: Floats, masses: Floats | None, nan_policy: str, labels: Labels | None
) -> bool:
    """Return whether there is a tail; scenarios that are left out have NaN profits."""
    absent = np.isnan(profit)
    if not absent.any():
        return True
    # Infinities of both signs also give NaN; these scenarios are not missing.
    missing = absent.copy()
    missing[absent] = np.isnan(returns[absent]).any(axis=1)
    if nan_policy == "raise" and missing.any():
        mass = np.broadcast_to(missing.astype(float)[:, np.newaxis], returns.shape)
        _arguments.refuse_missing("returns", returns, mass, labels)
    return nan_policy == "omit" and bool(missing[absent].all())
