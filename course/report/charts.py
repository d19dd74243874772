"""Charts as numbers: where a rectangle stands and how long it is. The page draws them as SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Column(NamedTuple):
    """In a field of one unit a column and a height of 100, from the top left."""

    x: float
    y: float
    width: float
    height: float
    number: int


_GAP = 0.2
_LEAST = 1.5  # what is not nothing can be seen


@dataclass(frozen=True, slots=True)
class Chart:
    """A number for each day. `kind` is its colour's name in the page."""

    title: str
    kind: str
    numbers: Sequence[int]

    @property
    def total(self) -> int:
        return sum(self.numbers)

    @property
    def highest(self) -> int:
        return max(self.numbers, default=0)

    @property
    def columns(self) -> Iterator[Column]:
        for place, number in enumerate(self.numbers):
            if number:
                height = max(number / self.highest * 100, _LEAST)
                yield Column(
                    place + _GAP / 2, round(100 - height, 2), 1 - _GAP, round(height, 2), number
                )


def part(number: int | None, whole: int | None) -> float:
    """How long a bar is, from 0 to 100."""
    return round(min(number / whole, 1) * 100, 2) if number and whole else 0


def share(number: int | None, whole: int | None) -> str:
    """A share in words; nothing where there is none."""
    if number is None or not whole:
        return ""
    percent = number / whole * 100
    return f"{percent:.0f}%" if percent >= 10 or percent == 0 else f"{percent:.1f}%"
