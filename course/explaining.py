"""Why a person did or did not get each lesson, and what comes next: in sentences, from the ledger,
and from timing's own functions. Reads only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from course import asking, fates, fields, ledger, planning, progress, steering, suppressions, timing
from course.curriculum import Course as Curriculum
from course.curriculum import Lesson
from course.models import Delivery, Hold
from course.notation import WEEKDAYS
from course.planning import Pace
from course.skipping import lesson_rows
from course.states import (
    RUNNING_COHORT,
    CohortState,
    DeliveryState,
    EnrollmentState,
    HoldScope,
)
from course.steering import Learner
from course.timing import DAY, Due, Late, Past, Reason, Rhythm, Rule, Step, Wait, local_date

E, S = EnrollmentState, DeliveryState


@dataclass(frozen=True, slots=True)
class Told:
    """A lesson and what there is to say of it; `state` is None where nothing is decided yet."""

    lesson: str
    subject: str
    state: str | None
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Coming:
    """What comes next, if nothing in `in_the_way` stops it; the second time is their own clock."""

    lesson: str
    due_at: datetime
    local_due_at: datetime


@dataclass(frozen=True, slots=True)
class Explanation:
    """One person's way through one course. `standing` says how they stand, `in_the_way` what keeps
    mail from them now."""

    email: str | None
    course: str
    cohort: str
    state: str
    zone: str
    standing: tuple[str, ...]
    in_the_way: tuple[str, ...]
    next: Coming | None
    lessons: tuple[Told, ...]


def explain(
    session: Session,
    email: str,
    course: str | None,
    now: datetime,
    *,
    unknown_policy: str,
    auto_wait_hours: float,
) -> Explanation:
    """All that decides, for that person's newest enrollment in that course."""
    number = steering.one_of(session, email, course)
    (learner,) = steering.learners(session, [number])
    case = _Case(
        session=session,
        learner=learner,
        curriculum=learner.curriculum,
        pace=learner.pace,
        now=now,
        rows=lesson_rows(session, [number])[number],
        policy=(unknown_policy, auto_wait_hours),
    )
    return case.explain()


