"""SendGrid's rules for `POST /v3/mail/send`, as its documentation states them.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors
Where the documentation leaves a rule open, the stricter reading holds here.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import orjson

from course.sandbox.shapes import REQUEST, Problem, misfits

Payload = dict[str, Any]

MAX_PERSONALIZATIONS = 1000
MAX_RECIPIENTS = 1000
MAX_BODY_BYTES = 30_000_000 - 1
MAX_SUBSTITUTION_BYTES = 10_000
MAX_CUSTOM_ARGS_BYTES = 10_000
MAX_CATEGORIES = 10
MAX_CATEGORY_LENGTH = 255
MAX_ADDRESS_LENGTH = 320
MAX_AHEAD = timedelta(hours=72)
RESERVED_HEADERS = frozenset(
    "x-sg-id x-sg-eid received dkim-signature content-type content-transfer-encoding "
    "to from subject reply-to cc bcc".split()
)
ADDRESS_FORM = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+\.[^\s@<>,;\".]+")
HELP = "https://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html#message."


def problems(payload: object, now: datetime) -> list[Problem]:
    """All that SendGrid would refuse in a decoded request body; empty for a good one."""
    if not isinstance(payload, dict):
        return [Problem(None, "Bad Request")]
    return list(misfits(payload, REQUEST)) or [p for rule in RULES for p in rule(payload, now)]


def as_error(problem: Problem) -> dict[str, str | None]:
    """One member of the answer's `errors`, as SendGrid writes it."""
    topic = re.sub(r"\.\d+", "", problem.field) if problem.field else None
    help_url = HELP + topic if topic else None
    return {"message": problem.message, "field": problem.field, "help": help_url}


def json_size(value: object) -> int:
    return len(orjson.dumps(value))


def _personalizations(payload: Payload) -> Iterator[tuple[str, Payload]]:
    for index, personalization in enumerate(payload.get("personalizations", [])):
        yield f"personalizations.{index}", personalization


def _levels(payload: Payload) -> Iterator[tuple[str, Payload]]:
    """The root and each personalization, with the beginning of their fields' paths."""
    yield "", payload
    for field, personalization in _personalizations(payload):
        yield f"{field}.", personalization


def _recipients(payload: Payload) -> Iterator[tuple[str, Payload]]:
    for field, personalization in _personalizations(payload):
        for kind in ("to", "cc", "bcc"):
            for index, address in enumerate(personalization.get(kind, ())):
                yield f"{field}.{kind}.{index}", address


def _count_of_personalizations(payload: Payload, _: datetime) -> Iterator[Problem]:
    count = len(payload.get("personalizations", ()))
    if count == 0:
        yield Problem(
            "personalizations",
            "The personalizations field is required and must have at least one personalization.",
        )
    if count > MAX_PERSONALIZATIONS:
        yield Problem(
            "personalizations",
            f"The personalization block is limited to {MAX_PERSONALIZATIONS} personalizations "
            f"per API request. You have provided {count} personalizations. Please consider "
            "splitting this into multiple requests and resending your request.",
        )


def _to_is_required(payload: Payload, _: datetime) -> Iterator[Problem]:
    for field, personalization in _personalizations(payload):
        if not personalization.get("to"):
            yield Problem(
                f"{field}.to",
                "The to array is required for all personalization objects, and must have at "
                "least one email object with a valid email address.",
            )


def _count_of_recipients(payload: Payload, _: datetime) -> Iterator[Problem]:
    if sum(1 for _ in _recipients(payload)) > MAX_RECIPIENTS:
        yield Problem(
            "personalizations",
            f"There is a limit of {MAX_RECIPIENTS} total recipients (to + cc + bcc) per request.",
        )


def _each_address_once(payload: Payload, _: datetime) -> Iterator[Problem]:
    seen: set[str] = set()
    for field, address in _recipients(payload):
        email = address.get("email", "").lower()
        if email in seen:
            yield Problem(
                field.rpartition(".")[0],
                "Each unique email address in the personalizations array should only be "
                f"included once. You have included [{email}] more than once.",
            )
        seen.add(email)


def _address_problem(field: str, address: Payload) -> Iterator[Problem]:
    email = address.get("email", "")
    if len(email) > MAX_ADDRESS_LENGTH or not ADDRESS_FORM.fullmatch(email):
        yield Problem(f"{field}.email", "Does not contain a valid address.")


def _recipients_are_addresses(payload: Payload, _: datetime) -> Iterator[Problem]:
    for field, address in _recipients(payload):
        yield from _address_problem(field, address)
        if {";", ","}.intersection(address.get("name", "")):
            yield Problem(f"{field}.name", "The name cannot contain semicolons or commas.")


def _from_is_an_address(payload: Payload, _: datetime) -> Iterator[Problem]:
    sender = payload.get("from", {})
    if not sender.get("email"):
        yield Problem(
            "from.email",
            "The from object must be provided for every email send. It is an object that "
            "requires the email parameter, but may also contain a name parameter.",
        )
        return
    yield from _address_problem("from", sender)
    if not sender["email"].isascii():
        yield Problem("from.email", "Unicode is not supported in the from address.")


def _reply_to_is_an_address(payload: Payload, _: datetime) -> Iterator[Problem]:
    if "reply_to" in payload:
        yield from _address_problem("reply_to", payload["reply_to"])


