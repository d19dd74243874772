import re

import pytest
from flask.testing import FlaskClient

from .conftest import KEY, request_to

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
TRACKED = {"open_tracking": {"enable": True}, "click_tracking": {"enable": True}}


def send(client: FlaskClient, *to: str, html: str = "<p>Hello</p>", **changes: object) -> None:
    content = [{"type": "text/plain", "value": "Hello"}, {"type": "text/html", "value": html}]
    request = request_to(*to, **{"content": content, **changes})
    assert client.post("/v3/mail/send", json=request, headers=KEY).status_code == 202


def recipients_in(page: str) -> list[str]:
    return re.findall(r'<span class="who">(.*?)</span>', page)


def events_of(client: FlaskClient, mail_id: int) -> list[str]:
    return re.findall(r'class="chip (\w+)"', client.get(f"/mails/{mail_id}/headers").text)


def test_an_empty_inbox_says_what_it_is_for(client: FlaskClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "No mail yet" in page.text


def test_the_list_shows_the_newest_first_and_filters_by_recipient(client: FlaskClient) -> None:
    send(client, "anna@example.com", "ben@example.com")
    send(client, "chidi@example.org")
    assert recipients_in(client.get("/").text) == [
        "chidi@example.org",
        "ben@example.com",
        "anna@example.com",
    ]
    assert recipients_in(client.get("/?to=EXAMPLE.ORG").text) == ["chidi@example.org"]
    assert recipients_in(client.get("/?to=%25").text) == []  # no wildcard
    assert "No such mail" in client.get("/?to=dora").text


def test_the_list_has_pages(client: FlaskClient) -> None:
    send(client, *(f"p{number}@example.com" for number in range(120)))
    path, seen = "/?to=example.com", []
    for _ in range(3):
        page = client.get(path).text
        seen += recipients_in(page)
        older = re.search(r'href="([^"]+)" rel="next"', page)
        path = older[1].replace("&amp;", "&") if older else ""
    assert seen == [f"p{number}@example.com" for number in reversed(range(120))]
    assert path == ""
    assert recipients_in(client.get(f"/?before={10**30}").text)
    assert recipients_in(client.get("/?before=word").text)


def test_the_list_marks_mails_that_something_happened_to(client: FlaskClient) -> None:
    send(client, "bounce@sandbox.test")
    assert '<span class="chip bounce">bounce</span>' in client.get("/").text


@pytest.mark.parametrize(
    "path", ["/", "/mails/1", "/mails/1/text", "/mails/1/headers", "/mails/1/source"]
)
def test_no_page_runs_what_a_mail_brings_along(client: FlaskClient, path: str) -> None:
    send(
        client,
        "anna@example.com",
        html=EVIL,
        subject=EVIL,
        content=[{"type": "text/plain", "value": EVIL}, {"type": "text/html", "value": EVIL}],
        headers={"X-Evil": EVIL},
        custom_args={EVIL: EVIL},
        categories=[EVIL],
        reply_to={"email": "coach@example.com", "name": EVIL},
        **{"from": {"email": "coach@example.com", "name": EVIL}},
    )
    page = client.get(path)
    assert page.status_code == 200
    assert "&lt;script&gt;" in page.text
    assert "<script" not in page.text
    assert "<img" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_a_mails_html_is_shown_in_a_frame_without_rights(client: FlaskClient) -> None:
    send(client, "anna@example.com", html=EVIL)
    page, frame = client.get("/mails/1").text, client.get("/mails/1/frame")
    rights = re.search(r'<iframe [^>]*src="/mails/1/frame" sandbox="([^"]*)"', page)
    assert rights
    policy = frame.headers["Content-Security-Policy"]
    assert policy.startswith(f"sandbox {rights[1]}; default-src 'none';")
    for right in ("allow-scripts", "allow-same-origin", "allow-forms", "allow-top-navigation"):
        assert right not in policy
    assert "script-src" not in policy
    assert frame.text == EVIL


def test_a_mail_without_html_is_shown_as_text_with_links(client: FlaskClient) -> None:
    text = "Confirm: https://example.com/confirm/abc"
    send(client, "anna@example.com", content=[{"type": "text/plain", "value": text}])
    page = client.get("/mails/1").text
    assert 'href="https://example.com/confirm/abc"' in page
    assert "<iframe" not in page
    assert client.get("/mails/1/frame").status_code == 404


def test_opens_and_clicks_are_recorded_where_the_mail_asks_for_it(client: FlaskClient) -> None:
    send(client, "a@a.de", html='<a href="https://a.de/">', tracking_settings=TRACKED)
    client.get("/mails/1/source")
    assert events_of(client, 1) == ["processed", "delivered"]
    assert 'href="/click/1/0"' in client.get("/mails/1/frame").text
    client.get("/click/1/0")
    assert events_of(client, 1) == ["processed", "delivered", "open", "click"]


def test_without_tracking_nothing_is_recorded_and_no_click_is_followed(client: FlaskClient) -> None:
    send(client, "a@a.de", html='<a href="https://a.de/">')
    assert 'href="https://a.de/"' in client.get("/mails/1/frame").text
    assert client.get("/click/1/0").status_code == 404
    assert events_of(client, 1) == ["processed", "delivered"]


@pytest.mark.parametrize("path", ["/click/1/1", "/click/1/2", "/click/1/99", "/click/9/0"])
def test_only_tracked_links_of_a_stored_mail_are_followed(client: FlaskClient, path: str) -> None:
    html = (
        '<a href="https://a.de/"></a><a href="javascript:1"></a>'
        '<a href="https://b.de/" clicktracking="off"></a>'
    )
    send(client, "a@a.de", html=html, tracking_settings=TRACKED)
    assert client.get("/click/1/0").location == "https://a.de/"
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "path", ["/mails/9", "/mails/9/frame", "/mails/9/text", f"/mails/{10**30}"]
)
def test_a_mail_that_is_not_there_is_404(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_pages_need_no_script_and_nothing_from_elsewhere(client: FlaskClient) -> None:
    send(client, "anna@example.com")
    for path in ("/", "/mails/1", "/mails/1/headers"):
        page = client.get(path).text
        assert not re.search(r'<script|(src|href)="(https?:)?//', page)
    with client.get("/static/inbox.css") as style:
        assert style.status_code == 200
        assert "url(" not in style.get_data(as_text=True)
