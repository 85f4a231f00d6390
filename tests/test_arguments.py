"""The argument gate: each refusal names argument, value and remedy, and is the same from every path."""

import array
import inspect
import re
import sys
import tracemalloc
import warnings
from fractions import Fraction

import numpy as np
import pytest

import cshortfall
from cshortfall import LevelWarning, es, es_gradient, es_of_portfolios, es_var, tail_risk, tail_weights, var

SAMPLE = np.array([0.5, -1.0, 2.0, -3.0, 1.0, 0.25, -0.125, 4.0])
MATRIX = np.arange(12.0).reshape(4, 3)
ESTIMATES = [es, var, es_var, tail_risk]

LONG_DOUBLE_DIFFERS = np.dtype(np.longdouble) != np.dtype(np.float64)


def message(function, *arguments, **named):
    """Return kind and text of the error that a call ends with."""
    with pytest.raises((TypeError, ValueError)) as caught:
        function(*arguments, **named)
    return caught.type, str(caught.value)


def assert_says(text, *parts):
    for part in parts:
        assert part in text


@pytest.mark.parametrize("function", ESTIMATES)
@pytest.mark.parametrize(
    ("named", "kind", "parts"),
    [
        ({"level": 5}, ValueError, ["level", "got 5", "[0, 1)", "confidence", "level=0.95"]),
        ({"level": 95}, ValueError, ["level", "got 95", "[0, 1)", "level=0.95"]),
        ({"level": 97.5}, ValueError, ["level", "got 97.5", "level=0.975"]),
        ({"level": 99}, ValueError, ["level", "got 99", "level=0.99"]),
        ({"level": 99.9}, ValueError, ["level", "got 99.9", "level=0.999"]),
        ({"level": 2.5}, ValueError, ["level", "got 2.5", "level=0.975"]),
        ({"level": 1}, ValueError, ["level", "got 1:", "[0, 1)", "level=0.99"]),
        ({"level": 1.0}, ValueError, ["level", "got 1:", "[0, 1)", "level=0.99"]),
        ({"level": -0.05}, ValueError, ["level", "got -0.05", "[0, 1)", "level=0.975"]),
        ({"level": 250}, ValueError, ["level", "got 250", "[0, 1)", "level=0.975"]),
        ({"level": np.nan}, ValueError, ["level", "got nan", "[0, 1)"]),
        ({"level": [0.95, 99.0]}, ValueError, ["level[1]", "got 99", "level=0.99"]),
        ({"level": []}, ValueError, ["level", "empty", "[0.975]"]),
        ({"level": [[0.9], [0.95]]}, ValueError, ["level", "(2, 1)", "level.ravel()"]),
        ({"level": [[0.9], [0.9, 0.95]]}, TypeError, ["level", "[[0.9], [0.9, 0.95]]", "sequence"]),
        ({"level": True}, TypeError, ["level", "True", "0.975"]),
        ({"level": np.True_}, TypeError, ["level", "True"]),
        ({"level": [0.95, False]}, TypeError, ["level", "False", "[0.95, 0.99]"]),
        ({"level": "0.95"}, TypeError, ["level", "'0.95'", "str", "0.975"]),
        ({"level": ["a"]}, TypeError, ["level", "'a'", "[0.95, 0.99]"]),
        ({"level": None}, TypeError, ["level", "None", "0.975"]),
        ({"level": 0.5j}, TypeError, ["level", "0.5j", "complex"]),
        ({"axis": 1}, ValueError, ["axis=1", "(8,)", "-1 to 0"]),
        ({"axis": (0, 0)}, ValueError, ["axis=(0, 0)", "twice", "once"]),
        ({"axis": ()}, ValueError, ["axis", "empty", "None"]),
        ({"axis": 0.0}, TypeError, ["axis", "0.0", "float", "tuple of ints or None"]),
        ({"axis": True}, TypeError, ["axis", "True", "None"]),
        ({"axis": [0]}, TypeError, ["axis", "[0]", "list", "None"]),
        ({"axis": np.array([0, 0])}, TypeError, ["axis", "array([0, 0])", "None"]),
        ({"tail": "left"}, ValueError, ["tail", "'left'", "'lower', 'upper'"]),
        ({"tail": 1}, TypeError, ["tail", "1 of type int", "'lower', 'upper'"]),
        ({"nan_policy": "drop"}, ValueError, ["nan_policy", "'drop'", "'propagate', 'omit', 'raise'"]),
        ({"nan_policy": None}, TypeError, ["nan_policy", "None", "'propagate', 'omit', 'raise'"]),
        ({"method": "gaussian"}, ValueError, ["method", "'gaussian'", "'historical', 'normal', 'student_t'"]),
        ({"method": "linear"}, ValueError, ["method", "'linear'", "'historical'", "quantile_method='linear'"]),
        ({"weights": np.ones(7)}, ValueError, ["weights", "(7,)", "(8,)"]),
        ({"weights": np.ones((8, 1))}, ValueError, ["weights", "(8, 1)", "(8,)"]),
        ({"weights": 2.0}, ValueError, ["weights", "()", "(8,)"]),
        ({"weights": [1, 1, -2, 1, 1, 1, -3, 1]}, ValueError, ["weights[2] = -2.0", "not negative", "weight 0"]),
        ({"weights": [1, 1, 1, 1, 1, np.nan, 1, 1]}, ValueError, ["weights[5] = nan", "finite"]),
        ({"weights": [1, np.inf, 1, 1, 1, 1, 1, 1]}, ValueError, ["weights[1] = inf", "finite"]),
        ({"weights": np.zeros(8)}, ValueError, ["weights", "zero", "at least one"]),
        ({"weights": SAMPLE > 0}, TypeError, ["weights", "bool", "astype(float)"]),
        ({"weights": list("abcdefgh")}, TypeError, ["weights", "<U1", "astype(float)"]),
    ],
    ids=lambda value: re.sub(r"\s+", " ", repr(value))[:40] if isinstance(value, dict) else "",
)
def test_a_refusal_names_argument_value_and_remedy(function, named, kind, parts):
    caught, text = message(function, SAMPLE, **named)
    assert issubclass(caught, kind)
    assert_says(text, *parts)


