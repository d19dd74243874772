"""One claim on its way: render, cross the line, send, settle.

The order of the last three is the whole promise: a row is committed as `sending` before its bytes
leave, and only the provider's answer (or its events) moves it on. A process may end anywhere.
"""

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from course import copies, holds, installation, ledger, packing, throttle, tokens
from course.answers import Answer, Verdict
from course.db import changed, real_now
from course.errors import ModeError
from course.ledger import Claimed, Crossed
from course.models import Installation, Request
from course.office import Office, Report, compiled
from course.packing import Parcel
from course.states import HoldKind, HoldScope, Mode

log = logging.getLogger(__name__)

# A process that slept between the line and its bytes must not send when it wakes.
LINE_SECONDS = 5
_ACCEPTED_NOTED_EVERY = timedelta(seconds=1)
# So many rows refused one by one, and none taken: it is not the rows.
_ENOUGH = 3


@dataclass
class Batch:
    """One claim on its way: its rows and token, and what becomes of them."""

    office: Office
    report: Report
    token: str
    rows: Sequence[Claimed]
    but_hold: int | None
    is_probe: bool
    moved: bool = False  # whether any row got further than back to where it was
    refused: list[tuple[Parcel, Answer]] | None = None  # collected while a request is halved

    @classmethod
    def take(
        cls,
        office: Office,
        report: Report,
        *,
        limit: int = throttle.FULL,
        but_hold: int | None = None,
        at_once: bool = False,
    ) -> "Batch":
        """Claim what may be sent now; the batch is empty when nothing is waiting."""

        def work(session: Session) -> Batch:
            return cls.claim(
                session, office, report, limit=limit, but_hold=but_hold, at_once=at_once
            )

        batch = office.database.run(work)
        office.reached("claimed")
        return batch

    @classmethod
    def claim(
        cls,
        session: Session,
        office: Office,
        report: Report,
        *,
        limit: int = throttle.FULL,
        but_hold: int | None = None,
        at_once: bool = False,
    ) -> "Batch":
        """The same within a transaction: it is ours once that is committed."""
        batch = cls(office, report, tokens.new_token(), [], but_hold, is_probe=False)
        if but_hold is not None or not holds.is_all_held(session):
            batch._claim(session, limit, at_once=at_once)
        return batch

    def _claim(self, session: Session, limit: int, *, at_once: bool) -> None:
        office, real = self.office, real_now(session)
        allowed = throttle.allowance(session, real, at_once=at_once)
        claim = partial(
            ledger.claim,
            session,
            self.token,
            now=office.clock.now(),
            real=real,
            lease=office.lease,
            but_hold=self.but_hold,
        )
        rows = claim(min(limit, allowed.rows))
        rows = rows or claim(min(1, allowed.rows), suspects=True)
        self.is_probe = allowed.is_probe
        if allowed.is_probe and rows:
            settings = office.settings
            if not throttle.take_turn(session, settings, real, at_once=at_once):
                ledger.give_back(session, [row.id for row in rows], self.token)
                return
        self.rows = rows

    def send(self, stop: Callable[[], bool]) -> bool:
        """Bring each row to an end; False when there was none, or none could move, so that a tick
        cannot turn round and round on the same rows."""
        if self.rows:
            for parcel in self.pack():
                if stop():
                    self.give_back(parcel.ids)
                else:
                    self._send_at_once(parcel)
        return self.moved

    def pack(self) -> list[Parcel]:
        """Render all. What cannot be packed fails, or waits until its message is mended."""
        office = self.office
        keys = [key.get_secret_value() for key in office.settings.secret_key]
        with office.database.reading() as session:
            people = packing.recipients(session, self.rows, keys, office.clock.now())
            name = installation.name(session)
        packer = packing.Packer(
            office.settings,
            office.site,
            name,
            lambda revision_id, note: compiled(office, revision_id, note),
        )
        parcels, misfits = packer.pack(self.rows, people)
        for misfit in misfits:
            if misfit.scope is None:
                self._fail(misfit.ids, misfit.why)
            else:
                self._hold(misfit.scope, HoldKind.LESSON, misfit.why)
                self.give_back(misfit.ids)
        office.reached("rendered")
        return parcels

    # Sending -----------------------------------------------------------------------------------

    def _send_at_once(self, parcel: Parcel) -> None:
        crossed = self.office.database.run(lambda s: self.cross(s, parcel))
        if call := self.crossed(parcel, crossed):
            self.settle(call, call.make())

    def cross(self, session: Session, parcel: Parcel) -> Crossed | None:
        """What may cross the line does so with this transaction; None: nothing."""
        settings = self.office.settings
        # With a limit each process waits here for the one before: what it takes is counted.
        mode = installation.mode(session, lock=bool(settings.send_limit))
        if mode == Mode.LIVE and settings.sandboxed:
            raise ModeError(
                "This database became live meanwhile, and this process would send to "
                f"{settings.mail_host}. Start it again with the live settings."
            )
        real = real_now(session)
        ids = self._within_limits(session, parcel.ids, real)
        if not ids:
            return None
        crossed = ledger.cross(
            session,
            ids,
            self.token,
            revision_id=parcel.revision_id,
            now=self.office.clock.now(),
            real=real,
            but_hold=self.but_hold,
        )
        if crossed and not settings.sandboxed:
            installation.become_live(session, real)
        self.office.reached("crossing")
        return crossed

    def crossed(self, parcel: Parcel, crossed: Crossed | None) -> "Call | None":
        """The request for what has crossed, now that it is committed: to be made at once, and to be
        settled."""
        committed = self.office.clock.since_boot()
        self.office.reached("crossed")
        self._count("turned away", len(parcel.letters) - (len(crossed.ids) if crossed else 0))
        if crossed is None:
            return None
        return Call(self.office, parcel.only(crossed.ids), crossed, committed)

    def _within_limits(self, session: Session, ids: list[int], real: datetime) -> list[int]:
        """What breaker and SEND_LIMIT let through; the rest goes back to pending."""
        if throttle.is_shut(session, real) and not self.is_probe:
            ledger.give_back(session, ids, self.token)
            return []
        left = throttle.left(session, self.office.settings.send_limit, real)
        if left is None or left.rows >= len(ids):
            return ids
        ledger.give_back(
            session, ids[left.rows :], self.token, retry_at=left.again_at, reason="SEND_LIMIT"
        )
        return ids[: left.rows]

    # Settling ----------------------------------------------------------------------------------

    def settle(self, call: "Call", answer: Answer | None) -> None:
        """What the answer means for the rows; None: the call was not made."""
        if answer is None:
            self.give_back(call.parcel.ids)
        elif answer.verdict is Verdict.ACCEPTED:
            count = self.office.database.run(lambda s: self.accept(s, call, answer))
            self.accepted(call, answer, count)
        else:
            self._settle(call.parcel, call.crossed, answer)
            self._settled(call, answer)

    def accept(self, session: Session, call: "Call", answer: Answer) -> int:
        """The provider took the mails; returns how many became accepted with that."""
        self._note(session, call.crossed, answer)
        count = ledger.accept(session, call.crossed, self.office.clock.now())
        self.office.reached("settling accepted")
        return count

    def accepted(self, call: "Call", answer: Answer, count: int) -> None:
        """So many were, and that is committed."""
        self._count("accepted", count)
        self._settled(call, answer)

    def _settled(self, call: "Call", answer: Answer) -> None:
        self._tell(call, answer)
        self.office.answered(len(call.parcel.ids))
        self.office.reached("settled")

    def _tell(self, call: "Call", answer: Answer) -> None:
        """One line a request, by the numbers under which ledger and events speak of it."""
        ids = call.parcel.ids
        told = {
            "request": call.crossed.request_id,
            "x_message_id": answer.x_message_id,
            "revision": call.parcel.revision_id,
            "deliveries": f"{min(ids)}-{max(ids)}",
            "count": len(ids),
            "verdict": str(answer.verdict),
            "status": answer.status,
            "ms": round((self.office.clock.since_boot() - call.committed) * 1000),
        }
        if answer.verdict is not Verdict.ACCEPTED:
            told["detail"] = answer.said or answer.detail
        log.info("batch", extra=told)

    def _settle(self, parcel: Parcel, crossed: Crossed, answer: Answer) -> None:
        """The answer itself is noted in the transaction that changes the rows."""
        now, ids, token = self.office.clock.now(), parcel.ids, self.token
        note = partial(self._note, crossed=crossed, answer=answer)
        match answer.verdict:
            case Verdict.UNKNOWN:
                self._run(
                    "unknown", note, lambda s: ledger.doubt(s, ids, token, answer.detail, now)
                )
                self.report.problems.append(f"no answer for {len(ids)}: {answer.detail}")
            case Verdict.NOT_TAKEN:
                wait = self._back_off(parcel, answer)
                self.give_back(ids, wait, answer.detail, note)
                self.report.problems.append(
                    f"not taken, again in {wait.total_seconds():.0f} s: {answer.detail}"
                )
            case Verdict.BAD_REQUEST | Verdict.TOO_LARGE:
                self.office.database.run(note)
                self._narrow(parcel, answer)
            case Verdict.SENDER_UNVERIFIED:
                course_id = parcel.letters[0].row.course_id
                course = holds.Scope(HoldScope.COURSE, course_id=course_id)
                self._hold(course, HoldKind.SENDER, answer.detail, note)
                self.give_back(ids)
            case Verdict.CREDITS_USED_UP:
                self._hold(holds.Scope(), HoldKind.CREDITS, answer.detail, note)
                self.give_back(ids)
            case Verdict.KEY_REFUSED | Verdict.REFUSED:
                self._hold(holds.Scope(), HoldKind.KEY, answer.detail, note)
                self.give_back(ids)

    def _note(self, session: Session, crossed: Crossed, answer: Answer) -> None:
        real = real_now(session)
        _note_answer(session, crossed.request_id, answer, real)
        if answer.verdict is Verdict.UNKNOWN:
            throttle.answer_lost(session, self.office.settings, real)
        if answer.retry_after_seconds:
            wait = timedelta(seconds=answer.retry_after_seconds)
            throttle.be_quiet(session, real + wait)
        if answer.status is not None and answer.verdict is not Verdict.UNKNOWN:
            throttle.answer_clear(session, accepted=answer.verdict is Verdict.ACCEPTED)

    def _back_off(self, parcel: Parcel, answer: Answer) -> timedelta:
        settings = self.office.settings
        tries = max(letter.row.tries for letter in parcel.letters)
        wait = min(settings.backoff_min_seconds * 2**tries, settings.backoff_max_seconds)
        wait *= random.uniform(0.5, 1)  # noqa: S311 (jitter)
        return timedelta(seconds=max(wait, answer.retry_after_seconds or 0))

    def _narrow(self, parcel: Parcel, answer: Answer) -> None:
        """A refused request took nobody's mail: find the row at fault, let the others go."""
        if answer.whole_message:
            self._blame_message(parcel, answer)
        elif answer.bad_rows:
            bad = [parcel.letters[index].row.id for index in answer.bad_rows]
            self._fail(bad, answer.detail)
            self.give_back([row for row in parcel.ids if row not in bad])
        elif self.refused is not None:
            self._reclaim(parcel.ids)
            self.refused.append((parcel, answer))
        elif len(parcel.letters) == 1:
            self._fail(parcel.ids, answer.detail)
        else:
            self._reclaim(parcel.ids)
            self._halve(parcel, answer)

    def _halve(self, parcel: Parcel, answer: Answer) -> None:
        """Send ever smaller halves until the rows at fault stand alone. When the first few that
        were sent alone are refused and none is taken, the fault is the message's."""
        before = self.report.counts["accepted"]
        waiting = [*parcel.halves()]
        alone: list[tuple[Parcel, Answer]] = []
        while waiting and not self._is_hopeless(alone, before):
            part = waiting.pop(0)
            self.refused = []
            self._send_at_once(part)
            refused, self.refused = self.refused, None
            for again, why in refused:
                if len(again.letters) == 1:
                    alone.append((again, why))
                else:
                    waiting[:0] = again.halves()
        if self._is_hopeless(alone, before):
            self._blame_message(parcel, answer)
            return
        for single, why in alone:
            self._fail(single.ids, why.detail)

    def _is_hopeless(self, alone: Sequence[object], accepted_before: int) -> bool:
        return len(alone) >= _ENOUGH and self.report.counts["accepted"] == accepted_before

    def _blame_message(self, parcel: Parcel, answer: Answer) -> None:
        self._hold(parcel.scope, HoldKind.LESSON, answer.detail)
        self.give_back(parcel.ids)

    def _reclaim(self, ids: Sequence[int]) -> None:
        self.office.database.run(
            lambda s: ledger.reclaim(s, ids, self.token, real=real_now(s), lease=self.office.lease)
        )

    def _fail(self, ids: Sequence[int], reason: str) -> None:
        now = self.office.clock.now()
        self._run("failed", None, lambda s: ledger.fail(s, ids, self.token, reason, now))
        self.report.problems.append(f"failed: {reason}")

    def give_back(
        self,
        ids: Sequence[int],
        wait: timedelta | None = None,
        reason: str | None = None,
        note: Callable[[Session], None] | None = None,
    ) -> None:
        def work(session: Session) -> int:
            retry_at = None if wait is None else real_now(session) + wait
            return ledger.give_back(session, ids, self.token, retry_at=retry_at, reason=reason)

        self._run("given back", note, work)
        self.moved = self.moved or wait is not None

    def _hold(
        self,
        scope: holds.Scope,
        kind: HoldKind,
        why: str,
        note: Callable[[Session], None] | None = None,
    ) -> None:
        now = self.office.clock.now()

        def work(session: Session) -> int:
            real = real_now(session)
            holds.place(session, scope, kind, why=why, who="minicourse", now=now, real=real)
            return 1

        self._run("holds", note, work)
        self.report.problems.append(f"held ({kind}): {why}")

    def _run(
        self,
        word: str,
        note: Callable[[Session], None] | None,
        work: Callable[[Session], int],
    ) -> None:
        """One transaction: the answer's note, if any, and the change of the rows."""

        def both(session: Session) -> int:
            if note is not None:
                note(session)
            count = work(session)
            self.office.reached(f"settling {word}")
            return count

        self._count(word, self.office.database.run(both))

    def _count(self, word: str, number: int) -> None:
        self.report.counts[word] += number
        self.moved = self.moved or (number > 0 and word not in ("given back", "turned away"))


