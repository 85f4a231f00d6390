"""What the hedging functions return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall.optimize._curve import Curve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cshortfall._arguments import Floats


_SHOWN = 10


@dataclass(frozen=True, eq=False, repr=False)
class HedgeResult:
    """A hedge with its certificate."""

    quantities: Any
    """Number of each instrument, positive bought and negative sold: an array, or labelled as a frame of payoffs is."""
    names: tuple[Any, ...]
    """Names of the instruments: of the menu, the columns of a frame, or positions."""
    cost: float
    """Premiums paid less premiums received."""
    es: float
    """Expected Shortfall of the hedged book: the value of `cshortfall.es`."""
    var: float
    """Value at Risk of the hedged book."""
    mean: float
    """Mean P&L of the hedged book."""
    es_unhedged: float
    """Expected Shortfall of the book alone."""
    level: float
    objective: float
    """What was minimised: `cost` where there was an `es_limit`, otherwise `es`."""
    lower_bound: float
    """What the objective of no allowed quantities can fall below."""
    gap: float
    """(objective - lower_bound) / max(|objective|, 1e-3 times the median standard deviation of the payoffs)."""
    duals: Mapping[str, float]
    """Change of the objective per unit of ``"es_limit"`` (what a unit of ES costs, with a minus sign), of
    ``"premium_budget"``, and of the bounds that hold a quantity. Empty where any are whole."""
    tail_indices: NDArray[np.int64]
    """Scenarios that make up `es`, ascending."""
    tail_weights: Floats
    """Share of each of them."""
    iterations: int
    passes: int
    """Passes over all scenarios."""
    seconds: float

    @property
    def positions(self) -> dict[Any, float]:
        """Quantities that are not zero, by name."""
        values = np.asarray(self.quantities, dtype=np.float64).ravel().tolist()
        return {name: value for name, value in zip(self.names, values, strict=True) if value != 0.0}

    def __repr__(self) -> str:
        held = list(self.positions.items())
        listed = ", ".join(f"{name}: {value:.6g}" for name, value in held[:_SHOWN])
        more = f", and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
        lines = [
            f"HedgeResult(cost={self.cost:.6g}, es={self.es:.6g}, var={self.var:.6g}, mean={self.mean:.6g}, "
            f"es_unhedged={self.es_unhedged:.6g}, level={self.level:.6g}",
            f"  objective = {self.objective:.10g}, at least {self.lower_bound:.10g} (gap {self.gap:.1e})",
            f"  positions = {{{listed}{more}}} of {len(self.names)}",
        ]
        binding = [(name, dual) for name, dual in self.duals.items() if dual != 0 and " bound of " not in name]
        if binding:
            lines.append("  duals     = " + ", ".join(f"{name} {dual:.6g}" for name, dual in binding))
        lines.append(f"  {self.iterations} iterations, {self.passes} passes, {self.seconds:.3g} s")
        return "\n".join(lines) + ")"


@dataclass(frozen=True, eq=False, repr=False)
class HedgeFrontier(Curve[HedgeResult]):
    """Hedges of growing cost and falling Expected Shortfall; each has its own certificate."""

    points: tuple[HedgeResult, ...]
    level: float

    @property
    def cost(self) -> Floats:
        """Cost of each hedge, ascending."""
        return self._each("cost")

    @property
    def quantities(self) -> Floats:
        """Quantities, shape (n_points, n_instruments)."""
        return np.array([np.asarray(point.quantities, dtype=np.float64).ravel() for point in self.points])

    def __repr__(self) -> str:
        seconds = sum(point.seconds for point in self.points)
        lines = [
            f"HedgeFrontier of {len(self)} points, level {self.level:g}, largest gap {self.gap.max():.1e}, "
            f"{seconds:.3g} s",
            f"  {'cost':>12} {'ES':>12} {'mean':>12}",
        ]
        lines += [f"  {point.cost:>12.6g} {point.es:>12.6g} {point.mean:>12.6g}" for point in self.points]
        return "\n".join(lines)


for _public in (HedgeResult, HedgeFrontier):
    _public.__module__ = "cshortfall.optimize"
del _public
