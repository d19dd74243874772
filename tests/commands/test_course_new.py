"""`course new`: a folder that is a course at once, and never over another."""

from pathlib import Path

import pytest

from tests.commands.conftest import Minicourse
from tests.world import World

FILES = ["01-welcome.md", "02-second-step.md", "about.md", "course.toml"]


def test_a_new_course_passes_the_check_and_can_go_live(
    world: World, minicourse: Minicourse
) -> None:
    answer = minicourse("course", "new", "first-loaf")
    assert answer.status == 0
    made = world.settings.home / "lessons" / "first-loaf"
    assert answer.out.split() == [str(made / name) for name in FILES]
    assert 'title = "First Loaf"' in (made / "course.toml").read_text()
    assert minicourse("course", "check", "first-loaf").status == 0
    assert minicourse("lesson", "preview", "first-loaf/welcome").status == 0

    listed = minicourse("course", "list").out
    assert "not applied" in listed  # nobody sees it yet
    for step in ("check", "apply"):
        assert f"minicourse course {step} first-loaf" in answer.err
    assert minicourse("course", "apply", "first-loaf").status == 0


def test_it_bears_the_title_that_it_is_given(world: World, minicourse: Minicourse) -> None:
    minicourse("course", "new", "rye", "--title", 'Rye, "slow" & gut')
    text = minicourse("course", "apply", "rye")
    assert text.status == 0
    assert 'Rye, "slow" & gut' in minicourse("course", "show", "rye").out


def test_nothing_is_overwritten(world: World, minicourse: Minicourse) -> None:
    minicourse("course", "new", "rye")
    about = world.settings.home / "lessons/rye/about.md"
    about.write_text("Mine.")
    answer = minicourse("course", "new", "rye", "--title", "Other")
    assert (answer.status, answer.out) == (1, "")
    assert "minicourse course check rye" in answer.err
    assert about.read_text() == "Mine."


def test_elsewhere_it_says_how_that_place_is_run(
    tmp_path: Path, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = minicourse("course", "new", "rye", "--in", "own")
    assert answer.out.split() == [f"own/lessons/rye/{name}" for name in FILES]
    assert "minicourse course check rye --in own\n" in answer.err
    assert f"export MINICOURSE_HOME={tmp_path / 'own'}\n" in answer.err
    (tmp_path / "own/lessons").rename(tmp_path / "mine")
    answer = minicourse("course", "new", "oat", "--in", "mine")
    assert answer.out.split()[0] == "mine/oat/01-welcome.md"
    assert "lessons/ of a home" in answer.err


@pytest.mark.parametrize(
    ("words", "step"),
    [
        (["First Loaf"], "take first-loaf"),
        (["rye", "--title", " "], "one line of words"),
        (["rye", "--in", "home/lessons/job-search"], "folder that it lies in"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(
    words: list[str],
    step: str,
    tmp_path: Path,
    minicourse: Minicourse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = minicourse("course", "new", *words)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert step in answer.err
