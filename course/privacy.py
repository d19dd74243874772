"""What we hold of a person: all of it shown, or all of it gone.

What stays of somebody erased is numbers (their rows of the ledger are what is counted) and a keyed
hash of the address, so that no later list can have them mailed again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.orm import Session

from course import (
    audit,
    consents,
    enrollment,
    fields,
    joining,
    ledger,
    reach,
    remnants,
    suppressions,
)
from course.consents import TextsOf
from course.joining import Origin
from course.models import (
    Audit,
    Cohort,
    Consent,
    Course,
    Delivery,
    Enrollment,
    Event,
    Lift,
    PersonalDetail,
    Subscriber,
    Suppression,
    Tag,
)
from course.people import email_hash
from course.states import OPEN_ENROLLMENT, DeliveryState, SuppressionReason
from course.tokens import new_token

SOURCE = "erasure"
_SENDING = (DeliveryState.SENDING, DeliveryState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure ended."""

    stopped: int  # enrollments that were open
    unknown: int  # mails on their way, or of which nobody knows; they stay, without the address


# Everything ---------------------------------------------------------------------------------------


def everything_of(session: Session, subscriber_id: int, texts_of: TextsOf) -> dict[str, Any]:
    """All that is kept of a person, as values that JSON knows (and instants); a consent with the
    words that were agreed to, as far as they are known. `texts_of`: the pages' words in a
    language."""
    wordings = consents.wordings(session, texts_of, subscriber_id)
    person = session.get_one(Subscriber, subscriber_id)
    return {
        "person": {
            "email": person.email,
            "email_hash": person.email_hash,
            "mailbox_hash": person.mailbox_hash,
            "name": person.name,
            "zone": person.zone,
            "hour": f"{person.hour:%H:%M}" if person.hour else None,
            "new_email": person.new_email,
            "is_sandbox": person.is_sandbox,
            "created_at": person.created_at,
        },
        "tags": list(
            session.scalars(
                select(Tag.name).where(Tag.subscriber_id == subscriber_id).order_by(Tag.name)
            )
        ),
        "enrollments": _enrollments(session, subscriber_id, wordings),
        "suppressions": _suppressions(session, person.email_hash),
        "personal_details": _rows(
            session.execute(
                select(PersonalDetail.name, PersonalDetail.value)
                .where(PersonalDetail.subscriber_id == subscriber_id)
                .order_by(PersonalDetail.id)
            )
        ),
        "audit": _rows(
            session.execute(
                select(Audit.at, Audit.who, Audit.action, Audit.why, Audit.detail)
                .where(Audit.subscriber_id == subscriber_id)
                .order_by(Audit.id)
            )
        ),
    }


def _rows(found: Iterable[Row[*tuple[Any, ...]]]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in found]


def _enrollments(
    session: Session, subscriber_id: int, wordings: Mapping[str, str]
) -> list[dict[str, Any]]:
    found = session.execute(
        select(Enrollment, Course.slug, Cohort.name)
        .join(Course, Course.id == Enrollment.course_id)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .where(Enrollment.subscriber_id == subscriber_id)
        .order_by(Enrollment.id)
    )
    return [
        {
            "course": course,
            "cohort": cohort,
            "state": one.state,
            "reason": one.reason,
            "created_at": one.created_at,
            "confirmed_at": one.confirmed_at,
            "starts_at": one.starts_at,
            "paused_until": one.paused_until,
            "ended_at": one.ended_at,
            "form": {
                "name": one.form_name,
                "zone": one.form_zone,
                "hour": f"{one.form_hour:%H:%M}" if one.form_hour else None,
            },
            "fields": dict(fields.said(one.fields)),
            "consents": [
                consent | {"wording": wordings.get(consent["wording_hash"])}
                for consent in _consents(session, one.id)
            ],
            "mails": _mails(session, one.id),
        }
        for one, course, cohort in found
    ]


def _consents(session: Session, enrollment_id: int) -> list[dict[str, Any]]:
    columns = (
        *(Consent.act, Consent.at, Consent.source),
        *(Consent.wording_version, Consent.wording_hash, Consent.file_hash),
    )
    mine = Consent.enrollment_id == enrollment_id
    return _rows(session.execute(select(*columns).where(mine).order_by(Consent.id)))


def _mails(session: Session, enrollment_id: int) -> list[dict[str, Any]]:
    """With what became of each, and all that the provider told of it."""
    columns = (
        *(Delivery.id, Delivery.kind, Delivery.message_key.label("message"), Delivery.state),
        *(Delivery.reason, Delivery.due_at, Delivery.settled_at, Delivery.outcome),
        *(Delivery.outcome_reason, Delivery.opened_at, Delivery.clicked_at),
        Delivery.complained_at,
    )
    mine = Delivery.enrollment_id == enrollment_id
    mails = _rows(session.execute(select(*columns).where(mine).order_by(Delivery.id)))
    events = session.execute(
        select(Event.delivery_id, Event.kind, Event.at, Event.is_machine, Event.url, Event.reason)
        .join(Delivery, Delivery.id == Event.delivery_id)
        .where(mine)
        .order_by(Event.at, Event.id)
    ).all()
    told: dict[int | None, list[dict[str, Any]]] = {}
    for number, *rest in events:
        names = ("kind", "at", "is_machine", "url", "reason")
        told.setdefault(number, []).append(dict(zip(names, rest, strict=True)))
    return [mail | {"events": told.get(mail["id"], [])} for mail in mails]


def _suppressions(session: Session, hashed: str) -> list[dict[str, Any]]:
    found = session.execute(
        select(
            Course.slug.label("course"),
            Suppression.reason,
            Suppression.source,
            Suppression.created_at,
        )
        .outerjoin(Course, Course.id == Suppression.course_id)
        .where(Suppression.email_hash == hashed)
        .order_by(Suppression.id)
    )
    return _rows(found)


