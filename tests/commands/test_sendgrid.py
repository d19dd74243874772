"""`sendgrid setup`: the webhook is made, its key kept, and its first post heard."""

import io
import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from course import installation, outside, settings
from course.clock import Clock
from course.sandbox.app import create_app as create_sandbox
from course.sandbox.config import Account, SandboxConfig
from course.sandbox.keys import make_key_pair
from course.web.app import create_app
from tests.commands.conftest import Minicourse
from tests.outside import MadeUpOutside
from tests.outside import records as dns_records
from tests.real import REAL
from tests.test_account import serving
from tests.world import World

PAIR = make_key_pair()  # SendGrid's; the sandbox has one of its own


@pytest.fixture
def pages(world: World) -> Iterator[str]:
    """The running web process, which began before the key was known."""
    app = create_app(world.settings)
    with serving(app) as url:
        yield url


@pytest.fixture
def account(world: World, pages: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    app = create_sandbox(
        SandboxConfig(
            world.settings.home / "sandbox.db",
            webhook_url=f"{pages}/webhooks/sendgrid",
            private_key_pem=PAIR.private_pem,
            api_keys=frozenset({"SG.full"}),
            clock=Clock(None).real,
        )
    )
    monkeypatch.setenv("PUBLIC_URL", pages)
    with serving(app) as url:
        monkeypatch.setenv("SENDGRID_HOST", url)
        yield app.extensions["sandbox"].config.account
    app.extensions["sandbox"].close()


def test_it_is_made_signed_and_heard(
    world: World, minicourse: Minicourse, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = world.settings.home / ".env"
    env.write_text("# mine\nMAIL_FROM=me@example.org\nSENDGRID_WEBHOOK_PUBLIC_KEY=old\n")
    for made in ("Made", "Changed"):
        monkeypatch.setattr("sys.stdin", io.StringIO("SG.full\n"))
        answer = minicourse("sendgrid", "setup", "--wait", "20")
        assert answer.status == 0, answer.err
        assert f"✓ {made} the webhook at http://127.0.0.1" in answer.out
        assert "✓ Heard its test event." in answer.out
    with world.database.reading() as session:
        here = installation.get(session)
    assert here.webhook_heard_at is not None
    text = env.read_text()
    assert f"SENDGRID_WEBHOOK_PUBLIC_KEY={PAIR.public_base64}\n" in text
    assert text.startswith("# mine\nMAIL_FROM=me@example.org\n")
    assert "SG.full" not in text + answer.out + answer.err
    assert len(account.webhooks) == 1


def test_a_key_without_the_rights_leads_to_the_steps(
    world: World, minicourse: Minicourse, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.scopes = ("mail.send",)
    monkeypatch.setattr("sys.stdin", io.StringIO("SG.full\n"))
    answer = minicourse("sendgrid", "setup")
    assert answer.status == 1
    assert "minicourse sendgrid setup --steps" in answer.err
    assert not (world.settings.home / ".env").exists()


def test_silence_is_told(
    minicourse: Minicourse, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.scopes = tuple(one for one in account.scopes)
    monkeypatch.setattr("course.sandbox.account.post", lambda *_: False)
    monkeypatch.setattr("sys.stdin", io.StringIO("SG.full\n"))
    answer = minicourse("sendgrid", "setup", "--wait", "0")
    assert answer.status == 1
    assert "Nothing was heard at" in answer.err


def test_without_a_key_the_steps_are_printed(
    minicourse: Minicourse, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    answer = minicourse("sendgrid", "setup")
    assert answer.status == 0
    assert "/webhooks/sendgrid" in answer.out
    assert all(len(line) <= 80 for line in answer.out.splitlines() if "/" not in line)


def test_from_an_account_to_a_live_database(
    world: World, minicourse: Minicourse, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything but the name servers and our own page is asked for real, of the stand-in."""
    host, real = os.environ["SENDGRID_HOST"], settings.is_loopback
    monkeypatch.setattr(settings, "is_loopback", lambda url: url != host and real(url))
    for name, value in {**REAL, "SENDGRID_API_KEY": "SG.full", "SEND_LIMIT": "100/day"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MINICOURSE_CLOCK_FILE")
    records = {
        str(number): {"type": one.type, "host": one.host, "data": one.data, "valid": True}
        for number, one in enumerate(dns_records())
    }
    account.domains.append({"id": 1, "domain": "example.com", "valid": True, "dns": records})

    real_outside = outside.RealOutside
    monkeypatch.setattr(
        outside,
        "RealOutside",
        lambda here: replace(MadeUpOutside(), account=real_outside(here).account),
    )
    first = minicourse("live", "--yes")
    assert first.status == 3
    assert [line for line in first.out.splitlines() if line.startswith("✗")] == [
        "✗ webhook: SENDGRID_WEBHOOK_PUBLIC_KEY is not set",
        "✗ test mail: none was sent through SendGrid yet",
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("SG.full\n"))
    assert minicourse("sendgrid", "setup").status == 0
    # Its event may be back before the list is through, and then it asks.
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert "Sent to me@example.org" in minicourse("live", "--test-to", "me@example.org").err
    for _ in range(100):
        with world.database.reading() as session:
            if installation.get(session).test_heard_at:
                break
        time.sleep(0.1)
    done = minicourse("live", "--yes")
    assert done.status == 0, done.out
    assert not [line for line in done.out.splitlines() if line.startswith(("✗", "?"))]
    with world.database.reading() as session:
        assert not installation.is_sandbox(session)


def test_without_an_api_key_nothing_is_set_up(minicourse: Minicourse) -> None:
    """It would be the sandbox's account, and look as if it were SendGrid's."""
    answer = minicourse("sendgrid", "setup")
    assert answer.status == 1
    assert "SENDGRID_API_KEY is not set" in answer.err
