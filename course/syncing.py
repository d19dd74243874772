"""SendGrid's own lists and ours, brought in step: whom it does not mail, we do not try; and where a
person confirmed anew, its unsubscribe is deleted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from course import enrollment, installation, joining, provider_lists, suppressions
from course.db import Database
from course.errors import InvalidInputError
from course.joining import Origin
from course.models import Consent, Enrollment, Lift, Subscriber
from course.people import email_hash, parse_email
from course.provider_lists import Listed, ProviderLists
from course.states import SuppressionReason

R = SuppressionReason
SOURCE = "sendgrid list"
# A block is one refusal of one mail: it says little about the address. It is counted alone.
REASONS = {
    provider_lists.BOUNCES: R.BOUNCED,
    provider_lists.INVALID: R.INVALID,
    provider_lists.SPAM: R.COMPLAINED,
    provider_lists.UNSUBSCRIBES: R.UNSUBSCRIBED,
}
# An entry may appear a while after the time that it bears.
_OVERLAP = timedelta(days=1)
_CONFIRMED = ("confirmed", "restored")


@dataclass(frozen=True, slots=True)
class Synced:
    """What one list held since it was read last."""

    list: str
    read: int = 0
    new: int = 0  # addresses that are suppressed now, and were not
    stopped: int = 0  # enrollments that ended by it

    def __add__(self, other: "Synced") -> "Synced":
        return replace(
            self,
            read=self.read + other.read,
            new=self.new + other.new,
            stopped=self.stopped + other.stopped,
        )


def sync(
    database: Database,
    lists: ProviderLists,
    now: datetime,
    *,
    hash_key: str,
    since_ever: bool = False,
    dry_run: bool = False,
) -> Iterator[Synced]:
    """Read each list from where the last reading ended. Broken off, that list is read again."""
    for name in provider_lists.NAMES:
        with database.reading() as session:
            known = installation.get(session).lists_read.get(name)
        since = datetime.fromisoformat(known) - _OVERLAP if known and not since_ever else None
        found = Synced(name)
        for page in lists.pages(name, since, now):
            hashed = _hashed(page, hash_key)
            work = partial(_take, name=name, found=hashed, now=now, dry_run=dry_run)
            if dry_run:
                with database.reading() as session:
                    found += work(session)
            else:
                found += database.run(work)
        if not dry_run:
            database.run(partial(_note_read, name=name, until=now))
        yield found


def _hashed(page: Sequence[Listed], hash_key: str) -> dict[str, datetime]:
    """What is no address (a list is full of those) is nobody's whom we would mail."""
    found: dict[str, datetime] = {}
    for one in page:
        try:
            found[email_hash(parse_email(one.email, sandbox=True), hash_key)] = one.since
        except InvalidInputError:
            continue
    return found


def _take(
    session: Session, *, name: str, found: dict[str, datetime], now: datetime, dry_run: bool
) -> Synced:
    reason = REASONS.get(name)
    if reason is None or not found:
        return Synced(name, read=len(found))
    taken_back = _confirmed_since(session, found) if reason is R.UNSUBSCRIBED else set()
    known = {
        one.email_hash
        for one in suppressions.standing(session, found)
        if one.course_id is None and one.reason == reason
    }
    new = sorted(set(found) - known - taken_back)
    if dry_run:
        return Synced(name, len(found), len(new))
    suppressions.lift_there(session, sorted(taken_back))
    stopped = enrollment.withdraw_addresses(session, new, reason, now)
    if reason is R.UNSUBSCRIBED:
        joining.consent(session, stopped, "withdrawn", Origin(SOURCE), now)
    suppressions.add(session, new, reason, SOURCE, now)
    return Synced(name, len(found), len(new), len(stopped))


def _confirmed_since(session: Session, found: dict[str, datetime]) -> set[str]:
    """Those who asked for a course after that, by their own hand."""
    latest = session.execute(
        select(Subscriber.email_hash, func.max(Consent.at))
        .join(Enrollment, Enrollment.subscriber_id == Subscriber.id)
        .join(Consent, Consent.enrollment_id == Enrollment.id)
        .where(Subscriber.email_hash.in_(list(found)), Consent.act.in_(_CONFIRMED))
        .group_by(Subscriber.email_hash)
    )
    return {hashed for hashed, at in latest if at > found[hashed]}


def _note_read(session: Session, *, name: str, until: datetime) -> None:
    here = installation.get(session)
    here.lists_read = {**here.lists_read, name: until.isoformat()}
    session.flush()


# What a person's own confirmation lifts -----------------------------------------------------------


def waiting(session: Session) -> int:
    """How many unsubscribes are still to be deleted there."""
    return session.scalar(select(func.count()).select_from(Lift)) or 0


def lift(database: Database, lists: ProviderLists, *, limit: int | None = None) -> int:
    """Delete them; returns how many. One that is not there is done as well."""
    with database.reading() as session:
        people = session.execute(
            select(Lift.subscriber_id, Subscriber.email)
            .join(Subscriber, Subscriber.id == Lift.subscriber_id)
            .order_by(Lift.subscriber_id)
            .limit(limit)
        ).all()
    for subscriber_id, email in people:
        if email is not None:
            lists.remove(provider_lists.UNSUBSCRIBES, email)
        database.run(partial(_lifted, subscriber_id=subscriber_id))
    return len(people)


def _lifted(session: Session, *, subscriber_id: int) -> None:
    session.execute(delete(Lift).where(Lift.subscriber_id == subscriber_id))
