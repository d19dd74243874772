"""A past that nobody lived: learners, their mails, and what was told of them, drawn at random and
told in disorder."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import select

from course import cohorts, courses, events, installation, reach, rollups, sources
from course.courses import Live
from course.enrollment import LEFT
from course.models import Course, Delivery, Enrollment, Request, Revision, Subscriber
from course.people import email_hash, mailbox_hash
from course.states import DeliveryState, EnrollmentState, MessageKind
from course.webhooks import parse
from tests.world import START, World

DOMAINS = ("gmail.com", "yahoo.com", "web.de", "example.org")
STATES = (
    *(EnrollmentState.ACTIVE, EnrollmentState.COMPLETED, EnrollmentState.CANCELLED),
    *(EnrollmentState.PENDING, EnrollmentState.PAUSED),
)
REASONS = (LEFT, "taken out", "bounced", "complained")
URLS = tuple(f"https://example.org/{number}" for number in range(3))


@dataclass
class Past:
    """`now` is real time too: what left, left on the day it says."""

    world: World
    random: Random
    now: datetime = START
    days: int = 20
    told: list[dict[str, Any]] = field(default_factory=list)

    def happen(self, learners: int, *, tracked: bool = True) -> None:
        with self.world.database.writing() as session:
            course = session.scalars(select(Course)).one()
            here = installation.get(session)
            revisions = [courses.live(session, course.slug).revision_id]
            if tracked:
                revisions.append(self._track(session, course))
            groups = [
                cohorts.find(session, cohorts.EVERGREEN),
                cohorts.create(session, course, "spring", self._moment()),
                cohorts.create_rehearsal(session, course.id, 5, self._moment()),
            ]
            live = courses.live(session, course.slug)
            for number in range(learners):
                one = self._learner(session, number, self.random.choice(groups))
                for slug in list(live.curriculum.by_slug)[: self.random.randint(0, 7)]:
                    self._mail(session, one, slug, revisions, here.name)
            rollups.mend(session, rollups.differences(session))
        self._tell()

    def _track(self, session: Any, course: Course) -> int:
        files = dict(sources.read(self.world.settings.home, course.slug).files)
        for word in ("opens", "clicks"):
            files["course.toml"] = files["course.toml"].replace(f"{word} = false", f"{word} = true")
        made = Revision(
            course_id=course.id,
            number=2,
            content_hash="tracked",
            files=files,
            created_at=START,
            created_by="test",
        )
        session.add(made)
        session.flush()
        course.live_revision_id = made.id
        return made.id

    def _moment(self) -> datetime:
        return self.now - timedelta(seconds=self.random.randrange(self.days * 86400))

    def _learner(self, session: Any, number: int, cohort: Any) -> Enrollment:
        random = self.random
        email = f"p{number}@{random.choice(DOMAINS)}"
        person = Subscriber(
            email=email if random.random() > 0.05 else None,
            email_hash=email_hash(email, self.world.hash_key),
            mailbox_hash=mailbox_hash(email, self.world.hash_key),
            created_at=START,
        )
        session.add(person)
        session.flush()
        state, created = random.choice(STATES), self._moment()
        made = Enrollment(
            subscriber_id=person.id,
            course_id=cohort.course_id,
            cohort_id=cohort.id,
            state=state,
            reason=random.choice(REASONS) if state == EnrollmentState.CANCELLED else None,
            token=f"token-{number}",
            created_at=created,
            confirmed_at=None if state == EnrollmentState.PENDING else created,
            ended_at=self._moment()
            if state in (EnrollmentState.CANCELLED, EnrollmentState.COMPLETED)
            else None,
        )
        session.add(made)
        session.flush()
        return made

    def _mail(
        self, session: Any, one: Enrollment, slug: str, revisions: list[int], name: str
    ) -> None:
        random, at = self.random, self._moment()
        is_again = random.random() < 0.1
        for edition in (1, 0) if is_again else (0,):
            state = random.choice((*DeliveryState, *[DeliveryState.ACCEPTED] * 20))
            is_sent = state is DeliveryState.ACCEPTED
            request = Request(
                revision_id=1, size=1, sent_at=at, answered_at=at, status=202, verdict="accepted"
            )
            session.add(request)
            session.flush()
            row = Delivery(
                enrollment_id=one.id,
                course_id=one.course_id,
                kind=MessageKind.LESSON,
                message_key=slug,
                rank=2,
                state=state,
                created_at=at,
                due_at=at,
                send_at=at,
                settled_at=at if is_sent else None,
                revision_id=random.choice(revisions),
                request_id=request.id if is_sent else None,
            )
            session.add(row)
            session.flush()
            row.edition = row.id if edition else 0
            session.flush()
            if is_sent:
                self._fate(row.id, at, name)

    def _fate(self, number: int, at: datetime, name: str) -> None:
        random = self.random

        def told(word: str, after: float, **detail: Any) -> None:
            self.told.append(
                {
                    "event": word,
                    "timestamp": int((at + timedelta(seconds=after)).timestamp()),
                    "minicourse_delivery": f"{name}-{number}",
                    **detail,
                }
            )

        told("processed", 0)
        end = random.choices(
            ("delivered", "bounce", "dropped", "deferred", "nothing"), (90, 4, 2, 2, 2)
        )[0]
        if end == "nothing":
            if random.random() < 0.5:
                told("open", 900)  # nobody said that it was delivered, and it was read
            return
        told(end, 1, **({"type": "blocked", "reason": "550"} if end == "bounce" else {}))
        if end != "delivered":
            if random.random() < 0.2:
                told("click", 900, url=random.choice(URLS))  # it came back after all
            return
        if random.random() < 0.3:
            told("open", random.randrange(1, 90000), sg_machine_open=True)
        if random.random() < 0.4:
            for _ in range(random.randint(1, 2)):
                told("open", random.randrange(2, 90000))
        if random.random() < 0.25:
            told("click", random.choice((1, 3, 4, 500, 9000)), url=random.choice(URLS))
        if random.random() < 0.15:
            for url in URLS[: random.randint(1, 3)]:
                told("click", random.randrange(1, 15), url=url)
            told("open", random.randrange(1, 15))
        if random.random() < 0.02:
            told("spamreport", 600)

    def _tell(self) -> None:
        """In any order, in several posts, some of it twice."""
        random = self.random
        posts = self.told + random.sample(self.told, len(self.told) // 10)
        random.shuffle(posts)
        with self.world.database.reading() as session:
            name = installation.get(session).name
        while posts:
            size = random.randint(1, 200)
            some, posts = posts[:size], posts[size:]
            body = parse(json.dumps(some).encode())
            with self.world.database.writing() as session:
                events.record(
                    session, body, self.now, installation=name, hash_key=self.world.hash_key
                )
                if random.random() < 0.2:
                    rollups.fold(session, random.randint(1, 20))
                    reach.fold(session)


def all_live(world: World) -> list[Live]:
    with world.database.reading() as session:
        return courses.all_live(session)
