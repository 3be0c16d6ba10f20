"""A plugin of pytest: says when half of the tests are done, and waits until somebody has heard."""

import os
from pathlib import Path

import pytest

from tests.running import until

SIGN = "HALFWAY_OF_TESTS"  # a variable: the file that says so, and goes when it was heard


class Halfway:
    def __init__(self) -> None:
        self._left = 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._left = max(1, len(session.items) // 2)

    def pytest_runtest_logfinish(self) -> None:
        self._left -= 1
        if self._left == 0:
            sign = Path(os.environ[SIGN])
            sign.touch()
            until(lambda: not sign.exists(), "it was heard", seconds=300)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Halfway())
