"""The send call against a raw socket server that answers in every way a network can."""

import json
import logging
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from course.answers import Verdict, judge, verdict_of
from course.errors import SettingsError
from course.mailer import Mailer, Outgoing, Personalization, payload

KEY = "SG.test-key.0123456789"
REAL = datetime(2026, 1, 5, 8, tzinfo=UTC)

UNSUBSCRIBE = {"List-Unsubscribe": "<https://course.example.org/u/1>"}
ADA = Personalization(
    to="ada@example.org",
    name="Ada",
    headers=UNSUBSCRIBE,
    custom_args={"minicourse_delivery": "k3f9x2-1"},
    substitutions={"tagaaaa": "Ada"},
)
BOB = Personalization("bob@example.org", UNSUBSCRIBE, {"minicourse_delivery": "k3f9x2-2"})
MAIL = Outgoing(
    from_email="coach@example.org",
    from_name="Coach",
    reply_to="reply@example.org",
    subject="Hello tagaaaa",
    text="Hi",
    html="<p>Hi</p>",
    categories=("job-search",),
    click_tracking=False,
    open_tracking=True,
    personalizations=(ADA, BOB),
)


# What goes out


def test_the_payload_is_the_documented_body() -> None:
    assert payload(MAIL) == {
        "personalizations": [
            {
                "to": [{"email": "ada@example.org", "name": "Ada"}],
                "headers": {"List-Unsubscribe": "<https://course.example.org/u/1>"},
                "custom_args": {"minicourse_delivery": "k3f9x2-1"},
                "substitutions": {"tagaaaa": "Ada"},
            },
            {
                "to": [{"email": "bob@example.org"}],
                "headers": {"List-Unsubscribe": "<https://course.example.org/u/1>"},
                "custom_args": {"minicourse_delivery": "k3f9x2-2"},
            },
        ],
        "from": {"email": "coach@example.org", "name": "Coach"},
        "reply_to": {"email": "reply@example.org"},
        "subject": "Hello tagaaaa",
        "content": [
            {"type": "text/plain", "value": "Hi"},
            {"type": "text/html", "value": "<p>Hi</p>"},
        ],
        "categories": ["job-search"],
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": True},
            "subscription_tracking": {"enable": False},
        },
    }


def test_click_tracking_never_reaches_the_text_part() -> None:
    tracking = payload(replace(MAIL, click_tracking=True))["tracking_settings"]
    assert tracking["click_tracking"] == {"enable": True, "enable_text": False}


def test_a_confirmation_passes_the_providers_list_of_who_left() -> None:
    assert "mail_settings" not in payload(MAIL)
    settings = payload(replace(MAIL, despite_leaving=True))["mail_settings"]
    assert settings == {"bypass_unsubscribe_management": {"enable": True}}


def test_what_is_not_given_is_left_out() -> None:
    body = payload(replace(MAIL, reply_to=None, categories=(), from_name=""))
    assert "reply_to" not in body
    assert "categories" not in body
    assert body["from"] == {"email": "coach@example.org"}


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("Doe; Jane, Dr.", "Doe Jane Dr."),  # both marks separate addresses in SendGrid's eyes
        ("Zoë 🌱", "Zoë 🌱"),  # a recipient's name may be of any script
        (" ;,; ", None),  # nothing left
    ],
)
def test_a_recipients_name_has_no_separators(name: str, sent: str | None) -> None:
    body = payload(replace(MAIL, personalizations=(ADA._replace(name=name),)))
    assert body["personalizations"][0]["to"][0].get("name") == sent


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("Jörg Strauß", "Jorg Strauss"),
        ("Łukasz Søren", "Lukasz Soren"),
        ("Café №1", "Cafe No1"),
        ("Иван", None),  # no letter of it is ASCII
    ],
)
def test_the_senders_name_is_ascii(name: str, sent: str | None) -> None:
    assert payload(replace(MAIL, from_name=name))["from"].get("name") == sent


# What an answer means

CREDITS = "Maximum credits exceeded"
IDENTITY = (
    "The from address does not match a verified Sender Identity. Mail cannot be sent until "
    "this error is resolved."
)


