"""The decay factor of exponential weights, from any of the parameters by which pandas lets it be given."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cshortfall import _arguments
from cshortfall._core.resample import exponential

# Name: (condition, what it says, the factor).
_PARAMETERS: dict[str, tuple[Callable[[float], bool], str, Callable[[float], float]]] = {
    "com": (lambda value: value >= 0.0, "at least 0", lambda value: value / (1.0 + value)),
    "span": (lambda value: value >= 1.0, "at least 1", lambda value: (value - 1.0) / (value + 1.0)),
    "halflife": (lambda value: value > 0.0, "above 0", lambda value: exponential(-math.log(2.0) / value)),
    "alpha": (lambda value: 0.0 < value <= 1.0, "in (0, 1]", lambda value: 1.0 - value),
    "decay": (lambda value: 0.0 <= value < 1.0, "in [0, 1)", lambda value: value),
}


def read_decay(**given: Any) -> float:
    """Return the factor in [0, 1) by which a weight falls from one position to the next."""
    named = {name: value for name, value in given.items() if value is not None}
    if len(named) != 1:
        got = f"got {' and '.join(named)}" if named else "got none of them"
        raise ValueError(f"give one of {', '.join(_PARAMETERS)}, {got}; for example decay=0.97")
    ((name, value),) = named.items()
    if name == "halflife" and isinstance(value, (str, datetime.timedelta, np.timedelta64)):
        raise TypeError(f"halflife must be a number of positions, got {value!r}; times are not supported")
    number = _arguments.real_number(value)
    if number is None:
        raise TypeError(f"{name} must be a number {_PARAMETERS[name][1]}, got {_arguments.shown(value)}")
    allowed, domain, factor_of = _PARAMETERS[name]
    if not allowed(number) or math.isinf(number):
        raise ValueError(f"{name} must be {domain} and finite, got {number:.15g}")
    factor = factor_of(number)
    if factor >= 1.0:
        raise ValueError(f"{name}={number:.15g} makes all weights equal; use expanding_es")
    return factor
