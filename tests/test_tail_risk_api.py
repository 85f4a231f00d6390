"""What tail_risk takes and returns; the numbers themselves are tested with the intervals."""

import contextlib
import copy
import dataclasses
import pickle

import numpy as np
import pytest

from cshortfall import TailRisk, es, es_var, tail_risk, var

SAMPLE = np.random.default_rng(1).standard_t(4, 400)
MATRIX = np.random.default_rng(2).standard_t(4, (300, 2, 3))
LEVELS = [0.9, 0.975]
NUMBERS = ("es", "var", "es_standard_error", "var_standard_error", "tail_count")
INTERVALS = ("es_interval", "var_interval")


def test_one_sample_and_level_give_python_numbers():
    risk = tail_risk(SAMPLE, rng=0)
    for name in NUMBERS:
        assert type(getattr(risk, name)) is float
    for name in INTERVALS:
        interval = getattr(risk, name)
        assert type(interval) is tuple
        assert [type(end) for end in interval] == [float, float]
    assert type(risk.n) is int
    assert (risk.n, risk.tail_count, risk.level, risk.tail, risk.method) == (400, 10.0, 0.975, "lower", "historical")
    assert (risk.interval, risk.confidence_level) == ("studentized", 0.95)
    assert (risk.es, risk.var) == es_var(SAMPLE)
    assert risk.es_interval[0] < risk.es < risk.es_interval[1]
    assert risk.var_interval[0] < risk.var < risk.var_interval[1]
    assert risk.es_standard_error > 0


def test_fields_are_those_documented():
    assert [field.name for field in dataclasses.fields(TailRisk)] == [
        "es", "var", "es_standard_error", "var_standard_error", "es_interval", "var_interval", "level", "tail",
        "method", "interval", "confidence_level", "n", "tail_count",
    ]  # fmt: skip


