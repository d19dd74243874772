"""How far learners came, and how the mailbox providers took their mail: sums that cost the way of
a mail nothing, and reading them does not look at the mails.

A request's mails are summed once it has its answer, by a caretaker (`fold`), and the request is
marked. Reading adds what is not summed yet from the ledger: it is what left within a minute or so.
Whoever changes what was summed says by how much, in the same transaction; most such changes are
rare, but for what events tell.

Who writes has locked the mails by then (as `ledger.lock` does), and asks about their request only
afterwards; the caretaker locks them too before it marks the request. So a change is either in what
the caretaker counts, or knows that it was counted. A request without an answer is never marked: who
may still bring one would not know.

Changes are only added (tables `domain_delta` and `learner_delta`), and folded, as in `rollups`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    ColumnElement,
    Executable,
    Row,
    Select,
    Text,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from course.cohorts import IS_REAL
from course.db import UTCDateTime, among, among_given, is_postgresql, packed
from course.models import (
    Cohort,
    Course,
    Delivery,
    DomainDelta,
    DomainSum,
    Enrollment,
    LearnerDelta,
    LearnerSum,
    Request,
    Subscriber,
)
from course.rowsets import RowSet, run
from course.states import LEFT, TAKEN_OUT, DeliveryState, EnrollmentState, MessageKind, Outcome
from course.wording import counted

# In one transaction; SQLite's other writers wait for so long.
_MAILS, _REQUESTS, _CHANGES = 3000, 300, 1000
ERASED = "(erased)"  # in place of the domain of an address that is gone


class _Kind(NamedTuple):
    """A table of changes and that of their sums; the last columns are numbers."""

    delta: type[Any]
    total: type[Any]
    keys: tuple[str, ...]
    numbers: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.keys, *self.numbers)

    @property
    def rows(self) -> RowSet:
        return RowSet(**{name: getattr(self.total, name) for name in self.columns})


_DOMAINS = _Kind(
    DomainDelta,
    DomainSum,
    ("course_id", "hour", "domain"),
    ("sent", "delivered", "bounced", "complained"),
)
_LEARNERS = _Kind(
    LearnerDelta, LearnerSum, ("course_id", "lessons", "left_after", "is_out"), ("learners",)
)
_Fact = ColumnElement[bool] | InstrumentedAttribute[bool]
_IS_SENT = Delivery.state == DeliveryState.ACCEPTED
_IS_OPEN = not_(Request.is_summed)


# Mails, by the domain that they went to -----------------------------------------------------------


def _domain(postgresql: bool) -> ColumnElement[str]:
    """Read off the address while it is asked for."""
    email = Subscriber.email
    if postgresql:
        found: ColumnElement[str] = func.split_part(email, "@", 2)
    else:
        found = func.substr(email, func.instr(email, "@") + 1)
    return case((email.is_(None), literal(ERASED)), else_=found)


def _hour(postgresql: bool) -> ColumnElement[datetime]:
    if postgresql:
        return func.date_trunc("hour", Request.sent_at, "UTC", type_=UTCDateTime)
    # As SQLAlchemy writes them.
    return func.strftime("%Y-%m-%d %H:00:00.000000", Request.sent_at, type_=UTCDateTime)


def _domains(
    postgresql: bool, *which: _Fact, sign: int = 1, of_outcome: bool = False
) -> Select[Any]:
    """Mails of all kinds. `of_outcome`: what became of them alone."""
    delivered = Delivery.outcome == Outcome.DELIVERED
    bounced = Delivery.outcome == Outcome.BOUNCED
    complained = Delivery.complained_at.is_not(None)
    told = or_(delivered, bounced, complained) if of_outcome else true()
    counts = (delivered, bounced, complained)
    numbers = [literal(0) if of_outcome else func.count(), *map(_number, counts)]
    keys = [Delivery.course_id, _hour(postgresql), _domain(postgresql)]
    columns: list[Any] = [*keys, *(sign * one for one in numbers)]
    named = zip(_DOMAINS.columns, columns, strict=True)
    labelled: list[Any] = [column.label(name) for name, column in named]
    return (
        select(*labelled)
        .select_from(Delivery)
        .join(Request, Request.id == Delivery.request_id)
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(IS_REAL, _IS_SENT, told, *which)
        .group_by(*keys)
    )


def _number(fact: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((fact, 1)))


# Learners, by the lessons that they were sent -----------------------------------------------------


def _learners(
    postgresql: bool,
    *who: ColumnElement[bool],
    sign: int = 1,
    summed_alone: bool = True,
) -> Select[Any]:
    """Whose course was ended (`is_out`), and after which lesson who chose to leave did so."""
    key = Delivery.message_key
    stands = Delivery.edition == 0
    if postgresql:
        keys = func.json_agg(pg.aggregate_order_by(key, key)).filter(stands)
    else:
        keys = func.json_group_array(key).filter(stands)
    each = (
        select(
            Enrollment.course_id,
            func.coalesce(cast(keys, Text), "[]").label("lessons"),
            _left_after(summed_alone).label("left_after"),
            (Enrollment.state == EnrollmentState.CANCELLED).label("is_out"),
        )
        .select_from(Enrollment)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .join(Delivery, Delivery.enrollment_id == Enrollment.id)
        .outerjoin(Request, Request.id == Delivery.request_id)
        .where(IS_REAL, _counts(Delivery, Request, summed_alone), *who)
        .group_by(
            *(Enrollment.id, Enrollment.course_id, Enrollment.state, Enrollment.reason),
            Enrollment.ended_at,
        )
        .subquery()
        .c
    )
    same = [getattr(each, name) for name in _LEARNERS.keys]
    return select(*same, (sign * func.count()).label("learners")).group_by(*same)


def _counts(mail: Any, request: Any, summed_alone: bool) -> ColumnElement[bool]:
    """SQL over a mail and its request, if it has one."""
    is_summed = or_(mail.request_id.is_(None), request.is_summed) if summed_alone else true()
    return and_(mail.kind == MessageKind.LESSON, mail.state == DeliveryState.ACCEPTED, is_summed)


def _left_after(summed_alone: bool) -> ColumnElement[str]:
    """The link in a mail knows only the person, so the last lesson before their leaving counts."""
    mail, request = aliased(Delivery), aliased(Request)
    last = (
        select(mail.message_key)
        .outerjoin(request, request.id == mail.request_id)
        .where(
            mail.enrollment_id == Enrollment.id,
            mail.settled_at <= Enrollment.ended_at,
            _counts(mail, request, summed_alone),
        )
        .order_by(mail.settled_at.desc(), mail.id.desc())
        .limit(1)
        .correlate(Enrollment)
        .scalar_subquery()
    )
    chose = and_(
        Enrollment.state == EnrollmentState.CANCELLED, Enrollment.reason.in_((LEFT, TAKEN_OUT))
    )
    return case((chose, func.coalesce(last, "")), else_="")


# Changes ------------------------------------------------------------------------------------------


@contextmanager
def outcomes(session: Session, mails: Sequence[int]) -> Iterator[None]:
    """In the block it becomes known what happened to these mails."""
    _note(session, _of_outcomes(-1), mails)
    yield
    _note(session, _of_outcomes(1), mails)


@contextmanager
def changed(session: Session, mails: Sequence[int]) -> Iterator[None]:
    """Whatever happens to these mails in the block is counted."""
    removed(session, mails)
    yield
    _note(session, _of_mails(1), mails)
    _note(session, _of_their_learners(1), mails)


def removed(session: Session, mails: Sequence[int]) -> None:
    """These mails leave the ledger with the next statement."""
    _note(session, _of_mails(-1), mails)
    _note(session, _of_their_learners(-1), mails)


@contextmanager
def turned(session: Session, enrollments: Sequence[int]) -> Iterator[None]:
    """In the block these courses end, or go on. They are locked by then, too."""
    _note(session, _of_learners(-1), enrollments)
    yield
    _note(session, _of_learners(1), enrollments)


@contextmanager
def readdressed(session: Session, people: Iterable[int]) -> Iterator[None]:
    """In the block these people's address becomes another, or none."""
    theirs = (
        select(Delivery.id)
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .where(among(session, Enrollment.subscriber_id, people), _IS_SENT)
    )
    mails = session.scalars(theirs.order_by(Delivery.id).with_for_update(of=Delivery)).all()
    _note(session, _of_mails(-1), mails)
    yield
    _note(session, _of_mails(1), mails)


