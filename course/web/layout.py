"""A page: one of templates/web, in the course's language and colours."""

from flask import Response, make_response, render_template, url_for

from course.courses import PUBLISHED, Live
from course.curriculum import Course as Curriculum
from course.dates import Dates
from course.web.site import site
from course.web.texts import FALLBACK


def page(
    template: str, status: int = 200, *, live: Live | None = None, **values: object
) -> Response:
    return make_response(render(template, live, **values), status)


def render(template: str, live: Live | None = None, **values: object) -> str:
    """Any of templates/web, with what all of them know."""
    language = live.curriculum.language if live else FALLBACK
    words = site().texts(language)
    return render_template(
        f"web/{template}.html.j2",
        texts=words,
        language=language,
        dates=Dates(words["dates"]),
        course=live.curriculum if live else None,
        is_daily=live is not None and _is_daily(live.curriculum),
        brand_url=_brand_url(live) if live and live.state == PUBLISHED else None,
        **values,
    )


def _is_daily(curriculum: Curriculum) -> bool:
    """Whether naming the weekdays says when lessons come: none waits longer than the next one."""
    return all(lesson.after.days <= 1 for lesson in curriculum.lessons[1:])


def _brand_url(live: Live) -> str:
    return url_for("pages.brand_css", slug=live.slug, v=live.content_hash[:8])
