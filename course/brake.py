"""The brake: a mass of lessons that nobody foresaw does not leave before a person has looked at it.

While all is well, a tick notes every few minutes how many lessons the coming day will bring. What
has come up since the last note is compared with the notes of the last day: a cohort's start stands
in them. What waited at the last note already was looked at then, so a backlog that drains slowly is
nothing new. A mistake (a wrong date, three days without a scheduler) stands in no note.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, not_, or_, select
from sqlalchemy.orm import Session

from course import conditions, history, holds, ledger
from course.history import Mail
from course.models import Cohort, Course, Delivery, Enrollment, Forecast, Hold, Installation
from course.states import DeliveryState, EnrollmentState, HoldKind, HoldScope, MessageKind

DAY = timedelta(days=1)
# How far a note looks, and how long it counts: whoever sends once a day is not always punctual.
FORESIGHT = timedelta(hours=25)
NOTED_EVERY = timedelta(minutes=5)
# So many lessons may always leave, or so many times what was foreseen.
FREE = 1000
FACTOR = 3
# So many lessons may always be a day late, or one in so many of all active learners.
FREE_OVERDUE = 200
ACTIVE_PER_OVERDUE = 10
_EXAMPLES = 5
WHO = "minicourse"


def check(session: Session, now: datetime, real: datetime) -> Hold | None:
    """Ask before claiming, after planning: the hold, where one is placed by this call.

    Nothing counts that a person let go, by releasing a hold, after it was planned; nor what follows
    from a confirmation or an import of the last day; nor the first day of a new ledger.
    """
    finding = look(session, now, real)
    return act(session, finding, now, real) if finding else None


@dataclass(frozen=True, slots=True)
class Alarm:
    """Too much wants to leave: what there is too much of, and some of it."""

    reason: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """How many lessons the coming day will bring, and when that was counted: what is planned
    after that has not been looked at."""

    made_at: datetime
    lessons: int


def look(session: Session, now: datetime, real: datetime) -> Alarm | Note | None:
    """Reads only: where much waits or comes this takes a while, and need not hold anybody up."""
    if holds.is_all_held(session):
        return None
    fresh = _fresh(session, now, real)
    if _count(session, fresh, at_most=FREE_OVERDUE) > FREE_OVERDUE:
        reason = _excess(session, fresh, now)
        if reason:
            return Alarm(reason, tuple(_examples(session, fresh, now)))
    return Note(now, _coming(session, now)) if session.scalar(select(is_note_due(now))) else None


def act(session: Session, finding: Alarm | Note, now: datetime, real: datetime) -> Hold | None:
    """Write down what a look has found a moment ago: the hold, if any."""
    if isinstance(finding, Alarm):
        return _place(session, finding, now, real)
    session.execute(delete(Forecast).where(Forecast.made_at <= now - 2 * DAY))
    session.add(Forecast(made_at=finding.made_at, lessons=finding.lessons))
    session.flush()
    return None


def foresee(session: Session, lessons: int, now: datetime) -> None:
    """A person's order makes so many lessons due."""
    if lessons:
        session.add(Forecast(made_at=now, lessons=lessons, is_order=True))
        session.flush()


def first(session: Session, now: datetime, real: datetime) -> list[Mail]:
    """Some of the lessons that may leave now, the oldest first; for people, so with addresses."""
    return history.read(
        session,
        history.MAILS.where(*_waiting(now, real))
        .order_by(Delivery.due_at, Delivery.id)
        .limit(_EXAMPLES),
    )


# What wants to leave ------------------------------------------------------------------------------


def _waiting(now: datetime, real: datetime) -> list[ColumnElement[bool]]:
    """Lessons that may be claimed. Naming the rank leads to the index of what is pending."""
    return [_IS_RANKED, Delivery.kind == MessageKind.LESSON, conditions.waiting(now, real)]


def _pending(now: datetime) -> Select[int]:
    """All lessons that wait and whose time has come, whether or not they may be claimed."""
    return select(Delivery.id).where(
        Delivery.state == DeliveryState.PENDING, _IS_RANKED, Delivery.send_at <= now
    )


_IS_RANKED = Delivery.rank.in_((ledger.RANK_WELCOME, ledger.RANK_LESSON))


def _fresh(session: Session, now: datetime, real: datetime) -> Select[int]:
    """The ids of the lessons that may be claimed and that nobody has looked at yet."""
    found = conditions.joined(select(Delivery.id)).where(
        *_waiting(now, real), Enrollment.confirmed_at <= now - DAY
    )
    released_at = session.scalar(select(func.max(Hold.ended_at)).where(Hold.ended_by != WHO))
    if released_at is not None:
        found = found.where(Delivery.created_at > released_at)
    looked_at = session.scalar(
        select(func.max(Forecast.made_at)).where(_of_today(now), not_(Forecast.is_order))
    )
    if looked_at is not None:
        found = found.where(or_(Delivery.created_at >= looked_at, Delivery.send_at >= looked_at))
    return found


def _count(session: Session, which: Select[Any], *, at_most: int | None = None) -> int:
    """How many there are; more than `at_most`, and one, are not looked for."""
    if at_most is not None:
        which = which.limit(at_most + 1)
    return session.scalar(select(func.count()).select_from(which.subquery())) or 0


