"""When a lesson is due: one pure function from a person's wall clock to a UTC instant.

The local wall time comes first and the instant last, so that neither a weekend nor a change to
or from daylight-saving time can move a nine-o'clock lesson to another hour.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
LATE_AFTER = timedelta(hours=6)
LATE_AT_NIGHT_AFTER = timedelta(hours=1)
EVENING = time(20)  # late mails wait for the morning after this
# A year of days is searched; a calendar that allows none of them is refused when it is read.
_HORIZON_DAYS = 366


@dataclass(frozen=True, slots=True)
class After:
    """How long after the lesson before: whole local days, hours, or until a day of the week."""

    days: int = 0
    hours: int = 0
    weekday: int | None = None  # Monday is 0: the first one after the day of the lesson before

    @property
    def is_at_once(self) -> bool:
        return self.days == 0 and self.hours == 0 and self.weekday is None


@dataclass(frozen=True, slots=True)
class Rhythm:
    """On which local days and at which local hour lessons may arrive. With `until` they come
    anywhere between the two, at the time of day of what they count from. A rehearsal's lessons
    come `every` so often, whatever the rest says. Who `catches_up` keeps the plan of those who
    began in time: what is over comes one by one, the minimum gap apart."""

    zone: ZoneInfo
    weekdays: frozenset[int]  # Monday is 0
    at: time
    skip_dates: frozenset[date] = field(default_factory=frozenset)
    minimum_gap: timedelta = timedelta(hours=18)
    until: time | None = None
    every: timedelta | None = None
    catches_up: bool = False

    def of(self, step: "Step") -> "Rhythm":
        """As that lesson wishes it."""
        if step.weekdays is None and step.at is None:
            return self
        weekdays = self.weekdays if step.weekdays is None else step.weekdays
        if step.at is None:
            return replace(self, weekdays=weekdays)
        return replace(self, weekdays=weekdays, at=step.at, until=step.until)

    def allows(self, day: date) -> bool:
        return day.weekday() in self.weekdays and day not in self.skip_dates

    def next_allowed(self, day: date) -> date:
        """`day` itself or the first allowed day after it; ValueError when a year has none."""
        for offset in range(_HORIZON_DAYS):
            if self.allows(day + offset * DAY):
                return day + offset * DAY
        raise ValueError("the weekdays and skip_dates leave no day to send on within a year")

    def hour_for(self, wall: time) -> tuple[int, time]:
        """The hour of a lesson that counts from that time of day, and whether it is too late for
        this day (1) or not (0)."""
        if self.until is None or wall <= self.at:
            return 0, self.at
        return (0, wall) if wall <= self.until else (1, self.at)


def to_utc(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The instant of a local wall time; one that does not exist moves forward, one that occurs
    twice is the first of the two (PEP 495: fold=0 means both)."""
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)


