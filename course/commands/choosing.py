"""The options that choose learners; the same for every list, export and order that takes many."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from course.commands.context import F
from course.errors import InvalidInputError
from course.selecting import Selection
from course.states import EnrollmentState

_OPTIONS = (
    click.option("--course", help="Only in this course."),
    click.option("--cohort", metavar="COURSE/NAME", help="Only in this cohort."),
    click.option(
        "--state",
        "states",
        multiple=True,
        type=click.Choice([str(state) for state in EnrollmentState]),
        help="Only those who stand so; may be repeated.",
    ),
    click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only with this tag."),
    click.option(
        "--without-tag", "without_tags", multiple=True, metavar="TAG", help="Only without it."
    ),
    click.option(
        "--progress", metavar="N", help="Only with so many lessons received: 3, '>=2', '<5'."
    ),
    click.option(
        "--field",
        "fields",
        multiple=True,
        metavar="NAME=VALUE",
        help="Only who said this in a field of the course.",
    ),
)
_NAMES = ("course", "cohort", "states", "tags", "without_tags", "progress")


def selection_options(command: F) -> F:
    """The command takes `chosen: Selection` in place of these options."""

    @wraps(command)
    def choosing(*args: Any, fields: tuple[str, ...], **rest: Any) -> Any:
        given = {name: rest.pop(name) for name in _NAMES}
        chosen = Selection(**given, fields=dict(map(pair, fields)))
        return command(*args, chosen=chosen, **rest)

    decorated: Callable[..., Any] = choosing
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[return-value]


def pair(text: str) -> tuple[str, str]:
    """`NAME=VALUE` of an option."""
    name, mark, value = text.partition("=")
    if not mark:
        raise InvalidInputError(f"--field {text!r} is not like NAME=VALUE")
    return name.strip(), value
