"""`minicourse doctor`: each broken set-up is named, with its remedy."""

import socket
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import orjson
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from course import cohorts, enrollment, going_live, holds, outside, readiness
from course.answers import Answer, Verdict
from course.clock import Clock
from course.db import Database
from course.doctor import Check, examine
from course.heartbeat import Heartbeat
from course.mailer import Mailer
from course.models import Delivery, Forecast, Installation
from course.settings import Settings
from course.states import HoldKind
from tests.outside import KEY, MadeUpOutside
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


@pytest.fixture(autouse=True)
def world_outside(monkeypatch: pytest.MonkeyPatch) -> MadeUpOutside:
    """Nobody outside this machine is asked."""
    made = MadeUpOutside()
    monkeypatch.setattr(outside, "RealOutside", lambda _: made)
    return made


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


def open_keys(home: Path, _: pytest.MonkeyPatch) -> None:
    (home / "minicourse.keys").chmod(0o644)


def open_settings(home: Path, _: pytest.MonkeyPatch) -> None:
    (home / ".env").write_text("MAIL_FROM=me@example.org\n")
    (home / ".env").chmod(0o640)


def change(home: Path, work: Callable[[Session], object]) -> None:
    database = Database(real_settings(home).database)
    with database.writing() as session:
        work(session)
    database.dispose()


