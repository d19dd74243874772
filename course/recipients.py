"""Who was sent a revision: each mail that left with it, however many there are. Reads only."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from course.errors import NotFoundError
from course.history import LEFT
from course.models import Delivery, Enrollment, Revision, Subscriber
from course.states import MessageKind

_PAGE = 1000


def revision(session: Session, course_id: int, slug: str, number: int) -> Revision:
    """NotFoundError where the course has none of that number."""
    found = session.scalar(
        select(Revision).where(Revision.course_id == course_id, Revision.number == number)
    )
    if found is None:
        raise NotFoundError(
            f"{slug} has no revision {number}. See them with: minicourse course revisions {slug}"
        )
    return found


@dataclass(frozen=True, slots=True)
class Got:
    """A mail that left with a revision; `email` is None where the person was erased."""

    delivery: int
    email: str | None
    kind: str
    message: str
    state: str
    at: datetime | None  # None: it is leaving at this moment


def who_got(
    reading: Callable[[], AbstractContextManager[Session]],
    revision_id: int,
    lesson: str | None = None,
) -> Iterator[Got]:
    """In the order of their numbers. There may be millions: a page is held at a time, and each is
    read for itself, so that nobody waits for a list to be printed."""
    statement = _GOT.where(Delivery.revision_id == revision_id)
    if lesson is not None:
        statement = statement.where(
            Delivery.kind == MessageKind.LESSON, Delivery.message_key == lesson
        )
    beyond, is_full = 0, True
    while is_full:
        with reading() as session:
            page = session.execute(statement.where(Delivery.id > beyond)).all()
        yield from (Got(*row) for row in page)
        is_full = len(page) == _PAGE
        beyond = page[-1][0] if page else beyond


_GOT: Select[*tuple[Any, ...]] = (
    select(
        Delivery.id,
        Subscriber.email,
        Delivery.kind,
        Delivery.message_key,
        Delivery.state,
        func.coalesce(Delivery.settled_at, Delivery.unknown_since),
    )
    .select_from(Delivery)
    .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
    .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
    .where(Delivery.state.in_(LEFT), Delivery.request_id.is_not(None))
    .order_by(Delivery.id)
    .limit(_PAGE)
)
