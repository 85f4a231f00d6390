"""Hedges against the full linear program and enumeration; menus; the frontier; errors."""

import doctest
import math

import numpy as np
import pytest
import textbook_hedging as textbook

import cshortfall
from cshortfall.optimize import _menus, hedging
from cshortfall.optimize._errors import InfeasibleError, OptimizationError, TimeLimitError, UnboundedError
from cshortfall.optimize.hedging import (
    ArbitrageWarning,
    Menu,
    collars,
    futures,
    hedge,
    hedge_frontier,
    protective_calls,
    protective_puts,
    put_spreads,
)

PRICES = np.array([62.0, 71.5, 80.0, 88.25, 95.0, 100.0, 104.5, 118.0, 131.0])


def closeness(*arrays):
    """Return how far two values of a problem of this size may be apart."""
    return 1e-8 * max(float(np.abs(one).max()) for one in arrays)


def market(seed, scenarios=200, strikes=(80, 85, 90, 95, 100)):
    """Return a book of ten shares, prices, strikes and premiums that are 20 % above the mean payoff."""
    rng = np.random.default_rng(seed)
    prices = 100 * np.exp(0.05 * rng.standard_t(3, scenarios))
    payoffs = np.maximum(np.asarray(strikes, dtype=float) - prices[:, np.newaxis], 0)
    return 10 * (prices - 100), prices, np.asarray(strikes, dtype=float), 1.2 * payoffs.mean(axis=0) + 0.01


def small(seed):
    """Return a small instance of one of several kinds: book, payoffs, premiums, level, caps, probabilities."""
    rng = np.random.default_rng([seed, 77])
    count, assets = int(rng.integers(3, 40)), int(rng.integers(1, 5))
    book, payoffs = rng.standard_t(3, count), np.maximum(rng.standard_t(3, (count, assets)), 0)
    premiums = rng.uniform(0.05, 0.6, assets)
    if seed % 5 == 1:  # Whole numbers: ties at the edge of the tail.
        book, payoffs, premiums = np.round(3 * book), np.round(2 * payoffs), np.round(4 * premiums) / 4 + 0.25
    if seed % 5 == 2:  # Repeated scenarios, two instruments alike.
        book, payoffs = np.repeat(book, 2), np.repeat(payoffs, 2, axis=0)
        payoffs[:, -1] = payoffs[:, 0]
    if seed % 5 == 3:
        size = 10.0 ** rng.integers(-7, 6)
        book, payoffs, premiums = size * book, size * payoffs, size * premiums
    probabilities = None
    if seed % 3 == 1:
        probabilities = rng.exponential(size=len(book)) ** 4
        probabilities[rng.integers(len(book))] = 0.0
    level = float(rng.choice([0.5, 0.75, 0.8, 0.9, 0.95, 0.975]))
    return book, payoffs, premiums, level, rng.integers(1, 4, payoffs.shape[1]).astype(float), probabilities


@pytest.mark.parametrize("module", [hedging, _menus], ids=lambda module: module.__name__)
def test_the_examples_of_the_documentation_run(module):
    failed, attempted = doctest.testmod(module)
    assert attempted > 3
    assert failed == 0


def test_payoffs_at_expiry_are_intrinsic_values():
    puts = protective_puts([80, 100], [1.0, 5.0], PRICES)
    calls = protective_calls([80, 100], [21.0, 5.0], PRICES)
    assert puts.payoffs.tolist() == [[max(80 - price, 0), max(100 - price, 0)] for price in PRICES]
    assert calls.payoffs.tolist() == [[max(price - 80, 0), max(price - 100, 0)] for price in PRICES]
    assert puts.premiums.tolist() == [1.0, 5.0]


def test_put_call_parity():
    strikes = [80, 95, 100, 120]
    call = protective_calls(strikes, np.zeros(4), PRICES).payoffs
    put = protective_puts(strikes, np.zeros(4), PRICES).payoffs
    forward = futures(strikes, PRICES).payoffs
    assert np.array_equal(call - put, forward)
    assert np.array_equal(collars(strikes, strikes, np.zeros(4), PRICES).payoffs, -forward)


def test_a_put_spread_is_a_put_less_a_put_at_a_lower_strike():
    long, short = [95, 100, 100], [80, 80, 95]
    spread = put_spreads(long, short, [1, 2, 3], PRICES)
    for column, (upper, lower) in enumerate(zip(long, short, strict=True)):
        bought, sold = protective_puts([upper, lower], [0, 0], PRICES).payoffs.T
        assert np.array_equal(spread.payoffs[:, column], bought - sold)
    assert spread.payoffs.min() == 0
    assert spread.payoffs.max(axis=0).tolist() == [15, 20, 5]


