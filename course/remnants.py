"""Where a person's address or name may stand beside their own columns: in what a provider said of a
mail, in what an operator typed. Each place is looked through when they are erased."""

import json
import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from course.db import among
from course.models import (
    Alert,
    Audit,
    Consent,
    Delivery,
    Enrollment,
    Event,
    Hold,
    Request,
    Subscriber,
    Suppression,
)
from course.states import DeliveryState

GONE = "erased"
_BLANK = "…"
_SHORTEST = 3  # letters; a shorter part of a name is in half of all words


class Words:
    """What names a person, found as whole words in a text, in capitals or not."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = sorted({word for word in words if len(word) >= _SHORTEST}, key=len)[::-1]
        found = "|".join(map(re.escape, self.words)) or r"(?!)"
        self._pattern = re.compile(rf"(?<!\w)(?:{found})(?!\w)", re.IGNORECASE)

    def without(self, text: str) -> str:
        return self._pattern.sub(_BLANK, text)

    def without_any(self, value: Any) -> Any:
        """The same for each text in a JSON value."""
        match value:
            case str():
                return self.without(value)
            case list():
                return [self.without_any(one) for one in value]
            case dict():
                return {self.without(name): self.without_any(one) for name, one in value.items()}
        return value

    def within(self, column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
        """SQL: one of them may stand in the column; JSON may hold it in escapes."""
        written = {form for word in self.words for form in (word, json.dumps(word)[1:-1])}
        text = func.lower(cast(column, Text))
        return or_(*(text.contains(word.lower(), autoescape=True) for word in sorted(written)))


def words_of(emails: Iterable[str], names: Iterable[str], values: Iterable[object]) -> Words:
    """All that names them, for texts that are about them alone."""
    return Words(
        [
            *_of_addresses(emails),
            *(email.partition("@")[0] for email in emails),
            *names,
            *(part for name in names for part in name.split()),
            *(value for value in values if isinstance(value, str)),
        ]
    )


def unmistakable(emails: Iterable[str], names: Iterable[str], domains: Iterable[str]) -> Words:
    """What can mean nobody else, for texts that are about anything: `Kim` may be another Kim, and
    only some `domains` are a person's own."""
    own = set(domains)
    found = (word for word in _of_addresses(emails) if "@" in word[1:] or "%40" in word)
    return Words([*found, *own, *(f"@{one}" for one in own), *(n for n in names if " " in n)])


def _of_addresses(emails: Iterable[str]) -> Iterable[str]:
    """Whole, as a link writes it, and as it is masked: a domain may be a family's own."""
    for email in emails:
        local, _, domain = email.partition("@")
        yield from (email, f"{local}%40{domain}", f"@{domain}", domain)


def clear(session: Session, person: Subscriber, own: Words, anywhere: Words) -> None:
    """Take them out of every text that is kept."""
    _clear_mails(session, person)
    _clear_texts(session, person, own)
    _clear_elsewhere(session, anywhere)


def _clear_mails(session: Session, person: Subscriber) -> None:
    """What was said of their mails goes whole: mail servers quote in many ways, and a link that
    was clicked may carry a name."""
    mine = select(Enrollment.id).where(Enrollment.subscriber_id == person.id)
    ids = list(session.scalars(select(Delivery.id).where(Delivery.enrollment_id.in_(mine))))
    theirs = among(session, Delivery.id, ids)
    told = Delivery.state.in_((DeliveryState.FAILED, DeliveryState.UNKNOWN))
    _set(session, Delivery, theirs, told, Delivery.reason.is_not(None), reason=GONE)
    _set(session, Delivery, theirs, Delivery.outcome_reason.is_not(None), outcome_reason=GONE)
    of_theirs = among(session, Event.delivery_id, ids)  # type: ignore[arg-type]
    _set(session, Event, of_theirs, Event.reason.is_not(None), reason=GONE)
    _set(session, Event, of_theirs, Event.url.is_not(None), url=None)


def _clear_texts(session: Session, person: Subscriber, own: Words) -> None:
    """Lines that are about them: an operator's words of why go whole."""
    _set(session, Audit, Audit.subscriber_id == person.id, Audit.why.is_not(None), why=GONE)
    for line in session.scalars(select(Audit).where(Audit.subscriber_id == person.id)):
        line.detail = own.without_any(line.detail)
    mine = Enrollment.subscriber_id == person.id
    consents = select(Consent).join(Enrollment, Enrollment.id == Consent.enrollment_id).where(mine)
    for consent in session.scalars(consents):
        consent.source = own.without(consent.source)
    entries = select(Suppression).where(Suppression.email_hash == person.email_hash)
    for entry in session.scalars(entries):
        entry.source = own.without(entry.source)
    requests = select(Request).where(
        Request.id.in_(
            select(Delivery.request_id)
            .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
            .where(mine, Delivery.request_id.is_not(None))
        ),
        Request.detail.is_not(None),
    )
    for request in session.scalars(requests):
        request.detail = own.without(request.detail or "")


def _clear_elsewhere(session: Session, anywhere: Words) -> None:
    """All other texts that somebody typed or a provider said."""
    if not anywhere.words:
        return
    lost = Event.delivery_id.is_(None)
    for event in session.scalars(select(Event).where(lost, anywhere.within(Event.reason))):
        event.reason = anywhere.without(event.reason or "")
    for request in session.scalars(select(Request).where(anywhere.within(Request.detail))):
        request.detail = anywhere.without(request.detail or "")
    asked = or_(anywhere.within(Audit.why), anywhere.within(Audit.detail))
    for line in session.scalars(select(Audit).where(asked)):
        line.why, line.detail = anywhere.without_any(line.why), anywhere.without_any(line.detail)
    for hold in session.scalars(select(Hold).where(anywhere.within(Hold.why))):
        hold.why = anywhere.without(hold.why)
    for alert in session.scalars(select(Alert).where(anywhere.within(Alert.what))):
        alert.what = anywhere.without(alert.what)
    session.flush()


def _set(session: Session, table: type[Any], *where: ColumnElement[bool], **values: object) -> None:
    session.execute(
        update(table).where(*where).values(**values).execution_options(synchronize_session=False)
    )
