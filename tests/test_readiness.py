"""`live`: each thing that is not in place is named with what to do, and nothing else is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from course import installation, readiness
from course.account import AccountError, Domain, Webhook
from course.outside import Page
from course.readiness import Line, State
from tests.outside import KEY, MadeUpOutside, records
from tests.real import real_settings
from tests.world import World

AT = datetime(2027, 2, 1, tzinfo=UTC)
Settle = dict[str, Any]


@pytest.fixture
def outside() -> MadeUpOutside:
    return MadeUpOutside()


def look(world: World, outside: MadeUpOutside, **over: object) -> list[Line]:
    settings = real_settings(
        world.settings.home,
        **{"sendgrid_webhook_public_key": (KEY,), "send_limit": "100/day"} | over,
    )
    with world.database.reading() as session:
        return list(readiness.look(session, settings, outside))  # type: ignore[arg-type]


@pytest.fixture
def heard(world: World) -> World:
    with world.database.writing() as session:
        here = installation.get(session)
        here.webhook_heard_at = here.test_sent_at = here.test_heard_at = AT
    return world


def test_with_everything_in_place_all_is_well(heard: World, outside: MadeUpOutside) -> None:
    lines = look(heard, outside)
    assert {line.state for line in lines} == {State.WELL}
    assert "SEND_LIMIT: at most 100 a day" in [line.found for line in lines]
    assert [line.name for line in lines] == [
        *("mail host", "public address", "key", "sender", "domain", "DKIM", "SPF", "DMARC"),
        *("postal address", "webhook", "limit", "lessons of job-search", "test mail"),
    ]


def test_what_the_sandbox_signed_is_not_taken_for_the_providers(
    heard: World, outside: MadeUpOutside
) -> None:
    """Also where the key may not ask SendGrid for its webhooks."""
    assert outside.account
    outside.account.given_scopes = frozenset({"mail.send"})
    with heard.database.reading() as session:
        key = installation.get(session).sandbox_public_key
    lines = look(heard, outside, sendgrid_webhook_public_key=(key,))
    missing = [line.name for line in lines if line.state is State.MISSING]
    assert missing == ["webhook", "test mail"]


BROKEN: list[tuple[str, dict[str, object], str, State, str]] = [
    ("stand-in", {"sendgrid_host": "http://127.0.0.1:8025"}, "mail host", State.MISSING, "Remove"),
    ("clock", {"clock_file": Path("/some/clock")}, "clock", State.MISSING, "Remove"),
    ("http", {"public_url": "http://course.example.com"}, "public address", State.MISSING, "https"),
    ("local", {"public_url": "https://localhost"}, "public address", State.MISSING, "https"),
    ("no sender", {"mail_from": "course@example.com"}, "sender", State.MISSING, "MAIL_FROM"),
    (
        "no address",
        {"postal_address": "(sandbox: no postal address set)"},
        "postal address",
        State.MISSING,
        "POSTAL_ADDRESS",
    ),
    ("no limit", {"send_limit": ()}, "limit", State.UNKNOWN, "SEND_LIMIT=100/day"),
    (
        "no webhook key",
        {"sendgrid_webhook_public_key": ()},
        "webhook",
        State.MISSING,
        "minicourse sendgrid setup",
    ),
    (
        "another webhook key",
        {"sendgrid_webhook_public_key": ("other",)},
        "webhook",
        State.MISSING,
        "minicourse sendgrid setup",
    ),
]


@pytest.mark.parametrize(("what", "over", "name", "state", "todo"), BROKEN)
def test_a_setting_that_is_wrong_is_named(
    heard: World,
    outside: MadeUpOutside,
    what: str,
    over: dict[str, object],
    name: str,
    state: State,
    todo: str,
) -> None:
    assert_only(look(heard, outside, **over), name, state, todo)


def assert_only(lines: list[Line], name: str, state: State, todo: str) -> None:
    line = next(line for line in lines if line.state is not State.WELL)
    assert (line.name, line.state) == (name, state)
    others = {one.name for one in lines if one.state is State.MISSING} - {name}
    assert others <= ({"webhook"} if name == "public address" else set())  # it is to post there
    assert todo in f"{line.todo} {' '.join(line.paste)}"


def refused(where: str, status: int | None) -> Callable[[MadeUpOutside], None]:
    def breaks(outside: MadeUpOutside) -> None:
        setattr(outside.account, f"given_{where}", AccountError("401 no", status))

    return breaks


def no_names(*absent: tuple[str, str]) -> Callable[[MadeUpOutside], None]:
    def breaks(outside: MadeUpOutside) -> None:
        assert outside.names
        for key in absent:
            del outside.names[key]

    return breaks


def nobody_answers(outside: MadeUpOutside) -> None:
    outside.answer = None


def another_page(outside: MadeUpOutside) -> None:
    outside.answer = Page(200, "Welcome to nginx!")


def a_domain(*domains: Domain) -> Callable[[MadeUpOutside], None]:
    def breaks(outside: MadeUpOutside) -> None:
        assert outside.account
        outside.account.given_domains = list(domains)

    return breaks


def webhooks(*found: Webhook) -> Callable[[MadeUpOutside], None]:
    def breaks(outside: MadeUpOutside) -> None:
        assert outside.account
        outside.account.given_webhooks = list(found)

    return breaks


def a_webhook(**over: object) -> Callable[[MadeUpOutside], None]:
    def breaks(outside: MadeUpOutside) -> None:
        (known,) = outside.account.given_webhooks  # type: ignore[union-attr,misc]
        outside.account.given_webhooks = [replace(known, **over)]  # type: ignore[union-attr,arg-type]

    return breaks


def may_not(scope: str) -> Callable[[MadeUpOutside], None]:
    def breaks(outside: MadeUpOutside) -> None:
        outside.account.given_scopes -= {scope}  # type: ignore[union-attr,operator]

    return breaks


@pytest.mark.parametrize(
    ("breaks", "name", "state", "todo"),
    [
        (nobody_answers, "public address", State.UNKNOWN, "browser"),
        (another_page, "public address", State.MISSING, "127.0.0.1:8000"),
        (may_not("mail.send"), "key", State.MISSING, "Mail Send"),
        (may_not("whitelabel.read"), "domain", State.UNKNOWN, "sender_auth"),
        (
            a_domain(Domain("1", "example.com", False, records(valid=False))),
            "domain",
            State.MISSING,
            "em7.example.com  CNAME  u1.wl.sendgrid.net",
        ),
        (refused("domains", 500), "domain", State.UNKNOWN, "None"),
        (
            no_names(("s1._domainkey.example.com", "CNAME")),
            "DKIM",
            State.MISSING,
            "s1._domainkey.example.com  CNAME  s1.domainkey.u1.wl.sendgrid.net",
        ),
        (
            no_names(("em7.example.com", "CNAME")),
            "SPF",
            State.MISSING,
            'example.com  TXT  "v=spf1 include:sendgrid.net ~all"',
        ),
        (
            no_names(("_dmarc.example.com", "TXT")),
            "DMARC",
            State.MISSING,
            "_dmarc.example.com  TXT",
        ),
        (webhooks(), "webhook", State.MISSING, "minicourse sendgrid setup"),
        (a_webhook(is_enabled=False), "webhook", State.MISSING, "setup"),
        (a_webhook(events=frozenset({"open"})), "webhook", State.MISSING, "setup"),
        (a_webhook(public_key=None), "webhook", State.MISSING, "setup"),
        (refused("webhooks", 403), "webhook", State.UNKNOWN, "None"),
    ],
)
def test_what_is_wrong_outside_is_named(
    heard: World,
    outside: MadeUpOutside,
    breaks: Callable[[MadeUpOutside], None],
    name: str,
    state: State,
    todo: str,
) -> None:
    breaks(outside)
    assert_only(look(heard, outside), name, state, todo)


def named(lines: list[Line]) -> dict[str, State]:
    return {line.name: line.state for line in lines if line.state is not State.WELL}


def test_a_key_that_is_refused_is_told_from_a_silence(heard: World, outside: MadeUpOutside) -> None:
    refused("scopes", 401)(outside)
    assert named(look(heard, outside))["key"] is State.MISSING
    refused("scopes", None)(outside)
    assert named(look(heard, outside))["key"] is State.UNKNOWN
    outside.account = None
    assert named(look(heard, outside, sendgrid_api_key=None))["key"] is State.MISSING


def test_a_single_verified_sender_stops_nobody(heard: World, outside: MadeUpOutside) -> None:
    a_domain()(outside)
    assert named(look(heard, outside))["domain"] is State.MISSING
    assert outside.account
    outside.account.senders = ["robin@example.com"]
    assert named(look(heard, outside))["domain"] is State.UNKNOWN


def test_names_that_nobody_tells_are_unknown(heard: World, outside: MadeUpOutside) -> None:
    outside.names = None
    assert named(look(heard, outside)) == dict.fromkeys(("DKIM", "SPF", "DMARC"), State.UNKNOWN)


def test_a_record_that_is_there_is_completed_and_not_doubled(
    heard: World, outside: MadeUpOutside
) -> None:
    assert outside.names
    del outside.names["em7.example.com", "CNAME"]
    outside.names["example.com", "TXT"] = ["google-x", "v=spf1 mx -all"]
    (line,) = [line for line in look(heard, outside) if line.name == "SPF"]
    assert line.paste == ('example.com  TXT  "v=spf1 include:sendgrid.net mx -all"',)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"webhook_heard_at": None}, "webhook"),
        ({"test_sent_at": None}, "test mail"),
        ({"test_heard_at": None}, "test mail"),
        ({"test_heard_at": datetime(2026, 1, 1, tzinfo=UTC)}, "test mail"),
    ],
)
def test_what_was_not_heard_is_missing(
    heard: World, outside: MadeUpOutside, values: Settle, name: str
) -> None:
    with heard.database.writing() as session:
        for column, value in values.items():
            setattr(installation.get(session), column, value)
    assert named(look(heard, outside)) == {name: State.MISSING}


def test_a_lesson_that_fails_the_check_is_named(heard: World, outside: MadeUpOutside) -> None:
    lesson = heard.settings.home / "lessons/job-search/01-welcome.md"
    lesson.write_text(lesson.read_text() + "\n{{ nmae }}\n")
    assert named(look(heard, outside)) == {"lessons of job-search": State.MISSING}
