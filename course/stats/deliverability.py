"""How mailbox providers take our mail: bounces and complaints per domain, against the limits that
Google and Yahoo publish. Only numbers are kept with a domain.

Google's guidelines for senders and Yahoo's Sender Hub name the same two shares of complaints: below
0.1 % is well, and 0.3 % is the limit. Neither names one for bounces; two in a hundred is where the
trade begins to worry, and at five SendGrid and the providers begin to refuse.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.orm import Session

from course import installation, reach
from course.courses import Live
from course.reach import ERASED

COMPLAINTS_GOOD, COMPLAINTS_LIMIT = 0.001, 0.003
BOUNCES_GOOD, BOUNCES_LIMIT = 0.02, 0.05
# Of fewer mails a share says nothing: one complaint in two hundred is half a percent.
ENOUGH = 200
WHOLE, OTHERS = "all", "(others)"
_SHOWN = 20
# Google passes no single complaint on: they show up in Postmaster Tools alone.
_SILENT = frozenset({"gmail.com", "googlemail.com"})


class Standing(StrEnum):
    GOOD = "good"
    WATCH = "watch"
    BAD = "bad"
    FEW = "few"  # too few mails to say
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DomainStats:
    """Mails of all kinds to the addresses of one domain. Rates are shares, not percents."""

    domain: str
    sent: int
    delivered: int | None
    bounced: int | None
    complained: int | None
    bounce_rate: float | None
    complaint_rate: float | None
    standing: Standing


@dataclass(frozen=True, slots=True)
class Concern:
    """What is beyond a limit, and what helps."""

    what: str
    advice: str


@dataclass(frozen=True, slots=True)
class Deliverability:
    days: int
    total: DomainStats
    domains: list[DomainStats]
    concerns: list[Concern]


def read(session: Session, live: Sequence[Live], real: datetime, days: int) -> Deliverability:
    """Of what left during the last so many days, from the beginning of an hour on; the most mailed
    domains first."""
    has_heard = installation.get(session).last_event_at is not None
    found = _tallies(session, live, real - timedelta(days=days))
    shown = sorted(found, key=lambda one: (one.domain in (ERASED,), -one.sent, one.domain))
    if len(shown) > _SHOWN:
        shown = [*shown[: _SHOWN - 1], _added(shown[_SHOWN - 1 :], OTHERS)]
    judged = [_judged(one, has_heard) for one in shown]
    # A share of all: mails of which no complaint can be heard are left out of the reckoning.
    total = _judged(_added(found, WHOLE), has_heard)
    audible = _added([one for one in found if one.domain not in _SILENT], WHOLE)
    if has_heard:
        rate = _rate(audible.complained, audible.sent)
        total = replace(total, complaint_rate=rate)
        total = replace(total, standing=_standing(total.sent, total.bounce_rate, rate))
    return Deliverability(days, total, judged, list(_concerns([total, *judged])))


@dataclass(frozen=True, slots=True)
class _Tally:
    domain: str
    sent: int = 0
    delivered: int = 0
    bounced: int = 0
    complained: int = 0


def _added(tallies: Iterable[_Tally], name: str) -> _Tally:
    rows = [(one.sent, one.delivered, one.bounced, one.complained) for one in tallies]
    return _Tally(name, *map(sum, zip(*rows, strict=True))) if rows else _Tally(name)


def _tallies(session: Session, live: Sequence[Live], since: datetime) -> list[_Tally]:
    rows = reach.by_domain(session, [one.id for one in live], since)
    return [_Tally(name, *map(int, counts)) for name, *counts in rows]


def _judged(tally: _Tally, has_heard: bool) -> DomainStats:
    is_silent = tally.domain in _SILENT
    if not has_heard:
        return DomainStats(tally.domain, tally.sent, None, None, None, None, None, Standing.UNKNOWN)
    complained = None if is_silent and not tally.complained else tally.complained
    bounce_rate = _rate(tally.bounced, tally.sent)
    complaint_rate = _rate(complained, tally.sent)
    return DomainStats(
        domain=tally.domain,
        sent=tally.sent,
        delivered=tally.delivered,
        bounced=tally.bounced,
        complained=complained,
        bounce_rate=bounce_rate,
        complaint_rate=complaint_rate,
        standing=_standing(tally.sent, bounce_rate, complaint_rate),
    )


def _rate(part: int | None, whole: int) -> float | None:
    return None if part is None or not whole else part / whole


def _standing(sent: int, bounces: float | None, complaints: float | None) -> Standing:
    """As its worse rate is."""
    if sent < ENOUGH:
        return Standing.FEW
    bounces, complaints = bounces or 0, complaints or 0
    if bounces >= BOUNCES_LIMIT or complaints >= COMPLAINTS_LIMIT:
        return Standing.BAD
    if bounces >= BOUNCES_GOOD or complaints >= COMPLAINTS_GOOD:
        return Standing.WATCH
    return Standing.GOOD


# Advice -----------------------------------------------------------------------------------------


def _concerns(judged: Sequence[DomainStats]) -> Iterator[Concern]:
    """One for complaints and one for bounces, each with all whom it is about; the whole first."""
    weighty = [one for one in judged if one.standing in (Standing.WATCH, Standing.BAD)]
    complaints = {one.domain: one.complaint_rate or 0 for one in weighty}
    if beyond := _beyond(complaints, COMPLAINTS_GOOD):
        is_bad = max(beyond.values()) >= COMPLAINTS_LIMIT
        yield Concern(
            _words("Complaints", beyond, COMPLAINTS_GOOD),
            "People take what comes for spam. Say on the form what comes and how often, look "
            "after which lesson they leave (minicourse stats lessons), and never import a list "
            "that did not ask for this course. "
            + (
                "Providers now put such mail into the spam folder. Until it is mended: "
                "minicourse send hold --why complaints"
                if is_bad
                else "Google and Yahoo take it still, and like it no more."
            ),
        )
    bounces = {one.domain: one.bounce_rate or 0 for one in weighty}
    if beyond := _beyond(bounces, BOUNCES_GOOD):
        whole = bounces.get(WHOLE, 0)
        stand_out = [name for name, rate in beyond.items() if rate > 2 * whole]
        yield Concern(
            _words("Bounces", beyond, BOUNCES_GOOD),
            f"Where one provider stands out ({', '.join(stand_out)}), it rather refuses the "
            "sender than the address: read its reason with minicourse delivery list, and check "
            "SPF, DKIM and DMARC with minicourse live."
            if stand_out
            else "Addresses that do not exist come from old lists and from robots at the form. "
            "Who bounced is never mailed again; import only people who confirmed of late.",
        )


def _beyond(rates: Mapping[str, float], good: float) -> dict[str, float]:
    return {name: rate for name, rate in rates.items() if rate >= good}


def _words(what: str, rates: Mapping[str, float], limit: float) -> str:
    listed = ", ".join(
        f"{'all mail' if name == WHOLE else name} {rate:.2%}" for name, rate in rates.items()
    )
    return f"{what} of {limit:.1%} or more: {listed}"


def reasons(found: Deliverability) -> list[str]:
    """Why a number is not known, for below the table."""
    if found.total.standing is Standing.UNKNOWN:
        return [
            "– SendGrid has told nothing yet, so nobody knows what became of these mails. "
            "To hear it: minicourse sendgrid setup"
        ]
    if any(one.complained is None for one in found.domains):
        return [
            "– Google tells nobody who complained. Its share stands in Postmaster Tools: "
            "https://postmaster.google.com"
        ]
    return []
