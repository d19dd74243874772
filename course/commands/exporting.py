"""`minicourse subscriber export`: learners as CSV or JSON Lines."""

import csv
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import IO

import click
import orjson

from course import formats
from course.commands import privacy
from course.commands.bars import bar
from course.commands.choosing import selection_options
from course.commands.context import load
from course.exporting import Export, Learner, cells, columns
from course.rejects import private
from course.selecting import Selection
from course.writing import whole


@click.command("export")
@selection_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl"]),
    default="csv",
    show_default=True,
    help="A table, or a JSON object a line.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Into this file, in place of what it holds.",
)
@click.option("--gdpr", metavar="EMAIL", help="All that is held of this person, as JSON.")
def export(chosen: Selection, form: str, output: Path | None, gdpr: str | None) -> None:
    """Write out those who are chosen: a line for each course that somebody takes part in, with
    state, progress, tags and the courses' own fields.

    What a spreadsheet would take for a formula begins with ' in a table. `subscriber import` reads
    it back. A file is readable by its owner alone.

    \b
    Examples:
      minicourse subscriber export --course job-search --state active
      minicourse subscriber export --format jsonl --output learners.jsonl
      minicourse subscriber export --gdpr kim@example.com
    """
    if gdpr is not None:
        if chosen:
            raise click.UsageError("--gdpr EMAIL stands alone: it is about one person.")
        with _file(output) as target:
            target.write(privacy.everything(gdpr).decode())
        return
    database = load().database
    with database.reading() as session:
        found = Export(session, chosen)
    with (
        _file(output) as target,
        # Where the lines themselves are seen, a bar would stand among them.
        bar("Exporting", found.total, is_wanted=not target.isatty()) as shown,
    ):
        write = (_csv if form == "csv" else _jsonl)(target, found.fields)
        done, beyond = 0, 0
        while True:
            with database.reading() as session:
                learners, beyond = found.some(session, beyond)
            if not learners:
                break
            write(learners)
            shown.reach(done := done + len(learners))
    if output:
        click.echo(f"{done:,} written to {output}")


def _csv(target: IO[str], fields: list[str]) -> Callable[[list[Learner]], None]:
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(columns(fields))

    def safe(learner: Learner) -> Iterator[object]:
        for cell in cells(learner, fields):
            yield formats.defused(cell) if isinstance(cell, str) else cell

    return lambda learners: writer.writerows(map(safe, learners))


def _jsonl(target: IO[str], _fields: list[str]) -> Callable[[list[Learner]], None]:
    def write(learners: list[Learner]) -> None:
        lines = (orjson.dumps(asdict(one), option=orjson.OPT_APPEND_NEWLINE) for one in learners)
        target.write(b"".join(lines).decode())

    return write


def _file(path: Path | None) -> AbstractContextManager[IO[str]]:
    return whole(path, private) if path else nullcontext(sys.stdout)
