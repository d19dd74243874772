"""Days and hours in the words of a course's language, on a person's own clock. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Dates:
    """`words` is the table `[web.dates]`."""

    words: dict[str, Any]

    def day(self, day: date) -> str:
        """`Monday, 5 January`"""
        text: str = self.words["date"] % {
            "weekday": self.words["weekdays"][day.weekday()],
            "day": day.day,
            "month": self.words["months"][day.month - 1],
        }
        return text

    def moment(self, instant: datetime, zone: ZoneInfo) -> str:
        """`Monday, 5 January, 09:00`, on the zone's clock."""
        local = instant.astimezone(zone)
        text: str = self.words["moment"] % {"date": self.day(local), "hour": hour(local.time())}
        return text

    def weekdays(self, numbers: Collection[int]) -> str:
        """`Every day`, `Monday to Friday`, or each by its name; Monday is 0."""
        days = sorted(numbers)
        names = [str(self.words["weekdays"][number]) for number in days]
        if len(days) == 7:
            return str(self.words["every_day"])
        if len(days) > 2 and days == list(range(days[0], days[-1] + 1)):
            return str(self.words["from_to"] % {"first": names[0], "last": names[-1]})
        return joined(self.words["both"], names)


def hour(at: time) -> str:
    return at.strftime("%H:%M")


def zone_name(zone: ZoneInfo) -> str:
    """`America/New York`: the name as people read it."""
    return str(zone.key).replace("_", " ")


def joined(pattern: str, words: Iterable[str]) -> str:
    """`Monday, Wednesday and Friday`: commas, and the language's own way for the last two."""
    *first, last = words
    return pattern % {"first": ", ".join(first), "last": last} if first else last
