"""`cohort`: made, opened, closed, counted."""

import json
import shlex
from io import StringIO

import pytest
from sqlalchemy import delete, select, update

from course.models import Audit, Cohort
from course.settings import SOURCE_ROOT
from course.states import CohortState
from tests.commands.conftest import Minicourse
from tests.test_docs import lines_to_type, section
from tests.world import World


def test_a_cohort_is_made_with_its_start_and_zone(world: World, minicourse: Minicourse) -> None:
    answer = minicourse(
        *"cohort create job-search/spring --start 2027-03-01 --zone Europe/Rome".split()
    )
    assert answer.out == "job-search/spring is open: starts on 2027-03-01\n"
    found = json.loads(minicourse("cohort", "show", "spring", "--json").out)
    assert [stand["number"] for stand in found.pop("standing")] == list(range(8))
    assert [day["mails"] for day in found.pop("next_sends")] == [0] * 7
    assert found == {
        "course": "job-search",
        "cohort": "spring",
        "state": "open",
        "starts_on": "2027-03-01",
        "zone": "Europe/Rome",
        "hour": None,
        "days": None,
        "capacity": None,
        "places_left": None,
        "closes_on": None,
        "latecomers": "join",
        "shut": None,
        "is_front": False,
        "created_at": "2027-01-14T11:00:00+00:00",
        "pending": 0,
        "active": 0,
        "paused": 0,
        "completed": 0,
        "cancelled": 0,
    }
    with world.database.reading() as session:
        (order,) = session.scalars(select(Audit))
        assert (order.action, order.detail) == ("cohort create", {"cohort": "job-search/spring"})


def test_closing_and_opening_say_what_they_did(minicourse: Minicourse) -> None:
    label = "job-search/evergreen"
    assert minicourse("cohort", "close", "evergreen").out == f"{label} is closed\n"
    assert minicourse("cohort", "close", label).out == f"{label} was closed already\n"
    assert minicourse("cohort", "open", label).out == f"{label} is open\n"


def test_nobody_joins_a_closed_cohort(minicourse: Minicourse) -> None:
    minicourse("cohort", "close", "evergreen")
    answer = minicourse("subscriber", "add", "a@example.com", "--cohort", "evergreen")
    assert answer.status == 1
    assert "minicourse cohort open job-search/evergreen" in answer.err
    assert json.loads(minicourse("subscriber", "list", "--json").out) == []


def test_a_list_counts_people_by_state(world: World, minicourse: Minicourse) -> None:
    world.leave(world.join("ada@example.org"))
    world.join("kim@example.org")
    world.sign_up("pending@example.org")
    (line,) = json.loads(minicourse("cohort", "list", "--json").out)
    counts = {state: line[state] for state in ("pending", "active", "cancelled", "completed")}
    assert counts == {"pending": 1, "active": 1, "cancelled": 1, "completed": 0}
    assert "evergreen *" in minicourse("cohort", "list").out


SMALL = (
    "cohort create job-search/small --start 2027-01-18 --hour 18:00 --days thu,mon --capacity 1 "
    "--closes 2027-01-16 --latecomers next --front"
)


def test_what_a_cohort_says_is_shown(minicourse: Minicourse) -> None:
    minicourse(*SMALL.split())
    shown = minicourse("cohort", "show", "small").out
    assert "until 2027-01-16, 1 of 1 places left" in shown
    assert "mon,thu at 18:00, Europe/Berlin" in shown
    assert "next: go to the next cohort" in shown
    assert "small *" in minicourse("cohort", "list").out


def test_full_and_over_are_said_by_list_and_show(world: World, minicourse: Minicourse) -> None:
    minicourse(*SMALL.split())
    minicourse("subscriber", "add", "ada@example.com", "--cohort", "small")
    assert "open, full" in " ".join(minicourse("cohort", "list").out.split())
    assert "full: the one place is taken" in minicourse("cohort", "show", "small").out
    world.pass_time(days=3)
    assert "over since the end of 2027-01-16" in minicourse("cohort", "show", "small").out
    (line,) = [one for one in json.loads(minicourse("cohort", "list", "--json").out) if one["shut"]]
    assert (line["cohort"], line["shut"]) == ("small", "over")


def test_an_edit_counts_asks_and_is_written_down(
    world: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ada", "kim"):
        world.join(f"{name}@example.com")
    edit = ("cohort", "edit", "evergreen", "--hour", "18:00")
    told = "job-search/evergreen: hour 18:00\n2 people get lessons at another time\n"
    assert minicourse(*edit, "--dry-run").out == "".join(
        f"Would be: {line}\n" for line in told.splitlines()
    )
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))
    assert minicourse(*edit).status == 1
    assert minicourse(*edit, "--yes").out == told
    assert minicourse(*edit).out == "job-search/evergreen was so already\n"
    with world.database.reading() as session:
        (order,) = session.scalars(select(Audit).where(Audit.action == "cohort edit"))
        assert order.detail == {"cohort": "job-search/evergreen", "changes": {"hour": "18:00"}}


def test_an_edit_counts_the_mails_that_wait_already(world: World, minicourse: Minicourse) -> None:
    for name in ("ada", "kim"):
        world.join(f"{name}@example.com")
    world.live_through(0.5)
    world.pass_time(days=3, hours=7)
    world.tick()
    edit = ("cohort", "edit", "evergreen", "--hour", "18:00")
    before = [row.send_at for row in world.rows()]
    told = "2 planned mails move to another time, too\n"
    assert minicourse(*edit, "--dry-run").out.endswith(f"Would be: {told}")
    assert [row.send_at for row in world.rows()] == before
    assert minicourse(*edit, "--yes").out.endswith(told)
    assert [row.send_at for row in world.rows()] != before


