"""`minicourse course rehearse`: a whole course into the author's own inbox, in minutes."""

from collections.abc import Iterator

import click

from course import courses, delivery, overview, people, rehearsal, sent, sources
from course.commands.context import Context, announce_mode, load, say
from course.commands.pace import Pace
from course.courses import Live
from course.enrollment import Person
from course.history import LEFT, Mail
from course.processes import ports
from course.processes.ports import require_sandbox
from course.processes.stopping import SignalledStop, Stop
from course.rehearsal import Part, Scene
from course.states import UNDECIDED, DeliveryState, EnrollmentState, MessageKind
from course.urls import is_loopback

_EVERY = 30.0
_ENDED = (EnrollmentState.COMPLETED, EnrollmentState.CANCELLED)


@click.command()
@click.argument("name")
@click.option("--to", metavar="EMAIL", help="Your own address.")
@click.option("--every", type=Pace(), help=f"From lesson to lesson. Default: {_EVERY:.0f}s.")
@click.option("--yes", is_flag=True, help="Confirm without waiting for the click.")
@click.option("--clean", is_flag=True, help="Remove the rehearsal, with all that came of it.")
def rehearse(name: str, to: str | None, every: float | None, yes: bool, clean: bool) -> None:
    """Go through a course as a reader does, in minutes in place of weeks.

    The sign-up, its confirmation, every lesson and every link are the real ones, from what is live;
    the course need not be published. Only the waiting is cut: lessons come --every so often. None
    of it is in any figures. Ctrl-C ends it, and the same command goes on where it was. As with a
    scheduler, what is due to others leaves meanwhile.

    Begin with: minicourse course rehearse job-search --to me@example.com

    \b
    Example:
      minicourse course rehearse job-search --clean
    """
    if (to is None) != clean:
        raise click.UsageError("Say who rehearses, --to EMAIL; or take it back with --clean.")
    if clean and (every is not None or yes):
        raise click.UsageError("--clean goes alone.")
    seconds = int(every or _EVERY)
    if every is not None and every != seconds:
        raise click.UsageError("--every is a number of whole seconds, such as 5s.")
    context = load()
    if to is None:
        _clean(context, name)
        return
    address = people.parse_email(to, sandbox=context.settings.sandboxed)
    _ = context.database  # refused first where settings and database do not belong together
    require_sandbox(context.settings)
    stop = SignalledStop()
    part = _begin(context, name, address, seconds)
    _tell(context, name, part, address, yes=yes)
    if not _go_through(context, part, name, yes=yes, stop=stop):
        again = f"minicourse course rehearse {name} --to {address} --every {seconds}s"
        say(f"To go on where it is now: {again}")


def _clean(context: Context, name: str) -> None:
    gone = context.database.run(
        lambda s: rehearsal.clean(s, name, who=context.who, now=context.now)
    )
    if gone is None:
        click.echo(f"{name} has no rehearsal.")
        return
    for count, one, more in (
        (gone.enrollments, "enrollment", "enrollments"),
        (gone.people, "person who came for it alone", "people who came for it alone"),
        (gone.mails, "mail", "mails"),
        (gone.events, "event", "events"),
        (gone.consents, "consent", "consents"),
    ):
        click.echo(f"{count:,} {one if count == 1 else more}")
    say(f"Removed: the rehearsal of {name}.")


def _begin(context: Context, name: str, address: str, every: int) -> Part:
    return context.database.run(
        lambda s: rehearsal.begin(
            s,
            name,
            Person(address),
            every,
            who=context.who,
            now=context.now,
            hash_key=context.hash_key,
        )
    )


# What to know at the start ------------------------------------------------------------------------


