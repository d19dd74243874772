from base64 import b64decode
from typing import Any

import orjson
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from flask.testing import FlaskClient

from course.sandbox.events import Subject, outcomes
from course.sandbox.keys import make_key_pair

from .conftest import KEY, NOW, AppFactory, Webhook, request_to

PAIR = make_key_pair()
TRACKED = {"open_tracking": {"enable": True}, "click_tracking": {"enable": True}}
SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"


@pytest.fixture
def hooked(make_app: AppFactory, webhook: Webhook) -> FlaskClient:
    return make_app(webhook_url=webhook.url, private_key_pem=PAIR.private_pem).test_client()


def events_in(body: bytes) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = orjson.loads(body)
    return events


def verify(headers: dict[str, str], body: bytes) -> None:
    key = load_der_public_key(b64decode(PAIR.public_base64))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signed = headers[TIMESTAMP].encode() + body
    key.verify(b64decode(headers[SIGNATURE]), signed, ec.ECDSA(SHA256()))


def fate(recipient: str) -> list[str]:
    subject = Subject("m", 0, recipient, {}, [])
    bodies = [orjson.loads(event.body) for event in outcomes(subject, NOW)]
    return [body["event"] + body.get("type", "").replace("bounce", "") for body in bodies]


def test_an_accepted_mail_is_reported_processed_and_delivered(
    hooked: FlaskClient, webhook: Webhook
) -> None:
    own = {"to": [{"email": "anna@example.com"}], "custom_args": {"delivery": "d1", "event": "x"}}
    request = request_to(personalizations=[own], custom_args={"course": "c"}, categories=["c"])
    answer = hooked.post("/v3/mail/send", json=request, headers=KEY)
    ((headers, body),) = webhook.wait_for_posts(1)
    processed, delivered = events_in(body)
    assert headers["Content-Type"] == "application/json"
    assert (processed["event"], delivered["event"]) == ("processed", "delivered")
    for event in (processed, delivered):
        assert event["sg_message_id"].startswith(answer.headers["X-Message-Id"])
        assert (event["delivery"], event["course"]) == ("d1", "c")
        assert event["email"] == "anna@example.com"
        assert event["timestamp"] == int(NOW.timestamp())
        assert event["category"] == ["c"]
    assert processed["sg_event_id"] != delivered["sg_event_id"]


def test_the_signature_covers_the_timestamp_and_the_raw_body(
    hooked: FlaskClient, webhook: Webhook
) -> None:
    hooked.post("/v3/mail/send", json=request_to("anna@example.com"), headers=KEY)
    ((headers, body),) = webhook.wait_for_posts(1)
    verify(headers, body)
    with pytest.raises(InvalidSignature):
        verify(headers, body + b" ")
    with pytest.raises(InvalidSignature):
        verify(headers | {TIMESTAMP: headers[TIMESTAMP] + "0"}, body)


def test_what_a_webhook_refuses_is_posted_again_with_the_same_event_ids(
    hooked: FlaskClient, webhook: Webhook
) -> None:
    webhook.answers = [500, 302]
    hooked.post("/v3/mail/send", json=request_to("anna@example.com"), headers=KEY)
    posts = webhook.wait_for_posts(3)
    ids = [[event["sg_event_id"] for event in events_in(body)] for _, body in posts]
    assert ids[0] == ids[1] == ids[2]


def test_events_that_nobody_took_are_posted_after_a_restart(
    make_app: AppFactory, webhook: Webhook
) -> None:
    nobody = "http://127.0.0.1:9/"  # the discard port: nobody listens
    away = make_app(webhook_url=nobody, private_key_pem=PAIR.private_pem)
    away.test_client().post("/v3/mail/send", json=request_to("anna@example.com"), headers=KEY)
    away.test_client().delete("/api/mails")  # emptying the inbox takes back no event
    away.extensions["sandbox"].poster.stop()
    make_app(webhook_url=webhook.url, private_key_pem=PAIR.private_pem).extensions[
        "sandbox"
    ].announce_events()
    ((_, body),) = webhook.wait_for_posts(1)
    assert [event["event"] for event in events_in(body)] == ["processed", "delivered"]


def test_a_thousand_recipients_are_reported_once_each_in_batches_of_bounded_size(
    hooked: FlaskClient, webhook: Webhook
) -> None:
    emails = [f"p{number}@example.com" for number in range(1000)]
    hooked.post("/v3/mail/send", json=request_to(*emails), headers=KEY)
    posts = webhook.wait_for_posts(2)
    assert all(len(body) < 768_000 for _, body in posts)
    reported = [(e["email"], e["event"]) for _, body in posts for e in events_in(body)]
    expected = [(email, name) for email in emails for name in ("processed", "delivered")]
    assert sorted(reported) == sorted(expected)


def test_looking_at_a_mail_is_an_open_and_following_its_link_a_click(
    hooked: FlaskClient, webhook: Webhook
) -> None:
    html = '<a href="https://example.com/a?b=1&amp;c=2">go</a>'
    request = request_to(
        "anna@example.com",
        content=[{"type": "text/html", "value": html}],
        tracking_settings=TRACKED,
    )
    hooked.post("/v3/mail/send", json=request, headers=KEY)
    webhook.wait_for_posts(1)
    hooked.get("/mails/1/frame", headers={"User-Agent": "Browser"})
    webhook.wait_for_posts(2)
    answer = hooked.get("/click/1/0")
    assert (answer.status_code, answer.location) == (302, "https://example.com/a?b=1&c=2")
    posts = webhook.wait_for_posts(3)
    (opened,), (clicked,) = (events_in(body) for _, body in posts[1:])
    assert (opened["event"], opened["useragent"]) == ("open", "Browser")
    assert opened["sg_machine_open"] is False
    assert (clicked["event"], clicked["url"]) == ("click", "https://example.com/a?b=1&c=2")
    assert opened["sg_message_id"] == clicked["sg_message_id"]


@pytest.mark.parametrize(
    ("recipient", "events"),
    [
        ("anna@example.com", ["processed", "delivered"]),
        ("bounce@sandbox.test", ["processed", "bounce"]),
        ("Bounce+anna@Mail.Sandbox.Test", ["processed", "bounce"]),  # a suffix, a subdomain
        ("blocked@sandbox.test", ["processed", "bounceblocked"]),
        ("deferred@sandbox.test", ["processed", "deferred", "delivered"]),
        ("dropped@sandbox.test", ["dropped"]),
        ("spam@sandbox.test", ["processed", "delivered", "spamreport"]),
        ("anna@sandbox.test", ["processed", "delivered"]),
        ("bounce@example.com", ["processed", "delivered"]),  # anybody's real address
        ("bounce@notsandbox.test", ["processed", "delivered"]),
    ],
)
def test_only_a_few_addresses_stand_for_trouble(recipient: str, events: list[str]) -> None:
    assert fate(recipient) == events


def test_without_a_webhook_events_are_kept_but_wait_for_nobody(
    client: FlaskClient, make_app: AppFactory, webhook: Webhook
) -> None:
    client.post("/v3/mail/send", json=request_to("anna@example.com"), headers=KEY)
    assert "delivered" in client.get("/mails/1/headers").text
    hooked = make_app(webhook_url=webhook.url, private_key_pem=PAIR.private_pem).test_client()
    hooked.post("/v3/mail/send", json=request_to("ben@example.com"), headers=KEY)
    ((_, body),) = webhook.wait_for_posts(1)
    assert {event["email"] for event in events_in(body)} == {"ben@example.com"}
