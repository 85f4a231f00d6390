"""Whether a menu pays for nothing: a combination that costs less than nothing and never has to be paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cshortfall.optimize._linear import Status, solve_linear

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._arguments import Floats, Samples

# Of the size of the largest quantity; a payoff above the first counts as not negative, an income above the second as
# one. The income's is far larger, so that the two cannot be traded against each other.
_PAYOFF_TOLERANCE = 1e-9
_INCOME_TOLERANCE = 1e-6


class ArbitrageWarning(UserWarning):
    """A combination of instruments brings in money today and pays nothing less than zero in every scenario."""


ArbitrageWarning.__module__ = "cshortfall.optimize"


def find_arbitrage(
    payoffs: Samples, premiums: Floats, buyable: NDArray[np.bool_], sellable: NDArray[np.bool_], net: bool
) -> Floats | None:
    """Return quantities of an arbitrage, the largest of size one; None if there is none.

    It is sought among combinations x of what can be bought and sold with ``payoffs @ x >= 0`` in every scenario and
    ``premiums @ x < 0``; `net` says that premiums are already off the payoffs, which are then put back. A linear
    program over few scenarios, to which those are added that its solution fails in, until there are none.
    """
    if not (((premiums < 0) & buyable) | ((premiums > 0) & sellable)).any():
        return None
    added = premiums if net else np.zeros_like(premiums)
    size = np.maximum(np.abs(payoffs + added if net else payoffs).max(axis=0), np.abs(premiums))
    size[size == 0] = 1.0
    # Options are at their extremes where their underlyings are.
    chosen = np.unique(np.concatenate([payoffs.argmin(axis=0), payoffs.argmax(axis=0)]))
    lower, upper = np.where(sellable, -1.0, 0.0), np.where(buyable, 1.0, 0.0)
    while True:
        paid = -(payoffs[chosen] + added) / size
        answer = solve_linear(premiums / size, paid, np.zeros(chosen.size), None, np.zeros(0), lower, upper)
        if answer.status is not Status.OPTIMAL or answer.value > -_INCOME_TOLERANCE:
            # Zero is always a solution: any other status is a failure of the solver, and no arbitrage is shown.
            return None
        quantities: Floats = answer.x / size
        worth = payoffs @ quantities + added @ quantities
        failed = np.setdiff1d(np.flatnonzero(worth < -_PAYOFF_TOLERANCE), chosen)
        if failed.size == 0:
            quantities /= np.abs(quantities).max()
            return quantities
        most = 2 * premiums.size + 10
        if failed.size > most:
            failed = failed[np.argpartition(worth[failed], most)[:most]]
        chosen = np.union1d(chosen, failed)
