"""`subscriber export`: the chosen ones, for spreadsheets, programs, and another import."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from course import courses, exporting, sources
from course.models import Enrollment, Subscriber, Tag
from tests.commands.conftest import Minicourse
from tests.world import World

LIST = (
    "email,name,zone,hour,tags,years,state\n"
    'ann@example.com,"=HYPERLINK(""x"")",Asia/Tokyo,07:30,"a,""b;c""",3,\n'
    "bob@example.com,'=Bob,,,,,@home\n"
    "cy@example.com,Cy,,,,,\n"
)


@pytest.fixture
def town(world: World, minicourse: Minicourse, tmp_path: Path) -> World:
    """Three people out of a list; one has left."""
    source = sources.read(world.settings.home, "job-search")
    files = dict(source.files)
    files["course.toml"] += '\n[fields.years]\ntype = "number"\n[fields.state]\n'
    with world.database.writing() as session:
        courses.apply(session, replace(source, files=files), "test", world.clock.course)
    file = tmp_path / "people.csv"
    file.write_text(LIST)
    words = ("--cohort", "evergreen", "--confirmed", "--source", "paper", "--yes")
    assert minicourse("subscriber", "import", str(file), *words).status == 0
    assert minicourse("subscriber", "unsubscribe", "cy@example.com").status == 0
    world.tick()
    return world


def _table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.usefixtures("town")
def test_a_table_holds_all_that_is_known_and_no_formula(minicourse: Minicourse) -> None:
    ann, bob, cy = _table(minicourse("subscriber", "export").out)
    assert ann == {
        "email": "ann@example.com",
        "name": '\'=HYPERLINK("x")',
        "zone": "Asia/Tokyo",
        "hour": "07:30",
        "course": "job-search",
        "cohort": "evergreen",
        "state": "active",
        "received": "1",
        "lessons": "7",
        "tags": 'a,"b;c"',
        "signed_up_at": "2027-01-14T11:00:00+00:00",
        "confirmed_at": "2027-01-14T11:00:00+00:00",
        "years": "3",
        "field_state": "",
    }
    assert (bob["name"], bob["field_state"]) == ("''=Bob", "'@home")
    assert cy["state"] == "cancelled"


@pytest.mark.usefixtures("town")
def test_a_program_gets_a_line_of_json_each(minicourse: Minicourse) -> None:
    words = ("subscriber", "export", "--format", "jsonl", "--tag", "b;c")
    (ann,) = map(json.loads, minicourse(*words).out.splitlines())
    assert ann["name"] == '=HYPERLINK("x")'  # no spreadsheet reads it
    assert (ann["tags"], ann["fields"]) == (["a", "b;c"], {"years": 3})


def test_what_was_written_out_is_taken_in_again_as_it_was(
    town: World, minicourse: Minicourse, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    assert minicourse("subscriber", "export", "--output", str(out)).out == f"3 written to {out}\n"
    assert out.stat().st_mode & 0o077 == 0
    before = _people(town)
    with town.database.writing() as session:
        for table in (Tag, Subscriber):
            for row in session.scalars(select(table)):
                if isinstance(row, Subscriber):
                    row.name, row.zone, row.hour = "", None, None
                else:
                    session.delete(row)
        for enrolled in session.scalars(select(Enrollment)):
            enrolled.fields = ""
    words = ("--cohort", "evergreen", "--update", "--yes", "--json")
    answer = minicourse("subscriber", "import", str(out), *words)
    taken = json.loads(answer.out)["taken"]
    assert (taken["updated"], taken["elsewhere"]["reasons"]) == (2, {"cancelled there": 1})
    assert answer.err == "out.csv looks like a minicourse export.\n"
    assert _people(town)[:2] == before[:2]


def _people(world: World) -> list[tuple[object, ...]]:
    with world.database.reading() as session:
        found = session.execute(
            select(Subscriber.email, Subscriber.name, Subscriber.zone, Subscriber.hour, Tag.name)
            .add_columns(Enrollment.fields)
            .join(Enrollment, Enrollment.subscriber_id == Subscriber.id)
            .outerjoin(Tag, Tag.subscriber_id == Subscriber.id)
            .order_by(Subscriber.id, Tag.name)
        )
        rows: dict[str, list[object]] = {}
        for email, *rest in found:
            rows.setdefault(email or "", []).append(tuple(rest))
        return [(email, *some) for email, some in rows.items()]


def test_a_long_list_is_written_some_at_a_time(
    world: World, minicourse: Minicourse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "BATCH", 10)
    file = tmp_path / "people.csv"
    file.write_text("email\n" + "".join(f"p{n}@example.com\n" for n in range(25)))
    minicourse("subscriber", "import", str(file), "--cohort", "evergreen", "--yes")
    rows = _table(minicourse("subscriber", "export", "--state", "pending").out)
    assert [row["email"] for row in rows] == [f"p{n}@example.com" for n in range(25)]
    assert _table(minicourse("subscriber", "export", "--state", "paused").out) == []


def test_a_file_that_cannot_be_finished_leaves_the_old_one(
    world: World, minicourse: Minicourse, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old")
    answer = minicourse("subscriber", "export", "--cohort", "nope", "--output", str(out))
    assert (answer.status, out.read_text()) == (1, "old")
    assert [path.name for path in tmp_path.glob("out*")] == ["out.csv"]
