"""The predeployed functions: what `tabpy-deploy-models` puts on a server."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tabpy.models.scripts.ANOVA import anova
from tabpy.models.scripts.PCA import PCA
from tabpy.models.scripts.SentimentAnalysis import SentimentAnalysis
from tabpy.models.scripts.tTest import ttest


class Predeployed(NamedTuple):
    """A function, the public name and description of its endpoint, and what it needs."""

    name: str
    function: Callable[..., Any]
    description: str
    requirements: tuple[str, ...]


PREDEPLOYED = (
    Predeployed(
        "PCA",
        PCA,
        "The scores of one principal component of the given columns",
        ("numpy", "pandas", "scikit-learn"),
    ),
    Predeployed(
        "Sentiment Analysis",
        SentimentAnalysis,
        "The sentiment of each text, from -1 to 1",
        ("vaderSentiment", "textblob"),
    ),
    Predeployed(
        "ttest", ttest, "The p-value of a t-test: one sample, two, or a binary factor", ("scipy",)
    ),
    Predeployed("anova", anova, "The p-value of a one-way analysis of variance", ("scipy",)),
)
