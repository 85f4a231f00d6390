"""Expected Shortfall of streams, exactly: the latest values of an endless one, or all of one whose length is known."""

cimport cython
from cpython.pyport cimport PY_SSIZE_T_MAX
from libc.math cimport INFINITY, NAN
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cimport numpy as cnp

import numpy as np

from cshortfall._arguments import read_choice, read_count, read_levels, read_samples, read_tail
from cshortfall._core.kernels cimport (
    CS_SCRATCH_MARGIN,
    cs_bracket,
    cs_kernels,
    cs_outcomes,
    cs_pass,
    cs_tail,
    cs_target,
    cs_target_of,
    cs_window,
    cs_window_bytes,
    cs_window_clear,
    cs_window_copy,
    cs_window_create,
)
from cshortfall._core.tail cimport active_kernels, scratch_size

cnp.import_array()

cdef enum:
    # Values of an array that an averager takes at a time; they stay in the first-level cache.
    VALUES_AT_ONCE = 2048
    SLACK = 8

NAN_POLICIES = ("propagate", "omit", "raise")


cdef double one_level(object level) except? -1.0:
    """Read a level; several are an error."""
    values, scalar = read_levels(level)
    if not scalar:
        raise TypeError(f"level must be one number in [0, 1), got {level!r}; use one object for each level")
    return values[0]


cdef Py_ssize_t size_of(str name, object value) except -1:
    """Read a number of values that memory may hold."""
    size = read_count(name, value)
    if size > PY_SSIZE_T_MAX // 256:
        raise MemoryError(f"{name}: no memory for {size} values")
    return size


cdef double number_of(object value) except? -1.0:
    """Read a real number."""
    if type(value) is float:
        return value
    samples, _ = read_samples("value", value)
    if samples.ndim != 0:
        raise TypeError(f"value must be one number, got an array of shape {samples.shape}; use push_many")
    return samples[()]


cdef cnp.ndarray numbers_of(object values):
    """Read real numbers of one dimension as contiguous float64."""
    samples, _ = read_samples("values", values)
    if samples.ndim > 1:
        raise ValueError(f"values must be one-dimensional, got shape {samples.shape}; use values.ravel()")
    return np.ascontiguousarray(samples, dtype=np.float64)


cdef cnp.ndarray contiguous(object value):
    """Read real numbers of any shape as contiguous float64 or float32."""
    samples, _ = read_samples("value", value)
    return np.ascontiguousarray(samples)


cdef cnp.ndarray doubles(size_t size):
    return np.empty(size)


cdef cs_outcomes outcomes_of(cnp.ndarray values, bint upper):
    """Contiguous float64 or float32 for the kernels."""
    cdef cs_outcomes x
    x.data = cnp.PyArray_DATA(values)
    x.next = NULL
    x.n = cnp.PyArray_SIZE(values)
    x.flip = <uint64_t>1 << 63 if upper else 0
    x.is_f32 = cnp.PyArray_TYPE(values) == cnp.NPY_FLOAT32
    return x


cdef cnp.ndarray sorted_losses(cnp.ndarray values):
    """Ascending, without infinite gains, which are what is not kept, and without negative zeros."""
    return np.sort(values[values < INFINITY]) + 0.0


