"""What an import says of itself: before, to be asked whether to go on, and when it is done."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import ceil
from pathlib import Path
from typing import Any

import click

from course.commands.context import address, print_facts, print_json, print_table
from course.doubles import Double
from course.importing import EVENING, MORNING, Order, Taken, Told
from course.settings import SendLimit

_DAYS = 5  # as many are counted one by one
_DOUBLES = 10


@dataclass
class Telling:
    """What happened to a list, or would."""

    cohort: str
    today: date  # in the cohort's zone
    limits: Sequence[SendLimit]
    dry_run: bool
    order: Order
    form: str = "none"
    taken: Taken = field(default_factory=Taken)
    twice: list[Double] = field(default_factory=list)
    mended: list[Double] = field(default_factory=list)
    against: list[Double] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # of these three, all
    rejects: Path | None = None

    def add_doubles(self, **found: Sequence[Double]) -> None:
        """All are counted; the first of them are told."""
        for name, some in found.items():
            told: list[Double] = getattr(self, name)
            told += some[: _DOUBLES - len(told)]
            self.counts[name] += len(some)

    def print_json(self) -> None:
        taken = {name: _plain(value) for name, value in vars(self.taken).items()}
        mails, at_night = taken.pop("mails"), taken.pop("at_night")
        print_json(
            {
                "cohort": self.cohort,
                "dry_run": self.dry_run,
                "from": self.form,
                "taken": taken | {"twice": self.counts["twice"]},
                "mails": [{"day": day, "mails": mails[day]} for day in sorted(mails, key=_order)],
                "at_night": {"mails": at_night, "instead": self._by_day if at_night else None},
                "doubles": {name: getattr(self, name) for name in ("twice", "mended", "against")},
                "rejects": str(self.rejects) if self.rejects else None,
            }
        )

    def print(self, keeps: Path) -> None:
        """In words; `keeps` is where rejected rows are, or would be, kept."""
        taken = self.taken
        click.echo("Would be taken in:" if self.dry_run else "Taken in:")
        print_facts(self._counts())
        if self.dry_run:
            click.echo(f"Mails this will send: {self._mails()}")
            for line in (*self._night(), *self._limits()):
                click.echo(line)
        for line in self._doubles():
            click.echo(line)
        skipped = taken.suppressed.first + taken.elsewhere.first + taken.rejected.first
        if skipped:
            click.echo()
            skipped = sorted(skipped, key=lambda one: one.line)[: Told.MOST]
            print_table(
                [("line", "right"), ("value", "whole"), "skipped because"],
                [(str(one.line), address(one.value), one.reason) for one in skipped],
            )
        count = taken.suppressed.count + taken.elsewhere.count + taken.rejected.count
        if count > len(skipped):
            click.echo(f"… and {count - len(skipped):,} more.")
        if taken.rejected.count:
            will = "would go to" if self.dry_run else "are in"
            click.echo(f"\nRejected rows {will} {keeps.name}: mend them there, and import that.")

    def _counts(self) -> Iterator[tuple[str, object]]:
        taken = self.taken
        yield "  to confirm", taken.asked
        yield "  confirmed", taken.confirmed
        if taken.updated:
            yield "  corrected", taken.updated
        yield "  there already", taken.already
        if self.counts["twice"]:
            yield "  twice in the list", self.counts["twice"]
        yield "  suppressed", _with_reasons(taken.suppressed)
        if taken.elsewhere.count:
            yield "  not subscribed there", _with_reasons(taken.elsewhere)
        if taken.barred:
            yield "  never mailed from now on", taken.barred
        yield "  rejected", taken.rejected.count

    def _mails(self) -> str:
        """`0 now, 480 tomorrow, 20 on Mon 18 Jan`."""
        mails: Mapping[date | None, int] = self.taken.mails
        days = sorted(day for day in mails if day is not None)
        parts = [f"{mails.get(None, 0):,} now"]
        parts += [f"{mails[day]:,} {self._called(day)}" for day in days[:_DAYS]]
        if rest := days[_DAYS:]:
            parts.append(
                f"{sum(mails[day] for day in rest):,} until {_short(rest[-1], self.today)}"
            )
        return ", ".join(parts)

    def _called(self, day: date) -> str:
        near = {0: "later today", 1: "tomorrow"}
        return near.get((day - self.today).days) or f"on {_short(day, self.today)}"

    def _night(self) -> Iterator[str]:
        """Where readers would be woken."""
        if night := self.taken.at_night:
            yield (
                f"At night, before {MORNING:%H:%M} or from {EVENING:%H:%M} on where the reader "
                f"lives: {night:,} of {self.taken.mails.total():,}"
            )
            yield f"To let them come at the hour of lessons: {self._by_day}"

    @property
    def _by_day(self) -> str:
        """The words by which nobody's first mail comes at night."""
        start, spread = self.order.start or self.today, self.order.spread
        day = start if spread and start > self.today else start + timedelta(days=1)
        return f"--start {day}" + (", without --spread" if spread else "")

    def _limits(self) -> Iterator[str]:
        """Where more would leave at once than SEND_LIMIT lets through."""
        most = max(self.taken.mails.values(), default=0)
        for limit in self.limits:
            if limit.window == timedelta(days=1) and most > limit.count:
                days = ceil(self.taken.mails.total() / limit.count)
                yield f"SEND_LIMIT lets {limit} leave, the rest waits; or: --spread {days}d"

    def _doubles(self) -> Iterator[str]:
        for line, before in ((one.line, one.before) for one in self.mended):
            yield f"Line {line}: taken in place of line {before} of the same person, which is bad."
        for line, before in ((one.line, one.before) for one in self.against):
            yield f"Line {line}: contradicts line {before} of the same person, which counts."


def _plain(value: Any) -> Any:
    return vars(value) | {"reasons": dict(value.reasons)} if isinstance(value, Told) else value


def _with_reasons(told: Told) -> str:
    """`4: unsubscribed 3, bounced 1`."""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in told.reasons.most_common())
    return f"{told.count:,}: {reasons}" if told.count else "0"


def _short(day: date, today: date) -> str:
    return f"{day:%a} {day.day} {day:%b}" + (f" {day.year}" if day.year != today.year else "")


def _order(day: date | None) -> date:
    return day or date.min
