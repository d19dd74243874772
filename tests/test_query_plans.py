"""What happens every second, or for everybody, goes by index: its cost follows what it is about,
not what is in the tables. Each deed is done by the program's own functions among a crowd, and the
database is asked how it goes about every statement that it got to hear."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    String,
    case,
    cast,
    delete,
    event,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from course import (
    agenda,
    brake,
    cohorts,
    conditions,
    courses,
    enrollment,
    events,
    installation,
    lateness,
    ledger,
    moving,
    notes,
    packing,
    planning,
    resolving,
    rollups,
    steering,
)
from course.db import UTCDateTime, real_now
from course.enrollment import Person
from course.models import Cohort, Delivery, Enrollment, Event, Forecast, Note, Request, Subscriber
from course.resolving import Order, Which
from course.states import (
    DeliveryState,
    EnrollmentState,
    EventKind,
    MessageKind,
    SuppressionReason,
)
from course.stats import chosen, daily, deliverability
from course.stats import lessons as lessons_of_stats
from course.webhooks import ProviderEvent
from tests.world import HERE, START, World

CROWD, ACTIVE, WAITING, FEW = 2**15, 1500, 30, 10
REQUESTS = 256
DAY = timedelta(days=1)
LEASE = timedelta(minutes=1)
QUIET = START - DAY / 2  # when nobody was due yet
TOKEN = "a token"
# In the words of either database.
SCAN = re.compile(r"\b(?:SCAN|Seq Scan on) (?:delivery|enrollment|event|subscriber)\b")
# The brake walks along the ledger and stops at the first mail that it meets, mostly the very first.
WAS_ANYTHING_SENT = "AND delivery.settled_at <= "


@dataclass
class Crowd:
    """In one transaction, which is taken back after each deed."""

    world: World
    session: Session
    now: datetime
    real: datetime


def plan(crowd: Crowd) -> None:
    assert planning.plan(crowd.session, crowd.now) == FEW


def ask_what_is_late(crowd: Crowd) -> None:
    assert lateness.is_any(crowd.session, crowd.now + DAY, crowd.real)


def replan_late(crowd: Crowd) -> None:
    late, real = crowd.now + DAY, crowd.real
    reached = lateness.replan(crowd.session, late, real, WAITING)
    assert reached is not None  # it looked at as many
    lateness.replan(crowd.session, late, real, WAITING, beyond=reached)


def claim(crowd: Crowd) -> list[ledger.Claimed]:
    return ledger.claim(crowd.session, TOKEN, FEW, now=crowd.now, real=crowd.real, lease=LEASE)


def claim_suspects(crowd: Crowd) -> None:
    ledger.claim(
        crowd.session, TOKEN, 1, now=crowd.now, real=crowd.real, lease=LEASE, suspects=True
    )


def cross(crowd: Crowd) -> ledger.Crossed:
    ids = [row.id for row in claim(crowd)]
    crossed = ledger.cross(crowd.session, ids, TOKEN, revision_id=1, now=crowd.now, real=crowd.real)
    assert crossed is not None
    assert len(crossed.ids) == FEW
    return crossed


def turn_away(crowd: Crowd) -> None:
    rows = claim(crowd)
    learners = [row.enrollment_id for row in rows]
    left = update(Enrollment).where(Enrollment.id.in_(learners))
    crowd.session.execute(left.values(state=EnrollmentState.CANCELLED))
    ids = [row.id for row in rows]
    now, real = crowd.now, crowd.real
    assert not ledger.cross(crowd.session, ids, TOKEN, revision_id=1, now=now, real=real)


def settle(crowd: Crowd) -> None:
    session, now = crowd.session, crowd.now
    crossed = cross(crowd)
    ids = sorted(crossed.ids)
    ledger.reclaim(session, ids[:2], TOKEN, real=crowd.real, lease=LEASE)
    ledger.give_back(session, ids[:2], TOKEN, retry_at=crowd.real)
    ledger.doubt(session, ids[2:4], TOKEN, "no answer", now)
    ledger.fail(session, ids[4:6], TOKEN, "bad", now)
    assert ledger.accept(session, crossed, now) == FEW


def reap(crowd: Crowd) -> None:
    cross(crowd)
    claim(crowd)
    later = crowd.real + 2 * LEASE
    assert ledger.reap(crowd.session, now=crowd.now, real=later, lease=LEASE) != (0, 0)


def look_again(crowd: Crowd) -> None:
    crowd.session.execute(update(Cohort).values(look_again_from=0))
    planning.plan(crowd.session, crowd.now, FEW)


def list_notes(crowd: Crowd) -> None:
    note = Note(
        course_id=1, slug="new", text="", content_hash="", created_at=crowd.now, created_by="me"
    )
    crowd.session.add(note)
    crowd.session.flush()
    notes.listing(crowd.session)
    notes.cancel_some(crowd.session, note, crowd.now)


def remove_a_lesson(crowd: Crowd) -> None:
    claim(crowd)
    assert ledger.cancel_removed(crowd.session, 1, ["welcome"], crowd.now) == WAITING


def address(crowd: Crowd) -> None:
    assert packing.recipients(crowd.session, claim(crowd), ["a key"], crowd.now)


def ask_what_is_due(crowd: Crowd) -> None:
    found = agenda.look(
        crowd.session,
        QUIET,
        crowd.real,
        lease=LEASE,
        noted_every=LEASE,
        resolves_unknown=False,
    )
    assert not found.work


def brake_hard(crowd: Crowd) -> None:
    many = Enrollment.id.between(ACTIVE - 2 * brake.FREE_OVERDUE, ACTIVE)
    lessons(crowd.session, "network", DeliveryState.PENDING, START, many)
    assert brake.check(crowd.session, crowd.now, crowd.real), "there is too much"


def foresee(crowd: Crowd) -> None:
    crowd.session.execute(delete(Forecast))
    assert brake.check(crowd.session, crowd.now - DAY, crowd.real) is None


def sign_up(crowd: Crowd) -> None:
    person = Person("new@example.org", "New", None)
    cohort = cohorts.find(crowd.session, cohorts.EVERGREEN)
    key = crowd.world.hash_key
    joined = enrollment.sign_up(
        crowd.session, cohort, person, HERE, crowd.now, hash_key=key, sandbox=True
    )
    one = crowd.session.get_one(Enrollment, joined.id)
    curriculum = courses.by_id(crowd.session, cohort.course_id).curriculum
    assert enrollment.confirm(crowd.session, one, curriculum, HERE, crowd.now)


def leave(crowd: Crowd) -> None:
    one = enrollment.by_token(crowd.session, crowd.session.get_one(Enrollment, FEW).token)
    assert one
    assert enrollment.unsubscribe(crowd.session, one, HERE, crowd.now, enrollment.Scope.ALL)
    crowd.session.refresh(one)
    assert enrollment.undo_unsubscribe(crowd.session, one, HERE, crowd.now)


def become_unknown(crowd: Crowd) -> None:
    crossed = cross(crowd)
    ledger.doubt(crowd.session, sorted(crossed.ids), TOKEN, "no answer", crowd.now)


def resolve(crowd: Crowd) -> None:
    become_unknown(crowd)
    found = resolving.resolve(
        crowd.session, Which(crowd.now), Order.RESEND, who="me", why="so", now=crowd.now
    )
    assert found.decided == FEW


def resolve_by_itself(crowd: Crowd) -> None:
    become_unknown(crowd)
    settings = crowd.world.settings.model_copy(update={"unknown_policy": "auto"})
    assert not resolving.resolve_auto(crowd.session, settings, crowd.now, crowd.real + DAY)


def tell(crowd: Crowd, kind: EventKind, suppression: SuppressionReason | None = None) -> None:
    """Of a few mails, and of one by its address alone."""
    session, now = crowd.session, crowd.now
    name = installation.get(session).name
    told = [
        ProviderEvent(kind, now, f"{name}-{number}", suppression=suppression)
        for number in range(1, FEW)
    ]
    late = ProviderEvent(kind, now, email="p7@example.org", suppression=suppression)
    key = crowd.world.hash_key
    assert events.record(session, [*told, late], now, installation=name, hash_key=key).new


def count_a_day(crowd: Crowd) -> None:
    live = chosen(crowd.session, None)
    assert daily.by_day(crowd.session, live, crowd.now + DAY, 1, ZoneInfo("UTC")).days


def move(crowd: Crowd) -> None:
    cohort = cohorts.find(crowd.session, cohorts.EVERGREEN)
    spring = cohorts.create(crowd.session, cohort.course, "spring", crowd.now)
    order, ids = moving.Move(spring.id), range(1, FEW)
    assert steering.give(crowd.session, order, ids, who="me", now=crowd.now, why="so")


def fold(crowd: Crowd) -> None:
    tell(crowd, EventKind.DELIVERED)
    assert rollups.waits(crowd.session)
    assert rollups.fold(crowd.session)


def count_domains(crowd: Crowd) -> None:
    live = chosen(crowd.session, None)
    assert not deliverability.read(crowd.session, live, crowd.now + DAY, 1).domains


# Each with indexes that lead to what it is about.
DEEDS: dict[str, tuple[Callable[[Crowd], object], list[str]]] = {
    "a tick that finds nothing": (
        ask_what_is_due,
        ["ix_enrollment_due", "ix_delivery_pending", "ix_delivery_lease_until"],
    ),
    "planning": (plan, ["ix_enrollment_due", "uq_delivery_message"]),
    "removing a lesson": (
        remove_a_lesson,
        ["ix_delivery_pending", "ix_delivery_lease_until"],
    ),
    "notes": (list_notes, ["ix_delivery_note"]),
    "planning after an edit": (look_again, []),
    "asking what is late": (ask_what_is_late, ["ix_delivery_pending"]),
    "planning anew what is late": (replan_late, ["ix_delivery_pending"]),
    "the brake": (brake_hard, ["ix_delivery_pending", "ix_enrollment_cohort_id_state_id"]),
    "foreseeing": (foresee, ["ix_enrollment_due", "ix_delivery_pending"]),
    "claiming": (claim, ["ix_delivery_pending"]),
    "claiming suspects": (claim_suspects, ["ix_delivery_pending"]),
    "addressing": (address, []),
    "the line": (cross, []),
    "the line, refused": (turn_away, []),
    "settling": (settle, []),
    "reaping": (reap, ["ix_delivery_lease_until"]),
    "resolving": (resolve, ["ix_delivery_trouble"]),
    "resolving by itself": (resolve_by_itself, ["ix_delivery_trouble", "ix_delivery_request_id"]),
    "signing up": (sign_up, ["uq_delivery_message"]),
    "leaving": (leave, ["uq_delivery_message"]),
    "a mail delivered": (lambda crowd: tell(crowd, EventKind.DELIVERED), []),
    "a mail opened": (lambda crowd: tell(crowd, EventKind.OPENED), ["uq_event_of_delivery"]),
    "a mail clicked": (lambda crowd: tell(crowd, EventKind.CLICKED), ["uq_event_of_delivery"]),
    "the numbers of a day": (
        count_a_day,
        ["ix_enrollment_created_at", "ix_enrollment_ended_at"],
    ),
    "moving": (move, ["uq_delivery_message"]),
    "summing up": (fold, []),
    "the domains of a day": (count_domains, ["ix_delivery_request_id"]),
    "how far learners came": (
        lambda crowd: lessons_of_stats.funnel(crowd.session, chosen(crowd.session, None)),
        ["uq_delivery_message"],
    ),
    "a mail blocked": (lambda crowd: tell(crowd, EventKind.BLOCKED), []),
    "a mail bounced": (
        lambda crowd: tell(crowd, EventKind.BOUNCED, SuppressionReason.BOUNCED),
        ["ix_subscriber_email_hash", "uq_delivery_message"],
    ),
    "a person unsubscribed": (
        lambda crowd: tell(crowd, EventKind.UNSUBSCRIBED, SuppressionReason.UNSUBSCRIBED),
        ["uq_delivery_message"],
    ),
}


def test_whatever_is_done_among_a_crowd_goes_by_index(any_world: World) -> None:
    gather(any_world)
    complaints = []
    for name, (deed, indexes) in DEEDS.items():
        plans = plans_of(any_world, deed)
        complaints += [f"{name}: {plan}" for plan in plans if plan.scans_much]
        steps = "".join(plan.steps for plan in plans)
        complaints += [f"{name}: does not use {index}" for index in indexes if index not in steps]
    assert not complaints, "\n\n".join(complaints)


def test_each_look_at_what_is_late_begins_where_the_last_one_ended(any_world: World) -> None:
    """At nine o'clock of one zone a million may have become due: their instants are all alike."""
    gather(any_world)
    steps = "".join(plan.steps for plan in plans_of(any_world, replan_late))
    entered = "send_at>?" if any_world.database.is_sqlite else "ROW(send_at, id) > ROW("
    assert entered in steps, steps


