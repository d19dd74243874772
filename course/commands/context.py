"""What commands share: their options, and how results are printed."""

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, time
from typing import Any, TypeVar

import click
import orjson
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from course.commands.tables import laid_out
from course.errors import InvalidInputError, RefusedError
from course.notation import parse_hour, parse_zone
from course.opening import Context as Context
from course.opening import announce_mode as announce_mode
from course.opening import load as load
from course.opening import say as say
from course.people import harmless

F = TypeVar("F", bound=Callable[..., Any])

ATTENTION = 3
WIDTH = 80
ROWS = 50  # as many fit a person's eye; a script asks for JSON and gets all
_WIDE_ADDRESS = 28

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would happen.")
limit_option = click.option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"At most so many rows; 0: all. Default: {ROWS}, with --json all.",
)


def known_zone(name: str | None) -> str | None:
    """The zone that `--zone` names; InvalidInputError where there is none of that name."""
    try:
        return parse_zone(name).key if name else None
    except ValueError as error:
        raise InvalidInputError(f"--zone {error}") from None


def known_hour(text: str | None) -> time | None:
    """The hour that `--hour` names; InvalidInputError where it is none."""
    try:
        return parse_hour(text) if text else None
    except ValueError as error:
        raise InvalidInputError(f"--hour {error}") from None


def print_json(value: Any) -> None:
    """Dataclasses, instants and words of ours as JSON; an instant is ISO 8601 with its offset."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    click.echo(orjson.dumps(value, default=_plain, option=options))


def print_array(found: Iterable[Any]) -> None:
    """A JSON array, an element a line, however many there are."""
    separator = "["
    for one in found:
        click.echo(separator, nl=separator != "[")
        click.echo(orjson.dumps(one, option=orjson.OPT_SORT_KEYS), nl=False)
        separator = ","
    click.echo("[]" if separator == "[" else "\n]")


def _plain(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} has no JSON form")


def iso(moment: datetime | None) -> str | None:
    """An instant as ISO 8601 in UTC, for JSON."""
    return moment.astimezone(UTC).isoformat() if moment else None


def short_time(moment: datetime | None) -> str:
    """An instant for a table: UTC, to the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else "–"


def console() -> Console:
    """As wide as the terminal; 80 columns when piped, so that nothing depends on one."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(width=WIDTH, no_color=True, highlight=False)


def print_table(
    columns: Sequence[str | tuple[str, str]], rows: Iterable[Sequence[object]], title: str = ""
) -> None:
    """A table. A column written as (name, "right") holds numbers, as (name, "whole") what is not
    to be broken while another column can give way, as (name, "bar") what goes first."""
    named = [(column, "") if isinstance(column, str) else column for column in columns]
    cells = [[_cell(value) for value in row] for row in rows]
    if title:
        _print(Text(harmless(title), style="bold"))
    _print(laid_out(named, cells, console().width))


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """One thing's facts, a line each."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        shown = f"{short_time(value)} UTC" if isinstance(value, datetime) else value
        table.add_row(Text(name), _cell(shown))
    _print(table)


def print_text(text: str, style: str = "") -> None:
    """Lines as they are, in colour on a terminal."""
    _print(Text(text, style=style))


def _print(what: RenderableType) -> None:
    """To stdout, without the blanks that fill a table's lines."""
    printer = console()
    with printer.capture() as captured:
        printer.print(what)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def _cell(value: object) -> Text:
    """Cells may hold a stranger's words: they are text, never markup."""
    if isinstance(value, Text):
        return value
    if value is None or value == "":
        return Text("–")
    if isinstance(value, datetime):
        return Text(short_time(value))
    return Text(f"{value:,}" if isinstance(value, int) else harmless(str(value)))


def address(email: str | None) -> str:
    """An address for a narrow column: a long one is broken where a person would."""
    if email is None:
        return "(erased)"
    return email if len(email) <= _WIDE_ADDRESS else email.replace("@", "\n@")


def only(values: Iterable[str]) -> str:
    """The value that all share, or nothing: said once above a table, it need not fill a column."""
    found = set(values)
    return found.pop() if len(found) == 1 else ""


def row_limit(limit: int | None, as_json: bool) -> int | None:
    """How many rows to ask for: None for all."""
    if limit is None:
        return None if as_json else ROWS
    return limit or None


def say_if_cut(shown: int, limit: int | None) -> None:
    """A list that ends at its limit says how to see the rest."""
    if limit is not None and shown >= limit:
        say(f"The first {limit} are shown; all of them with: --limit 0")


class _Day(click.DateTime):
    """A day, refused in one line."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            option = param.opts[0] if param else "The day"
            raise InvalidInputError(
                f"{option} {value!r} is no day; write it like 2030-03-04"
            ) from None


DATE = _Day(["%Y-%m-%d"])


def ask(question: str, yes: bool) -> None:
    """Go on only with a person's yes, or with --yes."""
    if yes:
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():  # Ctrl-C
            raise
        say("")
        raise RefusedError("Nobody is there to answer, so nothing was done. Add: --yes") from None
    if not agreed:
        raise click.Abort
