"""The SendGrid account as its API shows it: what a key may do, who may send, where events go.

Field names of domains and senders come from documentation excerpts: they are read leniently, and
what is not there is taken for unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

import orjson

from course.answers import one_line
from course.client import client
from course.errors import MinicourseError

# Beyond a page of these nobody looks.
_MOST = 200
# The events that we use; of the rest SendGrid need not tell us.
EVENTS = (
    *("processed", "deferred", "delivered", "bounce", "dropped", "open", "click"),
    *("spam_report", "unsubscribe", "group_unsubscribe", "group_resubscribe"),
)
NAME = "minicourse"


class AccountError(MinicourseError):
    """The account's API could not be asked, or refused. `status` is HTTP's; None: no answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_refused(self) -> bool:
        """Whether the key is not known, or may not do this."""
        return self.status in (401, 403)


@dataclass(frozen=True, slots=True)
class Webhook:
    """An event webhook of the account."""

    id: str
    url: str
    is_enabled: bool
    events: frozenset[str]
    public_key: str | None

    @property
    def is_complete(self) -> bool:
        return self.is_enabled and self.events >= set(EVENTS)


@dataclass(frozen=True, slots=True)
class Record:
    """A line of the domain name system that SendGrid wants to find."""

    type: str
    host: str
    data: str
    is_valid: bool


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain that is to be authenticated."""

    id: str
    name: str
    is_valid: bool
    records: tuple[Record, ...] = ()


class Account:
    """SendGrid's set-up calls, each within a deadline. Raises AccountError."""

    def __init__(self, api_key: str, host: str, deadline_seconds: float = 15) -> None:
        self._key = api_key.strip()
        self._host = host
        self._deadline_seconds = deadline_seconds

    def scopes(self) -> frozenset[str]:
        """What the key may do, such as `mail.send`."""
        found = _table(self._call("get", "scopes")).get("scopes")
        return frozenset(map(str, found)) if isinstance(found, list) else frozenset()

    def webhooks(self) -> list[Webhook]:
        found = _table(self._call("get", "user/webhooks/event/settings/all")).get("webhooks")
        return [_webhook(one) for one in _tables(found)]

    def save_webhook(self, url: str, known: Webhook | None) -> Webhook:
        """Make the webhook, or change the known one, so that all our events come to that URL."""
        body = {"url": url, "enabled": True, "friendly_name": NAME, **dict.fromkeys(EVENTS, True)}
        path = "user/webhooks/event/settings"
        if known is None:
            return _webhook(_table(self._call("post", path, body)))
        return _webhook(_table(self._call("patch", f"{path}/{known.id}", body)))

    def sign_webhook(self, webhook: Webhook) -> str:
        """Have its posts signed; returns the public key."""
        path = f"user/webhooks/event/settings/signed/{webhook.id}"
        key = _table(self._call("patch", path, {"enabled": True})).get("public_key")
        if not isinstance(key, str) or not key:
            raise AccountError("SendGrid signs the webhook's posts but does not show its key")
        return key

    def post_test_event(self, webhook: Webhook) -> None:
        body = {"url": webhook.url, "id": webhook.id}
        self._call("post", "user/webhooks/event/test", body)

    def domains(self) -> list[Domain]:
        """With the records of each."""
        found = _tables(self._call("get", f"whitelabel/domains?limit={_MOST}"))
        return [self._with_records(_domain(one)) for one in found]

    def add_domain(self, name: str) -> None:
        """Have a domain authenticated; its records are to be published then."""
        self._call("post", "whitelabel/domains", {"domain": name, "automatic_security": True})

    def verified_senders(self) -> list[str]:
        """The addresses that may send without an authenticated domain."""
        found = _table(self._call("get", f"verified_senders?limit={_MOST}")).get("results")
        return [
            str(one.get("from_email", "")).lower() for one in _tables(found) if one.get("verified")
        ]

    def _with_records(self, domain: Domain) -> Domain:
        if domain.records or not domain.id:
            return domain
        return _domain(_table(self._call("get", f"whitelabel/domains/{domain.id}")))

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        from python_http_client.exceptions import HTTPError  # only those who ask need it

        asked = client(self._key, self._host)
        asked.timeout = self._deadline_seconds
        place, _, query = path.partition("?")
        parameters = dict(part.split("=") for part in query.split("&") if part)
        try:
            answer = getattr(asked._(place), method)(
                request_body=body, query_params=parameters or None
            )
        except HTTPError as error:
            raise AccountError(self._told(error), int(error.status_code)) from None
        except (OSError, HTTPException, ValueError) as error:
            why = getattr(error, "reason", None) or error
            raise AccountError(self._hidden(f"{self._host} cannot be asked: {why}")) from None
        if not 200 <= answer.status_code < 300:
            raise AccountError(f"{self._host} answered {answer.status_code}", answer.status_code)
        return _parsed(answer.body)

    def _told(self, error: Any) -> str:
        errors = _tables(_table(_parsed(error.body)).get("errors"))
        said = "; ".join(str(one.get("message")) for one in errors) or str(error.reason)
        return self._hidden(f"{error.status_code} {said}")

    def _hidden(self, text: str) -> str:
        return one_line(text.replace(self._key, "***"))


def _parsed(body: bytes | str) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _table(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _tables(found: Any) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _webhook(found: Mapping[str, Any]) -> Webhook:
    return Webhook(
        id=str(found.get("id", "")),
        url=str(found.get("url", "")),
        is_enabled=bool(found.get("enabled")),
        events=frozenset(event for event in EVENTS if found.get(event)),
        public_key=found.get("public_key") or None,
    )


def _domain(found: Mapping[str, Any]) -> Domain:
    return Domain(
        id=str(found.get("id", "")),
        name=str(found.get("domain", "")).lower(),
        is_valid=bool(found.get("valid")),
        records=tuple(
            Record(
                type=str(one.get("type", "")).upper(),
                host=str(one.get("host", "")),
                data=str(one.get("data", "")),
                is_valid=bool(one.get("valid")),
            )
            for one in _tables(list(_table(found.get("dns")).values()))
        ),
    )