@pytest.mark.parametrize("function", [*ESTIMATES, tail_weights])
@pytest.mark.parametrize(
    ("x", "kind", "parts"),
    [
        (SAMPLE > 0, TypeError, ["x must hold real numbers", "bool", "astype(float)"]),
        ([True, False], TypeError, ["x", "bool", "astype(float)"]),
        (SAMPLE + 1j, TypeError, ["x", "complex128", "real part"]),
        (SAMPLE.astype(object), TypeError, ["x", "object", "astype(float)"]),
        ([0.1, None], TypeError, ["x", "object", "nan"]),
        (["0.1"], TypeError, ["x", "<U3", "astype(float)"]),
        ("0.1", TypeError, ["x", "<U3", "astype(float)"]),
        (b"0.1", TypeError, ["x", "|S3", "astype(float)"]),
        (SAMPLE.astype("M8[s]"), TypeError, ["x", "datetime64", "returns"]),
        (SAMPLE.astype("m8[s]"), TypeError, ["x", "timedelta64", "np.timedelta64"]),
        (np.zeros(3, dtype=[("p", "f8"), ("q", "f8")]), TypeError, ["x", "'p'", "fields"]),
        (None, TypeError, ["x", "object"]),
        ({"a": 1.0}, TypeError, ["x", "object"]),
        ((value for value in SAMPLE), TypeError, ["x", "object"]),
        ([[1.0, 2.0], [3.0]], ValueError, ["x of type list", "inhomogeneous", "rectangular"]),
        ([], ValueError, ["x is empty", "(0,)", "at least one outcome"]),
        (np.zeros((3, 0)), ValueError, ["x is empty", "(3, 0)", "at least one outcome"]),
    ],
    ids=lambda value: re.sub(r"\s+", " ", repr(value))[:30] if not isinstance(value, (list, type)) else "",
)
def test_data_that_are_no_sample_are_named(function, x, kind, parts):
    caught, text = message(function, x)
    assert caught is kind
    assert_says(text, *parts)


@pytest.mark.skipif(not LONG_DOUBLE_DIFFERS, reason="long double is double here")
def test_long_double_is_refused_with_the_conversion():
    caught, text = message(es, SAMPLE.astype(np.longdouble))
    assert caught is TypeError
    assert_says(text, "x", str(np.dtype(np.longdouble)), "astype(float)")
    assert message(es, SAMPLE, weights=SAMPLE.astype(np.longdouble))[0] is TypeError


