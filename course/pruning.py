"""What nobody needs any more: people who never confirmed, old events, old forecasts.

In batches, each a short transaction, so that nobody who writes waits. The ledger keeps its rows:
they are what is counted, and hold no personal value. How long events are kept, each course says.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import ColumnElement, and_, delete, exists, false, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from course import budgets, courses, form_tokens, ledger, reach, rollups, tallies
from course.brake import DAY
from course.db import Database, among
from course.models import Delivery, Enrollment, Event, Forecast, PersonalDetail, Subscriber
from course.states import EnrollmentState, MessageKind
from course.tokens import CONFIRM_DAYS

# A confirmation link works so long, and so long again its sign-up is kept.
KEPT = timedelta(days=CONFIRM_DAYS + 30)
FORECASTS_KEPT = 30 * DAY
NEVER_CONFIRMED = "never confirmed"
_BATCH = 200
E = EnrollmentState


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many of each were removed, or would be."""

    sign_ups: int
    people: int  # whose address was erased: they had nothing but such sign-ups
    events: int
    forecasts: int


def count(session: Session, now: datetime, events_before: datetime | None = None) -> Pruned:
    """What `prune` would remove. `events_before`: for all courses, whatever each says."""
    return Pruned(
        sign_ups=_number(session, _expired(now)),
        people=session.scalar(
            select(func.count(Subscriber.id)).where(
                Subscriber.email.is_not(None),
                exists().where(Enrollment.subscriber_id == Subscriber.id, _expired(now)),
                ~_has_other(or_(_expired(now), _WAS_ONE)),
            )
        )
        or 0,
        events=_number(session, _done_with(limits(session, now, events_before))),
        forecasts=_number(session, Forecast.made_at < now - FORECASTS_KEPT),
    )


def _untold(rows: int) -> None: ...


def prune(
    database: Database,
    now: datetime,
    events_before: datetime | None = None,
    told: Callable[[int], None] = _untold,
) -> Pruned:
    """Remove it; broken off anywhere, the next run goes on. `told` hears of sign-ups and events,
    some hundred at a time."""
    sign_ups = people = events = 0
    for forgotten, erased in prune_sign_ups(database, now):
        sign_ups, people = sign_ups + forgotten, people + erased
        told(forgotten)
    for removed in prune_events(database, now, events_before):
        events += removed
        told(removed)
    # Where no scheduler does it by itself.
    while database.run(rollups.fold) or database.run(reach.fold):
        pass
    return Pruned(sign_ups, people, events, database.run(partial(_drop_forecasts, now=now)))


def _batches(
    database: Database, number: InstrumentedAttribute[int], where: ColumnElement[bool]
) -> Iterator[list[int]]:
    """The ids of such rows. They are looked for while nobody is held up by it."""
    ids = [0]
    while ids:
        with database.reading() as session:
            more = select(number).where(number > ids[-1], where).order_by(number).limit(_BATCH)
            ids = list(session.scalars(more))
        if ids:
            yield ids


def _number(session: Session, where: ColumnElement[bool]) -> int:
    """How many rows of its table are like that."""
    return session.scalar(select(func.count()).where(where)) or 0


def sweep_counts(database: Database, real: datetime) -> Iterator[int]:
    """What the guard of the pages wrote down and needs no more, a step at a time."""
    for sweep in (budgets.sweep, form_tokens.sweep):
        swept = 1
        while swept:
            swept = database.run(partial(sweep, real=real))
            yield swept
    database.run(partial(tallies.sweep, real=real))


# Sign-ups -----------------------------------------------------------------------------------------


def prune_sign_ups(database: Database, now: datetime) -> Iterator[tuple[int, int]]:
    """End those that nobody confirmed, a step at a time: each yields how many sign-ups, and how
    many people's addresses."""
    for ids in _batches(database, Enrollment.id, _expired(now)):
        yield database.run(partial(_forget, ids=ids, now=now))


def _expired(now: datetime) -> ColumnElement[bool]:
    """SQL over Enrollment: pending, and no link that was ever sent for it works any more."""
    asked_again = exists().where(
        Delivery.enrollment_id == Enrollment.id,
        Delivery.kind == MessageKind.CONFIRMATION,
        or_(Delivery.settled_at >= now - KEPT, Delivery.created_at >= now - KEPT),
    )
    return and_(Enrollment.state == E.PENDING, Enrollment.created_at < now - KEPT, ~asked_again)


