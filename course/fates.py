"""What became of a mail, in words: from the ledger, from the orders that were given about it, and
from what the provider told of it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from course.models import Audit, Delivery, Event
from course.states import DeliveryState, Outcome
from course.wording import counted

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


# Orders that name the rows they made; {who}, {at}.
_ORDERS = {
    "next lesson": "They sent for it themselves on {at}, before its time.",
    "subscriber resend": "Sent once more, as {who} ordered on {at}.",
    "subscriber rewind": "From here on all comes once more, as {who} ordered on {at}.",
}


def order(session: Session, subscriber_id: int, row: Delivery, when: When = utc) -> str | None:
    """By whose order it comes when it comes; None: by the course's plan alone."""
    given = select(Audit).where(Audit.subscriber_id == subscriber_id, Audit.action.in_(_ORDERS))
    for line in session.scalars(given.order_by(Audit.id.desc())):
        if row.id in line.detail.get("deliveries", ()):
            return _ORDERS[line.action].format(who=line.who, at=when(line.at))
    return None


_SOON = timedelta(minutes=10)  # what leaves so soon has not waited


def waited(row: Delivery, when: When = utc) -> Iterator[str]:
    """How long it took to leave once it could."""
    if row.state != S.ACCEPTED or row.settled_at is None:
        return
    if row.unknown_since is not None:
        yield f"From {when(row.unknown_since)} until then nobody knew whether it had left."
    elif row.settled_at - row.send_at >= _SOON:
        yield f"It could leave from {when(row.send_at)} on, and left {_span(row)} later."
        if row.tries:
            yield f"The provider had refused it {counted(row.tries, 'time')}."


def _span(row: Delivery) -> str:
    assert row.settled_at is not None
    span = row.settled_at - row.send_at
    sizes = {"day": timedelta(days=1), "hour": timedelta(hours=1), "minute": timedelta(minutes=1)}
    return next(counted(span // size, word) for word, size in sizes.items() if span >= 2 * size)


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
