"""What importing the package does, and what it offers."""

import doctest
import inspect
import subprocess
import sys

import pytest

import cshortfall

FUNCTIONS = [name for name in cshortfall.__all__ if inspect.isroutine(getattr(cshortfall, name))]


def run(code):
    """Run a program in a fresh interpreter and return what it printed."""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.split()


def test_import_loads_no_library_but_numpy():
    code = "import numpy, sys; before = set(sys.modules); import cshortfall; print(*sorted(set(sys.modules) - before))"
    loaded = {name.partition(".")[0] for name in run(code)}
    assert "cshortfall" in loaded
    heavy = {"scipy", "pandas", "polars", "pyarrow", "narwhals", "rich", "typer", "click", "importlib_metadata"}
    assert not loaded & heavy
    standard = set(sys.stdlib_module_names)
    assert {name for name in loaded - standard if "cython" not in name} <= {"cshortfall", "numpy"}


@pytest.mark.parametrize("heavy", ["scipy", "pandas", "narwhals", "numpy.random", "numpy.ma", "fractions"])
def test_the_common_call_loads_nothing(heavy):
    code = (
        "import numpy as np, sys, cshortfall as c; x = np.arange(50.0);"
        "c.es(x); c.var(x, 0.9); c.es_var(x, [0.9, 0.99]);"
        f"c.es(x.reshape(5, 10), axis=0); c.es(x.tolist(), weights=x + 1); print({heavy!r} in sys.modules)"
    )
    already = run(f"import numpy, sys; print({heavy!r} in sys.modules)")
    assert run(code) == already


@pytest.mark.parametrize(
    "module",
    [
        "cshortfall.estimate",
        "cshortfall.rolling",
        "cshortfall._core.entry",
        "cshortfall._arguments",
        "cshortfall._frames",
    ],
)
def test_any_module_may_be_imported_first(module):
    assert run(f"import {module}; import cshortfall; print(cshortfall.es([1.0, -2.0], 0.5))") == ["2.0"]


def test_every_public_name_exists():
    assert len(set(cshortfall.__all__)) == len(cshortfall.__all__)
    for name in cshortfall.__all__:
        assert getattr(cshortfall, name) is not None
    for name in cshortfall.estimate.__all__:
        assert getattr(cshortfall, name) is getattr(cshortfall.estimate, name)


def test_the_version_is_a_version():
    assert [part.isdigit() for part in cshortfall.__version__.split(".")[:2]] == [True, True]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_documented_with_an_example_that_runs(name):
    documentation = inspect.getdoc(getattr(cshortfall, name))
    assert documentation.splitlines()[0].endswith(".")
    assert "\nExamples\n--------\n>>> " in documentation
    if "(x, level=" in str(inspect.signature(getattr(cshortfall, name))):
        for section in ("Parameters", "Returns", "Raises", "Warns", "Examples"):
            assert f"\n{section}\n{'-' * len(section)}\n" in documentation
    example = doctest.DocTestParser().get_doctest(documentation, {}, name, None, 0)
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_is_documented(name):
    function = getattr(cshortfall, name)
    documentation = inspect.getdoc(function)
    for parameter in inspect.signature(function).parameters:
        assert parameter in documentation


def test_signatures_are_those_promised():
    common = "axis=None, weights=None, tail='lower', nan_policy='propagate', method='historical'"
    expected = {
        "es": f"(x, level=0.975, *, {common}, out=None)",
        "var": f"(x, level=0.975, *, {common}, quantile_method='inverted_cdf', out=None)",
        "es_var": f"(x, level=0.975, *, {common}, out=None)",
        "tail_weights": "(x, level=0.975, *, weights=None, tail='lower', nan_policy='propagate')",
        "tail_risk": (
            f"(x, level=0.975, *, {common}, interval='studentized', confidence_level=0.95, n_resamples=2000, "
            "block_length=None, rng=None)"
        ),
        "es_of_portfolios": "(returns, weights, level=0.975, *, tail='lower')",
        "es_gradient": "(returns, weights, level=0.975, *, tail='lower')",
    }
    for name, signature in expected.items():
        found = inspect.signature(getattr(cshortfall, name))
        plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in found.parameters.values()]
        assert str(inspect.Signature(plain)) == signature