@pytest.mark.parametrize(
    "named",
    [{"level": 95}, {"axis": 3}, {"tail": "left"}, {"weights": np.ones(3)}, {"method": "x"}, {"nan_policy": ""}],
    ids=repr,
)
@pytest.mark.parametrize(
    "x",
    [
        SAMPLE.tolist(),
        SAMPLE.astype(np.float32),
        SAMPLE[::-1],
        SAMPLE.astype(">f8"),
        memoryview(SAMPLE),
        SAMPLE.astype(int),
    ],
    ids=["list", "float32", "reversed", "foreign endian", "buffer", "integers"],
)
def test_errors_are_the_same_from_every_path(x, named):
    expected = message(es, SAMPLE, **named)
    for function in ESTIMATES:
        assert message(function, x, **named) == expected


def test_an_axis_error_is_that_of_numpy():
    with pytest.raises(np.exceptions.AxisError):
        es(SAMPLE, axis=2)
    with pytest.raises(np.exceptions.AxisError, match=r"axis=0 .*shape \(\); use None"):
        es(1.0, axis=0)


@pytest.mark.parametrize("level", [0.05, np.float64(0.2), [0.975, 0.05], np.float32(0.125), Fraction(1, 20)])
def test_a_level_warning_points_at_the_line_of_the_caller(level):
    calls = [
        lambda: es(SAMPLE, level),
        lambda: var(SAMPLE, level),
        lambda: es_var(SAMPLE, level),
        lambda: tail_risk(SAMPLE, level, interval=None),
        lambda: es_of_portfolios(MATRIX, np.ones(3), level),
        lambda: es_gradient(MATRIX, np.ones(3), level),
    ]
    for call in calls:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        caught = [one for one in caught if one.category is LevelWarning]
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert caught[0].lineno == inspect.getsourcelines(call)[1]


def test_a_level_warning_names_the_level_that_is_meant():
    with pytest.warns(LevelWarning, match=r"level=0\.05 .* worst 95 % .* worst 5 % use level=0\.95"):
        es(SAMPLE, 0.05)
    with pytest.warns(LevelWarning, match=r"level=0\.025 .* use level=0\.975"):
        tail_weights(SAMPLE, 0.025)
    with pytest.warns(LevelWarning, match=r"level=1e-17 .* use level=0\.9"):
        es(SAMPLE, 1e-17)


@pytest.mark.parametrize("level", [Fraction(19, 20), np.float64(0.95), np.array(0.95), 0])
def test_a_single_level_of_any_real_type_gives_a_float(level):
    assert type(es(SAMPLE, level)) is float


@pytest.mark.parametrize("levels", [[0.5, 0.75], (0.5, 0.75), np.array([0.5, 0.75]), array.array("d", [0.5, 0.75])])
def test_sequences_of_levels(levels):
    assert es(SAMPLE, levels).tolist() == [es(SAMPLE, 0.5), es(SAMPLE, 0.75)]


@pytest.mark.parametrize("quantile_method", ["median", "LINEAR", ""])
def test_quantile_methods_are_listed(quantile_method):
    caught, text = message(var, SAMPLE, quantile_method=quantile_method)
    assert caught is ValueError
    assert_says(text, "quantile_method", repr(quantile_method), "'inverted_cdf', 'averaged_inverted_cdf'", "'nearest'")


def test_quantile_methods_are_of_the_plain_sample():
    text = message(var, SAMPLE, weights=np.ones(8), quantile_method="linear")[1]
    assert_says(text, "quantile_method='linear'", "no weights", "'inverted_cdf'")
    text = message(var, SAMPLE, method="normal", quantile_method="linear")[1]
    assert_says(text, "quantile_method='linear'", "method='historical'", "method='normal'")


def test_an_estimator_without_weights_says_which_take_them(monkeypatch):
    from cshortfall._estimators import ESTIMATORS

    monkeypatch.setattr(type(ESTIMATORS["kernel"]), "takes_weights", False)
    for function in ESTIMATES:
        caught, text = message(function, SAMPLE, method="kernel", weights=np.ones(8))
        assert caught is ValueError
        assert_says(text, "method='kernel' takes no weights", "'historical', 'normal'")


