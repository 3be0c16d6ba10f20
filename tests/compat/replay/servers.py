"""This server and TabPy, each in the same four forms, with the same functions deployed."""

import contextlib
import hashlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peer
from tests.compat.replay.exchange import Exchange
from tests.compat.replay.replies import Reply, ask
from tests.compat.replay.requested import PASSWORD, USER, Request
from tests.running import Server, until

LOCAL = "127.0.0.1"
START_PATIENCE = 60.0  # seconds; all servers start at once
PREFIX = "/analytics"
CORS = """\
Access-Control-Allow-Origin = https://dashboards.example.com
Access-Control-Allow-Headers = Authorization, Content-Type
Access-Control-Allow-Methods = GET, POST, OPTIONS
"""
# A state.ini for both; TabPy wants all these sections.
STATE = """\
[Service Info]
Name = Replay
Description = {name}
Creation Time = 0
{more}
[Query Objects Service Versions]

[Query Objects Docstrings]

[Meta]
Revision Number = 1
"""
NO_CORS = """\
Access-Control-Allow-Origin =
Access-Control-Allow-Headers =
Access-Control-Allow-Methods =
"""
FORMS = {
    # Without users.
    "open": ("", NO_CORS, {}),
    # The same, in a hurry.
    "hasty": ("", NO_CORS, {"TABPY_EVALUATE_TIMEOUT": "1"}),
    # With one, and pages of another web site may send requests.
    "closed": (USER, CORS, {}),
    # Without users, and with as little as the settings allow.
    "strict": (
        "",
        NO_CORS + f"Subdirectory = {PREFIX[1:]}\n",
        {
            "TABPY_EVALUATE_ENABLE": "false",
            "TABPY_MAX_REQUEST_SIZE_MB": "1",
            "TABPY_GZIP_ENABLE": "false",
        },
    ),
}
DEPLOYED = ("open", "closed")  # those that have functions
# Neither server's: TabPy doesn't start with some of them, and its `tabpy.query` would use them.
FOREIGN = ["PYTHONPATH", *[f"{each}_proxy" for each in ("http", "https", "no", "all")]]
FOREIGN += [each.upper() for each in FOREIGN[1:]]


class Peer(Server):
    """TabPy. It has no route that needs no password; any reply tells that it is there."""

    def wait_until_ready(self) -> "Server":
        until(self._answers, "TabPy answers", START_PATIENCE)
        return self

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"TabPy ended: {self.log}")
        try:
            return self.request("GET", "/info", user=None).status > 0
        except OSError:
            return False


@dataclass(frozen=True)
class Forms:
    """One of the two servers in all its forms."""

    servers: dict[str, Server]
    uploads: dict[str, str]

    def ask(self, request: Request) -> Reply:
        port = self.servers[request.server].port
        rendered = request.rendered(f"localhost:{port}", self.uploads.get(request.server, ""))
        try:
            return ask((LOCAL, port), rendered, request.method)
        except (OSError, http.client.HTTPException) as trouble:
            return Reply(0, {}, f"no reply: {type(trouble).__name__}".encode())

    def ask_all(self, requests: Sequence[Request]) -> list[Reply]:
        return [self.ask(each) for each in requests]


@contextlib.contextmanager
def both() -> Iterator[tuple[Forms, Forms]]:
    """TabPy and this server; all processes are gone at the end."""
    commands = peer.commands(None)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="replay-")))
        theirs = _start(stack, folder / "tabpy", Peer, [str(commands / "tabpy")])
        ours = _start(stack, folder / "ours", Server, [sys.executable, "-m", "tabpy"])
        everybody = [*theirs.values(), *ours.values()]
        for each in everybody:
            each.wait_until_ready()
        uploads = _deploy(commands / "python", [*_deployed(theirs), *_deployed(ours)])
        split = len(uploads) // 2
        yield (
            Forms(theirs, dict(zip(DEPLOYED, uploads[:split], strict=True))),
            Forms(ours, dict(zip(DEPLOYED, uploads[split:], strict=True))),
        )


def exchanged(requests: Sequence[Request]) -> list[Exchange]:
    """Send each request to both, in this order; the two servers side by side.

    SystemExit: TabPy can't be installed.
    """
    with both() as servers, ThreadPoolExecutor(2) as threads:
        theirs, ours = threads.map(lambda forms: forms.ask_all(requests), servers)
    return [Exchange.of(*each) for each in zip(requests, theirs, ours, strict=True)]


def _start(
    stack: contextlib.ExitStack, folder: Path, kind: type[Server], command: Sequence[str]
) -> dict[str, Server]:
    servers = {}
    for name, (user, more, settings) in FORMS.items():
        place = folder / name
        (place / "state").mkdir(parents=True)
        (place / "state" / "state.ini").write_text(STATE.format(name=name, more=more))
        passwords = place / "users.txt"
        passwords.write_text(f"{user} {_tabpys_hash(user)}\n" if user else "")
        environment = dict.fromkeys(FOREIGN, "-") if kind is Peer else {"TABPY_MODELS_PATH": ""}
        if kind is Peer:  # several that start at once can't make the one folder that it has else
            environment["TABPY_QUERY_OBJECT_PATH"] = str(place / "query_objects")
        environment |= {"TABPY_PWD_FILE": str(passwords) if user else "-"}
        servers[name] = kind(
            place,
            {**environment, **settings},
            command=command,
            arguments=() if user else ("--disable-auth-warning",),
        )
        servers[name].prefix = PREFIX if "Subdirectory" in more else ""
        stack.callback(servers[name].kill)
    return servers


def _tabpys_hash(name: str) -> str:
    """In the form of TabPy's password file, which both read."""
    salt = f"_$salt@tabpy:{name}$_".encode()
    return hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), salt, 10_000).hex()


def _deployed(servers: dict[str, Server]) -> list[dict[str, str | bool]]:
    """Where functions are deployed, and whether that needs a password: TabPy refuses one else."""
    return [
        {"url": f"http://localhost:{servers[name].port}/", "signed": bool(FORMS[name][0])}
        for name in DEPLOYED
    ]


def _deploy(python: Path, servers: Sequence[dict[str, str | bool]]) -> list[str]:
    """Each server's upload destination, once the functions are there."""
    done = subprocess.run(
        [python, "-I", Path(__file__).with_name("deploying.py")],
        input=json.dumps({"servers": servers, "user": USER, "password": PASSWORD}),
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"TabPy's client: {done.stdout}{done.stderr}")
    uploads: list[str] = json.loads(done.stdout.splitlines()[-1])
    return uploads
