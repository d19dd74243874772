"""Unknown mails are settled by evidence or by a person, failed ones are tried again by a person."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from sqlalchemy import ColumnElement, select

from course import courses, evidence, ledger, resolving, retries
from course.answers import Answer, Verdict
from course.db import real_now
from course.evidence import Advice, Doubt
from course.models import Audit, Delivery, Enrollment
from course.resolving import Order, Resolved, Which
from course.retries import Retried
from course.states import DeliveryState, MessageKind
from tests.commands.conftest import hear
from tests.world import TAKEN, World

LOST = Answer(Verdict.UNKNOWN, None, detail="TimeoutError: timed out")
BAD = Answer(Verdict.BAD_REQUEST, 400, detail="400 bad address", bad_rows=(0,))
UNKNOWN: ColumnElement[bool] = Delivery.state == DeliveryState.UNKNOWN
RIPE = timedelta(hours=7)


@pytest.fixture
def world(any_world: World) -> World:
    return any_world


def sign_up(world: World, *names: str) -> list[int]:
    """Their confirmations go in one request; returns the numbers of these mails."""
    joined = [world.sign_up(f"{name}@example.org") for name in names]
    world.tick()
    return [row.id for row in world.rows() if row.enrollment_id in joined]


def lose(world: World, *names: str) -> list[int]:
    """The same, but the answer is lost."""
    world.provider.answer = lambda _: LOST
    lost = sign_up(world, *names)
    world.provider.answer = lambda _: TAKEN
    assert {row.state for row in world.rows() if row.id in lost} == {"unknown"}
    return lost


def lose_a_lesson(world: World) -> tuple[int, int]:
    """A learner whose welcome mail is unknown, and that mail."""
    joined = world.join("ada@example.org")
    world.provider.answer = lambda _: LOST
    world.tick()
    world.provider.answer = lambda _: TAKEN
    assert world.lessons(joined) == [("welcome", "unknown")]
    return joined, world.rows(joined)[-1].id


def states(world: World, ids: list[int]) -> Counter[str]:
    return Counter(row.state for row in world.rows() if row.id in ids)


def resolve(world: World, order: Order, **which: object) -> Resolved:
    chosen = Which(**{"until": world.clock.course} | which)  # type: ignore[arg-type]
    return world.database.run(
        lambda s: resolving.resolve(
            s, chosen, order, who="robin", why="looked", now=world.clock.course
        )
    )


def orders(world: World) -> list[tuple[str, str, str | None]]:
    with world.database.reading() as session:
        return [(row.who, row.action, row.why) for row in session.scalars(select(Audit))]


# By hand ------------------------------------------------------------------------------------------


def test_resend_sends_once_more_and_says_who_ordered_it(world: World) -> None:
    (mail,) = lose(world, "ada")
    assert resolve(world, Order.RESEND) == Resolved(decided=1)
    world.tick()
    assert states(world, [mail]) == {"accepted": 1}
    assert len(world.provider.log) == 1
    assert orders(world) == [("robin", "resolve", "looked")]
    with world.database.reading() as session:
        (audit,) = session.scalars(select(Audit))
        assert audit.detail["deliveries"] == [mail]
        assert audit.detail["order"] == "resend"


@pytest.mark.parametrize(("order", "state"), [(Order.SENT, "accepted"), (Order.DROP, "cancelled")])
def test_what_is_settled_without_sending_lets_the_learner_go_on(
    world: World, order: Order, state: str
) -> None:
    joined, _ = lose_a_lesson(world)
    before = len(world.provider.log)
    assert resolve(world, order) == Resolved(decided=1)
    world.tick()
    assert len(world.provider.log) == before
    world.live_through(days=1)
    assert world.lessons(joined) == [("welcome", state), ("network", "accepted")]


def test_a_resent_lesson_leaves_at_once_however_late_it_is(world: World) -> None:
    joined, mail = lose_a_lesson(world)
    world.pass_time(hours=12)  # eleven at night
    resolve(world, Order.RESEND, delivery_id=mail)
    world.tick()
    assert world.lessons(joined)[0] == ("welcome", "accepted")


def test_only_what_was_asked_about_is_settled(world: World) -> None:
    first, second = lose(world, "ada", "bo")
    world.pass_time(days=2)
    (third,) = lose(world, "cy")
    assert resolve(world, Order.SENT, delivery_id=first).decided == 1
    assert resolve(world, Order.DROP, until=world.clock.course - timedelta(days=1)).decided == 1
    assert states(world, [first]) == {"accepted": 1}
    assert states(world, [second]) == {"cancelled": 1}
    assert states(world, [third]) == {"unknown": 1}


def test_nobody_who_has_left_is_mailed_again(world: World) -> None:
    joined, mail = lose_a_lesson(world)
    world.leave(joined)
    assert resolve(world, Order.RESEND) == Resolved(unwanted=1)
    assert states(world, [mail]) == {"cancelled": 1}


def test_an_event_that_came_first_has_won(world: World) -> None:
    (mail,) = lose(world, "ada")
    hear(world, mail, "processed")
    assert not resolve(world, Order.RESEND)
    assert states(world, [mail]) == {"accepted": 1}
    assert orders(world) == []


def test_an_event_that_comes_later_stops_what_waits_to_be_sent_again(world: World) -> None:
    (mail,) = lose(world, "ada")
    resolve(world, Order.RESEND)
    hear(world, mail, "processed")
    world.tick()
    assert world.provider.log == []
    assert states(world, [mail]) == {"accepted": 1}


# What speaks for and against ----------------------------------------------------------------------


def doubt(world: World, later: timedelta = RIPE) -> Doubt:
    with world.database.reading() as session:
        (found,) = evidence.doubts(session, world.settings, UNKNOWN, real_now(session) + later)
    return found


def lost_in_between(world: World) -> tuple[list[int], list[int], list[int]]:
    """Mails of three requests, of which the middle one's answer was lost."""
    return sign_up(world, "a1", "a2"), lose(world, "b1", "b2"), sign_up(world, "c1")


