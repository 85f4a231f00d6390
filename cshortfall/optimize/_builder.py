"""Programs put together row by row: auxiliary variables behind the assets, and the names that duals go by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cshortfall.optimize._feasibility import implied_bounds
from cshortfall.optimize._program import Program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.optimize._inputs import Assets
    from cshortfall.optimize._program import RiskLimit, RiskTerm

    Columns = NDArray[np.int64]

# HiGHS leaves out coefficients below 1e-9.
SMALLEST_LOT = 1e-8


class Builder:
    """Variables and rows as they are added; rows without a name define auxiliary variables."""

    def __init__(self, assets: Assets, lower: Floats, upper: Floats) -> None:
        self.assets = assets
        self.current: Floats | None = None
        self.costs: Floats | None = None
        self.expense: tuple[Columns, Floats] = (np.zeros(0, dtype=np.int64), np.zeros(0))
        """Columns and coefficients of what trading costs, one for each asset or none."""
        self.signs: dict[str, float] = {}
        """Sign with which a row holds the number that the caller gave."""
        self._lower, self._upper = [lower], [upper]
        self._whole = [np.zeros(lower.size, dtype=bool)]
        self._rows: dict[str, list[tuple[str, Columns, Floats, float]]] = {"ub": [], "eq": []}
        self._distances: dict[tuple[bytes, bool], tuple[Columns, Floats]] = {}

    @property
    def n_variables(self) -> int:
        """Number of variables so far."""
        return sum(part.size for part in self._lower)

    def add_variables(self, lower: Floats, upper: Floats, *, whole: bool = False) -> Columns:
        """Add variables and return their columns."""
        start = self.n_variables
        self._lower.append(lower)
        self._upper.append(upper)
        self._whole.append(np.full(lower.size, whole))
        return np.arange(start, start + lower.size)

    def at_most(self, name: str, columns: Columns, coefficients: Floats, limit: float, sign: float = 1.0) -> None:
        """Add a row that must not exceed its limit; `sign` is -1 where the caller gave minus the limit."""
        self._rows["ub"].append((name, columns, coefficients, limit))
        if name:
            self.signs[name] = sign

    def equal(self, name: str, columns: Columns, coefficients: Floats, value: float) -> None:
        """Add a row that must have its value."""
        self._rows["eq"].append((name, columns, coefficients, value))
        if name:
            self.signs[name] = 1.0

    def merged(self, of_assets: Floats, more: tuple[Columns, Floats]) -> tuple[Columns, Floats]:
        """Return columns and coefficients of a sum of something over all assets and something else."""
        columns, coefficients = more
        total = np.zeros(self.n_variables)
        total[: of_assets.size] = of_assets
        np.add.at(total, columns, coefficients)
        return np.flatnonzero(total), total[np.flatnonzero(total)]

    def distance(self, reference: Floats, *, by_sign: bool = False) -> tuple[Columns, Floats]:
        """Return columns and signs of the absolute differences between weights and a reference, one for each asset.

        Each is a variable with two rows. `by_sign` spares them where bounds leave a weight but one sign, which makes it
        its own absolute value; that is for objectives only, because a constraint should not lean on another one.
        """
        key = (reference.tobytes(), by_sign)
        if key not in self._distances:
            columns, signs = np.arange(reference.size), np.ones(reference.size)
            apart = np.ones(reference.size, dtype=bool)
            if by_sign:
                lower, upper = self._lower[0], self._upper[0]
                signs[(reference == 0) & (upper <= 0)] = -1.0
                apart = (reference != 0) | ((lower < 0) & (upper > 0))
            chosen = np.flatnonzero(apart)
            columns[chosen] = self.add_variables(np.zeros(chosen.size), np.full(chosen.size, np.inf))
            for asset in chosen.tolist():
                pair = np.array([asset, columns[asset]])
                self.at_most("", pair, np.array([1.0, -1.0]), float(reference[asset]))
                self.at_most("", pair, np.array([-1.0, -1.0]), -float(reference[asset]))
            self._distances[key] = (columns, signs)
        return self._distances[key]

    def with_distances(self, v: Floats) -> Floats:
        """Return values of the variables in which absolute differences are what the weights make them."""
        v = v.copy()
        for (reference, _), (columns, _) in self._distances.items():
            apart = columns >= self.assets.count
            v[columns[apart]] = np.abs(v[: self.assets.count] - np.frombuffer(reference))[apart]
        return v

    def charge(self, costs: Floats) -> None:
        """Let changes of the holdings cost something."""
        assert self.current is not None
        columns, signs = self.distance(self.current)
        self.costs = costs
        self.expense = (columns, costs * signs)

    def expense_of(self, exposure: Floats | None = None) -> Floats:
        """Return what one unit of each variable costs, of the assets in a sub-portfolio only."""
        columns, coefficients = self.expense
        slope = np.zeros(self.n_variables)
        if columns.size:
            np.add.at(slope, columns, coefficients if exposure is None else coefficients * (exposure != 0))
        return slope

    def add_lots(self, sizes: Floats) -> None:
        """Make weights whole multiples of sizes, where these are not zero."""
        chosen = np.flatnonzero(sizes)
        small = chosen[sizes[chosen] < SMALLEST_LOT]
        if small.size:
            raise ValueError(
                f"lot_size must be 0 or at least {SMALLEST_LOT:g}, got {float(sizes[small[0]])!r} for "
                f"{self.assets.describe(int(small[0]))}: smaller lots are lost in rounding; leave them out"
            )
        lower, upper = self._lower[0][chosen] / sizes[chosen], self._upper[0][chosen] / sizes[chosen]
        slack = 1e-9
        lots = self.add_variables(np.ceil(lower - slack), np.floor(upper + slack), whole=True)
        for asset, lot in zip(chosen.tolist(), lots.tolist(), strict=True):
            self.equal("", np.array([asset, lot]), np.array([1.0, -sizes[asset]]), 0.0)

    def add_choices(self, least: Floats, most_held: int | None) -> None:
        """Let weights be zero or at least `least` in absolute value, and at most so many of them not zero."""
        lower, upper = implied_bounds(self.program(np.zeros(self.n_variables), (), ()))
        count = self.assets.count
        # A direction that an asset cannot take needs no choice, nor does a minimum of zero without a count.
        chosen = np.ones(count, dtype=bool) if most_held is not None else least > 0
        held = []
        for asset in np.flatnonzero(chosen).tolist():
            name = f"minimum position of {self.assets.names[asset]}" if least[asset] > 0 else ""
            top, bottom = float(upper[asset]), float(lower[asset])
            if not np.isfinite([top, bottom]).all():
                raise ValueError(
                    f"cardinality and min_position need finite bounds, and none follow for "
                    f"{self.assets.describe(asset)}; pass bounds=(lower, upper)"
                )
            up = [self._binary()] if top > 0 else []
            down = [self._binary()] if bottom < 0 else []
            columns = np.array([asset, *up, *down])
            held += [*up, *down]
            self.at_most("", columns, np.array([1.0, *[-top] * len(up), *[least[asset]] * len(down)]), 0.0)
            self.at_most(name, columns, np.array([-1.0, *[least[asset]] * len(up), *[bottom] * len(down)]), 0.0)
            if up and down:
                self.at_most("", columns[1:], np.ones(2), 1.0)
        if most_held is not None and held:
            self.at_most("cardinality", np.array(held), np.ones(len(held)), float(most_held))

    def _padded(self, values: Floats) -> Floats:
        return np.pad(values, (0, self.n_variables - values.size))

    def _binary(self) -> int:
        return int(self.add_variables(np.zeros(1), np.ones(1), whole=True)[0])

    def program(self, cost: Floats, risks: Sequence[tuple[float, RiskTerm]], limits: Sequence[RiskLimit]) -> Program:
        """Return the program of all that was added; costs and slopes are zero for variables added after them."""
        matrices, values, names = {}, {}, {}
        for kind, rows in self._rows.items():
            matrix = np.zeros((len(rows), self.n_variables))
            for line, (_, columns, coefficients, _) in zip(matrix, rows, strict=True):
                line[columns] = coefficients
            matrices[kind] = matrix
            values[kind] = np.array([limit for *_, limit in rows], dtype=np.float64)
            names[kind] = tuple(name for name, *_ in rows)
        whole = np.concatenate(self._whole)
        return Program(
            n_assets=self.assets.count,
            cost=self._padded(cost),
            risks=tuple(risks),
            lower=np.concatenate(self._lower),
            upper=np.concatenate(self._upper),
            A_eq=matrices["eq"],
            b_eq=values["eq"],
            A_ub=matrices["ub"],
            b_ub=values["ub"],
            names_eq=names["eq"],
            names_ub=names["ub"],
            limits=tuple(replace(limit, slope=self._padded(limit.slope)) for limit in limits),
            integers=whole if whole.any() else None,
            assets=self.assets.names,
        )
