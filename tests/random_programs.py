"""Random programs, each named by its seed: every kind of scenarios, probabilities, bounds, rows, risks and limits.

`random_program` draws one of each kind; what a test needs in particular it fixes by keyword.
"""

from dataclasses import dataclass

import numpy as np

from cshortfall.optimize._program import Program, RiskLimit, RiskTerm
from cshortfall.optimize._scenarios import ArrayScenarios

SIZES = (1, 2, 3, 10, 40, 150, 400)


def _normal(rng, count, assets):
    return 0.01 * rng.standard_normal((count, assets)) + rng.normal(3e-4, 2e-4, assets)


def _identical(rng, count, assets):
    rows = _normal(rng, count, assets)
    rows[:, -1] = rows[:, 0]
    return rows


def _collinear(rng, count, assets):
    rows = _normal(rng, count, assets)
    rows[:, -1] = 0.5 * rows[:, 0] + 0.5 * rows[:, assets // 2]
    return rows


def _cash(rng, count, assets):
    rows = _normal(rng, count, assets)
    rows[:, -1] = 1e-4
    return rows


def _options(rng, count, assets):
    """Payoffs that are nearly always minus the premium."""
    rows = np.maximum(rng.standard_normal((count, assets)) - rng.uniform(0.5, 2, assets), 0.0)
    return rows - rng.uniform(0.8, 1.3, assets) * rows.mean(axis=0)


def _mixed(rng, count, assets):
    """Columns of every size."""
    return _normal(rng, count, assets) * 10.0 ** rng.uniform(-4, 5, assets)


RETURNS = {
    "normal": _normal,
    "heavy": lambda rng, count, assets: 0.01 * rng.standard_t(2.5, (count, assets)),
    "integer": lambda rng, count, assets: rng.integers(-4, 5, (count, assets)).astype(float),
    "rounded": lambda rng, count, assets: np.round(_normal(rng, count, assets), 2),
    "duplicated": lambda rng, count, assets: _normal(rng, count, assets)[rng.integers(0, max(1, count // 5), count)],
    "identical": _identical,
    "collinear": _collinear,
    "cash": _cash,
    "options": _options,
    "tiny": lambda rng, count, assets: 1e-7 * _normal(rng, count, assets),
    "large": lambda rng, count, assets: 100 * _normal(rng, count, assets),
    "mixed": _mixed,
    "constant": lambda rng, count, assets: np.tile(rng.standard_normal(assets), (count, 1)),
}


def _half(rng, count):
    p = rng.random(count) * (rng.random(count) < 0.5)
    p[0] = 1.0
    return p


def _one(rng, count):
    p = np.full(count, 1e-14)
    p[rng.integers(count)] = 1.0
    return p


PROBABILITIES = {
    "equal": lambda rng, count: None,
    "random": lambda rng, count: 0.1 + rng.random(count),
    "zeros": _half,
    "skewed": lambda rng, count: 10.0 ** rng.uniform(-14, 0, count),
    "one": _one,
}

LEVELS = {
    "zero": lambda count: 0.0,
    "half": lambda count: 0.5,
    "0.9": lambda count: 0.9,
    "0.975": lambda count: 0.975,
    "0.999": lambda count: 0.999,
    "one scenario": lambda count: 1 - 1 / count if count > 1 else 0.5,
    "three scenarios": lambda count: 1 - 3 / count if count > 3 else 0.5,
    "below one": lambda count: 1 - 0.3 / count,
}


def _long(rng, assets):
    return np.zeros(assets), np.full(assets, np.inf)


def _capped(rng, assets):
    return np.zeros(assets), np.full(assets, max(1.2 / assets, rng.random()))


def _short(rng, assets):
    return np.full(assets, -0.5), np.full(assets, 1.5)


def _free(rng, assets):
    return np.full(assets, -np.inf), np.full(assets, np.inf)


def _half_open(rng, assets):
    lower, upper = np.full(assets, -0.3), np.full(assets, np.inf)
    lower[rng.random(assets) < 0.3] = -np.inf
    upper[rng.random(assets) < 0.5] = 2.0
    return lower, upper


def _one_fixed(rng, assets):
    lower, upper = np.zeros(assets), np.full(assets, np.inf)
    if assets > 1:
        lower[0] = upper[0] = 0.125
    return lower, upper


def _all_fixed(rng, assets):
    x = rng.dirichlet(np.ones(assets))
    x[-1] = 1.0 - x[:-1].sum()
    return x, x.copy()


def _tight(rng, assets):
    """Only one point adds up to one."""
    return np.zeros(assets), np.full(assets, 1.0 / assets)


BOUNDS = {
    "long": _long,
    "capped": _capped,
    "short": _short,
    "free": _free,
    "half open": _half_open,
    "one fixed": _one_fixed,
    "all fixed": _all_fixed,
    "tight": _tight,
}

ROWS = ("none", "none", "target", "most", "too much", "group", "many")
QUESTIONS = (
    "es", "es", "mean", "mixture", "base", "part", "limit", "two limits", "limit and es", "worst", "no budget",
)  # fmt: skip


@dataclass(frozen=True)
class Instance:
    """A program and the names of what it was made of."""

    program: Program
    traits: dict

    def __str__(self):
        return ", ".join(f"{key}={value!r}" for key, value in self.traits.items())


def random_program(
    seed,
    *,
    scenarios=None,
    assets=None,
    returns=None,
    probabilities=None,
    level=None,
    bounds=None,
    rows=None,
    question=None,
    budget=None,
):
    """Draw a program; traits that are None at random."""
    rng = np.random.default_rng(seed)
    drawn = {
        "scenarios": int(rng.choice(SIZES)),
        "assets": int(rng.integers(1, 12)),
        "returns": str(rng.choice(list(RETURNS))),
        "probabilities": str(rng.choice(["equal", "equal", *PROBABILITIES])),
        "level": str(rng.choice(list(LEVELS))),
        "bounds": str(rng.choice(["long", "long", "capped", "short", *BOUNDS])),
        "rows": str(rng.choice(ROWS)),
        "question": str(rng.choice(QUESTIONS)),
        "budget": float(rng.choice([1.0, 1.0, 1.0, 1e6, 1e-3])),
    }
    given = {
        "scenarios": scenarios,
        "assets": assets,
        "returns": returns,
        "probabilities": probabilities,
        "level": level,
        "bounds": bounds,
        "rows": rows,
        "question": question,
        "budget": budget,
    }
    traits = {key: drawn[key] if given[key] is None else given[key] for key in drawn}
    return Instance(_program(rng, **traits), {"seed": seed, **traits})


def _program(rng, scenarios, assets, returns, probabilities, level, bounds, rows, question, budget):
    data = RETURNS[returns](rng, scenarios, assets)
    own = ArrayScenarios(np.ascontiguousarray(data), PROBABILITIES[probabilities](rng, scenarios))
    confidence = LEVELS[level](scenarios)
    size = float(np.median(data.std(axis=0))) or float(np.abs(data).max()) or 1.0
    lower, upper = (budget * side for side in BOUNDS[bounds](rng, assets))
    cost = np.zeros(assets)
    A_eq, b_eq = np.ones((1, assets)), np.array([budget])
    A_ub, b_ub = _rows(rng, rows, data, budget)
    term = RiskTerm(own, confidence)
    risks, limits = ((1.0, term),), ()
    if question == "mean":
        cost = -data.mean(axis=0) * rng.choice([0.1, 1, 10])
    elif question == "mixture":
        risks = ((0.4, term), (0.6, RiskTerm(own, 0.8)))
    elif question == "base":
        risks = ((1.0, RiskTerm(own, confidence, base=budget * size * rng.standard_normal(scenarios))),)
    elif question == "part":
        risks = ((1.0, RiskTerm(own, confidence, exposure=(rng.random(assets) < 0.6) * rng.choice([1.0, 2.0]))),)
    elif question in ("limit", "two limits", "limit and es"):
        cost, risks = -data.mean(axis=0), ()
        limits = _limits(rng, own, confidence, budget, 2 if question == "two limits" else 1)
        if question == "limit and es":
            risks = ((0.5, RiskTerm(own, 0.9)),)
    elif question == "worst":
        other = data[rng.permutation(scenarios)[: max(1, scenarios // 2)]] * 1.3
        slope = np.append(np.zeros(assets), -1.0)
        limits = (
            RiskLimit(term, slope, 0.0, "first"),
            RiskLimit(RiskTerm(ArrayScenarios(np.ascontiguousarray(other)), confidence), slope, 0.0, "second"),
        )
        risks, cost = (), np.append(cost, 1.0)
        lower, upper = np.append(lower, -np.inf), np.append(upper, np.inf)
        A_eq, A_ub = np.pad(A_eq, ((0, 0), (0, 1))), np.pad(A_ub, ((0, 0), (0, 1)))
    elif question == "no budget":
        A_eq, b_eq = np.zeros((0, assets)), np.zeros(0)
    return Program(
        n_assets=assets,
        cost=cost,
        risks=risks,
        lower=lower,
        upper=upper,
        A_eq=A_eq,
        b_eq=b_eq,
        A_ub=A_ub,
        b_ub=b_ub,
        names_eq=("budget",) * len(b_eq),
        names_ub=tuple(f"row {number}" for number in range(len(b_ub))),
        limits=limits,
    )


def _rows(rng, rows, data, budget):
    assets = data.shape[1]
    mean = data.mean(axis=0)
    target = {
        "target": 0.3 * mean.min() + 0.7 * mean.max(),
        "most": mean.max(),
        "too much": mean.max() + 0.1 * abs(mean.max()),
    }
    if rows in target:
        return -mean[None], np.array([-target[rows] * budget])
    count = {"none": 0, "group": 1, "many": 2 * assets + 3}[rows]
    members = (rng.random((count, assets)) < 0.5).astype(float)
    return members, budget * rng.uniform(0.55, 1.0, count)


def _limits(rng, own, level, budget, count):
    """Limits near the ES of equal weights, the second at another level and of a part of the assets."""
    x = np.full(own.n_assets, budget / own.n_assets)
    first = own.es_var(x, level, None)[0]
    limits = [RiskLimit(RiskTerm(own, level), 0.0 * x, first + abs(first) * rng.choice([0.0, 0.05, -0.05]), "first")]
    if count == 2:
        other = RiskTerm(own, 0.8, exposure=(rng.random(own.n_assets) < 0.6).astype(float))
        second = own.es_var(x, 0.8, None)[0]
        limits.append(RiskLimit(other, 0.0 * x, second + 0.1 * abs(second), "second"))
    return tuple(limits)
