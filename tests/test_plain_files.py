"""A course may hold links, pipes and devices: nothing of what is behind them is read."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from course import plain_files, scaffold, sources
from course.checking import Rule, folder, survey
from course.errors import CourseError
from course.plain_files import Folder, NotPlainError
from course.preview.desk import Desk
from course.rendering import Site
from course.samples import PEOPLE
from course.settings import SOURCE_ROOT
from course.web import texts
from course.web.templates import loader

SECRET = "SECRET_KEY=do-not-tell"
SITE = Site("https://course.example.org", "Main Street 1", "me@example.org")
Lay = Callable[[Path], None]


@pytest.fixture(autouse=True)
def nothing_waits_for_ever() -> Iterator[None]:
    """A pipe that is opened waits for somebody to write into it."""

    def stop(*_: object) -> None:
        raise AssertionError("a file is read that never ends")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    scaffold.write(home / "lessons" / "bread", "Bread")
    (home / "minicourse.keys").write_text(SECRET)
    return home


def _link_to_keys(path: Path) -> None:
    path.symlink_to(_home_of(path) / "minicourse.keys")


def _link_within(path: Path) -> None:
    path.with_name("kept.txt").write_text(SECRET)
    path.symlink_to("kept.txt")


def _write_much(path: Path) -> None:
    path.write_bytes(b" " * (plain_files.LARGEST + 1))


def _home_of(path: Path) -> Path:
    return next(p.parent for p in path.parents if p.name in ("lessons", "templates"))


TRAPS: dict[str, tuple[Lay, str]] = {
    "a link outside": (_link_to_keys, "is a link, which is not followed"),
    "a link within": (_link_within, "is a link, which is not followed"),
    "a broken link": (lambda path: path.symlink_to("nowhere"), "is a link"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "is a link"),
    "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "is a link"),
    "a pipe": (os.mkfifo, "is no plain file"),
    "a folder": (lambda path: path.mkdir(), "is a folder and no file"),
    "a large file": (
        _write_much,
        "is larger than 1,000,000 bytes",
    ),
}
NAMES = ["course.toml", "about.md", "03-third.md"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("lay", "said"), TRAPS.values(), ids=TRAPS)
def test_of_a_course_only_plain_files_are_read(home: Path, name: str, lay: Lay, said: str) -> None:
    path = home / "lessons" / "bread" / name
    path.unlink(missing_ok=True)
    lay(path)
    with pytest.raises(CourseError) as error:
        sources.read(home, "bread")
    assert str(error.value).startswith(f"{path}:1: {said}")
    assert "\n" not in str(error.value)

    source, findings = folder.read(path.parent, home, "bread/")
    assert [(one.rule, one.file) for one in findings] == [(Rule.UNREADABLE, f"bread/{name}")]
    assert said in findings[0].what
    assert SECRET not in str(source.files) + str(findings)
    assert survey(source, SITE, where="bread/", unread=findings).findings == []

    desk = Desk(path.parent, home, SITE, "bread/")
    draft, sheets = desk.sheets(PEOPLE[0].person)
    assert SECRET not in str(draft.files) + str(sheets)
    assert draft.fault is not None


TEMPLATES = ["email/base.html.j2", "email/own.txt.j2", "texts/en.toml", "web/error.html.j2"]


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize(("lay", "said"), TRAPS.values(), ids=TRAPS)
def test_of_a_homes_templates_only_plain_files_are_read(
    home: Path, name: str, lay: Lay, said: str
) -> None:
    path = home / "templates" / name
    path.parent.mkdir(parents=True)
    lay(path)
    read = loader if name.startswith("web/") else sources.read_templates
    with pytest.raises(CourseError, match=said):
        read(home)
    if name.startswith("texts/"):
        with pytest.raises(CourseError, match=said):
            texts.try_out(home)
    if not name.startswith("web/"):
        source, findings = folder.read(home / "lessons" / "bread", home, "bread/")
        assert [one.file for one in findings] == [str(path)]
        assert said in findings[0].what
        assert SECRET not in str(source.files)


def test_a_linked_folder_among_the_templates_is_not_entered(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "own.html.j2").write_text(SECRET)
    (home / "templates").mkdir()
    (home / "templates" / "email").symlink_to(elsewhere)
    with pytest.raises(CourseError, match=r"own\.html\.j2:1: is a link"):
        sources.read_templates(home)


def test_a_device_is_not_even_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object) -> int:
        raise AssertionError("opened")

    monkeypatch.setattr(os, "open", opened)
    with pytest.raises(NotPlainError, match="/dev/zero:1: is no plain file"):
        Folder(Path("/dev")).read(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("lay", "said"),
    [(_link_to_keys, "cannot be read"), (os.mkfifo, "is no plain file")],
    ids=["by a link", "by a pipe"],
)
def test_what_was_exchanged_before_it_was_opened_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, lay: Lay, said: str
) -> None:
    path = home / "lessons" / "bread" / "about.md"
    really = os.open

    def opening(name: Path, flags: int) -> int:
        path.unlink()
        lay(path)
        return really(name, flags)

    monkeypatch.setattr(os, "open", opening)
    with pytest.raises(NotPlainError, match=said):
        Folder(path.parent).read(path)


def test_many_large_files_are_not_read_to_the_last(tmp_path: Path) -> None:
    plain = Folder(tmp_path)
    path = tmp_path / "about.md"
    path.touch()
    os.truncate(path, plain_files.LARGEST)
    for _ in range(plain_files.LARGEST_TOGETHER // plain_files.LARGEST):
        assert len(plain.read(path)) == plain_files.LARGEST
    with pytest.raises(NotPlainError, match="larger than 20,000,000 bytes"):
        plain.read(path)


def test_a_course_whose_folder_is_a_link_is_its_owners_wish(home: Path, tmp_path: Path) -> None:
    (home / "lessons" / "bread").rename(tmp_path / "bread")
    (home / "lessons" / "bread").symlink_to(tmp_path / "bread")
    assert "about.md" in sources.read(home, "bread").files
    assert sources.read_templates(home) == sources.read_templates(SOURCE_ROOT)


def git(folder: Path, *words: str) -> str:
    names = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(
        ["git", "-C", str(folder), *names, *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def bread(home: Path) -> Path:
    """The course's folder, in a repository of its own."""
    folder = home / "lessons" / "bread"
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Bread")
    return folder


