"""What the estimating functions return: their types, and the form of numbers with and without labels."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cshortfall._arguments import Question


class ESVaR(NamedTuple):
    """Expected Shortfall and Value at Risk of the same sample, as `es_var` returns them."""

    es: Any
    """Expected Shortfall: the mean loss in the tail."""
    var: Any
    """Value at Risk: the smallest loss of the tail."""


class TailWeights(NamedTuple):
    """The outcomes that make up an Expected Shortfall, as `tail_weights` returns them."""

    indices: NDArray[np.int64]
    """Positions in the sample, ascending."""
    weights: NDArray[np.float64]
    """Share of each in the Expected Shortfall; they sum to one."""


@dataclass(frozen=True, repr=False)
class TailRisk:
    """Expected Shortfall and Value at Risk with standard errors and intervals, as `tail_risk` returns them.

    Of one sample and one level the numbers are Python floats and the intervals pairs (low, high); otherwise they are
    arrays, or frames and series as for `es`, and the intervals have a last axis of (low, high).
    """

    es: Any
    """Expected Shortfall."""
    var: Any
    """Value at Risk."""
    es_standard_error: Any
    var_standard_error: Any
    es_interval: Any
    """Interval for the Expected Shortfall: (low, high)."""
    var_interval: Any
    """Interval for the Value at Risk: (low, high)."""
    level: Any
    """The level, or an array of the levels."""
    tail: str
    method: str
    interval: str | None
    confidence_level: float
    """Nominal coverage of the intervals."""
    n: Any
    """Number of outcomes used: not missing, and of positive weight."""
    tail_count: Any
    """n (1 - level), the number of outcomes in the tail; with weights, Kish's effective number for n."""

    def __repr__(self) -> str:
        if isinstance(self.es, float):
            return self._repr_of_numbers()
        lines = [f"{field.name}={getattr(self, field.name)!r}," for field in fields(self)]
        return "TailRisk(\n" + "\n".join("    " + line.replace("\n", "\n    ") for line in lines) + "\n)"

    def _repr_of_numbers(self) -> str:
        lines = [
            f"TailRisk(level={self.level:g}, tail={self.tail!r}, method={self.method!r}, n={self.n}, "
            f"tail_count={self.tail_count:.6g}",
            f"         interval={self.interval!r}, confidence_level={self.confidence_level:g}",
        ]
        for name in ("es", "var"):
            low, high = getattr(self, f"{name}_interval")
            error = getattr(self, f"{name}_standard_error")
            lines.append(
                f"  {name:<3} = {getattr(self, name):.6g}, standard error {error:.3g}, interval {low:.6g} to {high:.6g}"
            )
        return "\n".join(lines) + ")"


def result(
    question: Question, values: NDArray[Any], title: str, out: NDArray[np.float64] | None = None, bounds: bool = False
) -> Any:
    """Return values, one for each slice and level, and low and high if they are bounds, in the form promised."""
    shaped = values.reshape(question.shape + ((2,) if bounds else ()))
    if out is not None:
        out[...] = shaped
        return out
    if not question.shape:
        return tuple(shaped.tolist()) if bounds else shaped.item()
    if question.labels is not None:
        levels = None if question.scalar_level else question.levels
        return question.labels.label(shaped, question.axes, levels, title, bounds)
    return shaped
