"""Real processes for tests: started with a home of their own, always ended."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from course.processes import ports
from course.settings import SOURCE_ROOT

PATIENCE_SECONDS = 40.0


@dataclass(frozen=True)
class Process:
    """A running command with its output; `home` marks it and its children in /proc."""

    popen: subprocess.Popen[bytes]
    home: Path
    output: IO[bytes]  # a file, so that nobody waits for it to be read

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> tuple[int, str]:
        """Exit status and everything it printed."""
        status = self.popen.wait(seconds)
        self.output.seek(0)
        return status, self.output.read().decode()


@contextmanager
def running(home: Path, program: str, *words: str, **settings: str) -> Iterator[Process]:
    """`python PROGRAM WORDS` in that home; nothing of it is left after the block."""
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            [sys.executable, str(SOURCE_ROOT / program), *words],
            env={"PATH": os.environ["PATH"], "MINICOURSE_HOME": str(home), **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as popen,
    ):
        try:
            yield Process(popen, home, output)
        finally:
            for pid in processes_of(home):
                os.kill(pid, signal.SIGKILL)


def processes_of(home: Path, variable: str = "MINICOURSE_HOME") -> dict[int, str]:
    """Process id → command line of everything that runs in that home."""
    mark = f"{variable}={home}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                found[int(folder.name)] = b" ".join(words).decode()
        except OSError:  # it ended meanwhile, or is not ours
            continue
    return {pid: words for pid, words in found.items() if words}  # a zombie has no words


def eventually(is_so: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Return once it is so; fail when it does not come to pass."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


@dataclass(frozen=True)
class Addresses:
    """Two free ports of this machine, as the settings name them."""

    pages: str
    inbox: str

    @classmethod
    def free(cls) -> "Addresses":
        return cls(*(f"http://127.0.0.1:{ports.free_port()}" for _ in range(2)))

    @property
    def settings(self) -> dict[str, str]:
        return {"PUBLIC_URL": self.pages, "SENDGRID_HOST": self.inbox}

    def are_served(self) -> bool:
        return ports.answers(f"{self.pages}/healthz") and ports.answers(self.inbox)

    def are_free(self) -> bool:
        return not ports.is_listening(self.pages) and not ports.is_listening(self.inbox)
