"""A learner's pause, and going on. What waits stays in the ledger, and leaves later as a late
lesson does: one after the other."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from course import brake, planning
from course.db import among, changed
from course.errors import InvalidInputError
from course.models import Enrollment
from course.states import EnrollmentState
from course.steering import Fate, Judged, Learner, said, why_not
from course.timing import local_date, to_utc

E = EnrollmentState
_BEFORE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Pause:
    """No lessons until that day, for so many days, or until somebody resumes them."""

    until: date | None = None
    days: int | None = None
    action = "subscriber pause"

    def judge(self, session: Session, found: Sequence[Learner], now: datetime) -> list[Judged]:
        del session
        return [self._judge(learner, now) for learner in found]

    def _judge(self, learner: Learner, now: datetime) -> Judged:
        if learner.state not in (E.ACTIVE, E.PAUSED):
            return said(learner, Fate.REFUSED, why_not(learner))
        until, words = self._end(learner, now)
        if learner.state is E.PAUSED and learner.enrollment.paused_until == until:
            return said(learner, Fate.ALREADY, f"is paused {words} already")
        return said(learner, Fate.TOUCHED, f"paused {words}", until=until and until.isoformat())

    def _end(self, learner: Learner, now: datetime) -> tuple[datetime | None, str]:
        """That day, before the hour of their lessons: at midnight what is a few hours late would
        leave, and at the hour itself what is shifted would wait for the next day."""
        if self.until is None and self.days is None:
            return None, "until somebody resumes them"
        rhythm = learner.pace.rhythm
        day = self.until or local_date(now, rhythm.zone) + timedelta(days=self.days or 0)
        until = to_utc(day, rhythm.at, rhythm.zone) - _BEFORE
        if until <= now:
            raise InvalidInputError(
                f"--until {day} has begun already; give a day that is still to come"
            )
        return until, f"until {day:%a %Y-%m-%d}"

    def act(
        self, session: Session, touched: Sequence[Judged], now: datetime
    ) -> Mapping[int, Mapping[str, object]]:
        del now
        by_end: dict[str | None, list[int]] = defaultdict(list)
        for one in touched:
            by_end[one.detail["until"]].append(one.enrollment_id)
        for until, ids in by_end.items():
            end = datetime.fromisoformat(until) if until else None
            changed(
                session,
                update(Enrollment)
                .where(
                    among(session, Enrollment.id, ids), Enrollment.state.in_((E.ACTIVE, E.PAUSED))
                )
                .values(state=E.PAUSED, paused_until=end, next_due_at=None),
            )
        return {}


@dataclass(frozen=True, slots=True)
class Resume:
    """Lessons again, from now on."""

    action = "subscriber resume"

    def judge(self, session: Session, found: Sequence[Learner], now: datetime) -> list[Judged]:
        del session, now
        return [self._judge(learner) for learner in found]

    def _judge(self, learner: Learner) -> Judged:
        if learner.state is E.PAUSED:
            return said(learner, Fate.TOUCHED, "goes on")
        if learner.state is E.ACTIVE:
            return said(learner, Fate.ALREADY, "is not paused")
        return said(learner, Fate.REFUSED, why_not(learner))

    def act(
        self, session: Session, touched: Sequence[Judged], now: datetime
    ) -> Mapping[int, Mapping[str, object]]:
        planning.resume(session, [one.enrollment_id for one in touched], now)
        brake.foresee(session, len(touched), now)
        return {}
