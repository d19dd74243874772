"""A form's token: it says that a page of ours was open for a moment before it was sent, and it is
good for once. Real time: a page is open in the world of its visitor."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from course.db import insert_ignoring
from course.models import UsedToken
from course.tokens import sign, unsign


class Purpose(StrEnum):
    """What was open: the form, or the one button that stands for it."""

    FORM = "form"
    AGAIN = "again"


# Nobody types an address in less time. Whoever has it filled in for them presses once more. (The
# clocks of two machines may differ by some seconds.)
LEAST_AGE = {Purpose.FORM: timedelta(seconds=3), Purpose.AGAIN: timedelta(minutes=-1)}
GREATEST_AGE = {Purpose.FORM: timedelta(hours=24), Purpose.AGAIN: timedelta(hours=1)}
_SECOND = timedelta(seconds=1)
_LEAST = 2**61


def make(purpose: Purpose, real: datetime, keys: Sequence[str]) -> str:
    # A token keeps whole seconds: rounded up, so that none is taken for older than it is.
    at = real if purpose is Purpose.AGAIN else real + _SECOND
    # Of always as many digits: a page is as long for one visitor as for another.
    return sign(purpose, _LEAST + secrets.randbits(61), at, keys)


def use(session: Session, token: str, real: datetime, keys: Sequence[str]) -> bool:
    """Whether it is ours, neither too young nor too old, and used for the first time.

    The row is written in the transaction in which the form acts, so of two that come at the same
    time one finds it there. It names what the token says: its text can be written in other ways.
    """
    name = _good_name(token, real, keys) if token else None
    if name is None:
        return False
    row = {"token_hash": name, "used_at": real}
    insert = insert_ignoring(session, UsedToken).values(row).returning(UsedToken.token_hash)
    return session.scalar(insert) is not None


def _good_name(token: str, real: datetime, keys: Sequence[str]) -> str | None:
    """Under which name it is written down; None where it is not ours, too young or too old."""
    for purpose in Purpose:
        signed = unsign(purpose, token, keys)
        if signed and LEAST_AGE[purpose] <= real - signed.made_at <= GREATEST_AGE[purpose]:
            return sha256(f"{purpose}:{signed.subject}".encode()).hexdigest()[:32]
    return None


def sweep(session: Session, real: datetime, limit: int = 500) -> int:
    """Forget those that nobody could use any more; returns how many."""
    over = UsedToken.used_at < real - 2 * max(GREATEST_AGE.values())
    old = session.scalars(select(UsedToken.token_hash).where(over).limit(limit)).all()
    session.execute(delete(UsedToken).where(UsedToken.token_hash.in_(old)))
    return len(old)
