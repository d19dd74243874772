"""`stats`: sums of the ledger, and a dash where nobody can know."""

import csv
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import click
import pytest
from rich.console import Console
from sqlalchemy import select, update

from course import installation, steering
from course.commands import context
from course.commands.charts import bar, columns, gathered
from course.models import Course, Subscriber
from course.repeating import Rewind
from course.stats import chosen, deliverability, lessons
from tests.commands.conftest import Minicourse, edit, hear, lesson_row
from tests.made_up import Past
from tests.terminal import terminal
from tests.world import START, World

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
        "opens_tracked": None,
        "clicks_tracked": None,
    }
    assert lessons["network"]["sent"] == 0
    assert cohort == {
        "course": "job-search",
        "cohort": "evergreen",
        "signed_up": 2,
        "confirmed": 2,
        "active": 2,
        "completed": 0,
        "unsubscribed": 0,
    }
    shown = minicourse("stats", "job-search").out
    (line,) = (line for line in shown.splitlines() if line.startswith("welcome"))
    assert line.split() == ["welcome", "2", "–", "–", "–", "0", "–", "–", "–"]
    assert "minicourse sendgrid setup" in shown


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


def test_an_open_counts_once_a_mail_and_only_where_it_was_tracked(
    world: World, minicourse: Minicourse
) -> None:
    number = world.join("kim@example.com")
    world.tick()
    _track(world, minicourse, "opens")
    world.live_through(1)
    for lesson in ("welcome", "network"):
        mail = lesson_row(world, number, lesson)
        hear(world, mail, "open", sg_event_id=f"one of {lesson}")
        hear(world, mail, "open", sg_event_id=f"two of {lesson}")
        hear(world, mail, "click", url="https://example.com/")
    lessons, _ = _stats(minicourse)
    assert (lessons["welcome"]["opened"], lessons["welcome"]["clicked"]) == (None, None)
    assert (lessons["network"]["opened"], lessons["network"]["clicked"]) == (1, None)


def test_shares_are_of_mails_that_left_tracked(world: World, minicourse: Minicourse) -> None:
    early = [world.join(f"p{number}@example.org") for number in range(3)]
    world.tick()
    _track(world, minicourse, "opens")
    late = [world.join(f"q{number}@example.org") for number in range(2)]
    world.tick()
    for number in early + late:
        hear(world, lesson_row(world, number, "welcome"), "delivered")
    for number in (early[0], late[0]):
        hear(world, lesson_row(world, number, "welcome"), "open", sg_event_id=f"open {number}")
    lessons, _ = _stats(minicourse)
    welcome = lessons["welcome"]
    assert (welcome["delivered"], welcome["opens_tracked"], welcome["opened"]) == (5, 2, 1)
    shown = minicourse("stats", "lessons").out
    assert "50%" in shown
    assert "Some of these mails left untracked" in shown
    (cohort,) = json.loads(minicourse("stats", "cohorts", "--json").out)
    assert (cohort["opens_tracked"], cohort["opened"], cohort["clicked"]) == (2, 1, None)


def test_who_opened_a_mail_got_it_unless_it_came_back(world: World, minicourse: Minicourse) -> None:
    _track(world, minicourse, "opens")
    people = [world.join(f"p{number}@example.org") for number in range(3)]
    world.tick()
    for number in people:
        hear(world, lesson_row(world, number, "welcome"), "open", sg_event_id=f"open {number}")
    hear(world, lesson_row(world, people[0], "welcome"), "bounce", type="bounce", reason="550")
    with world.database.reading() as session:
        welcome = lessons.funnel(session, chosen(session, None))[0]
        mail = deliverability.read(session, chosen(session, None), world.clock.real(), 30).total
    assert (welcome.delivered, welcome.bounced) == (2, 1)
    assert (welcome.opened, welcome.machine_opened, welcome.open_unknown) == (2, 0, 0)
    assert (mail.delivered, mail.bounced) == (2, 1)


