"""Who was erased, kept beside the database too, as keyed hashes: a backup from before an erasure
brings the person back, and `db restore` erases them again."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from course import privacy
from course.models import Subscriber, Suppression
from course.placing import placed
from course.settings import Settings
from course.states import SuppressionReason

_AT_ONCE = 500


def list_of(settings: Settings) -> Path:
    return settings.home / "erased"


def remember(session: Session, settings: Settings) -> None:
    """Write the list as the database has it now: who came back by their own confirmation is no
    longer in it."""
    erased = session.scalars(
        select(Suppression.email_hash)
        .where(Suppression.reason == SuppressionReason.ERASED, Suppression.course_id.is_(None))
        .order_by(Suppression.email_hash)
    ).all()
    text = "".join(f"{hashed}\n" for hashed in erased)
    if _read(settings) != text:
        with placed(list_of(settings)) as part:
            part.write_text(text)


def repeat(session: Session, settings: Settings, *, who: str, now: datetime) -> list[str]:
    """Erase again whoever is in the list; returns the texts that may stand in no file any more."""
    traces: list[str] = []
    hashes = _read(settings).split()
    for start in range(0, len(hashes), _AT_ONCE):
        for person in _people(session, hashes[start : start + _AT_ONCE]):
            traces += privacy.traces_of(session, person)
            privacy.erase(session, person.id, who=who, now=now, hash_key=None)
    return traces


def _people(session: Session, hashes: Sequence[str]) -> Sequence[Subscriber]:
    return session.scalars(
        select(Subscriber)
        .where(Subscriber.email_hash.in_(hashes), Subscriber.email.is_not(None))
        .order_by(Subscriber.id)
    ).all()


def _read(settings: Settings) -> str:
    path = list_of(settings)
    return path.read_text() if path.exists() else ""
