"""Many batches on their way at once: how the tick sends when more than one call's worth waits."""

import gc
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Semaphore

from sqlalchemy.orm import Session

from course.answers import Answer, Verdict
from course.batch import Batch, Call
from course.ledger import Crossed
from course.office import Office, Report
from course.packing import Parcel


def send_all(office: Office, report: Report, stop: Callable[[], bool]) -> None:
    """Claim after claim, until nothing waits or nothing moves; `stop` is asked between requests."""
    hands = office.settings.calls_in_flight
    with _patient_collector(), ThreadPoolExecutor(hands) as pool:
        if office.database.is_sqlite:
            _OneWriter(office, report, stop, pool).run()
        else:
            _send_batch_by_batch(office, report, stop, pool)


@dataclass
class _OneWriter:
    """Where the database lives in this process and has one writer, all but the calls is done here,
    one after the other: threads that do more than wait would only be in each other's way.

    What is to be written at one moment is one transaction: answers are settled, another batch
    crosses the line, a third is claimed. For each of them that is the commit it waits for, and the
    disk is waited for once.
    """

    office: Office
    report: Report
    stop: Callable[[], bool]
    pool: ThreadPoolExecutor
    ready: deque[tuple[Batch, Parcel]] = field(default_factory=deque)
    flying: dict[Future[Answer | None], tuple[Batch, Call]] = field(default_factory=dict)
    taken: list[tuple[Batch, Call, Answer]] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    goes_on: bool = True

    def run(self) -> None:
        while True:
            self._land()
            if self.faults or self.stop():
                self._give_back()
            if self._write():
                continue
            if not self.flying:
                break
            wait(self.flying, return_when=FIRST_COMPLETED)
        if self.faults:
            raise self.faults[0]

    def _land(self) -> None:
        """Take in the answers that have come."""
        for future in [future for future in self.flying if future.done()]:
            batch, call = self.flying.pop(future)
            if fault := future.exception():
                self.faults.append(fault)
                continue
            answer = future.result()
            if answer is not None and answer.verdict is Verdict.ACCEPTED:
                self.taken.append((batch, call, answer))
            else:
                batch.settle(call, answer)
                self._mind(batch)

    def _mind(self, batch: Batch) -> None:
        """Where nothing moves it is of no use to claim the same again."""
        self.goes_on = self.goes_on and batch.moved

    def _give_back(self) -> None:
        self.goes_on = False
        while self.ready:
            batch, parcel = self.ready.popleft()
            batch.give_back(parcel.ids)

    def _write(self) -> bool:
        """All that can be written now; False when that is nothing."""
        taken, self.taken = self.taken, []
        is_free = len(self.flying) < self.office.settings.calls_in_flight
        crossing = self.ready.popleft() if self.ready and is_free else None
        wants_more = self.goes_on and not self.ready
        if not (taken or crossing or wants_more):
            return False

        def work(session: Session) -> tuple[list[int], Crossed | None, Batch | None]:
            counts = [batch.accept(session, call, answer) for batch, call, answer in taken]
            crossed = crossing[0].cross(session, crossing[1]) if crossing else None
            claimed = Batch.claim(session, self.office, self.report) if wants_more else None
            return counts, crossed, claimed

        counts, crossed, claimed = self.office.database.run(work)
        if crossing:
            self._fly(*crossing, crossed)
        for (batch, call, answer), count in zip(taken, counts, strict=True):
            batch.accepted(call, answer, count)
            self._mind(batch)
        if claimed:
            self._pack(claimed)
        return True

    def _fly(self, batch: Batch, parcel: Parcel, crossed: Crossed | None) -> None:
        if call := batch.crossed(parcel, crossed):
            self.flying[self.pool.submit(call.make)] = batch, call
        else:
            self._mind(batch)

    def _pack(self, batch: Batch) -> None:
        self.office.reached("claimed")
        if not batch.rows:
            self.goes_on = False
            return
        parcels = batch.pack()
        self.ready += ((batch, parcel) for parcel in parcels)
        if not parcels:
            self._mind(batch)


def _send_batch_by_batch(
    office: Office, report: Report, stop: Callable[[], bool], pool: ThreadPoolExecutor
) -> None:
    """A few batches are on their way, each in a thread of its own: while the server works for one,
    the next is rendered. To the ledger each is what another process would be."""
    free, ended = Semaphore(office.settings.calls_in_flight), Event()

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
