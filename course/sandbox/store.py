"""What the stand-in keeps: requests, mails and events, in one SQLite file of its own.

A request is answered 202 only after its commit has reached the disk, so the file is also the
record of what was accepted. Events wait here until the webhook has taken them.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from course.sandbox.events import Event, Subject, outcomes
from course.sandbox.mails import Json, Mail, merge, merged_custom_args, recipients

SCHEMA = """
CREATE TABLE IF NOT EXISTS request (
    message_id TEXT PRIMARY KEY,
    accepted_at TEXT NOT NULL,
    common BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mail (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL REFERENCES request,
    position INTEGER NOT NULL,
    recipient TEXT NOT NULL COLLATE NOCASE,
    personalization BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS mail_by_recipient ON mail (recipient);
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    mail_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    at TEXT NOT NULL,
    body BLOB NOT NULL,
    is_waiting INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS event_by_mail ON event (mail_id);
CREATE INDEX IF NOT EXISTS event_waiting ON event (id) WHERE is_waiting;
"""
MAILS = """
SELECT mail.*, request.accepted_at, request.common FROM mail JOIN request USING (message_id)
"""
LARGEST_ID = 2**63 - 1


class Store:
    """One connection, used by one thread at a time: SQLite has one writer anyway."""

    def __init__(self, path: Path, *, posts_events: bool) -> None:
        self._posts_events = posts_events
        self._lock = threading.Lock()
        _keep_private(path)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA busy_timeout = 10000")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._db:  # the connection commits at the end, or rolls back
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db

    def _rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def accept(self, message_id: str, payload: Json, now: datetime) -> None:
        """Keep a request that passed the rules: a mail and its first events per recipient."""
        common = {key: value for key, value in payload.items() if key != "personalizations"}
        copies = [
            (recipient, personalization)
            for personalization in payload["personalizations"]
            for recipient in recipients(personalization)
        ]
        with self._writing() as db:
            db.execute(
                "INSERT INTO request VALUES (?, ?, ?)",
                (message_id, now.isoformat(), orjson.dumps(common)),
            )
            first_id = self._last_mail_id(db) + 1
            mails, events = [], []
            for position, (recipient, own) in enumerate(copies):
                mail_id = first_id + position
                mails.append((mail_id, message_id, position, recipient, orjson.dumps(own)))
                args = merged_custom_args(common, own)
                categories = common.get("categories", [])
                subject = Subject(message_id, position, recipient, args, categories)
                events += [self._event_row(mail_id, event) for event in outcomes(subject, now)]
            db.executemany("INSERT INTO mail VALUES (?, ?, ?, ?, ?)", mails)
            db.executemany(self._INSERT_EVENT, events)

    def add_event(self, mail_id: int, event: Event) -> None:
        with self._writing() as db:
            db.execute(self._INSERT_EVENT, self._event_row(mail_id, event))

    _INSERT_EVENT = "INSERT INTO event (mail_id, name, at, body, is_waiting) VALUES (?, ?, ?, ?, ?)"

    def _event_row(self, mail_id: int, event: Event) -> tuple[Any, ...]:
        return mail_id, event.name, event.at.isoformat(), event.body, self._posts_events

    def _last_mail_id(self, db: sqlite3.Connection) -> int:
        # Of all mails there ever were: a link to a mail that is gone must not show another one.
        row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'mail'").fetchone()
        return row["seq"] if row else 0

    def mail(self, mail_id: int) -> Mail | None:
        rows = self._rows(f"{MAILS} WHERE mail.id = ?", min(mail_id, LARGEST_ID))
        return _mail(rows[0]) if rows else None

    def mails_to(self, recipient: str | None) -> list[Mail]:
        """All mails, or those to one address; oldest first."""
        where = "WHERE ?1 IS NULL OR recipient = ?1"
        return [_mail(row) for row in self._rows(f"{MAILS} {where} ORDER BY mail.id", recipient)]

    def newest_with(self, argument: str, since: datetime) -> Mail | None:
        """The newest mail of a recipient's own custom argument of that name, accepted since."""
        rows = self._rows(
            f"{MAILS} WHERE request.accepted_at >= ?1 AND instr(mail.personalization, ?2)"
            " ORDER BY mail.id DESC LIMIT 1",
            since.isoformat(),
            orjson.dumps(argument) + b":",
        )
        return _mail(rows[0]) if rows else None

    def is_waiting(self, mail_id: int) -> bool:
        """Whether an event of that mail is still to be posted."""
        return bool(self._rows("SELECT 1 FROM event WHERE is_waiting AND mail_id = ?", mail_id))

    def page(self, needle: str, before: int | None, size: int) -> list[Mail]:
        """The newest mails below an id whose recipient contains the needle; newest first."""
        return [
            _mail(row)
            for row in self._rows(
                f"{MAILS} WHERE mail.id < ?1 AND instr(lower(recipient), lower(?2))"
                " ORDER BY mail.id DESC LIMIT ?3",
                LARGEST_ID if before is None else max(0, min(before, LARGEST_ID)),
                needle,
                size,
            )
        ]

    def events_of(self, mail_ids: Sequence[int]) -> dict[int, list[sqlite3.Row]]:
        """Per mail its events' name, at and body, oldest first."""
        found: dict[int, list[sqlite3.Row]] = {mail_id: [] for mail_id in mail_ids}
        query = "SELECT * FROM event WHERE mail_id IN (SELECT value FROM json_each(?)) ORDER BY id"
        for row in self._rows(query, orjson.dumps(mail_ids).decode()):
            found[row["mail_id"]].append(row)
        return found

    def told_of(self, *names: str) -> list[tuple[str, sqlite3.Row]]:
        """The recipient of each event of these names, and the event; oldest first."""
        query = (
            "SELECT mail.recipient, event.* FROM event JOIN mail ON mail.id = event.mail_id"
            " WHERE event.name IN (SELECT value FROM json_each(?)) ORDER BY event.id"
        )
        return [(row["recipient"], row) for row in self._rows(query, orjson.dumps(names).decode())]

    def clear(self) -> None:
        """Forget all mails; events that the webhook has not taken yet are still posted."""
        with self._writing() as db:
            db.execute("DELETE FROM mail")
            db.execute("DELETE FROM request")
            db.execute("DELETE FROM event WHERE NOT is_waiting")

    def waiting_events(self, limit: int) -> list[tuple[int, bytes]]:
        """Id and JSON of the oldest events that are still to be posted."""
        query = "SELECT id, body FROM event WHERE is_waiting ORDER BY id LIMIT ?"
        return [(row["id"], row["body"]) for row in self._rows(query, limit)]

    def settle_events(self, up_to: int) -> None:
        """Take events up to an id off the waiting ones: posted, or given up."""
        with self._writing() as db:
            db.execute("UPDATE event SET is_waiting = 0 WHERE is_waiting AND id <= ?", (up_to,))


def _keep_private(path: Path) -> None:
    """The file holds people's mails. SQLite gives its helpers the same mode when it makes them."""
    path.touch(mode=0o600)
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if file.exists():
            file.chmod(0o600)


def _mail(row: sqlite3.Row) -> Mail:
    return merge(
        mail_id=row["id"],
        message_id=row["message_id"],
        position=row["position"],
        accepted_at=datetime.fromisoformat(row["accepted_at"]),
        recipient=row["recipient"],
        common=orjson.loads(row["common"]),
        personalization=orjson.loads(row["personalization"]),
    )
