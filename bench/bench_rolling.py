"""`rolling_es`, `expanding_es` and `ewm_es` against the rolling quantiles of polars and pandas."""

import functools

import numpy as np
import pytest
from adversarial import NAMED
from bench_estimate import note_on_definition
from inputs import KINDS, sample
from peers import load, rolling_peers, whole_count
from race import Target, check_agreement
from reference import tail_count, tail_mean_loss
from table import FASTER, SLOWER

import cshortfall
from cshortfall.rolling import ewm_es, expanding_es, rolling_es

LEVEL = 0.975
MILLION = 1_000_000
APPLIED = 20_000
CHECKED = 20
QUANTILE = "the quantile alone"
# Window -> times faster than rolling_quantile of polars, quantile of pandas, apply of pandas.
FASTER_THAN = {250: (10, 50, 400), 1_000: (10, 50, 400), 10_000: (4, None, None), 100_000: (4, None, None)}
SLOW_ROUNDS = 3

kinds = pytest.mark.parametrize("kind", KINDS)


def last_windows(x, window):
    """The windows of the last `CHECKED` positions."""
    return [x[max(stop - window, 0) : stop] for stop in range(x.size - CHECKED + 1, x.size + 1)]


def last_results(call):
    return np.asarray(call())[-CHECKED:]


def check_windows(call, x, window, value, rtol):
    """Raise AssertionError unless the last results are the value of their windows."""
    expected = [value(part) for part in last_windows(x, window)]
    check_agreement(functools.partial(last_results, call), expected, rtol)


def exact_shortfall(part):
    return tail_mean_loss(part, tail_count(part.size, LEVEL))


def rolling_subject(x, window):
    subject = functools.partial(rolling_es, x, window, LEVEL)
    check_windows(subject, x, window, exact_shortfall, 1e-14)
    return subject


@kinds
@pytest.mark.parametrize("window", FASTER_THAN, ids="window={}".format)
@pytest.mark.parametrize("number", range(3), ids=["polars", "pandas", "apply"])
def test_rolling_es(race, kind, window, number):
    peer, bound = rolling_peers(window)[number], FASTER_THAN[window][number]
    x = sample(kind, MILLION)
    subject = rolling_subject(x, window)
    scale, note, rounds = 1.0, QUANTILE, SLOW_ROUNDS if window > 1_000 else None
    if peer.count is None:
        call = peer.call(x, LEVEL)
        check_windows(call, x, window, lambda part: np.quantile(part, 1 - LEVEL), 1e-10)
    elif bound is None:
        pytest.skip("minutes of NumPy calls")
    else:
        # Windows that are not full cost it nothing.
        part = x[: window - 1 + APPLIED]
        call, scale = peer.call(part, LEVEL), (x.size - window + 1) / APPLIED
        check_windows(call, part, window, lambda w: tail_mean_loss(w, whole_count(w.size, LEVEL)), 1e-10)
        note = "; ".join(
            filter(None, (note_on_definition(peer, window), f"timed on {APPLIED:,} windows, times {scale:.1f}"))
        )
    race.against(
        f"rolling_es, n = {x.size:,}, window {window:,}",
        kind,
        subject,
        peer.name,
        call,
        target=Target(FASTER, bound),
        note=note,
        rounds=rounds,
        scale=scale,
    )


@kinds
def test_time_hardly_grows_with_the_window(race, kind):
    x = sample(kind, MILLION)
    subject, short = rolling_subject(x, 100_000), rolling_subject(x, 1_000)
    case = f"rolling_es, n = {x.size:,}, window 100,000"
    race.against(case, kind, subject, "window 1,000", short, target=Target(SLOWER, 3))


RAMPS = {
    "rising ramps as long as the window": lambda n, window: np.arange(n) % window,
    "falling ramps as long as the window": lambda n, window: -(np.arange(n) % window),
    "rising ramps, one longer": lambda n, window: np.arange(n) % (window + 1),
    "the worst and the best in turn": lambda n, window: np.arange(n) * (-1.0) ** np.arange(n),
    "a burst of the worst in every window": lambda n, window: np.where(
        np.arange(n) % window < window // 20, -np.arange(n) % window - 1.0, np.arange(n) % 7
    ),
}
# Not the order of the values but the values themselves make the sums of the tail hard.
EXTREMES = (
    "neighbouring doubles",
    "subnormal",
    "sum of the tail overflows",
    "exponents from -1000 to 1000",
    "Cauchy",
    "tail that cancels",
    "infinite losses fill the tail",
    "infinite gains everywhere else",
)
# Every step takes the worst outcome or brings one, or nothing ever changes.
MONOTONE = (
    "ascending",
    "descending",
    "organ pipe",
    "valley",
    "saw, 8 teeth wide",
    "saw, 1,000 wide",
    "saw, 4,096 wide",
    "rising ramps as long as the window",
    "falling ramps as long as the window",
    "rising ramps, one longer",
    "all equal",
    "all equal but one, at the end",
    "all equal but one, at the start",
)
ADVERSARIAL = {
    "monotone, saw-tooth or constant": MONOTONE,
    "other orders and ties": [name for name in (*NAMED, *RAMPS) if name not in (*MONOTONE, *EXTREMES)],
    "ranges of values": EXTREMES,
}


