"""Where a visitor stands: before a published course and one of its cohorts."""

from dataclasses import dataclass

from flask import url_for
from sqlalchemy import Text, and_, bindparam, or_, select
from sqlalchemy.orm import Session

from course import courses, places
from course.course_file import SLUG
from course.courses import Live
from course.errors import NotFoundError
from course.models import Cohort, Course, Revision
from course.places import Places, Shut
from course.states import CohortState
from course.web.errors import CourseNotFound
from course.web.site import site


@dataclass(frozen=True, slots=True)
class Door:
    """`instead` is where else one may sign up, where this one is shut; `passed` is the cohort that
    was asked for, where it has begun and its latecomers go to this one."""

    live: Live
    cohort: Cohort
    places: Places
    instead: Cohort | None = None
    passed: Cohort | None = None

    @property
    def is_open(self) -> bool:
        return self.places.shut is None

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
    if not SLUG.match(slug) or not SLUG.match(cohort or slug):
        raise CourseNotFound
    found = session.execute(_DOOR, {"slug": slug, "cohort": cohort or None}).one_or_none()
    if found is None or found.state != courses.PUBLISHED:
        raise CourseNotFound
    if found.Cohort.state == CohortState.DRAFT:
        raise CourseNotFound
    live = site().published(session, slug, found.content_hash)
    return _door(session, live, found.Cohort)


def _door(session: Session, live: Live, cohort: Cohort) -> Door:
    now, curriculum = site().now(), live.curriculum
    found = places.look(session, cohort, curriculum, now)
    if found.shut is None:
        return Door(live, cohort, found)
    other = places.next_after(session, cohort, curriculum, now)
    if found.shut is Shut.BEGUN and other is not None:
        return Door(live, other, places.look(session, other, curriculum, now), passed=cohort)
    return Door(live, cohort, found, instead=other)


# Made once: to put a statement together takes longer than to run it, and each visit needs this.
_NAME = bindparam("cohort", type_=Text)
_DOOR = (
    select(Cohort, Course.state, Revision.content_hash)
    .join(Course, Course.id == Cohort.course_id)
    .join(Revision, Revision.id == Course.live_revision_id)
    .where(Course.slug == bindparam("slug"), Cohort.rehearsal_every.is_(None))
    .where(or_(Cohort.name == _NAME, and_(_NAME.is_(None), Cohort.is_front)))
)
