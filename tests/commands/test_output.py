"""Output that nobody takes: a quiet end, or one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from course.settings import SOURCE_ROOT

pytestmark = pytest.mark.e2e


def run(home: Path, words: str, out: int) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(SOURCE_ROOT / "cli.py"), *words.split()],
        env={"PATH": os.environ["PATH"], "MINICOURSE_HOME": str(home)},
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


ASKED = ("subscriber list", "course list --json", "--help")


@pytest.mark.parametrize("words", ASKED)
def test_a_reader_that_has_gone_away_ends_it_quietly(founded_home: Path, words: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run(founded_home, words, writer) == (1, "")
    finally:
        os.close(writer)


@pytest.mark.parametrize("words", ASKED)
def test_a_full_disk_is_one_line(founded_home: Path, words: str) -> None:
    with Path("/dev/full").open("w") as full:
        status, said = run(founded_home, words, full.fileno())
    assert status == 1
    assert said == (
        "Error: Cannot write the output: No space left on device. "
        "Send it elsewhere, and try again.\n"
    )
