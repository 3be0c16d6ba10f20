"""GET /limits: what a script may take and touch, as it is in force and not as somebody wishes."""

from collections.abc import Callable
from typing import Any

import pytest

from tabpy.tabpy_server.isolation import Isolation
from tabpy.tabpy_server.script_rules import InForce
from tests.web.harness import Web

Serve = Callable[..., Web]
ALL = InForce(landlock=7, seccomp=True, processes=192)


def limits(serve: Serve, parts: InForce, **settings: object) -> Any:
    return serve(settings, confinement=parts).request("GET", "/limits").json


def test_it_says_what_a_script_may_take_and_touch(serve: Serve) -> None:
    chosen = {"evaluate_timeout": 25.0, "query_timeout": 60.0, "script_memory_mb": 100.4}
    assert limits(serve, ALL, script_isolation=Isolation.VIEWER, **chosen) == {
        "seconds": 25.0,
        "query_seconds": 60.0,
        "memory_mb": 100,
        "isolation": "viewer",
        "network": True,
        "confinement": {"landlock": 7, "seccomp": True, "processes": 192, "complete": True},
    }


@pytest.mark.parametrize(("parts", "network"), [(ALL, False), (InForce(landlock=7), True)])
def test_the_network_is_off_only_where_calls_are_filtered(
    serve: Serve, parts: InForce, network: bool
) -> None:
    assert limits(serve, parts, script_network=False)["network"] is network


def test_what_does_not_hold_is_not_complete_and_names_no_path(serve: Serve) -> None:
    leak = InForce(landlock=7, seccomp=True, missing=("'/srv/pwd' can still be read",))
    said = limits(serve, leak)
    assert said["confinement"]["complete"] is False
    assert "/srv" not in str(said)
