"""Throughput: from due rows in the ledger to accepted and settled ones, by the real tick over real
HTTP; beside it the plain loop, and the bare limit, in turns."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, select

from course import delivery
from course.db import Database
from course.models import Delivery
from course.states import DeliveryState
from tests.bench import bare, learners, loop, provider
from tests.bench.figures import Figure, Rival
from tests.bench.installed import KINDS, NAMES, Opener, build, opened
from tests.bench.loop import Lesson
from tests.bench.plan import Plan, Say
from tests.bench.raw import connected

LATENCY_SECONDS = 0.05
# After an outage: what waited for over an hour is looked at once more, whether it is night there.
OUTAGE = timedelta(hours=3)
# By database and latency in ms: what this is built for.
_GOALS = {("sqlite", 0): "≥ 30 ×", ("sqlite", 50): "≥ 400 ×", ("postgresql", 0): "≥ 18 ×"}
_GOAL_OF_BARE = "≥ 60%"


def measure(plan: Plan, folder: Path, say: Say) -> Iterator[Figure]:
    for kind in plan.databases:
        place = folder / kind
        place.mkdir()
        with KINDS[kind](place) as opener, opener("template") as url:
            say(f"{NAMES[kind]}: {plan.size:,} mails become due")
            build(place, url, plan.size)
            with opened(place, url) as made:
                learners.plan_all(made.database)
            yield from _figures(kind, plan, _Race(plan, place, opener).run(NAMES[kind], say))


def _figures(kind: str, plan: Plan, rates: dict[str, list[float]]) -> Iterator[Figure]:
    for latency in (0, 50):
        yield Figure(
            "pipeline",
            f"{NAMES[kind]}, API {latency} ms",
            "/s",
            rates[f"tick {latency}"],
            Rival("plain loop", rates[f"loop {latency}"]),
            goal=_GOALS.get((kind, latency), ""),
        )
    yield Figure(
        "pipeline",
        f"{NAMES[kind]}, hours late",
        "/s",
        rates["tick late"],
        Rival("plain loop", rates["loop 0"]),
    )
    yield Figure(
        "pipeline",
        f"{NAMES[kind]}, of the limit",
        "/s",
        rates["tick 0"],
        Rival("limit", rates["bare"]),
        is_share=True,
        goal=_GOAL_OF_BARE,
    )


@dataclass(frozen=True)
class _Race:
    """Every runner once in each round, each on a copy of the same database."""

    plan: Plan
    folder: Path
    opener: Opener

    def run(self, name: str, say: Say) -> dict[str, list[float]]:
        rates: dict[str, list[float]] = defaultdict(list)
        body = self._record()
        lesson = Lesson.of(body)
        with provider.running() as near, provider.running(LATENCY_SECONDS) as far:
            for number in range(self.plan.rounds):
                said = f"{name}, round {number + 1} of {self.plan.rounds}"
                say(f"{said}: the plain loop")
                rates["loop 0"].append(self._loop(lesson, near))
                rates["loop 50"].append(self._loop(lesson, far))
                say(f"{said}: the bare limit")
                rates["bare"].append(self._bare(body, near))
                say(f"{said}: {self.plan.size:,} mails, no latency")
                rates["tick 0"].append(self._tick(near))
                say(f"{said}: {self.plan.size:,} mails, 50 ms a call")
                rates["tick 50"].append(self._tick(far))
                say(f"{said}: {self.plan.size:,} mails, hours late")
                rates["tick late"].append(self._tick(near, OUTAGE))
        return rates

    def _record(self) -> bytes:
        """The body of a full request of the product; on the way everything is compiled once."""
        record = self.folder / "request.json"
        with (
            provider.running(record=record) as host,
            self._copy() as url,
            opened(self.folder, url, host) as made,
        ):
            delivery.tick(made.office, stop=record.exists)
        return record.read_bytes()

    def _tick(self, host: str, late: timedelta = timedelta()) -> float:
        with self._copy() as url, opened(self.folder, url, host) as made:
            made.set_time(learners.NOW + late)
            office = made.office
            began = time.perf_counter()
            report = delivery.tick(office)
            elapsed = time.perf_counter() - began
            assert accepted(made.database) == 2 * self.plan.size, report
        return self.plan.size / elapsed

    def _bare(self, body: bytes, host: str) -> float:
        with self._copy() as url:
            with connected(url) as raw:
                rate = bare.send_all(raw, body, host)
            with opened(self.folder, url) as made:
                assert accepted(made.database) == 2 * self.plan.size
        return rate

    def _loop(self, lesson: Lesson, host: str) -> float:
        with self.opener("loop") as url, connected(url) as raw:
            loop.prepare(raw)
            return loop.send_for(self.plan.seconds, raw, lesson, host)

    def _copy(self) -> AbstractContextManager[str]:
        return self.opener("copy", "template")


def accepted(database: Database) -> int:
    """How many rows are settled well; each learner's first lesson was so from the beginning."""
    with database.reading() as session:
        taken = Delivery.state == DeliveryState.ACCEPTED
        return session.scalar(select(func.count(Delivery.id)).where(taken)) or 0
