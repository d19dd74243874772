"""Files and folders that cannot be read or written: one line that names them, and the next step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from course.settings import SOURCE_ROOT
from tests.commands.conftest import Minicourse
from tests.world import World


def one_line(err: str) -> str:
    (line,) = err.splitlines()
    assert line.startswith("Error: ")
    return line


def test_a_file_in_a_folder_that_is_not_there(
    world: World, minicourse: Minicourse, tmp_path: Path
) -> None:
    file = tmp_path / "nope" / "x.csv"
    answer = minicourse("subscriber", "export", "--output", str(file))
    assert answer.status == 1
    assert one_line(answer.err) == (
        f"Error: {file}: No such file or directory. See that its folder is there: "
        f"ls -ld {file.parent}"
    )


@pytest.mark.parametrize(
    ("home", "said"),
    [
        ("file", "Move what is there away"),
        ("file/below", "What should be a folder is none"),
        ("/proc/nope", "See that its folder is there: ls -ld /proc"),
    ],
)
def test_a_home_that_can_be_none(
    minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str, said: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MINICOURSE_HOME", str(tmp_path / home))
    answer = minicourse("init")
    assert answer.status == 1
    assert said in one_line(answer.err)


def test_a_read_only_disk(minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    line = one_line(minicourse("course", "new", "foo").err)
    assert "foo: Read-only file system. What is there cannot be changed" in line


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (None, "No such file or directory"),
        (b"\xff\xfe", "it holds no instant"),
        (b"soon", "it holds no instant"),
        (b"2030-03-04T09:00", "2030-03-04 09:00:00 has no offset"),
    ],
)
def test_a_clock_that_cannot_be_read(
    minicourse: Minicourse,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    held: bytes | None,
    said: str,
) -> None:
    file = tmp_path / "another-clock"
    if held is not None:
        file.write_bytes(held)
    monkeypatch.setenv("MINICOURSE_CLOCK_FILE", str(file))
    answer = minicourse("status")
    assert answer.status == 1
    line = one_line(answer.err)
    assert line.startswith(f"Error: MINICOURSE_CLOCK_FILE={file}: {said}. Write an instant")


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("status >&-", (0, 3), ""),
        ("course list 2>&-", (0,), ""),
        ("subscriber pause --cohort job-search/evergreen --until 2099-01-01 <&-", (0, 1), ""),
        ("doctor", (1,), "has no '\\u2713'. Ask for another: PYTHONIOENCODING=utf-8"),
    ],
)
def test_streams_that_are_closed_or_speak_another_language(
    founded_home: Path, words: str, status: tuple[int, ...], said: str
) -> None:
    program = f"{sys.executable} {SOURCE_ROOT / 'cli.py'}"
    done = subprocess.run(
        f"{program} {words}",
        shell=True,
        env={
            "PATH": os.environ["PATH"],
            "MINICOURSE_HOME": str(founded_home),
            "PYTHONIOENCODING": "latin-1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in status
    assert "Traceback" not in done.stderr
    assert said in done.stderr


@pytest.mark.parametrize("words", ["status", "db check", "init"])
def test_no_password_in_the_url_of_a_database_is_shown(
    minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setenv("SECRET_KEY", "a-key")
    monkeypatch.setenv("HASH_KEY", "another-key")
    monkeypatch.setenv(
        "DATABASE_URL",
        "postgresql+psycopg://me:one%40pw@127.0.0.1:1/x?password=two%40pw&sslpassword=three",
    )
    line = one_line(minicourse(*words.split()).err)
    assert "://me:***@127.0.0.1:1/x?password=***&sslpassword=***" in line
    assert not any(secret in line for secret in ("pw@", "%40pw", "two", "three"))
