"""`minicourse live`: from sandbox to real mail."""

import sys
import textwrap
from collections.abc import Iterator, Sequence

import click

from course import going_live, installation, outside, people, readiness, samples, sources
from course.commands import context
from course.commands.context import (
    ATTENTION,
    WIDTH,
    Context,
    json_option,
    print_json,
    print_table,
    say,
    yes_option,
)
from course.errors import RefusedError
from course.going_live import SandboxPerson
from course.readiness import Line, State
from course.states import Mode


@click.command()
@click.option("--drop-sandbox", is_flag=True, help="Forget everybody who came in sandbox mode.")
@click.option("--keep", metavar="EMAIL", multiple=True, help="Keep this one, forget the others.")
@click.option("--test-to", metavar="EMAIL", help="First send a lesson to yourself, for real.")
@yes_option
@json_option
def live(
    drop_sandbox: bool, keep: tuple[str, ...], test_to: str | None, yes: bool, as_json: bool
) -> None:
    """Go from sandbox to real mail: see what is in place, and what to do next.

    ✓ is well, ✗ is to be done, ? cannot be known from here. May be run as often as you like; exit 3
    while something is to be done. When nothing is, it marks the database as live, after you said
    who of the sandbox's people stays. There is no way back.

    \b
    Examples:
      minicourse live
      minicourse live --json
      minicourse live --drop-sandbox
      minicourse live --keep robin@example.com --keep sam@example.com

    With the settings of your account: minicourse live --test-to YOU@ADDRESS
    """
    if drop_sandbox and keep:
        raise click.UsageError("--keep forgets the others already: leave out --drop-sandbox.")
    here = context.load()
    if test_to:
        _send_test(here, test_to)
    with here.raw_database.reading() as session:
        is_live = installation.get(session).mode == Mode.LIVE
        lines = []
        for line in readiness.look(session, here.settings, outside.RealOutside(here.settings)):
            lines.append(line)
            if not as_json:
                _show(line)
        sandboxed = [] if is_live else going_live.sandbox_people(session)
    undecided = bool(sandboxed) and not (drop_sandbox or keep)
    is_ready = not undecided and all(line.state is not State.MISSING for line in lines)
    if as_json:
        print_json({"live": is_live, "ready": is_ready, "checks": lines, "sandbox": sandboxed})
    else:
        _show_people(sandboxed, undecided=undecided)
    if not is_ready:
        if not as_json:
            say(f"Next: {next(_todos(lines), 'say who stays')}")
        sys.exit(ATTENTION)
    if is_live:
        say("This database is live.")
    elif not as_json:
        _go(here, sandboxed, going_live.chosen(sandboxed, keep), yes)


def _send_test(here: Context, address: str) -> None:
    """The first course's first lesson, as a test, whoever came in sandbox mode."""
    from course import rendering, trial
    from course.office import Office, site_of

    settings = here.settings
    if settings.sendgrid_api_key is None or settings.sandboxed:
        raise RefusedError("--test-to goes through SendGrid: set SENDGRID_API_KEY first.")
    to = people.parse_email(address)
    folders = sources.course_folders(settings.home)
    if not folders:
        raise RefusedError("There is no lesson to send. Begin with: minicourse course new COURSE")
    source = sources.read(settings.home, folders[0].name)
    course = rendering.load_course(source.slug, source.files, site_of(settings))
    slug = course.course.lessons[0].slug
    office = Office(here.raw_database, settings, here.mailer, here.clock)
    letter = trial.outgoing(settings, course, slug, samples.PEOPLE[0].person, to)
    trial.send(office, letter)
    say(f"Sent to {to}: {source.slug}/{slug}. Look into the inbox, and into its spam folder.")


def _todos(lines: Sequence[Line]) -> Iterator[str]:
    return (line.todo for line in lines if line.state is State.MISSING and line.todo)


def _show(line: Line) -> None:
    click.echo(_wrapped(f"{line.state} {line.name}: {line.found}", "  "))
    if line.todo and line.state is not State.WELL:
        click.echo(_wrapped(f"  → {line.todo}", "    "))
    for text in line.paste:
        click.echo(f"      {text}")


def _wrapped(text: str, indent: str) -> str:
    """An address is never broken: it is there to be clicked or copied."""
    return textwrap.fill(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _show_people(sandboxed: Sequence[SandboxPerson], *, undecided: bool) -> None:
    if not sandboxed:
        return
    mark = State.MISSING if undecided else State.WELL
    click.echo(f"{mark} sandbox: {len(sandboxed)} people came while mail went nowhere")
    if undecided:
        click.echo("  → minicourse live --drop-sandbox forgets them; --keep EMAIL keeps one")
    rows = [(person.email, ", ".join(person.courses)) for person in sandboxed]
    print_table(["sandbox person", "where they stand"], rows)


def _go(
    here: Context, sandboxed: Sequence[SandboxPerson], keep: Sequence[SandboxPerson], yes: bool
) -> None:
    forget = len(sandboxed) - len(keep)
    question = f"From now on mail goes to real people through {here.settings.mail_host}"
    if sandboxed:
        question += f"; {forget} sandbox people are forgotten, {len(keep)} kept"
    context.ask(f"{question}. There is no way back. Go on?", yes)
    forgotten = going_live.go_live(here.raw_database, here.settings, keep, here.clock.real())
    if sandboxed:
        click.echo(f"✓ Forgot {forgotten} sandbox people, kept {len(keep)}.")
    click.echo(f"✓ The database is live: mail goes through {here.settings.mail_host}.")
    say("Start everything again with the new settings: minicourse up")
