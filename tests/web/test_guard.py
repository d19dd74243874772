"""What stands in front of every public write: open to people, closed to floods, and nobody learns
which of both they are."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from sqlalchemy import event
from werkzeug.test import TestResponse

from course import budgets, form_tokens, suppressions, tallies
from course.budgets import Limit, Scope
from course.form_tokens import Purpose
from course.models import Bucket, Delivery, Enrollment, Tally, UsedToken
from course.people import email_hash
from course.settings import Settings
from course.states import SuppressionReason
from course.web.guard import visitor_network

from .conftest import AUTHOR, COURSE, HASH_KEY, MONDAY, SECRET, World, form_of

FORM = f"/c/{COURSE}/signup"
ADA = {"email": "ada@example.org", "name": "Ada", "zone": "Europe/Berlin"}


def send(world: World, network: int = 1, /, **fields: str) -> TestResponse:
    """A form, from a visitor of that network."""
    headers = {"X-Forwarded-For": f"198.51.{network}.7"}
    return world.client.post(FORM, data=ADA | fields, headers=headers)


def verdicts(world: World) -> dict[str, int]:
    with world.database.reading() as session:
        return tallies.counts(session, datetime.now(UTC) - timedelta(hours=1))


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of everything, and many from a network."""
    few = {scope: Limit(3, timedelta(hours=1), 3) for scope in Scope}
    limits = few | {Scope.NETWORK: Limit(100, timedelta(hours=1), 100)}
    monkeypatch.setattr(budgets, "limits_for", lambda *_: limits)
    monkeypatch.setattr(budgets.spend, "__defaults__", (limits,))


# A form's token ----------------------------------------------------------------------------------


def test_a_form_that_was_open_for_a_moment_is_taken_at_once(world: World) -> None:
    assert send(world, token=world.form_token()).status_code == 202
    assert verdicts(world) == {"taken": 1}


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "WzEsMV0.AAAA",
        "\x00",
        timedelta(seconds=1),
        timedelta(days=1, seconds=5),
        timedelta(days=7),
        -timedelta(hours=1),
    ],
)
def test_no_token_or_a_young_or_an_old_one_costs_one_press_more(
    world: World, token: str | timedelta
) -> None:
    given = token if isinstance(token, str) else world.form_token(token)
    asked = send(world, token=given)
    assert asked.status_code == 200
    assert asked.text.count("<button") == 1
    assert world.rows(Enrollment) == []
    assert world.press(asked).status_code == 202
    assert world.enrollment().form_name == "Ada"
    assert verdicts(world) == {"asked once more": 1, "taken": 1}


def test_a_token_is_good_for_once(world: World) -> None:
    token = world.form_token()
    assert send(world, token=token).status_code == 202
    again = send(world, token=token, email="b@example.org")
    assert again.status_code == 200
    assert world.enrollment("b@example.org") is None
    assert world.press(again).status_code == 202
    assert world.press(again).status_code == 200, "its button is good for once, too"
    assert len(world.rows(UsedToken)) == 2


def test_the_button_works_for_an_hour_and_as_soon_as_it_is_there(world: World) -> None:
    def made(age: timedelta) -> str:
        return form_tokens.make(Purpose.AGAIN, datetime.now(UTC) - age, [SECRET])

    assert send(world, token=made(timedelta(0))).status_code == 202
    assert send(world, token=made(timedelta(minutes=59))).status_code == 202
    assert send(world, token=made(timedelta(minutes=61))).status_code == 200


def test_the_page_between_keeps_what_was_typed_and_nothing_waits_to_be_typed(world: World) -> None:
    asked = send(world, name='Ada "x" <b>', zone="Asia/Tokyo", cohort="evergreen")
    action, kept = form_of(asked.text)
    assert action == FORM
    assert kept["name"] == 'Ada "x" <b>'
    assert (kept["email"], kept["zone"]) == ("ada@example.org", "Asia/Tokyo")
    assert kept["cohort"] == "evergreen"
    assert not re.search(r'<input(?! type="hidden")', asked.text)
    assert asked.headers["Cache-Control"] == "no-store"
    assert "<script" not in asked.text


def test_send_again_and_another_address_carry_tokens_of_their_own(world: World) -> None:
    answer = world.sign_up()
    tokens = re.findall(r'name="token" value="([^"]+)"', answer.text)
    assert len(set(tokens)) == 2
    for number, token in enumerate(tokens):
        assert send(world, token=token, email=f"{number}@example.org").status_code == 202


