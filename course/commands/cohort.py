"""`minicourse cohort`: groups of learners, rolling or with a fixed start."""

import click
from sqlalchemy.orm import Session

from course import audit, cohorts
from course.cohorts import Verb
from course.commands.cohort_look import list_, show
from course.commands.cohort_terms import clone, create, edit
from course.commands.context import Context, ask, dry_run_option, load, say, yes_option
from course.models import Cohort
from course.states import EnrollmentState


@click.group()
def cohort() -> None:
    """Cohorts: create, edit, clone, list, show, open, close, pause, resume, front, archive.

    A cohort is written COURSE/NAME, or NAME where only one course has it.

    \b
    Example:
      minicourse cohort list
    """


for _command in (create, edit, clone, list_, show):
    cohort.add_command(_command)


@cohort.command("open")
@click.argument("name", metavar="COURSE/NAME")
@dry_run_option
def open_(name: str, dry_run: bool) -> None:
    """Let people sign up to a cohort.

    \b
    Example:
      minicourse cohort open job-search/spring
    """
    _do(name, Verb.OPEN, dry_run=dry_run)


@cohort.command()
@click.argument("name", metavar="COURSE/NAME")
@dry_run_option
def close(name: str, dry_run: bool) -> None:
    """Take nobody in any more; those who are in the cohort go on.

    Who has signed up already may still confirm.

    \b
    Example:
      minicourse cohort close job-search/spring
    """
    _do(name, Verb.CLOSE, dry_run=dry_run)


@cohort.command()
@click.argument("name", metavar="COURSE/NAME")
@dry_run_option
@yes_option
def pause(name: str, dry_run: bool, yes: bool) -> None:
    """Send no lessons to a cohort until it is resumed. Nobody loses any.

    \b
    Examples:
      minicourse cohort pause job-search/spring --dry-run
      minicourse cohort pause job-search/spring --yes
    """
    _do(name, Verb.PAUSE, dry_run=dry_run, yes=yes, question="{learners} get no lessons")


@cohort.command()
@click.argument("name", metavar="COURSE/NAME")
@dry_run_option
@yes_option
def resume(name: str, dry_run: bool, yes: bool) -> None:
    """Let a paused cohort go on. What became late comes one by one, as the course says.

    \b
    Examples:
      minicourse cohort resume job-search/spring --dry-run
      minicourse cohort resume job-search/spring --yes
    """
    _do(name, Verb.RESUME, dry_run=dry_run, yes=yes, question="{learners} get lessons again")


@cohort.command()
@click.argument("name", metavar="COURSE/NAME")
@dry_run_option
def archive(name: str, dry_run: bool) -> None:
    """Put a cohort away for good: one that nobody waits or learns in any more.

    \b
    Example:
      minicourse cohort archive job-search/spring
    """
    _do(name, Verb.ARCHIVE, dry_run=dry_run)


@cohort.command()
@click.argument("name", metavar="COURSE/NAME")
@dry_run_option
def front(name: str, dry_run: bool) -> None:
    """Have the course's page fill this cohort from now on.

    \b
    Example:
      minicourse cohort front job-search/spring
    """
    context = load()

    def work(session: Session) -> tuple[str, bool]:
        found = cohorts.find(session, name)
        changed = cohorts.make_front(session, found)
        if changed and not dry_run:
            _record(session, context, found, "front")
        label = cohorts.label(found)
        if dry_run:
            session.rollback()
        return label, changed

    label, changed = context.raw_database.run(work)
    if dry_run and changed:
        click.echo(f"{label} would be the front; who signed up before stays where they are")
        return
    click.echo(f"{label} is the front{'' if changed else ' already'}")


def _do(name: str, verb: Verb, *, dry_run: bool, yes: bool = True, question: str = "") -> None:
    """Whatever touches more than one person is asked about first, with their number."""
    context = load()
    with context.raw_database.writing() as session:
        found = cohorts.find(session, name)
        learners = cohorts.counts(session, found).get(EnrollmentState.ACTIVE, 0)
        would = cohorts.change(session, found, verb)
        label, state, was_front = cohorts.label(found), found.state, found.is_front
        session.rollback()
    if not would:
        click.echo(f"{label} was {state} already")
        return
    told = question.format(learners=f"{learners:,} {'person' if learners == 1 else 'people'}")
    if dry_run:
        click.echo(f"{label} would be {state}; {told or 'nobody is touched'}")
        return
    if learners > 1 and question:
        ask(f"{label}: {told}. Go on?", yes)

    def work(session: Session) -> None:
        cohort = cohorts.find(session, name)
        if cohorts.change(session, cohort, verb):
            _record(session, context, cohort, verb)

    context.raw_database.run(work)
    click.echo(f"{label} is {state}")
    if was_front and verb in (Verb.CLOSE, Verb.ARCHIVE):
        say(
            "It is the front: the course's page takes nobody in now. Give it another: "
            "minicourse cohort front COURSE/NAME"
        )


def _record(session: Session, context: Context, found: Cohort, verb: str) -> None:
    label = cohorts.label(found)
    audit.record(session, context.who, f"cohort {verb}", context.now, cohort=label)
