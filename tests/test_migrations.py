"""Migrations: they make what the models say, go both ways, wait for nobody long, and the program
from before them goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import URL, inspect, text
from sqlalchemy.exc import DBAPIError

from course.db import MIGRATION_LIMITS, Database, Standing, alembic_config, is_busy, standing
from tests import postgres
from tests.world import World


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'minicourse.db'}"
        return
    server: URL = request.getfixturevalue("postgres_server")
    with postgres.database(server, "migrated") as made:
        yield made


def test_migrations_make_what_the_models_say_up_down_and_up_again(url: str) -> None:
    config = alembic_config(url)
    command.upgrade(config, "head")
    command.check(config)
    command.downgrade(config, "base")
    assert tables(url) == {"alembic_version"}
    command.upgrade(config, "head")
    command.check(config)


def tables(url: str) -> set[str]:
    database = Database(url)
    try:
        return set(inspect(database.engine).get_table_names())
    finally:
        database.dispose()


ADDED = (
    "ALTER TABLE delivery ADD COLUMN of_tomorrow TEXT",
    "ALTER TABLE enrollment ADD COLUMN also_of_tomorrow INTEGER",
    "CREATE TABLE of_tomorrow (id INTEGER PRIMARY KEY, delivery_id INTEGER)",
    "UPDATE alembic_version SET version_num = '9999'",
)


def test_a_program_that_runs_goes_on_while_a_newer_one_adds_to_its_tables(
    any_world: World,
) -> None:
    """Additive first: machine after machine gets the new program, and the course never stops."""
    world = any_world
    learner = world.join("ada@example.org")
    with world.database.writing() as session:
        for statement in ADDED:
            session.execute(text(statement))
    world.live_through(21)
    assert world.state(learner) == "completed"
    world.leave(world.join("bob@example.org"))
    assert len(world.provider.log) == len(set(world.provider.log))
    # Started anew, it is told that it is the older one.
    assert standing(world.database) is Standing.NEWER


def test_a_migration_does_not_make_everybody_wait_for_a_lock(
    postgres_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for a table's lock holds up all that come after: it gives up, to be tried again."""
    monkeypatch.setitem(MIGRATION_LIMITS, "lock_timeout", "50ms")
    with postgres_world.database.writing() as session:
        session.execute(text("SELECT 1 FROM delivery"))
        with pytest.raises(DBAPIError) as caught:
            command.downgrade(alembic_config(postgres_world.settings.database), "base")
    assert is_busy(caught.value)
    assert standing(postgres_world.database) is Standing.CURRENT