def test_strikes_expiries_and_premiums_are_broadcast_together():
    def value(prices, strike, time_left):
        return np.maximum(strike - prices, 0) + time_left

    menu = protective_puts([90, 100], [[1, 4], [2, 6]], PRICES, time_left=[[0], [0.25]], value=value)
    assert menu.names == ("put 90", "put 100", "put 90, 0.25 left", "put 100, 0.25 left")
    assert menu.premiums.tolist() == [1, 4, 2, 6]
    assert np.array_equal(menu.payoffs[:, 2:], menu.payoffs[:, :2] + 0.25)


def test_each_leg_of_a_collar_that_lives_on_has_its_value_model():
    menu = collars(
        90,
        110,
        0.0,
        PRICES,
        time_left=1.0,
        value=lambda prices, strike, left: strike + left - 0 * prices,
        call_value=lambda prices, strike, left: prices / strike,
    )
    assert np.array_equal(menu.payoffs[:, 0], 91 - PRICES / 110)
    with pytest.raises(ValueError, match="call_value is needed for options that live on"):
        collars(90, 110, 0.0, PRICES, time_left=1.0, value=lambda prices, strike, left: prices)


def test_a_contract_multiplies_payoffs_and_premiums():
    one, hundred = (protective_puts([90], [2.5], PRICES, contract_size=size) for size in (1, 100))
    assert np.array_equal(100 * one.payoffs, hundred.payoffs)
    assert hundred.premiums.tolist() == [250]
    assert np.array_equal(futures(99.5, PRICES, contract_size=50).payoffs[:, 0], 50 * (PRICES - 99.5))


def test_menus_add_up():
    both = protective_puts([90], [2.0], PRICES) + futures(100, PRICES) + collars([90], [110], [-0.5], PRICES)
    assert both.names == ("put 90", "future 100", "collar 90/110")
    assert both.premiums.tolist() == [2.0, 0.0, -0.5]
    assert both.sellable.tolist() == [False, True, False]
    assert both.payoffs.shape == (len(PRICES), 3)
    with pytest.raises(ValueError, match="same scenarios"):
        both + futures(100, PRICES[1:])
    with pytest.raises(ValueError, match="all be different"):
        both + both
    with pytest.raises(TypeError):
        both + 1
    assert repr(both) == "Menu(9 scenarios; put 90: 2, future 100: 0, collar 90/110: -0.5)"


@pytest.mark.parametrize(
    ("menu", "message"),
    [
        (lambda: protective_puts([90, 100], [1, 2, 3], PRICES), r"broadcast together, got shapes premiums \(3,\)"),
        (lambda: protective_puts([90], [1], PRICES, time_left=-0.1), "time_left must not be negative"),
        (lambda: protective_puts([90], [1], PRICES, time_left=0.5), "value is needed"),
        (lambda: protective_puts([90], [1], PRICES, time_left=1, value=lambda *_: 1.0), "one value for each price"),
        (lambda: protective_puts([90], [1], PRICES, time_left=1, value=lambda s, *_: s / 0), "must be finite"),
        (lambda: protective_puts([], [], PRICES), "strikes is empty"),
        (lambda: protective_puts([math.nan], [1], PRICES), "strikes must be finite"),
        (lambda: protective_puts([90], [1], PRICES, contract_size=0), "contract_size must be one positive number"),
        (lambda: protective_puts([90], [1], PRICES[:, None]), "scenarios must be the price"),
        (lambda: protective_puts([90, 90], [1, 2], PRICES), "names must all be different, got 'put 90' twice"),
        (lambda: put_spreads([90], [90], [1], PRICES), "long_strikes must be above short_strikes, got 90 and 90"),
        (lambda: collars([110], [90], [1], PRICES), "put_strikes must be at most call_strikes, got 110 and 90"),
        (lambda: Menu(PRICES, 1.0), "payoffs must have shape"),
        (lambda: Menu(PRICES[:, None], 1.0, names=["a", "b"]), "names must be one for each of the 1"),
        (lambda: Menu(PRICES[:, None], {"b": 1.0}, names=["a"]), "premiums names 'b', which is no instrument"),
        (lambda: Menu(PRICES[:, None], {}, names=["a"]), "premiums must name every instrument; 'a' is missing"),
        (lambda: Menu(PRICES[:, None], math.inf), "premiums must be finite"),
        (lambda: Menu(PRICES[:, None], [1.0, 2.0]), "premiums must be one number, or one for each"),
    ],
)
def test_mistakes_in_menus_are_named(menu, message):
    with np.errstate(divide="ignore"), pytest.raises(ValueError, match=message):
        menu()


@pytest.mark.parametrize("seed", range(40))
def test_least_es_for_a_budget_is_that_of_the_full_program(seed):
    book, payoffs, premiums, level, caps, probabilities = small(seed)
    budget = 0.5 * float(premiums @ caps) * (seed % 4)
    least, _ = textbook.linear(
        book, payoffs, premiums, level, 0 * caps, caps, budget=budget, probabilities=probabilities
    )
    best = hedge(
        book,
        payoffs,
        level,
        premium_budget=budget,
        premiums=premiums,
        max_quantity=caps,
        probabilities=probabilities,
    )
    close = closeness(book, payoffs)
    assert abs(best.es - least) <= close
    assert best.objective == best.es
    assert best.lower_bound <= best.es
    assert best.lower_bound <= least + close
    assert 0 <= best.gap <= 1e-8
    assert best.cost <= budget + close
    assert ((best.quantities >= 0) & (best.quantities <= caps)).all()


