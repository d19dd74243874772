"""The checker: compares what the provider took with what the ledger says, and names each breach of
the promise. Every function returns sentences; none means that all is well.

I1 no mail is accepted twice, unless a person or the `auto` policy ordered it
I2 what is `accepted` was taken, unless a person said so
I3 what is pending, claimed, failed or cancelled was not, unless it was ordered again
I4 each due lesson has exactly one live row, and no learner is forgotten
I5 once events have flowed, `unknown` is exactly what was not taken
I6 nothing whose line came after an unsubscribe was taken
I7 no two lessons of one course lie closer than the minimum gap (the welcome mail aside)
I8 lessons arrive in order
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise

from sqlalchemy import select
from sqlalchemy.orm import Session

from course import courses
from course.ledger import RANK_WELCOME
from course.models import Cohort, Delivery, Enrollment, Subscriber
from course.states import RUNNING_COHORT, UNDECIDED, MessageKind
from course.suppressions import bars_learner
from tests.standin import Taken

NOT_SENT = ("pending", "claimed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery, as far as the promise asks."""

    id: int
    enrollment_id: int
    message_key: str
    is_lesson: bool
    is_welcome: bool
    superseded: bool
    state: str
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Learner:
    """An enrollment; `running`: active, in a cohort that runs; `is_barred`: a bounce or a complaint
    stands against it, though they signed up anew or came back."""

    id: int
    running: bool
    state: str
    next_due_at: datetime | None
    is_barred: bool = False


@dataclass(frozen=True)
class Ledger:
    """One look at the whole ledger. All learners are of one course."""

    rows: Mapping[int, Row]
    learners: Mapping[int, Learner]
    lessons: tuple[str, ...]  # of the live revision, in order
    minimum_gap: timedelta

    def of(self, learner: Learner) -> list[Row]:
        return self._by_learner[learner.id]

    @cached_property
    def _by_learner(self) -> Mapping[int, list[Row]]:
        found: dict[int, list[Row]] = defaultdict(list)
        for row in self.rows.values():
            found[row.enrollment_id].append(row)
        return found


def look(session: Session, course: str = "job-search") -> Ledger:
    """Read the ledger of one course."""
    live = courses.live(session, course)
    rows = session.execute(
        select(
            Delivery.id,
            Delivery.enrollment_id,
            Delivery.message_key,
            Delivery.kind,
            Delivery.rank,
            Delivery.superseded,
            Delivery.state,
            Delivery.settled_at,
        )
        .where(Delivery.course_id == live.id)
        .order_by(Delivery.id)
    )
    learners = session.execute(
        select(
            Enrollment.id,
            Enrollment.state,
            Enrollment.next_due_at,
            Cohort.state,
            bars_learner(),
        )
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(Enrollment.course_id == live.id)
        .order_by(Enrollment.id)
    )
    return Ledger(
        rows={
            row.id: Row(
                id=row.id,
                enrollment_id=row.enrollment_id,
                message_key=row.message_key,
                is_lesson=row.kind == MessageKind.LESSON,
                is_welcome=row.rank == RANK_WELCOME,
                superseded=row.superseded,
                state=row.state,
                settled_at=row.settled_at,
            )
            for row in rows
        },
        learners={
            number: Learner(
                number,
                state == "active" and cohort in RUNNING_COHORT,
                state,
                next_due_at,
                is_barred=bool(is_barred),
            )
            for number, state, next_due_at, cohort, is_barred in learners
        },
        lessons=tuple(lesson.slug for lesson in live.curriculum.lessons),
        minimum_gap=live.curriculum.schedule.minimum_gap,
    )


def violations(
    ledger: Ledger,
    taken: Sequence[Taken],
    *,
    left: Mapping[int, Collection[int]] | None = None,
    ordered: Collection[int] = (),
) -> list[str]:
    """What must hold at any moment. `left`: enrollments that were left, each with the deliveries
    that had crossed the line by then. `ordered`: deliveries that were ordered to go again."""
    return [
        *accepted_twice(taken, ordered),
        *foreign(ledger, taken),
        *accepted_in_the_ledger_alone(ledger, taken, ordered),
        *taken_against_the_ledger(ledger, taken, ordered),
        *doubled_rows(ledger),
        *forgotten_learners(ledger),
        *sent_after_leaving(ledger, taken, left or {}),
        *too_close(ledger, taken, ordered),
        *out_of_order(ledger, taken, ordered),
    ]


def accepted_twice(taken: Sequence[Taken], ordered: Collection[int] = ()) -> list[str]:
    """I1."""
    times = Counter(mail.delivery_id for mail in taken)
    return [
        f"I1: delivery {number} was accepted {count} times"
        for number, count in times.items()
        if count > 1 and number not in ordered
    ]


def foreign(ledger: Ledger, taken: Sequence[Taken]) -> list[str]:
    """What was taken stands in the ledger at all: rows are never deleted."""
    numbers = {mail.delivery_id for mail in taken} - ledger.rows.keys()
    return [f"I1: delivery {number} was accepted, but has no row" for number in sorted(numbers)]


