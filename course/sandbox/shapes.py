"""The shape of a request: which JSON type stands where. Rules about values come after it."""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """Why a request is refused, in SendGrid's words; the field is a path such as `content.0`."""

    field: str | None
    message: str


# A shape is a type, a list with the shape of its items, or a dict with the shapes of its values;
# ANY_KEY stands for all keys. What no shape mentions may be anything.
ANY_KEY = "*"
ADDRESS = {"email": str, "name": str}
STRINGS = {ANY_KEY: str}
SWITCHES = {ANY_KEY: {"enable": bool}}
SHARED = {"subject": str, "headers": STRINGS, "custom_args": STRINGS, "send_at": int}
PERSONALIZATION = {
    **SHARED,
    "to": [ADDRESS],
    "cc": [ADDRESS],
    "bcc": [ADDRESS],
    "substitutions": STRINGS,
}
REQUEST = {
    **SHARED,
    "from": ADDRESS,
    "reply_to": ADDRESS,
    "content": [{"type": str, "value": str}],
    "categories": [str],
    "attachments": [{"content": str, "type": str, "filename": str, "disposition": str}],
    "personalizations": [PERSONALIZATION],
    "mail_settings": SWITCHES,
    "tracking_settings": SWITCHES,
}

_NAMES = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
    type(None): "null",
}


def misfits(value: Any, shape: Any, field: str = "") -> Iterator[Problem]:
    """Each place of a JSON value that is of another type than its shape asks."""
    wanted, given = shape if isinstance(shape, type) else type(shape), type(value)
    if given is not wanted:
        message = f"Invalid type. Expected: {_NAMES[wanted]}, given: {_NAMES[given]}."
        yield Problem(field or None, message)
    elif wanted is dict:
        yield from _misfit_members(value, shape, field)
    elif wanted is list:
        for index, item in enumerate(value):
            yield from misfits(item, shape[0], _join(field, index))


def _misfit_members(value: dict[str, Any], shape: dict[str, Any], field: str) -> Iterator[Problem]:
    for key, member in value.items():
        expected = shape.get(key) or shape.get(ANY_KEY)
        # The usual member is a string that is one: it is let through without a further call.
        if expected and type(member) is not expected:
            yield from misfits(member, expected, _join(field, key))


def _join(field: str, part: str | int) -> str:
    return f"{field}.{part}" if field else str(part)
