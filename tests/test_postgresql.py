"""PostgreSQL as it is in the world: it restarts, it sits behind PgBouncer, locks are others'."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, event, make_url, text
from sqlalchemy.exc import DBAPIError

from course.db import LIMITS, Database, is_busy, is_lost, migrate
from course.processes import ports
from course.processes.children import end_with
from course.settings import Settings
from scheduler import Ticker
from tests.at_once import at_once
from tests.chaos import databases
from tests.crowd import enroll
from tests.test_scheduler import StopAfter
from tests.world import World, found, make_home


def values(session, names) -> list[str]:  # type: ignore[no-untyped-def]
    asked = ", ".join(f"current_setting('{name}')" for name in names)
    return list(session.execute(text(f"SELECT {asked}")).one())


def test_a_transaction_that_writes_has_its_limits_and_leaves_none_behind(
    postgres_world: World,
) -> None:
    names = list(LIMITS)
    with postgres_world.database.writing() as session:
        connection = session.connection().connection.dbapi_connection
        assert values(session, names) == list(LIMITS.values())
    with postgres_world.database.reading() as session:
        assert session.connection().connection.dbapi_connection is connection
        assert values(session, names) == ["0", "0", "0"]


def test_who_waits_for_a_lock_too_long_is_told_to_try_again(
    postgres_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "lock_timeout", "50ms")
    database = postgres_world.database
    lock = text("SELECT 1 FROM installation FOR UPDATE")
    with database.writing() as first, database.writing() as second:
        first.execute(lock)
        with pytest.raises(DBAPIError) as caught:
            second.execute(lock)
        second.rollback()
    assert is_busy(caught.value)


def test_no_statement_sets_or_needs_the_state_of_a_session(postgres_world: World) -> None:
    """What PgBouncer in transaction mode asks for: nothing outlives its transaction."""
    seen: list[str] = []
    world = postgres_world

    def see(_c: object, _cur: object, statement: str, *_: object) -> None:
        seen.append(" ".join(statement.upper().split()))

    event.listen(world.database.engine, "before_cursor_execute", see)
    learner = world.join("ada@example.org")
    world.live_through(3)
    world.leave(learner)
    assert seen
    words = ("SET ", "LISTEN", "NOTIFY", "PREPARE", "DECLARE", "LOAD", "CREATE TEMP")
    assert [one for one in seen if one.startswith(words) or "ADVISORY" in one] == []
    assert {one for one in seen if "SET_CONFIG" in one and ", TRUE)" not in one} == set()


# Restart -----------------------------------------------------------------------------------------


@pytest.mark.e2e
def test_a_restart_while_ticking_costs_no_lesson_and_no_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with databases.postgresql(tmp_path) as target:
        assert target.restart
        home = make_home(tmp_path / "home")
        settings = Settings(home=home, secret_key=("s",), hash_key="h", database_url=target.url)
        migrate(target.url)
        world = World(settings, Database(target.url))
        found(settings, world.database)
        enroll(world.database, [f"p{n}@example.org" for n in range(50)], [None], "h")
        stop = threading.Event()
        ticker = Ticker(world.office, StopAfter(60))

        def tick_on() -> None:
            while not stop.wait(0.01):
                ticker()

        ticking = threading.Thread(target=tick_on)
        ticking.start()
        try:
            for _ in range(3):
                target.restart()
                world.pass_time(days=1)
                time.sleep(1)
        finally:
            stop.set()
            ticking.join()
        ticker()
        world.database.dispose()
    assert [record.exc_info for record in caplog.records if record.exc_info] == []
    assert len(world.provider.log) == len(set(world.provider.log)) >= 100


def test_a_server_that_is_away_is_known_from_a_fault_of_ours(postgres_world: World) -> None:
    nobody = Database("postgresql+psycopg://127.0.0.1:1/nothing")
    with pytest.raises(DBAPIError) as away, nobody.reading() as session:
        session.execute(text("SELECT 1"))
    with pytest.raises(DBAPIError) as wrong, postgres_world.database.reading() as session:
        session.execute(text("SELECT nothing"))
    with pytest.raises(DBAPIError) as ended, postgres_world.database.reading() as session:
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert [is_lost(one.value) for one in (away, wrong, ended)] == [True, False, True]
    nobody.dispose()


# PgBouncer ---------------------------------------------------------------------------------------


@contextmanager
def pgbouncer(url: URL, folder: Path) -> Iterator[URL]:
    """In transaction mode, with one session for all that come."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        words = "no pgbouncer: apt-get install pgbouncer"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(words)
    assert program
    host = str(url.query.get("host") or url.host)
    # Root may not run it, and the server's socket is open to the server's user alone.
    user = ["--user", Path(host).owner()] if os.getuid() == 0 and host.startswith("/") else []
    for place in (folder, *folder.parents[:3]):
        place.chmod(place.stat().st_mode | 0o011)
    port = ports.free_port()
    file = folder / "pgbouncer.ini"
    file.write_text(
        "[databases]\n"
        f"{url.database} = host={host} port={url.port or 5432} pool_size=1 user={url.username}\n"
        "[pgbouncer]\npool_mode = transaction\nauth_type = any\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nmax_client_conn = 50\n"
    )
    file.chmod(0o644)
    parent = os.getpid()
    with subprocess.Popen(
        [program, "--quiet", *user, str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: end_with(parent),
    ) as process:
        try:
            ends = time.monotonic() + 20
            while not ports.is_listening(f"http://127.0.0.1:{port}"):
                assert process.poll() is None, "pgbouncer does not start"
                assert time.monotonic() < ends
                time.sleep(0.05)
            yield url.set(host="127.0.0.1", port=port, query={})
        finally:
            process.kill()


@pytest.mark.e2e
def test_a_course_is_lived_behind_pgbouncer_in_transaction_mode(
    postgres_world: World, tmp_path: Path
) -> None:
    direct = make_url(postgres_world.settings.database)
    postgres_world.database.dispose()
    folder = tmp_path / "pgbouncer"
    folder.mkdir()
    with pgbouncer(direct, folder) as url:
        shown = url.render_as_string(hide_password=False)
        settings = postgres_world.settings.model_copy(update={"database_url": shown})
        database = Database(shown)
        world = World(settings, database, provider=postgres_world.provider)
        learners = [world.join(f"p{number}@example.org") for number in range(3)]
        world.live_through(4)
        # Two that write at once share one session of the server, one after the other.
        at_once(world.tick, lambda: world.leave(learners[0]), world.tick)
        database.dispose()
    assert len(world.provider.log) == len(set(world.provider.log)) >= 9
