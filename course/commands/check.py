"""`minicourse course check`: is a course fit to be sent?"""

import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from course.checking import Finding, Severity, Survey, folder, online, survey
from course.checking.findings import in_order
from course.commands.context import ATTENTION, WIDTH, json_option, print_json, say
from course.commands.places import in_option, place
from course.office import site_of
from course.rendering import Site
from course.settings import Settings
from course.wording import counted


class _Checked(NamedTuple):
    course: str
    lessons: int
    findings: list[Finding]


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@in_option
@click.option("--online", "is_online", is_flag=True, help="Ask the web whether links are dead.")
@click.option("--errors-only", is_flag=True, help="Leave out warnings.")
@json_option
def check(
    names: tuple[str, ...], inside: Path | None, is_online: bool, errors_only: bool, as_json: bool
) -> None:
    """Look a course over before it is sent: all courses, or those named.

    An error cannot be sent, or must not; a warning should be mended. Each says where, what, why,
    and how to mend it. Exit 3 when there is any, 0 when there is none. It needs no database.

    \b
    Examples:
      minicourse course check
      minicourse course check job-search --errors-only
      minicourse course check --json
    """
    settings = Settings.load()
    there = place(inside, settings.home)
    site = site_of(settings)
    checked = [
        _checked(path, there.home, there.where(path.name), site, is_online)
        for path in there.folders(names)
    ]
    if errors_only:
        checked = [one._replace(findings=_errors(one.findings)) for one in checked]
    if as_json:
        print_json([_plain(one.course, found) for one in checked for found in one.findings])
    else:
        _show(checked)
    if any(one.findings for one in checked):
        sys.exit(ATTENTION)


def _checked(path: Path, home: Path, where: str, site: Site, is_online: bool) -> _Checked:
    source, findings = folder.read(path, home, where)
    found: Survey = survey(source, site, where=where, unread=findings)
    findings += found.findings
    if is_online:
        if found.links:
            count = len({link.url for link in found.links})
            say(f"{source.slug}: asking for {counted(count, 'link')} …")
        findings += online.probe(found.links)
    return _Checked(source.slug, found.lessons, in_order(findings))


def _errors(findings: Sequence[Finding]) -> list[Finding]:
    return [found for found in findings if found.severity is Severity.ERROR]


def _plain(course: str, found: Finding) -> dict[str, object]:
    return {
        "course": course,
        "severity": found.severity,
        "rule": found.rule,
        "file": found.file,
        "line": found.line,
        "what": found.what,
        "why": found.why,
        "mend": found.mend,
    }


def _show(checked: Sequence[_Checked]) -> None:
    show_findings(found for one in checked for found in one.findings)
    for one in checked:
        click.echo(f"{one.course}: {counted(one.lessons, 'lesson')}, {_verdict(one.findings)}")


def show_findings(findings: Iterable[Finding]) -> None:
    """Where, what, why, and how to mend it."""
    for found in findings:
        click.echo(f"{found.file}:{found.line}: {found.severity}: {found.rule}")
        for mark, text in (("", found.what), ("", found.why), ("→ ", found.mend)):
            click.echo(_indented(text, mark))
        click.echo()


def _indented(text: str, mark: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"  {mark}",
        subsequent_indent="  " + " " * len(mark),
        break_on_hyphens=False,
    )


def _verdict(findings: Sequence[Finding]) -> str:
    counts = Counter(found.severity for found in findings)
    words = [counted(counts[one], one.value) for one in Severity if counts[one]]
    return " and ".join(words) or "nothing to mend"
