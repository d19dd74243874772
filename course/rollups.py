"""What `stats` counts, kept while it happens: whoever changes a counted fact of a lesson's mail
writes, in the same transaction, by how much the sums change. Reading adds these changes up, and
never looks at the mails.

Changes are only ever added (table `delta`): a common row that everybody updates would have every
worker wait for every other. A caretaker folds them into sums now and then (`fold`). The truth stays
the ledger: `differences` counts it and names what does not agree, `mend` makes it agree.

The rows of the mails must be locked by then, as `ledger.lock` does.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    Insert,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    literal_column,
    not_,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from course import cohorts
from course.cohorts import IS_REAL
from course.db import UTCDateTime, among, among_given, packed
from course.models import Cohort, Course, Delivery, Delta, Enrollment, MailSum, QuarterSum, Request
from course.rowsets import RowSet, run
from course.states import HAD, DeliveryState, MessageKind, Outcome

AT_ONCE = 1000
# The zones' days begin on quarters of an hour, all of them.
QUARTER = timedelta(minutes=15)


# SQL over Delivery: who goes on behind a lesson never has its turn.
IS_HAD = and_(Delivery.state == DeliveryState.CANCELLED, func.coalesce(Delivery.reason, "") == HAD)


def facts(is_sent: ColumnElement[bool]) -> dict[str, ColumnElement[bool]]:
    """What a lesson's mail counts as, over Delivery: the columns of the sums."""
    opened, clicked = Delivery.opened_at.is_not(None), Delivery.clicked_at.is_not(None)
    by_machine = Delivery.machine_opened_at.is_not(None)
    # A mail that was opened, and came back after all, is bounced alone.
    is_delivered = Delivery.outcome == Outcome.DELIVERED
    of_what_was_sent = {
        "delivered": is_delivered,
        "bounced": Delivery.outcome == Outcome.BOUNCED,
        "dropped": Delivery.outcome == Outcome.DROPPED,
        "opened": and_(is_delivered, opened),
        "clicked": and_(is_delivered, clicked),
        "machine_opened": and_(is_delivered, not_(opened), by_machine),
        "machine_clicked": and_(
            is_delivered, not_(clicked), Delivery.machine_clicked_at.is_not(None)
        ),
        "unread": and_(is_delivered, not_(opened), not_(by_machine)),
        "complained": Delivery.complained_at.is_not(None),
    }
    return {
        "entered": and_(Delivery.edition == 0, not_(IS_HAD)),
        "sent": is_sent,
        **{name: and_(is_sent, fact) for name, fact in of_what_was_sent.items()},
    }


_IS_SENT = Delivery.state == DeliveryState.ACCEPTED
_KEYS = ("course_id", "cohort_id", "message_key", "revision_id", "sent_at")
COUNTS = tuple(facts(_IS_SENT))
# Before it is sent a mail counts as one that entered, if it stands, and as nothing else.
_GAINED = facts(true()) | {"entered": and_(Delivery.edition == 0, IS_HAD)}


# Changes ------------------------------------------------------------------------------------------


def added(session: Session, ids: Sequence[int]) -> None:
    """These mails are new in the ledger."""
    _note(session, _as_they_are(1), ids)


def accepted(session: Session, ids: Sequence[int], request_id: int | None = None) -> None:
    """Those of these mails that are not accepted yet become so with the next statement, in that
    request, or in their own."""
    if request_id is None:
        _note(session, _become_sent(own_request=True), ids)
    else:
        _note(session, _become_sent(own_request=False), ids, request=request_id)


def accepted_in(session: Session, request_id: int) -> None:
    """As `accepted`, for the mails that left in that request, which has just been answered."""
    run(session, _become_sent_together, request=request_id)


def removed(session: Session, ids: Sequence[int]) -> None:
    """These mails leave the ledger with the next statement."""
    _note(session, _as_they_are(-1, at_its_time=True), ids)


