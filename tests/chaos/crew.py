"""The schedulers of a battle: the real `scheduler.py`, in real processes that die by the dozen."""

import os
import random
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from course.processes.children import end_with
from tests import wrong
from tests.forked import processes


@dataclass
class Crew:
    """So many schedulers; whoever falls is replaced at once."""

    environment: Mapping[str, str]
    printed: Path
    size: int
    dice: random.Random
    wrong_ledger: str | None = None
    killed: int = 0
    slept: int = 0
    fallen: list[int | None] = field(default_factory=list)  # how those ended whom nobody killed
    _members: list[BaseProcess] = field(default_factory=list)

    def start(self) -> None:
        """As a service manager does: whoever is missing is started again."""
        self._bury()
        while len(self._members) < self.size:
            self._hire()

    def kill_one(self) -> None:
        """SIGKILL, at whatever it does, and a new one in its place."""
        self._kill([self._any()])

    def kill_all(self) -> None:
        """As when the power fails."""
        self._kill(list(self._members))

    def _kill(self, victims: list[BaseProcess]) -> None:
        for victim in victims:
            victim.kill()
        for victim in victims:
            victim.join()
            if victim.exitcode == -signal.SIGKILL:
                self._members.remove(victim)
                self.killed += 1
        self.start()

    def put_to_sleep(self, seconds: float) -> None:
        """SIGSTOP to all but one, and SIGCONT so much later: machines that were suspended."""
        sleepers = self.dice.sample(self._members, self.size - 1)
        _signal(sleepers, signal.SIGSTOP)
        time.sleep(seconds)
        _signal(sleepers, signal.SIGCONT)
        self.slept += len(sleepers)
        self.start()

    def end(self) -> list[int | None]:
        """SIGTERM to all; their exit statuses, None for whoever did not hear."""
        self._bury()
        for member in self._members:
            member.terminate()
        for member in self._members:
            member.join(20)
        statuses = [member.exitcode for member in self._members]
        for member in self._members:
            member.kill()
            member.join()
        self._members.clear()
        return statuses

    def _bury(self) -> None:
        for member in [member for member in self._members if not member.is_alive()]:
            self.fallen.append(member.exitcode)
            self._members.remove(member)

    def _any(self) -> BaseProcess:
        return self.dice.choice(self._members)

    def _hire(self) -> None:
        arguments = (dict(self.environment), self.printed, self.wrong_ledger)
        process = processes.Process(target=_work, args=arguments)
        process.start()
        self._members.append(process)


def _signal(members: list[BaseProcess], number: signal.Signals) -> None:
    for member in members:
        assert member.pid
        with suppress(ProcessLookupError):  # it fell; see `start`
            os.kill(member.pid, number)


def _work(environment: dict[str, str], printed: Path, wrong_ledger: str | None) -> None:
    end_with(os.getppid())
    os.environ.update(environment)
    paper = os.open(printed, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(paper, stream.fileno())
    if wrong_ledger:
        wrong.install(wrong_ledger)
    import scheduler

    scheduler.main(announced=True)
