"""One learner's way through a course: the planner's own decisions, taken one after the other as
time goes by. Nothing is written.

Each mail is thought to leave when it is due: nothing is held, refused or waits for SEND_LIMIT.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from course import timing
from course.planning import Pace
from course.progress import Story
from course.timing import Due, Release, Wait

# The scheduler's beat. What leaves when it is due has left a little later, and a minimum gap that
# is as long as the wait counts from there.
_MOMENT = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A lesson that is decided and is still to leave."""

    slug: str
    due_at: datetime
    send_at: datetime
    is_shifted: bool
    is_welcome: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where learners stand. Those who share it get the same mails from there on."""

    pace: Pace
    rolling: bool
    unwanted: frozenset[str]  # lessons that are not for them
    starts_at: datetime
    story: Story | None
    now: datetime
    waiting: tuple[Waiting, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A lesson that leaves at the new place's time, or only time that passes."""

    slug: str | None
    place: Place


def forward(place: Place) -> Step | None:
    """What happens next, and where the learner stands then; None: nothing more comes."""
    if place.waiting:
        row, *others = place.waiting
        return _let_go(replace(place, waiting=tuple(others)), row)
    decision = timing.next_lesson(
        place.pace.steps,
        place.story.past if place.story else {},
        place.pace.rhythm,
        place.starts_at,
        place.now,
        rolling=place.rolling,
        unwanted=place.unwanted,
    )
    match decision:
        case Due(slug=slug, due_at=due_at, comes_at=comes_at, is_welcome=is_welcome, passed=passed):
            row = Waiting(slug, due_at, comes_at, is_shifted=False, is_welcome=is_welcome)
            return _let_go(place, row, {one.slug for one in passed})
        case Wait(until=datetime() as until):
            return Step(None, replace(place, now=until))
        case _:
            return None


def _let_go(place: Place, row: Waiting, passed: Iterable[str] = ()) -> Step:
    """A lesson leaves when it may; late, it does what the course says of late ones."""
    now, lessons = max(place.now, row.send_at), {row.slug, *passed}
    release: Release | None = Release(row.due_at, row.send_at)
    if not row.is_welcome:
        pace = place.pace
        release = timing.release(
            row.send_at, now, pace.of(row.slug), pace.late, was_shifted=row.is_shifted
        )
    if release is None:
        return Step(None, _after(place, lessons, row.due_at, now))
    # What only leaves later keeps the due time from which the next lesson counts.
    due_at = release.due_at if release.is_shifted and not row.is_shifted else row.due_at
    left_at = max(release.send_at, now)
    sent_at = None if row.is_welcome else left_at + _MOMENT
    return Step(row.slug, _after(place, lessons, due_at, left_at, sent_at))


def _after(
    place: Place,
    lessons: set[str],
    due_at: datetime,
    now: datetime,
    sent_at: datetime | None = None,
) -> Place:
    """These lessons are settled; the welcome mail starts no gap and has no `sent_at`."""
    story = place.story or Story(
        frozenset(), frozenset(), frozenset(), unknown_since=None, due_at=due_at, sent_at=None
    )
    sent = [moment for moment in (story.sent_at, sent_at) if moment is not None]
    story = replace(
        story,
        lessons=story.lessons | lessons,
        leaving=story.leaving - lessons,
        due_at=max(story.due_at, due_at),
        sent_at=max(sent, default=None),
    )
    # From here on nobody asks when they began, so those who began on other days meet here.
    return replace(place, story=story, starts_at=story.due_at, now=now)
