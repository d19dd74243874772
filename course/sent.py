"""A mail that has left, once more in the words in which it was sent: its own revision through the
renderer that sent it. Reads only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from course import courses, history, installation, packing, rendering
from course.errors import RefusedError
from course.ledger import Claimed
from course.mailer import Outgoing
from course.merging import Mail
from course.models import Audit, Consent, Delivery, Enrollment, Revision
from course.office import site_of
from course.settings import Settings
from course.states import MessageKind


@dataclass(frozen=True, slots=True)
class Letter:
    """The mail as it went; `may_differ`: the person's name or zone may be another since."""

    delivery: int
    course: str
    kind: str
    message: str
    state: str
    sent_at: datetime
    revision: int
    applied_at: datetime
    sender: str
    reply_to: str | None
    to: str
    headers: Mapping[str, str]
    subject: str
    text: str
    html: str
    may_differ: bool


def letter(session: Session, number: int, settings: Settings) -> Letter:
    """NotFoundError where there is no such delivery; RefusedError where it was never sent, or
    whoever got it is not known any more."""
    story = history.story(session, number)
    row = session.get_one(Delivery, number)
    if row.state not in history.LEFT or row.revision_id is None or story.request is None:
        raise RefusedError(
            f"Delivery {number} is {story.mail.fate}; it was never sent. "
            f"See: minicourse delivery show {number}"
        )
    if story.mail.email is None:
        raise RefusedError(
            f"Whoever got delivery {number} was erased, and what was theirs in it with them. "
            f"What is left: minicourse delivery show {number}"
        )
    revision = session.get_one(Revision, row.revision_id)
    addressed, mail = _rendered(session, row, revision, settings)
    (person,) = addressed.personalizations
    return Letter(
        delivery=number,
        course=story.mail.course,
        kind=story.mail.kind,
        message=story.mail.message,
        state=story.mail.state,
        sent_at=story.request.sent_at,
        revision=revision.number,
        applied_at=revision.created_at,
        sender=_address(addressed.from_name, addressed.from_email),
        reply_to=addressed.reply_to,
        to=_address(person.name, person.to),
        headers=person.headers,
        subject=mail.subject,
        text=mail.text,
        html=mail.html,
        may_differ=_was_touched(session, row, _left_at(row)),
    )


def _rendered(
    session: Session, row: Delivery, revision: Revision, settings: Settings
) -> tuple[Outgoing, Mail]:
    """Packed as it was, for what stands around the words; and merged, as the reader saw them."""
    claimed = Claimed(
        id=row.id,
        enrollment_id=row.enrollment_id,
        course_id=row.course_id,
        kind=MessageKind(row.kind),
        message_key=row.message_key,
        revision_id=revision.id,
        tries=row.tries,
    )
    slug, files = courses.revision_files(session, revision.id, claimed.note)
    site = site_of(settings)
    course = rendering.load_course(slug, files, site, where=f"lessons/{slug}/")
    keys = [key.get_secret_value() for key in settings.secret_key]
    people = packing.recipients(session, [claimed], keys, _left_at(row))
    name = installation.get(session).name
    packer = packing.Packer(settings, site, name, lambda *_: course)
    parcels, misfits = packer.pack([claimed], people)
    if misfits:
        raise RefusedError(f"Delivery {row.id} cannot be rendered any more: {misfits[0].why}")
    message = course.message(claimed.kind, claimed.message_key)
    return parcels[0].addressed, message.mail(course.values(people[row.id]))


def _left_at(row: Delivery) -> datetime:
    """Course time; of a mail that is leaving just now, when it was to leave."""
    return row.settled_at or row.unknown_since or row.send_at


def _was_touched(session: Session, row: Delivery, since: datetime) -> bool:
    """A form that the person confirmed, an import or an order by hand may have brought another name
    or zone. What they were before is not kept."""
    person = session.get_one(Enrollment, row.enrollment_id).subscriber_id
    theirs = select(Enrollment.id).where(Enrollment.subscriber_id == person)
    agreed = exists().where(
        Consent.enrollment_id.in_(theirs),
        Consent.act.in_(("confirmed", "imported")),
        Consent.at > since,
    )
    ordered = exists().where(Audit.subscriber_id == person, Audit.at > since)
    return bool(session.scalar(select(or_(agreed, ordered))))


def _address(name: str, email: str) -> str:
    return f"{name} <{email}>" if name else email
