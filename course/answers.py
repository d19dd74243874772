"""What the provider's answers mean: one table from status and words to a verdict. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import orjson

from course.people import mask_within

_LONGEST_DETAIL = 200
_LONGEST_SAID = 1000
_LONGEST_WAIT = 3600.0  # a reset time in the wrong unit must not put a lesson off for years


class Verdict(StrEnum):
    """What became of a request, as far as one can know."""

    ACCEPTED = "accepted"  # 202, and nothing else
    NOT_TAKEN = "not_taken"  # a definite no: send it again later
    UNKNOWN = "unknown"  # the answer was lost or broken: nobody can know
    BAD_REQUEST = "bad_request"  # a row or the message is at fault
    TOO_LARGE = "too_large"
    KEY_REFUSED = "key_refused"
    CREDITS_USED_UP = "credits_used_up"
    SENDER_UNVERIFIED = "sender_unverified"
    REFUSED = "refused"  # an answer that the send call should never give; nothing was taken


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict and what is known about it. `detail` is one short line without key or address, to
    be kept; `said` may hold addresses, and is for the log, which has hashes in their place."""

    verdict: Verdict
    status: int | None = None  # None: no HTTP answer came
    x_message_id: str | None = None
    detail: str = ""
    said: str = field(default="", repr=False)
    retry_after_seconds: float | None = None
    bad_rows: tuple[int, ...] = ()  # indexes into the request's personalizations
    whole_message: bool = False  # the fault lies in what all recipients share


# First and last status, words in the answer, verdict: the first row that fits.
_TABLE: tuple[tuple[int, int, str, Verdict], ...] = (
    (200, 200, "", Verdict.REFUSED),  # "valid", in a sandbox mode that was never asked for
    (202, 202, "", Verdict.ACCEPTED),
    (300, 399, "", Verdict.REFUSED),  # following one would turn the POST into a GET
    (400, 400, "", Verdict.BAD_REQUEST),
    (401, 403, "maximum credits exceeded", Verdict.CREDITS_USED_UP),
    (401, 403, "does not match a verified sender identity", Verdict.SENDER_UNVERIFIED),
    (401, 401, "", Verdict.KEY_REFUSED),
    (403, 403, "", Verdict.KEY_REFUSED),
    (408, 408, "", Verdict.UNKNOWN),  # the server gave up waiting: for us, or for its own back end
    (413, 413, "", Verdict.TOO_LARGE),
    (429, 429, "", Verdict.NOT_TAKEN),
    (400, 499, "", Verdict.REFUSED),
)


def verdict_of(status: int, message: str) -> Verdict:
    """What a status and the words of its body mean; whatever is in no row is unknown (5xx)."""
    words = message.lower()
    for first, last, needle, verdict in _TABLE:
        if first <= status <= last and needle in words:
            return verdict
    return Verdict.UNKNOWN


def judge(
    status: int, headers: Mapping[str, str], body: bytes, *, size: int, real: datetime
) -> Answer:
    """Read an HTTP answer to a request of `size` personalizations that came at `real`."""
    errors = _errors(body)
    text = "; ".join(_sentence(error) for error in errors)
    verdict = verdict_of(status, text or body.decode("utf-8", "replace"))
    fields = [_text(error.get("field")) for error in errors]
    said = f"{status} {text or _phrase(status)}"
    return Answer(
        verdict,
        status,
        x_message_id=one_line(headers.get("X-Message-Id") or "")[:255] or None,
        detail=one_line(said),
        said=in_full(said),
        retry_after_seconds=_wait(headers, real) if _is_used_up(verdict, headers) else None,
        bad_rows=_bad_rows(fields, size) if verdict is Verdict.BAD_REQUEST else (),
        whole_message=verdict is Verdict.BAD_REQUEST and any(map(_is_shared, fields)),
    )


def _errors(body: bytes) -> list[dict[str, Any]]:
    """SendGrid's list of errors; empty where the body is something else (413 and 5xx: HTML)."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    errors = found.get("errors") if isinstance(found, dict) else None
    if not isinstance(errors, list):
        return []
    return [error for error in errors if isinstance(error, dict)]


def _sentence(error: dict[str, Any]) -> str:
    path, message = _text(error.get("field")), _text(error.get("message"))
    return f"{path}: {message}" if path else message


def _text(value: object) -> str:
    # An absent field is null, or the string "null".
    return value if isinstance(value, str) and value != "null" else ""


_ROW = re.compile(r"personalizations(?:\.|\[)(\d{1,6})(?!\d)")


def _bad_rows(fields: list[str], size: int) -> tuple[int, ...]:
    rows = {int(found[1]) for path in fields if (found := _ROW.match(path))}
    return tuple(sorted(row for row in rows if row < size))


def _is_shared(path: str) -> bool:
    return bool(path) and not path.startswith("personalizations")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(not an HTTP status)"


def _is_used_up(verdict: Verdict, headers: Mapping[str, str]) -> bool:
    """Whether the provider's rate is, or this was the last request within it."""
    last = headers.get("X-RateLimit-Remaining", "").strip() == "0"
    return verdict is Verdict.NOT_TAKEN or (verdict is Verdict.ACCEPTED and last)


def _wait(headers: Mapping[str, str], real: datetime) -> float | None:
    """Seconds until the provider wants to hear from us again, where it says so."""
    given = headers.get("X-RateLimit-Reset") or headers.get("Retry-After") or ""
    try:
        number = float(given) if _NUMBER.fullmatch(given) else _http_date(given)
    except (ValueError, OverflowError):
        return None
    # The one header holds an instant in unix seconds, the other a length or a date.
    seconds = number - real.timestamp() if number > _UNIX_TIME else number
    return min(max(seconds, 0.0), _LONGEST_WAIT)


_NUMBER = re.compile(r"\d{1,15}(\.\d*)?")
_UNIX_TIME = 1_000_000_000


def _http_date(text: str) -> float:
    return parsedate_to_datetime(text).timestamp()


def one_line(text: str) -> str:
    """Short, printable, and without an address in full."""
    masked = mask_within(_printable(text))
    return masked if len(masked) <= _LONGEST_DETAIL else masked[: _LONGEST_DETAIL - 1] + "…"


def in_full(text: str) -> str:
    """The same with its addresses; one at the end is not cut, but left out."""
    whole = _printable(text)
    return whole if len(whole) <= _LONGEST_SAID else whole[:_LONGEST_SAID].rpartition(" ")[0] + " …"


def _printable(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text[:4000]).split())
