"""The preview's pages over a real course folder."""

import os
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from course import rendering
from course.checking.looks import CLIPPED_BYTES
from course.preview.app import create_app
from course.preview.desk import LESSON, Desk
from course.rendering import Site
from course.samples import PEOPLE, Sample, sample
from tests.world import make_home

WELCOME = "01-welcome.md"

Edit = Callable[[str, str, str], None]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@pytest.fixture
def desk(home: Path) -> Desk:
    return Desk(home / "lessons" / "job-search", home, Site(), "lessons/job-search/")


@pytest.fixture
def client(desk: Desk) -> FlaskClient:
    return create_app(desk, PEOPLE).test_client()


@pytest.fixture
def edit(home: Path) -> Edit:
    """The author changes a file and saves it; an instant later than before, as in life."""

    def edit(file: str, old: str, new: str) -> None:
        path = home / "lessons" / "job-search" / file
        text = path.read_text()
        assert old in text
        before = path.stat().st_mtime_ns
        path.write_text(text.replace(old, new))
        os.utime(path, ns=(before + 1, before + 1))

    return edit


def page(client: FlaskClient, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.text


def frames(html: str) -> list[str]:
    """What stands in the frames, as a browser reads it."""
    return [unescape(found) for found in re.findall(r'srcdoc="([^"]*)"', html)]


def test_the_first_lesson_comes_first(client: FlaskClient) -> None:
    assert client.get("/").location == "/lesson/welcome"


def test_every_mail_of_the_course_is_listed_with_its_size(client: FlaskClient) -> None:
    html = page(client, "/lesson/welcome")
    listed = re.findall(r'<li><a href="/(lesson|system)/([^"?]+)"', html)
    assert [slug for kind, slug in listed if kind == LESSON] == (
        "welcome network market practice plan-b leverage decision".split()
    )
    assert [slug for kind, slug in listed if kind != LESSON] == list(rendering.SYSTEM_LAYOUTS)
    assert len(re.findall(r"[\d.]+ KB</span></span>", html)) == len(listed)
    for kind, slug in listed:
        assert frames(page(client, f"/{kind}/{slug}"))


@pytest.mark.parametrize("one", PEOPLE, ids=lambda one: one.key)
def test_both_frames_hold_the_mail_but_for_where_links_open(
    one: Sample, desk: Desk, client: FlaskClient
) -> None:
    _, sheets = desk.sheets(one.person)
    mail = sheets[0].mail
    assert mail
    sent = mail.html.replace("<head>", '<head><base target="_blank">')
    assert frames(page(client, f"/lesson/welcome?as={one.key}")) == [sent, sent]
    text = page(client, f"/lesson/welcome?as={one.key}&part=text")
    assert mail.text in unescape(text)
    source = page(client, f"/lesson/welcome?as={one.key}&part=source")
    assert mail.html in unescape(source)


@pytest.mark.parametrize("part", ["mail", "text", "source"])
def test_a_script_as_a_name_is_text_everywhere(part: str, client: FlaskClient) -> None:
    html = page(client, f"/lesson/welcome?as=script&part={part}")
    assert "<script>alert" not in html
    assert not any("<script" in frame for frame in frames(html))
    assert "alert" in html


def test_a_frame_runs_no_script_and_sends_no_form(client: FlaskClient) -> None:
    answer = client.get("/lesson/welcome")
    rights = re.findall(r'sandbox="([^"]*)"', answer.text)
    assert len(rights) == 2
    for words in rights:
        assert not {"allow-scripts", "allow-forms", "allow-top-navigation"} & set(words.split())
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_light_and_dark_are_the_frames_own_colour_scheme(client: FlaskClient) -> None:
    assert page(client, "/lesson/welcome").count('<iframe class="light"') == 2
    assert page(client, "/lesson/welcome?look=dark").count('<iframe class="dark"') == 2
    assert page(client, "/lesson/welcome?look=purple").count('<iframe class="light"') == 2


def test_links_keep_what_was_chosen(client: FlaskClient) -> None:
    html = unescape(page(client, "/lesson/welcome?as=rtl&look=dark"))
    assert 'href="/lesson/network?as=rtl&look=dark"' in html
    assert 'href="/lesson/welcome?as=rtl&look=dark&part=text"' in html
    assert 'href="/lesson/welcome?look=dark"' in html  # as the first reader


def test_the_preheader_is_shown_without_what_fills_it(desk: Desk) -> None:
    _, sheets = desk.sheets(sample("kim").person)
    assert sheets[0].preheader == (
        "The dilemma, the one good reason to decline, and a note to write today."
    )


def test_a_mail_that_gmail_would_cut_off_says_so(client: FlaskClient, edit: Edit) -> None:
    assert "Gmail cuts a mail off at 102 KB" in page(client, "/lesson/welcome")
    edit(WELCOME, "The one exception", "word " * (CLIPPED_BYTES // 5))
    assert "Gmail cuts this mail off at 102 KB" in page(client, "/lesson/welcome")
    assert "Gmail cuts a mail off at 102 KB" in page(client, "/lesson/network")


def test_a_save_makes_another_stamp_and_another_mail(client: FlaskClient, edit: Edit) -> None:
    before = client.get("/stamp").text
    assert client.get("/stamp").text == before
    edit(WELCOME, "The one exception", "The only exception")
    assert client.get("/stamp").text != before
    assert "The only exception" in frames(page(client, "/lesson/welcome"))[0]


def test_the_page_knows_the_stamp_of_what_it_shows(client: FlaskClient, edit: Edit) -> None:
    edit(WELCOME, "The one exception", "The only exception")
    html = page(client, "/lesson/welcome")
    assert f'data-stamp="{client.get("/stamp").text}"' in html


def test_a_home_s_own_layout_is_followed_too(home: Path, client: FlaskClient, desk: Desk) -> None:
    before = desk.stamp()
    folder = home / "templates" / "email"
    folder.mkdir(parents=True)
    (folder / "lesson.txt.j2").write_text("Mine alone.\n{{ body }}\n")
    assert desk.stamp() != before
    assert "Mine alone." in page(client, "/lesson/welcome?part=text")


# What is wrong ------------------------------------------------------------------------------------


def test_an_error_in_a_lesson_shows_file_line_and_the_line(client: FlaskClient, edit: Edit) -> None:
    edit(WELCOME, "You have a job.", "You have a {{ jobb }}.")
    html = unescape(page(client, "/lesson/welcome"))
    assert "lessons/job-search/01-welcome.md:9" in html
    assert "'jobb' is not defined" in html
    at_fault = re.search(r'class="at-fault"><span>9</span><code[^>]*>(.*?)</code>', html)
    assert at_fault
    assert at_fault[1].startswith("You have a {{ jobb }}.")
    assert frames(page(client, "/lesson/network")), "the other lessons are shown as ever"


def test_an_error_in_a_layout_shows_the_layout(home: Path, client: FlaskClient) -> None:
    folder = home / "templates" / "email"
    folder.mkdir(parents=True)
    (folder / "lesson.html.j2").write_text("<html>\n{{ body }}\n{{ bodyy }}\n</html>\n")
    html = unescape(page(client, "/lesson/welcome"))
    assert "templates/email/lesson.html.j2:3" in html
    assert re.search(r'class="at-fault"><span>3</span><code[^>]*>{{ bodyy }}</code>', html)


@pytest.mark.parametrize(
    ("file", "old", "new", "place"),
    [
        (WELCOME, "subject:", "topic:", "lessons/job-search/01-welcome.md:2"),
        ("course.toml", "title =", "titel =", "lessons/job-search/course.toml:"),
    ],
)
def test_a_course_that_cannot_be_read_still_lists_its_lessons(
    file: str, old: str, new: str, place: str, client: FlaskClient, edit: Edit
) -> None:
    edit(file, old, new)
    html = unescape(page(client, "/lesson/network"))
    assert place in html
    assert "at-fault" in html
    assert 'href="/lesson/decision"' in html


def test_what_one_reader_s_values_break_is_shown_for_that_reader(
    client: FlaskClient, edit: Edit
) -> None:
    edit(WELCOME, "You have a job.", "{{ name.split()[0] }}, you have a job.")
    assert frames(page(client, "/lesson/welcome?as=kim"))
    html = unescape(page(client, "/lesson/welcome?as=nameless"))
    assert "lessons/job-search/01-welcome.md:9" in html
    assert not frames(html)


def test_a_mended_file_brings_the_page_back(client: FlaskClient, edit: Edit) -> None:
    edit(WELCOME, "subject:", "topic:")
    assert not frames(page(client, "/lesson/welcome"))
    edit(WELCOME, "topic:", "subject:")
    assert frames(page(client, "/lesson/welcome"))


def test_a_lesson_that_went_away_is_told_beside_those_that_there_are(
    home: Path, client: FlaskClient
) -> None:
    (home / "lessons/job-search/05-plan-b.md").unlink()
    answer = client.get("/lesson/plan-b")
    assert answer.status_code == 404
    assert "There is no lesson 'plan-b'" in unescape(answer.text)
    assert 'href="/lesson/leverage"' in answer.text


def test_a_folder_that_went_away_is_told(home: Path, client: FlaskClient) -> None:
    (home / "lessons/job-search").rename(home / "lessons/job-hunt")
    assert "No course 'job-search'" in unescape(client.get("/lesson/welcome").text)


def test_bytes_that_are_no_text_are_told(home: Path, client: FlaskClient) -> None:
    (home / "lessons/job-search" / WELCOME).write_bytes(b"\xff\xfe")
    assert "cannot be read" in client.get("/lesson/welcome").text


# Strangers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        {"headers": {"Host": "evil.example.com"}},
        {"headers": {"X-Forwarded-For": "203.0.113.7"}},
        {"environ_base": {"REMOTE_ADDR": "203.0.113.7"}},
    ],
)
def test_nobody_else_gets_an_answer(client: FlaskClient, request_: dict[str, object]) -> None:
    assert client.get("/lesson/welcome", **request_).status_code == 403  # type: ignore[arg-type]
