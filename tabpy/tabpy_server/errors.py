"""What can go wrong while somebody is served, in words for that person.

Rooms below `web` raise these and know nothing of HTTP; `web.answers` gives each its status. They
cross from a script worker to its web process by class name and `args`, so all arguments are JSON.
"""

from typing import ClassVar


class TabPyError(Exception):
    """Something that a client is told: `message` says what is wrong, `info` what would be right.

    Tableau shows both to the person at the dashboard. Neither names a file or a secret of the
    server.
    """

    by_name: ClassVar[dict[str, type["TabPyError"]]] = {}
    message: str
    info: str
    # Known in the worker only: that what ran there got no more memory, and its traceback.
    out_of_memory = False
    trace = ""
    # The line and the function of the author's where it failed; 0 and "" where that isn't known.
    at: tuple[int, str] = (0, "")

    def __init_subclass__(cls) -> None:
        TabPyError.by_name[cls.__name__] = cls

    def __str__(self) -> str:
        return f"{self.message} {self.info}".rstrip()


class InvalidInputError(TabPyError):
    """What a client sent can't be used; nothing was changed."""

    def __init__(self, message: str, info: str = "") -> None:
        super().__init__(message, info)
        self.message, self.info = message, info


# Credentials


class WrongCredentialsError(TabPyError):
    """No credentials, or wrong ones."""

    message, info = "Invalid credentials provided.", "Unauthorized request."


class WrongTokenError(TabPyError):
    """No bearer token where nothing else is taken, or a wrong one: `reason` says what is wrong with
    it, "" if there was none."""

    message, info = WrongCredentialsError.message, WrongCredentialsError.info

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class KeysUnavailableError(TabPyError):
    """A token that nobody can check at the moment: the issuer doesn't give its keys."""

    message = "The token can't be checked now."
    info = "The keys of its issuer can't be fetched. Try again later."


class TooManySignInsError(TabPyError):
    """More sign-ins than can be looked at; the next may be tried in `wait` seconds."""

    message = "Too many failed sign-ins as this user from this address."

    def __init__(self, wait: float) -> None:
        super().__init__(wait)
        self.wait = wait
        self.info = (
            f"Wait {wait:.0f} seconds, then try again with the right user name and password."
        )


class UnexpectedCredentialsError(TabPyError):
    """Credentials on an open server: somebody expects protection that isn't there."""

    message = "Username or password provided when authentication not available."
    info = "Not Acceptable"


class MissingRightError(TabPyError):
    """Somebody has signed in and may not do this; `rights` are those that they have."""

    def __init__(self, user: str, right: str, rights: list[str]) -> None:
        super().__init__(user, right, rights)
        self.message = f"User '{user}' may not {right} here."
        self.info = (
            f"This needs the right '{right}'; '{user}' has {', '.join(rights)}. Whoever runs the "
            f"server can give it: tabpy-user update -u {user} --may {','.join([*rights, right])}, "
            "or TABPY_RIGHTS for the user of TABPY_USERNAME."
        )


class MissingScopeError(TabPyError):
    """A token that is right and doesn't have the `scope` for this."""

    message = "Token is missing a required endpoint scope."

    def __init__(self, right: str, scope: str) -> None:
        super().__init__(right, scope)
        self.scope = scope
        self.info = (
            f"Forbidden request. To {right} here, a token needs the scope '{scope}': ask for it "
            "where you get the token."
        )


# Jobs


class ScriptFailedError(TabPyError):
    """The script raised; `info` has the exception and the script's own lines."""

    message = "Error processing script"

    def __init__(
        self,
        info: str,
        *,
        trace: str = "",
        at: tuple[int, str] = (0, ""),
        out_of_memory: bool = False,
    ) -> None:
        super().__init__(info)
        self.info, self.trace, self.at = info, trace, at
        self.out_of_memory = out_of_memory


class FunctionFailedError(TabPyError):
    """A deployed function raised; `info` has the exception."""

    def __init__(
        self,
        name: str,
        info: str,
        *,
        trace: str = "",
        at: tuple[int, str] = (0, ""),
        out_of_memory: bool = False,
    ) -> None:
        super().__init__(name, info)
        self.message, self.info = f"Error querying function '{name}'", info
        self.trace, self.at = trace, at
        self.out_of_memory = out_of_memory


class JobTimeoutError(TabPyError):
    """The job was stopped at its deadline. All times are in seconds."""

    def __init__(self, timeout: float, waited: float, ran: float) -> None:
        super().__init__(timeout, waited, ran)
        self.timeout = timeout
        self.message = f"User defined script timed out. Timeout is set to {timeout} s."
        self.info = (
            f"It waited {waited:.1f} s for a free worker and ran for {ran:.1f} s, then it was "
            "stopped."
        )


class FunctionNotReadyError(TabPyError):
    """Looking up a function took all the time, in seconds, that its call had."""

    message = "The function isn't ready."

    def __init__(self, name: str, timeout: float) -> None:
        super().__init__(name, timeout)
        self.info = (
            f"Looking up '{name}' took longer than {timeout} s, and it was not called. Try again "
            "later."
        )


