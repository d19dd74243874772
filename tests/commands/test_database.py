"""`minicourse db`: backup, restore, check, prune, upgrade."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from course.commands.database import db
from course.models import Forecast
from course.processes.alone import alone_in
from tests.commands.conftest import Minicourse
from tests.world import World

SCREEN = 80


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def move_away(world: World) -> None:
    world.database.dispose()
    (world.settings.home / "minicourse.db").rename("away.db")


@pytest.mark.parametrize("name", ["", *sorted(db.commands)])
def test_each_explains_itself_with_an_example(name: str, minicourse: Minicourse) -> None:
    answer = minicourse("db", *name.split(), "--help")
    assert answer.status == 0
    assert re.search(rf"Example.*:\n +minicourse db {name}", answer.out)
    assert max(map(len, answer.out.splitlines())) <= SCREEN


def test_from_backup_to_release(world: World, minicourse: Minicourse) -> None:
    world.sign_up("ada@example.org")
    answer = minicourse("db", "backup", "monday.db")
    assert answer.status == 0, answer.err
    assert re.search(
        r"Wrote monday\.db \([\d,]+ bytes\), and its keys monday\.db\.keys\.", answer.out
    )
    assert minicourse("db", "backup", "monday.db").status == 1
    assert minicourse("db", "backup", "monday.db", "--force").status == 0

    refused = minicourse("db", "restore", "monday.db")
    assert (refused.status, refused.out) == (1, "")
    assert refused.err.count("\n") == 1
    assert f"There is a database at {world.settings.home}/minicourse.db" in refused.err

    move_away(world)
    answer = minicourse("db", "restore", "monday.db")
    assert answer.status == 0, answer.err
    assert answer.out.startswith(f"Restored {world.settings.home}/minicourse.db from monday.db.\n")
    assert answer.out.count("✓") == 11
    command = re.search(r"minicourse (send release \d+)\n$", answer.err)
    assert command
    assert "restored from monday.db" in minicourse("status").out.replace("\n", " ")
    released = minicourse(*command[1].split())
    assert released.out.startswith("Released"), released.err
    assert minicourse("db", "check").status == 0


def test_restore_beside_a_running_up_names_restore(world: World, minicourse: Minicourse) -> None:
    with alone_in(world.settings.home):
        answer = minicourse("db", "restore", "monday.db")
    assert (answer.status, answer.out) == (1, "")
    assert "End it first" in answer.err
    assert "minicourse db restore monday.db" in answer.err
    assert not answer.err.endswith("minicourse up\n")


def test_restore_says_in_json_what_it_did(world: World, minicourse: Minicourse) -> None:
    found = json.loads(minicourse("db", "backup", "monday.db", "--json").out)
    assert found["file"] == "monday.db"
    assert found["bytes"] == Path("monday.db").stat().st_size
    move_away(world)
    (world.settings.home / "minicourse.keys").unlink()
    found = json.loads(minicourse("db", "restore", "monday.db", "--json").out)
    assert found["keys_written"] == f"{world.settings.home}/minicourse.keys"
    assert found["links_tried"]
    assert {one["count"] for one in found["checks"]} == {0}


def test_a_restored_database_that_is_not_sound_needs_somebody(
    world: World, minicourse: Minicourse
) -> None:
    world.sign_up("ada@example.org")
    with world.database.writing() as session:
        session.execute(text("UPDATE delivery SET state = 'accepted'"))
    minicourse("db", "backup", "monday.db")
    move_away(world)
    answer = minicourse("db", "restore", "monday.db")
    assert answer.status == 3
    assert "✗ I2" in answer.out
    assert "✓" not in answer.out
    assert "All mail is held" in answer.out


def test_a_folder_gets_names_by_the_time(world: World, minicourse: Minicourse) -> None:
    for name in ("20260101-020000", "20260102-020000", "20260103-020000"):
        Path("backups").mkdir(exist_ok=True)
        Path(f"backups/minicourse-{name}.db").touch()
    answer = minicourse("db", "backup", "backups/", "--keep", "2")
    assert answer.status == 0, answer.err
    assert answer.out.count("Removed backups/minicourse-2026010") == 2
    assert len(list(Path("backups").glob("*.db"))) == 2
    assert minicourse("db", "backup", "monday.db", "--keep", "2").status == 2


def test_check_is_one_line_each_and_3_when_something_is_wrong(
    world: World, minicourse: Minicourse
) -> None:
    world.join("ada@example.org")
    world.tick()
    answer = minicourse("db", "check")
    assert answer.status == 0
    assert [line.split()[1] for line in answer.out.splitlines()] == [
        *("integrity", "references"),
        *(f"I{number}" for number in range(1, 9)),
        "figures",
    ]
    with world.database.writing() as session:
        session.execute(text("UPDATE delivery SET request_id = NULL WHERE state = 'accepted'"))
    answer = minicourse("db", "check")
    assert answer.status == 3
    assert "✗ I2         what is accepted was sent: 2 do not hold" in answer.out
    assert "delivery 1, delivery 2" in answer.out
    assert max(map(len, answer.out.splitlines())) <= SCREEN
    found = json.loads(minicourse("db", "check", "--json").out)
    assert {one["name"]: one["count"] for one in found}["I2"] == 2


def test_figures_that_are_wrong_are_counted_anew(world: World, minicourse: Minicourse) -> None:
    world.join("ada@example.org")
    world.tick()
    assert "Nothing to do" in minicourse("db", "recount").out
    with world.database.writing() as session:
        session.execute(text("DELETE FROM delta"))
    answer = minicourse("db", "check")
    assert answer.status == 3
    assert "✗ figures    what stats counts is what the ledger says: 3 do not hold" in answer.out
    assert answer.err.endswith("minicourse db recount\n")
    found = json.loads(minicourse("db", "recount", "--dry-run", "--json").out)
    assert found["mended"] is False
    assert "welcome in job-search/evergreen: sent +1" in found["wrong"]
    assert minicourse("db", "check").status == 3
    assert "Mended 3 figures." in minicourse("db", "recount").out
    assert minicourse("db", "check").status == 0
    assert json.loads(minicourse("stats", "--json").out)["courses"][0]["sent"] == 1


def test_prune_says_what_it_would_do_and_does_it(world: World, minicourse: Minicourse) -> None:
    world.sign_up("ada@example.org")
    with world.database.writing() as session:
        session.add(Forecast(made_at=world.clock.course, lessons=1))
    world.clock.course += timedelta(days=50)
    expected = {"sign_ups": 1, "people": 1, "events": 0, "forecasts": 1}
    for words in (("--dry-run",), ("--dry-run",), ()):
        assert json.loads(minicourse("db", "prune", "--json", *words).out) == expected
    answer = minicourse("db", "prune", "--events-older-than", "365d")
    assert answer.status == 0
    assert re.search(r"sign-ups never confirmed +0", answer.out)


@pytest.mark.parametrize("days", ["365", "29d", "1y", "-40d"])
def test_events_are_kept_for_a_month_at_least(days: str, minicourse: Minicourse) -> None:
    answer = minicourse("db", "prune", f"--events-older-than={days}")
    assert answer.status == 2
    assert days in answer.err


def test_without_a_database_there_is_nothing_to_back_up(
    world: World, minicourse: Minicourse
) -> None:
    move_away(world)
    answer = minicourse("db", "backup", "monday.db")
    assert answer.status == 1
    assert "No database at" in answer.err
    assert not Path("monday.db").exists()
