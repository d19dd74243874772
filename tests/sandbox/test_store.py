"""The file that holds people's mails is for its owner alone."""

from pathlib import Path

import pytest

from course.sandbox.store import Store

NAMES = ("s.sandbox.db", "s.sandbox.db-wal", "s.sandbox.db-shm")


@pytest.mark.parametrize("is_there", [False, True])
def test_nobody_else_may_read_it(tmp_path: Path, is_there: bool) -> None:
    path = tmp_path / NAMES[0]
    if is_there:
        Store(path, posts_events=False).close()
        for name in NAMES:
            (tmp_path / name).touch()
            (tmp_path / name).chmod(0o644)
    store = Store(path, posts_events=False)
    store.clear()  # a write, so that all three are there
    assert {name: oct((tmp_path / name).stat().st_mode & 0o777) for name in NAMES} == dict.fromkeys(
        NAMES, "0o600"
    )
    store.close()
