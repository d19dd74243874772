import pytest
from flask.testing import FlaskClient

from course.urls import is_loopback_host as is_loopback

from .conftest import KEY, request_to


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"]
)
def test_loopback_hosts_are_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "192.168.1.2", "example.com", "127.0.0.1.example.com", "localhost.de"],
)
def test_all_other_hosts_are_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("path", ["/", "/api/mails", "/v3/scopes", "/static/inbox.css", "/none"])
@pytest.mark.parametrize(
    ("remote", "headers"),
    [
        ("192.168.1.2", {}),  # another machine
        ("127.0.0.1", {"Host": "evil.example:8025"}),  # DNS rebinding
        ("127.0.0.1", {"Host": "127.0.0.1.evil.example"}),
        ("127.0.0.1", {"Host": "[::1"}),  # no host at all
        ("127.0.0.1", {"X-Forwarded-For": "192.168.1.2"}),  # a proxy that shows us to others
        ("127.0.0.1", {"Forwarded": "for=192.168.1.2"}),
    ],
)
def test_strangers_are_refused_everywhere(
    client: FlaskClient, path: str, remote: str, headers: dict[str, str]
) -> None:
    answer = client.get(path, headers=KEY | headers, environ_base={"REMOTE_ADDR": remote})
    assert answer.status_code in (400, 403)
    assert "mail.send" not in answer.text


@pytest.mark.parametrize("host", ["localhost:8025", "127.0.0.1:8025", "[::1]:8025"])
def test_this_machine_is_served_under_each_of_its_names(client: FlaskClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:9999"])
def test_no_other_web_page_can_change_anything(client: FlaskClient, origin: str) -> None:
    headers = {**KEY, "Origin": origin}
    assert client.delete("/api/mails", headers=headers).status_code == 403
    request = request_to("anna@example.com")
    assert client.post("/v3/mail/send", json=request, headers=headers).status_code == 403
