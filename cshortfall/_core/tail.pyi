from typing import Final

import numpy as np
from numpy.typing import NDArray

OK: Final[int]
NAN: Final[int]
EMPTY: Final[int]
BAD_WEIGHT: Final[int]
ZERO_WEIGHT: Final[int]

def isa() -> str: ...
def available_isas() -> tuple[str, ...]: ...
def tail_rows(
    data: NDArray[np.float64] | NDArray[np.float32],
    levels: NDArray[np.float64],
    upper: bool,
    omit: bool,
    weights: NDArray[np.float64] | None,
    threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int32]]: ...
