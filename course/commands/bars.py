"""A bar on stderr for work that takes a while: seen on a terminal, silent when piped."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")

_ROOM = 60  # columns; with fewer, a bar would cut the numbers


class _Count(ProgressColumn):
    def render(self, task: Task) -> Text:
        of = "" if task.total is None else f"/{task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{of}")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


@dataclass(frozen=True)
class Bar:
    """How far the work has come. It may be told from any thread; what comes beyond the total was
    not foreseen, and the total grows by it."""

    _progress: Progress

    def reach(self, done: int, total: int | None = None) -> None:
        """So much is done, of `total` if that is known only now."""
        (task,) = self._progress.tasks
        end = task.total if total is None else total
        grown = None if end is None else max(end, done)
        self._progress.update(task.id, completed=done, total=grown)

    def advance(self, count: int) -> None:
        """So much more is done."""
        (task,) = self._progress.tasks
        self._progress.advance(task.id, count)
        if task.total is not None and task.completed > task.total:
            self._progress.update(task.id, total=task.completed)

    def each(self, things: Iterable[T]) -> Iterator[T]:
        """One thing after the other; each counts for one when the next is asked for."""
        for thing in things:
            yield thing
            self.advance(1)

    def rename(self, what: str) -> None:
        (task,) = self._progress.tasks
        self._progress.update(task.id, description=what)


@contextmanager
def bar(
    what: str, total: Callable[[], int] | int | None = None, *, is_wanted: bool = True
) -> Iterator[Bar]:
    """Work of this total, which is asked for only where the bar is seen; None: nobody knows."""
    is_seen = is_wanted and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    console = Console(stderr=True, highlight=False)
    drawn = [BarColumn()] if console.width >= _ROOM else []  # numbers say more
    progress = Progress(
        TextColumn("{task.description}"),
        *drawn,
        _Count(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,  # results go where they were to go
        disable=not is_seen,
    )
    size = total if is_seen or not callable(total) else None
    progress.add_task(what, total=size() if callable(size) else size)
    with progress:
        yield Bar(progress)
