# ruff: noqa: N999 - the name is TabPy's, and guides rely on it
"""Student's t-test in its three common forms."""


def ttest(_arg1: list[float | None], _arg2: list[object]) -> float:
    """The two-sided p-value of the hypothesis that two means are the same.

    What `_arg2` holds decides which means:

    - one number: the mean of `_arg1`, and that number;
    - two distinct values, one for each of `_arg1`: a factor that splits `_arg1` into two samples;
    - other numbers: a second sample, of any length.

    Two samples are compared without assuming equal variances (Welch). Missing values (null or NaN)
    are left out, with a factor the whole row. NaN, which reaches Tableau as null, where there is no
    p-value: a sample has under two values, or nothing varies. Raises TypeError for samples that
    aren't numeric and ValueError for a factor that doesn't split `_arg1` in two.
    """
    import math
    import numbers
    import warnings

    try:
        from scipy import stats
    except ImportError as error:
        raise ImportError("ttest needs scipy on the server: pip install scipy") from error

    def present(value: object) -> bool:
        return value is not None and not (isinstance(value, float) and math.isnan(value))

    first = list(_arg1)
    for value in filter(present, first):
        if not isinstance(value, numbers.Real):
            raise TypeError(f"ttest needs numbers, and _arg1 holds {value!r:.40}")
    second = list(_arg2) if hasattr(_arg2, "__iter__") else [_arg2]  # a bare number will do
    levels = set(filter(present, second))
    numeric = all(isinstance(level, numbers.Real) for level in levels)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns where it answers NaN
        if len(second) == len(levels) == 1 and numeric:
            test = stats.ttest_1samp(list(filter(present, first)), second[0])
        elif len(levels) == 2 and len(first) == len(second):
            level = levels.pop()
            rows = [row for row in zip(first, second, strict=True) if all(map(present, row))]
            inside = [value for value, at in rows if at == level]
            outside = [value for value, at in rows if at != level]
            test = stats.ttest_ind(inside, outside, equal_var=False)
        elif numeric:
            samples = [list(filter(present, sample)) for sample in (first, second)]
            test = stats.ttest_ind(*samples, equal_var=False)
        else:
            raise ValueError(
                "_arg2 must be numbers, or a factor of two distinct values, one for each of the "
                f"{len(first)} values of _arg1; it has {len(second)} values, {len(levels)} distinct"
            )
    return float(test.pvalue)


if __name__ == "__main__":
    from tabpy.models.utils.setup_utils import deploy_predeployed

    deploy_predeployed("ttest")
