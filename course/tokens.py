"""Links: random tokens that are kept and work for years, signed ones that expire within days."""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from itsdangerous import BadSignature, URLSafeSerializer

CONFIRM_DAYS = 7


def new_token() -> str:
    """Unguessable and short: long links are folded by mail programs and then misread."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True, slots=True)
class Signed:
    """What a genuine link says: whom it is about and when it was made."""

    subject: int
    made_at: datetime


def sign(purpose: str, subject: int, now: datetime, keys: Sequence[str]) -> str:
    """A token for one purpose, signed with the newest key. It can be read by whoever has it, so the
    subject is covered: from numbers that go up, a stranger could count people and mails."""
    seconds = int(now.timestamp())
    covered = subject ^ _cover(purpose, seconds, keys[0])
    made: str = _serializer(purpose, keys[0]).dumps([covered, seconds])
    return made


def unsign(purpose: str, token: str, keys: Sequence[str]) -> Signed | None:
    """What the token says, or None where it is not one of ours (any of the keys will do)."""
    for key in keys:
        try:
            covered, seconds = map(int, _serializer(purpose, key).loads(token))
            subject = covered ^ _cover(purpose, seconds, key)
            return Signed(subject, datetime.fromtimestamp(seconds, UTC))
        except (BadSignature, ValueError, TypeError, OverflowError):
            continue
    return None


def _serializer(purpose: str, key: str) -> URLSafeSerializer:
    return URLSafeSerializer(key, salt=f"minicourse.{purpose}")


def _cover(purpose: str, seconds: int, key: str) -> int:
    """Five bytes: more than anybody has of anything, and the link in a mail stays short."""
    text = f"minicourse.{purpose}.cover:{seconds}"
    return int.from_bytes(hmac.digest(key.encode(), text.encode(), "sha256")[:5])
