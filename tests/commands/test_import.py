"""`subscriber import`: good rows taken in, bad ones told, nobody brought back."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from course import courses, curriculum, sources
from course.db import Database
from course.enrollment import Person, Scope
from course.errors import InvalidInputError
from course.importing import (
    LEAST,
    MOST,
    TRANSACTION_SECONDS,
    Row,
    Sheet,
    Skipped,
    next_size,
)
from course.models import Audit, Consent, Enrollment, Installation, Subscriber
from course.settings import SOURCE_ROOT
from tests.commands.conftest import Minicourse
from tests.world import World


@pytest.fixture
def people(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


def _import(minicourse: Minicourse, file: Path, *words: str) -> dict[str, Any]:
    answer = minicourse(
        "subscriber", "import", str(file), "--cohort", "evergreen", *words, "--json"
    )
    assert answer.status == 0, answer.err
    found: dict[str, Any] = json.loads(answer.out)["taken"]
    return found


def _emails(world: World) -> list[str | None]:
    with world.database.reading() as session:
        return list(session.scalars(select(Subscriber.email).order_by(Subscriber.id)))


COURSE = curriculum.parse("job-search", sources.read(SOURCE_ROOT, "job-search").files)
CONFIRMED = ("--confirmed", "--source", "workshop list")


def test_people_are_asked_by_mail(world: World, minicourse: Minicourse, people: Path) -> None:
    people.write_text("email,name,zone\nAnn@Example.com,Ann,Europe/Paris\nbob@example.com,,\n")
    taken = _import(minicourse, people)
    assert (taken["asked"], taken["confirmed"]) == (2, 0)
    world.tick()
    assert len(world.provider.mails_to("ann@example.com")) == 1
    with world.database.reading() as session:
        sources = {row.source for row in session.scalars(select(Consent))}
        (order,) = session.scalars(select(Audit))
    assert sources == {"import of people.csv"}
    assert order.detail == {"file": "people.csv", "cohort": "job-search/evergreen"}


def test_confirmed_people_start_now_with_the_consent_that_was_given(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    people.write_text("email,name,zone\nann@example.com,Ann,Europe/Paris\n")
    assert _import(minicourse, people, *CONFIRMED)["confirmed"] == 1
    world.tick()
    (mail,) = world.provider.mails_to("ann@example.com")
    assert mail.categories == ("job-search", "job-search/welcome")
    ann = world.subscriber("ann@example.com")
    assert (ann.name, ann.zone) == ("Ann", "Europe/Paris")
    with world.database.reading() as session:
        (consent,) = session.scalars(select(Consent))
    assert (consent.act, consent.source) == ("imported", "workshop list")


def test_an_import_repeated_changes_nothing(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    people.write_text("email\nann@example.com\nbob@example.com\nann@example.com\n")
    assert _import(minicourse, people)["already"] == 1
    world.pass_time(days=2)
    assert _import(minicourse, people)["already"] == 3
    assert len(world.rows()) == 2


def test_who_waits_for_the_confirmation_can_be_confirmed_by_an_import(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    number = world.sign_up("ann@example.com", "Ann", "Asia/Tokyo")
    people.write_text("email\nann@example.com\n")
    assert _import(minicourse, people, *CONFIRMED)["confirmed"] == 1
    assert world.state(number) == "active"
    assert world.subscriber("ann@example.com").zone == "Asia/Tokyo"


@pytest.mark.parametrize("words", [(), CONFIRMED])
@pytest.mark.parametrize("scope", list(Scope))
def test_who_left_is_never_brought_back(
    world: World, minicourse: Minicourse, people: Path, words: tuple[str, ...], scope: Scope
) -> None:
    number = world.join("ann@example.com")
    world.leave(number, scope)
    people.write_text("email\nann@example.com\n")
    taken = _import(minicourse, people, *words)
    assert (taken["asked"], taken["confirmed"]) == (0, 0)
    (skipped,) = taken["suppressed"]
    assert skipped == {
        "line": 2,
        "value": "ann@example.com",
        "reason": "unsubscribed on 2027-01-14",
    }
    world.live_through(3)
    assert world.lessons(number) == []
    assert world.state(number) == "cancelled"


def test_who_is_through_does_not_begin_again(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    number = world.join("ann@example.com")
    world.live_through(12)
    assert world.state(number) == "completed"
    people.write_text("email\nann@example.com\n")
    assert _import(minicourse, people, *CONFIRMED)["already"] == 1
    with world.database.reading() as session:
        assert len(list(session.scalars(select(Enrollment)))) == 1


def test_bad_rows_are_told_with_their_line_and_good_ones_done(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    people.write_bytes(
        b"email,name,zone\n"
        b"ann@example.com,Ann,\n"
        b"nobody,B,\n"
        b"carl@example.com,C,Mars/North\n"
        b"dora@example.com,Miller, Dora,\n"
        b"emil@example.com,\xe9mil,\n"
        b"\n"
        b",Nameless,\n"
        b'finn@example.com,"Finn\nthe Second",\n'
        b"gina@example.com,Gina,\n"
    )
    answer = minicourse("subscriber", "import", str(people), "--cohort", "evergreen")
    assert answer.status == 0
    assert _emails(world) == ["ann@example.com", "finn@example.com", "gina@example.com"]
    told = [line.split()[0] for line in answer.out.partition("skipped because\n")[2].splitlines()]
    assert [word for word in told if word.isdigit()] == ["3", "4", "5", "6", "8"]
    assert world.subscriber("finn@example.com").name == ""  # until they confirm


def test_a_dry_run_says_the_same_and_does_nothing(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    people.write_text("email\nann@example.com\nnobody\n")
    taken = _import(minicourse, people, "--dry-run", *CONFIRMED)
    assert (taken["confirmed"], len(taken["rejected"])) == (1, 1)
    assert _emails(world) == []
    with world.database.reading() as session:
        assert list(session.scalars(select(Audit))) == []


def test_more_people_than_one_transaction_takes(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    count = 4 * LEAST
    people.write_text("email\n" + "".join(f"p{n}@example.com\n" for n in range(count)))
    assert _import(minicourse, people, *CONFIRMED)["confirmed"] == count
    assert len(_emails(world)) == count


def test_others_can_write_while_an_import_runs(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    """SQLite lets nobody queue: without pauses one who waits would look in vain for seconds."""
    people.write_text("email\n" + "".join(f"p{n}@example.com\n" for n in range(3 * MOST)))
    over = threading.Event()

    def write_now_and_then() -> int:
        other, times = Database(world.settings.database, patience_seconds=3), 0
        while not over.wait(0.02):
            with other.writing() as session:
                session.execute(update(Installation).values(last_event_at=world.clock.course))
            times += 1
        other.dispose()
        return times

    with ThreadPoolExecutor() as pool:
        writer = pool.submit(write_now_and_then)
        _import(minicourse, people)
        over.set()
    assert writer.result() >= 5


def test_a_file_without_addresses_is_refused_before_anything_is_done(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    people.write_text("mail,name\nann@example.com,Ann\n")
    answer = minicourse("subscriber", "import", str(people), "--cohort", "evergreen")
    assert answer.status == 1
    assert "`email`" in answer.err
    assert "mail,name" in answer.err
    assert "email,name,zone,hour (separated by commas, semicolons or tabs)" in answer.err
    assert _emails(world) == []


@pytest.mark.parametrize("words", [("--confirmed",), ("--source", "x")])
def test_consent_and_its_source_go_together(
    words: tuple[str, ...], minicourse: Minicourse, people: Path
) -> None:
    people.write_text("email\nann@example.com\n")
    answer = minicourse("subscriber", "import", str(people), "--cohort", "evergreen", *words)
    assert answer.status == 2


# How many at once --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "seconds", "following"),
    [
        (100, TRANSACTION_SECONDS, 100),  # just right
        (100, 2 * TRANSACTION_SECONDS, 50),  # too slow
        (100, 0.001, 200),  # fast, but the next rows may not be
        (LEAST, 60, LEAST),  # a machine that is busy with other things
        (MOST, 0, MOST),
    ],
)
def test_a_transaction_takes_as_many_as_fit_its_time(
    size: int, seconds: float, following: int
) -> None:
    assert next_size(size, seconds) == following


# The sheet alone ---------------------------------------------------------------------------------


def _rows(text: str) -> list[Row | Skipped]:
    return list(Sheet(iter(text.splitlines(keepends=True)), COURSE))


@pytest.mark.parametrize(
    "text",
    [
        "email,name,zone\nann@example.com,Ann,Europe/Paris\n",
        "Zone;E-Mail;EMAIL ;Name\nEurope/Paris;x;ann@example.com;Ann\n",  # as Excel may write it
        "email\tname\tzone\nann@example.com\tAnn\tEurope/Paris\n",  # out of a spreadsheet
        "email\tname, first\tname\tzone\nann@example.com\tx\tAnn\tEurope/Paris\n",
        'email,"name",zone\r\nann@example.com,"Ann",Europe/Paris\r\n',
        "email,name,zone\n\n ann@example.com , Ann ,Europe/Paris",
    ],
)
def test_a_sheet_is_read_whatever_wrote_it(text: str) -> None:
    (row,) = _rows(text)
    assert isinstance(row, Row)
    assert row.person == Person("ann@example.com", "Ann", "Europe/Paris")


def test_a_quotation_mark_that_never_ends_takes_only_its_own_row() -> None:
    found = _rows('email,name\na@example.com,"A" b\nb@example.com,B\nc@example.com,"C\n')
    assert [type(one) for one in found] == [Skipped, Row, Skipped]
    assert [one.line for one in found] == [2, 3, 4]


def test_an_empty_file_has_no_address_column() -> None:
    with pytest.raises(InvalidInputError, match="empty"):
        Sheet(iter([]), COURSE)


def test_a_list_may_bring_hours_and_the_courses_own_fields(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    source = sources.read(world.settings.home, "job-search")
    files = dict(source.files)
    files["course.toml"] += '\n[fields.years]\ntype = "number"\n'
    with world.database.writing() as session:
        courses.apply(session, replace(source, files=files), "test", world.clock.course)
    people.write_text(
        "email,hour,years,other\n"
        "ann@example.com,7:30,12,x\n"
        "bob@example.com,,,\n"
        "cy@example.com,half past,1,\n"
        "di@example.com,08:00:00,many,\n"
    )
    taken = _import(minicourse, people, *CONFIRMED)
    assert taken["confirmed"] == 2
    assert [(one["line"], one["reason"]) for one in taken["rejected"]] == [
        (4, "“half past” is not an hour; write it like 09:00"),
        (5, "years: “many” is not a number"),
    ]
    with world.database.reading() as session:
        rows = session.execute(select(Subscriber.hour, Enrollment.fields).join(Enrollment)).all()
    assert [tuple(row) for row in rows] == [(time(7, 30), '{"years":12}'), (None, "")]
