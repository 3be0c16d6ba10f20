"""Deploys the functions of the replay with TabPy's own published client; run by its Python.

Reads {"servers", "user", "password"} from stdin. What the requests themselves deploy it only saves,
into each server's upload destination, whose paths it prints as a JSON list.
"""

import importlib
import json
import math
import sys
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

Point = namedtuple("Point", "x y")
LOOKUP = [1, 2]
# Folders, one for each request that names it: some servers remove it afterwards.
SAVED = ("saved", "replacement", "same", "dotted", "outside", "taken")


def add(x: list[float], y: list[float]) -> list[float]:
    """Adds two columns."""
    return [a + b for a, b in zip(x, y, strict=True)]


def scaled(x: list[float], by: float = 2) -> list[float]:
    """Scales a column.

    By two, unless told otherwise.
    """
    return [each * by for each in x]


def undocumented(x: Any) -> Any:
    return x


def fails(x: list[float]) -> float:
    return x[0] / 0


def gives_nan(x: Any) -> list[Any]:
    return [1.5, math.nan, math.inf, None]


def gives_numpy(x: list[float]) -> Any:
    import numpy

    return numpy.array(x) * 2


def gives_named_tuple(x: Any) -> Point:
    return Point(1, 2)


def gives_set(x: Any) -> set[int]:
    return {1}


def gives_frame(x: list[float]) -> Any:
    import pandas

    return pandas.DataFrame({"x": x})


def gives_object(x: Any) -> object:
    return object()


def sorts(values: list[float]) -> list[float]:
    values.sort()
    return values


def lookup(x: Any) -> list[int]:
    return LOOKUP


def named(*columns: Any, **options: Any) -> dict[str, int]:
    return {"columns": len(columns), "options": len(options)}


FUNCTIONS = {
    "add": (add, "Adds"),
    "With Blank": (scaled, "Übersetzt"),
    "undocumented": (undocumented, ""),
    "fails": (fails, ""),
    "NaN": (gives_nan, ""),
    "numpy": (gives_numpy, ""),
    "named tuple": (gives_named_tuple, ""),
    "set": (gives_set, ""),
    "frame": (gives_frame, ""),
    "object": (gives_object, ""),
    "sorts": (sorts, ""),
    "lookup": (lookup, ""),
    "arguments": (named, ""),
}


def deploy(url: str, credentials: tuple[str, str] | None) -> str:
    # Imported by name: for a type checker in this checkout these would be ours, not TabPy's.
    tools = importlib.import_module("tabpy.tabpy_tools.client")
    custom = importlib.import_module("tabpy.tabpy_tools.custom_query_object")
    schema = importlib.import_module("tabpy.tabpy_tools.schema")
    client = tools.Client(url)
    if credentials:
        client.set_credentials(*credentials)
    described = schema.generate_schema(input={"x": [1], "y": [2]}, output=[3])
    for name, (function, description) in FUNCTIONS.items():
        more = {"schema": described, "is_public": True} if name == "add" else {}
        client.deploy(name, function, description, **more)
    uploads = str(client._get_endpoint_upload_destination())
    for folder in SAVED:
        Path(uploads, folder).mkdir(parents=True)
        custom.CustomQueryObject(query=add, description="Adds").save(str(Path(uploads, folder)))
    return uploads


def main() -> None:
    given = json.load(sys.stdin)
    # The client waits a whole second before it asks whether a function is loaded.
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(float(seconds), 0.01))
    signed = given["user"], given["password"]
    uploads = [deploy(each["url"], signed if each["signed"] else None) for each in given["servers"]]
    print()
    print(json.dumps(uploads))


if __name__ == "__main__":
    main()
