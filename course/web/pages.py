"""The pages that anybody may see: the list of courses, a course with its form, its colours."""

from functools import lru_cache
from typing import Any

from flask import Blueprint, Response, make_response
from markdown_it import MarkdownIt

from course import courses, places, planning
from course.consents import agreement
from course.web import brand, guard, zones
from course.web.doors import Door, find_door, published_course
from course.web.forms import Form
from course.web.headers import let_frame
from course.web.layout import page
from course.web.site import site

pages = Blueprint("pages", __name__)

# Unlike in a mail, HTML of the author's own is shown as text: a page is open to everybody, and an
# imported course may not turn it into something else.
_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_in_html = lru_cache(maxsize=16)(_markdown.render)


@pages.get("/")
def first() -> Response:
    """The course where there is one, else the list."""
    with site().database.reading() as session:
        found = courses.published(session)
        if len(found) == 1:
            return show_course(find_door(session, found[0].slug))
    return page("courses", courses=[live.curriculum for live in found])


@pages.get("/c/<slug>", defaults={"cohort": None})
@pages.get("/c/<slug>/<cohort>")
def course(slug: str, cohort: str | None) -> Response:
    with site().database.reading() as session:
        return show_course(find_door(session, slug, cohort))


@pages.get("/c/<slug>/embed")
def embed(slug: str) -> Response:
    """The form for a frame on another site. It names no cohort: wherever it was kept, and however
    long, it fills the cohort that is in front when somebody uses it."""
    with site().database.reading() as session:
        door = find_door(session, slug)
    if not door.is_open:
        return let_frame(page("embed", live=door.live, form=None))
    values = _form_values(door, None, "", "email") | {"cohort": ""}
    return let_frame(_for_one(page("embed", live=door.live, framed=True, **values)))


@pages.get("/c/<slug>/brand.css")
def brand_css(slug: str) -> Response:
    with site().database.reading() as session:
        css = brand.css(published_course(session, slug).curriculum.brand)
    response = make_response(css)
    response.mimetype = "text/css"
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


def show_course(
    door: Door, form: Form | None = None, error: str = "", at: str = "email"
) -> Response:
    """The course's page; after a refused form with the fault beside its field, the input kept."""
    if not door.is_open:
        return show_shut(door)
    curriculum, cohort = door.live.curriculum, door.cohort
    shown = page(
        "course",
        400 if error else 200,
        live=door.live,
        about=_in_html(curriculum.about),
        begins=cohort.starts_on,
        has_begun=places.has_begun(cohort, curriculum, site().now()),
        latecomers=cohort.latecomers,
        left=door.places.left,
        closes_on=cohort.closes_on,
        passed=door.passed,
        framed=False,
        **_form_values(door, form, error, at),
    )
    return shown if error else _for_one(shown)


def _for_one(response: Response) -> Response:
    """The token in its form is good for once: a cache may not give it to somebody else. Should one
    do so all the same, they press once more."""
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def show_shut(door: Door, status: int = 200) -> Response:
    """Why nobody can sign up here, and where else."""
    cohort, instead = door.cohort, door.instead
    return page(
        "closed",
        status,
        live=door.live,
        shut=door.places.shut,
        begins=cohort.starts_on,
        closes_on=cohort.closes_on,
        instead=instead and instead.name,
        instead_begins=instead and instead.starts_on,
    )


def _form_values(door: Door, form: Form | None, error: str, at: str) -> dict[str, Any]:
    curriculum = door.live.curriculum
    rhythm = planning.rhythm(curriculum, planning.clock_in(door.cohort, None, None))
    return {
        "cohort": door.cohort.name,
        "agreement": agreement(site().texts(curriculum.language), "signup", curriculum),
        "form": form or Form(),
        "zone": zones.known(form.zone if form else "") or rhythm.zone.key,
        "hour": rhythm.at,
        "weekdays": rhythm.weekdays,
        "error": error,
        "at": at,
        "zones": zones.by_area(),
        "token": guard.form_token(),
    }
