"""What we hold of a person is shown in full, and goes without a trace."""

import sqlite3
from contextlib import closing
from datetime import time
from functools import partial
from pathlib import Path

import orjson
import pytest
from sqlalchemy import String, Text, select

from course import audit, enrollment, holds, privacy, wiping
from course.holds import Scope
from course.models import (
    Alert,
    Audit,
    Base,
    Consent,
    Delivery,
    Enrollment,
    Event,
    PersonalDetail,
    Request,
    Subscriber,
    Suppression,
    Tag,
)
from course.people import email_hash
from course.states import HoldKind, SuppressionReason
from course.web import texts
from tests.world import START, World

EMAIL, NEW = "zebulon.quark@quarkfamily.example", "zeb.plumquat@newplace.example"
# Parts of the address and of the names, in any place.
TRACES = (
    *("zebulon", "quark", "plumquat", "newplace", "sourdough-secret", "pacific/kiritimati"),
    "oldplace",
)


def fill(world: World) -> int:
    """A person of whom every table holds something; returns their number."""
    number = world.join(EMAIL, "Zebulon Quark", "Pacific/Kiritimati")
    world.live_through(days=1)
    other = world.join("kim@example.com", "Kim")
    now = world.clock.course
    with world.database.writing() as session:
        row = session.get_one(Enrollment, number)
        person = row.subscriber
        row.fields, row.form_hour = '{"wish":"sourdough-secret"}', time(7, 30)
        person.new_email, person.hour = NEW, time(7, 30)
        session.add(Tag(subscriber_id=person.id, name="friend-of-quark"))
        audit.record(
            session,
            "robin",
            "pause",
            now,
            why="Zebulon phoned",
            subscriber_id=person.id,
            of=["Quark", {"of": EMAIL}],
        )
        audit.record(session, "robin", "hold", now, why=f"ask {EMAIL.upper()} first, or Kim")
        session.add(PersonalDetail(subscriber_id=person.id, name="old", value="z@oldplace.example"))
        consent = session.scalars(
            select(Consent).where(Consent.enrollment_id == number).limit(1)
        ).one()
        consent.source = "import of quark.csv"
        mails = session.scalars(select(Delivery).where(Delivery.enrollment_id == number)).all()
        mails[-1].state, mails[-1].reason = "failed", "not a name: Zebulon"
        mails[0].outcome, mails[0].outcome_rank = "bounced", 4
        mails[0].outcome_reason = "550 <…@quarkfamily.example> Zebulon Quark is unknown"
        session.add(
            Event(
                dedupe_key="a" * 32,
                delivery_id=mails[0].id,
                kind="clicked",
                at=now,
                received_at=now,
                url="https://example.com/?n=Zebulon",
                reason="z.quark",
            )
        )
        session.add(
            Event(
                dedupe_key="b" * 32,
                kind="bounced",
                at=now,
                received_at=now,
                reason="no …@quarkfamily.example here",
            )
        )
        session.get_one(Request, mails[0].request_id).detail = "400 Quark, Zebulon: bad name"
        session.add(Alert(cause="x", what=f"{EMAIL} bounced", command="minicourse", since=now))
        hold = holds.place(
            session,
            Scope(),
            HoldKind.MANUAL,
            why=f"for {EMAIL}",
            who="robin",
            now=now,
            real=world.clock.wall,
        )
        hold.ended_at = now
        assert other
        return person.id


def erase(world: World, subscriber_id: int) -> privacy.Erased:
    return world.database.run(
        lambda s: privacy.erase(
            s, subscriber_id, who="robin", now=world.clock.course, hash_key=world.hash_key
        )
    )


def all_text(world: World) -> str:
    """Every text in every table."""
    found = []
    with world.database.reading() as session:
        for table in Base.metadata.sorted_tables:
            columns = [one for one in table.columns if not one.foreign_keys]
            for row in session.execute(select(*columns)) if columns else ():
                found += [f"{table.name}.{key}: {value}" for key, value in row._mapping.items()]
    return "\n".join(found)


def lines_with_traces(text: str) -> list[str]:
    return [line for line in text.splitlines() if any(one in line.lower() for one in TRACES)]


