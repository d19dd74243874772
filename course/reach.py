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

Which lessons a learner was sent, as far as it is summed, stands with the learner, as the number of
that set: so the caretaker looks at the mails of the request alone. What was sent stays sent, though
a person's order put another mail in its place.

Changes are only added (tables `domain_delta` and `learner_delta`), and folded, as in `rollups`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    ColumnElement,
    Executable,
    Row,
    Select,
    and_,
    case,
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
from course.db import UTCDateTime, among, among_given, insert_ignoring, is_postgresql, packed
from course.models import (
    Cohort,
    Course,
    Delivery,
    DomainDelta,
    DomainSum,
    Enrollment,
    LearnerDelta,
    LearnerSum,
    LessonSet,
    Request,
    Subscriber,
)
from course.rowsets import RowSet, gathered, listed, run
from course.states import LEFT, TAKEN_OUT, DeliveryState, EnrollmentState, MessageKind, Outcome
from course.wording import counted

# In one transaction; SQLite's other writers wait for so long.
_MAILS, _REQUESTS, _CHANGES = 1500, 150, 1000
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
    LearnerDelta, LearnerSum, ("course_id", "lesson_set_id", "left_after", "is_out"), ("learners",)
)
_PLACES = RowSet(id=Enrollment.id, lesson_set_id=Enrollment.lesson_set_id)
_Sums = dict[tuple[Any, ...], list[int]]
_Fact = ColumnElement[bool] | InstrumentedAttribute[bool]
_IS_SENT = Delivery.state == DeliveryState.ACCEPTED
_IS_OUT = Enrollment.state == EnrollmentState.CANCELLED


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
) -> Select[*tuple[Any, ...]]:
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


def _learners(*who: ColumnElement[bool], sign: int = 1) -> Select[*tuple[Any, ...]]:
    """Those of whom anything is summed: whose course was ended (`is_out`), and after which lesson
    who chose to leave did so."""
    keys = [
        *(Enrollment.course_id, Enrollment.lesson_set_id),
        _left_after(_is_summed).label("left_after"),
        _IS_OUT.label("is_out"),
    ]
    each = (
        select(*keys)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .where(IS_REAL, Enrollment.lesson_set_id.is_not(None), *who)
        .subquery()
        .c
    )
    same = [getattr(each, name) for name in _LEARNERS.keys]
    return select(*same, (sign * func.count()).label("learners")).group_by(*same)


def _steps(
    postgresql: bool, which: Callable[[Any], ColumnElement[bool]]
) -> Select[*tuple[Any, ...]]:
    """Learners with mails in such requests: as they are summed; after which lesson they left,
    without these mails and with them; which lessons the mails are."""
    request, learner = aliased(Request), Enrollment
    lessons = listed(postgresql, Delivery.message_key.expression)
    found: Select[*tuple[Any, ...]] = (
        select(
            learner.id,
            *(learner.course_id, learner.lesson_set_id, _left_after(_is_summed).label("left")),
            _IS_OUT.label("is_out"),
            _left_after(partial(_or_in, which)).label("leaves"),
            lessons.label("lessons"),
        )
        .select_from(Delivery)
        .join(learner, learner.id == Delivery.enrollment_id)
        .join(Cohort, Cohort.id == learner.cohort_id)
        .where(IS_REAL, Delivery.kind == MessageKind.LESSON, _IS_SENT)
        .where(Delivery.request_id.in_(select(request.id).where(which(request))))
        .group_by(learner.id)
    )
    return found


def _is_summed(request: Any) -> ColumnElement[bool]:
    """SQL over a mail's request, if it has one."""
    return or_(request.id.is_(None), request.is_summed)


def _or_in(which: Callable[[Any], ColumnElement[bool]], request: Any) -> ColumnElement[bool]:
    return or_(_is_summed(request), which(request))


def _is_open(request: Any) -> ColumnElement[bool]:
    is_summed: ColumnElement[bool] = request.is_summed
    return not_(is_summed)


def _left_after(counts: Callable[[Any], ColumnElement[bool]]) -> ColumnElement[str]:
    """The link in a mail knows only the person, so the last lesson before their leaving counts."""
    mail, request = aliased(Delivery), aliased(Request)
    last = (
        select(mail.message_key)
        .outerjoin(request, request.id == mail.request_id)
        .where(
            *(mail.enrollment_id == Enrollment.id, mail.settled_at <= Enrollment.ended_at),
            *(mail.kind == MessageKind.LESSON, mail.state == DeliveryState.ACCEPTED),
            counts(request),
        )
        .order_by(mail.settled_at.desc(), mail.id.desc())
        .limit(1)
        .correlate(Enrollment)
        .scalar_subquery()
    )
    chose = and_(_IS_OUT, Enrollment.reason.in_((LEFT, TAKEN_OUT)))
    return case((chose, func.coalesce(last, "")), else_="")


