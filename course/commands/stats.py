"""`minicourse stats`: how courses, lessons and cohorts do."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.text import Text

from course import stats as numbers
from course.commands.charts import bar, columns, gathered
from course.commands.context import (
    WIDTH,
    Context,
    console,
    json_option,
    load,
    print_json,
    print_table,
    print_text,
    say,
)
from course.errors import InvalidInputError, NotFoundError
from course.stats import Stats, cohorts, daily, deliverability, known, lessons
from course.stats.daily import Daily, DayStats
from course.stats.deliverability import Deliverability, Standing
from course.stats.lessons import Step

F = TypeVar("F", bound=Callable[..., Any])
_NOTHING_YET = "No course yet → minicourse course apply NAME"
_BAR = 18
_CHART_HEIGHT = 4
_STYLES = {Standing.GOOD: "green", Standing.WATCH: "yellow", Standing.BAD: "bold red"}

csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
days_option = click.option(
    "--days",
    type=click.IntRange(1, 366),
    default=30,
    show_default=True,
    help="So many days back, today among them.",
)


class _Stats(click.Group):
    """`stats` and `stats COURSE` are short for `stats overview …`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["overview", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Stats)
def stats() -> None:
    """How courses, lessons and cohorts do. Rehearsals are not counted.

    A dash (null in JSON, nothing in CSV) stands where a number cannot be known: opens and clicks
    of mails that left without tracking, and what became of mails while the provider was never
    heard. The reason stands below.

    \b
    Examples:
      minicourse stats
      minicourse stats job-search --json
    """


@stats.command()
@click.argument("course", required=False)
@json_option
@csv_option
def overview(course: str | None, as_json: bool, as_csv: bool) -> None:
    """All courses and cohorts on one screen; of one course its lessons, too.

    \b
    Examples:
      minicourse stats overview
      minicourse stats overview job-search --csv
    """
    context = _begin(as_json, as_csv)
    with _unless_mistyped(course), context.raw_database.reading() as session:
        found = numbers.overall(session, course)
    if as_json:
        print_json({"courses": found.courses, "lessons": found.lessons, "cohorts": found.cohorts})
    elif as_csv:
        _print_csv(numbers.CourseStats, found.courses)
    elif not found.lessons:
        say(_NOTHING_YET)
    else:
        _show_overview(found)
        if course:
            _show_mails(found)
        _explain(known.reasons(found.courses))


@stats.command(name="lessons")
@click.argument("course", required=False)
@json_option
@csv_option
def of_lessons(course: str | None, as_json: bool, as_csv: bool) -> None:
    """Each lesson as a step: who came to it, read it, went on.

    \b
    Examples:
      minicourse stats lessons
      minicourse stats lessons job-search --csv
    """
    context = _begin(as_json, as_csv)
    with context.raw_database.reading() as session:
        found = lessons.funnel(session, numbers.chosen(session, course))
    if as_json:
        print_json(found)
    elif as_csv:
        _print_csv(Step, found)
    elif not found:
        say(_NOTHING_YET)
    else:
        for slug, steps in groupby(found, key=lambda one: one.course):
            _show_steps(slug, list(steps))
        _explain(known.reasons(found))


@stats.command(name="cohorts")
@click.argument("course", required=False)
@json_option
@csv_option
def of_cohorts(course: str | None, as_json: bool, as_csv: bool) -> None:
    """Cohorts side by side: shares make large and small ones comparable.

    \b
    Examples:
      minicourse stats cohorts
      minicourse stats cohorts job-search --json
    """
    context = _begin(as_json, as_csv)
    with context.raw_database.reading() as session:
        found = cohorts.side_by_side(session, numbers.chosen(session, course))
    if as_json:
        print_json(found)
    elif as_csv:
        _print_csv(cohorts.CohortDetails, found)
    elif not found:
        say(_NOTHING_YET)
    else:
        _show_cohorts(found)
        _explain(known.reasons(found))


@stats.command(name="time")
@click.argument("course", required=False)
@days_option
@json_option
@csv_option
def by_day(course: str | None, days: int, as_json: bool, as_csv: bool) -> None:
    """Sign-ups, lessons sent and leavings, day by day in the course's zone.

    \b
    Examples:
      minicourse stats time
      minicourse stats time job-search --days 90 --csv
    """
    context = _begin(as_json, as_csv)
    with context.raw_database.reading() as session:
        live = numbers.chosen(session, course)
        found = daily.by_day(session, live, context.now, days, daily.zone_of(live))
    if as_json:
        print_json(found)
    elif as_csv:
        _print_csv(DayStats, found.days)
    elif not live:
        say(_NOTHING_YET)
    else:
        _show_days(found)
        _explain(daily.reasons(context.now, context.clock.real()))


