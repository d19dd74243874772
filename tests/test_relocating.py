"""A running course moves from SQLite to PostgreSQL, and goes on there: each mail once."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import URL, delete, func, select, text, update

from course import copies, events, holds, installation, relocating
from course.db import Database, migrate
from course.errors import RefusedError
from course.models import Delivery, Forecast, Subscriber
from course.relocating import Order
from course.states import EventKind, HoldKind
from course.webhooks import ProviderEvent
from tests import postgres
from tests.world import World

pytestmark = pytest.mark.e2e  # whole databases are moved


@pytest.fixture
def url(postgres_server: URL) -> Iterator[str]:
    with postgres.database(postgres_server, "moved") as made:
        yield made


@pytest.fixture
def order(world: World, url: str) -> Order:
    target = world.settings.model_copy(update={"database_url": url})
    return Order(world.settings, target, "me", world.clock.now())


@pytest.fixture
def target(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.dispose()


def live(world: World) -> list[int]:
    """Three learners in the middle of their course; one has left."""
    learners = [world.join(f"p{number}@example.org", f"Ada {number}") for number in range(3)]
    world.live_through(3)
    world.leave(learners[2])
    return learners


def move(order: Order, source: Database, target: Database) -> list[relocating.Same]:
    relocating.require_possible(order, source, target)
    hold = relocating.begin(order, source, target)
    assert relocating.under_way(order, source) == 0
    relocating.copy(source, target, lambda _: None)
    return relocating.finish(order, source, target, hold)


def there(world: World, order: Order, target: Database) -> World:
    return World(order.target, target, world.clock, world.provider)


def numbers(database: Database) -> dict[str, int]:
    with database.reading() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in relocating.tables()
        }


def test_a_course_goes_on_where_it_was_moved_to(
    world: World, order: Order, target: Database
) -> None:
    learners = live(world)
    before = len(world.provider.log)
    same = move(order, world.database, target)
    assert {one.table: one.rows for one in same} == numbers(world.database)
    assert copies.notice(target, order.target, world.clock.now(), world.clock.real()) is None
    moved = there(world, order, target)
    moved.live_through(21)
    assert [moved.state(learner) for learner in learners] == ["completed", "completed", "cancelled"]
    assert len(world.provider.log) == len(set(world.provider.log)) > before
    assert len(moved.lessons(learners[0])) == 7


def test_the_two_never_both_send(world: World, order: Order, target: Database) -> None:
    live(world)
    move(order, world.database, target)
    before = len(world.provider.log)
    moved_at = world.clock.course
    world.live_through(3)
    assert len(world.provider.log) == before
    world.clock.course = moved_at
    with world.database.reading() as session:
        (hold,) = holds.standing(session)
    assert hold.kind == HoldKind.COPY
    assert "moved to postgresql" in hold.why
    there(world, order, target).live_through(3)
    assert len(world.provider.log) > before


def test_new_numbers_are_beyond_those_that_were_ever_given_out(
    world: World, order: Order, target: Database
) -> None:
    live(world)
    with world.database.writing() as session:
        session.execute(text("UPDATE sqlite_sequence SET seq = 5000 WHERE name = 'delivery'"))
    move(order, world.database, target)
    moved = there(world, order, target)
    learner = moved.join("new@example.org")
    assert learner == 4
    assert min(row.id for row in moved.rows(learner)) > 5000


def test_what_is_told_of_mails_from_before_the_move_is_understood(
    world: World, order: Order, target: Database
) -> None:
    live(world)
    with world.database.reading() as session:
        name = installation.get(session).name
    move(order, world.database, target)
    told = ProviderEvent(EventKind.DELIVERED, world.clock.now(), f"{name}-1")
    with target.writing() as session:
        here = installation.get(session)
        assert here.name != name
        found = events.record(
            session,
            [told],
            world.clock.now(),
            installation=here.name,
            former=here.former_names,
            hash_key=world.hash_key,
        )
    assert found.new == 1


def test_what_changed_while_it_was_copied_is_in_the_copy(
    world: World, order: Order, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Added, changed and removed: the last look finds it."""
    monkeypatch.setattr(relocating, "_RANGE", 2)
    live(world)
    relocating.require_possible(order, world.database, target)
    hold = relocating.begin(order, world.database, target)
    relocating.copy(world.database, target, lambda _: None)
    world.sign_up("late@example.org")
    with world.database.writing() as session:
        session.execute(update(Subscriber).where(Subscriber.id == 1).values(name="Eve"))
        session.execute(delete(Forecast))
    relocating.finish(order, world.database, target, hold)
    assert numbers(target)["subscriber"] == 4
    with target.reading() as session:
        assert session.get_one(Subscriber, 1).name == "Eve"
        assert session.scalar(select(func.count()).select_from(Forecast)) == 0


