"""Work that takes a while shows on a terminal how far it has come; piped, it says nothing of it."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from course.commands.bars import bar
from tests.commands.conftest import Minicourse
from tests.terminal import terminal
from tests.world import World

NOTE = """\
---
subject: The call moves to Friday
---
Our call moves to **Friday**.
"""


@pytest.fixture
def here(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two people, one of them in the course, and the files that the commands name."""
    world.join("kim@example.com")
    world.sign_up("ada@example.org")
    world.pass_time(days=2)
    Path(tmp_path / "people.csv").write_text("email,name\nann@example.com,Ann\n")
    Path(tmp_path / "friday.md").write_text(NOTE)
    monkeypatch.chdir(tmp_path)
    return world


def copied(world: World) -> str:
    return f"db copy --from {world.settings.database} --to sqlite:///moved.db"


LONG: dict[str, Callable[[World], str]] = {
    "Importing": lambda _: "subscriber import people.csv --cohort evergreen --yes",
    "Exporting": lambda _: "subscriber export --output learners.csv",
    "Sending": lambda _: "send due",
    "Planning": lambda _: "note send friday.md --course job-search --yes",
    "Learners": lambda _: "subscriber tag vip --course job-search --yes",
    "Copying": lambda _: "db backup monday.db",
    "Pruning": lambda _: "db prune",
    "Looking": lambda _: "suppression import people.csv --dry-run",
    "Comparing": copied,  # the last, as it holds all mail
}


def test_a_long_command_shows_how_far_it_has_come(
    here: World, sandbox: object, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for what, words in LONG.items():
        with terminal(monkeypatch, "stderr") as screen:
            answer = minicourse(*words(here).split())
        assert answer.status == 0, screen
        assert f"{what} " in str(screen)
        assert "━" in str(screen)
        assert "━" not in answer.out


def test_piped_it_says_nothing_of_it(
    here: World, sandbox: object, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # is about colours, not about bars
    for words in LONG.values():
        answer = minicourse(*words(here).split())
        assert answer.status == 0, answer.err
        assert "━" not in answer.out + answer.err
        assert "\x1b" not in answer.out + answer.err


def test_an_export_into_the_terminal_has_no_bar_between_its_lines(
    here: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(monkeypatch, "stdout", "stderr") as screen:
        assert minicourse("subscriber", "export").status == 0
    assert "kim@example.com" in str(screen)
    assert "━" not in str(screen)


def test_a_dumb_terminal_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, "stderr") as screen:
        monkeypatch.setenv("TERM", "dumb")
        with bar("Working", 3) as shown:
            shown.reach(2)
    assert str(screen) == ""


def last_line(screen: object) -> str:
    return str(screen).rsplit("Working", 1)[1]


def test_a_bar_says_count_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, "stderr") as screen, bar("Working", 40_000) as shown:
        for _ in range(3):
            shown.advance(5_000)
    assert "15,000/40,000" in last_line(screen)
    assert "/s" in last_line(screen)
    assert "0:00:" in last_line(screen)


def test_where_there_is_little_room_the_bar_goes_before_the_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    narrow = terminal(monkeypatch, "stderr", width=50)
    with narrow as screen, bar("Working", 40_000) as shown:
        for _ in range(3):
            shown.advance(5_000)
    assert "15,000/40,000" in last_line(screen)
    assert "━" not in str(screen)


def test_what_nobody_foresaw_moves_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, "stderr") as screen, bar("Working", 10) as shown:
        shown.advance(15)
    assert "15/15" in last_line(screen)
    with terminal(monkeypatch, "stderr") as screen, bar("Working") as shown:
        shown.reach(3, total=9)
    assert "3/9" in last_line(screen)
    with terminal(monkeypatch, "stderr") as screen, bar("Working") as shown:
        shown.advance(7)
    assert " 7 " in last_line(screen)


def test_many_threads_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        for _ in range(50):
            shown.advance(2)

    with terminal(monkeypatch, "stderr") as screen, bar("Working", 400) as shown:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert "400/400" in last_line(screen)


def test_a_total_that_costs_something_is_asked_for_only_where_it_is_seen() -> None:
    def costly() -> int:
        raise AssertionError("nobody looks")

    with bar("Working", costly) as shown:
        shown.advance(1)
