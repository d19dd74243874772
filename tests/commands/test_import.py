"""`subscriber import`: good rows taken in, bad ones told, nobody brought back."""

import io
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from course import courses, importing, sources
from course.db import Database
from course.enrollment import Scope
from course.importing import LEAST, MOST, TRANSACTION_SECONDS, Taken, next_size
from course.models import Audit, Consent, Enrollment, Installation, Subscriber, Suppression, Tag
from tests.commands.conftest import Minicourse
from tests.terminal import Answer
from tests.world import World


@pytest.fixture
def people(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


def _import(minicourse: Minicourse, file: Path, *words: str) -> dict[str, Any]:
    answer = minicourse(
        *("subscriber", "import", str(file), "--cohort", "evergreen", "--yes", "--json"), *words
    )
    assert answer.status == 0, answer.err
    said: dict[str, Any] = json.loads(answer.out)
    return {**said["taken"], **{name: said[name] for name in ("mails", "doubles", "rejects")}}


def _emails(world: World) -> list[str | None]:
    with world.database.reading() as session:
        return list(session.scalars(select(Subscriber.email).order_by(Subscriber.id)))


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
    assert order.detail == {
        "file": "people.csv",
        "file_hash": sha256(people.read_bytes()).hexdigest(),
        "cohort": "job-search/evergreen",
    }


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
    proof = sha256(people.read_bytes()).hexdigest()
    assert (consent.act, consent.source) == ("imported", "workshop list")
    assert (consent.at, consent.file_hash) == (world.clock.course, proof)


def test_an_import_repeated_changes_nothing(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    people.write_text("email\nann@example.com\nbob@example.com\nann@example.com\n")
    taken = _import(minicourse, people)
    assert (taken["asked"], taken["twice"]) == (2, 1)
    assert taken["doubles"]["twice"] == [{"line": 4, "before": 2}]
    world.pass_time(days=2)
    assert _import(minicourse, people)["already"] == 2
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
    (skipped,) = taken["suppressed"]["first"]
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
    answer = minicourse("subscriber", "import", str(people), "--cohort", "evergreen", "--yes")
    assert answer.status == 0
    assert _emails(world) == ["ann@example.com", "finn@example.com", "gina@example.com"]
    told = [line.split()[:1] for line in answer.out.partition("skipped because\n")[2].splitlines()]
    assert [word for (word,) in filter(None, told) if word.isdigit()] == ["3", "4", "5", "6", "8"]
    assert world.subscriber("finn@example.com").name == ""  # until they confirm


def test_a_dry_run_says_the_same_and_does_nothing(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    people.write_text("email\nann@example.com\nnobody\n")
    taken = _import(minicourse, people, "--dry-run", *CONFIRMED)
    assert (taken["confirmed"], taken["rejected"]["count"], taken["rejects"]) == (1, 1, None)
    assert taken["mails"] == [{"day": None, "mails": 1}]
    assert [file.name for file in people.parent.glob("*.csv")] == ["people.csv"]
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


# Before it is done --------------------------------------------------------------------------------


def _words(minicourse: Minicourse, file: Path, *words: str) -> Answer:
    return minicourse("subscriber", "import", str(file), "--cohort", "evergreen", *words)


def _answers(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_more_than_one_person_are_taken_in_only_with_a_yes(
    world: World, minicourse: Minicourse, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.write_text("email\nann@example.com\nbob@example.com\n")
    _answers(monkeypatch, "n\n")
    answer = _words(minicourse, people, *CONFIRMED)
    assert (answer.status, answer.out) == (1, "")
    assert "Mails this will send: 2 now" in answer.err
    assert _emails(world) == []
    _answers(monkeypatch, "y\n")
    assert _words(minicourse, people, *CONFIRMED).status == 0
    assert len(_emails(world)) == 2


def test_the_preview_counts_the_mails_of_each_day(
    world: World, minicourse: Minicourse, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEND_LIMIT", "2/day")
    rows = ["ann@example.com,", *(f"p{n}@example.com,practice" for n in range(3))]
    people.write_text("email,start_at\n" + "\n".join(rows) + "\n")
    answer = _words(minicourse, people, *CONFIRMED, "--dry-run")
    assert "Mails this will send: 1 now, 3 tomorrow\n" in answer.out
    assert "SEND_LIMIT lets 2 a day leave, the rest waits; or: --spread 2d\n" in answer.out
    later = _words(minicourse, people, *CONFIRMED, "--dry-run", "--start", "2027-01-19")
    assert "Mails this will send: 0 now, 1 on Tue 19 Jan, 3 on Wed 20 Jan\n" in later.out
    assert max(map(len, (answer.out + later.out).splitlines())) <= 80
    assert _emails(world) == []


def test_the_preview_says_for_whom_it_is_night(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    # At noon in Berlin it is 6 in New York and 20 in Tokyo, then 22 in Sydney.
    people.write_text(
        "email,zone,hour\nann@example.com,,\nbob@example.com,America/New_York,\n"
        "cy@example.com,Asia/Tokyo,\ndi@example.com,Australia/Sydney,\n"
    )
    answer = _words(minicourse, people, *CONFIRMED, "--dry-run")
    assert answer.out.split("Mails this will send: ")[1] == (
        "4 now\n"
        "At night, before 07:00 or from 21:00 on where the reader lives: 2 of 4\n"
        "To let them come at the hour of lessons: --start 2027-01-15\n"
    )
    told = json.loads(_words(minicourse, people, *CONFIRMED, "--dry-run", "--json").out)
    assert told["at_night"] == {"mails": 2, "instead": "--start 2027-01-15"}
    later = (*CONFIRMED, "--dry-run", "--start", "2027-01-15")
    assert "night" not in _words(minicourse, people, *later).out
    spread = _words(minicourse, people, *later, "--spread", "2d")
    assert "lessons: --start 2027-01-15, without --spread\n" in spread.out


def test_an_hour_that_was_chosen_is_no_night(minicourse: Minicourse, people: Path) -> None:
    people.write_text("email,hour\nann@example.com,23:00\n")
    answer = _words(minicourse, people, *CONFIRMED, "--start", "2027-01-18", "--dry-run")
    assert "1 on Mon 18 Jan" in answer.out
    assert "night" not in answer.out


@pytest.mark.parametrize(
    "words",
    [
        ("--start-at", "2"),
        ("--start-at-column", "email"),
        ("--start", "2027-02-01"),
        ("--spread", "3d"),
    ],
)
def test_where_and_when_they_begin_is_for_those_whose_consent_is_there(
    words: tuple[str, ...], minicourse: Minicourse, people: Path
) -> None:
    people.write_text("email\nann@example.com\n")
    answer = _words(minicourse, people, *words)
    assert answer.status == 2
    assert f"{words[0]} goes with --confirmed" in answer.err


@pytest.mark.parametrize(
    ("words", "header", "message"),
    [
        (("--start-at", "nope"), "email", "“nope” is no lesson of job-search"),
        (("--start", "2027-01-13"), "email", "--start 2027-01-13 is over; it is 2027-01-14"),
        (("--spread", "soon"), "email", "--spread 'soon' is not like 3d or 12h"),
        (("--map", "email"), "email", "--map 'email' is not like"),
        (("--start-at-column", "x"), "email", "no column 'x'; there is: email"),
        ((), "email,start_at", "The column start_at goes with --confirmed"),
    ],
)
def test_what_cannot_be_ordered_is_one_line(
    words: tuple[str, ...], header: str, message: str, minicourse: Minicourse, people: Path
) -> None:
    people.write_text(f"{header}\nann@example.com\n")
    answer = _words(minicourse, people, *words, *(CONFIRMED if words else ()))
    assert (answer.status, answer.out) == (1, "")
    assert message in answer.err
    assert answer.err.count("\n") == 1


# What is said, and kept ---------------------------------------------------------------------------


def test_rejected_rows_are_kept_mended_and_imported_again(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    source = (
        b"email,name,note\nann@example.com,Ann,x\nnobody,Bob,y\n"
        b"cy@example.com,C\xe9,z\ndi@example.com,D,,more\n"
    )
    people.write_bytes(source)
    taken = _import(minicourse, people)
    kept = people.with_name("people.rejects.csv")
    assert (taken["rejected"]["count"], taken["rejects"]) == (3, str(kept))
    lines = kept.read_bytes().splitlines()
    assert lines[0] == b"line,why,email,name,note"
    assert lines[1].startswith(b"3,")
    assert lines[1].endswith(b",nobody,Bob,y")
    assert lines[2].endswith(b",cy@example.com,C\xe9,z")
    assert lines[3].endswith(b",di@example.com,D,,more")
    assert kept.stat().st_mode & 0o077 == 0
    kept.write_bytes(kept.read_bytes().replace(b"nobody,", b"bob@example.com,"))
    again = _import(minicourse, kept)
    assert (again["asked"], again["rejected"]["count"]) == (1, 2)
    second = people.with_name("people.rejects-2.csv")
    assert second.read_text(errors="replace").splitlines()[0] == "line,why,email,name,note"
    assert len(_emails(world)) == 2


def test_rejects_never_take_the_place_of_another_file(
    minicourse: Minicourse, people: Path, tmp_path: Path
) -> None:
    people.write_text("email\nnobody\n")
    other = tmp_path / "other.csv"
    other.write_text("mine")
    answer = _words(minicourse, people, "--rejects", str(other))
    assert (answer.status, other.read_text()) == (2, "mine")
    _words(minicourse, people, "--rejects", str(tmp_path / "new.csv"))
    assert (tmp_path / "new.csv").exists()


def test_it_is_said_when_a_later_row_of_a_person_counts(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    people.write_text("email,zone\nann@example.com,Mars/North\nann@example.com,\n")
    answer = _words(minicourse, people)
    assert "Line 3: taken in place of line 2 of the same person, which is bad.\n" in answer.out
    assert _emails(world) == ["ann@example.com"]


def test_another_services_export_is_named_and_its_standing_heeded(
    world: World, minicourse: Minicourse, people: Path
) -> None:
    people.write_text(
        "first_name,email,created_at,status,tags\n"
        'Ann,ann@example.com,x,active,"a,b"\n'
        "Bob,bob@example.com,x,cancelled,\n"
        "Cy,cy@example.com,x,bounced,\n"
    )
    answer = _words(minicourse, people, "--suppress", "--yes")
    assert "people.csv looks like a Kit (ConvertKit) export.\n" in answer.err
    assert "2: unsubscribed there 1, bounced there 1" in answer.out
    assert _emails(world) == ["ann@example.com"]
    with world.database.reading() as session:
        assert sorted(session.scalars(select(Tag.name))) == ["a", "b"]
        found = {(one.reason, one.source) for one in session.scalars(select(Suppression))}
    source = "import of people.csv"
    assert found == {("unsubscribed", source), ("bounced", source)}


# How many at once ---------------------------------------------------------------------------------


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


# What a list may bring ----------------------------------------------------------------------------


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
    assert [(one["line"], one["reason"]) for one in taken["rejected"]["first"]] == [
        (4, "“half past” is not an hour; write it like 09:00"),
        (5, "years: “many” is not a number"),
    ]
    with world.database.reading() as session:
        rows = session.execute(select(Subscriber.hour, Enrollment.fields).join(Enrollment)).all()
    assert [tuple(row) for row in rows] == [(time(7, 30), '{"years":12}'), (None, "")]


def test_what_is_no_text_is_not_shown(world: World, minicourse: Minicourse, tmp_path: Path) -> None:
    file = tmp_path / "people.xlsx"
    file.write_bytes(b"PK\x03\x04\x14\x00\x06\x00\x08\n\x00\x01")
    answer = minicourse("subscriber", "import", str(file), "--cohort", "evergreen")
    assert answer.status == 1
    assert answer.err == (
        "Error: The first line is no text; save the list as CSV, and import that\n"
    )


def test_who_breaks_it_off_hears_how_far_it_came_and_that_it_goes_on(
    world: World, minicourse: Minicourse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "people.csv"
    file.write_text("email\n" + "".join(f"p{number}@example.com\n" for number in range(1000)))
    take, calls = importing.take, iter(range(3))

    def broken_off(*given: Any) -> Taken:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return take(*given)

    words = ("subscriber", "import", str(file), "--cohort", "evergreen", "--yes")
    with monkeypatch.context() as patch:
        patch.setattr(importing, "take", broken_off)
        answer = minicourse(*words)
    assert answer.status == 1
    with world.database.reading() as session:
        done = session.scalar(select(func.count(Subscriber.id)))
    assert done
    assert f"Broken off after {done} people of people.csv. Run the same command" in answer.err
    again = json.loads(minicourse(*words, "--json").out)["taken"]
    assert (again["asked"], again["already"]) == (1000 - done, done)
