"""`minicourse status`: one screen, what is going on."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import click
from sqlalchemy.orm import Session

from course import broker, courses, installation
from course import overview as overviews
from course.broker import Broker
from course.commands.context import (
    ATTENTION,
    Context,
    json_option,
    load,
    print_facts,
    print_json,
    short_time,
)
from course.commands.course import sources_on_disk
from course.errors import CourseError, MinicourseError
from course.overview import EVERYTHING, Attention, Overview
from course.sources import Source
from course.states import Mode
from course.wording import counted

_LOOK_SECONDS = 2.0


@click.command()
@click.option("--watch", is_flag=True, help="Look again every two seconds, until Ctrl-C.")
@json_option
def status(watch: bool, as_json: bool) -> None:
    """One screen: what is going on, and what needs you (exit 3).

    \b
    Examples:
      minicourse status
      minicourse status --json

    To keep an eye on it: minicourse status --watch
    """
    if watch and as_json:
        raise click.UsageError("--watch is for people, --json for programs.")
    if watch:
        _keep_watching()
        return
    context = load()
    found = _look(context)
    if as_json:
        print_json(found)
    else:
        _show(found, context)
    if found.attention:
        click.get_current_context().exit(ATTENTION)


def _keep_watching() -> None:
    try:
        while True:
            context = load()
            found = _look(context)
            context.close()
            click.clear()
            _show(found, context)
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        click.echo()


def _show(found: Overview, context: Context) -> None:
    print_facts(_lines(found, context))
    _print_attention(found)


def _look(context: Context) -> Overview:
    sources, problems = _on_disk(context.settings.home)
    found_broker = broker.look(context.settings)  # before the database is asked, and kept waiting
    with context.raw_database.reading() as session:
        installation.get(session)
        return overviews.overview(
            session,
            sources,
            context.settings.mail_host,
            context.now,
            context.clock.real(),
            [*_misfits(session, context), *problems],
            found_broker,
        )


def _misfits(session: Session, context: Context) -> Iterator[Attention]:
    """Settings that do not belong to this database: nothing is sent with them."""
    try:
        installation.check(session, context.settings)
    except MinicourseError as error:
        yield Attention(str(error), "minicourse doctor")


def _on_disk(home: Path) -> tuple[list[Source], list[Attention]]:
    try:
        return sources_on_disk(home), []
    except CourseError as error:
        return [], [Attention(str(error), "minicourse course check")]


def _lines(found: Overview, context: Context) -> Iterator[tuple[str, object]]:
    real = context.clock.real()
    where = found.mail_host if found.mode == Mode.LIVE else f"mail goes to {found.mail_host}"
    yield "mode", f"{found.mode}: {where}"
    yield "mail", _sending(found)
    yield "due", _counted(found)
    yield "late", found.late
    yield "unknown", found.unknown
    yield "failed", f"{found.failed:,} in the last 7 days"
    yield "last tick", _ago(found.last_tick, real)
    yield "last accepted", _ago(found.last_accepted, real)
    yield "last event", _ago(found.last_event, real)
    yield "next release", _next(found, context.now)
    yield "changes", _changes(found)
    if found.sign_ups:
        listed = ", ".join(f"{number:,} {name}" for name, number in found.sign_ups.items())
        yield "the form", f"{listed} within a day"
    if found.broker:
        yield "broker", _broker(found.broker)
    if context.settings.clock_file:
        yield "clock", f"{short_time(context.now)} UTC, from {context.settings.clock_file}"


def _broker(found: Broker) -> str:
    if found.hints is None:
        return f"{found.where} does not answer"
    return f"{found.where}: {counted(found.hints, 'hint')} for workers"


def _sending(found: Overview) -> str:
    if not found.holds:
        return "sending"
    return "held" if any(one.scope == EVERYTHING for one in found.holds) else "held in part"


def _counted(found: Overview) -> str:
    besides = [("held", found.held), ("tried again soon", found.retrying)]
    words = [f"{number:,} {word}" for word, number in besides if number]
    return f"{found.due:,}" + (f" (and {', '.join(words)})" if words else "")


def _ago(moment: datetime | None, real: datetime) -> str:
    return f"{short_time(moment)} UTC ({_length(real - moment)} ago)" if moment else "never"


def _next(found: Overview, now: datetime) -> str:
    release = found.next_release
    if release is None:
        return "nobody waits for a lesson"
    when = f"{release.due_at:%a} {short_time(release.due_at)} UTC"
    return f"{release.course}/{release.lesson}, {when} (in {_length(release.due_at - now)})"


def _length(span: timedelta) -> str:
    """`40 s`, `12 min`, `3 h`, `5 days`: to the eye, not to the second."""
    seconds = max(round(span.total_seconds()), 0)
    for limit, size, word in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // size} {word}"
    return f"{seconds // 86_400} days"


def _changes(found: Overview) -> str:
    if not found.changes_not_live:
        return "all live"
    commands = [courses.step_to_live(slug) for slug in found.changes_not_live]
    return "\n".join(f"not live → {command}" for command in commands)


def _print_attention(found: Overview) -> None:
    if not found.attention:
        return
    click.echo("\nNeeds you:")
    for one in found.attention:
        print_facts([("  •", one.what), ("", f"→ {one.command}")])
