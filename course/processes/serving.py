"""HTTP servers: Waitress, which takes a request to its last byte before a thread gets it, so that
nobody's slow line holds up others; and one thread, because SQLite has one writer."""

import logging
import signal
import sys

import waitress
from flask import Flask
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer
from waitress.task import WSGITask

from course import logs
from course.settings import Settings

# Below the 1,024 files that a process may mostly open.
_CONNECTIONS = 800
_LONGEST_SECONDS = 60
_RECEIVED_AT_ONCE = 65_536  # bytes; events come by the thousand


class _LastTask(WSGITask):  # type: ignore[misc]
    """A connection carries one request: who sent hundreds over it and fetched no answer would keep
    the thread waiting until they do."""

    def build_response_header(self) -> bytes:
        self.set_close_on_finish()
        header: bytes = super().build_response_header()
        return header


class _Channel(HTTPChannel):  # type: ignore[misc]
    """And it is hung up on at its time, however often a byte of it comes or goes."""

    task_class = _LastTask
    creation_time: float

    @property
    def last_activity(self) -> float:
        return self.creation_time

    @last_activity.setter
    def last_activity(self, moment: float) -> None:
        """Waitress would begin to count anew."""


BaseWSGIServer.channel_class = _Channel


def serve_web(host: str, port: int) -> None:
    """Serve the public pages until SIGTERM or SIGINT."""
    settings = Settings.load()
    logs.set_up("web", settings)
    from course.web.app import create_app
    from course.web.hooks import LARGEST_BODY

    _serve(create_app(settings), host, port, LARGEST_BODY)


def serve_sandbox(host: str, port: int) -> None:
    """Serve the stand-in, set up by its environment variables, until SIGTERM or SIGINT."""
    logs.set_up("sandbox", Settings.load())
    from course.sandbox.app import create_app_from_env
    from course.sandbox.rules import MAX_BODY_BYTES

    _serve(create_app_from_env(), host, port, MAX_BODY_BYTES)


def _serve(app: Flask, host: str, port: int, largest_body: int) -> None:
    server = waitress.create_server(
        app,
        listen=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        threads=1,
        ident=None,
        connection_limit=_CONNECTIONS,
        asyncore_use_poll=True,
        channel_timeout=_LONGEST_SECONDS,
        cleanup_interval=_LONGEST_SECONDS // 4,
        recv_bytes=_RECEIVED_AT_ONCE,
        max_request_body_size=largest_body + 1,  # the app itself says what is too large
        clear_untrusted_proxy_headers=False,  # whom to believe, TRUSTED_PROXIES says
    )
    # With one thread a queue is no news.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    # It ends what it is about, and then itself.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    server.run()
