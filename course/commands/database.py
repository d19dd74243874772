"""`minicourse db`: the database itself."""

import getpass
import re
import shlex
import sys
import textwrap
import time
from datetime import datetime, timedelta
from pathlib import Path

import click
from sqlalchemy.orm import Session

from course import backups, pruning, reach, relocating, restoring, rollups, setup, soundness
from course.clock import Clock
from course.commands import context
from course.commands.bars import bar
from course.commands.context import (
    ATTENTION,
    dry_run_option,
    json_option,
    print_json,
    print_table,
    say,
)
from course.commands.setup import tell_copy
from course.db import Database, opened, require_there, shown, standing
from course.keys import keys_of
from course.processes.alone import alone_in
from course.restoring import Order, Restored
from course.settings import Settings, checked_database_url
from course.soundness import Finding
from course.wording import counted

_BREATH_SECONDS = 1.0
_SHORTEST = 30  # days: until then events may still come twice, and questions be asked


@click.group()
def db() -> None:
    """The database: back up, restore, check, tidy, bring up to date.

    \b
    Example:
      minicourse db check
    """


@db.command()
def upgrade() -> None:
    """Bring the tables to this version's.

    Needed after an update of the program. An embedded database is copied first,
    beside itself.

    \b
    Example:
      minicourse db upgrade
    """
    settings = Settings.load()
    upgraded = setup.upgrade(settings)
    if upgraded is None:
        click.echo(f"Nothing to do: {shown(settings)} is up to date.")
        return
    click.echo(f"Brought {shown(settings)} up to date.")
    tell_copy(upgraded.copy)


# Back up and restore ----------------------------------------------------------------------------


@db.command()
@click.argument("target", metavar="FILE|FOLDER/")
@click.option("--force", is_flag=True, help="Replace FILE where it exists.")
@click.option("--keep", type=click.IntRange(min=1), help="In FOLDER: only the newest so many.")
@json_option
def backup(target: str, force: bool, keep: int | None, as_json: bool) -> None:
    """Write the database and its keys to a file.

    The keys go beside it, to FILE.keys; all else goes on meanwhile. Into a
    FOLDER/ it is named by date and time. FILE is an SQLite database itself, or
    what pg_dump wrote.

    \b
    Examples:
      minicourse db backup monday.db
      minicourse db backup backups/ --keep 14
    """
    into_folder = target.endswith("/") or Path(target).is_dir()
    if keep is not None and not into_folder:
        raise click.UsageError(f"--keep goes with a folder: {target}/ --keep {keep}")
    settings = Settings.load()
    with bar("Copying") as seen:
        if into_folder:
            now = Clock(None).now()  # the real one: two of a rehearsal's backups differ in name
            made = backups.back_up_into(settings, Path(target), now, keep, seen.reach)
        else:
            made = backups.back_up(settings, Path(target), overwrite=force, told=seen.reach)
    if as_json:
        files = {"file": str(made.file), "keys": str(made.keys), "bytes": made.bytes}
        print_json(files | {"removed": [str(path) for path in made.removed]})
        return
    click.echo(f"Wrote {made.file} ({made.bytes:,} bytes), and its keys {made.keys}.")
    for path in made.removed:
        click.echo(f"Removed {path}.")
    say("Take both to another machine: together they can send in your name.")


@db.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def restore(file: Path, as_json: bool) -> None:
    """Put a backup back, and hold all mail.

    There may be no database yet: move the old one out of the way. Nothing leaves
    until you release it. Keys that do not fit are refused before anything is
    changed. `minicourse db check` runs on the result: exit 3 when it finds
    something.

    \b
    Example:
      minicourse db restore monday.db
    """
    settings = Settings.load()
    clock = Clock(settings.clock_file)
    with alone_in(settings.home, f"db restore {file}"), bar("Copying") as seen:
        order = Order(file, getpass.getuser(), clock.now(), clock.real())
        restored = restoring.restore(settings, order, seen.reach)
    if as_json:
        print_json(_restored(settings, restored))
    else:
        _tell(settings, file, restored)
    if not all(finding.is_well for finding in restored.findings):
        sys.exit(ATTENTION)


def _restored(settings: Settings, restored: Restored) -> dict[str, object]:
    return {
        "database": shown(settings),
        "hold": restored.hold,
        "keys_written": str(restored.keys_written) if restored.keys_written else None,
        "links_tried": restored.links_tried,
        "checks": restored.findings,
    }


