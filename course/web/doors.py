"""Where a visitor stands: before a published course and one of its cohorts."""

from dataclasses import dataclass

from flask import url_for
from sqlalchemy import select
from sqlalchemy.orm import Session

from course import cohorts, courses
from course.courses import Live
from course.curriculum import SLUG
from course.errors import NotFoundError
from course.models import Cohort
from course.states import CohortState
from course.web.errors import CourseNotFound


@dataclass(frozen=True, slots=True)
class Door:
    live: Live
    cohort: Cohort

    @property
    def is_open(self) -> bool:
        return self.cohort.state == CohortState.OPEN

    @property
    def path(self) -> str:
        """The address of the page that fills this cohort."""
        cohort = None if self.cohort.is_front else self.cohort.name
        return url_for("pages.course", slug=self.live.slug, cohort=cohort)


def published_course(session: Session, slug: str) -> Live:
    if not SLUG.match(slug):
        raise CourseNotFound
    try:
        live = courses.live(session, slug)
    except NotFoundError:
        raise CourseNotFound from None
    if live.state != courses.PUBLISHED:
        raise CourseNotFound
    return live


def find_door(session: Session, slug: str, cohort: str | None = None) -> Door:
    """The course's front cohort, or the named one; a draft is not there yet."""
    live = published_course(session, slug)
    found = _named(session, live.id, cohort) if cohort else cohorts.front_of(session, live.id)
    if found is None or found.state == CohortState.DRAFT:
        raise CourseNotFound
    return Door(live, found)


def _named(session: Session, course_id: int, name: str) -> Cohort | None:
    if not SLUG.match(name):
        return None
    return session.scalar(select(Cohort).where(Cohort.course_id == course_id, Cohort.name == name))
