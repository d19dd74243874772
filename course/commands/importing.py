"""`minicourse subscriber import`: people out of a CSV file."""

import hashlib
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path

import click
from sqlalchemy.orm import Session

from course import audit, cohorts, courses, formats, importing, installation
from course.commands.bars import Bar, bar
from course.commands.context import (
    DATE,
    Context,
    ask,
    dry_run_option,
    json_option,
    load,
    say,
    yes_option,
)
from course.commands.tellings import Telling
from course.doubles import Doubles
from course.enrollment import Origin
from course.errors import InvalidInputError
from course.formats import PLAIN
from course.importing import Order, Taken
from course.models import Cohort
from course.rejects import Rejects, beside
from course.sheets import Bad, Item, Reading, Sheet, lesson_at, opened
from course.starting import zone_of
from course.timing import local_date
from course.wording import counted

# SQLite lets nobody queue: who waits looks again, at first every 25 ms. A turn that is longer than
# that is one that nobody misses.
_TURN_SECONDS = 0.03
_CHUNK = 1 << 20


@dataclass(frozen=True)
class _Job:
    """What was ordered, and the list as it was when the order was given."""

    context: Context
    file: Path
    cohort: str
    reading: Reading
    order: Order
    today: date  # in the cohort's zone


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--cohort", required=True, metavar="COURSE/NAME", help="The cohort to join.")
@click.option("--confirmed", is_flag=True, help="You hold their consent: start the course now.")
@click.option("--source", help="With --confirmed: where that consent comes from.")
@click.option(
    "--from",
    "form",
    type=click.Choice(["auto", *formats.NAMES, "none"]),
    default="auto",
    show_default=True,
    help="Whose export it is.",
)
@click.option(
    "--map", "maps", multiple=True, metavar="NAME=COLUMN", help="Which column is what; = none."
)
@click.option("--start-at", metavar="LESSON", help="They go on with that lesson, or number.")
@click.option("--start-at-column", metavar="COLUMN", help="A column says with which one.")
@click.option("--start", type=DATE, help="Their course starts on YYYY-MM-DD.")
@click.option("--spread", metavar="3d", help="Spread the starts over so many days, or 12h.")
@click.option("--update", is_flag=True, help="Who is there: correct what the list says of them.")
@click.option("--suppress", is_flag=True, help="Never mail whom their old list would not.")
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where rows that cannot be read go. Default: beside FILE.",
)
@dry_run_option
@yes_option
@json_option
def import_(
    file: Path,
    cohort: str,
    source: str | None,
    rejects: Path | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **rest: object,
) -> None:
    """Take people in from a CSV file with the columns email, name, zone, hour, tags, start_at, and
    the course's own fields; or from what Kit, Mailchimp, MailerLite or listmonk export.

    Each is asked by mail to confirm, unless you hold their consent already (--confirmed). Who
    unsubscribed, bounced or complained, here or there, is skipped and told. It first says what
    would happen and which mails will leave, and asks. --map email="E-mail Address" says which
    column is what. Rows that cannot be read are kept in a file, to be mended and imported again.

    \b
    Examples:
      minicourse subscriber import people.csv --cohort evergreen --dry-run
      minicourse subscriber import people.csv --cohort evergreen \\
        --confirmed --source "workshop list, signed in March"
    """
    wishes = _wishes(source=source, **rest)
    if rejects is not None and rejects.exists():
        raise click.UsageError(f"--rejects {rejects} exists already; name a new file.")
    if not file.is_file():
        raise InvalidInputError(f"{file} is no file; it is read twice: save the list in one first")
    context = load()
    job = _job(context, file, cohort, wishes)
    keeps = rejects or beside(file)
    if dry_run or not yes:
        foreseen = _preview(job)
        if dry_run:
            _print(foreseen, keeps, as_json=as_json)
            return
        if foreseen.taken.people > 1:
            with redirect_stdout(sys.stderr):
                foreseen.print(keeps)
            ask("Go on?", yes)
    context.database.run(lambda s: _note(s, job))
    done = _import(job, keeps, is_told=yes)
    _print(done, keeps, as_json=as_json)