@pytest.mark.parametrize("seed", range(40))
def test_least_cost_for_a_limit_is_that_of_the_full_program(seed):
    book, payoffs, premiums, level, caps, probabilities = small(seed)
    known = {"premiums": premiums, "max_quantity": caps, "probabilities": probabilities}
    reach, _ = textbook.linear(book, payoffs, premiums, level, 0 * caps, caps, probabilities=probabilities)
    unhedged = cshortfall.es(book, level, weights=probabilities)
    limit = reach + (0.02, 0.3, 0.7, 1.1)[seed % 4] * (unhedged - reach) + closeness(book)
    least, _ = textbook.linear(
        book, payoffs, premiums, level, 0 * caps, caps, es_limit=limit, probabilities=probabilities
    )
    best = hedge(book, payoffs, level, es_limit=limit, **known)
    close = closeness(book, payoffs)
    assert abs(best.cost - least) <= close
    assert best.objective == best.cost
    assert best.lower_bound <= min(best.cost, least + close)
    assert best.es <= limit + close
    assert best.es_unhedged == unhedged
    if limit > unhedged:
        assert best.cost == 0


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.filterwarnings("ignore:the menu has an arbitrage")
def test_instruments_that_may_be_sold_are(seed):
    book, payoffs, premiums, level, caps, probabilities = small(seed)
    payoffs = payoffs - 0.4 * payoffs.max(axis=0)
    for limit in None, 0.5 * cshortfall.es(book, level, weights=probabilities):
        expected = textbook.linear(
            book, payoffs, premiums, level, -caps, caps, budget=0.0, es_limit=limit, probabilities=probabilities
        )
        question = {
            "premiums": premiums,
            "max_quantity": caps,
            "min_quantity": -caps,
            "premium_budget": 0.0,
            "es_limit": limit,
            "probabilities": probabilities,
        }
        if expected is None:
            with pytest.raises(InfeasibleError):
                hedge(book, payoffs, level, **question)
        else:
            best = hedge(book, payoffs, level, **question)
            assert abs(best.objective - expected[0]) <= closeness(book, payoffs)
            assert ((best.quantities >= -caps) & (best.quantities <= caps)).all()


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.filterwarnings("ignore:the menu has an arbitrage")
def test_whole_quantities_are_the_best_of_all(seed):
    book, payoffs, premiums, level, caps, probabilities = small(seed)
    floor = np.where(np.arange(caps.size) % 2, -1.0, 0.0)
    cost, shortfall, every = textbook.every_hedge(book, payoffs, premiums, level, floor, caps, probabilities)
    known = {
        "premiums": premiums,
        "max_quantity": caps,
        "min_quantity": floor,
        "integer": True,
        "probabilities": probabilities,
    }
    close = closeness(book, payoffs)
    budget = float(np.quantile(cost, 0.4)) + close
    best = hedge(book, payoffs, level, premium_budget=budget, **known)
    assert abs(best.es - shortfall[cost <= budget].min()) <= close
    assert best.quantities.tolist() in every.tolist()
    assert best.duals == {}
    limit = float(np.quantile(shortfall, 0.4)) + close
    best = hedge(book, payoffs, level, es_limit=limit, **known)
    assert abs(best.cost - cost[shortfall <= limit].min()) <= close
    assert best.quantities.tolist() in every.tolist()
    assert best.es <= limit + close


def test_some_quantities_are_whole_and_the_others_not():
    book, prices, strikes, premiums = market(3)
    menu = protective_puts(strikes, premiums, prices)
    mixed = hedge(book, menu, 0.95, premium_budget=3.3, integer={"put 90": True, "put 95": True}, max_quantity=4)
    continuous = hedge(book, menu, 0.95, premium_budget=3.3, max_quantity=4)
    whole = hedge(book, menu, 0.95, premium_budget=3.3, integer=True, max_quantity=4)
    assert continuous.es - 1e-9 <= mixed.es <= whole.es + 1e-9
    assert mixed.quantities[2:4].tolist() == np.round(mixed.quantities[2:4]).tolist()
    assert mixed.es < whole.es