def test_results_are_frozen_equal_by_value_and_pickled():
    risk = tail_risk(SAMPLE, 0.95, rng=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        risk.es = 0.0
    assert pickle.loads(pickle.dumps(risk)) == copy.deepcopy(risk) == risk == tail_risk(SAMPLE, 0.95, rng=3)
    assert risk != tail_risk(SAMPLE, 0.95, rng=4)


@pytest.mark.parametrize("axis", [0, -1, 1, (0, 2), (1, 0)])
def test_axes_stay_and_intervals_have_a_last_axis_of_two(axis):
    with pytest.warns(RuntimeWarning) if axis in (-1, 1) else contextlib.nullcontext():
        risk = tail_risk(MATRIX, 0.9, axis=axis, interval="asymptotic")
    expected = es(MATRIX, 0.9, axis=axis)
    for name in NUMBERS:
        values = getattr(risk, name)
        assert type(values) is np.ndarray
        assert (values.dtype, values.shape) == (np.float64, expected.shape)
    for name in INTERVALS:
        assert getattr(risk, name).shape == (*expected.shape, 2)
    assert (risk.n.dtype, risk.n.shape) == (np.int64, expected.shape)
    np.testing.assert_array_equal(risk.es, expected)
    np.testing.assert_array_equal(risk.var, var(MATRIX, 0.9, axis=axis))
    assert (risk.n == MATRIX.size / expected.size).all()


def test_several_levels_add_an_axis_before_that_of_the_interval():
    risk = tail_risk(SAMPLE, LEVELS, rng=0)
    assert risk.es.shape == risk.tail_count.shape == (2,)
    assert risk.es_interval.shape == (2, 2)
    assert risk.level.tolist() == LEVELS
    assert risk.n == 400
    assert risk.tail_count.tolist() == [40.0, 10.0]
    risk = tail_risk(MATRIX, [0.9], axis=0, interval="asymptotic")
    assert (risk.es.shape, risk.es_interval.shape, risk.n.shape) == ((2, 3, 1), (2, 3, 1, 2), (2, 3))


def test_a_slice_has_the_numbers_of_the_sample_it_is():
    risk = tail_risk(MATRIX, LEVELS, axis=0, interval="asymptotic")
    alone = tail_risk(MATRIX[:, 1, 2], LEVELS, interval="asymptotic")
    for name in (*NUMBERS, *INTERVALS):
        np.testing.assert_array_equal(getattr(risk, name)[1, 2], getattr(alone, name))


@pytest.mark.parametrize(
    "make",
    [
        lambda: 7,
        lambda: np.int64(7),
        lambda: np.random.SeedSequence(7),
        lambda: np.random.default_rng(7),
        lambda: np.random.PCG64(7),
    ],
    ids=["int", "numpy int", "SeedSequence", "Generator", "BitGenerator"],
)
def test_a_seed_in_any_form_gives_the_same_bits(make):
    assert tail_risk(SAMPLE, rng=make(), n_resamples=200) == tail_risk(SAMPLE, rng=7, n_resamples=200)


def test_no_seed_gives_other_resamples_each_time():
    assert tail_risk(SAMPLE, n_resamples=200).es_interval != tail_risk(SAMPLE, n_resamples=200).es_interval


def test_a_generator_moves_on():
    generator = np.random.default_rng(7)
    first, second = (tail_risk(SAMPLE, rng=generator, n_resamples=200) for _ in range(2))
    assert first.es_interval != second.es_interval


def test_memory_layout_does_not_change_the_resamples():
    expected = tail_risk(MATRIX, 0.9, axis=0, rng=1, n_resamples=100)
    for x in (
        np.asfortranarray(MATRIX),
        np.ascontiguousarray(MATRIX.swapaxes(0, 2)).swapaxes(0, 2),
        MATRIX.astype(">f8"),
    ):
        result = tail_risk(x, 0.9, axis=0, rng=1, n_resamples=100)
        for name in (*NUMBERS, *INTERVALS):
            np.testing.assert_array_equal(getattr(result, name), getattr(expected, name))


@pytest.mark.parametrize("method", ["historical", "normal", "student_t", "cornish_fisher", "kernel"])
def test_every_estimator_agrees_with_es_var(method):
    for weights in (None, np.linspace(1.0, 2.0, 400)):
        risk = tail_risk(SAMPLE, LEVELS, method=method, weights=weights, interval="asymptotic")
        both = es_var(SAMPLE, LEVELS, method=method, weights=weights)
        np.testing.assert_array_equal(risk.es, both.es)
        np.testing.assert_array_equal(risk.var, both.var)
        assert risk.method == method
        mirrored = tail_risk(-SAMPLE, LEVELS, method=method, weights=weights, interval="asymptotic", tail="upper")
        np.testing.assert_array_equal(mirrored.es, risk.es)
        assert mirrored.tail == "upper"


@pytest.mark.parametrize("interval", ["studentized", "asymptotic", "percentile", "block_bootstrap", None])
def test_every_interval_is_returned_by_name(interval):
    risk = tail_risk(SAMPLE, 0.9, interval=interval, confidence_level=0.8, rng=0, n_resamples=200)
    assert (risk.interval, risk.confidence_level) == (interval, 0.8)
    if interval is None:
        assert np.isnan(risk.es_interval).all()
        assert np.isnan(risk.var_interval).all()
        assert risk.es_standard_error > 0
    else:
        assert risk.es_interval[0] < risk.es < risk.es_interval[1]


def test_outcomes_are_counted_after_omission_and_without_those_of_no_weight():
    x, weights = SAMPLE.copy(), np.ones(400)
    x[:30], weights[370:] = np.nan, 0.0
    risk = tail_risk(x, 0.9, weights=weights, nan_policy="omit", interval="asymptotic")
    assert (risk.n, risk.tail_count) == (340, 34.0)
    expected = tail_risk(SAMPLE[30:370], 0.9, interval="asymptotic")
    assert (risk.es, risk.es_standard_error, risk.es_interval) == (
        expected.es,
        expected.es_standard_error,
        expected.es_interval,
    )


def test_the_tail_count_of_unequal_weights_goes_by_the_effective_number():
    weights = np.tile([1.0, 3.0], 200)
    for scale in (1.0, 1e-300, 1e300):
        risk = tail_risk(SAMPLE, 0.9, weights=weights * scale, interval="asymptotic")
        assert risk.n == 400
        assert risk.tail_count == pytest.approx(0.1 * 800**2 / 2000, rel=1e-14)
    for scale in (0.1, 7.0, 1e-310):
        assert tail_risk(SAMPLE, 0.9, weights=np.full(400, scale), interval="asymptotic").tail_count == 40.0


def test_missing_values_propagate_to_their_slice_alone():
    x = MATRIX[:, 0].copy()
    x[5, 1] = np.nan
    risk = tail_risk(x, 0.9, axis=0, interval="asymptotic")
    for name in NUMBERS:
        assert np.isnan(getattr(risk, name)).tolist() == [False, True, False]
    assert np.isnan(risk.es_interval).any(axis=1).tolist() == [False, True, False]
    assert risk.n.tolist() == [300, 0, 300]
    one = tail_risk(x[:, 1], 0.9, interval="asymptotic")
    assert np.isnan([one.es, one.var, *one.es_interval]).all()


def test_the_representation_shows_the_numbers():
    text = repr(tail_risk(SAMPLE, 0.95, rng=0))
    risk = tail_risk(SAMPLE, 0.95, rng=0)
    assert text.startswith("TailRisk(level=0.95, tail='lower', method='historical', n=400, tail_count=20\n")
    assert "interval='studentized', confidence_level=0.95" in text
    assert f"es  = {risk.es:.6g}, standard error {risk.es_standard_error:.3g}" in text
    assert f"interval {risk.var_interval[0]:.6g} to {risk.var_interval[1]:.6g}" in text
    assert len(text.splitlines()) == 4
    text = repr(tail_risk(SAMPLE, LEVELS, interval="asymptotic"))
    for name in (*NUMBERS, *INTERVALS, "level"):
        assert f"\n    {name}=" in text
    assert text.endswith("\n)")
