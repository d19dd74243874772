"""`minicourse demo`: finite, alone, and true."""

import time
from pathlib import Path

import pytest

from tests.e2e.processes import processes_of, running

pytestmark = pytest.mark.e2e


def test_the_demo_tells_a_whole_course_and_keeps_its_mails(tmp_path: Path) -> None:
    """Whatever the author has set for real must not touch it."""
    own = {
        "DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none",
        "SENDGRID_API_KEY": "SG.a-real-key",
        "SENDGRID_HOST": "https://api.sendgrid.com",
        "SEND_LIMIT": "1/day",
        "MAIL_FROM_FILE": "/nowhere",
    }
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    begun = time.monotonic()
    with running(home, "cli.py", "demo", TMPDIR=str(scratch), **own) as demo:
        status, printed = demo.wait(120)
        assert processes_of(scratch, "TMPDIR") == {}
    assert list(scratch.iterdir()) == []
    assert status == 0, printed
    assert time.monotonic() - begun < 300  # finite; how quick it is, is for people to say
    assert "✗" not in printed
    assert printed.count("✓") == 6
    assert "Ben left by one click" in printed
    assert "Fri 13 Mar 09:00" in printed
    assert all(len(line.rstrip()) <= 80 for line in printed.splitlines()[:-1]), printed
    folder = home / "out" / "demo"
    assert str(folder) in printed
    counts = {one.name: len(list(one.glob("*.html"))) for one in folder.iterdir()}
    assert counts == {"anna": 8, "ben": 5, "priya": 8}
    assert "Anna" in (folder / "anna" / "01-welcome.txt").read_text()
    assert sorted(path.name for path in home.iterdir()) == ["out"]
