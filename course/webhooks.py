"""SendGrid's event webhook: is it genuine, and what does it say? Nothing here touches the database.

The payload is genuine SendGrid, yet full of strangers' words (a mail server's reason, a link), so
nothing in it is trusted to have the documented type.
"""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from course.errors import InvalidInputError
from course.people import mask_within
from course.states import EventKind, SuppressionReason

_LONGEST_TEXT = 1000
_LONGEST_ID = 255
_LONGEST_EMAIL = 320
_LARGEST_ID = 2**63 - 1

_KINDS = {
    "processed": EventKind.PROCESSED,
    "deferred": EventKind.DEFERRED,
    "delivered": EventKind.DELIVERED,
    "bounce": EventKind.BOUNCED,
    "blocked": EventKind.BLOCKED,
    "dropped": EventKind.DROPPED,
    "open": EventKind.OPENED,
    "click": EventKind.CLICKED,
    "spamreport": EventKind.COMPLAINED,
    "unsubscribe": EventKind.UNSUBSCRIBED,
    "group_unsubscribe": EventKind.UNSUBSCRIBED,
}

# A permanent bounce is told from other kinds of bounce by its type; a refusal of this one mail
# ("blocked") says nothing final about the address, and a drop only for these reasons. Exact words:
# a drop for an "Invalid SMTPAPI header" is our fault, not the address's.
_SUPPRESSING = {
    ("bounce", "bounce"): SuppressionReason.BOUNCED,
    ("dropped", "bounced address"): SuppressionReason.BOUNCED,
    ("dropped", "invalid"): SuppressionReason.INVALID,
    ("dropped", "spam reporting address"): SuppressionReason.COMPLAINED,
    ("dropped", "unsubscribed address"): SuppressionReason.UNSUBSCRIBED,
    ("spamreport", ""): SuppressionReason.COMPLAINED,
    ("unsubscribe", ""): SuppressionReason.UNSUBSCRIBED,
    ("group_unsubscribe", ""): SuppressionReason.UNSUBSCRIBED,
}


class ProviderEvent(NamedTuple):
    """One event in our words. `email` is for matching in memory only and is never stored."""

    kind: EventKind
    at: datetime | None  # None: the event does not say; take the time of its arrival
    reference: str | None = None  # installation name, dash, delivery id
    x_message_id: str | None = None
    email: str | None = None
    reason: str | None = None
    url: str | None = None
    is_machine: bool = False
    sg_event_id: str | None = None
    suppression: SuppressionReason | None = None
    is_test: bool = False  # of a mail that an author sent to themselves

    def delivery_id(self, installation: str) -> int | None:
        """The delivery that this event names, if it is one of that installation's."""
        name, _, number = (self.reference or "").rpartition("-")
        if name != installation or not (number.isascii() and number.isdigit()):
            return None
        found = int(number[:20])
        return found if found <= _LARGEST_ID else None


# Is it genuine? ---------------------------------------------------------------------------------


def verify(
    body: bytes, signature: str | None, timestamp: str | None, public_keys: Sequence[str]
) -> bool:
    """Whether one of these keys (base64 of DER) signed the timestamp's bytes and the raw body.

    Whatever is missing or malformed is False. A signature's age is no reason to refuse: retries
    come for a day, and a replay changes nothing.
    """
    if not signature or timestamp is None:
        return False
    try:
        der = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    signed = timestamp.encode("utf-8", "replace") + body
    return any(_signed_by(key, der, signed) for key in map(_public_key, public_keys) if key)


def _signed_by(key: EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=16)
def is_key(text: str) -> bool:
    """Whether signatures can be told by it."""
    return _public_key(text) is not None


def _public_key(text: str) -> EllipticCurvePublicKey | None:
    try:
        key = load_der_public_key(base64.b64decode("".join(text.split()), validate=True))
    except (ValueError, UnsupportedAlgorithm):
        return None
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    return None


# What does it say? ------------------------------------------------------------------------------


def parse(body: bytes) -> list[ProviderEvent]:
    """The events of a body; InvalidInputError when it is not a JSON array of objects."""
    found = _json(body)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise InvalidInputError("The body is not a JSON array of events.")
    return [_event(item) for item in found]


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        # Neither broken UTF-8 in a stranger's words nor a number of a thousand digits may cost the
        # other events.
        return json.loads(body.decode("utf-8", "replace"), parse_int=float)
    except (ValueError, RecursionError):
        raise InvalidInputError("The body is not JSON.") from None


def _event(item: dict[str, Any]) -> ProviderEvent:
    word = (_text(item.get("event")) or "").lower()
    bounce_type = (_text(item.get("type")) or "").lower()
    reason = _kept(item.get("reason")) or _kept(item.get("response"))
    kind = _KINDS.get(word, EventKind.OTHER)
    detail = {"bounce": bounce_type, "dropped": (reason or "").lower()}.get(word, "")
    return ProviderEvent(
        kind=EventKind.BLOCKED if (word, bounce_type) == ("bounce", "blocked") else kind,
        at=_instant(item.get("timestamp")),
        reference=_text(item.get("minicourse_delivery"), _LONGEST_ID),
        # The provider appends its own routing to the id that its answer to the request named.
        x_message_id=(_text(item.get("sg_message_id"), _LONGEST_ID) or "").partition(".")[0]
        or None,
        email=_email(item.get("email")),
        reason=reason,
        url=_kept(item.get("url")),
        is_machine=_is_true(item.get("sg_machine_open")),
        sg_event_id=_text(item.get("sg_event_id"), _LONGEST_ID),
        suppression=_SUPPRESSING.get((word, detail)),
        is_test=isinstance(item.get("minicourse_test"), str),
    )


def _text(value: object, limit: int = _LONGEST_TEXT) -> str | None:
    """A string as one printable line that any database takes; None for the rest."""
    if not isinstance(value, str):
        return None
    text = value[: 2 * limit]
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(text.split())[:limit] or None


def _kept(value: object) -> str | None:
    """Text that is stored: mail servers like to quote the address, which events never hold."""
    text = _text(value)
    return mask_within(text) if text else None


def _email(value: object) -> str | None:
    text = _text(value, _LONGEST_EMAIL + 1)
    return text.lower() if text and "@" in text and len(text) <= _LONGEST_EMAIL else None


def _instant(value: object) -> datetime | None:
    """Unix seconds, as a number or its digits; None where that is no instant."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        seconds = float(value)
        return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    except (ValueError, OverflowError, OSError):
        return None


def _is_true(value: object) -> bool:
    return value is True or value == 1 or str(value).lower() in ("true", "1")


def dedupe_key(event: ProviderEvent) -> str:
    """The same for each copy of an event: a hash of what it says.

    `sg_event_id` is documented as stable, but users report that it changes on retries; it serves
    only where an event names nobody at all.
    """
    named = event.reference or [event.email, event.x_message_id]
    if named == [None, None]:
        named = [event.sg_event_id]
    at = int(event.at.timestamp()) if event.at else None
    natural = orjson.dumps([named, event.kind, at, event.url])
    return blake2b(natural, digest_size=8).hexdigest()
