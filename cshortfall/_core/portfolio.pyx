"""Tails of many portfolios from one matrix of returns, without storing the losses of them all.

For each portfolio a sample of scenarios brackets the wanted rank; one pass over blocks of scenarios then computes the
portfolios' outcomes block by block and keeps those below the bracket. A bracket that missed, NaN, or a level with a
large tail falls back to storing the outcomes of a few portfolios at a time, as do few scenarios.
"""

from cython.parallel cimport prange
from libc.stdint cimport int32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cimport numpy as cnp

import numpy as np

from cshortfall._core.kernels cimport (
    CS_OK,
    CS_SCRATCH_MARGIN,
    cs_bracket,
    cs_kernels,
    cs_outcomes,
    cs_pass,
    cs_tail,
    cs_target,
    cs_target_next,
    cs_target_of,
)
from cshortfall._core.tail cimport active_kernels, scratch_size

cnp.import_array()

cdef enum:
    # Scenarios of a block: with a hundred assets it fits a second-level cache.
    BLOCK = 256
    # Scenarios whose outcomes bracket the tail of each portfolio.
    SAMPLE = 4096
    # Portfolios whose kept outcomes are collected in one pass over the returns.
    PORTFOLIOS_AT_ONCE = 64
    # Portfolios whose outcomes are stored at a time.
    PORTFOLIOS_STORED = 16
    SLACK = 8

cdef double NOT_A_NUMBER = float("nan")

ctypedef struct scenarios:
    const char *data
    Py_ssize_t stride
    Py_ssize_t asset_stride
    int is_f32
    size_t n
    size_t n_assets


cdef void load_block(const scenarios *r, size_t first, size_t count, double *columns) noexcept nogil:
    """Columns of BLOCK scenarios from `first`; places behind `count` hold zeros."""
    cdef Py_ssize_t width = 4 if r.is_f32 else 8
    cdef const char *start = r.data + <Py_ssize_t>first * r.stride
    cdef const char *p
    cdef size_t j, s
    if r.asset_stride == width and r.stride % width == 0:
        (<const cs_kernels *>active_kernels()).gather_columns(start, r.is_f32, r.stride // width, r.n_assets, count,
                                                              columns, BLOCK)
    else:
        for j in range(r.n_assets):
            p = start + <Py_ssize_t>j * r.asset_stride
            for s in range(count):
                columns[j * BLOCK + s] = (<const float *>p)[0] if r.is_f32 else (<const double *>p)[0]
                p += r.stride
    for j in range(r.n_assets):
        for s in range(count, BLOCK):
            columns[j * BLOCK + s] = 0.0


cdef void outcomes_of(const scenarios *r, const double *weights, size_t n_portfolios, size_t first, size_t count,
                      double *columns, double *out) noexcept nogil:
    """Outcomes of scenarios [first, first + count) of each portfolio, BLOCK apart; count <= BLOCK."""
    load_block(r, first, count, columns)
    (<const cs_kernels *>active_kernels()).portfolio_block(columns, r.n_assets, BLOCK, weights, n_portfolios, out)


cdef int whole_portfolios(const scenarios *r, const double *weights, size_t n_portfolios, const cs_target *targets,
                          size_t n_levels, uint64_t flip, double *columns, double *block, cs_tail *out,
                          int32_t *status) noexcept nogil:
    """A few portfolios whose outcomes are stored; -1 if memory is short."""
    cdef size_t first = 0, count, p, size = scratch_size(r.n, 0), room = r.n + SLACK
    cdef double *outcomes = <double *>malloc((n_portfolios * room + size) * sizeof(double))
    cdef cs_outcomes x
    if outcomes == NULL:
        return -1
    while first < r.n:
        count = min(<size_t>BLOCK, r.n - first)
        outcomes_of(r, weights, n_portfolios, first, count, columns, block)
        for p in range(n_portfolios):
            memcpy(outcomes + p * room + first, block + p * BLOCK, count * sizeof(double))
        first += count
    for p in range(n_portfolios):
        x.data = outcomes + p * room
        x.next = NULL
        x.n = r.n
        x.flip = flip
        x.is_f32 = 0
        status[p] = (<const cs_kernels *>active_kernels()).tail(&x, targets, n_levels, outcomes + n_portfolios * room,
                                                                size - CS_SCRATCH_MARGIN, out + p * n_levels)
    free(outcomes)
    return 0


