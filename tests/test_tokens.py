"""Signed links: what they say, to whom, and with which keys."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from itsdangerous import URLSafeSerializer

from course import tokens

NOW = datetime(2030, 3, 4, 9, tzinfo=UTC)


@pytest.mark.parametrize("subject", [0, 1, 4711, 2**39, 2**62 + 12345])
def test_a_link_says_whom_it_is_about_and_when_it_was_made(subject: int) -> None:
    token = tokens.sign("confirm", subject, NOW, ["key"])
    assert tokens.unsign("confirm", token, ["key"]) == tokens.Signed(subject, NOW)
    assert tokens.unsign("confirm", token, ["newer", "key"]) == tokens.Signed(subject, NOW)
    assert tokens.unsign("link", token, ["key"]) is None
    assert tokens.unsign("confirm", token, ["newer"]) is None
    assert tokens.unsign("confirm", f"{token}x", ["key"]) is None


def test_nobody_counts_people_by_their_links() -> None:
    """One sign-up a minute, each the next in number: what can be read goes up and down."""
    readable = URLSafeSerializer("any")
    seen = []
    for number in range(50):
        token = tokens.sign("confirm", number, NOW + timedelta(minutes=number), ["key"])
        seen.append(readable.loads_unsafe(token)[1][0])
    assert len(set(seen)) == 50
    rises = sum(later > sooner for sooner, later in pairwise(seen))
    assert 10 < rises < 40
    assert min(seen) > 10_000
