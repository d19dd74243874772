"""The one place where time is read. Edges make a clock and hand it, or its `now()`, downwards."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Clock:
    """Course time, which a rehearsal may shift, and the machine's own time, which nobody does."""

    file: Path | None = None

    def now(self) -> datetime:
        """Course time, aware UTC: the instant in `file` if there is one, else real time.

        Raises ValueError when the file does not hold one ISO 8601 instant with an offset.
        """
        if self.file is None:
            return self.real()
        moment = datetime.fromisoformat(self.file.read_text().strip())
        if moment.tzinfo is None:
            raise ValueError(f"{self.file}: {moment} has no offset; write it like …T09:00+00:00")
        return moment.astimezone(UTC)

    def real(self) -> datetime:
        """Wall time of this machine, aware UTC, for leases and back-off."""
        return datetime.now(UTC)

    def since_boot(self) -> float:
        """Seconds that go on while the machine or the process sleeps, and never step."""
        # Elsewhere than on Linux the monotonic clock is the nearest there is.
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
