"""What the documentation says is so: commands, settings, keys, links, and each example in it."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

import cli
from course import course_file
from course.settings import SOURCE_ROOT, Settings
from tests.terminal import run
from tests.world import make_home

README = SOURCE_ROOT / "README.md"
AUTHORING = SOURCE_ROOT / "docs" / "authoring.md"
PAGES = (README, SOURCE_ROOT / "CHANGELOG.md", *sorted((SOURCE_ROOT / "docs").glob("*.md")))
SCREEN = 80
LARGEST_PICTURE = 150_000

by_name = {"ids": lambda page: page.name}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str


def blocks(text: str) -> list[Block]:
    found = re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [
        Block(language, re.sub(f"^{indent}", "", body, flags=re.MULTILINE))
        for indent, language, body in found
    ]


def prose(page: Path) -> str:
    """The page without what stands in blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def section(page: Path, title: str) -> str:
    """From a heading to the next one of its kind; a lesson shown in a block has headings, too."""
    chosen, in_block, found = False, False, ""
    for line in page.read_text().splitlines(keepends=True):
        in_block ^= line.lstrip().startswith("```")
        if line.startswith("## ") and not in_block:
            chosen = line.strip() == f"## {title}"
        found += line if chosen else ""
    assert found, f"{page.name} has no section {title!r}"
    return found


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if row[0] not in ("Setting", "Key") and set(row[0]) != {"-"}]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


# Commands ---------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that can be called, as it is written."""
    top = click.Context(cli.minicourse)
    for name in cli.minicourse.list_commands(top):
        command = cli.minicourse.get_command(top, name)
        assert command
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", one) for inner, one in command.commands.items())
        else:
            yield name, command


def in_the_overview() -> Iterator[str]:
    overview = blocks(section(README, "The command line"))[0].text
    for line in overview.splitlines():
        prefix, names = re.split(r"  +", line)
        group = prefix.removeprefix("minicourse").strip()
        yield from (f"{group} {name}".strip() for name in names.split(" · "))


def test_the_overview_names_every_command_and_no_other() -> None:
    assert sorted(in_the_overview()) == sorted(name for name, _ in commands())


def lines_to_type(text: str) -> list[str]:
    """The shell lines of a text; one that ends in a backslash goes on."""
    shell = [block.text.replace("\\\n", " ") for block in blocks(text) if block.language == "sh"]
    return [line.strip() for part in shell for line in part.splitlines() if line.strip()]


def typed() -> list[tuple[str, str]]:
    return [(page.name, line) for page in PAGES for line in lines_to_type(page.read_text())]


@pytest.mark.parametrize(("page", "line"), typed())
def test_every_line_to_type_is_a_command_that_exists(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("people.csv", "new-date.md"):
        Path(name).touch()
    program, *words = shlex.split(line, comments=True)
    if program == "make":
        targets = re.findall(r"^(\w+):.*##", (SOURCE_ROOT / "Makefile").read_text(), re.M)
        assert words[0] in targets
    elif program == "minicourse":
        known = dict(commands())
        words = words[: words.index(">")] if ">" in words else words
        name = next(name for name in (" ".join(words[:2]), words[0]) if name in known)
        known[name].make_context(name, words[len(name.split()) :])
    else:
        assert program in ("source", "mkdir", "git", "cp", "eval")


def orders_on_a_server() -> list[tuple[str, str]]:
    """What `bash` blocks, typed on a server, hand to minicourse; up to a pipe."""
    return [
        (page.name, words)
        for page in PAGES
        for block in blocks(page.read_text())
        if block.language == "bash"
        for words in re.findall(
            r"^(?:sudo -iu minicourse \.venv/bin/|docker compose exec app )?minicourse ([^|\n]+)",
            block.text.replace("\\\n", " "),
            re.MULTILINE,
        )
    ]


@pytest.mark.parametrize(("page", "words"), orders_on_a_server())
def test_every_order_on_a_server_is_a_command_that_exists(page: str, words: str) -> None:
    given, known = shlex.split(words), dict(commands())
    name = next(name for name in (" ".join(given[:2]), given[0]) if name in known)
    known[name].make_context(name, given[len(name.split()) :], resilient_parsing=True)


@pytest.mark.parametrize("page", PAGES, **by_name)
def test_what_is_to_be_typed_stands_in_a_block_of_the_shell(page: Path) -> None:
    if page != README:  # its overview is a list of names
        for block in blocks(page.read_text()):
            if block.language not in ("sh", "bash"):
                assert not re.match(r"(minicourse|make) [a-z]", block.text), block.text


def test_the_book_has_every_page_in_its_index() -> None:
    index = SOURCE_ROOT / "docs" / "README.md"
    assert {index.parent / link for link in links(index)} == set(index.parent.glob("*.md")) - {
        index
    }


# Links and pictures -----------------------------------------------------------------------------


def links(page: Path) -> list[str]:
    text = prose(page)
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)


