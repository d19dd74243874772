"""The unsubscribe link, for people and, by RFC 8058, for the button of their mail program."""

from flask import Blueprint, Response, make_response, request
from sqlalchemy.orm import Session

from course import courses, enrollment
from course.enrollment import Origin, Scope
from course.models import Enrollment
from course.people import mask
from course.states import EnrollmentState
from course.web.coming import coming
from course.web.headers import keep_private
from course.web.layout import page
from course.web.links import enrollment_of
from course.web.site import site

leaving = Blueprint("leaving", __name__)
keep_private(leaving)

_FROM_PAGE = Origin("/unsubscribe")
_ONE_CLICK = Origin("/unsubscribe (one click)")


@leaving.get("/unsubscribe/<token>")
def ask(token: str) -> Response:
    now = site().now()
    with site().database.reading() as session:
        found, live = enrollment_of(session, token)
        if found.state == EnrollmentState.CANCELLED:
            return _show_left(session, found, [])
        return page(
            "leave",
            live=live,
            state=found.state,
            plan=coming(session, found, live.curriculum, now),
        )


@leaving.post("/unsubscribe/<token>")
def leave(token: str) -> Response:
    """One POST acts: the page's buttons name a scope, a mail program says `One-Click`."""
    one_click = request.form.get("List-Unsubscribe") == "One-Click"
    everything = request.form.get("scope") == Scope.ALL and not one_click
    scope = Scope.ALL if everything else Scope.COURSE
    origin = _ONE_CLICK if one_click else _FROM_PAGE

    def work(session: Session) -> list[int]:
        found, _ = enrollment_of(session, token)
        return enrollment.unsubscribe(session, found, origin, site().now(), scope)

    stopped = site().database.run(work)
    if one_click:
        return _plain("one_click")
    with site().database.reading() as session:
        found, _ = enrollment_of(session, token)
        return _show_left(session, found, stopped, scope)


@leaving.post("/unsubscribe/<token>/undo")
def undo(token: str) -> Response:
    now = site().now()

    def work(session: Session) -> bool:
        found, _ = enrollment_of(session, token)
        return enrollment.undo_unsubscribe(session, found, _FROM_PAGE, now)

    undone = site().database.run(work)
    with site().database.reading() as session:
        found, live = enrollment_of(session, token)
        is_in = undone or found.state == EnrollmentState.ACTIVE
        return page(
            "undone" if is_in else "too_late",
            live=live,
            plan=coming(session, found, live.curriculum, now),
            email=_address(found),
            token=token,
        )


def _show_left(
    session: Session, found: Enrollment, stopped: list[int], scope: Scope = Scope.COURSE
) -> Response:
    titles = [
        courses.by_id(session, session.get_one(Enrollment, number).course_id).curriculum.title
        for number in stopped
    ]
    return page(
        "left",
        live=courses.by_id(session, found.course_id),
        email=_address(found),
        stopped=titles,
        everything=scope is Scope.ALL,
        acted=request.method == "POST",
        can_undo=enrollment.can_undo(found, site().now()),
        token=found.token,
    )


def _address(found: Enrollment) -> str:
    return mask(found.subscriber.email or "")


def _plain(key: str) -> Response:
    response = make_response(site().texts()["leave"][key] + "\n")
    response.mimetype = "text/plain"
    return response
