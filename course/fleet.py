"""A fleet: Celery carries hints from the schedulers to workers on any number of machines.

The ledger is the truth and the broker knows nothing: it may lose, double or forget any message, be
wiped or die. Each tick hints again at what waits, and where nobody takes it, a scheduler does.
Celery is imported only where BROKER_URL is set.
"""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from course import broker, delivery, hints, logs, opening, throttle
from course.db import is_busy, is_lost, real_now
from course.errors import MinicourseError, SettingsError
from course.hints import Hint
from course.office import Office, Report, compiled
from course.processes.ports import require_sandbox
from course.settings import Settings

log = logging.getLogger(__name__)

TASK = "minicourse.work"
# For so many ticks the same mail was the next one, and nobody took it.
_STUCK_TICKS = 3
_SAME_TROUBLE_SECONDS = 60.0


def require_celery() -> None:
    """SettingsError where Celery is not installed."""
    if not broker.is_installed():
        raise SettingsError(
            "BROKER_URL is set, but Celery is not installed. Install it with: "
            "pip install 'minicourse[fleet]' (in a clone: make install), or unset BROKER_URL."
        )


# The application ----------------------------------------------------------------------------------


def make_app(settings: Settings, **transport: object) -> Any:
    """Celery, set up to carry hints and nothing else: no result, no schedule, no retry.

    `transport`: options of the connection to the broker.
    """
    require_celery()
    from celery import Celery

    app = Celery("minicourse", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        broker_connection_max_retries=None,  # a worker waits for its broker for ever
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=broker.PATIENCE_SECONDS,
        broker_transport_options={"visibility_timeout": settings.lease_seconds, **transport},
        task_acks_late=True,
        task_default_queue=broker.queue_name(settings),
        task_ignore_result=True,
        task_reject_on_worker_lost=True,
        task_serializer="json",
        task_time_limit=time_limit(settings),
        # What is in hand when the broker goes is finished: killed in a call, it would be unknown.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_prefetch_multiplier=1,
        # A child is forked from a process that has loaded everything; on a busy machine even that
        # may take longer than Celery's four seconds.
        worker_proc_alive_timeout=30.0,
    )
    app.task(_work, name=TASK)
    return app


def time_limit(settings: Settings) -> float:
    """Then Celery kills what works on a hint: before its lease is over and others take its rows."""
    return settings.lease_seconds * 0.95


# In a scheduler -----------------------------------------------------------------------------------


@dataclass
class Dispatcher:
    """Tells the fleet, at the end of a tick's own transactions, what can be claimed."""

    office: Office
    stop: Callable[[], bool]
    _first: int | None = None
    _waited: int = 0
    _silent_since: float | None = None
    _told_at: float = 0.0
    _app: Any = field(init=False)

    def __post_init__(self) -> None:
        self._app = make_app(
            self.office.settings,
            socket_timeout=broker.PATIENCE_SECONDS,
            socket_connect_timeout=broker.PATIENCE_SECONDS,
            max_retries=0,
        )

    def __call__(self, report: Report) -> None:
        """Hint; and where the same mail has been the next for three ticks, work."""
        office = self.office
        with office.database.reading() as session:
            waiting = hints.look(session, office.clock.now(), real_now(session))
        if waiting.hints:
            self._publish(waiting.hints)
        is_same = waiting.first is not None and waiting.first == self._first
        self._first, self._waited = waiting.first, self._waited + 1 if is_same else 1
        if waiting.first is not None and self._waited >= _STUCK_TICKS:
            report.add(delivery.work(office, self.stop))
            self._first = self._next()

    def _next(self) -> int | None:
        office = self.office
        with office.database.reading() as session:
            return hints.first_waiting(session, office.clock.now(), real_now(session))

    def _publish(self, found: Sequence[Hint]) -> None:
        """As many as the broker does not hold already. Whatever goes wrong is no harm."""
        try:
            # A connection of its own each time: one that is kept may be dead, and not know it.
            with self._app.connection_for_write() as connection:
                producer = self._app.amqp.Producer(connection)
                queue = self._app.amqp.queues[self._app.conf.task_default_queue]
                _, held, _ = queue.bind(producer.channel).queue_declare()
                for hint in found[held:]:
                    self._app.send_task(
                        TASK,
                        args=[hint.course_id, hint.revision_id, hint.rows],
                        expires=self.office.settings.lease_seconds,
                        producer=producer,
                        retry=False,
                    )
        except Exception as error:
            self._note_silence(error)
        else:
            if self._silent_since is not None:
                log.info("the broker answers again")
            self._silent_since = None

    def _note_silence(self, error: Exception) -> None:
        """One line a minute; never the error's own words, which may hold the broker's URL."""
        now = self.office.clock.since_boot()
        if self._silent_since is None or now - self._told_at > _SAME_TROUBLE_SECONDS:
            log.warning(
                "the broker does not answer (%s): schedulers send by themselves, more slowly",
                type(error).__name__,
            )
            self._told_at = now
        if self._silent_since is None:
            self._silent_since = now


