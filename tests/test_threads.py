"""The number of threads, and what threads must not do: hang after a fork, hold the GIL, change a result."""

import math
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from processes import run_python, start_python
from threadpoolctl import threadpool_limits

import cshortfall
from cshortfall._core import openmp
from cshortfall._cpus import available_cpus, cgroup_cpu_quota

LARGE = sys.maxsize

needs_openmp = pytest.mark.skipif(not openmp.has_openmp(), reason="built without OpenMP")


@pytest.fixture
def set_num_threads():
    """Give the function, and take the cap back after the test."""
    yield cshortfall.set_num_threads
    cshortfall.set_num_threads(None)


@pytest.fixture(scope="module")
def outcomes():
    """Return enough outcomes for four threads."""
    return np.random.default_rng(7).standard_normal(2_000_000)


@needs_openmp
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_the_cap_is_what_a_large_call_gets(n, set_num_threads):
    set_num_threads(n)
    assert cshortfall.get_num_threads() == n
    assert openmp.effective_threads(LARGE) == n


@needs_openmp
def test_none_takes_the_cap_back(set_num_threads):
    before = cshortfall.get_num_threads()
    set_num_threads(before + 1)
    set_num_threads(None)
    assert cshortfall.get_num_threads() == before


@pytest.mark.parametrize("n", [0, -1, 2**31, -(2**70), 2**70])
def test_a_cap_outside_the_counting_numbers_is_a_value_error(n):
    before = cshortfall.get_num_threads()
    with pytest.raises(ValueError, match=rf"^n must be at least 1 .* got {n}$"):
        cshortfall.set_num_threads(n)
    assert cshortfall.get_num_threads() == before


@pytest.mark.parametrize("n", [1.0, "2", [1]])
def test_a_cap_that_is_no_integer_is_a_type_error(n):
    with pytest.raises(TypeError, match=r"^n must be an integer"):
        cshortfall.set_num_threads(n)


def test_small_calls_are_serial(set_num_threads):
    set_num_threads(4)
    for work in (0, 1, openmp.VALUES_PER_THREAD, 2 * openmp.VALUES_PER_THREAD - 1):
        assert openmp.effective_threads(work) == 1
        assert openmp.effective_threads(work, 8) == 1


@needs_openmp
def test_threads_grow_with_the_work_up_to_the_cap(set_num_threads):
    set_num_threads(4)
    threads = [openmp.effective_threads(k * openmp.VALUES_PER_THREAD) for k in range(8)]
    assert threads == [1, 1, 2, 3, 4, 4, 4, 4]


@needs_openmp
def test_an_argument_stands_above_the_cap(set_num_threads):
    set_num_threads(2)
    assert openmp.effective_threads(LARGE, 5) == 5
    assert openmp.effective_threads(LARGE, 1) == 1


PRINT_THREADS = "import cshortfall; print(cshortfall.get_num_threads())"


@needs_openmp
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CSHORTFALL_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "1", "CSHORTFALL_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "5", "CSHORTFALL_NUM_THREADS": "3"}, 3),
        ({"CSHORTFALL_NUM_THREADS": ""}, available_cpus()),
        ({}, available_cpus()),
    ],
)
def test_the_environment_sets_the_number(environment, expected):
    assert int(run_python(PRINT_THREADS, **environment)) == expected


@needs_openmp
def test_the_cap_stands_above_the_environment():
    code = "import cshortfall; cshortfall.set_num_threads(2); print(cshortfall.get_num_threads())"
    assert int(run_python(code, CSHORTFALL_NUM_THREADS="5", OMP_NUM_THREADS="7")) == 2


@pytest.mark.parametrize("text", ["0", "-2", "many", "1.5", "99999999999"])
def test_a_bad_environment_is_an_import_error_that_names_it(text):
    process = start_python("import cshortfall", CSHORTFALL_NUM_THREADS=text)
    assert process.returncode != 0
    last_line = process.stderr.splitlines()[-1]
    assert last_line.startswith("ImportError")
    assert "CSHORTFALL_NUM_THREADS" in last_line
    assert repr(text) in last_line


@needs_openmp
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no processor affinity")
def test_affinity_limits_the_number():
    code = f"import os; os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}}); {PRINT_THREADS}"
    assert int(run_python(code)) == 1


@needs_openmp
def test_threadpoolctl_limits_the_number_and_the_cap():
    code = """
import cshortfall
from threadpoolctl import threadpool_limits
with threadpool_limits(2):
    print(cshortfall.get_num_threads())
    cshortfall.set_num_threads(6)
    print(cshortfall.get_num_threads())
print(cshortfall.get_num_threads())
"""
    assert run_python(code, OMP_NUM_THREADS="4").split() == ["2", "2", "6"]


