"""`minicourse delivery resolve` and `retry`: what a person orders about mails that are unknown, or
that failed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import click

from course import evidence, resolving, retries
from course.commands.bars import bar
from course.commands.context import (
    Context,
    ask,
    dry_run_option,
    json_option,
    load,
    print_facts,
    print_json,
    say,
    short_time,
    yes_option,
)
from course.evidence import Doubt
from course.resolving import Order, Resolved, Which
from course.retries import Retried
from course.wording import counted

_WORDS = {
    Order.SENT: "taken as sent",
    Order.RESEND: "sent again",
    Order.DROP: "dropped",
}


class Age(click.ParamType[timedelta]):
    """A length of time such as 2d, 6h or 30m."""

    name = "AGE"
    _UNITS = {"d": "days", "h": "hours", "m": "minutes"}  # noqa: RUF012 (never changed)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,5})([dhm])", str(value))
        if not found:
            self.fail(f"{value!r} is not like 2d, 6h or 30m", param, ctx)
        return timedelta(**{self._UNITS[found[2]]: int(found[1])})


@dataclass
class Outcome:
    """What was asked about, and what became of it."""

    requests: list[Doubt]
    decided: int = 0
    unwanted: int = 0


@click.command()
@click.argument("number", metavar="ID", type=int, required=False)
@click.option("--all", "everything", is_flag=True, help="All that is unknown.")
@click.option("--older-than", type=Age(), help="With --all: unknown for so long, like 2d or 6h.")
@click.option("--as", "order", type=click.Choice([str(one) for one in Order]))
@click.option("--why", help="The reason, for the audit.")
@dry_run_option
@yes_option
@json_option
def resolve(
    number: int | None,
    everything: bool,
    older_than: timedelta | None,
    order: str | None,
    why: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Decide about mails of which nobody can know whether they left.

    Says for each request what speaks for and against, and what we would do. `sent` takes them as
    sent, `resend` sends them (again), `drop` gives them up; the course goes on in each case.

    \b
    Examples:
      minicourse delivery resolve --all --dry-run
      minicourse delivery resolve --all --older-than 2d --as resend \\
        --why "not in SendGrid's activity" --yes
    """
    if (number is None) != everything:
        raise click.UsageError("Name one delivery's number, or --all.")
    if older_than is not None and not everything:
        raise click.UsageError("--older-than goes with --all.")
    if not dry_run and not (order and why):
        raise click.UsageError("Say --as and --why; or look first, with --dry-run.")
    context = load()
    which = Which(context.now - (older_than or timedelta()), number)
    outcome = Outcome(_look(context, which))
    if not as_json:
        _print_doubts(outcome.requests, context)
    if outcome.requests and not dry_run and order and why:
        _ask(outcome.requests, Order(order), yes=yes)
        done = _resolve(context, which, Order(order), why)
        outcome.decided, outcome.unwanted = done.decided, done.unwanted
        if not as_json:
            _print_done(outcome, Order(order))
    if as_json:
        print_json(outcome)


def _look(context: Context, which: Which) -> list[Doubt]:
    with context.raw_database.reading() as session:
        if which.delivery_id is not None:
            resolving.require_unknown(session, which.delivery_id)
        return evidence.doubts(session, context.settings, which.where, context.clock.real())


def _print_doubts(doubts: list[Doubt], context: Context) -> None:
    if not doubts:
        click.echo("Nothing is unknown.")
    for doubt in doubts:
        click.echo(f"Request {doubt.request}: {doubt.unknown:,} of its {doubt.size:,} mails")
        print_facts((f"  {name}", value) for name, value in _facts(doubt, context))


def _facts(doubt: Doubt, context: Context) -> Iterator[tuple[str, str]]:
    seen = doubt.evidence
    hours = (context.clock.real() - doubt.sent_at) / timedelta(hours=1)
    age = f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
    yield "sent", f"{short_time(doubt.sent_at)} UTC, {age} ago"
    yield "answer", doubt.answer
    heard = f"heard since, last at {short_time(seen.last_event)} UTC"
    yield "webhook", heard if seen.last_event else "not heard since"
    yield "known to be taken", f"{seen.taken:,} of its mails"
    yield "requests around it", f"{seen.around_heard:,} of {seen.around:,} mails heard of"
    yield "advice", f"{doubt.advice}: {doubt.because}"


def _ask(doubts: list[Doubt], order: Order, *, yes: bool) -> None:
    mails = sum(doubt.unknown for doubt in doubts)
    warning = " Whoever has one already gets it twice." if order is Order.RESEND else ""
    ask(f"{_mails(mails)} to be {_WORDS[order]}.{warning} Go on?", yes)


def _resolve(context: Context, which: Which, order: Order, why: str) -> Resolved:
    """Batch by batch, so that nobody else waits long."""
    total = Resolved()
    with bar("Resolving") as shown:
        while done := context.raw_database.run(
            lambda s: resolving.resolve(s, which, order, who=context.who, why=why, now=context.now)
        ):
            total += done
            shown.advance(done.decided + done.unwanted)
    return total


def _print_done(outcome: Outcome, order: Order) -> None:
    click.echo(f"{counted(outcome.decided, 'mail')} {_WORDS[order]}.")
    if outcome.unwanted:
        say(f"{outcome.unwanted:,} cancelled in place of that: their learners have left.")
    if order is Order.RESEND and outcome.decided:
        say("They leave with the next tick → minicourse send due")


def _mails(number: int) -> str:
    return f"{counted(number, 'mail')} {'is' if number == 1 else 'are'}"


# Retry ------------------------------------------------------------------------------------------


@click.command()
@click.argument("number", metavar="ID", type=int, required=False)
@click.option("--all", "everything", is_flag=True, help="All that can be retried.")
@dry_run_option
@yes_option
@json_option
def retry(number: int | None, everything: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Send again what failed, or was dropped for the provider's quota or for its content.

    \b
    Examples:
      minicourse delivery retry --all --dry-run
      minicourse delivery retry --all --yes
    """
    if (number is None) != everything:
        raise click.UsageError("Name one delivery's number, or --all.")
    context = load()
    with context.raw_database.reading() as session:
        ids = retries.to_retry(session, number)
    found = Retried(len(ids), [])
    if ids and not dry_run:
        ask(f"{_mails(len(ids))} to be sent again. Go on?", yes)
        found = _retry(context, ids)
    if as_json:
        print_json(found)
        return
    mails = f"{counted(found.again, 'mail')} would be" if dry_run else _mails(found.again)
    click.echo(f"{mails} sent again.")
    if found.left:
        numbers = ", ".join(map(str, found.left))
        say(f"Not these, whose learners have left: {numbers}")
    if found.again and not dry_run:
        say("They leave with the next tick → minicourse send due")


def _retry(context: Context, ids: list[int]) -> Retried:
    total = Retried(0, [])
    for start in range(0, len(ids), resolving.BATCH):
        batch = ids[start : start + resolving.BATCH]
        order = partial(retries.retry, ids=batch, who=context.who, now=context.now)
        done = context.raw_database.run(order)
        total = Retried(total.again + done.again, total.left + done.left)
    return total
