"""What nobody waits for, done between ticks, a little at a time: old events are removed, and so are
sign-ups that nobody confirmed; who has not confirmed is reminded once; SendGrid's unsubscribes of
those who came back are deleted; the list of who was erased is kept; what `stats` counts is summed
up."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import chain

from course import erasures, pruning, reach, reminding, rollups, syncing
from course.account import AccountError
from course.office import Office
from course.provider_lists import ProviderLists

log = logging.getLogger(__name__)

_DAY_SECONDS, _MINUTE_SECONDS = 86_400.0, 60.0
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_AT_ONCE = 100
# Within a look: a tick waits for it.
_STEPS, _LIFTS, _DEADLINE_SECONDS = 10, 5, 5.0


@dataclass
class Caretaker:
    """One for a process; any number of them do no harm."""

    office: Office
    _tidied_at: float | None = None
    _tidied_for: datetime | None = None  # course time
    _folded_at: float | None = None
    _refused_at: float | None = None
    _reminded_at: datetime | None = None  # course time, which a rehearsal may move by days
    _looked_at: int = 0  # the last enrollment whose reminder was thought of
    _steps: Iterator[object] | None = field(default=None, repr=False)

    def look(self) -> None:
        now = self.office.clock.since_boot()
        self._lift(now)
        if self._folded_at is None or now - self._folded_at >= _MINUTE_SECONDS:
            self._fold(now)
        course_time = self.office.clock.now()
        if self._reminded_at is None or abs(course_time - self._reminded_at) >= _HOUR:
            self._remind(course_time)
        if self._is_untidy(course_time, now):
            self._tidy(course_time, now)

    def _is_untidy(self, course_time: datetime, now: float) -> bool:
        """A day has passed, for the machine or for the course."""
        if self._tidied_at is None or self._tidied_for is None:
            return True
        is_over = abs(course_time - self._tidied_for) >= _DAY
        return is_over or now - self._tidied_at >= _DAY_SECONDS

    def _tidy(self, course_time: datetime, now: float) -> None:
        """Once a day, in as many looks as it takes."""
        database = self.office.database
        if self._steps is None:
            with database.reading() as session:
                erasures.remember(session, self.office.settings)
            self._steps = chain(
                pruning.prune_events(database, course_time),
                pruning.prune_sign_ups(database, course_time),
                pruning.sweep_counts(database, self.office.clock.real()),
            )
        for _ in range(_STEPS):
            if next(self._steps, None) is None:
                self._steps, self._tidied_at, self._tidied_for = None, now, course_time
                return

    def _fold(self, now: float) -> None:
        """Once a minute, in as many looks as it takes."""
        database = self.office.database
        for _ in range(_STEPS):
            with database.reading() as session:
                work = [sums.fold for sums in (rollups, reach) if sums.waits(session)]
            if not work:
                self._folded_at = now
                return
            for fold in work:
                database.run(fold)

    def _remind(self, course_time: datetime) -> None:
        """Once an hour, in as many looks as it takes."""
        database = self.office.database
        for _ in range(_STEPS):
            with database.reading() as session:
                ids = reminding.waiting(session, course_time, self._looked_at, _AT_ONCE)
            if not ids:
                self._looked_at, self._reminded_at = 0, course_time
                return
            database.run(partial(reminding.remind, ids=ids, now=course_time))
            self._looked_at = ids[-1]

    def _lift(self, now: float) -> None:
        """After a failure not again for a day: it may be a key without that right."""
        if self._refused_at is not None and now - self._refused_at < _DAY_SECONDS:
            return
        with self.office.database.reading() as session:
            if not syncing.waiting(session):
                return
        settings = self.office.settings
        lists = ProviderLists(settings.mail_key, settings.mail_host, _DEADLINE_SECONDS)
        try:
            syncing.lift(self.office.database, lists, limit=_LIFTS)
            self._refused_at = None
        except AccountError as error:
            self._refused_at = now
            log.warning("cannot take unsubscribes back at SendGrid: %s", error)