class AllBusyError(TabPyError):
    """No worker came free in time; the job was never run."""

    message = "Every script worker is busy."

    def __init__(self, timeout: float) -> None:
        super().__init__(timeout)
        self.info = f"The script waited {timeout} s for one and was not run. Try again later."


class QueueFullError(TabPyError):
    """Too much waits for a worker already, most of it the same owner's; the job was never run."""

    message = "Too many scripts are waiting for a worker."
    info = "This one was not run. Try again later, or set more workers (TABPY_WORKERS)."


class WorkerDiedError(TabPyError):
    """The worker's process is gone; `how` says how, such as "ended with exit code 3"."""

    message = "Error processing script"

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how
        self.info = f"The script's process {how} before it returned."


class ClusterUnavailableError(TabPyError):
    """Scripts run on a cluster, and that isn't there: `reason` says why, for the log's readers."""

    message = "The machines that run scripts can't be reached."
    info = "The script was not run. Try again later; the server's log says why."

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DrainingError(TabPyError):
    """This web process is about to stop, and can't run the job any more."""

    message, info = "The server is restarting.", "Try again in a few seconds."


class StartingError(TabPyError):
    """The server has just started, and no worker is there yet."""

    message = "The server is starting, and can't run scripts yet."
    info = "Try again in a moment."


class NoWorkersError(TabPyError):
    """No worker is there, and several tries to start one have failed."""

    message = "Script workers can't be started, so no script runs."
    info = "The server's log says why."


class InternalError(TabPyError):
    """Our own code failed; the server's log has the traceback, under the request's id."""

    message = "Internal error"
    info = "It is in the server's log, under this request's X-Request-Id."


# Arrow tables


class UnknownTableError(TabPyError):
    """The user has no table of that `name`."""

    message = "Flight not found."  # TabPy's words

    def __init__(self, name: str = "") -> None:
        """`name`: "" for a ticket that no table has."""
        super().__init__(name)
        missing = f"There is no table '{name}' of yours" if name else "You have no such table"
        self.info = (
            f"{missing}. A table is gone when it was fetched, when a script has worked on it, and "
            "some minutes after it came: put it again."
        )


class TablesFullError(TabPyError):
    """There is no room for a table; `limit` says what is reached."""

    message = "There is no room for this table."

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.info = f"{limit} Fetch or clear tables that are there, or send a smaller one."


class BadTableError(TabPyError):
    """What should be a table isn't one: `why` says what is wrong."""

    message = "This is no Arrow table."

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.info = why


class FlightUnavailableError(TabPyError):
    """The process that has the tables doesn't answer."""

    message = "Arrow Flight isn't there at the moment."
    info = "It is starting again. Put the table again, in some seconds."


# Deployed functions


class UnknownFunctionError(TabPyError):
    """Nothing can be called by that name; `why` is the whole reason."""

    message = "UnknownURI"  # TabPy's word, which its clients look for

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.info = why


class UnknownEndpointError(TabPyError):
    """There is no endpoint of that name."""

    message = "Unknown endpoint"

    def __init__(self, name: str, hint: str = "") -> None:
        """`hint`: what to put behind the sentence, such as `did_you_mean`."""
        super().__init__(name, hint)
        self.info = f"There is no endpoint '{name}'.{hint}"


class UnknownVersionError(TabPyError):
    """An endpoint has no such version, or keeps it no longer. `kept` are the ones it has."""

    def __init__(self, name: str, version: int, kept: list[int]) -> None:
        super().__init__(name, version, kept)
        self.message = f"Endpoint '{name}' has no version {version}."
        self.info = f"Kept are: {', '.join(map(str, kept)) or 'none'}."


class EndpointExistsError(TabPyError):
    """A new endpoint has the name of one that is there."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
        self.message = f"Endpoint '{name}' exists already."
        self.info = "Replace it (the client: override=True)."


class NotLoadableError(TabPyError):
    """A deployed function can't be loaded here."""

    def __init__(self, name: str, why: str, *, out_of_memory: bool = False) -> None:
        super().__init__(name, why)
        self.name, self.why = name, why
        self.message, self.info = f"Function '{name}' can't be loaded.", why
        self.out_of_memory = out_of_memory


class RefusedError(TabPyError):
    """A deployment that isn't made: what serves now goes on serving."""

    def __init__(self, message: str, info: str = "") -> None:
        super().__init__(message, info)
        self.message, self.info = message, info


class MissingArchiveError(TabPyError):
    """A model is to be deployed, and nothing came with it."""

    message, info = "There is no archive.", "A model's archive has to come with it."


class StoreUnavailableError(TabPyError):
    """The store of deployed functions can't be used; `why` is a sentence, or empty."""

    message = "The store of deployed functions can't be reached."

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.info = (
            f"{why} Scripts work; deployed functions will again when its database answers."
        ).lstrip()


class DiskFullError(StoreUnavailableError):
    """There is no room for a change to the store; `why` says on which disk."""

    message = "The disk is full."

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.info = f"{why} Nothing was stored, and what was deployed before serves.".lstrip()


class MetricsUnavailableError(TabPyError):
    """Figures can't be kept; `reason` is the system's."""

    message = "There are no metrics."

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.info = f"They can't be kept: {reason}."


class StartError(Exception):
    """Why the server can't start: one line that names the setting, its value and what is right."""