def test_a_clone_is_another_one_with_the_same_terms(minicourse: Minicourse) -> None:
    minicourse(*SMALL.split())
    answer = minicourse("cohort", "clone", "small", "autumn", "--start", "2027-09-06")
    assert answer.out == "job-search/autumn is open: starts on 2027-09-06\n"
    found = json.loads(minicourse("cohort", "show", "autumn", "--json").out)
    assert (found["hour"], found["days"], found["closes_on"]) == (
        "18:00:00",
        "mon,thu",
        "2027-09-04",
    )


# The verbs that `tests/test_cohorts.py` has not, in each state: +: done, with these words; =: it is
# so already; else the refusal. `evergreen` is the front, and rolling.
ARCHIVED = "Cohort job-search/evergreen is archived. Make another: minicourse cohort create --help"
TABLE = {
    "edit evergreen --hour 18:00": (["+evergreen: hour 18:00"] * 4, ARCHIVED),
    "edit evergreen --hour ''": (["=evergreen was so already"] * 4, ARCHIVED),
    "edit evergreen --latecomers next": (["needs a first day; give it one"] * 4, ARCHIVED),
    "edit evergreen --closes 2027-01-13": (["2027-01-13 is over"] * 4, "2027-01-13 is over"),
    "front evergreen": (["=evergreen is the front already"] * 4, ARCHIVED),
    "clone evergreen again": (["+again is open: rolling"] * 4, "+again is open: rolling"),
    "clone evergreen evergreen": (["evergreen exists already"] * 4, "evergreen exists already"),
    "clone evergreen again --start 2027-03-01": (["is rolling"] * 4, "is rolling"),
}


@pytest.mark.parametrize("words", TABLE)
def test_what_else_is_done_in_each_state(world: World, minicourse: Minicourse, words: str) -> None:
    running, archived = TABLE[words]
    for state, expected in zip(CohortState, [*running, archived], strict=True):
        with world.database.writing() as session:
            session.execute(
                update(Cohort).where(Cohort.name == "evergreen").values(state=state, hour=None)
            )
            session.execute(
                update(Cohort).where(Cohort.name == "again").values(name=f"was-{state}")
            )
        answer = minicourse("cohort", *shlex.split(words))
        said, status = expected.lstrip("+="), 0 if expected[0] in "+=" else 1
        assert answer.status == status, (state, answer)
        assert said in (answer.out if status == 0 else answer.err), (state, answer)
        with world.database.writing() as session:  # what is done is written down, and only that
            lines = len(session.execute(delete(Audit).returning(Audit.id)).all())
            assert lines == (expected[0] == "+"), (state, answer)


def test_a_rehearsal_is_no_cohort_to_change(world: World, minicourse: Minicourse) -> None:
    with world.database.writing() as session:
        session.execute(update(Cohort).values(rehearsal_every=30))
    for words in ("edit evergreen --hour 18:00", "front evergreen", "clone evergreen again"):
        answer = minicourse("cohort", *words.split())
        assert answer.status == 1
        assert "is a rehearsal: nobody joins it but by" in answer.err


def test_a_bar_shows_where_everyone_stands(world: World, minicourse: Minicourse) -> None:
    for name in ("ada", "kim"):
        world.join(f"{name}@example.com")
    world.live_through(days=1.5)
    world.join("new@example.com")
    shown = minicourse("cohort", "show", "evergreen").out
    bars = {line.split()[0]: line.count("█") for line in shown.splitlines() if "█" in line}
    assert bars == {"none": 20, "2": 40}
    assert "next sends" in shown


def test_a_dry_run_of_each_verb_changes_nothing(minicourse: Minicourse) -> None:
    minicourse("cohort", "create", "job-search/spring", "--start", "2027-03-01")
    before = minicourse("cohort", "list", "--json").out
    for verb in ("close", "pause", "archive", "front"):
        assert "would be" in minicourse("cohort", verb, "spring", "--dry-run").out
    assert minicourse("cohort", "list", "--json").out == before


def test_each_command_of_the_daily_page_works_one_after_the_other(minicourse: Minicourse) -> None:
    page = section(SOURCE_ROOT / "docs" / "operations.md", "Cohorts")
    for line in lines_to_type(page):
        answer = minicourse(*shlex.split(line)[1:])
        assert answer.status == 0, f"{line}\n{answer.err}"


def test_a_list_keeps_its_names_and_days_in_eighty_columns(
    world: World, minicourse: Minicourse
) -> None:
    minicourse("cohort", "create", "job-search/evening-class-2", "--start", "2027-03-01")
    minicourse("cohort", "edit", "job-search/evening-class-2", "--closes", "2027-02-20", "--yes")
    minicourse("cohort", "front", "job-search/evening-class-2")
    lines = minicourse("cohort", "list").out.splitlines()
    assert max(map(len, lines)) <= 80
    (line,) = [line for line in lines if line.startswith("evening-class-2 *  open until")]
    assert "2027-03-01" in line
    assert any("2027-02-20" in line for line in lines)


def test_closing_the_front_says_that_its_page_takes_nobody_in(
    world: World, minicourse: Minicourse
) -> None:
    minicourse("cohort", "create", "job-search/spring", "--start", "2027-03-01")
    assert "page" not in minicourse("cohort", "close", "job-search/spring").err
    answer = minicourse("cohort", "close", "evergreen")
    assert "It is the front: the course's page takes nobody in now." in answer.err