# Erasure ------------------------------------------------------------------------------------------


def would_erase(session: Session, subscriber_id: int) -> Erased:
    """What `erase` would end."""
    opened = select(func.count(Enrollment.id)).where(
        Enrollment.subscriber_id == subscriber_id, Enrollment.state.in_(OPEN_ENROLLMENT)
    )
    return Erased(session.scalar(opened) or 0, _on_their_way(session, subscriber_id))


def traces_of(session: Session, person: Subscriber) -> list[str]:
    """Texts that may stand in no file any more once this person is erased: the addresses, and the
    full name where nobody else has it."""
    others = select(Subscriber.id).where(Subscriber.name == person.name, Subscriber.id != person.id)
    is_own = " " in person.name and session.scalar(others.limit(1)) is None
    name = person.name if is_own else None
    found = (person.email, person.new_email, name, *_former(session, person))
    return [one for one in found if one]


def erase(
    session: Session, subscriber_id: int, *, who: str, now: datetime, hash_key: str | None
) -> Erased:
    """Take a person out of every table. What waited for them is cancelled in this transaction, so
    that nothing whose line comes later can leave; repeated, it changes nothing.

    Without the key, it is the hash that stands with them.

    What was overwritten may still lie in the database's files: once this is committed, `wiping`.
    """
    person = session.get_one(Subscriber, subscriber_id)
    if person.email is None:
        return Erased(0, 0)
    hashed = email_hash(person.email, hash_key) if hash_key else person.email_hash
    stopped = enrollment.withdraw_addresses(session, [hashed], SuppressionReason.ERASED, now)
    # A link that they ordered does not end with their courses.
    ledger.cancel(session, _enrollment_ids(session, subscriber_id), remnants.GONE, now)
    joining.consent(session, stopped, "withdrawn", Origin(SOURCE), now)
    former = _former_hashes(session, person, hash_key) if hash_key else []
    suppressions.add(session, [hashed, *former], SuppressionReason.ERASED, SOURCE, now)
    domains = {email.partition("@")[2] for email in (person.email, *_former(session, person))}
    _clear_texts(session, person)
    with reach.readdressed(session, [person.id]):
        _clear_columns(session, person)
    reach.forget_domains(session, domains)
    audit.record(
        session, who, "erase", now, subscriber_id=subscriber_id, enrollments=sorted(stopped)
    )
    return Erased(len(stopped), _on_their_way(session, subscriber_id))


def _former(session: Session, person: Subscriber) -> list[str]:
    """Addresses that are kept beside what they belong to: such as one that they had before."""
    found = session.scalars(
        select(PersonalDetail.value).where(PersonalDetail.subscriber_id == person.id)
    )
    return [value for value in found if "@" in value]


def _former_hashes(session: Session, person: Subscriber, hash_key: str) -> list[str]:
    """Of those that are nobody else's now."""
    hashes = {email_hash(email, hash_key) for email in _former(session, person)}
    others = select(Subscriber.email_hash).where(
        Subscriber.email_hash.in_(hashes), Subscriber.email.is_not(None)
    )
    return sorted(hashes - set(session.scalars(others)))


def _clear_texts(session: Session, person: Subscriber) -> None:
    said = session.execute(
        select(Enrollment.form_name, Enrollment.fields).where(Enrollment.subscriber_id == person.id)
    ).all()
    details = session.scalars(
        select(PersonalDetail.value).where(PersonalDetail.subscriber_id == person.id)
    ).all()
    emails = [
        email for email in (person.email, person.new_email, *_former(session, person)) if email
    ]
    names = [person.name, *(row.form_name for row in said)]
    values: Sequence[object] = [
        *details,
        *(value for row in said for value in fields.said(row.fields).values()),
    ]
    own = remnants.words_of(emails, names, values)
    remnants.clear(
        session,
        person,
        own,
        remnants.unmistakable(emails, names, _own_domains(session, person, emails)),
    )


def _own_domains(session: Session, person: Subscriber, emails: Iterable[str]) -> list[str]:
    """Those at which nobody else is known: `gmail.com` in a text says nothing of anybody."""
    found = sorted({email.partition("@")[2] for email in emails})
    others = {
        domain: select(Subscriber.id)
        .where(Subscriber.email.endswith(f"@{domain}", autoescape=True), Subscriber.id != person.id)
        .limit(1)
        for domain in found
    }
    return [domain for domain in found if session.scalar(others[domain]) is None]


def _clear_columns(session: Session, person: Subscriber) -> None:
    """Their own. Links in old mails lead nowhere from now on: each gets a new random name."""
    session.execute(delete(PersonalDetail).where(PersonalDetail.subscriber_id == person.id))
    session.execute(delete(Tag).where(Tag.subscriber_id == person.id))
    session.execute(delete(Lift).where(Lift.subscriber_id == person.id))
    for number in _enrollment_ids(session, person.id):
        session.execute(
            update(Enrollment)
            .where(Enrollment.id == number)
            .values(form_name="", form_zone=None, form_hour=None, fields="", token=new_token())
        )
    person.email, person.new_email, person.name = None, None, ""
    person.zone, person.hour = None, None
    session.flush()


def _enrollment_ids(session: Session, subscriber_id: int) -> Sequence[int]:
    mine = select(Enrollment.id).where(Enrollment.subscriber_id == subscriber_id)
    return session.scalars(mine.order_by(Enrollment.id)).all()


def _on_their_way(session: Session, subscriber_id: int) -> int:
    found = (
        select(func.count(Delivery.id))
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .where(Enrollment.subscriber_id == subscriber_id, Delivery.state.in_(_SENDING))
    )
    return session.scalar(found) or 0
