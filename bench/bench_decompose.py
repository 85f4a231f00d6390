"""`decompose`: parts of ES against the product that any answer begins with, and against finite differences."""

import functools

import numpy as np
import pytest
from inputs import KINDS, sample
from peers import load
from race import Target, check_agreement
from table import FASTER, SLOWER

import cshortfall
from cshortfall.decompose import component_es, component_var, decompose, incremental_es

LEVEL = 0.975
SHAPE = (100_000, 500)
LAYOUTS = {"C order": np.ascontiguousarray, "Fortran order": np.asfortranarray}


def holdings(assets):
    return np.random.default_rng(11).dirichlet(np.ones(assets))


def product(returns, weights):
    return returns @ weights


def parts_by_partition(returns, weights, k):
    """The usual recipe: whole scenarios of the tail only, and no ties."""
    outcomes = returns @ weights
    tail = np.argpartition(outcomes, k)[:k]
    return -weights * returns[tail].mean(axis=0)


def risk_contributions(function, returns, weights, alpha):
    return function(weights, returns=returns, rm="CVaR", alpha=alpha)


def risks_without(returns, weights):
    """One portfolio without each asset, and the whole."""
    portfolios = np.tile(weights[:, None], (1, weights.size + 1))
    portfolios[np.arange(weights.size), np.arange(weights.size)] = 0.0
    risks = cshortfall.es_of_portfolios(returns, portfolios, LEVEL)
    return risks[-1] - risks[:-1]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("function", [component_es, component_var, decompose])
def test_one_tail_pass(race, function, layout):
    """Target: 1.2 times the product, for the parts of ES."""
    returns = LAYOUTS[layout](sample("t(3)", *SHAPE))
    weights = holdings(SHAPE[1])
    subject = functools.partial(function, returns, weights, LEVEL)
    call = functools.partial(product, returns, weights)
    case = f"{function.__name__}, {SHAPE[0]:,} scenarios x {SHAPE[1]} assets"
    bound = None if function is component_var else 1.2
    race.against(case, layout, subject, "returns @ weights", call, target=Target(SLOWER, bound))


@pytest.mark.parametrize("kind", KINDS)
def test_component_es_against_the_recipe(race, kind):
    returns = sample(kind, *SHAPE)
    weights = holdings(SHAPE[1])
    subject = functools.partial(component_es, returns, weights, LEVEL)
    call = functools.partial(parts_by_partition, returns, weights, 2500)
    check_agreement(subject, call())
    case = f"component_es, {SHAPE[0]:,} scenarios x {SHAPE[1]} assets"
    race.against(case, kind, subject, "np.argpartition recipe", call, target=Target(FASTER))


@pytest.mark.parametrize("kind", KINDS)
def test_component_es_against_finite_differences(race, kind):
    pandas = load("pandas")
    riskfolio = load("riskfolio.src.RiskFunctions")
    returns = sample(kind, 10_000, 50)
    weights = holdings(50)
    subject = functools.partial(component_es, returns, weights, LEVEL)
    frame, column = pandas.DataFrame(returns), pandas.DataFrame(weights)
    call = functools.partial(risk_contributions, riskfolio.Risk_Contribution, frame, column, 1 - LEVEL)
    check_agreement(subject, np.ravel(call()), rtol=1e-4)
    case = "component_es, 10,000 scenarios x 50 assets"
    note = "central finite differences, two portfolios for each asset"
    race.against(case, kind, subject, "Riskfolio-Lib", call, target=Target(FASTER), note=note)


@pytest.mark.parametrize("kind", KINDS)
def test_incremental_es(race, kind):
    returns = sample(kind, 20_000, 100)
    weights = holdings(100)
    subject = functools.partial(incremental_es, returns, weights, LEVEL)
    call = functools.partial(risks_without, returns, weights)
    np.testing.assert_allclose(subject(), call(), rtol=1e-6, atol=1e-12)
    case = "incremental_es, 20,000 scenarios x 100 assets"
    race.against(case, kind, subject, "es_of_portfolios without each asset", call, target=Target(FASTER))
