"""The part of SendGrid's API that minicourse speaks."""

import secrets

import orjson
from flask import Blueprint, Request, Response, request

from course.sandbox.account import account
from course.sandbox.lists import lists
from course.sandbox.refusals import refusal
from course.sandbox.rules import problems
from course.sandbox.shapes import Problem
from course.sandbox.state import sandbox

api = Blueprint("api", __name__, url_prefix="/v3")
api.register_blueprint(account)
api.register_blueprint(lists)


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
