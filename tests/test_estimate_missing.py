"""Missing values and weights of the historical estimator."""

import math

import datasets
import numpy as np
import pytest
import textbook
from bits import assert_same_bits

from cshortfall import es, es_var, var

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")

TAILS = ["lower", "upper"]
SHAPED = datasets.heavy_tails(6 * 5 * 7).reshape(6, 5, 7)


@pytest.mark.parametrize("where", ["start", "middle", "end", "many"])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 64, 65, 1000, 1024, 5000, 70_001])
def test_missing_values_propagate_or_are_omitted(n, where):
    values = datasets.with_missing(datasets.heavy_tails(n), where)
    for dtype in (np.float64, np.float32):
        sample = values.astype(dtype)
        for levels in (0.975, [0.5, 0.99]):
            shape = np.shape(levels)
            assert_same_bits(es(sample, levels), np.full(shape, np.nan))
            assert_same_bits(es_var(sample, levels).var, np.full(shape, np.nan))
        if n > 1:
            for tail in TAILS:
                expected = textbook.es_var(sample, 0.975, tail=tail, nan_policy="omit")[:2]
                assert_same_bits(es_var(sample, 0.975, tail=tail, nan_policy="omit"), expected)
                assert_same_bits(es(sample, 0.975, tail=tail, nan_policy="omit"), expected[0])
        with pytest.raises(ValueError, match="NaN"):
            es(sample, nan_policy="raise")


@pytest.mark.parametrize("where", ["start", "middle", "end"])
def test_a_missing_value_among_infinities_is_found(where):
    values = datasets.with_missing(np.resize([np.inf, -np.inf, 1.0], 300), where)
    assert_same_bits(es_var(values, 0.9), (np.nan, np.nan))


def test_every_nan_is_missing_whatever_its_sign_and_payload():
    for pattern in (0x7FF8000000000000, 0xFFF8000000000000, 0x7FF0000000000001, 0xFFFFFFFFFFFFFFFF):
        sample = np.array([1.0, -2.0, 3.0])
        sample.view(np.uint64)[1] = pattern
        assert_same_bits(es_var(sample, 0.5), (np.nan, np.nan))
        assert es(sample, 0.5, nan_policy="omit") == -1.0
        assert_same_bits(es_var(sample, 0.5, tail="upper"), (np.nan, np.nan))


def test_no_missing_value_is_seen_where_there_is_none():
    sample = datasets.heavy_tails(100)
    for policy in ("omit", "raise"):
        assert_same_bits(es_var(sample, nan_policy=policy), es_var(sample))


@pytest.mark.parametrize("axis", [0, 1, None, (0, 1)])
def test_omission_counts_per_slice(axis):
    values = datasets.with_missing(datasets.heavy_tails(35 * 12), "many").reshape(35, 12)
    values[:, 4] = datasets.bells(35)
    values[7, :] = datasets.bells(12)
    for quantity, function in (("es", es), ("var", var)):
        for policy in ("omit", "propagate"):
            expected = textbook.of_axis(quantity, values, 0.9, axis, nan_policy=policy)
            assert_same_bits(function(values, 0.9, axis=axis, nan_policy=policy), expected, policy)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_slice_without_values_is_nan_with_a_warning(order):
    values = np.array(datasets.heavy_tails(60).reshape(20, 3), order=order)
    values[:, 1] = np.nan
    with pytest.warns(RuntimeWarning, match="NaN|empty|missing"):
        result = es(values, 0.9, axis=0, nan_policy="omit")
    assert_same_bits(result, [textbook.es(values[:, 0], 0.9), np.nan, textbook.es(values[:, 2], 0.9)])
    with pytest.warns(RuntimeWarning):
        assert_same_bits(es_var(np.full(9, np.nan), 0.9, nan_policy="omit"), (np.nan, np.nan))


def test_masked_entries_are_missing():
    values = np.ma.masked_array([1.0, -2.0, 3.0, -100.0], mask=[False, False, False, True])
    assert math.isnan(es(values, 0.5))
    assert es(values, 0.5, nan_policy="omit") == textbook.es([1.0, -2.0, 3.0], 0.5)
    with pytest.raises(ValueError, match="NaN"):
        es(values, 0.5, nan_policy="raise")
    whole = np.ma.masked_array([1, -2, 3, -100], mask=[False, False, False, True])
    assert es(whole, 0.5, nan_policy="omit") == textbook.es([1.0, -2.0, 3.0], 0.5)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("tail", TAILS)
def test_weights_lie_along_the_axis_or_have_the_shape_of_the_data(axis, tail):
    along, full = (
        datasets.unequal_weights(SHAPED.shape[axis]),
        datasets.unequal_weights(SHAPED.size).reshape(SHAPED.shape),
    )
    for weights in (along, full, along.astype(np.float32), np.asfortranarray(full), list(along)):
        for quantity, function in (("es", es), ("var", var)):
            expected = textbook.of_axis(quantity, SHAPED, 0.9, axis, weights, tail)
            assert_same_bits(function(SHAPED, 0.9, axis=axis, weights=weights, tail=tail), expected)
    several = es_var(SHAPED, [0.99, 0.5], axis=axis, weights=along, tail=tail)
    assert_same_bits(several.es[..., 1], textbook.of_axis("es", SHAPED, 0.5, axis, along, tail))
    assert_same_bits(several.var[..., 0], textbook.of_axis("var", SHAPED, 0.99, axis, along, tail))


