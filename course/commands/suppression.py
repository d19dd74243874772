"""`minicourse suppression`: addresses that may not be mailed."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import click
from sqlalchemy.orm import Session

from course import audit, barring, courses, installation, suppressions, syncing
from course.account import AccountError
from course.barring import Barred
from course.commands.bars import Bar, bar
from course.commands.context import (
    Context,
    address,
    ask,
    dry_run_option,
    json_option,
    limit_option,
    load,
    print_json,
    print_table,
    row_limit,
    say,
    say_if_cut,
    yes_option,
)
from course.commands.privacy import explained, print_array, provider
from course.errors import InvalidInputError, RefusedError
from course.people import email_hash, mask_within, parse_email
from course.provider_lists import NAMES
from course.states import SuppressionReason
from course.syncing import Synced
from course.wording import counted

R = SuppressionReason
BATCH = 1000
_NAMEABLE = [str(reason) for reason in R if reason not in barring.FREELY]
_LAST_SHOWN = 10
_course_option = click.option("--course", help="Only for this course. Default: for all.")


@click.group()
def suppression() -> None:
    """Addresses that may not be mailed: list, add, remove, import, sync.

    They are kept as keyed hashes, also of people who are erased. One that bounced or complained
    gets nothing more; who unsubscribed comes back only by their own confirmation.

    \b
    Example:
      minicourse suppression list
    """


def _here() -> Context:
    """With the key that the hashes are made with."""
    here = load()
    with here.raw_database.reading() as session:
        installation.check_keys(session, here.settings)
    return here


def _hash(here: Context, email: str) -> str:
    return email_hash(parse_email(email, sandbox=True), here.hash_key)


def _course_id(session: Session, course: str | None) -> int | None:
    return courses.live(session, course).id if course else None


# List ---------------------------------------------------------------------------------------------


@suppression.command("list")
@click.option("--email", help="What stands against this address.")
@limit_option
@json_option
def list_(email: str | None, limit: int | None, as_json: bool) -> None:
    """List what stands against which address, the newest first.

    Of an address that is nobody's here, only the beginning of its hash can be shown; --email asks
    about one.

    \b
    Examples:
      minicourse suppression list
      minicourse suppression list --email kim@example.com
    """
    here = _here()
    rows = row_limit(limit, as_json)
    with here.raw_database.reading() as session:
        hashed = _hash(here, email) if email else None
        found = suppressions.entries(session, email_hash=hashed, limit=rows)
        if as_json:
            print_array(found)
            return
        lines = [
            (
                email or address(one.email) if one.email or email else f"{one.email_hash[:12]}…",
                one.course or "all",
                one.reason,
                one.since,
                one.source,
            )
            for one in found
        ]
    if email and not lines:
        click.echo(f"{email} may be mailed: nothing stands against it.")
        return
    print_table(
        [("address", "whole"), "course", ("reason", "whole"), ("since (UTC)", "whole"), "source"],
        lines,
    )
    say_if_cut(len(lines), rows)


# Add and remove -----------------------------------------------------------------------------------


@suppression.command()
@click.argument("email")
@_course_option
@click.option("--why", help="For the record, such as how they asked.")
def add(email: str, course: str | None, why: str | None) -> None:
    """Mail this address no more. What it takes part in ends.

    \b
    Example:
      minicourse suppression add kim@example.com --why "asked by phone"
    """
    here = _here()
    hashed = _hash(here, email)

    def work(session: Session) -> Barred:
        course_id = _course_id(session, course)
        audit.record(
            session,
            here.who,
            "suppression add",
            here.now,
            why=mask_within(why) if why else None,
            subscriber_id=barring.whose(session, hashed),
            course=course,
        )
        return barring.bar(session, [hashed], course_id, "command line", here.now)

    done = here.raw_database.run(work)
    scope = f"for {course}" if course else "for everything"
    if not done.new:
        click.echo(f"{email} was suppressed {scope} already")
        return
    click.echo(f"{email} is suppressed {scope}; {counted(done.stopped, 'course')} ended")


@suppression.command()
@click.argument("email")
@_course_option
@click.option(
    "--despite",
    multiple=True,
    type=click.Choice(_NAMEABLE),
    help="Also what was not added by hand; each reason by its name.",
)
@click.option("--at-sendgrid", is_flag=True, help="Out of SendGrid's own lists, too.")
@yes_option
def remove(
    email: str, course: str | None, despite: tuple[str, ...], at_sendgrid: bool, yes: bool
) -> None:
    """Take back what stands against an address.

    What you added goes. What a mail server or the person said stays, unless you name it: mailing
    who complained or left costs you your good name, and may be against the law. Nobody is put
    back into a course.

    \b
    Example:
      minicourse suppression remove kim@example.com

    With a complaint: minicourse suppression remove EMAIL --despite complained
    """
    here = _here()
    hashed, reasons = _hash(here, email), [R(word) for word in despite]
    with here.raw_database.reading() as session:
        course_id = _course_id(session, course)
        found = [
            one for one in suppressions.standing(session, [hashed]) if one.course_id == course_id
        ]
    others = sorted({one.reason for one in found} - {*barring.FREELY, *reasons})
    if others and not any(one.reason in {*barring.FREELY, *reasons} for one in found):
        words = " ".join(f"--despite {reason}" for reason in others)
        raise RefusedError(
            f"{email} is suppressed for: {', '.join(others)}. If you are sure that you may mail "
            f"this person: minicourse suppression remove {email} {words}"
        )
    if not found and not at_sendgrid:
        click.echo(f"Nothing stood against {email}.")
        return
    ask(f"Mail {email} again, if they sign up?", yes)
    removed = here.raw_database.run(
        lambda s: barring.unbar(s, hashed, course_id, reasons, who=here.who, now=here.now)
    )
    click.echo(f"{email}: removed {', '.join(removed) or 'nothing'}")
    if others:
        say(f"Still standing: {', '.join(others)}")
    if at_sendgrid:
        _remove_there(here, email, [R(reason) for reason in removed] or reasons)


def _remove_there(here: Context, email: str, reasons: list[R]) -> None:
    names = sorted({name for reason in reasons for name in barring.LISTS.get(reason, ())})
    try:
        gone = [name for name in names if provider(here).remove(name, parse_email(email))]
    except AccountError as error:
        words = " ".join(f"--despite {reason}" for reason in reasons if reason in _NAMEABLE)
        then = f"minicourse suppression remove {email} {words} --at-sendgrid"
        raise explained(error, "suppression.delete", then) from None
    say(f"Out of SendGrid's lists: {', '.join(gone) or 'it was in none of them'}")


# Import -------------------------------------------------------------------------------------------


@dataclass
class _Sheet:
    """The addresses of a file, a line at a time; what is none is put aside."""

    path: Path
    column: str
    bad: list[str] = field(default_factory=list)
    read: int = 0

    def __iter__(self) -> Iterator[str]:
        self.bad, self.read = [], 0
        with self.path.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.reader(opened)
            for number, row in enumerate(rows, 1):
                if number == 1:
                    place = self._place(row)
                    if self.column in _names(row):
                        continue
                text = row[place] if len(row) > place else ""
                if not text.strip():
                    continue
                self.read += 1
                try:
                    yield parse_email(text, sandbox=True)
                except InvalidInputError as error:
                    self.bad.append(f"line {number}: {error}")

    def _place(self, head: list[str]) -> int:
        """A file without that column has addresses alone."""
        names = _names(head)
        if self.column in names:
            return names.index(self.column)
        if len(head) > 1:
            raise InvalidInputError(
                f"{self.path} has no column {self.column!r}, but: {', '.join(names)}. "
                "Name the one with the addresses: --column NAME"
            )
        return 0


def _batches(addresses: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(addresses)
    while some := list(islice(rest, BATCH)):
        yield some


def _names(head: list[str]) -> list[str]:
    return [name.strip().lower() for name in head]


@suppression.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--column", default="email", show_default=True, help="Where the addresses stand.")
@_course_option
@dry_run_option
@yes_option
@json_option
def import_(
    file: Path, column: str, course: str | None, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Mail the addresses in FILE no more: one a line, or a column of a CSV file.

    Such as the unsubscribed of another program. What they take part in ends.

    \b
    Example:
      minicourse suppression import people.csv --dry-run
    """
    here = _here()
    sheet = _Sheet(file, column.strip().lower())
    total = Barred()
    with here.raw_database.reading() as session:
        course_id = _course_id(session, course)
        with bar("Looking") as shown:
            for some in _batches(sheet):
                total += barring.would_bar(session, [_hash(here, one) for one in some], course_id)
                shown.advance(len(some))
    if not dry_run:
        if total.stopped:
            ask(f"End {counted(total.stopped, 'course')} of people in {file}?", yes)
        with bar("Importing", sheet.read) as shown:
            total = _import(here, sheet, course, course_id, shown)
    if as_json:
        found = {"read": sheet.read, "new": total.new, "stopped": total.stopped}
        print_json(found | {"invalid": len(sheet.bad)})
        return
    done = "would be suppressed" if dry_run else "suppressed"
    ended = "would end" if dry_run else "ended"
    click.echo(
        f"{sheet.read:,} read, {total.new:,} {done}; {counted(total.stopped, 'course')} {ended}"
    )
    for line in sheet.bad[:_LAST_SHOWN]:
        say(line)
    if len(sheet.bad) > _LAST_SHOWN:
        say(f"… and {len(sheet.bad) - _LAST_SHOWN:,} more that are no addresses")


