"""`minicourse suppression import`: a file of addresses that may not be mailed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import click

from course import audit, barring
from course.barring import Barred
from course.commands.bars import Bar, bar
from course.commands.context import (
    Context,
    ask,
    dry_run_option,
    json_option,
    print_json,
    say,
    yes_option,
)
from course.commands.suppression_scope import course_option, hash_of, id_of, keyed
from course.errors import InvalidInputError
from course.sheets import Addresses, Bad, opened
from course.wording import counted

BATCH = 1000
_LAST_SHOWN = 10


@dataclass
class _List:
    """The addresses of a file, a line at a time; what is none is put aside."""

    path: Path
    column: str | None
    bad: list[str] = field(default_factory=list)
    read: int = 0

    def __iter__(self) -> Iterator[str]:
        self.bad, self.read = [], 0
        with opened(self.path) as lines:
            for item in Addresses(lines, self.column):
                self.read += 1
                if isinstance(item, Bad):
                    self.bad.append(f"line {item.line}: {item.reason}")
                else:
                    yield item

    def require_some(self) -> None:
        if self.read and self.read == len(self.bad):
            raise InvalidInputError(
                f"Nobody in {self.path}: not one of its rows has an address that can be read, so "
                "nothing was done. Write one a line, or say where they stand: --column NAME"
            )

    def say_bad(self) -> None:
        for line in self.bad[:_LAST_SHOWN]:
            say(line)
        if len(self.bad) > _LAST_SHOWN:
            say(f"… and {len(self.bad) - _LAST_SHOWN:,} more that are no addresses")


def _batches(addresses: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(addresses)
    while some := list(islice(rest, BATCH)):
        yield some


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--column", metavar="NAME", help="Where the addresses stand. Default: email.")
@course_option
@dry_run_option
@yes_option
@json_option
def import_(
    file: Path, column: str | None, course: str | None, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Mail the addresses in FILE no more: one a line, or a column of a CSV file.

    Such as the unsubscribed of another program. What they take part in ends. Rows
    without an address are told; a file in which no row has one is refused.

    \b
    Example:
      minicourse suppression import people.csv --dry-run
    """
    if not file.is_file():
        raise InvalidInputError(f"{file} is no file; it is read twice: save the list in one first")
    here = keyed()
    sheet = _List(file, column)
    total = Barred()
    with here.raw_database.reading() as session:
        course_id = id_of(session, course)
        with bar("Looking") as shown:
            for some in _batches(sheet):
                total += barring.would_bar(session, [hash_of(here, one) for one in some], course_id)
                shown.advance(len(some))
    sheet.say_bad()
    sheet.require_some()
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


def _import(
    here: Context, sheet: _List, course: str | None, course_id: int | None, shown: Bar
) -> Barred:
    source, total = f"import of {sheet.path.name}", Barred()
    for some in _batches(sheet):
        hashes = [hash_of(here, one) for one in some]
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
