"""Expected Shortfall and Value at Risk of samples, exact and fast.

The data are profit and loss or returns, gains positive; ``es`` and ``var`` return losses, positive when money is
lost; ``level=0.975`` is the confidence, so that the tail holds the worst 2.5 % of the outcomes.

>>> import cshortfall
>>> cshortfall.es([0.3, -2.0, 0.5, -1.0], level=0.5)
1.5
"""

from importlib import import_module
from typing import TYPE_CHECKING

try:
    from cshortfall._config import get_include, get_library_dir, show_config
except ImportError as error:
    from cshortfall import cli

    cli.end_where_started(error)
    raise
from cshortfall._accessors import register_where_loaded
from cshortfall._core.openmp import get_num_threads, set_num_threads
from cshortfall.estimate import (
    ESVaR,
    LevelWarning,
    TailRisk,
    TailWeights,
    es,
    es_gradient,
    es_of_portfolios,
    es_var,
    tail_risk,
    tail_weights,
    var,
)

__version__ = "0.1.0"

__all__ = [
    "ESVaR",
    "LevelWarning",
    "TailRisk",
    "TailWeights",
    "__version__",
    "decompose",
    "es",
    "es_gradient",
    "es_of_portfolios",
    "es_var",
    "get_include",
    "get_library_dir",
    "get_num_threads",
    "optimize",
    "rolling",
    "set_num_threads",
    "show_config",
    "stream",
    "tail_risk",
    "tail_weights",
    "var",
]

_SUBMODULES = ("decompose", "optimize", "rolling", "stream")

if TYPE_CHECKING:
    from cshortfall import decompose, optimize, rolling, stream
else:

    def __getattr__(name):
        """Import a submodule when it is first named: who calls `es` alone does not wait for it."""
        if name in _SUBMODULES:
            return import_module(f"cshortfall.{name}")
        raise AttributeError(f"module 'cshortfall' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})


register_where_loaded()
