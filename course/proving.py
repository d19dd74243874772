"""Short-lived links: what nobody may do with a forwarded lesson in hand asks first whether the
inbox is theirs. The link goes to the person's own address, works for an hour, and of one purpose
only the newest works."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from course import audit, joining, ledger, reach, suppressions
from course.joining import Origin
from course.models import Audit, Delivery, Enrollment, Subscriber
from course.people import email_hash, mailbox_hash
from course.states import (
    OPEN_ENROLLMENT,
    OWN_WISH,
    UNDECIDED,
    DeliveryState,
    LinkPurpose,
    MessageKind,
    SuppressionReason,
)
from course.tokens import Signed

LIFE = timedelta(hours=1)
MAILS_A_DAY = 3
DAY = timedelta(days=1)
MOVED = "change address"
_ASKED_TO_MOVE = "ask for new address"
_SOURCE = "/link"


class Asked(StrEnum):
    """What became of a wish for a link."""

    SENT = "sent"
    OFTEN = "often"  # as many went out within a day as may
    BARRED = "barred"  # the address bounced, or complained


def ask(session: Session, enrollment: Enrollment, purpose: LinkPurpose, now: datetime) -> Asked:
    """Send a link to the person's own address. While one for the same is still on its way, that
    one will do."""
    person = enrollment.subscriber
    if _is_unreachable(session, person.email_hash, enrollment.course_id):
        return Asked.BARRED
    mine = _links_of(person.id)
    theirs = Delivery.message_key.like(f"{purpose}:%")
    if session.scalar(select(exists().where(*mine, theirs, Delivery.state.in_(UNDECIDED)))):
        return Asked.SENT
    if _sent_today(session, person.id, now) >= MAILS_A_DAY:
        return Asked.OFTEN
    _plan(session, enrollment, purpose, now)
    audit.record(
        session,
        audit.SUBSCRIBER,
        "ask for link",
        now,
        subscriber_id=person.id,
        purpose=purpose,
    )
    return Asked.SENT


def _is_unreachable(session: Session, hashed: str, course_id: int) -> bool:
    found = suppressions.standing(session, [hashed], course_id)
    return any(one.reason not in OWN_WISH for one in found)


def _sent_today(session: Session, person: int, now: datetime) -> int:
    """Links to their own address; those to a new one are counted by the wish."""
    count = select(func.count(Delivery.id)).where(
        *_links_of(person),
        Delivery.created_at > now - DAY,
        Delivery.message_key.not_like(f"{LinkPurpose.NEW_ADDRESS}:%"),
    )
    return session.scalar(count) or 0


def _links_of(person: int) -> list[ColumnElement[bool]]:
    theirs = select(Enrollment.id).where(Enrollment.subscriber_id == person)
    return [Delivery.enrollment_id.in_(theirs), Delivery.kind == MessageKind.LINK]


def _plan(session: Session, enrollment: Enrollment, purpose: LinkPurpose, now: datetime) -> None:
    before = session.scalar(
        select(func.count(Delivery.id)).where(
            Delivery.enrollment_id == enrollment.id,
            Delivery.message_key.like(f"{purpose}:{now:%Y-%m-%d}-%"),
        )
    )
    mail = ledger.Planned(
        enrollment_id=enrollment.id,
        course_id=enrollment.course_id,
        kind=MessageKind.LINK,
        message_key=f"{purpose}:{now:%Y-%m-%d}-{(before or 0) + 1}",
        due_at=now,
        rank=ledger.RANKS[MessageKind.LINK],
    )
    ledger.plan(session, [mail], now)


# Behind the link ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proof:
    """What a genuine link is for and whose; `is_over`: it does nothing any more."""

    purpose: LinkPurpose
    enrollment: Enrollment
    is_over: bool

    @property
    def person(self) -> Subscriber:
        return self.enrollment.subscriber


def proof(session: Session, signed: Signed, now: datetime) -> Proof | None:
    """What the link proves; None where it is not ours, or whoever it was for was erased."""
    mail = session.get(Delivery, signed.subject)
    if mail is None or mail.kind != MessageKind.LINK:
        return None
    # A restored database gives out lost numbers anew; no link is older than its mail.
    if signed.made_at < mail.created_at.replace(microsecond=0):
        return None
    enrollment = session.get_one(Enrollment, mail.enrollment_id)
    if enrollment.subscriber.email is None:
        return None
    purpose = LinkPurpose.of(mail.message_key)
    person = enrollment.subscriber_id
    newer = exists().where(
        *_links_of(person), Delivery.id > mail.id, Delivery.message_key.like(f"{purpose}:%")
    )
    # What went to an address that is theirs no more opens nothing.
    moved = exists().where(
        Audit.subscriber_id == person, Audit.action == MOVED, Audit.at >= mail.created_at
    )
    is_old = now - signed.made_at > LIFE
    return Proof(purpose, enrollment, is_old or bool(session.scalar(select(newer | moved))))


# Another address ----------------------------------------------------------------------------------


def ask_new_address(
    session: Session, proven: Proof, email: str, now: datetime, *, hash_key: str
) -> Asked:
    """Ask a new address whether it wants these mails; nothing changes before it has answered.

    One that may not be mailed, or that somebody else has, is not written to; the answer is the
    same, so that nobody learns whose addresses are known here.
    """
    person = session.scalars(_locked(proven.person.id)).one()
    if _wishes_today(session, person.id, now) >= MAILS_A_DAY:
        return Asked.OFTEN
    audit.record(session, audit.SUBSCRIBER, _ASKED_TO_MOVE, now, subscriber_id=person.id)
    if _is_free(session, email, email_hash(email, hash_key)):
        _withhold_links(session, person.id, [LinkPurpose.NEW_ADDRESS], now)
        person.new_email = email
        _plan(session, proven.enrollment, LinkPurpose.NEW_ADDRESS, now)
    return Asked.SENT


def _locked(person: int) -> Select[Subscriber]:
    return (
        select(Subscriber)
        .where(Subscriber.id == person)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def _wishes_today(session: Session, person: int, now: datetime) -> int:
    wishes = select(func.count(Audit.id)).where(
        Audit.subscriber_id == person, Audit.action == _ASKED_TO_MOVE, Audit.at > now - DAY
    )
    return session.scalar(wishes) or 0


def _is_free(session: Session, email: str, hashed: str) -> bool:
    taken = session.scalar(select(exists().where(Subscriber.email == email)))
    return not taken and not suppressions.standing(session, [hashed])


def _withhold_links(
    session: Session, person: int, purposes: Iterable[LinkPurpose], now: datetime
) -> None:
    """What waits with a link that would do nothing."""
    waiting = session.execute(
        select(Delivery.id, Delivery.message_key).where(
            *_links_of(person), Delivery.state == DeliveryState.PENDING
        )
    ).all()
    ids = [row.id for row in waiting if LinkPurpose.of(row.message_key) in purposes]
    if ids:
        ledger.withhold(session, ids, "a newer link took its place", now)


def change_address(session: Session, proven: Proof, now: datetime, *, hash_key: str) -> bool:
    """The new address has answered: it is theirs from now on. False where it cannot be any more."""
    person = session.scalars(_locked(proven.person.id)).one()
    new, old, old_hash = person.new_email, person.email, person.email_hash
    if new is None or old is None:
        return False
    hashed = email_hash(new, hash_key)
    person.new_email = None
    with reach.readdressed(session, [person.id]):
        renamed = _is_free(session, new, hashed) and _renamed(session, person, new, hash_key)
    if not renamed:
        return False
    _take_wishes_along(session, old_hash, hashed, now)
    _withhold_links(session, person.id, list(LinkPurpose), now)
    line = audit.record(session, audit.SUBSCRIBER, MOVED, now, subscriber_id=person.id)
    audit.keep(session, line, person.id, {"email": old})
    opened = session.scalars(
        select(Enrollment.id).where(
            Enrollment.subscriber_id == person.id, Enrollment.state.in_(OPEN_ENROLLMENT)
        )
    ).all()
    joining.consent(session, opened, "readdressed", Origin(_SOURCE), now)
    return True


def _renamed(session: Session, person: Subscriber, email: str, hash_key: str) -> bool:
    """Somebody may sign up with that very address at this moment."""
    try:
        with session.begin_nested():
            person.email, person.email_hash = email, email_hash(email, hash_key)
            person.mailbox_hash = mailbox_hash(email, hash_key)
            session.flush()
    except IntegrityError:
        session.refresh(person)
        person.new_email = None
        return False
    return True


def _take_wishes_along(session: Session, old: str, new: str, now: datetime) -> None:
    """Courses that they left stay left: a list with the new address must not bring them back."""
    for one in suppressions.standing(session, [old]):
        if one.reason in OWN_WISH:
            suppressions.add(
                session,
                [new],
                SuppressionReason(one.reason),
                one.source,
                now,
                course_id=one.course_id,
            )
