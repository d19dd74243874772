"""Anything in any order: people come and go, workers die, answers get lost, events come twice, the
clock jumps, the course is edited. The promise holds after each step."""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import URL, select, update

from course import (
    courses,
    enrollment,
    events,
    holds,
    installation,
    ledger,
    planning,
    resolving,
    retries,
    rollups,
)
from course.answers import Answer, Verdict
from course.db import Database, migrate, real_now
from course.mailer import Outgoing
from course.models import Cohort, Enrollment
from course.resolving import Order, Which
from course.settings import Settings
from course.sources import Source
from course.sources import read as read_source
from course.states import (
    CohortState,
    DeliveryState,
    EnrollmentState,
    EventKind,
    HoldKind,
    HoldScope,
)
from course.states import DeliveryState as S
from course.states import SuppressionReason as Why
from course.tokens import new_token
from course.webhooks import ProviderEvent
from tests import checker, postgres, realtime
from tests.standin import Taken
from tests.world import HERE, TAKEN, HandClock, Provider, World, found, make_home

PEOPLE = [f"{name}@example.org" for name in ("ada", "bob", "cyd")]
SLUG = "job-search"
LEASE = timedelta(minutes=1)
DAY = timedelta(days=1)

# What the provider does with a request: does it take it, and what does the sender hear?
MOODS: Mapping[str, tuple[bool, Answer]] = {
    "takes": (True, TAKEN),
    "takes, but is not heard": (True, Answer(Verdict.UNKNOWN, detail="TimeoutError")),
    "is away": (False, Answer(Verdict.UNKNOWN, 503, detail="503 away")),
    "is busy": (False, Answer(Verdict.NOT_TAKEN, 429, detail="429 busy")),
    "minds something": (False, Answer(Verdict.BAD_REQUEST, 400, detail="400")),
    "minds the first": (False, Answer(Verdict.BAD_REQUEST, 400, detail="400", bad_rows=(0,))),
    "refuses the key": (False, Answer(Verdict.KEY_REFUSED, 401, detail="401")),
}

# What may be told of a mail, and whether its person is gone with it.
STORIES: Mapping[str, tuple[EventKind, Why | None]] = {
    "processed": (EventKind.PROCESSED, None),
    "delivered": (EventKind.DELIVERED, None),
    "deferred": (EventKind.DEFERRED, None),
    "bounced": (EventKind.BOUNCED, Why.BOUNCED),
    "complained": (EventKind.COMPLAINED, Why.COMPLAINED),
    "unsubscribed": (EventKind.UNSUBSCRIBED, Why.UNSUBSCRIBED),
}


@dataclass
class Witness(Provider):
    """Takes or not as its mood says, and knows when it took what."""

    clock: HandClock = field(default_factory=HandClock)
    mood: str = "takes"
    taken: list[Taken] = field(default_factory=list)

    def send(self, outgoing: Outgoing, real: datetime) -> Answer:
        takes, answer = MOODS[self.mood]
        self.requests.append(outgoing)
        if takes:
            people = outgoing.personalizations
            names = [person.custom_args["minicourse_delivery"] for person in people]
            self.take(int(name.rpartition("-")[2]) for name in names)
        return answer

    def take(self, ids: Iterator[int]) -> None:
        number = len(self.taken)
        self.taken += [Taken(delivery_id, self.clock.now(), number) for delivery_id in ids]


@dataclass(frozen=True)
class Claim:
    """What a worker of our own holds."""

    token: str
    revision_id: int
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """Its request, on the way: taken or not, the answer is not there yet."""

    token: str
    revision_id: int
    crossed: ledger.Crossed
    is_taken: bool


REFUSALS = {"is busy", "is that the first is bad", "is that something is bad"}
ANSWERS = {"is taken", "is lost", *REFUSALS}