def test_a_copy_that_broke_off_goes_on(world: World, order: Order, target: Database) -> None:
    live(world)

    names = [table.name for table in relocating.tables()]

    def break_off(_rows: int) -> None:  # each of these small tables is told of once
        if names.pop(0) == "enrollment":
            raise KeyboardInterrupt

    relocating.begin(order, world.database, target)
    with pytest.raises(KeyboardInterrupt):
        relocating.copy(world.database, target, break_off)
    assert numbers(target)["enrollment"] == 3
    assert numbers(target)["delivery"] == 0
    move(order, world.database, target)
    with world.database.reading() as session:
        assert len(holds.standing(session)) == 1
    with target.reading() as session:
        assert holds.standing(session) == []


def test_a_target_that_is_not_empty_is_refused(
    world: World, order: Order, target: Database
) -> None:
    with target.writing() as session:
        session.execute(text("CREATE TABLE somebody_elses (id int)"))
    with pytest.raises(RefusedError, match="is not empty"):
        relocating.require_possible(order, world.database, target)


def test_a_copy_that_is_finished_is_not_copied_over(
    world: World, order: Order, target: Database
) -> None:
    move(order, world.database, target)
    with pytest.raises(RefusedError, match="is not empty"):
        relocating.require_possible(order, world.database, target)


def test_an_empty_database_with_our_tables_will_do(
    world: World, order: Order, target: Database
) -> None:
    migrate(order.target.database)
    relocating.require_possible(order, world.database, target)
    with target.writing() as session:
        session.execute(
            text("INSERT INTO forecast (made_at, lessons, is_order) VALUES (now(), 1, false)")
        )
    with pytest.raises(RefusedError, match="is not empty"):
        relocating.require_possible(order, world.database, target)


def test_a_database_is_not_copied_onto_itself(world: World, order: Order) -> None:
    same = replace(order, target=order.source)
    with pytest.raises(RefusedError, match="the same database"):
        relocating.require_possible(same, world.database, world.database)


def test_a_difference_is_found_and_nothing_comes_to_life(
    world: World, order: Order, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(world)
    monkeypatch.setattr(relocating, "_write", lambda *_: None)
    with pytest.raises(RefusedError, match="differs"):
        move(order, world.database, target)
    with target.reading() as session:
        assert not installation.exists(session)


def test_mails_in_hand_are_waited_for_and_then_called_unknown(
    world: World, order: Order, target: Database
) -> None:
    world.join("ada@example.org")
    past = world.clock.real() - timedelta(seconds=1)
    with world.database.writing() as session:
        session.execute(
            update(Delivery)
            .where(Delivery.id == 1)
            .values(state="sending", claim_token="x", lease_until=past + timedelta(minutes=1))
        )
    assert relocating.under_way(order, world.database) == 1
    with world.database.writing() as session:
        session.execute(update(Delivery).where(Delivery.id == 1).values(lease_until=past))
    assert relocating.under_way(order, world.database) == 0
    assert world.rows()[0].state == "unknown"


def test_back_from_postgresql_into_a_file_with_its_keys(
    postgres_world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = postgres_world
    live(world)
    path = tmp_path_factory.mktemp("back") / "minicourse.db"
    settings = world.settings.model_copy(update={"database_url": f"sqlite:///{path}"})
    target = Database(settings.database)
    order = Order(world.settings, settings, "me", world.clock.now())
    move(order, world.database, target)
    assert "test hash key" in path.with_suffix(".keys").read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert copies.notice(target, settings, world.clock.now(), world.clock.real()) is None
    there(world, order, target).live_through(21)
    assert len(world.provider.log) == len(set(world.provider.log))
    target.dispose()
