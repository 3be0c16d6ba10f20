"""The predeployed functions and the example of one's own: what they compute, what they need."""

import math
import runpy
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from scipy import stats

import tabpy.models.scripts
from tabpy.models import PREDEPLOYED
from tabpy.tabpy_tools.names import check_endpoint_name

by_name: dict[str, Callable[..., Any]] = {model.name: model.function for model in PREDEPLOYED}
pca, sentiment = by_name["PCA"], by_name["Sentiment Analysis"]
ttest, anova = by_name["ttest"], by_name["anova"]

HEIGHT = [1.0, 2.0, 3.0, 4.0, 7.0]
WEIGHT = [2.0, 1.0, 4.0, 3.0, 9.0]
NAN = math.nan


def test_endpoint_names_are_tabpys() -> None:
    assert list(by_name) == ["PCA", "Sentiment Analysis", "ttest", "anova"]
    for name in by_name:
        check_endpoint_name(name)


class TestPCA:
    def test_scores_are_projections_on_the_eigenvectors_of_the_correlations(self) -> None:
        scaled = np.column_stack([stats.zscore(HEIGHT), stats.zscore(WEIGHT)])
        _, vectors = np.linalg.eigh(np.corrcoef(scaled.T))
        for component, vector in ((1, vectors[:, -1]), (2, vectors[:, 0])):
            expected = scaled @ vector
            scores = np.array(pca(component, HEIGHT, WEIGHT))
            assert np.allclose(scores, expected) or np.allclose(scores, -expected)

    def test_text_becomes_a_0_1_column_for_each_distinct_value(self) -> None:
        colour = ["red", "blue", "red", "green", "blue"]
        flags = [[c == value for c in colour] for value in ("blue", "green", "red")]
        assert pca(1, HEIGHT, colour) == pytest.approx(pca(1, HEIGHT, *flags))

    @pytest.mark.parametrize("component", [2, 2.0, [2, 2, 2, 2, 2]])
    def test_component_may_be_a_tableau_parameter(self, component: object) -> None:
        assert pca(component, HEIGHT, WEIGHT) == pytest.approx(pca(2, HEIGHT, WEIGHT))

    @pytest.mark.parametrize("missing", [None, NAN, ""])
    def test_row_with_a_missing_value_scores_null_and_counts_for_nothing(
        self, missing: object
    ) -> None:
        size = ["s", "m", missing, "s", "l"]
        scores = pca(1, HEIGHT, size)
        assert scores[2] is None
        del scores[2], size[2]
        assert scores == pytest.approx(pca(1, HEIGHT[:2] + HEIGHT[3:], size))

    def test_null_among_booleans_leaves_them_numbers(self) -> None:
        flags = [True, None, False, True, False]
        assert pca(1, HEIGHT, flags) == pca(1, HEIGHT, [1, None, 0, 1, 0])

    def test_column_without_variance_is_harmless(self) -> None:
        assert np.isfinite(pca(1, HEIGHT, [3] * 5)).all()

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            ((0, HEIGHT, WEIGHT), "from 1 to 2.* not 0"),
            ((3, HEIGHT, WEIGHT), "from 1 to 2.* not 3"),
            (([1, 2], HEIGHT, WEIGHT), "one whole number"),
            ((None, HEIGHT, WEIGHT), "one whole number"),
            ((1, HEIGHT, WEIGHT[:3]), "_arg1 has 5 values, _arg2 has 3"),
            ((1, list(range(26)), [f"c{n}" for n in range(26)]), "_arg2 has 26"),
            ((1, HEIGHT, [1, 2, math.inf, 4, 5]), "_arg2 holds an infinity"),
            ((1, [None] * 5, WEIGHT), "two rows"),
            ((1, 5.0, 6.0), "two rows"),
        ],
    )
    def test_impossible_input_is_named(self, arguments: tuple[Any, ...], complaint: str) -> None:
        with pytest.raises(ValueError, match=complaint):
            pca(*arguments)

    def test_25_distinct_values_are_still_allowed(self) -> None:
        assert len(pca(1, list(range(25)), [f"c{n}" for n in range(25)])) == 25


