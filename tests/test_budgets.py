"""How much may be done in a while: bursts, refilling, and that nobody pays for another."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

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


@pytest.mark.parametrize(
    ("network", "site"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1:ffff::/64", "2001:db8:1::/48"),
        ("unknown", "unknown"),
    ],
)
def test_the_site_of_a_network(network: str, site: str) -> None:
    assert budgets.site_of(network) == site


def flood(world: World, tries: int, *, sites: int = 1, at: float = 0) -> int:
    """Each from another /64, round about the sites, to another inbox of one domain; returns how
    many got through."""
    real = NOW + timedelta(minutes=at)

    def work(session: Session) -> int:
        taken = 0
        for number in range(tries):
            network = f"2001:db8:{number % sites:x}:{number % 65536:x}::/64"
            wishes = budgets.sign_up_wishes(network, f"v{at}-{number}@gmail.com")
            taken += budgets.spend(session, wishes, real, KEY) is None
        return taken

    return world.database.run(work)


def visit(world: World, network: str, email: str, at: float = 0) -> Scope | None:
    return spend(world, *budgets.sign_up_wishes(network, email), at=at, limits=dict(LIMITS))


def test_a_site_that_floods_a_domain_keeps_nobody_from_elsewhere_out(world: World) -> None:
    most = LIMITS[Scope.SITE].burst + 1
    assert 50 < flood(world, 250) < most
    assert visit(world, "203.0.113.0/24", "kim@gmail.com") is None
    assert visit(world, "2001:db8:9999:1::/64", "ann@gmail.com") is None
    # It goes on for hours, and comes from several such sites.
    for hour in range(1, 4):
        taken = flood(world, 350, sites=5, at=60 * hour)
        assert taken <= LIMITS[Scope.DOMAIN].count + LIMITS[Scope.DOMAIN].burst
        visitor = f"203.0.{hour}.0/24"
        assert visit(world, visitor, f"kim.{hour}x@gmail.com", at=60 * hour) is None


def test_a_site_that_had_its_first_few_finds_what_is_for_all_empty_at_its_half(
    world: World,
) -> None:
    limits = (
        THREE
        | {
            scope: Limit(100, timedelta(hours=1), 100)
            for scope in (Scope.NETWORK, Scope.SITE, Scope.ADDRESS, Scope.DOMAIN)
        }
        | {Scope.ALL: Limit(20, timedelta(hours=1), 20)}
    )

    def ask(network: str, number: int) -> Scope | None:
        wishes = budgets.sign_up_wishes(network, f"{number}@d{number}.example.org")
        return spend(world, *wishes, limits=limits)

    one = [ask("192.0.2.0/24", number) for number in range(15)]
    assert one == [None] * 10 + [Scope.ALL] * 5
    others = [ask(f"198.51.{number // 4}.0/24", 20 + number) for number in range(16)]
    assert others.count(None) == 10, "the rest is theirs, and no more than the whole"


def test_every_scope_has_a_limit_and_a_few_networks_cannot_use_up_what_is_for_all() -> None:
    assert set(LIMITS) == set(Scope)
    assert LIMITS[Scope.ALL].burst >= 10 * LIMITS[Scope.NETWORK].burst
    assert LIMITS[Scope.ALL].count >= 10 * LIMITS[Scope.NETWORK].count
