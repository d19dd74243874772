from typing import Any

import pytest

from course.sandbox.mails import Mail, merge, recipients, replace_tags

from .conftest import NOW, request_to


def merged(personalization: dict[str, Any], **common: Any) -> Mail:
    request = request_to(**common)
    del request["personalizations"]
    return merge(
        mail_id=1,
        message_id="m",
        position=0,
        accepted_at=NOW,
        recipient="anna@example.com",
        common=request,
        personalization={"to": [{"email": "anna@example.com"}], **personalization},
    )


@pytest.mark.parametrize(
    ("text", "substitutions", "result"),
    [
        ("no tags", {}, "no tags"),
        ("Hi TAG, TAG", {"TAG": "Anna"}, "Hi Anna, Anna"),  # every occurrence
        ("xTAGx", {"TAG": "-"}, "x-x"),  # no word boundaries: plain text
        ("A B", {"A": "B", "B": "C"}, "B C"),  # a value is not replaced again
        ("TAG1 TAG", {"TAG": "x", "TAG1": "y"}, "y x"),  # the longest tag wins
        ("TAG", {"TAG": "<b>&\\1</b>"}, "<b>&\\1</b>"),  # no escaping, no group references
        ("a.c abc", {"a.c": "!"}, "! abc"),  # a tag is no pattern
        ("TAG", {"TAG": ""}, ""),
        ("same", {"": "x"}, "same"),  # an empty tag would be everywhere
    ],
)
def test_tags_are_replaced_as_plain_text(
    text: str, substitutions: dict[str, str], result: str
) -> None:
    assert replace_tags(text, substitutions) == result


def test_tags_are_replaced_in_subject_content_and_reply_to_only() -> None:
    mail = merged(
        {"substitutions": {"TAG": "Anna"}, "headers": {"X-H": "TAG"}, "custom_args": {"a": "TAG"}},
        subject="Hi TAG",
        content=[
            {"type": "text/plain", "value": "Hi TAG"},
            {"type": "text/html", "value": "<p title='TAG'>"},
        ],
        reply_to={"email": "TAG@example.com", "name": "TAG"},
    )
    assert (mail.subject, mail.text, mail.html) == ("Hi Anna", "Hi Anna", "<p title='Anna'>")
    assert mail.reply_to == {"email": "Anna@example.com", "name": "Anna"}
    assert (mail.headers, mail.custom_args) == ({"X-H": "TAG"}, {"a": "TAG"})


def test_a_personalization_wins_over_the_root_key_by_key() -> None:
    mail = merged(
        {"subject": "Own", "custom_args": {"b": "2"}, "headers": {"X-B": "2"}},
        custom_args={"a": "1", "b": "1"},
        headers={"X-A": "1", "X-B": "1"},
    )
    assert mail.subject == "Own"
    assert mail.custom_args == {"a": "1", "b": "2"}
    assert mail.headers == {"X-A": "1", "X-B": "2"}


def test_tracking_is_on_only_where_the_request_says_so() -> None:
    switches = {"open_tracking": {"enable": True}, "click_tracking": {"enable": False}}
    tracked, plain = merged({}, tracking_settings=switches), merged({})
    assert (tracked.tracks_opens, tracked.tracks_clicks) == (True, False)
    assert (plain.tracks_opens, plain.tracks_clicks) == (False, False)


def test_a_mail_may_have_one_part_only() -> None:
    mail = merged({}, content=[{"type": "text/html", "value": "<p>"}])
    assert (mail.text, mail.html) == (None, "<p>")


def test_everybody_who_gets_a_copy_is_a_recipient() -> None:
    kinds = {kind: [{"email": f"{kind}@example.com"}] for kind in ("to", "cc", "bcc")}
    assert list(recipients(kinds)) == ["to@example.com", "cc@example.com", "bcc@example.com"]
