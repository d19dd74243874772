"""One tick: look at who is due, and send what waits, claim by claim."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from sqlalchemy import update
from sqlalchemy.orm import Session

from course import agenda, brake, holds, lateness, ledger, pipeline, planning, resolving, throttle
from course.batch import Batch
from course.db import real_now
from course.models import Installation
from course.office import Office, Report

_TICK_NOTED_EVERY = timedelta(seconds=5)


def _never() -> bool:
    return False


def tick(
    office: Office,
    stop: Callable[[], bool] = _never,
    *,
    at_once: bool = False,
    hand_over: Callable[[Report], None] | None = None,
) -> Report:
    """Do all that is due now; safe beside any number of other ticks on the same database.

    `stop` is asked between requests. `at_once`: a person waits, so a probe goes whatever the
    breaker's wait says. `hand_over`: called in the place of sending, where a fleet does that.
    """
    report = Report()
    begun = office.clock.since_boot()
    todo = _agenda(office)
    if todo.work:
        _reap(office, report)
        _plan(office, report, stop)
        _settle_old_doubts(office, report)
        _mind_the_brake(office, report)
        _probe_holds(office, report)
        if hand_over is None:
            _send(office, report, stop, at_once=at_once)
        else:
            hand_over(report)
    if todo.sign_of_life:
        office.database.run(partial(_note_tick, seconds=office.clock.since_boot() - begun))
    return report


def work(office: Office, stop: Callable[[], bool] = _never, *, rows: int = throttle.FULL) -> Report:
    """Up to so many rows, brought to their end: what one hint to a fleet asks for. That is one
    claim, but where the ledger hands out suspects, one by one."""
    report, left = Report(), rows
    while left > 0 and not stop():
        batch = Batch.take(office, report, limit=left)
        if not batch.send(stop):
            break
        left -= len(batch.rows)
    return report


def _agenda(office: Office) -> agenda.Agenda:
    with office.database.reading() as session:
        return agenda.look(
            session,
            office.clock.now(),
            real_now(session),
            lease=office.lease,
            noted_every=_TICK_NOTED_EVERY,
            resolves_unknown=office.settings.unknown_policy == "auto",
        )


def _reap(office: Office, report: Report) -> None:
    back, unknown = office.database.run(
        lambda s: ledger.reap(s, now=office.clock.now(), real=real_now(s), lease=office.lease)
    )
    report.counts.update({"given back": back, "unknown": unknown})
    office.reached("reaped")


def _plan(office: Office, report: Report, stop: Callable[[], bool]) -> None:
    while not stop():
        looked_at = office.database.run(lambda s: planning.plan(s, office.clock.now()))
        office.reached("planned")
        report.looked_at += looked_at
        if looked_at < planning.BATCH:
            break
    _replan_late(office, stop)


def _replan_late(office: Office, stop: Callable[[], bool]) -> None:
    with office.database.reading() as session:
        if not lateness.is_any(session, office.clock.now(), real_now(session)):
            return
    reached: lateness.Reached | None = None

    def some(session: Session) -> lateness.Reached | None:
        return lateness.replan(session, office.clock.now(), real_now(session), beyond=reached)

    while not stop():
        reached = office.database.run(some)
        office.reached("replanned")
        if reached is None:
            break


def _settle_old_doubts(office: Office, report: Report) -> None:
    """What the evidence settles may leave in this tick."""
    if office.settings.unknown_policy == "auto":
        report.counts["resent"] += office.database.run(
            lambda s: resolving.resolve_auto(s, office.settings, office.clock.now(), real_now(s))
        )


def _mind_the_brake(office: Office, report: Report) -> None:
    """It looks without holding anybody up, and writes down what it found, if anything."""
    with office.database.reading() as session:
        finding = brake.look(session, office.clock.now(), real_now(session))
    if finding is None:
        return
    hold = office.database.run(lambda s: brake.act(s, finding, office.clock.now(), real_now(s)))
    if hold is not None:
        report.problems.append(f"held (brake): {hold.why}")


def _probe_holds(office: Office, report: Report) -> None:
    """Where a hold may end by itself, try one mail; its acceptance ends the hold."""
    hold_id = office.database.run(lambda s: holds.take_probe(s, real_now(s)))
    if hold_id is None:
        return
    before = report.counts["accepted"]
    Batch.take(office, report, limit=1, but_hold=hold_id).send(_never)
    if report.counts["accepted"] > before:
        office.database.run(lambda s: holds.release(s, [hold_id], "minicourse", real_now(s)))


def _send(office: Office, report: Report, stop: Callable[[], bool], *, at_once: bool) -> None:
    """Claim after claim. Where one was full, and the provider took something, more is waiting."""
    while not stop():
        batch = Batch.take(office, report, at_once=at_once)
        if not batch.send(stop):
            return
        if len(batch.rows) == throttle.FULL:
            pipeline.send_all(office, report, stop)
            return
        at_once = False


def _note_tick(session: Session, seconds: float) -> None:
    """Once in a while is enough to show that the scheduler lives."""
    real = real_now(session)
    session.execute(
        update(Installation)
        .where(
            Installation.last_tick_at.is_(None)
            | (Installation.last_tick_at < real - _TICK_NOTED_EVERY)
        )
        .values(last_tick_at=real, last_tick_seconds=seconds)
    )
