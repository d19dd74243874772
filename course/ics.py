"""Calendar files (iCalendar, RFC 5545): moments that keep nobody busy. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

_OCTETS = 75  # of a line


@dataclass(frozen=True, slots=True)
class Event:
    """A moment. `mark` is its identity: made again, a calendar knows it again. A naive `at` is a
    wall time: it comes at that hour wherever the calendar is."""

    mark: str
    at: datetime
    title: str
    text: str


def calendar(events: Iterable[Event], now: datetime) -> str:
    """The text of the file, with line ends as the standard wants them."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//minicourse//timeline//EN"]
    for event in events:
        lines += _event(event, now)
    return "".join(f"{_folded(line)}\r\n" for line in (*lines, "END:VCALENDAR"))


def _event(event: Event, now: datetime) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{uuid5(NAMESPACE_URL, event.mark)}"
    yield f"DTSTAMP:{_stamp(now)}"
    yield f"DTSTART:{_stamp(event.at) if event.at.tzinfo else _wall(event.at)}"
    yield f"SUMMARY:{_escaped(event.title)}"
    yield f"DESCRIPTION:{_escaped(event.text)}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _wall(at: datetime) -> str:
    return f"{at:%Y%m%dT%H%M%S}"


def _escaped(text: str) -> str:
    return text.translate({ord(mark): f"\\{mark}" for mark in "\\;,"} | {ord("\n"): "\\n"})


def _folded(line: str) -> str:
    """No line is longer than 75 octets, and no letter is cut in two."""
    parts, octets = [""], 0
    for letter in line:
        octets += len(letter.encode())
        if octets > _OCTETS:
            parts.append(" ")
            octets = 1 + len(letter.encode())
        parts[-1] += letter
    return "\r\n".join(parts)
