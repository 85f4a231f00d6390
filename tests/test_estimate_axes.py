"""Axes, memory layouts, dtypes and kinds of input: the same numbers from all of them."""

import array

import datasets
import numpy as np
import pytest
import textbook
from bits import assert_same_bits

from cshortfall import es, es_var, var

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")

TAILS = ["lower", "upper"]


SHAPED = datasets.heavy_tails(6 * 5 * 7).reshape(6, 5, 7)
AXES = [0, 1, 2, -1, -3, (0,), (0, 1), (1, 2), (2, 0), (-1, 0), (0, 1, 2), None]


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("tail", TAILS)
def test_axes_reduce_as_in_numpy(axis, tail):
    for level in (0.0, 0.5, 0.9, 0.975):
        expected_es, expected_var = (textbook.of_axis(q, SHAPED, level, axis, tail=tail) for q in ("es", "var"))
        assert_same_bits(es(SHAPED, level, axis=axis, tail=tail), expected_es)
        assert_same_bits(var(SHAPED, level, axis=axis, tail=tail), expected_var)
        both = es_var(SHAPED, level, axis=axis, tail=tail)
        assert_same_bits(both.es, expected_es)
        assert_same_bits(both.var, expected_var)


@pytest.mark.parametrize("axis", AXES)
def test_levels_are_the_last_axis_in_the_given_order(axis):
    levels = [0.975, 0.0, 0.9, 0.5, 0.9]
    expected = np.stack([textbook.of_axis("es", SHAPED, level, axis) for level in levels], axis=-1)
    for given in (levels, tuple(levels), np.array(levels)):
        assert_same_bits(es(SHAPED, given, axis=axis), expected)
    assert_same_bits(es(SHAPED, [0.9], axis=axis), expected[..., 2:3])
    assert_same_bits(
        es_var(SHAPED, levels, axis=axis).var,
        np.stack([textbook.of_axis("var", SHAPED, level, axis) for level in levels], axis=-1),
    )


def layouts(values):
    """Return arrays of the same values and shape in other memory layouts."""
    yield "C", np.ascontiguousarray(values)
    yield "Fortran", np.asfortranarray(values)
    yield "read-only", datasets.read_only(values)
    yield "reversed", np.ascontiguousarray(values[::-1])[::-1]
    yield "reversed last axis", np.ascontiguousarray(values[..., ::-1])[..., ::-1]
    spread = np.full(tuple(2 * size for size in values.shape), np.nan)
    spread[tuple(slice(None, None, 2) for _ in values.shape)] = values
    yield "every second", spread[tuple(slice(None, None, 2) for _ in values.shape)]
    wide = np.full((*values.shape, 3), np.nan)
    wide[..., 1] = values
    yield "every third", wide[..., 1]
    record = np.zeros(values.shape, dtype=[("flag", "u1"), ("value", "f8")])
    record["value"] = values
    yield "unaligned", record["value"]
    yield "foreign endian", values.astype(values.dtype.newbyteorder())
    if values.ndim > 1:
        yield "transposed", np.ascontiguousarray(values.T).T


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), None])
def test_memory_layout_does_not_matter(axis):
    expected = es_var(SHAPED, [0.5, 0.9], axis=axis)
    for name, values in layouts(SHAPED):
        result = es_var(values, [0.5, 0.9], axis=axis)
        assert_same_bits(result.es, expected.es, name)
        assert_same_bits(result.var, expected.var, name)


@pytest.mark.parametrize("n", [1, 5, 8, 33, 257, 5000])
def test_memory_layout_of_one_dimension_does_not_matter(n):
    sample = datasets.heavy_tails(n)
    expected = textbook.es_var(sample, 0.95)[:2]
    for name, values in layouts(sample):
        assert_same_bits(es_var(values, 0.95), expected, name)
        assert_same_bits(es(values, 0.95), expected[0], name)


