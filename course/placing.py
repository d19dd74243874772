"""Files that are whole or not there at all, and their owner's alone."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from course.errors import RefusedError


@contextmanager
def placed(target: Path) -> Iterator[Path]:
    """A new, private file to write to; it takes its name when it is whole and on the disk."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield part
        sync(part)
        part.replace(target)
        sync(target.parent)
    except OSError as error:
        raise RefusedError(f"Cannot write {target}: {error.strerror}.") from None
    finally:
        for left in target.parent.glob(f"{part.name}*"):
            left.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Onto the disk: a file's content, or a folder's names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