def heard(world: World, *mails: int) -> None:
    world.pass_time(minutes=1)
    for mail in mails:
        hear(world, mail, "processed")


def test_silence_counts_only_where_all_around_was_heard_of(world: World) -> None:
    before, lost, after = lost_in_between(world)
    assert (doubt(world).size, doubt(world).unknown, doubt(world).answer) == (2, 2, LOST.detail)
    assert (doubt(world).advice, doubt(world).evidence.last_event) == (Advice.WAIT, None)
    heard(world, *after)
    assert doubt(world).advice is Advice.WAIT
    assert "only 1 of 3 mails" in doubt(world).because
    heard(world, *before)
    assert doubt(world).advice is Advice.RESEND
    assert doubt(world, timedelta(hours=5)).advice is Advice.WAIT
    hear(world, lost[0], "delivered")
    assert (doubt(world).advice, doubt(world).unknown) == (Advice.SENT, 1)


def test_without_a_later_request_nothing_is_known(world: World) -> None:
    before = sign_up(world, "ada")
    lose(world, "bo")
    heard(world, *before)
    assert doubt(world).advice is Advice.WAIT
    assert "no request was accepted after it" in doubt(world).because


def test_only_the_nearest_requests_are_compared(world: World) -> None:
    sign_up(world, "old")  # never heard of: the webhook was set up later
    near = [mail for name in ("a", "b", "c") for mail in sign_up(world, name)]
    lose(world, "lost")
    heard(world, *near, *sign_up(world, "z"))
    assert doubt(world).advice is Advice.RESEND


# The policy `auto` --------------------------------------------------------------------------------


def auto(world: World, later: timedelta = RIPE, policy: str = "auto") -> int:
    settings = world.settings.model_copy(update={"unknown_policy": policy})
    return world.database.run(
        lambda s: resolving.resolve_auto(s, settings, world.clock.course, real_now(s) + later)
    )


def test_auto_resends_what_was_surely_not_taken(world: World) -> None:
    before, lost, after = lost_in_between(world)
    heard(world, *before, *after)
    assert auto(world, policy="hold") == 0
    assert auto(world, timedelta(hours=5)) == 0
    assert auto(world) == 2
    assert auto(world) == 0
    world.tick()
    assert states(world, lost) == {"accepted": 2}
    assert len(set(world.provider.log)) == len(world.provider.log) == 5
    assert orders(world)[0][:2] == ("minicourse", "resolve")


@pytest.mark.parametrize("silent", ["all", "a neighbour", "nobody"])
def test_auto_leaves_alone_what_may_have_been_taken(world: World, silent: str) -> None:
    before, lost, after = lost_in_between(world)
    if silent != "all":
        heard(world, *before)
    if silent == "nobody":
        heard(world, *after, lost[0])
    assert auto(world) == 0
    assert states(world, [lost[1]]) == {"unknown": 1}


