"""The state of the whole installation on one screen, and what in it needs a person. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from course import broker, cohorts, courses, due, holds, installation, tallies
from course.broker import Broker
from course.due import Backlog, Release
from course.models import Cohort, Course, Hold
from course.sources import Source
from course.states import DeliveryState, HoldScope
from course.wording import counted

# A scheduler ticks every few seconds; a minute without one is long.
TICK_IS_OLD = timedelta(minutes=1)
# A failure is settled; this long it is news.
FAILURES_SHOWN = timedelta(days=7)
EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class HoldLine:
    """A hold that stands: `scope` is `everything` or names a course, cohort or lesson."""

    id: int
    scope: str
    kind: str
    why: str
    who: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that needs a person, and the command that helps."""

    what: str
    command: str


@dataclass(frozen=True, slots=True)
class Overview:
    """Times of `last_…` are real, `next_release` is the course's; all UTC."""

    mode: str
    mail_host: str
    holds: list[HoldLine]
    due: int
    late: int
    held: int
    retrying: int
    unknown: int
    failed: int  # in the last seven days
    last_tick: datetime | None
    last_accepted: datetime | None
    last_event: datetime | None
    next_release: Release | None
    changes_not_live: list[str]
    attention: list[Attention]
    sign_ups: dict[str, int]  # what became of them at the form, within a day
    broker: Broker | None  # of a fleet


def overview(
    session: Session,
    sources: Sequence[Source],
    mail_host: str,
    now: datetime,
    real: datetime,
    problems: Sequence[Attention] = (),
    found_broker: Broker | None = None,
) -> Overview:
    """`problems` are what the caller found wrong around the database; they come first."""
    here = installation.get(session)
    backlog = due.backlog(
        session, now, real, failed_since=now - FAILURES_SHOWN, with_rehearsals=False
    )
    standing = holds_standing(session)
    return Overview(
        mode=here.mode,
        mail_host=mail_host,
        holds=standing,
        due=backlog.due,
        late=backlog.late,
        held=backlog.held,
        retrying=backlog.retrying,
        unknown=backlog.unknown,
        failed=backlog.failed,
        last_tick=here.last_tick_at,
        last_accepted=here.last_accepted_at,
        last_event=here.last_event_at,
        next_release=due.next_release(session, now),
        changes_not_live=courses.waiting_changes(session, sources),
        attention=[
            *problems,
            *(_held(hold) for hold in standing),
            *_stuck(session, backlog, here.last_tick_at, real),
            *_fleet(session, found_broker, real),
        ],
        sign_ups=tallies.counts(session, real - timedelta(days=1)),
        broker=found_broker,
    )


def _held(hold: HoldLine) -> Attention:
    return Attention(
        f"held: {hold.scope} ({hold.kind}): {hold.why}", f"minicourse send release {hold.id}"
    )


def _stuck(
    session: Session, backlog: Backlog, last_tick: datetime | None, real: datetime
) -> list[Attention]:
    found = []
    if (backlog.due or backlog.late) and (last_tick is None or real - last_tick > TICK_IS_OLD):
        found.append(Attention("mail is due and no scheduler runs", "minicourse up"))
    elif backlog.late:
        what = f"{counted(backlog.late, 'mail')} due for more than {due.LATE.seconds // 60} minutes"
        found.append(Attention(what, "minicourse send due --dry-run"))
    if due.breaker_until(session) is not None:
        found.append(Attention("the provider's answers are being lost", "minicourse doctor"))
    for number, state in (
        (backlog.unknown, DeliveryState.UNKNOWN),
        (backlog.failed, DeliveryState.FAILED),
    ):
        if number:
            command = f"minicourse delivery list --state {state}"
            found.append(Attention(f"{number:,} {state}", command))
    return found


def _fleet(session: Session, found: Broker | None, real: datetime) -> list[Attention]:
    trouble = found and broker.trouble(found, broker.last_call(session), real)
    return [Attention(trouble.what, "minicourse doctor")] if trouble else []


def holds_standing(session: Session) -> list[HoldLine]:
    return [
        HoldLine(hold.id, scope_of(session, hold), hold.kind, hold.why, hold.who, hold.since)
        for hold in holds.standing(session)
    ]


def scope_of(session: Session, hold: Hold) -> str:
    """What a hold covers, in words."""
    if hold.scope == HoldScope.ALL:
        return EVERYTHING
    if hold.scope == HoldScope.COHORT:
        return f"cohort {cohorts.label(session.get_one(Cohort, hold.cohort_id))}"
    course = session.get_one(Course, hold.course_id).slug
    return f"lesson {course}/{hold.lesson}" if hold.lesson else f"course {course}"
