import numpy as np
from numpy.typing import NDArray

MOST_POSITION: int

def rolling_rows(
    data: NDArray[np.float64] | NDArray[np.float32],
    window: int,
    lead: int,
    step: int,
    levels: NDArray[np.float64],
    upper: bool,
    min_count: int,
    threads: int,
    want_es: bool = True,
    want_var: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def rolling_bounds_rows(
    data: NDArray[np.float64] | NDArray[np.float32],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    levels: NDArray[np.float64],
    upper: bool,
    min_count: int,
    threads: int,
    want_es: bool = True,
    want_var: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
