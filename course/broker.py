"""The broker of a fleet, looked at: does it answer, how many hints wait in it, does anybody take
them? kombu, which Celery speaks to it with, is imported only where BROKER_URL is set."""

import importlib.util
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from course import installation
from course.models import Request
from course.settings import Settings
from course.wording import counted

# The broker has so long for each of its answers; then whoever asked goes on without it.
PATIENCE_SECONDS = 1.0
# Whoever hears a hint takes it at once, and what it stands for leaves within seconds.
_UNHEARD = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Broker:
    """What was found; `hints` is None and `trouble` says why where it did not answer."""

    where: str
    hints: int | None
    trouble: str | None = None

    @property
    def answers(self) -> bool:
        return self.hints is not None


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is not as it should be. Mail flows all the same: schedulers send what nobody takes."""

    what: str
    remedy: str


def is_set(settings: Settings) -> bool:
    return settings.broker_url is not None


def is_installed() -> bool:
    return importlib.util.find_spec("celery") is not None


def queue_name(settings: Settings) -> str:
    """Two installations may share a broker: each hears its own hints."""
    assert settings.hash_key is not None  # a database server is not used without
    return f"minicourse-{installation.fingerprint(settings.hash_key.get_secret_value())}"


def look(settings: Settings) -> Broker | None:
    """The broker as it stands, within a second or two; None where none is set."""
    if settings.broker_url is None:
        return None
    where = _shown(settings.broker_url)
    if not is_installed():
        return Broker(where, None, "Celery is not installed")
    try:
        return Broker(where, _hints(settings.broker_url, queue_name(settings)))
    except Exception as error:  # whatever it is: never its own words, which may hold the URL
        return Broker(where, None, type(error).__name__)


def _hints(url: str, queue: str) -> int:
    from kombu.connection import Connection

    patience = PATIENCE_SECONDS
    made = Connection(  # type: ignore[no-untyped-call]
        url,
        connect_timeout=patience,
        transport_options={
            "socket_timeout": patience,
            "socket_connect_timeout": patience,
            "max_retries": 0,
        },
    )
    with made as connection:
        try:
            declared = connection.default_channel.queue_declare(queue, passive=True)
        except connection.channel_errors:  # an empty one may not be there at all
            return 0
        return int(declared.message_count)


def _shown(url: str) -> str:
    """Without user and password; of several, the first."""
    parts = urlsplit(url.partition(";")[0])
    port = None
    with suppress(ValueError):  # no number
        port = parts.port
    return f"{parts.scheme}://{parts.hostname or ''}{f':{port}' if port else ''}"


def last_call(session: Session) -> datetime | None:
    """When the provider was last called, by a worker or by a scheduler in its place; real time."""
    return session.scalar(select(func.max(Request.sent_at)))


def trouble(broker: Broker, last_call: datetime | None, real: datetime) -> Trouble | None:
    """What a person should know of it; None where all is well."""
    if broker.hints is None:
        return Trouble(
            f"the broker at {broker.where} does not answer ({broker.trouble}): schedulers send by "
            "themselves, more slowly",
            "Start it again, or mend BROKER_URL; nothing is lost meanwhile",
        )
    if broker.hints and (last_call is None or real - last_call > _UNHEARD):
        waiting = f"{counted(broker.hints, 'hint')} at the broker, and no worker takes them"
        return Trouble(waiting, "Start one, or more: minicourse worker")
    return None
