"""What the sign-up form brings, from a browser or as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import orjson
from flask import request

from course.web.body import whole_body
from course.web.errors import Unreadable
from course.web.site import site


@dataclass(frozen=True, slots=True)
class Form:
    """The fields as they were typed."""

    email: str = ""
    name: str = ""
    zone: str = ""
    cohort: str = ""


def read_form() -> Form:
    body = whole_body()  # kept by Flask, so that `request.form` reads it again
    given: Mapping[str, Any] = _json(body) if request.is_json else request.form
    return Form(**{field.name: _text(given, field.name) for field in fields(Form)})


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
