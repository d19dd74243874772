"""The time zones of the form's list."""

from collections import defaultdict
from functools import lru_cache

from course.notation import known_zones

# The rest of the database is old names (`US/Eastern`) and zones without a place (`Etc/GMT+5`).
_AREAS = (
    "Africa", "America", "Antarctica", "Arctic", "Asia",
    "Atlantic", "Australia", "Europe", "Indian", "Pacific",
)  # fmt: skip


@lru_cache(maxsize=1)
def by_area() -> dict[str, list[tuple[str, str]]]:
    """Area → (zone, city as people write it). Browsers also name zones by older spellings of a
    city, so those stay in."""
    areas: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for zone in sorted(known_zones()):
        area, _, city = zone.partition("/")
        if area in _AREAS:
            areas[area].append((zone, city.replace("_", " ").replace("/", ", ")))
    return {"UTC": [("UTC", "UTC")], **areas}


def known(zone: str) -> str | None:
    """The zone itself, or None where there is none of that name."""
    return zone if zone in known_zones() else None
