"""The provider of the benchmarks, in a process of its own: it reads each request to its last byte,
waits as long as its latency, and says 202. It understands nothing, so that it costs next to
nothing."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

from course.processes.children import end_with
from tests.forked import processes

_START_SECONDS = 20
_ANSWER = (
    "HTTP/1.1 202 Accepted\r\nServer: nginx\r\nContent-Length: 0\r\nConnection: keep-alive\r\n"
    "X-Message-Id: {:022d}\r\nStrict-Transport-Security: max-age=600; includeSubDomains\r\n\r\n"
)


@contextmanager
def running(latency_seconds: float = 0.0, record: Path | None = None) -> Iterator[str]:
    """Its URL. The body of the first request is written to `record`."""
    ear, mouth = processes.Pipe(duplex=False)
    process = processes.Process(target=_run, args=(mouth, latency_seconds, record))
    process.start()
    try:
        assert ear.poll(_START_SECONDS), "the provider does not start"
        yield ear.recv()
    finally:
        process.kill()
        process.join()


def _run(mouth: Connection, latency_seconds: float, record: Path | None) -> None:
    end_with(os.getppid())
    with _Provider(latency_seconds, record) as server:
        mouth.send(f"http://127.0.0.1:{server.server_address[1]}")
        server.serve_forever()


class _Provider(ThreadingTCPServer):
    request_queue_size = 128
    daemon_threads = True

    def __init__(self, latency_seconds: float, record: Path | None) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.latency_seconds = latency_seconds
        self.record = record
        self.numbers = count(1)

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever hangs up has had enough."""


class _Call(StreamRequestHandler):
    server: _Provider
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while head := self._head():
            body = self.rfile.read(int(head.get(b"content-length", 0)))
            if self.server.record:
                _write_once(self.server.record, body)
            if self.server.latency_seconds:
                time.sleep(self.server.latency_seconds)
            self.wfile.write(_ANSWER.format(next(self.server.numbers)).encode())
            if head.get(b"connection", b"").lower() == b"close":
                return

    def _head(self) -> dict[bytes, bytes]:
        """The request's line and headers, by their names in lower case; empty at the end."""
        found = {}
        while line := self.rfile.readline().strip():
            name, _, value = line.partition(b":")
            found[name.lower()] = value.strip()
        return found


def _write_once(path: Path, body: bytes) -> None:
    """Whole or not at all: it is looked for while it is written."""
    if not path.exists():
        part = path.with_suffix(".part")
        part.write_bytes(body)
        part.rename(path)
