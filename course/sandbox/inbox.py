"""A small web mail: what the recipients would see. Opening and clicking there makes events.

A mail's HTML is somebody else's page. It is shown in a frame that runs no script, sends no form
and loads nothing from other machines, and its links lead only where the stored mail says.
"""

from collections.abc import Callable
from email.utils import format_datetime
from io import BytesIO

import orjson
from flask import (
    Blueprint,
    Response,
    abort,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from course.sandbox import events
from course.sandbox.links import links, shown
from course.sandbox.mails import Json, Mail
from course.sandbox.snippets import snippet
from course.sandbox.state import sandbox

inbox = Blueprint("inbox", __name__)

PAGE_SIZE = 50
USUAL_EVENTS = ("processed", "delivered")
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FRAME_RIGHTS = "allow-popups allow-popups-to-escape-sandbox"
FRAME_POLICY = (
    f"sandbox {FRAME_RIGHTS}; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data: http://127.0.0.1:* http://localhost:*; font-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)


@inbox.after_request
def harden(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


@inbox.get("/")
def index() -> str:
    needle = request.args.get("to", "").strip()
    before = request.args.get("before", type=int)
    mails = sandbox().store.page(needle, before, PAGE_SIZE + 1)
    shown_mails, has_more = mails[:PAGE_SIZE], len(mails) > PAGE_SIZE
    return render_template(
        "index.html",
        mails=shown_mails,
        marks=_marks(shown_mails),
        needle=needle,
        is_first_page=before is None,
        older=shown_mails[-1].id if has_more else None,
    )


def _marks(mails: list[Mail]) -> dict[int, list[str]]:
    """Per mail what happened to it beyond its delivery, each word once."""
    found = sandbox().store.events_of([mail.id for mail in mails])
    return {
        mail_id: list(dict.fromkeys(r["name"] for r in rows if r["name"] not in USUAL_EVENTS))
        for mail_id, rows in found.items()
    }


@inbox.get("/mails/<int:mail_id>", defaults={"tab": "html"})
@inbox.get("/mails/<int:mail_id>/<any(text, headers, source):tab>")
def mail(mail_id: int, tab: str) -> str:
    found = _mail_or_404(mail_id)
    tab = "text" if tab == "html" and found.html is None else tab
    happened = sandbox().store.events_of([mail_id])[mail_id] if tab == "headers" else []
    return render_template(
        "mail.html",
        mail=found,
        tab=tab,
        headers=_headers(found),
        events=[(row["at"], row["name"], _reason(row["body"])) for row in happened],
        frame_rights=FRAME_RIGHTS,
    )


@inbox.get("/mails/<int:mail_id>/frame")
def frame(mail_id: int) -> Response:
    """The mail's HTML alone; looking at it is an open where the mail asks for that."""
    found = _mail_or_404(mail_id)
    if found.html is None:
        abort(404)
    if found.tracks_opens:
        _happen(found, events.opened(found, sandbox().config.clock(), *_visitor()))
    html = shown(found.html, _click_url(mail_id) if found.tracks_clicks else None)
    return Response(html, headers={"Content-Security-Policy": FRAME_POLICY})


@inbox.get("/mails/<int:mail_id>/files/<int:number>")
def file(mail_id: int, number: int) -> Response:
    """An attachment, to keep: never shown here, whatever it says that it is."""
    found = _mail_or_404(mail_id).files
    if number >= len(found):
        abort(404)
    return send_file(
        BytesIO(found[number].content),
        mimetype=found[number].type,
        as_attachment=True,
        download_name=found[number].name,
    )


@inbox.get("/click/<int:mail_id>/<int:number>")
def click(mail_id: int, number: int) -> AnyResponse:
    """Follow a link of a mail; the target comes out of the stored mail, never from outside."""
    found = _mail_or_404(mail_id)
    in_mail = links(found.html or "")
    if not found.tracks_clicks or number >= len(in_mail) or not in_mail[number].is_trackable:
        abort(404)
    target = in_mail[number].target
    assert target
    now = sandbox().config.clock()
    _happen(found, events.clicked(found, now, *_visitor(), url=target, index=number))
    return redirect(target)


def _click_url(mail_id: int) -> Callable[[int], str]:
    return lambda number: url_for("inbox.click", mail_id=mail_id, number=number)


def _headers(mail: Mail) -> list[tuple[str, str]]:
    """The mail's header as a mail program would list it."""
    fixed = {
        "From": written(mail.sender),
        "To": ", ".join(map(written, mail.to)),
        "Cc": ", ".join(map(written, mail.cc)),
        "Reply-To": written(mail.reply_to) if mail.reply_to else "",
        "Subject": mail.subject,
        "Date": format_datetime(mail.accepted_at),
    }
    return [(name, value) for name, value in (fixed | mail.headers).items() if value]


inbox.add_app_template_filter(snippet)


@inbox.app_template_filter()
def written(address: Json) -> str:
    """An address as `Name <email>`, or the email alone."""
    return f"{address['name']} <{address['email']}>" if address.get("name") else address["email"]


def _reason(body: bytes) -> str:
    """What the event says beyond its name: a server's answer, a reason, the link."""
    told = orjson.loads(body)
    return " ".join(told[key] for key in ("type", "reason", "response", "url") if key in told)


def _mail_or_404(mail_id: int) -> Mail:
    missing = f"There is no mail {mail_id} in this inbox."
    return sandbox().store.mail(mail_id) or abort(404, missing)


def _happen(mail: Mail, event: events.Event) -> None:
    sandbox().store.add_event(mail.id, event)
    sandbox().announce_events()


def _visitor() -> tuple[str, str]:
    return request.headers.get("User-Agent", ""), request.remote_addr or ""
