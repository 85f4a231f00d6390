"""`es` of inputs made to slow it down, against its time on random data of the same size."""

import functools

import pytest
from adversarial import NAMED
from inputs import sample
from race import Target, check_agreement
from reference import tail_count, tail_mean_loss
from table import SLOWER

import cshortfall

N = 1_000_000
LEVEL = 0.975


@pytest.mark.parametrize("name", NAMED)
def test_es_of_adversarial_input(race, name):
    x = NAMED[name](N)
    subject = functools.partial(cshortfall.es, x)
    check_agreement(subject, tail_mean_loss(x, tail_count(N, LEVEL)), 1e-13)
    random = functools.partial(cshortfall.es, sample("normal", N))
    case = f"worst of {len(NAMED)} adversarial inputs, n = {N:,}"
    race.against(case, name, subject, "es of random data", random, target=Target(SLOWER, 3), worst=True)
