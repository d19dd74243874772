"""What holds for every command: help with examples that work, a screen of 80 columns, one line for
each failure."""

import io
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import cli
from course.db import Database, alembic_config, newest_migration
from course.settings import Settings
from tests.commands.conftest import Minicourse, edit
from tests.world import World

KIM = "kim@example.com"
LONG = "a.rather.long.name.of.somebody@institute.of.technology.example.com"
# Examples that cannot run here, and where they do.
ELSEWHERE = {
    "demo": "twenty seconds of servers: tests/test_demo.py",
    "up": "runs until it is ended: tests/e2e",
    "web": "runs until it is ended: tests/e2e",
    "scheduler": "runs until it is ended: tests/test_scheduler.py",
    "worker": "runs until it is ended, over a broker: tests/fleet",
    "sandbox": "runs until it is ended: tests/sandbox",
    "live": "ends with 3 while something is to be done: tests/test_live.py",
    "doctor": "ends with 3 while something is to be mended: tests/test_doctor.py",
    "db copy": "needs a server: tests/commands/test_db_copy.py",
}
SCREEN = 80
NOTE = """\
---
subject: The call moves to Friday
preheader: Same hour, another day.
---
Hello{{ " " ~ name if name }}, our call moves to **Friday**. Nothing else changes.
"""


