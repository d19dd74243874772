"""Suppressions by an operator's hand: an address, or a list of them, and taking one back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from course import audit, enrollment, provider_lists, suppressions
from course.models import Enrollment, Subscriber
from course.states import OPEN_ENROLLMENT, SuppressionReason

R = SuppressionReason
# What an operator added, an operator takes back. All else tells what a person or a mail server
# said: that is passed over only where each is named.
FREELY = (R.MANUAL,)
# Where the provider keeps the like.
LISTS = {
    R.BOUNCED: (provider_lists.BOUNCES, provider_lists.BLOCKS),
    R.INVALID: (provider_lists.INVALID,),
    R.COMPLAINED: (provider_lists.SPAM,),
    R.UNSUBSCRIBED: (provider_lists.UNSUBSCRIBES,),
    R.ERASED: (provider_lists.UNSUBSCRIBES,),
}


@dataclass(frozen=True, slots=True)
class Barred:
    """What it did, or would do."""

    new: int = 0  # entries
    stopped: int = 0  # enrollments that were open

    def __add__(self, other: "Barred") -> "Barred":
        return Barred(self.new + other.new, self.stopped + other.stopped)


def whose(session: Session, email_hash: str) -> int | None:
    """The person with that address, where there is one."""
    return session.scalar(
        select(Subscriber.id).where(
            Subscriber.email_hash == email_hash, Subscriber.email.is_not(None)
        )
    )


def would_bar(session: Session, email_hashes: Sequence[str], course_id: int | None) -> Barred:
    """What `bar` would do."""
    known = {
        one.email_hash
        for one in suppressions.standing(session, email_hashes)
        if one.reason == R.MANUAL and one.course_id == course_id
    }
    opened = (
        select(func.count(Enrollment.id))
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(Subscriber.email_hash.in_(email_hashes), Enrollment.state.in_(OPEN_ENROLLMENT))
    )
    if course_id is not None:
        opened = opened.where(Enrollment.course_id == course_id)
    return Barred(len(set(email_hashes) - known), session.scalar(opened) or 0)


def bar(
    session: Session,
    email_hashes: Sequence[str],
    course_id: int | None,
    source: str,
    now: datetime,
) -> Barred:
    """Suppress them, and end what they take part in there."""
    hashes = sorted(set(email_hashes))
    stopped = enrollment.withdraw_addresses(session, hashes, R.MANUAL, now, course_id=course_id)
    new = suppressions.add(session, hashes, R.MANUAL, source, now, course_id=course_id)
    return Barred(new, len(stopped))


def unbar(
    session: Session,
    email_hash: str,
    course_id: int | None,
    despite: Sequence[SuppressionReason],
    *,
    who: str,
    now: datetime,
) -> list[str]:
    """Take away what an operator added, and what is named in `despite`; returns the reasons."""
    removed = suppressions.remove(session, email_hash, course_id, [*FREELY, *despite])
    if removed:
        audit.record(
            session,
            who,
            "suppression remove",
            now,
            subscriber_id=whose(session, email_hash),
            course=course_id,
            reasons=sorted(removed),
        )
    return sorted(removed)
