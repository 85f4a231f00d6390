"""The portfolio of least Expected Shortfall as an estimator of scikit-learn, which it works without as well."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from cshortfall import _arguments
from cshortfall.estimate import es
from cshortfall.optimize._constraints import Constraints
from cshortfall.optimize.portfolios import minimize_es

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cshortfall._arguments import Floats, Samples
    from cshortfall.optimize._constraints import ESLimit
    from cshortfall.optimize._progress import Callback
    from cshortfall.optimize._result import OptimizationResult


class _Parameters:
    """What scikit-learn's `BaseEstimator` gives, as far as an estimator is of use without scikit-learn."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Any:
        """Set parameters by name."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        given = {name: value for name, value in self.get_params().items() if value is not defaults[name].default}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"


if TYPE_CHECKING:
    _Base = _Parameters
else:
    try:
        from sklearn.base import BaseEstimator as _Base
    except ImportError:
        _Base = _Parameters


class MinimumES(_Base):
    r"""Estimator of the portfolio of least Expected Shortfall, in the manner of scikit-learn.

    Parameters
    ----------
    level : float
        Confidence, ``0 <= level < 1``.
    mean_weight : float
        Weight of the mean in the objective, as for `minimize_es`.
    mean : array_like, series or mapping, optional
        Mean return of each asset, where it shall not be that of the data.
    budget, bounds, gross, groups, A_ub, b_ub, A_eq, b_eq, return_target, current, turnover, costs, es_limits, \
