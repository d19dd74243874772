"""The one place where time is read. Edges make a clock and hand it, or its `now()`, downwards."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from course.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Clock:
    """Course time, which a rehearsal may shift, and the machine's own time, which nobody does."""

    file: Path | None = None

    def now(self) -> datetime:
        """Course time, aware UTC: the instant in `file` if there is one, else real time.

        Raises SettingsError when the file does not hold one ISO 8601 instant with an offset.
        """
        if self.file is None:
            return self.real()
        try:
            moment = datetime.fromisoformat(self.file.read_text().strip())
        except OSError as error:
            raise self._unfit(error.strerror) from None
        except ValueError:
            raise self._unfit("it holds no instant") from None
        if moment.tzinfo is None:
            raise self._unfit(f"{moment} has no offset")
        return moment.astimezone(UTC)

    def _unfit(self, why: str | None) -> SettingsError:
        return SettingsError(
            f"MINICOURSE_CLOCK_FILE={self.file}: {why}. Write an instant into that file, like "
            "2030-03-04T09:00+00:00; or leave the variable out, for real time"
        )

    def real(self) -> datetime:
        """Wall time of this machine, aware UTC, for leases and back-off."""
        return datetime.now(UTC)

    def since_boot(self) -> float:
        """Seconds that go on while the machine or the process sleeps, and never step."""
        # Elsewhere than on Linux the monotonic clock is the nearest there is.
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