def test_the_result_is_what_the_package_says_of_the_hedged_book():
    book, prices, strikes, premiums = market(1)
    menu = protective_puts(strikes, premiums, prices)
    probabilities = np.random.default_rng(5).exponential(size=len(book))
    for mass in None, probabilities:
        best = hedge(book, menu, 0.95, premium_budget=4.0, max_quantity=3, probabilities=mass)
        profit = book + menu.payoffs @ best.quantities - menu.premiums @ best.quantities
        assert best.es == cshortfall.es(profit, 0.95, weights=mass)
        assert best.var == cshortfall.var(profit, 0.95, weights=mass)
        assert best.mean == -cshortfall.es(profit, 0.0, weights=mass)
        assert best.cost == menu.premiums @ best.quantities
        assert best.level == 0.95
        tail = cshortfall.tail_weights(profit, 0.95, weights=mass)
        assert np.array_equal(best.tail_indices, tail.indices)
        assert np.array_equal(best.tail_weights, tail.weights)
        assert math.isclose(-profit[tail.indices] @ tail.weights, best.es, rel_tol=1e-12)
        assert sum(quantity != 0 for quantity in best.quantities) == len(best.positions)


def test_premiums_already_in_the_profit_are_not_deducted_again():
    book, prices, strikes, premiums = market(2)
    menu = protective_puts(strikes, premiums, prices)
    gross = hedge(book, menu, 0.95, premium_budget=6.0, max_quantity=5)
    net = hedge(
        book,
        menu.payoffs - premiums,
        0.95,
        premium_budget=6.0,
        premiums=premiums,
        max_quantity=5,
        deduct_premiums=False,
    )
    assert math.isclose(gross.es, net.es, rel_tol=1e-9)
    outside = hedge(book, menu, 0.95, premium_budget=6.0, max_quantity=5, deduct_premiums=False)
    assert outside.es == cshortfall.es(book + menu.payoffs @ outside.quantities, 0.95)
    assert outside.es < gross.es


def test_a_future_hedges_a_share_completely():
    book = 7.0 * (PRICES - 100)
    best = hedge(book, futures(100, PRICES), 0.9, premium_budget=0.0)
    assert math.isclose(best.quantities[0], -7, rel_tol=1e-9)
    assert abs(best.es) <= 1e-6
    assert best.cost == 0
    capped = hedge(book, futures(100, PRICES), 0.9, premium_budget=0.0, max_quantity=5)
    assert math.isclose(capped.quantities[0], -5, rel_tol=1e-9)


def test_the_dual_of_the_limit_is_what_a_unit_of_es_costs():
    book, prices, strikes, premiums = market(4)
    menu = protective_puts(strikes, premiums, prices)
    here = hedge(book, menu, 0.95, es_limit=80.0, max_quantity=20)
    there = hedge(book, menu, 0.95, es_limit=79.999, max_quantity=20)
    assert here.duals["es_limit"] < 0
    assert math.isclose(there.cost - here.cost, -0.001 * here.duals["es_limit"], rel_tol=1e-4)


def test_the_dual_of_the_budget_is_what_a_unit_of_cost_does():
    book, prices, strikes, premiums = market(4)
    menu = protective_puts(strikes, premiums, prices)
    here = hedge(book, menu, 0.95, premium_budget=3.0, max_quantity=4)
    there = hedge(book, menu, 0.95, premium_budget=3.001, max_quantity=4)
    assert here.duals["premium_budget"] < 0
    assert math.isclose(there.es - here.es, 0.001 * here.duals["premium_budget"], rel_tol=1e-4)
    for name, quantity in zip(here.names, here.quantities, strict=True):
        assert here.duals.get(f"upper bound of {name}", 0.0) <= 0.0 <= here.duals.get(f"lower bound of {name}", 0.0)
        if 0 < quantity < 4:
            assert not {f"upper bound of {name}", f"lower bound of {name}"} & here.duals.keys()


def test_a_scale_of_money_changes_nothing_else():
    book, prices, strikes, premiums = market(6)
    plain = hedge(book, protective_puts(strikes, premiums, prices), 0.95, es_limit=80.0, max_quantity=9)
    for scale in 1e-6, 1e6:
        menu = protective_puts(scale * strikes, scale * premiums, scale * prices)
        best = hedge(scale * book, menu, 0.95, es_limit=scale * 80.0, max_quantity=9)
        assert math.isclose(best.cost, scale * plain.cost, rel_tol=1e-7)


def test_labels_of_a_frame_are_kept_and_aligned():
    pandas = pytest.importorskip("pandas")
    book, prices, strikes, premiums = market(7, scenarios=60)
    menu = protective_puts(strikes, premiums, prices)
    days = pandas.Index([f"day {number}" for number in range(60)])
    frame = pandas.DataFrame(menu.payoffs, index=days, columns=list(menu.names))
    costs = pandas.Series(premiums, index=frame.columns)[::-1]
    caps = pandas.Series(4.0, index=frame.columns)
    profit = pandas.Series(book, index=days)[::-1]
    labelled = hedge(profit, frame, 0.9, premium_budget=5.0, premiums=costs, max_quantity=caps)
    plain = hedge(book, menu, 0.9, premium_budget=5.0, max_quantity=dict.fromkeys(menu.names, 4))
    assert isinstance(labelled.quantities, pandas.Series)
    assert list(labelled.quantities.index) == list(menu.names)
    assert np.array_equal(labelled.quantities.to_numpy(), plain.quantities)
    assert labelled.positions == plain.positions
    assert labelled.duals == plain.duals
    whole = pandas.Series(True, index=frame.columns[::-1])
    rounded = hedge(profit, frame, 0.9, premium_budget=5.0, premiums=costs, max_quantity=caps, integer=whole)
    assert (rounded.quantities == rounded.quantities.round()).all()
    from_series = protective_puts(strikes, premiums, pandas.Series(prices, index=days))
    assert hedge(profit, from_series, 0.9, premium_budget=5.0, max_quantity=4).es == plain.es
    with pytest.raises(ValueError, match="different labels of the rows"):
        from_series + futures(100, pandas.Series(prices, index=days[::-1]))
    with pytest.raises(ValueError, match="book must have the labels"):
        hedge(profit.rename({"day 0": "another"}), frame, 0.9, premium_budget=5.0, premiums=costs)
    with pytest.raises(InfeasibleError) as caught:
        hedge(profit, frame, 0.9, es_limit=-1e6, premiums=costs)
    assert list(caught.value.weights.index) == list(menu.names)