def _note(
    session: Session, build: Callable[[bool], Executable], ids: Sequence[int], **given: object
) -> None:
    if ids:
        session.flush()
        run(session, build, ids=packed(session, ids), **given)


def _adding(kind: _Kind, found: Select[Any]) -> Executable:
    return insert(kind.delta).from_select(kind.columns, found)


@cache
def _of_mails(sign: int, *, of_outcome: bool = False) -> Callable[[bool], Executable]:
    @cache
    def build(postgresql: bool) -> Executable:
        mine = among_given(postgresql, Delivery.id)
        found = _domains(postgresql, mine, Request.is_summed, sign=sign, of_outcome=of_outcome)
        return _adding(_DOMAINS, found)

    return build


_of_outcomes = partial(_of_mails, of_outcome=True)


@cache
def _of_learners(sign: int) -> Callable[[bool], Executable]:
    @cache
    def build(postgresql: bool) -> Executable:
        mine = among_given(postgresql, Enrollment.id)
        return _adding(_LEARNERS, _learners(postgresql, mine, sign=sign))

    return build


@cache
def _of_their_learners(sign: int) -> Callable[[bool], Executable]:
    @cache
    def build(postgresql: bool) -> Executable:
        mine = select(Delivery.enrollment_id).where(among_given(postgresql, Delivery.id))
        return _adding(_LEARNERS, _learners(postgresql, Enrollment.id.in_(mine), sign=sign))

    return build


