"""`minicourse suppression`: addresses that may not be mailed."""

import click
from sqlalchemy.orm import Session

from course import audit, barring, suppressions, syncing
from course.account import AccountError
from course.barring import Barred
from course.commands.bars import bar
from course.commands.context import (
    Context,
    address,
    ask,
    dry_run_option,
    json_option,
    limit_option,
    print_array,
    print_json,
    print_table,
    row_limit,
    say,
    say_if_cut,
    yes_option,
)
from course.commands.provider import explained, provider
from course.commands.suppression_import import import_
from course.commands.suppression_scope import course_option, hash_of, id_of, keyed
from course.errors import RefusedError
from course.people import mask_within, parse_email
from course.provider_lists import NAMES
from course.states import SuppressionReason
from course.syncing import Synced
from course.wording import counted

R = SuppressionReason
_NAMEABLE = [str(reason) for reason in R if reason not in barring.FREELY]


@click.group()
def suppression() -> None:
    """Addresses that may not be mailed: list, add, remove, import, sync.

    They are kept as keyed hashes, also of people who are erased. One that bounced or complained
    gets nothing more; who unsubscribed comes back only by their own confirmation.

    \b
    Example:
      minicourse suppression list
    """


# List ---------------------------------------------------------------------------------------------


@suppression.command("list")
@click.option("--email", help="What stands against this address.")
@limit_option
@json_option
def list_(email: str | None, limit: int | None, as_json: bool) -> None:
    """List what stands against which address, the newest first.

    Of an address that is nobody's here, only the beginning of its hash can be shown; --email asks
    about one.

    \b
    Examples:
      minicourse suppression list
      minicourse suppression list --email kim@example.com
    """
    here = keyed()
    rows = row_limit(limit, as_json)
    with here.raw_database.reading() as session:
        hashed = hash_of(here, email) if email else None
        found = suppressions.entries(session, email_hash=hashed, limit=rows)
        if as_json:
            print_array(found)
            return
        lines = [
            (
                email or address(one.email) if one.email or email else f"{one.email_hash[:12]}…",
                one.course or "all",
                one.reason,
                one.since,
                one.source,
            )
            for one in found
        ]
    if email and not lines:
        click.echo(f"{email} may be mailed: nothing stands against it.")
        return
    print_table(
        [("address", "whole"), "course", ("reason", "whole"), ("since (UTC)", "whole"), "source"],
        lines,
    )
    say_if_cut(len(lines), rows)


# Add and remove -----------------------------------------------------------------------------------


@suppression.command()
@click.argument("email")
@course_option
@click.option("--why", help="For the record, such as how they asked.")
def add(email: str, course: str | None, why: str | None) -> None:
    """Mail this address no more. What it takes part in ends.

    \b
    Example:
      minicourse suppression add kim@example.com --why "asked by phone"
    """
    here = keyed()
    hashed = hash_of(here, email)

    def work(session: Session) -> Barred:
        course_id = id_of(session, course)
        audit.record(
            session,
            here.who,
            "suppression add",
            here.now,
            why=mask_within(why) if why else None,
            subscriber_id=barring.whose(session, hashed),
            course=course,
        )
        return barring.bar(session, [hashed], course_id, "command line", here.now)

    done = here.raw_database.run(work)
    scope = f"for {course}" if course else "for everything"
    if not done.new:
        click.echo(f"{email} was suppressed {scope} already")
        return
    click.echo(f"{email} is suppressed {scope}; {counted(done.stopped, 'course')} ended")


