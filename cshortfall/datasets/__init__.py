"""Real data that ship with the package, for the examples, the tests and ``cshortfall`` without an argument.

Origin and licence of each file are in the ``NOTICE`` beside it.
"""

import gzip
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["EquityReturns", "load_equity_returns"]


class EquityReturns(NamedTuple):
    """Daily returns of several shares."""

    dates: npt.NDArray[np.datetime64]
    """Trading days, ascending, ``datetime64[D]``, shape (n_days,)."""
    names: tuple[str, ...]
    """Ticker symbols, one for each column of `returns`."""
    returns: npt.NDArray[np.float64]
    """Simple returns (0.01 is a gain of 1 %), shape (n_days, n_shares)."""


def load_equity_returns() -> EquityReturns:
    """Load the simple daily returns of 20 US shares, 2010 to 2022.

    Returns
    -------
    EquityReturns
        Named tuple of the dates, shape (3270,), the ticker symbols and the returns, shape (3270, 20),
        rounded to 5 decimals. The arrays are new at each call.

    Notes
    -----
    Computed from the adjusted closing prices in the skfolio package (BSD 3-Clause). All 20 shares were still
    listed at the end, so that the means are those of survivors.

    Examples
    --------
    >>> from cshortfall.datasets import load_equity_returns
    >>> dates, names, returns = load_equity_returns()
    >>> names[:3], returns.shape, str(dates[0])
    (('AAPL', 'AMD', 'BAC'), (3270, 20), '2010-01-04')
    """
    with files(__name__).joinpath("equity_returns.csv.gz").open("rb") as packed:
        header, *lines = gzip.decompress(packed.read()).decode("ascii").splitlines()
    days, _, cells = zip(*(line.partition(",") for line in lines), strict=True)
    return EquityReturns(
        dates=np.array(days, dtype="datetime64[D]"),
        names=tuple(header.split(",")[1:]),
        returns=np.loadtxt(cells, delimiter=",", dtype=np.float64),
    )
