"""The checker itself: it names each breach of the promise, and is silent about the rest."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests import checker
from tests.checker import Learner, Ledger, Row
from tests.standin import Taken

NOON = datetime(2027, 1, 14, 11, tzinfo=UTC)
DAY = timedelta(days=1)


def row(number: int, key: str, state: str = "accepted", **other: object) -> Row:
    kind = {"is_lesson": True, "is_welcome": key == "welcome", "superseded": False}
    return Row(number, 1, key, state=state, settled_at=None, **(kind | other))  # type: ignore[arg-type]


def ledger(*rows: Row, learner: Learner | None = None) -> Ledger:
    somebody = learner or Learner(1, running=True, state="active", next_due_at=NOON)
    return Ledger(
        {one.id: one for one in rows},
        {1: somebody},
        ("welcome", "network", "market"),
        timedelta(hours=18),
    )


def taken(*mails: tuple[int, timedelta]) -> list[Taken]:
    return [Taken(number, NOON + after, place) for place, (number, after) in enumerate(mails)]


WELL = ledger(row(1, "welcome"), row(2, "network"), row(3, "market"))
WELL_TAKEN = taken((1, 0 * DAY), (2, DAY / 12), (3, DAY))


def test_all_is_well() -> None:
    assert checker.violations(WELL, WELL_TAKEN) == []
    assert checker.unsettled_evidence(WELL, WELL_TAKEN) == []
    assert checker.undecided(WELL) == []
    assert checker.lost_lessons(WELL, WELL.lessons) == []


BREACHES = {
    "I1 twice": (WELL, [*WELL_TAKEN, WELL_TAKEN[-1]], "I1: delivery 3 was accepted 2 times"),
    "I1 no row": (WELL, [*WELL_TAKEN, *taken((9, DAY))], "I1: delivery 9"),
    "I2": (WELL, WELL_TAKEN[:2], "I2: delivery 3 is accepted, but"),
    "I3": (ledger(row(1, "welcome", "pending")), WELL_TAKEN[:1], "I3: delivery 1 is pending"),
    "I4 doubled": (
        ledger(row(1, "welcome"), row(2, "welcome", "unknown")),
        WELL_TAKEN[:1],
        "I4: enrollment 1 has 2 live rows for welcome",
    ),
    "I4 forgotten": (
        ledger(row(1, "welcome"), learner=Learner(1, True, "active", None)),
        WELL_TAKEN[:1],
        "I4: enrollment 1 is active, but",
    ),
    "I7": (WELL, [*WELL_TAKEN[:2], *taken((3, DAY / 4))], "I7: enrollment 1 got 3 4:00:00 after 2"),
    "I8": (WELL, taken((1, 0 * DAY), (3, DAY), (2, 2 * DAY)), "I8: enrollment 1 got 2 after 3"),
}


@pytest.mark.parametrize("case", BREACHES)
def test_each_breach_is_named(case: str) -> None:
    found, mails, words = BREACHES[case]
    breaches = checker.violations(found, mails)
    assert [breach for breach in breaches if breach.startswith(words)], breaches


def test_what_was_ordered_may_go_again() -> None:
    assert checker.violations(WELL, [*WELL_TAKEN, WELL_TAKEN[-1]], ordered={3}) == []


def test_a_row_out_of_the_way_is_no_double() -> None:
    again = ledger(row(1, "welcome", "failed", superseded=True), row(2, "welcome"))
    assert checker.violations(again, taken((2, 0 * DAY))) == []


def test_what_follows_a_leaving_is_named_but_not_what_had_crossed_before() -> None:
    left: dict[int, set[int]] = {1: {1, 2}}
    before = ledger(row(1, "welcome"), row(2, "network"))
    assert checker.violations(before, WELL_TAKEN[:2], left=left) == []
    assert checker.violations(WELL, WELL_TAKEN, left=left) == [
        "I6: delivery 3 went to enrollment 1 after it had been left"
    ]


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (lambda found: checker.unsettled_evidence(found, WELL_TAKEN), "I5: delivery 2 is sending"),
        (checker.undecided, "delivery 2 is still sending"),
        (lambda found: checker.lost_lessons(found, found.lessons), "I4: enrollment 1 has no row"),
    ],
)
def test_what_is_left_when_all_is_over_is_named(
    check: Callable[[Ledger], list[str]], words: str
) -> None:
    (breach,) = check(ledger(row(1, "welcome"), row(2, "network", "sending")))
    assert breach.startswith(words)


def test_whoever_left_misses_nothing() -> None:
    gone = Learner(1, running=False, state="cancelled", next_due_at=None)
    assert checker.lost_lessons(replace(WELL, rows={}, learners={1: gone}), WELL.lessons) == []
