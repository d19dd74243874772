"""`minicourse demo`: see the whole of it without an account."""

import importlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from course import courses
from course.commands.context import print_table
from course.curriculum import Course as Curriculum
from course.demo.claims import Claim, check
from course.demo.stage import COURSE, Stage, open_stage
from course.demo.story import LEAVER, LEFT, PEOPLE, START, Person, Story, moment, play
from course.settings import SOURCE_ROOT

_SUBJECT_WIDTH = 22


@click.command()
def demo() -> None:
    """Show a whole course in twenty seconds: no account, no network, a simulated clock.

    \b
    Example:
      minicourse demo
    """
    folder = Path(os.environ.get("MINICOURSE_HOME") or SOURCE_ROOT).resolve() / "out" / "demo"
    click.echo("Starting the real pages and a stand-in for SendGrid …")
    with open_stage(START) as stage:
        click.echo(f"Pages at {stage.pages}, sandbox at {stage.inbox}.")
        click.echo(f"On the simulated clock it is {START:%A, %-d %B %Y, %H:%M} UTC.\n")
        story = play(stage, click.echo)
        curriculum = _curriculum(stage)
        claims = check(story, curriculum)
        _show_timeline(story, curriculum)
        _show_stats()
    _keep(story, folder)
    _show_claims(claims)
    click.echo(f"\nThe mails, as HTML and text: {folder}")
    if not all(claim.holds for claim in claims):
        sys.exit(1)


def _curriculum(stage: Stage) -> Curriculum:
    with stage.here.database.reading() as session:
        return courses.live(session, COURSE).curriculum


def _show_timeline(story: Story, curriculum: Curriculum) -> None:
    """A row for each mail, a column for each person."""
    click.echo("\nWhat came when, on each one's own clock:\n")
    columns = [f"{person.name}, {_city(person)}" for person in PEOPLE]
    mails = [("confirmation", "please confirm")]
    mails += [(one.slug, f"{one.number} {one.subject}") for one in curriculum.lessons]
    rows = [
        (_short(title), *(" / ".join(_times(story, person, slug)) for person in PEOPLE))
        for slug, title in mails
    ]
    print_table(["mail", *columns], rows)


def _times(story: Story, person: Person, slug: str) -> Iterator[str]:
    came = [moment(one.local) for one in story.of(person) if one.what == slug]
    yield from came
    if not came:
        has_left = person == LEAVER and slug == _first_missed(story)
        yield f"left {moment(LEFT.astimezone(person.zone))[4:]}" if has_left else "–"


def _first_missed(story: Story) -> str | None:
    got = {one.what for one in story.of(LEAVER)}
    return next((one.lesson for one in story.stats.lessons if one.lesson not in got), None)


def _city(person: Person) -> str:
    return person.zone.key.partition("/")[2].replace("_", " ")


def _short(text: str) -> str:
    return text if len(text) <= _SUBJECT_WIDTH else f"{text[: _SUBJECT_WIDTH - 1].rstrip()}…"


def _show_stats() -> None:
    """As `minicourse stats overview COURSE` prints them."""
    click.echo("\nThe numbers:\n")
    importlib.import_module("course.commands.stats").stats.main(
        ["overview", COURSE], standalone_mode=False
    )


def _keep(story: Story, folder: Path) -> None:
    """Each mail as two files, in a folder for each person; those of an earlier run go."""
    shutil.rmtree(folder, ignore_errors=True)
    for person in PEOPLE:
        own = folder / person.name.lower()
        own.mkdir(parents=True)
        for number, one in enumerate(story.of(person)):
            (own / f"{number:02}-{one.what}.html").write_text(one.mail["html"])
            (own / f"{number:02}-{one.what}.txt").write_text(one.mail["text"])


def _show_claims(claims: Sequence[Claim]) -> None:
    for claim in claims:
        click.echo(f"{'✓' if claim.holds else '✗'} {claim.text}.")
        for fault in claim.against:
            click.echo(f"    {fault}")
