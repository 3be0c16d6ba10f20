"""A function of your own: every one marked with `@endpoint` in this folder is deployed at boot.

In a Tableau calculated field:

    MODEL_EXTENSION_REAL("Outlier Score", "values", SUM([Sales]))
"""

import numpy as np

from tabpy.tabpy_tools.endpoint import endpoint


@endpoint(
    name="Outlier Score",
    description="How many robust standard deviations each value lies from the median",
    is_public=True,
    requirements=["numpy"],
)
def outlier_score(values: list[float | None]) -> list[float | None]:
    """The modified z-score of each value; beyond 3.5 on either side it is usually an outlier.

    Median and median absolute deviation take the place of mean and standard deviation, which an
    outlier itself would shift. Where over half of the values are alike that deviation is 0, and
    the mean absolute deviation stands in. A missing value scores null; values that are all alike
    score 0. Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993).
    """
    x = np.array(values, dtype=float)  # null becomes NaN
    known = ~np.isnan(x)
    if not known.any():
        return [None] * len(x)
    distance = x - np.median(x[known])
    spread = 1.4826 * np.median(np.abs(distance[known]))
    if spread == 0:
        spread = 1.2533 * np.mean(np.abs(distance[known]))
    scores = distance / spread if spread else distance
    return [float(score) if there else None for score, there in zip(scores, known, strict=True)]
