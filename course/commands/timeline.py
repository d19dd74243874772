"""`minicourse course timeline`: which mail comes when, to one newcomer or to a whole cohort."""

import textwrap
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from course import cohorts, courses, curriculum, ics, sources, timing
from course import load as loads
from course import timeline as timelines
from course.commands.charts import bar
from course.commands.context import (
    WIDTH,
    Context,
    json_option,
    known_hour,
    known_zone,
    load,
    print_json,
    print_table,
    say,
)
from course.curriculum import Course as Curriculum
from course.errors import InvalidInputError
from course.load import Load
from course.models import Cohort
from course.timeline import Arrival, Timeline, length
from course.writing import whole

_DAY = "%a %Y-%m-%d"
_YEARS = range(1970, 3000)


@click.command()
@click.argument("course")
@click.option("--signup", metavar="MOMENT", help='When they confirm: "2026-03-27 18:30".')
@click.option("--zone", help="Their time zone, like Europe/Berlin.")
@click.option("--hour", metavar="HH:MM", help="The hour that they chose.")
@click.option("--cohort", metavar="NAME", help="The cohort that they join. Default: a rolling one.")
@click.option("--live", "is_live", is_flag=True, help="As it is live, not as its files are now.")
@click.option(
    "--ics",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write a calendar as well.",
)
@click.option(
    "--days", type=click.IntRange(1, 366), help="How many mails leave for all of --cohort a day."
)
@json_option
def timeline(
    course: str,
    signup: str | None,
    zone: str | None,
    hour: str | None,
    cohort: str | None,
    is_live: bool,
    file: Path | None,
    days: int | None,
    as_json: bool,
) -> None:
    """Say which mail arrives when, if somebody signs up. Nothing changes.

    MOMENT is on their own clock, and now by default. With --days it is about those who take part
    already: how many lessons leave for the cohort, day by day, as the course is live.

    \b
    Examples:
      minicourse course timeline job-search
      minicourse course timeline job-search --signup "2026-03-27 18:30" \\
        --zone America/New_York
      minicourse course timeline job-search --cohort spring --ics spring.ics
      minicourse course timeline job-search --cohort evergreen --days 30
    """
    context = load()
    if days is not None:
        if not cohort or signup or zone or hour or file:
            raise click.UsageError("--days goes with --cohort, and only with that and --json.")
        _show_load(context, _label(course, cohort), days, as_json=as_json)
        return
    found = _newcomer(context, course, cohort, signup, zone, hour, is_live=is_live)
    if file:
        _write(file, calendar(found, context.now))
    if as_json:
        print_json(found)
    else:
        _print(found)
    if file:
        say(f"Written: {file}")


def _write(file: Path, text: str) -> None:
    if str(file) == "-":
        click.echo(text.encode(), nl=False)
        return
    with whole(file) as target:
        target.write(text)


# A newcomer --------------------------------------------------------------------------------------


def _newcomer(
    context: Context,
    course: str,
    cohort: str | None,
    signup: str | None,
    zone: str | None,
    hour: str | None,
    *,
    is_live: bool,
) -> Timeline:
    own = known_zone(zone)
    read = _live(context, course) if is_live else _on_disk(context, course)
    group = _cohort(context, course, cohort) if cohort else Cohort()  # of nobody: a rolling one
    named = own or group.zone
    clock = ZoneInfo(named) if named else read.schedule.zone
    return timelines.of_newcomer(
        read,
        group,
        zone=own,
        hour=known_hour(hour),
        signed_up_at=context.now if signup is None else _moment(signup, clock),
    )


def _on_disk(context: Context, course: str) -> Curriculum:
    source = sources.read(context.settings.home, course)
    return curriculum.parse(course, source.files, where=f"lessons/{course}/")


def _live(context: Context, course: str) -> Curriculum:
    with context.raw_database.reading() as session:
        return courses.live(session, course).curriculum


def _cohort(context: Context, course: str, cohort: str) -> Cohort:
    with context.raw_database.reading() as session:
        return cohorts.find(session, _label(course, cohort))


def _label(course: str, cohort: str) -> str:
    if "/" in cohort and not cohort.startswith(f"{course}/"):
        raise InvalidInputError(f"Cohort {cohort!r} is not one of {course}; name one that is")
    return cohort if "/" in cohort else f"{course}/{cohort}"


def _moment(text: str, clock: ZoneInfo) -> datetime:
    """On their clock, unless it names its own offset."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.year not in _YEARS:
            raise ValueError
    except ValueError:
        raise InvalidInputError(
            f"--signup {text!r} is no moment; write it like 2026-03-27 18:30"
        ) from None
    if moment.tzinfo is None:
        return timing.to_utc(moment.date(), moment.time(), clock)
    return moment.astimezone(UTC)


def _print(found: Timeline) -> None:
    zone = ZoneInfo(found.zone)
    cohort = f"/{found.cohort}" if found.cohort else ""
    click.echo(f"{found.course}{cohort}, on the clock of {found.zone}")
    click.echo(f"signed up {_local(found.signed_up_at.astimezone(zone))}")
    if found.starts_at > found.signed_up_at:
        click.echo(f"begins    {_local(found.starts_at.astimezone(zone))}")
    click.echo()
    print_table(
        [("no.", "right"), ("arrives", "whole"), ("UTC", "whole"), ("after", "whole"), "lesson"],
        [
            (
                str(one.number),
                _local(one.local_due_at),
                one.due_at,
                length(one.minutes_since),
                one.lesson,
            )
            for one in found.mails
        ],
    )
    _print_notes(found)


def _local(moment: datetime) -> str:
    return f"{moment:{_DAY} %H:%M %Z}"


def _print_notes(found: Timeline) -> None:
    notes = [(f"{one.number}  {one.lesson}: ", one.notes) for one in found.mails if one.notes]
    if found.left_out:
        notes.append(("left out by their `when`: ", found.left_out))
    if notes:
        click.echo()
    for head, words in notes:
        click.echo(textwrap.fill(f"{head}{'; '.join(words)}", WIDTH, subsequent_indent="   "))


def calendar(found: Timeline, now: datetime) -> str:
    """The mails as a calendar."""
    return ics.calendar((_event(found, mail) for mail in found.mails), now)


def _event(found: Timeline, mail: Arrival) -> ics.Event:
    lesson = f"{found.course}/{mail.lesson}"
    return ics.Event(
        mark=f"{lesson} {found.signed_up_at.isoformat()} {found.zone}",
        at=mail.due_at,
        title=f"{mail.number}. {mail.subject}",
        text="\n".join((lesson, _local(mail.local_due_at), *mail.notes)),
    )


# A cohort ----------------------------------------------------------------------------------------


def _show_load(context: Context, label: str, days: int, *, as_json: bool) -> None:
    with context.raw_database.reading() as session:
        cohort = cohorts.find(session, label)
        found = loads.of_cohort(session, cohort, context.now, days)
    if as_json:
        print_json(found)
        return
    _print_load(found)
    if not found.is_running:
        say("Nothing leaves: the cohort does not run.")


def _print_load(found: Load) -> None:
    label = f"{found.course}/{found.cohort}"
    click.echo(f"{label}, lessons a day on the clock of {found.zone}")
    click.echo()
    most = max(one.mails for one in found.days)
    width = len(f"{found.mails:,}")
    room = WIDTH - len("Fri 2026-03-27") - width - 4
    for one in found.days:
        drawn = bar(one.mails / most if most else 0, room).plain
        click.echo(f"{one.day:{_DAY}}  {one.mails:>{width},}  {drawn}".rstrip())
    click.echo(f"{'total':14}  {found.mails:>{width},}")
