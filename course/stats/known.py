"""What can be known of mails that were sent, and why the rest cannot."""

import tomllib
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from course import installation
from course.course_file import Tracking
from course.courses import Live
from course.curriculum import COURSE_FILE
from course.models import Revision

_Mails = Row[*tuple[Any, ...]]
_What = Literal["opens", "clicks"]


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

    def tracking(self, revision: int) -> Tracking:
        return self._tracking[revision]

    def tracked(self, rows: Sequence[_Mails], what: _What) -> list[_Mails] | None:
        """Those of these sums whose mails left tracked; None where none did."""
        sent = [row for row in rows if row.sent and row.revision_id in self._tracking]
        return [row for row in sent if getattr(self._tracking[row.revision_id], what)] or None


def _tracking(files: dict[str, str]) -> Tracking:
    return Tracking.model_validate(tomllib.loads(files[COURSE_FILE]).get("tracking", {}))


class _Counted(Protocol):
    @property
    def opens_tracked(self) -> int | None: ...
    @property
    def clicks_tracked(self) -> int | None: ...
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
    found = []
    if untracked:
        found.append(
            "– was not tracked when these mails left. For mails to come, write into course.toml: "
            f"[tracking] {', '.join(untracked)}"
        )
    pairs = [(one.delivered, one.opens_tracked) for one in lines]
    pairs += [(one.delivered, one.clicks_tracked) for one in lines]
    if any(tracked is not None and tracked < (whole or 0) for whole, tracked in pairs):
        found.append(
            "Some of these mails left untracked: opens and clicks are of the others alone."
        )
    return found
