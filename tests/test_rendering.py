"""Mails as people get them: one renderer, values as literal text, links of our own."""

import re
from pathlib import Path

import pytest

from course import sources
from course.errors import CourseError, TemplateError
from course.merging import merge
from course.rendering import SYSTEM_LAYOUTS, Recipient, Site, compile_course, load_course
from course.settings import SOURCE_ROOT
from course.states import MessageKind

SITE = Site("https://course.example.org", "Main Street 1\n12345 Town", "me@example.org")
FILES = dict(sources.read(SOURCE_ROOT, "job-search").files)
EVIL = "<script>alert(1)</script> *x* & \"q\" 'z'"


@pytest.fixture(autouse=True)
def each_course_compiled_once() -> None:
    """Not here: each test compiles for itself."""


def person(name: str = "Ada", email: str = "ada@example.org") -> dict[str, str]:
    return Recipient(email, name, "Europe/Berlin", "TOKEN", "CONFIRM").values(SITE)


def with_body(body: str, **front: str) -> dict[str, str]:
    head = {"subject": "Hello", "after": "0", **front}
    lines = "".join(f"{key}: {value}\n" for key, value in head.items())
    kept = {name: text for name, text in FILES.items() if not name.endswith(".md")}
    return {**kept, "about.md": "x", "01-one.md": f"---\n{lines}---\n{body}\n"}


def test_every_mail_of_the_real_course_renders() -> None:
    compiled = compile_course("job-search", FILES, SITE)
    made = [m.skeletons_rendered for m in compiled.every()]
    # The confirmation is written in two ways.
    assert made == [1] * 7 + [1 + (name == "confirmation") for name in SYSTEM_LAYOUTS]


def test_a_lesson_has_everything_that_law_and_readers_ask_for() -> None:
    mail = load_course("job-search", FILES, SITE).lesson("network").mail(person())
    for part in (mail.html, mail.text):
        assert "https://course.example.org/unsubscribe/TOKEN" in part
        assert "https://course.example.org/manage/TOKEN" in part
        assert "Main Street 1" in part
        assert "Ada" in part
    assert '<html lang="en"' in mail.html
    assert "prefers-color-scheme" in mail.html
    assert re.search(r'<a[^>]*unsubscribe/TOKEN"[^>]*clicktracking="off"', mail.html)
    assert len(mail.html.encode()) < 95_000
    assert "x0000x" not in mail.html


def test_the_confirmation_says_nothing_that_a_visitor_typed() -> None:
    mail = load_course("job-search", FILES, SITE).system(MessageKind.CONFIRMATION)
    merged = mail.mail(person(EVIL, "victim@example.org"))
    whole = merged.subject + merged.text + merged.html
    assert "alert" not in whole
    assert "victim" not in whole
    assert "https://course.example.org/confirm/CONFIRM" in merged.text


def test_a_confirmation_for_a_group_that_has_still_to_begin_keeps_a_place() -> None:
    confirmation = load_course("job-search", FILES, SITE).system(MessageKind.CONFIRMATION)
    now = confirmation.mail(person())
    awaited = confirmation.mail(Recipient("ada@example.org", awaited=True).values(SITE))
    for part in (now.text, now.html):
        assert "the first mail is sent as soon as you do" in " ".join(part.split())
        assert "Confirm and start the course" in part
        assert "place" not in part
    for part in (awaited.text, awaited.html):
        assert "that keeps your place. We begin together, on the day that the page" in " ".join(
            part.split()
        )
        assert "Confirm and keep my place" in part
        assert "start the course" not in part
    assert "One click, and the first mail" in now.html
    assert "One click keeps your place." in awaited.html


def test_values_are_literal_text_in_every_part() -> None:
    files = with_body("Dear {{ name }}, **hello**", subject='"For {{ name }}"')
    mail = load_course("job-search", files, SITE).lesson("one").mail(person(EVIL))
    assert mail.subject == f"For {EVIL}"
    assert f"Dear {EVIL}, *hello*" in mail.text
    assert "<script>alert" not in mail.html
    assert "Dear &lt;script&gt;alert(1)&lt;/script&gt; *x* &amp; &#34;q&#34;" in mail.html
    assert "<em>x</em>" not in mail.html


