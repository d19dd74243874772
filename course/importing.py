"""People out of a list, taken in some hundred at a time.

An import can never bring anyone back: who left, bounced or complained is skipped and listed, and
who takes part or is through already stays as they are.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cache, cached_property, lru_cache
from typing import ClassVar, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Executable, and_, bindparam, select
from sqlalchemy.orm import Session

from course import (
    amending,
    cohorts,
    courses,
    enrollment,
    ledger,
    planning,
    suppressions,
    timing,
)
from course.curriculum import Course as Curriculum
from course.enrollment import Origin, Person
from course.models import Cohort, Enrollment, Subscriber
from course.people import email_hash
from course.planning import Clock, Pace
from course.progress import Story
from course.rowsets import RowSet, run
from course.sheets import Bad, Elsewhere, Item, Row
from course.starting import start_of, zone_of
from course.states import HAD, EnrollmentState, MessageKind, SuppressionReason
from course.walking import Place, forward

_ADDRESSES = RowSet(email=Subscriber.email)
MORNING, EVENING = time(7), time(21)  # before the one and after the other it is night
# On the embedded database all who write wait for a transaction to end: it stays well below a tenth
# of a second, however slow the machine.
TRANSACTION_SECONDS = 0.04
LEAST, MOST = 10, 500


@dataclass(frozen=True, slots=True)
class Order:
    """Into which cohort, and on what ground: `confirmed` means that the author holds their
    consent, else each of them is asked by mail."""

    cohort_id: int
    confirmed: bool
    origin: Origin
    hash_key: str
    sandbox: bool
    update: bool = False  # who is there already: what is known of them is corrected
    suppress: bool = False  # whom their old list would not mail is never mailed by us
    start: date | None = None  # the clock of the course starts that day, not at once
    spread: timedelta = timedelta()  # the starts lie so far apart, in the list's order
    lines: int = 1  # how long the list is


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that was not taken, and why."""

    line: int
    value: str
    reason: str


@dataclass
class Told:
    """How many there are, how many for which reason, and the first of them."""

    MOST: ClassVar[int] = 50
    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first: list[Skipped] = field(default_factory=list)

    def add(self, skipped: Skipped, reason: str) -> None:
        self.count += 1
        self.reasons[reason] += 1
        if len(self.first) < self.MOST:
            self.first.append(skipped)

    def __iadd__(self, other: "Told") -> "Told":
        self.count += other.count
        self.reasons += other.reasons
        self.first += other.first[: self.MOST - len(self.first)]
        return self


@dataclass
class Taken:
    """What became of the rows, or would. `asked` get a confirmation mail, `confirmed` the course.
    `mails`: how many first mails leave on which day, on the cohort's clock; None: at once. Of them,
    `at_night` reach their reader at an hour that no course chose."""

    asked: int = 0
    confirmed: int = 0
    updated: int = 0
    already: int = 0  # take part, wait for their confirmation, or are through
    suppressed: Told = field(default_factory=Told)
    elsewhere: Told = field(default_factory=Told)  # their old list would not mail them
    barred: int = 0  # of those, who is never mailed by us from now on
    rejected: Told = field(default_factory=Told)
    mails: Counter[date | None] = field(default_factory=Counter)
    at_night: int = 0

    def __iadd__(self, other: "Taken") -> "Taken":
        self.asked += other.asked
        self.confirmed += other.confirmed
        self.updated += other.updated
        self.already += other.already
        self.suppressed += other.suppressed
        self.elsewhere += other.elsewhere
        self.barred += other.barred
        self.rejected += other.rejected
        self.mails += other.mails
        self.at_night += other.at_night
        return self

    @property
    def people(self) -> int:
        """How many persons something happens to."""
        return self.asked + self.confirmed + self.updated + self.barred


def next_size(size: int, seconds: float) -> int:
    """How many rows to take at once, after so many took so long."""
    fitting = int(size * TRANSACTION_SECONDS / max(seconds, 0.001))
    return max(LEAST, min(fitting, 2 * size, MOST))


# What is to be done -------------------------------------------------------------------------------


class Known(NamedTuple):
    """Who has that address already, and how they stand in this course, if at all."""

    zone: str | None
    hour: time | None
    state: str | None


@dataclass
class _Sorted:
    """Rows by what is to be done with each; of a person's rows the first counts."""

    cohort: Cohort
    curriculum: Curriculum
    order: Order
    taken: Taken
    known: Mapping[str, Known]
    coming: dict[str, Row] = field(default_factory=dict)
    there: dict[str, Row] = field(default_factory=dict)
    left: list[Elsewhere] = field(default_factory=list)

    @property
    def rolling(self) -> bool:
        return self.cohort.starts_on is None

    @cached_property
    def had(self) -> dict[str, tuple[str, ...]]:
        """For each lesson with which somebody may go on, those before it."""
        slugs = tuple(self.curriculum.by_slug)
        return {"": (), **{slug: slugs[:place] for place, slug in enumerate(slugs)}}

    def pace(self, zone: str | None, hour: time | None) -> Pace:
        clock = planning.clock_in(self.cohort, zone, hour)
        if clock not in self._paces:
            self._paces[clock] = planning.pace(self.curriculum, clock)
        return self._paces[clock]

    @cached_property
    def _paces(self) -> dict[Clock, Pace]:
        return {}