@suppression.command()
@click.argument("email")
@course_option
@click.option(
    "--despite",
    multiple=True,
    type=click.Choice(_NAMEABLE),
    help="Also what was not added by hand; each reason by its name.",
)
@click.option("--at-sendgrid", is_flag=True, help="Out of SendGrid's own lists, too.")
@yes_option
def remove(
    email: str, course: str | None, despite: tuple[str, ...], at_sendgrid: bool, yes: bool
) -> None:
    """Take back what stands against an address.

    What you added goes. What a mail server or the person said stays, unless you name it: mailing
    who complained or left costs you your good name, and may be against the law. Nobody is put
    back into a course.

    \b
    Example:
      minicourse suppression remove kim@example.com

    With a complaint: minicourse suppression remove EMAIL --despite complained
    """
    here = keyed()
    hashed, reasons = hash_of(here, email), [R(word) for word in despite]
    with here.raw_database.reading() as session:
        course_id = id_of(session, course)
        found = [
            one for one in suppressions.standing(session, [hashed]) if one.course_id == course_id
        ]
    others = sorted({one.reason for one in found} - {*barring.FREELY, *reasons})
    if others and not any(one.reason in {*barring.FREELY, *reasons} for one in found):
        words = " ".join(f"--despite {reason}" for reason in others)
        raise RefusedError(
            f"{email} is suppressed for: {', '.join(others)}. If you are sure that you may mail "
            f"this person: minicourse suppression remove {email} {words}"
        )
    if not found and not at_sendgrid:
        click.echo(f"Nothing stood against {email}.")
        return
    ask(f"Mail {email} again, if they sign up?", yes)
    removed = here.raw_database.run(
        lambda s: barring.unbar(s, hashed, course_id, reasons, who=here.who, now=here.now)
    )
    click.echo(f"{email}: removed {', '.join(removed) or 'nothing'}")
    if others:
        say(f"Still standing: {', '.join(others)}")
    if at_sendgrid:
        _remove_there(here, email, [R(reason) for reason in removed] or reasons)


def _remove_there(here: Context, email: str, reasons: list[R]) -> None:
    names = sorted({name for reason in reasons for name in barring.LISTS.get(reason, ())})
    try:
        gone = [name for name in names if provider(here).remove(name, parse_email(email))]
    except AccountError as error:
        words = " ".join(f"--despite {reason}" for reason in reasons if reason in _NAMEABLE)
        then = f"minicourse suppression remove {email} {words} --at-sendgrid"
        raise explained(error, "suppression.delete", then) from None
    say(f"Out of SendGrid's lists: {', '.join(gone) or 'it was in none of them'}")


suppression.add_command(import_)


# Sync ---------------------------------------------------------------------------------------------


@suppression.command()
@click.option("--all", "everything", is_flag=True, help="From the beginning, not only what is new.")
@dry_run_option
@json_option
def sync(everything: bool, dry_run: bool, as_json: bool) -> None:
    """Bring SendGrid's own lists and yours in step.

    Whom SendGrid does not mail (bounces, spam reports, invalid addresses, unsubscribes) is
    suppressed here, and what they take part in ends. Blocks are only counted: one refusal says
    little. Who confirmed anew is taken out of SendGrid's unsubscribes. The key of SENDGRID_API_KEY
    needs the rights suppression.read and suppression.delete for it.

    \b
    Examples:
      minicourse suppression sync --dry-run
      minicourse suppression sync
    """
    here = keyed()
    lists = provider(here)
    found: list[Synced] = []
    try:
        reading = syncing.sync(
            here.raw_database,
            lists,
            here.now,
            hash_key=here.hash_key,
            since_ever=everything,
            dry_run=dry_run,
        )
        with bar("Lists", len(NAMES)) as shown:
            found += shown.each(reading)
        lifted = 0 if dry_run else syncing.lift(here.raw_database, lists)
    except AccountError as error:
        then = "minicourse suppression sync"
        raise explained(error, "suppression.read and suppression.delete", then) from None
    with here.raw_database.reading() as session:
        waiting = syncing.waiting(session)
    if as_json:
        print_json({"lists": found, "lifted": lifted, "to_lift": waiting})
        return
    print_table(
        ["list", ("read", "right"), ("new here", "right"), ("courses ended", "right")],
        [(one.list.replace("_", " "), one.read, one.new, one.stopped) for one in found],
    )
    if lifted or waiting:
        say(f"Unsubscribes taken back there: {lifted}, still to do: {waiting}")
