"""A fleet: the same mails by one, two and four of Celery's workers, where each call to the provider
takes a tenth of a second."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import func, select

from course.models import Request
from tests import redis
from tests.bench import learners, provider
from tests.bench.figures import Figure, Rival
from tests.bench.installed import KINDS, Installed, build, opened
from tests.bench.pipeline import accepted
from tests.bench.plan import Plan, Say
from tests.e2e.processes import running
from tests.redis import Redis

LATENCY_SECONDS = 0.1
WORKERS = (1, 2, 4)
_PATIENCE_SECONDS = 600.0


def measure(plan: Plan, folder: Path, say: Say) -> Iterator[Figure]:
    """PostgreSQL alone: a fleet has no other."""
    if "postgresql" not in plan.databases or redis.binary() is None:
        return
    with KINDS["postgresql"](folder) as opener, opener("template") as url:
        say(f"PostgreSQL: {plan.size:,} mails become due")
        build(folder, url, plan.size)
        with opened(folder, url) as made:
            learners.plan_all(made.database)
        rates: dict[int, list[float]] = {number: [] for number in WORKERS}
        with provider.running(LATENCY_SECONDS) as host:
            for _ in range(plan.rounds):
                for number in WORKERS:
                    say(f"PostgreSQL, {plan.size:,} mails, 100 ms a call, {number} workers")
                    with opener("copy", "template") as copy, opened(folder, copy, host) as made:
                        rates[number].append(_send(made, folder, number, plan.size))
    for number in WORKERS:
        rival = None if number == 1 else Rival("one worker", rates[1])
        name = "1 worker" if number == 1 else f"{number} workers"
        yield Figure("fleet", f"{name}, API 100 ms", "/s", rates[number], rival)


def _send(made: Installed, folder: Path, workers: int, size: int) -> float:
    """Mails a second, from the first request's line to the last answer, as the ledger has them."""
    with made.database.reading() as session:
        before = session.scalar(select(func.max(Request.id))) or 0
    with redis.running(folder) as broker, ExitStack() as stack:
        variables = made.environment | {"BROKER_URL": broker.url}
        home = made.settings.home
        for number in range(workers):
            words = ["cli.py", "worker", "--concurrency", "1", f"--hostname=w{number}@%h"]
            stack.enter_context(running(home, *words, **variables))
        _wait_until(lambda: _listening(broker) == workers)
        stack.enter_context(running(home, "scheduler.py", **variables))
        _wait_until(lambda: accepted(made.database) == 2 * size)
    with made.database.reading() as session:
        began, ended = session.execute(
            select(func.min(Request.sent_at), func.max(Request.answered_at)).where(
                Request.id > before
            )
        ).one()
    return size / (ended - began).total_seconds()


def _listening(broker: Redis) -> int:
    return sum(client["cmd"] == "brpop" for client in broker.client().client_list())


def _wait_until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < ends, "the fleet does not come to an end"
        time.sleep(0.1)
