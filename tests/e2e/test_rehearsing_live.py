"""`live --rehearse`: the whole way from sandbox to ✓, and nothing of it is left in the database."""

import subprocess
import sys
from pathlib import Path

import pytest

from course import installation
from course.db import Database
from course.demo import visitor
from course.settings import SOURCE_ROOT
from course.states import Mode
from tests.e2e.processes import Addresses, eventually, running

pytestmark = pytest.mark.e2e

NAMES = {
    "MAIL_FROM": "robin@example.com",
    "POSTAL_ADDRESS": "1 High Street, Springfield",
    "SEND_LIMIT": "100/day",
}


class Person:
    """Who sits at the terminal beside `up`."""

    def __init__(self, home: Path, at: Addresses) -> None:
        self.home, self.at = home, at
        self.settings: dict[str, str] = {}

    def types(self, *words: str) -> "subprocess.CompletedProcess[str]":
        environment = {"MINICOURSE_HOME": str(self.home), **self.at.settings, **self.settings}
        return subprocess.run(
            [sys.executable, str(SOURCE_ROOT / "cli.py"), *words],
            env={"PATH": "/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def sees(self, *words: str) -> tuple[int, list[str]]:
        """Exit status, and what is still to be done."""
        answer = self.types("live", "--rehearse", *words)
        assert answer.stdout.startswith("A rehearsal: the sandbox"), answer.stderr
        lines = answer.stdout.splitlines()
        marked = [line.partition(":")[0] for line in lines if line[:1] in ("✗", "?")]
        return answer.returncode, marked


def test_each_step_turns_its_lines_and_nothing_is_turned_live(founded_home: Path) -> None:
    at = Addresses.free()
    person = Person(founded_home, at)
    with running(founded_home, "cli.py", "up", **at.settings):
        eventually(at.are_served)
        before = read(founded_home / ".env")
        status, left = person.sees()
        settings = ["✗ sender", "✗ postal address"]
        assert (status, left) == (3, [*settings, "✗ webhook", "? limit", "✗ test mail"])

        person.settings |= NAMES
        status, left = person.sees()
        names = ["✗ domain", "? DKIM", "? SPF", "✗ DMARC"]
        assert (status, left) == (3, [*names, "✗ webhook", "✗ test mail"])

        setup = person.types("sendgrid", "setup", "--rehearse")
        assert (setup.returncode, setup.stdout.count("✓")) == (0, 4), setup.stderr
        assert person.sees() == (3, ["✗ test mail"])

        person.sees("--test-to", "me@example.org")
        eventually(lambda: person.sees() == (0, []))
        last = person.types("live", "--rehearse", "--yes")
        assert last.stdout.endswith("This was a rehearsal: nothing was turned live.\n")

        # Who signed up meanwhile is asked for, and forgotten in words alone.
        page = visitor.get(f"{at.pages}/")
        assert page.sign_up(email="anna@example.com").status == 202
        assert person.sees() == (3, ["✗ sandbox"])
        last = person.types("live", "--rehearse", "--drop-sandbox")
        assert "forget 1 sandbox person, keep 0," in " ".join(last.stdout.split())
        assert person.sees() == (3, ["✗ sandbox"])
        assert person.sees("--drop-sandbox") == (0, [])

        # With the address that the real one asks for, too: it is not asked.
        person.settings["PUBLIC_URL"] = "https://course.example.com"
        assert person.sees("--drop-sandbox") == (3, ["✗ webhook"])
        assert person.types("sendgrid", "setup", "--rehearse").returncode == 0
        person.sees("--test-to", "me@example.org")
        eventually(lambda: person.sees("--drop-sandbox") == (0, []))
        person.settings.clear()  # with them the real list would ask the real name servers
        real = person.types("live").stdout
    assert all(f"✗ {name}:" in real for name in ("key", "webhook", "test mail"))
    assert read(founded_home / ".env") == before
    assert_untouched(founded_home)
    gone = person.types("live", "--rehearse")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "Start it with: minicourse up" in gone.stderr


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def assert_untouched(home: Path) -> None:
    database = Database(f"sqlite:///{home / 'minicourse.db'}")
    with database.reading() as session:
        here = installation.get(session)
    database.dispose()
    assert here.mode == Mode.SANDBOX
    assert (here.webhook_heard_at, here.test_sent_at, here.test_heard_at) == (None, None, None)
