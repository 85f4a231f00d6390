"""What the build makes: symbols, instruction sets, the interface for C and Cython, the package's folders."""

import ctypes
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import run_python, start_python

import cshortfall
import cshortfall._core
from cshortfall._core import openmp, tail
from cshortfall._core.window import TailWindow

NM = shutil.which("nm")
SUFFIXES = (".so", ".pyd")
FILES = sorted(path.name for path in Path(tail.__file__).parent.iterdir() if path.suffix in SUFFIXES)
EXTENSIONS = [importlib.import_module(f"cshortfall._core.{name.partition('.')[0]}") for name in FILES]
HEADER = Path(cshortfall.get_include(), "cshortfall.h")
LIBRARY = Path(cshortfall.get_library_dir(), "libcshortfall.a")

needs_nm = pytest.mark.skipif(NM is None or sys.platform != "linux", reason="needs nm and ELF files")


def symbols_by_member(library):
    """Return {object file: [(letter, symbol)]} of the global and undefined symbols of a static library."""
    listing = subprocess.run([NM, "-g", str(library)], capture_output=True, text=True, check=True).stdout
    members = {}
    for line in listing.splitlines():
        if line.endswith(":"):
            members[line[:-1]] = symbols = []
        elif line:
            symbols.append(tuple(line.split()[-2:]))
    return members


def defined(symbols):
    """Return the names that an object file defines."""
    return {name for letter, name in symbols if letter != "U"}


@needs_nm
def test_the_library_shows_only_its_own_prefix():
    for symbols in symbols_by_member(LIBRARY).values():
        assert all(name.startswith("cs_") for name in defined(symbols))


@needs_nm
def test_a_file_of_one_instruction_set_shows_only_names_of_its_own():
    members = symbols_by_member(LIBRARY)
    kernels = {name: symbols for name, symbols in members.items() if name.startswith("kernels_")}
    assert "kernels_baseline.o" in kernels
    for name, symbols in kernels.items():
        table = f"cs_{Path(name).stem}"
        instruction_set = table.removeprefix("cs_kernels")
        assert table in defined(symbols)
        assert all(symbol.endswith(instruction_set) for symbol in defined(symbols))


@needs_nm
def test_the_library_needs_neither_memory_nor_threads_nor_python():
    forbidden = re.compile(
        r"[mc]alloc|realloc|free|\w*printf\w*|abort|exit|__errno_location|(pthread|omp|GOMP|_?Py)\w*"
    )
    undefined = {name for symbols in symbols_by_member(LIBRARY).values() for letter, name in symbols if letter == "U"}
    assert not [name for name in undefined if forbidden.fullmatch(name)]


@needs_nm
@pytest.mark.parametrize("module", EXTENSIONS, ids=lambda module: module.__name__)
def test_an_extension_shows_only_its_initialiser(module):
    listing = subprocess.run([NM, "-D", "--defined-only", module.__file__], capture_output=True, text=True, check=True)
    names = [line.split()[-1] for line in listing.stdout.splitlines()]
    assert names == [f"PyInit_{module.__name__.rpartition('.')[2]}"]


@needs_nm
def test_only_one_extension_holds_the_dispatch_table():
    holders = []
    for module in EXTENSIONS:
        listing = subprocess.run([NM, module.__file__], capture_output=True, text=True, check=True).stdout
        if listing == "":
            pytest.skip("the extensions are stripped")
        if re.search(r" cs_active$", listing, re.MULTILINE):
            holders.append(module)
    assert holders == [tail]


# Other packages compiled against these literal strings, so an entry is never changed or removed.
EXPORTED = {
    "api_version": "int (void)",
    "status_message": "char const *(int)",
    "workspace_size": "size_t (size_t, size_t)",
    "weighted_workspace_size": "size_t (size_t, size_t)",
    "es_var": "int (double const *, size_t, double, int, void *, size_t, double *, double *)",
    "es_var_f32": "int (float const *, size_t, double, int, void *, size_t, double *, double *)",
    "es_var_levels": "int (double const *, size_t, double const *, size_t, int, void *, size_t, double *, double *)",
    "es_var_levels_f32": "int (float const *, size_t, double const *, size_t, int, void *, size_t, double *, double *)",
    "es_var_weighted": (
        "int (double const *, double const *, size_t, double const *, size_t, int, void *, size_t, double *, double *)"
    ),
    "es_var_weighted_f32": (
        "int (float const *, double const *, size_t, double const *, size_t, int, void *, size_t, double *, double *)"
    ),
}


