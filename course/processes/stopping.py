"""How a process learns that it should end, without being cut off in what it does."""

import os
import select
import signal
from types import FrameType
from typing import Protocol


class Stop(Protocol):
    """Asked between two pieces of work: has somebody said that it is enough?"""

    def __call__(self) -> bool: ...

    def wait(self, seconds: float) -> bool:
        """Sleep; ends early, and is true, as soon as somebody says so."""
        ...


class SignalledStop:
    """Set by SIGTERM or SIGINT, once and for all. Make it in the main thread.

    The handler only notes the wish; the byte that Python writes to the wakeup pipe ends a wait.
    (An Event may not be set here: the handler can run while its lock is held by that very wait.)
    """

    def __init__(self) -> None:
        self._asked = False
        self._ear, mouth = os.pipe()  # both stay open as long as the process lives
        os.set_blocking(mouth, False)
        signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    def __call__(self) -> bool:
        return self._asked

    def wait(self, seconds: float) -> bool:
        if not self._asked:
            select.select([self._ear], [], [], max(seconds, 0))
        return self._asked
