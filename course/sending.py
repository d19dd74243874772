"""Sending until nothing is due, for a person who waits: tick after tick, then what is left."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from course import delivery, due
from course.due import Backlog, Release
from course.models import Course, Delivery, Request
from course.office import Office
from course.states import DeliveryState, MessageKind


@dataclass(frozen=True, slots=True)
class Sent:
    """How many of one mail the provider took."""

    course: str
    message: str
    count: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was sent, what went wrong, and what is left; `again_at` (real time) is when that goes
    again by itself."""

    sent: list[Sent]
    failed: int
    unknown: int
    problems: list[str]
    left: Backlog
    again_at: datetime | None
    next_release: Release | None


def count(office: Office) -> int:
    """About how many mails `send_all` has to look at."""
    with office.database.reading() as session:
        return due.backlog(session, office.clock.now(), office.clock.real()).due


def send_all(office: Office) -> Outcome:
    """Send all that is due now. Nothing is waited for, but the first request goes as a probe even
    while answers are being lost."""
    with office.database.reading() as session:
        before = _last_request(session)
    totals, problems = _tick_all(office)
    now, real = office.clock.now(), office.clock.real()
    with office.database.reading() as session:
        left = due.backlog(session, now, real)
        waits = [left.retry_at, due.breaker_until(session), due.quiet_until(session, real)]
        return Outcome(
            sent=_sent_since(session, before),
            failed=totals["failed"],
            unknown=totals["unknown"],
            problems=problems,
            left=left,
            again_at=min((moment for moment in waits if moment), default=None),
            next_release=due.next_release(session, now),
        )


def _tick_all(office: Office) -> tuple[Counter[str], list[str]]:
    """What one tick settles may make the next lesson due. What was only given back waits for its
    own time: another tick would not send it."""
    totals, problems = Counter[str](), dict[str, None]()
    at_once = has_more = True
    while has_more:
        report = delivery.tick(office, at_once=at_once)
        at_once = False
        totals.update(report.counts)
        problems |= dict.fromkeys(report.problems)
        has_more = bool(report.looked_at or report.counts.total() - report.counts["given back"])
    return totals, list(problems)


def _last_request(session: Session) -> int:
    return session.scalar(select(func.max(Request.id))) or 0


def _sent_since(session: Session, request_id: int) -> list[Sent]:
    """What was accepted with requests after that one, by mail; whichever process sent it."""
    mail = case((Delivery.kind == MessageKind.LESSON, Delivery.message_key), else_=Delivery.kind)
    # Grouped by its name: PostgreSQL does not see that two expressions with values are the same.
    rows = session.execute(
        select(Course.slug, mail.label("mail"), func.count())
        .join(Course, Course.id == Delivery.course_id)
        .where(Delivery.request_id > request_id, Delivery.state == DeliveryState.ACCEPTED)
        .group_by(Course.slug, "mail")
        .order_by(Course.slug, "mail")
    )
    return [Sent(*row) for row in rows]