def test_who_had_a_lesson_before_never_entered_it(world: World, minicourse: Minicourse) -> None:
    file = world.settings.home / "there.csv"
    file.write_text("email\nada@example.org\n")
    options = ("--cohort", "evergreen", "--confirmed", "--source", "x", "--start-at", "market")
    assert minicourse("subscriber", "import", str(file), *options, "--yes").status == 0
    world.join("kim@example.com")
    world.tick()
    with world.database.reading() as session:
        steps = {one.lesson: one for one in lessons.funnel(session, chosen(session, None))}
    assert (steps["welcome"].entered, steps["welcome"].sent) == (1, 1)
    assert steps["network"].entered == 0


def test_a_rewind_counts_nobody_twice_and_takes_nothing_back(world: World) -> None:
    number = world.join("kim@example.com")
    world.live_through(7)

    def ways() -> list[tuple[int, int | None]]:
        with world.database.reading() as session:
            steps = lessons.funnel(session, chosen(session, None))
        return [(one.entered, one.went_on) for one in steps]

    before = ways()
    assert before[:2] == [(1, 1), (1, 1)]
    with world.database.writing() as session:
        order = Rewind("welcome")
        steering.give(session, order, [number], who="me", now=world.clock.course, why="so")
    assert ways() == before
    world.live_through(2)
    assert ways() == before


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
    assert "(removed)" in minicourse("stats", "job-search").out


def test_a_finished_course_is_counted(world: World, minicourse: Minicourse) -> None:
    world.join("kim@example.com")
    world.live_through(12)
    lessons, cohort = _stats(minicourse)
    assert [line["sent"] for line in lessons.values()] == [1] * 7
    assert (cohort["active"], cohort["completed"]) == (0, 1)


# Each view ----------------------------------------------------------------------------------------

VIEWS = ("overview", "lessons", "cohorts", "time", "deliverability")


@pytest.fixture
def past(world: World) -> World:
    """Some learners of whom much is known."""
    Past(world, Random(4)).happen(40)
    world.clock.course = START
    return world


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_fits_a_screen_and_is_plain_when_piped(
    view: str, past: World, minicourse: Minicourse
) -> None:
    answer = minicourse("stats", view)
    assert answer.status == 0
    lines = answer.out.splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in answer.out