class HasArray:
    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        if isinstance(self.values, Exception):
            raise self.values
        return np.asarray(self.values)


class HasDlpack:
    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **named):
        if isinstance(self.values, Exception):
            raise self.values
        return self.values.__dlpack__(**named)

    def __dlpack_device__(self):
        return SAMPLE.__dlpack_device__()

    def __array__(self, dtype=None, copy=None):
        raise TypeError("no implicit conversion")


@pytest.mark.parametrize(
    "x",
    [
        SAMPLE.tolist(),
        tuple(SAMPLE),
        array.array("d", SAMPLE),
        memoryview(SAMPLE),
        HasArray(SAMPLE),
        HasDlpack(SAMPLE),
        SAMPLE.astype(np.float32),
        SAMPLE.astype(np.float16),
        SAMPLE.view(np.recarray),
        np.ma.masked_array(SAMPLE),
    ],
    ids=lambda x: type(x).__name__ + str(getattr(x, "dtype", "")),
)
def test_whatever_numpy_reads_is_a_sample(x):
    assert es(x, 0.6) == es(SAMPLE, 0.6)
    assert es(SAMPLE, 0.6, weights=np.abs(x) if isinstance(x, np.ndarray) else [abs(v) for v in SAMPLE]) == es(
        SAMPLE, 0.6, weights=abs(SAMPLE)
    )


def test_an_object_that_fails_to_become_an_array_is_named():
    for x in (HasArray(RuntimeError("requires grad")), HasDlpack(BufferError("on a device"))):
        caught, text = message(es, x)
        assert caught is TypeError
        assert_says(text, "x of type Has", str(x.values), "memory of this machine")


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_of_the_old_kind_is_an_array():
    result = es(np.asmatrix(MATRIX), 0.5, axis=0)
    assert type(result) is np.ndarray
    assert result.shape == (3,)


def test_masked_entries_are_missing_and_the_data_stay():
    x = np.ma.masked_array(SAMPLE.copy(), mask=SAMPLE < 0)
    assert es(x, 0.5, nan_policy="omit") == es(SAMPLE[SAMPLE >= 0], 0.5)
    assert np.isnan(es(x, 0.5))
    np.testing.assert_array_equal(x.data, SAMPLE)
    assert_says(message(es, x, nan_policy="raise")[1], "x[1]", "the first of 3")
    assert_says(message(es, SAMPLE, weights=np.ma.masked_array(np.ones(8), SAMPLE == 2.0))[1], "weights[2] = nan")
    rows = [np.ma.masked_array(MATRIX[0], mask=[False, True, False]), MATRIX[1]]
    assert es(rows, 0.5, nan_policy="omit") == es(np.delete(MATRIX[:2].ravel(), 1), 0.5)


def test_a_masked_level_is_no_level():
    for level in (np.ma.masked, np.ma.masked_array([0.5, 0.9], mask=[True, False])):
        caught, text = message(es, SAMPLE, level)
        assert caught is ValueError
        assert_says(text, "level", "got nan")
    assert es(SAMPLE, np.ma.masked_array([0.5, 0.9])).tolist() == es(SAMPLE, [0.5, 0.9]).tolist()


@pytest.mark.parametrize("sign", [1, -1])
def test_whole_numbers_beyond_the_doubles_are_infinite(sign):
    huge = sign * 10**400
    assert message(es, SAMPLE, huge) == message(es, SAMPLE, sign * np.inf)
    named = {"interval": None, "confidence_level": huge}
    assert message(tail_risk, SAMPLE, **named)[0] is ValueError


def test_a_length_of_time_is_no_number():
    assert message(es, SAMPLE, np.timedelta64(0))[0] is TypeError


