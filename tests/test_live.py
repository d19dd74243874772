"""`minicourse live`: nobody made up is mailed for real, nothing missing is overlooked."""

import io
import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from course import going_live, installation, outside, suppressions
from course.errors import NotFoundError, SettingsError
from course.models import (
    Audit,
    Base,
    Consent,
    Delivery,
    Enrollment,
    Event,
    Lift,
    PersonalDetail,
    Request,
    Subscriber,
    Suppression,
    Tag,
)
from course.states import SuppressionReason
from tests.outside import KEY, MadeUpOutside
from tests.real import REAL, real_settings
from tests.terminal import run
from tests.world import World

NOW = datetime(2027, 2, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def peopled(world: World) -> World:
    """Three sandbox people: one at the first lesson, one unconfirmed, one who left."""
    world.join("anna@example.com", "Anna")
    world.sign_up("ben@example.com")
    world.leave(world.join("carla@example.com"))
    world.tick()
    with world.database.writing() as session:
        anna = session.scalars(
            select(Subscriber).where(Subscriber.email == "anna@example.com")
        ).one()
        delivery = session.scalars(select(Delivery).order_by(Delivery.id)).first()
        assert delivery
        audit = Audit(at=NOW, who="robin", action="test", subscriber_id=anna.id, detail={})
        session.add(audit)
        session.flush()
        session.add_all([Tag(subscriber_id=anna.id, name="friend"), Lift(subscriber_id=anna.id)])
        session.add(
            PersonalDetail(subscriber_id=anna.id, audit_id=audit.id, name="email", value="anna@")
        )
        session.add(
            Event(
                dedupe_key="e", delivery_id=delivery.id, kind="delivered", at=NOW, received_at=NOW
            )
        )
    return world


def count(world: World, table: type[Base]) -> int:
    with world.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def people(world: World) -> list[going_live.SandboxPerson]:
    with world.database.reading() as session:
        return going_live.sandbox_people(session)


def test_sandbox_people_are_listed_with_where_they_stand(peopled: World) -> None:
    assert [(person.email, person.courses) for person in people(peopled)] == [
        ("anna@example.com", ("job-search (active)",)),
        ("ben@example.com", ("job-search (pending)",)),
        ("carla@example.com", ("job-search (cancelled)",)),
    ]


def test_dropped_people_leave_nothing_but_the_hash_of_who_wanted_no_mail(peopled: World) -> None:
    settings = real_settings(peopled.settings.home)
    assert going_live.go_live(peopled.database, settings, [], NOW) == 3
    personal = (
        *(Subscriber, Enrollment, Delivery, Event, Consent, PersonalDetail, Request),
        *(Tag, Lift),
    )
    assert {table.__name__: count(peopled, table) for table in personal} == {
        table.__name__: 0 for table in personal
    }
    assert count(peopled, Audit) == 1
    assert count(peopled, Suppression) == 1


def test_kept_people_become_real_and_go_on(peopled: World) -> None:
    keep = going_live.chosen(people(peopled), ["Anna@example.com "])
    settings = real_settings(peopled.settings.home)
    assert going_live.go_live(peopled.database, settings, keep, NOW) == 2
    anna = peopled.subscriber("anna@example.com")
    assert not anna.is_sandbox
    assert count(peopled, Subscriber) == 1
    assert [key for key, _ in peopled.lessons(1)] == ["welcome"]
    assert count(peopled, Request) > 0


def test_a_kept_address_that_is_nobodys_is_named(peopled: World) -> None:
    with pytest.raises(NotFoundError, match="'dora@example.com'"):
        going_live.chosen(people(peopled), ["anna@example.com", "dora@example.com"])


def test_people_beyond_one_batch_are_all_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(going_live, "_BATCH", 2)
    for number in range(5):
        world.sign_up(f"person{number}@example.com")
    assert going_live.go_live(world.database, real_settings(world.settings.home), [], NOW) == 5
    assert count(world, Subscriber) == 0


def test_the_database_is_live_for_ever(world: World) -> None:
    going_live.go_live(world.database, real_settings(world.settings.home), [], NOW)
    with world.database.reading() as session:
        here = installation.get(session)
        assert (here.mode, here.live_since) == ("live", NOW)


def test_settings_that_do_not_fit_leave_the_database_in_sandbox_mode(world: World) -> None:
    settings = real_settings(world.settings.home, mail_from="course@example.com")
    with pytest.raises(SettingsError, match="MAIL_FROM"):
        going_live.go_live(world.database, settings, [], NOW)
    with world.database.reading() as session:
        assert installation.is_sandbox(session)


def test_a_suppression_outlives_the_person(peopled: World) -> None:
    gone = peopled.subscriber("ben@example.com")
    with peopled.database.writing() as session:
        suppressions.add(session, [gone.email_hash], SuppressionReason.COMPLAINED, "test", NOW)
    going_live.go_live(peopled.database, real_settings(peopled.settings.home), [], NOW)
    with peopled.database.reading() as session:
        hashes = session.scalars(select(Suppression.email_hash)).all()
    assert gone.email_hash in hashes


def hear_all(world: World) -> None:
    """The webhook was heard, and a test mail's event."""
    with world.database.writing() as session:
        here = installation.get(session)
        here.webhook_heard_at = here.test_sent_at = here.test_heard_at = NOW


def test_the_command_asks_who_stays_and_exits_3_until_all_is_said(
    peopled: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINICOURSE_HOME", str(peopled.settings.home))
    bare = run(monkeypatch, capsys, "live", "--yes")
    assert bare.status == 3
    assert "anna@example.com" in bare.out
    assert "SENDGRID_API_KEY is not set" in bare.out
    for name, value in {**REAL, "SENDGRID_WEBHOOK_PUBLIC_KEY": KEY}.items():
        monkeypatch.setenv(name, value)
    hear_all(peopled)
    monkeypatch.setattr(outside, "RealOutside", lambda _: MadeUpOutside())
    found = json.loads(run(monkeypatch, capsys, "live", "--json").out)
    assert not found["ready"]
    assert [one["name"] for one in found["checks"] if one["state"] == "✗"] == ["sandbox"]
    undecided = run(monkeypatch, capsys, "live", "--yes")
    assert undecided.status == 3
    assert "--drop-sandbox" in undecided.out
    assert count(peopled, Subscriber) == 3
    done = run(monkeypatch, capsys, "live", "--keep", "anna@example.com", "--yes")
    assert done.status == 0
    assert "Forgot 2 sandbox people, kept 1" in done.out
    again = run(monkeypatch, capsys, "live")
    assert again.status == 0
    assert "This database is live" in again.err


def test_one_person_is_not_people(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.join("anna@example.com", "Anna")
    monkeypatch.setenv("MINICOURSE_HOME", str(world.settings.home))
    answer = run(monkeypatch, capsys, "live")
    assert "✗ sandbox: 1 sandbox person came while mail went nowhere" in answer.out


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "set SENDGRID_API_KEY first. To practise: minicourse live --rehearse"),
        (
            {"SENDGRID_API_KEY": "SG.x", "SENDGRID_HOST": "http://127.0.0.1:1"},
            "SENDGRID_HOST is http://127.0.0.1:1, a stand-in on this machine: remove it from /",
        ),
    ],
)
def test_a_test_mail_that_would_not_leave_is_refused_for_what_is_in_its_way(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, str],
    told: str,
) -> None:
    for name, value in (settings | {"MINICOURSE_HOME": str(world.settings.home)}).items():
        monkeypatch.setenv(name, value)
    answer = run(monkeypatch, capsys, "live", "--test-to", "me@example.org")
    assert (answer.status, answer.out) == (1, "")
    assert told in answer.err


def test_without_a_yes_nothing_is_done(
    peopled: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = {"MINICOURSE_HOME": str(peopled.settings.home), "SENDGRID_WEBHOOK_PUBLIC_KEY": KEY}
    for name, value in {**REAL, **home}.items():
        monkeypatch.setenv(name, value)
    hear_all(peopled)
    monkeypatch.setattr(outside, "RealOutside", lambda _: MadeUpOutside())
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run(monkeypatch, capsys, "live", "--drop-sandbox").status == 1
    assert count(peopled, Subscriber) == 3


def test_keep_and_drop_together_are_a_mistake_in_the_words(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = run(monkeypatch, capsys, "live", "--drop-sandbox", "--keep", "anna@example.com")
    assert answer.status == 2


def test_a_live_database_whose_key_is_gone_needs_attention(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    going_live.go_live(world.database, real_settings(world.settings.home), [], NOW)
    monkeypatch.setenv("MINICOURSE_HOME", str(world.settings.home))
    assert run(monkeypatch, capsys, "live").status == 3
    refused = run(monkeypatch, capsys, "web")
    assert refused.status == 1
    assert "This database is live, but SENDGRID_API_KEY is not set" in refused.err
    assert "live" in run(monkeypatch, capsys, "sandbox").err
