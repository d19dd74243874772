"""A rehearsal of going live: the sandbox plays SendGrid, the name servers and the way through the
web. What was done in it is known to the sandbox alone, until that ends: no setting and no row of
the database tells of it, so that nothing of it can pass for the real thing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

import orjson
from pydantic import SecretStr
from sqlalchemy.orm import Session

from course import installation, readiness, trial
from course.account import Account
from course.errors import RefusedError
from course.outside import Page, RealOutside, UnreachableError
from course.readiness import Heard, Line, State
from course.settings import Settings
from course.states import Mode
from course.urls import is_loopback

KEY = "sandbox"  # it takes any
SETUP = "minicourse sendgrid setup --rehearse"
_TODOS = {
    "domain": SETUP,
    "DKIM": SETUP,
    "SPF": SETUP,
    "DMARC": SETUP,
    "webhook": SETUP,
}
_TEST = "minicourse live --rehearse --test-to YOUR@ADDRESS"
_START = "minicourse up; if it has only just started, run this again in a few seconds"
_AGAIN = "Wait a moment and run again: minicourse live --rehearse"


@dataclass(frozen=True)
class PlayedOutside:
    """What may be asked of the world, asked of the sandbox. Nothing leaves this machine."""

    settings: Settings

    @cached_property
    def account(self) -> Account:
        return Account(KEY, self.settings.mail_host)

    def records(self, name: str, kind: str) -> list[str]:
        found: list[str] = self._asked(f"names/{kind}/{quote(name)}")
        return found

    def page(self, url: str) -> Page:
        """Our own pages, where they are on this machine; else they are taken as given."""
        return RealOutside(self.settings).page(url) if is_loopback(url) else Page(200, "ok")

    def heard(self) -> Heard:
        found = self._asked(f"told/{trial.ARGUMENT}")
        sent = _moment(found["mail"])
        return Heard(_moment(found["webhook"]), sent, sent if found["is_told"] else None)

    def _asked(self, path: str) -> Any:
        page = self.page(f"{self.settings.mail_host}/api/world/{path}")
        if page.status != 200:
            raise UnreachableError(f"at {self.settings.mail_host} is something else")
        return orjson.loads(page.text)


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None


def stage(session: Session, settings: Settings) -> PlayedOutside:
    """The sandbox, ready to play; RefusedError where a rehearsal could be mistaken for more."""
    elsewhere = "Rehearse in another home: MINICOURSE_HOME=/another/folder minicourse up"
    if installation.get(session).mode == Mode.LIVE:
        raise RefusedError(f"This database is live: there is nothing to rehearse. {elsewhere}")
    if not settings.sandboxed:
        raise RefusedError(
            "SENDGRID_API_KEY is set, so that mail goes to SendGrid, and a rehearsal goes without "
            f"it. {elsewhere}"
        )
    played = PlayedOutside(settings)
    try:
        played.heard()
    except UnreachableError:
        told = f"No sandbox plays along at {settings.mail_host}. Start it with: {_START}"
        raise RefusedError(told) from None
    return played


def look(session: Session, settings: Settings, played: PlayedOutside) -> Iterator[Line]:
    """The lines of `readiness.look`, of a world that the sandbox plays."""
    known = played.heard()
    as_if = settings.model_copy(
        update={
            "sendgrid_api_key": SecretStr(KEY),
            "sendgrid_webhook_public_key": (installation.get(session).sandbox_public_key,),
        }
    )
    for line in readiness.look(session, as_if, played, known):
        yield _played(line, settings, played, known)


def _played(line: Line, settings: Settings, played: PlayedOutside, known: Heard) -> Line:
    if line.name == "mail host":
        return readiness.well(line.name, f"{settings.mail_host}, the sandbox (live: SendGrid)")
    if line.name == "public address":
        return _public_url(line, settings.public_url, played)
    if line.name == "key" and line.state is State.WELL:
        return replace(line, found="the sandbox takes any (live: SENDGRID_API_KEY)")
    if line.state is State.WELL:
        return line
    if line.name == "test mail":
        return replace(line, todo=_AGAIN if known.test_sent_at else _TEST)
    return replace(line, todo=_TODOS.get(line.name, line.todo), paste=())


def _public_url(line: Line, url: str, played: PlayedOutside) -> Line:
    if not is_loopback(url):
        return replace(line, found=f"{url}, taken as given") if line.state is State.WELL else line
    try:
        is_there = played.page(f"{url}/healthz").status == 200
    except UnreachableError:
        is_there = False
    if is_there:
        return readiness.well(line.name, f"{url} answers (live: https, on your server)")
    return readiness.missing(line.name, f"{url} does not answer", _START)
