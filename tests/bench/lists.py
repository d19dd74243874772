"""Lists in and out: as many rows as the crowd has people, by the commands themselves."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select, update

from course.db import Database
from course.models import Enrollment, Installation
from tests.bench import learners, peak
from tests.bench.figures import Figure
from tests.bench.installed import KINDS, Installed, build, opened
from tests.bench.plan import Plan, Say

_PAUSE = 0.05


def measure(plan: Plan, folder: Path, say: Say) -> Iterator[Figure]:
    """On the first of the databases alone, once: a million rows take their time."""
    with KINDS[plan.databases[0]](folder) as opener, opener("lists") as url:
        build(folder, url, 1)
        with opened(folder, url) as made:
            yield from _Lists(plan, folder, made, say).figures()


@dataclass
class _Lists:
    plan: Plan
    folder: Path
    made: Installed
    say: Say

    def figures(self) -> Iterator[Figure]:
        rows, file = self.plan.crowd, self.folder / "people.csv"
        self._write(file)
        consent = ("--confirmed", "--source", "a benchmark")
        words = ("subscriber", "import", str(file), "--cohort", "evergreen", *consent)
        self.say(f"a list of {rows:,} is looked at")
        took, _ = _timed(lambda: peak.of(self.made, *words, "--dry-run"))
        yield self._figure("preview of a list", "rows/s", rows / took)
        self.say(f"{rows:,} are taken in, while another writes")
        with _Other(self.made.database.url) as other:
            took, megabytes = _timed(lambda: peak.of(self.made, *words, "--yes"))
        assert self._active() == rows + 1
        yield self._figure("import of a list", "rows/s", rows / took)
        yield self._figure(f"memory for {rows:,} rows", "MB", megabytes, "≤ 150 MB")
        yield self._figure("99 of 100 waits of another", "ms", other.wait * 1000, "≤ 100 ms")
        self.say(f"{rows:,} are written out")
        out = self.folder / "out.csv"
        export = ("subscriber", "export", "--output", str(out))
        took, megabytes = _timed(lambda: peak.of(self.made, *export))
        with out.open() as lines:
            assert sum(1 for _ in lines) == rows + 2
        yield self._figure("export of a list", "rows/s", rows / took)
        yield self._figure("memory for the export", "MB", megabytes, "≤ 150 MB")

    def _figure(self, what: str, unit: str, value: float, goal: str = "") -> Figure:
        return Figure("import", what, unit, [value], goal=goal)

    def _write(self, file: Path) -> None:
        with file.open("w") as target:
            target.write("email,name,zone,tags\n")
            for number in range(self.plan.crowd):
                zone = learners.ZONES[number % len(learners.ZONES)] or ""
                target.write(f"reader.{number}@example.com,Robin {number},{zone},list\n")

    def _active(self) -> int:
        with self.made.database.reading() as session:
            return session.scalar(select(func.count(Enrollment.id))) or 0


class _Other:
    """Writes a little every so often, as a visitor's sign-up would, and notes its waits."""

    def __init__(self, url: str) -> None:
        self._waits: list[float] = []
        self._url, self._over = url, threading.Event()

    def __enter__(self) -> "_Other":
        self._pool = ThreadPoolExecutor(1)
        self._running = self._pool.submit(self._write)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._running.result()
        self._pool.shutdown()

    @property
    def wait(self) -> float:
        """As long as all but one in a hundred at the most."""
        return sorted(self._waits)[len(self._waits) * 99 // 100]

    def _write(self) -> None:
        database = Database(self._url)
        while not self._over.wait(_PAUSE):
            began = time.perf_counter()
            with database.writing() as session:
                session.connection()  # now it may
                self._waits.append(time.perf_counter() - began)
                session.execute(update(Installation).values(last_event_at=learners.NOW))
        database.dispose()


def _timed(work: Callable[[], float]) -> tuple[float, float]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found
