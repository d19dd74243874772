"""The real server, as `minicourse web` runs it: events and sign-ups a second, beside the same work
done in this process."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from course import (
    budgets,
    cohorts,
    enrollment,
    events,
    form_tokens,
    installation,
    tallies,
    webhooks,
)
from course.enrollment import Person
from course.form_tokens import Purpose
from course.models import Event, Subscriber
from course.processes import ports
from tests.bench.bodies import Body, bodies
from tests.bench.figures import Figure, Rival
from tests.bench.installed import (
    HASH_KEY,
    SECRET_KEY,
    SIGN_UPS,
    Installed,
    Opener,
    build,
    opened,
    sqlite,
)
from tests.bench.learners import COURSE, NOW
from tests.bench.plan import Plan, Say
from tests.e2e.processes import eventually, running
from tests.world import HERE

_HOOKS = 2  # SendGrid posts several bodies at once
_VISITORS = 4
_LIMITS = budgets.limits_for(SIGN_UPS.count, SIGN_UPS.window)
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def measure(plan: Plan, folder: Path, say: Say) -> Iterator[Figure]:
    with sqlite(folder) as opener, opener("template") as url:
        say(f"web: {plan.size:,} events are written and signed")
        build(folder, url, max(plan.size // 2, 1))
        with opened(folder, url) as made:
            posted = bodies(made.database)
        yield from _Contest(plan, folder, opener, posted, say).figures()


@dataclass
class _Contest:
    """The server and this process in turns, each on a copy of the same database."""

    plan: Plan
    folder: Path
    opener: Opener
    bodies: Sequence[Body]
    say: Say
    numbers: Iterator[int] = field(default_factory=count)

    def figures(self) -> Iterator[Figure]:
        rounds = [self._round(number) for number in range(self.plan.rounds)]
        served, own = zip(*rounds, strict=True)
        for place, name, unit, goal in (
            (0, "webhook events", "/s", "≥ 20,000"),
            (1, "sign-ups", "/s", "≥ 60%"),
        ):
            rival = Rival("in process", [rates[place] for rates in own])
            samples = [rates[place] for rates in served]
            yield Figure("web", name, unit, samples, rival, is_share=True, goal=goal)

    def _round(self, number: int) -> tuple[tuple[float, float], tuple[float, float]]:
        said = f"web, round {number + 1} of {self.plan.rounds}"
        self.say(f"{said}: through the server")
        with self._copy() as made, _served(made):
            served = self._post_bodies(made), self._visit(made)
        self.say(f"{said}: in process")
        with self._copy() as made:
            own = self._record(made), self._sign_up(made)
        return served, own

    @contextmanager
    def _copy(self) -> Iterator[Installed]:
        pages = f"http://127.0.0.1:{ports.free_port()}"
        with (
            self.opener("copy", "template") as url,
            opened(self.folder, url, pages=pages) as made,
        ):
            yield made

    # Events ------------------------------------------------------------------------------------

    def _post_bodies(self, made: Installed) -> float:
        def post(bodies: Sequence[Body]) -> None:
            with closing(_connection(made)) as connection:
                for body in bodies:
                    path = "/webhooks/sendgrid"
                    assert _post(connection, path, body.content, body.headers) == 204

        return self._all_events(made, lambda: _at_once(_HOOKS, post, self.bodies))

    def _record(self, made: Installed) -> float:
        with made.database.reading() as session:
            ours = installation.get(session)

        def record_all() -> None:
            for body in self.bodies:
                assert webhooks.verify(
                    body.content, body.signature, body.timestamp, [ours.sandbox_public_key]
                )
                found = webhooks.parse(body.content)
                made.database.run(
                    partial(
                        events.record,
                        events=found,
                        now=NOW,
                        installation=ours.name,
                        hash_key=HASH_KEY,
                    )
                )

        return self._all_events(made, record_all)

    def _all_events(self, made: Installed, work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        elapsed = time.perf_counter() - began
        sent = sum(body.events for body in self.bodies)
        assert _count(made, Event) == sent
        return sent / elapsed

    # Sign-ups ----------------------------------------------------------------------------------

    def _visit(self, made: Installed) -> float:
        def sign_up_till(ends: float) -> None:
            with closing(_connection(made)) as connection:
                while time.perf_counter() < ends:
                    content, headers = _form(self._address(), next(self.numbers))
                    assert _post(connection, f"/c/{COURSE}/signup", content, headers) == 202

        def visit(ends: float) -> None:
            with ThreadPoolExecutor(_VISITORS) as pool:
                list(pool.map(sign_up_till, [ends] * _VISITORS))

        return self._many_sign_ups(made, visit)

    def _sign_up(self, made: Installed) -> float:
        """The statements of the same: the form's token, the budgets, the person."""

        def sign_up(session: Session) -> None:
            real, email, number = datetime.now(UTC), self._address(), next(self.numbers)
            wishes = budgets.sign_up_wishes(budgets.network_of(_network(number)), email)
            assert form_tokens.use(session, _token(), real, [SECRET_KEY])
            assert budgets.spend(session, wishes, real, HASH_KEY, _LIMITS) is None
            tallies.note(session, "taken", real)
            enrollment.sign_up(
                session,
                cohorts.find(session, cohorts.EVERGREEN),
                Person(email, "Robin", "Europe/Berlin"),
                HERE,
                NOW,
                hash_key=HASH_KEY,
                sandbox=installation.is_sandbox(session),
            )

        def sign_up_till(ends: float) -> None:
            while time.perf_counter() < ends:
                made.database.run(sign_up)

        return self._many_sign_ups(made, sign_up_till)

    def _many_sign_ups(self, made: Installed, work: Callable[[float], object]) -> float:
        before = _count(made, Subscriber)
        began = time.perf_counter()
        work(began + self.plan.seconds)
        elapsed = time.perf_counter() - began
        return (_count(made, Subscriber) - before) / elapsed

    def _address(self) -> str:
        return f"visitor.{next(self.numbers)}@example.org"


def _form(email: str, number: int) -> tuple[bytes, dict[str, str]]:
    """As a browser sends it from a page that was open for a minute, each from another network."""
    form = {"email": email, "name": "Robin", "zone": "Europe/Berlin", "token": _token()}
    return urlencode(form).encode(), _FORM | {"X-Forwarded-For": _network(number)}


def _token() -> str:
    return form_tokens.make(Purpose.FORM, datetime.now(UTC) - timedelta(minutes=1), [SECRET_KEY])


def _network(number: int) -> str:
    return f"10.{number // 256 % 256}.{number % 256}.1"


# The server ---------------------------------------------------------------------------------------


@contextmanager
def _served(made: Installed) -> Iterator[None]:
    pages, home = made.settings.public_url, made.settings.home
    port = str(ports.address_of(pages)[1])
    with running(home, "cli.py", "web", "--port", port, **made.environment):
        eventually(lambda: ports.answers(f"{pages}/healthz"))
        yield


def _connection(made: Installed) -> HTTPConnection:
    return HTTPConnection(*ports.address_of(made.settings.public_url))


def _post(connection: HTTPConnection, path: str, content: bytes, headers: dict[str, str]) -> int:
    connection.request("POST", path, content, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _at_once(number: int, work: Callable[[Sequence[Body]], None], bodies: Sequence[Body]) -> None:
    """Each takes its share."""
    with ThreadPoolExecutor(number) as pool:
        list(pool.map(work, [bodies[place::number] for place in range(number)]))


def _count(made: Installed, table: type[Event] | type[Subscriber]) -> int:
    with made.database.reading() as session:
        return session.scalar(select(func.count(table.id))) or 0
