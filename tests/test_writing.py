"""What a command writes is there as a whole, or not at all and named."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from course import scaffold
from course.writing import whole


@contextmanager
def little_room(size: int) -> Iterator[None]:
    """No file grows beyond it, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_finds_no_room_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("former")
    unwritten = pytest.raises(OSError, match=f"too large: '{path}'")
    with unwritten, little_room(10), whole(path) as target:
        target.write("more than there is room for")
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_is_not_there_is_named_as_it_was_typed(tmp_path: Path) -> None:
    path = tmp_path / "nope" / "people.csv"
    with pytest.raises(FileNotFoundError, match=f"'{path}'"), whole(path):
        pass


def test_half_a_course_does_not_stand_in_the_way(tmp_path: Path) -> None:
    folder = tmp_path / "lessons" / "rye"
    with pytest.raises(OSError, match=f"too large: '{folder}'"), little_room(1000):
        scaffold.write(folder, "Rye")
    assert not folder.exists()
    assert len(scaffold.write(folder, "Rye")) == 4
