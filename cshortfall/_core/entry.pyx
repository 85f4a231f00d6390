"""The functions called millions of times: es, var and es_var, straight from the arguments to the kernel.

The common paths are a one-dimensional contiguous array of float64 or float32 and a matrix of them with one axis to
reduce, one level or a short list of them, and defaults. Everything else, bad arguments included, goes to the general
functions of cshortfall.estimate, so that each check stands in one place.
"""

from libc.string cimport memcpy

cimport numpy as cnp

from cshortfall._core.kernels cimport CS_NAN, CS_OK
from cshortfall._core.tail cimport ROW_LEVELS, tail_of_row

from cshortfall._core.openmp import effective_threads
from cshortfall._core.tail import tail_rows

cnp.import_array()

cdef enum:
    # Shorter rows are done before another thread would notice that the GIL was free.
    HOLD_GIL_BELOW = 4096


cdef inline bint is_common(object weights, object tail, object nan_policy, object method, object out) noexcept:
    return (
        weights is None
        and (tail is "lower" or tail is "upper")
        and nan_policy is "propagate"
        and method is "historical"
        and out is None
    )


cdef inline bint has_floats(object x) noexcept:
    return type(x) is cnp.ndarray and (
        cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT64 or cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT32
    )


cdef inline bint is_common_array(object x, object axis) noexcept:
    return (
        has_floats(x)
        and cnp.PyArray_NDIM(x) == 1
        and cnp.PyArray_ISCARRAY_RO(x)
        and cnp.PyArray_DIM(x, 0) > 0
        and axis is None
    )


cdef inline bint is_common_matrix(object x, object axis) noexcept:
    return (
        has_floats(x)
        and cnp.PyArray_NDIM(x) == 2
        and cnp.PyArray_ISBEHAVED_RO(x)
        and cnp.PyArray_SIZE(x) > 0
        and type(axis) is int
        and -2 <= axis < 2
    )


cdef inline bint is_common_level(object level, double *value) noexcept:
    """Whether a level is a float that needs no warning."""
    if type(level) is not float:
        return False
    value[0] = level
    return 0.2 < value[0] < 1.0


cdef Py_ssize_t common_levels(object level, double *levels) except -1:
    """The number of levels: one float, or a list or tuple of a few, none of which needs a warning; 0 for all else."""
    cdef Py_ssize_t n, i
    if type(level) is not list and type(level) is not tuple:
        return is_common_level(level, levels)
    n = len(level)
    if n > ROW_LEVELS:
        return 0
    for i in range(n):
        if not is_common_level(level[i], &levels[i]):
            return 0
    return n


cdef int tail_of_array(cnp.ndarray x, const double *levels, size_t n_levels, bint upper, double *es,
                       double *var) except -2:
    cdef const void *data = cnp.PyArray_DATA(x)
    cdef size_t n = cnp.PyArray_DIM(x, 0)
    cdef bint is_f32 = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT32
    cdef int status
    if n < HOLD_GIL_BELOW:
        status = tail_of_row(data, n, is_f32, upper, levels, n_levels, es, var)
    else:
        with nogil:
            status = tail_of_row(data, n, is_f32, upper, levels, n_levels, es, var)
    if status != CS_OK and status != CS_NAN:
        raise MemoryError(f"no memory for the workspace of {n} outcomes")
    return 0


cdef object in_form_of(object level, const double *values, cnp.npy_intp n):
    """Results as a float for one level, as an array for a sequence of them."""
    cdef cnp.ndarray a
    if type(level) is float:
        return values[0]
    a = cnp.PyArray_EMPTY(1, &n, cnp.NPY_FLOAT64, 0)
    memcpy(cnp.PyArray_DATA(a), values, n * sizeof(double))
    return a


