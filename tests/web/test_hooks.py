"""The webhook's door: only what the provider signed gets in, and a refusal says nothing."""

import base64
import json
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from course import events
from course.events import Recorded
from course.models import Delivery, Event, Installation
from course.sandbox.keys import load_private_key, make_key_pair, sign
from course.states import Mode
from course.webhooks import ProviderEvent

from .conftest import MONDAY, World

HOOK = "/webhooks/sendgrid"
STAMP = "1893924000"


def post(
    world: World, body: bytes, signature: str | None, timestamp: str | None = STAMP
) -> TestResponse:
    headers = {
        "X-Twilio-Email-Event-Webhook-Signature": signature,
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }
    given = {name: value for name, value in headers.items() if value is not None}
    return world.client.post(HOOK, data=body, headers=given, content_type="application/json")


def signed(world: World, body: bytes, timestamp: str = STAMP) -> str:
    return sign(load_private_key(world.keys.private_pem), timestamp, body)


def delivered(world: World) -> bytes:
    """An event about the one row that the world's learner has."""
    name = world.rows(Installation)[0].name
    number = world.rows(Delivery)[-1].id
    return json.dumps(
        [
            {
                "event": "delivered",
                "timestamp": int(MONDAY.timestamp()),
                "email": "ada@example.org",
                "sg_event_id": "event-1",
                "minicourse_delivery": f"{name}-{number}",
            }
        ]
    ).encode()


def test_a_signed_event_is_recorded_and_a_copy_is_harmless(world: World) -> None:
    world.join()
    world.receive("welcome", MONDAY)
    body = delivered(world)
    for _ in range(2):
        assert post(world, body, signed(world, body)).status_code == 204
    [event] = world.rows(Event)
    assert event.kind == "delivered"
    assert world.rows(Delivery)[-1].outcome == "delivered"


@pytest.mark.parametrize(
    ("signature", "timestamp"),
    [
        (None, STAMP),
        ("", STAMP),
        ("not base64 !", STAMP),
        ("AAAA", STAMP),
        (base64.b64encode(b"\x30\x06\x02\x01\x01\x02\x01\x01").decode(), STAMP),
        ("x" * 5000, STAMP),
        ("right", None),
        ("right", "1893924001"),
        ("right", "yesterday"),
        ("foreign", STAMP),
    ],
)
def test_what_is_not_signed_right_is_refused_and_changes_nothing(
    world: World, signature: str | None, timestamp: str | None
) -> None:
    world.join()
    body = delivered(world)
    if signature == "right":
        signature = signed(world, body)
    if signature == "foreign":
        signature = sign(load_private_key(make_key_pair().private_pem), STAMP, body)
    before = world.contents()
    answer = post(world, body, signature, timestamp)
    assert answer.status_code == 403
    assert world.contents() == before


def test_every_refusal_reads_the_same(world: World) -> None:
    body = b"[]"
    answers = [post(world, body, each) for each in (None, "AAAA", signed(world, b"[ ]"))]
    answers.append(post(world, b"{", signed(world, b"{")))
    assert {answer.text for answer in answers} == {"Not accepted.\n"}
    assert {answer.mimetype for answer in answers} == {"text/plain"}
    assert "Content-Security-Policy" in answers[0].headers


def test_a_changed_body_is_refused(world: World) -> None:
    assert post(world, b"[] ", signed(world, b"[]")).status_code == 403


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'"text"', b"[1]", b"null", b"[" * 9000])
def test_a_signed_body_that_is_no_array_of_events_is_a_400(world: World, body: bytes) -> None:
    assert post(world, body, signed(world, body)).status_code == 400


def test_the_stand_ins_key_is_good_in_sandbox_mode_only(world: World) -> None:
    with world.database.writing() as session:
        session.get_one(Installation, 1).mode = Mode.LIVE
    assert post(world, b"[]", signed(world, b"[]")).status_code == 403


def test_a_body_beyond_8_megabytes_is_refused(world: World) -> None:
    body = b" " * (8 * 1024 * 1024 + 1)
    assert post(world, body, "AAAA").status_code == 413


def test_a_body_larger_than_a_form_is_taken(world: World) -> None:
    body = b"[" + b" " * 1_000_000 + b"]"
    assert post(world, body, signed(world, body)).status_code == 204


def test_looking_is_not_posting(world: World) -> None:
    assert world.client.get(HOOK).status_code == 405


def test_a_large_body_is_taken_in_parts_and_is_harmless_when_it_comes_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.join()
    world.receive("welcome", MONDAY)
    [one] = json.loads(delivered(world))
    body = json.dumps([one | {"event": word} for word in ("processed", "delivered", "open")])
    monkeypatch.setattr(events, "AT_ONCE", 2)

    def record(session: Session, events: list[ProviderEvent], *given: Any, **more: Any) -> Recorded:
        if len(events) == 1:  # the last part
            raise OperationalError("", {}, Exception("away"))
        return whole(session, events, *given, **more)

    with monkeypatch.context() as broken:
        whole = events.record
        broken.setattr(events, "record", record)
        assert post(world, body.encode(), signed(world, body.encode())).status_code == 503
    assert len(world.rows(Event)) == 2
    assert post(world, body.encode(), signed(world, body.encode())).status_code == 204
    assert sorted(event.kind for event in world.rows(Event)) == ["delivered", "opened", "processed"]
    row = world.rows(Delivery)[-1]
    assert (row.outcome, row.opened_at) == ("delivered", MONDAY)


def test_each_post_is_one_line_with_what_became_of_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "course.web.hooks")
    body = b'[{"event": "delivered", "email": "nobody@example.org", "timestamp": 1}]'
    assert post(world, body, signed(world, body)).status_code == 204
    (line,) = caplog.records
    assert (line.getMessage(), line.__dict__["unmatched"]) == ("events", 1)


def test_a_busy_database_asks_the_provider_to_come_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'[{"event": "open", "email": "a@example.org"}]'

    def locked(*_: object, **__: object) -> None:
        raise OperationalError("", {}, Exception("database is locked"))

    monkeypatch.setattr(world.database, "patience_seconds", 0)
    monkeypatch.setattr(events, "record", locked)
    answer = post(world, body, signed(world, body))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert world.rows(Event) == []


def test_our_own_failure_is_a_500_that_says_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'[{"event": "open", "email": "a@example.org"}]'

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(events, "record", broken)
    monkeypatch.setitem(world.client.application.config, "PROPAGATE_EXCEPTIONS", False)
    answer = post(world, body, signed(world, body))
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_words_of_a_mail_server_are_kept_as_one_printable_line(world: World) -> None:
    world.join()
    world.receive("welcome", MONDAY)
    [one] = json.loads(delivered(world))
    hostile = "550 \x1b[31m<script>alert(1)</script>\r\n\u202e{{ 7 * 7 }}"
    body = json.dumps([one | {"event": "bounce", "type": "bounce", "reason": hostile}]).encode()
    assert post(world, body, signed(world, body)).status_code == 204
    reason = world.rows(Delivery)[-1].outcome_reason
    assert reason.isprintable()
    assert "550" in reason
