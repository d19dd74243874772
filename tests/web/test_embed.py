"""The form inside another site's page: framed there, and there alone; however old."""

from datetime import timedelta

import pytest

from course.models import Cohort
from course.states import CohortState
from course.web.headers import CONTENT_SECURITY_POLICY

from .conftest import COURSE, MONDAY, World, form_of

EMBED = f"/c/{COURSE}/embed"


def test_any_site_may_frame_it(world: World) -> None:
    policy = world.client.get(EMBED).headers["Content-Security-Policy"]
    assert "frame-ancestors *" in policy
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy


@pytest.mark.parametrize("path", ["/", f"/c/{COURSE}", f"/c/{COURSE}/evergreen", "/c/nope/embed"])
def test_no_site_may_frame_another_page(path: str, world: World) -> None:
    headers = world.client.get(path).headers
    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "frame-ancestors 'none'" in CONTENT_SECURITY_POLICY


def test_a_persons_own_page_may_not_be_framed(world: World) -> None:
    path = f"/manage/{world.join()}"
    assert world.client.get(path).headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY


def test_its_answer_opens_in_the_whole_window(world: World) -> None:
    assert 'target="_top"' in world.client.get(EMBED).text
    assert "target=" not in world.client.get(f"/c/{COURSE}").text


def test_it_is_the_form_alone(world: World) -> None:
    text = world.client.get(EMBED).text
    assert 'class="masthead"' not in text
    assert "What you get:" not in text
    assert '<label for="email">' in text
    assert '<option value="Europe/Berlin" selected>Berlin' in text


def test_a_page_that_was_kept_for_a_week_still_signs_up(world: World) -> None:
    """There is no cohort's name in it and no cookie; a token that ran out costs one more press."""
    answer = world.client.get(EMBED)
    assert "Set-Cookie" not in answer.headers
    action, hidden = form_of(answer.text)
    assert hidden.keys() == {"cohort", "wording", "token"}
    assert hidden["cohort"] == ""
    hidden["token"] = world.form_token(age=timedelta(days=7))
    before = world.rows(Cohort)[0].id
    world.set_front(state=CohortState.CLOSED, is_front=False)
    world.cohort("summer", front=True)
    world.set_time(MONDAY + timedelta(days=7))
    form = {"email": "ada@example.org", "name": "Ada", "zone": "Europe/Berlin"}
    answer = world.client.post(action, data=hidden | form)
    assert answer.status_code == 200
    assert world.press(answer).status_code == 202
    assert world.enrollment().cohort_id != before


def test_the_same_page_of_any_day_differs_in_its_token_alone(world: World) -> None:
    def shown() -> str:
        text = world.client.get(EMBED).text
        return text.replace(form_of(text)[1]["token"], "")

    first = shown()
    world.set_time(MONDAY + timedelta(days=7))
    assert shown() == first


def test_a_closed_course_says_so_in_the_frame(world: World) -> None:
    world.set_front(state=CohortState.CLOSED)
    answer = world.client.get(EMBED)
    assert "Nobody can join" in answer.text
    assert "<form" not in answer.text
    assert "frame-ancestors *" in answer.headers["Content-Security-Policy"]
