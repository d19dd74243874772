"""How far learners have come: each one's lessons in the ledger, summed up by the database. Timing
asks for little more than which there are and the latest times, and a course has many lessons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, func, not_, select
from sqlalchemy.orm import Session

from course import ledger
from course.db import among, rows
from course.models import Delivery
from course.states import DeliveryState, MessageKind
from course.timing import Past

S = DeliveryState


@dataclass(frozen=True, slots=True)
class Story:
    """A learner's rows. Who has the same story gets the same lesson next, at the same time."""

    lessons: frozenset[str]
    leaving: frozenset[str]  # of the lessons, those on their way
    unknown: frozenset[str]
    unknown_since: datetime | None
    due_at: datetime
    # The last sending, also of what was ordered again since; the welcome mail aside: it starts no
    # gap.
    sent_at: datetime | None

    @property
    def past(self) -> Mapping[str, Past]:
        """As timing wants it: it asks for the latest times of all rows, so each may tell them."""
        undecided = self.leaving | self.unknown
        patience = self.unknown_since and self.unknown_since + ledger.UNKNOWN_PATIENCE
        return {
            lesson: Past(
                is_settled=lesson not in undecided,
                due_at=self.due_at,
                sent_at=self.sent_at,
                patience_until=patience if lesson in self.unknown else None,
            )
            for lesson in self.lessons
        }


def stories(session: Session, enrollment_ids: Sequence[int]) -> Mapping[int, Story]:
    """By enrollment; who has no lesson yet is left out."""
    if not enrollment_ids:
        return {}
    mine = among(session, Delivery.enrollment_id, enrollment_ids)
    found: Sequence[Row[*tuple[Any, ...]]] = rows(session, _STORIES.where(mine)).all()
    return {
        row[0]: Story(_set(row[1]), _set(row[2]), _set(row[3]), row[4], row[5], row[6])
        for row in found
        if row[1]  # all that they had may have been put aside
    }


@lru_cache(maxsize=4096)
def _set(lessons: str | None) -> frozenset[str]:
    """Many learners have the same; the database names them in any order."""
    return frozenset(lessons.split(",")) if lessons else frozenset()


_LESSONS = func.aggregate_strings(Delivery.message_key, ",")
_STANDS = not_(Delivery.superseded)
_IS_LEAVING = Delivery.state.in_((S.PENDING, S.CLAIMED, S.SENDING))
_IS_UNKNOWN = Delivery.state == S.UNKNOWN
_IS_SENT = (Delivery.state == S.ACCEPTED) & (Delivery.rank == ledger.RANK_LESSON)
_STORIES = (
    select(
        Delivery.enrollment_id,
        _LESSONS.filter(_STANDS),
        _LESSONS.filter(_IS_LEAVING),
        _LESSONS.filter(_IS_UNKNOWN),
        func.max(Delivery.unknown_since).filter(_IS_UNKNOWN),
        func.max(Delivery.due_at).filter(_STANDS),
        func.max(Delivery.settled_at).filter(_IS_SENT),
    )
    .where(Delivery.kind == MessageKind.LESSON)
    .group_by(Delivery.enrollment_id)
)
