"""The pages that anybody may see: the list of courses, a course with its form, its colours."""

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, make_response
from markdown_it import MarkdownIt

from course import courses
from course.web import brand, zones
from course.web.consent import agreement
from course.web.doors import Door, find_door, published_course
from course.web.forms import Form
from course.web.headers import let_frame
from course.web.layout import page
from course.web.site import site

pages = Blueprint("pages", __name__)

# Unlike in a mail, HTML of the author's own is shown as text: a page is open to everybody, and an
# imported course may not turn it into something else.
_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


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
    """The form for a frame on another site. It names no cohort and holds no token: wherever it was
    kept, and however long, it fills the cohort that is in front when somebody uses it."""
    with site().database.reading() as session:
        door = find_door(session, slug)
    if not door.is_open:
        return let_frame(page("embed", live=door.live, form=None))
    values = _form_values(door, None, "", "email") | {"cohort": ""}
    return let_frame(page("embed", live=door.live, framed=True, **values))


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
        return page("closed", live=door.live)
    curriculum = door.live.curriculum
    begins = door.cohort.starts_on
    return page(
        "course",
        400 if error else 200,
        live=door.live,
        about=_markdown.render(curriculum.about),
        begins=begins,
        has_begun=begins is not None and begins <= _today(_zone(door)),
        framed=False,
        **_form_values(door, form, error, at),
    )


def _form_values(door: Door, form: Form | None, error: str, at: str) -> dict[str, Any]:
    curriculum = door.live.curriculum
    return {
        "cohort": door.cohort.name,
        "agreement": agreement(site().texts(curriculum.language), "signup", curriculum),
        "form": form or Form(),
        "zone": zones.known(form.zone if form else "") or _zone(door),
        "error": error,
        "at": at,
        "zones": zones.by_area(),
    }


def _zone(door: Door) -> str:
    return door.cohort.zone or door.live.curriculum.schedule.zone.key


def _today(zone: str) -> date:
    return site().now().astimezone(ZoneInfo(zone)).date()
