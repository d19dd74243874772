"""`minicourse live`: from sandbox to real mail."""

import sys
from collections.abc import Sequence

import click

from course import going_live, installation
from course.commands import context
from course.commands.context import ATTENTION, Context, print_table, say, yes_option
from course.going_live import SandboxPerson
from course.states import Mode


@click.command()
@click.option("--drop-sandbox", is_flag=True, help="Forget everybody who came in sandbox mode.")
@click.option("--keep", metavar="EMAIL", multiple=True, help="Keep this one, forget the others.")
@yes_option
def live(drop_sandbox: bool, keep: tuple[str, ...], yes: bool) -> None:
    """Go from sandbox to real mail: list who is there, check the settings, mark the database.

    May be run as often as you like; exit 3 while something is missing. There is no way back.

    \b
    Examples:
      minicourse live
      minicourse live --drop-sandbox
      minicourse live --keep robin@example.com --keep sam@example.com
    """
    if drop_sandbox and keep:
        raise click.UsageError("--keep forgets the others already: leave out --drop-sandbox.")
    here = context.load()
    with here.raw_database.reading() as session:
        is_live = installation.get(session).mode == Mode.LIVE
        people = going_live.sandbox_people(session)
    _list(people)
    problems = going_live.missing(here.settings)
    if people and not (drop_sandbox or keep):
        problems.append(
            "Say who stays: minicourse live --drop-sandbox forgets these people, "
            "--keep EMAIL keeps one and forgets the others."
        )
    for problem in problems:
        click.echo(f"✗ {problem}")
    if problems:
        say("Mend this and run again: minicourse live")
        sys.exit(ATTENTION)
    if is_live:
        click.echo("✓ This database is live.")
    else:
        _go(here, people, going_live.chosen(people, keep), yes)


def _list(people: Sequence[SandboxPerson]) -> None:
    rows = [(person.email, ", ".join(person.courses)) for person in people]
    if rows:
        print_table(["sandbox person", "where they stand"], rows)


def _go(
    here: Context, people: Sequence[SandboxPerson], keep: Sequence[SandboxPerson], yes: bool
) -> None:
    forget = len(people) - len(keep)
    question = f"From now on mail goes to real people through {here.settings.mail_host}"
    if people:
        question += f"; {forget} sandbox people are forgotten, {len(keep)} kept"
    context.ask(f"{question}. There is no way back. Go on?", yes)
    forgotten = going_live.go_live(here.raw_database, here.settings, keep, here.clock.real())
    if people:
        click.echo(f"✓ Forgot {forgotten} sandbox people, kept {len(keep)}.")
    click.echo(f"✓ The database is live: mail goes through {here.settings.mail_host}.")
    say("Start everything again with the new settings: minicourse up")