cdef tuple tails_of_matrix(cnp.ndarray x, object axis, object level, const double *levels, cnp.npy_intp n_levels,
                           bint upper):
    """ES and VaR of each row or column, with a last axis for a sequence of levels."""
    cdef cnp.ndarray wanted = cnp.PyArray_EMPTY(1, &n_levels, cnp.NPY_FLOAT64, 0)
    memcpy(cnp.PyArray_DATA(wanted), levels, n_levels * sizeof(double))
    threads = effective_threads(cnp.PyArray_SIZE(x))
    es, var, _, _ = tail_rows(x.T if axis == 0 or axis == -2 else x, wanted, upper, False, None, threads)
    return (es[:, 0], var[:, 0]) if type(level) is float else (es, var)


def es(x, level=0.975, *, axis=None, weights=None, tail="lower", nan_policy="propagate", method="historical", out=None):
    r"""Return the Expected Shortfall: the mean loss in the worst ``1 - level`` of the outcomes.

    Parameters
    ----------
    x : array_like, buffer, series or data frame
        Profit and loss or returns, gains positive, in any unit; real numbers of any shape. Contiguous float64 and
        float32 are read in place; `x` is never modified. Missing are NaN, masked entries, and the nulls of pandas,
        polars and Arrow. Infinities are data. A single number is a sample of one.
    level : float or sequence of float
        Confidence, ``0 <= level < 1``: 0.975 takes the worst 2.5 %. Level 0 gives minus the mean. Several levels add a
        last axis, in the given order, also a sequence of one.
    axis : int, tuple of int or None
        Axes to reduce. None: all of an array, the rows (axis 0) of a data frame.
    weights : array_like, optional
        Weights of the outcomes: finite, not negative, not all zero, of any scale. Of the shape of `x`, or
        one-dimensional along the integer `axis`. An outcome of weight zero is absent. A pandas series is aligned on the
        index of a pandas `x`.
    tail : {"lower", "upper"}
        Where the losses are: "upper" reads `x` as losses.
    nan_policy : {"propagate", "omit", "raise"}
        What missing values do: make the result NaN, be left out with their weights, or raise a ValueError. The
        outcomes are counted after omission, in each slice.
    method : {"historical", "normal", "student_t", "cornish_fisher", "kernel"}
        Estimator; see the notes. Each takes weights. Quantile rules are no methods.
    out : ndarray of float64, optional
        Receives the results and is returned; of their shape.

    Returns
    -------
    float, ndarray of float64, series or data frame
        Expected Shortfall in the unit of `x`, positive when money is lost. A float if no axis is left and `level` is
        one number. A pandas frame gives a series indexed by its columns, with several levels a frame whose columns are
        the levels; a polars frame gives a frame of one row, with several levels one row each.

    Raises
    ------
    ValueError
        A level outside [0, 1), an axis that `x` does not have or along which it is empty, weights of another shape,
        index or domain, missing values under "raise", an unknown name, an `out` of another shape; a sample to which
        the estimator cannot be fitted.
    TypeError
        Data, weights or levels that are no real numbers: bool, dates, objects, complex, strings, long double.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.
    RuntimeWarning
        A slice that "omit" leaves empty; its result is NaN. Moments outside the domain of "cornish_fisher"; the result
        is the historical estimate.

    See Also
    --------
    var : the Value at Risk.
    es_var : both in one pass.
    tail_risk : with standard errors and intervals.
    tail_weights : the outcomes that make it up.

    Notes
    -----
    With :math:`n` outcomes :math:`x_{(1)} \le \dots \le x_{(n)}` and the tail count :math:`c = n (1 - level)`,

    .. math:: ES = -\frac{1}{c} \Bigl( \sum_{i \le \lfloor c \rfloor} x_{(i)}
              + (c - \lfloor c \rfloor) \, x_{(\lfloor c \rfloor + 1)} \Bigr),

    which is the estimator of [1]_ and the minimum of [2]_; for :math:`c \le 1` it is minus the worst outcome. A tail
    count within :math:`n 2^{-53}` of a whole number is that number, so that 0.9 of 10 outcomes is one. With weights,
    their sum stands for n and cumulative weights for ranks.

    The result is the double nearest to this exact quotient. It therefore depends neither on order, strides, axis,
    instruction set nor number of threads, to the last bit. Infinite losses in the tail give inf, infinities of both
    signs NaN.

    The other estimators need finite outcomes and give the tail mean of a fitted distribution: ``normal`` with the
    sample's mean and standard deviation (divisor n); ``student_t`` by maximum likelihood of location, scale and degrees
    of freedom above 1, a fit that does not converge being an error; ``cornish_fisher``, the modified ES of [3]_, with
    the historical estimate as its fallback; ``kernel``, the sample smoothed by a Gaussian kernel, the bandwidth by
    Silverman's rule of thumb, ``0.9 min(sd, IQR / 1.34) n ** -0.2`` [4]_.

    References
    ----------
    .. [1] Acerbi, C. and Tasche, D. (2002). On the coherence of expected shortfall. Journal of Banking & Finance 26(7),
       1487-1503, definition 2.6.
    .. [2] Rockafellar, R. T. and Uryasev, S. (2000). Optimization of conditional value-at-risk. Journal of Risk 2(3),
       21-41, equation (5).
    .. [3] Boudt, K., Peterson, B. and Croux, C. (2008). Estimation and decomposition of downside risk for portfolios
       with non-normal returns. Journal of Risk 11(2), 79-103.
    .. [4] Silverman, B. W. (1986). Density Estimation for Statistics and Data Analysis, equation (3.31).

    Examples
    --------
    >>> import numpy as np
    >>> import cshortfall
    >>> pnl = np.array([1.0, -3.0, 2.0, 0.5, -1.0, 0.0, 4.0, -2.0])
    >>> cshortfall.es(pnl, level=0.75)
    2.5
    >>> cshortfall.es(pnl.reshape(2, 4), level=[0.5, 0.75], axis=1)
    array([[1.25, 3.  ],
           [1.5 , 2.  ]])
    >>> cshortfall.es(pnl, level=0.75, weights=[1, 1, 1, 1, 1, 1, 1, 3])
    2.4
    """
    cdef double levels[ROW_LEVELS]
    cdef double es[ROW_LEVELS]
    cdef double var[ROW_LEVELS]
    cdef Py_ssize_t n_levels
    if is_common(weights, tail, nan_policy, method, out):
        n_levels = common_levels(level, levels)
        if n_levels > 0 and is_common_array(x, axis):
            tail_of_array(x, levels, n_levels, tail is "upper", es, var)
            return in_form_of(level, es, n_levels)
        if n_levels > 0 and is_common_matrix(x, axis):
            return tails_of_matrix(x, axis, level, levels, n_levels, tail is "upper")[0]
    from cshortfall.estimate import _es

    return _es(x, level, axis, weights, tail, nan_policy, method, out)


