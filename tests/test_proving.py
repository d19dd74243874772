"""Short-lived links on their way: to whom they go, what stands in them, and who gets none."""

from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select, update

from course import enrollment, promises, proving, steering, tokens
from course.mailer import Outgoing
from course.models import Cohort, Delivery, Enrollment, Revision, Subscriber, Suppression
from course.proving import Asked, Proof
from course.sooner import SendNext
from course.states import LinkPurpose
from tests.world import World

ADA, NEW = "ada@example.org", "ada@new.example"


def ask(world: World, number: int, purpose: LinkPurpose = LinkPurpose.DATA) -> Asked:
    with world.database.writing() as session:
        found = session.get_one(Enrollment, number)
        return proving.ask(session, found, purpose, world.clock.course)


def ask_new(world: World, number: int, email: str = NEW) -> Asked:
    with world.database.writing() as session:
        found = session.get_one(Enrollment, number)
        proven = Proof(LinkPurpose.ADDRESS, found, is_over=False)
        return proving.ask_new_address(
            session, proven, email, world.clock.course, hash_key=world.hash_key
        )


def links(world: World) -> list[Outgoing]:
    return [mail for mail in world.provider.requests if "/link/" in mail.text + str(mail)]


def token_of(mail: Outgoing) -> str:
    """As it stands in the mail."""
    [person] = mail.personalizations
    found = [value for value in (person.substitutions or {}).values() if "/link/" in value]
    return found[0].partition("/link/")[2]


def stands(world: World, token: str) -> Proof | None:
    keys = [key.get_secret_value() for key in world.settings.secret_key]
    signed = tokens.unsign("link", token, keys)
    assert signed is not None
    with world.database.reading() as session:
        return proving.proof(session, signed, world.clock.course)


@pytest.mark.parametrize("state", ["pending", "active", "paused", "completed", "cancelled"])
def test_a_link_leaves_whatever_became_of_the_course(world: World, state: str) -> None:
    number = world.join(ADA)
    world.tick()
    with world.database.writing() as session:
        session.execute(update(Enrollment).values(state=state, next_due_at=None))
        session.execute(update(Cohort).values(state="paused"))
    assert ask(world, number) is Asked.SENT
    world.tick()
    [mail] = links(world)
    [person] = mail.personalizations
    assert (person.to, person.headers["Auto-Submitted"]) == (ADA, "auto-generated")
    assert mail.click_tracking is mail.open_tracking is False
    found = stands(world, token_of(mail))
    assert found is not None
    assert (found.purpose, found.enrollment.id, found.is_over) == (LinkPurpose.DATA, number, False)
    with world.database.reading() as session:
        assert list(promises.after_leaving(session)) == []


def test_who_left_everything_can_still_ask_for_their_data(world: World) -> None:
    number = world.join(ADA)
    world.leave(number, enrollment.Scope.ALL)
    ask(world, number)
    with world.database.reading() as session:
        assert list(promises.after_leaving(session)) == []  # it waits, rightly
    world.tick()
    assert len(links(world)) == 1


@pytest.mark.parametrize("reason", ["bounced", "complained"])
def test_no_link_to_an_address_that_bounced_or_complained(world: World, reason: str) -> None:
    number = world.join(ADA)
    hashed, at = world.subscriber(ADA).email_hash, world.clock.course
    with world.database.writing() as session:
        session.add(Suppression(email_hash=hashed, reason=reason, source="test", created_at=at))
    assert ask(world, number) is Asked.BARRED
    world.tick()
    assert links(world) == []


def test_a_new_address_gets_nothing_of_the_person(world: World) -> None:
    number = world.join(ADA, name="Ada Lovelace")
    world.tick()
    assert ask_new(world, number) is Asked.SENT
    world.tick()
    [mail] = world.provider.mails_to(NEW)
    [person] = mail.personalizations
    assert person.name == ""
    assert set(person.headers) == {"List-Id", "Auto-Submitted"}
    with world.database.reading() as session:
        secret = session.get_one(Enrollment, number).token
    for theirs in (secret, "Ada", ADA):
        assert theirs not in str(mail)
    found = stands(world, token_of(mail))
    assert found is not None
    assert found.purpose is LinkPurpose.NEW_ADDRESS


def test_the_new_address_is_theirs_when_it_has_answered(any_world: World) -> None:
    world = any_world
    number = world.join(ADA)
    ask_new(world, number)
    world.tick()
    token = token_of(world.provider.mails_to(NEW)[0])
    with world.database.writing() as session:
        found = session.get_one(Enrollment, number)
        proven = Proof(LinkPurpose.NEW_ADDRESS, found, is_over=False)
        assert proving.change_address(session, proven, world.clock.course, hash_key=world.hash_key)
    assert world.subscriber(NEW).new_email is None
    over = stands(world, token)
    assert over is not None
    assert over.is_over
    before = len(world.provider.requests)
    world.live_through(days=2)
    assert {p.to for mail in world.provider.requests[before:] for p in mail.personalizations} == {
        NEW
    }


def test_two_learners_wishes_leave_together_and_go_each_to_their_own(world: World) -> None:
    ada, mia = world.join(ADA), world.join("mia@example.org")
    world.tick()
    ask_new(world, ada)
    ask_new(world, mia, "mia@new.example")
    ask(world, ada, LinkPurpose.NAME)
    world.tick()
    sent = {
        (person.to, found.enrollment.id, found.purpose)
        for mail in links(world)
        for person in mail.personalizations
        for value in (person.substitutions or {}).values()
        if "/link/" in value and (found := stands(world, value.partition("/link/")[2]))
    }
    assert sent == {
        (NEW, ada, LinkPurpose.NEW_ADDRESS),
        ("mia@new.example", mia, LinkPurpose.NEW_ADDRESS),
        (ADA, ada, LinkPurpose.NAME),
    }


def test_a_new_address_that_was_taken_back_gets_no_mail(world: World) -> None:
    number = world.join(ADA)
    world.tick()
    ask_new(world, number)
    with world.database.writing() as session:
        session.execute(update(Subscriber).values(new_email=None))
    before = len(world.provider.requests)
    world.tick()
    assert world.provider.requests[before:] == []
    [row] = [row for row in world.rows(number) if row.kind == "link"]
    assert row.state == "failed"
    assert "taken back" in (row.reason or "")


def test_a_lesson_that_was_sent_for_keeps_every_promise(any_world: World) -> None:
    world = any_world
    with world.database.writing() as session:
        revision = session.scalars(select(Revision)).one()
        text = revision.files["course.toml"] + "\n[page]\nnext_now = true\n"
        revision.files, revision.content_hash = {**revision.files, "course.toml": text}, "eager"
    number = world.join(ADA)
    world.live_through(days=1)
    for wish in range(1, 5):
        with world.database.writing() as session:
            [judged] = steering.give(
                session, SendNext(), [number], who="subscriber", now=world.clock.course
            )
        assert judged.is_touched == (wish == 1)
        world.tick()
    lessons = world.lessons(number)
    assert lessons[-1] == ("market", "accepted")  # welcome, network by itself, market by order
    world.live_through(days=12)
    with world.database.reading() as session:
        assert list(promises.too_close(session)) == []
        assert list(promises.out_of_order(session)) == []
        assert list(promises.doubled_or_forgotten(session)) == []
        slots = session.scalars(
            select(Delivery.settled_at).where(Delivery.kind == "lesson").order_by(Delivery.id)
        ).all()
    assert world.state(number) == "completed"
    gaps = [later - earlier for earlier, later in pairwise(slots[2:])]
    assert min(gaps) >= timedelta(hours=18)