@cython.final
cdef class TailWindow:
    """Expected Shortfall of the latest values of a stream, exact after each.

    Parameters
    ----------
    window : int
        How many values the window holds, at least 1.
    level : float
        Confidence, ``0 <= level < 1``: 0.975 takes the worst 2.5 %.
    min_periods : int, optional
        With fewer values that are not NaN the results are NaN; at most `window`, which is the default.
    tail : {"lower", "upper"}
        Where the losses are: "upper" reads the values as losses.

    Raises
    ------
    ValueError, TypeError
        Arguments outside their domain, or of another kind.

    See Also
    --------
    cshortfall.rolling.rolling_es : the windows of a series at once.
    TailAverager : all values of a stream of known length.

    Notes
    -----
    Results are those of `cshortfall.es` and `cshortfall.var` on the values in the window, to the bit. NaN takes a place
    in the window and is left out of the tail, as pandas does. A value costs tens of nanoseconds, whatever the window;
    memory is taken once, 33 bytes for each place and 5 kB. One thread at a time may use an object.

    References
    ----------
    .. [1] Acerbi, C. and Tasche, D. (2002). On the coherence of expected shortfall. Journal of Banking & Finance 26(7),
       1487-1503, definition 2.6.

    Examples
    --------
    >>> from cshortfall.stream import TailWindow
    >>> window = TailWindow(4, level=0.5)
    >>> [window.push(value) for value in (1.0, -3.0, 2.0, 0.5, -1.0)]
    [nan, nan, nan, 1.25, 2.0]
    >>> window
    TailWindow(window=4, level=0.5, count=4, es=2.0)
    """

    def __cinit__(self, window, level=0.975, *, min_periods=None, tail="lower"):
        cdef Py_ssize_t length = size_of("window", window)
        cdef Py_ssize_t least = length
        cdef uint64_t flip
        cdef size_t size
        self.confidence = one_level(level)
        self.upper = read_tail(tail)
        if min_periods is not None:
            least = 0 if type(min_periods) is int and min_periods == 0 else read_count("min_periods", min_periods)
            if least > length:
                raise ValueError(f"min_periods must be at most window, {length}, got {least}")
        size = cs_window_bytes(length, 1)
        self.memory = malloc(size)
        if self.memory == NULL:
            raise MemoryError(f"no memory for {size} bytes of a window of {length} values")
        self.length = length
        self.least = least
        flip = <uint64_t>1 << 63 if self.upper else 0
        self.state = cs_window_create(self.memory, <const cs_kernels *>active_kernels(), length, &self.confidence, 1,
                                      flip, least)

    def __dealloc__(self):
        free(self.memory)

    cdef double push_value(self, double value) noexcept nogil:
        cdef cs_window *w = <cs_window *>self.state
        w.kernels.window_push(w, value)
        return w.candidates.levels[0].result.es

    cdef double es_value(self) noexcept nogil:
        return (<cs_window *>self.state).candidates.levels[0].result.es

    cdef double var_value(self) noexcept nogil:
        return (<cs_window *>self.state).candidates.levels[0].result.var

    @cython.critical_section
    def push(self, value):
        """Put a value in, in the place of the oldest if the window is full.

        Parameters
        ----------
        value : float
            The value; NaN is a missing one.

        Returns
        -------
        float
            Expected Shortfall of the window; NaN while it holds fewer than `min_periods` values.
        """
        cdef double x = number_of(value)
        if self.busy:
            refuse_busy()
        return self.push_value(x)

    @cython.critical_section
    def push_many(self, values):
        """Put values in, one after the other, without the GIL.

        Parameters
        ----------
        values : array_like of shape (n,)
            The values, oldest first.

        Returns
        -------
        ndarray of float64 of shape (n,)
            Expected Shortfall of the window after each.
        """
        cdef cnp.ndarray given = numbers_of(values)
        cdef cnp.ndarray result = doubles(cnp.PyArray_SIZE(given))
        cdef const double *x = <const double *>cnp.PyArray_DATA(given)
        cdef double *out = <double *>cnp.PyArray_DATA(result)
        cdef Py_ssize_t i, n = cnp.PyArray_SIZE(given)
        if self.busy:
            refuse_busy()
        self.busy = True
        with nogil:
            for i in range(n):
                out[i] = self.push_value(x[i])
        self.busy = False
        return result

    @cython.critical_section
    def reset(self):
        """Make the window empty."""
        if self.busy:
            refuse_busy()
        cs_window_clear(<cs_window *>self.state)

    @property
    def es(self):
        """Expected Shortfall of the window; NaN while it holds fewer than `min_periods` values."""
        return self.es_value()

    @property
    def var(self):
        """Value at Risk of the window; NaN while it holds fewer than `min_periods` values."""
        return self.var_value()

    @property
    def count(self):
        """How many values the window holds that are not NaN."""
        return (<cs_window *>self.state).candidates.present

    @property
    def window(self):
        """How many values it can hold."""
        return self.length

    @property
    def level(self):
        """The confidence."""
        return self.confidence

    @property
    def min_periods(self):
        """How many values there must be for a result."""
        return self.least

    @property
    def tail(self):
        """Where the losses are."""
        return "upper" if self.upper else "lower"

    @cython.critical_section
    def _values(self):
        """Return what the window holds, NaN included, oldest first."""
        cdef cs_window *w = <cs_window *>self.state
        cdef cnp.ndarray values
        if self.busy:
            refuse_busy()
        values = doubles(w.size)
        cs_window_copy(w, <double *>cnp.PyArray_DATA(values))
        return values

    def __copy__(self):
        return _window_of(self.window, self.level, self.min_periods, self.tail, self._values())

    def __deepcopy__(self, memo):
        return self.__copy__()

    def __reduce__(self):
        return _window_of, (self.window, self.level, self.min_periods, self.tail, self._values())

    def __eq__(self, other):
        """Whether both are made alike and hold equal values in the same order."""
        if not isinstance(other, TailWindow):
            return NotImplemented
        made = (self.window, self.level, self.min_periods, self.tail)
        if made != (other.window, other.level, other.min_periods, other.tail):
            return False
        return np.array_equal(self._values(), other._values(), equal_nan=True)

    __hash__ = None

    def __repr__(self):
        waits = "" if self.min_periods == self.window else f", min_periods={self.min_periods}"
        side = "" if self.tail == "lower" else f", tail={self.tail!r}"
        made = f"window={self.window}, level={self.level!r}{waits}{side}"
        return f"TailWindow({made}, count={self.count}, es={self.es!r})"


