"""The preview as a Flask application, for the author's own browser on this machine.

A mail is somebody's HTML: it stands in a frame that runs no script and sends no form. The page
around it has a script, which follows the files; everything else works without.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Flask, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from course.checking.looks import CLIPPED_BYTES
from course.preview.desk import LESSON, Desk, Sheet
from course.preview.faults import Fault
from course.samples import Sample
from course.sandbox.loopback import is_local

LOOKS = ("light", "dark")
PARTS = ("mail", "text", "source")

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        # A frame that is written into the page obeys the page's policy: mails have styles of
        # their own, and pictures from anywhere.
        "style-src 'self' 'unsafe-inline'",
        "img-src data: http: https:",
        "font-src data: https:",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at, and how: the address of the page says it all."""

    reader: Sample
    look: str
    part: str


def create_app(desk: Desk, readers: Sequence[Sample]) -> Flask:
    """The pages of one course; the first of the readers is who looks where none is asked for."""
    app = Flask(__name__)

    @app.before_request
    def refuse_strangers() -> Response | None:
        if is_local(request):
            return None
        return Response("The preview answers only this machine.\n", 403, mimetype="text/plain")

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response

    @app.get("/")
    def first() -> AnyResponse:
        _, sheets = desk.sheets(readers[0].person)
        slug = sheets[0].slug if sheets else "none"
        return redirect(url_for("show", kind=LESSON, slug=slug))

    @app.get("/<any(lesson, system):kind>/<slug>")
    def show(kind: str, slug: str) -> tuple[str, int]:
        view = _view(readers)
        draft, sheets = desk.sheets(view.reader.person)
        sheet = next((one for one in sheets if (one.kind, one.slug) == (kind, slug)), None)
        fault = draft.fault or (sheet.fault if sheet else _missing(slug))
        html = render_template(
            "page.html",
            draft=draft,
            slug=desk.slug,
            sheets=sheets,
            sheet=sheet,
            fault=fault,
            view=view,
            readers=readers,
            looks=LOOKS,
            parts=PARTS,
            clips_at=CLIPPED_BYTES,
            link=_linking(kind, slug, view, readers[0]),
        )
        return html, 200 if sheet else 404

    @app.get("/stamp")
    def stamp() -> Response:
        return Response(desk.stamp(), mimetype="text/plain")

    app.add_template_filter(kilobytes)
    app.add_template_filter(in_a_new_tab)
    return app


def kilobytes(count: int) -> str:
    return f"{count / 1024:.1f}" if count < 10 * 1024 else f"{count / 1024:.0f}"


def in_a_new_tab(html: str) -> str:
    """The mail with links that leave its frame alone; the one thing in which the frame's copy
    differs from what is sent."""
    return html.replace("<head>", '<head><base target="_blank">', 1)


def _view(readers: Sequence[Sample]) -> View:
    asked = request.args
    reader = next((one for one in readers if one.key == asked.get("as")), readers[0])
    look, part = asked.get("look"), asked.get("part")
    return View(reader, look if look in LOOKS else LOOKS[0], part if part in PARTS else PARTS[0])


def _linking(kind: str, slug: str, view: View, usual: Sample) -> Callable[..., str]:
    """Addresses of this page with one thing changed; what is usual is left out of them."""
    here = {"as": view.reader.key, "look": view.look, "part": view.part}
    defaults = {"as": usual.key, "look": LOOKS[0], "part": PARTS[0]}

    def link(sheet: Sheet | None = None, **changes: str) -> str:
        asked = here | {name.rstrip("_"): value for name, value in changes.items()}
        args = {name: value for name, value in asked.items() if value != defaults[name]}
        page = (sheet.kind, sheet.slug) if sheet else (kind, slug)
        return url_for("show", kind=page[0], slug=page[1], **args)  # type: ignore[arg-type]

    return link


def _missing(slug: str) -> Fault:
    return Fault(f"There is no lesson {slug!r} in the folder any more, or not yet.")
