"""How much may be done in a while: bursts, refilling, and that nobody pays for another."""

from datetime import UTC, datetime, timedelta

import pytest

from course import budgets
from course.budgets import LIMITS, Limit, Scope, Wish
from tests.world import World

NOW = datetime(2030, 3, 4, 9, tzinfo=UTC)
KEY = "a key"
THREE = {scope: Limit(count=3, window=timedelta(hours=1), burst=3) for scope in Scope}


def spend(
    world: World, *wishes: Wish, at: float = 0, limits: dict[Scope, Limit] = THREE
) -> Scope | None:
    """`at`: in minutes from now."""
    real = NOW + timedelta(minutes=at)
    return world.database.run(lambda s: budgets.spend(s, wishes, real, KEY, limits))


def test_a_burst_is_let_through_and_then_the_pace_counts(any_world: World) -> None:
    mine = Wish(Scope.NETWORK, "192.0.2.0/24")
    assert [spend(any_world, mine) for _ in range(4)] == [None, None, None, Scope.NETWORK]
    assert spend(any_world, mine, at=19) is Scope.NETWORK
    assert spend(any_world, mine, at=20) is None
    assert spend(any_world, mine, at=21) is Scope.NETWORK
    assert [spend(any_world, mine, at=600) for _ in range(4)] == [None] * 3 + [Scope.NETWORK]


def test_what_is_refused_costs_nobody_anything(world: World) -> None:
    attacker, visitor = Wish(Scope.NETWORK, "a"), Wish(Scope.NETWORK, "b")
    for _ in range(50):
        spend(world, attacker, Wish(Scope.ALL))
    assert spend(world, visitor, Wish(Scope.ALL)) is Scope.ALL  # three of them got through
    assert spend(world, visitor, Wish(Scope.ALL), at=20) is None


def test_a_bucket_says_nothing_of_whose_it_is(world: World) -> None:
    spend(world, Wish(Scope.ADDRESS, "kim@example.org"))
    file = world.settings.database_path
    assert file is not None
    for path in file.parent.glob(f"{file.name}*"):
        assert b"kim@example.org" not in path.read_bytes()


def test_full_buckets_are_forgotten(world: World) -> None:
    spend(world, Wish(Scope.ADDRESS, "a"))
    spend(world, Wish(Scope.ADDRESS, "b"), at=30)
    later = NOW + timedelta(minutes=40)
    assert world.database.run(lambda s: budgets.sweep(s, later)) == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("nonsense", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_network_of_an_address(address: str, network: str) -> None:
    assert budgets.network_of(address) == network


def test_every_scope_has_a_limit_and_a_few_networks_cannot_use_up_what_is_for_all() -> None:
    assert set(LIMITS) == set(Scope)
    assert LIMITS[Scope.ALL].burst >= 10 * LIMITS[Scope.NETWORK].burst
    assert LIMITS[Scope.ALL].count >= 10 * LIMITS[Scope.NETWORK].count
