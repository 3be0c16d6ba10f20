"""Archives in the store: each once, by the SHA-256 of its bytes, in parts."""

import hashlib
import os
import time
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from tabpy.tabpy_server.functions.store.schema import archive_parts, archives, versions

PART = 4 << 20  # bytes; archives travel in parts, so none has to fit into memory
UNUSED_AFTER = 3600  # seconds an archive may lie there before its version is stored


class Stored(NamedTuple):
    """An archive's SHA-256, and its size in bytes."""

    sha256: str
    size: int


def measure(archive: BufferedReader) -> Stored:
    """Return what an open file will be stored as."""
    sha256 = hashlib.file_digest(archive, "sha256").hexdigest()
    return Stored(sha256, os.fstat(archive.fileno()).st_size)


def put(connection: Connection, archive: BufferedReader, stored: Stored) -> None:
    """Store an archive; one that is there already counts as just stored, and so isn't forgotten
    before its version comes."""
    now = int(time.time())
    touched = connection.execute(
        update(archives).where(archives.c.sha256 == stored.sha256).values(creation_time=now)
    )
    if touched.rowcount:
        return
    connection.execute(insert(archives).values(**stored._asdict(), creation_time=now))
    archive.seek(0)
    for part, data in enumerate(iter(lambda: archive.read(PART), b"")):
        connection.execute(insert(archive_parts).values(sha256=stored.sha256, part=part, data=data))


def read(connection: Connection, sha256: str, into: Path) -> None:
    """Write an archive to a file. Raises LookupError if it's not there, or not whole."""
    digest = hashlib.sha256()
    query = select(archive_parts.c.data).where(archive_parts.c.sha256 == sha256)
    parts = connection.scalar(select(func.count()).select_from(query.subquery()))
    with into.open("wb") as file:
        for part in range(parts or 0):
            data = connection.scalar(query.where(archive_parts.c.part == part)) or b""
            digest.update(data)
            file.write(data)
    if digest.hexdigest() != sha256:
        raise LookupError(sha256)


def forget_unused(connection: Connection) -> None:
    """Remove what no version uses, but not what was just stored: its version is on its way."""
    connection.execute(
        delete(archives).where(
            archives.c.creation_time < int(time.time()) - UNUSED_AFTER,
            archives.c.sha256.not_in(select(versions.c.sha256)),
        )
    )
