"""`course timeline`: what a newcomer gets when, as a table, a calendar or JSON; a cohort's load."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from course.commands.timeline import calendar
from course.timeline import Arrival, Timeline
from tests.commands.conftest import Minicourse, edit
from tests.world import START, World

SIGNUP = ("--signup", "2027-03-26 18:30")


def timeline(minicourse: Minicourse, *words: str) -> str:
    answer = minicourse("course", "timeline", "job-search", *words)
    assert answer.status == 0, answer.err
    return answer.out


def mails(minicourse: Minicourse, *words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(timeline(minicourse, *words, "--json"))["mails"]
    return found


def test_each_mail_stands_on_both_clocks_with_what_lies_between(minicourse: Minicourse) -> None:
    lines = timeline(minicourse, *SIGNUP).splitlines()
    assert lines[:6] == [
        "job-search, on the clock of Europe/Berlin",
        "signed up Fri 2027-03-26 18:30 CET",
        "",
        "no.  arrives                    UTC               after       lesson",
        "  1  Fri 2027-03-26 18:30 CET   2027-03-26 17:30  at once     welcome",
        "  2  Mon 2027-03-29 09:00 CEST  2027-03-29 07:00  2d 13h 30m  network",
    ]
    assert lines[12:] == [
        "2  network: moved from Sat 2027-03-27: weekend; clocks go forward 1h on Sun",
        "   2027-03-28",
        "7  decision: moved from Sat 2027-04-03: weekend",
    ]


def test_the_moment_is_read_on_the_persons_clock(minicourse: Minicourse) -> None:
    for zone, utc in (("America/New_York", "22:30"), ("Asia/Tokyo", "09:30")):
        first, *_ = mails(minicourse, *SIGNUP, "--zone", zone)
        assert first["due_at"] == f"2027-03-26T{utc}:00+00:00"
    first, *_ = mails(minicourse, "--signup", "2027-03-26T18:30+05:30")
    assert first["local_due_at"] == "2027-03-26T14:00:00+01:00"


def test_without_a_moment_it_is_now(minicourse: Minicourse) -> None:
    first, second, *_ = mails(minicourse)
    assert first["due_at"] == START.isoformat()
    assert second == {
        "number": 2,
        "lesson": "network",
        "subject": "Reason one: they get to know you for another role",
        "due_at": "2027-01-15T08:00:00+00:00",
        "local_due_at": "2027-01-15T09:00:00+01:00",
        "zone": "CET",
        "minutes_since": 21 * 60,
        "notes": [],
    }


def test_an_hour_of_their_own_moves_all_but_the_first(minicourse: Minicourse) -> None:
    times = [str(one["local_due_at"])[11:16] for one in mails(minicourse, "--hour", "07:30")]
    assert times == ["12:00", *["07:30"] * 6]


def test_what_is_being_written_counts_unless_asked_for_what_is_live(
    world: World, minicourse: Minicourse
) -> None:
    edit(world, "02-network.md", "after: 1", "after: 5")
    assert mails(minicourse)[1]["due_at"] == "2027-01-19T08:00:00+00:00"
    assert mails(minicourse, "--live")[1]["due_at"] == "2027-01-15T08:00:00+00:00"


def test_files_need_no_database(world: World, minicourse: Minicourse) -> None:
    world.database.dispose()
    (world.settings.home / "minicourse.db").unlink()
    assert len(mails(minicourse)) == 7


def test_a_cohort_begins_on_its_day_in_its_zone(minicourse: Minicourse) -> None:
    words = "cohort create job-search/spring --start 2027-03-01 --zone Asia/Kolkata"
    assert minicourse(*words.split()).status == 0
    lines = timeline(minicourse, "--cohort", "spring").splitlines()
    assert lines[:3] == [
        "job-search/spring, on the clock of Asia/Kolkata",
        "signed up Thu 2027-01-14 16:30 IST",
        "begins    Mon 2027-03-01 09:00 IST",
    ]
    first, *_ = mails(minicourse, "--cohort", "job-search/spring", "--zone", "Europe/Rome")
    assert first["local_due_at"] == "2027-03-01T09:00:00+01:00"


# A calendar -------------------------------------------------------------------------------------


def read(written: bytes) -> list[tuple[str, str]]:
    """Names and values as RFC 5545 says them: lines unfolded, texts unescaped."""
    assert written.endswith(b"\r\n")
    lines = written.removesuffix(b"\r\n").split(b"\r\n")
    assert max(map(len, lines)) <= 75
    assert all(line.decode().isprintable() for line in lines)
    unfolded = written.removesuffix(b"\r\n").replace(b"\r\n ", b"").decode().split("\r\n")
    pairs = [line.split(":", 1) for line in unfolded]
    return [(name, _plain(value)) for name, value in pairs]


def _plain(value: str) -> str:
    assert not re.search(r"(?<!\\)(?:\\\\)*[;,]", value)
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value)


def events(written: bytes) -> list[dict[str, str]]:
    head, *body = read(written)[:3], *read(written)[3:]
    assert head == [
        ("BEGIN", "VCALENDAR"),
        ("VERSION", "2.0"),
        ("PRODID", "-//minicourse//timeline//EN"),
    ]
    assert body.pop() == ("END", "VCALENDAR")
    found: list[dict[str, str]] = []
    for name, value in body:
        if (name, value) == ("BEGIN", "VEVENT"):
            found.append({})
        elif name != "END":
            assert found[-1].setdefault(name, value) is value
    assert body.count(("END", "VEVENT")) == len(found)
    return found


def test_a_calendar_has_an_event_for_each_mail(tmp_path: Path, minicourse: Minicourse) -> None:
    file = tmp_path / "course.ics"
    answer = minicourse("course", "timeline", "job-search", *SIGNUP, "--ics", str(file))
    assert answer.err == f"Written: {file}\n"
    found = events(file.read_bytes())
    assert [one["DTSTART"] for one in found[:2]] == ["20270326T173000Z", "20270329T070000Z"]
    assert {one["DTSTAMP"] for one in found} == {"20270114T110000Z"}
    assert found[1]["SUMMARY"] == "2. Reason one: they get to know you for another role"
    assert found[1]["DESCRIPTION"].splitlines() == [
        "job-search/network",
        "Mon 2027-03-29 09:00 CEST",
        "moved from Sat 2027-03-27: weekend",
        "clocks go forward 1h on Sun 2027-03-28",
    ]
    assert len({one["UID"] for one in found}) == len(found) == 7


def test_a_calendar_made_again_has_the_same_events(tmp_path: Path, minicourse: Minicourse) -> None:
    files = [tmp_path / "one.ics", tmp_path / "two.ics", tmp_path / "three.ics"]
    for file, zone in zip(files, ("Asia/Tokyo", "Asia/Tokyo", "Asia/Kolkata"), strict=True):
        timeline(minicourse, *SIGNUP, "--zone", zone, "--ics", str(file))
    one, two, three = ({event["UID"] for event in events(file.read_bytes())} for file in files)
    assert one == two
    assert not one & three


@pytest.mark.parametrize(
    "subject",
    [
        r"Bread, salt; and C:\new",
        "x" * 62,  # with the number before it, the line is as long as one may be
        "x" * 63,
        "Grüße aus München: " * 9,
        "日本語" * 40,
        "🥖" * 50,
    ],
)
def test_whatever_a_subject_says_a_calendar_can_be_read(subject: str) -> None:
    moment = datetime(2027, 3, 1, 8, tzinfo=UTC)
    mail = Arrival(1, "bread", subject, moment, moment, "UTC", 0, ())
    found = Timeline("c", None, "UTC", moment, moment, (mail,), ())
    (event,) = events(calendar(found, START).encode())
    assert event["SUMMARY"] == f"1. {subject}"


# A cohort ---------------------------------------------------------------------------------------


def test_a_cohorts_days_have_bars_that_fit(world: World, minicourse: Minicourse) -> None:
    for number in range(3):
        world.join(f"p{number}@example.org")
    world.live_through(days=1)
    world.join("new@example.org")
    answer = timeline(minicourse, "--cohort", "evergreen", "--days", "6")
    assert answer.splitlines() == [
        "job-search/evergreen, lessons a day on the clock of Europe/Berlin",
        "",
        "Fri 2027-01-15   1  " + "█" * 15,
        "Sat 2027-01-16   0",
        "Sun 2027-01-17   0",
        "Mon 2027-01-18   4  " + "█" * 60,
        "Tue 2027-01-19   4  " + "█" * 60,
        "Wed 2027-01-20   4  " + "█" * 60,
        "total           13",
    ]
    found = json.loads(timeline(minicourse, "--cohort", "evergreen", "--days", "6", "--json"))
    days = found.pop("days")
    assert days[3] == {"day": "2027-01-18", "mails": 4}
    assert found == {
        "course": "job-search",
        "cohort": "evergreen",
        "zone": "Europe/Berlin",
        "is_running": True,
        "learners": 4,
        "mails": 13,
    }


def test_an_empty_cohort_has_empty_days(minicourse: Minicourse) -> None:
    lines = timeline(minicourse, "--cohort", "evergreen", "--days", "2").splitlines()
    assert lines[2:] == ["Thu 2027-01-14  0", "Fri 2027-01-15  0", "total           0"]


# What cannot be answered ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "step"),
    [
        ("nope", "there is: job-search"),
        ("nope --live", "course apply"),
        ("job-search --zone Mars/North", "write it like Europe/Berlin"),
        ("job-search --signup tomorrow", "write it like 2026-03-27 18:30"),
        ("job-search --signup 0001-01-01", "write it like 2026-03-27 18:30"),
        ("job-search --signup 9999-12-31T23:59", "write it like 2026-03-27 18:30"),
        ("job-search --hour 7:30", "write it like 09:00"),
        ("job-search --cohort nope", "job-search/evergreen"),
        ("job-search --cohort bread/evergreen", "name one that is"),
        ("job-search --cohort nope --days 3", "job-search/evergreen"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(words: str, step: str, minicourse: Minicourse) -> None:
    answer = minicourse("course", "timeline", *words.split())
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert step in answer.err


@pytest.mark.parametrize(
    "words",
    [
        "--days 3",
        "--cohort evergreen --days 0",
        "--cohort evergreen --days 3 --zone Asia/Tokyo",
        "--cohort evergreen --days 3 --hour 07:30",
        "--cohort evergreen --days 3 --signup 2027-03-26",
        "--cohort evergreen --days 3 --ics x.ics",
    ],
)
def test_the_load_of_a_cohort_is_asked_for_alone(words: str, minicourse: Minicourse) -> None:
    assert minicourse("course", "timeline", "job-search", *words.split()).status == 2


def test_a_file_that_cannot_be_written_is_named(minicourse: Minicourse) -> None:
    answer = minicourse("course", "timeline", "job-search", "--ics", "nowhere/at/all.ics")
    assert answer.status != 0
    assert "nowhere/at/all.ics" in answer.err


def test_a_calendar_that_found_no_room_is_not_called_written(
    tmp_path: Path, minicourse: Minicourse
) -> None:
    file = tmp_path / "all.ics"
    file.write_text("former")
    (tmp_path / "all.ics.part").symlink_to("/dev/full")
    answer = minicourse("course", "timeline", "job-search", "--ics", str(file))
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.startswith(f"Error: {file}: No space left")
    assert "Written" not in answer.err
    assert file.read_text() == "former"


def test_days_that_leave_none_to_send_on_are_named(world: World, minicourse: Minicourse) -> None:
    days = [f'"{START.date() + timedelta(days=number)}"' for number in range(400)]
    edit(world, "course.toml", "skip_dates = []", f"skip_dates = [{', '.join(days)}]")
    answer = minicourse("course", "timeline", "job-search")
    assert answer.status == 1
    assert "leave no day to send on" in answer.err