def local_date(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()


def due_at(
    after: After,
    rhythm: Rhythm,
    base: datetime,
    *,
    first: bool,
    rolling: bool,
    last_sent: datetime | None,
) -> datetime:
    """The instant (aware UTC) at which a lesson is due.

    `base` is the due time of the lesson before, or the start of the clock for the first one.
    The first mail of a rolling cohort with `after = 0` is due at once. Every other lesson comes
    on an allowed day at the rhythm's hour, never on the local day of the one before, and never
    sooner than the minimum gap after the last sending.
    """
    if first and rolling and after.is_at_once:
        return base
    if rhythm.every is not None:
        return max(base, last_sent or base) + rhythm.every
    earliest = base + timedelta(hours=after.hours)
    local = earliest.astimezone(rhythm.zone)
    too_late, hour = rhythm.hour_for(local.time())
    day = local.date() + (after.days + too_late) * DAY
    before = local_date(base, rhythm.zone)
    if not first and after.days == 0:
        day = max(day, before + DAY)
    if after.weekday is not None:
        day = before + DAY * (1 + (after.weekday - before.weekday() - 1) % 7)
    day = rhythm.next_allowed(day)
    due = to_utc(day, hour, rhythm.zone)
    soonest = earliest if last_sent is None else max(earliest, last_sent + rhythm.minimum_gap)
    # Clocks have left out whole days (Samoa, 30 December 2011).
    while due < soonest or not rhythm.allows(local_date(due, rhythm.zone)):
        day = rhythm.next_allowed(day + DAY)
        due = to_utc(day, hour, rhythm.zone)
    return due


class Late(StrEnum):
    """What a course does with a lesson whose time is long over (an outage, a pause)."""

    SHIFT = "shift"  # once, to the next allowed day and hour; the rest moves along
    SEND = "send"  # in the first allowed hours; the rest keeps its plan
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Release:
    """When a lesson whose time has come may leave, and the due time that the next counts from."""

    due_at: datetime
    send_at: datetime
    is_shifted: bool = False


def is_late(due: datetime, now: datetime, rhythm: Rhythm) -> bool:
    """Some hours may pass by day; outside of the day's hours only one. A rehearsal's lessons never
    are."""
    if rhythm.every is not None:
        return False
    late_by = now - due
    if late_by > LATE_AFTER:
        return True
    return late_by > LATE_AT_NIGHT_AFTER and not _is_open(now, rhythm)


def release(
    due: datetime, now: datetime, rhythm: Rhythm, late: Late, *, was_shifted: bool = False
) -> Release | None:
    """What becomes of a lesson that was due at `due`; None: it is skipped.

    In time it leaves as planned. Late, it is shifted once or leaves within the allowed hours of an
    allowed day: never at night. The welcome mail is not asked about; it is never late.
    """
    if not is_late(due, now, rhythm):
        return Release(due, due)
    if late is Late.SKIP:
        return None
    if late is Late.SHIFT and not was_shifted:
        shifted = _next_opening(now, rhythm) if rhythm.until else _next_hour(now, rhythm)
        return Release(shifted, shifted, is_shifted=True)
    return Release(due, _next_opening(now, rhythm), is_shifted=was_shifted)


def _next_hour(now: datetime, rhythm: Rhythm) -> datetime:
    """The rhythm's next allowed day and hour, not before `now`."""
    day = rhythm.next_allowed(local_date(now, rhythm.zone))
    moment = to_utc(day, rhythm.at, rhythm.zone)
    while moment < now or not rhythm.allows(local_date(moment, rhythm.zone)):
        day = rhythm.next_allowed(day + DAY)
        moment = to_utc(day, rhythm.at, rhythm.zone)
    return moment


def _next_opening(now: datetime, rhythm: Rhythm) -> datetime:
    """`now` within the hours in which a late mail may come, else the next such moment."""
    is_allowed = rhythm.allows(local_date(now, rhythm.zone))
    return now if is_allowed and _is_open(now, rhythm) else _next_hour(now, rhythm)


def _is_open(now: datetime, rhythm: Rhythm) -> bool:
    """Whether `now` lies within the hours of its day in which a late mail may come."""
    today = local_date(now, rhythm.zone)
    opens = to_utc(today, rhythm.at, rhythm.zone)
    # A course whose hour lies in the evening keeps an hour for its late mails.
    closes = (
        to_utc(today, rhythm.until, rhythm.zone)
        if rhythm.until
        else max(to_utc(today, EVENING, rhythm.zone), opens + timedelta(hours=1))
    )
    return opens <= now < closes


def again_at(now: datetime, rhythm: Rhythm, last_sent: datetime | None) -> datetime:
    """When a lesson comes that is ordered again: at the next allowed day and hour, and no sooner
    than the minimum gap after the last sending."""
    if rhythm.every is not None:
        return now
    soonest = now if last_sent is None else max(now, last_sent + rhythm.minimum_gap)
    return _next_opening(soonest, rhythm) if rhythm.until else _next_hour(soonest, rhythm)


class Rule(StrEnum):
    """What puts a lesson off, in the order in which it is asked."""

    AFTER = "after"  # nothing did: it comes as far after the one before as the course says
    WEEKDAY = "weekday"
    SKIP_DATE = "skip date"
    GAP = "minimum gap"


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule, and the instant to which it moves a lesson."""

    rule: Rule
    moves_to: datetime


def reasons(
    after: After,
    rhythm: Rhythm,
    base: datetime,
    *,
    first: bool,
    rolling: bool,
    last_sent: datetime | None,
) -> tuple[Reason, ...]:
    """Why `due_at` says what it says of the same: when the lesson would come by its distance alone,
    then each rule that puts it off further. The last one's instant is what `due_at` says."""
    free = replace(rhythm, weekdays=frozenset(range(7)), skip_dates=frozenset())
    asked: tuple[tuple[Rule, Rhythm, datetime | None], ...] = (
        (Rule.AFTER, free, None),
        (Rule.WEEKDAY, replace(free, weekdays=rhythm.weekdays), None),
        (Rule.SKIP_DATE, rhythm, None),
        (Rule.GAP, rhythm, last_sent),
    )
    found: list[Reason] = []
    for rule, by, sent in asked:
        moment = due_at(after, by, base, first=first, rolling=rolling, last_sent=sent)
        if not found or moment != found[-1].moves_to:
            found.append(Reason(rule, moment))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Step:
    """A lesson, as far as timing asks: its identity, its distance from the one before, and where
    it differs from the course's days and hours."""

    slug: str
    after: After
    weekdays: frozenset[int] | None = None
    at: time | None = None
    until: time | None = None  # only beside `at`


@dataclass(frozen=True, slots=True)
class Past:
    """A learner's row for one lesson."""

    is_settled: bool
    due_at: datetime
    sent_at: datetime | None = None  # when the provider took it; a welcome mail starts no gap
    patience_until: datetime | None = None  # an unknown one: others wait for it until then


@dataclass(frozen=True, slots=True)
class Passed:
    """A lesson that is not for this learner; its due time is that of the one before it, so that
    nothing behind it moves."""

    slug: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """The lesson that comes next, and when; and those that are passed on the way to it."""

    slug: str
    due_at: datetime
    is_welcome: bool  # leaves at once and starts no gap
    passed: tuple[Passed, ...] = ()
    not_before: datetime | None = None  # for who catches up: the gap lasts until then

    @property
    def comes_at(self) -> datetime:
        """When the lesson arrives; `due_at` is the plan, from which the next one counts."""
        return max(self.due_at, self.not_before or self.due_at)


@dataclass(frozen=True, slots=True)
class Wait:
    """An undecided lesson stands before the next; look again then, or when it settles."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class Finished:
    """No live lesson is without a settled row, or it is not for this learner."""

    passed: tuple[Passed, ...] = ()


def next_lesson(
    steps: Sequence[Step],
    past: Mapping[str, Past],
    rhythm: Rhythm,
    starts_at: datetime,
    now: datetime,
    *,
    rolling: bool,
    unwanted: Collection[str] = (),
) -> Due | Wait | Finished:
    """What comes next for a learner: the first lesson without a row, and its due time.

    `past` holds the learner's rows by lesson, also those of lessons that the course has no more;
    `unwanted` are lessons that are not for this learner.
    """
    undecided = [row for row in past.values() if not row.is_settled]
    patience = [row.patience_until for row in undecided]
    if any(until is None or until > now for until in patience):
        known = [until for until in patience if until is not None]
        return Wait(max(known) if len(known) == len(patience) else None)
    step, base, passed = _ahead(steps, past, starts_at, unwanted)
    if step is None:
        live = [past[known.slug] for known in steps if known.slug in past]
        return Finished(tuple(passed)) if all(row.is_settled for row in live) else Wait(None)
    first = step is steps[0]
    is_welcome = first and rolling and step.after.is_at_once
    own, last_sent = rhythm.of(step), _last_sent(past)
    due = due_at(
        step.after,
        own,
        base,
        first=first,
        rolling=rolling,
        last_sent=None if own.catches_up else last_sent,
    )
    return Due(step.slug, due, is_welcome, tuple(passed), _not_before(due, own, last_sent))


def next_reasons(
    steps: Sequence[Step],
    past: Mapping[str, Past],
    rhythm: Rhythm,
    starts_at: datetime,
    *,
    rolling: bool,
    unwanted: Collection[str] = (),
) -> tuple[Reason, ...]:
    """Why the lesson of `next_lesson` comes when it comes; none where there is no lesson."""
    step, base, _ = _ahead(steps, past, starts_at, unwanted)
    if step is None:
        return ()
    own, last_sent = rhythm.of(step), _last_sent(past)
    found = reasons(
        step.after,
        own,
        base,
        first=step is steps[0],
        rolling=rolling,
        last_sent=None if own.catches_up else last_sent,
    )
    waits = _not_before(found[-1].moves_to, own, last_sent)
    return found if waits is None else (*found, Reason(Rule.GAP, waits))


def _ahead(
    steps: Sequence[Step],
    past: Mapping[str, Past],
    starts_at: datetime,
    unwanted: Collection[str],
) -> tuple[Step | None, datetime, list[Passed]]:
    """The first lesson without a row that is for this learner, what it counts from, and those that
    are passed on the way to it."""
    base = max((row.due_at for row in past.values()), default=starts_at)
    passed: list[Passed] = []
    for step in steps:
        if step.slug in past:
            continue
        if step.slug not in unwanted:
            return step, base, passed
        passed.append(Passed(step.slug, base))
    return None, base, passed


def _not_before(due: datetime, rhythm: Rhythm, last_sent: datetime | None) -> datetime | None:
    """Until when a lesson whose planned time has come waits for the minimum gap."""
    if not rhythm.catches_up or last_sent is None or last_sent + rhythm.minimum_gap <= due:
        return None
    return _next_opening(last_sent + rhythm.minimum_gap, rhythm)


def _last_sent(past: Mapping[str, Past]) -> datetime | None:
    """The sending that the minimum gap counts from."""
    return max((row.sent_at for row in past.values() if row.sent_at is not None), default=None)
