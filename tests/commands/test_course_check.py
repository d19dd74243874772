"""`course check`: what is said, in which form, and with which exit status."""

import json
from pathlib import Path

import pytest

from tests.commands.conftest import Minicourse, edit
from tests.world import World

KEYS = ["course", "file", "line", "mend", "rule", "severity", "what", "why"]
NO_ALT = "![](https://example.com/a.png)\n\n"


def spoil(world: World, words: str) -> None:
    """Put words before the welcome's first."""
    edit(world, "01-welcome.md", "You have a job.", f"{words}You have a job.")


def test_a_course_that_is_well_is_said_to_be_and_needs_no_database(
    world: World, minicourse: Minicourse
) -> None:
    world.database.dispose()
    (world.settings.home / "minicourse.db").unlink()
    answer = minicourse("course", "check")
    assert answer.status == 0
    assert answer.out == "job-search: 7 lessons, nothing to mend\n"
    assert minicourse("course", "check", "--json").out == "[]\n"


def test_a_finding_is_told_with_its_place_and_its_remedy(
    world: World, minicourse: Minicourse
) -> None:
    spoil(world, "[x](www.example.com) ")
    answer = minicourse("course", "check", "job-search")
    assert answer.status == 3
    assert answer.out == (
        "lessons/job-search/01-welcome.md:9: error: link-malformed\n"
        "  “www.example.com” is no whole address\n"
        "  It leads nowhere from a mail, which has no address of its own to start from.\n"
        "  → Write it whole: https://www.example.com\n"
        "\n"
        "job-search: 7 lessons, 1 error\n"
    )


def test_in_json_it_is_an_array_of_the_same_facts(world: World, minicourse: Minicourse) -> None:
    spoil(world, "[x](www.example.com) " + NO_ALT)
    answer = minicourse("course", "check", "--json")
    assert answer.status == 3
    findings = json.loads(answer.out)
    assert [sorted(one) for one in findings] == [KEYS] * 2
    assert [(one["rule"], one["severity"], one["line"]) for one in findings] == [
        ("image-alt", "warning", 9),
        ("link-malformed", "error", 9),
    ]
    assert {one["course"] for one in findings} == {"job-search"}


def test_warnings_count_unless_only_errors_are_asked_for(
    world: World, minicourse: Minicourse
) -> None:
    spoil(world, NO_ALT)
    assert minicourse("course", "check").status == 3
    answer = minicourse("course", "check", "--errors-only")
    assert answer.status == 0
    assert answer.out == "job-search: 7 lessons, nothing to mend\n"


def test_whatever_is_said_fits_a_screen(world: World, minicourse: Minicourse) -> None:
    spoil(world, "{{ nmae }} [x](example) TODO " + NO_ALT)
    edit(world, "02-network.md", "after: 1", "after: never\nwrong: 1\nmore: 2")
    out = minicourse("course", "check").out
    assert "5 errors" in out or "6 errors" in out
    assert max(map(len, out.splitlines())) <= 80
    assert all(line == line.rstrip() for line in out.splitlines())


def test_online_says_which_links_are_asked_for(
    world: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(world, "[x](http://127.0.0.1:1/page) ")
    answer = minicourse("course", "check", "--online", "--json")
    assert answer.status == 3
    assert "job-search: asking for 1 link" in answer.err
    rules = [one["rule"] for one in json.loads(answer.out)]
    assert rules == ["link-local", "link-unsure"]


# Where courses lie ------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder that is not the home."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("made_in", "looked_at", "shown"),
    [
        ("own", "own", "own/lessons/rye/"),  # a home
        ("own/lessons", "own", "own/lessons/rye/"),  # its folder of courses, which makes the home
        ("own", "own/lessons", "own/lessons/rye/"),
        ("own", "own/lessons/rye", "own/lessons/rye/"),  # one course
        (".", ".", "lessons/rye/"),
    ],
)
def test_in_names_a_home_a_folder_of_courses_or_one_course(
    made_in: str, looked_at: str, shown: str, elsewhere: Path, minicourse: Minicourse
) -> None:
    assert minicourse("course", "new", "rye", "--in", made_in).status == 0
    answer = minicourse("course", "check", "--in", looked_at)
    assert (answer.status, answer.out) == (0, "rye: 2 lessons, nothing to mend\n")
    lesson = elsewhere / shown / "01-welcome.md"
    text = lesson.read_text()
    lesson.write_text(text + "TODO\n")
    answer = minicourse("course", "check", "rye", "--in", looked_at)
    assert answer.out.startswith(f"{shown}01-welcome.md:{text.count(chr(10)) + 1}: error: ")


def test_course_folders_side_by_side_are_all_looked_at(
    elsewhere: Path, minicourse: Minicourse
) -> None:
    minicourse("course", "new", "rye", "--in", "own")
    minicourse("course", "new", "oat", "--in", "own/lessons")
    (elsewhere / "own/lessons").rename(elsewhere / "mine")
    answer = minicourse("course", "check", "--in", "mine")
    assert answer.out == "oat: 2 lessons, nothing to mend\nrye: 2 lessons, nothing to mend\n"
    answer = minicourse("course", "check", "rye", "--in", "mine", "--json")
    assert answer.out == "[]\n"


def test_inside_a_course_its_files_go_by_their_names_alone(
    elsewhere: Path, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    minicourse("course", "new", "rye", "--in", ".")
    monkeypatch.chdir("lessons/rye")
    Path("about.md").write_text("XXX")
    assert minicourse("course", "check", "--in", ".").out.startswith("about.md:1: error: ")
    assert minicourse("course", "check", "oat", "--in", ".").status == 1


def test_templates_of_that_home_are_those_that_count(
    elsewhere: Path, minicourse: Minicourse
) -> None:
    minicourse("course", "new", "rye", "--in", ".")
    own = Path("templates/email/lesson.txt.j2")
    own.parent.mkdir(parents=True)
    own.write_text("{{ body }} {{ unsubscribe_url }}")
    answer = minicourse("course", "check", "--in", ".")
    assert answer.out.startswith("templates/email/lesson.txt.j2:1: error: address-missing\n")


@pytest.mark.parametrize(
    ("words", "step"),
    [
        (["nope"], "there is: job-search"),
        (["--in", "empty"], "minicourse course new"),
        (["nope", "--in", "empty"], "there is: none"),
    ],
)
def test_a_course_that_is_not_there_is_no_course_that_is_well(
    words: list[str], step: str, elsewhere: Path, minicourse: Minicourse
) -> None:
    answer = minicourse("course", "check", *words)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert step in answer.err