def test_nobody_finds_anything_of_another_in_their_mail() -> None:
    files = with_body("{{ name }} {{ email }} {{ manage_url }}", subject='"{{ name|title }}"')
    message = load_course("job-search", files, SITE).lesson("one")
    people = [person(f"name{n}", f"mail{n}@example.org") for n in range(5)]
    for number, values in enumerate(people):
        mail = message.mail(values)
        whole = (mail.subject + mail.text + mail.html).lower()
        for other in range(5):
            assert (f"name{other}" in whole) is (other == number)
    assert message.skeletons_rendered == 1


def test_a_printed_expression_is_rendered_once_for_everybody() -> None:
    files = with_body("{{ name.split()[0]|title if name else 'there' }}")
    message = load_course("job-search", files, SITE).lesson("one")
    for number in range(1000):
        values = person(f"person {number}")
        assert merge(message.skeleton(message.key(values)), {}).html
    assert message.skeletons_rendered == 1


def test_a_tested_field_makes_one_skeleton_for_each_truth() -> None:
    files = with_body("{% if name == 'Ada' %}You!{% else %}Others{% endif %}")
    message = load_course("job-search", files, SITE).lesson("one")
    texts = [message.mail(person(name)).text for name in ("Ada", "Bob", "Eve")]
    assert ["You!" in text for text in texts] == [True, False, False]
    assert message.skeletons_rendered == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("line\n\n{{ nome }}", "01-one.md:7: 'nome' is not defined"),
        ("<a href='{{ name }}'>x</a>", "cannot stand in the attribute href"),
        ("[x](https://example.org/?q={{ name }})", "cannot stand in the attribute href"),
        ("<img src='{{ name }}' alt=''>", "cannot stand in the attribute src"),
        ("<p style='color: {{ name }}'>x</p>", "cannot stand in the attribute style"),
        ("<style>{{ name }}</style>", "cannot stand in <style>"),
        ("<!-- {{ name }} -->", "cannot stand in a comment"),
        ("{{ confirm_url }}", "'confirm_url' is not defined"),
    ],
)
def test_what_could_act_is_refused(body: str, message: str) -> None:
    with pytest.raises(TemplateError) as error:
        compile_course("job-search", with_body(body), where="lessons/job-search/")
    assert message in str(error.value)


def test_an_expression_that_fails_for_somebody_without_a_name_is_found_before_it_is_sent() -> None:
    with pytest.raises(TemplateError, match="01-one.md:6: .*where name = ''"):
        compile_course("job-search", with_body("\n{{ name.split()[0] }}"), where="lessons/x/")


def test_a_literal_host_with_an_encoded_value_is_a_link() -> None:
    files = with_body("[x](https://example.org/?q={{ name|urlencode }})")
    mail = compile_course("job-search", files, SITE).lesson("one").mail(person("a b&c"))
    assert 'href="https://example.org/?q=a%20b%26c"' in mail.html


def test_a_layout_that_changes_the_body_is_refused() -> None:
    files = with_body("{{ name }}")
    files["templates/email/lesson.txt.j2"] = "{{ body|upper }}{{ unsubscribe_url }}"
    with pytest.raises(TemplateError, match="must print"):
        compile_course("job-search", files, SITE)


def test_a_language_without_words_is_refused() -> None:
    files = FILES | {"course.toml": FILES["course.toml"].replace('"en"', '"tlh"')}
    with pytest.raises(CourseError, match="texts/tlh.toml is missing"):
        load_course("job-search", files, SITE)


def test_an_error_in_a_layout_names_it(tmp_path: Path) -> None:
    files = FILES | {"templates/email/lesson.txt.j2": "a\n{{ oops }}"}
    with pytest.raises(TemplateError, match="email/lesson.txt.j2:2: 'oops' is not defined"):
        compile_course("job-search", files, SITE)
