"""Fixtures that every test may use: an environment without settings, and a founded database."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from course.db import Database, migrate
from course.settings import Settings
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
    settings = Settings(home=founded_home).with_made_keys()
    database = Database(settings.database)
    yield World(settings, database)
    database.dispose()
