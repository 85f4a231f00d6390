"""Slow twins of risk budgets and of the projection: all active sets in rational arithmetic, and a general solver."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import textbook


def project_losses(losses: list[float], level: float, limit: float, mass: list[float] | None = None) -> list[Fraction]:
    """Return the exact projection of at most a few losses onto those whose ES keeps a limit, by trying active sets.

    Each loss of the projection is above the threshold (share full), on it, or below it (share nil). Every choice gives
    two linear equations for threshold and multiplier; the one whose result has consistent signs is the projection.
    """
    if mass is not None and 0 in mass:
        kept = [i for i, own in enumerate(mass) if own > 0]
        projection = [Fraction(value) for value in losses]
        for i, value in zip(
            kept, project_losses([losses[i] for i in kept], level, limit, [mass[i] for i in kept]), strict=True
        ):
            projection[i] = value
        return projection
    if mass is not None and len(set(mass)) == 1:
        mass = None
    exact = [Fraction(value) for value in losses]
    share = [Fraction(1)] * len(exact) if mass is None else [Fraction(value) for value in mass]
    limit_exact = Fraction(limit)
    wanted = sum(share) * (1 - Fraction(level)) if mass is not None else textbook.tail_count(len(exact), level)
    if exact_es(exact, share, wanted) <= limit_exact:
        return exact
    for sides in product((1, 0, -1), repeat=len(exact)):
        found = _projection_with(exact, share, wanted, limit_exact, sides)
        if found is not None:
            return found
    raise AssertionError("no active set fits")


def exact_es(losses: list[Fraction], share: list[Fraction], wanted: Fraction) -> Fraction:
    """Return the ES of losses with shares, `wanted` of them in the tail."""
    total, left = Fraction(0), wanted
    for loss, own in sorted(zip(losses, share, strict=True), reverse=True):
        total += min(own, left) * loss
        left -= min(own, left)
    return total / wanted


def _projection_with(
    losses: list[Fraction], share: list[Fraction], wanted: Fraction, limit: Fraction, sides: tuple[int, ...]
) -> list[Fraction] | None:
    """Return the projection if losses of side 1 fall by the drop, of side 0 to the floor, of side -1 not at all."""
    above = [i for i, side in enumerate(sides) if side == 1]
    block = [i for i, side in enumerate(sides) if side == 0]
    whole = sum((share[i] for i in above), Fraction(0))
    held = sum((share[i] for i in block), Fraction(0))
    above_sum = sum((share[i] * losses[i] for i in above), Fraction(0))
    block_sum = sum((share[i] * losses[i] for i in block), Fraction(0))
    # Shares of mass one: whole drop + (block_sum - held floor) = wanted drop.
    # ES of the result: above_sum - whole drop + (wanted - whole) floor = wanted limit.
    rows = [[-held, whole - wanted], [wanted - whole, -whole]]
    right = [-block_sum, wanted * limit - above_sum]
    determinant = rows[0][0] * rows[1][1] - rows[0][1] * rows[1][0]
    if determinant == 0:
        if block or whole != wanted:
            return None
        drop = (above_sum - wanted * limit) / wanted
        floor = min(losses[i] for i in above) - drop
    else:
        floor = (right[0] * rows[1][1] - rows[0][1] * right[1]) / determinant
        drop = (rows[0][0] * right[1] - right[0] * rows[1][0]) / determinant
    consistent = drop >= 0 and all(
        (loss - drop >= floor) if side == 1 else (loss - drop <= floor <= loss) if side == 0 else (loss <= floor)
        for loss, side in zip(losses, sides, strict=True)
    )
    if not consistent:
        return None
    return [
        loss - drop if side == 1 else floor if side == 0 else loss for loss, side in zip(losses, sides, strict=True)
    ]


def as_losses(values: np.ndarray, tail: str) -> list[float]:
    """Return samples as losses."""
    return [float(value) if tail == "upper" else -float(value) for value in values]


def budget_certificate(
    returns: np.ndarray, level: float, result, probabilities: np.ndarray | None = None
) -> tuple[float, float]:
    """Return how far weights are from the least objective, and their contributions from the budgets, at most.

    From the definition alone, in rational arithmetic up to the logarithms: a density within the tail's bounds proves
    that no weights of these signs have a lower objective.
    """
    weights = [Fraction(float(weight)) for weight in np.asarray(result.weights)]
    budgets = [Fraction(float(part)) for part in np.asarray(result.budgets)]
    indices, given = (np.asarray(part).tolist() for part in result.density)
    shares = [Fraction(share) for share in given]
    total = sum(shares)
    if probabilities is None:
        most = [1 / max(textbook.tail_count(len(returns), level), Fraction(1))] * len(indices)
    else:
        mass = [Fraction(float(one)) for one in probabilities]
        whole = sum(mass) * (1 - Fraction(level))
        most = [min(mass[i] / whole, Fraction(1)) for i in indices]
    excess = max(share / total - limit for share, limit in zip(shares, most, strict=True))
    assert excess <= Fraction(1, 10**14), f"a share is {float(excess)} above its bound"
    assert min(shares) >= 0
    rows = [[Fraction(float(value)) for value in returns[i]] for i in indices]
    means = [
        -sum(share * row[asset] for share, row in zip(shares, rows, strict=True)) / total
        for asset in range(len(weights))
    ]
    contributions = [weight * mean for weight, mean in zip(weights, means, strict=True)]
    assert min(contributions) > 0
    whole_loss = sum(contributions)
    error = max(abs(part / whole_loss - wanted) for part, wanted in zip(contributions, budgets, strict=True))
    es = textbook.es_var([float(value) for value in returns @ np.asarray(result.weights)], level, probabilities).es
    objective = np.log(es) - sum(
        float(wanted) * np.log(abs(float(weight))) for wanted, weight in zip(budgets, weights, strict=True)
    )
    bound = sum(
        float(wanted) * np.log(abs(float(mean)) / float(wanted)) for wanted, mean in zip(budgets, means, strict=True)
    )
    return objective - bound, float(error)
