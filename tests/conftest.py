"""Fixtures that every test may use: an environment without settings, and a founded database."""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine

from course import checking, db, rendering, sources
from course.checking import Finding, Survey
from course.db import Database, migrate
from course.rendering import CompiledCourse, Site
from course.settings import Settings
from course.sources import Source
from tests import postgres
from tests.world import World, found, make_home

_OURS = ("MINICOURSE_", "DATABASE_URL", "SENDGRID_", "PUBLIC_URL", "MAIL_", "POSTAL_", "SECRET_KEY")


# Live through whole courses, each of them many times: `make e2e` has the time.
_WHOLE = {
    "test_course_check",
    "test_backups",
    "test_checking",
    "test_editing",
    "test_explaining",
    "test_hostile_course",
    "test_lateness",
    "test_looking",
    "test_places",
    "test_rehearsal",
    "test_rehearse",
    "test_stats",
    "test_steering",
}
# Both databases are tried in `make test` where the SQL itself is at stake, and for all the rest in
# `make e2e`: a database of its own for each test takes a while.
_ON_POSTGRESQL = {
    "test_budgets",
    "test_copies",
    "test_enrollment",
    "test_events_in_bulk",
    "test_hints",
    "test_migrations",
    "test_notes",
    "test_places",
    "test_planning",
    "test_query_plans",
    "test_rowsets",
    "test_selecting",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        parameters, file = getattr(item, "callspec", None), item.path.stem
        is_on_server = parameters is not None and "postgresql" in parameters.id
        if file in _WHOLE or (is_on_server and file not in _ON_POSTGRESQL):
            item.add_marker(pytest.mark.whole)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A command that sets the logs up does so for the whole process."""
    root, names = (
        logging.getLogger(),
        (None, "course", "scheduler", "course.batch", "course.web.hooks"),
    )
    handlers, levels = list(root.handlers), {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


_load, _loaded = rendering.load_course, dict[object, CompiledCourse]()


def _load_once(slug: str, files: Mapping[str, str], site: Site, **rest: str) -> CompiledCourse:
    key = (slug, sources.content_hash(files), site, *rest.items())
    if key not in _loaded:
        _loaded[key] = _load(slug, files, site, **rest)
    return _loaded[key]


_survey, _surveyed = checking.survey, dict[object, Survey]()


def _survey_once(
    source: Source, site: Site, *, where: str | None = None, unread: Sequence[Finding] = ()
) -> Survey:
    key = (source.slug, sources.content_hash(source.files), site, where, tuple(unread))
    if key not in _surveyed:
        _surveyed[key] = _survey(source, site, where=where, unread=unread)
    return _surveyed[key]


@pytest.fixture(autouse=True)
def each_course_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are few courses, and many worlds that check, apply and send them."""
    monkeypatch.setattr(rendering, "load_course", _load_once)
    monkeypatch.setattr(checking, "survey", _survey_once)


_make_engine, _engines = db._make_engine, dict[str, Engine]()


def _make_engine_like_the_first(url: str, patience_seconds: float) -> Engine:
    engine = _make_engine(url, patience_seconds)
    first = _engines.get(engine.dialect.name)
    # A dialect knows its server only once it has been there.
    if first is None or getattr(first.dialect, "server_version_info", None) is None:
        _engines[engine.dialect.name] = engine
        return engine
    engine.dialect, engine._compiled_cache = first.dialect, first._compiled_cache
    return engine


@pytest.fixture(autouse=True, scope="session")
def _each_statement_compiled_once() -> Iterator[None]:
    """Each test has a database and so an engine of its own; the statements are the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db, "_make_engine", _make_engine_like_the_first)
        yield


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
