"""Buffers to pointers: rows of any layout through the kernels, in parallel over blocks of rows or parts of one row.

This module links the C objects and owns the choice of the instruction set. No result depends on the number of threads:
the kernels round the quotient of exact sums once, so neither the parts nor their order can be seen.
"""

import os

from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memmove

cimport numpy as cnp

import numpy as np

from cshortfall._core.kernels cimport (
    CS_BAD_WEIGHT,
    CS_COLUMNS,
    CS_EMPTY,
    CS_NAN,
    CS_OK,
    CS_SCRATCH_MARGIN,
    CS_STRETCH,
    CS_ZERO_WEIGHT,
    cs_ahead,
    cs_bracket,
    cs_column_plan,
    cs_column_plan_of,
    cs_columns,
    cs_kernels,
    cs_outcomes,
    cs_pass,
    cs_pass_add,
    cs_rows_ahead,
    cs_tail,
    cs_target,
    cs_target_next,
    cs_target_of,
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
    width_of,
)
from cshortfall._core.openmp cimport threads_for

cnp.import_array()

cdef extern from "kernels.h" nogil:
    const cs_kernels *cs_active()
    size_t cs_scratch_size(size_t n, int weighted)

cdef extern from "cshortfall.h" nogil:
    int cs_init(const char *isa)
    const char *cs_isa()
    const char *cs_isa_name(size_t i)
    int cs_isa_available(const char *isa)
    int cs_api_version()
    const char *cs_status_message(int status)
    size_t cs_workspace_size(size_t n, size_t n_levels)
    size_t cs_weighted_workspace_size(size_t n, size_t n_levels)
    int cs_es_var(const double *x, size_t n, double level, int tail, void *workspace, size_t workspace_size,
                  double *es, double *var)
    int cs_es_var_f32(const float *x, size_t n, double level, int tail, void *workspace, size_t workspace_size,
                      double *es, double *var)
    int cs_es_var_levels(const double *x, size_t n, const double *levels, size_t n_levels, int tail, void *workspace,
                         size_t workspace_size, double *es, double *var)
    int cs_es_var_levels_f32(const float *x, size_t n, const double *levels, size_t n_levels, int tail,
                             void *workspace, size_t workspace_size, double *es, double *var)
    int cs_es_var_weighted(const double *x, const double *weights, size_t n, const double *levels, size_t n_levels,
                           int tail, void *workspace, size_t workspace_size, double *es, double *var)
    int cs_es_var_weighted_f32(const float *x, const double *weights, size_t n, const double *levels,
                               size_t n_levels, int tail, void *workspace, size_t workspace_size, double *es,
                               double *var)

OK = CS_OK
NAN = CS_NAN
EMPTY = CS_EMPTY
BAD_WEIGHT = CS_BAD_WEIGHT
ZERO_WEIGHT = CS_ZERO_WEIGHT

cdef enum:
    # Rows that a thread takes at a time.
    ROWS_AT_ONCE = 64
    # A scratch this small lies on the stack.
    STACK_SCRATCH = 4096
    # One pass over a long row reads so many values in the time that short rows need for one.
    LONG_ROW_EASE = 16
    # Parts of a long row; more than the threads in use are never needed.
    PARTS_MOST = 64
    SLACK = 8
    LINE = 64
    # Rows that lie whole pages apart share few sets of a cache: more than these would drive each other out.
    PAGE = 4096
    PAGE_ROWS = 512
    # Bytes of a row that is fetched while the one before it is worked on.
    AHEAD_MOST = 131072

cdef double NOT_A_NUMBER = float("nan")


cdef int api_version() noexcept nogil:
    return cs_api_version()


cdef const char *status_message(int status) noexcept nogil:
    return cs_status_message(status)


cdef size_t workspace_size(size_t n, size_t n_levels) noexcept nogil:
    return cs_workspace_size(n, n_levels)


cdef size_t weighted_workspace_size(size_t n, size_t n_levels) noexcept nogil:
    return cs_weighted_workspace_size(n, n_levels)


