"""Every command of the documentation is run, page by page, in a home of the page's own.

What only a server, a person or minutes could run is listed below with the reason; that such a line
is a command that exists, `tests/test_docs.py` sees to.
"""

import io
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from course import installation
from course.answers import Answer, Verdict
from tests.commands.conftest import Minicourse
from tests.test_docs import (
    PAGES,
    blocks,
    lines_to_type,
    write_the_course_of_the_guide,
)
from tests.world import World

OTHER_PROGRAMS = {
    "make": "installs, or runs for minutes",
    "source": "changes the shell itself",
    "mkdir": "done by the test, with the files that go there",
    "eval": "changes the shell itself; tests/commands/test_completion.py",
}
NOT_RUN = {
    "minicourse up": "runs until it is ended: tests/e2e",
    "minicourse lesson preview bread --watch": "runs until it is ended: tests/preview",
    "minicourse course rehearse bread --to": "waits for a click: tests/test_rehearsal.py",
    "minicourse lesson test bread --all": "waits half a minute for each lesson",
    "minicourse live --rehearse": "plays the account with servers: tests/test_played.py",
    "minicourse live --rehearse --test-to": "the same",
    "minicourse sendgrid setup --rehearse": "the same",
    "minicourse suppression sync": "asks the account: tests/commands/test_suppression.py",
    "minicourse subscriber erase kim@example.com --at-sendgrid": "asks the account: "
    "tests/commands/test_privacy.py",
}
# What ends with 3: there is something to do.
ATTENTION = ("minicourse live", "minicourse status", "minicourse course check")
KIM = "kim@example.com"


def runs(line: str) -> bool:
    program, *_ = shlex.split(line)
    if program in OTHER_PROGRAMS:
        return False
    return not any(line == one or line.startswith(f"{one} ") for one in NOT_RUN)


def page_of(name: str) -> Path:
    return next(page for page in PAGES if page.name == name)


# What a page takes for granted --------------------------------------------------------------------


def with_people(world: World, _: Minicourse) -> None:
    """Kim takes the course since four days, Ada since today."""
    world.join(KIM, "Kim", "Europe/Berlin")
    world.live_through(4)
    world.join("ada@example.org")


def with_the_guides_files(world: World, _: Minicourse) -> None:
    write_the_course_of_the_guide(world.settings.home)


def with_a_reader_of_bread(world: World, minicourse: Minicourse) -> None:
    """The course of the guide, live in its second revision, and Kim, who got its first lesson."""
    with_the_guides_files(world, minicourse)
    flour = world.settings.home / "lessons" / "bread" / "01-flour.md"
    flour.write_text(flour.read_text().replace("Go to bed.", "Sleep."))
    for words in (
        "course apply bread",
        "course publish bread",
        "subscriber add kim@example.com --cohort bread/evergreen",
    ):
        assert minicourse(*words.split()).status == 0
    flour.write_text(flour.read_text().replace("Sleep.", "Sleep well."))
    assert minicourse("course", "apply", "bread").status == 0
    world.tick()
    (row,) = world.rows()
    assert world.confirm(row.enrollment_id)
    world.pass_time(days=1)
    world.tick()


def with_a_lost_answer(world: World, minicourse: Minicourse) -> None:
    """Nobody knows whether Ada's mail left."""
    with_people(world, minicourse)
    world.provider.answer = lambda _: Answer(Verdict.UNKNOWN, None, None, "TimeoutError: timed out")
    world.tick()


PREPARED: dict[str, Callable[[World, Minicourse], None]] = {
    "README.md": with_the_guides_files,
    "authoring.md": with_a_reader_of_bread,
    "operations.md": with_people,
    "statistics.md": with_people,
    "reliability.md": with_a_lost_answer,
    "backups.md": with_people,
}


def away_with_the_database(world: World, _: Minicourse) -> None:
    world.database.dispose()
    for file in world.settings.home.glob("minicourse.*"):
        shutil.move(file, f"away-{file.name}")


def people_of(*lines: str) -> Callable[[World, Minicourse], None]:
    def write(world: World, _: Minicourse) -> None:
        (world.settings.home / "people.csv").write_text("".join(f"{line}\n" for line in lines))

    return write


# What is done before a line with these words.
BEFORE: dict[str, Callable[[World, Minicourse], None]] = {
    "db restore monday.db": away_with_the_database,
    "--map email=": people_of("E-mail Address,Full name,status", "bo@example.com,Bo,x"),
    "suppression import people.csv --dry-run": people_of("email", "bo@example.com"),
    "--column address": people_of("name,address", "Bo,bo@example.com"),
}


def read(line: str, world: World) -> list[str]:
    """The words after `minicourse`: without what the shell takes for itself, and with the number of
    a mail that is there in place of the one that the pages speak of."""
    words = shlex.split(line)[1:]
    if ">" in words:
        words = words[: words.index(">")]
    if "4711" not in line:
        return words
    with world.database.reading() as session:
        name = installation.get(session).name
    number = max((row.state == "unknown", row.id) for row in world.rows())[1]
    return [word.replace("3f9a01c2", name).replace("4711", str(number)) for word in words]


@pytest.fixture
def files(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the pages' commands are typed, and the files that they name."""
    (world.settings.home / "people.csv").write_text("email,name,zone\nann@example.com,Ann,\n")
    note = next(
        block.text
        for block in blocks(page_of("operations.md").read_text())
        if block.language == "markdown"
    )
    (world.settings.home / "new-date.md").write_text(note)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(world.settings.home)


def typed_on() -> Iterator[Any]:
    """The pages with commands; but for the way in, their tests are left to `make e2e`."""
    for page in PAGES:
        if any(map(runs, lines_to_type(page.read_text()))):
            marks = () if page.name in ("README.md", "quick-start.md") else pytest.mark.e2e
            yield pytest.param(page, marks=marks, id=page.name)


@pytest.mark.parametrize("page", list(typed_on()))
@pytest.mark.usefixtures("files", "sandbox")
def test_each_command_of_a_page_works(
    page: Path, world: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    PREPARED.get(page.name, lambda *_: None)(world, minicourse)
    failed = []
    for line in filter(runs, lines_to_type(page.read_text())):
        for words, prepare in BEFORE.items():
            if words in line:
                prepare(world, minicourse)
        monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 9))
        answer = minicourse(*read(line, world))
        if answer.status not in ((0, 3) if line.startswith(ATTENTION) else (0,)):
            failed.append(f"{line}\n{answer.status}: {answer.out}{answer.err}")
    assert not failed, "\n".join(failed)


def test_what_is_not_run_is_there() -> None:
    lines = [line for page in PAGES for line in lines_to_type(page.read_text())]
    assert set(OTHER_PROGRAMS) == {shlex.split(line)[0] for line in lines} - {"minicourse"}
    for one in NOT_RUN:
        assert any(line.startswith(one) for line in lines), one
