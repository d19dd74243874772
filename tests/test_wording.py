"""Numbers in sentences."""

import pytest

from course.wording import counted


@pytest.mark.parametrize(
    ("count", "words", "told"),
    [
        (0, ("mail",), "0 mails"),
        (1, ("mail",), "1 mail"),
        (2000, ("mail",), "2,000 mails"),
        (1, ("person", "people"), "1 person"),
        (3, ("person", "people"), "3 people"),
    ],
)
def test_one_is_singular(count: int, words: tuple[str, ...], told: str) -> None:
    assert counted(count, *words) == told
