"""ES down the columns of a matrix in C order: the same bits as of each column alone, whatever lies beside it."""

import datasets
import numpy as np
import pytest
import textbook
from bits import assert_same_bits

import cshortfall
from cshortfall import es, es_var, set_num_threads
from cshortfall._core.tail import tail_rows

LEVELS = [0.95, 0.99, 0.975]


def matrix(n, columns, seed=1):
    """Return columns of different scales."""
    return datasets.heavy_tails(n * columns, seed).reshape(n, columns) * np.ldexp(1.0, np.arange(columns) % 40 - 20)


def assert_columns_are_samples(x, level=0.975, **options):
    """Compare one call with a call for each column."""
    together = es_var(x, level, axis=0, **options)
    for name in ("es", "var"):
        alone = [getattr(es_var(np.ascontiguousarray(column), level, **options), name) for column in x.T]
        assert_same_bits(np.moveaxis(getattr(together, name), 0, 0), np.array(alone), name)


@pytest.mark.parametrize("columns", [31, 32, 33, 40, 64, 70, 127])
@pytest.mark.parametrize("n", [32, 250, 1000])
def test_any_number_of_columns(n, columns):
    assert_columns_are_samples(matrix(n, columns))


@pytest.mark.parametrize("name", sorted(datasets.NAMED))
def test_every_kind_of_sample(name):
    """Each beside ordinary columns, which must not notice."""
    n, x = 600, matrix(600, 48)
    for column in (0, 17, 47):
        x[:, column] = datasets.NAMED[name](n)
    assert_columns_are_samples(x)
    assert_columns_are_samples(x, LEVELS, tail="upper")


@pytest.mark.parametrize("n", [100, 257, 1000, 2049])
def test_against_the_textbook(n):
    x = matrix(n, 37, 5)
    expected = [textbook.es(column, 0.975) for column in x.T]
    assert_same_bits(es(x, 0.975, axis=0), np.array(expected))


def test_quotients_that_lie_between_two_doubles():
    """Sums of few bits over a tail of few outcomes, where rounding is decided by a tie."""
    x = np.floor(matrix(1000, 64, 7) / np.ldexp(1.0, np.arange(64) % 40 - 20) * 2.0**20)
    x = np.ldexp(x + 2.0**52, np.arange(64) % 7 - 60)
    for level, count in ((0.975, 25), (0.99, 10), (0.96, 40)):
        expected = [textbook.es(column, level) for column in x.T]
        assert_same_bits(es(x, level, axis=0), np.array(expected), f"tails of {count}")
        assert_same_bits(es(x.T.copy(), level, axis=1), np.array(expected), f"tails of {count}, rows")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_matrices_that_are_parts_of_others(dtype):
    x = matrix(300, 120).astype(dtype)
    assert_columns_are_samples(x[:, 3:77])
    assert_columns_are_samples(x[::2, 5:])
    assert_columns_are_samples(x[::-1, 1:90], LEVELS)
    assert_columns_are_samples(x[:, ::-1])
    assert_columns_are_samples(x[:, ::3])


@pytest.mark.parametrize("page", [512, 1024])
def test_rows_whole_pages_apart(page):
    assert_columns_are_samples(matrix(600, page)[:, :40])
    assert_columns_are_samples(matrix(500, page)[:, :40])


def test_missing_outcomes():
    x = matrix(400, 50)
    x[7, 3] = x[399, 49] = np.nan
    x[:, 20] = np.nan
    assert_columns_are_samples(np.delete(x, 20, axis=1), nan_policy="omit")
    assert_columns_are_samples(x, nan_policy="propagate")
    with pytest.raises(ValueError, match="NaN"):
        es(x, 0.975, axis=0, nan_policy="raise")


def test_infinite_outcomes():
    x = matrix(400, 50)
    x[7, 3] = -np.inf
    x[:30, 4] = -np.inf
    x[:, 5] = np.inf
    x[:395, 6] = np.inf
    assert_columns_are_samples(x)
    assert_columns_are_samples(x, tail="upper")


def test_the_number_of_threads_changes_no_bit():
    x = matrix(1000, 330)
    before = cshortfall.get_num_threads()
    try:
        set_num_threads(1)
        expected = es(x, LEVELS, axis=0)
        for threads in (2, 3, 4):
            set_num_threads(threads)
            assert_same_bits(es(x, LEVELS, axis=0), expected, f"{threads} threads")
    finally:
        set_num_threads(before)


def test_every_count_of_threads_in_the_kernel():
    x = matrix(64, 100)
    levels = np.array([0.95])
    expected = tail_rows(x.T.copy(), levels, False, False, None, 1)
    for threads in (1, 2, 3, 8):
        for got, wanted in zip(tail_rows(x.T, levels, False, False, None, threads), expected, strict=True):
            assert np.array_equal(got, wanted)


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
@pytest.mark.parametrize("level", [0.9, [0.95], [0.99, 0.3, 0.9]])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_compiled_path_of_matrices_is_the_general_one(axis, level, dtype):
    """A tuple of axes takes the general path."""
    x = matrix(40, 9).astype(dtype)
    x[3, 4] = np.nan
    x[5, 6] = -np.inf
    read_only = x.copy()
    read_only.flags.writeable = False
    swapped = x.astype(x.dtype.newbyteorder())
    for given in (x, np.asfortranarray(x), x[::-1, ::2], read_only, swapped, np.broadcast_to(x[3], (50, 9)), x[:1]):
        for tail in ("lower", "upper"):
            general = es_var(given, level, axis=(axis,), tail=tail)
            compiled = es_var(given, level, axis=axis, tail=tail)
            for name in ("es", "var"):
                assert_same_bits(getattr(compiled, name), getattr(general, name), name)
                assert_same_bits(getattr(cshortfall, name)(given, level, axis=axis, tail=tail), getattr(general, name))
                assert getattr(compiled, name).flags.c_contiguous == getattr(general, name).flags.c_contiguous
