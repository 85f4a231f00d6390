"""The examples in extending/, built against the installed package as its users would, and run."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cshortfall
from cshortfall._core.window import TailWindow

EXAMPLES = Path(__file__).parent / "extending"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
CXX_COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")

pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="there is no C compiler"),
    pytest.mark.skipif(sys.platform == "win32", reason="the examples are built by a Unix compiler"),
]


def run(*command, cwd, text=None):
    """Return what a command prints; it must end well."""
    process = subprocess.run(command, cwd=cwd, input=text, capture_output=True, text=True, check=False, timeout=300)
    assert process.returncode == 0, f"{process.stdout}\n{process.stderr}"
    return process.stdout


@pytest.fixture(scope="module")
def outcomes():
    """Return outcomes whose sums are not exact in double precision."""
    return np.random.default_rng(11).standard_t(3, 5000)


@pytest.fixture(scope="module")
def extensions(outcomes, tmp_path_factory):
    """Return a folder with the built Cython modules and the outcomes."""
    folder = tmp_path_factory.mktemp("extending")
    for name in "setup.py", "blocks.pyx", "streams.pyx":
        shutil.copy(EXAMPLES / name, folder)
    np.save(folder / "outcomes.npy", outcomes)
    run(sys.executable, "setup.py", "build_ext", "--inplace", cwd=folder)
    return folder


def test_a_cython_module_cimports_the_kernels(outcomes, extensions):
    code = """
import numpy as np
import blocks
out = np.empty(20)
blocks.es_of_blocks(np.load("outcomes.npy"), 250, 0.975, out)
print(*map(float.hex, out.tolist()))
try:
    blocks.es_of_blocks(np.full(250, np.nan), 250, 0.975, out[:1])
except ValueError as error:
    print(error)
"""
    numbers, message = run(sys.executable, "-c", code, cwd=extensions).splitlines()
    expected = cshortfall.es(outcomes.reshape(20, 250), 0.975, axis=1)
    assert [float.fromhex(number) for number in numbers.split()] == expected.tolist()
    assert message == "an outcome is NaN"


def test_a_cython_module_cimports_windows(outcomes, extensions):
    code = """
import numpy as np
import streams
values = np.load("outcomes.npy").reshape(-1, 5)
out = np.empty_like(values)
streams.es_of_streams(values, 100, 0.9, out)
print(*map(float.hex, out.ravel().tolist()))
"""
    result = [float.fromhex(number) for number in run(sys.executable, "-c", code, cwd=extensions).split()]
    values = outcomes.reshape(-1, 5)
    expected = [cshortfall.es(values[stop - 100 : stop], 0.9, axis=0) for stop in range(100, 1001)]
    result = np.reshape(result, (1000, 5))
    assert np.isnan(result[:99]).all()
    np.testing.assert_array_equal(result[99:], expected)


def test_a_c_program_links_the_library(outcomes, tmp_path):
    run(
        COMPILER,
        *("-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"),
        str(EXAMPLES / "tail.c"),
        *("-I", cshortfall.get_include(), "-L", cshortfall.get_library_dir(), "-lcshortfall", "-lm", "-o", "tail"),
        cwd=tmp_path,
    )
    levels = [0.99, 0.5, 0.975]
    lines = run("./tail", *map(str, levels), cwd=tmp_path, text=" ".join(map(repr, outcomes.tolist()))).splitlines()
    result = np.array([[float.fromhex(number) for number in line.split()] for line in lines])
    es, var = cshortfall.es_var(outcomes, levels)
    np.testing.assert_array_equal(result[:, 0], es)
    np.testing.assert_array_equal(result[:, 1], var)


def test_a_c_program_pushes_into_a_window(outcomes, tmp_path):
    run(
        COMPILER,
        *("-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"),
        str(EXAMPLES / "window.c"),
        *("-I", cshortfall.get_include(), "-L", cshortfall.get_library_dir(), "-lcshortfall", "-lm", "-o", "window"),
        cwd=tmp_path,
    )
    text = " ".join(map(repr, outcomes.tolist()))
    result = [float.fromhex(line) for line in run("./window", "250", "0.975", cwd=tmp_path, text=text).splitlines()]
    assert result == TailWindow(250).push_many(outcomes)[249:].tolist()


def test_a_c_program_gets_the_status(tmp_path):
    flags = ("-I", cshortfall.get_include(), "-L", cshortfall.get_library_dir(), "-lcshortfall", "-lm", "-o", "tail")
    run(COMPILER, str(EXAMPLES / "tail.c"), *flags, cwd=tmp_path)
    process = subprocess.run(
        ["./tail", "0.975"], cwd=tmp_path, input="1 nan 2", capture_output=True, text=True, check=False
    )
    assert process.returncode == 1
    assert process.stderr == "an outcome is NaN\n"


@pytest.mark.skipif(CXX_COMPILER is None, reason="there is no C++ compiler")
def test_a_cpp_program_links_the_library(tmp_path):
    (tmp_path / "version.cpp").write_text(
        "#include <cshortfall.h>\nint main() { return cs_api_version() != CSHORTFALL_API_VERSION; }\n"
    )
    flags = ("-I", cshortfall.get_include(), "-L", cshortfall.get_library_dir(), "-lcshortfall", "-lm", "-o", "version")
    run(CXX_COMPILER, "version.cpp", *flags, cwd=tmp_path)
    run("./version", cwd=tmp_path)
