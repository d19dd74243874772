"""`minicourse up`: everything with one command, and nothing left of it afterwards."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from course.demo import visitor
from course.processes import ports
from tests.e2e.processes import Addresses, Process, eventually, processes_of, running
from tests.world import make_home

pytestmark = pytest.mark.e2e

# Enough for an orderly end on a busy machine, far below the wait for a process that does not.
END_SECONDS = 15.0


@pytest.fixture
def at() -> Addresses:
    return Addresses.free()


@pytest.fixture
def house(founded_home: Path, at: Addresses) -> Iterator[Process]:
    """`up`, with pages, sandbox and scheduler running."""
    with running(founded_home, "cli.py", "up", **at.settings) as up:
        eventually(lambda: at.are_served() and child(up.home, "scheduler"))
        yield up


def child(home: Path, command: str) -> int | None:
    """The process id of one of the children."""
    found = (pid for pid, words in processes_of(home).items() if f"cli.py {command} " in words)
    return next(found, None)


def mails(at: Addresses, to: str) -> list[dict[str, Any]]:
    with urlopen(f"{at.inbox}/api/mails?to={to}") as answer:
        found: list[dict[str, Any]] = json.load(answer)
        return found


def test_an_empty_home_becomes_a_course_that_mails(tmp_path: Path, at: Addresses) -> None:
    home = make_home(tmp_path / "home")
    with running(home, "cli.py", "up", **at.settings) as up:
        eventually(at.are_served)
        page = visitor.get(f"{at.pages}/")
        assert page.sign_up(email="anna@example.com", zone="Europe/Berlin").status == 202
        eventually(lambda: mails(at, "anna@example.com"))
        (mail,) = mails(at, "anna@example.com")
        link = re.search(rf"{at.pages}/confirm/\S+", mail["text"])
        assert link
        assert visitor.get(link[0]).submit().status == 200
        eventually(lambda: len(mails(at, "anna@example.com")) == 2)
        up.send(signal.SIGTERM)
        status, printed = up.wait()
    assert status == 0
    for line in (f"{home}/minicourse.db", f"{home}/lessons", at.pages, at.inbox):
        assert line in printed


def test_a_second_up_is_refused_in_one_line_and_the_first_goes_on(
    house: Process, at: Addresses
) -> None:
    with running(house.home, "cli.py", "up", **at.settings) as second:
        status, printed = second.wait()
        assert at.are_served()
        assert child(house.home, "scheduler")
    assert status == 1
    assert printed == (
        f"Error: `minicourse up` is running already in {house.home} (process {house.popen.pid}). "
        "End it first with Ctrl-C there, or run this one in another home: "
        "MINICOURSE_HOME=/another/folder minicourse up\n"
    )


def test_of_two_that_start_at_one_moment_one_runs(founded_home: Path, at: Addresses) -> None:
    with (
        running(founded_home, "cli.py", "up", **at.settings) as one,
        running(founded_home, "cli.py", "up", **at.settings) as other,
    ):
        eventually(lambda: one.popen.poll() is not None or other.popen.poll() is not None)
        loser, winner = (one, other) if one.popen.poll() is not None else (other, one)
        status, printed = loser.wait()
        assert status == 1
        assert printed.startswith("Error: `minicourse up` is running already in ")
        assert printed.count("\n") == 1
        eventually(lambda: at.are_served() and child(founded_home, "scheduler"))
        assert winner.popen.poll() is None
        assert len(schedulers(founded_home)) == 1


def schedulers(home: Path) -> list[int]:
    return [pid for pid, words in processes_of(home).items() if "cli.py scheduler " in words]


def test_another_home_is_refused_the_same_ports_in_one_line(
    house: Process, at: Addresses, tmp_path: Path
) -> None:
    with running(make_home(tmp_path / "other"), "cli.py", "up", **at.settings) as second:
        status, printed = second.wait()
    port = ports.address_of(at.pages)[1]
    assert status == 1
    assert printed == (
        f"Error: Cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Is another `minicourse up` running? Another port: minicourse up --port PORT\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_within_seconds(
    house: Process, at: Addresses, number: signal.Signals
) -> None:
    house.send(number)
    status, printed = house.wait(END_SECONDS)
    assert status == 0, printed
    assert "Traceback" not in printed
    assert at.are_free()
    assert processes_of(house.home) == {}


def test_kill_9_of_the_parent_leaves_nobody_on_the_ports(house: Process, at: Addresses) -> None:
    house.send(signal.SIGKILL)
    eventually(lambda: not processes_of(house.home), END_SECONDS)
    assert at.are_free()


@pytest.mark.parametrize("command", ["web", "sandbox", "scheduler"])
def test_when_one_ends_all_end(house: Process, at: Addresses, command: str) -> None:
    pid = child(house.home, command)
    assert pid
    os.kill(pid, signal.SIGKILL)
    status, printed = house.wait(END_SECONDS)
    assert status == 1
    assert f"Error: `minicourse {command}` ended (SIGKILL)." in printed
    eventually(lambda: not processes_of(house.home), END_SECONDS)
    assert at.are_free()


def test_another_port_moves_the_links_too(founded_home: Path, at: Addresses) -> None:
    elsewhere = Addresses(Addresses.free().pages, at.inbox)
    port = ports.address_of(elsewhere.pages)[1]
    with running(founded_home, "cli.py", "up", "--port", str(port), **at.settings):
        eventually(elsewhere.are_served)
        page = visitor.get(f"{elsewhere.pages}/")
        assert page.sign_up(email="anna@example.com").status == 202
        eventually(lambda: mails(at, "anna@example.com"))
        assert f"{elsewhere.pages}/confirm/" in mails(at, "anna@example.com")[0]["text"]