def var(x, level=0.975, *, axis=None, weights=None, tail="lower", nan_policy="propagate", method="historical",
        quantile_method="inverted_cdf", out=None):
    r"""Return the Value at Risk: the loss that is exceeded in less than ``1 - level`` of the outcomes.

    Parameters
    ----------
    x, level, axis, weights, tail, nan_policy, method, out
        As for `es`.
    quantile_method : str
        Quantile rule, by its name in `numpy.quantile`; for the historical estimator without weights. It never changes
        the Expected Shortfall.

    Returns
    -------
    float, ndarray of float64, series or data frame
        Value at Risk in the unit of `x`, positive when money is lost; in the form of `es`.

    Raises
    ------
    ValueError, TypeError
        As for `es`; also an unknown `quantile_method`, or another than "inverted_cdf" with weights or with another
        estimator.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.
    RuntimeWarning
        A slice that ``nan_policy="omit"`` leaves empty; its result is NaN.

    See Also
    --------
    es : the Expected Shortfall.
    es_var : both in one pass.

    Notes
    -----
    With the tail count :math:`c` of `es`, minus the :math:`\lceil c \rceil`-th worst outcome: the quantile of type 1 of
    [1]_, ``-numpy.quantile(x, 1 - level, method="inverted_cdf")`` where that is not thrown off by the rounding of
    ``1 - level``. Both tails mirror to the bit: ``var(x, tail="lower") == var(-x, tail="upper")``.

    References
    ----------
    .. [1] Hyndman, R. J. and Fan, Y. (1996). Sample quantiles in statistical packages. The American Statistician 50(4),
       361-365, definition 1.

    Examples
    --------
    >>> import numpy as np
    >>> import cshortfall
    >>> pnl = np.array([1.0, -3.0, 2.0, 0.5, -1.0, 0.0, 4.0, -2.0])
    >>> cshortfall.var(pnl, level=0.75)
    2.0
    >>> cshortfall.var(pnl, level=0.75, quantile_method="linear")
    1.25
    """
    cdef double levels[ROW_LEVELS]
    cdef double es[ROW_LEVELS]
    cdef double var[ROW_LEVELS]
    cdef Py_ssize_t n_levels
    if quantile_method is "inverted_cdf" and is_common(weights, tail, nan_policy, method, out):
        n_levels = common_levels(level, levels)
        if n_levels > 0 and is_common_array(x, axis):
            tail_of_array(x, levels, n_levels, tail is "upper", es, var)
            return in_form_of(level, var, n_levels)
        if n_levels > 0 and is_common_matrix(x, axis):
            return tails_of_matrix(x, axis, level, levels, n_levels, tail is "upper")[1]
    from cshortfall.estimate import _var

    return _var(x, level, axis, weights, tail, nan_policy, method, quantile_method, out)


