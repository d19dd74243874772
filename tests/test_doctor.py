"""`minicourse doctor`: each broken set-up is named, with its remedy."""

import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from course import going_live
from course.clock import Clock
from course.db import Database
from course.doctor import Check, examine
from course.settings import Settings
from tests.real import REAL, real_settings
from tests.terminal import run

Break = Callable[[Path, pytest.MonkeyPatch], None]


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Somebody who listens, as far as doctor can tell."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def sound_home(founded_home: Path, taken_port: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with nothing wrong."""
    monkeypatch.setenv("MINICOURSE_HOME", str(founded_home))
    monkeypatch.setenv("SENDGRID_HOST", f"http://127.0.0.1:{taken_port}")
    return founded_home


def findings() -> list[Check]:
    return [check for check in examine(Settings.load) if not check.is_well]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def wrong_setting(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEND_LIMIT", "many")


def no_database(home: Path, _: pytest.MonkeyPatch) -> None:
    (home / "minicourse.db").unlink()


def no_tables(home: Path, _: pytest.MonkeyPatch) -> None:
    (home / "minicourse.db").write_bytes(b"")


def lost_version(home: Path, _: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(home / "minicourse.db") as connection:
        connection.execute("DELETE FROM alembic_version")
    connection.close()


def not_a_database(home: Path, _: pytest.MonkeyPatch) -> None:
    (home / "minicourse.db").write_text("These are not the bytes of a database. " * 100)


def lost_keys(home: Path, _: pytest.MonkeyPatch) -> None:
    (home / "minicourse.keys").unlink()


def other_keys(home: Path, _: pytest.MonkeyPatch) -> None:
    (home / "minicourse.keys").write_text("SECRET_KEY=a\nHASH_KEY=b\n")


def nobody_listens(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENDGRID_HOST", "http://127.0.0.1:1")


def no_courses(home: Path, _: pytest.MonkeyPatch) -> None:
    (home / "lessons" / "job-search").rename(home / "elsewhere")


def unknown_variable(home: Path, _: pytest.MonkeyPatch) -> None:
    edit(home / "lessons" / "job-search" / "02-network.md", "{{ name", "{{ nickname")


def broken_layout(home: Path, _: pytest.MonkeyPatch) -> None:
    layout = home / "templates" / "email" / "lesson.html.j2"
    layout.parent.mkdir(parents=True)
    layout.write_text("{% block main %}\n{% endfor %}\n")


def real_host_without_the_rest(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENDGRID_API_KEY", "SG.a-key")
    monkeypatch.delenv("SENDGRID_HOST")


def live_without_key(home: Path, _: pytest.MonkeyPatch) -> None:
    settings = real_settings(home)
    database = Database(settings.database)
    going_live.go_live(database, settings, [], Clock().now())
    database.dispose()


@pytest.mark.parametrize(
    ("breaks", "name", "found", "remedy"),
    [
        (wrong_setting, "settings", "SEND_LIMIT: 'many' is not like 100/day", "minicourse doctor"),
        (no_database, "database", "No database at /", "minicourse init"),
        (no_tables, "database", "is empty", "minicourse init"),
        (lost_version, "database", "does not fit together", "from a backup"),
        (not_a_database, "database", "file is not a database", "from a backup"),
        (lost_keys, "mode", "HASH_KEY is missing", "from a backup"),
        (other_keys, "mode", "not the one this database was made with", "Set the old one again"),
        (nobody_listens, "mail", "nobody takes it at http://127.0.0.1:1", "minicourse sandbox"),
        (no_courses, "courses", "there is none in /", "course.toml"),
        (unknown_variable, "course job-search", "02-network.md:", "course apply job-search"),
        (broken_layout, "course job-search", "email/lesson.html.j2:2:", "course apply job-search"),
        (real_host_without_the_rest, "mode", "POSTAL_ADDRESS is not set", ".env"),
        (live_without_key, "mode", "live, but SENDGRID_API_KEY is not set", "Set it"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_broken_set_up_is_named_with_its_remedy(
    sound_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    breaks: Break,
    name: str,
    found: str,
    remedy: str,
) -> None:
    breaks(sound_home, monkeypatch)
    (check,) = findings()
    assert check.name == name
    assert found in check.found
    assert check.remedy
    assert remedy in check.remedy


def test_a_sound_set_up_has_no_findings_and_exits_0(
    sound_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = run(monkeypatch, capsys, "doctor")
    assert answer.status == 0
    assert "✗" not in answer.out
    assert f"{sound_home}/minicourse.db" in answer.out


def test_findings_exit_3_and_several_are_told_at_once(
    sound_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lost_keys(sound_home, monkeypatch)
    unknown_variable(sound_home, monkeypatch)
    answer = run(monkeypatch, capsys, "doctor", "--json")
    assert answer.status == 3
    checks = orjson.loads(answer.out)
    assert [check["check"] for check in checks if not check["ok"]] == ["course job-search", "mode"]
    assert all((check["remedy"] is None) == check["ok"] for check in checks)


def test_a_live_set_up_with_all_settings_is_sound(
    sound_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_without_key(sound_home, monkeypatch)
    monkeypatch.delenv("SENDGRID_HOST")
    for name, value in REAL.items():
        monkeypatch.setenv(name, value)
    assert findings() == []


def test_the_key_is_never_shown(
    sound_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SENDGRID_API_KEY", "SG.very-secret")
    answer = run(monkeypatch, capsys, "doctor")
    assert "very-secret" not in answer.out + answer.err
