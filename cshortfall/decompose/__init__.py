"""Who carries the risk: exact parts of the Expected Shortfall and Value at Risk of a portfolio.

ES and VaR are homogeneous in the holdings, so that holding times derivative, the *component*, sums over the positions
to the whole (Euler). The derivative itself is the *marginal*, what the risk falls by without a position the
*incremental* one. Nothing here is a finite difference: a marginal ES is the mean loss of the asset over the tail
scenarios of the portfolio.

>>> import numpy as np
>>> from cshortfall.decompose import decompose
>>> returns = np.array([[1.0, -2.0], [-3.0, 1.0], [2.0, 0.0], [-1.0, -1.0]])
>>> parts = decompose(returns, [0.5, 0.5], 0.5)
>>> parts.es, parts.component
(1.0, array([1., 0.]))
"""

from cshortfall.decompose._elliptical import EllipticalComponents, elliptical_components
from cshortfall.decompose._functions import (
    component_es,
    component_var,
    decompose,
    explain,
    incremental_es,
    incremental_var,
    marginal_es,
    marginal_var,
)
from cshortfall.decompose._result import Decomposition, TailScenarios

__all__ = [
    "Decomposition",
    "EllipticalComponents",
    "TailScenarios",
    "component_es",
    "component_var",
    "decompose",
    "elliptical_components",
    "explain",
    "incremental_es",
    "incremental_var",
    "marginal_es",
    "marginal_var",
]

for _name in __all__:
    globals()[_name].__module__ = __name__
del _name
