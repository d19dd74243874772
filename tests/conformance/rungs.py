"""The same installation on each rung of the ladder, in real processes: what runs, and on what."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, func, or_, select
from sqlalchemy.orm import Session

from course.clock import Clock
from course.db import Database, migrate
from course.models import Delivery, Enrollment
from course.settings import Settings
from course.states import DeliveryState, EnrollmentState
from tests import crowd, postgres, redis
from tests.e2e.processes import Process, eventually, running
from tests.standin import Fault, Log, StandIn, Taken, read_log, serving
from tests.world import START, found, make_home

KEYS = {"SECRET_KEY": "a secret for the ladder", "HASH_KEY": "a hash key for the ladder"}
API_KEY = "SG.a-key-that-nobody-may-print"
SPEED = {
    "TICK_SECONDS": "0.2",
    "LEASE_SECONDS": "8",
    "CALL_DEADLINE_SECONDS": "5",
    "CALLS_IN_FLIGHT": "2",
}
S = DeliveryState
T = TypeVar("T")


@dataclass(frozen=True)
class Shape:
    """How many of which process, and whether a server has the database."""

    schedulers: int
    workers: int = 0
    has_server: bool = True


SHAPES = {
    "sqlite, one scheduler": Shape(1, has_server=False),
    "postgresql, two schedulers": Shape(2),
    "postgresql and celery, two workers": Shape(2, workers=2),
}


@dataclass
class Rung:
    """One that runs. Course time is moved by hand, whenever nothing is left to do."""

    database: Database
    settings: Settings
    clock: Clock
    log: Path
    processes: list[Process]

    @property
    def taken(self) -> list[Taken]:
        return read_log(self.log)

    def live_on(self, until: datetime) -> None:
        """From moment to moment at which something is due, up to that one."""
        while self.clock.now() < until:
            eventually(lambda: self._ask(_is_quiet, self.clock.now()))
            coming = self._ask(_next_moment, self.clock.now())
            if coming is None:
                return
            set_clock(self.clock, min(max(coming, self.clock.now()) + timedelta(minutes=1), until))
        eventually(lambda: self._ask(_is_quiet, self.clock.now()))

    def _ask(self, question: Callable[..., T], *given: object) -> T:
        with self.database.reading() as session:
            return question(session, *given)


def set_clock(clock: Clock, moment: datetime) -> None:
    """At once for all who read it."""
    assert clock.file
    new = clock.file.with_suffix(".new")
    new.write_text(moment.isoformat())
    new.replace(clock.file)


@contextmanager
def standing(shape: Shape, folder: Path, server: URL, emails: list[str]) -> Iterator[Rung]:
    """With these people enrolled; all that runs has ended after the block."""
    with ExitStack() as stack:
        home, clock = make_home(folder / "home"), Clock(folder / "clock")
        set_clock(clock, START)
        url = f"sqlite:///{folder / 'minicourse.db'}"
        if shape.has_server:
            name = f"rung_{time.monotonic_ns()}"
            url = stack.enter_context(postgres.database(server, name))
        log = folder / "provider.log"
        standin = stack.enter_context(serving(StandIn(Log(log), lambda: Fault.NONE, clock)))
        variables = {"DATABASE_URL": url, "MINICOURSE_CLOCK_FILE": str(clock.file), **KEYS, **SPEED}
        variables |= {"SENDGRID_HOST": standin.url, "SENDGRID_API_KEY": API_KEY}
        if shape.workers:
            variables["BROKER_URL"] = stack.enter_context(redis.running(folder)).url
        settings = Settings(
            home=home,
            database_url=url,
            secret_key=(KEYS["SECRET_KEY"],),
            hash_key=KEYS["HASH_KEY"],
            broker_url=variables.get("BROKER_URL"),
        )
        migrate(url)
        database = Database(url)
        stack.callback(database.dispose)
        found(settings, database)
        crowd.enroll(database, emails, (None, "Asia/Tokyo"), KEYS["HASH_KEY"])
        # As talkative as it can be: not even so may it tell what is secret.
        words = ["cli.py", "worker", "--concurrency", "1"]
        workers = [
            stack.enter_context(
                running(home, *words, f"--hostname=w{number}@%h", LOG_LEVEL="debug", **variables)
            )
            for number in range(shape.workers)
        ]
        schedulers = [
            stack.enter_context(running(home, "scheduler.py", **variables))
            for _ in range(shape.schedulers)
        ]
        yield Rung(database, settings, clock, log, [*schedulers, *workers])


def _is_quiet(session: Session, now: datetime) -> bool:
    """Nothing is due, and nothing on its way."""
    rows = select(func.count(Delivery.id)).where(
        or_(
            Delivery.state.in_((S.CLAIMED, S.SENDING)),
            (Delivery.state == S.PENDING) & (Delivery.send_at <= now),
        )
    )
    learners = select(func.count(Enrollment.id)).where(
        Enrollment.state == EnrollmentState.ACTIVE, Enrollment.next_due_at <= now
    )
    return not session.scalar(rows) and not session.scalar(learners)


def _next_moment(session: Session, now: datetime) -> datetime | None:
    """When something is due next; None when nothing will ever be."""
    looks = select(func.min(Enrollment.next_due_at)).where(
        Enrollment.state == EnrollmentState.ACTIVE
    )
    sends = select(func.min(Delivery.send_at)).where(Delivery.state == S.PENDING)
    return min((m for query in (looks, sends) if (m := session.scalar(query))), default=None)
