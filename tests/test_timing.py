"""When a lesson is due, over weekends, zones and clock changes."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course.timing import (
    DAY,
    After,
    Due,
    Finished,
    Past,
    Rhythm,
    Rule,
    Step,
    Wait,
    again_at,
    due_at,
    next_lesson,
    next_reasons,
    reasons,
    to_utc,
)

THURSDAY_NOON = "2027-01-14 12:00"
BERLIN = ZoneInfo("Europe/Berlin")
WORKDAYS = frozenset(range(5))


def rhythm(zone: str = "Europe/Berlin", **changes: object) -> Rhythm:
    values = {"zone": ZoneInfo(zone), "weekdays": WORKDAYS, "at": time(9), **changes}
    return Rhythm(**values)  # type: ignore[arg-type]


def moment(text: str, zone: str = "Europe/Berlin") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


THURSDAY = moment(THURSDAY_NOON)


def following(base: datetime, after: After, pace: Rhythm, last: datetime | None = None) -> datetime:
    return due_at(after, pace, base, first=False, rolling=True, last_sent=last)


def test_the_welcome_of_a_rolling_cohort_is_due_at_once() -> None:
    base = moment("2027-01-16 23:59")  # a Saturday night
    assert due_at(After(), rhythm(), base, first=True, rolling=True, last_sent=None) == base


def test_the_first_lesson_of_a_fixed_cohort_waits_for_the_hour() -> None:
    start = moment("2027-01-18 09:00")
    assert due_at(After(), rhythm(), start, first=True, rolling=False, last_sent=None) == start
    late = moment("2027-01-18 10:00")
    found = due_at(After(), rhythm(), late, first=True, rolling=False, last_sent=None)
    assert found == moment("2027-01-19 09:00")


@pytest.mark.parametrize(
    ("base", "after", "expected"),
    [
        ("2027-01-14 12:00", After(1), "2027-01-15 09:00"),  # Thursday → Friday
        ("2027-01-15 09:00", After(1), "2027-01-18 09:00"),  # Friday → over the weekend
        ("2027-01-14 12:00", After(2), "2027-01-18 09:00"),  # Saturday is no day → Monday
        ("2027-01-14 00:01", After(0), "2027-01-15 09:00"),  # never on the same local day
        ("2027-01-14 12:00", After(hours=4), "2027-01-15 09:00"),
        ("2027-03-26 09:00", After(1), "2027-03-29 09:00"),  # over the start of summer time
        ("2027-10-29 09:00", After(1), "2027-11-01 09:00"),  # and its end: the hour stays
    ],
)
def test_a_later_lesson_comes_on_an_allowed_day_at_the_hour(
    base: str, after: After, expected: str
) -> None:
    assert following(moment(base), after, rhythm()) == moment(expected)


def test_skip_dates_are_passed_over() -> None:
    pace = rhythm(skip_dates=frozenset({date(2027, 1, 15), date(2027, 1, 18)}))
    assert following(moment("2027-01-14 09:00"), After(1), pace) == moment("2027-01-19 09:00")


def test_the_minimum_gap_counts_from_the_last_sending() -> None:
    base, sent = moment("2027-01-12 09:00"), moment("2027-01-12 17:00")
    assert following(base, After(1), rhythm(), sent) == moment("2027-01-14 09:00")


def test_a_wall_time_that_does_not_exist_moves_forward() -> None:
    at = to_utc(date(2027, 3, 28), time(2, 30), BERLIN)
    assert at.astimezone(BERLIN).time() == time(3, 30)


def test_a_wall_time_that_occurs_twice_is_the_first() -> None:
    at = to_utc(date(2027, 10, 31), time(2, 30), BERLIN)
    assert at == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)


def test_a_calendar_without_any_day_is_an_error() -> None:
    start = date(2027, 1, 1)
    every = frozenset(start + timedelta(days=n) for n in range(400))
    with pytest.raises(ValueError, match="no day to send on"):
        following(moment("2027-01-14 09:00"), After(1), rhythm(skip_dates=every))


zones = st.sampled_from(
    ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "Pacific/Apia"]
    + ["Australia/Lord_Howe", "America/St_Johns", "Etc/GMT+12", "Africa/Casablanca"]
)


@given(
    zone=zones,
    base=st.datetimes(datetime(2007, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),
    after=st.builds(After, days=st.integers(0, 9)),
    weekdays=st.sets(st.integers(0, 6), min_size=1).map(frozenset),
    at=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
)
def test_wherever_one_lives_the_day_is_allowed_and_the_hour_kept(
    zone: str, base: datetime, after: After, weekdays: frozenset[int], at: time
) -> None:
    pace = rhythm(zone, weekdays=weekdays, at=at)
    due = following(base, after, pace, base)
    local = due.astimezone(pace.zone)
    assert pace.allows(local.date())
    assert due >= base + pace.minimum_gap
    wanted = datetime.combine(local.date(), at, tzinfo=pace.zone)
    exists = wanted.astimezone(UTC).astimezone(pace.zone).time() == at
    assert local.time() == at or not exists


# Around each change of a clock -----------------------------------------------------------------

WEEK = timedelta(days=7)


def transitions(zone: ZoneInfo) -> Iterator[datetime]:
    """The hours (UTC) after which that zone's clocks showed another offset, 2000 to 2037."""
    before, end = datetime(2000, 1, 1, tzinfo=UTC), datetime(2037, 12, 31, tzinfo=UTC)
    while before < end:
        after = before + WEEK
        if offset(zone, before) != offset(zone, after):
            yield bisect(zone, before, after)
        before = after