@pytest.mark.parametrize(
    ("x", "named", "parts"),
    [
        (np.where(SAMPLE == 2.0, np.nan, SAMPLE), {}, ["x[2]", "first of 1", "nan_policy='omit'"]),
        (np.where(MATRIX == 7.0, np.nan, MATRIX), {"axis": 0}, ["x[2, 1]", "first of 1"]),
        (np.where(MATRIX > 6.0, np.nan, MATRIX).T, {"axis": 0}, ["x[0, 3]", "first of 5"]),
        (np.full((2, 2, 2), np.nan), {"axis": (0, 2)}, ["x[0, 0, 0]", "first of 8"]),
        ([np.nan, 1.0, np.nan], {"weights": [0, 1, 1]}, ["x[2]", "first of 1"]),
    ],
)
@pytest.mark.parametrize("method", ["historical", "normal"])
def test_the_first_missing_value_is_named(x, named, parts, method):
    for function in ESTIMATES:
        caught, text = message(function, x, nan_policy="raise", method=method, **named)
        assert caught is ValueError
        assert_says(text, *parts)


@pytest.mark.parametrize("method", ["historical", "normal"])
@pytest.mark.parametrize("function", ESTIMATES)
def test_weights_of_a_matrix_are_named_by_their_own_position(function, method):
    along, full = np.ones(4), np.ones((4, 3))
    along[3] = full[2, 1] = -1.0
    assert_says(message(function, MATRIX, axis=0, weights=along, method=method)[1], "weights[3] = -1.0")
    assert_says(message(function, MATRIX, axis=0, weights=full, method=method)[1], "weights[2, 1] = -1.0")
    text = message(function, MATRIX, weights=np.ones(4), method=method)[1]
    assert_says(text, "weights", "(4, 3)", "(4,)", "integer axis")
    text = message(function, MATRIX, axis=0, weights=np.ones(3), method=method)[1]
    assert_says(text, "weights", "(4, 3)", "(4,)", "axis 0", "got shape (3,)")
    full = np.ones((4, 3))
    full[:, 2] = 0.0
    assert_says(message(function, MATRIX, axis=0, weights=full, method=method)[1], "weights", "zero")


@pytest.mark.parametrize("method", ["historical", "normal"])
@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_bad_weight_of_a_missing_value_is_still_bad(method, bad):
    for policy in ("omit", "propagate", "raise"):
        with pytest.raises(ValueError, match=r"weights\[1\]"):
            es([0.5, np.nan, 1.0], weights=[1.0, bad, 1.0], nan_policy=policy, method=method)


@pytest.mark.parametrize("function", ESTIMATES)
@pytest.mark.parametrize("method", ["historical", "normal"])
def test_emptied_slices_are_counted_at_the_line_of_the_caller(function, method):
    x = np.array([[1.0, np.nan, np.nan], [2.0, np.nan, 1.0]])
    for weights in (None, np.array([[1.0, 1.0, 2.0], [3.0, 1.0, 0.0]])):
        dead = 1 if weights is None else 2
        named = {"interval": None} if function is tail_risk else {}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = function(x, 0.5, axis=0, weights=weights, nan_policy="omit", method=method, **named)
        caught = [one for one in caught if "empty" in str(one.message)]
        assert [one.category for one in caught] == [RuntimeWarning]
        assert caught[0].filename == __file__
        assert_says(str(caught[0].message), f"{dead} of 3 slices", "NaN")
        values = getattr(result, "es", result)
        assert np.isnan(values).tolist() == [False, True, dead == 2]


def test_out_is_named_with_shape_and_dtype():
    assert_says(message(es, MATRIX, axis=0, out=np.empty(4))[1], "out", "(3,)", "(4,)")
    assert_says(message(es, MATRIX, axis=0, out=np.empty(3, np.float32))[1], "out", "float32", "np.empty((3,))")
    assert_says(message(es, MATRIX, axis=0, out=[0.0] * 3)[1], "out", "(3,)", "list")
    assert message(es, MATRIX, axis=0, out=[0.0] * 3)[0] is TypeError
    frozen = np.empty(3)
    frozen.flags.writeable = False
    assert_says(message(var, MATRIX, axis=0, out=frozen)[1], "out", "read-only", "np.empty((3,))")
    assert_says(message(es_var, MATRIX, axis=0, out=np.empty(3))[1], "out", "pair", "(3,)")
    assert_says(message(es_var, MATRIX, axis=0, out=(np.empty(3), np.empty(2)))[1], "out[1]", "(3,)", "(2,)")
    both = np.empty(4)
    for pair in ((both[:3], both[:3]), (both[:3], both[1:])):
        assert_says(message(es_var, MATRIX, axis=0, out=pair)[1], "out[0] and out[1] share memory")
    apart = np.empty(6)
    assert es_var(MATRIX, axis=0, out=(apart[::2], apart[1::2])).es.base is apart


