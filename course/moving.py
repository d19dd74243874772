"""Learners put into another cohort of the same course."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from course import (
    cohorts,
    courses,
    invitations,
    ledger,
    places,
    progress,
    reach,
    retiming,
    rollups,
)
from course.db import among, changed
from course.errors import RefusedError
from course.models import Cohort, Delivery, Enrollment
from course.starting import start_of
from course.states import OPEN_ENROLLMENT, RUNNING_COHORT, CohortState, EnrollmentState, MessageKind
from course.steering import Fate, Judged, Learner, said, why_not
from course.wording import counted

E = EnrollmentState
_CONFIRMED = (E.ACTIVE, E.PAUSED)
_WAY_ON = {
    CohortState.DRAFT: "Open it first: minicourse cohort open {}",
    CohortState.PAUSED: "Let it go on first: minicourse cohort resume {}",
    CohortState.ARCHIVED: "Nobody joins it any more; make another: minicourse cohort create --help",
}


@dataclass(frozen=True, slots=True)
class Move:
    """Into that cohort. Who has begun goes on where they are, on its days and at its hour; who has
    not begins when it does, and is told so as if they had confirmed there, unless they were
    told of a first day before."""

    cohort_id: int
    action = "subscriber move"

    def judge(self, session: Session, found: Sequence[Learner], now: datetime) -> list[Judged]:
        target = session.get_one(Cohort, self.cohort_id)
        left = _places(session, target, now)
        told = _to_be_told(session, target, found, now)
        judged: list[Judged] = []
        for learner in found:
            judged.append(_judge(learner, target, left, is_told=learner.enrollment.id in told))
            left -= judged[-1].is_touched
        return judged

    def act(
        self, session: Session, touched: Sequence[Judged], now: datetime
    ) -> Mapping[int, Mapping[str, object]]:
        ids = [one.enrollment_id for one in touched]
        mails = session.scalars(
            select(Delivery.id).where(among(session, Delivery.enrollment_id, ids))
        ).all()
        ledger.lock(session, mails)
        with rollups.kept(session, mails), reach.changed(session, mails):
            changed(
                session,
                update(Enrollment)
                .where(among(session, Enrollment.id, ids), Enrollment.state.in_(OPEN_ENROLLMENT))
                .values(cohort_id=self.cohort_id),
            )
        _begin_anew(session, session.get_one(Cohort, self.cohort_id), ids, now)
        retiming.retime(session, ids, now)
        ledger.look_again(session, ids, now)
        return {}


def target(session: Session, name: str) -> Cohort:
    """The cohort of that name; RefusedError where nobody can be put into it."""
    found = cohorts.find(session, name)
    label, state = cohorts.label(found), CohortState(found.state)
    if found.rehearsal_every is not None:
        raise RefusedError(f"Cohort {label} is a rehearsal: nobody is put into it")
    if state not in RUNNING_COHORT:
        raise RefusedError(f"Cohort {label} is {state}. {_WAY_ON[state].format(label)}")
    return found


def _judge(learner: Learner, target: Cohort, left: float, *, is_told: bool) -> Judged:
    label = f"{target.course.slug}/{target.name}"
    if target.course_id != learner.course.id:
        words = f"takes {learner.course.slug}, and {label} is of another course"
        return said(learner, Fate.REFUSED, words)
    if learner.cohort.id == target.id:
        return said(learner, Fate.ALREADY, f"is in {label} already")
    if learner.state not in OPEN_ENROLLMENT:
        return said(learner, Fate.REFUSED, why_not(learner))
    if left < 1:
        words = f"finds no place: {label} is full ({counted(target.capacity or 0, 'place')})"
        return said(learner, Fate.REFUSED, words)
    return said(
        learner,
        Fate.TOUCHED,
        f"from {learner.cohort.name} to {target.name}"
        + ("; a mail tells them when it begins" if is_told else ""),
        **{"from": learner.cohort.name, "to": target.name},
    )


def _to_be_told(
    session: Session, cohort: Cohort, found: Sequence[Learner], now: datetime
) -> set[int]:
    """Who takes part, waits for the first day there, and was told of none before."""
    if cohort.starts_on is None:
        return set()
    ids = [one.enrollment.id for one in found if one.state in _CONFIRMED]
    known = {*progress.stories(session, ids), *invitations.invited(session, ids)}
    curriculum = courses.by_id(session, cohort.course_id).curriculum

    def starts_at(one: Learner) -> datetime:
        person = one.person
        return start_of(cohort, curriculum, now, zone=person.zone, hour=person.hour)

    return {one.enrollment.id for one in found if starts_at(one) > now} & {*ids} - known


def _places(session: Session, cohort: Cohort, now: datetime) -> float:
    if cohort.capacity is None:
        return float("inf")
    return cohort.capacity - places.taken(session, cohort, now)


def _begin_anew(session: Session, cohort: Cohort, ids: Sequence[int], now: datetime) -> None:
    """Who has confirmed and has had no lesson yet gets the new cohort's start."""
    begun = progress.stories(session, ids)
    curriculum = courses.by_id(session, cohort.course_id).curriculum
    confirmed = select(Enrollment).where(
        among(session, Enrollment.id, [number for number in ids if number not in begun]),
        Enrollment.state.in_(_CONFIRMED),
    )
    waiting = session.scalars(confirmed).all()
    for one in waiting:
        person = one.subscriber
        one.starts_at = start_of(cohort, curriculum, now, zone=person.zone, hour=person.hour)
    session.flush()
    numbers = [one.id for one in waiting]
    ledger.cancel(session, numbers, invitations.MOVED, now, kinds=[MessageKind.REMINDER])
    invitations.move(session, numbers, now)
    invitations.invite(session, numbers, now)