class Anything(RuleBasedStateMachine):
    """Its world is made anew for each example."""

    new_world: Callable[[], AbstractContextManager[World]]

    enrollments = Bundle("enrollments")
    claims = Bundle("claims")
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.world = self._stack.enter_context(type(self).new_world())
        self.provider = Witness(clock=self.world.clock)
        self.world.provider = self.provider
        self.left: dict[int, set[int]] = {}  # who has left, and what had crossed by then
        self.ordered: set[int] = set()
        self.held = False
        self.source = read_source(self.world.settings.home, SLUG)
        self.ledger = self.look()  # as the last step left it

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.all_ends_well()
        finally:
            self._stack.close()

    def has(self, *states: DeliveryState) -> bool:
        return any(row.state in states for row in self.ledger.rows.values())

    # People ------------------------------------------------------------------------------------

    @initialize(target=enrollments)
    def two_begin(self) -> object:
        begun = [self.join(email) for email in PEOPLE[:2]]
        self.plan()
        return multiple(*begun)

    @rule(target=enrollments, email=st.sampled_from(PEOPLE))
    def sign_up(self, email: str) -> int:
        return self.world.sign_up(email)

    @rule(enrollment_id=enrollments)
    def confirm(self, enrollment_id: int) -> None:
        self.world.confirm(enrollment_id)

    @rule(target=enrollments, email=st.sampled_from(PEOPLE))
    def join(self, email: str) -> int:
        enrollment_id = self.world.sign_up(email)
        self.world.confirm(enrollment_id)
        return enrollment_id

    @rule(enrollment_id=enrollments, scope=st.sampled_from(enrollment.Scope))
    def unsubscribe(self, enrollment_id: int, scope: enrollment.Scope) -> None:
        self.world.leave(enrollment_id, scope)
        self.note_who_left()

    @precondition(lambda self: self.left)
    @rule(enrollment_id=enrollments)
    def undo(self, enrollment_id: int) -> None:
        with self.world.database.writing() as session:
            row = session.get_one(Enrollment, enrollment_id)
            if enrollment.undo_unsubscribe(session, row, HERE, self.world.clock.now()):
                del self.left[enrollment_id]

    def note_who_left(self) -> None:
        """What was taken until now had crossed before; whatever follows had not."""
        with self.world.database.reading() as session:
            gone = session.scalars(
                select(Enrollment.id).where(Enrollment.state == EnrollmentState.CANCELLED)
            )
            for enrollment_id in gone:
                taken = {mail.delivery_id for mail in self.provider.taken}
                self.left.setdefault(enrollment_id, taken)

    # A scheduler -------------------------------------------------------------------------------

    @rule(mood=st.sampled_from(sorted(MOODS)))
    def tick(self, mood: str) -> None:
        self.provider.mood = mood
        self.world.tick()

    @rule()
    def tick_kindly(self) -> None:
        self.tick("takes")

    # Another worker, whose steps stand apart -----------------------------------------------------

    @rule()
    def plan(self) -> None:
        with self.world.database.writing() as session:
            planning.plan(session, self.world.clock.now())

    @rule(target=claims, limit=st.integers(1, 3))
    def claim(self, limit: int) -> object:
        token = new_token()
        with self.world.database.writing() as session:
            real, now = real_now(session), self.world.clock.now()
            rows = ledger.claim(session, token, limit, now=now, real=real, lease=LEASE)
        if not rows:
            return multiple()
        return Claim(token, rows[0].revision_id, tuple(row.id for row in rows))

    @rule(target=calls, claim=consumes(claims), is_taken=st.booleans())
    def cross(self, claim: Claim, is_taken: bool) -> object:
        """The bytes follow the line at once, or never: a process that slept sends none."""
        with self.world.database.writing() as session:
            crossed = ledger.cross(
                session,
                claim.ids,
                claim.token,
                revision_id=claim.revision_id,
                now=self.world.clock.now(),
                real=real_now(session),
            )
        if crossed is None:
            return multiple()
        if is_taken:
            self.provider.take(iter(sorted(crossed.ids)))
        return Call(claim.token, claim.revision_id, crossed, is_taken)

    @rule(target=calls, limit=st.integers(1, 3), is_taken=st.booleans())
    def call(self, limit: int, is_taken: bool) -> object:
        """All of it without a pause."""
        self.plan()
        claim = self.claim(limit)
        return self.cross(claim, is_taken) if isinstance(claim, Claim) else multiple()

    @rule(target=claims, call=consumes(calls), how=st.sampled_from(sorted(ANSWERS)))
    def answer(self, call: Call, how: str) -> object:
        """A worker that died is one whose answer never comes."""
        if call.is_taken and how in REFUSALS:
            how = "is taken"
        now, ids, token = self.world.clock.now(), sorted(call.crossed.ids), call.token
        with self.world.database.writing() as session:
            real = real_now(session)
            match how:
                case "is taken" if call.is_taken:
                    ledger.accept(session, call.crossed, now)
                case "is lost":
                    ledger.doubt(session, ids, token, "no answer", now)
                case "is that the first is bad":
                    ledger.fail(session, ids[:1], token, "bad", now)
                    ledger.give_back(session, ids[1:], token)
                case "is that something is bad":
                    ledger.reclaim(session, ids, token, real=real, lease=LEASE)
                    return Claim(token, call.revision_id, tuple(ids))
                case _:
                    ledger.give_back(session, ids, token, retry_at=real + LEASE)
        return multiple()

    @precondition(lambda self: self.has(S.CLAIMED, S.SENDING))
    @rule()
    def reap(self) -> None:
        self.leases_end()
        with self.world.database.writing() as session:
            ledger.reap(session, now=self.world.clock.now(), real=real_now(session), lease=LEASE)

    # Time --------------------------------------------------------------------------------------

    @rule(hours=st.sampled_from([0.2, 3, 24, 24, 24, 80, -5, -30]))
    def course_time_jumps(self, hours: float) -> None:
        self.world.pass_time(hours=hours)

    @precondition(lambda self: self.has(S.PENDING, S.CLAIMED, S.SENDING))
    @rule()
    def leases_end(self) -> None:
        with self.world.database.writing() as session:
            realtime.let_pass(session, timedelta(hours=2))

    # The provider's events -----------------------------------------------------------------------

    @precondition(lambda self: self.provider.taken)
    @rule(
        which=st.lists(st.integers(0, 1000), min_size=1, max_size=4),
        story=st.sampled_from(["processed", "delivered", *sorted(STORIES)]),
    )
    def events_come(self, which: list[int], story: str) -> None:
        """Late, in any order, and some of them twice in one body."""
        mails = [self.provider.taken[number % len(self.provider.taken)] for number in which]
        self.tell(mails, story)
        self.note_who_left()

    def tell(self, mails: list[Taken], story: str) -> None:
        kind, suppression = STORIES[story]
        with self.world.database.writing() as session:
            name = installation.get(session).name
            told = [
                ProviderEvent(kind, mail.at, f"{name}-{mail.delivery_id}", suppression=suppression)
                for mail in mails
            ]
            now, key = self.world.clock.now(), self.world.hash_key
            events.record(session, told, now, installation=name, hash_key=key)

    # The author and the operator -----------------------------------------------------------------

    @rule(state=st.sampled_from([CohortState.PAUSED, CohortState.CLOSED, CohortState.OPEN]))
    def set_cohort(self, state: CohortState) -> None:
        with self.world.database.writing() as session:
            session.execute(update(Cohort).values(state=state))
            # Whoever was looked at during a pause is not looked at again by itself.
            learners = select(Enrollment.id)
            ledger.look_again(session, list(session.scalars(learners)), self.world.clock.now())

    @rule(lesson=st.sampled_from([None, "welcome", "network"]))
    def hold(self, lesson: str | None) -> None:
        scope = holds.Scope()
        if lesson:
            scope = holds.Scope(HoldScope.LESSON, course_id=1, lesson=lesson)
        with self.world.database.writing() as session:
            now = self.world.clock.now()
            holds.place(session, scope, HoldKind.MANUAL, why="to read it", who="me", now=now)
        self.held = True

    @precondition(lambda self: self.held)
    @rule()
    def release(self) -> None:
        with self.world.database.writing() as session:
            standing = [hold.id for hold in holds.standing(session)]
            holds.release(session, standing, "me", self.world.clock.now())
        self.held = False

    @rule(has_network=st.booleans(), has_extra=st.booleans(), is_swapped=st.booleans())
    def edit_the_course(self, has_network: bool, has_extra: bool, is_swapped: bool) -> None:
        files = dict(self.source.files)
        if has_extra:
            files["02-extra.md"] = files["02-network.md"]
        if is_swapped:
            files["09-market.md"] = files.pop("03-market.md")
            files["03-network.md"] = files.pop("02-network.md")
        if not has_network:
            files.pop("03-network.md" if is_swapped else "02-network.md")
        self.apply(files)

    def apply(self, files: Mapping[str, str]) -> None:
        source = Source(SLUG, self.source.folder, files, None)
        with self.world.database.writing() as session:
            courses.apply(session, source, "me", self.world.clock.now())

    @precondition(lambda self: self.has(S.UNKNOWN))
    @rule(order=st.sampled_from(Order))
    def resolve(self, order: Order) -> None:
        now = self.world.clock.now()
        unknown = {row.id for row in self.world.rows() if row.state == S.UNKNOWN}
        with self.world.database.writing() as session:
            resolving.resolve(session, Which(now + 365 * DAY), order, who="me", why="so", now=now)
        self.ordered |= unknown

    @precondition(lambda self: self.has(S.FAILED))
    @rule()
    def retry_what_failed(self) -> None:
        before = {row.id for row in self.world.rows()}
        with self.world.database.writing() as session:
            ids = retries.to_retry(session, None)
            retries.retry(session, ids, who="me", now=self.world.clock.now())
        self.ordered |= {row.id for row in self.world.rows()} - before

    # The promise -------------------------------------------------------------------------------

    def look(self) -> checker.Ledger:
        with self.world.database.reading() as session:
            return checker.look(session, SLUG)

    @invariant()
    def the_promise_holds(self) -> None:
        self.ledger = self.look()
        found = checker.violations(
            self.ledger, self.provider.taken, left=self.left, ordered=self.ordered
        )
        assert found == []

    @invariant()
    def the_sums_are_those_of_the_ledger(self) -> None:
        with self.world.database.reading() as session:
            assert list(rollups.differences(session)) == []

    @rule(limit=st.integers(1, 20))
    def fold(self, limit: int) -> None:
        with self.world.database.writing() as session:
            rollups.fold(session, limit)

    def all_ends_well(self) -> None:
        """Faults stop, nobody is in the way, events flow, days pass: everybody who stayed has every
        lesson, and unknown is what was not taken."""
        self.provider.mood = "takes"
        self.apply(self.source.files)
        self.set_cohort(CohortState.OPEN)
        for _ in range(15):
            self.release()
            self.world.clock.course += until_noon(self.world.clock.course)
            self.leases_end()
            self.world.tick()
            self.tell(self.provider.taken, "processed")
            if not self.unfinished():
                break
        self.the_promise_holds()
        assert self.unfinished() == []

    def unfinished(self) -> list[str]:
        ledger = self.ledger = self.look()
        return [
            *checker.unsettled_evidence(ledger, self.provider.taken),
            *checker.undecided(ledger),
            *checker.lost_lessons(ledger, ledger.lessons, was_edited=True),
        ]