@pytest.mark.parametrize("axis", [(0, 1), (2, 0), None])
def test_weights_of_several_axes_have_the_shape_of_the_data(axis):
    weights = datasets.unequal_weights(SHAPED.size).reshape(SHAPED.shape)
    assert_same_bits(es(SHAPED, 0.9, axis=axis, weights=weights), textbook.of_axis("es", SHAPED, 0.9, axis, weights))
    with pytest.raises(ValueError, match="weights"):
        es(SHAPED, 0.9, axis=axis, weights=np.ones(6))


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, ">f8"])
def test_weights_of_every_dtype(dtype):
    weights = (np.arange(20) % 4 + 1).astype(dtype)
    sample = datasets.heavy_tails(20)
    assert_same_bits(es_var(sample, 0.75, weights=weights), textbook.es_var(sample, 0.75, weights)[:2])
    strided = np.repeat(weights, 3)[::3]
    assert_same_bits(es_var(sample, 0.75, weights=strided), textbook.es_var(sample, 0.75, weights)[:2])


@pytest.mark.parametrize("shape", [(19,), (21,), (1,), (20, 1), (1, 20), ()])
def test_weights_of_another_shape_are_a_value_error(shape):
    with pytest.raises(ValueError, match="weights"):
        es(np.arange(20.0), 0.9, weights=np.ones(shape))


@pytest.mark.parametrize("bad", [-1.0, -1e-300, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("function", [es, var, es_var])
@pytest.mark.parametrize("n", [4, 100, 5000])
def test_weights_that_are_no_masses_are_a_value_error(function, bad, n):
    weights = np.ones(n)
    weights[n // 2] = bad
    with pytest.raises(ValueError, match="weights"):
        function(np.arange(n, dtype=float), 0.9, weights=weights)


def test_weights_without_mass_are_a_value_error():
    with pytest.raises(ValueError, match="weights"):
        es([1.0, 2.0], 0.9, weights=[0.0, 0.0])
    with pytest.raises(ValueError, match="weights"):
        es(np.ones((3, 2)), 0.9, axis=1, weights=np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]))


@pytest.mark.parametrize("weights", [["a", "b"], [1j, 1], np.array([None, 1.0])])
def test_weights_that_are_no_numbers_are_a_type_error(weights):
    with pytest.raises(TypeError, match="weights"):
        es([1.0, 2.0], 0.9, weights=weights)


def test_an_outcome_of_weight_zero_is_absent():
    sample, weights = datasets.heavy_tails(40), datasets.unequal_weights(40)
    expected = textbook.es_var(sample, 0.9, weights)[:2]
    for value in (-1e300, 1e300, -np.inf, np.inf, np.nan, 0.0):
        longer, longer_weights = np.insert(sample, 17, value), np.insert(weights, 17, 0.0)
        assert_same_bits(es_var(longer, 0.9, weights=longer_weights), expected)
        assert_same_bits(es_var(longer, 0.9, weights=np.insert(np.ones(40), 17, -0.0)), es_var(sample, 0.9))


@pytest.mark.parametrize("where", ["start", "middle", "end", "many"])
def test_a_missing_value_takes_its_weight_along(where):
    for n in (7, 65, 2000):
        sample, weights = datasets.with_missing(datasets.heavy_tails(n), where), datasets.unequal_weights(n)
        kept = ~np.isnan(sample)
        expected = textbook.es_var(sample[kept], 0.9, weights[kept])[:2]
        assert_same_bits(es_var(sample, 0.9, weights=weights, nan_policy="omit"), expected)
        assert_same_bits(es_var(sample, 0.9, weights=weights), (np.nan, np.nan))
        with pytest.raises(ValueError, match="NaN"):
            es(sample, 0.9, weights=weights, nan_policy="raise")


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("nan_policy", ["omit", "propagate"])
def test_weighted_omission_counts_per_slice(axis, nan_policy):
    values = datasets.with_missing(datasets.heavy_tails(35 * 12), "many").reshape(35, 12)
    values[:, 4] = datasets.bells(35)
    values[:, [0, 3, 6, 9]] = np.where(np.arange(35)[:, None] % 2, 0.25, np.nan)
    along, full = datasets.unequal_weights(values.shape[axis]), datasets.unequal_weights(values.size).reshape(35, 12)
    full[3::4, 1::3] = 0.0
    for weights in (along, full):
        for quantity, function in (("es", es), ("var", var)):
            expected = textbook.of_axis(quantity, values, 0.9, axis, weights, nan_policy=nan_policy)
            result = function(values, 0.9, axis=axis, weights=weights, nan_policy=nan_policy)
            assert_same_bits(result, expected)


@pytest.mark.parametrize(
    ("weights", "level", "expected"),
    [
        ([0.1, 0.2, 0.7], 0.9, (3.0, 3.0)),
        ([0.1, 0.2, 0.7], 0.7, ((0.3 + 0.4) / 0.3, 2.0)),
        ([0.05] * 2 + [0.9], 0.95, (3.0, 3.0)),
        ([1, 2, 7], 0.9, (3.0, 3.0)),
        ([1, 3, 6], 0.6, (2.25, 2.0)),
    ],
)
def test_decimal_weights_take_whole_outcomes_only(weights, level, expected):
    sample = [-3.0, -2.0, np.inf]
    result = es_var(sample, level, weights=weights)
    assert result == textbook.es_var(sample, level, weights)[:2]
    assert result == pytest.approx(expected, rel=1e-15)