def test_a_frame_without_an_index_gives_one_row():
    polars = pytest.importorskip("polars")
    book, prices, strikes, premiums = market(7, scenarios=60)
    menu = protective_puts(strikes, premiums, prices)
    frame = polars.DataFrame(menu.payoffs, schema=list(menu.names))
    best = hedge(polars.Series("book", book), frame, 0.9, premium_budget=5.0, premiums=premiums, max_quantity=4)
    assert best.quantities.columns == list(menu.names)
    assert best.quantities.row(0) == tuple(
        hedge(book, menu, 0.9, premium_budget=5.0, max_quantity=4).quantities.tolist()
    )


def test_a_mapping_of_caps_leaves_the_others_free():
    book, prices, strikes, premiums = market(8)
    menu = protective_puts(strikes, premiums, prices)
    free = hedge(book, menu, 0.95, premium_budget=8.0)
    capped = hedge(book, menu, 0.95, premium_budget=8.0, max_quantity=dict.fromkeys(free.positions, 0.25))
    assert all(quantity <= 0.25 for name, quantity in capped.positions.items() if name in free.positions)
    assert max(capped.positions.values()) > 0.25
    assert capped.es > free.es


def test_a_frontier_is_monotone_and_convex():
    book, prices, strikes, premiums = market(9)
    menu = protective_puts(strikes, premiums, prices)
    frontier = hedge_frontier(book, menu, 0.95, 12, max_quantity=8)
    assert len(frontier) == 12
    assert frontier.cost[0] == 0
    assert frontier.es[0] == cshortfall.es(book, 0.95)
    assert (np.diff(frontier.cost) > 0).all()
    assert (np.diff(frontier.es) < 0).all()
    slopes = np.diff(frontier.es) / np.diff(frontier.cost)
    assert (np.diff(slopes) >= -1e-6 * np.abs(slopes).max()).all()
    best = hedge(book, menu, 0.95, premium_budget=1e9, max_quantity=8)
    assert math.isclose(frontier.es[-1], best.es, rel_tol=1e-9)
    for position, one in enumerate(frontier):
        assert one is frontier[position]
        assert (one.cost, one.es) == (frontier.cost[position], frontier.es[position])
        cheapest = hedge(book, menu, 0.95, es_limit=one.es + 1e-6, max_quantity=8)
        assert math.isclose(cheapest.cost, one.cost, rel_tol=1e-5, abs_tol=1e-6)


def test_the_last_of_a_frontier_without_deduction_is_the_cheapest_of_its_es():
    book = np.minimum(PRICES - 90, 0)
    menu = protective_puts([90, 95], [2.0, 4.0], PRICES)
    frontier = hedge_frontier(book, menu, 0.5, 4, max_quantity=3, deduct_premiums=False)
    assert math.isclose(
        frontier.cost[-1],
        hedge(book, menu, 0.5, es_limit=frontier.es[-1] + 1e-9, max_quantity=3, deduct_premiums=False).cost,
        rel_tol=1e-6,
    )


@pytest.mark.parametrize("seed", range(6))
def test_a_frontier_of_whole_quantities_is_a_staircase_of_the_best(seed):
    book, prices, strikes, premiums = market(seed, scenarios=80, strikes=(85, 95, 100))
    menu = protective_puts(strikes, premiums, prices)
    cost, shortfall, _ = textbook.every_hedge(book, menu.payoffs, premiums, 0.9, np.zeros(3), np.full(3, 3.0))
    frontier = hedge_frontier(book, menu, 0.9, 15, max_quantity=3, integer=True)
    assert (np.diff(frontier.cost) > 0).all()
    assert (np.diff(frontier.es) < 0).all()
    for one in frontier:
        assert abs(one.es - shortfall[cost <= one.cost + 1e-9].min()) <= 1e-9 * abs(one.es)
    assert math.isclose(frontier.es[-1], shortfall.min(), rel_tol=1e-9)


