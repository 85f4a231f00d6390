import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]
_Key = NDArray[np.uint64]

def exponential(x: float) -> float: ...
def moments(x: _Floats, weights: _Floats | None = None) -> tuple[float, float, float, float]: ...
def excess(x: _Floats, weights: _Floats | None, threshold: float) -> tuple[float, float, float]: ...
def student_sums(
    x: _Floats, weights: _Floats | None, location: float, scale: float, inverse_dof: float
) -> list[float]: ...
def student_dof_scores(x: _Floats, location: float, scale: float, inverse_dof: float) -> _Floats: ...
def tail_replicates(
    losses: _Floats,
    weights: _Floats | None,
    draws: int,
    tail_count: float,
    key: _Key,
    replicates: int,
    threads: int,
) -> tuple[_Floats, _Floats, _Floats]: ...
def block_replicates(
    losses: _Floats,
    order: NDArray[np.int64],
    weights: _Floats | None,
    tail_fraction: float,
    block_length: int,
    key: _Key,
    replicates: int,
    threads: int,
) -> tuple[_Floats, _Floats, _Floats]: ...
def mean_replicates(
    columns: _Floats,
    weights: _Floats | None,
    draws: int,
    block_length: int,
    key: _Key,
    replicates: int,
    threads: int,
) -> tuple[_Floats, _Floats]: ...
def studentized(values: _Floats, errors: _Floats, estimate: float, logarithmic: bool) -> _Floats: ...
def long_run_variance(x: _Floats, block_length: int, centre: float) -> float: ...
def binomial_ranks(n: int, p: float, alpha: float) -> tuple[int, int]: ...
