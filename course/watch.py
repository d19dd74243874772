"""What an operator has to be told of: each cause by a name that stays the same while it lasts.
Reads only."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from course import conditions, due, holds, installation, tallies
from course.budgets import Scope
from course.models import Delivery, Hold, Request
from course.overview import scope_of
from course.settings import Settings
from course.states import DeliveryState, HoldKind, HoldScope, MessageKind, Mode, Outcome
from course.wording import counted

SILENCE = timedelta(hours=24)
# Beyond these shares providers begin to refuse; of few mails a share says nothing.
MOST_BOUNCED, MOST_COMPLAINED, ENOUGH = 0.05, 0.001, 200
MOST_TURNED_AWAY = 50
LEAST_FREE_BYTES = 500_000_000
_REQUESTS = 20  # of up to a thousand mails each: the look costs the same at any size

_KINDS = {
    HoldKind.KEY: ("key refused", "minicourse doctor"),
    HoldKind.CREDITS: ("quota used up", "minicourse status"),
    HoldKind.SENDER: ("sender not verified", "minicourse live"),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that needs a person: what it is, as things stand now, and the command that
    helps."""

    name: str
    what: str
    command: str
    stops_all: bool = False  # nothing at all is sent while it stands


def causes(session: Session, settings: Settings, now: datetime, real: datetime) -> list[Cause]:
    """All that stand now. `now` is the course's time, `real` the machines'."""
    return [
        *_holds(session),
        *_late(session, now),
        *_unknown(session),
        *_rates(session, real),
        *_silence(session, real),
        *_turned_away(session, settings, real),
        *_disk(settings),
    ]


def _holds(session: Session) -> Iterator[Cause]:
    for hold in holds.standing(session):
        words, command = _KINDS.get(HoldKind(hold.kind), ("held", _release(hold)))
        what = f"Nothing is sent ({scope_of(session, hold)}): {hold.why}"
        stops_all = hold.scope == HoldScope.ALL
        yield Cause(f"{words} {hold.id}", what, command, stops_all=stops_all)


def _release(hold: Hold) -> str:
    return f"minicourse send release {hold.id}"


def _late(session: Session, now: datetime) -> Iterator[Cause]:
    late = due.late(session, now)
    if late:
        what = f"{counted(late, 'mail')} due for more than {due.LATE.seconds // 60} minutes"
        yield Cause("late", what, "minicourse status")


def _unknown(session: Session) -> Iterator[Cause]:
    unknown = conditions.count(session, Delivery.state == DeliveryState.UNKNOWN)
    if unknown:
        what = f"Nobody knows whether SendGrid took {counted(unknown, 'mail')}"
        yield Cause("unknown", what, "minicourse delivery list --state unknown")


def _rates(session: Session, real: datetime) -> Iterator[Cause]:
    """Of what left during the last day, as far as the newest requests tell."""
    newest = (
        select(Request.id)
        .where(Request.sent_at > real - timedelta(days=1))
        .order_by(Request.sent_at.desc())
        .limit(_REQUESTS)
    )
    sent, bounced, complained = session.execute(
        select(
            func.count(),
            func.count().filter(Delivery.outcome == Outcome.BOUNCED),
            func.count(Delivery.complained_at),
        ).where(
            Delivery.request_id.in_(newest),
            Delivery.kind == MessageKind.LESSON,
            Delivery.state == DeliveryState.ACCEPTED,
        )
    ).one()
    if sent < ENOUGH:
        return
    for name, count, most in (
        ("bounce", bounced, MOST_BOUNCED),
        ("complaint", complained, MOST_COMPLAINED),
    ):
        if count / sent > most:
            share = f"of the {sent:,} mails of the last day ({count / sent:.1%})"
            what = f"{counted(count, name)} {share}"
            yield Cause(f"{name}s", what, "minicourse stats deliverability")


def _silence(session: Session, real: datetime) -> Iterator[Cause]:
    """No event for a day though mails went: then nobody knows what became of them."""
    here = installation.get(session)
    if here.mode != Mode.LIVE or here.last_accepted_at is None:
        return
    since = here.last_event_at or here.live_since or here.created_at
    first = session.scalar(
        select(func.min(Request.sent_at)).where(Request.sent_at > since, Request.status == 202)
    )
    if first is not None and real - first > SILENCE:
        what = f"SendGrid has told nothing of the mails since {first:%Y-%m-%d %H:%M} UTC"
        yield Cause("no events", what, "minicourse sendgrid setup")


def _turned_away(session: Session, settings: Settings, real: datetime) -> Iterator[Cause]:
    """Beyond what all networks together, or one domain, may have: either somebody floods the form
    from many places, or the limit is too low for a launch."""
    found = tallies.counts(session, real - timedelta(hours=1))
    of_all, of_domain = (found.get(f"limited:{scope}", 0) for scope in (Scope.ALL, Scope.DOMAIN))
    if of_all + of_domain > MOST_TURNED_AWAY:
        limit = settings.signup_limit
        why = f"as all that SIGNUP_LIMIT allows ({limit}) were there"
        if of_domain > of_all:
            why = f"mostly as one domain had its share, a quarter of SIGNUP_LIMIT ({limit})"
        turned_away = f"{counted(of_all + of_domain, 'sign-up')} turned away within the hour"
        what = f"{turned_away}, {why}: a flood, or it is too low"
        yield Cause("sign-ups turned away", what, "minicourse status")


def _disk(settings: Settings) -> Iterator[Cause]:
    path = settings.database_path
    if path is None:
        return
    free = shutil.disk_usage(path.parent).free
    if free < LEAST_FREE_BYTES:
        what = f"{free // 1_000_000} MB are free where {path} is"
        yield Cause("disk", what, "minicourse db prune --dry-run")
