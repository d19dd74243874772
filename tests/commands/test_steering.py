"""`subscriber pause`, `skip`, `move` and the like: one or many, asked first, written down."""

import io
import json

import pytest
from sqlalchemy import select

from course.models import Audit, Tag
from tests.commands.conftest import Minicourse
from tests.world import World

KIM = "kim@example.com"


@pytest.fixture
def three(world: World) -> World:
    """Two take part, one has not confirmed."""
    world.join("ada@example.org")
    world.join(KIM, "Kim", "Europe/Berlin")
    world.sign_up("cy@example.org")
    return world


@pytest.fixture
def says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is asked."""
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))


def test_a_dry_run_says_who_would_be_touched_and_who_not_and_why(
    three: World, minicourse: Minicourse
) -> None:
    answer = minicourse(*"subscriber pause --cohort evergreen --for 1w --dry-run".split())
    assert answer.status == 0
    assert answer.out == (
        "ada@example.org: paused until Thu 2027-01-21\n"
        "kim@example.com: paused until Thu 2027-01-21\n"
        "Nothing is changed: 2 people would be.\n"
    )
    assert answer.err.startswith("Not cy@example.org: has not confirmed yet")
    assert three.state(1) == "active"


def test_more_than_one_are_asked_about(three: World, minicourse: Minicourse, says_no: None) -> None:
    answer = minicourse(*"subscriber pause --cohort evergreen".split())
    assert answer.status == 1
    assert "2 people: paused until somebody resumes them. Go on?" in answer.err
    assert three.state(1) == "active"
    answer = minicourse(*"subscriber pause --cohort evergreen --yes --why holidays".split())
    assert answer.out.endswith("Done, for 2 people.\n")
    assert (three.state(1), three.state(2), three.state(3)) == ("paused", "paused", "pending")
    with three.database.reading() as session:
        assert [line.why for line in session.scalars(select(Audit))] == ["holidays"] * 2


def test_one_person_is_not_asked_about(three: World, minicourse: Minicourse) -> None:
    assert minicourse("subscriber", "skip", KIM).out == "kim@example.com: does not get welcome\n"
    assert minicourse("subscriber", "resume", KIM).out == "kim@example.com: is not paused\n"


def test_what_is_refused_for_one_fails_with_the_next_step(
    three: World, minicourse: Minicourse
) -> None:
    answer = minicourse("subscriber", "pause", "cy@example.org")
    assert (answer.status, answer.out) == (1, "")
    assert answer.err == (
        "Error: cy@example.org has not confirmed yet; to ask once more: "
        "minicourse subscriber add cy@example.org --cohort job-search/evergreen\n"
    )


def test_sending_again_is_asked_about_with_what_became_of_the_mail(
    three: World, minicourse: Minicourse, says_no: None
) -> None:
    three.tick()
    answer = minicourse("subscriber", "resend", KIM, "--lesson", "welcome")
    assert answer.status == 1
    assert "which left on 2027-01-14 11:00 UTC" in answer.err
    assert "They get it twice. Go on?" in answer.err
    assert minicourse("subscriber", "resend", KIM, "--lesson", "welcome", "--yes").status == 0
    assert minicourse("db", "check").status == 0
    three.tick()
    assert len(three.provider.mails_to(KIM)) == 3


def test_json_tells_both_who_is_touched_and_who_not(three: World, minicourse: Minicourse) -> None:
    answer = minicourse(
        *"subscriber move --course job-search --to evergreen --dry-run --json".split()
    )
    found = json.loads(answer.out)
    assert (found["is_done"], found["touched"]) == (False, [])
    assert [one["words"] for one in found["left_out"]] == ["is in job-search/evergreen already"] * 3


def test_tags_are_kept_and_choose(three: World, minicourse: Minicourse) -> None:
    assert minicourse("subscriber", "tag", "VIP", KIM).out == f"{KIM}: tagged vip\n"
    (line,) = json.loads(minicourse("subscriber", "list", "--tag", "vip", "--json").out)
    assert line["email"] == KIM
    assert "vip" in minicourse("subscriber", "show", KIM).out
    add = "subscriber add new@example.com --cohort evergreen --tag early --tag vip"
    minicourse(*add.split())
    assert minicourse(*add.split()).status == 0
    minicourse("subscriber", "untag", "vip", "--tag", "vip", "--yes")
    with three.database.reading() as session:
        assert list(session.scalars(select(Tag.name))) == ["early"]


def test_the_record_and_the_reasons_are_shown(three: World, minicourse: Minicourse) -> None:
    minicourse("subscriber", "pause", KIM, "--until", "2027-02-01", "--why", "a trip")
    shown = minicourse("subscriber", "show", KIM, "--history").out
    assert "pause: until 2027-02-01 07:00 UTC (why: a trip)" in " ".join(shown.split())
    told = minicourse("subscriber", "explain", KIM)
    assert told.out.startswith("kim@example.com in job-search/evergreen: paused\n")
    assert "! Paused until Mon 2027-02-01 08:00" in told.out
    assert max(map(len, told.out.splitlines())) <= 80
    found = json.loads(minicourse("subscriber", "explain", KIM, "--json").out)
    assert found["next"]["lesson"] == "welcome"
    assert minicourse("subscriber", "find", "nobody").status == 1
    assert KIM in minicourse("subscriber", "find", "kim").out


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("pause", 2, "Say whom"),
        ("pause kim@example.com --cohort evergreen", 2, "not both"),
        ("pause kim@example.com --until 2027-03-01 --for 1w", 2, "not both"),
        ("pause kim@example.com --for 1y", 1, "'1y' is no length"),
        ("pause kim@example.com --until 2026-01-01", 1, "has begun already"),
        ("skip kim@example.com --lesson nope", 1, "No lesson 'nope'"),
        ("move kim@example.com --to nope", 1, "No cohort 'nope'"),
        ("tag two.words,x kim@example.com", 1, "is no tag"),
        ("resume nobody@example.com", 1, "subscriber list"),
        ("explain nobody@example.com", 1, "subscriber list"),
        ("rewind kim@example.com --to network", 1, "has not come to network yet"),
        ("resend kim@example.com --lesson network", 1, "has not had network yet"),
    ],
)
def test_what_is_wrong_is_said(
    three: World, minicourse: Minicourse, words: str, status: int, said: str
) -> None:
    answer = minicourse("subscriber", *words.split())
    assert answer.status == status
    assert said in answer.err
