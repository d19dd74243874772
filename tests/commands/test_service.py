"""`minicourse service print`: files that fit this machine, and those that fit any."""

import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from course.commands import service
from course.commands.service import FILES, FOLDER, Place, place_of, written
from course.errors import RefusedError
from course.settings import SOURCE_ROOT, Settings
from tests.commands.conftest import Minicourse
from tests.world import World

FLEET = ("web", "scheduler", "worker")
UNITS = ("systemd", "backup", "backup-timer", *FLEET)


@pytest.fixture
def on_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings with which all of it can be printed."""
    monkeypatch.setenv("PUBLIC_URL", "https://bread.example.org")
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://db/mine")
    monkeypatch.setenv("SECRET_KEY", "a secret")
    monkeypatch.setenv("HASH_KEY", "another")
    monkeypatch.setenv("BROKER_URL", "redis://broker:6379/0")


@pytest.mark.parametrize("kind", FILES)
def test_the_files_in_the_repository_are_what_is_printed_for_the_generic_values(
    kind: str, on_a_server: None, monkeypatch: pytest.MonkeyPatch, minicourse: Minicourse
) -> None:
    monkeypatch.setattr(service, "place_of", lambda _: Place())
    assert minicourse("service", "print", kind).out == (FOLDER / FILES[kind]).read_text()


@pytest.mark.parametrize("kind", FILES)
def test_what_is_printed_has_nothing_of_the_generic_values(
    kind: str, on_a_server: None, monkeypatch: pytest.MonkeyPatch, minicourse: Minicourse
) -> None:
    monkeypatch.setattr(service, "_owner", lambda _: "robin")
    answer = minicourse("service", "print", kind)
    assert answer.status == 0
    for value in ("/srv/minicourse", "course.example.com", "User=minicourse", "user minicourse"):
        assert value not in answer.out


def test_every_value_stands_somewhere_in_the_files() -> None:
    """Else it would never be filled in."""
    texts = "".join((FOLDER / name).read_text() for name in FILES.values())
    words = Place().words
    assert all(word in texts for word in words)
    assert len(words) >= len(fields(Place))


def test_the_real_values_are_filled_in(
    world: World, monkeypatch: pytest.MonkeyPatch, minicourse: Minicourse
) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://bread.example.org")
    home, program = world.settings.home, Path(sys.prefix) / "bin" / "minicourse"
    unit = minicourse("service", "print", "systemd").out
    assert f"\nExecStart={program} up\n" in unit
    assert f"\nEnvironment=MINICOURSE_HOME={home}\n" in unit
    assert f"\nReadWritePaths={home}\n" in unit
    assert f"\nUser={home.owner()}\n" in unit
    assert "\nbread.example.org {\n" in minicourse("service", "print", "caddy").out
    backup = minicourse("service", "print", "backup").out
    assert f"\nExecStart={program} db backup {home}/backups/ --keep 14\n" in backup
    assert f'* * * * * out=$({program} send due 2>&1) || echo "$out"' in crontab(minicourse)


def crontab(minicourse: Minicourse) -> list[str]:
    lines = minicourse("service", "print", "cron").out.splitlines()
    return [line for line in lines if line[:1] in "*0123456789@"]


@pytest.mark.parametrize("fails", [False, True])
def test_cron_has_nothing_to_mail_unless_something_goes_wrong(
    fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minicourse: Minicourse
) -> None:
    """The lines run by a shell, with a program that writes on both streams as ours does."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho out; echo err >&2; exit {3 if fails else 0}\n")
    program.chmod(0o755)
    monkeypatch.setattr(service, "place_of", lambda _: Place(command=str(program)))
    timed = [line.split(maxsplit=5)[5] for line in crontab(minicourse) if line[0] != "@"]
    assert len(timed) == 3
    for line in timed:
        ran = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)
        assert (ran.stdout, ran.stderr) == ("out\nerr\n" if fails else "", "")


def test_what_cron_starts_with_the_machine_is_started_now_by_the_line_above(
    minicourse: Minicourse,
) -> None:
    whole = minicourse("service", "print", "cron").out
    (at_boot,) = [line for line in crontab(minicourse) if line.startswith("@reboot ")]
    by_hand = next(line for line in whole.splitlines() if line.startswith("#   "))
    assert at_boot.removeprefix("@reboot ") in by_hand
    assert by_hand.endswith(" &")