def test_every_table_that_can_name_a_person_does_so_before_the_erasure(any_world: World) -> None:
    """Else the test after this one would prove nothing."""
    fill(any_world)
    named = {line.partition(":")[0] for line in lines_with_traces(all_text(any_world))}
    assert named >= {
        *("subscriber.email", "subscriber.new_email", "subscriber.name", "subscriber.zone"),
        *("enrollment.form_name", "enrollment.form_zone", "enrollment.fields", "tag.name"),
        *("audit.why", "audit.detail", "consent.source", "personal_detail.value"),
        *("delivery.reason", "delivery.outcome_reason", "event.reason", "event.url"),
        *("request.detail", "alert.what", "hold.why"),
    }


def test_an_erasure_leaves_no_trace_in_any_table(any_world: World) -> None:
    erase(any_world, fill(any_world))
    wiped = wiping.wipe(any_world.database, [EMAIL])
    assert wiped.is_clean
    assert lines_with_traces(all_text(any_world)) == []
    assert "kim@example.com" in all_text(any_world)


def test_an_erasure_leaves_no_trace_in_a_dump_or_in_the_bytes_of_the_files(world: World) -> None:
    subscriber_id = fill(world)
    path = world.settings.database_path
    assert path is not None
    assert lines_with_traces(dump(path)), "the dump shows what is there"
    erase(world, subscriber_id)
    assert wiping.wipe(world.database, [EMAIL, "Zebulon Quark"]).is_clean
    assert lines_with_traces(dump(path)) == []
    for file in (path, *path.parent.glob(f"{path.name}-*")):
        content = file.read_bytes().lower()
        assert [trace for trace in TRACES if trace.encode() in content] == [], file


