"""The metronome: ticks at once and then steadily, whatever a tick or the wall clock does."""

import datetime as real_datetime
import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace

import pytest
import schedule

from course.clock import Clock
from course.errors import ModeError
from course.office import Report
from course.processes.ports import require_sandbox
from course.processes.stopping import SignalledStop
from course.settings import Settings
from scheduler import Ticker, Watchdog, run, tell
from tests.world import HandClock, World

SECONDS = 0.02


@dataclass
class StopAfter:
    """Says that it is enough after so many seconds."""

    seconds: float
    _begun: float = field(default_factory=time.monotonic)

    def __call__(self) -> bool:
        return time.monotonic() - self._begun > self.seconds

    def wait(self, seconds: float) -> bool:
        left = self.seconds - (time.monotonic() - self._begun)
        time.sleep(max(min(seconds, left), 0))
        return self()


@dataclass
class Tick:
    """Notes when it was called."""

    times: list[float] = field(default_factory=list)

    def __call__(self) -> None:
        self.times.append(time.monotonic())


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The wall clock as the library reads it; `wall.shift` moves it."""
    wall = SimpleNamespace(shift=timedelta())

    class Shifted(real_datetime.datetime):
        @classmethod
        def now(cls, tz: real_datetime.tzinfo | None = None) -> real_datetime.datetime:
            return real_datetime.datetime.now(tz) + wall.shift

    shifted = SimpleNamespace(**vars(real_datetime) | {"datetime": Shifted})
    monkeypatch.setattr(schedule, "datetime", shifted)
    return wall


def test_the_first_tick_comes_at_once() -> None:
    tick, begun = Tick(), time.monotonic()
    run(60, tick, Clock(), StopAfter(0))
    assert len(tick.times) == 1
    assert tick.times[0] - begun < 0.5


def test_the_next_ones_come_at_their_interval() -> None:
    tick = Tick()
    run(SECONDS, tick, Clock(), StopAfter(15 * SECONDS))
    assert 5 <= len(tick.times) <= 17


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_step_of_the_wall_clock_does_not_stop_it(
    wall: SimpleNamespace, step: timedelta, caplog: pytest.LogCaptureFixture
) -> None:
    """Set back by an hour, the library alone would rest for that hour."""

    class Stepping(Clock):
        def real(self) -> real_datetime.datetime:
            return super().real() + wall.shift

    tick = Tick()

    def tick_and_step() -> None:
        tick()
        if len(tick.times) == 3:
            wall.shift = step

    run(SECONDS, tick_and_step, Stepping(), StopAfter(20 * SECONDS))
    assert 8 <= len(tick.times) <= 24
    assert [r.getMessage() for r in caplog.records] == [
        f"the wall clock stepped by {step.total_seconds():+.0f} s"
    ]


def test_the_watchdog_tells_a_step_from_slewing_and_from_sleep() -> None:
    clock = HandClock()
    watchdog = Watchdog(clock)  # type: ignore[arg-type]
    clock.wall += timedelta(milliseconds=300)
    assert watchdog.stepped() is None
    clock.wall += timedelta(hours=9)
    clock.boot += 9 * 3600
    assert watchdog.stepped() is None
    clock.wall -= timedelta(hours=1)
    assert watchdog.stepped() == timedelta(hours=-1)
    assert watchdog.stepped() is None


def test_a_tick_that_raises_neither_ends_nor_hurries_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.database.dispose()
    for file in world.settings.home.glob("minicourse.db*"):
        file.unlink()
    tick, count = Ticker(world.office, StopAfter(60)), Tick()

    def counted() -> None:
        count()
        tick()

    run(SECONDS, counted, Clock(), StopAfter(15 * SECONDS))
    assert 3 <= len(count.times) <= 17
    (told,) = caplog.records
    assert "no such table" in told.getMessage()
    assert told.exc_info


def test_trouble_that_lasts_is_told_once_a_minute_and_its_end_too(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "scheduler")
    tick = Ticker(world.office, StopAfter(60))
    monkeypatch.setattr("course.delivery.planning.plan", _away)
    for seconds in (0, 30, 31, 1):
        world.clock.boot += seconds
        tick()
    monkeypatch.undo()
    tick()
    assert [record.getMessage() for record in caplog.records] == [
        "tick failed: ConnectionError: the database is away",
        "tick still fails: ConnectionError: the database is away",
        "ticking again",
    ]


def _away(*_: object) -> int:
    raise ConnectionError("the database is away")


def test_a_tick_that_did_something_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "scheduler")
    report = Report(problems=["held (key): 401"])
    report.counts.update({"accepted": 3, "unknown": 1, "failed": 0})
    tell(report)
    assert [record.getMessage() for record in caplog.records] == [
        "3 accepted, 1 unknown · held (key): 401"
    ]


def test_a_tick_that_did_nothing_is_silent(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "scheduler")
    Ticker(world.office, StopAfter(60))()
    assert caplog.records == []


def test_a_real_tick_sends_what_is_due(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "scheduler")
    world.sign_up("anna@example.com")
    Ticker(world.office, StopAfter(60))()
    assert len(world.provider.mails_to("anna@example.com")) == 1
    assert [record.getMessage() for record in caplog.records] == ["1 accepted"]


def test_without_a_sandbox_that_listens_it_names_the_command(world: World) -> None:
    settings = Settings(home=world.settings.home, sendgrid_host="http://127.0.0.1:1")
    with pytest.raises(ModeError, match=re.escape("http://127.0.0.1:1")) as caught:
        require_sandbox(settings)
    assert "minicourse sandbox" in str(caught.value)


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Leave the handlers of the test run as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_wait_early(number: signal.Signals) -> None:
    stop, begun = SignalledStop(), time.monotonic()
    assert not stop.wait(0.001)
    with subprocess.Popen(["sh", "-c", f"sleep 0.05; kill -{number} {os.getpid()}"]):
        assert stop.wait(30)
    assert stop()
    assert stop.wait(30)  # it stays said
    assert time.monotonic() - begun < 5