@pytest.mark.parametrize("path", ["/", f"/c/{COURSE}", f"/c/{COURSE}/embed"])
def test_no_cache_may_give_a_token_to_somebody_else(world: World, path: str) -> None:
    answer = world.client.get(path)
    assert form_of(answer.text)[1]["token"]
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_a_form_that_fills_itself_in_works_without_a_script(world: World) -> None:
    """A password manager sends the page's form in the moment in which it opens."""
    action, given = form_of(world.client.get(f"/c/{COURSE}").text)
    asked = world.client.post(action, data=given | {"email": "ada@example.org"})
    assert asked.status_code == 200
    assert world.press(asked).status_code == 202
    assert len(world.rows(Delivery)) == 1


def test_a_page_of_last_week_works(world: World) -> None:
    action, given = form_of(world.client.get(f"/c/{COURSE}").text)
    given["token"] = world.form_token(timedelta(days=7))
    asked = world.client.post(action, data=given | {"email": "ada@example.org"})
    assert world.press(asked).status_code == 202


# Robots ------------------------------------------------------------------------------------------


def test_the_trap_is_hidden_from_people_and_told_to_screen_readers(world: World) -> None:
    text = world.client.get("/").text
    field = re.search(r"<input id=\"website\"[^>]*>", text)
    assert field
    assert 'tabindex="-1"' in field[0]
    assert 'autocomplete="off"' in field[0]
    assert '<div class="trap"><label for="website">Leave this field empty</label>' in text
    with world.client.get("/static/pages.css") as css:
        assert ".trap { position: absolute;" in css.text


def test_a_robot_in_the_trap_hears_of_success_and_nothing_is_kept(world: World) -> None:
    before = world.contents()
    answer = send(world, token=world.form_token(), website="https://spam.example")
    assert answer.status_code == 202
    assert world.contents() == before
    assert verdicts(world) == {"honeypot": 1}


def test_robots_use_up_nothing_but_what_their_own_network_has(world: World, tight: None) -> None:
    for _ in range(20):
        send(world, 1, token=world.form_token(), website="x")
    assert send(world, 2, token=world.form_token()).status_code == 202
    assert world.enrollment() is not None


# Budgets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [Scope.NETWORK, Scope.ADDRESS, Scope.DOMAIN, Scope.ALL])
def test_what_is_beyond_a_budget_looks_like_success_and_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, scope: Scope
) -> None:
    wide = {each: Limit(100, timedelta(hours=1), 100) for each in Scope}
    limits = wide | {scope: Limit(2, timedelta(hours=1), 2)}
    monkeypatch.setattr(budgets, "limits_for", lambda *_: limits)
    for number in range(2):
        email = "ada@example.org" if scope is Scope.ADDRESS else f"{number}@example.org"
        send(world, token=world.form_token(), email=email)
    before = world.contents()
    answer = send(world, token=world.form_token())
    assert answer.status_code == 202
    assert "ada@example.org" in answer.text
    assert world.contents() == before
    assert verdicts(world) == {"taken": 2, f"limited:{scope}": 1}


def test_a_class_behind_one_address_gets_in(world: World) -> None:
    for number in range(30):
        send(world, token=world.form_token(), email=f"pupil.{number}@school.example.org")
    assert len(world.rows(Enrollment)) == 30


def test_one_network_after_another_is_stopped_while_a_visitor_gets_in(world: World) -> None:
    for number in range(60):
        send(world, 1, token=world.form_token(), email=f"victim.{number}@example.org")
    assert len(world.rows(Enrollment)) == 40
    send(world, 2, token=world.form_token(), email="visitor@example.org")
    assert world.enrollment("visitor@example.org") is not None


def test_a_raised_limit_raises_what_one_domain_may_have() -> None:
    hour = timedelta(hours=1)
    assert budgets.limits_for(1200, hour) == budgets.LIMITS
    raised = budgets.limits_for(12_000, hour)
    assert raised[Scope.DOMAIN].count == 3000
    assert raised[Scope.NETWORK] == budgets.LIMITS[Scope.NETWORK]


