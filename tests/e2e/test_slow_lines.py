"""Who sends slowly, or stops in the middle, holds up nobody else."""

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from course.demo import visitor
from course.processes import ports
from course.processes.serving import _Channel
from tests.e2e.processes import Addresses, Process, eventually, running

pytestmark = pytest.mark.e2e

HELD = 40  # of each sort


@pytest.fixture
def at() -> Addresses:
    return Addresses.free()


@pytest.fixture
def web(founded_home: Path, at: Addresses) -> Iterator[Process]:
    with running(founded_home, "cli.py", "web", **at.settings) as process:
        eventually(lambda: ports.answers(f"{at.pages}/healthz"))
        yield process


def begun(at: Addresses, words: str) -> socket.socket:
    """A connection over which so much of a request came, and no more."""
    connection = socket.create_connection(ports.address_of(at.pages), timeout=10)
    connection.sendall(words.replace("\n", "\r\n").encode())
    return connection


@pytest.mark.parametrize(
    "words",
    [
        "POST /webhooks/sendgrid HTTP/1.1\nHost: x\nContent-Length: 1000\n\n[",
        "POST /c/job-search HTTP/1.1\nHost: x\nContent-Length: 100\n\nemail=",
        "POST /c/job-search HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n5\nemail\n",
        "GET / HTTP/1.1\nHost: x\nX-",
        "",
    ],
    ids=["an event's body", "a form's body", "in chunks", "headers", "nothing"],
)
def test_requests_that_do_not_come_to_their_end_hold_up_nobody(
    web: Process, at: Addresses, words: str
) -> None:
    with ExitStack() as held:
        for _ in range(HELD):
            held.enter_context(closing(begun(at, words)))
        with urlopen(f"{at.pages}/healthz", timeout=10) as answer:
            assert answer.status == 200
        page = visitor.get(f"{at.pages}/")
        assert page.sign_up(email="anna@example.com").status == 202
        web.send(signal.SIGTERM)
        status, _ = web.wait()
    assert status == 0


def test_a_connection_carries_one_request(web: Process, at: Addresses) -> None:
    asked = "GET /healthz HTTP/1.1\nHost: x\n\n" * 5
    with closing(begun(at, asked)) as connection:
        told = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert told.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in told


def test_a_byte_now_and_then_does_not_keep_a_connection() -> None:
    """Asked of the channel itself: the minute is long for a test."""
    channel = _Channel.__new__(_Channel)
    channel.creation_time = channel.last_activity = 1000.0
    channel.last_activity = 2000.0
    assert channel.last_activity == 1000.0
