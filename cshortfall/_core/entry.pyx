"""The functions called millions of times: es, var and es_var, straight from the arguments to the kernel.

The common path is a one-dimensional contiguous array of float64 or float32, one level and defaults. Everything else, bad
arguments included, goes to the general functions of cshortfall.estimate, so that each check stands in one place.
"""

cimport numpy as cnp

from cshortfall._core.kernels cimport CS_NAN, CS_OK
from cshortfall._core.tail cimport tail_of_row

cnp.import_array()

cdef enum:
    # Shorter rows are done before another thread would notice that the GIL was free.
    HOLD_GIL_BELOW = 4096


cdef inline bint is_common(object x, object level, object axis, object weights, object tail, object nan_policy,
                           object method, object out) noexcept:
    return (
        type(x) is cnp.ndarray
        and cnp.PyArray_NDIM(x) == 1
        and (cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT64 or cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT32)
        and cnp.PyArray_ISCARRAY_RO(x)
        and cnp.PyArray_DIM(x, 0) > 0
        and type(level) is float
        and 0.2 < <double>level < 1.0
        and axis is None
        and weights is None
        and (tail is "lower" or tail is "upper")
        and nan_policy is "propagate"
        and method is "historical"
        and out is None
    )


cdef int tail_of_array(cnp.ndarray x, double level, bint upper, double *es, double *var) except -2:
    cdef const void *data = cnp.PyArray_DATA(x)
    cdef size_t n = cnp.PyArray_DIM(x, 0)
    cdef bint is_f32 = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT32
    cdef int status
    if n < HOLD_GIL_BELOW:
        status = tail_of_row(data, n, is_f32, upper, level, es, var)
    else:
        with nogil:
            status = tail_of_row(data, n, is_f32, upper, level, es, var)
    if status != CS_OK and status != CS_NAN:
        raise MemoryError(f"no memory for the workspace of {n} outcomes")
    return 0


def es(x, level=0.975, *, axis=None, weights=None, tail="lower", nan_policy="propagate", method="historical", out=None):
    """ES_DOC"""
    cdef double es, var
    if is_common(x, level, axis, weights, tail, nan_policy, method, out):
        tail_of_array(x, level, tail is "upper", &es, &var)
        return es
    from cshortfall.estimate import _es

    return _es(x, level, axis, weights, tail, nan_policy, method, out)


def var(x, level=0.975, *, axis=None, weights=None, tail="lower", nan_policy="propagate", method="historical",
        quantile_method="inverted_cdf", out=None):
    """VAR_DOC"""
    cdef double es, var
    if quantile_method is "inverted_cdf" and is_common(x, level, axis, weights, tail, nan_policy, method, out):
        tail_of_array(x, level, tail is "upper", &es, &var)
        return var
    from cshortfall.estimate import _var

    return _var(x, level, axis, weights, tail, nan_policy, method, quantile_method, out)


def es_var(x, level=0.975, *, axis=None, weights=None, tail="lower", nan_policy="propagate", method="historical",
           out=None):
    """ES_VAR_DOC"""
    cdef double es, var
    if is_common(x, level, axis, weights, tail, nan_policy, method, out):
        tail_of_array(x, level, tail is "upper", &es, &var)
        from cshortfall.estimate import ESVaR

        return ESVaR(es, var)
    from cshortfall.estimate import _es_var

    return _es_var(x, level, axis, weights, tail, nan_policy, method, out)