def _sort(session: Session, items: Sequence[Item], order: Order) -> _Sorted:
    cohort = session.get_one(Cohort, order.cohort_id)
    cohorts.require_open(cohort)
    curriculum = courses.by_id(session, cohort.course_id).curriculum
    rows = [item for item in items if isinstance(item, Row)]
    barred = _barred(session, rows, cohort, order.hash_key)
    found = _Sorted(cohort, curriculum, order, Taken(), _known(session, rows, cohort))
    for item in items:
        match item:
            case Bad(line=line, value=value, reason=reason):
                found.taken.rejected.add(Skipped(line, value, reason), "cannot be read")
            case Elsewhere(line=line, email=email, standing=standing):
                found.left.append(item)
                found.taken.elsewhere.add(Skipped(line, email, standing.why), standing.why)
            case Row(line=line, person=person) if one := barred.get(person.email):
                skipped = Skipped(line, person.email, f"{one[0]} on {one[1]:%Y-%m-%d}")
                found.taken.suppressed.add(skipped, one[0])
            case Row(person=person):
                takes_part = _takes_part(found.known.get(person.email), confirmed=order.confirmed)
                (found.there if takes_part else found.coming).setdefault(person.email, item)
    found.taken.already = len(rows) - found.taken.suppressed.count - len(found.coming)
    return found


def _takes_part(known: Known | None, *, confirmed: bool) -> bool:
    """Whether they are in the course already: a person who was asked may still be confirmed."""
    state = known.state if known else None
    return state is not None and not (confirmed and state == EnrollmentState.PENDING)


def _barred(
    session: Session, rows: Sequence[Row], cohort: Cohort, key: str
) -> dict[str, tuple[str, datetime]]:
    """Address → why it may not be mailed, for this course or for all, and since when."""
    hashes = {email_hash(row.person.email, key): row.person.email for row in rows}
    return {
        hashes[one.email_hash]: (one.reason, one.created_at)
        for one in suppressions.standing(session, hashes, cohort.course_id)
    }


def _known(session: Session, rows: Sequence[Row], cohort: Cohort) -> dict[str, Known]:
    """By address; who was merely cancelled may come again."""
    given = _ADDRESSES.pack(session, [(row.person.email,) for row in rows])
    found = run(session, _known_people, given=given, course=cohort.course_id)
    return {
        email: Known(form_zone or zone, form_hour or hour, state)
        for email, zone, hour, form_zone, form_hour, state in found
    }


@cache
def _known_people(postgresql: bool) -> Executable:
    given = _ADDRESSES.given(postgresql)
    is_there = and_(
        Enrollment.subscriber_id == Subscriber.id,
        Enrollment.course_id == bindparam("course"),
        Enrollment.state != EnrollmentState.CANCELLED,
    )
    return (
        select(
            Subscriber.email,
            Subscriber.zone,
            Subscriber.hour,
            Enrollment.form_zone,
            Enrollment.form_hour,
            Enrollment.state,
        )
        .outerjoin(Enrollment, is_there)
        .where(Subscriber.email.in_(select(given.c.email)))
        # Who is through and has come back is what they are now.
        .order_by(Enrollment.id)
    )


# Looking ahead ------------------------------------------------------------------------------------


def look(session: Session, items: Sequence[Item], order: Order, now: datetime) -> Taken:
    """What `take` would do with these rows, and when the first mails leave. Nothing is written."""
    found = _sort(session, items, order)
    taken, count = found.taken, len(found.coming)
    taken.confirmed, taken.asked = (count, 0) if order.confirmed else (0, count)
    if order.update:
        taken.updated = amending.count(session, found.cohort, found.there.values())
        taken.already -= taken.updated
    if order.suppress:
        taken.barred = sum(one.standing.bars is not None for one in found.left)
    if order.confirmed:
        zone = zone_of(found.cohort, found.curriculum)
        for first in (_first_of(found, row, now) for row in found.coming.values()):
            if first is not None:
                taken.mails[_day(first.leaves_at, zone, now)] += 1
                taken.at_night += first.is_at_night
    elif count:
        taken.mails[None] = count
    return taken


def _day(leaves_at: datetime, zone: ZoneInfo, now: datetime) -> date | None:
    return timing.local_date(leaves_at, zone) if leaves_at > now else None


