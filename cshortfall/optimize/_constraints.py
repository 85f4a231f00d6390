"""The vocabulary of constraints: what each keyword means, checked once, and the rows it becomes."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from cshortfall import _arguments
from cshortfall.optimize._builder import Builder
from cshortfall.optimize._inputs import read_level, read_not_negative, read_number
from cshortfall.optimize._program import RiskLimit, RiskTerm

if TYPE_CHECKING:
    from cshortfall._arguments import Floats
    from cshortfall.optimize._inputs import Assets
    from cshortfall.optimize._scenarios import Scenarios

INFINITY = float("inf")


@dataclass(frozen=True)
class ESLimit:
    """The constraint that the Expected Shortfall of the portfolio, or of a part of it, stays at or below a limit.

    Parameters
    ----------
    limit : float
        Largest ES, in the unit of the P&L, net of costs.
    level : float
        Confidence, ``0 <= level < 1``.
    assets : sequence of labels or positions, mask, or mapping, optional
        The part of the portfolio: the assets in it, or what each holding is multiplied by. Default: all.
    name : str, optional
        What duals and conflicts call it; default ``es_limits[i]``.

    Examples
    --------
    >>> from cshortfall.optimize import ESLimit
    >>> ESLimit(0.05, 0.99, assets=["oil", "gas"])
    ESLimit(limit=0.05, level=0.99, assets=['oil', 'gas'], name=None)
    """

    limit: float
    level: float = 0.975
    assets: Any = None
    name: str | None = None


ESLimit.__module__ = "cshortfall.optimize"


class ConstraintKeywords(TypedDict, total=False):
    """The keywords of `Constraints`, as every entry point takes them, but `current`."""

    budget: Any
    bounds: Any
    gross: float | None
    groups: Mapping[str, tuple[Any, float | None, float | None]] | None
    A_ub: Any
    b_ub: Any
    A_eq: Any
    b_eq: Any
    return_target: float | None
    turnover: float | None
    costs: Any
    es_limits: Sequence[ESLimit | tuple[float, float]] | ESLimit
    cardinality: int | None
    min_position: Any
    lot_size: Any


@dataclass(frozen=True, eq=False, repr=False)
class Constraints:
    r"""What weights are allowed; every function of `cshortfall.optimize` takes these as keywords too.

    Parameters
    ----------
    budget : float, pair of floats or None
        Sum of the weights, or the least and largest one (None: open). Default 1; None: no such constraint.
    bounds : pair (lower, upper), array of shape (n_assets, 2), mapping of asset to pair, or None
        Least and largest weight: two of a number for all assets, an array, a series or a mapping by asset; None is
        open. Assets that a mapping leaves out have the default, ``(0, None)``: long only. ``bounds=None`` or negative
        lower bounds allow short positions.
    gross : float, optional
        Largest sum of the absolute weights.
    groups : mapping of name to (members, lower, upper), optional
        Least and largest sum of the weights of some assets (labels, positions or a mask); None is open.
    A_ub, b_ub : array_like, shapes (n_rows, n_assets) and (n_rows,), optional
        ``A_ub @ weights <= b_ub``, as for `scipy.optimize.linprog`.
    A_eq, b_eq : array_like, optional
        ``A_eq @ weights == b_eq``.
    return_target : float, optional
        Least mean, net of costs: ``mean @ weights - costs @ abs(weights - current) >= return_target``.
    current : float, array_like, series or mapping, optional
        Holdings now; 0 is cash. Assets that a mapping leaves out have none.
    turnover : float, optional
        Largest ``sum(abs(weights - current))``, purchases and sales together.
    costs : float, array_like, series or mapping, optional
        Cost of changing a weight by one, of each asset, in the unit of the P&L. It is money lost in every scenario:
        it is added to the ES that is minimised or limited and taken off the mean that is maximised or required. The
        budget is not reduced by it.
    es_limits : sequence of ESLimit, optional
        Limits of ES at any levels, of the portfolio or parts of it. A pair (limit, level) will do.
    cardinality : int, optional
        Largest number of weights that are not zero.
    min_position : float, array_like, series or mapping, optional
        A weight is zero or has at least this absolute value.
    lot_size : float, array_like, series or mapping, optional
        Weights are whole multiples of it, at least 1e-8; an asset with 0 has no lots.

    Raises
    ------
    ValueError, TypeError
        Where a value makes no sense by itself. What depends on the assets is checked with them.

    Notes
    -----
    `cardinality`, `min_position` and `lot_size` make the program one of integers.

    Examples
    --------
    >>> from cshortfall.optimize import Constraints
    >>> Constraints(bounds=(0, 0.2), turnover=0.1, current=0.05)
    Constraints(bounds=(0, 0.2), current=0.05, turnover=0.1)
    """

    budget: Any = 1.0
    bounds: Any = (0.0, None)
    gross: float | None = None
    groups: Mapping[str, tuple[Any, float | None, float | None]] | None = None
    A_ub: Any = None
    b_ub: Any = None
    A_eq: Any = None
    b_eq: Any = None
    return_target: float | None = None
    current: Any = None
    turnover: float | None = None
    costs: Any = None
    es_limits: Sequence[ESLimit | tuple[float, float]] | ESLimit = ()
    cardinality: int | None = None
    min_position: Any = None
    lot_size: Any = None

    def __post_init__(self) -> None:
        for name in ("gross", "turnover"):
            if getattr(self, name) is not None:
                read_not_negative(name, getattr(self, name))
        if self.return_target is not None:
            read_number("return_target", self.return_target)
        if self.cardinality is not None:
            _arguments.read_count("cardinality", self.cardinality)
        for name in ("turnover", "costs"):
            if getattr(self, name) is not None and self.current is None:
                raise ValueError(f"{name} needs the holdings now; pass current=..., or current=0 to start from cash")
        for matrix, vector in (("A_ub", "b_ub"), ("A_eq", "b_eq")):
            if (getattr(self, matrix) is None) != (getattr(self, vector) is None):
                raise ValueError(f"{matrix} and {vector} belong together; pass both or neither")
        if self.groups is not None and not isinstance(self.groups, Mapping):
            raise TypeError(
                "groups must be a mapping of name to (members, lower, upper), got " + _arguments.shown(self.groups)
            )

    def __repr__(self) -> str:
        given = [
            f"{one.name}={getattr(self, one.name)!r}"
            for one in fields(self)
            if repr(getattr(self, one.name)) != repr(one.default)
        ]
        return f"Constraints({', '.join(given)})"

    @property
    def whole(self) -> bool:
        """Whether they make the program one of integers."""
        return not (self.cardinality is None and self.min_position is None and self.lot_size is None)

    def build(self, assets: Assets, mean: Floats, benchmark_mean: float = 0.0) -> Builder:
        """Return rows and bounds for these assets; those of integers come last, when the others are known."""
        builder = Builder(assets, *_read_bounds(assets, self.bounds))
        _add_budget(builder, self.budget)
        self._add_trades(builder)
        if self.gross is not None:
            columns, signs = builder.distance(np.zeros(assets.count))
            builder.at_most("gross", columns, signs, float(self.gross))
        for name, group in (self.groups or {}).items():
            _add_group(builder, name, group)
        self._add_rows(builder)
        if self.return_target is not None:
            builder.at_most(
                "return_target",
                *builder.merged(-mean, builder.expense),
                -(float(self.return_target) + benchmark_mean),
                sign=-1.0,
            )
        if self.whole:
            self._add_integers(builder)
        return builder

    def _add_trades(self, builder: Builder) -> None:
        assets = builder.assets
        if self.current is None:
            return
        builder.current = assets.vector("current", self.current, 0.0)
        if self.turnover is not None:
            columns, signs = builder.distance(builder.current)
            builder.at_most("turnover", columns, signs, float(self.turnover))
        if self.costs is not None:
            costs = assets.vector("costs", self.costs, 0.0)
            if (costs < 0).any():
                position = int((costs < 0).argmax())
                raise ValueError(
                    f"costs must not be negative, got {float(costs[position])!r} for {assets.describe(position)}"
                )
            builder.charge(costs)

    def _add_rows(self, builder: Builder) -> None:
        everything = np.arange(builder.assets.count)
        for kind in ("ub", "eq"):
            matrix = getattr(self, f"A_{kind}")
            if matrix is None:
                continue
            rows = builder.assets.rows(f"A_{kind}", matrix)
            given, _ = _arguments.read_samples(f"b_{kind}", getattr(self, f"b_{kind}"))
            values = np.atleast_1d(given)
            if values.shape != (len(rows),):
                raise ValueError(
                    f"b_{kind} must have shape ({len(rows)},), one for each row of A_{kind}; got shape {values.shape}"
                )
            if np.isnan(values).any() or (kind == "eq" and np.isinf(values).any()):
                raise ValueError(f"b_{kind} must be finite, got {values[~np.isfinite(values)][0]!r}")
            for position, (row, value) in enumerate(zip(rows, values.tolist(), strict=True)):
                if kind == "eq":
                    builder.equal(f"A_eq[{position}]", everything, row, value)
                elif value < INFINITY:
                    builder.at_most(f"A_ub[{position}]", everything, row, value)

    def _add_integers(self, builder: Builder) -> None:
        assets = builder.assets
        if self.lot_size is not None:
            builder.add_lots(_read_vector_not_negative(assets, "lot_size", self.lot_size))
        if self.cardinality is not None or self.min_position is not None:
            least = (
                np.zeros(assets.count)
                if self.min_position is None
                else _read_vector_not_negative(assets, "min_position", self.min_position)
            )
            builder.add_choices(least, self.cardinality)

    def limits(self, builder: Builder, scenarios: Scenarios) -> tuple[RiskLimit, ...]:
        """Return the limits of ES; slopes are as long as the builder has variables now."""
        found = []
        for position, one in enumerate(read_limits(self.es_limits)):
            exposure = None
            if one.assets is not None:
                exposure = builder.assets.exposure(f"es_limits[{position}].assets", one.assets)
            term = RiskTerm(scenarios, read_level(one.level), None, exposure)
            slope = builder.expense_of(exposure)
            found.append(RiskLimit(term, slope, float(one.limit), one.name or f"es_limits[{position}]"))
        return tuple(found)


Constraints.__module__ = "cshortfall.optimize"


def _read_vector_not_negative(assets: Assets, name: str, given: Any) -> Floats:
    values = assets.vector(name, given, 0.0)
    if (values < 0).any():
        position = int((values < 0).argmax())
        raise ValueError(
            f"{name} must not be negative, got {float(values[position])!r} for {assets.describe(position)}"
        )
    return values


def read_limits(given: Any, name: str = "es_limits") -> list[ESLimit]:
    """Return the limits of ES, checked but for their assets."""
    if isinstance(given, ESLimit):
        given = (given,)
    if not isinstance(given, (list, tuple)):
        raise TypeError(f"{name} must be a sequence of ESLimit, got {_arguments.shown(given)}")
    limits = []
    for position, one in enumerate(given):
        limit = ESLimit(*one) if isinstance(one, tuple) and 1 <= len(one) <= 4 else one
        if not isinstance(limit, ESLimit):
            raise TypeError(
                f"{name}[{position}] must be an ESLimit or a pair (limit, level), got {_arguments.shown(one)}"
            )
        read_number(f"{name}[{position}].limit", limit.limit)
        limits.append(limit)
    return limits


def _read_bounds(assets: Assets, given: Any) -> tuple[Floats, Floats]:
    """Return least and largest weights."""
    if given is None:
        pair: tuple[Any, Any] = (None, None)
    elif hasattr(given, "lb") and hasattr(given, "ub"):
        lower, upper = (float(side) if np.size(side) == 1 else side for side in map(np.squeeze, (given.lb, given.ub)))
        pair = (lower, upper)
    elif isinstance(given, Mapping):
        for key, one in given.items():
            if not isinstance(one, (list, tuple)) or len(one) != 2:
                raise ValueError(f"bounds[{key!r}] must be a pair (lower, upper), got {_arguments.shown(one)}")
        pair = (
            {key: -INFINITY if one[0] is None else one[0] for key, one in given.items()},
            {key: INFINITY if one[1] is None else one[1] for key, one in given.items()},
        )
    elif isinstance(given, tuple) and len(given) == 2 and not (assets.count == 2 and _are_pairs(given)):
        pair = given
    else:
        pair = _columns_of_pairs(assets, given)
    least = np.full(assets.count, -INFINITY) if pair[0] is None else _bound(assets, "lower", pair[0], 0.0)
    most = np.full(assets.count, INFINITY) if pair[1] is None else _bound(assets, "upper", pair[1], INFINITY)
    wrong = (least > most) | (least == INFINITY) | (most == -INFINITY)
    if wrong.any():
        position = int(wrong.argmax())
        raise ValueError(
            f"bounds leave nothing for {assets.describe(position)}: lower {float(least[position])!r}, "
            f"upper {float(most[position])!r}"
        )
    return least, most


def _are_pairs(given: tuple[Any, ...]) -> bool:
    """Whether each entry is itself a pair of plain numbers or None, as `scipy.optimize` takes bounds."""
    return all(
        isinstance(one, tuple) and len(one) == 2 and all(x is None or isinstance(x, numbers.Real) for x in one)
        for one in given
    )


def _columns_of_pairs(assets: Assets, given: Any) -> tuple[Any, Any]:
    if isinstance(given, (list, tuple)):
        given = [
            [-INFINITY if one[0] is None else one[0], INFINITY if one[1] is None else one[1]]
            if isinstance(one, (list, tuple)) and len(one) == 2
            else one
            for one in given
        ]
    values, _ = _arguments.read_samples("bounds", given)
    if values.shape == (2,) and assets.count != 2:
        return float(values[0]), float(values[1])
    if values.shape != (assets.count, 2):
        raise ValueError(
            f"bounds must be a pair (lower, upper) or have shape ({assets.count}, 2), one pair for each column of "
            f"returns; got shape {values.shape}"
        )
    return values[:, 0], values[:, 1]


def _bound(assets: Assets, side: str, given: Any, default: float) -> Floats:
    if isinstance(given, (list, tuple)):
        given = [(-INFINITY if side == "lower" else INFINITY) if one is None else one for one in given]
    return assets.vector(f"bounds ({side})", given, default, finite=False)


def _add_budget(builder: Builder, budget: Any) -> None:
    if budget is None:
        return
    everything, ones = np.arange(builder.assets.count), np.ones(builder.assets.count)
    if not isinstance(budget, (tuple, list)):
        builder.equal("budget", everything, ones, read_number("budget", budget))
        return
    if len(budget) != 2:
        raise ValueError(f"budget must be a number, a pair (lower, upper) or None, got {_arguments.shown(budget)}")
    _add_range(builder, "budget", everything, ones, budget[0], budget[1])


def _add_group(builder: Builder, name: str, group: Any) -> None:
    if not isinstance(group, (tuple, list)) or len(group) != 3:
        raise ValueError(f"groups[{name!r}] must be (members, lower, upper), got {_arguments.shown(group)}")
    members, lower, upper = group
    exposure = builder.assets.exposure(f"groups[{name!r}]", members)
    where = np.flatnonzero(exposure)
    _add_range(builder, f"group {name}", where, exposure[where], lower, upper)


def _add_range(builder: Builder, name: str, columns: Any, coefficients: Floats, lower: Any, upper: Any) -> None:
    least = -INFINITY if lower is None else read_number(f"{name} lower", lower, finite=False)
    most = INFINITY if upper is None else read_number(f"{name} upper", upper, finite=False)
    if least > most:
        raise ValueError(f"{name}: the lower limit {least!r} is above the upper one {most!r}")
    if least > -INFINITY:
        builder.at_most(f"{name} lower", columns, -coefficients, -least, sign=-1.0)
    if most < INFINITY:
        builder.at_most(f"{name} upper", columns, coefficients, most)