cdef int run_portfolios(const scenarios *r, const double *weights, size_t n_portfolios, const cs_target *targets,
                        size_t n_levels, uint64_t flip, cs_tail *out, int32_t *status) noexcept nogil:
    """At most PORTFOLIOS_AT_ONCE portfolios; -1 if memory is short."""
    cdef const cs_kernels *kernels = <const cs_kernels *>active_kernels()
    cdef cs_bracket brackets[PORTFOLIOS_AT_ONCE]
    cdef size_t kept[PORTFOLIOS_AT_ONCE]
    cdef int collects[PORTFOLIOS_AT_ONCE]
    cdef size_t largest = cs_target_next(targets, n_levels, n_levels), rank = targets[largest].rank
    cdef size_t room = scratch_size(r.n, 0), p, i, s, first, count, runs, stratum, size
    cdef size_t finish_size = scratch_size(room, 0)
    cdef double share = <double>rank / <double>r.n
    cdef double *columns = <double *>malloc((r.n_assets * BLOCK + n_portfolios * BLOCK + SLACK) * sizeof(double))
    cdef double *sample = NULL
    cdef double *collected = NULL
    cdef double *block
    cdef cs_outcomes x
    cdef cs_pass passed
    cdef int result = 0, any_collects = 0
    if columns == NULL:
        return -1
    block = columns + r.n_assets * BLOCK
    for p in range(n_portfolios):
        collects[p] = 0
        kept[p] = 0
    if r.n > 4 * SAMPLE and share < 0.2:
        sample = <double *>malloc(n_portfolios * SAMPLE * sizeof(double))
        collected = <double *>malloc((n_portfolios * (room + SLACK) + finish_size) * sizeof(double))
        if sample == NULL or collected == NULL:
            result = -1
        else:
            runs = SAMPLE // BLOCK * 8
            size = SAMPLE // runs
            stratum = r.n // runs
            for i in range(runs):
                outcomes_of(r, weights, n_portfolios, i * stratum + stratum // 2, size, columns, block)
                for p in range(n_portfolios):
                    for s in range(size):
                        sample[p * SAMPLE + i * size + s] = -block[p * BLOCK + s] if flip else block[p * BLOCK + s]
            for p in range(n_portfolios):
                if kernels.sample_bracket(sample + p * SAMPLE, SAMPLE, share, 5.0, 0.2, &brackets[p]):
                    collects[p] = brackets[p].keep_below
                    any_collects |= collects[p]
    if result == 0 and any_collects:
        first = 0
        while first < r.n:
            count = min(<size_t>BLOCK, r.n - first)
            outcomes_of(r, weights, n_portfolios, first, count, columns, block)
            for p in range(n_portfolios):
                if not collects[p]:
                    continue
                x.data = block + p * BLOCK
                x.next = NULL
                x.n = count
                x.flip = flip
                x.is_f32 = 0
                kernels.tail_pass(&x, &brackets[p], collected + p * (room + SLACK) + kept[p], room - kept[p], &passed)
                if passed.overflow:
                    collects[p] = 0
                else:
                    kept[p] += passed.kept
            first += count
    p = 0
    while p < n_portfolios and result == 0:
        count = 1
        if collects[p] and kept[p] >= rank:
            x.data = collected + p * (room + SLACK)
            x.next = NULL
            x.n = kept[p]
            x.flip = 0
            x.is_f32 = 0
            status[p] = kernels.tail(&x, targets, n_levels, collected + n_portfolios * (room + SLACK),
                                     finish_size - CS_SCRATCH_MARGIN, out + p * n_levels)
        else:
            while (p + count < n_portfolios and count < PORTFOLIOS_STORED
                   and not (collects[p + count] and kept[p + count] >= rank)):
                count += 1
            result = whole_portfolios(r, weights + p * r.n_assets, count, targets, n_levels, flip, columns, block,
                                      out + p * n_levels, status + p)
        p += count
    free(collected)
    free(sample)
    free(columns)
    return result


def portfolio_tail(cnp.ndarray returns not None, cnp.ndarray weights not None, cnp.ndarray levels not None, bint upper,
                   int threads):
    """Return (es, var, status) of each portfolio.

    Parameters
    ----------
    returns : ndarray of float64 or float32, native, shape (S, N), any strides, S >= 1, N >= 1
    weights : ndarray of float64, contiguous, shape (P, N)
    levels : ndarray of float64, contiguous, shape (L,), each in [0, 1)
    upper : bool
        Whether the returns are losses.
    threads : int
        1: serial.

    Returns
    -------
    es, var : ndarray of float64, shape (P, L); NaN where status is not OK
    status : ndarray of int32, shape (P,)
    """
    cdef scenarios r
    cdef size_t n_portfolios = cnp.PyArray_DIM(weights, 0), n_levels = cnp.PyArray_DIM(levels, 0), i, p
    cdef const double *w = <const double *>cnp.PyArray_DATA(weights)
    cdef const double *level = <const double *>cnp.PyArray_DATA(levels)
    cdef uint64_t flip = (<uint64_t>1 << 63) if upper else 0
    cdef size_t width
    cdef Py_ssize_t group, n_groups
    cdef cnp.ndarray es = np.full((n_portfolios, n_levels), np.nan), var = np.full((n_portfolios, n_levels), np.nan)
    cdef cnp.ndarray status = np.zeros(n_portfolios, np.int32)
    cdef double *es_out = <double *>cnp.PyArray_DATA(es)
    cdef double *var_out = <double *>cnp.PyArray_DATA(var)
    cdef int32_t *status_out = <int32_t *>cnp.PyArray_DATA(status)
    cdef cs_target *targets
    cdef cs_tail *out
    cdef int failed = 0
    r.data = <const char *>cnp.PyArray_DATA(returns)
    r.stride = cnp.PyArray_STRIDE(returns, 0)
    r.asset_stride = cnp.PyArray_STRIDE(returns, 1)
    r.is_f32 = cnp.PyArray_TYPE(returns) == cnp.NPY_FLOAT32
    r.n = cnp.PyArray_DIM(returns, 0)
    r.n_assets = cnp.PyArray_DIM(returns, 1)
    if n_portfolios == 0 or n_levels == 0:
        return es, var, status
    targets = <cs_target *>malloc(n_levels * sizeof(cs_target) + n_portfolios * n_levels * sizeof(cs_tail))
    if targets == NULL:
        raise MemoryError("no memory for the results of the portfolios")
    out = <cs_tail *>(targets + n_levels)
    for i in range(n_levels):
        targets[i] = cs_target_of(level[i], r.n)
    width = max(<size_t>1, min(<size_t>PORTFOLIOS_AT_ONCE, (n_portfolios + threads - 1) // threads))
    n_groups = (n_portfolios + width - 1) // width
    with nogil:
        for group in prange(n_groups, schedule="static", chunksize=1, num_threads=threads):
            failed |= run_portfolios(&r, w + group * width * r.n_assets, min(width, n_portfolios - group * width),
                                     targets, n_levels, flip, out + group * width * n_levels,
                                     status_out + group * width)
    for p in range(n_portfolios):
        if status_out[p] == CS_OK:
            for i in range(n_levels):
                es_out[p * n_levels + i] = out[p * n_levels + i].es
                var_out[p * n_levels + i] = out[p * n_levels + i].var
    free(targets)
    if failed:
        raise MemoryError("no memory for the outcomes of the portfolios")
    return es, var, status
