"""The metronome: looks every few seconds for what is due. It holds no truth: that is the ledger's,
so a missed tick costs moments, never a lesson, and any number of schedulers may run at once.
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from schedule import Scheduler

from course import alerts, broker, delivery, fleet, logs, opening
from course.caretaking import Caretaker
from course.clock import Clock
from course.db import is_busy, is_lost
from course.errors import MinicourseError
from course.heartbeat import Heartbeat
from course.office import Office, Report
from course.processes.ports import require_sandbox
from course.processes.stopping import SignalledStop, Stop

log = logging.getLogger("scheduler")  # also where this file is the program

# Wall and boot clock are read one after the other, and the wall clock is slewed by NTP.
_STEP = timedelta(seconds=1)
_SAME_TROUBLE_SECONDS = 60.0
_LOOK_SECONDS = 60.0


def main(*, announced: bool = False) -> None:
    """Release what is due until SIGTERM or SIGINT; the call in flight is finished first."""
    stop = SignalledStop()
    _reckon_in_utc()
    here = opening.load()
    logs.set_up("scheduler", here.settings)
    office = here.office
    require_sandbox(here.settings)
    if not announced:
        opening.announce_mode(here.settings)
    dispatcher = fleet.Dispatcher(office, stop) if broker.is_set(here.settings) else None
    tail = "; workers send it" if dispatcher else ""
    log.info("looking every %g s for what is due%s", here.settings.tick_seconds, tail)
    ticker = Ticker(office, stop, watchman=Watchman(office), hand_over=dispatcher)
    run(here.settings.tick_seconds, ticker, here.clock, stop)
    log.info("stopped")


def run(seconds: float, tick: Callable[[], None], clock: Clock, stop: Stop) -> None:
    """Tick at once, and then every so many seconds, whatever happens to the wall clock."""
    metronome = Scheduler()
    watchdog = Watchdog(clock)
    tick()
    _plan(metronome, seconds, tick)
    while not stop.wait(min(metronome.idle_seconds or 0.0, seconds)):
        if stepped := watchdog.stepped():
            log.warning("the wall clock stepped by %+.0f s", stepped.total_seconds())
            metronome.clear()
            tick()
            _plan(metronome, seconds, tick)
        metronome.run_pending()


def _plan(metronome: Scheduler, seconds: float, tick: Callable[[], None]) -> None:
    metronome.every(seconds).seconds.do(tick)  # type: ignore[arg-type]


@dataclass
class Ticker:
    """One tick that never raises: the library would call a job that raised again at once."""

    office: Office
    stop: Stop
    watchman: "Watchman | None" = None
    hand_over: Callable[[Report], None] | None = None  # to a fleet, which sends
    _trouble: str = ""
    _told_at: float = field(default=0.0)

    def __call__(self) -> None:
        try:
            report = delivery.tick(self.office, self.stop, hand_over=self.hand_over)
        except Exception as error:
            self._tell(error)
        else:
            if self._trouble:
                log.info("ticking again")
            self._trouble = ""
            tell(report)
            if self.watchman:
                self.watchman.look()

    def _tell(self, error: Exception) -> None:
        """With its trace once; while it lasts, one line a minute."""
        now = self.office.clock.since_boot()
        # In further lines a database's error shows the statement and its values.
        first_line, _, _ = str(error).partition("\n")
        trouble = f"{type(error).__name__}: {first_line}"
        if trouble != self._trouble:
            expected = isinstance(error, MinicourseError) or is_busy(error) or is_lost(error)
            log.error("tick failed: %s", trouble, exc_info=None if expected else error)
        elif now - self._told_at > _SAME_TROUBLE_SECONDS:
            log.error("tick still fails: %s", trouble)
        else:
            return
        self._trouble, self._told_at = trouble, now


@dataclass
class Watchman:
    """Between ticks, once a minute: has the operator to be told of anything?"""

    office: Office
    _looked_at: float | None = None
    _trouble: str = ""

    def __post_init__(self) -> None:
        url = self.office.settings.heartbeat_url
        self._heartbeat = Heartbeat(url) if url else None
        self._caretaker = Caretaker(self.office)

    def look(self) -> None:
        """Never raises: watching must not stop what is watched."""
        now = self.office.clock.since_boot()
        if self._looked_at is None or now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            try:
                self._look()
            except Exception as error:
                log.error("cannot watch: %s", type(error).__name__, exc_info=error)
        if self._heartbeat:
            self._heartbeat.beat(now, self._trouble)

    def _look(self) -> None:
        found = alerts.look(self.office)
        self._trouble = "; ".join(cause.what for cause in found if cause.stops_all)
        alerts.send_digest(self.office)
        self._caretaker.look()


def tell(report: Report) -> None:
    """One line for a tick that did something."""
    done = [f"{count} {word}" for word, count in sorted(report.counts.items()) if count]
    if done or report.problems:
        words = " · ".join([", ".join(done) or "nothing sent", *report.problems])
        numbers = {word.replace(" ", "_"): count for word, count in report.counts.items() if count}
        log.info("%s", words, extra={"did": numbers})


class Watchdog:
    """Notices that the wall clock went another way than the time since boot.

    `schedule` reckons with the wall clock: set back by an hour it would rest for that hour.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen = self._offset()

    def stepped(self) -> timedelta | None:
        """How far the wall clock was moved since the last look; None for what is no step."""
        before, self._seen = self._seen, self._offset()
        step = timedelta(seconds=self._seen - before)
        return step if abs(step) > _STEP else None

    def _offset(self) -> float:
        return self._clock.real().timestamp() - self._clock.since_boot()


def _reckon_in_utc() -> None:
    """`schedule` reckons in naive local time, which jumps when summer time begins or ends."""
    os.environ["TZ"] = "UTC"
    time.tzset()


if __name__ == "__main__":
    try:
        main()
    except MinicourseError as trouble:
        sys.exit(f"Error: {trouble}")
