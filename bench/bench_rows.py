"""One Expected Shortfall per row or per column of a matrix."""

import functools

import numpy as np
import pytest
from bench_estimate import note_on_definition
from inputs import KINDS, sample
from peers import rows_peers
from race import Target, check_agreement
from reference import tail_count, tail_mean_loss
from table import FASTER, SLOWER

import cshortfall

LEVEL = 0.975
CHECKED = 50
SHAPES = (
    # rows, columns, axis, target against np.partition, target against x.max
    (10_000, 1_000, 1, 4, 2.5),
    (20_000, 250, 1, 2, None),
    (1_000, 10_000, 0, 6, None),
)
CASES = [
    pytest.param(*shape, number, id=f"{shape[0]}x{shape[1]}-axis={shape[2]}-{name}")
    for shape in SHAPES
    for number, name in enumerate(("cshortfall", *(peer.name for peer in rows_peers(shape[2]))))
]


def expected_rows(x, axis, count):
    """The first `CHECKED` answers, by correctly rounded sums."""
    return [tail_mean_loss(np.moveaxis(x, axis, 1)[i], count) for i in range(CHECKED)]


def first_rows(call):
    return np.asarray(call())[:CHECKED]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "columns", "axis", "faster", "slower", "contender"), CASES)
def test_es_of_rows(race, kind, rows, columns, axis, faster, slower, contender):
    x = sample(kind, rows, columns)
    n = x.shape[axis]
    case = f"es(x, axis={axis}), {rows:,} x {columns:,}"
    subject = functools.partial(cshortfall.es, x, axis=axis)
    check_agreement(functools.partial(first_rows, subject), expected_rows(x, axis, tail_count(n, LEVEL)), 1e-14)
    if contender == 0:
        race.alone(case, kind, subject)
        return
    peer = rows_peers(axis)[contender - 1]
    call = peer.call(x, LEVEL)
    target = Target(FASTER)
    if peer.count is None:
        target = Target(SLOWER, slower)
    else:
        check_agreement(functools.partial(first_rows, call), expected_rows(x, axis, peer.count(n, LEVEL)))
        if "np.partition" in peer.name:
            target = Target(FASTER, faster)
    race.against(case, kind, subject, peer.name, call, target=target, note=note_on_definition(peer, n))