def es_var(x, level=0.975, *, axis=None, weights=None, tail="lower", nan_policy="propagate", method="historical",
           out=None):
    r"""Return Expected Shortfall and Value at Risk, found in one pass.

    Parameters
    ----------
    x, level, axis, weights, tail, nan_policy, method
        As for `es`.
    out : pair of ndarray of float64, optional
        Receive the Expected Shortfall and the Value at Risk, and are returned.

    Returns
    -------
    ESVaR
        Named tuple ``(es, var)`` of what `es` and `var` return, to the bit.

    Raises
    ------
    ValueError, TypeError
        As for `es`.

    Warns
    -----
    LevelWarning
        ``0 < level <= 0.2``, nearly always a tail mass by mistake.
    RuntimeWarning
        A slice that ``nan_policy="omit"`` leaves empty; its results are NaN.

    See Also
    --------
    es : the definition of the Expected Shortfall.
    var : the definition of the Value at Risk.

    References
    ----------
    .. [1] Rockafellar, R. T. and Uryasev, S. (2002). Conditional value-at-risk for general loss distributions. Journal
       of Banking & Finance 26(7), 1443-1471, theorem 10.

    Examples
    --------
    >>> import numpy as np
    >>> import cshortfall
    >>> pnl = np.array([1.0, -3.0, 2.0, 0.5, -1.0, 0.0, 4.0, -2.0])
    >>> cshortfall.es_var(pnl, level=0.75)
    ESVaR(es=2.5, var=2.0)
    """
    cdef double levels[ROW_LEVELS]
    cdef double es[ROW_LEVELS]
    cdef double var[ROW_LEVELS]
    cdef Py_ssize_t n_levels
    if is_common(weights, tail, nan_policy, method, out):
        n_levels = common_levels(level, levels)
        if n_levels > 0 and is_common_array(x, axis):
            from cshortfall.estimate import ESVaR

            tail_of_array(x, levels, n_levels, tail is "upper", es, var)
            return ESVaR(in_form_of(level, es, n_levels), in_form_of(level, var, n_levels))
        if n_levels > 0 and is_common_matrix(x, axis):
            from cshortfall.estimate import ESVaR

            return ESVaR._make(tails_of_matrix(x, axis, level, levels, n_levels, tail is "upper"))
    from cshortfall.estimate import _es_var

    return _es_var(x, level, axis, weights, tail, nan_policy, method, out)
