"""What happens: three people sign up in three zones, two weeks pass, one of them leaves."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from course import stats
from course.demo import visitor
from course.demo.stage import COURSE, Stage
from course.errors import RefusedError
from course.stats import Stats

# A Thursday; in the night to Sunday summer time begins in New York.
START = datetime(2026, 3, 5, 17, 0, tzinfo=UTC)
CONFIRMED = START + timedelta(minutes=2)
LEFT = datetime(2026, 3, 10, 20, 0, tzinfo=UTC)
END = START + timedelta(weeks=2)
STEP = timedelta(minutes=30)
NO_ADDRESS = "anna@example"
_EVENTS_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    email: str
    zone: ZoneInfo


PEOPLE = (
    Person("Anna", "anna@example.com", ZoneInfo("Europe/Berlin")),
    Person("Ben", "ben@example.com", ZoneInfo("America/New_York")),
    Person("Priya", "priya@example.com", ZoneInfo("Asia/Kolkata")),
)
LEAVER = PEOPLE[1]


@dataclass(frozen=True, slots=True)
class Received:
    """A mail as the sandbox has it; `what` is a lesson's slug, or `confirmation`."""

    person: Person
    what: str
    at: datetime
    mail: Mapping[str, Any]

    @property
    def local(self) -> datetime:
        return self.at.astimezone(self.person.zone)


@dataclass(frozen=True, slots=True)
class Story:
    """What was seen from outside, and what the installation itself says of it."""

    refused: int  # status of the answer to what is no address
    received: Sequence[Received]
    strays: int  # mails to anybody else
    stats: Stats

    def of(self, person: Person) -> list[Received]:
        return [one for one in self.received if one.person == person]

    def lessons(self, person: Person) -> list[Received]:
        return [one for one in self.of(person) if one.what != "confirmation"]


def play(stage: Stage, say: Callable[[str], None]) -> Story:
    page = visitor.get(f"{stage.pages}/c/{COURSE}")
    refused = page.submit(email=NO_ADDRESS, name="Anna", zone="Europe/Berlin").status
    say(f"The form refused {NO_ADDRESS!r} (status {refused}).")
    for person in PEOPLE:
        _expect(page.sign_up(email=person.email, name=person.name, zone=person.zone.key), 202)
        say(f"{person.name} signed up through it, in {person.zone.key}.")
    stage.tick()
    stage.set_time(CONFIRMED)
    for person in PEOPLE:
        link = _link(r"/confirm/\S+", _latest(stage, person)["text"])
        _expect(visitor.get(link).submit(), 200)
    say("Each confirmed through the link in the mail that came.")
    _live_until(stage, CONFIRMED, LEFT)
    header = _latest(stage, LEAVER)["headers"]["List-Unsubscribe"]
    _expect(visitor.post(header.strip("<>"), {"List-Unsubscribe": "One-Click"}), 200)
    say(f"{LEAVER.name} left by one click, {moment(LEFT.astimezone(LEAVER.zone))} there.")
    _live_until(stage, LEFT, END)
    say("Two weeks are over.")
    return _look_back(stage, refused)


def moment(local: datetime) -> str:
    return f"{local:%a} {local.day:>2} {local:%b %H:%M}"


def _live_until(stage: Stage, now: datetime, end: datetime) -> None:
    """Look for what is due at every full and half hour."""
    stage.tick()
    while now < end:
        now = now.replace(minute=now.minute // 30 * 30) + STEP
        stage.set_time(now)
        stage.tick()


def _look_back(stage: Stage, refused: int) -> Story:
    people = {person.email: person for person in PEOPLE}
    mails = stage.mails()
    received = [
        Received(
            people[mail["to"]],
            mail["categories"][-1].partition("/")[2],
            datetime.fromisoformat(mail["accepted_at"]),
            mail,
        )
        for mail in mails
        if mail["to"] in people
    ]
    return Story(refused, received, len(mails) - len(received), _stats(stage))


def _stats(stage: Stage) -> Stats:
    """Once the sandbox has reported the last delivery to the webhook."""
    deadline = time.monotonic() + _EVENTS_SECONDS
    while True:
        with stage.here.database.reading() as session:
            found = stats.overall(session)
        waiting = any(one.delivered != one.sent for one in found.lessons)
        if not waiting or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def _latest(stage: Stage, person: Person) -> Mapping[str, Any]:
    mails = stage.mails(person.email)
    if not mails:
        raise RefusedError(f"{person.name} has not received any mail.")
    return mails[-1]


def _link(pattern: str, text: str) -> str:
    found = re.search(r"http://\S+?" + pattern, text)
    if not found:
        raise RefusedError(f"There is no link like {pattern} in this mail:\n{text}")
    return found[0]


def _expect(page: visitor.Page, status: int) -> None:
    if page.status != status:
        raise RefusedError(f"{page.url} answered {page.status}, not {status}:\n{page.html}")
