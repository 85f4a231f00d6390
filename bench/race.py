"""Paired measurement: every round times a peer and, right after it, cshortfall on the same data.

The clock of a shared machine drifts by more than the differences sought, so that two benchmarks run one after the
other cannot be divided. Here the ratio is taken inside each round, and the table reports the median of those ratios.
"""

import math
import time
from dataclasses import dataclass

import numpy as np
import pytest
from table import FIGURE, SECONDS

SHORTEST_ROUND = 2e-3
LONG_CALL = 0.5
ROUNDS = range(7, 101)
SMOKE_ROUNDS = 3


@dataclass(frozen=True)
class Target:
    """What a measurement should reach; it is reported, never asserted.

    Attributes
    ----------
    measure : str
        One of the measures in `table`: FASTER (time of the peer over ours, at least `bound`), SLOWER (ours over the
        peer's), SECONDS (ours), ADDED (ours less the peer's) or FIGURE, each at most `bound`.
    bound : float or None
        None: reported without a target.
    """

    measure: str
    bound: float | None = None


def seconds_per_call(call, iterations):
    """Mean time of `iterations` calls of a `functools.partial`, by the loop that pytest-benchmark runs."""
    function, args, kwargs = call.func, call.args, call.keywords
    start = time.perf_counter()
    for _ in range(iterations):
        function(*args, **kwargs)
    return (time.perf_counter() - start) / iterations


def check_agreement(call, expected, rtol=1e-10):
    """Raise AssertionError unless a call returns `expected`, either sign of a loss."""
    np.testing.assert_allclose(np.abs(np.asarray(call(), dtype=np.float64)), np.abs(expected), rtol=rtol)


class Race:
    """Times one contender in a benchmark of its own, with cshortfall interleaved."""

    def __init__(self, benchmark, budget):
        self._benchmark = benchmark
        self._budget = budget

    def _record(self, case, data, contender, target, note, worst=False, scale=1.0):
        self._benchmark.group = f"{case}, {data}" if data else case
        self._benchmark.extra_info.update(
            case=case,
            data=data,
            contender=contender,
            measure=target.measure,
            bound=target.bound,
            note=note,
            worst=worst,
            scale=scale,
        )

    def _plan(self, *calls):
        iterations = []
        for call in calls:
            once = seconds_per_call(call, 1)
            if once > LONG_CALL:
                # What a first call loads is little of it, and another one would take as long.
                iterations.append((1, once))
                continue
            once = seconds_per_call(call, 1)
            loops = max(1, min(100_000, math.ceil(SHORTEST_ROUND / max(once, 1e-9))))
            if loops > 1:
                loops = max(1, math.ceil(SHORTEST_ROUND / seconds_per_call(call, min(loops, 100))))
            iterations.append((loops, seconds_per_call(call, loops)))
        whole_round = sum(loops * once for loops, once in iterations)
        rounds = SMOKE_ROUNDS
        if self._budget > 0:
            rounds = min(ROUNDS[-1], max(ROUNDS[0], int(self._budget / whole_round)))
        return rounds, [loops for loops, _ in iterations]

    def _rounds(self, planned, rounds):
        """Rounds asked for replace those planned; a smoke run has no more of them."""
        if rounds is None:
            return planned
        return rounds if self._budget > 0 else min(rounds, planned)

    def remark(self, text):
        """Put a text before the figure in the table, such as the accuracy that was reached."""
        self._benchmark.extra_info["remark"] = text

    def skip(self, case, data, contender, *, target, reason, unit=""):
        """Leave a contender out: the table has its row, with the reason in place of the figure."""
        self._record(case, data, contender, target, "")
        self._benchmark.extra_info.update(skipped=reason, unit=unit)
        self._benchmark.pedantic(bool)
        pytest.skip(reason)

    def alone(self, case, data, subject, *, bound=None, scale=1.0, rounds=None):
        """Time `subject`, a `functools.partial`, and return its result.

        `bound` is in seconds, of the time multiplied by `scale`.
        """
        self._record(case, data, "cshortfall", Target(SECONDS, bound), "", scale=scale)
        planned, (loops,) = self._plan(subject)
        rounds = self._rounds(planned, rounds)
        return self._benchmark.pedantic(subject.func, subject.args, subject.keywords, rounds=rounds, iterations=loops)

    def against(
        self,
        case,
        data,
        subject,
        contender,
        peer,
        *,
        target,
        note="",
        rounds=None,
        worst=False,
        scale=1.0,
        warm=True,
    ):
        """Time `peer` with `subject` in every round, and return what the peer returned.

        A peer too slow for all of the data gets a part of them; `scale` is how many times as long all would take. One
        that takes many seconds is not called before its timed `rounds` if `warm` is False.

        The times of `subject` go to the benchmark's ``extra_info["subject_seconds"]``, one per round of the peer.
        With `worst` the table shows only the worst of the cases that differ in `data`.
        """
        self._record(case, data, contender, target, note, worst, scale)
        if warm:
            planned, (peer_loops, subject_loops) = self._plan(peer, subject)
            rounds = self._rounds(planned, rounds)
        else:
            peer_loops, (_, (subject_loops,)) = 1, self._plan(subject)
        subject_seconds = []

        def time_subject(*_args, **_kwargs):
            subject_seconds.append(seconds_per_call(subject, subject_loops))

        returned = self._benchmark.pedantic(
            peer.func, peer.args, peer.keywords, teardown=time_subject, rounds=rounds, iterations=peer_loops
        )
        self._benchmark.extra_info["subject_seconds"] = subject_seconds[:rounds]
        return returned

    def figure(self, case, data, value, unit, call, *, bound, note="", worst=False):
        """Report a number that is no time; `call` is what was measured, run once to give the benchmark its entry."""
        self._record(case, data, "cshortfall", Target(FIGURE, bound), note, worst)
        self._benchmark.extra_info.update(figure=value, unit=unit)
        self._benchmark.pedantic(call.func, call.args, call.keywords)
