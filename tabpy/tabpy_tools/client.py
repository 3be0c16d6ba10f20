"""Deploy functions to a server and query them, from a notebook or anywhere else."""

import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from tabpy.tabpy_tools.endpoint import as_requirements
from tabpy.tabpy_tools.endpoint_info import EndpointInfo, Endpoints, Versions
from tabpy.tabpy_tools.names import check_endpoint_name
from tabpy.tabpy_tools.remarks import warn

# Importing requests, orjson and the rest takes longer than all of this: they come when needed.
if TYPE_CHECKING:
    from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
    from tabpy.tabpy_tools.deployment import Deployment

_Self = TypeVar("_Self", bound="Client")


class Client:
    """A connection to the server at `endpoint`: `http(s)://host[:port][/prefix]`.

    Without one it is TABPY_URL's. Who signs in there say TABPY_USERNAME and TABPY_PASSWORD, or
    TABPY_TOKEN, and at any server a line of .netrc for its host, until `set_credentials` or
    `set_token` says another.

    `query_timeout` is in seconds (TabPy's documentation says milliseconds, its client counts
    seconds, and notebooks rely on that); 0 or less waits for ever. Certificates are verified:
    against `ca_certificates`, a PEM file, for a private authority; `verify=False` switches that
    off. `remote_server` and `localhost_endpoint` are accepted for TabPy's sake and not needed:
    deploying works the same from everywhere.

    `with Client() as client` closes its connections at the end. Methods that talk to the server
    raise `rest.ResponseError` when it refuses, which is a RuntimeError, and
    `failures.ServerUnreachableError` or `failures.ServerTimeoutError` when no answer comes.
    """

    def __init__(  # noqa: PLR0913 - the first four are TabPy's
        self,
        endpoint: str | None = None,
        query_timeout: float = 1000,
        remote_server: bool = False,
        localhost_endpoint: str | None = None,
        *,
        ca_certificates: str | None = None,
        verify: bool = True,
    ) -> None:
        from tabpy.tabpy_tools import sign_in
        from tabpy.tabpy_tools.connection import Connection

        self._endpoint = sign_in.address(os.environ) if endpoint is None else endpoint
        self._connection = Connection(self._endpoint, ca_certificates, verify)
        self.query_timeout = query_timeout
        try:
            found = sign_in.from_environment(self._connection.url, os.environ)
        except ValueError:
            if endpoint is None:
                raise
            found = None  # the environment may be meant for something else
        match found:
            case sign_in.User(name, password):
                self.set_credentials(name, password)
            case sign_in.Token(token):
                self.set_token(token)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._endpoint}>"

    def _repr_html_(self) -> str:
        from tabpy.tabpy_tools.notebook import card

        entries = {"server": self._endpoint, "signed in as": self._connection.identity}
        return card("TabPy client", entries)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept open; the client stays of use."""
        self._connection.close()

    @property
    def url(self) -> str:
        """The server's address, without a slash at its end."""
        return self._connection.url

    @property
    def query_timeout(self) -> float:
        """How long `query` waits for an answer, in seconds; 0.0 is for ever."""
        return self._query_timeout

    @query_timeout.setter
    def query_timeout(self, seconds: float) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"query_timeout is a number of seconds, not {seconds!r}.")
        self._query_timeout = max(seconds, 0.0)

    @property
    def _patience(self) -> float | None:
        return self._query_timeout or None

    def set_credentials(self, username: str, password: str) -> None:
        """Identify as this user from now on, in place of any token."""
        self._connection.set_credentials(username, password)

    def set_token(self, token: str) -> None:
        """Identify by this bearer token (OAuth) from now on, in place of any user."""
        self._connection.set_token(token)

    def evaluate(self, /, script: str, *columns: Any, **named: Any) -> Any:
        """Run a script as Tableau does, with columns as `_arg1`, `_arg2` …; return what it returns.

        Columns may also be given by these names. What the script prints is printed here. One that
        fails raises `rest.ResponseError`, whose text says in which line and why, and which has
        `printed` and `trace`, the traceback.
        """
        from tabpy.tabpy_tools.debugging import debug, result_of

        data = {f"_arg{number}": column for number, column in enumerate(columns, start=1)}
        expected = [f"_arg{number}" for number in range(1, len(data) + len(named) + 1)]
        if {*data, *named} != set(expected):
            raise ValueError(
                f"A script's columns are {', '.join(expected)}, each once, and not "
                f"{', '.join(named)}."
            )
        body = {"script": script, "data": data | named}
        return result_of(debug(self._connection, body, "evaluate", seconds=self._patience))

    def query(self, /, name: str, *args: Any, debug: bool = False, **kwargs: Any) -> dict[str, Any]:
        """Call an endpoint's function: `{"response", "version", "model", "uuid"}`.

        Arguments are positional or by name, not both; numpy's and pandas' types are fine. With
        `debug`, what the function prints is printed here, and is in the reply as `printed`; an
        error has `printed` and `trace`, as one of `evaluate`.
        """
        check_endpoint_name(name)
        if args and kwargs:
            raise ValueError("Give an endpoint's arguments by position or by name, not mixed.")
        if not isinstance(debug, bool):
            raise TypeError(
                "debug is True or False. An argument of the function's own that has this name is "
                "to be given by position."
            )
        body = {"data": args or kwargs}
        reply: dict[str, Any]
        if debug:
            from tabpy.tabpy_tools import debugging

            reply = debugging.debug(self._connection, body, "query", name, seconds=self._patience)
        else:
            reply = self._connection.call(
                "POST", "query", name, body=body, read_timeout=self._patience
            )
        return reply

    def get_status(self) -> dict[str, dict[str, Any]]:
        """Return `{name: {"version", "type", "status", "last_error"}}` of all endpoints."""
        status: dict[str, dict[str, Any]] = self._connection.call("GET", "status")
        return status

    def get_endpoints(self, type: str | None = None) -> Endpoints:  # noqa: A002
        """Return all endpoints by name, or those of one type: `"model"` or `"alias"`."""
        reply = self._connection.call("GET", "endpoints")
        return Endpoints(
            {
                name: EndpointInfo.from_reply(name, info)
                for name, info in reply.items()
                if type is None or info["type"] == type
            }
        )

    def deploy(  # noqa: PLR0913, PLR0917 - the first six are TabPy's
        self,
        name: str,
        obj: "Callable[..., Any] | CustomQueryObject",
        description: str | None = "",
        schema: dict[str, Any] | None = None,
        override: bool = False,
        is_public: bool = False,
        *,
        requirements: Sequence[str] = (),
        pure: bool = False,
    ) -> "Deployment":
        """Make `obj`, a function or anything callable, the endpoint `name`.

        Its arguments and result have to be values with a form in JSON; an `async` function's is
        what it returns in the end. What it refers to goes along: closures, fitted models,
        functions of your own modules. Installed packages don't; `requirements`, in pip's notation,
        are recorded, and the server checks that it has them before it loads the function. A
        `description` of None means the docstring; `schema.generate_schema` makes a `schema`, else
        it is that of the function's type hints, unless somebody has written one before;
        `is_public` shows the endpoint in Tableau's explorer of custom functions. `pure` says that
        the result follows from the arguments alone and that running has no other effect: the same
        calls that are under way together run once, and a server may keep results for a while.

        An existing endpoint gets a new version with `override`, and without it a RuntimeError.
        Once this returns, the function has been loaded and answers. Remarks of the server, such
        as versions of packages that differ, are shown as warnings, and are in what is returned.
        """
        from tabpy.tabpy_tools import deploying
        from tabpy.tabpy_tools.archive import archived
        from tabpy.tabpy_tools.wrapping import wrapped

        check_endpoint_name(name)
        required = as_requirements(requirements)
        query_object = wrapped(name, obj, description, schema)
        found = deploying.replaceable(self._connection, name, override)
        with archived(query_object) as archive:
            deployment = deploying.send(
                self._connection,
                name,
                found,
                query_object,
                archive,
                is_public=is_public,
                requirements=required,
                pure=pure,
            )
        for remark in deployment.remarks:
            warn(remark)
        return deployment

    def deploy_model(  # noqa: PLR0913 - all but three by name
        self,
        name: str,
        estimator: Any,
        columns: Sequence[str] | None = None,
        *,
        training: Any = None,
        proba: Any = False,
        description: str | None = None,
        override: bool = False,
        is_public: bool = False,
        requirements: Sequence[str] = (),
        pure: bool = False,
    ) -> "Deployment":
        """Make a fitted estimator the endpoint `name`: a function of columns, as Tableau has it.

        `estimator` is one of scikit-learn's, a pipeline, or anything with `predict`; it returns a
        prediction for each row. With `proba` it returns probabilities instead: True for those of
        the second of two classes, else the class that is meant.

        `columns` are the function's arguments in their order; they default to the names that it
        was fitted with. `training` is the frame that it was fitted with: its columns' types make
        the schema, and the function is tried with its first rows, which don't travel. Otherwise as
        `deploy`. Raises TypeError or ValueError for what doesn't fit together.
        """
        from tabpy.tabpy_tools import estimator as estimators

        function = estimators.function_of(estimator, columns, training, proba)
        return self.deploy(
            name,
            function,
            description,
            estimators.schema_of(function, training),
            override,
            is_public,
            requirements=requirements,
            pure=pure,
        )

    def deploy_alias(
        self, alias: str, target: str, description: str = "", override: bool = False
    ) -> None:
        """Make `alias` another name of the endpoint `target`.

        An existing endpoint is replaced with `override`, and without it a RuntimeError.
        """
        from tabpy.tabpy_tools.deploying import place, replaceable

        check_endpoint_name(alias)
        check_endpoint_name(target)
        body = {"name": alias, "type": "alias", "target": target, "description": description}
        found = replaceable(self._connection, alias, override)
        self._connection.call(*place(alias, found), body=body)

    def update_endpoint_info(
        self,
        name: str,
        description: str | None = None,
        schema: dict[str, Any] | None = None,
        is_public: bool | None = None,
        pure: bool | None = None,
    ) -> None:
        """Change what is given, not None, about an endpoint; the function and version stay."""
        check_endpoint_name(name)
        changes: dict[str, object] = {}
        for key, value, kind in (
            ("description", description, str),
            ("schema", schema, dict),
            ("is_public", is_public, bool),
            ("pure", pure, bool),
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

    def versions(self, name: str) -> Versions:
        """Return the versions kept of an endpoint: `{"current": number, "versions": [...]}`.

        Each has `version`, `creation_time` (seconds since 1970), `size` (bytes), `sha256`,
        `python`, `packages` and `requirements`, and `author`, who deployed it, where the server
        knows.
        """
        check_endpoint_name(name)
        return Versions(self._connection.call("GET", "endpoints", name, "versions"))

    def rollback(self, name: str, version: int) -> None:
        """Have an endpoint answer with an earlier version's function again."""
        check_endpoint_name(name)
        self._connection.call("POST", "endpoints", name, "rollback", body={"version": version})


def _kind(value: object) -> str:
    return type(value).__name__
