"""`send`: what is due leaves, what is held stays, and a dry run does neither."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from course.models import Audit, Base, Hold
from course.sandbox.shapes import Problem
from course.states import DeliveryState
from tests.commands.conftest import Minicourse
from tests.world import World


def _contents(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with world.database.reading() as session:
        return {
            table.name: [tuple(row) for row in session.execute(table.select())]
            for table in Base.metadata.sorted_tables
        }


def test_a_dry_run_says_who_would_get_what_and_writes_nothing(
    world: World, minicourse: Minicourse
) -> None:
    world.join("kim@example.com")
    world.sign_up("pending@example.org")
    before = _contents(world)
    found = json.loads(minicourse("send", "due", "--dry-run", "--json").out)
    assert [(mail["email"], mail["message"]) for mail in found] == [
        ("pending@example.org", "confirm-1"),
        ("kim@example.com", "welcome"),
    ]
    assert "kim@example.com" in minicourse("send", "due", "--dry-run").out
    assert _contents(world) == before
    world.tick()
    assert [mail["id"] for mail in found] == [row.id for row in world.rows()][-2:]


def test_a_dry_run_leaves_out_who_may_not_be_mailed_and_what_is_held(
    world: World, minicourse: Minicourse
) -> None:
    world.leave(world.join("ada@example.org"))
    world.join("kim@example.com")
    minicourse("send", "hold", "--lesson", "welcome", "--why", "a test")
    assert minicourse("send", "due", "--dry-run").out == "Nothing is due.\n"


def test_send_due_sends_until_nothing_is_due_and_says_what_comes_next(
    world: World, minicourse: Minicourse, sandbox: object
) -> None:
    number = world.join("kim@example.com")
    answer = minicourse("send", "due")
    assert answer.status == 0
    assert answer.out.splitlines() == [
        "mail                sent",
        "job-search/welcome     1",
        "Next: job-search/network, 2027-01-15 08:00 UTC",
    ]
    assert world.lessons(number) == [("welcome", "accepted")]
    found = json.loads(minicourse("send", "due", "--json").out)
    assert found["sent"] == []
    assert found["next_release"]["lesson"] == "network"


def test_nothing_due_is_no_failure(minicourse: Minicourse, sandbox: object) -> None:
    answer = minicourse("send", "due")
    assert (answer.status, answer.out) == (0, "Nothing was sent.\n")
    assert answer.err.startswith("Sandbox: mail goes to http://127.0.0.1:")


def test_without_a_sandbox_listening_send_names_the_command(
    world: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDGRID_HOST", "http://127.0.0.1:9")
    number = world.join("kim@example.com")
    answer = minicourse("send", "due")
    assert answer.status == 1
    assert "http://127.0.0.1:9" in answer.err
    assert "minicourse sandbox" in answer.err
    assert world.lessons(number) == []


def test_what_could_not_leave_is_counted_and_exits_with_1(
    world: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch, sandbox: Any
) -> None:
    """A From that the provider does not know holds the course."""
    refused = [Problem("from.email", "Does not contain a valid address.")]
    monkeypatch.setattr("course.sandbox.api.problems", lambda *_: refused)
    world.join("kim@example.com")
    answer = minicourse("send", "due")
    assert answer.status == 1
    assert "Problem: " in answer.err
    assert "1 held → minicourse status" in answer.out


def test_a_hold_keeps_mail_and_a_release_lets_it_go(
    world: World, minicourse: Minicourse, sandbox: object
) -> None:
    number = world.join("kim@example.com")
    answer = minicourse("send", "hold", "--why", "wrong link")
    assert answer.out.startswith("Held: everything.")
    assert "minicourse send release 1" in answer.err
    assert "1 held" in minicourse("send", "due").out
    assert world.lessons(number) == [("welcome", DeliveryState.PENDING)]

    dry = minicourse("send", "release", "1", "--dry-run")
    assert dry.out == "Would release 1: everything (wrong link)\n"
    assert "may leave now: 1 " in dry.err
    assert minicourse("send", "release", "1").out == "Released 1: everything (wrong link)\n"
    minicourse("send", "due")
    assert world.lessons(number) == [("welcome", DeliveryState.ACCEPTED)]
    with world.database.reading() as session:
        orders = [(row.action, row.why, row.detail) for row in session.scalars(select(Audit))]
    assert orders == [
        ("hold", "wrong link", {"hold": 1, "scope": "everything"}),
        ("release", None, {"hold": 1, "scope": "everything"}),
    ]


@pytest.mark.parametrize(
    ("words", "scope"),
    [
        ("--course job-search", "course job-search"),
        ("--cohort evergreen", "cohort job-search/evergreen"),
        ("--lesson market", "lesson job-search/market"),
    ],
)
def test_a_hold_covers_what_it_names(words: str, scope: str, minicourse: Minicourse) -> None:
    answer = minicourse("send", "hold", *words.split(), "--why", "a test")
    assert answer.out.startswith(f"Held: {scope}.")


def test_the_same_hold_twice_is_one(world: World, minicourse: Minicourse) -> None:
    for _ in range(2):
        minicourse("send", "hold", "--why", "a test")
    with world.database.reading() as session:
        assert len(list(session.scalars(select(Hold)))) == 1


def test_all_holds_end_together(minicourse: Minicourse) -> None:
    minicourse("send", "hold", "--why", "one")
    minicourse("send", "hold", "--course", "job-search", "--why", "two")
    assert minicourse("send", "release", "--all").out.count("Released") == 2
    assert minicourse("send", "release", "--all").out == "Nothing is held.\n"