class TestSentiment:
    # The score of VADER's sentence is the one its authors publish.
    @pytest.mark.parametrize(
        ("library", "text", "score"),
        [
            ("nltk", "VADER is smart, handsome, and funny.", 0.8316),
            ("nltk", "Today SUX!", -0.5461),
            ("textblob", "A great day", 0.8),
            ("textblob", "A horrible day", -1.0),
            ("TextBlob", "A great day", 0.8),
            (["textblob", "textblob"], "A great day", 0.8),
        ],
    )
    def test_known_scores(self, library: object, text: str, score: float) -> None:
        assert sentiment([text], library=library) == [pytest.approx(score)]

    def test_vader_is_the_default(self) -> None:
        assert sentiment(["A great day"]) == sentiment(["A great day"], "nltk")
        assert sentiment(["A great day"]) != sentiment(["A great day"], "textblob")

    @pytest.mark.parametrize("library", ["nltk", "textblob"])
    def test_every_row_gets_a_score_and_missing_ones_null(self, library: str) -> None:
        assert sentiment(["", None, NAN, "table"], library) == [0, None, None, 0]

    def test_bare_text_is_one_row(self) -> None:
        assert sentiment("I love it") == sentiment(["I love it"])

    @pytest.mark.parametrize("library", ["nltk", "textblob"])
    def test_nothing_is_downloaded(self, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            pytest.fail("opened a connection")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        assert sentiment(["good"], library)[0] > 0

    def test_what_is_no_text_is_named(self) -> None:
        with pytest.raises(TypeError, match="row 2 is 7"):
            sentiment(["fine", 7])

    @pytest.mark.parametrize("library", ["spacy", None, ["nltk", "textblob"]])
    def test_other_libraries_are_refused(self, library: object) -> None:
        with pytest.raises(ValueError, match="'nltk' or 'textblob'"):
            sentiment(["fine"], library=library)


class TestTTest:
    @pytest.mark.parametrize("mean", [[5.0], 5.0, [5.0] * 5])
    def test_one_number_is_the_mean_to_compare_with(self, mean: object) -> None:
        expected = stats.ttest_1samp(HEIGHT, 5).pvalue
        assert ttest(HEIGHT, mean) == pytest.approx(expected)

    def test_numbers_are_a_second_sample_of_any_length(self) -> None:
        expected = stats.ttest_ind(HEIGHT, [9, 8, 20], equal_var=False).pvalue
        assert ttest(HEIGHT, [9, 8, 20]) == pytest.approx(expected)

    @pytest.mark.parametrize("levels", [("m", "f"), (0, 1), (True, False)])
    def test_two_distinct_values_are_a_factor(self, levels: tuple[object, object]) -> None:
        a, b = levels
        expected = stats.ttest_ind([1, 3, 7], [2, 4], equal_var=False).pvalue
        assert ttest(HEIGHT, [a, b, a, b, a]) == pytest.approx(expected)

    def test_two_numbers_that_are_no_factor_are_a_sample(self) -> None:
        expected = stats.ttest_ind(HEIGHT, [1, 2], equal_var=False).pvalue
        assert ttest(HEIGHT, [1, 2]) == pytest.approx(expected)

    @pytest.mark.parametrize("missing", [None, NAN])
    def test_missing_values_are_left_out(self, missing: object) -> None:
        assert ttest([*HEIGHT, missing], [missing, *WEIGHT]) == ttest(HEIGHT, WEIGHT)
        factor = ["m", "f", "m", "f", "m"]
        assert ttest([*HEIGHT, missing, 100], [*factor, "m", missing]) == ttest(HEIGHT, factor)

    @pytest.mark.parametrize(
        "samples", [([1], [2, 3, 4]), ([], [2, 3, 4]), (HEIGHT, [None]), ([3, 3, 3], [3])]
    )
    def test_without_a_p_value_there_is_none(self, samples: tuple[list[Any], list[Any]]) -> None:
        assert math.isnan(ttest(*samples))

    @pytest.mark.parametrize("factor", [["m", "f"], list("mfxmf"), ["m"] * 5, ["m"]])
    def test_factor_that_makes_no_two_samples_is_refused(self, factor: list[str]) -> None:
        with pytest.raises(ValueError, match="factor of two distinct values"):
            ttest(HEIGHT, factor)

    def test_text_as_a_sample_is_refused(self) -> None:
        with pytest.raises(TypeError, match="_arg1 holds 'tall'"):
            ttest([1, "tall"], WEIGHT)


class TestAnova:
    def test_published_example(self) -> None:
        # Mussel shells at five places; scipy's documentation of f_oneway gives the result.
        tillamook = [0.0571, 0.0813, 0.0831, 0.0976, 0.0817, 0.0859, 0.0735, 0.0659, 0.0923, 0.0836]
        newport = [0.0873, 0.0662, 0.0672, 0.0819, 0.0749, 0.0649, 0.0835, 0.0725]
        petersburg = [0.0974, 0.1352, 0.0817, 0.1016, 0.0968, 0.1064, 0.105]
        magadan = [0.1033, 0.0915, 0.0781, 0.0685, 0.0677, 0.0697, 0.0764, 0.0689]
        tvarminne = [0.0703, 0.1026, 0.0956, 0.0973, 0.1039, 0.1045]
        p = anova(tillamook, newport, petersburg, magadan, tvarminne)
        assert p == pytest.approx(0.0002812242314534544)

    def test_two_groups_agree_with_students_t_test(self) -> None:
        assert anova(HEIGHT, WEIGHT) == pytest.approx(stats.ttest_ind(HEIGHT, WEIGHT).pvalue)

    def test_missing_values_are_left_out(self) -> None:
        assert anova([*HEIGHT, None], [NAN, *WEIGHT], [5, 6]) == anova(HEIGHT, WEIGHT, [5, 6])

    @pytest.mark.parametrize("groups", [(HEIGHT, []), ([1], [2]), ([1, 1], [1, 1])])
    def test_without_a_p_value_there_is_none(self, groups: tuple[list[Any], ...]) -> None:
        assert math.isnan(anova(*groups))

    def test_text_is_refused(self) -> None:
        with pytest.raises(TypeError, match="_arg3 holds 'many'"):
            anova(HEIGHT, WEIGHT, [1, "many"])


class TestExample:
    example = runpy.run_path(str(Path(__file__).parents[2] / "models" / "example.py"))
    score = staticmethod(example["outlier_score"])

    def test_is_marked_as_an_endpoint(self) -> None:
        assert vars(self.score)["__tabpy_endpoint__"].name == "Outlier Score"

    def test_outlier_stands_out_by_the_spread_of_the_others(self) -> None:
        # Median 3; absolute deviations 2 1 0 1 97, so their median is 1.
        scores = self.score([1, 2, 3, 4, 100])
        assert scores == pytest.approx([n / 1.4826 for n in (-2, -1, 0, 1, 97)])

    def test_mostly_equal_values_are_measured_by_the_mean_deviation(self) -> None:
        assert self.score([5, 5, 5, 5, 15]) == pytest.approx([0, 0, 0, 0, 10 / (1.2533 * 2)])

    @pytest.mark.parametrize(
        ("values", "scores"),
        [([], []), ([None, NAN], [None, None]), ([7, None, 7], [0, None, 0])],
    )
    def test_missing_values_score_null(self, values: list[Any], scores: list[Any]) -> None:
        assert self.score(values) == scores


@pytest.mark.parametrize(
    ("name", "arguments", "library", "advice"),
    [
        ("PCA", (1, HEIGHT, WEIGHT), "sklearn", "pip install scikit-learn"),
        ("Sentiment Analysis", (["good"],), "vaderSentiment", "pip install vaderSentiment"),
        ("Sentiment Analysis", (["good"], "textblob"), "textblob", "pip install textblob"),
        ("ttest", (HEIGHT, WEIGHT), "scipy", "pip install scipy"),
        ("anova", (HEIGHT, WEIGHT), "scipy", "pip install scipy"),
    ],
)
def test_missing_library_is_named_with_what_to_install(
    name: str,
    arguments: tuple[Any, ...],
    library: str,
    advice: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in [m for m in sys.modules if m.partition(".")[0] == library]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=advice):
        by_name[name](*arguments)


def test_deployed_functions_run_where_this_package_is_not(tmp_path: Path) -> None:
    calls = [
        (pca, (1, HEIGHT, ["a", "b", "a", "b", "c"])),
        (sentiment, (["good", None],)),
        (sentiment, (["good"], "textblob")),
        (ttest, (HEIGHT, WEIGHT)),
        (anova, (HEIGHT, WEIGHT)),
    ]
    cloudpickle.register_pickle_by_value(tabpy.models.scripts)
    try:
        pickled = cloudpickle.dumps(calls)
    finally:
        cloudpickle.unregister_pickle_by_value(tabpy.models.scripts)
    (tmp_path / "calls").write_bytes(pickled)
    program = (
        "import pickle, sys; sys.modules['tabpy'] = None; "
        "print([f(*a) for f, a in pickle.load(open('calls', 'rb'))])"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == str([function(*arguments) for function, arguments in calls])
