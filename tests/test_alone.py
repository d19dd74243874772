"""One process a home: the lock names its holder, and ends with it."""

import os
from pathlib import Path

import pytest

from course.errors import RefusedError
from course.processes.alone import LOCK_FILE, alone_in


def test_a_second_one_is_refused_and_told_who_has_the_lock(tmp_path: Path) -> None:
    with (
        alone_in(tmp_path),
        pytest.raises(RefusedError, match=rf"in {tmp_path} \(process {os.getpid()}\)\. End it"),
        alone_in(tmp_path),
    ):
        pytest.fail("two hold the lock of one home")


def test_homes_do_not_disturb_each_other_and_need_not_exist(tmp_path: Path) -> None:
    with alone_in(tmp_path / "one"), alone_in(tmp_path / "other"):
        assert (tmp_path / "other").is_dir()


def test_the_lock_can_be_had_again_and_says_the_new_holder_alone(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("123456789\n")
    for _ in range(2):
        with alone_in(tmp_path):
            assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"


def test_who_is_refused_is_advised_with_its_own_command(tmp_path: Path) -> None:
    with (
        alone_in(tmp_path),
        pytest.raises(RefusedError, match=r"folder minicourse db restore a\.db$"),
        alone_in(tmp_path, "db restore a.db"),
    ):
        pytest.fail("two hold the lock of one home")
