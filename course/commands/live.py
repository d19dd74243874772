"""`minicourse live`: from sandbox to real mail."""

import sys
import textwrap
from collections.abc import Iterator, Sequence

import click
from sqlalchemy.orm import Session

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
from course.settings import Settings
from course.states import Mode
from course.wording import counted

_BANNER = """\
A rehearsal: the sandbox at {host} plays SendGrid and the name
servers. Nothing leaves this machine, and nothing is turned live.
"""


@click.command()
@click.option("--drop-sandbox", is_flag=True, help="Forget everybody who came in sandbox mode.")
@click.option("--keep", metavar="EMAIL", multiple=True, help="Keep this one, forget the others.")
@click.option("--test-to", metavar="EMAIL", help="First send a lesson to yourself, for real.")
@click.option("--rehearse", is_flag=True, help="Only practise: the sandbox plays SendGrid.")
@yes_option
@json_option
def live(
    drop_sandbox: bool,
    keep: tuple[str, ...],
    test_to: str | None,
    rehearse: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Go from sandbox to real mail: see what is in place, and what to do next.

    ✓ is well, ✗ is to be done, ? cannot be known from here. May be run as often as you like; exit 3
    while something is to be done. When nothing is, it marks the database as live, after you said
    who of the sandbox's people stays. There is no way back.

    --rehearse goes through all of it without an account, beside a running `up`. Nothing is turned
    live by it, and nothing of it counts afterwards.

    \b
    Examples:
      minicourse live
      minicourse live --json
      minicourse live --drop-sandbox
      minicourse live --keep robin@example.com --keep sam@example.com

    With the settings of your account: minicourse live --test-to YOU@ADDRESS

    To practise: minicourse live --rehearse
    """
    if drop_sandbox and keep:
        raise click.UsageError("--keep forgets the others already: leave out --drop-sandbox.")
    here = context.load()
    if rehearse:
        _require_stage(here)
        if not as_json:
            click.echo(_BANNER.format(host=here.settings.mail_host))
    if test_to:
        _send_test(here, test_to, rehearse=rehearse)
    with here.raw_database.reading() as session:
        is_live = installation.get(session).mode == Mode.LIVE
        lines = []
        for line in _looked_at(session, here, rehearse=rehearse):
            lines.append(line)
            if not as_json:
                _show(line)
        sandboxed = [] if is_live else going_live.sandbox_people(session)
    kept = [] if is_live else going_live.chosen(sandboxed, keep)
    if sandboxed:
        command = "minicourse live --rehearse" if rehearse else "minicourse live"
        decided = drop_sandbox or bool(keep)
        lines.append(_who_stays(sandboxed, kept, is_decided=decided, command=command))
        if not as_json:
            _show(lines[-1])
            _show_people(sandboxed)
    is_ready = all(line.state is not State.MISSING for line in lines)
    if as_json:
        found = {"live": is_live, "ready": is_ready, "checks": lines, "sandbox": sandboxed}
        print_json(found | {"rehearsal": rehearse})
    if not is_ready:
        if not as_json:
            say(f"Next: {next(_todos(lines))}")
        sys.exit(ATTENTION)
    if as_json:
        return
    if rehearse:
        _tell_rehearsed(sandboxed, kept)
    elif is_live:
        say("This database is live.")
    else:
        _go(here, sandboxed, kept, yes)


def _looked_at(session: Session, here: Context, *, rehearse: bool) -> Iterator[Line]:
    if not rehearse:
        return readiness.look(session, here.settings, outside.RealOutside(here.settings))
    from course import played  # only a rehearsal needs it

    return played.look(session, here.settings, played.stage(session, here.settings))


def _send_test(here: Context, address: str, *, rehearse: bool) -> None:
    """The first course's first lesson, as a test, whoever came in sandbox mode."""
    from course import rendering, trial
    from course.office import Office, site_of

    settings = here.settings
    if not rehearse:
        _require_sendgrid(settings)
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
    look = f"Look at {settings.mail_host}." if rehearse else "Look into the inbox, and the spam."
    say(f"Sent to {to}: {source.slug}/{slug}. {look}")


def _require_stage(here: Context) -> None:
    from course import played

    with here.raw_database.reading() as session:
        played.stage(session, here.settings)


def _require_sendgrid(settings: Settings) -> None:
    practise = "To practise: minicourse live --rehearse --test-to YOU@ADDRESS"
    if settings.sendgrid_api_key is None:
        raise RefusedError(
            f"--test-to goes through SendGrid: set SENDGRID_API_KEY first. {practise}"
        )
    if settings.sandboxed:
        raise RefusedError(
            f"--test-to goes through SendGrid, but SENDGRID_HOST is {settings.sendgrid_host}, a "
            f"stand-in on this machine: remove it from {settings.home / '.env'} first."
        )


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


def _who_stays(
    sandboxed: Sequence[SandboxPerson],
    kept: Sequence[SandboxPerson],
    *,
    is_decided: bool,
    command: str,
) -> Line:
    found = f"{_people(len(sandboxed))} came while mail went nowhere"
    if not is_decided:
        todo = f"{command} --drop-sandbox forgets all of them; --keep EMAIL keeps one"
        return readiness.missing("sandbox", found, todo)
    forgotten = len(sandboxed) - len(kept)
    return readiness.well("sandbox", f"{found}: {forgotten:,} to be forgotten, {len(kept):,} kept")


def _people(count: int) -> str:
    return counted(count, "sandbox person", "sandbox people")


def _show_people(sandboxed: Sequence[SandboxPerson]) -> None:
    rows = [(person.email, ", ".join(person.courses)) for person in sandboxed]
    print_table(["sandbox person", "where they stand"], rows)


def _tell_rehearsed(sandboxed: Sequence[SandboxPerson], kept: Sequence[SandboxPerson]) -> None:
    forget = f"forget {_people(len(sandboxed) - len(kept))}, keep {len(kept):,}, " * bool(sandboxed)
    told = (
        f"Rehearsed to the end. With your account's settings `minicourse live` would now ask once "
        f"more, {forget}and mark this database as live, for ever."
    )
    click.echo(_wrapped(told, ""))
    click.echo("This was a rehearsal: nothing was turned live.")


def _go(
    here: Context, sandboxed: Sequence[SandboxPerson], keep: Sequence[SandboxPerson], yes: bool
) -> None:
    forget = len(sandboxed) - len(keep)
    question = f"From now on mail goes to real people through {here.settings.mail_host}"
    if sandboxed:
        question += f"; {_people(forget)} to be forgotten, {len(keep):,} kept"
    context.ask(f"{question}. There is no way back. Go on?", yes)
    forgotten = going_live.go_live(here.raw_database, here.settings, keep, here.clock.real())
    if sandboxed:
        click.echo(f"✓ Forgot {_people(forgotten)}, kept {len(keep):,}.")
    click.echo(f"✓ The database is live: mail goes through {here.settings.mail_host}.")
    say("Start everything again with the new settings: minicourse up")