@pytest.mark.parametrize("columns", [1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 130])
@pytest.mark.parametrize("rows", [1, 2, 9, 40, 257])
def test_rows_and_columns_have_the_bits_of_single_samples(rows, columns):
    matrix = datasets.heavy_tails(rows * columns, 3).reshape(rows, columns)
    levels = [0.9, 0.975]
    by_row = np.array([es(np.ascontiguousarray(row), levels) for row in matrix])
    by_column = np.array([es(np.ascontiguousarray(column), levels) for column in matrix.T])
    for order in "CF":
        values = np.array(matrix, order=order)
        assert_same_bits(es(values, levels, axis=1), by_row)
        assert_same_bits(es(values, levels, axis=0), by_column)
        assert_same_bits(es(values, 0.9, axis=0), by_column[:, 0])
    assert by_row[0, 1] == textbook.es(matrix[0], 0.975)
    assert by_column[-1, 1] == textbook.es(matrix[:, -1], 0.975)


@pytest.mark.parametrize("shape", [(300, 2001), (2001, 300), (40, 20_000)])
def test_matrices_have_the_bits_of_single_samples(shape):
    matrix = datasets.returns(shape[0] * shape[1]).reshape(shape)
    assert_same_bits(es(matrix, axis=1), [es(np.ascontiguousarray(row)) for row in matrix])
    assert_same_bits(es(matrix, axis=0), [es(np.ascontiguousarray(column)) for column in matrix.T])


def test_a_broadcast_array_is_read_through_its_zero_stride():
    values = np.broadcast_to(np.array([[1.0], [-2.0], [3.0]]), (3, 50))
    assert_same_bits(es(values, 0.9, axis=1), [-1.0, 2.0, -3.0])
    assert_same_bits(es(values, 0.9, axis=None), 2.0)


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">f4", ">f8", "<f4", ">i2", ">i8"]
)
@pytest.mark.parametrize("axis", [0, 1, None])
def test_every_dtype_is_read_as_doubles(dtype, axis):
    base = datasets.integers(60 * 9, 2, 90).reshape(60, 9)
    if np.dtype(dtype).kind == "f":
        base = base / 7
    elif np.dtype(dtype).kind == "u":
        base = base + 90
    values = base.astype(dtype)
    expected = [textbook.of_axis("es", values, level, axis) for level in (0.9, 0.975)]
    result = es(values, [0.9, 0.975], axis=axis)
    assert result.dtype == np.float64
    assert_same_bits(result, np.stack(expected, axis=-1))
    assert_same_bits(es(values, 0.975, axis=axis), expected[1])
    assert_same_bits(var(values, 0.975, axis=axis), textbook.of_axis("var", values, 0.975, axis))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_integers_beyond_2_53_are_rounded_to_doubles(dtype):
    values = np.array([2**53 + 1, 2**62 + 1, 2**60 + 3, 7], dtype=dtype)
    for level in (0.0, 0.25, 0.5, 0.75):
        assert_same_bits(es_var(values, level), textbook.es_var(values, level)[:2])


@pytest.mark.parametrize("name", datasets.FINITE)
@pytest.mark.parametrize("tail", TAILS)
def test_float32_has_the_bits_of_the_same_doubles(name, tail):
    with np.errstate(over="ignore", under="ignore"):
        for n in (1, 2, 15, 16, 17, 33, 64, 127, 513, 2049, 10_007):
            values = datasets.FINITE[name](n).astype(np.float32)
            expected = es_var(values.astype(np.float64), [0.5, 0.975], tail=tail)
            result = es_var(values, [0.5, 0.975], tail=tail)
            assert_same_bits(result.es, expected.es, f"n={n}")
            assert_same_bits(result.var, expected.var, f"n={n}")
            assert_same_bits(es(values, 0.975, tail=tail), expected.es[1], f"n={n}")
            if n <= 64:
                assert_same_bits(result.es[1], textbook.es(values, 0.975, tail=tail), f"n={n}")


def test_the_smallest_float32_are_not_flushed_to_zero():
    values = np.array([-1e-45, -3e-45, 0.0, 1.0], dtype=np.float32)
    assert_same_bits(es_var(values, 0.5), textbook.es_var(values, 0.5)[:2])
    assert es(values, 0.75) == -float(values[1]) > 0


