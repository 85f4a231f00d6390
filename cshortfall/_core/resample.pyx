# distutils: sources = src/moments.c src/resample.c
"""Moments and bootstrap replicates: contiguous float64 arrays in, the GIL released, the same bits for any thread count.

The callers have checked and prepared the data; here only the kind, layout and lengths of the arrays are checked.
"""

from cython.parallel cimport prange
from libc.stdint cimport int64_t, uint64_t

cimport numpy as cnp

import numpy as np

from cshortfall._core.kernels cimport cs_kernels, cs_positions
from cshortfall._core.tail cimport active_kernels

cnp.import_array()

cdef extern from "elementary.h" nogil:
    double cs_exp(double x)

cdef extern from "moments.h" nogil:
    enum:
        CS_STUDENT_COUNT
    void cs_moments(const double *x, size_t n, const double *weights, double *out)
    void cs_excess(const double *x, size_t n, const double *weights, double threshold, double *out)
    void cs_student_sums(const double *x, size_t n, const double *weights, double location, double scale,
                         double inverse_dof, double *out)
    void cs_student_dof_scores(const double *x, size_t n, double location, double scale, double inverse_dof,
                               double *out)

cdef extern from "resample.h" nogil:
    enum:
        CS_RESAMPLE_BLOCK
    void cs_positions_fill(const double *weights, size_t n, double *cumulative, int64_t *guide)
    size_t cs_resample_blocks_workspace(size_t n, size_t block_length)
    void cs_resample_blocks(const double *losses, const int64_t *order, const double *weights, size_t n,
                            double tail_fraction, size_t block_length, const uint64_t *key, size_t block,
                            size_t count, double *workspace, double *es, double *var, double *standard_error)
    void cs_resample_means(const double *columns, cs_positions positions, size_t draws, const uint64_t *key,
                           size_t block, size_t count, double *out)
    void cs_resample_block_means(const double *columns, size_t n, size_t block_length, const uint64_t *key,
                                 size_t block, size_t count, double *out)
    void cs_studentize(const double *value, const double *error, size_t count, double estimate, int logarithmic,
                       double *out)
    double cs_long_run_variance(const double *x, size_t n, size_t block_length, double centre)
    void cs_binomial_ranks(size_t n, double p, double alpha, int64_t *ranks)


cdef void *data_of(object array, int kind, Py_ssize_t size) except NULL:
    """Return the data of a contiguous native array of this kind and size."""
    if not cnp.PyArray_Check(array) or cnp.PyArray_TYPE(array) != kind or not cnp.PyArray_ISCARRAY_RO(array):
        raise TypeError(f"expected a contiguous native array of type number {kind}, got {type(array).__name__}")
    if cnp.PyArray_SIZE(array) != size or size == 0:
        raise ValueError(f"expected an array of {size} (at least 1) values, got {cnp.PyArray_SIZE(array)}")
    return cnp.PyArray_DATA(array)


cdef const double *doubles(object array, Py_ssize_t size) except NULL:
    return <const double *>data_of(array, cnp.NPY_FLOAT64, size)


cdef const double *optional(object array, Py_ssize_t size) except? NULL:
    if array is None:
        return NULL
    return doubles(array, size)


cdef object empty(Py_ssize_t rows, Py_ssize_t columns=0):
    cdef cnp.npy_intp shape[2]
    shape[0] = rows
    shape[1] = columns
    return cnp.PyArray_EMPTY(2 if columns else 1, shape, cnp.NPY_FLOAT64, 0)


cdef cs_positions positions_of(object weights, Py_ssize_t n, list owned) except *:
    """Return the positions of a weighted sample; `owned` keeps their memory alive."""
    cdef cs_positions positions
    positions.cumulative = NULL
    positions.guide = NULL
    positions.n = n
    if weights is not None:
        owned.append(empty(n))
        owned.append(np.empty(n, dtype=np.int64))
        cs_positions_fill(doubles(weights, n), n, <double *>cnp.PyArray_DATA(owned[0]),
                          <int64_t *>cnp.PyArray_DATA(owned[1]))
        positions.cumulative = <const double *>cnp.PyArray_DATA(owned[0])
        positions.guide = <const int64_t *>cnp.PyArray_DATA(owned[1])
    return positions