@contextmanager
def kept(session: Session, ids: Sequence[int]) -> Iterator[None]:
    """Whatever happens to these mails in the block is counted, but that they are sent."""
    _note(session, _as_they_are(-1), ids)
    yield
    _note(session, _as_they_are(1), ids)


def _note(session: Session, build: Any, ids: Sequence[int], **parameters: object) -> None:
    if ids:
        session.flush()
        run(session, build, ids=packed(session, ids), **parameters)


@cache
def _as_they_are(sign: int, at_its_time: bool = False) -> Any:
    counts = {name: sign * _number(fact) for name, fact in facts(_IS_SENT).items()}

    @cache
    def build(postgresql: bool) -> Executable:
        is_mine = among_given(postgresql, Delivery.id)
        return _insert(counts, is_mine, own_request=True if at_its_time else None)

    return build


@cache
def _become_sent(own_request: bool) -> Any:
    counts = {name: _number(fact) for name, fact in _GAINED.items()}

    @cache
    def build(postgresql: bool) -> Executable:
        is_mine = among_given(postgresql, Delivery.id)
        return _insert(counts, and_(is_mine, not_(_IS_SENT)), own_request=own_request)

    return build


@cache
def _become_sent_together(_postgresql: bool) -> Executable:
    """They are counted before their cohort is looked up: of those there are few."""
    counts = {name: _number(fact) for name, fact in _GAINED.items()}
    mails = (
        select(
            *(Delivery.course_id, Enrollment.cohort_id),
            *(Delivery.message_key, Delivery.revision_id),
            *(count.label(name) for name, count in counts.items()),
        )
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .where(
            Delivery.request_id == bindparam("request", type_=Integer),
            Delivery.kind == MessageKind.LESSON,
            not_(_IS_SENT),
        )
        .group_by(
            *(Delivery.course_id, Enrollment.cohort_id),
            *(Delivery.message_key, Delivery.revision_id),
        )
        .subquery()
    )
    sent_at = case((IS_REAL, Request.sent_at)).label("sent_at")
    found = (
        select(
            *(mails.c[name] for name in _KEYS[:-1]), sent_at, *(mails.c[name] for name in counts)
        )
        .join(Cohort, Cohort.id == mails.c.cohort_id)
        .join(Request, Request.id == bindparam("request", type_=Integer))
    )
    return insert(Delta).from_select([*_KEYS, *counts], found)


def _number(fact: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((fact, 1)))


def _insert(
    counts: Mapping[str, ColumnElement[int]],
    which: ColumnElement[bool],
    own_request: bool | None,
) -> Insert:
    found = _counted(counts, which, own_request)
    return insert(Delta).from_select([*_KEYS, *counts], found)


def _counted(
    counts: Mapping[str, ColumnElement[int]],
    which: ColumnElement[bool],
    own_request: bool | None,
) -> Select[Any]:
    """A row for each kind of mail. When it left is that of its own request, of the one that is
    given, or (None) of no interest."""
    statement = (
        select(Delivery.course_id, Enrollment.cohort_id, Delivery.message_key, Delivery.revision_id)
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .where(Delivery.kind == MessageKind.LESSON, which)
        .group_by(
            *(Delivery.course_id, Enrollment.cohort_id),
            *(Delivery.message_key, Delivery.revision_id),
        )
    )
    if own_request is None:
        sent_at: ColumnElement[Any] = cast(null(), UTCDateTime)
    else:
        # A rehearsal is on no day.
        sent_at = case((IS_REAL, Request.sent_at))
        request = Delivery.request_id if own_request else bindparam("request", type_=Integer)
        statement = (
            statement.join(Cohort, Cohort.id == Enrollment.cohort_id)
            .outerjoin(Request, Request.id == request)
            .group_by(sent_at)
        )
    numbers = [count.label(name) for name, count in counts.items()]
    return statement.add_columns(sent_at.label("sent_at"), *numbers)


# Reading ------------------------------------------------------------------------------------------