def test_a_frontier_takes_budgets_in_any_order():
    book, prices, strikes, premiums = market(10)
    menu = protective_puts(strikes, premiums, prices)
    frontier = hedge_frontier(book, menu, 0.95, premium_budgets=[4.0, 1.0, 2.0], max_quantity=8)
    assert np.allclose(frontier.cost, [1, 2, 4], rtol=1e-9)
    for budget, one in zip([1.0, 2.0, 4.0], frontier, strict=True):
        assert math.isclose(one.es, hedge(book, menu, 0.95, premium_budget=budget, max_quantity=8).es, rel_tol=1e-9)


def test_a_limit_out_of_reach_tells_the_least_es():
    book, prices, strikes, premiums = market(11)
    menu = protective_puts(strikes, premiums, prices)
    least = hedge(book, menu, 0.95, premium_budget=1e9, max_quantity=2)
    for integer in False, True:
        with pytest.raises(InfeasibleError, match=r"no quantities bring ES under es_limit=1: the least is ") as caught:
            hedge(book, menu, 0.95, es_limit=1.0, max_quantity=2, integer=integer)
        error = caught.value
        assert f"{error.value:.10g}" in str(error)
        assert math.isclose(error.value, least.es, rel_tol=1e-9)
        assert math.isclose(error.violation, least.es - 1, rel_tol=1e-9)
        assert error.lower_bound <= error.value
        profit = textbook.hedged(book, menu.payoffs, premiums, error.weights)
        assert math.isclose(cshortfall.es(profit, 0.95), error.value, rel_tol=1e-12)
        assert error.conflict[0] == "es_limit"
        assert integer or "upper bound of put 100" in error.conflict


def test_the_least_es_is_a_limit_that_can_be_reached():
    book, prices, strikes, premiums = market(11)
    menu = protective_puts(strikes, premiums, prices)
    least = hedge(book, menu, 0.95, premium_budget=1e9, max_quantity=2)
    for slack in 1e-6, 1e-9, 0.0:
        best = hedge(book, menu, 0.95, es_limit=least.es * (1 + slack), max_quantity=2)
        assert best.es <= least.es * (1 + slack + 1e-9)
        assert best.cost <= least.cost * (1 + 1e-9)


def test_a_limit_that_the_solver_finds_nothing_under_is_not_called_out_of_reach_if_it_is_not(monkeypatch):
    from cshortfall.optimize import _solver

    def solve(program, **options):
        if program.limits:
            raise InfeasibleError("none", violation=0.0, conflict=("es_limit",))
        return original(program, **options)

    original = _solver.solve
    monkeypatch.setattr(_solver, "solve", solve)
    book, prices, strikes, premiums = market(11)
    menu = protective_puts(strikes, premiums, prices)
    least = hedge(book, menu, 0.95, premium_budget=1e9, max_quantity=2)
    with pytest.raises(OptimizationError, match=r"although ES can be brought to ") as caught:
        hedge(book, menu, 0.95, es_limit=least.es * (1 + 1e-15), max_quantity=2)
    assert not isinstance(caught.value, InfeasibleError)
    assert np.array_equal(caught.value.weights, least.quantities)


def test_a_hedge_above_the_budget_is_refused():
    book, prices, strikes, premiums = market(12)
    menu = protective_puts(strikes, premiums, prices)
    best = hedge(book, menu, 0.95, es_limit=90.0, max_quantity=9)
    assert hedge(book, menu, 0.95, es_limit=90.0, premium_budget=best.cost + 0.1, max_quantity=9).cost == best.cost
    with pytest.raises(InfeasibleError, match=r"es_limit=90 costs .* at the least, above premium_budget=") as caught:
        hedge(book, menu, 0.95, es_limit=90.0, premium_budget=best.cost - 0.1, max_quantity=9)
    assert caught.value.conflict == ("es_limit", "premium_budget")
    assert np.array_equal(caught.value.weights, best.quantities)
    assert math.isclose(caught.value.violation, 0.1, rel_tol=1e-6)


def test_a_budget_that_does_not_pay_for_what_must_be_held_is_refused():
    book, prices, strikes, premiums = market(12)
    menu = protective_puts(strikes, premiums, prices)
    with pytest.raises(InfeasibleError, match="premium_budget=0 does not pay for min_quantity") as caught:
        hedge(book, menu, 0.95, premium_budget=0.0, min_quantity=1, max_quantity=3)
    assert math.isclose(caught.value.violation, premiums.sum(), rel_tol=1e-12)
    assert caught.value.weights.tolist() == [1] * 5
    assert caught.value.conflict == ("premium_budget", *(f"lower bound of {name}" for name in menu.names))
    frontier = hedge_frontier(book, menu, 0.95, 3, min_quantity=1, max_quantity=3)
    assert math.isclose(frontier.cost[0], premiums.sum(), rel_tol=1e-9)


