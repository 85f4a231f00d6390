from collections.abc import Sequence
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from cshortfall.estimate import ESVaR

# Arrays and sequences; frames and series are Any, and so are their results.
_Samples: TypeAlias = NDArray[np.floating[Any] | np.integer[Any]] | Sequence[float]
_Shaped: TypeAlias = _Samples | Sequence[Sequence[float]]
_Number: TypeAlias = float | np.floating[Any] | np.integer[Any]
_Levels: TypeAlias = Sequence[float] | NDArray[np.floating[Any]]
_Floats: TypeAlias = NDArray[np.float64]

@overload
def es(
    x: _Shaped,
    level: _Number = ...,
    *,
    axis: None = ...,
    weights: Any = ...,
    tail: str = ...,
    nan_policy: str = ...,
    method: str = ...,
    out: None = ...,
) -> float: ...
@overload
def es(
    x: _Shaped,
    level: _Levels,
    *,
    axis: int | tuple[int, ...] | None = ...,
    weights: Any = ...,
    tail: str = ...,
    nan_policy: str = ...,
    method: str = ...,
    out: None = ...,
) -> _Floats: ...
@overload
def es(
    x: Any,
    level: _Number | _Levels = ...,
    *,
    axis: int | tuple[int, ...] | None = ...,
    weights: Any = ...,
    tail: str = ...,
    nan_policy: str = ...,
    method: str = ...,
    out: _Floats,
) -> _Floats: ...
@overload
def es(
    x: Any,
    level: _Number | _Levels = ...,
    *,
    axis: int | tuple[int, ...] | None = ...,
    weights: Any = ...,
    tail: str = ...,
    nan_policy: str = ...,
    method: str = ...,
    out: None = ...,
) -> Any: ...
@overload
def var(
    x: _Shaped,
    level: _Number = ...,
    *,
    axis: None = ...,
    weights: Any = ...,
    tail: str = ...,
    nan_policy: str = ...,
    method: str = ...,
    quantile_method: str = ...,
    out: None = ...,
) -> float: ...
@overload
def var(
    x: _Shaped,
    level: _Levels,
    *,
    axis: int | tuple[int, ...] | None = ...,
    weights: Any = ...,
    tail: str = ...,
    nan_policy: str = ...,
    method: str = ...,
    quantile_method: str = ...,
    out: None = ...,
) -> _Floats: ...
@overload
def var(
    x: Any,
    level: _Number | _Levels = ...,
    *,
    axis: int | tuple[int, ...] | None = ...,
    weights: Any = ...,
    tail: str = ...,
    nan_policy: str = ...,
    method: str = ...,
    quantile_method: str = ...,
    out: _Floats,
) -> _Floats: ...
@overload
def var(
    x: Any,
    level: _Number | _Levels = ...,
    *,
    axis: int | tuple[int, ...] | None = ...,
    weights: Any = ...,
    tail: str = ...,
    nan_policy: str = ...,
    method: str = ...,
    quantile_method: str = ...,
    out: None = ...,
) -> Any: ...
def es_var(
    x: Any,
    level: _Number | _Levels = ...,
    *,
    axis: int | tuple[int, ...] | None = ...,
    weights: Any = ...,
    tail: str = ...,
    nan_policy: str = ...,
    method: str = ...,
    out: tuple[_Floats, _Floats] | None = ...,
) -> ESVaR: ...
