"""The pipeline: everybody gets everything once, in order, at their hour, whatever is answered."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from threading import get_ident
from time import sleep
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, event, func, select

from course import courses, delivery, holds, ledger, sources
from course.answers import Answer, Verdict
from course.db import real_now
from course.errors import ModeError
from course.mailer import Outgoing
from course.models import Installation, Request
from course.settings import parse_send_limits
from course.states import HoldKind, HoldScope
from tests.crowd import enroll
from tests.realtime import let_pass
from tests.world import TAKEN, World

SLUGS = ["welcome", "network", "market", "practice", "plan-b", "leverage", "decision"]
LOST = Answer(Verdict.UNKNOWN, None, detail="TimeoutError: timed out")
BUSY = Answer(Verdict.NOT_TAKEN, 429, detail="429 too many requests")


@pytest.fixture
def world(any_world: World) -> World:
    return any_world


def states(world: World) -> Counter[str]:
    return Counter(row.state for row in world.rows())


def accepted_at(world: World, enrollment_id: int, zone: str) -> list[datetime]:
    rows = [row for row in world.rows(enrollment_id) if row.kind == "lesson"]
    return [row.settled_at.astimezone(ZoneInfo(zone)) for row in rows if row.settled_at]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Los_Angeles", "Pacific/Kiritimati"])
def test_seven_mails_in_order_at_the_hour_of_their_own_zone(world: World, zone: str) -> None:
    joined = world.join("ada@example.org", "Ada", zone)
    world.live_through(days=21)
    assert world.lessons(joined) == [(slug, "accepted") for slug in SLUGS]
    assert world.state(joined) == "completed"
    later = accepted_at(world, joined, zone)[1:]
    assert all(moment.hour == 9 and moment.weekday() < 5 for moment in later)
    days = [moment.date() for moment in later]
    assert days == sorted(set(days))
    assert len(world.provider.log) == len(set(world.provider.log)) == 8


def test_thousands_share_one_request(world: World) -> None:
    for number in range(30):
        world.sign_up(f"p{number}@example.org", f"Person {number}")
    world.tick()
    assert [len(r.personalizations) for r in world.provider.requests] == [30]


def test_many_thousands_leave_in_several_calls_at_once(world: World) -> None:
    emails = [f"p{number}@example.org" for number in range(4500)]
    enroll(world.database, emails, [None], world.hash_key)
    threads = set()

    def answer(_: Outgoing) -> Answer:
        threads.add(get_ident())
        sleep(0.02)  # long enough for the others to claim
        return TAKEN

    world.provider.answer = answer
    report = world.tick()
    assert report.counts["accepted"] == len(set(world.provider.log)) == len(emails)
    assert len(world.provider.log) == len(emails)
    assert len(threads) > 1


def test_a_fault_in_one_of_several_calls_ends_the_tick(world: World) -> None:
    emails = [f"p{number}@example.org" for number in range(3500)]
    enroll(world.database, emails, [None], world.hash_key)

    calls = count(1)

    def answer(_: Outgoing) -> Answer:
        if next(calls) == 2:
            raise RuntimeError("the disk is full")
        return TAKEN

    world.provider.answer = answer
    with pytest.raises(RuntimeError, match="disk is full"):
        world.tick()
    lost = states(world)["sending"]
    assert lost in (500, 1000)  # whichever call came second
    world.provider.answer = lambda _: TAKEN
    world.tick()
    assert states(world) == {"accepted": 3500 - lost, "sending": lost}


def test_who_stops_between_requests_leaves_nothing_behind(world: World) -> None:
    emails = [f"p{number}@example.org" for number in range(4500)]
    enroll(world.database, emails, [None], world.hash_key)
    delivery.tick(world.office, stop=lambda: len(world.provider.log) >= 2000)
    left = states(world)
    assert left["accepted"] == len(set(world.provider.log)) == len(world.provider.log)
    assert set(left) == {"accepted", "pending"}
    assert left["pending"] > 0
    world.tick()
    assert states(world) == {"accepted": 4500}


def test_one_commit_settles_a_batch_lets_the_next_cross_and_claims_a_third(world: World) -> None:
    if not world.database.is_sqlite:
        return  # there each batch is on its own
    emails = [f"p{number}@example.org" for number in range(8000)]
    enroll(world.database, emails, [None], world.hash_key)
    steps: list[str] = []

    @event.listens_for(world.database.engine, "commit")
    def commit(connection: Connection) -> None:
        if connection.get_execution_options().get("minicourse_writing"):
            steps.append("commit")

    delivery.tick(replace(world.office, reached=steps.append))
    assert states(world) == {"accepted": 8000}
    sending = steps[steps.index("claimed") :]
    assert sending.count("settled") == 8
    assert sending.count("commit") < 2 * 8  # with one for each step it would be three


def test_each_person_gets_complete_headers_and_our_id_but_no_address_in_it(world: World) -> None:
    joined = world.join("ada@example.org", "Ada")
    world.tick()
    confirmation, welcome = (r.personalizations[0] for r in world.provider.requests)
    assert confirmation.name == ""
    assert confirmation.headers["List-Unsubscribe"] == welcome.headers["List-Unsubscribe"]
    assert confirmation.headers["Auto-Submitted"] == "auto-generated"
    assert welcome.name == "Ada"
    assert welcome.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert welcome.headers["List-Unsubscribe"].startswith("<http://127.0.0.1:8000/unsubscribe/")
    assert welcome.headers["List-Id"] == "<job-search.127.0.0.1>"
    installation, _, number = welcome.custom_args["minicourse_delivery"].partition("-")
    assert len(installation) == 8
    assert int(number) == world.rows(joined)[-1].id


def test_what_was_sent_is_the_revision_that_was_live_when_it_was_claimed(world: World) -> None:
    joined = world.join("ada@example.org")
    world.tick()
    assert world.rows(joined)[-1].revision_id == 1


def test_a_lost_answer_leaves_the_row_unknown_and_never_sends_it_again(world: World) -> None:
    world.provider.answer = lambda _: LOST
    world.provider.takes_silently = True
    joined = world.sign_up("ada@example.org")
    world.tick()
    assert states(world) == {"unknown": 1}
    world.provider.answer = lambda _: TAKEN
    world.clock.wall += timedelta(days=3)
    world.pass_time(days=3)
    for _ in range(3):
        world.tick()
    assert len(world.provider.log) == 1
    assert [row.state for row in world.rows(joined)] == ["unknown"]


def test_after_a_lost_answer_the_next_request_carries_one_row(world: World) -> None:
    for number in range(20):
        world.sign_up(f"a{number}@example.org")
    world.provider.answer = lambda _: LOST
    world.tick()
    assert states(world) == {"unknown": 20}
    for number in range(20):
        world.sign_up(f"b{number}@example.org")
    world.tick()  # one row at once; its answer is lost too, so now there is a wait
    world.tick()
    assert states(world) == {"unknown": 21, "pending": 19}
    world.provider.answer = lambda _: TAKEN
    with world.database.writing() as session:
        session.get_one(Installation, 1).breaker_until = real_now(session)
    world.tick()
    assert [len(r.personalizations) for r in world.provider.requests] == [20, 1, 1, 10, 8]
    assert states(world) == {"unknown": 21, "accepted": 19}


@pytest.mark.parametrize("verdict", [Verdict.NOT_TAKEN, Verdict.ACCEPTED])
def test_when_the_rate_is_used_up_nobody_sends_until_it_is_renewed(
    world: World, verdict: Verdict
) -> None:
    world.sign_up("ada@example.org")
    world.provider.answer = lambda _: Answer(verdict, 429, retry_after_seconds=60)
    world.tick()
    world.provider.answer = lambda _: TAKEN
    world.sign_up("bob@example.org")
    world.tick()
    assert len(world.provider.requests) == 1
    with world.database.writing() as session:
        let_pass(session, timedelta(seconds=70))
    world.tick()
    assert len(world.provider.requests) == 2
    assert states(world) == {"accepted": 2}


def test_a_definite_no_is_tried_again_later(world: World) -> None:
    world.provider.answer = lambda _: BUSY
    joined = world.sign_up("ada@example.org")
    world.tick()
    (row,) = world.rows(joined)
    assert (row.state, row.tries) == ("pending", 1)
    assert row.retry_at is not None
    world.provider.answer = lambda _: TAKEN
    assert not world.tick().counts["accepted"]
    with world.database.writing() as session:
        session.merge(row).retry_at = real_now(session)
    assert world.tick().counts["accepted"] == 1


def test_a_named_bad_row_fails_alone(world: World) -> None:
    for number in range(5):
        world.sign_up(f"p{number}@example.org")

    def picky(outgoing):
        bad = [n for n, p in enumerate(outgoing.personalizations) if p.to == "p3@example.org"]
        return Answer(Verdict.BAD_REQUEST, 400, detail="bad", bad_rows=tuple(bad)) if bad else TAKEN

    world.provider.answer = picky
    world.tick()
    assert states(world) == {"accepted": 4, "failed": 1}


def test_an_unnamed_bad_row_is_found_by_halving(world: World) -> None:
    for number in range(9):
        world.sign_up(f"p{number}@example.org")

    def picky(outgoing):
        bad = any(p.to == "p6@example.org" for p in outgoing.personalizations)
        return Answer(Verdict.BAD_REQUEST, 400, detail="something") if bad else TAKEN

    world.provider.answer = picky
    world.tick()
    failed = [row for row in world.rows() if row.state == "failed"]
    assert states(world) == {"accepted": 8, "failed": 1}
    assert failed[0].reason == "something"


def test_a_message_that_is_refused_for_everyone_is_held_not_failed(world: World) -> None:
    for number in range(20):
        world.sign_up(f"p{number}@example.org")
    world.provider.answer = lambda _: Answer(Verdict.BAD_REQUEST, 400, detail="no")
    world.tick()
    assert states(world) == {"pending": 20}
    assert len(world.provider.requests) < 15
    with world.database.reading() as session:
        assert [hold.kind for hold in holds.standing(session)] == ["lesson"]


def test_several_bad_rows_are_all_found(world: World) -> None:
    for number in range(32):
        world.sign_up(f"p{number}@example.org")
    bad = {"p3@example.org", "p4@example.org", "p21@example.org", "p31@example.org"}

    def picky(outgoing):
        some = any(p.to in bad for p in outgoing.personalizations)
        return Answer(Verdict.TOO_LARGE, 413, detail="413") if some else TAKEN

    world.provider.answer = picky
    world.tick()
    assert states(world) == {"accepted": 28, "failed": 4}


def test_a_row_whose_claims_are_lost_is_claimed_alone_and_fails_at_last(world: World) -> None:
    for number in range(3):
        world.sign_up(f"p{number}@example.org")
    claimed: list[int] = []
    lease = timedelta(seconds=60)
    real = real_now_of(world)
    for _ in range(2):
        with world.database.writing() as session:
            rows = ledger.claim(session, "x", 9, now=world.clock.now(), real=real, lease=lease)
            assert len(rows) == 3
            real += timedelta(seconds=61)
            ledger.reap(session, now=world.clock.now(), real=real, lease=lease)
    for _ in range(20):
        with world.database.writing() as session:
            claim = partial(
                ledger.claim, session, "x", now=world.clock.now(), real=real, lease=lease
            )
            assert claim(9) == []
            rows = claim(1, suspects=True)
            claimed.append(len(rows))
            real += timedelta(seconds=61)
            ledger.reap(session, now=world.clock.now(), real=real, lease=lease)
    assert sum(claimed) == 15
    assert states(world) == {"failed": 3}


def test_a_lease_from_before_a_step_back_of_the_clock_is_over(world: World) -> None:
    world.sign_up("ada@example.org")
    lease = timedelta(seconds=60)
    with world.database.writing() as session:
        real = real_now(session)
        ahead = real + timedelta(hours=1)
        ledger.claim(session, "x", 9, now=world.clock.now(), real=ahead, lease=lease)
        assert ledger.reap(session, now=world.clock.now(), real=real, lease=lease) == (1, 0)


def real_now_of(world: World) -> datetime:
    with world.database.reading() as session:
        return real_now(session)


def test_a_fault_of_the_message_itself_holds_that_lesson_alone(world: World) -> None:
    joined = world.join("ada@example.org")
    refusal = Answer(Verdict.BAD_REQUEST, 400, detail="subject: required", whole_message=True)
    world.provider.answer = lambda o: refusal if "job-search/welcome" in o.categories else TAKEN
    world.tick()
    assert world.lessons(joined) == [("welcome", "pending")]
    assert world.join("bob@example.org")  # confirmations go on
    with world.database.reading() as session:
        (hold,) = holds.standing(session)
    assert (hold.scope, hold.lesson, hold.kind) == ("lesson", "welcome", "lesson")


@pytest.mark.parametrize(
    ("verdict", "kind", "scope"),
    [
        (Verdict.KEY_REFUSED, "key", "all"),
        (Verdict.REFUSED, "key", "all"),
        (Verdict.CREDITS_USED_UP, "credits", "all"),
        (Verdict.SENDER_UNVERIFIED, "sender", "course"),
    ],
)
def test_a_refusal_holds_and_a_probe_goes_on_by_itself(
    world: World, verdict: Verdict, kind: str, scope: str
) -> None:
    world.provider.answer = lambda _: Answer(verdict, 401, detail="no")
    for number in range(3):
        world.sign_up(f"p{number}@example.org")
    world.tick()
    world.tick()
    assert len(world.provider.requests) == 1
    with world.database.writing() as session:
        (hold,) = holds.standing(session)
        assert (hold.kind, hold.scope) == (kind, scope)
        hold.probe_at = real_now(session)
    world.provider.answer = lambda _: TAKEN
    world.tick()
    assert [len(r.personalizations) for r in world.provider.requests] == [3, 1, 2]
    assert states(world) == {"accepted": 3}


def test_a_hold_is_obeyed_until_it_is_released(world: World) -> None:
    joined = world.join("ada@example.org")
    with world.database.writing() as session:
        now = world.clock.now()
        hold = holds.place(
            session, holds.Scope(), HoldKind.MANUAL, why="proof-reading", who="me", now=now
        )
    world.tick()
    assert world.lessons(joined) == [("welcome", "pending")]
    with world.database.writing() as session:
        assert holds.release(session, [hold.id], "me", world.clock.now()) == 1
    world.tick()
    assert world.lessons(joined) == [("welcome", "accepted")]


def test_a_hold_that_comes_after_the_claim_stops_at_the_line(world: World) -> None:
    joined = world.join("ada@example.org")
    sent_before = len(world.provider.requests)

    def place_hold(label: str) -> None:
        if label == "rendered":
            with world.database.writing() as session:
                scope = holds.Scope(HoldScope.LESSON, course_id=1, lesson="welcome")
                holds.place(
                    session, scope, HoldKind.MANUAL, why="x", who="me", now=world.clock.now()
                )

    delivery.tick(replace(world.office, reached=place_hold))
    assert len(world.provider.requests) == sent_before
    assert world.lessons(joined) == [("welcome", "pending")]


def test_leaving_between_claim_and_line_cancels(world: World) -> None:
    joined = world.join("ada@example.org")

    def leave(label: str) -> None:
        if label == "rendered":
            world.leave(joined)

    delivery.tick(replace(world.office, reached=leave))
    assert world.lessons(joined) == [("welcome", "cancelled")]
    assert len(world.provider.log) == 1  # the confirmation


def test_a_process_that_sleeps_between_line_and_bytes_does_not_send(world: World) -> None:
    joined = world.join("ada@example.org")
    sent_before = len(world.provider.requests)

    def sleep_once(label: str) -> None:
        if label == "crossed" and world.clock.boot == 0:
            assert world.lessons(joined) == [("welcome", "sending")]
            world.clock.boot = 60

    delivery.tick(replace(world.office, reached=sleep_once))
    assert len(world.provider.requests) == sent_before
    assert world.lessons(joined) == [("welcome", "pending")]
    world.tick()
    assert len(world.provider.requests) == sent_before + 1
    assert world.lessons(joined) == [("welcome", "accepted")]
    with world.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Request)) == 3


def test_the_reaper_gives_back_claims_and_doubts_what_had_crossed(world: World) -> None:
    for number in range(2):
        world.sign_up(f"p{number}@example.org")
    with world.database.writing() as session:
        real, now = real_now(session), world.clock.now()
        lease = timedelta(seconds=60)
        rows = ledger.claim(session, "me", 9, now=now, real=real, lease=lease)
        ledger.cross(session, [rows[0].id], "me", revision_id=1, now=now, real=real)
        assert ledger.reap(session, now=now, real=real, lease=lease) == (0, 0)
        late = real + timedelta(seconds=61)
        assert ledger.reap(session, now=now, real=late, lease=lease) == (1, 1)
    assert states(world) == {"pending": 1, "unknown": 1}


def test_a_late_accept_wins_over_unknown(world: World) -> None:
    world.sign_up("ada@example.org")
    with world.database.writing() as session:
        real, now = real_now(session), world.clock.now()
        (row,) = ledger.claim(session, "me", 9, now=now, real=real, lease=timedelta(seconds=60))
        crossed = ledger.cross(session, [row.id], "me", revision_id=1, now=now, real=real)
        assert crossed is not None
        late = real + timedelta(seconds=61)
        ledger.reap(session, now=now, real=late, lease=timedelta(seconds=60))
        assert ledger.give_back(session, [row.id], "me") == 0
        assert ledger.accept(session, crossed, now) == 1
    assert states(world) == {"accepted": 1}


def test_nothing_crosses_with_a_lease_that_is_over(world: World) -> None:
    world.sign_up("ada@example.org")
    with world.database.writing() as session:
        real, now = real_now(session), world.clock.now()
        (row,) = ledger.claim(session, "me", 9, now=now, real=real, lease=timedelta(seconds=1))
        late = real + timedelta(seconds=2)
        assert ledger.cross(session, [row.id], "me", revision_id=1, now=now, real=late) is None


def test_the_send_limit_holds(world: World) -> None:
    settings = world.settings.model_copy(update={"send_limit": parse_send_limits("3/hour")})
    world.settings = settings
    for number in range(5):
        world.sign_up(f"p{number}@example.org")
    world.tick()
    world.tick()
    assert states(world) == {"accepted": 3, "pending": 2}
    assert {row.reason for row in world.rows() if row.state == "pending"} == {"SEND_LIMIT"}


def test_a_live_database_is_never_sent_to_a_stand_in(world: World) -> None:
    world.sign_up("ada@example.org")
    with world.database.writing() as session:
        session.get_one(Installation, 1).mode = "live"
    with pytest.raises(ModeError, match="became live"):
        world.tick()
    assert world.provider.requests == []


def test_a_tick_with_nothing_due_does_nothing(world: World) -> None:
    report = world.tick()
    assert not report.did_something
    assert world.provider.requests == []


def test_an_edited_wait_counts_for_those_who_wait_already(world: World) -> None:
    joined = world.join("ada@example.org")
    world.tick()
    world.tick()
    lesson = world.settings.home / "lessons" / "job-search" / "02-network.md"
    lesson.write_text(lesson.read_text().replace("after: 1", "after: 6"))
    with world.database.writing() as session:
        source = sources.read(world.settings.home, "job-search")
        courses.apply(session, source, "me", world.clock.now())
    world.live_through(days=3)
    assert world.lessons(joined) == [("welcome", "accepted")]
    world.live_through(days=5)
    assert world.lessons(joined)[1] == ("network", "accepted")


def test_rows_of_a_removed_lesson_are_cancelled_and_the_learner_goes_on(world: World) -> None:
    joined = world.join("ada@example.org")
    world.tick()
    with world.database.writing() as session:
        scope = holds.Scope(HoldScope.LESSON, course_id=1, lesson="network")
        hold = holds.place(
            session, scope, HoldKind.MANUAL, why="x", who="me", now=world.clock.now()
        )
    world.live_through(days=1)
    assert world.lessons(joined)[-1] == ("network", "pending")
    (world.settings.home / "lessons" / "job-search" / "02-network.md").unlink()
    with world.database.writing() as session:
        courses.apply(
            session, sources.read(world.settings.home, "job-search"), "me", world.clock.now()
        )
        holds.release(session, [hold.id], "me", world.clock.now())
    assert world.lessons(joined)[-1] == ("network", "cancelled")
    world.live_through(days=12)
    assert [slug for slug, state in world.lessons(joined) if state == "accepted"] == [
        slug for slug in SLUGS if slug != "network"
    ]