def offset(zone: ZoneInfo, instant: datetime) -> timedelta | None:
    return instant.astimezone(zone).utcoffset()


def bisect(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    while after - before > timedelta(hours=1):
        middle = before + (after - before) / 2
        if offset(zone, middle) == offset(zone, before):
            before = middle
        else:
            after = middle
    return before


@pytest.mark.parametrize("until", [None, time(4)])
def test_around_every_change_of_every_clock(until: time | None) -> None:
    """At half past midnight to half past three most clocks change: lessons at these hours come
    on allowed days, one after the other, at their hour unless the clocks leave it out."""
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        for number, change in enumerate(transitions(zone)):
            at = [time(0, 30), time(1, 30), time(2, 30), time(3, 30)][number % 4]
            pace = Rhythm(zone, WORKDAYS, at, until=until, minimum_gap=timedelta(hours=18))
            due = change - timedelta(days=2)
            for _ in range(4):
                later = following(due, After(1), pace, due)
                assert later >= due + pace.minimum_gap, (name, change)
                local, asked = (
                    later.astimezone(zone),
                    to_utc(later.astimezone(zone).date(), at, zone),
                )
                assert pace.allows(local.date()), (name, change)
                if until is None:
                    assert later == asked, (name, change)
                    assert local.fold == 0, (name, change)
                else:
                    assert asked <= later, (name, change)
                    assert local.time() <= max(until, asked.astimezone(zone).time()), (name, change)
                due = later


def test_a_window_keeps_the_time_of_day() -> None:
    pace = rhythm(at=time(9), until=time(18))
    assert following(moment("2027-01-13 14:37"), After(1), pace) == moment("2027-01-14 14:37")
    assert following(moment("2027-01-13 06:00"), After(1), pace) == moment("2027-01-14 09:00")
    assert following(moment("2027-01-13 22:15"), After(1), pace) == moment("2027-01-15 09:00")
    assert following(moment("2027-01-15 14:37"), After(1), pace) == moment("2027-01-18 14:37")


def test_a_lesson_may_wait_for_a_day_of_the_week() -> None:
    pace = rhythm()
    next_monday = After(weekday=0)
    assert following(moment("2027-01-14 12:00"), next_monday, pace) == moment("2027-01-18 09:00")
    assert following(moment("2027-01-18 09:00"), next_monday, pace) == moment("2027-01-25 09:00")


def test_a_lesson_may_have_its_own_days_and_hour() -> None:
    steps = [Step("hello", After()), Step("one", After(1), frozenset({5}), time(11))]
    past = {"hello": Past(True, THURSDAY, THURSDAY)}
    found = next_lesson(steps, past, rhythm(), THURSDAY, THURSDAY, rolling=True)
    assert found == Due("one", moment("2027-01-16 11:00"), is_welcome=False)


STEPS = [Step("hello", After()), Step("one", After(1)), Step("two", After(1))]


def next_of(past: dict[str, Past], now: datetime = THURSDAY) -> Due | Wait | Finished:
    return next_lesson(STEPS, past, rhythm(), THURSDAY, now, rolling=True)


def test_lessons_follow_each_other() -> None:
    assert next_of({}) == Due("hello", THURSDAY, is_welcome=True)
    past = {"hello": Past(True, THURSDAY, THURSDAY)}
    assert next_of(past) == Due("one", moment("2027-01-15 09:00"), is_welcome=False)
    past["one"] = Past(True, moment("2027-01-15 09:00"), moment("2027-01-15 09:01"))
    assert next_of(past) == Due("two", moment("2027-01-18 09:00"), is_welcome=False)
    past["two"] = Past(True, moment("2027-01-18 09:00"), moment("2027-01-18 09:01"))
    assert next_of(past) == Finished()


def test_the_welcome_mail_starts_no_gap() -> None:
    late_evening = moment("2027-01-14 23:50")
    past = {"hello": Past(True, late_evening)}
    found = next_lesson(STEPS, past, rhythm(), late_evening, late_evening, rolling=True)
    assert found == Due("one", moment("2027-01-15 09:00"), is_welcome=False)


def test_a_first_lesson_that_was_sent_again_starts_a_gap() -> None:
    pace, sent = rhythm(minimum_gap=timedelta(hours=30)), moment("2027-01-14 09:00")
    past = {"hello": Past(True, sent, sent)}
    found = next_lesson(STEPS, past, pace, THURSDAY, sent, rolling=True)
    assert found == Due("one", moment("2027-01-18 09:00"), is_welcome=False)


def test_an_undecided_lesson_holds_the_next_one_back() -> None:
    assert next_of({"hello": Past(False, THURSDAY)}) == Wait(None)


def test_an_unknown_lesson_holds_the_next_one_back_for_its_patience_only() -> None:
    until = THURSDAY + timedelta(days=1)
    past = {"hello": Past(False, THURSDAY, patience_until=until)}
    assert next_of(past) == Wait(until)
    assert isinstance(next_of(past, until), Due)


def test_a_course_with_an_unknown_last_lesson_is_not_finished() -> None:
    past = {step.slug: Past(True, THURSDAY, THURSDAY) for step in STEPS}
    past["two"] = Past(False, THURSDAY, patience_until=THURSDAY)
    assert next_of(past) == Wait(None)


def test_rows_of_lessons_that_were_removed_do_not_hold_anything_back() -> None:
    past = {step.slug: Past(True, THURSDAY, THURSDAY) for step in STEPS}
    past["gone"] = Past(True, THURSDAY, THURSDAY)
    assert next_of(past) == Finished()


# Why then -----------------------------------------------------------------------------------------

skipped = st.sets(st.dates(date(2027, 1, 1), date(2027, 2, 28)), max_size=40).map(frozenset)
# Some weekdays and hours, now and then a window, and days that are skipped.
rhythms = st.builds(
    rhythm,
    zones,
    weekdays=st.sets(st.integers(0, 6), min_size=1).map(frozenset),
    at=st.times(max_value=time(17)).map(lambda t: t.replace(second=0, microsecond=0)),
    until=st.sampled_from([None, time(18)]),
    skip_dates=skipped,
    minimum_gap=st.integers(0, 100).map(lambda hours: timedelta(hours=hours)),
)
bases = st.datetimes(datetime(2027, 1, 1), datetime(2027, 2, 1), timezones=st.just(UTC))
afters = st.one_of(
    st.builds(After, days=st.integers(0, 9)),
    st.builds(After, hours=st.integers(1, 50)),
    st.builds(After, weekday=st.integers(0, 6)),
)


@given(
    after=afters,
    pace=rhythms,
    base=bases,
    sent=st.none() | bases,
    first=st.booleans(),
    rolling=st.booleans(),
)
def test_the_last_reason_says_what_due_at_says(
    after: After, pace: Rhythm, base: datetime, sent: datetime | None, first: bool, rolling: bool
) -> None:
    found = reasons(after, pace, base, first=first, rolling=rolling, last_sent=sent)
    due = due_at(after, pace, base, first=first, rolling=rolling, last_sent=sent)
    assert found[-1].moves_to == due
    assert found[0].rule is Rule.AFTER
    rules = [reason.rule for reason in found]
    assert rules == [rule for rule in Rule if rule in rules]  # each at most once, in their order
    moments = [reason.moves_to for reason in found]
    assert moments == sorted(set(moments))  # each puts it off further


@given(pace=rhythms, sent=st.none() | bases, now=bases)
def test_the_reasons_of_the_next_lesson_are_of_its_time(
    pace: Rhythm, sent: datetime | None, now: datetime
) -> None:
    steps = [Step("one", After()), Step("two", After(1)), Step("three", After(2))]
    past = {"one": Past(is_settled=True, due_at=THURSDAY, sent_at=sent)}
    for unwanted in ((), ("two",)):
        found = next_lesson(steps, past, pace, THURSDAY, now, rolling=False, unwanted=unwanted)
        why = next_reasons(steps, past, pace, THURSDAY, rolling=False, unwanted=unwanted)
        assert isinstance(found, Due)
        assert why[-1].moves_to == found.comes_at
    assert next_reasons(steps[:1], past, pace, THURSDAY, rolling=False) == ()


@given(pace=rhythms, now=bases, sent=st.none() | bases)
def test_what_is_ordered_again_comes_on_an_allowed_day_and_keeps_the_gap(
    pace: Rhythm, now: datetime, sent: datetime | None
) -> None:
    found = again_at(now, pace, sent)
    assert found >= now
    assert sent is None or found >= sent + pace.minimum_gap
    assert pace.allows(found.astimezone(pace.zone).date())


@given(
    pace=rhythms, after=afters, base=bases, sent=bases, later=st.timedeltas(timedelta(0), 9 * DAY)
)
def test_a_lesson_that_leaves_later_than_foreseen_never_brings_the_next_one_forward(
    pace: Rhythm, after: After, base: datetime, sent: datetime, later: timedelta
) -> None:
    steps = [Step("one", After()), Step("two", after)]

    def comes_at(sent_at: datetime, *, catches_up: bool) -> datetime:
        past = {"one": Past(is_settled=True, due_at=base, sent_at=sent_at)}
        own = replace(pace, catches_up=catches_up)
        found = next_lesson(steps, past, own, base, sent_at, rolling=False)
        assert isinstance(found, Due)
        return found.comes_at

    for catches_up in (False, True):
        foreseen = comes_at(sent, catches_up=catches_up)
        assert comes_at(sent + later, catches_up=catches_up) >= foreseen