def _subject_is_required(payload: Payload, _: datetime) -> Iterator[Problem]:
    if payload.get("subject"):
        return
    if not all(personalization.get("subject") for _, personalization in _personalizations(payload)):
        yield Problem(
            "subject",
            "The subject is required. You can get around this requirement if you use a template "
            "with a subject defined or if every personalization has a subject defined.",
        )


def _content_is_required(payload: Payload, _: datetime) -> Iterator[Problem]:
    if not payload.get("content"):
        yield Problem(
            "content",
            "Unless a valid template_id is provided, the content parameter is required. There "
            "must be at least one defined content block.",
        )
    for index, part in enumerate(payload.get("content", ())):
        for key in ("type", "value"):
            if not part.get(key):
                yield Problem(
                    f"content.{index}.{key}",
                    f"The content {key} must be a string at least one character in length.",
                )


def _content_is_in_order(payload: Payload, _: datetime) -> Iterator[Problem]:
    order = {"text/plain": 0, "text/html": 1}
    ranks = [order.get(part.get("type"), 2) for part in payload.get("content", ())]
    if ranks != sorted(ranks):
        yield Problem(
            "content",
            "If more than one content is provided, text/plain must be first, followed by "
            "text/html, followed by any other content.",
        )
    if ranks.count(0) > 1 or ranks.count(1) > 1:
        yield Problem("content", "If present, text/plain and text/html may only be provided once.")


def _attachments_are_files(payload: Payload, _: datetime) -> Iterator[Problem]:
    for index, file in enumerate(payload.get("attachments", ())):
        field = f"attachments.{index}"
        for key in ("content", "filename"):
            if not file.get(key):
                yield Problem(
                    f"{field}.{key}",
                    f"The attachment {key} must be a string at least one character in length.",
                )
        if not _is_base64(file.get("content", "")):
            yield Problem(f"{field}.content", "The attachment content must be base64 encoded.")
        if set(";\r\n").intersection(file.get("type", "")):
            yield Problem(f"{field}.type", "The type cannot contain ';', or CRLF characters.")
        if file.get("disposition", "attachment") not in ("attachment", "inline"):
            yield Problem(
                f"{field}.disposition",
                'The disposition can be either "inline" or "attachment".',
            )


def _is_base64(text: str) -> bool:
    try:
        b64decode(text, validate=True)
    except ValueError:
        return False
    return True


def _substitutions_are_small(payload: Payload, _: datetime) -> Iterator[Problem]:
    for field, personalization in _personalizations(payload):
        if json_size(personalization.get("substitutions", {})) > MAX_SUBSTITUTION_BYTES:
            yield Problem(
                f"{field}.substitutions",
                "The total collective size of your substitutions may not exceed "
                f"{MAX_SUBSTITUTION_BYTES} bytes per personalization object.",
            )


def _custom_args_are_small(payload: Payload, _: datetime) -> Iterator[Problem]:
    root = payload.get("custom_args", {})
    for field, personalization in _personalizations(payload):
        if json_size(root | personalization.get("custom_args", {})) > MAX_CUSTOM_ARGS_BYTES:
            yield Problem(
                f"{field}.custom_args",
                "The combined total size of custom arguments may not exceed "
                f"{MAX_CUSTOM_ARGS_BYTES} bytes per personalization.",
            )


def _categories_are_few(payload: Payload, _: datetime) -> Iterator[Problem]:
    categories = payload.get("categories", [])
    if len(categories) > MAX_CATEGORIES:
        yield Problem("categories", f"You may not have more than {MAX_CATEGORIES} categories.")
    if len(set(categories)) < len(categories):
        yield Problem("categories", "Categories must be unique within a request.")
    for index, category in enumerate(categories):
        if len(category) > MAX_CATEGORY_LENGTH or not category.isascii():
            yield Problem(
                f"categories.{index}",
                f"Category names are ASCII and at most {MAX_CATEGORY_LENGTH} characters long.",
            )


def _headers_are_allowed(payload: Payload, _: datetime) -> Iterator[Problem]:
    for prefix, level in _levels(payload):
        for name in level.get("headers", ()):
            if name.lower() in RESERVED_HEADERS:
                message = f"Header can not be one of the reserved keys: {name}."
                yield Problem(f"{prefix}headers.{name}", message)
            if not name or not name.isascii():
                message = "Header names are ASCII and at least one character long."
                yield Problem(f"{prefix}headers.{name}", message)


def _send_at_is_soon(payload: Payload, now: datetime) -> Iterator[Problem]:
    for prefix, level in _levels(payload):
        if level.get("send_at", 0) > (now + MAX_AHEAD).timestamp():
            yield Problem(
                f"{prefix}send_at",
                "Scheduling more than 72 hours in advance is forbidden.",
            )


RULES: tuple[Callable[[Payload, datetime], Iterator[Problem]], ...] = (
    _count_of_personalizations,
    _to_is_required,
    _count_of_recipients,
    _each_address_once,
    _recipients_are_addresses,
    _from_is_an_address,
    _reply_to_is_an_address,
    _subject_is_required,
    _content_is_required,
    _content_is_in_order,
    _attachments_are_files,
    _substitutions_are_small,
    _custom_args_are_small,
    _categories_are_few,
    _headers_are_allowed,
    _send_at_is_soon,
)
