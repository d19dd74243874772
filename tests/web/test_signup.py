"""The form and what it answers: kindly to mistakes, alike for every address."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from html import unescape
from io import BytesIO

import pytest
from sqlalchemy import event, text

from course import courses, sources, suppressions
from course.models import Consent, Delivery, Enrollment, Subscriber
from course.people import email_hash
from course.settings import SOURCE_ROOT
from course.states import CohortState, EnrollmentState, SuppressionReason

from .conftest import COURSE, HASH_KEY, MONDAY, World

FORM = f"/c/{COURSE}/signup"


def without_tokens(shown: bytes) -> bytes:
    return re.sub(rb'name="token" value="[^"]*"', b"", shown)


def test_signing_up_asks_for_confirmation(world: World) -> None:
    answer = world.sign_up()
    assert answer.status_code == 202
    found = world.enrollment()
    assert (found.state, found.form_name, found.form_zone) == ("pending", "Ada", "Europe/Berlin")
    [mail] = world.rows(Delivery)
    assert (mail.message_key, mail.state) == ("confirm-1", "pending")


def test_the_answer_says_where_from_whom_and_which_subject(world: World) -> None:
    text = unescape(world.sign_up().text)
    assert "ada@example.org" in text
    assert "Take the Interview <course@example.com>" in text
    assert "Please confirm: Take the Interview Anyway" in text


def test_the_answer_offers_the_form_again_with_everything_kept(world: World) -> None:
    text = world.sign_up(name="Ada L.", zone="Asia/Tokyo").text
    assert text.count('name="zone" value="Asia/Tokyo"') == 2
    assert text.count('name="name" value="Ada L."') == 2
    assert "Wrong address?" in text
    assert "Ask again" in text


def test_in_a_sandbox_the_answer_leads_to_its_inbox(world: World) -> None:
    assert 'href="http://127.0.0.1:8025"' in world.sign_up().text


def test_consent_is_kept_with_the_very_words_that_were_shown(world: World) -> None:
    page = unescape(world.client.get("/").text)
    [wording] = re.findall(r'name="wording" value="(\w+)"', page)
    world.sign_up(wording=wording)
    [consent] = world.rows(Consent)
    assert (consent.act, consent.source, consent.at) == ("asked", f"/c/{COURSE}", MONDAY)
    [words] = [line for line in page.split("\n") if "you agree" in line]
    shown = words.removeprefix('<p class="small soft">').removesuffix("</p>")
    assert consent.wording_version == "1"
    assert consent.wording_hash == sha256(shown.encode()).hexdigest()


def test_words_that_an_old_page_showed_are_not_taken_for_todays(world: World) -> None:
    world.sign_up(wording="0" * 64)
    [consent] = world.rows(Consent)
    assert (consent.source, consent.wording_hash) == (f"/c/{COURSE}", None)


def test_a_cohorts_own_page_is_named_as_the_source(world: World) -> None:
    world.cohort("spring")
    world.sign_up(cohort="spring")
    assert world.rows(Consent)[0].source == f"/c/{COURSE}/spring"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "Please enter your e-mail address."),
        ("   ", "Please enter your e-mail address."),
        ("ada", "“ada” is not a complete e-mail address."),
        ("ada@", "“ada@” is not a complete e-mail address."),
        ("ada@localhost", "“ada@localhost” is not a complete e-mail address."),
        ("ada@example.org, eve@example.org", "is not a complete e-mail address."),
        ("ada\r\nBcc: eve@example.org", "“ada Bcc: eve@example.org” is not a complete"),
        ("a" * 400 + "@example.org", "is not a complete e-mail address."),
        ("kïm@example.net", "We cannot send to “kïm@example.net”"),
        ("用户@例え.jp", "We cannot send to “用户@例え.jp”"),
        ('"quoted name"@example.net', 'We cannot send to “"quoted name"@example.net”'),
        ("a" * 65 + "@example.org", "We cannot send to “aaa"),
    ],
)
def test_a_bad_address_is_named_beside_its_field_and_nothing_is_kept(
    world: World, given: str, message: str
) -> None:
    before = world.contents()
    answer = world.sign_up(given, name="Ada L.", zone="Asia/Tokyo")
    text = unescape(answer.text)
    assert answer.status_code == 400
    assert message in text
    assert 'aria-describedby="email-error"' in text
    assert 'value="Ada L."' in text
    assert '<option value="Asia/Tokyo" selected>' in text
    assert world.contents() == before


def test_an_international_domain_is_shown_in_its_own_letters(world: World) -> None:
    email = "kim@xn--exmple-cua.net"
    for typed in ("kim@exämple.net", email):
        answer = world.sign_up(typed)
        assert "kim@exämple.net" in answer.text
        assert "xn--" not in answer.text
    assert [person.email for person in world.rows(Subscriber)] == [email]
    assert "k…@exämple.net" in world.client.get(world.confirm_link(email)).text
    assert world.sign_up("a" * 64 + "@example.org").status_code == 202


def test_the_page_says_what_to_do_when_nothing_comes_and_promises_nothing(world: World) -> None:
    first, again = (world.sign_up().text for _ in range(2))
    for shown in (first, again):
        assert f"write to {world.settings.mail_from}" in shown
        assert "asking again helps from tomorrow on" in shown
        assert "Send again" not in shown


def test_an_unknown_zone_falls_back_silently(world: World) -> None:
    assert world.sign_up(zone="Mars/Olympus").status_code == 202
    assert world.enrollment().form_zone is None


def test_an_address_is_kept_in_one_form(world: World) -> None:
    world.sign_up(" Ada@Example.ORG ")
    world.sign_up("ada@example.org")
    assert [person.email for person in world.rows(Subscriber)] == ["ada@example.org"]


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", '" onfocus="alert(1)', "{{ 7 * 7 }}", "'; drop table", "%(x)s"],
)
def test_a_hostile_name_is_text_wherever_it_shows(world: World, name: str) -> None:
    for answer in (world.sign_up(name=name), world.sign_up("bad", name=name)):
        assert name in unescape(answer.text)
        assert "<script>alert" not in answer.text
        assert '" onfocus' not in answer.text


def test_a_name_loses_line_breaks_and_direction_marks(world: World) -> None:
    world.sign_up(name="Ada\r\nBcc: x\u202e")
    assert world.enrollment().form_name == "Ada Bcc: x"


# The same answer for everyone ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["form", "json"])
def test_the_answer_is_the_same_whoever_the_address_belongs_to(world: World, kind: str) -> None:
    people = ["known", "activ", "suppr", "boun1", "left1", "newer"]
    addresses = {name: f"{name}@example.org" for name in people}
    world.sign_up(addresses["known"])
    world.join(addresses["activ"])
    _suppress(world, addresses["suppr"], SuppressionReason.COMPLAINED)
    _suppress(world, addresses["boun1"], SuppressionReason.BOUNCED)
    world.client.post(f"/unsubscribe/{world.join(addresses['left1'])}")
    answers = set()
    for email in addresses.values():
        given = {"email": email, "name": "Ada", "zone": "Europe/Berlin"}
        by_script = kind == "json"
        answer = world.sign_up_by_script(given) if by_script else world.sign_up(email)
        shown = without_tokens(answer.data.replace(email.encode(), b"*****@example.org"))
        answers.add((answer.status_code, shown, str(answer.headers)))
    assert len(answers) == 1
    assert answers.pop()[0] == 202


def test_who_takes_part_already_gets_a_mail_that_says_so(world: World) -> None:
    world.join()
    world.sign_up()
    assert world.rows(Delivery)[-1].message_key == "already-2030-01-07"
    assert world.enrollment().state == EnrollmentState.ACTIVE


def test_pressing_again_sends_no_second_mail_within_a_day(world: World) -> None:
    for _ in range(3):
        world.sign_up()
    assert len(world.rows(Delivery)) == 1
    world.set_time(MONDAY + timedelta(days=1))
    world.sign_up()
    assert [row.message_key for row in world.rows(Delivery)] == ["confirm-1", "confirm-2"]


def test_a_sandbox_remembers_that_its_people_are_not_real(world: World) -> None:
    world.sign_up()
    assert world.rows(Subscriber)[0].is_sandbox


# JSON ---------------------------------------------------------------------------------------------


def test_json_is_taken_and_answered(world: World) -> None:
    answer = world.sign_up_by_script({"email": "ada@example.org", "zone": "Asia/Tokyo"})
    assert answer.status_code == 202
    assert answer.json == {
        "status": "confirmation sent",
        "message": "One more step: open the mail that we send you now, and press its button.",
        "email": "ada@example.org",
        "from": "Take the Interview <course@example.com>",
        "subject": "Please confirm: Take the Interview Anyway",
        "page": f"http://127.0.0.1:8000/c/{COURSE}",
    }
    assert world.enrollment().form_zone == "Asia/Tokyo"


def test_no_words_are_recorded_that_we_did_not_show(world: World) -> None:
    world.sign_up_by_script({"email": "ada@example.org"})
    world.client.post(world.confirm_link())
    asked, confirmed = world.rows(Consent)
    assert (asked.source, asked.wording_version) == (FORM, None)
    assert (confirmed.source, confirmed.wording_version) == ("/confirm", "1")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"ada@example.org"',
        b"[" * 60_000,
        b'{"email": "\xff"}',
        b'{"email": "\\ud800@example.org"}',
        b'{"email": 5}',
        b'{"email": ["ada@example.org"]}',
        b'{"email": "ada@example.org", "name": {}}',
        b'{"email": "ada"}',
        b'{"name": "Ada"}',
        b'{"email": null}',
        b'{"email": "ada\\u0000@example.org"}',
    ],
)
def test_json_that_cannot_be_used_is_a_400_with_its_reason(world: World, body: bytes) -> None:
    before = world.contents()
    answer = world.client.post(FORM, data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json["error"]
    assert world.contents() == before


# The course's own fields ------------------------------------------------------------------------

FIELDS = """
[fields.role]
type = "choice"
choices = ["lead", "junior"]
ask = "What are you?"

