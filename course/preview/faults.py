"""What is wrong with a course's files, and the very lines where it is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from course.errors import MinicourseError

_LOCATED = re.compile(r"(.+?):(\d+): (.*)", re.DOTALL)
_AROUND = 2  # lines before and after the one at fault


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file; `is_at_fault` marks the one that the error names."""

    number: int
    text: str
    is_at_fault: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """An error as a page shows it; `place` is empty where the error names no line."""

    words: str
    place: str = ""
    lines: tuple[Line, ...] = ()


def fault_of(error: Exception, files: Mapping[str, str]) -> Fault:
    """The error with the lines around it. `files` are a revision's, as `sources.read` names them.

    What is no error of ours comes from a reader's values, or from a file that went away just now.
    """
    if not isinstance(error, MinicourseError):
        return Fault(f"{type(error).__name__}: {error}")
    located = _LOCATED.fullmatch(str(error))
    if located is None:
        return Fault(str(error))
    file, number, words = located[1], int(located[2]), located[3]
    # Jinja names a layout by its place below `templates/`.
    file = f"templates/{file}" if f"templates/{file}" in files else file
    text = files.get(file) or files.get(file.rpartition("/")[2]) or ""
    return Fault(words, f"{file}:{number}", tuple(_around(text, number)))


def _around(text: str, number: int) -> list[Line]:
    lines = text.splitlines()
    if number > len(lines):
        return []
    first = max(number - _AROUND, 1)
    shown = lines[first - 1 : number + _AROUND]
    return [Line(n, line, n == number) for n, line in enumerate(shown, start=first)]
