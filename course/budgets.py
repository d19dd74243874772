"""How much may be done in a while, by whom: kept in the database, so that it holds over all
processes.

Each budget is a bucket that fills again at an even pace (the generic cell rate algorithm: one
instant a bucket, at which it will be full). Whose a bucket is, is kept as a keyed hash alone.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from sqlalchemy import Executable, delete, select, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from course.models import Bucket
from course.people import domain_of, mailbox_of
from course.rowsets import RowSet, run


class Scope(StrEnum):
    """Whose bucket it is."""

    NETWORK = "network"  # an IPv4 /24, an IPv6 /64
    SITE = "site"  # what one customer is given of IPv6, a /48; of IPv4 the /24 again
    ADDRESS = "address"  # whatever it is called: an inbox
    DOMAIN = "domain"  # of the recipient
    ALL = "all"
    LINK = "link"  # what a network does with links that it was sent
    FIRST = "first"  # the first few of a site, for which a part of the others is kept


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `burst` at once, and `count` in each `window` that follows."""

    count: int
    window: timedelta
    burst: int

    @property
    def interval(self) -> timedelta:
        return self.window / self.count

    def slack(self, share: float = 1.0) -> timedelta:
        """How far ahead of now the bucket may stand when one more is wanted."""
        return self.interval * (max(self.burst * share, 1) - 1)


_HOUR = timedelta(hours=1)
# A class of thirty signs up together behind one address; a newsletter sends some hundred an hour.
# A big provider's domain has its share of every launch. A carrier's phones, each with a /64 of its
# own, share many a /48.
LIMITS: Mapping[Scope, Limit] = {
    Scope.NETWORK: Limit(count=30, window=_HOUR, burst=40),
    Scope.SITE: Limit(count=120, window=_HOUR, burst=160),
    Scope.ADDRESS: Limit(count=4, window=_HOUR, burst=6),
    Scope.DOMAIN: Limit(count=300, window=_HOUR, burst=200),
    Scope.ALL: Limit(count=1200, window=_HOUR, burst=600),
    Scope.LINK: Limit(count=600, window=_HOUR, burst=240),
    Scope.FIRST: Limit(count=4, window=_HOUR, burst=4),
}
# Who floods the form takes what is for all, and what is for a domain, down to the half that is kept
# for the first few of each site; so a visitor from elsewhere gets in. To empty that half as fast as
# it fills again takes as many sites as fit into it, not a handful.
KEPT = 0.5
_SHARED = (Scope.DOMAIN, Scope.ALL)


def limits_for(all_in_window: int, window: timedelta) -> dict[Scope, Limit]:
    """The same for an installation that takes so many sign-ups in all: half of them at once, a
    quarter of them from one domain."""
    count = max(all_in_window, 1)
    return {
        **LIMITS,
        Scope.DOMAIN: Limit(max(count // 4, 1), window, burst=max(count // 6, 1)),
        Scope.ALL: Limit(count, window, burst=max(count // 2, 1)),
    }


@dataclass(frozen=True, slots=True)
class Wish:
    """One more of something, out of that bucket."""

    scope: Scope
    whose: str = ""


def network_of(address: str) -> str:
    """The network that whoever has this address can move about in: IPv4 /24, IPv6 /64."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    length = 24 if isinstance(found, IPv4Address) else 64
    return str(ip_network(f"{found}/{length}", strict=False))


def site_of(network: str) -> str:
    """Of a network of ours, what its owner's networks have in common: IPv6 /48."""
    try:
        found = ip_network(network)
    except ValueError:
        return network
    return str(found.supernet(new_prefix=48)) if found.version == 6 else network


def robot_wishes(network: str) -> list[Wish]:
    """What a robot takes: from its own alone, so that it cannot use up what is for all."""
    return [Wish(Scope.NETWORK, network), Wish(Scope.SITE, site_of(network))]


def sign_up_wishes(network: str, email: str) -> list[Wish]:
    """What one sign-up takes."""
    domain = domain_of(email).lower()
    return [
        *robot_wishes(network),
        Wish(Scope.FIRST, site_of(network)),
        Wish(Scope.ADDRESS, mailbox_of(email)),
        Wish(Scope.DOMAIN, domain),
        Wish(Scope.ALL),
    ]


def spend(
    session: Session,
    wishes: Sequence[Wish],
    real: datetime,
    hash_key: str,
    limits: Mapping[Scope, Limit] = LIMITS,
) -> Scope | None:
    """Take one out of each bucket; or out of none, when one is empty: then that one is named. The
    first few of a site refuse nobody: who has had them finds the shared buckets empty earlier.

    `real` is real time: a simulated clock would fill the buckets.
    """
    keys = {_key(wish, hash_key): wish for wish in wishes}
    full_at = _full_at(session, sorted(keys))
    refused = None
    filled: list[tuple[str, datetime]] = []
    share = 1.0
    for key, wish in keys.items():
        limit = limits[wish.scope]
        base = max(full_at.get(key, real), real)
        is_empty = base - real > limit.slack(share if wish.scope in _SHARED else 1.0)
        if is_empty and wish.scope is Scope.FIRST:
            share = 1 - KEPT
            filled.append((key, base))
            continue
        if is_empty:
            # Written as it is: whoever is refused waits as long as whoever is not.
            refused, filled = wish.scope, [(key, base)]
            break
        filled.append((key, base + limit.interval))
    run(session, _fill, given=_BUCKETS.pack(session, sorted(filled)))
    return refused


def sweep(session: Session, real: datetime, limit: int = 500) -> int:
    """Forget buckets that are full again; returns how many."""
    full = session.scalars(select(Bucket.key).where(Bucket.full_at < real).limit(limit)).all()
    session.execute(delete(Bucket).where(Bucket.key.in_(full), Bucket.full_at < real))
    return len(full)


def _key(wish: Wish, hash_key: str) -> str:
    text = f"budget:{wish.scope}:{wish.whose}"
    return hmac.new(hash_key.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


_BUCKETS = RowSet(key=Bucket.key, full_at=Bucket.full_at)


def _full_at(session: Session, keys: Iterable[str]) -> dict[str, datetime]:
    """Locked in the order of their keys, where a server has more than one writer."""
    statement = select(Bucket.key, Bucket.full_at).where(Bucket.key.in_(list(keys)))
    rows = session.execute(statement.order_by(Bucket.key).with_for_update())
    return {row.key: row.full_at for row in rows}


@cache
def _fill(is_postgresql: bool) -> Executable:
    given = _BUCKETS.given(is_postgresql)
    # SQLite would take the ON of ON CONFLICT for that of a join, were there no WHERE.
    found = select(given.c.key, given.c.full_at).where(true())
    insert = (postgresql.insert if is_postgresql else sqlite.insert)(Bucket).from_select(
        ["key", "full_at"], found
    )
    return insert.on_conflict_do_update(
        index_elements=["key"], set_={"full_at": insert.excluded.full_at}
    )
