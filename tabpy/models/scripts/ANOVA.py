# ruff: noqa: N803, N999 - the names are TabPy's, and workbooks and guides rely on them
"""One-way analysis of variance."""


def anova(
    _arg1: list[float | None], _arg2: list[float | None], *_argN: list[float | None]
) -> float:
    """The p-value of the hypothesis that all groups have the same mean.

    Each argument is the numbers of one group; groups may differ in length, and missing values
    (null or NaN) are left out. NaN, which reaches Tableau as null, where there is no p-value: a
    group is empty, none has two values, or all values are alike. Raises TypeError for a group that
    isn't numeric.
    """
    import math
    import numbers
    import warnings

    try:
        from scipy import stats
    except ImportError as error:
        raise ImportError("anova needs scipy on the server: pip install scipy") from error

    groups = []
    for number, column in enumerate((_arg1, _arg2, *_argN), start=1):
        present = [value for value in column if value is not None]
        for value in present:
            if not isinstance(value, numbers.Real):
                raise TypeError(f"anova needs numbers, and _arg{number} holds {value!r:.40}")
        groups.append([value for value in present if not math.isnan(value)])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns where it answers NaN
        return float(stats.f_oneway(*groups).pvalue)


if __name__ == "__main__":
    from tabpy.models.utils.setup_utils import deploy_predeployed

    deploy_predeployed("anova")
