"""The command line over a real home, on the course time of its world."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from course import events, installation
from course.events import Recorded
from course.sandbox.app import create_app
from course.sandbox.config import SandboxConfig
from course.webhooks import parse
from tests.terminal import Answer, run
from tests.world import World

Minicourse = Callable[..., Answer]
NOBODY = "http://127.0.0.1:1"  # listens there, whatever else runs on this machine


@pytest.fixture
def minicourse(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Minicourse:
    """Runs `minicourse WORDS` at the world's time."""
    clock = world.settings.home / "clock"
    monkeypatch.setenv("MINICOURSE_HOME", str(world.settings.home))
    monkeypatch.setenv("MINICOURSE_CLOCK_FILE", str(clock))

    def minicourse(*words: str) -> Answer:
        clock.write_text(world.clock.course.isoformat())
        return run(monkeypatch, capsys, *words)

    return minicourse


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stand-in for SendGrid, listening; `send` finds it in the settings."""
    app = create_app(SandboxConfig(store_path=tmp_path / "sandbox.db"))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("SENDGRID_HOST", f"http://127.0.0.1:{server.server_port}")
    yield app.extensions["sandbox"]
    server.shutdown()
    thread.join()
    server.server_close()
    app.extensions["sandbox"].close()


def hear(world: World, delivery_id: int, word: str, **fields: object) -> Recorded:
    """SendGrid tells about a mail."""
    with world.database.writing() as session:
        name = installation.get(session).name
        item = {
            "event": word,
            "timestamp": int(world.clock.course.timestamp()),
            "sg_event_id": f"{word}-{delivery_id}",
            "minicourse_delivery": f"{name}-{delivery_id}",
        }
        body = json.dumps([item | fields]).encode()
        return events.record(
            session,
            parse(body),
            world.clock.course,
            installation=name,
            hash_key=world.hash_key,
        )


def edit(world: World, file: str, old: str, new: str) -> None:
    """The author changes a file of the course."""
    path = world.settings.home / "lessons" / "job-search" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def lesson_row(world: World, enrollment_id: int, slug: str) -> int:
    """The number of a learner's mail."""
    return next(row.id for row in world.rows(enrollment_id) if row.message_key == slug)
