"""What events say about an address: it bounced, complained or left, and is mailed no more."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from course import enrollment, suppressions
from course.matching import Report
from course.models import Delivery, Enrollment, Event, Subscriber
from course.states import EventKind, SuppressionReason

SOURCE = "sendgrid event"
# One refusal is about a mail, or about us; this many in a row are about the address.
BLOCKS_IN_A_ROW = 3


def heed(session: Session, fresh: Sequence[Report], now: datetime) -> None:
    """Bounces and complaints are for all courses, an unsubscribe leaves the delivery's course."""
    hashes: dict[SuppressionReason, set[str]] = defaultdict(set)
    left: set[int] = set()
    for report in fresh:
        reason, person = report.event.suppression, report.person
        if reason is SuppressionReason.UNSUBSCRIBED:
            if person and person.enrollment_id:
                left.add(person.enrollment_id)
        elif reason and person:
            hashes[reason].add(person.email_hash)
    hashes[SuppressionReason.BOUNCED] |= _blocked_again(session, fresh)
    for reason, some in hashes.items():
        _suppress(session, sorted(some), reason, now)
    _unsubscribe(session, left, now)


def _suppress(
    session: Session, email_hashes: list[str], reason: SuppressionReason, now: datetime
) -> None:
    if email_hashes:
        enrollment.withdraw_addresses(session, email_hashes, reason, now)
        suppressions.add(session, email_hashes, reason, SOURCE, now)


def _unsubscribe(session: Session, enrollment_ids: Iterable[int], now: datetime) -> None:
    """One by one, each with its consent record: rare, since the provider's own unsubscribe links
    are switched off in every mail."""
    if not enrollment_ids:
        return
    left = session.scalars(
        select(Enrollment)
        .where(Enrollment.id.in_(enrollment_ids))
        .options(joinedload(Enrollment.subscriber))
        .order_by(Enrollment.id)
    )
    for one in left.all():
        enrollment.unsubscribe(session, one, enrollment.Origin(SOURCE), now)


def _blocked_again(session: Session, fresh: Sequence[Report]) -> set[str]:
    """Of those just blocked: the people whose last mails were all blocked, none delivered."""
    people = {
        report.person.subscriber_id
        for report in fresh
        if report.person and report.event.kind is EventKind.BLOCKED
    }
    if not people:
        return set()
    fates = (
        select(
            Enrollment.subscriber_id,
            Event.kind,
            func.row_number()
            .over(partition_by=Enrollment.subscriber_id, order_by=func.max(Event.at).desc())
            .label("place"),
        )
        .join(Delivery, Delivery.id == Event.delivery_id)
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .where(
            Enrollment.subscriber_id.in_(people),
            Event.kind.in_((EventKind.BLOCKED, EventKind.DELIVERED)),
        )
        .group_by(Enrollment.subscriber_id, Event.delivery_id, Event.kind)
        .subquery()
    )
    return set(
        session.scalars(
            select(Subscriber.email_hash)
            .join(fates, fates.c.subscriber_id == Subscriber.id)
            .where(fates.c.place <= BLOCKS_IN_A_ROW, fates.c.kind == EventKind.BLOCKED)
            .group_by(Subscriber.id, Subscriber.email_hash)
            .having(func.count() == BLOCKS_IN_A_ROW)
        )
    )