cdef inline Py_ssize_t block_count(Py_ssize_t replicates) noexcept nogil:
    return (replicates + CS_RESAMPLE_BLOCK - 1) // CS_RESAMPLE_BLOCK


cdef inline Py_ssize_t count_in(Py_ssize_t block, Py_ssize_t replicates) noexcept nogil:
    return min(<Py_ssize_t>CS_RESAMPLE_BLOCK, replicates - block * CS_RESAMPLE_BLOCK)


def exponential(double x):
    """Return exp(x) with the same bits on every machine."""
    return cs_exp(x)


def moments(x, weights=None):
    """Return mean, standard deviation (divisor n), skewness and excess kurtosis."""
    cdef Py_ssize_t n = x.shape[0]
    cdef const double *values = doubles(x, n)
    cdef const double *given = optional(weights, n)
    cdef double out[4]
    with nogil:
        cs_moments(values, n, given, out)
    return out[0], out[1], out[2], out[3]


def excess(x, weights, double threshold):
    """Return mean and variance (divisor n) of (x - threshold)+ and the effective number of outcomes."""
    cdef Py_ssize_t n = x.shape[0]
    cdef const double *values = doubles(x, n)
    cdef const double *given = optional(weights, n)
    cdef double out[3]
    with nogil:
        cs_excess(values, n, given, threshold, out)
    return out[0], out[1], out[2]


def student_sums(x, weights, double location, double scale, double inverse_dof):
    """Return the weighted means of Student t likelihood terms, in the order of the enumeration in moments.h."""
    cdef Py_ssize_t n = x.shape[0]
    cdef const double *values = doubles(x, n)
    cdef const double *given = optional(weights, n)
    cdef double out[CS_STUDENT_COUNT]
    with nogil:
        cs_student_sums(values, n, given, location, scale, inverse_dof, out)
    return [out[i] for i in range(CS_STUDENT_COUNT)]


def student_dof_scores(x, double location, double scale, double inverse_dof):
    """Return each observation's derivative of its likelihood term in inverse_dof."""
    cdef Py_ssize_t n = x.shape[0]
    cdef const double *values = doubles(x, n)
    out = empty(n)
    cdef double *scores = <double *>cnp.PyArray_DATA(out)
    with nogil:
        cs_student_dof_scores(values, n, location, scale, inverse_dof, scores)
    return out


def tail_replicates(losses, weights, Py_ssize_t draws, double tail_count, key, Py_ssize_t replicates, int threads):
    """Return ES, VaR and standard error of ES in resamples of losses sorted from the largest down.

    `weights` go with `losses` and are the probabilities, or None.
    """
    cdef Py_ssize_t n = losses.shape[0]
    cdef const double *values = doubles(losses, n)
    cdef const uint64_t *words = <const uint64_t *>data_of(key, cnp.NPY_UINT64, 4)
    cdef list owned = []
    cdef cs_positions positions = positions_of(weights, n, owned)
    cdef const cs_kernels *kernels = <const cs_kernels *>active_kernels()
    es, var, error = empty(replicates), empty(replicates), empty(replicates)
    cdef double *es_out = <double *>cnp.PyArray_DATA(es)
    cdef double *var_out = <double *>cnp.PyArray_DATA(var)
    cdef double *error_out = <double *>cnp.PyArray_DATA(error)
    cdef Py_ssize_t block, first
    for block in prange(block_count(replicates), nogil=True, num_threads=threads, schedule="static"):
        first = block * CS_RESAMPLE_BLOCK
        kernels.resample_tail(values, positions, draws, tail_count, words, block, count_in(block, replicates),
                              es_out + first, var_out + first, error_out + first)
    return es, var, error


