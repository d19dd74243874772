"""The figures of `stats` against a recount by hand, from the events and the ledger as they lie."""

import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from course.models import Cohort, Delivery, Enrollment, Event, Request, Revision, Subscriber
from course.stats import chosen, cohorts, daily, deliverability, lessons, overall
from tests.made_up import Past
from tests.world import START, World

DAYS = 10
RANK = {"processed": 1, "deferred": 2, "delivered": 3, "bounced": 4, "blocked": 4, "dropped": 5}


class Recount:
    """Everything read into memory, and counted in the plainest way."""

    def __init__(self, world: World) -> None:
        with world.database.reading() as session:
            self.cohorts = {one.id: one for one in session.scalars(select(Cohort))}
            self.people = {one.id: one for one in session.scalars(select(Subscriber))}
            self.requests = {one.id: one for one in session.scalars(select(Request))}
            self.learners = {
                one.id: one
                for one in session.scalars(select(Enrollment))
                if self.cohorts[one.cohort_id].rehearsal_every is None
            }
            self.mails = [
                one
                for one in session.scalars(select(Delivery))
                if one.enrollment_id in self.learners
            ]
            self.tracked = {
                one.id
                for one in session.scalars(select(Revision))
                if tomllib.loads(one.files["course.toml"])["tracking"]["opens"]
            }
            self.events: dict[int | None, list[Event]] = defaultdict(list)
            for event in session.scalars(select(Event)):
                self.events[event.delivery_id].append(event)

    def outcome(self, mail: Delivery) -> str:
        read = {"opened": "delivered", "clicked": "delivered"}
        told = [read.get(one.kind, one.kind) for one in self.events[mail.id]]
        known = [kind for kind in told if kind in RANK]
        return max(known, key=lambda kind: RANK[kind], default="")

    def counted(self, mail: Delivery) -> set[str]:
        """What this mail counts as, beside sent."""
        events, outcome = self.events[mail.id], self.outcome(mail)
        found = {"bounced"} if outcome in ("bounced", "blocked") else {outcome}
        found |= {"complained" for one in events if one.kind == "complained"}
        if outcome != "delivered" or mail.revision_id not in self.tracked:
            return found
        arrived = [one.at for one in events if one.kind == "delivered"]
        clicks = [one for one in events if one.kind == "clicked"]
        haste = None
        is_burst = False
        if arrived:
            early = [one.url for one in clicks if one.at <= arrived[0] + timedelta(seconds=10)]
            is_burst = len(set(early)) > 1
            haste = arrived[0] + timedelta(seconds=10 if is_burst else 2)
        by_people = [one for one in clicks if haste is None or one.at > haste]
        opens = [one for one in events if one.kind == "opened"]
        seen = [
            one
            for one in opens
            if not one.is_machine and not (is_burst and haste and one.at <= haste)
        ]
        if seen:
            found.add("opened")
        elif opens:
            found.add("machine_opened")
        else:
            found.add("open_unknown")
        if by_people:
            found.add("clicked")
        elif clicks:
            found.add("machine_clicked")
        return found

    def sent(self, where: Callable[[Delivery], bool]) -> list[Delivery]:
        return [one for one in self.mails if one.state == "accepted" and where(one)]

    def number(self, mails: Iterable[Delivery], word: str) -> int:
        return sum(word in self.counted(mail) for mail in mails)


@pytest.mark.parametrize("seed", [1, 2])
def test_all_figures_are_those_of_a_recount(seed: int, any_world: World) -> None:
    Past(any_world, Random(seed)).happen(60)
    recount = Recount(any_world)
    lessons_are_what_the_events_say(any_world, recount)
    leavings_are_under_the_last_lesson_before_them(any_world, recount)
    cohorts_are_what_the_ledger_says_and_rehearsals_none(any_world, recount)
    for zone in ("Europe/Berlin", "Pacific/Kiritimati", "America/St_Johns"):
        days_are_those_of_the_zone(any_world, recount, zone)
    domains_are_those_of_the_addresses(any_world, recount)


def lessons_are_what_the_events_say(lived: World, recount: Recount) -> None:
    with lived.database.reading() as session:
        live = chosen(session, None)
        steps = lessons.funnel(session, live)
        plain = overall(session)
    order = list(live[0].curriculum.by_slug)
    for step, one in zip(steps, plain.lessons, strict=True):
        mails = recount.sent(lambda mail, slug=step.lesson: mail.message_key == slug)  # type: ignore[misc]
        assert step.sent == one.sent == len(mails)
        for name in (
            *("delivered", "bounced", "dropped", "complained", "opened", "clicked"),
            *("machine_opened", "machine_clicked", "open_unknown"),
        ):
            assert getattr(step, name) == recount.number(mails, name), (step.lesson, name)
            assert getattr(one, name, recount.number(mails, name)) == getattr(step, name)
        planned = [mail for mail in recount.mails if mail.message_key == step.lesson]
        assert step.entered == len({one.enrollment_id for one in planned if has_entered(one)})
        tracked = [mail for mail in mails if mail.revision_id in recount.tracked]
        known = recount.number(tracked, "delivered")
        assert step.opens_tracked == step.clicks_tracked == one.opens_tracked == known
        assert known == (step.opened or 0) + (step.machine_opened or 0) + (step.open_unknown or 0)
        _check_the_way(recount, step, order)
    assert sum(step.sent for step in steps) > 100


