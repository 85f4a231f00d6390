"""Other ways to get an Expected Shortfall from Python, each with the length of the tail that it averages.

A contender's `prepare` turns the data into a `functools.partial` that holds the call to time; conversions to the
contender's own container happen there, outside the measurement. Its `count` says how many of the worst values its
definition averages, so that its value can be checked before it is timed, and so that a result that is only nearly the
same quantity is marked as such.

Optimisers are called with their own defaults, as their documentation does, and timed from the array of returns to the
weights, as cshortfall is. Where a contender can keep a program that is built already, this is timed too, by itself.
"""

import functools
import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from reference import tail_count


@dataclass(frozen=True)
class Peer:
    """One contender.

    Attributes
    ----------
    name : str
        Name in the tables.
    package : str
        Module to import; the contender is skipped, visibly, when it is not installed.
    prepare : callable
        ``prepare(module, x, level)`` gives the call to time; it returns minus or plus the Expected Shortfall.
    count : callable or None
        ``count(n, level)``, the length of the tail averaged; None when the call averages no tail.
    """

    name: str
    package: str
    prepare: Callable
    count: Callable | None

    def __str__(self):
        return self.name

    def call(self, x, level):
        """The call to time, or a skipped test when the package is missing."""
        return self.prepare(load(self.package), x, level)


def load(package):
    """The module `package`; the running test is skipped when it cannot be imported."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        pytest.skip(f"{package} is not installed here: {error}")


def whole_count(n, level):
    """The whole outcomes of the tail: the boundary outcome's fraction is dropped."""
    return max(Fraction(math.floor(tail_count(n, level))), Fraction(1))


def interpolated_count(n, level):
    """The outcomes at or below the linearly interpolated quantile."""
    return Fraction(math.floor((n - 1) * (1 - Fraction(level))) + 1)


def numpy_partition(x, k):
    return -np.partition(x, k)[:k].mean()


def numpy_sort(x, k):
    return -np.sort(x)[:k].mean()


def numpy_quantile_mask(x, mass):
    return -x[x <= np.quantile(x, mass)].mean()


def bottleneck_partition(partition, x, k):
    return -partition(x, k - 1)[:k].mean()


def pandas_quantile_mask(series, mass):
    return -series[series <= series.quantile(mass)].mean()


def polars_quantile_mask(series, mass):
    return -series.filter(series <= series.quantile(mass, "linear")).mean()


def _k(x, level):
    return int(whole_count(x.shape[0], level))


ARRAY_PEERS = (
    Peer(
        "np.partition recipe",
        "numpy",
        lambda _, x, level: functools.partial(numpy_partition, x, _k(x, level)),
        whole_count,
    ),
    Peer("np.sort recipe", "numpy", lambda _, x, level: functools.partial(numpy_sort, x, _k(x, level)), whole_count),
    Peer(
        "np.quantile + mask",
        "numpy",
        lambda _, x, level: functools.partial(numpy_quantile_mask, x, 1 - level),
        interpolated_count,
    ),
    Peer(
        "pandas",
        "pandas",
        lambda pandas, x, level: functools.partial(pandas_quantile_mask, pandas.Series(x), 1 - level),
        interpolated_count,
    ),
    Peer(
        "polars",
        "polars",
        lambda polars, x, level: functools.partial(polars_quantile_mask, polars.Series(x), 1 - level),
        interpolated_count,
    ),
    Peer(
        "bottleneck",
        "bottleneck",
        lambda bottleneck, x, level: functools.partial(bottleneck_partition, bottleneck.partition, x, _k(x, level)),
        whole_count,
    ),
    Peer(
        "empyrical-reloaded",
        "empyrical",
        lambda empyrical, x, level: functools.partial(empyrical.conditional_value_at_risk, x, 1 - level),
        interpolated_count,
    ),
    Peer(
        "skfolio",
        "skfolio.measures",
        lambda measures, x, level: functools.partial(measures.cvar, x, level),
        tail_count,
    ),
    Peer(
        "Riskfolio-Lib",
        "riskfolio.src.RiskFunctions",
        lambda functions, x, level: functools.partial(functions.CVaR_Hist, x, 1 - level),
        tail_count,
    ),
)

MEMORY = Peer("x.max()", "numpy", lambda _, x, level: functools.partial(x.max), None)


def rows_partition(x, k, axis):
    worst = np.partition(x, k, axis=axis)
    return -(worst[:, :k] if axis else worst[:k]).mean(axis=axis)


def rows_sort(x, k, axis):
    worst = np.sort(x, axis=axis)
    return -(worst[:, :k] if axis else worst[:k]).mean(axis=axis)


def rows_bottleneck(partition, x, k, axis):
    worst = partition(x, k - 1, axis=axis)
    return -(worst[:, :k] if axis else worst[:k]).mean(axis=axis)


