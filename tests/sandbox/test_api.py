from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from .conftest import KEY, AppFactory, request_to


def test_an_accepted_request_is_answered_202_with_its_id_and_no_body(client: FlaskClient) -> None:
    answer = client.post("/v3/mail/send", json=request_to("anna@example.com"), headers=KEY)
    assert (answer.status_code, answer.data) == (202, b"")
    (mail,) = client.get("/api/mails").get_json()
    assert mail["message_id"] == answer.headers["X-Message-Id"]


def test_accepted_mails_are_on_disk_for_the_next_start(
    client: FlaskClient, make_app: AppFactory
) -> None:
    client.post("/v3/mail/send", json=request_to("anna@example.com"), headers=KEY)
    restarted = make_app().test_client()
    assert [mail["to"] for mail in restarted.get("/api/mails").get_json()] == ["anna@example.com"]


def test_a_refused_request_is_kept_nowhere(client: FlaskClient) -> None:
    answer = client.post("/v3/mail/send", json=request_to("a@example.com", "nobody"), headers=KEY)
    assert answer.status_code == 400
    assert answer.get_json()["errors"][0]["field"] == "personalizations.1.to.0.email"
    assert client.get("/api/mails").get_json() == []


def test_in_sandbox_mode_a_good_request_is_200_and_kept_nowhere(client: FlaskClient) -> None:
    mode = {"sandbox_mode": {"enable": True}}
    good, bad = (request_to(to, mail_settings=mode) for to in ("anna@example.com", "nobody"))
    answer = client.post("/v3/mail/send", json=good, headers=KEY)
    assert (answer.status_code, answer.data) == (200, b"")
    assert "X-Message-Id" not in answer.headers
    assert client.post("/v3/mail/send", json=bad, headers=KEY).status_code == 400
    assert client.get("/api/mails").get_json() == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "SG.any"},
        {"Authorization": "Basic SG.any"},
    ],
)
def test_without_a_key_the_answer_is_401(client: FlaskClient, headers: dict[str, str]) -> None:
    answer = client.post("/v3/mail/send", json=request_to("anna@example.com"), headers=headers)
    assert answer.status_code == 401
    assert answer.get_json() == {
        "errors": [
            {
                "message": "The provided authorization grant is invalid, expired, or revoked",
                "field": None,
                "help": None,
            }
        ]
    }


def test_where_keys_are_named_only_those_are_taken(make_app: AppFactory) -> None:
    client = make_app(api_keys=frozenset({"SG.right"})).test_client()
    wrong = client.get("/v3/scopes", headers={"Authorization": "Bearer SG.wrong"})
    right = client.get("/v3/scopes", headers={"Authorization": "Bearer SG.right"})
    assert (wrong.status_code, right.status_code) == (401, 200)
    assert "mail.send" in right.get_json()["scopes"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"subject": "\\ud800"}', b"[1]", b"null"])
def test_what_is_no_json_object_is_a_bad_request(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/v3/mail/send", data=body, content_type="application/json", headers=KEY)
    assert answer.status_code == 400
    assert answer.get_json()["errors"] == [{"message": "Bad Request", "field": None, "help": None}]


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_another_content_type_is_415(client: FlaskClient, content_type: str | None) -> None:
    body = orjson.dumps(request_to("anna@example.com"))
    answer = client.post("/v3/mail/send", data=body, content_type=content_type, headers=KEY)
    assert answer.status_code == 415
    assert answer.get_json()["errors"][0]["field"] is None


def test_json_in_utf_8_may_say_so(client: FlaskClient) -> None:
    body = orjson.dumps(request_to("anna@example.com", subject="Grüße 🌱"))
    content_type = "application/json; charset=utf-8"
    client.post("/v3/mail/send", data=body, content_type=content_type, headers=KEY)
    assert client.get("/api/mails").get_json()[0]["subject"] == "Grüße 🌱"


def test_thirty_megabytes_are_too_large_and_answered_in_html(client: FlaskClient) -> None:
    answer = client.post(
        "/v3/mail/send", data=b" " * 30_000_000, content_type="application/json", headers=KEY
    )
    assert (answer.status_code, answer.mimetype) == (413, "text/html")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v3/mail/send", 405), ("GET", "/v3/nothing", 404)]
)
def test_what_the_api_does_not_know_is_refused_in_its_own_shape(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    answer = client.open(path, method=method, headers=KEY)
    assert answer.status_code == status
    assert answer.get_json()["errors"][0]["message"]


def test_the_json_view_lists_newest_last_and_filters_by_recipient(client: FlaskClient) -> None:
    for subject, to in [("one", ["anna@example.com", "ben@example.com"]), ("two", ["Anna@a.de"])]:
        client.post("/v3/mail/send", json=request_to(*to, subject=subject), headers=KEY)
    everybody = client.get("/api/mails").get_json()
    assert [mail["to"] for mail in everybody] == [
        "anna@example.com",
        "ben@example.com",
        "Anna@a.de",
    ]
    (one,) = client.get("/api/mails?to=anna@A.de").get_json()
    assert one["subject"] == "two"
    assert client.get("/api/mails?to=anna").get_json() == []
    assert client.get(f"/api/mails/{one['id']}").get_json() == one


def test_the_json_view_holds_what_the_recipient_gets(client: FlaskClient) -> None:
    own: dict[str, Any] = {
        "to": [{"email": "anna@example.com", "name": "Anna"}],
        "substitutions": {"TAG": "Anna"},
        "headers": {"List-Id": "<course.example.com>"},
        "custom_args": {"delivery": "d1"},
    }
    file = {"content": "QkVHSU46", "type": "text/calendar", "filename": "course.ics"}
    request = request_to(
        personalizations=[own],
        subject="Hi TAG",
        categories=["job-search"],
        attachments=[{**file, "disposition": "attachment"}],
    )
    client.post("/v3/mail/send", json=request, headers=KEY)
    (mail,) = client.get("/api/mails").get_json()
    assert mail.pop("message_id")
    assert mail == {
        "id": 1,
        "to": "anna@example.com",
        "from": {"email": "coach@example.com", "name": "Mara"},
        "reply_to": None,
        "subject": "Hi Anna",
        "text": "Good morning",
        "html": "<p>Good morning</p>",
        "headers": {"List-Id": "<course.example.com>"},
        "custom_args": {"delivery": "d1"},
        "categories": ["job-search"],
        "attachments": [{"filename": "course.ics", "type": "text/calendar", "size": 6}],
        "accepted_at": "2026-03-02T08:00:00+00:00",
    }
    assert "course.ics" in client.get("/mails/1").text
    kept = client.get("/mails/1/files/0")
    assert (kept.data, kept.mimetype) == (b"BEGIN:", "text/calendar")
    assert kept.headers["Content-Disposition"] == "attachment; filename=course.ics"
    assert client.get("/mails/1/files/1").status_code == 404


def test_an_emptied_inbox_gives_no_id_a_second_time(client: FlaskClient) -> None:
    client.post("/v3/mail/send", json=request_to("anna@example.com"), headers=KEY)
    assert client.delete("/api/mails").status_code == 204
    client.post("/v3/mail/send", json=request_to("ben@example.com"), headers=KEY)
    assert [mail["id"] for mail in client.get("/api/mails").get_json()] == [2]
    assert client.get("/api/mails/1").status_code == 404
    assert client.get(f"/api/mails/{10**30}").status_code == 404
