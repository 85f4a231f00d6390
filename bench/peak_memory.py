"""What `minimize_es` needs beside its data: the peak of a process that does nothing else; on Linux.

python bench/peak_memory.py SCENARIOS ASSETS DTYPE TOL    print it as a share of the data
"""

import sys
from pathlib import Path

import numpy as np
from market import fill_market

import cshortfall
from cshortfall.optimize import minimize_es

LEVEL = 0.95
STATUS = Path("/proc/self/status")


def resident(field):
    """Bytes that are in memory now (VmRSS) or were at most (VmHWM).

    The peak of `resource.getrusage` would not do: a process that is started from a larger one begins with its peak.
    """
    (line,) = (line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


def extra_memory(scenarios, assets, dtype, tol):
    """Return the peak less what is there before, as a share of the data; on two threads."""
    cshortfall.set_num_threads(2)
    # What is loaded only once must not count.
    minimize_es(fill_market(np.empty((5_000, assets), dtype)), LEVEL, tol=tol)
    returns = fill_market(np.empty((scenarios, assets), dtype))
    before = resident("VmRSS")
    minimize_es(returns, LEVEL, tol=tol)
    return (resident("VmHWM") - before) / returns.nbytes


if __name__ == "__main__":
    print(extra_memory(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4])))
