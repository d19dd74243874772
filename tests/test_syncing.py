"""SendGrid's own lists and ours in step: read page by page, each entry once, and lifted there where
a person took it back."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from course import provider_lists, syncing
from course.account import AccountError
from course.models import Consent, Delivery, Enrollment, Suppression
from course.people import email_hash
from course.provider_lists import ProviderLists
from course.sandbox.app import create_app
from course.sandbox.config import Account, SandboxConfig
from course.states import SuppressionReason
from course.syncing import Synced
from tests.test_account import serving
from tests.world import START, World


@pytest.fixture
def held() -> Account:
    return Account()


@pytest.fixture
def lists(tmp_path: Path, held: Account) -> Iterator[ProviderLists]:
    app = create_app(SandboxConfig(tmp_path / "sandbox.db", account=held))
    with serving(app) as url:
        yield ProviderLists("SG.any", url)
    app.extensions["sandbox"].close()


def listed(email: str, days_ago: float = 1) -> dict[str, object]:
    created = START - timedelta(days=days_ago)
    return {"email": email, "created": int(created.timestamp()), "reason": "550"}


def sync(world: World, lists: ProviderLists, **how: bool) -> dict[str, Synced]:
    found = syncing.sync(world.database, lists, world.clock.course, hash_key=world.hash_key, **how)
    return {one.list: one for one in found}


def reasons(world: World) -> dict[str, str]:
    with world.database.reading() as session:
        return {one.email_hash: one.reason for one in session.scalars(select(Suppression))}


def test_each_list_suppresses_for_its_reason_and_ends_the_courses(
    world: World, lists: ProviderLists, held: Account
) -> None:
    kim = world.join("kim@example.com")
    held.lists = {
        "bounces": [listed("kim@example.com"), listed("nobody@example.com")],
        "spam_reports": [listed("Spam@Example.com")],
        "invalid_emails": [listed("invalid@example.com"), listed("not an address")],
        "unsubscribes": [listed("gone@example.com")],
        "blocks": [listed("blocked@example.com")],
    }
    found = sync(world, lists)
    assert found["bounces"] == Synced("bounces", read=2, new=2, stopped=1)
    assert found["blocks"] == Synced("blocks", read=1), "one refusal says nothing of an address"
    hashed = {
        email_hash(f"{name}@example.com", world.hash_key): reason
        for name, reason in {
            "kim": SuppressionReason.BOUNCED,
            "nobody": SuppressionReason.BOUNCED,
            "spam": SuppressionReason.COMPLAINED,
            "invalid": SuppressionReason.INVALID,
            "gone": SuppressionReason.UNSUBSCRIBED,
        }.items()
    }
    assert reasons(world) == hashed
    assert world.state(kim) == "cancelled"
    assert sync(world, lists)["bounces"].new == 0, "repeated, it changes nothing"


def test_a_dry_run_counts_and_changes_nothing(
    world: World, lists: ProviderLists, held: Account
) -> None:
    held.lists = {"bounces": [listed("kim@example.com")]}
    assert sync(world, lists, dry_run=True)["bounces"].new == 1
    assert reasons(world) == {}
    assert sync(world, lists)["bounces"].new == 1


def test_long_lists_are_read_in_pages(
    world: World, lists: ProviderLists, held: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_lists, "PAGE", 3)
    held.lists = {"bounces": [listed(f"n{number}@example.com") for number in range(7)]}
    assert [len(page) for page in lists.pages("bounces", None, START)] == [3, 3, 1]
    assert sync(world, lists)["bounces"].new == 7


def test_the_next_reading_begins_where_the_last_one_ended(
    world: World, lists: ProviderLists, held: Account
) -> None:
    held.lists = {"bounces": [listed("old@example.com", days_ago=9)]}
    assert sync(world, lists)["bounces"].read == 1
    held.lists = {"bounces": [*held.lists["bounces"], listed("new@example.com", days_ago=0)]}
    world.pass_time(hours=1)
    assert sync(world, lists)["bounces"] == Synced("bounces", read=1, new=1)
    assert sync(world, lists, since_ever=True)["bounces"].read == 2


def test_an_unsubscribe_from_before_a_confirmation_is_lifted_there(
    any_world: World, lists: ProviderLists, held: Account
) -> None:
    kim = any_world.join("kim@example.com")
    held.lists = {"unsubscribes": [listed("kim@example.com", days_ago=3)]}
    assert sync(any_world, lists)["unsubscribes"].new == 0
    assert any_world.state(kim) == "active"
    assert syncing.lift(any_world.database, lists) == 1
    assert sync(any_world, lists, since_ever=True)["unsubscribes"].read == 0


def test_a_confirmation_queues_the_lift_and_one_that_is_not_there_is_done(
    any_world: World, lists: ProviderLists, held: Account
) -> None:
    any_world.leave(any_world.join("kim@example.com"))
    with any_world.database.reading() as session:
        assert syncing.waiting(session) == 0
    any_world.join("kim@example.com")
    with any_world.database.reading() as session:
        assert syncing.waiting(session) == 1
    assert syncing.lift(any_world.database, lists) == 1
    with any_world.database.reading() as session:
        assert syncing.waiting(session) == 0


def test_an_unsubscribe_there_is_a_withdrawal_here(
    world: World, lists: ProviderLists, held: Account
) -> None:
    kim = world.join("kim@example.com")
    held.lists = {"unsubscribes": [listed("kim@example.com", days_ago=-1)]}
    world.pass_time(days=2)
    assert sync(world, lists)["unsubscribes"].stopped == 1
    with world.database.reading() as session:
        acts = session.execute(
            select(Consent.act, Consent.source).where(Consent.enrollment_id == kim)
        ).all()
    assert acts[-1] == ("withdrawn", "sendgrid list")


def test_what_bounced_in_the_sandbox_is_in_its_list_until_it_is_removed(
    lists: ProviderLists, held: Account, tmp_path: Path
) -> None:
    assert not lists.remove("bounces", "bounce+a/b@sandbox.test")
    held.lists = {"bounces": [listed("bounce+a/b@sandbox.test")]}
    assert lists.remove("bounces", "bounce+a/b@sandbox.test")
    assert list(lists.pages("bounces", None, START)) == [[]]


def test_a_key_without_the_right_is_told_so(lists: ProviderLists, held: Account) -> None:
    held.scopes = ("mail.send",)
    with pytest.raises(AccountError) as refused:
        lists.erase(["kim@example.com"])
    assert refused.value.is_refused
    with pytest.raises(AccountError):
        list(lists.pages("bounces", None, START))


def test_an_erasure_is_asked_for_by_the_address(lists: ProviderLists, held: Account) -> None:
    lists.erase(["kim@example.com"])
    assert held.erased == ["kim@example.com"]


# May this address be mailed? ----------------------------------------------------------------------


def bar(world: World, email: str, course_id: int | None = None) -> None:
    with world.database.writing() as session:
        session.add(
            Suppression(
                email_hash=email_hash(email, world.hash_key),
                course_id=course_id,
                reason=SuppressionReason.MANUAL,
                source="test",
                created_at=world.clock.course,
            )
        )


@pytest.mark.parametrize("scope", ["course", "all"])
def test_planning_asks_and_the_learner_keeps_the_place(any_world: World, scope: str) -> None:
    """An entry that came while the learner was active, such as by another course's import."""
    robin, kim = any_world.join("robin@example.com"), any_world.join("kim@example.com")
    bar(any_world, "kim@example.com", 1 if scope == "course" else None)
    any_world.live_through(days=1.5)
    planned = [row for row in any_world.rows(kim) if row.kind == "lesson"]
    assert planned == []
    assert any_world.state(kim) == "active"
    assert len(any_world.lessons(robin)) > 1
    with any_world.database.writing() as session:
        session.execute(Suppression.__table__.delete())  # type: ignore[attr-defined]
    any_world.live_through(days=1)
    assert any_world.lessons(kim)[0] == ("welcome", "accepted")


def test_the_line_asks_again(any_world: World) -> None:
    """The entry came between the plan and the line."""
    kim = any_world.join("kim@example.com")
    with any_world.database.writing() as session:
        from course import planning

        planning.plan(session, any_world.clock.course)
    assert any_world.lessons(kim) == [("welcome", "pending")]
    bar(any_world, "kim@example.com")
    any_world.tick()
    with any_world.database.reading() as session:
        row = session.scalars(
            select(Delivery).join(Enrollment).where(Delivery.kind == "lesson", Enrollment.id == kim)
        ).one()
        assert (row.state, row.reason) == ("cancelled", "suppressed")
