"""`minimize_es` and its constraints against conic and linear solvers, Benders cuts, and its own plain problem.

What is compared reaches its accuracy first: the gaps of all contenders are those of their weights to cshortfall's
certified lower bound.
"""

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from market import FACTOR_RETURNS, market
from peers import CLARABEL, COMPILED, FORTITUDO, HIGHS, MIXED_INTEGER, OPTIMIZERS, SKFOLIO
from race import Target
from table import FASTER, FIGURE, SECONDS, SLOWER

import cshortfall
from cshortfall.datasets import load_equity_returns
from cshortfall.optimize import OptimizationError, frontier, maximize_return, minimize_es

LEVEL = 0.95
TOL = 1e-9
MILLION = 1_000_000
SMALL, MEDIUM, SQUARE, TALL, LARGE = (10_000, 50), (50_000, 100), (200_000, 400), (MILLION, 100), (MILLION, 500)
SLOW_ROUNDS = 3
PLAIN = "minimize_es without"
# Integers: the gap at which searches end, and the time of the peer, which needs many times as long to end so.
INTEGER_TOL = 1e-4
PEER_SECONDS = 120.0


def named(shape):
    return f"{shape[0]:,} x {shape[1]}"


def certified(result, tol=TOL):
    """The result, once its gap has been looked at."""
    assert 0 <= result.gap <= tol
    return result


def reached(result):
    return f"gap {result.gap:.0e}, {result.passes} passes"


def gap_of(weights, returns, bound):
    """How far weights are above the certified bound, after what they miss of their constraints is made good."""
    allowed = np.maximum(np.ravel(weights), 0.0)
    es = cshortfall.es(returns @ (allowed / allowed.sum()), LEVEL)
    return max(es - bound, 0.0) / abs(es)


@pytest.fixture
def two_threads(one_thread):
    """Two threads for the passes over scenarios; linear algebra keeps to the one thread of `conftest`.

    Its products are small ones. A second thread of OpenBLAS waits for them by spinning, which on a machine with other
    work takes many times as long.
    """
    cshortfall.set_num_threads(2)
    if cshortfall.get_num_threads() < 2:
        pytest.skip("cshortfall was built without OpenMP")


def race_optimizers(race, case, data, returns, peer, *, target=None, rounds=None, most=1e-6, warm=True):
    """Race one peer; `most` is the largest gap that is still the same answer, None for a peer that ends with any."""
    target = Target(FASTER) if target is None else target
    if peer.missing():
        race.skip(case, data, peer.name, target=target, reason=f"{peer.missing()} is not installed here")
    subject = functools.partial(minimize_es, returns, LEVEL, tol=TOL)
    result = certified(subject())
    weights = race.against(
        case, data, subject, peer.name, peer.call(returns, LEVEL), target=target, rounds=rounds, warm=warm
    )
    gap = gap_of(weights, returns, result.lower_bound)
    race.remark(f"gap {result.gap:.0e}, the peer's {gap:.0e}")
    assert most is None or gap <= most


@pytest.mark.parametrize(
    ("peer", "bound"),
    [(CLARABEL, 50), (COMPILED, None), (HIGHS, 50), (FORTITUDO, None), (SKFOLIO, None)],
    ids=str,
)
def test_least_es_of_fifty_assets(race, peer, bound):
    most = None if peer is FORTITUDO else 1e-6
    target = Target(FASTER, bound)
    race_optimizers(
        race,
        f"minimize_es, {named(SMALL)}, gap ≤ {TOL:g}",
        FACTOR_RETURNS,
        market(*SMALL),
        peer,
        target=target,
        rounds=SLOW_ROUNDS,
        most=most,
    )


@pytest.mark.parametrize(
    ("peer", "bound"), [(CLARABEL, 350), (FORTITUDO, 30), (COMPILED, None), (SKFOLIO, None)], ids=str
)
def test_least_es_of_a_hundred_assets(race, request, peer, bound):
    """Conic solvers take most of a minute: only with --slow-peers, and once."""
    case = f"minimize_es, {named(MEDIUM)}, gap ≤ {TOL:g}"
    target = Target(FASTER, bound)
    if peer is not FORTITUDO and not request.config.getoption("--slow-peers"):
        race.skip(case, FACTOR_RETURNS, peer.name, target=target, reason="needs --slow-peers")
    rounds, most = (SLOW_ROUNDS, None) if peer is FORTITUDO else (1, 1e-6)
    race_optimizers(
        race,
        case,
        FACTOR_RETURNS,
        market(*MEDIUM),
        peer,
        target=target,
        rounds=rounds,
        most=most,
        warm=False,
    )


