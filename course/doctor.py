"""A look at the whole set-up: each check says what it saw, or what is wrong and how to mend it."""

import difflib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from course import (
    broker,
    courses,
    installation,
    outside,
    readiness,
    rendering,
    sources,
    watch,
    webhooks,
)
from course.clock import Clock
from course.db import Database, open_database, real_now, shown
from course.errors import CourseError, MinicourseError
from course.models import Delivery, Forecast
from course.processes import ports
from course.readiness import State
from course.settings import Settings
from course.states import Mode
from course.wording import counted

MOST_DRIFT_SECONDS = 10
LEASE_IS_OLD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `remedy` is None where all is well."""

    name: str
    found: str
    remedy: str | None = None

    @property
    def is_well(self) -> bool:
        return self.remedy is None


def examine(load: Callable[[], Settings]) -> Iterator[Check]:
    """All checks in the order in which one needs the other; stops where no further one can run."""
    try:
        settings = load()
    except MinicourseError as error:
        yield Check("settings", str(error), "Set them right and run again: minicourse doctor")
        return
    yield Check("settings", f"read from the environment and {settings.home / '.env'}")
    yield from _unknown_names(settings)
    yield from _courses(settings)
    yield _mail(settings)
    try:
        database = open_database(settings)
    except MinicourseError as error:
        yield Check("database", *_parted(error))
        return
    try:
        yield Check("database", f"{shown(settings)}, with this version's tables")
        yield from _modes(settings)
        mode = _mode(database, settings)
        yield mode
        yield from _live_courses(database)
        yield from _running(database, settings)
        if mode.is_well and settings.sendgrid_api_key is not None:
            yield from _outside(database, settings)
    finally:
        database.dispose()


def _unknown_names(settings: Settings) -> Iterator[Check]:
    for name in Settings.unknown_names(settings.home):
        near = difflib.get_close_matches(name, [field.upper() for field in Settings.model_fields])
        hint = f"; did you mean {near[0]}?" if near else ""
        where = settings.home / ".env"
        yield Check("settings", f"{name} in {where} is no setting{hint}", f"Mend it in {where}")
    for name, meant in Settings.misspelt_names(os.environ).items():
        said = f"{name} in the environment is no setting; did you mean {meant}?"
        yield Check("settings", said, f"Write {meant} in its place")
    for said in Settings.passed_over(settings.home):
        yield Check("settings", said, "Write a line for each setting, like NAME=value")
    for key in settings.sendgrid_webhook_public_key:
        if not webhooks.is_key(key):
            said = f"SENDGRID_WEBHOOK_PUBLIC_KEY: {key!r} is no key: events would be refused"
            yield Check("settings", said, "Copy it whole from SendGrid's page of the event webhook")


def _courses(settings: Settings) -> Iterator[Check]:
    folders = sources.course_folders(settings.home)
    if not folders:
        where = settings.home / "lessons"
        remedy = "Make a folder in it with course.toml, about.md and 01-….md"
        yield Check("courses", f"there is none in {where}", remedy)
    for folder in folders:
        yield _source(settings, folder.name)


def _source(settings: Settings, slug: str) -> Check:
    name = f"course {slug}"
    try:
        source = sources.read(settings.home, slug)
        found = rendering.compile_course(slug, source.files, where=f"lessons/{slug}/")
    except CourseError as error:
        return Check(name, str(error), f"Mend that line; then: {courses.step_to_live(slug)}")
    return Check(name, f"{counted(len(found.course.lessons), 'lesson')}, and no mistake in them")


def _mail(settings: Settings) -> Check:
    if not settings.sandboxed:
        return Check("mail", f"goes through {settings.mail_host}")
    if ports.is_listening(settings.mail_host):
        return Check("mail", f"goes to the sandbox at {settings.mail_host}")
    return Check(
        "mail", f"nobody takes it at {settings.mail_host}", "Start the stand-in: minicourse sandbox"
    )


def _mode(database: Database, settings: Settings) -> Check:
    """Whether these settings belong to this database."""
    with database.reading() as session:
        try:
            installation.check(session, settings)
        except MinicourseError as error:
            return Check("mode", *_parted(error))
        here = installation.get(session)
    if here.mode == Mode.LIVE:
        return Check("mode", f"live since {here.live_since:%Y-%m-%d}")
    return Check("mode", "sandbox: nobody is mailed; for real mail run: minicourse live")


def _live_courses(database: Database) -> Iterator[Check]:
    """What is sent compiles with this version of the program, whatever lies on disk."""
    with database.reading() as session:
        live = courses.all_live(session)
        files = {
            course.slug: courses.revision_files(session, course.revision_id) for course in live
        }
    for course in live:
        name = f"live {course.slug}"
        try:
            rendering.compile_course(*files[course.slug])
        except CourseError as error:
            yield Check(name, str(error), f"Mend it; then: minicourse course apply {course.slug}")
        else:
            yield Check(name, f"revision {course.revision_number}, {course.state}")


# While it runs ------------------------------------------------------------------------------------


def _modes(settings: Settings) -> Iterator[Check]:
    """Secrets that others on this machine can read."""
    for path in (settings.key_path, settings.home / ".env"):
        if path is None or not path.exists():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            yield Check("files", f"{path} can be read by others ({mode:o})", f"chmod 600 {path}")


def _running(database: Database, settings: Settings) -> Iterator[Check]:
    clock = Clock(settings.clock_file)
    now, machine = clock.now(), clock.real()
    with database.reading() as session:
        real = real_now(session)
        causes = watch.causes(session, settings, now, real)
        abandoned = _abandoned(session, real)
        forecast = session.scalar(
            select(Forecast.lessons).where(~Forecast.is_order).order_by(Forecast.id.desc()).limit(1)
        )
    drift = abs((machine - real).total_seconds())
    if drift > MOST_DRIFT_SECONDS:
        found = f"this machine and the database are {drift:.0f} s apart"
        yield Check("clock", found, "Let both follow a time server (timedatectl set-ntp true)")
    for cause in causes:
        yield Check("sending", cause.what, cause.command)
    if abandoned:
        found = f"{counted(abandoned, 'mail')} taken in hand and not brought to an end"
        yield Check("leases", found, "Start what brings them to an end: minicourse up")
    yield from _fleet(settings, database, real)
    yield from _room(settings, forecast or 0)


def _abandoned(session: Session, real: datetime) -> int:
    return (
        session.scalar(select(func.count()).where(Delivery.lease_until < real - LEASE_IS_OLD)) or 0
    )


def _fleet(settings: Settings, database: Database, real: datetime) -> Iterator[Check]:
    """That its broker is down stops nothing, and is worth knowing."""
    found = broker.look(settings)
    if found is None:
        return
    with database.reading() as session:
        called = broker.last_call(session)
    if trouble := broker.trouble(found, called, real):
        yield Check("broker", trouble.what, trouble.remedy)
        return
    last = (
        f"the last mails left at {called:%Y-%m-%d %H:%M:%S} UTC" if called else "no mail has left"
    )
    yield Check("broker", f"answers at {found.where}; {counted(found.hints or 0, 'hint')}; {last}")


def _room(settings: Settings, forecast: int) -> Iterator[Check]:
    """Whether SEND_LIMIT leaves room for the coming day."""
    for limit in settings.send_limit:
        a_day = limit.count * (timedelta(days=1) / limit.window)
        if forecast > a_day:
            found = f"{counted(forecast, 'lesson')} due within a day; it lets {a_day:,.0f} through"
            yield Check("SEND_LIMIT", found, "Raise it, with your plan at SendGrid")


def _outside(database: Database, settings: Settings) -> Iterator[Check]:
    """What `live` looks at; what cannot be known from here is no finding."""
    with database.reading() as session:
        lines = list(readiness.look(session, settings, outside.RealOutside(settings)))
    for line in lines:
        if line.state is State.MISSING:
            yield Check(line.name, line.found, " ".join([line.todo or "", *line.paste]))
        else:
            yield Check(line.name, line.found)


def _parted(error: MinicourseError) -> tuple[str, str]:
    """Our errors say what is wrong first, and then what to do."""
    wrong, _, remedy = str(error).partition(". ")
    return wrong, remedy or "See the settings in .env.example"
