"""The list of the inbox shows each mail's own words, not what all mails begin with."""

from dataclasses import replace
from html import escape

import pytest
from flask.testing import FlaskClient

from course.sandbox.mails import Mail
from course.sandbox.snippets import LONGEST, snippet

from .conftest import KEY, request_to
from .test_mails import merged

LESSON = """\
Find work in ten mails
Lesson 3 of 10

Know the market
============================================================

## First of all

Where to look
-------------

Ask *three* people
this week.

--------------------

Then write it down.

-- 
You get this mail because you signed up.
"""  # noqa: W291 (the line that begins a signature)


def mail(text: str | None, html: str | None = None) -> Mail:
    return replace(merged({}), text=text, html=html)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (LESSON, "Ask *three* people this week. Then write it down."),
        ("Good morning", "Good morning"),
        ("# Only a heading", "# Only a heading"),  # better than nothing
        ("A list:\n- one\n- two", "A list: - one - two"),
        (None, ""),
    ],
)
def test_the_first_words_of_the_body_are_shown(text: str | None, shown: str) -> None:
    assert snippet(mail(text)) == shown


def test_a_preheader_goes_before_the_body() -> None:
    html = (
        '<body><div style="display:none" class="preheader">Three people &amp; <b>one</b> question'
        "&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;</div><p>Ask</p>"
    )
    assert snippet(mail(LESSON, html)) == "Three people & one question"
    empty = '<div class="preheader">&#847;&zwnj;&nbsp;</div>'
    assert snippet(mail(LESSON, empty)).startswith("Ask *three* people")


def test_a_long_one_ends_after_a_whole_word() -> None:
    shown = snippet(mail("word " * 100))
    assert len(shown) <= LONGEST + 2
    assert shown.endswith("word …")


def test_the_list_shows_it_as_text(client: FlaskClient) -> None:
    words = "<script>alert(1)</script> & more"
    content = [{"type": "text/plain", "value": f"Course\n\nTitle\n=====\n\n{words}"}]
    request = request_to("anna@example.com", content=content)
    assert client.post("/v3/mail/send", json=request, headers=KEY).status_code == 202
    assert f'<span class="snippet">{escape(words)}</span>' in client.get("/").text
