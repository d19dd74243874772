"""Courses in the database: applied revisions, the live one, publishing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select, update
from sqlalchemy.orm import Session

from course import cohorts, course_file, curriculum, ledger, note_file
from course.curriculum import Course as Curriculum
from course.errors import NotFoundError, RefusedError
from course.models import Cohort, Course, Note, Revision
from course.sources import Source

DRAFT, PUBLISHED = "draft", "published"
# So many read curricula are kept.
_KEPT = 64


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
    # Locked so that planners, whose rows refer to the course, need not wait.
    course = session.scalar(
        select(Course).where(Course.slug == source.slug).with_for_update(key_share=True)
    )
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
    # What comes next, and when, may be another for every learner.
    session.execute(update(Cohort).where(Cohort.course_id == course.id).values(look_again_from=0))
    return revision, True


def step_to_live(slug: str) -> str:
    """What the author does with files that wait; a folder of another name can never be applied."""
    if course_file.SLUG.match(slug):
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
    return _read(session, _LIVE.order_by(Course.slug))


def published(session: Session) -> list[Live]:
    return [course for course in all_live(session) if course.state == PUBLISHED]


def live(session: Session, slug: str) -> Live:
    """The course of that slug as it is sent now; NotFoundError names those that exist."""
    found = _read(session, _LIVE.where(Course.slug == slug))
    if not found:
        known = ", ".join(session.scalars(select(Course.slug).order_by(Course.slug))) or "none"
        raise NotFoundError(
            f"No course {slug!r} in the database; there is: {known}. "
            "A new folder in lessons/ goes in with: minicourse course apply NAME"
        )
    return found[0]


def by_id(session: Session, course_id: int) -> Live:
    return by_ids(session, [course_id])[course_id]


def by_ids(session: Session, course_ids: Collection[int]) -> dict[int, Live]:
    """These courses as they are sent now, in one question at the most."""
    if not course_ids:
        return {}
    return {one.id: one for one in _read(session, _LIVE.where(Course.id.in_(course_ids)))}


def revision_files(
    session: Session, revision_id: int, note: str | None = None
) -> tuple[str, dict[str, str]]:
    """The course's slug and the files of one applied revision; or that note's, within it."""
    revision = session.get_one(Revision, revision_id)
    files = revision.files
    if note is not None:
        which = Note.course_id == revision.course_id, Note.slug == note
        text = session.scalars(select(Note.text).where(*which)).one()
        files = note_file.as_course(files, note, text)
    return session.get_one(Course, revision.course_id).slug, files


def waiting_changes(session: Session, sources: Sequence[Source]) -> list[str]:
    """Slugs whose files on disk differ from what is live, or are not live at all."""
    hashes = {course.slug: course.content_hash for course in all_live(session)}
    return [item.slug for item in sources if hashes.get(item.slug) != item.content_hash]


_LIVE: Select[*tuple[Any, ...]] = select(
    Course.id,
    Course.slug,
    Course.state,
    Course.live_revision_id.label("revision_id"),
    Revision.number,
    Revision.content_hash,
).join(Revision, Course.live_revision_id == Revision.id)


def _read(session: Session, statement: Select[*tuple[Any, ...]]) -> list[Live]:
    """The courses of a statement that narrows `_LIVE`."""
    return [
        Live(
            id=row.id,
            slug=row.slug,
            state=row.state,
            revision_id=row.revision_id,
            revision_number=row.number,
            content_hash=row.content_hash,
            curriculum=_curriculum(session, row),
        )
        for row in session.execute(statement).all()
    ]


_curricula: dict[tuple[str, str], Curriculum] = {}


def _curriculum(session: Session, row: Row[*tuple[Any, ...]]) -> Curriculum:
    """A revision's files are large, and the same hash means the same files: each is read once."""
    key = row.slug, row.content_hash
    if key not in _curricula:
        files = session.scalars(select(Revision.files).where(Revision.id == row.revision_id)).one()
        if len(_curricula) == _KEPT:
            _curricula.clear()
        _curricula[key] = curriculum.parse(row.slug, files)
    return _curricula[key]