def test_a_database_elsewhere_may_be_written_too(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="sqlite:////var/lib/minicourse/a.db")
    unit = written(FILES["systemd"], place_of(settings))
    assert f"\nReadWritePaths={tmp_path} /var/lib/minicourse\n" in unit


def test_homes_are_hidden_unless_the_program_lies_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SOURCE_ROOT", Path("/srv/minicourse"))
    monkeypatch.setattr(sys, "prefix", "/srv/minicourse/.venv")
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert service._homes(Path("/srv/minicourse")) == "true"
    assert service._homes(Path("/home/robin/course")) == "read-only"
    monkeypatch.setattr(sys, "executable", "/root/.local/bin/python3")
    assert service._homes(Path("/srv/minicourse")) == "read-only"


@pytest.mark.parametrize("name", ["my course", "100%", "a;b", 'a"b', "$HOME"])
def test_a_path_that_systemd_or_cron_would_misread_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="Move it to a path of letters"):
        place_of(Settings(home=tmp_path / name))


@pytest.mark.parametrize("words", ["service", "service print"])
def test_the_help_fits_a_screen_and_its_examples_work(words: str, minicourse: Minicourse) -> None:
    text = minicourse(*words.split(), "--help").out
    assert max(map(len, text.splitlines())) <= 80
    examples = re.findall(r"^ +minicourse (.+)$", text, re.MULTILINE)
    assert examples
    assert all(minicourse(*example.split()).status == 0 for example in examples)


def test_without_a_public_name_there_is_nothing_for_caddy_to_serve(minicourse: Minicourse) -> None:
    answer = minicourse("service", "print", "caddy")
    assert (answer.status, answer.out) == (1, "")
    assert "PUBLIC_URL is http://127.0.0.1:8000" in answer.err
    assert "PUBLIC_URL=https://course.example.com" in answer.err


@pytest.mark.parametrize("kind", FLEET)
def test_a_unit_of_a_fleet_starts_its_part_with_the_real_paths(
    kind: str, on_a_server: None, world: World, minicourse: Minicourse
) -> None:
    home, program = world.settings.home, Path(sys.prefix) / "bin" / "minicourse"
    unit = minicourse("service", "print", kind).out
    assert f"\nExecStart={program} {kind}" in unit
    assert f"\nWorkingDirectory={home}\n" in unit
    assert f"\nUser={home.owner()}\n" in unit


@pytest.mark.parametrize("kind", FLEET)
def test_a_fleet_on_an_embedded_database_has_no_units(kind: str, minicourse: Minicourse) -> None:
    answer = minicourse("service", "print", kind)
    assert (answer.status, answer.out) == (1, "")
    assert "minicourse service print systemd" in answer.err
    assert "minicourse db copy" in answer.err


def test_a_worker_that_would_hear_nothing_has_no_unit(
    on_a_server: None, monkeypatch: pytest.MonkeyPatch, minicourse: Minicourse
) -> None:
    monkeypatch.delenv("BROKER_URL")
    assert minicourse("service", "print", "scheduler").status == 0
    answer = minicourse("service", "print", "worker")
    assert (answer.status, answer.out) == (1, "")
    assert "BROKER_URL is not set" in answer.err


def test_every_unit_in_the_repository_can_be_printed() -> None:
    lying = {str(path.relative_to(FOLDER)) for path in FOLDER.glob("*/*.service")}
    assert lying == {name for name in FILES.values() if name.endswith(".service")}


def test_root_is_warned(monkeypatch: pytest.MonkeyPatch, minicourse: Minicourse) -> None:
    monkeypatch.setattr(Path, "owner", lambda _: "root")
    assert "better give it a user of its own" in minicourse("service", "print", "systemd").err


def test_systemd_accepts_the_units(
    tmp_path: Path, on_a_server: None, minicourse: Minicourse
) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed here: nobody has judged the units")
    files = []
    for kind in UNITS:
        file = tmp_path / Path(FILES[kind]).name
        file.write_text(minicourse("service", "print", kind).out)
        files.append(str(file))
    verify = ["systemd-analyze", "verify", "--man=no", *files]
    judged = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (judged.returncode, judged.stderr) == (0, "")


def test_the_program_that_the_units_name_is_there() -> None:
    assert (Path(sys.prefix) / "bin" / "minicourse").exists()
    assert FOLDER.is_relative_to(SOURCE_ROOT)
