"""Who opened a mail and followed its links: a person, or a machine that looked at it first?

Apple's mail program fetches each mail's pictures, read or not, and SendGrid marks those opens.
Nobody marks the gateways of companies, which follow every link of a mail as it comes in. They give
themselves away by their haste: several links within seconds of the delivery, or one at its very
moment. It is a judgement, not a proof, and nothing but statistics rests on it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from course.states import EventKind

# Within this time of the delivery nobody has read anything.
INSTANT = timedelta(seconds=2)
# Within this time a person may follow one link, but not two.
BURST = timedelta(seconds=10)


class Told(NamedTuple):
    """One event of a mail, as far as it matters here."""

    kind: str
    at: datetime
    is_machine: bool = False  # the provider says so
    url: str | None = None


class Firsts(NamedTuple):
    """When each was first done, if ever. The names are the ledger's columns."""

    opened_at: datetime | None = None
    clicked_at: datetime | None = None
    machine_opened_at: datetime | None = None
    machine_clicked_at: datetime | None = None


def firsts(told: Iterable[Told]) -> Firsts:
    """Of all that is known about one mail, in any order."""
    events = list(told)
    delivered = min((one.at for one in events if one.kind == EventKind.DELIVERED), default=None)
    hasty = _hasty_until(events, delivered)
    is_burst = delivered is not None and hasty == delivered + BURST

    def by_machine(one: Told) -> bool:
        in_haste = hasty is not None and one.at <= hasty
        return one.is_machine or (in_haste and (is_burst or one.kind == EventKind.CLICKED))

    def first(kind: EventKind, machine: bool) -> datetime | None:
        times = (one.at for one in events if one.kind == kind and by_machine(one) is machine)
        return min(times, default=None)

    return Firsts(
        first(EventKind.OPENED, False),
        first(EventKind.CLICKED, False),
        first(EventKind.OPENED, True),
        first(EventKind.CLICKED, True),
    )


def _hasty_until(events: Iterable[Told], delivered: datetime | None) -> datetime | None:
    """Until when it was a machine that clicked. A gateway may well be done before it takes the
    mail over, so what precedes the delivery counts as well."""
    if delivered is None:
        return None
    early = {
        one.url for one in events if one.kind == EventKind.CLICKED and one.at <= delivered + BURST
    }
    return delivered + (BURST if len(early) > 1 else INSTANT)
