"""The parametric and smoothed estimators against slow twins, published numbers and the laws they must keep."""

import math
import warnings

import numpy as np
import pytest
import textbook_estimators as textbook
from bits import assert_same_bits

import cshortfall
from cshortfall import _estimators, _student_t, es, es_var, var
from cshortfall._core import resample
from cshortfall._sample import EstimationError, Sample

METHODS = ["normal", "student_t", "cornish_fisher", "kernel"]
LEVELS = [0.9, 0.95, 0.975, 0.99]


def heavy(n, seed=0, dof=5):
    return np.random.default_rng(seed).standard_t(dof, n)


def light(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


def random_weights(n, seed=1):
    return np.random.default_rng(seed).exponential(size=n)


def test_the_registry_says_who_takes_weights():
    assert list(_estimators.ESTIMATORS) == METHODS
    assert all(estimator.takes_weights for estimator in _estimators.ESTIMATORS.values())


@pytest.mark.parametrize("weights", [None, random_weights(300)], ids=["equal", "weighted"])
@pytest.mark.parametrize("level", [*LEVELS, 0.3, 0.999999])
def test_normal_matches_the_twin(level, weights):
    losses = heavy(300) + 0.1
    expected = textbook.normal_es_var(losses, level, weights)
    assert es_var(losses, level, tail="upper", method="normal", weights=weights) == pytest.approx(expected, rel=1e-13)


def test_normal_matches_rockafellar_and_uryasev_table_4():
    mean = np.array([0.0101110, 0.0043532, 0.0137058])
    covariance = np.array(
        [
            [0.00324625, 0.00022983, 0.00420395],
            [0.00022983, 0.00049937, 0.00019247],
            [0.00420395, 0.00019247, 0.00764097],
        ]
    )
    weights = np.array([0.452013, 0.115573, 0.432414])
    centre, deviation = weights @ mean, math.sqrt(weights @ covariance @ weights)
    # Two outcomes have exactly this mean and this standard deviation (divisor n).
    returns = [centre - deviation, centre + deviation]
    for level, expected_var, expected_es in [
        (0.90, 0.067847, 0.096975),
        (0.95, 0.090200, 0.115908),
        (0.99, 0.132128, 0.152977),
    ]:
        assert es(returns, level, method="normal") == pytest.approx(expected_es, abs=3e-6)
        assert var(returns, level, method="normal") == pytest.approx(expected_var, abs=3e-6)


@pytest.mark.parametrize(("n", "dof", "seed"), [(40, 3, 1), (250, 3, 2), (250, 1.6, 3), (1000, 5, 4), (1000, 12, 5)])
def test_student_t_finds_the_greatest_likelihood(n, dof, seed):
    losses = 7 + 0.01 * heavy(n, seed, dof)
    fit = _student_t.fit_student_t(losses, None)
    own = textbook.student_log_likelihood(losses, fit.location, fit.scale, 1 / fit.inverse_dof)
    assert own >= textbook.student_log_likelihood(losses, *textbook.student_fit(losses)) - 1e-12
    for change in (0.999, 1.001):
        for other in (
            (fit.location + (change - 1) * fit.scale, fit.scale, 1 / fit.inverse_dof),
            (fit.location, fit.scale * change, 1 / fit.inverse_dof),
            (fit.location, fit.scale, change / fit.inverse_dof),
        ):
            assert textbook.student_log_likelihood(losses, *other) < own


@pytest.mark.parametrize("level", LEVELS)
def test_student_t_integrates_the_fitted_density(level):
    losses = heavy(400, seed=3, dof=4)
    fit = _student_t.fit_student_t(losses, None)
    expected = textbook.student_es_var(fit.location, fit.scale, 1 / fit.inverse_dof, level)
    assert es_var(losses, level, tail="upper", method="student_t") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("inverse_dof", [1e-12, 1e-6, 1e-3, 1 / 32, 0.05, 0.2, 0.5, 0.9, 0.999])
def test_the_normalising_term_and_its_derivatives(inverse_dof):
    mp = textbook.mpmath
    with mp.workdps(60):

        def exact(x):
            dof = 1 / x
            return mp.loggamma((dof + 1) / 2) - mp.loggamma(dof / 2) - mp.log(dof / 2) / 2

        step = mp.mpf(inverse_dof) * mp.mpf(10) ** -12
        value, first, second = (float(mp.diff(exact, mp.mpf(inverse_dof), order, h=step)) for order in range(3))
    got = _student_t.normalising_term(inverse_dof)
    assert got[:2] == pytest.approx((value, first), rel=1e-12)
    assert got[2] == pytest.approx(second, abs=1e-11)


def test_student_t_without_excess_kurtosis_is_normal_to_the_bit():
    flat = np.linspace(-1, 1, 101) ** 3 + np.linspace(-1, 1, 101)
    assert _student_t.fit_student_t(flat, None).inverse_dof == 0.0
    assert_same_bits(es(flat, LEVELS, method="student_t"), es(flat, LEVELS, method="normal"))
    assert_same_bits(var(flat, LEVELS, method="student_t"), var(flat, LEVELS, method="normal"))


def test_student_t_tends_to_normal():
    samples = [light(5000, seed) for seed in range(30)]
    fits = [_student_t.fit_student_t(sample, None).inverse_dof for sample in samples]
    assert 0 < sum(fit == 0.0 for fit in fits) < 30
    near = [sample for sample, fit in zip(samples, fits, strict=True) if 0 < fit < 0.02]
    assert near
    for sample in near:
        assert es(sample, method="student_t") == pytest.approx(es(sample, method="normal"), rel=0.02)


def test_student_t_of_whole_weights_is_that_of_repeated_outcomes():
    losses = heavy(60, seed=9, dof=3)
    counts = np.random.default_rng(2).integers(1, 5, 60)
    repeated = es(np.repeat(losses, counts), LEVELS, method="student_t")
    assert es(losses, LEVELS, method="student_t", weights=counts) == pytest.approx(repeated, rel=1e-9)


def test_student_t_refuses_one_degree_of_freedom():
    cauchy = np.tan(np.pi * (np.arange(1, 400) / 400 - 0.5)) ** 3
    with pytest.raises(EstimationError, match=r"grows down to one degree of freedom \(location .* ES is inf"):
        es(cauchy, method="student_t")


@pytest.mark.parametrize("sample", [[1.0, 2.0], [0.0] * 60 + list(range(40)), [3.0, 3.0, 3.0, 1.0]])
def test_student_t_refuses_half_of_the_sample_on_one_value(sample):
    with pytest.raises(EstimationError, match=r"% of the weight of these \d+ values lies on one of them"):
        es(sample, method="student_t")


def test_student_t_weights_count_for_the_half():
    sample = np.array([1.0, 2.0, 3.5, 7.0, 4.0])
    assert math.isfinite(es(sample, method="student_t"))
    with pytest.raises(EstimationError, match=r"60% of the weight of these 5 values"):
        es(sample, method="student_t", weights=[6, 1, 1, 1, 1])


@pytest.mark.parametrize("most_steps", [1, 3])
def test_student_t_says_when_it_does_not_converge(monkeypatch, most_steps):
    monkeypatch.setattr(_student_t, "MOST_STEPS", most_steps)
    with pytest.raises(EstimationError, match=rf"did not converge in {most_steps} steps"):
        es(heavy(300), method="student_t")


def test_student_t_returns_nothing_less_likely_than_it_has_seen(monkeypatch):
    monkeypatch.setattr(_student_t, "_solve", lambda losses, weights, low, high: min(low, high, key=_likelihood))
    with pytest.raises(EstimationError, match=r"log-likelihood .* per observation at 1/dof = .* is below"):
        es(heavy(300, dof=3), method="student_t")


def _likelihood(point):
    return point.likelihood


def difficult(seed):
    """Return a small sample of clusters, outliers or ties."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 30))
    return [
        lambda: rng.standard_cauchy(n),
        lambda: np.append(rng.standard_normal(n), 10 ** rng.uniform(0, 8, 2)),
        lambda: np.round(rng.standard_t(2, n)),
        lambda: np.append(1e-6 * rng.standard_normal(n), 50 + rng.standard_normal(n)),
        lambda: rng.exponential(size=n) ** 4,
    ][seed % 5]()


def test_student_t_is_certain_about_difficult_samples():
    solved, refused = 0, []
    for seed in range(200):
        sample = difficult(seed)
        weights = None if seed % 2 else np.random.default_rng(seed).exponential(size=len(sample)) ** 3
        try:
            fit = _student_t.fit_student_t(sample, weights)
        except EstimationError as error:
            refused.append(str(error))
            continue
        solved += 1
        dof = math.inf if fit.inverse_dof == 0.0 else 1 / fit.inverse_dof
        own = textbook.student_log_likelihood(sample, fit.location, fit.scale, dof, weights)
        if np.ptp(sample) < 1e3:
            other = textbook.student_fit(sample, weights)
            assert own >= textbook.student_log_likelihood(sample, *other, weights) - 1e-9, seed
    assert solved > 50
    assert not [message for message in refused if "did not converge" in message]


def test_student_t_keeps_its_digits_far_from_zero():
    sample = np.round(heavy(200, dof=4) * 2**20) / 2**20
    near, far = es(sample, method="student_t"), es(sample - 2**20, method="student_t")
    assert far - 2**20 == pytest.approx(near, abs=1e-8)


@pytest.mark.parametrize("weights", [None, random_weights(400)], ids=["equal", "weighted"])
@pytest.mark.parametrize("level", LEVELS)
def test_cornish_fisher_matches_the_twin(level, weights):
    base = light(400, seed=4)
    losses = base + 0.1 * base**2 + 0.03 * base**3
    expected = textbook.cornish_fisher_es_var(losses, level, weights)
    got = es_var(-losses, level, method="cornish_fisher", weights=weights)
    assert got == pytest.approx(expected, rel=1e-12)


def test_cornish_fisher_of_a_symmetric_mesokurtic_sample_is_normal():
    # Three values with kurtosis 3: -a, 0 (twice as likely as both others together), a.
    sample = np.repeat([-1.0, 0.0, 1.0], [1, 4, 1])
    assert es(sample, LEVELS, method="cornish_fisher") == pytest.approx(es(sample, LEVELS, method="normal"), rel=1e-12)


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (heavy(500, seed=1, dof=1.5), "its quantile function decreases"),
        (np.linspace(-1, 1, 50), "its quantile function decreases"),
        (np.exp(1.2 * light(300)), "its quantile function decreases"),
        (np.repeat([-6.0, -1.0, 0.0, 1.0, 6.0], [1, 15, 170, 15, 1]), None),
    ],
    ids=["heavy", "uniform", "skewed", "peaked"],
)
def test_cornish_fisher_outside_its_domain_is_historical(sample, reason):
    pattern = rf"method='cornish_fisher' at level 0\.99: skewness .* excess kurtosis .*{reason or ''}.*historical"
    with pytest.warns(RuntimeWarning, match=pattern):
        got = es_var(sample, 0.99, method="cornish_fisher")
    assert_same_bits(got, es_var(sample, 0.99))


def test_cornish_fisher_falls_back_where_the_tail_mean_is_below_var():
    sample = heavy(1000, seed=11, dof=6)
    fit = _estimators.ESTIMATORS["cornish_fisher"].fit(Sample.of_row(sample, False, None))
    assert fit.objection(0.95) is None
    with pytest.warns(RuntimeWarning, match=r"level 0\.999: .*its tail mean, .* standard deviations, is below its VaR"):
        got = es(sample, [0.95, 0.999], method="cornish_fisher")
    assert got[0] == pytest.approx(textbook.cornish_fisher_es_var(-sample, 0.95)[0], rel=1e-12)
    assert got[1] == es(sample, 0.999)


def test_the_domain_is_that_of_an_increasing_quantile_function():
    from scipy.special import ndtri

    reach = -ndtri(0.01 * 0.025)
    z = np.linspace(-reach, reach, 4001)
    for skewness in np.linspace(-2.5, 2.5, 11):
        for kurtosis in np.linspace(-1.45, 9.55, 23):
            quantiles = (
                z + (z**2 - 1) * skewness / 6 + (z**3 - 3 * z) * kurtosis / 24 - (2 * z**3 - 5 * z) * skewness**2 / 36
            )
            fit = _estimators.CornishFisherFit(np.zeros(1), 0.0, 1.0, skewness, kurtosis)
            decreases = "quantile function decreases" in (fit.objection(0.975) or "")
            assert decreases == (np.diff(quantiles).min() < 0), (skewness, kurtosis)


@pytest.mark.parametrize("weights", [None, random_weights(80)], ids=["equal", "weighted"])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_kernel_matches_the_twin(level, weights):
    losses = heavy(80, seed=5, dof=3)
    fit = _estimators.ESTIMATORS["kernel"].fit(Sample.of_row(losses, True, weights))
    expected = textbook.kernel_es_var(losses, level, fit.bandwidth, weights)
    assert es_var(losses, level, tail="upper", method="kernel", weights=weights) == pytest.approx(expected, rel=1e-9)


def test_the_bandwidth_is_silvermans():
    for sample in (heavy(80, dof=2), light(81), np.arange(10.0)):
        fit = _estimators.ESTIMATORS["kernel"].fit(Sample.of_row(sample, True, None))
        assert fit.bandwidth == pytest.approx(textbook.silverman_bandwidth(sample), rel=1e-13)
    spiked = np.repeat([0.0, 1.0, 5.0], [30, 3, 2])
    fit = _estimators.ESTIMATORS["kernel"].fit(Sample.of_row(spiked, True, None))
    assert fit.bandwidth == pytest.approx(0.9 * np.std(spiked, ddof=1) * 35**-0.2, rel=1e-13)


def test_the_weighted_bandwidth_uses_the_effective_number():
    losses, weights = heavy(500), random_weights(500)
    fit = _estimators.ESTIMATORS["kernel"].fit(Sample.of_row(losses, True, weights))
    effective = weights.sum() ** 2 / (weights**2).sum()
    order = np.argsort(losses)
    cumulative = np.cumsum(weights[order]) / weights.sum()
    quartiles = [losses[order][np.searchsorted(cumulative, p)] for p in (0.25, 0.75)]
    assert fit.bandwidth == pytest.approx(0.9 * (quartiles[1] - quartiles[0]) / 1.34 * effective**-0.2, rel=0.02)


def test_kernel_finds_a_quantile_where_the_density_is_zero():
    losses = np.concatenate([np.linspace(-1.0, 1.0, 95), np.linspace(1e6, 1e6 + 1, 5)])
    fit = _estimators.KernelFit(Sample.of_row(losses, True, None), 0.1)
    for level in (0.949, 0.951):
        assert fit.es_var(level)[1] == pytest.approx(textbook.kernel_es_var(losses, level, 0.1)[1], rel=1e-9)
    shortfall, worst = fit.es_var(0.95)
    assert 1 < worst < 1e6
    assert shortfall == pytest.approx(1e6 + 0.5, rel=1e-9)


def test_kernel_says_when_it_does_not_converge(monkeypatch):
    fit = _estimators.ESTIMATORS["kernel"].fit(Sample.of_row(heavy(50), True, None))
    monkeypatch.setattr(_estimators, "MOST_STEPS", 2)
    with pytest.raises(EstimationError, match=r"did not converge: the quantile of probability 0\.975 lies between"):
        fit.es_var(0.975)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_sample_is_its_value(method):
    for n in (1, 2, 50):
        got = es_var(np.full(n, 0.1), LEVELS, method=method)
        assert_same_bits(got, (np.full(4, -0.1), np.full(4, -0.1)))
    assert math.copysign(1.0, es([0.0, 0.0], method=method)) == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_infinite_values_are_refused(method):
    with pytest.raises(EstimationError, match=f"method='{method}' needs finite values, got 2 infinite of 4"):
        es([1.0, math.inf, 2.0, -math.inf], method=method)


@pytest.mark.parametrize("method", METHODS)
def test_level_zero_is_minus_the_mean(method):
    sample = light(200)
    shortfall, worst = es_var(sample, 0.0, method=method)
    assert worst == -math.inf
    centre = _student_t.fit_student_t(sample, None).location if method == "student_t" else sample.mean()
    assert shortfall == pytest.approx(-centre, rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_tails_mirror_to_the_bit(method):
    sample = heavy(300, dof=8)
    for weights in (None, random_weights(300)):
        lower = es_var(sample, [0.9, 0.95], method=method, weights=weights)
        assert_same_bits(lower, es_var(-sample, [0.9, 0.95], tail="upper", method=method, weights=weights))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("power", [-1040, -400, -3, 5, 400, 1015])
def test_powers_of_two_scale_to_the_bit(method, power):
    sample = np.round(heavy(200, dof=8) * 2**12) / 2**12
    scaled = es_var(np.ldexp(sample, power), [0.9, 0.95], method=method)
    expected = np.ldexp(es_var(sample, [0.9, 0.95], method=method), power)
    assert scaled == pytest.approx(expected, rel=1e-12 if power > -1000 else 1e-9)
    if -100 < power < 100:
        assert_same_bits(scaled, expected)


@pytest.mark.parametrize("method", METHODS)
def test_equal_weights_of_any_scale_change_no_bit(method):
    sample = heavy(200, dof=8)
    plain = es_var(sample, [0.9, 0.95], method=method)
    for weight in (0.3, 1e-300, 7e200):
        assert_same_bits(es_var(sample, [0.9, 0.95], method=method, weights=np.full(200, weight)), plain)


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_any_scale_agree(method):
    sample, weights = heavy(200, dof=8), random_weights(200)
    plain = es_var(sample, [0.9, 0.95], method=method, weights=weights)
    for scale in (2.0**-900, 3.0, 2.0**900):
        scaled = es_var(sample, [0.9, 0.95], method=method, weights=scale * weights)
        assert scaled == pytest.approx(np.array(plain), rel=1e-11)


@pytest.mark.parametrize("method", METHODS)
def test_an_outcome_of_weight_zero_is_absent(method):
    sample, weights = heavy(200, dof=8), random_weights(200)
    weights[::7] = 0.0
    present = weights > 0
    assert_same_bits(
        es_var(sample, [0.9, 0.95], method=method, weights=weights),
        es_var(sample[present], [0.9, 0.95], method=method, weights=weights[present]),
    )


@pytest.mark.parametrize("method", METHODS)
def test_es_is_translation_equivariant(method):
    sample = heavy(300, dof=8)
    moved = es_var(sample + 3, [0.9, 0.95], method=method)
    assert np.array(moved) + 3 == pytest.approx(np.array(es_var(sample, [0.9, 0.95], method=method)), rel=1e-11)


@pytest.mark.parametrize("method", METHODS)
def test_es_is_at_least_var_and_both_rise_with_the_level(method):
    sample = light(500, seed=8)
    shortfall, worst = es_var(sample, [0.5, 0.8, 0.9, 0.95], method=method)
    assert (shortfall >= worst).all()
    assert (np.diff(shortfall) > 0).all()
    assert (np.diff(worst) > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_every_row_is_estimated_alone(method):
    matrix = np.random.default_rng(5).standard_t(8, (3, 120))
    rows = es(matrix, 0.95, axis=1, method=method)
    assert_same_bits(rows, np.array([es(row, 0.95, method=method) for row in matrix]))


@pytest.mark.parametrize("method", METHODS)
def test_a_large_sample_of_the_assumed_distribution_gives_its_es(method):
    if method == "student_t":
        sample, expected = heavy(200_000, dof=5), textbook.student_es_var(0.0, 1.0, 5, 0.975)
    else:
        sample, expected = light(200_000), textbook.normal_es_var([-1.0, 1.0], 0.975)
    assert es_var(sample, 0.975, method=method) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
@pytest.mark.parametrize("method", METHODS)
def test_influence_is_the_derivative_in_the_mass_of_an_observation(method, weighted):
    losses = heavy(80, seed=6, dof=4) + (0.5 if method == "cornish_fisher" else 0.0)
    level = 0.9 if method == "cornish_fisher" else 0.95
    mass = textbook.probabilities(losses, random_weights(80) if weighted else None)
    estimator = _estimators.ESTIMATORS[method]
    fit = estimator.fit(Sample(losses, mass, 1.0))

    def estimates(weights):
        sample = Sample(losses, weights, 1.0)
        # The bandwidth is taken as given.
        other = _estimators.KernelFit(sample, fit.bandwidth) if method == "kernel" else estimator.fit(sample)
        return np.array(other.es_var(level))

    influences = fit.influence(level)
    assert [np.dot(mass, influence) for influence in influences] == pytest.approx([0, 0], abs=1e-9)
    step = 1e-5
    for position in (0, int(np.argmax(losses)), int(np.argmin(losses)), 40):
        shift = -mass
        shift[position] += 1.0
        numeric = (estimates(mass + step * shift) - estimates(mass - step * shift)) / (2 * step)
        assert [influence[position] for influence in influences] == pytest.approx(numeric, rel=2e-4, abs=2e-4)


def test_influence_of_the_mean_at_level_zero():
    sample = light(50)
    for method in METHODS:
        fit = _estimators.ESTIMATORS[method].fit(Sample.of_row(sample, True, None))
        on_es, on_var = fit.influence(0.0)
        assert np.isnan(on_var).all()
        if method != "student_t":
            assert on_es == pytest.approx(sample - sample.mean(), abs=1e-14)


def test_portable_exponential_at_the_ends():
    assert resample.exponential(0.0) == 1.0
    assert resample.exponential(-math.inf) == 0.0
    assert resample.exponential(math.inf) == math.inf
    assert math.isnan(resample.exponential(math.nan))


def test_kernels_refuse_arrays_of_another_kind():
    with pytest.raises(TypeError, match="contiguous native array"):
        resample.moments(np.arange(5))
    with pytest.raises(TypeError, match="contiguous native array"):
        resample.moments(np.arange(10.0)[::2])
    with pytest.raises(ValueError, match=r"expected an array of 5 \(at least 1\) values, got 4"):
        resample.moments(np.arange(5.0), np.ones(4))
    with pytest.raises(ValueError, match="at least 1"):
        resample.moments(np.empty(0))


def test_no_estimate_warns_on_an_ordinary_sample():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in METHODS:
            for seed in range(10):
                assert math.isfinite(cshortfall.es(light(250, seed), method=method))


@pytest.mark.parametrize("method", ["historical", *METHODS])
@pytest.mark.parametrize("power", [1021, -900])
def test_weights_of_any_scale_are_the_same(method, power):
    sample, weights = heavy(60), np.linspace(1.0, 1.7, 60)
    scaled = np.ldexp(weights, power)
    assert es_var(sample, 0.9, method=method, weights=scaled) == es_var(sample, 0.9, method=method, weights=weights)
    found, expected = (
        cshortfall.tail_risk(sample, 0.8, method=method, weights=own, n_resamples=100, rng=0)
        for own in (scaled, weights)
    )
    for name in ("es_standard_error", "var_standard_error", "es_interval", "var_interval"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-13)
