"""The users: those of the password file as it is now, and those that aren't in it."""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

from tabpy.tabpy_server.access import password_file, password_hashes
from tabpy.tabpy_server.access.password_file import User

logger = logging.getLogger(__name__)

CHECK_FILE_SECONDS = 0.2  # between looks at the password file


class Users:
    """The password file, as it is now, and the users that aren't in it."""

    def __init__(self, file: Path | None, beside_file: Mapping[str, User]) -> None:
        """Read the file, if there is one. `beside_file`: more users, by name.

        Lines that are wrong don't count: they are logged, and kept in `problems`.
        Raises PasswordFileError or OSError for a file that can't be read at all.
        """
        self._file = file
        self._beside_file = dict(beside_file)
        self._next_look = 0.0
        self._seen = self._signature()
        self._current, self.problems = self._read()
        for problem in self.problems:
            logger.error("In the password file, this doesn't count: %s", problem)

    def current(self) -> Mapping[str, User]:
        """Return the users by name: the same object for as long as nothing has changed.

        In a file that has become wrong the right lines count, and without a file its users are out:
        nobody gets in by what the file said before, in none of the web processes.
        """
        now = time.monotonic()
        if now < self._next_look:
            return self._current
        self._next_look = now + CHECK_FILE_SECONDS
        signature = self._signature()
        if signature == self._seen:
            return self._current
        self._seen = signature
        try:
            self._current, self.problems = self._read()
        except (password_file.PasswordFileError, OSError) as error:
            self._current, self.problems = dict(self._beside_file), [str(error)]
        for problem in self.problems:
            logger.error("In the changed password file, this doesn't count: %s", problem)
        logger.info("The password file has changed: %d users.", len(self._current))
        return self._current

    @property
    def outdated(self) -> int:
        """Return how many have a hash of TabPy's old kind, quick to guess from."""
        return sum(password_hashes.is_outdated(each.encoded) for each in self.current().values())

    def _read(self) -> tuple[Mapping[str, User], list[str]]:
        users, problems = password_file.salvage(self._file) if self._file else ({}, [])
        return {**users, **self._beside_file}, problems

    def _signature(self) -> tuple[int, int, int] | None:
        if self._file is None:
            return None
        try:
            status = os.stat(self._file)  # noqa: PTH116 - on the way of each request
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
