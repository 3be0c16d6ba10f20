"""Fitted models as people deploy them: as in `kinds`, but these need scikit-learn."""

# mypy: ignore-errors
# ruff: noqa: N803, PLW0108

import functools

import numpy as np
import pandas as pd
from scipy import interpolate
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    StackingRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVR

from tests.portable.kinds import Kind

X = np.arange(24.0).reshape(12, 2)
Y = X @ [2.0, 1.0]
CLASSES = (Y.mean() < Y).astype(int)
FRAME = pd.DataFrame({"a": X[:, 0], "b": list("xyz") * 4})


def words(text):
    return [word.lower() for word in text.split()]


def similarity(left, right):
    return left @ right.T


def distance(left, right):
    return float(abs(left - right).sum())


def closeness(truth, predicted):
    return -float(abs(truth - predicted).max())


class Half(TransformerMixin, BaseEstimator):
    def __init__(self, by=2):
        self.by = by

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.asarray(X) / self.by


class Mean(RegressorMixin, BaseEstimator):
    """A model of one's own, with `super()` in it."""

    def fit(self, X, y):
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)

    def get_params(self, deep=True):
        return super().get_params(deep)


def _function_of(method):
    """What people write around a model."""

    def function(values):
        return np.round(np.asarray(method(np.asarray(values)), dtype=float), 6).tolist()

    return function


def _models():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, CLASSES)
    grid = GridSearchCV(Ridge(), {"alpha": [0.1, 1]}, scoring=make_scorer(closeness), cv=2)
    columns = ColumnTransformer([("b", OneHotEncoder(), ["b"])], remainder="passthrough")
    frames = make_pipeline(columns, LinearRegression()).fit(FRAME, Y)
    texts = TfidfVectorizer(tokenizer=words, token_pattern=None).fit(["A b", "b c"])
    logarithm = FunctionTransformer(lambda values: np.log1p(values))
    stack = StackingRegressor([("r", Ridge()), ("m", Mean())], cv=2)
    spline = interpolate.CubicSpline([0, 1, 2], [0, 1, 4])
    table = pd.Series([1.0, 2.0, 3.0], index=["x", "y", "z"])
    return {
        "a_regression": LinearRegression().fit(X, Y).predict,
        "a_pipeline": pipeline.predict,
        "a_pipelines_probabilities": pipeline.predict_proba,
        "a_forest": RandomForestClassifier(5, random_state=0).fit(X, CLASSES).predict,
        "gradient_boosting": GradientBoostingClassifier(random_state=0).fit(X, CLASSES).predict,
        "boosting_by_histogram": HistGradientBoostingRegressor().fit(X, Y).predict,
        "an_isolation_forest": IsolationForest(random_state=0).fit(X).score_samples,
        "clusters": KMeans(2, n_init=1, random_state=0).fit(X).predict,
        "components": PCA(1).fit(X).transform,
        "a_kernel_of_ones_own": SVR(kernel=similarity).fit(X, Y).predict,
        "a_metric_of_ones_own": KNeighborsRegressor(2, metric=distance).fit(X, Y).predict,
        "a_search": grid.fit(X, Y).predict,
        "a_stack": stack.fit(X, Y).predict,
        "an_estimator_of_ones_own": Mean().fit(X, Y).predict,
        "a_transformer_of_ones_own": make_pipeline(Half(4), Ridge()).fit(X, Y).predict,
        "a_transformer_of_a_lambda": make_pipeline(logarithm, Ridge()).fit(X, Y).predict,
        "a_tokenizer_of_ones_own": lambda values: texts.transform(["A c"] * len(values)).toarray(),
        "frames": lambda values: frames.predict(FRAME.head(len(values))),
        "a_series": lambda values: table.loc[["x", "z"]].to_numpy() * len(values),
        "a_spline": lambda values: spline(len(values) - 0.5),
        "a_vectorized_function": np.vectorize(lambda x: x + 1),
        "an_array_in_a_partial": functools.partial(np.add, np.array([1.0, 2.0])),
    }  # fmt: skip


_ARGUMENT = [[1.0, 2.0], [20.0, 21.0]]
MODELS = {}
for _name, _method in _models().items():
    _function = _function_of(_method)
    MODELS[_name] = Kind(_function, (_ARGUMENT,), _function(_ARGUMENT))