[fields.years]
type = "number"
ask = "For how many years?"

[fields.secret]
"""


@pytest.fixture
def asking(world: World) -> World:
    """The course asks two things of its own, and knows a third."""
    source = sources.read(SOURCE_ROOT, COURSE)
    files = dict(source.files)
    files["course.toml"] += FIELDS
    with world.database.writing() as session:
        courses.apply(session, replace(source, files=files), "test", MONDAY)
    return world


def test_the_page_asks_what_the_course_asks_and_no_more(asking: World) -> None:
    page = asking.client.get("/").text
    assert 'name="field-role"' in page
    assert "For how many years?" in page
    assert "field-secret" not in page


def test_what_the_form_says_is_kept_with_the_enrollment(asking: World) -> None:
    fields = {"field-role": "lead", "field-years": "2,5", "field-secret": "x", "field-other": "y"}
    answer = asking.sign_up(**fields)
    assert answer.status_code == 202
    assert asking.enrollment().fields == '{"role":"lead","years":2.5}'
    assert 'name="field-role" value="lead"' in answer.text  # offered again
    assert asking.sign_up("c@example.org").status_code == 202  # a form from before there were any
    said = {"email": "b@example.org", "fields": {"years": 7, "role": None}}
    assert asking.sign_up_by_script(said).status_code == 202
    assert asking.enrollment("b@example.org").fields == '{"years":7}'


def test_an_answer_that_is_none_is_named_beside_its_field(asking: World) -> None:
    page = asking.sign_up(**{"field-years": "<many>", "field-role": "junior"})
    assert page.status_code == 400
    assert ">“<many>” is not a number</p>" in unescape(page.text)
    assert 'value="junior" selected' in page.text
    assert 'name="email" type="email" value="ada@example.org"' in page.text
    assert asking.rows(Enrollment) == []
    wrong = {"email": "b@example.org", "fields": {"role": [1]}}
    answer = asking.sign_up_by_script(wrong)
    assert answer.status_code == 400
    assert answer.get_json()["field"] == "role"


# What cannot be joined --------------------------------------------------------------------------


@pytest.mark.parametrize("cohort", ["nothing", "\x00", "../x", "Ünknown"])
def test_an_unknown_cohort_is_a_404(world: World, cohort: str) -> None:
    assert world.sign_up(cohort=cohort).status_code == 404


@pytest.mark.parametrize("state", [CohortState.CLOSED, CohortState.PAUSED, CohortState.ARCHIVED])
def test_a_closed_cohort_takes_nobody_in(world: World, state: str) -> None:
    world.set_front(state=state)
    answer = world.sign_up()
    assert answer.status_code == 409
    assert "Nobody can join “Take the Interview Anyway” here" in answer.text
    assert not world.rows(Enrollment)
    assert world.sign_up_by_script({"email": "ada@example.org"}).status_code == 409


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json"])
def test_a_body_beyond_64_kilobytes_is_refused(world: World, kind: str) -> None:
    answer = world.client.post(FORM, data=b"email=" + b"a" * 65_536, content_type=kind)
    assert answer.status_code == 413


def test_a_chunked_body_is_not_cut_but_refused(world: World) -> None:
    body = b'{"email": "ada@example.org"}' + b" " * 100_000
    answer = world.client.post(
        FORM,
        input_stream=BytesIO(body),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 413
    assert not world.rows(Enrollment)


def test_the_forms_address_leads_back_to_the_page(world: World) -> None:
    answer = world.client.get(FORM)
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/c/{COURSE}"


def test_what_shows_an_address_is_stored_nowhere(world: World) -> None:
    assert world.sign_up().headers["Cache-Control"] == "no-store"


def test_a_busy_database_asks_to_come_again(world: World, impatient: None) -> None:
    with world.database.writing() as session:
        session.execute(text("SELECT 1"))  # takes the lock
        answer = world.sign_up()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "10"


@pytest.fixture
def impatient(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One try that waits a millisecond for the lock, where there are several of seconds."""

    def hurry(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA busy_timeout=1")

    monkeypatch.setattr(world.database, "patience_seconds", 0)
    world.database.dispose()
    event.listen(world.database.engine, "connect", hurry)
    yield
    event.remove(world.database.engine, "connect", hurry)
    world.database.dispose()


def _suppress(world: World, email: str, reason: SuppressionReason) -> None:
    with world.database.writing() as session:
        suppressions.add(session, [email_hash(email, HASH_KEY)], reason, "tests", MONDAY)
