"""Portfolios for scenarios that are not to be trusted: the worst of several sets, or of all distributions nearby."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall.optimize._errors import IterationLimitError
from cshortfall.optimize._inputs import read_level, read_not_negative, read_scenarios
from cshortfall.optimize._program import RiskLimit, RiskTerm
from cshortfall.optimize._question import cost_of, read_question
from cshortfall.optimize._result import OptimizationResult, finish, trading_costs
from cshortfall.optimize.portfolios import relative_gap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Unpack

    from cshortfall._arguments import Floats
    from cshortfall.optimize._builder import Builder, Columns
    from cshortfall.optimize._question import Keywords, Question

NORMS = (1, 2, np.inf)
_ROUNDS = 100


def minimize_worst_es(
    sets: Sequence[Any] | Mapping[str, Any],
    level: Any = 0.975,
    *,
    mean_weight: float = 0.0,
    **keywords: Unpack[Keywords],
) -> OptimizationResult:
    r"""Return the portfolio whose largest Expected Shortfall over several sets of scenarios is least.

    Parameters
    ----------
    sets : sequence or mapping of array_like, each of shape (n_scenarios, n_assets)
        Sets of scenarios of the same assets, such as regimes of stress; they may differ in number. The keys of a
        mapping name them.
    level : float or sequence of float
        Confidence, one for all sets or one for each.
    mean_weight : float
        Weight of the mean in the objective.
    **keywords
        As for `minimize_es`. `probabilities` are a sequence, or a mapping, of one array or None for each set. Means
        and limits of ES are those of the first set; give `mean` where they shall not be.

    Returns
    -------
    OptimizationResult
        ``es``, ``var`` and the tail are those of the worst set at the weights. The duals of ``set <name>`` are the
        weights of the sets in the worst mixture, with a negative sign.

    Raises
    ------
    InfeasibleError, UnboundedError, IterationLimitError, TimeLimitError, ValueError, TypeError
        As for `minimize_es`.

    Notes
    -----
    The largest ES is the least number that is at or above all of them, one limit of ES each [1]_.

    References
    ----------
    .. [1] Zhu, S. and Fukushima, M. (2009). Worst-case conditional value-at-risk with application to robust portfolio
       management. Operations Research 57(5), 1155-1168.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.optimize import minimize_worst_es
    >>> calm = np.array([[0.04, -0.02], [-0.03, 0.01], [0.02, 0.00], [-0.01, 0.03]])
    >>> stress = np.array([[-0.10, 0.05], [0.02, -0.04]])
    >>> result = minimize_worst_es({"calm": calm, "stress": stress}, 0.75)
    >>> result.weights.round(6), round(result.es, 6)
    (array([0.428571, 0.571429]), 0.014286)
    """
    names, given = _read_sets(sets)
    masses = keywords.pop("probabilities", None)
    if isinstance(masses, Mapping):
        masses = [masses.get(name) for name in names]
    masses = [None] * len(given) if masses is None else list(masses)
    if len(masses) != len(given):
        raise ValueError(f"probabilities must be one array or None for each of {len(given)} sets, got {len(masses)}")
    question = read_question(
        "minimize_worst_es", given[0], {**keywords, "probabilities": masses[0]}, _set_name(names[0])
    )
    terms = _terms_of_sets(question, names, given, masses, level)
    share = read_not_negative("mean_weight", mean_weight)
    builder = question.constraints.build(question.assets, question.mean)
    cost = cost_of(builder, -share * question.mean, 1.0 + share)
    worst = builder.add_variables(np.array([-np.inf]), np.array([np.inf]))
    slope = np.zeros(builder.n_variables)
    slope[worst] = -1.0
    limits = [RiskLimit(term, slope, 0.0, f"set {name}") for name, term in zip(names, terms, strict=True)]
    cost = np.append(cost, 1.0)
    program = builder.program(cost, (), [*limits, *question.constraints.limits(builder, question.scenarios)])
    solution = question.solve(program)
    weights = solution.v[: question.assets.count]
    losses = [term.scenarios.es_var(weights, term.level, None)[0] for term in terms]
    term = terms[int(np.argmax(losses))]
    mean = float(question.mean @ weights)
    charged = trading_costs(builder, weights)
    value = max(losses) + charged - share * (mean - charged)
    return finish(
        question,
        builder,
        program,
        solution,
        [(1.0, term)],
        term.level,
        objective=value,
        lower_bound=min(solution.lower_bound, value),
        gap=relative_gap(value, solution.lower_bound, solution.scale),
    )


def _read_sets(sets: Any) -> tuple[list[Any], list[Any]]:
    if isinstance(sets, Mapping):
        names, given = list(sets), list(sets.values())
    elif isinstance(sets, (list, tuple)) or (isinstance(sets, np.ndarray) and sets.ndim == 3):
        names, given = list(range(len(sets))), list(sets)
    else:
        raise TypeError(f"sets must be a sequence or a mapping of scenarios, got {_arguments.shown(sets)}")
    if not given:
        raise ValueError("sets is empty; give at least one set of scenarios")
    return names, given


def _set_name(name: Any) -> str:
    return f"sets[{name!r}]"


def _terms_of_sets(
    question: Question, names: Sequence[Any], given: Sequence[Any], masses: Sequence[Any], level: Any
) -> list[RiskTerm]:
    """Return one term for each set, after checking that all have the same assets."""
    levels = [read_level(level)] * len(given) if np.ndim(level) == 0 else _arguments.read_levels(level)[0].tolist()
    if len(levels) != len(given):
        raise ValueError(f"level must be one number or one for each of {len(given)} sets, got {len(levels)}")
    terms = [RiskTerm(question.scenarios, levels[0])]
    for name, one, mass, own in zip(names[1:], given[1:], masses[1:], levels[1:], strict=True):
        scenarios, assets, _ = read_scenarios(_set_name(name), one, mass)
        if list(assets.names) != list(question.assets.names):
            raise ValueError(
                f"{_set_name(name)} must have the assets of {_set_name(names[0])}, in the same order; got "
                f"{assets.count} against {question.assets.count}, {list(assets.names)[:8]} against "
                f"{list(question.assets.names)[:8]}"
            )
        terms.append(RiskTerm(scenarios, own))
    return terms


def minimize_robust_es(
    returns: Any,
    level: float = 0.975,
    radius: float = 0.0,
    norm: float = 2,
    *,
    mean_weight: float = 0.0,
    **keywords: Unpack[Keywords],
) -> OptimizationResult:
    r"""Return the portfolio whose Expected Shortfall is least under the worst distribution near the scenarios.

    Parameters
    ----------
    returns : array_like, shape (n_scenarios, n_assets)
        As for `minimize_es`.
    level : float
        Confidence, ``0 <= level < 1``.
    radius : float
        Of the type-1 Wasserstein ball around the scenarios, in their unit, not negative.
    norm : {1, 2, inf}
        By which the distance of two scenarios is measured. The weights are measured by its dual: the largest absolute
        weight for 1, the Euclidean norm for 2, the sum of absolute weights for inf.
    mean_weight : float
        Weight of the mean of the scenarios in the objective; it is not made worse.
    **keywords
        As for `minimize_es`. Limits of ES are those of the scenarios.

    Returns
    -------
    OptimizationResult
        ``es``, ``var`` and the tail are those of the scenarios; ``objective`` is the worst ES over the ball, net of
        costs and of the mean's part.

    Raises
    ------
    InfeasibleError, UnboundedError, IterationLimitError, TimeLimitError, ValueError, TypeError
        As for `minimize_es`.

    Notes
    -----
    Over all distributions within the radius :math:`\rho` the worst ES is [1]_

    .. math:: ES(x) + \frac{\rho}{1 - level} \lVert x \rVert_*

    which is linear for the norms 1 and inf. For 2 the Euclidean norm :math:`r` is approached from below by tangents:
    with :math:`s_i \ge x_i^2 / r` and :math:`\sum s_i \le r`, each :math:`s_i` by lines in :math:`(x_i, r)`, until the
    bound of such a program meets the value at its weights.

    References
    ----------
    .. [1] Mohajerin Esfahani, P. and Kuhn, D. (2018). Data-driven distributionally robust optimization using the
       Wasserstein metric. Mathematical Programming 171, 115-166.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.optimize import minimize_robust_es
    >>> returns = np.array([[0.04, -0.02], [-0.03, 0.01], [0.02, 0.00], [-0.01, 0.03]])
    >>> minimize_robust_es(returns, 0.75, radius=0.1, norm=1).weights.round(6)
    array([0.5, 0.5])
    """
    question = read_question("minimize_robust_es", returns, keywords)
    if not any(norm == one for one in NORMS) or isinstance(norm, bool):
        raise ValueError(f"norm must be 1, 2 or inf, got {norm!r}; it measures the distance of scenarios")
    term = RiskTerm(question.scenarios, read_level(level))
    penalty = read_not_negative("radius", radius) / (1.0 - term.level)
    share = read_not_negative("mean_weight", mean_weight)
    builder = question.constraints.build(question.assets, question.mean)
    cost = cost_of(builder, -share * question.mean, 1.0 + share)
    limits = question.constraints.limits(builder, question.scenarios)
    if norm == 2 and penalty > 0:
        return _by_tangents(question, builder, cost, term, limits, penalty, share)
    columns, coefficients = _linear_norm(builder, norm)
    cost = np.pad(cost, (0, builder.n_variables - cost.size))
    np.add.at(cost, columns, penalty * coefficients)
    program = builder.program(cost, [(1.0, term)], limits)
    solution = question.solve(program)
    return finish(question, builder, program, solution, [(1.0, term)], term.level)


def _linear_norm(builder: Builder, norm: float) -> tuple[Columns, Floats]:
    """Return columns and coefficients of the dual norm of the weights, in one or all of its variables."""
    columns, signs = builder.distance(np.zeros(builder.assets.count), by_sign=True)
    if norm != 1:
        return columns, signs
    largest = builder.add_variables(np.zeros(1), np.full(1, np.inf))
    for column, sign in zip(columns.tolist(), signs.tolist(), strict=True):
        builder.at_most("", np.array([column, largest[0]]), np.array([sign, -1.0]), 0.0)
    return largest, np.ones(1)


def _by_tangents(
    question: Question,
    builder: Builder,
    cost: Floats,
    term: RiskTerm,
    limits: Sequence[RiskLimit],
    penalty: float,
    share: float,
) -> OptimizationResult:
    """Minimise with the Euclidean norm, which tangents approach from below where the weights come to lie."""
    n = question.assets.count
    length = builder.add_variables(np.zeros(1), np.full(1, np.inf))
    parts = builder.add_variables(np.zeros(n), np.full(n, np.inf))
    # In this unit the parts are as large as the weights.
    unit = 1.0 / np.sqrt(n)
    builder.at_most("", np.append(parts, length), np.append(np.full(n, unit), -1.0), 0.0)
    cost = np.pad(cost, (0, builder.n_variables - cost.size))
    cost[length] = penalty
    # What is left between tangents that are this near to each other is a tenth of the tolerance.
    tangents = _Tangents(builder, parts, int(length[0]), unit, unit * np.sqrt(0.1 * question.options.tol))
    tangents.add(np.full(n, unit))
    state, best, bound = None, (np.inf, np.zeros(n)), -np.inf
    iterations = passes = 0
    for _ in range(_ROUNDS):
        program = builder.program(cost, [(1.0, term)], limits)
        solution = question.solve(program, state, 0.5 * question.options.tol)
        iterations, passes, state = iterations + solution.iterations, passes + solution.passes, solution.state
        x = solution.v[:n]
        value = _robust_value(question, builder, term, penalty, share, x)
        if value < best[0]:
            best = (value, x)
        bound = max(bound, solution.lower_bound)
        gap = relative_gap(best[0], bound, solution.scale)
        if gap <= question.options.tol:
            return finish(
                question,
                builder,
                program,
                replace(solution, iterations=iterations, passes=passes),
                [(1.0, term)],
                term.level,
                weights=best[1],
                objective=best[0],
                lower_bound=min(bound, best[0]),
                gap=gap,
            )
        if not tangents.add(x / (np.linalg.norm(x) or 1.0)):
            break
    raise IterationLimitError(
        f"the gap of the Euclidean norm was still {gap:.1e} after {_ROUNDS} rounds of tangents; raise tol",
        weights=question.assets.label(best[1]),
        value=best[0],
        lower_bound=bound,
    )


class _Tangents:
    """Lines below x_i^2 / r, one more for each asset at every direction added."""

    def __init__(self, builder: Builder, parts: Columns, length: int, unit: float, apart: float) -> None:
        self._builder = builder
        self._parts = parts
        self._length = length
        self._unit = unit
        self._apart = apart
        self._known: list[list[float]] = [[0.0] for _ in parts]

    def add(self, direction: Floats) -> bool:
        """Add tangents at a direction of norm one; return whether there was a new one."""
        new = False
        for asset, (part, slope) in enumerate(zip(self._parts.tolist(), direction.tolist(), strict=True)):
            if min(abs(slope - known) for known in self._known[asset]) <= self._apart:
                continue
            self._known[asset].append(slope)
            new = True
            # 2 t x - t^2 r <= s
            row = np.array([2.0 * slope, -(slope**2), -self._unit]) / self._unit
            self._builder.at_most("", np.array([asset, self._length, part]), row, 0.0)
        return new


def _robust_value(
    question: Question, builder: Builder, term: RiskTerm, penalty: float, share: float, weights: Floats
) -> float:
    """Return the objective with the true norm."""
    es = term.scenarios.es_var(weights, term.level, None)[0]
    costs = trading_costs(builder, weights)
    return es + penalty * float(np.linalg.norm(weights)) + costs - share * (float(question.mean @ weights) - costs)
