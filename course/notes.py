"""Notes: one Markdown file to chosen active people, through the same ledger as every lesson. A row
is named `note:<slug>`, so that nobody gets a note twice however often it is ordered."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, exists, func, literal, not_, select, true
from sqlalchemy.orm import Session

from course import audit, cohorts, courses, history, holds, ledger, planning, selecting
from course.courses import Live
from course.errors import InvalidInputError, NotFoundError, RefusedError
from course.models import Cohort, Course, Delivery, Enrollment, Hold, Note, Subscriber
from course.note_file import NoteFile, key_of
from course.selecting import Selection
from course.states import RUNNING_COHORT, DeliveryState, EnrollmentState, MessageKind
from course.suppressions import bars_learner
from course.timing import to_utc

# So many are ordered in one transaction: others write in between.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Audience:
    """How many a selection names, and what becomes of them."""

    to_send: int
    had: int  # a row stands for them already
    suppressed: int
    not_active: int  # nobody who is pending, paused, completed or gone gets a note
    paused_cohort: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """Whom a note is for: a selection within one course, or who was sent a revision of it."""

    selection: Selection
    revision_id: int | None = None


def course_of(session: Session, selection: Selection) -> Live:
    """The one course that a note belongs to: the selection's, or the only one there is."""
    if selection.cohort:
        cohort = cohorts.find(session, selection.cohort)
        if selection.course and cohort.course.slug != selection.course:
            raise InvalidInputError(
                f"--cohort {cohorts.label(cohort)} is none of --course {selection.course}"
            )
        return courses.by_id(session, cohort.course_id)
    if selection.course:
        return courses.live(session, selection.course)
    found = courses.all_live(session)
    if len(found) != 1:
        known = ", ".join(one.slug for one in found) or "none"
        raise InvalidInputError(f"Which course is it for? There is: {known}. Say --course NAME")
    return found[0]


def audience(session: Session, course: Live, note: NoteFile, chosen: Chosen) -> Audience:
    """Count them; reads only."""
    which = _which(session, course, chosen)
    is_active = Enrollment.state == EnrollmentState.ACTIVE
    runs = Cohort.state.in_(RUNNING_COHORT)
    sifted = (
        (),
        (is_active,),
        (is_active, runs),
        (is_active, runs, not_(bars_learner())),
        (is_active, runs, not_(bars_learner()), not_(_has(note.slug))),
    )
    counts: list[Any] = [func.count(Enrollment.id).filter(true(), *some) for some in sifted]
    found = session.execute(_joined(select(*counts).select_from(Enrollment)).where(*which)).one()
    named, active, running, mailable, to_send = found
    return Audience(
        to_send=to_send,
        had=mailable - to_send,
        suppressed=running - mailable,
        not_active=named - active,
        paused_cohort=active - running,
    )


def order(
    session: Session, course: Live, note: NoteFile, *, who: str, now: datetime, why: str | None
) -> None:
    """Keep the note, and write the order down. RefusedError where its name stands for another text
    already."""
    if require_same_text(session, course, note) is None:
        session.add(
            Note(
                course_id=course.id,
                slug=note.slug,
                text=note.text,
                content_hash=_hash(note),
                created_at=now,
                created_by=who,
            )
        )
    audit.record(session, who, "note send", now, why=why, course=course.slug, note=note.slug)


def require_same_text(session: Session, course: Live, note: NoteFile) -> Note | None:
    """The note of that name, if it was ordered before. RefusedError where that had another text:
    who has had it would not get this."""
    stands = find(session, course.id, note.slug)
    if stands is not None and stands.content_hash != _hash(note):
        raise RefusedError(
            f"Note {note.slug!r} of {course.slug} was ordered on {stands.created_at:%Y-%m-%d} with "
            "another text. Give this file another name; nobody gets one note twice."
        )
    return stands


