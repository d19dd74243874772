"""`minicourse subscriber erase` and `consents`; and what `export --gdpr` writes."""

from functools import partial

import click
import orjson
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from course import (
    consents,
    courses,
    erasures,
    installation,
    privacy,
    subscribers,
    wiping,
)
from course.account import AccountError
from course.commands.context import (
    Context,
    address,
    ask,
    dry_run_option,
    json_option,
    limit_option,
    load,
    print_array,
    print_json,
    print_table,
    row_limit,
    say,
    say_if_cut,
    yes_option,
)
from course.commands.provider import explained, provider
from course.consents import TextsOf
from course.errors import NotFoundError
from course.models import Enrollment, Subscriber
from course.people import email_hash, parse_email
from course.privacy import Erased
from course.suppressions import standing
from course.web import texts
from course.wording import counted

# Everything ---------------------------------------------------------------------------------------


def everything(email: str) -> bytes:
    """All that is held of a person, as JSON."""
    here = load()
    with here.raw_database.reading() as session:
        person = subscribers.find(session, email)
        found = privacy.everything_of(session, person.id, _texts_of(here))
    return orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _texts_of(here: Context) -> TextsOf:
    return partial(texts.load, here.settings.home)


# Consents -----------------------------------------------------------------------------------------


@click.command("consents")
@click.argument("email", required=False)
@click.option("--course", help="Only for this course.")
@limit_option
@json_option
def consents_(email: str | None, course: str | None, limit: int | None, as_json: bool) -> None:
    """List who agreed to or withdrew what, when, in which words, how; the newest first.

    With --json each line has the words themselves, where they are still known, and the hash of
    the file that an import took them from. All of them, as a record: --json

    \b
    Examples:
      minicourse subscriber consents
      minicourse subscriber consents kim@example.com --json
    """
    here = load()
    rows = row_limit(limit, as_json)
    with here.raw_database.reading() as session:
        where: list[ColumnElement[bool]] = []
        if email:
            where.append(Subscriber.id == subscribers.find(session, email).id)
        if course:
            where.append(Enrollment.course_id == courses.live(session, course).id)
        words = consents.wordings(session, _texts_of(here)) if as_json else {}
        found = consents.listing(session, *where, wordings=words, limit=rows)
        if as_json:
            print_array(found)
            return
        lines = [(address(one.email), one.course, one.act, one.at, one.source) for one in found]
    print_table(
        [("email", "whole"), "course", ("act", "whole"), ("when (UTC)", "whole"), "source"], lines
    )
    say_if_cut(len(lines), rows)


# Erase --------------------------------------------------------------------------------------------


@click.command()
@click.argument("email")
@click.option("--at-sendgrid", is_flag=True, help="Have SendGrid erase them, too.")
@dry_run_option
@yes_option
@json_option
def erase(email: str, at_sendgrid: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Take a person out of everything that is kept, for good.

    Their courses end, what waits is cancelled. The ledger keeps its numbers, and a keyed hash of
    the address, so that no later list can have them mailed again; only they themselves can come
    back, by signing up and confirming. May be repeated, also when they are gone here.

    \b
    Examples:
      minicourse subscriber erase kim@example.com --dry-run
      minicourse subscriber erase kim@example.com --yes
    """
    here = load()
    email = parse_email(email, sandbox=True)
    with here.raw_database.reading() as session:
        installation.check_keys(session, here.settings)
        person = session.scalar(select(Subscriber).where(Subscriber.email == email))
        traces = privacy.traces_of(session, person) if person else [email]
        if person is None:
            _require_known(session, email, here, at_sendgrid=at_sendgrid)
        elif dry_run:
            _tell(email, privacy.would_erase(session, person.id), as_json=as_json, dry_run=True)
    if dry_run:
        return
    if person is not None:
        ask(f"Erase {email} for good? This cannot be taken back.", yes)
        erased = here.raw_database.run(lambda s: _erase(s, person.id, here))
    else:
        erased = Erased(0, 0)
    with here.raw_database.reading() as session:
        erasures.remember(session, here.settings)
    wiped = wiping.wipe(here.raw_database, traces)
    _tell(email, erased, as_json=as_json)
    if wiped.advice:
        say(wiped.advice)
    _warn_of_copies(here, email)
    if at_sendgrid:
        _erase_there(here, email)


def _erase(session: Session, subscriber_id: int, here: Context) -> Erased:
    return privacy.erase(session, subscriber_id, who=here.who, now=here.now, hash_key=here.hash_key)


def _require_known(session: Session, email: str, here: Context, *, at_sendgrid: bool) -> None:
    """Somebody who is erased already, or of whom SendGrid alone knows."""
    hashed = email_hash(email, here.hash_key)
    is_erased = any(one.reason == "erased" for one in standing(session, [hashed]))
    if not is_erased and not at_sendgrid:
        raise NotFoundError(
            f"No subscriber {email!r}, so nobody to erase. "
            "See who there is with: minicourse subscriber list"
        )


def _tell(email: str, erased: Erased, *, as_json: bool, dry_run: bool = False) -> None:
    if as_json:
        print_json({"email": email, "stopped": erased.stopped, "unknown": erased.unknown})
        return
    said = [counted(erased.stopped, "course") + (" would end" if dry_run else " ended")]
    if erased.unknown:
        said.append(f"{counted(erased.unknown, 'mail')} on the way stay without the address")
    would = "would be erased" if dry_run else "is erased"
    click.echo(f"{email} {would}; {', '.join(said)}")


def _warn_of_copies(here: Context, email: str) -> None:
    hashed = email_hash(email, here.hash_key)
    copies = wiping.copies_with(here.settings, email, hashed)
    if copies:
        say("These backups hold them still, or may:")
        for file in copies:
            say(f"  {file}")
    say(
        f"Other copies are yours to delete. A `db restore` here erases them again, by "
        f"{erasures.list_of(here.settings)}; on another machine, run this command again there."
    )


def _erase_there(here: Context, email: str) -> None:
    try:
        provider(here).erase([email])
    except AccountError as error:
        then = f"minicourse subscriber erase {email} --at-sendgrid"
        raise explained(error, "recipients.erasejob.create", then) from None
    say(f"{here.settings.mail_host} was asked to erase {email}; it takes some days.")
