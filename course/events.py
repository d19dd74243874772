"""What the provider reports becomes outcome, first open and click, and suppression.

One call takes one body of the webhook, set-wise and idempotent: each event is inserted under its
dedupe key, and only rows that were really inserted have effects. Copies, any order and several
processes at once therefore do no harm.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import false, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, joinedload

from course import enrollment, ledger, suppressions
from course.db import insert_ignoring, is_postgresql, real_now
from course.errors import InvalidInputError
from course.models import Delivery, Enrollment, Event, Installation, Subscriber
from course.people import email_hash, parse_email
from course.states import OUTCOME_RANK, EventKind, Outcome, SuppressionReason
from course.webhooks import ProviderEvent, dedupe_key

SOURCE = "sendgrid event"
# One refusal is about a mail, or about us; this many in a row are about the address.
BLOCKS_IN_A_ROW = 3

_OUTCOMES = {
    EventKind.PROCESSED: Outcome.PROCESSED,
    EventKind.DEFERRED: Outcome.DEFERRED,
    EventKind.DELIVERED: Outcome.DELIVERED,
    EventKind.BOUNCED: Outcome.BOUNCED,
    EventKind.BLOCKED: Outcome.BOUNCED,
    EventKind.DROPPED: Outcome.DROPPED,
}
_FIRSTS: dict[EventKind, InstrumentedAttribute[datetime | None]] = {
    EventKind.OPENED: Delivery.opened_at,
    EventKind.CLICKED: Delivery.clicked_at,
    EventKind.COMPLAINED: Delivery.complained_at,
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a body's events were."""

    new: int = 0
    repeated: int = 0  # copies of what we have
    foreign: int = 0  # of another installation that shares the account
    unmatched: int = 0  # about no mail and nobody that we know


@dataclass(frozen=True, slots=True)
class _Report:
    """An event and whom it is about. A late bounce may name no delivery, only an address."""

    event: ProviderEvent
    subscriber_id: int
    email_hash: str
    delivery_id: int | None = None
    enrollment_id: int | None = None


def record(
    session: Session,
    events: Sequence[ProviderEvent],
    now: datetime,
    *,
    installation: str,
    hash_key: str,
    former: Mapping[str, int] = MappingProxyType({}),
) -> Recorded:
    """Store what is new in these events and let it take effect; `now` is when they arrived.

    `installation` is our name before the delivery ids, `former` what it was before a restore, each
    with the highest id that it stands for.
    """
    names = {**former, installation: None}
    numbers = {event: _number(event, names) for event in events}
    ours = [event for event in events if not event.reference or numbers[event]]
    found = _about_deliveries(session, {event: numbers[event] for event in ours})
    missed = [event for event in ours if event not in found]
    found |= _about_people(session, missed, hash_key)
    _lock(session, found.values())
    fresh = _insert(session, found.values(), now)
    _settle(session, fresh, now)
    _suppress(session, fresh, now, hash_key)
    if ours:
        # Last: this row is everybody's, and its lock stands until the commit.
        session.execute(update(Installation).values(last_event_at=real_now(session)))
    matched = sum(event in found for event in ours)
    return Recorded(
        new=len(fresh),
        repeated=matched - len(fresh),
        foreign=len(events) - len(ours),
        unmatched=len(ours) - matched,
    )


# Whom is it about? ------------------------------------------------------------------------------


def _number(event: ProviderEvent, names: Mapping[str, int | None]) -> int | None:
    """The delivery that the event names, where it is one of ours."""
    for name, highest in names.items():
        number = event.delivery_id(name)
        if number is not None and (highest is None or number <= highest):
            return number
    return None


def _about_deliveries(
    session: Session, ids: Mapping[ProviderEvent, int | None]
) -> dict[ProviderEvent, _Report]:
    rows = session.execute(
        select(Delivery.id, Delivery.enrollment_id, Subscriber.id, Subscriber.email_hash)
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(Delivery.id.in_([number for number in set(ids.values()) if number]))
    )
    known = {row[0]: row for row in rows}
    return {
        event: _Report(event, row[2], row[3], delivery_id=row[0], enrollment_id=row[1])
        for event, number in ids.items()
        if (row := known.get(number or 0))
    }


def _about_people(
    session: Session, events: Iterable[ProviderEvent], hash_key: str
) -> dict[ProviderEvent, _Report]:
    """Bounces that come days later name no delivery any more, only the address."""
    hashes = {
        event: _hash(event, hash_key)
        for event in events
        if event.suppression is SuppressionReason.BOUNCED
    }
    rows = session.execute(
        select(Subscriber.email_hash, Subscriber.id).where(
            Subscriber.email_hash.in_([value for value in set(hashes.values()) if value])
        )
    )
    known = {row[0]: row for row in rows}
    return {
        event: _Report(event, row[1], row[0])
        for event, value in hashes.items()
        if (row := known.get(value or ""))
    }


def _hash(event: ProviderEvent, hash_key: str) -> str | None:
    try:
        return email_hash(parse_email(event.email or ""), hash_key)
    except InvalidInputError:
        return None


def _ids(reports: Iterable[_Report], *kinds: EventKind) -> list[int]:
    """The deliveries that these reports (of these kinds) name, in order."""
    wanted = (report for report in reports if not kinds or report.event.kind in kinds)
    return sorted({report.delivery_id for report in wanted if report.delivery_id is not None})


# What is new? -----------------------------------------------------------------------------------


