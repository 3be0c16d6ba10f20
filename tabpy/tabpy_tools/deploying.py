"""The request that deploys a function, and what it gives back."""

from collections.abc import Mapping, Sequence
from typing import Any

from tabpy.tabpy_tools.archive import Archive
from tabpy.tabpy_tools.calculation import calculation_of
from tabpy.tabpy_tools.connection import Connection
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tabpy.tabpy_tools.deployment import Deployment
from tabpy.tabpy_tools.remarks import warn
from tabpy.tabpy_tools.rest import ResponseError
from tabpy.tabpy_tools.schema import is_inferred, schema_of
from tabpy.tabpy_tools.upload import Upload

_OF_TABPY_2 = "Failed to decode input body"  # how it answers multipart/form-data
_TIMEOUT = 300.0  # seconds, for a large archive and a slow import


class NameTakenError(RuntimeError):
    """There is an endpoint of this name, and nobody has said that it is to be replaced."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is an endpoint {name!r} already: deploy with override=True to replace it."
        )


def replaceable(connection: Connection, name: str, override: bool) -> dict[str, Any] | None:
    """Return the endpoint of that name, None where there is none.

    Raises NameTakenError for one that isn't to be replaced.
    """
    try:
        found: dict[str, Any] = connection.call("GET", "endpoints", name)
    except ResponseError as error:
        if error.status_code != 404:
            raise
        return None
    if not override:
        raise NameTakenError(name)
    return found


def place(name: str, found: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return method and path that create the endpoint, or replace the one that was found."""
    return ("POST", "endpoints") if found is None else ("PUT", "endpoints", name)


def send(  # noqa: PLR0913 - what there is to say of a function
    connection: Connection,
    name: str,
    found: Mapping[str, Any] | None,
    query_object: CustomQueryObject,
    archive: Archive,
    *,
    is_public: bool,
    requirements: Sequence[str],
    pure: bool,
) -> Deployment:
    """Deploy an archive as the endpoint `name`, in place of the one that was found.

    A schema that somebody wrote stays, where there is no new one. Warns of functions that the
    server's Python can't load. Raises what `Connection.ask` raises, and RuntimeError for a server
    of TabPy 2.
    """
    if archive.compiled:
        _warn_of_other_python(connection, archive)
    stored = None if found is None else found.get("schema")
    schema = query_object.schema
    if schema is None and (not stored or is_inferred(stored)):
        schema = schema_of(query_object.custom_query)
    metadata = {
        "name": name,
        "type": "model",
        "description": query_object.description,
        "docstring": query_object.get_docstring(),
        "methods": query_object.get_methods(),
        "dependencies": query_object.get_dependencies(),
        "target": None,
        "schema": schema,
        "is_public": is_public,
        "pure": pure,
        "requirements": requirements,
        "python": archive.python,
        "packages": archive.packages,
    }
    try:
        answer = connection.ask(
            *place(name, found),
            body=Upload(metadata, archive.file, archive.size),
            read_timeout=_TIMEOUT,
        )
    except ResponseError as error:
        if error.message != _OF_TABPY_2:
            raise
        raise RuntimeError(
            f"{connection.url} is a server of TabPy 2, which doesn't take what this client sends: "
            "upgrade the server first, or deploy with its own client (pip install 'tabpy<3', in an "
            "environment of its own)."
        ) from error
    calculation = calculation_of(name, query_object.custom_query, schema or stored)
    return Deployment(
        name,
        _version(answer.value, name),
        connection.url,
        calculation.model or calculation.script,
        calculation.script,
        (answer.remark,) if answer.remark else (),
    )


def _warn_of_other_python(connection: Connection, archive: Archive) -> None:
    try:
        python = connection.call("GET", "packages")["python"]
    except ResponseError:  # it doesn't tell us: it will refuse what it can't load
        return
    theirs, ours = (".".join(each.split(".")[:2]) for each in (python, archive.python))
    if theirs != ours:
        files = ", ".join(archive.changed_files)
        advice = (
            f"What stands in {files} now is something else: if you have changed it since it was "
            "imported, import it anew, and deploy again."
            if files
            else "Define it in a file or a notebook's cell, and deploy it before you change that."
        )
        warn(
            f"No text is known that makes {', '.join(archive.compiled)}, so only a server with "
            f"Python {ours} can load it, and this one runs {theirs}. {advice}"
        )


def _version(reply: object, name: str) -> int | None:
    info = reply.get(name) if isinstance(reply, Mapping) else None
    version = info.get("version") if isinstance(info, Mapping) else None
    return version if isinstance(version, int) else None