@dataclass(frozen=True)
class Call:
    """A request that has crossed the line. Making it touches no database, so that it may be made
    in a thread of its own."""

    office: Office
    parcel: Parcel
    crossed: Crossed
    committed: float  # when, by the time since boot

    def make(self) -> Answer | None:
        """The provider's answer; None when it came too late to be made."""
        office = self.office
        outgoing = self.parcel.addressed
        copies.before_sending(office.settings, self.crossed.request_id)
        if office.clock.since_boot() - self.committed > LINE_SECONDS:
            return None
        answer = office.mailer.send(outgoing, office.clock.real())
        office.reached("answered")
        return answer


def _note_answer(session: Session, request_id: int, answer: Answer, real: datetime) -> None:
    changed(
        session,
        update(Request)
        .where(Request.id == request_id)
        .values(
            answered_at=real,
            status=answer.status,
            verdict=answer.verdict,
            detail=answer.detail,
            x_message_id=answer.x_message_id,
            # What the provider surely did not take leaves the limit as it was.
            counts_to_limit=answer.verdict in (Verdict.ACCEPTED, Verdict.UNKNOWN),
        ),
    )
    if answer.verdict is Verdict.ACCEPTED:
        # All who settle would wait for each other at that row.
        is_old = or_(
            Installation.last_accepted_at.is_(None),
            Installation.last_accepted_at < real - _ACCEPTED_NOTED_EVERY,
        )
        changed(session, update(Installation).where(is_old).values(last_accepted_at=real))