@dataclass(frozen=True)
class _Case:
    session: Session
    learner: Learner
    curriculum: Curriculum
    pace: Pace
    now: datetime
    rows: Mapping[str, Delivery]  # the lessons that stand
    policy: tuple[str, float]
    unwanted: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        unwanted = self.pace.conditions.unwanted(self.learner.enrollment.fields)
        object.__setattr__(self, "unwanted", unwanted)

    def explain(self) -> Explanation:
        coming = self._coming()
        return Explanation(
            email=self.learner.person.email,
            course=self.curriculum.slug,
            cohort=self.learner.cohort.name,
            state=self.learner.enrollment.state,
            zone=self.pace.rhythm.zone.key,
            standing=tuple(self._standing()),
            in_the_way=tuple(self._in_the_way(coming)),
            next=coming,
            lessons=tuple(self._lessons(coming)),
        )

    # How they stand -------------------------------------------------------------------------------

    def _standing(self) -> Iterator[str]:
        one = self.learner.enrollment
        match self.learner.state:
            case E.PENDING:
                yield f"Signed up on {self._when(one.created_at)} and has not confirmed."
            case E.ACTIVE:
                yield f"Takes part since {self._when(one.confirmed_at or one.created_at)}."
            case E.PAUSED:
                yield "Takes part, and is paused."
            case E.COMPLETED:
                yield f"Through with the course since {self._when(one.ended_at)}."
            case E.CANCELLED:
                yield f"Out of the course since {self._when(one.ended_at)}: {one.reason}."
        hour = f"{self.pace.rhythm.at:%H:%M}"
        if self.pace.rhythm.until:
            hour += f" to {self.pace.rhythm.until:%H:%M}"
        yield f"Lessons come at {hour} in {self.pace.rhythm.zone.key}{self._whose()}."

    def _whose(self) -> str:
        person, cohort = self.learner.person, self.learner.cohort
        zone = "their own" if person.zone else "the cohort's" if cohort.zone else "the course's"
        hour = "their own" if person.hour else "the cohort's" if cohort.hour else "the course's"
        return f" ({zone} zone, {hour} hour)"

    # What keeps mail from them --------------------------------------------------------------------

    def _in_the_way(self, coming: Coming | None) -> Iterator[str]:
        one, cohort = self.learner.enrollment, self.learner.cohort
        label = f"{self.curriculum.slug}/{cohort.name}"
        if self.learner.person.email is None:
            yield "The address was erased."
        for bar in suppressions.standing(
            self.session, [self.learner.person.email_hash], self.learner.course.id
        ):
            scope = "this course" if bar.course_id else "all courses"
            since = self._when(bar.created_at)
            yield (
                f"The address may not be mailed, in {scope}: {bar.reason} on {since} "
                f"by {bar.source}."
            )
        if self.learner.state in (E.PENDING, E.CANCELLED):
            person = self.learner.person
            yield from asking.used_up(self.session, person.email_hash, person.mailbox_hash)
        if self.learner.state is E.PAUSED:
            until = (
                f"until {self._when(one.paused_until)}" if one.paused_until else "without an end"
            )
            yield (
                f"Paused {until}; to go on: "
                f"minicourse subscriber resume {self.learner.person.email}"
            )
        if cohort.state not in RUNNING_COHORT:
            step = f"; to go on: minicourse cohort resume {label}"
            is_paused = cohort.state == CohortState.PAUSED
            yield f"The cohort {label} is {cohort.state}{step if is_paused else ''}."
        for hold in self._holds(coming.lesson if coming else None):
            yield (
                f"Held since {self._when(hold.since)} by {hold.who} ({hold.scope}): {hold.why}; "
                f"to let it go: minicourse send release {hold.id}"
            )

    def _holds(self, lesson: str | None) -> list[Hold]:
        standing = self.session.scalars(select(Hold).where(Hold.ended_at.is_(None)))
        course, cohort = self.learner.course.id, self.learner.cohort.id
        covers: Mapping[str, Any] = {
            HoldScope.ALL: lambda _: True,
            HoldScope.COURSE: lambda hold: hold.course_id == course,
            HoldScope.COHORT: lambda hold: hold.cohort_id == cohort,
            HoldScope.LESSON: lambda hold: hold.course_id == course and hold.lesson == lesson,
        }
        return [hold for hold in standing if covers[hold.scope](hold)]

    # What comes next ------------------------------------------------------------------------------

    def _coming(self) -> Coming | None:
        if self.learner.state not in (E.ACTIVE, E.PAUSED):
            return None
        for row in self.rows.values():
            if row.state in (S.PENDING, S.CLAIMED, S.SENDING):
                return self._at(row.message_key, row.send_at)
        decision = self._decision()
        if not isinstance(decision, Due):
            return None
        due, looked_at = decision.comes_at, self._looked_at
        rhythm = self.pace.of(decision.slug)
        if decision.is_welcome or not timing.is_late(due, looked_at, rhythm):
            return self._at(decision.slug, max(due, looked_at))
        release = timing.release(due, looked_at, rhythm, self.pace.late)
        return self._at(decision.slug, release.send_at) if release else None

    @property
    def _looked_at(self) -> datetime:
        """When the planner asks next what is due: not before the end of a pause."""
        return max(self.now, self.learner.enrollment.paused_until or self.now)

    def _at(self, lesson: str, moment: datetime) -> Coming:
        return Coming(lesson, moment, moment.astimezone(self.pace.rhythm.zone))

    def _decision(self) -> object:
        starts_at = self.learner.enrollment.starts_at
        if starts_at is None:
            return None
        return timing.next_lesson(
            self.pace.steps,
            self._past(),
            self.pace.rhythm,
            starts_at,
            self.now,
            rolling=self._rolling,
            unwanted=self.unwanted,
        )

    def _past(self) -> Mapping[str, Past]:
        number = self.learner.enrollment.id
        story = progress.stories(self.session, [number]).get(number)
        return story.past if story else {}

    @property
    def _rolling(self) -> bool:
        return self.learner.cohort.starts_on is None

    # Lesson by lesson -----------------------------------------------------------------------------

    def _lessons(self, coming: Coming | None) -> Iterator[Told]:
        behind: str | None = None
        for lesson in self.curriculum.lessons:
            row = self.rows.get(lesson.slug)
            if row is not None:
                because = tuple(self._of_row(lesson, row))
            elif lesson.slug in self.unwanted:
                because = (self._not_for_them(lesson),)
            elif coming and coming.lesson == lesson.slug:
                because = tuple(self._of_next(coming))
            else:
                because = (self._not_yet(behind),)
            yield Told(lesson.slug, lesson.subject, row.state if row else None, because)
            behind = lesson.slug

    def _not_yet(self, behind: str | None) -> str:
        match self.learner.state:
            case E.PENDING:
                return "Not sent: they have not confirmed."
            case E.CANCELLED:
                return "Not sent: they left before its time."
            case E.COMPLETED:
                return "Not sent: it came into the course when they were through."
        decision = self._decision()
        if isinstance(decision, Wait):
            until = f" until {self._when(decision.until)} at the latest" if decision.until else ""
            return f"Waits for a lesson before it to be settled{until}."
        return f"Comes after {behind}." if behind else "Comes first."

    def _of_next(self, coming: Coming) -> Iterator[str]:
        yield f"Comes next, on {self._when(coming.due_at)}."
        starts_at = self.learner.enrollment.starts_at
        assert starts_at is not None  # else nothing would come
        step = next(one for one in self.pace.steps if one.slug == coming.lesson)
        found = timing.next_reasons(
            self.pace.steps,
            self._past(),
            self.pace.rhythm,
            starts_at,
            rolling=self._rolling,
            unwanted=self.unwanted,
        )
        yield from self._because(step, found)
        if timing.is_late(found[-1].moves_to, self._looked_at, self.pace.of(coming.lesson)):
            yield self._late(self.pace.late, is_ahead=found[-1].moves_to > self.now)

    def _of_row(self, lesson: Lesson, row: Delivery) -> Iterator[str]:
        told = fates.fate(self.session, row, self._when)
        yield f"{told[0].upper()}{told[1:]}."
        if row.state == S.UNKNOWN:
            yield self._of_unknown(row)
        if row.reason == planning.PASSED:
            yield self._not_for_them(lesson)
        elif row.reason == planning.LATE:
            yield self._late(Late.SKIP)
        elif row.state not in (S.CANCELLED, S.FAILED):
            yield from self._of_time(row)

    def _of_unknown(self, row: Delivery) -> str:
        policy, hours = self.policy
        step = f"minicourse delivery resolve {row.id} --as sent|resend|drop --why TEXT"
        if policy == "auto":
            return (
                f"UNKNOWN_POLICY=auto sends it again after {hours:g} hours, on strong evidence; "
                f"or: {step}"
            )
        return f"UNKNOWN_POLICY=hold leaves it for you to decide: {step}"

    def _of_time(self, row: Delivery) -> Iterator[str]:
        """Why it came when it came: by an order, or by the plan, as far as that is known."""
        order = fates.order(self.session, self.learner.person.id, row, self._when)
        if order is not None:
            yield order
        elif row.is_shifted:
            yield (
                f'Its time was over before it left; by late = "{Late.SHIFT}" it was moved to '
                f"{self._when(row.send_at)}, and the rest moves along."
            )
        elif row.send_at > row.due_at:
            yield (
                f"It was planned for {self._when(row.due_at)}, could not come then, and was put "
                f"off to {self._when(row.send_at)}; the rest keeps its plan."
            )
        else:
            yield from self._of_plan(row)
        yield from fates.waited(row, self._when)

    def _of_plan(self, row: Delivery) -> Iterator[str]:
        """The rules, where they lead to the same time today."""
        step = next((one for one in self.pace.steps if one.slug == row.message_key), None)
        found = self._reasons_of(step, row) if step else ()
        if step and found and found[-1].moves_to == row.due_at:
            yield from self._because(step, found)
            return
        yield (
            f"It was planned for {self._when(row.due_at)}, by the rules, hour and zone of that "
            "time. They have changed since."
        )

    def _reasons_of(self, step: Step, row: Delivery) -> tuple[Reason, ...]:
        starts_at = self.learner.enrollment.starts_at
        if starts_at is None:
            return ()
        before = [one for one in self.rows.values() if one.id < row.id]
        own = self.pace.rhythm.of(step)
        sent = [
            one.settled_at
            for one in before
            if one.state == S.ACCEPTED and one.rank == ledger.RANK_LESSON and one.settled_at
        ]
        return timing.reasons(
            step.after,
            own,
            max((one.due_at for one in before), default=starts_at),
            first=step is self.pace.steps[0],
            rolling=self._rolling,
            last_sent=None if own.catches_up else max(sent, default=None),
        )

    # Rules in words -------------------------------------------------------------------------------

    def _because(self, step: Step, found: tuple[Reason, ...]) -> Iterator[str]:
        rhythm = self.pace.rhythm.of(step)
        first, *others = found
        if rhythm.every is not None:
            yield f"A rehearsal: {rhythm.every.seconds} seconds after the one before."
            return
        yield self._distance(step, rhythm)
        before = first.moves_to
        for reason in others:
            yield self._moved(reason, before, rhythm)
            before = reason.moves_to

    def _distance(self, step: Step, rhythm: Rhythm) -> str:
        after, is_first = step.after, step is self.pace.steps[0]
        if is_first and self._rolling and after.is_at_once:
            return "It is due at once when somebody confirms."
        since = "the start" if is_first else "the lesson before"
        if after.weekday is not None:
            distance = f"the first {WEEKDAYS[after.weekday]} after {since}"
        elif after.hours:
            distance = f"{after.hours} hours after {since}"
        elif after.days == 0:
            distance = (
                "as soon as the start has come" if is_first else "the day after the one before"
            )
        else:
            distance = f"{after.days} day{'s' if after.days > 1 else ''} after {since}"
        hour = f"{rhythm.at:%H:%M}" + (f" to {rhythm.until:%H:%M}" if rhythm.until else "")
        return f"By its `after`: {distance}, at {hour}."

    def _moved(self, reason: Reason, before: datetime, rhythm: Rhythm) -> str:
        day = local_date(before, rhythm.zone)
        to = self._when(reason.moves_to)
        match reason.rule:
            case Rule.WEEKDAY:
                names = ", ".join(WEEKDAYS[one] for one in sorted(rhythm.weekdays))
                return f"{day:%a %Y-%m-%d} is none of its weekdays ({names}): moved to {to}."
            case Rule.SKIP_DATE:
                skipped = self._skipped(day, rhythm)
                return f"{skipped} is one of the skip_dates: moved to {to}."
            case Rule.GAP:
                hours = rhythm.minimum_gap / timedelta(hours=1)
                return f"Less than {hours:g} hours (minimum_gap) after the last one: moved to {to}."
            case Rule.AFTER:
                return f"Moved to {to}."

    @staticmethod
    def _skipped(day: Any, rhythm: Rhythm) -> str:
        days = (day + number * DAY for number in count())
        return f"{next(one for one in days if one in rhythm.skip_dates):%Y-%m-%d}"

    def _late(self, late: Late, *, is_ahead: bool = False) -> str:
        over = "will be over when the pause ends" if is_ahead else "was over"
        words = {
            Late.SHIFT: "to the next allowed day and hour, and the rest moves along",
            Late.SEND: "to the first allowed hours, and the rest keeps its plan",
            Late.SKIP: "out: it is not sent any more",
        }
        if late is Late.SKIP:
            return f'Its time {over}; by late = "skip" it is left out.'
        return f'Its time {over}; by late = "{late}" it is moved {words[late]}.'

    def _not_for_them(self, lesson: Lesson) -> str:
        known = fields.values(self.curriculum, self.learner.enrollment.fields)
        asked = {name: value for name, value in known.items() if name in lesson.when}
        said = ", ".join(f"{name} is {_value(value)}" for name, value in asked.items())
        return f"Not for them: it is sent when {lesson.when}; {said or 'nothing is known'}."

    def _when(self, moment: datetime | None) -> str:
        """Their own clock, and UTC."""
        if moment is None:
            return "an unknown day"
        local = moment.astimezone(self.pace.rhythm.zone)
        same_day = local.date() == moment.astimezone(UTC).date()
        utc = f"{moment.astimezone(UTC):{'%H:%M' if same_day else '%Y-%m-%d %H:%M'}}"
        return f"{local:%a %Y-%m-%d %H:%M} ({utc} UTC)"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value}" if value != "" else "not known"
