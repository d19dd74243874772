"""Whom does somebody mean? By a part of an address or a name, by a mail's number as it travels, or
by a link from a mail."""

import re

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from course import history, subscribers
from course.errors import InvalidInputError, NotFoundError
from course.models import Delivery, Enrollment, Subscriber
from course.subscribers import Line

_DELIVERY = re.compile(r"[0-9a-f]{8}-[0-9]{1,18}")
_LINK = re.compile(r"/(?:manage|unsubscribe)/([\w-]{10,64})")


def find(session: Session, text: str, *, limit: int | None = None) -> list[Line]:
    """Their enrollments, the newest first. NotFoundError where nobody is like that."""
    wanted = text.strip()
    if not wanted:
        raise InvalidInputError("Find whom? Write a part of an address or a name")
    found = subscribers.lines(session, _where(session, wanted), limit=limit)
    if not found:
        raise NotFoundError(
            f"Nobody is like {wanted!r}: no part of an address or a name, no mail's number, no "
            "link of ours. See all with: minicourse subscriber list"
        )
    return found


def _where(session: Session, text: str) -> ColumnElement[bool]:
    if link := _LINK.search(text):
        return Enrollment.token == link[1]
    if _DELIVERY.fullmatch(text.lower()):
        number = history.number_of(session, text)
        return Enrollment.id.in_(select(Delivery.enrollment_id).where(Delivery.id == number))
    # SQLite knows of upper and lower case in ASCII alone.
    spellings = {text, text.lower(), text.upper(), text.title()}
    columns = (Subscriber.name, Enrollment.form_name)
    names = [column.contains(one, autoescape=True) for column in columns for one in spellings]
    folded = [column.icontains(text, autoescape=True) for column in (Subscriber.email, *columns)]
    return or_(*folded, *names)
