"""The ledger as people read it: which mails there are, for whom, and what became of them.
Reads only."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from course import installation
from course.errors import InvalidInputError, NotFoundError
from course.models import Cohort, Course, Delivery, Enrollment, Event, Request, Revision, Subscriber
from course.states import DeliveryState, MessageKind

# A mail in one of these has been handed over, or nobody can know that it was not.
LEFT = (DeliveryState.SENDING, DeliveryState.ACCEPTED, DeliveryState.UNKNOWN)
_NUMBER = re.compile(r"(?:(?P<name>[0-9a-f]{8})-)?(?P<number>[0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Mail:
    """One row of the ledger; times are UTC. `email` is None where the person was erased."""

    id: int
    email: str | None
    course: str
    cohort: str
    kind: str
    message: str  # a lesson's slug, or the key of a mail of the program's own
    state: str
    reason: str | None
    outcome: str | None
    outcome_reason: str | None
    due_at: datetime
    send_at: datetime
    retry_at: datetime | None
    settled_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    complained_at: datetime | None
    superseded: bool

    @property
    def at(self) -> datetime:
        """When it was settled, or is to leave."""
        return self.settled_at or self.retry_at or self.send_at

    @property
    def fate(self) -> str:
        """The state, with its reason where there is one."""
        return f"{self.state} ({self.reason})" if self.reason else self.state


@dataclass(frozen=True, slots=True)
class RequestLine:
    """The call to the provider that the mail went with."""

    id: int
    size: int
    sent_at: datetime
    answered_at: datetime | None
    status: int | None
    verdict: str | None
    detail: str | None
    x_message_id: str | None


@dataclass(frozen=True, slots=True)
class EventLine:
    """What the provider told about the mail."""

    kind: str
    at: datetime
    received_at: datetime
    is_machine: bool
    url: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Story:
    """A mail with all that is known of it."""

    mail: Mail
    revision: int | None
    request: RequestLine | None
    events: list[EventLine]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which mails; None: any."""

    state: str | None = None
    course_id: int | None = None
    lesson: str | None = None
    subscriber_id: int | None = None
    enrollment_id: int | None = None


def mails(session: Session, which: Filter, limit: int | None = None) -> list[Mail]:
    """The newest first."""
    statement = MAILS
    if which.state is not None:
        statement = statement.where(Delivery.state == which.state)
    if which.course_id is not None:
        statement = statement.where(Delivery.course_id == which.course_id)
    if which.lesson is not None:
        statement = statement.where(
            Delivery.kind == MessageKind.LESSON, Delivery.message_key == which.lesson
        )
    if which.subscriber_id is not None:
        statement = statement.where(Enrollment.subscriber_id == which.subscriber_id)
    if which.enrollment_id is not None:
        statement = statement.where(Delivery.enrollment_id == which.enrollment_id)
    return read(session, statement.order_by(Delivery.id.desc()).limit(limit))


def number_of(session: Session, written: str) -> int:
    """A delivery's number as people see it, or as it travels: `4711`, `3f9a01c2-4711`."""
    found = _NUMBER.fullmatch(written.strip().lower())
    if found is None:
        raise InvalidInputError(
            f"{written!r} is no delivery's number. See them with: minicourse delivery list"
        )
    name, number = found["name"], int(found["number"])
    if name and not _is_ours(session, name, number):
        raise NotFoundError(
            f"Delivery {written} is not of this installation, whose mails are "
            f"{installation.get(session).name}-…: look where that one runs."
        )
    return number


def _is_ours(session: Session, name: str, number: int) -> bool:
    """Before a restore we had another name, for the numbers that there were then."""
    here = installation.get(session)
    return name == here.name or number <= here.former_names.get(name, 0)


def story(session: Session, delivery_id: int) -> Story:
    """One mail with its request and events; NotFoundError where there is none of that number."""
    found = read(session, MAILS.where(Delivery.id == delivery_id))
    if not found:
        raise NotFoundError(
            f"No delivery {delivery_id}. See their numbers with: minicourse delivery list"
        )
    row = session.get_one(Delivery, delivery_id)
    request = session.get(Request, row.request_id) if row.request_id else None
    events = session.scalars(
        select(Event).where(Event.delivery_id == delivery_id).order_by(Event.at, Event.id)
    )
    return Story(
        mail=found[0],
        revision=_revision_number(session, row.revision_id),
        request=_line(RequestLine, request) if request else None,
        events=[_line(EventLine, event) for event in events],
    )


def read(session: Session, statement: Select[*tuple[Any, ...]]) -> list[Mail]:
    """The mails of a statement that narrows `MAILS`."""
    return [Mail(*row) for row in session.execute(statement)]


MAILS: Select[*tuple[Any, ...]] = (
    select(
        Delivery.id,
        Subscriber.email,
        Course.slug,
        Cohort.name,
        Delivery.kind,
        Delivery.message_key,
        Delivery.state,
        Delivery.reason,
        Delivery.outcome,
        Delivery.outcome_reason,
        Delivery.due_at,
        Delivery.send_at,
        Delivery.retry_at,
        Delivery.settled_at,
        Delivery.opened_at,
        Delivery.clicked_at,
        Delivery.complained_at,
        Delivery.superseded,
    )
    .select_from(Delivery)
    .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
    .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
    .join(Cohort, Cohort.id == Enrollment.cohort_id)
    .join(Course, Course.id == Delivery.course_id)
)


def _line(kind: type[Any], row: object) -> Any:
    return kind(**{name: getattr(row, name) for name in kind.__dataclass_fields__})


def _revision_number(session: Session, revision_id: int | None) -> int | None:
    return session.get_one(Revision, revision_id).number if revision_id else None