# In a worker --------------------------------------------------------------------------------------


def run_worker(flags: Sequence[str]) -> None:
    """Celery's own worker, with its usual flags, until SIGTERM; what it works on is finished."""
    here = opening.load()
    if not broker.is_set(here.settings):
        raise SettingsError(
            "BROKER_URL is not set, so no worker would hear anything. Set it in the environment or "
            f"{here.settings.home / '.env'}, like BROKER_URL=redis://127.0.0.1:6379/0; without "
            "one, schedulers send by themselves: minicourse scheduler"
        )
    app = make_app(here.settings)
    logs.set_up("worker", here.settings)
    require_sandbox(here.settings)
    _ = here.office  # everything that may be wrong is said before the first hint is taken
    here.close()  # each child opens its own database, after its fork
    opening.announce_mode(here.settings)
    _load_all()
    _listen_to_celery(here.settings)
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    app.worker_main(["worker", *quiet, *flags])


def _load_all() -> None:
    """What working on a hint needs, once, before children are forked."""
    import psycopg  # noqa: F401
    import sendgrid  # noqa: F401

    import course.rendering  # noqa: F401


def _listen_to_celery(settings: Settings) -> None:
    """Logs are ours in parent and children; and a child opens its database before its first hint,
    whose time is counted."""
    from celery import signals

    def set_up_logs(**_: object) -> None:
        logs.set_up("worker", settings)

    signals.setup_logging.connect(set_up_logs, weak=False)
    signals.worker_process_init.connect(_make_ready)


def _make_ready(**_: object) -> None:
    with suppress(Exception):  # said, and tried again, with the first hint
        _office(os.getpid())


@cache
def _office(_process: int) -> Office:
    return opening.load().office


def _work(course_id: int, revision_id: int, rows: int) -> None:
    """What a hint makes a worker do: one claim, of whatever is most urgent now.

    That the revision is ready before the claim saves the claim's lease. Nothing that goes wrong
    here is Celery's affair: what is not done waits in the ledger.
    """
    log.debug("%d rows of course %d wait", rows, course_id)
    try:
        office = _office(os.getpid())
        with suppress(MinicourseError):  # said where it is met: at the mails that need it
            compiled(office, revision_id)
        report = delivery.work(office, _until(office), rows=min(rows, throttle.FULL))
    except Exception as error:
        # In further lines a database's error shows the statement and its values.
        first_line, _, _ = str(error).partition("\n")
        expected = isinstance(error, MinicourseError) or is_busy(error) or is_lost(error)
        trace = None if expected else error
        log.error("work failed: %s: %s", type(error).__name__, first_line, exc_info=trace)
        return
    done = [f"{count} {word}" for word, count in sorted(report.counts.items()) if count]
    if done or report.problems:
        log.info("%s", " · ".join([", ".join(done) or "nothing sent", *report.problems]))


def _until(office: Office) -> Callable[[], bool]:
    """No call begins that could last beyond the time limit: killed in the middle of one, nobody
    would know whether the mails left."""
    settings = office.settings
    length = 0.8 * (settings.lease_seconds - settings.call_deadline_seconds)
    ends = office.clock.since_boot() + length
    return lambda: office.clock.since_boot() > ends
