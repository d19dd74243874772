"""Three weeks in real processes, each started under a shifted system clock."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from course.processes import ports
from course.settings import SOURCE_ROOT
from tests.e2e.processes import Addresses, eventually, running
from tests.world import make_home

pytestmark = pytest.mark.e2e

FAKETIME = shutil.which("faketime")
# A Wednesday; summer time begins in Berlin on the Sunday after, in New York it has begun.
START = datetime(2027, 3, 24, 15, 0, tzinfo=UTC)
SLUGS = ["welcome", "network", "market", "practice", "plan-b", "leverage", "decision"]
ZONES = {"ada@example.org": "Europe/Berlin", "ben@example.org": "America/New_York"}


def test_three_weeks_under_a_shifted_system_clock(tmp_path: Path) -> None:
    if FAKETIME is None:
        message = "faketime is not installed: apt-get install faketime"
        assert not os.environ.get("CI"), message
        pytest.skip(message)
    home = make_home(tmp_path / "home")
    addresses = Addresses.free()

    def minicourse(at: datetime, *words: str) -> str:
        done = subprocess.run(
            [FAKETIME, f"{at:%Y-%m-%d %H:%M:%S}"]
            + [sys.executable, str(SOURCE_ROOT / "cli.py"), *words],
            env={
                "PATH": os.environ["PATH"],
                "TZ": "UTC",
                "MINICOURSE_HOME": str(home),
                **addresses.settings,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    minicourse(START, "init")
    people = tmp_path / "people.csv"
    people.write_text(
        "email,name,zone\n" + "".join(f"{email},,{zone}\n" for email, zone in ZONES.items())
    )
    port = addresses.inbox.rpartition(":")[2]
    with running(home, "cli.py", "sandbox", "--port", port, **addresses.settings):
        eventually(lambda: ports.answers(addresses.inbox))
        words = ["--cohort", "evergreen", "--confirmed", "--source", "a list on paper", "--yes"]
        minicourse(START, "subscriber", "import", str(people), *words)
        minicourse(START + timedelta(minutes=1), "send", "due")
        for day in range(1, 22):
            # Five past nine in Berlin before and after the change, and in New York; later, when
            # all has come, once a day.
            for hour in (7, 8, 13) if day < 10 else (13,):
                at = START.replace(hour=hour, minute=5) + timedelta(days=day)
                minicourse(at, "send", "due")
        end = START + timedelta(days=22)
        rows = json.loads(minicourse(end, "delivery", "list", "--json", "--limit", "100"))
    for email, name in ZONES.items():
        zone = ZoneInfo(name)
        mine = sorted((row for row in rows if row["email"] == email), key=lambda row: row["id"])
        assert [row["message"] for row in mine] == SLUGS
        assert {row["state"] for row in mine} == {"accepted"}
        sent = [datetime.fromisoformat(row["settled_at"]).astimezone(zone) for row in mine]
        assert sent[0] - START < timedelta(minutes=2)
        assert all((moment.hour, moment.minute) == (9, 5) for moment in sent[1:])
        assert len({moment.date() for moment in sent[1:]}) == 6