# Behind a link -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["confirm", "confirm-again", "manage", "link"])
def test_too_many_presses_behind_links_are_asked_to_wait_in_words(
    world: World, tight: None, path: str
) -> None:
    token = world.join()
    where = {
        "confirm": world.confirm_link(),
        "confirm-again": f"{world.confirm_link()}/again",
        "manage": f"/manage/{token}/pause",
        "link": "/link/nonsense",
    }[path]
    answers = [world.client.post(where, data={"for": "week"}) for _ in range(4)]
    assert answers[0].status_code != 429
    assert answers[3].status_code == 429
    assert answers[3].headers["Retry-After"] == "60"
    assert "A little slower" in answers[3].text
    assert world.client.get(f"/manage/{token}").status_code == 200, "looking is free"
    other = {"X-Forwarded-For": "203.0.113.9"}
    assert world.client.post(where, data={"for": "week"}, headers=other).status_code != 429


def test_nobody_who_leaves_is_ever_told_to_wait(world: World, tight: None) -> None:
    token = world.join()
    for _ in range(20):
        one_click = {"List-Unsubscribe": "One-Click"}
        assert world.client.post(f"/unsubscribe/{token}", data=one_click).status_code == 200


# Whose network -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "forwarded", "network"),
    [
        ("127.0.0.1", None, "127.0.0.0/24"),
        ("127.0.0.1", "198.51.100.7", "198.51.100.0/24"),
        ("127.0.0.1", "203.0.113.1, 198.51.100.7", "198.51.100.0/24"),
        ("127.0.0.1", "203.0.113.1, 198.51.100.7, 10.1.2.3", "198.51.100.0/24"),
        ("127.0.0.1", "198.51.100.7:4711", "198.51.100.0/24"),
        ("127.0.0.1", '"[2001:db8:1:2::9]:443"', "2001:db8:1:2::/64"),
        ("127.0.0.1", "2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:127.0.0.1", "198.51.100.7", "198.51.100.0/24"),
        ("127.0.0.1", "unknown", "127.0.0.0/24"),
        ("127.0.0.1", "198.51.100.7, <script>", "127.0.0.0/24"),
        ("203.0.113.5", "198.51.100.7", "203.0.113.0/24"),
        ("203.0.113.5", "127.0.0.1", "203.0.113.0/24"),
        ("10.9.9.9", "10.1.1.1", "10.1.1.0/24"),
        ("", "198.51.100.7", "unknown"),
    ],
)
def test_only_trusted_proxies_say_whose_network_it_is(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    peer: str,
    forwarded: str | None,
    network: str,
) -> None:
    trusted = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"))
    change(world, monkeypatch, trusted_proxies=trusted)
    headers = {"X-Forwarded-For": forwarded} if forwarded is not None else {}
    app = world.client.application
    with app.test_request_context(headers=headers, environ_overrides={"REMOTE_ADDR": peer}):
        assert visitor_network() == network


def change(world: World, monkeypatch: pytest.MonkeyPatch, **settings: object) -> None:
    site = world.client.application.extensions["minicourse"]
    changed: Settings = site.settings.model_copy(update=settings)
    monkeypatch.setitem(
        world.client.application.extensions,
        "minicourse",
        type(site)(changed, site.database, site.clock),
    )


# Scripts of other sites --------------------------------------------------------------------------


def test_json_of_a_site_that_is_not_ours_is_led_to_the_page(world: World) -> None:
    for origin in ("https://evil.example", f"{AUTHOR}.evil.example", "null", ""):
        answer = world.sign_up_by_script({"email": "ada@example.org"}, origin)
        assert answer.status_code == 202
        assert answer.json == {
            "status": "one more step",
            "message": "Robots send forms, too. Please sign up on this page.",
            "page": f"http://127.0.0.1:8000/c/{COURSE}",
        }
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert world.rows(Enrollment) == []
    assert verdicts(world) == {"foreign": 4}


def test_json_of_our_own_pages_is_taken(world: World) -> None:
    answer = world.sign_up_by_script({"email": "ada@example.org"}, "http://127.0.0.1:8000")
    assert answer.json["status"] == "confirmation sent"
    assert world.enrollment() is not None


def test_json_with_a_form_s_token_is_taken_from_anywhere(world: World) -> None:
    body = {"email": "ada@example.org", "token": world.form_token()}
    assert world.sign_up_by_script(body, "https://evil.example").json["status"] != "one more step"
    assert world.enrollment() is not None


def test_a_configured_site_may_read_the_answer_and_no_other(world: World) -> None:
    answer = world.sign_up_by_script({"email": "ada@example.org"})
    assert answer.headers["Access-Control-Allow-Origin"] == AUTHOR
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("origin", [AUTHOR, "https://evil.example"])
def test_a_preflight_is_answered(world: World, origin: str) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answer = world.client.options(FORM, headers=headers)
    assert answer.status_code == 200
    assert "Origin" in answer.headers["Vary"]
    allowed = answer.headers.get("Access-Control-Allow-Headers")
    assert allowed == ("Content-Type" if origin == AUTHOR else None)


