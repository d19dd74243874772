"""Real time, as far as the database knows it: leases, back-off, breaker and probes."""

from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from course.models import Delivery, Delta, Hold, Installation, QuarterSum, Request

_MOMENTS: dict[type[Any], list[InstrumentedAttribute[Any]]] = {
    Delivery: [Delivery.lease_until, Delivery.retry_at],
    Installation: [Installation.breaker_until, Installation.quiet_until, Installation.last_tick_at],
    Hold: [Hold.probe_at],
    Request: [Request.sent_at],
    Delta: [Delta.sent_at],
}


def let_pass(session: Session, length: timedelta) -> None:
    """As if so much real time had gone by: each moment that is kept lies so much further back.

    (The clock itself cannot be moved: on PostgreSQL it is the server's.)
    """
    for table, columns in _MOMENTS.items():
        set_ones = or_(*(column.is_not(None) for column in columns))
        for row in session.scalars(select(table).where(set_ones)):
            for column in columns:
                if (moment := getattr(row, column.key)) is not None:
                    setattr(row, column.key, moment - length)
    for one in session.scalars(select(QuarterSum).order_by(QuarterSum.quarter)):
        one.quarter -= length
        session.flush()  # in this order, so that none takes the place of another
    session.flush()
