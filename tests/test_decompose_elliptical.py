"""Closed forms of elliptical distributions: published numbers, derivatives to 30 digits, simulations."""

import math

import mpmath
import numpy as np
import pytest
from bits import assert_same_bits
from scipy import stats

import cshortfall
from cshortfall.decompose import decompose, elliptical_components

pytestmark = pytest.mark.filterwarnings("ignore::cshortfall.LevelWarning")

MATRIX = np.array([[0.04, 0.01, -0.005], [0.01, 0.09, 0.02], [-0.005, 0.02, 0.16]])
MEAN = np.array([0.01, 0.02, -0.03])


@pytest.mark.parametrize(
    ("level", "var", "es"), [(0.9, 0.067847, 0.096975), (0.95, 0.090200, 0.115908), (0.99, 0.132128, 0.152977)]
)
def test_elliptical_components_sum_to_the_published_risk_of_three_instruments(level, var, es):
    """Rockafellar and Uryasev (2000), tables 1, 2 and 4."""
    mean = [0.0101110, 0.0043532, 0.0137058]
    covariance = np.array(
        [
            [0.00324625, 0.00022983, 0.00420395],
            [0.00022983, 0.00049937, 0.00019247],
            [0.00420395, 0.00019247, 0.00764097],
        ]
    )
    parts = elliptical_components([0.452013, 0.115573, 0.432414], mean, covariance, level)
    assert parts.es == pytest.approx(es, abs=3e-6)
    assert parts.var == pytest.approx(var, abs=3e-6)
    assert parts.component.sum() == pytest.approx(parts.es, rel=1e-14)
    assert parts.component_var.sum() == pytest.approx(parts.var, rel=1e-14)


def exact_elliptical(weights, level, dof, quantity):
    """Return ES or VaR of a portfolio of MATRIX and MEAN to 30 digits."""
    mpmath.mp.dps = 30
    w = [mpmath.mpf(float(x)) for x in weights]
    variance = sum(w[i] * w[j] * mpmath.mpf(MATRIX[i, j]) for i in range(3) for j in range(3))
    if dof is None:
        quantile = mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(level) - 1)
        tail = mpmath.npdf(quantile) / (1 - mpmath.mpf(level))
    else:
        nu = mpmath.mpf(dof)
        scale = mpmath.gamma((nu + 1) / 2) / (mpmath.sqrt(nu * mpmath.pi) * mpmath.gamma(nu / 2))

        def density(t):
            return scale * (1 + t * t / nu) ** (-(nu + 1) / 2)

        start = stats.t.ppf(level, dof)
        quantile = mpmath.findroot(
            lambda q: mpmath.quad(density, [0, q]) - mpmath.mpf(level) + mpmath.mpf("0.5"), start
        )
        tail = density(quantile) * (nu + quantile**2) / (nu - 1) / (1 - mpmath.mpf(level))
    factor = quantile if quantity == "var" else tail
    return -sum(a * mpmath.mpf(m) for a, m in zip(w, MEAN, strict=True)) + factor * mpmath.sqrt(variance)


@pytest.mark.parametrize("dof", [None, 3.5])
@pytest.mark.parametrize("level", [0.3, 0.95, 0.999])
def test_elliptical_parts_are_the_derivatives_of_the_closed_form(level, dof):
    weights = np.array([1.0, -0.5, 2.0])
    distribution = "normal" if dof is None else "student_t"
    parts = elliptical_components(weights, MEAN, MATRIX, level, distribution=distribution, dof=dof)
    for quantity, risk, marginal, incremental in (
        ("es", parts.es, parts.marginal, parts.incremental),
        ("var", parts.var, parts.marginal_var, parts.incremental_var),
    ):
        whole = exact_elliptical(weights, level, dof, quantity)
        assert risk == pytest.approx(float(whole), rel=1e-13)
        for i in range(3):
            without, up, down = weights.copy(), weights.copy(), weights.copy()
            without[i] = 0.0
            up[i] += 2.0**-20
            down[i] -= 2.0**-20
            slope = (exact_elliptical(up, level, dof, quantity) - exact_elliptical(down, level, dof, quantity)) * 2**19
            assert marginal[i] == pytest.approx(float(slope), rel=1e-9, abs=1e-10)
            exact = float(whole - exact_elliptical(without, level, dof, quantity))
            assert incremental[i] == pytest.approx(exact, rel=1e-11, abs=1e-13)