cardinality, min_position, lot_size
        Constraints, as for `Constraints`. Assets can be named where `X` is a data frame.
    constraints : Constraints, optional
        All constraints in one object; keywords that are not at their defaults take the place of what it says.
    tol, max_iterations, time_limit, callback, progress
        Options of the solver, as for `minimize_es`.

    Attributes
    ----------
    weights_ : ndarray, shape (n_features_in_,)
        Weights of the assets.
    es_ : float
        Expected Shortfall of the training data under these weights.
    result_ : OptimizationResult
        What `minimize_es` returned, with the certificate; its weights carry the labels of the data.
    n_features_in_ : int
        Number of assets.
    feature_names_in_ : ndarray, shape (n_features_in_,)
        Names of the assets, where they all are strings.

    Notes
    -----
    `fit` raises the errors of `minimize_es`. scikit-learn is not needed; where it is installed this is a
    `sklearn.base.BaseEstimator`, which its searches, pipelines and cross-validation take. Splitters of skfolio work in
    these too; its own `cross_val_predict` takes `cshortfall.skfolio.Optimization`.

    Examples
    --------
    >>> import numpy as np
    >>> from cshortfall.optimize import MinimumES
    >>> returns = np.array([[0.04, -0.02], [-0.03, 0.01], [0.02, 0.00], [-0.01, 0.03]])
    >>> model = MinimumES(0.75, bounds=(0, 0.6)).fit(returns)
    >>> model.weights_.round(6), round(model.es_, 6)
    (array([0.4, 0.6]), 0.006)
    >>> model.predict([[0.01, 0.02]]).round(6), round(model.score(returns), 6)
    (array([0.016]), -0.006)
    """

    weights_: Floats
    es_: float
    result_: OptimizationResult
    n_features_in_: int
    feature_names_in_: Any

    def __init__(
        self,
        level: float = 0.975,
        *,
        mean_weight: float = 0.0,
        mean: Any = None,
        budget: Any = 1.0,
        bounds: Any = (0.0, None),
        gross: float | None = None,
        groups: Mapping[str, tuple[Any, float | None, float | None]] | None = None,
        A_ub: Any = None,
        b_ub: Any = None,
        A_eq: Any = None,
        b_eq: Any = None,
        return_target: float | None = None,
        current: Any = None,
        turnover: float | None = None,
        costs: Any = None,
        es_limits: Sequence[ESLimit | tuple[float, float]] | ESLimit = (),
        cardinality: int | None = None,
        min_position: Any = None,
        lot_size: Any = None,
        constraints: Constraints | None = None,
        tol: float = 1e-8,
        max_iterations: int = 100,
        time_limit: float | None = None,
        callback: Callback | None = None,
        progress: bool | None = None,
    ) -> None:
        self.level = level
        self.mean_weight = mean_weight
        self.mean = mean
        self.budget = budget
        self.bounds = bounds
        self.gross = gross
        self.groups = groups
        self.A_ub = A_ub
        self.b_ub = b_ub
        self.A_eq = A_eq
        self.b_eq = b_eq
        self.return_target = return_target
        self.current = current
        self.turnover = turnover
        self.costs = costs
        self.es_limits = es_limits
        self.cardinality = cardinality
        self.min_position = min_position
        self.lot_size = lot_size
        self.constraints = constraints
        self.tol = tol
        self.max_iterations = max_iterations
        self.time_limit = time_limit
        self.callback = callback
        self.progress = progress

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Find the weights.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Returns, one column for each asset; finite.
        y : None
            Not used; it is there for scikit-learn.
        sample_weight : array_like, shape (n_samples,), optional
            Probabilities of the rows, of any scale.

        Returns
        -------
        MinimumES
            The estimator itself.

        Raises
        ------
        InfeasibleError, UnboundedError, IterationLimitError, TimeLimitError, ValueError, TypeError
            As for `minimize_es`.
        """
        values = _read_samples(self, X, reset=True)
        if sample_weight is not None and not np.asarray(sample_weight).any():
            raise ValueError("sample_weight is zero for all rows; at least one must count")
        self.result_ = minimize_es(
            X if hasattr(X, "columns") else values,
            self.level,
            mean_weight=self.mean_weight,
            mean=self.mean,
            probabilities=sample_weight,
            constraints=_merged(self),
            tol=self.tol,
            max_iterations=self.max_iterations,
            time_limit=self.time_limit,
            callback=self.callback,
            progress=self.progress,
        )
        self.weights_ = np.asarray(self.result_.weights, dtype=np.float64).ravel()
        self.es_ = float(self.result_.es)
        return self

    def predict(self, X: Any) -> Floats:
        """Return the returns of the portfolio.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Returns of the assets.

        Returns
        -------
        ndarray, shape (n_samples,)
            ``X @ weights_``: the portfolio is brought back to its weights after every row.
        """
        _check_fitted(self)
        portfolio: Floats = _read_samples(self, X, reset=False) @ self.weights_
        return portfolio

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return minus the Expected Shortfall of the portfolio, so that more is better.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Returns of the assets.
        y : None
            Not used; it is there for scikit-learn.
        sample_weight : array_like, shape (n_samples,), optional
            Probabilities of the rows, of any scale.

        Returns
        -------
        float
            ``-cshortfall.es(predict(X), level, weights=sample_weight)``.

        Notes
        -----
        Scores at different levels are of different measures: a search over `level` needs a ``scoring`` of its own.
        """
        return -float(es(self.predict(X), self.level, weights=sample_weight))


MinimumES.__module__ = "cshortfall.optimize"


def _merged(estimator: MinimumES) -> Constraints:
    """Return the constraints that an estimator has by its object and its keywords."""
    given = estimator.constraints
    if given is not None and not isinstance(given, Constraints):
        raise TypeError(f"constraints must be a Constraints object, got {_arguments.shown(given)}")
    chosen = {}
    for one in fields(Constraints):
        value = getattr(estimator, one.name)
        if given is not None and _is_same(value, one.default):
            value = getattr(given, one.name)
        chosen[one.name] = value
    return Constraints(**chosen)


def _is_same(value: Any, default: Any) -> bool:
    """Whether a value is the default, or a copy of it that another process was sent."""
    if isinstance(default, tuple):
        return isinstance(value, tuple) and len(value) == len(default) and all(map(_is_same, value, default))
    return type(value) is type(default) and bool(value == default)


def _read_samples(estimator: MinimumES, X: Any, *, reset: bool) -> Samples:
    """Return the data as an array; remember, or compare, number and names of its columns."""
    if _Base is not _Parameters:
        from sklearn.utils.validation import validate_data

        checked: Samples = validate_data(estimator, X, reset=reset, dtype=[np.float64, np.float32])
        return checked
    values, labels = _arguments.read_samples("X", X)
    if values.ndim != 2:
        raise ValueError(f"X must have shape (n_samples, n_features), got shape {values.shape}")
    names = None if labels is None or labels.columns is None else list(labels.columns)
    if names is not None and not all(isinstance(name, str) for name in names):
        names = None
    if reset:
        estimator.n_features_in_ = values.shape[1]
        estimator.__dict__.pop("feature_names_in_", None)
        if names is not None:
            estimator.feature_names_in_ = np.array(names, dtype=object)
    elif values.shape[1] != estimator.n_features_in_:
        raise ValueError(f"X has {values.shape[1]} columns, the data of fit had {estimator.n_features_in_}")
    elif names is not None and names != list(getattr(estimator, "feature_names_in_", names)):
        raise ValueError(f"X must have the columns of the data of fit, in their order; got {names}")
    return values


def _check_fitted(estimator: MinimumES) -> None:
    if _Base is not _Parameters:
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(estimator)
    elif not hasattr(estimator, "weights_"):
        raise AttributeError(f"this {type(estimator).__name__} has no weights yet; call fit(X) first")