@pytest.mark.parametrize("window", [250, 1_000, 10_000], ids="window={}".format)
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in ADVERSARIAL.items() for name in names])
def test_rolling_es_of_adversarial_input(race, kind, name, window):
    n = 20 * window if window > 1_000 else 100_000
    x = NAMED[name](n) if name in NAMED else np.ascontiguousarray(RAMPS[name](n, window), dtype=np.float64)
    subject = functools.partial(rolling_es, x, window, LEVEL)
    check_windows(subject, x, window, exact_shortfall, 1e-13)
    random = functools.partial(rolling_es, sample("normal", n), window, LEVEL)
    case = f"rolling_es, worst of {len(ADVERSARIAL[kind])} {kind}, n = {n:,}, window {window:,}"
    race.against(case, name, subject, "rolling_es of random data", random, target=Target(SLOWER, 4), worst=True)


def with_threads(threads, call):
    cshortfall.set_num_threads(threads)
    return call()


@pytest.mark.parametrize(
    "contender", ["cshortfall", "one thread", "polars rolling_quantile", "pandas rolling().quantile"]
)
def test_rolling_es_of_a_frame(race, contender):
    days, assets, window = 2_500, 500, 250
    x = sample("normal", days, assets)
    frame = load("pandas").DataFrame(x)
    cshortfall.set_num_threads(2)
    if cshortfall.get_num_threads() < 2:
        pytest.skip("cshortfall was built without OpenMP")
    one_by_one = functools.partial(rolling_es, frame, window, LEVEL)
    subject = functools.partial(with_threads, 2, one_by_one)
    for column in (0, assets - 1):
        check_windows(lambda column=column: subject().iloc[:, column], x[:, column], window, exact_shortfall, 1e-14)
    case = f"rolling_es of a DataFrame, {days:,} x {assets}, window {window}, 2 threads"
    if contender == "cshortfall":
        race.alone(case, "normal", subject, bound=25e-3)
        return
    note, target = f"{QUANTILE}, one thread", Target(FASTER)
    if contender == "one thread":
        call, note, target = functools.partial(with_threads, 1, one_by_one), "", Target(FASTER, 1.7)
    elif contender.startswith("pandas"):
        call = functools.partial(frame.rolling(window).quantile, 1 - LEVEL)
    else:
        polars = load("polars")
        quantiles = polars.all().rolling_quantile(1 - LEVEL, interpolation="linear", window_size=window)
        call = functools.partial(polars.DataFrame(x, schema=[str(i) for i in range(assets)]).select, quantiles)
    if note:
        quantile = [np.quantile(part, 1 - LEVEL) for part in last_windows(x[:, -1], window)]
        check_agreement(lambda: np.asarray(call())[-CHECKED:, -1], quantile)
    race.against(case, "normal", subject, contender, call, target=target, note=note)


@kinds
@pytest.mark.parametrize("name", ["expanding_es", "ewm_es"])
def test_all_so_far(race, kind, name):
    x = sample(kind, 100_000)
    if name == "expanding_es":
        subject = functools.partial(expanding_es, x, LEVEL)
        check_windows(subject, x, x.size, exact_shortfall, 1e-14)
    else:
        subject = functools.partial(ewm_es, x, LEVEL, decay=0.999)
        weights = 0.999 ** np.arange(x.size - 1, -1, -1.0)
        check_agreement(lambda: subject()[-1], cshortfall.es(x, LEVEL, weights=weights), 1e-9)
    call = functools.partial(load("pandas").Series(x).expanding().quantile, 1 - LEVEL)
    check_windows(call, x, x.size, lambda part: np.quantile(part, 1 - LEVEL), 1e-10)
    note = QUANTILE if name == "expanding_es" else f"{QUANTILE}, without decay"
    case = f"{name}, n = {x.size:,}"
    race.against(case, kind, subject, "pandas expanding().quantile", call, target=Target(FASTER), note=note)