cdef int es_var(const double *x, size_t n, double level, int tail, void *workspace, size_t workspace_size, double *es,
                double *var) noexcept nogil:
    return cs_es_var(x, n, level, tail, workspace, workspace_size, es, var)


cdef int es_var_f32(const float *x, size_t n, double level, int tail, void *workspace, size_t workspace_size,
                    double *es, double *var) noexcept nogil:
    return cs_es_var_f32(x, n, level, tail, workspace, workspace_size, es, var)


cdef int es_var_levels(const double *x, size_t n, const double *levels, size_t n_levels, int tail, void *workspace,
                       size_t workspace_size, double *es, double *var) noexcept nogil:
    return cs_es_var_levels(x, n, levels, n_levels, tail, workspace, workspace_size, es, var)


cdef int es_var_levels_f32(const float *x, size_t n, const double *levels, size_t n_levels, int tail, void *workspace,
                           size_t workspace_size, double *es, double *var) noexcept nogil:
    return cs_es_var_levels_f32(x, n, levels, n_levels, tail, workspace, workspace_size, es, var)


cdef int es_var_weighted(const double *x, const double *weights, size_t n, const double *levels, size_t n_levels,
                         int tail, void *workspace, size_t workspace_size, double *es, double *var) noexcept nogil:
    return cs_es_var_weighted(x, weights, n, levels, n_levels, tail, workspace, workspace_size, es, var)


cdef int es_var_weighted_f32(const float *x, const double *weights, size_t n, const double *levels, size_t n_levels,
                             int tail, void *workspace, size_t workspace_size, double *es, double *var) noexcept nogil:
    return cs_es_var_weighted_f32(x, weights, n, levels, n_levels, tail, workspace, workspace_size, es, var)


cdef const void *active_kernels() noexcept nogil:
    return cs_active()


cdef size_t scratch_size(size_t n, int weighted) noexcept nogil:
    return cs_scratch_size(n, weighted)


# ---- one long row in parts


cdef int merge_parts(cs_pass *parts, size_t n_parts, double *kept, size_t part_room, cs_pass *merged) noexcept nogil:
    """Moves what the parts kept together and adds their counts and sums; 0 if a part had too little room."""
    cdef size_t i
    merged[0] = parts[0]
    for i in range(n_parts):
        if parts[i].overflow:
            return 0
    for i in range(1, n_parts):
        memmove(kept + merged.kept, kept + i * part_room, parts[i].kept * sizeof(double))
        cs_pass_add(merged, &parts[i])
    return 1


