"""Why an optimisation ended without a certified optimum; every error carries what is known at that point."""

from __future__ import annotations

import copyreg
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cshortfall._arguments import Floats


class OptimizationError(RuntimeError):
    """An optimum that could not be certified.

    Attributes
    ----------
    weights : array or labelled series or None
        The best feasible weights met, None if there were none.
    value : float or None
        Objective of these weights.
    lower_bound : float
        Certified bound on the objective, -inf where none is known.
    gap : float
        How far the value may be above the optimum, relative as in `OptimizationResult`; inf where that is not known.
    """

    def __init__(
        self,
        message: str,
        *,
        weights: Any = None,
        value: float | None = None,
        lower_bound: float = -float("inf"),
        gap: float = float("inf"),
    ) -> None:
        super().__init__(message)
        self.weights = weights
        self.value = value
        self.lower_bound = lower_bound
        self.gap = gap

    def __reduce__(self) -> tuple[Any, ...]:
        # What has no default is among the attributes: from a worker process an error comes back as it was.
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class InfeasibleError(OptimizationError):
    """No weights satisfy the constraints.

    Attributes
    ----------
    violation : float
        The least sum of violations that any weights reach, rows scaled to a largest coefficient of one.
    conflict : tuple of str
        Names of constraints that cannot hold together. Without any one of them the others can, unless weights are
        whole numbers of something.
    """

    def __init__(self, message: str, *, violation: float, conflict: tuple[str, ...], **known: Any) -> None:
        super().__init__(message, **known)
        self.violation = violation
        self.conflict = conflict


class UnboundedError(OptimizationError):
    """The objective falls without end.

    Attributes
    ----------
    ray : array or labelled series
        A change of the weights that can be repeated for ever and lowers the objective each time.
    """

    def __init__(self, message: str, *, ray: Floats, **known: Any) -> None:
        super().__init__(message, **known)
        self.ray = ray


class IterationLimitError(OptimizationError):
    """The gap was still above ``tol`` after ``max_iterations``."""


class TimeLimitError(OptimizationError):
    """The gap was still above ``tol`` at the time limit.

    Examples
    --------
    To prove a choice of assets optimal may take long. What a second finds is worth having, with a bound on what more
    time could gain.

    >>> import numpy as np
    >>> from cshortfall.optimize import TimeLimitError, minimize_es
    >>> returns = np.random.default_rng(1).standard_t(4, (2000, 60))
    >>> try:
    ...     found = minimize_es(returns, 0.95, cardinality=8, time_limit=1.0)
    ... except TimeLimitError as error:
    ...     found = error
    >>> print(np.count_nonzero(found.weights), 0 < found.lower_bound, found.gap < 1)
    8 True True
    """


for _error in (OptimizationError, InfeasibleError, UnboundedError, IterationLimitError, TimeLimitError):
    _error.__module__ = "cshortfall.optimize"
del _error
