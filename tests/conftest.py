"""Fixtures that every test may use: an environment without settings, and a founded database."""

import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import URL

from course.db import Database, migrate
from course.settings import Settings
from tests import postgres
from tests.world import World, found, make_home

_OURS = ("MINICOURSE_", "DATABASE_URL", "SENDGRID_", "PUBLIC_URL", "MAIL_", "POSTAL_", "SECRET_KEY")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def _founded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated and filled once; each test works on a copy."""
    home = make_home(tmp_path_factory.mktemp("founded") / "home")
    settings = Settings(home=home).with_made_keys()
    migrate(settings.database)
    database = Database(settings.database)
    found(settings, database)
    database.dispose()
    return home


@pytest.fixture
def founded_home(_founded_home: Path, tmp_path: Path) -> Path:
    """A home with a course, a database that `init` would have made, and its keys."""
    home = tmp_path / "home"
    shutil.copytree(_founded_home, home)
    return home


@pytest.fixture
def world(founded_home: Path) -> Iterator[World]:
    """A founded installation on SQLite."""
    settings = Settings(home=founded_home).with_made_keys()
    database = Database(settings.database)
    yield World(settings, database)
    database.dispose()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    with postgres.server() as url:
        yield url


@pytest.fixture(scope="session")
def _founded_postgres(postgres_server: URL, _founded_home: Path) -> Iterator[str]:
    """The name of a database that each test copies."""
    name = f"founded_{os.getpid()}"
    with postgres.database(postgres_server, name) as url:
        settings = Settings(home=_founded_home, **_KEYS, database_url=url)
        migrate(url)
        database = Database(url)
        found(settings, database)
        database.dispose()
        yield name


_KEYS = {"secret_key": ("test secret",), "hash_key": "test hash key"}
_numbers = count(1)


@pytest.fixture
def postgres_world(
    postgres_server: URL, _founded_postgres: str, founded_home: Path
) -> Iterator[World]:
    """A founded installation on PostgreSQL."""
    name = f"world_{os.getpid()}_{next(_numbers)}"
    with postgres.database(postgres_server, name, _founded_postgres) as url:
        settings = Settings(home=founded_home, **_KEYS, database_url=url)
        database = Database(url)
        yield World(settings, database)
        database.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_world(request: pytest.FixtureRequest) -> World:
    """The same installation on each database: what holds on one must hold on the other."""
    fixture = "world" if request.param == "sqlite" else "postgres_world"
    made: World = request.getfixturevalue(fixture)
    return made
