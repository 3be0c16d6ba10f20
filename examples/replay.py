"""Send every example to a server, and say whether it replies what it should.

    python examples/replay.py https://my-app-1234567890ab.herokuapp.com -u paolo

The password is asked for, or taken from -p or the environment variable TABPY_PASSWORD. Ends with 0
when every reply is the expected one (numbers within a relative 1e-9), else with 1. Standard library
only; runs from anywhere.
"""

import argparse
import base64
import getpass
import json
import math
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
LIMIT = 60.0  # seconds for one reply


def main() -> int:
    parser = argparse.ArgumentParser(description="Send every example to a server.")
    parser.add_argument("url", metavar="URL", help="the server's root, https://... or http://...")
    parser.add_argument("-u", "--user", help="user name; without it no credentials are sent")
    parser.add_argument("-p", "--password", help="else TABPY_PASSWORD, else you are asked")
    options = parser.parse_args()
    if not options.url.startswith(("http://", "https://")):
        parser.error(f"{options.url} is no URL: it has to begin with https:// or http://")
    credentials = None
    if options.user is not None:
        password = options.password or os.environ.get("TABPY_PASSWORD") or getpass.getpass()
        credentials = f"{options.user}:{password}"

    right = True
    for folder in sorted(path.parent for path in HERE.glob("*/request.json")):
        start = time.perf_counter()
        trouble = try_example(options.url.rstrip("/"), credentials, folder)
        taken = (time.perf_counter() - start) * 1000
        print(f"{folder.name:<20} {taken:7.1f} ms  {trouble or 'ok'}")
        right = right and not trouble
    return 0 if right else 1


def try_example(root: str, credentials: str | None, folder: Path) -> str:
    """What is wrong with the server's reply, in one line; empty when nothing is."""
    expected = json.loads((folder / "reply.json").read_text(encoding="utf-8"))
    try:
        reply = evaluate(root, credentials, (folder / "request.json").read_bytes())
        return difference(expected, json.loads(reply, parse_constant=refuse))
    except urllib.error.HTTPError as error:
        body = error.read(2000).decode(errors="replace")
        return f"status {error.code}: {' '.join(body.split())}"
    except (OSError, ValueError) as error:
        return str(error)


def evaluate(root: str, credentials: str | None, body: bytes) -> bytes:
    """POST as Tableau does, which says its JSON were a form; some versions do."""
    request = urllib.request.Request(f"{root}/evaluate", body)
    if credentials is not None:
        token = base64.b64encode(credentials.encode()).decode()
        # Unredirected: should the server send us elsewhere, the password doesn't come along.
        request.add_unredirected_header("Authorization", f"Basic {token}")
    with urllib.request.urlopen(request, timeout=LIMIT) as answer:
        reply: bytes = answer.read()
    return reply


def refuse(token: str) -> None:
    raise ValueError(f"the reply has a bare {token}, which is no JSON: Tableau needs null")


def difference(expected: object, actual: object, where: str = "reply") -> str:
    """The first place where two JSON values differ; empty when there is none.

    Where an integer is expected, 1.0 is wrong: SCRIPT_INT wants 1.
    """
    if isinstance(expected, dict) and isinstance(actual, dict):
        if expected.keys() != actual.keys():
            return f"{where} has the keys {sorted(actual)}, expected {sorted(expected)}"
        pairs = [(f"{where}[{key!r}]", expected[key], actual[key]) for key in expected]
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return f"{where} has {len(actual)} values, expected {len(expected)}"
        both = enumerate(zip(expected, actual, strict=True))
        pairs = [(f"{where}[{row}]", one, other) for row, (one, other) in both]
    elif same(expected, actual):
        return ""
    else:
        return f"{where} is {json.dumps(actual)[:200]}, expected {json.dumps(expected)[:200]}"
    return next(filter(None, (difference(one, other, at) for at, one, other in pairs)), "")


def same(expected: object, actual: object) -> bool:
    if isinstance(expected, float) and isinstance(actual, int | float):
        number = not isinstance(actual, bool)
        return number and math.isclose(expected, actual, rel_tol=1e-9)
    return type(expected) is type(actual) and expected == actual


if __name__ == "__main__":
    sys.exit(main())