def until_noon(now: datetime) -> timedelta:
    noon = now.replace(hour=11, minute=0)
    return (noon if noon > now else noon + DAY) - now


# On both databases --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose course has three lessons."""
    home = make_home(tmp_path_factory.mktemp("machine") / "home")
    for lesson in (home / "lessons" / SLUG).glob("0[4-9]-*.md"):
        lesson.unlink()
    return home


@pytest.fixture(scope="module")
def founded(home: Path) -> Settings:
    here = Settings(home=home).with_made_keys()
    found_in(here)
    return here


def found_in(here: Settings) -> None:
    migrate(here.database)
    database = Database(here.database)
    found(here, database)
    database.dispose()


def run_on(here: Settings, renew: Callable[[], None], **limits: int) -> None:
    """One engine for all examples: it remembers the statements that it has compiled. But what a
    process keeps in mind of its database is forgotten, as each gets another one."""
    kept = Database(here.database)

    @contextmanager
    def new_world() -> Iterator[World]:
        renew()
        try:
            yield World(here, copy(kept))
        finally:
            kept.dispose()

    machine = type("Machine", (Anything,), {"new_world": staticmethod(new_world)})
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        machine, settings=settings(deadline=None, suppress_health_check=checks, **limits)
    )


@pytest.mark.parametrize("examples", [10, pytest.param(40, marks=pytest.mark.e2e)])
def test_on_the_embedded_database(founded: Settings, tmp_path: Path, examples: int) -> None:
    path = tmp_path / "minicourse.db"
    # One call at a time: several would end in an order that no two runs share.
    here = founded.model_copy(update={"database_url": f"sqlite:///{path}", "calls_in_flight": 1})

    def renew() -> None:
        assert founded.database_path
        shutil.copy(founded.database_path, path)  # the last connection took its journal with it

    run_on(here, renew, max_examples=examples, stateful_step_count=25)


@pytest.mark.e2e
def test_on_a_server(postgres_server: URL, home: Path) -> None:
    keys = {"secret_key": ("test secret",), "hash_key": "test hash key"}
    with (
        postgres.database(postgres_server, "machine_template") as template,
        postgres.database(postgres_server, "machine") as url,
    ):
        found_in(Settings(home=home, **keys, database_url=template))

        def renew() -> None:
            postgres.execute(
                postgres_server,
                "DROP DATABASE machine",
                "CREATE DATABASE machine TEMPLATE machine_template",
            )

        here = Settings(home=home, **keys, database_url=url, calls_in_flight=1)
        run_on(here, renew, max_examples=20, stateful_step_count=30)