class First(NamedTuple):
    """A newcomer's first mail."""

    leaves_at: datetime
    is_at_night: bool  # on their own clock, and because it leaves at once


def _first_of(found: _Sorted, row: Row, now: datetime) -> First | None:
    """A newcomer's first mail, by the planner's own decisions; None: none ever leaves."""
    person, known = row.person, found.known.get(row.person.email)
    zone = person.zone or (known.zone if known else None)
    hour = person.hour or (known.hour if known else None)
    pace = found.pace(zone, hour)
    unwanted = pace.conditions.unwanted(person.fields)
    starts_at = _starts_at(found, row, zone, hour, now)
    return _first(pace, found.rolling, starts_at, found.had[row.start_at], unwanted, now)


@lru_cache(maxsize=4096)
def _first(
    pace: Pace,
    rolling: bool,
    starts_at: datetime,
    had: tuple[str, ...],
    unwanted: frozenset[str],
    now: datetime,
) -> First | None:
    none = frozenset[str]()
    story = Story(frozenset(had), none, none, None, starts_at, None) if had else None
    place = Place(pace, rolling, unwanted, starts_at, story, now)
    while step := forward(place):
        if step.slug:
            left_at = step.place.now
            local = left_at.astimezone(pace.rhythm.zone).time()
            own = pace.of(step.slug)
            # What comes at the hour of lessons comes when the course, or its reader, wants it.
            is_wanted = own.at <= local <= (own.until or own.at)
            return First(left_at, is_at_night=not (is_wanted or MORNING <= local < EVENING))
        place = step.place
    return None


def _starts_at(
    found: _Sorted, row: Row, zone: str | None, hour: time | None, now: datetime
) -> datetime:
    """When the clock of the course starts for a row's person. Who goes on in the middle counts from
    there as if the lesson before had just come."""
    cohort, order = found.cohort, found.order
    start = start_of(cohort, found.curriculum, now, zone=zone, hour=hour)
    if order.start is not None:
        rhythm = found.pace(zone, hour).rhythm
        start = max(start, timing.to_utc(order.start, rhythm.at, rhythm.zone))
    if found.had[row.start_at]:
        start = max(start, now)
    return start + order.spread * ((row.line - 2) / max(order.lines - 1, 1))


# Doing it -----------------------------------------------------------------------------------------


def take(session: Session, items: Sequence[Item], order: Order, now: datetime) -> Taken:
    """Take a batch of rows in, in the session's transaction."""
    found = _sort(session, items, order)
    taken = found.taken
    come = _enroll(session, found, now)
    taken.confirmed, taken.asked = (come, 0) if order.confirmed else (0, come)
    taken.already += len(found.coming) - come  # they signed up elsewhere in that very moment
    amending.tag(session, found.coming.values())
    if order.update:
        taken.updated = amending.amend(session, found.cohort, found.there.values(), now)
        taken.already -= taken.updated
    if order.suppress:
        taken.barred = _suppress(session, found, now)
    return taken


def _enroll(session: Session, found: _Sorted, now: datetime) -> int:
    """Returns how many had not come elsewhere meanwhile."""
    order, rows = found.order, found.coming
    people = [row.person for row in rows.values()]
    key, sandbox = order.hash_key, order.sandbox
    if not order.confirmed:
        asked = enrollment.ask(
            session, found.cohort, people, order.origin, now, hash_key=key, sandbox=sandbox
        )
        return len(asked)

    def starts(person: Person, zone: str | None, hour: time | None) -> datetime:
        return _starts_at(found, rows[person.email], zone, hour, now)

    begun = enrollment.take_in(
        session,
        found.cohort,
        people,
        order.origin,
        now,
        starts=starts,
        hash_key=key,
        sandbox=sandbox,
    )
    had = [
        ledger.Planned(
            enrollment_id=number,
            course_id=found.cohort.course_id,
            kind=MessageKind.LESSON,
            message_key=lesson,
            due_at=starts_at,
            rank=ledger.RANK_LESSON,
            reason=HAD,
        )
        for person, (number, starts_at) in begun.items()
        for lesson in found.had[rows[person.email].start_at]
    ]
    ledger.plan(session, had, now)
    return len(begun)


def _suppress(session: Session, found: _Sorted, now: datetime) -> int:
    """Whom their old list would not mail is never mailed from here, whatever they take part in."""
    hashes: dict[SuppressionReason, list[str]] = defaultdict(list)
    for one in found.left:
        if one.standing.bars is not None:
            hashes[one.standing.bars].append(email_hash(one.email, found.order.hash_key))
    for reason, some in hashes.items():
        suppressions.add(session, some, reason, found.order.origin.source, now)
        enrollment.withdraw_addresses(session, some, reason, now)
    return sum(map(len, hashes.values()))
