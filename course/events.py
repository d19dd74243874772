"""What the provider reports becomes outcome, first open and click, and suppression.

One call takes some hundred events, set-wise and idempotent: each event is inserted under its
dedupe key, and only rows that were really inserted have effects. Copies, any order and several
processes at once therefore do no harm, nor does a body of which only a part was taken.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import Executable, or_, select, union, update
from sqlalchemy.orm import Session

from course import ledger, machines, matching, reach, refusals, rollups
from course.db import among, is_postgresql, real_now
from course.matching import Report
from course.models import Delivery, Enrollment, Event, Installation
from course.rowsets import RowSet, insert_from, run
from course.states import OUTCOME_RANK, EventKind, Outcome
from course.webhooks import ProviderEvent, dedupe_key

# Of more events in one transaction SQLite's other writers would notice.
AT_ONCE = 1000

_OUTCOMES = {
    EventKind.PROCESSED: Outcome.PROCESSED,
    EventKind.DEFERRED: Outcome.DEFERRED,
    EventKind.DELIVERED: Outcome.DELIVERED,
    EventKind.BOUNCED: Outcome.BOUNCED,
    EventKind.BLOCKED: Outcome.BOUNCED,
    EventKind.DROPPED: Outcome.DROPPED,
    # Nobody reads what did not arrive.
    EventKind.OPENED: Outcome.DELIVERED,
    EventKind.CLICKED: Outcome.DELIVERED,
}
_READING = (EventKind.OPENED, EventKind.CLICKED)
# On their way mails count as nothing but sent.
_COUNTED = {*_OUTCOMES, EventKind.COMPLAINED} - {EventKind.PROCESSED, EventKind.DEFERRED}

_LONG_AGO = datetime.min.replace(tzinfo=UTC)

_MAILS = RowSet(id=Delivery.id)
_EVENTS = RowSet(
    dedupe_key=Event.dedupe_key,
    delivery_id=Event.delivery_id,
    kind=Event.kind,
    at=Event.at,
    is_machine=Event.is_machine,
    url=Event.url,
    reason=Event.reason,
)
_HIGHEST = RowSet(
    id=Delivery.id,
    outcome_rank=Delivery.outcome_rank,
    outcome=Delivery.outcome,
    outcome_reason=Delivery.outcome_reason,
)
_COMPLAINTS = RowSet(id=Delivery.id, complained_at=Delivery.complained_at)
_CONCERNED = RowSet(id=Delivery.id, is_read=Event.is_machine)
_FIRSTS = RowSet(
    id=Delivery.id, **{name: getattr(Delivery, name) for name in machines.Firsts._fields}
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a body's events were."""

    new: int = 0
    repeated: int = 0  # copies of what we have
    foreign: int = 0  # of another installation that shares the account
    unmatched: int = 0  # about no mail and nobody that we know


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
    ours = matching.ours(events, {**former, installation: None})
    reports = matching.match(session, ours, hash_key)
    _lock(session, reports)
    fresh = _insert(session, reports, now)
    _settle(session, fresh, now)
    refusals.heed(session, fresh, now)
    if ours:
        # Last: this row is everybody's, and its lock stands until the commit.
        session.execute(update(Installation).values(last_event_at=real_now(session)))
    return Recorded(
        new=len(fresh),
        repeated=len(reports) - len(fresh),
        foreign=len(events) - len(ours),
        unmatched=len(ours) - len(reports),
    )


# What is new? -----------------------------------------------------------------------------------


def _lock(session: Session, reports: Sequence[Report]) -> None:
    """PostgreSQL: what may change is locked before the first insert (whose foreign key locks the
    delivery too): the enrollments first, of people who may be suppressed all, in id order."""
    if not is_postgresql(session):
        return
    people = {report.person.subscriber_id for report in reports if report.person}
    unproven = _unproven(reports)
    if people or unproven:
        concerned = union(
            select(Delivery.enrollment_id).where(among(session, Delivery.id, unproven)),
            select(Enrollment.id).where(among(session, Enrollment.subscriber_id, people)),
        )
        session.execute(
            select(Enrollment.id)
            .where(Enrollment.id.in_(concerned))
            .order_by(Enrollment.id)
            .with_for_update(key_share=True)
        )
    run(session, _locked, given=_MAILS.pack(session, [(number,) for number in _mails(reports)]))


