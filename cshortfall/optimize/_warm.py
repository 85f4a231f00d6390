"""What a program leaves to a related one, such as the next point of a frontier: where its search ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from cshortfall._arguments import Floats
    from cshortfall.optimize._program import Program
    from cshortfall.optimize._scaling import ScaledProgram

# Where a curve is followed, distances to bounds and multipliers keep at least this share of themselves.
KEPT_SHARE = 0.1
# A curve is followed by at most so many times the step before.
LONGEST = 2.0


class Central(NamedTuple):
    """The end of a smoothed program, inside all bounds: multipliers times slacks are about the same everywhere."""

    v: Floats
    below: Floats
    """Multipliers of lower bounds, of upper bounds, of rows; zero where there is no bound."""
    above: Floats
    rows: Floats
    slack: Floats
    """Of the rows."""

    def unscaled(self, s: ScaledProgram) -> Central:
        """Return the same in terms of the program that was scaled."""
        unit, size = s.unit * s.position, s.position * s.scale_ub
        of_variables = unit / s.columns
        return Central(
            self.v * s.columns,
            self.below * of_variables,
            self.above * of_variables,
            self.rows * (unit / size),
            self.slack * size,
        )

    def scaled(self, s: ScaledProgram) -> Central | None:
        """Return the same in terms of a scaled program; None if it is not inside its bounds, or has other rows."""
        unit, size = s.unit * s.position, s.position * s.scale_ub
        if self.v.shape != s.lower.shape or self.rows.shape != s.b_ub.shape:
            return None
        v, of_variables = self.v / s.columns, s.columns / unit
        inside = ((v > s.lower) & (v < s.upper)) | (s.lower == s.upper)
        if not inside.all():
            return None
        return Central(
            v, self.below * of_variables, self.above * of_variables, self.rows * (size / unit), self.slack / size
        )


class State(NamedTuple):
    """What a related program begins with."""

    v: Floats
    """The optimum."""
    interior: Floats
    """A point inside all constraints."""
    central: Central | None


def ahead(program: Program, before: object, last: object, share: float) -> object:
    """Follow the curve through two states by a share of the step between them, inside the bounds of a program."""
    if not (isinstance(before, State) and isinstance(last, State) and 0 < share <= LONGEST):
        return last
    old, new = before.central, last.central
    if old is None or new is None or old.rows.shape != new.rows.shape:
        return last
    with np.errstate(invalid="ignore"):
        least = program.lower + KEPT_SHARE * (new.v - program.lower)
        most = program.upper - KEPT_SHARE * (program.upper - new.v)
    v = new.v + share * (new.v - old.v)
    v = np.where(np.isfinite(least), np.maximum(v, least), v)
    v = np.where(np.isfinite(most), np.minimum(v, most), v)
    rest = (
        np.maximum(own + share * (own - earlier), KEPT_SHARE * own)
        for own, earlier in zip(new[1:], old[1:], strict=True)
    )
    return last._replace(central=Central(v, *rest))
