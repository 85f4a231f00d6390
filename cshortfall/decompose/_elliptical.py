"""ES and VaR of elliptical distributions and their parts, in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall._arguments import Question
from cshortfall._estimators import normal_density, normal_quantile, student_t_tail
from cshortfall._frames import align
from cshortfall._results import result
from cshortfall.decompose._result import percent_of

if TYPE_CHECKING:
    from cshortfall._arguments import Floats
    from cshortfall._frames import Labels

DISTRIBUTIONS = ("normal", "student_t")

# How far from symmetric and from positive semi-definite a matrix may be, relative to its largest entry.
TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class EllipticalComponents:
    """ES and VaR of a portfolio of elliptically distributed returns and their parts; see `elliptical_components`."""

    es: float
    var: float
    component: Any
    """Part of each asset in the ES; they sum to it."""
    marginal: Any
    """Derivative of ES in each holding."""
    incremental: Any
    """ES of the portfolio less its ES without each asset."""
    percent: Any
    """`component` in percent of the ES."""
    component_var: Any
    marginal_var: Any
    incremental_var: Any
    percent_var: Any
    level: float
    distribution: str
    dof: float | None


def elliptical_components(
    weights: Any,
    mean: Any,
    dispersion: Any = None,
    level: float = 0.975,
    *,
    covariance: Any = None,
    distribution: str = "normal",
    dof: float | None = None,
    tail: str = "lower",
) -> EllipticalComponents:
    r"""Return the parts of ES and VaR of a portfolio of elliptically distributed returns, in closed form.

    Parameters
    ----------
    weights : array_like, shape (n_assets,)
        Holdings, of any sign; a pandas series is aligned on the columns of a pandas matrix.
    mean : float or array_like, shape (n_assets,)
        Location of the returns.
    dispersion : array_like, shape (n_assets, n_assets), optional
        Scale matrix :math:`\Sigma`; of the normal distribution the covariance matrix.
    level : float
        Confidence, ``0 <= level < 1``; one level.
    covariance : array_like, shape (n_assets, n_assets), optional
        Instead of `dispersion`; of Student's t :math:`\Sigma \nu / (\nu - 2)`.
    distribution : {"normal", "student_t"}
        Of the returns.
    dof : float, optional
        Degrees of freedom :math:`\nu > 1` of Student's t; with `covariance` above 2, infinite ones are normal.
    tail : {"lower", "upper"}
        ``"upper"`` reads the returns as losses.

    Returns
    -------
    EllipticalComponents
        Frozen dataclass: es, var, and for each asset component, marginal and incremental ES and VaR.

    Raises
    ------
    ValueError
        Shapes that do not fit, a matrix that is not symmetric or has a negative eigenvalue, both matrices or none,
        holdings that are all zero, `dof` outside its domain, a level outside [0, 1).
    TypeError
        Data that are no real numbers.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.

    Notes
    -----
    The loss of the portfolio has location :math:`-\mu^\top w` and scale :math:`\sigma = \sqrt{w^\top \Sigma w}`. With
    the ES or VaR :math:`k` of the distribution of location 0 and scale 1 [1]_

    .. math:: ES = -\mu^\top w + k \sigma, \qquad \partial ES / \partial w_i = -\mu_i + k (\Sigma w)_i / \sigma .

    References
    ----------
    .. [1] McNeil, A. J., Frey, R. and Embrechts, P. (2015). Quantitative Risk Management, revised edition, sections
       2.3.4 and 8.5, Corollary 8.43.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.decompose import elliptical_components
    >>> parts = elliptical_components([3.0, 4.0], 0.0, np.eye(2), 0.975)
    >>> np.round([parts.es, *parts.component], 4)
    array([11.689,  4.208,  7.481])
    """
    levels, scalar_level = _arguments.read_levels(level)
    if not scalar_level:
        raise ValueError(f"level must be one number, got {levels.size} in a sequence; call once for each")
    upper = _arguments.read_tail(tail)
    _arguments.read_choice("distribution", distribution, DISTRIBUTIONS)
    freedom = _read_dof(dof, distribution)
    if (dispersion is None) == (covariance is None):
        raise ValueError("give either dispersion or covariance, and not both")
    name, given = ("dispersion", dispersion) if covariance is None else ("covariance", covariance)
    holdings, location, matrix, labels = _read_moments(weights, mean, name, given)
    if covariance is not None and freedom is not None and math.isfinite(freedom):
        if freedom <= 2.0:
            raise ValueError(f"covariance needs dof above 2, got dof={freedom:.15g}; give the dispersion instead")
        matrix = matrix * ((freedom - 2.0) / freedom)
    factors = _standard_tail(float(levels[0]), freedom)
    losses = location if upper else -location
    with np.errstate(invalid="ignore"):
        es, var = (_parts(holdings, losses, matrix, factor) for factor in factors)

    question = Question(losses[np.newaxis], (0,), levels, True, upper, "propagate", None, "historical", labels)

    def labelled(values: Floats, title: str) -> Any:
        return result(question, values, title)

    return EllipticalComponents(
        es.risk,
        var.risk,
        labelled(holdings * es.marginal, "component_es"),
        labelled(es.marginal, "marginal_es"),
        labelled(es.incremental, "incremental_es"),
        labelled(percent_of(holdings * es.marginal, es.risk), "percent"),
        labelled(holdings * var.marginal, "component_var"),
        labelled(var.marginal, "marginal_var"),
        labelled(var.incremental, "incremental_var"),
        labelled(percent_of(holdings * var.marginal, var.risk), "percent_var"),
        float(levels[0]),
        distribution,
        freedom,
    )


@dataclass(frozen=True)
class _Parts:
    risk: float
    marginal: Floats
    incremental: Floats


def _parts(holdings: Floats, losses: Floats, matrix: Floats, factor: float) -> _Parts:
    """Return the risk ``losses @ w + factor sqrt(w matrix w)`` and what each asset adds to it."""
    towards = matrix @ holdings
    variance = float(holdings @ towards)
    deviation = math.sqrt(max(variance, 0.0))
    # Without dispersion there is a kink, and the symmetric subgradient is the mean loss.
    slope = factor / deviation if deviation > 0.0 else 0.0
    risk = float(holdings @ losses) + (factor * deviation if deviation > 0.0 else 0.0)
    without = np.maximum(variance - 2.0 * holdings * towards + np.square(holdings) * np.diagonal(matrix), 0.0)
    # Of a variance that vanishes rounding may leave a little.
    without[without <= 8.0 * np.finfo(float).eps * variance] = 0.0
    rest = float(holdings @ losses) - holdings * losses + np.where(without > 0.0, factor * np.sqrt(without), 0.0)
    return _Parts(risk, losses + slope * towards, risk - rest)


def _standard_tail(level: float, freedom: float | None) -> tuple[float, float]:
    """Return ES and VaR of the distribution of location zero and dispersion one."""
    if freedom is not None and math.isfinite(freedom):
        return student_t_tail(level, 1.0 / freedom)
    if level == 0.0:
        return 0.0, -math.inf
    quantile = normal_quantile(1.0 - level)
    return normal_density(quantile) / (1.0 - level), quantile


def _read_dof(dof: Any, distribution: str) -> float | None:
    if distribution == "normal":
        if dof is not None:
            raise ValueError(f"dof must be None for distribution='normal', got {dof!r}; or use 'student_t'")
        return None
    number = _arguments.real_number(dof)
    if number is None:
        raise TypeError(f"dof must be a number above 1 for distribution='student_t', got {_arguments.shown(dof)}")
    if not number > 1.0:
        raise ValueError(f"dof must be above 1, got {number:.15g}: with fewer the ES is infinite")
    return number


def _read_moments(weights: Any, mean: Any, name: str, given: Any) -> tuple[Floats, Floats, Floats, Labels | None]:
    """Return holdings, location, matrix, all in the order of the matrix, and its labels."""
    matrix, labels = _arguments.read_samples(name, given)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"{name} must have shape (n_assets, n_assets), got shape {matrix.shape}")
    _arguments.check_finite(name, matrix)
    matrix = matrix.astype(np.float64, copy=False)
    size = float(np.abs(matrix).max())
    if np.abs(matrix - matrix.T).max() > TOLERANCE * size:
        raise ValueError(f"{name} must be symmetric; use ({name} + {name}.T) / 2")
    if np.linalg.eigvalsh(matrix)[0] < -TOLERANCE * size * len(matrix):
        raise ValueError(f"{name} must be positive semi-definite; it has a negative eigenvalue")
    vectors = []
    for title, vector in ("weights", weights), ("mean", mean):
        values, own_labels = _arguments.read_samples(title, vector)
        if labels is not None and own_labels is not None and values.ndim == 1:
            values = align(title, values, own_labels, [labels.along(1)])
        if title == "mean" and values.ndim == 0:
            values = np.full(len(matrix), float(values))
        if values.shape != (len(matrix),):
            raise ValueError(
                f"{title} must have shape ({len(matrix)},), one for each asset of {name}; got {values.shape}"
            )
        _arguments.check_finite(title, values)
        vectors.append(values.astype(np.float64, copy=False))
    if not vectors[0].any():
        raise ValueError("weights are all zero; a portfolio needs at least one holding to have a risk to decompose")
    return vectors[0], vectors[1], matrix, labels
