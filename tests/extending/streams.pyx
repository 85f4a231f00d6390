"""Expected Shortfall of the latest values of several streams: cshortfall's windows from another Cython module."""

from cshortfall._core.window cimport TailWindow


def es_of_streams(const double[:, ::1] values, Py_ssize_t window, double level, double[:, ::1] out):
    """Fill out[t, s] with the Expected Shortfall of stream s after its value t, without the GIL."""
    cdef Py_ssize_t t, s
    cdef TailWindow stream
    for s in range(values.shape[1]):
        stream = TailWindow(window, level)
        with nogil:
            for t in range(values.shape[0]):
                out[t, s] = stream.push_value(values[t, s])