def anchors(page: Path) -> set[str]:
    """The headings as GitHub names them in addresses."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, **by_name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("picture", sorted((SOURCE_ROOT / "docs/images").iterdir()), **by_name)
def test_every_picture_is_small_shown_and_described(picture: Path) -> None:
    assert picture.stat().st_size < LARGEST_PICTURE
    shown = re.findall(rf"<img [^>]*{re.escape(picture.name)}[^>]*>", README.read_text())
    assert shown
    assert all(re.search(r'alt="[^"]{10,}"', tag) for tag in shown)


@pytest.mark.parametrize("page", PAGES, **by_name)
def test_what_a_terminal_shows_fits_it(page: Path) -> None:
    for block in blocks(page.read_text()):
        if block.language != "mermaid":
            assert max(map(len, block.text.splitlines())) <= SCREEN, block.text


# Settings ---------------------------------------------------------------------------------------


def variables() -> set[str]:
    aliases = {"home": "MINICOURSE_HOME"}
    return {
        str(field.validation_alias or aliases.get(name, name.upper()))
        for name, field in Settings.model_fields.items()
    }


def test_the_readme_names_every_setting() -> None:
    named = [name for row in rows(section(README, "Settings")) for name in quoted(row[0])]
    assert sorted(named) == sorted(variables())


def test_the_example_file_names_every_setting() -> None:
    text = (SOURCE_ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE)) == variables()


@pytest.mark.parametrize(
    "row", rows(section(README, "Settings")), ids=lambda row: quoted(row[0])[0]
)
def test_a_setting_is_explained_in_the_same_words_in_both(row: list[str]) -> None:
    _, meaning, default = (cell.replace("`", "") for cell in row)
    meaning, _, example = meaning.partition(" Like ")
    told = (SOURCE_ROOT / ".env.example").read_text().replace("`", "")
    _, same, after = " ".join(told.replace("\n# ", " ").split()).partition(meaning)
    assert same, meaning
    assert f"={example.removesuffix('.')}" in told
    said = re.sub(r"^ Default(s| with SQLite)?: ", "", after)
    assert (said != after) == (default != "–")
    assert default == "–" or said.startswith(default.removeprefix("with SQLite: "))


# Courses ----------------------------------------------------------------------------------------


def test_the_keys_of_a_course_are_all_explained() -> None:
    named = [quoted(row[0])[0] for row in rows(section(AUTHORING, "course.toml"))]
    assert named == list(keys(course_file.CourseFile))


def keys(model: type[course_file.Table]) -> Iterator[str]:
    """As they stand in the file: a table's name in brackets, then its keys."""
    for name, field in model.model_fields.items():
        if name == "fields":
            yield "[fields.NAME]"
            yield from keys(course_file.Field)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, course_file.Table):
            yield f"[{name}]"
            yield from keys(field.annotation)
        else:
            yield name


def test_the_keys_of_a_lesson_are_all_explained() -> None:
    named = [quoted(row[0])[0] for row in rows(section(AUTHORING, "A lesson"))]
    assert named == list(course_file.FrontMatter.model_fields)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a fresh clone is to the guide."""
    made = make_home(tmp_path / "home")
    monkeypatch.setenv("MINICOURSE_HOME", str(made))
    monkeypatch.chdir(made)
    Path("people.csv").write_text("email,name,zone\nann@example.com,Ann,Europe/Berlin\n")
    return made


def write_the_course_of_the_guide(home: Path) -> None:
    guide = section(README, "Ten minutes to a course of your own")
    found = re.findall(r"`(lessons/bread/[^`]+)`[^`\n]*:\n\n```\w+\n(.*?)^```$", guide, re.M | re.S)
    assert len(found) == 4
    (home / "lessons/bread").mkdir()
    for name, text in found:
        (home / name).write_text(text)


def test_a_timeline_is_as_the_authors_page_shows_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_the_course_of_the_guide(home)
    words = ("course", "timeline", "bread", "--signup", "2030-03-29 18:30")
    (shown,) = (
        block.text
        for block in blocks(section(AUTHORING, "Which mail arrives when"))
        if block.language == "text"
    )
    assert run(monkeypatch, capsys, *words).out.endswith(f"\n\n{shown}")


def test_an_apply_says_what_the_authors_page_shows(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_the_course_of_the_guide(home)
    run(monkeypatch, capsys, "init")
    lesson = home / "lessons/bread/01-flour.md"
    lesson.write_text(lesson.read_text().replace("Go to bed", "Sleep well"))
    shown = [
        block.text for block in blocks(section(AUTHORING, "Apply")) if block.language == "text"
    ]
    assert run(monkeypatch, capsys, "course", "apply", "bread").out == shown[0]


def test_fields_and_conditions_are_as_the_authors_page_shows_them(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_the_course_of_the_guide(home)
    fields, lesson = blocks(section(AUTHORING, "Fields of your own"))
    with (home / "lessons/bread/course.toml").open("a") as file:
        file.write("\n" + fields.text)
    (home / "lessons/bread/04-wood.md").write_text(lesson.text)
    assert run(monkeypatch, capsys, "course", "check", "bread").status == 0
    (home / "lessons/bread/04-wood.md").write_text(lesson.text.replace("when: oven", "when: stove"))
    assert "'stove' is not defined" in run(monkeypatch, capsys, "course", "check", "bread").out


def jinja() -> list[tuple[str, str]]:
    """Each example of Jinja with the error that stands below it, or nothing."""
    found = blocks(AUTHORING.read_text())
    return [
        (block.text, after.text if after.text.startswith("Error:") else "")
        for block, after in zip(found, [*found[1:], Block("", "")], strict=True)
        if block.language == "jinja"
    ]


@pytest.mark.parametrize(("text", "error"), jinja())
def test_an_example_of_jinja_does_what_the_authors_page_says(
    text: str,
    error: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_the_course_of_the_guide(home)
    head = '---\nsubject: "Hello"\nafter: 0\n---\n\n'
    (home / "lessons/bread/01-flour.md").write_text(head + text)
    answer = run(monkeypatch, capsys, "lesson", "preview", "bread/flour")
    assert answer.status == (1 if error else 0), answer.err
    assert " ".join(error.removeprefix("Error: ").split()) in " ".join(answer.err.split())