def frame_quantile_mask(frame, mass):
    return -frame.where(frame <= frame.quantile(mass)).mean()


def rows_peers(axis):
    """The contenders for a matrix: one Expected Shortfall per row (`axis` 1) or per column (`axis` 0)."""

    def k(x, level):
        return int(whole_count(x.shape[axis], level))

    peers = (
        Peer(
            f"np.partition(axis={axis}) recipe",
            "numpy",
            lambda _, x, level: functools.partial(rows_partition, x, k(x, level), axis),
            whole_count,
        ),
        Peer(
            f"np.sort(axis={axis}) recipe",
            "numpy",
            lambda _, x, level: functools.partial(rows_sort, x, k(x, level), axis),
            whole_count,
        ),
        Peer(
            "bottleneck",
            "bottleneck",
            lambda bottleneck, x, level: functools.partial(rows_bottleneck, bottleneck.partition, x, k(x, level), axis),
            whole_count,
        ),
        Peer(
            "pandas",
            "pandas",
            lambda pandas, x, level: functools.partial(
                frame_quantile_mask, pandas.DataFrame(x.T if axis else x), 1 - level
            ),
            interpolated_count,
        ),
        Peer(
            "skfolio",
            "skfolio.measures",
            lambda measures, x, level: functools.partial(measures.cvar, x.T if axis else x, level),
            tail_count,
        ),
        Peer(
            f"x.max(axis={axis})",
            "numpy",
            lambda _, x, level: functools.partial(x.max, axis=axis),
            None,
        ),
    )
    return peers


def partition_of_window(window, k):
    return -np.partition(window, k)[:k].mean()


def pandas_apply(series, window, k):
    return series.rolling(window).apply(partition_of_window, raw=True, args=(k,))


def rolling_peers(window):
    """The contenders for windows of the last `window` values; those without a count give the quantile alone."""

    def k(level):
        return int(whole_count(window, level))

    return (
        Peer(
            "polars rolling_quantile",
            "polars",
            lambda polars, x, level: functools.partial(
                polars.Series(x).rolling_quantile, 1 - level, interpolation="linear", window_size=window
            ),
            None,
        ),
        Peer(
            "pandas rolling().quantile",
            "pandas",
            lambda pandas, x, level: functools.partial(pandas.Series(x).rolling(window).quantile, 1 - level),
            None,
        ),
        Peer(
            "pandas rolling().apply of NumPy",
            "pandas",
            lambda pandas, x, level: functools.partial(pandas_apply, pandas.Series(x), window, k(level)),
            whole_count,
        ),
    )


@dataclass(frozen=True)
class SketchPeer:
    """Another sketch of a stream.

    Attributes
    ----------
    name : str
        Name in the tables.
    package : str
        Module to import; the contender is skipped, visibly, when it is not installed.
    fill : callable
        ``fill(module, values)`` gives a sketch of the values.
    quantile : callable
        ``quantile(sketch, q)``.
    share : float
        How far the share of values below that quantile may be from `q`, by the sketch's own definition of accuracy.
    """

    name: str
    package: str
    fill: Callable
    quantile: Callable
    share: float

    def __str__(self):
        return self.name

    def call(self, values):
        """The call to time, or a skipped test when the package is missing."""
        return functools.partial(self.fill, load(self.package), values)


def kll(datasketches, values, k=200):
    sketch = datasketches.kll_doubles_sketch(k)
    sketch.update(values)
    return sketch


def t_digest(datasketches, values):
    sketch = datasketches.tdigest_double()
    sketch.update(values)
    return sketch


def dd_sketch(ddsketch, values):
    sketch = ddsketch.DDSketch(0.001)
    for value in values:
        sketch.add(value)
    return sketch


def quantile_of(sketch, q):
    return sketch.get_quantile(q)


KLL = SketchPeer("datasketches KLL (k = 200)", "datasketches", kll, quantile_of, 0.02)
FINE_KLL = SketchPeer(
    "datasketches KLL (k = 4,096)", "datasketches", functools.partial(kll, k=4096), quantile_of, 0.002
)
T_DIGEST = SketchPeer("datasketches t-digest", "datasketches", t_digest, quantile_of, 0.005)
DD_SKETCH = SketchPeer("ddsketch", "ddsketch", dd_sketch, lambda sketch, q: sketch.get_quantile_value(q), 0.002)


@dataclass(frozen=True)
class OptimizerPeer:
    """Another way to the weights, not negative and of sum one, whose Expected Shortfall is least.

    Attributes
    ----------
    name : str
        Name in the tables.
    package : str
        Module to import.
    prepare : callable
        ``prepare(module, returns, level)`` gives the call to time; it returns the weights.
    solver : str
        A second module that `package` needs, where that one is installed apart.
    """

    name: str
    package: str
    prepare: Callable
    solver: str = ""

    def __str__(self):
        return self.name

    def missing(self):
        """Which of its modules cannot be imported here, or an empty string."""
        for module in filter(None, (self.package, self.solver)):
            try:
                importlib.import_module(module)
            except ImportError:
                return module
        return ""

    def call(self, returns, level):
        """The call to time."""
        return self.prepare(importlib.import_module(self.package), returns, level)


