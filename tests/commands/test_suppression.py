"""`minicourse suppression`: list, add, remove, import, sync."""

import io
import json
from pathlib import Path

import pytest

from course import suppressions
from course.people import email_hash
from course.sandbox.state import Sandbox
from course.states import SuppressionReason
from tests.commands.conftest import Minicourse
from tests.world import START, World

KIM = "kim@example.com"


@pytest.fixture(autouse=True)
def _nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that comes is a no."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))


def bar(world: World, reason: SuppressionReason) -> None:
    with world.database.writing() as session:
        hashed = email_hash(KIM, world.hash_key)
        suppressions.add(session, [hashed], reason, "test", world.clock.course)


def test_what_is_added_is_listed_and_removed(world: World, minicourse: Minicourse) -> None:
    kim = world.join(KIM)
    answer = minicourse("suppression", "add", KIM, "--why", "kim@example.com phoned")
    assert answer.out == f"{KIM} is suppressed for everything; 1 course ended\n"
    assert world.state(kim) == "cancelled"
    assert (
        minicourse("suppression", "add", KIM).out
        == f"{KIM} was suppressed for everything already\n"
    )
    minicourse("suppression", "add", "stranger@example.com", "--course", "job-search")
    found = json.loads(minicourse("suppression", "list", "--json").out)
    assert [(one["email"], one["course"], one["reason"]) for one in found] == [
        (None, "job-search", "manual"),
        (KIM, None, "manual"),
    ]
    shown = minicourse("suppression", "list").out
    assert "stranger" not in shown
    assert found[0]["email_hash"][:12] in shown
    assert max(map(len, shown.splitlines())) <= 80
    one = json.loads(
        minicourse("suppression", "list", "--email", "Stranger@example.com", "--json").out
    )
    assert one == found[:1]
    assert minicourse("suppression", "remove", KIM).status == 1, "nobody said yes"
    assert minicourse("suppression", "remove", KIM, "--yes").out == f"{KIM}: removed manual\n"
    assert "may be mailed" in minicourse("suppression", "list", "--email", KIM).out
    assert (
        minicourse("suppression", "remove", KIM, "--yes").out == f"Nothing stood against {KIM}.\n"
    )


def test_one_course_is_one_course(world: World, minicourse: Minicourse) -> None:
    kim = world.join(KIM)
    answer = minicourse("suppression", "add", KIM, "--course", "nope")
    assert answer.status == 1
    assert world.state(kim) == "active"
    minicourse("suppression", "add", KIM, "--course", "job-search")
    assert world.state(kim) == "cancelled"
    assert minicourse("suppression", "remove", KIM, "--yes").out.startswith("Nothing")
    words = ("suppression", "remove", KIM, "--course", "job-search", "--yes")
    assert minicourse(*words).out == f"{KIM}: removed manual\n"


@pytest.mark.parametrize("reason", ["bounced", "complained", "invalid", "unsubscribed", "erased"])
def test_what_was_not_added_by_hand_goes_only_by_its_name(
    world: World, minicourse: Minicourse, reason: str
) -> None:
    bar(world, SuppressionReason(reason))
    answer = minicourse("suppression", "remove", KIM, "--yes")
    assert answer.status == 1
    assert f"minicourse suppression remove {KIM} --despite {reason}" in answer.err
    words = ("suppression", "remove", KIM, "--despite", reason, "--yes")
    assert minicourse(*words).out == f"{KIM}: removed {reason}\n"


def test_what_is_removed_goes_at_sendgrid_too_where_that_is_asked(
    world: World, minicourse: Minicourse, sandbox: Sandbox
) -> None:
    bar(world, SuppressionReason.BOUNCED)
    entry = {"email": KIM, "created": int(START.timestamp())}
    sandbox.config.account.lists = {"bounces": [entry], "unsubscribes": [entry]}
    words = ("suppression", "remove", KIM, "--despite", "bounced", "--at-sendgrid", "--yes")
    answer = minicourse(*words)
    assert answer.status == 0
    assert "bounces" in answer.err
    assert list(sandbox.config.account.removed) == [("bounces", KIM)]
    assert "none of them" in minicourse(*words).err, "repeated, it does no harm"


