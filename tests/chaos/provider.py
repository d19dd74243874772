"""The provider of a battle, in a process of its own: mostly well, now and then in a bad mood."""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from course.clock import Clock
from course.processes.children import end_with
from tests.forked import processes
from tests.standin import Fault, Log, StandIn, serving

# How many requests of a hundred are treated like that. While it is slow, whoever asked may die.
MOOD = {
    Fault.NONE: 51,
    Fault.SLOW: 30,
    Fault.BUSY: 7,
    Fault.DEAF: 2,
    Fault.AWAY: 3,
    Fault.BROKEN: 3,
    Fault.SILENT: 3,
    Fault.LATE: 1,
}
_START_SECONDS = 20


class Provider:
    """Its process, from outside."""

    def __init__(self, process: BaseProcess, url: str, log: Path) -> None:
        self._process = process
        self.url = url
        self.log = log

    def calm_down(self) -> None:
        """From now on it takes everything and says so."""
        assert self._process.pid
        os.kill(self._process.pid, signal.SIGUSR1)

    def end(self) -> None:
        self._process.kill()
        self._process.join()


@contextmanager
def running(folder: Path, clock: Clock, seed: int, late_seconds: float) -> Iterator[Provider]:
    ear, mouth = processes.Pipe(duplex=False)
    log = folder / "provider.log"
    process = processes.Process(target=_run, args=(mouth, log, clock, seed, late_seconds))
    process.start()
    assert ear.poll(_START_SECONDS), "the provider does not start"
    provider = Provider(process, ear.recv(), log)
    try:
        yield provider
    finally:
        provider.end()


def _run(mouth: Connection, log: Path, clock: Clock, seed: int, late: float) -> None:
    dice = random.Random(seed)
    is_calm = False

    def choose() -> Fault:
        if is_calm:
            return Fault.NONE
        (fault,) = dice.choices(list(MOOD), MOOD.values())
        return fault

    def calm_down(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_calm
        is_calm = True

    signal.signal(signal.SIGUSR1, calm_down)
    end_with(os.getppid())
    standin = StandIn(Log(log), choose, clock, slow_seconds=late / 8, late_seconds=late)
    with serving(standin):
        mouth.send(standin.url)
        while True:
            signal.pause()
