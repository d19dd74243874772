"""The operator is told: one mail for each cause, and one more when it is over; and now and then a
digest. These mails go beside the ledger: they are about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from html import escape

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from course import installation, watch
from course.answers import Answer, Verdict
from course.db import real_now
from course.mailer import Outgoing, Personalization
from course.models import Alert, Delivery, Enrollment, Installation
from course.office import Office
from course.overview import Attention, overview
from course.states import DeliveryState, EnrollmentState, MessageKind
from course.watch import Cause
from course.wording import counted

_NAME = "minicourse"
_CATEGORY = "operator"
_DIGEST_HOUR = time(7)  # UTC
_PERIODS = {"daily": timedelta(days=1), "weekly": timedelta(days=7)}


@dataclass(frozen=True, slots=True)
class Note:
    """A mail to the operator."""

    subject: str
    text: str


def look(office: Office) -> list[Cause]:
    """Write down what began and what is over, and tell of both; returns what stands."""
    settings = office.settings
    with office.database.reading() as session:
        real = real_now(session)
        found = watch.causes(session, settings, office.clock.now(), real)
        known = set(session.scalars(_STANDING.with_only_columns(Alert.cause)))
    if known != {cause.name for cause in found}:
        office.database.run(lambda s: _write_down(s, found, real))
    if settings.alert_email:
        tell(office)
    return found


def _write_down(session: Session, found: Sequence[Cause], real: datetime) -> None:
    session.get_one(Installation, 1, with_for_update=True)  # several schedulers look
    standing = {row.cause: row for row in session.scalars(_STANDING)}
    for cause in found:
        if cause.name not in standing:
            session.add(Alert(cause=cause.name, what=cause.what, command=cause.command, since=real))
    names = {cause.name for cause in found}
    for name, row in standing.items():
        if name not in names:
            row.ended_at = real


_STANDING = select(Alert).where(Alert.ended_at.is_(None))


def tell(office: Office) -> int:
    """Send what was not told yet; returns how many mails went. What is refused is tried again at
    the next look."""
    told = 0
    with office.database.reading() as session:
        begun = session.scalars(_STANDING.where(Alert.told_at.is_(None))).all()
        ended = session.scalars(
            select(Alert).where(
                Alert.ended_at.is_not(None),
                Alert.told_at.is_not(None),
                Alert.end_told_at.is_(None),
            )
        ).all()
    for alert in begun:
        told += _tell_once(office, alert.id, _began(alert), ended=False)
    for alert in ended:
        told += _tell_once(office, alert.id, _over(alert), ended=True)
    return told


def _tell_once(office: Office, number: int, note: Note, *, ended: bool) -> bool:
    """Of several schedulers one tells. Who was told that something began, or might have been, is
    told no second time."""
    column = Alert.end_told_at if ended else Alert.told_at

    def claim(session: Session) -> bool:
        return _set(session, number, column.is_(None), {column.key: real_now(session)})

    if not office.database.run(claim):
        return False
    if _send(office, note):
        return True
    office.database.run(lambda s: _set(s, number, column.is_not(None), {column.key: None}))
    return False


def _set(session: Session, number: int, where: object, values: dict[str, object]) -> bool:
    changed = session.execute(
        update(Alert)
        .where(Alert.id == number, where)  # type: ignore[arg-type]
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def _began(alert: Alert) -> Note:
    text = (
        f"{alert.what}\n\nSince {alert.since:%Y-%m-%d %H:%M} UTC. What helps:\n\n"
        f"    {alert.command}\n\nYou get one more mail when it is over.\n"
    )
    return Note(f"{alert.cause.rstrip(' 0123456789').capitalize()}: {alert.what}"[:120], text)


def _over(alert: Alert) -> Note:
    assert alert.ended_at
    lasted = str(alert.ended_at - alert.since).partition(".")[0]
    text = f"It is over, after {lasted}:\n\n{alert.what}\n"
    return Note(f"Over: {alert.what}"[:120], text)


def test(office: Office) -> Answer:
    """A mail that only shows that such mails arrive, and what became of it."""
    text = "This is how you will be told when something needs you.\n"
    return _post(office, Note("Alerts arrive", text))


def _send(office: Office, note: Note) -> bool:
    """Whether it was taken, or may have been."""
    return _post(office, note).verdict in (Verdict.ACCEPTED, Verdict.UNKNOWN)


def _post(office: Office, note: Note) -> Answer:
    settings = office.settings
    assert settings.alert_email
    headers = {"Auto-Submitted": "auto-generated"}
    outgoing = Outgoing(
        from_email=settings.mail_from,
        from_name=_NAME,
        reply_to=None,
        subject=f"[{_NAME}] {note.subject}",
        text=note.text,
        html=f"<pre>{escape(note.text)}</pre>",
        categories=(_CATEGORY,),
        click_tracking=False,
        open_tracking=False,
        personalizations=(Personalization(settings.alert_email, headers, {}),),
    )
    return office.mailer.send(outgoing, office.clock.real())


# The digest ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Digest:
    """What happened since the last one, and what waits for the operator."""

    since: datetime
    joined: int
    confirmed: int
    sent: int
    left: int
    finished: int
    attention: Sequence[Attention]

    @property
    def note(self) -> Note:
        figures = [
            ("joined", self.joined),
            ("confirmed", self.confirmed),
            ("lessons sent", self.sent),
            ("left", self.left),
            ("finished", self.finished),
        ]
        lines = [f"{name:14}{count:>8,}" for name, count in figures]
        waiting = [f"- {one.what}\n    {one.command}" for one in self.attention]
        text = "\n".join(
            [f"Since {self.since:%Y-%m-%d}:", "", *lines, ""]
            + (["What waits for you:", "", *waiting] if waiting else ["Nothing waits for you."])
        )
        subject = f"{self.joined:,} joined, {counted(self.sent, 'lesson')} sent"
        if self.attention:
            subject += f", {len(self.attention)} to look at"
        return Note(subject, text + "\n")


def send_digest(office: Office) -> bool:
    """When it is time: once, of however many schedulers."""
    settings = office.settings
    period = _PERIODS.get(settings.digest)
    if not settings.alert_email or period is None:
        return False
    real = office.clock.real()
    with office.database.reading() as session:
        if not _is_digest_due(installation.get(session), period, real):
            return False
    claimed = office.database.run(lambda s: _claim_digest(s, period, real))
    if claimed is None:
        return False
    with office.database.reading() as session:
        found = digest(session, office, claimed)
    return _send(office, found.note)


def _claim_digest(session: Session, period: timedelta, real: datetime) -> datetime | None:
    """Since when the digest tells, if it is time for one: at seven, on Mondays if weekly. The very
    first comes when its first period is over."""
    here = session.get_one(Installation, 1, with_for_update=True)
    if not _is_digest_due(here, period, real):
        return None
    last = here.digest_at or here.created_at
    here.digest_at = real
    return last


def _is_digest_due(here: Installation, period: timedelta, real: datetime) -> bool:
    return (here.digest_at or here.created_at) < _latest(period, real)


def _latest(period: timedelta, real: datetime) -> datetime:
    """The last moment, up to now, at which a digest is due."""
    day = real.astimezone(UTC).date()
    if period.days > 1:
        day -= timedelta(days=day.weekday())
    moment = datetime.combine(day, _DIGEST_HOUR, UTC)
    return moment if moment <= real else moment - period


def digest(session: Session, office: Office, since: datetime) -> Digest:
    """Reads only."""

    def count(*where: ColumnElement[bool]) -> int:
        return session.scalar(select(func.count()).where(*where)) or 0

    now, real = office.clock.now(), office.clock.real()
    seen = overview(session, [], office.settings.mail_host, now, real)
    return Digest(
        since=since,
        joined=count(Enrollment.created_at > since),
        confirmed=count(Enrollment.confirmed_at > since),
        sent=count(
            Delivery.settled_at > since,
            Delivery.kind == MessageKind.LESSON,
            Delivery.state == DeliveryState.ACCEPTED,
        ),
        left=count(Enrollment.ended_at > since, Enrollment.state == EnrollmentState.CANCELLED),
        finished=count(Enrollment.ended_at > since, Enrollment.state == EnrollmentState.COMPLETED),
        attention=seen.attention,
    )
