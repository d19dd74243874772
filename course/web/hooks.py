"""The provider's event webhook: genuine or refused, and 2xx only after the last commit."""

import logging
from functools import partial

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest, Forbidden

from course import events, installation, webhooks
from course.errors import InvalidInputError
from course.models import Installation
from course.states import Mode
from course.web.body import whole_body
from course.web.site import site
from course.webhooks import ProviderEvent

hooks = Blueprint("hooks", __name__)
log = logging.getLogger(__name__)

# SendGrid posts at 768 KB or every 30 seconds.
LARGEST_BODY = 8 * 1024 * 1024
_SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
_TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"


@hooks.post("/webhooks/sendgrid")
def sendgrid() -> Response:
    """A refusal does not say why: who forges a signature learns nothing from it."""
    request.max_content_length = LARGEST_BODY
    body = whole_body()
    with site().database.reading() as session:
        ours = installation.get(session)
    is_theirs = _is_theirs(body, ours)
    found = _parse(body)
    _record(found, ours)
    if is_theirs:
        _note(ours, test=any(event.is_test for event in found))
    return Response(status=204)


def _is_theirs(body: bytes, ours: Installation) -> bool:
    """Whether the provider signed it. In sandbox mode, and only then, the stand-in's own key is
    good too; with any other, or none, the post is refused."""
    signature, timestamp = request.headers.get(_SIGNATURE), request.headers.get(_TIMESTAMP)
    verify = partial(webhooks.verify, body, signature, timestamp)
    if verify(site().settings.sendgrid_webhook_public_key) or verify(site().newer_webhook_keys()):
        return True
    if ours.mode == Mode.SANDBOX and verify([ours.sandbox_public_key]):
        return False
    raise Forbidden(response=_refused(403))


def _note(ours: Installation, *, test: bool) -> None:
    real = site().clock.real()
    if installation.is_news(ours, real, test=test):
        site().database.run(lambda session: installation.heard(session, real, test=test))


def _record(found: list[ProviderEvent], ours: Installation) -> None:
    """A few at a time, so that others can write meanwhile. What a failure leaves out comes again
    with the whole body, whose other events are then copies."""
    take = partial(
        events.record,
        now=site().now(),
        installation=ours.name,
        hash_key=site().hash_key,
        former=ours.former_names,
    )
    taken = []
    for start in range(0, len(found), events.AT_ONCE):
        some = found[start : start + events.AT_ONCE]
        taken.append(site().database.run(partial(take, events=some)))
    names = ("new", "repeated", "foreign", "unmatched")
    log.info("events", extra={n: sum(getattr(one, n) for one in taken) for n in names})


def _parse(body: bytes) -> list[ProviderEvent]:
    try:
        return webhooks.parse(body)
    except InvalidInputError:
        raise BadRequest(response=_refused(400)) from None


def _refused(status: int) -> Response:
    """For whoever reads it in the provider's log; it does not say why."""
    return Response("Not accepted.\n", status, mimetype="text/plain")