def write_groups(root, membership, files):
    """Make a folder look like the proc and sys of a machine."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(membership)
    for name, text in files.items():
        (root / "sys/fs/cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "sys/fs/cgroup" / name).write_text(text)


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n"}, 2.0),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "50000 100000\n"}, 0.5),
        ("0::/../elsewhere\n", {"cpu.max": "300000 100000\n"}, 3.0),
        ("4:cpu,cpuacct:/docker/7\n", {"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ("4:memory:/\n0::/\n", {}, math.inf),
        ("nonsense\n", {"cpu.max": "nonsense\n"}, math.inf),
    ],
)
def test_the_quota_of_control_groups(membership, files, expected, tmp_path):
    write_groups(tmp_path, membership, files)
    assert cgroup_cpu_quota(str(tmp_path)) == expected


def test_no_control_groups_mean_no_quota(tmp_path):
    assert cgroup_cpu_quota(str(tmp_path)) == math.inf


@needs_openmp
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="the system does not list a process's threads")
def test_a_large_call_uses_threads_and_a_small_one_does_not():
    code = """
import os
import numpy as np
import cshortfall
count = lambda: len(os.listdir("/proc/self/task"))
x = np.random.default_rng(0).standard_normal((1000, 2000))
before = count()
cshortfall.set_num_threads(3)
cshortfall.es(x[:2], axis=1)
small = count()
cshortfall.es(x, axis=1)
print(before, small, count())
"""
    before, small, large = map(int, run_python(code, OPENBLAS_NUM_THREADS="1").split())
    assert (small, large) == (before, before + 2)


FORK = """
import multiprocessing
import numpy as np
import cshortfall

def bits_of_calls(x):
    return cshortfall.es(x).hex(), cshortfall.es(x.reshape(1000, -1), axis=1).tobytes()

def child(x, queue):
    queue.put((bits_of_calls(x), cshortfall.get_num_threads()))

x = np.random.default_rng(0).standard_normal(2_000_000)
cshortfall.set_num_threads(2)
if {parallel_before}:
    bits_of_calls(x)
context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=child, args=(x, queue), daemon=True)
process.start()
result, threads = queue.get(timeout=30)
process.join(30)
assert process.exitcode == 0
assert threads == 1
assert result == bits_of_calls(x)
assert cshortfall.get_num_threads() == {parent_threads}
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.parametrize("parallel_before", [True, False])
def test_a_forked_child_neither_hangs_nor_differs(parallel_before):
    parent_threads = 2 if openmp.has_openmp() else 1
    run_python(FORK.format(parallel_before=parallel_before, parent_threads=parent_threads), timeout=90)


def calls_that_let_others_run(call, limit=100):
    """Return whether another Python thread advanced during one of the calls.

    The switch interval is so long that the other thread advances only while this one has released the GIL by itself.
    The other sleeps between its steps, or this one might wait for the GIL as long.
    """
    ticks = 0
    stop = False
    ticking = threading.Event()

    def tick():
        nonlocal ticks
        while not stop:
            ticks += 1
            ticking.set()
            time.sleep(1e-4)

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=tick)
    sys.setswitchinterval(5)
    try:
        thread.start()
        ticking.wait()
        for _ in range(limit):
            before = ticks
            call()
            if ticks > before:
                return True
        return False
    finally:
        stop = True
        thread.join()
        sys.setswitchinterval(interval)


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is no GIL")
def test_the_overlap_check_sees_a_held_gil():
    x = list(range(200_000))
    assert not calls_that_let_others_run(lambda: sorted(x), limit=5)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: cshortfall.es(x),
        lambda x: cshortfall.es_var(x, [0.9, 0.99]),
        lambda x: cshortfall.es(x.reshape(2000, -1), axis=1),
        lambda x: cshortfall.es(x.reshape(-1, 2000), axis=0),
        lambda x: cshortfall.es(x, weights=np.ones_like(x)),
        lambda x: cshortfall.es_of_portfolios(x.reshape(-1, 10), np.ones((10, 20))),
    ],
    ids=["one row", "levels", "rows", "columns", "weights", "portfolios"],
)
def test_the_gil_is_released(call, outcomes, set_num_threads):
    set_num_threads(1)
    assert calls_that_let_others_run(lambda: call(outcomes))


def test_concurrent_calls_give_the_bits_of_one(outcomes):
    matrix = outcomes.reshape(1000, -1)
    expected_one, expected_rows = cshortfall.es(outcomes), cshortfall.es(matrix, axis=1)
    with ThreadPoolExecutor(4) as pool:
        ones = [pool.submit(cshortfall.es, outcomes) for _ in range(8)]
        rows = [pool.submit(cshortfall.es, matrix, axis=1) for _ in range(8)]
    assert {future.result() for future in ones} == {expected_one}
    for future in rows:
        np.testing.assert_array_equal(future.result(), expected_rows)


def test_threadpoolctl_does_not_change_the_result(outcomes, set_num_threads):
    matrix = outcomes.reshape(1000, -1)
    expected = cshortfall.es(matrix, axis=1)
    set_num_threads(3)
    for limit in (1, 2):
        with threadpool_limits(limit):
            np.testing.assert_array_equal(cshortfall.es(matrix, axis=1), expected)
