"""`es` of one array: sizes, call overhead, threads, several levels, weights, float32."""

import functools

import numpy as np
import pytest
from inputs import KINDS, sample
from peers import ARRAY_PEERS, MEMORY, load
from race import Target, check_agreement
from reference import tail_count, tail_mean_loss
from table import FASTER, SLOWER

import cshortfall

LEVEL = 0.975
FIVE_LEVELS = (0.9, 0.95, 0.975, 0.99, 0.995)
MILLION = 1_000_000
TEN_MILLION = 10_000_000
FASTER_THAN_PARTITION = {TEN_MILLION: 5, MILLION: 5, 100_000: 5, 10_000: 4, 1_000: 2.5, 250: 2}
PARTITION = ARRAY_PEERS[0]

kinds = pytest.mark.parametrize("kind", KINDS)


def note_on_definition(peer, n, level=LEVEL):
    """What a contender computes when it is not the Expected Shortfall, else an empty string."""
    if peer.count is None or peer.count(n, level) == tail_count(n, level):
        return ""
    return f"averages the worst {peer.count(n, level)} of {n:,}; the tail is {float(tail_count(n, level)):g}"


def check_array_peer(peer, call, x, level=LEVEL, rtol=1e-10):
    if peer.count is not None:
        check_agreement(call, tail_mean_loss(x, peer.count(x.size, level)), rtol)


@kinds
@pytest.mark.parametrize("n", FASTER_THAN_PARTITION, ids="n={}".format)
@pytest.mark.parametrize("peer", [None, *ARRAY_PEERS, MEMORY], ids=lambda peer: peer.name if peer else "cshortfall")
def test_es_of_one_array(race, kind, n, peer):
    x = sample(kind, n)
    case = f"es(x), n = {n:,}"
    subject = functools.partial(cshortfall.es, x)
    check_agreement(subject, tail_mean_loss(x, tail_count(n, LEVEL)), 1e-14)
    if peer is None:
        race.alone(case, kind, subject)
        return
    call = peer.call(x, LEVEL)
    check_array_peer(peer, call, x)
    target = Target(FASTER)
    if peer is PARTITION:
        target = Target(FASTER, FASTER_THAN_PARTITION[n])
    elif peer is MEMORY:
        target = Target(SLOWER, 1.8 if n == TEN_MILLION else None)
    race.against(case, kind, subject, peer.name, call, target=target, note=note_on_definition(peer, n))


def test_call_overhead(race):
    subject = functools.partial(cshortfall.es, sample("normal", 1))
    race.alone("call overhead: es(x), n = 1", "normal", subject, bound=700e-9)


@kinds
def test_es_of_one_array_with_two_threads(race, kind):
    cshortfall.set_num_threads(2)
    if cshortfall.get_num_threads() < 2:
        pytest.skip("cshortfall was built without OpenMP")
    x = sample(kind, TEN_MILLION)
    subject = functools.partial(cshortfall.es, x)
    call = PARTITION.call(x, LEVEL)
    check_agreement(subject, tail_mean_loss(x, tail_count(x.size, LEVEL)), 1e-14)
    case = f"es(x), n = {TEN_MILLION:,}, 2 threads"
    race.against(case, kind, subject, PARTITION.name, call, target=Target(FASTER, 8))


def five_levels_by_partition(x, ranks):
    worst = np.partition(x, ranks)
    return [-worst[:k].mean() for k in ranks]


def five_levels_by_sort(x, ranks):
    worst = np.sort(x)
    return [-worst[:k].mean() for k in ranks]


@kinds
@pytest.mark.parametrize(
    "contender", ["es(x, 0.975)", "es(x, 0.9)", "np.partition(x, 5 ranks) recipe", "np.sort recipe"]
)
def test_five_levels_at_once(race, kind, contender):
    x = sample(kind, MILLION)
    ranks = [int(tail_count(x.size, level)) for level in FIVE_LEVELS]
    calls = {
        "es(x, 0.975)": functools.partial(cshortfall.es, x, 0.975),
        "es(x, 0.9)": functools.partial(cshortfall.es, x, 0.9),
        "np.partition(x, 5 ranks) recipe": functools.partial(five_levels_by_partition, x, ranks),
        "np.sort recipe": functools.partial(five_levels_by_sort, x, ranks),
    }
    subject = functools.partial(cshortfall.es, x, FIVE_LEVELS)
    expected = [tail_mean_loss(x, k) for k in ranks]
    check_agreement(subject, expected, 1e-14)
    if contender.startswith("np."):
        check_agreement(calls[contender], expected)
        target = Target(FASTER)
    else:
        target = Target(SLOWER, 1.5 if contender == "es(x, 0.975)" else None)
    case = f"five levels at once, n = {MILLION:,}"
    race.against(case, kind, subject, contender, calls[contender], target=target)


def weighted_by_argsort(x, weights, level):
    order = np.argsort(x)
    worst, mass = x[order], weights[order]
    cumulative = np.cumsum(mass)
    tail = (1 - level) * cumulative[-1]
    k = np.searchsorted(cumulative, tail)
    before = cumulative[k - 1] if k else 0.0
    return -(worst[:k] @ mass[:k] + (tail - before) * worst[k]) / tail


@kinds
@pytest.mark.parametrize("contender", ["argsort + cumsum recipe", "skfolio", "es(x) without weights"])
def test_weighted_es(race, kind, contender):
    x = sample(kind, MILLION)
    weights = np.random.default_rng(7).exponential(size=MILLION)
    subject = functools.partial(cshortfall.es, x, weights=weights)
    recipe = functools.partial(weighted_by_argsort, x, weights, LEVEL)
    expected = recipe()
    check_agreement(subject, expected)
    target = Target(FASTER)
    if contender == "skfolio":
        call = functools.partial(load("skfolio.measures").cvar, x, LEVEL, weights)
        check_agreement(call, expected)
    elif contender == "es(x) without weights":
        call = functools.partial(cshortfall.es, x)
        target = Target(SLOWER)
    else:
        call = recipe
        target = Target(FASTER, 10)
    race.against(f"weighted es, n = {MILLION:,}", kind, subject, contender, call, target=target)


@kinds
@pytest.mark.parametrize("contender", ["es of float64", "np.partition recipe (float32)"])
def test_es_of_float32(race, kind, contender):
    x = sample(kind, TEN_MILLION)
    single = x.astype(np.float32)
    subject = functools.partial(cshortfall.es, single)
    check_agreement(subject, tail_mean_loss(single, tail_count(single.size, LEVEL)), 1e-14)
    if contender == "es of float64":
        call = functools.partial(cshortfall.es, x)
        target = Target(FASTER, 1.0)
    else:
        call = PARTITION.call(single, LEVEL)
        check_array_peer(PARTITION, call, single, rtol=1e-5)
        target = Target(FASTER)
    race.against(f"es of float32, n = {TEN_MILLION:,}", kind, subject, contender, call, target=target)
