"""How large, and how often."""

from collections.abc import Callable
from dataclasses import dataclass

Say = Callable[[str], None]  # hears what is done now


@dataclass(frozen=True)
class Plan:
    """`size`: mails in one run; ten times as many learners are enrolled where a crowd is needed."""

    size: int = 100_000
    rounds: int = 3
    seconds: float = 3.0  # so long each runs that is measured by the clock
    databases: tuple[str, ...] = ("sqlite", "postgresql")

    @property
    def crowd(self) -> int:
        return 10 * self.size
