"""`minicourse init`: everything from an empty folder; repeated, nothing."""

import re
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from course import courses, db, installation, setup
from course.db import Database, Standing, migrate, standing
from course.errors import CourseError, DatabaseError
from course.installation import SandboxKeys
from course.models import Cohort, Course
from course.sandbox.keys import make_key_pair
from course.settings import SOURCE_ROOT, Settings
from course.setup import Made
from tests.terminal import run
from tests.world import make_home

NOW = datetime(2027, 1, 14, 11, 0, tzinfo=UTC)
PAIR = make_key_pair()
KEYS = SandboxKeys(PAIR.private_pem, PAIR.public_base64)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


def init(home: Path) -> tuple[Settings, Made]:
    return setup.init(Settings(home=home), KEYS, "robin", NOW)


def everything_in(home: Path) -> dict[str, bytes]:
    """File → content; SQLite's own helpers aside."""
    files = (path for path in home.rglob("*") if path.is_file() and "db-" not in path.name)
    return {str(path): path.read_bytes() for path in files}


def test_an_empty_home_gets_keys_a_database_and_its_courses(home: Path) -> None:
    settings, made = init(home)
    assert made == Made(database=True, tables=True, courses=("job-search",), env_file=home / ".env")
    database = Database(settings.database)
    assert standing(database) is Standing.CURRENT
    with database.reading() as session:
        installation.check(session, settings)
        assert installation.is_sandbox(session)
        assert [course.slug for course in courses.published(session)] == ["job-search"]
        cohort = session.scalars(select(Cohort)).one()
        assert (cohort.name, cohort.starts_on, cohort.is_front) == ("evergreen", None, True)
    database.dispose()


def test_what_holds_secrets_or_people_is_for_its_owner_alone(home: Path) -> None:
    settings, _ = init(home)
    assert settings.key_path
    for path in (home / ".env", settings.key_path, home / "minicourse.db"):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_repeated_it_changes_nothing(home: Path) -> None:
    init(home)
    before = everything_in(home)
    _, made = init(home)
    assert not made
    assert everything_in(home) == before


def test_a_later_edit_waits_for_a_persons_word(founded_home: Path) -> None:
    lesson = founded_home / "lessons" / "job-search" / "01-welcome.md"
    lesson.write_text(lesson.read_text() + "\nOne more line.\n")
    shutil.copytree(founded_home / "lessons" / "job-search", founded_home / "lessons" / "second")
    settings, made = init(founded_home)
    assert made.courses == ()
    database = Database(settings.database)
    with database.reading() as session:
        assert list(session.scalars(select(Course.slug))) == ["job-search"]
        assert courses.live(session, "job-search").revision_number == 1
    database.dispose()


def test_a_course_that_does_not_compile_leaves_nothing_behind(home: Path) -> None:
    lesson = home / "lessons" / "job-search" / "03-market.md"
    lesson.write_text(lesson.read_text().replace("{{ name", "{{ nickname"))
    before = everything_in(home)
    with pytest.raises(CourseError, match=r"lessons/job-search/03-market\.md:\d+: .*nickname"):
        init(home)
    assert everything_in(home) == before


def test_an_own_env_file_is_left_alone(home: Path) -> None:
    (home / ".env").write_text("TICK_SECONDS=9\n")
    assert init(home)[1].env_file is None
    assert (home / ".env").read_text() == "TICK_SECONDS=9\n"


def test_every_setting_is_explained_in_the_example_and_none_is_set() -> None:
    lines = (SOURCE_ROOT / ".env.example").read_text().splitlines()
    named = [line.partition("=")[0] for line in lines if re.match(r"#[A-Z_]+=", line)]
    settings = {
        name.upper() for name in Settings.model_fields if name not in ("home", "clock_file")
    }
    assert sorted(named) == sorted(
        f"#{name}" for name in settings | {"MINICOURSE_HOME", "MINICOURSE_CLOCK_FILE"}
    )
    assert all(line.startswith("#") or not line for line in lines)


def test_lost_keys_are_never_made_anew(founded_home: Path) -> None:
    (founded_home / "minicourse.keys").unlink()
    with pytest.raises(DatabaseError, match=r"HASH_KEY is missing: .* Bring it back from a backup"):
        init(founded_home)
    assert not (founded_home / "minicourse.keys").exists()


def test_a_start_that_broke_off_is_taken_up_again(home: Path) -> None:
    keys = Settings(home=home).with_made_keys().hash_key
    settings = Settings(home=home)
    migrate(settings.database)  # tables, but no installation yet
    settings, made = init(home)
    assert made.courses == ("job-search",)
    assert settings.hash_key == keys


def test_a_home_without_courses_is_ready_for_the_first(tmp_path: Path) -> None:
    _, made = init(tmp_path)
    assert made.database
    assert made.courses == ()


def sql(home: Path, statement: str) -> None:
    connection = sqlite3.connect(home / "minicourse.db", isolation_level=None)
    connection.execute(statement)
    connection.close()


def zero_bytes(home: Path) -> None:
    for file in home.glob("minicourse.db*"):
        file.unlink()
    (home / "minicourse.db").touch()


def broken_off(home: Path) -> None:
    sql(home, "DELETE FROM installation")


