"""Servers in this process; `harness` says how they are used."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tests.web.harness import Web, make_context


@pytest.fixture
def serve() -> Iterator[Callable[..., Web]]:
    """Start servers with routes, settings and fakes of their own: what `make_context` takes."""
    running: list[Web] = []

    def serve_one(
        settings: dict[str, Any] | None = None,
        *,
        routes: dict[str, type[BaseHandler]] | None = None,
        **options: Any,
    ) -> Web:
        running.append(Web(make_context(settings, **options), routes))
        return running[-1]

    yield serve_one
    for each in running:
        each.close()


@pytest.fixture
def web(serve: Callable[..., Web]) -> Web:
    """A server with the default settings."""
    return serve()


@pytest.fixture
def failures(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What has been logged as an error so far, ours or a library's."""
    return lambda: [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
