"""`minicourse delivery`: the ledger, a row a mail."""

from collections.abc import Iterator
from dataclasses import replace

import click
from sqlalchemy.orm import Session

from course import catalog, courses, history, subscribers
from course.commands.context import (
    address,
    json_option,
    limit_option,
    load,
    only,
    print_facts,
    print_json,
    print_table,
    row_limit,
    say_if_cut,
)
from course.commands.resolve import resolve, retry
from course.commands.who_got import who_got
from course.history import Filter, Mail, RequestLine
from course.states import DeliveryState


@click.group()
def delivery() -> None:
    """The ledger: list and show mails, who got a revision, settle the unknown, retry the failed.

    \b
    Example:
      minicourse delivery list --state failed
    """


@delivery.command("list")
@click.option("--state", type=click.Choice([str(state) for state in DeliveryState]))
@click.option("--course", help="Only of this course.")
@click.option("--lesson", metavar="COURSE/LESSON", help="Only this lesson.")
@click.option("--email", help="Only to this person.")
@limit_option
@json_option
def list_(
    state: str | None,
    course: str | None,
    lesson: str | None,
    email: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List mails, the newest first.

    \b
    Examples:
      minicourse delivery list --state unknown
      minicourse delivery list --lesson job-search/welcome --email kim@example.com
    """
    context = load()
    rows = row_limit(limit, as_json)
    with context.raw_database.reading() as session:
        which = _filter(session, state, course, lesson, email)
        mails = history.mails(session, which, rows)
    if as_json:
        print_json(mails)
        return
    one_course = only(mail.course for mail in mails)
    print_table(
        [
            ("id", "right"),
            *("to", "mail"),
            ("state", "whole"),
            "outcome",
            ("when (UTC)", "whole"),
        ],
        [
            (
                str(mail.id),
                address(mail.email),
                mail.message if one_course else f"{mail.course}/{mail.message}",
                mail.state,
                mail.outcome,
                mail.at,
            )
            for mail in mails
        ],
        title=one_course,
    )
    say_if_cut(len(mails), rows)


def _filter(
    session: Session, state: str | None, course: str | None, lesson: str | None, email: str | None
) -> Filter:
    which = Filter(state=state)
    if email:
        which = replace(which, subscriber_id=subscribers.find(session, email).id)
    if lesson:
        name = f"{course}/{lesson}" if course and "/" not in lesson else lesson
        live, found = catalog.live_lesson(session, name)
        return replace(which, course_id=live.id, lesson=found.slug)
    return replace(which, course_id=courses.live(session, course).id) if course else which


@delivery.command()
@click.argument("number", metavar="ID")
@json_option
def show(number: str, as_json: bool) -> None:
    """Show one mail with its request and what the provider told of it.

    What it said: minicourse lesson show --delivery ID.

    \b
    Example:
      minicourse delivery show 1
    """
    context = load()
    with context.raw_database.reading() as session:
        story = history.story(session, history.number_of(session, number))
    if as_json:
        print_json(story)
        return
    print_facts(_facts(story.mail, story.revision))
    if story.request:
        click.echo("\nRequest")
        print_facts(_request(story.request))
    if story.events:
        click.echo("\nEvents")
        print_table(
            ["event", "at (UTC)", "heard (UTC)", "detail"],
            [
                (
                    f"{event.kind} (machine)" if event.is_machine else event.kind,
                    event.at,
                    event.received_at,
                    event.url or event.reason,
                )
                for event in story.events
            ],
        )


def _facts(mail: Mail, revision: int | None) -> Iterator[tuple[str, object]]:
    yield "delivery", str(mail.id)
    yield "to", mail.email or "(erased)"
    yield "mail", f"{mail.course}/{mail.message}"
    yield "kind", mail.kind
    yield "cohort", f"{mail.course}/{mail.cohort}"
    yield "revision", revision
    yield "state", f"{mail.fate}, superseded" if mail.superseded else mail.fate
    reason = f" ({mail.outcome_reason})" if mail.outcome_reason else ""
    yield "outcome", f"{mail.outcome}{reason}" if mail.outcome else None
    for name, moment in (
        ("due", mail.due_at),
        ("not before", mail.send_at if mail.send_at != mail.due_at else None),
        ("tried again", mail.retry_at),
        ("settled", mail.settled_at),
        ("opened", mail.opened_at),
        ("clicked", mail.clicked_at),
        ("complained", mail.complained_at),
    ):
        if moment:
            yield name, f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _request(request: RequestLine) -> Iterator[tuple[str, object]]:
    yield "  number", str(request.id)
    yield "  mails in it", request.size
    yield "  sent", f"{request.sent_at:%Y-%m-%d %H:%M:%S} UTC"
    if request.answered_at:
        seconds = (request.answered_at - request.sent_at).total_seconds()
        yield "  answered", f"after {seconds:.1f} s"
    yield "  verdict", request.verdict or "none: the answer was never seen"
    yield "  detail", request.detail
    yield "  X-Message-Id", request.x_message_id


delivery.add_command(resolve)
delivery.add_command(retry)
delivery.add_command(who_got)
