"""A sample of losses, and what an estimator fitted to one can do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class EstimationError(ValueError):
    """An estimator has no value for this sample, or its computation did not converge."""


@dataclass(frozen=True)
class Sample:
    """Losses, scaled, with the weights that are not zero, scaled too (None if all are equal).

    Scales are powers of two, other than 1 only for extreme values: then no square or sum of squares overflows.
    """

    losses: Floats
    weights: Floats | None
    factor: float

    @classmethod
    def of_row(cls, row: Floats, upper: bool, weights: Floats | None) -> Sample:
        """Return the sample in a row of data without NaN."""
        losses = np.array(row, dtype=np.float64) if upper else np.negative(row, dtype=np.float64)
        if weights is not None:
            weights = weights * _factor(float(weights.max()))
            present = weights > 0.0
            losses, weights = losses[present], weights[present]
            if (weights == weights[0]).all():
                weights = None
        finite = losses[np.isfinite(losses)]
        factor = _factor(max(float(finite.max()), -float(finite.min())) if len(finite) else 1.0)
        return cls(losses if factor == 1.0 else losses * factor, weights, factor)

    @property
    def is_constant(self) -> bool:
        """Whether all losses are equal and finite."""
        first = self.losses[0]
        return bool(np.isfinite(first) and (self.losses == first).all())


def _factor(largest: float) -> float:
    """Return a power of two that brings numbers up to this size near one; 1 unless they are extreme."""
    if largest == 0.0 or 1e-60 < largest < 1e60:
        return 1.0
    return math.ldexp(1.0, max(-1000, min(1000, -math.frexp(largest)[1])))


class Fit(Protocol):
    """An estimator fitted to a sample."""

    def objection(self, level: float) -> str | None:
        """Say why the estimate at this level cannot be used, None if it can."""

    def es_var(self, level: float) -> tuple[float, float]:
        """Return Expected Shortfall and Value at Risk."""

    def influence(self, level: float) -> tuple[Floats, Floats]:
        """Return each observation's influence on ES and on VaR."""


class Estimator(Protocol):
    """A named estimator."""

    takes_weights: bool

    def fit(self, sample: Sample) -> Fit:
        """Return the estimator fitted to a sample of finite values, not all equal."""