def _tell(settings: Settings, file: Path, restored: Restored) -> None:
    click.echo(f"Restored {shown(settings)} from {file}.")
    if restored.keys_written is not None:
        click.echo(f"Its keys are in {restored.keys_written}.")
    if not restored.links_tried:
        say(f"No {keys_of(file).name} beside it: SECRET_KEY could not be tried.")
    _print_findings([one for one in restored.findings if not one.is_well] or restored.findings)
    click.echo("All mail is held: what was sent after the backup is not known to it.")
    say(f"See what would leave:  minicourse send release {restored.hold} --dry-run")
    say(f"Let it send:           minicourse send release {restored.hold}")


# Move ------------------------------------------------------------------------------------------


def _database_url(_: click.Context, __: click.Parameter, value: str) -> str:
    try:
        return checked_database_url(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@db.command("copy")
@click.option("--from", "source", metavar="URL", required=True, callback=_database_url)
@click.option("--to", "target", metavar="URL", required=True, callback=_database_url)
@dry_run_option
@json_option
def copy_(source: str, target: str, dry_run: bool, as_json: bool) -> None:
    """Move a running course to another database.

    The source is held first and stays held, so that the two never both send. Then
    everything is copied and compared row by row; at the end the target is the one
    that sends. It must be empty. Broken off, the same command goes on.

    \b
    Example:
      minicourse db copy --from sqlite:///minicourse.db \\
        --to postgresql+psycopg://minicourse@db.example.com/minicourse
    """
    settings, clock = Settings.load(), Clock(None)
    here = settings.of_database(source)
    there = here.model_copy(update={"database_url": target})
    order = relocating.Order(here, there, getpass.getuser(), clock.now())
    require_there(here)
    with opened(here) as from_:
        standing(from_)  # before the other is opened, which would be blamed for this one
    with opened(here) as from_, opened(there) as to:
        if dry_run:
            _preview_move(order, from_, to, as_json)
        else:
            _move(order, from_, to, as_json)


def _preview_move(order: relocating.Order, from_: Database, to: Database, as_json: bool) -> None:
    relocating.require_possible(order, from_, to)
    counts = relocating.count(from_)
    if as_json:
        print_json({"tables": counts})
        return
    print_table(["table", ("rows", "right")], list(counts.items()))
    say(f"Copying would hold {shown(order.source)} first. Nothing was changed.")


def _move(order: relocating.Order, from_: Database, to: Database, as_json: bool) -> None:
    relocating.require_possible(order, from_, to)
    hold = relocating.begin(order, from_, to)
    say(f"Held: nothing leaves from {shown(order.source)} any more.")
    try:
        same = _copied(order, from_, to, hold)
    except KeyboardInterrupt:
        say(
            f"\nBroken off: {shown(order.source)} stays held, and {shown(order.target)} is no "
            "copy yet; neither sends. Run the same command again, and it goes on. To stay with "
            f"the old one: minicourse send release {hold}"
        )
        raise
    if as_json:
        found = {"from": shown(order.source), "to": shown(order.target), "source_hold": hold}
        print_json(found | {"tables": same})
        return
    print_table(
        ["table", ("rows, the same in both", "right"), "SHA-256"],
        [(one.table, one.rows, one.sha256[:16]) for one in same],
    )
    click.echo(f"Moved to {shown(order.target)}.")
    _say_what_next(order)


def _copied(
    order: relocating.Order, from_: Database, to: Database, hold: int
) -> list[relocating.Same]:
    while count := relocating.under_way(order, from_):
        say(f"Still on the way: {counted(count, 'mail')}; waiting for the end.")
        time.sleep(_BREATH_SECONDS)
    with bar("Copying", lambda: sum(relocating.count(from_).values())) as seen:
        relocating.copy(from_, to, seen.advance)
    say("Comparing every row, while the source takes nothing new …")
    with bar("Comparing", lambda: 2 * sum(relocating.count(from_).values())) as seen:
        return relocating.finish(order, from_, to, hold, seen.advance)


def _say_what_next(order: relocating.Order) -> None:
    env, keys = order.source.home / ".env", order.source.key_path
    say("End all processes of the old one now: what they take from here on is not in the copy.")
    if order.target.database_path is None and keys is not None and keys.exists():
        say(f"Its keys go along:  cat {shlex.quote(str(keys))} >> {shlex.quote(str(env))}")
    say(f"Then set DATABASE_URL in {env}, and start again. First: minicourse doctor")


# Check and prune --------------------------------------------------------------------------------


@db.command()
@json_option
def check(as_json: bool) -> None:
    """Is the database sound?

    Looks at its integrity, at the ledger's promises I1 to I8 and at the figures of
    `stats`. Exit 3 when one does not hold. Whether it is a copy is another
    question: that is asked before anything is sent.

    \b
    Example:
      minicourse db check
    """
    here = context.load()
    with here.raw_database.reading() as session:
        findings = soundness.check(session)
    if as_json:
        print_json(findings)
    else:
        _print_findings(findings)
    if not all(finding.is_well for finding in findings):
        if not all(one.is_well for one in findings if one.name != soundness.FIGURES):
            say("Keep a copy before you change anything: minicourse db backup FILE")
        else:
            say("Mails are not concerned. Count the figures anew: minicourse db recount")
        sys.exit(ATTENTION)


@db.command()
@dry_run_option
@json_option
def recount(dry_run: bool, as_json: bool) -> None:
    """Count the figures of `stats` anew.

    They are kept while mails leave and events come, and always agree with the
    ledger; `db check` looks. Should they not, this makes them. All else goes on
    meanwhile.

    \b
    Examples:
      minicourse db recount --dry-run
      minicourse db recount
    """
    here = context.load()
    with here.raw_database.reading() as session:
        mails, learners = rollups.differences(session), reach.differences(session)

    def mend(session: Session) -> None:
        rollups.mend(session, mails)
        reach.mend(session, learners)

    wrong = [*mails, *learners]
    if wrong and not dry_run:
        here.raw_database.run(mend)
    if as_json:
        print_json({"mended": not dry_run, "wrong": wrong})
        return
    for line in wrong:
        click.echo(line)
    if not wrong:
        click.echo("Nothing to do: the figures are those of the ledger.")
    elif not dry_run:
        click.echo(f"Mended {counted(len(wrong), 'figure')}.")


def _print_findings(findings: list[Finding]) -> None:
    for one in findings:
        if one.is_well:
            click.echo(f"✓ {one.name:<10} {one.asked}")
        else:
            more = ", …" if one.count > len(one.examples) else ""
            do = "does" if one.count == 1 else "do"
            click.echo(f"✗ {one.name:<10} {one.asked}: {one.count:,} {do} not hold")
            named = f"{', '.join(one.examples)}{more}"
            edge = " " * 13
            click.echo(textwrap.fill(named, 80, initial_indent=edge, subsequent_indent=edge))


def _days(_: click.Context, __: click.Parameter, value: str | None) -> timedelta | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,5})d", value)
    if not found or int(found[1]) < _SHORTEST:
        raise click.BadParameter(f"{value!r} is not like 365d; at least {_SHORTEST}d.")
    return timedelta(days=int(found[1]))


