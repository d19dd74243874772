"""Who ordered what by hand: append-only, one row an order, in the order's own transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from course.models import Audit, PersonalDetail

SUBSCRIBER = "subscriber"  # who, where the person did it on a page


def record(
    session: Session,
    who: str,
    action: str,
    now: datetime,
    *,
    why: str | None = None,
    subscriber_id: int | None = None,
    **detail: Any,
) -> Audit:
    """Write the order down. `detail` never holds a person's values: they could not be erased; those
    are for `keep`."""
    line = Audit(
        at=now, who=who, action=action, why=why, subscriber_id=subscriber_id, detail=detail
    )
    session.add(line)
    session.flush()
    return line


def keep(session: Session, line: Audit, subscriber_id: int, values: Mapping[str, str]) -> None:
    """A person's values that belong to a line, where they can be erased."""
    session.add_all(
        PersonalDetail(subscriber_id=subscriber_id, audit_id=line.id, name=name, value=value)
        for name, value in values.items()
    )
    session.flush()
