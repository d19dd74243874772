"""What SendGrid would report about a mail, as members of the event webhook's array."""

import secrets
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from course.sandbox.mails import Mail

Detail = dict[str, Any]

TROUBLE_DOMAIN = "sandbox.test"

_PROCESSED: tuple[str, Detail] = ("processed", {})
_DELIVERED: tuple[str, Detail] = ("delivered", {"response": "250 2.0.0 OK"})

# What becomes of a mail, by the part of its address before `+` or `@`.
TROUBLES: dict[str, tuple[tuple[str, Detail], ...]] = {
    "bounce": (
        _PROCESSED,
        (
            "bounce",
            {
                "type": "bounce",
                "status": "5.1.1",
                "reason": "550 5.1.1 The email account that you tried to reach does not exist.",
            },
        ),
    ),
    "blocked": (
        _PROCESSED,
        (
            "bounce",
            {
                "type": "blocked",
                "status": "5.7.1",
                "reason": "550 5.7.1 Our system has detected unusual mail from your address.",
            },
        ),
    ),
    "deferred": (
        _PROCESSED,
        (
            "deferred",
            {"response": "451 4.3.0 Mail server temporarily rejected message.", "attempt": "1"},
        ),
        _DELIVERED,
    ),
    "dropped": (("dropped", {"reason": "Bounced Address", "status": "5.0.0"}),),
    "spam": (_PROCESSED, _DELIVERED, ("spamreport", {})),
}

# Custom arguments of these names lose against the event's own.
RESERVED = frozenset(
    "asm_group_id attempt category email event ip reason response send_at sg_content_type "
    "sg_event_id sg_machine_open sg_message_id smtp-id status timestamp tls type url url_offset "
    "useragent".split()
)


class Subject(NamedTuple):
    """The mail that an event is about."""

    message_id: str
    position: int  # among the mails of its request, from 0
    recipient: str
    custom_args: dict[str, str]
    categories: list[str]

    @classmethod
    def of(cls, mail: Mail) -> "Subject":
        return cls(
            mail.message_id, mail.position, mail.recipient, mail.custom_args, mail.categories
        )


class Event(NamedTuple):
    """Its body is JSON as it is posted: made once, the same however often it is posted."""

    name: str
    at: datetime
    body: bytes


def _event(subject: Subject, name: str, at: datetime, event_id: str, detail: Detail) -> Event:
    args = subject.custom_args.items()
    body: dict[str, Any] = {key: value for key, value in args if key not in RESERVED}
    body |= {
        "email": subject.recipient,
        "timestamp": int(at.timestamp()),
        "event": name,
        "sg_event_id": event_id,
        "sg_message_id": f"{subject.message_id}.recvd-sandbox-{subject.position}-0",
        **detail,
    }
    if subject.categories:
        body["category"] = subject.categories
    return Event(name, at, orjson.dumps(body))


def outcomes(subject: Subject, at: datetime) -> list[Event]:
    """What happens to a mail once it is accepted: all at once, nobody has to wait for it."""
    own_id = f"{subject.message_id}.{subject.position}"
    return [
        _event(subject, name, at, f"{own_id}.{name}", detail)
        for name, detail in _fate(subject.recipient)
    ]


def _fate(recipient: str) -> tuple[tuple[str, Detail], ...]:
    local, _, domain = recipient.lower().rpartition("@")
    usual = (_PROCESSED, _DELIVERED)
    if domain == TROUBLE_DOMAIN or domain.endswith(f".{TROUBLE_DOMAIN}"):
        return TROUBLES.get(local.partition("+")[0], usual)
    return usual


def opened(mail: Mail, at: datetime, useragent: str, ip: str) -> Event:
    detail = {
        "useragent": useragent,
        "ip": ip,
        "sg_content_type": "html",
        "sg_machine_open": False,
    }
    return _event(Subject.of(mail), "open", at, secrets.token_urlsafe(16), detail)


def clicked(mail: Mail, at: datetime, useragent: str, ip: str, *, url: str, index: int) -> Event:
    detail = {
        "useragent": useragent,
        "ip": ip,
        "url": url,
        "url_offset": {"index": index, "type": "html"},
    }
    return _event(Subject.of(mail), "click", at, secrets.token_urlsafe(16), detail)