@cache
def _locked(postgresql: bool) -> Executable:
    given = _MAILS.given(postgresql)
    mails = select(Delivery.id).where(Delivery.id.in_(select(given.c.id)))
    return mails.order_by(Delivery.id).with_for_update()


def _mails(reports: Iterable[Report]) -> list[int]:
    """The deliveries that these name, in order."""
    return sorted({report.delivery_id for report in reports if report.delivery_id})


def _unproven(reports: Iterable[Report]) -> list[int]:
    """Those of them of which it was not known that the provider has them."""
    return _mails(report for report in reports if not report.is_proven)


def _insert(session: Session, reports: Iterable[Report], now: datetime) -> list[Report]:
    """Insert the events; returns those that were not there before."""
    by_key: dict[str, Report] = {}
    for report in reports:
        by_key.setdefault(dedupe_key(report.event), report)
    if not by_key:
        return []
    found = [_row(key, report, now) for key, report in by_key.items()]
    # Everybody inserts in the order of the index, or two could wait for each other for ever.
    found.sort(key=lambda row: (row[1] or 0, row[0]))
    given = _EVENTS.pack(session, found)
    inserted = run(session, _new_events, given=given, received_at=now).scalars()
    return [by_key[key] for key in inserted]


@cache
def _new_events(postgresql: bool) -> Executable:
    given = _EVENTS.given(postgresql)
    insert = insert_from(postgresql, Event, given, dict(given.c), same=["received_at"])
    return insert.returning(Event.dedupe_key)


def _row(key: str, report: Report, now: datetime) -> tuple[Any, ...]:
    event, at = report.event, report.event.at or now
    return key, report.delivery_id, event.kind, at, event.is_machine, event.url, event.reason


# What follows? ----------------------------------------------------------------------------------


def _settle(session: Session, fresh: Sequence[Report], now: datetime) -> None:
    """T8: whatever names a delivery proves that the provider has it; then its outcome, which only
    rises, and its first open, click and complaint, whatever their order of arrival."""
    if unproven := _unproven(fresh):
        ledger.prove(session, unproven, now)
    counted = _mails(report for report in fresh if report.event.kind in _COUNTED)
    with rollups.kept(session, counted), reach.outcomes(session, _told(session, fresh)):
        _raise_outcomes(session, fresh, now)
        _note_complaints(session, fresh, now)
        _note_reading(session, fresh)


def _told(session: Session, fresh: Sequence[Report]) -> list[int]:
    """Mails of which it is news what became of them; of one that arrived a reader tells nothing."""
    counted = [report for report in fresh if report.event.kind in _COUNTED]
    told = {*_mails(one for one in counted if one.event.kind not in _READING)}
    read = {*_mails(one for one in counted if one.event.kind in _READING)} - told
    if read:
        rank = OUTCOME_RANK[Outcome.DELIVERED]
        news = select(Delivery.id).where(
            among(session, Delivery.id, read), Delivery.outcome_rank < rank
        )
        told |= {*session.scalars(news)}
    return sorted(told)


def _raise_outcomes(session: Session, fresh: Iterable[Report], now: datetime) -> None:
    highest: dict[int, tuple[int, datetime, Outcome, str | None]] = {}
    for event, number, *_ in fresh:
        if number and (outcome := _OUTCOMES.get(event.kind)):
            # What the receiving server said goes before what only shows that it took the mail.
            at = _LONG_AGO if event.kind in _READING else event.at or now
            found = (OUTCOME_RANK[outcome], at, outcome, event.reason)
            if number not in highest or highest[number][:2] <= found[:2]:
                highest[number] = found
    if not highest:
        return
    rising = [
        (number, rank, outcome, reason)
        for number, (rank, _, outcome, reason) in sorted(highest.items())
    ]
    run(session, _rise, given=_HIGHEST.pack(session, rising))


