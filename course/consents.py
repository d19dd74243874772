"""The list of consents: who agreed to or withdrew what, when, in which words, how."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from course.models import Consent, Course, Enrollment, Subscriber

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Given:
    """One line: an act of a person, for a course. `email` is None where they are erased."""

    email: str | None
    course: str
    act: str
    at: datetime
    source: str
    wording_version: str | None
    wording_hash: str | None
    wording: str | None  # the words themselves, where they are still known
    file_hash: str | None  # of the list that an import took them from


def listing(
    session: Session,
    *where: ColumnElement[bool],
    wordings: Mapping[str, str],
    limit: int | None = None,
) -> Iterator[Given]:
    """The newest first, however many there are."""
    found = (
        select(Subscriber.email, Course.slug, Consent)
        .select_from(Consent)
        .join(Enrollment, Enrollment.id == Consent.enrollment_id)
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .join(Course, Course.id == Enrollment.course_id)
        .where(*where)
        .order_by(Consent.id.desc())
        .limit(limit)
        .execution_options(yield_per=_AT_ONCE)
    )
    for email, course, one in session.execute(found):
        yield Given(
            email=email,
            course=course,
            act=one.act,
            at=one.at,
            source=one.source,
            wording_version=one.wording_version,
            wording_hash=one.wording_hash,
            wording=wordings.get(one.wording_hash or ""),
            file_hash=one.file_hash,
        )
