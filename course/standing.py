"""Where everyone of a cohort stands: how many have come to which lesson. Reads only."""

from dataclasses import dataclass

from sqlalchemy import case, func, not_, select
from sqlalchemy.orm import Session

from course.curriculum import Course as Curriculum
from course.models import Cohort, Delivery, Enrollment
from course.states import DeliveryState, EnrollmentState, MessageKind

_LEARNS = (EnrollmentState.ACTIVE, EnrollmentState.PAUSED)


@dataclass(frozen=True, slots=True)
class Stand:
    """So many learners have this lesson as their latest; number 0: none has come yet."""

    number: int
    lesson: str | None
    learners: int


def of_cohort(session: Session, cohort: Cohort, curriculum: Curriculum) -> list[Stand]:
    """Those who learn, paused ones too, by the latest lesson that they received."""
    places = {lesson.slug: lesson.number for lesson in curriculum.lessons}
    received = case(
        (
            (Delivery.state == DeliveryState.ACCEPTED)
            & (Delivery.kind == MessageKind.LESSON)
            & not_(Delivery.superseded),
            case(places, value=Delivery.message_key, else_=0),
        ),
        else_=0,
    )
    latest = (
        select(func.coalesce(func.max(received), 0).label("number"))
        .select_from(Enrollment)
        .outerjoin(Delivery, Delivery.enrollment_id == Enrollment.id)
        .where(Enrollment.cohort_id == cohort.id, Enrollment.state.in_(_LEARNS))
        .group_by(Enrollment.id)
        .subquery()
    )
    statement = select(latest.c.number, func.count()).group_by(latest.c.number)
    found: dict[int, int] = {row[0]: row[1] for row in session.execute(statement)}
    named = [(0, None), *((number, slug) for slug, number in places.items())]
    return [Stand(number, slug, found.get(number, 0)) for number, slug in named]
