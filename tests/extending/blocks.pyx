"""Expected Shortfall of consecutive blocks of outcomes: cshortfall's kernels from another Cython module."""

from libc.math cimport NAN
from libc.stdlib cimport free, malloc

from cshortfall._core.tail cimport es_var, status_message, workspace_size


def es_of_blocks(const double[::1] x, Py_ssize_t length, double level, double[::1] out):
    """Fill out[i] with the Expected Shortfall of x[i * length:(i + 1) * length], without the GIL."""
    cdef Py_ssize_t i, blocks = x.shape[0] // length
    cdef size_t size = workspace_size(length, 1)
    cdef double var = NAN
    cdef int status = 0
    cdef void *workspace
    if length < 1 or out.shape[0] != blocks:
        raise ValueError(f"out must have one place for each of the {blocks} blocks")
    workspace = malloc(size)
    if workspace == NULL:
        raise MemoryError
    with nogil:
        for i in range(blocks):
            status = es_var(&x[i * length], length, level, 0, workspace, size, &out[i], &var)
            if status != 0:
                break
    free(workspace)
    if status != 0:
        raise ValueError((<bytes>status_message(status)).decode())
