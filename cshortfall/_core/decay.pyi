import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]

def decayed_rows(
    data: _Floats, decay: float, count_outcomes: bool, levels: _Floats, min_count: int, threads: int
) -> _Floats: ...
