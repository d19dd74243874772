"""A database that another process keeps to itself: one line, the next step, and nothing lost."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from course import opening
from course.answers import Answer
from course.db import Database, open_database
from course.mailer import Outgoing
from scheduler import Ticker
from tests.commands.conftest import Minicourse
from tests.world import TAKEN, World


@contextmanager
def kept_busy(home: Path) -> Iterator[None]:
    connection = sqlite3.connect(home / "minicourse.db", isolation_level=None, timeout=10)
    with closing(connection):
        connection.execute("BEGIN IMMEDIATE")
        yield


@pytest.fixture
def impatient(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Everybody gives up after a moment."""
    soon = partial(open_database, patience_seconds=0.02)
    monkeypatch.setattr(opening, "open_database", soon)
    database = Database(world.settings.database, patience_seconds=0.02)
    yield World(world.settings, database)
    database.dispose()


@pytest.mark.parametrize(
    "words",
    ["subscriber add kim@example.com --cohort evergreen", "send due", "send hold --why x"],
)
def test_a_busy_database_is_one_line(
    impatient: World, sandbox: object, minicourse: Minicourse, words: str
) -> None:
    with kept_busy(impatient.settings.home):
        answer = minicourse(*words.split())
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.splitlines()[-1].startswith("Error: The database is busy")
    assert "run the same command again" in answer.err
    assert "Traceback" not in answer.err


def test_send_due_again_sends_what_a_busy_database_left(
    impatient: World, sandbox: object, minicourse: Minicourse
) -> None:
    impatient.sign_up("kim@example.com")
    with kept_busy(impatient.settings.home):
        assert minicourse("send", "due").status == 1
    assert minicourse("send", "due").status == 0
    assert [row.state for row in impatient.rows()] == ["accepted"]


def test_a_tick_on_a_busy_database_loses_nothing(
    impatient: World, caplog: pytest.LogCaptureFixture
) -> None:
    impatient.sign_up("kim@example.com")
    tick = Ticker(impatient.office, lambda: False)  # type: ignore[arg-type]
    with kept_busy(impatient.settings.home):
        tick()
    (told,) = caplog.records
    assert "database is locked" in told.getMessage()
    assert "\n" not in told.getMessage()
    assert not told.exc_info
    tick()
    assert len(impatient.provider.mails_to("kim@example.com")) == 1


def test_an_answer_that_cannot_be_written_down_is_not_sent_for_again(impatient: World) -> None:
    impatient.sign_up("kim@example.com")
    tick = Ticker(impatient.office, lambda: False)  # type: ignore[arg-type]
    busy = kept_busy(impatient.settings.home)

    def take_and_lock(_: Outgoing) -> Answer:
        busy.__enter__()
        return TAKEN

    impatient.provider.answer = take_and_lock
    tick()
    busy.__exit__(None, None, None)
    tick()
    assert len(impatient.provider.mails_to("kim@example.com")) == 1
    assert [row.state for row in impatient.rows()] == ["sending"]  # its lease will end


@pytest.mark.usefixtures("world")
def test_other_faults_keep_their_trace(
    minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(opening, "open_database", broken)
    with pytest.raises(ZeroDivisionError):
        minicourse("status")
