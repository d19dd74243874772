"""Is there anything to do? Most ticks find nothing: they ask this one question, read-only, so that
they cost next to nothing and hold nobody up. Whatever is found is asked again where it is changed.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import bindparam, exists, not_, or_, select
from sqlalchemy.orm import Session

from course import brake, conditions, holds
from course.models import Cohort, Delivery, Enrollment, Forecast, Hold, Installation
from course.states import DeliveryState, EnrollmentState


class Agenda(NamedTuple):
    """What a tick has to do."""

    work: bool  # somebody's time has come, a mail may leave, a lease is over …
    sign_of_life: bool  # to note that there are ticks


def look(
    session: Session,
    now: datetime,
    real: datetime,
    *,
    lease: timedelta,
    noted_every: timedelta,
    resolves_unknown: bool,
) -> Agenda:
    """`resolves_unknown`: the installation settles unknown mails by itself."""
    seen = session.execute(
        _GLANCE,
        {
            "now": now,
            "real": real,
            "far": real + 2 * lease,
            "noted_before": real - noted_every,
            "foreseen_before": now - brake.NOTED_EVERY,
        },
    ).one()
    work = (
        seen.is_due
        or (seen.has_unknown and resolves_unknown)
        or (seen.is_forecast_due and not seen.is_all_held)
        # The long question comes last: it looks at each mail that is held or paused.
        or (seen.is_waiting and not seen.is_all_held and _may_leave(session, now, real))
    )
    return Agenda(work, seen.is_unnoted)


def _may_leave(session: Session, now: datetime, real: datetime) -> bool:
    mails = conditions.joined(select(Delivery.id)).where(conditions.waiting(now, real))
    return bool(session.scalar(select(exists(mails))))


# Built once: building it would take longer than asking it.
_GLANCE = select(
    or_(
        exists().where(
            Enrollment.state == EnrollmentState.ACTIVE, Enrollment.next_due_at <= bindparam("now")
        ),
        exists().where(
            # A lease that ends far ahead was written before the clock stepped back.
            or_(Delivery.lease_until <= bindparam("real"), Delivery.lease_until > bindparam("far"))
        ),
        exists().where(Enrollment.paused_until <= bindparam("now")),
        exists().where(Cohort.look_again_from.is_not(None)),
        exists().where(Hold.ended_at.is_(None), Hold.probe_at <= bindparam("real")),
    ).label("is_due"),
    exists()
    .where(
        Delivery.state == DeliveryState.PENDING,
        Delivery.rank.in_(conditions.EVERY_RANK),
        Delivery.send_at <= bindparam("now"),
    )
    .label("is_waiting"),
    exists().where(Delivery.state == DeliveryState.UNKNOWN).label("has_unknown"),
    holds.all_held().label("is_all_held"),
    not_(
        exists().where(
            Forecast.made_at > bindparam("foreseen_before"),
            Forecast.made_at <= bindparam("now"),
            not_(Forecast.is_order),
        )
    ).label("is_forecast_due"),
    exists()
    .where(
        or_(
            Installation.last_tick_at.is_(None),
            Installation.last_tick_at < bindparam("noted_before"),
        )
    )
    .label("is_unnoted"),
)
