"""`note`: ordered, held and cancelled, in words that hold."""

from collections.abc import Callable

import pytest

from tests.commands.conftest import Minicourse
from tests.world import World

TEXT = "---\nsubject: The call moves\npreheader: Same hour.\n---\nIt moves to **Friday**.\n"
Write = Callable[[str], str]


@pytest.fixture
def write(world: World) -> Write:
    def write(text: str) -> str:
        file = world.settings.home / "new-date.md"
        file.write_text(text)
        return str(file)

    return write


@pytest.mark.parametrize("how", ["--yes", "--dry-run"])
def test_another_text_under_the_same_name_is_refused_also_where_nobody_is_new(
    world: World, minicourse: Minicourse, write: Write, how: str
) -> None:
    world.join("kim@example.com")
    minicourse("note", "send", write(TEXT), "--yes")
    answer = minicourse("note", "send", write(TEXT.replace("Friday", "Monday")), how)
    assert answer.status == 1
    assert "was ordered on 2027-01-14 with another text" in answer.err


def test_a_note_that_is_held_says_so(world: World, minicourse: Minicourse, write: Write) -> None:
    world.join("kim@example.com")
    minicourse("note", "send", write(TEXT), "--yes")
    assert "held" not in minicourse("note", "show", "new-date").out
    minicourse("note", "hold", "new-date")
    assert "minicourse send release 1" in minicourse("note", "show", "new-date").out


def test_what_is_cancelled_is_neither_held_nor_cancelled_again(
    world: World, minicourse: Minicourse, write: Write
) -> None:
    world.join("kim@example.com")
    minicourse("note", "send", write(TEXT), "--yes")
    minicourse("note", "cancel", "new-date", "--yes")
    answer = minicourse("note", "hold", "new-date")
    assert answer.status == 1
    assert "Nothing of job-search/new-date is left to hold back: 0 accepted, 1 can" in answer.err
    again = minicourse("note", "cancel", "new-date", "--yes").out
    assert again == "job-search/new-date: nothing is left to cancel\n"
