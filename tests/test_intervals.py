"""Standard errors and intervals: slow twins, brute-force resampling, coverage, and the same bits for the same seed."""

import math

import numpy as np
import pytest
import textbook_estimators as textbook
from bits import assert_same_bits
from scipy import special, stats

import cshortfall
from cshortfall import _intervals, tail_risk
from cshortfall._core import resample
from cshortfall._intervals import INTERVALS, tail_risk_row
from cshortfall._sample import EstimationError

METHODS = ["historical", "normal", "student_t", "cornish_fisher", "kernel"]
FIELDS = ["es", "var", "es_standard_error", "var_standard_error", "es_interval", "var_interval"]


def heavy(n, seed=0, dof=4):
    return np.random.default_rng(seed).standard_t(dof, n)


def random_weights(n, seed=1):
    return np.random.default_rng(seed).exponential(size=n)


def key_of(seed):
    return np.random.default_rng(seed).integers(0, 2**64, size=4, dtype=np.uint64)


def row_risk(
    row,
    level=0.975,
    *,
    weights=None,
    method="historical",
    interval="studentized",
    confidence=0.95,
    n_resamples=2000,
    block=None,
    seed=0,
):
    """Return what `tail_risk_row` does for one level, without the axis of levels."""
    generator = np.random.default_rng(seed)
    risk = tail_risk_row(
        np.asarray(row, dtype=float),
        np.array([level]),
        False,
        weights,
        method,
        interval,
        confidence,
        n_resamples,
        block,
        generator,
    )
    return {name: value[0] for name, value in risk.items()}


def es_of_sorted(ordered, count):
    """ES of samples sorted from the worst along the last axis, for a tail count."""
    whole = math.ceil(count) - 1
    return (ordered[..., :whole].sum(axis=-1) + (count - whole) * ordered[..., whole]) / count


def error_of_sorted(ordered, count):
    """Standard error of ES: that of the mean of (L - VaR)+, divided by the tail's mass."""
    n = ordered.shape[-1]
    excess = np.maximum(ordered - ordered[..., [math.ceil(count) - 1]], 0.0)
    return excess.std(axis=-1, ddof=1) / math.sqrt(n) * n / count


def test_a_replicate_does_not_feel_how_many_there_are():
    losses = np.sort(heavy(300))[::-1].copy()
    order = np.arange(300, dtype=np.int64)
    columns = np.column_stack([losses, losses**2])
    for draw in (
        lambda count: resample.tail_replicates(losses, None, 300, 7.5, key_of(3), count, 1),
        lambda count: resample.block_replicates(losses, order, None, 0.1, 5, key_of(3), count, 1),
        lambda count: resample.mean_replicates(columns, None, 300, 0, key_of(3), count, 1),
        lambda count: resample.mean_replicates(columns, None, 300, 5, key_of(3), count, 1),
    ):
        for few, many in zip(draw(39), draw(100), strict=True):
            assert_same_bits(few, many[:39])


def same_distribution(one, other):
    """Say whether two large samples may have one distribution; equal values may differ by rounding."""
    return stats.ks_2samp(np.round(one, 9), np.round(other, 9)).pvalue > 1e-3


@pytest.mark.parametrize("count", [1.5, 5.0, 25.0, 60.25, 400.0])
def test_replicates_are_distributed_as_full_resamples(count):
    losses = np.sort(heavy(400, seed=3))[::-1].copy()
    got = resample.tail_replicates(losses, None, 400, count, key_of(1), 20_000, 1)
    draws = np.random.default_rng(2).integers(0, 400, (20_000, 400))
    ordered = losses[np.sort(draws, axis=1)]
    expected = es_of_sorted(ordered, count), ordered[:, math.ceil(count) - 1], error_of_sorted(ordered, count)
    for one, other in zip(got, expected, strict=True):
        assert same_distribution(one, other)


