"""Passes over the rows of a matrix of returns: one portfolio's P&L in every scenario, sums over tails, rows by number.

Blocks of scenarios are fixed and their sums combined in block order, with the errors of the additions: no bit of a
result depends on the number of threads or the layout of the matrix.
"""

from cython.parallel cimport prange
from libc.math cimport INFINITY, nextafter, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memmove

cimport numpy as cnp

import numpy as np

from cshortfall._core.tail import tail_rows

from cshortfall._core.kernels cimport CS_COLUMN_ROWS, CS_TERMS, cs_kernels, cs_returns
from cshortfall._core.openmp cimport threads_for
from cshortfall._core.tail cimport active_kernels

cnp.import_array()

cdef enum:
    # Scenarios whose sums are formed at a time.
    BLOCK = 2048
    # Of so many blocks one is multiplied first.
    SPREAD = 16
    # Rows gathered at a time.
    GATHERED = 64
    # The sets of scenarios that a pass sums: with a loss above the boundary, and equal to it.
    SETS = 2
    # What a block of a pass may answer.
    NO_MEMORY = 1
    NOT_FINITE = 2

# What is kept of each set of a block beside the rows: mass and base, each with the errors of its sum.
cdef enum:
    MASS = 0
    MASS_ERROR = 1
    BASE = 2
    BASE_ERROR = 3
    TOTALS = 4


cdef cs_returns returns_of(cnp.ndarray rows) except *:
    cdef cs_returns r
    if cnp.PyArray_NDIM(rows) != 2 or cnp.PyArray_TYPE(rows) not in (cnp.NPY_FLOAT64, cnp.NPY_FLOAT32):
        raise TypeError("rows must be a matrix of float64 or float32")
    r.data = <const char *>cnp.PyArray_DATA(rows)
    r.row_stride = cnp.PyArray_STRIDE(rows, 0)
    r.stride = cnp.PyArray_STRIDE(rows, 1)
    r.n_scenarios = cnp.PyArray_DIM(rows, 0)
    r.n_assets = cnp.PyArray_DIM(rows, 1)
    r.is_f32 = cnp.PyArray_TYPE(rows) == cnp.NPY_FLOAT32
    if r.n_assets == 1 and r.row_stride != (4 if r.is_f32 else 8):
        r.stride = 4 if r.is_f32 else 8
    return r


cdef const double *doubles_of(object values, Py_ssize_t count, str name) except? NULL:
    """The data of a contiguous vector of so many doubles; NULL for None."""
    if values is None:
        return NULL
    if not (isinstance(values, np.ndarray) and values.dtype == np.float64 and values.shape == (count,)
            and values.flags.c_contiguous):
        raise TypeError(f"{name} must be a contiguous vector of {count} doubles")
    return <const double *>cnp.PyArray_DATA(values)


cdef inline void add_compensated(double *total, double *error, double value) noexcept nogil:
    cdef double s = total[0] + value, z = s - total[0]
    error[0] += (total[0] - (s - z)) + (value - z)
    total[0] = s


ctypedef struct sums_job:
    const cs_kernels *kernels
    cs_returns r
    const double *profit
    const double *base
    const double *mass
    double low
    double boundary
    int64_t *counts
    double *totals
    double *sums


cdef void add_scenarios(const sums_job *j, Py_ssize_t place, const int64_t *index, size_t found) noexcept nogil:
    """Adds scenarios to the counts, totals and sums of one set of one block, which begin with the first ones."""
    cdef double *totals = j.totals + place * TOTALS
    cdef double *sums = j.sums + place * 2 * j.r.n_assets
    cdef double mass
    cdef size_t i
    if found == 0:
        return
    if j.counts[place] == 0:
        for i in range(TOTALS):
            totals[i] = 0.0
        for i in range(2 * j.r.n_assets):
            sums[i] = 0.0
    j.counts[place] += found
    for i in range(found):
        mass = 1.0 if j.mass == NULL else j.mass[index[i]]
        add_compensated(&totals[MASS], &totals[MASS_ERROR], mass)
        if j.base != NULL:
            add_compensated(&totals[BASE], &totals[BASE_ERROR], mass * j.base[index[i]])
    j.kernels.sum_scenarios(&j.r, index, found, j.mass, sums, sums + j.r.n_assets)


cdef void add_beyond(const sums_job *j, Py_ssize_t block, size_t first, size_t count) noexcept nogil:
    """Adds those of at most BLOCK scenarios with a P&L from low to below the boundary."""
    cdef int64_t index[BLOCK]
    cdef size_t below, found = j.kernels.scenarios_between(j.profit + first, count, first, j.low,
                                                           nextafter(j.boundary, -INFINITY), index, &below)
    add_scenarios(j, block * SETS, index, found)


