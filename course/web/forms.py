"""What the sign-up form brings, from a browser or as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from flask import request

from course.web.body import whole_body
from course.web.errors import Unreadable
from course.web.guard import HONEYPOT, Proof
from course.web.site import site

FIELD_PREFIX = "field-"  # of the course's own, as the page names them
NO_PROOF = Proof("", "")
_TEXTS = ("email", "name", "zone", "cohort", "wording", "next")


@dataclass(frozen=True, slots=True)
class Form:
    """The fields as they were typed."""

    email: str = ""
    name: str = ""
    zone: str = ""
    cohort: str = ""
    wording: str = ""  # the hash of the words that stood beside the button
    next: str = ""  # where to go on, once it was taken
    fields: Mapping[str, str] = field(default_factory=dict)  # the course's own
    proof: Proof = NO_PROOF


def read_form() -> Form:
    body = whole_body()  # kept by Flask, so that `request.form` reads it again
    given: Mapping[str, Any] = _json(body) if request.is_json else request.form
    texts = {name: _text(given, name) for name in _TEXTS}
    proof = Proof(_text(given, "token"), _text(given, HONEYPOT))
    return Form(**texts, fields=_own(given), proof=proof)


def _own(given: Mapping[str, Any]) -> dict[str, str]:
    """`field-role=lead` of the page, or `{"fields": {"role": "lead"}}`."""
    if not request.is_json:
        names = [name for name in given if name.startswith(FIELD_PREFIX)]
        return {name.removeprefix(FIELD_PREFIX): _text(given, name) for name in names}
    found = given.get("fields") or {}
    if not isinstance(found, dict):
        raise Unreadable(site().texts()["signup"]["error_field"] % {"field": "fields"})
    return {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in found.items()
        if value is not None
    }


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise Unreadable(site().texts()["signup"]["error_json"])
    return found


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable(site().texts()["signup"]["error_field"] % {"field": name})
    return value
