"""`minicourse doctor`: is the set-up sound?"""

import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

import click

from course.commands.context import ATTENTION, Context, json_option, load, print_json
from course.doctor import Check, examine
from course.settings import Settings


@click.command()
@click.option("--test-alert", is_flag=True, help="Only try ALERT_EMAIL and HEARTBEAT_URL.")
@json_option
def doctor(test_alert: bool, as_json: bool) -> None:
    """Check settings, courses, mail, database, and how sending goes; say how to mend what is wrong.

    With a SendGrid key it looks at all that `live` looks at, too. Exit 3 when there is something to
    mend.

    \b
    Examples:
      minicourse doctor
      minicourse doctor --json

    To see whether you would be told: minicourse doctor --test-alert
    """
    if test_alert:
        _try_alerts(as_json=as_json)
        return
    checks = list(examine(Settings.load))
    if as_json:
        print_json([_plain(check) for check in checks])
    else:
        _show(checks)
    if not all(check.is_well for check in checks):
        sys.exit(ATTENTION)


def _try_alerts(*, as_json: bool) -> None:
    here = load()
    checks = [_alert(here), _heartbeat(here)]
    if as_json:
        print_json([_plain(check) for check in checks])
    else:
        _show(checks)
    if not all(check.is_well for check in checks):
        sys.exit(ATTENTION)


def _alert(here: Context) -> Check:
    from course import alerts  # only those who send need it
    from course.answers import Verdict

    settings = here.settings
    if not settings.alert_email:
        return Check("alert", "ALERT_EMAIL is not set", "Set it to be told")
    answer = alerts.test(here.office)
    if answer.verdict is Verdict.ACCEPTED:
        return Check("alert", f"a test is on its way to {settings.alert_email}")
    if answer.verdict is Verdict.UNKNOWN:
        found = f"no answer came to the test to {settings.alert_email}: {answer.detail}"
        return Check("alert", found, "Look into the inbox; if there is none, try again")
    found = f"the test to {settings.alert_email} was refused: {answer.detail}"
    if answer.verdict is Verdict.BAD_REQUEST:
        where = settings.home / ".env"
        return Check("alert", found, f"Mend ALERT_EMAIL, or MAIL_FROM, in {where}")
    if answer.verdict is Verdict.NOT_TAKEN:
        return Check("alert", found, f"Does {settings.mail_host} answer? Try again in a moment")
    return Check("alert", found, "What the account lacks says: minicourse live")


def _heartbeat(here: Context) -> Check:
    from course import watch
    from course.heartbeat import Heartbeat

    settings = here.settings
    if not settings.heartbeat_url:
        return Check("heartbeat", "HEARTBEAT_URL is not set: nobody hears when all stops")
    with here.raw_database.reading() as session:
        found = watch.causes(session, settings, here.now, here.clock.real())
    # What is held stays told: a test must not say that all is well.
    trouble = "; ".join(cause.what for cause in found if cause.stops_all)
    name = urlsplit(settings.heartbeat_url).netloc
    if Heartbeat(settings.heartbeat_url).send(trouble):
        told = "that nothing is sent" if trouble else "that all is well"
        return Check("heartbeat", f"{name} was told {told}")
    remedy = "Copy HEARTBEAT_URL again from there; can this machine reach it?"
    return Check("heartbeat", f"{name} did not take it", remedy)


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
