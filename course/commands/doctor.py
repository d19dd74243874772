"""`minicourse doctor`: is the set-up sound?"""

import sys
from collections.abc import Sequence

import click

from course.commands.context import ATTENTION, json_option, load, print_json
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
    from course import alerts, watch  # only those who send need these
    from course.heartbeat import Heartbeat

    here = load()
    settings, checks = here.settings, []
    if settings.alert_email:
        mail = f"a test to {settings.alert_email}"
        taken = alerts.test(here.office)
        refused = "See what SendGrid says: minicourse lesson test LESSON --to YOU@ADDRESS"
        checks.append(Check("alert", mail, None if taken else refused))
    else:
        checks.append(Check("alert", "ALERT_EMAIL is not set", "Set it to be told"))
    if settings.heartbeat_url:
        with here.raw_database.reading() as session:
            found = watch.causes(session, settings, here.now, here.clock.real())
        # What is held stays told: a test must not say that all is well.
        trouble = "; ".join(cause.what for cause in found if cause.stops_all)
        heard = Heartbeat(settings.heartbeat_url).send(trouble)
        checks.append(Check("heartbeat", "sent", None if heard else "Check HEARTBEAT_URL"))
    else:
        checks.append(Check("heartbeat", "HEARTBEAT_URL is not set: nobody hears when all stops"))
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
