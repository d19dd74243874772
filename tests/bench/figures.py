"""What was measured, and what it is compared with."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True)
class Rival:
    """What a figure is compared with: its own measurement in each round."""

    name: str
    samples: Sequence[float]


@dataclass(frozen=True)
class Figure:
    """One line: a measurement in each round, the middle one of which counts."""

    part: str
    name: str
    unit: str
    samples: Sequence[float]
    rival: Rival | None = None
    is_share: bool = False  # a ratio is said as a percentage
    goal: str = ""

    @property
    def value(self) -> float:
        return median(self.samples)

    @property
    def ratio(self) -> float | None:
        """The middle one of the rounds' own ratios: in a round both met the same weather."""
        if self.rival is None:
            return None
        pairs = zip(self.samples, self.rival.samples, strict=True)
        return median(own / other for own, other in pairs)

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "value": self.value, "ratio": self.ratio}
