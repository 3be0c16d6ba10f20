"""`deploy_model`: a fitted estimator as a function of columns."""

import io
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.estimator import EstimatorFunction, function_of, schema_of
from tests.client.fake_server import Answer, FakeServer, fake_server
from tests.client.test_deploy import sent_archive, sent_metadata
from tests.running import Server

FRAME = pd.DataFrame(
    {
        "area (m²)": [30.0, 60.0, 90.0, 120.0],
        "kind": ["flat", "house", "flat", "house"],
        "built": pd.to_datetime(["2000-01-01", "2010-01-01", "2020-01-01", "2024-01-01"]),
        "price": [100.0, 300.0, 300.0, 600.0],
        "sold": ["no", "yes", "no", "yes"],
    }
)
COLUMNS = ["area (m²)", "kind"]


def house_prices() -> Pipeline:
    """Fitted with a frame of two columns, of which one is text."""
    columns = make_column_transformer(
        (OneHotEncoder(), ["kind"]), (StandardScaler(), ["area (m²)"])
    )
    return make_pipeline(columns, LinearRegression()).fit(FRAME[COLUMNS], FRAME["price"])


def sold() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(
        FRAME[["area (m²)"]], FRAME["sold"]
    )


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with fake_server() as fake:
        fake.answers["POST /endpoints"] = Answer({"Prices": {"version": 1}}, 201)
        yield fake


def deploy(fake: FakeServer, *arguments: Any, **options: Any) -> Any:
    return Client(fake.url).deploy_model("Prices", *arguments, **options)


def test_it_takes_the_columns_it_was_fitted_with_in_their_order_or_by_name() -> None:
    predict = function_of(house_prices(), None, None, False)
    expected = house_prices().predict(FRAME[COLUMNS]).tolist()
    areas, kinds = FRAME["area (m²)"].tolist(), FRAME["kind"].tolist()
    assert predict(areas, kinds) == pytest.approx(expected)
    assert predict(**{"kind": kinds, "area (m²)": areas}) == pytest.approx(expected)
    assert all(type(each) is float for each in predict(areas, kinds))


def test_another_order_can_be_chosen() -> None:
    predict = function_of(house_prices(), ["kind", "area (m²)"], None, False)
    assert predict(["flat"], [30.0]) == pytest.approx(
        house_prices().predict(FRAME[COLUMNS][:1]).tolist()
    )


def test_a_model_that_was_fitted_without_names_takes_the_columns_that_are_named() -> None:
    fitted = LinearRegression().fit([[1.0, 2.0], [2.0, 1.0], [3.0, 5.0]], [3.0, 3.0, 8.0])
    predict = function_of(fitted, ["a", "b"], None, False)
    assert predict([1.0, 4.0], [1.0, 4.0]) == pytest.approx([2.0, 8.0])
    clusters = KMeans(2, n_init=1, random_state=0).fit([[0.0], [10.0]])
    assert {type(each) for each in function_of(clusters, ["a"], None, False)([1.0, 9.0])} == {int}


def test_the_frame_names_the_columns_of_a_model_that_says_nothing() -> None:
    class Mean:
        def predict(self, table: Any) -> Any:
            return table["a"] + table["b"]

    frame = pd.DataFrame({"a": [1.0], "b": [2.0]})
    assert function_of(Mean(), None, frame, False)([1.0, 2.0], [3.0, 4.0]) == [4.0, 6.0]


@pytest.mark.parametrize("proba", [True, "yes"])
def test_the_probability_of_a_class_can_be_asked_for(proba: object) -> None:
    function = function_of(sold(), None, None, proba)
    expected = sold().predict_proba(FRAME[["area (m²)"]])[:, 1]
    assert function(FRAME["area (m²)"].tolist()) == pytest.approx(list(expected))
    assert function_of(sold(), None, None, "no")([30.0]) == pytest.approx([1 - expected[0]])


def test_dates_and_categories_arrive_as_they_were_fitted() -> None:
    class Years:
        feature_names_in_ = np.array(["built", "kind"])

        def predict(self, table: Any) -> Any:
            return table["built"].dt.year + table["kind"].cat.codes

    frame = FRAME[["built", "kind"]].astype({"kind": "category"})
    function = function_of(Years(), None, frame, False)
    assert function(["2000-01-01T00:00:00", "2010-05-05"], ["flat", "house"]) == [2000, 2011]
    schema = schema_of(function, frame)
    assert schema["input"]["properties"]["built"] == {"type": "array", "items": {"type": "string"}}


class Unfit:
    """No model."""