def _import(
    here: Context, sheet: _Sheet, course: str | None, course_id: int | None, shown: Bar
) -> Barred:
    source, total = f"import of {sheet.path.name}", Barred()
    for some in _batches(sheet):
        hashes = [_hash(here, one) for one in some]
        total += here.raw_database.run(
            partial(
                barring.bar,
                email_hashes=hashes,
                course_id=course_id,
                source=source,
                now=here.now,
            )
        )
        shown.advance(len(some))
    here.raw_database.run(
        lambda s: audit.record(
            s,
            here.who,
            "suppression import",
            here.now,
            file=sheet.path.name,
            course=course,
            new=total.new,
            stopped=total.stopped,
        )
    )
    return total


# Sync ---------------------------------------------------------------------------------------------


@suppression.command()
@click.option("--all", "everything", is_flag=True, help="From the beginning, not only what is new.")
@dry_run_option
@json_option
def sync(everything: bool, dry_run: bool, as_json: bool) -> None:
    """Bring SendGrid's own lists and yours in step.

    Whom SendGrid does not mail (bounces, spam reports, invalid addresses, unsubscribes) is
    suppressed here, and what they take part in ends. Blocks are only counted: one refusal says
    little. Who confirmed anew is taken out of SendGrid's unsubscribes. The key of SENDGRID_API_KEY
    needs the rights suppression.read and suppression.delete for it.

    \b
    Examples:
      minicourse suppression sync --dry-run
      minicourse suppression sync
    """
    here = _here()
    lists = provider(here)
    found: list[Synced] = []
    try:
        reading = syncing.sync(
            here.raw_database,
            lists,
            here.now,
            hash_key=here.hash_key,
            since_ever=everything,
            dry_run=dry_run,
        )
        with bar("Lists", len(NAMES)) as shown:
            found += shown.each(reading)
        lifted = 0 if dry_run else syncing.lift(here.raw_database, lists)
    except AccountError as error:
        then = "minicourse suppression sync"
        raise explained(error, "suppression.read and suppression.delete", then) from None
    with here.raw_database.reading() as session:
        waiting = syncing.waiting(session)
    if as_json:
        print_json({"lists": found, "lifted": lifted, "to_lift": waiting})
        return
    print_table(
        ["list", ("read", "right"), ("new here", "right"), ("courses ended", "right")],
        [(one.list.replace("_", " "), one.read, one.new, one.stopped) for one in found],
    )
    if lifted or waiting:
        say(f"Unsubscribes taken back there: {lifted}, still to do: {waiting}")