# Reading ------------------------------------------------------------------------------------------


def by_domain(
    session: Session, course_ids: Iterable[int], since: datetime
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Mails that left from the hour on in which that moment lies: (domain, sent, delivered,
    bounced, complained)."""
    ids, hour = list(course_ids), since.replace(minute=0, second=0, microsecond=0)
    open_ones = select(Request.id).where(_IS_OPEN, Request.sent_at >= hour)
    unsummed = Delivery.request_id.in_(open_ones), Delivery.course_id.in_(ids)
    parts = [
        *(
            _columns(_DOMAINS, table).where(table.course_id.in_(ids), table.hour >= hour)
            for table in (DomainSum, DomainDelta)
        ),
        _domains(is_postgresql(session), *unsummed),
    ]
    every = union_all(*parts).subquery().c
    sums = [func.sum(every[name]).label(name) for name in _DOMAINS.numbers]
    found = select(every.domain, *sums).group_by(every.domain)
    # What somebody did who is at another domain now, or is gone, may be left as zeros.
    return session.execute(found.having(sums[0].element != 0)).all()


class Learners(NamedTuple):
    """How many of a course were sent these lessons, and no others."""

    course_id: int
    lessons: frozenset[str]
    left_after: str  # empty: they did not choose to leave, or before any lesson
    is_out: bool
    number: int


def by_lessons(session: Session, course_ids: Iterable[int]) -> list[Learners]:
    ids, postgresql = list(course_ids), is_postgresql(session)
    # Learners of whose mails some are not summed: as they are, in place of as they were.
    open_ones = select(Delivery.enrollment_id).where(
        Delivery.request_id.in_(select(Request.id).where(_IS_OPEN)), _IS_SENT
    )
    who = Enrollment.id.in_(open_ones), Enrollment.course_id.in_(ids)
    parts = [
        *(
            _columns(_LEARNERS, table).where(table.course_id.in_(ids))
            for table in (LearnerSum, LearnerDelta)
        ),
        _learners(postgresql, *who, sign=-1),
        _learners(postgresql, *who, summed_alone=False),
    ]
    found: Counter[tuple[Any, ...]] = Counter()
    for row in session.execute(union_all(*parts)):
        course_id, lessons, *rest, number = _canonical(row)
        found[course_id, frozenset(orjson.loads(lessons)), *rest] += number
    return [Learners._make((*key, number)) for key, number in found.items() if number]


def _columns(kind: _Kind, table: type[Any]) -> Select[Any]:
    return select(*(getattr(table, name) for name in kind.columns))


def _canonical(row: Sequence[Any]) -> tuple[Any, ...]:
    """The databases write the lessons of a learner in different ways."""
    course_id, lessons, *rest = row
    return course_id, _written(lessons), *rest


@cache
def _written(lessons: str) -> str:
    return orjson.dumps(sorted(orjson.loads(lessons))).decode()


# Folding ------------------------------------------------------------------------------------------


def waits(session: Session) -> bool:
    """Whether there is anything to fold."""
    first = (_summable(1), *(select(kind.delta.id).limit(1) for kind in (_DOMAINS, _LEARNERS)))
    return any(session.scalar(one) is not None for one in first)


def fold(session: Session) -> int:
    """Sum the oldest requests that have their answer, and add changes to the sums; returns how much
    was done. Several may do so at once."""
    requests = _sum_requests(session)
    return requests + sum(_fold(session, kind) for kind in (_DOMAINS, _LEARNERS))


def _summable(limit: int) -> Select[int, int]:
    return (
        select(Request.id, Request.size)
        .where(_IS_OPEN, Request.verdict.is_not(None))
        .order_by(Request.id)
        .limit(limit)
    )


def _sum_requests(session: Session) -> int:
    rows = session.execute(_summable(_REQUESTS).with_for_update(skip_locked=True)).all()
    ids: list[int] = []
    mails = 0
    for number, size in rows:
        mails += size
        if ids and mails > _MAILS:
            break
        ids.append(number)
    if not ids:
        return 0
    theirs = among(session, Delivery.request_id, ids)  # type: ignore[arg-type]
    if is_postgresql(session):
        _lock(session, theirs)
    learners = session.scalars(
        select(Delivery.enrollment_id)
        .where(theirs, _IS_SENT, Delivery.kind == MessageKind.LESSON)
        .distinct()
    ).all()
    with turned(session, learners):
        marked = update(Request).where(among(session, Request.id, ids)).values(is_summed=True)
        session.execute(marked.execution_options(synchronize_session=False))
    _note(session, _of_requests, ids)
    return len(ids)


def _lock(session: Session, theirs: ColumnElement[bool]) -> None:
    """In the order of `ledger.lock`."""
    learners = Enrollment.id.in_(select(Delivery.enrollment_id).where(theirs))
    for table, which in ((Enrollment, learners), (Delivery, theirs)):
        session.execute(
            select(table.id).where(which).order_by(table.id).with_for_update(key_share=True)
        )


@cache
def _of_requests(postgresql: bool) -> Executable:
    mine = among_given(postgresql, Delivery.request_id)  # type: ignore[arg-type]
    return _adding(_DOMAINS, _domains(postgresql, mine))


def _fold(session: Session, kind: _Kind, *which: ColumnElement[bool]) -> int:
    """These changes, or the oldest, so many of them."""
    columns = [getattr(kind.delta, name) for name in ("id", *kind.columns)]
    found = select(*columns).order_by(kind.delta.id)
    found = found.where(*which) if which else found.limit(_CHANGES)
    rows = session.execute(found.with_for_update(skip_locked=not which)).all()
    if not rows:
        return 0
    _apply(session, kind, _added(kind, (row[1:] for row in rows)))
    gone = delete(kind.delta).where(among(session, kind.delta.id, [row.id for row in rows]))
    session.execute(gone.execution_options(synchronize_session=False))
    return len(rows)


_Sums = dict[tuple[Any, ...], list[int]]


def _added(kind: _Kind, rows: Iterable[Sequence[Any]], into: _Sums | None = None) -> _Sums:
    found: _Sums = {} if into is None else into
    width = len(kind.keys)
    for row in rows:
        values = _canonical(row) if kind is _LEARNERS else tuple(row)
        sums = found.setdefault(values[:width], [0] * len(kind.numbers))
        for place, number in enumerate(values[width:]):
            sums[place] += number
    return found


def _apply(session: Session, kind: _Kind, sums: _Sums) -> None:
    """All go through the sums in one order. What comes to nothing leaves no row: a domain may be
    a person's own."""
    mine = [(*key, *numbers) for key, numbers in sorted(sums.items()) if any(numbers)]
    if mine:
        given = kind.rows.pack(session, mine)
        run(session, partial(_add, kind), given=given)
        run(session, partial(_drop_zeros, kind), given=given)


@cache
def _add(kind: _Kind, postgresql: bool) -> Executable:
    given = kind.rows.given(postgresql)
    build = (pg.insert if postgresql else sqlite.insert)(kind.total)
    # SQLite would take the ON of ON CONFLICT for that of a join, were there no WHERE.
    made = build.from_select([*given.c.keys()], select(*given.c).where(true()))
    return made.on_conflict_do_update(
        index_elements=list(kind.total.__table__.primary_key.columns),
        set_={name: getattr(kind.total, name) + made.excluded[name] for name in kind.numbers},
    )


@cache
def _drop_zeros(kind: _Kind, postgresql: bool) -> Executable:
    given = kind.rows.given(postgresql)
    same = [getattr(kind.total, name) == given.c[name] for name in kind.keys]
    zeros = [getattr(kind.total, name) == 0 for name in kind.numbers]
    return delete(kind.total).where(*zeros, exists(select(1).select_from(given).where(*same)))


def forget_domains(session: Session, domains: Iterable[str]) -> None:
    """No change names one of these any more, nor does a sum where nobody else is there."""
    _fold(session, _DOMAINS, DomainDelta.domain.in_(sorted(domains)))


# Checking -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Differences:
    """By how much the ledger's count is above what is kept."""

    domains: _Sums = field(default_factory=dict)
    learners: _Sums = field(default_factory=dict)
    courses: Mapping[int, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.domains or self.learners)

    def __iter__(self) -> Iterator[str]:
        for (course_id, hour, domain), numbers in sorted(self.domains.items()):
            for name, number in zip(_DOMAINS.numbers, numbers, strict=True):
                if number:
                    course = self.courses.get(course_id, f"course {course_id}")
                    yield f"{course} to {domain} on {hour:%Y-%m-%d %H:00}: {name} {number:+}"
        for (_, lessons, *_), (number,) in sorted(self.learners.items()):
            yield f"learners of {counted(len(orjson.loads(lessons)), 'lesson')} {number:+}"


def differences(session: Session) -> Differences:
    """What is summed, counted in the ledger and compared; each in one statement as in `rollups`."""
    postgresql = is_postgresql(session)
    courses = {course.id: course.slug for course in session.scalars(select(Course))}
    truths = {
        _DOMAINS: _domains(postgresql, Request.is_summed),
        _LEARNERS: _learners(postgresql),
    }
    found = [_compared(session, kind, truth) for kind, truth in truths.items()]
    return Differences(found[0], found[1], courses)


def _compared(session: Session, kind: _Kind, truth: Select[Any]) -> _Sums:
    parts = [
        truth.add_columns(literal(1).label("sign")),
        *(_columns(kind, one).add_columns(literal(-1).label("sign")) for one in kind[:2]),
    ]
    found: _Sums = {}
    for *row, sign in session.execute(union_all(*parts)):
        width = len(kind.keys)
        _added(kind, [(*row[:width], *(sign * number for number in row[width:]))], found)
    return {key: numbers for key, numbers in found.items() if any(numbers)}


def mend(session: Session, found: Differences) -> None:
    """Add what was found. It is right however much has happened since."""
    for kind, sums in ((_DOMAINS, found.domains), (_LEARNERS, found.learners)):
        _apply(session, kind, sums)