ctypedef struct profits_job:
    const cs_kernels *kernels
    cs_returns r
    const double *x
    const double *base
    const double *mass
    double *profit
    const sums_job *tail


cdef int profits_of_block(const profits_job *j, Py_ssize_t block) noexcept nogil:
    """Bits NO_MEMORY, NOT_FINITE. The rows of the tail are added while they are in a cache."""
    cdef size_t first = block * BLOCK, last = min(first + BLOCK, j.r.n_scenarios), count
    cdef double *scratch = <double *>malloc(CS_TERMS * max(<size_t>CS_COLUMN_ROWS, j.r.n_assets) * sizeof(double))
    cdef int bad = 0
    if scratch == NULL:
        return NO_MEMORY
    while first < last:
        count = min(<size_t>CS_COLUMN_ROWS, last - first)
        bad |= j.kernels.scenario_profits(&j.r, first, count, j.x, j.base + first if j.base != NULL else NULL,
                                          j.mass + first if j.mass != NULL else NULL, scratch, j.profit + first)
        if j.tail != NULL:
            add_beyond(j.tail, block, first, count)
        first += count
    free(scratch)
    return NOT_FINITE if bad else 0


cdef class TailSums:
    """Sums over the scenarios of a tail, block by block: counts, masses, bases and rows of each set."""

    cdef sums_job j
    cdef cnp.ndarray counts, totals, sums
    cdef object kept
    cdef Py_ssize_t n_blocks

    def __cinit__(self, cnp.ndarray rows not None, profit, base, mass, double low, double boundary):
        cdef Py_ssize_t n = cnp.PyArray_DIM(rows, 0)
        self.kept = (rows, profit, base, mass)
        self.j.kernels = <const cs_kernels *>active_kernels()
        self.j.r = returns_of(rows)
        self.j.profit = doubles_of(profit, n, "profit")
        self.j.base = doubles_of(base, n, "base")
        self.j.mass = doubles_of(mass, n, "mass")
        self.j.low, self.j.boundary = low, boundary
        self.n_blocks = (n + BLOCK - 1) // BLOCK
        self.counts = np.zeros((self.n_blocks, SETS), np.int64)
        self.totals = np.empty((self.n_blocks, SETS, TOTALS))
        self.sums = np.empty((self.n_blocks, SETS, 2, self.j.r.n_assets))
        self.j.counts = <int64_t *>cnp.PyArray_DATA(self.counts)
        self.j.totals = <double *>cnp.PyArray_DATA(self.totals)
        self.j.sums = <double *>cnp.PyArray_DATA(self.sums)

    @property
    def boundary(self):
        """The P&L below which scenarios are in the first set."""
        return self.j.boundary


def profits(cnp.ndarray rows not None, x, base, mass, out=None):
    """Return the P&L of a portfolio in each scenario, and whether one of positive mass is NaN or infinite.

    Parameters
    ----------
    rows : ndarray of float64 or float32, native, shape (n, n_assets), any strides
    x : ndarray of float64, contiguous, shape (n_assets,)
    base : ndarray of float64, contiguous, shape (n,), or None
        Added to the product.
    mass : ndarray of float64, contiguous, shape (n,), or None
        Where it is zero the result is inf.
    out : ndarray of float64, contiguous, shape (n,), optional
        Receives the result.

    Returns
    -------
    profit : ndarray of float64, shape (n,)
        The same bits for a row in any layout, place and type, on every instruction set.
    bad : bool
    """
    profit, bad, _ = profits_and_tail(rows, x, base, mass, None, out)
    return profit, bad


def profits_and_tail(cnp.ndarray rows not None, x, base, mass, level, out=None):
    """Return what `profits` does, and sums over most of the tail, for `tail_sums` to complete.

    Where the tail begins is guessed from the first scenarios that are multiplied, evenly spread blocks of them, so
    that of all others the rows of the tail are added while they are in a cache.

    Parameters
    ----------
    rows, x, base, mass, out
        As for `profits`.
    level : float or None
        Of the tail; None for no sums.

    Returns
    -------
    profit : ndarray of float64, shape (n,)
    bad : bool
    begun : TailSums or None
        None of few scenarios, and of those without a tail.
    """
    cdef profits_job j
    cdef TailSums begun = None
    cdef Py_ssize_t block, n_blocks, n_spread
    cdef int status = 0, threads
    j.kernels = <const cs_kernels *>active_kernels()
    j.r = returns_of(rows)
    if out is None:
        out = np.empty(j.r.n_scenarios)
    j.x = doubles_of(x, j.r.n_assets, "x")
    j.base = doubles_of(base, j.r.n_scenarios, "base")
    j.mass = doubles_of(mass, j.r.n_scenarios, "mass")
    j.profit = <double *>doubles_of(out, j.r.n_scenarios, "out")
    j.tail = NULL
    # Of whole blocks only, so that all have the same share in the guess.
    n_blocks = (j.r.n_scenarios + BLOCK - 1) // BLOCK
    n_spread = j.r.n_scenarios // BLOCK // SPREAD if level is not None else 0
    threads = threads_for(j.r.n_scenarios * j.r.n_assets, 0)
    with nogil:
        for block in prange(n_spread, schedule="dynamic", num_threads=threads):
            status |= profits_of_block(&j, block * SPREAD)
    if n_spread > 0:
        begun = begin_tail(rows, out, base, mass, level, n_spread)
    if begun is not None:
        j.tail = &begun.j
    with nogil:
        for block in prange(n_blocks, schedule="dynamic", num_threads=threads):
            if block % SPREAD == 0 and block // SPREAD < n_spread:
                if j.tail != NULL:
                    add_beyond(j.tail, block, block * BLOCK, BLOCK)
            else:
                status |= profits_of_block(&j, block)
    if status & NO_MEMORY:
        raise MemoryError("no memory for the workspace of a block of scenarios")
    return out, bool(status & NOT_FINITE), begun


