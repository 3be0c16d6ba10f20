"""Classes that are partly made by Python itself: enumerations, named tuples, data classes.

What Python made is left out of an archive, and made anew where it is loaded. cloudpickle would take
it along, and each Python makes it in its own way.

Archives name the functions without underscore: they are part of the format.
"""

import collections
import dataclasses
import enum
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

import cloudpickle.cloudpickle as by_value

from tabpy.tabpy_tools.reducers import Reduced

_OPTIONS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
_OF_A_FIELD = (
    "default", "default_factory", "init", "repr", "hash", "compare", "metadata", "kw_only", "doc"
)  # fmt: skip
_FIELD_PARAMETERS = frozenset(inspect.signature(dataclasses.field).parameters)
_FIELDS = "__dataclass_fields__"
_STAND_INS = {
    "_FIELD": object,
    "_FIELD_CLASSVAR": typing.ClassVar,
    "_FIELD_INITVAR": dataclasses.InitVar[object],
}
_OF_A_MEMBER = {"_value_", "_name_", "__objclass__", "_sort_order_"}
_OF_A_DATA_CLASS = {"__dataclass_params__", "__dataclass_fields__", "__replace__"}
# What a class statement makes, in one Python or another.
_OF_A_CLASS = {"__dict__", "__weakref__", "__module__", "__annotate_func__", "__annotate__"}
_OF_A_NAMED_TUPLE = {
    "__new__", "__slots__", "_make", "_replace", "__replace__", "__repr__", "_asdict",
    "__getnewargs__", "_fields", "_field_defaults", "__match_args__",
}  # fmt: skip
_ANNOTATIONS = "__annotations__"


def portable(cls: type, made: Reduced) -> Reduced:
    """Return what makes the class in any Python, where `made` is what cloudpickle would do."""
    if isinstance(cls, enum.EnumMeta):
        return _enumeration(cls, made)
    if _is_named_tuple(cls):
        return _named_tuple(cls)
    make, arguments, (attributes, slots), *rest, finish = made
    attributes = {
        name: value
        for name, value in attributes.items()
        if not _is_from(("typing",), name, value) and name != "__annotations_cache__"
    }
    if sys.version_info >= (3, 14) and (annotations := _annotations(cls)):
        attributes[_ANNOTATIONS] = annotations
    if "__dataclass_params__" in vars(cls):
        return make, arguments, _data_class(cls, attributes), None, None, finish_data_class
    return make, arguments, (attributes, slots), *rest, finish


def _is_from(modules: tuple[str, ...], name: str, value: object) -> bool:
    """Tell whether the special method `name` is a function of one of the modules."""
    function = getattr(value, "__func__", value)
    return name.startswith("__") and getattr(function, "__module__", None) in modules


def _annotations(cls: type) -> dict[str, Any]:
    try:
        return dict(cls.__annotations__)
    except NameError:  # of a class that is nowhere yet
        return {}


def _enumeration(cls: Any, made: Reduced) -> Reduced:
    make, arguments, (attributes, _), *_ = made
    own = {
        name: value
        for name, value in attributes.items()
        if not _is_from(("enum",), name, value)
        and not (name.startswith("_") and name.endswith("_") and _is_made_by_enum(name, value))
    }
    members = {
        name: {key: value for key, value in vars(member).items() if key not in _OF_A_MEMBER}
        for name, member in cls.__members__.items()
    }
    return make, arguments, (own, members), None, None, finish_enumeration


def finish_enumeration(cls: Any, state: tuple[Any, ...]) -> None:
    """Fill an enumeration whose members have been made without the `__init__` of its author."""
    attributes, members = state
    by_value._class_setstate(cls, (attributes, {}))
    for name, own in members.items():
        vars(cls[name]).update(own)


def _is_made_by_enum(name: str, value: object) -> bool:
    if name.startswith("__"):
        return isinstance(value, types.BuiltinFunctionType | types.WrapperDescriptorType)
    return name != "_boundary_" and not isinstance(
        value, types.FunctionType | staticmethod | classmethod
    )


