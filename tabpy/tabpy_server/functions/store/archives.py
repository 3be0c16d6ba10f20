"""Archives in the store: each once, by the SHA-256 of its bytes, in parts."""

import hashlib
import time
from pathlib import Path

from sqlalchemy import Connection, delete, func, insert, select, update

from tabpy.tabpy_server.functions.store.opened_archive import (
    OpenedArchive,
    changed_archive_error,
    unfollowed,
)
from tabpy.tabpy_server.functions.store.schema import archive_parts, archives, versions

PART = 4 << 20  # bytes; archives travel in parts, so none has to fit into memory
UNUSED_AFTER = 3600  # seconds an archive may lie there before its version is stored


def put(connection: Connection, archive: OpenedArchive) -> None:
    """Store an archive; one that is there already counts as just stored, and so isn't forgotten
    before its version comes.

    Raises RefusedError for one that isn't any more what was measured.
    """
    stored = archive.stored
    now = int(time.time())
    touched = connection.execute(
        update(archives).where(archives.c.sha256 == stored.sha256).values(creation_time=now)
    )
    if touched.rowcount:
        return
    connection.execute(insert(archives).values(**stored._asdict(), creation_time=now))
    digest = hashlib.sha256()
    for part, data in enumerate(archive.parts(PART)):
        digest.update(data)
        connection.execute(insert(archive_parts).values(sha256=stored.sha256, part=part, data=data))
    if digest.hexdigest() != stored.sha256:
        raise changed_archive_error()


def read(connection: Connection, sha256: str, into: Path) -> None:
    """Write an archive to a file. Raises LookupError if it's not there, or not whole."""
    digest = hashlib.sha256()
    query = select(archive_parts.c.data).where(archive_parts.c.sha256 == sha256)
    parts = connection.scalar(select(func.count()).select_from(query.subquery()))
    with open(into, "wb", opener=unfollowed) as file:
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
