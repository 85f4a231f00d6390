"""How many threads a call gets: the only module that names OpenMP.

The number never changes a result, only the time it takes. Built without OpenMP the same functions answer 1.

`set_num_threads` stores one atomic integer and the fork handler another; both may be touched from any thread.
Everything else here is constant after import.
"""

import operator
import os

from cpython.pyport cimport PY_SSIZE_T_MAX

from cshortfall._cpus import available_cpus

cdef extern from *:
    """
    #if defined(_MSC_VER)
    #include <intrin.h>
    static int load_atomic(volatile long *p) { return (int)_InterlockedOr(p, 0); }
    static void store_atomic(volatile long *p, int value) { _InterlockedExchange(p, value); }
    #else
    static int load_atomic(volatile long *p) { return (int)__atomic_load_n(p, __ATOMIC_RELAXED); }
    static void store_atomic(volatile long *p, int value) { __atomic_store_n(p, value, __ATOMIC_RELAXED); }
    #endif

    /* 0: no cap. */
    static volatile long thread_cap;

    /* The pool of GNU's OpenMP is gone in a forked child, which then waits for it for ever. Any library may have
     * started that pool, so a child never runs a parallel region, whatever this library did in its parent. */
    static volatile long forked;

    #if defined(_OPENMP)
    #include <omp.h>
    enum { HAS_OPENMP = 1 };
    #else
    enum { HAS_OPENMP = 0 };
    static int omp_get_max_threads(void) { return 1; }
    #endif

    #if defined(_OPENMP) && !defined(_WIN32)
    #include <pthread.h>
    static void mark_forked(void) { store_atomic(&forked, 1); }
    static int watch_forks(void) { return pthread_atfork(NULL, NULL, mark_forked); }
    #else
    static int watch_forks(void) { return 0; }
    #endif
    """
    const int HAS_OPENMP
    long thread_cap
    long forked
    int load_atomic(long *p) noexcept nogil
    void store_atomic(long *p, int value) noexcept nogil
    int omp_get_max_threads() noexcept nogil
    int watch_forks() noexcept nogil

# Values of short rows: 0.5 to 1 ns each with AVX-512. Two threads pay from some 20,000 on while nothing else
# runs; on a busy machine a parallel region waits for its slowest thread, so only a call of about 0.1 ms is divided.
cdef enum:
    VALUES_EACH = 65536

cdef enum:
    MOST_THREADS = 0x7fffffff

VALUES_PER_THREAD = VALUES_EACH

# omp_get_max_threads() below this means that someone, threadpoolctl for one, lowered it since.
cdef int limit_at_import = omp_get_max_threads()

# OMP_NUM_THREADS is the user's word and may exceed the processors; OpenMP's own default knows no container quota.
cdef int default_cap = MOST_THREADS if os.environ.get("OMP_NUM_THREADS") else available_cpus()


cdef int threads_for(Py_ssize_t work, int requested) noexcept nogil:
    cdef int limit, threads
    cdef Py_ssize_t useful = work // VALUES_EACH
    if not HAS_OPENMP or useful < 2 or load_atomic(&forked):
        return 1
    limit = omp_get_max_threads()
    threads = requested if requested > 0 else load_atomic(&thread_cap)
    if threads == 0:
        threads = min(limit, default_cap)
    elif limit < limit_at_import:
        threads = min(threads, limit)
    return <int>min(<Py_ssize_t>threads, useful)


def has_openmp():
    """Return whether the compiled modules were built with OpenMP."""
    return bool(HAS_OPENMP)


def effective_threads(Py_ssize_t work, int requested=0):
    """Return the number of threads for a call that looks at so many values.

    Parameters
    ----------
    work : int
        Number of values the call reads, as if in short rows.
    requested : int
        Wanted number, before any other; 0 for none.

    Returns
    -------
    int
        At least 1. The first of `requested`, `set_num_threads`, ``CSHORTFALL_NUM_THREADS``, ``OMP_NUM_THREADS`` and
        the processors of this process that says a number, lowered by what threadpoolctl allows and to one for every
        `VALUES_PER_THREAD` values. Always 1 in a forked child and without OpenMP.
    """
    return threads_for(work, requested)


def set_num_threads(n):
    """Set the largest number of threads of any later call in this process.

    Results do not depend on it.

    Parameters
    ----------
    n : int or None
        At least 1. It stands above ``CSHORTFALL_NUM_THREADS`` and ``OMP_NUM_THREADS``, and may exceed the number of
        processors. None takes it, and ``CSHORTFALL_NUM_THREADS``, back.

    Raises
    ------
    ValueError
        If `n` is below 1.
    TypeError
        If `n` is no integer.

    Notes
    -----
    Small inputs run on fewer threads. A forked child runs on one whatever is set, because GNU's OpenMP would hang
    there; start workers by "spawn" or "forkserver" when they need threads.

    Examples
    --------
    >>> import cshortfall
    >>> cshortfall.set_num_threads(1)
    >>> cshortfall.get_num_threads()
    1
    >>> cshortfall.set_num_threads(None)
    """
    store_atomic(&thread_cap, 0 if n is None else _thread_count(n, "n"))


def get_num_threads():
    """Return the number of threads that a call on large data would use now, from this thread.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> import cshortfall
    >>> cshortfall.get_num_threads() >= 1
    True
    """
    return threads_for(PY_SSIZE_T_MAX, 0)


def _thread_count(value, name):
    """Return `value` as a number of threads, or raise an error that names it."""
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer of at least 1, got {value!r}") from None
    if not 1 <= count <= MOST_THREADS:
        raise ValueError(f"{name} must be at least 1 (and fit a C int), got {count}")
    return count


def _read_environment():
    """Take the cap from CSHORTFALL_NUM_THREADS."""
    text = os.environ.get("CSHORTFALL_NUM_THREADS")
    if text:
        try:
            set_num_threads(int(text))
        except ValueError:
            raise ImportError(f"CSHORTFALL_NUM_THREADS must be an integer of at least 1, got {text!r}") from None


_read_environment()
if watch_forks() != 0:
    raise MemoryError("pthread_atfork has no memory left for its handler")
