"""Projection onto the samples whose ES keeps a limit."""

import datasets
import numpy as np
import pytest
import textbook
import textbook_budgets
from hypothesis import given
from hypothesis import strategies as st

from cshortfall import es
from cshortfall.optimize.projection import project_es_ball

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")

LEVELS = [0.0, 0.1, 0.5, 0.6, 0.75, 0.9, 0.975]
small_samples = st.lists(st.integers(-5, 5) | st.floats(-9, 9, width=32), min_size=1, max_size=6)


def close(result, exact, scale):
    return np.abs(np.asarray(result) - np.array([float(value) for value in exact])).max() <= 4e-15 * scale


@given(small_samples, st.sampled_from(LEVELS) | st.floats(0, 0.99), st.integers(-4, 4) | st.floats(-9, 9, width=32))
def test_projection_is_that_of_all_active_sets(values, level, limit):
    result = project_es_ball(values, level, limit)
    exact = textbook_budgets.project_losses([-value for value in values], level, limit)
    assert close(-result, exact, 9.0)
    assert es(result, level) <= limit


@given(small_samples, st.data())
def test_weighted_projection_is_that_of_all_active_sets(values, data):
    size = len(values)
    weights = data.draw(st.lists(st.integers(0, 3) | st.floats(0.25, 3, width=16), min_size=size, max_size=size))
    if not any(weights):
        weights[0] = 1
    level, limit = data.draw(st.sampled_from(LEVELS)), data.draw(st.floats(-9, 9, width=32))
    result = project_es_ball(values, level, limit, weights=weights)
    exact = textbook_budgets.project_losses([-value for value in values], level, limit, weights)
    assert close(-result, exact, 9.0)
    assert es(result, level, weights=weights) <= limit


@pytest.mark.parametrize("level", [*LEVELS, 0.9999])
@pytest.mark.parametrize("name", sorted(datasets.ORDINARY))
@pytest.mark.parametrize("n", [1, 2, 7, 40, 1000, 20_011])
def test_change_is_a_multiple_of_a_density_of_the_tail(name, n, level):
    """The conditions of Karush, Kuhn and Tucker, which are sufficient: the problem is convex."""
    x = datasets.ORDINARY[name](n)
    scale = np.abs(x).max()
    count = max(textbook.tail_count(n, level), 1)
    for limit in (es(x, level) - scale * share for share in (0.001, 0.3, 2.0)):
        z = project_es_ball(x, level, limit)
        assert es(z, level) <= limit
        assert es(z, level) == pytest.approx(limit, rel=1e-14, abs=1e-14 * scale)
        change = z - x
        density = change / change.sum()
        assert density.min() >= 0
        assert density.max() * float(count) <= 1 + 1e-9
        assert -(density @ z) == pytest.approx(limit, rel=1e-9, abs=1e-12 * scale)


@pytest.mark.parametrize("level", [0.5, 0.975])
def test_no_point_of_the_ball_lies_beyond_the_tangent_plane(level):
    x, others = datasets.heavy_tails(500, 3), datasets.heavy_tails(500 * 50, 4).reshape(50, 500)
    limit = 0.4 * es(x, level)
    z = project_es_ball(x, level, limit)
    for other in others:
        inside = other + max(0.0, es(other, level) - limit)
        assert (x - z) @ (inside - z) <= 1e-9


def test_sample_that_keeps_the_limit_comes_back_as_a_copy():
    x = datasets.bells(100)
    result = project_es_ball(x, 0.9, es(x, 0.9))
    assert result is not x
    assert not np.shares_memory(result, x)
    np.testing.assert_array_equal(result, x)


def test_input_is_not_changed():
    x = datasets.bells(100)
    before = x.copy()
    project_es_ball(x, 0.9, 0.0)
    np.testing.assert_array_equal(x, before)


def test_projection_of_a_projection_is_itself():
    z = project_es_ball(datasets.heavy_tails(1000), 0.95, 0.7)
    np.testing.assert_array_equal(project_es_ball(z, 0.95, 0.7), z)


def test_tails_mirror():
    x = datasets.heavy_tails(999)
    mirrored = project_es_ball(-x, 0.95, 0.7, tail="upper")
    np.testing.assert_array_equal(-mirrored, project_es_ball(x, 0.95, 0.7))