def has_entered(mail: Delivery) -> bool:
    return mail.state == "accepted" or (mail.edition == 0 and mail.reason != "had it before")


def _check_the_way(recount: Recount, step: lessons.Step, order: list[str]) -> None:
    came_to: dict[int, list[int]] = defaultdict(list)
    for mail in recount.sent(lambda _: True):
        came_to[mail.enrollment_id].append(order.index(mail.message_key))
    place = order.index(step.lesson)
    here = {learner: places for learner, places in came_to.items() if place in places}
    assert step.went_on == sum(max(places) > place for places in here.values())
    assert step.dropped_off == sum(
        max(places) == place and recount.learners[learner].state == "cancelled"
        for learner, places in here.items()
    )


def leavings_are_under_the_last_lesson_before_them(lived: World, recount: Recount) -> None:
    left: dict[str, int] = defaultdict(int)
    for learner in recount.learners.values():
        if learner.state == "cancelled" and learner.reason in ("unsubscribed", "taken out"):
            before = [
                (mail.settled_at, mail.id, mail.message_key)
                for mail in recount.sent(lambda mail, who=learner.id: mail.enrollment_id == who)  # type: ignore[misc]
                if mail.settled_at and learner.ended_at and mail.settled_at <= learner.ended_at
            ]
            if before:
                left[max(before)[2]] += 1
    with lived.database.reading() as session:
        found = {one.lesson: one.unsubscribed for one in overall(session).lessons}
    assert {slug: number for slug, number in found.items() if number} == left


def cohorts_are_what_the_ledger_says_and_rehearsals_none(lived: World, recount: Recount) -> None:
    with lived.database.reading() as session:
        live = chosen(session, None)
        found = cohorts.side_by_side(session, live)
        plain = cohorts.read(session, live)
    assert [one.cohort for one in found] == ["evergreen", "spring"]
    for one, short in zip(found, plain, strict=True):
        own = [
            learner
            for learner in recount.learners.values()
            if recount.cohorts[learner.cohort_id].name == one.cohort
        ]
        states = [learner.state for learner in own]
        assert one.signed_up == short.signed_up == len(own)
        assert one.confirmed == short.confirmed == sum(bool(each.confirmed_at) for each in own)
        for name in ("active", "paused", "completed"):
            assert getattr(one, name) == states.count(name)
        assert one.unsubscribed == sum(
            each.state == "cancelled" and each.reason in ("unsubscribed", "taken out")
            for each in own
        )
        ids = {each.id for each in own}
        mails = recount.sent(lambda mail, ids=ids: mail.enrollment_id in ids)  # type: ignore[misc]
        assert one.sent == len(mails)
        tracked = [mail for mail in mails if mail.revision_id in recount.tracked]
        assert one.opens_tracked == recount.number(tracked, "delivered")
        for name in ("delivered", "opened", "clicked", "bounced", "complained"):
            assert getattr(one, name) == recount.number(mails, name)


def days_are_those_of_the_zone(lived: World, recount: Recount, zone: str) -> None:
    local = ZoneInfo(zone)

    def day(moment: datetime | None) -> date:
        return (moment or datetime(1970, 1, 1, tzinfo=UTC)).astimezone(local).date()

    with lived.database.reading() as session:
        found = daily.by_day(session, chosen(session, None), START, DAYS, local)
    assert len(found.days) == DAYS
    assert found.days[-1].day == day(START)
    sent = [
        recount.requests[mail.request_id].sent_at
        for mail in recount.sent(lambda _: True)
        if mail.request_id
    ]
    learners = recount.learners.values()
    for one in found.days:
        assert one.signed_up == sum(day(each.created_at) == one.day for each in learners)
        assert one.sent == sum(day(moment) == one.day for moment in sent)
        assert one.unsubscribed == sum(
            each.state == "cancelled"
            and each.reason in ("unsubscribed", "taken out")
            and day(each.ended_at) == one.day
            for each in learners
        )


def domains_are_those_of_the_addresses(lived: World, recount: Recount) -> None:
    since = START - timedelta(days=DAYS)
    with lived.database.reading() as session:
        found = deliverability.read(session, chosen(session, None), START, DAYS)
    by_domain: dict[str, list[Delivery]] = defaultdict(list)
    for mail in recount.sent(lambda _: True):
        if mail.request_id and recount.requests[mail.request_id].sent_at >= since:
            learner = recount.learners[mail.enrollment_id]
            email = recount.people[learner.subscriber_id].email
            by_domain[email.split("@")[1] if email else "(erased)"].append(mail)
    assert {one.domain: one.sent for one in found.domains} == {
        domain: len(mails) for domain, mails in by_domain.items()
    }
    for one in found.domains:
        mails = by_domain[one.domain]
        for name in ("delivered", "bounced"):
            assert getattr(one, name) == recount.number(mails, name)
        complained: Any = recount.number(mails, "complained")
        if one.domain == "gmail.com" and not complained:
            complained = None
        assert one.complained == complained
    assert found.total.sent == sum(map(len, by_domain.values()))


def test_without_tracking_nobody_knows_and_rehearsals_count_nowhere(world: World) -> None:
    past = Past(world, Random(7))
    past.happen(20, tracked=False)
    with world.database.reading() as session:
        found = overall(session)
    assert found.courses[0].delivered
    untracked = [one for one in found.lessons if not one.sent]
    assert all(one.opened is None and one.clicked is None for one in untracked)
