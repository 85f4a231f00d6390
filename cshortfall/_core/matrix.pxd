"""Matrices of any strides, whose rows are read in place or gathered; for the modules of this package."""

from libc.stdint cimport uintptr_t

cimport numpy as cnp

from cshortfall._core.kernels cimport cs_kernels

cdef enum:
    # Columns gathered at a time fill whole cache lines.
    COLUMNS_AT_ONCE = 32
    # Doubles of gathered columns that should stay in a second-level cache.
    GATHERED_MOST = 131072
    # Rows longer than this are read with a stride one by one: the columns of a block would not fit memory well.
    GATHERED_ROW_MOST = 2097152


ctypedef struct matrix:
    const char *data
    Py_ssize_t row_stride
    Py_ssize_t stride
    int is_f32


cdef inline Py_ssize_t width_of(const matrix *m) noexcept nogil:
    return 4 if m.is_f32 else 8


cdef inline int reads_in_place(const matrix *m) noexcept nogil:
    return m.stride == width_of(m)


cdef inline size_t gathered_stride(size_t n) noexcept nogil:
    """Doubles from one gathered row to the next: whole cache lines, an odd number, to spread over a cache's sets."""
    return (n + 7) // 8 * 8 + (8 if (n + 7) // 8 % 2 == 0 else 0)


cdef inline size_t columns_at_once(size_t n) noexcept nogil:
    """How many columns of this length to gather at a time."""
    if COLUMNS_AT_ONCE * n <= GATHERED_MOST:
        return COLUMNS_AT_ONCE
    return 8 if n <= GATHERED_ROW_MOST else 1


cdef inline double *cache_line(double *p) noexcept nogil:
    return <double *>((<uintptr_t>p + 63) // 64 * 64)


cdef inline size_t misplaced(const matrix *m, size_t column) noexcept nogil:
    """How many columns before this one share its cache line, if all rows lie alike: a block begins with a line."""
    if reads_in_place(m) or m.row_stride != width_of(m) or m.stride % 64 != 0:
        return 0
    return (<uintptr_t>m.data + column * m.row_stride) % 64 // width_of(m)


cdef inline size_t rows_of_block(const matrix *m, size_t first, size_t last, size_t most) noexcept nogil:
    """How many rows from `first` on make a block: at most these, and so that the next one begins with a cache line."""
    cdef size_t ahead = misplaced(m, first)
    return min(most - ahead if ahead < most else most, last - first)


cdef inline void gather(const cs_kernels *kernels, const matrix *m, size_t first, size_t rows, size_t n,
                        double *out) noexcept nogil:
    """Rows from `first` as contiguous doubles, gathered_stride(n) apart."""
    cdef const char *start = m.data + <Py_ssize_t>first * m.row_stride
    cdef const char *p
    cdef size_t r, i, apart = gathered_stride(n)
    if m.row_stride == width_of(m) and m.stride % width_of(m) == 0:
        kernels.gather_columns(start, m.is_f32, m.stride // width_of(m), rows, n, out, apart)
        return
    for r in range(rows):
        p = start + <Py_ssize_t>r * m.row_stride
        for i in range(n):
            out[r * apart + i] = (<const float *>p)[0] if m.is_f32 else (<const double *>p)[0]
            p += m.stride


cdef inline matrix matrix_of(cnp.ndarray a):
    cdef matrix m
    m.data = <const char *>cnp.PyArray_DATA(a)
    m.row_stride = cnp.PyArray_STRIDE(a, 0)
    m.stride = cnp.PyArray_STRIDE(a, 1)
    m.is_f32 = cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT32
    if cnp.PyArray_DIM(a, 1) == 1:
        m.stride = 4 if m.is_f32 else 8
    return m
