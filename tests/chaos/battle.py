"""A battle: schedulers are killed, put to sleep and robbed of their database while a whole course
goes out to everybody; then the checker compares what the provider took with the ledger."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from sqlalchemy import func, or_, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from course import enrollment, holds, resolving
from course.clock import Clock
from course.db import Database, migrate
from course.models import Delivery, Enrollment
from course.resolving import Order, Which
from course.settings import Settings
from course.states import DeliveryState as S
from course.states import EnrollmentState, HoldKind
from tests import checker, crowd
from tests.chaos import provider
from tests.chaos.crew import Crew
from tests.chaos.databases import KINDS, Target
from tests.chaos.provider import Provider
from tests.standin import POISON, Taken, read_log, tell
from tests.world import HERE, START, found, make_home

T = TypeVar("T")

LEASE_SECONDS = 2.0
DEADLINE_SECONDS = 1.0
# Nothing may wait much longer than a lease, or the battle would take hours.
SPEED = {
    "LEASE_SECONDS": f"{LEASE_SECONDS}",
    "CALL_DEADLINE_SECONDS": f"{DEADLINE_SECONDS}",
    "BACKOFF_MIN_SECONDS": "0.05",
    "BACKOFF_MAX_SECONDS": "0.5",
    "BREAKER_MIN_SECONDS": "0.1",
    "BREAKER_MAX_SECONDS": "1",
    "TICK_SECONDS": "0.25",
}
# All events have come when the policy is asked.
AUTO = {"UNKNOWN_POLICY": "auto", "AUTO_WAIT_HOURS": "0"}
KEYS = {"SECRET_KEY": "a secret for the battle", "HASH_KEY": "a hash key for the battle"}
# A course's hour comes in each of them at another time: many small batches, not two large ones.
ZONES = (
    None,
    "Pacific/Auckland",
    "Asia/Tokyo",
    "Asia/Kolkata",
    "Africa/Nairobi",
    "America/Sao_Paulo",
    "America/New_York",
    "America/Los_Angeles",
)
POISONED = 2
PATIENCE_SECONDS = 300.0
# Celery ends by force what works on a hint for nearly as long as a lease. On a busy machine that
# must not fall into a call, which would be a fault of the numbers here and not one of the battle's.
FLEET = {"LEASE_SECONDS": "5"}


@dataclass(frozen=True)
class Plan:
    """How large, and how bad. After so many `seconds` the faults stop, whatever day it is, but not
    before so many `kills`."""

    database: str
    learners: int
    seconds: float
    kills: int
    seed: int
    schedulers: int = 4
    workers: int = 0
    breath: float = 1.0  # between two blows: longer where who falls takes longer to come back
    lessons: int = 7
    unknown: str = (
        "resolve"  # what decides at the end: `resolve`, by a person, or the policy `auto`
    )
    wrong_ledger: str | None = None


@dataclass
class Result:
    """What came of it."""

    plan: Plan
    learners: int = 0
    left: int = 0
    rows: int = 0
    accepted: int = 0
    failed: int = 0
    cancelled: int = 0
    requests: int = 0
    killed: int = 0
    slept: int = 0
    restarted: int = 0
    wiped: int = 0
    broken: int = 0
    fallen: int = 0
    released: int = 0
    unknown_before: int = 0
    unknown_after: int = 0
    unknown_taken: int = 0
    unknown_resolved: int = 0
    breaches: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, *kinds: str) -> int:
        return sum(breach.startswith(kinds) for breach in self.breaches)

    @property
    def accepted_twice(self) -> int:
        return self.count("I1")

    @property
    def lost(self) -> int:
        return self.count("I2", "I4", "delivery")


def fight(plan: Plan, folder: Path, say: Callable[[str], None] = lambda _: None) -> Result:
    """The whole battle, in an empty folder; everything that it starts has ended when it returns."""
    began = time.monotonic()
    with KINDS[plan.database](folder) as target, _Battle.prepared(plan, folder, target) as battle:
        battle.say = say
        battle.rage()
        if not battle.is_lost():
            battle.make_peace()
        battle.count()
        result = battle.result
    result.seconds = time.monotonic() - began
    return result


@dataclass
class _Battle:
    plan: Plan
    target: Target
    settings: Settings
    database: Database
    clock: Clock
    provider: Provider
    crew: Crew
    result: Result
    dice: random.Random
    left: dict[int, set[int]] = field(default_factory=dict)
    say: Callable[[str], None] = lambda _: None
    # Course time stands while somebody sleeps: a day passes here in a second, and a sleeper that
    # wakes within the seconds it may sleep would find itself in the day after next.
    calm: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    @classmethod
    @contextmanager
    def prepared(cls, plan: Plan, folder: Path, target: Target) -> Iterator["_Battle"]:
        clock = Clock(folder / "clock")
        _set(clock, START)
        home = make_home(folder / "home")
        for lesson in sorted((home / "lessons").glob("*/0*.md"))[plan.lessons :]:
            lesson.unlink()
        dice = random.Random(plan.seed)
        with provider.running(folder, clock, plan.seed, 2 * DEADLINE_SECONDS) as running:
            environment = {
                "MINICOURSE_HOME": str(home),
                "MINICOURSE_CLOCK_FILE": str(clock.file),
                "DATABASE_URL": target.url,
                "SENDGRID_HOST": running.url,
                **KEYS,
                **SPEED,
            }
            if target.broker:
                environment |= {"BROKER_URL": target.broker.url, **FLEET}
            settings = Settings(
                home=home,
                database_url=target.url,
                secret_key=(KEYS["SECRET_KEY"],),
                hash_key=KEYS["HASH_KEY"],
            )
            migrate(settings.database)
            database = Database(settings.database)
            found(settings, database)
            names = [f"p{number}" for number in range(plan.learners)] + [POISON, f"{POISON}2"]
            emails = [f"{name}@example.org" for name in names]
            crowd.enroll(database, emails, ZONES, KEYS["HASH_KEY"])
            crew = Crew(
                environment,
                folder / "printed",
                plan.schedulers,
                dice,
                plan.wrong_ledger,
                plan.workers,
            )
            battle = cls(plan, target, settings, database, clock, running, crew, Result(plan), dice)
            try:
                yield battle
            finally:
                battle.over.set()
                crew.end()
                database.dispose()

    # War ---------------------------------------------------------------------------------------

    def rage(self) -> None:
        """The days of the course pass, under fire."""
        self.crew.start()
        with ThreadPoolExecutor() as pool:
            marauder = pool.submit(self._maraud)
            try:
                self._live_under_fire()
            finally:
                self.over.set()
            marauder.result()

    def is_lost(self) -> bool:
        """A mail that went twice cannot be called back."""
        self.result.breaches = checker.accepted_twice(self.taken)
        return bool(self.result.breaches)

    def _live_under_fire(self) -> None:
        ends = time.monotonic() + self.plan.seconds
        while not self.is_lost():
            is_over = time.monotonic() > ends or self._is_over()
            if is_over and self.crew.killed >= self.plan.kills:
                return
            self._await_quiet(until=time.monotonic() + 10)
            self._somebody_leaves()
            self._pass_on()

    def _maraud(self) -> None:
        acts = [*[self.crew.kill_one] * 8, self._cut_the_power, self._sleep]
        if self.target.restart:
            acts.append(self._restart)
        if self.target.broker:
            acts += [self._wipe_broker, self._break_broker]
        while not self.over.is_set():
            for act in self.dice.sample(acts, len(acts)):
                if self.over.wait(self.plan.breath * self.dice.uniform(0.1, 0.9)):
                    return
                act()

    def _cut_the_power(self) -> None:
        """All end at once, just when the provider has taken something."""
        before = self.provider.log.stat().st_size
        self._watch_for(lambda: self.provider.log.stat().st_size > before)
        self.crew.kill_all()

    def _sleep(self) -> None:
        """All but one fall asleep, just when somebody has claimed something: past their leases, now
        and then past the seconds after which nothing is sent any more."""
        with self.calm:
            self._watch_for(self._is_claimed)
            lease = float(self.crew.environment["LEASE_SECONDS"])
            self.crew.put_to_sleep(self.dice.choice([1.2 * lease] * 3 + [lease + 3.5]))
            time.sleep(DEADLINE_SECONDS / 2)

    def _is_claimed(self) -> bool:
        with suppress(DBAPIError), self.database.reading() as session:
            claimed = select(Delivery.id).where(Delivery.state == S.CLAIMED).limit(1)
            return session.scalar(claimed) is not None
        return False

    def _watch_for(self, moment: Callable[[], bool]) -> None:
        ends = time.monotonic() + 1
        while not moment() and time.monotonic() < ends:
            time.sleep(0.002)

    def _restart(self) -> None:
        assert self.target.restart
        self.target.restart()
        self.result.restarted += 1

    def _wipe_broker(self) -> None:
        assert self.target.broker
        self.target.broker.wipe()
        self.result.wiped += 1

    def _break_broker(self) -> None:
        """Dead for a moment, with all that it held."""
        assert self.target.broker
        self.target.broker.kill()
        time.sleep(self.dice.uniform(0.2, 1.5))
        self.target.broker.start()
        self.result.broken += 1

    def _somebody_leaves(self) -> None:
        """A few each day, by the link in a mail."""
        learners = self.plan.learners
        for _ in range(1 + learners // 1000):
            enrollment_id = self.dice.randint(1, learners)
            crossed = self._run(lambda s, who=enrollment_id: _leave(s, who, self.clock.now()))
            if crossed is not None:
                self.left[enrollment_id] = crossed

    def _pass_on(self) -> None:
        """To the next moment at which anything is due."""
        with self.calm:
            now = self.clock.now()
            moment = self._run(lambda s: _next_moment(s, now))
            _set(self.clock, max(moment or now, now) + timedelta(minutes=1))
            self.say(f"{self.clock.now():%a %d %H:%M}  {self._progress()}")

    def _progress(self) -> str:
        states = self._run(_states)
        words = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
        return f"{words}; {self.crew.killed} kills"

    def _await_quiet(self, until: float) -> bool:
        while not (quiet := self._run(lambda s: _is_quiet(s, self.clock.now()))):
            if time.monotonic() > until:
                break
            # Days pass in seconds here: what waits for a breath is overdue, and the brake holds it.
            self.result.released += self._run(lambda s: _release_brakes(s, self.clock.now()))
            time.sleep(0.05)
        return quiet

    def _is_over(self) -> bool:
        """Nobody waits for a day to come."""
        return self._run(lambda s: _next_moment(s, self.clock.now())) is None

    def _run(self, work: Callable[[Session], T]) -> T:
        """As every process must: the database may be away for a moment."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self.database.run(work)
            except DBAPIError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.1)

    # Peace -------------------------------------------------------------------------------------

    def make_peace(self) -> None:
        """Faults stop and the rest of the days pass; then events flow, then a person decides."""
        self.provider.calm_down()
        self._live_to_the_end()
        time.sleep(2)  # who has only just started does not know yet what to do with a signal
        statuses = self.crew.end()
        if set(statuses) != {0}:
            self.result.breaches.append(f"SIGTERM: schedulers ended with {statuses}")
        if self.crew.fallen and not self.result.restarted:
            self.result.breaches.append(f"processes ended by themselves: {self.crew.fallen}")
        self.result.unknown_before = self._unknown()
        tell(self.database, KEYS["HASH_KEY"], self.taken, self.clock.now())
        self.crew.start()
        self._live_to_the_end()
        self.crew.end()
        self.result.unknown_after = self._unknown()
        self._check()
        self._decide()

    def _live_to_the_end(self) -> None:
        ends = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < ends:
            if not self._await_quiet(until=ends):
                break
            if self._is_over():
                return
            self._pass_on()
        with self.database.reading() as session:
            standing = [hold.why for hold in holds.standing(session)]
        self.result.breaches.append(
            f"delivery does not come to an end: {self._progress()}; holds: {standing}"
        )

    def _decide(self) -> None:
        """What is left is sent again: then everybody has everything, and nobody anything twice."""
        if self.plan.unknown == "auto":
            self._let_the_policy_decide()
        else:
            self._let_a_person_decide()
        self.result.unknown_resolved = self._unknown()
        # What goes again now is out of its order; but it was not taken before.
        ledger, taken = self._look(), self.taken
        self.result.breaches += checker.accepted_twice(taken)
        self.result.breaches += checker.accepted_in_the_ledger_alone(ledger, taken)
        self.result.breaches += checker.undecided(ledger)

    def _let_a_person_decide(self) -> None:
        unknown = Which(self.clock.now() + timedelta(days=365))
        while self._run(
            lambda s: resolving.resolve(
                s, unknown, Order.RESEND, who="me", why="after the battle", now=self.clock.now()
            )
        ):
            pass
        self.crew.start()
        self._live_to_the_end()
        self.crew.end()

    def _let_the_policy_decide(self) -> None:
        self.crew.environment = {**self.crew.environment, **AUTO}
        self.crew.start()
        ends = time.monotonic() + PATIENCE_SECONDS
        while self._unknown() and time.monotonic() < ends:
            tell(self.database, KEYS["HASH_KEY"], self.taken, self.clock.now())
            self._live_to_the_end()
        self.crew.end()

    # Truth -------------------------------------------------------------------------------------

    @property
    def taken(self) -> list[Taken]:
        return read_log(self.provider.log)

    def _look(self) -> checker.Ledger:
        with self.database.reading() as session:
            return checker.look(session)

    def _unknown(self) -> int:
        return sum(row.state == S.UNKNOWN for row in self._look().rows.values())

    def _check(self) -> None:
        ledger, taken = self._look(), self.taken
        numbers = {mail.delivery_id for mail in taken}
        self.result.unknown_taken = sum(
            row.state == S.UNKNOWN and row.id in numbers for row in ledger.rows.values()
        )
        self.result.breaches += [
            *checker.violations(ledger, taken, left=self.left),
            *checker.unsettled_evidence(ledger, taken),
            *checker.undecided(ledger),
            *checker.lost_lessons(ledger, ledger.lessons),
        ]

    def count(self) -> None:
        ledger, result = self._look(), self.result
        result.killed, result.slept = self.crew.killed, self.crew.slept
        result.fallen = len(self.crew.fallen)
        states = Counter(row.state for row in ledger.rows.values())
        result.learners, result.left = len(ledger.learners), len(self.left)
        result.rows = len(ledger.rows)
        result.accepted, result.failed = states[S.ACCEPTED], states[S.FAILED]
        result.cancelled = states[S.CANCELLED]
        result.requests = len({mail.request for mail in self.taken})


