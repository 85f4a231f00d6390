"""`es_of_portfolios`: many portfolios of the same assets, without storing their losses."""

import functools

import numpy as np
import pytest
from inputs import KINDS, sample
from race import Target, check_agreement
from reference import tail_count, tail_mean_loss
from table import FASTER

import cshortfall

LEVEL = 0.975
SHAPES = ((10_000, 50, 500), (100_000, 20, 50))


def losses_by_partition(returns, weights, k):
    outcomes = returns @ weights
    return -np.partition(outcomes, k, axis=0)[:k].mean(axis=0)


def losses_then_es(returns, weights):
    return cshortfall.es(returns @ weights, axis=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("scenarios", "assets", "portfolios"), SHAPES)
@pytest.mark.parametrize("contender", ["R @ W, np.partition(axis=0) recipe", "R @ W, es(axis=0)"])
def test_es_of_portfolios(race, kind, scenarios, assets, portfolios, contender):
    returns = sample(kind, scenarios, assets)
    weights = np.random.default_rng(11).dirichlet(np.ones(assets), size=portfolios).T.copy()
    count = tail_count(scenarios, LEVEL)
    subject = functools.partial(cshortfall.es_of_portfolios, returns, weights)
    if contender.endswith("recipe"):
        call = functools.partial(losses_by_partition, returns, weights, int(count))
    else:
        call = functools.partial(losses_then_es, returns, weights)
    outcomes = returns @ weights
    expected = [tail_mean_loss(outcomes[:, p], count) for p in range(portfolios)]
    check_agreement(subject, expected)
    check_agreement(call, expected)
    case = f"es_of_portfolios, {scenarios:,} scenarios x {assets} assets x {portfolios} portfolios"
    race.against(case, kind, subject, contender, call, target=Target(FASTER))