@pytest.mark.parametrize("address", [f"{AUTHOR}/thanks?a=1#b", AUTHOR, f"{AUTHOR}:443/x"])
def test_a_form_may_go_on_to_a_configured_site(world: World, address: str) -> None:
    asked = send(world, next=address)
    assert f"form-action 'self' {AUTHOR};" in asked.headers["Content-Security-Policy"]
    answer = world.press(asked)
    assert answer.status_code == 303
    assert answer.headers["Location"] == address
    assert world.enrollment() is not None
    refused = send(world, token=world.form_token(), next=address, website="x")
    assert (refused.status_code, refused.headers["Location"]) == (303, address)


def test_letters_beyond_ascii_go_on_as_a_browser_sends_them(world: World) -> None:
    answer = send(world, token=world.form_token(), next=f"{AUTHOR}/danke-schön?für=ä%20b#é")
    assert answer.status_code == 303
    sent = f"{AUTHOR}/danke-sch%C3%B6n?f%C3%BCr=%C3%A4%20b#%C3%A9"
    assert answer.headers["Location"] == sent


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "https:evil.example",
        "https:/evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        f"{AUTHOR}.evil.example/",
        f"{AUTHOR}@evil.example/",
        f"https://evil.example\\@{AUTHOR.removeprefix('https://')}/",
        f"https://user@{AUTHOR.removeprefix('https://')}/",
        f"http://{AUTHOR.removeprefix('https://')}/",
        f"{AUTHOR}:8443/",
        f"{AUTHOR}:x/",
        f"{AUTHOR}/\r\nSet-Cookie: a=b",
        f" {AUTHOR}/",
        f"\t{AUTHOR}/",
        "https://[::1",
        "https://\u24d4vil.example/",
        "/c/job-search",
        "x" * 5000,
    ],
)
def test_no_form_leads_anywhere_else(world: World, address: str) -> None:
    answer = send(world, token=world.form_token(), next=address)
    assert answer.status_code == 202
    assert "Location" not in answer.headers
    asked = send(world, next=address)
    assert "form-action 'self';" in asked.headers["Content-Security-Policy"]


# The same for everybody --------------------------------------------------------------------------


@contextmanager
def statements(world: World) -> Iterator[list[str]]:
    """What the database is asked meanwhile: the verb and table of each statement."""
    seen: list[str] = []

    def note(*given: object) -> None:
        text = " ".join(str(given[2]).split())
        verb = re.match(r"(INSERT INTO|UPDATE|DELETE FROM|SAVEPOINT|RELEASE|ROLLBACK|\w+)", text)
        table = re.search(r"(?:INTO|UPDATE|FROM) \"?(\w+)", text)
        seen.append(f"{verb and verb[0]} {table[1] if table else ''}")

    event.listen(world.database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(world.database.engine, "before_cursor_execute", note)


@pytest.mark.parametrize("kind", ["form", "json"])
def test_refused_or_taken_it_is_the_same_answer_and_the_same_work(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def shown(email: str, trap: str = "") -> tuple[object, ...]:
        given = ADA | {"email": email, "token": world.form_token(), "website": trap}
        with statements(world) as seen:
            if kind == "json":
                answer = world.sign_up_by_script(given)
            else:
                answer = world.client.post(FORM, data=given)
        text = answer.text.replace(email, "*****@example.org")
        text = re.sub(r'name="token" value="[^"]*"', "", text)
        work = [each.replace("ROLLBACK", "RELEASE") for each in seen]
        return answer.status_code, text, str(answer.headers), work

    shown("zeroo@example.org")  # what is made once is made
    taken = shown("taken@example.org")
    assert shown("robot@example.org", trap="x") == taken
    with world.database.writing() as session:
        suppressions.add(
            session,
            [email_hash("suppr@example.org", HASH_KEY)],
            SuppressionReason.BOUNCED,
            "tests",
            MONDAY,
        )
    assert shown("suppr@example.org") == taken
    tight = {scope: Limit(1, timedelta(hours=1), 1) for scope in Scope}
    monkeypatch.setattr(budgets, "limits_for", lambda *_: tight)
    assert shown("limit@example.org") == taken
    assert {row.name for row in world.rows(Tally)} == {
        *("taken", "honeypot", "limited:network"),
    }
    assert len(world.rows(Bucket)) > 1
