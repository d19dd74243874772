"""`minicourse course plan|apply|revisions|rollback`: from files to what is sent, and back."""

from typing import Any

import click

from course import changes, checking, courses, editing, sources
from course.checking import Severity
from course.commands.context import (
    Context,
    F,
    dry_run_option,
    json_option,
    load,
    print_json,
    print_table,
    say,
)
from course.editing import Choice, Effect, Plan, What
from course.errors import RefusedError
from course.models import Course, Revision
from course.office import site_of
from course.sources import Source
from course.wording import counted

_SHOWN = 5


def _decisions(command: F) -> F:
    choice = click.Choice([str(choice) for choice in Choice])
    for option in (
        click.option("--for-finished", type=choice, help="New lessons, for who is through."),
        click.option("--for-past", type=choice, help="New lessons, for who is further on."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("name")
@json_option
def plan(name: str, as_json: bool) -> None:
    """Say what the files would change, and for whom. Nothing changes.

    \b
    Example:
      minicourse course plan job-search
    """
    context = load()
    source = sources.read(context.settings.home, name)
    with context.raw_database.reading() as session:
        found = editing.plan(session, name, source.files, context.now)
    if as_json:
        print_json(
            {
                "course": name,
                "changes": found.changes,
                "effects": found.effects,
                "moved_mails": found.moved_mails,
                "begin_anew": found.begin_anew,
            }
        )
        return
    if not found.changes:
        click.echo(f"{name}: nothing changed")
        return
    _print_plan(name, found)
    options = " ".join(found.questions(None, None))
    say(f"Make it so → minicourse course apply {name} {options}".rstrip())


def _print_plan(name: str, found: Plan) -> None:
    click.echo(name)
    for effect in found.effects:
        for line in _words(effect):
            click.echo(f"  {line}")
    if not found.effects and found.changes.added:
        click.echo(f"  lessons added: {', '.join(found.changes.added)}")
    if found.changes.files:
        click.echo(f"  files changed: {', '.join(found.changes.files)}")
    for field in found.changes.fields:
        click.echo(f"  field {field} is gone or of another kind: answers to it have no effect")
    for line in _moved(found):
        click.echo(f"  {line}")


def _words(effect: Effect) -> list[str]:
    place = f" after {effect.behind}" if effect.behind and effect.asks else ""
    head = f"lesson {effect.lesson} {effect.what}{place}"
    match effect.what:
        case What.REMOVED:
            lines = [f"{_people(effect.coming)} will not get it any more; {effect.had:,} had it"]
        case What.CHANGED:
            lines = [
                f"{_people(effect.coming)} will get the new words",
                f"{effect.had:,} had the old ones",
            ]
        case What.RETIMED:
            lines = [f"{_people(effect.coming)} will get it at the new time"]
        case What.READDRESSED:
            lines = [f"{_people(effect.coming)} will get it; {effect.had:,} had it"]
        case _:
            lines = [f"{_people(effect.coming)} will get it in its place"]
            if effect.past:
                lines.append(f"{_people(effect.past)} past it: --for-past send|skip")
            if effect.finished:
                lines.append(f"{_people(effect.finished)} through: --for-finished send|skip")
    if effect.not_for:
        lines.append(f"for {_people(effect.not_for)} it is not (when)")
    return [head, *(f"  {line}" for line in lines)]


def _moved(found: Plan) -> list[str]:
    """Whose time the edit makes another, though it was decided."""
    lines = []
    if found.moved_mails:
        mails = counted(found.moved_mails, "planned mail moves", "planned mails move")
        lines.append(f"{mails} to another time")
    if found.begin_anew:
        people = counted(found.begin_anew, "person begins", "people begin")
        lines.append(f"{people} a cohort's first day at another hour")
    return lines


def _people(count: int) -> str:
    return counted(count, "learner")


@click.command()
@click.argument("name")
@_decisions
@click.option("--force", is_flag=True, help="Although the check finds errors; needs --why.")
@click.option("--why", metavar="TEXT", help="The reason, for the record.")
@dry_run_option
def apply(
    name: str,
    for_past: str | None,
    for_finished: str | None,
    force: bool,
    why: str | None,
    dry_run: bool,
) -> None:
    """Make a course's files the ones that are sent.

    Everything is checked and every mail rendered once before; what cannot be sent cannot go live.
    Mails that wait already leave in the new words. Where learners are past a new lesson, you say
    whether they get it.

    \b
    Examples:
      minicourse course apply job-search
      minicourse course apply job-search --dry-run
      minicourse course apply job-search --for-past skip --for-finished skip
    """
    if force and not why:
        raise click.UsageError("--force needs --why TEXT.")
    context = load()
    source = sources.read(context.settings.home, name)
    if not force:
        _require_clean(context, source)
    _apply(context, source, for_past, for_finished, why=why, dry_run=dry_run)


def _require_clean(context: Context, source: Source) -> None:
    found = checking.check(source, site_of(context.settings))
    errors = [one for one in found if one.severity is Severity.ERROR]
    if errors:
        told = "\n".join(f"{one.file}:{one.line}: {one.what}" for one in errors[:_SHOWN])
        raise RefusedError(
            f"{told}\nThat is {len(errors)} to mend first; all about it: "
            f"minicourse course check {source.slug}"
        )


def _apply(
    context: Context,
    source: Source,
    for_past: str | None,
    for_finished: str | None,
    *,
    why: str | None,
    dry_run: bool,
) -> None:
    def work(session: Any) -> tuple[int, Plan, str]:
        revision, found = editing.apply(
            session,
            source,
            context.who,
            context.now,
            for_past=Choice(for_past) if for_past else None,
            for_finished=Choice(for_finished) if for_finished else None,
            why=why,
        )
        return revision.number, found, session.get_one(Course, revision.course_id).state

    name = source.slug
    if dry_run:
        with context.raw_database.writing() as session:
            number, found, state = work(session)
            session.rollback()
    else:
        number, found, state = context.raw_database.run(work)
    if not found.changes:
        click.echo(f"{name}: nothing changed; revision {number} is live")
        return
    click.echo(f"{name}: revision {number} {'would be' if dry_run else 'is'} live")
    for line in (*_summary(found.changes), *_moved(found)):
        click.echo(f"  {line}")
    if dry_run:
        reaching = [one for one in found.effects if one.coming or one.past or one.finished]
        for line in (line for effect in reaching for line in _words(effect)):
            click.echo(f"  {line}")
    if state == courses.DRAFT and not dry_run:
        say(f"Nobody can sign up yet → minicourse course publish {name}")


def _summary(found: changes.Changes) -> list[str]:
    lists = (
        ("lessons added", found.added),
        ("lessons changed", found.changed),
        ("lessons re-timed", found.retimed),
        ("lessons for other readers", found.readdressed),
        ("lessons moved", found.moved),
        ("lessons removed", found.removed),
        ("files changed", found.files),
        ("fields gone, what readers said in them has no effect", found.fields),
    )
    return [f"{what}: {', '.join(names)}" for what, names in lists if names]


@click.command()
@click.argument("name")
@json_option
def revisions(name: str, as_json: bool) -> None:
    """List all that was ever live, the newest first.

    \b
    Example:
      minicourse course revisions job-search
    """
    context = load()
    with context.raw_database.reading() as session:
        live = courses.live(session, name)
        lines = [_line(one, live.revision_id) for one in editing.revisions(session, name)]
    if as_json:
        print_json(lines)
        return
    print_table(
        [("revision", "right"), "state", "applied (UTC)", "by", "commit"],
        [
            (
                line["revision"],
                "live" if line["is_live"] else "",
                line["applied"],
                line["by"],
                (line["commit"] or "")[:10],
            )
            for line in lines
        ],
    )


def _line(revision: Revision, live_id: int) -> dict[str, Any]:
    return {
        "revision": revision.number,
        "is_live": revision.id == live_id,
        "applied": f"{revision.created_at:%Y-%m-%d %H:%M}",
        "by": revision.created_by,
        "commit": revision.git_commit,
    }


@click.command()
@click.argument("name")
@click.argument("number", metavar="[REVISION]", type=int, required=False)
@_decisions
@click.option("--why", metavar="TEXT", help="The reason, for the record.")
@dry_run_option
def rollback(
    name: str,
    number: int | None,
    for_past: str | None,
    for_finished: str | None,
    why: str | None,
    dry_run: bool,
) -> None:
    """Make an earlier revision live again, by default the one before.

    Your files stay as they are.

    It becomes a revision of its own, and raises the same questions as any edit.

    \b
    Examples:
      minicourse course rollback job-search --dry-run
      minicourse course rollback job-search 3 --why "a broken link"
    """
    context = load()
    with context.raw_database.reading() as session:
        found = editing.earlier(session, name, number)
    folder = context.settings.home / "lessons" / name
    source = Source(name, folder, found.files, found.git_commit)
    _apply(context, source, for_past, for_finished, why=why, dry_run=dry_run)
    if not dry_run:
        say(f"The files in {folder} are not live now; see: minicourse course plan {name}")
