"""The slow twins of hedging: the P&L written out, a linear program of one row per scenario, enumeration."""

from itertools import product

import numpy as np
from scipy.optimize import linprog

import cshortfall


def hedged(book, payoffs, premiums, quantities):
    """Return the P&L of the hedged book, net of premiums."""
    return book + payoffs @ quantities - premiums @ quantities


def tail_caps(count, level, probabilities=None):
    """Return the largest share of each scenario in an ES."""
    if probabilities is None:
        return np.full(count, 1 / max(round(count * (1 - level), 9), 1.0))
    p = probabilities / probabilities.sum()
    return p / (1 - level)


def linear(book, payoffs, premiums, level, lower, upper, *, es_limit=None, budget=None, probabilities=None):
    """Return (objective, quantities) by the program of Rockafellar and Uryasev over (quantities, t, u); None if none.

    The cost is minimised if there is a limit of ES, otherwise ES; all columns are those of net P&L.
    """
    live = np.ones(len(book), dtype=bool) if probabilities is None else probabilities > 0
    p = None if probabilities is None else probabilities[live]
    book, net = book[live], (payoffs - premiums)[live]
    count, assets = net.shape
    scale = max(np.abs(net).max(), np.abs(book).max())
    es_row = np.concatenate([np.zeros(assets), [1.0], tail_caps(count, level, p)])
    cost_row = np.concatenate([premiums / scale, np.zeros(1 + count)])
    rows = [np.hstack([-net / scale, -np.ones((count, 1)), -np.eye(count)])]
    limits = [book / scale]
    if es_limit is not None:
        rows.append(es_row[np.newaxis])
        limits.append([es_limit / scale])
    if budget is not None:
        rows.append(cost_row[np.newaxis])
        limits.append([budget / scale])
    answer = linprog(
        es_row if es_limit is None else cost_row,
        A_ub=np.vstack(rows),
        b_ub=np.concatenate(limits),
        bounds=[*zip(lower, upper, strict=True), (None, None), *[(0, None)] * count],
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    return (answer.fun * scale, answer.x[:assets]) if answer.status == 0 else None


def every_hedge(book, payoffs, premiums, level, lower, upper, probabilities=None):
    """Return cost and ES of every combination of whole quantities, and the combinations."""
    quantities = np.array(list(product(*(range(int(a), int(b) + 1) for a, b in zip(lower, upper, strict=True)))))
    profits = np.array([hedged(book, payoffs, premiums, one) for one in quantities.astype(float)])
    shortfalls = cshortfall.es(profits, level, axis=1, weights=probabilities)
    return quantities @ premiums, shortfalls, quantities
