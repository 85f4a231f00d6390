"""What frontiers have in common, of portfolios and of hedges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cshortfall._arguments import Floats

P = TypeVar("P")


class Curve(Generic[P]):
    """Results along a frontier, a sequence; their numbers as arrays, one for each."""

    points: tuple[P, ...]

    def _each(self, name: str) -> Floats:
        return np.array([getattr(point, name) for point in self.points])

    @property
    def es(self) -> Floats:
        """Expected Shortfall of each point."""
        return self._each("es")

    @property
    def var(self) -> Floats:
        """Value at Risk of each point."""
        return self._each("var")

    @property
    def mean(self) -> Floats:
        """Mean P&L of each point, as its own `mean` has it."""
        return self._each("mean")

    @property
    def gap(self) -> Floats:
        """Certified relative gap of each point."""
        return self._each("gap")

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[P]:
        return iter(self.points)

    def __getitem__(self, position: int) -> P:
        return self.points[position]
