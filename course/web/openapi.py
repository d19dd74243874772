"""What the public web takes and answers, for programs: made from the routes themselves, so that it
cannot drift from them."""

import re
from typing import Any

from flask import Blueprint, Response, current_app, jsonify
from werkzeug.routing import Rule

from course.web.site import site

openapi = Blueprint("openapi", __name__)

_PART = re.compile(r"<(?:(?P<kind>[^:<>]+):)?(?P<name>\w+)>")
_CHOICE = re.compile(r"any\((?P<words>[^)]*)\)")
_TEXT = {"type": "string", "maxLength": 200}


def _form(*names: str, **fixed: list[str]) -> dict[str, Any]:
    """Fields of a form; nothing is required, because a lack is answered and not refused."""
    fields: dict[str, Any] = dict.fromkeys(names, _TEXT)
    fields |= {name: {"type": "string", "enum": words} for name, words in fixed.items()}
    return {"type": "object", "properties": fields}


_SIGN_UP = _form("email", "name", "zone", "cohort", "wording")
_SIGN_UP["properties"]["fields"] = {"type": "object", "additionalProperties": True}
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"
# What a POST brings, by the name of its view.
_BODIES: dict[str, dict[str, Any]] = {
    "signup.sign_up": {
        _FORM: _form("email", "name", "zone", "cohort", "wording"),
        _JSON: _SIGN_UP,
    },
    "leaving.leave": {
        _FORM: _form(**{"scope": ["course", "all"], "List-Unsubscribe": ["One-Click"]})
    },
    "own_page.pause": {_FORM: _form("until", **{"for": ["week"]})},
    "own_page.clock": {_FORM: _form("zone", "hour")},
    "own_page.ask_link": {_FORM: _form(purpose=["name", "address", "data", "erase"])},
    "proofs.act": {_FORM: _form("name", "email")},
    "hooks.sendgrid": {_JSON: {"type": "array", "items": {"type": "object"}}},
}


@openapi.get("/openapi.json")
def show() -> Response:
    return jsonify(describe())


def describe() -> dict[str, Any]:
    """OpenAPI 3.1 of all routes but this one and the samples' doors."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in current_app.url_map.iter_rules():
        if rule.endpoint.startswith("sample_links."):
            continue
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(path_of(rule), {})[method.lower()] = _operation(rule, method)
    return {
        "openapi": "3.1.0",
        "info": {"title": "minicourse", "version": "1"},
        "servers": [{"url": site().settings.public_url}],
        "paths": dict(sorted(paths.items())),
    }


def path_of(rule: Rule) -> str:
    return _PART.sub(r"{\g<name>}", rule.rule)


def _operation(rule: Rule, method: str) -> dict[str, Any]:
    view = current_app.view_functions[rule.endpoint]
    operation: dict[str, Any] = {
        "operationId": f"{rule.endpoint}.{method.lower()}",
        "summary": (view.__doc__ or "").strip().partition("\n")[0],
        "parameters": [_parameter(found) for found in _PART.finditer(rule.rule)],
        "responses": {
            "2XX": {"description": "done, or shown"},
            "3XX": {"description": "elsewhere"},
            "4XX": {"description": "refused; the page, or `error` in JSON, says why"},
            "503": {"description": "busy; Retry-After says when to come again"},
        },
    }
    if method == "POST" and (bodies := _BODIES.get(rule.endpoint)):
        content = {kind: {"schema": schema} for kind, schema in bodies.items()}
        operation["requestBody"] = {"content": content}
    return operation


def _parameter(found: re.Match[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 200}
    if choice := _CHOICE.fullmatch(found["kind"] or ""):
        schema = {"type": "string", "enum": [word.strip() for word in choice["words"].split(",")]}
    return {"name": found["name"], "in": "path", "required": True, "schema": schema}
