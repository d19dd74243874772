"""What can be known of mails that were sent, and why the rest cannot."""

import tomllib
from collections.abc import Iterable, Sequence
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from course import installation
from course.course_file import Tracking
from course.courses import Live
from course.curriculum import COURSE_FILE
from course.models import Revision


class Known:
    """Whether any event was ever heard, and which revisions were tracked."""

    def __init__(self, session: Session, revisions: Iterable[int | None], live: Sequence[Live]):
        self.has_heard = installation.get(session).last_event_at is not None
        ids = {number for number in revisions if number is not None}
        ids |= {course.revision_id for course in live}
        rows = session.execute(select(Revision.id, Revision.files).where(Revision.id.in_(ids)))
        self._tracking = {number: _tracking(files) for number, files in rows}

    def heard(self, number: int | None) -> int | None:
        return number if self.has_heard else None

    def tracking(self, revisions: Iterable[int | None]) -> Tracking:
        """What was tracked in at least one of these revisions."""
        found = [self._tracking[number] for number in revisions if number in self._tracking]
        return Tracking(
            opens=any(one.opens for one in found), clicks=any(one.clicks for one in found)
        )


def _tracking(files: dict[str, str]) -> Tracking:
    return Tracking.model_validate(tomllib.loads(files[COURSE_FILE]).get("tracking", {}))


class _Counted(Protocol):
    @property
    def delivered(self) -> int | None: ...
    @property
    def opened(self) -> int | None: ...
    @property
    def clicked(self) -> int | None: ...


def reasons(counted: Iterable[_Counted]) -> list[str]:
    """For each kind of number that is None in one of these: why, and what to do."""
    lines = list(counted)
    if any(one.delivered is None for one in lines):
        return [
            "– SendGrid has told nothing yet, so nobody knows what became of these mails. "
            "To hear it: minicourse sendgrid setup"
        ]
    untracked = [
        f"{key} = true"
        for key, is_unknown in (
            ("opens", any(one.opened is None for one in lines)),
            ("clicks", any(one.clicked is None for one in lines)),
        )
        if is_unknown
    ]
    if not untracked:
        return []
    return [
        "– was not tracked when these mails left. For mails to come, write into course.toml: "
        f"[tracking] {', '.join(untracked)}"
    ]
