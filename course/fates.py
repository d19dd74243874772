"""What became of a mail, in words: from the ledger, and from what the provider told of it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from course.models import Delivery, Event
from course.states import DeliveryState, Outcome

S = DeliveryState
When = Callable[[datetime], str]


def utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def fate(session: Session, row: Delivery, when: When = utc) -> str:
    """`left on …; delivered on …; opened on …`, as far as the provider has told."""
    return "; ".join(_fate(session, row, when))


def _fate(session: Session, row: Delivery, when: When) -> Iterator[str]:
    yield _sending(row, when)
    if row.state != S.ACCEPTED:
        return
    if row.outcome is None:
        yield "the provider took it and has told nothing more"
    else:
        yield _outcome(session, row, when)
    for word, at in (("opened", row.opened_at), ("clicked", row.clicked_at)):
        if at is not None:
            yield f"{word} on {when(at)}"
    if row.complained_at is not None:
        yield f"reported as spam on {when(row.complained_at)}"


def _sending(row: Delivery, when: When) -> str:
    why = f" ({row.reason})" if row.reason else ""
    at = when(row.settled_at or row.send_at)
    match DeliveryState(row.state):
        case S.ACCEPTED:
            return f"left on {at}"
        case S.PENDING:
            return f"waits to leave on {when(row.retry_at or row.send_at)}{why}"
        case S.CLAIMED | S.SENDING:
            return "is leaving at this moment"
        case S.UNKNOWN:
            since = f" since {when(row.unknown_since)}" if row.unknown_since else ""
            return f"nobody knows whether it left{since}{why}"
        case S.FAILED:
            return f"failed on {at}{why}"
        case S.CANCELLED:
            return f"not sent: {row.reason or 'cancelled'}, decided on {at}"


def _outcome(session: Session, row: Delivery, when: When) -> str:
    words = {
        Outcome.PROCESSED: "the provider is at it",
        Outcome.DEFERRED: "their mail server put it off, the provider tries again",
        Outcome.DELIVERED: "delivered",
        Outcome.BOUNCED: "bounced",
        Outcome.DROPPED: "dropped by the provider",
    }
    told = select(func.max(Event.at)).where(
        Event.delivery_id == row.id, Event.kind.in_((row.outcome, "blocked"))
    )
    at = session.scalar(told)
    found = words.get(Outcome(row.outcome or ""), str(row.outcome))
    found += f" on {when(at)}" if at else ""
    return f"{found}: {row.outcome_reason}" if row.outcome_reason else found


def on_its_way(row: Delivery) -> str | None:
    """Why nothing can be ordered about a mail that is leaving, or may have left; None: it can."""
    if row.state in (S.CLAIMED, S.SENDING):
        return f"{row.message_key} is leaving at this moment; look again in a minute"
    if row.state == S.UNKNOWN:
        return (
            f"nobody knows whether {row.message_key} left; first: "
            f"minicourse delivery resolve {row.id} --as sent|resend|drop --why TEXT"
        )
    return None
