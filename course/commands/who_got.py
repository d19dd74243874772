"""`minicourse delivery who-got`: the recipients of a revision, streamed."""

from collections.abc import Iterable, Sequence

import click
import orjson
from sqlalchemy.orm import Session

from course import courses, curriculum, recipients
from course.commands.context import json_option, load, say, short_time
from course.courses import Live
from course.errors import InvalidInputError
from course.models import Revision
from course.recipients import Got


@click.command("who-got")
@click.argument("words", metavar="[COURSE] REV", nargs=-1)
@click.option("--lesson", metavar="SLUG", help="Only this lesson.")
@json_option
def who_got(words: tuple[str, ...], lesson: str | None, as_json: bool) -> None:
    """List who was sent a revision: each mail that left with it, the oldest first.

    COURSE may be left out where there is only one. How many they are is said at the end.

    \b
    Examples:
      minicourse delivery who-got 1
      minicourse delivery who-got job-search 1 --lesson welcome
    """
    number = _revision_of(words)
    context = load()
    with context.raw_database.reading() as session:
        live = _course(session, words[:-1])
        revision = recipients.revision(session, live.id, live.slug, number)
        _require_lesson(live, revision, lesson)
    found = recipients.who_got(context.raw_database.reading, revision.id, lesson)
    count = _stream_json(found) if as_json else _stream(found)
    say(f"{live.slug}, revision {revision.number}: {count:,} mails left")


def _course(session: Session, name: Sequence[str]) -> Live:
    if name:
        return courses.live(session, name[0])
    found = courses.all_live(session)
    if len(found) != 1:
        known = ", ".join(one.slug for one in found) or "none"
        raise InvalidInputError(
            f"Which course? There is: {known}. Write: minicourse delivery who-got COURSE REV"
        )
    return found[0]


def _revision_of(words: Sequence[str]) -> int:
    if not 1 <= len(words) <= 2:
        raise click.UsageError("Write: minicourse delivery who-got [COURSE] REV")
    if not (words[-1].isascii() and words[-1].isdigit() and len(words[-1]) < 10):
        raise click.UsageError(f"{words[-1]!r} is no revision's number.")
    return int(words[-1])


def _require_lesson(live: Live, revision: Revision, lesson: str | None) -> None:
    """A misspelt slug must not pass for one that nobody got."""
    if lesson is not None:
        curriculum.parse(live.slug, revision.files).lesson(lesson)


def _stream(found: Iterable[Got]) -> int:
    """A line each, whatever its length, in columns that need not be measured first: for a screen
    as for `grep`."""
    count = 0
    click.echo(f"{'when (UTC)':16}  {'state':8}  {'mail':20}  to")
    for count, one in enumerate(found, 1):  # noqa: B007
        at, to = short_time(one.at), one.email or "(erased)"
        click.echo(f"{at:16}  {one.state:8}  {one.message:20}  {to}")
    return count


def _stream_json(found: Iterable[Got]) -> int:
    """One array, of which no more than an object is held."""
    count = 0
    for count, one in enumerate(found, 1):
        click.echo(b"[\n  " if count == 1 else b",\n  ", nl=False)
        click.echo(orjson.dumps(one), nl=False)
    click.echo(b"\n]" if count else b"[]")
    return count
