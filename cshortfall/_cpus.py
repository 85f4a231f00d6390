"""How many processors this process may use: its affinity and the quota of its control group (containers)."""

import math
import os
from collections.abc import Iterator

__all__ = ["available_cpus", "cgroup_cpu_quota"]


def available_cpus() -> int:
    """Return the number of processors that this process may keep busy, at least 1.

    Returns
    -------
    int
        The smaller of the scheduling affinity and the control group's quota, rounded up.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cpus, math.ceil(min(cgroup_cpu_quota(), cpus))))


def cgroup_cpu_quota(root: str = "/") -> float:
    """Return the processors' worth of time that the control groups of this process grant.

    Parameters
    ----------
    root : str
        Folder that holds ``proc`` and ``sys``.

    Returns
    -------
    float
        The smallest quota from the process's own group up to the root group, of either version of control groups;
        infinity when there is none.
    """
    try:
        with open(os.path.join(root, "proc/self/cgroup")) as file:
            memberships = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return math.inf
    quota = math.inf
    for membership in memberships:
        if len(membership) != 3:
            continue
        _, controllers, path = membership
        if controllers == "":
            for folder in _folders_up(os.path.join(root, "sys/fs/cgroup"), path):
                quota = min(quota, _quotient(_words(folder, "cpu.max")))
        elif "cpu" in controllers.split(","):
            for folder in _folders_up(os.path.join(root, "sys/fs/cgroup/cpu"), path):
                microseconds = _words(folder, "cpu.cfs_quota_us") + _words(folder, "cpu.cfs_period_us")
                quota = min(quota, _quotient(microseconds))
    return quota


def _folders_up(mount: str, path: str) -> Iterator[str]:
    """Yield the folder of a group and of every group that contains it."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for depth in range(len(parts), -1, -1):
        yield os.path.join(mount, *parts[:depth])


def _words(folder: str, name: str) -> list[str]:
    try:
        with open(os.path.join(folder, name)) as file:
            return file.read().split()
    except OSError:
        return []


def _quotient(microseconds: list[str]) -> float:
    """Return quota / period; "max" and negative quotas mean none."""
    try:
        quota, period = map(int, microseconds)
    except ValueError:
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf
