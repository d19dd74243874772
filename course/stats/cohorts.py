"""Cohorts side by side: who came, who is through, and what became of their lessons' mails."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from course import cohorts, enrollment, rollups
from course.courses import Live
from course.models import Cohort, Course, Enrollment, MailSum
from course.states import EnrollmentState
from course.stats.known import Known
from course.stats.lessons import count


@dataclass(frozen=True, slots=True)
class CohortStats:
    course: str
    cohort: str
    signed_up: int
    confirmed: int
    active: int
    completed: int
    unsubscribed: int


@dataclass(frozen=True, slots=True)
class CohortDetails:
    """One cohort beside others; mails are those of its lessons."""

    course: str
    cohort: str
    state: str
    starts_on: date | None  # None: rolling
    signed_up: int
    confirmed: int
    active: int
    paused: int
    completed: int
    unsubscribed: int
    sent: int
    delivered: int | None
    opened: int | None  # by people
    clicked: int | None  # by people
    bounced: int | None
    complained: int | None
    # Of what was delivered, what left tracked: opens and clicks are counted of these alone.
    opens_tracked: int | None
    clicks_tracked: int | None


@dataclass(frozen=True, slots=True)
class _People:
    """A cohort and how many are where."""

    id: int
    slug: str
    name: str
    state: str
    starts_on: date | None
    signed_up: int
    confirmed: int
    active: int
    paused: int
    completed: int
    unsubscribed: int


def read(session: Session, live: Sequence[Live]) -> list[CohortStats]:
    return [
        CohortStats(
            course=row.slug,
            cohort=row.name,
            signed_up=row.signed_up,
            confirmed=row.confirmed,
            active=row.active,
            completed=row.completed,
            unsubscribed=row.unsubscribed,
        )
        for row in _people(session, live)
    ]


def side_by_side(session: Session, live: Sequence[Live]) -> list[CohortDetails]:
    mails: dict[int, list[Row[*tuple[Any, ...]]]] = defaultdict(list)
    by = (MailSum.cohort_id, MailSum.revision_id)
    for row in rollups.of_mails(session, [one.id for one in live], *by):
        if row.sent:
            mails[row.cohort_id].append(row)
    revisions = [row.revision_id for rows in mails.values() for row in rows]
    known = Known(session, revisions, live)
    return [_details(row, mails[row.id], known) for row in _people(session, live)]


def _details(
    people: _People, mails: Sequence[Row[*tuple[Any, ...]]], known: Known
) -> CohortDetails:
    opens, clicks = known.tracked(mails, "opens"), known.tracked(mails, "clicks")
    if not mails:
        opens, clicks = [], []

    def total(name: str) -> int:
        return sum(getattr(row, name) for row in mails)

    def of(some: Sequence[Row[*tuple[Any, ...]]] | None, name: str) -> int | None:
        return known.heard(None if some is None else sum(getattr(row, name) for row in some))

    return CohortDetails(
        course=people.slug,
        cohort=people.name,
        state=people.state,
        starts_on=people.starts_on,
        signed_up=people.signed_up,
        confirmed=people.confirmed,
        active=people.active,
        paused=people.paused,
        completed=people.completed,
        unsubscribed=people.unsubscribed,
        sent=total("sent"),
        delivered=known.heard(total("delivered")),
        opened=of(opens, "opened"),
        clicked=of(clicks, "clicked"),
        bounced=known.heard(total("bounced")),
        complained=known.heard(total("complained")),
        opens_tracked=of(opens, "delivered"),
        clicks_tracked=of(clicks, "delivered"),
    )


_E = EnrollmentState
# Who is there, or was to the end, has confirmed. Of those who left it has to be asked.
_CONFIRMED = (_E.ACTIVE, _E.PAUSED, _E.COMPLETED)


def _people(session: Session, live: Sequence[Live]) -> list[_People]:
    found = session.execute(
        select(Cohort.id, Course.slug, Cohort.name, Cohort.state, Cohort.starts_on)
        .join(Course, Course.id == Cohort.course_id)
        .where(Cohort.course_id.in_([one.id for one in live]), cohorts.IS_REAL)
        .order_by(Course.slug, Cohort.id)
    ).all()
    ids = [row.id for row in found]
    states, gone = _states(session, ids), _gone(session, ids)
    return [
        _People(
            *row,
            signed_up=states[row.id].total(),
            confirmed=sum(states[row.id][state] for state in _CONFIRMED) + gone[row.id][0],
            active=states[row.id][_E.ACTIVE],
            paused=states[row.id][_E.PAUSED],
            completed=states[row.id][_E.COMPLETED],
            unsubscribed=gone[row.id][1],
        )
        for row in found
    ]


def _states(session: Session, ids: Sequence[int]) -> dict[int, Counter[str]]:
    """How many are in each state: the index alone is read."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    counted = (
        select(Enrollment.cohort_id, Enrollment.state, func.count())
        .where(Enrollment.cohort_id.in_(ids))
        .group_by(Enrollment.cohort_id, Enrollment.state)
    )
    for cohort_id, state, number in session.execute(counted):
        found[cohort_id][state] = number
    return found


def _gone(session: Session, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Of those who are not in it any more: how many had confirmed, and how many chose to leave."""
    chose = Enrollment.reason.in_((enrollment.LEFT, enrollment.TAKEN_OUT))
    counted = (
        select(Enrollment.cohort_id, func.count(Enrollment.confirmed_at), count(chose))
        .where(Enrollment.cohort_id.in_(ids), Enrollment.state == _E.CANCELLED)
        .group_by(Enrollment.cohort_id)
    )
    found: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    found.update({cohort_id: (had, left) for cohort_id, had, left in session.execute(counted)})
    return found
