"""What a learner's page shows besides the plan: the lessons they have, their clock, what they may
send for. Reads only."""

from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from course import planning, steering
from course.courses import Live
from course.curriculum import Course as Curriculum
from course.errors import MinicourseError
from course.models import Delivery, Enrollment
from course.rendering import Recipient
from course.sooner import SendNext, possible_again
from course.states import DeliveryState, EnrollmentState, MessageKind
from course.steering import Fate
from course.web.site import site


@dataclass(frozen=True, slots=True)
class Received:
    """A lesson that reached them, under the subject that it had."""

    slug: str
    subject: str
    sent_at: datetime


def received(session: Session, found: Enrollment) -> list[Received]:
    """In the order in which they came; of one that was sent again, the newest."""
    rows = session.scalars(
        select(Delivery)
        .where(
            Delivery.enrollment_id == found.id,
            Delivery.kind == MessageKind.LESSON,
            Delivery.state == DeliveryState.ACCEPTED,
        )
        .order_by(Delivery.id)
    )
    newest = {row.message_key: row for row in rows}
    return [
        Received(slug, _subject(session, found, row), row.settled_at or row.send_at)
        for slug, row in newest.items()
    ]


def _subject(session: Session, found: Enrollment, row: Delivery) -> str:
    """As it stood in their inbox; by its name where it cannot be rendered any more."""
    if row.revision_id is None:
        return row.message_key
    person = found.subscriber
    reader = Recipient(
        person.email or "", person.name, person.zone or "", found.token, fields=found.fields
    )
    try:
        course = site().compiled(session, row.revision_id)
        return course.lesson(row.message_key).mail(course.values(reader)).subject
    except MinicourseError:
        return row.message_key


def delivery_of(session: Session, found: Enrollment, lesson: str) -> int | None:
    """The ledger's number of a lesson that they received."""
    return session.scalar(
        select(Delivery.id)
        .where(
            Delivery.enrollment_id == found.id,
            Delivery.kind == MessageKind.LESSON,
            Delivery.message_key == lesson,
            Delivery.state == DeliveryState.ACCEPTED,
        )
        .order_by(Delivery.id.desc())
        .limit(1)
    )


@dataclass(frozen=True, slots=True)
class OwnClock:
    """Their clock, and the hour that holds where they choose none."""

    zone: ZoneInfo
    hour: time | None
    usual: time

    @property
    def hours(self) -> list[time]:
        """To choose from: each full hour, and one of their own between two."""
        return sorted(
            {time(number) for number in range(24)} | ({self.hour} if self.hour else set())
        )


def own_clock(found: Enrollment, curriculum: Curriculum) -> OwnClock:
    clock = planning.clock_in(found.cohort, found.subscriber.zone, None)
    usual = planning.rhythm(curriculum, clock)
    return OwnClock(usual.zone, found.subscriber.hour, usual.at)


@dataclass(frozen=True, slots=True)
class Sooner:
    """That they may send for the next lesson; `again_at`: only from then on."""

    again_at: datetime | None = None


def sooner(session: Session, found: Enrollment, live: Live, now: datetime) -> Sooner | None:
    """None where there is nothing to send for."""
    if found.state != EnrollmentState.ACTIVE or not live.curriculum.page.next_now:
        return None
    learner = steering.Learner(found, found.subscriber, found.cohort, found.course, live.curriculum)
    again_at = possible_again(session, learner, now)
    if again_at is not None:
        return Sooner(again_at)
    [judged] = SendNext().judge(session, [learner], now)
    return Sooner() if judged.fate is Fate.TOUCHED else None
