"""`cohort`: made, opened, closed, counted."""

import json

from sqlalchemy import select

from course.models import Audit
from tests.commands.conftest import Minicourse
from tests.world import World


def test_a_cohort_is_made_with_its_start_and_zone(world: World, minicourse: Minicourse) -> None:
    answer = minicourse(
        *"cohort create job-search/spring --start 2027-03-01 --zone Europe/Rome".split()
    )
    assert answer.out == "job-search/spring is open: starts on 2027-03-01\n"
    found = json.loads(minicourse("cohort", "show", "spring", "--json").out)
    assert found == {
        "course": "job-search",
        "cohort": "spring",
        "state": "open",
        "starts_on": "2027-03-01",
        "zone": "Europe/Rome",
        "is_front": False,
        "created_at": "2027-01-14T11:00:00+00:00",
        "pending": 0,
        "active": 0,
        "paused": 0,
        "completed": 0,
        "cancelled": 0,
    }
    with world.database.reading() as session:
        (order,) = session.scalars(select(Audit))
        assert (order.action, order.detail) == ("cohort create", {"cohort": "job-search/spring"})


def test_closing_and_opening_say_what_they_did(minicourse: Minicourse) -> None:
    label = "job-search/evergreen"
    assert minicourse("cohort", "close", "evergreen").out == f"{label} is closed\n"
    assert minicourse("cohort", "close", label).out == f"{label} was closed already\n"
    assert minicourse("cohort", "open", label).out == f"{label} is open\n"


def test_nobody_joins_a_closed_cohort(minicourse: Minicourse) -> None:
    minicourse("cohort", "close", "evergreen")
    answer = minicourse("subscriber", "add", "a@example.com", "--cohort", "evergreen")
    assert answer.status == 1
    assert "minicourse cohort open job-search/evergreen" in answer.err
    assert json.loads(minicourse("subscriber", "list", "--json").out) == []


def test_a_list_counts_people_by_state(world: World, minicourse: Minicourse) -> None:
    world.leave(world.join("ada@example.org"))
    world.join("kim@example.org")
    world.sign_up("pending@example.org")
    (line,) = json.loads(minicourse("cohort", "list", "--json").out)
    counts = {state: line[state] for state in ("pending", "active", "cancelled", "completed")}
    assert counts == {"pending": 1, "active": 1, "cancelled": 1, "completed": 0}
    assert "evergreen *" in minicourse("cohort", "list").out
