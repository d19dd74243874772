"""The event webhook's signature and payload, with literal payloads and a real key."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course.errors import InvalidInputError
from course.states import EventKind, SuppressionReason
from course.webhooks import ProviderEvent, dedupe_key, parse, verify

# A key pair made for these tests alone.
PRIVATE_KEY = load_der_private_key(
    base64.b64decode(
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgSXVnOfJRy1O6y4mS9iTzF4/dfc3U"
        "5wnEvO7TJPGDrOGhRANCAATe2sUMujOZuSh4N6rUN1hZO7UBDBWK3Lnoq32wpRChQcaHEB2zfCPn"
        "726hZuhTIoeldOnfbzlbVm2b1L2svojR"
    ),
    password=None,
)
PUBLIC_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE3trFDLozmbkoeDeq1DdYWTu1AQwVity56Kt9sKUQ"
    "oUHGhxAds3wj5+9uoWboUyKHpXTp3285W1Ztm9S9rL6I0Q=="
)
TIMESTAMP = "1767600000"
BODY = (
    b'[{"email":"ada@example.org","timestamp":1767600000,"event":"delivered",\r\n'
    b'"sg_message_id":"14c5d75ce93.dfd.64b469.0","minicourse_delivery":"k3f9x2-123"}]\r\n'
)
# Made once with that key over TIMESTAMP and BODY, as SendGrid does it.
SIGNATURE = (
    "MEUCIFF2MWBaOxpDKcNEGq6+uPoe/N4paDyOS2oH6rfwi2ewAiEArAgodkEQ+A5A1lTa4CKMyxpj"
    "bfX6Gs72Rc5V6eu5oms="
)


def spki(key: Any) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


# Is it genuine?


def test_a_genuine_signature_is_taken() -> None:
    assert verify(BODY, SIGNATURE, TIMESTAMP, [PUBLIC_KEY])


def test_the_key_in_these_tests_made_that_signature() -> None:
    assert isinstance(PRIVATE_KEY, ec.EllipticCurvePrivateKey)
    assert spki(PRIVATE_KEY) == PUBLIC_KEY
    again = PRIVATE_KEY.sign(TIMESTAMP.encode() + BODY, ec.ECDSA(SHA256()))
    assert verify(BODY, base64.b64encode(again).decode(), TIMESTAMP, [PUBLIC_KEY])


def test_any_of_several_keys_will_do_while_keys_rotate() -> None:
    other = spki(ec.generate_private_key(ec.SECP256R1()))
    assert verify(BODY, SIGNATURE, TIMESTAMP, [other, PUBLIC_KEY])
    assert verify(BODY, SIGNATURE, TIMESTAMP, ["not a key", PUBLIC_KEY])


def test_a_key_may_have_been_pasted_with_line_breaks() -> None:
    assert verify(BODY, SIGNATURE, TIMESTAMP, [f"{PUBLIC_KEY[:64]}\n {PUBLIC_KEY[64:]}\n"])


@pytest.mark.parametrize(
    ("body", "signature", "timestamp", "keys"),
    [
        (BODY.replace(b"\r\n", b"\n"), SIGNATURE, TIMESTAMP, [PUBLIC_KEY]),  # not the raw body
        (BODY + b" ", SIGNATURE, TIMESTAMP, [PUBLIC_KEY]),
        (b"", SIGNATURE, TIMESTAMP, [PUBLIC_KEY]),
        (BODY, SIGNATURE, "1767600001", [PUBLIC_KEY]),
        (BODY, SIGNATURE, "", [PUBLIC_KEY]),
        (BODY, SIGNATURE, None, [PUBLIC_KEY]),
        (BODY, SIGNATURE, "\ud800", [PUBLIC_KEY]),
        (BODY, None, TIMESTAMP, [PUBLIC_KEY]),
        (BODY, "", TIMESTAMP, [PUBLIC_KEY]),
        (BODY, "not base64!", TIMESTAMP, [PUBLIC_KEY]),
        (BODY, "ünïcode", TIMESTAMP, [PUBLIC_KEY]),
        (BODY, "AAAA", TIMESTAMP, [PUBLIC_KEY]),  # base64, but no signature
        (BODY, SIGNATURE[:-8], TIMESTAMP, [PUBLIC_KEY]),  # cut off
        (BODY, SIGNATURE, TIMESTAMP, []),
        (BODY, SIGNATURE, TIMESTAMP, [""]),
        (BODY, SIGNATURE, TIMESTAMP, ["AAAA"]),
        (BODY, SIGNATURE, TIMESTAMP, [spki(ec.generate_private_key(ec.SECP256R1()))]),
        (BODY, SIGNATURE, TIMESTAMP, [spki(ec.generate_private_key(ec.SECP384R1()))]),
        (BODY, SIGNATURE, TIMESTAMP, [spki(ed25519.Ed25519PrivateKey.generate())]),
    ],
)
def test_whatever_is_wrong_or_malformed_is_refused_without_an_exception(
    body: bytes, signature: str | None, timestamp: str | None, keys: list[str]
) -> None:
    assert verify(body, signature, timestamp, keys) is False


# What does it say?


def parse_one(**fields: Any) -> ProviderEvent:
    (event,) = parse(json.dumps([fields]).encode())
    return event


def test_an_event_is_read_whole() -> None:
    body = b"""[{
        "email": "Ada@Example.org",
        "timestamp": 1767600000,
        "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
        "event": "open",
        "category": ["job-search"],
        "sg_event_id": "b3BlbmVkLTE",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        "minicourse_delivery": "k3f9x2-123",
        "useragent": "Mozilla/4.0 (compatible; MSIE 6.1; Windows XP)",
        "ip": "255.255.255.255",
        "sg_content_type": "html",
        "sg_machine_open": true
    }]"""
    assert parse(body) == [
        ProviderEvent(
            kind=EventKind.OPENED,
            at=datetime(2026, 1, 5, 8, tzinfo=UTC),
            reference="k3f9x2-123",
            x_message_id="14c5d75ce93",
            email="ada@example.org",
            is_machine=True,
            sg_event_id="b3BlbmVkLTE",
        )
    ]


S = SuppressionReason


@pytest.mark.parametrize(
    ("fields", "kind", "suppression"),
    [
        ({"event": "processed"}, EventKind.PROCESSED, None),
        ({"event": "deferred", "response": "400 try again", "attempt": "5"}, "deferred", None),
        ({"event": "delivered", "response": "250 OK"}, EventKind.DELIVERED, None),
        ({"event": "bounce", "type": "bounce", "status": "5.0.0"}, EventKind.BOUNCED, S.BOUNCED),
        ({"event": "bounce", "type": "blocked", "status": "4.0.0"}, EventKind.BLOCKED, None),
        ({"event": "bounce", "type": "expired"}, EventKind.BOUNCED, None),  # nothing permanent
        ({"event": "bounce"}, EventKind.BOUNCED, None),
        ({"event": "dropped", "reason": "Bounced Address"}, EventKind.DROPPED, S.BOUNCED),
        ({"event": "dropped", "reason": "Invalid"}, EventKind.DROPPED, S.INVALID),
        # Our own fault, not the address's:
        ({"event": "dropped", "reason": "Invalid SMTPAPI header"}, EventKind.DROPPED, None),
        ({"event": "dropped", "reason": "Spam Reporting Address"}, "dropped", S.COMPLAINED),
        ({"event": "dropped", "reason": "Unsubscribed Address"}, "dropped", S.UNSUBSCRIBED),
        (
            {"event": "dropped", "reason": "Spam Content (if spam checker app enabled)"},
            "dropped",
            None,
        ),
        ({"event": "dropped", "reason": "Recipient List over Package Quota"}, "dropped", None),
        ({"event": "dropped"}, EventKind.DROPPED, None),
        ({"event": "open"}, EventKind.OPENED, None),
        ({"event": "click", "url": "https://example.org"}, EventKind.CLICKED, None),
        ({"event": "spamreport"}, EventKind.COMPLAINED, S.COMPLAINED),
        ({"event": "unsubscribe"}, EventKind.UNSUBSCRIBED, S.UNSUBSCRIBED),
        ({"event": "group_unsubscribe", "asm_group_id": 10}, "unsubscribed", S.UNSUBSCRIBED),
        ({"event": "group_resubscribe", "asm_group_id": 10}, EventKind.OTHER, None),
        ({"event": "account_status_change", "type": "compliance_suspend"}, EventKind.OTHER, None),
        ({"event": "unheard of"}, EventKind.OTHER, None),
        ({"event": None}, EventKind.OTHER, None),
        ({"event": ["open"]}, EventKind.OTHER, None),
        ({}, EventKind.OTHER, None),
    ],
)
def test_the_vendors_words_become_ours(
    fields: dict[str, Any], kind: str, suppression: SuppressionReason | None
) -> None:
    event = parse_one(**fields)
    assert (event.kind, event.suppression) == (kind, suppression)


@pytest.mark.parametrize(
    ("timestamp", "at"),
    [
        (1767600000, datetime(2026, 1, 5, 8, tzinfo=UTC)),
        ("1767600000", datetime(2026, 1, 5, 8, tzinfo=UTC)),
        (1767600000.0, datetime(2026, 1, 5, 8, tzinfo=UTC)),
        (None, None),
        (True, None),
        ("", None),
        ("yesterday", None),
        ("nan", None),
        (0, None),
        (-1, None),
        (1767600000000, None),  # milliseconds
        (10**400, None),
        ({"at": 1}, None),
        ([], None),
    ],
)
def test_a_time_is_an_instant_or_none(timestamp: Any, at: datetime | None) -> None:
    assert parse_one(event="open", timestamp=timestamp).at == at


def test_a_number_of_a_thousand_digits_does_not_cost_the_others() -> None:
    body = b'[{"event":"open","timestamp":' + b"9" * 5000 + b'},{"event":"click"}]'
    assert [event.kind for event in parse(body)] == [EventKind.OPENED, EventKind.CLICKED]


@pytest.mark.parametrize("value", [None, 7, 1.5, True, [], {}, ["x"], {"a": {"b": []}}, ""])
def test_a_field_of_any_other_type_is_as_if_it_were_missing(value: Any) -> None:
    names = "reason response url email type sg_message_id sg_event_id minicourse_delivery".split()
    event = parse_one(event="bounce", **dict.fromkeys(names, value))
    assert event == ProviderEvent(EventKind.BOUNCED, None)


def test_long_and_unprintable_text_is_made_fit_to_store() -> None:
    event = parse_one(event="bounce", reason="5\x00.1\r\n\u202e.1 " + "x" * 5000 + "\ud800")
    assert event.reason is not None
    assert event.reason.startswith("5 .1 .1 xxx")
    assert event.reason.isprintable()
    assert len(event.reason) == 1000


def test_a_lone_surrogate_or_broken_utf8_costs_nothing() -> None:
    surrogate, broken = parse(b'[{"event":"bounce","reason":"a\\ud800b"},{"event":"\xff"}]')
    assert surrogate.reason == "a b"
    assert broken.kind is EventKind.OTHER


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("550 5.1.1 <ada@example.org>: unknown", "550 5.1.1 <…@example.org>: unknown"),
        (
            "https://example.org/?to=ada%40example.org&x=1",
            "https://example.org/?to=…%40example.org&x=1",
        ),
        ("https://mastodon.example/@ada", "https://mastodon.example/@ada"),
        ("https://example.org/watch?v=1", "https://example.org/watch?v=1"),
    ],
)
def test_what_is_stored_never_holds_an_address(given: str, kept: str) -> None:
    event = parse_one(event="click", reason=given, url=given)
    assert (event.reason, event.url) == (kept, kept)


@pytest.mark.parametrize("value", ["true", True, 1, "1", "True"])
def test_a_machines_open_is_told_from_a_persons(value: Any) -> None:
    assert parse_one(event="open", sg_machine_open=value).is_machine


@pytest.mark.parametrize("value", ["false", False, 0, None, "", {}, "no"])
def test_a_persons_open_is_told_from_a_machines(value: Any) -> None:
    assert not parse_one(event="open", sg_machine_open=value).is_machine


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"{}", b"7", b'"x"', b"[1]", b"[[]]", b"[{},null]", b"[{]", b"[" * 100_000],
)
def test_what_is_no_array_of_events_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse(body)


def test_an_empty_array_holds_no_events() -> None:
    assert parse(b"[]") == []


TEXT = st.text(max_size=9)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
JSON = SCALAR | st.lists(SCALAR, max_size=2) | st.dictionaries(TEXT, SCALAR, max_size=2)
FIELDS = st.sampled_from(
    "email timestamp event type reason response url sg_message_id sg_event_id sg_machine_open "
    "minicourse_delivery".split()
)


# The machine may be busy: how long one example takes says nothing.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
@given(st.lists(st.dictionaries(FIELDS, JSON, max_size=4), max_size=3))
def test_no_array_of_objects_is_too_strange(items: list[dict[str, Any]]) -> None:
    events = parse(json.dumps(items).encode())
    assert len(events) == len(items)
    for event in events:
        assert len(dedupe_key(event)) == 16
        event.delivery_id("k3f9x2")


# Which delivery, and is it a copy?


@pytest.mark.parametrize(
    ("reference", "delivery_id"),
    [
        ("k3f9x2-123", 123),
        ("other-123", None),
        ("k3f9x2", None),
        ("k3f9x2-", None),
        ("k3f9x2--1", None),
        ("k3f9x2-١٢٣", None),  # digits, but not ours
        ("k3f9x2-12x", None),
        ("k3f9x2-99999999999999999999", None),  # no database holds it
        ("-123", None),
        (None, None),
    ],
)
def test_only_our_own_references_name_a_delivery(
    reference: str | None, delivery_id: int | None
) -> None:
    event = ProviderEvent(EventKind.OPENED, None, reference=reference)
    assert event.delivery_id("k3f9x2") == delivery_id


CLICK = ProviderEvent(
    kind=EventKind.CLICKED,
    at=datetime(2026, 1, 5, 8, tzinfo=UTC),
    reference="k3f9x2-123",
    x_message_id="14c5d75ce93",
    email="ada@example.org",
    url="https://example.org",
    sg_event_id="one",
)


@pytest.mark.parametrize(
    "changed",
    [
        {"sg_event_id": "two"},  # users report that it changes on retries
        {"x_message_id": None, "email": None},  # the delivery says enough
        {"reason": "250 OK"},
    ],
)
def test_a_copy_has_the_same_key(changed: dict[str, Any]) -> None:
    assert dedupe_key(CLICK._replace(**changed)) == dedupe_key(CLICK)


@pytest.mark.parametrize(
    "changed",
    [
        {"reference": "k3f9x2-124"},
        {"reference": None},
        {"kind": EventKind.OPENED},
        {"at": datetime(2026, 1, 5, 8, 0, 1, tzinfo=UTC)},
        {"at": None},
        {"url": "https://example.org/2"},
    ],
)
def test_another_event_has_another_key(changed: dict[str, Any]) -> None:
    assert dedupe_key(CLICK._replace(**changed)) != dedupe_key(CLICK)


def test_a_late_bounce_is_known_by_its_address() -> None:
    bounce = ProviderEvent(EventKind.BOUNCED, CLICK.at, email="ada@example.org", sg_event_id="1")
    assert dedupe_key(bounce._replace(sg_event_id="2")) == dedupe_key(bounce)
    assert dedupe_key(bounce._replace(email="bob@example.org")) != dedupe_key(bounce)


def test_what_names_nobody_is_known_by_the_providers_own_id() -> None:
    nobody = ProviderEvent(EventKind.OTHER, CLICK.at, sg_event_id="1")
    assert dedupe_key(nobody._replace(sg_event_id="2")) != dedupe_key(nobody)
