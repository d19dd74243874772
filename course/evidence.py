"""What speaks for and against a mail of which nobody can know whether it left.

The provider takes a request whole or not at all, so the question is asked of requests: were other
mails of this one heard of, and were all mails of the requests around it? Reads only.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, exists, func, select
from sqlalchemy.orm import Session

from course import installation
from course.answers import Verdict
from course.models import Delivery, Request
from course.settings import Settings
from course.states import DeliveryState

S = DeliveryState
# Of so many accepted requests on either side it is asked whether their mails were heard of.
_NEIGHBOURS = 3


class Advice(StrEnum):
    """What the evidence says."""

    SENT = "sent"
    RESEND = "resend"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a request whose answer was lost."""

    taken: int  # its mails that the provider is known to have
    last_event: datetime | None  # when the webhook was last heard, if since then
    around: int  # mails of the accepted requests next to it
    around_heard: int
    is_followed: bool  # whether an accepted request came after it
    ripe_at: datetime  # events may be late until then (real time)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A request whose answer was lost, what speaks for and against, and what follows from it."""

    request: int
    sent_at: datetime
    size: int
    unknown: int  # of the mails that were asked about
    answer: str
    evidence: Evidence
    advice: Advice
    because: str


def doubts(
    session: Session, settings: Settings, where: ColumnElement[bool], real: datetime
) -> list[Doubt]:
    """The requests of these deliveries, the oldest first."""
    asked = session.execute(
        select(
            Request.id,
            Request.sent_at,
            Request.size,
            func.count(Delivery.id).label("unknown"),
            func.min(Delivery.reason).label("reason"),
        )
        .join(Delivery, Delivery.request_id == Request.id)
        .where(where)
        .group_by(Request.id)
        .order_by(Request.id)
    ).all()
    around = {row.id: (_near(session, row.id), _near(session, row.id, after=True)) for row in asked}
    named = {number for pair in around.values() for side in pair for number in side}
    counts = _counts(session, named | set(around))
    last_event = installation.get(session).last_event_at
    wait = timedelta(hours=settings.auto_wait_hours)
    return [
        _doubt(row, *around[row.id], counts=counts, last_event=last_event, wait=wait, real=real)
        for row in asked
    ]


def _near(session: Session, request_id: int, *, after: bool = False) -> list[int]:
    """The accepted requests next to this one that still stand for mails."""
    side = Request.id > request_id if after else Request.id < request_id
    order = Request.id if after else Request.id.desc()
    return list(
        session.scalars(
            select(Request.id)
            .where(
                side,
                Request.verdict == Verdict.ACCEPTED,
                exists().where(Delivery.request_id == Request.id, Delivery.state == S.ACCEPTED),
            )
            .order_by(order)
            .limit(_NEIGHBOURS)
        )
    )


def _counts(session: Session, request_ids: set[int]) -> dict[int, tuple[int, int]]:
    """Request → its mails that were accepted, and those of them that events told of."""
    rows = session.execute(
        select(Delivery.request_id, func.count(), func.count(Delivery.outcome))
        .where(Delivery.request_id.in_(request_ids), Delivery.state == S.ACCEPTED)
        .group_by(Delivery.request_id)
    )
    return {number: (taken, heard) for number, taken, heard in rows if number is not None}


def _doubt(
    row: Row[*tuple[Any, ...]],
    before: list[int],
    after: list[int],
    *,
    counts: dict[int, tuple[int, int]],
    last_event: datetime | None,
    wait: timedelta,
    real: datetime,
) -> Doubt:
    near = [counts.get(number, (0, 0)) for number in (*before, *after)]
    evidence = Evidence(
        taken=counts.get(row.id, (0, 0))[0],
        last_event=last_event if last_event and last_event > row.sent_at else None,
        around=sum(taken for taken, _ in near),
        around_heard=sum(heard for _, heard in near),
        is_followed=bool(after),
        ripe_at=row.sent_at + wait,
    )
    advice, because = _advise(evidence, real)
    return Doubt(
        request=row.id,
        sent_at=row.sent_at,
        size=row.size,
        unknown=row.unknown,
        answer=row.reason or "",
        evidence=evidence,
        advice=advice,
        because=because,
    )


def _advise(seen: Evidence, real: datetime) -> tuple[Advice, str]:
    """Only where the provider would surely have told of the mails does its silence count."""
    if seen.taken:
        return Advice.SENT, (
            f"{seen.taken:,} of its mails are known to be taken, and a request is taken whole"
        )
    if seen.last_event is None:
        return Advice.WAIT, "nothing was heard from the webhook since"
    if real < seen.ripe_at:
        return Advice.WAIT, f"events may still come until {seen.ripe_at:%Y-%m-%d %H:%M} UTC"
    if not seen.is_followed:
        return Advice.WAIT, "no request was accepted after it: nothing to compare with"
    if seen.around_heard < seen.around:
        return Advice.WAIT, (
            f"only {seen.around_heard:,} of {seen.around:,} mails in the requests around it "
            "were heard of"
        )
    return Advice.RESEND, (
        f"all {seen.around:,} mails in the requests around it were heard of, none of its own"
    )