def of_mails(
    session: Session,
    course_ids: Iterable[int],
    *keys: InstrumentedAttribute[Any],
) -> Sequence[Row[*tuple[Any, ...]]]:
    """All sums by these columns of MailSum; rehearsals are left out. In one statement: what is
    folded meanwhile would else be counted twice, or not at all."""
    real = select(Cohort.id).where(Cohort.course_id.in_(list(course_ids)), IS_REAL)
    parts = [
        select(
            table.course_id,
            table.cohort_id,
            table.message_key,
            func.coalesce(table.revision_id, literal_column("0")).label("revision_id"),
            *(getattr(table, name) for name in COUNTS),
        ).where(table.cohort_id.in_(real))
        for table in (MailSum, Delta)
    ]
    every = union_all(*parts).subquery().c
    by = [every[key.key] for key in keys]
    sums = [func.sum(every[name]).label(name) for name in COUNTS]
    return session.execute(select(*by, *sums).group_by(*by)).all()


def sent_between(
    session: Session, course_ids: Iterable[int], begins: datetime, ends: datetime
) -> dict[datetime, int]:
    """How many lessons left from that moment until before the other, by quarters of an hour. Both
    moments are the beginning of one."""
    ids = list(course_ids)
    parts = [
        select(moment.label("moment"), table.sent.label("sent")).where(
            table.course_id.in_(ids), moment >= begins, moment < ends
        )
        for table, moment in ((QuarterSum, QuarterSum.quarter), (Delta, Delta.sent_at))
    ]
    found: Counter[datetime] = Counter()
    for row in session.execute(union_all(*parts)):
        found[_quarter(row.moment)] += row.sent
    return found


def _quarter(moment: datetime) -> datetime:
    return moment - (moment - datetime.min.replace(tzinfo=UTC)) % QUARTER


# Folding ------------------------------------------------------------------------------------------


