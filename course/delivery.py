"""One tick: look at who is due, and send what waits, claim by claim."""

import gc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from threading import Event, Semaphore

from sqlalchemy import update
from sqlalchemy.orm import Session

from course import agenda, brake, holds, ledger, planning, resolving, throttle
from course.answers import Answer
from course.batch import Batch, Call
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
    reached: planning.Reached | None = None

    def some(session: Session) -> planning.Reached | None:
        return planning.replan_late(session, office.clock.now(), real_now(session), beyond=reached)

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
            send_all = _send_side_by_side if office.database.is_sqlite else _send_batch_by_batch
            with _patient_collector():
                send_all(office, report, stop)
            return
        at_once = False


def _send_side_by_side(office: Office, report: Report, stop: Callable[[], bool]) -> None:
    """A few calls are in flight, so that the provider's latency does not set the pace. All else is
    done here, one after the other: where the database lives in this process and has one writer,
    threads that do more than wait would only be in each other's way."""
    hands = office.settings.calls_in_flight
    flying: dict[Future[Answer | None], tuple[Batch, Call]] = {}
    faults: list[BaseException] = []

    def settle(landed: Iterable[Future[Answer | None]]) -> bool:
        """False when it would be of no use to go on."""
        goes_on = True
        for future in landed:
            batch, call = flying.pop(future)
            if fault := future.exception():
                faults.append(fault)
            else:
                batch.settle(call, future.result())
                goes_on = goes_on and batch.moved
        return goes_on and not faults

    with ThreadPoolExecutor(hands) as pool:
        for batch, call in _crossing(office, report, stop):
            flying[pool.submit(call.make)] = batch, call
            if len(flying) == hands and not settle(wait(flying, return_when=FIRST_COMPLETED).done):
                break
        settle(wait(flying).done)
    if faults:
        raise faults[0]


def _crossing(
    office: Office, report: Report, stop: Callable[[], bool]
) -> Iterator[tuple[Batch, Call]]:
    while not stop():
        batch = Batch.take(office, report)
        count = 0
        for count, call in enumerate(batch.calls(stop), 1):  # noqa: B007
            yield batch, call
        if not count and not batch.moved:
            return


def _send_batch_by_batch(office: Office, report: Report, stop: Callable[[], bool]) -> None:
    """A few batches are on their way, each in a thread of its own: while the server works for one,
    the next is rendered. To the ledger each is what another process would be."""
    hands = office.settings.calls_in_flight
    free, ended = Semaphore(hands), Event()

    def send(batch: Batch) -> Report:
        moved = False
        try:
            moved = batch.send(stop)
        finally:
            free.release()
            if not moved:
                ended.set()
        return batch.report

    batches: list[Future[Report]] = []
    with ThreadPoolExecutor(hands) as pool:
        while not ended.is_set() and not stop():
            free.acquire()
            batch = Batch.take(office, Report())
            if not batch.rows:
                break
            batches.append(pool.submit(send, batch))
    for done in batches:
        report.add(done.result())


@contextmanager
def _patient_collector() -> Iterator[None]:
    """A mail is some twenty objects that live for a moment. Python would look for cycles among
    them, and among all that is loaded, several times a batch: a third of a batch's time."""
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


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
