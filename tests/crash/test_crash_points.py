"""A process ends at any step, as if the power had failed: no mail is lost, none goes twice."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from course import delivery, throttle
from course.clock import Clock
from course.office import Office
from tests import checker
from tests.crash import scenario
from tests.crash.labels import all_labels
from tests.standin import Log, StandIn, Taken, read_log, serving, tell
from tests.world import START, World

pytestmark = pytest.mark.e2e  # a process ends at each step.

_DAYS = 15  # more than enough for these
ON_THE_WAY = [
    *("claimed", "rendered", "crossing", "crossed", "connecting", "first byte", "answered"),
    *("settling accepted", "settled"),
]
LESSONS = ["welcome", "network", "market"]


def until_the_next_noon(now: datetime) -> timedelta:
    """A lesson's hour has come by then, and nothing is late."""
    noon = now.replace(hour=11, minute=0)
    return (noon if noon > now else noon + timedelta(days=1)) - now


@dataclass
class Stage:
    """A founded installation whose learners have just confirmed, and its moody provider."""

    world: World
    clock: Clock
    provider: StandIn
    trace: Path

    def end_at(self, label: str | None, nth: int = 1, full: int = throttle.FULL) -> int:
        return scenario.end_at(label, self.world.settings, self.clock, self.trace, nth, full)

    @property
    def taken(self) -> list[Taken]:
        return read_log(self.provider.log.path)

    @property
    def reached(self) -> list[str]:
        return self.trace.read_text().splitlines()

    def finish(self) -> None:
        """Another process goes on, from wherever the last one stood, until the first lessons are
        out: with nothing but time; then the faults stop and the provider's events arrive."""
        office = scenario.office_of(self.world.database, self.world.settings, self.clock)
        self._live_on(office)
        self.provider.choose = scenario.mood([])
        tell(self.world.database, self.world.hash_key, self.taken, self.clock.now())
        self._live_on(office)

    def _live_on(self, office: Office) -> None:
        for _ in range(_DAYS):
            scenario.let_pass(office, until_the_next_noon(self.clock.now()))
            delivery.tick(office)
            ledger = self.look()
            if not checker.undecided(ledger) and not checker.lost_lessons(ledger, LESSONS):
                return

    def look(self) -> checker.Ledger:
        with self.world.database.reading() as session:
            return checker.look(session)

    def check(self) -> None:
        assert checker.violations(self.look(), self.taken) == []

    def check_the_end(self) -> None:
        self.check()
        ledger = self.look()
        assert checker.unsettled_evidence(ledger, self.taken) == []
        assert checker.undecided(ledger) == []
        assert checker.lost_lessons(ledger, LESSONS) == []


@pytest.fixture
def stage(any_world: World, tmp_path: Path) -> Iterator[Stage]:
    clock = Clock(tmp_path / "clock")
    scenario.set_clock(clock, START - timedelta(minutes=1))
    any_world.clock.course = START - scenario.HALF_A_DAY
    for email in scenario.LEARNERS:
        assert any_world.confirm(any_world.sign_up(email))
    log = Log(tmp_path / "provider.log")
    with serving(StandIn(log, scenario.mood(scenario.MOOD), clock)) as provider:
        settings = {"sendgrid_host": provider.url, "clock_file": clock.file}
        any_world.settings = any_world.settings.model_copy(update=settings)
        yield Stage(any_world, clock, provider, tmp_path / "trace")


@pytest.mark.parametrize("label", all_labels())
def test_a_process_that_ends_there_loses_nothing_and_doubles_nothing(
    stage: Stage, label: str
) -> None:
    assert stage.end_at(label) == scenario.ENDED
    stage.check()
    stage.finish()
    stage.check_the_end()


@pytest.mark.parametrize("nth", [2, 4])
@pytest.mark.parametrize("label", ON_THE_WAY)
def test_nor_does_one_that_has_several_batches_on_their_way(
    stage: Stage, label: str, nth: int
) -> None:
    stage.provider.choose = scenario.mood([])
    assert stage.end_at(label, nth, full=1) == scenario.ENDED
    stage.check()
    stage.finish()
    stage.check_the_end()


def test_the_scenario_reaches_every_step(stage: Stage) -> None:
    assert stage.end_at(None) == 0
    assert set(stage.reached) == set(all_labels())
    stage.finish()
    stage.check_the_end()
