# distutils: sources = src/sketch.c src/sketch_stage.c src/sketch_query.c src/sketch_codec.c
"""The sketch of a stream: `TailSketch` over src/sketch.h.

Large arrays are staged without the GIL in memory of their own and folded in with it, so that threads may share a
sketch; a build without the GIL locks the object instead.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, realloc

cimport numpy as cnp

import numpy as np

from cshortfall import _arguments
from cshortfall._core.kernels cimport cs_kernels
from cshortfall._core.tail cimport active_kernels

cnp.import_array()

cdef extern from "sketch.h" nogil:
    enum:
        CS_SKETCH_OK
        CS_SKETCH_NO_MEMORY
        CS_SKETCH_BAD_ACCURACY
        CS_SKETCH_BAD_MAX_BUCKETS
        CS_SKETCH_FULL
        CS_SKETCH_BAD_WEIGHT
        CS_SKETCH_FAR_WEIGHT
        CS_SKETCH_OTHER
        CS_SKETCH_NOT_A_SKETCH
        CS_SKETCH_OTHER_VERSION
        CS_SKETCH_TRUNCATED
        CS_SKETCH_TOO_LONG
        CS_SKETCH_BAD_CHECKSUM
        CS_SKETCH_INVALID
        CS_SKETCH_MOST_BUCKETS
        CS_SKETCH_VERSION
        CS_STAGE_REST
    double CS_SKETCH_LEAST_ACCURACY
    double CS_SKETCH_MOST_ACCURACY
    ctypedef void *(*cs_resize)(void *block, size_t size) noexcept nogil
    ctypedef struct cs_sketch:
        double accuracy
        size_t max_buckets
        int real
        int policy
        double least
        double most
    ctypedef struct cs_stage:
        size_t room
        size_t taken
        size_t rest_count
    ctypedef struct cs_estimate:
        double es
        double es_low
        double es_high
        double var
        double var_low
        double var_high
        int collapsed
    int cs_sketch_init(cs_sketch *s, double accuracy, size_t max_buckets, cs_resize resize)
    void cs_sketch_clear(cs_sketch *s)
    int cs_sketch_copy(cs_sketch *to, cs_sketch *source)
    int cs_sketch_add(cs_sketch *s, double x, double weight)
    int cs_sketch_add_many(cs_sketch *s, const double *x, const double *weights, size_t n, size_t *taken)
    int cs_stage_init(cs_stage *stage, const cs_sketch *s, const cs_kernels *kernels)
    void cs_stage_clear(cs_stage *stage)
    size_t cs_stage_fill(cs_stage *stage, const double *x, size_t n)
    int cs_sketch_fold(cs_sketch *s, cs_stage *stage)
    int cs_sketch_merge(cs_sketch *s, cs_sketch *other)
    int cs_sketch_settle(cs_sketch *s)
    int cs_sketch_collapsed(const cs_sketch *s)
    double cs_sketch_count(const cs_sketch *s)
    double cs_sketch_missing(const cs_sketch *s)
    int cs_sketch_tail(cs_sketch *s, double level, int upper, cs_estimate *result)
    int cs_sketch_quantile(cs_sketch *s, double q, double *result)
    double cs_sketch_sum(const cs_sketch *s)
    int cs_sketch_encode(cs_sketch *s, uint8_t *out, size_t capacity, size_t *size)
    int cs_sketch_decode(cs_sketch *s, const uint8_t *bytes, size_t size, cs_resize resize)

cdef enum:
    # Fewer outcomes are sooner added one by one than staged.
    STAGE_FROM = 1024

cdef enum:
    # Positions in _arguments.NAN_POLICIES.
    PROPAGATE = 0
    RAISE = 2


cdef enum:
    ES
    ES_BOUNDS
    VAR
    VAR_BOUNDS
    RESOLVES


cdef void *resize(void *block, size_t size) noexcept nogil:
    if size == 0:
        free(block)
        return NULL
    return realloc(block, size)


cdef int check(int status) except -1:
    """Raise what a status means."""
    if status == CS_SKETCH_OK:
        return 0
    if status == CS_SKETCH_NO_MEMORY:
        raise MemoryError("no memory for the buckets of a sketch")
    if status == CS_SKETCH_FULL:
        raise ValueError(
            "a sketch counts up to 2**53 outcomes, whole weights as repetitions (2**500 in all if some are not whole); "
            "this would be more: divide the weights by a common factor, or begin another sketch"
        )
    problem = {
        CS_SKETCH_NOT_A_SKETCH: "they do not begin like one",
        CS_SKETCH_OTHER_VERSION: f"their format is not version {CS_SKETCH_VERSION}; update cshortfall",
        CS_SKETCH_TRUNCATED: "some are missing at the end",
        CS_SKETCH_TOO_LONG: "there are more than the sketch has",
        CS_SKETCH_BAD_CHECKSUM: "the checksum is wrong, they have been changed",
        CS_SKETCH_INVALID: "they describe no state that a sketch can be in",
    }[status]
    raise ValueError(f"data must be the bytes of a sketch as to_bytes gives them: {problem}")


cdef inline const double *doubles(object array) noexcept:
    return <const double *>cnp.PyArray_DATA(array)


cdef class TailSketch:
    """TailSketch(relative_accuracy=0.001, *, max_buckets=2048, nan_policy='propagate')\n--\n\n\
    A mergeable summary of a stream for Expected Shortfall, with guaranteed bounds, in bounded memory.

    Outcomes are counted in logarithmic buckets, each with its exact count and the exact sum of its outcomes. Only the
    bucket in which the tail ends leaves anything open: ES comes with guaranteed bounds, VaR is within
    `relative_accuracy`. The state is a function of the multiset of outcomes: neither their order, nor how they were
    divided among sketches, nor the order of merging changes a bit (with weights that are whole numbers, or none).

    Parameters
    ----------
    relative_accuracy : float
        Bound on the relative error of VaR and quantiles, from 0.0001 to 0.25.
    max_buckets : int
        Number of buckets kept on each side of zero: the outermost ones that are occupied. Outcomes nearer to zero are
        kept as counts and sums per power of two. A tail that ends among them has wider bounds, see `resolves`.
    nan_policy : {"propagate", "omit", "raise"}
        What NaN does: results are NaN once one was met; it is counted in `missing` and otherwise left out; `update`
        refuses it.

    Raises
    ------
    ValueError, TypeError
        An argument outside its domain.

    Notes
    -----
    Outcomes are profit and loss or returns, gains positive, as for `cshortfall.es`; infinities are data. Level, tail
    and sign have the meaning they have there, and where the bounds of ES coincide they are the bits of
    `cshortfall.es`. Sketches may be updated from several threads, which share the work of large arrays only if each
    has its own sketch, to be merged. Format and proofs: docs/sketch.md.

    Examples
    --------
    >>> import cshortfall
    >>> import numpy as np
    >>> from cshortfall.stream import TailSketch
    >>> monday, tuesday = TailSketch(), TailSketch()
    >>> pnl = np.cos(np.arange(10_000.0) ** 2) ** 3
    >>> week = monday.update(pnl[:5000]).merge(tuesday.update(pnl[5000:]))
    >>> week.count
    10000
    >>> low, high = week.es_bounds(0.99)
    >>> low <= cshortfall.es(pnl, 0.99) <= high
    True
    >>> TailSketch.from_bytes(week.to_bytes()) == week
    True
    """

    cdef cs_sketch sketch
    cdef object __weakref__

    def __cinit__(self, relative_accuracy=0.001, *, max_buckets=2048, nan_policy="propagate"):
        given = _arguments.real_number(relative_accuracy)
        if given is None:
            raise TypeError(
                f"relative_accuracy must be a number from 0.0001 to 0.25, got {type(relative_accuracy).__name__}"
            )
        cdef double accuracy = given
        if not CS_SKETCH_LEAST_ACCURACY <= accuracy <= CS_SKETCH_MOST_ACCURACY:
            raise ValueError(f"relative_accuracy must be from 0.0001 to 0.25, got {accuracy!r}; use for example 0.001")
        buckets = _arguments.read_count("max_buckets", max_buckets)
        if buckets > CS_SKETCH_MOST_BUCKETS:
            raise ValueError(f"max_buckets must be at most {CS_SKETCH_MOST_BUCKETS}, got {buckets}")
        _arguments.read_choice("nan_policy", nan_policy, _arguments.NAN_POLICIES)
        check(cs_sketch_init(&self.sketch, accuracy, buckets, resize))
        self.sketch.policy = _arguments.NAN_POLICIES.index(nan_policy)

    def __dealloc__(self):
        cs_sketch_clear(&self.sketch)

    def update(self, values, weights=None):
        """Add outcomes.

        Parameters
        ----------
        values : float or array_like
            Outcomes, of any shape and kind that `cshortfall.es` takes.
        weights : float or array_like, optional
            Weight of each outcome: finite and not negative; one number for all, or of the shape of `values`. Whole
            numbers count as repetitions and keep everything exact. Others turn the sketch to weights in pairs of
            doubles, for good: in other orders of merging ES then differs by at most 2**-51 / (1 - level) of the larger
            of VaR and the tail's mean magnitude. They must lie between 2**-400 and 2**400. An outcome of weight zero is
            absent, NaN included.

        Returns
        -------
        TailSketch
            The sketch itself.

        Raises
        ------
        ValueError
            A weight outside its domain, more than 2**53 outcomes in all, or NaN under ``nan_policy="raise"``. The
            sketch is unchanged.
        TypeError
            Values or weights that are no real numbers.

        Examples
        --------
        >>> from cshortfall.stream import TailSketch
        >>> sketch = TailSketch().update([0.3, -2.0, 0.5]).update(-1.0)
        >>> sketch.es(0.5)
        1.5
        >>> TailSketch().update([-2.0, 1.0], weights=[3, 1]) == TailSketch().update([-2.0, -2.0, -2.0, 1.0])
        True
        """
        if weights is None and isinstance(values, float):
            self.add(values)
            return self
        sample, labels = _arguments.read_samples("values", values)
        mass = None
        if weights is not None:
            weight = _arguments.real_number(weights)
            if weight is not None:
                mass = np.full(sample.shape, weight)
            else:
                mass = _arguments.read_weights(weights, sample.shape, tuple(range(sample.ndim)), labels, "values")
            mass = np.ascontiguousarray(mass, dtype=np.float64)
        if self.sketch.policy == RAISE:
            _arguments.refuse_missing("values", sample, mass, labels)
        self.add_array(np.ascontiguousarray(sample, dtype=np.float64), mass)
        return self

    cdef int add(self, double value) except -1:
        cdef int status
        if self.sketch.policy == RAISE and value != value:
            raise ValueError("values is missing (NaN); drop it, or use nan_policy='omit'")
        with cython.critical_section(self):
            status = cs_sketch_add(&self.sketch, value, 1.0)
        return check(status)

    cdef int add_array(self, object values, object weights) except -1:
        cdef size_t n = cnp.PyArray_SIZE(values)
        if weights is None and n >= STAGE_FROM and not self.sketch.real:
            return self.add_staged(doubles(values), n)
        return self.add_each(doubles(values), n, weights)

    cdef int add_each(self, const double *values, size_t n, object weights) except -1:
        cdef const double *masses = NULL
        cdef size_t taken
        cdef int status
        if weights is not None:
            masses = doubles(weights)
        with cython.critical_section(self):
            status = cs_sketch_add_many(&self.sketch, values, masses, n, &taken)
        if status == CS_SKETCH_BAD_WEIGHT:
            _arguments.raise_bad_weight(weights)
        if status == CS_SKETCH_FAR_WEIGHT:
            wrong = float(weights[(weights > 0) & ((weights < 2.0**-400) | (weights > 2.0**400))][0])
            raise ValueError(
                f"weights that are not all whole numbers must lie between 2**-400 and 2**400, got {wrong!r}; "
                "divide them by a common factor"
            )
        return check(status)

    cdef int add_staged(self, const double *values, size_t n) except -1:
        """Add many outcomes of weight one; only folding touches what threads share."""
        cdef cs_stage stage
        cdef size_t done = 0
        self.check_room(n)
        check(cs_stage_init(&stage, &self.sketch, <const cs_kernels *>active_kernels()))
        try:
            while done < n:
                with nogil:
                    done += cs_stage_fill(&stage, values + done, n - done)
                self.fold(&stage)
        finally:
            cs_stage_clear(&stage)
        return 0

    cdef int check_room(self, size_t n) except -1:
        if not self.sketch.real and n > 2.0**53 - max(cs_sketch_count(&self.sketch), cs_sketch_missing(&self.sketch)):
            check(CS_SKETCH_FULL)
        return 0

    cdef int fold(self, cs_stage *stage) except -1:
        cdef int status
        with cython.critical_section(self):
            status = cs_sketch_fold(&self.sketch, stage)
        return check(status)

    def merge(self, TailSketch other not None):
        """Add the outcomes of another sketch.

        Parameters
        ----------
        other : TailSketch
            A sketch of the same `relative_accuracy`, `max_buckets` and `nan_policy`; it does not change.

        Returns
        -------
        TailSketch
            The sketch itself. The order of merging does not show, see the class.

        Raises
        ------
        ValueError
            The sketches differ in a parameter, or hold more than 2**53 outcomes together. Nothing is changed.

        Examples
        --------
        >>> from cshortfall.stream import TailSketch
        >>> TailSketch().update([0.3, -2.0]).merge(TailSketch().update([0.5, -1.0])).es(0.5)
        1.5
        """
        for name in ("relative_accuracy", "max_buckets", "nan_policy"):
            own, others = getattr(self, name), getattr(other, name)
            if own != others:
                raise ValueError(
                    f"other must have the same {name} to be merged, {own!r}, got {others!r}; make both with the same"
                )
        cdef int status
        with cython.critical_section(self, other):
            status = cs_sketch_merge(&self.sketch, &other.sketch)
        check(status)
        return self

    cdef int estimate(self, double level, bint upper, cs_estimate *result) except -1:
        cdef int status
        with cython.critical_section(self):
            status = cs_sketch_tail(&self.sketch, level, upper, result)
        return check(status)

    cdef bint is_spoilt(self) noexcept:
        return self.sketch.policy == PROPAGATE and cs_sketch_missing(&self.sketch) > 0.0

    cdef object answers(self, object level, object tail, int which):
        """Return one kind of number for each level: ES, its bounds, VaR, its bounds, whether they are resolved."""
        cdef cs_estimate result
        levels, scalar = _arguments.read_levels(level)
        upper = _arguments.read_tail(tail)
        out = np.full((levels.size, 2), np.nan)
        for position in range(levels.size):
            self.estimate(levels[position], upper, &result)
            if which == RESOLVES:
                out[position] = not result.collapsed
            elif self.is_spoilt():
                continue
            elif which == ES:
                out[position] = result.es
            elif which == ES_BOUNDS:
                out[position] = result.es_low, result.es_high
            elif which == VAR:
                out[position] = result.var
            else:
                out[position] = result.var_low, result.var_high
        if which == RESOLVES:
            return bool(out[0, 0]) if scalar else out[:, 0].astype(np.bool_)
        if which == ES_BOUNDS or which == VAR_BOUNDS:
            return tuple(out[0].tolist()) if scalar else (out[:, 0].copy(), out[:, 1].copy())
        return out[0, 0].item() if scalar else out[:, 0].copy()

    def es(self, level=0.975, *, tail="lower"):
        """Return the Expected Shortfall: the mean loss in the worst ``1 - level`` of the outcomes.

        Parameters
        ----------
        level : float or sequence of float
            Confidence, ``0 <= level < 1``; 0 gives minus the mean.
        tail : {"lower", "upper"}
            Where the losses are: "upper" reads the outcomes as losses.

        Returns
        -------
        float or ndarray of float64
            Within `es_bounds`: an array for a sequence of levels. NaN for an empty sketch.

        Raises
        ------
        ValueError, TypeError
            A level or tail outside its domain.

        Warns
        -----
        LevelWarning
            ``0 < level <= 0.2``, nearly always a tail mass by mistake.

        Notes
        -----
        With *v* the bucket in which the tail ends, *m* its outcomes, *w* its width and *c* the tail count, the error is
        at most :math:`m w / (4 c)`, hence at most `relative_accuracy` times VaR times the bucket's share of the tail,
        unless the tail ends in collapsed buckets.

        Examples
        --------
        >>> from cshortfall.stream import TailSketch
        >>> TailSketch().update([0.3, -2.0, 0.5, -1.0]).es(0.5)
        1.5
        """
        return self.answers(level, tail, ES)

    def es_bounds(self, level=0.975, *, tail="lower"):
        """Return guaranteed bounds of the Expected Shortfall.

        Parameters
        ----------
        level, tail
            As for `es`.

        Returns
        -------
        tuple of float or tuple of ndarray
            (low, high): `cshortfall.es` of all outcomes lies in the closed interval. They are the tightest that the
            buckets allow, and equal where the tail ends between buckets or its last bucket leaves no choice.

        Examples
        --------
        >>> from cshortfall.stream import TailSketch
        >>> TailSketch().update([0.3, -2.0, 0.5, -1.0]).es_bounds(0.5)
        (1.5, 1.5)
        """
        return self.answers(level, tail, ES_BOUNDS)

    def var(self, level=0.975, *, tail="lower"):
        """Return the Value at Risk: the smallest loss of the tail, within `relative_accuracy`.

        Parameters
        ----------
        level, tail
            As for `es`.

        Returns
        -------
        float or ndarray of float64
            Within `var_bounds`. NaN for an empty sketch.

        Examples
        --------
        >>> from cshortfall.stream import TailSketch
        >>> TailSketch().update([0.3, -2.0, 0.5, -1.0]).var(0.5)
        1.0
        """
        return self.answers(level, tail, VAR)

    def var_bounds(self, level=0.975, *, tail="lower"):
        """Return guaranteed bounds of the Value at Risk.

        Parameters
        ----------
        level, tail
            As for `es`.

        Returns
        -------
        tuple of float or tuple of ndarray
            (low, high), a closed interval.

        Examples
        --------
        >>> from cshortfall.stream import TailSketch
        >>> TailSketch().update([0.3, -2.0, 0.5, -1.0]).var_bounds(0.5)
        (1.0, 1.0)
        """
        return self.answers(level, tail, VAR_BOUNDS)

    def resolves(self, level=0.975, *, tail="lower"):
        """Return whether the tail ends in a bucket of full resolution, so that `relative_accuracy` holds.

        Parameters
        ----------
        level, tail
            As for `es`.

        Returns
        -------
        bool or ndarray of bool
            False where `max_buckets` made the sketch collapse the buckets in which the tail ends. `es_bounds` and
            `var_bounds` hold nevertheless, but are wider.

        Examples
        --------
        >>> import numpy as np
        >>> from cshortfall.stream import TailSketch
        >>> sketch = TailSketch(max_buckets=100).update(np.linspace(-1.0, 1.0, 10_001))
        >>> sketch.resolves(0.99), sketch.resolves(0.75)
        (True, False)
        """
        return self.answers(level, tail, RESOLVES)

    def quantile(self, q):
        """Return a quantile of the outcomes, within `relative_accuracy`.

        Parameters
        ----------
        q : float
            Probability from 0 to 1; the result is the ceil(q n)-th smallest of n outcomes, the least for 0. As with
            levels, q n within n 2**-53 of a whole number is that number.

        Returns
        -------
        float
            NaN for an empty sketch. Quantiles in collapsed buckets are within a factor of two.

        Raises
        ------
        ValueError, TypeError
            A probability outside its domain.

        Examples
        --------
        >>> from cshortfall.stream import TailSketch
        >>> TailSketch().update([3.0, 1.0, 2.0]).quantile(0.5)
        2.0
        """
        given = _arguments.real_number(q)
        if given is None:
            raise TypeError(f"q must be a number from 0 to 1, got {type(q).__name__}")
        cdef double probability = given, result
        cdef int status
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"q must be from 0 to 1, got {probability!r}")
        with cython.critical_section(self):
            status = cs_sketch_quantile(&self.sketch, probability, &result)
        check(status)
        return float("nan") if self.is_spoilt() else result

    @property
    def relative_accuracy(self):
        """Bound on the relative error of VaR and quantiles."""
        return self.sketch.accuracy

    @property
    def max_buckets(self):
        """Largest number of buckets on each side of zero."""
        return self.sketch.max_buckets

    @property
    def nan_policy(self):
        """What NaN does."""
        return _arguments.NAN_POLICIES[self.sketch.policy]

    @property
    def count(self):
        """Number of outcomes, NaN left out: an int while all weights are whole numbers, else their total weight."""
        value = cs_sketch_count(&self.sketch)
        return value if self.sketch.real else int(value)

    @property
    def missing(self):
        """Number of NaN, or their total weight."""
        value = cs_sketch_missing(&self.sketch)
        return value if self.sketch.real else int(value)

    @property
    def sum(self):
        """Exact sum of the outcomes, rounded once; infinite where it exceeds the doubles."""
        cdef double value
        with cython.critical_section(self):
            value = cs_sketch_sum(&self.sketch)
        return float("nan") if self.is_spoilt() else value

    @property
    def min(self):
        """Least outcome, exactly; NaN for an empty sketch."""
        return self.sketch.least if not self.is_spoilt() and cs_sketch_count(&self.sketch) > 0.0 else float("nan")

    @property
    def max(self):
        """Greatest outcome, exactly; NaN for an empty sketch."""
        return self.sketch.most if not self.is_spoilt() and cs_sketch_count(&self.sketch) > 0.0 else float("nan")

    @property
    def collapsed(self):
        """Whether `max_buckets` made the sketch collapse buckets; `resolves` tells where that matters."""
        cdef int status
        cdef bint collapsed
        with cython.critical_section(self):
            status = cs_sketch_settle(&self.sketch)
            collapsed = cs_sketch_collapsed(&self.sketch)
        check(status)
        return collapsed

    def to_bytes(self):
        """Return the state as bytes, the same for equal sketches on every machine.

        Returns
        -------
        bytes
            With version and checksum; docs/sketch.md specifies the format.

        Examples
        --------
        >>> from cshortfall.stream import TailSketch
        >>> TailSketch.from_bytes(TailSketch().update(-2.0).to_bytes()).es(0.5)
        2.0
        """
        cdef size_t size = 0, room
        cdef bytes data = b""
        cdef int status
        while True:
            room = len(data)
            with cython.critical_section(self):
                status = cs_sketch_encode(&self.sketch, <uint8_t *>PyBytes_AS_STRING(data), room, &size)
            check(status)
            if size == room:
                return data
            data = PyBytes_FromStringAndSize(NULL, size)

    @classmethod
    def from_bytes(cls, data):
        """Return the sketch that `to_bytes` described.

        Parameters
        ----------
        data : bytes-like
            What `to_bytes` gave.

        Returns
        -------
        TailSketch

        Raises
        ------
        ValueError
            The bytes are truncated, changed, of another version, or describe no sketch. Any bytes may be given:
            memory is taken in proportion to their number.
        TypeError
            No bytes.

        Examples
        --------
        >>> from cshortfall.stream import TailSketch
        >>> TailSketch.from_bytes(TailSketch().update([1.0, 3.0]).to_bytes()).sum
        4.0
        """
        cdef Py_buffer view
        cdef cs_sketch fresh
        cdef int status
        cdef TailSketch self
        try:
            PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        except (TypeError, BufferError) as error:
            raise TypeError(f"data must be bytes as to_bytes gives them, got {type(data).__name__}") from error
        status = cs_sketch_decode(&fresh, <const uint8_t *>view.buf, view.len, resize)
        PyBuffer_Release(&view)
        check(status)
        try:
            self = cls.__new__(cls)
        except BaseException:
            cs_sketch_clear(&fresh)
            raise
        cs_sketch_clear(&self.sketch)
        self.sketch = fresh
        return self

    def __copy__(self):
        cdef cs_sketch fresh
        cdef int status
        with cython.critical_section(self):
            status = cs_sketch_copy(&fresh, &self.sketch)
        check(status)
        cdef TailSketch other = type(self).__new__(type(self))
        cs_sketch_clear(&other.sketch)
        other.sketch = fresh
        return other

    def copy(self):
        """Return an independent copy.

        Returns
        -------
        TailSketch

        Examples
        --------
        >>> from cshortfall.stream import TailSketch
        >>> sketch = TailSketch().update(1.0)
        >>> sketch.copy().update(2.0) == sketch
        False
        """
        return self.__copy__()

    def __deepcopy__(self, memo):
        return self.__copy__()

    def __reduce__(self):
        return type(self).from_bytes, (self.to_bytes(),)

    def __eq__(self, other):
        if not isinstance(other, TailSketch):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    __hash__ = None

    def __repr__(self):
        number = f"{self.count:g}" if self.sketch.real else f"{self.count}"
        return (
            f"TailSketch(relative_accuracy={self.relative_accuracy:g}, max_buckets={self.max_buckets}, "
            f"count={number}, es(0.975)={self.es(0.975):.6g})"
        )
