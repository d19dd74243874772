"""The part of SendGrid's API that minicourse speaks."""

import secrets
from typing import Any

import orjson
from flask import Blueprint, Request, Response, current_app, request

from course.sandbox.rules import as_error, problems
from course.sandbox.shapes import Problem
from course.sandbox.state import sandbox

api = Blueprint("api", __name__, url_prefix="/v3")

# The rights that a key needs for what is answered here.
SCOPES = ["mail.send"]


def refusal(status: int, *reasons: Problem) -> Response:
    """An error in SendGrid's shape."""
    body = {"errors": [as_error(reason) for reason in reasons]}
    return current_app.response_class(orjson.dumps(body), status, mimetype="application/json")


@api.before_request
def check_key() -> Response | None:
    if _is_known(request):
        return None
    message = "The provided authorization grant is invalid, expired, or revoked"
    return refusal(401, Problem(None, message))


def _is_known(request: Request) -> bool:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    known = sandbox().config.api_keys
    return scheme.lower() == "bearer" and bool(key.strip()) and (known is None or key in known)


@api.get("/scopes")
def scopes() -> dict[str, Any]:
    return {"scopes": SCOPES}


@api.post("/mail/send")
def send() -> Response:
    if request.mimetype != "application/json":
        message = f"Content-Type should be application/json, not {request.mimetype or 'empty'}."
        return refusal(415, Problem(None, message))
    try:
        payload = orjson.loads(request.get_data(cache=False))
    except orjson.JSONDecodeError:
        return refusal(400, Problem(None, "Bad Request"))
    now = sandbox().config.clock()
    if reasons := problems(payload, now):
        return refusal(400, *reasons)
    if payload.get("mail_settings", {}).get("sandbox_mode", {}).get("enable"):
        return Response(status=200)  # the request was valid, and nothing is to be sent
    message_id = secrets.token_urlsafe(16)
    sandbox().store.accept(message_id, payload, now)
    sandbox().announce_events()
    return Response(status=202, headers={"X-Message-Id": message_id})
