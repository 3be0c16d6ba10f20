"""How to call a function from elsewhere: texts to copy, with this server's address."""

import keyword
import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tabpy.tabpy_server.web.page.parameters import as_json

Arguments = Mapping[str, Any] | Sequence[Any]


def python(url: str, user: str | None, name: str, arguments: Arguments) -> str:
    """Return a program that calls it with our client. `arguments`: by name, or in their order."""
    lines = ["from tabpy.tabpy_tools.client import Client", "", f"client = Client({url!r})"]
    if user is not None:
        lines.insert(0, "from getpass import getpass")
        lines.append(f"client.set_credentials({user!r}, getpass())")
    called = ", ".join([repr(name), *_given(arguments)])
    return "\n".join([*lines, f'print(client.query({called})["response"])'])


def curl(url: str, user: str | None, name: str, arguments: Arguments) -> str:
    """Return a command for a shell."""
    body = as_json({"data": arguments})
    sign_in = f"-u {shlex.quote(user)} " if user is not None else ""
    return f"curl {sign_in}{url}/query/{quote(name)} -d {shlex.quote(body)}"


def _given(arguments: Arguments) -> list[str]:
    if not isinstance(arguments, Mapping):
        return [repr(each) for each in arguments]
    named = [f"{name}={value!r}" for name, value in arguments.items() if _is_keyword(name)]
    others = {name: value for name, value in arguments.items() if not _is_keyword(name)}
    return [*named, f"**{others!r}"] if others else named


def _is_keyword(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and name not in ("name", "debug")
