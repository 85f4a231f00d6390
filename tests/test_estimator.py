"""MinimumES among the tools of scikit-learn and skfolio, and without them."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import cshortfall
from cshortfall.datasets import load_equity_returns
from cshortfall.optimize import Constraints, InfeasibleError, MinimumES, minimize_es

_, NAMES, RETURNS = load_equity_returns()
RETURNS = RETURNS[:600, :6]
FRAME = pd.DataFrame(RETURNS, columns=NAMES[:6])

# Run in a process of its own, in which there is no scikit-learn.
ALONE = """
import sys
sys.modules["sklearn"] = None
import numpy as np
from cshortfall.optimize import MinimumES
"""


def alone(code):
    process = subprocess.run([sys.executable, "-c", ALONE + code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


class TestItself:
    def test_the_weights_are_those_of_minimize_es(self):
        model = MinimumES(0.95, bounds=(0, 0.3), return_target=0.0004).fit(RETURNS)
        result = minimize_es(RETURNS, 0.95, bounds=(0, 0.3), return_target=0.0004)
        np.testing.assert_array_equal(model.weights_, result.weights)
        assert model.es_ == result.es == model.result_.es
        assert model.n_features_in_ == 6
        assert not hasattr(model, "feature_names_in_")

    def test_prediction_is_the_return_of_the_portfolio_and_score_minus_its_es(self):
        model = MinimumES().fit(RETURNS[:400])
        predicted = model.predict(RETURNS[400:])
        np.testing.assert_allclose(predicted, RETURNS[400:] @ model.weights_, rtol=1e-14)
        assert model.score(RETURNS[400:]) == -cshortfall.es(predicted)
        assert model.score(RETURNS[:400]) == pytest.approx(-model.es_, rel=1e-13)

    def test_assets_are_named_where_the_data_are_a_frame(self):
        model = MinimumES(groups={"two": (list(NAMES[:2]), 0.5, None)}, bounds={NAMES[5]: (0, 0)}).fit(FRAME)
        assert model.feature_names_in_.tolist() == list(NAMES[:6])
        assert model.weights_[:2].sum() >= 0.5 - 1e-9
        assert model.weights_[5] == 0
        assert model.result_.weights.index.tolist() == list(NAMES[:6])
        assert isinstance(model.weights_, np.ndarray)

    def test_a_polars_frame_has_names_too(self):
        polars = pytest.importorskip("polars")
        model = MinimumES(bounds={NAMES[5]: (0, 0)}).fit(polars.from_pandas(FRAME))
        assert model.weights_.shape == (6,)
        assert model.weights_[5] == 0

    def test_sample_weights_are_probabilities(self):
        weights = np.random.default_rng(1).integers(0, 3, len(RETURNS))
        model = MinimumES(0.9).fit(RETURNS, sample_weight=weights)
        repeated = np.repeat(RETURNS, weights, axis=0)
        assert model.es_ == pytest.approx(MinimumES(0.9).fit(repeated).es_, rel=1e-9)
        assert model.score(RETURNS, sample_weight=weights) == pytest.approx(-model.es_, rel=1e-12)

    def test_parameters_are_kept_as_they_were_given(self):
        given = {"level": 0.9, "bounds": [(0, 1)] * 6, "mean": pd.Series(0.0, index=NAMES[:6]), "es_limits": []}
        model = MinimumES(**given)
        assert all(model.get_params()[name] is value for name, value in given.items())

    def test_the_parameters_are_all_of_minimize_es_but_what_belongs_to_the_data(self):
        from cshortfall.optimize._question import Keywords

        expected = {*Keywords.__annotations__, *Constraints.__dataclass_fields__, "level", "mean_weight"}
        assert set(MinimumES().get_params()) == expected - {"probabilities", "start"}

    def test_keywords_take_the_place_of_constraints(self):
        both = Constraints(bounds=(0, 0.3), return_target=0.0004)
        model = MinimumES(constraints=both, bounds=(0, 0.25)).fit(RETURNS)
        np.testing.assert_array_equal(
            model.weights_, minimize_es(RETURNS, bounds=(0, 0.25), return_target=0.0004).weights
        )

    def test_a_copy_sent_to_another_process_has_the_same_constraints(self):
        model = pickle.loads(pickle.dumps(MinimumES(constraints=Constraints(bounds=(0, 0.25)))))
        assert model.fit(RETURNS).weights_.max() <= 0.25 + 1e-9

    def test_a_fitted_one_survives_pickling(self):
        model = MinimumES().fit(RETURNS)
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.predict(RETURNS), model.predict(RETURNS))
        assert again.result_.gap == model.result_.gap

    def test_errors_of_the_optimisation_come_through(self):
        with pytest.raises(InfeasibleError, match="budget"):
            MinimumES(bounds=(0, 0.1)).fit(RETURNS)
        with pytest.raises(TypeError, match="constraints must be a Constraints object"):
            MinimumES(constraints={"bounds": (0, 1)}).fit(RETURNS)


class TestWithoutScikitLearn:
    def test_it_fits_predicts_and_scores(self):
        output = alone(
            "x = np.array([[0.04, -0.02], [-0.03, 0.01], [0.02, 0.00], [-0.01, 0.03]])\n"
            "model = MinimumES(0.75).set_params(bounds=(0, 0.6)).fit(x)\n"
            "print(model.weights_.round(6), model.predict(x[:1]).round(6), round(model.score(x), 6), model)"
        )
        assert output == "[0.4 0.6] [0.004] -0.006 MinimumES(level=0.75, bounds=(0, 0.6))"

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("MinimumES().set_params(lever=1)", "no parameter 'lever'"),
            ("MinimumES().predict([[1.0]])", "no weights yet"),
            ("MinimumES().fit([1.0, 2.0])", "X must have shape"),
            ("MinimumES().fit(np.eye(2)).predict(np.eye(3))", "X has 3 columns"),
        ],
    )
    def test_mistakes_are_said(self, code, message):
        output = alone(f"try:\n    {code}\nexcept Exception as error:\n    print(error)")
        assert message in output

    def test_columns_in_another_order_are_refused(self):
        output = alone(
            "import pandas as pd\n"
            "frame = pd.DataFrame(np.eye(2), columns=['a', 'b'])\n"
            "model = MinimumES().fit(frame)\n"
            "print(model.feature_names_in_)\n"
            "try:\n    model.predict(frame[['b', 'a']])\nexcept ValueError as error:\n    print(error)"
        )
        assert output.startswith("['a' 'b']\nX must have the columns")

    def test_the_package_does_not_load_scikit_learn(self):
        code = "import sys, cshortfall.optimize; print('sklearn' in sys.modules)"
        assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


class TestScikitLearn:
    @pytest.fixture(autouse=True)
    def needs_it(self):
        pytest.importorskip("sklearn")

    def test_it_keeps_the_contract_of_estimators(self):
        from sklearn.utils.estimator_checks import check_estimator

        results = check_estimator(MinimumES(), on_skip=None)
        assert {one["check_name"] for one in results if one["status"] != "passed"} <= {"check_array_api_input"}

    def test_clones_are_equal_and_independent(self):
        from sklearn.base import clone

        model = MinimumES(0.9, groups={"g": ([0, 1], None, 0.5)})
        copy = clone(model).set_params(level=0.8)
        assert (model.level, copy.level, copy.groups) == (0.9, 0.8, model.groups)

    def test_cross_validation_scores_out_of_sample_es(self):
        from sklearn.model_selection import TimeSeriesSplit, cross_val_score

        splits = TimeSeriesSplit(4)
        scores = cross_val_score(MinimumES(), FRAME, cv=splits)
        for score, (train, test) in zip(scores, splits.split(RETURNS), strict=True):
            weights = minimize_es(RETURNS[train]).weights
            assert score == pytest.approx(-cshortfall.es(RETURNS[test] @ weights), rel=1e-12)

    def test_a_search_chooses_parameters(self):
        from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

        grid = {"bounds": [(0, 0.2), (0, 0.5), (0, 1)], "level": [0.95]}
        search = GridSearchCV(MinimumES(), grid, cv=TimeSeriesSplit(3)).fit(FRAME)
        assert search.best_params_["bounds"] in grid["bounds"]
        assert search.best_estimator_.es_ > 0

    def test_it_is_the_last_step_of_a_pipeline(self):
        from sklearn.feature_selection import SelectKBest, f_regression
        from sklearn.pipeline import make_pipeline

        pipeline = make_pipeline(SelectKBest(f_regression, k=3), MinimumES())
        model = pipeline.set_output(transform="pandas").fit(FRAME, RETURNS.mean(axis=1))
        assert model[-1].weights_.shape == (3,)
        assert set(model[-1].feature_names_in_) < set(NAMES)
        assert model.predict(FRAME).shape == (len(FRAME),)


class TestSkfolio:
    @pytest.fixture(autouse=True)
    def needs_it(self):
        pytest.importorskip("skfolio")

    def test_its_splitters_work_in_the_tools_of_scikit_learn(self):
        from skfolio.model_selection import WalkForward
        from sklearn.model_selection import cross_val_score

        scores = cross_val_score(MinimumES(), FRAME, cv=WalkForward(test_size=100, train_size=300))
        assert scores.shape == (3,)
        assert (scores < 0).all()

    def test_its_cross_validation_takes_the_adapter(self):
        from skfolio.model_selection import WalkForward, cross_val_predict

        from cshortfall.skfolio import Optimization

        splits = WalkForward(test_size=100, train_size=300)
        path = cross_val_predict(Optimization(MinimumES(0.95, bounds=(0, 0.4))), FRAME, cv=splits)
        for portfolio, (train, test) in zip(path, splits.split(FRAME), strict=True):
            weights = minimize_es(RETURNS[train], 0.95, bounds=(0, 0.4)).weights
            np.testing.assert_allclose(portfolio.weights, weights, atol=1e-12)
            np.testing.assert_allclose(np.asarray(portfolio.returns), RETURNS[test] @ weights, atol=1e-12)

    def test_the_adapter_is_searched_and_piped_like_its_own(self):
        from skfolio.model_selection import WalkForward
        from skfolio.pre_selection import SelectKExtremes
        from sklearn import config_context
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import Pipeline

        from cshortfall.skfolio import Optimization

        pipeline = Pipeline([("some", SelectKExtremes(k=3)), ("least", Optimization())])
        grid = {"least__estimator": [MinimumES()], "least__estimator__level": [0.9, 0.95]}
        with config_context(transform_output="pandas"):
            search = GridSearchCV(pipeline, grid, cv=WalkForward(test_size=100, train_size=300)).fit(FRAME)
            assert search.best_estimator_.score(FRAME) < 0
        assert search.best_params_["least__estimator__level"] in (0.9, 0.95)

    def test_a_failure_is_handled_as_skfolio_does(self):
        from skfolio import FailedPortfolio

        from cshortfall.skfolio import Optimization

        model = Optimization(MinimumES(bounds=(0, 0.1)), raise_on_failure=False)
        with pytest.warns(UserWarning, match="budget"):
            model.fit(FRAME)
        assert isinstance(model.predict(FRAME), FailedPortfolio)