@pytest.mark.filterwarnings("ignore:the menu has an arbitrage")
def test_selling_for_ever_is_unbounded():
    payoffs = np.array([[0.0, 5.0], [0.0, -4.0], [0.0, 1.0]])
    book = np.array([1.0, -1.0, 2.0])
    for question in {"es_limit": 1.0}, {"premium_budget": 1.0}:
        with pytest.raises(UnboundedError, match=r"set max_quantity \(and min_quantity\)") as caught:
            hedge(book, payoffs, 0.5, premiums=[0.5, 1.0], min_quantity=-np.inf, **question)
        ray = caught.value.ray
        cost = ray @ [0.5, 1.0]
        risk = cshortfall.es(payoffs @ ray - cost, 0.5)
        assert max(cost, risk) <= 1e-9
        assert min(cost, risk) < -0.01 * np.abs(ray).max()
    bounded = hedge(book, payoffs, 0.5, premiums=[0.5, 1.0], min_quantity=[-3, 0], es_limit=1.0, max_quantity=9)
    assert math.isclose(bounded.quantities[0], -3, rel_tol=1e-9)


def test_an_arbitrage_is_warned_of():
    book = PRICES - 100
    # A put for more than one at a higher strike.
    free = protective_puts([90, 95], [3.0, 2.0], PRICES)
    with pytest.warns(ArbitrageWarning, match=r"-1 put 90, \+0.8485 put 95 pays nothing less than zero .* in 1.30303 "):
        hedge(book, free, 0.9, premium_budget=5.0, max_quantity=2, min_quantity=-2)
    with pytest.warns(ArbitrageWarning):
        hedge(book, put_spreads([95], [90], [-0.5], PRICES), 0.9, premium_budget=5.0, max_quantity=2)
    # Sold far below the worst of the scenarios: they do not show the risk.
    with pytest.warns(ArbitrageWarning, match=r"-1 put 50 pays nothing"):
        hedge(book, protective_puts([50], [0.1], PRICES), 0.9, premium_budget=5.0, max_quantity=2, min_quantity=-2)
    # After premiums, nothing less than what is brought in.
    with pytest.warns(ArbitrageWarning):
        hedge(
            book,
            np.full((len(book), 1), 0.25),
            0.9,
            premium_budget=5.0,
            premiums=-0.25,
            max_quantity=2,
            deduct_premiums=False,
        )


def test_fair_prices_are_no_arbitrage():
    rng = np.random.default_rng(14)
    prices = 100 * np.exp(0.2 * rng.standard_normal(500))
    strikes = np.arange(70.0, 131.0, 5.0)
    menu = protective_puts(strikes, np.zeros(13), prices) + protective_calls(strikes, np.zeros(13), prices)
    book = prices - 100
    fair = menu.payoffs.mean(axis=0)
    best = hedge(
        book,
        menu.payoffs,
        0.95,
        premium_budget=0.0,
        premiums=fair,
        min_quantity=-1,
        max_quantity=1,
    )
    assert best.es < best.es_unhedged
    fair[3] += 1.5
    with pytest.warns(ArbitrageWarning):
        hedge(book, menu.payoffs, 0.95, premium_budget=0.0, premiums=fair, min_quantity=-1, max_quantity=1)


def test_a_hedge_and_a_frontier_show_what_matters():
    book, prices, strikes, premiums = market(9)
    menu = protective_puts(strikes, premiums, prices)
    shown = repr(hedge(book, menu, 0.95, premium_budget=4.0, max_quantity=8))
    assert "cost=4, es=" in shown
    assert "positions = {put 85: 4.14115, put 90: 6.67915} of 5" in shown
    assert "premium_budget -" in shown
    frontier = hedge_frontier(book, menu, 0.95, 3, max_quantity=8)
    assert repr(frontier).startswith("HedgeFrontier of 3 points, level 0.95, largest gap ")
    assert frontier.quantities.shape == (3, 5)
    assert frontier.mean.tolist() == [one.mean for one in frontier.points]
    assert frontier.var.tolist() == [one.var for one in frontier.points]
    assert frontier.gap.max() <= 1e-8


def test_a_callback_sees_the_progress_and_can_stop():
    book, prices, strikes, premiums = market(17, scenarios=3000)
    menu = protective_puts(strikes, premiums, prices)
    seen = []
    hedge(book, menu, 0.95, premium_budget=4.0, max_quantity=8, callback=seen.append)
    assert seen
    assert seen[-1].gap <= 1e-8
    with pytest.raises(OptimizationError):
        hedge(book, menu, 0.95, premium_budget=4.0, max_quantity=8, callback=lambda progress: True, tol=1e-15)


def test_progress_counts_the_time_of_the_whole_frontier():
    book, prices, strikes, premiums = market(17, scenarios=3000)
    seen = []
    menu = protective_puts(strikes, premiums, prices)
    hedge_frontier(book, menu, 0.95, 4, max_quantity=8, callback=seen.append)
    assert [one.iteration for one in seen].count(0) > 1
    assert (np.diff([one.seconds for one in seen]) > 0).all()


