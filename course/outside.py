"""The world outside, as far as a set-up depends on it: the account, the names, our own pages."""

from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Protocol
from urllib.parse import urlsplit

from course.account import Account
from course.errors import MinicourseError
from course.settings import Settings

_DEADLINE_SECONDS = 10.0
_MOST_BYTES = 64 * 1024


class UnreachableError(MinicourseError):
    """Nobody answered: whether that is so for others, too, cannot be known from here."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a URL answers; a redirect is not followed."""

    status: int
    text: str


class Outside(Protocol):
    """What may be asked; tests answer in its place."""

    @property
    def account(self) -> Account | None:
        """With the key of the settings; None where there is none."""

    def records(self, name: str, kind: str) -> list[str]:
        """The records of that kind (TXT, CNAME, MX); UnreachableError where nobody can say."""

    def page(self, url: str) -> Page:
        """UnreachableError where nobody answers."""


@dataclass(frozen=True)
class RealOutside:
    """Over the network, each question within a deadline."""

    settings: Settings

    @cached_property
    def account(self) -> Account | None:
        key = self.settings.sendgrid_api_key
        return Account(key.get_secret_value(), self.settings.mail_host) if key else None

    def records(self, name: str, kind: str) -> list[str]:
        import dns.exception
        import dns.resolver

        try:
            found = dns.resolver.resolve(name, kind, lifetime=_DEADLINE_SECONDS)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise UnreachableError(f"the name servers do not tell of {name}: {error}") from None
        if kind == "TXT":
            return [b"".join(record.strings).decode("utf-8", "replace") for record in found]
        return [str(record.to_text()).rstrip(".").lower() for record in found]

    def page(self, url: str) -> Page:
        parts = urlsplit(url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.netloc, timeout=_DEADLINE_SECONDS)
        try:
            connection.request("GET", parts.path or "/")
            answer = connection.getresponse()
            return Page(answer.status, answer.read(_MOST_BYTES).decode("utf-8", "replace"))
        except (OSError, HTTPException) as error:
            why = getattr(error, "strerror", None) or error
            raise UnreachableError(f"{url} cannot be asked: {why}") from None
        finally:
            connection.close()