# Statements ---------------------------------------------------------------------------------------


def _leave(session: Session, enrollment_id: int, now: datetime) -> set[int] | None:
    """Unsubscribe; the deliveries that had crossed the line by then, None if it changed nothing."""
    row = session.get_one(Enrollment, enrollment_id)
    if not enrollment.unsubscribe(session, row, HERE, now):
        return None
    crossed = select(Delivery.id).where(
        Delivery.enrollment_id == enrollment_id,
        Delivery.state.in_((S.SENDING, S.UNKNOWN, S.ACCEPTED)),
    )
    return set(session.scalars(crossed))


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


def _release_brakes(session: Session, now: datetime) -> int:
    """As a person does who was asked: what is late is right to go."""
    brakes = [hold.id for hold in holds.standing(session) if hold.kind == HoldKind.BRAKE]
    return holds.release(session, brakes, "me", now)


def _next_moment(session: Session, now: datetime) -> datetime | None:
    """When something is due next; None when nothing will ever be."""
    looks = select(func.min(Enrollment.next_due_at)).where(
        Enrollment.state == EnrollmentState.ACTIVE
    )
    sends = select(func.min(Delivery.send_at)).where(Delivery.state == S.PENDING)
    found = [moment for query in (looks, sends) if (moment := session.scalar(query))]
    return min(found, default=None)


def _states(session: Session) -> dict[str, int]:
    rows = session.execute(
        select(Delivery.state, func.count().label("number")).group_by(Delivery.state)
    )
    return {row.state: row.number for row in rows}


def _set(clock: Clock, moment: datetime) -> None:
    """At once for all who read it."""
    assert clock.file
    new = clock.file.with_suffix(".new")
    new.write_text(moment.isoformat())
    new.replace(clock.file)
