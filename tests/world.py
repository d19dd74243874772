"""A small world for tests: a real database, a clock that obeys, a provider that keeps a log."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from course import cohorts, courses, delivery, enrollment, installation, sources
from course.answers import Answer, Verdict
from course.db import Database
from course.enrollment import Origin, Person
from course.mailer import Outgoing, payload
from course.models import Delivery, Enrollment, Subscriber
from course.office import Office, Report
from course.sandbox.keys import make_key_pair
from course.sandbox.rules import problems
from course.settings import SOURCE_ROOT, Settings

# A Thursday; the course's zone is Europe/Berlin, so noon there is 11:00 UTC.
START = datetime(2027, 1, 14, 11, 0, tzinfo=UTC)
HERE = Origin("test")
TAKEN = Answer(Verdict.ACCEPTED, 202, "message-id", "202 Accepted")


@dataclass
class HandClock:
    """Course time, real time and time since boot, each moved by hand."""

    course: datetime = START
    wall: datetime = field(default_factory=lambda: datetime.now(UTC))
    boot: float = 0.0

    def now(self) -> datetime:
        return self.course

    def real(self) -> datetime:
        return self.wall

    def since_boot(self) -> float:
        return self.boot


@dataclass
class Provider:
    """Stands where the mailer stands. `answer` decides; what is accepted goes into the log, and so
    does what an answer hides (`takes_silently`)."""

    answer: Callable[[Outgoing], Answer] = lambda _: TAKEN
    takes_silently: bool = False
    log: list[str] = field(default_factory=list)
    requests: list[Outgoing] = field(default_factory=list)

    def send(self, outgoing: Outgoing, real: datetime) -> Answer:
        # Whatever a test is about, each request must pass the provider's documented rules.
        assert problems(payload(outgoing), real) == []
        self.requests.append(outgoing)
        answer = self.answer(outgoing)
        if answer.verdict is Verdict.ACCEPTED or self.takes_silently:
            ids = (p.custom_args.get("minicourse_delivery") for p in outgoing.personalizations)
            self.log += [number for number in ids if number]  # a mail beside the ledger has none
        return answer

    def mails_to(self, email: str) -> list[Outgoing]:
        return [r for r in self.requests if any(p.to == email for p in r.personalizations)]


@dataclass
class World:
    settings: Settings
    database: Database
    clock: HandClock = field(default_factory=HandClock)
    provider: Provider = field(default_factory=Provider)

    @property
    def office(self) -> Office:
        return Office(self.database, self.settings, self.provider, self.clock)  # type: ignore[arg-type]

    @property
    def hash_key(self) -> str:
        assert self.settings.hash_key
        return self.settings.hash_key.get_secret_value()

    def tick(self) -> Report:
        return delivery.tick(self.office)

    def pass_time(self, **length: float) -> None:
        self.clock.course += timedelta(**length)

    def live_through(self, days: float) -> None:
        """Tick through the days as a scheduler would, but only when something comes due."""
        end = self.clock.course + timedelta(days=days)
        while self.clock.course < end:
            self.clock.course = min(self._next_moment() + timedelta(seconds=90), end)
            self.tick()

    def _next_moment(self) -> datetime:
        far = self.clock.course + timedelta(days=1)
        with self.database.reading() as session:
            looks = session.scalar(select(func.min(Enrollment.next_due_at)))
            wakes = session.scalar(select(func.min(Enrollment.paused_until)))
            sends = session.scalar(
                select(func.min(Delivery.send_at)).where(Delivery.send_at > self.clock.course)
            )
        found = (looks or far, sends or far, wakes or far)
        return min(max(moment, self.clock.course) for moment in found)

    def sign_up(self, email: str, name: str = "", zone: str | None = None) -> int:
        with self.database.writing() as session:
            cohort = cohorts.find(session, "evergreen")
            joined = enrollment.sign_up(
                session,
                cohort,
                Person(email, name, zone),
                HERE,
                self.clock.course,
                hash_key=self.hash_key,
                sandbox=True,
            )
            return joined.id

    def confirm(self, enrollment_id: int) -> bool:
        with self.database.writing() as session:
            row = session.get_one(Enrollment, enrollment_id)
            curriculum = courses.by_id(session, row.course_id).curriculum
            return enrollment.confirm(session, row, curriculum, HERE, self.clock.course)

    def join(self, email: str, name: str = "", zone: str | None = None) -> int:
        enrollment_id = self.sign_up(email, name, zone)
        self.tick()
        assert self.confirm(enrollment_id)
        return enrollment_id

    def leave(
        self, enrollment_id: int, scope: enrollment.Scope = enrollment.Scope.COURSE
    ) -> list[int]:
        with self.database.writing() as session:
            row = session.get_one(Enrollment, enrollment_id)
            return enrollment.unsubscribe(session, row, HERE, self.clock.course, scope)

    def rows(self, enrollment_id: int | None = None) -> list[Delivery]:
        query = select(Delivery).order_by(Delivery.id)
        if enrollment_id is not None:
            query = query.where(Delivery.enrollment_id == enrollment_id)
        with self.database.reading() as session:
            return list(session.scalars(query))

    def lessons(self, enrollment_id: int) -> list[tuple[str, str]]:
        return [
            (row.message_key, row.state)
            for row in self.rows(enrollment_id)
            if row.kind == "lesson" and not row.superseded
        ]

    def state(self, enrollment_id: int) -> str:
        with self.database.reading() as session:
            return session.get_one(Enrollment, enrollment_id).state

    def subscriber(self, email: str) -> Subscriber:
        with self.database.reading() as session:
            return session.scalars(select(Subscriber).where(Subscriber.email == email)).one()


def found(settings: Settings, database: Database, slugs: Iterable[str] = ("job-search",)) -> None:
    """Fill an empty, migrated database as `minicourse init` does."""
    keys = make_key_pair()
    assert settings.hash_key
    with database.writing() as session:
        installation.create(
            session,
            settings.hash_key.get_secret_value(),
            installation.SandboxKeys(keys.private_pem, keys.public_base64),
            START,
        )
        for slug in slugs:
            courses.apply(session, sources.read(settings.home, slug), "test", START)
            courses.publish(session, slug, START)


def make_home(path: Path) -> Path:
    """A home folder with the real course in it."""
    (path / "lessons").mkdir(parents=True)
    source = SOURCE_ROOT / "lessons" / "job-search"
    target = path / "lessons" / "job-search"
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return path