def _hash(note: NoteFile) -> str:
    return sha256(note.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Moment:
    """When a note leaves: at an instant, or at a wall time on each reader's own clock."""

    at: datetime  # aware: that instant; naive: on each reader's clock

    def of(self, zone: ZoneInfo) -> datetime:
        return self.at if self.at.tzinfo else to_utc(self.at.date(), self.at.time(), zone)


def plan_some(
    session: Session,
    course: Live,
    note: NoteFile,
    chosen: Chosen,
    moment: Moment,
    now: datetime,
    *,
    beyond: int,
) -> tuple[int, int]:
    """T1 for up to `BATCH` of them with higher numbers than `beyond`; returns how many got a row,
    and the number that this came to (0: all are done)."""
    ids = session.scalars(
        _joined(select(Enrollment.id))
        .where(
            *_which(session, course, chosen),
            Enrollment.state == EnrollmentState.ACTIVE,
            Cohort.state.in_(RUNNING_COHORT),
            not_(bars_learner()),
            not_(_has(note.slug)),
            Enrollment.id > beyond,
        )
        .order_by(Enrollment.id)
        .limit(BATCH)
    ).all()
    if not ids:
        return 0, 0
    mails = [
        ledger.Planned(
            enrollment_id=learner.id,
            course_id=course.id,
            kind=MessageKind.NOTE,
            message_key=key_of(note.slug),
            due_at=moment.of(planning.rhythm(course.curriculum, learner.clock).zone),
            rank=ledger.RANK_LESSON,
        )
        for learner in planning.learners_where(session, Enrollment.id.in_(ids))
    ]
    ledger.plan(session, mails, now)
    return len(mails), ids[-1]


def plan_all(
    writing: Callable[[Callable[[Session], tuple[int, int]]], tuple[int, int]],
    course: Live,
    note: NoteFile,
    chosen: Chosen,
    moment: Moment,
    now: datetime,
) -> Iterator[int]:
    """Some at a time, `writing(work)` running each in a transaction of its own; yields how many
    each brought. Broken off and ordered again, it goes on where it was."""
    beyond, is_full = 0, True
    while is_full:
        some = partial(plan_some, course=course, note=note, chosen=chosen, moment=moment, now=now)
        count, beyond = writing(partial(some, beyond=beyond))
        is_full = beyond > 0
        if count:
            yield count


def _joined(statement: Select[Any]) -> Select[Any]:
    return statement.join(Subscriber, Subscriber.id == Enrollment.subscriber_id).join(
        Cohort, Cohort.id == Enrollment.cohort_id
    )


def _which(session: Session, course: Live, chosen: Chosen) -> list[ColumnElement[bool]]:
    found = [*selecting.where(session, chosen.selection), Enrollment.course_id == course.id]
    if chosen.revision_id is not None:
        got = select(1).where(
            Delivery.enrollment_id == Enrollment.id,
            Delivery.revision_id == chosen.revision_id,
            Delivery.kind == MessageKind.LESSON,
            Delivery.state.in_(history.LEFT),
        )
        found.append(exists(got.correlate(Enrollment)))
    return found


def _has(slug: str) -> ColumnElement[bool]:
    mine = select(1).where(
        Delivery.enrollment_id == Enrollment.id,
        Delivery.message_key == key_of(slug),
        not_(Delivery.superseded),
    )
    return exists(mine.correlate(Enrollment))


# What was ordered ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A note, and how its mails stand."""

    course: str
    note: str
    ordered_at: datetime
    ordered_by: str
    first_at: datetime | None
    last_at: datetime | None
    pending: int
    accepted: int
    cancelled: int
    other: int  # on their way, unknown or failed


def listing(session: Session, slug: str | None = None, course: str | None = None) -> list[Line]:
    """All notes, the newest first; or those of that slug."""
    counted = func.count(Delivery.id)
    states = (DeliveryState.PENDING, DeliveryState.ACCEPTED, DeliveryState.CANCELLED)
    columns: list[Any] = [
        Course.slug,
        Note.slug,
        Note.created_at,
        Note.created_by,
        func.min(Delivery.send_at),
        func.max(Delivery.send_at),
        *(counted.filter(Delivery.state == state) for state in states),
        counted.filter(Delivery.state.not_in(states)),
    ]
    statement = (
        select(*columns)
        .select_from(Note)
        .join(Course, Course.id == Note.course_id)
        .outerjoin(
            Delivery,
            (Delivery.course_id == Note.course_id)
            & (Delivery.kind == MessageKind.NOTE)
            & (Delivery.message_key == literal(key_of("")).concat(Note.slug)),
        )
        .group_by(Note.id, Course.slug)
        .order_by(Note.id.desc())
    )
    if slug is not None:
        statement = statement.where(Note.slug == slug)
    if course is not None:
        statement = statement.where(Course.slug == course)
    return [Line(*row) for row in session.execute(statement)]


def find(session: Session, course_id: int, slug: str) -> Note | None:
    return session.scalar(select(Note).where(Note.course_id == course_id, Note.slug == slug))


def named(session: Session, name: str) -> Note:
    """`course/note`, or the note's name where only one course has it."""
    course, _, slug = name.rpartition("/")
    statement = select(Note).join(Course, Course.id == Note.course_id).where(Note.slug == slug)
    if course:
        statement = statement.where(Course.slug == course)
    found = list(session.scalars(statement))
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInputError(f"Several courses have a note {slug!r}; write COURSE/{slug}")
    raise NotFoundError(f"No note {name!r}. See them with: minicourse note list")


def held_by(session: Session, note: Note) -> list[Hold]:
    """The holds on that note alone."""
    return [
        one
        for one in holds.standing(session)
        if (one.course_id, one.lesson) == (note.course_id, key_of(note.slug))
    ]


def cancel_some(session: Session, note: Note, now: datetime) -> int:
    """T10 for up to `BATCH` of its mails that wait; returns how many there were."""
    waiting = session.scalars(
        select(Delivery.id)
        .where(
            Delivery.course_id == note.course_id,
            Delivery.message_key == key_of(note.slug),
            Delivery.kind == MessageKind.NOTE,
            Delivery.state == DeliveryState.PENDING,
            Delivery.rank == ledger.RANK_LESSON,
        )
        .order_by(Delivery.id)
        .limit(BATCH)
    ).all()
    ledger.withhold(session, waiting, "note cancelled", now)
    return len(waiting)