@cache
def _rise(postgresql: bool) -> Executable:
    given = _HIGHEST.given(postgresql)
    return (
        update(Delivery)
        .where(Delivery.id == given.c.id, Delivery.outcome_rank < given.c.outcome_rank)
        .values({name: given.c[name] for name in ("outcome_rank", "outcome", "outcome_reason")})
    )


def _note_complaints(session: Session, fresh: Iterable[Report], now: datetime) -> None:
    """The first time that somebody called it spam."""
    found: dict[int, datetime] = {}
    for event, number, *_ in fresh:
        if number and event.kind == EventKind.COMPLAINED:
            at = event.at or now
            found[number] = min(found.get(number, at), at)
    if found:
        run(session, _complain, given=_COMPLAINTS.pack(session, sorted(found.items())))


@cache
def _complain(postgresql: bool) -> Executable:
    given, known = _COMPLAINTS.given(postgresql), Delivery.complained_at
    earlier = or_(known.is_(None), known > given.c.complained_at)
    mine = Delivery.id == given.c.id
    return update(Delivery).where(mine, earlier).values(complained_at=given.c.complained_at)


# Opened and clicked: by whom? -------------------------------------------------------------------


def _note_reading(session: Session, fresh: Iterable[Report]) -> None:
    """The first open and click, of a person and of a machine. One event alone does not tell who it
    was, and the delivery that would may come later: so all that is told of the mail is read."""
    concerned = {
        report.delivery_id: report.event.kind in _READING
        for report in sorted(fresh, key=lambda one: one.event.kind in _READING)
        if report.delivery_id
        and (report.event.kind in _READING or report.event.kind == EventKind.DELIVERED)
    }
    if not concerned:
        return
    given = _CONCERNED.pack(session, sorted(concerned.items()))
    known = {row.id: machines.Firsts(*row[1:]) for row in run(session, _read_mails, given=given)}
    if not known:
        return
    told: dict[int, list[machines.Told]] = {number: [] for number in known}
    given = _MAILS.pack(session, [(number,) for number in sorted(known)])
    for number, *event in run(session, _told_of, given=given):
        told[number].append(machines.Told(*event))
    found = {number: _with(known[number], events) for number, events in told.items()}
    news = [(number, *one) for number, one in sorted(found.items()) if one != known[number]]
    if news:
        run(session, _become_first, given=_FIRSTS.pack(session, news))


def _with(known: machines.Firsts, told: Sequence[machines.Told]) -> machines.Firsts:
    """Without the delivery, which may be on its way or pruned, what was known stands beside it."""
    found = machines.firsts(told)
    if any(one.kind == EventKind.DELIVERED for one in told):
        return found
    return machines.Firsts(*map(_earlier, known, found))


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one and other else one or other


@cache
def _read_mails(postgresql: bool) -> Executable:
    """Mails with such news. A delivery is news only where somebody was there before it."""
    given = _CONCERNED.given(postgresql)
    columns = [getattr(Delivery, name) for name in machines.Firsts._fields]
    was_read = or_(given.c.is_read, *(column.is_not(None) for column in columns))
    mine = Delivery.id == given.c.id
    return select(Delivery.id, *columns).join(given, mine).where(was_read)


@cache
def _told_of(postgresql: bool) -> Executable:
    given = _MAILS.given(postgresql)
    return (
        select(Event.delivery_id, Event.kind, Event.at, Event.is_machine, Event.url)
        .join(given, Event.delivery_id == given.c.id)
        .where(Event.kind.in_((*_READING, EventKind.DELIVERED)))
    )


@cache
def _become_first(postgresql: bool) -> Executable:
    given = _FIRSTS.given(postgresql)
    values = {name: given.c[name] for name in machines.Firsts._fields}
    return update(Delivery).where(Delivery.id == given.c.id).values(values)
