"""What somebody typed as their name, from the form to what the provider is given."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course.mailer import Outgoing, Personalization, payload
from course.models import Subscriber
from course.people import FIELD_LIMIT, clean
from course.rendering import Recipient, Site, load_course
from tests.test_rendering import with_body

from .conftest import World

NAMES = [
    "Ada\r\nBcc: everybody@example.org",
    "Ada\nSubject: Free money",
    "Ada\rX",
    "Ada\u2028\u2029\x85\x0b\x0cX",
    "Ada\x00\x1b[31m",
    "Ada, eve@example.org",
    "Ada; eve@example.org",
    "Ada <eve@example.org>",
    '"Ada" <eve@example.org>, "Eve',
    "\u202eadA\u202c \u2066x\u2069 \u200f",
    "Ada\u00ad\ufeff\u200bX",
    "\ud800",
    "=?utf-8?q?Ada=0D=0ABcc:_x?=",
    "A" * 10_000,
    "💥" * 5_000,
    "مريم",
]


def is_harmless(text: str) -> bool:
    """One line of ordinary length, with nothing hidden in it."""
    kinds = {unicodedata.category(one) for one in text if one not in "\u200c\u200d"}
    return not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"} and len(text) <= FIELD_LIMIT


def sent(name: str) -> dict[str, object]:
    """The request with a mail whose subject calls them by that name."""
    files = with_body("Hello {{ name }}", subject='"Dear {{ name }}"')
    course = load_course("job-search", files, Site())
    mail = course.lesson("one").mail(course.values(Recipient("ada@example.org", name)))
    person = Personalization("ada@example.org", {}, {}, name=name)
    return payload(
        Outgoing(
            *("coach@example.org", name or "Coach", None, mail.subject, mail.text, mail.html),
            categories=(),
            click_tracking=False,
            open_tracking=False,
            personalizations=(person,),
        )
    )


def check(name: str) -> None:
    assert is_harmless(name)
    body = sent(name)
    (person,) = body["personalizations"]  # type: ignore[misc]
    (to,) = person["to"]
    assert to["email"] == "ada@example.org"
    for shown in (to.get("name", ""), body["from"].get("name", "")):  # type: ignore[attr-defined]
        assert is_harmless(shown)
        assert not set(",;") & set(shown)
    assert is_harmless(str(body["subject"]).removeprefix("Dear "))
    json.dumps(body).encode()


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_of_the_form_ends_no_header(world: World, name: str) -> None:
    typed = name.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    assert world.sign_up(name=typed).status_code == 202
    (person,) = world.rows(Subscriber)
    check(person.name)


@given(st.text(alphabet=st.characters(), max_size=400))
def test_no_text_at_all_becomes_a_name_that_acts(name: str) -> None:
    cleaned = clean(name)
    assert is_harmless(cleaned)
    body = payload(
        Outgoing(
            *("coach@example.org", cleaned, None, "s", "t", "<p>h</p>"),
            categories=(),
            click_tracking=False,
            open_tracking=False,
            personalizations=(Personalization("ada@example.org", {}, {}, name=cleaned),),
        )
    )
    for shown in (body["personalizations"][0]["to"][0], body["from"]):
        assert not set(",;\r\n") & set(shown.get("name", ""))
