"""From a request to concrete mails: what each recipient of it would read.

A request is kept as it came, split into what all share and what is each recipient's own. The
two are merged when somebody looks: taking a thousand recipients costs a thousand small rows.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class File:
    """One attachment; all recipients of a request get the same."""

    name: str
    type: str
    content: bytes


@dataclass(frozen=True)
class Mail:
    """One mail as its recipient gets it: every merge tag replaced."""

    id: int
    message_id: str  # the request's X-Message-Id: shared by all mails of that request
    position: int  # among the mails of its request, from 0
    accepted_at: datetime
    recipient: str
    sender: Json  # an address: email, and perhaps name
    to: list[Json]
    cc: list[Json]
    reply_to: Json | None
    subject: str
    text: str | None
    html: str | None
    headers: dict[str, str]
    custom_args: dict[str, str]
    categories: list[str]
    tracks_opens: bool
    tracks_clicks: bool
    files: tuple[File, ...] = ()


def recipients(personalization: Json) -> Iterator[str]:
    """Everybody who gets a copy; each of them has a mail, and events, of their own."""
    for kind in ("to", "cc", "bcc"):
        for address in personalization.get(kind, ()):
            yield address["email"]


def merged_custom_args(common: Json, personalization: Json) -> dict[str, str]:
    args: dict[str, str] = common.get("custom_args", {}) | personalization.get("custom_args", {})
    return args


def replace_tags(text: str, substitutions: dict[str, str]) -> str:
    """Plain textual replacement, in one pass: what a value contains is not replaced again."""
    tags = sorted(filter(None, substitutions), key=len, reverse=True)
    if not tags:
        return text
    pattern = "|".join(map(re.escape, tags))
    return re.sub(pattern, lambda match: substitutions[match[0]], text)


def merge(
    *,
    mail_id: int,
    message_id: str,
    position: int,
    accepted_at: datetime,
    recipient: str,
    common: Json,
    personalization: Json,
) -> Mail:
    """The mail of one recipient: tags are replaced in subject, reply-to and content only."""
    substitutions = personalization.get("substitutions", {})

    def filled(text: str) -> str:
        return replace_tags(text, substitutions)

    content = {part["type"]: filled(part["value"]) for part in common["content"]}
    reply_to = common.get("reply_to")
    return Mail(
        id=mail_id,
        message_id=message_id,
        position=position,
        accepted_at=accepted_at,
        recipient=recipient,
        sender=common["from"],
        to=personalization["to"],
        cc=personalization.get("cc", []),
        reply_to=_filled_address(reply_to, filled) if reply_to else None,
        subject=filled(personalization.get("subject") or common["subject"]),
        text=content.get("text/plain"),
        html=content.get("text/html"),
        headers=common.get("headers", {}) | personalization.get("headers", {}),
        custom_args=merged_custom_args(common, personalization),
        categories=common.get("categories", []),
        tracks_opens=_is_on(common, "open_tracking"),
        tracks_clicks=_is_on(common, "click_tracking"),
        files=tuple(map(_file, common.get("attachments", ()))),
    )


def _file(attachment: Json) -> File:
    kind = attachment.get("type", "application/octet-stream")
    return File(attachment["filename"], kind, b64decode(attachment["content"]))


def _filled_address(address: Json, filled: Callable[[str], str]) -> Json:
    return {key: filled(address[key]) for key in ("email", "name") if key in address}


def _is_on(common: Json, tracking: str) -> bool:
    enabled: bool = common.get("tracking_settings", {}).get(tracking, {}).get("enable", False)
    return enabled
