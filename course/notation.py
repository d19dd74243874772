"""How an author writes times: zones, hours, windows, waits, weekdays. Each is read by one function,
whose ValueError names what was written and how to write it."""

import re
from datetime import time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from course.timing import After

_DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST_WAIT = timedelta(days=366)


@lru_cache
def known_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def parse_zone(value: str) -> ZoneInfo:
    """An IANA zone; ValueError names what is not one."""
    if value not in known_zones():
        raise ValueError(f"{value!r} is no time zone; write it like Europe/Berlin")
    return ZoneInfo(value)


def parse_hour(value: object) -> time:
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        return time.fromisoformat(value)
    raise ValueError(f"{value!r} is not an hour; write it like 09:00")


def parse_window(value: object) -> tuple[time, time]:
    """`"08:00-20:00"`: two hours of one day."""
    match = re.fullmatch(r"(\d\d:\d\d)\s*[-–]\s*(\d\d:\d\d)", str(value).strip())
    if not match:
        raise ValueError(f"{value!r} is not a window; write it like 08:00-20:00")
    opens, closes = parse_hour(match[1]), parse_hour(match[2])
    if opens >= closes:
        raise ValueError(f"{value!r} must open before it closes, on the same day")
    return opens, closes


def parse_gap(value: object) -> timedelta:
    match = re.fullmatch(r"(\d{1,4})h", value) if isinstance(value, str) else None
    if not match or timedelta(hours=int(match[1])) > LONGEST_WAIT:
        raise ValueError(f"{value!r} is not a number of hours; write it like 18h")
    return timedelta(hours=int(match[1]))


def parse_after(value: object) -> After:
    """`2` (days), `"2 days"`, `"4h"`, `"4 hours"` or `"next monday"`; a year at the most."""
    if isinstance(value, str) and (
        named := re.fullmatch(r"next\s+([a-z]+)", value.strip().lower())
    ):
        return After(weekday=parse_weekday(named[1][:3] if named[1] in _DAY_NAMES else named[1]))
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        value = f"{value} days"
    match = re.fullmatch(r"(\d{1,9})\s*(d|days?|h|hours?)", str(value).strip())
    if not match:
        raise ValueError(
            f"{value!r} is not a wait; write days like 2, hours like 4h, or next monday"
        )
    count = int(match[1])
    if timedelta(days=count) > LONGEST_WAIT and match[2].startswith("d"):
        raise ValueError(f"{value} is more than a year")
    if timedelta(hours=count) > LONGEST_WAIT:
        raise ValueError(f"{value} is more than a year")
    return After(days=count) if match[2].startswith("d") else After(hours=count)


def parse_weekday(value: object) -> int:
    if isinstance(value, str) and value.lower() in WEEKDAYS:
        return WEEKDAYS.index(value.lower())
    raise ValueError(f"{value!r} is no weekday; use {', '.join(WEEKDAYS)}")


def parse_weekdays(text: str) -> frozenset[int]:
    """`mon,wed,fri`; ValueError names what is no day."""
    return frozenset(parse_weekday(word.strip()) for word in text.split(","))