@pytest.mark.parametrize("width", [40, 50, 60, 80])
@pytest.mark.parametrize("view", ["overview", "lessons", "cohorts", "deliverability"])
def test_a_narrow_terminal_breaks_no_name_and_no_number(
    view: str, width: int, past: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = json.loads(minicourse("stats", view, "--json").out)
    rows = {
        "overview": lambda: [*found["courses"], *found["cohorts"]],
        "lessons": lambda: found,
        "cohorts": lambda: found,
        "deliverability": lambda: [found["total"], *found["domains"]],
    }[view]()
    whole = {str(row[key]) for row in rows for key in ("lesson", "sent", "domain") if key in row}
    if view in ("overview", "cohorts"):
        whole |= {row["cohort"] for row in rows if "cohort" in row}
        whole |= {str(row["signed_up"]) for row in rows}
    with terminal(monkeypatch, "stdout", width=width) as screen:
        minicourse("stats", view)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", str(screen))
    assert max(map(len, shown.splitlines())) <= width
    words = re.split(r"[\s/]+", shown)
    assert whole <= set(words)
    assert len(whole) > 3
    # A bar that does not fit on its line is none.
    assert not any(re.fullmatch("[█-▏]+", line.strip()) for line in shown.splitlines())


def test_where_columns_have_no_room_each_row_has_its_own_lines(
    past: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = json.loads(minicourse("stats", "cohorts", "--json").out)[0]
    with terminal(monkeypatch, "stdout", width=40) as screen:
        minicourse("stats", "cohorts")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(screen)).splitlines()
    assert lines[0].startswith(f"cohort {one['course']}/{one['cohort']}")
    assert lines[1].split() == ["signed", "up", str(one["signed_up"])]
    assert lines[2].split() == ["confirmed", f"{one['confirmed'] / one['signed_up']:.0%}"]


@pytest.mark.parametrize("view", VIEWS)
def test_json_and_csv_say_the_same(view: str, past: World, minicourse: Minicourse) -> None:
    found = json.loads(minicourse("stats", view, "--json").out)
    lines = list(csv.DictReader(io.StringIO(minicourse("stats", view, "--csv").out)))
    if view == "overview":
        found = found["courses"]
    if view == "time":
        found = found["days"]
    if view == "deliverability":
        found = [found["total"], *found["domains"]]
    told = [{name: "" if v is None else str(v) for name, v in one.items()} for one in found]
    assert lines == told
    assert lines


def test_json_and_csv_at_once_are_a_mistake(minicourse: Minicourse) -> None:
    assert minicourse("stats", "lessons", "--json", "--csv").status == 2


def test_on_a_terminal_there_is_colour_unless_somebody_wants_none(
    past: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "console", lambda: Console(width=80, force_terminal=True))
    monkeypatch.setattr(click, "echo", lambda text="", **_: print(text))
    assert "\x1b[3" in minicourse("stats", "lessons").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in minicourse("stats", "lessons").out


def test_the_report_is_one_page_that_needs_nothing_and_names_nobody(
    past: World, minicourse: Minicourse, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    assert minicourse("stats", "report", "--html", str(file)).status == 0
    page = file.read_text()
    assert minicourse("stats", "report", "--html", "-").out.strip() == page.strip()
    assert "<script" not in page
    assert not re.findall(r"(?:src|url\()\s*=?\s*[\"']?(?!data:)\w+:", page)
    assert "@" not in re.sub(r"@media|@page|@example", "", page)
    with past.database.reading() as session:
        emails = [one for one in session.scalars(select(Subscriber.email)) if one]
        steps = lessons.funnel(session, chosen(session, None))
    assert emails
    assert not any(one in page for one in emails)
    (row,) = re.findall(r"<tr><th scope=\"row\">welcome</th>(.*?)</tr>", page)
    shown = [int(number.replace(",", "")) for number in re.findall(r"<td>([\d,]+)</td>", row)]
    one = steps[0]
    assert shown == [
        *(one.entered, one.sent, one.delivered, one.opened, one.machine_opened),
        *(one.open_unknown, one.clicked, one.machine_clicked, one.went_on, one.dropped_off),
    ]
    assert page.count("<svg") == page.count("</svg>") > 10


def test_a_report_that_cannot_be_written_names_the_file(minicourse: Minicourse) -> None:
    answer = minicourse("stats", "report", "--html", "/nowhere/report.html")
    assert answer.status == 1
    assert "/nowhere/report.html" in answer.err


def test_a_report_needs_the_name_of_a_file(minicourse: Minicourse) -> None:
    answer = minicourse("stats", "report", "--html", "")
    assert (answer.status, "--html ''" in answer.err) == (1, True)


def test_no_name_is_not_all_courses(minicourse: Minicourse) -> None:
    answer = minicourse("stats", "lessons", "")
    assert (answer.status, "No course ''" in answer.err) == (1, True)


def test_a_mistyped_command_is_told_from_a_course(minicourse: Minicourse) -> None:
    assert "minicourse stats lessons" in minicourse("stats", "lesson").err
    assert "did you mean" not in minicourse("stats", "baking-bread").err


@pytest.mark.parametrize("view", VIEWS)
def test_without_a_course_each_view_says_what_to_do(
    view: str, world: World, minicourse: Minicourse
) -> None:
    with world.database.writing() as session:
        session.execute(update(Course).values(live_revision_id=None))
    answer = minicourse("stats", view)
    assert (answer.status, answer.out) == (0, "")
    assert "minicourse course apply" in answer.err
    page = minicourse("stats", "report", "--html", "-").out
    assert "minicourse course apply" in page


def test_days_on_which_nothing_happened_have_no_plot(minicourse: Minicourse) -> None:
    shown = minicourse("stats", "time").out
    assert "│" not in shown
    assert "--days 366" in shown


def test_a_shifted_clock_is_told_below_the_days(world: World, minicourse: Minicourse) -> None:
    """What was sent stands on real days: on the clock's there may be none of it."""
    world.join("kim@example.com")
    assert "MINICOURSE_CLOCK_FILE" in minicourse("stats", "time").out
    assert "MINICOURSE_CLOCK_FILE" in minicourse("stats", "report", "--html", "-").out
    world.clock.course = datetime.now(UTC)
    assert "MINICOURSE_CLOCK_FILE" not in minicourse("stats", "time").out
    assert "MINICOURSE_CLOCK_FILE" not in minicourse("stats", "report", "--html", "-").out


def test_what_is_not_known_has_its_reason_below(world: World, minicourse: Minicourse) -> None:
    number = world.join("kim@example.com")
    world.tick()
    assert "has told nothing yet" in minicourse("stats", "lessons").out
    assert "has told nothing yet" in minicourse("stats", "deliverability").out
    hear(world, lesson_row(world, number, "welcome"), "delivered")
    assert "opens = true, clicks = true" in minicourse("stats", "lessons").out
    assert "–" in minicourse("stats", "lessons").out


# Limits -------------------------------------------------------------------------------------------


def _tallies(monkeypatch: pytest.MonkeyPatch, *tallies: tuple[str, int, int, int, int]) -> None:
    found = [deliverability._Tally(*one) for one in tallies]
    monkeypatch.setattr(deliverability, "_tallies", lambda *_: found)


def _judge(world: World) -> deliverability.Deliverability:
    with world.database.writing() as session:
        installation.get(session).last_event_at = START
        return deliverability.read(session, chosen(session, None), START, 30)


@pytest.mark.parametrize(
    ("bounced", "complained", "standing"),
    [
        (0, 0, "good"),
        (199, 9, "good"),
        (200, 9, "watch"),
        (0, 10, "watch"),
        (0, 29, "watch"),
        (0, 30, "bad"),
        (500, 0, "bad"),
    ],
)
def test_each_limit_is_where_the_providers_set_it(
    bounced: int, complained: int, standing: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tallies(monkeypatch, ("web.de", 10_000, 9_000, bounced, complained))
    found = _judge(world)
    assert [one.standing for one in (found.total, *found.domains)] == [standing, standing]
    assert bool(found.concerns) == (standing != "good")


def test_few_mails_say_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _tallies(monkeypatch, ("web.de", 199, 0, 199, 199))
    found = _judge(world)
    assert (found.domains[0].standing, found.concerns) == ("few", [])


def test_complaints_of_google_are_unknown_and_thin_out_nobodys_share(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tallies(monkeypatch, ("gmail.com", 9_000, 9_000, 0, 0), ("web.de", 1_000, 1_000, 0, 5))
    found = _judge(world)
    assert found.domains[0].complained is None
    assert found.total.complaint_rate == 0.005
    assert "Postmaster Tools" in deliverability.reasons(found)[0]


def test_the_advice_is_about_the_one_provider_that_stands_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tallies(monkeypatch, ("web.de", 9_000, 9_000, 0, 0), ("gmx.de", 1_000, 900, 100, 0))
    (concern,) = _judge(world).concerns
    assert concern.what == "Bounces of 2.0% or more: gmx.de 10.00%"
    assert "stands out (gmx.de)" in concern.advice


def test_many_domains_are_gathered_at_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tallies(monkeypatch, *((f"d{number}.org", 10, 10, 0, 0) for number in range(50)))
    found = _judge(world)
    assert len(found.domains) == 20
    assert (found.domains[-1].domain, found.domains[-1].sent) == ("(others)", 310)


# Charts -------------------------------------------------------------------------------------------


def test_a_chart_never_hides_what_is_little() -> None:
    assert bar(0.0001, 10).plain == "▏"
    assert bar(None, 10).plain == bar(0, 10).plain == ""
    assert bar(2, 3).plain == "███"
    assert columns([0, 1, 1000], 2) == ["  █", " ▁█"]
    assert columns([], 2) == ["", ""]
    assert gathered([1, 2, 3, 4, 5], 2) == ([6, 9], 3)
