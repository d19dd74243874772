"""A tick costs what is due, not what is enrolled: measured among a million learners."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from sqlalchemy import text

from course import delivery, planning, reach
from course.office import Office
from course.stats import chosen, deliverability, lessons, overall
from tests.bench import learners, peak, provider
from tests.bench.figures import Figure
from tests.bench.installed import KINDS, NAMES, Installed, build, opened
from tests.bench.pipeline import accepted
from tests.bench.plan import Plan, Say

_IDLE_TICKS_A_ROUND = 10
# So often the brake counts what the coming day brings.
_FORECAST_EVERY = timedelta(minutes=6)


def measure(plan: Plan, folder: Path, say: Say) -> Iterator[Figure]:
    """On the first of the databases alone: to enroll a million takes its time."""
    kind = plan.databases[0]
    with KINDS[kind](folder) as opener, opener("crowd") as url, provider.running() as host:
        say(f"{NAMES[kind]}: {plan.crowd:,} learners are enrolled")
        build(folder, url, plan.crowd)
        with opened(folder, url, host) as made:
            yield from _Crowd(plan, NAMES[kind], made, say).figures()


@dataclass
class _Crowd:
    """Learners of whom ever others become due."""

    plan: Plan
    name: str
    made: Installed
    say: Say
    were_due: int = 0

    def figures(self) -> Iterator[Figure]:
        due = min(1000, self.plan.size // 10)
        self.say(f"{self.name}: ticks in which nothing is due")
        yield self._figure(f"{self.name} database", "MB", [self._megabytes()])
        yield self._figure("idle tick", "ms", self._idle_ticks(), "≤ 5 ms")
        yield self._figure("idle tick, foreseeing", "ms", self._foreseeing_ticks())
        self.say(f"{self.name}: {due:,} become due, now and then")
        rounds = [(self._plan(due), self._tick_with(due)) for _ in range(self.plan.rounds)]
        yield self._figure(f"plan {due:,} due", "ms", [plan for plan, _ in rounds], "≤ 50 ms")
        yield self._figure(f"tick with {due:,} due", "ms", [tick for _, tick in rounds])
        self.say(f"{self.name}: {self.plan.size:,} become due at once")
        megabytes, rate = self._send_due()
        yield self._figure("planned and sent", "/s", [rate])
        yield self._figure(f"memory for {self.plan.size:,}", "MB", [megabytes], "≤ 150 MB")
        yield self._figure("stats overview", "ms", [self._ask() for _ in range(self.plan.rounds)])
        self._sum_up()
        for name, ask in (("lessons", self._funnel), ("deliverability", self._domains)):
            asked = [_milliseconds(ask) for _ in range(self.plan.rounds)]
            yield self._figure(f"stats {name}", "ms", asked)

    def _figure(self, what: str, unit: str, samples: list[float], goal: str = "") -> Figure:
        return Figure("crowd", what, unit, samples, goal=goal)

    @cached_property
    def _office(self) -> Office:
        return self.made.office

    def _tick(self) -> None:
        delivery.tick(self._office)

    def _settle(self) -> None:
        """Until nothing is left to do: what was sent makes the planner look again."""
        while delivery.tick(self._office).did_something:
            pass

    def _idle_ticks(self) -> list[float]:
        self._settle()
        return [_milliseconds(self._tick) for _ in range(_IDLE_TICKS_A_ROUND * self.plan.rounds)]

    def _foreseeing_ticks(self) -> list[float]:
        samples = []
        for number in range(1, 1 + self.plan.rounds):
            self.made.set_time(learners.NOW + number * _FORECAST_EVERY)
            samples.append(_milliseconds(self._tick))
        self.made.set_time(learners.NOW)
        return samples

    def _plan(self, due: int) -> float:
        self._become_due(due)
        database, looked_at = self.made.database, []

        def plan() -> None:
            found = database.run(lambda session: planning.plan(session, learners.NOW))
            looked_at.append(found)

        took = _milliseconds(plan)
        assert looked_at == [due]
        self._settle()
        return took

    def _tick_with(self, due: int) -> float:
        self._become_due(due)
        took = _milliseconds(self._tick)
        self._settle()
        assert accepted(self.made.database) == self.plan.crowd + self.were_due
        return took

    def _become_due(self, count: int) -> None:
        learners.make_due(self.made.database, self.were_due + 1, self.were_due + count)
        self.were_due += count

    def _ask(self) -> float:
        found = []

        def ask() -> None:
            with self.made.database.reading() as session:
                found.extend(overall(session).courses)

        took = _milliseconds(ask)
        assert sum(one.sent for one in found) == self.plan.crowd + self.were_due
        return took

    def _sum_up(self) -> None:
        """As the caretaker does it between ticks."""
        while self.made.database.run(reach.fold):
            pass

    def _funnel(self) -> None:
        with self.made.database.reading() as session:
            assert lessons.funnel(session, chosen(session, None))[0].sent == self.plan.crowd

    def _domains(self) -> None:
        with self.made.database.reading() as session:
            live, now = chosen(session, None), learners.NOW + timedelta(days=1)
            assert deliverability.read(session, live, now, 30).total.sent >= self.plan.crowd

    def _send_due(self) -> tuple[float, float]:
        """By `minicourse send due`, a process of its own: its peak in MB, and mails a second from
        its start to its end."""
        self._become_due(self.plan.size)
        began = time.perf_counter()
        megabytes = peak.of(self.made, "send", "due")
        elapsed = time.perf_counter() - began
        assert accepted(self.made.database) == self.plan.crowd + self.were_due
        return megabytes, self.plan.size / elapsed

    def _megabytes(self) -> float:
        size = (
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            if self.made.database.is_sqlite
            else "SELECT pg_database_size(current_database())"
        )
        with self.made.database.reading() as session:
            return float(session.scalar(text(size)) or 0) / 1e6


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