def _print(telling: Telling, keeps: Path, *, as_json: bool) -> None:
    if as_json:
        telling.print_json()
    else:
        telling.print(keeps)


# What was ordered ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wishes:
    confirmed: bool
    source: str | None
    form: str
    maps: tuple[str, ...]
    start_at: str | None
    start_at_column: str | None
    start: datetime | None
    spread: str | None
    update: bool
    suppress: bool


def _wishes(**given: object) -> _Wishes:
    wishes = _Wishes(**given)  # type: ignore[arg-type]
    if wishes.confirmed != bool(wishes.source):
        raise click.UsageError("--confirmed and --source TEXT go together.")
    for name in ("start_at", "start_at_column", "start", "spread"):
        if getattr(wishes, name) is not None and not wishes.confirmed:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(
                f"{option} goes with --confirmed: who is asked begins when they confirm."
            )
    return wishes


def _job(context: Context, file: Path, cohort: str, wishes: _Wishes) -> _Job:
    digest, lines = _survey(file)
    maps = dict(map(_pair, wishes.maps))
    if wishes.start_at_column is not None:
        maps["start_at"] = wishes.start_at_column
    with context.database.reading() as session:
        found = cohorts.find(session, cohort)
        cohorts.require_open(found)
        curriculum = courses.by_id(session, found.course_id).curriculum
        today = local_date(context.now, zone_of(found, curriculum))
        if wishes.start and wishes.start.date() < today:
            raise InvalidInputError(f"--start {wishes.start:%Y-%m-%d} is over; it is {today}")
        if wishes.start_at:
            lesson_at(curriculum, wishes.start_at)
        order = Order(
            cohort_id=found.id,
            confirmed=wishes.confirmed,
            origin=Origin(wishes.source or f"import of {file.name}", file_hash=digest),
            hash_key=context.hash_key,
            sandbox=installation.is_sandbox(session),
            update=wishes.update,
            suppress=wishes.suppress,
            start=wishes.start.date() if wishes.start else None,
            spread=_length(wishes.spread) if wishes.spread else timedelta(),
            lines=lines,
        )
        label = cohorts.label(found)
    reading = Reading(maps, wishes.form, file.name, wishes.start_at or "")
    return _Job(context, file, label, reading, order, today)


def _survey(file: Path) -> tuple[str, int]:
    """What proves later which list it was, and how many lines it has."""
    digest, lines = hashlib.sha256(), 0
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            lines += chunk.count(b"\n")
    return digest.hexdigest(), lines


def _pair(text: str) -> tuple[str, str]:
    ours, mark, theirs = text.partition("=")
    if not mark:
        raise InvalidInputError(f'--map {text!r} is not like email="E-mail Address"')
    return ours.strip().lower(), theirs


def _length(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,3})([dh])", text)
    if not match:
        raise InvalidInputError(f"--spread {text!r} is not like 3d or 12h")
    number = int(match[1])
    return timedelta(days=number) if match[2] == "d" else timedelta(hours=number)


def _note(session: Session, job: _Job) -> None:
    """First of all: whoever looks later knows of an import that was broken off, too."""
    order = job.order
    audit.record(
        session,
        job.context.who,
        "subscriber import",
        job.context.now,
        why=order.origin.source if order.confirmed else None,
        file=job.file.name,
        file_hash=order.origin.file_hash,
        cohort=job.cohort,
    )


# Going through the list ---------------------------------------------------------------------------


@contextmanager
def _opened(job: _Job, *, is_told: bool) -> Iterator[Sheet]:
    """The list, and on stderr what it looks like."""
    with opened(job.file) as lines:
        with job.context.database.reading() as session:
            course_id = session.get_one(Cohort, job.order.cohort_id).course_id
            sheet = Sheet(lines, courses.by_id(session, course_id).curriculum, job.reading)
        if sheet.says_where and not job.order.confirmed:
            raise InvalidInputError(
                "The column start_at goes with --confirmed: who is asked begins when they "
                "confirm. To leave it out: --map start_at="
            )
        if is_told:
            if sheet.format is not PLAIN:
                say(f"{job.file.name} looks like a {sheet.format.title} export.")
            if sheet.ignored:
                say(f"Columns that mean nothing here: {', '.join(sheet.ignored)}")
        yield sheet


