"""What sending needs, in one hand: database, settings, mailer, clock, and the courses as mails."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

from course import courses, rendering
from course.clock import Clock
from course.db import Database
from course.mailer import Mailer
from course.rendering import CompiledCourse, Site
from course.settings import Settings


def unobserved(label: str) -> None: ...


def uncounted(mails: int) -> None: ...


@dataclass(frozen=True)
class Office:
    """What sending needs, put together by an edge. `reached` hears of each step by name, so that
    a test can end the process there; `answered`, how many mails each answer was about, so that a
    person can watch."""

    database: Database
    settings: Settings
    mailer: Mailer
    clock: Clock
    reached: Callable[[str], None] = unobserved
    answered: Callable[[int], None] = uncounted

    @property
    def site(self) -> Site:
        return site_of(self.settings)

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.settings.lease_seconds)


def site_of(settings: Settings) -> Site:
    return Site(
        public_url=settings.public_url,
        postal_address=settings.postal_address,
        reply_to=settings.mail_reply_to or settings.mail_from,
    )


@dataclass
class Report:
    """What one tick did, in mails (learners for `looked_at`)."""

    looked_at: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def did_something(self) -> bool:
        return bool(self.looked_at or self.counts.total())

    def add(self, other: "Report") -> None:
        self.looked_at += other.looked_at
        self.counts.update(other.counts)
        self.problems += other.problems


def compiled(office: Office, revision_id: int, note: str | None = None) -> CompiledCourse:
    """An applied revision as mails, or a note in its place; kept, since neither ever changes."""
    return _compiled(office.database, revision_id, note, office.site)


@lru_cache(maxsize=32)
def _compiled(database: Database, revision_id: int, note: str | None, site: Site) -> CompiledCourse:
    with database.reading() as session:
        slug, files = courses.revision_files(session, revision_id, note)
    return rendering.load_course(slug, files, site, where=f"lessons/{slug}/")
