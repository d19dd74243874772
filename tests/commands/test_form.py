"""`minicourse course form`: what it prints works when it is pasted, today and in a week."""

import json
import re
from html.parser import HTMLParser

import pytest
from sqlalchemy import select

from course.clock import Clock
from course.models import Enrollment
from course.web.app import create_app
from tests.commands.conftest import Minicourse, edit
from tests.web.conftest import form_of
from tests.world import World

KINDS = ("snippet", "iframe", "link", "wordpress")
FIELDS = """
[fields.role]
type = "choice"
choices = ["lead", "maker"]
ask = "What do you <do>?"

[fields.years]
type = "number"
ask = "For how many years?"

[fields.remote]
type = "yes-no"
ask = "From home?"

[fields.source]
type = "text"
"""


class Tags(HTMLParser):
    """The tags of a piece of HTML, and whether each one that must be is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.fields: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.fields += [value for name, value in attrs if name == "name" and value]
        if tag not in ("input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def asking(world: World, minicourse: Minicourse) -> World:
    """The course asks for three fields, and knows a fourth that it does not ask for."""
    file = world.settings.home / "lessons" / "job-search" / "course.toml"
    file.write_text(file.read_text() + FIELDS)
    assert minicourse("course", "apply", "job-search").status == 0
    return world


def snippet(minicourse: Minicourse) -> str:
    answer = minicourse("course", "form", "job-search", "--snippet")
    assert answer.status == 0
    return answer.out


def test_the_html_has_no_script_no_style_and_no_id_of_its_own(minicourse: Minicourse) -> None:
    html = snippet(minicourse)
    tags = Tags(html)
    assert not tags.open
    assert not {"script", "style", "link", "img"} & set(tags.names)
    assert not re.search(r" (id|class|style|on\w+)=", html)
    assert tags.fields == ["wording", "email", "name"]


def test_it_asks_for_the_fields_of_the_course_and_no_others(
    asking: World, minicourse: Minicourse
) -> None:
    html = snippet(minicourse)
    asked = ["email", "name", "field-role", "field-years", "field-remote"]
    assert Tags(html).fields == ["wording", *asked]
    assert "What do you &lt;do&gt;? (optional)" in html
    assert '<option value="maker">maker</option>' in html
    assert '<option value="yes">Yes</option>' in html


def test_what_is_typed_into_the_pasted_form_arrives(asking: World, minicourse: Minicourse) -> None:
    """A week after it was printed and pasted."""
    html = snippet(minicourse)
    asking.pass_time(days=7)
    (action,) = re.findall(r'action="([^"]+)"', html)
    path = action.removeprefix(asking.settings.public_url)
    typed = ["0" * 64, "ann@example.com", "Ann", "maker", "7", "yes"]
    form = dict(zip(Tags(html).fields, typed, strict=True))
    clock = Clock(asking.settings.home / "clock")
    client = create_app(asking.settings, asking.database, clock).test_client()
    asked = client.post(path, data=form)
    assert asked.status_code == 200
    assert client.post(path, data=form_of(asked.text)[1]).status_code == 202, "one press more"
    with asking.database.reading() as session:
        (kept,) = session.scalars(select(Enrollment.fields))
    assert json.loads(kept) == {"role": "maker", "years": 7, "remote": True}


def test_the_words_agreed_to_stand_below_the_button(minicourse: Minicourse) -> None:
    assert "<small>By signing up you agree that Take the Interview sends" in snippet(minicourse)


def test_the_frame_shows_the_page_that_may_be_framed(world: World, minicourse: Minicourse) -> None:
    html = minicourse("course", "form", "job-search", "--iframe").out
    assert f'src="{world.settings.public_url}/c/job-search/embed"' in html
    assert 'title="Take the Interview Anyway"' in html
    assert not Tags(html).open


def test_a_frame_for_more_fields_is_higher(minicourse: Minicourse, world: World) -> None:
    def height() -> int:
        html = minicourse("course", "form", "job-search", "--iframe").out
        return int(re.findall(r'height="(\d+)"', html)[0])

    before = height()
    edit(world, "course.toml", "[schedule]", f"{FIELDS}\n[schedule]")
    minicourse("course", "apply", "job-search")
    assert height() == before + 3 * 110


def test_the_link_names_the_course(minicourse: Minicourse) -> None:
    out = minicourse("course", "form", "job-search", "--link").out
    assert out == '<a href="http://127.0.0.1:8000/c/job-search">Take the Interview Anyway</a>\n'


def test_wordpress_gets_a_block_of_html(minicourse: Minicourse) -> None:
    answer = minicourse("course", "form", "job-search", "--wordpress")
    assert answer.out.startswith("<!-- wp:html -->\n<form ")
    assert answer.out.endswith("</form>\n<!-- /wp:html -->\n")
    assert "Custom HTML" in answer.err


def test_without_an_option_all_four_stand_under_headings(minicourse: Minicourse) -> None:
    whole = minicourse("course", "form", "job-search").out
    for kind in KINDS:
        assert minicourse("course", "form", "job-search", f"--{kind}").out.strip() in whole
    assert whole.count("\n---") == len(KINDS)


def test_two_forms_at_once_are_a_mistake_in_the_words(minicourse: Minicourse) -> None:
    answer = minicourse("course", "form", "job-search", "--snippet", "--link")
    assert (answer.status, answer.out) == (2, "")
    assert "--snippet and --link: give one of them" in answer.err


def test_whoever_pastes_too_early_is_told(minicourse: Minicourse) -> None:
    assert "on this machine alone" in minicourse("course", "form", "job-search", "--link").err


def test_a_course_that_is_not_open_is_said(world: World, minicourse: Minicourse) -> None:
    (world.settings.home / "lessons" / "second").mkdir()
    for file in (world.settings.home / "lessons" / "job-search").iterdir():
        (world.settings.home / "lessons" / "second" / file.name).write_bytes(file.read_bytes())
    minicourse("course", "apply", "second")
    answer = minicourse("course", "form", "second", "--link")
    assert "second is not open yet → minicourse course publish second" in answer.err


def test_an_unknown_course_is_one_line(minicourse: Minicourse) -> None:
    answer = minicourse("course", "form", "nope")
    assert (answer.status, answer.out) == (1, "")
    assert "nope" in answer.err