@dataclass
class _Walk:
    """One way through a list: who stands in it twice, and how far it has come."""

    job: _Job
    sheet: Sheet
    doubles: Doubles
    bar: Bar
    found: Telling
    size: int = importing.MOST

    def batches(self) -> Iterator[list[Item]]:
        rows = iter(self.sheet)
        while batch := list(islice(rows, self.size)):
            sifted = self.doubles.sift(batch)
            self.found.add_doubles(twice=sifted.twice, mended=sifted.mended, against=sifted.against)
            yield sifted.items
            self.bar.reach(batch[-1].line - 1)  # the head is nobody


@contextmanager
def _walk(job: _Job, what: str, *, dry_run: bool, is_told: bool) -> Iterator[_Walk]:
    with (
        _opened(job, is_told=is_told) as sheet,
        Doubles() as doubles,
        bar(what, max(job.order.lines - 1, 0)) as shown,
    ):
        limits = job.context.settings.send_limit
        found = Telling(job.cohort, job.today, limits, dry_run, job.order)
        found.form = sheet.format.name
        yield _Walk(job, sheet, doubles, shown, found)


def _preview(job: _Job) -> Telling:
    """Reads only, so that nobody waits for it."""
    context = job.context
    with _walk(job, "Looking", dry_run=True, is_told=True) as walk:
        for batch in walk.batches():
            with context.database.reading() as session:
                walk.found.taken += importing.look(session, batch, job.order, context.now)
        return walk.found


def _import(job: _Job, keeps: Path, *, is_told: bool) -> Telling:
    """What was done before somebody presses Ctrl-C is done, and they are told."""
    found: Telling | None = None
    try:
        with (
            _walk(job, "Importing", dry_run=False, is_told=is_told) as walk,
            Rejects(keeps, walk.sheet.header) as rejects,
        ):
            found = walk.found
            _take_all(walk, rejects)
            found.rejects = keeps if rejects.is_written else None
            return found
    except KeyboardInterrupt:
        if found is not None:
            say(
                f"\nBroken off after {counted(found.taken.people, 'person', 'people')} of "
                f"{job.file.name}. Run the same command again, and it goes on: who is there "
                "already is passed over."
            )
        raise


def _take_all(walk: _Walk, rejects: Rejects) -> None:
    """A few hundred at a time; on SQLite, where all others wait meanwhile, for a moment each."""
    turns = _Turns() if walk.job.context.database.is_sqlite else None
    walk.size = importing.LEAST if turns else importing.MOST
    for batch in walk.batches():
        rejects.write(item for item in batch if isinstance(item, Bad))
        if turns:
            turns.end()
        some, worked = _take(walk.job, batch)
        walk.found.taken += some
        if turns:
            turns.begin()
            walk.size = importing.next_size(len(batch) or walk.size, worked)


class _Turns:
    """Sign-ups and the scheduler get their turn, too; the next rows may be read meanwhile."""

    def __init__(self) -> None:
        self._until = 0.0

    def begin(self) -> None:
        self._until = time.monotonic() + _TURN_SECONDS

    def end(self) -> None:
        time.sleep(max(0.0, self._until - time.monotonic()))


def _take(job: _Job, batch: list[Item]) -> tuple[Taken, float]:
    """What became of the batch, and for how many seconds nobody else could write."""

    def take(session: Session) -> tuple[Taken, float]:
        session.connection()  # it is our turn; the wait for it is not counted
        began = time.monotonic()
        return importing.take(session, batch, job.order, job.context.now), began

    taken, began = job.context.database.run(take)
    return taken, time.monotonic() - began