@pytest.mark.parametrize(
    "values",
    [
        [1, -2, 3, -4.5],
        (1.0, -2.0, 3.0, -4.5),
        array.array("d", [1, -2, 3, -4.5]),
        array.array("f", [1, -2, 3, -4.5]),
        memoryview(array.array("d", [1, -2, 3, -4.5])),
        np.ma.masked_array([1, -2, 3, -4.5]),
    ],
    ids=lambda values: type(values).__name__,
)
def test_lists_and_buffers_are_samples(values):
    assert es(values, 0.5) == 3.25
    assert var(values, 0.5) == 2.0
    assert es_var(values, 0.5) == (3.25, 2.0)


def test_nested_lists_are_matrices():
    assert_same_bits(es([[1, -2], [3, -4.5]], 0.5, axis=0), [-1.0, 4.5])
    assert es([[1, -2], [3, -4.5]], 0.5) == 3.25


@pytest.mark.parametrize("value", [2.5, np.float64(2.5), np.array(2.5), np.array(2.5, dtype=np.float32)])
def test_a_single_number_is_a_sample_of_one(value):
    assert es(value) == -2.5
    assert var(value, tail="upper") == 2.5


@pytest.mark.parametrize(
    "values",
    [
        np.array([True, False]),
        np.array([1 + 2j, 3]),
        np.array(["1", "2"]),
        np.array([1.0, None], dtype=object),
        np.array([1, 2], dtype="M8[D]"),
        np.array([1, 2], dtype="m8[D]"),
        np.array([1, 2], dtype=np.longdouble),
        ["a", "b"],
        [True, False],
        None,
        "0.5",
    ],
    ids=repr,
)
@pytest.mark.parametrize("function", [es, var, es_var])
def test_other_kinds_of_data_are_type_errors(function, values):
    if getattr(values, "dtype", None) == np.longdouble == np.float64:
        pytest.skip("long double is double here")
    with pytest.raises(TypeError, match=r"\bx\b"):
        function(values, 0.5)


@pytest.mark.parametrize("function", [es, var, es_var])
@pytest.mark.parametrize(
    ("shape", "axis"), [((0,), None), ((0,), 0), ((3, 0), 1), ((3, 0), None), ((0, 3), 0), ((2, 0, 3), (0, 1))]
)
def test_an_empty_axis_is_a_value_error(function, shape, axis):
    with pytest.raises(ValueError, match="empty"):
        function(np.zeros(shape), 0.5, axis=axis)


def test_an_empty_list_is_a_value_error():
    with pytest.raises(ValueError, match="empty"):
        es([])


def test_no_rows_give_no_results():
    assert es(np.zeros((0, 3)), 0.5, axis=1).shape == (0,)
    assert es(np.zeros((0, 3)), [0.5, 0.9], axis=1).shape == (0, 2)


@pytest.mark.parametrize("axis", [1, -2, 3, (0, 1), (0, 0)])
@pytest.mark.parametrize("function", [es, var, es_var])
def test_a_wrong_axis_is_a_value_error(function, axis):
    with pytest.raises(ValueError, match="axis"):
        function([1.0, 2.0], 0.5, axis=axis)


@pytest.mark.parametrize("axis", [0.5, "0", [0.0]])
def test_an_axis_that_is_no_integer_is_a_type_error(axis):
    with pytest.raises(TypeError, match="axis"):
        es([1.0, 2.0], 0.5, axis=axis)


@pytest.mark.parametrize("tail", TAILS)
def test_the_input_is_never_modified(tail):
    values = datasets.with_missing(datasets.heavy_tails(50 * 59), "many").reshape(50, 59)
    values[7, 7] = np.uint64(0x7FF4000000000123).view(np.float64)
    weights = datasets.uniforms(59)
    before, weights_before = values.tobytes(), weights.tobytes()
    for axis in (0, 1, None):
        es(values, [0.5, 0.9], axis=axis, tail=tail, nan_policy="omit")
        es(values, 0.9, axis=axis, tail=tail)
    es(values, 0.9, axis=1, weights=weights, nan_policy="omit", tail=tail)
    large = datasets.heavy_tails(50_000)
    large_before = large.tobytes()
    es_var(large, [0.9, 0.5], tail=tail)
    assert values.tobytes() == before
    assert weights.tobytes() == weights_before
    assert large.tobytes() == large_before