def test_covariance_and_dispersion_are_two_names_of_one_matrix():
    weights = np.array([1.0, -0.5, 2.0])
    one = elliptical_components(weights, MEAN, MATRIX, distribution="student_t", dof=5)
    other = elliptical_components(weights, MEAN, covariance=MATRIX * 5 / 3, distribution="student_t", dof=5)
    np.testing.assert_allclose(other.component, one.component, rtol=1e-14)
    normal = elliptical_components(weights, MEAN, MATRIX)
    np.testing.assert_array_equal(
        elliptical_components(weights, MEAN, covariance=MATRIX, distribution="student_t", dof=math.inf).component,
        normal.component,
    )
    np.testing.assert_array_equal(elliptical_components(weights, MEAN, covariance=MATRIX).component, normal.component)


@pytest.mark.parametrize("dof", [None, 6])
def test_components_of_a_simulation_are_those_of_the_closed_form(dof):
    generator = np.random.default_rng(8)
    draws = generator.standard_normal((200_000, 3)) @ np.linalg.cholesky(MATRIX).T
    if dof is not None:
        draws /= np.sqrt(generator.chisquare(dof, 200_000) / dof)[:, None]
    weights = np.array([1.0, -0.5, 2.0])
    distribution = "normal" if dof is None else "student_t"
    truth = elliptical_components(weights, MEAN, MATRIX, 0.975, distribution=distribution, dof=dof)
    parts = decompose(MEAN + draws, weights, 0.975, estimator="kernel")
    assert (np.abs(parts.component - truth.component) < 4 * parts.component_standard_error).all()
    np.testing.assert_allclose(parts.component_var, truth.component_var, rtol=0.05, atol=0.01)
    error = cshortfall.tail_risk((MEAN + draws) @ weights, 0.975, interval=None).es_standard_error
    np.testing.assert_allclose(parts.incremental, truth.incremental, rtol=0, atol=4 * error)


def test_elliptical_labels_are_those_of_the_matrix():
    pandas = pytest.importorskip("pandas")
    matrix = pandas.DataFrame(MATRIX, index=list("abc"), columns=list("abc"))
    weights = pandas.Series([2.0, 1.0, -0.5], index=list("cab"))
    parts = elliptical_components(weights, pandas.Series(MEAN, index=list("abc")), matrix)
    assert parts.component.index.tolist() == ["a", "b", "c"]
    plain = elliptical_components([1.0, -0.5, 2.0], MEAN, MATRIX)
    assert_same_bits(parts.component.to_numpy(), plain.component)


def test_without_dispersion_the_risk_is_the_mean_loss():
    parts = elliptical_components([1.0, -1.0], [0.1, 0.3], np.ones((2, 2)), 0.9)
    assert parts.es == parts.var == pytest.approx(0.2)
    np.testing.assert_allclose(parts.component, [-0.1, 0.3])


def test_wrong_arguments_of_elliptical_components_name_the_remedy():
    with pytest.raises(ValueError, match="not both"):
        elliptical_components([1.0], 0.0)
    with pytest.raises(ValueError, match="not both"):
        elliptical_components([1.0], 0.0, np.eye(1), covariance=np.eye(1))
    with pytest.raises(ValueError, match="symmetric"):
        elliptical_components([1.0, 1.0], 0.0, [[1.0, 0.5], [0.0, 1.0]])
    with pytest.raises(ValueError, match="semi-definite"):
        elliptical_components([1.0, 1.0], 0.0, [[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(ValueError, match="shape"):
        elliptical_components([1.0, 1.0], 0.0, np.eye(3))
    with pytest.raises(ValueError, match="mean"):
        elliptical_components([1.0, 1.0], [0.0], np.eye(2))
    with pytest.raises(ValueError, match="all zero"):
        elliptical_components([0.0, 0.0], 0.0, np.eye(2))
    with pytest.raises(ValueError, match="dof"):
        elliptical_components([1.0], 0.0, np.eye(1), distribution="student_t", dof=1.0)
    with pytest.raises(ValueError, match="dof"):
        elliptical_components([1.0], 0.0, covariance=np.eye(1), distribution="student_t", dof=2.0)
    with pytest.raises(TypeError, match="dof"):
        elliptical_components([1.0], 0.0, np.eye(1), distribution="student_t")
    with pytest.raises(ValueError, match="dof"):
        elliptical_components([1.0], 0.0, np.eye(1), dof=4)
    with pytest.raises(ValueError, match="distribution"):
        elliptical_components([1.0], 0.0, np.eye(1), distribution="cauchy")
