"""What processes write: JSON for machines, lines for people, no secret and no address in either."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from course import delivery, logs
from course.answers import judge
from course.commands import context
from course.mailer import Mailer
from course.models import Delivery, Request
from course.people import email_hash
from course.settings import Settings
from scheduler import tell
from tests.commands.conftest import sandbox  # noqa: F401 (a fixture)
from tests.world import World

KEY = "SG.a-key-that-nobody-may-see"
KIM = "Kim.Novak@example.com"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    names = ("", "course", "scheduler", "course.batch", "course.web.hooks")
    before = {name: logging.getLogger(name).level for name in names}
    handlers = list(root.handlers)
    yield
    root.handlers[:] = handlers
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def set_up(world: World, stream: io.StringIO, **changes: Any) -> Settings:
    settings = world.settings.model_copy(
        update={"sendgrid_api_key": SecretStr(KEY), "log_level": "debug", **changes}
    )
    logs.set_up("scheduler", settings, stream)
    return settings


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_tick_at_debug_shows_no_key_and_no_address(
    world: World,
    sandbox: object,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    host = Settings.load_from(world.settings.home).mail_host
    settings = set_up(world, stream, sendgrid_host=host)
    world.sign_up(KIM.lower(), "Kim")
    office = replace(world.office, settings=settings, mailer=Mailer(KEY, host, 5))
    tell(delivery.tick(office))
    logging.getLogger("python_http_client.client").info("Authorization: Bearer %s", KEY)
    logging.getLogger("anything.else").info("to %s with %s", KIM, KEY)
    text = stream.getvalue()
    assert text.count("with [secret]") == 1
    keys = [*settings.secret_key, settings.hash_key]
    for secret in (KEY, *(one.get_secret_value() for one in keys if one)):
        assert secret not in text
    assert "novak" not in text.lower()
    (batch,) = (line for line in lines(stream) if line["event"] == "batch")
    with world.database.reading() as session:
        request = session.scalars(select(Request)).one()
        (mail,) = session.scalars(select(Delivery))
    assert {name: batch[name] for name in ("request", "x_message_id", "revision")} == {
        "request": request.id,
        "x_message_id": request.x_message_id,
        "revision": request.revision_id,
    }
    assert batch["deliveries"] == f"{mail.id}-{mail.id}"
    assert (batch["verdict"], batch["status"], batch["count"]) == ("accepted", 202, 1)
    assert isinstance(batch["ms"], int)


def test_an_address_becomes_the_beginning_of_its_hash_in_the_table(world: World) -> None:
    stream = io.StringIO()
    set_up(world, stream)
    hashed = email_hash(KIM.lower(), world.hash_key)[:12]
    log = logging.getLogger("course.anything")
    log.info("%s left", KIM)
    log.info("seen", extra={"whom": {"to": [KIM, "kim.novak%40example.com"]}, "count": 3})
    try:
        raise ValueError(f"no such person: {KIM}, {KEY}")
    except ValueError:
        log.exception("failed")
    first, second, third = lines(stream)
    assert first["event"] == f"#{hashed} left"
    assert (second["whom"], second["count"]) == ({"to": [f"#{hashed}"] * 2}, 3)
    assert f"ValueError: no such person: #{hashed}, [secret]" in third["exception"]
    assert {"at", "level", "process"} <= set(first)


def test_what_the_provider_said_is_masked_in_the_ledger_and_hashed_once_in_the_log(
    world: World,
) -> None:
    stream = io.StringIO()
    set_up(world, stream)
    people = ["o'hara@example.com", "pat@example.com"]
    body = orjson.dumps({"errors": [{"message": f"No such: {people}, {people[0]}."}]})
    world.provider.answer = lambda _: judge(400, {}, body, size=2, real=world.clock.real())
    for email in people:
        world.sign_up(email)
    world.tick()
    batch = next(line for line in lines(stream) if line["event"] == "batch")
    ohara, pat = (f"#{email_hash(one, world.hash_key)[:12]}" for one in people)
    assert batch["detail"] == f"400 No such: [\"{ohara}\", '{pat}'], {ohara}."
    with world.database.reading() as session:
        details = set(session.scalars(select(Request.detail)))
    assert details == {"400 No such: [\"…@example.com\", '…@example.com'], …@example.com."}


def test_who_asks_for_addresses_gets_them_and_still_no_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(logs.SHOW_PII, "1")
    stream = io.StringIO()
    set_up(world, stream)
    logging.getLogger("course.anything").warning("%s %s", KIM, KEY)
    assert lines(stream)[0]["event"] == f"{KIM} [secret]"


def test_on_a_terminal_lines_are_for_people(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    set_up(world, stream)
    logging.getLogger("scheduler").info("3 accepted", extra={"did": {"accepted": 3}})
    logging.getLogger("course.web").error("%s", KIM)
    first, second = stream.getvalue().splitlines()
    assert first[4] == "-"
    assert first.rstrip().endswith("scheduler: 3 accepted")
    assert "\x1b" not in stream.getvalue()
    assert KIM not in second


def test_a_level_leaves_out_what_is_below_it(world: World) -> None:
    stream = io.StringIO()
    set_up(world, stream, log_level="warning")
    logging.getLogger("course.anything").info("nothing of note")
    logging.getLogger("a.library").info("nothing of note")
    logging.getLogger("course.anything").warning("something")
    assert [line["event"] for line in lines(stream)] == ["something"]


@pytest.mark.parametrize(
    ("stream", "level", "is_there"),
    [(Terminal, "info", False), (Terminal, "debug", True), (io.StringIO, "info", True)],
)
def test_a_terminal_is_spared_the_lines_for_machines(
    world: World, stream: type[io.StringIO], level: str, is_there: bool
) -> None:
    written = stream()
    set_up(world, written, log_level=level)
    logging.getLogger("course.batch").info("batch")
    assert bool(written.getvalue()) == is_there


def test_set_up_twice_writes_once(world: World) -> None:
    stream = io.StringIO()
    set_up(world, stream)
    set_up(world, stream)
    logging.getLogger("course.anything").info("once")
    assert len(lines(stream)) == 1


def test_passwords_inside_of_addresses_are_secrets_too(world: World) -> None:
    stream = io.StringIO()
    set_up(
        world,
        stream,
        database_url="postgresql+psycopg://me:hunter2hunter2@db/x",
        heartbeat_url="https://hc.example/uuid-of-mine",
    )
    logging.getLogger("course.anything").info("hunter2hunter2 https://hc.example/uuid-of-mine/fail")
    assert lines(stream)[0]["event"] == "[secret] [secret]/fail"


@pytest.mark.parametrize("shows_people", ["", "1"])
@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:p%40ss+w%2Fd@db/x",
        "postgresql+psycopg://me@db/x?sslmode=require&password=p%40ss+w%2Fd",
        "postgresql+psycopg://me@db/x?sslpassword=p%40ss%20w%2Fd&application_name=y",
    ],
)
def test_a_password_is_a_secret_wherever_it_stands_and_however_it_is_written(
    world: World, monkeypatch: pytest.MonkeyPatch, url: str, shows_people: str
) -> None:
    monkeypatch.setenv(logs.SHOW_PII, shows_people)
    for setting in ("database_url", "broker_url"):
        stream = io.StringIO()
        set_up(world, stream, **{setting: url})
        meant = "p@ss+w/d" if ":p" in url else "p@ss w/d"
        logging.getLogger("course.anything").warning("%s %s %s", url, meant, f"to ({meant})")
        said = stream.getvalue()
        assert said.count("[secret]") == 3
        assert "ss+w" not in said
        assert "w%2Fd" not in said


def test_what_libraries_say_at_debug_stays_away(world: World) -> None:
    stream = io.StringIO()
    set_up(world, stream, log_level="debug")
    for name in ("markdown_it.rules_block.code", "schedule", "anything.else"):
        logging.getLogger(name).debug("entering code: StateBlock(…)")
        logging.getLogger(name).info("of note")
    logging.getLogger("course.anything").debug("ours")
    assert [line["event"] for line in lines(stream)] == ["of note"] * 3 + ["ours"]


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_what_a_process_says_is_a_line_of_its_log_where_a_machine_reads(
    world: World, capsys: pytest.CaptureFixture[str], stream: type[io.StringIO]
) -> None:
    written = stream()
    set_up(world, written, log_level="info")
    context.announce_mode(world.settings)
    said = capsys.readouterr().err
    if written.isatty():
        assert said.startswith("Sandbox: mail goes to ")
        assert not written.getvalue()
    else:
        (line,) = lines(written)
        assert line["event"].startswith("Sandbox: mail goes to ")
        assert not said


def test_a_terminal_obeys_no_value(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    set_up(world, stream)
    evil = "Kim\x1b[2J\x1b]0;evil\x07\nFAKE line \u202e\x9b1m"
    log = logging.getLogger("course.anything")
    log.warning("name %s", evil, extra={"whom": [evil], "x": {evil: evil}})
    (said,) = stream.getvalue().splitlines()
    assert said.isprintable()
    assert "Kim [2J ]0;evil FAKE line" in " ".join(said.split())
    try:
        raise ValueError(evil)
    except ValueError:
        log.exception("failed")
    assert "Traceback" in stream.getvalue()
    assert stream.getvalue().replace("\n", "").isprintable()