Lessons = frozenset[str]


def numbered(session: Session, sets: Iterable[Lessons]) -> dict[Lessons, int]:
    """The numbers of these sets of lessons; a new one is written down."""
    texts = {_digest(text): text for text in map(_written, sets)}
    if not texts:
        return {}
    found = select(LessonSet.lessons, LessonSet.id).where(LessonSet.digest.in_(sorted(texts)))
    known = session.execute(found).all()
    if len(known) < len(texts):
        new = [{"digest": digest, "lessons": text} for digest, text in sorted(texts.items())]
        session.execute(insert_ignoring(session, LessonSet), new)
        known = session.execute(found).all()
    return {frozenset(orjson.loads(text)): number for text, number in known}


def _written(lessons: Lessons) -> str:
    return orjson.dumps(sorted(lessons)).decode()


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _sets(session: Session, numbers: Iterable[int | None]) -> dict[int | None, Lessons]:
    some = {number for number in numbers if number is not None}
    found = select(LessonSet.id, LessonSet.lessons).where(among(session, LessonSet.id, some))
    sets: dict[int | None, Lessons] = {None: frozenset()}
    for number, text in session.execute(found):
        sets[number] = frozenset(orjson.loads(text))
    return sets


# Changes ------------------------------------------------------------------------------------------


@contextmanager
def outcomes(session: Session, mails: Sequence[int]) -> Iterator[None]:
    """In the block it becomes known what happened to these mails."""
    with _noted(session, _of_outcomes, mails):
        yield


@contextmanager
def changed(session: Session, mails: Sequence[int]) -> Iterator[None]:
    """Whatever happens to these mails in the block is counted."""
    learners = _learners_with(session, mails)
    _note(session, _of_mails(-1), mails)
    _note(session, _of_learners(-1), learners)
    yield
    _note(session, _of_mails(1), mails)
    _place(session, learners)
    _note(session, _of_learners(1), learners)


def removed(session: Session, mails: Sequence[int]) -> None:
    """These mails leave the ledger with the next statement, and so do their learners."""
    _note(session, _of_mails(-1), mails)
    _note(session, _of_learners(-1), _learners_with(session, mails))


def _learners_with(session: Session, mails: Sequence[int]) -> Sequence[int]:
    theirs = select(Delivery.enrollment_id).where(among(session, Delivery.id, mails))
    return session.scalars(theirs.distinct()).all()


def _place(session: Session, learners: Sequence[int]) -> None:
    """Write down with these learners which lessons they were sent."""
    if not learners:
        return
    session.flush()
    rows = gathered(session, _sent_to, ids=packed(session, learners))
    sent = {number: frozenset(orjson.loads(lessons)) for number, lessons in rows}
    numbers = numbered(session, sent.values())
    _write_places(session, [(one, numbers.get(sent.get(one, frozenset()))) for one in learners])


def _write_places(session: Session, places: Sequence[tuple[int, int | None]]) -> None:
    if places:
        run(session, _written_places, given=_PLACES.pack(session, places))


@cache
def _written_places(postgresql: bool) -> Executable:
    given = _PLACES.given(postgresql)
    places = update(Enrollment).where(Enrollment.id == given.c.id)
    return places.values(lesson_set_id=given.c.lesson_set_id)


@cache
def _sent_to(postgresql: bool) -> Select[*tuple[Any, ...]]:
    return _sent(postgresql).where(among_given(postgresql, Delivery.enrollment_id))


def _sent(postgresql: bool) -> Select[*tuple[Any, ...]]:
    """Learners, and the lessons that they were sent, as far as it is summed."""
    lessons = listed(postgresql, Delivery.message_key.expression)
    found: Select[*tuple[Any, ...]] = (
        select(Delivery.enrollment_id, lessons.label("lessons"))
        .outerjoin(Request, Request.id == Delivery.request_id)
        .where(Delivery.kind == MessageKind.LESSON, _IS_SENT, _is_summed(Request))
        .group_by(Delivery.enrollment_id)
    )
    return found


@contextmanager
def turned(session: Session, enrollments: Sequence[int]) -> Iterator[None]:
    """In the block these courses end, or go on. They are locked by then, too."""
    with _noted(session, _of_learners, enrollments):
        yield


@contextmanager
def readdressed(session: Session, people: Iterable[int]) -> Iterator[None]:
    """In the block these people's address becomes another, or none."""
    theirs = (
        select(Delivery.id)
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .where(among(session, Enrollment.subscriber_id, people), _IS_SENT)
    )
    mails = session.scalars(theirs.order_by(Delivery.id).with_for_update(of=Delivery)).all()
    with _noted(session, _of_mails, mails):
        yield


