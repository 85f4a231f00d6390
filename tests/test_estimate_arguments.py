"""Results, ``out``, levels, names and errors of the historical estimator."""

import copy
import math
import pickle
import warnings

import datasets
import numpy as np
import pytest
import textbook
from bits import assert_same_bits

import cshortfall
from cshortfall import LevelWarning, es, es_var, var

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")

TAILS = ["lower", "upper"]
SHAPED = datasets.heavy_tails(6 * 5 * 7).reshape(6, 5, 7)


def test_one_dimension_gives_python_floats():
    for values in ([1.0, 2.0], np.array([1.0, 2.0]), np.array([1, 2]), np.array([1.0, 2.0], dtype=np.float32)):
        for axis in (None, 0, -1):
            assert type(es(values, 0.5, axis=axis)) is float
            assert type(var(values, 0.5, axis=axis)) is float
            both = es_var(values, 0.5, axis=axis)
            assert [type(value) for value in both] == [float, float]


def test_more_dimensions_give_float64_arrays():
    for dtype in (np.float64, np.float32, np.int16):
        result = es(np.ones((3, 4), dtype=dtype), 0.5, axis=0)
        assert type(result) is np.ndarray
        assert result.dtype == np.float64
        assert result.shape == (4,)


def test_es_var_is_a_named_tuple():
    both = es_var([1.0, -2.0], 0.5)
    assert both._fields == ("es", "var")
    assert both == (both.es, both.var) == (2.0, 2.0)
    assert pickle.loads(pickle.dumps(both)) == copy.deepcopy(both) == both
    assert type(both).__name__ == "ESVaR"


def test_arguments_have_the_documented_names_and_defaults():
    sample = datasets.heavy_tails(200)
    expected = es_var(sample)
    assert es(sample, 0.975) == es(sample) == es(x=sample, level=0.975) == expected.es
    assert var(sample, 0.975) == var(sample) == var(x=sample, level=0.975) == expected.var
    for function in (es, var, es_var):
        explicit = function(
            sample, level=0.975, axis=None, weights=None, tail="lower", nan_policy="propagate", method="historical",
            out=None,
        )  # fmt: skip
        assert explicit == function(sample)


@pytest.mark.parametrize("function", [es, var, es_var])
def test_only_sample_and_level_are_positional(function):
    with pytest.raises(TypeError):
        function([1.0, 2.0], 0.5, 0)
    with pytest.raises(TypeError):
        function()
    with pytest.raises(TypeError):
        function([1.0, 2.0], nonsense=1)
    with pytest.raises(TypeError):
        function([1.0, 2.0], 0.5, level=0.5)


def test_out_receives_the_results():
    out = np.full(7, np.nan)
    values = SHAPED[0]
    assert es(values, 0.9, axis=0, out=out) is out
    assert_same_bits(out, es(values, 0.9, axis=0))
    assert var(values, 0.9, axis=0, out=out) is out
    assert_same_bits(out, var(values, 0.9, axis=0))


def test_out_may_be_strided():
    out = np.full((7, 4), np.nan)
    es(SHAPED[0], 0.9, axis=0, out=out[:, 1])
    assert_same_bits(out[:, 1], es(SHAPED[0], 0.9, axis=0))
    assert np.isnan(out[:, [0, 2, 3]]).all()


def test_out_has_a_last_axis_of_levels():
    out = np.empty((6, 7, 2), order="F")
    assert es(SHAPED, [0.9, 0.5], axis=1, out=out) is out
    assert_same_bits(out, es(SHAPED, [0.9, 0.5], axis=1))


def test_out_of_es_var_is_a_pair():
    pair = np.empty(7), np.empty(7)
    result = es_var(SHAPED[0], 0.9, axis=0, out=pair)
    assert result.es is pair[0]
    assert result.var is pair[1]
    assert_same_bits(pair[0], es(SHAPED[0], 0.9, axis=0))
    assert_same_bits(pair[1], var(SHAPED[0], 0.9, axis=0))


def test_out_of_no_dimension_takes_a_scalar():
    out = np.array(np.nan)
    assert es([1.0, -2.0], 0.5, out=out) is out
    assert out == 2.0


@pytest.mark.parametrize(
    "out",
    [
        np.empty(6),
        np.empty((7, 1)),
        np.empty(7, dtype=np.float32),
        np.empty(7, dtype=np.int64),
        [0.0] * 7,
        datasets.read_only(np.zeros(7)),
        3.0,
    ],
    ids=["size", "shape", "float32", "int64", "list", "read-only", "float"],
)
def test_a_wrong_out_is_named(out):
    for function in (es, var):
        with pytest.raises((TypeError, ValueError), match="out"):
            function(SHAPED[0], 0.9, axis=0, out=out)
    with pytest.raises((TypeError, ValueError), match="out"):
        es_var(SHAPED[0], 0.9, axis=0, out=(np.empty(7), out))


def test_out_of_es_var_must_be_a_pair():
    with pytest.raises((TypeError, ValueError), match="out"):
        es_var(SHAPED[0], 0.9, axis=0, out=np.empty(7))


def test_out_may_be_the_input():
    values = datasets.heavy_tails(49).reshape(7, 7)
    expected = es(values.copy(), 0.5, axis=0)
    assert_same_bits(es(values, 0.5, axis=0, out=values[3]), expected)