@pytest.mark.parametrize("name", EXPORTED)
def test_the_signature_of_an_exported_function_never_changes(name):
    signature_of = ctypes.pythonapi.PyCapsule_GetName
    signature_of.restype, signature_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    assert signature_of(tail.__pyx_capi__[name]).decode() == EXPORTED[name]


@pytest.mark.skipif(sys.maxsize < 2**32 or sys.platform == "win32", reason="sizes differ there")
def test_members_of_a_window_are_only_added():
    """Other packages compiled against this layout: it may grow, at the end, and so may the table of methods."""
    assert TailWindow.__basicsize__ >= object.__basicsize__ + 7 * 8
    declared = Path(cshortfall._core.__file__).with_name("window.pxd").read_text()
    members = re.findall(r"^    cdef (.*)$", declared, re.MULTILINE)
    assert members[: len(WINDOW_MEMBERS)] == WINDOW_MEMBERS


# As in C, the order counts.
WINDOW_MEMBERS = [
    *("void *memory", "void *state", "Py_ssize_t length", "Py_ssize_t least", "double confidence", "bint upper"),
    "bint busy",
    "double push_value(self, double value) noexcept nogil",
    "double es_value(self) noexcept nogil",
    "double var_value(self) noexcept nogil",
]


def test_the_header_has_the_version_of_the_package():
    assert f'#define CSHORTFALL_VERSION "{cshortfall.__version__}"' in HEADER.read_text()


def test_the_declarations_for_cython_are_shipped():
    folder = Path(cshortfall._core.__file__).parent
    for name in "__init__.py", "tail.pxd", "openmp.pxd", "window.pxd":
        assert (folder / name).is_file()
    assert (folder.parent / "py.typed").is_file()


@pytest.mark.parametrize("isa", tail.available_isas())
def test_the_environment_chooses_the_instruction_set(isa):
    code = "import cshortfall; print(cshortfall.show_config('dicts')['isa'])"
    assert run_python(code, CSHORTFALL_ISA=isa).strip() == isa


def test_without_a_choice_the_best_instruction_set_is_used():
    code = "from cshortfall._core import tail; print(tail.isa())"
    assert run_python(code, CSHORTFALL_ISA="").strip() == tail.available_isas()[0]


@pytest.mark.parametrize("isa", ["sse9", "AVX2", "auto"])
def test_an_unknown_instruction_set_is_an_import_error_that_names_the_available(isa):
    process = start_python("import cshortfall", CSHORTFALL_ISA=isa)
    assert process.returncode != 0
    last_line = process.stderr.splitlines()[-1]
    assert last_line.startswith("ImportError")
    assert isa in last_line
    assert all(name in last_line for name in tail.available_isas())


def test_the_configuration_as_a_dictionary():
    config = cshortfall.show_config(mode="dicts")
    assert config == {
        "version": cshortfall.__version__,
        "isa": tail.isa(),
        "isas_available": list(tail.available_isas()),
        "openmp": openmp.has_openmp(),
        "threads": cshortfall.get_num_threads(),
        "include": cshortfall.get_include(),
        "library_dir": cshortfall.get_library_dir(),
    }


def test_the_configuration_in_print(capsys):
    assert cshortfall.show_config() is None
    printed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert printed["version:"] == cshortfall.__version__
    assert printed["isa:"] == tail.isa()
    assert printed["isas_available:"].split(", ") == list(tail.available_isas())


def test_an_unknown_mode_of_the_configuration_is_a_value_error():
    with pytest.raises(ValueError, match=r'mode must be "stdout" or "dicts", got \'json\''):
        cshortfall.show_config(mode="json")


def test_the_import_is_light():
    code = "import sys, cshortfall; print(*sys.modules)"
    loaded = {name.partition(".")[0] for name in run_python(code).split()}
    assert not loaded & {"scipy", "pandas", "polars", "pyarrow", "narwhals", "rich", "typer"}


def test_the_import_leaves_denormals_alone():
    code = "import numpy as np, cshortfall; print((np.full(64, 1e-310) / 2).min() > 0)"
    assert run_python(code).strip() == "True"
