"""The secrets in the addresses of mails: whom does a link mean?"""

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from course import courses, enrollment, tokens
from course.courses import Live
from course.models import Enrollment
from course.tokens import Signed
from course.web.errors import LinkNotFound
from course.web.site import site

_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,64}")


def enrollment_of(session: Session, token: str) -> tuple[Enrollment, Live]:
    """Whom a manage or unsubscribe link means: the person's newest enrollment in its course, so
    that the links of old mails work after coming back."""
    linked = enrollment.by_token(session, token) if _TOKEN.fullmatch(token) else None
    if linked is None:
        raise LinkNotFound
    newest = (
        select(Enrollment)
        .where(
            Enrollment.subscriber_id == linked.subscriber_id,
            Enrollment.course_id == linked.course_id,
        )
        .order_by(Enrollment.id.desc())
        .limit(1)
    )
    return session.scalars(newest).one(), courses.by_id(session, linked.course_id)


def confirmation_of(session: Session, token: str) -> tuple[Enrollment, Live, Signed]:
    """The enrollment of a confirmation link, its course, and when the link was made."""
    signed = tokens.unsign("confirm", token, site().secret_keys)
    found = session.get(Enrollment, signed.subject) if signed else None
    if found is None or signed is None:
        raise LinkNotFound
    return found, courses.by_id(session, found.course_id), signed