def test_nothing_is_written_to_out_when_an_argument_is_refused():
    out = np.full(3, 7.0)
    message(es, np.where(MATRIX == 3.0, np.nan, MATRIX), axis=0, nan_policy="raise", out=out)
    message(es, MATRIX, axis=0, weights=-np.ones(4), out=out)
    assert (out == 7.0).all()


LAYOUTS = {
    "rows": (lambda x: x, 1),
    "columns": (lambda x: x, 0),
    "all": (lambda x: x, None),
    "all, Fortran": (np.asfortranarray, None),
    "all, transposed": (lambda x: x.T, None),
    "columns, Fortran": (np.asfortranarray, 0),
    "three axes, middle": (lambda x: x.reshape(20, 100, -1), 1),
    "three axes, first": (lambda x: x.reshape(20, 100, -1), 0),
    "three axes, outer": (lambda x: x.reshape(20, 100, -1), (0, 2)),
    "three axes, inner": (lambda x: x.reshape(20, 100, -1), (1, 2)),
    "three axes, Fortran": (lambda x: np.asfortranarray(x.reshape(20, 100, -1)), 1),
    "three axes, swapped": (lambda x: x.reshape(20, 100, -1).swapaxes(0, 1), 2),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_contiguous_data_are_read_in_place(layout, dtype):
    arrange, axis = LAYOUTS[layout]
    x = arrange(np.random.default_rng(3).standard_normal((2000, 1000)).astype(dtype))
    expected = es(np.ascontiguousarray(x.astype(np.float64)), axis=axis)
    es(x[:1], axis=axis)
    tracemalloc.start()
    try:
        result = es(x, axis=axis)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(result, expected)
    assert peak < x.nbytes / 4 + 4 * np.asarray(result).nbytes


def test_weights_along_an_axis_are_not_spread_in_memory():
    x, weights = np.random.default_rng(3).standard_normal((1000, 1000)), np.arange(1.0, 1001.0)
    tracemalloc.start()
    try:
        es(x, axis=0, weights=weights)
        es(x, axis=1, weights=weights)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 4


def test_weights_and_data_of_different_layouts_stay_together():
    x = np.random.default_rng(4).standard_normal((6, 7, 8))
    weights = np.random.default_rng(5).random((6, 7, 8))
    for axis in (None, 0, 1, 2, (0, 1), (0, 2), (1, 2)):
        expected = es(x, 0.8, axis=axis, weights=weights)
        for left in (x, np.asfortranarray(x), np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1)):
            for right in (weights, np.asfortranarray(weights), weights[::-1].copy()[::-1]):
                np.testing.assert_array_equal(es(left, 0.8, axis=axis, weights=right), expected)


@pytest.mark.parametrize(
    ("named", "kind", "parts"),
    [
        ({"interval": "bca"}, ValueError, ["interval", "'bca'", "'studentized', 'asymptotic', 'percentile'"]),
        ({"interval": 3}, TypeError, ["interval", "3 of type int", "'studentized'"]),
        ({"confidence_level": 95}, ValueError, ["confidence_level", "got 95", "between 0 and 1", "0.95"]),
        ({"confidence_level": 1.0}, ValueError, ["confidence_level", "got 1", "strictly between 0 and 1"]),
        ({"confidence_level": np.nan}, ValueError, ["confidence_level", "got nan"]),
        ({"confidence_level": "0.9"}, TypeError, ["confidence_level", "'0.9'", "number"]),
        ({"confidence_level": True}, TypeError, ["confidence_level", "True"]),
        ({"n_resamples": 0}, ValueError, ["n_resamples", "at least 1", "got 0"]),
        ({"n_resamples": 10.0}, TypeError, ["n_resamples", "10.0", "int"]),
        ({"n_resamples": True}, TypeError, ["n_resamples", "True", "int"]),
        ({"block_length": 0}, ValueError, ["block_length", "at least 1", "got 0"]),
        ({"block_length": 1.5}, TypeError, ["block_length", "1.5", "int"]),
        ({"rng": "seed"}, TypeError, ["rng", "'seed'", "Generator or a SeedSequence"]),
        ({"rng": 1.5}, TypeError, ["rng", "1.5", "an int"]),
        ({"rng": True}, TypeError, ["rng", "True", "an int"]),
        ({"rng": np.random.RandomState(1)}, TypeError, ["rng", "RandomState", "Generator"]),
        ({"rng": -1}, ValueError, ["rng", "-1", "negative"]),
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0][:40] if isinstance(value, dict) else "",
)
def test_the_arguments_of_intervals_are_checked(named, kind, parts):
    caught, text = message(tail_risk, SAMPLE, **named)
    assert caught is kind
    assert_says(text, *parts)


