"""How much may be handed to the provider now: the ambiguity breaker, the provider's own rate limit
and SEND_LIMIT, all in the database, one for all processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, func, or_, select, true, update
from sqlalchemy.orm import Session

from course.db import changed
from course.models import Installation, Request
from course.settings import SendLimit, Settings

# A request that the provider takes lets the next be that much larger, up to the full size.
_GROWTH = 10
FULL = 1000


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many rows may be claimed now; a probe is the one row that finds out whether the provider
    answers again."""

    rows: int
    is_probe: bool = False


def allowance(session: Session, real: datetime, *, at_once: bool = False) -> Allowance:
    """Ask before claiming. While answers are being lost it is one row, when the wait is over, or
    `at_once` because a person says so."""
    here = session.execute(_PACE).one()
    if here.quiet_until is not None and here.quiet_until > real:
        return Allowance(0)
    if here.ambiguous_in_a_row == 0:
        return Allowance(min(here.batch_limit, FULL))
    waits = here.breaker_until is not None and here.breaker_until > real
    return Allowance(0) if waits and not at_once else Allowance(1, is_probe=True)


_PACE = select(
    Installation.quiet_until,
    Installation.ambiguous_in_a_row,
    Installation.batch_limit,
    Installation.breaker_until,
)


def take_turn(session: Session, settings: Settings, real: datetime, *, at_once: bool) -> bool:
    """Of several processes that would probe now, let one; the others wait for its answer."""
    due = true() if at_once else Installation.breaker_until <= real
    taken = session.scalars(
        update(Installation)
        .where(Installation.ambiguous_in_a_row > 0, due)
        .values(breaker_until=real + timedelta(seconds=settings.lease_seconds))
        .returning(Installation.id)
        .execution_options(synchronize_session=False)
    )
    return taken.first() is not None


def is_shut(session: Session, real: datetime) -> bool:
    """Asked again at the line: claims made before an answer was lost, or before the provider asked
    for quiet, must not follow it."""
    here = session.execute(_PACE).one()
    return here.ambiguous_in_a_row > 0 or (here.quiet_until or real) > real


def be_quiet(session: Session, until: datetime) -> None:
    """Nobody sends before then: a rate limit counts all requests, whatever they carry."""
    longer = or_(Installation.quiet_until.is_(None), Installation.quiet_until < until)
    session.execute(
        update(Installation)
        .where(longer)
        .values(quiet_until=until)
        .execution_options(synchronize_session=False)
    )


def answer_lost(session: Session, settings: Settings, real: datetime) -> None:
    """An ambiguous answer: the next request carries one row, at once; from the second on each
    doubles the wait."""
    lost = session.scalar(
        update(Installation)
        .where(Installation.id == 1)
        .values(ambiguous_in_a_row=Installation.ambiguous_in_a_row + 1, batch_limit=1)
        .returning(Installation.ambiguous_in_a_row)
        .execution_options(synchronize_session=False)
    )
    assert lost is not None
    wait = min(settings.breaker_min_seconds * 2 ** (lost - 2), settings.breaker_max_seconds)
    until = real if lost == 1 else real + timedelta(seconds=wait)
    session.execute(update(Installation).values(breaker_until=until))


def answer_clear(session: Session, *, accepted: bool) -> None:
    """The provider answers again; after a 202 the batch grows back."""
    changed(session, _GROW if accepted else _CALM)


_CALM = (
    update(Installation)
    .where((Installation.ambiguous_in_a_row > 0) | (Installation.batch_limit < FULL))
    .values(ambiguous_in_a_row=0, breaker_until=None)
)
_GROWN = Installation.batch_limit * _GROWTH
_GROW = _CALM.values(batch_limit=case((_GROWN < FULL, _GROWN), else_=FULL))


@dataclass(frozen=True, slots=True)
class Left:
    """What SEND_LIMIT leaves now, and when there will be more (real time)."""

    rows: int
    again_at: datetime


def left(session: Session, limits: Sequence[SendLimit], real: datetime) -> Left | None:
    """The tightest of the limits; None where there is none. Call it in the transaction of the
    line, with the installation's row locked, so that it holds over all processes."""
    found: Left | None = None
    for limit in limits:
        sent, oldest = session.execute(
            select(func.coalesce(func.sum(Request.size), 0), func.min(Request.sent_at)).where(
                Request.sent_at > real - limit.window, Request.counts_to_limit
            )
        ).one()
        rows = max(limit.count - int(sent), 0)
        if found is None or rows < found.rows:
            found = Left(rows, (oldest or real) + limit.window)
    return found
