"""docs/rest.md is true: its commands run from top to bottom, and give what is shown below them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.running import PASSWORD, USER, Server

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "rest.md"
ADDRESS = "http://localhost:9004"  # the guide's
BLOCK = re.compile(r"((?:^ {4}[^\n]*\n)+)(?:\n```json\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
# Other ones each time, or the servers' own.
CHANGING = {"uuid", "creation_time", "last_modified_time", "author", "sha256", "size", "path"}


@dataclass(frozen=True)
class Example:
    """Commands, and the JSON that the last one replies; None where nothing is shown, or only a
    part."""

    commands: str
    shown: Any


def examples() -> list[Example]:
    text = GUIDE.read_text(encoding="utf-8").partition("### Archives on the server's disk")[0]
    found = []
    for commands, shown in BLOCK.findall(text):
        if "curl" in commands:
            whole = shown and "…" not in shown and "..." not in shown
            found.append(Example(commands, json.loads(shown) if whole else None))
    return found


def run(commands: str, server: Server) -> Any:
    """The reply's JSON."""
    here = f"http://127.0.0.1:{server.port}"
    typed = re.sub(r"^ {4}", "", commands, flags=re.MULTILINE).replace(ADDRESS, here)
    typed = typed.replace("curl -u tabpy", 'curl --silent --show-error -u "$TYPED"')
    typed = typed.replace(".venv/bin/python", f"'{sys.executable}'")
    done = subprocess.run(
        ["bash", "-e", "-c", typed],
        cwd=server.folder,
        env={**server.environment, "PYTHONPATH": str(ROOT), "TYPED": f"{USER}:{PASSWORD}"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(reply: Any, shown: Any) -> None:
    """A reply has what is shown of it, and may have functions that the guide hasn't deployed."""
    if isinstance(shown, dict):
        assert isinstance(reply, dict), reply
        for key, value in shown.items():
            if key in CHANGING:
                assert key in reply
            else:
                check(reply[key], value)
    elif isinstance(shown, list):
        assert len(reply) == len(shown)
        for each, expected in zip(reply, shown, strict=True):
            check(each, expected)
    else:
        assert reply == shown


@pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("bash") is None,
    reason="the guide's commands need curl and bash",
)
def test_its_commands_run_in_their_order_and_give_what_is_shown(
    start: Callable[..., Server],
) -> None:
    pytest.importorskip("numpy", reason="the guide's function requires it")
    server = start()
    program = re.search(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert program is not None
    (server.folder / "pricing.py").write_text(program[1])
    assert sum(each.shown is not None for each in examples()) > 8
    for example in examples():
        reply = run(example.commands, server)
        if example.shown is not None:
            check(reply, example.shown)
