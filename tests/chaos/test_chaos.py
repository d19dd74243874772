"""The short form of `make chaos`, and its own proof: a ledger that is wrong does not survive it."""

from pathlib import Path

import pytest

from tests.chaos.__main__ import DECIDES
from tests.chaos.battle import Plan, fight

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(("database", "unknown"), DECIDES.items())
def test_nothing_is_lost_and_nothing_goes_twice(
    database: str, unknown: str, tmp_path: Path
) -> None:
    plan = Plan(database, learners=300, seconds=12, seed=1, lessons=3, unknown=unknown)
    result = fight(plan, tmp_path)
    assert result.breaches == []
    assert result.accepted > 2 * result.learners
    assert result.killed >= 5
    assert result.unknown_before >= result.unknown_after >= result.unknown_resolved == 0


@pytest.mark.parametrize("name", ["lease-over-means-pending", "stale-claims-are-sent"])
def test_a_wrong_ledger_is_caught(name: str, tmp_path: Path) -> None:
    """It ends with the first mail that goes twice; where the blows fall is chance."""
    plan = Plan("sqlite", learners=300, seconds=120, seed=1, wrong_ledger=name)
    assert fight(plan, tmp_path).accepted_twice
