"""Windows for other Cython packages: ``cimport TailWindow`` and push without the GIL.

Members are added at the end, never changed. An object serves one thread at a time; who pushes without the GIL sees to
that.
"""


cdef class TailWindow:
    cdef void *memory
    cdef void *state
    cdef Py_ssize_t length
    cdef Py_ssize_t least
    cdef double confidence
    cdef bint upper
    cdef bint busy

    # Puts a value in and returns the Expected Shortfall of the window, NaN while it holds too few; no allocation.
    cdef double push_value(self, double value) noexcept nogil
    # Of the window as it is.
    cdef double es_value(self) noexcept nogil
    cdef double var_value(self) noexcept nogil