@pytest.mark.parametrize(
    ("status", "message", "verdict"),
    [
        (202, "", Verdict.ACCEPTED),
        (103, "", Verdict.UNKNOWN),  # not a final answer
        (200, "", Verdict.REFUSED),  # sandbox mode, which was never asked for
        (201, "", Verdict.UNKNOWN),  # not documented: who knows what it did
        (204, "", Verdict.UNKNOWN),
        (301, "", Verdict.REFUSED),
        (302, "", Verdict.REFUSED),
        (307, "", Verdict.REFUSED),
        (308, "", Verdict.REFUSED),
        (400, "The subject is required.", Verdict.BAD_REQUEST),
        (401, "The provided authorization grant is invalid", Verdict.KEY_REFUSED),
        (401, CREDITS, Verdict.CREDITS_USED_UP),
        (401, CREDITS.upper(), Verdict.CREDITS_USED_UP),
        (403, "access forbidden", Verdict.KEY_REFUSED),
        (403, IDENTITY, Verdict.SENDER_UNVERIFIED),
        (403, CREDITS, Verdict.CREDITS_USED_UP),
        (404, "", Verdict.REFUSED),
        (405, "", Verdict.REFUSED),
        (408, "", Verdict.UNKNOWN),
        (413, "", Verdict.TOO_LARGE),
        (415, "", Verdict.REFUSED),
        (418, "", Verdict.REFUSED),
        (429, "too many requests", Verdict.NOT_TAKEN),
        (429, CREDITS, Verdict.NOT_TAKEN),  # these words count only where access is refused
        (500, "", Verdict.UNKNOWN),
        (502, "", Verdict.UNKNOWN),
        (503, "", Verdict.UNKNOWN),
        (504, "", Verdict.UNKNOWN),
        (599, "", Verdict.UNKNOWN),
        (600, "", Verdict.UNKNOWN),
    ],
)
def test_the_verdict_of_each_status_and_message(
    status: int, message: str, verdict: Verdict
) -> None:
    assert verdict_of(status, message) is verdict


def errors(*found: tuple[str | None, str]) -> bytes:
    listed = [{"message": message, "field": path, "help": None} for path, message in found]
    return json.dumps({"errors": listed}).encode()


@pytest.mark.parametrize(
    ("path", "bad_rows", "whole_message"),
    [
        ("personalizations.1.to.0.email", (1,), False),
        ("personalizations[1].to", (1,), False),
        ("personalizations.1.substitutions", (1,), False),
        ("personalizations.7.to", (), False),  # there is no such row in the request
        ("personalizations", (), False),
        ("personalizations.99999999999", (), False),
        ("subject", (), True),
        ("from.email", (), True),
        ("content.0.value", (), True),
        ("null", (), False),
        (None, (), False),
    ],
)
def test_a_400_names_the_fault(
    path: str | None, bad_rows: tuple[int, ...], whole_message: bool
) -> None:
    answer = judge(400, {}, errors((path, "wrong")), size=2, real=REAL)
    assert answer.verdict is Verdict.BAD_REQUEST
    assert (answer.bad_rows, answer.whole_message) == (bad_rows, whole_message)


def test_several_bad_rows_are_all_named_once() -> None:
    body = errors(
        ("personalizations.4.to.0.email", "no"),
        ("personalizations.0.to.0.email", "no"),
        ("personalizations.4.custom_args", "no"),
    )
    assert judge(400, {}, body, size=5, real=REAL).bad_rows == (0, 4)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>413 Request Entity Too Large</html>",
        b"[]",
        b"[" * 100_000,
        b'{"errors": null}',
        b'{"errors": "no"}',
        b'{"errors": [null, 7, {"message": {"a": 1}, "field": 3, "help": []}]}',
        b"\xff\xfe\x00",
    ],
)
def test_a_body_of_any_kind_is_survived(body: bytes) -> None:
    answer = judge(400, {}, body, size=2, real=REAL)
    assert answer.detail.startswith("400")
    assert (answer.bad_rows, answer.whole_message) == ((), False)


def test_the_detail_is_one_short_line_without_an_address() -> None:
    message = "Does not contain a valid address:\r\n ada@example.org.\x1b[31m " + "very " * 99
    answer = judge(400, {}, errors(("personalizations.0.to", message)), size=1, real=REAL)
    assert answer.detail.startswith(
        "400 personalizations.0.to: Does not contain a valid address: …@example.org"
    )
    assert answer.detail.isprintable()
    assert len(answer.detail) == 200


