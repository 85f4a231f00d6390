"""Portfolios of least Expected Shortfall, exact and certified.

>>> import numpy as np
>>> from cshortfall.optimize import minimize_es
>>> returns = np.array([[0.04, -0.02], [-0.03, 0.01], [0.02, 0.00], [-0.01, 0.03]])
>>> result = minimize_es(returns, 0.75, bounds=(0, 0.6))
>>> result.weights.round(6), round(result.es, 6), result.gap <= 1e-8
(array([0.4, 0.6]), 0.006, True)
"""

from typing import TYPE_CHECKING

from cshortfall.optimize._blocks import BlockScenarios
from cshortfall.optimize._constraints import Constraints, ESLimit
from cshortfall.optimize._errors import (
    InfeasibleError,
    IterationLimitError,
    OptimizationError,
    TimeLimitError,
    UnboundedError,
)
from cshortfall.optimize._progress import Progress
from cshortfall.optimize._result import OptimizationResult
from cshortfall.optimize._scenarios import ArrayScenarios, Scenarios
from cshortfall.optimize.frontiers import Frontier, frontier
from cshortfall.optimize.hedging import (
    ArbitrageWarning,
    HedgeFrontier,
    HedgeResult,
    Menu,
    collars,
    futures,
    hedge,
    hedge_frontier,
    protective_calls,
    protective_puts,
    put_spreads,
)
from cshortfall.optimize.portfolios import (
    maximize_ratio,
    maximize_return,
    minimize_es,
    minimize_spectral,
    rebalance,
    track,
)
from cshortfall.optimize.projection import project_es_ball
from cshortfall.optimize.risk_budgeting import RiskBudget, risk_budget
from cshortfall.optimize.robust import minimize_robust_es, minimize_worst_es

__all__ = [
    "ArbitrageWarning",
    "ArrayScenarios",
    "BlockScenarios",
    "Constraints",
    "ESLimit",
    "Frontier",
    "HedgeFrontier",
    "HedgeResult",
    "InfeasibleError",
    "IterationLimitError",
    "Menu",
    "MinimumES",
    "OptimizationError",
    "OptimizationResult",
    "Progress",
    "RiskBudget",
    "Scenarios",
    "TimeLimitError",
    "UnboundedError",
    "collars",
    "frontier",
    "futures",
    "hedge",
    "hedge_frontier",
    "maximize_ratio",
    "maximize_return",
    "minimize_es",
    "minimize_robust_es",
    "minimize_spectral",
    "minimize_worst_es",
    "project_es_ball",
    "protective_calls",
    "protective_puts",
    "put_spreads",
    "rebalance",
    "risk_budget",
    "track",
]

if TYPE_CHECKING:
    from cshortfall.optimize.estimator import MinimumES
else:

    def __getattr__(name):
        """Import the estimator when it is first named: it loads scikit-learn where there is one."""
        if name == "MinimumES":
            from cshortfall.optimize.estimator import MinimumES

            return MinimumES
        raise AttributeError(f"module 'cshortfall.optimize' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
