"""What the provider reports, from a signed body to the rows that it changes."""

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import event as on
from sqlalchemy import select

from course import events, installation
from course.db import Database, migrate
from course.models import (
    Cohort,
    Consent,
    Course,
    Delivery,
    Enrollment,
    Event,
    Installation,
    Subscriber,
    Suppression,
)
from course.people import email_hash
from course.states import DeliveryState, EnrollmentState
from course.webhooks import parse, verify

HASH_KEY = "a key for tests"
NAME = "k3f9x2"
NOW = datetime(2026, 1, 6, 9, tzinfo=UTC)
SENT = NOW - timedelta(hours=1)

PRIVATE_KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC_KEY = base64.b64encode(
    PRIVATE_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()

Fields = dict[str, Any]


@dataclass
class World:
    """A migrated database with two courses, and the provider that posts to it."""

    database: Database

    def mail(
        self,
        email: str = "ada@example.org",
        *,
        course: int = 1,
        key: str = "welcome",
        state: DeliveryState = DeliveryState.ACCEPTED,
    ) -> int:
        """Write a delivery to that person, with their open enrollment; returns its id."""
        with self.database.writing() as session:
            person = session.scalar(select(Subscriber).where(Subscriber.email == email))
            if person is None:
                hashed = email_hash(email, HASH_KEY)
                person = Subscriber(
                    email=email, email_hash=hashed, mailbox_hash=hashed, created_at=SENT
                )
                session.add(person)
                session.flush()
            enrolled = session.scalar(
                select(Enrollment).where(
                    Enrollment.subscriber_id == person.id, Enrollment.course_id == course
                )
            )
            if enrolled is None:
                enrolled = Enrollment(
                    subscriber_id=person.id,
                    course_id=course,
                    cohort_id=course,
                    state=EnrollmentState.ACTIVE,
                    token=f"{email}-{course}",
                    created_at=SENT,
                    confirmed_at=SENT,
                )
                session.add(enrolled)
                session.flush()
            row = Delivery(
                enrollment_id=enrolled.id,
                course_id=course,
                kind="lesson",
                message_key=key,
                rank=2,
                state=state,
                created_at=SENT,
                due_at=SENT,
                send_at=SENT,
            )
            session.add(row)
            session.flush()
            return row.id

    def post(self, *items: Fields, now: datetime = NOW) -> events.Recorded:
        """Sign a body as SendGrid does, and take it as the webhook does."""
        body = json.dumps(items).encode()
        timestamp = str(int(now.timestamp()))
        signature = PRIVATE_KEY.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
        assert verify(body, base64.b64encode(signature).decode(), timestamp, [PUBLIC_KEY])
        with self.database.writing() as session:
            return events.record(session, parse(body), now, installation=NAME, hash_key=HASH_KEY)

    def delivery(self, delivery_id: int) -> Delivery:
        with self.database.reading() as session:
            return session.get_one(Delivery, delivery_id)

    def enrollment(self, delivery_id: int) -> Enrollment:
        with self.database.reading() as session:
            return session.get_one(Delivery, delivery_id).enrollment

    def suppressions(self) -> set[tuple[str, str, int | None]]:
        """(whose hash, reason, course or None for all)."""
        known = {email_hash(email, HASH_KEY): email for email in EMAILS}
        with self.database.reading() as session:
            rows = session.scalars(select(Suppression))
            return {(known[row.email_hash], row.reason, row.course_id) for row in rows}

    def event_rows(self) -> list[Event]:
        with self.database.reading() as session:
            return list(session.scalars(select(Event).order_by(Event.id)))


EMAILS = ("ada@example.org", "bob@example.org")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def world(migrated: Path, tmp_path: Path) -> Iterator[World]:
    path = tmp_path / "minicourse.db"
    shutil.copy(migrated, path)
    database = Database(f"sqlite:///{path}")
    with database.writing() as session:
        session.add(
            Installation(
                id=1,
                name=NAME,
                mode="sandbox",
                created_at=SENT,
                hash_key_fingerprint="",
                sandbox_private_key="",
                sandbox_public_key="",
            )
        )
        for number, slug in enumerate(("job-search", "gardening"), 1):
            session.add(Course(id=number, slug=slug, state="published", created_at=SENT))
            session.flush()
            session.add(
                Cohort(id=number, course_id=number, name="evergreen", state="open", created_at=SENT)
            )
    yield World(database)
    database.dispose()


def about(delivery_id: int, word: str, *, after: int = 0, **fields: Any) -> Fields:
    """An event as SendGrid posts it, `after` seconds from the sending."""
    return {
        "email": "ada@example.org",
        "timestamp": int(SENT.timestamp()) + after,
        "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
        "event": word,
        "category": ["job-search"],
        "sg_event_id": f"{word}-{delivery_id}-{after}",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        "minicourse_delivery": f"{NAME}-{delivery_id}",
        **fields,
    }


def bounce(delivery_id: int, kind: str = "bounce", **fields: Any) -> Fields:
    reason = "550 5.1.1 The account <ada@example.org> does not exist"
    return about(delivery_id, "bounce", type=kind, status="5.1.1", reason=reason, **fields)


# Evidence and outcome


@pytest.mark.parametrize("state", list(DeliveryState))
def test_any_event_proves_that_the_mail_was_taken(world: World, state: DeliveryState) -> None:
    mail = world.mail(state=state)
    world.post(about(mail, "processed"))
    row = world.delivery(mail)
    assert (row.state, row.outcome) == ("accepted", "processed")


def test_an_unheard_of_event_is_evidence_too(world: World) -> None:
    mail = world.mail(state=DeliveryState.UNKNOWN)
    assert world.post(about(mail, "something new")).new == 1
    row = world.delivery(mail)
    assert (row.state, row.outcome) == ("accepted", None)


def test_evidence_lets_the_planner_look_again(world: World) -> None:
    mail = world.mail(state=DeliveryState.UNKNOWN)
    world.post(about(mail, "delivered"))
    assert world.enrollment(mail).next_due_at == NOW


LIFE = [
    ("processed", {}, "processed"),
    ("deferred", {"response": "451 later"}, "deferred"),
    ("delivered", {"response": "250 OK"}, "delivered"),
    ("bounce", {"type": "bounce", "reason": "550 no"}, "bounced"),
    ("dropped", {"reason": "Spam Content"}, "dropped"),
]


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("second", range(5))
@pytest.mark.parametrize("together", [True, False])
def test_an_outcome_only_rises(world: World, first: int, second: int, together: bool) -> None:
    mail = world.mail()
    found = [about(mail, word, **fields) for word, fields, _ in (LIFE[first], LIFE[second])]
    if together:
        world.post(*found)
    else:
        for one in found:
            world.post(one)
    assert world.delivery(mail).outcome == LIFE[max(first, second)][2]


def test_the_outcome_has_its_reason_without_the_address(world: World) -> None:
    mail = world.mail()
    world.post(bounce(mail))
    reason = "550 5.1.1 The account <…@example.org> does not exist"
    assert world.delivery(mail).outcome_reason == reason
    assert [row.reason for row in world.event_rows()] == [reason]


def test_the_first_open_and_click_count_whatever_their_order(world: World) -> None:
    mail = world.mail()
    world.post(about(mail, "open", after=60), about(mail, "click", after=90, url="https://a.b"))
    world.post(about(mail, "open", after=30), about(mail, "click", after=99, url="https://a.b"))
    row = world.delivery(mail)
    assert row.opened_at == SENT + timedelta(seconds=30)
    assert row.clicked_at == SENT + timedelta(seconds=90)


def test_a_machines_open_is_no_persons(world: World) -> None:
    mail = world.mail()
    world.post(about(mail, "open", after=1, sg_machine_open=True))
    assert world.delivery(mail).opened_at is None
    assert world.delivery(mail).machine_opened_at == SENT + timedelta(seconds=1)
    assert [row.is_machine for row in world.event_rows()] == [True]
    world.post(about(mail, "open", after=9, sg_machine_open=False))
    assert world.delivery(mail).opened_at == SENT + timedelta(seconds=9)


def test_who_follows_all_links_at_once_is_a_machine_even_when_the_delivery_is_told_last(
    world: World,
) -> None:
    mail = world.mail()
    clicks = [about(mail, "click", after=3 + n, url=f"https://a.b/{n}") for n in range(3)]
    world.post(about(mail, "open", after=4), *clicks)
    assert world.delivery(mail).clicked_at == SENT + timedelta(seconds=3)
    world.post(about(mail, "delivered"))
    row = world.delivery(mail)
    assert (row.opened_at, row.clicked_at) == (None, None)
    assert row.machine_opened_at == SENT + timedelta(seconds=4)
    assert row.machine_clicked_at == SENT + timedelta(seconds=3)
    world.post(about(mail, "click", after=900, url="https://a.b/1"))
    assert world.delivery(mail).clicked_at == SENT + timedelta(seconds=900)


@pytest.mark.parametrize(
    ("after", "urls", "is_machine"),
    [
        (2, ["a"], True),  # at the very moment of the delivery
        (3, ["a"], False),  # quick, but one link
        (9, ["a", "b"], True),  # two links while nobody can have read
        (9, ["a", "a"], False),  # the same one twice
        (11, ["a", "b"], False),
        (-5, ["a"], True),  # a gateway looks before it takes the mail over
    ],
)
def test_haste_gives_a_machine_away(
    world: World, after: int, urls: list[str], is_machine: bool
) -> None:
    mail = world.mail()
    clicks = [about(mail, "click", after=after + n, url=u) for n, u in enumerate(urls)]
    world.post(about(mail, "delivered"), *clicks)
    row = world.delivery(mail)
    assert (row.clicked_at is None, row.machine_clicked_at is not None) == (is_machine,) * 2


def test_what_was_known_outlives_its_events(world: World) -> None:
    mail = world.mail()
    world.post(about(mail, "delivered"), about(mail, "click", after=60, url="https://a.b"))
    with world.database.writing() as session:
        session.execute(Event.__table__.delete())
    world.post(about(mail, "click", after=90, url="https://a.b"))
    assert world.delivery(mail).clicked_at == SENT + timedelta(seconds=60)


def test_an_event_without_a_time_happened_when_it_came(world: World) -> None:
    mail = world.mail()
    world.post(about(mail, "open", timestamp=None))
    assert world.delivery(mail).opened_at == NOW


# Copies and strangers


def test_a_copy_changes_nothing(world: World) -> None:
    mail = world.mail()
    opened = about(mail, "open", after=5)
    assert world.post(opened, opened) == events.Recorded(new=1, repeated=1)
    retried = opened | {"sg_event_id": "another"}
    assert world.post(retried, bounce(mail)) == events.Recorded(new=1, repeated=1)
    assert len(world.event_rows()) == 2


def test_a_copy_does_not_undo_what_a_person_did_since(world: World) -> None:
    mail = world.mail()
    world.post(bounce(mail))
    with world.database.writing() as session:
        session.execute(Suppression.__table__.delete())
    assert world.post(bounce(mail)).repeated == 1
    assert world.suppressions() == set()


@pytest.mark.parametrize("reference", ["other1-1", "k3f9x2", "1", "k3f9x2-x"])
def test_events_of_another_installation_are_left_alone(world: World, reference: str) -> None:
    mail = world.mail()
    assert mail == 1
    foreign = bounce(mail, minicourse_delivery=reference)
    assert world.post(foreign) == events.Recorded(foreign=1)
    assert world.delivery(mail).outcome is None
    assert (world.suppressions(), world.event_rows()) == (set(), [])


@pytest.mark.parametrize("item", [{}, {"event": "delivered", "email": "eve@example.org"}])
def test_an_event_about_nobody_we_know_is_counted_and_dropped(world: World, item: Fields) -> None:
    assert world.post(item) == events.Recorded(unmatched=1)
    assert world.event_rows() == []


def test_a_delivery_that_does_not_exist_costs_nothing(world: World) -> None:
    mail = world.mail()
    recorded = world.post(about(999, "open"), about(mail, "open"))
    assert recorded == events.Recorded(new=1, unmatched=1)


def test_the_last_event_is_remembered(world: World) -> None:
    def heard() -> datetime | None:
        with world.database.reading() as session:
            return session.get_one(Installation, 1).last_event_at

    mail = world.mail()
    world.post()
    world.post(about(mail, "open", minicourse_delivery="other1-1"))
    assert heard() is None
    world.post(about(mail, "open"))
    assert heard() is not None


# Suppression


@pytest.mark.parametrize(
    ("word", "fields", "reason"),
    [
        ("bounce", {"type": "bounce"}, "bounced"),
        ("dropped", {"reason": "Bounced Address"}, "bounced"),
        ("dropped", {"reason": "Invalid"}, "invalid"),
        ("dropped", {"reason": "Spam Reporting Address"}, "complained"),
        ("spamreport", {}, "complained"),
    ],
)
def test_a_bounce_or_complaint_ends_every_course(
    world: World, word: str, fields: Fields, reason: str
) -> None:
    mail, waiting = world.mail(), world.mail(key="next", state=DeliveryState.PENDING)
    elsewhere = world.mail(course=2, state=DeliveryState.CLAIMED)
    others = world.mail("bob@example.org", state=DeliveryState.PENDING)
    world.post(about(mail, word, **fields))
    assert world.suppressions() == {("ada@example.org", reason, None)}
    for stopped in (mail, elsewhere):
        enrollment = world.enrollment(stopped)
        assert (enrollment.state, enrollment.reason) == ("cancelled", reason)
    for cancelled in (waiting, elsewhere):
        assert world.delivery(cancelled).state == "cancelled"
    assert world.enrollment(others).state == "active"
    assert world.delivery(others).state == "pending"


def test_a_complaint_is_dated(world: World) -> None:
    mail = world.mail()
    world.post(about(mail, "spamreport", after=7))
    assert world.delivery(mail).complained_at == SENT + timedelta(seconds=7)


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        ("unsubscribe", {}),
        ("group_unsubscribe", {"asm_group_id": 1}),
        ("dropped", {"reason": "Unsubscribed Address"}),
    ],
)
def test_an_unsubscribe_leaves_that_course_alone(world: World, word: str, fields: Fields) -> None:
    mail, elsewhere = world.mail(), world.mail(course=2, state=DeliveryState.PENDING)
    world.post(about(mail, word, **fields))
    assert world.suppressions() == {("ada@example.org", "unsubscribed", 1)}
    assert world.enrollment(mail).state == "cancelled"
    assert world.enrollment(elsewhere).state == "active"
    assert world.delivery(elsewhere).state == "pending"
    with world.database.reading() as session:
        (consent,) = session.scalars(select(Consent))
    assert (consent.act, consent.source) == ("withdrawn", "sendgrid event")


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        ("deferred", {"response": "451 later"}),
        ("bounce", {"type": "blocked", "reason": "550 spam"}),
        ("dropped", {"reason": "Recipient List over Package Quota"}),
        ("open", {}),
    ],
)
def test_what_is_not_about_the_address_suppresses_nobody(
    world: World, word: str, fields: Fields
) -> None:
    mail = world.mail()
    world.post(about(mail, word, **fields))
    assert world.suppressions() == set()
    assert world.enrollment(mail).state == "active"


