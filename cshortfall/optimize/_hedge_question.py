"""A hedging question: a book, a menu and the quantities allowed, checked once and turned into programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall.estimate import es, es_var, tail_weights
from cshortfall.optimize._arbitrage import ArbitrageWarning, find_arbitrage
from cshortfall.optimize._errors import InfeasibleError, OptimizationError, UnboundedError
from cshortfall.optimize._feasibility import bound_name
from cshortfall.optimize._hedge_result import HedgeResult
from cshortfall.optimize._menus import Menu, read_menu, read_rows
from cshortfall.optimize._program import Program, RiskLimit, RiskTerm
from cshortfall.optimize._result import bound_duals
from cshortfall.optimize._scenarios import ArrayScenarios

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cshortfall._arguments import Floats
    from cshortfall.optimize._program import Solution
    from cshortfall.optimize._question import Options


class Question:
    """A book, a menu and the quantities allowed, checked; it answers for limits and budgets."""

    def __init__(
        self,
        book: Floats,
        menu: Menu,
        level: float,
        bounds: tuple[Floats, Floats],
        whole: NDArray[np.bool_],
        deducted: bool,
        probabilities: Floats | None,
        options: Options,
    ) -> None:
        self.book = book
        self.menu = menu
        self.level = level
        self.lower, self.upper = bounds
        self.whole = whole
        self.deducted = deducted
        self.probabilities = probabilities
        self.options = options
        self.scenarios = ArrayScenarios(menu.payoffs, probabilities)
        self.es_unhedged: float = es(book, level, weights=probabilities)
        # What the solver keeps of the last program, to begin the next one from.
        self.state: object = None

    def warn_of_arbitrage(self) -> None:
        """Warn if the menu has a combination that pays for nothing."""
        payoffs = self.menu.payoffs
        if self.probabilities is not None and not self.probabilities.all():
            payoffs = payoffs[self.probabilities > 0]
        quantities = find_arbitrage(payoffs, self.menu.premiums, self.upper > 0, self.lower < 0, not self.deducted)
        if quantities is None:
            return
        parts = [
            f"{quantity:+.4g} {name}" for name, quantity in zip(self.menu.names, quantities, strict=True) if quantity
        ]
        listed = ", ".join(parts[:6]) + (f" and {len(parts) - 6} more" if len(parts) > 6 else "")
        _arguments.warn(
            f"the menu has an arbitrage: {listed} pays nothing less than zero in every scenario and brings in "
            f"{-float(self.menu.premiums @ quantities):.6g} today; check premiums and scenarios, or do not let these "
            "instruments be sold (min_quantity=0)",
            ArbitrageWarning,
        )

    def outlays(self) -> tuple[float, float]:
        """Return the least and the most that any quantities within the bounds cost."""
        premiums = self.menu.premiums
        priced = premiums != 0
        ends = np.sort(premiums[priced] * np.stack([self.lower, self.upper])[:, priced], axis=0).sum(axis=1)
        return float(ends[0]), float(ends[1])

    def least_es(self, budget: float | None) -> HedgeResult:
        """Return the hedge of least ES, for a budget if there is one."""
        if budget is not None and self.outlays()[0] > budget:
            raise self._unpaid(budget)
        try:
            return self._solve(None, budget)
        except UnboundedError as error:
            raise UnboundedError(
                f"ES falls without end with more of {self._listed(error.ray)}; set max_quantity (and min_quantity)",
                ray=self.menu.label(error.ray[: len(self.menu)]),
            ) from error

    def least_cost(self, es_limit: float, budget: float | None) -> HedgeResult:
        """Return the cheapest hedge under a limit; refuse one above the budget."""
        try:
            best = self._solve(es_limit, None)
        except UnboundedError as error:
            raise UnboundedError(
                f"{self._listed(error.ray)} can be sold for ever within es_limit={es_limit:.10g}; set max_quantity "
                "(and min_quantity)",
                ray=self.menu.label(error.ray[: len(self.menu)]),
            ) from error
        except InfeasibleError as error:
            raise self._unreachable(es_limit, self.least_es(None)) from error
        if budget is not None and best.lower_bound > budget:
            raise InfeasibleError(
                f"es_limit={es_limit:.10g} costs {best.cost:.10g} at the least, above premium_budget={budget:.10g}; "
                "raise one of the two",
                violation=best.cost - budget,
                conflict=("es_limit", "premium_budget"),
                weights=best.quantities,
                value=best.cost,
                lower_bound=best.lower_bound,
            )
        return best

    def cost_of_least_es(self) -> float:
        """Return the cost of the hedge of least ES."""
        best = self.least_es(None)
        if self.deducted:
            return best.cost
        # ES does not see the premiums: of many hedges with this ES, within the tolerance, the cheapest.
        slack = self.options.tol * max(abs(best.es), best.es_unhedged - best.es)
        return min(best.cost, self.least_cost(best.es + slack, None).cost)

    def _unreachable(self, es_limit: float, best: HedgeResult) -> OptimizationError:
        """Return the error for a limit that no hedge was found under, given the one of least ES."""
        if best.es <= es_limit:
            return OptimizationError(
                f"no cheapest hedge was found under es_limit={es_limit:.10g}, although ES can be brought to "
                f"{best.es:.10g} at a cost of {best.cost:.10g}; move the limit",
                weights=best.quantities,
                value=best.cost,
            )
        return InfeasibleError(
            f"no quantities bring ES under es_limit={es_limit:.10g}: the least is {best.es:.10g}, at a cost of "
            f"{best.cost:.10g} (unhedged {best.es_unhedged:.10g}); raise the limit or max_quantity, or add instruments",
            violation=best.es - es_limit,
            conflict=("es_limit", *(name for name in best.duals if " bound of " in name)),
            weights=best.quantities,
            value=best.es,
            lower_bound=best.lower_bound,
        )

    def _unpaid(self, budget: float) -> InfeasibleError:
        premiums, names = self.menu.premiums, self.menu.names
        cheapest = np.where(premiums > 0, self.lower, self.upper)
        cheapest = np.where(premiums == 0, np.clip(0.0, self.lower, self.upper), cheapest)
        least = self.outlays()[0]
        held = np.flatnonzero((premiums != 0) & (cheapest != 0))
        return InfeasibleError(
            f"premium_budget={budget:.10g} does not pay for min_quantity and max_quantity, which cost {least:.10g} "
            "or more; raise the budget",
            violation=least - budget,
            conflict=("premium_budget", *(bound_name(names[one], premiums[one] > 0) for one in held)),
            weights=self.menu.label(cheapest),
        )

    def _listed(self, ray: Floats) -> str:
        names = [repr(name) for name, step in zip(self.menu.names, ray.tolist(), strict=False) if step]
        return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")

    def _program(self, es_limit: float | None, budget: float | None) -> Program:
        """Return the program; premiums that come off the P&L are a slope of ES, which payoffs then need no copy for."""
        count = len(self.menu)
        premiums = self.menu.premiums
        slope = premiums if self.deducted else np.zeros(count)
        term = RiskTerm(self.scenarios, self.level, self.book)
        # A budget that nothing can exceed, such as for futures, would be a row without an inside.
        rows = 0 if budget is None or self.outlays()[1] <= budget else 1
        return Program(
            n_assets=count,
            cost=slope if es_limit is None else premiums,
            risks=((1.0, term),) if es_limit is None else (),
            lower=self.lower,
            upper=self.upper,
            A_eq=np.zeros((0, count)),
            b_eq=np.zeros(0),
            A_ub=np.tile(premiums, (rows, 1)),
            b_ub=np.full(rows, budget, dtype=np.float64),
            names_eq=(),
            names_ub=("premium_budget",) * rows,
            limits=() if es_limit is None else (RiskLimit(term, slope, es_limit, "es_limit"),),
            integers=self.whole if self.whole.any() else None,
            assets=self.menu.names,
        )

    def _solve(self, es_limit: float | None, budget: float | None) -> HedgeResult:
        program = self._program(es_limit, budget)
        try:
            solution = self.options.solve(program, self.state)
        except OptimizationError as error:
            if error.weights is not None:
                error.weights = self.menu.label(np.asarray(error.weights)[: len(self.menu)])
            raise
        self.state = solution.state
        return self._result(program, solution, es_limit, budget)

    def _result(
        self, program: Program, solution: Solution, es_limit: float | None, budget: float | None
    ) -> HedgeResult:
        quantities = solution.v[: len(self.menu)]
        cost = float(self.menu.premiums @ quantities)
        profit = self.book + self.menu.payoffs @ quantities - (cost if self.deducted else 0.0)
        shortfall, worst = es_var(profit, self.level, weights=self.probabilities)
        indices, shares = tail_weights(profit, self.level, weights=self.probabilities)
        objective = shortfall if es_limit is None else cost
        return HedgeResult(
            quantities=self.menu.label(quantities),
            names=self.menu.names,
            cost=cost,
            es=shortfall,
            var=worst,
            mean=0.0 - es(profit, 0.0, weights=self.probabilities),
            es_unhedged=self.es_unhedged,
            level=self.level,
            objective=objective,
            lower_bound=min(solution.lower_bound, objective),
            gap=solution.gap,
            duals=self._duals(program, solution, es_limit, budget),
            iterations=solution.iterations,
            passes=solution.passes,
            seconds=solution.seconds,
            tail_indices=indices,
            tail_weights=shares,
        )

    def _duals(
        self, program: Program, solution: Solution, es_limit: float | None, budget: float | None
    ) -> dict[str, float]:
        if self.whole.any():
            return {}
        duals = {}
        if es_limit is not None:
            duals["es_limit"] = float(solution.duals_limits[0]) + 0.0
        if budget is not None:
            # Without a row where it cannot bind.
            duals["premium_budget"] = float(solution.duals_ub.sum()) + 0.0
        return {**duals, **bound_duals(self.menu.names, program, solution)}


def read_question(
    book: Any,
    instruments: Any,
    level: Any,
    premiums: Any,
    quantities: tuple[Any, Any, Any],
    deduct_premiums: Any,
    probabilities: Any,
    options: Options,
) -> Question:
    """Check what both entry points take; `quantities` are min_quantity, max_quantity and integer."""
    levels, scalar_level = _arguments.read_levels(level)
    if not scalar_level:
        raise ValueError(f"level must be one number, got {levels.size} in a sequence; call once for each")
    menu = read_menu(instruments, premiums)
    profit = read_rows("book", book, menu).astype(np.float64, copy=False)
    mass = None if probabilities is None else read_rows("probabilities", probabilities, menu).astype(np.float64)
    if not isinstance(deduct_premiums, (bool, np.bool_)):
        raise TypeError(f"deduct_premiums must be True or False, got {_arguments.shown(deduct_premiums)}")
    lowest, highest, integer = quantities
    whole = menu.read_flags("integer", integer)
    bounds = _read_bounds(lowest, highest, whole, menu)
    question = Question(profit, menu, float(levels[0]), bounds, whole, bool(deduct_premiums), mass, options)
    question.warn_of_arbitrage()
    return question


def _read_bounds(lowest: Any, highest: Any, whole: NDArray[np.bool_], menu: Menu) -> tuple[Floats, Floats]:
    """Return the least and the largest quantity of each instrument, whole numbers where quantities are."""
    unlimited = np.full(len(menu), np.inf)
    upper = unlimited if highest is None else menu.read_each("max_quantity", highest, unlimited)
    lower = np.where(menu.sellable, -upper, 0.0)
    if lowest is not None:
        lower = menu.read_each("min_quantity", lowest, lower)
    lower, upper = np.where(whole, np.ceil(lower), lower), np.where(whole, np.floor(upper), upper)
    for name, wrong in ("min_quantity", lower == np.inf), ("max_quantity", upper == -np.inf):
        if wrong.any():
            raise ValueError(f"{name} of {menu.names[int(wrong.argmax())]!r} must be finite or unlimited the other way")
    wrong = lower > upper
    if wrong.any():
        position = int(wrong.argmax())
        raise ValueError(
            f"min_quantity must not be above max_quantity, got {lower[position]:.10g} and {upper[position]:.10g} "
            f"for {menu.names[position]!r}"
        )
    # Minus zero, from a cap of zero on what can be sold, is zero.
    return lower + 0.0, upper + 0.0
