"""What the form says about an address: a question, or that its domain does not exist."""

import re
from html import unescape

import pytest

from course import mx

from .conftest import COURSE, World
from .test_guard import change

FORM = f"/c/{COURSE}/signup"


def test_a_mistyped_address_is_taken_and_asked_about(world: World) -> None:
    answer = world.sign_up("ada@gmial.com", name="Ada L.")
    assert answer.status_code == 202
    assert world.enrollment("ada@gmial.com") is not None
    assert "Did you mean ada@gmail.com?" in unescape(answer.text)
    form = re.search(r'<form class="note".*?</form>', answer.text, re.DOTALL)
    assert form
    given = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', form[0]))
    assert given["name"] == "Ada L."
    assert world.client.post(FORM, data=given).status_code == 202, "one press does it"
    assert world.enrollment("ada@gmail.com").form_name == "Ada L."


def test_nobody_else_is_asked(world: World) -> None:
    assert "Did you mean" not in world.sign_up("ada@gmail.com").text
    assert "suggestion" not in world.sign_up_by_script({"email": "ada@gmail.com"}).json


def test_a_script_is_told_as_well(world: World) -> None:
    answer = world.sign_up_by_script({"email": "ada@gmial.com"}).json
    assert answer["suggestion"] == "ada@gmail.com"
    assert answer["email"] == "ada@gmial.com"


def test_a_domain_that_does_not_exist_is_named_beside_the_field(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mx, "is_missing", lambda domain: domain == "nowhere.example.org")
    assert world.sign_up("ada@nowhere.example.org").status_code == 202, "off by default"
    change(world, monkeypatch, check_mx=True)
    answer = world.sign_up("eve@nowhere.example.org")
    assert answer.status_code == 400
    assert "“nowhere.example.org” does not exist." in unescape(answer.text)
    assert 'value="eve@nowhere.example.org"' in answer.text
    assert world.enrollment("eve@nowhere.example.org") is None
    assert world.sign_up("eve@example.org").status_code == 202
