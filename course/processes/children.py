"""Child processes that cannot outlive this one, and their orderly end."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

from course.errors import RefusedError
from course.settings import SOURCE_ROOT

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_START_SECONDS = 30.0
# A scheduler may be in the middle of a call, which has a deadline of its own.
_END_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Child:
    """One of our own commands, running."""

    name: str
    process: subprocess.Popen[bytes]

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def ending(self) -> str:
        """How it ended, in a word or two."""
        code = self.process.wait()
        return f"exit {code}" if code >= 0 else signal.Signals(-code).name


@dataclass
class Children:
    """Started in order; ended, when the block is left, in the opposite order."""

    environment: Mapping[str, str]
    _running: list[Child] = field(default_factory=list)

    def start(self, *arguments: str) -> Child:
        """Run `minicourse ARGUMENTS`.

        It gets a process group of its own: Ctrl-C in a terminal reaches whole groups, and the
        order in which children end is their parent's.
        """
        process = subprocess.Popen(
            [sys.executable, str(SOURCE_ROOT / "cli.py"), *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=partial(end_with, os.getpid()),
        )
        child = Child(arguments[0], process)
        self._running.append(child)
        return child

    def ended(self) -> Child | None:
        """One that has ended by itself."""
        return next((child for child in self._running if child.has_ended), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in reversed(self._running):
            _end(child)


def end_with(parent: int) -> None:
    """From now on this process gets SIGTERM when `parent` ends, even by SIGKILL (on Linux).

    Without it a server that lost its parent would keep its port, and its old code, for ever.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before it could be watched
        os._exit(1)


def wait_for(
    child: Child, is_ready: Callable[[], bool], stop: Callable[[], bool] = lambda: False
) -> None:
    """Return once a started child is ready; RefusedError when it is killed or takes too long.

    A child that fails has printed why, and its word is the last.
    """
    deadline = time.monotonic() + _START_SECONDS
    while not stop() and not is_ready():
        if child.has_ended:
            if child.process.returncode == 1:
                sys.exit(1)
            raise RefusedError(f"`minicourse {child.name}` did not start ({child.ending}).")
        if time.monotonic() > deadline:
            raise RefusedError(f"`minicourse {child.name}` is not ready after half a minute.")
        time.sleep(0.02)


def _end(child: Child) -> None:
    """Gently; by force only where that is not heard."""
    child.process.terminate()
    try:
        child.process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        child.process.kill()
        child.process.wait()