def _is_named_tuple(cls: type) -> bool:
    return cls.__bases__ == (tuple,) and {"_fields", "_field_defaults"} <= vars(cls).keys()


def _named_tuple(cls: Any) -> Reduced:
    left_out = _OF_A_NAMED_TUPLE | _OF_A_CLASS | set(cls._fields)
    attributes = {name: value for name, value in vars(cls).items() if name not in left_out}
    if sys.version_info >= (3, 14) and (annotations := _annotations(cls)):
        attributes[_ANNOTATIONS] = annotations
    arguments = cls.__name__, cls._fields, tuple(cls._field_defaults.values()), cls.__module__
    return named_tuple, arguments, attributes, None, None, finish_named_tuple


def named_tuple(
    name: str, fields: tuple[str, ...], defaults: tuple[Any, ...], module: str
) -> type[tuple[Any, ...]]:
    """Return a named tuple class; `defaults` are those of the last fields."""
    return collections.namedtuple(name, fields, defaults=defaults, module=module)


def finish_named_tuple(cls: type, attributes: Mapping[str, Any]) -> None:
    """Give the class what its author wrote in it."""
    for name, value in attributes.items():
        setattr(cls, name, value)


def _data_class(cls: Any, attributes: dict[str, Any]) -> tuple[Any, ...]:
    """Return what `finish_data_class` takes: attributes, options, and each field's kind, whether
    the class itself has it, and what `dataclasses.field` takes."""
    parameters = cls.__dataclass_params__
    options = {name: getattr(parameters, name) for name in _OPTIONS}
    options["match_args"] = "__match_args__" in vars(cls)
    own = attributes.get(_ANNOTATIONS, {})
    fields = {
        name: (field._field_type.name, name in own, _settings(field))
        for name, field in cls.__dataclass_fields__.items()
    }
    kept = {name: each for name, each in attributes.items() if not _is_made_for_data(name, each)}
    return kept, options, fields


def _settings(field: Any) -> dict[str, Any]:
    settings = {name: getattr(field, name) for name in _OF_A_FIELD if hasattr(field, name)}
    settings["metadata"] = dict(field.metadata)
    return {name: each for name, each in settings.items() if each is not dataclasses.MISSING}


def _is_made_for_data(name: str, value: Any) -> bool:
    if name in _OF_A_DATA_CLASS:
        return getattr(value, "__module__", "dataclasses") == "dataclasses"
    while hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    code = getattr(value, "__code__", None)
    if not name.startswith("__") or code is None:
        return False
    return code.co_filename == "<string>" and "__create_fn__" in getattr(
        code, "co_qualname", "__create_fn__"
    )


def finish_data_class(cls: Any, state: tuple[Any, ...]) -> None:
    """Fill a class that has been made, and have `@dataclass` do its part again."""
    attributes, options, fields = state
    unhashable = attributes.get("__hash__", cls) is None
    if unhashable:
        del attributes["__hash__"]  # @dataclass would take it for the author's
    by_value._class_setstate(cls, (attributes, {}))
    annotations = attributes.get(_ANNOTATIONS, {})
    # Annotations can be strings, which mean something in their own module only.
    cls.__annotations__ = stand_ins = {}
    for name, (kind, own, settings) in fields.items():
        # Where classes refer to each other, a base may not be finished yet.
        if own or not any(name in getattr(base, _FIELDS, ()) for base in cls.__mro__[1:]):
            stand_ins[name] = _STAND_INS[kind]
            if kind != "_FIELD_CLASSVAR":
                setattr(cls, name, _field(settings))
    dataclasses.dataclass(**options)(cls)
    for name in stand_ins:
        cls.__dataclass_fields__[name].type = annotations.get(name, Any)
    cls.__annotations__ = annotations
    if unhashable:
        cls.__hash__ = None


def _field(settings: dict[str, Any]) -> Any:
    known = {name: each for name, each in settings.items() if name in _FIELD_PARAMETERS}
    return dataclasses.field(**known)
