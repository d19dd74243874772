"""Each documented rule of `POST /v3/mail/send`, and the field that its refusal names."""

from datetime import timedelta
from typing import Any

import pytest

from course.sandbox.rules import as_error, problems

from .conftest import NOW, request_to


def changed(**changes: Any) -> dict[str, Any]:
    return request_to("anna@example.com", **changes)


def personalized(**changes: Any) -> dict[str, Any]:
    return changed(personalizations=[{"to": [{"email": "anna@example.com"}], **changes}])


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in changed().items() if key != name}


def people(count: int) -> list[dict[str, str]]:
    return [{"email": f"p{number}@example.com"} for number in range(count)]


TEXT = {"type": "text/plain", "value": "x"}
HTML = {"type": "text/html", "value": "x"}
FILE = {"content": "QkVHSU46", "filename": "a.ics", "type": "text/calendar"}
IN_TIME = int((NOW + timedelta(hours=72)).timestamp())
LONG_ADDRESS = "a" * 309 + "@example.com"  # 321 characters

GOOD = [
    changed(),
    request_to(*(address["email"] for address in people(1000))),
    personalized(to=people(998), cc=[{"email": "cc@example.com"}], bcc=[{"email": "b@a.de"}]),
    personalized(subject="Own") | {"subject": ""},  # every personalization has its own
    personalized(substitutions={"TAG": "x" * 9_990}),
    personalized(custom_args={"id": "x" * 9_900}),
    changed(categories=["x" * 255, *"abcdefghi"]),
    changed(content=[HTML]),
    changed(content=[TEXT, HTML, {"type": "text/calendar", "value": "x"}]),
    changed(headers={"List-Unsubscribe": "<https://example.com/u>"}),
    changed(attachments=[FILE]),
    changed(send_at=IN_TIME),
    changed(send_at=0),  # in the past: at once
    changed(**{"from": {"email": "coach@example.com", "name": "Zoë"}}),
    changed(unknown_to_us={"any": ["thing"]}),
    personalized(to=[{"email": LONG_ADDRESS[1:]}]),
    personalized(to=[{"email": "grüße@bücher.example"}]),  # only `from` has to be ASCII
]

