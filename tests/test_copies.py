"""A database that was copied or put back notices it, and holds until a person has decided."""

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL, delete, make_url, select, text, update

from course import copies, holds, installation, marks
from course.db import Database, real_now
from course.models import Hold, Identity, Request
from course.settings import Settings
from course.states import HoldKind, HoldScope
from tests import postgres
from tests.world import World


def notice(world: World) -> Hold | None:
    real = world.clock.real()
    return copies.notice(world.database, world.settings, world.clock.course, real)


def send(world: World, email: str) -> None:
    """As a sender does: the line, the mark, the bytes."""
    world.sign_up(email)
    world.tick()
    with world.database.reading() as session:
        requests = session.scalars(select(Request.id)).all()
    copies.before_sending(world.settings, max(requests))


def moved(world: World, home: Path) -> World:
    """The same installation as another folder's processes see it."""
    settings = Settings(home=home).with_made_keys()
    return World(settings, Database(settings.database), world.clock)


def why(world: World) -> str:
    hold = notice(world)
    assert hold
    assert (hold.kind, hold.scope) == (HoldKind.COPY, HoldScope.ALL)
    return hold.why


# Both databases -----------------------------------------------------------------------------------


def test_a_first_start_and_each_later_one_hold_nothing(any_world: World) -> None:
    for number in range(3):
        assert notice(any_world) is None
        send(any_world, f"p{number}@example.org")
    assert len(any_world.provider.log) == 3


def test_a_copy_sends_nothing_until_it_is_released(any_world: World) -> None:
    world = any_world
    notice(world)
    with world.database.writing() as session:  # as if it had been taken elsewhere
        session.execute(update(Identity).values(mark="another", database_oid="1"))
    assert "this database was copied or restored: " in why(world)
    world.sign_up("ada@example.org")
    world.tick()
    assert world.provider.log == []
    assert why(world)  # each start finds the same hold
    with world.database.writing() as session:
        (hold,) = holds.standing(session)
        holds.release(session, [hold.id], "robin", world.clock.course)
        copies.adopt(session, world.settings, world.clock.course)
    assert notice(world) is None
    world.tick()
    assert len(world.provider.log) == 1


# An embedded database -----------------------------------------------------------------------------


def test_the_mark_lies_beside_the_database_and_is_its_owners_alone(world: World) -> None:
    notice(world)
    path = world.settings.home / "minicourse.mark"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_copy_without_its_mark_is_noticed(world: World, tmp_path: Path) -> None:
    notice(world)
    world.database.dispose()
    ignore = shutil.ignore_patterns("*.mark")
    copy = moved(world, shutil.copytree(world.settings.home, tmp_path / "copy", ignore=ignore))
    assert "minicourse.mark is not beside it" in why(copy)
    copy.database.dispose()


def test_a_copy_of_the_whole_folder_is_noticed_a_renamed_folder_is_not(
    world: World, tmp_path: Path
) -> None:
    notice(world)
    world.database.dispose()
    copy = moved(world, shutil.copytree(world.settings.home, tmp_path / "copy"))
    assert f"it was {world.settings.home}/minicourse.db" in why(copy)
    copy.database.dispose()
    renamed = moved(world, world.settings.home.rename(tmp_path / "renamed"))
    assert notice(renamed) is None
    assert notice(renamed) is None
    renamed.database.dispose()


def backup_of(world: World, to: Path) -> Callable[[], None]:
    """Take a backup; returns what puts it back, into the same file."""
    world.database.dispose()
    database = world.settings.home / "minicourse.db"
    shutil.copy(database, to)

    def restore() -> None:
        world.database.dispose()
        shutil.copy(to, database)

    return restore


def test_a_backup_put_back_is_noticed_when_mail_was_sent_since(
    world: World, tmp_path: Path
) -> None:
    notice(world)
    send(world, "ada@example.org")
    restore = backup_of(world, tmp_path / "backup")
    restore()
    assert notice(world) is None  # nothing was sent since: nothing can be sent twice
    send(world, "bo@example.org")
    restore()
    assert "requests up to 2 were sent, and it ends with 1" in why(world)


def test_a_backup_from_before_the_first_start_is_noticed(world: World, tmp_path: Path) -> None:
    restore = backup_of(world, tmp_path / "backup")
    notice(world)
    send(world, "ada@example.org")
    restore()
    assert "requests up to 1 were sent, and it ends with 0" in why(world)


