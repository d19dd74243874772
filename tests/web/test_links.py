"""The links of the mails: looking changes nothing, one press acts, a second one is harmless."""

from datetime import date, timedelta
from html import unescape

import pytest

from course.models import Consent, Delivery, Enrollment, Subscriber, Suppression
from course.states import CohortState, EnrollmentState

from .conftest import COURSE, MONDAY, World

WEEK = timedelta(days=7)


# Confirming ---------------------------------------------------------------------------------------


def test_looking_at_a_confirmation_link_changes_nothing(world: World) -> None:
    world.sign_up()
    before = world.contents()
    answer = world.client.get(world.confirm_link())
    world.client.head(world.confirm_link())
    assert answer.status_code == 200
    assert "Start “Take the Interview Anyway”?" in answer.text
    assert answer.text.count("<button") == 1
    assert world.contents() == before


def test_pressing_its_button_begins_the_course_and_shows_the_plan(world: World) -> None:
    world.sign_up(zone="America/New_York")
    answer = world.client.post(world.confirm_link())
    assert answer.status_code == 200
    assert "You are in" in answer.text
    assert "The first mail is on its way to a…@example.org." in answer.text
    assert "Tuesday, 8 January, 09:00" in answer.text
    assert "Mail 2 of 7, on your clock (America/New York)." in answer.text
    found = world.enrollment()
    assert (found.state, found.confirmed_at) == (EnrollmentState.ACTIVE, MONDAY)
    assert world.rows(Subscriber)[0].zone == "America/New_York"


def test_the_plan_is_on_the_persons_own_clock(world: World) -> None:
    # At 22:00 UTC it is Tuesday in Tokyo already, so the second mail comes on Wednesday there.
    world.set_time(MONDAY.replace(hour=22))
    world.sign_up(zone="Asia/Tokyo")
    assert "Wednesday, 9 January, 09:00" in world.client.post(world.confirm_link()).text


def test_the_words_that_were_agreed_to_are_kept_without_the_secret(world: World) -> None:
    world.sign_up()
    link = world.confirm_link()
    world.client.post(link)
    confirmed = world.rows(Consent)[-1]
    assert (confirmed.act, confirmed.source) == ("confirmed", "/confirm")
    assert confirmed.wording_version == "1"
    assert link.removeprefix("/confirm/") not in str(world.contents())


def test_a_used_link_shows_the_plan_again_and_changes_nothing(world: World) -> None:
    world.join()
    before = world.contents()
    for answer in (world.client.get(world.confirm_link()), world.client.post(world.confirm_link())):
        assert answer.status_code == 200
        assert "You are in already" in answer.text
    assert world.contents() == before


def test_a_fixed_start_says_when_the_first_mail_comes(world: World) -> None:
    world.cohort("spring", starts_on=date(2030, 3, 4))
    world.sign_up(cohort="spring")
    text = world.client.post(world.confirm_link()).text
    assert "Your place in “Take the Interview Anyway” is safe." in text
    assert "Monday, 4 March, 09:00" in text
    assert "Mail 1 of 7" in text
    assert "on its way" not in text


def test_an_old_link_offers_a_fresh_one(world: World) -> None:
    world.sign_up()
    link = world.confirm_link()
    world.set_time(MONDAY + WEEK + timedelta(seconds=1))
    for answer in (world.client.get(link), world.client.post(link)):
        assert "This link is too old" in answer.text
        assert f'action="{link}/again"' in answer.text
    assert world.enrollment().state == EnrollmentState.PENDING
    again = world.client.post(f"{link}/again")
    assert "A fresh link is on its way" in again.text
    assert [row.message_key for row in world.rows(Delivery)] == ["confirm-1", "confirm-2"]


def test_a_link_works_to_the_end_of_its_seventh_day(world: World) -> None:
    world.sign_up()
    link = world.confirm_link()
    world.set_time(MONDAY + WEEK)
    assert "You are in" in world.client.post(link).text


def test_asking_twice_for_a_fresh_link_sends_one_mail(world: World) -> None:
    world.sign_up()
    link = world.confirm_link()
    world.set_time(MONDAY + 2 * WEEK)
    world.client.post(f"{link}/again")
    answer = world.client.post(f"{link}/again")
    assert "Look for our newest mail" in answer.text
    assert len(world.rows(Delivery)) == 2


def test_asking_for_a_fresh_link_after_confirming_shows_the_plan(world: World) -> None:
    world.join()
    before = world.contents()
    assert "You are in already" in world.client.post(f"{world.confirm_link()}/again").text
    assert world.contents() == before


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("cancelled", "You have left the course since."),
        ("completed", "You have had the whole course since."),
    ],
)
def test_a_link_whose_course_is_over_leads_to_the_form(
    world: World, state: str, words: str
) -> None:
    world.join()
    world.set_state(state)
    for answer in (world.client.get(world.confirm_link()), world.client.post(world.confirm_link())):
        assert words in answer.text
        assert f'class="button" href="/c/{COURSE}"' in answer.text
    assert world.enrollment().state == state