def test_auto_cancels_what_nobody_wants_any_more(world: World) -> None:
    joined, mail = lose_a_lesson(world)
    heard(world, *sign_up(world, "bo"), *(row.id for row in world.rows(joined) if row.id != mail))
    world.leave(joined)
    assert auto(world) == 0
    assert states(world, [mail]) == {"cancelled": 1}


# Trying again -------------------------------------------------------------------------------------


def retry(world: World, mail: int | None = None) -> Retried:
    with world.database.reading() as session:
        ids = retries.to_retry(session, mail)
    return world.database.run(lambda s: retries.retry(s, ids, who="robin", now=world.clock.course))


def fail(world: World) -> tuple[int, int]:
    joined = world.join("ada@example.org")
    world.provider.answer = lambda _: BAD
    world.tick()
    world.provider.answer = lambda _: TAKEN
    assert world.lessons(joined) == [("welcome", "failed")]
    return joined, world.rows(joined)[-1].id


def due_of(world: World, enrollment_id: int, slug: str) -> list[datetime]:
    return [row.due_at for row in world.rows(enrollment_id) if row.message_key == slug]


def test_what_failed_is_superseded_by_a_new_mail_with_its_place_in_the_plan(world: World) -> None:
    joined, mail = fail(world)
    world.pass_time(hours=2)
    assert retry(world) == Retried(again=1, left=[])
    world.tick()
    assert world.lessons(joined) == [("welcome", "accepted")]
    old, new = due_of(world, joined, "welcome")
    assert old == new
    assert [row.superseded for row in world.rows(joined) if row.id == mail] == [True]
    assert orders(world) == [("robin", "retry", None)]
    assert retry(world) == Retried(again=0, left=[])


@pytest.mark.parametrize(
    ("reason", "again"),
    [
        ("Recipient List over Package Quota", 1),
        ("Spam Content (if Spam Checker app is enabled)", 1),
        ("Bounced Address", 0),  # SendGrid's suppression, and by now ours
    ],
)
def test_a_drop_for_quota_or_content_can_be_ordered_again(
    world: World, reason: str, again: int
) -> None:
    joined = world.join("ada@example.org")
    world.tick()
    hear(world, world.rows(joined)[-1].id, "dropped", reason=reason)
    assert retry(world).again == again
    world.tick()
    assert len(world.provider.mails_to("ada@example.org")) == 2 + again


def test_whoever_was_through_takes_part_until_the_mail_has_left(world: World) -> None:
    joined, _ = fail(world)
    pass_over_the_rest(world, joined)
    world.tick()
    assert world.state(joined) == "completed"
    assert retry(world).again == 1
    assert world.state(joined) == "active"
    world.tick()
    world.tick()
    assert world.lessons(joined)[-1] == ("welcome", "accepted")
    assert world.state(joined) == "completed"


def pass_over_the_rest(world: World, enrollment_id: int) -> None:
    now = world.clock.course
    with world.database.writing() as session:
        course = session.get_one(Enrollment, enrollment_id).course
        rest = courses.by_id(session, course.id).curriculum.lessons[1:]
        rows = [
            ledger.Planned(
                enrollment_id=enrollment_id,
                course_id=course.id,
                kind=MessageKind.LESSON,
                message_key=lesson.slug,
                due_at=now,
                rank=ledger.RANK_LESSON,
                reason="passed",
            )
            for lesson in rest
        ]
        ledger.plan(session, rows, now)
        ledger.look_again(session, [enrollment_id], now)


def test_whoever_has_left_is_named_and_not_mailed(world: World) -> None:
    joined, mail = fail(world)
    world.leave(joined)
    assert retry(world) == Retried(again=0, left=[mail])
    assert orders(world) == []


def test_a_retry_by_two_people_at_once_sends_one_mail(world: World) -> None:
    joined, mail = fail(world)
    for _ in range(2):
        world.database.run(lambda s: retries.retry(s, [mail], who="robin", now=world.clock.course))
    rows = [row for row in world.rows(joined) if row.kind == MessageKind.LESSON]
    assert Counter((row.state, row.superseded) for row in rows) == {
        ("failed", True): 1,
        ("pending", False): 1,
    }