@contextmanager
def _noted(
    session: Session, of: Callable[[int], Callable[[bool], Executable]], ids: Sequence[int]
) -> Iterator[None]:
    """By how much the sums change with what happens to these in the block."""
    _note(session, of(-1), ids)
    yield
    _note(session, of(1), ids)


def _note(session: Session, build: Callable[[bool], Executable], ids: Sequence[int]) -> None:
    if ids:
        session.flush()
        run(session, build, ids=packed(session, ids))


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
        return _adding(_LEARNERS, _learners(mine, sign=sign))

    return build


# Reading ------------------------------------------------------------------------------------------


def by_domain(
    session: Session, course_ids: Iterable[int], since: datetime
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Mails that left from the hour on in which that moment lies: (domain, sent, delivered,
    bounced, complained)."""
    ids, hour = list(course_ids), since.replace(minute=0, second=0, microsecond=0)
    open_ones = select(Request.id).where(_is_open(Request), Request.sent_at >= hour)
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
    lessons: Lessons
    left_after: str  # empty: they did not choose to leave, or before any lesson
    is_out: bool
    number: int


def by_lessons(session: Session, course_ids: Iterable[int]) -> list[Learners]:
    ids = list(course_ids)
    # Learners of whose mails some are not summed: as they are, in place of as they were.
    steps = _steps(is_postgresql(session), _is_open).subquery()
    keys = [steps.c[name] for name in ("course_id", "lesson_set_id", "left", "is_out")]
    keys += [steps.c.leaves, steps.c.lessons]
    parts = [
        *(
            select(
                *(table.course_id, table.lesson_set_id, table.left_after, table.is_out),
                *(literal("").label("leaves"), literal("").label("lessons")),
                table.learners.label("number"),
            ).where(table.course_id.in_(ids))
            for table in (LearnerSum, LearnerDelta)
        ),
        select(*keys, func.count()).where(steps.c.course_id.in_(ids)).group_by(*keys),
    ]
    rows = session.execute(union_all(*parts)).all()
    sets = _sets(session, (row.lesson_set_id for row in rows))
    found: Counter[tuple[int, Lessons, str, bool]] = Counter()
    for course_id, place, left, is_out, leaves, lessons, number in rows:
        if not lessons:
            found[course_id, sets[place], left, is_out] += number
            continue
        if place is not None:
            found[course_id, sets[place], left, is_out] -= number
        found[course_id, sets[place].union(orjson.loads(lessons)), leaves, is_out] += number
    return [Learners(*key, number) for key, number in found.items() if number]


def _columns(kind: _Kind, table: type[Any]) -> Select[*tuple[Any, ...]]:
    return select(*(getattr(table, name) for name in kind.columns))


# Folding ------------------------------------------------------------------------------------------


def waits(session: Session) -> bool:
    """Whether there is anything to fold."""
    first = (_summable(1), *(select(kind.delta.id).limit(1) for kind in (_DOMAINS, _LEARNERS)))
    return any(session.scalar(one) is not None for one in first)


def fold(session: Session) -> int:
    """Sum the oldest requests that have their answer, and add changes to the sums; returns how much
    was done. Several may do so at once."""
    sums: dict[_Kind, _Sums] = {_DOMAINS: {}, _LEARNERS: {}}
    requests = _sum_requests(session, sums)
    return requests + sum(_fold(session, kind, into=into) for kind, into in sums.items())


def _summable(limit: int) -> Select[int, int]:
    return (
        select(Request.id, Request.size)
        .where(_is_open(Request), Request.verdict.is_not(None))
        .order_by(Request.id)
        .limit(limit)
    )


def _sum_requests(session: Session, sums: Mapping[_Kind, _Sums]) -> int:
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
    given = packed(session, ids)
    _take_steps(session, gathered(session, _steps_in, ids=given), sums[_LEARNERS])
    _added(_DOMAINS, run(session, _domains_in, ids=given), sums[_DOMAINS])
    marked = update(Request).where(among(session, Request.id, ids)).values(is_summed=True)
    session.execute(marked.execution_options(synchronize_session=False))
    return len(ids)


@cache
def _steps_in(postgresql: bool) -> Select[*tuple[Any, ...]]:
    return _steps(postgresql, lambda request: among_given(postgresql, request.id))


@cache
def _domains_in(postgresql: bool) -> Select[*tuple[Any, ...]]:
    return _domains(postgresql, among_given(postgresql, Request.id))


def _take_steps(session: Session, steps: Sequence[Any], sums: _Sums) -> None:
    """These learners are sent more lessons."""
    ways = {(place, lessons) for _, _, place, _, _, _, lessons in steps}
    sets = _sets(session, (place for place, _ in ways))
    ends = {way: sets[way[0]].union(orjson.loads(way[1])) for way in ways}
    numbers = numbered(session, set(ends.values()))
    kinds: Counter[tuple[Any, ...]] = Counter()
    places = []
    for learner, course_id, place, left, is_out, leaves, lessons in steps:
        end = numbers[ends[place, lessons]]
        kinds[course_id, place, left, bool(is_out)] -= 1
        kinds[course_id, end, leaves, bool(is_out)] += 1
        if end != place:
            places.append((learner, end))
    _added(_LEARNERS, ((*key, number) for key, number in kinds.items() if key[1]), sums)
    _write_places(session, places)


def _lock(session: Session, theirs: ColumnElement[bool]) -> None:
    """In the order of `ledger.lock`."""
    learners = Enrollment.id.in_(select(Delivery.enrollment_id).where(theirs))
    for table, which in ((Enrollment, learners), (Delivery, theirs)):
        session.execute(
            select(table.id).where(which).order_by(table.id).with_for_update(key_share=True)
        )


def _fold(
    session: Session, kind: _Kind, *which: ColumnElement[bool], into: _Sums | None = None
) -> int:
    """These changes, or the oldest, so many of them; and what is in `into`."""
    columns = [getattr(kind.delta, name) for name in ("id", *kind.columns)]
    found = select(*columns).order_by(kind.delta.id)
    found = found.where(*which) if which else found.limit(_CHANGES)
    rows = session.execute(found.with_for_update(skip_locked=not which)).all()
    _apply(session, kind, _added(kind, (row[1:] for row in rows), into))
    if rows:
        gone = delete(kind.delta).where(among(session, kind.delta.id, [row.id for row in rows]))
        session.execute(gone.execution_options(synchronize_session=False))
    return len(rows)


def _added(kind: _Kind, rows: Iterable[Sequence[Any]], into: _Sums | None = None) -> _Sums:
    found: _Sums = {} if into is None else into
    width = len(kind.keys)
    for row in rows:
        values = tuple(row)
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
    """By how much the count is above what is kept, and whose lessons are not those of the
    ledger."""

    domains: _Sums = field(default_factory=dict)
    learners: _Sums = field(default_factory=dict)
    misplaced: Sequence[int] = ()
    courses: Mapping[int, str] = field(default_factory=dict)
    sets: Mapping[int | None, Lessons] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.domains or self.learners or self.misplaced)

    def __iter__(self) -> Iterator[str]:
        for (course_id, hour, domain), numbers in sorted(self.domains.items()):
            for name, number in zip(_DOMAINS.numbers, numbers, strict=True):
                if number:
                    course = self.courses.get(course_id, f"course {course_id}")
                    yield f"{course} to {domain} on {hour:%Y-%m-%d %H:00}: {name} {number:+}"
        for (_, lessons, *_), (number,) in sorted(self.learners.items()):
            sent = counted(len(self.sets.get(lessons, ())), "lesson")
            yield f"learners of {sent} {number:+}"
        if self.misplaced:
            many = counted(len(self.misplaced), "learner")
            yield f"{many} with other lessons than they were sent"


def differences(session: Session) -> Differences:
    """What is summed, counted in the ledger and compared; each in one statement as in `rollups`."""
    postgresql = is_postgresql(session)
    courses = {course.id: course.slug for course in session.scalars(select(Course))}
    domains = _compared(session, _DOMAINS, _domains(postgresql, Request.is_summed))
    learners = _compared(session, _LEARNERS, _learners())
    sets = _sets(session, (key[1] for key in learners))
    return Differences(domains, learners, _misplaced(session), courses, sets)


def _misplaced(session: Session) -> list[int]:
    """Learners by what is written down with them, and by what they were sent: such pairs are few,
    and those that do not agree fewer."""
    sent = _sent(is_postgresql(session)).subquery()
    pair = Enrollment.lesson_set_id, func.coalesce(sent.c.lessons, "[]")
    mine = (
        select(*pair)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .outerjoin(sent, sent.c.enrollment_id == Enrollment.id)
        .where(IS_REAL)
    )
    rows = session.execute(mine.group_by(*pair)).all()
    sets = _sets(session, (place for place, _ in rows))
    wrong = [row for row in rows if sets.get(row[0]) != frozenset(orjson.loads(row[1]))]
    found: list[int] = []
    for place, lessons in wrong:
        here = mine.with_only_columns(Enrollment.id).where(
            pair[0].is_not_distinct_from(place), pair[1] == lessons
        )
        found += session.scalars(here)
    return sorted(found)


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
    for first in range(0, len(found.misplaced), _CHANGES):
        some = found.misplaced[first : first + _CHANGES]
        mine = select(Enrollment.id).where(among(session, Enrollment.id, some))
        session.execute(mine.order_by(Enrollment.id).with_for_update(key_share=True))
        _note(session, _of_learners(-1), some)
        _place(session, some)
        _note(session, _of_learners(1), some)
    for kind, sums in ((_DOMAINS, found.domains), (_LEARNERS, found.learners)):
        _apply(session, kind, sums)
