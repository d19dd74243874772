"""Made-up readers with whom a mail is tried before real ones get it: previewed, tested, checked.

Each stands for a way in which readers differ that has broken mails elsewhere.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from course import fields
from course.curriculum import Course
from course.errors import NotFoundError
from course.people import FIELD_LIMIT, clean
from course.rendering import Recipient, Start

# What stands in a sample's links in place of a token. No door opens to it.
TOKEN = "sample"  # noqa: S105


# For mails that tell of the first lesson: a Monday.
_START = date(2030, 1, 7)


class Sample(NamedTuple):
    """One made-up reader: `key` for the command line, `label` for people."""

    key: str
    label: str
    person: Recipient


def _sample(key: str, label: str, name: str, zone: str) -> Sample:
    # A name comes in as through the form, so that what is seen is what can happen.
    person = Recipient(
        f"{key}@example.com", clean(name), zone, token=TOKEN, confirm_token=TOKEN
    )._replace(link_token=TOKEN)
    return Sample(key, label, person)


_LONG = (
    "Maximiliane Wilhelmine Katharina von Hohenlohe-Waldenburg-Schillingsfürst, "
    "geborene Gräfin Wolfeschlegelsteinhausenbergerdorff, née "
) + "Llanfairpwllgwyngyll" * 10

PEOPLE: tuple[Sample, ...] = (
    _sample("kim", "Kim, in Berlin", "Kim", "Europe/Berlin"),
    _sample("nameless", "No name, no zone", "", ""),
    _sample("long", f"A name of {FIELD_LIMIT} letters", _LONG, "Europe/London"),
    _sample("rtl", "A name from right to left", "ليلى بنت محمود", "Africa/Cairo"),
    _sample("script", "<script> as a name", "<script>alert('1')</script>", "Europe/Berlin"),
    _sample("faraway", "Another zone, at the date line", "Aroha", "Pacific/Auckland"),
)


def people(course: Course) -> Iterator[Sample]:
    """The same readers, each with other values in the course's own fields; the first has the
    defaults."""
    for one in PEOPLE:
        yield one._replace(person=dressed(one.person, course))


def dressed(person: Recipient, course: Course) -> Recipient:
    """A made-up reader as that course's own; anybody else as they are."""
    for number, one in enumerate(PEOPLE):
        if one.person == person:
            zone = ZoneInfo(person.zone) if person.zone else course.schedule.zone
            start = datetime.combine(_START, course.schedule.hour, tzinfo=zone)
            return person._replace(
                fields=fields.example(course, number),
                start=Start(start, start.astimezone(UTC)),
                awaited=number % 2 == 1,
            )
    return person


def sample(key: str) -> Sample:
    """The sample of that key; NotFoundError lists those that there are."""
    for one in PEOPLE:
        if one.key == key:
            return one
    known = ", ".join(one.key for one in PEOPLE)
    raise NotFoundError(f"No sample reader {key!r}; there are: {known}")
