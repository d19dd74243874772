"""`minicourse subscriber`: orders about one learner, or about all who are chosen."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial, wraps
from typing import Any

import click
from sqlalchemy.orm import Session

from course import moving, selecting, steering, tags
from course.commands.bars import bar
from course.commands.choosing import selection_options
from course.commands.context import (
    DATE,
    ROWS,
    Context,
    F,
    ask,
    dry_run_option,
    json_option,
    load,
    print_json,
    say,
    yes_option,
)
from course.errors import InvalidInputError, RefusedError
from course.moving import Move
from course.pausing import Pause, Resume
from course.repeating import Resend, Rewind
from course.selecting import Selection
from course.skipping import Skip
from course.steering import Fate, Judged, Order
from course.tags import DropTag, SetTag
from course.wording import counted

OrderOf = Callable[[Session], Order]

why_option = click.option("--why", help="For the record, such as how they asked.")
course_option = click.option("--course", help="Which one, where they take several.")


@dataclass(frozen=True)
class Whom:
    """Who is meant, and how the order is to be given."""

    email: str | None
    chosen: Selection
    dry_run: bool
    yes: bool
    why: str | None
    as_json: bool

    def ids(self, session: Session) -> list[int]:
        if self.email is None:
            return selecting.ids(session, self.chosen)
        return [steering.one_of(session, self.email, self.chosen.course)]


def many(command: F) -> F:
    """The command takes EMAIL or options that choose learners, and gets `whom: Whom`."""

    @wraps(command)
    def choosing(*args: Any, email: str | None, chosen: Selection, **rest: Any) -> Any:
        if email and chosen != Selection(course=chosen.course):
            raise click.UsageError("Write EMAIL, or options that choose people; not both.")
        if not email and not chosen:
            raise click.UsageError("Say whom: EMAIL, or choose people, like --cohort COURSE/NAME.")
        how = {name: rest.pop(name) for name in ("dry_run", "yes", "why", "as_json")}
        return command(*args, whom=Whom(email, chosen, **how), **rest)

    decorated: Callable[..., Any] = choosing
    for option in (json_option, yes_option, dry_run_option, why_option):
        decorated = option(decorated)
    decorated = selection_options(decorated)
    return click.argument("email", required=False)(decorated)  # type: ignore[return-value]


def one(command: F) -> F:
    """The command is about one person, and gets `whom: Whom`."""

    @wraps(command)
    def choosing(*args: Any, email: str, course: str | None, **rest: Any) -> Any:
        how = {name: rest.pop(name) for name in ("dry_run", "yes", "why", "as_json")}
        return command(*args, whom=Whom(email, Selection(course=course), **how), **rest)

    decorated: Callable[..., Any] = choosing
    for option in (json_option, yes_option, dry_run_option, why_option, course_option):
        decorated = option(decorated)
    return click.argument("email")(decorated)  # type: ignore[return-value]


# The orders ---------------------------------------------------------------------------------------


@click.command()
@click.argument("tag")
@many
def tag(tag: str, whom: Whom) -> None:
    """Keep a word with people, to choose them by later.

    \b
    Examples:
      minicourse subscriber tag vip kim@example.com
      minicourse subscriber tag early --cohort evergreen --progress 0 --yes
    """
    _give(lambda _: SetTag(tags.read(tag)), whom)


@click.command()
@click.argument("tag")
@many
def untag(tag: str, whom: Whom) -> None:
    """Take such a word away again.

    \b
    Example:
      minicourse subscriber untag vip kim@example.com
    """
    _give(lambda _: DropTag(tags.read(tag)), whom)


@click.command()
@many
@click.option("--until", type=DATE, help="Lessons again from that day on, YYYY-MM-DD.")
@click.option("--for", "length", metavar="LENGTH", help="For so long: 10d or 2w.")
def pause(whom: Whom, until: datetime | None, length: str | None) -> None:
    """Send no lessons for a while; without a day, until they are resumed. None is lost.

    \b
    Examples:
      minicourse subscriber pause kim@example.com --for 1w
      minicourse subscriber pause --cohort evergreen --until 2030-01-07 --yes
    """
    if until and length:
        raise click.UsageError("Say --until or --for, not both.")
    order = Pause(until.date() if until else None, _days(length) if length else None)
    _give(lambda _: order, whom)


@click.command()
@many
def resume(whom: Whom) -> None:
    """Let people go on now. What became late comes as the course says of late lessons.

    \b
    Examples:
      minicourse subscriber resume kim@example.com
      minicourse subscriber resume --state paused --dry-run
    """
    _give(lambda _: Resume(), whom)


@click.command()
@many
@click.option("--lesson", metavar="SLUG", help="This one. Default: the next one.")
def skip(whom: Whom, lesson: str | None) -> None:
    """Leave a lesson out that has not left yet. The one after it takes its place.

    \b
    Examples:
      minicourse subscriber skip kim@example.com
      minicourse subscriber skip --cohort evergreen --lesson plan-b --dry-run
    """
    _give(lambda _: Skip(lesson), whom)


@click.command()
@many
@click.option("--to", "into", required=True, metavar="COURSE/COHORT", help="The other cohort.")
def move(whom: Whom, into: str) -> None:
    """Put people into another cohort of the same course.

    Who has begun goes on where they are; who has not begins when that cohort does.

    \b
    Examples:
      minicourse subscriber move kim@example.com --to job-search/spring
      minicourse subscriber move --progress 0 --to job-search/spring --dry-run
    """
    _give(lambda session: Move(moving.target(session, into).id), whom)


@click.command()
@one
@click.option("--to", "lesson", required=True, metavar="SLUG", help="The first one to be sent.")
def rewind(whom: Whom, lesson: str) -> None:
    """Send a lesson and all behind it once more, each at its time.

    \b
    Examples:
      minicourse subscriber rewind kim@example.com --to network --dry-run
      minicourse subscriber rewind kim@example.com --to network --yes
    """
    _give(lambda _: Rewind(lesson), whom, warning="They have had them before.")


@click.command()
@one
@click.option("--lesson", required=True, metavar="SLUG", help="Which mail.")
def resend(whom: Whom, lesson: str) -> None:
    """Send one mail again, at once; the rest of the course stays where it is.

    \b
    Examples:
      minicourse subscriber resend kim@example.com --lesson network --dry-run
      minicourse subscriber resend kim@example.com --lesson network --yes
    """
    _give(lambda _: Resend(lesson), whom, warning="They get it twice.")


COMMANDS: tuple[click.Command, ...] = (
    *(tag, untag, pause, resume),
    *(skip, move, rewind, resend),
)


def _days(text: str) -> int:
    found = re.fullmatch(r"(\d{1,3})([dw])", text)
    if not found or not int(found[1]):
        raise InvalidInputError(f"--for {text!r} is no length; write it like 10d or 2w")
    return int(found[1]) * (7 if found[2] == "w" else 1)


# How they are given -------------------------------------------------------------------------------


@dataclass
class Told:
    """Whom an order touches, and whom it does not."""

    is_done: bool = False
    touched: list[Judged] = field(default_factory=list)
    left_out: list[Judged] = field(default_factory=list)

    def add(self, judged: Sequence[Judged]) -> None:
        for each in judged:
            (self.touched if each.is_touched else self.left_out).append(each)


def _give(order_of: OrderOf, whom: Whom, *, warning: str = "") -> None:
    """Look, ask where more than one person is touched or `warning` says why, and do it."""
    context = load()
    ids, told = _look(context, order_of, whom)
    if whom.email and told.left_out and told.left_out[0].fate is Fate.REFUSED:
        raise RefusedError(f"{told.left_out[0].email} {told.left_out[0].words}")
    if told.touched and not whom.dry_run:
        if len(told.touched) > 1:
            ask(f"{len(told.touched):,} people: {_first(told)}. Go on?", whom.yes)
        elif warning:
            ask(f"{_line(told.touched[0])}. {warning} Go on?", whom.yes)
        told = _do(context, order_of, whom, ids)
    if whom.as_json:
        print_json(told)
    else:
        _print(told)


def _look(context: Context, order_of: OrderOf, whom: Whom) -> tuple[list[int], Told]:
    told = Told()
    with context.raw_database.reading() as session:
        ids, order = whom.ids(session), order_of(session)
        with bar("Looking", len(ids)) as shown:
            for batch in _batches(ids):
                told.add(steering.look(session, order, batch, context.now))
                session.expunge_all()
                shown.advance(len(batch))
    return ids, told


def _do(context: Context, order_of: OrderOf, whom: Whom, ids: Sequence[int]) -> Told:
    """Batch by batch, so that nobody else waits long."""
    told = Told(is_done=True)

    def give(session: Session, batch: Sequence[int]) -> list[Judged]:
        return steering.give(
            session, order_of(session), batch, who=context.who, now=context.now, why=whom.why
        )

    with bar("Learners", len(ids)) as shown:
        for batch in _batches(ids):
            told.add(context.raw_database.run(partial(give, batch=batch)))
            shown.advance(len(batch))
    return told


def _batches(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + steering.BATCH] for start in range(0, len(ids), steering.BATCH)]


def _first(told: Told) -> str:
    words = {each.words for each in told.touched}
    return words.pop() if len(words) == 1 else f"{_line(told.touched[0])}, and so on"


def _line(judged: Judged) -> str:
    return f"{judged.email or '(erased)'}: {judged.words}"


def _print(told: Told) -> None:
    for each in told.touched[:ROWS]:
        click.echo(_line(each))
    if len(told.touched) > ROWS:
        click.echo(f"… and {len(told.touched) - ROWS:,} more")
    count = counted(len(told.touched), "person", "people")
    if not told.is_done and told.touched:
        click.echo(f"Nothing is changed: {count} would be.")
    elif not told.touched and not told.left_out:
        click.echo("Nobody is meant.")
    elif len(told.touched) > 1:
        click.echo(f"Done, for {count}.")
    _print_left_out(told)


def _print_left_out(told: Told) -> None:
    if not told.touched and len(told.left_out) == 1:
        click.echo(_line(told.left_out[0]))
        return
    for each in told.left_out[:ROWS]:
        say(f"Not {_line(each)}")
    if len(told.left_out) > ROWS:
        say(f"… and {len(told.left_out) - ROWS:,} more not; all with: --json")
