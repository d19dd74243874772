"""`minicourse subscriber import`: people out of a CSV file."""

import time
from itertools import islice
from pathlib import Path

import click
from sqlalchemy.orm import Session

from course import audit, cohorts, courses, importing, installation
from course.commands.context import (
    Context,
    address,
    dry_run_option,
    json_option,
    load,
    print_facts,
    print_json,
    print_table,
    say,
)
from course.enrollment import Origin
from course.importing import Order, Row, Sheet, Skipped, Taken
from course.models import Cohort

# SQLite lets nobody queue: who waits looks again every so often, at the latest after 100 ms.
_LONGEST_PAUSE_SECONDS = 0.1


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--cohort", required=True, metavar="COURSE/NAME", help="The cohort to join.")
@click.option("--confirmed", is_flag=True, help="You hold their consent: start the course now.")
@click.option("--source", help="With --confirmed: where that consent comes from.")
@dry_run_option
@json_option
def import_(
    file: Path,
    cohort: str,
    confirmed: bool,
    source: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take people in from a CSV file with the columns email, name, zone, hour, and the course's
    own fields.

    Each is asked by mail to confirm, unless you hold their consent already (--confirmed). Who
    unsubscribed, bounced or complained is skipped and listed; so are rows that cannot be read.

    \b
    Examples:
      minicourse subscriber import people.csv --cohort evergreen --dry-run
      minicourse subscriber import people.csv --cohort evergreen \\
        --confirmed --source "workshop list, signed in March"
    """
    if confirmed != bool(source):
        raise click.UsageError("--confirmed and --source TEXT go together.")
    context = load()
    # Broken bytes come as lone surrogates, so that only their own row is refused.
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        with context.database.reading() as session:
            order = _order(session, file, cohort, source, context)
            course_id = session.get_one(Cohort, order.cohort_id).course_id
            sheet = Sheet(lines, courses.by_id(session, course_id).curriculum)
        if sheet.ignored:
            say(f"Columns that mean nothing here: {', '.join(sheet.ignored)}")
        if not dry_run:
            context.database.run(lambda s: _note(s, file, cohort, source, context))
        taken = _take_all(context, sheet, order, dry_run=dry_run)
    _report(taken, cohort, dry_run=dry_run, as_json=as_json)


def _order(
    session: Session, file: Path, cohort: str, source: str | None, context: Context
) -> Order:
    found = cohorts.find(session, cohort)
    cohorts.require_open(found)
    return Order(
        cohort_id=found.id,
        confirmed=source is not None,
        origin=Origin(source or f"import of {file.name}"),
        hash_key=context.hash_key,
        sandbox=installation.is_sandbox(session),
    )


def _note(session: Session, file: Path, cohort: str, source: str | None, context: Context) -> None:
    """First of all: whoever looks later knows of an import that was broken off, too."""
    audit.record(
        session,
        context.who,
        "subscriber import",
        context.now,
        why=source,
        file=file.name,
        cohort=cohorts.label(cohorts.find(session, cohort)),
    )


def _take_all(context: Context, sheet: Sheet, order: Order, *, dry_run: bool) -> Taken:
    """A few hundred at a time; on SQLite, where all others wait meanwhile, for a moment each."""
    must_yield = context.database.is_sqlite
    taken, rows, size = Taken(), iter(sheet), importing.LEAST if must_yield else importing.MOST
    while batch := list(islice(rows, size)):
        some, worked = _take(context, batch, order, dry_run=dry_run)
        taken += some
        if must_yield:
            size = importing.next_size(len(batch), worked)
            _let_others_write(worked)
    return taken


def _take(
    context: Context, batch: list[Row | Skipped], order: Order, *, dry_run: bool
) -> tuple[Taken, float]:
    """What became of the batch, and for how many seconds nobody else could write."""

    def take(session: Session) -> tuple[Taken, float]:
        session.connection()  # it is our turn; the wait for it is not counted
        began = time.monotonic()
        taken = importing.take(session, batch, order, context.now)
        if dry_run:
            session.rollback()
        return taken, began

    taken, began = context.database.run(take)
    return taken, time.monotonic() - began


def _let_others_write(worked: float) -> None:
    """Rest as long as was worked, so that sign-ups and the scheduler get their turn meanwhile."""
    time.sleep(min(worked, _LONGEST_PAUSE_SECONDS))


def _report(taken: Taken, cohort: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({"cohort": cohort, "dry_run": dry_run, "taken": taken})
        return
    click.echo("Would be taken in:" if dry_run else "Taken in:")
    print_facts(
        [
            ("  to confirm", taken.asked),
            ("  confirmed", taken.confirmed),
            ("  there already", taken.already),
            ("  suppressed", len(taken.suppressed)),
            ("  rejected", len(taken.rejected)),
        ]
    )
    skipped = sorted(taken.suppressed + taken.rejected, key=lambda one: one.line)
    if skipped:
        click.echo()
        print_table(
            [("line", "right"), ("value", "whole"), "skipped because"],
            [(str(one.line), address(one.value), one.reason) for one in skipped],
        )
