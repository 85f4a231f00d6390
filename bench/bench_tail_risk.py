"""`tail_risk` with its default interval, against `scipy.stats.bootstrap` with the NumPy recipe."""

import functools

import numpy as np
import pytest
from inputs import KINDS, sample
from peers import load
from race import Target, check_agreement
from reference import tail_count, tail_mean_loss
from table import FASTER

import cshortfall

LEVEL = 0.975
N = 1_000
RESAMPLES = 2_000
CASE = f"tail_risk(x), n = {N:,}, {RESAMPLES:,} resamples"
CONTENDERS = {
    "scipy.stats.bootstrap": ("BCa", Target(FASTER, 50), "BCa interval"),
    "scipy.stats.bootstrap, percentile": ("percentile", Target(FASTER), "percentile interval"),
}


def partition_recipe(x, axis=-1):
    k = int(x.shape[axis] * (1 - LEVEL))
    return -np.partition(x, k, axis=axis)[..., :k].mean(axis=-1)


def estimate_of(call):
    return call().es


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("contender", ["cshortfall", *CONTENDERS])
def test_tail_risk(race, kind, contender):
    x = sample(kind, N)
    subject = functools.partial(cshortfall.tail_risk, x, n_resamples=RESAMPLES, rng=1)
    expected = tail_mean_loss(x, tail_count(N, LEVEL))
    check_agreement(functools.partial(estimate_of, subject), expected, 1e-14)
    if contender == "cshortfall":
        race.alone(CASE, kind, subject, bound=1.5e-3)
        return
    method, target, note = CONTENDERS[contender]
    check_agreement(functools.partial(partition_recipe, x), expected)
    call = functools.partial(
        load("scipy.stats").bootstrap,
        (x,),
        partition_recipe,
        n_resamples=RESAMPLES,
        method=method,
        vectorized=True,
        axis=-1,
        rng=1,
    )
    note = f"{note}; tail_risk gives the studentised one, which covers better"
    race.against(CASE, kind, subject, contender, call, target=target, note=note)
