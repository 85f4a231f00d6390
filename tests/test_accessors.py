"""The accessors of pandas and polars: thin, registered whatever is imported first, and never importing a library."""

import doctest
import inspect
import sys

import numpy as np
import pytest
from processes import run_python

import cshortfall
from cshortfall import rolling

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pandas_accessors = pytest.importorskip("cshortfall.pandas")
polars_accessors = pytest.importorskip("cshortfall.polars")

NUMBERS = np.random.default_rng(5).standard_normal((60, 2))
NUMBERS[7, 0] = np.nan
FRAME = pd.DataFrame(NUMBERS, index=pd.date_range("2024-01-01", periods=60), columns=["A", "B"])
LEVELS = [0.9, 0.5]


def assert_equal(found, wanted):
    """Assert that two floats, series, frames or tuples of them are the same."""
    if isinstance(wanted, tuple):
        assert type(found) is type(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_equal(one, other)
    elif isinstance(wanted, pd.DataFrame):
        pd.testing.assert_frame_equal(found, wanted, check_exact=True)
    elif isinstance(wanted, pd.Series):
        pd.testing.assert_series_equal(found, wanted, check_exact=True)
    else:
        assert found == wanted


@pytest.mark.parametrize("data", [FRAME, FRAME["B"]], ids=["frame", "series"])
@pytest.mark.parametrize("level", [0.9, LEVELS])
def test_methods_of_pandas_are_the_functions(data, level):
    accessor = data.shortfall
    for name in ("es", "var", "es_var"):
        function = getattr(cshortfall, name)
        assert_equal(getattr(accessor, name)(level), function(data, level))
        options = {"tail": "upper", "nan_policy": "omit", "method": "normal"}
        assert_equal(getattr(accessor, name)(level, **options), function(data, level, **options))
    risk = accessor.tail_risk(level, nan_policy="omit", rng=3)
    assert_equal(risk.es_interval, cshortfall.tail_risk(data, level, nan_policy="omit", rng=3).es_interval)
    options = {"min_periods": 2, "center": True, "closed": "both", "step": 3}
    for name in ("es", "var", "es_var"):
        windows = getattr(rolling, f"rolling_{name}")
        assert_equal(getattr(accessor.rolling(9), name)(level), windows(data, 9, level))
        found = getattr(accessor.rolling("9D", **options), name)(level, tail="upper")
        assert_equal(found, windows(data, "9D", level, tail="upper", **options))
        so_far = getattr(rolling, f"expanding_{name}")
        assert_equal(getattr(accessor.expanding(), name)(level), so_far(data, level))
        found = getattr(accessor.expanding(min_periods=9), name)(level, tail="upper")
        assert_equal(found, so_far(data, level, min_periods=9, tail="upper"))
    assert_equal(accessor.ewm(span=9).es(level), rolling.ewm_es(data, level, span=9))
    options = {"decay": 0.9, "min_periods": 9, "ignore_na": True}
    assert_equal(accessor.ewm(**options).es(level, tail="upper"), rolling.ewm_es(data, level, tail="upper", **options))


def test_a_column_of_times_is_named_to_the_accessor():
    frame = FRAME.reset_index(names="day")
    assert_equal(frame.shortfall.rolling("9D", on="day").es(), rolling.rolling_es(frame, "9D", on="day"))


def parameters(function):
    """Return names and defaults of parameters, without those that an accessor brings itself."""
    found = inspect.signature(function).parameters.values()
    given = {"self", "x", "axis", "out"}
    return {one.name: one.default for one in found if one.name not in given and one.kind is not one.VAR_KEYWORD}


@pytest.mark.parametrize(
    ("methods", "function"),
    [
        ([pandas_accessors.ShortfallAccessor.rolling, pandas_accessors.RollingShortfall.es], rolling.rolling_es),
        ([pandas_accessors.ShortfallAccessor.rolling, pandas_accessors.RollingShortfall.var], rolling.rolling_var),
        (
            [pandas_accessors.ShortfallAccessor.rolling, pandas_accessors.RollingShortfall.es_var],
            rolling.rolling_es_var,
        ),
        ([pandas_accessors.ShortfallAccessor.expanding, pandas_accessors.ExpandingShortfall.es], rolling.expanding_es),
        (
            [pandas_accessors.ShortfallAccessor.expanding, pandas_accessors.ExpandingShortfall.var],
            rolling.expanding_var,
        ),
        ([pandas_accessors.ShortfallAccessor.ewm, pandas_accessors.EwmShortfall.es], rolling.ewm_es),
        ([polars_accessors.ShortfallExpr.es], cshortfall.es),
        ([polars_accessors.ShortfallExpr.var], cshortfall.var),
        ([polars_accessors.ShortfallExpr.rolling_es], rolling.rolling_es),
        ([polars_accessors.ShortfallExpr.rolling_var], rolling.rolling_var),
        ([polars_accessors.ShortfallExpr.expanding_es], rolling.expanding_es),
        ([polars_accessors.ShortfallExpr.expanding_var], rolling.expanding_var),
        ([polars_accessors.ShortfallExpr.ewm_es], rolling.ewm_es),
    ],
)
def test_methods_take_what_the_functions_take(methods, function):
    found = {}
    for method in methods:
        found.update(parameters(method))
    assert found == parameters(function)


@pytest.mark.parametrize("module", [rolling, pandas_accessors, polars_accessors], ids=lambda module: module.__name__)
def test_every_method_is_documented_with_an_example_that_runs(module):
    examples = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    documented = {test.name for test in examples}
    for name in module.__all__:
        for part, member in inspect.getmembers(getattr(module, name), inspect.isfunction):
            if not part.startswith("_"):
                assert f"{module.__name__}.{member.__qualname__}" in documented
    for test in examples:
        assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


WITHOUT = "import sys, cshortfall, cshortfall.rolling as r; r.rolling_es([1.0, 2.0], 2); "
ORDERS = {
    "nothing": (
        WITHOUT + "print('pandas' in sys.modules, 'polars' in sys.modules, 'narwhals' in sys.modules)",
        "False",
    ),
    "pandas before": (
        "import pandas as pd, cshortfall; print(pd.Series([1.0, 2.0]).shortfall.es(0.5) == -1.0)",
        "True",
    ),
    "pandas after": (
        "import cshortfall, pandas as pd; before = hasattr(pd.Series, 'shortfall'); import cshortfall.pandas; "
        "print(not before and pd.DataFrame({'A': [1.0, 2.0]}).shortfall.es(0.5)['A'] == -1.0)",
        "True",
    ),
    "polars before": (
        "import polars as pl, cshortfall; "
        "print(pl.DataFrame({'A': [1.0, 2.0]}).select(pl.col('A').shortfall.es(0.5)).item() == -1.0)",
        "True",
    ),
    "polars after": (
        "import cshortfall, polars as pl; before = hasattr(pl.Expr, 'shortfall'); import cshortfall.polars; "
        "print(not before and pl.Series([1.0, 2.0]).shortfall.es(0.5) == -1.0)",
        "True",
    ),
    "one does not bring the other": (
        "import pandas, cshortfall, sys; "
        "print('cshortfall.pandas' in sys.modules, 'cshortfall.polars' not in sys.modules)",
        "True",
    ),
    "by its own name": ("import cshortfall.pandas, pandas as pd; print(hasattr(pd.Series, 'shortfall'))", "True"),
    "blocked": (
        "import sys; sys.modules['pandas'] = None; import cshortfall; print(cshortfall.es([1.0]) == -1.0)",
        "True",
    ),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("order", ORDERS)
def test_accessors_are_registered_whatever_is_imported_first(order):
    program, expected = ORDERS[order]
    assert set(run_python(program).split()) == {expected}


def test_submodules_are_attributes():
    assert run_python("import cshortfall; print(cshortfall.rolling.rolling_es([-2.0], 1)[0])").strip() == "2.0"
    assert "rolling" in dir(cshortfall)
    assert sys.modules["cshortfall.rolling"] is cshortfall.rolling
    with pytest.raises(AttributeError, match="module 'cshortfall' has no attribute 'roling'"):
        _ = cshortfall.roling
