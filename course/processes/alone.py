"""One `minicourse up` a home: a lock that the system lets go when its process ends, however."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from course.errors import RefusedError

LOCK_FILE = "minicourse.up.lock"


@contextmanager
def alone_in(home: Path, command: str = "up") -> Iterator[None]:
    """Hold the home's lock; RefusedError, which names the holder, where another process has it.
    `command` is what this process runs.

    Two that start at the same moment would both find the ports free. The file stays: who removed it
    could take the lock from under another.
    """
    home.mkdir(parents=True, exist_ok=True)
    handle = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)  # no child inherits it
    with os.fdopen(handle, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(_taken(home, file.read().strip(), command)) from None
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _taken(home: Path, number: str, command: str) -> str:
    process = f" (process {number})" if number else ""  # it may just be about to say it
    return (
        f"`minicourse up` is running already in {home}{process}. End it first with Ctrl-C there, "
        f"or run this one in another home: MINICOURSE_HOME=/another/folder minicourse {command}"
    )
