# distutils: sources = src/decay.c
"""Expected Shortfall of all outcomes so far with weights that decay: the GIL released, rows in parallel."""

from cython.parallel cimport prange
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

cimport numpy as cnp

import numpy as np

cnp.import_array()

cdef extern from "decay.h" nogil:
    size_t cs_decay_workspace_size(size_t n)
    void cs_decay_es(const double *x, const int64_t *order, size_t n, double decay, int count_outcomes,
                     const double *levels, size_t n_levels, size_t min_count, void *workspace, double *es)


def decayed_rows(const double[:, ::1] data, double decay, bint count_outcomes, const double[::1] levels,
                 Py_ssize_t min_count, int threads):
    """Return ES of shape (rows, levels, n): of what lies up to each position of a row, weights ``decay ** age``.

    ``0 <= decay < 1``. The age counts positions or, with `count_outcomes`, outcomes that are not NaN.
    """
    cdef Py_ssize_t rows = data.shape[0], n = data.shape[1], count = levels.shape[0]
    es = np.empty((rows, count, n))
    if es.size == 0:
        return es
    # Sorting is NumPy's, which releases the GIL as well.
    cdef const int64_t[:, ::1] order = np.argsort(data, axis=1).astype(np.int64, copy=False)
    cdef double *results = <double *>cnp.PyArray_DATA(es)
    cdef Py_ssize_t lanes = max(1, min(threads, rows)), lane, row
    cdef size_t space = (cs_decay_workspace_size(n) + 63) // 64 * 64
    cdef char *workspace = <char *>malloc(lanes * space)
    if workspace == NULL:
        raise MemoryError(f"no memory for the workspace of {n} outcomes on {lanes} threads")
    for lane in prange(lanes, nogil=True, num_threads=lanes, schedule="static"):
        for row in range(lane * rows // lanes, (lane + 1) * rows // lanes):
            cs_decay_es(&data[row, 0], &order[row, 0], n, decay, count_outcomes, &levels[0], count,
                        min_count, workspace + lane * space, results + row * count * n)
    free(workspace)
    return es
