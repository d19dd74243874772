"""What an author says of a cohort: first day, hour, days, capacity, last day, latecomers. Read from
words, changed, and taken over by another cohort.

A change is written at once, for all who wait for the start; whoever learns already is looked at
again by the planner.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Update, and_, false, func, or_, select, update
from sqlalchemy.orm import Session

from course import cohorts, conditions, invitations, retiming
from course.curriculum import Course as Curriculum
from course.errors import InvalidInputError, RefusedError
from course.models import Cohort, Delivery, Enrollment, Subscriber
from course.notation import WEEKDAYS, parse_hour, parse_weekdays, parse_zone
from course.retiming import Edit
from course.rowsets import RowSet, run
from course.starting import begins_at, start_of
from course.states import EnrollmentState, Latecomers

E = EnrollmentState
Terms = Mapping[str, Any]  # by the column's name
_CHUNK = 1000
_One = TypeVar("_One")


# From words ---------------------------------------------------------------------------------------


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no day; write it like 2030-03-04") from None


def _weekdays(text: str) -> str:
    numbers = parse_weekdays(text)
    return ",".join(WEEKDAYS[number] for number in sorted(numbers))


def _capacity(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**9:
        raise ValueError(f"{text!r} is no number of places; write it like 30")
    return int(text)


def _latecomers(text: str) -> str:
    if text not in list(Latecomers):
        raise ValueError(f"{text!r} is not one of {', '.join(Latecomers)}")
    return text


# Option → the column, and how its words are read.
_READ: dict[str, tuple[str, Callable[[str], Any]]] = {
    "start": ("starts_on", _day),
    "zone": ("zone", lambda text: parse_zone(text).key),
    "hour": ("hour", parse_hour),
    "days": ("weekdays", _weekdays),
    "capacity": ("capacity", _capacity),
    "closes": ("closes_on", _day),
    "latecomers": ("latecomers", _latecomers),
}


def read(words: Mapping[str, str | None]) -> Terms:
    """The terms that these options name; an empty word takes one away, None leaves it as it is."""
    terms: dict[str, Any] = {}
    for option, text in words.items():
        if text is None:
            continue
        column, reader = _READ[option]
        try:
            terms[column] = reader(text) if text else None
        except ValueError as error:
            raise InvalidInputError(f"--{option} {error}") from None
    if "latecomers" in terms:
        terms["latecomers"] = terms["latecomers"] or str(Latecomers.JOIN)
    return terms


# Another cohort like it ---------------------------------------------------------------------------


def clone(
    session: Session, cohort: Cohort, name: str, starts_on: date | None, now: datetime
) -> Cohort:
    """A new one with the same terms; its last day to sign up lies as far from its first. In
    whatever state that one is: what was put away may come once more."""
    cohorts.require_real(cohort)
    if (cohort.starts_on is None) != (starts_on is None):
        raise InvalidInputError(
            f"{cohorts.label(cohort)} has a first day; say when the new one begins: --start DATE"
            if starts_on is None
            else f"{cohorts.label(cohort)} is rolling, and so is what is made like it: leave out "
            "--start"
        )
    name = name.removeprefix(f"{cohort.course.slug}/")
    columns = (column for column, _ in _READ.values())
    terms = {column: getattr(cohort, column) for column in columns}
    terms["starts_on"] = starts_on
    if starts_on and cohort.starts_on and cohort.closes_on:
        terms["closes_on"] = starts_on + (cohort.closes_on - cohort.starts_on)
    return cohorts.create(session, cohort.course, name, now, **terms)


# Changes ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edited:
    """What a change does to those who are in the cohort."""

    terms: tuple[str, ...]  # the columns that change
    begin_anew: int  # who wait for the start, which moves
    retimed: int  # whose lessons come at another time
    reminded: int  # of those who wait, who get a reminder for the new day
    moved: int  # mails that waited for an hour, and wait for another

    @property
    def touched(self) -> int:
        return max(self.begin_anew, self.retimed)


def edit(
    session: Session, cohort: Cohort, terms: Terms, curriculum: Curriculum, now: datetime
) -> Edited:
    """Change these terms, and what follows from them for the people. RefusedError where they are
    not to be changed any more."""
    session.refresh(cohort, with_for_update=True)
    changed = tuple(name for name, value in terms.items() if getattr(cohort, name) != value)
    if "starts_on" in changed:
        _require_not_begun(session, cohort, terms["starts_on"], curriculum, now)
    retimed = _retimed(session, cohort, changed)
    waiting = _waiting(session, cohort, curriculum, now) if {*changed} & _MOVES_START else []
    for name in changed:
        setattr(cohort, name, terms[name])
    cohorts.require_sense(cohort, now)
    if retimed:
        cohort.look_again_from = 0
    session.flush()
    starts = _starts(cohort, waiting, curriculum)
    reminded = sum(_move(session, some, now) for some in _chunks(starts))
    begin_anew = len(waiting) if "starts_on" in changed else 0
    moved = sum(
        retiming.retime(session, some, now)
        for some in _chunks(_with_rows_that_wait(session, cohort, changed, now))
    )
    return Edited(changed, begin_anew, retimed, reminded, moved)


_RHYTHM = {"zone", "hour", "weekdays"}
_MOVES_START = {"starts_on", *_RHYTHM}


def _require_not_begun(
    session: Session, cohort: Cohort, day: date | None, curriculum: Curriculum, now: datetime
) -> None:
    label, begins = cohorts.label(cohort), begins_at(cohort, curriculum)
    confirmed = [Enrollment.cohort_id == cohort.id, Enrollment.starts_at.is_not(None)]
    someone = session.scalar(
        select(Enrollment.id).where(*confirmed, Enrollment.starts_at <= now).limit(1)
    )
    if someone is not None or (begins is not None and begins <= now):
        raise RefusedError(
            f"Cohort {label} has begun; its first day stays. For another day make another: "
            f"minicourse cohort clone {label} NAME --start DATE"
        )
    if day is None and session.scalar(select(Enrollment.id).where(*confirmed).limit(1)):
        raise RefusedError(
            f"In cohort {label} there are people who wait for its first day; give it another one: "
            f"minicourse cohort edit {label} --start DATE"
        )


# Whom a change reaches: who chose a zone or an hour keeps it.
_REACHES: dict[str, ColumnElement[bool]] = {
    "zone": Subscriber.zone.is_(None),
    "hour": Subscriber.hour.is_(None),
    "weekdays": Enrollment.id.is_not(None),
    "starts_on": Enrollment.id.is_not(None),
}
_LEARNS = Enrollment.state.in_((E.ACTIVE, E.PAUSED))


def _retimed(session: Session, cohort: Cohort, changed: Sequence[str]) -> int:
    reached = [_REACHES[name] for name in changed if name in _REACHES]
    if "latecomers" in changed:
        reached.append(conditions.catches_up())
    statement = (
        select(func.count())
        .select_from(Enrollment)
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .where(Enrollment.cohort_id == cohort.id, _LEARNS, or_(false(), *reached))
    )
    return session.scalar(statement) or 0


def _with_rows_that_wait(
    session: Session, cohort: Cohort, changed: Sequence[str], now: datetime
) -> Sequence[int]:
    """Whose next lesson is decided and waits for an hour that the change makes another."""
    reached = [_REACHES[name] for name in changed if name in _RHYTHM]
    return session.scalars(
        select(Enrollment.id)
        .distinct()
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .join(Delivery, Delivery.enrollment_id == Enrollment.id)
        .where(
            Enrollment.cohort_id == cohort.id, _LEARNS, or_(false(), *reached), retiming.waits(now)
        )
        .order_by(Enrollment.id)
    ).all()


_Waiting = tuple[int, Any, Any, Any]


def _waiting(
    session: Session, cohort: Cohort, curriculum: Curriculum, now: datetime
) -> list[_Waiting]:
    """Who confirmed and waits for the first day: enrollment, confirmation, zone and hour of their
    own. Whom an import gave another start keeps that."""
    found = session.execute(
        select(
            Enrollment.id,
            Enrollment.confirmed_at,
            Subscriber.zone,
            Subscriber.hour,
            Enrollment.starts_at,
        )
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(Enrollment.cohort_id == cohort.id, _LEARNS, Enrollment.starts_at > now)
        .order_by(Enrollment.id)
    )
    return [
        (number, confirmed_at, zone, hour)
        for number, confirmed_at, zone, hour, starts_at in found
        if confirmed_at
        and start_of(cohort, curriculum, confirmed_at, zone=zone, hour=hour) == starts_at
    ]


def _chunks(some: Sequence[_One]) -> Iterator[Sequence[_One]]:
    for first in range(0, len(some), _CHUNK):
        yield some[first : first + _CHUNK]


_Start = tuple[int, datetime]  # enrollment, and from when its first lesson counts


def _starts(
    cohort: Cohort, waiting: Sequence[_Waiting], curriculum: Curriculum
) -> Sequence[_Start]:
    return [
        (number, start_of(cohort, curriculum, confirmed_at, zone=zone, hour=hour))
        for number, confirmed_at, zone, hour in waiting
    ]


def _move(session: Session, starts: Sequence[_Start], now: datetime) -> int:
    """Their clock starts then, and they are reminded the day before that."""
    run(session, _start_then, given=_STARTS.pack(session, starts))
    session.expire_all()
    return invitations.move(session, [number for number, _ in starts], now)


_STARTS = RowSet(id=Enrollment.id, starts_at=Enrollment.starts_at)


@cache
def _start_then(postgresql: bool) -> Update:
    given = _STARTS.given(postgresql)
    return (
        update(Enrollment)
        .where(and_(Enrollment.id == given.c.id, _LEARNS))
        .values(starts_at=given.c.starts_at)
    )


# An edit of the course ----------------------------------------------------------------------------


def count_begin_anew(session: Session, edit: Edit, now: datetime) -> int:
    """How many who wait for a first day would begin at another time by this edit."""
    return len(_anew(session, edit, now))


def follow(session: Session, edit: Edit, now: datetime) -> int:
    """After an edit of the course: where its hour or zone is another, who waits for a first day
    begins at the new one. Returns how many do."""
    starts = _anew(session, edit, now)
    for some in _chunks(starts):
        _move(session, some, now)
    return len(starts)


def _anew(session: Session, edit: Edit, now: datetime) -> Sequence[_Start]:
    if not edit.is_of_time:
        return []
    dated = select(Cohort).where(
        Cohort.course_id == edit.course_id,
        Cohort.starts_on.is_not(None),
        Cohort.rehearsal_every.is_(None),
    )
    found: list[_Start] = []
    for cohort in session.scalars(dated.order_by(Cohort.id)).all():
        waiting = _waiting(session, cohort, edit.before, now)
        known = set(_starts(cohort, waiting, edit.before))
        found += [one for one in _starts(cohort, waiting, edit.after) if one not in known]
    return found