def _commands() -> Iterator[tuple[str, click.Command]]:
    top = click.Context(cli.minicourse)
    for name in cli.minicourse.list_commands(top):
        command = cli.minicourse.get_command(top, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            for short, inner in command.commands.items():
                yield f"{name} {short}", inner


COMMANDS = dict(_commands())


def _examples(command: click.Command) -> list[list[str]]:
    text = (command.help or "").replace("\\\n", " ")
    lines = re.findall(r"^ +minicourse (.+)$", text, re.MULTILINE)
    return [shlex.split(line) for line in lines]


EXAMPLES = [
    words
    for name, command in COMMANDS.items()
    if name not in ELSEWHERE
    for words in _examples(command)
]


@pytest.fixture(scope="session")
def _town(_founded_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples speak of, made once: Kim takes the course since four days, and so does
    somebody whose name and address are long."""
    home = tmp_path_factory.mktemp("town") / "home"
    shutil.copytree(_founded_home, home)
    settings = Settings(home=home).with_made_keys()
    world = World(settings, Database(settings.database))
    world.join(KIM, "Kim", "Europe/Berlin")
    world.join(LONG, "Bertrand Arthur William Russell the Third", "America/Argentina/Buenos_Aires")
    world.live_through(4)
    world.database.dispose()
    return home


@pytest.fixture
def founded_home(_town: Path, tmp_path: Path) -> Path:
    """In this module every world is that town."""
    return Path(shutil.copytree(_town, tmp_path / "home"))


@pytest.fixture
def town(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The town four days later, with a file of people at hand."""
    world.pass_time(days=4)
    (tmp_path / "people.csv").write_text("email,name,zone\nann@example.com,Ann,\n")
    (tmp_path / "new-date.md").write_text(NOTE)
    monkeypatch.chdir(tmp_path)
    return world


def test_what_the_first_help_names_of_a_group_is_there() -> None:
    for name, (_, about) in cli.COMMANDS.items():
        group = COMMANDS[name]
        listed = about.partition(": ")[2].rstrip(".").partition(";")[0].split(", ")
        if isinstance(group, click.Group) and listed != [""]:
            assert set(listed) <= set(group.commands), about


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_of_itself(
    name: str, minicourse: Minicourse
) -> None:
    answer = minicourse(*name.split(), "--help")
    assert answer.status == 0
    assert re.search(r"Examples?:\n +minicourse " + name, answer.out)
    assert max(map(len, answer.out.splitlines())) <= SCREEN


@pytest.mark.parametrize("words", EXAMPLES, ids=" ".join)
def test_every_example_works(
    words: list[str], town: World, sandbox: object, minicourse: Minicourse
) -> None:
    if words[:2] != ["cohort", "create"]:
        minicourse("cohort", "create", "job-search/spring", "--start", "2030-03-04")
    if words[0] == "note" and words[1] in ("show", "hold", "cancel"):
        minicourse("note", "send", "new-date.md", "--yes")
    if words[:2] == ["send", "release"]:
        minicourse("send", "hold", "--why", "a test")
    if words[:2] == ["course", "rollback"]:
        for _ in range(3):
            edit(town, "about.md", "\n", "\n\n")
            minicourse("course", "apply", "job-search")
    if words[:2] == ["db", "restore"]:
        minicourse("db", "backup", "monday.db")
        town.database.dispose()
        shutil.move(town.settings.home / "minicourse.db", "old.db")
    answer = minicourse(*words)
    assert answer.status == 0, answer.err
    assert answer.out


def test_what_runs_elsewhere_is_still_a_command() -> None:
    assert set(ELSEWHERE) <= set(COMMANDS)


LISTS = (
    "course list",
    "lesson list",
    "cohort list",
    "subscriber list",
    "delivery list",
)
SHOWN = (
    "course show job-search",
    "cohort show evergreen",
    "subscriber show kim@example.com",
    "delivery show 1",
    "stats",
    "status",
)


@pytest.mark.parametrize("words", [*LISTS, *SHOWN])
def test_everything_fits_a_screen(words: str, town: World, minicourse: Minicourse) -> None:
    answer = minicourse(*words.replace(KIM, LONG).split())
    lines = answer.out.splitlines()
    assert lines
    assert max(map(len, lines)) <= SCREEN
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("words", LISTS)
def test_a_list_is_an_array_in_json(words: str, town: World, minicourse: Minicourse) -> None:
    found = json.loads(minicourse(*words.split(), "--json").out)
    assert isinstance(found, list)
    assert found
    assert all(isinstance(one, dict) for one in found)


@pytest.mark.parametrize("words", [*SHOWN, "lesson show welcome"])
def test_a_show_is_an_object_in_json(words: str, town: World, minicourse: Minicourse) -> None:
    answer = minicourse(*words.split(), "--json")
    assert isinstance(json.loads(answer.out), dict)
    assert not answer.err


def test_instants_in_json_are_utc_with_their_offset(town: World, minicourse: Minicourse) -> None:
    found = json.loads(minicourse("subscriber", "show", "kim@example.com", "--json").out)
    assert found["created_at"] == "2027-01-14T11:00:00+00:00"
    coming = found["enrollments"][0]["next"]
    assert coming == {
        "lesson": "practice",
        "due_at": "2027-01-19T08:00:00+00:00",
        "local_due_at": "2027-01-19T09:00:00+01:00",
    }


# words, and what the line must name beside the value: the next step.
WRONG = (
    ("course show nope", "course apply"),
    ("course apply nope", "job-search"),
    ("course publish nope", "course apply nope"),
    ("lesson list nope", "course apply"),
    ("lesson show nope", "welcome, network"),
    ("lesson show nope/welcome", "course list"),
    ("lesson preview nope", "welcome, network"),
    ("lesson preview welcome --as nope@example.com", "subscriber add nope@example.com"),
    ("cohort show nope", "job-search/evergreen"),
    ("cohort create nope --rolling", "job-search/nope"),
    ("cohort create job-search/evergreen --rolling", "exists already"),
    ("cohort create job-search/x --start 2020-01-01", "still to come"),
    ("cohort create job-search/x --start tomorrow", "write it like 2030-03-04"),
    ("cohort clone evergreen other/x", "of another course"),
    ("subscriber pause --cohort evergreen --until 2030-13-04", "write it like 2030-03-04"),
    ("subscriber import /dev/null --cohort evergreen --start 2030-13-04", "like 2030-03-04"),
    ("subscriber import /dev/null --cohort evergreen", "is no file"),
    ("cohort create job-search/x --rolling --zone Mars/North", "Europe/Berlin"),
    ("cohort create job-search/x --rolling --latecomers next", "--start"),
    ("cohort create job-search/x --rolling --capacity many", "like 30"),
    ("cohort create job-search/x --start 2030-03-04 --closes 2020-01-01", "still to come"),
    ("cohort edit evergreen --hour late", "like 09:00"),
    ("cohort edit nope --hour 09:00", "job-search/evergreen"),
    ("cohort clone evergreen x --start 2030-03-04", "leave out --start"),
    ("subscriber add nope --cohort evergreen", "e-mail address"),
    ("subscriber add a@example.com --cohort nope", "job-search/evergreen"),
    ("subscriber show nope@example.com", "subscriber list"),
    ("subscriber unsubscribe nope@example.com", "subscriber list"),
    ("subscriber erase nope@example.com --yes", "subscriber list"),
    ("subscriber export --gdpr nope@example.com", "subscriber list"),
    ("suppression add nope", "e-mail address"),
    ("suppression add a@example.com --course nope", "course apply"),
    ("subscriber list --cohort nope", "job-search/evergreen"),
    ("delivery show 4711", "delivery list"),
    ("delivery list --lesson nope", "welcome, network"),
    ("stats nope", "course apply"),
    ("send hold --why x --cohort nope", "job-search/evergreen"),
    ("send release 4711", "minicourse status"),
)


@pytest.mark.parametrize(("words", "step"), WRONG, ids=[words for words, _ in WRONG])
def test_a_failure_is_one_line_with_the_value_and_the_next_step(
    words: str, step: str, minicourse: Minicourse
) -> None:
    answer = minicourse(*words.split())
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert answer.err.startswith("Error: ")
    assert step in answer.err


@pytest.mark.parametrize(("typed", "said"), [("", "Error: "), ("n\n", "Aborted!")])
def test_a_question_that_nobody_answers_names_the_way_without(
    typed: str, said: str, town: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    answer = minicourse("subscriber", "erase", "kim@example.com")
    last = answer.err.splitlines()[-1]
    assert answer.status == 1
    assert last.startswith(said) or last.endswith(said)
    assert last.endswith("Add: --yes") == (not typed)
    assert minicourse("subscriber", "show", "kim@example.com").status == 0


@pytest.mark.parametrize(
    "words",
    [
        "cohort create job-search/x",
        "cohort create job-search/x --rolling --start 2030-01-01",
        "cohort edit evergreen",
        "lesson preview welcome --as kim@example.com --name Kim",
        "send hold",
        "send hold --why x --course job-search --lesson welcome",
        "send release",
        "send release 1 --all",
        "delivery list --state lost",
        "subscriber import nowhere.csv --cohort evergreen",
    ],
)
def test_what_is_not_written_as_the_help_says_exits_with_2(
    words: str, minicourse: Minicourse
) -> None:
    assert minicourse(*words.split()).status == 2


def test_who_shall_be_taken_out_is_not_offered_to_be_added(minicourse: Minicourse) -> None:
    answer = minicourse("subscriber", "unsubscribe", "nope@example.com")
    assert "nope@example.com" in answer.err
    assert answer.err.endswith("minicourse subscriber list\n")


def test_without_a_database_each_command_names_init_and_the_place(
    world: World, minicourse: Minicourse
) -> None:
    world.database.dispose()
    (world.settings.home / "minicourse.db").unlink()
    answer = minicourse("status")
    assert answer.status == 1
    assert f"{world.settings.home}/minicourse.db" in answer.err
    assert "minicourse init" in answer.err


def test_the_newest_migration_is_what_alembic_takes_for_it() -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(alembic_config("sqlite://"))
    assert newest_migration() == script.get_current_head()
