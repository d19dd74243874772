"""What the demo says of itself, checked against the mails that came."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from course.curriculum import Course as Curriculum
from course.demo.story import CONFIRMED, LEAVER, LEFT, PEOPLE, START, Person, Story


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence, and what speaks against it."""

    text: str
    against: Sequence[str] = ()

    @property
    def holds(self) -> bool:
        return not self.against


def check(story: Story, curriculum: Curriculum) -> list[Claim]:
    slugs = [lesson.slug for lesson in curriculum.lessons]
    stayed = [person for person in PEOPLE if person != LEAVER]
    return [
        Claim("What is no address was refused, and nobody else was mailed", list(_strays(story))),
        Claim("The welcome came at once after the confirmation", list(_welcomes(story))),
        Claim(
            f"Whoever stayed got all {len(slugs)} lessons in order, each exactly once",
            [x for person in stayed for x in _differs(story, person, slugs)],
        ),
        Claim("Who left got the first ones, and nothing after", list(_after(story, slugs))),
        Claim(
            f"Lessons came at {curriculum.schedule.hour:%H:%M} on each one's own clock, "
            "on allowed days",
            list(_at_odd_times(story, curriculum)),
        ),
        Claim("The numbers above are those of the mails that came", list(_numbers(story, slugs))),
    ]


def _strays(story: Story) -> Iterator[str]:
    if story.refused != 400:
        yield f"the form answered {story.refused}"
    if story.strays:
        yield f"{story.strays} mails went to others"


def _welcomes(story: Story) -> Iterator[str]:
    for person in PEOPLE:
        first = story.of(person)[:2]
        if [one.at for one in first] != [START, CONFIRMED]:
            yield f"{person.name}: {', '.join(f'{one.what} at {one.at}' for one in first)}"


def _differs(story: Story, person: Person, slugs: Sequence[str]) -> Iterator[str]:
    got = [one.what for one in story.of(person)]
    if got != ["confirmation", *slugs]:
        yield f"{person.name} got {', '.join(got) or 'nothing'}"


def _after(story: Story, slugs: Sequence[str]) -> Iterator[str]:
    got = story.lessons(LEAVER)
    if not 0 < len(got) < len(slugs):
        yield f"{LEAVER.name} got {len(got)} of {len(slugs)}"
    yield from _differs(story, LEAVER, slugs[: len(got)])
    for one in got:
        if one.at > LEFT:
            yield f"{LEAVER.name} got {one.what} at {one.local}"


def _at_odd_times(story: Story, curriculum: Curriculum) -> Iterator[str]:
    schedule = curriculum.schedule
    for person in PEOPLE:
        days = [one.local.date() for one in story.lessons(person)]
        if any(later - earlier < timedelta(days=1) for earlier, later in pairwise(days)):
            yield f"{person.name} got two lessons on one day"
        for one in story.lessons(person)[1:]:
            if one.local.time() != schedule.hour or one.local.weekday() not in schedule.weekdays:
                yield f"{person.name} got {one.what} at {one.local}"


def _numbers(story: Story, slugs: Sequence[str]) -> Iterator[str]:
    for lesson in story.stats.lessons:
        came = sum(one.what == lesson.lesson for one in story.received)
        if not lesson.sent == lesson.delivered == came:
            yield (
                f"{lesson.lesson}: {came} came, {lesson.sent} sent, {lesson.delivered} delivered"
            )
    (cohort,) = story.stats.cohorts
    counted = (cohort.signed_up, cohort.confirmed, cohort.active, cohort.completed)
    if counted != (len(PEOPLE), len(PEOPLE), 0, len(PEOPLE) - 1):
        yield f"signed up, confirmed, active, completed: {counted}"
    last_to_leaver = slugs[len(story.lessons(LEAVER)) - 1]
    left = {lesson.lesson: lesson.unsubscribed for lesson in story.stats.lessons}
    if left != {slug: int(slug == last_to_leaver) for slug in slugs}:
        yield f"left after: {left}"
