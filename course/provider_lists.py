"""SendGrid's own lists of whom it does not mail, and its erasure of recipients, by its API."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from course.account import Account, AccountError

BOUNCES, BLOCKS, SPAM, INVALID = "bounces", "blocks", "spam_reports", "invalid_emails"
UNSUBSCRIBES = "unsubscribes"
NAMES = (BOUNCES, INVALID, SPAM, UNSUBSCRIBES, BLOCKS)
PAGE = 500
_NOT_THERE = 404


@dataclass(frozen=True, slots=True)
class Listed:
    """An address in one of the lists, and since when."""

    email: str
    since: datetime


class ProviderLists(Account):
    """Raises AccountError. Reading needs the right `suppression.read`, removing
    `suppression.delete`, erasing `recipients.erasejob.create`."""

    def pages(self, name: str, since: datetime | None, until: datetime) -> Iterator[list[Listed]]:
        """What came into that list within that time, some hundred addresses at once."""
        window = f"end_time={_seconds(until)}&limit={PAGE}"
        if since is not None:
            window += f"&start_time={_seconds(since)}"
        offset = 0
        while True:
            found = self._call("get", f"suppression/{name}?{window}&offset={offset}")
            page = found if isinstance(found, list) else []
            yield [one for one in map(_listed, page) if one]
            if len(page) < PAGE:
                return
            offset += len(page)

    def remove(self, name: str, email: str) -> bool:
        """Take an address out of a list; False where it is not in it."""
        place = "asm/suppressions/global" if name == UNSUBSCRIBES else f"suppression/{name}"
        try:
            self._call("delete", f"{place}/{quote(email, safe='')}")
        except AccountError as error:
            if error.status != _NOT_THERE:
                raise
            return False
        return True

    def erase(self, emails: Sequence[str]) -> None:
        """Have all that SendGrid keeps of these recipients erased; it does so within days."""
        self._call("post", "recipients/erasejob", {"email_addresses": list(emails)})


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _listed(found: Any) -> Listed | None:
    """None for what is not like an entry."""
    if not isinstance(found, dict) or not isinstance(found.get("email"), str):
        return None
    created = found.get("created")
    seconds = created if isinstance(created, int) else 0
    return Listed(found["email"], datetime.fromtimestamp(seconds, UTC))
