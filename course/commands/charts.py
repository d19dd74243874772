"""Small charts of block characters: as wide as they are told to be, readable without colour.

No plotting library: a bar is a line of code, and one character an eighth of a cell is as fine as
a terminal gets.
"""

from collections.abc import Sequence

from rich.text import Text

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_RISING = " ▁▂▃▄▅▆▇█"


def bar(share: float | None, width: int, style: str = "green") -> Text:
    """A share (0 to 1) of so many cells; nothing for what is not known."""
    eighths = round(min(max(share or 0, 0), 1) * width * 8)
    if share and not eighths:
        eighths = 1  # little is not nothing
    return Text("█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip(), style=style)


def columns(numbers: Sequence[int], height: int) -> list[str]:
    """A column for each number, as lines from the top down."""
    highest = max(numbers, default=0) or 1
    steps = [max(round(number / highest * height * 8), number > 0) for number in numbers]
    return [
        "".join(_RISING[min(max(step - 8 * row, 0), 8)] for step in steps)
        for row in reversed(range(height))
    ]


def gathered(numbers: Sequence[int], most: int) -> tuple[list[int], int]:
    """So many numbers at most, each the sum of so many of the given ones."""
    size = -(-len(numbers) // most) if numbers else 1
    return [sum(numbers[at : at + size]) for at in range(0, len(numbers), size)], size
