"""The provider's event webhook: genuine or refused, and 2xx only after the last commit."""

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
        keys = _public_keys(ours)
    signature, timestamp = request.headers.get(_SIGNATURE), request.headers.get(_TIMESTAMP)
    if not webhooks.verify(body, signature, timestamp, keys):
        raise Forbidden
    _record(_parse(body), ours)
    return Response(status=204)


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
    for start in range(0, len(found), events.AT_ONCE):
        some = found[start : start + events.AT_ONCE]
        site().database.run(partial(take, events=some))


def _public_keys(ours: Installation) -> list[str]:
    """In sandbox mode, and only then, the stand-in's own key is good too."""
    own = [ours.sandbox_public_key] if ours.mode == Mode.SANDBOX else []
    return [*site().settings.sendgrid_webhook_public_key, *own]


def _parse(body: bytes) -> list[ProviderEvent]:
    try:
        return webhooks.parse(body)
    except InvalidInputError:
        raise BadRequest from None