def _to_prune(here: context.Context, before: datetime | None) -> int:
    with here.raw_database.reading() as session:
        found = pruning.count(session, here.now, before)
    return found.sign_ups + found.events


@db.command()
@click.option("--events-older-than", metavar="DAYS", callback=_days, help="Such as 365d.")
@dry_run_option
@json_option
def prune(events_older_than: timedelta | None, dry_run: bool, as_json: bool) -> None:
    """Remove what nobody needs any more.

    A sign-up that was not confirmed within 37 days ends, and an address that has
    nothing else is erased. The mails stay in the ledger, as numbers. What
    SendGrid told of single mails goes when it is older than `retain_events_days`
    of the course, or than --events-older-than says; what became of each mail
    stays.

    \b
    Examples:
      minicourse db prune --dry-run
      minicourse db prune --events-older-than 365d
    """
    here = context.load()
    before: datetime | None = here.now - events_older_than if events_older_than else None
    if dry_run:
        with here.raw_database.reading() as session:
            found = pruning.count(session, here.now, before)
    else:
        with bar("Pruning", lambda: _to_prune(here, before)) as seen:
            found = pruning.prune(here.raw_database, here.now, before, seen.advance)
    if as_json:
        print_json(found)
        return
    print_table(
        ["what", ("would be removed" if dry_run else "removed", "right")],
        [
            ("sign-ups never confirmed", found.sign_ups),
            ("addresses of nobody else", found.people),
            ("events", found.events),
            ("forecasts", found.forecasts),
        ],
    )