def _lock(session: Session, reports: Iterable[_Report]) -> None:
    """PostgreSQL: what may change is locked before the first insert (whose foreign key locks the
    delivery too): the enrollments first, of people who may be suppressed all, in id order."""
    if not is_postgresql(session):
        return
    reports = list(reports)
    people = {report.subscriber_id for report in reports if _may_suppress(report.event)}
    named = {report.enrollment_id for report in reports if report.enrollment_id is not None}
    session.execute(
        select(Enrollment.id)
        .where(or_(Enrollment.id.in_(named), Enrollment.subscriber_id.in_(people)))
        .order_by(Enrollment.id)
        .with_for_update(key_share=True)
    )
    ledger.lock(session, _ids(reports))


def _may_suppress(event: ProviderEvent) -> bool:
    return event.suppression is not None or event.kind is EventKind.BLOCKED


def _insert(session: Session, reports: Iterable[_Report], now: datetime) -> list[_Report]:
    """Insert the events; returns those that were not there before."""
    by_key: dict[str, _Report] = {}
    for report in reports:
        by_key.setdefault(dedupe_key(report.event), report)
    rows = [
        {
            "dedupe_key": key,
            "delivery_id": report.delivery_id,
            "kind": report.event.kind,
            "at": report.event.at or now,
            "received_at": now,
            "is_machine": report.event.is_machine,
            "url": report.event.url,
            "reason": report.event.reason,
        }
        for key, report in sorted(by_key.items())
    ]
    if not rows:
        return []
    inserted = session.scalars(insert_ignoring(session, Event).returning(Event.dedupe_key), rows)
    return [by_key[key] for key in inserted]


# What follows? ----------------------------------------------------------------------------------


def _settle(session: Session, fresh: Sequence[_Report], now: datetime) -> None:
    """T8: whatever names a delivery proves that the provider has it; then its outcome, which only
    rises, and its first open, click and complaint, whatever their order of arrival."""
    if not (named := _ids(fresh)):
        return
    ledger.prove(session, named, now)
    for outcome in Outcome:
        kinds = [kind for kind, result in _OUTCOMES.items() if result is outcome]
        _raise_outcome(session, _ids(fresh, *kinds), outcome, kinds)
    for kind, column in _FIRSTS.items():
        _note_first(session, _ids(fresh, kind), kind, column)


def _raise_outcome(
    session: Session, ids: Sequence[int], outcome: Outcome, kinds: Sequence[EventKind]
) -> None:
    if not ids:
        return
    latest_reason = (
        select(Event.reason)
        .where(Event.delivery_id == Delivery.id, Event.kind.in_(kinds))
        .order_by(Event.at.desc(), Event.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    rank = OUTCOME_RANK[outcome]
    session.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids), Delivery.outcome_rank < rank)
        .values(outcome=outcome, outcome_rank=rank, outcome_reason=latest_reason)
        .execution_options(synchronize_session=False)
    )


def _note_first(
    session: Session,
    ids: Sequence[int],
    kind: EventKind,
    column: InstrumentedAttribute[datetime | None],
) -> None:
    """The first time that a person, not a machine, did that."""
    if not ids:
        return
    first = (
        select(func.min(Event.at))
        .where(Event.delivery_id == Delivery.id, Event.kind == kind, Event.is_machine == false())
        .scalar_subquery()
    )
    session.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids), or_(column.is_(None), column > first))
        .values({column: first})
        .execution_options(synchronize_session=False)
    )


def _suppress(session: Session, fresh: Sequence[_Report], now: datetime, hash_key: str) -> None:
    """Bounces and complaints are for all courses, an unsubscribe leaves the delivery's course."""
    hashes: dict[SuppressionReason, set[str]] = defaultdict(set)
    left: set[int] = set()
    for report in fresh:
        reason = report.event.suppression
        if reason is SuppressionReason.UNSUBSCRIBED:
            if report.enrollment_id is not None:
                left.add(report.enrollment_id)
        elif reason:
            # The address that the event names may not be the person's any more.
            hashes[reason].add(_hash(report.event, hash_key) or report.email_hash)
    hashes[SuppressionReason.BOUNCED] |= _blocked_again(session, fresh)
    for reason, some in hashes.items():
        _suppress_addresses(session, sorted(some), reason, now)
    _unsubscribe(session, left, now)


def _suppress_addresses(
    session: Session, email_hashes: list[str], reason: SuppressionReason, now: datetime
) -> None:
    if email_hashes:
        enrollment.withdraw_addresses(session, email_hashes, reason, now)
        suppressions.add(session, email_hashes, reason, SOURCE, now)


def _unsubscribe(session: Session, enrollment_ids: Iterable[int], now: datetime) -> None:
    """One by one, each with its consent record: rare, since the provider's own unsubscribe links
    are switched off in every mail."""
    left = session.scalars(
        select(Enrollment)
        .where(Enrollment.id.in_(enrollment_ids))
        .options(joinedload(Enrollment.subscriber))
        .order_by(Enrollment.id)
    )
    for one in left.all():
        enrollment.unsubscribe(session, one, enrollment.Origin(SOURCE), now)


def _blocked_again(session: Session, fresh: Sequence[_Report]) -> set[str]:
    """Of those just blocked: the people whose last mails were all blocked, none delivered."""
    people = {report.subscriber_id for report in fresh if report.event.kind is EventKind.BLOCKED}
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
