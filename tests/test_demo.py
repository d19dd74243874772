"""The demo's claims can fail: each is broken here in turn."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pytest

from course import curriculum, sources
from course.demo.claims import check
from course.demo.stage import without_settings
from course.demo.story import CONFIRMED, LEAVER, PEOPLE, START, Received, Story
from course.settings import SOURCE_ROOT
from course.stats import CohortStats, LessonStats, Stats

COURSE = curriculum.parse("job-search", sources.read(SOURCE_ROOT, "job-search").files)
SLUGS = [lesson.slug for lesson in COURSE.lessons]
DAYS = [date(2026, 3, day) for day in (6, 9, 10, 11, 12, 13)]
LEAVER_GOT = 4


def true_story() -> Story:
    received = []
    for person in PEOPLE:
        received.append(Received(person, "confirmation", START, {}))
        received.append(Received(person, SLUGS[0], CONFIRMED, {}))
        for slug, day in zip(SLUGS[1:], DAYS, strict=True):
            at = datetime.combine(day, time(9), person.zone)
            received.append(Received(person, slug, at, {}))
    late = [one for one in received if one.person == LEAVER][LEAVER_GOT + 1 :]
    received = [one for one in received if one not in late]
    return Story(400, received, 0, Stats(list(map(lesson_stats, SLUGS)), [cohort_stats()]))


def lesson_stats(slug: str) -> LessonStats:
    number = SLUGS.index(slug)
    sent = 3 if number < LEAVER_GOT else 2
    left = int(number == LEAVER_GOT - 1)
    return LessonStats(
        "job-search", slug, number + 1, sent, sent, None, None, left, 0, 0, 0, None, None
    )


def cohort_stats() -> CohortStats:
    return CohortStats("job-search", "evergreen", 3, 3, 0, 2, 1)


def failing(story: Story) -> list[int]:
    return [number for number, claim in enumerate(check(story, COURSE)) if not claim.holds]


def mail(story: Story, person: int, what: str) -> Received:
    return next(one for one in story.of(PEOPLE[person]) if one.what == what)


def moved(story: Story, person: int, what: str, **by: float) -> Story:
    old = mail(story, person, what)
    new = replace(old, at=old.at + timedelta(**by))
    return replace(story, received=[new if one == old else one for one in story.received])


def without(story: Story, person: int, what: str) -> Story:
    old = mail(story, person, what)
    return replace(story, received=[one for one in story.received if one != old])


def more(story: Story, *mails: Received) -> Story:
    return replace(story, received=[*story.received, *mails])


def counted(story: Story, **numbers: object) -> Story:
    return replace(story, stats=replace(story.stats, **numbers))  # type: ignore[arg-type]


def test_a_true_story_holds() -> None:
    assert failing(true_story()) == []


@pytest.mark.parametrize(
    ("lie", "claims"),
    [
        (lambda s: replace(s, refused=202), [0]),
        (lambda s: replace(s, strays=1), [0]),
        (lambda s: moved(s, 0, SLUGS[0], hours=1), [1]),
        (lambda s: without(s, 2, SLUGS[3]), [2, 5]),
        (lambda s: more(s, mail(s, 0, SLUGS[6])), [2, 4, 5]),
        (lambda s: more(without(s, 0, SLUGS[2]), mail(s, 0, SLUGS[2])), [2, 4]),
        (lambda s: more(s, replace(mail(s, 0, SLUGS[4]), person=LEAVER)), [3, 4, 5]),
        (lambda s: moved(s, 2, SLUGS[2], minutes=30), [4]),
        (lambda s: moved(s, 2, SLUGS[6], days=1), [4]),
        (lambda s: counted(s, cohorts=[replace(cohort_stats(), active=1, completed=1)]), [5]),
        (lambda s: counted(s, lessons=[lesson_stats(SLUGS[0])]), [5]),
    ],
    ids=[
        "the form took anything",
        "a mail to a stranger",
        "a late welcome",
        "a lesson is missing",
        "a lesson came twice",
        "two lessons changed places",
        "a lesson after leaving",
        "half past nine",
        "a lesson on Saturday",
        "somebody is still active",
        "lessons without numbers",
    ],
)
def test_each_lie_is_seen(lie: Callable[[Story], Story], claims: list[int]) -> None:
    assert failing(lie(true_story())) == claims


def test_what_the_author_has_set_stays_outside() -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "SENDGRID_API_KEY": "SG.real",
        "HASH_KEY_FILE": "/run/secrets/hash",
        "MINICOURSE_CLOCK_FILE": "/clock",
        "database_url": "sqlite:///other.db",
    }
    assert without_settings(environment) == {"PATH": os.environ["PATH"]}