# Leaving ------------------------------------------------------------------------------------------


def test_looking_at_the_unsubscribe_link_changes_nothing(world: World) -> None:
    token = world.join()
    before = world.contents()
    answer = world.client.get(f"/unsubscribe/{token}")
    world.client.head(f"/unsubscribe/{token}")
    assert "Leave “Take the Interview Anyway”?" in answer.text
    assert 'value="course">Leave this course' in answer.text
    assert 'value="all">Leave everything' in answer.text
    assert world.contents() == before


def test_leaving_stops_this_course_and_offers_undo(world: World) -> None:
    token = world.join()
    answer = world.client.post(f"/unsubscribe/{token}", data={"scope": "course"})
    assert answer.status_code == 200
    assert "No more mails of “Take the Interview Anyway” go to a…@example.org." in answer.text
    assert f'action="/unsubscribe/{token}/undo"' in answer.text
    found = world.enrollment()
    assert (found.state, found.reason) == (EnrollmentState.CANCELLED, "unsubscribed")
    [suppression] = world.rows(Suppression)
    assert suppression.course_id == found.course_id
    assert world.rows(Consent)[-1].act == "withdrawn"


def test_the_link_of_an_old_mail_works_after_coming_back(world: World) -> None:
    old = world.join()
    world.client.post(f"/unsubscribe/{old}")
    new = world.join()
    assert old != new
    assert "Leave this course" in world.client.get(f"/unsubscribe/{old}").text
    assert "You have left" in world.client.post(f"/unsubscribe/{old}").text
    assert world.enrollment().state == EnrollmentState.CANCELLED
    assert "Welcome back" in world.client.post(f"/unsubscribe/{old}/undo").text
    assert [row.state for row in world.rows(Enrollment)] == ["cancelled", "active"]


def test_leaving_everything_is_for_all_courses_and_names_what_was_stopped(world: World) -> None:
    answer = world.client.post(f"/unsubscribe/{world.join()}", data={"scope": "all"})
    assert "No more mail from us goes to a…@example.org." in answer.text
    assert "<li>Take the Interview Anyway</li>" in answer.text
    assert [row.course_id for row in world.rows(Suppression)] == [None]


def test_leaving_twice_says_honestly_that_nothing_was_left_to_stop(world: World) -> None:
    token = world.join()
    world.client.post(f"/unsubscribe/{token}")
    answer = world.client.post(f"/unsubscribe/{token}")
    assert answer.status_code == 200
    assert "Nothing was left to stop" in answer.text


def test_undo_takes_a_leaving_back_for_a_week(world: World) -> None:
    token = world.join()
    world.client.post(f"/unsubscribe/{token}")
    world.set_time(MONDAY + WEEK)
    answer = world.client.post(f"/unsubscribe/{token}/undo")
    assert "Welcome back" in answer.text
    assert world.enrollment().state == EnrollmentState.ACTIVE
    assert not world.rows(Suppression)
    assert "Welcome back" in world.client.post(f"/unsubscribe/{token}/undo").text


def test_undo_after_a_week_is_too_late(world: World) -> None:
    token = world.join()
    world.client.post(f"/unsubscribe/{token}")
    world.set_time(MONDAY + WEEK + timedelta(seconds=1))
    assert "undo" not in world.client.get(f"/unsubscribe/{token}").text
    answer = world.client.post(f"/unsubscribe/{token}/undo")
    assert "That cannot be undone" in answer.text
    assert world.enrollment().state == EnrollmentState.CANCELLED


def test_who_never_confirmed_can_refuse_further_mail_and_there_is_nothing_to_undo(
    world: World,
) -> None:
    world.sign_up()
    token = world.enrollment().token
    assert "You have not confirmed." in world.client.get(f"/unsubscribe/{token}").text
    answer = world.client.post(f"/unsubscribe/{token}")
    assert "You have left" in answer.text
    assert "/undo" not in answer.text
    assert [row.state for row in world.rows(Delivery)] == ["cancelled"]


def test_after_the_last_mail_there_is_nothing_to_stop(world: World) -> None:
    token = world.join()
    world.set_state("completed")
    assert "no mail is left to stop" in world.client.get(f"/unsubscribe/{token}").text
    assert "Nothing was left to stop" in world.client.post(f"/unsubscribe/{token}").text


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data"])
@pytest.mark.parametrize("state", ["pending", "active", "paused", "completed", "cancelled"])
def test_one_click_leaves_at_once_and_may_be_repeated(world: World, kind: str, state: str) -> None:
    if state == "pending":
        world.sign_up()
    else:
        world.join()
        world.set_state(state)
    token = world.enrollment().token
    for _ in range(2):
        answer = world.client.post(
            f"/unsubscribe/{token}", data={"List-Unsubscribe": "One-Click"}, content_type=kind
        )
        assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    stays = state if state == "completed" else "cancelled"
    assert world.enrollment().state == stays
    assert len(world.rows(Suppression)) == 1