def _tell(context: Context, name: str, part: Part, address: str, *, yes: bool) -> None:
    announce_mode(context.settings)
    with context.database.reading() as session:
        live = courses.live(session, name)
        state = rehearsal.scene(session, part).state
        held = overview.holds_standing(session)
    for words in _warnings(context, live):
        say(words)
    for hold in held:
        say(f"Held: {hold.scope} ({hold.why}). To let it go: minicourse send release {hold.id}")
    if part.goes_on:
        say(f"The rehearsal of {name} goes on where it was.")
    if state == EnrollmentState.PENDING and not yes:
        say(f"Confirm by the link in the mail to {address}. Ctrl-C ends the waiting.")
        if context.settings.sandboxed:
            say(f"It is in the inbox at {context.settings.mail_host}.")


def _warnings(context: Context, live: Live) -> Iterator[str]:
    """What would make the author see something else than they think, or nothing."""
    settings = context.settings
    if _differs(context, live):
        yield (
            f"Files of {live.slug} differ from what is live. "
            f"What is rehearsed is what is live, revision {live.revision_number}.\n"
            f"If you mean the files, first: minicourse course apply {live.slug}"
        )
    if is_loopback(settings.public_url) and not ports.is_listening(settings.public_url):
        yield f"The links lead to {settings.public_url}, and nobody is there: minicourse web"
    if settings.clock_file is not None:
        yield f"The time is that of {settings.clock_file}: where it stands still, nothing comes."


def _differs(context: Context, live: Live) -> bool:
    home = context.settings.home
    if not (home / "lessons" / live.slug).is_dir():
        return False
    return sources.read(home, live.slug).content_hash != live.content_hash


# While it runs ------------------------------------------------------------------------------------


def _go_through(context: Context, part: Part, name: str, *, yes: bool, stop: Stop) -> bool:
    """Tick, tell, wait; False where somebody ended it before the course did. A scheduler beside us
    does no harm: who comes first sends it."""
    told: set[int] = set()
    problems: set[str] = set()
    seen = _look(context, part)
    if part.goes_on:
        told.update(mail.id for mail in seen.mails if _has_left(mail))
    while not stop():
        report = delivery.tick(context.office, stop)
        for problem in report.problems:
            if problem not in problems:
                say(f"Problem: {problem}")
            problems.add(problem)
        seen = _look(context, part)
        for mail in seen.mails:
            if mail.id not in told and _has_left(mail):
                told.add(mail.id)
                click.echo(_line(context, mail))
        if seen.state in _ENDED:
            _say_how_it_ended(seen, name)
            return True
        if yes and _can_confirm(seen):
            context.database.run(lambda s: rehearsal.confirm(s, part, context.clock.now()))
            continue
        stop.wait(min(context.settings.tick_seconds, 1.0))
    return False


def _look(context: Context, part: Part) -> Scene:
    with context.database.reading() as session:
        return rehearsal.scene(session, part)


def _has_left(mail: Mail) -> bool:
    return mail.state not in UNDECIDED or mail.state == DeliveryState.UNKNOWN


def _can_confirm(seen: Scene) -> bool:
    """Once the confirmation mail is on its way: its link is a part of what is rehearsed."""
    asked = [mail for mail in seen.mails if mail.kind == MessageKind.CONFIRMATION]
    return seen.state == EnrollmentState.PENDING and all(map(_has_left, asked))


def _line(context: Context, mail: Mail) -> str:
    if mail.state not in LEFT:
        return f"{mail.message}: {mail.fate}"
    with context.database.reading() as session:
        subject = sent.letter(session, mail.id, context.settings).subject
    unsure = "" if mail.state == DeliveryState.ACCEPTED else f" ({mail.fate})"
    return f"{mail.message}: {subject}{unsure}"


def _say_how_it_ended(seen: Scene, name: str) -> None:
    if seen.state == EnrollmentState.COMPLETED:
        say(f"The course is through: {len(seen.mails)} mails.")
    else:
        say(f"The course was left ({seen.reason}).")
    say(f"Take it back, also to begin anew: minicourse course rehearse {name} --clean")
