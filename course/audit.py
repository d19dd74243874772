"""Who ordered what by hand: append-only, one row an order, in the order's own transaction."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from course.models import Audit


def record(
    session: Session,
    who: str,
    action: str,
    now: datetime,
    *,
    why: str | None = None,
    subscriber_id: int | None = None,
    **detail: Any,
) -> None:
    """Write the order down. `detail` never holds a person's values: they could not be erased."""
    session.add(
        Audit(at=now, who=who, action=action, why=why, subscriber_id=subscriber_id, detail=detail)
    )
    session.flush()
