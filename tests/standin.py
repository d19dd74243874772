"""A stand-in for the provider that never forgets what it took, however badly it answers.

Its log is the truth that the ledger is compared with: a line a request, synced to the disk before
the answer leaves.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import orjson

from course import events, installation
from course.clock import Clock
from course.db import Database
from course.packing import DELIVERY_ARGUMENT
from course.states import EventKind
from course.webhooks import ProviderEvent

POISON = "poison"  # an address that begins so makes its whole request a bad one


@dataclass(frozen=True, slots=True)
class Taken:
    """One mail that the provider accepted: its delivery, when (course time), in which request."""

    delivery_id: int
    at: datetime
    request: int


class Fault(Enum):
    """How a request is treated: is it taken, and what does the sender hear of it?"""

    NONE = "taken, 202"
    SLOW = "taken, 202 after a while"
    BROKEN = "taken, 500"
    SILENT = "taken, hangs up without an answer"
    LATE = "taken, answers after the sender's deadline"
    BUSY = "not taken, 429"
    AWAY = "not taken, 503"
    DEAF = "not taken, hangs up before reading"
    BAD = "not taken, 400 without a field"
    BAD_FIRST = "not taken, 400 that names its first row"
    BAD_KEY = "not taken, 401"


_TAKEN = (Fault.NONE, Fault.SLOW, Fault.BROKEN, Fault.SILENT, Fault.LATE)
_STATUS = {
    Fault.NONE: 202,
    Fault.SLOW: 202,
    Fault.LATE: 202,
    Fault.BROKEN: 500,
    Fault.BUSY: 429,
    Fault.AWAY: 503,
    Fault.BAD: 400,
    Fault.BAD_FIRST: 400,
    Fault.BAD_KEY: 401,
}
_WORDS = {
    Fault.BAD: b'{"errors": [{"message": "something is wrong", "field": null}]}',
    Fault.BAD_FIRST: b'{"errors": [{"message": "is wrong", "field": "personalizations.0.to"}]}',
    Fault.BAD_KEY: b'{"errors": [{"message": "authorization required"}]}',
}


class Log:
    """What was taken, on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._lock = Lock()

    def take(self, references: list[str], at: datetime) -> None:
        line = f"{at.isoformat()} {' '.join(references)}\n".encode()
        with self._lock:
            os.write(self._file, line)
            os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


def read_log(path: Path) -> list[Taken]:
    """Every mail that was taken, in that order."""
    return [
        Taken(int(reference.rpartition("-")[2]), datetime.fromisoformat(moment), number)
        for number, line in enumerate(path.read_text().splitlines())
        for moment, *references in [line.split()]
        for reference in references
    ]


class StandIn(ThreadingHTTPServer):
    """`choose` says how the next request is treated; `clock` what time it is for the course."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(
        self,
        log: Log,
        choose: Callable[[], Fault],
        clock: Clock,
        *,
        slow_seconds: float = 0.1,
        late_seconds: float = 2.0,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.log = log
        self.clock = clock
        self.choose = choose
        self.pauses = {Fault.SLOW: slow_seconds, Fault.LATE: late_seconds}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Senders are killed in the middle of their calls: that is the point."""


class _Call(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        fault = self.server.choose()
        if fault is Fault.DEAF:
            self.close_connection = True
            return
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # the sender died before its last byte
            return
        people = orjson.loads(body)["personalizations"]
        if any(person["to"][0]["email"].startswith(POISON) for person in people):
            fault = Fault.BAD
        if fault in _TAKEN:
            references = [person["custom_args"][DELIVERY_ARGUMENT] for person in people]
            self.server.log.take(references, self.server.clock.now())
        time.sleep(self.server.pauses.get(fault, 0))
        if fault is not Fault.SILENT:
            self._answer(_STATUS[fault], _WORDS.get(fault, b""))

    def _answer(self, status: int, words: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(words)))
        self.end_headers()
        self.wfile.write(words)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def serving(standin: StandIn) -> Iterator[StandIn]:
    """It listens in a thread of its own until the block ends."""
    with standin:
        thread = Thread(target=standin.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield standin
        finally:
            standin.shutdown()
            thread.join()
            standin.log.close()


def processed(mails: Iterable[Taken], name: str) -> list[ProviderEvent]:
    """What the provider's webhook says of these mails of the installation of that name."""
    return [
        ProviderEvent(EventKind.PROCESSED, mail.at, f"{name}-{mail.delivery_id}") for mail in mails
    ]


def tell(database: Database, hash_key: str, mails: Sequence[Taken], now: datetime) -> None:
    """Let these events arrive, in bodies of a few hundred."""
    with database.reading() as session:
        name = installation.get(session).name
    for start in range(0, len(mails), 500):
        told = processed(mails[start : start + 500], name)
        database.run(
            partial(events.record, events=told, now=now, installation=name, hash_key=hash_key)
        )
