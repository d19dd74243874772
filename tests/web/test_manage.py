"""A learner's own page: every wish in every state, and what a forwarded mail must not hand over."""

from datetime import UTC, date, datetime, time, timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from werkzeug.test import TestResponse

from course import ledger, tokens
from course.models import Audit, Delivery, Revision, Subscriber, Suppression
from course.states import CohortState, LinkPurpose, MessageKind

from .conftest import COURSE, MONDAY, SECRET, World

HOUR = timedelta(hours=1)
STATES = ("pending", "active", "paused", "completed", "cancelled")


def in_state(world: World, state: str) -> str:
    """The token of somebody who stands there."""
    if state == "pending":
        world.sign_up()
        return world.enrollment().token
    token = world.join()
    world.set_state(state)
    return token


def press(world: World, token: str, form: str, **data: str) -> TestResponse:
    """One of the page's buttons, and the page that follows."""
    return world.client.post(f"/manage/{token}/{form}", data=data, follow_redirects=True)


def person(world: World) -> Subscriber:
    found: Subscriber = world.rows(Subscriber)[0]
    return found


# Every wish in every state ------------------------------------------------------------------------

WISHES = {
    "pause": {"for": "week"},
    "resume": {},
    "clock": {"zone": "Asia/Tokyo", "hour": "07:00"},
    "next": {},
}
# wish → state → what the page says; what is not listed is refused with the reason of the state.
DONE = {
    ("pause", "active"): ("paused", "Done: you are having a break."),
    ("pause", "paused"): ("paused", "Done: you are having a break."),
    ("resume", "active"): ("active", "Done: you go on."),
    ("resume", "paused"): ("active", "Done: you go on."),
    ("clock", "active"): ("active", "Saved."),
    ("clock", "paused"): ("paused", "Saved."),
}
WHY_NOT = {
    "pending": "You have not confirmed yet",
    "active": "No mail can leave before its time just now.",  # the course does not allow it
    "paused": "You are having a break. Go on first.",
    "completed": "You have received the whole course.",
    "cancelled": "You have left this course.",
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("wish", WISHES)
def test_each_wish_in_each_state_is_done_or_refused_in_words(
    world: World, wish: str, state: str
) -> None:
    token = in_state(world, state)
    before = world.contents()
    answer = press(world, token, wish, **WISHES[wish])
    after, words = DONE.get((wish, state), (state, WHY_NOT[state]))
    assert words in unescape(answer.text)
    assert world.enrollment().state == after
    if (wish, state) in DONE:
        assert answer.status_code == 200
        assert 'role="status"' in answer.text
    else:
        assert answer.status_code == 409
        assert 'role="alert"' in answer.text
        assert world.contents() == before


@pytest.mark.parametrize(
    ("state", "purpose"), [*zip(STATES, [*LinkPurpose][:4] + [LinkPurpose.ERASE], strict=True)]
)
def test_a_link_can_be_ordered_in_every_state(world: World, state: str, purpose: str) -> None:
    token = in_state(world, state)
    answer = press(world, token, "link", purpose=purpose)
    assert "A link is on its way to a…@example.org." in answer.text
    [mail] = [row for row in world.rows(Delivery) if row.kind == MessageKind.LINK]
    assert (mail.message_key, mail.state) == (f"{purpose}:2030-01-07-1", "pending")
    assert world.enrollment().state == state


@pytest.mark.parametrize("state", STATES)
def test_the_page_shows_what_can_be_done_in_each_state(world: World, state: str) -> None:
    text = world.client.get(f"/manage/{in_state(world, state)}").text
    changeable = state in ("active", "paused")
    assert ("Have a break" in text) == changeable
    assert ("Change the hour of my mails" in text) == changeable
    assert ("Go on now" in text) == (state == "paused")
    assert "Get a copy of my data" in text
    assert "Did a friend forward this to you?" in text
    assert "ada@example.org" not in text


def test_looking_at_the_address_of_a_form_leads_back_and_changes_nothing(world: World) -> None:
    token = world.join()
    before = world.contents()
    for wish in (*WISHES, "link"):
        answer = world.client.get(f"/manage/{token}/{wish}")
        assert (answer.status_code, answer.location) == (302, f"/manage/{token}")
    assert world.contents() == before


def test_a_word_in_the_address_is_not_shown(world: World) -> None:
    text = world.client.get(f"/manage/{world.join()}?done=<b>hello</b>").text
    assert "hello" not in text
    assert 'role="status"' not in text


def test_no_wish_of_a_stranger(world: World) -> None:
    world.join()
    before = world.contents()
    for wish in (*WISHES, "link"):
        assert world.client.post(f"/manage/nobody-has-this/{wish}").status_code == 404
    assert world.contents() == before


# A break ------------------------------------------------------------------------------------------


def test_a_week_ends_at_the_same_weekday_where_the_person_lives(world: World) -> None:
    token = world.join(zone="America/New_York")
    text = press(world, token, "pause", **{"for": "week"}).text
    assert world.enrollment().paused_until == datetime(2030, 1, 14, 13, tzinfo=UTC)
    assert "You are having a break until Monday, 14 January." in text


def test_a_break_until_a_day_and_the_way_out_of_it(world: World) -> None:
    token = world.join()
    press(world, token, "pause", until="2030-02-01")
    assert world.enrollment().paused_until == datetime(2030, 2, 1, 7, tzinfo=UTC)
    press(world, token, "pause", until="2030-03-01")
    assert world.enrollment().paused_until == datetime(2030, 3, 1, 7, tzinfo=UTC)
    press(world, token, "resume")
    found = world.enrollment()
    assert (found.state, found.paused_until, found.next_due_at) == ("active", None, MONDAY)
    said = [(row.who, row.action) for row in world.rows(Audit)]
    orders = ["subscriber pause", "subscriber pause", "subscriber resume"]
    assert said == [("subscriber", action) for action in orders]


NO_DAYS = [
    ("", "Please name a day"),
    ("soon", "Please name a day"),
    ("2030-02-30", "Please name a day"),
    ("2030-01-07", "after today and within a year"),
    ("2029-12-31", "after today and within a year"),
    ("2031-01-08", "after today and within a year"),
    ("9999-12-31", "after today and within a year"),
]


def test_a_break_needs_a_day_that_comes(world: World) -> None:
    token = world.join()
    for until, words in NO_DAYS:
        answer = press(world, token, "pause", until=until)
        assert answer.status_code == 400
        assert words in answer.text
        assert '<details id="pause" open>' in answer.text
        assert world.enrollment().state == "active"


def test_a_paused_cohort_is_no_hindrance(world: World) -> None:
    token = world.join()
    world.set_front(state=CohortState.PAUSED)
    for wish, data in WISHES.items():
        answer = press(world, token, wish, **data)
        assert answer.status_code == (409 if wish == "next" else 200)
    assert "The course is having a break." in world.client.get(f"/manage/{token}").text


# Hour and zone ------------------------------------------------------------------------------------


def test_hour_and_zone_hold_from_the_next_mail_on(world: World) -> None:
    token = world.join()
    world.receive("welcome", MONDAY)
    text = press(world, token, "clock", zone="Asia/Tokyo", hour="07:00").text
    assert "Tuesday, 8 January, 07:00" in text
    assert (person(world).zone, person(world).hour) == ("Asia/Tokyo", time(7))
    assert '<option value="07:00" selected>' in text
    assert '<option value="Asia/Tokyo" selected>' in text
    press(world, token, "clock", zone="Asia/Tokyo", hour="")
    assert person(world).hour is None


NO_CLOCKS = [
    ({"zone": "Mars/Olympus", "hour": "07:00"}, "Please choose a time zone"),
    ({"hour": "07:00"}, "Please choose a time zone"),
    ({"zone": "Asia/Tokyo", "hour": "25:00"}, "Please choose an hour"),
    ({"zone": "Asia/Tokyo", "hour": "<script>"}, "Please choose an hour"),
]


def test_no_clock_that_is_none(world: World) -> None:
    token = world.join()
    for data, words in NO_CLOCKS:
        answer = press(world, token, "clock", **data)
        assert answer.status_code == 400
        assert words in answer.text
        assert "<script>" not in answer.text
        assert person(world).zone == "Europe/Berlin"


# The next lesson, now -----------------------------------------------------------------------------


def allow_next_now(world: World) -> None:
    with world.database.writing() as session:
        revision = session.query(Revision).one()
        text = revision.files["course.toml"] + "\n[page]\nnext_now = true\n"
        revision.files, revision.content_hash = {**revision.files, "course.toml": text}, "eager"


def test_an_eager_reader_sends_for_one_lesson_in_every_gap(world: World) -> None:
    allow_next_now(world)
    token = world.join()
    world.receive("welcome", MONDAY)
    assert "Send me the next mail now" in world.client.get(f"/manage/{token}").text
    text = press(world, token, "next").text
    assert "The next mail is on its way to a…@example.org." in text
    assert "Mail 2 of 7 is on its way" in text
    [ordered] = [row for row in world.rows(Delivery) if row.message_key == "network"]
    assert (ordered.state, ordered.send_at) == ("pending", MONDAY)
    order = world.rows(Audit)[-1]
    assert (order.who, order.action, order.detail["deliveries"]) == (
        *("subscriber", "next lesson"),
        [ordered.id],
    )
    world.receive("network", MONDAY)
    answer = press(world, token, "next")
    assert answer.status_code == 409
    assert "You may do so again from Tuesday, 8 January, 05:00." in answer.text
    world.set_time(MONDAY + timedelta(hours=18))
    assert press(world, token, "next").status_code == 200


def test_what_comes_by_itself_keeps_its_gap_from_what_was_sent_for(world: World) -> None:
    allow_next_now(world)
    token = world.join()
    world.receive("welcome", MONDAY)
    evening = MONDAY.replace(hour=20)
    world.set_time(evening)
    press(world, token, "next")
    world.receive("network", evening)
    # Tuesday at nine is within eighteen hours of the evening before.
    assert "Wednesday, 9 January, 09:00" in world.client.get(f"/manage/{token}").text


def test_the_first_lesson_is_not_sent_for(world: World) -> None:
    allow_next_now(world)
    world.cohort("spring", starts_on=date(2030, 3, 4))
    token = world.join(cohort="spring")
    assert "Send me the next mail now" not in world.client.get(f"/manage/{token}").text
    assert press(world, token, "next").status_code == 409
    assert not [row for row in world.rows(Delivery) if row.kind == MessageKind.LESSON]


def test_nothing_is_sent_for_behind_a_mail_that_is_on_its_way(world: World) -> None:
    allow_next_now(world)
    token = world.join()
    world.receive("welcome", MONDAY)
    world.set_time(MONDAY + timedelta(days=1))  # the second is due by itself
    assert press(world, token, "next").status_code == 409


def test_a_mail_that_waits_for_its_hour_is_shown_with_it_and_can_be_sent_for(world: World) -> None:
    allow_next_now(world)
    token = world.join()
    world.receive("welcome", MONDAY)
    morning = datetime(2030, 1, 9, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    late = MONDAY + timedelta(days=1, hours=9)
    world.set_time(late)
    with world.database.writing() as session:
        shifted = ledger.Planned(
            1, 1, MessageKind.LESSON, "network", morning, ledger.RANK_LESSON, is_shifted=True
        )
        ledger.plan(session, [shifted], late)
    text = world.client.get(f"/manage/{token}").text
    assert "on its way" not in text
    assert "Wednesday, 9 January, 09:00" in text
    assert "Mail 2 of 7" in text
    assert "Send me the next mail now" in text
    assert "Mail 2 of 7 is on its way" in press(world, token, "next").text
    [row] = [row for row in world.rows(Delivery) if row.message_key == "network"]
    assert (row.state, row.due_at, row.send_at) == ("pending", late, late)
    assert world.rows(Audit)[-1].detail["deliveries"] == [row.id]


# Reading again ------------------------------------------------------------------------------------


def test_lessons_received_can_be_read_again_as_they_were_sent(world: World) -> None:
    token = world.join()
    deliver(world, "welcome")
    text = world.client.get(f"/manage/{token}").text
    assert f'href="/manage/{token}/lesson/welcome"' in text
    before = world.contents()
    answer = world.client.get(f"/manage/{token}/lesson/welcome")
    assert answer.status_code == 200
    assert "Sent on Monday, 7 January, 11:00" in answer.text
    assert f'<a href="/manage/{token}">To your page</a>' in answer.text
    assert "You have a job." in answer.text
    assert world.contents() == before


def test_nothing_in_a_mail_can_act_on_the_page(world: World) -> None:
    token = world.join()
    deliver(world, "welcome")
    headers = world.client.get(f"/manage/{token}/lesson/welcome").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "sandbox allow-popups" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "noindex" in headers["X-Robots-Tag"]


def test_a_lesson_that_has_not_come_is_not_shown(world: World) -> None:
    token = world.join()
    deliver(world, "welcome")
    for slug in ("network", "nothing", "..%2f..", "%00"):
        assert world.client.get(f"/manage/{token}/lesson/{slug}").status_code == 404


def test_one_learner_s_lessons_are_not_another_s(world: World) -> None:
    world.join()
    deliver(world, "welcome")
    other = world.join("mia@example.org")
    assert world.client.get(f"/manage/{other}/lesson/welcome").status_code == 404


def deliver(world: World, slug: str) -> None:
    """A lesson that the provider took, with the revision and request that it left with."""
    from course.models import Request

    world.receive(slug, MONDAY)
    with world.database.writing() as session:
        revision = session.query(Revision).one()
        request = Request(revision_id=revision.id, size=1, sent_at=MONDAY)
        session.add(request)
        session.flush()
        row = session.query(Delivery).filter_by(message_key=slug).one()
        row.revision_id, row.request_id = revision.id, request.id


# Foreign forms ------------------------------------------------------------------------------------


WHENCE = [
    ({}, True),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),  # what our own pages send
    ({"Origin": "http://127.0.0.1:8000"}, True),
    ({"Origin": "null"}, True),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "http://127.0.0.1:8000.evil.example"}, False),
    ({"Origin": ""}, False),
]