def test_a_status_without_words_is_named() -> None:
    assert judge(504, {}, b"<html>", size=1, real=REAL).detail == "504 Gateway Timeout"
    assert judge(999, {}, b"", size=1, real=REAL).detail == "999 (not an HTTP status)"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"X-RateLimit-Reset": str(int(REAL.timestamp()) + 42)}, 42.0),
        ({"X-RateLimit-Reset": str(int(REAL.timestamp()) - 5)}, 0.0),  # clocks differ
        ({"X-RateLimit-Reset": f"{int(REAL.timestamp())}000"}, 3600.0),  # milliseconds
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Mon, 05 Jan 2026 08:00:30 GMT"}, 30.0),
        ({"X-RateLimit-Reset": "", "Retry-After": "3"}, 3.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "-1"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait_after_a_429(headers: dict[str, str], seconds: float | None) -> None:
    assert judge(429, headers, b"", size=1, real=REAL).retry_after_seconds == seconds


@pytest.mark.parametrize(("remaining", "seconds"), [("0", 42.0), ("1", None), (None, None)])
def test_of_other_answers_only_the_last_within_the_rate_says_how_long_to_wait(
    remaining: str | None, seconds: float | None
) -> None:
    headers = {"X-RateLimit-Reset": str(int(REAL.timestamp()) + 42)}
    if remaining is not None:
        headers["X-RateLimit-Remaining"] = remaining
    assert judge(202, headers, b"", size=1, real=REAL).retry_after_seconds == seconds
    assert judge(400, headers, b"", size=1, real=REAL).retry_after_seconds is None


# The call itself

Handler = Callable[[socket.socket], None]


class Server:
    """Accepts connections one after another and treats each with the given handler."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self.handler = handler
        self.tls = tls
        self.requests: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            with connection:
                if connection.recv(4, socket.MSG_PEEK) == b"stop":
                    return
                with suppress(OSError):
                    self._treat(connection)

    def _treat(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        if not self.tls:
            return self.handler(connection)
        with self.tls.wrap_socket(connection, server_side=True) as wrapped:
            return self.handler(wrapped)

    def stop(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as knock:
            knock.sendall(b"stop")
        self.thread.join()
        self.listener.close()


@contextmanager
def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(handler, tls)
    try:
        yield server
    finally:
        server.stop()


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answering(answer: bytes, seen: list[bytes] | None = None) -> Handler:
    def handler(connection: socket.socket) -> None:
        request = read_request(connection)
        if seen is not None:
            seen.append(request)
        connection.sendall(answer)

    return handler


def http(status: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def mailer(url: str, deadline: float = 5.0) -> Mailer:
    return Mailer(KEY, url, deadline)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_an_accepted_request_is_what_the_api_documents() -> None:
    seen: list[bytes] = []
    with serving(answering(http("202 Accepted", X_Message_Id="14c5d75ce93"), seen)) as server:
        answer = mailer(server.url).send(MAIL, REAL)
    assert answer.verdict is Verdict.ACCEPTED
    assert (answer.status, answer.x_message_id) == (202, "14c5d75ce93")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v3/mail/send HTTP/1.1"
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert fields["authorization"] == f"Bearer {KEY}"
    assert fields["content-type"] == "application/json"
    assert fields["host"] == f"127.0.0.1:{server.port}"
    assert json.loads(body) == payload(MAIL)


def test_a_refusal_is_read_with_its_reasons() -> None:
    body = errors(("personalizations.1.to.0.email", "Does not contain a valid address."))
    with serving(answering(http("400 Bad Request", body))) as server:
        answer = mailer(server.url).send(MAIL, REAL)
    assert (answer.verdict, answer.bad_rows) == (Verdict.BAD_REQUEST, (1,))
    assert "Does not contain a valid address." in answer.detail


def test_used_up_credits_are_told_from_a_refused_key() -> None:
    with serving(answering(http("401 Unauthorized", errors((None, CREDITS))))) as server:
        assert mailer(server.url).send(MAIL, REAL).verdict is Verdict.CREDITS_USED_UP


def test_a_429_names_its_reset_time() -> None:
    reset_at = str(int(REAL.timestamp()) + 9)
    with serving(answering(http("429 Too Many", X_RateLimit_Reset=reset_at))) as server:
        answer = mailer(server.url).send(MAIL, REAL)
    assert (answer.verdict, answer.retry_after_seconds) == (Verdict.NOT_TAKEN, 9.0)


def test_a_redirect_is_not_followed() -> None:
    followed: list[bytes] = []
    with serving(answering(http("200 OK", b"{}"), followed)) as elsewhere:
        answer = http("302 Found", Location=f"{elsewhere.url}/v3/mail/send")
        with serving(answering(answer)) as server:
            assert mailer(server.url).send(MAIL, REAL).verdict is Verdict.REFUSED
    assert followed == []


def test_html_where_json_belongs() -> None:
    page = b"<html><body>413 Request Entity Too Large</body></html>"
    with serving(answering(http("413 Too Large", page))) as server:
        answer = mailer(server.url).send(MAIL, REAL)
    assert answer.verdict is Verdict.TOO_LARGE
    assert "<" not in answer.detail


def test_an_answer_that_comes_before_the_request_was_read_counts() -> None:
    def handler(connection: socket.socket) -> None:
        connection.recv(1024)
        connection.sendall(http("429 Too Many", Retry_After="5"))
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.05)
        reset(connection)  # with most of the request unread

    with serving(handler) as server:
        answer = mailer(server.url).send(replace(MAIL, html="x" * 20_000_000), REAL)
    assert (answer.verdict, answer.retry_after_seconds) == (Verdict.NOT_TAKEN, 5.0)


# Before the first byte: nothing was taken


def test_a_refused_connection_took_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    answer = mailer(f"http://127.0.0.1:{port}").send(MAIL, REAL)
    assert (answer.verdict, answer.status) == (Verdict.NOT_TAKEN, None)
    assert "refused" in answer.detail


def test_a_name_that_cannot_be_resolved_took_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    answer = mailer("http://mail.example.org").send(MAIL, REAL)
    assert answer.verdict is Verdict.NOT_TAKEN
    assert "Name or service not known" in answer.detail


def test_a_host_that_is_no_name_took_nothing() -> None:
    assert mailer("http://a..b").send(MAIL, REAL).verdict is Verdict.NOT_TAKEN


def test_a_hanging_resolver_is_left_behind_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()

    def hang(*args: object, **kwargs: object) -> list[object]:
        over.wait(5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    started = time.monotonic()
    answer = mailer("http://mail.example.org", deadline=0.2).send(MAIL, REAL)
    over.set()
    assert answer.verdict is Verdict.NOT_TAKEN
    assert time.monotonic() - started < 1


def test_a_connection_that_is_never_taken_took_nothing() -> None:
    # A full queue of waiting connections swallows the next one's first packet.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        started = time.monotonic()
        answer = mailer(f"http://127.0.0.1:{port}", deadline=0.3).send(MAIL, REAL)
        for one in waiting:
            one.close()
    assert answer.verdict is Verdict.NOT_TAKEN
    assert time.monotonic() - started < 1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate that it signed for 127.0.0.1, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return file


def tls_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_certificate_that_nobody_vouches_for_took_nothing(certificate: Path) -> None:
    seen: list[bytes] = []
    handler = answering(http("202 Accepted"), seen)
    with serving(handler, tls_context(certificate)) as server:
        answer = mailer(f"https://127.0.0.1:{server.port}").send(MAIL, REAL)
    assert answer.verdict is Verdict.NOT_TAKEN
    assert "certificate verify failed" in answer.detail
    assert seen == []


def test_a_server_that_never_answers_the_handshake_took_nothing() -> None:
    over = threading.Event()

    def silent(connection: socket.socket) -> None:
        over.wait(5)

    with serving(silent) as server:
        answer = mailer(f"https://127.0.0.1:{server.port}", deadline=0.2).send(MAIL, REAL)
        over.set()
    assert answer.verdict is Verdict.NOT_TAKEN


def test_mail_goes_over_tls_too(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    seen: list[bytes] = []
    with serving(answering(http("202 Accepted"), seen), tls_context(certificate)) as server:
        answer = mailer(f"https://127.0.0.1:{server.port}").send(MAIL, REAL)
    assert answer.verdict is Verdict.ACCEPTED
    assert len(seen) == 1


# After the first byte: nobody can know


def close_at_once(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def close_after_reading(connection: socket.socket) -> None:
    read_request(connection)


def reset_after_reading(connection: socket.socket) -> None:
    read_request(connection)
    reset(connection)


@pytest.mark.parametrize(
    "handler",
    [
        close_at_once,
        reset,  # before reading
        close_after_reading,
        reset_after_reading,
        answering(b"HTTP/1.1 2"),  # cut off in the status line
        answering(b"HTTP/1.1 202 Accepted\r\nX-Mess"),  # cut off in the headers
        answering(b"220 smtp.example.org ESMTP\r\n"),  # not HTTP
        answering(b"HTTP/1.1 202 Accepted\r\nX: " + b"y" * 70_000),  # endless
        answering(b"HTTP/1.1 abc\r\n\r\n"),
        answering(http("503 Service Unavailable", b"<html>")),
    ],
)
def test_a_broken_answer_is_unknown(handler: Handler) -> None:
    with serving(handler) as server:
        answer = mailer(server.url).send(replace(MAIL, html="x" * 2_000_000), REAL)
    assert answer.verdict is Verdict.UNKNOWN


def test_the_status_stands_when_the_body_is_cut_off() -> None:
    cut = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 500\r\n\r\n{"
    with serving(answering(cut)) as server:
        assert mailer(server.url).send(MAIL, REAL).verdict is Verdict.BAD_REQUEST


def test_a_202_does_not_wait_for_its_body() -> None:
    over = threading.Event()

    def handler(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\n")
        over.wait(5)

    started = time.monotonic()
    with serving(handler) as server:
        answer = mailer(server.url).send(MAIL, REAL)
        over.set()
    assert answer.verdict is Verdict.ACCEPTED
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "before", [b"", b"HTTP/1.1 202 Accepted\r\n", b"HTTP/1.1 100 Continue\r\n"]
)
def test_a_dripping_server_holds_the_call_no_longer_than_the_deadline(before: bytes) -> None:
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(before)
        while not over.wait(0.02):
            connection.sendall(b"H")

    started = time.monotonic()
    with serving(drip) as server:
        answer = mailer(server.url, deadline=0.3).send(MAIL, REAL)
        over.set()
    assert answer.verdict is Verdict.UNKNOWN
    assert time.monotonic() - started < 20  # it would drip for ever


def test_a_server_that_does_not_read_holds_the_call_no_longer_than_the_deadline() -> None:
    over = threading.Event()

    def sip(connection: socket.socket) -> None:
        while not over.wait(0.02):
            connection.recv(1)

    started = time.monotonic()
    with serving(sip) as server:
        huge = replace(MAIL, html="x" * 12_000_000)  # more than any buffer between takes
        answer = mailer(server.url, deadline=2).send(huge, REAL)
        over.set()
    assert answer.verdict is Verdict.UNKNOWN
    assert time.monotonic() - started < 20


# Manners


def test_neither_key_nor_address_is_logged_or_told(caplog: pytest.LogCaptureFixture) -> None:
    def echo(connection: socket.socket) -> None:
        told = read_request(connection).decode()
        connection.sendall(http("403 Forbidden", errors((None, told))))

    with caplog.at_level(logging.DEBUG), serving(echo) as server:
        answer = mailer(server.url).send(MAIL, REAL)
    assert answer.verdict is Verdict.KEY_REFUSED
    for secret in (KEY, "ada@example.org"):
        assert secret not in caplog.text
        assert secret not in repr(answer)


@pytest.mark.parametrize("key", ["", "  ", "SG.one\ntwo", "SG.ключ"])
def test_what_cannot_be_a_key_is_refused_unseen(key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Mailer(key, "http://127.0.0.1:1", 1)
    assert "SENDGRID_API_KEY" in str(caught.value)
    assert not key.strip() or key not in str(caught.value)


def test_one_mailer_serves_several_threads() -> None:
    seen: list[bytes] = []
    answers = []
    with serving(answering(http("202 Accepted"), seen)) as server:
        shared = mailer(server.url)

        def send(number: int) -> None:
            mail = replace(MAIL, subject=f"Mail {number}")
            answers.append(shared.send(mail, REAL).verdict)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [Verdict.ACCEPTED] * 8
    subjects = {json.loads(request.partition(b"\r\n\r\n")[2])["subject"] for request in seen}
    assert subjects == {f"Mail {number}" for number in range(8)}
