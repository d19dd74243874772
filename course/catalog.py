"""Courses as their author sees them: what is live beside what lies on disk. Reads only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from course import cohorts, courses
from course.courses import Live
from course.curriculum import Course as Curriculum
from course.curriculum import Lesson
from course.errors import InvalidInputError, NotFoundError
from course.models import Enrollment, Revision
from course.notation import WEEKDAYS
from course.sources import Source
from course.states import EnrollmentState

LEARNING = (EnrollmentState.ACTIVE, EnrollmentState.PAUSED)


@dataclass(frozen=True, slots=True)
class CourseLine:
    """A course in a list; a folder that was never applied has no state yet."""

    course: str
    title: str | None
    state: str | None
    revision: int | None
    lessons: int | None
    learners: int
    changes_not_live: bool


def listing(
    session: Session, sources: Sequence[Source], unread: Iterable[str] = ()
) -> list[CourseLine]:
    """The courses in the database, then the folders that are not in it yet; those that cannot be
    read are not live as they are."""
    waiting = [*courses.waiting_changes(session, sources), *unread]
    learners = _learners(session)
    live = courses.all_live(session)
    known = {course.slug for course in live}
    lines = [
        CourseLine(
            course=course.slug,
            title=course.curriculum.title,
            state=course.state,
            revision=course.revision_number,
            lessons=len(course.curriculum.lessons),
            learners=learners.get(course.id, 0),
            changes_not_live=course.slug in waiting,
        )
        for course in live
    ]
    new = (slug for slug in waiting if slug not in known)
    return lines + [CourseLine(slug, None, None, None, None, 0, True) for slug in new]


def _learners(session: Session) -> dict[int, int]:
    rows = session.execute(
        select(Enrollment.course_id, func.count().label("learners"))
        .where(Enrollment.state.in_(LEARNING), Enrollment.cohort_id.not_in(cohorts.rehearsals()))
        .group_by(Enrollment.course_id)
    )
    return {row.course_id: row.learners for row in rows}


@dataclass(frozen=True, slots=True)
class LessonLine:
    """A lesson in a list, with its distance from the one before."""

    course: str
    lesson: str
    number: int
    subject: str
    after_days: int
    after_hours: int
    file: str


def lessons(curriculum: Curriculum) -> list[LessonLine]:
    return [
        LessonLine(
            course=curriculum.slug,
            lesson=lesson.slug,
            number=lesson.number,
            subject=lesson.subject,
            after_days=lesson.after.days,
            after_hours=lesson.after.hours,
            file=lesson.file,
        )
        for lesson in curriculum.lessons
    ]


@dataclass(frozen=True, slots=True)
class Details:
    """A course as it is live, and when, by whom and from which commit it was applied."""

    course: str
    title: str
    description: str
    state: str
    language: str
    sender: str
    zone: str
    weekdays: list[str]
    hour: str
    minimum_gap_hours: int
    tracks_opens: bool
    tracks_clicks: bool
    revision: int
    applied_at: datetime
    applied_by: str
    git_commit: str | None
    lessons: list[LessonLine]


def details(session: Session, slug: str) -> Details:
    """NotFoundError where no such course is live."""
    live = courses.live(session, slug)
    revision = session.get_one(Revision, live.revision_id)
    course, schedule = live.curriculum, live.curriculum.schedule
    return Details(
        course=slug,
        title=course.title,
        description=course.description,
        state=live.state,
        language=course.language,
        sender=course.sender.name,
        zone=schedule.zone.key,
        weekdays=[WEEKDAYS[number] for number in sorted(schedule.weekdays)],
        hour=f"{schedule.hour:%H:%M}",
        minimum_gap_hours=round(schedule.minimum_gap.total_seconds() / 3600),
        tracks_opens=course.tracking.opens,
        tracks_clicks=course.tracking.clicks,
        revision=revision.number,
        applied_at=revision.created_at,
        applied_by=revision.created_by,
        git_commit=revision.git_commit,
        lessons=lessons(course),
    )


def pick_lesson(name: str, curricula: Iterable[Curriculum]) -> tuple[Curriculum, Lesson]:
    """`course/lesson`, or the short form where only one course has a lesson of that name."""
    slug, _, short = name.rpartition("/")
    courses_there = list(curricula)
    asked = [course for course in courses_there if slug in ("", course.slug)]
    if not asked:
        known = ", ".join(course.slug for course in courses_there) or "none"
        raise NotFoundError(
            f"No course {slug!r}; there is: {known}. See them with: minicourse course list"
        )
    if len(asked) == 1:
        return asked[0], asked[0].lesson(short)
    found = [course for course in asked if short in course.by_slug]
    if not found:
        raise NotFoundError(f"No lesson {short!r}. See them with: minicourse lesson list")
    if len(found) > 1:
        choices = ", ".join(f"{course.slug}/{short}" for course in found)
        raise InvalidInputError(f"{name!r} could be any of: {choices}. Write the long form.")
    return found[0], found[0].lesson(short)


def live_lesson(session: Session, name: str) -> tuple[Live, Lesson]:
    """A lesson as it is sent now."""
    live = courses.all_live(session)
    curriculum, lesson = pick_lesson(name, [course.curriculum for course in live])
    return next(course for course in live if course.slug == curriculum.slug), lesson
