"""Whom is an event about? A mail of ours, or, for a late bounce, only an address."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from sqlalchemy import Executable, or_, select
from sqlalchemy.orm import Session

from course.db import among
from course.errors import InvalidInputError
from course.models import Delivery, Enrollment, Subscriber
from course.people import email_hash, parse_email
from course.rowsets import RowSet, run
from course.states import DeliveryState, EventKind, SuppressionReason
from course.webhooks import ProviderEvent


class Person(NamedTuple):
    """Who may be suppressed for an event, and under which hash."""

    subscriber_id: int
    # Of the address that the event names: it may not be the person's any more.
    email_hash: str
    enrollment_id: int | None = None


class Report(NamedTuple):
    """An event and what it is about. The person is looked up only where that matters."""

    event: ProviderEvent
    delivery_id: int | None
    is_proven: bool = True  # it was known already that the provider has the mail
    person: Person | None = None


_MAILS = RowSet(id=Delivery.id)
_PEOPLE = RowSet(email_hash=Subscriber.email_hash)

Named = tuple[ProviderEvent, int | None]


def ours(events: Iterable[ProviderEvent], names: Mapping[str, int | None]) -> list[Named]:
    """The events that are not another installation's, each with the delivery that it names.

    `names` are ours, each with the highest delivery id that it stands for.
    """
    found = ((event, _number(event, names)) for event in events)
    return [(event, number) for event, number in found if number or not event.reference]


def _number(event: ProviderEvent, names: Mapping[str, int | None]) -> int | None:
    for name, highest in names.items():
        number = event.delivery_id(name)
        if number is not None and (highest is None or number <= highest):
            return number
    return None


def match(session: Session, named: Sequence[Named], hash_key: str) -> list[Report]:
    """Those of these events that are about a mail or a person that we know."""
    states = _other_states(session, {number for _, number in named if number})
    known: list[Report] = []
    lost: list[ProviderEvent] = []
    for event, number in named:
        state = states.get(number, _ACCEPTED) if number else None
        if state is not None:
            known.append(Report(event, number, state == _ACCEPTED))
        elif event.suppression is SuppressionReason.BOUNCED:
            # A bounce that comes days later names no delivery any more, only the address.
            lost.append(event)
    return [*_with_people(session, known, hash_key), *_about_people(session, lost, hash_key)]


_ACCEPTED = DeliveryState.ACCEPTED


def _other_states(session: Session, numbers: Iterable[int]) -> dict[int, str | None]:
    """Which of these deliveries are not accepted, and (None) which do not exist. Most are, and
    to bring over a thousand that are takes longer than to find the few."""
    given = _MAILS.pack(session, [(number,) for number in numbers])
    return {row[0]: row[1] for row in run(session, _not_accepted, given=given)}


@cache
def _not_accepted(postgresql: bool) -> Executable:
    given = _MAILS.given(postgresql)
    return (
        select(given.c.id, Delivery.state)
        .outerjoin(Delivery, Delivery.id == given.c.id)
        .where(or_(Delivery.id.is_(None), Delivery.state != _ACCEPTED))
    )


def _with_people(session: Session, known: list[Report], hash_key: str) -> list[Report]:
    grave = {report.delivery_id for report in known if _is_grave(report.event)}
    if not grave:
        return known
    people = _people(session, [number for number in grave if number])
    return [
        report._replace(person=_named(report.event, people[report.delivery_id], hash_key))
        if _is_grave(report.event)
        else report
        for report in known
    ]


def _named(event: ProviderEvent, person: Person, hash_key: str) -> Person:
    hashed = _hash(event, hash_key)
    return person._replace(email_hash=hashed) if hashed else person


def _is_grave(event: ProviderEvent) -> bool:
    """Whether it may bar the address."""
    return event.suppression is not None or event.kind is EventKind.BLOCKED


def _people(session: Session, delivery_ids: Iterable[int]) -> dict[int | None, Person]:
    """Delivery → whom it is for."""
    rows = session.execute(
        select(Delivery.id, Subscriber.id, Subscriber.email_hash, Enrollment.id)
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(among(session, Delivery.id, delivery_ids))
    )
    return {row[0]: Person(row[1], row[2], row[3]) for row in rows}


def _about_people(session: Session, events: Sequence[ProviderEvent], hash_key: str) -> list[Report]:
    hashes = [(event, _hash(event, hash_key)) for event in events]
    if not hashes:
        return []
    given = _PEOPLE.pack(session, [(hashed,) for _, hashed in hashes])
    known = {row[1]: Person(*row) for row in run(session, _known_people, given=given)}
    return [
        Report(event, None, person=known[hashed]) for event, hashed in hashes if hashed in known
    ]


@cache
def _known_people(postgresql: bool) -> Executable:
    given = _PEOPLE.given(postgresql)
    people = select(Subscriber.id, Subscriber.email_hash)
    return people.where(Subscriber.email_hash.in_(select(given.c.email_hash)))


def _hash(event: ProviderEvent, hash_key: str) -> str | None:
    try:
        return email_hash(parse_email(event.email or ""), hash_key)
    except InvalidInputError:
        return None