def test_three_blocked_mails_in_a_row_are_about_the_address(world: World) -> None:
    mails = [world.mail(key=f"lesson-{number}") for number in range(3)]
    world.post(bounce(mails[0], "blocked"), bounce(mails[1], "blocked", after=1))
    assert world.suppressions() == set()
    world.post(bounce(mails[2], "blocked", after=2))
    assert world.suppressions() == {("ada@example.org", "bounced", None)}
    assert world.enrollment(mails[0]).state == "cancelled"


def test_a_delivered_mail_between_breaks_the_row(world: World) -> None:
    mails = [world.mail(key=f"lesson-{number}") for number in range(5)]
    for after, (mail, is_blocked) in enumerate(zip(mails, (1, 1, 0, 1, 1), strict=True)):
        found = bounce(mail, "blocked") if is_blocked else about(mail, "delivered")
        world.post(found | {"timestamp": int(SENT.timestamp()) + after})
    assert world.suppressions() == set()


def test_one_mail_that_was_blocked_thrice_is_one(world: World) -> None:
    mail = world.mail()
    world.post(*(bounce(mail, "blocked", after=after) for after in range(3)))
    assert world.suppressions() == set()


def test_blocks_of_different_people_do_not_add_up(world: World) -> None:
    hers = [world.mail(key=f"lesson-{number}") for number in range(2)]
    his = world.mail("bob@example.org")
    world.post(*(bounce(mail, "blocked", after=mail) for mail in (*hers, his)))
    assert world.suppressions() == set()


