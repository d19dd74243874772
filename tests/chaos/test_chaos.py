"""The short form of `make chaos`, and its own proof: a ledger that is wrong does not survive it."""

from pathlib import Path

import pytest

from tests import redis
from tests.chaos.__main__ import CREWS, DECIDES
from tests.chaos.battle import Plan, fight

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(("database", "unknown"), DECIDES.items())
def test_nothing_is_lost_and_nothing_goes_twice(
    database: str, unknown: str, tmp_path: Path
) -> None:
    if database == "fleet":
        redis.require()
    schedulers, workers, breath = CREWS[database]
    plan = Plan(
        database,
        learners=300,
        seconds=12,
        kills=5,
        seed=1,
        lessons=3,
        unknown=unknown,
        schedulers=schedulers,
        workers=workers,
        breath=breath,
    )
    result = fight(plan, tmp_path)
    assert result.breaches == []
    assert result.accepted > 2 * result.learners
    assert result.unknown_before >= result.unknown_after >= result.unknown_resolved == 0


def test_a_wrong_ledger_is_caught(tmp_path: Path) -> None:
    """It ends with the first mail that goes twice. Where the blows fall is chance: the other wrong
    ledgers need rarer ones, and are caught by the crash points and the state machine."""
    wrong = "lease-over-means-pending"
    plan = Plan("sqlite", learners=300, seconds=180, kills=0, seed=1, wrong_ledger=wrong)
    assert fight(plan, tmp_path).accepted_twice