def dump(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return "\n".join(connection.iterdump())


def test_what_lies_in_a_freed_page_has_the_file_written_anew(world: World) -> None:
    """As a page that was split may leave it, or a program that does not overwrite."""
    path = world.settings.database_path
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("CREATE TABLE old (value TEXT)")
        connection.execute("INSERT INTO old VALUES (?)", (f"{EMAIL} " * 500,))
        connection.execute("DROP TABLE old")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert EMAIL.encode() in path.read_bytes()
    assert wiping.wipe(world.database, [EMAIL]).is_clean
    assert EMAIL.encode() not in path.read_bytes()


def test_a_log_that_somebody_reads_is_said_to_be_there_still(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiping, "_PATIENCE_SECONDS", 0)
    with world.database.reading() as session:
        session.scalar(select(Subscriber.id))
        world.sign_up(EMAIL)
        wiped = wiping.wipe(world.database, [EMAIL])
    assert not wiped.is_clean
    assert "run the same command again" in wiped.advice


def test_the_ledger_keeps_its_counts_and_the_learner_gets_nothing_more(any_world: World) -> None:
    subscriber_id = fill(any_world)
    before = len(any_world.rows())
    sent = len(any_world.provider.log)
    erased = erase(any_world, subscriber_id)
    assert erased.stopped == 1
    any_world.live_through(days=2)
    assert len([row for row in any_world.rows() if row.enrollment_id == 1]) <= before
    assert not any(
        mail.to == EMAIL
        for request in any_world.provider.requests[sent:]
        for mail in request.personalizations
    )
    assert any_world.state(1) == "cancelled"
    assert erase(any_world, subscriber_id) == privacy.Erased(0, 0), "repeated, it changes nothing"


def test_a_mail_of_which_nobody_knows_stays_without_the_address(world: World) -> None:
    subscriber_id = fill(world)
    with world.database.writing() as session:
        mail = session.scalars(select(Delivery).where(Delivery.enrollment_id == 1)).first()
        assert mail
        mail.state, mail.reason, mail.unknown_since = "unknown", "no answer", world.clock.course
        number = mail.id
    assert erase(world, subscriber_id).unknown == 1
    with world.database.reading() as session:
        kept = session.get_one(Delivery, number)
        assert (kept.state, kept.enrollment.subscriber.email) == ("unknown", None)


def test_a_keyed_hash_bars_a_later_list_and_a_confirmation_lifts_it(any_world: World) -> None:
    erase(any_world, fill(any_world))
    with any_world.database.reading() as session:
        entries = session.scalars(select(Suppression)).all()
        former = "z@oldplace.example"
        assert {entry.email_hash for entry in entries} == {
            email_hash(email, any_world.hash_key) for email in (EMAIL, former)
        }
        assert {(entry.reason, entry.course_id) for entry in entries} == {
            (SuppressionReason.ERASED, None)
        }
    again = any_world.sign_up(EMAIL, "Zebulon")
    any_world.tick()
    assert [row.state for row in any_world.rows(again)] == ["accepted"], "may be asked, once"
    assert any_world.confirm(again)
    any_world.tick()
    assert any_world.lessons(again) == [("welcome", "accepted")]


def test_what_is_said_of_a_domain_that_others_share_stays(world: World) -> None:
    for name in ("kim", "robin"):
        world.join(f"{name}@shared.example")
    with world.database.writing() as session:
        audit.record(
            session, "robin", "hold", START, why="shared.example blocks; kim@shared.example, too"
        )
    erase(world, world.subscriber("kim@shared.example").id)
    with world.database.reading() as session:
        lines = session.scalars(select(Audit.why).where(Audit.action == "hold"))
        assert list(lines) == ["shared.example blocks; …, too"]


def test_links_of_old_mails_lead_nowhere(world: World) -> None:
    subscriber_id = fill(world)
    with world.database.reading() as session:
        token = session.get_one(Enrollment, 1).token
    erase(world, subscriber_id)
    with world.database.reading() as session:
        assert enrollment.by_token(session, token) is None


def test_everything_is_shown_that_the_tables_hold_of_a_person(world: World) -> None:
    subscriber_id = fill(world)
    with world.database.reading() as session:
        found = privacy.everything_of(
            session, subscriber_id, partial(texts.load, world.settings.home)
        )
        hashes = {one["wording_hash"] for e in found["enrollments"] for one in e["consents"]}
        assert hashes == {None}
    shown = orjson.dumps(found).decode().lower()
    for trace in TRACES:
        assert trace in shown
    (one,) = found["enrollments"]
    assert [consent["act"] for consent in one["consents"]] == ["asked", "confirmed"]
    assert [event["kind"] for event in one["mails"][0]["events"]] == ["clicked"]
    assert found["audit"][0]["why"] == "Zebulon phoned"
    assert "kim@example.com" not in shown


def test_no_text_column_is_forgotten() -> None:
    """Whoever adds one that may hold a person's values says here that it was thought of."""
    looked_at = {
        *("subscriber.email", "subscriber.name", "subscriber.zone", "subscriber.new_email"),
        *("enrollment.token", "enrollment.form_name", "enrollment.form_zone", "enrollment.fields"),
        *("tag.name", "personal_detail.value", "personal_detail.name", "audit.why"),
        *("delivery.reason", "delivery.outcome_reason", "event.reason", "event.url"),
        *("consent.source", "suppression.source", "request.detail", "alert.what", "hold.why"),
    }
    our_own_words = {
        *("subscriber.email_hash", "subscriber.mailbox_hash"),
        *("suppression.email_hash", "suppression.reason"),
        *("enrollment.state", "enrollment.reason", "audit.who", "audit.action"),
        *("consent.act", "consent.wording_version", "consent.wording_hash", "consent.file_hash"),
        *("delivery.kind", "delivery.message_key", "delivery.state", "delivery.claim_token"),
        *("delivery.outcome", "event.kind", "event.dedupe_key", "request.verdict"),
        *("request.x_message_id", "alert.cause", "alert.command"),
        *("bucket.key", "used_token.token_hash", "tally.name"),
        *("hold.scope", "hold.lesson", "hold.kind", "hold.who", "hold.ended_by"),
    }
    not_about_people = {
        *("installation", "identity", "course", "revision", "cohort", "note", "forecast"),
        *("delta", "mail_sum", "domain_delta", "domain_sum", "learner_delta", "learner_sum"),
        "lesson_set",
    }
    found = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, String | Text) and table.name not in not_about_people
    }
    assert found - looked_at - our_own_words == set()


def test_a_copy_that_still_holds_the_person_is_named(world: World) -> None:
    subscriber_id = fill(world)
    path = world.settings.database_path
    assert path is not None
    folder = world.settings.home / "backups"
    folder.mkdir()
    wiping.wipe(world.database)
    (folder / "old.db").write_bytes(path.read_bytes())
    (folder / "monday.dump").write_bytes(b"PGDMP, and more")
    erase(world, subscriber_id)
    wiping.wipe(world.database)
    (folder / "new.db").write_bytes(path.read_bytes())
    hashed = email_hash(EMAIL, world.hash_key)
    found = wiping.copies_with(world.settings, EMAIL, hashed)
    assert [file.name for file in found] == ["monday.dump", "old.db"]
