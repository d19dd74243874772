"""A stranger's words on the operator's terminal: shown, and never obeyed."""

from collections.abc import Callable

import pytest

from course.commands.context import print_facts, print_table, say
from course.people import harmless

WORDS = "550 no\x1b[2J\x1b]0;owned\x07 such\x9b31m user\r\u202egnp.exe\x08\x00"
SHOWN = "550 no [2J ]0;owned  such 31m user  gnp.exe"


@pytest.mark.parametrize(
    "show",
    [
        lambda: say(WORDS),
        lambda: print_facts([("reason", WORDS)]),
        lambda: print_table(["reason"], [[WORDS]], title=WORDS),
    ],
)
def test_a_terminal_gets_no_orders(
    show: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    show()
    out, err = capsys.readouterr()
    assert "550 no" in out + err
    assert not [each for each in out + err if not each.isprintable() and each != "\n"]


def test_what_people_write_stays() -> None:
    assert harmless("Zoë 😀 می\u200cخواهم\nnext\tline") == "Zoë 😀 می\u200cخواهم\nnext\tline"
    assert harmless(WORDS).rstrip() == SHOWN