def cvxpy_program(cvxpy, returns, level):
    """Variables and problem as a user of cvxpy writes them."""
    weights = cvxpy.Variable(returns.shape[1], nonneg=True)
    loss = cvxpy.cvar(-returns @ weights, level)
    return weights, cvxpy.Problem(cvxpy.Minimize(loss), [cvxpy.sum(weights) == 1])


def cvxpy_weights(cvxpy, returns, level):
    weights, problem = cvxpy_program(cvxpy, returns, level)
    problem.solve(solver=cvxpy.CLARABEL)
    return weights.value


def compiled_weights(problem, weights, data, chain, inverse):
    problem.unpack_results(chain.solve_via_data(problem, data), chain, inverse)
    return weights.value


def prepare_compiled(cvxpy, returns, level):
    weights, problem = cvxpy_program(cvxpy, returns, level)
    return functools.partial(
        compiled_weights, problem, weights, *problem.get_problem_data(cvxpy.CLARABEL, solver_opts={})
    )


def linprog_weights(linprog, assets, **program):
    return linprog(**program).x[:assets]


def prepare_linprog(optimize, returns, level):
    """The whole program of Rockafellar and Uryasev, one row for each scenario, built beforehand and sparse."""
    sparse = importlib.import_module("scipy.sparse")
    count, assets = returns.shape
    program = {
        "c": np.concatenate([np.zeros(assets), [1.0], np.full(count, 1 / (count * (1 - level)))]),
        "A_ub": sparse.hstack([sparse.csr_matrix(-returns), np.full((count, 1), -1.0), -sparse.eye(count)], "csc"),
        "b_ub": np.zeros(count),
        "A_eq": sparse.csr_matrix(np.concatenate([np.ones(assets), np.zeros(1 + count)])[None]),
        "b_eq": np.ones(1),
        "bounds": [(0, None)] * assets + [(None, None)] + [(0, None)] * count,
    }
    return functools.partial(linprog_weights, optimize.linprog, assets, **program)


def benders_weights(fortitudo, returns, level):
    """Without `demean=False` it would minimise the ES of another quantity, the deviation from the mean."""
    assets = returns.shape[1]
    program = fortitudo.MeanCVaR(returns, G=-np.eye(assets), h=np.zeros(assets), alpha=level, options={"demean": False})
    return program.efficient_portfolio()


def mean_risk_weights(skfolio, optimization, returns, level):
    model = optimization.MeanRisk(risk_measure=skfolio.RiskMeasure.CVAR, cvar_beta=level)
    return model.fit(returns).weights_


def chosen_weights(cvxpy, returns, level, count, gap, time_limit):
    """Weights of at most so many assets, None if none were found in time, and a bound; on the whole program."""
    weights, problem = cvxpy_program(cvxpy, returns, level)
    chosen = cvxpy.Variable(returns.shape[1], boolean=True)
    limits = [*problem.constraints, weights <= chosen, cvxpy.sum(chosen) <= count]
    problem = cvxpy.Problem(problem.objective, limits)
    try:
        problem.solve(solver=cvxpy.HIGHS, mip_rel_gap=gap, time_limit=time_limit)
    except cvxpy.error.SolverError:
        return None, -np.inf
    return weights.value, problem.solver_stats.extra_stats.mip_dual_bound


CLARABEL = OptimizerPeer(
    "cvxpy + Clarabel",
    "cvxpy",
    lambda cvxpy, returns, level: functools.partial(cvxpy_weights, cvxpy, returns, level),
    "clarabel",
)
COMPILED = OptimizerPeer("Clarabel, compiled beforehand", "cvxpy", prepare_compiled, "clarabel")
HIGHS = OptimizerPeer("HiGHS of the full program, built beforehand", "scipy.optimize", prepare_linprog)
FORTITUDO = OptimizerPeer(
    "fortitudo.tech",
    "fortitudo.tech",
    lambda fortitudo, returns, level: functools.partial(benders_weights, fortitudo, returns, level),
)
SKFOLIO = OptimizerPeer(
    "skfolio MeanRisk",
    "skfolio",
    lambda skfolio, returns, level: functools.partial(
        mean_risk_weights, skfolio, importlib.import_module("skfolio.optimization"), returns, level
    ),
)
OPTIMIZERS = (CLARABEL, COMPILED, HIGHS, FORTITUDO, SKFOLIO)
MIXED_INTEGER = OptimizerPeer(
    "cvxpy + HiGHS of the full program",
    "cvxpy",
    lambda cvxpy, returns, level: functools.partial(chosen_weights, cvxpy, returns, level),
    "highspy",
)