def test_a_backup_from_before_a_release_is_noticed(world: World, tmp_path: Path) -> None:
    notice(world)
    restore = backup_of(world, tmp_path / "backup")
    with world.database.writing() as session:
        copies.adopt(session, world.settings, world.clock.course)
    restore()
    assert "is another's" in why(world)


def test_another_machine_is_noticed_and_an_unknown_one_is_not_compared(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = tmp_path / "machine-id"
    monkeypatch.setattr(marks, "_MACHINE_IDS", (machine,))
    machine.write_text("one\n")
    notice(world)
    machine.write_text("")
    assert notice(world) is None
    machine.write_text("one\n")
    assert notice(world) is None
    machine.write_text("another\n")
    assert "another machine" in why(world)


def test_a_broken_mark_is_none(world: World) -> None:
    notice(world)
    (world.settings.home / "minicourse.mark").write_text("{")
    assert "is not beside it" in why(world)


def test_a_new_database_beside_an_old_mark_is_new(world: World) -> None:
    """`init` after the old file was thrown away."""
    notice(world)
    send(world, "ada@example.org")
    with world.database.writing() as session:
        session.execute(delete(Identity))
        installation.get(session).name = "another"
    assert notice(world) is None


def test_going_live_is_no_restore_though_it_forgets_requests(world: World) -> None:
    notice(world)
    send(world, "ada@example.org")
    with world.database.writing() as session:
        session.execute(text("UPDATE delivery SET request_id = NULL"))
        session.execute(delete(Request))
        installation.become_live(session, real_now(session))
    assert notice(world) is None


def test_a_backup_from_before_going_live_is_noticed(world: World, tmp_path: Path) -> None:
    notice(world)
    restore = backup_of(world, tmp_path / "backup")
    with world.database.writing() as session:
        installation.become_live(session, real_now(session))
    notice(world)
    restore()
    assert "it was live already" in why(world)


def test_the_mark_only_rises_and_is_never_made_by_a_sender(world: World) -> None:
    path = world.settings.home / "minicourse.mark"
    copies.before_sending(world.settings, 1)
    assert not path.exists()
    notice(world)
    for request in (7, 12, 9):
        copies.before_sending(world.settings, request)
    found = marks.read(path)
    assert found
    assert (found.request, found.is_live) == (12, False)
    real = world.settings.model_copy(
        update={"sendgrid_api_key": "SG.x", "sendgrid_host": "https://api.sendgrid.com"}
    )
    copies.before_sending(real, 3)
    found = marks.read(path)
    assert found
    assert (found.request, found.is_live) == (12, True)


# A server -----------------------------------------------------------------------------------------


def test_a_copy_on_the_same_server_is_noticed(postgres_world: World, postgres_server: URL) -> None:
    world = postgres_world
    notice(world)
    world.database.dispose()
    name = make_url(world.settings.database).database
    with postgres.database(postgres_server, f"{name}_copy", name) as url:
        settings = world.settings.model_copy(update={"database_url": url})
        copy = World(settings, Database(url), world.clock)
        assert "the database's oid is" in why(copy)
        copy.database.dispose()
    assert notice(world) is None


@pytest.mark.parametrize(
    ("column", "words"),
    [("system_identifier", "system identifier"), ("timeline", "timeline is 00000001, not")],
)
def test_a_restored_server_is_noticed(postgres_world: World, column: str, words: str) -> None:
    notice(postgres_world)
    with postgres_world.database.writing() as session:
        session.execute(update(Identity).values({column: "before"}))
    assert words in why(postgres_world)


def test_what_a_server_keeps_to_itself_is_not_compared(postgres_world: World) -> None:
    world = postgres_world
    notice(world)
    with world.database.writing() as session:
        session.execute(text("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC"))
        session.execute(text("CREATE ROLE copies_without_rights"))
        session.execute(text("GRANT ALL ON ALL TABLES IN SCHEMA public TO copies_without_rights"))
        session.execute(text("SET LOCAL ROLE copies_without_rights"))
        asked = copies._server(session)
        difference = copies._difference(session, world.settings)
        session.rollback()
    assert set(asked) == {"database_oid", "timeline"}
    assert difference is None


def test_an_embedded_database_taken_to_a_server_is_noticed(postgres_world: World) -> None:
    notice(postgres_world)
    with postgres_world.database.writing() as session:
        values = dict.fromkeys(("system_identifier", "database_oid", "timeline"))
        session.execute(update(Identity).values(mark="a mark", **values))
    assert "it was an embedded database" in why(postgres_world)
