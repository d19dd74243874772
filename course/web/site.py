"""What every view needs at hand: one installation's settings, database and clock."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from flask import current_app
from sqlalchemy.orm import Session

from course import courses, rendering
from course.clock import Clock
from course.courses import Live
from course.db import Database
from course.settings import Settings
from course.states import MessageKind
from course.web import texts


@dataclass(frozen=True, slots=True)
class Site:
    settings: Settings
    database: Database
    clock: Clock
    _subjects: dict[int, str] = field(default_factory=dict)

    def now(self) -> datetime:
        return self.clock.now()

    @property
    def secret_keys(self) -> list[str]:
        return [key.get_secret_value() for key in self.settings.secret_key]

    @property
    def hash_key(self) -> str:
        assert self.settings.hash_key is not None  # the installation was checked at the start
        return self.settings.hash_key.get_secret_value()

    def texts(self, language: str = texts.FALLBACK) -> dict[str, Any]:
        return texts.load(self.settings.home, language)

    def confirmation_subject(self, session: Session, live: Live) -> str:
        """The subject to look for in the inbox. An applied revision never changes, so it is
        made once."""
        if live.revision_id not in self._subjects:
            slug, files = courses.revision_files(session, live.revision_id)
            site = rendering.Site(public_url=self.settings.public_url)
            message = rendering.load_course(slug, files, site).system(MessageKind.CONFIRMATION)
            nobody = rendering.Recipient("").values(site)
            self._subjects[live.revision_id] = message.mail(nobody).subject
        return self._subjects[live.revision_id]


def site() -> Site:
    return cast(Site, current_app.extensions["minicourse"])