def older(home: Path) -> None:
    sql(home, "UPDATE alembic_version SET version_num = '0000'")


def newer(home: Path) -> None:
    sql(home, "UPDATE alembic_version SET version_num = 'from-the-future'")


def without_version(home: Path) -> None:
    sql(home, "DELETE FROM alembic_version")


def version_alone(home: Path) -> None:
    zero_bytes(home)
    sql(home, "CREATE TABLE alembic_version (version_num TEXT)")
    sql(home, "INSERT INTO alembic_version VALUES ('0001')")


def other_file(home: Path) -> None:
    zero_bytes(home)
    (home / "minicourse.db").write_text("These are not the bytes of a database. " * 100)


def folder(home: Path) -> None:
    zero_bytes(home)
    (home / "minicourse.db").unlink()
    (home / "minicourse.db").mkdir()


ANEW = "Bring it back from a backup; or move it away and make a new one with: minicourse init"
STATES: list[tuple[Callable[[Path], None], str, str]] = [
    (zero_bytes, "is empty", "Make it ready with: minicourse init"),
    (broken_off, "is empty", "Make it ready with: minicourse init"),
    (older, "by an older version", "Bring it up to date with: minicourse db upgrade"),
    (newer, "by a newer version", "Update the program with: git pull && make install"),
    (without_version, "does not fit together", ANEW),
    (version_alone, "does not fit together", ANEW),
    (other_file, "file is not a database", ANEW),
    (folder, "it is a folder", ANEW),
]


@pytest.mark.parametrize(("spoil", "wrong", "step"), STATES, ids=[s[0].__name__ for s in STATES])
def test_every_command_says_the_same_of_a_database_that_cannot_be_used(
    founded_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    wrong: str,
    step: str,
) -> None:
    """Except for the command that the step names."""
    monkeypatch.setattr(db, "_migrations", lambda: {"0000", "0001"})
    monkeypatch.setenv("MINICOURSE_HOME", str(founded_home))
    spoil(founded_home)
    mending = step.rpartition("minicourse ")[2] if step != ANEW else ""
    asked = ["init", "db upgrade", "status", "web", "subscriber list"]
    if "init" in mending:
        asked.remove("init")
    if "upgrade" in mending:
        asked = ["status", "web", "subscriber list"]  # `init` upgrades, too
    said = {words: run(monkeypatch, capsys, *words.split()) for words in asked}
    for words, answer in said.items():
        assert answer.status == 1, words
        assert answer.err.count("\n") == 1, words
    assert len({answer.err for answer in said.values()}) == 1
    told = said["status"].err
    assert wrong in told
    assert told.endswith(f"{step}\n")
    assert str(founded_home / "minicourse.db") in told


@pytest.mark.parametrize("spoil", [zero_bytes, broken_off])
def test_the_step_that_is_named_for_an_empty_database_works(
    founded_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
) -> None:
    monkeypatch.setenv("MINICOURSE_HOME", str(founded_home))
    spoil(founded_home)
    (founded_home / "minicourse.db").chmod(0o644)
    answer = run(monkeypatch, capsys, "init")
    assert answer.status == 0, answer.err
    assert (founded_home / "minicourse.db").stat().st_mode & 0o777 == 0o600
    assert run(monkeypatch, capsys, "status").status in (0, 3)


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path,
        database_url="postgresql+psycopg://robin:secret@127.0.0.1:1/course",
        secret_key=("a",),
        hash_key="b",
    )
    with pytest.raises(DatabaseError, match="Cannot open the database postgresql") as caught:
        setup.init(settings, KEYS, "robin", NOW)
    assert "secret" not in str(caught.value)


def test_the_command_says_what_it_made_and_then_that_nothing_is_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINICOURSE_HOME", str(home))
    first = run(monkeypatch, capsys, "init")
    assert first.status == 0
    assert f"Made the database {home}/minicourse.db" in first.out
    assert "Published the course job-search" in first.out
    second = run(monkeypatch, capsys, "init")
    assert second.status == 0
    assert second.out == f"Nothing to do: {home}/minicourse.db is ready.\n"


def test_the_command_names_what_is_not_live_yet(
    founded_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINICOURSE_HOME", str(founded_home))
    about = founded_home / "lessons" / "job-search" / "about.md"
    about.write_text(about.read_text() + "\nNew.\n")
    assert "minicourse course apply job-search" in run(monkeypatch, capsys, "init").err


def test_only_init_makes_a_database(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINICOURSE_HOME", str(home))
    for words in (["db", "upgrade"], ["web"], ["sandbox"], ["live"]):
        answer = run(monkeypatch, capsys, *words)
        assert answer.status == 1, words
        assert answer.err == (
            f"Error: No database at {home}/minicourse.db. Make one with: minicourse init\n"
        )
    assert not (home / "minicourse.db").exists()


def test_db_upgrade_says_when_all_is_well(
    founded_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINICOURSE_HOME", str(founded_home))
    answer = run(monkeypatch, capsys, "db", "upgrade")
    assert (answer.status, answer.out) == (
        0,
        f"Nothing to do: {founded_home}/minicourse.db is up to date.\n",
    )
