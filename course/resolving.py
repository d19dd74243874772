"""How an unknown mail is settled: by a person's order (T12), or by the policy `auto` (T11).

(By far the most settle by themselves: an event names them, see `events`.)
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, exists, not_, select, update
from sqlalchemy.orm import Session, aliased

from course import audit, brake, conditions, evidence, ledger, reach, rollups
from course.db import among
from course.errors import NotFoundError, RefusedError
from course.evidence import Advice
from course.models import Delivery, Enrollment, Request
from course.settings import Settings
from course.states import DeliveryState

S = DeliveryState
BATCH = 1000
_AUTO = "minicourse"


class Order(StrEnum):
    """What a person decides about an unknown mail."""

    SENT = "sent"
    RESEND = "resend"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Which:
    """Unknown mails: one, or all that have been unknown since that time or longer."""

    until: datetime
    delivery_id: int | None = None

    @property
    def where(self) -> ColumnElement[bool]:
        found = and_(Delivery.state == S.UNKNOWN, Delivery.unknown_since <= self.until)
        if self.delivery_id is None:
            return found
        return and_(Delivery.state == S.UNKNOWN, Delivery.id == self.delivery_id)


def require_unknown(session: Session, delivery_id: int) -> None:
    """Raise unless that mail is unknown."""
    row = session.get(Delivery, delivery_id)
    if row is None:
        raise NotFoundError(
            f"No delivery {delivery_id}. See what is unknown with: "
            "minicourse delivery list --state unknown"
        )
    if row.state != S.UNKNOWN:
        raise RefusedError(
            f"Delivery {delivery_id} is {row.state}, not unknown. "
            f"See it with: minicourse delivery show {delivery_id}"
        )


@dataclass(frozen=True, slots=True)
class Resolved:
    """How many mails were decided as ordered; `unwanted` were to be sent again, but their learner
    has left or is through, so they are cancelled."""

    decided: int = 0
    unwanted: int = 0

    def __add__(self, other: "Resolved") -> "Resolved":
        return Resolved(self.decided + other.decided, self.unwanted + other.unwanted)

    def __bool__(self) -> bool:
        return bool(self.decided or self.unwanted)


def resolve(
    session: Session, which: Which, order: Order, *, who: str, why: str, now: datetime
) -> Resolved:
    """T12, unknown → accepted, pending or cancelled, by a person's order; at most a batch of mails
    in one call. What is sent again leaves at once, whatever its own time was."""
    ids = _locked(session, which.where)
    match order:
        case Order.SENT:
            rollups.accepted(session, ids)
            sent = {"state": S.ACCEPTED, "reason": None, "settled_at": Delivery.unknown_since}
            with reach.changed(session, ids):
                done = _leave_unknown(session, ids, now, **sent)
            found = Resolved(done)
        case Order.DROP:
            done = _leave_unknown(
                session, ids, now, state=S.CANCELLED, reason="dropped by hand", settled_at=now
            )
            found = Resolved(done)
        case Order.RESEND:
            found = _resend(session, ids, now, send_at=now)
    if found:
        audit.record(
            session, who, "resolve", now, why=why, order=order, deliveries=ids, **asdict(found)
        )
    return found


def resolve_auto(session: Session, settings: Settings, now: datetime, real: datetime) -> int:
    """T11, unknown → pending, where the installation chose the `auto` policy and the evidence is
    strong; returns how many mails go again."""
    if settings.unknown_policy != "auto":
        return 0
    ripe = real - timedelta(hours=settings.auto_wait_hours)
    old = and_(Delivery.state == S.UNKNOWN, Request.sent_at <= ripe)
    found = evidence.doubts(session, settings, old, real)
    requests = [doubt.request for doubt in found if doubt.advice is Advice.RESEND]
    if not requests:
        return 0
    ids = _locked(
        session, and_(Delivery.state == S.UNKNOWN, Delivery.request_id.in_(requests[:BATCH]))
    )
    # Asked again under the lock: an event may have come meanwhile.
    sibling = aliased(Delivery)
    is_taken = exists().where(
        sibling.request_id == Delivery.request_id, sibling.state == S.ACCEPTED
    )
    resent = _resend(session, ids, now, not_(is_taken))
    if resent:
        why = "policy auto: not heard of, unlike all mails around them"
        audit.record(
            session,
            _AUTO,
            "resolve",
            now,
            why=why,
            order=Order.RESEND,
            deliveries=ids,
            **asdict(resent),
        )
    return resent.decided


def _locked(session: Session, where: ColumnElement[bool]) -> list[int]:
    ids = list(session.scalars(select(Delivery.id).where(where).order_by(Delivery.id).limit(BATCH)))
    ledger.lock(session, ids)
    # What was settled while we waited for the lock is no longer among them.
    still = select(Delivery.id).where(among(session, Delivery.id, ids), Delivery.state == S.UNKNOWN)
    return sorted(session.scalars(still))


def _resend(
    session: Session,
    ids: Sequence[int],
    now: datetime,
    *where: ColumnElement[bool],
    **values: object,
) -> Resolved:
    """What nobody will ask for any more would wait for ever: it is cancelled in place of that."""
    unwanted = _leave_unknown(
        session,
        ids,
        now,
        exists(
            select(1)
            .where(Enrollment.id == Delivery.enrollment_id, conditions.is_over())
            .correlate(Delivery)
        ),
        *where,
        state=S.CANCELLED,
        reason="not wanted any more",
        settled_at=now,
    )
    again = _leave_unknown(
        session, ids, now, *where, state=S.PENDING, reason=None, retry_at=None, **values
    )
    brake.foresee(session, again, now)
    return Resolved(again, unwanted)


def _leave_unknown(
    session: Session,
    ids: Sequence[int],
    now: datetime,
    *where: ColumnElement[bool],
    **values: object,
) -> int:
    """One UPDATE, guarded by the state: evidence that came first has won."""
    rows = session.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids), Delivery.state == S.UNKNOWN, *where)
        .values(**values)
        .returning(Delivery.enrollment_id)
        .execution_options(synchronize_session=False)
    ).all()
    ledger.look_again(session, [row.enrollment_id for row in rows], now)
    return len(rows)
