"""How a command ends, as a script sees it: the table of the reference, each row tried. And what a
terminal is spared."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from course.settings import SOURCE_ROOT
from tests import reference
from tests.commands.conftest import Minicourse
from tests.terminal import terminal
from tests.world import World

# Exit status, and what ends with it.
ENDS = {
    0: ("--help", "--version", "subscriber list", "course check job-search --json"),
    1: (
        "cohort show nope",
        "subscriber show nope@example.com",
        "send release 4711",
        "course show nope",
    ),
    2: (
        "nope",
        "status --nope",
        "send hold",
        "db prune --events-older-than soon",
        "completion csh",
    ),
    3: ("live", "course check bad", "status"),
}


@pytest.mark.parametrize("status", ENDS)
def test_a_command_ends_as_the_reference_says(
    status: int, world: World, minicourse: Minicourse
) -> None:
    if status == 3:
        bad = world.settings.home / "lessons" / "bad"
        bad.mkdir()
        (bad / "01-one.md").write_text("no head")
        minicourse("send", "hold", "--why", "a test")
    for words in ENDS[status]:
        assert minicourse(*words.split()).status == status, words


def test_the_reference_has_a_row_for_each() -> None:
    assert [int(number) for number in re.findall(r"^\| (\d) \|", reference.text(), re.M)] == [*ENDS]


def test_the_reference_is_what_the_commands_say() -> None:
    written = (SOURCE_ROOT / "docs" / "cli.md").read_text()
    # In a process of its own: commands keep the options that they were first asked for with.
    words = "from tests import reference; print(reference.text(), end='')"
    said = subprocess.run(
        [sys.executable, "-c", words], cwd=SOURCE_ROOT, capture_output=True, text=True, check=True
    )
    assert written == said.stdout, "write it anew: make reference"


def test_no_colour_is_shown_to_those_who_want_none(
    world: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world.join("kim@example.com")
    seen = {}
    for wish in ("", "1"):
        monkeypatch.setenv("NO_COLOR", wish)
        with terminal(monkeypatch, "stdout", "stderr") as screen:
            minicourse("stats", "lessons", "job-search")
            minicourse("subscriber", "export", "--output", str(tmp_path / f"{wish}.csv"))
        seen[wish] = re.findall(r"\x1b\[(?:\d;)*(?:3|9)\d", str(screen))
    assert seen[""]
    assert not seen["1"]


def test_the_version_is_said(minicourse: Minicourse) -> None:
    answer = minicourse("--version")
    assert re.fullmatch(r"minicourse \d+\.\d+\.\d+, on Python 3\.\d+\.\d+\n", answer.out)
