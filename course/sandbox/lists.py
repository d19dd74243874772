"""The part of SendGrid's API that tells whom it does not mail, and erases recipients.

An address gets into these lists as it does there: its mail bounced, or was reported as spam. What
the account is given at its start is in them, too.
"""

from collections.abc import Iterator
from typing import Any

import orjson
from flask import Blueprint, Response, request

from course.sandbox.config import Account
from course.sandbox.refusals import refusal
from course.sandbox.shapes import Problem
from course.sandbox.state import sandbox

lists = Blueprint("lists", __name__)

NAMES = ("bounces", "blocks", "spam_reports", "invalid_emails", "unsubscribes")
MOST = 500  # entries a page
MOST_ERASED = 5000  # addresses a request


def _here() -> Account:
    return sandbox().config.account


def _refused(scope: str) -> Response | None:
    if scope in _here().scopes:
        return None
    return refusal(403, Problem(None, "access forbidden"))


@lists.get("/suppression/<name>")
def entries(name: str) -> Response:
    """A page of them, the newest first."""
    if refused := _refused("suppression.read"):
        return refused
    if name not in NAMES:
        return refusal(404, Problem(None, "resource not found"))
    after, before = _number("start_time", 0), _number("end_time", 2**62)
    found = [one for one in _all(name) if after <= one["created"] <= before]
    found.sort(key=lambda one: one["created"], reverse=True)
    first, most = _number("offset", 0), min(_number("limit", MOST), MOST)
    return Response(orjson.dumps(found[first : first + most]), mimetype="application/json")


def _number(name: str, otherwise: int) -> int:
    return request.args.get(name, otherwise, type=int)


def _all(name: str) -> list[dict[str, Any]]:
    """What the account was given, and what its mails led to since; less what was removed."""
    with _here().lock:
        found, removed = list(_here().lists.get(name, [])), dict(_here().removed)
    found += [one for kind, one in _of_events() if kind == name]
    newest = {one["email"].lower(): one for one in sorted(found, key=lambda one: one["created"])}
    return [one for email, one in newest.items() if one["created"] > removed.get((name, email), -1)]


def _of_events() -> Iterator[tuple[str, dict[str, Any]]]:
    for recipient, row in sandbox().store.told_of("bounce", "spamreport"):
        body = orjson.loads(row["body"])
        name = "spam_reports"
        if row["name"] == "bounce":
            name = "blocks" if body["type"] == "blocked" else "bounces"
        yield name, {"email": recipient, "created": body["timestamp"]}


@lists.delete("/suppression/<name>/<path:email>")
def remove(name: str, email: str) -> Response:
    if refused := _refused("suppression.delete"):
        return refused
    return _remove(name, email)


@lists.delete("/asm/suppressions/global/<path:email>")
def remove_unsubscribe(email: str) -> Response:
    """Of the list `unsubscribes`: it can be taken from under this name alone."""
    if refused := _refused("suppression.delete"):
        return refused
    return _remove("unsubscribes", email)


def _remove(name: str, email: str) -> Response:
    found = [one for one in _all(name) if one["email"].lower() == email.lower()]
    if not found:
        return refusal(404, Problem(None, "Suppression not found"))
    with _here().lock:
        _here().removed[name, email.lower()] = found[-1]["created"]
    return Response(status=204)


@lists.post("/recipients/erasejob")
def erase() -> Response:
    """The stand-in notes that it was asked; its inbox stays, as the author's own mailbox would."""
    if refused := _refused("recipients.erasejob.create"):
        return refused
    body = request.get_json(silent=True)
    emails = body.get("email_addresses") if isinstance(body, dict) else None
    if not isinstance(emails, list) or not 0 < len(emails) <= MOST_ERASED:
        return refusal(400, Problem("email_addresses", "1 to 5000 addresses are required"))
    with _here().lock:
        _here().erased.extend(map(str, emails))
    return Response(orjson.dumps({"job_id": "1"}), 202, mimetype="application/json")
