"""Behind a short-lived link: what only the owner of the inbox may do. Scanners follow it too, so a
GET shows one form and only its button acts."""

import logging
from collections.abc import Callable
from datetime import datetime
from sqlite3 import Error as SqliteError
from typing import Any

import orjson
from flask import Blueprint, Response, make_response, request
from sqlalchemy.orm import Session

from course import audit, correcting, courses, erasures, privacy, proving, tokens, wiping
from course.correcting import Wishes
from course.courses import Live
from course.errors import InvalidInputError, UnsendableError
from course.packing import LINK
from course.people import clean, mask, parse_email, shown
from course.proving import Asked, Proof
from course.states import LinkPurpose
from course.web.errors import LinkNotFound
from course.web.guard import limit_presses
from course.web.headers import keep_private
from course.web.layout import page
from course.web.same_site import refuse_foreign
from course.web.site import site

log = logging.getLogger(__name__)
proofs = Blueprint("proofs", __name__)
keep_private(proofs)
refuse_foreign(proofs)
limit_presses(proofs)


@proofs.get("/link/<token>")
def ask(token: str) -> Response:
    with site().database.reading() as session:
        proven, live = _proven(session, token, site().now())
        return _over(proven, live) if proven.is_over else _form(proven, live)


@proofs.post("/link/<token>")
def act(token: str) -> Response:
    now = site().now()
    traces: list[str] = []

    def work(session: Session) -> Response:
        proven, live = _proven(session, token, now)
        if proven.is_over:
            return _over(proven, live)
        if proven.purpose is LinkPurpose.ERASE:
            traces[:] = privacy.traces_of(session, proven.person)
        return _ACTS[proven.purpose](session, proven, live, now)

    response = site().database.run(work)
    if traces:
        _wipe(traces)
    return response


def _wipe(traces: list[str]) -> None:
    """Out of the files, too, once it is committed. PostgreSQL's own sweeper does that for us: to
    order it could take longer than a browser waits."""
    database = site().database
    try:
        with database.reading() as session:
            erasures.remember(session, site().settings)
        advice = wiping.wipe(database, traces).advice if database.is_sqlite else ""
    except (OSError, SqliteError) as error:
        advice = str(error)
    if advice:
        log.warning("somebody was erased; their traces in files: %s", advice)


def _proven(session: Session, token: str, now: datetime) -> tuple[Proof, Live]:
    signed = tokens.unsign(LINK, token, site().secret_keys)
    found = proving.proof(session, signed, now) if signed else None
    if found is None:
        raise LinkNotFound
    return found, courses.by_id(session, found.enrollment.course_id)


def _form(
    proven: Proof, live: Live, *, given: str | None = None, error: str = "", status: int = 200
) -> Response:
    """`error`: which of [web.link.errors]; `given`: what was typed."""
    name = proven.person.name if proven.purpose is LinkPurpose.NAME else ""
    return page(
        "manage_link",
        status,
        live=live,
        purpose=proven.purpose,
        given=name if given is None else given,
        error=error,
        **_whose(proven),
    )


def _whose(proven: Proof) -> dict[str, Any]:
    """Whose page it is goes to nobody but them: a new address may be a stranger's."""
    is_new = proven.purpose is LinkPurpose.NEW_ADDRESS
    person = proven.person
    return {
        "email": mask((person.new_email if is_new else person.email) or ""),
        "token": None if is_new else proven.enrollment.token,
    }


def _over(proven: Proof, live: Live) -> Response:
    return page("manage_link_over", 410, live=live, **_whose(proven))


def _done(proven: Proof, live: Live, **values: object) -> Response:
    return page(
        "manage_link_done",
        live=live,
        purpose=proven.purpose,
        **{"name": "", "new": ""} | _whose(proven) | values,
    )


# What each link does ------------------------------------------------------------------------------


def _download(session: Session, proven: Proof, live: Live, now: datetime) -> Response:
    """All of it, whatever the course: the wish was the person's."""
    found = privacy.everything_of(session, proven.person.id, site().texts)
    audit.record(session, audit.SUBSCRIBER, "download", now, subscriber_id=proven.person.id)
    response = make_response(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    response.mimetype = "application/json"
    response.headers["Content-Disposition"] = f'attachment; filename="{live.slug}-my-data.json"'
    return response


def _erase(session: Session, proven: Proof, live: Live, now: datetime) -> Response:
    whose = {"email": mask(proven.person.email or ""), "token": None}
    privacy.erase(
        session, proven.person.id, who=audit.SUBSCRIBER, now=now, hash_key=site().hash_key
    )
    return _done(proven, live, **whose)


def _rename(session: Session, proven: Proof, live: Live, now: datetime) -> Response:
    name = clean(request.form.get("name", ""))
    email = proven.person.email or ""
    correcting.change(session, email, Wishes(name=name), None, who=audit.SUBSCRIBER, now=now)
    return _done(proven, live, name=name)


def _readdress(session: Session, proven: Proof, live: Live, now: datetime) -> Response:
    given = clean(request.form.get("email", ""))
    try:
        email = parse_email(given)
    except InvalidInputError as error:
        what = "unsendable" if isinstance(error, UnsendableError) else "no_email"
        return _form(proven, live, given=given, error=what, status=400)
    if email == proven.person.email:
        return _form(proven, live, given=given, error="same_email", status=400)
    asked = proving.ask_new_address(session, proven, email, now, hash_key=site().hash_key)
    if asked is Asked.OFTEN:
        return _form(proven, live, given=given, error="often", status=429)
    return _done(proven, live, new=shown(email))


def _move(session: Session, proven: Proof, live: Live, now: datetime) -> Response:
    new = mask(proven.person.new_email or "")
    if not proving.change_address(session, proven, now, hash_key=site().hash_key):
        return _over(proven, live)
    return _done(proven, live, email=new, token=proven.enrollment.token)


_Act = Callable[[Session, Proof, Live, datetime], Response]
_ACTS: dict[LinkPurpose, _Act] = {
    LinkPurpose.DATA: _download,
    LinkPurpose.ERASE: _erase,
    LinkPurpose.NAME: _rename,
    LinkPurpose.ADDRESS: _readdress,
    LinkPurpose.NEW_ADDRESS: _move,
}
