"""Cohorts: groups of learners of one course, rolling or with a fixed start."""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from course.curriculum import SLUG
from course.errors import InvalidInputError, NotFoundError, RefusedError
from course.models import Cohort, Course, Enrollment
from course.states import CohortState

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
    starts_on: date | None = None,
    zone: str | None = None,
    front: bool = False,
) -> Cohort:
    """Make a cohort, open at once; the course's first one becomes its front."""
    if not SLUG.match(name) or name in RESERVED:
        raise InvalidInputError(
            f"{name!r} cannot name a cohort; use a-z, 0-9 and -, not {' or '.join(RESERVED)}"
        )
    if starts_on is not None and starts_on.year > now.year + _YEARS:
        raise InvalidInputError(f"{starts_on} is more than {_YEARS} years ahead; is it meant?")
    if session.scalar(select(Cohort.id).where(Cohort.course_id == course.id, Cohort.name == name)):
        raise RefusedError(f"Cohort {course.slug}/{name} exists already")
    cohort = Cohort(
        course=course,
        name=name,
        state=CohortState.OPEN,
        starts_on=starts_on,
        zone=zone,
        is_front=front or front_of(session, course.id) is None,
        created_at=now,
    )
    session.add(cohort)
    session.flush()
    return cohort


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
    _require_real(cohort)
    if cohort.state != CohortState.OPEN:
        name = label(cohort)
        raise RefusedError(
            f"Cohort {name} is {cohort.state}. Open it with: minicourse cohort open {name}"
        )


def _require_real(cohort: Cohort) -> None:
    if cohort.rehearsal_every is not None:
        raise RefusedError(
            f"Cohort {label(cohort)} is a rehearsal: nobody joins it but by "
            f"minicourse course rehearse {cohort.course.slug}"
        )


def set_state(session: Session, cohort: Cohort, state: CohortState) -> bool:
    """Open or close; False when it was so already. RefusedError for a rehearsal."""
    _require_real(cohort)
    changed = session.scalars(
        update(Cohort)
        .where(
            Cohort.id == cohort.id,
            Cohort.state != state,
            Cohort.state != CohortState.ARCHIVED,
        )
        .values(state=state)
        .returning(Cohort.id)
        .execution_options(synchronize_session=False)
    )
    done = changed.first() is not None
    session.refresh(cohort)
    return done


def counts(session: Session, cohort: Cohort) -> dict[str, int]:
    """How many enrollments are in each state."""
    rows = session.execute(
        select(Enrollment.state, func.count().label("number"))
        .where(Enrollment.cohort_id == cohort.id)
        .group_by(Enrollment.state)
    )
    return {row.state: row.number for row in rows}
