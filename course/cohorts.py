"""Cohorts: groups of learners of one course, rolling or with a fixed start."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from course.course_file import SLUG
from course.errors import InvalidInputError, NotFoundError, RefusedError
from course.models import Cohort, Course, Enrollment
from course.states import OPEN_ENROLLMENT, CohortState, Latecomers

S = CohortState

EVERGREEN, REHEARSAL = "evergreen", "rehearsal"
RESERVED = ("signup", "embed", REHEARSAL)  # /c/<course>/signup and …/embed are pages
_YEARS = 10
# Over Cohort: learners take part in it. What is counted for people counts these alone.
IS_REAL = Cohort.rehearsal_every.is_(None)


def create(
    session: Session,
    course: Course,
    name: str,
    now: datetime,
    *,
    front: bool = False,
    **terms: Any,
) -> Cohort:
    """Make a cohort, open at once; the course's first one becomes its front. The terms are
    those of `arranging`."""
    if "/" in name:
        raise InvalidInputError(
            f"{name!r} is a cohort of another course; the new one is of {course.slug}: write its "
            "name alone"
        )
    if not SLUG.match(name) or name in RESERVED:
        raise InvalidInputError(
            f"{name!r} cannot name a cohort; use a-z, 0-9 and -, not {' or '.join(RESERVED)}"
        )
    if session.scalar(select(Cohort.id).where(Cohort.course_id == course.id, Cohort.name == name)):
        raise RefusedError(f"Cohort {course.slug}/{name} exists already")
    cohort = Cohort(
        course=course,
        name=name,
        state=CohortState.OPEN,
        is_front=front_of(session, course.id) is None,
        created_at=now,
        **{"latecomers": str(Latecomers.JOIN), **terms},
    )
    require_sense(cohort, now)
    session.add(cohort)
    session.flush()
    if front:
        make_front(session, cohort)
    return cohort


def require_sense(cohort: Cohort, now: datetime) -> None:
    """Raise InvalidInputError where its terms contradict each other."""
    for day in (cohort.starts_on, cohort.closes_on):
        if day is not None and day.year > now.year + _YEARS:
            raise InvalidInputError(f"{day} is more than {_YEARS} years ahead; is it meant?")
    if cohort.starts_on is None and cohort.latecomers not in (None, Latecomers.JOIN):
        raise InvalidInputError(
            f"--latecomers {cohort.latecomers} needs a first day; give it one with --start"
        )


def create_rehearsal(session: Session, course_id: int, every: int, now: datetime) -> Cohort:
    """A cohort in which lessons come so many seconds apart. It is closed, for the public is not
    let in, and never a course's front."""
    cohort = Cohort(
        course_id=course_id,
        name=REHEARSAL,
        state=CohortState.CLOSED,
        is_front=False,
        rehearsal_every=every,
        created_at=now,
    )
    session.add(cohort)
    session.flush()
    return cohort


def rehearsal_of(session: Session, course_id: int) -> Cohort | None:
    return session.scalar(
        select(Cohort).where(Cohort.course_id == course_id, Cohort.rehearsal_every.is_not(None))
    )


def rehearsals() -> Select[int]:
    """The ids of the cohorts that are none of learners: a few at most."""
    return select(Cohort.id).where(Cohort.rehearsal_every.is_not(None))


def rehearsing(session: Session) -> Sequence[int]:
    """The enrollments in these. Asked for beforehand: within another question a server may take
    them for half of all, and read the table."""
    found = session.scalars(rehearsals()).all()
    if not found:
        return []
    return session.scalars(select(Enrollment.id).where(Enrollment.cohort_id.in_(found))).all()


def front_of(session: Session, course_id: int) -> Cohort | None:
    """The cohort that the course's page fills."""
    return session.scalar(select(Cohort).where(Cohort.course_id == course_id, Cohort.is_front))


def find(session: Session, name: str) -> Cohort:
    """`course/cohort`, or the short form where only one course has a cohort of that name."""
    course_slug, _, short = name.rpartition("/")
    query = select(Cohort).join(Course).where(Cohort.name == short)
    if course_slug:
        query = query.where(Course.slug == course_slug)
    found = list(session.scalars(query.order_by(Course.slug)))
    if len(found) == 1:
        return found[0]
    if found:
        choices = ", ".join(label(cohort) for cohort in found)
        raise InvalidInputError(f"{name!r} could be any of: {choices}. Write the long form.")
    known = ", ".join(label(cohort) for cohort in every(session)) or "none"
    raise NotFoundError(f"No cohort {name!r}; there is: {known}")


def every(session: Session, *, with_rehearsals: bool = False) -> list[Cohort]:
    found = select(Cohort).join(Course).order_by(Course.slug, Cohort.id)
    return list(session.scalars(found if with_rehearsals else found.where(IS_REAL)))


def label(cohort: Cohort) -> str:
    return f"{cohort.course.slug}/{cohort.name}"


