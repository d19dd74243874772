import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from course.sandbox.app import create_app
from course.sandbox.config import SandboxConfig

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
KEY = {"Authorization": "Bearer SG.any"}

AppFactory = Callable[..., Flask]


def request_to(*emails: str, **changes: Any) -> dict[str, Any]:
    """A request that passes every rule, one personalization an address."""
    return {
        "personalizations": [{"to": [{"email": email}]} for email in emails],
        "from": {"email": "coach@example.com", "name": "Mara"},
        "subject": "Take the interview",
        "content": [
            {"type": "text/plain", "value": "Good morning"},
            {"type": "text/html", "value": "<p>Good morning</p>"},
        ],
        **changes,
    }


@pytest.fixture
def config(tmp_path: Path) -> SandboxConfig:
    return SandboxConfig(store_path=tmp_path / "sandbox.db", clock=lambda: NOW)


@pytest.fixture
def make_app(config: SandboxConfig) -> Iterator[AppFactory]:
    """Starts a stand-in with changed settings, on the same store; closes it after the test."""
    apps: list[Flask] = []

    def make(**changes: Any) -> Flask:
        apps.append(create_app(replace(config, **changes)))
        return apps[-1]

    yield make
    for app in apps:
        app.extensions["sandbox"].close()


@pytest.fixture
def client(make_app: AppFactory) -> FlaskClient:
    return make_app().test_client()


@dataclass
class Webhook:
    """A real listener: keeps each post's headers and raw body, answers what it is told."""

    url: str
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # then 200 for ever
    has_news: threading.Condition = field(default_factory=threading.Condition)

    def wait_for_posts(self, count: int) -> list[tuple[dict[str, str], bytes]]:
        with self.has_news:
            arrived = self.has_news.wait_for(lambda: len(self.posts) >= count, timeout=5)
        assert arrived, f"{len(self.posts)} of {count} posts came"
        return self.posts


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with hook.has_news:
                status = hook.answers.pop(0) if hook.answers else 200
                hook.posts.append((dict(self.headers), body))
                hook.has_news.notify_all()
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook = Webhook(f"http://127.0.0.1:{server.server_port}/webhooks/sendgrid?from=sandbox")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield hook
    server.shutdown()
    server.server_close()
    thread.join()
