import numpy as np
from numpy.typing import NDArray

def portfolio_tail(
    returns: NDArray[np.float64] | NDArray[np.float32],
    weights: NDArray[np.float64],
    levels: NDArray[np.float64],
    upper: bool,
    threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]: ...
