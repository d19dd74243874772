"""A few days with a few learners and a provider in a bad mood, in a process that is ended at one
step of them."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from course import delivery, throttle
from course.clock import Clock
from course.db import Database
from course.mailer import Mailer
from course.office import Office
from course.settings import Settings
from tests import realtime
from tests.forked import processes
from tests.standin import Fault

ENDED = 77  # the exit status of a process that was ended where it should be
LEARNERS = [f"p{number}@example.org" for number in range(5)]
HALF_A_DAY = timedelta(hours=12)
HALF_DAYS = 12
DEADLINE_SECONDS = 5.0

# How the provider treats one request after the other; what comes later is taken.
MOOD = [
    # The welcome mails: five, then two, three, one and two.
    *(Fault.BAD, Fault.NONE, Fault.BAD, Fault.BAD_FIRST, Fault.NONE),
    # The first lessons: held, late, and then one alone; the others' answer is lost.
    *(Fault.BAD_KEY, Fault.NONE, Fault.BROKEN),
    *(Fault.BUSY, Fault.SILENT, Fault.DEAF, Fault.AWAY),
]


@dataclass
class Doom:
    """Hears of each step; ends the process, as a power cut would, when one is reached for the
    nth time."""

    label: str | None
    nth: int
    trace: Path
    _seen: Counter[str] = field(default_factory=Counter)

    def __call__(self, label: str) -> None:
        self._seen[label] += 1
        with self.trace.open("a") as file:
            file.write(f"{label}\n")
        if label == self.label and self._seen[label] == self.nth:
            os._exit(ENDED)


def mood(faults: Sequence[Fault]) -> Callable[[], Fault]:
    coming: Iterator[Fault] = iter(faults)
    return lambda: next(coming, Fault.NONE)


def end_at(
    label: str | None,
    settings: Settings,
    clock: Clock,
    trace: Path,
    nth: int = 1,
    full: int = throttle.FULL,
) -> int:
    """Live through the scenario in a process of its own, with at most `full` mails a batch; returns
    its exit status."""
    doom = Doom(label, nth, trace)
    process = processes.Process(target=_live, args=(settings, clock, doom, full))
    process.start()
    process.join(60)
    if process.exitcode is None:
        process.kill()
        process.join()
    assert process.exitcode is not None
    return process.exitcode


def _live(settings: Settings, clock: Clock, doom: Doom, full: int) -> None:
    throttle.FULL = full
    office = office_of(Database(settings.database), settings, clock, doom)
    for _ in range(HALF_DAYS):
        let_pass(office, HALF_A_DAY)
        delivery.tick(office)


def office_of(
    database: Database,
    settings: Settings,
    clock: Clock,
    reached: Callable[[str], None] = lambda _: None,
) -> Office:
    mailer = Mailer("sandbox", settings.mail_host, DEADLINE_SECONDS, reached)
    return Office(database, settings, mailer, clock, reached)


def let_pass(office: Office, length: timedelta) -> None:
    """For the course and, as far as leases and waits go, for the machine."""
    set_clock(office.clock, office.clock.now() + length)
    office.database.run(lambda session: realtime.let_pass(session, length))


def set_clock(clock: Clock, moment: datetime) -> None:
    """At once for all who read it."""
    assert clock.file
    new = clock.file.with_suffix(".new")
    new.write_text(moment.isoformat())
    new.replace(clock.file)
