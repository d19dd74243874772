"""The numbers as one page that needs nothing else: no network, no script. It holds no address."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from sqlalchemy.orm import Session

from course import stats
from course.courses import Live
from course.report.charts import Chart, part, share
from course.stats import CourseStats, cohorts, daily, deliverability, known, lessons
from course.stats.cohorts import CohortDetails
from course.stats.lessons import Step


@dataclass(frozen=True, slots=True)
class Chapter:
    """What is told of one course."""

    title: str
    numbers: CourseStats
    steps: list[Step]
    cohorts: list[CohortDetails]
    reasons: list[str]

    @property
    def most(self) -> int:
        """The longest bar: how many came to the lesson that most came to."""
        return max((step.entered for step in self.steps), default=0)

    @property
    def is_read_known(self) -> bool:
        return any(step.opened is not None or step.clicked is not None for step in self.steps)


def html(session: Session, live: Sequence[Live], now: datetime, real: datetime, days: int) -> str:
    """The page for these courses; the last so many days in the charts of time."""
    zone = daily.zone_of(live)
    time = daily.by_day(session, live, now, days, zone)
    mail = deliverability.read(session, live, real, days)
    return _template().render(
        made_at=now.astimezone(zone),
        zone=zone.key,
        chapters=_chapters(session, live),
        time=time,
        time_reasons=daily.reasons(now, real),
        charts=[
            Chart("Sign-ups", "sent", [day.signed_up for day in time.days]),
            Chart("Lessons sent", "sent", [day.sent for day in time.days]),
            Chart("Left", "left", [day.unsubscribed for day in time.days]),
        ],
        mail=mail,
        mail_reasons=deliverability.reasons(mail),
        limits=deliverability,
    )


def _chapters(session: Session, live: Sequence[Live]) -> list[Chapter]:
    titles = {course.slug: course.curriculum.title for course in live}
    steps, groups = lessons.funnel(session, live), cohorts.side_by_side(session, live)
    total = stats.Stats([*steps], cohorts.read(session, live))
    return [
        Chapter(
            titles[one.course],
            one,
            mine := [step for step in steps if step.course == one.course],
            [group for group in groups if group.course == one.course],
            known.reasons(mine),
        )
        for one in total.courses
    ]


@cache
def _template() -> Template:
    """Names of courses, lessons and domains are others' words: all is escaped."""
    environment = Environment(
        loader=PackageLoader("course.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.globals.update(share=share, part=part)
    return environment.get_template("report.html")


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