def test_weighted_replicates_are_distributed_as_full_resamples():
    rng = np.random.default_rng(5)
    losses, weights = np.sort(heavy(300, seed=3))[::-1].copy(), np.exp(2 * rng.standard_normal(300))
    got = resample.tail_replicates(losses, weights, 90, 9.5, key_of(1), 20_000, 1)
    draws = rng.choice(300, (20_000, 90), p=weights / weights.sum())
    ordered = losses[np.sort(draws, axis=1)]
    expected = es_of_sorted(ordered, 9.5), ordered[:, 9], error_of_sorted(ordered, 9.5)
    for one, other in zip(got, expected, strict=True):
        assert same_distribution(one, other)


@pytest.mark.parametrize("length", [1, 6, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_block_replicates_are_distributed_as_full_resamples(length, weighted):
    n, fraction, rng = 60, 0.2, np.random.default_rng(8)
    losses = np.convolve(rng.standard_normal(n + 3), np.ones(4), "valid")
    weights = rng.exponential(size=n) if weighted else np.ones(n)
    order = np.argsort(-losses).astype(np.int64)
    got = resample.block_replicates(
        losses, order, weights if weighted else None, fraction, length, key_of(2), 20_000, 1
    )
    blocks = -(-n // length)
    starts = rng.integers(0, n, (20_000, blocks, 1))
    drawn = ((starts + np.arange(length)) % n).reshape(20_000, -1)[:, :n]
    ranked = np.take_along_axis(drawn, np.argsort(-losses[drawn], axis=1), axis=1)
    ordered, mass = losses[ranked], np.cumsum(weights[ranked], axis=1)
    tail = fraction * mass[:, -1:]
    last = (mass < tail * (1 - 1e-12)).sum(axis=1)
    worst = ordered[np.arange(20_000), last]
    excess = weights[drawn] * np.maximum(losses[drawn] - worst[:, np.newaxis], 0)
    shortfall = worst + excess.sum(axis=1) / tail[:, 0]
    centred = excess - weights[drawn] * (excess.sum(axis=1) / mass[:, -1])[:, np.newaxis]
    sums = np.add.reduceat(centred, np.arange(0, n, length), axis=1)
    error = np.sqrt((sums**2).sum(axis=1) * blocks / (blocks - 1)) / tail[:, 0]
    for one, other in zip(got, (shortfall, worst, error), strict=True):
        assert same_distribution(one, other)


@pytest.mark.parametrize("length", [0, 7])
def test_mean_replicates_are_distributed_as_full_resamples(length):
    n, rng = 60, np.random.default_rng(8)
    columns = np.column_stack([rng.standard_normal(n), rng.exponential(size=n)])
    means, errors = resample.mean_replicates(columns, None, n, length, key_of(4), 20_000, 1)
    blocks = -(-n // max(length, 1))
    starts = rng.integers(0, n, (20_000, blocks, 1))
    drawn = ((starts + np.arange(max(length, 1))) % n).reshape(20_000, -1)[:, :n]
    for column in range(2):
        values = columns[drawn, column]
        mean = values.mean(axis=1)
        sums = np.add.reduceat(values - mean[:, np.newaxis], np.arange(0, n, max(length, 1)), axis=1)
        error = np.sqrt((sums**2).sum(axis=1) * blocks / (blocks - 1)) / n
        assert same_distribution(means[:, column], mean)
        assert same_distribution(errors[:, column], error)


def ends(values, confidence):
    rank = int((len(values) + 1) * (1 - confidence) / 2 + 1e-9)
    return np.sort(values)[[rank - 1, -rank]]


@pytest.mark.parametrize(("shift", "logarithmic"), [(0.0, True), (10.0, False)], ids=["losses", "gains"])
def test_studentized_interval_matches_the_twin(shift, logarithmic):
    row = heavy(500) + shift
    got = row_risk(row, 0.95, seed=7, confidence=0.9)
    losses = np.sort(-row)[::-1].copy()
    estimate, error = es_of_sorted(losses, 25.0), error_of_sorted(losses, 25.0)
    values, _, errors = resample.tail_replicates(losses, None, 500, 25.0, key_of(7), 2000, 1)
    assert (values > 0).all() == logarithmic
    if logarithmic:
        low, high = ends(np.log(values / estimate) * values / errors, 0.9)
        expected = estimate * np.exp(-np.array([high, low]) * error / estimate)
    else:
        low, high = ends((values - estimate) / errors, 0.9)
        expected = estimate - np.array([high, low]) * error
    assert got["es"] == pytest.approx(estimate, rel=1e-14)
    assert got["es_standard_error"] == pytest.approx(error, rel=1e-12)
    assert got["es_interval"] == pytest.approx(expected, rel=1e-12)


def test_percentile_interval_agrees_with_scipy():
    row = heavy(300, seed=2)

    def shortfall(sample, axis):
        return es_of_sorted(-np.sort(sample, axis=axis), 15.0)

    theirs = stats.bootstrap(
        (row,), shortfall, n_resamples=20_000, batch=2000, method="percentile", rng=np.random.default_rng(1)
    )
    ours = row_risk(row, 0.95, interval="percentile", n_resamples=20_000)
    # Either end has a simulation error of about 0.02 standard errors.
    allowed = 0.12 * ours["es_standard_error"]
    assert ours["es_interval"] == pytest.approx(theirs.confidence_interval, abs=allowed)
    assert ours["es_standard_error"] == pytest.approx(theirs.standard_error, rel=0.1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_asymptotic_interval_is_normal(method, confidence):
    got = row_risk(heavy(400, dof=9), 0.9, method=method, interval="asymptotic", confidence=confidence)
    reach = special.ndtri(0.5 + confidence / 2) * got["es_standard_error"]
    assert got["es_interval"] == pytest.approx([got["es"] - reach, got["es"] + reach], rel=1e-12)
    if method != "historical":
        reach = special.ndtri(0.5 + confidence / 2) * got["var_standard_error"]
        assert got["var_interval"] == pytest.approx([got["var"] - reach, got["var"] + reach], rel=1e-12)


@pytest.mark.parametrize("interval", ["studentized", "asymptotic", "percentile"])
@pytest.mark.parametrize("level", [0.0, 0.3, 0.95, 0.99])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_var_interval_has_the_binomial_ranks(interval, level, confidence):
    row = heavy(600)
    got = row_risk(row, level, interval=interval, confidence=confidence, n_resamples=100)
    losses = np.sort(-row)[::-1]
    alpha = (1 - confidence) / 2
    exceedances = stats.binom(600, 1 - level)
    first = max((r for r in range(1, 601) if exceedances.cdf(r - 1) <= alpha), default=0)
    last = min((s for s in range(1, 601) if exceedances.sf(s - 1) <= alpha), default=601)
    high = losses[first - 1] if first else math.inf
    low = losses[last - 1] if last <= 600 else -math.inf
    assert got["var_interval"].tolist() == [low, high]


@pytest.mark.parametrize(
    ("level", "fewest"), [(0.5, 10), (0.7, 17), (0.8, 25), (0.9, 50), (0.975, 200), (0.9999, 50_000)]
)
def test_the_number_of_outcomes_that_would_do_is_the_least(level, fewest):
    with pytest.warns(RuntimeWarning, match=f" {fewest} outcomes are needed"):
        row_risk(heavy(fewest - 1), level, n_resamples=100)
    row_risk(heavy(fewest), level, n_resamples=100)


def test_var_interval_is_infinite_where_the_sample_has_no_order_statistic():
    row = heavy(100)
    with pytest.warns(
        RuntimeWarning, match=r"the tail at level 0\.99 holds 1 of 100 outcomes.* 500 outcomes are needed"
    ):
        got = row_risk(row, 0.99)
    assert got["var_interval"].tolist() == [-np.sort(row)[3], math.inf]
    assert got["es_interval"].tolist() == [-np.sort(row)[3], math.inf]
    assert np.isnan([got["es_standard_error"], got["var_standard_error"]]).all()


def test_var_standard_error_is_the_difference_quotient():
    row = heavy(1000)
    losses = np.sort(-row)[::-1]
    # 25^(4/5) = 13.1
    expected = math.sqrt(0.025 * 0.975 / 1000) * (losses[24 - 14] - losses[24 + 14]) * 1000 / 28
    assert row_risk(row, interval=None)["var_standard_error"] == pytest.approx(expected, rel=1e-12)


def test_var_standard_error_tends_to_that_of_the_quantile():
    row = np.random.default_rng(6).standard_normal(400_000)
    for level in (0.5, 0.9, 0.99):
        quantile = special.ndtri(level)
        density = math.exp(-quantile * quantile / 2) / math.sqrt(2 * math.pi)
        expected = math.sqrt(level * (1 - level) / len(row)) / density
        assert row_risk(row, level, interval=None)["var_standard_error"] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("interval", ["block_bootstrap", "asymptotic"])
@pytest.mark.parametrize("weighted", [False, True])
def test_block_standard_error_is_the_bartlett_sum(interval, weighted):
    row, n, length = np.convolve(heavy(302), [1, 1, 1], "valid"), 300, 9
    weights = random_weights(n) if weighted else None
    got = row_risk(row, 0.9, interval=interval, block=length, weights=weights, n_resamples=100)
    mass = textbook.probabilities(row, weights)
    excess = np.maximum(-row - got["var"], 0) / 0.1
    influence = n * mass * (excess - mass @ excess)
    lags = [
        (2 if lag else 1) * (1 - lag / length) * np.mean(influence * np.roll(influence, lag)) for lag in range(length)
    ]
    assert got["es_standard_error"] == pytest.approx(math.sqrt(sum(lags) / n), rel=1e-9)


def test_asymptotic_block_form_has_a_normal_interval_of_var():
    got = row_risk(heavy(400), 0.9, interval="asymptotic", block=5)
    reach = special.ndtri(0.975) * got["var_standard_error"]
    assert got["var_interval"] == pytest.approx([got["var"] - reach, got["var"] + reach], rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_the_default_block_length_is_the_cube_root(method):
    row = heavy(343, dof=9)
    default = row_risk(row, 0.9, interval="block_bootstrap", method=method)
    given = row_risk(row, 0.9, interval="block_bootstrap", method=method, block=7)
    for name in FIELDS:
        assert_same_bits(default[name], given[name])


def test_blocks_of_one_outcome_are_independent_draws():
    row = heavy(500)
    block = row_risk(row, 0.95, interval="block_bootstrap", block=1, n_resamples=20_000)
    plain = row_risk(row, 0.95, n_resamples=20_000)
    assert block["es_standard_error"] == pytest.approx(plain["es_standard_error"] * math.sqrt(499 / 500), rel=1e-12)
    assert block["es_interval"] == pytest.approx(plain["es_interval"], abs=0.1 * plain["es_standard_error"])


@pytest.mark.parametrize("method", ["normal", "kernel"])
@pytest.mark.parametrize("weighted", [False, True])
def test_intervals_of_a_fit_resample_its_influence(method, weighted):
    row, weights = heavy(300, dof=9), random_weights(300) if weighted else None
    got = row_risk(row, 0.9, method=method, weights=weights, seed=3, interval="percentile")
    from cshortfall._estimators import fitted
    from cshortfall._sample import Sample

    sample = Sample.of_row(row, False, weights)
    influences = fitted(method, sample).influence(0.9)
    mass = textbook.probabilities(row, weights)
    effective = 1 / np.sum(mass**2)
    for name, influence in zip(("es", "var"), influences, strict=True):
        error = math.sqrt(mass @ influence**2 / (effective - 1))
        assert got[f"{name}_standard_error"] == pytest.approx(error, rel=1e-9)
    draws = np.random.default_rng(1).choice(300, (20_000, round(effective)), p=mass)
    means = influences[0][draws].mean(axis=1)
    expected = got["es"] + ends(means, 0.95)
    assert got["es_interval"] == pytest.approx(expected, abs=0.2 * got["es_standard_error"])


def test_cornish_fisher_falls_back_with_its_errors_and_interval():
    row = heavy(500, dof=2)
    with pytest.warns(RuntimeWarning, match="historical estimate is returned"):
        got = row_risk(row, 0.9, method="cornish_fisher")
    expected = row_risk(row, 0.9)
    for name in FIELDS:
        assert_same_bits(got[name], expected[name])


def test_kish_standard_error():
    row, weights = heavy(500), random_weights(500)
    got = row_risk(row, 0.9, weights=weights, interval=None)
    mass = textbook.probabilities(row, weights)
    excess = np.maximum(-row - got["var"], 0)
    effective = 1 / np.sum(mass**2)
    variance = mass @ (excess - mass @ excess) ** 2
    assert got["es_standard_error"] == pytest.approx(math.sqrt(variance / (effective - 1)) / 0.1, rel=1e-11)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("interval", INTERVALS)
def test_equal_weights_of_any_scale_change_no_bit(method, interval):
    row = heavy(200, dof=9)
    plain = row_risk(row, 0.9, method=method, interval=interval)
    for weight in (0.3, 1e-300):
        weighted = row_risk(row, 0.9, method=method, interval=interval, weights=np.full(200, weight))
        for name in FIELDS:
            assert_same_bits(weighted[name], plain[name])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("interval", INTERVALS)
def test_tails_mirror_to_the_bit(method, interval):
    row = heavy(200, dof=9)
    lower = tail_risk(row, 0.9, method=method, interval=interval, rng=4)
    upper = tail_risk(-row, 0.9, method=method, interval=interval, rng=4, tail="upper")
    for name in FIELDS:
        assert_same_bits(getattr(lower, name), getattr(upper, name))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("power", [-900, 7, 1010])
def test_powers_of_two_scale_everything(method, interval, power):
    row = np.round(heavy(200, dof=9) * 2**12) / 2**12
    plain = row_risk(row, 0.9, method=method, interval=interval)
    scaled = row_risk(np.ldexp(row, power), 0.9, method=method, interval=interval)
    for name in FIELDS:
        assert np.ldexp(scaled[name], -power) == pytest.approx(plain[name], rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("interval", INTERVALS)
def test_the_estimates_are_those_of_es_and_var(method, interval):
    row = heavy(300, dof=9)
    levels = [0.8, 0.95]
    risk = tail_risk(row, levels, method=method, interval=interval, rng=0)
    shortfall, worst = cshortfall.es_var(row, levels, method=method)
    assert_same_bits(risk.es, shortfall)
    assert_same_bits(risk.var, worst)
    for estimate, interval_ in ((risk.es, risk.es_interval), (risk.var, risk.var_interval)):
        assert (interval_[:, 0] < estimate).all()
        assert (estimate < interval_[:, 1]).all()


@pytest.mark.parametrize("interval", ["studentized", "percentile", "block_bootstrap"])
@pytest.mark.parametrize("method", ["historical", "normal"])
def test_the_same_seed_gives_the_same_bits(method, interval):
    row = heavy(300)

    def intervals(rng):
        risk = tail_risk(row, 0.9, method=method, interval=interval, rng=rng, n_resamples=200)
        return np.array([risk.es_interval, risk.var_interval])

    first = intervals(11)
    for same in (np.random.default_rng(11), np.random.SeedSequence(11), 11):
        assert_same_bits(intervals(same), first)
    assert (intervals(12) != first).any()
    generator = np.random.default_rng(11)
    intervals(generator)
    assert (intervals(generator) != first).any()
    assert (intervals(None) != intervals(None)).any()


@pytest.mark.parametrize("method", ["historical", "kernel"])
@pytest.mark.parametrize("interval", ["studentized", "block_bootstrap"])
def test_a_level_does_not_feel_the_others(method, interval):
    row = heavy(400)
    alone = tail_risk(row, 0.95, method=method, interval=interval, rng=5)
    among = tail_risk(row, [0.9, 0.95, 0.8], method=method, interval=interval, rng=5)
    for name in FIELDS:
        assert_same_bits(getattr(among, name)[1], getattr(alone, name))


@pytest.mark.parametrize("method", ["historical", "normal"])
@pytest.mark.parametrize("interval", ["studentized", "block_bootstrap"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_number_of_threads_changes_no_bit(method, interval, weighted):
    row = heavy(2000)
    weights = random_weights(2000) if weighted else None
    results = []
    try:
        for threads in (1, 2, 3, 4):
            cshortfall.set_num_threads(threads)
            risk = tail_risk(row, 0.9, weights=weights, method=method, interval=interval, rng=1, n_resamples=1111)
            results.append([risk.es_interval, risk.var_interval])
    finally:
        cshortfall.set_num_threads(None)
    for result in results[1:]:
        assert_same_bits(result, results[0])


def test_recorded_bits():
    """The same on every machine: the sample is exact, and so are all operations but those of normal quantiles."""
    numbers = np.arange(1, 501) * 7919 % 1009 - 504.0
    row = numbers / 512 / (1.0 + (np.arange(500) * 37 % 101) / 64)
    expected = {
        ("studentized", None): [
            "0x1.f4956837d9916p-6",
            "0x1.05a0afd67b5fbp-5",
            "0x1.40f366f75d9cep-1",
            "0x1.849868eb536e3p-1",
            "0x1.0276276276276p-1",
            "0x1.4398730e61cc4p-1",
        ],
        ("percentile", None): [
            "0x1.f4956837d9916p-6",
            "0x1.05a0afd67b5fbp-5",
            "0x1.3b48c92547f1cp-1",
            "0x1.7b0abaa77870ep-1",
            "0x1.0276276276276p-1",
            "0x1.4398730e61cc4p-1",
        ],
        ("block_bootstrap", None): [
            "0x1.c1657f2080388p-6",
            "0x1.d1588f22e06eep-6",
            "0x1.43b27f1563daep-1",
            "0x1.7f72296e25122p-1",
            "0x1.0492492492492p-1",
            "0x1.38ccccccccccdp-1",
        ],
        ("studentized", 3): [
            "0x1.0161e7163aa00p-5",
            "0x1.1a7251fb328e4p-5",
            "0x1.42cb5b0c49abbp-1",
            "0x1.89161de46949ep-1",
            "0x1.0094f2094f209p-1",
            "0x1.4878787878788p-1",
        ],
        ("block_bootstrap", 3): [
            "0x1.caa7e36f6503cp-6",
            "0x1.e773f85791ba0p-6",
            "0x1.4594d2633132bp-1",
            "0x1.837fb7e296726p-1",
            "0x1.0492492492492p-1",
            "0x1.4000000000000p-1",
        ],
    }
    for (interval, cycle), recorded in expected.items():
        weights = None if cycle is None else 1.0 + np.arange(500) % cycle
        risk = row_risk(row, 0.95, weights=weights, interval=interval, n_resamples=999, seed=2024)
        got = [risk["es_standard_error"], risk["var_standard_error"], *risk["es_interval"], *risk["var_interval"]]
        assert [value.hex() for value in map(float, got)] == recorded, interval


def share_covered(draw, truth, count, **arguments):
    """Share of intervals of ES and of VaR that cover, in so many samples."""
    hits = np.zeros(2)
    for seed in range(count):
        risk = row_risk(draw(seed), seed=seed, **arguments)
        for position, name in enumerate(("es_interval", "var_interval")):
            hits[position] += risk[name][0] <= truth[position] <= risk[name][1]
    return hits / count


def test_studentized_intervals_cover_where_the_others_do_not():
    truth = textbook.student_es_var(0.0, 1.0, 4, 0.975)
    studentized, asymptotic, percentile = (
        share_covered(lambda seed: heavy(1000, seed), truth, 1500, interval=interval, n_resamples=999)[0]
        for interval in ("studentized", "asymptotic", "percentile")
    )
    # The standard error of a share is 0.006 here.
    assert 0.93 < studentized < 0.965
    assert asymptotic < studentized - 0.02
    assert percentile < studentized - 0.03


def test_var_intervals_cover():
    truth = textbook.student_es_var(0.0, 1.0, 4, 0.975)
    covered = share_covered(lambda seed: heavy(1000, seed), truth, 1500, interval="asymptotic")[1]
    assert 0.945 < covered < 0.98


@pytest.mark.filterwarnings("ignore:the tail at level:RuntimeWarning")
def test_intervals_of_a_small_tail_are_finite_and_cover():
    truth = textbook.student_es_var(0.0, 1.0, 4, 0.99)
    hits = finite = 0
    for seed in range(1000):
        low, high = row_risk(heavy(250, seed), 0.99, n_resamples=999, seed=seed)["es_interval"]
        hits += low <= truth[0] <= high
        finite += math.isfinite(high - low)
    assert hits > 890
    assert finite > 990


def test_block_intervals_cover_dependent_outcomes_better():
    def autoregression(seed):
        noise = np.random.default_rng(seed).standard_normal(1100)
        values = np.empty(1100)
        last = 0.0
        for position, shock in enumerate(noise.tolist()):
            last = 0.8 * last + 0.6 * shock
            values[position] = last
        return values[100:]

    truth = textbook.normal_es_var([-1.0, 1.0], 0.9)
    iid, block = (
        share_covered(autoregression, truth, 300, level=0.9, interval=interval, n_resamples=499, block=length)
        for interval, length in (("studentized", None), ("block_bootstrap", 30))
    )
    assert iid[0] < 0.75
    assert block[0] > 0.88
    assert block[1] > iid[1] + 0.1


@pytest.mark.parametrize("method", ["normal", "student_t", "cornish_fisher"])
def test_intervals_of_fits_cover_their_own_distribution(method):
    if method == "student_t":
        truth = textbook.student_es_var(0.0, 1.0, 6, 0.975)
        covered = share_covered(lambda seed: heavy(500, seed, 6), truth, 300, method=method, n_resamples=499)
    else:
        truth = textbook.normal_es_var([-1.0, 1.0], 0.975)
        covered = share_covered(
            lambda seed: np.random.default_rng(seed).standard_normal(500), truth, 300, method=method, n_resamples=499
        )
    assert (covered > 0.91).all()
    assert (covered < 0.985).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("interval", INTERVALS)
def test_a_constant_sample_has_intervals_of_width_zero(method, interval):
    risk = row_risk(np.full(50, 3.0), method=method, interval=interval)
    assert [risk[name] for name in FIELDS[:4]] == [-3.0, -3.0, 0.0, 0.0]
    assert risk["es_interval"].tolist() == risk["var_interval"].tolist() == [-3.0, -3.0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("interval", INTERVALS)
def test_one_outcome_has_no_error_and_no_bound(method, interval):
    with pytest.warns(RuntimeWarning, match=r"holds 0\.5 of 1 outcomes, too few"):
        risk = row_risk([2.0], 0.5, method=method, interval=interval)
    assert (risk["es"], risk["var"]) == (-2.0, -2.0)
    assert np.isnan([risk["es_standard_error"], risk["var_standard_error"]]).all()
    assert risk["es_interval"].tolist() == risk["var_interval"].tolist() == [-math.inf, math.inf]


@pytest.mark.parametrize("interval", INTERVALS)
def test_infinite_losses_have_no_error(interval):
    risk = row_risk([*heavy(300), -math.inf], 0.9, interval=interval)
    assert (risk["es"], math.isfinite(risk["var"])) == (math.inf, True)
    assert np.isnan([risk["es_standard_error"], *risk["es_interval"]]).all()
    assert np.isfinite(risk["var_interval"]).all()


@pytest.mark.parametrize("interval", INTERVALS)
def test_infinite_gains_do_not_matter(interval):
    row = heavy(300)
    risk = row_risk([*row, math.inf], 0.9, interval=interval)
    assert np.isfinite([risk["es"], risk["es_standard_error"], *risk["es_interval"], *risk["var_interval"]]).all()


def test_a_tail_of_ties_has_no_spread():
    risk = row_risk([*np.full(40, -1.0), *np.linspace(0, 1, 160)], 0.9)
    assert risk["es_standard_error"] == 0.0
    assert risk["es_interval"].tolist() == risk["var_interval"].tolist() == [1.0, 1.0]


def test_a_small_tail_of_ties_has_no_spread():
    with pytest.warns(RuntimeWarning, match=r"holds 3 of 60 outcomes"):
        risk = row_risk([-1.0, -1.0, -1.0, *np.linspace(0, 1, 57)], 0.95)
    assert risk["es_interval"].tolist() == [1.0, 1.0]


def test_too_few_replicates_with_spread_bound_nothing():
    settings = _intervals.Settings("studentized", 0.95, 39, 0)
    assert _intervals._ends(np.array([1.0]), settings) == (-math.inf, math.inf)


def test_a_single_effective_outcome_has_no_bound():
    weights = np.array([1.0, 1e-12, 1e-12])
    with pytest.warns(RuntimeWarning, match=r"holds 0\.5 of 1 outcomes"):
        historical = row_risk([1.0, 2.0, 3.0], 0.5, weights=weights)
    normal = row_risk([1.0, 2.0, 3.0], 0.5, weights=weights, method="normal")
    for risk in (historical, normal):
        assert math.isnan(risk["es_standard_error"])
        assert not np.isfinite(risk["es_interval"]).any()


@pytest.mark.parametrize("method", METHODS)
def test_level_zero_has_the_error_of_the_mean(method):
    row = np.random.default_rng(3).standard_normal(400)
    risk = row_risk(row, 0.0, method=method)
    assert risk["es_standard_error"] == pytest.approx(
        row.std(ddof=1) / 20, rel=0.02 if method == "student_t" else 1e-12
    )
    assert risk["es_interval"][0] < -row.mean() < risk["es_interval"][1]
    assert math.isnan(risk["var_standard_error"])


@pytest.mark.parametrize("method", METHODS)
def test_no_interval(method):
    row = heavy(100, dof=9)
    generator = np.random.default_rng(1)
    before = generator.bit_generator.state
    risk = tail_risk_row(row, np.array([0.9]), False, None, method, None, 0.95, 1, None, generator)
    assert np.isnan(risk["es_interval"]).all()
    assert np.isnan(risk["var_interval"]).all()
    assert risk["es_interval"].shape == (1, 2)
    assert (risk["es_standard_error"] > 0).all()
    assert generator.bit_generator.state == before


def test_too_few_resamples():
    with pytest.raises(ValueError, match=r"n_resamples must be at least 39 for confidence_level=0\.95, got 38"):
        row_risk(heavy(300), n_resamples=38)
    row_risk(heavy(300), n_resamples=39)
    row_risk(heavy(300), n_resamples=1, interval="asymptotic")


@pytest.mark.parametrize("interval", ["studentized", "percentile"])
def test_block_length_needs_a_block_form(interval):
    with pytest.raises(ValueError, match=rf"block_length=5 does not go with interval='{interval}'"):
        row_risk(heavy(300), block=5, interval=interval)


def test_block_length_is_at_most_half_of_the_outcomes():
    with pytest.raises(ValueError, match="block_length must be between 1 and half of the 301 outcomes, got 151"):
        row_risk(heavy(301), block=151, interval="block_bootstrap")
    row_risk(heavy(301), block=150, interval="block_bootstrap")


def test_an_estimator_without_value_raises():
    with pytest.raises(EstimationError, match="needs finite values"):
        row_risk([1.0, math.inf, 2.0], method="normal")


def test_the_names_of_the_intervals():
    assert _intervals.INTERVALS == ("studentized", "asymptotic", "percentile", "block_bootstrap")
