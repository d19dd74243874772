"""`minicourse up` as a service of systemd: a socket hears what it would hear."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.processes import PATIENCE_SECONDS, Addresses, eventually, processes_of, running

pytestmark = pytest.mark.e2e


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.settimeout(PATIENCE_SECONDS)
        made.bind(str(tmp_path / "notify"))
        yield made


def test_it_is_ready_when_the_pages_answer_and_then_alive_until_it_stops(
    founded_home: Path, tmp_path: Path, ear: socket.socket
) -> None:
    at = Addresses.free()
    settings = at.settings | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    with running(founded_home, "cli.py", "up", **settings) as up:
        assert ear.recv(100) == b"READY=1"
        assert at.are_served()
        assert [ear.recv(100), ear.recv(100)] == [b"WATCHDOG=1"] * 2
        up.send(signal.SIGTERM)
        words = iter(lambda: ear.recv(100), b"STOPPING=1")
        assert set(words) <= {b"WATCHDOG=1"}
        assert up.wait()[0] == 0


def test_when_a_process_of_it_is_gone_it_fails_and_says_no_more(
    founded_home: Path, tmp_path: Path, ear: socket.socket
) -> None:
    at = Addresses.free()
    settings = at.settings | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    with running(founded_home, "cli.py", "up", **settings) as up:
        assert ear.recv(100) == b"READY=1"
        web = [pid for pid, words in processes_of(up.home).items() if "cli.py web " in words]
        eventually(lambda: ear.recv(100) == b"WATCHDOG=1")

        os.kill(min(web), signal.SIGKILL)
        status, printed = up.wait()
        assert status == 1  # which systemd takes for a failure, and starts it again
        assert "`minicourse web` ended (SIGKILL)" in printed