def require_open(cohort: Cohort) -> None:
    """Raise RefusedError unless people may join."""
    require_real(cohort)
    if cohort.state != CohortState.OPEN:
        name = label(cohort)
        raise RefusedError(
            f"Cohort {name} is {cohort.state}. Open it with: minicourse cohort open {name}"
        )


def require_editable(cohort: Cohort) -> None:
    """Raise RefusedError where nothing is to be changed: a rehearsal, or what is put away."""
    require_real(cohort)
    if cohort.state == S.ARCHIVED:
        raise RefusedError(f"Cohort {label(cohort)} is archived. {_way_on(cohort)}")


def require_real(cohort: Cohort) -> None:
    """Raise RefusedError where it is a rehearsal."""
    if cohort.rehearsal_every is not None:
        raise RefusedError(
            f"Cohort {label(cohort)} is a rehearsal: nobody joins it but by "
            f"minicourse course rehearse {cohort.course.slug}"
        )


class Verb(StrEnum):
    """What may be done with a cohort as it stands."""

    OPEN = "open"
    CLOSE = "close"
    PAUSE = "pause"
    RESUME = "resume"
    ARCHIVE = "archive"


# For each verb the states that it leads from, and what it leads to; None: as it was before.
_LEADS: dict[Verb, tuple[frozenset[CohortState], CohortState | None]] = {
    Verb.OPEN: (frozenset({S.DRAFT, S.CLOSED}), S.OPEN),
    Verb.CLOSE: (frozenset({S.DRAFT, S.OPEN}), S.CLOSED),
    Verb.PAUSE: (frozenset({S.OPEN, S.CLOSED}), S.PAUSED),
    Verb.RESUME: (frozenset({S.PAUSED}), None),
    Verb.ARCHIVE: (frozenset({S.DRAFT, S.OPEN, S.CLOSED, S.PAUSED}), S.ARCHIVED),
}
# In these there is nothing to do.
_DONE: dict[Verb, frozenset[CohortState]] = {
    Verb.OPEN: frozenset({S.OPEN}),
    Verb.CLOSE: frozenset({S.CLOSED}),
    Verb.PAUSE: frozenset({S.PAUSED}),
    Verb.RESUME: frozenset({S.OPEN, S.CLOSED}),
    Verb.ARCHIVE: frozenset({S.ARCHIVED}),
}


def change(session: Session, cohort: Cohort, verb: Verb) -> bool:
    """Do it; False when it was so already. RefusedError says what stands in the way.

    Who learns in a cohort that is resumed is looked at again, and what became late meanwhile comes
    as the course says of late lessons: one after the other, never in a burst.
    """
    require_real(cohort)
    session.refresh(cohort, with_for_update=True)
    state = CohortState(cohort.state)
    if state in _DONE[verb]:
        return False
    leads_from, leads_to = _LEADS[verb]
    if state not in leads_from:
        raise RefusedError(f"Cohort {label(cohort)} is {state}. {_way_on(cohort)}")
    if verb is Verb.ARCHIVE:
        _require_nobody(session, cohort)
    cohort.state = leads_to or cohort.resumes_as or S.OPEN
    cohort.resumes_as = state if verb is Verb.PAUSE else None
    if verb is Verb.RESUME:
        cohort.look_again_from = 0
    session.flush()
    return True


_WAY_ON = {
    S.DRAFT: "Open it first: minicourse cohort open {}",
    S.OPEN: "Pause it first: minicourse cohort pause {}",
    S.CLOSED: "Pause it first: minicourse cohort pause {}",
    S.PAUSED: "Let it go on first: minicourse cohort resume {}",
    S.ARCHIVED: "Make another: minicourse cohort create --help",
}


def _way_on(cohort: Cohort) -> str:
    return _WAY_ON[CohortState(cohort.state)].format(label(cohort))


def _require_nobody(session: Session, cohort: Cohort) -> None:
    learners = sum(counts(session, cohort).get(state, 0) for state in OPEN_ENROLLMENT)
    if learners:
        raise RefusedError(
            f"Cohort {label(cohort)} has {learners:,} who wait or learn. "
            f"Close it and let them finish, or pause it: minicourse cohort pause {label(cohort)}"
        )


def make_front(session: Session, cohort: Cohort) -> bool:
    """Have the course's page fill it; False when it does so already."""
    require_editable(cohort)
    if cohort.is_front:
        return False
    session.execute(
        update(Cohort).where(Cohort.course_id == cohort.course_id).values(is_front=False)
    )
    cohort.is_front = True
    session.flush()
    return True


def counts(session: Session, cohort: Cohort) -> dict[str, int]:
    """How many enrollments are in each state."""
    rows = session.execute(
        select(Enrollment.state, func.count().label("number"))
        .where(Enrollment.cohort_id == cohort.id)
        .group_by(Enrollment.state)
    )
    return {row.state: row.number for row in rows}