def _forget(session: Session, ids: list[int], now: datetime) -> tuple[int, int]:
    """End these sign-ups, and forget who has no others; whoever confirms this very moment stays."""
    locked = select(Enrollment.id).where(among(session, Enrollment.id, ids))
    session.execute(locked.order_by(Enrollment.id).with_for_update(key_share=True))
    ended = session.execute(
        update(Enrollment)
        .where(among(session, Enrollment.id, ids), _expired(now))
        .values(
            state=E.CANCELLED,
            reason=NEVER_CONFIRMED,
            ended_at=now,
            form_name="",
            form_zone=None,
            form_hour=None,
            fields="",
        )
        .returning(Enrollment.id, Enrollment.subscriber_id)
        .execution_options(synchronize_session=False)
    ).all()
    ledger.cancel(session, [row.id for row in ended], NEVER_CONFIRMED, now)
    people = [row.subscriber_id for row in ended]
    with reach.readdressed(session, people):
        return len(ended), _erase(session, people)


def _erase(session: Session, subscriber_ids: list[int]) -> int:
    """The address of those who never were anything else. Its keyed hash stays, as with everybody
    who is erased: a late complaint still finds whom never to mail."""
    erased = list(
        session.scalars(
            update(Subscriber)
            .where(
                among(session, Subscriber.id, subscriber_ids),
                Subscriber.email.is_not(None),
                ~_has_other(_WAS_ONE),
            )
            .values(email=None, name="", zone=None, hour=None, new_email=None)
            .returning(Subscriber.id)
            .execution_options(synchronize_session=False)
        )
    )
    session.execute(
        delete(PersonalDetail)
        .where(among(session, PersonalDetail.subscriber_id, erased))
        .execution_options(synchronize_session=False)
    )
    return len(erased)


_WAS_ONE = and_(
    Enrollment.state == E.CANCELLED, func.coalesce(Enrollment.reason, "") == NEVER_CONFIRMED
)


def _has_other(such: ColumnElement[bool]) -> ColumnElement[bool]:
    """SQL over Subscriber: an enrollment that is not `such`."""
    mine = Enrollment.subscriber_id == Subscriber.id
    return exists(select(1).where(mine, ~such).correlate(Subscriber))


# Events -------------------------------------------------------------------------------------------

Steps = Iterator[int]
Limits = Mapping[int | None, datetime]  # of each course; None: of what is about no mail of ours


def limits(session: Session, now: datetime, before: datetime | None = None) -> Limits:
    """Up to when each course's events are removed; one that is not named here keeps them. What is
    about an address alone stays as long as the longest of them."""
    lives = {
        live.id: live.curriculum.privacy.retain_events_days for live in courses.all_live(session)
    }
    if before is not None:
        return {None: before, **dict.fromkeys(lives, before)}
    found: dict[int | None, datetime] = {
        number: now - timedelta(days=days) for number, days in lives.items() if days
    }
    if found and len(found) == len(lives):
        found[None] = min(found.values())
    return found


def prune_events(database: Database, now: datetime, before: datetime | None = None) -> Steps:
    """Remove old events, a step at a time: each yields how many, and may be the last one taken."""
    with database.reading() as session:
        until = limits(session, now, before)
    last = 0
    while until:
        with database.reading() as session:
            window = session.execute(_WINDOW.where(Event.id > last)).all()
            if not any(row.received_at < max(until.values()) for row in window):
                return  # they are numbered as they came: those beyond are newer still
            last = window[-1].id
            within = Event.id.between(window[0].id, last)
            ids = list(session.scalars(select(Event.id).where(within, _done_with(until))))
        yield database.run(partial(_drop, ids=ids)) if ids else 0


_WINDOW = select(Event.id, Event.received_at).order_by(Event.id).limit(_BATCH)


def _done_with(until: Limits) -> ColumnElement[bool]:
    """SQL over Event: old, and what it said of its mail stands with the mail. A mail's only proof
    is kept for ever."""
    return or_(false(), *(_is_done(course_id, moment) for course_id, moment in until.items()))


def _is_done(course_id: int | None, before: datetime) -> ColumnElement[bool]:
    if course_id is None:
        return and_(Event.received_at < before, Event.delivery_id.is_(None))
    is_noted = exists().where(
        Delivery.id == Event.delivery_id,
        Delivery.course_id == course_id,
        Delivery.outcome.is_not(None),
    )
    return and_(Event.received_at < before, is_noted)


def _drop(session: Session, ids: list[int]) -> int:
    gone = delete(Event).where(among(session, Event.id, ids)).returning(Event.id)
    return len(session.scalars(gone.execution_options(synchronize_session=False)).all())


def _drop_forecasts(session: Session, now: datetime) -> int:
    stale = delete(Forecast).where(Forecast.made_at < now - FORECASTS_KEPT).returning(Forecast.id)
    return len(session.scalars(stale.execution_options(synchronize_session=False)).all())
