"""SendGrid's send call: what goes out, what each answer means, and one deadline for all of it.

Nothing here touches the database. The caller commits the line first, then calls `Mailer.send`,
and moves its rows by the verdict.
"""

import re
import ssl
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from typing import Any, NamedTuple

import orjson

from course.answers import Answer, Verdict, in_full, judge, one_line
from course.client import client
from course.errors import SettingsError
from course.wire import Wire, unobserved


class Personalization(NamedTuple):
    """One recipient of a request: what is theirs alone."""

    to: str
    headers: Mapping[str, str]  # the complete set
    custom_args: Mapping[str, str]  # nothing personal: never erased
    name: str = ""
    substitutions: Mapping[str, str] | None = None


class Attachment(NamedTuple):
    """A text file for all people of a request. `type` is a bare media type: the API refuses a
    semicolon in it."""

    filename: str
    type: str
    text: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request: a message and the up to 1,000 people who get it."""

    from_email: str
    from_name: str
    reply_to: str | None
    subject: str
    text: str
    html: str
    categories: tuple[str, ...]
    click_tracking: bool
    open_tracking: bool
    personalizations: tuple[Personalization, ...]
    attachments: tuple[Attachment, ...] = ()
    # It asks whether somebody who once left wants to come back: SendGrid's own list of those who
    # left must not swallow it.
    despite_leaving: bool = False


def payload(outgoing: Outgoing) -> dict[str, Any]:
    """The body of POST /v3/mail/send (Twilio SendGrid's v3 API reference, "Mail Send")."""
    body: dict[str, Any] = {
        "personalizations": [_personalization(person) for person in outgoing.personalizations],
        "from": _address(outgoing.from_email, _ascii(outgoing.from_name)),
        "subject": outgoing.subject,
        "content": [  # the API refuses HTML before text
            {"type": "text/plain", "value": outgoing.text},
            {"type": "text/html", "value": outgoing.html},
        ],
        "tracking_settings": {
            "click_tracking": {"enable": outgoing.click_tracking, "enable_text": False},
            "open_tracking": {"enable": outgoing.open_tracking},
            # SendGrid would add its own footer and keep its own list of who left.
            "subscription_tracking": {"enable": False},
        },
    }
    if outgoing.reply_to:
        body["reply_to"] = _address(outgoing.reply_to)
    if outgoing.categories:
        body["categories"] = list(outgoing.categories)
    if outgoing.despite_leaving:
        body["mail_settings"] = {"bypass_unsubscribe_management": {"enable": True}}
    if outgoing.attachments:
        body["attachments"] = [_attachment(file) for file in outgoing.attachments]
    return body


def _attachment(file: Attachment) -> dict[str, str]:
    return {
        "content": b64encode(file.text.encode()).decode(),
        "type": file.type,
        "filename": file.filename,
        "disposition": "attachment",
    }


def _personalization(person: Personalization) -> dict[str, Any]:
    # Whether headers of the root merge with these is not documented: each carries the whole set.
    body: dict[str, Any] = {
        "to": [_address(person.to, person.name)],
        "headers": person.headers,
        "custom_args": person.custom_args,
    }
    if person.substitutions:
        body["substitutions"] = person.substitutions
    return body


def _address(email: str, name: str = "") -> dict[str, str]:
    # The API takes a comma or a semicolon for the end of an address.
    name = " ".join(name.replace(",", " ").replace(";", " ").split())
    return {"email": email, "name": name} if name else {"email": email}


# The letters that Unicode does not take apart into a base and a mark.
_LATIN = str.maketrans(
    {"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae", "Æ": "Ae", "œ": "oe", "đ": "d"}
)


def _ascii(name: str) -> str:
    """A sender's name in ASCII, which is all the API promises to take: `Jörg` becomes `Jorg`."""
    plain = unicodedata.normalize("NFKD", name.translate(_LATIN))
    return plain.encode("ascii", "ignore").decode()


class Mailer:
    """Sends through SendGrid, or a stand-in for it. May be shared by threads."""

    def __init__(
        self,
        api_key: str,
        host: str,
        deadline_seconds: float,
        reached: Callable[[str], None] = unobserved,
    ) -> None:
        self._key = api_key.strip()
        if not re.fullmatch(r"[!-~]+", self._key):
            raise SettingsError(
                "SENDGRID_API_KEY is empty or has characters that no key has. "
                "Copy it again from SendGrid: Settings, API Keys."
            )
        self._host = host
        self._deadline_seconds = deadline_seconds
        self._reached = reached
        # Made once: reading the certificates takes longer than a whole call.
        self._tls = ssl.create_default_context() if host.startswith("https:") else None

    def send(self, outgoing: Outgoing, real: datetime) -> Answer:
        """POST it and say what became of it; never raises for network or HTTP trouble.

        `real` is the machine's time, against which the provider's times are read.
        """
        body = orjson.dumps(payload(outgoing))
        wire = Wire(body, self._deadline_seconds, self._tls, self._reached)
        try:
            response = self._post(wire)
        except (OSError, HTTPException, ValueError) as error:
            verdict = Verdict.UNKNOWN if wire.began else Verdict.NOT_TAKEN
            said = f"{type(error).__name__}: {error}"
            return Answer(verdict, detail=one_line(said), said=in_full(said))
        finally:
            wire.hang_up()
        return judge(
            response.status_code,
            response.headers,
            # A stand-in, or a proxy between, may echo what it was sent.
            response.body.replace(self._key.encode(), b"***"),
            size=len(outgoing.personalizations),
            real=real,
        )

    def _post(self, wire: Wire) -> Any:
        call = client(self._key, self._host).mail.send
        # The library keeps this step apart so that it can be replaced. Its own follows redirects,
        # has no deadline and cannot tell whether the request had begun to leave; and its own JSON
        # takes longer than all the rest of a call.
        call._make_request = wire.exchange
        return call.post()
