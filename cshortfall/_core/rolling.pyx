"""Expected Shortfall and Value at Risk of moving windows: rows of any layout, in parallel over blocks of rows."""

from cython.parallel cimport prange
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc

cimport numpy as cnp

import numpy as np

from cshortfall._core.kernels cimport (
    cs_candidates,
    cs_candidates_create,
    cs_candidates_size,
    cs_kernels,
    cs_outcomes,
    cs_windows,
)
from cshortfall._core.matrix cimport (
    cache_line,
    columns_at_once,
    gather,
    gathered_stride,
    matrix,
    matrix_of,
    reads_in_place,
    rows_of_block,
)
from cshortfall._core.tail cimport active_kernels

cnp.import_array()

# Sums of such positions do not overflow.
MOST_POSITION = 1 << 60


ctypedef struct job:
    matrix x
    cs_windows windows
    size_t rows
    size_t n
    size_t longest
    size_t n_levels
    uint64_t flip
    size_t rows_at_once
    size_t candidates_size
    const double *levels
    double *es
    double *var


cdef size_t memory_of(const job *j) noexcept nogil:
    """Bytes that run_rows needs."""
    cdef size_t size = j.candidates_size
    if not reads_in_place(&j.x):
        size += (j.rows_at_once * gathered_stride(j.n) + 8) * sizeof(double)
    return (size + 63) // 64 * 64


cdef void run_rows(const job *j, size_t first, size_t last, char *memory) noexcept nogil:
    """Rows [first, last); memory for the candidates and gathered rows."""
    cdef const cs_kernels *kernels = <const cs_kernels *>active_kernels()
    cdef cs_candidates *candidates = cs_candidates_create(memory, j.longest, j.levels, j.n_levels)
    cdef double *rows = cache_line(<double *>(memory + j.candidates_size))
    cdef size_t row = first, start, count, apart = gathered_stride(j.n), outputs = j.windows.count
    cdef cs_outcomes x
    x.next = NULL
    x.n = j.n
    x.flip = j.flip
    while row < last:
        start = row
        count = rows_of_block(&j.x, start, last, j.rows_at_once)
        if not reads_in_place(&j.x):
            gather(kernels, &j.x, start, count, j.n, rows)
        while row < start + count:
            if reads_in_place(&j.x):
                x.data = j.x.data + <Py_ssize_t>row * j.x.row_stride
                x.is_f32 = j.x.is_f32
            else:
                x.data = rows + (row - start) * apart
                x.is_f32 = 0
            kernels.rolling(&x, &j.windows, candidates, j.es + row * outputs if j.es != NULL else NULL,
                            j.var + row * outputs if j.var != NULL else NULL, j.rows * outputs)
            row += 1