# What is wrong, and the field that is named.
BAD = [
    # the body
    ([], None),
    ("text", None),
    # attachments: named, in base64, of a bare media type
    (changed(attachments=[{**FILE, "content": "BEGIN:"}]), "attachments.0.content"),
    (changed(attachments=[{**FILE, "filename": ""}]), "attachments.0.filename"),
    (changed(attachments=[{**FILE, "type": "text/calendar; charset=utf-8"}]), "attachments.0.type"),
    (changed(attachments=[{**FILE, "disposition": "below"}]), "attachments.0.disposition"),
    # personalizations: 1 to 1000, each with a recipient, 1000 recipients in all
    (without("personalizations"), "personalizations"),
    (changed(personalizations=[]), "personalizations"),
    (request_to(*(f"p{number}@example.com" for number in range(1001))), "personalizations"),
    (
        personalized(to=people(999), cc=[{"email": "c@a.de"}, {"email": "d@a.de"}]),
        "personalizations",
    ),
    (changed(personalizations=[{}]), "personalizations.0.to"),
    (personalized(to=[]), "personalizations.0.to"),
    # one address once a request, whatever its case and place
    (request_to("anna@example.com", "ANNA@example.com"), "personalizations.1.to"),
    (personalized(cc=[{"email": "anna@example.com"}]), "personalizations.0.cc"),
    # addresses
    (request_to("a@example.com", "b@example.com", "nobody"), "personalizations.2.to.0.email"),
    (personalized(to=[{"name": "Anna"}]), "personalizations.0.to.0.email"),
    (personalized(to=[{"email": LONG_ADDRESS}]), "personalizations.0.to.0.email"),
    (personalized(to=[{"email": "a b@example.com"}]), "personalizations.0.to.0.email"),
    (personalized(bcc=[{"email": "nobody@nowhere"}]), "personalizations.0.bcc.0.email"),
    (personalized(to=[{"email": "a@a.de", "name": "A; B"}]), "personalizations.0.to.0.name"),
    (personalized(to=[{"email": "a@a.de", "name": "B, A"}]), "personalizations.0.to.0.name"),
    (without("from"), "from.email"),
    (changed(**{"from": {"name": "Mara"}}), "from.email"),
    (changed(**{"from": {"email": "coach"}}), "from.email"),
    (changed(**{"from": {"email": "trainér@example.com"}}), "from.email"),
    (changed(reply_to={"email": "coach"}), "reply_to.email"),
    # subject: at the root or in every personalization
    (without("subject"), "subject"),
    (changed(subject=""), "subject"),
    # content: text first, then HTML, nothing empty
    (without("content"), "content"),
    (changed(content=[]), "content"),
    (changed(content=[HTML, TEXT]), "content"),
    (changed(content=[TEXT, TEXT]), "content"),
    (changed(content=[TEXT | {"value": ""}]), "content.0.value"),
    (changed(content=[TEXT, {"value": "x"}]), "content.1.type"),
    # sizes
    (personalized(substitutions={"TAG": "x" * 10_000}), "personalizations.0.substitutions"),
    (personalized(substitutions={"TAG": "é" * 5_000}), "personalizations.0.substitutions"),
    (
        personalized(custom_args={"a": "x" * 5_000}) | {"custom_args": {"b": "x" * 5_000}},
        "personalizations.0.custom_args",
    ),
    # categories
    (changed(categories=list("abcdefghijk")), "categories"),
    (changed(categories=["a", "a"]), "categories"),
    (changed(categories=["x" * 256]), "categories.0"),
    (changed(categories=["a", "é"]), "categories.1"),
    # headers
    (changed(headers={"Größe": "1"}), "headers.Größe"),
    (changed(headers={"": "1"}), "headers."),
    # time
    (changed(send_at=IN_TIME + 1), "send_at"),
    (personalized(send_at=IN_TIME + 1), "personalizations.0.send_at"),
    # types
    (changed(subject=7), "subject"),
    (changed(subject=None), "subject"),
    (changed(personalizations={}), "personalizations"),
    (changed(personalizations=["anna"]), "personalizations.0"),
    (personalized(to="anna@example.com"), "personalizations.0.to"),
    (personalized(substitutions={"TAG": 7}), "personalizations.0.substitutions.TAG"),
    (personalized(custom_args={"id": 7}), "personalizations.0.custom_args.id"),
    (changed(custom_args="x"), "custom_args"),
    (changed(headers={"X-Number": 7}), "headers.X-Number"),
    (changed(send_at="soon"), "send_at"),
    (changed(send_at=True), "send_at"),
    (changed(categories="x"), "categories"),
    (
        changed(mail_settings={"sandbox_mode": {"enable": "yes"}}),
        "mail_settings.sandbox_mode.enable",
    ),
    (changed(tracking_settings={"click_tracking": True}), "tracking_settings.click_tracking"),
]


@pytest.mark.parametrize("payload", GOOD)
def test_a_good_request_has_no_problems(payload: dict[str, Any]) -> None:
    assert problems(payload, NOW) == []


@pytest.mark.parametrize(("payload", "field"), BAD)
def test_a_broken_rule_is_the_only_problem_and_names_its_field(payload: Any, field: str) -> None:
    assert {problem.field for problem in problems(payload, NOW)} == {field}


@pytest.mark.parametrize(
    "name",
    "x-sg-id x-sg-eid received dkim-signature Content-Type Content-Transfer-Encoding "
    "To From Subject Reply-To CC BCC".split(),
)
def test_reserved_headers_are_refused_at_both_levels(name: str) -> None:
    root, own = changed(headers={name: "x"}), personalized(headers={name.swapcase(): "x"})
    assert [p.field for p in problems(root, NOW)] == [f"headers.{name}"]
    assert [p.field for p in problems(own, NOW)] == [
        f"personalizations.0.headers.{name.swapcase()}"
    ]


def test_all_problems_are_reported_together() -> None:
    payload = request_to("nobody", subject="", content=[])
    fields = [problem.field for problem in problems(payload, NOW)]
    assert fields == ["personalizations.0.to.0.email", "subject", "content"]


def test_an_error_has_the_shape_of_sendgrids() -> None:
    (problem,) = problems(request_to("a@example.com", "nobody"), NOW)
    assert as_error(problem) == {
        "message": "Does not contain a valid address.",
        "field": "personalizations.1.to.0.email",
        "help": "https://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html"
        "#message.personalizations.to.email",
    }