def test_scenarios_of_probability_zero_are_absent():
    book, prices, strikes, premiums = market(15, scenarios=100)
    menu = protective_puts(strikes, premiums, prices)
    probabilities = np.ones(100)
    probabilities[np.argsort(book)[:5]] = 0
    live = probabilities > 0
    some = hedge(book, menu, 0.9, premium_budget=3.0, probabilities=probabilities, max_quantity=5)
    rest = hedge(book[live], menu.payoffs[live], 0.9, premium_budget=3.0, premiums=premiums, max_quantity=5)
    assert math.isclose(some.es, rest.es, rel_tol=1e-9)


@pytest.mark.parametrize(
    ("question", "kind", "message"),
    [
        ({}, ValueError, "es_limit or premium_budget is needed"),
        ({"es_limit": math.nan}, ValueError, "es_limit must be finite"),
        ({"es_limit": [1.0, 2.0]}, TypeError, "es_limit must be a number"),
        ({"premium_budget": "1"}, TypeError, "premium_budget must be a number"),
        ({"premium_budget": 1.0, "level": 95}, ValueError, "for 95 % use level=0.95"),
        ({"premium_budget": 1.0, "level": [0.9, 0.95]}, ValueError, "level must be one number"),
        ({"premium_budget": 1.0, "premiums": None}, ValueError, "premiums are needed with a matrix"),
        ({"premium_budget": 1.0, "premiums": [1.0]}, ValueError, "premiums must be one number, or one for each"),
        ({"premium_budget": 1.0, "max_quantity": [1, math.nan]}, ValueError, r"max_quantity must not be missing"),
        ({"premium_budget": 1.0, "max_quantity": -1}, ValueError, "min_quantity must not be above max_quantity"),
        ({"premium_budget": 1.0, "min_quantity": math.inf}, ValueError, "min_quantity of 0 must be finite"),
        ({"premium_budget": 1.0, "max_quantity": {"a": 1}}, ValueError, "'a', which is no instrument"),
        ({"premium_budget": 1.0, "integer": 1}, TypeError, "integer must be True or False"),
        ({"premium_budget": 1.0, "integer": [True]}, ValueError, "integer must be one for each"),
        ({"premium_budget": 1.0, "deduct_premiums": "no"}, TypeError, "deduct_premiums must be True or False"),
        ({"premium_budget": 1.0, "probabilities": [1, -1, 1]}, ValueError, "probabilities must not be negative"),
        ({"premium_budget": 1.0, "probabilities": [0, 0, 0]}, ValueError, "probabilities are all zero"),
        ({"premium_budget": 1.0, "probabilities": [1, 1]}, ValueError, "probabilities must have one number for each"),
        ({"premium_budget": 1.0, "tol": 0}, ValueError, "tol must be positive"),
        ({"premium_budget": 1.0, "max_iterations": 0}, ValueError, "max_iterations must be at least 1"),
        ({"premium_budget": 1.0, "time_limit": -1}, ValueError, "time_limit must be positive"),
        ({"premium_budget": 1.0, "callback": 1}, TypeError, "callback must be callable"),
    ],
)
def test_mistakes_are_named(question, kind, message):
    given = {"level": 0.5, "premiums": [0.1, 0.2], **question}
    with pytest.raises(kind, match=message):
        hedge([1.0, -1.0, 2.0], np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 0.0]]), given.pop("level"), **given)


def test_books_and_menus_that_do_not_fit_are_named():
    menu = futures(100, PRICES)
    with pytest.raises(ValueError, match=r"book must have one number for each of the 9 scenarios"):
        hedge([1.0, 2.0], menu, premium_budget=1.0)
    with pytest.raises(ValueError, match=r"book must be finite, got book\[1\]"):
        hedge([1.0, math.nan, *[0.0] * 7], menu, premium_budget=1.0)
    with pytest.raises(ValueError, match="premiums are those of the menu"):
        hedge(PRICES, menu, premium_budget=1.0, premiums=[0.0])
    with pytest.raises(ValueError, match="premium_budgets must have one dimension"):
        hedge_frontier(PRICES, menu, premium_budgets=[])


def test_the_time_limit_is_that_of_the_whole_frontier(monkeypatch):
    from cshortfall.optimize import _solver

    left = []

    def solve(program, *, time_limit, **options):
        left.append(time_limit)
        return original(program, time_limit=time_limit, **options)

    original = _solver.solve
    monkeypatch.setattr(_solver, "solve", solve)
    book, prices, strikes, premiums = market(16)
    hedge_frontier(book, protective_puts(strikes, premiums, prices), 0.95, 4, max_quantity=4, time_limit=1000.0)
    assert len(left) == 5
    assert left[0] < 1000.0
    assert (np.diff(left) < 0).all()
    with pytest.raises(TimeLimitError):
        hedge_frontier(book, protective_puts(strikes, premiums, prices), 0.95, 4, time_limit=1e-9)
    left.clear()
    hedge(book, protective_puts(strikes, premiums, prices), 0.95, premium_budget=1.0)
    assert left == [None]