def block_replicates(losses, order, weights, double tail_fraction, Py_ssize_t block_length, key,
                     Py_ssize_t replicates, int threads):
    """Return ES, VaR and standard error of ES in resamples of circular blocks of losses in the order of time."""
    cdef Py_ssize_t n = losses.shape[0]
    cdef const double *values = doubles(losses, n)
    cdef const int64_t *ranked = <const int64_t *>data_of(order, cnp.NPY_INT64, n)
    cdef const double *given = optional(weights, n)
    cdef const uint64_t *words = <const uint64_t *>data_of(key, cnp.NPY_UINT64, 4)
    cdef Py_ssize_t blocks = block_count(replicates)
    cdef Py_ssize_t lanes = max(1, min(threads, blocks))
    cdef Py_ssize_t space = cs_resample_blocks_workspace(n, block_length)
    workspace = empty(lanes * space)
    cdef double *scratch = <double *>cnp.PyArray_DATA(workspace)
    es, var, error = empty(replicates), empty(replicates), empty(replicates)
    cdef double *es_out = <double *>cnp.PyArray_DATA(es)
    cdef double *var_out = <double *>cnp.PyArray_DATA(var)
    cdef double *error_out = <double *>cnp.PyArray_DATA(error)
    cdef Py_ssize_t lane, block, first
    for lane in prange(lanes, nogil=True, num_threads=threads, schedule="static"):
        for block in range(lane * blocks // lanes, (lane + 1) * blocks // lanes):
            first = block * CS_RESAMPLE_BLOCK
            cs_resample_blocks(values, ranked, given, n, tail_fraction, block_length, words, block,
                               count_in(block, replicates), scratch + lane * space, es_out + first, var_out + first,
                               error_out + first)
    return es, var, error


def mean_replicates(columns, weights, Py_ssize_t draws, Py_ssize_t block_length, key, Py_ssize_t replicates,
                    int threads):
    """Return the means (replicates, 2) of two columns in resamples and their standard errors.

    Independent draws if `block_length` is 0, else circular blocks, without weights.
    """
    cdef Py_ssize_t n = columns.shape[0]
    cdef const double *values = doubles(columns, 2 * n)
    cdef const uint64_t *words = <const uint64_t *>data_of(key, cnp.NPY_UINT64, 4)
    cdef list owned = []
    cdef cs_positions positions = positions_of(weights, n, owned)
    out = empty(replicates, 4)
    cdef double *results = <double *>cnp.PyArray_DATA(out)
    cdef Py_ssize_t block, first
    for block in prange(block_count(replicates), nogil=True, num_threads=threads, schedule="static"):
        first = 4 * block * CS_RESAMPLE_BLOCK
        if block_length:
            cs_resample_block_means(values, n, block_length, words, block, count_in(block, replicates),
                                    results + first)
        else:
            cs_resample_means(values, positions, draws, words, block, count_in(block, replicates), results + first)
    return out[:, :2], out[:, 2:]


def studentized(values, errors, double estimate, bint logarithmic):
    """Return the deviations of replicates from the estimate in units of their standard errors."""
    cdef Py_ssize_t n = values.shape[0]
    cdef const double *replicates = doubles(values, n)
    cdef const double *spreads = doubles(errors, n)
    out = empty(n)
    cdef double *results = <double *>cnp.PyArray_DATA(out)
    with nogil:
        cs_studentize(replicates, spreads, n, estimate, logarithmic, results)
    return out


def long_run_variance(x, Py_ssize_t block_length, double centre):
    """Return the long-run variance of x about `centre` with Bartlett weights and circular autocovariances."""
    cdef Py_ssize_t n = x.shape[0]
    cdef const double *values = doubles(x, n)
    cdef double result
    with nogil:
        result = cs_long_run_variance(values, n, block_length, centre)
    return result


def binomial_ranks(Py_ssize_t n, double p, double alpha):
    """Return the largest r with P(N <= r - 1) <= alpha, the smallest s with P(N >= s) <= alpha, N binomial (n, p)."""
    cdef int64_t ranks[2]
    with nogil:
        cs_binomial_ranks(n, p, alpha, ranks)
    return ranks[0], ranks[1]