cdef TailSums begin_tail(cnp.ndarray rows, profit, base, mass, double level, Py_ssize_t n_spread):
    """Begin the sums over a tail that lies within the one at this level, by the P&L of every SPREAD-th block."""
    cdef Py_ssize_t whole = n_spread * SPREAD * BLOCK
    cdef double count = n_spread * BLOCK
    # Three standard deviations of the number of scenarios beyond VaR in a sample: a guess too high serves for nothing.
    cdef double share = (1.0 - level) - 3.0 * sqrt(level * (1.0 - level) / count)
    if share * count < 1.0:
        return None
    own, masses = [None if values is None else values[:whole].reshape(n_spread, SPREAD, BLOCK)[:, 0].reshape(1, -1)
                   for values in (profit, mass)]
    guess = -tail_rows(own, np.array([1.0 - share]), False, False, masses, 1)[1][0, 0]
    return TailSums(rows, profit, base, mass, -INFINITY, guess) if -INFINITY < guess < INFINITY else None


def scenarios_between(profit not None, double low, double high):
    """Return the numbers of the scenarios with ``low <= profit <= high``, ascending, and how many have less.

    Parameters
    ----------
    profit : ndarray of float64, contiguous, shape (n,)
    low, high : float

    Returns
    -------
    index : ndarray of int64
    below : int
    """
    cdef const cs_kernels *kernels = <const cs_kernels *>active_kernels()
    cdef Py_ssize_t n = profit.size, block, n_blocks = (n + BLOCK - 1) // BLOCK, first, found = 0
    cdef const double *values = doubles_of(profit, n, "profit")
    # Pages that nothing is written to take no memory.
    cdef cnp.ndarray index = np.empty(n, np.int64), counts = np.empty((2, n_blocks), np.uintp)
    cdef int64_t *numbers = <int64_t *>cnp.PyArray_DATA(index)
    cdef size_t *kept = <size_t *>cnp.PyArray_DATA(counts)
    cdef size_t *below = kept + n_blocks
    cdef int threads = threads_for(n // 16, 0)
    with nogil:
        for block in prange(n_blocks, schedule="static", num_threads=threads):
            first = block * BLOCK
            kept[block] = kernels.scenarios_between(values + first, min(<Py_ssize_t>BLOCK, n - first), first, low,
                                                    high, numbers + first, &below[block])
        for block in range(n_blocks):
            memmove(numbers + found, numbers + block * BLOCK, kept[block] * sizeof(int64_t))
            found += kept[block]
    return index[:found].copy(), int(counts[1].sum())


cdef void add_block(const sums_job *j, Py_ssize_t block) noexcept nogil:
    """Counts, totals and sums of rows of each set of one block."""
    cdef int64_t index[BLOCK]
    cdef size_t first = block * BLOCK, count = min(<size_t>BLOCK, j.r.n_scenarios - first), found = 0, below, i
    if j.profit != NULL:
        add_beyond(j, block, first, count)
        found = j.kernels.scenarios_between(j.profit + first, count, first, j.boundary, j.boundary, index, &below)
        add_scenarios(j, block * SETS + 1, index, found)
        return
    for i in range(first, first + count):
        index[found] = i
        found += j.mass == NULL or j.mass[i] > 0.0
    add_scenarios(j, block * SETS, index, found)


cdef void add_pairs(const double *value, const double *error, double *total, double *total_error,
                    size_t n) noexcept nogil:
    cdef size_t i
    for i in range(n):
        add_compensated(&total[i], &total_error[i], value[i])
        total_error[i] += error[i]


def tail_sums(cnp.ndarray rows not None, profit, double boundary, base, mass, TailSums begun=None):
    """Return sums over the scenarios with a P&L below the boundary, and over those with this P&L.

    Parameters
    ----------
    rows : ndarray of float64 or float32, native, shape (n, n_assets), any strides
    profit : ndarray of float64, contiguous, shape (n,), or None
        None: the first sums are those over all scenarios of positive mass, the second are empty.
    boundary : float
    base, mass : ndarray of float64, contiguous, shape (n,), or None
        None: 0 and 1.
    begun : TailSums, optional
        Of `profits_and_tail` with the same arguments: what it has summed is not read again.

    Returns
    -------
    counts : ndarray of int64, shape (2,)
    mass : ndarray of float64, shape (2,)
    base : ndarray of float64, shape (2,)
        Sum of mass times base.
    sums : ndarray of float64, shape (2, n_assets)
        Sum of mass times row.
    """
    cdef Py_ssize_t n = cnp.PyArray_DIM(rows, 0), width = cnp.PyArray_DIM(rows, 1), block
    cdef cnp.ndarray all_totals = np.zeros((SETS, TOTALS)), all_sums = np.zeros((SETS, 2, width))
    cdef double *totals = <double *>cnp.PyArray_DATA(all_totals)
    cdef double *sums = <double *>cnp.PyArray_DATA(all_sums)
    cdef int threads = threads_for(n * width if profit is None else n * width // 16 + n // 16, 0)
    cdef TailSums own
    if begun is not None and begun.j.boundary > boundary:
        begun = None
    own = TailSums(rows, profit, base, mass, -INFINITY if begun is None else begun.j.boundary, boundary)
    with nogil:
        for block in prange(own.n_blocks, schedule="dynamic", chunksize=4, num_threads=threads):
            add_block(&own.j, block)
    counts = own.counts.sum(axis=0)
    for one in (begun, own):
        if one is not None:
            add_all_blocks(one, totals, sums)
    if begun is not None:
        counts += begun.counts.sum(axis=0)
    return (counts, all_totals[:, MASS] + all_totals[:, MASS_ERROR],
            all_totals[:, BASE] + all_totals[:, BASE_ERROR], all_sums[:, 0] + all_sums[:, 1])


cdef void add_all_blocks(TailSums one, double *totals, double *sums):
    """Adds what the blocks came to, in their order."""
    cdef Py_ssize_t block, part
    for part in range(SETS):
        for block in range(one.n_blocks):
            if one.j.counts[block * SETS + part] > 0:
                add_block_totals(&one.j, block * SETS + part, totals + part * TOTALS,
                                 sums + part * 2 * one.j.r.n_assets)


cdef void add_block_totals(const sums_job *j, Py_ssize_t place, double *totals, double *sums) noexcept nogil:
    """Adds what one set of one block came to."""
    cdef const double *own = j.totals + place * TOTALS
    cdef const double *rows = j.sums + place * 2 * j.r.n_assets
    add_pairs(&own[MASS], &own[MASS_ERROR], &totals[MASS], &totals[MASS_ERROR], 1)
    add_pairs(&own[BASE], &own[BASE_ERROR], &totals[BASE], &totals[BASE_ERROR], 1)
    add_pairs(rows, rows + j.r.n_assets, sums, sums + j.r.n_assets, j.r.n_assets)


def gather(cnp.ndarray rows not None, cnp.ndarray index not None, double scale=1.0):
    """Return `scale` times the rows of these numbers as float64 in C order.

    Parameters
    ----------
    rows : ndarray of float64 or float32, native, shape (n, n_assets), any strides
    index : ndarray of int64, contiguous, shape (m,), each from 0 to n - 1
    scale : float

    Returns
    -------
    ndarray of float64, shape (m, n_assets)
    """
    cdef const cs_kernels *kernels = <const cs_kernels *>active_kernels()
    cdef cs_returns r = returns_of(rows)
    cdef Py_ssize_t m = index.size, block, first
    cdef cnp.ndarray out = np.empty((m, r.n_assets))
    cdef double *result = <double *>cnp.PyArray_DATA(out)
    cdef const int64_t *numbers = <const int64_t *>cnp.PyArray_DATA(index)
    cdef int threads = threads_for(m * r.n_assets, 0)
    if cnp.PyArray_TYPE(index) != cnp.NPY_INT64 or not index.flags.c_contiguous:
        raise TypeError("index must be a contiguous vector of int64")
    if m and not 0 <= index.min() <= index.max() < rows.shape[0]:
        raise IndexError(f"index must be from 0 to {rows.shape[0] - 1}")
    with nogil:
        for block in prange((m + GATHERED - 1) // GATHERED, schedule="static", num_threads=threads):
            first = block * GATHERED
            kernels.gather_scenarios(&r, numbers + first, min(<Py_ssize_t>GATHERED, m - first), scale,
                                     result + first * r.n_assets)
    return out
