"""`minicourse send`: send what is due now; hold and release."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import click
from sqlalchemy.orm import Session

from course import audit, brake, catalog, cohorts, copies, courses, due, holds, overview
from course.commands.bars import bar
from course.commands.context import (
    ROWS,
    Context,
    address,
    announce_mode,
    dry_run_option,
    json_option,
    load,
    print_json,
    print_table,
    say,
    short_time,
)
from course.errors import NotFoundError
from course.history import Mail
from course.holds import Scope
from course.overview import HoldLine
from course.processes.ports import require_sandbox
from course.states import HoldKind, HoldScope

if TYPE_CHECKING:
    from course.sending import Outcome


@click.group()
def send() -> None:
    """Send what is due; hold and release.

    \b
    Example:
      minicourse send due --dry-run
    """


# Due --------------------------------------------------------------------------------------------


@send.command("due")
@dry_run_option
@json_option
def due_(dry_run: bool, as_json: bool) -> None:
    """Send all that is due now, and end. Nobody is waited for: what is left is said.

    \b
    Examples:
      minicourse send due --dry-run
      minicourse send due
    """
    context = load()
    _ = context.database  # refused first where settings and database do not belong together
    announce_mode(context.settings)
    if dry_run:
        _print_planned(context, as_json=as_json)
        return
    require_sandbox(context.settings)
    from course import sending  # only those who send need it

    office = context.office
    with bar("Sending", lambda: sending.count(office)) as shown:
        outcome = sending.send_all(replace(office, answered=shown.advance))
    if as_json:
        print_json(outcome)
    else:
        _print_outcome(outcome)
    if outcome.problems:
        for problem in outcome.problems:
            say(f"Problem: {problem}")
        say("See what is left: minicourse status")
        click.get_current_context().exit(1)


def _print_outcome(outcome: "Outcome") -> None:
    if outcome.sent:
        print_table(
            ["mail", ("sent", "right")],
            [(f"{one.course}/{one.message}", one.count) for one in outcome.sent],
        )
    else:
        click.echo("Nothing was sent.")
    left = outcome.left
    for number, words in (
        (outcome.failed, "failed → minicourse delivery list --state failed"),
        (outcome.unknown, "unknown → minicourse delivery list --state unknown"),
        (left.held, "held → minicourse status"),
        (left.due + left.retrying, f"left{_again(outcome.again_at)}"),
    ):
        if number:
            click.echo(f"{number:,} {words}")
    if release := outcome.next_release:
        when = f"{short_time(release.due_at)} UTC"
        click.echo(f"Next: {release.course}/{release.lesson}, {when}")


def _again(moment: datetime | None) -> str:
    return f", tried again from {moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def _print_planned(context: Context, *, as_json: bool) -> None:
    """The real planner, in a transaction that is taken back."""
    with context.database.writing() as session:
        mails = due.would_send(session, context.now, context.clock.real())
        session.rollback()
    if as_json:
        print_json(mails)
        return
    counts = Counter(f"{mail.course}/{mail.message}" for mail in mails)
    if not mails:
        click.echo("Nothing is due.")
        return
    print_table(["mail", ("would be sent", "right")], counts.items())
    click.echo()
    _print_mails(mails[:ROWS])
    if len(mails) > ROWS:
        say(f"… and {len(mails) - ROWS:,} more; all of them with --json")


def _print_mails(mails: Sequence[Mail]) -> None:
    print_table(
        [("to", "whole"), "mail", ("due (UTC)", "whole")],
        [(address(mail.email), f"{mail.course}/{mail.message}", mail.due_at) for mail in mails],
    )


# Hold and release -------------------------------------------------------------------------------


@send.command()
@click.option("--course", help="Only this course.")
@click.option("--cohort", metavar="COURSE/NAME", help="Only this cohort.")
@click.option("--lesson", metavar="COURSE/LESSON", help="Only this lesson.")
@click.option("--why", required=True, help="The reason, for whoever sees it.")
def hold(course: str | None, cohort: str | None, lesson: str | None, why: str) -> None:
    """Hold mail: everything, or a course, a cohort or a lesson. Nothing is lost by it.

    \b
    Examples:
      minicourse send hold --why "wrong link in lesson 3"
      minicourse send hold --lesson job-search/market --why "wrong link"
    """
    if sum(map(bool, (course, cohort, lesson))) > 1:
        raise click.UsageError("Give one of --course, --cohort and --lesson, or none of them.")
    context = load()

    def work(session: Session) -> tuple[int, str, int]:
        scope = _scope(session, course, cohort, lesson)
        made = holds.place(
            session, scope, HoldKind.MANUAL, why=why, who=context.who, now=context.now
        )
        words = overview.scope_of(session, made)
        audit.record(session, context.who, "hold", context.now, why=why, hold=made.id, scope=words)
        backlog = due.backlog(session, context.now, context.clock.real())
        return made.id, words, backlog.held

    number, words, held = context.raw_database.run(work)
    click.echo(f"Held: {words}. Mails that wait for a release now: {held:,}")
    say(f"Let it go on with: minicourse send release {number}")


def _scope(session: Session, course: str | None, cohort: str | None, lesson: str | None) -> Scope:
    if course:
        return Scope(HoldScope.COURSE, course_id=courses.live(session, course).id)
    if cohort:
        found = cohorts.find(session, cohort)
        return Scope(HoldScope.COHORT, course_id=found.course_id, cohort_id=found.id)
    if lesson:
        live, chosen = catalog.live_lesson(session, lesson)
        return Scope(HoldScope.LESSON, course_id=live.id, lesson=chosen.slug)
    return Scope()


@send.command()
@click.argument("number", metavar="[ID]", type=int, required=False)
@click.option("--all", "everything", is_flag=True, help="End every hold.")
@dry_run_option
def release(number: int | None, everything: bool, dry_run: bool) -> None:
    """End a hold, or all of them. What waited leaves with the next tick.

    To release a copy says that no other copy of this database sends.

    \b
    Examples:
      minicourse send release 1
      minicourse send release --all --dry-run
    """
    if (number is None) != everything:
        raise click.UsageError("Name one hold's number (see minicourse status), or --all.")
    context = load()
    examples: list[Mail] = []
    if dry_run:
        with context.raw_database.writing() as session:
            ended, free = _release(session, number, context)
            if any(one.kind == HoldKind.BRAKE for one in ended):
                examples = brake.first(session, context.now, context.clock.real())
            session.rollback()
    else:
        ended, free = context.raw_database.run(lambda s: _release_and_adopt(s, number, context))
    for one in ended:
        click.echo(
            f"{'Would release' if dry_run else 'Released'} {one.id}: {one.scope} ({one.why})"
        )
    if not ended:
        click.echo("Nothing is held.")
    elif free:
        say(f"Mails that may leave now: {free:,} → minicourse send due")
    if examples:
        click.echo("\nThe lessons that have waited longest:")
        _print_mails(examples)


def _release_and_adopt(
    session: Session, number: int | None, context: Context
) -> tuple[list[HoldLine], int]:
    """Whoever releases a copy says that from now on it is the one that sends."""
    ended, free = _release(session, number, context)
    if any(one.kind == HoldKind.COPY for one in ended):
        copies.adopt(session, context.settings, context.now)
    return ended, free


def _release(session: Session, number: int | None, context: Context) -> tuple[list[HoldLine], int]:
    """The holds that end, and how many mails become free by it."""
    standing = overview.holds_standing(session)
    chosen = [one for one in standing if number in (None, one.id)]
    if number is not None and not chosen:
        known = ", ".join(str(one.id) for one in standing) or "none"
        raise NotFoundError(f"No hold {number} stands; there is: {known}. See: minicourse status")
    real = context.clock.real()
    before = due.backlog(session, context.now, real).held
    holds.release(session, [one.id for one in chosen], context.who, context.now)
    for one in chosen:
        audit.record(session, context.who, "release", context.now, hold=one.id, scope=one.scope)
    return chosen, before - due.backlog(session, context.now, real).held
