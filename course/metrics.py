"""How the installation is doing, for a monitor: read at the moment somebody asks. Each number is
found by an index, so that asking every few seconds costs the same at any size."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from course import cohorts, due, holds, installation
from course.broker import Broker
from course.models import Delivery, Enrollment, Installation, Request
from course.states import DeliveryState, EnrollmentState

RECENT = timedelta(hours=1)
_UNANSWERED = "unanswered"
_UNSETTLED = (
    *(DeliveryState.PENDING, DeliveryState.CLAIMED, DeliveryState.SENDING),
    *(DeliveryState.UNKNOWN, DeliveryState.FAILED),
)
# What became of a sign-up, in the words of a monitor.
_VERDICTS = {
    EnrollmentState.PENDING: "unconfirmed",
    EnrollmentState.ACTIVE: "confirmed",
    EnrollmentState.PAUSED: "confirmed",
    EnrollmentState.COMPLETED: "confirmed",
    EnrollmentState.CANCELLED: "ended",
}


class Metric(NamedTuple):
    """A gauge: a number, or one for each value of its label. None of it is there where it cannot
    be known: a monitor takes a missing number for missing, and 0 for good news."""

    name: str
    help: str
    values: Mapping[str, float | None]  # without a label the one key is empty
    label: str = ""


def read(session: Session, now: datetime, real: datetime) -> list[Metric]:
    """`now` is the course's time, `real` the machines'."""
    here = installation.get(session)
    return [
        *_queue(session, now, real),
        *_unknown(session, now),
        *_provider(session, here, real),
        *_ticks(here, real),
        *_sign_ups(session, now),
        _one("holds", "Holds that stand.", len(holds.standing(session))),
        _one(
            "breaker_open",
            "1 while, after lost answers, only single mails go.",
            due.breaker_until(session) is not None,
        ),
    ]


def of_broker(broker: Broker | None) -> list[Metric]:
    """None of it without a fleet."""
    if broker is None:
        return []
    return [
        _one("broker_up", "1 while the broker of the fleet answers.", broker.answers),
        _one("broker_hints", "Hints that wait at the broker for a worker.", broker.hints),
    ]


def _one(name: str, help: str, value: float | None) -> Metric:
    return Metric(f"minicourse_{name}", help, {"": value})


def _queue(session: Session, now: datetime, real: datetime) -> Iterator[Metric]:
    backlog = due.backlog(session, now, real, with_rehearsals=False)
    waits = {
        "due": backlog.due,
        "late": backlog.late,
        "held": backlog.held,
        "retrying": backlog.retrying,
    }
    yield Metric(
        "minicourse_backlog", "Mails that wait, by why; due ones may leave now.", waits, "why"
    )
    oldest = due.oldest(session, now, real, with_rehearsals=False)
    yield _one(
        "lag_seconds",
        "For how long the oldest mail that may leave has been due, with or without a row.",
        _age(oldest, now) or 0,
    )
    counts = {str(state): _count(session, state) for state in _UNSETTLED}
    yield Metric("minicourse_mails", "Mails in each state but the good ends.", counts, "state")
    verdicts = session.execute(
        select(func.coalesce(Request.verdict, _UNANSWERED), func.sum(Request.size))
        .where(Request.sent_at > real - RECENT)
        .group_by(Request.verdict)
    )
    yield Metric(
        "minicourse_mails_last_hour",
        "Mails handed to the provider during the last hour, by its answer.",
        {"accepted": 0, "unknown": 0} | {str(verdict): float(size) for verdict, size in verdicts},
        "verdict",
    )


def _count(session: Session, state: DeliveryState) -> int:
    """Each state has its index; claimed and sending rows are those with a lease."""
    found = select(func.count(Delivery.id)).where(Delivery.state == state)
    if state in (DeliveryState.CLAIMED, DeliveryState.SENDING):
        found = found.where(Delivery.lease_until.is_not(None))
    if state == DeliveryState.FAILED:
        found = found.where(Delivery.edition == 0)
    return session.scalar(found) or 0


def _unknown(session: Session, now: datetime) -> Iterator[Metric]:
    since = session.scalar(
        select(func.min(Delivery.unknown_since)).where(Delivery.state == DeliveryState.UNKNOWN)
    )
    yield _one(
        "unknown_age_seconds",
        "For how long the oldest mail has been unknown; 0 where there is none.",
        _age(since, now) or 0,
    )


def _provider(session: Session, here: Installation, real: datetime) -> Iterator[Metric]:
    last = here.last_event_at
    taken = select(func.min(Request.sent_at)).where(Request.status == 202)
    unheard = session.scalar(taken.where(Request.sent_at > last) if last else taken.limit(1))
    yield _one(
        "event_lag_seconds",
        "For how long mails have been accepted without any event since.",
        _age(unheard, real) or 0,
    )
    yield _one("last_event_age_seconds", "Since the last event.", _age(last, real))
    yield _one(
        "last_accepted_age_seconds",
        "Since the provider last took a mail.",
        _age(here.last_accepted_at, real),
    )


def _ticks(here: Installation, real: datetime) -> Iterator[Metric]:
    yield _one(
        "last_tick_age_seconds", "Since a scheduler last looked.", _age(here.last_tick_at, real)
    )
    yield _one("tick_duration_seconds", "How long such a look took.", here.last_tick_seconds)


def _sign_ups(session: Session, now: datetime) -> Iterator[Metric]:
    rows = session.execute(
        select(Enrollment.state, func.count())
        .where(
            Enrollment.created_at > now - RECENT,
            Enrollment.cohort_id.not_in(cohorts.rehearsals()),
        )
        .group_by(Enrollment.state)
    )
    found = dict.fromkeys(_VERDICTS.values(), 0.0)
    for state, number in rows:
        found[_VERDICTS[EnrollmentState(state)]] += number
    yield Metric(
        "minicourse_sign_ups_last_hour",
        "Sign-ups of the last hour, by what became of them.",
        found,
        "verdict",
    )


def _age(moment: datetime | None, until: datetime) -> float | None:
    return None if moment is None else max((until - moment).total_seconds(), 0.0)
