"""Portfolios of least Expected Shortfall, of most return under limits of it, and of the best ratio of the two.

Every function here takes the constraints of `Constraints` as keywords, or a whole object by ``constraints=``, and

probabilities : array_like, shape (n_scenarios,)
    Of the scenarios, of any scale, zeros allowed; default: all equal.
mean : array_like, series or mapping, shape (n_assets,)
    Mean P&L of each asset, where it shall not be that of the scenarios.
tol : float
    Largest relative gap between objective and certified bound.
max_iterations : int
    Of the solver; more is an `IterationLimitError`, which carries the best weights met.
time_limit : float
    In seconds; more is a `TimeLimitError`, likewise.
callback : callable
    Called with a `Progress` at every iteration. If it returns True or raises StopIteration the optimisation ends with
    an `OptimizationError` that carries the best weights met.
progress : bool
    Whether to show a line on standard error. Default: on a terminal, after two seconds.
start : OptimizationResult
    A result of a related problem to begin from.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall.optimize._constraints import ESLimit, read_limits
from cshortfall.optimize._inputs import read_benchmark, read_level, read_number
from cshortfall.optimize._program import RiskTerm
from cshortfall.optimize._question import cost_of, read_question
from cshortfall.optimize._ratio import best_ratio
from cshortfall.optimize._result import OptimizationResult, base_mean, finish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Unpack

    from cshortfall.optimize._question import Keywords, KeywordsButCurrent, Question


def minimize_es(
    returns: Any, level: float = 0.975, *, mean_weight: float = 0.0, **keywords: Unpack[Keywords]
) -> OptimizationResult:
    r"""Return the portfolio of least Expected Shortfall.

    Parameters
    ----------
    returns : array_like, shape (n_scenarios, n_assets)
        P&L or return of one unit of each asset in each scenario, gains positive; float64 and float32 are read in place,
        a memory-mapped file too. A data frame has one column for each asset. Or an object that makes passes over
        scenarios that are elsewhere.
    level : float
        Confidence, ``0 <= level < 1``.
    mean_weight : float
        Weight of the mean in the objective, not negative: ``ES - mean_weight * mean`` is minimised.
    **keywords
        Constraints (see `Constraints`; by default weights are not negative and sum to one) and options (see
        `cshortfall.optimize.portfolios`).

    Returns
    -------
    OptimizationResult
        ``es`` is ``cshortfall.es(returns @ weights, level)``; weights carry the labels of the returns.

    Raises
    ------
    InfeasibleError
        No weights satisfy the constraints; it names some that contradict each other.
    UnboundedError
        The objective falls without end, as it may where weights have no bounds.
    IterationLimitError, TimeLimitError
        The gap was still above `tol`.
    ValueError, TypeError
        An argument makes no sense; missing and infinite returns.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.

    Notes
    -----
    The program is that of Rockafellar and Uryasev [1]_, solved without a row for each scenario. Weights need not be
    unique: what is certified is the objective.

    References
    ----------
    .. [1] Rockafellar, R. T. and Uryasev, S. (2000). Optimization of conditional value-at-risk. Journal of Risk 2(3),
       21-41.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.optimize import minimize_es
    >>> returns = np.array([[0.04, -0.02], [-0.03, 0.01], [0.02, 0.00], [-0.01, 0.03]])
    >>> result = minimize_es(returns, 0.75)
    >>> result.weights.round(6), round(result.es, 6)
    (array([0.3, 0.7]), 0.002)
    """
    question = read_question("minimize_es", returns, keywords)
    term = RiskTerm(question.scenarios, read_level(level))
    return _minimize(question, [(1.0, term)], term.level, mean_weight)


def _minimize(
    question: Question,
    risks: Sequence[tuple[float, RiskTerm]],
    level: Any,
    mean_weight: Any = 0.0,
    benchmark_mean: float = 0.0,
) -> OptimizationResult:
    """Minimise a mixture of ES minus a multiple of the mean."""
    share = read_number("mean_weight", mean_weight)
    if share < 0:
        raise ValueError(f"mean_weight must not be negative, got {share:.15g}; a mean is worth having")
    builder = question.constraints.build(question.assets, question.mean, benchmark_mean)
    total = sum(weight for weight, _ in risks)
    cost = cost_of(builder, -share * question.mean, total + share)
    program = builder.program(cost, risks, question.constraints.limits(builder, question.scenarios))
    solution = question.solve(program)
    # The mean of a benchmark is a constant, which programs do not have.
    constant = share * benchmark_mean
    changes = {
        "objective": solution.objective + constant,
        "lower_bound": solution.lower_bound + constant,
    }
    if constant:
        changes["gap"] = relative_gap(changes["objective"], changes["lower_bound"], solution.scale)
    return finish(question, builder, program, solution, risks, level, **changes)


def relative_gap(objective: float, lower_bound: float, scale: float) -> float:
    """Return how far an objective may be above the optimum, in units of itself or of what is usual."""
    return max(objective - lower_bound, 0.0) / max(abs(objective), 1e-3 * scale, np.finfo(float).tiny)


def maximize_return(
    returns: Any, es_limit: Any, level: float = 0.975, **keywords: Unpack[Keywords]
) -> OptimizationResult:
    r"""Return the portfolio of largest mean whose Expected Shortfall keeps within a limit.

    Parameters
    ----------
    returns : array_like, shape (n_scenarios, n_assets)
        As for `minimize_es`.
    es_limit : float, ESLimit or sequence of ESLimit
        Largest ES at `level`; or limits at several levels and of parts of the portfolio, which ``es_limits=`` adds as
        well. The result reports the first.
    level : float
        Confidence, ``0 <= level < 1``.
    **keywords
        As for `minimize_es`.

    Returns
    -------
    OptimizationResult
        ``objective`` and ``lower_bound`` are minus the mean, net of costs.

    Raises
    ------
    InfeasibleError, UnboundedError, IterationLimitError, TimeLimitError, ValueError, TypeError
        As for `minimize_es`.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.optimize import maximize_return
    >>> returns = np.array([[0.05, -0.01], [-0.03, 0.01], [0.02, 0.00], [0.01, 0.01]])
    >>> result = maximize_return(returns, 0.01, 0.75)
    >>> result.weights.round(6), round(result.es, 6), round(result.mean, 6)
    (array([0.5, 0.5]), 0.01, 0.0075)
    """
    question = read_question("maximize_return", returns, keywords)
    own = (
        [ESLimit(read_number("es_limit", es_limit), level, name="es_limit")]
        if np.ndim(es_limit) == 0 and not isinstance(es_limit, ESLimit)
        else read_limits(es_limit, "es_limit")
    )
    limits = [*own, *read_limits(question.constraints.es_limits)]
    if not limits:
        raise ValueError("es_limit is empty; give at least one limit")
    constraints = replace(question.constraints, es_limits=tuple(limits))
    builder = constraints.build(question.assets, question.mean)
    rows = constraints.limits(builder, question.scenarios)
    program = builder.program(cost_of(builder, -question.mean, 1.0), (), rows)
    solution = question.solve(program)
    first = replace(rows[0].term, exposure=None)
    return finish(question, builder, program, solution, [(1.0, first)], first.level)


def maximize_ratio(returns: Any, level: float = 0.975, **keywords: Unpack[Keywords]) -> OptimizationResult:
    r"""Return the portfolio of the largest ratio of mean to Expected Shortfall, both net of costs.

    Parameters
    ----------
    returns : array_like, shape (n_scenarios, n_assets)
        As for `minimize_es`.
    level : float
        Confidence, ``0 <= level < 1``.
    **keywords
        As for `minimize_es`, without constraints that need whole numbers: these do not scale.

    Returns
    -------
    OptimizationResult
        ``objective`` and ``lower_bound`` are minus the ratio, which ``ratio`` repeats.

    Raises
    ------
    InfeasibleError
        No weights satisfy the constraints, or none that do have a positive mean.
    UnboundedError
        Some weights have a positive mean and an ES of zero or less: there is no best ratio. ``weights`` and ``ray``
        hold them. Likewise where the ratio grows towards weights of any size.
    IterationLimitError, TimeLimitError, ValueError, TypeError
        As for `minimize_es`.

    Notes
    -----
    ES is positively homogeneous. With :math:`y = \kappa x` and :math:`\kappa \ge 0` the ratio is largest where
    :math:`ES(y)` is least among those of mean one [1]_, every constraint :math:`a^T x \le b` being
    :math:`a^T y \le b \kappa`. Where the constraints allow the multiples below one of every portfolio
    too, as those of a budget of zero may, the largest multiple is returned: all have the same ratio.

    References
    ----------
    .. [1] Stoyanov, S. V., Rachev, S. T. and Fabozzi, F. J. (2007). Optimal financial portfolios. Applied Mathematical
       Finance 14(5), 401-436.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.optimize import maximize_ratio
    >>> returns = np.array([[0.05, -0.02], [-0.03, 0.01], [0.02, 0.00], [0.01, 0.02]])
    >>> result = maximize_ratio(returns, 0.75)
    >>> result.weights.round(6), round(result.ratio, 6)
    (array([0.272727, 0.727273]), 5.75)
    """
    question = read_question("maximize_ratio", returns, keywords)
    if question.constraints.whole:
        raise ValueError(
            "maximize_ratio takes no cardinality, min_position or lot_size: whole numbers do not scale; take the best "
            "point of frontier(...) with them"
        )
    term = RiskTerm(question.scenarios, read_level(level))
    builder = question.constraints.build(question.assets, question.mean)
    limits = question.constraints.limits(builder, question.scenarios)
    program = builder.program(cost_of(builder, np.zeros(question.assets.count), 1.0), [(1.0, term)], limits)
    return best_ratio(question, builder, program, term)


def track(
    returns: Any, benchmark: Any, level: float = 0.975, *, mean_weight: float = 0.0, **keywords: Unpack[Keywords]
) -> OptimizationResult:
    r"""Return the portfolio whose P&L in excess of a benchmark has the least Expected Shortfall.

    Parameters
    ----------
    returns : array_like, shape (n_scenarios, n_assets)
        As for `minimize_es`.
    benchmark : array_like, shape (n_scenarios,)
        P&L of the benchmark in each scenario. A pandas series is aligned on the index of a pandas `returns`.
    level : float
        Confidence, ``0 <= level < 1``.
    mean_weight : float
        Weight of the mean excess in the objective.
    **keywords
        As for `minimize_es`. `return_target` is on the mean excess; limits of ES are on the portfolio itself.

    Returns
    -------
    OptimizationResult
        ``es``, ``var`` and ``mean`` are of the excess, ``returns @ weights - benchmark``.

    Raises
    ------
    InfeasibleError, UnboundedError, IterationLimitError, TimeLimitError, ValueError, TypeError
        As for `minimize_es`.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.optimize import track
    >>> returns = np.array([[0.05, -0.01], [-0.03, 0.01], [0.02, 0.00], [0.01, 0.01]])
    >>> result = track(returns, returns @ [0.25, 0.75], 0.5)
    >>> result.weights.round(6), abs(round(result.es, 6))
    (array([0.25, 0.75]), 0.0)
    """
    question = read_question("track", returns, keywords)
    base = -read_benchmark("benchmark", benchmark, returns, question.scenarios.n_scenarios)
    term = RiskTerm(question.scenarios, read_level(level), base)
    return _minimize(question, [(1.0, term)], term.level, mean_weight, -base_mean(question, base))


def rebalance(
    returns: Any,
    current: Any,
    level: float = 0.975,
    *,
    mean_weight: float = 0.0,
    **keywords: Unpack[KeywordsButCurrent],
) -> OptimizationResult:
    r"""Return the portfolio of least Expected Shortfall to change to, given the holdings now.

    Parameters
    ----------
    returns : array_like, shape (n_scenarios, n_assets)
        As for `minimize_es`.
    current : array_like, series or mapping, shape (n_assets,)
        Holdings now.
    level : float
        Confidence, ``0 <= level < 1``.
    mean_weight : float
        Weight of the mean, net of costs, in the objective.
    **keywords
        As for `minimize_es`; `costs` and `turnover` say what changes cost and how much may change.

    Returns
    -------
    OptimizationResult
        ``trades`` are the weights minus `current`, ``costs`` what they cost; the objective is ``es + costs``, the ES
        net of costs.

    Raises
    ------
    InfeasibleError, UnboundedError, IterationLimitError, TimeLimitError, ValueError, TypeError
        As for `minimize_es`.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.optimize import rebalance
    >>> returns = np.array([[0.04, -0.02], [-0.03, 0.01], [0.02, 0.00], [-0.01, 0.03]])
    >>> result = rebalance(returns, [0.5, 0.5], 0.75, turnover=0.2)
    >>> result.trades.round(6), round(result.es, 6)
    (array([-0.1,  0.1]), 0.006)
    """
    if current is None:
        raise TypeError("current must be the holdings now; pass current=0 to start from cash, or use minimize_es")
    question = read_question("rebalance", returns, {**keywords, "current": current})
    term = RiskTerm(question.scenarios, read_level(level))
    return _minimize(question, [(1.0, term)], term.level, mean_weight)


def minimize_spectral(
    returns: Any,
    levels: Sequence[float],
    weights: Any = None,
    *,
    mean_weight: float = 0.0,
    **keywords: Unpack[Keywords],
) -> OptimizationResult:
    r"""Return the portfolio of the least spectral risk measure, given as a mixture of Expected Shortfalls.

    Parameters
    ----------
    returns : array_like, shape (n_scenarios, n_assets)
        As for `minimize_es`.
    levels : sequence of float
        Levels of the ESs.
    weights : sequence of float, optional
        Weight of each, not negative; default: all equal, of sum one. They are used as they are.
    mean_weight : float
        Weight of the mean in the objective.
    **keywords
        As for `minimize_es`.

    Returns
    -------
    OptimizationResult
        ``es`` and ``var`` are arrays, one number for each level; ``objective`` is ``weights @ es``, net of costs. The
        tail's weights are those of the mixture.

    Raises
    ------
    InfeasibleError, UnboundedError, IterationLimitError, TimeLimitError, ValueError, TypeError
        As for `minimize_es`.

    Notes
    -----
    Every spectral measure with a spectrum of finitely many steps is such a mixture [1]_; others are their limits.

    References
    ----------
    .. [1] Acerbi, C. (2002). Spectral measures of risk: a coherent representation of subjective risk aversion. Journal
       of Banking & Finance 26(7), 1505-1518.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.optimize import minimize_spectral
    >>> returns = np.array([[0.04, -0.02], [-0.03, 0.01], [0.02, 0.00], [-0.01, 0.03]])
    >>> minimize_spectral(returns, [0.5, 0.75], [0.4, 0.6]).es.round(6)
    array([0.002, 0.002])
    """
    question = read_question("minimize_spectral", returns, keywords)
    masses, _ = _arguments.read_levels(levels)
    shares = (
        np.full(masses.size, 1.0 / masses.size) if weights is None else _arguments.read_samples("weights", weights)[0]
    )
    if shares.shape != masses.shape:
        raise ValueError(f"weights must have shape {masses.shape}, one for each level; got shape {shares.shape}")
    _arguments.check_finite("weights", shares)
    if (shares < 0).any() or not shares.any():
        raise ValueError(f"weights must not be negative, nor all zero; got {shares.tolist()}")
    terms = [
        (share, RiskTerm(question.scenarios, level))
        for share, level in zip(shares.tolist(), masses.tolist(), strict=True)
    ]
    return _minimize(question, terms, masses, mean_weight)
