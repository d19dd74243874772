"""The command line as a person meets it: words in, exit status and two streams out."""

import contextlib
import os
import pty
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from fcntl import ioctl

import pytest

import cli


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> Answer:
    """Run `minicourse WORDS` in this process."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["minicourse", *words])
    status: object = 0
    try:
        cli.main()
    except SystemExit as ended:
        status = ended.code
    out, err = capsys.readouterr()
    assert isinstance(status, int)
    return Answer(status, out, err)


@dataclass
class Screen:
    """What was written to a terminal, control characters and all; whole when it is closed."""

    said: bytearray = field(default_factory=bytearray)

    def __str__(self) -> str:
        return self.said.decode().replace("\r\n", "\n")


@contextlib.contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, *names: str, width: int = 80) -> Iterator[Screen]:
    """`stdout`, `stderr` or both are a pseudo-terminal, and whatever is written is kept."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    screen = Screen()

    def read() -> None:
        with contextlib.suppress(OSError):  # nobody holds the other end any more
            while some := os.read(ours, 4096):
                screen.said += some

    reader = threading.Thread(target=read)
    reader.start()
    monkeypatch.setenv("TERM", "xterm-256color")
    with monkeypatch.context() as patch, os.fdopen(theirs, "w", buffering=1) as stream:
        for name in names:
            patch.setattr(sys, name, stream)
        # A console asks the streams that the process began with, which are not these.
        patch.setenv("COLUMNS", str(width))
        yield screen
    reader.join()
    os.close(ours)
