"""Deploy functions to a server and query them, from a notebook or anywhere else."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from tabpy.tabpy_tools.connection import Connection
from tabpy.tabpy_tools.endpoint import as_requirements
from tabpy.tabpy_tools.endpoint_info import EndpointInfo
from tabpy.tabpy_tools.names import check_endpoint_name
from tabpy.tabpy_tools.rest import ResponseError
from tabpy.tabpy_tools.upload import Upload

_DEPLOY_TIMEOUT = 300.0


class Client:
    """A connection to the server at `endpoint`: `http(s)://host[:port][/prefix]`.

    `query_timeout` is in seconds (TabPy's documentation says milliseconds, its client counts
    seconds, and notebooks rely on that); 0 or less waits for ever. Certificates are verified:
    against `ca_certificates`, a PEM file, for a private authority; `verify=False` switches that
    off. `remote_server` and `localhost_endpoint` are accepted for TabPy's sake and not needed:
    deploying works the same from everywhere.

    Methods that talk to the server raise `rest.ResponseError` when it refuses, which is a
    RuntimeError, and `failures.ServerUnreachableError` or `failures.ServerTimeoutError` when no
    answer comes.
    """

    def __init__(  # noqa: PLR0913 - the first four are TabPy's
        self,
        endpoint: str,
        query_timeout: float = 1000,
        remote_server: bool = False,
        localhost_endpoint: str | None = None,
        *,
        ca_certificates: str | None = None,
        verify: bool = True,
    ) -> None:
        self._endpoint = endpoint
        self._connection = Connection(endpoint, ca_certificates, verify)
        self.query_timeout = query_timeout

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._endpoint}>"

    @property
    def query_timeout(self) -> float:
        """How long `query` waits for an answer, in seconds; 0.0 is for ever."""
        return self._query_timeout

    @query_timeout.setter
    def query_timeout(self, seconds: float) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"query_timeout is a number of seconds, not {seconds!r}.")
        self._query_timeout = max(seconds, 0.0)

    def set_credentials(self, username: str, password: str) -> None:
        """Identify as this user from now on, in place of any token."""
        self._connection.set_credentials(username, password)

    def set_token(self, token: str) -> None:
        """Identify by this bearer token (OAuth) from now on, in place of any user."""
        self._connection.set_token(token)

    def query(self, name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Call an endpoint's function: `{"response", "version", "model", "uuid"}`.

        Arguments are positional or by name, not both; numpy's and pandas' types are fine.
        """
        check_endpoint_name(name)
        if args and kwargs:
            raise ValueError("Give an endpoint's arguments by position or by name, not mixed.")
        reply: dict[str, Any] = self._connection.call(
            "POST",
            "query",
            name,
            body={"data": args or kwargs},
            read_timeout=self._query_timeout or None,
        )
        return reply

    def get_status(self) -> dict[str, dict[str, Any]]:
        """Return `{name: {"version", "type", "status", "last_error"}}` of all endpoints."""
        status: dict[str, dict[str, Any]] = self._connection.call("GET", "status")
        return status

    def get_endpoints(self, type: str | None = None) -> dict[str, EndpointInfo]:  # noqa: A002
        """Return all endpoints by name, or those of one type: `"model"` or `"alias"`."""
        reply = self._connection.call("GET", "endpoints")
        return {
            name: EndpointInfo.from_reply(name, info)
            for name, info in reply.items()
            if type is None or info["type"] == type
        }

    def deploy(  # noqa: PLR0913, PLR0917 - the first six are TabPy's
        self,
        name: str,
        obj: Callable[..., Any],
        description: str | None = "",
        schema: dict[str, Any] | None = None,
        override: bool = False,
        is_public: bool = False,
        *,
        requirements: Sequence[str] = (),
    ) -> None:
        """Make `obj`, a function or anything callable, the endpoint `name`.

        Its arguments and result have to be values with a form in JSON. What it refers to goes
        along: closures, fitted models, functions of your own modules. Installed packages don't;
        `requirements`, in pip's notation, are recorded, and the server checks that it has them
        before it loads the function. A `description` of None means the docstring;
        `schema.generate_schema` makes a `schema`; `is_public` shows the endpoint in Tableau's
        explorer of custom functions.

        An existing endpoint gets a new version with `override`, and without it a RuntimeError.
        Once this returns, the function has been loaded and answers. Remarks of the server, such
        as versions of packages that differ, are shown as warnings.
        """
        from tabpy.tabpy_tools.archive import archived
        from tabpy.tabpy_tools.custom_query_object import CustomQueryObject

        check_endpoint_name(name)
        required = as_requirements(requirements)
        if not callable(obj):
            raise TypeError(f"An endpoint needs a function; {name!r} got {_kind(obj)}.")
        target = self._place(name, override)
        if description is None:
            docstring = getattr(obj, "__doc__", None)
            description = docstring.strip() if isinstance(docstring, str) else ""
        query_object = CustomQueryObject(obj, description, schema)
        with archived(query_object) as archive:
            if archive.compiled:
                self._warn_of_other_python(archive.compiled, archive.python)
            metadata = {
                "name": name,
                "type": "model",
                "description": description,
                "docstring": query_object.get_docstring(),
                "methods": query_object.get_methods(),
                "dependencies": query_object.get_dependencies(),
                "target": None,
                "schema": schema,
                "is_public": is_public,
                "requirements": required,
                "python": archive.python,
                "packages": archive.packages,
            }
            self._connection.call(
                *target,
                body=Upload(metadata, archive.file, archive.size),
                read_timeout=_DEPLOY_TIMEOUT,
            )

    def deploy_alias(
        self, alias: str, target: str, description: str = "", override: bool = False
    ) -> None:
        """Make `alias` another name of the endpoint `target`.

        An existing endpoint is replaced with `override`, and without it a RuntimeError.
        """
        check_endpoint_name(alias)
        check_endpoint_name(target)
        body = {"name": alias, "type": "alias", "target": target, "description": description}
        self._connection.call(*self._place(alias, override), body=body)

    def update_endpoint_info(
        self,
        name: str,
        description: str | None = None,
        schema: dict[str, Any] | None = None,
        is_public: bool | None = None,
    ) -> None:
        """Change what is given, not None, about an endpoint; the function and version stay."""
        check_endpoint_name(name)
        changes: dict[str, object] = {}
        for key, value, kind in (
            ("description", description, str),
            ("schema", schema, dict),
            ("is_public", is_public, bool),
        ):
            if value is None:
                continue
            if not isinstance(value, kind):
                raise TypeError(f"{key} has to be of type {kind.__name__}, not {_kind(value)}.")
            changes[key] = value
        self._connection.call("PUT", "endpoints", name, body=changes)

    def remove(self, name: str) -> None:
        """Remove an endpoint with all its versions."""
        check_endpoint_name(name)
        self._connection.call("DELETE", "endpoints", name)

    def versions(self, name: str) -> dict[str, Any]:
        """Return the versions kept of an endpoint: `{"current": number, "versions": [...]}`.

        Each has `version`, `creation_time` (seconds since 1970), `size` (bytes), `sha256`,
        `python`, `packages` and `requirements`.
        """
        check_endpoint_name(name)
        reply: dict[str, Any] = self._connection.call("GET", "endpoints", name, "versions")
        return reply

    def rollback(self, name: str, version: int) -> None:
        """Have an endpoint answer with an earlier version's function again."""
        check_endpoint_name(name)
        self._connection.call("POST", "endpoints", name, "rollback", body={"version": version})

    def _warn_of_other_python(self, functions: Sequence[str], ours: str) -> None:
        """Say which functions keep an archive from a server with another minor version."""
        try:
            theirs = self._connection.call("GET", "packages")["python"]
        except ResponseError:  # it doesn't tell us: it will refuse what it can't load
            return
        theirs, ours = (".".join(version.split(".")[:2]) for version in (theirs, ours))
        if theirs != ours:
            warnings.warn(
                f"No text is known that makes {', '.join(functions)}, so only a server with Python "
                f"{ours} can load it, and this one runs {theirs}. Define it in a file or a "
                "notebook's cell, and deploy it before you change it there.",
                stacklevel=3,
            )

    def _place(self, name: str, override: bool) -> tuple[str, ...]:
        """Return method and path that create the endpoint, or replace it where that is meant."""
        try:
            self._connection.call("GET", "endpoints", name)
        except ResponseError as error:
            if error.status_code != 404:
                raise
            return "POST", "endpoints"
        if not override:
            raise RuntimeError(
                f"There is an endpoint {name!r} already: deploy with override=True to replace it."
            )
        return "PUT", "endpoints", name


def _kind(value: object) -> str:
    return type(value).__name__
