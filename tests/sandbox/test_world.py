"""What a rehearsal of going live asks of the stand-in: names, and what came of its posts."""

from typing import Any

from flask.testing import FlaskClient

from course.sandbox.config import Account, SandboxConfig

from .conftest import KEY, AppFactory, request_to


def names(client: FlaskClient, kind: str, name: str) -> list[str]:
    found: list[str] = client.get(f"/api/world/names/{kind}/{name}").get_json()
    return found


def told(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/world/told/trial").get_json()
    return found


def test_a_domain_is_authenticated_and_its_records_are_found(client: FlaskClient) -> None:
    assert names(client, "TXT", "_dmarc.example.com") == []
    made = [
        client.post("/v3/whitelabel/domains", json={"domain": "Example.com"}, headers=KEY)
        for _ in range(2)
    ]
    assert [answer.status_code for answer in made] == [201, 201]
    (domain,) = client.get("/v3/whitelabel/domains", headers=KEY).get_json()
    assert (domain["domain"], domain["valid"]) == ("example.com", True)
    for record in domain["dns"].values():
        assert names(client, "CNAME", record["host"]) == [record["data"]]
    assert names(client, "TXT", "_dmarc.example.com") == ["v=DMARC1; p=none"]
    assert names(client, "TXT", "_dmarc.example.org") == []


def test_a_domain_needs_a_name_and_the_right(make_app: AppFactory) -> None:
    client = make_app().test_client()
    assert client.post("/v3/whitelabel/domains", json={}, headers=KEY).status_code == 400
    client = make_app(account=Account(scopes=("mail.send",))).test_client()
    body = {"domain": "example.com"}
    assert client.post("/v3/whitelabel/domains", json=body, headers=KEY).status_code == 403


def test_without_a_webhook_nothing_is_told(client: FlaskClient, config: SandboxConfig) -> None:
    request = request_to("a@example.com", custom_args={"trial": "x"})
    client.post("/v3/mail/send", json=request, headers=KEY)
    client.post("/v3/user/webhooks/event/test", json={"url": "https://a.example"}, headers=KEY)
    assert told(client) == {"webhook": None, "mail": None, "is_told": False}
    assert config.account.tested_at is None
