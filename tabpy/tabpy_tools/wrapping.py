"""What people deploy, made the object that an archive holds."""

import copy
from collections.abc import Callable
from typing import Any

from tabpy.tabpy_tools.custom_query_object import CustomQueryObject


def wrapped(
    name: str,
    obj: Callable[..., Any] | CustomQueryObject,
    description: str | None,
    schema: dict[str, Any] | None,
) -> CustomQueryObject:
    """Return the query object of the endpoint `name`, with its description and schema.

    `obj` is a function or anything callable, whose docstring a `description` of None stands for; or
    a query object, whose own words count where none are given. Raises TypeError for anything else.
    """
    if isinstance(obj, CustomQueryObject):
        own = copy.copy(obj)  # whoever made it may go on using it
        own.description = description or obj.description
        own.schema = obj.schema if schema is None else schema
        return own
    if not callable(obj):
        raise TypeError(f"An endpoint needs a function; {name!r} got {type(obj).__name__}.")
    if description is None:
        docstring = getattr(obj, "__doc__", None)
        description = docstring.strip() if isinstance(docstring, str) else ""
    return CustomQueryObject(obj, description, schema)
