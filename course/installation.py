"""What this database is: a sandbox or live, and which installation. It never forgets either."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from course.errors import DatabaseError, ModeError
from course.models import Delivery, Installation, Subscriber
from course.settings import Settings
from course.states import Mode
from course.wording import counted


@dataclass(frozen=True, slots=True)
class SandboxKeys:
    """The stand-in's signing key: private as PEM, public as base64 DER."""

    private: str
    public: str


def create(session: Session, hash_key: str, keys: SandboxKeys, now: datetime) -> None:
    """Write the one row of a new database; it begins in sandbox mode."""
    session.add(
        Installation(
            id=1,
            name=_new_name(),
            mode=Mode.SANDBOX,
            created_at=now,
            hash_key_fingerprint=fingerprint(hash_key),
            sandbox_private_key=keys.private,
            sandbox_public_key=keys.public,
        )
    )


_MODE = select(Installation.mode)  # asked for every sign-up and every request
_MODE_LOCKED = _MODE.with_for_update()
_NAME = select(Installation.name)


def exists(session: Session) -> bool:
    return session.get(Installation, 1) is not None


def get(session: Session) -> Installation:
    found = session.get(Installation, 1)
    if found is None:
        raise DatabaseError("The database is empty. Make it ready with: minicourse init")
    return found


def name(session: Session) -> str:
    return session.scalars(_NAME).one()


def mode(session: Session, *, lock: bool = False) -> str:
    """Whether it is a sandbox or live. `lock`: nobody else asks so before this transaction ends."""
    return session.scalars(_MODE_LOCKED if lock else _MODE).one()


def is_sandbox(session: Session) -> bool:
    return session.scalar(_MODE) == Mode.SANDBOX


def check(session: Session, settings: Settings) -> None:
    """Raise unless these settings belong to this database; every process that sends or serves
    asks this at its start."""
    check_keys(session, settings)
    found = get(session)
    if found.mode == Mode.LIVE:
        _check_live(settings)
    elif not settings.sandboxed:
        settings.require_live_mail()
        _check_no_sandbox_people(session, settings)


def check_keys(session: Session, settings: Settings) -> None:
    """Raise unless the keys of these settings are those that this database was made with."""
    if settings.hash_key is None:
        raise DatabaseError(
            f"HASH_KEY is missing: {settings.key_path} is not there. Bring it back from a backup."
        )
    if fingerprint(settings.hash_key.get_secret_value()) != get(session).hash_key_fingerprint:
        raise DatabaseError(
            "HASH_KEY is not the one this database was made with. Set the old one again: "
            "it is never rotated."
        )


def _check_live(settings: Settings) -> None:
    if settings.sendgrid_api_key is None:
        raise ModeError(
            "This database is live, but SENDGRID_API_KEY is not set. "
            "Set it, or work on another database (MINICOURSE_HOME)."
        )
    if settings.sandboxed:
        raise ModeError(
            f"This database is live, but SENDGRID_HOST {settings.sendgrid_host} is a stand-in "
            "on this machine: real people would be marked as mailed. Remove SENDGRID_HOST."
        )
    if settings.clock_file is not None:
        raise ModeError("This database is live: MINICOURSE_CLOCK_FILE may not shift its time.")
    settings.require_live_mail()


def _check_no_sandbox_people(session: Session, settings: Settings) -> None:
    if settings.clock_file is not None:
        raise ModeError("Mail to a real host does not go with MINICOURSE_CLOCK_FILE. Unset it.")
    people = session.scalar(
        select(func.count()).select_from(Subscriber).where(Subscriber.is_sandbox)
    )
    if people:
        raise ModeError(
            f"This database holds {counted(people, 'sandbox person', 'sandbox people')}, whom "
            f"{settings.sendgrid_host} would mail for real. Look at them and "
            "decide with: minicourse live"
        )


def become_live(session: Session, now: datetime) -> None:
    """Live for ever after: with the first row for a real host, or by a person's word."""
    session.execute(
        update(Installation)
        .where(Installation.mode == Mode.SANDBOX)
        .values(mode=Mode.LIVE, live_since=now)
    )


def heard(session: Session, real: datetime, *, test: bool) -> None:
    """The provider's own post came, signed with its key; `test`: it told of a test mail."""
    here = get(session)
    here.webhook_heard_at = real
    if test:
        here.test_heard_at = real
    session.flush()


def listen_anew(session: Session) -> None:
    """The webhook was set up again: whether it is heard is still to be seen."""
    get(session).webhook_heard_at = None
    session.flush()


def is_news(here: Installation, real: datetime, *, test: bool) -> bool:
    """Whether that is worth writing down: this row is everybody's."""
    return test or here.webhook_heard_at is None or real - here.webhook_heard_at > _HEARD_AGAIN


_HEARD_AGAIN = timedelta(minutes=10)


def rename(session: Session) -> None:
    """A restored or copied database goes on under a new name, so that late events for mails that
    only its twin has sent are nobody's here."""
    here = get(session)
    highest = session.scalar(select(func.max(Delivery.id))) or 0
    here.former_names = {**here.former_names, here.name: highest}
    here.name = _new_name()
    session.flush()


def _new_name() -> str:
    return secrets.token_hex(4)


def fingerprint(key: str) -> str:
    """What tells HASH_KEY from another one, and nothing else of it."""
    return hashlib.sha256(b"minicourse hash key " + key.encode()).hexdigest()[:16]
