"""Tab: the scripts that shells load, and the names that they are given."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course.commands import completion
from course.settings import SOURCE_ROOT
from tests.commands.conftest import Minicourse
from tests.world import World

SHELLS = ("bash", "zsh", "fish")


def offered(minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch, typed: str) -> set[str]:
    """What bash would offer for the last of these words."""
    words = typed.split(" ")
    with monkeypatch.context() as patch:
        patch.setenv(completion.VARIABLE, "bash_complete")
        patch.setenv("COMP_WORDS", typed)
        patch.setenv("COMP_CWORD", str(len(words) - 1))
        answer = minicourse()
    assert (answer.status, answer.err) == (0, "")
    return {line.partition(",")[2] for line in answer.out.splitlines() if line}


NAMES = {
    "minicourse sta": {"status", "stats"},
    "minicourse db re": {"recount", "restore"},
    "minicourse stats lessons ": {"job-search"},
    "minicourse course plan job": {"job-search"},
    "minicourse subscriber list --course ": {"job-search"},
    "minicourse cohort show ": {"job-search/evergreen"},
    "minicourse subscriber import people.csv --cohort job": {"job-search/evergreen"},
    "minicourse lesson show job-search/wel": {"job-search/welcome"},
    "minicourse send hold --lesson job-search/net": {"job-search/network"},
    "minicourse lesson show nope": set(),
    "minicourse note show ": set(),
    "minicourse subscriber list --state act": {"active"},
    "minicourse completion ": {"bash", "zsh", "fish"},
}


def test_words_and_names_are_offered(
    world: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {typed: offered(minicourse, monkeypatch, typed) for typed in NAMES}
    assert found == NAMES


def test_a_folder_that_is_not_applied_is_offered_where_files_are_read(
    world: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    minicourse("course", "new", "rye")
    expected = {
        "minicourse course check ry": {"rye"},
        "minicourse course check job-search ry": {"rye"},
        "minicourse course apply ry": {"rye"},
        "minicourse lesson preview rye/": {"rye/welcome", "rye/second-step"},
        "minicourse course publish ry": set(),
        "minicourse course check job": {"job-search"},
    }
    assert {typed: offered(minicourse, monkeypatch, typed) for typed in expected} == expected


def test_a_commands_name_is_offered_without_loading_any() -> None:
    words = (
        "import cli, sys\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "print(*sorted({'sqlalchemy', 'pydantic', 'rich'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", words],
        cwd=SOURCE_ROOT,
        env=os.environ
        | {completion.VARIABLE: "bash_complete", "COMP_WORDS": "minicourse cou", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "plain,course\n\n"


@pytest.mark.parametrize(
    "url", ["sqlite:///nowhere.db", "mysql://x/y", "postgresql+psycopg://127.0.0.1:1/none"]
)
def test_without_a_database_nothing_is_offered_and_nothing_said(
    url: str, world: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("SECRET_KEY", "x" * 40)
    monkeypatch.setenv("HASH_KEY", "y" * 40)
    assert offered(minicourse, monkeypatch, "minicourse cohort show ") == set()


def test_a_fault_of_ours_stays_out_of_the_line(
    world: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_command: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(completion, "offer_names", broken)
    monkeypatch.setenv(completion.VARIABLE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "minicourse db ")
    monkeypatch.setenv("COMP_CWORD", "2")
    answer = minicourse()
    assert (answer.status, answer.out, answer.err) == (1, "", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_one_that_its_shell_reads(
    shell: str, minicourse: Minicourse, tmp_path: Path
) -> None:
    answer = minicourse("completion", shell)
    assert answer.status == 0
    assert f"{completion.VARIABLE}={shell}_complete" in answer.out
    if shell == "zsh":
        guard, _, register = answer.out.partition("compdef _minicourse")
        assert "autoload -Uz compinit && compinit }" in guard.splitlines()[-2]
        assert register
    if program := shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(answer.out)
        subprocess.run([program, "-n", str(script)], check=True, timeout=20)


@pytest.mark.e2e
def test_bash_itself_finishes_a_name(founded_home: Path, tmp_path: Path) -> None:
    program = tmp_path / "minicourse"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {SOURCE_ROOT}/cli.py "$@"\n')
    program.chmod(0o755)
    typing = (
        'eval "$(minicourse completion bash)"; COMP_WORDS=(minicourse cohort show job);'
        " COMP_CWORD=3; _minicourse_completion minicourse; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", typing],
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PYTHONPATH": str(SOURCE_ROOT),
            "MINICOURSE_HOME": str(founded_home),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["job-search/evergreen"]