def test_a_course_in_a_repository_knows_its_commit_and_whether_it_differs(
    home: Path, bread: Path
) -> None:
    commit = git(bread, "rev-parse", "--short=12", "HEAD")
    assert sources.read(home, "bread").git_commit == commit
    (bread / "notes.txt").write_text("Of the author's alone.")
    assert sources.read(home, "bread").git_commit == commit
    (bread / "03-third.md").write_text("New.")
    assert sources.read(home, "bread").git_commit == f"{commit}-dirty"
    (bread / "03-third.md").unlink()
    (bread / "02-second-step.md").unlink()
    assert sources.read(home, "bread").git_commit == f"{commit}-dirty"


def test_a_repository_that_names_programs_runs_none(home: Path, bread: Path) -> None:
    """Unpacked from an archive, a course may bring settings for Git."""
    ran = home / "ran"
    program = home / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    program.chmod(0o755)
    for name in ("core.fsmonitor", "filter.x.clean", "filter.x.process", "core.pager"):
        git(bread, "config", name, str(program))
    (bread / ".gitattributes").write_text("*.md filter=x\n")
    hook = bread / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(program.read_text())
    hook.chmod(0o755)
    (bread / "about.md").write_text("Other words, of another length.")
    assert str(sources.read(home, "bread").git_commit).endswith("-dirty")
    assert not ran.exists()
    git(bread, "status", "--short")
    assert ran.exists()  # so the trap was one