@pytest.mark.parametrize(
    ("x", "level", "parts"),
    [
        (MATRIX, 0.9, ["x", "one dimension", "(4, 3)", "ravel"]),
        (1.0, 0.9, ["x", "one dimension", "()"]),
        (SAMPLE, [0.9, 0.95], ["level", "one number", "2"]),
    ],
)
def test_tail_weights_are_of_one_sample_and_one_level(x, level, parts):
    caught, text = message(tail_weights, x, level)
    assert caught is ValueError
    assert_says(text, *parts)


def test_tail_weights_of_missing_values():
    x = np.array([1.0, np.nan, -2.0, np.nan])
    indices, shares = tail_weights(x, 0.5)
    assert indices.tolist() == [1, 3]
    assert np.isnan(shares).all()
    assert tail_weights(x, 0.5, weights=[1, 0, 1, 1]).indices.tolist() == [3]
    assert tail_weights(x, 0.5, nan_policy="omit").indices.tolist() == [2]
    with pytest.raises(ValueError, match=r"x\[1\]"):
        tail_weights(x, 0.5, nan_policy="raise")
    with pytest.warns(RuntimeWarning, match="empty"):
        indices, shares = tail_weights([np.nan], 0.5, nan_policy="omit")
    assert (indices.size, shares.size) == (0, 0)
    assert (indices.dtype, shares.dtype) == (np.int64, np.float64)


@pytest.mark.parametrize("function", [es_of_portfolios, es_gradient])
@pytest.mark.parametrize(
    ("returns", "weights", "kind", "parts"),
    [
        (SAMPLE, np.ones(8), ValueError, ["returns", "(n_scenarios, n_assets)", "(8,)"]),
        (np.zeros((0, 3)), np.ones(3), ValueError, ["returns", "empty", "(0, 3)"]),
        (MATRIX, np.ones(4), ValueError, ["weights", "(4,)", "(4, 3)", "(n_assets,)"]),
        (MATRIX, 1.0, ValueError, ["weights", "()", "(4, 3)"]),
        (MATRIX, np.ones((3, 2, 1)), ValueError, ["weights", "(3, 2, 1)", "(4, 3)"]),
        (MATRIX, np.ones((3, 0)), ValueError, ["weights", "(3, 0)", "(4, 3)"]),
        (MATRIX, [1.0, np.nan, 1.0], ValueError, ["weights[1] = nan", "finite"]),
        (MATRIX, [1.0, 2.0, -np.inf], ValueError, ["weights[2] = -inf", "finite"]),
        (MATRIX > 1, np.ones(3), TypeError, ["returns", "bool", "astype(float)"]),
        (MATRIX, ["a", "b", "c"], TypeError, ["weights", "<U1", "astype(float)"]),
    ],
)
def test_portfolios_that_do_not_fit_are_named(function, returns, weights, kind, parts):
    caught, text = message(function, returns, weights)
    assert caught is kind
    assert_says(text, *parts)


def test_the_gradient_is_of_one_portfolio():
    caught, text = message(es_gradient, MATRIX, np.ones((3, 2)))
    assert caught is ValueError
    assert_says(text, "weights", "(n_assets,)", "(3, 2)", "(4, 3)")


def test_warnings_are_attributed_past_every_layer_of_the_package():
    frame = sys._getframe()
    with pytest.warns(LevelWarning) as caught:
        cshortfall.estimate.es(MATRIX.tolist(), 0.1, axis=0)
    assert (caught[0].filename, caught[0].lineno) == (__file__, frame.f_lineno - 1)