class ThreeClasses:
    classes_ = np.array(["a", "b", "c"])

    def predict(self, rows: Any) -> Any:
        return rows

    def predict_proba(self, rows: Any) -> Any:
        return rows


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((Unfit(), ["a"], None, False), "has a method predict.*Unfit has none"),
        ((LinearRegression(), None, None, False), r"fitted without names: give columns=\[...\]"),
        ((LinearRegression(), "price", None, False), "list of names, not the string 'price'"),
        ((LinearRegression(), ["a", "a"], None, False), "a name twice: a, a"),
        ((sold(), ["area", "kind"], None, False), r"fitted with the columns area \(m²\), not with"),
        ((LinearRegression(), ["a"], None, True), "tells no probabilities"),
        ((ThreeClasses(), ["a"], None, True), "one of the classes: a, b, c"),
        ((ThreeClasses(), ["a"], None, "d"), "'d' is no class of it; these are: a, b, c"),
    ],
    ids=["no model", "unnamed", "string", "twice", "others", "no proba", "whose", "no class"],
)
def test_what_does_not_fit_together_is_refused(
    fake: FakeServer, arguments: tuple[Any, Any, Any, Any], complaint: str
) -> None:
    estimator, columns, training, proba = arguments
    with pytest.raises((TypeError, ValueError), match=complaint):
        deploy(fake, estimator, columns, training=training, proba=proba)
    assert fake.requests == []


@pytest.mark.parametrize(
    ("training", "complaint"),
    [([[1.0]], "is a DataFrame, not a list"), (FRAME[["kind"]], r"has no column area \(m²\)")],
    ids=["a list", "another frame"],
)
def test_a_frame_that_cannot_be_the_one_is_refused(
    fake: FakeServer, training: Any, complaint: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=complaint):
        deploy(fake, sold(), training=training)
    assert fake.requests == []


def test_a_model_that_fails_with_its_own_data_is_not_deployed(fake: FakeServer) -> None:
    with pytest.raises(ValueError, match=r"[Cc]onvert"):
        deploy(fake, LinearRegression().fit([[1.0]], [1.0]), ["kind"], training=FRAME)
    assert fake.requests == []


@pytest.mark.parametrize(
    "given", [((), {}), (([1.0],), {}), (([1.0], ["a"], [1.0]), {}), (([1.0],), {"sort": ["a"]})]
)
def test_missing_and_surplus_columns_are_named(given: tuple[Any, dict[str, Any]]) -> None:
    args, kwargs = given
    with pytest.raises(TypeError, match=r"takes the columns area \(m²\), kind; it got"):
        function_of(house_prices(), None, None, False)(*args, **kwargs)


def test_the_frame_makes_the_schema_without_its_values(fake: FakeServer) -> None:
    deploy(fake, house_prices(), training=FRAME)
    sent = sent_metadata(fake.last)
    assert sent["schema"]["input"]["properties"] == {
        "area (m²)": {"type": "array", "items": {"type": "number"}},
        "kind": {"type": "array", "items": {"type": "string"}},
    }
    assert sent["schema"]["output"] == {"type": "array", "items": {"type": "number"}}
    assert "sample" not in sent["schema"]


def test_without_a_frame_the_schema_has_what_the_model_knows() -> None:
    function = function_of(sold(), None, None, False)
    assert schema_of(function, None) == {
        "input": {
            "type": "object",
            "properties": {"area (m²)": {"type": "array"}},
            "required": ["area (m²)"],
        },
        "output": {"type": "array", "items": {"type": "string"}},
    }


def test_what_to_paste_has_columns_in_the_order_of_the_function(fake: FakeServer) -> None:
    deployed = deploy(fake, house_prices(), ["kind", "area (m²)"], training=FRAME)
    assert deployed.calculation == (
        'MODEL_EXTENSION_REAL("Prices", "kind,area (m²)", ATTR([kind]), SUM([area (m²)]))'
    )
    assert deployed.script.endswith("ATTR([kind]), SUM([area (m²)]))")


@pytest.mark.parametrize(
    ("options", "description"),
    [
        ({}, "Predicts from area (m²) (StandardScaler, LogisticRegression)"),
        ({"proba": "no"}, "Probability of no from area (m²) (StandardScaler, LogisticRegression)"),
        ({"description": "mine"}, "mine"),
    ],
)
def test_a_description_says_what_it_is(
    fake: FakeServer, options: dict[str, Any], description: str
) -> None:
    deploy(fake, sold(), **options)
    assert sent_metadata(fake.last)["description"] == description


def test_the_archive_has_no_code_in_it_and_no_data(fake: FakeServer) -> None:
    deploy(fake, house_prices(), training=FRAME)
    archive = sent_archive(fake.last)
    assert b"CodeType" not in archive
    assert b"_make_function" not in archive
    assert b"sold" not in archive
    loaded = pickle.load(io.BytesIO(archive))
    assert type(loaded.custom_query) is EstimatorFunction


def test_the_client_imports_neither_scikit_learn_nor_pandas_for_it() -> None:
    code = (
        "import sys; import tabpy.tabpy_tools.estimator as e; "
        "f = e.function_of(type('M', (), {'predict': lambda s, r: r})(), ['a'], None, False); "
        "print(f([1, 2]), {'sklearn', 'pandas', 'numpy'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[[1], [2]] set()\n"


def test_on_a_server(server: Server) -> None:
    client = server.client()
    client.deploy_model("House Prices", house_prices(), training=FRAME)
    try:
        areas, kinds = FRAME["area (m²)"].tolist(), FRAME["kind"].tolist()
        expected = house_prices().predict(FRAME[COLUMNS]).tolist()
        response = client.query("House Prices", areas, kinds)["response"]
        assert response == pytest.approx(expected)
        named = client.query("House Prices", **{"kind": kinds, "area (m²)": areas})["response"]
        assert named == response
    finally:
        client.remove("House Prices")
