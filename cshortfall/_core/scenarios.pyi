import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]
_Rows = NDArray[np.float64] | NDArray[np.float32]

class TailSums:
    def __init__(
        self,
        rows: _Rows,
        profit: _Floats | None,
        base: _Floats | None,
        mass: _Floats | None,
        low: float,
        boundary: float,
    ) -> None: ...
    @property
    def boundary(self) -> float: ...

def profits(
    rows: _Rows, x: _Floats, base: _Floats | None, mass: _Floats | None, out: _Floats | None = None
) -> tuple[_Floats, bool]: ...
def profits_and_tail(
    rows: _Rows,
    x: _Floats,
    base: _Floats | None,
    mass: _Floats | None,
    level: float | None,
    out: _Floats | None = None,
) -> tuple[_Floats, bool, TailSums | None]: ...
def scenarios_between(profit: _Floats, low: float, high: float) -> tuple[NDArray[np.int64], int]: ...
def tail_sums(
    rows: _Rows,
    profit: _Floats | None,
    boundary: float,
    base: _Floats | None,
    mass: _Floats | None,
    begun: TailSums | None = None,
) -> tuple[NDArray[np.int64], _Floats, _Floats, _Floats]: ...
def gather(rows: _Rows, index: NDArray[np.int64], scale: float = 1.0) -> _Floats: ...