@dataclass
class _Sums:
    """Changes added up: by what the mails are, and by when they left."""

    mails: dict[tuple[Any, ...], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    quarters: Counter[tuple[int, datetime]] = field(default_factory=Counter)

    def add(self, row: Row[Any], sign: int = 1) -> None:
        """Of a mail that waits the revision may change: who entered is counted without it."""
        lesson = row.course_id, row.cohort_id, row.message_key
        for name in COUNTS:
            revision = 0 if name == "entered" else row.revision_id or 0
            if number := getattr(row, name):
                self.mails[*lesson, revision][name] += sign * number
        if row.sent_at and row.sent:
            self.quarters[row.course_id, _quarter(row.sent_at)] += sign * row.sent

    def drop_zeros(self) -> None:
        self.mails = {key: counts for key, counts in self.mails.items() if any(counts.values())}
        self.quarters = Counter({key: number for key, number in self.quarters.items() if number})


def waits(session: Session) -> bool:
    """Whether there is anything to fold."""
    return session.scalar(select(Delta.id).limit(1)) is not None


def fold(session: Session, limit: int = AT_ONCE) -> int:
    """Add the oldest changes to the sums; returns how many they were. Several may do so at once:
    each takes other changes, and all go through the sums in one order."""
    oldest = select(*_COLUMNS).order_by(Delta.id).limit(limit).with_for_update(skip_locked=True)
    rows = session.execute(oldest).all()
    if not rows:
        return 0
    sums = _Sums()
    for row in rows:
        sums.add(row)
    _apply(session, sums)
    gone = delete(Delta).where(among(session, Delta.id, [row.id for row in rows]))
    session.execute(gone.execution_options(synchronize_session=False))
    return len(rows)


_COLUMNS = [getattr(Delta, name) for name in ("id", *_KEYS, *COUNTS)]
_MAIL_SUMS = RowSet(
    **{
        name: getattr(MailSum, name)
        for name in ("course_id", "cohort_id", "message_key", "revision_id", *COUNTS)
    }
)
_QUARTER_SUMS = RowSet(
    course_id=QuarterSum.course_id, quarter=QuarterSum.quarter, sent=QuarterSum.sent
)


def _apply(session: Session, sums: _Sums) -> None:
    sums.drop_zeros()
    mails = [
        (*key, *(counts[name] for name in COUNTS)) for key, counts in sorted(sums.mails.items())
    ]
    if mails:
        run(session, _add_mails, given=_MAIL_SUMS.pack(session, mails))
    quarters = [(*key, number) for key, number in sorted(sums.quarters.items())]
    if quarters:
        run(session, _add_quarters, given=_QUARTER_SUMS.pack(session, quarters))


@cache
def _add_mails(postgresql: bool) -> Executable:
    return _add(postgresql, MailSum, _MAIL_SUMS, COUNTS)


@cache
def _add_quarters(postgresql: bool) -> Executable:
    return _add(postgresql, QuarterSum, _QUARTER_SUMS, ["sent"])


def _add(postgresql: bool, table: type[Any], rows: RowSet, counts: Iterable[str]) -> Executable:
    given = rows.given(postgresql)
    build = (pg.insert if postgresql else sqlite.insert)(table)
    # SQLite would take the ON of ON CONFLICT for that of a join, were there no WHERE.
    made = build.from_select([*given.c.keys()], select(*given.c).where(true()))
    return made.on_conflict_do_update(
        index_elements=list(table.__table__.primary_key.columns),
        set_={name: getattr(table, name) + made.excluded[name] for name in counts},
    )


# Checking -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Differences:
    """By how much the ledger's count is above what is kept."""

    sums: _Sums
    cohorts: Mapping[int, str]
    courses: Mapping[int, str]

    def __bool__(self) -> bool:
        return bool(self.sums.mails or self.sums.quarters)

    def __iter__(self) -> Iterator[str]:
        for (_, cohort_id, lesson, _), counts in sorted(self.sums.mails.items()):
            for name, number in counts.items():
                if number:
                    cohort = self.cohorts.get(cohort_id, f"cohort {cohort_id}")
                    yield f"{lesson} in {cohort}: {name} {number:+}"
        for (course_id, quarter), number in sorted(self.sums.quarters.items()):
            yield f"{self.courses[course_id]} on {quarter:%Y-%m-%d %H:%M}: sent {number:+}"


def differences(session: Session) -> Differences:
    """The ledger counted, and compared. In one statement, so that all are of one moment: what
    happens meanwhile stands in both."""
    truth = _counted(
        {name: _number(fact) for name, fact in facts(_IS_SENT).items()}, true(), own_request=True
    ).subquery()
    nothing, no_time = literal(0), cast(null(), UTCDateTime)
    quarters = {name: QuarterSum.sent if name == "sent" else nothing for name in COUNTS}
    parts = [
        _part("ledger", [truth.c[name] for name in (*_KEYS, *COUNTS)]),
        _part("delta", [getattr(Delta, name) for name in (*_KEYS, *COUNTS)]),
        _part(
            "mails",
            [
                *(MailSum.course_id, MailSum.cohort_id, MailSum.message_key, MailSum.revision_id),
                *(no_time, *(getattr(MailSum, name) for name in COUNTS)),
            ],
        ),
        _part(
            "quarters",
            [
                *(QuarterSum.course_id, nothing, literal(""), nothing, QuarterSum.quarter),
                *quarters.values(),
            ],
        ),
    ]
    found = _Sums()
    for row in session.execute(union_all(*parts)):
        if row.source == "quarters":
            found.quarters[row.course_id, row.sent_at] -= row.sent
        else:
            found.add(row, 1 if row.source == "ledger" else -1)
    found.drop_zeros()
    every = session.scalars(select(Cohort)).all()
    courses = {course.id: course.slug for course in session.scalars(select(Course))}
    return Differences(found, {one.id: cohorts.label(one) for one in every}, courses)


def _part(source: str, columns: Sequence[Any]) -> Select[Any]:
    labelled = [column.label(name) for name, column in zip((*_KEYS, *COUNTS), columns, strict=True)]
    return select(literal(source).label("source"), *labelled)


def mend(session: Session, found: Differences) -> None:
    """Add what was found. It is right however much has happened since."""
    _apply(session, found.sums)
