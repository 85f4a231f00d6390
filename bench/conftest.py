"""One thread for every contender, the paired-measurement fixture, and what the machine is."""

import os
import sys

import pytest

# Read when the libraries load, so it must come before anything imports them. OMP_NUM_THREADS is left alone:
# cshortfall respects it, and one case uses two threads.
ONE_THREAD = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
if any(name in sys.modules for name in ("numpy", "polars", "numba")):
    unset = [name for name in ONE_THREAD if os.environ.get(name) != "1"]
    if unset:
        raise pytest.UsageError(
            "numpy, polars or numba was imported before bench/ could set: " + "=1, ".join(unset) + "=1"
        )
for name in ONE_THREAD:
    os.environ[name] = "1"

LOAD_AT_START = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "polars",
    "bottleneck",
    "datasketches",
    "ddsketch",
    "empyrical-reloaded",
    "skfolio",
    "riskfolio-lib",
    "cvxpy",
    "clarabel",
    "fortitudo.tech",
)


def pytest_addoption(parser):
    parser.addoption(
        "--bench-seconds",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="time spent on each contender; 0 makes a smoke run of three rounds (default: 1)",
    )
    parser.addoption("--slow-peers", action="store_true", help="also time contenders that take minutes, once")
    parser.addoption("--large", action="store_true", help="also optimise over 4 GB of scenarios")


def pytest_benchmark_update_machine_info(config, machine_info):
    """Add what a ratio depends on: instruction set, versions, load."""
    from importlib import metadata

    import cshortfall

    versions = {"cshortfall": cshortfall.__version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    machine_info["versions"] = versions
    machine_info["isa"] = cshortfall.show_config(mode="dicts")["isa"]
    machine_info["cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine_info["load_average"] = LOAD_AT_START
    machine_info["bench_seconds"] = config.getoption("--bench-seconds")


@pytest.fixture(autouse=True)
def one_thread():
    """Every case runs cshortfall on one thread unless it says otherwise."""
    import cshortfall

    before = cshortfall.get_num_threads()
    cshortfall.set_num_threads(1)
    yield
    cshortfall.set_num_threads(before)


@pytest.fixture
def race(benchmark, request):
    from race import Race

    return Race(benchmark, request.config.getoption("--bench-seconds"))