@stats.command(name="deliverability")
@click.argument("course", required=False)
@days_option
@json_option
@csv_option
def by_domain(course: str | None, days: int, as_json: bool, as_csv: bool) -> None:
    """Bounces and complaints by the domain of the addresses.

    Beside them: what Google and Yahoo allow, and what helps where it is too much.

    \b
    Examples:
      minicourse stats deliverability
      minicourse stats deliverability --days 7 --json
    """
    context = _begin(as_json, as_csv)
    with context.raw_database.reading() as session:
        live = numbers.chosen(session, course)
        found = deliverability.read(session, live, context.clock.real(), days)
    if as_json:
        print_json(found)
    elif as_csv:
        _print_csv(deliverability.DomainStats, [found.total, *found.domains])
    elif not live:
        say(_NOTHING_YET)
    else:
        _show_domains(found)


@stats.command()
@click.argument("course", required=False)
@click.option(
    "--html",
    "file",
    type=click.Path(dir_okay=False),
    required=True,
    help="The file to write; - for stdout.",
)
@days_option
def report(course: str | None, file: str, days: int) -> None:
    """All of it as one page, to look at or to send to a colleague.

    The page needs nothing else: no network, no script. It holds no address.

    \b
    Examples:
      minicourse stats report --html report.html
      minicourse stats report job-search --html -
    """
    from course.report import html

    if not file:
        raise InvalidInputError("--html '' names no file; write --html FILE, or - for stdout")
    context = load()
    with context.raw_database.reading() as session:
        live = numbers.chosen(session, course)
        page = html(session, live, context.now, context.clock.real(), days)
    if file == "-":
        click.echo(page)
        return
    try:
        Path(file).write_text(page, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(
            f"Cannot write {file}: {error.strerror}. Choose another: --html FILE"
        ) from None
    click.echo(f"{file}: {len(page.encode()) // 1024 + 1} KB, no address in it")


@contextmanager
def _unless_mistyped(course: str | None) -> Iterator[None]:
    """What is no command is taken for a course: where there is none of that name, either was
    meant."""
    try:
        yield
    except NotFoundError as error:
        near = get_close_matches(course or "", stats.commands, 1)
        if not near:
            raise
        raise NotFoundError(f"{error}. Or did you mean: minicourse stats {near[0]}") from None


# Terminal ---------------------------------------------------------------------------------------


def _show_overview(found: Stats) -> None:
    print_table(
        [
            ("course", "whole"),
            *(
                (head, "right")
                for head in (
                    *("signed\nup", "con-\nfirmed", "active", "com-\npleted", "sent"),
                    *("deliv-\nered", "opened", "clicked", "left"),
                )
            ),
        ],
        [
            (
                *(one.course, one.signed_up, one.confirmed, one.active, one.completed, one.sent),
                *(_share(one.delivered, one.sent), _share(one.opened, one.opens_tracked)),
                *(_share(one.clicked, one.clicks_tracked), one.unsubscribed),
            )
            for one in found.courses
        ],
    )
    click.echo()
    print_table(
        [
            ("cohort", "whole"),
            *((head, "right") for head in ("signed up", "confirmed", "active")),
            ("completed", "right"),
            ("", "bar"),
        ],
        [
            (
                f"{one.course}/{one.cohort}",
                *(one.signed_up, one.confirmed, one.active, one.completed),
                bar(_part(one.completed, one.confirmed), _BAR),
            )
            for one in found.cohorts
        ],
    )
    click.echo()


def _show_mails(found: Stats) -> None:
    heads = {
        "sent": "sent",
        "delivered": "deliv-\nered",
        "opened": "opened",
        "clicked": "clicked",
        "unsubscribed": "unsub-\nscribed",
        "bounced": "bounced",
        "dropped": "dropped",
        "complained": "com-\nplained",
    }
    print_table(
        [("lesson", "whole"), *((head, "right") for head in heads.values())],
        [(_lesson(one), *(getattr(one, name) for name in heads)) for one in found.lessons],
    )
    click.echo()


def _lesson(one: numbers.LessonStats) -> str:
    return one.lesson if one.number else f"{one.lesson}\n(removed)"


def _show_steps(slug: str, steps: Sequence[Step]) -> None:
    first = max((one.entered for one in steps), default=0)
    heads = ("entered", "sent", "deliv-\nered", "went\non", "dropped\noff")
    print_table(
        [("lesson", "whole"), *((head, "right") for head in heads), ("", "bar")],
        [
            (
                *(_lesson(one), one.entered, one.sent, one.delivered, one.went_on),
                one.dropped_off,
                bar(_part(one.sent, first), _BAR),
            )
            for one in steps
        ],
        title=slug,
    )
    click.echo()
    print_table(
        [
            ("lesson", "whole"),
            ("opened\nby\npeople", "right"),
            ("", "right"),
            ("by\nmachines\nonly", "right"),
            ("not\nknown", "right"),
            ("clicked\nby\npeople", "right"),
            ("", "right"),
            ("by\nmachines\nonly", "right"),
        ],
        [
            (
                _lesson(one),
                one.opened,
                _share(one.opened, one.opens_tracked) or " ",
                *(one.machine_opened, one.open_unknown),
                one.clicked,
                _share(one.clicked, one.clicks_tracked) or " ",
                one.machine_clicked,
            )
            for one in steps
        ],
    )
    click.echo()


def _show_cohorts(found: Sequence[cohorts.CohortDetails]) -> None:
    print_table(
        [
            ("cohort", "whole"),
            *(
                (head, "right")
                for head in (
                    *("signed\nup", "con-\nfirmed", "active", "com-\npleted", "left"),
                    *("sent", "deliv-\nered", "opened", "clicked"),
                )
            ),
        ],
        [
            (
                f"{one.course}/\n{one.cohort}",
                one.signed_up,
                _share(one.confirmed, one.signed_up),
                one.active + one.paused,
                _share(one.completed, one.confirmed),
                _share(one.unsubscribed, one.confirmed),
                one.sent,
                _share(one.delivered, one.sent),
                _share(one.opened, one.opens_tracked),
                _share(one.clicked, one.clicks_tracked),
            )
            for one in found
        ],
    )
    click.echo()


def _show_days(found: Daily) -> None:
    first, last = found.days[0].day, found.days[-1].day
    print_text(f"{first} to {last} ({found.zone})", "bold")
    # Two cells a day where there is room; where there is none, several days a column.
    room = min(console().width, WIDTH) - 12
    series = (("signed up", "signed_up"), ("sent", "sent"), ("left", "unsubscribed"))
    for words, name in series:
        values, size = gathered([getattr(one, name) for one in found.days], room)
        wide = 2 if 2 * len(values) <= room else 1
        each = "" if size == 1 else f" (a column: {size} days)"
        click.echo()
        print_text(f"{words}: {sum(values):,}{each}", "bold")
        if not any(values):
            continue
        for row, line in enumerate(columns(values, _CHART_HEIGHT)):
            scale = f"{max(values):,}" if row == 0 else "0" if row == _CHART_HEIGHT - 1 else ""
            print_text(f"{scale:>9} │{''.join(letter * wide for letter in line)}", "cyan")
    if not any(one.signed_up or one.sent or one.unsubscribed for one in found.days):
        print_text("\nNothing on these days. Earlier ones: minicourse stats time --days 366")
        return
    ending = f"{last:%d %b}" if last != first else ""
    print_text(f"{'':11}{first:%d %b}{ending:>{max(wide * len(values) - 6, 7)}}")


def _show_domains(found: Deliverability) -> None:
    heads = ("sent", "deliv-\nered", "bounced", "", "com-\nplained", "")
    print_table(
        [("domain", "whole"), *((head, "right") for head in heads), "standing"],
        [
            (
                *(one.domain, one.sent, one.delivered),
                *(one.bounced, _percent(one.bounce_rate), one.complained),
                _percent(one.complaint_rate),
                Text(one.standing, style=_STYLES.get(one.standing, "")),
            )
            for one in (found.total, *found.domains)
        ],
        title=f"The last {found.days} days",
    )
    click.echo()
    print_text(
        f"Limits: complaints below {deliverability.COMPLAINTS_GOOD:.1%}, never "
        f"{deliverability.COMPLAINTS_LIMIT:.1%} (Google, Yahoo); bounces below "
        f"{deliverability.BOUNCES_GOOD:.0%}.\nBelow {deliverability.ENOUGH} mails a share says "
        "nothing: few."
    )
    for concern in found.concerns:
        click.echo()
        print_text(concern.what, "bold yellow")
        print_text(concern.advice)
    _explain(deliverability.reasons(found))


def _part(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


def _share(part: int | None, whole: int | None) -> str | None:
    share = _part(part, whole)
    return None if share is None else f"{share:.0%}"


def _percent(rate: float | None) -> str | None:
    return None if rate is None else f"{rate:.2%}"


def _explain(reasons: Iterable[str]) -> None:
    for reason in reasons:
        print_text(reason)


# Files ------------------------------------------------------------------------------------------


def _begin(as_json: bool, as_csv: bool) -> Context:
    if as_json and as_csv:
        raise click.UsageError("Either --json or --csv.")
    return load()


def _print_csv(kind: type[Any], lines: Iterable[Any]) -> None:
    """A line for each; what is not known is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [one.name for one in fields(kind)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(line) for line in lines)
    click.echo(text.getvalue(), nl=False)