@pytest.mark.parametrize("function", [es, var, es_var])
@pytest.mark.parametrize("level", [1.0, 1, 1.5, -0.1, -1e-300, math.nan, math.inf, -math.inf])
def test_a_level_outside_its_range_is_a_value_error(function, level):
    for given in (level, [0.9, level]):
        with pytest.raises(ValueError, match="level"):
            function([1.0, 2.0], given)


@pytest.mark.parametrize(("level", "meant"), [(5, "0.95"), (95, "0.95"), (95.0, "0.95"), (99, "0.99"), (97.5, "0.975")])
def test_a_level_in_percent_gets_a_suggestion(level, meant):
    for given in (level, [0.9, level]):
        with pytest.raises(ValueError, match=rf"level.*\b{meant}\b"):
            es([1.0, 2.0], given)


@pytest.mark.parametrize("level", ["0.9", None, 0.9 + 0j, object(), ["0.9"], [None]])
def test_a_level_that_is_no_number_is_a_type_error(level):
    with pytest.raises(TypeError, match="level"):
        es([1.0, 2.0], level)


def test_levels_of_two_dimensions_are_a_value_error():
    with pytest.raises(ValueError, match="level"):
        es([1.0, 2.0], [[0.9, 0.95]])


@pytest.mark.parametrize("level", [0.05, 0.025, 1e-17, 0.2, 0.01])
def test_a_level_that_looks_like_a_tail_mass_warns(level):
    for given in (level, [0.9, level]):
        with pytest.warns(LevelWarning, match=r"level"):
            es([1.0, 2.0], given)


@pytest.mark.parametrize("level", [0, 0.0, 0.201, 0.5, 0.975, [0.0, 0.95]])
@pytest.mark.parametrize("function", [es, var, es_var])
def test_ordinary_levels_do_not_warn(function, level):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function([1.0, 2.0], level)


@pytest.mark.parametrize(
    "level", [np.float64(0.95), np.array(0.95), np.float32(0.75), np.float16(0.75), 0, np.int64(0)]
)
def test_numpy_scalars_are_levels(level):
    sample = datasets.heavy_tails(30)
    result = es(sample, level)
    assert type(result) is float
    assert result == textbook.es(sample, float(level))


@pytest.mark.parametrize("function", [es, var, es_var])
@pytest.mark.parametrize(
    ("argument", "value", "remedy"),
    [("tail", "left", "lower"), ("nan_policy", "ignore", "propagate"), ("method", "magic", "historical")],
)
def test_unknown_names_are_value_errors_that_list_the_known(function, argument, value, remedy):
    with pytest.raises(ValueError, match=rf"(?s)(?=.*{argument})(?=.*{value})(?=.*{remedy})"):
        function([1.0, 2.0], 0.5, **{argument: value})


@pytest.mark.parametrize("argument", ["tail", "nan_policy", "method"])
@pytest.mark.parametrize("value", [None, 1, ["lower"]])
def test_names_that_are_no_strings_are_named(argument, value):
    with pytest.raises((TypeError, ValueError), match=argument):
        es([1.0, 2.0], 0.5, **{argument: value})


QUANTILE_METHODS = [
    "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull",
    "linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest",
]  # fmt: skip


@pytest.mark.parametrize("method", QUANTILE_METHODS)
@pytest.mark.parametrize("tail", TAILS)
def test_var_knows_the_quantile_methods_of_numpy(method, tail):
    for n in (1, 2, 5, 23, 101, 1000):
        sample = datasets.heavy_tails(n, 5)
        for level in (0.5078125, 0.890625, 0.96875, 0.9921875):
            mirrored = sample if tail == "lower" else -sample
            expected = -np.quantile(mirrored, 1 - level, method=method)
            result = var(sample, level, tail=tail, quantile_method=method)
            assert result == pytest.approx(expected, rel=1e-13), (n, level)


@pytest.mark.parametrize("method", QUANTILE_METHODS)
def test_quantile_methods_work_along_axes_and_mirror(method):
    expected = -np.quantile(SHAPED, 0.125, axis=1, method=method)
    result = var(SHAPED, [0.875, 0.5078125], axis=1, quantile_method=method)
    np.testing.assert_allclose(result[..., 0], expected, rtol=1e-13)
    assert_same_bits(var(-SHAPED, [0.875, 0.5078125], axis=1, quantile_method=method, tail="upper"), result)


def test_the_default_quantile_is_the_inverted_distribution_function():
    for n in (10, 1000):
        sample = datasets.heavy_tails(n)
        for level in (0.9, 0.95, 0.975, 0.99):
            assert var(sample, level) == var(sample, level, quantile_method="inverted_cdf")
    assert var(np.arange(10.0), 0.9, quantile_method="averaged_inverted_cdf") == -0.5
    assert var(np.arange(1000.0), 0.975, quantile_method="averaged_inverted_cdf") == -24.5


def test_quantile_methods_are_for_historical_unweighted_samples():
    with pytest.raises(ValueError, match="quantile_method"):
        var([1.0, 2.0], 0.5, quantile_method="magic")
    with pytest.raises(ValueError, match="quantile_method"):
        var([1.0, 2.0], 0.5, weights=[1.0, 2.0], quantile_method="linear")
    with pytest.raises(ValueError, match="quantile_method"):
        var([1.0, 2.0, 4.0], 0.5, method="normal", quantile_method="linear")


def test_the_public_names_are_exported():
    for name in ("es", "var", "es_var", "tail_weights", "es_of_portfolios", "es_gradient", "LevelWarning"):
        assert name in cshortfall.__all__
    assert issubclass(LevelWarning, UserWarning)
