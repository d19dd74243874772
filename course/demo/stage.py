"""Where the demo plays: a home that is thrown away, real processes, a clock moved by hand."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from course import delivery, opening, sources
from course.clock import Clock
from course.commands.setup import make_ready
from course.office import Report
from course.opening import Context
from course.processes import ports
from course.processes.children import Children, wait_for
from course.settings import SOURCE_ROOT, Settings

COURSE = "job-search"


@dataclass(frozen=True, slots=True)
class Stage:
    pages: str
    inbox: str
    clock_file: Path
    here: Context

    def set_time(self, now: datetime) -> None:
        """For all processes at once: a reader sees the old moment or the new one."""
        _write_time(self.clock_file, now)

    def tick(self) -> Report:
        return delivery.tick(self.here.office)

    def mails(self, to: str | None = None) -> list[dict[str, Any]]:
        """What the sandbox took, oldest first."""
        query = f"?to={to}" if to else ""
        with urlopen(f"{self.inbox}/api/mails{query}") as answer:  # noqa: S310 (our own address)
            found: list[dict[str, Any]] = json.load(answer)
            return found


@contextmanager
def open_stage(start: datetime) -> Iterator[Stage]:
    """Everything runs inside the block and nothing is left of it after."""
    with tempfile.TemporaryDirectory(prefix="minicourse-demo-") as folder:
        home, clock_file = Path(folder), Path(folder) / "clock"
        shutil.copytree(sources.read(SOURCE_ROOT, COURSE).folder, home / "lessons" / COURSE)
        _write_time(clock_file, start)
        pages, inbox = (f"http://127.0.0.1:{ports.free_port()}" for _ in range(2))
        environment = {
            **without_settings(os.environ),
            "MINICOURSE_HOME": str(home),
            "MINICOURSE_CLOCK_FILE": str(clock_file),
            "PUBLIC_URL": pages,
            "SENDGRID_HOST": inbox,
            "LOG_LEVEL": "warning",
        }
        os.environ.clear()
        os.environ.update(environment)  # this process is part of the installation, too
        make_ready(Settings.load(), Clock(clock_file).now())
        with Children(environment) as children:
            _start(children, pages, inbox)
            here = opening.load()
            try:
                yield Stage(pages, inbox, clock_file, here)
            finally:
                here.database.dispose()


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what is set for the author's own installation."""
    fields = [name.upper() for name in Settings.model_fields]
    ours = {*fields, *(f"{name}_FILE" for name in fields)}
    return {
        name: value
        for name, value in environment.items()
        if name.upper() not in ours and not name.startswith("MINICOURSE_")
    }


def _start(children: Children, pages: str, inbox: str) -> None:
    started = [(children.start("sandbox", "--announced"), inbox)]
    started.append((children.start("web", "--announced"), f"{pages}/healthz"))
    for child, url in started:
        wait_for(child, partial(ports.answers, url))


def _write_time(file: Path, now: datetime) -> None:
    new = file.with_suffix(".new")
    new.write_text(now.isoformat())
    new.replace(file)