def test_every_rank_is_known_to_the_index_of_what_waits() -> None:
    ranks = {*ledger.RANKS.values(), ledger.RANK_WELCOME, ledger.RANK_LESSON}
    assert ranks == set(conditions.EVERY_RANK)


# The crowd ----------------------------------------------------------------------------------------


def gather(world: World) -> None:
    """Most are through; of the others some have a lesson that waits, and a few are due."""
    with world.database.writing() as session:
        people(session)
        cohort = cohorts.find(session, cohorts.EVERGREEN)
        through = literal(EnrollmentState.COMPLETED)
        is_active, is_due = Subscriber.id <= ACTIVE, Subscriber.id <= FEW
        fill(
            session,
            Enrollment,
            Subscriber,
            subscriber_id=Subscriber.id,
            course_id=literal(cohort.course_id),
            cohort_id=literal(cohort.id),
            state=case((is_active, literal(EnrollmentState.ACTIVE)), else_=through),
            token=Subscriber.email_hash,
            created_at=at(START - 9 * DAY),
            confirmed_at=at(START - 9 * DAY),
            starts_at=at(START - 9 * DAY),
            next_due_at=case((is_due, at(START)), (is_active, at(START + 2 * DAY))),
        )
        fill(
            session,
            Request,
            Subscriber,
            Subscriber.id <= REQUESTS,
            revision_id=literal(1),
            size=literal(CROWD // REQUESTS),
            sent_at=at(START - DAY),
            is_summed=literal(True),
        )
        session.add(Forecast(made_at=QUIET, lessons=0))
        session.flush()
        lessons(session, "welcome", DeliveryState.ACCEPTED, START - 2 * DAY, Enrollment.id > 0)
        late = Enrollment.id.between(FEW + 1, FEW + WAITING)
        lessons(session, "network", DeliveryState.PENDING, START - DAY / 24, late)
        fill(
            session,
            Event,
            Delivery,
            dedupe_key=cast(Delivery.id, String),
            delivery_id=Delivery.id,
            kind=literal(EventKind.PROCESSED),
            at=Delivery.due_at,
            received_at=Delivery.due_at,
        )
    if not world.database.is_sqlite:
        with world.database.writing() as session:
            session.execute(text("ANALYZE"))


def people(session: Session) -> None:
    """One, and as many again and again."""
    first = Subscriber(email="p1@example.org", email_hash="1", mailbox_hash="1", created_at=START)
    session.add(first)
    session.flush()
    count = 1
    while count < CROWD:
        number = cast(Subscriber.id + count, String)
        fill(
            session,
            Subscriber,
            Subscriber,
            email=literal("p") + number + "@example.org",
            email_hash=number,
            mailbox_hash=number,
            created_at=Subscriber.created_at,
        )
        count *= 2


def lessons(
    session: Session, slug: str, state: DeliveryState, send_at: datetime, whose: ColumnElement[bool]
) -> None:
    """A row of the ledger for each of these; by its plan it was due two days before."""
    is_sent = state is DeliveryState.ACCEPTED
    fill(
        session,
        Delivery,
        Enrollment,
        whose,
        enrollment_id=Enrollment.id,
        course_id=Enrollment.course_id,
        kind=literal(MessageKind.LESSON),
        message_key=literal(slug),
        rank=literal(ledger.RANK_LESSON),
        state=literal(state),
        created_at=at(send_at),
        due_at=at(send_at - 2 * DAY),
        send_at=at(send_at),
        settled_at=at(send_at if is_sent else None),
        request_id=Enrollment.id % REQUESTS + 1
        if is_sent
        else literal(None, Delivery.request_id.type),
    )


def at(moment: datetime | None) -> ColumnElement[Any]:
    return literal(moment, UTCDateTime)


def fill(
    session: Session, table: Any, source: Any, *where: ColumnElement[bool], **columns: Any
) -> None:
    """A row for each of the source's, in their order, so that numbers agree."""
    rows = select(*columns.values()).where(*where).order_by(source.id)
    session.execute(insert(table).from_select(list(columns), rows))


# Listening ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class QueryPlan:
    statement: str
    steps: str

    @property
    def scans_much(self) -> bool:
        return bool(SCAN.search(self.steps)) and WAS_ANYTHING_SENT not in self.statement

    def __str__(self) -> str:
        return f"{self.statement}\n{self.steps}"


def plans_of(world: World, deed: Callable[[Crowd], object]) -> list[QueryPlan]:
    """How the database goes about each statement of a deed, which is taken back."""
    with world.database.writing() as session:
        with heard(world) as statements:
            deed(Crowd(world, session, START, real_now(session)))
        plans = [explain(session, *one) for one in statements]
        session.rollback()
    assert plans
    return plans


@contextmanager
def heard(world: World) -> Iterator[list[tuple[str, Any]]]:
    statements: list[tuple[str, Any]] = []

    def listen(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
            statements.append((statement, parameters))

    event.listen(world.database.engine, "before_cursor_execute", listen)
    try:
        yield statements
    finally:
        event.remove(world.database.engine, "before_cursor_execute", listen)


def explain(session: Session, statement: str, parameters: Any) -> QueryPlan:
    connection = session.connection()
    first = parameters[0] if isinstance(parameters, list) else parameters
    how = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}[connection.dialect.name]
    rows = connection.exec_driver_sql(f"{how} {statement}", first)
    steps = "\n".join(row[-1] for row in rows)
    return QueryPlan(statement, steps)
