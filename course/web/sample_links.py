"""Where the links of previews and test mails lead: nobody's page, and nothing that acts.

They carry `samples.TOKEN` in the place of a reader's secret. Whoever follows one, or whose mail
program presses the one-click button of a test, gets an answer and changes nothing.
"""

from flask import Blueprint, Response

from course.samples import TOKEN
from course.web.headers import keep_private
from course.web.layout import page

sample_links = Blueprint("sample_links", __name__)
keep_private(sample_links)


@sample_links.route(f"/manage/{TOKEN}", methods=["GET", "POST"], defaults={"door": "manage"})
@sample_links.route(f"/confirm/{TOKEN}", methods=["GET", "POST"], defaults={"door": "confirm"})
@sample_links.route(f"/link/{TOKEN}", methods=["GET", "POST"], defaults={"door": "link"})
@sample_links.route(f"/unsubscribe/{TOKEN}", methods=["GET", "POST"], defaults={"door": "leave"})
def show(door: str) -> Response:
    return page("sample", door=door)
