"""An edit of a live course: whom it reaches, and what the author decides for those who are past it.

Who is still before a new lesson simply gets it. Whether people who are further on, or through, get
it too, nobody but the author can say; so an edit that raises the question waits for the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, exists, false, func, not_, or_, select, update
from sqlalchemy.orm import Session, aliased

from course import arranging, audit, brake, changes, courses, curriculum, ledger, retiming
from course.changes import Changes
from course.curriculum import Course as Curriculum
from course.errors import RefusedError
from course.fields import Conditions
from course.models import Course, Delivery, Enrollment, Revision
from course.sources import Source
from course.states import OPEN_ENROLLMENT, DeliveryState, EnrollmentState, MessageKind

ADDED_LATER = "added later"  # why a lesson is withheld from those who are past it


class What(StrEnum):
    ADDED = "added"
    MOVED = "moved"
    CHANGED = "changed"
    RETIMED = "re-timed"
    READDRESSED = "for other readers"
    REMOVED = "removed"


class Choice(StrEnum):
    """What those get who are past a new lesson."""

    SEND = "send"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Effect:
    """A lesson that an edit touches, in learners: who will get it, who is past it, who is through
    without it, who has had it; and of those who have not, for how many it is not."""

    lesson: str
    what: What
    behind: str | None  # the lesson that it comes after
    coming: int
    past: int
    finished: int
    had: int
    not_for: int = 0

    @property
    def asks(self) -> bool:
        return self.what in (What.ADDED, What.MOVED)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the files would change, and for whom."""

    changes: Changes
    effects: tuple[Effect, ...]
    moved_mails: int = 0  # that wait for their hour already, and get another
    begin_anew: int = 0  # who wait for a cohort's first day, and begin at another hour

    def questions(self, for_past: Choice | None, for_finished: Choice | None) -> list[str]:
        """The options that must be given before this can be applied."""
        new = [effect for effect in self.effects if effect.asks]
        open_ones = [
            ("--for-past", for_past is None and any(effect.past for effect in new)),
            ("--for-finished", for_finished is None and any(effect.finished for effect in new)),
        ]
        return [f"{option} send|skip" for option, is_open in open_ones if is_open]


def plan(session: Session, slug: str, files: Mapping[str, str], now: datetime) -> Plan:
    """What applying these files would do; reads only."""
    found, edit = _compare(session, slug, files)
    if edit is None:
        return found
    return replace(
        found,
        moved_mails=retiming.count_reached(session, edit, now),
        begin_anew=arranging.count_begin_anew(session, edit, now),
    )


def apply(
    session: Session,
    source: Source,
    who: str,
    now: datetime,
    *,
    for_past: Choice | None = None,
    for_finished: Choice | None = None,
    why: str | None = None,
) -> tuple[Revision, Plan]:
    """Make these files the live ones. RefusedError where a decision is missing."""
    found, edit = _compare(session, source.slug, source.files)
    if missing := found.questions(for_past, for_finished):
        raise RefusedError(
            f"{source.slug}: some learners are past a new lesson. Decide with "
            f"{' and '.join(missing)}; how many they are says: minicourse course plan {source.slug}"
        )
    revision, is_new = courses.apply(session, source, who, now)
    lessons = [effect.lesson for effect in found.effects if effect.asks]
    order = list(_lessons(source.slug, source.files))
    if is_new and for_past:
        _decide_for_past(session, revision.course_id, order, lessons, for_past, now)
    if is_new and for_finished:
        _decide_for_finished(session, revision.course_id, lessons, for_finished, now)
    if is_new and edit:
        found = replace(
            found,
            moved_mails=retiming.follow(session, edit, now),
            begin_anew=arranging.follow(session, edit, now),
        )
    if is_new:
        audit.record(
            session,
            who,
            "apply",
            now,
            why=why,
            course=source.slug,
            revision=revision.number,
            for_past=for_past,
            for_finished=for_finished,
        )
    return revision, found


def revisions(session: Session, slug: str) -> list[Revision]:
    """All that were ever live, the newest first."""
    course_id = courses.live(session, slug).id
    return list(
        session.scalars(
            select(Revision).where(Revision.course_id == course_id).order_by(Revision.number.desc())
        )
    )


def earlier(session: Session, slug: str, number: int | None) -> Revision:
    """That revision, or the one before the live one."""
    known = revisions(session, slug)
    live = courses.live(session, slug).revision_number
    wanted = number if number is not None else live - 1
    if len(known) == 1:
        raise RefusedError(f"Revision {live} of {slug} is its first: there is none to go back to")
    found = next((one for one in known if one.number == wanted), None)
    if found is None or wanted == live:
        others = ", ".join(str(one.number) for one in known if one.number != live) or "none"
        raise RefusedError(
            f"Revision {wanted} of {slug} {'is live' if wanted == live else 'does not exist'}; "
            f"there are beside the live one: {others}"
        )
    return found


def _compare(
    session: Session, slug: str, files: Mapping[str, str]
) -> tuple[Plan, retiming.Edit | None]:
    """What differs, and whom it reaches; and both sides, where something is live."""
    course = session.scalar(select(Course).where(Course.slug == slug))
    live = session.get(Revision, course.live_revision_id) if course else None
    found = changes.compare(slug, live.files if live else None, files)
    if course is None or live is None:
        return Plan(found, ()), None
    new = curriculum.parse(slug, files)
    edit = retiming.Edit(course.id, curriculum.parse(slug, live.files), new)
    return Plan(found, tuple(_effects(session, course.id, found, new))), edit


