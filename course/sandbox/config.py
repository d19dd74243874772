"""What the stand-in is told at its start, in code or by the environment."""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from course.errors import SettingsError
from course.sandbox.keys import load_private_key
from course.urls import is_loopback


def system_clock() -> datetime:
    return datetime.now(UTC)


# What a Full Access key may do, as far as it is asked here.
FULL_ACCESS = (
    "mail.send",
    "user.webhooks.event.settings.read",
    "user.webhooks.event.settings.update",
    "user.webhooks.event.test.create",
    "whitelabel.create",
    "whitelabel.read",
    "sender_verification_eligible",
    "suppression.read",
    "suppression.delete",
    "recipients.erasejob.create",
)


@dataclass
class Account:
    """What the account is like, and what is set up in it; changed by several threads."""

    scopes: tuple[str, ...] = FULL_ACCESS
    domains: list[dict[str, Any]] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    webhooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    tested_at: datetime | None = None  # when the webhook last took a test event
    # Its own lists of whom it does not mail, by name: {"email", "created", …} each.
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    removed: dict[tuple[str, str], int] = field(default_factory=dict)  # the time of the entry
    erased: list[str] = field(default_factory=list)  # addresses, in the order that was asked
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


@dataclass(frozen=True)
class SandboxConfig:
    """Raises SettingsError where the values cannot work together."""

    store_path: Path
    webhook_url: str | None = None
    private_key_pem: str | None = field(default=None, repr=False)
    api_keys: frozenset[str] | None = field(default=None, repr=False)  # None: any key will do
    clock: Callable[[], datetime] = system_clock
    account: Account = field(default_factory=Account)

    def __post_init__(self) -> None:
        if not self.store_path.absolute().parent.is_dir():
            raise SettingsError(
                f"The sandbox cannot keep mails in {self.store_path}: make its folder first."
            )
        if self.private_key_pem:
            load_private_key(self.private_key_pem)
        if not self.webhook_url:
            return
        if urlsplit(self.webhook_url).scheme != "http" or not is_loopback(self.webhook_url):
            raise SettingsError(
                f"The sandbox posts events to this machine only, not to {self.webhook_url}; "
                "give a URL like http://127.0.0.1:8000/webhooks/sendgrid."
            )
        if not self.private_key_pem:
            raise SettingsError(
                "The sandbox signs its events: give it a private key beside the webhook's URL, "
                "or no webhook."
            )


def config_from(environ: Mapping[str, str] = os.environ) -> SandboxConfig:
    """The configuration out of the environment.

    MINICOURSE_SANDBOX_STORE        the SQLite file that keeps the mails (required)
    MINICOURSE_SANDBOX_WEBHOOK_URL  where events are posted, on this machine; unset: nowhere
    MINICOURSE_SANDBOX_PRIVATE_KEY  PEM text of the key that signs them
    MINICOURSE_SANDBOX_API_KEYS     the keys that are taken, comma-separated; unset: any
    MINICOURSE_CLOCK_FILE           a file that holds the simulated time, as ISO 8601 with offset
    """
    store = environ.get("MINICOURSE_SANDBOX_STORE")
    if not store:
        raise SettingsError(
            "MINICOURSE_SANDBOX_STORE is not set: name the file in which the sandbox keeps mails."
        )
    keys = {key.strip() for key in environ.get("MINICOURSE_SANDBOX_API_KEYS", "").split(",")}
    clock_file = environ.get("MINICOURSE_CLOCK_FILE")
    return SandboxConfig(
        store_path=Path(store),
        webhook_url=environ.get("MINICOURSE_SANDBOX_WEBHOOK_URL") or None,
        private_key_pem=environ.get("MINICOURSE_SANDBOX_PRIVATE_KEY") or None,
        api_keys=frozenset(keys - {""}) or None,
        clock=_file_clock(Path(clock_file)) if clock_file else system_clock,
    )


def _file_clock(path: Path) -> Callable[[], datetime]:
    def clock() -> datetime:
        return datetime.fromisoformat(path.read_text().strip()).astimezone(UTC)

    return clock