def accepted_in_the_ledger_alone(
    ledger: Ledger, taken: Sequence[Taken], ordered: Collection[int] = ()
) -> list[str]:
    """I2. A person may have said of an unknown one that it was sent."""
    numbers = {mail.delivery_id for mail in taken}.union(ordered)
    return [
        f"I2: delivery {row.id} is accepted, but the provider never took it"
        for row in ledger.rows.values()
        if row.state == "accepted" and row.id not in numbers
    ]


def taken_against_the_ledger(
    ledger: Ledger, taken: Sequence[Taken], ordered: Collection[int] = ()
) -> list[str]:
    """I3."""
    numbers = {mail.delivery_id for mail in taken} - set(ordered)
    return [
        f"I3: delivery {row.id} is {row.state}, but the provider took it"
        for row in ledger.rows.values()
        if row.state in NOT_SENT and row.id in numbers
    ]


def doubled_rows(ledger: Ledger) -> list[str]:
    """I4, at most one."""
    times = Counter(
        (row.enrollment_id, row.message_key) for row in ledger.rows.values() if not row.superseded
    )
    return [
        f"I4: enrollment {learner} has {count} live rows for {key}"
        for (learner, key), count in times.items()
        if count > 1
    ]


def forgotten_learners(ledger: Ledger) -> list[str]:
    """I4, at least one: a learner is to be looked at, or waits for a lesson whose settling will
    have them looked at."""
    return [
        f"I4: enrollment {learner.id} is active, but nothing will ever look at it again"
        for learner in ledger.learners.values()
        if learner.running
        and learner.next_due_at is None
        and not any(row.is_lesson and row.state in UNDECIDED for row in ledger.of(learner))
    ]


def sent_after_leaving(
    ledger: Ledger, taken: Sequence[Taken], left: Mapping[int, Collection[int]]
) -> list[str]:
    """I6."""
    return [
        f"I6: delivery {mail.delivery_id} went to enrollment {learner} after it had been left"
        for mail, row in _known(ledger, taken)
        for learner in [row.enrollment_id]
        if learner in left and mail.delivery_id not in left[learner]
    ]


def too_close(ledger: Ledger, taken: Sequence[Taken], ordered: Collection[int] = ()) -> list[str]:
    """I7."""
    return [
        f"I7: enrollment {learner} got {later.delivery_id} {later.at - earlier.at} after "
        f"{earlier.delivery_id}"
        for learner, mails in _lessons_by_learner(ledger, taken, ordered).items()
        for earlier, later in pairwise(
            mail for mail in mails if not ledger.rows[mail.delivery_id].is_welcome
        )
        if later.at - earlier.at < ledger.minimum_gap
    ]


def out_of_order(
    ledger: Ledger, taken: Sequence[Taken], ordered: Collection[int] = ()
) -> list[str]:
    """I8. Rows are made one after the other, so their ids stand in the order of the course as it
    was at each time."""
    return [
        f"I8: enrollment {learner} got {later.delivery_id} after {earlier.delivery_id}"
        for learner, mails in _lessons_by_learner(ledger, taken, ordered).items()
        for earlier, later in pairwise(mails)
        if later.delivery_id <= earlier.delivery_id
    ]


# When the dust has settled ------------------------------------------------------------------------


def unsettled_evidence(ledger: Ledger, taken: Sequence[Taken]) -> list[str]:
    """I5, after faults have stopped and all events have flowed."""
    numbers = {mail.delivery_id for mail in taken}
    return [
        f"I5: delivery {row.id} is {row.state}, but the provider took it"
        for row in ledger.rows.values()
        if row.id in numbers and row.state != "accepted"
    ]


def undecided(ledger: Ledger) -> list[str]:
    """When nothing is on its way any more, only `unknown` is left without an end."""
    return [
        f"delivery {row.id} is still {row.state}"
        for row in ledger.rows.values()
        if row.state in ("pending", "claimed", "sending")
    ]


def lost_lessons(
    ledger: Ledger, lessons: Collection[str], *, was_edited: bool = False
) -> list[str]:
    """I4, when these lessons are long due: everybody who stayed, and may be mailed, has a row for
    each. Who has completed an earlier state of a course that was edited misses nothing."""
    due_to = ("active",) if was_edited else ("active", "completed")
    return [
        f"I4: enrollment {learner.id} has no row for {', '.join(missing)}"
        for learner in ledger.learners.values()
        if learner.state in due_to and not learner.is_barred
        for rows in [{row.message_key for row in ledger.of(learner) if not row.superseded}]
        if (missing := [lesson for lesson in lessons if lesson not in rows])
    ]


def _known(ledger: Ledger, taken: Sequence[Taken]) -> Iterator[tuple[Taken, Row]]:
    return (
        (mail, ledger.rows[mail.delivery_id]) for mail in taken if mail.delivery_id in ledger.rows
    )


def _lessons_by_learner(
    ledger: Ledger, taken: Sequence[Taken], ordered: Collection[int]
) -> Mapping[int, list[Taken]]:
    found: dict[int, list[Taken]] = defaultdict(list)
    for mail, row in _known(ledger, taken):
        if row.is_lesson and row.id not in ordered:
            found[row.enrollment_id].append(mail)
    return found