def test_one_click_leaves_the_course_and_nothing_else(world: World) -> None:
    body = {"List-Unsubscribe": "One-Click", "scope": "all"}
    world.client.post(f"/unsubscribe/{world.join()}", data=body)
    assert world.rows(Suppression)[0].course_id is not None


# The learner's own page ---------------------------------------------------------------------------


def test_the_own_page_shows_progress_and_what_comes_next(world: World) -> None:
    token = world.join()
    world.receive("welcome", MONDAY)
    world.receive("network", MONDAY.replace(day=8, hour=8))
    world.set_time(MONDAY.replace(day=8, hour=12))
    text = world.client.get(f"/manage/{token}").text
    assert "2 of 7 mails received" in text
    assert "For a…@example.org" in text
    assert "ada@example.org" not in text
    assert "Wednesday, 9 January, 09:00" in text
    assert "Mail 3 of 7" in text
    assert f'href="/unsubscribe/{token}"' in text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("pending", "Not confirmed yet"),
        ("paused", "The course is having a break."),
        ("completed", "You have received all 7 mails."),
        ("cancelled", "You have left this course."),
    ],
)
def test_the_own_page_knows_every_state(world: World, state: str, words: str) -> None:
    token = world.join()
    world.set_state(state)
    assert words in world.client.get(f"/manage/{token}").text


def test_the_own_page_of_a_paused_cohort_says_that_nothing_is_lost(world: World) -> None:
    token = world.join()
    world.set_front(state=CohortState.PAUSED)
    assert "The course is having a break." in world.client.get(f"/manage/{token}").text


def test_looking_at_the_own_page_changes_nothing(world: World) -> None:
    token = world.join()
    before = world.contents()
    world.client.get(f"/manage/{token}")
    world.client.head(f"/manage/{token}")
    assert world.contents() == before


# Secrets ------------------------------------------------------------------------------------------

FOREIGN = ["x", "nobody-has-this-token", "%00", "a" * 5000, "ünïcode", "WzEsMV0.AAAA", "a%2Fb"]


@pytest.mark.parametrize("token", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize("page", ["confirm", "unsubscribe"])
def test_a_foreign_or_broken_link_is_a_404(
    world: World, page: str, method: str, token: str
) -> None:
    world.join()
    before = world.contents()
    assert world.client.open(f"/{page}/{token}", method=method).status_code == 404
    assert world.client.get(f"/manage/{token}").status_code == 404
    assert world.contents() == before


def test_a_broken_link_says_what_may_have_happened(world: World) -> None:
    text = unescape(world.client.get("/confirm/half-of-a-link").text)
    assert "Mail programs sometimes cut a long link in two." in text
    assert 'href="/"' in text


def test_the_links_of_mails_are_no_confirmations_and_the_other_way_round(world: World) -> None:
    token = world.join()
    signed = world.confirm_link().removeprefix("/confirm/")
    assert world.client.get(f"/confirm/{token}").status_code == 404
    assert world.client.get(f"/manage/{signed}").status_code == 404


def test_pages_with_a_secret_are_stored_nowhere_and_found_by_nobody(world: World) -> None:
    token = world.join()
    for path in (world.confirm_link(), f"/manage/{token}", f"/unsubscribe/{token}", "/manage/none"):
        answer = world.client.get(path)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "noindex" in answer.headers["X-Robots-Tag"]


def test_get_and_head_change_nothing_anywhere(world: World) -> None:
    token = world.join()
    world.sign_up("mia@example.org")
    before = world.contents()
    rules = world.client.application.url_map.iter_rules()
    values = {"slug": COURSE, "cohort": "evergreen", "filename": "pages.css", "token": token}
    paths = [world.confirm_link("mia@example.org")]
    for rule in rules:
        path = rule.rule.replace("path:", "")
        for name, value in values.items():
            path = path.replace(f"<{name}>", value)
        paths.append(path)
    for path in paths:
        for method in ("GET", "HEAD", "OPTIONS"):
            with world.client.open(path, method=method) as answer:
                assert answer.status_code < 500
    assert len(paths) > 12
    assert world.contents() == before
    assert not [row for row in world.rows(Enrollment) if row.id > 2]


def test_who_has_received_all_is_offered_to_leave_everything_alone(world: World) -> None:
    token = world.join()
    world.set_state("completed")
    text = world.client.get(f"/unsubscribe/{token}").text
    assert "Leave this course" not in text
    assert text.count("Leave everything</button>") == 1
    assert "no mail is left to stop" in text