cdef void run_thread(const job *j, Py_ssize_t thread, Py_ssize_t threads, Py_ssize_t n_blocks,
                     char *memory) noexcept nogil:
    run_rows(j, min(j.rows, n_blocks * thread // threads * j.rows_at_once),
             min(j.rows, n_blocks * (thread + 1) // threads * j.rows_at_once), memory)


cdef int run_job(const job *j, int threads) noexcept nogil:
    """0, or -1 if memory is short."""
    cdef Py_ssize_t thread, n_blocks = (j.rows + j.rows_at_once - 1) // j.rows_at_once
    cdef size_t bytes = memory_of(j)
    cdef char *memory
    threads = <int>min(<Py_ssize_t>threads, n_blocks)
    memory = <char *>malloc(bytes * threads)
    if memory == NULL:
        return -1
    if threads == 1:
        run_rows(j, 0, j.rows, memory)
    else:
        for thread in prange(threads, schedule="static", chunksize=1, num_threads=threads):
            run_thread(j, thread, threads, n_blocks, memory + thread * bytes)
    free(memory)
    return 0


cdef tuple run(job *j, cnp.ndarray data, cnp.ndarray levels, bint upper, Py_ssize_t min_count, int threads,
               bint want_es, bint want_var):
    """Fill what windows leave open in the job, run it and return (es, var)."""
    cdef cnp.ndarray es = None, var = None
    cdef int failed = 0
    if cnp.PyArray_NDIM(data) != 2 or cnp.PyArray_TYPE(data) not in (cnp.NPY_FLOAT64, cnp.NPY_FLOAT32):
        raise TypeError("data must be a matrix of float64 or float32")
    if cnp.PyArray_TYPE(levels) != cnp.NPY_FLOAT64 or not cnp.PyArray_ISCARRAY_RO(levels):
        raise TypeError("levels must be contiguous float64")
    j.rows = cnp.PyArray_DIM(data, 0)
    j.n = cnp.PyArray_DIM(data, 1)
    j.n_levels = cnp.PyArray_DIM(levels, 0)
    shape = (j.n_levels, j.rows, j.windows.count)
    j.es = j.var = NULL
    if want_es:
        es = np.empty(shape)
        j.es = <double *>cnp.PyArray_DATA(es)
    if want_var:
        var = np.empty(shape)
        j.var = <double *>cnp.PyArray_DATA(var)
    if j.n_levels * j.rows * j.windows.count == 0:
        return es, var
    j.x = matrix_of(data)
    j.levels = <const double *>cnp.PyArray_DATA(levels)
    j.flip = (<uint64_t>1 << 63) if upper else 0
    j.windows.min_count = max(min_count, 0)
    j.rows_at_once = columns_at_once(j.n)
    threads = max(threads, 1)
    while j.rows_at_once > 1 and j.rows < 4 * <size_t>threads * j.rows_at_once:
        j.rows_at_once //= 2
    j.candidates_size = cs_candidates_size(j.longest, j.n_levels)
    with nogil:
        failed = run_job(j, threads)
    if failed:
        raise MemoryError(f"no memory for {memory_of(j) * threads} bytes of workspace")
    return es, var


def rolling_rows(cnp.ndarray data not None, Py_ssize_t window, Py_ssize_t lead, Py_ssize_t step,
                 cnp.ndarray levels not None, bint upper, Py_ssize_t min_count, int threads, bint want_es=True,
                 bint want_var=True):
    """Return (es, var) of the windows of one length over each row.

    Parameters
    ----------
    data : ndarray of float64 or float32, native, shape (rows, n), any strides
    window : int
        Length, at least 0; it may exceed n.
    lead, step : int
        Window j covers positions ``[j * step + lead - window, j * step + lead)`` as far as they are in ``[0, n)``, for
        j from 0 to ``ceil(n / step) - 1``; `step` is at least 1.
    levels : ndarray of float64, contiguous, shape (L,), each in [0, 1), any order
    upper : bool
        Whether the outcomes are losses.
    min_count : int
        Windows with fewer outcomes that are not NaN, or none, have the result NaN.
    threads : int
        1: serial.
    want_es, want_var : bool
        The result that is not wanted is None.

    Returns
    -------
    es, var : ndarray of float64, shape (L, rows, ceil(n / step))
    """
    cdef job j
    cdef Py_ssize_t n = data.shape[1] if cnp.PyArray_NDIM(data) == 2 else 0
    if window < 0 or step < 1:
        raise ValueError(f"window must be at least 0 and step at least 1, got {window} and {step}")
    if max(window, abs(lead), step) > MOST_POSITION:
        raise ValueError(f"window, lead and step must be at most 2**60, got {window}, {lead} and {step}")
    j.windows.count = (n + step - 1) // step
    j.windows.starts = j.windows.stops = NULL
    j.windows.window = window
    j.windows.lead = lead
    j.windows.step = step
    j.longest = min(window, n)
    return run(&j, data, levels, upper, min_count, threads, want_es, want_var)


def rolling_bounds_rows(cnp.ndarray data not None, cnp.ndarray starts not None, cnp.ndarray stops not None,
                        cnp.ndarray levels not None, bint upper, Py_ssize_t min_count, int threads, bint want_es=True,
                        bint want_var=True):
    """Return (es, var) of the windows ``data[:, starts[j]:stops[j]]`` of each row.

    Parameters
    ----------
    data, levels, upper, min_count, threads, want_es, want_var
        As for `rolling_rows`.
    starts, stops : ndarray of int64, contiguous, of one length m
        Bounds, cut to ``[0, n]``. Where both never fall each window is made from the one before; one that begins or
        ends before it is made anew.

    Returns
    -------
    es, var : ndarray of float64, shape (L, rows, m)
    """
    cdef job j
    cdef Py_ssize_t n = data.shape[1] if cnp.PyArray_NDIM(data) == 2 else 0
    for bounds in (starts, stops):
        if bounds.ndim != 1 or bounds.dtype != np.int64 or not bounds.flags.c_contiguous:
            raise TypeError("starts and stops must be contiguous vectors of int64")
    if starts.shape[0] != stops.shape[0]:
        raise ValueError(f"starts and stops must be of one length, got {starts.shape[0]} and {stops.shape[0]}")
    j.windows.count = starts.shape[0]
    j.windows.starts = <const int64_t *>cnp.PyArray_DATA(starts)
    j.windows.stops = <const int64_t *>cnp.PyArray_DATA(stops)
    j.windows.window = j.windows.lead = j.windows.step = 0
    j.longest = int((np.clip(stops, 0, n) - np.clip(starts, 0, n)).max(initial=0))
    return run(&j, data, levels, upper, min_count, threads, want_es, want_var)