def test_a_late_bounce_is_matched_by_the_address_alone(world: World) -> None:
    mail = world.mail()
    late = {
        "email": "Ada@Example.org",
        "event": "bounce",
        "type": "bounce",
        "timestamp": int(SENT.timestamp()),
        "sg_event_id": "late-1",
    }
    assert world.post(late, late | {"email": "eve@example.org"}, late) == events.Recorded(
        new=1, repeated=1, unmatched=1
    )
    assert world.suppressions() == {("ada@example.org", "bounced", None)}
    assert world.enrollment(mail).state == "cancelled"
    assert [row.delivery_id for row in world.event_rows()] == [None]


def test_a_bounce_counts_against_the_address_that_it_names(world: World) -> None:
    mail = world.mail("bob@example.org")  # whose address was ada@ when the mail was sent
    world.post(bounce(mail))
    assert world.suppressions() == {("ada@example.org", "bounced", None)}
    assert world.enrollment(mail).state == "active"


def test_a_bounce_that_names_no_address_counts_against_the_person(world: World) -> None:
    mail = world.mail()
    world.post(bounce(mail, email=None))
    assert world.suppressions() == {("ada@example.org", "bounced", None)}


def test_nothing_personal_is_stored_with_an_event(world: World) -> None:
    mail = world.mail()
    link = "https://example.org/?to=ada%40example.org"
    world.post(bounce(mail), about(mail, "click", url=link, ip="192.0.2.7", useragent="Mozilla"))
    for row in world.event_rows():
        stored = str(vars(row))
        for secret in ("ada", "192.0.2.7", "Mozilla"):
            assert secret not in stored