# Is it too much? ----------------------------------------------------------------------------------


def _excess(session: Session, fresh: Select[int], now: datetime) -> str | None:
    """In words, what there is too much of; None where all is as foreseen."""
    if _is_new(session, now):
        return None
    foreseen = _foreseen(session, now)
    most = max(FREE, FACTOR * foreseen)
    # What waits at all is counted by its index first; looking up whose each is takes far longer.
    if (
        _count(session, _pending(now), at_most=most) > most
        and (count := _count(session, fresh)) > most
    ):
        return f"{count:,} lessons would leave now; {foreseen:,} were foreseen for this day"
    ordered = _foreseen(session, now, Forecast.is_order.is_(True))
    most_over = max(FREE_OVERDUE, ordered)
    over = Delivery.due_at < now - DAY
    # Who catches up is meant to get what is over.
    fresh_over = fresh.where(over, not_(conditions.catches_up()))
    if (
        _count(session, _pending(now).where(over), at_most=most_over) > most_over
        and (overdue := _count(session, fresh_over)) > most_over
        and _is_large_part(session, overdue)
    ):
        return f"{overdue:,} lessons are more than a day late"
    return None


def _is_new(session: Session, now: datetime) -> bool:
    """Nothing was sent before the last day: there is nothing to compare with."""
    sent = (
        select(Delivery.id)
        .where(
            Delivery.state == DeliveryState.ACCEPTED,
            Delivery.kind == MessageKind.LESSON,
            Delivery.settled_at <= now - DAY,
        )
        .limit(1)
    )
    return session.scalar(sent) is None


def _foreseen(session: Session, now: datetime, *where: ColumnElement[bool]) -> int:
    """The most that a note of the last day says about today."""
    return session.scalar(select(func.max(Forecast.lessons)).where(_of_today(now), *where)) or 0


def _of_today(now: datetime) -> ColumnElement[bool]:
    return and_(Forecast.made_at > now - FORESIGHT, Forecast.made_at <= now)


def _is_large_part(session: Session, overdue: int) -> bool:
    """More than a tenth of the active. Counting stops there: the cost follows what is overdue.
    Naming the cohorts, all of them, leads to the index that knows their states."""
    enough = ACTIVE_PER_OVERDUE * overdue
    active = select(Enrollment.id).where(
        Enrollment.cohort_id.in_(select(Cohort.id)), Enrollment.state == EnrollmentState.ACTIVE
    )
    return _count(session, active, at_most=enough) < enough


# Noting, and holding ------------------------------------------------------------------------------


def is_note_due(now: datetime) -> ColumnElement[bool]:
    """SQL: the last note was not made just now."""
    recent = and_(Forecast.made_at > now - NOTED_EVERY, Forecast.made_at <= now)
    return not_(exists().where(recent, not_(Forecast.is_order)))


def _coming(session: Session, now: datetime) -> int:
    """What the coming day brings: learners whose time comes, and rows that wait for theirs."""
    due = select(Enrollment.id).where(
        Enrollment.state == EnrollmentState.ACTIVE,
        Enrollment.next_due_at > now,
        Enrollment.next_due_at <= now + FORESIGHT,
    )
    planned = select(Delivery.id).where(
        Delivery.state == DeliveryState.PENDING,
        _IS_RANKED,
        Delivery.send_at > now,
        Delivery.send_at <= now + FORESIGHT,
    )
    return _count(session, due) + _count(session, planned)


def _place(session: Session, alarm: Alarm, now: datetime, real: datetime) -> Hold:
    """One hold, whoever else finds the same at this moment. Its text names deliveries, no address:
    those would outlive their erasure."""
    session.get_one(Installation, 1, with_for_update=True)
    scope = holds.Scope(HoldScope.ALL)
    why = alarm.reason
    hold = holds.place(session, scope, HoldKind.BRAKE, why=why, who=WHO, now=now, real=real)
    hold.why = (
        f"{why}. For example {', '.join(alarm.examples)}. "
        f"Who they are: minicourse send release {hold.id} --dry-run; "
        f"if it is right: minicourse send release {hold.id}"
    )
    session.flush()
    return hold


def _examples(session: Session, fresh: Select[int], now: datetime) -> Sequence[str]:
    """Those that are due longest: number, lesson, and since when."""
    rows = session.execute(
        select(Delivery.id, Course.slug, Delivery.message_key, Delivery.due_at)
        .join(Course, Course.id == Delivery.course_id)
        .where(Delivery.id.in_(fresh.order_by(Delivery.due_at, Delivery.id).limit(_EXAMPLES)))
        .order_by(Delivery.due_at, Delivery.id)
    )
    return [
        f"{number} ({course}/{lesson}, due {due:%Y-%m-%d %H:%M} UTC, {_age(now - due)})"
        for number, course, lesson, due in rows
    ]


def _age(span: timedelta) -> str:
    hours = span // timedelta(hours=1)
    if hours < 1:
        return "just now"
    return f"{hours} h late" if hours < 48 else f"{hours // 24} days late"