@pytest.mark.parametrize("peer", OPTIMIZERS, ids=str)
def test_least_es_of_shares(race, peer):
    """The embedded data; HiGHS and Clarabel have no trouble with so little of them."""
    returns = load_equity_returns().returns
    case = f"minimize_es, embedded returns, {named(returns.shape)}, gap ≤ {TOL:g}"
    most = None if peer is FORTITUDO else 1e-6
    race_optimizers(race, case, "US shares", returns, peer, rounds=SLOW_ROUNDS, most=most)


@pytest.mark.parametrize(("shape", "bound"), [(SQUARE, 1.5), (TALL, 1.2)], ids=["200000x400", "1000000x100"])
def test_many_scenarios(race, two_threads, shape, bound):
    subject = functools.partial(minimize_es, market(*shape), LEVEL, tol=TOL)
    case = f"minimize_es, {named(shape)}, gap ≤ {TOL:g}, 2 threads"
    race.remark(reached(certified(race.alone(case, FACTOR_RETURNS, subject, bound=bound))))


@pytest.mark.parametrize(("tol", "bound"), [(1e-6, 12), (1e-9, 25)], ids=["1e-6", "1e-9"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gigabytes_of_scenarios(race, request, two_threads, dtype, tol, bound):
    case = f"minimize_es, {named(LARGE)} {dtype}, gap ≤ {tol:g}, 2 threads"
    if not request.config.getoption("--large"):
        race.skip(case, FACTOR_RETURNS, "cshortfall", target=Target(SECONDS, bound), reason="needs --large")
    subject = functools.partial(minimize_es, market(*LARGE, dtype), LEVEL, tol=tol)
    result = race.alone(case, FACTOR_RETURNS, subject, bound=bound, rounds=SLOW_ROUNDS)
    race.remark(reached(certified(result, tol)))


@functools.cache
def extra_memory(scenarios, assets, dtype, tol):
    """The memory beside the data, in percent of them, of a process of its own."""
    script = Path(__file__).with_name("peak_memory.py")
    arguments = [sys.executable, str(script), str(scenarios), str(assets), dtype, str(tol)]
    run = subprocess.run(arguments, check=True, capture_output=True, text=True)
    return 100 * float(run.stdout)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [(TALL, "float64"), (LARGE, "float64"), (LARGE, "float32")],
    ids=["1000000x100-float64", "1000000x500-float64", "1000000x500-float32"],
)
def test_memory(race, request, shape, dtype):
    case = f"peak memory of minimize_es beside the data, {named(shape)} {dtype}, gap ≤ {TOL:g}"
    if not Path("/proc/self/status").exists():
        pytest.skip("needs Linux")
    unit = "% of the data"
    if shape is LARGE and not request.config.getoption("--large"):
        target = Target(FIGURE, 20)
        race.skip(case, FACTOR_RETURNS, "cshortfall", target=target, reason="needs --large", unit=unit)
    call = functools.partial(extra_memory, *shape, dtype, TOL)
    race.figure(case, FACTOR_RETURNS, call(), unit, call, bound=20)


def test_growth(race):
    returns = market(*TALL)
    subject, tenth = (functools.partial(minimize_es, rows, LEVEL, tol=TOL) for rows in (returns, returns[:100_000]))
    whole, part = certified(subject()), certified(tenth())
    case = f"minimize_es, {named(TALL)}, gap ≤ {TOL:g}"
    race.against(case, FACTOR_RETURNS, subject, "100,000 scenarios", tenth, target=Target(SLOWER, 11))
    race.remark(f"{whole.passes} passes against {part.passes}")


def test_frontier(race):
    returns, points, tol = market(*MEDIUM), 20, 1e-8
    subject = functools.partial(frontier, returns, LEVEL, points, tol=tol)
    curve = subject()
    assert len(curve) == points
    assert curve.gap.max() <= tol
    one = functools.partial(minimize_es, returns, LEVEL, tol=tol)
    case = f"frontier of {points} points, {named(MEDIUM)}, gap ≤ {tol:g}"
    race.against(case, FACTOR_RETURNS, subject, "one minimize_es", one, target=Target(SLOWER, 10), rounds=SLOW_ROUNDS)
    race.remark(f"gap {curve.gap.max():.0e}, {sum(point.passes for point in curve)} passes")


def added(returns):
    """Constraints that the plain optimum violates."""
    assets = returns.shape[1]
    plain = certified(minimize_es(returns, LEVEL, tol=TOL))
    most = float(returns.mean(axis=0).max())
    equal = np.full(assets, 1 / assets)
    target = {"return_target": plain.mean + 0.25 * (most - plain.mean)}
    turnover = {"current": equal, "turnover": 0.5 * float(np.abs(plain.weights - equal).sum())}
    sectors = np.array_split(np.arange(assets), 5)
    shares = sorted(float(plain.weights[sector].sum()) for sector in sectors)
    limits = (shares[0] + shares[1]) / 2, (shares[-2] + shares[-1]) / 2
    groups = {"groups": {f"sector {number}": (sector, *limits) for number, sector in enumerate(sectors)}}
    near = {"return_target": plain.mean + 0.1 * (most - plain.mean)}
    return {
        "return target": target,
        "turnover": turnover,
        "groups": groups,
        "all three": {**near, **turnover, **groups},
    }


@pytest.mark.parametrize("constraints", ["return target", "turnover", "groups", "all three"])
def test_constraints_added(race, constraints):
    returns = market(*MEDIUM)
    plain = functools.partial(minimize_es, returns, LEVEL, tol=TOL)
    subject = functools.partial(minimize_es, returns, LEVEL, tol=TOL, **added(returns)[constraints])
    result = certified(subject())
    case = f"minimize_es with constraints that bind, {named(MEDIUM)}, gap ≤ {TOL:g}"
    race.against(case, constraints, subject, PLAIN, plain, target=Target(SLOWER, 2))
    race.remark(reached(result))


@pytest.mark.parametrize("slack", [1.05, 1.2, 2.0], ids="ES limit {} x the least".format)
def test_largest_return_under_a_limit(race, slack):
    returns = market(*MEDIUM)
    plain = functools.partial(minimize_es, returns, LEVEL, tol=TOL)
    limit = slack * certified(plain()).es
    subject = functools.partial(maximize_return, returns, limit, LEVEL, tol=TOL)
    result = certified(subject())
    assert result.es <= limit * (1 + 1e-9)
    case = f"maximize_return, {named(MEDIUM)}, gap ≤ {TOL:g}"
    data = f"ES limit {slack:g} times the least ES"
    race.against(case, data, subject, "minimize_es", plain, target=Target(SLOWER, 2), rounds=SLOW_ROUNDS)
    race.remark(reached(result))


class Ending:
    """How the peer's search ended: the ES of its weights, and how far that is above the bound that it reports."""

    es = gap = np.inf

    def search(self, call, returns, count, limit):
        """Run the peer; weights that it misses its constraints by are made good."""
        weights, bound = call(count, INTEGER_TOL, limit)
        if weights is not None:
            allowed = np.maximum(weights, 0.0)
            self.es = cshortfall.es(returns @ (allowed / allowed.sum()), LEVEL)
            self.gap = (self.es - bound) / abs(self.es)


def as_good_as(ending, returns, count):
    """Search until the gap is that of the peer and the weights are no worse; to the end, where it has not run yet."""

    def reached(progress):
        return progress.gap <= max(ending.gap, INTEGER_TOL) and progress.value <= ending.es < np.inf

    try:
        return minimize_es(returns, LEVEL, cardinality=count, tol=INTEGER_TOL, callback=reached)
    except OptimizationError as error:
        return error


@pytest.mark.parametrize(("shape", "count", "bound"), [(SMALL, 10, 10), ((2000, 30), 5, None)], ids=["50", "30"])
def test_few_assets_of_many(race, request, shape, count, bound):
    """The peer has two minutes; cshortfall then as long as it takes to have its gap, and weights no worse."""
    case, target = f"minimize_es, cardinality {count}, {named(shape)}", Target(FASTER, bound)
    reason = f"{MIXED_INTEGER.missing()} is not installed here" if MIXED_INTEGER.missing() else ""
    if not request.config.getoption("--slow-peers"):
        reason = "needs --slow-peers"
    if reason:
        race.skip(case, FACTOR_RETURNS, MIXED_INTEGER.name, target=target, reason=reason)
    returns, ending = market(*shape), Ending()
    proved = minimize_es(returns, LEVEL, cardinality=count, tol=INTEGER_TOL)
    assert proved.gap <= INTEGER_TOL
    subject = functools.partial(as_good_as, ending, returns, count)
    peer = functools.partial(ending.search, MIXED_INTEGER.call(returns, LEVEL), returns, count, PEER_SECONDS)
    race.against(case, FACTOR_RETURNS, subject, MIXED_INTEGER.name, peer, target=target, rounds=1, warm=False)
    worse = ending.es / proved.es - 1
    race.remark(
        f"the peer's gap {ending.gap:.0e}, its ES {worse:.0e} above the least, which takes {proved.seconds:.1f} s"
    )