# Volume


def test_the_number_of_statements_does_not_grow_with_the_events(world: World) -> None:
    mails = [world.mail(f"p{number}@example.org") for number in range(40)]
    words = ("processed", "delivered", "open", "click", "spamreport")
    statements: list[str] = []

    @on.listens_for(world.database.engine, "before_cursor_execute")
    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    def cost(some: list[int]) -> int:
        statements.clear()
        fields = [
            about(mail, word, email=f"p{mail - 1}@example.org") for mail in some for word in words
        ]
        assert world.post(*fields).new == len(fields)
        return len(statements)

    assert cost(mails[:3]) == cost(mails[3:])


# After a restore


def test_events_of_the_database_that_was_lost_are_nobodys_in_the_restored_one(
    world: World,
) -> None:
    kept = world.mail()
    with world.database.writing() as session:
        installation.rename(session)
        former = installation.get(session).former_names
        name = installation.get(session).name
    anew = world.mail("bob@example.org")
    assert former == {NAME: kept}
    events_of = [about(kept, "delivered"), about(anew, "delivered")]  # both under the old name
    with world.database.writing() as session:
        told = events.record(
            session,
            parse(json.dumps(events_of).encode()),
            NOW,
            installation=name,
            former=former,
            hash_key=HASH_KEY,
        )
    assert (told.new, told.foreign) == (1, 1)
