"""Files that anybody may have written, read out of one folder: plain ones, and not for ever.

A course may come from anywhere. A link in it could lead to a secret, which would then stand on the
course's page; a pipe or a device is never read to its end.
"""

import os
import stat
from pathlib import Path

from course.errors import CourseError

# Bytes. A lesson has 200,000 letters at the most, and a letter four bytes.
LARGEST = 1_000_000
LARGEST_TOGETHER = 20_000_000


class NotPlainError(CourseError):
    """A file that is not read; `what` is wrong with it, and how to mend that."""

    def __init__(self, path: Path, what: str, mend: str) -> None:
        super().__init__(f"{path}:1: {what}; {mend[0].lower()}{mend[1:].rstrip('.')}")
        self.what = what
        self.mend = mend


class Folder:
    """The files of one folder and of those in it, which together are not too many bytes."""

    def __init__(self, root: Path) -> None:
        """The folder itself may be a link: its owner chose it."""
        self.root = root
        self._left = LARGEST_TOGETHER

    def text(self, path: Path) -> str:
        """The file as UTF-8, every kind of line end made one; CourseError names what is none."""
        return plain_text(path, self.read(path))

    def read(self, path: Path) -> bytes:
        """NotPlainError names what is no plain file of this folder, and does not open it."""
        depth = len(path.relative_to(self.root).parts)
        for part in (path, *path.parents[: depth - 1]):
            if part.is_symlink():
                mend = "Put a copy of the file itself in its place."
                raise NotPlainError(path, "is a link, which is not followed", mend)
        try:
            found = _read(path, min(LARGEST, self._left))
        except OSError as error:
            what = f"cannot be read: {error.strerror}"
            raise NotPlainError(path, what, "Make it a readable file.") from None
        self._left -= len(found)
        return found


def decoded(raw: bytes, errors: str = "strict") -> str:
    return raw.decode("utf-8-sig", errors).replace("\r\n", "\n").replace("\r", "\n")


def plain_text(path: Path, raw: bytes) -> str:
    """What was read of that file, as text."""
    try:
        return decoded(raw)
    except UnicodeDecodeError as error:
        raise CourseError(f"{path}:1: cannot be read: {error}; save it as UTF-8") from None


def _read(path: Path, most: int) -> bytes:
    """Looked at before it is opened, as opening is enough to move some devices; and once more when
    it is open, in case it was exchanged in between."""
    _require_plain(path, path.lstat())
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        _require_plain(path, os.fstat(handle))
        found = file.read(most + 1)
    if len(found) > LARGEST:
        raise NotPlainError(path, f"is larger than {LARGEST:,} bytes", "Shorten it.")
    if len(found) > most:
        what = f"makes its folder larger than {LARGEST_TOGETHER:,} bytes"
        raise NotPlainError(path, what, "Make two courses of it.")
    return found


def _require_plain(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise NotPlainError(path, "is a folder and no file", "Give it another name.")
    if not stat.S_ISREG(found.st_mode):
        raise NotPlainError(path, "is no plain file", "Put a text file in its place.")
