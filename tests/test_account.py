"""The account's API, against the stand-in's: what is read, made and refused."""

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.serving import make_server

from course.account import EVENTS, Account, AccountError
from course.mailer import Mailer
from course.sandbox.app import create_app
from course.sandbox.config import Account as Held
from course.sandbox.config import SandboxConfig
from course.sandbox.keys import make_key_pair

URL = "https://course.example.com/webhooks/sendgrid"
PAIR = make_key_pair()


@pytest.fixture
def held() -> Held:
    return Held(senders=["robin@example.com"])


@pytest.fixture
def account(tmp_path: Path, held: Held) -> Iterator[Account]:
    app = create_app(
        SandboxConfig(
            tmp_path / "sandbox.db",
            private_key_pem=PAIR.private_pem,
            api_keys=frozenset({"SG.full"}),
            account=held,
        )
    )
    with serving(app) as url:
        yield Account("SG.full", url)
    app.extensions["sandbox"].close()


class serving:  # noqa: N801
    def __init__(self, app: Flask) -> None:
        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    def __enter__(self) -> str:
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def test_a_webhook_is_made_signed_and_changed(account: Account) -> None:
    made = account.save_webhook(URL, None)
    assert (made.url, made.is_complete, made.public_key) == (URL, True, None)
    assert account.sign_webhook(made) == PAIR.public_base64
    (found,) = account.webhooks()
    assert found.events == set(EVENTS)
    assert found.public_key == PAIR.public_base64
    assert account.save_webhook(f"{URL}/2", found).id == made.id
    assert [one.url for one in account.webhooks()] == [f"{URL}/2"]


def test_domains_come_with_their_records(account: Account, held: Held) -> None:
    records = {
        "dkim1": {"type": "cname", "host": "s1._domainkey.a.org", "data": "x", "valid": True},
        "spf": {"type": "txt", "host": "a.org", "data": "y"},
        "odd": "?",
    }
    held.domains += [
        {"id": 7, "domain": "A.org", "valid": True, "dns": records},
        {"id": 8, "subdomain": "?"},
    ]
    first, second = account.domains()
    assert (first.id, first.name, first.is_valid) == ("7", "a.org", True)
    assert [(one.type, one.is_valid) for one in first.records] == [("CNAME", True), ("TXT", False)]
    assert (second.name, second.is_valid, second.records) == ("", False, ())
    assert account.verified_senders() == ["robin@example.com"]


def test_a_key_that_is_refused_is_told_without_naming_it(account: Account) -> None:
    stranger = Account("SG.secret", account._host)
    with pytest.raises(AccountError) as caught:
        stranger.scopes()
    assert caught.value.is_refused
    assert "SG.secret" not in str(caught.value)


def test_what_a_key_may_not_do_is_refused_too(account: Account, held: Held) -> None:
    held.scopes = ("mail.send",)
    assert account.scopes() == {"mail.send"}
    for call in (account.webhooks, account.domains, lambda: account.save_webhook(URL, None)):
        with pytest.raises(AccountError) as caught:
            call()
        assert caught.value.is_refused


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (200, "[]"), (200, '{"scopes": 3}')])
def test_an_answer_of_another_shape_is_no_rights(status: int, body: str) -> None:
    app = Flask(__name__)
    app.add_url_rule("/v3/scopes", view_func=lambda: (body, status))
    with serving(app) as url:
        assert Account("SG.x", url).scopes() == frozenset()


def test_whoever_does_not_answer_is_no_refusal() -> None:
    app = Flask(__name__)
    app.add_url_rule("/v3/scopes", view_func=lambda: ("<h1>away</h1>", 503))
    with serving(app) as url, pytest.raises(AccountError) as caught:
        Account("SG.x", url).scopes()
    assert (caught.value.status, caught.value.is_refused) == (503, False)
    with pytest.raises(AccountError, match="cannot be asked"):
        Account("SG.x", "http://127.0.0.1:1").scopes()


def test_the_librarys_log_is_silenced_once_for_all_who_call_it() -> None:
    assert {Account.__module__, Mailer.__module__} <= set(sys.modules)
    logger = logging.getLogger("python_http_client.client")
    assert len(logger.filters) == 1
    assert not logger.filter(logger.makeRecord(logger.name, logging.DEBUG, "", 0, "key", (), None))
