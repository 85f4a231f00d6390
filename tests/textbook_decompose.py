"""The parts of ES and VaR written down slowly, in rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import textbook


class Parts(NamedTuple):
    """ES, VaR and, for each column of the positions, the exact numbers per unit; incremental ones of all that is held.

    ``low`` and ``high`` are the ends of the marginal ES over all densities that attain the ES.
    """

    es: Fraction
    var: Fraction
    marginal: list[Fraction]
    low: list[Fraction]
    high: list[Fraction]
    marginal_var: list[Fraction]
    incremental: list[Fraction]
    incremental_var: list[Fraction]


class Tail(NamedTuple):
    es: Fraction
    var: Fraction
    shares: dict[int, Fraction]
    capacities: dict[int, Fraction]
    """Of the scenarios whose outcome is the VaR: the most that each may have of the ES."""


def exact(matrix) -> list[list[Fraction]]:
    return [[Fraction(float(value)) for value in row] for row in np.asarray(matrix)]


def losses_of(rows: list[list[Fraction]], holdings: list[Fraction], upper: bool) -> list[Fraction]:
    sign = 1 if upper else -1
    return [sign * sum((x * w for x, w in zip(row, holdings, strict=True)), Fraction(0)) for row in rows]


def tail_of(losses: list[Fraction], level: float, probabilities=None) -> Tail:
    """Return the tail of losses; the worst take their whole mass, those tied at VaR share what is left."""
    shares = textbook.tail_shares([-loss for loss in losses], level, probabilities)
    own = dict(zip(*shares, strict=True))
    worst = min(losses[i] for i in own)
    masses = [Fraction(1)] * len(losses) if probabilities is None else [Fraction(float(p)) for p in probabilities]
    present = [m for m in masses if m]
    if len(set(present)) == 1:
        mass = max(textbook.tail_count(len(present), level), Fraction(1)) * present[0]
    else:
        mass = sum(present) * (1 - Fraction(level))
    tied = [i for i, loss in enumerate(losses) if loss == worst and masses[i]]
    return Tail(
        sum(share * losses[i] for i, share in own.items()),
        worst,
        own,
        {i: min(masses[i] / mass, Fraction(1)) for i in tied},
    )


def parts(returns, holdings, positions, level, probabilities=None, tail="lower") -> Parts:
    """Return the parts of a portfolio; ``positions`` has a column of holdings for what each position is a unit of.

    The incremental numbers are those of the whole columns when ``positions`` sums to the holdings, of the assets'
    holdings when it is None.
    """
    upper = tail == "upper"
    rows = exact(returns)
    held = [Fraction(float(w)) for w in holdings]
    n = len(held)
    units = [[Fraction(int(i == j)) for i in range(n)] for j in range(n)]
    removed = [[w * one for w, one in zip(held, unit, strict=True)] for unit in units]
    if positions is not None:
        units = removed = [list(column) for column in zip(*exact(positions), strict=True)]
    whole = tail_of(losses_of(rows, held, upper), level, probabilities)
    numbers = []
    for unit, gone in zip(units, removed, strict=True):
        own = losses_of(rows, unit, upper)
        rest = [w - g for w, g in zip(held, gone, strict=True)]
        without = tail_of(losses_of(rows, rest, upper), level, probabilities)
        at_var = sum(whole.capacities.values())
        masses = {
            i: Fraction(1) if probabilities is None else Fraction(float(probabilities[i])) for i in whole.capacities
        }
        numbers.append(
            (
                sum(share * own[i] for i, share in whole.shares.items()),
                extreme(whole, own, lowest=True),
                extreme(whole, own, lowest=False),
                sum(masses[i] * own[i] for i in masses) / sum(masses.values()) if at_var else Fraction(0),
                whole.es - without.es,
                whole.var - without.var,
            )
        )
    return Parts(whole.es, whole.var, *map(list, zip(*numbers, strict=True)))


def extreme(whole: Tail, own: list[Fraction], lowest: bool) -> Fraction:
    """Return the least or largest mean loss of a position: the tied scenarios are filled in the order of its losses."""
    left = sum(whole.shares.get(i, Fraction(0)) for i in whole.capacities)
    value = sum(share * own[i] for i, share in whole.shares.items() if i not in whole.capacities)
    for i in sorted(whole.capacities, key=lambda i: own[i], reverse=not lowest):
        taken = min(whole.capacities[i], left)
        value += taken * own[i]
        left -= taken
    return value
