"""A learner's own page: where they stand, what comes next, the way out."""

from flask import Blueprint, Response

from course import enrollment
from course.people import mask
from course.web.coming import coming
from course.web.headers import keep_private
from course.web.layout import page
from course.web.links import enrollment_of
from course.web.site import site

own_page = Blueprint("own_page", __name__)
keep_private(own_page)


@own_page.get("/manage/<token>")
def show(token: str) -> Response:
    now = site().now()
    with site().database.reading() as session:
        found, live = enrollment_of(session, token)
        return page(
            "manage",
            live=live,
            state=found.state,
            plan=coming(session, found, live.curriculum, now),
            email=mask(found.subscriber.email or ""),
            can_undo=enrollment.can_undo(found, now),
            token=token,
        )
