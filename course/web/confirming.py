"""The confirmation link. Scanners follow it too, so a GET shows one button and only POST acts."""

from datetime import datetime
from typing import Any

from flask import Blueprint, Response
from sqlalchemy.orm import Session

from course import enrollment, places
from course.consents import agreement
from course.courses import Live
from course.enrollment import Confirmed, Origin
from course.models import Enrollment
from course.people import mask
from course.places import Placed
from course.states import EnrollmentState
from course.web.coming import coming
from course.web.guard import limit_presses
from course.web.headers import keep_private
from course.web.layout import page
from course.web.links import confirmation_of
from course.web.site import site

confirming = Blueprint("confirming", __name__)
keep_private(confirming)
limit_presses(confirming)


@confirming.get("/confirm/<token>")
def ask(token: str) -> Response:
    now = site().now()
    with site().database.reading() as session:
        found, live, signed = confirmation_of(session, token)
        match enrollment.confirmation_stands(found, signed.made_at, now):
            case Confirmed.NOW:
                placed = places.place(session, found, live.curriculum, now)
                return _show_door(found, live, placed, now)
            case Confirmed.BEFORE:
                return _show_plan(session, found, live, "before_title", now)
            case Confirmed.EXPIRED:
                return _show("expired", found, live, token=token)
            case _:
                return _show_over(found, live)


@confirming.post("/confirm/<token>")
def confirm(token: str) -> Response:
    now = site().now()

    def work(session: Session) -> tuple[bool, bool]:
        found, live, signed = confirmation_of(session, token)
        if enrollment.confirmation_stands(found, signed.made_at, now) is not Confirmed.NOW:
            return False, False
        asked_for = found.cohort_id
        words = agreement(site().texts(live.curriculum.language), "confirm", live.curriculum)
        origin = Origin("/confirm", words.wording)
        done = enrollment.confirm(session, found, live.curriculum, origin, now)
        return done, found.cohort_id != asked_for

    done, moved = site().database.run(work)
    if not done:
        return ask(token)
    with site().database.reading() as session:
        found, live, _ = confirmation_of(session, token)
        return _show_plan(session, found, live, "done_title", now, moved=moved)


@confirming.post("/confirm/<token>/again")
def send_again(token: str) -> Response:
    """A fresh link to the address that this one was sent to."""
    now = site().now()

    def work(session: Session) -> bool:
        found, _, _ = confirmation_of(session, token)
        return enrollment.ask_to_confirm(session, found, now)

    sent = site().database.run(work)
    with site().database.reading() as session:
        found, live, _ = confirmation_of(session, token)
        if found.state != EnrollmentState.PENDING:
            return ask(token)
        return _show("sent_again", found, live, sent=sent, contact=site().contact(live))


def _show_door(found: Enrollment, live: Live, placed: Placed, now: datetime) -> Response:
    """The button; or why there is no place behind it."""
    cohort = placed.cohort
    if cohort is None:
        own = found.cohort.starts_on
        return _show("no_place", found, live, shut=placed.shut, begins=own)
    words = agreement(site().texts(live.curriculum.language), "confirm", live.curriculum)
    waits = cohort.starts_on is not None and not places.has_begun(cohort, live.curriculum, now)
    return _show(
        "confirm",
        found,
        live,
        agreement=words,
        begins=cohort.starts_on if waits else None,
        shut=placed.shut,
        own_begins=found.cohort.starts_on,
    )


def _show_plan(
    session: Session,
    found: Enrollment,
    live: Live,
    title: str,
    now: datetime,
    *,
    moved: bool = False,
) -> Response:
    plan = coming(session, found, live.curriculum, now)
    awaited = not plan.received and not plan.ahead.now
    lead = "awaited" if awaited else "begun"
    return _show(
        "confirmed",
        found,
        live,
        title=title,
        lead=lead,
        plan=plan,
        token=found.token,
        moved_to=found.cohort.starts_on if moved else None,
    )


def _show_over(found: Enrollment, live: Live) -> Response:
    completed = found.state == EnrollmentState.COMPLETED
    return _show("over", found, live, text="over_completed" if completed else "over_left")


def _show(template: str, found: Enrollment, live: Live, **values: Any) -> Response:
    return page(template, live=live, email=mask(found.subscriber.email or ""), **values)
