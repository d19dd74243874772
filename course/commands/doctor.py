"""`minicourse doctor`: is the set-up sound?"""

import sys
from collections.abc import Sequence

import click

from course.commands.context import ATTENTION, json_option, print_json
from course.doctor import Check, examine
from course.settings import Settings


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check settings, courses, mail, database and mode; say how to mend what is wrong.

    Exit 3 when there is something to mend.

    \b
    Examples:
      minicourse doctor
      minicourse doctor --json
    """
    checks = list(examine(Settings.load))
    if as_json:
        print_json([_plain(check) for check in checks])
    else:
        _show(checks)
    if not all(check.is_well for check in checks):
        sys.exit(ATTENTION)


def _plain(check: Check) -> dict[str, object]:
    return {
        "check": check.name,
        "ok": check.is_well,
        "found": check.found,
        "remedy": check.remedy,
    }


def _show(checks: Sequence[Check]) -> None:
    for check in checks:
        click.echo(f"{'✓' if check.is_well else '✗'} {check.name}: {check.found}")
        if check.remedy:
            click.echo(f"  → {check.remedy}")