def _lessons(slug: str, files: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(curriculum.parse(slug, files).by_slug)


# Whom it reaches ----------------------------------------------------------------------------------


def _effects(session: Session, course_id: int, found: Changes, course: Curriculum) -> list[Effect]:
    asked = Conditions(course)
    by_kind = {
        What.ADDED: found.added,
        What.MOVED: found.moved,
        What.CHANGED: found.changed,
        What.RETIMED: found.retimed,
        What.READDRESSED: found.readdressed,
        What.REMOVED: found.removed,
    }
    return [
        _effect(session, course_id, lesson, what, course, asked)
        for what, lessons in by_kind.items()
        for lesson in lessons
    ]


def _effect(
    session: Session,
    course_id: int,
    lesson: str,
    what: What,
    course: Curriculum,
    asked: Conditions,
) -> Effect:
    order = list(course.by_slug)
    is_for_some = lesson in course.by_slug and bool(course.by_slug[lesson].when)

    def count(*where: ColumnElement[bool]) -> int:
        everybody = _count(session, course_id, *where)
        return everybody - (
            _not_for(session, course_id, lesson, asked, *where) if is_for_some else 0
        )

    place = order.index(lesson) if lesson in order else None
    without = not_(_has(lesson))
    further_on = _is_past(lesson, order) if what in (What.ADDED, What.MOVED) else None
    is_open = Enrollment.state.in_(OPEN_ENROLLMENT)
    open_without = count(is_open, without)
    past = 0 if further_on is None else count(is_open, further_on)
    is_through = Enrollment.state == EnrollmentState.COMPLETED
    return Effect(
        lesson=lesson,
        what=what,
        behind=order[place - 1] if place else None,
        coming=open_without - past,
        past=past,
        finished=count(is_through, without),
        not_for=_count(session, course_id, is_open, without) - open_without,
        had=_count(session, course_id, _has(lesson, Delivery.state == DeliveryState.ACCEPTED)),
    )


def _count(session: Session, course_id: int, *where: ColumnElement[bool]) -> int:
    statement = select(func.count(Enrollment.id)).where(Enrollment.course_id == course_id, *where)
    return session.scalar(statement) or 0


def _not_for(
    session: Session, course_id: int, lesson: str, asked: Conditions, *where: ColumnElement[bool]
) -> int:
    """How many of them said what keeps the lesson from them: asked once for the same answers."""
    said = session.execute(
        select(Enrollment.fields, func.count())
        .where(Enrollment.course_id == course_id, *where)
        .group_by(Enrollment.fields)
    )
    return sum(learners for fields, learners in said if lesson in asked.unwanted(fields))


def _has(lesson: str, *where: ColumnElement[bool]) -> ColumnElement[bool]:
    """SQL over Enrollment: there is a row for that lesson."""
    return exists(
        select(1)
        .where(
            Delivery.enrollment_id == Enrollment.id,
            Delivery.message_key == lesson,
            Delivery.kind == MessageKind.LESSON,
            Delivery.edition == 0,
            *where,
        )
        .correlate(Enrollment)
    )


def _is_past(lesson: str, order: Sequence[str]) -> ColumnElement[bool]:
    """SQL over Enrollment: no row for this lesson, and one for a lesson that now stands behind."""
    later = order[order.index(lesson) + 1 :]
    return and_(not_(_has(lesson)), or_(false(), *map(_has, later)))


# What is decided for them -------------------------------------------------------------------------


def _decide_for_past(
    session: Session,
    course_id: int,
    order: Sequence[str],
    lessons: Sequence[str],
    choice: Choice,
    now: datetime,
) -> None:
    is_open = Enrollment.state.in_(OPEN_ENROLLMENT)
    for lesson in lessons:
        who = [Enrollment.course_id == course_id, is_open, _is_past(lesson, order)]
        if choice is Choice.SKIP:
            _pass_over(session, course_id, lesson, who, now)
        else:
            brake.foresee(session, _count(session, course_id, *who), now)


def _decide_for_finished(
    session: Session, course_id: int, lessons: Sequence[str], choice: Choice, now: datetime
) -> None:
    """Who takes part again already is asked as one who does."""
    again = aliased(Enrollment)
    takes_part = exists().where(
        again.subscriber_id == Enrollment.subscriber_id,
        again.course_id == course_id,
        again.state.in_(OPEN_ENROLLMENT),
    )
    through = [
        Enrollment.course_id == course_id,
        Enrollment.state == EnrollmentState.COMPLETED,
        not_(takes_part),
    ]
    if choice is Choice.SKIP:
        for lesson in lessons:
            _pass_over(session, course_id, lesson, [*through, not_(_has(lesson))], now)
        return
    missing = or_(false(), *(not_(_has(lesson)) for lesson in lessons))
    opened = session.execute(
        update(Enrollment)
        .where(*through, missing)
        .values(state=EnrollmentState.ACTIVE, ended_at=None, next_due_at=now)
        .execution_options(synchronize_session=False)
    )
    brake.foresee(session, opened.rowcount, now)  # type: ignore[attr-defined]


def _pass_over(
    session: Session,
    course_id: int,
    lesson: str,
    who: Sequence[ColumnElement[bool]],
    now: datetime,
) -> None:
    """The lesson is decided for them, and moves nothing: what comes next counts from what was."""
    latest = select(func.max(Delivery.due_at)).where(
        Delivery.enrollment_id == Enrollment.id, Delivery.kind == MessageKind.LESSON
    )
    due_at = func.coalesce(latest.correlate(Enrollment).scalar_subquery(), Enrollment.starts_at)
    learners = select(Enrollment.id, due_at.label("due_at")).where(*who)
    ledger.pass_over(session, learners, course_id, lesson, ADDED_LATER, now)
