"""The factory: what it reads, what it refuses, what an author may replace."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from course import ledger
from course.curriculum import parse
from course.errors import DatabaseError
from course.planning import Clock, Learner
from course.settings import SOURCE_ROOT, Settings
from course.sources import read
from course.states import MessageKind
from course.timing import Past
from course.web.app import create_app
from course.web.coming import Ahead, Next, look_ahead

from .conftest import COURSE, HASH_KEY, MONDAY, SECRET, World


@pytest.fixture
def home_of_its_own(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that the environment names, with a copy of the database."""
    shutil.copy(home / "fresh.db", tmp_path / "minicourse.db")
    monkeypatch.setenv("MINICOURSE_HOME", str(tmp_path))
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.setenv("HASH_KEY", HASH_KEY)
    monkeypatch.delenv("SENDGRID_API_KEY", raising=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return tmp_path


@pytest.mark.usefixtures("home_of_its_own")
def test_without_arguments_the_environment_is_served() -> None:
    app = create_app()
    assert app.test_client().get("/").status_code == 200
    app.extensions["minicourse"].database.dispose()


@pytest.mark.usefixtures("home_of_its_own")
def test_a_foreign_hash_key_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASH_KEY", "another")
    with pytest.raises(DatabaseError, match="HASH_KEY is not the one"):
        create_app()


def test_a_home_without_a_database_says_what_to_run(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, hash_key=SecretStr(HASH_KEY))
    with pytest.raises(DatabaseError, match="minicourse init"):
        create_app(settings)


def test_an_author_may_replace_a_page_and_a_word(home_of_its_own: Path) -> None:
    pages, texts = home_of_its_own / "templates/web", home_of_its_own / "templates/texts"
    pages.mkdir(parents=True)
    texts.mkdir(parents=True)
    (pages / "error.html.j2").write_text("<p>Ours: {{ title }}</p>")
    (texts / "en.toml").write_text('[web.errors]\n404 = ["Gone fishing", "Back soon."]\n')
    app = create_app()
    assert app.test_client().get("/nothing").text == "<p>Ours: Gone fishing</p>"
    app.extensions["minicourse"].database.dispose()


@pytest.mark.usefixtures("home_of_its_own")
def test_behind_https_browsers_are_told_to_stay_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://course.example.org")
    app = create_app()
    answer = app.test_client().get("/healthz")
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    assert "Strict-Transport-Security" not in world.client.get("/healthz").headers
    app.extensions["minicourse"].database.dispose()


def test_a_database_that_lost_its_tables_is_not_ready_but_the_process_lives(world: World) -> None:
    assert world.client.get("/readyz").text == "ready\n"
    with world.database.writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE installation RENAME TO lost")
    assert world.client.get("/healthz").status_code == 200
    answer = world.client.get("/readyz")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (503, "no-store")


def test_a_database_whose_file_is_gone_is_not_ready(world: World) -> None:
    assert world.client.get("/readyz").text == "ready\n"
    path = world.settings.database_path
    assert path
    path.rename(path.with_name("elsewhere"))
    assert world.client.get("/healthz").status_code == 200
    answer = world.client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "the database cannot be reached\n")
    path.with_name("elsewhere").rename(path)
    assert world.client.get("/readyz").text == "ready\n"


def test_a_database_of_another_version_is_not_ready(world: World) -> None:
    with world.database.writing() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    answer = world.client.get("/readyz")
    assert (answer.status_code, "newer" in answer.text) == (503, True)


# What comes next ----------------------------------------------------------------------------------

CURRICULUM = parse(COURSE, read(SOURCE_ROOT, COURSE).files)
BERLIN = ZoneInfo("Europe/Berlin")


def learner(**changes: object) -> Learner:
    given = {
        "id": 1,
        "clock": Clock(1, "Europe/Berlin", None, None),
        "starts_at": MONDAY,
        "rolling": True,
        "running": True,
    }
    return Learner(**(given | changes))  # type: ignore[arg-type]


def at(day: int, hour: int = 9) -> datetime:
    return datetime(2030, 1, day, hour, tzinfo=BERLIN)


def gone(*days: int) -> dict[str, Past]:
    """The first lessons, accepted at nine on these days of January."""
    slugs = list(CURRICULUM.by_slug)
    return {slug: Past(True, at(day), at(day)) for slug, day in zip(slugs, days, strict=False)}


@pytest.mark.parametrize(
    ("past", "leaving", "now", "ahead"),
    [
        # Just confirmed: the welcome mail leaves, the second comes on the next day.
        ({}, None, MONDAY, Ahead(1, Next(2, at(8)))),
        # The welcome mail waits in the ledger.
        (gone(7), "welcome", MONDAY, Ahead(1, Next(2, at(8)))),
        # Between two lessons.
        (gone(7, 8), None, at(8, 12), Ahead(None, Next(3, at(9)))),
        # A lesson has fallen due and the next tick takes it.
        (gone(7, 8), None, at(9), Ahead(3, Next(4, at(10)))),
        # A weekend lies between.
        (gone(7, 8, 9, 10, 11), None, at(11, 12), Ahead(None, Next(6, at(14)))),
        # The last one is on its way.
        (gone(7, 8, 9, 10, 11, 14, 15), "decision", at(15), Ahead(7, None)),
        # All have come.
        (gone(7, 8, 9, 10, 11, 14, 15), None, at(16), Ahead(None, None)),
    ],
)
def test_what_comes_next(
    past: dict[str, Past], leaving: str | None, now: datetime, ahead: Ahead
) -> None:
    assert look_ahead(CURRICULUM, learner(), past, leaving, now) == ahead


def test_a_fixed_start_has_no_mail_now() -> None:
    fixed = learner(rolling=False, starts_at=at(21))
    assert look_ahead(CURRICULUM, fixed, {}, None, MONDAY) == Ahead(None, Next(1, at(21)))


def test_a_mail_in_the_ledger_is_said_to_be_on_its_way(world: World) -> None:
    token = world.join()
    world.receive("welcome", MONDAY)
    tuesday = MONDAY + timedelta(days=1)
    found = world.enrollment()
    row = ledger.Planned(
        enrollment_id=found.id,
        course_id=found.course_id,
        kind=MessageKind.LESSON,
        message_key="network",
        due_at=tuesday,
        rank=ledger.RANK_LESSON,
    )
    with world.database.writing() as session:
        ledger.plan(session, [row], tuesday)
    world.set_time(tuesday)
    text = world.client.get(f"/manage/{token}").text
    assert "Mail 2 of 7 is on its way to a…@example.org." in text
    assert "Wednesday, 9 January, 09:00" in text
