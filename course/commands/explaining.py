"""`minicourse subscriber`: find people, and say why they did or did not get a lesson."""

import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click
from pydantic import SecretStr
from sqlalchemy.orm import Session

from course import asking, explaining, finding
from course.commands.context import (
    WIDTH,
    Context,
    address,
    json_option,
    limit_option,
    load,
    only,
    print_json,
    print_table,
    row_limit,
    say_if_cut,
    short_time,
)
from course.errors import InvalidInputError, NotFoundError
from course.explaining import Explanation, Told
from course.lives import Entry
from course.people import email_hash, mailbox_hash, parse_email
from course.subscribers import Line


def print_lines(lines: list[Line]) -> None:
    one_course = only(line.course for line in lines)
    print_table(
        [(head, "whole") for head in ("email", "cohort", "state", "done")] + ["name"],
        [
            (
                address(line.email),
                line.cohort if one_course else f"{line.course}/{line.cohort}",
                line.state,
                f"{line.received}/{line.lessons}",
                line.name,
            )
            for line in lines
        ],
        title=one_course,
    )


@click.command()
@click.argument("text")
@limit_option
@json_option
def find(text: str, limit: int | None, as_json: bool) -> None:
    """Find people by a part of their address or name, a mail's number or a link.

    The number is the one that travels with a mail, like 3f9a01c2-4711; the link is one to manage or
    to unsubscribe, pasted from a mail.

    \b
    Example:
      minicourse subscriber find kim
    """
    context = load()
    rows = row_limit(limit, as_json)
    with context.raw_database.reading() as session, _or_why_not(session, context, text):
        found = finding.find(session, text, limit=rows)
    if as_json:
        print_json(found)
        return
    print_lines(found)
    say_if_cut(len(found), rows)


@click.command()
@click.argument("email")
@click.option("--course", help="Which one, where they take several.")
@json_option
def explain(email: str, course: str | None, as_json: bool) -> None:
    """Say why a person did or did not get each lesson, and what comes next.

    Each time is said on their own clock, and in UTC.

    \b
    Example:
      minicourse subscriber explain kim@example.com
    """
    context = load()
    with context.raw_database.reading() as session, _or_why_not(session, context, email):
        found = explaining.explain(
            session,
            email,
            course,
            context.now,
            unknown_policy=context.settings.unknown_policy,
            auto_wait_hours=context.settings.auto_wait_hours,
        )
    if as_json:
        print_json(found)
        return
    for line in _sentences(found):
        click.echo(line)


@contextmanager
def _or_why_not(session: Session, context: Context, text: str) -> Iterator[None]:
    """Of an address that nobody has any more, there may be more to say than that."""
    try:
        yield
    except NotFoundError:
        spent = _used_up(session, context.settings.hash_key, text)
        if not spent:
            raise
        raise NotFoundError(f"Nobody is {text.strip()!r}. {' '.join(spent)}") from None


def _used_up(session: Session, key: SecretStr | None, text: str) -> list[str]:
    try:
        email = parse_email(text, sandbox=True)
    except InvalidInputError:
        return []
    if key is None:
        return []
    secret = key.get_secret_value()
    return list(asking.used_up(session, email_hash(email, secret), mailbox_hash(email, secret)))


def _sentences(found: Explanation) -> Iterator[str]:
    yield from _wrapped(f"{found.email} in {found.course}/{found.cohort}: {found.state}")
    yield from _wrapped(" ".join(found.standing), "  ")
    for reason in found.in_the_way:
        yield ""
        yield from _wrapped(f"! {reason}", "  ")
    for number, lesson in enumerate(found.lessons, 1):
        yield ""
        yield from _lesson(number, lesson)


def _lesson(number: int, told: Told) -> Iterable[str]:
    yield from _wrapped(f"{number}. {told.lesson}: {told.subject}")
    for sentence in told.because:
        yield from _wrapped(sentence, "   ")


def _wrapped(text: str, indent: str = "") -> list[str]:
    """Within the screen; a command that one may copy stays whole where it fits."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )


def print_history(entries: list[Entry]) -> None:
    print_table(
        [("when (UTC)", "whole"), ("who", "whole"), "what"],
        [(entry.at, entry.who, _what(entry)) for entry in entries if not entry.is_to_come],
    )
    for entry in entries:
        if entry.is_to_come:
            click.echo(f"To come: {short_time(entry.at)} UTC, {_what(entry)}")


def _what(entry: Entry) -> str:
    where = f"{entry.course}: " if entry.course else ""
    why = f" (why: {entry.why})" if entry.why else ""
    return f"{where}{entry.what}{why}"
