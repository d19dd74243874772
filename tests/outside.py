"""The world outside, made up: an account, its names, our own pages."""

from dataclasses import dataclass, field
from typing import Any

from course.account import EVENTS, AccountError, Domain, Record, Webhook
from course.outside import Page, UnreachableError

KEY = (  # of a pair whose other half nobody has
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEtajFz6XzsqHnAPW4zprTyKI2px"
    "VS4e3ysB0XUWfhG3edY95xhXkZrGY7ZgPithDznVYtWfE3PaJBnN8Mq0B5LA=="
)


def records(*, valid: bool = True) -> tuple[Record, ...]:
    return (
        Record("CNAME", "em7.example.com", "u1.wl.sendgrid.net", valid),
        Record("CNAME", "s1._domainkey.example.com", "s1.domainkey.u1.wl.sendgrid.net", valid),
        Record("CNAME", "s2._domainkey.example.com", "s2.domainkey.u1.wl.sendgrid.net", valid),
    )


@dataclass
class MadeUpAccount:
    """Everything is in order until a test breaks it. An error in a place is raised there."""

    given_scopes: frozenset[str] | AccountError = frozenset(
        {"mail.send", "user.webhooks.event.settings.read", "whitelabel.read"}
    )
    given_domains: list[Domain] | AccountError = field(
        default_factory=lambda: [Domain("1", "example.com", True, records())]
    )
    given_webhooks: list[Webhook] | AccountError = field(
        default_factory=lambda: [
            Webhook(
                "1",
                "https://course.example.com/webhooks/sendgrid",
                True,
                frozenset(EVENTS),
                KEY,
            )
        ]
    )
    senders: list[str] = field(default_factory=list)

    def scopes(self) -> frozenset[str]:
        return _or_raise(self.given_scopes)

    def domains(self) -> list[Domain]:
        return _or_raise(self.given_domains)

    def webhooks(self) -> list[Webhook]:
        return _or_raise(self.given_webhooks)

    def verified_senders(self) -> list[str]:
        return self.senders


def _or_raise(found: Any) -> Any:
    if isinstance(found, Exception):
        raise found
    return found


@dataclass
class MadeUpOutside:
    account: MadeUpAccount | None = field(default_factory=MadeUpAccount)
    names: dict[tuple[str, str], list[str]] | None = field(
        default_factory=lambda: {
            **{(one.host, "CNAME"): [one.data] for one in records()},
            ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none"],
        }
    )
    answer: Page | None = field(default_factory=lambda: Page(200, "ok\n"))

    def records(self, name: str, kind: str) -> list[str]:
        if self.names is None:
            raise UnreachableError(f"the name servers do not tell of {name}: timeout")
        return self.names.get((name, kind), [])

    def page(self, url: str) -> Page:
        if self.answer is None:
            raise UnreachableError(f"{url} cannot be asked: refused")
        return self.answer
