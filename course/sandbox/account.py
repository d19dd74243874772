"""The part of SendGrid's API by which an account is set up: rights of the key, webhooks, domains.

What is set up is forgotten when the stand-in ends; what the account is like at first can be given
to it, so that broken set-ups can be tried.
"""

from typing import Any

import orjson
from flask import Blueprint, Response, request

from course.sandbox.config import Account
from course.sandbox.keys import public_base64
from course.sandbox.posting import post
from course.sandbox.refusals import refusal
from course.sandbox.shapes import Problem
from course.sandbox.state import sandbox

account = Blueprint("account", __name__)


def _here() -> Account:
    return sandbox().config.account


def _require(scope: str) -> Response | None:
    if scope in _here().scopes:
        return None
    return refusal(403, Problem(None, "access forbidden"))


@account.get("/scopes")
def scopes() -> dict[str, Any]:
    return {"scopes": list(_here().scopes)}


@account.get("/user/webhooks/event/settings/all")
def webhooks() -> Response | dict[str, Any]:
    return _require("user.webhooks.event.settings.read") or {
        "max_allowed": 5,
        "webhooks": [_shown(one) for one in _here().webhooks.values()],
    }


@account.post("/user/webhooks/event/settings")
def make_webhook() -> Response | tuple[dict[str, Any], int]:
    if refused := _require("user.webhooks.event.settings.update") or _unfit(_body()):
        return refused
    here = _here()
    with here.lock:
        number = str(len(here.webhooks) + 1)
        here.webhooks[number] = {"id": number, "signed": False, **_body()}
    return _shown(here.webhooks[number]), 201


@account.patch("/user/webhooks/event/settings/<number>")
def change_webhook(number: str) -> Response | dict[str, Any]:
    if refused := _require("user.webhooks.event.settings.update"):
        return refused
    known = _here().webhooks.get(number)
    if known is None:
        return refusal(404, Problem(None, "webhook not found"))
    known.update(_body(), id=number)
    return _shown(known)


@account.patch("/user/webhooks/event/settings/signed/<number>")
def sign_webhook(number: str) -> Response | dict[str, Any]:
    if refused := _require("user.webhooks.event.settings.update"):
        return refused
    known = _here().webhooks.get(number)
    if known is None:
        return refusal(404, Problem(None, "webhook not found"))
    known["signed"] = bool(_body().get("enabled"))
    return {"id": number, "public_key": _public_key() if known["signed"] else ""}


@account.post("/user/webhooks/event/test")
def post_test_event() -> Response:
    if refused := _require("user.webhooks.event.test.create") or _unfit(_body()):
        return refused
    now = sandbox().config.clock()
    event = {
        "email": "example@test.com",
        "event": "processed",
        "timestamp": int(now.timestamp()),
        "sg_event_id": f"test-{now.timestamp()}",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        "category": "cat facts",
    }
    # Nothing leaves this machine: wherever the webhook is said to be, its events go here.
    if sandbox().config.webhook_url and post(sandbox().config, orjson.dumps([event])):
        _here().tested_at = now
    return Response(status=204)


@account.get("/whitelabel/domains")
def domains() -> Response:
    return _require("whitelabel.read") or _json(_here().domains)


@account.post("/whitelabel/domains")
def make_domain() -> Response | tuple[dict[str, Any], int]:
    """The stand-in plays the name servers, too: what it wants to find there is there at once."""
    if refused := _require("whitelabel.create"):
        return refused
    name = str(_body().get("domain", "")).lower()
    if not name:
        return refusal(400, Problem("domain", "domain is required"))
    here = _here()
    with here.lock:
        found = next((one for one in here.domains if one.get("domain") == name), None)
        if found is None:
            found = _invented(len(here.domains) + 1, name)
            here.domains.append(found)
    return found, 201


def _invented(number: int, name: str) -> dict[str, Any]:
    target = f"u{number}.wl.sandbox.test"
    hosts = {
        "mail_cname": (f"em{number}.{name}", target),
        "dkim1": (f"s1._domainkey.{name}", f"s1.domainkey.{target}"),
        "dkim2": (f"s2._domainkey.{name}", f"s2.domainkey.{target}"),
    }
    records = {
        word: {"type": "cname", "host": host, "data": data, "valid": True}
        for word, (host, data) in hosts.items()
    }
    return {"id": number, "domain": name, "valid": True, "dns": records}


@account.get("/whitelabel/domains/<int:number>")
def domain(number: int) -> Response:
    found = next((one for one in _here().domains if one.get("id") == number), None)
    return _json(found) if found else refusal(404, Problem(None, "domain not found"))


@account.get("/verified_senders")
def verified_senders() -> dict[str, Any]:
    return {"results": [{"from_email": one, "verified": True} for one in _here().senders]}


def _body() -> dict[str, Any]:
    found = request.get_json(silent=True)
    return found if isinstance(found, dict) else {}


def _unfit(body: dict[str, Any]) -> Response | None:
    if body.get("url"):
        return None
    return refusal(400, Problem("url", "url is required"))


def _shown(webhook: dict[str, Any]) -> dict[str, Any]:
    key = {"public_key": _public_key()} if webhook["signed"] else {}
    return {name: value for name, value in webhook.items() if name != "signed"} | key


def _public_key() -> str:
    pem = sandbox().config.private_key_pem
    return public_base64(pem) if pem else ""


def _json(found: object) -> Response:
    return Response(orjson.dumps(found), mimetype="application/json")