cdef int tail_in_parts(const cs_outcomes *x, const cs_target *targets, size_t n_targets, double *scratch,
                       size_t capacity, cs_tail *out, int threads) noexcept nogil:
    """The kernel's result for one long row, its first pass over the row made in parallel."""
    cdef const cs_kernels *kernels = cs_active()
    cdef cs_pass parts[PARTS_MOST]
    cdef cs_outcomes rows[PARTS_MOST]
    cdef cs_pass merged
    cdef cs_bracket bracket
    cdef cs_outcomes rest
    cdef size_t i, room, width = 4 if x.is_f32 else 8, done = n_targets
    cdef Py_ssize_t part, n_parts = min(threads, PARTS_MOST)
    cdef int status
    room = (capacity // n_parts) - SLACK
    for part in range(n_parts):
        rows[part] = x[0]
        rows[part].data = <const char *>x.data + width * (x.n * part // n_parts)
        rows[part].n = x.n * (part + 1) // n_parts - x.n * part // n_parts
    while True:
        i = cs_target_next(targets, n_targets, done)
        if i == n_targets:
            return CS_OK
        status = kernels.bracket(x, targets[i].rank, scratch, capacity, &bracket)
        if status != CS_OK:
            return status
        for part in prange(n_parts, schedule="static", num_threads=threads):
            kernels.tail_pass(&rows[part], &bracket, scratch + part * room, room - SLACK, &parts[part])
        if not merge_parts(parts, n_parts, scratch, room, &merged):
            return kernels.tail(x, targets, n_targets, scratch, capacity, out)
        if bracket.keep_below and merged.kept >= targets[i].rank and done == n_targets:
            # The tails of all levels lie in what was kept.
            rest.data = scratch
            rest.next = NULL
            rest.n = merged.kept
            rest.flip = 0
            rest.is_f32 = 0
            return kernels.tail(&rest, targets, n_targets, scratch + merged.kept + SLACK,
                                capacity - merged.kept - SLACK, out)
        status = kernels.resume(x, &targets[i], &bracket, &merged, scratch, capacity, &out[i])
        if status != CS_OK:
            return status
        done = i


cdef int tail_of_outcomes(const cs_outcomes *x, const cs_target *targets, size_t n_targets, double *scratch,
                          size_t capacity, cs_tail *out, int threads) noexcept nogil:
    if threads > 1:
        return tail_in_parts(x, targets, n_targets, scratch, capacity, out, threads)
    return cs_active().tail(x, targets, n_targets, scratch, capacity, out)


cdef int tail_of_row(const void *x, size_t n, int is_f32, int upper, const double *levels, size_t n_levels, double *es,
                     double *var) noexcept nogil:
    """At most ROW_LEVELS levels of one contiguous row; -1 if memory is short."""
    cdef double stack[STACK_SCRATCH]
    cdef double *scratch = stack
    cdef size_t size = cs_scratch_size(n, 0), i
    cdef cs_outcomes outcomes
    cdef cs_target targets[ROW_LEVELS]
    cdef cs_tail results[ROW_LEVELS]
    cdef int status
    outcomes.data = x
    outcomes.next = NULL
    outcomes.n = n
    outcomes.flip = (<uint64_t>1 << 63) if upper else 0
    outcomes.is_f32 = is_f32
    for i in range(n_levels):
        targets[i] = cs_target_of(levels[i], n)
    if size > STACK_SCRATCH:
        scratch = <double *>malloc(size * sizeof(double))
        if scratch == NULL:
            return -1
    status = tail_of_outcomes(&outcomes, targets, n_levels, scratch, size - CS_SCRATCH_MARGIN, results,
                              threads_for(n // LONG_ROW_EASE, 0))
    if scratch != stack:
        free(scratch)
    for i in range(n_levels):
        es[i] = results[i].es if status == CS_OK else NOT_A_NUMBER
        var[i] = results[i].var if status == CS_OK else NOT_A_NUMBER
    return status


# ---- matrices


ctypedef struct job:
    matrix x
    matrix weights
    size_t rows
    size_t n
    size_t n_levels
    uint64_t flip
    int omit
    int weighted
    int by_columns
    size_t rows_at_once
    size_t gathered_rows
    size_t scratch_size
    size_t doubles
    int parts
    const double *levels
    double *es
    double *var
    int64_t *used
    int32_t *status


cdef void run_row(const job *j, size_t row, const cs_outcomes *given, const double *weights, cs_target *targets,
                  cs_target *omitted, cs_tail *results, double *scratch, double *present) noexcept nogil:
    cdef const cs_kernels *kernels = cs_active()
    cdef cs_outcomes x = given[0]
    cdef size_t used = x.n, capacity = j.scratch_size - CS_SCRATCH_MARGIN, i
    cdef int status
    if j.weighted:
        status = kernels.tail_weighted(&x, weights, targets, j.n_levels, scratch, capacity, &used, results)
    else:
        status = tail_of_outcomes(&x, targets, j.n_levels, scratch, capacity, results, j.parts)
    if status == CS_NAN and j.omit:
        x.n = kernels.drop_missing(&x, weights if j.weighted else NULL, present, present + j.n + SLACK)
        x.data = present
        x.next = NULL
        x.flip = 0
        x.is_f32 = 0
        used = x.n
        if x.n == 0:
            status = CS_EMPTY
        elif j.weighted:
            status = kernels.tail_weighted(&x, present + j.n + SLACK, targets, j.n_levels, scratch, capacity, &used,
                                           results)
            if status == CS_ZERO_WEIGHT:
                status = CS_EMPTY
        else:
            for i in range(j.n_levels):
                omitted[i] = cs_target_of(j.levels[i], x.n)
            status = tail_of_outcomes(&x, omitted, j.n_levels, scratch, capacity, results, j.parts)
    put_row(j, row, status, used, results)


cdef inline void put_row(const job *j, size_t row, int status, size_t used, const cs_tail *results) noexcept nogil:
    cdef size_t i
    j.status[row] = status
    j.used[row] = used if status == CS_OK else 0
    for i in range(j.n_levels):
        j.es[row * j.n_levels + i] = results[i].es if status == CS_OK else NOT_A_NUMBER
        j.var[row * j.n_levels + i] = results[i].var if status == CS_OK else NOT_A_NUMBER


cdef inline cs_ahead ahead_of(const job *j, const char *row) noexcept nogil:
    """A row that comes next; nothing if it is long."""
    cdef cs_ahead ahead
    cdef size_t size = j.n * width_of(&j.x)
    ahead.at = row
    ahead.lines = (size + LINE - 1) // LINE if size <= AHEAD_MOST else 0
    # A row's work offers this chance twice for every stretch of outcomes, and some six times at its end.
    ahead.share = ahead.lines * CS_STRETCH // (2 * j.n + 6 * CS_STRETCH) + 1
    return ahead


cdef uint64_t run_columns(const job *j, size_t first, size_t count, size_t last, const cs_target *targets,
                          cs_tail *results, double *scratch) noexcept nogil:
    """The rows [first, first + count) as columns that lie side by side; bits of those that are done.

    The columns behind are taken along, or those in front of the last ones. More columns follow up to `last`.
    """
    cdef cs_columns x
    cdef cs_rows_ahead ahead
    cdef size_t start = min(first, j.rows - CS_COLUMNS), behind = start + CS_COLUMNS, i
    cdef uint64_t told
    x.data = j.x.data + <Py_ssize_t>start * j.x.row_stride
    x.next = NULL
    if behind < last:
        ahead.at = j.x.data + <Py_ssize_t>behind * j.x.row_stride
        ahead.apart = j.x.stride
        ahead.rows = j.n
        ahead.done = 0
        ahead.bytes = min(<size_t>CS_COLUMNS, last - behind) * j.x.row_stride
        x.next = &ahead
    x.stride = j.x.stride // width_of(&j.x)
    x.n = j.n
    x.flip = j.flip
    x.is_f32 = j.x.is_f32
    told = cs_active().tail_columns(&x, targets, j.n_levels, scratch, results) >> (first - start)
    for i in range(count):
        if told >> i & 1:
            put_row(j, first + i, CS_OK, j.n, results + (first - start + i) * j.n_levels)
    return told


cdef void run_rows(const job *j, size_t first, size_t last, double *memory) noexcept nogil:
    """Rows [first, last); memory for scratch, gathered rows and weights, outcomes present, targets, results."""
    cdef const cs_kernels *kernels = cs_active()
    cdef double *scratch = memory
    cdef size_t apart = gathered_stride(j.n)
    cdef double *rows = cache_line(scratch + j.scratch_size)
    cdef double *weight_rows = rows + (0 if reads_in_place(&j.x) else j.gathered_rows * apart)
    cdef double *present = weight_rows + (0 if not j.weighted or reads_in_place(&j.weights)
                                          else j.gathered_rows * apart)
    cdef cs_target *targets = <cs_target *>(present + (2 * (j.n + SLACK) if j.omit else 0))
    cdef cs_target *omitted = targets + j.n_levels
    cdef cs_tail *results = <cs_tail *>(omitted + j.n_levels)
    cdef cs_outcomes x
    cdef cs_ahead ahead
    cdef const double *weights = NULL
    cdef size_t row, i, start, count
    cdef uint64_t told
    for i in range(j.n_levels):
        targets[i] = cs_target_of(j.levels[i], j.n)
    x.next = NULL
    x.n = j.n
    x.flip = j.flip
    row = first
    while row < last:
        start = row
        count = rows_of_block(&j.x, start, last, j.gathered_rows)
        told = run_columns(j, start, count, last, targets, results, scratch) if j.by_columns else 0
        if not reads_in_place(&j.x) and not j.by_columns:
            gather(kernels, &j.x, start, count, j.n, rows)
        if j.weighted and not reads_in_place(&j.weights):
            gather(kernels, &j.weights, start, count, j.n, weight_rows)
        while row < start + count:
            if reads_in_place(&j.x):
                x.data = j.x.data + <Py_ssize_t>row * j.x.row_stride
                x.is_f32 = j.x.is_f32
                if row + 1 < last:
                    ahead = ahead_of(j, <const char *>x.data + j.x.row_stride)
                    x.next = &ahead
                else:
                    x.next = NULL
            elif not j.by_columns:
                x.data = rows + (row - start) * apart
                x.is_f32 = 0
            elif told >> (row - start) & 1:
                row += 1
                continue
            else:
                gather(kernels, &j.x, row, 1, j.n, rows)
                x.data = rows
                x.is_f32 = 0
            if j.weighted:
                if reads_in_place(&j.weights):
                    weights = <const double *>(j.weights.data + <Py_ssize_t>row * j.weights.row_stride)
                else:
                    weights = weight_rows + (row - start) * apart
            run_row(j, row, &x, weights, targets, omitted, results, scratch, present)
            row += 1


cdef size_t memory_of(const job *j) noexcept nogil:
    """Doubles that run_rows needs."""
    cdef size_t size = j.scratch_size
    if not reads_in_place(&j.x):
        size += j.gathered_rows * gathered_stride(j.n)
    if j.weighted and not reads_in_place(&j.weights):
        size += j.gathered_rows * gathered_stride(j.n)
    if j.omit:
        size += 2 * (j.n + SLACK)
    # Rows begin on a cache line.
    size += SLACK
    size += SLACK
    size += j.n_levels * 2 * sizeof(cs_target) // sizeof(double)
    return size + j.n_levels * (CS_COLUMNS if j.by_columns else 1) * sizeof(cs_tail) // sizeof(double)


cdef int run_job(job *j, int threads) noexcept nogil:
    """0, or -1 if memory is short."""
    cdef Py_ssize_t n_blocks, thread
    cdef double *memory
    n_blocks = (j.rows + j.rows_at_once - 1) // j.rows_at_once
    if threads > n_blocks:
        threads = <int>n_blocks
    memory = <double *>malloc(j.doubles * threads * sizeof(double))
    if memory == NULL:
        return -1
    if threads == 1:
        run_rows(j, 0, j.rows, memory)
    else:
        for thread in prange(threads, schedule="static", chunksize=1, num_threads=threads):
            run_thread(j, thread, threads, n_blocks, memory + thread * j.doubles)
    free(memory)
    return 0


cdef void run_thread(const job *j, Py_ssize_t thread, Py_ssize_t threads, Py_ssize_t n_blocks,
                     double *memory) noexcept nogil:
    run_rows(j, min(j.rows, n_blocks * thread // threads * j.rows_at_once),
             min(j.rows, n_blocks * (thread + 1) // threads * j.rows_at_once), memory)


cdef int plan_columns(job *j) noexcept nogil:
    """Whether the rows are columns for the kernel that takes them side by side; it then has the scratch it wants."""
    cdef cs_column_plan plan
    cdef size_t rank = 0, i
    if cs_active().tail_columns == NULL or j.rows < CS_COLUMNS or reads_in_place(&j.x):
        return 0
    if j.x.row_stride != width_of(&j.x) or j.x.stride % width_of(&j.x) != 0:
        return 0
    if j.x.stride % PAGE == 0 and j.n > PAGE_ROWS:
        return 0
    for i in range(j.n_levels):
        rank = max(rank, cs_target_of(j.levels[i], j.n).rank)
    if rank == 0 or not cs_column_plan_of(j.n, rank, &plan):
        return 0
    j.scratch_size = max(j.scratch_size, plan.scratch + CS_SCRATCH_MARGIN)
    return 1


def tail_rows(cnp.ndarray data not None, cnp.ndarray levels not None, bint upper, bint omit, weights, int threads):
    """Return (es, var, used, status) of each row.

    Parameters
    ----------
    data : ndarray of float64 or float32, native, shape (rows, n), any strides, n >= 1
    levels : ndarray of float64, contiguous, shape (L,), each in [0, 1)
    upper : bool
        Whether the outcomes are losses.
    omit : bool
        Whether NaN is left out; otherwise its row has status NAN.
    weights : ndarray of float64, shape (rows, n), any strides, or None
    threads : int
        1: serial.

    Returns
    -------
    es, var : ndarray of float64, shape (rows, L); NaN unless status is OK
    used : ndarray of int64, shape (rows,); outcomes counted
    status : ndarray of int32, shape (rows,)
    """
    cdef job j
    cdef Py_ssize_t rows = cnp.PyArray_DIM(data, 0)
    cdef int failed
    cdef cnp.ndarray es, var, used, status
    if cnp.PyArray_NDIM(data) != 2 or cnp.PyArray_TYPE(data) not in (cnp.NPY_FLOAT64, cnp.NPY_FLOAT32):
        raise TypeError("data must be a matrix of float64 or float32")
    j.n_levels = cnp.PyArray_DIM(levels, 0)
    es = np.empty((rows, j.n_levels))
    var = np.empty((rows, j.n_levels))
    used = np.empty(rows, np.int64)
    status = np.empty(rows, np.int32)
    j.x = matrix_of(data)
    j.weighted = weights is not None
    if j.weighted:
        j.weights = matrix_of(weights)
    j.rows = rows
    j.n = cnp.PyArray_DIM(data, 1)
    j.flip = (<uint64_t>1 << 63) if upper else 0
    j.omit = omit
    j.levels = <const double *>cnp.PyArray_DATA(levels)
    j.es = <double *>cnp.PyArray_DATA(es)
    j.var = <double *>cnp.PyArray_DATA(var)
    j.used = <int64_t *>cnp.PyArray_DATA(used)
    j.status = <int32_t *>cnp.PyArray_DATA(status)
    j.scratch_size = cs_scratch_size(j.n, j.weighted)
    j.by_columns = 0 if j.weighted else plan_columns(&j)
    j.gathered_rows = CS_COLUMNS if j.by_columns else columns_at_once(j.n)
    j.rows_at_once = ROWS_AT_ONCE if reads_in_place(&j.x) else j.gathered_rows
    while j.rows_at_once > 1 and not j.by_columns and rows < 4 * threads * <Py_ssize_t>j.rows_at_once:
        j.rows_at_once //= 2
    j.parts = threads_for(j.n // LONG_ROW_EASE, threads) if rows == 1 else 1
    j.doubles = memory_of(&j)
    with nogil:
        failed = run_job(&j, max(threads, 1)) if j.rows > 0 else 0
    if failed:
        raise MemoryError(f"no memory for {j.doubles * max(threads, 1) * sizeof(double)} bytes of workspace")
    return es, var, used, status


# ---- instruction sets


def isa():
    """Return the name of the instruction set in use."""
    return cs_isa().decode()


def available_isas():
    """Return the names of the instruction sets that this build has and this processor runs, best first."""
    cdef size_t i = 0
    names = []
    while cs_isa_name(i) != NULL:
        if cs_isa_available(cs_isa_name(i)):
            names.append(cs_isa_name(i).decode())
        i += 1
    return names


def _choose_instruction_set():
    wanted = os.environ.get("CSHORTFALL_ISA")
    if wanted and cs_init(wanted.encode()) != CS_OK:
        raise ImportError(f"CSHORTFALL_ISA is {wanted!r}; available here: {', '.join(available_isas())}")
    if not wanted:
        cs_init(NULL)


_choose_instruction_set()
