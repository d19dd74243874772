"""What `doctor`, `status` and a monitor say of a fleet's broker; they go on without it."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from course import broker, doctor, metrics
from course.broker import Broker
from course.clock import Clock
from course.settings import Settings
from course.web.app import create_app
from tests import redis
from tests.redis import PASSWORD, Redis
from tests.terminal import run
from tests.world import World

DEAD = "redis://robin:a-password@127.0.0.1:1/0"
NOW = datetime(2027, 1, 14, 8, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    redis.require()
    with redis.running(tmp_path) as server:
        yield server


def settings_of(home: Path, url: str | None) -> Settings:
    return Settings(home=home, hash_key="x", broker_url=url)


def hint(server: Redis, settings: Settings, number: int) -> None:
    for _ in range(number):
        server.client().lpush(broker.queue_name(settings), "{}")


def test_hints_that_wait_are_counted(tmp_path: Path, server: Redis) -> None:
    settings = settings_of(tmp_path, server.url)
    where = f"redis://127.0.0.1:{server.port}"
    assert broker.look(settings) == Broker(where, 0)
    hint(server, settings, 3)
    assert broker.look(settings) == Broker(where, 3)


def test_a_broker_that_hangs_is_left_after_a_second_or_two(tmp_path: Path, server: Redis) -> None:
    server.pause()
    began = time.monotonic()
    found = broker.look(settings_of(tmp_path, server.url))
    assert time.monotonic() - began < 3
    server.go_on()
    assert found
    assert not found.answers


@pytest.mark.parametrize(
    ("url", "where"),
    [
        (DEAD, "redis://127.0.0.1:1"),
        ("redis://:a-password@127.0.0.1:many/0", "redis://127.0.0.1"),
        (
            "redis://:a-password@127.0.0.1:1/0;redis://:b-password@127.0.0.1:2/0",
            "redis://127.0.0.1:1",
        ),
        ("nonsense://:a-password@127.0.0.1:1/0", "nonsense://127.0.0.1:1"),
        ("amqp://robin:a-password@127.0.0.1:1//", "amqp://127.0.0.1:1"),
    ],
)
def test_what_does_not_answer_is_named_without_its_password(
    url: str, where: str, tmp_path: Path
) -> None:
    found = broker.look(settings_of(tmp_path, url))
    assert found
    assert (found.where, found.answers) == (where, False)
    trouble = broker.trouble(found, NOW, NOW)
    assert trouble
    assert where in trouble.what
    assert "schedulers send by themselves" in trouble.what
    assert "password" not in repr((found, trouble))


def test_that_celery_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    found = broker.look(settings_of(tmp_path, DEAD))
    assert found
    assert found.trouble == "Celery is not installed"


@pytest.mark.parametrize(
    ("hints", "last_call", "is_well"),
    [
        (0, None, True),
        (0, LONG_AGO, True),
        (3, NOW - timedelta(seconds=5), True),  # busy
        (3, LONG_AGO, False),
        (3, None, False),
    ],
)
def test_hints_that_nobody_takes_want_a_worker(
    hints: int, last_call: datetime | None, is_well: bool
) -> None:
    found = broker.trouble(Broker("redis://host", hints), last_call, NOW)
    assert (found is None) == is_well
    assert found is None or "minicourse worker" in found.remedy


def test_without_a_fleet_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    assert broker.look(settings_of(tmp_path, None)) is None
    assert metrics.of_broker(None) == []


# An installation with a fleet --------------------------------------------------------------------


@pytest.fixture
def installed(postgres_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    settings = postgres_world.settings
    secrets = [key.get_secret_value() for key in settings.secret_key]
    assert settings.hash_key
    monkeypatch.setenv("MINICOURSE_HOME", str(settings.home))
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("SECRET_KEY", ",".join(secrets))
    monkeypatch.setenv("HASH_KEY", settings.hash_key.get_secret_value())
    return postgres_world


@pytest.mark.e2e
def test_a_dead_broker_is_a_warning_everywhere_and_stops_nothing(
    installed: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BROKER_URL", DEAD)
    (found,) = [check for check in doctor.examine(Settings.load) if check.name == "broker"]
    assert not found.is_well
    assert "redis://127.0.0.1:1 does not answer" in found.found

    screen = run(monkeypatch, capsys, "status")
    assert "redis://127.0.0.1:1 does not answer" in " ".join(screen.out.split())
    assert "→ minicourse doctor" in screen.out
    answer = run(monkeypatch, capsys, "status", "--json")
    assert answer.status == 3
    assert json.loads(answer.out)["broker"]["hints"] is None

    settings = Settings.load()
    client = create_app(settings, installed.database, Clock(None)).test_client()
    assert client.get("/readyz").status_code == 200
    measured = client.get("/metrics").text
    assert "\nminicourse_broker_up 0.0\n" in measured
    assert "minicourse_broker_hints" not in measured
    assert "password" not in screen.out + answer.out + measured + found.found


@pytest.mark.e2e
def test_a_broker_that_answers_is_shown_with_what_waits(
    installed: World,
    server: Redis,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BROKER_URL", server.url)
    settings = Settings.load()
    (found,) = [check for check in doctor.examine(Settings.load) if check.name == "broker"]
    assert found.is_well
    assert "0 hints; no mail has left" in found.found
    installed.join("kim@example.com")
    installed.tick()
    hint(server, settings, 2)
    (found,) = [check for check in doctor.examine(Settings.load) if check.name == "broker"]
    assert found.is_well
    assert "2 hints; the last mails left at" in found.found
    screen = run(monkeypatch, capsys, "status").out
    assert f"redis://127.0.0.1:{server.port}: 2 hints for workers" in screen
    client = create_app(settings, installed.database, Clock(None)).test_client()
    measured = client.get("/metrics").text
    assert "\nminicourse_broker_up 1.0\n" in measured
    assert "\nminicourse_broker_hints 2.0\n" in measured
    assert PASSWORD not in screen + measured + found.found
