"""Courses in the database: applied revisions, the live one, publishing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from course import cohorts, curriculum, ledger
from course.curriculum import Course as Curriculum
from course.errors import NotFoundError, RefusedError
from course.models import Cohort, Course, Enrollment, Revision
from course.sources import Source
from course.states import EnrollmentState

DRAFT, PUBLISHED = "draft", "published"


@dataclass(frozen=True, slots=True)
class Live:
    """A course as it is sent now."""

    id: int
    slug: str
    state: str
    revision_id: int
    revision_number: int
    content_hash: str
    curriculum: Curriculum


def apply(session: Session, source: Source, who: str, now: datetime) -> tuple[Revision, bool]:
    """Make what lies on disk the live revision; returns it and whether anything changed.

    Everything is read and every mail compiled first: what cannot be sent cannot go live.
    """
    from course import rendering  # slow to load, and only this needs it

    where = f"lessons/{source.slug}/"
    compiled = rendering.compile_course(source.slug, source.files, where=where)
    course = session.scalar(select(Course).where(Course.slug == source.slug).with_for_update())
    if course is None:
        course = Course(slug=source.slug, state=DRAFT, created_at=now)
        session.add(course)
        session.flush()
    live = session.get(Revision, course.live_revision_id) if course.live_revision_id else None
    if live is not None and live.content_hash == source.content_hash:
        return live, False
    latest = session.scalar(
        select(func.max(Revision.number)).where(Revision.course_id == course.id)
    )
    revision = Revision(
        course_id=course.id,
        number=(latest or 0) + 1,
        content_hash=source.content_hash,
        git_commit=source.git_commit,
        files=dict(source.files),
        created_at=now,
        created_by=who,
    )
    session.add(revision)
    session.flush()
    course.live_revision_id = revision.id
    session.flush()
    lessons = [lesson.slug for lesson in compiled.course.lessons]
    ledger.cancel_removed(session, course.id, lessons, now)
    _look_again(session, course.id, now)
    return revision, True


def _look_again(session: Session, course_id: int, now: datetime) -> None:
    """What comes next, and when, may be another for every learner of the course."""
    session.execute(
        update(Enrollment)
        .where(Enrollment.course_id == course_id, Enrollment.state == EnrollmentState.ACTIVE)
        .values(next_due_at=now)
        .execution_options(synchronize_session=False)
    )


def step_to_live(slug: str) -> str:
    """What the author does with files that wait; a folder of another name can never be applied."""
    if curriculum.SLUG.match(slug):
        return f"minicourse course apply {slug}"
    return f"rename the folder lessons/{slug}: a-z, 0-9 and - alone"


def publish(session: Session, slug: str, now: datetime) -> Cohort:
    """Open the course to the public; opens the rolling cohort `evergreen` where it has none."""
    course = session.scalar(select(Course).where(Course.slug == slug))
    if course is None or course.live_revision_id is None:
        raise RefusedError(
            f"Course {slug!r} is not applied yet. For the folder lessons/{slug} run first: "
            f"minicourse course apply {slug}"
        )
    session.execute(
        update(Course)
        .where(Course.id == course.id, Course.state == DRAFT)
        .values(state=PUBLISHED, published_at=now)
    )
    return cohorts.front_of(session, course.id) or cohorts.create(
        session, course, cohorts.EVERGREEN, now, front=True
    )


def all_live(session: Session) -> list[Live]:
    """Every course with an applied revision, by name."""
    rows = session.execute(
        select(Course, Revision)
        .join(Revision, Course.live_revision_id == Revision.id)
        .order_by(Course.slug)
    )
    return [_live(course, revision) for course, revision in rows]


def published(session: Session) -> list[Live]:
    return [course for course in all_live(session) if course.state == PUBLISHED]


def live(session: Session, slug: str) -> Live:
    """The course of that slug as it is sent now; NotFoundError names those that exist."""
    row = session.execute(
        select(Course, Revision)
        .join(Revision, Course.live_revision_id == Revision.id)
        .where(Course.slug == slug)
    ).one_or_none()
    if row is None:
        known = ", ".join(session.scalars(select(Course.slug).order_by(Course.slug))) or "none"
        raise NotFoundError(
            f"No course {slug!r} in the database; there is: {known}. "
            "A new folder in lessons/ goes in with: minicourse course apply NAME"
        )
    return _live(*row)


def by_id(session: Session, course_id: int) -> Live:
    course = session.get_one(Course, course_id)
    assert course.live_revision_id is not None
    return _live(course, session.get_one(Revision, course.live_revision_id))


def revision_files(session: Session, revision_id: int) -> tuple[str, dict[str, str]]:
    """The course's slug and the files of one applied revision."""
    revision = session.get_one(Revision, revision_id)
    return session.get_one(Course, revision.course_id).slug, revision.files


def waiting_changes(session: Session, sources: Sequence[Source]) -> list[str]:
    """Slugs whose files on disk differ from what is live, or are not live at all."""
    hashes = {course.slug: course.content_hash for course in all_live(session)}
    return [item.slug for item in sources if hashes.get(item.slug) != item.content_hash]


def _live(course: Course, revision: Revision) -> Live:
    return Live(
        id=course.id,
        slug=course.slug,
        state=course.state,
        revision_id=revision.id,
        revision_number=revision.number,
        content_hash=revision.content_hash,
        curriculum=_curriculum(course.slug, revision.content_hash, _frozen(revision.files)),
    )


def _frozen(files: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(files.items())


@lru_cache(maxsize=64)
def _curriculum(slug: str, _hash: str, files: tuple[tuple[str, str], ...]) -> Curriculum:
    return curriculum.parse(slug, dict(files))
