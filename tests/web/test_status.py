"""What is told of functions that can't be loaded, and what calls tell of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from tabpy.tabpy_server.errors import FunctionFailedError, NotLoadableError, TabPyError
from tabpy.tabpy_server.functions.store.endpoint import (
    ALIAS,
    ArchiveInfo,
    Endpoint,
    EndpointMetadata,
)
from tabpy.tabpy_server.workers.pool.job import Job, Outcome, Timing
from tabpy.tabpy_server.workers.protocol import Failure, Reply
from tests.web.harness import FakeCatalog, FakeCheckup, FakePool, Web

Serve = Callable[..., Web]


def model(name: str) -> Endpoint:
    return Endpoint(name, 1, EndpointMetadata(), ArchiveInfo(f"SHA-256 of {name}", 1), 0, 0)


def alias(name: str, target: str) -> Endpoint:
    metadata = EndpointMetadata(type=ALIAS, target=target)
    return replace(model(name), metadata=metadata, archive=None)


class Catalog(FakeCatalog):
    """Has one that can be loaded, one that can't, one of which it isn't known; and aliases."""

    broken: Mapping[str, str] = MappingProxyType({"bad": "It needs <x>."})

    async def endpoints(self) -> dict[str, Any]:
        models = [model(name) for name in ("good", "bad", "new")]
        aliases = [alias(f"other {each.name}", each.name) for each in models]
        return {each.name: each for each in (*models, *aliases, alias("lost", "gone"))}

    def is_checked(self, archive: ArchiveInfo) -> bool:
        return "new" not in archive.sha256


def test_the_status_tells_tabpys_words_and_the_reason(serve: Serve) -> None:
    status = serve(catalog=Catalog()).request("GET", "/status").json
    told = {name: (each["status"], each["last_error"]) for name, each in status.items()}
    assert told == {
        "good": ("LoadSuccessful", None),
        "bad": ("LoadFailed", "It needs <x>."),
        "new": ("LoadInProgress", None),
        "other good": ("LoadSuccessful", None),
        "other bad": ("LoadFailed", "It needs <x>."),
        "other new": ("LoadInProgress", None),
        "lost": ("LoadFailed", "Its target 'gone' isn't there."),
    }


def test_so_does_the_page(serve: Serve) -> None:
    page = serve(catalog=Catalog()).request("GET", "/").body.decode()
    assert "1 deployed function can&#x27;t be loaded" in page
    assert "<li>bad: It needs &lt;x&gt;.</li>" in page


def test_the_page_names_some_and_counts_the_others(serve: Serve) -> None:
    catalog = Catalog()
    catalog.broken = {str(number): "y" * 1000 for number in range(30)}
    page = serve(catalog=catalog).request("GET", "/").body.decode()
    assert "<li>… and 10 more</li>" in page
    assert "y" * 301 not in page


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        pytest.param(None, [("f", True)], id="answer"),
        pytest.param(NotLoadableError("f", "It needs x."), [("f", False)], id="not loaded"),
        pytest.param(FunctionFailedError("f", "ValueError"), [], id="failed"),
    ],
)
def test_a_call_tells_whether_its_function_was_loaded(
    serve: Serve, error: TabPyError | None, seen: list[tuple[str, bool]]
) -> None:
    class Pool(FakePool):
        async def run(self, job: Job, _: Timing) -> Outcome:
            reply = Reply("0" * 32 + "-1")
            return Outcome(Failure.of(error, reply) if error else reply, b"1")

    checkup = FakeCheckup()
    serve(pool=Pool(), checkup=checkup).request("POST", "/query/f", b"{}")
    assert checkup.seen == seen
