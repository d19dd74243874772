"""Rows that travel as one text arrive as they were, on both databases."""

from datetime import UTC, datetime, timedelta, timezone
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Executable, select

from course.models import Event
from course.rowsets import RowSet, insert_from, run
from tests.world import World

EVENTS = RowSet(
    delivery_id=Event.delivery_id,
    dedupe_key=Event.dedupe_key,
    at=Event.at,
    is_machine=Event.is_machine,
    reason=Event.reason,
)
NOON = datetime(2026, 3, 1, 12, 0, 0, 7, tzinfo=UTC)


@cache
def back(postgresql: bool) -> Executable:
    return select(EVENTS.given(postgresql))


@cache
def new(postgresql: bool) -> Executable:
    rows = EVENTS.given(postgresql)
    return insert_from(postgresql, Event, rows, dict(rows.c), ["kind", "received_at"]).returning(
        Event.dedupe_key
    )


# NUL and lone surrogates are cleaned away at every entrance; no database takes them.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
INSTANT = st.datetimes(
    datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(timezone(timedelta(hours=5)))
)
ROW = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1), TEXT, INSTANT, st.booleans(), st.none() | TEXT
)


@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=st.lists(ROW, max_size=5))
def test_what_comes_back_is_what_went(any_world: World, rows: list[tuple[object, ...]]) -> None:
    with any_world.database.reading() as session:
        found = run(session, back, given=EVENTS.pack(session, rows))
        assert [tuple(row) for row in found] == rows


def test_an_instant_without_a_zone_is_refused(any_world: World) -> None:
    with any_world.database.reading() as session, pytest.raises(ValueError, match="naive"):
        EVENTS.pack(session, [(1, "key", NOON.replace(tzinfo=None), False, None)])


def test_what_is_there_already_is_left_out(any_world: World) -> None:
    rows = [(None, key, NOON, True, None) for key in ("a", "b", "a")]
    with any_world.database.writing() as session:
        for expected in (["a", "b"], []):
            made = run(
                session, new, given=EVENTS.pack(session, rows), kind="other", received_at=NOON
            )
            assert sorted(made.scalars()) == expected
        (first, _) = session.scalars(select(Event).order_by(Event.dedupe_key))
        assert (first.at, first.kind, first.is_machine) == (NOON, "other", True)
