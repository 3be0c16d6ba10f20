"""The list of requests, and what each of them is when it is sent."""

import base64
import gzip
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

USER, PASSWORD = "paolo", "a-made-up-password1"
FOLDER = Path(__file__).parent
DATA = {"_arg1": [1, 2, 3]}


@dataclass(frozen=True)
class Request:
    """A request, and how the replies to it may differ.

    `returns` stands for a script that returns this expression, after `prelude`; `script` goes to
    `/evaluate` with `data`; `json` and `body` are the body itself, filled with blanks up to
    `filled` bytes. `raw` is all that is sent. `{uploads}` stands for the server's upload
    destination.
    """

    group: str
    name: str
    server: str = "open"
    method: str = "POST"
    path: str = "/evaluate"
    user: str = ""  # "right", or a name and a password with a colon between
    headers: Mapping[str, str] = field(default_factory=dict)
    prelude: str = ""
    returns: str | None = None
    script: str | None = None
    data: Any = field(default_factory=lambda: DATA)
    json: Any = None
    body: str | None = None
    encoding: str = "utf-8"
    filled: int = 0
    gzip: bool = False
    chunked: bool = False
    raw: str = ""
    status: int = 200  # of both replies, if no difference says otherwise
    differs: tuple[str, ...] = ()
    why: str = ""  # the section that says so: of docs/from-tabpy.md, or document#section

    def rendered(self, host: str, uploads: str) -> bytes:
        """The bytes of the request."""
        if self.raw:
            return self.raw.replace("\n", "\r\n").encode()
        body = self._content(uploads)
        headers = {"Host": host, "Connection": "close", **self.headers}
        if self.user:
            who = f"{USER}:{PASSWORD}" if self.user == "right" else self.user
            headers["Authorization"] = _basic(who)
        if self.gzip:
            body = gzip.compress(body or b"")
            headers.setdefault("Content-Encoding", "gzip")
        if self.chunked and body is not None:
            headers["Transfer-Encoding"] = "chunked"
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        elif body is not None:
            headers.setdefault("Content-Length", str(len(body)))
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")

    def _content(self, uploads: str) -> bytes | None:
        if self.body is not None:
            text = self.body
        elif self.json is not None:
            text = json.dumps(self.json).replace("{uploads}", uploads)
        elif self.returns is not None:
            script = f"{self.prelude}\nreturn {self.returns}".strip()
            text = json.dumps({"script": script, "data": self.data})
        elif self.script is not None:
            text = json.dumps({"script": self.script, "data": self.data})
        else:
            return None
        return text.encode(self.encoding).ljust(self.filled)


@dataclass(frozen=True)
class Everywhere:
    """A difference that any reply may have."""

    differs: str
    why: str


def _basic(user_and_password: str) -> str:
    return "Basic " + base64.b64encode(user_and_password.encode()).decode()


def requests() -> list[Request]:
    """All of them, in the order in which they are sent."""
    return [each for file in sorted(FOLDER.glob("requests/*.toml")) for each in _of(file)]


def everywhere() -> list[Everywhere]:
    rules = tomllib.loads((FOLDER / "everywhere.toml").read_text(encoding="utf-8"))
    return [Everywhere(differs, why) for why, all_ in rules.items() for differs in all_]


def _of(file: Path) -> Iterator[Request]:
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    for name, one in content["requests"].items():
        fields = {**content.get("all", {}), **one}
        differs = fields.pop("differs", ())
        yield Request(
            group=file.stem.partition("-")[2],
            name=name,
            differs=(differs,) if isinstance(differs, str) else tuple(differs),
            **fields,
        )
