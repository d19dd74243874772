"""Rows that could not be taken, in the list's own columns: to be mended and imported again."""

import csv
import os
import re
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from course.sheets import LINE, WHY, Bad


def beside(source: Path) -> Path:
    """`people.rejects.csv`, or the next such name that is free."""
    stem = re.sub(r"\.rejects(-\d+)?$", "", source.stem)
    names = (f"{stem}.rejects{f'-{number}' if number > 1 else ''}.csv" for number in count(1))
    return next(path for path in map(source.with_name, names) if not path.exists())


def private(path: str, flags: int) -> int:
    """For `open`: a file that only its owner may read."""
    return os.open(path, flags, 0o600)


class Rejects:
    """Written only when there are any, and never over another file."""

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self.path = path
        self._header = list(header)
        # A file of rejects that was mended has these two already.
        names = [name.strip().lower() for name in header]
        self._own = {place for place, name in enumerate(names) if name in (LINE, WHY)}
        self._file: TextIO | None = None
        self._writer: Any = None

    @property
    def is_written(self) -> bool:
        return self._file is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, bad: Iterable[Bad]) -> None:
        for one in bad:
            if self._file is None:
                self._begin()
            self._writer.writerow([one.line, one.reason, *self._theirs(one.cells)])

    def _begin(self) -> None:
        # Bytes that are no UTF-8 stay as they were.
        self._file = open(  # noqa: SIM115 (closed by __exit__)
            self.path, "x", encoding="utf-8", errors="surrogateescape", newline="", opener=private
        )
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow([LINE, WHY, *self._theirs(self._header)])

    def _theirs(self, cells: Sequence[str]) -> list[str]:
        return [cell for place, cell in enumerate(cells) if place not in self._own]
