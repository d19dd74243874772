"""Consents: the words that a person agrees to, and the list of who agreed to or withdrew what,
when, in which words, how."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from course import curriculum
from course.curriculum import Course as Curriculum
from course.errors import CourseError
from course.joining import Wording
from course.models import Consent, Course, Enrollment, Revision, Subscriber

Texts = Mapping[str, Any]  # the words of the pages in one language
TextsOf = Callable[[str], Texts]

_ACTS = ("signup", "confirm")
_AT_ONCE = 1000
_REVISIONS_AT_ONCE = 20


# The words ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a person agrees to, as shown; the version and the hash of it are kept."""

    words: str
    version: str

    @property
    def wording(self) -> Wording:
        return Wording(self.version, sha256(self.words.encode()).hexdigest())


def agreement(texts: Texts, act: str, course: Curriculum) -> Agreement:
    """What stands beside the button; `act` is `signup` or `confirm`."""
    words: str = texts["consent"][act] % {
        "sender": course.sender.name,
        "course": course.title,
        "count": len(course.lessons),
    }
    return Agreement(words, str(texts["consent"]["version"]))


def wordings(
    session: Session, texts_of: TextsOf, subscriber_id: int | None = None
) -> dict[str, str]:
    """The words behind a hash: those that the pages show, with what each revision of a course puts
    into them. Older words are known by their version and hash alone.

    With a subscriber: those of their courses.
    """
    revisions = select(Course.slug, Revision.files).join(Course, Course.id == Revision.course_id)
    if subscriber_id is not None:
        theirs = select(Enrollment.course_id).where(Enrollment.subscriber_id == subscriber_id)
        revisions = revisions.where(Course.id.in_(theirs))
    found = {}
    for slug, files in session.execute(revisions.execution_options(yield_per=_REVISIONS_AT_ONCE)):
        try:
            course = curriculum.parse(slug, files)
        except CourseError:  # an older program read it
            continue
        for act in _ACTS:
            agreed = agreement(texts_of(course.language), act, course)
            found[agreed.wording.hash] = agreed.words
    return found


# The list -----------------------------------------------------------------------------------------


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
