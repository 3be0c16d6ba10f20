# ruff: noqa: N802, N803, N999 - the names are TabPy's, and workbooks and guides rely on them
"""Principal component analysis."""


def PCA(
    component: int | list[int],
    _arg1: list[object],
    _arg2: list[object],
    *_argN: list[object],
) -> list[float | None]:
    """The scores of one principal component, one a row.

    `component` counts from 1, the component of largest variance; a list that repeats one number,
    as Tableau sends a parameter, will do. The other arguments are columns of equal length. A
    numeric (or boolean) column is used as it is; any other becomes one 0/1 column a distinct
    value, of which it may have 25. All are scaled to mean 0 and variance 1.

    A row with a missing value (null, NaN or an empty string) takes no part and scores null.
    Raises ValueError for columns or a component that this can't be computed from.
    """
    try:
        import numpy as np
        import pandas as pd
        from sklearn import decomposition
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise ImportError(
            "PCA needs scikit-learn and pandas on the server: pip install scikit-learn pandas"
        ) from error

    most_categories = 25
    columns = {
        f"_arg{number}": np.atleast_1d(np.array(column, dtype=object))
        for number, column in enumerate((_arg1, _arg2, *_argN), start=1)
    }
    for name, column in columns.items():
        if len(column) != len(columns["_arg1"]):
            raise ValueError(
                f"PCA needs columns of equal length: _arg1 has {len(columns['_arg1'])} values, "
                f"{name} has {len(column)}"
            )
    data = pd.DataFrame(columns).infer_objects()
    complete = (data.notna() & (data != "")).all(axis=1).to_numpy(dtype=bool)
    rows = int(complete.sum())
    if rows < 2:
        raise ValueError(f"PCA needs two rows without a missing value, and there are {rows}")

    encoded = []
    for name in columns:
        values = data.loc[complete, name].infer_objects()
        if pd.api.types.is_numeric_dtype(values):
            if not np.isfinite(values.to_numpy(dtype=float)).all():
                raise ValueError(f"PCA needs finite numbers, and {name} holds an infinity")
            encoded.append(values.to_numpy(dtype=float).reshape(-1, 1))
            continue
        categories = values.astype(str)
        if categories.nunique() > most_categories:
            raise ValueError(
                f"PCA takes at most {most_categories} distinct values in a column that isn't "
                f"numeric, and {name} has {categories.nunique()}"
            )
        encoded.append(pd.get_dummies(categories, dtype=float).to_numpy())
    # A component's sign is free. In this memory order scikit-learn picks the one TabPy gave.
    matrix = np.asfortranarray(np.hstack(encoded))

    most = min(matrix.shape)
    asked = set(np.ravel(np.array(component, dtype=object)))
    if len(asked) != 1 or not asked <= set(range(1, most + 1)):
        raise ValueError(
            f"component must be one whole number from 1 to {most}, as many as {rows} rows of "
            f"{matrix.shape[1]} encoded columns have, not {component!r:.40}"
        )
    scores = decomposition.PCA().fit_transform(StandardScaler().fit_transform(matrix))
    result: np.ndarray = np.full(len(complete), None, dtype=object)
    result[complete] = scores[:, int(asked.pop()) - 1]
    return list(result)


if __name__ == "__main__":
    from tabpy.models.utils.setup_utils import deploy_predeployed

    deploy_predeployed("PCA")