def test_a_file_is_imported_with_its_column_and_its_faults(
    world: World, minicourse: Minicourse, tmp_path: Path
) -> None:
    kim = world.join(KIM)
    file = tmp_path / "gone.csv"
    file.write_text(f"Name,Address\nKim,{KIM}\nX,not one\nY,y@example.com\n,\n")
    words = ("suppression", "import", str(file))
    answer = minicourse(*words)
    assert answer.status == 1
    assert "--column NAME" in answer.err
    words = (*words, "--column", "address")
    found = json.loads(minicourse(*words, "--dry-run", "--json").out)
    assert found == {"invalid": 1, "new": 2, "read": 3, "stopped": 1}
    assert world.state(kim) == "active"
    assert minicourse(*words).status == 1, "somebody's course would end, and nobody said yes"
    answer = minicourse(*words, "--yes")
    assert answer.out == "3 read, 2 suppressed; 1 course ended\n"
    assert "line 3" in answer.err
    assert world.state(kim) == "cancelled"
    assert json.loads(minicourse(*words, "--yes", "--json").out)["new"] == 0


def test_a_list_of_addresses_needs_no_head(
    world: World, minicourse: Minicourse, tmp_path: Path
) -> None:
    file = tmp_path / "gone.txt"
    file.write_text("\n".join(f"n{number}@example.com" for number in range(1001)))
    answer = minicourse("suppression", "import", str(file), "--json")
    assert json.loads(answer.out) == {"invalid": 0, "new": 1001, "read": 1001, "stopped": 0}


def test_sync_tells_list_by_list(world: World, minicourse: Minicourse, sandbox: Sandbox) -> None:
    world.join("robin@example.com")
    entry = {"email": "robin@example.com", "created": int(START.timestamp())}
    sandbox.config.account.lists = {"spam_reports": [entry]}
    answer = minicourse("suppression", "sync", "--dry-run")
    assert answer.status == 0, answer.err
    found = json.loads(minicourse("suppression", "sync", "--json").out)
    assert {one["list"]: one["new"] for one in found["lists"]}["spam_reports"] == 1
    sandbox.config.account.scopes = ("mail.send",)
    answer = minicourse("suppression", "sync")
    assert answer.status == 1
    assert "suppression.read" in answer.err


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (f"email;name\n{KIM};Kim\nsam@example.com;Sam\n", ()),
        (f"name\temail\nKim\t{KIM}\nSam\tsam@example.com\n", ("--column", "Email")),
        (f"{KIM};Kim\nsam@example.com;Sam\n", ()),
        (f"Email Address,LEID,EUID\n{KIM},1,2\nsam@example.com,3,4\n", ()),
        (f"name;email\nJ\udcf6rg;{KIM}\nSam;sam@example.com\n", ()),
    ],
)
def test_a_list_is_read_whatever_wrote_it(
    minicourse: Minicourse, tmp_path: Path, text: str, more: tuple[str, ...]
) -> None:
    file = tmp_path / "gone.csv"
    file.write_text(text, errors="surrogateescape")
    answer = minicourse("suppression", "import", str(file), "--json", *more)
    assert json.loads(answer.out) == {"invalid": 0, "new": 2, "read": 2, "stopped": 0}


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        (f"email;name\n{KIM};Kim\n", ("--column", "nope"), "No column 'nope'"),
        (f"{KIM}\n", ("--column", "email"), "No column 'email'"),
        ("Kim\nSam\n", (), "not one of its rows has an address"),
        ("email,name\n,Kim\nsam at home,Sam\n", (), "not one of its rows has an address"),
        (f"{KIM},sam@example.com\n", (), "No column 'email'"),
        ("\x00\x01\x02\n", (), "The first line is no text"),
    ],
)
def test_a_list_that_would_bar_nobody_is_refused(
    minicourse: Minicourse, tmp_path: Path, text: str, more: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "gone.csv"
    file.write_text(text)
    for words in ((), ("--dry-run",)):
        answer = minicourse("suppression", "import", str(file), *more, *words)
        assert answer.status == 1
        assert answer.out == ""
        assert said in answer.err


def test_two_addresses_in_a_line_are_told(minicourse: Minicourse, tmp_path: Path) -> None:
    file = tmp_path / "gone.txt"
    file.write_text(f"{KIM}\nsam@example.com,pat@example.com\n")
    answer = minicourse("suppression", "import", str(file))
    assert answer.out.startswith("2 read, 1 suppressed")
    assert "line 2: has more than one address" in answer.err
