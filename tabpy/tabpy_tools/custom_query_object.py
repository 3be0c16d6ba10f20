"""A deployed function; every pickle of TabPy's client names this class."""

from collections.abc import Callable
from typing import Any

from tabpy.tabpy_tools.query_object import QueryObject

# Stored by TabPy's client with each function that has none, so people may compare with it.
_NO_DOCSTRING = "-- no docstring found in query function --"


class CustomQueryObject(QueryObject):
    """Any callable, made a `QueryObject`.

    `schema` is what `schema.generate_schema` gives; archives of TabPy's client have none.
    """

    custom_query: Callable[..., Any]
    schema: dict[str, Any] | None = None

    def __init__(
        self,
        query: Callable[..., Any],
        description: str = "",
        schema: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(description)
        self.custom_query = query
        self.schema = schema

    def query(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the function returns, untouched: making JSON of it is the server's part."""
        return self.custom_query(*args, **kwargs)

    def get_docstring(self) -> str:
        docstring = getattr(self.custom_query, "__doc__", None)
        return docstring if docstring and isinstance(docstring, str) else _NO_DOCSTRING

    def get_methods(self) -> list[dict[str, Any]]:
        return [self.get_query_method()]

    def get_query_method(self) -> dict[str, Any]:
        return {"method": "query"}
