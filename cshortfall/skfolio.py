"""Estimators of this package among the optimisations of skfolio, which nothing else here imports.

>>> from cshortfall.optimize import MinimumES
>>> from cshortfall.skfolio import Optimization
>>> Optimization(MinimumES(0.95, bounds=(0, 0.2)))
Optimization(estimator=MinimumES(bounds=(0, 0.2), level=0.95))
"""

from __future__ import annotations

from typing import Any

from skfolio.optimization import BaseOptimization
from sklearn.base import clone

from cshortfall.optimize.estimator import MinimumES

__all__ = ["Optimization"]


class Optimization(BaseOptimization):  # type: ignore[misc]
    """An estimator of weights for `skfolio.model_selection.cross_val_predict` and whatever else wants portfolios.

    Parameters
    ----------
    estimator : MinimumES, optional
        What finds the weights; default ``MinimumES()``. Its parameters are ``estimator__level`` and the like in
        searches.
    portfolio_params, fallback, previous_weights, raise_on_failure
        As for every optimisation of skfolio. `previous_weights` are not the holdings now of the optimisation, which
        are its ``current``.

    Attributes
    ----------
    weights_ : ndarray, shape (n_assets,)
        Weights of the assets.
    estimator_ : MinimumES
        The fitted estimator, a copy.

    Notes
    -----
    `predict` gives a `skfolio.Portfolio`, `score` minus the Expected Shortfall.

    Examples
    --------
    >>> import numpy as np
    >>> from skfolio.model_selection import WalkForward, cross_val_predict
    >>> from cshortfall.optimize import MinimumES
    >>> from cshortfall.skfolio import Optimization
    >>> returns = 0.01 * np.random.default_rng(1).standard_t(4, (500, 3))
    >>> splits = WalkForward(test_size=100, train_size=300)
    >>> path = cross_val_predict(Optimization(MinimumES(0.9)), returns, cv=splits)
    >>> len(path), path.returns.shape
    (2, (200,))
    """

    def __init__(
        self,
        estimator: MinimumES | None = None,
        portfolio_params: dict[str, Any] | None = None,
        fallback: Any = None,
        previous_weights: Any = None,
        raise_on_failure: bool = True,
    ) -> None:
        super().__init__(
            portfolio_params=portfolio_params,
            fallback=fallback,
            previous_weights=previous_weights,
            raise_on_failure=raise_on_failure,
        )
        self.estimator = estimator

    def fit(self, X: Any, y: Any = None) -> Any:
        """Find the weights.

        Parameters
        ----------
        X : array_like, shape (n_observations, n_assets)
            Returns of the assets.
        y : None
            Not used.

        Returns
        -------
        Optimization
            The optimisation itself.
        """
        self.estimator_: MinimumES = clone(MinimumES() if self.estimator is None else self.estimator)
        self.estimator_.fit(X)
        for name in ("weights_", "n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def score(self, X: Any, y: Any = None) -> float:
        """Return minus the Expected Shortfall of the portfolio, so that more is better."""
        return self.estimator_.score(X)
