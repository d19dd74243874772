"""A learner's own page: where they stand, what comes next, what they may change, the way out.

A POST answers with the way back to the page, which says what was done; what cannot be done is said
at its top, and the form stands open. GET and HEAD change nothing.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WerkzeugResponse

from course import audit, correcting, enrollment, proving, steering
from course.correcting import Wishes
from course.courses import PUBLISHED, Live
from course.models import Enrollment
from course.notation import parse_hour
from course.pausing import Pause, Resume
from course.people import mask
from course.proving import Asked
from course.sooner import SendNext
from course.states import EnrollmentState, LinkPurpose
from course.steering import Order
from course.timing import local_date
from course.web import zones
from course.web.coming import coming
from course.web.guard import limit_presses
from course.web.headers import keep_private
from course.web.layout import page
from course.web.links import enrollment_of
from course.web.own_state import own_clock, received, sooner
from course.web.same_site import refuse_foreign
from course.web.site import site

own_page = Blueprint("own_page", __name__)
keep_private(own_page)
refuse_foreign(own_page)
limit_presses(own_page)

E = EnrollmentState
LONGEST_PAUSE = timedelta(days=365)
# What a link may be asked for here; the other goes out by itself, to an address that is new.
PURPOSES = (LinkPurpose.NAME, LinkPurpose.ADDRESS, LinkPurpose.DATA, LinkPurpose.ERASE)


class WishError(Exception):
    """A wish that does not fit: `words` of [web.manage.errors]; the form is `at`."""

    def __init__(self, at: str, words: str, status: int = 409) -> None:
        super().__init__(words)
        self.at, self.words, self.status = at, words, status


Act = Callable[[Session, Enrollment, Live, datetime], str]


@own_page.get("/manage/<token>")
def show(token: str) -> Response:
    done = request.args.get("done", "")
    with site().database.reading() as session:
        return _show(session, token, done=done)


@own_page.get("/manage/<token>/<any(pause, resume, clock, next, link):form>")
def back(token: str, form: str) -> WerkzeugResponse:
    """For the address of a form that was reloaded or kept."""
    del form
    return redirect(url_for("own_page.show", token=token))


@own_page.post("/manage/<token>/pause")
def pause(token: str) -> WerkzeugResponse:
    return _act(token, _pause)


@own_page.post("/manage/<token>/resume")
def resume(token: str) -> WerkzeugResponse:
    return _act(token, _resume)


@own_page.post("/manage/<token>/clock")
def clock(token: str) -> WerkzeugResponse:
    return _act(token, _set_clock)


@own_page.post("/manage/<token>/next")
def send_next(token: str) -> WerkzeugResponse:
    return _act(token, _send_next)


@own_page.post("/manage/<token>/link")
def ask_link(token: str) -> WerkzeugResponse:
    return _act(token, _ask_link)


def _act(token: str, act: Act) -> WerkzeugResponse:
    """Do it in one transaction, and show the page; or the page with the reason why not."""
    now = site().now()

    def work(session: Session) -> str:
        found, live = enrollment_of(session, token)
        return act(session, found, live, now)

    try:
        done = site().database.run(work)
    except WishError as reason:
        with site().database.reading() as session:
            return _show(session, token, refused=reason)
    return redirect(url_for("own_page.show", token=token, done=done), 303)


def _show(
    session: Session, token: str, *, done: str = "", refused: WishError | None = None
) -> Response:
    now = site().now()
    found, live = enrollment_of(session, token)
    plan = coming(session, found, live.curriculum, now)
    today = local_date(now, plan.zone)
    return page(
        "manage",
        refused.status if refused else 200,
        live=live,
        state=found.state,
        plan=plan,
        email=mask(found.subscriber.email or ""),
        can_undo=enrollment.can_undo(found, now),
        token=token,
        paused_until=_paused_until(found, plan.zone),
        lessons=received(session, found),
        sooner=sooner(session, found, live, now),
        settings=own_clock(found, live.curriculum),
        zones=zones.by_area(),
        first_day=today + timedelta(days=1),
        last_day=today + LONGEST_PAUSE,
        purposes=PURPOSES,
        is_public=live.state == PUBLISHED,
        done=done,
        at=refused.at if refused else "",
        error=refused.words if refused else "",
    )


def _paused_until(found: Enrollment, zone: Any) -> date | None:
    until = found.paused_until if found.state == E.PAUSED else None
    return local_date(until, zone) if until else None


# What each form does ------------------------------------------------------------------------------


def _give(session: Session, order: Order, found: Enrollment, now: datetime, at: str) -> None:
    """Whatever was looked at before is judged once more under lock."""
    [judged] = steering.give(session, order, [found.id], who=audit.SUBSCRIBER, now=now)
    if judged.fate is steering.Fate.REFUSED:
        raise WishError(at, "changed")


def _require(found: Enrollment, at: str, *states: EnrollmentState) -> None:
    if found.state not in states:
        raise WishError(at, f"not_{found.state}")


def _pause(session: Session, found: Enrollment, live: Live, now: datetime) -> str:
    _require(found, "pause", E.ACTIVE, E.PAUSED)
    zone = own_clock(found, live.curriculum).zone
    until = _day(request.form, local_date(now, zone))
    _give(session, Pause(until=until), found, now, "pause")
    return "pause"


def _day(form: Any, today: date) -> date:
    if form.get("for") == "week":
        return today + timedelta(days=7)
    try:
        day = date.fromisoformat(form.get("until", "").strip())
    except ValueError:
        raise WishError("pause", "no_day", 400) from None
    if not today < day <= today + LONGEST_PAUSE:
        raise WishError("pause", "day_beyond", 400)
    return day


def _resume(session: Session, found: Enrollment, live: Live, now: datetime) -> str:
    del live
    _require(found, "pause", E.ACTIVE, E.PAUSED)
    _give(session, Resume(), found, now, "pause")
    return "resume"


def _set_clock(session: Session, found: Enrollment, live: Live, now: datetime) -> str:
    del live
    _require(found, "clock", E.ACTIVE, E.PAUSED)
    zone = zones.known(request.form.get("zone", ""))
    if zone is None:
        raise WishError("clock", "no_zone", 400)
    given = request.form.get("hour", "")
    try:
        hour = parse_hour(given) if given else ""
    except ValueError:
        raise WishError("clock", "no_hour", 400) from None
    email = found.subscriber.email or ""
    wishes = Wishes(zone=zone, hour=hour)
    correcting.change(session, email, wishes, None, who=audit.SUBSCRIBER, now=now)
    return "clock"


def _send_next(session: Session, found: Enrollment, live: Live, now: datetime) -> str:
    _require(found, "next", E.ACTIVE)
    offer = sooner(session, found, live, now)
    if offer is None:
        raise WishError("next", "not_now")
    if offer.again_at is not None:
        raise WishError("next", "not_yet")
    _give(session, SendNext(), found, now, "next")
    return "next"


def _ask_link(session: Session, found: Enrollment, live: Live, now: datetime) -> str:
    del live
    wish = request.form.get("purpose", "")
    if wish not in PURPOSES:
        raise WishError("data", "no_purpose", 400)
    match proving.ask(session, found, LinkPurpose(wish), now):
        case Asked.OFTEN:
            raise WishError("data", "often", 429)
        case Asked.BARRED:
            raise WishError("data", "barred")
    return "link"
