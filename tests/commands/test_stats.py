"""`stats`: sums of the ledger, and a dash where nobody can know."""

import json
from typing import Any

from tests.commands.conftest import Minicourse, edit, hear, lesson_row
from tests.world import World

UNHEARD = dict.fromkeys("delivered opened clicked bounced dropped complained".split())


def _stats(minicourse: Minicourse) -> tuple[dict[str, Any], dict[str, Any]]:
    found = json.loads(minicourse("stats", "--json").out)
    (cohort,) = found["cohorts"]
    return {line["lesson"]: line for line in found["lessons"]}, cohort


def _track(world: World, minicourse: Minicourse, word: str) -> None:
    edit(world, "course.toml", f"{word} = false", f"{word} = true")
    assert minicourse("course", "apply", "job-search").status == 0


def test_what_was_never_heard_is_unknown_not_nothing(world: World, minicourse: Minicourse) -> None:
    world.join("ada@example.org")
    world.join("kim@example.com")
    world.tick()
    lessons, cohort = _stats(minicourse)
    assert lessons["welcome"] == {
        "course": "job-search",
        "lesson": "welcome",
        "number": 1,
        "sent": 2,
        "unsubscribed": 0,
        **UNHEARD,
    }
    assert lessons["network"]["sent"] == 0
    assert cohort == {
        "course": "job-search",
        "cohort": "evergreen",
        "signed_up": 2,
        "confirmed": 2,
        "active": 2,
        "completed": 0,
    }
    assert minicourse("stats").out.splitlines()[3].split() == [
        *("welcome", "2", "–", "–", "–", "0", "–", "–", "–")
    ]


def test_each_outcome_is_counted_once_under_its_lesson(
    world: World, minicourse: Minicourse
) -> None:
    people = [world.join(f"p{number}@example.org") for number in range(4)]
    world.tick()
    mails = [lesson_row(world, person, "welcome") for person in people]
    for mail in mails[:3]:
        hear(world, mail, "processed")
        hear(world, mail, "delivered")
    hear(world, mails[0], "bounce", type="bounce", reason="550")
    hear(world, mails[1], "spamreport")
    hear(world, mails[3], "dropped", reason="Bounced Address")
    lessons, _ = _stats(minicourse)
    welcome = lessons["welcome"]
    counted = {name: welcome[name] for name in ("sent", *UNHEARD)}
    assert counted == {
        "sent": 4,
        "delivered": 2,
        "bounced": 1,
        "dropped": 1,
        "complained": 1,
        "opened": None,
        "clicked": None,
    }
    assert lessons["network"]["delivered"] == 0


def test_opens_of_mails_that_left_untracked_stay_unknown_when_tracking_begins(
    world: World, minicourse: Minicourse
) -> None:
    number = world.join("kim@example.com")
    world.tick()
    hear(world, lesson_row(world, number, "welcome"), "delivered")
    _track(world, minicourse, "opens")
    world.live_through(1)
    lessons, _ = _stats(minicourse)
    assert lessons["welcome"]["opened"] is None
    assert (lessons["network"]["sent"], lessons["network"]["opened"]) == (1, 0)
    assert lessons["network"]["clicked"] is None


def test_an_open_that_comes_counts_whatever_tracking_says_and_once_a_mail(
    world: World, minicourse: Minicourse
) -> None:
    number = world.join("kim@example.com")
    world.tick()
    mail = lesson_row(world, number, "welcome")
    hear(world, mail, "open", sg_event_id="one")
    hear(world, mail, "open", sg_event_id="two")
    hear(world, mail, "click", url="https://example.com/")
    lessons, _ = _stats(minicourse)
    assert (lessons["welcome"]["opened"], lessons["welcome"]["clicked"]) == (1, 1)


def test_a_leaving_counts_for_the_last_lesson_before_it(
    world: World, minicourse: Minicourse
) -> None:
    first, second = world.join("ada@example.org"), world.join("kim@example.com")
    world.tick()
    world.leave(first)
    world.live_through(1)
    world.leave(second)
    lessons, cohort = _stats(minicourse)
    left = {slug: line["unsubscribed"] for slug, line in lessons.items() if line["unsubscribed"]}
    assert left == {"welcome": 1, "network": 1}
    assert (cohort["confirmed"], cohort["active"]) == (2, 0)


def test_a_removed_lesson_keeps_its_numbers_behind_the_others(
    world: World, minicourse: Minicourse
) -> None:
    world.join("kim@example.com")
    world.live_through(1)
    (world.settings.home / "lessons/job-search/02-network.md").unlink()
    minicourse("course", "apply", "job-search")
    lessons, _ = _stats(minicourse)
    assert list(lessons)[-1] == "network"
    assert (lessons["network"]["number"], lessons["network"]["sent"]) == (None, 1)
    assert "(removed)" in minicourse("stats").out


def test_a_finished_course_is_counted(world: World, minicourse: Minicourse) -> None:
    world.join("kim@example.com")
    world.live_through(12)
    lessons, cohort = _stats(minicourse)
    assert [line["sent"] for line in lessons.values()] == [1] * 7
    assert (cohort["active"], cohort["completed"]) == (0, 1)
