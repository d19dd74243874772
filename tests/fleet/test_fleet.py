"""The broker may do what it likes: a tick goes on, and what waits is sent."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from course import delivery, fleet
from course.broker import queue_name
from course.errors import SettingsError
from course.office import Report
from course.settings import SOURCE_ROOT, Settings
from scheduler import Ticker
from tests import redis
from tests.crowd import enroll
from tests.redis import Redis
from tests.test_scheduler import StopAfter
from tests.world import World

pytestmark = pytest.mark.e2e  # real brokers and servers

DEAD = "redis://:a-password@127.0.0.1:1/0"


def connected(world: World, url: str, people: int = 5) -> World:
    enroll(world.database, [f"p{n}@example.org" for n in range(people)], [None], world.hash_key)
    world.settings = world.settings.model_copy(update={"broker_url": url})
    return world


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Redis]:
    redis.require()
    with redis.running(tmp_path) as server:
        yield server


@pytest.fixture
def world(postgres_world: World, broker: Redis) -> World:
    return connected(postgres_world, broker.url)


def never() -> bool:
    return False


def tick(world: World, dispatcher: fleet.Dispatcher) -> Report:
    return delivery.tick(world.office, hand_over=dispatcher)


def hinted(world: World, broker: Redis) -> list[dict[str, object]]:
    name = queue_name(world.settings)
    return [orjson.loads(message) for message in broker.client().lrange(name, 0, -1)]


def test_a_tick_hints_and_sends_nothing_itself(world: World, broker: Redis) -> None:
    tick(world, fleet.Dispatcher(world.office, never))
    (message,) = hinted(world, broker)
    headers = message["headers"]
    assert headers["task"] == fleet.TASK
    assert headers["argsrepr"] == "[1, 1, 5]"
    assert headers["expires"]
    assert headers["eta"] is None
    assert message["content-type"] == "application/json"
    assert world.provider.log == []


def test_what_the_broker_holds_already_is_not_said_twice(world: World, broker: Redis) -> None:
    for _ in range(2):
        tick(world, fleet.Dispatcher(world.office, never))
    assert len(hinted(world, broker)) == 1


def test_after_the_broker_was_wiped_the_next_tick_hints_again(world: World, broker: Redis) -> None:
    dispatcher = fleet.Dispatcher(world.office, never)
    tick(world, dispatcher)
    broker.wipe()
    tick(world, dispatcher)
    assert len(hinted(world, broker)) == 1


def test_what_nobody_takes_for_three_ticks_a_scheduler_sends_itself(world: World) -> None:
    dispatcher = fleet.Dispatcher(world.office, never)
    assert [tick(world, dispatcher).counts["accepted"] for _ in range(4)] == [0, 0, 5, 0]


def test_a_broker_that_hangs_delays_a_tick_by_a_second_or_two(world: World, broker: Redis) -> None:
    dispatcher = fleet.Dispatcher(world.office, never)
    broker.pause()
    began = time.monotonic()
    tick(world, dispatcher)
    assert time.monotonic() - began < 3
    broker.go_on()
    tick(world, dispatcher)
    assert len(hinted(world, broker)) == 1


def test_a_dead_broker_costs_nothing_but_speed(
    postgres_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world = connected(postgres_world, DEAD)
    ticker = Ticker(world.office, StopAfter(60), hand_over=fleet.Dispatcher(world.office, never))
    began = time.monotonic()
    for _ in range(3):
        ticker()
    assert time.monotonic() - began < 5
    assert len(world.provider.log) == 5
    (told,) = caplog.records
    assert "the broker does not answer" in told.getMessage()
    assert "a-password" not in caplog.text


def test_the_word_of_a_hint_is_one_claim(postgres_world: World) -> None:
    world = connected(postgres_world, DEAD)
    world.settings = world.settings.model_copy(update={"broker_url": None})
    delivery.tick(world.office, hand_over=lambda _: None)
    assert delivery.work(world.office, rows=2).counts["accepted"] == 2
    assert delivery.work(world.office).counts["accepted"] == 3
    assert not delivery.work(world.office).did_something


def test_what_is_set_up_at_celery_is_what_the_ledger_needs(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, hash_key="x", broker_url=DEAD, lease_seconds=60)
    conf = fleet.make_app(settings).conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.accept_content == ["json"]
    assert conf.task_serializer == "json"
    assert conf.result_backend is None
    assert conf.task_ignore_result
    assert not conf.beat_schedule
    assert settings.call_deadline_seconds < conf.task_time_limit < settings.lease_seconds


def test_no_call_begins_that_could_be_cut_off_by_the_time_limit(world: World) -> None:
    is_late = fleet._until(world.office)
    assert not is_late()
    world.clock.boot += 60 - 25
    assert is_late()


def test_without_a_broker_celery_is_not_even_loaded(world: World) -> None:
    words = (
        "import sys, cli, scheduler, course.fleet, course.commands.processes; "
        "import course.broker, course.doctor, course.commands.status, course.web.health; "
        "sys.exit(any(name in sys.modules for name in ('celery', 'kombu', 'redis')))"
    )
    subprocess.run([sys.executable, "-c", words], cwd=SOURCE_ROOT, check=True)


def test_a_worker_without_a_broker_says_what_to_set(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = world.settings.home
    monkeypatch.setenv("MINICOURSE_HOME", str(home))
    with pytest.raises(SettingsError, match="BROKER_URL is not set"):
        fleet.run_worker([])


def test_a_fleet_on_an_embedded_database_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_URL", DEAD)
    with pytest.raises(SettingsError, match="minicourse db copy") as caught:
        Settings.load_from(tmp_path)
    assert "a-password" not in str(caught.value)


def test_where_celery_is_missing_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    settings = Settings(home=tmp_path, hash_key="x", broker_url=DEAD)
    with pytest.raises(SettingsError, match=r"fleet"):
        fleet.make_app(settings)
