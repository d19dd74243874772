"""`course rehearse` as it is typed: over the real sandbox, on a clock that goes on while it
waits."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from course.commands import rehearse
from tests.commands.conftest import NOBODY, Minicourse, edit
from tests.world import World

ME = "me@example.com"
REHEARSE = ("course", "rehearse", "job-search")


class Waiting:
    """Stands where the waiting for Ctrl-C stands: the course's time goes on by as much, and nobody
    waits; `meanwhile` is what the author does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rounds = 0
        self.at_most = 200
        self.meanwhile: Callable[[int], None] = lambda _: None

    def __call__(self) -> bool:
        return self.rounds >= self.at_most

    def wait(self, seconds: float) -> bool:
        self.rounds += 1
        self.world.pass_time(seconds=seconds)
        (self.world.settings.home / "clock").write_text(self.world.clock.course.isoformat())
        self.meanwhile(self.rounds)
        return self()


@pytest.fixture
def waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> Waiting:
    made = Waiting(world)
    monkeypatch.setattr(rehearse, "SignalledStop", lambda: made)
    return made


def test_a_whole_course_comes_in_order_and_is_told_line_by_line(
    sandbox: Any, waiting: Waiting, minicourse: Minicourse
) -> None:
    answer = minicourse(*REHEARSE, "--to", ME, "--every", "5s", "--yes")
    assert answer.status == 0, answer.err
    lines = answer.out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "confirm-1",
        *"welcome network market practice plan-b leverage decision".split(),
    ]
    arrived = [mail.subject for mail in reversed(sandbox.store.page(ME, None, 50))]
    assert [line.partition(": ")[2] for line in lines] == arrived
    assert "The course is through: 8 mails." in answer.err
    assert answer.err.endswith("minicourse course rehearse job-search --clean\n")


def test_it_waits_for_the_click_and_says_where_the_mail_is(
    world: World,
    sandbox: Any,
    waiting: Waiting,
    minicourse: Minicourse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PUBLIC_URL", NOBODY)

    def click(round_: int) -> None:
        if round_ == 3:
            assert world.confirm(world.rows()[0].enrollment_id)

    waiting.meanwhile = click
    answer = minicourse(*REHEARSE, "--to", ME, "--every", "1s")
    assert answer.status == 0, answer.err
    assert len(answer.out.splitlines()) == 8
    assert f"Confirm by the link in the mail to {ME}." in answer.err
    assert "It is in the inbox at http://127.0.0.1:" in answer.err
    assert "nobody is there: minicourse web" in answer.err


def test_ended_it_says_how_to_go_on_and_goes_on_where_it_was(
    sandbox: Any, waiting: Waiting, minicourse: Minicourse
) -> None:
    waiting.at_most = 8
    first = minicourse(*REHEARSE, "--to", ME, "--every", "5s", "--yes")
    assert first.status == 0
    again = "minicourse course rehearse job-search --to me@example.com --every 5s"
    assert first.err.endswith(f"{again}\n")
    waiting.at_most = 200
    second = minicourse(*again.split()[1:])
    assert "goes on where it was" in second.err
    told = [line.partition(":")[0] for line in (first.out + second.out).splitlines()]
    assert told == [
        "confirm-1",
        *"welcome network market practice plan-b leverage decision".split(),
    ]
    assert first.out
    assert second.out
    third = minicourse(*again.split()[1:])
    assert third.out == ""
    assert "The course is through: 8 mails." in third.err


def test_who_leaves_ends_it(
    world: World, sandbox: Any, waiting: Waiting, minicourse: Minicourse
) -> None:
    waiting.meanwhile = lambda round_: (
        world.leave(world.rows()[0].enrollment_id) if round_ == 7 else None
    )
    answer = minicourse(*REHEARSE, "--to", ME, "--every", "5s", "--yes")
    assert answer.status == 0, answer.err
    assert "The course was left (unsubscribed)." in answer.err


def test_it_is_in_no_figures_and_gone_with_clean(
    sandbox: Any, waiting: Waiting, minicourse: Minicourse
) -> None:
    before = [minicourse(*words.split()).out for words in ("stats", "cohort list", "course list")]
    minicourse(*REHEARSE, "--to", ME, "--every", "1s", "--yes")
    assert [
        minicourse(*words.split()).out for words in ("stats", "cohort list", "course list")
    ] == before
    every = json.loads(minicourse("cohort", "list", "--all", "--json").out)
    assert [(one["cohort"], one["completed"]) for one in every] == [
        ("evergreen", 0),
        ("rehearsal", 1),
    ]
    answer = minicourse(*REHEARSE, "--clean")
    assert answer.out.splitlines() == [
        "1 enrollment",
        "1 person who came for it alone",
        "8 mails",
        "0 events",
        "2 consents",
    ]
    assert minicourse("cohort", "list", "--all").out == before[1]
    assert minicourse("subscriber", "show", ME).status == 1
    assert minicourse(*REHEARSE, "--clean").out == "job-search has no rehearsal.\n"


def test_files_that_are_not_live_are_told(
    world: World, sandbox: Any, waiting: Waiting, minicourse: Minicourse
) -> None:
    edit(world, "01-welcome.md", "You have been invited.", "You are invited.")
    answer = minicourse(*REHEARSE, "--to", ME, "--every", "1s", "--yes")
    assert "welcome: You have been invited." in answer.out
    assert "what is live, revision 1" in answer.err
    assert "minicourse course apply job-search\n" in answer.err


def test_a_hold_that_would_keep_it_is_told(
    sandbox: Any, waiting: Waiting, minicourse: Minicourse
) -> None:
    waiting.at_most = 3
    minicourse("send", "hold", "--why", "a look")
    answer = minicourse(*REHEARSE, "--to", ME)
    assert answer.out == ""
    assert "Held: everything (a look). To let it go: minicourse send release 1" in answer.err


@pytest.mark.parametrize(
    ("words", "status", "named"),
    [
        ("nope --to me@example.com", 1, "course apply"),
        ("nope --clean", 1, "course apply"),
        ("job-search --to me", 1, "“me” is not an e-mail address"),
        ("job-search --to ann@example.com", 1, "--to ann+rehearsal@example.com"),
        ("job-search", 2, "--to EMAIL"),
        ("job-search --to me@example.com --clean", 2, "--clean"),
        ("job-search --clean --yes", 2, "--clean goes alone"),
        ("job-search --to me@example.com --every 500ms", 2, "whole seconds"),
        ("job-search --to me@example.com --every 0s", 2, "whole seconds"),
    ],
)
def test_what_cannot_be_is_told(
    words: str,
    status: int,
    named: str,
    world: World,
    sandbox: Any,
    waiting: Waiting,
    minicourse: Minicourse,
) -> None:
    world.join("ann@example.com")
    answer = minicourse("course", "rehearse", *words.split())
    assert (answer.status, answer.out) == (status, "")
    assert named in answer.err
    if status == 1:
        assert re.fullmatch(r"Error: [^\n]+\n", answer.err)


def test_without_a_stand_in_nobody_is_signed_up(
    world: World, waiting: Waiting, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDGRID_HOST", NOBODY)
    answer = minicourse(*REHEARSE, "--to", ME)
    assert answer.status == 1
    assert answer.err.endswith("minicourse sandbox\n")
    assert world.rows() == []
