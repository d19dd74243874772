"""All figures of a run: as a table for people, as JSON for comparing runs."""

import os
import platform
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.figures import Figure
from tests.bench.plan import Plan

WIDTH = 80


@dataclass(frozen=True)
class Machine:
    """What the figures depend on. `synced_write_ms`: how long the disk takes for a page, which is
    what each commit waits for; next to nothing means that it does not write at all."""

    cores: int | None
    synced_write_ms: float
    system: str
    python: str
    sqlite: str

    @classmethod
    def here(cls) -> "Machine":
        return cls(
            cores=os.cpu_count(),
            synced_write_ms=_synced_write_ms(),
            system=platform.platform(),
            python=platform.python_version(),
            sqlite=sqlite3.sqlite_version,
        )


def _synced_write_ms() -> float:
    samples = []
    with tempfile.TemporaryFile() as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            samples.append((time.perf_counter() - began) * 1000)
    return median(samples)


@dataclass(frozen=True)
class Report:
    plan: Plan
    machine: Machine
    figures: Sequence[Figure]

    def print(self) -> None:
        """In eighty columns, on stdout."""
        console = Console(width=WIDTH, highlight=False)
        console.print(_table(self.figures))
        plan, machine = self.plan, self.machine
        console.print(
            f"{plan.size:,} mails a run, {plan.crowd:,} learners in the crowd; "
            f"the middle one of {plan.rounds} rounds."
        )
        console.print(
            f"{machine.cores} cores, {machine.synced_write_ms:.1f} ms a synced write, "
            f"Python {machine.python}, SQLite {machine.sqlite}."
        )

    def as_json(self) -> bytes:
        found = {
            "made_at": datetime.now(UTC),
            "plan": self.plan,
            "machine": self.machine,
            "figures": [figure.as_json() for figure in self.figures],
        }
        return orjson.dumps(found, option=orjson.OPT_INDENT_2)


def _table(figures: Sequence[Figure]) -> Table:
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    made.add_column("", no_wrap=True)
    made.add_column("measured", justify="right", no_wrap=True)
    made.add_column("compared with", no_wrap=True)
    made.add_column("ratio", justify="right", no_wrap=True)
    made.add_column("goal", justify="right", no_wrap=True)
    for index, figure in enumerate(figures):
        is_last = index + 1 == len(figures) or figures[index + 1].part != figure.part
        made.add_row(
            figure.name,
            f"{_number(figure.value)} {figure.unit}",
            _compared(figure),
            _ratio(figure),
            figure.goal,
            end_section=is_last,
        )
    return made


def _compared(figure: Figure) -> str:
    if figure.rival is None:
        return ""
    return f"{figure.rival.name}: {_number(median(figure.rival.samples))}"


def _ratio(figure: Figure) -> str:
    if figure.ratio is None:
        return ""
    return f"{figure.ratio:.0%}" if figure.is_share else f"{_number(figure.ratio)} ×"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