def held(home: Path, _: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    place = partial(holds.place, why="on purpose", who="me", now=now, real=now)
    change(home, lambda session: place(session, holds.Scope(), HoldKind.MANUAL))


def confirmed_long_ago(session: Session, **values: object) -> None:
    now = datetime.now(UTC) - timedelta(hours=1)
    cohort = cohorts.find(session, "evergreen")
    enrollment.sign_up(
        session,
        cohort,
        enrollment.Person("ada@example.org"),
        enrollment.Origin("test"),
        now,
        hash_key="x",
        sandbox=True,
    )
    session.execute(update(Delivery).values(**({"retry_at": None} | values)))


def late(home: Path, _: pytest.MonkeyPatch) -> None:
    change(home, confirmed_long_ago)


def nobody_knows(home: Path, _: pytest.MonkeyPatch) -> None:
    change(home, partial(confirmed_long_ago, state="unknown"))


def abandoned(home: Path, _: pytest.MonkeyPatch) -> None:
    lease = datetime.now(UTC) - timedelta(minutes=6)
    change(home, partial(confirmed_long_ago, state="claimed", lease_until=lease))


def too_little_room(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEND_LIMIT", "100/day")
    change(home, lambda session: session.add(Forecast(made_at=datetime.now(UTC), lessons=101)))


def full_disk(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course.watch.LEAST_FREE_BYTES", 1 << 62)


def clock_astray(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course.doctor.real_now", lambda _: datetime(2026, 1, 1, tzinfo=UTC))


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
        (open_keys, "files", "minicourse.keys can be read by others (644)", "chmod 600 /"),
        (open_settings, "files", ".env can be read by others (640)", "chmod 600 /"),
        (held, "sending", "on purpose", "minicourse send release 1"),
        (late, "sending", "due for more than 15 minutes", "minicourse status"),
        (nobody_knows, "sending", "Nobody knows", "delivery list --state unknown"),
        (abandoned, "leases", "1 mail taken in hand", "minicourse up"),
        (too_little_room, "SEND_LIMIT", "101 lessons due within a day", "Raise it"),
        (full_disk, "sending", "MB are free", "minicourse db prune"),
        (clock_astray, "clock", "s apart", "time server"),
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


def test_settings_without_effect_are_told(
    sound_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (sound_home / ".env").write_text("MAIL_FROM\nSENDGRID_WEBHOOK_PUBLIC_KEY=foo\n")
    (sound_home / ".env").chmod(0o600)
    monkeypatch.setenv("SENDGRID_APIKEY", "x")
    answer = run(monkeypatch, capsys, "doctor", "--json")
    checks = orjson.loads(answer.out)
    told = [check["found"] for check in checks if not check["ok"]]
    assert len(told) == 3
    assert "did you mean SENDGRID_API_KEY?" in told[0]
    assert ".env:1: MAIL_FROM has no =" in told[1]
    assert "'foo' is no key" in told[2]


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


def test_a_live_set_up_with_all_settings_is_sound_and_what_is_wrong_outside_is_told(
    sound_home: Path, monkeypatch: pytest.MonkeyPatch, world_outside: MadeUpOutside
) -> None:
    live_without_key(sound_home, monkeypatch)
    now = datetime.now(UTC)
    heard = {"webhook_heard_at": now, "test_sent_at": now, "test_heard_at": now}
    change(sound_home, lambda session: session.execute(update(Installation).values(**heard)))
    monkeypatch.delenv("SENDGRID_HOST")
    for name, value in {**REAL, "SENDGRID_WEBHOOK_PUBLIC_KEY": KEY}.items():
        monkeypatch.setenv(name, value)
    assert findings() == []
    assert world_outside.names
    del world_outside.names["_dmarc.example.com", "TXT"]
    (check,) = findings()
    assert check.name == "DMARC"
    assert "v=DMARC1" in (check.remedy or "")


def test_alerts_are_tried(
    sound_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = run(monkeypatch, capsys, "doctor", "--test-alert")
    assert answer.status == 3
    assert "ALERT_EMAIL is not set" in answer.out
    monkeypatch.setenv("ALERT_EMAIL", "me@example.org")
    monkeypatch.setenv("HEARTBEAT_URL", "http://127.0.0.1:1/x")
    monkeypatch.setattr(Mailer, "send", lambda *_: Answer(Verdict.ACCEPTED, 202))
    answer = run(monkeypatch, capsys, "doctor", "--test-alert")
    assert "✓ alert: a test is on its way to me@example.org" in answer.out
    assert "✗ heartbeat: 127.0.0.1:1 did not take it\n  → Copy HEARTBEAT_URL again" in answer.out


def test_a_heartbeat_that_is_taken_says_what_was_told(
    sound_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEARTBEAT_URL", "https://hc.example.org/secret-part")
    monkeypatch.setattr(Heartbeat, "send", lambda *_: True)
    answer = run(monkeypatch, capsys, "doctor", "--test-alert")
    assert "✓ heartbeat: hc.example.org was told that all is well" in answer.out
    held(sound_home, monkeypatch)
    answer = run(monkeypatch, capsys, "doctor", "--test-alert")
    assert "✓ heartbeat: hc.example.org was told that nothing is sent" in answer.out
    assert "secret-part" not in answer.out


@pytest.mark.parametrize(
    ("verdict", "found", "remedy"),
    [
        (Verdict.BAD_REQUEST, "was refused: 400 no", "Mend ALERT_EMAIL, or MAIL_FROM, in /"),
        (Verdict.KEY_REFUSED, "was refused: 400 no", "minicourse live"),
        (Verdict.NOT_TAKEN, "was refused: 400 no", "Try again in a moment"),
        (Verdict.UNKNOWN, "no answer came to the test to me@example.org", "Look into the inbox"),
    ],
)
def test_an_alert_that_is_refused_says_why_and_what_to_mend(
    sound_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verdict: Verdict,
    found: str,
    remedy: str,
) -> None:
    monkeypatch.setenv("ALERT_EMAIL", "me@example.org")
    monkeypatch.setattr(Mailer, "send", lambda *_: Answer(verdict, 400, detail="400 no"))
    check = orjson.loads(run(monkeypatch, capsys, "doctor", "--test-alert", "--json").out)[0]
    assert not check["ok"]
    assert found in check["found"]
    assert remedy in check["remedy"]


def test_with_a_key_all_that_live_looks_at_is_looked_at(
    sound_home: Path, monkeypatch: pytest.MonkeyPatch, world_outside: MadeUpOutside
) -> None:
    """Also while SENDGRID_HOST is a stand-in: `live` says no then, and so does doctor."""
    assert findings() == []
    monkeypatch.setenv("SENDGRID_API_KEY", "SG.a-key")
    database = Database(real_settings(sound_home).database)
    with database.reading() as session:
        lines = readiness.look(session, Settings.load(), world_outside)
        wanted = [line.name for line in lines if line.state is readiness.State.MISSING]
    database.dispose()
    assert "mail host" in wanted
    assert [check.name for check in findings()] == wanted


def test_the_key_is_never_shown(
    sound_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SENDGRID_API_KEY", "SG.very-secret")
    answer = run(monkeypatch, capsys, "doctor")
    assert "very-secret" not in answer.out + answer.err
