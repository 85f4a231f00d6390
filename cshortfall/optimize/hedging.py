"""Hedging a book by options and futures: the least cost for a limit of ES, the least ES for a budget, the frontier.

The book is its P&L in each scenario, the hedge a menu of instruments: a matrix of payoffs and the premiums, or a `Menu`
that `protective_puts`, `put_spreads`, `collars` and `futures` make from prices of the underlying at the horizon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall.optimize._arbitrage import ArbitrageWarning
from cshortfall.optimize._hedge_question import read_question
from cshortfall.optimize._hedge_result import HedgeFrontier, HedgeResult
from cshortfall.optimize._inputs import read_number
from cshortfall.optimize._menus import Menu, collars, futures, protective_calls, protective_puts, put_spreads
from cshortfall.optimize._question import Options

if TYPE_CHECKING:
    from cshortfall.optimize._progress import Callback

__all__ = [
    "ArbitrageWarning",
    "HedgeFrontier",
    "HedgeResult",
    "Menu",
    "collars",
    "futures",
    "hedge",
    "hedge_frontier",
    "protective_calls",
    "protective_puts",
    "put_spreads",
]


def hedge(
    book: Any,
    instruments: Any,
    level: float = 0.975,
    *,
    es_limit: float | None = None,
    premium_budget: float | None = None,
    premiums: Any = None,
    max_quantity: Any = None,
    min_quantity: Any = None,
    integer: Any = False,
    deduct_premiums: bool = True,
    probabilities: Any = None,
    tol: float = 1e-8,
    max_iterations: int = 100,
    time_limit: float | None = None,
    callback: Callback | None = None,
    progress: bool | None = None,
) -> HedgeResult:
    r"""Return the cheapest hedge under a limit of Expected Shortfall, or that of least Expected Shortfall for a budget.

    Parameters
    ----------
    book : array_like, shape (n_scenarios,)
        P&L of the book in each scenario, gains positive.
    instruments : array_like, shape (n_scenarios, n_instruments), or Menu
        What one of each instrument pays at the horizon; a data frame has one column for each. A pandas `book` is
        aligned on the rows of a pandas frame.
    level : float
        Confidence, ``0 <= level < 1``; one level.
    es_limit : float, optional
        What the ES of the hedged book may be at most: the cost is minimised. With `premium_budget` as well, a cost
        above the budget is refused.
    premium_budget : float, optional
        What the premiums may cost at most, less those received for instruments sold: ES is minimised, unless there is
        an `es_limit`.
    premiums : array_like, shape (n_instruments,), float or mapping, optional
        What one of each instrument costs today; needed with a matrix of instruments, a Menu has its own.
    max_quantity : array_like, shape (n_instruments,), float or mapping, optional
        Liquidity caps. A mapping goes by name and leaves the others as they are: without a cap.
    min_quantity : array_like, shape (n_instruments,), float or mapping, optional
        Negative where instruments may be sold. Default: 0, and ``-max_quantity`` for those that the Menu calls
        sellable, such as futures.
    integer : bool, or array_like or mapping of them
        Whether quantities are whole, all or each.
    deduct_premiums : bool
        Whether the premiums come off the P&L of the scenarios. True: `instruments` are payoffs, and ES and mean are
        net of premiums. False: `instruments` are P&L after premiums, such as changes of value, and premiums are only
        what counts as cost.
    probabilities : array_like, shape (n_scenarios,), optional
        Scenario probabilities of any scale, not negative.
    tol : float
        Largest relative gap between objective and certified bound.
    max_iterations : int
        Of the solver; more is an `IterationLimitError`, which carries the best quantities met.
    time_limit : float, optional
        In seconds; more is a `TimeLimitError`, likewise.
    callback : callable, optional
        Called with a `Progress` at every iteration. If it returns True or raises StopIteration the optimisation ends
        with an `OptimizationError` that carries the best quantities met.
    progress : bool, optional
        Whether to show a line on standard error. Default: on a terminal, after two seconds.

    Returns
    -------
    HedgeResult
        Frozen dataclass: quantities, cost, ES and what attests them; see there.

    Raises
    ------
    InfeasibleError
        No quantities reach the limit: the message tells the least ES there is, and `weights` are its quantities,
        `value` and `lower_bound` that ES and a bound on it. Or they cost more than the budget: the same with the cost.
    UnboundedError
        Selling an instrument pays for ever, without caps; `ray` is the combination.
    IterationLimitError, TimeLimitError
        The optimum was not certified in time.
    ValueError
        Neither `es_limit` nor `premium_budget`; shapes that do not fit; numbers missing or outside their domain.
    TypeError
        Data that are no real numbers.

    Warns
    -----
    ArbitrageWarning
        A combination of what can be bought and sold brings in money today and pays nothing less than zero in every
        scenario: premiums are wrong, or scenarios too few to show the risk. The optimum holds for the numbers given
        and takes all of it that caps allow.
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.

    See Also
    --------
    hedge_frontier : cost against ES.
    protective_puts, put_spreads, collars, futures : menus of instruments.

    Notes
    -----
    With the book's P&L :math:`b`, payoffs :math:`P`, premiums :math:`c` and quantities :math:`q` within their bounds
    the two questions are

    .. math:: \min_q c^\top q \text{ s.t. } ES(b + P q - c^\top q) \le L,
              \qquad \min_q ES(b + P q - c^\top q) \text{ s.t. } c^\top q \le B,

    linear programs in the form of Rockafellar and Uryasev [1]_, integer ones for whole quantities. Premiums are taken
    from the P&L at the horizon as they are, without interest on them: carry them forward before, if that matters.

    References
    ----------
    .. [1] Rockafellar, R. T. and Uryasev, S. (2000). Optimization of conditional value-at-risk. Journal of Risk
       2(3), 21-41.

    Examples
    --------
    A share at 100 that is held, with puts on it:

    >>> import numpy as np
    >>> from cshortfall.optimize.hedging import hedge, protective_puts
    >>> prices = np.linspace(60.0, 140.0, 81)
    >>> menu = protective_puts([80, 90, 100], [0.8, 2.4, 5.6], prices)
    >>> best = hedge(prices - 100.0, menu, 0.9, es_limit=20.0)
    >>> round(best.es_unhedged, 6), round(best.es, 6), best.cost < 2.4
    (36.444444, 20.0, True)
    """
    if es_limit is None and premium_budget is None:
        raise ValueError("es_limit or premium_budget is needed: the most that ES may be, or that premiums may cost")
    question = read_question(
        book,
        instruments,
        level,
        premiums,
        (min_quantity, max_quantity, integer),
        deduct_premiums,
        probabilities,
        Options(tol, max_iterations, time_limit, callback, progress),
    )
    budget = None if premium_budget is None else read_number("premium_budget", premium_budget)
    if es_limit is None:
        return question.least_es(budget)
    return question.least_cost(read_number("es_limit", es_limit), budget)


def hedge_frontier(
    book: Any,
    instruments: Any,
    level: float = 0.975,
    n_points: int = 20,
    *,
    premium_budgets: Any = None,
    premiums: Any = None,
    max_quantity: Any = None,
    min_quantity: Any = None,
    integer: Any = False,
    deduct_premiums: bool = True,
    probabilities: Any = None,
    tol: float = 1e-8,
    max_iterations: int = 100,
    time_limit: float | None = None,
    callback: Callback | None = None,
    progress: bool | None = None,
) -> HedgeFrontier:
    """Return the efficient hedges: for each of a row of budgets that of least Expected Shortfall.

    Parameters
    ----------
    book, instruments, level
        As for `hedge`.
    n_points : int
        Number of budgets, from 0 (or the least that `min_quantity` costs) to the cost of the hedge of least ES.
    premium_budgets : array_like, optional
        The budgets themselves, in place of `n_points`; negative ones ask for an income.
    premiums, max_quantity, min_quantity, integer, deduct_premiums, probabilities, tol, max_iterations
        As for `hedge`.
    time_limit : float, optional
        In seconds, for all points together.
    callback, progress
        As for `hedge`.

    Returns
    -------
    HedgeFrontier
        Frozen dataclass of `points`, which it is also a sequence of, with their `cost` and `es`. Budgets that lower
        ES no further, as between the steps of whole quantities, have no point of their own.

    Raises
    ------
    InfeasibleError
        A budget that does not pay for `min_quantity`.
    UnboundedError
        ES falls without end as quantities grow; set `max_quantity`.
    IterationLimitError, TimeLimitError, ValueError, TypeError
        As for `hedge`.

    Warns
    -----
    ArbitrageWarning, LevelWarning
        As for `hedge`.

    Notes
    -----
    ES is a convex, falling function of the budget for continuous quantities, a falling staircase for whole ones.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.optimize.hedging import hedge_frontier, protective_puts
    >>> prices = np.linspace(60.0, 140.0, 81)
    >>> menu = protective_puts([80, 90, 100], [0.8, 2.4, 5.6], prices)
    >>> frontier = hedge_frontier(prices - 100.0, menu, 0.9, 5, max_quantity=1.0)
    >>> bool((np.diff(frontier.cost) > 0).all() and (np.diff(frontier.es) < 0).all())
    True
    """
    question = read_question(
        book,
        instruments,
        level,
        premiums,
        (min_quantity, max_quantity, integer),
        deduct_premiums,
        probabilities,
        Options(tol, max_iterations, time_limit, callback, progress),
    )
    if premium_budgets is None:
        count = _arguments.read_count("n_points", n_points)
        budgets = np.linspace(max(question.outlays()[0], 0.0), question.cost_of_least_es(), count)
    else:
        given, _ = _arguments.read_samples("premium_budgets", premium_budgets)
        budgets = given.astype(np.float64)
        if budgets.ndim != 1 or budgets.size == 0:
            raise ValueError(f"premium_budgets must have one dimension and not be empty, got shape {budgets.shape}")
        _arguments.check_finite("premium_budgets", budgets)
    hedges: list[HedgeResult] = []
    for budget in np.unique(budgets).tolist():
        best = question.least_es(budget)
        if not hedges or best.es < hedges[-1].es:
            hedges.append(best)
    return HedgeFrontier(tuple(hedges), question.level)
