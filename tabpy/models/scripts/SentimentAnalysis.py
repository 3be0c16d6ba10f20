# ruff: noqa: N802, N999 - the names are TabPy's, and workbooks and guides rely on them
"""Sentiment of English texts."""


def SentimentAnalysis(
    _arg1: str | list[str | None], library: str | list[str] = "nltk"
) -> list[float | None]:
    """A score for each text, from -1 (negative) over 0 (neutral) to 1 (positive).

    `library` is "nltk", the compound score of VADER, or "textblob", the polarity of TextBlob's
    pattern analyser; a list that repeats one name, as Tableau sends a parameter, will do. Both
    lexicons come inside their packages: nothing is downloaded. VADER is its authors' own
    vaderSentiment, from which nltk's copy differs in a few rules and in ignoring emoji.

    A missing text (null or NaN) scores null. Raises TypeError for what isn't text and ValueError
    for another library.
    """
    import math

    names = set(library) if isinstance(library, (list, tuple)) else {library}
    chosen = str(names.pop()).lower() if len(names) == 1 else None
    try:
        if chosen == "nltk":
            from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

            vader = SentimentIntensityAnalyzer()

            def score(text: str) -> float:
                return float(vader.polarity_scores(text)["compound"])

        elif chosen == "textblob":
            from textblob import TextBlob

            def score(text: str) -> float:
                return float(TextBlob(text).sentiment.polarity)

        else:
            raise ValueError(f"library must be 'nltk' or 'textblob', not {library!r:.40}")
    except ImportError as error:
        package = "vaderSentiment" if chosen == "nltk" else "textblob"
        raise ImportError(
            f"Sentiment Analysis with library={chosen!r} needs {package} on the server: "
            f"pip install {package}"
        ) from error

    scores: list[float | None] = []
    for row, text in enumerate([_arg1] if isinstance(_arg1, str) else _arg1, start=1):
        if isinstance(text, str):
            scores.append(score(text))
        elif text is None or (isinstance(text, float) and math.isnan(text)):
            scores.append(None)
        else:
            raise TypeError(f"_arg1 must hold texts, and row {row} is {text!r:.40}")
    return scores


if __name__ == "__main__":
    from tabpy.models.utils.setup_utils import deploy_predeployed

    deploy_predeployed("Sentiment Analysis")
