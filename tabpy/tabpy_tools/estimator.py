"""A fitted estimator as a function of columns, for Tableau to call."""

from collections.abc import Iterable, Sequence
from typing import Any

from tabpy.tabpy_tools.jsonable import values_of
from tabpy.tabpy_tools.schema import generate_schema

_TRIED = 2  # rows of the training data


class EstimatorFunction:
    """Predicts from columns: one list for each of `columns`, in that order or by these names.

    `estimator` has `predict`, and `predict_proba` where `position` says which class's probability
    is wanted, as scikit-learn's estimators and pipelines do. `names` is the order of columns that
    it was fitted with, empty where it was fitted without names; `dtypes` are those of columns whose
    values JSON can't carry as they are.

    The class's place and the names of its attributes are part of an archive's format, since it is
    pickled by reference: so the archive has no code of this Python's in it.
    """

    def __init__(
        self,
        estimator: Any,
        columns: Sequence[str],
        position: int | None = None,
        names: Sequence[str] = (),
        dtypes: dict[str, Any] | None = None,
    ) -> None:
        self.estimator = estimator
        self.columns = list(columns)
        self.position = position
        self.names = list(names)
        self.dtypes = dtypes or {}
        self.__name__ = type(estimator).__name__
        self.__doc__ = description_of(self)

    def __call__(self, *values: Any, **named: Any) -> list[Any]:
        """Return one prediction for each row."""
        rows = self._rows(self._by_column(values, named))
        if self.position is None:
            predicted = self.estimator.predict(rows)
        else:
            return [float(row[self.position]) for row in self.estimator.predict_proba(rows)]
        listed: list[Any] = predicted.tolist() if hasattr(predicted, "tolist") else list(predicted)
        return listed

    def _by_column(self, values: Sequence[Any], named: dict[str, Any]) -> dict[str, Any]:
        given = dict(zip(self.columns, values, strict=False)) | named
        if len(values) > len(self.columns) or given.keys() != set(self.columns):
            got = f"{len(values)} by position" + (f" and {', '.join(named)}" if named else "")
            raise TypeError(f"It takes the columns {', '.join(self.columns)}; it got {got}.")
        return {name: given[name] for name in self.names or self.columns}

    def _rows(self, columns: dict[str, Any]) -> Any:
        if not self.names:
            return [list(row) for row in zip(*columns.values(), strict=True)]
        import pandas as pd

        table = pd.DataFrame(columns)
        return table.astype(self.dtypes) if self.dtypes else table


def function_of(
    estimator: Any,
    columns: Sequence[str] | None,
    training: Any,
    proba: object,
) -> EstimatorFunction:
    """Return the function for a fitted estimator.

    `columns` default to the names that the estimator was fitted with, else to those of the frame
    `training`. `proba`: False for predictions, True for the probability of the second of two
    classes, else the class whose probability is wanted. Raises TypeError and ValueError that say
    what doesn't fit.
    """
    if not callable(getattr(estimator, "predict", None)):
        kind = type(estimator).__name__
        raise TypeError(f"A model has a method predict, as scikit-learn's have; {kind} has none.")
    fitted_with = [str(each) for each in getattr(estimator, "feature_names_in_", ())]
    named: Iterable[Any] = fitted_with or getattr(training, "columns", ())
    if columns is not None:
        named = columns
    if isinstance(named, str):
        raise TypeError(f"columns is a list of names, not the string {named!r}.")
    chosen = [str(each) for each in named]
    if not chosen:
        raise ValueError(
            "Which columns does it take? It was fitted without names: give columns=[...], or the "
            "frame that it was fitted with as training=..."
        )
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"columns has a name twice: {', '.join(chosen)}.")
    if fitted_with and set(fitted_with) != set(chosen):
        raise ValueError(
            f"It was fitted with the columns {', '.join(fitted_with)}, not with "
            f"{', '.join(chosen)}: give these, in any order."
        )
    # One that says how many columns it was fitted with would have said their names, too.
    is_said = fitted_with or hasattr(estimator, "n_features_in_")
    names = fitted_with if is_said else chosen if hasattr(training, "columns") else ()
    position = _position(estimator, proba)
    return EstimatorFunction(estimator, chosen, position, names, _dtypes(training, names))


def description_of(function: EstimatorFunction) -> str:
    """Return what a person reads of an estimator."""
    steps = [step for _, step in getattr(function.estimator, "steps", ())]
    kinds = ", ".join(type(each).__name__ for each in steps or [function.estimator])
    what = "Predicts" if function.position is None else f"Probability of {_class(function)}"
    return f"{what} from {', '.join(function.columns)} ({kinds})"


def schema_of(function: EstimatorFunction, training: Any) -> dict[str, Any]:
    """Return the schema: with the types that the columns have in a frame, but none of its values.

    Calls the function with the first rows of the frame, so that a mistake shows here and not on the
    server. Raises what it raises, and TypeError or ValueError for a frame that can't be the one.
    """
    if training is None:
        return {"input": _arrays(function.columns), "output": _output(function)}
    if not hasattr(training, "columns"):
        raise TypeError(f"training is a DataFrame, not a {type(training).__name__}.")
    names = {str(each): each for each in training.columns}
    if missing := [each for each in function.columns if each not in names]:
        raise ValueError(f"training has no column {', '.join(missing)}.")
    some = training.head(_TRIED)
    tried = values_of({each: list(some[names[each]]) for each in function.columns})
    schema = generate_schema(tried, function(**tried))
    return {key: schema[key] for key in ("input", "output")}


def _arrays(columns: Sequence[str]) -> dict[str, Any]:
    properties = {each: {"type": "array"} for each in columns}
    return {"type": "object", "properties": properties, "required": sorted(columns)}


def _output(function: EstimatorFunction) -> dict[str, Any]:
    classes = values_of(getattr(function.estimator, "classes_", ()))
    if function.position is None and classes:
        return dict(generate_schema(0, classes)["output"])
    return {"type": "array", "items": {"type": "number"}}


def _position(estimator: Any, proba: object) -> int | None:
    if proba is False:
        return None
    classes = list(getattr(estimator, "classes_", ()))
    shown = ", ".join(map(str, classes))
    if not callable(getattr(estimator, "predict_proba", None)) or not classes:
        kind = type(estimator).__name__
        raise ValueError(f"{kind} tells no probabilities: leave proba out.")
    if proba is True and len(classes) == 2:
        return 1
    if proba is True:
        raise ValueError(f"Whose probability? Give proba one of the classes: {shown}.")
    if proba not in classes:
        raise ValueError(f"{proba!r} is no class of it; these are: {shown}.")
    return classes.index(proba)


def _class(function: EstimatorFunction) -> str:
    return str(function.estimator.classes_[function.position])


def _dtypes(training: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the dtypes of dates and categories, which come as strings and numbers."""
    found: Any = getattr(training, "dtypes", ())
    if not names or not hasattr(found, "items"):  # only pandas has them by name
        return {}
    dtypes = {str(name): dtype for name, dtype in found.items()}
    return {
        name: dtypes[name]
        for name in names
        if name in dtypes and (dtypes[name].kind == "M" or str(dtypes[name]) == "category")
    }
