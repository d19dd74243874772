"""The schedulers and workers of a battle: the real `scheduler.py` and the real `minicourse worker`,
in real processes that die by the dozen."""

import os
import random
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path

from course.processes.children import end_with
from tests import wrong
from tests.forked import processes

_SCHEDULER, _WORKER = "scheduler", "worker"


@dataclass
class Crew:
    """So many schedulers, and workers; whoever falls is replaced at once."""

    environment: Mapping[str, str]
    printed: Path
    size: int
    dice: random.Random
    wrong_ledger: str | None = None
    workers: int = 0
    killed: int = 0
    slept: int = 0
    fallen: list[int | None] = field(default_factory=list)  # how those ended whom nobody killed
    _members: list[BaseProcess] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def start(self) -> None:
        """As a service manager does: whoever is missing is started again."""
        self._bury()
        for role, size in ((_SCHEDULER, self.size), (_WORKER, self.workers)):
            for _ in range(size - sum(member.name == role for member in self._members)):
                self._hire(role)

    def kill_one(self) -> None:
        """SIGKILL, at whatever it does, and a new one in its place."""
        self._kill([self._any()])

    def kill_all(self) -> None:
        """As when the power fails."""
        self._kill(list(self._members))

    def _kill(self, victims: list[BaseProcess]) -> None:
        for victim in victims:
            # A worker's children may be left to themselves, or go with it; or one goes alone.
            family = _children(victim)
            if family and self.dice.random() < 1 / 3:
                _signal(family, signal.SIGKILL)
                self.killed += 1
                continue
            victim.kill()
            if self.dice.random() < 1 / 2:
                _signal(family, signal.SIGKILL)
        for victim in victims:
            if victim.is_alive() and victim.name == _WORKER:
                victim.join(0.05)
                if victim.is_alive():
                    continue
            victim.join()
            if victim.exitcode == -signal.SIGKILL:
                self._members.remove(victim)
                self.killed += 1
        self.start()

    def put_to_sleep(self, seconds: float) -> None:
        """SIGSTOP to all but one, and SIGCONT so much later: machines that were suspended."""
        sleepers = self.dice.sample(self._members, len(self._members) - 1)
        asleep = [pid for one in sleepers for pid in (one.pid, *_children(one)) if pid]
        _signal(asleep, signal.SIGSTOP)
        time.sleep(seconds)
        _signal(asleep, signal.SIGCONT)
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

    def _hire(self, role: str) -> None:
        flags = ("--concurrency", "1", "--hostname", f"w{next(self._numbers)}@%h")
        arguments = (dict(self.environment), self.printed, self.wrong_ledger, role, flags)
        process = processes.Process(target=_work, args=arguments, name=role)
        process.start()
        self._members.append(process)


def _children(member: BaseProcess) -> list[int]:
    with suppress(OSError):
        found = Path(f"/proc/{member.pid}/task/{member.pid}/children").read_text()
        return [int(number) for number in found.split()]
    return []


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # it fell; see `start`
            os.kill(pid, number)


def _work(
    environment: dict[str, str],
    printed: Path,
    wrong_ledger: str | None,
    role: str,
    flags: Sequence[str],
) -> None:
    end_with(os.getppid())
    os.environ.update(environment)
    paper = os.open(printed, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(paper, stream.fileno())
    if wrong_ledger:
        wrong.install(wrong_ledger)
    if role == _WORKER:
        from course import fleet

        fleet.run_worker(flags)
        return
    import scheduler

    scheduler.main(announced=True)
