"""Links: random tokens that are kept and work for years, signed ones that expire within days."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

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

    def is_older_than(self, days: int, now: datetime) -> bool:
        return now - self.made_at > timedelta(days=days)


def sign(purpose: str, subject: int, now: datetime, keys: Sequence[str]) -> str:
    """A token for one purpose, signed with the newest key."""
    made: str = _serializer(purpose, keys).dumps([subject, int(now.timestamp())])
    return made


def unsign(purpose: str, token: str, keys: Sequence[str]) -> Signed | None:
    """What the token says, or None where it is not one of ours (any of the keys will do)."""
    try:
        subject, seconds = _serializer(purpose, keys).loads(token)
        return Signed(int(subject), datetime.fromtimestamp(int(seconds), UTC))
    except (BadSignature, ValueError, TypeError, OverflowError):
        return None


def _serializer(purpose: str, keys: Sequence[str]) -> URLSafeSerializer:
    # The library takes its keys oldest first and signs with the last.
    return URLSafeSerializer(list(reversed(keys)), salt=f"minicourse.{purpose}")