def test_a_form_of_another_site_does_nothing(world: World) -> None:
    token = world.join()
    before = world.contents()
    for headers, allowed in WHENCE:
        answer = world.client.post(f"/manage/{token}/resume", headers=headers)
        assert answer.status_code == (303 if allowed else 403)
        if not allowed:
            assert "This can only be pressed on our own page." in answer.text
            assert world.contents() == before


def test_a_foreign_form_cannot_press_behind_a_link_either(world: World) -> None:
    link = ordered_link(world, world.join(), "erase")
    answer = world.client.post(link, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert person(world).email == "ada@example.org"


# Behind the short-lived links ---------------------------------------------------------------------


def newest_link(world: World, made_at: datetime | None = None) -> str:
    mail = [row for row in world.rows(Delivery) if row.kind == MessageKind.LINK][-1]
    return f"/link/{tokens.sign('link', mail.id, made_at or world.now, [SECRET])}"


def ordered_link(world: World, token: str, purpose: str) -> str:
    assert press(world, token, "link", purpose=purpose).status_code == 200
    link = newest_link(world)
    settle(world)
    return link


def settle(world: World) -> None:
    """The mails with links have left."""
    with world.database.writing() as session:
        for row in session.query(Delivery).filter_by(kind=MessageKind.LINK, state="pending"):
            row.state, row.settled_at = "accepted", world.now


WORDS = {
    "data": "A copy of your data",
    "erase": "Erase everything?",
    "name": "Change your name",
    "address": "Change your address",
}


@pytest.mark.parametrize("purpose", WORDS)
def test_looking_at_a_link_changes_nothing(world: World, purpose: str) -> None:
    link = ordered_link(world, world.join(), purpose)
    before = world.contents()
    answer = world.client.get(link)
    world.client.head(link)
    assert answer.status_code == 200
    assert WORDS[purpose] in answer.text
    assert answer.text.count("<button") == 1
    assert answer.headers["Cache-Control"] == "no-store"
    assert world.contents() == before


@pytest.mark.parametrize("purpose", WORDS)
def test_a_link_works_for_an_hour(world: World, purpose: str) -> None:
    link = ordered_link(world, world.join(), purpose)
    world.set_time(MONDAY + HOUR)
    assert world.client.get(link).status_code == 200
    world.set_time(MONDAY + HOUR + timedelta(seconds=1))
    before = world.contents()
    typed = {"name": "Eve", "email": "eve@example.org"}
    for answer in (world.client.get(link), world.client.post(link, data=typed)):
        assert answer.status_code == 410
        assert "This link does nothing any more" in answer.text
    assert world.contents() == before


def test_of_one_purpose_only_the_newest_works(world: World) -> None:
    token = world.join()
    old = ordered_link(world, token, "name")
    other = ordered_link(world, token, "data")
    new = ordered_link(world, token, "name")
    assert world.client.get(old).status_code == 410
    assert world.client.get(new).status_code == 200
    assert world.client.get(other).status_code == 200


def test_a_link_that_is_none_of_ours_is_a_404(world: World) -> None:
    token = world.join()
    ordered_link(world, token, "erase")
    lesson = world.rows(Delivery)[0].id
    older = MONDAY - timedelta(minutes=5)  # such as one from a database that was lost
    for link in (
        "/link/nothing",
        f"/link/{token}",
        f"/link/{tokens.sign('confirm', world.rows(Delivery)[-1].id, MONDAY, [SECRET])}",
        f"/link/{tokens.sign('link', world.rows(Delivery)[-1].id, MONDAY, ['another key'])}",
        f"/link/{tokens.sign('link', lesson, MONDAY, [SECRET])}",
        f"/link/{tokens.sign('link', 10**15, MONDAY, [SECRET])}",
        newest_link(world, made_at=older),
    ):
        for method in ("GET", "POST", "HEAD"):
            assert world.client.open(link, method=method).status_code == 404
    assert person(world).email == "ada@example.org"


def test_three_links_a_day_and_one_at_a_time(world: World) -> None:
    token = world.join()
    for _ in range(3):
        press(world, token, "link", purpose="data")
    mails = [row for row in world.rows(Delivery) if row.kind == MessageKind.LINK]
    assert len(mails) == 1  # it is still on its way
    settle(world)
    for purpose in ("name", "address"):
        ordered_link(world, token, purpose)
    answer = press(world, token, "link", purpose="erase")
    assert answer.status_code == 429
    assert "as many links to a…@example.org as we may within a day" in answer.text
    world.set_time(MONDAY + timedelta(days=1))
    assert press(world, token, "link", purpose="erase").status_code == 200


def test_a_wish_that_is_none_is_refused(world: World) -> None:
    token = world.join()
    for purpose in ("", "new-address", "everything"):
        assert press(world, token, "link", purpose=purpose).status_code == 400
    assert not [row for row in world.rows(Delivery) if row.kind == MessageKind.LINK]


@pytest.mark.parametrize(("reason", "status"), [("bounced", 409), ("unsubscribed", 200)])
def test_an_address_that_cannot_be_reached_is_told_so(
    world: World, reason: str, status: int
) -> None:
    token = world.join()
    bar(world, person(world).email_hash, reason)
    assert press(world, token, "link", purpose="data").status_code == status


def bar(world: World, hashed: str, reason: str) -> None:
    with world.database.writing() as session:
        session.add(Suppression(email_hash=hashed, reason=reason, source="test", created_at=MONDAY))


def test_all_that_we_hold_is_one_file(world: World) -> None:
    answer = world.client.post(ordered_link(world, world.join(), "data"))
    assert answer.mimetype == "application/json"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["person"]["email"] == "ada@example.org"
    assert answer.json["enrollments"][0]["course"] == COURSE


def test_in_it_are_the_words_that_they_agreed_to(world: World) -> None:
    answer = world.client.post(ordered_link(world, world.join(), "data"))
    (one,) = answer.json["enrollments"]
    words = {consent["act"]: consent["wording"] for consent in one["consents"]}
    assert words["confirmed"].startswith("By confirming you agree")
    assert "the 7 mails of “Take the Interview Anyway”" in words["confirmed"]


def test_erasing_asks_once_more_and_then_nothing_leads_back(world: World) -> None:
    token = world.join()
    link = ordered_link(world, token, "erase")
    answer = world.client.post(link)
    assert "What we held about a…@example.org is gone." in answer.text
    assert token not in answer.text
    assert "ada@example.org" not in str(world.contents())
    files = world.clock_file.parent.glob("minicourse.db*")
    assert not [file for file in files if b"ada@example.org" in file.read_bytes()]
    for path in (link, f"/manage/{token}", f"/unsubscribe/{token}"):
        assert world.client.get(path).status_code == 404
    assert world.client.post(link).status_code == 404


@pytest.mark.parametrize(
    ("given", "kept", "words"),
    [
        ("Grace", "Grace", "Our mails call you Grace from now on."),
        ("  Grace \n Hopper ", "Grace Hopper", "Our mails call you Grace Hopper"),
        ("<b>Eve</b>", "<b>Eve</b>", "&lt;b&gt;Eve&lt;/b&gt;"),
        ("", "", "by no name from now on"),
    ],
)
def test_a_name_is_changed(world: World, given: str, kept: str, words: str) -> None:
    answer = world.client.post(ordered_link(world, world.join(), "name"), data={"name": given})
    assert words in answer.text
    assert person(world).name == kept
    assert kept not in str([row.detail for row in world.rows(Audit)]) or not kept


# Another address ----------------------------------------------------------------------------------


def ask_new(world: World, token: str, email: str) -> TestResponse:
    return world.client.post(ordered_link(world, token, "address"), data={"email": email})


def test_an_address_changes_when_the_new_one_has_answered(world: World) -> None:
    token = world.join()
    answer = ask_new(world, token, "Ada@New.example")
    assert "If our mails can go to ada@new.example, one is on its way" in answer.text
    assert person(world).email == "ada@example.org"
    link = newest_link(world)
    looked = world.client.get(link)
    assert "a…@new.example" in looked.text
    assert token not in looked.text
    assert person(world).email == "ada@example.org"
    old_hash = person(world).email_hash
    assert "From now on your mails come to a…@new.example." in world.client.post(link).text
    found = person(world)
    assert (found.email, found.new_email) == ("ada@new.example", None)
    assert found.email_hash != old_hash
    assert world.client.get(f"/manage/{token}").status_code == 200
    assert world.client.post(link).status_code == 410


def test_the_old_address_is_kept_where_it_can_be_erased(world: World) -> None:
    token = world.join()
    ask_new(world, token, "ada@new.example")
    world.client.post(newest_link(world))
    lines = str([row.detail for row in world.rows(Audit)])
    assert "@" not in lines
    [detail] = list(world.contents()["personal_detail"])
    assert "ada@example.org" in detail


@pytest.mark.parametrize("known", ["mia@example.org", "gone@example.org"])
def test_who_is_known_here_is_told_to_nobody(world: World, known: str) -> None:
    from course.people import email_hash

    from .conftest import HASH_KEY

    world.join("mia@example.org")
    bar(world, email_hash("gone@example.org", HASH_KEY), "complained")
    token = world.join()
    free = ask_new(world, token, "nobody@example.org").text
    taken = ask_new(world, token, known).text
    assert taken == free.replace("nobody@example.org", known)
    mails = [row.message_key for row in world.rows(Delivery) if row.message_key.startswith("new")]
    assert len(mails) == 1


def test_an_address_that_was_taken_meanwhile_is_not_given_away(world: World) -> None:
    token = world.join()
    ask_new(world, token, "mia@example.org")
    link = newest_link(world)
    world.join("mia@example.org")
    assert world.client.post(link).status_code == 410
    assert {row.email for row in world.rows(Subscriber)} == {"ada@example.org", "mia@example.org"}


def test_the_link_to_one_address_does_not_confirm_another(world: World) -> None:
    token = world.join()
    ask_new(world, token, "first@example.org")
    first = newest_link(world)
    ask_new(world, token, "second@example.org")
    assert world.client.post(first).status_code == 410
    assert person(world).email == "ada@example.org"
    new = [row for row in world.rows(Delivery) if row.message_key.startswith("new-address")]
    assert [row.state for row in new] == ["accepted", "pending"]


def test_courses_that_were_left_stay_left_under_the_new_address(world: World) -> None:
    token = world.join()
    world.client.post(f"/unsubscribe/{token}", data={"scope": "all"})
    ask_new(world, token, "ada@new.example")
    world.client.post(newest_link(world))
    hashes = {row.email_hash for row in world.rows(Suppression)}
    assert person(world).email_hash in hashes


def test_links_to_the_old_address_end_with_the_change(world: World) -> None:
    token = world.join()
    data = ordered_link(world, token, "data")
    ask_new(world, token, "ada@new.example")
    world.set_time(MONDAY + timedelta(minutes=5))
    world.client.post(newest_link(world))
    assert world.client.post(data).status_code == 410


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "is not a complete e-mail address"),
        ("nonsense", "is not a complete e-mail address"),
        ("kïm@example.org", "We cannot send to “kïm@example.org”"),
        ("ada@example.org", "Your mails come to ada@example.org already."),
    ],
)
def test_no_address_that_is_none(world: World, given: str, words: str) -> None:
    answer = ask_new(world, world.join(), given)
    assert answer.status_code == 400
    assert words in answer.text
    assert person(world).new_email is None


def test_three_new_addresses_a_day(world: World) -> None:
    token = world.join()
    link = ordered_link(world, token, "address")
    for number in range(3):
        world.client.post(link, data={"email": f"new{number}@example.org"})
    answer = world.client.post(link, data={"email": "new3@example.org"})
    assert answer.status_code == 429
    assert person(world).new_email == "new2@example.org"
