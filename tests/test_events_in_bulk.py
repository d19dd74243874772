"""Many events at once, on both databases: the same as one by one, at a cost that does not grow."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event as on
from sqlalchemy import select
from sqlalchemy.orm import Session

from course import events, installation
from course.events import Recorded
from course.models import Delivery
from course.webhooks import parse
from tests.world import World

SENT = datetime(2027, 1, 14, 11, tzinfo=UTC)
# In the order in which an outcome rises.
OUTCOMES = {
    "processed": "processed",
    "deferred": "deferred",
    "delivered": "delivered",
    "bounce": "bounced",
}
WORDS = (*OUTCOMES, "open", "click", "spamreport")


@pytest.fixture
def world(any_world: World) -> World:
    """Three people, each with a mail that waits to be sent."""
    for number in range(3):
        any_world.sign_up(f"p{number}@example.org")
    return any_world


def post(
    session: Session, world: World, told: list[tuple[int, str, int, bool]], mails: list[int]
) -> Recorded:
    """(which mail, what, how many seconds after, a machine's open or another link's click) as the
    webhook takes it."""
    name = installation.get(session).name
    items = [
        {
            "event": word,
            "timestamp": int(SENT.timestamp()) + after,
            "sg_machine_open": word == "open" and is_other,
            "url": f"https://example.org/{is_other}" if word == "click" else None,
            "response": f"{word} after {after}",
            "minicourse_delivery": f"{name}-{mails[mail]}",
        }
        for mail, word, after, is_other in told
    ]
    body = json.dumps(items).encode()
    key = world.hash_key
    return events.record(session, parse(body), SENT, installation=name, hash_key=key)


TOLD = st.builds(
    lambda mail, word, after, other: (mail, word, after, word in ("open", "click") and other),
    st.integers(0, 2),
    st.sampled_from(WORDS),
    st.sampled_from([0, 1, 2, 3, 4, 11, 12, 13, 60]),
    st.booleans(),
)


# The machine may be busy: how long one example takes says nothing.
@settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(told=st.lists(TOLD, max_size=12), cuts=st.lists(st.integers(0, 12), max_size=3))
def test_parts_in_any_order_and_copies_of_them_come_to_the_same(
    world: World, told: list[tuple[int, str, int, bool]], cuts: list[int]
) -> None:
    """The parts come one by one, then all again at once, as after a failure half-way."""
    mails = [row.id for row in world.rows()]
    parts = [told[a:b] for a, b in pairwise([0, *sorted(cuts), len(told)])]
    # Of two events that differ in nothing but who opened, the first is the one that is kept.
    kept: dict[tuple[Any, ...], tuple[int, str, int, bool]] = {}
    for one in told:
        kept.setdefault(one if one[1] == "click" else one[:3], one)
    with world.database.writing() as session:
        assert sum(post(session, world, part, mails).new for part in parts) == len(kept)
        assert post(session, world, told, mails) == Recorded(repeated=len(told))
        for number, row in enumerate(_rows(session)):
            assert row == _fate([rest for mail, *rest in kept.values() if mail == number])
        session.rollback()


def _rows(session: Session) -> list[tuple[Any, ...]]:
    found = select(
        Delivery.state,
        Delivery.outcome,
        Delivery.complained_at,
        Delivery.opened_at,
        Delivery.clicked_at,
        Delivery.machine_opened_at,
        Delivery.machine_clicked_at,
    )
    return [tuple(row) for row in session.execute(found.order_by(Delivery.id))]


def _fate(told: list[list[Any]]) -> tuple[Any, ...]:
    """What one finds out about a mail with all its events in view."""

    def times(word: str) -> list[int]:
        return [after for each, after, _ in told if each == word]

    def first(found: list[int]) -> datetime | None:
        return SENT + timedelta(seconds=min(found)) if found else None

    hasty = -1
    if times("delivered"):
        delivered = min(times("delivered"))
        links = {
            other for word, after, other in told if word == "click" and after <= delivered + 10
        }
        hasty = delivered + (10 if len(links) == 2 else 2)
        all_hasty = len(links) == 2
    opens: dict[bool, list[int]] = {False: [], True: []}
    clicks: dict[bool, list[int]] = {False: [], True: []}
    for word, after, other in told:
        if word == "open":
            opens[other or (hasty >= after and all_hasty)].append(after)
        if word == "click":
            clicks[hasty >= after].append(after)
    outcomes = [word for word in OUTCOMES if times(word)]
    outcome = OUTCOMES[outcomes[-1]] if outcomes else None
    if outcome in (None, "processed", "deferred") and (times("open") or times("click")):
        outcome = "delivered"
    firsts = (opens[False], clicks[False], opens[True], clicks[True])
    return (
        "accepted" if told else "pending",
        outcome,
        first(times("spamreport")),
        *map(first, firsts),
    )


def test_the_number_of_statements_does_not_grow_with_the_events(world: World) -> None:
    for number in range(3, 60):
        world.sign_up(f"p{number}@example.org")
    mails = [row.id for row in world.rows()]
    statements: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    on.listen(world.database.engine, "before_cursor_execute", count)

    def cost(numbers: range) -> int:
        statements.clear()
        told = [(number, word, 0, False) for number in numbers for word in WORDS]
        with world.database.writing() as session:
            assert post(session, world, told, mails).new == len(told)
        return len(statements)

    assert cost(range(3)) == cost(range(3, 60))
