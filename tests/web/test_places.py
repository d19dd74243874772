"""What a cohort's page says of its dates and places, and what becomes of who comes too late."""

from datetime import date, time, timedelta
from html import unescape

import pytest

from course.models import Delivery
from course.states import EnrollmentState

from .conftest import COURSE, MONDAY, World

NEXT_MONDAY = date(2030, 1, 14)


@pytest.fixture
def spring(world: World) -> World:
    """A group with one place, which begins in a week."""
    world.cohort(
        "spring", starts_on=NEXT_MONDAY, capacity=1, closes_on=date(2030, 1, 12), front=True
    )
    return world


def page(world: World, cohort: str = "spring") -> str:
    return unescape(world.client.get(f"/c/{COURSE}/{cohort}").text)


def test_the_page_names_date_places_and_the_last_day(spring: World) -> None:
    text = page(spring)
    assert "We begin together on Monday, 14 January" in text
    assert "One place left" in text
    assert "You can sign up until Saturday, 12 January" in text


def test_the_page_tells_the_cohorts_own_hour_and_days(world: World) -> None:
    world.cohort("evenings", hour=time(18), weekdays="mon,thu")
    text = page(world, "evenings")
    assert "Monday and Thursday at 18:00, on your clock" in text
    assert "Your mails come at 18:00 on this clock." in text


@pytest.mark.parametrize("other", [False, True])
def test_a_full_group_has_no_form_and_leads_to_the_next(spring: World, other: bool) -> None:
    if other:
        spring.cohort("summer", starts_on=date(2030, 6, 3))
    assert spring.sign_up().status_code == 202
    text = page(spring)
    assert "All places are taken" in text
    assert "<form" not in text
    assert ("The next group begins on Monday, 3 June." in text) is other
    assert (f'href="/c/{COURSE}/summer"' in text) is other


def test_a_form_that_was_open_when_it_was_shown_is_answered_with_why(spring: World) -> None:
    spring.sign_up()
    answer = spring.sign_up("kim@example.org")
    assert answer.status_code == 409
    assert "All places are taken" in answer.text
    assert spring.sign_up_by_script({"email": "k@example.org"}).json


def test_after_the_last_day_the_form_is_gone(spring: World) -> None:
    spring.set_time(MONDAY + timedelta(days=6))
    text = page(spring)
    assert "One could sign up for this group of “Take the Interview Anyway” until Saturday" in text
    assert "<form" not in text


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("join", "Your own first mail comes after you confirm"),
        ("catch-up", "What you missed comes one by one"),
    ],
)
def test_after_the_start_the_page_says_what_latecomers_get(
    world: World, rule: str, told: str
) -> None:
    world.cohort("winter", starts_on=date(2030, 1, 7), latecomers=rule)
    assert told in page(world, "winter")


def test_where_latecomers_go_to_the_next_group_the_form_is_that_of_the_next(world: World) -> None:
    world.cohort("winter", starts_on=date(2030, 1, 7), latecomers="next")
    text = page(world, "winter")
    assert "This group has begun" in text
    assert "<form" not in text
    world.cohort("spring", starts_on=NEXT_MONDAY)
    text = page(world, "winter")
    assert "The group of Monday, 7 January has begun." in text
    assert 'name="cohort" value="spring"' in text
    world.sign_up(cohort="winter")
    assert world.enrollment().form_zone == "Europe/Berlin"
    with world.database.reading() as session:
        session.add(found := world.enrollment())
        assert found.cohort.name == "spring"


def test_a_place_is_kept_where_the_first_day_is_still_to_come(spring: World) -> None:
    spring.sign_up()
    text = unescape(spring.client.get(spring.confirm_link()).text)
    assert "Keep your place in “Take the Interview Anyway”?" in text
    assert "Yes, keep my place" in text
    assert "We begin on" in text


def test_confirming_when_it_is_full_says_so_and_keeps_the_link(spring: World) -> None:
    spring.sign_up()
    link = spring.confirm_link()
    spring.set_front(capacity=2)
    spring.sign_up("kim@example.org")
    spring.set_front(capacity=1)
    assert "You are in" in spring.client.post(spring.confirm_link("kim@example.org")).text
    for answer in (spring.client.get(link), spring.client.post(link)):
        assert "All places are taken" in answer.text
        assert "<form" not in answer.text
    assert spring.enrollment().state == EnrollmentState.PENDING
    spring.set_front(capacity=2)
    assert "Your place in" in spring.client.post(link).text
    assert spring.enrollment().state == EnrollmentState.ACTIVE


def test_confirming_when_it_is_full_leads_into_the_next_group(spring: World) -> None:
    spring.sign_up()
    spring.set_front(capacity=0)
    spring.cohort("summer", starts_on=date(2030, 6, 3))
    asked = unescape(spring.client.get(spring.confirm_link()).text)
    assert "This group of “Take the Interview Anyway” is full." in asked
    done = spring.client.post(spring.confirm_link()).text
    assert "Your place is in the next group, which begins on Monday, 3 June." in done
    assert "Monday, 3 June, 09:00" in done
    assert [row.message_key for row in spring.rows(Delivery)][-2:] == ["joined", "reminder"]
