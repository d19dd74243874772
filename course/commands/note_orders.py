"""`minicourse note list`, `show`, `hold` and `cancel`: notes that were ordered."""

import click
from sqlalchemy.orm import Session

from course import audit, courses, holds, note_file, notes
from course.commands.bars import bar
from course.commands.context import (
    ask,
    dry_run_option,
    json_option,
    load,
    print_facts,
    print_json,
    print_table,
    short_time,
    yes_option,
)
from course.errors import RefusedError
from course.holds import Scope
from course.models import Note
from course.notes import Line
from course.states import HoldKind, HoldScope
from course.wording import counted


@click.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the notes that were ordered, and how their mails stand.

    \b
    Example:
      minicourse note list
    """
    context = load()
    with context.raw_database.reading() as session:
        lines = notes.listing(session)
    if as_json:
        print_json(lines)
        return
    print_table(
        [
            ("note", "whole"),
            ("ordered", "whole"),
            *((name, "right") for name in ("pending", "accepted", "cancelled", "other")),
        ],
        [
            (
                f"{line.course}/{line.note}",
                f"{line.ordered_at:%Y-%m-%d}",
                line.pending,
                line.accepted,
                line.cancelled,
                line.other,
            )
            for line in lines
        ],
    )


@click.command()
@click.argument("name", metavar="[COURSE/]NOTE")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a note: its text, when it leaves, and how its mails stand.

    \b
    Example:
      minicourse note show new-date
    """
    context = load()
    with context.raw_database.reading() as session:
        found, line = _standing(session, name)
        text, held = found.text, notes.held_by(session, found)
    if as_json:
        print_json({**_plain(line), "holds": [one.id for one in held], "text": text})
        return
    print_facts(
        [
            ("note", f"{line.course}/{line.note}"),
            ("ordered", line.ordered_at),
            ("by", line.ordered_by),
            ("leaves", _span(line)),
            *(
                fact
                for one in held
                for fact in (
                    ("held since", one.since),
                    ("to let it go", f"minicourse send release {one.id}"),
                )
            ),
            *((name, getattr(line, name)) for name in ("pending", "accepted", "cancelled")),
            ("on their way, unknown or failed", line.other),
        ]
    )
    click.echo()
    click.echo(text.rstrip())


def _standing(session: Session, name: str) -> tuple[Note, Line]:
    """The note of that name, and how its mails stand."""
    found = notes.named(session, name)
    course = courses.by_id(session, found.course_id).slug
    (line,) = notes.listing(session, found.slug, course)
    return found, line


def _plain(line: Line) -> dict[str, object]:
    return {name: getattr(line, name) for name in Line.__dataclass_fields__}


def _span(line: Line) -> str:
    first, last = short_time(line.first_at), short_time(line.last_at)
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"


@click.command()
@click.argument("name", metavar="[COURSE/]NOTE")
def hold(name: str) -> None:
    """Keep back what has not left of a note; a release lets it go.

    \b
    Example:
      minicourse note hold new-date
    """
    context = load()

    def work(session: Session) -> int:
        found, line = _standing(session, name)
        if not line.pending + line.other:
            raise RefusedError(
                f"Nothing of {line.course}/{line.note} is left to hold back: "
                f"{line.accepted:,} accepted, {line.cancelled:,} cancelled"
            )
        scope = Scope(
            HoldScope.LESSON, course_id=found.course_id, lesson=note_file.key_of(found.slug)
        )
        audit.record(session, context.who, "note hold", context.now, note=found.slug)
        return holds.place(
            session, scope, HoldKind.MANUAL, why="a note", who=context.who, now=context.now
        ).id

    number = context.raw_database.run(work)
    click.echo(f"{name} is held. Let it go with: minicourse send release {number}")


@click.command()
@click.argument("name", metavar="[COURSE/]NOTE")
@dry_run_option
@yes_option
def cancel(name: str, dry_run: bool, yes: bool) -> None:
    """Take back what has not left of a note, for good.

    \b
    Example:
      minicourse note cancel new-date --dry-run
    """
    context = load()
    with context.raw_database.reading() as session:
        _, line = _standing(session, name)
    whole = f"{line.course}/{line.note}"
    told = counted(line.pending, "mail")
    if dry_run:
        click.echo(f"{whole}: {told} would be cancelled")
        return
    if not line.pending:
        click.echo(f"{whole}: nothing is left to cancel")
        return
    if line.pending > 1:
        ask(f"{whole}: cancel {told}?", yes)
    total = 0
    with bar("Cancelling", line.pending) as shown:
        while count := context.raw_database.run(
            lambda s: notes.cancel_some(s, notes.named(s, whole), context.now)
        ):
            total += count
            shown.advance(count)
    context.raw_database.run(
        lambda s: audit.record(
            s,
            context.who,
            "note cancel",
            context.now,
            course=line.course,
            note=line.note,
            mails=total,
        )
    )
    click.echo(f"{whole}: {counted(total, 'mail')} cancelled")
