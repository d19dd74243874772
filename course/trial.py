"""A lesson sent to its author: the request that a reader's would be, beside the ledger.

There is no delivery, so nothing is counted and nobody's progress moves. Only the request is
written down, because SEND_LIMIT counts what the provider is handed, whoever asked for it.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from course import copies, installation, packing, samples, suppressions, throttle
from course.answers import Answer, Verdict
from course.db import real_now
from course.errors import RefusedError
from course.ledger import Claimed
from course.mailer import Outgoing
from course.models import Installation, Request, Revision
from course.office import Office
from course.people import email_hash
from course.rendering import CompiledCourse, Recipient
from course.settings import Settings
from course.states import MessageKind

MARK = "[Test] "
CATEGORY = "test"
ARGUMENT = "minicourse_test"  # in the place of a delivery's id: events name no mail of ours

_NEXT_STEP = {
    Verdict.NOT_TAKEN: "Try again in a moment.",
    Verdict.UNKNOWN: "It may have left all the same: look into the inbox before you try again.",
    Verdict.BAD_REQUEST: "The lesson cannot be sent like this.",
    Verdict.TOO_LARGE: "Make the lesson smaller.",
    Verdict.KEY_REFUSED: "Check SENDGRID_API_KEY; it needs the right to send mail.",
    Verdict.CREDITS_USED_UP: "Wait for the next period, or change SendGrid's plan.",
    Verdict.SENDER_UNVERIFIED: "Verify the sender in SendGrid: Settings, Sender Authentication.",
    Verdict.REFUSED: "Check SENDGRID_HOST.",
}


def outgoing(
    settings: Settings, course: CompiledCourse, slug: str, person: Recipient, to: str
) -> Outgoing:
    """The request that would carry this lesson to that person, addressed to `to`.

    Packed as every mail is; it differs in the subject's mark, the categories, the address and the
    argument that the provider's events bring back. RefusedError says what cannot be packed.
    """
    row = Claimed(
        id=0,
        enrollment_id=0,
        course_id=0,
        kind=MessageKind.LESSON,
        message_key=slug,
        revision_id=0,
        tries=0,
    )
    packer = packing.Packer(settings, course.site, "", lambda *_: course)
    parcels, misfits = packer.pack([row], {row.id: samples.dressed(person, course.course)})
    if misfits:
        raise RefusedError(misfits[0].why)
    return _marked(parcels[0].addressed, to, f"{course.course.slug}/{slug}")


def _marked(sent: Outgoing, to: str, lesson: str) -> Outgoing:
    (person,) = sent.personalizations
    return replace(
        sent,
        subject=MARK + sent.subject,
        # Not the course's own: its figures at the provider stay those of its readers.
        categories=(CATEGORY, *(f"{CATEGORY}/{name}" for name in sent.categories)),
        personalizations=(person._replace(to=to, custom_args={ARGUMENT: lesson}),),
    )


def send(office: Office, letter: Outgoing) -> Answer:
    """Hand it to the provider, once. RefusedError where it may not go or was not taken."""
    (person,) = letter.personalizations
    settings = office.settings
    with office.database.reading() as session:
        prepares = not settings.sandboxed and installation.is_sandbox(session)
    request_id = office.database.run(lambda s: _write_down(s, settings, person.to, prepares))
    if not prepares:
        copies.before_sending(settings, request_id)
    answer = office.mailer.send(letter, office.clock.real())
    office.database.run(lambda s: _note(s, request_id, answer, settings))
    if answer.verdict is not Verdict.ACCEPTED:
        what = "No answer came" if answer.verdict is Verdict.UNKNOWN else "It was not sent"
        raise RefusedError(f"{what}: {answer.detail}. {_NEXT_STEP[answer.verdict]}")
    return answer


def _write_down(session: Session, settings: Settings, to: str, prepares: bool) -> int:
    """Before a byte leaves, as for every mail: may it go, and does the limit leave room? A test
    alone does not make a database live; one that `prepares` for that goes whoever came in sandbox
    mode."""
    session.get_one(Installation, 1, with_for_update=bool(settings.send_limit))
    if prepares:
        installation.check_keys(session, settings)
        settings.require_live_mail()
    else:
        installation.check(session, settings)
    _require_mailable(session, settings, to)
    real = real_now(session)
    _require_room(session, settings, real)
    # A request names a revision. The words of a test may be none yet, and nobody asks.
    newest = session.scalar(select(func.max(Revision.id)))
    if newest is None:
        raise RefusedError("No course is live yet. Begin with: minicourse course apply COURSE")
    request = Request(revision_id=newest, size=1, sent_at=real)
    session.add(request)
    session.flush()
    return request.id


def _require_mailable(session: Session, settings: Settings, to: str) -> None:
    """Who bounced, complained or left everything gets no mail, and no test either."""
    assert settings.hash_key is not None  # `installation.check` has asked for it
    hashed = email_hash(to, settings.hash_key.get_secret_value())
    for entry in suppressions.standing(session, [hashed]):
        if entry.course_id is None:
            raise RefusedError(f"{to} may not be mailed: {entry.reason}. Give another one: --to")


def _require_room(session: Session, settings: Settings, real: datetime) -> None:
    left = throttle.left(session, settings.send_limit, real)
    if left is not None and left.rows < 1:
        again = f"{left.again_at:%Y-%m-%d %H:%M:%S} UTC"
        raise RefusedError(f"SEND_LIMIT is used up until {again}. Try again then.")


def _note(session: Session, request_id: int, answer: Answer, settings: Settings) -> None:
    if answer.verdict is Verdict.ACCEPTED and not settings.sandboxed:
        installation.get(session).test_sent_at = real_now(session)
    request = session.get_one(Request, request_id)
    request.answered_at = real_now(session)
    request.status = answer.status
    request.verdict = answer.verdict
    request.detail = answer.detail
    request.x_message_id = answer.x_message_id
    request.counts_to_limit = answer.verdict in (Verdict.ACCEPTED, Verdict.UNKNOWN)
