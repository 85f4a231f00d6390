"""What a pass over scenarios returns, by plain NumPy: sorts, masks and copies."""

import numpy as np

import cshortfall
from cshortfall.optimize._scenarios import Part, TailRows


def losses(rows, x, base=None):
    """Return minus the P&L of each row, added in the order that the kernels keep."""
    rows = np.asarray(rows, float)
    terms = np.zeros((len(rows), 8))
    for j, weight in enumerate(x):
        terms[:, j % 8] += rows[:, j] * weight
    t = terms.T
    total = ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]))
    return -(total if base is None else total + base)


def tail_rows(rows, probabilities, x, level, base, above, below, scale=1.0):
    """Return the tail of ``base + rows @ x`` and the rows around its edge."""
    n = len(rows)
    rows = np.asarray(rows, float)
    loss = losses(rows, x, base)
    p = np.full(n, 1.0 / n) if probabilities is None else probabilities / probabilities.sum()
    live = np.flatnonzero(p > 0)
    es, var = cshortfall.es_var(-loss, level, weights=probabilities if probabilities is None else p)
    parts = []
    for chosen in live[loss[live] > var], live[loss[live] == var]:
        own = p[chosen]
        total = 0.0 if base is None else own @ base[chosen]
        parts.append(Part(own.sum(), scale * (own @ rows[chosen]), scale * total))
    order = live[np.lexsort((live, -loss[live]))]
    edge = np.count_nonzero(loss[live] > var)
    index = np.sort(order[max(0, edge - above) : edge + 1 + below])
    own_base = np.zeros(index.size) if base is None else base[index] * scale
    return TailRows(
        es * scale, var * scale, *parts, index, loss[index] * scale, rows[index] * scale, own_base, p[index]
    )
