"""Ledgers that are wrong on purpose, each in a way that one meets elsewhere. They exist so that the
checker can be seen to notice."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from course import ledger
from course.ledger import Crossed, settled
from course.models import Delivery, Request
from course.states import DeliveryState as S

_FREE = {"claim_token": None, "lease_until": None}


def reap_to_pending(
    session: Session, *, now: datetime, real: datetime, lease: timedelta, limit: int = 1000
) -> tuple[int, int]:
    """A lease that is over means: try again. As if nothing had left."""
    over = (
        select(Delivery.id)
        .where(Delivery.state.in_((S.CLAIMED, S.SENDING)), Delivery.lease_until <= real)
        .order_by(Delivery.id)
        .limit(limit)
    )
    ids = list(session.scalars(over))
    ledger.lock(session, ids)
    session.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids), Delivery.state.in_((S.CLAIMED, S.SENDING)))
        .values(state=S.PENDING, **_FREE)
        .execution_options(synchronize_session=False)
    )
    return len(ids), 0


def cross_unasked(
    session: Session, ids: Sequence[int], token: str, *, revision_id: int, real: datetime, **_: Any
) -> Crossed:
    """Who has claimed a mail sends it, however long ago that was and whoever has it now."""
    ledger.lock(session, ids)
    request = Request(revision_id=revision_id, size=len(ids), sent_at=real)
    session.add(request)
    session.flush()
    session.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids))
        .values(state=S.SENDING, claim_token=token, request_id=request.id)
        .execution_options(synchronize_session=False)
    )
    return Crossed(request.id, frozenset(ids))


def held_by_anyone(token: str) -> ColumnElement[bool]:
    """Settling does not ask whose the row is."""
    return Delivery.state.in_((S.CLAIMED, S.SENDING))


# The name of each, what it takes the place of, and the wrong one itself.
WRONG: dict[str, tuple[str, Callable[..., Any]]] = {
    "lease-over-means-pending": ("reap", reap_to_pending),
    "stale-claims-are-sent": ("cross", cross_unasked),
    "anyone-settles": ("_held_by", held_by_anyone),
}


def install(name: str) -> None:
    """Go wrong from now on, in this process."""
    attribute, wrong = WRONG[name]
    setattr(room_of(attribute), attribute, wrong)


def room_of(attribute: str) -> ModuleType:
    """Where it is looked up when it is called: what settling asks itself is in its own room."""
    return ledger if hasattr(ledger, attribute) else settled