def test_projection_scales_with_powers_of_two():
    x = datasets.heavy_tails(999)
    result = project_es_ball(x, 0.95, 0.7)
    for power in (-900, -30, 30, 900):
        scaled = project_es_ball(np.ldexp(x, power), 0.95, np.ldexp(0.7, power))
        np.testing.assert_allclose(np.ldexp(scaled, -power), result, rtol=1e-14, atol=1e-14)


def test_tail_of_less_than_one_outcome_is_cut_at_the_limit():
    x = datasets.heavy_tails(50)
    np.testing.assert_array_equal(project_es_ball(x, 0.99, 0.5), np.maximum(x, -0.5))


def test_level_zero_shifts_all_outcomes():
    x = datasets.heavy_tails(50)
    shift = es(x, 0.0) + 1.0
    np.testing.assert_allclose(project_es_ball(x, 0.0, -1.0), x + shift, rtol=0, atol=1e-14 * np.abs(x).max())


def test_weight_two_is_two_equal_outcomes():
    x, weights = datasets.heavy_tails(200), datasets.integers(200, 2, 2) + 2
    repeated = np.repeat(x, weights.astype(int))
    result = project_es_ball(x, 0.9, 0.3, weights=weights)
    np.testing.assert_allclose(
        np.repeat(result, weights.astype(int)), project_es_ball(repeated, 0.9, 0.3), rtol=1e-13, atol=1e-13
    )


def test_equal_weights_of_any_scale_are_no_weights():
    x = datasets.heavy_tails(200)
    np.testing.assert_array_equal(
        project_es_ball(x, 0.9, 0.3, weights=np.full(200, 1 / 3)), project_es_ball(x, 0.9, 0.3)
    )


def test_outcome_of_weight_zero_stays():
    x, weights = np.array([-9.0, -4.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0, 2.0])
    result = project_es_ball(x, 0.5, 0.0, weights=weights)
    assert result[0] == -9.0
    np.testing.assert_array_equal(result[1:], project_es_ball(x[1:], 0.5, 0.0, weights=weights[1:]))


def test_series_keep_their_labels():
    pandas = pytest.importorskip("pandas")
    x = pandas.Series([0.5, -4.0, 1.0, -1.0], index=list("abcd"), name="book")
    result = project_es_ball(x, 0.5, 1.5)
    pandas.testing.assert_series_equal(result, pandas.Series([0.5, -3.0, 1.0, 0.0], index=list("abcd"), name="book"))
    weights = pandas.Series([3.0, 1.0, 1.0, 1.0], index=list("dabc"))
    assert project_es_ball(x, 0.5, 1.5, weights=weights).equals(
        pandas.Series(project_es_ball(x.to_numpy(), 0.5, 1.5, weights=[1, 1, 1, 3]), index=x.index, name="book")
    )


def test_polars_series_give_series():
    polars = pytest.importorskip("polars")
    result = project_es_ball(polars.Series("book", [0.5, -4.0, 1.0, -1.0]), 0.5, 1.5)
    assert result.name == "book"
    assert result.to_list() == [0.5, -3.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([], 0.5, 1), {}, ValueError, "x is empty"),
        (([[1.0]], 0.5, 1), {}, ValueError, "x must have one dimension"),
        (([1.0, np.inf], 0.5, 1), {}, ValueError, r"x must be finite, got x\[1\] = inf"),
        (([1.0, np.nan], 0.5, 1), {}, ValueError, r"x must be finite, got x\[1\] = nan"),
        (([1.0], [0.5, 0.9], 1), {}, ValueError, "level must be one number"),
        (([1.0], 95, 1), {}, ValueError, "level must be in"),
        (([1.0], 0.5, np.nan), {}, ValueError, "limit must be finite"),
        (([1.0], 0.5, "1"), {}, TypeError, "limit must be a number"),
        (([1.0], 0.5, True), {}, TypeError, "limit must be a number"),
        (([1.0, 2.0], 0.5, 1), {"weights": [1.0]}, ValueError, "weights must have the shape of x"),
        (([1.0, 2.0], 0.5, 1), {"weights": [1.0, -1.0]}, ValueError, "weights must be finite and not negative"),
        (([1.0, 2.0], 0.5, 1), {"tail": "left"}, ValueError, "tail must be one of"),
    ],
)
def test_wrong_arguments_are_named(arguments, options, error, message):
    with pytest.raises(error, match=message):
        project_es_ball(*arguments, **options)
