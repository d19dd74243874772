"""The mark file beside an embedded database: a second memory, which a copy or a backup of the
database does not take along.

It holds what the database should know (its own id, the highest request) and where both lay. It is
raised, and synced, after a request's line is committed and before its bytes leave: so it is never
behind what may have been sent, and never ahead of what the database should hold.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from course.settings import Settings

_MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


@dataclass(frozen=True, slots=True)
class Mark:
    """What the file says. An empty `machine` is not known: a container often has none."""

    id: str
    installation: str
    machine: str
    path: str  # of the database
    inode: int  # of the database; it stays when the file is renamed
    request: int
    is_live: bool


def path_of(settings: Settings) -> Path | None:
    """Beside an embedded database; None with a server."""
    return settings.database_path.with_suffix(".mark") if settings.database_path else None


def read(path: Path) -> Mark | None:
    """The mark, or None where there is none that can be read."""
    try:
        with path.open("rb") as file:
            return _parse(file.readline())
    except FileNotFoundError:
        return None


def write(path: Path, mark: Mark) -> None:
    """Make or replace the mark, durably."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(handle, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _rewrite(file, mark)
    _sync_folder(path.parent)


def raise_to(path: Path, request_id: int, *, is_live: bool) -> None:
    """Note a request that may leave; never downwards, whoever else does the same. Where there is no
    mark, none is made: its absence says something."""
    with _locked(path) as file:
        mark = _parse(file.readline()) if file else None
        if file is None or mark is None:
            return
        if mark.request < request_id or mark.is_live < is_live:
            highest = max(mark.request, request_id)
            _rewrite(file, replace(mark, request=highest, is_live=mark.is_live or is_live))


def machine() -> str:
    """A name for this machine that says nothing else about it (see machine-id(5))."""
    for path in _MACHINE_IDS:
        try:
            known = path.read_text().strip()
        except OSError:
            continue
        if known:
            return hashlib.sha256(f"minicourse {known}".encode()).hexdigest()[:16]
    return ""


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes] | None]:
    try:
        file = path.open("r+b", buffering=0)
    except FileNotFoundError:
        yield None
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _parse(line: bytes) -> Mark | None:
    """A broken mark is none."""
    try:
        found = json.loads(line)
        return Mark(**found)
    except (ValueError, TypeError):
        return None


def _rewrite(file: IO[bytes], mark: Mark) -> None:
    """In place, and in one line: less than a disk writes at once. What a longer line leaves behind
    stands after the line's end."""
    file.seek(0)
    file.write(json.dumps(asdict(mark)).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
