"""A lesson to read again: the mail as it was sent to this person, and nothing in it may act."""

from flask import Blueprint, Response, make_response
from sqlalchemy.orm import Session

from course import sent
from course.courses import Live
from course.errors import MinicourseError
from course.models import Enrollment
from course.web.errors import LinkNotFound
from course.web.headers import keep_private
from course.web.layout import page, render
from course.web.links import enrollment_of
from course.web.own_state import delivery_of, own_clock
from course.web.site import site

again = Blueprint("again", __name__)
keep_private(again)

# Mails bring their styles inside. Scripts, forms and frames in one do nothing, and it stands in an
# origin of its own, as in a sandboxed frame.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src 'self' https: data:",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "sandbox allow-popups allow-popups-to-escape-sandbox",
    )
)


class NotReceived(LinkNotFound):
    """No lesson of that name has gone to this person."""

    words = "404_lesson"


@again.get("/manage/<token>/lesson/<slug>")
def show(token: str, slug: str) -> Response:
    with site().database.reading() as session:
        found, live = enrollment_of(session, token)
        number = delivery_of(session, found, slug)
        if number is None:
            raise NotReceived
        return _show(session, token, found, live, number)


def _show(session: Session, token: str, found: Enrollment, live: Live, number: int) -> Response:
    try:
        letter = sent.letter(session, number, site().settings)
    except MinicourseError:
        return page("manage_gone", 410, live=live, token=token)
    zone = own_clock(found, live.curriculum).zone
    bar = render("manage_bar", live, token=token, sent_at=letter.sent_at, zone=zone)
    response = make_response(_with_bar(letter.html, bar))
    response.headers["Content-Security-Policy"] = _POLICY
    return response


def _with_bar(mail: str, bar: str) -> str:
    """The way back, above the mail."""
    head, body, rest = mail.partition("<body")
    if not body:
        return mail
    attributes, end, rest = rest.partition(">")
    return f"{head}{body}{attributes}{end}{bar}{rest}"
