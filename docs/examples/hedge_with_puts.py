"""Which puts to buy: the cheapest hedge that halves the Expected Shortfall of a book, and cost against risk.

    pip install "cshortfall[examples]"
    python docs/examples/hedge_with_puts.py hedges

A book of ten shares is held for a month. Index puts are on offer at eight strikes, for one month and for three, and
with them put spreads, each up to a number of contracts that the market bears. What is asked:

- Which whole contracts bring the ES of the month under half of what it is, for the least premium?
- What does 1 % of the book's value in premiums buy at best?
- How does the ES fall as more is spent, with whole contracts and with fractions of them?

Scenarios are the real returns, 2010 to 2022, of every month that begins on a trading day: of the ten shares for the
book, and of all twenty that come with the package for the index, so that the hedge has a basis risk. Premiums are made
up: Black and Scholes, no interest, with a volatility that rises for lower strikes. The puts of three months are worth
at the horizon what the same formula says for the two that are left. ES and VaR are net of premiums.

In the folder given it leaves

    hedges.csv      cost, ES, VaR and mean of each hedge on the frontier of whole contracts, and what it consists of
    hedges.png      the frontiers, and the book's P&L with and without the cheapest hedge
"""

import csv
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import ndtr

import cshortfall
from cshortfall.datasets import load_equity_returns
from cshortfall.optimize.hedging import hedge, hedge_frontier, protective_puts, put_spreads

LEVEL = 0.975
MONTH = 21
VALUE = 1_000_000
INDEX = 100.0
CONTRACT_SIZE = 100
CONTRACTS = 30
STRIKES = np.arange(70.0, 106.0, 5.0)


def monthly_returns(daily_returns):
    """Return the compound return of every month that begins on one of the days, of equal shares in each asset."""
    wealth = np.cumprod(1 + np.insert(daily_returns.mean(axis=1), 0, 0.0))
    return wealth[MONTH:] / wealth[:-MONTH] - 1


def volatility(strike):
    """Return the volatility per year that an option is quoted at."""
    return np.clip(0.18 + 0.4 * (1 - strike / INDEX), 0.12, None)


def put_value(prices, strike, years):
    """Return the value of a put by the formula of Black and Scholes, without interest."""
    deviation = volatility(strike) * np.sqrt(years)
    upper = np.log(prices / strike) / deviation + deviation / 2
    return strike * ndtr(deviation - upper) - prices * ndtr(-upper)


def menu_of(prices):
    """Return what is on offer, for the prices of the index in a month."""
    common = {"scenarios": prices, "contract_size": CONTRACT_SIZE}
    years = np.array([[1 / 12], [3 / 12]])
    premiums = put_value(INDEX, STRIKES, years)
    high, low = np.array([90.0, 95.0, 100.0]), np.array([75.0, 80.0, 85.0])
    spread = put_value(INDEX, high, 1 / 12) - put_value(INDEX, low, 1 / 12)
    return protective_puts(STRIKES, premiums, time_left=years - 1 / 12, value=put_value, **common) + put_spreads(
        high, low, spread, **common
    )


def describe(title, best):
    """Print a hedge."""
    print(f"\n{title}")
    print(f"  ES {best.es:,.0f} (unhedged {best.es_unhedged:,.0f}), VaR {best.var:,.0f}, mean {best.mean:,.0f}")
    print(f"  cost {best.cost:,.0f}, certified to {best.gap:.1e}")
    for name, quantity in best.positions.items():
        print(f"  {quantity:8.6g} x {name}")


def write_table(path, frontier):
    """Write the hedges as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["cost", "es", "var", "mean", "hedge"])
        for one in frontier:
            listed = "; ".join(f"{quantity:g} x {name}" for name, quantity in one.positions.items())
            writer.writerow([one.cost, one.es, one.var, one.mean, listed or "nothing"])


def plot(path, continuous, whole, cheapest, book, hedged):
    """Draw the frontiers, and the P&L of the months with and without a hedge."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    left.plot(continuous.cost / 1000, continuous.es / 1000, label="fractions")
    left.plot(whole.cost / 1000, whole.es / 1000, "o", ms=4, label="whole contracts")
    left.plot(cheapest.cost / 1000, cheapest.es / 1000, "s", label="half of the ES, cheapest")
    left.set(title=f"ES of a month, level {LEVEL:g}, in thousands", xlabel="premiums", ylabel="ES, net of premiums")
    left.legend()

    order = np.argsort(book)
    right.plot(book[order] / 1000, hedged[order] / 1000, ".", ms=2, label="with the cheapest hedge")
    right.plot(book[order] / 1000, book[order] / 1000, lw=1, label="without")
    right.set(title="P&L of a month, in thousands", xlabel="book", ylabel="book and hedge")
    right.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(folder):
    """Run everything and leave the results in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    _, _, returns = load_equity_returns()
    book = VALUE * monthly_returns(returns[:, :10])
    menu = menu_of(INDEX * (1 + monthly_returns(returns)))
    print(f"{len(book):,} months, {len(menu)} instruments, at most {CONTRACTS} contracts of each")

    limit = cshortfall.es(book, LEVEL) / 2
    cheapest = hedge(book, menu, LEVEL, es_limit=limit, max_quantity=CONTRACTS, integer=True)
    describe(f"The cheapest hedge with an ES of at most {limit:,.0f}", cheapest)
    best = hedge(book, menu, LEVEL, premium_budget=0.01 * VALUE, max_quantity=CONTRACTS, integer=True)
    describe(f"The least ES for premiums of at most {0.01 * VALUE:,.0f}", best)

    hedged = book + menu.payoffs @ cheapest.quantities - menu.premiums @ cheapest.quantities
    assert cshortfall.es(hedged, LEVEL) == cheapest.es

    continuous = hedge_frontier(book, menu, LEVEL, 20, max_quantity=CONTRACTS)
    budgets = np.linspace(0, continuous.cost[-1], 6)
    whole = hedge_frontier(book, menu, LEVEL, premium_budgets=budgets, max_quantity=CONTRACTS, integer=True)
    write_table(folder / "hedges.csv", whole)
    plot(folder / "hedges.png", continuous, whole, cheapest, book, hedged)
    print(f"\nThe least ES at any cost: {continuous.es[-1]:,.0f} for premiums of {continuous.cost[-1]:,.0f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "hedges"))
