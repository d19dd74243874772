"""What every view needs at hand: one installation's settings, database and clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from flask import current_app
from sqlalchemy.orm import Session

from course import budgets, courses, office, rendering, settings
from course.budgets import Limit, Scope
from course.clock import Clock
from course.courses import Live
from course.db import Database
from course.errors import SettingsError
from course.rendering import CompiledCourse
from course.settings import Settings
from course.states import MessageKind
from course.web import texts


@dataclass(frozen=True, slots=True)
class Site:
    settings: Settings
    database: Database
    clock: Clock
    _published: dict[tuple[str, str], Live] = field(default_factory=dict)
    _subjects: dict[int, str] = field(default_factory=dict)
    _compiled: dict[int, CompiledCourse] = field(default_factory=dict)

    def now(self) -> datetime:
        return self.clock.now()

    @property
    def secret_keys(self) -> list[str]:
        return [key.get_secret_value() for key in self.settings.secret_key]

    @property
    def hash_key(self) -> str:
        assert self.settings.hash_key is not None  # the installation was checked at the start
        return self.settings.hash_key.get_secret_value()

    @property
    def limits(self) -> Mapping[Scope, Limit]:
        """Of what sign-ups take."""
        given = self.settings.signup_limit
        return budgets.limits_for(given.count, given.window)

    def newer_webhook_keys(self) -> tuple[str, ...]:
        """The provider's keys that were written into `.env` since this process began."""
        return _webhook_keys(self.settings.home, settings.changed_at(self.settings.home))

    def texts(self, language: str = texts.FALLBACK) -> dict[str, Any]:
        return texts.load(self.settings.home, language)

    def published(self, session: Session, slug: str, content_hash: str) -> Live:
        """A course as it is live. What an applied revision says never changes, so it is looked up
        once."""
        if (slug, content_hash) not in self._published:
            live = courses.live(session, slug)
            self._published[slug, live.content_hash] = live
            return live
        return self._published[slug, content_hash]

    def contact(self, live: Live) -> str:
        """Where an answer to the course's mails goes, for those whom none reaches."""
        sender, here = live.curriculum.sender, self.settings
        return sender.reply_to or here.mail_reply_to or sender.email or here.mail_from

    def confirmation_subject(self, live: Live) -> str:
        """The subject to look for in the inbox, made once as well."""
        if live.revision_id not in self._subjects:
            self._subjects[live.revision_id] = self._make_subject(live)
        return self._subjects[live.revision_id]

    def compiled(self, session: Session, revision_id: int) -> CompiledCourse:
        """An applied revision as mails; kept, since a revision never changes."""
        if revision_id not in self._compiled:
            slug, files = courses.revision_files(session, revision_id)
            site = office.site_of(self.settings)
            self._compiled[revision_id] = rendering.load_course(slug, files, site)
        return self._compiled[revision_id]

    def _make_subject(self, live: Live) -> str:
        with self.database.reading() as session:
            slug, files = courses.revision_files(session, live.revision_id)
        site = rendering.Site(public_url=self.settings.public_url)
        message = rendering.load_course(slug, files, site).system(MessageKind.CONFIRMATION)
        nobody = rendering.Recipient("").values(site)
        return message.mail(nobody).subject


@lru_cache(maxsize=2)
def _webhook_keys(home: Path, _changed_at: float) -> tuple[str, ...]:
    try:
        return Settings.load_from(home).sendgrid_webhook_public_key
    except SettingsError:  # half-written, or wrong: whoever writes it is told there
        return ()


def site() -> Site:
    return cast(Site, current_app.extensions["minicourse"])
