"""The scheduler as a process: what it refuses, and how it ends in the middle of a call."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from course.db import Database
from tests.e2e.processes import running
from tests.world import World

pytestmark = pytest.mark.e2e


class SlowProvider(ThreadingHTTPServer):
    """Takes every mail, but thinks about it for a second."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), SlowAnswer)
        self.asked = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class SlowAnswer(BaseHTTPRequestHandler):
    server: SlowProvider

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.set()
        time.sleep(1)
        self.send_response(202)
        self.send_header("X-Message-Id", "message-id")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def slow_provider() -> Iterator[SlowProvider]:
    with SlowProvider() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("words", [["scheduler.py"], ["cli.py", "scheduler"]])
def test_without_a_sandbox_it_exits_1_and_names_the_command(
    founded_home: Path, words: list[str]
) -> None:
    with running(founded_home, *words, SENDGRID_HOST="http://127.0.0.1:1") as scheduler:
        status, printed = scheduler.wait()
    assert status == 1
    assert printed == (
        "Error: Nobody takes mail at http://127.0.0.1:1. Start the stand-in for SendGrid in "
        "another terminal with: minicourse sandbox\n"
    )


def test_it_refuses_what_does_not_belong_to_the_database(founded_home: Path) -> None:
    with running(founded_home, "scheduler.py", HASH_KEY="another") as scheduler:
        status, printed = scheduler.wait()
    assert status == 1
    assert "HASH_KEY is not the one this database was made with" in printed


def test_a_signal_in_the_middle_of_a_call_lets_the_call_end(world: World) -> None:
    enrollment = world.sign_up("anna@example.com")
    world.database.dispose()
    home = world.settings.home
    # The test's clock stands in the future, and the mail is due by it.
    (home / "clock").write_text(world.clock.course.isoformat())
    with slow_provider() as provider:
        settings = {"SENDGRID_HOST": provider.url, "MINICOURSE_CLOCK_FILE": str(home / "clock")}
        with running(home, "scheduler.py", **settings) as scheduler:
            assert provider.asked.wait(40)
            scheduler.send(signal.SIGTERM)
            status, printed = scheduler.wait(15)
    assert status == 0, printed
    assert "1 accepted" in printed
    assert '"event":"stopped"' in printed.splitlines()[-1]
    again = World(world.settings, Database(world.settings.database))
    assert [row.state for row in again.rows(enrollment)] == ["accepted"]
    again.database.dispose()