def _window_of(window, level, min_periods, tail, values):
    """Return a window that holds these values."""
    made = TailWindow(window, level, min_periods=min_periods, tail=tail)
    made.push_many(values)
    return made


cdef int refuse_busy() except -1:
    raise RuntimeError("another thread is using this object; give each thread its own")


@cython.final
cdef class TailAverager:
    """Expected Shortfall of a stream whose length is known, exact, keeping only its tail.

    Parameters
    ----------
    level : float
        Confidence, ``0 <= level < 1``: 0.975 takes the worst 2.5 %.
    n : int
        The largest number of values, at least 1.
    tail : {"lower", "upper"}
        Where the losses are: "upper" reads the values as losses.
    nan_policy : {"propagate", "omit", "raise"}
        What missing values do: make the results NaN, be left out uncounted, or raise a ValueError.

    Raises
    ------
    ValueError, TypeError
        Arguments outside their domain, or of another kind.

    See Also
    --------
    TailWindow : the latest values of an endless stream.
    TailSketch : any number of values in bounded memory, within a stated error.

    Notes
    -----
    Results are those of `cshortfall.es` and `cshortfall.var` on all values so far, to the bit: with fewer than `n` the
    tail is smaller, and what is kept holds it. Kept are the worst ``ceil(n * (1 - level))`` values, and as many again
    before they are sifted. One thread at a time may use an object.

    References
    ----------
    .. [1] Acerbi, C. and Tasche, D. (2002). On the coherence of expected shortfall. Journal of Banking & Finance 26(7),
       1487-1503, definition 2.6.

    Examples
    --------
    >>> from cshortfall.stream import TailAverager
    >>> tail = TailAverager(0.75, 8)
    >>> tail.update([1.0, -3.0, 2.0, 0.5]).update(-1.0).es()
    2.6
    >>> tail.update([0.0, 4.0, -2.0]).es()
    2.5
    """

    cdef double *kept
    cdef size_t held
    cdef size_t keep
    cdef size_t room
    cdef double threshold
    cdef double confidence
    cdef Py_ssize_t length
    cdef Py_ssize_t counted
    cdef bint upper
    cdef bint missing
    cdef bint busy
    cdef str policy

    def __cinit__(self, level, n, *, tail="lower", nan_policy="propagate"):
        cdef cs_target target
        self.confidence = one_level(level)
        self.length = size_of("n", n)
        self.upper = read_tail(tail)
        read_choice("nan_policy", nan_policy, NAN_POLICIES)
        self.policy = nan_policy
        target = cs_target_of(self.confidence, self.length)
        self.keep = target.rank
        self.room = 2 * self.keep + VALUES_AT_ONCE
        self.threshold = INFINITY
        self.kept = <double *>malloc((self.room + 2 * SLACK) * sizeof(double))
        if self.kept == NULL:
            raise MemoryError(f"no memory for the worst {self.keep} of {self.length} values and as many again")

    def __dealloc__(self):
        free(self.kept)

    @cython.critical_section
    def update(self, value):
        """Add a value or an array of values.

        Parameters
        ----------
        value : float or array_like
            Any shape.

        Returns
        -------
        TailAverager
            Itself.

        Raises
        ------
        ValueError
            If there would be more than `n` values, or a missing one under ``nan_policy="raise"``; nothing changes then.
        """
        cdef cnp.ndarray values = contiguous(value)
        cdef cs_outcomes x = outcomes_of(values, self.upper)
        cdef Py_ssize_t missing, more
        if self.busy:
            refuse_busy()
        self.busy = True
        with nogil:
            missing = missing_in(&x)
        self.busy = False
        if missing and self.policy == "raise":
            raise ValueError(f"value is missing (NaN) at {missing} places; drop them, or use nan_policy='omit'")
        more = x.n - (missing if self.policy == "omit" else 0)
        self.add(more, missing > 0 and self.policy == "propagate", &x)
        return self

    cdef int add(self, Py_ssize_t more, bint missing, const cs_outcomes *x) except -1:
        """Count more values and keep what of them may belong to the tail."""
        cdef int failed
        if more > self.length - self.counted:
            raise ValueError(
                f"value: {more} more than the {self.counted} values so far exceed n, {self.length}; "
                "use a TailAverager of a larger n"
            )
        self.counted += more
        self.missing = self.missing or missing
        self.busy = True
        with nogil:
            failed = self.take(x)
        self.busy = False
        if failed:
            raise MemoryError(f"no memory to sift {self.held} values")
        return 0

    cdef int take(self, const cs_outcomes *given) noexcept nogil:
        """Keep what may belong to the tail, missing values left out; -1 if memory is short."""
        cdef const cs_kernels *kernels = <const cs_kernels *>active_kernels()
        cdef double present[VALUES_AT_ONCE + SLACK]
        cdef cs_outcomes block = given[0]
        cdef cs_bracket bracket
        cdef cs_pass kept
        cdef size_t done = 0
        while done < given.n:
            block = given[0]
            block.data = <const char *>given.data + done * (4 if given.is_f32 else 8)
            block.n = min(given.n - done, <size_t>VALUES_AT_ONCE)
            done += block.n
            block.n = kernels.drop_missing(&block, NULL, present, NULL)
            block.data = present
            block.flip = 0
            block.is_f32 = 0
            if self.held + block.n > self.room and self.sift():
                return -1
            bracket.low = -INFINITY
            bracket.high = self.threshold
            bracket.keep_below = 1
            kernels.tail_pass(&block, &bracket, self.kept + self.held, block.n + SLACK, &kept)
            self.held += kept.kept
        return 0

    cdef int sift(self) noexcept nogil:
        """Drop all but the worst `keep` values; -1 if memory is short."""
        cdef cs_tail worst
        cdef double value
        cdef size_t i, m = 0
        if self.held <= self.keep:
            return 0
        # Level 0 of as many values: its VaR is the best of them.
        if self.tail_of(cs_target_of(0.0, self.keep), &worst):
            return -1
        value = -worst.var
        for i in range(self.held):
            self.kept[m] = self.kept[i]
            m += self.kept[i] < value
        while m < self.keep:
            self.kept[m] = value
            m += 1
        self.held = m
        self.threshold = value
        return 0

    cdef int tail_of(self, cs_target target, cs_tail *result) noexcept nogil:
        """The tail of what is kept; -1 if memory is short."""
        cdef const cs_kernels *kernels = <const cs_kernels *>active_kernels()
        cdef cs_outcomes x
        cdef size_t size = scratch_size(self.held, 0)
        cdef double *scratch = <double *>malloc(size * sizeof(double))
        if scratch == NULL:
            return -1
        x.data = self.kept
        x.next = NULL
        x.n = self.held
        x.flip = 0
        x.is_f32 = 0
        kernels.tail(&x, &target, 1, scratch, size - CS_SCRATCH_MARGIN, result)
        free(scratch)
        return 0

    cdef tuple results(self):
        """(es, var) of the values so far."""
        cdef cs_target target
        cdef cs_tail result
        cdef int failed
        if self.busy:
            refuse_busy()
        if self.counted == 0 or self.missing:
            return NAN, NAN
        target = cs_target_of(self.confidence, self.counted)
        # While nothing was sifted, all that was not kept is infinite.
        while self.held < target.rank:
            self.kept[self.held] = INFINITY
            self.held += 1
        self.busy = True
        with nogil:
            failed = self.tail_of(target, &result)
        self.busy = False
        if failed:
            raise MemoryError(f"no memory for the workspace of {self.held} values")
        return result.es, result.var

    @cython.critical_section
    def es(self):
        """Return the Expected Shortfall of the values so far; NaN if there is none."""
        return self.results()[0]

    @cython.critical_section
    def var(self):
        """Return the Value at Risk of the values so far; NaN if there is none."""
        return self.results()[1]

    def merge(self, other):
        """Add the values of another averager.

        Parameters
        ----------
        other : TailAverager
            Of the same level, n, tail and nan_policy. It stays as it is.

        Returns
        -------
        TailAverager
            Itself.

        Raises
        ------
        ValueError
            If `other` is made otherwise, or there would be more than `n` values; nothing changes then.
        TypeError
            If `other` is no TailAverager.
        """
        if not isinstance(other, TailAverager):
            raise TypeError(f"other must be a TailAverager, got an object of type {type(other).__name__}")
        if self._made() != other._made():
            raise ValueError(f"other must be made like this one, {self._made()}, got {other._made()}")
        return self._add(*other._state())

    def _made(self):
        return self.level, self.n, self.tail, self.nan_policy

    @cython.critical_section
    def _state(self):
        """Return the count, whether a value was missing, and the worst values, sorted, signs as given."""
        cdef cnp.ndarray values
        if self.busy:
            refuse_busy()
        if self.sift():
            raise MemoryError(f"no memory to sift {self.held} values")
        values = doubles(self.held)
        memcpy(cnp.PyArray_DATA(values), self.kept, self.held * sizeof(double))
        values = sorted_losses(values)
        return self.counted, self.missing, (-values if self.upper else values)

    @cython.critical_section
    def _add(self, Py_ssize_t count, bint missing, cnp.ndarray values):
        """Add the state of another."""
        cdef cs_outcomes x = outcomes_of(values, self.upper)
        if self.busy:
            refuse_busy()
        self.add(count, missing, &x)
        return self

    @property
    def count(self):
        """How many values were added; those left out under "omit" do not count."""
        return self.counted

    @property
    def n(self):
        """The largest number of values."""
        return self.length

    @property
    def level(self):
        """The confidence."""
        return self.confidence

    @property
    def tail(self):
        """Where the losses are."""
        return "upper" if self.upper else "lower"

    @property
    def nan_policy(self):
        """What missing values do."""
        return self.policy

    def __copy__(self):
        return _averager_of(*self._made(), *self._state())

    def __deepcopy__(self, memo):
        return self.__copy__()

    def __reduce__(self):
        return _averager_of, (*self._made(), *self._state())

    def __eq__(self, other):
        """Whether both are made alike, counted as many values and keep the same worst ones."""
        if not isinstance(other, TailAverager):
            return NotImplemented
        if self._made() != other._made():
            return False
        count, missing, worst = self._state()
        other_count, other_missing, other_worst = other._state()
        return (count, missing) == (other_count, other_missing) and np.array_equal(worst, other_worst)

    __hash__ = None

    def __repr__(self):
        side = "" if self.tail == "lower" else f", tail={self.tail!r}"
        policy = "" if self.nan_policy == "propagate" else f", nan_policy={self.nan_policy!r}"
        return f"TailAverager(level={self.level!r}, n={self.n}{side}{policy}, count={self.count}, es={self.es()!r})"


def _averager_of(level, n, tail, nan_policy, count, missing, values):
    """Return an averager in this state."""
    return TailAverager(level, n, tail=tail, nan_policy=nan_policy)._add(count, missing, values)


cdef Py_ssize_t missing_in(const cs_outcomes *x) noexcept nogil:
    """How many values are NaN."""
    cdef size_t i, missing = 0
    cdef const double *d = <const double *>x.data
    cdef const float *f = <const float *>x.data
    if x.is_f32:
        for i in range(x.n):
            missing += f[i] != f[i]
    else:
        for i in range(x.n):
            missing += d[i] != d[i]
    return missing
